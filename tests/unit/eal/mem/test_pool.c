/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_pool.c - pools and caches: what a fresh buffer looks like, where buffers go back to, exclusive ownership between
 * threads.
 */
#include <pthread.h>
#include <stdio.h>

#include <quoll/buf_cache.h>

#include "fake_ioas.h"
#include "unit.h"

#define NR_BUFS 1000

static struct quoll_heap *heap;
static struct quoll_arena *arena;

static void setup(void)
{
	struct quoll_heap_opts opts = {.pages = QUOLL_PAGES_4K, .numa_node = -1};

	CU_ASSERT_EQUAL_FATAL(quoll_heap_create(NULL, &opts, &heap, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_arena_create(heap, "bufs", QUOLL_ARENA_DEVICE_READ_WRITE, 0, &arena, NULL), 0);
}

static struct quoll_pool *new_pool(uint32_t nr, uint32_t bytes, uint32_t headroom, uint32_t align)
{
	struct quoll_pool_opts opts = {.nr_bufs = nr, .buf_bytes = bytes, .headroom_bytes = headroom, .align = align};
	struct quoll_pool *pool = NULL;

	CU_ASSERT_EQUAL_FATAL(quoll_pool_create(arena, &opts, &pool, NULL), 0);
	return pool;
}

static struct quoll_buf_cache *new_cache(struct quoll_pool *pool, uint32_t size)
{
	struct quoll_buf_cache *cache = NULL;

	CU_ASSERT_EQUAL_FATAL(quoll_buf_cache_create(pool, size, &cache, NULL), 0);
	return cache;
}

static bool fresh(const struct quoll_buf *b, const struct quoll_pool *pool, uint32_t headroom)
{
	return b->pool == pool && !b->next && b->nr_links == 1 && b->data_off == headroom && !b->data_bytes &&
	       !b->total_bytes && !b->flags && !b->hash && !b->vlan_tci && !b->port;
}

static void spoil(struct quoll_buf *b)
{
	b->next = b;
	b->nr_links = 7;
	b->data_off = 9;
	b->data_bytes = b->total_bytes = b->flags = b->hash = 77;
	b->vlan_tci = b->port = 3;
}

static void options_out_of_range_are_refused(void)
{
	static const struct quoll_pool_opts bad[] = {
		{0, 2048, 0, 0},	 {UINT32_MAX, 2048, 0, 0}, {10, 0, 0, 0},     {10, (16 << 20) + 1, 0, 0},
		{10, 2048, 2048, 0},	 {10, 1 << 20, 65536, 0},  {10, 2048, 0, 32}, {10, 2048, 0, 96},
		{10, 2048, 0, 1u << 31},
	};
	struct quoll_error err;
	struct quoll_pool *pool = NULL;

	setup();
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err.errnum = 0;
		CU_ASSERT_EQUAL(quoll_pool_create(arena, &bad[i], &pool, &err), -EINVAL);
		CU_ASSERT_EQUAL(err.errnum, EINVAL);
	}
	/* Too much for the arena: everything is given back. */
	CU_ASSERT_EQUAL(quoll_pool_create(arena, &(struct quoll_pool_opts){100000, 16 << 20, 0, 0}, &pool, &err),
			-ENOSPC);
	CU_ASSERT_PTR_NULL(pool);
	quoll_heap_destroy(heap);
}

static int by_va(const void *a, const void *b)
{
	const struct quoll_buf *x = *(struct quoll_buf *const *)a, *y = *(struct quoll_buf *const *)b;

	return x->va < y->va ? -1 : x->va > y->va;
}

static void every_buffer_is_fresh_aligned_and_its_own(void)
{
	struct quoll_buf *bufs[NR_BUFS];
	struct quoll_buf_cache *cache;
	struct quoll_pool *pool;
	bool ok = true;

	setup();
	pool = new_pool(NR_BUFS, 1500, 128, 2048);
	CU_ASSERT_EQUAL(quoll_pool_buf_bytes(pool), 1536);
	CU_ASSERT_EQUAL(quoll_pool_nr_free(pool), NR_BUFS);
	cache = new_cache(pool, 64);
	CU_ASSERT_EQUAL_FATAL(quoll_buf_get(cache, bufs, NR_BUFS), 0);
	CU_ASSERT_EQUAL(quoll_pool_nr_free(pool), 0);
	qsort(bufs, NR_BUFS, sizeof(bufs[0]), by_va);
	for (int i = 0; i < NR_BUFS; i++) {
		ok &= fresh(bufs[i], pool, 128) && (uintptr_t)bufs[i]->va % 2048 == 0;
		ok &= bufs[i]->iova == quoll_heap_iova(heap, bufs[i]->va, 1536);
		ok &= !i || bufs[i - 1]->va + 1536 <= bufs[i]->va;
		memset(bufs[i]->va, i, 1536);
		CU_ASSERT_PTR_EQUAL(quoll_buf_data(bufs[i]), bufs[i]->va + 128);
	}
	CU_ASSERT(ok);
	quoll_buf_put(cache, bufs, NR_BUFS);
	CU_ASSERT_EQUAL(quoll_pool_nr_free(pool), NR_BUFS);
	quoll_buf_cache_destroy(cache);
	CU_ASSERT_EQUAL(quoll_pool_destroy(pool), 0);
	quoll_heap_destroy(heap);
}

static void a_buffer_is_found_by_its_address(void)
{
	static const uint32_t aligns[] = {0, 4096};
	struct quoll_pool_memory memory;
	struct quoll_buf_cache *cache;
	struct quoll_pool *pool;
	struct quoll_buf *buf;

	setup();
	for (int i = 0; i < 2; i++) {
		struct quoll_pool_opts opts = {.nr_bufs = 64, .buf_bytes = 1500, .align = aligns[i]};

		CU_ASSERT_EQUAL_FATAL(quoll_pool_create(arena, &opts, &pool, NULL), 0);
		cache = new_cache(pool, 64);
		quoll_pool_memory(pool, &memory);
		CU_ASSERT_EQUAL(memory.nr_bufs, 64);
		CU_ASSERT_EQUAL(memory.stride_bytes, i ? 4096 : 1536);
		CU_ASSERT_EQUAL(memory.bytes, 64 * (uint64_t)memory.stride_bytes);
		for (int k = 0; k < 64; k++) {
			CU_ASSERT_EQUAL_FATAL(quoll_buf_get(cache, &buf, 1), 0);
			CU_ASSERT_PTR_EQUAL(&memory.bufs[(buf->va - memory.va) / memory.stride_bytes], buf);
			quoll_buf_put(cache, &buf, 1);
		}
		quoll_buf_cache_destroy(cache);
		CU_ASSERT_EQUAL(quoll_pool_destroy(pool), 0);
	}
	quoll_heap_destroy(heap);
}

static void get_is_all_or_nothing_at_every_level(void)
{
	struct quoll_buf *bufs[NR_BUFS], *more[NR_BUFS];
	struct quoll_buf_cache *cache;
	struct quoll_pool *pool;

	setup();
	pool = new_pool(100, 64, 0, 0);
	cache = new_cache(pool, 32);
	for (uint32_t out = 0; out <= 100; out++) {
		if (out)
			CU_ASSERT_EQUAL_FATAL(quoll_buf_get(cache, bufs, out), 0);
		CU_ASSERT_EQUAL(quoll_buf_get(cache, more, 101 - out), -ENOBUFS);
		CU_ASSERT_EQUAL(quoll_pool_nr_free(pool), 100 - out);
		/* Refused, yet nothing is stuck: what is left can still be had. */
		if (out < 100) {
			CU_ASSERT_EQUAL_FATAL(quoll_buf_get(cache, more, 100 - out), 0);
			quoll_buf_put(cache, more, 100 - out);
		}
		quoll_buf_put(cache, bufs, out);
	}
	quoll_buf_cache_destroy(cache);
	CU_ASSERT_EQUAL(quoll_pool_destroy(pool), 0);
	quoll_heap_destroy(heap);
}

static void a_returned_buffer_is_fresh_again_and_the_next_one_got(void)
{
	struct quoll_buf *a[40], *b[40];
	struct quoll_buf_cache *cache;
	struct quoll_pool *pool;

	setup();
	pool = new_pool(200, 256, 64, 0);
	cache = new_cache(pool, 100);
	for (uint32_t n = 1; n <= 40; n++) {
		CU_ASSERT_EQUAL_FATAL(quoll_buf_get(cache, a, n), 0);
		for (uint32_t i = 0; i < n; i++)
			spoil(a[i]);
		quoll_buf_put(cache, a, n);
		CU_ASSERT_EQUAL_FATAL(quoll_buf_get(cache, b, n), 0);
		CU_ASSERT_EQUAL(memcmp(a, b, n * sizeof(a[0])), 0);
		for (uint32_t i = 0; i < n; i++)
			CU_ASSERT(fresh(b[i], pool, 64));
		quoll_buf_put(cache, b, n);
	}
	quoll_buf_cache_destroy(cache);
	CU_ASSERT_EQUAL(quoll_pool_destroy(pool), 0);
	quoll_heap_destroy(heap);
}

static void a_pool_in_use_is_not_destroyed(void)
{
	struct quoll_buf_cache *cache;
	struct quoll_pool *pool;
	struct quoll_buf *buf;

	setup();
	pool = new_pool(10, 64, 0, 0);
	cache = new_cache(pool, 0);
	CU_ASSERT_EQUAL(quoll_pool_destroy(pool), -EBUSY);
	CU_ASSERT_EQUAL(quoll_buf_get(cache, &buf, 1), 0);
	CU_ASSERT_EQUAL(quoll_pool_destroy(pool), -EBUSY);
	CU_ASSERT_EQUAL(quoll_pool_nr_free(pool), 9);
	quoll_buf_put(cache, &buf, 1);
	quoll_buf_cache_destroy(cache);
	CU_ASSERT_EQUAL(quoll_pool_destroy(pool), 0);
	CU_ASSERT_EQUAL(quoll_pool_destroy(NULL), 0);
	quoll_buf_cache_destroy(NULL);
	quoll_heap_destroy(heap);
}

static void cache_sizes_out_of_range_are_refused(void)
{
	struct quoll_buf_cache *cache = NULL;
	struct quoll_pool *pool;
	struct quoll_error err;
	struct quoll_buf *buf;

	setup();
	pool = new_pool(10, 64, 0, 0);
	CU_ASSERT_EQUAL(quoll_buf_cache_create(pool, 11, &cache, &err), -EINVAL);
	CU_ASSERT_EQUAL(quoll_buf_cache_create(pool, UINT32_MAX, &cache, &err), -EINVAL);
	CU_ASSERT_PTR_NULL(cache);
	/* The smallest works too. */
	cache = new_cache(pool, 1);
	for (int i = 0; i < 30; i++) {
		CU_ASSERT_EQUAL_FATAL(quoll_buf_get(cache, &buf, 1), 0);
		quoll_buf_put(cache, &buf, 1);
	}
	CU_ASSERT_EQUAL(quoll_pool_nr_free(pool), 10);
	quoll_buf_cache_destroy(cache);
	CU_ASSERT_EQUAL(quoll_pool_destroy(pool), 0);
	quoll_heap_destroy(heap);
}

static void buffers_of_other_pools_go_home(void)
{
	struct quoll_pool *pools[3];
	struct quoll_buf_cache *caches[3];
	struct quoll_buf *mixed[30], *buf;

	setup();
	for (uint32_t p = 0; p < 3; p++) {
		pools[p] = new_pool(10, 512, 32 * p, 0);
		caches[p] = new_cache(pools[p], 4);
	}
	for (int i = 0; i < 30; i++) {
		int p = (i / 2) % 3; /* runs of two */

		CU_ASSERT_EQUAL_FATAL(quoll_buf_get(caches[p], &mixed[i], 1), 0);
		spoil(mixed[i]);
	}
	quoll_buf_put(caches[1], mixed, 30);
	for (uint32_t p = 0; p < 3; p++) {
		CU_ASSERT_EQUAL(quoll_pool_nr_free(pools[p]), 10);
		for (int i = 0; i < 10; i++) {
			CU_ASSERT_EQUAL_FATAL(quoll_buf_get(caches[p], &buf, 1), 0);
			CU_ASSERT(fresh(buf, pools[p], 32 * p));
			mixed[i] = buf;
		}
		quoll_buf_put(caches[p], mixed, 10);
	}
	for (uint32_t p = 0; p < 3; p++) {
		quoll_buf_cache_destroy(caches[p]);
		CU_ASSERT_EQUAL(quoll_pool_destroy(pools[p]), 0);
	}
	quoll_heap_destroy(heap);
}

static void a_chain_goes_back_whole(void)
{
	struct quoll_buf_cache *cache;
	struct quoll_pool *pool;
	struct quoll_buf *bufs[100];

	setup();
	pool = new_pool(100, 64, 0, 0);
	cache = new_cache(pool, 50);
	for (uint32_t links = 1; links <= 100; links++) {
		CU_ASSERT_EQUAL_FATAL(quoll_buf_get(cache, bufs, links), 0);
		for (uint32_t i = 0; i + 1 < links; i++)
			bufs[i]->next = bufs[i + 1];
		bufs[0]->nr_links = (uint16_t)links;
		quoll_buf_put_chain(cache, bufs[0]);
		CU_ASSERT_EQUAL(quoll_pool_nr_free(pool), 100);
	}
	quoll_buf_put_chain(cache, NULL);
	quoll_buf_cache_destroy(cache);
	CU_ASSERT_EQUAL(quoll_pool_destroy(pool), 0);
	quoll_heap_destroy(heap);
}

#define NR_THREADS 3
#define ROUNDS 5000
#define BATCH 32

struct worker {
	struct quoll_pool *pool;
	struct quoll_mpmc *exchange; /* buffers are put by others than got them */
	uint32_t id;
	uint32_t wrong;
	uint32_t nr_got;
	pthread_t thread;
};

static void *work(void *arg)
{
	struct worker *w = arg;
	struct quoll_buf_cache *cache = NULL;
	struct quoll_buf *bufs[BATCH];
	uint32_t seed = 1 + w->id;

	if (quoll_buf_cache_create(w->pool, 64, &cache, NULL)) {
		w->wrong++;
		return NULL;
	}
	for (uint32_t round = 0; round < ROUNDS; round++) {
		uint32_t n, left;

		seed = seed * 1664525 + 1013904223;
		n = 1 + (seed >> 16) % BATCH;
		if (quoll_buf_get(cache, bufs, n)) {
			sched_yield();
		} else {
			w->nr_got += n;
			for (uint32_t i = 0; i < n; i++) {
				w->wrong += !fresh(bufs[i], w->pool, 16);
				bufs[i]->user = (uint64_t)w->id << 32 | round;
				memset(bufs[i]->va, (int)w->id, 8);
			}
			for (uint32_t i = 0; i < n; i++)
				w->wrong += bufs[i]->user != ((uint64_t)w->id << 32 | round) || bufs[i]->va[7] != w->id;
			left = n - quoll_mpmc_enqueue_burst(w->exchange, (void *const *)bufs, n);
			quoll_buf_put(cache, bufs + (n - left), left);
		}
		n = quoll_mpmc_dequeue_burst(w->exchange, (void **)bufs, BATCH);
		quoll_buf_put(cache, bufs, n);
	}
	quoll_buf_cache_destroy(cache);
	return NULL;
}

static void a_buffer_has_one_owner_at_a_time(void)
{
	struct worker workers[NR_THREADS];
	struct quoll_mpmc *exchange;
	struct quoll_buf_cache *cache;
	struct quoll_buf *bufs[256];
	struct quoll_pool *pool;
	uint32_t n;

	setup();
	pool = new_pool(256, 64, 16, 0);
	CU_ASSERT_EQUAL_FATAL(quoll_mpmc_create(64, &exchange), 0);
	for (uint32_t i = 0; i < NR_THREADS; i++) {
		workers[i] = (struct worker){.pool = pool, .exchange = exchange, .id = i + 1};
		CU_ASSERT_EQUAL_FATAL(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
	/* Counting meanwhile is allowed, though not exact. */
	for (int i = 0; i < 100; i++)
		(void)quoll_pool_nr_free(pool);
	for (uint32_t i = 0; i < NR_THREADS; i++) {
		pthread_join(workers[i].thread, NULL);
		CU_ASSERT_EQUAL(workers[i].wrong, 0);
		CU_ASSERT(workers[i].nr_got > 0);
	}
	cache = new_cache(pool, 64);
	n = quoll_mpmc_dequeue_burst(exchange, (void **)bufs, 64);
	quoll_buf_put(cache, bufs, n);
	CU_ASSERT_EQUAL(quoll_pool_nr_free(pool), 256);
	/* All of them, each once. */
	CU_ASSERT_EQUAL_FATAL(quoll_buf_get(cache, bufs, 256), 0);
	qsort(bufs, 256, sizeof(bufs[0]), by_va);
	for (int i = 1; i < 256; i++)
		CU_ASSERT_PTR_NOT_EQUAL(bufs[i - 1], bufs[i]);
	quoll_buf_put(cache, bufs, 256);
	quoll_buf_cache_destroy(cache);
	CU_ASSERT_EQUAL(quoll_pool_destroy(pool), 0);
	quoll_mpmc_destroy(exchange);
	quoll_heap_destroy(heap);
}

static void buffers_may_lie_in_memory_of_the_programs_own(void)
{
	struct quoll_pool_opts opts = {.nr_bufs = 16, .buf_bytes = 2000, .headroom_bytes = 128, .align = 4096};
	static uint8_t memory[17 * 4096] __attribute__((aligned(4096)));
	struct quoll_buf_cache *cache;
	struct quoll_buf *bufs[16];
	struct quoll_pool *pool;
	struct quoll_error err;

	CU_ASSERT_EQUAL(quoll_pool_create_outside(memory + 64, sizeof(memory) - 64, &opts, &pool, &err), -EINVAL);
	CU_ASSERT_EQUAL(quoll_pool_create_outside(NULL, sizeof(memory), &opts, &pool, &err), -EINVAL);
	CU_ASSERT_EQUAL(quoll_pool_create_outside(memory, 16 * 4096 - 1, &opts, &pool, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "16 buffers of 4096"));
	CU_ASSERT_EQUAL_FATAL(quoll_pool_create_outside(memory, 16 * 4096, &opts, &pool, &err), 0);
	CU_ASSERT_TRUE(quoll_pool_is_outside(pool));
	cache = new_cache(pool, 16);
	CU_ASSERT_EQUAL_FATAL(quoll_buf_get(cache, bufs, 16), 0);
	for (unsigned int i = 0; i < 16; i++) {
		CU_ASSERT_TRUE(fresh(bufs[i], pool, 128));
		CU_ASSERT_EQUAL(bufs[i]->iova, QUOLL_IOVA_INVALID);
		CU_ASSERT_EQUAL((uintptr_t)bufs[i]->va % 4096, 0);
		CU_ASSERT(bufs[i]->va >= memory && bufs[i]->va <= memory + 15 * 4096);
		for (unsigned int other = 0; other < i; other++)
			CU_ASSERT_PTR_NOT_EQUAL(bufs[i]->va, bufs[other]->va);
	}
	quoll_buf_put(cache, bufs, 16);
	quoll_buf_cache_destroy(cache);
	CU_ASSERT_EQUAL(quoll_pool_destroy(pool), 0);
	memory[0] = 1; /* still the program's */
}

static void an_annex_has_buffers_of_its_pool_for_a_while(void)
{
	struct quoll_buf_cache *cache, *inner;
	struct quoll_pool *pool, *annex, *no;
	struct quoll_buf *bufs[16], *one;
	struct quoll_error err;

	setup();
	pool = new_pool(16, 1024, 64, 0);
	cache = new_cache(pool, 16);
	CU_ASSERT_EQUAL_FATAL(quoll_pool_create_annex(pool, &annex, &err), 0);
	CU_ASSERT_EQUAL(quoll_pool_create_annex(annex, &no, &err), -EINVAL);
	CU_ASSERT_FALSE(quoll_pool_is_outside(annex));
	CU_ASSERT_EQUAL(quoll_pool_buf_bytes(annex), 1024);
	inner = new_cache(annex, 4);
	CU_ASSERT_EQUAL(quoll_buf_get(inner, &one, 1), -ENOBUFS);
	CU_ASSERT_EQUAL_FATAL(quoll_buf_get(cache, bufs, 16), 0);
	for (unsigned int i = 0; i < 10; i++)
		bufs[i]->pool = annex;
	/* Where they are put they go to the one that they are of. */
	quoll_buf_put(inner, bufs, 5);
	quoll_buf_put(cache, bufs + 5, 11);
	CU_ASSERT_EQUAL(quoll_pool_nr_free(annex), 10);
	CU_ASSERT_EQUAL(quoll_pool_nr_free(pool), 6);
	CU_ASSERT_EQUAL(quoll_pool_destroy(pool), -EBUSY);
	CU_ASSERT_EQUAL(quoll_pool_destroy(annex), -EBUSY);
	for (unsigned int i = 0; i < 10; i++) {
		CU_ASSERT_EQUAL_FATAL(quoll_buf_get(inner, &one, 1), 0);
		CU_ASSERT_TRUE(fresh(one, annex, 64));
		one->pool = pool;
		quoll_buf_put(cache, &one, 1);
	}
	CU_ASSERT_EQUAL(quoll_buf_get(inner, &one, 1), -ENOBUFS);
	CU_ASSERT_EQUAL(quoll_pool_nr_free(pool), 16);
	CU_ASSERT_EQUAL(quoll_pool_destroy(annex), -EBUSY); /* the cache */
	quoll_buf_cache_destroy(inner);
	quoll_buf_cache_destroy(cache);
	CU_ASSERT_EQUAL(quoll_pool_destroy(pool), -EBUSY); /* the annex */
	CU_ASSERT_EQUAL(quoll_pool_destroy(annex), 0);
	CU_ASSERT_EQUAL(quoll_pool_destroy(pool), 0);
	quoll_heap_destroy(heap);
}

static const struct unit_test tests[] = {
	{"options out of range are refused", options_out_of_range_are_refused},
	{"every buffer is fresh, aligned and its own", every_buffer_is_fresh_aligned_and_its_own},
	{"a buffer is found by its address", a_buffer_is_found_by_its_address},
	{"get is all or nothing at every level", get_is_all_or_nothing_at_every_level},
	{"a returned buffer is fresh again, and the next one got",
	 a_returned_buffer_is_fresh_again_and_the_next_one_got},
	{"a pool in use is not destroyed", a_pool_in_use_is_not_destroyed},
	{"cache sizes out of range are refused", cache_sizes_out_of_range_are_refused},
	{"buffers of other pools go home", buffers_of_other_pools_go_home},
	{"a chain goes back whole", a_chain_goes_back_whole},
	{"a buffer has one owner at a time", a_buffer_has_one_owner_at_a_time},
	{"buffers may lie in memory of the program's own", buffers_may_lie_in_memory_of_the_programs_own},
	{"an annex has buffers of its pool for a while", an_annex_has_buffers_of_its_pool_for_a_while},
};

UNIT_MAIN("pool", tests)
