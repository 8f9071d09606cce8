/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_vfio_info.c - the parsers of VFIO's variable-length answers, well-formed and hostile.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <linux/vfio.h>

#include "backend/vfio.h"
#include "unit.h"

/* An answer under construction; copied to a heap block of its exact size, so that ASan sees a read past its end. */
struct answer {
	uint8_t bytes[8192];
	size_t used;
};

static void put(struct answer *a, const void *data, size_t len)
{
	memcpy(a->bytes + a->used, data, len);
	a->used += len;
}

static void put_cap(struct answer *a, uint16_t id, uint32_t next)
{
	struct vfio_info_cap_header header = {.id = id, .version = 1, .next = next};

	put(a, &header, sizeof(header));
}

static void iommu_head(struct answer *a, uint32_t flags, uint32_t cap_offset)
{
	struct vfio_iommu_type1_info head = {.flags = flags, .iova_pgsizes = 0x40201000, .cap_offset = cap_offset};

	memset(a, 0, sizeof(*a));
	put(a, &head, sizeof(head));
}

static void put_ranges(struct answer *a, uint32_t claimed, const struct vfio_iova_range *ranges, unsigned int nr)
{
	uint32_t counts[2] = {claimed, 0};

	put(a, counts, sizeof(counts));
	put(a, ranges, nr * sizeof(*ranges));
}

static int iommu_parse(const struct answer *a, struct quoll_ioas_info *info)
{
	void *exact = malloc(a->used);
	int rc;

	memcpy(exact, a->bytes, a->used);
	memset(info, 0, sizeof(*info));
	rc = vfio_iommu_info_parse(exact, a->used, info);
	free(exact);
	return rc;
}

#define PGSIZES_AND_CAPS (VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS)
#define HEAD sizeof(struct vfio_iommu_type1_info)
#define MSI_FIRST 0xfee00000u
#define MSI_LAST 0xfeefffffu

static void a_whole_answer_becomes_limits(void)
{
	const struct vfio_iova_range ranges[] = {{0, MSI_FIRST - 1}, {MSI_LAST + 1ull, (1ull << 39) - 1}};
	struct quoll_ioas_info info;
	struct answer a;
	uint32_t avail[2] = {65535, 0};

	iommu_head(&a, PGSIZES_AND_CAPS, HEAD);
	put_cap(&a, VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION, HEAD + 8);
	put_cap(&a, VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, HEAD + 24);
	put(&a, avail, sizeof(avail));
	put_cap(&a, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, 0);
	put_ranges(&a, 2, ranges, 2);
	CU_ASSERT_EQUAL(iommu_parse(&a, &info), 0);
	CU_ASSERT_EQUAL(info.page_sizes, 0x40201000);
	CU_ASSERT_EQUAL(info.maps_avail, 65535);
	CU_ASSERT_EQUAL(info.nr_ranges, 2);
	CU_ASSERT_EQUAL(info.ranges[0].last, MSI_FIRST - 1);
	CU_ASSERT_EQUAL(info.ranges[1].first, MSI_LAST + 1ull);
	CU_ASSERT_EQUAL(info.ranges[1].last, (1ull << 39) - 1);
}

static void the_msi_window_is_cut_out_where_the_kernel_did_not(void)
{
	const struct vfio_iova_range whole = {0, UINT64_MAX};
	struct quoll_ioas_info info;
	struct answer a;

	iommu_head(&a, PGSIZES_AND_CAPS, HEAD);
	put_cap(&a, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, 0);
	put_ranges(&a, 1, &whole, 1);
	CU_ASSERT_EQUAL(iommu_parse(&a, &info), 0);
#if defined(__x86_64__)
	CU_ASSERT_EQUAL(info.nr_ranges, 2);
	CU_ASSERT_EQUAL(info.ranges[0].first, 0);
	CU_ASSERT_EQUAL(info.ranges[0].last, MSI_FIRST - 1);
	CU_ASSERT_EQUAL(info.ranges[1].first, MSI_LAST + 1ull);
	CU_ASSERT_EQUAL(info.ranges[1].last, UINT64_MAX);
#endif
}

static void an_old_kernel_without_capabilities_gets_39_bits(void)
{
	struct quoll_ioas_info info;
	struct answer a;

	iommu_head(&a, VFIO_IOMMU_INFO_PGSIZES, 0);
	a.used = offsetof(struct vfio_iommu_type1_info, cap_offset);
	CU_ASSERT_EQUAL(iommu_parse(&a, &info), 0);
	CU_ASSERT_EQUAL(info.maps_avail, UINT32_MAX);
	CU_ASSERT_EQUAL(info.ranges[info.nr_ranges - 1].last, (1ull << 39) - 1);
}

static void short_answers_are_refused(void)
{
	struct quoll_ioas_info info;
	struct answer a;

	iommu_head(&a, VFIO_IOMMU_INFO_PGSIZES, 0);
	for (a.used = 1; a.used < offsetof(struct vfio_iommu_type1_info, cap_offset); a.used++)
		CU_ASSERT_EQUAL(iommu_parse(&a, &info), -EPROTO);
	iommu_head(&a, 0, 0);
	CU_ASSERT_EQUAL(iommu_parse(&a, &info), -EPROTO);
}

static void capabilities_outside_the_answer_are_refused(void)
{
	static const uint32_t offsets[] = {HEAD + 1, HEAD + 7, HEAD + 8, 5000, UINT32_MAX, UINT32_MAX - 7};
	struct quoll_ioas_info info;
	struct answer a;

	for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
		iommu_head(&a, PGSIZES_AND_CAPS, offsets[i]);
		put_cap(&a, 99, 0);
		CU_ASSERT_EQUAL(iommu_parse(&a, &info), -EPROTO);
		iommu_head(&a, PGSIZES_AND_CAPS, HEAD);
		put_cap(&a, 99, offsets[i]);
		CU_ASSERT_EQUAL(iommu_parse(&a, &info), -EPROTO);
	}
}

static void loops_end(void)
{
	struct quoll_ioas_info info;
	struct answer a;

	iommu_head(&a, PGSIZES_AND_CAPS, HEAD);
	put_cap(&a, 99, HEAD);
	CU_ASSERT_EQUAL(iommu_parse(&a, &info), -ELOOP);
	iommu_head(&a, PGSIZES_AND_CAPS, HEAD);
	put_cap(&a, 99, HEAD + 8);
	put_cap(&a, 98, HEAD);
	CU_ASSERT_EQUAL(iommu_parse(&a, &info), -ELOOP);
}

static void counts_beyond_the_answer_are_refused(void)
{
	static const uint32_t claimed[] = {3, 0x10000000, UINT32_MAX};
	const struct vfio_iova_range ranges[] = {{0, 0xfff}, {0x2000, 0x2fff}};
	struct quoll_ioas_info info;
	struct answer a;

	for (size_t i = 0; i < 3; i++) {
		iommu_head(&a, PGSIZES_AND_CAPS, HEAD);
		put_cap(&a, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, 0);
		put_ranges(&a, claimed[i], ranges, 2);
		CU_ASSERT_EQUAL(iommu_parse(&a, &info), -EPROTO);
	}
	iommu_head(&a, PGSIZES_AND_CAPS, HEAD);
	put_cap(&a, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, 0);
	CU_ASSERT_EQUAL(iommu_parse(&a, &info), -EPROTO);
	iommu_head(&a, PGSIZES_AND_CAPS, HEAD);
	put_cap(&a, VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, 0);
	CU_ASSERT_EQUAL(iommu_parse(&a, &info), -EPROTO);
}

static void ranges_out_of_order_are_refused(void)
{
	static const struct vfio_iova_range bad[][2] = {
		{{0x2000, 0x1fff}, {0x3000, 0x3fff}},
		{{0x2000, 0x2fff}, {0x1000, 0x1fff}},
		{{0x2000, 0x2fff}, {0x2fff, 0x3fff}},
	};
	struct quoll_ioas_info info;
	struct answer a;

	for (size_t i = 0; i < 3; i++) {
		iommu_head(&a, PGSIZES_AND_CAPS, HEAD);
		put_cap(&a, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, 0);
		put_ranges(&a, 2, bad[i], 2);
		CU_ASSERT_EQUAL(iommu_parse(&a, &info), -EPROTO);
	}
}

static void more_ranges_than_the_table_holds_are_left_out(void)
{
	struct vfio_iova_range many[QUOLL_IOAS_MAX_RANGES + 5];
	struct quoll_ioas_info info;
	struct answer a;

	for (unsigned int i = 0; i < QUOLL_IOAS_MAX_RANGES + 5; i++)
		many[i] = (struct vfio_iova_range){i * 0x2000ull, i * 0x2000ull + 0xfff};
	iommu_head(&a, PGSIZES_AND_CAPS, HEAD);
	put_cap(&a, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, 0);
	put_ranges(&a, QUOLL_IOAS_MAX_RANGES + 5, many, QUOLL_IOAS_MAX_RANGES + 5);
	CU_ASSERT_EQUAL(iommu_parse(&a, &info), 0);
	CU_ASSERT_EQUAL(info.nr_ranges, QUOLL_IOAS_MAX_RANGES);
	CU_ASSERT_EQUAL(info.ranges[63].first, 63 * 0x2000);
	vfio_ranges_exclude(&info, 0x100, 0x1ff); /* splits the first: the last must make room */
	CU_ASSERT_EQUAL(info.nr_ranges, QUOLL_IOAS_MAX_RANGES);
	CU_ASSERT_EQUAL(info.ranges[63].first, 62 * 0x2000);
}

static void region_head(struct answer *a, uint32_t flags, uint32_t cap_offset)
{
	struct vfio_region_info head = {
		.flags = flags, .cap_offset = cap_offset, .size = 0x10000, .offset = 0x70000000000};

	memset(a, 0, sizeof(*a));
	put(a, &head, sizeof(head));
}

static int region_parse(const struct answer *a, struct quoll_region_info *info, bool *msix_mappable)
{
	void *exact = malloc(a->used);
	uint64_t fd_offset = 0;
	int rc;

	memcpy(exact, a->bytes, a->used);
	rc = vfio_region_info_parse(exact, a->used, info, &fd_offset, msix_mappable);
	if (!rc)
		CU_ASSERT_EQUAL(fd_offset, 0x70000000000);
	free(exact);
	return rc;
}

#define RW (VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE)
#define MMAP_CAPS (RW | VFIO_REGION_INFO_FLAG_MMAP | VFIO_REGION_INFO_FLAG_CAPS)
#define REGION_HEAD sizeof(struct vfio_region_info)

static void a_region_is_mapped_whole_sparse_or_not_at_all(void)
{
	const struct vfio_region_sparse_mmap_area areas[] = {{0, 0x2000}, {0x4000, 0xc000}};
	uint32_t counts[2] = {2, 0};
	struct quoll_region_info info;
	struct answer a;
	bool mappable;

	region_head(&a, RW, 0);
	CU_ASSERT_EQUAL(region_parse(&a, &info, &mappable), 0);
	CU_ASSERT_EQUAL(info.flags, QUOLL_REGION_READ | QUOLL_REGION_WRITE);
	CU_ASSERT_EQUAL(info.nr_areas, 0);

	region_head(&a, MMAP_CAPS, REGION_HEAD);
	put_cap(&a, VFIO_REGION_INFO_CAP_MSIX_MAPPABLE, 0);
	CU_ASSERT_EQUAL(region_parse(&a, &info, &mappable), 0);
	CU_ASSERT_TRUE(mappable);
	CU_ASSERT_EQUAL(info.nr_areas, 1);
	CU_ASSERT_EQUAL(info.areas[0].size_bytes, 0x10000);

	region_head(&a, MMAP_CAPS, REGION_HEAD);
	put_cap(&a, VFIO_REGION_INFO_CAP_SPARSE_MMAP, 0);
	put(&a, counts, sizeof(counts));
	put(&a, areas, sizeof(areas));
	CU_ASSERT_EQUAL(region_parse(&a, &info, &mappable), 0);
	CU_ASSERT_FALSE(mappable);
	CU_ASSERT_EQUAL(info.nr_areas, 2);
	CU_ASSERT_EQUAL(info.areas[1].offset, 0x4000);
	counts[0] = 3;
	memcpy(a.bytes + REGION_HEAD + 8, counts, sizeof(counts));
	CU_ASSERT_EQUAL(region_parse(&a, &info, &mappable), -EPROTO);
	region_head(&a, MMAP_CAPS, REGION_HEAD);
	put_cap(&a, VFIO_REGION_INFO_CAP_MSIX_MAPPABLE, REGION_HEAD);
	CU_ASSERT_EQUAL(region_parse(&a, &info, &mappable), -ELOOP);
	a.used = REGION_HEAD - 1;
	CU_ASSERT_EQUAL(region_parse(&a, &info, &mappable), -EPROTO);
}

static void the_pages_of_an_msix_table_are_cut_out(void)
{
	struct quoll_region_info info = {.size_bytes = 0x10000, .nr_areas = 1, .areas = {{0, 0x10000}}};

	vfio_areas_exclude(&info, 0x2000, 0x1000);
	CU_ASSERT_EQUAL(info.nr_areas, 2);
	CU_ASSERT_EQUAL(info.areas[0].size_bytes, 0x2000);
	CU_ASSERT_EQUAL(info.areas[1].offset, 0x3000);
	CU_ASSERT_EQUAL(info.areas[1].size_bytes, 0xd000);
	vfio_areas_exclude(&info, 0, 0x1000);
	CU_ASSERT_EQUAL(info.areas[0].offset, 0x1000);
	CU_ASSERT_EQUAL(info.areas[0].size_bytes, 0x1000);
	vfio_areas_exclude(&info, 0xf000, UINT64_MAX); /* a length that wraps goes to the end */
	CU_ASSERT_EQUAL(info.areas[1].size_bytes, 0xc000);
	vfio_areas_exclude(&info, 0, 0x10000);
	CU_ASSERT_EQUAL(info.nr_areas, 0);
}

static void an_msix_table_is_placed_in_whole_pages(void)
{
	uint64_t offset, size;

	CU_ASSERT_EQUAL(vfio_msix_table_pages(0x8040, 0x2000, &offset, &size), 0); /* 65 entries of 16 bytes */
	CU_ASSERT_EQUAL(offset, 0x2000);
	CU_ASSERT_EQUAL(size, 0x1000);
	CU_ASSERT_EQUAL(vfio_msix_table_pages(0x07ff, 0x00000803, &offset, &size), 3); /* 2048, across pages */
	CU_ASSERT_EQUAL(offset, 0);
	CU_ASSERT_EQUAL(size, 0x9000);
	CU_ASSERT_EQUAL(vfio_msix_table_pages(0xffff, 0xffffffff, &offset, &size), 7);
	CU_ASSERT_EQUAL(offset, 0xfffff000);
	CU_ASSERT_EQUAL(size, 0x9000); /* past 4 GiB without wrapping */
}

static void a_device_with_too_much_or_without_config_space_is_refused(void)
{
	struct quoll_device dev = {.name = "x"};
	struct quoll_error err = {0};

	CU_ASSERT_EQUAL(vfio_device_info_take(&dev, VFIO_DEVICE_FLAGS_PCI, 257, 5, &err), -EPROTO);
	CU_ASSERT_EQUAL(vfio_device_info_take(&dev, VFIO_DEVICE_FLAGS_PCI, 9, UINT32_MAX, &err), -EPROTO);
	CU_ASSERT_STRING_EQUAL(err.what, "9 regions and 4294967295 interrupts are too many");
	CU_ASSERT_EQUAL(vfio_device_info_take(&dev, VFIO_DEVICE_FLAGS_PCI, VFIO_PCI_CONFIG_REGION_INDEX, 5, &err),
			-EPROTO);
	CU_ASSERT_EQUAL(vfio_device_info_take(&dev, VFIO_DEVICE_FLAGS_PCI, 9, VFIO_PCI_MSIX_IRQ_INDEX, &err), -EPROTO);
	CU_ASSERT_EQUAL(dev.info.nr_regions, 0); /* nothing was taken over */
	CU_ASSERT_EQUAL(vfio_device_info_take(&dev, VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET, 256, 5, &err), 0);
	CU_ASSERT(dev.info.bus == QUOLL_BUS_PCI && dev.info.can_reset);
	CU_ASSERT(dev.info.nr_regions == 256 && dev.info.nr_irqs == 5);
	CU_ASSERT_EQUAL(vfio_device_info_take(&dev, VFIO_DEVICE_FLAGS_PLATFORM, 1, 0, &err), 0);
	CU_ASSERT(dev.info.bus == QUOLL_BUS_PLATFORM && !dev.info.can_reset);
}

static void flags_are_translated(void)
{
	static const struct quoll_region_info read_only = {.flags = QUOLL_REGION_READ | QUOLL_REGION_MMAP};

	CU_ASSERT_EQUAL(vfio_irq_flags(VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE | 1u << 31),
			QUOLL_IRQ_EVENTFD | QUOLL_IRQ_NORESIZE);
	CU_ASSERT_EQUAL(vfio_irq_flags(VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED),
			QUOLL_IRQ_MASKABLE | QUOLL_IRQ_AUTOMASKED);
	CU_ASSERT_EQUAL(vfio_region_prot(&read_only), PROT_READ);
}

static const struct unit_test tests[] = {
	{"a whole answer becomes limits", a_whole_answer_becomes_limits},
	{"the MSI window is cut out where the kernel did not", the_msi_window_is_cut_out_where_the_kernel_did_not},
	{"an old kernel without capabilities gets 39 bits", an_old_kernel_without_capabilities_gets_39_bits},
	{"short answers are refused", short_answers_are_refused},
	{"capabilities outside the answer are refused", capabilities_outside_the_answer_are_refused},
	{"loops end", loops_end},
	{"counts beyond the answer are refused", counts_beyond_the_answer_are_refused},
	{"ranges out of order are refused", ranges_out_of_order_are_refused},
	{"more ranges than the table holds are left out", more_ranges_than_the_table_holds_are_left_out},
	{"a region is mapped whole, sparse or not at all", a_region_is_mapped_whole_sparse_or_not_at_all},
	{"an MSI-X table is placed in whole pages", an_msix_table_is_placed_in_whole_pages},
	{"the pages of an MSI-X table are cut out", the_pages_of_an_msix_table_are_cut_out},
	{"a device with too much, or without config space, is refused",
	 a_device_with_too_much_or_without_config_space_is_refused},
	{"flags are translated", flags_are_translated},
};

UNIT_MAIN("VFIO answers", tests)
