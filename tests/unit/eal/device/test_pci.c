/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_pci.c - config space accesses, capability lists that lie, power state.
 */
#include "fake_device.h"

static void widths_and_alignment_are_checked(void)
{
	uint32_t value = 0;
	struct fixture f;

	fake_reset();
	fixture_open(&f);
	CU_ASSERT_EQUAL(quoll_pci_config_read(f.dev, 0, 4, &value), 0);
	CU_ASSERT_EQUAL(value, 0x00101b36);
	CU_ASSERT_EQUAL(quoll_pci_config_read(f.dev, 0, 2, &value), 0);
	CU_ASSERT_EQUAL(value, 0x1b36);
	CU_ASSERT_EQUAL(quoll_pci_config_read(f.dev, 1, 1, &value), 0);
	CU_ASSERT_EQUAL(value, 0x1b);
	CU_ASSERT_EQUAL(quoll_pci_config_read(f.dev, 0, 3, &value), -EINVAL);
	CU_ASSERT_EQUAL(quoll_pci_config_read(f.dev, 0, 0, &value), -EINVAL);
	CU_ASSERT_EQUAL(quoll_pci_config_read(f.dev, 0, 8, &value), -EINVAL);
	CU_ASSERT_EQUAL(quoll_pci_config_read(f.dev, 2, 4, &value), -EINVAL);
	CU_ASSERT_EQUAL(quoll_pci_config_write(f.dev, 1, 2, 0), -EINVAL);
	CU_ASSERT_EQUAL(quoll_pci_config_read(f.dev, 256, 1, &value), -EINVAL);
	CU_ASSERT_EQUAL(quoll_pci_config_read(f.dev, 0xfffffffc, 4, &value), -EINVAL);
	CU_ASSERT_EQUAL(quoll_pci_config_write(f.dev, 0x3c, 1, 0x1234), 0);
	CU_ASSERT_EQUAL(fake.config[0x3c], 0x34);
	CU_ASSERT_EQUAL(fake.config[0x3d], 0);
	fixture_close(&f);
}

static void cap(unsigned int at, uint8_t id, uint8_t next)
{
	fake.config[at] = id;
	fake.config[at + 1] = next;
}

static void capabilities_are_found(void)
{
	struct fixture f;

	fake_reset();
	fixture_open(&f);
	fake.config[0x34] = 0x40;
	cap(0x40, 0x11, 0);
	CU_ASSERT_EQUAL(quoll_pci_find_capability(f.dev, 0x11), 0); /* the status bit says: no list */
	fake.config[6] = 0x10;
	cap(0x40, 0x05, 0x83); /* reserved low bits are to be ignored */
	cap(0x80, 0x11, 0xfc);
	cap(0xfc, 0x10, 0);
	CU_ASSERT_EQUAL(quoll_pci_find_capability(f.dev, 0x05), 0x40);
	CU_ASSERT_EQUAL(quoll_pci_find_capability(f.dev, 0x11), 0x80);
	CU_ASSERT_EQUAL(quoll_pci_find_capability(f.dev, 0x10), 0xfc);
	CU_ASSERT_EQUAL(quoll_pci_find_capability(f.dev, 0x09), 0);
	fixture_close(&f);
}

static void capability_lists_that_loop_end(void)
{
	struct fixture f;

	fake_reset();
	fixture_open(&f);
	fake.config[6] = 0x10;
	fake.config[0x34] = 0x40;
	cap(0x40, 0x05, 0x40);
	CU_ASSERT_EQUAL(quoll_pci_find_capability(f.dev, 0x11), -ELOOP);
	cap(0x40, 0x05, 0x50);
	cap(0x50, 0x09, 0x40);
	CU_ASSERT_EQUAL(quoll_pci_find_capability(f.dev, 0x11), -ELOOP);
	CU_ASSERT_EQUAL(quoll_pci_find_capability(f.dev, 0x09), 0x50);
	cap(0x50, 0x09, 0x08); /* into the header: not a capability */
	CU_ASSERT_EQUAL(quoll_pci_find_capability(f.dev, 0x02), 0);
	fixture_close(&f);
}

static void a_device_whose_list_loops_is_refused(void)
{
	struct quoll_error err;
	struct fixture f;

	fake_reset();
	fake.config[6] = 0x10;
	fake.config[0x34] = 0x40;
	cap(0x40, 0x05, 0x40);
	fixture_claim(&f);
	CU_ASSERT_EQUAL(quoll_device_open(f.group, FAKE_NAME, &f.dev, &err), -ELOOP);
	CU_ASSERT_STRING_EQUAL(err.subject, FAKE_NAME);
	fixture_close(&f);
}

static void a_sleeping_device_is_woken_before_its_reset(void)
{
	struct fixture f;

	fake_reset();
	fake.config[6] = 0x10;
	fake.config[0x34] = 0x40;
	cap(0x40, 0x01, 0);
	fake.config[0x44] = 0x0b; /* D3hot, and a bit that must stay */
	fixture_open(&f);
	CU_ASSERT_EQUAL(fake.config[0x44], 0x08);
	fixture_close(&f);
}

static void bus_mastering_touches_no_other_bit(void)
{
	struct fixture f;

	fake_reset();
	fixture_open(&f);
	fake.config[4] = 0x47;
	fake.config[5] = 0x05;
	CU_ASSERT_EQUAL(quoll_pci_bus_master(f.dev, false), 0);
	CU_ASSERT_EQUAL(fake.config[4], 0x43);
	CU_ASSERT_EQUAL(quoll_pci_bus_master(f.dev, true), 0);
	CU_ASSERT_EQUAL(fake.config[4], 0x47);
	CU_ASSERT_EQUAL(fake.config[5], 0x05);
	fake_forget_calls();
	CU_ASSERT_EQUAL(quoll_pci_bus_master(f.dev, true), 0);
	CU_ASSERT_STRING_EQUAL(fake.calls, FAKE_NO_CALL); /* nothing to change, nothing written */
	fixture_close(&f);
}

static const struct unit_test tests[] = {
	{"widths and alignment are checked", widths_and_alignment_are_checked},
	{"capabilities are found", capabilities_are_found},
	{"capability lists that loop end", capability_lists_that_loop_end},
	{"a device whose list loops is refused", a_device_whose_list_loops_is_refused},
	{"a sleeping device is woken before its reset", a_sleeping_device_is_woken_before_its_reset},
	{"bus mastering touches no other bit", bus_mastering_touches_no_other_bit},
};

UNIT_MAIN("PCI", tests)
