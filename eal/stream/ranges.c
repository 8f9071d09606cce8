/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ranges.c - a set of addresses in a sorted array.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "stream/ranges.h"

static uint64_t array_bytes(uint32_t max)
{
	return 2 * (uint64_t)max * sizeof(struct range);
}

int ranges_init(struct ranges *ranges, uint32_t max)
{
	void *at = mmap(NULL, array_bytes(max), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		return -ENOMEM;
	*ranges = (struct ranges){.at = at, .max = max};
	return 0;
}

void ranges_fini(struct ranges *ranges)
{
	if (ranges->at)
		munmap(ranges->at, array_bytes(ranges->max));
	*ranges = (struct ranges){0};
}

/* The first that ends at @va or behind it. */
static uint32_t find(const struct ranges *ranges, uintptr_t va)
{
	uint32_t low = 0, high = ranges->nr;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (ranges->at[middle].end < va)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Those from @from up to @to become @n in @with. */
static void replace(struct ranges *ranges, uint32_t from, uint32_t to, const struct range *with, uint32_t n)
{
	memmove(&ranges->at[from + n], &ranges->at[to], (ranges->nr - to) * sizeof(*ranges->at));
	memcpy(&ranges->at[from], with, n * sizeof(*with));
	ranges->nr = ranges->nr - (to - from) + n;
}

bool ranges_add(struct ranges *ranges, uintptr_t first, uintptr_t end)
{
	uint32_t from = find(ranges, first), to;
	struct range all = {first, end};

	for (to = from; to < ranges->nr && ranges->at[to].first <= end; to++) {
		if (ranges->at[to].first < all.first)
			all.first = ranges->at[to].first;
		if (ranges->at[to].end > all.end)
			all.end = ranges->at[to].end;
	}
	if (from == to && ranges->nr >= ranges->max)
		return false;
	replace(ranges, from, to, &all, 1);
	return true;
}

void ranges_remove(struct ranges *ranges, uintptr_t first, uintptr_t end)
{
	uint32_t from = find(ranges, first), to, n = 0;
	struct range left[2];

	for (to = from; to < ranges->nr && ranges->at[to].first < end; to++) {
		const struct range *at = &ranges->at[to];

		if (at->first < first)
			left[n++] = (struct range){at->first, at->end < first ? at->end : first};
		if (at->end > end)
			left[n++] = (struct range){end, at->end};
	}
	if (n > to - from && ranges->nr == 2 * ranges->max)
		return;
	replace(ranges, from, to, left, n);
}
