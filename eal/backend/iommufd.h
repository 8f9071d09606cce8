/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * iommufd.h - what the files of the iommufd back-end share.
 *
 * iommufd.c: /dev/iommu, the table of ops; iommufd_ioas.c: limits, map, unmap; iommufd_group.c: claim, release, and the
 * members' files. A device behind such a file is vfio_device.c's.
 */
#ifndef QUOLL_EAL_IOMMUFD_H
#define QUOLL_EAL_IOMMUFD_H

#include "backend/backend.h"
#include "backend/iommufd_uapi.h"

/* An IOAS of the kernel's: ioas->priv. */
struct iommufd_ioas {
	uint32_t id;
};

int iommufd_ioas_info(struct quoll_ioas *ioas, struct quoll_ioas_info *info, struct quoll_error *err);
int iommufd_ioas_map(struct quoll_ioas *ioas, const struct ioas_mapping *m, struct quoll_error *err);
int iommufd_ioas_unmap(struct quoll_ioas *ioas, quoll_iova_t iova, uint64_t len_bytes);

/*
 * IOMMU_IOAS_IOVA_RANGES' answer to info: page_sizes and ranges; room is how many there was place for. Return: 0,
 * -EPROTO if it makes no sense.
 */
int iommufd_ranges_take(const struct iommufd_ioas_iova_ranges *answer, const struct iommufd_iova_range *ranges,
			uint32_t room, struct quoll_ioas_info *info);

int iommufd_claim(struct quoll_group *group, const struct quoll_addr *addr, struct quoll_error *err);
void iommufd_release(struct quoll_group *group);

int iommufd_device_open(struct quoll_device *dev, struct quoll_error *err);
void iommufd_device_close(struct quoll_device *dev);
int iommufd_device_watch(struct quoll_device *dev, int epoll_fd);
void iommufd_device_serve(struct quoll_device *dev);

#endif
