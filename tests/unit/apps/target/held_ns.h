/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * held_ns.h - a namespace whose requests end when the test says so.
 */
#ifndef QUOLL_TESTS_HELD_NS_H
#define QUOLL_TESTS_HELD_NS_H

#include <string.h>

#include "target/ns.h"

#include "unit.h"

#define HELD_DATA 0x5a /* what it reads */

/* A namespace whose requests are done when the test says so, all of them in one batch. */
struct held_ns {
	struct tgt_ns ns;
	struct tgt_ns_chan chan;
	struct tgt_req *reqs[TGT_MAX_BATCH];
	unsigned int nr;
	bool release;
};

static inline int held_open(struct tgt_ns *ns, const struct tgt_guest *guest, struct tgt_ns_chan **chan,
			    struct quoll_error *err)
{
	struct held_ns *held = (struct held_ns *)ns;

	(void)guest;
	(void)err;
	held->chan = (struct tgt_ns_chan){.ns = ns, .fd = -1};
	*chan = &held->chan;
	return 0;
}

static inline void held_close(struct tgt_ns_chan *chan)
{
	(void)chan;
}

static inline unsigned int held_submit(struct tgt_ns_chan *chan, struct tgt_req *const *reqs, unsigned int n,
				       struct tgt_req **done)
{
	struct held_ns *held = (struct held_ns *)chan->ns;

	(void)done;
	for (unsigned int i = 0; i < n; i++)
		held->reqs[held->nr++] = reqs[i];
	return 0;
}

static inline unsigned int held_poll(struct tgt_ns_chan *chan, struct tgt_req **done, unsigned int max)
{
	struct held_ns *held = (struct held_ns *)chan->ns;
	unsigned int nr = held->release ? held->nr : 0;

	CU_ASSERT_TRUE_FATAL(nr <= max);
	for (unsigned int i = 0; i < nr; i++)
		if (held->reqs[i]->op == TGT_OP_READ)
			memset(held->reqs[i]->iov[0].iov_base, HELD_DATA, held->reqs[i]->iov[0].iov_len);
	memcpy(done, held->reqs, nr * sizeof(*done));
	held->nr -= nr;
	return nr;
}

static inline void held_destroy(struct tgt_ns *ns)
{
	(void)ns;
}

static const struct tgt_ns_ops held_ops = {
	.chan_open = held_open,
	.chan_close = held_close,
	.submit = held_submit,
	.poll = held_poll,
	.destroy = held_destroy,
};

#endif
