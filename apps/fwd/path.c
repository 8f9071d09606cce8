/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * path.c - the hot path of `quoll fwd`: a burst in, a burst out, the rest dropped and counted.
 *
 * What the options ask for is chosen once, by choosing among these functions; a packet meets no question about it.
 */
#include <errno.h>
#include <string.h>

#include <net/net_soft.h>

#include "path.h"

/* Frames ahead of the one whose header is written: as many as a miss takes, about. */
#define PREFETCH_AHEAD 4

static __attribute__((noinline)) void drop(struct fwd_path *path, struct quoll_buf *const *bufs, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		quoll_buf_put_chain(path->cache, bufs[i]);
	quoll_count(&path->nr_full, n);
}

static __attribute__((noinline)) void note_time(struct fwd_path *path, uint64_t begin, unsigned int sent)
{
	quoll_count(&path->timed_ticks, quoll_ticks(&path->clock) - begin);
	quoll_count(&path->timed_packets, sent);
	quoll_count(&path->nr_timed, 1);
	path->untimed = FWD_TIMED_BURSTS;
}

static inline void rewrite(struct quoll_buf *const *bufs, unsigned int n, const uint8_t *macs, unsigned int offset)
{
	for (unsigned int i = 0; i < n; i++) {
		if (i + PREFETCH_AHEAD < n)
			__builtin_prefetch(quoll_buf_data(bufs[i + PREFETCH_AHEAD]), 1);
		/* A buffer has room for it, however short the frame is. */
		memcpy((uint8_t *)quoll_buf_data(bufs[i]) + offset, macs + offset, 2 * QUOLL_MAC_BYTES - offset);
	}
}

enum edit {
	EDIT_NOTHING,
	EDIT_SOURCE,
	EDIT_BOTH,
};

/* Inlined with a constant @edit. */
static inline __attribute__((always_inline)) int forward(struct fwd_path *path, enum edit edit)
{
	struct quoll_buf *bufs[FWD_MAX_BURST];
	uint64_t begin = QUOLL_UNLIKELY(!path->untimed) ? quoll_ticks(&path->clock) : 0;
	unsigned int n = quoll_rx(path->rxq, bufs, path->burst), sent;

	if (!n)
		return 0;
	if (edit != EDIT_NOTHING)
		rewrite(bufs, n, path->macs, edit == EDIT_BOTH ? 0 : QUOLL_MAC_BYTES);
	sent = quoll_tx(path->txq, bufs, n);
	if (QUOLL_UNLIKELY(sent < n))
		drop(path, bufs + sent, n - sent);
	quoll_count(&path->nr_packets, sent);
	quoll_count(&path->nr_bursts, 1);
	if (QUOLL_UNLIKELY(!path->untimed))
		note_time(path, begin, sent);
	path->untimed--;
	return (int)n;
}

int fwd_poll_plain(void *arg)
{
	return forward(arg, EDIT_NOTHING);
}

int fwd_poll_source(void *arg)
{
	return forward(arg, EDIT_SOURCE);
}

int fwd_poll_both(void *arg)
{
	return forward(arg, EDIT_BOTH);
}

/* Frames of a burst that are ready to be sent; cut up, they may be more than a burst. */
struct outgoing {
	struct fwd_path *path;
	unsigned int n;
	unsigned int nr_sent;
	struct quoll_buf *bufs[FWD_MAX_CUT];
};

static void flush(struct outgoing *o)
{
	unsigned int sent = quoll_tx(o->path->txq, o->bufs, o->n);

	if (QUOLL_UNLIKELY(sent < o->n))
		drop(o->path, o->bufs + sent, o->n - sent);
	o->nr_sent += sent;
	o->n = 0;
}

static void cut(struct outgoing *o, uint32_t missing, struct quoll_buf *buf)
{
	bool whole = buf->flags & QUOLL_BUF_TX_TSO;
	int n = quoll_soft_tx(missing, o->path->cache, buf, o->bufs + o->n, FWD_MAX_CUT - o->n);

	if (n == -ENOSPC && o->n) {
		flush(o);
		n = quoll_soft_tx(missing, o->path->cache, buf, o->bufs, FWD_MAX_CUT);
	}
	if (n < 0) {
		quoll_buf_put_chain(o->path->cache, buf);
		quoll_count(&o->path->nr_undone, 1);
		return;
	}
	if (whole && !(o->bufs[o->n]->flags & QUOLL_BUF_TX_TSO)) {
		quoll_count(&o->path->nr_cut, 1);
		quoll_count(&o->path->nr_segments, (unsigned int)n);
	}
	o->n += (unsigned int)n;
}

/* What was left undone becomes what the outgoing port is asked for, or is done here. */
static __attribute__((noinline)) void hand_on(struct outgoing *o, struct quoll_buf *buf)
{
	const struct fwd_path *path = o->path;
	uint32_t missing = path->missing | quoll_txq_lacks(path->txq);

	if (quoll_soft_pass(buf)) {
		quoll_buf_put_chain(path->cache, buf);
		quoll_count(&o->path->nr_undone, 1);
		return;
	}
	if (buf->flags & QUOLL_BUF_TX_TSO &&
	    (buf->total_bytes > path->max_tso_bytes || buf->nr_links > path->max_links))
		missing |= QUOLL_OFFLOAD_TX_TSO;
	if (o->n == FWD_MAX_CUT)
		flush(o);
	cut(o, missing, buf);
}

int fwd_poll_offloads(void *arg)
{
	struct fwd_path *path = arg;
	uint64_t begin = QUOLL_UNLIKELY(!path->untimed) ? quoll_ticks(&path->clock) : 0;
	struct quoll_buf *bufs[FWD_MAX_BURST];
	unsigned int n = quoll_rx(path->rxq, bufs, path->burst);
	struct outgoing o;

	if (!n)
		return 0;
	if (path->edit_off < 2 * QUOLL_MAC_BYTES)
		rewrite(bufs, n, path->macs, path->edit_off);
	o.path = path;
	o.n = o.nr_sent = 0;
	for (unsigned int i = 0; i < n; i++) {
		if (QUOLL_UNLIKELY(bufs[i]->flags & (QUOLL_BUF_RX_L4_PARTIAL | QUOLL_BUF_RX_GSO))) {
			hand_on(&o, bufs[i]);
			continue;
		}
		if (QUOLL_UNLIKELY(o.n == FWD_MAX_CUT))
			flush(&o);
		o.bufs[o.n++] = bufs[i];
	}
	flush(&o);
	quoll_count(&path->nr_packets, o.nr_sent);
	quoll_count(&path->nr_bursts, 1);
	if (QUOLL_UNLIKELY(!path->untimed))
		note_time(path, begin, o.nr_sent);
	path->untimed--;
	return (int)n;
}
