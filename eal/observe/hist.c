/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hist.c - what is not hot in the latency histogram: reset, percentiles, merging. Recording is inline in hist.h.
 */
#include <string.h>

#include <quoll/hist.h>

void quoll_hist_reset(struct quoll_hist *hist)
{
	memset(hist, 0, sizeof(*hist));
	hist->min = UINT64_MAX;
}

/* The largest value that quoll_hist_bucket() files under this bucket. */
static uint64_t bucket_last(unsigned int bucket)
{
	unsigned int range;
	uint64_t next;

	if (bucket < 2 * QUOLL_HIST_SUBS)
		return bucket;
	range = bucket / QUOLL_HIST_SUBS - 1;
	next = QUOLL_HIST_SUBS + bucket % QUOLL_HIST_SUBS + 1;
	return (next << range) - 1; /* the last bucket's shift leaves 0, so it ends at UINT64_MAX */
}

/* How many of the smallest values make up the percentage, at least one. */
static uint64_t rank(uint64_t nr_values, double percent)
{
	double exact;
	uint64_t n;

	if (!(percent > 0)) /* also NaN */
		return 1;
	if (percent >= 100)
		return nr_values;
	/* 99.9 % of 1000 is 999, not the 1000 that a rounding error in the 13th place would make of it. */
	exact = (double)nr_values * percent / 100 * (1 - 1e-12);
	n = (uint64_t)exact;
	if ((double)n < exact)
		n++;
	return n < 1 ? 1 : n;
}

uint64_t quoll_hist_percentile(const struct quoll_hist *hist, double percent)
{
	uint64_t want, seen = 0;

	if (!hist->nr_values)
		return 0;
	want = rank(hist->nr_values, percent);
	for (unsigned int i = 0; i < QUOLL_HIST_BUCKETS; i++) {
		seen += hist->buckets[i];
		if (seen >= want) {
			uint64_t last = bucket_last(i);

			return last < hist->max ? last : hist->max;
		}
	}
	return hist->max;
}

void quoll_hist_merge(struct quoll_hist *into, const struct quoll_hist *from)
{
	if (!from->nr_values)
		return;
	/* A zeroed, never reset histogram has no minimum worth keeping. */
	if (!into->nr_values || from->min < into->min)
		into->min = from->min;
	if (from->max > into->max)
		into->max = from->max;
	into->nr_values += from->nr_values;
	into->sum += from->sum;
	for (unsigned int i = 0; i < QUOLL_HIST_BUCKETS; i++)
		into->buckets[i] += from->buckets[i];
}
