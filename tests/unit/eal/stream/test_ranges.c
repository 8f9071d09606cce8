/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_ranges.c - a set of ranges against a table with a bit for each address.
 */
#include <stdlib.h>
#include <string.h>

#include "stream/ranges.h"
#include "unit.h"

#define NR_ADDRESSES 256u

static bool same(const struct ranges *ranges, const bool *table)
{
	uint32_t at = 0;
	uintptr_t va = 0;

	while (va < NR_ADDRESSES) {
		uintptr_t first = va;

		if (!table[va++])
			continue;
		while (va < NR_ADDRESSES && table[va])
			va++;
		if (at == ranges->nr || ranges->at[at].first != first || ranges->at[at].end != va)
			return false;
		at++;
	}
	return at == ranges->nr;
}

static void ranges_are_those_of_a_table(void)
{
	bool table[NR_ADDRESSES] = {false};
	unsigned int seed = 5, wrong = 0;
	struct ranges ranges;

	CU_ASSERT_EQUAL_FATAL(ranges_init(&ranges, NR_ADDRESSES), 0);
	for (unsigned int i = 0; i < 50000; i++) {
		uintptr_t first = (uintptr_t)rand_r(&seed) % NR_ADDRESSES;
		uintptr_t end = first + 1 + (uintptr_t)rand_r(&seed) % (i % 64 ? 8 : NR_ADDRESSES);
		bool add = rand_r(&seed) % 2;

		end = end < NR_ADDRESSES ? end : NR_ADDRESSES;
		memset(table + first, add, end - first);
		if (!add)
			ranges_remove(&ranges, first, end);
		else if (!ranges_add(&ranges, first, end))
			wrong++;
		wrong += !same(&ranges, table);
	}
	CU_ASSERT_EQUAL(wrong, 0);
	ranges_fini(&ranges);
}

static void there_are_so_many_and_no_more(void)
{
	struct ranges ranges;

	CU_ASSERT_EQUAL_FATAL(ranges_init(&ranges, 4), 0);
	for (uintptr_t i = 0; i < 4; i++)
		CU_ASSERT_TRUE(ranges_add(&ranges, 100 * i, 100 * i + 50));
	CU_ASSERT_FALSE(ranges_add(&ranges, 1000, 1001));
	CU_ASSERT_EQUAL(ranges.nr, 4);
	/* what makes one larger has room */
	CU_ASSERT_TRUE(ranges_add(&ranges, 350, 360));
	/* one becomes two, up to twice as many; then it stays one */
	for (uintptr_t i = 0; i < 4; i++)
		ranges_remove(&ranges, 100 * i + 20, 100 * i + 21);
	CU_ASSERT_EQUAL(ranges.nr, 8);
	ranges_remove(&ranges, 10, 11);
	CU_ASSERT_EQUAL(ranges.nr, 8);
	CU_ASSERT_EQUAL(ranges.at[0].end, 20);
	ranges_remove(&ranges, 0, UINTPTR_MAX);
	CU_ASSERT_EQUAL(ranges.nr, 0);
	ranges_fini(&ranges);
}

static const struct unit_test tests[] = {
	{"ranges are those of a table", ranges_are_those_of_a_table},
	{"there are so many and no more", there_are_so_many_and_no_more},
};

UNIT_MAIN("eal/stream/ranges", tests)
