/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ns_null.c - null: - everything succeeds at once and no data moves: reads leave the host's buffer as it was, and what
 * was written is gone. Shows what the target costs without its storage.
 */
#include <errno.h>
#include <stdlib.h>

#include "ns.h"

/* One channel serves all, as it has no state. */
struct ns_null {
	struct tgt_ns ns;
	struct tgt_ns_chan chan;
};

static int null_chan_open(struct tgt_ns *ns, const struct tgt_guest *guest, struct tgt_ns_chan **chan,
			  struct quoll_error *err)
{
	struct ns_null *null = (struct ns_null *)ns;

	(void)guest;
	(void)err;
	*chan = &null->chan;
	return 0;
}

static void null_chan_close(struct tgt_ns_chan *chan)
{
	(void)chan;
}

static unsigned int null_submit(struct tgt_ns_chan *chan, struct tgt_req *const *reqs, unsigned int n,
				struct tgt_req **done)
{
	(void)chan;
	for (unsigned int i = 0; i < n; i++) {
		reqs[i]->status = 0;
		done[i] = reqs[i];
	}
	return n;
}

static void null_destroy(struct tgt_ns *ns)
{
	free(ns);
}

static const struct tgt_ns_ops null_ops = {
	.chan_open = null_chan_open,
	.chan_close = null_chan_close,
	.submit = null_submit,
	.destroy = null_destroy,
};

int tgt_ns_null_open(const struct tgt_ns_spec *spec, struct tgt_ns **ns, struct quoll_error *err)
{
	struct ns_null *null = calloc(1, sizeof(*null));

	if (!null)
		return quoll_error_set(err, ENOMEM, "namespace", spec->text, "out of memory");
	null->ns.ops = &null_ops;
	null->ns.nr_lbas = spec->bytes >> spec->lba_shift;
	null->chan = (struct tgt_ns_chan){.ns = &null->ns, .fd = -1};
	*ns = &null->ns;
	return 0;
}
