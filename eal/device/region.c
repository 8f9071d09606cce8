/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * region.c - regions of a device: what may be mapped, mapping it, access by system call.
 *
 * A back-end's list of areas comes from a device or from another process: it is checked here, once, for all of them. A
 * region's window is reserved whole and inaccessible, so that a wrong offset faults and never hits other memory.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device/internal.h"

static uint64_t page_bytes(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

/* What is wrong with area i, or NULL. */
static const char *area_fault(const struct quoll_region_info *info, unsigned int i)
{
	const struct quoll_region_area *area = &info->areas[i];
	uint64_t end = area->offset + area->size_bytes;

	if (!area->size_bytes)
		return "is empty";
	if (end < area->offset || end > info->size_bytes)
		return "ends outside the region";
	if (area->offset % page_bytes())
		return "does not begin at a page";
	/* A BAR smaller than a page has a page to itself, or the kernel does not let it be mapped. */
	if (area->size_bytes % page_bytes() && end != info->size_bytes)
		return "does not end at a page";
	for (unsigned int j = 0; j < i; j++)
		if (area->offset < info->areas[j].offset + info->areas[j].size_bytes && info->areas[j].offset < end)
			return "overlaps another";
	return NULL;
}

int quoll_region_info(struct quoll_device *dev, unsigned int idx, struct quoll_region_info *info,
		      struct quoll_error *err)
{
	const char *fault;
	int rc;

	memset(info, 0, sizeof(*info));
	if (idx >= dev->info.nr_regions)
		return quoll_error_set(err, ENXIO, "region", dev->name, "no region %u; there are %u", idx,
				       dev->info.nr_regions);
	rc = dev->group->ioas->ops->region_info(dev, idx, info);
	if (rc)
		return quoll_error_set(err, -rc, "region", dev->name, "region %u cannot be described", idx);
	if (info->nr_areas > QUOLL_REGION_MAX_AREAS)
		return quoll_error_set(err, EPROTO, "region", dev->name, "region %u claims %u areas", idx,
				       info->nr_areas);
	for (unsigned int i = 0; i < info->nr_areas; i++) {
		fault = area_fault(info, i);
		if (fault)
			return quoll_error_set(
				err, EPROTO, "region", dev->name,
				"region %u of 0x%" PRIx64 " bytes: area 0x%" PRIx64 " + 0x%" PRIx64 " %s", idx,
				info->size_bytes, info->areas[i].offset, info->areas[i].size_bytes, fault);
	}
	return 0;
}

static int map_areas(struct quoll_region *region, unsigned int idx, const struct quoll_region_info *info)
{
	const struct backend_ops *ops = region->dev->group->ioas->ops;
	uint64_t page = page_bytes();
	int rc;

	for (unsigned int i = 0; i < info->nr_areas; i++) {
		uint64_t len = (info->areas[i].size_bytes + page - 1) & ~(page - 1);

		rc = ops->region_map(region->dev, idx, info->areas[i].offset, len, region->va + info->areas[i].offset);
		if (rc)
			return rc;
		region->areas[region->nr_areas++] = info->areas[i];
	}
	return 0;
}

/* Also what may be mapped, but not both read and written: the accessors do both, and would end in SIGSEGV. */
static bool can_be_mapped(const struct quoll_region_info *info)
{
	const unsigned int need = QUOLL_REGION_MMAP | QUOLL_REGION_READ | QUOLL_REGION_WRITE;

	return (info->flags & need) == need && info->nr_areas;
}

int quoll_region_map(struct quoll_device *dev, unsigned int idx, struct quoll_region **region, struct quoll_error *err)
{
	struct quoll_region_info info;
	uint64_t page = page_bytes();
	struct quoll_region *new;
	int rc;

	rc = quoll_region_info(dev, idx, &info, err);
	if (rc)
		return rc;
	if (!info.size_bytes)
		return quoll_error_set(err, ENXIO, "region", dev->name, "the device has no region %u", idx);
	if (!can_be_mapped(&info))
		return quoll_error_set(err, EPERM, "region", dev->name, "region %u cannot be mapped", idx);
	if (info.size_bytes > SIZE_MAX - page)
		return quoll_error_set(err, ENOMEM, "region", dev->name, "region %u is too large to map", idx);
	new = calloc(1, sizeof(*new));
	if (!new)
		return quoll_error_set(err, ENOMEM, "region", dev->name, "out of memory");
	new->dev = dev;
	new->window_bytes = (info.size_bytes + page - 1) & ~(page - 1);
	new->va = mmap(NULL, new->window_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (new->va == MAP_FAILED) {
		rc = quoll_error_set(err, ENOMEM, "region", dev->name, "no room for region %u of 0x%" PRIx64 " bytes",
				     idx, info.size_bytes);
		free(new);
		return rc;
	}
	rc = map_areas(new, idx, &info);
	if (rc) {
		quoll_error_set(err, -rc, "region", dev->name, "region %u cannot be mapped: %s", idx,
				strerrordesc_np(-rc));
		munmap(new->va, new->window_bytes);
		free(new);
		return rc;
	}
	new->next = dev->regions;
	dev->regions = new;
	dev->nr_maps++;
	*region = new;
	return 0;
}

void quoll_region_unmap(struct quoll_region *region)
{
	struct quoll_region **link;

	if (!region)
		return;
	for (link = &region->dev->regions; *link; link = &(*link)->next) {
		if (*link != region)
			continue;
		*link = region->next;
		region->dev->nr_maps--;
		munmap(region->va, region->window_bytes);
		free(region);
		return;
	}
}

void region_unmap_all(struct quoll_device *dev)
{
	while (dev->regions)
		quoll_region_unmap(dev->regions);
}

volatile void *quoll_region_ptr(const struct quoll_region *region, uint64_t offset, uint64_t len)
{
	for (unsigned int i = 0; len && i < region->nr_areas; i++) {
		const struct quoll_region_area *area = &region->areas[i];

		if (offset >= area->offset && offset - area->offset < area->size_bytes &&
		    len <= area->size_bytes - (offset - area->offset))
			return region->va + offset;
	}
	return NULL;
}

/* Filled before it takes the page's place: no thread sees anything but all ones. */
static bool page_replace(uint8_t *at, uint64_t page)
{
	void *ones = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (ones == MAP_FAILED)
		return false;
	memset(ones, 0xff, page);
	if (mremap(ones, page, page, MREMAP_MAYMOVE | MREMAP_FIXED, at) != MAP_FAILED)
		return true;
	munmap(ones, page);
	return false;
}

/* In a signal handler: no lock, no allocation, no log. */
bool quoll_device_bus_error(struct quoll_device *dev, void *va)
{
	uint64_t page = page_bytes();

	for (const struct quoll_region *region = dev->regions; region; region = region->next) {
		uintptr_t offset = (uintptr_t)va - (uintptr_t)region->va;

		if (offset >= region->window_bytes)
			continue;
		if (!page_replace(region->va + (offset & ~(page - 1)), page))
			return false;
		__atomic_store_n(&dev->bus_error, true, __ATOMIC_RELAXED);
		return true;
	}
	return false;
}

static int access_check(struct quoll_device *dev, unsigned int idx, uint64_t offset, size_t len, unsigned int need)
{
	struct quoll_region_info info;
	int rc = quoll_region_info(dev, idx, &info, NULL);

	if (rc)
		return rc;
	if (!info.size_bytes)
		return -ENXIO;
	if ((info.flags & need) != need)
		return -EPERM;
	if (offset > info.size_bytes || len > info.size_bytes - offset)
		return -EINVAL;
	return 0;
}

int quoll_region_read(struct quoll_device *dev, unsigned int idx, uint64_t offset, void *buf, size_t len)
{
	int rc = access_check(dev, idx, offset, len, QUOLL_REGION_READ);

	if (rc || !len)
		return rc;
	return dev->group->ioas->ops->region_rw(dev, idx, offset, buf, len, false);
}

int quoll_region_write(struct quoll_device *dev, unsigned int idx, uint64_t offset, const void *buf, size_t len)
{
	int rc = access_check(dev, idx, offset, len, QUOLL_REGION_WRITE);

	if (rc || !len)
		return rc;
	/* One op for both ways; with write set it only reads from buf. */
	return dev->group->ioas->ops->region_rw(dev, idx, offset, (void *)(uintptr_t)buf, len, true);
}
