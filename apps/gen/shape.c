/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shape.c - see shape.h.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nvme/random.h"

#include "shape.h"

#define MAX_STEP_SECONDS 3600.0
#define TWO_TO_32 4294967296.0L

static const struct {
	const char *name;
	enum shape_unit unit;
	double factor;
} units[] = {
	{"pps", SHAPE_PPS, 1},	    {"kpps", SHAPE_PPS, 1e3},	{"Mpps", SHAPE_PPS, 1e6},
	{"Gpps", SHAPE_PPS, 1e9},   {"bit/s", SHAPE_BPS, 1},	{"kbit/s", SHAPE_BPS, 1e3},
	{"Mbit/s", SHAPE_BPS, 1e6}, {"Gbit/s", SHAPE_BPS, 1e9}, {"%", SHAPE_PERCENT, 1},
};

int shape_parse_rate(const char *text, struct shape_rate *rate)
{
	char *end;

	if (!strcmp(text, "max")) {
		*rate = (struct shape_rate){SHAPE_UNLIMITED, 0};
		return 0;
	}
	/* strtod() knows more than numbers: signs, "inf", hexadecimal. */
	if (!strchr("0123456789.", text[0]) || !text[0] || strpbrk(text, "xX"))
		return -EINVAL;
	rate->value = strtod(text, &end);
	if (!(rate->value > 0) || isinf(rate->value))
		return -EINVAL;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (!strcmp(end, units[i].name)) {
			rate->unit = units[i].unit;
			rate->value *= units[i].factor;
			return rate->unit == SHAPE_PERCENT && rate->value > 100 ? -EINVAL : 0;
		}
	return -EINVAL;
}

int shape_pace(const struct shape_rate *rate, uint64_t tick_hz, uint32_t mbit_per_s, struct shape_pace *pace)
{
	double bits_per_s = rate->unit == SHAPE_BPS ? rate->value : rate->value / 100 * mbit_per_s * 1e6;

	memset(pace, 0, sizeof(*pace));
	if (rate->unit == SHAPE_UNLIMITED)
		return 0;
	if (rate->unit == SHAPE_PPS) {
		if (1 / rate->value > MAX_STEP_SECONDS)
			return -ERANGE;
		pace->per_frame = (unsigned __int128)((long double)tick_hz * TWO_TO_32 / rate->value);
		return 0;
	}
	if (!(bits_per_s > 0))
		return -ENOTSUP;
	if (8 * SHAPE_MAX_SIZE / bits_per_s > MAX_STEP_SECONDS)
		return -ERANGE;
	pace->per_byte = (unsigned __int128)((long double)tick_hz * 8 * TWO_TO_32 / bits_per_s);
	if (rate->unit == SHAPE_PERCENT)
		pace->per_frame = pace->per_byte * SHAPE_GAP_BYTES;
	return 0;
}

/* Digits only. Return: where they end, NULL if there are none or the number is none of ours. */
static const char *parse_number(const char *text, unsigned long *value)
{
	char *end;

	if (!strchr("0123456789", text[0]) || !text[0])
		return NULL;
	*value = strtoul(text, &end, 10);
	return end;
}

static bool size_ok(unsigned long size)
{
	return size >= SHAPE_MIN_SIZE && size <= SHAPE_MAX_SIZE;
}

/* The same order with every run. */
static void mix(uint16_t *sizes, size_t nr)
{
	struct random r = {1};

	for (size_t i = nr; i > 1; i--) {
		size_t k = (size_t)random_below(&r, i);
		uint16_t size = sizes[k];

		sizes[k] = sizes[i - 1];
		sizes[i - 1] = size;
	}
}

static int fill_range(unsigned long from, unsigned long to, uint16_t *sizes)
{
	int nr = 0;

	if (!size_ok(from) || !size_ok(to) || from > to)
		return -ERANGE;
	for (unsigned long size = from; size <= to; size++)
		sizes[nr++] = (uint16_t)size;
	return nr;
}

static int fill_weights(const char *text, uint16_t *sizes)
{
	unsigned long size, weight;
	int nr = 0;

	for (;;) {
		text = parse_number(text, &size);
		if (!text || *text++ != ':')
			return -EINVAL;
		text = parse_number(text, &weight);
		if (!text)
			return -EINVAL;
		if (!size_ok(size) || !weight || weight > SHAPE_MAX_SIZES - (unsigned long)nr)
			return -ERANGE;
		while (weight--)
			sizes[nr++] = (uint16_t)size;
		if (!*text)
			return nr;
		if (*text++ != ',')
			return -EINVAL;
	}
}

static int fill_sizes(const char *text, uint16_t *sizes)
{
	unsigned long from, to;
	const char *end = parse_number(text, &from);

	if (end && !*end)
		return fill_range(from, from, sizes);
	if (end && *end == '-') {
		end = parse_number(end + 1, &to);
		return end && !*end ? fill_range(from, to, sizes) : -EINVAL;
	}
	return fill_weights(strcmp(text, "imix") ? text : SHAPE_IMIX, sizes);
}

int shape_parse_sizes(const char *text, uint16_t **sizes)
{
	uint16_t *list = calloc(SHAPE_MAX_SIZES, sizeof(*list));
	int nr;

	if (!list)
		return -ENOMEM;
	nr = fill_sizes(text, list);
	if (nr <= 0) {
		free(list);
		return nr;
	}
	mix(list, (size_t)nr);
	*sizes = list;
	return nr;
}
