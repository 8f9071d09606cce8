/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * path_fixture.h - a path of a forwarder between two queues of the test's own, which say what is received and what room
 * there is; at the end every buffer is back.
 */
#ifndef QUOLL_TESTS_PATH_FIXTURE_H
#define QUOLL_TESTS_PATH_FIXTURE_H

#include <string.h>

#include <net/net.h>

#include "fwd/path.h"
#include "unit.h"

struct path_fixture {
	struct quoll_rxq rxq;
	struct quoll_txq txq;
	struct quoll_heap *heap;
	struct quoll_arena *arena;
	struct quoll_pool *pool;
	struct quoll_buf_cache *cache;
	uint32_t nr_bufs;
	struct fwd_path path;
};

/* The bursts of its queues are the test's; @fx is zeroed, but for those. */
static inline void path_open(struct path_fixture *fx, uint32_t nr_bufs)
{
	struct quoll_heap_opts heap = {.size_bytes = 64 << 20, .pages = QUOLL_PAGES_4K, .numa_node = -1};
	struct quoll_pool_opts pool = {.nr_bufs = nr_bufs, .buf_bytes = 2048, .headroom_bytes = 128};

	CU_ASSERT_EQUAL_FATAL(quoll_heap_create(NULL, &heap, &fx->heap, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_arena_create(fx->heap, "test", QUOLL_ARENA_DEVICE_READ_WRITE, 0, &fx->arena, NULL),
			      0);
	CU_ASSERT_EQUAL_FATAL(quoll_pool_create(fx->arena, &pool, &fx->pool, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_buf_cache_create(fx->pool, 128, &fx->cache, NULL), 0);
	fx->nr_bufs = nr_bufs;
	fx->path.rxq = &fx->rxq;
	fx->path.txq = &fx->txq;
	fx->path.cache = fx->cache;
	fx->path.burst = 32;
	quoll_clock_init(&fx->path.clock);
}

/* What was sent is the test's; with it back, every buffer is there, or the path has lost one. */
static inline void path_close(struct path_fixture *fx, struct quoll_buf *const *sent, unsigned int nr_sent)
{
	for (unsigned int i = 0; i < nr_sent; i++)
		quoll_buf_put_chain(fx->cache, sent[i]);
	CU_ASSERT_EQUAL(quoll_pool_nr_free(fx->pool), fx->nr_bufs);
	quoll_buf_cache_destroy(fx->cache);
	CU_ASSERT_EQUAL(quoll_pool_destroy(fx->pool), 0);
	quoll_heap_destroy(fx->heap);
}

#endif
