/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_shape.c - rates and sizes: what is understood, what is refused, what comes out in ticks.
 */
#include <errno.h>
#include <stdlib.h>

#include "gen/shape.h"
#include "unit.h"

static void rates_are_understood(void)
{
	static const struct {
		const char *text;
		enum shape_unit unit;
		double value;
	} right[] = {
		{"max", SHAPE_UNLIMITED, 0}, {"1pps", SHAPE_PPS, 1},	    {"14.88Mpps", SHAPE_PPS, 14.88e6},
		{"3kpps", SHAPE_PPS, 3e3},   {"10Gbit/s", SHAPE_BPS, 10e9}, {".5Mbit/s", SHAPE_BPS, .5e6},
		{"7bit/s", SHAPE_BPS, 7},    {"100%", SHAPE_PERCENT, 100},  {"0.1%", SHAPE_PERCENT, .1},
	};
	static const char *const wrong[] = {"",	      "10",	 "pps",	     "-1pps",	"0pps",
					    "infpps", "nan%",	 "101%",     "1mpps",	"1Mpps ",
					    " 1Mpps", "0x10pps", "1e999pps", "maximum", "+1pps"};
	struct shape_rate rate;

	for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
		CU_ASSERT_EQUAL(shape_parse_rate(right[i].text, &rate), 0);
		CU_ASSERT_EQUAL(rate.unit, right[i].unit);
		CU_ASSERT_DOUBLE_EQUAL(rate.value, right[i].value, right[i].value / 1e12);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		CU_ASSERT_EQUAL(shape_parse_rate(wrong[i], &rate), -EINVAL);
}

/* So many steps take a second, to a millionth. */
static void expect_pace(const char *text, uint32_t mbit_per_s, uint32_t size, double steps)
{
	struct shape_rate rate;
	struct shape_pace pace;
	double ticks;

	CU_ASSERT_EQUAL(shape_parse_rate(text, &rate), 0);
	CU_ASSERT_EQUAL(shape_pace(&rate, 2600000000u, mbit_per_s, &pace), 0);
	ticks = (double)shape_step(&pace, size) / 4294967296.0;
	CU_ASSERT_DOUBLE_EQUAL(ticks * steps, 2600000000.0, 2600.0);
}

static void paces_come_to_the_rate(void)
{
	expect_pace("1Mpps", 0, 64, 1e6);
	expect_pace("1Mpps", 0, 1518, 1e6);
	expect_pace("0.5pps", 0, 64, .5);
	expect_pace("10Gbit/s", 0, 1250, 1e6);
	expect_pace("100%", 10000, 64, 14880952.38); /* line rate of 10GBASE */
	expect_pace("100%", 1000, 1518, 81274.38);
	expect_pace("10%", 10000, 64, 1488095.238);
}

static void paces_that_cannot_be_are_refused(void)
{
	struct shape_rate rate = {SHAPE_PERCENT, 10};
	struct shape_pace pace;

	CU_ASSERT_EQUAL(shape_pace(&rate, 2600000000u, 0, &pace), -ENOTSUP);
	rate = (struct shape_rate){SHAPE_PPS, 1.0 / 7200};
	CU_ASSERT_EQUAL(shape_pace(&rate, 2600000000u, 0, &pace), -ERANGE);
	rate = (struct shape_rate){SHAPE_BPS, 1};
	CU_ASSERT_EQUAL(shape_pace(&rate, 2600000000u, 0, &pace), -ERANGE);
	rate = (struct shape_rate){SHAPE_UNLIMITED, 0};
	CU_ASSERT_EQUAL(shape_pace(&rate, 2600000000u, 0, &pace), 0);
	CU_ASSERT_TRUE(shape_step(&pace, 64) == 0);
}

/* Return: how many of that size. */
static int nr_of(const uint16_t *sizes, int nr, uint16_t size)
{
	int n = 0;

	for (int i = 0; i < nr; i++)
		n += sizes[i] == size;
	return n;
}

static void sizes_are_listed(void)
{
	uint16_t *sizes;
	int nr;

	CU_ASSERT_EQUAL(shape_parse_sizes("64", &sizes), 1);
	CU_ASSERT_EQUAL(sizes[0], 64);
	free(sizes);
	nr = shape_parse_sizes("64-1518", &sizes);
	CU_ASSERT_EQUAL(nr, 1455);
	for (uint16_t size = 64; size <= 1518; size++)
		CU_ASSERT_EQUAL(nr_of(sizes, nr, size), 1);
	free(sizes);
	nr = shape_parse_sizes("imix", &sizes);
	CU_ASSERT_EQUAL(nr, 12);
	CU_ASSERT_EQUAL(nr_of(sizes, nr, 64), 7);
	CU_ASSERT_EQUAL(nr_of(sizes, nr, 594), 4);
	CU_ASSERT_EQUAL(nr_of(sizes, nr, 1518), 1);
	free(sizes);
	nr = shape_parse_sizes("100:1,16128:65535", &sizes);
	CU_ASSERT_EQUAL(nr, 65536);
	CU_ASSERT_EQUAL(nr_of(sizes, nr, 100), 1);
	free(sizes);
}

static void sizes_that_make_no_sense_are_refused(void)
{
	static const struct {
		const char *text;
		int ret;
	} wrong[] = {
		{"", -EINVAL},		{"63", -ERANGE},       {"16129", -ERANGE},    {"99999999999999999999", -ERANGE},
		{"64-", -EINVAL},	{"100-64", -ERANGE},   {"64-1518x", -EINVAL}, {"64:", -EINVAL},
		{"64:0", -ERANGE},	{"64:65537", -ERANGE}, {"64:1,", -EINVAL},    {"64:65536,65:1", -ERANGE},
		{"64:1;65:1", -EINVAL}, {"-64", -EINVAL},      {"imixx", -EINVAL},    {"64:-1", -EINVAL},
	};
	uint16_t *sizes = NULL;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		CU_ASSERT_EQUAL(shape_parse_sizes(wrong[i].text, &sizes), wrong[i].ret);
	CU_ASSERT_PTR_NULL(sizes);
}

static const struct unit_test tests[] = {
	{"rates are understood, or refused", rates_are_understood},
	{"paces come to the rate", paces_come_to_the_rate},
	{"paces that cannot be are refused", paces_that_cannot_be_are_refused},
	{"sizes are listed, as often as they weigh", sizes_are_listed},
	{"sizes that make no sense are refused", sizes_that_make_no_sense_are_refused},
};

UNIT_MAIN("apps/gen/shape", tests)
