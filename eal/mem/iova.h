/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * iova.h - choosing a window of IOVAs that several address spaces have in common. Pure; internal to the eal.
 */
#ifndef QUOLL_EAL_IOVA_H
#define QUOLL_EAL_IOVA_H

#include <quoll/ioas.h>

/*
 * Nothing of ours lies below: a descriptor that was left zeroed, or got a small number where an address belongs, shall
 * fault in the IOMMU and not hit memory; and some devices take address 0 for "none".
 */
#define IOVA_LOWEST 0x10000ull

/* One address space's usable ranges, ascending and disjoint. */
struct iova_set {
	const struct quoll_iova_range *ranges;
	unsigned int nr_ranges;
};

/*
 * What is looked for: size_bytes at a multiple of align (a power of two), not below lowest, clear of the holes (in any
 * order, they may overlap).
 */
struct iova_want {
	uint64_t size_bytes;
	uint64_t align;
	uint64_t lowest;
	const struct quoll_iova_range *holes;
	unsigned int nr_holes;
};

/*
 * The lowest window that fits every set; no set at all means all 64 bits. Return: 0; -EINVAL (size 0, align); -ERANGE
 * if there is none, and then *largest is the size of the largest that would fit there, a multiple of align, or 0.
 */
int iova_window_find(const struct iova_set *sets, unsigned int nr_sets, const struct iova_want *want, uint64_t *base,
		     uint64_t *largest);

/* Whether a window lies in the set and clear of the holes: -ERANGE if not. */
int iova_window_check(const struct iova_set *set, const struct quoll_iova_range *holes, unsigned int nr_holes,
		      const struct quoll_iova_range *window);

#endif
