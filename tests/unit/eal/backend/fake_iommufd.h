/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fake_iommufd.h - a kernel with iommufd behind ordinary files: this program's own ioctl(), which records the calls
 * that come to /dev/iommu and to VFIO's device files, and fails, or lies, where a test tells it to.
 *
 * The machine is eal/group's: a drive of its own, and a slot of two functions in one group, all with vfio-pci.
 */
#ifndef QUOLL_TESTS_FAKE_IOMMUFD_H
#define QUOLL_TESTS_FAKE_IOMMUFD_H

#include "backend/iommufd.h"
#include "eal/group/fake.h"

#define FAKE_IOAS_ID 7u
#define FAKE_MAX_NODES 8

struct fake_kernel {
	char calls[4096];	  /* "alloc bind(vfio0) attach(vfio0) ", in the order in which they came */
	unsigned long fail_ioctl; /* this one fails with fail_errno, once */
	unsigned int fail_skip;	  /* but works so many times before */
	int fail_errno;
	bool bound[FAKE_MAX_NODES], attached[FAKE_MAX_NODES];
	int bound_fd[FAKE_MAX_NODES];
	int req_fd[FAKE_MAX_NODES]; /* what the request interrupt of vfioN triggers, -1 for none */
	uint64_t alignment;
	uint32_t num_iovas;
	struct iommufd_iova_range ranges[80];
	struct iommufd_ioas_map map; /* the last one asked for */
	uint64_t unmap_short_bytes;  /* unmaps so much less than asked for */
	uint32_t nr_regions;
};

extern struct fake_kernel fake_kernel;

/* A well-behaved kernel, and the machine; f->env is to be used. */
void fake_iommufd_open(struct fake *f);
void fake_iommufd_open_three(struct fake *f); /* the slot has a third function, whose file is vfio3 */
void fake_iommufd_close(struct fake *f);
/* nothing is bound any more: checks the files, too, which a kernel would see closed */
bool fake_iommufd_all_free(void);
/* another process, with a file open */
void fake_holder(struct fake *f, int pid, const char *comm, const char *file);

#endif
