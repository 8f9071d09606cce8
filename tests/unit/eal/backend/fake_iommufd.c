/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fake_iommufd.c - see fake_iommufd.h.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake_iommufd.h"

struct fake_kernel fake_kernel;

#define SLOT2_PATH "pci0000:00/0000:00:03.0/0000:02:00.2"

static const struct fake_device machine[] = {
	{"pci0000:00/0000:00:02.0", 10, 0x060400, "pcieport", CONFIG_ROOT_ACS},
	{LAB_DRIVE_PATH, LAB_GROUP_DRIVE, 0x010802, "vfio-pci", CONFIG_PCIE},
	{"pci0000:00/0000:00:03.0", 11, 0x060400, "pcieport", CONFIG_ROOT_ACS},
	{LAB_SLOT0_PATH, LAB_GROUP_SLOT, 0x010802, "vfio-pci", CONFIG_PCIE},
	{LAB_SLOT1_PATH, LAB_GROUP_SLOT, 0x020000, "vfio-pci", CONFIG_PCIE},
	{"pci0000:00/0000:00:04.0", 13, 0x020000, "", CONFIG_PCIE},
	{SLOT2_PATH, LAB_GROUP_SLOT, 0x020000, "vfio-pci", CONFIG_PCIE}, /* last: not every test has it */
};

static void called(const char *fmt, ...)
{
	size_t used = strlen(fake_kernel.calls);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(fake_kernel.calls + used, sizeof(fake_kernel.calls) - used, fmt, ap);
	va_end(ap);
}

static bool fails(unsigned long request)
{
	if (request != fake_kernel.fail_ioctl || fake_kernel.fail_skip--)
		return false;
	fake_kernel.fail_ioctl = fake_kernel.fail_skip = 0;
	errno = fake_kernel.fail_errno;
	return true;
}

/* A device that was closed without another word is free again, as with the kernel. @new: a file just opened. */
static void forget_closed(int new)
{
	for (int n = 0; n < FAKE_MAX_NODES; n++) {
		char path[64], target[512], want[64];
		ssize_t len;

		if (!fake_kernel.bound[n])
			continue;
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fake_kernel.bound_fd[n]);
		snprintf(want, sizeof(want), "/devices/vfio%d", n);
		len = readlink(path, target, sizeof(target) - 1);
		target[len > 0 ? len : 0] = '\0';
		if (!strstr(target, want) || fake_kernel.bound_fd[n] == new)
			fake_kernel.bound[n] = fake_kernel.attached[n] = false;
	}
}

bool fake_iommufd_all_free(void)
{
	forget_closed(-1);
	for (int n = 0; n < FAKE_MAX_NODES; n++)
		if (fake_kernel.bound[n])
			return false;
	return true;
}

static int ioas_ranges(struct iommufd_ioas_iova_ranges *ask)
{
	uint32_t room = ask->num_iovas;
	uint32_t nr = fake_kernel.num_iovas < room ? fake_kernel.num_iovas : room;

	memcpy((void *)(uintptr_t)ask->allowed_iovas, fake_kernel.ranges, nr * sizeof(fake_kernel.ranges[0]));
	ask->num_iovas = fake_kernel.num_iovas;
	ask->out_iova_alignment = fake_kernel.alignment;
	if (fake_kernel.num_iovas <= room)
		return 0;
	errno = EMSGSIZE;
	return -1;
}

static int iommu_ioctl(unsigned long request, void *arg)
{
	struct iommufd_ioas_unmap *unmap = arg;

	switch (request) {
	case IOMMUFD_IOAS_ALLOC:
		((struct iommufd_ioas_alloc *)arg)->out_ioas_id = FAKE_IOAS_ID;
		called("alloc ");
		return 0;
	case IOMMUFD_IOAS_IOVA_RANGES:
		return ioas_ranges(arg);
	case IOMMUFD_IOAS_MAP:
		fake_kernel.map = *(const struct iommufd_ioas_map *)arg;
		called("map(%#llx) ", (unsigned long long)fake_kernel.map.iova);
		return 0;
	case IOMMUFD_IOAS_UNMAP:
		called("unmap(%#llx) ", (unsigned long long)unmap->iova);
		unmap->length -= fake_kernel.unmap_short_bytes;
		return 0;
	default:
		errno = ENOTTY;
		return -1;
	}
}

static int device_bind(int fd, int n)
{
	forget_closed(fd);
	called("bind(vfio%d) ", n);
	if (fake_kernel.bound[n]) {
		errno = EINVAL;
		return -1;
	}
	fake_kernel.bound[n] = true;
	fake_kernel.bound_fd[n] = fd;
	return 0;
}

static int irqs_set(int n, const struct vfio_irq_set *set)
{
	int32_t fd = -1;

	if (set->index == VFIO_PCI_REQ_IRQ_INDEX) {
		if (set->count == 1)
			memcpy(&fd, set->data, sizeof(fd));
		fake_kernel.req_fd[n] = fd;
	}
	return 0;
}

static int device_describe(unsigned long request, void *arg)
{
	struct vfio_region_info *region = arg;
	struct vfio_device_info *info = arg;
	struct vfio_irq_info *irq = arg;

	if (request == VFIO_DEVICE_GET_INFO) {
		info->flags = VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET;
		info->num_regions = fake_kernel.nr_regions;
		info->num_irqs = 5;
	} else if (request == VFIO_DEVICE_GET_IRQ_INFO) {
		irq->count = irq->index == VFIO_PCI_REQ_IRQ_INDEX;
		irq->flags = VFIO_IRQ_INFO_EVENTFD;
	} else if (region->index == VFIO_PCI_CONFIG_REGION_INDEX) { /* the file's own contents */
		region->size = 256;
		region->flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
	}
	return 0;
}

static int device_ioctl(int fd, int n, unsigned long request, void *arg)
{
	switch (request) {
	case IOMMUFD_DEVICE_BIND:
		return device_bind(fd, n);
	case IOMMUFD_DEVICE_ATTACH:
		called("attach(vfio%d) ", n);
		fake_kernel.attached[n] = ((struct iommufd_device_attach *)arg)->pt_id == FAKE_IOAS_ID;
		return 0;
	case IOMMUFD_DEVICE_DETACH:
		called("detach(vfio%d) ", n);
		fake_kernel.attached[n] = false;
		return 0;
	case VFIO_DEVICE_SET_IRQS:
		return irqs_set(n, arg);
	case VFIO_DEVICE_RESET:
		called("reset(vfio%d) ", n);
		return 0;
	case VFIO_DEVICE_GET_INFO:
	case VFIO_DEVICE_GET_REGION_INFO:
	case VFIO_DEVICE_GET_IRQ_INFO:
		return device_describe(request, arg);
	default:
		errno = ENOTTY;
		return -1;
	}
}

/* In the place of the C library's, for all that is linked into this program. */
int ioctl(int fd, unsigned long request, ...)
{
	char path[64], target[512] = "";
	const char *at;
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (readlink(path, target, sizeof(target) - 1) < 0) {
		errno = EBADF;
		return -1;
	}
	if (fails(request))
		return -1;
	at = strstr(target, "/vfio/devices/vfio");
	if (at)
		return device_ioctl(fd, atoi(at + strlen("/vfio/devices/vfio")), request, arg);
	return iommu_ioctl(request, arg);
}

static void add_cdev(struct fake *f, const char *path, int n)
{
	/* an NVMe drive's identity; one capability only, so that nothing is looked for in it */
	const uint8_t config[256] = {0x36, 0x1b, 0x10, 0, 0, 0, 0, 0, 0, 2, 8, 1};
	char name[PATH_BYTES];

	snprintf(name, sizeof(name), "sys/devices/%s/vfio-dev/vfio%d/dev", path, n);
	fake_file(f, name, "511:%d\n", n);
	snprintf(name, sizeof(name), "dev/vfio/devices/vfio%d", n);
	fake_bytes(f, name, config, sizeof(config));
}

static void machine_open(struct fake *f, unsigned int nr_devices)
{
	memset(&fake_kernel, 0, sizeof(fake_kernel));
	memset(fake_kernel.req_fd, 0xff, sizeof(fake_kernel.req_fd));
	fake_kernel.alignment = 4096;
	fake_kernel.num_iovas = 2;
	fake_kernel.ranges[0] = (struct iommufd_iova_range){0, 0xfedfffff};
	fake_kernel.ranges[1] = (struct iommufd_iova_range){0xfef00000, (1ull << 39) - 1};
	fake_kernel.nr_regions = 9;
	fake_open(f, machine, nr_devices);
	fake_file(f, "dev/iommu", "%s", "");
	add_cdev(f, LAB_DRIVE_PATH, 0);
	add_cdev(f, LAB_SLOT0_PATH, 1);
	add_cdev(f, LAB_SLOT1_PATH, 2);
	fake_file(f, "proc/self/status", "VmLck:\t0 kB\nCapEff:\t0000004000004000\n");
}

void fake_iommufd_open(struct fake *f)
{
	machine_open(f, sizeof(machine) / sizeof(machine[0]) - 1);
}

void fake_iommufd_open_three(struct fake *f)
{
	machine_open(f, sizeof(machine) / sizeof(machine[0]));
	add_cdev(f, SLOT2_PATH, 3);
}

void fake_iommufd_close(struct fake *f)
{
	fake_close(f);
}

void fake_holder(struct fake *f, int pid, const char *comm, const char *file)
{
	char path[PATH_BYTES], target[PATH_BYTES];

	snprintf(path, sizeof(path), "proc/%d/comm", pid);
	fake_file(f, path, "%s\n", comm);
	snprintf(path, sizeof(path), "proc/%d/fd/5", pid);
	snprintf(target, sizeof(target), "/dev%s", file);
	fake_raw_link(f, path, target);
}
