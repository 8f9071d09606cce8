/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_maps.c - the table of mappings: found by any address in them, kept in order whatever order they come in.
 */
#include "backend/maps.h"
#include "unit.h"

#define NR 200u /* more than the table grows by */
#define STEP 0x10000u
#define LEN 0x1000u

static void add(struct ioas_maps *maps, quoll_iova_t iova)
{
	struct ioas_mapping m = {.iova = iova, .len_bytes = LEN};

	CU_ASSERT_EQUAL_FATAL(maps_reserve(maps), 0);
	maps_insert(maps, &m);
}

/* With gaps, and the highest one up to the end of the address space. */
static void fill(struct ioas_maps *maps)
{
	*maps = (struct ioas_maps){0};
	add(maps, UINT64_MAX - LEN + 1);
	for (unsigned int i = 0; i + 1 < NR; i++)
		add(maps, (i * 77 % (NR - 1) + 1) * (quoll_iova_t)STEP);
	CU_ASSERT_EQUAL_FATAL(maps->nr, NR);
}

static void mappings_are_kept_in_order(void)
{
	struct ioas_maps maps;

	fill(&maps);
	for (unsigned int i = 1; i < NR; i++)
		CU_ASSERT(map_last(&maps.at[i - 1]) < maps.at[i].iova);
	maps_free(&maps);
	CU_ASSERT(maps.nr == 0 && !maps.at);
}

static void what_holds_an_address_is_found_or_the_next(void)
{
	struct ioas_maps maps = {0};

	CU_ASSERT_EQUAL(maps_find(&maps, 0), 0);
	fill(&maps);
	CU_ASSERT_EQUAL(maps_find(&maps, 0), 0);
	for (unsigned int i = 0; i + 1 < NR; i++) {
		quoll_iova_t iova = (i + 1) * (quoll_iova_t)STEP;

		CU_ASSERT_EQUAL(maps_find(&maps, iova), i);
		CU_ASSERT_EQUAL(maps_find(&maps, iova + LEN - 1), i);
		CU_ASSERT_EQUAL(maps_find(&maps, iova + LEN), i + 1);
	}
	CU_ASSERT_EQUAL(maps_find(&maps, UINT64_MAX), NR - 1);
	maps_remove(&maps, NR - 1, NR);
	CU_ASSERT_EQUAL(maps_find(&maps, UINT64_MAX), NR - 1); /* behind the last */
	maps_free(&maps);
}

static void a_run_of_mappings_is_removed(void)
{
	struct ioas_maps maps;

	fill(&maps);
	maps_remove(&maps, 10, 20);
	CU_ASSERT_EQUAL(maps.nr, NR - 10);
	CU_ASSERT_EQUAL(maps.at[9].iova, 10 * STEP);
	CU_ASSERT_EQUAL(maps.at[10].iova, 21 * STEP);
	maps_remove(&maps, 5, 5);
	CU_ASSERT_EQUAL(maps.nr, NR - 10);
	maps_remove(&maps, 0, maps.nr);
	CU_ASSERT_EQUAL(maps.nr, 0);
	add(&maps, STEP);
	CU_ASSERT_EQUAL(maps.at[0].iova, STEP);
	maps_free(&maps);
}

static const struct unit_test tests[] = {
	{"mappings are kept in order", mappings_are_kept_in_order},
	{"what holds an address is found, or the next", what_holds_an_address_is_found_or_the_next},
	{"a run of mappings is removed", a_run_of_mappings_is_removed},
};

UNIT_MAIN("eal/backend/maps", tests)
