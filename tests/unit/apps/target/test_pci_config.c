/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_pci_config.c - config space as a host finds it: ids, BARs that tell their size, capabilities, what may be
 * written.
 */
#include <linux/pci_regs.h>

#include "target/pci_config.h"
#include "unit.h"

static struct tgt_pci_config config;

static uint32_t get(unsigned int offset, unsigned int len)
{
	quoll_le32 value = 0;

	tgt_pci_config_read(&config, offset, &value, len);
	return quoll_le32_to_cpu(value);
}

static bool set(unsigned int offset, uint32_t value, unsigned int len)
{
	quoll_le32 raw = quoll_cpu_to_le32(value);

	return tgt_pci_config_write(&config, offset, &raw, len);
}

static unsigned int find_cap(uint8_t id)
{
	unsigned int at = get(PCI_CAPABILITY_LIST, 1);

	for (unsigned int i = 0; at && i < 48; i++) {
		if (get(at, 1) == id)
			return at;
		at = get(at + 1, 1);
	}
	return 0;
}

static void it_is_an_nvme_controller(void)
{
	tgt_pci_config_reset(&config, 65);
	CU_ASSERT_EQUAL(get(PCI_VENDOR_ID, 2), TGT_PCI_VENDOR);
	CU_ASSERT_EQUAL(get(PCI_DEVICE_ID, 2), TGT_PCI_DEVICE);
	CU_ASSERT_EQUAL(get(PCI_CLASS_REVISION, 4) >> 8, 0x010802);
	CU_ASSERT_EQUAL(get(PCI_HEADER_TYPE, 1), 0);
	CU_ASSERT_EQUAL(get(PCI_INTERRUPT_PIN, 1), 0);
	CU_ASSERT_TRUE(get(PCI_STATUS, 2) & PCI_STATUS_CAP_LIST);
	/* No extended capabilities, up to the last byte. */
	CU_ASSERT_EQUAL(get(256, 4), 0);
	CU_ASSERT_EQUAL(get(TGT_PCI_CONFIG_BYTES - 4, 4), 0);
}

static uint64_t bar_size(unsigned int idx)
{
	unsigned int at = PCI_BASE_ADDRESS_0 + 4 * idx;
	uint64_t low, high;

	set(at, UINT32_MAX, 4);
	set(at + 4, UINT32_MAX, 4);
	low = get(at, 4);
	high = get(at + 4, 4);
	CU_ASSERT_EQUAL(low & 0xf, PCI_BASE_ADDRESS_MEM_TYPE_64);
	return ~((high << 32 | low) & ~0xfull) + 1;
}

static void bars_tell_their_size(void)
{
	tgt_pci_config_reset(&config, 65);
	CU_ASSERT_EQUAL(bar_size(0), TGT_PCI_BAR0_BYTES);
	CU_ASSERT_EQUAL(bar_size(4), TGT_PCI_BAR4_BYTES);
	set(PCI_BASE_ADDRESS_2, UINT32_MAX, 4);
	set(PCI_ROM_ADDRESS, UINT32_MAX, 4);
	CU_ASSERT_EQUAL(get(PCI_BASE_ADDRESS_2, 4), 0);
	CU_ASSERT_EQUAL(get(PCI_ROM_ADDRESS, 4), 0);
	set(PCI_BASE_ADDRESS_0, 0xfebf4000, 4);
	set(PCI_BASE_ADDRESS_1, 0x12, 4);
	CU_ASSERT_EQUAL(get(PCI_BASE_ADDRESS_0, 4), 0xfebf4004);
	CU_ASSERT_EQUAL(get(PCI_BASE_ADDRESS_1, 4), 0x12);
}

static void capabilities_are_in_the_list(void)
{
	unsigned int cap;

	tgt_pci_config_reset(&config, 65);
	CU_ASSERT_NOT_EQUAL(find_cap(PCI_CAP_ID_PM), 0);
	cap = find_cap(PCI_CAP_ID_MSIX);
	CU_ASSERT_NOT_EQUAL_FATAL(cap, 0);
	CU_ASSERT_EQUAL(get(cap + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_QSIZE, 64);
	CU_ASSERT_EQUAL(get(cap + PCI_MSIX_TABLE, 4), 4);
	CU_ASSERT_EQUAL(get(cap + PCI_MSIX_PBA, 4), TGT_PCI_PBA_OFFSET | 4);
	set(cap + PCI_MSIX_FLAGS, 0xffff, 2);
	CU_ASSERT_EQUAL(get(cap + PCI_MSIX_FLAGS, 2), 0xc000 | 64);
	cap = find_cap(PCI_CAP_ID_EXP);
	CU_ASSERT_NOT_EQUAL_FATAL(cap, 0);
	CU_ASSERT_EQUAL(get(cap + PCI_EXP_FLAGS, 2), 2);
	CU_ASSERT_TRUE(get(cap + PCI_EXP_DEVCAP, 4) & PCI_EXP_DEVCAP_FLR);
}

static void a_function_reset_is_told_and_reads_back_as_0(void)
{
	unsigned int cap;

	tgt_pci_config_reset(&config, 65);
	cap = find_cap(PCI_CAP_ID_EXP);
	CU_ASSERT_FALSE(set(cap + PCI_EXP_DEVCTL, 0x2810, 2));
	CU_ASSERT_TRUE(set(cap + PCI_EXP_DEVCTL, 0xa810, 2));
	CU_ASSERT_EQUAL(get(cap + PCI_EXP_DEVCTL, 2), 0x2810);
	CU_ASSERT_TRUE(set(cap + PCI_EXP_DEVCTL + 1, 0x80, 1));
	CU_ASSERT_TRUE(set(cap + PCI_EXP_DEVCTL, 0x8000, 4));
}

static void memory_is_reached_with_bus_mastering_in_d0_only(void)
{
	unsigned int cap;

	tgt_pci_config_reset(&config, 65);
	cap = find_cap(PCI_CAP_ID_PM);
	CU_ASSERT_FALSE(tgt_pci_config_may_dma(&config));
	set(PCI_COMMAND, PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY, 2);
	CU_ASSERT_TRUE(tgt_pci_config_may_dma(&config));
	set(cap + PCI_PM_CTRL, 3, 2);
	CU_ASSERT_FALSE(tgt_pci_config_may_dma(&config));
	set(cap + PCI_PM_CTRL, 1, 2); /* D1 is not there: D3 stays */
	CU_ASSERT_EQUAL(get(cap + PCI_PM_CTRL, 1) & 3, 3);
	set(cap + PCI_PM_CTRL, 0, 2);
	CU_ASSERT_TRUE(tgt_pci_config_may_dma(&config));
	set(PCI_COMMAND, 0, 2);
	CU_ASSERT_FALSE(tgt_pci_config_may_dma(&config));
}

static void what_is_read_only_stays(void)
{
	struct tgt_pci_config before;
	uint8_t ones[TGT_PCI_CONFIG_BYTES], zeroes[TGT_PCI_CONFIG_BYTES] = {0};

	tgt_pci_config_reset(&config, 65);
	before = config;
	memset(ones, 0xff, sizeof(ones));
	tgt_pci_config_write(&config, 0, ones, sizeof(ones));
	for (unsigned int i = 0; i < sizeof(config.bytes); i++)
		CU_ASSERT_EQUAL((config.bytes[i] ^ before.bytes[i]) & ~config.writable[i], 0);
	CU_ASSERT_EQUAL(get(PCI_COMMAND, 2), PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_PARITY |
						     PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE);
	tgt_pci_config_write(&config, 0, zeroes, sizeof(zeroes));
	for (unsigned int i = 0; i < sizeof(config.bytes); i++)
		CU_ASSERT_EQUAL(config.bytes[i], before.bytes[i] & ~config.writable[i]);
	tgt_pci_config_reset(&config, 65);
	CU_ASSERT_EQUAL(memcmp(&config, &before, sizeof(config)), 0);
}

static const struct unit_test tests[] = {
	{"it is an NVMe controller", it_is_an_nvme_controller},
	{"BARs tell their size", bars_tell_their_size},
	{"capabilities are in the list", capabilities_are_in_the_list},
	{"a function reset is told, and reads back as 0", a_function_reset_is_told_and_reads_back_as_0},
	{"memory is reached with bus mastering in D0 only", memory_is_reached_with_bus_mastering_in_d0_only},
	{"what is read-only stays", what_is_read_only_stays},
};

UNIT_MAIN("apps/target/pci_config", tests)
