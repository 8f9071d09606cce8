/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ranges.h - a set of addresses, as ranges that neither overlap nor touch, in their order. Pure bookkeeping.
 *
 * Its memory is mapped once, and nothing is allocated or freed later: see watch.c for why.
 */
#ifndef QUOLL_EAL_STREAM_RANGES_H
#define QUOLL_EAL_STREAM_RANGES_H

#include <stdbool.h>
#include <stdint.h>

struct range {
	uintptr_t first;
	uintptr_t end;
};

struct ranges {
	struct range *at; /* 2 * max, as what is taken out of the middle of one leaves two */
	uint32_t nr;
	uint32_t max;
};

/* Return: 0, -ENOMEM. */
int ranges_init(struct ranges *ranges, uint32_t max);
void ranges_fini(struct ranges *ranges);

/* Return: false, and nothing has changed: it would be more than max. */
bool ranges_add(struct ranges *ranges, uintptr_t first, uintptr_t end);
/* Where there is no room for the two that one becomes it stays one. */
void ranges_remove(struct ranges *ranges, uintptr_t first, uintptr_t end);

#endif
