/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio_iommu.c - the type1 IOMMU of a container: what it lets through, map, unmap.
 *
 * type1 charges pinned memory to the process's locked memory and counts mappings; its bare errnos are turned into
 * sentences here, after the fact, so that the way without errors costs nothing.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include <linux/vfio.h>

#include "backend/memlock.h"
#include "backend/refuse.h"
#include "backend/vfio.h"

int vfio_iommu_info(struct quoll_ioas *ioas, struct quoll_ioas_info *info, struct quoll_error *err)
{
	struct vfio_iommu_type1_info head = {.argsz = sizeof(head)};
	struct memlock ml;
	uint32_t bytes;
	void *buf;
	int rc;

	rc = memlock_read(&ioas->env, &ml);
	if (rc)
		return quoll_error_set(err, -rc, "info", "vfio", "cannot read this process's locked memory");
	info->memlock_bytes = memlock_left(&ml);
	info->maps_avail = UINT32_MAX;
	if (!ioas->nr_groups)
		return 0; /* the container gets its IOMMU with the first group */
	rc = vfio_get_info(ioas->fd, VFIO_IOMMU_GET_INFO, &head, sizeof(head), &buf);
	if (rc)
		return quoll_error_set(err, -rc, "info", "vfio", "the kernel does not tell the IOMMU's limits");
	memcpy(&bytes, buf, sizeof(bytes));
	rc = vfio_iommu_info_parse(buf, bytes, info);
	free(buf);
	if (rc)
		return quoll_error_set(err, -rc, "info", "vfio", "the kernel's answer about the IOMMU is malformed");
	return 0;
}

static int map_explain(struct quoll_ioas *ioas, const struct ioas_mapping *m, int errnum, struct quoll_error *err)
{
	switch (errnum) {
	case ENOSPC:
		quoll_error_set(err, ENOMEM, "map", "vfio", "all %u mappings that the kernel allows are in use",
				ioas->maps.nr);
		quoll_error_hint(err,
				 "use larger pages, or: echo %u | sudo tee "
				 "/sys/module/vfio_iommu_type1/parameters/dma_entry_limit, then start again",
				 2 * (ioas->maps.nr + 1));
		return -ENOMEM;
	case ENOMEM:
		return refuse_memory(ioas, m, m->len_bytes, err);
	case EEXIST:
		return quoll_error_set(err, EEXIST, "map", "vfio",
				       "IOVA 0x%" PRIx64 " + 0x%" PRIx64 " is mapped already, or is the device's own",
				       m->iova, m->len_bytes);
	default:
		return refuse_mapping(ioas, m, errnum, err);
	}
}

int vfio_iommu_map(struct quoll_ioas *ioas, const struct ioas_mapping *m, struct quoll_error *err)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = (m->access & MAP_DEVICE_READ ? VFIO_DMA_MAP_FLAG_READ : 0) |
			 (m->access & MAP_DEVICE_WRITE ? VFIO_DMA_MAP_FLAG_WRITE : 0),
		.vaddr = (uintptr_t)m->va,
		.iova = m->iova,
		.size = m->len_bytes,
	};

	if (ioctl(ioas->fd, VFIO_IOMMU_MAP_DMA, &map))
		return map_explain(ioas, m, errno, err);
	return 0;
}

int vfio_iommu_unmap(struct quoll_ioas *ioas, quoll_iova_t iova, uint64_t len_bytes)
{
	struct vfio_iommu_type1_dma_unmap unmap = {.argsz = sizeof(unmap), .iova = iova, .size = len_bytes};

	if (ioctl(ioas->fd, VFIO_IOMMU_UNMAP_DMA, &unmap))
		return -errno;
	/* v2 unmaps whole mappings only, and says how much it found: anything else means that our list is wrong. */
	if (unmap.size != len_bytes) {
		quoll_log(&ioas->env, QUOLL_LOG_ERROR, "vfio",
			  "unmapped 0x%" PRIx64 " of 0x%" PRIx64 " bytes at IOVA 0x%" PRIx64, (uint64_t)unmap.size,
			  len_bytes, iova);
		return -EIO;
	}
	return 0;
}
