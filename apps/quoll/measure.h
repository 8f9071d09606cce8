/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * measure.h - what verbs that count the cost of calls share: the cost of reading the clock itself.
 */
#ifndef QUOLL_APPS_MEASURE_H
#define QUOLL_APPS_MEASURE_H

#include <quoll/clock.h>

/* The least of many back-to-back readings: what measuring an interval adds to it. */
static inline uint64_t measure_timer_ticks(const struct quoll_clock *clock)
{
	uint64_t least = UINT64_MAX;

	for (unsigned int i = 0; i < 1000; i++) {
		uint64_t a = quoll_ticks(clock), b = quoll_ticks(clock);

		if (b - a < least)
			least = b - a;
	}
	return least;
}

/* An amount of ticks that was measured in @nr_intervals pieces, without what the measuring added. */
static inline uint64_t measure_net_ticks(uint64_t ticks, uint64_t nr_intervals, uint64_t timer_ticks)
{
	uint64_t cost = nr_intervals * timer_ticks;

	return ticks > cost ? ticks - cost : 0;
}

#endif
