/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * iommufd_ioas.c - an IOAS of iommufd: what it lets through, map, unmap.
 *
 * iommufd charges pinned memory to the user, all processes together, and has no limit on mappings of its own.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "backend/iommufd.h"
#include "backend/memlock.h"
#include "backend/refuse.h"

static uint32_t ioas_id(const struct quoll_ioas *ioas)
{
	return ((const struct iommufd_ioas *)ioas->priv)->id;
}

int iommufd_ranges_take(const struct iommufd_ioas_iova_ranges *answer, const struct iommufd_iova_range *ranges,
			uint32_t room, struct quoll_ioas_info *info)
{
	uint64_t align = answer->out_iova_alignment;
	uint32_t nr = answer->num_iovas < room ? answer->num_iovas : room;

	if (!align || (align & (align - 1)))
		return -EPROTO;
	info->page_sizes = ~(align - 1); /* whatever is aligned to it, so every power of two from there on */
	info->nr_ranges = 0;
	for (uint32_t i = 0; i < nr && i < QUOLL_IOAS_MAX_RANGES; i++) {
		if (ranges[i].start > ranges[i].last || (i && ranges[i].start <= ranges[i - 1].last))
			return -EPROTO; /* ascending and disjoint */
		info->ranges[info->nr_ranges++] =
			(struct quoll_iova_range){.first = ranges[i].start, .last = ranges[i].last};
	}
	return 0;
}

int iommufd_ioas_info(struct quoll_ioas *ioas, struct quoll_ioas_info *info, struct quoll_error *err)
{
	struct iommufd_iova_range ranges[QUOLL_IOAS_MAX_RANGES] = {0};
	struct iommufd_ioas_iova_ranges ask = {
		.size = sizeof(ask),
		.ioas_id = ioas_id(ioas),
		.num_iovas = QUOLL_IOAS_MAX_RANGES,
		.allowed_iovas = (uintptr_t)ranges,
	};
	struct memlock ml;
	int rc;

	rc = memlock_read_user(&ioas->env, &ml);
	if (rc)
		return quoll_error_set(err, -rc, "info", "iommufd", "cannot read this user's locked memory");
	info->memlock_bytes = memlock_left(&ml);
	info->maps_avail = UINT32_MAX;
	if (!ioas->nr_groups)
		return 0; /* as yet no device narrows it */
	/* EMSGSIZE: there are more, and those that fit are there. */
	if (ioctl(ioas->fd, IOMMUFD_IOAS_IOVA_RANGES, &ask) && errno != EMSGSIZE)
		return quoll_error_set(err, errno, "info", "iommufd", "the kernel does not tell the IOMMU's limits");
	rc = iommufd_ranges_take(&ask, ranges, QUOLL_IOAS_MAX_RANGES, info);
	if (rc)
		return quoll_error_set(err, -rc, "info", "iommufd", "the kernel's answer about the IOMMU is malformed");
	return 0;
}

/* Not all of the user's processes need be visible from here, so the account may be fuller than it looks. */
static int map_explain_enomem(struct quoll_ioas *ioas, const struct ioas_mapping *m, struct quoll_error *err)
{
	struct memlock ml;

	if (!memlock_read_user(&ioas->env, &ml) && memlock_left(&ml) < m->len_bytes)
		return memlock_refuse(&ml, "iommufd", m->len_bytes, err);
	return quoll_error_set(err, ENOMEM, "map", "iommufd",
			       "the kernel has no memory to pin and map %" PRIu64 " bytes, or processes of this user "
			       "that are not visible from here have used its memlock limit up",
			       m->len_bytes);
}

static int map_explain(struct quoll_ioas *ioas, const struct ioas_mapping *m, int errnum, struct quoll_error *err)
{
	switch (errnum) {
	case ENOMEM:
		return map_explain_enomem(ioas, m, err);
	case EADDRINUSE:
		return refuse_mapping(ioas, m, EEXIST, err);
	default:
		return refuse_mapping(ioas, m, errnum, err);
	}
}

int iommufd_ioas_map(struct quoll_ioas *ioas, const struct ioas_mapping *m, struct quoll_error *err)
{
	struct iommufd_ioas_map map = {
		.size = sizeof(map),
		.flags = IOMMUFD_MAP_FIXED_IOVA | (m->access & MAP_DEVICE_READ ? IOMMUFD_MAP_READABLE : 0) |
			 (m->access & MAP_DEVICE_WRITE ? IOMMUFD_MAP_WRITEABLE : 0),
		.ioas_id = ioas_id(ioas),
		.user_va = (uintptr_t)m->va,
		.length = m->len_bytes,
		.iova = m->iova,
	};

	if (ioctl(ioas->fd, IOMMUFD_IOAS_MAP, &map))
		return map_explain(ioas, m, errno, err);
	return 0;
}

int iommufd_ioas_unmap(struct quoll_ioas *ioas, quoll_iova_t iova, uint64_t len_bytes)
{
	struct iommufd_ioas_unmap unmap = {
		.size = sizeof(unmap), .ioas_id = ioas_id(ioas), .iova = iova, .length = len_bytes};

	if (ioctl(ioas->fd, IOMMUFD_IOAS_UNMAP, &unmap))
		return -errno;
	/* Whole mappings only, and the answer says how much: anything else means that our list is wrong. */
	if (unmap.length != len_bytes) {
		quoll_log(&ioas->env, QUOLL_LOG_ERROR, "iommufd",
			  "unmapped 0x%" PRIx64 " of 0x%" PRIx64 " bytes at IOVA 0x%" PRIx64, unmap.length, len_bytes,
			  iova);
		return -EIO;
	}
	return 0;
}
