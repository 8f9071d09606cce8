/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_shadow.c - what each block should hold.
 */
#include <errno.h>
#include <string.h>

#include "nvme/shadow.h"

#include "unit.h"

static void the_last_writer_wins(void)
{
	struct shadow shadow;

	CU_ASSERT_EQUAL_FATAL(shadow_open(&shadow, 10), 0);
	shadow_set(&shadow, 3, "old old ", 8);
	shadow_set(&shadow, 3, "new new ", 8);
	CU_ASSERT_TRUE(shadow_matches(&shadow, 3, "new new ", 8));
	CU_ASSERT_FALSE(shadow_matches(&shadow, 3, "old old ", 8));
	CU_ASSERT_FALSE(shadow_matches(&shadow, 3, "new nev ", 8));
	shadow_close(&shadow);
}

static void a_checksum_of_zero_counts_as_written(void)
{
	static const unsigned char zero_crc[] = {0x9d, 0x0a, 0xd9, 0x6d}; /* CRC-32 of these bytes is 0 */
	struct shadow shadow;
	uint64_t first;

	CU_ASSERT_EQUAL_FATAL(shadow_open(&shadow, 4), 0);
	shadow_set(&shadow, 2, zero_crc, 4);
	CU_ASSERT_EQUAL(shadow_next(&shadow, 0, 9, &first), 1);
	CU_ASSERT_EQUAL(first, 2);
	CU_ASSERT_TRUE(shadow_matches(&shadow, 2, zero_crc, 4));
	shadow_close(&shadow);
}

static void runs_are_found_and_cut_to_the_length_wanted(void)
{
	struct shadow shadow;
	uint64_t first;

	CU_ASSERT_EQUAL_FATAL(shadow_open(&shadow, 100), 0);
	CU_ASSERT_EQUAL(shadow_next(&shadow, 0, 10, &first), 0);
	for (uint64_t block = 20; block < 30; block++)
		shadow_set(&shadow, block, &block, sizeof(block));
	shadow_set(&shadow, 99, "x", 1);
	CU_ASSERT_EQUAL(shadow_next(&shadow, 0, 4, &first), 4);
	CU_ASSERT_EQUAL(first, 20);
	CU_ASSERT_EQUAL(shadow_next(&shadow, 24, 100, &first), 6);
	CU_ASSERT_EQUAL(first, 24);
	CU_ASSERT_EQUAL(shadow_next(&shadow, 30, 100, &first), 1);
	CU_ASSERT_EQUAL(first, 99);
	CU_ASSERT_EQUAL(shadow_next(&shadow, 100, 100, &first), 0);
	shadow_close(&shadow);
}

static void impossible_sizes_are_refused(void)
{
	struct shadow shadow = {0};

	CU_ASSERT_EQUAL(shadow_open(&shadow, 0), -EINVAL);
	CU_ASSERT_EQUAL(shadow_open(&shadow, UINT64_MAX), -EINVAL);
	CU_ASSERT(shadow_open(&shadow, 1ull << 60) < 0);
}

static const struct unit_test tests[] = {
	{"the last writer wins", the_last_writer_wins},
	{"a checksum of zero counts as written", a_checksum_of_zero_counts_as_written},
	{"runs are found, and cut to the length wanted", runs_are_found_and_cut_to_the_length_wanted},
	{"impossible sizes are refused", impossible_sizes_are_refused},
};

UNIT_MAIN("what each block should hold", tests)
