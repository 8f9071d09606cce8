/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_cores.c - lists of cores.
 */
#include <errno.h>

#include "quoll/cores.h"

#include "unit.h"

static void core_lists_are_numbers_and_ranges(void)
{
	unsigned int cores[8];

	CU_ASSERT_EQUAL(cores_parse("3", cores, 8), 1);
	CU_ASSERT_EQUAL(cores[0], 3);
	CU_ASSERT_EQUAL(cores_parse("7,0-2,7", cores, 8), 5);
	CU_ASSERT(cores[0] == 7 && cores[1] == 0 && cores[2] == 1 && cores[3] == 2 && cores[4] == 7);
	CU_ASSERT_EQUAL(cores_parse("0-7", cores, 8), 8);
	CU_ASSERT_EQUAL(cores_parse("4095", cores, 8), 1);
}

static void core_lists_that_are_none_are_refused(void)
{
	static const char *const wrong[] = {"", ",", "1,", "1-", "-1", "2-1", "1 2", "a", "1,,2", "1-2-3", "+1"};
	unsigned int cores[8];

	for (unsigned int i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		CU_ASSERT_EQUAL(cores_parse(wrong[i], cores, 8), -EINVAL);
	CU_ASSERT_EQUAL(cores_parse("0-8", cores, 8), -ERANGE);
	CU_ASSERT_EQUAL(cores_parse("0-7,8", cores, 8), -ERANGE);
	CU_ASSERT_EQUAL(cores_parse("4096", cores, 8), -ERANGE);
	CU_ASSERT_EQUAL(cores_parse("0-18446744073709551616", cores, 8), -ERANGE);
	CU_ASSERT_EQUAL(cores_parse("99999999999999999999", cores, 8), -ERANGE);
}

static const struct unit_test tests[] = {
	{"core lists are numbers and ranges", core_lists_are_numbers_and_ranges},
	{"core lists that are none are refused", core_lists_that_are_none_are_refused},
};

UNIT_MAIN("lists of cores", tests)
