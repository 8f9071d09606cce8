/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * iommufd_uapi.h - the part of the kernel's interface to iommufd and to VFIO's device files that is used here: numbers
 * and layouts.
 *
 * Kernel headers have it since 6.2 (linux/iommufd.h) and 6.6 (linux/vfio.h); Debian 12 builds with 6.1's. So it is
 * written down once, under names of our own, and compared with the headers' where they know it.
 *
 * Source: linux/iommufd.h, linux/vfio.h and Documentation/userspace-api/iommufd.rst of 6.12.
 */
#ifndef QUOLL_EAL_IOMMUFD_UAPI_H
#define QUOLL_EAL_IOMMUFD_UAPI_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/ioctl.h>
#include <linux/vfio.h>

#define IOMMUFD_IOAS_ALLOC _IO(';', 0x81)
#define IOMMUFD_IOAS_IOVA_RANGES _IO(';', 0x84)
#define IOMMUFD_IOAS_MAP _IO(';', 0x85)
#define IOMMUFD_IOAS_UNMAP _IO(';', 0x86)
#define IOMMUFD_DEVICE_BIND _IO(VFIO_TYPE, VFIO_BASE + 18)
#define IOMMUFD_DEVICE_ATTACH _IO(VFIO_TYPE, VFIO_BASE + 19)
#define IOMMUFD_DEVICE_DETACH _IO(VFIO_TYPE, VFIO_BASE + 20)

#define IOMMUFD_MAP_FIXED_IOVA (1u << 0)
#define IOMMUFD_MAP_WRITEABLE (1u << 1)
#define IOMMUFD_MAP_READABLE (1u << 2)

struct iommufd_ioas_alloc {
	uint32_t size;
	uint32_t flags;
	uint32_t out_ioas_id;
};
static_assert(sizeof(struct iommufd_ioas_alloc) == 12, "as the kernel has it");

struct iommufd_iova_range {
	uint64_t start;
	uint64_t last;
};
static_assert(sizeof(struct iommufd_iova_range) == 16, "as the kernel has it");

struct iommufd_ioas_iova_ranges {
	uint32_t size;
	uint32_t ioas_id;
	uint32_t num_iovas; /* in: room; out: how many there are */
	uint32_t reserved;
	uint64_t allowed_iovas; /* address of struct iommufd_iova_range */
	uint64_t out_iova_alignment;
};
static_assert(sizeof(struct iommufd_ioas_iova_ranges) == 32, "as the kernel has it");
static_assert(offsetof(struct iommufd_ioas_iova_ranges, allowed_iovas) == 16, "as the kernel has it");

struct iommufd_ioas_map {
	uint32_t size;
	uint32_t flags;
	uint32_t ioas_id;
	uint32_t reserved;
	uint64_t user_va;
	uint64_t length;
	uint64_t iova;
};
static_assert(sizeof(struct iommufd_ioas_map) == 40, "as the kernel has it");
static_assert(offsetof(struct iommufd_ioas_map, iova) == 32, "as the kernel has it");

struct iommufd_ioas_unmap {
	uint32_t size;
	uint32_t ioas_id;
	uint64_t iova;
	uint64_t length; /* out: how much was unmapped */
};
static_assert(sizeof(struct iommufd_ioas_unmap) == 24, "as the kernel has it");

struct iommufd_device_bind {
	uint32_t argsz;
	uint32_t flags;
	int32_t iommufd;
	uint32_t out_devid;
};
static_assert(sizeof(struct iommufd_device_bind) == 16, "as the kernel has it");

struct iommufd_device_attach {
	uint32_t argsz;
	uint32_t flags;
	uint32_t pt_id; /* in: the IOAS; out: what the device is attached to for it */
};
static_assert(sizeof(struct iommufd_device_attach) == 12, "as the kernel has it");

struct iommufd_device_detach {
	uint32_t argsz;
	uint32_t flags;
};
static_assert(sizeof(struct iommufd_device_detach) == 8, "as the kernel has it");

#ifdef VFIO_DEVICE_BIND_IOMMUFD
static_assert(VFIO_DEVICE_BIND_IOMMUFD == IOMMUFD_DEVICE_BIND &&
		      sizeof(struct vfio_device_bind_iommufd) == sizeof(struct iommufd_device_bind),
	      "as the headers have it");
static_assert(VFIO_DEVICE_ATTACH_IOMMUFD_PT == IOMMUFD_DEVICE_ATTACH, "as the headers have it");
static_assert(VFIO_DEVICE_DETACH_IOMMUFD_PT == IOMMUFD_DEVICE_DETACH, "as the headers have it");
#endif

#endif
