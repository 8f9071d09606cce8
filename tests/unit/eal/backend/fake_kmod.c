/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fake_kmod.c - see fake_kmod.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fake_kmod.h"

struct fake_kmod fake_kmod;

static const struct fake_device machine[] = {
	{"pci0000:00/0000:00:02.0", 10, 0x060400, "pcieport", CONFIG_ROOT_ACS},
	{LAB_DRIVE_PATH, LAB_GROUP_DRIVE, 0x010802, "quoll", CONFIG_PCIE},
	{"pci0000:00/0000:00:03.0", 11, 0x060400, "pcieport", CONFIG_ROOT_ACS},
	{LAB_SLOT0_PATH, LAB_GROUP_SLOT, 0x010802, "quoll", CONFIG_PCIE},
	{LAB_SLOT1_PATH, LAB_GROUP_SLOT, 0x020000, "quoll", CONFIG_PCIE},
};

static char device_file[128];

/* The number of the group whose file a path ends with, or -1. */
static int group_of(const char *path)
{
	const char *at = strstr(path, "/dev/quoll/");
	char *end;
	long id;

	if (!at)
		return -1;
	id = strtol(at + strlen("/dev/quoll/"), &end, 10);
	return end == at + strlen("/dev/quoll/") || *end || id >= FAKE_MAX_GROUPS ? -1 : (int)id;
}

/* In the place of the C library's, as ioctl() below: a group that is opened is a new one. */
int open(const char *path, int flags, ...)
{
	int group = group_of(path);
	mode_t mode = 0;
	va_list ap;

	if (flags & O_CREAT) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	if (group >= 0 && fake_kmod.interrupts) {
		fake_kmod.interrupts--;
		errno = EINTR;
		return -1;
	}
	if (group >= 0 && fake_kmod.open_errno) {
		errno = fake_kmod.open_errno;
		return -1;
	}
	if (group >= 0) {
		fake_kmod.groups[group].nr_maps = 0;
		fake_kmod.groups[group].stream = (struct fake_stream){0};
	}
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static int failure(int errnum)
{
	errno = errnum;
	return -1;
}

static bool fails(unsigned long request)
{
	if (request != fake_kmod.fail_ioctl || fake_kmod.fail_skip--)
		return false;
	fake_kmod.fail_ioctl = fake_kmod.fail_skip = 0;
	errno = fake_kmod.fail_errno;
	return true;
}

/* The whole answer, or how long it is. */
static int get_info(struct fake_quoll_group *g, struct quoll_group_info *info)
{
	struct answer {
		struct quoll_group_info info;
		struct fake_reserved reserved; /* its second range is room that no range is in */
		struct quoll_cap_iommu iommu;
	} all = {.info = {.argsz = sizeof(all), .flags = QUOLL_GROUP_OWNED | QUOLL_GROUP_CAPS}};

	if (!g->unclaimed)
		all.info.flags |= QUOLL_GROUP_CLAIMED | QUOLL_GROUP_VIABLE;
	if (info->argsz < sizeof(all)) {
		*info = all.info;
		return 0;
	}
	all.info.cap_offset = sizeof(all.info);
	all.reserved.header = (struct vfio_info_cap_header){QUOLL_CAP_RESERVED, 1, offsetof(struct answer, iommu)};
	all.reserved.nr_ranges = fake_kmod.nr_reserved;
	all.reserved.ranges[0] =
		(struct quoll_reserved_range){g->reserved_first, g->reserved_last, QUOLL_RESERVED_MSI, 0};
	all.iommu = (struct quoll_cap_iommu){.header = {QUOLL_CAP_IOMMU, 1, 0},
					     .type = QUOLL_IOMMU_PAGE_TABLE,
					     .page_sizes = g->page_sizes,
					     .aperture_last = g->aperture_last,
					     .max_mappings = g->max_maps,
					     .nr_mappings = g->nr_maps};
	memcpy(info, &all, sizeof(all));
	return 0;
}

static int map_dma(struct fake_quoll_group *g, const struct quoll_dma_map *map)
{
	for (unsigned int i = 0; i < g->nr_maps; i++)
		if (g->maps[i].iova < map->iova + map->size_bytes && map->iova < g->maps[i].iova + g->maps[i].len_bytes)
			return failure(EEXIST);
	if (g->nr_maps == FAKE_MAX_MAPS)
		return failure(ENOSPC);
	g->maps[g->nr_maps++] = (struct fake_map){map->iova, map->size_bytes, map->va, map->flags};
	return 0;
}

static int unmap_dma(struct fake_quoll_group *g, struct quoll_dma_unmap *unmap)
{
	for (unsigned int i = 0; i < g->nr_maps; i++) {
		if (g->maps[i].iova != unmap->iova || g->maps[i].len_bytes != unmap->size_bytes)
			continue;
		g->maps[i] = g->maps[--g->nr_maps];
		unmap->size_bytes -= fake_kmod.unmap_short_bytes;
		return 0;
	}
	return failure(ENOENT);
}

static int group_ioctl(struct fake_quoll_group *g, unsigned long request, void *arg)
{
	if (g->lost)
		return failure(ENODEV);
	switch (request) {
	case QUOLL_GROUP_GET_INFO:
		return get_info(g, arg);
	case QUOLL_GROUP_MAP_DMA:
		return map_dma(g, arg);
	case QUOLL_GROUP_UNMAP_DMA:
		return unmap_dma(g, arg);
	case QUOLL_GROUP_OPEN_DEVICE:
		return open(device_file, O_RDWR | O_CLOEXEC);
	default:
		return fake_stream_ioctl(&g->stream, request, arg);
	}
}

static int device_ioctl(unsigned long request, void *arg)
{
	struct vfio_region_info *region = arg;
	struct vfio_device_info *info = arg;
	struct vfio_irq_info *irq = arg;

	if (request == VFIO_DEVICE_GET_INFO) {
		info->flags = VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET;
		info->num_regions = fake_kmod.nr_regions;
		info->num_irqs = 5;
	} else if (request == VFIO_DEVICE_GET_IRQ_INFO) {
		irq->count = irq->index == VFIO_PCI_REQ_IRQ_INDEX;
		irq->flags = VFIO_IRQ_INFO_EVENTFD;
	} else if (request == VFIO_DEVICE_GET_REGION_INFO && region->index == VFIO_PCI_CONFIG_REGION_INDEX) {
		region->size = 256; /* the file's own contents */
		region->flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
	}
	return 0;
}

int ioctl(int fd, unsigned long request, ...)
{
	char path[64], target[512] = "";
	va_list ap;
	void *arg;
	int group;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (readlink(path, target, sizeof(target) - 1) < 0)
		return failure(EBADF);
	if (fails(request))
		return -1;
	group = group_of(target);
	if (group >= 0)
		return group_ioctl(&fake_kmod.groups[group], request, arg);
	if (request == QUOLL_GET_VERSION)
		return fake_kmod.version;
	return device_ioctl(request, arg);
}

void fake_kmod_open(struct fake *f)
{
	/* an NVMe drive's identity; one capability only, so that nothing is looked for in it */
	const uint8_t config[256] = {0x36, 0x1b, 0x10, 0, 0, 0, 0, 0, 0, 2, 8, 1};

	memset(&fake_kmod, 0, sizeof(fake_kmod));
	fake_kmod.version = QUOLL_UAPI_VERSION;
	fake_kmod.nr_regions = 9;
	fake_kmod.nr_reserved = 1;
	for (unsigned int i = 0; i < FAKE_MAX_GROUPS; i++)
		fake_kmod.groups[i] = (struct fake_quoll_group){.page_sizes = 0x40201000,
								.aperture_last = (1ull << 39) - 1,
								.reserved_first = 0xfee00000,
								.reserved_last = 0xfeefffff,
								.max_maps = FAKE_MAX_MAPS};
	fake_open(f, machine, sizeof(machine) / sizeof(machine[0]));
	fake_file(f, "dev/quoll/control", "%s", "");
	fake_file(f, "dev/quoll/2", "%s", "");
	fake_file(f, "dev/quoll/3", "%s", "");
	fake_bytes(f, "dev/device", config, sizeof(config));
	fake_file(f, "proc/self/status", "VmLck:\t0 kB\nCapEff:\t0000004000004000\n");
	snprintf(device_file, sizeof(device_file), "%s/dev/device", f->root);
}

void fake_kmod_close(struct fake *f)
{
	fake_close(f);
}
