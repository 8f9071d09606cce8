/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * shadow.h - what each block of a range should hold: its CRC-32 as of the last write to it.
 */
#ifndef QUOLL_APPS_NVME_SHADOW_H
#define QUOLL_APPS_NVME_SHADOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct shadow - one entry a block, in memory that costs nothing until it is written
 * @crcs: 0: never written; a CRC of 0 is kept as 1
 */
struct shadow {
	uint64_t nr_lbas;
	uint32_t *crcs;
};

int shadow_open(struct shadow *shadow, uint64_t nr_lbas);
void shadow_close(struct shadow *shadow);

/* Note what a block (counted from the start of the range) was written with. */
void shadow_set(struct shadow *shadow, uint64_t block, const void *data, size_t bytes);

/* Whether data read is what was written. */
bool shadow_matches(const struct shadow *shadow, uint64_t block, const void *data, size_t bytes);

/**
 * shadow_next() - the next run of written blocks
 * @block: where to start looking
 * @max:   longest run wanted, at least 1
 * @first: the result
 * Return: length of the run, 0 if there is none.
 */
uint64_t shadow_next(const struct shadow *shadow, uint64_t block, uint64_t max, uint64_t *first);

#endif
