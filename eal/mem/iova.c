/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * iova.c - choosing a window of IOVAs that several address spaces have in common: arithmetic only, owns nothing.
 *
 * One sweep from the bottom: next_free() finds the next run of addresses that every set has and no hole covers; runs
 * that touch are joined; the first that takes an aligned window of the wanted size wins.
 */
#include <errno.h>
#include <stdbool.h>

#include "iova.h"

/* Narrow [lo, hi] to what the set has at or above lo, first range only. False if there is nothing. */
static bool narrow_to_set(const struct iova_set *set, struct quoll_iova_range *run)
{
	for (unsigned int i = 0; i < set->nr_ranges; i++) {
		const struct quoll_iova_range *r = &set->ranges[i];

		if (r->last < run->first || r->first > r->last)
			continue;
		if (r->first > run->first)
			run->first = r->first;
		if (r->last < run->last)
			run->last = r->last;
		return true;
	}
	return false;
}

/* Step out of holes and stop before the next one. False if the holes reach to the end of all addresses. */
static bool narrow_by_holes(const struct iova_want *want, struct quoll_iova_range *run)
{
	for (unsigned int i = 0; i < want->nr_holes;) {
		const struct quoll_iova_range *h = &want->holes[i++];

		if (run->first < h->first || run->first > h->last)
			continue;
		if (h->last == UINT64_MAX)
			return false;
		run->first = h->last + 1;
		i = 0; /* an earlier hole may begin right here */
	}
	for (unsigned int i = 0; i < want->nr_holes; i++) {
		const struct quoll_iova_range *h = &want->holes[i];

		if (h->first <= h->last && h->first > run->first && h->first - 1 < run->last)
			run->last = h->first - 1;
	}
	return true;
}

/* The next run at or above from; it may end early, the rest then comes with the next call. */
static bool next_free(const struct iova_set *sets, unsigned int nr_sets, const struct iova_want *want, uint64_t from,
		      struct quoll_iova_range *run)
{
	for (;;) {
		run->first = from;
		run->last = UINT64_MAX;
		for (unsigned int i = 0; i < nr_sets; i++)
			if (!narrow_to_set(&sets[i], run))
				return false;
		if (!narrow_by_holes(want, run))
			return false;
		/* Some set or hole pushed the start beyond the end of another set's range: again from there. */
		if (run->first <= run->last)
			return true;
		from = run->first;
	}
}

/* The aligned part of a run: where it starts and how much fits, a multiple of align. */
static uint64_t aligned_room(const struct quoll_iova_range *run, uint64_t align, uint64_t *base)
{
	uint64_t start = (run->first + align - 1) & ~(align - 1);
	uint64_t room;

	if (start < run->first || start > run->last)
		return 0;
	*base = start;
	room = run->last - start;
	if (room == UINT64_MAX) /* all 64 bits: one byte short of what cannot be said */
		return room & ~(align - 1);
	return (room + 1) & ~(align - 1);
}

/* Like aligned_room() for a given size, which need not be a multiple of align. */
static bool run_takes(const struct quoll_iova_range *run, const struct iova_want *want, uint64_t *base)
{
	uint64_t start = (run->first + want->align - 1) & ~(want->align - 1);

	if (start < run->first || start > run->last || run->last - start < want->size_bytes - 1)
		return false;
	*base = start;
	return true;
}

int iova_window_find(const struct iova_set *sets, unsigned int nr_sets, const struct iova_want *want, uint64_t *base,
		     uint64_t *largest)
{
	struct quoll_iova_range run, next;
	uint64_t unused;
	bool more;

	*largest = 0;
	if (!want->size_bytes || !want->align || (want->align & (want->align - 1)))
		return -EINVAL;
	more = next_free(sets, nr_sets, want, want->lowest, &run);
	while (more) {
		for (;;) {
			more = run.last != UINT64_MAX && next_free(sets, nr_sets, want, run.last + 1, &next);
			if (!more || next.first != run.last + 1)
				break;
			run.last = next.last;
		}
		if (run_takes(&run, want, base))
			return 0;
		if (aligned_room(&run, want->align, &unused) > *largest)
			*largest = aligned_room(&run, want->align, &unused);
		run = next;
	}
	return -ERANGE;
}

int iova_window_check(const struct iova_set *set, const struct quoll_iova_range *holes, unsigned int nr_holes,
		      const struct quoll_iova_range *window)
{
	struct iova_want want = {.holes = holes, .nr_holes = nr_holes};
	struct quoll_iova_range run;
	uint64_t from = window->first;

	/* Runs that touch cover the window together. */
	for (;;) {
		if (!next_free(set, 1, &want, from, &run) || run.first != from)
			return -ERANGE;
		if (run.last >= window->last)
			return 0;
		from = run.last + 1;
	}
}
