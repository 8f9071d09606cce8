/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rings.c - what do rings, pools and the IOVA look-up cost on one core? Ticks of the TSC an element, batch by batch.
 *
 * Everything stays in the first-level cache and nobody competes, so these are the instructions' cost, a lower bound of
 * what an application sees. The copy line is the same movement by memcpy, in and out: what no ring can beat.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <quoll/buf_cache.h>
#include <quoll/clock.h>
#include <quoll/ring.h>

#define RING_SIZE 1024
#define MAX_BATCH 256
#define ELEMENTS (1u << 20) /* a run */
#define RUNS 5
#define CACHE_SIZE 512

struct bench {
	struct quoll_clock clock;
	struct quoll_spsc *spsc;
	struct quoll_mpmc *mpmc;
	struct quoll_buf_cache *cache;
	struct quoll_heap *heap;
	void *in[MAX_BATCH];
	void *out[MAX_BATCH];
	struct quoll_buf *bufs[MAX_BATCH];
	void *addrs[MAX_BATCH];
	quoll_iova_t iovas[MAX_BATCH];
};

/* One batch of n through the thing that is measured. */
typedef void (*bench_fn)(struct bench *b, uint32_t n);

static void copy(struct bench *b, uint32_t n)
{
	static void *between[MAX_BATCH];

	memcpy(between, b->in, n * sizeof(b->in[0]));
	__asm__ volatile("" ::: "memory");
	memcpy(b->out, between, n * sizeof(b->in[0]));
}

static void spsc(struct bench *b, uint32_t n)
{
	quoll_spsc_enqueue_bulk(b->spsc, b->in, n);
	quoll_spsc_dequeue_bulk(b->spsc, b->out, n);
}

static void mpmc(struct bench *b, uint32_t n)
{
	quoll_mpmc_enqueue_bulk(b->mpmc, b->in, n);
	quoll_mpmc_dequeue_bulk(b->mpmc, b->out, n);
}

static void pool(struct bench *b, uint32_t n)
{
	if (!quoll_buf_get(b->cache, b->bufs, n))
		quoll_buf_put(b->cache, b->bufs, n);
}

/* Twice the cache is taken before any of it is given back: it runs empty, then full. */
static void pool_exchange(struct bench *b, uint32_t n)
{
	static struct quoll_buf *held[CACHE_SIZE * 2];
	static uint32_t nr_held;

	if (nr_held + n > CACHE_SIZE * 2) {
		for (uint32_t i = 0; i < nr_held; i += n)
			quoll_buf_put(b->cache, held + i, nr_held - i < n ? nr_held - i : n);
		nr_held = 0;
	}
	if (!quoll_buf_get(b->cache, held + nr_held, n))
		nr_held += n;
}

static void iova(struct bench *b, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		b->iovas[i] = quoll_heap_iova(b->heap, b->addrs[i], 2048);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double run(struct bench *b, bench_fn fn, uint32_t n)
{
	uint64_t begin = quoll_ticks(&b->clock);

	for (uint32_t done = 0; done < ELEMENTS; done += n) {
		fn(b, n);
		__asm__ volatile("" ::: "memory");
	}
	return (double)(quoll_ticks(&b->clock) - begin) / ELEMENTS;
}

static void measure(struct bench *b, const char *name, bench_fn fn)
{
	static const uint32_t batches[] = {1, 8, 32, 128, 256};
	double ticks[RUNS];

	printf("%-44s", name);
	for (size_t i = 0; i < sizeof(batches) / sizeof(batches[0]); i++) {
		run(b, fn, batches[i]); /* warm */
		for (int r = 0; r < RUNS; r++)
			ticks[r] = run(b, fn, batches[i]);
		qsort(ticks, RUNS, sizeof(ticks[0]), compare);
		printf("  %6.2f (%.2f-%.2f)", ticks[RUNS / 2], ticks[0], ticks[RUNS - 1]);
	}
	printf("\n");
}

static int prepare(struct bench *b)
{
	struct quoll_heap_opts heap_opts = {.numa_node = -1};
	struct quoll_pool_opts pool_opts = {.nr_bufs = 4096, .buf_bytes = 2048};
	struct quoll_error err = {0};
	struct quoll_arena *arena;
	struct quoll_pool *p;
	int rc;

	if (quoll_clock_init(&b->clock))
		printf("no invariant TSC: ticks are nanoseconds of the system's clock\n");
	rc = quoll_spsc_create(RING_SIZE, &b->spsc);
	if (!rc)
		rc = quoll_mpmc_create(RING_SIZE, &b->mpmc);
	if (!rc)
		rc = quoll_heap_create(NULL, &heap_opts, &b->heap, &err);
	if (!rc)
		rc = quoll_arena_create(b->heap, "bufs", QUOLL_ARENA_DEVICE_READ_WRITE, 0, &arena, &err);
	if (!rc)
		rc = quoll_pool_create(arena, &pool_opts, &p, &err);
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

	if (prepare(&b))
		return 1;
	for (int i = 0; i < MAX_BATCH; i++)
		b.in[i] = &b.in[i];
	printf("TSC %.3f GHz; ticks an element, median of %d (min-max); batch of\n%-44s  %-20s%-20s%-20s%-20s%s\n",
	       (double)b.clock.tick_hz / 1e9, RUNS, "", "1", "8", "32", "128", "256");
	measure(&b, "copy in and out (memcpy)", copy);
	measure(&b, "SPSC enqueue + dequeue", spsc);
	measure(&b, "MPMC enqueue + dequeue", mpmc);
	measure(&b, "pool get + put, within the cache", pool);
	measure(&b, "pool get + put, with exchanges", pool_exchange);
	measure(&b, "quoll_heap_iova", iova);
	return 0;
}
