/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * table.h - measuring one thing at several batch sizes and printing it as a line, for Quoll's programs and for those of
 * peers alike: the same loop, the same counts, the same clock around both. `run` reads these lines.
 */
#ifndef QUOLL_BENCHMARKS_TABLE_H
#define QUOLL_BENCHMARKS_TABLE_H

#include <stdint.h>
#include <stdio.h>

#include "sort.h"

#define TABLE_BATCHES 5
#define TABLE_MAX_BATCH 256
#define TABLE_RUNS 5

/* One batch of n through the thing that is measured; inline, so that the loop is around the thing itself. */
typedef void (*table_fn)(void *ctx, uint32_t n);
#define TABLE_INLINE static inline __attribute__((always_inline))

struct table {
	uint64_t (*ticks)(void);
	void *ctx;
	uint32_t nr_elements; /* a run */
};

/* Volatile: no loop is made for one batch size. */
static const volatile uint32_t table_batches[TABLE_BATCHES] = {1, 8, 32, 128, 256};

static inline void table_head(double ghz)
{
	printf("TSC %.6f GHz; ticks an element, median of %d (min-max); batch of\n%-44s", ghz, TABLE_RUNS, "");
	for (int i = 0; i < TABLE_BATCHES; i++)
		printf("  %-20u", table_batches[i]);
	printf("\n");
}

TABLE_INLINE double table_run(const struct table *t, table_fn fn, uint32_t n)
{
	uint64_t begin = t->ticks();

	for (uint32_t done = 0; done < t->nr_elements; done += n) {
		fn(t->ctx, n);
		__asm__ volatile("" ::: "memory");
	}
	return (double)(t->ticks() - begin) / t->nr_elements;
}

TABLE_INLINE void table_line(const struct table *t, const char *name, table_fn fn)
{
	double ticks[TABLE_RUNS];

	printf("%-44s", name);
	for (int i = 0; i < TABLE_BATCHES; i++) {
		for (int r = -1; r < TABLE_RUNS; r++) /* the first warms up */
			ticks[r < 0 ? 0 : r] = table_run(t, fn, table_batches[i]);
		sort_doubles(ticks, TABLE_RUNS);
		printf("  %6.2f (%.2f-%.2f)", ticks[TABLE_RUNS / 2], ticks[0], ticks[TABLE_RUNS - 1]);
	}
	printf("\n");
}

#endif
