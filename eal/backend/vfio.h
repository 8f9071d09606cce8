/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio.h - what the files of the VFIO back-end share: paths, the parsers of what the kernel answers, the ops.
 *
 * vfio.c: container; vfio_iommu.c: limits, map, unmap; vfio_group.c: claim; vfio_device.c: device, regions, interrupts;
 * vfio_info.c: what is in the answers, as pure functions, for vfio-user too.
 */
#ifndef QUOLL_EAL_VFIO_H
#define QUOLL_EAL_VFIO_H

#include "backend/backend.h"

/* No answer of the kernel's is longer than this. */
#define VFIO_INFO_MAX_BYTES (1u << 20)

/* One capability of a chain: @at points at its header, @room_bytes is what is left of the buffer from there. */
struct vfio_cap {
	uint16_t id;
	uint16_t version;
	const uint8_t *at;
	size_t room_bytes;
};

/* A walk along a chain; start with vfio_caps_begin(). */
struct vfio_caps {
	const uint8_t *buf;
	size_t bytes;
	uint32_t next;
	size_t steps_left;
};

void vfio_caps_begin(struct vfio_caps *caps, const void *buf, size_t bytes, uint32_t first);

/* Return: 1 and the next capability, 0 at the end, -EPROTO if it lies outside the buffer, -ELOOP if there is no end. */
int vfio_caps_next(struct vfio_caps *caps, struct vfio_cap *cap);

/*
 * VFIO_IOMMU_GET_INFO's answer of bytes (header and chain) to limits: page_sizes, ranges, maps_avail; the MSI window of
 * x86 is cut out. Return: 0, -EPROTO, -ELOOP.
 */
int vfio_iommu_info_parse(const void *buf, size_t bytes, struct quoll_ioas_info *info);

/* Take first .. last (both inclusive) out of the ranges; what does not fit in the table then is left out. */
void vfio_ranges_exclude(struct quoll_ioas_info *info, uint64_t first, uint64_t last);

/*
 * VFIO_DEVICE_GET_REGION_INFO's answer to a region: flags, size, areas (sparse, or the whole). msix_mappable: the pages
 * of an MSI-X table may be mapped. Return: 0, -EPROTO, -ELOOP.
 */
int vfio_region_info_parse(const void *buf, size_t bytes, struct quoll_region_info *info, uint64_t *fd_offset,
			   bool *msix_mappable);

/*
 * The fixed part of VFIO_DEVICE_GET_INFO's answer to dev->info. Return: 0, -EPROTO: too many of either, or PCI without
 * config space; err is filled in.
 */
int vfio_device_info_take(struct quoll_device *dev, uint32_t flags, uint32_t nr_regions, uint32_t nr_irqs,
			  struct quoll_error *err);

/* VFIO_IRQ_INFO_* to QUOLL_IRQ_*. */
unsigned int vfio_irq_flags(uint32_t flags);

/* How a region may be mapped: PROT_*. */
int vfio_region_prot(const struct quoll_region_info *info);

/* Take [offset, offset + size) out of what may be mapped. Areas that do not fit in the table then are left out. */
void vfio_areas_exclude(struct quoll_region_info *info, uint64_t offset, uint64_t size_bytes);

/*
 * The whole pages that an MSI-X table lies in, from the capability's message control and table registers. Return: the
 * BAR they are in, as the device says it: 0 .. 7.
 */
unsigned int vfio_msix_table_pages(uint16_t control, uint32_t table, uint64_t *offset, uint64_t *size_bytes);

/* An ioctl of the argsz kind: calls again with a bigger buffer if there is more. buf is freed with free(). */
int vfio_get_info(int fd, unsigned long request, const void *head, size_t head_bytes, void **buf);

/* "/dev/vfio/<leaf>" under the environment's root */
void vfio_path(const struct quoll_env *env, const char *leaf, char *path, size_t size);

int vfio_iommu_info(struct quoll_ioas *ioas, struct quoll_ioas_info *info, struct quoll_error *err);
int vfio_iommu_map(struct quoll_ioas *ioas, const struct ioas_mapping *m, struct quoll_error *err);
int vfio_iommu_unmap(struct quoll_ioas *ioas, quoll_iova_t iova, uint64_t len_bytes);

int vfio_group_claim(struct quoll_group *group, const struct quoll_addr *addr, struct quoll_error *err);
void vfio_group_release(struct quoll_group *group);

int vfio_device_open(struct quoll_device *dev, struct quoll_error *err);
void vfio_device_close(struct quoll_device *dev);
/* The same without the file: dev->fd is open, and stays so. */
int vfio_device_describe(struct quoll_device *dev, struct quoll_error *err);
void vfio_device_forget(struct quoll_device *dev);
int vfio_device_reset(struct quoll_device *dev);
int vfio_region_info(struct quoll_device *dev, unsigned int idx, struct quoll_region_info *info);
int vfio_region_map(struct quoll_device *dev, unsigned int idx, uint64_t offset, uint64_t len, void *va);
int vfio_region_rw(struct quoll_device *dev, unsigned int idx, uint64_t offset, void *buf, size_t len, bool write);
int vfio_irq_info(struct quoll_device *dev, unsigned int idx, struct quoll_irq_info *info);
int vfio_irq_set(struct quoll_device *dev, unsigned int idx, unsigned int first, unsigned int nr, const int *eventfds);
int vfio_irqs_set(int device_fd, unsigned int idx, unsigned int first, unsigned int nr, const int *eventfds);
int vfio_irq_unmask(struct quoll_device *dev, unsigned int idx, unsigned int vector);

#endif
