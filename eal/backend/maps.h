/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * maps.h - a table of mappings, ascending by IOVA, none of which overlap: what is mapped in an address space.
 *
 * Owns the array, not the memory that is mapped. Locking is the caller's.
 */
#ifndef QUOLL_EAL_MAPS_H
#define QUOLL_EAL_MAPS_H

#include <stdbool.h>

#include <quoll/types.h>

#define MAP_DEVICE_READ (1u << 0)
#define MAP_DEVICE_WRITE (1u << 1)

/* One chunk of memory to be mapped; fd and fd_offset are for back-ends that pass memory to another process. */
struct ioas_mapping {
	void *va;
	quoll_iova_t iova;
	uint64_t len_bytes;
	unsigned int access; /* MAP_DEVICE_* */
	int fd;
	uint64_t fd_offset;
	bool exposed; /* a process that has nothing to do with us any more may still reach the memory, see
			 ioas_is_exposed() */
};

/* Zeroed at first. */
struct ioas_maps {
	unsigned int nr;
	unsigned int max;
	struct ioas_mapping *at;
};

void maps_free(struct ioas_maps *maps);

/* The last IOVA of a mapping; its length is not 0 and does not wrap. */
static inline quoll_iova_t map_last(const struct ioas_mapping *m)
{
	return m->iova + (m->len_bytes - 1);
}

/* Index of the first mapping that ends at iova or after it: the one that holds it, or the next; nr if there is none. */
unsigned int maps_find(const struct ioas_maps *maps, quoll_iova_t iova);

/* Room for one more, so that maps_insert() cannot fail. Return: 0, -ENOMEM. */
int maps_reserve(struct ioas_maps *maps);

/* At its place, maps_find() of its IOVA. */
void maps_insert(struct ioas_maps *maps, const struct ioas_mapping *m);

/* The mappings of the indices first .. end - 1. */
void maps_remove(struct ioas_maps *maps, unsigned int first, unsigned int end);

#endif
