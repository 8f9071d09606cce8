/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_pages.c - runs of pages: never handed out twice, found wherever they are, at all sizes around a word of bits.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stream/pages.h"
#include "unit.h"

static void all_pages_are_handed_out_one_by_one(void)
{
	static const uint32_t sizes[] = {1, 2, 63, 64, 65, 127, 128, 129, 1000};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct page_runs runs;
		uint32_t first;

		CU_ASSERT_EQUAL_FATAL(page_runs_init(&runs, sizes[i]), 0);
		for (uint32_t n = 0; n < sizes[i]; n++) {
			CU_ASSERT_TRUE_FATAL(page_runs_take(&runs, 1, &first));
			CU_ASSERT_EQUAL(first, n);
		}
		CU_ASSERT_FALSE(page_runs_take(&runs, 1, &first));
		page_runs_give(&runs, sizes[i] / 2, 1);
		CU_ASSERT_TRUE(page_runs_take(&runs, 1, &first));
		CU_ASSERT_EQUAL(first, sizes[i] / 2);
		page_runs_fini(&runs);
	}
}

static void a_run_is_not_made_of_pieces(void)
{
	struct page_runs runs;
	uint32_t first;

	CU_ASSERT_EQUAL_FATAL(page_runs_init(&runs, 256), 0);
	CU_ASSERT_TRUE_FATAL(page_runs_take(&runs, 256, &first));
	page_runs_give(&runs, 10, 5);
	page_runs_give(&runs, 60, 70);
	page_runs_give(&runs, 251, 5);
	CU_ASSERT_FALSE(page_runs_take(&runs, 71, &first));
	CU_ASSERT_TRUE(page_runs_take(&runs, 70, &first));
	CU_ASSERT_EQUAL(first, 60);
	/* not round the end */
	CU_ASSERT_FALSE(page_runs_take(&runs, 10, &first));
	CU_ASSERT_TRUE(page_runs_take(&runs, 5, &first));
	CU_ASSERT_EQUAL(first, 251);
	page_runs_fini(&runs);
}

static void what_was_given_back_is_not_taken_next(void)
{
	struct page_runs runs;
	uint32_t first;

	CU_ASSERT_EQUAL_FATAL(page_runs_init(&runs, 8), 0);
	CU_ASSERT_TRUE(page_runs_take(&runs, 2, &first));
	page_runs_give(&runs, first, 2);
	CU_ASSERT_TRUE(page_runs_take(&runs, 2, &first));
	CU_ASSERT_EQUAL(first, 2);
	page_runs_fini(&runs);
}

#define NR 700

/* Against a byte a page. */
static bool has_run(const uint8_t *used, uint32_t n)
{
	for (uint32_t at = 0, len = 0; at < NR; at++) {
		len = used[at] ? 0 : len + 1;
		if (len == n)
			return true;
	}
	return false;
}

static void random_runs_are_as_a_simple_model_has_them(void)
{
	struct run {
		uint32_t first, n;
	} held[NR];
	uint8_t used[NR] = {0};
	struct page_runs runs;
	unsigned int seed = 7, nr_held = 0, refused = 0;

	CU_ASSERT_EQUAL_FATAL(page_runs_init(&runs, NR), 0);
	for (int i = 0; i < 20000; i++) {
		uint32_t n = 1 + (uint32_t)rand_r(&seed) % (i % 7 ? 12 : 150), first;

		if (rand_r(&seed) % 9 < 5) {
			if (!page_runs_take(&runs, n, &first)) {
				CU_ASSERT_FALSE(has_run(used, n));
				refused++;
				continue;
			}
			CU_ASSERT_TRUE_FATAL(first + n <= NR);
			for (uint32_t at = first; at < first + n; at++)
				CU_ASSERT_FALSE(used[at]++);
			held[nr_held++] = (struct run){first, n};
		} else if (nr_held) {
			struct run *r = &held[(unsigned int)rand_r(&seed) % nr_held];

			memset(used + r->first, 0, r->n);
			page_runs_give(&runs, r->first, r->n);
			*r = held[--nr_held];
		}
	}
	CU_ASSERT(refused > 100);
	while (nr_held--)
		page_runs_give(&runs, held[nr_held].first, held[nr_held].n);
	CU_ASSERT_EQUAL(runs.nr_free, NR);
	CU_ASSERT_TRUE(page_runs_take(&runs, NR, &held[0].first));
	page_runs_fini(&runs);
}

static void sizes_that_make_no_sense_are_refused(void)
{
	struct page_runs runs;
	uint32_t first;

	CU_ASSERT_EQUAL(page_runs_init(&runs, 0), -EINVAL);
	CU_ASSERT_EQUAL(page_runs_init(&runs, STREAM_MAX_PAGES + 1ull), -EINVAL);
	CU_ASSERT_EQUAL_FATAL(page_runs_init(&runs, 4), 0);
	CU_ASSERT_FALSE(page_runs_take(&runs, (1ull << 32) + 1, &first));
	CU_ASSERT_FALSE(page_runs_take(&runs, UINT64_MAX, &first));
	page_runs_fini(&runs);
}

static const struct unit_test tests[] = {
	{"all pages are handed out one by one", all_pages_are_handed_out_one_by_one},
	{"a run is not made of pieces", a_run_is_not_made_of_pieces},
	{"what was given back is not taken next", what_was_given_back_is_not_taken_next},
	{"random runs are as a simple model has them", random_runs_are_as_a_simple_model_has_them},
	{"sizes that make no sense are refused", sizes_that_make_no_sense_are_refused},
};

UNIT_MAIN("eal/stream/pages", tests)
