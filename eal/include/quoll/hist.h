/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hist.h - latency histogram with a relative error of at most 1/64 (HDR: exponential ranges of linear buckets).
 */
#ifndef QUOLL_HIST_H
#define QUOLL_HIST_H

#include <quoll/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define QUOLL_HIST_SUB_SHIFT 6
#define QUOLL_HIST_SUBS (1u << QUOLL_HIST_SUB_SHIFT)
#define QUOLL_HIST_BUCKETS ((64 - QUOLL_HIST_SUB_SHIFT + 1) * QUOLL_HIST_SUBS)

/**
 * struct quoll_hist - counts of values; 30 KiB. Zero-initialised it is empty, but for min, which quoll_hist_reset()
 * sets
 */
struct quoll_hist {
	uint64_t nr_values;
	uint64_t sum;
	uint64_t min;
	uint64_t max;
	uint64_t buckets[QUOLL_HIST_BUCKETS];
};

QUOLL_API void quoll_hist_reset(struct quoll_hist *hist);

static inline unsigned int quoll_hist_bucket(uint64_t value)
{
	unsigned int msb, range;

	if (value < QUOLL_HIST_SUBS)
		return (unsigned int)value;
	msb = 63u - (unsigned int)__builtin_clzll(value);
	range = msb - QUOLL_HIST_SUB_SHIFT;
	return (range + 1) * QUOLL_HIST_SUBS + (unsigned int)((value >> range) & (QUOLL_HIST_SUBS - 1));
}

static inline void quoll_hist_record(struct quoll_hist *hist, uint64_t value)
{
	hist->buckets[quoll_hist_bucket(value)]++;
	hist->nr_values++;
	hist->sum += value;
	if (value < hist->min)
		hist->min = value;
	if (value > hist->max)
		hist->max = value;
}

/**
 * quoll_hist_percentile() - smallest recorded range whose share reaches the percentage
 * @percent: 0 .. 100
 *
 * Return: upper end of that range, never above the largest value seen; 0 if nothing was recorded.
 */
QUOLL_API uint64_t quoll_hist_percentile(const struct quoll_hist *hist, double percent);

/**
 * quoll_hist_merge() - add @from to @into
 */
QUOLL_API void quoll_hist_merge(struct quoll_hist *into, const struct quoll_hist *from);

#ifdef __cplusplus
}
#endif
#endif
