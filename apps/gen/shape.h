/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shape.h - what traffic looks like: how much of it, and frames of which sizes; from what a user types to what a hot
 * path takes without a division.
 */
#ifndef QUOLL_APPS_GEN_SHAPE_H
#define QUOLL_APPS_GEN_SHAPE_H

#include <stdbool.h>

#include <quoll/types.h>

#define SHAPE_FCS_BYTES 4u
#define SHAPE_GAP_BYTES 20u /* preamble and the gap between frames: on the line only */
#define SHAPE_MIN_SIZE 64u
#define SHAPE_MAX_SIZE 16128u
#define SHAPE_MAX_SIZES 65536u
#define SHAPE_IMIX "64:7,594:4,1518:1"

enum shape_unit {
	SHAPE_UNLIMITED,
	SHAPE_PPS,
	SHAPE_BPS,     /* bits of frames, FCS included */
	SHAPE_PERCENT, /* of the line, preamble and gap included */
};

struct shape_rate {
	enum shape_unit unit;
	double value;
};

/**
 * shape_parse_rate() - "max", "10Mpps", "2.5Gbit/s", "40%"
 * Return: 0, -EINVAL.
 */
int shape_parse_rate(const char *text, struct shape_rate *rate);

/**
 * struct shape_pace - ticks from one frame to the next, times 2^32
 */
struct shape_pace {
	unsigned __int128 per_frame;
	unsigned __int128 per_byte;
};

/**
 * shape_pace() - what a rate is in ticks
 * @mbit_per_s: of the line
 * Return: 0; -ENOTSUP: a percentage of a line that has no rate; -ERANGE: slower than a frame an hour.
 */
int shape_pace(const struct shape_rate *rate, uint64_t tick_hz, uint32_t mbit_per_s, struct shape_pace *pace);

/* Ticks times 2^32 that a frame of @size takes, FCS included. */
static inline unsigned __int128 shape_step(const struct shape_pace *pace, uint32_t size)
{
	return pace->per_frame + pace->per_byte * size;
}

/**
 * shape_parse_sizes() - "64", "64-1518" (each size once, mixed), "imix", "64:7,594:4,1518:1" (weights)
 * @sizes: to be freed with free(): in the order in which frames have them, over and over; FCS included
 * Return: how many; -EINVAL: malformed; -ERANGE: a size, or the number of them; -ENOMEM.
 */
int shape_parse_sizes(const char *text, uint16_t **sizes);

#endif
