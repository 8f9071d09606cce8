/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_vfio_info.c - any bytes as VFIO's answers about an IOMMU or a region: no read outside them (ASan looks), and
 * what is accepted keeps the promises that heap and device build on.
 */
#include <stdlib.h>
#include <string.h>

#include "backend/vfio.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void iommu(const uint8_t *data, size_t size)
{
	struct quoll_ioas_info info;

	memset(&info, 0, sizeof(info));
	if (vfio_iommu_info_parse(data, size, &info))
		return;
	if (!info.page_sizes || info.nr_ranges > QUOLL_IOAS_MAX_RANGES)
		abort();
	for (unsigned int i = 0; i < info.nr_ranges; i++)
		if (info.ranges[i].first > info.ranges[i].last ||
		    (i && info.ranges[i].first <= info.ranges[i - 1].last))
			abort();
}

static void region(const uint8_t *data, size_t size)
{
	struct quoll_region_info info;
	uint64_t fd_offset;
	bool mappable;

	if (vfio_region_info_parse(data, size, &info, &fd_offset, &mappable))
		return;
	if (info.nr_areas > QUOLL_REGION_MAX_AREAS || (info.nr_areas && !(info.flags & QUOLL_REGION_MMAP)))
		abort();
	vfio_areas_exclude(&info, fd_offset, info.size_bytes / 2);
	if (info.nr_areas > QUOLL_REGION_MAX_AREAS)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *exact = malloc(size ? size : 1);

	if (!exact)
		return 0;
	memcpy(exact, data, size);
	iommu(exact, size);
	region(exact, size);
	free(exact);
	return 0;
}
