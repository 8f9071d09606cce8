/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kmod.c - the back-end for quoll.ko: /dev/quoll/N is a group that maps memory itself, so an address space is the list
 * of its groups, and each mapping is made in every one of them.
 *
 * Source: kmod/quoll_uapi.h. A group that is lost (its last device has gone) has nothing mapped any more and takes
 * nothing: for an address space it is as if it were not there.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <quoll_uapi.h>

#include "backend/kmod.h"
#include "backend/memlock.h"
#include "backend/refuse.h"
#include "backend/vfio.h"

static const struct control_file control = {
	.backend = "kmod",
	.leaf = "quoll/control",
	.absent = "quoll.ko is not loaded",
	.load = "make -C kmod && sudo insmod kmod/quoll.ko, or use the back-end vfio",
	.rather = "",
	.why = "it only answers questions",
};

static int kmod_probe(const struct quoll_env *env, struct quoll_error *err)
{
	return control_probe(&control, env, err);
}

static int kmod_ioas_open(struct quoll_ioas *ioas, struct quoll_error *err)
{
	int version;

	ioas->fd = control_open(&control, &ioas->env, err);
	if (ioas->fd < 0)
		return ioas->fd;
	version = ioctl(ioas->fd, QUOLL_GET_VERSION);
	if (version == QUOLL_UAPI_VERSION)
		return 0;
	quoll_error_set(err, ENOENT, "open", "quoll.ko", "it speaks version %d, not %d", version, QUOLL_UAPI_VERSION);
	quoll_error_hint(err, "load the one that came with this program");
	close(ioas->fd);
	ioas->fd = -1;
	return -ENOENT;
}

static void kmod_ioas_close(struct quoll_ioas *ioas)
{
	close(ioas->fd);
	ioas->fd = -1;
}

static int iommu_read(const struct vfio_cap *cap, struct quoll_ioas_info *info)
{
	struct quoll_cap_iommu iommu;

	if (cap->room_bytes < sizeof(iommu))
		return -EPROTO;
	memcpy(&iommu, cap->at, sizeof(iommu));
	if (!iommu.page_sizes || iommu.aperture_first > iommu.aperture_last)
		return -EPROTO;
	info->page_sizes = iommu.page_sizes;
	info->nr_ranges = 1;
	info->ranges[0] = (struct quoll_iova_range){iommu.aperture_first, iommu.aperture_last};
	info->maps_avail = iommu.max_mappings > iommu.nr_mappings ? iommu.max_mappings - iommu.nr_mappings : 0;
	return 0;
}

static int reserved_exclude(const struct vfio_cap *cap, struct quoll_ioas_info *info)
{
	struct quoll_reserved_range range;
	struct quoll_cap_reserved fixed;

	if (cap->room_bytes < sizeof(fixed))
		return -EPROTO;
	memcpy(&fixed, cap->at, sizeof(fixed));
	if (fixed.nr_ranges > (cap->room_bytes - sizeof(fixed)) / sizeof(range))
		return -EPROTO;
	for (uint32_t i = 0; i < fixed.nr_ranges; i++) {
		memcpy(&range, cap->at + sizeof(fixed) + i * sizeof(range), sizeof(range));
		if (range.first > range.last)
			return -EPROTO;
		vfio_ranges_exclude(info, range.first, range.last);
	}
	return 0;
}

/* Every capability of one kind. Return: how many there were, -errno. */
static int caps_read(const void *buf, size_t bytes, uint32_t first, uint16_t id, struct quoll_ioas_info *info)
{
	int (*const take)(const struct vfio_cap *cap, struct quoll_ioas_info *info) =
		id == QUOLL_CAP_IOMMU ? iommu_read : reserved_exclude;
	struct vfio_caps caps;
	struct vfio_cap cap;
	int rc, nr = 0;

	vfio_caps_begin(&caps, buf, bytes, first);
	while ((rc = vfio_caps_next(&caps, &cap)) > 0) {
		if (cap.id != id)
			continue;
		rc = take(&cap, info);
		if (rc)
			return rc;
		nr++;
	}
	return rc ? rc : nr;
}

int kmod_info_parse(const void *buf, size_t bytes, struct quoll_ioas_info *info)
{
	struct quoll_group_info head;
	int rc;

	if (bytes < sizeof(head))
		return -EPROTO;
	memcpy(&head, buf, sizeof(head));
	if (!(head.flags & QUOLL_GROUP_CAPS) || !head.cap_offset)
		return -EPROTO;
	rc = caps_read(buf, bytes, head.cap_offset, QUOLL_CAP_IOMMU, info);
	if (rc != 1)
		return rc < 0 ? rc : -EPROTO;
	rc = caps_read(buf, bytes, head.cap_offset, QUOLL_CAP_RESERVED, info);
	return rc < 0 ? rc : 0;
}

void kmod_info_narrow(struct quoll_ioas_info *a, const struct quoll_ioas_info *b)
{
	uint64_t from = 0;

	a->page_sizes &= b->page_sizes;
	if (b->maps_avail < a->maps_avail)
		a->maps_avail = b->maps_avail;
	for (unsigned int i = 0; i < b->nr_ranges; i++) {
		if (b->ranges[i].first > from)
			vfio_ranges_exclude(a, from, b->ranges[i].first - 1);
		if (b->ranges[i].last == UINT64_MAX)
			return;
		from = b->ranges[i].last + 1;
	}
	vfio_ranges_exclude(a, from, UINT64_MAX);
}

static int group_info(const struct quoll_group *group, struct quoll_ioas_info *info)
{
	const struct quoll_group_info head = {.argsz = sizeof(head)};
	uint32_t bytes;
	void *buf;
	int rc;

	rc = vfio_get_info(group->fd, QUOLL_GROUP_GET_INFO, &head, sizeof(head), &buf);
	if (rc)
		return rc;
	memcpy(&bytes, buf, sizeof(bytes));
	rc = kmod_info_parse(buf, bytes, info);
	free(buf);
	return rc;
}

static int kmod_ioas_info(struct quoll_ioas *ioas, struct quoll_ioas_info *info, struct quoll_error *err)
{
	struct quoll_ioas_info one = {0};
	struct memlock ml;
	bool any = false;
	int rc;

	rc = memlock_read(&ioas->env, &ml);
	if (rc)
		return quoll_error_set(err, -rc, "info", "kmod", "cannot read this process's locked memory");
	for (unsigned int i = 0; i < ioas->nr_groups; i++) {
		rc = group_info(ioas->groups[i], &one);
		if (rc == -ENODEV)
			continue;
		if (rc == -EPROTO || rc == -ELOOP)
			return quoll_error_set(err, -rc, "info", "kmod",
					       "quoll.ko's answer about group %d is malformed", ioas->groups[i]->id);
		if (rc)
			return quoll_error_set(err, -rc, "info", "kmod", "quoll.ko does not tell group %d's limits",
					       ioas->groups[i]->id);
		if (any)
			kmod_info_narrow(info, &one);
		else
			*info = one;
		any = true;
	}
	if (!any)
		info->maps_avail = UINT32_MAX;
	info->memlock_bytes = memlock_left(&ml);
	return 0;
}

int kmod_group_map(const struct quoll_group *group, const struct ioas_mapping *m)
{
	struct quoll_dma_map map = {
		.argsz = sizeof(map),
		.flags = (m->access & MAP_DEVICE_READ ? QUOLL_DMA_READ : 0) |
			 (m->access & MAP_DEVICE_WRITE ? QUOLL_DMA_WRITE : 0),
		.va = (uintptr_t)m->va,
		.iova = m->iova,
		.size_bytes = m->len_bytes,
	};

	if (ioctl(group->fd, QUOLL_GROUP_MAP_DMA, &map) && errno != ENODEV)
		return -errno;
	return 0;
}

static int group_unmap(const struct quoll_group *group, quoll_iova_t iova, uint64_t len_bytes)
{
	struct quoll_dma_unmap unmap = {.argsz = sizeof(unmap), .iova = iova, .size_bytes = len_bytes};

	if (ioctl(group->fd, QUOLL_GROUP_UNMAP_DMA, &unmap))
		return errno == ENODEV ? 0 : -errno;
	/* Whole mappings only, and the answer says how much: anything else means that our list is wrong. */
	if (unmap.size_bytes == len_bytes)
		return 0;
	quoll_log(&group->ioas->env, QUOLL_LOG_ERROR, "kmod",
		  "group %d: unmapped 0x%" PRIx64 " of 0x%" PRIx64 " bytes at IOVA 0x%" PRIx64, group->id,
		  (uint64_t)unmap.size_bytes, len_bytes, iova);
	return -EIO;
}

static int map_explain(struct quoll_ioas *ioas, const struct ioas_mapping *m, int errnum, struct quoll_error *err)
{
	uint64_t need_bytes;

	switch (errnum) {
	case ENOSPC:
		quoll_error_set(err, ENOMEM, "map", "kmod", "all %u mappings that quoll.ko allows are in use",
				ioas->maps.nr);
		quoll_error_hint(err, "use larger pages, or %s", ioas->ops->maps_hint);
		return -ENOMEM;
	case ENOMEM:
		/* Each group pins and charges the memory for itself. */
		if (__builtin_mul_overflow(m->len_bytes, ioas->nr_groups, &need_bytes))
			need_bytes = UINT64_MAX;
		return refuse_memory(ioas, m, need_bytes, err);
	case EINVAL:
		return quoll_error_set(err, EINVAL, "map", "kmod",
				       "IOVA 0x%" PRIx64 ", address %p and length 0x%" PRIx64
				       " are not all multiples of the page, %ld bytes",
				       m->iova, m->va, m->len_bytes, sysconf(_SC_PAGESIZE));
	case ERANGE:
		return quoll_error_set(err, ERANGE, "map", "kmod",
				       "IOVA 0x%" PRIx64 " + 0x%" PRIx64 " is outside what the IOMMU translates",
				       m->iova, m->len_bytes);
	default:
		return refuse_mapping(ioas, m, errnum, err);
	}
}

static int kmod_ioas_map(struct quoll_ioas *ioas, const struct ioas_mapping *m, struct quoll_error *err)
{
	for (unsigned int i = 0; i < ioas->nr_groups; i++) {
		int rc = kmod_group_map(ioas->groups[i], m);

		if (!rc)
			continue;
		while (i--)
			group_unmap(ioas->groups[i], m->iova, m->len_bytes);
		return map_explain(ioas, m, -rc, err);
	}
	return 0;
}

/* All of them, whatever one says: what it did not let go of goes with its file. */
static int kmod_ioas_unmap(struct quoll_ioas *ioas, quoll_iova_t iova, uint64_t len_bytes)
{
	int first = 0;

	for (unsigned int i = 0; i < ioas->nr_groups; i++) {
		int rc = group_unmap(ioas->groups[i], iova, len_bytes);

		if (rc && !first)
			first = rc;
	}
	return first;
}

const struct backend_ops backend_kmod = {
	.name = "kmod",
	.forgets_maps = true,
	.on_request_only = true,
	.memlock_per_group = true,
	.maps_hint = "raise /sys/module/quoll/parameters/max_mappings",
	.probe = kmod_probe,
	.ioas_open = kmod_ioas_open,
	.ioas_close = kmod_ioas_close,
	.ioas_info = kmod_ioas_info,
	.map = kmod_ioas_map,
	.unmap = kmod_ioas_unmap,
	.stream = &kmod_stream,
	.claim = kmod_claim,
	.release = kmod_release,
	.device_open = kmod_device_open,
	.device_close = vfio_device_close,
	.device_reset = vfio_device_reset,
	.region_info = vfio_region_info,
	.region_map = vfio_region_map,
	.region_rw = vfio_region_rw,
	.irq_info = vfio_irq_info,
	.irq_set = vfio_irq_set,
	.irq_unmask = vfio_irq_unmask,
};
