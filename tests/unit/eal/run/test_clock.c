/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_clock.c - ticks against the kernel's clock, and the conversions.
 */
#include <errno.h>
#include <stdlib.h>

#include <quoll/clock.h>

#include "unit.h"

static uint64_t raw_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint64_t distance(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

static void the_result_says_where_ticks_come_from(void)
{
	struct quoll_clock clock;
	int rc = quoll_clock_init(&clock);

	CU_ASSERT(rc == 0 || rc == -ENOTSUP);
	CU_ASSERT_EQUAL(clock.from_cpu, rc == 0);
	CU_ASSERT(clock.tick_hz >= 100000000);
	CU_ASSERT(clock.mult > 0);
	if (rc)
		CU_ASSERT_EQUAL(clock.tick_hz, 1000000000);
}

/* A frequency that is measured differs from one time to the next by some ppm. */
static void clocks_of_one_process_are_alike(void)
{
	struct quoll_clock one, two;

	for (unsigned int i = 0; i < 3; i++) {
		quoll_clock_init(&one);
		quoll_clock_init(&two);
		CU_ASSERT_EQUAL(one.tick_hz, two.tick_hz);
		CU_ASSERT_EQUAL(one.mult, two.mult);
		CU_ASSERT_EQUAL(one.shift, two.shift);
	}
}

/* The kernel's clock is read outside and inside of ours, so the true time lies between, whatever interrupts us. */
static void ticks_run_as_the_kernels_clock_does(void)
{
	struct quoll_clock clock;
	uint64_t before, after, inner0, inner1, t0, t1, ns;

	quoll_clock_init(&clock);
	before = raw_ns();
	t0 = quoll_ticks(&clock);
	inner0 = raw_ns();
	do
		inner1 = raw_ns();
	while (inner1 - inner0 < 50000000);
	t1 = quoll_ticks(&clock);
	after = raw_ns();
	ns = quoll_ticks_to_ns(&clock, t1 - t0);
	/* 0.2 %: a wrong unit or factor is far outside, a frequency that the hypervisor rounded inside. */
	CU_ASSERT(ns + ns / 500 >= inner1 - inner0);
	CU_ASSERT(ns - ns / 500 <= after - before);
}

static void conversions_are_each_others_inverse(void)
{
	struct quoll_clock clock;

	quoll_clock_init(&clock);
	for (uint64_t ns = 1; ns < 1000000000000000ull; ns = ns * 3 + 1) {
		uint64_t back = quoll_ticks_to_ns(&clock, quoll_ns_to_ticks(&clock, ns));

		CU_ASSERT(distance(back, ns) <= 2 + 2000000000u / clock.tick_hz);
	}
	/* A year of ticks does not overflow, and is a year to a few parts in 10^9. */
	CU_ASSERT(distance(quoll_ticks_to_ns(&clock, clock.tick_hz * 31536000), 31536000ull * 1000000000) <
		  31536000ull * 10);
}

static void a_system_clock_has_nanosecond_ticks(void)
{
	struct quoll_clock clock = {.tick_hz = 1000000000, .mult = 1u << 31, .shift = 31, .from_cpu = false};
	uint64_t before = raw_ns(), t = quoll_ticks(&clock);

	CU_ASSERT(t >= before && t <= raw_ns());
	CU_ASSERT_EQUAL(quoll_ticks_to_ns(&clock, 123456789), 123456789);
	CU_ASSERT_EQUAL(quoll_ns_to_ticks(&clock, 123456789), 123456789);
}

static const struct unit_test tests[] = {
	{"the result says where ticks come from", the_result_says_where_ticks_come_from},
	{"clocks of one process are alike", clocks_of_one_process_are_alike},
	{"ticks run as the kernel's clock does", ticks_run_as_the_kernels_clock_does},
	{"conversions are each other's inverse", conversions_are_each_others_inverse},
	{"a system clock has nanosecond ticks", a_system_clock_has_nanosecond_ticks},
};

UNIT_MAIN("clock", tests)
