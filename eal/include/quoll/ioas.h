/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ioas.h - an I/O address space: what the devices of the groups attached to it can reach.
 *
 * Groups that share an IOAS share what is mapped there; two IOASes keep a NIC from reaching a disk's buffers. Memory
 * gets in through a heap that is attached to it (heap.h), and other memory of the process through a stream (stream.h).
 */
#ifndef QUOLL_IOAS_H
#define QUOLL_IOAS_H

#include <quoll/env.h>
#include <quoll/error.h>

#ifdef __cplusplus
extern "C" {
#endif

#define QUOLL_IOAS_MAX_RANGES 64

/* Both ends belong to the range. */
struct quoll_iova_range {
	uint64_t first;
	uint64_t last;
};

/**
 * struct quoll_ioas_info - limits of an address space
 * @page_sizes:    bit n set: mappings of 2^n bytes, aligned to that, are possible
 * @nr_ranges:     entries used in @ranges
 * @ranges:        usable IOVAs, ascending and disjoint: the aperture less reserved and MSI ranges
 * @maps_avail:    how many more mappings fit; UINT32_MAX if there is no limit
 * @memlock_bytes: how much more this process may pin; UINT64_MAX if there is no limit
 *
 * Known only once a group is attached; before that nr_ranges is 0.
 */
struct quoll_ioas_info {
	uint64_t page_sizes;
	unsigned int nr_ranges;
	struct quoll_iova_range ranges[QUOLL_IOAS_MAX_RANGES];
	uint32_t maps_avail;
	uint64_t memlock_bytes;
};

struct quoll_ioas;

/**
 * quoll_ioas_open() - a new, empty address space
 * @env:     copied; NULL for the ordinary machine
 * @backend: "vfio", "iommufd" or "kmod" (quoll.ko): groups of this machine's IOMMU; "vfio-user": devices in other
 * processes, without any privilege; NULL for the environment's, else the best that the kernel offers: vfio before
 * iommufd, and never kmod, which has to be named. quoll_claim_backend() tells which one an address needs
 * @ioas:    the result; closed by quoll_ioas_close()
 * @err:     -ENOENT: no such back-end, or the kernel does not offer it (says how to get it); -EACCES; -ENODEV: no IOMMU
 *
 * Thread rule: set-up; may block; an IOAS and its groups and devices belong to one thread at a time.
 */
QUOLL_API int quoll_ioas_open(const struct quoll_env *env, const char *backend, struct quoll_ioas **ioas,
			      struct quoll_error *err);

/**
 * quoll_ioas_close() - give it back
 * Return: 0, or -EBUSY while a group or a heap is still attached, or a stream there (nothing is changed then).
 */
QUOLL_API int quoll_ioas_close(struct quoll_ioas *ioas);

/**
 * quoll_ioas_info() - read the limits afresh (maps_avail and memlock_bytes change with each mapping)
 * Return: 0, -errno.
 */
QUOLL_API int quoll_ioas_info(struct quoll_ioas *ioas, struct quoll_ioas_info *info, struct quoll_error *err);

#ifdef __cplusplus
}
#endif
#endif
