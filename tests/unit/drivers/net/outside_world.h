/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * outside_world.h - beside a pci_world: buffers in the program's own memory, and a stream that maps them by a fake of
 * quoll.ko's window.
 */
#ifndef QUOLL_TESTS_OUTSIDE_WORLD_H
#define QUOLL_TESTS_OUTSIDE_WORLD_H

#include <sys/mman.h>

#include <quoll/stream.h>

#include "../fake_window.h"
#include "pci_world.h"

#define NR_BUFS 1024u
#define BUF_BYTES 4096u
#define MEMORY_BYTES ((uint64_t)NR_BUFS * BUF_BYTES)
#define ONLY(way) QUOLL_WAY_BIT(QUOLL_WAY_##way)

struct outside_world {
	uint8_t *memory;
	struct quoll_pool *pool;
	struct quoll_buf_cache *cache;
	struct quoll_stream *stream;
};

/* All of the memory is registered, if that is the only way. */
static inline void outside_open(struct outside_world *o, struct pci_world *w, struct fake_pci *pci,
				const struct quoll_stream_opts *opts, uint32_t headroom)
{
	const struct quoll_pool_opts pool_opts = {
		.nr_bufs = NR_BUFS, .buf_bytes = 2048 + 128, .headroom_bytes = headroom, .align = BUF_BYTES};
	void *va = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CU_ASSERT_FATAL(va != MAP_FAILED);
	memset(va, 0xff, MEMORY_BYTES);
	o->memory = va;
	fake_window_add(w->ioas, pci);
	CU_ASSERT_EQUAL_FATAL(quoll_pool_create_outside(va, MEMORY_BYTES, &pool_opts, &o->pool, &w->err), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_buf_cache_create(o->pool, 256, &o->cache, &w->err), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_stream_create(w->ioas, w->heap, opts, &o->stream, &w->err), 0);
	if (opts->ways == ONLY(REGISTERED))
		CU_ASSERT_EQUAL_FATAL(
			quoll_stream_register(o->stream, va, MEMORY_BYTES, QUOLL_SEG_READ | QUOLL_SEG_WRITE), 0);
}

/* One queue each way. Return: what quoll_port_start() did. */
static inline int outside_start(struct outside_world *o, struct pci_world *w, unsigned int entries,
				struct quoll_stream *rx_stream, struct quoll_stream *tx_stream,
				const struct quoll_port_settings *settings)
{
	struct quoll_port_queues queues = {.nr_rxqs = 1,
					   .nr_txqs = 1,
					   .entries = entries,
					   .rx_caches = &o->cache,
					   .tx_caches = &o->cache,
					   .rx_streams = &rx_stream,
					   .tx_streams = &tx_stream};

	return quoll_port_start(w->port, &queues, settings, &w->err);
}

/* Nothing is mapped any more, and every buffer is back. */
static inline void outside_stop(const struct outside_world *o, const struct pci_world *w)
{
	CU_ASSERT_EQUAL(quoll_port_stop(w->port), 0);
	CU_ASSERT_EQUAL(fake_stream_maps(&fake_window), 0);
	CU_ASSERT_EQUAL(quoll_pool_nr_free(o->pool), NR_BUFS);
}

/* After outside_stop(). */
static inline void outside_close(struct outside_world *o)
{
	CU_ASSERT_EQUAL(quoll_pool_nr_bad_puts(o->pool), 0);
	quoll_buf_cache_destroy(o->cache);
	CU_ASSERT_EQUAL(quoll_pool_destroy(o->pool), 0);
	quoll_stream_destroy(o->stream);
	munmap(o->memory, MEMORY_BYTES);
}

/* The device finds it at no place of the window. */
static inline bool is_unreachable(const struct outside_world *o, const struct quoll_buf *buf)
{
	for (unsigned int i = 0; i < FAKE_MAX_STREAMED; i++) {
		const struct fake_streamed *m = &fake_window.maps[i];

		if (m->bytes && !m->zapped && (uintptr_t)buf->va - m->va < m->bytes)
			return false;
	}
	return buf->iova == QUOLL_IOVA_INVALID && buf->pool == o->pool;
}

/* So many segments at least went that way, and none another. */
static inline void went_by(const struct outside_world *o, unsigned int way, uint64_t nr_segs)
{
	struct quoll_stream_stats stats;

	quoll_stream_stats(o->stream, &stats);
	CU_ASSERT(stats.segs[way] >= nr_segs);
	for (unsigned int other = 0; other < QUOLL_NR_WAYS; other++)
		CU_ASSERT(other == way || !stats.segs[other]);
}

#endif
