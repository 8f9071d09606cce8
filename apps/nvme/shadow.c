/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shadow.c - a sparse table of checksums.
 */
#include <errno.h>
#include <sys/mman.h>
#include <zlib.h>

#include "shadow.h"

static uint32_t crc_of(const void *data, size_t bytes)
{
	uint32_t crc = (uint32_t)crc32_z(0, data, bytes);

	return crc ? crc : 1;
}

int shadow_open(struct shadow *shadow, uint64_t nr_lbas)
{
	void *table;

	if (!nr_lbas || nr_lbas > SIZE_MAX / sizeof(uint32_t))
		return -EINVAL;
	table = mmap(NULL, nr_lbas * sizeof(uint32_t), PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (table == MAP_FAILED)
		return -errno;
	shadow->crcs = table;
	shadow->nr_lbas = nr_lbas;
	return 0;
}

void shadow_close(struct shadow *shadow)
{
	if (shadow->crcs)
		munmap(shadow->crcs, shadow->nr_lbas * sizeof(uint32_t));
	shadow->crcs = NULL;
}

void shadow_set(struct shadow *shadow, uint64_t block, const void *data, size_t bytes)
{
	shadow->crcs[block] = crc_of(data, bytes);
}

bool shadow_matches(const struct shadow *shadow, uint64_t block, const void *data, size_t bytes)
{
	return shadow->crcs[block] == crc_of(data, bytes);
}

uint64_t shadow_next(const struct shadow *shadow, uint64_t block, uint64_t max, uint64_t *first)
{
	uint64_t nr = 0;

	while (block < shadow->nr_lbas && !shadow->crcs[block])
		block++;
	*first = block;
	while (nr < max && block + nr < shadow->nr_lbas && shadow->crcs[block + nr])
		nr++;
	return nr;
}
