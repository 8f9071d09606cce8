/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * path.c - the hot path of `quoll fwd`: a burst in, a burst out, the rest dropped and counted.
 *
 * What the options ask for is chosen once, by choosing among these functions; a packet meets no question about it.
 */
#include <string.h>

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
