/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_iova.c - the window search against an oracle that tries every address of a small space.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include <mem/iova.h>

#include "unit.h"

#define SPACE 192 /* addresses 0 .. SPACE - 1 in the oracle's world */
#define MAX_SETS 4
#define MAX_RANGES 6
#define ROUNDS 20000

static uint32_t seed = 2463534242u;

static uint32_t below(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed % n;
}

/* Ascending and disjoint, sometimes touching, sometimes none. */
static unsigned int random_ranges(struct quoll_iova_range *ranges)
{
	unsigned int nr = 0;
	uint64_t at = below(20);

	while (nr < MAX_RANGES && at < SPACE) {
		uint64_t last = at + below(SPACE / 3);

		ranges[nr].first = at;
		ranges[nr].last = last < SPACE ? last : SPACE - 1;
		at = ranges[nr++].last + 1 + (below(3) ? below(12) : 0);
		if (!below(5))
			break;
	}
	return nr;
}

struct world {
	unsigned int nr_sets;
	struct quoll_iova_range ranges[MAX_SETS][MAX_RANGES];
	struct quoll_iova_range holes[4];
	struct iova_set sets[MAX_SETS];
	struct iova_want want;
	bool usable[SPACE];
};

static bool in_set(const struct iova_set *set, uint64_t address)
{
	for (unsigned int i = 0; i < set->nr_ranges; i++)
		if (address >= set->ranges[i].first && address <= set->ranges[i].last)
			return true;
	return false;
}

static void make_world(struct world *w)
{
	w->nr_sets = 1 + below(MAX_SETS);
	for (unsigned int s = 0; s < w->nr_sets; s++)
		w->sets[s] = (struct iova_set){w->ranges[s], random_ranges(w->ranges[s])};
	w->want = (struct iova_want){
		.size_bytes = 1 + below(60),
		.align = 1ull << below(6),
		.lowest = below(40),
		.holes = w->holes,
		.nr_holes = below(5),
	};
	for (unsigned int h = 0; h < w->want.nr_holes; h++) {
		w->holes[h].first = below(SPACE);
		w->holes[h].last = w->holes[h].first + below(20);
	}
	for (uint64_t a = 0; a < SPACE; a++) {
		w->usable[a] = a >= w->want.lowest;
		for (unsigned int s = 0; s < w->nr_sets; s++)
			w->usable[a] &= in_set(&w->sets[s], a);
		for (unsigned int h = 0; h < w->want.nr_holes; h++)
			w->usable[a] &= a < w->holes[h].first || a > w->holes[h].last;
	}
}

static uint64_t run_from(const struct world *w, uint64_t a)
{
	uint64_t n = 0;

	while (a + n < SPACE && w->usable[a + n])
		n++;
	return n;
}

/* The lowest fit, or -1; *largest as iova_window_find() defines it. */
static int64_t oracle(const struct world *w, uint64_t *largest)
{
	*largest = 0;
	for (uint64_t a = 0; a < SPACE; a += w->want.align) {
		uint64_t n = run_from(w, a);

		if (n >= w->want.size_bytes)
			return (int64_t)a;
		n -= n % w->want.align;
		if (n > *largest)
			*largest = n;
	}
	return -1;
}

static void the_search_agrees_with_trying_every_address(void)
{
	unsigned int found = 0, refused = 0;

	for (int i = 0; i < ROUNDS; i++) {
		struct world w;
		uint64_t base = 0, largest, oracle_largest;
		int64_t truth;
		int rc;

		make_world(&w);
		truth = oracle(&w, &oracle_largest);
		rc = iova_window_find(w.sets, w.nr_sets, &w.want, &base, &largest);
		if (truth >= 0) {
			found++;
			CU_ASSERT_EQUAL_FATAL(rc, 0);
			CU_ASSERT_EQUAL_FATAL(base, (uint64_t)truth);
		} else {
			refused++;
			CU_ASSERT_EQUAL_FATAL(rc, -ERANGE);
			CU_ASSERT_EQUAL_FATAL(largest, oracle_largest);
		}
	}
	/* Both outcomes were really tried. */
	CU_ASSERT(found > ROUNDS / 10);
	CU_ASSERT(refused > ROUNDS / 10);
}

static void the_check_agrees_with_trying_every_address(void)
{
	unsigned int fits = 0;

	for (int i = 0; i < ROUNDS; i++) {
		struct world w;
		struct quoll_iova_range window;
		bool truth;

		make_world(&w);
		window.first = below(SPACE);
		window.last = window.first + below(10);
		truth = true;
		for (uint64_t a = window.first; a <= window.last; a++) {
			truth &= in_set(&w.sets[0], a);
			for (unsigned int h = 0; h < w.want.nr_holes; h++)
				truth &= a < w.holes[h].first || a > w.holes[h].last;
		}
		fits += truth;
		CU_ASSERT_EQUAL_FATAL(iova_window_check(&w.sets[0], w.holes, w.want.nr_holes, &window),
				      truth ? 0 : -ERANGE);
	}
	CU_ASSERT(fits > ROUNDS / 20);
}

static void an_aperture_of_39_bits_less_the_msi_window(void)
{
	static const struct quoll_iova_range ranges[] = {{0, 0xfedfffff}, {0xfef00000, (1ull << 39) - 1}};
	struct iova_set set = {ranges, 2};
	struct iova_want want = {.size_bytes = 64ull << 30, .align = 1ull << 30, .lowest = 4ull << 30};
	uint64_t base, largest;

	CU_ASSERT_EQUAL(iova_window_find(&set, 1, &want, &base, &largest), 0);
	CU_ASSERT_EQUAL(base, 4ull << 30);
	want.size_bytes = 1ull << 39;
	CU_ASSERT_EQUAL(iova_window_find(&set, 1, &want, &base, &largest), -ERANGE);
	CU_ASSERT_EQUAL(largest, 508ull << 30);
	/* From the bottom a window must still not lie across the MSI range. */
	want = (struct iova_want){.size_bytes = 4ull << 30, .align = 1ull << 20, .lowest = IOVA_LOWEST};
	CU_ASSERT_EQUAL(iova_window_find(&set, 1, &want, &base, &largest), 0);
	CU_ASSERT_EQUAL(base, 0xfef00000);
}

static void the_ends_of_64_bits_do_not_wrap(void)
{
	static const struct quoll_iova_range top = {UINT64_MAX - 0xfff, UINT64_MAX};
	static const struct quoll_iova_range all = {0, UINT64_MAX};
	struct iova_set set = {&top, 1};
	struct iova_want want = {.size_bytes = 0x1000, .align = 0x1000};
	uint64_t base, largest;

	CU_ASSERT_EQUAL(iova_window_find(&set, 1, &want, &base, &largest), 0);
	CU_ASSERT_EQUAL(base, UINT64_MAX - 0xfff);
	want.align = 0x2000;
	CU_ASSERT_EQUAL(iova_window_find(&set, 1, &want, &base, &largest), -ERANGE);
	CU_ASSERT_EQUAL(largest, 0);
	set.ranges = &all;
	want.size_bytes = UINT64_MAX;
	want.lowest = 1;
	CU_ASSERT_EQUAL(iova_window_find(&set, 1, &want, &base, &largest), -ERANGE);
	CU_ASSERT_EQUAL(largest, UINT64_MAX - 0x1fff);
	want.holes = &all;
	want.nr_holes = 1;
	CU_ASSERT_EQUAL(iova_window_find(&set, 1, &want, &base, &largest), -ERANGE);
	CU_ASSERT_EQUAL(largest, 0);
	CU_ASSERT_EQUAL(iova_window_check(&set, NULL, 0, &top), 0);
	CU_ASSERT_EQUAL(iova_window_check(&set, &top, 1, &top), -ERANGE);
}

static void nonsense_is_refused(void)
{
	static const struct quoll_iova_range backwards = {100, 50};
	struct iova_set set = {&backwards, 1};
	struct iova_want want = {.size_bytes = 0, .align = 1};
	uint64_t base, largest;

	CU_ASSERT_EQUAL(iova_window_find(&set, 1, &want, &base, &largest), -EINVAL);
	want = (struct iova_want){.size_bytes = 1, .align = 3};
	CU_ASSERT_EQUAL(iova_window_find(&set, 1, &want, &base, &largest), -EINVAL);
	want = (struct iova_want){.size_bytes = 1, .align = 0};
	CU_ASSERT_EQUAL(iova_window_find(&set, 1, &want, &base, &largest), -EINVAL);
	want = (struct iova_want){.size_bytes = 1, .align = 1};
	CU_ASSERT_EQUAL(iova_window_find(&set, 1, &want, &base, &largest), -ERANGE);
	set.nr_ranges = 0;
	CU_ASSERT_EQUAL(iova_window_find(&set, 1, &want, &base, &largest), -ERANGE);
}

static const struct unit_test tests[] = {
	{"the search agrees with trying every address", the_search_agrees_with_trying_every_address},
	{"the check agrees with trying every address", the_check_agrees_with_trying_every_address},
	{"an aperture of 39 bits less the MSI window", an_aperture_of_39_bits_less_the_msi_window},
	{"the ends of 64 bits do not wrap", the_ends_of_64_bits_do_not_wrap},
	{"nonsense is refused", nonsense_is_refused},
};

UNIT_MAIN("IOVA windows", tests)
