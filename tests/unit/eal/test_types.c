/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_types.c - what the types' header computes.
 */
#include <quoll/types.h>

#include "unit.h"

static void powers_of_two_are_rounded_up_to(void)
{
	CU_ASSERT_EQUAL(quoll_round_up_pow2(0), 1);
	CU_ASSERT_EQUAL(quoll_round_up_pow2(1), 1);
	for (unsigned int shift = 1; shift < 32; shift++) {
		uint32_t power = UINT32_C(1) << shift;

		CU_ASSERT_EQUAL(quoll_round_up_pow2(power), power);
		CU_ASSERT_EQUAL(quoll_round_up_pow2(power / 2 + 1), power);
		CU_ASSERT_EQUAL(quoll_round_up_pow2(power - (shift > 1)), power);
	}
}

static const struct unit_test tests[] = {
	{"powers of two are rounded up to", powers_of_two_are_rounded_up_to},
};

UNIT_MAIN("eal/types", tests)
