/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rings.c - what do rings, pools, the heap and the IOVA look-up cost on one core? Ticks of the TSC an element, batch by
 * batch.
 *
 * Nobody competes, so these are the instructions' cost, a lower bound of what an application sees. The copy line is the
 * same movement by memcpy, in and out: what no ring can beat. Sizes are those of the peer, see README.md.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <quoll/buf_cache.h>
#include <quoll/clock.h>
#include <quoll/ring.h>

#include "table.h"

#define RING_SIZE 4096
#define MAX_BATCH TABLE_MAX_BATCH
#define ELEMENTS (1u << 20) /* a run */
#define HEAP_ELEMENTS (1u << 14)
#define CACHE_SIZE 512

static struct quoll_clock tsc;

struct bench {
	struct quoll_spsc *spsc;
	struct quoll_mpmc *mpmc;
	struct quoll_buf_cache *cache;
	struct quoll_heap *heap;
	struct quoll_arena *arena;
	uint64_t alloc_bytes;
	void *in[MAX_BATCH];
	void *out[MAX_BATCH];
	struct quoll_buf *bufs[MAX_BATCH];
	void *addrs[MAX_BATCH];
	quoll_iova_t iovas[MAX_BATCH];
};

TABLE_INLINE void copy(void *ctx, uint32_t n)
{
	static void *between[MAX_BATCH];
	struct bench *b = ctx;

	memcpy(between, b->in, n * sizeof(b->in[0]));
	__asm__ volatile("" ::: "memory");
	memcpy(b->out, between, n * sizeof(b->in[0]));
}

TABLE_INLINE void spsc(void *ctx, uint32_t n)
{
	struct bench *b = ctx;

	quoll_spsc_enqueue_bulk(b->spsc, b->in, n);
	quoll_spsc_dequeue_bulk(b->spsc, b->out, n);
}

TABLE_INLINE void mpmc(void *ctx, uint32_t n)
{
	struct bench *b = ctx;

	quoll_mpmc_enqueue_bulk(b->mpmc, b->in, n);
	quoll_mpmc_dequeue_bulk(b->mpmc, b->out, n);
}

TABLE_INLINE void pool(void *ctx, uint32_t n)
{
	struct bench *b = ctx;

	if (!quoll_buf_get(b->cache, b->bufs, n))
		quoll_buf_put(b->cache, b->bufs, n);
}

/* Twice the cache is taken before any of it is given back: it runs empty, then full. */
TABLE_INLINE void pool_exchange(void *ctx, uint32_t n)
{
	static struct quoll_buf *held[CACHE_SIZE * 2];
	static uint32_t nr_held;
	struct bench *b = ctx;

	if (nr_held + n > CACHE_SIZE * 2) {
		for (uint32_t i = 0; i < nr_held; i += n)
			quoll_buf_put(b->cache, held + i, nr_held - i < n ? nr_held - i : n);
		nr_held = 0;
	}
	if (!quoll_buf_get(b->cache, held + nr_held, n))
		nr_held += n;
}

TABLE_INLINE void iova(void *ctx, uint32_t n)
{
	struct bench *b = ctx;

	for (uint32_t i = 0; i < n; i++)
		b->iovas[i] = quoll_heap_iova(b->heap, b->addrs[i], 2048);
}

/* All are taken before one is given back. */
TABLE_INLINE void heap(void *ctx, uint32_t n)
{
	struct bench *b = ctx;

	for (uint32_t i = 0; i < n; i++)
		if (quoll_arena_alloc(b->arena, b->alloc_bytes, 64, &b->out[i], NULL))
			abort();
	for (uint32_t i = 0; i < n; i++)
		quoll_arena_free(b->arena, b->out[i], b->alloc_bytes);
}

static uint64_t ticks(void)
{
	return quoll_ticks(&tsc);
}

static int prepare(struct bench *b)
{
	struct quoll_heap_opts heap_opts = {.numa_node = -1};
	struct quoll_pool_opts pool_opts = {.nr_bufs = 4096, .buf_bytes = 2048};
	struct quoll_error err = {0};
	struct quoll_pool *p;
	int rc;

	if (quoll_clock_init(&tsc))
		printf("no invariant TSC: ticks are nanoseconds of the system's clock\n");
	rc = quoll_spsc_create(RING_SIZE, &b->spsc);
	if (!rc)
		rc = quoll_mpmc_create(RING_SIZE, &b->mpmc);
	if (!rc)
		rc = quoll_heap_create(NULL, &heap_opts, &b->heap, &err);
	if (!rc)
		rc = quoll_arena_create(b->heap, "bufs", QUOLL_ARENA_DEVICE_READ_WRITE, 0, &b->arena, &err);
	if (!rc)
		rc = quoll_pool_create(b->arena, &pool_opts, &p, &err);
	if (!rc)
		rc = quoll_buf_cache_create(p, CACHE_SIZE, &b->cache, &err);
	if (!rc)
		rc = quoll_buf_get(b->cache, b->bufs, MAX_BATCH);
	if (!rc) {
		for (int i = 0; i < MAX_BATCH; i++)
			b->addrs[i] = b->bufs[i]->va;
		quoll_buf_put(b->cache, b->bufs, MAX_BATCH);
	}
	if (rc)
		fprintf(stderr, "rings: %s: %s\n", err.subject, err.what);
	return rc;
}

int main(void)
{
	static struct bench b;
	struct table t = {.ticks = ticks, .ctx = &b, .nr_elements = ELEMENTS};

	if (prepare(&b))
		return 1;
	for (int i = 0; i < MAX_BATCH; i++)
		b.in[i] = &b.in[i];
	table_head((double)tsc.tick_hz / 1e9);
	table_line(&t, "copy in and out (memcpy)", copy);
	table_line(&t, "SPSC enqueue + dequeue", spsc);
	table_line(&t, "MPMC enqueue + dequeue", mpmc);
	table_line(&t, "pool get + put, within the cache", pool);
	table_line(&t, "pool get + put, with exchanges", pool_exchange);
	table_line(&t, "quoll_heap_iova", iova);
	t.nr_elements = HEAP_ELEMENTS;
	b.alloc_bytes = 64;
	table_line(&t, "heap alloc + free, 64 bytes", heap);
	b.alloc_bytes = 2048;
	table_line(&t, "heap alloc + free, 2 KiB", heap);
	return 0;
}
