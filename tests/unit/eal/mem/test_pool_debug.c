/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_pool_debug.c - with QUOLL_BUF_DEBUG a buffer that is put twice is found out.
 */
#define QUOLL_BUF_DEBUG
#include <quoll/buf_cache.h>

#include "unit.h"

static void a_second_put_is_dropped_and_counted(void)
{
	struct quoll_heap_opts heap_opts = {.pages = QUOLL_PAGES_4K, .numa_node = -1};
	struct quoll_pool_opts opts = {.nr_bufs = 16, .buf_bytes = 64};
	struct quoll_buf_cache *cache;
	struct quoll_arena *arena;
	struct quoll_pool *pool;
	struct quoll_heap *heap;
	struct quoll_buf *bufs[16], *twice[2];

	CU_ASSERT_EQUAL_FATAL(quoll_heap_create(NULL, &heap_opts, &heap, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_arena_create(heap, "x", QUOLL_ARENA_DEVICE_READ, 0, &arena, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_pool_create(arena, &opts, &pool, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_buf_cache_create(pool, 8, &cache, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_buf_get(cache, bufs, 4), 0);
	quoll_buf_put(cache, bufs, 4);
	CU_ASSERT_EQUAL(quoll_pool_nr_bad_puts(pool), 0);
	quoll_buf_put(cache, bufs, 2);
	CU_ASSERT_EQUAL(quoll_pool_nr_bad_puts(pool), 2);
	/* Also within one batch. */
	CU_ASSERT_EQUAL_FATAL(quoll_buf_get(cache, bufs, 1), 0);
	twice[0] = twice[1] = bufs[0];
	quoll_buf_put(cache, twice, 2);
	CU_ASSERT_EQUAL(quoll_pool_nr_bad_puts(pool), 3);
	CU_ASSERT_EQUAL(quoll_pool_nr_free(pool), 16);
	CU_ASSERT_EQUAL_FATAL(quoll_buf_get(cache, bufs, 16), 0);
	for (int i = 0; i < 16; i++)
		for (int k = 0; k < i; k++)
			CU_ASSERT_PTR_NOT_EQUAL(bufs[i], bufs[k]);
	quoll_buf_put(cache, bufs, 16);
	quoll_buf_cache_destroy(cache);
	CU_ASSERT_EQUAL(quoll_pool_destroy(pool), 0);
	quoll_heap_destroy(heap);
}

static const struct unit_test tests[] = {
	{"a second put is dropped and counted", a_second_put_is_dropped_and_counted},
};

UNIT_MAIN("pool, debug checks", tests)
