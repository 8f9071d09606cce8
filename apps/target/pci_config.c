/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pci_config.c - config space, as bytes and a mask.
 */
#include <string.h>

#include <linux/pci_regs.h>

#include "pci_config.h"

enum cap_offset {
	CAP_PM = 0x40,
	CAP_MSIX = 0x50,
	CAP_EXP = 0x60,
};

#define CLASS_NVME 0x010802u /* mass storage, non-volatile memory, NVM Express */
#define BAR_MSIX 4u
#define DEVCTL_WRITABLE 0x7fffu /* all but Initiate Function Level Reset, which reads as 0 */
#define COMMAND_WRITABLE                                                                                               \
	(PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_PARITY | PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE)

static void put(uint8_t *bytes, unsigned int offset, uint32_t value, unsigned int len)
{
	for (unsigned int i = 0; i < len; i++)
		bytes[offset + i] = (uint8_t)(value >> 8 * i);
}

static uint32_t get16(const uint8_t *bytes, unsigned int offset)
{
	return bytes[offset] | (uint32_t)bytes[offset + 1] << 8;
}

/* A 64-bit memory BAR: all bits of the address that the size leaves. Written with ones, it reads its size. */
static void bar(struct tgt_pci_config *config, unsigned int idx, uint32_t bytes)
{
	unsigned int offset = PCI_BASE_ADDRESS_0 + 4 * idx;

	put(config->bytes, offset, PCI_BASE_ADDRESS_MEM_TYPE_64, 4);
	put(config->writable, offset, ~(bytes - 1), 4);
	put(config->writable, offset + 4, UINT32_MAX, 4);
}

static void power_management(struct tgt_pci_config *config, unsigned int next)
{
	put(config->bytes, CAP_PM, PCI_CAP_ID_PM | next << 8, 2);
	put(config->bytes, CAP_PM + PCI_PM_PMC, 3, 2); /* revision 1.2; D0 and D3 only, no PME */
	put(config->bytes, CAP_PM + PCI_PM_CTRL, PCI_PM_CTRL_NO_SOFT_RESET, 2);
	put(config->writable, CAP_PM + PCI_PM_CTRL, PCI_PM_CTRL_STATE_MASK, 2);
}

static void msix(struct tgt_pci_config *config, unsigned int next, unsigned int nr_vectors)
{
	put(config->bytes, CAP_MSIX, PCI_CAP_ID_MSIX | next << 8, 2);
	put(config->bytes, CAP_MSIX + PCI_MSIX_FLAGS, nr_vectors - 1, 2);
	put(config->writable, CAP_MSIX + PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL, 2);
	put(config->bytes, CAP_MSIX + PCI_MSIX_TABLE, BAR_MSIX, 4);
	put(config->bytes, CAP_MSIX + PCI_MSIX_PBA, TGT_PCI_PBA_OFFSET | BAR_MSIX, 4);
}

static void express(struct tgt_pci_config *config)
{
	const uint32_t link = PCI_EXP_LNKCAP_SLS_2_5GB | 1u << 4; /* one lane: there is no link, but this is required */

	put(config->bytes, CAP_EXP, PCI_CAP_ID_EXP, 2);
	put(config->bytes, CAP_EXP + PCI_EXP_FLAGS, PCI_EXP_TYPE_ENDPOINT << 4 | 2, 2);
	put(config->bytes, CAP_EXP + PCI_EXP_DEVCAP, PCI_EXP_DEVCAP_FLR | PCI_EXP_DEVCAP_RBER, 4);
	put(config->writable, CAP_EXP + PCI_EXP_DEVCTL, DEVCTL_WRITABLE, 2);
	put(config->bytes, CAP_EXP + PCI_EXP_LNKCAP, link, 4);
	put(config->bytes, CAP_EXP + PCI_EXP_LNKSTA, link, 2);
}

void tgt_pci_config_reset(struct tgt_pci_config *config, unsigned int nr_vectors)
{
	memset(config, 0, sizeof(*config));
	put(config->bytes, PCI_VENDOR_ID, TGT_PCI_VENDOR, 2);
	put(config->bytes, PCI_DEVICE_ID, TGT_PCI_DEVICE, 2);
	put(config->bytes, PCI_STATUS, PCI_STATUS_CAP_LIST, 2);
	put(config->bytes, PCI_CLASS_REVISION, CLASS_NVME << 8 | 1, 4);
	put(config->bytes, PCI_SUBSYSTEM_VENDOR_ID, TGT_PCI_VENDOR, 2);
	put(config->bytes, PCI_SUBSYSTEM_ID, TGT_PCI_DEVICE, 2);
	put(config->bytes, PCI_CAPABILITY_LIST, CAP_PM, 1);
	put(config->writable, PCI_COMMAND, COMMAND_WRITABLE, 2);
	put(config->writable, PCI_CACHE_LINE_SIZE, 0xff, 1);
	put(config->writable, PCI_INTERRUPT_LINE, 0xff, 1);
	bar(config, 0, TGT_PCI_BAR0_BYTES);
	bar(config, BAR_MSIX, TGT_PCI_BAR4_BYTES);
	power_management(config, CAP_MSIX);
	msix(config, CAP_EXP, nr_vectors);
	express(config);
}

void tgt_pci_config_read(const struct tgt_pci_config *config, uint64_t offset, void *buf, size_t len)
{
	uint8_t *to = buf;

	for (size_t i = 0; i < len; i++)
		to[i] = offset + i < sizeof(config->bytes) ? config->bytes[offset + i] : 0;
}

/* D1 and D2 are not there; a write of a state that isn't supported changes nothing (PCI PM 1.2, 3.2.4). */
static bool power_state_ok(uint8_t value)
{
	unsigned int state = value & PCI_PM_CTRL_STATE_MASK;

	return state == 0 || state == 3;
}

bool tgt_pci_config_write(struct tgt_pci_config *config, uint64_t offset, const void *buf, size_t len)
{
	const uint8_t *from = buf;
	bool reset = false;

	for (size_t i = 0; i < len && offset + i < sizeof(config->bytes); i++) {
		uint64_t at = offset + i;

		if (at == CAP_PM + PCI_PM_CTRL && !power_state_ok(from[i]))
			continue;
		if (at == CAP_EXP + PCI_EXP_DEVCTL + 1 && from[i] & PCI_EXP_DEVCTL_BCR_FLR >> 8)
			reset = true;
		config->bytes[at] =
			(uint8_t)((config->bytes[at] & ~config->writable[at]) | (from[i] & config->writable[at]));
	}
	return reset;
}

bool tgt_pci_config_may_dma(const struct tgt_pci_config *config)
{
	return get16(config->bytes, PCI_COMMAND) & PCI_COMMAND_MASTER &&
	       !(config->bytes[CAP_PM + PCI_PM_CTRL] & PCI_PM_CTRL_STATE_MASK);
}
