/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_region.c - mapping of sparse regions, hostile lists of areas, bounds of every access.
 */
#include <setjmp.h>
#include <signal.h>

#include <quoll/mmio.h>

#include "fake_device.h"

static void areas_lie_at_their_offsets_and_nothing_else_is_reachable(void)
{
	struct quoll_region *region = NULL;
	uint32_t word = 0x11223344;
	struct fixture f;

	fake_reset();
	fake.bar.nr_areas = 2;
	fake.bar.areas[0] = (struct quoll_region_area){0, 0x1000};
	fake.bar.areas[1] = (struct quoll_region_area){0x3000, 0x1000};
	fixture_open(&f);
	CU_ASSERT_EQUAL_FATAL(quoll_region_map(f.dev, FAKE_BAR, &region, NULL), 0);
	CU_ASSERT_EQUAL(pwrite(fake.bar_fd, &word, 4, 0x3ffc), 4);
	CU_ASSERT_EQUAL(quoll_mmio_read32(quoll_region_ptr(region, 0x3ffc, 4)), word);
	quoll_mmio_write32(quoll_region_ptr(region, 0, 4), 0x55667788);
	CU_ASSERT_EQUAL(pread(fake.bar_fd, &word, 4, 0), 4);
	CU_ASSERT_EQUAL(word, 0x55667788);
	CU_ASSERT_EQUAL((const volatile uint8_t *)quoll_region_ptr(region, 0x3000, 1) -
				(const volatile uint8_t *)quoll_region_ptr(region, 0, 1),
			0x3000);

	CU_ASSERT_PTR_NOT_NULL(quoll_region_ptr(region, 0, 0x1000));
	CU_ASSERT_PTR_NULL(quoll_region_ptr(region, 0, 0x1001));
	CU_ASSERT_PTR_NULL(quoll_region_ptr(region, 0xffd, 4));
	CU_ASSERT_PTR_NULL(quoll_region_ptr(region, 0x1000, 1));
	CU_ASSERT_PTR_NULL(quoll_region_ptr(region, 0x2fff, 1));
	CU_ASSERT_PTR_NULL(quoll_region_ptr(region, 0x3000, 0));
	CU_ASSERT_PTR_NULL(quoll_region_ptr(region, 0x4000, 1));
	CU_ASSERT_PTR_NULL(quoll_region_ptr(region, 0x3ff0, UINT64_MAX));
	CU_ASSERT_PTR_NULL(quoll_region_ptr(region, UINT64_MAX, 2));
	CU_ASSERT_PTR_NULL(quoll_region_ptr(region, UINT64_MAX - 0xfff, 0x1000));
	quoll_region_unmap(region);
	CU_ASSERT_EQUAL(f.dev->nr_maps, 0);
	fixture_close(&f);
}

static sigjmp_buf fault;

static void on_fault(int sig)
{
	(void)sig;
	siglongjmp(fault, 1);
}

static void the_gap_between_areas_faults(void)
{
	struct sigaction act = {.sa_handler = on_fault}, old;
	struct quoll_region *region = NULL;
	volatile uint8_t *gap;
	struct fixture f;
	bool faulted;

	fake_reset();
	fake.bar.nr_areas = 2;
	fake.bar.areas[0] = (struct quoll_region_area){0, 0x1000};
	fake.bar.areas[1] = (struct quoll_region_area){0x3000, 0x1000};
	fixture_open(&f);
	CU_ASSERT_EQUAL_FATAL(quoll_region_map(f.dev, FAKE_BAR, &region, NULL), 0);
	gap = (volatile uint8_t *)quoll_region_ptr(region, 0, 1) + 0x2000;
	sigaction(SIGSEGV, &act, &old);
	faulted = sigsetjmp(fault, 1);
	if (!faulted)
		(void)*gap;
	sigaction(SIGSEGV, &old, NULL);
	CU_ASSERT_TRUE(faulted);
	fixture_close(&f);
}

static void hostile_areas_are_refused(void)
{
	static const struct {
		unsigned int nr;
		struct quoll_region_area areas[2];
		const char *fault;
	} bad[] = {
		{2, {{0, 0x2000}, {0x1000, 0x1000}}, "overlaps"},
		{2, {{0x1000, 0x1000}, {0, 0x4000}}, "overlaps"},
		{2, {{0, 0x1000}, {0, 0x1000}}, "overlaps"},
		{1, {{0x800, 0x1000}}, "begin at a page"},
		{1, {{0, 0x800}}, "end at a page"},
		{1, {{0, 0x5000}}, "outside"},
		{1, {{0x4000, 0x1000}}, "outside"},
		{1, {{0x1000, UINT64_MAX - 0xfff}}, "outside"},
		{1, {{UINT64_MAX - 0xfff, 0x2000}}, "outside"},
		{1, {{0x1000, 0}}, "empty"},
		{QUOLL_REGION_MAX_AREAS + 1, {{0, 0x1000}}, "17 areas"},
		{UINT32_MAX, {{0, 0x1000}}, "4294967295 areas"},
	};
	struct quoll_region *region = NULL;
	struct quoll_region_info info;
	struct quoll_error err;
	struct fixture f;

	fake_reset();
	fixture_open(&f);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memset(fake.bar.areas, 0, sizeof(fake.bar.areas));
		memcpy(fake.bar.areas, bad[i].areas, sizeof(bad[i].areas));
		fake.bar.nr_areas = bad[i].nr;
		CU_ASSERT_EQUAL(quoll_region_info(f.dev, FAKE_BAR, &info, &err), -EPROTO);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.what, bad[i].fault));
		CU_ASSERT_EQUAL(quoll_region_map(f.dev, FAKE_BAR, &region, &err), -EPROTO);
		CU_ASSERT_PTR_NULL(region);
	}
	CU_ASSERT_PTR_NULL(strstr(fake.calls, "region_map"));
	fixture_close(&f);
}

static void what_cannot_be_mapped_says_so(void)
{
	struct quoll_region *region = NULL;
	struct fixture f;

	fake_reset();
	fixture_open(&f);
	CU_ASSERT_EQUAL(quoll_region_map(f.dev, QUOLL_PCI_CONFIG, &region, NULL), -EPERM);
	CU_ASSERT_EQUAL(quoll_region_map(f.dev, QUOLL_PCI_BAR3, &region, NULL), -ENXIO);
	CU_ASSERT_EQUAL(quoll_region_map(f.dev, 9, &region, NULL), -ENXIO);
	CU_ASSERT_EQUAL(quoll_region_map(f.dev, UINT32_MAX, &region, NULL), -ENXIO);
	fake.bar.size_bytes = UINT64_MAX & ~0xfffull;
	fake.bar.areas[0].size_bytes = 0x1000;
	CU_ASSERT_EQUAL(quoll_region_map(f.dev, FAKE_BAR, &region, NULL), -ENOMEM);
	fake.bar.size_bytes = UINT64_MAX;
	CU_ASSERT_EQUAL(quoll_region_map(f.dev, FAKE_BAR, &region, NULL), -ENOMEM);
	fake.bar.size_bytes = 0x100; /* a BAR smaller than a page */
	fake.bar.areas[0].size_bytes = 0x100;
	CU_ASSERT_EQUAL_FATAL(quoll_region_map(f.dev, FAKE_BAR, &region, NULL), 0);
	CU_ASSERT_PTR_NOT_NULL(quoll_region_ptr(region, 0xfc, 4));
	CU_ASSERT_PTR_NULL(quoll_region_ptr(region, 0x100, 4));
	fixture_close(&f);
}

/* Registers are read and written through a pointer: where one is forbidden, an access would end the process. */
static void what_cannot_be_both_read_and_written_is_not_mapped(void)
{
	static const unsigned int flags[] = {0, QUOLL_REGION_READ, QUOLL_REGION_WRITE};
	struct quoll_region *region = NULL;
	struct fixture f;

	fake_reset();
	fixture_open(&f);
	for (unsigned int i = 0; i < 3; i++) {
		fake.bar.flags = QUOLL_REGION_MMAP | flags[i];
		CU_ASSERT_EQUAL(quoll_region_map(f.dev, FAKE_BAR, &region, NULL), -EPERM);
	}
	CU_ASSERT_PTR_NULL(strstr(fake.calls, "region_map"));
	fixture_close(&f);
}

static void a_mapping_that_fails_half_way_is_undone(void)
{
	struct quoll_region *region = NULL;
	struct fixture f;

	fake_reset();
	fake.bar.nr_areas = 2;
	fake.bar.areas[0] = (struct quoll_region_area){0, 0x1000};
	fake.bar.areas[1] = (struct quoll_region_area){0x3000, 0x1000};
	fixture_open(&f);
	fake.fail_call = "region_map";
	fake.fail_skip = 1;
	fake.fail_rc = -EAGAIN;
	CU_ASSERT_EQUAL(quoll_region_map(f.dev, FAKE_BAR, &region, NULL), -EAGAIN);
	CU_ASSERT_PTR_NULL(region);
	CU_ASSERT_EQUAL(f.dev->nr_maps, 0);
	fixture_close(&f);
}

static void accesses_beyond_a_region_are_refused(void)
{
	struct fixture f;
	uint8_t buf[16];

	fake_reset();
	fixture_open(&f);
	memset(buf, 0x5a, sizeof(buf));
	CU_ASSERT_EQUAL(quoll_region_write(f.dev, FAKE_BAR, FAKE_BAR_BYTES - 16, buf, 16), 0);
	memset(buf, 0, sizeof(buf));
	CU_ASSERT_EQUAL(quoll_region_read(f.dev, FAKE_BAR, FAKE_BAR_BYTES - 16, buf, 16), 0);
	CU_ASSERT_EQUAL(buf[15], 0x5a);
	CU_ASSERT_EQUAL(quoll_region_read(f.dev, FAKE_BAR, FAKE_BAR_BYTES - 15, buf, 16), -EINVAL);
	CU_ASSERT_EQUAL(quoll_region_read(f.dev, FAKE_BAR, FAKE_BAR_BYTES + 1, buf, 0), -EINVAL);
	CU_ASSERT_EQUAL(quoll_region_read(f.dev, FAKE_BAR, UINT64_MAX, buf, 16), -EINVAL);
	CU_ASSERT_EQUAL(quoll_region_read(f.dev, QUOLL_PCI_BAR1, 0, buf, 1), -ENXIO);
	CU_ASSERT_EQUAL(quoll_region_read(f.dev, 99, 0, buf, 1), -ENXIO);
	fake.bar.flags = QUOLL_REGION_READ;
	CU_ASSERT_EQUAL(quoll_region_write(f.dev, FAKE_BAR, 0, buf, 1), -EPERM);
	fixture_close(&f);
}

static void unmapping_one_of_several_keeps_the_others(void)
{
	struct quoll_region *a = NULL, *b = NULL, *c = NULL;
	struct fixture f;

	fake_reset();
	fixture_open(&f);
	CU_ASSERT_EQUAL(quoll_region_map(f.dev, FAKE_BAR, &a, NULL), 0);
	CU_ASSERT_EQUAL(quoll_region_map(f.dev, FAKE_BAR, &b, NULL), 0);
	CU_ASSERT_EQUAL(quoll_region_map(f.dev, FAKE_BAR, &c, NULL), 0);
	quoll_region_unmap(b);
	CU_ASSERT_EQUAL(f.dev->nr_maps, 2);
	quoll_mmio_write32(quoll_region_ptr(a, 0, 4), 7);
	CU_ASSERT_EQUAL(quoll_mmio_read32(quoll_region_ptr(c, 0, 4)), 7);
	quoll_region_unmap(NULL);
	fixture_close(&f); /* the rest goes with the device; LeakSanitizer looks */
}

static const struct unit_test tests[] = {
	{"areas lie at their offsets and nothing else is reachable",
	 areas_lie_at_their_offsets_and_nothing_else_is_reachable},
	{"the gap between areas faults", the_gap_between_areas_faults},
	{"hostile areas are refused", hostile_areas_are_refused},
	{"what cannot be mapped says so", what_cannot_be_mapped_says_so},
	{"what cannot be both read and written is not mapped", what_cannot_be_both_read_and_written_is_not_mapped},
	{"a mapping that fails half-way is undone", a_mapping_that_fails_half_way_is_undone},
	{"accesses beyond a region are refused", accesses_beyond_a_region_are_refused},
	{"unmapping one of several keeps the others", unmapping_one_of_several_keeps_the_others},
};

UNIT_MAIN("region", tests)
