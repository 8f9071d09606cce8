/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio_info.c - what VFIO answers, from the kernel or from a vfio-user server: capability chains, IOVA ranges, sparse
 * areas, flags. Pure functions.
 *
 * The kernel is trusted more than a device is, but a vfio-user server is not: every offset and count is checked against
 * the buffer, and copied out before use (nothing promises alignment).
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/pci_regs.h>
#include <linux/vfio.h>

#include "backend/vfio.h"

/* More than any device has; what is to be kept for each is bounded by it. */
#define MAX_REGIONS 256u
#define MAX_IRQS 256u

/* x86 takes writes here for interrupts, whatever the IOMMU maps (Intel VT-d 3.14; AMD IOMMU 2.1.4.2). */
#define MSI_FIRST 0xfee00000u
#define MSI_LAST 0xfeefffffu

/* Before the kernel told ranges (5.4): what every IOMMU in the field has at least. */
#define DEFAULT_LAST ((1ull << 39) - 1)

void vfio_caps_begin(struct vfio_caps *caps, const void *buf, size_t bytes, uint32_t first)
{
	caps->buf = buf;
	caps->bytes = bytes;
	caps->next = first;
	/* A chain without a loop cannot have more links than headers fit. */
	caps->steps_left = bytes / sizeof(struct vfio_info_cap_header);
}

int vfio_caps_next(struct vfio_caps *caps, struct vfio_cap *cap)
{
	struct vfio_info_cap_header header;

	if (!caps->next)
		return 0;
	if (!caps->steps_left--)
		return -ELOOP;
	if (caps->next > caps->bytes || caps->bytes - caps->next < sizeof(header))
		return -EPROTO;
	memcpy(&header, caps->buf + caps->next, sizeof(header));
	cap->id = header.id;
	cap->version = header.version;
	cap->at = caps->buf + caps->next;
	cap->room_bytes = caps->bytes - caps->next;
	caps->next = header.next;
	return 1;
}

static void range_add(struct quoll_ioas_info *info, uint64_t first, uint64_t last)
{
	if (info->nr_ranges < QUOLL_IOAS_MAX_RANGES)
		info->ranges[info->nr_ranges++] = (struct quoll_iova_range){.first = first, .last = last};
}

void vfio_ranges_exclude(struct quoll_ioas_info *info, uint64_t first, uint64_t last)
{
	struct quoll_iova_range old[QUOLL_IOAS_MAX_RANGES];
	unsigned int nr = info->nr_ranges;

	memcpy(old, info->ranges, sizeof(old));
	info->nr_ranges = 0;
	for (unsigned int i = 0; i < nr; i++) {
		if (old[i].last < first || old[i].first > last) {
			range_add(info, old[i].first, old[i].last);
			continue;
		}
		if (old[i].first < first)
			range_add(info, old[i].first, first - 1);
		if (old[i].last > last)
			range_add(info, last + 1, old[i].last);
	}
}

static int iova_ranges_read(const struct vfio_cap *cap, struct quoll_ioas_info *info)
{
	struct vfio_iommu_type1_info_cap_iova_range fixed;
	struct vfio_iova_range range;

	if (cap->room_bytes < sizeof(fixed))
		return -EPROTO;
	memcpy(&fixed, cap->at, sizeof(fixed));
	if (fixed.nr_iovas > (cap->room_bytes - sizeof(fixed)) / sizeof(range))
		return -EPROTO;
	info->nr_ranges = 0;
	for (uint32_t i = 0; i < fixed.nr_iovas; i++) {
		memcpy(&range, cap->at + sizeof(fixed) + i * sizeof(range), sizeof(range));
		if (range.start > range.end)
			return -EPROTO;
		if (info->nr_ranges && range.start <= info->ranges[info->nr_ranges - 1].last)
			return -EPROTO; /* promised ascending and disjoint */
		range_add(info, range.start, range.end);
	}
	return 0;
}

static int dma_avail_read(const struct vfio_cap *cap, struct quoll_ioas_info *info)
{
	struct vfio_iommu_type1_info_dma_avail avail;

	if (cap->room_bytes < sizeof(avail))
		return -EPROTO;
	memcpy(&avail, cap->at, sizeof(avail));
	info->maps_avail = avail.avail;
	return 0;
}

static int iommu_caps_read(struct vfio_caps *caps, struct quoll_ioas_info *info, bool *have_ranges)
{
	struct vfio_cap cap;
	int rc;

	while ((rc = vfio_caps_next(caps, &cap)) > 0) {
		if (cap.id == VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE) {
			rc = iova_ranges_read(&cap, info);
			*have_ranges = true;
		} else if (cap.id == VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL) {
			rc = dma_avail_read(&cap, info);
		}
		if (rc < 0)
			break;
	}
	return rc;
}

int vfio_iommu_info_parse(const void *buf, size_t bytes, struct quoll_ioas_info *info)
{
	const size_t min_bytes = offsetof(struct vfio_iommu_type1_info, cap_offset);
	struct vfio_iommu_type1_info head = {.argsz = 0};
	bool have_ranges = false;
	struct vfio_caps caps;
	int rc;

	if (bytes < min_bytes)
		return -EPROTO;
	memcpy(&head, buf, bytes < sizeof(head) ? bytes : sizeof(head));
	if (!(head.flags & VFIO_IOMMU_INFO_PGSIZES) || !head.iova_pgsizes)
		return -EPROTO;
	info->page_sizes = head.iova_pgsizes;
	info->maps_avail = UINT32_MAX;
	info->nr_ranges = 0;
	if (head.flags & VFIO_IOMMU_INFO_CAPS) {
		vfio_caps_begin(&caps, buf, bytes, head.cap_offset);
		rc = iommu_caps_read(&caps, info, &have_ranges);
		if (rc < 0)
			return rc;
	}
	if (!have_ranges)
		range_add(info, 0, DEFAULT_LAST);
#if defined(__x86_64__) || defined(__i386__)
	vfio_ranges_exclude(info, MSI_FIRST, MSI_LAST);
#endif
	return 0;
}

static void area_add(struct quoll_region_info *info, uint64_t offset, uint64_t size_bytes)
{
	if (size_bytes && info->nr_areas < QUOLL_REGION_MAX_AREAS)
		info->areas[info->nr_areas++] = (struct quoll_region_area){.offset = offset, .size_bytes = size_bytes};
}

void vfio_areas_exclude(struct quoll_region_info *info, uint64_t offset, uint64_t size_bytes)
{
	struct quoll_region_area old[QUOLL_REGION_MAX_AREAS];
	uint64_t stop = size_bytes > UINT64_MAX - offset ? UINT64_MAX : offset + size_bytes;
	unsigned int nr = info->nr_areas;

	memcpy(old, info->areas, sizeof(old));
	info->nr_areas = 0;
	for (unsigned int i = 0; i < nr; i++) {
		uint64_t end = old[i].offset + old[i].size_bytes;

		if (end < old[i].offset || end <= offset || old[i].offset >= stop) {
			area_add(info, old[i].offset, old[i].size_bytes); /* one that wraps is region.c's to refuse */
			continue;
		}
		if (old[i].offset < offset)
			area_add(info, old[i].offset, offset - old[i].offset);
		if (end > stop)
			area_add(info, stop, end - stop);
	}
}

unsigned int vfio_msix_table_pages(uint16_t control, uint32_t table, uint64_t *offset, uint64_t *size_bytes)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t start = table & PCI_MSIX_TABLE_OFFSET;
	uint64_t end = start + ((control & PCI_MSIX_FLAGS_QSIZE) + 1) * PCI_MSIX_ENTRY_SIZE;

	*offset = start & ~(page - 1);
	*size_bytes = ((end + page - 1) & ~(page - 1)) - *offset;
	return table & PCI_MSIX_TABLE_BIR;
}

static int sparse_read(const struct vfio_cap *cap, struct quoll_region_info *info)
{
	struct vfio_region_info_cap_sparse_mmap fixed;
	struct vfio_region_sparse_mmap_area area;

	if (cap->room_bytes < sizeof(fixed))
		return -EPROTO;
	memcpy(&fixed, cap->at, sizeof(fixed));
	if (fixed.nr_areas > (cap->room_bytes - sizeof(fixed)) / sizeof(area))
		return -EPROTO;
	info->nr_areas = 0;
	for (uint32_t i = 0; i < fixed.nr_areas; i++) {
		memcpy(&area, cap->at + sizeof(fixed) + i * sizeof(area), sizeof(area));
		area_add(info, area.offset, area.size);
	}
	return 0;
}

int vfio_region_info_parse(const void *buf, size_t bytes, struct quoll_region_info *info, uint64_t *fd_offset,
			   bool *msix_mappable)
{
	struct vfio_region_info head;
	struct vfio_caps caps;
	struct vfio_cap cap;
	int rc = 0;

	if (bytes < sizeof(head))
		return -EPROTO;
	memcpy(&head, buf, sizeof(head));
	memset(info, 0, sizeof(*info));
	info->size_bytes = head.size;
	info->flags = (head.flags & VFIO_REGION_INFO_FLAG_READ ? QUOLL_REGION_READ : 0) |
		      (head.flags & VFIO_REGION_INFO_FLAG_WRITE ? QUOLL_REGION_WRITE : 0) |
		      (head.flags & VFIO_REGION_INFO_FLAG_MMAP ? QUOLL_REGION_MMAP : 0);
	*fd_offset = head.offset;
	*msix_mappable = false;
	if (info->flags & QUOLL_REGION_MMAP)
		area_add(info, 0, head.size);
	if (!(head.flags & VFIO_REGION_INFO_FLAG_CAPS))
		return 0;
	vfio_caps_begin(&caps, buf, bytes, head.cap_offset);
	while ((rc = vfio_caps_next(&caps, &cap)) > 0) {
		if (cap.id == VFIO_REGION_INFO_CAP_MSIX_MAPPABLE)
			*msix_mappable = true;
		else if (cap.id == VFIO_REGION_INFO_CAP_SPARSE_MMAP && (info->flags & QUOLL_REGION_MMAP))
			rc = sparse_read(&cap, info);
		if (rc < 0)
			return rc;
	}
	return rc;
}

int vfio_device_info_take(struct quoll_device *dev, uint32_t flags, uint32_t nr_regions, uint32_t nr_irqs,
			  struct quoll_error *err)
{
	if (nr_regions > MAX_REGIONS || nr_irqs > MAX_IRQS)
		return quoll_error_set(err, EPROTO, "open", dev->name, "%u regions and %u interrupts are too many",
				       nr_regions, nr_irqs);
	if (flags & VFIO_DEVICE_FLAGS_PCI &&
	    (nr_regions <= VFIO_PCI_CONFIG_REGION_INDEX || nr_irqs <= VFIO_PCI_MSIX_IRQ_INDEX))
		return quoll_error_set(err, EPROTO, "open", dev->name, "said to be PCI, yet without config space");
	dev->info.bus = flags & VFIO_DEVICE_FLAGS_PCI	     ? QUOLL_BUS_PCI
			: flags & VFIO_DEVICE_FLAGS_PLATFORM ? QUOLL_BUS_PLATFORM
							     : QUOLL_BUS_OTHER;
	dev->info.nr_regions = nr_regions;
	dev->info.nr_irqs = nr_irqs;
	dev->info.can_reset = flags & VFIO_DEVICE_FLAGS_RESET;
	return 0;
}

unsigned int vfio_irq_flags(uint32_t flags)
{
	return (flags & VFIO_IRQ_INFO_EVENTFD ? QUOLL_IRQ_EVENTFD : 0) |
	       (flags & VFIO_IRQ_INFO_MASKABLE ? QUOLL_IRQ_MASKABLE : 0) |
	       (flags & VFIO_IRQ_INFO_AUTOMASKED ? QUOLL_IRQ_AUTOMASKED : 0) |
	       (flags & VFIO_IRQ_INFO_NORESIZE ? QUOLL_IRQ_NORESIZE : 0);
}

int vfio_region_prot(const struct quoll_region_info *info)
{
	return (info->flags & QUOLL_REGION_READ ? PROT_READ : 0) | (info->flags & QUOLL_REGION_WRITE ? PROT_WRITE : 0);
}
