/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fake.h"
#include "unit.h"

static void test_lab(void)
{
	struct quoll_group_list list;
	struct quoll_error err = {0};
	const struct quoll_group_desc *g;
	const struct quoll_member *m;
	struct fake f;

	fake_open(&f, fake_lab, fake_lab_nr);
	CU_ASSERT_EQUAL_FATAL(quoll_groups_read(&f.env, &list, &err), 0);
	CU_ASSERT_EQUAL_FATAL(list.nr_groups, 6);
	for (unsigned int i = 1; i < list.nr_groups; i++)
		CU_ASSERT(list.groups[i - 1].id < list.groups[i].id);
	g = &list.groups[1];
	CU_ASSERT_EQUAL(g->id, LAB_GROUP_SLOT);
	CU_ASSERT_EQUAL_FATAL(g->nr_members, 2);
	m = &g->members[1];
	CU_ASSERT_STRING_EQUAL(m->name, LAB_SLOT1);
	CU_ASSERT_STRING_EQUAL(m->bus, "pci");
	CU_ASSERT_STRING_EQUAL(m->driver, "e1000e");
	CU_ASSERT_EQUAL(m->vendor_id, 0x8086);
	CU_ASSERT_EQUAL(m->device_id, 0x10d3);
	CU_ASSERT_EQUAL(m->class_code, 0x020000);
	CU_ASSERT_EQUAL(m->numa_node, 1);
	CU_ASSERT_EQUAL(device_numa_node(&f.env, LAB_SLOT1), 1);
	CU_ASSERT_EQUAL(device_numa_node(&f.env, "0000:ff:1f.7"), -1);
	CU_ASSERT_FALSE(m->is_bridge);
	CU_ASSERT_TRUE(m->blocks);
	CU_ASSERT_PTR_NOT_NULL(strstr(m->description, "82574L"));
	CU_ASSERT_STRING_EQUAL(m->class_name, "Ethernet controller");
	CU_ASSERT_FALSE(g->viable);
	CU_ASSERT_PTR_NOT_NULL(strstr(g->blocker, LAB_SLOT0 " is with its kernel driver nvme, and 1 more"));
	CU_ASSERT_PTR_NOT_NULL(strstr(g->blocker, "quoll bind " LAB_SLOT0));
	quoll_groups_free(&list);
	CU_ASSERT_EQUAL(list.nr_groups, 0);
	fake_close(&f);
}

static void test_viable(void)
{
	static const struct {
		const char *bridge_driver, *driver;
		bool viable;
	} cases[] = {
		{"pcieport", "vfio-pci", true}, {"pci-stub", "", true},	       {"", "mlx5_vfio_pci", true},
		{"", "pci-stub", true},		{"shpchp", "vfio-pci", false}, {"pcieport", "e1000", false},
		{"", "uio_pci_generic", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct fake_device devices[] = {
			{"pci0000:00/0000:00:01.0", 5, 0x060400, cases[i].bridge_driver, CONFIG_PCI_BRIDGE},
			{"pci0000:00/0000:00:01.0/0000:01:00.0", 5, 0x020000, cases[i].driver, CONFIG_PCI},
		};
		struct quoll_group_list list;
		struct quoll_group_desc *g;
		struct fake f;

		fake_open(&f, devices, 2);
		g = fake_describe(&f, 5, &list);
		CU_ASSERT_PTR_NOT_NULL_FATAL(g);
		CU_ASSERT_EQUAL(g->viable, cases[i].viable);
		CU_ASSERT_EQUAL(g->blocker[0] == '\0', cases[i].viable);
		CU_ASSERT_TRUE(g->members[0].is_bridge);
		CU_ASSERT_FALSE(g->members[1].is_bridge);
		quoll_groups_free(&list);
		fake_close(&f);
	}
}

static void test_not_pci(void)
{
	static const struct fake_device devices[] = {
		{"platform/fe200000.mmc", 7, 0, "sdhci", CONFIG_PCI},
		{"platform/fe300000.usb", 7, 0, "", CONFIG_PCI},
	};
	struct quoll_group_list list;
	struct quoll_group_desc *g;
	struct fake f;

	fake_open(&f, devices, 2);
	g = fake_describe(&f, 7, &list);
	CU_ASSERT_PTR_NOT_NULL_FATAL(g);
	CU_ASSERT_EQUAL(g->nr_members, 2);
	CU_ASSERT_STRING_EQUAL(g->members[0].name, "fe200000.mmc");
	CU_ASSERT_STRING_EQUAL(g->members[0].bus, "platform");
	CU_ASSERT_STRING_EQUAL(g->members[0].driver, "sdhci");
	CU_ASSERT_EQUAL(g->members[0].vendor_id, 0);
	CU_ASSERT_EQUAL(g->members[0].numa_node, -1);
	CU_ASSERT_EQUAL(g->reason, QUOLL_GROUP_OTHER);
	CU_ASSERT_FALSE(g->viable);
	quoll_groups_free(&list);
	fake_close(&f);
}

static void test_one_device(void)
{
	struct quoll_group_list list;
	struct quoll_error err = {0};
	struct quoll_addr addr;
	struct fake f;

	fake_open(&f, fake_lab, fake_lab_nr);
	quoll_addr_parse("02:00.1", &addr, NULL);
	CU_ASSERT_EQUAL_FATAL(quoll_group_read(&f.env, &addr, &list, &err), 0);
	CU_ASSERT_EQUAL(list.nr_groups, 1);
	CU_ASSERT_EQUAL(list.groups[0].id, LAB_GROUP_SLOT);
	quoll_groups_free(&list);
	quoll_addr_parse("7f:00.1", &addr, NULL);
	CU_ASSERT_EQUAL(quoll_group_read(&f.env, &addr, &list, &err), -ENOENT);
	CU_ASSERT_STRING_EQUAL(err.subject, "0000:7f:00.1");
	CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "quoll groups"));
	quoll_addr_parse("mem:1G", &addr, NULL);
	CU_ASSERT_EQUAL(quoll_group_read(&f.env, &addr, &list, &err), -EINVAL);
	fake_close(&f);
}

static void test_device_without_group(void)
{
	static const struct fake_device devices[] = {
		{"pci0000:00/0000:00:01.0", 1, 0x020000, "", CONFIG_PCI},
		{"pci0000:00/0000:00:02.0", -1, 0x020000, "", CONFIG_PCI},
	};
	struct quoll_group_list list;
	struct quoll_error err = {0};
	struct quoll_addr addr;
	struct fake f;

	fake_open(&f, devices, 2);
	quoll_addr_parse("00:02.0", &addr, NULL);
	CU_ASSERT_EQUAL(quoll_group_read(&f.env, &addr, &list, &err), -ENODEV);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "in no IOMMU group"));
	fake_close(&f);
}

static void test_no_iommu(void)
{
	static const struct fake_device device = {"pci0000:00/0000:00:02.0", -1, 0x020000, "", CONFIG_PCI};
	static const struct {
		const char *cpuinfo, *cmdline, *hint, *not_in_hint;
	} cases[] = {
		{"vendor_id : GenuineIntel\n", "quiet", "add intel_iommu=on", "virtual"},
		{"vendor_id : GenuineIntel\n", "intel_iommu=on", "switch VT-d on", "add intel"},
		{"vendor_id : GenuineIntel\nflags : vmx hypervisor\n", "quiet", "virtual machine", "AMD"},
		{"vendor_id : AuthenticAMD\n", "quiet", "AMD-Vi", "intel"},
		{"vendor_id : AuthenticAMD\n", "amd_iommu=off", "take iommu=off out", "AMD-Vi"},
		{"CPU implementer : 0x41\n", "", "SMMU", "intel"},
		{"uarch : sifive\n", "", "firmware", "intel"},
		{"", "", "firmware", "intel"},
	};
	struct quoll_group_list list;
	struct quoll_addr addr;
	struct fake f;

	fake_open(&f, &device, 1);
	quoll_addr_parse("00:02.0", &addr, NULL);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct quoll_error err = {0}, err2 = {0};

		fake_file(&f, "proc/cpuinfo", "%s", cases[i].cpuinfo);
		fake_file(&f, "proc/cmdline", "%s", cases[i].cmdline);
		CU_ASSERT_EQUAL(quoll_groups_read(&f.env, &list, &err), -ENODEV);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "no IOMMU"));
		CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, cases[i].hint));
		CU_ASSERT_PTR_NULL(strstr(err.hint, cases[i].not_in_hint));
		CU_ASSERT_EQUAL(quoll_group_read(&f.env, &addr, &list, &err2), -ENODEV);
		CU_ASSERT_STRING_EQUAL(err.hint, err2.hint);
	}
	fake_remove(&f, "sys/kernel/iommu_groups");
	CU_ASSERT_EQUAL(quoll_groups_read(&f.env, &list, NULL), -ENODEV);
	fake_close(&f);
}

static void test_vanishing(void)
{
	struct quoll_group_list list;
	struct quoll_error err = {0};
	struct fake f;

	fake_open(&f, fake_lab, fake_lab_nr);
	/* its link is still in the group, then an empty group is left, and a file that is no group */
	fake_remove(&f, "sys/devices/" LAB_SLOT1_PATH);
	fake_remove(&f, "sys/kernel/iommu_groups/2/devices/" LAB_DRIVE);
	fake_file(&f, "sys/kernel/iommu_groups/99x/devices/x", "%s", "");
	CU_ASSERT_EQUAL_FATAL(quoll_groups_read(&f.env, &list, &err), 0);
	CU_ASSERT_EQUAL_FATAL(list.nr_groups, 5);
	CU_ASSERT_EQUAL(list.groups[0].id, LAB_GROUP_SLOT);
	CU_ASSERT_EQUAL(list.groups[0].nr_members, 1);
	quoll_groups_free(&list);
	fake_close(&f);
}

static void test_odd_files(void)
{
	struct quoll_group_list list;
	struct quoll_group_desc *g;
	const struct quoll_member *m;
	struct fake f;

	fake_open(&f, fake_lab, fake_lab_nr);
	fake_file(&f, "sys/devices/" LAB_DRIVE_PATH "/class", "%s", "");
	fake_remove(&f, "sys/devices/" LAB_DRIVE_PATH "/vendor");
	fake_bytes(&f, "sys/devices/" LAB_DRIVE_PATH "/numa_node", "\0\0\0", 3);
	fake_remove(&f, "sys/devices/" LAB_DRIVE_PATH "/driver");
	fake_raw_link(&f, "sys/devices/" LAB_DRIVE_PATH "/driver",
		      "../a-driver-whose-name-is-longer-than-what-fits-here");
	fake_file(&f, "sys/devices/" LAB_DRIVE_PATH "/config", "short");
	g = fake_describe(&f, LAB_GROUP_DRIVE, &list);
	m = fake_member(g, LAB_DRIVE);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT_EQUAL(m->class_code, 0);
	CU_ASSERT_EQUAL(m->vendor_id, 0);
	CU_ASSERT_FALSE(m->is_bridge);
	CU_ASSERT_TRUE(m->blocks);
	CU_ASSERT_FALSE(g->viable);
	quoll_groups_free(&list);
	fake_close(&f);
}

static void test_names(void)
{
	CU_ASSERT_STRING_EQUAL(quoll_use_kind_name(QUOLL_USE_MOUNTED), "mounted");
	CU_ASSERT_STRING_EQUAL(quoll_use_kind_name(QUOLL_USE_ENSLAVED), "enslaved");
	CU_ASSERT_STRING_EQUAL(quoll_use_kind_name((enum quoll_use_kind)99), "?");
	CU_ASSERT_STRING_EQUAL(quoll_group_reason_name(QUOLL_GROUP_NO_ACS), "no ACS");
	CU_ASSERT_STRING_EQUAL(quoll_group_reason_name((enum quoll_group_reason) - 1), "?");
}

static const struct unit_test tests[] = {
	{"every group is described, ascending, with names and drivers", test_lab},
	{"a group is viable with VFIO drivers, none, or such as do no DMA", test_viable},
	{"members that are not PCI are described too", test_not_pci},
	{"one device's group is found, other devices are refused", test_one_device},
	{"a device in no group is told from a machine without IOMMU", test_device_without_group},
	{"without IOMMU the hint fits the CPU", test_no_iommu},
	{"devices that vanish meanwhile are left out", test_vanishing},
	{"empty, missing and oversized files are survived", test_odd_files},
	{"kinds and reasons have names", test_names},
};

UNIT_MAIN("eal/group/sysfs", tests)
