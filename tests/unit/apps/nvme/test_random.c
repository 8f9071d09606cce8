/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_random.c - random places and data.
 */
#include "nvme/random.h"

#include "unit.h"

static void the_generator_is_splitmix64(void)
{
	struct random r = {.state = 1234567};

	/* published sequence of splitmix64 for this seed */
	CU_ASSERT_EQUAL(random_next(&r), 6457827717110365317u);
	CU_ASSERT_EQUAL(random_next(&r), 3203168211198807973u);
	CU_ASSERT_EQUAL(random_next(&r), 9817491932198370423u);
}

static void the_whole_range_is_covered_and_nothing_beyond(void)
{
	CU_ASSERT_EQUAL(random_scale(0, 1000), 0);
	CU_ASSERT_EQUAL(random_scale(UINT64_MAX, 1000), 999);
	CU_ASSERT_EQUAL(random_scale(UINT64_MAX, 1), 0);
	CU_ASSERT_EQUAL(random_scale(UINT64_MAX, UINT64_MAX), UINT64_MAX - 1);
	CU_ASSERT_EQUAL(random_scale(1ull << 63, 1000), 500);
}

static void each_place_is_met_about_as_often(void)
{
	struct random r = {.state = 1};
	unsigned int counts[7] = {0};

	for (unsigned int i = 0; i < 70000; i++)
		counts[random_below(&r, 7)]++;
	for (unsigned int i = 0; i < 7; i++)
		CU_ASSERT(counts[i] > 9500 && counts[i] < 10500);
}

static void data_of_any_length_is_filled_and_nothing_after_it(void)
{
	uint8_t data[32];

	for (size_t len = 0; len < sizeof(data); len++) {
		struct random r = {.state = 5};

		memset(data, 0, sizeof(data));
		random_fill(&r, data, len);
		for (size_t i = len; i < sizeof(data); i++)
			CU_ASSERT_EQUAL(data[i], 0);
		if (len >= 8)
			CU_ASSERT(data[0] | data[1] | data[2] | data[3]);
	}
}

static const struct unit_test tests[] = {
	{"the generator is splitmix64", the_generator_is_splitmix64},
	{"the whole range is covered and nothing beyond", the_whole_range_is_covered_and_nothing_beyond},
	{"each place is met about as often", each_place_is_met_about_as_often},
	{"data of any length is filled, and nothing after it", data_of_any_length_is_filled_and_nothing_after_it},
};

UNIT_MAIN("random places and data", tests)
