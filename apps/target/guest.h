/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * guest.h - a view of the host's memory, as its transport offers it: ranges of I/O virtual addresses, most of them
 * mapped here, some reachable by messages only.
 *
 * The host writes to this memory at any time. What decides something is copied out once, with tgt_guest_fetch(), and
 * checked in the copy; user data is read and written in place.
 *
 * Thread rule: a view belongs to the thread of its controller.
 */
#ifndef QUOLL_TARGET_GUEST_H
#define QUOLL_TARGET_GUEST_H

#include <stdbool.h>

#include <quoll/types.h>

#define TGT_GUEST_READ 1u  /* the controller may read it */
#define TGT_GUEST_WRITE 2u /* the controller may write it */

/**
 * struct tgt_guest_range - a piece of the host's memory
 * @iova: where the host says it is
 * @len:  bytes, never 0; iova + len does not wrap around
 * @va:   where it is mapped here; NULL: reached by messages only
 * @prot: TGT_GUEST_READ and TGT_GUEST_WRITE
 */
struct tgt_guest_range {
	uint64_t iova;
	uint64_t len;
	uint8_t *va;
	unsigned int prot;
};

/**
 * struct tgt_guest_ops - memory that isn't mapped here; NULL members: it can't be reached
 * Both return 0 or -errno, and take at most the transport's time limit.
 */
struct tgt_guest_ops {
	int (*read)(void *arg, uint64_t iova, void *dst, size_t len);
	int (*write)(void *arg, uint64_t iova, const void *src, size_t len);
};

/**
 * struct tgt_guest - the view
 * @ranges:     sorted by address, without overlap
 * @generation: grows with each change, so that those who keep pointers know that they must look again
 */
struct tgt_guest {
	struct tgt_guest_range *ranges;
	unsigned int nr_ranges;
	unsigned int max_ranges;
	unsigned int last;
	uint32_t generation;
	const struct tgt_guest_ops *ops;
	void *arg;
};

/**
 * tgt_guest_init() - an empty view
 * @ops: NULL if all memory will be mapped
 */
void tgt_guest_init(struct tgt_guest *guest, const struct tgt_guest_ops *ops, void *arg);
void tgt_guest_fini(struct tgt_guest *guest);

/**
 * tgt_guest_add() - the host offers memory
 * Return: 0; -EINVAL: no length or wraps around; -EEXIST: overlaps another range; -ENOMEM.
 */
int tgt_guest_add(struct tgt_guest *guest, const struct tgt_guest_range *range);

/**
 * tgt_guest_remove() - the host takes back exactly one range that it offered
 * Commands in flight may still point there: they must have ended first. Return: 0, -ENOENT.
 */
int tgt_guest_remove(struct tgt_guest *guest, uint64_t iova, uint64_t len);

/**
 * tgt_guest_find() - the range that holds an address, or NULL
 */
const struct tgt_guest_range *tgt_guest_find(struct tgt_guest *guest, uint64_t iova);

/**
 * tgt_guest_find_va() - the range that is mapped where @va is, or NULL; looks at all of them
 */
const struct tgt_guest_range *tgt_guest_find_va(const struct tgt_guest *guest, const void *va);

/**
 * tgt_guest_va() - memory that lies in one piece within a mapped range with this permission, else NULL
 */
void *tgt_guest_va(struct tgt_guest *guest, uint64_t iova, uint64_t len, unsigned int prot);

/**
 * tgt_guest_covers() - whether all of it is offered with this permission, in one range or several, mapped or not
 */
bool tgt_guest_covers(struct tgt_guest *guest, uint64_t iova, uint64_t len, unsigned int prot);

/**
 * tgt_guest_read(), tgt_guest_write() - copy; across ranges, mapped or not
 * Return: 0; -EFAULT: a part is not there or has not the permission; -errno of the transport.
 */
int tgt_guest_read(struct tgt_guest *guest, uint64_t iova, void *dst, size_t len);
int tgt_guest_write(struct tgt_guest *guest, uint64_t iova, const void *src, size_t len);

/**
 * tgt_guest_fetch() - copy @nr quadwords that decide something: each is read once, whole
 * @iova: a multiple of 8
 * Return: as tgt_guest_read().
 */
int tgt_guest_fetch(struct tgt_guest *guest, uint64_t iova, quoll_le64 *dst, unsigned int nr);

/* The same from a place that is known to be mapped. */
static inline void tgt_fetch_quads(const void *src, quoll_le64 *dst, unsigned int nr)
{
	const quoll_le64 *quads = src;

	for (unsigned int i = 0; i < nr; i++)
		dst[i] = __atomic_load_n(&quads[i], __ATOMIC_RELAXED);
}

#endif
