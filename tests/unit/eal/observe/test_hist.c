/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_hist.c - percentiles against the sorted values themselves.
 */
#include <stdlib.h>
#include <string.h>

#include <quoll/hist.h>

#include "unit.h"

#define NR_VALUES 20000

static uint64_t seed = 88172645463325252ull;

static uint64_t random64(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void every_value_has_a_bucket_and_buckets_ascend(void)
{
	uint64_t previous = 0;

	for (unsigned int bit = 0; bit < 64; bit++) {
		uint64_t first = 1ull << bit, width = bit < 7 ? 1 : first / 128;

		for (uint64_t step = 0; step < first / width; step++) {
			uint64_t v = first + step * width;

			CU_ASSERT_FATAL(quoll_hist_bucket(v) < QUOLL_HIST_BUCKETS);
			CU_ASSERT_FATAL(quoll_hist_bucket(v) >= quoll_hist_bucket(previous));
			CU_ASSERT_FATAL(quoll_hist_bucket(v) - quoll_hist_bucket(previous) <= 1);
			previous = v;
		}
	}
	CU_ASSERT_EQUAL(quoll_hist_bucket(UINT64_MAX), QUOLL_HIST_BUCKETS - 1);
}

/* The true percentile by the nearest-rank rule, with whole per mille so that no rounding comes in. */
static uint64_t sorted_percentile(const uint64_t *sorted, uint64_t n, unsigned int per_mille)
{
	uint64_t rank = (n * per_mille + 999) / 1000;

	return sorted[rank ? rank - 1 : 0];
}

static void check_percentiles(unsigned int shift)
{
	static const unsigned int per_milles[] = {0, 1, 10, 250, 500, 900, 990, 999, 1000};
	struct quoll_hist *hist = malloc(sizeof(*hist));
	uint64_t *values = malloc(NR_VALUES * sizeof(*values));

	CU_ASSERT_FATAL(hist && values);
	quoll_hist_reset(hist);
	for (int i = 0; i < NR_VALUES; i++) {
		/* Spread over the magnitudes, as latencies are. */
		values[i] = random64() >> (shift + random64() % (64 - shift));
		quoll_hist_record(hist, values[i]);
	}
	qsort(values, NR_VALUES, sizeof(*values), compare);
	for (size_t i = 0; i < sizeof(per_milles) / sizeof(per_milles[0]); i++) {
		uint64_t truth = sorted_percentile(values, NR_VALUES, per_milles[i]);
		uint64_t told = quoll_hist_percentile(hist, per_milles[i] / 10.0);

		CU_ASSERT(told >= truth);
		CU_ASSERT(told - truth <= truth / 64);
		CU_ASSERT(told <= hist->max);
	}
	CU_ASSERT_EQUAL(hist->min, values[0]);
	CU_ASSERT_EQUAL(quoll_hist_percentile(hist, 100), values[NR_VALUES - 1]);
	free(values);
	free(hist);
}

static void percentiles_are_within_a_64th_of_the_truth(void)
{
	check_percentiles(0);
	check_percentiles(20);
	check_percentiles(44);
	check_percentiles(58);
}

static void small_values_are_exact(void)
{
	struct quoll_hist *hist = malloc(sizeof(*hist));

	CU_ASSERT_FATAL(hist != NULL);
	quoll_hist_reset(hist);
	for (uint64_t v = 1; v <= 100; v++)
		quoll_hist_record(hist, v);
	for (unsigned int p = 1; p <= 100; p++)
		CU_ASSERT_EQUAL(quoll_hist_percentile(hist, p), p);
	CU_ASSERT_EQUAL(quoll_hist_percentile(hist, 0), 1);
	CU_ASSERT_EQUAL(quoll_hist_percentile(hist, -5), 1);
	CU_ASSERT_EQUAL(quoll_hist_percentile(hist, 1e9), 100);
	CU_ASSERT_EQUAL(hist->sum, 5050);
	free(hist);
}

static void an_empty_histogram_says_zero(void)
{
	struct quoll_hist *hist = calloc(1, sizeof(*hist));

	CU_ASSERT_FATAL(hist != NULL);
	CU_ASSERT_EQUAL(quoll_hist_percentile(hist, 50), 0);
	free(hist);
}

static void merging_equals_recording_into_one(void)
{
	struct quoll_hist *parts = calloc(3, sizeof(*parts));

	CU_ASSERT_FATAL(parts != NULL);
	quoll_hist_reset(&parts[0]);
	quoll_hist_reset(&parts[1]);
	quoll_hist_reset(&parts[2]);
	for (int i = 0; i < 1000; i++) {
		uint64_t v = random64() >> 30;

		quoll_hist_record(&parts[i % 2], v);
		quoll_hist_record(&parts[2], v);
	}
	quoll_hist_merge(&parts[0], &parts[1]);
	CU_ASSERT_EQUAL(memcmp(&parts[0], &parts[2], sizeof(parts[0])), 0);
	/* Into and from an empty one. */
	memset(&parts[1], 0, sizeof(parts[1]));
	quoll_hist_merge(&parts[0], &parts[1]);
	CU_ASSERT_EQUAL(memcmp(&parts[0], &parts[2], sizeof(parts[0])), 0);
	quoll_hist_merge(&parts[1], &parts[0]);
	CU_ASSERT_EQUAL(memcmp(&parts[1], &parts[2], sizeof(parts[0])), 0);
	free(parts);
}

static const struct unit_test tests[] = {
	{"every value has a bucket and buckets ascend", every_value_has_a_bucket_and_buckets_ascend},
	{"percentiles are within a 64th of the truth", percentiles_are_within_a_64th_of_the_truth},
	{"small values are exact", small_values_are_exact},
	{"an empty histogram says zero", an_empty_histogram_says_zero},
	{"merging equals recording into one", merging_equals_recording_into_one},
};

UNIT_MAIN("histogram", tests)
