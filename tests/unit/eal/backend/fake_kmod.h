/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fake_kmod.h - a kernel with quoll.ko behind ordinary files: this program's own open() and ioctl(), which keep what is
 * mapped in each group, and fail, or lie, where a test tells them to.
 *
 * The machine is eal/group's: a drive of its own, and a slot of two functions in one group, all with the driver quoll.
 */
#ifndef QUOLL_TESTS_FAKE_KMOD_H
#define QUOLL_TESTS_FAKE_KMOD_H

#include <quoll_uapi.h>

#include "backend/kmod.h"
#include "eal/group/fake.h"

#define FAKE_MAX_GROUPS 8
#define FAKE_MAX_MAPS 16

struct fake_map {
	uint64_t iova, len_bytes, va;
	uint32_t flags;
};

/* struct quoll_cap_reserved with its ranges, as it is in a chain. */
struct fake_reserved {
	struct vfio_info_cap_header header;
	uint32_t nr_ranges;
	uint32_t reserved;
	struct quoll_reserved_range ranges[2];
};

struct fake_quoll_group {
	unsigned int nr_maps;
	struct fake_map maps[FAKE_MAX_MAPS];
	bool lost;	/* its devices have gone */
	bool unclaimed; /* open, but not viable */
	uint64_t page_sizes, aperture_last, reserved_first, reserved_last;
	uint32_t max_maps;
};

struct fake_kmod {
	struct fake_quoll_group groups[FAKE_MAX_GROUPS]; /* by number */
	int version;
	int open_errno;		  /* opening any group fails with it */
	unsigned long fail_ioctl; /* this one fails with fail_errno, once */
	unsigned int fail_skip;	  /* but works so many times before */
	int fail_errno;
	uint64_t unmap_short_bytes; /* says that it has unmapped so much less */
	uint32_t nr_regions;
	uint32_t nr_reserved; /* as the answer has it; there is one */
};

extern struct fake_kmod fake_kmod;

/* A well-behaved kernel, and the machine; f->env is to be used. */
void fake_kmod_open(struct fake *f);
void fake_kmod_close(struct fake *f);

#endif
