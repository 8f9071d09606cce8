/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_fault_line.c - lines of the kernel's log as faults: real ones of VT-d (from the lab VM's kernels), of AMD-Vi and
 * SMMUv3 (from bug reports and the kernel's format strings), and lines that only look like them.
 */
#include <stdio.h>
#include <string.h>

#include "observe/fault_line.h"
#include "unit.h"

static struct quoll_fault fault;

static bool parse(const char *text)
{
	struct fault_lines lines = {0};

	return fault_line(&lines, text, 7000, 9, &fault) == FAULT_LINE_FAULT;
}

static void check(const char *device, uint64_t iova, enum quoll_fault_access access, const char *reason)
{
	CU_ASSERT_STRING_EQUAL(fault.device, device);
	CU_ASSERT_EQUAL(fault.iova, iova);
	CU_ASSERT_EQUAL(fault.access, access);
	CU_ASSERT_STRING_EQUAL(fault.reason, reason);
	CU_ASSERT_EQUAL(fault.log_us, 7000);
	CU_ASSERT_EQUAL(fault.mark, 9);
}

static void vt_d_write_and_read(void)
{
	CU_ASSERT(parse("DMAR: [DMA Write NO_PASID] Request device [03:00.0] fault addr 0x4000000 [fault reason 0x05] "
			"PTE Write access is not set"));
	check("03:00.0", 0x4000000, QUOLL_FAULT_WRITE, "PTE Write access is not set");
	CU_ASSERT(parse("DMAR: [DMA Read NO_PASID] Request device [00:1e.3] fault addr 0xffffa000 [fault reason 0x06] "
			"PTE Read access is not set"));
	check("00:1e.3", 0xffffa000, QUOLL_FAULT_READ, "PTE Read access is not set");
}

static void vt_d_with_a_pasid_and_the_spelling_of_linux_5_14(void)
{
	CU_ASSERT(parse("DMAR: [DMA Read PASID 0x12] Request device [6a:01.0] fault addr 0x10 [fault reason 0x71] "
			"SM: Present bit in first-level paging entry is clear"));
	check("6a:01.0", 0x10, QUOLL_FAULT_READ, "SM: Present bit in first-level paging entry is clear");
	CU_ASSERT(parse("DMAR: [DMA Read NO_PASID] Request device [0x00:0x02.0] fault addr 0x0 [fault reason 0x06] "
			"PTE Read access is not set"));
	check("00:02.0", 0, QUOLL_FAULT_READ, "PTE Read access is not set");
}

static void vt_d_forged_interrupt_has_no_address(void)
{
	CU_ASSERT(parse("DMAR: [INTR-REMAP] Request device [03:00.0] fault index 0xffff [fault reason 0x25] "
			"Blocked a compatibility format interrupt request"));
	check("03:00.0", 0, QUOLL_FAULT_INTERRUPT, "Blocked a compatibility format interrupt request");
}

static void amd_vi_with_and_without_a_driver(void)
{
	CU_ASSERT(parse("nvme 0000:01:00.0: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x000c address=0xffffc080 "
			"flags=0x0050]"));
	check("0000:01:00.0", 0xffffc080, QUOLL_FAULT_READ, "no read permission");
	CU_ASSERT(parse("ice 0000:c7:00.0: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x002b address=0x4000180000 "
			"flags=0x0020]"));
	check("0000:c7:00.0", 0x4000180000, QUOLL_FAULT_WRITE, "page not present");
	CU_ASSERT(parse("AMD-Vi: Event logged [IO_PAGE_FAULT device=0000:03:00.1 domain=0x000f address=0x1000 "
			"flags=0x0070]"));
	check("0000:03:00.1", 0x1000, QUOLL_FAULT_WRITE, "no write permission");
	CU_ASSERT(parse("AMD-Vi: Event logged [IO_PAGE_FAULT device=03:00.1 domain=0x000f address=0x1000 "
			"flags=0x0000]"));
	check("03:00.1", 0x1000, QUOLL_FAULT_READ, "page not present");
}

static void what_only_looks_like_a_fault_is_none(void)
{
	static const char *const not_faults[] = {
		"",
		"DMAR: DRHD: handling fault status reg 2",
		"DMAR: [DMA Write NO_PASID]",
		"DMAR: [DMA Move NO_PASID] Request device [03:00.0] fault addr 0x1 [fault reason 0x05] x",
		"DMAR: [DMA Write NO_PASID] Request device [3:0.0] fault addr 0x1 [fault reason 0x05] x",
		"DMAR: [DMA Write NO_PASID] Request device [03:00.0",
		"DMAR: [DMA Write NO_PASID] Request device [../../etc/passwd] fault addr 0x1 [fault reason 0x05] x",
		"DMAR: [DMA Write NO_PASID] Request device [03:00.0] fault addr -1 [fault reason 0x05] x",
		"DMAR: [DMA Write NO_PASID] Request device [03:00.0] fault addr 0x12345678123456781 [fault reason 5] x",
		"DMAR: [DMA Write NO_PASID] Request device [03:00.0] fault addr 0x1",
		"say DMAR: [DMA Write NO_PASID] Request device [03:00.0] fault addr 0x1 [fault reason 0x05] x",
		"AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x000f address=0x1000 flags=0x0000]",
		"AMD-Vi: Event logged [IO_PAGE_FAULT device=03:00.1 address=0x1000",
		"AMD-Vi: Event logged [IO_PAGE_FAULT device=03:00.1 flags=0x0000]",
		"nvme nvme0: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x000c address=0x0 flags=0x0050]",
		/* What the kernel repeats of USB devices and programs, after words of its own. */
		"usb 1-1: Product: AMD-Vi: Event logged [IO_PAGE_FAULT device=0000:03:00.0 address=0x1 flags=0x20]",
		("a[12]: segfault at 0 ip 1 sp 2 error 4 in AMD-Vi: Event logged [IO_PAGE_FAULT device=03:00.0 "
		 "address=0x1 flags=0x20][5+1]"),
		"x 03:00.0: y AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x1 address=0x1 flags=0x20]",
		"x 03:00.0:AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x1 address=0x1 flags=0x20]",
		"03:00.0: AMD-Vi: Event logged [IO_PAGE_FAULT device=03:00.0 address=0x1 flags=0x20]",
		"AMD-Vi: Event logged [ILLEGAL_DEV_TABLE_ENTRY device=03:00.1 address=0x1000 flags=0x0000]",
	};

	for (unsigned int i = 0; i < sizeof(not_faults) / sizeof(not_faults[0]); i++) {
		if (parse(not_faults[i]))
			printf("\n    taken for a fault: %s", not_faults[i]);
		CU_ASSERT(!parse(not_faults[i]));
	}
}

static void a_long_reason_is_cut_and_control_characters_end_it(void)
{
	char text[1024];

	snprintf(text, sizeof(text),
		 "DMAR: [DMA Write NO_PASID] Request device [03:00.0] fault addr 0x1 [fault reason 0x05] %0600d", 1);
	CU_ASSERT(parse(text));
	CU_ASSERT_EQUAL(strlen(fault.reason), sizeof(fault.reason) - 1);
	CU_ASSERT(parse(
		"DMAR: [DMA Write NO_PASID] Request device [03:00.0] fault addr 0x1 [fault reason 0x05] a\033[2J"));
	CU_ASSERT_STRING_EQUAL(fault.reason, "a");
}

/* What becomes of several lines: the last answer, EARLIER lines handed in again. */
static unsigned int feed(struct fault_lines *lines, const char *const *text, unsigned int nr)
{
	struct quoll_fault got;
	unsigned int faults = 0;

	for (unsigned int i = 0; i < nr; i++) {
		enum fault_line what;

		do {
			what = fault_line(lines, text[i], 7000 + i, 9 + i, &got);
			if (what != FAULT_LINE_NONE) {
				fault = got;
				faults++;
			}
		} while (what == FAULT_LINE_EARLIER);
	}
	return faults;
}

#define SMMU "arm-smmu-v3 arm-smmu-v3.0.auto: "
#define SMMU_BEGIN SMMU "event 0x13 received:"
#define SMMU_WORD_0 SMMU "\\x090x0000030000000013"
#define SMMU_WORD_1 SMMU "\\x090x0000020800000000"
#define SMMU_WORD_2 SMMU "\\x090x00000000fff01000"
#define SMMU_WORD_3 SMMU "\\x090x00000000fff01000"

static void smmu_v3_raw_words_give_stream_address_and_direction(void)
{
	static const char *const text[] = {SMMU_BEGIN,	SMMU_WORD_0, SMMU_WORD_1, "usb 1-1: in between",
					   SMMU_WORD_2, SMMU_WORD_3};
	struct fault_lines lines = {0};

	CU_ASSERT_EQUAL(feed(&lines, text, 6), 0);
	CU_ASSERT(fault_lines_end(&lines, &fault));
	check("sid 0x300", 0xfff01000, QUOLL_FAULT_READ, "F_PERMISSION");
	CU_ASSERT(!fault_lines_end(&lines, &fault));
}

static void smmu_v3_of_newer_kernels_names_the_device_and_counts_once(void)
{
	static const char *const text[] = {
		SMMU_BEGIN,
		SMMU_WORD_0,
		SMMU_WORD_1,
		SMMU_WORD_2,
		SMMU_WORD_3,
		SMMU "event: F_PERMISSION client: 0000:03:00.0 sid: 0x300 ssid: 0x0 iova: 0xfff01000 ipa: 0xfff01000",
		SMMU "unpriv data read s1 \"Input address caused fault\" stag: 0x0",
	};
	struct fault_lines lines = {0};

	CU_ASSERT_EQUAL(feed(&lines, text, 7), 1);
	check("0000:03:00.0", 0xfff01000, QUOLL_FAULT_READ, "F_PERMISSION");
	CU_ASSERT(!fault_lines_end(&lines, &fault));
}

static void smmu_v3_events_follow_each_other(void)
{
	static const char *const text[] = {SMMU_BEGIN,	SMMU_WORD_0, SMMU_WORD_1, SMMU_WORD_2, SMMU_WORD_3, SMMU_BEGIN,
					   SMMU_WORD_0, SMMU_WORD_1, SMMU_WORD_2, SMMU_WORD_3, SMMU "other"};
	struct fault_lines lines = {0};

	CU_ASSERT_EQUAL(feed(&lines, text, 11), 2);
}

static void smmu_v3_events_without_an_address_or_all_words_are_none(void)
{
	static const char *const no_access[] = {SMMU "event 0x02 received:", SMMU "\\x090x0000030000000002",
						SMMU_WORD_1, SMMU_WORD_2, SMMU_WORD_3};
	static const char *const cut[] = {SMMU_BEGIN, SMMU_WORD_0, SMMU_WORD_1, SMMU_WORD_2, SMMU "other"};
	struct fault_lines lines = {0};

	CU_ASSERT_EQUAL(feed(&lines, no_access, 5), 0);
	CU_ASSERT(!fault_lines_end(&lines, &fault));
	CU_ASSERT_EQUAL(feed(&lines, cut, 5), 0);
	CU_ASSERT(!fault_lines_end(&lines, &fault));
}

static void whose_fault_it_is_with_and_without_a_domain(void)
{
	struct quoll_fault f = {.device = "03:00.0"};

	CU_ASSERT(quoll_fault_is_of(&f, "0000:03:00.0"));
	CU_ASSERT(!quoll_fault_is_of(&f, "0000:13:00.0"));
	CU_ASSERT(!quoll_fault_is_of(&f, "0000:03:00.1"));
	CU_ASSERT(!quoll_fault_is_of(&f, ".0"));
	strcpy(f.device, "0000:03:00.0");
	CU_ASSERT(quoll_fault_is_of(&f, "0000:03:00.0"));
	CU_ASSERT(!quoll_fault_is_of(&f, "0001:03:00.0"));
	f.device[0] = '\0';
	CU_ASSERT(!quoll_fault_is_of(&f, "0000:03:00.0"));
}

static const struct unit_test tests[] = {
	{"VT-d: write and read", vt_d_write_and_read},
	{"VT-d: with a PASID, and the spelling of Linux 5.14", vt_d_with_a_pasid_and_the_spelling_of_linux_5_14},
	{"VT-d: a forged interrupt has no address", vt_d_forged_interrupt_has_no_address},
	{"AMD-Vi: with and without a driver", amd_vi_with_and_without_a_driver},
	{"what only looks like a fault is none", what_only_looks_like_a_fault_is_none},
	{"a long reason is cut, control characters end it", a_long_reason_is_cut_and_control_characters_end_it},
	{"SMMUv3: raw words give stream, address and direction", smmu_v3_raw_words_give_stream_address_and_direction},
	{"SMMUv3: newer kernels name the device, and it counts once",
	 smmu_v3_of_newer_kernels_names_the_device_and_counts_once},
	{"SMMUv3: events follow each other", smmu_v3_events_follow_each_other},
	{"SMMUv3: without an address or all words it is none", smmu_v3_events_without_an_address_or_all_words_are_none},
	{"whose fault it is, with and without a PCI domain", whose_fault_it_is_with_and_without_a_domain},
};

UNIT_MAIN("fault lines", tests)
