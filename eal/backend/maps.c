/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * maps.c - see maps.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backend/maps.h"

#define MAPS_GROW 64u

void maps_free(struct ioas_maps *maps)
{
	free(maps->at);
	*maps = (struct ioas_maps){0};
}

unsigned int maps_find(const struct ioas_maps *maps, quoll_iova_t iova)
{
	unsigned int lo = 0, hi = maps->nr;

	while (lo < hi) {
		unsigned int mid = lo + (hi - lo) / 2;

		if (map_last(&maps->at[mid]) < iova)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

int maps_reserve(struct ioas_maps *maps)
{
	struct ioas_mapping *at;

	if (maps->nr < maps->max)
		return 0;
	at = reallocarray(maps->at, maps->max + MAPS_GROW, sizeof(*at));
	if (!at)
		return -ENOMEM;
	maps->at = at;
	maps->max += MAPS_GROW;
	return 0;
}

void maps_insert(struct ioas_maps *maps, const struct ioas_mapping *m)
{
	struct ioas_mapping *at = &maps->at[maps_find(maps, m->iova)];

	memmove(at + 1, at, (size_t)(&maps->at[maps->nr] - at) * sizeof(*at));
	*at = *m;
	maps->nr++;
}

void maps_remove(struct ioas_maps *maps, unsigned int first, unsigned int end)
{
	memmove(&maps->at[first], &maps->at[end], (maps->nr - end) * sizeof(*maps->at));
	maps->nr -= end - first;
}
