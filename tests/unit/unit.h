/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * unit.h - a CUnit program in one table: list the tests, call unit_main().
 */
#ifndef QUOLL_TESTS_UNIT_H
#define QUOLL_TESTS_UNIT_H

#include <stdio.h>

#include <CUnit/Basic.h>

struct unit_test {
	const char *behaviour;
	void (*run)(void);
};

/* Why the test that runs can't be run here, and is no more than that; test.sh reports it as skipped. */
static inline void unit_skip(const char *reason)
{
	printf("skipped: %s ", reason);
}

/* Run every test of the table and print CUnit's summary. Return: 0 if all passed, else 1, for main(). */
static inline int unit_main(const char *area, const struct unit_test *tests, size_t nr_tests)
{
	CU_pSuite suite;
	unsigned int failures;

	if (CU_initialize_registry() != CUE_SUCCESS)
		return 1;
	suite = CU_add_suite(area, NULL, NULL);
	for (size_t i = 0; suite && i < nr_tests; i++)
		if (!CU_add_test(suite, tests[i].behaviour, tests[i].run))
			suite = NULL;
	if (!suite) {
		CU_cleanup_registry();
		return 1;
	}
	CU_basic_set_mode(CU_BRM_VERBOSE);
	CU_basic_run_tests();
	failures = CU_get_number_of_failures() + (CU_get_number_of_tests_run() != nr_tests);
	CU_cleanup_registry();
	return failures ? 1 : 0;
}

#define UNIT_MAIN(area, tests)                                                                                         \
	int main(void)                                                                                                 \
	{                                                                                                              \
		return unit_main(area, tests, sizeof(tests) / sizeof((tests)[0]));                                     \
	}

#endif
