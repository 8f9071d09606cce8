/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pace.h - how often something is told that may happen without end, as when a peer flaps: a few times at once, then
 * once a second. What was not told is counted, so that the next line can say how much it stands for.
 */
#ifndef QUOLL_PACE_H
#define QUOLL_PACE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define QUOLL_PACE_NS UINT64_C(1000000000)
#define QUOLL_PACE_AT_ONCE 4u

/**
 * struct quoll_pace - of one kind of event; zeroed to begin with, used by one thread at a time
 * @nr_untold: events that no line was written for; whoever sees them adds them
 */
struct quoll_pace {
	uint32_t nr_untold;
	/* private: */
	uint64_t next_ns;
};

/**
 * quoll_pace_take() - is there a line to be written?
 * @now_ns: of a clock that does not go back
 *
 * Return: how many events it stands for, which count as told now; 0: nothing has happened, or it is too soon.
 */
static inline uint32_t quoll_pace_take(struct quoll_pace *pace, uint64_t now_ns)
{
	uint32_t nr = pace->nr_untold;

	/* Each line moves the time on by its share, from which we may be as far ahead as the first few. */
	if (!nr || pace->next_ns > now_ns + (QUOLL_PACE_AT_ONCE - 1) * QUOLL_PACE_NS)
		return 0;
	pace->next_ns = (pace->next_ns > now_ns ? pace->next_ns : now_ns) + QUOLL_PACE_NS;
	pace->nr_untold = 0;
	return nr;
}

#ifdef __cplusplus
}
#endif
#endif
