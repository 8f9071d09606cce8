/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio_device.c - a device behind a VFIO file, from its group or by itself (iommufd): regions, interrupts, reset.
 *
 * What the kernel says of the regions is read once, at open: they do not change, and each access needs the offset.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/pci_regs.h>
#include <linux/vfio.h>

#include <quoll/pci.h>

#include "backend/vfio.h"
#include "group/internal.h"

struct vfio_region {
	struct quoll_region_info info;
	uint64_t fd_offset;
	bool msix_mappable;
};

static int device_fd(struct quoll_device *dev, struct quoll_error *err)
{
	int fd = ioctl(dev->group->fd, VFIO_GROUP_GET_DEVICE_FD, dev->name);

	if (fd >= 0) {
		dev->fd = fd;
		return 0;
	}
	if (errno == ENODEV || errno == ENOENT) {
		/* The group is viable, yet this member is with no driver at all. */
		quoll_error_set(err, ENODEV, "open", dev->name, "not with a VFIO driver, or gone");
		quoll_error_hint(err, "sudo quoll bind %s", dev->name);
		return -ENODEV;
	}
	return quoll_error_set(err, errno, "open", dev->name, "the kernel refuses it: %s", strerrordesc_np(errno));
}

static int region_read_info(struct quoll_device *dev, unsigned int idx, struct vfio_region *region)
{
	struct vfio_region_info head = {.argsz = sizeof(head), .index = idx};
	uint32_t bytes;
	void *buf;
	int rc;

	rc = vfio_get_info(dev->fd, VFIO_DEVICE_GET_REGION_INFO, &head, sizeof(head), &buf);
	if (rc == -EINVAL)
		return 0; /* an index without a region (VGA, say); size 0 says so */
	if (rc)
		return rc;
	memcpy(&bytes, buf, sizeof(bytes));
	rc = vfio_region_info_parse(buf, bytes, &region->info, &region->fd_offset, &region->msix_mappable);
	free(buf);
	return rc;
}

/*
 * Kernels before 4.16 neither let the pages of the MSI-X table be mapped nor always said so; a mapping that covers them
 * then fails as a whole. Find them and cut them out.
 */
static int msix_pages_exclude(struct quoll_device *dev)
{
	struct vfio_region *regions = dev->priv;
	int cap = quoll_pci_find_capability(dev, PCI_CAP_ID_MSIX);
	uint64_t offset, size_bytes;
	uint32_t control, table;
	unsigned int bar;
	int rc;

	if (cap <= 0)
		return cap;
	rc = quoll_pci_config_read(dev, (unsigned int)cap + PCI_MSIX_FLAGS, 2, &control);
	if (!rc)
		rc = quoll_pci_config_read(dev, (unsigned int)cap + PCI_MSIX_TABLE, 4, &table);
	if (rc)
		return rc;
	bar = vfio_msix_table_pages((uint16_t)control, table, &offset, &size_bytes);
	if (bar <= VFIO_PCI_BAR5_REGION_INDEX && !regions[bar].msix_mappable)
		vfio_areas_exclude(&regions[bar].info, offset, size_bytes);
	return 0;
}

static int regions_read(struct quoll_device *dev, struct quoll_error *err)
{
	struct vfio_region *regions;
	int rc;

	regions = calloc(dev->info.nr_regions ? dev->info.nr_regions : 1, sizeof(*regions));
	if (!regions)
		return quoll_error_set(err, ENOMEM, "open", dev->name, "out of memory");
	dev->priv = regions;
	for (unsigned int i = 0; i < dev->info.nr_regions; i++) {
		rc = region_read_info(dev, i, &regions[i]);
		if (rc)
			return quoll_error_set(err, -rc, "open", dev->name, "cannot make sense of region %u", i);
	}
	if (dev->info.bus != QUOLL_BUS_PCI)
		return 0;
	rc = msix_pages_exclude(dev);
	if (rc)
		return quoll_error_set(err, -rc, "open", dev->name, "cannot read config space");
	return 0;
}

int vfio_device_describe(struct quoll_device *dev, struct quoll_error *err)
{
	struct vfio_device_info info = {.argsz = sizeof(info)};
	int rc;

	if (ioctl(dev->fd, VFIO_DEVICE_GET_INFO, &info))
		return quoll_error_set(err, errno, "open", dev->name, "the kernel does not describe the device");
	dev->info.numa_node = device_numa_node(&dev->group->ioas->env, dev->name);
	rc = vfio_device_info_take(dev, info.flags, info.num_regions, info.num_irqs, err);
	if (!rc)
		rc = regions_read(dev, err);
	if (rc)
		vfio_device_forget(dev);
	return rc;
}

void vfio_device_forget(struct quoll_device *dev)
{
	free(dev->priv);
	dev->priv = NULL;
}

int vfio_device_open(struct quoll_device *dev, struct quoll_error *err)
{
	int rc = device_fd(dev, err);

	if (rc)
		return rc;
	rc = vfio_device_describe(dev, err);
	if (rc)
		vfio_device_close(dev);
	return rc;
}

void vfio_device_close(struct quoll_device *dev)
{
	close(dev->fd);
	dev->fd = -1;
	vfio_device_forget(dev);
}

int vfio_device_reset(struct quoll_device *dev)
{
	return ioctl(dev->fd, VFIO_DEVICE_RESET) ? -errno : 0;
}

int vfio_region_info(struct quoll_device *dev, unsigned int idx, struct quoll_region_info *info)
{
	const struct vfio_region *region = (const struct vfio_region *)dev->priv + idx;

	*info = region->info;
	return 0;
}

int vfio_region_map(struct quoll_device *dev, unsigned int idx, uint64_t offset, uint64_t len, void *va)
{
	const struct vfio_region *region = (const struct vfio_region *)dev->priv + idx;
	int prot = vfio_region_prot(&region->info);

	if (offset > INT64_MAX || region->fd_offset > INT64_MAX - offset)
		return -EOVERFLOW;
	if (mmap(va, len, prot, MAP_SHARED | MAP_FIXED, dev->fd, (off_t)(region->fd_offset + offset)) == MAP_FAILED)
		return -errno;
	return 0;
}

int vfio_region_rw(struct quoll_device *dev, unsigned int idx, uint64_t offset, void *buf, size_t len, bool write)
{
	const struct vfio_region *region = (const struct vfio_region *)dev->priv + idx;
	uint8_t *at = buf;
	ssize_t done;

	if (offset > INT64_MAX - len || region->fd_offset > INT64_MAX - len - offset)
		return -EOVERFLOW;
	while (len) {
		off_t where = (off_t)(region->fd_offset + offset);

		done = write ? pwrite(dev->fd, at, len, where) : pread(dev->fd, at, len, where);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done ? -errno : -EIO;
		at += done;
		offset += (uint64_t)done;
		len -= (size_t)done;
	}
	return 0;
}

int vfio_irq_info(struct quoll_device *dev, unsigned int idx, struct quoll_irq_info *info)
{
	struct vfio_irq_info irq = {.argsz = sizeof(irq), .index = idx};

	memset(info, 0, sizeof(*info));
	if (ioctl(dev->fd, VFIO_DEVICE_GET_IRQ_INFO, &irq))
		return errno == EINVAL ? 0 : -errno; /* EINVAL: an index that the device lacks (ERR without PCIe) */
	info->nr_vectors = irq.count;
	info->flags = vfio_irq_flags(irq.flags);
	return 0;
}

int vfio_irqs_set(int device_fd, unsigned int idx, unsigned int first, unsigned int nr, const int *eventfds)
{
	struct vfio_irq_set *set;
	size_t bytes;
	int rc = 0;

	if (nr > UINT16_MAX) /* no interrupt has more vectors, and it keeps argsz from wrapping */
		return -EINVAL;
	bytes = sizeof(*set) + nr * sizeof(int32_t);
	set = calloc(1, bytes);
	if (!set)
		return -ENOMEM;
	set->argsz = (uint32_t)bytes;
	set->flags = (nr ? VFIO_IRQ_SET_DATA_EVENTFD : VFIO_IRQ_SET_DATA_NONE) | VFIO_IRQ_SET_ACTION_TRIGGER;
	set->index = idx;
	set->start = nr ? first : 0;
	set->count = nr;
	for (unsigned int i = 0; i < nr; i++) {
		int32_t fd = eventfds[i];

		memcpy(set->data + i * sizeof(fd), &fd, sizeof(fd));
	}
	rc = ioctl(device_fd, VFIO_DEVICE_SET_IRQS, set);
	if (rc < 0)
		rc = -errno;
	else if (rc > 0)
		rc = -ENOSPC; /* how many the system could have given */
	free(set);
	return rc;
}

int vfio_irq_set(struct quoll_device *dev, unsigned int idx, unsigned int first, unsigned int nr, const int *eventfds)
{
	return vfio_irqs_set(dev->fd, idx, first, nr, eventfds);
}

int vfio_irq_unmask(struct quoll_device *dev, unsigned int idx, unsigned int vector)
{
	struct vfio_irq_set set = {
		.argsz = sizeof(set),
		.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK,
		.index = idx,
		.start = vector,
		.count = 1,
	};

	return ioctl(dev->fd, VFIO_DEVICE_SET_IRQS, &set) ? -errno : 0;
}
