/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pci_config.h - PCI config space of the controller: ids, BARs, the capabilities PM, MSI-X and PCI Express. Which bits
 * a host may write is a mask beside the bytes; what a write means beyond that is told by what the write returns.
 *
 * Sources: PCI Local Bus 3.0, chapter 6; PCI Power Management 1.2; PCI Express Base 4.0, 7.5; NVMe PCIe Transport 1.0,
 * chapter 3.8.
 */
#ifndef QUOLL_TARGET_PCI_CONFIG_H
#define QUOLL_TARGET_PCI_CONFIG_H

#include <stdbool.h>

#include <quoll/types.h>

/*
 * Quoll has no vendor id of its own. These are what hosts already meet on NVMe controllers behind vfio-user (SPDK's),
 * and no driver has an exception for them; QEMU's 1b36:0010 makes Linux distrust namespace ids and avoid Write Zeroes.
 * Whose controller it is, Identify says.
 */
#define TGT_PCI_VENDOR 0x4e58u
#define TGT_PCI_DEVICE 0x0001u

#define TGT_PCI_CONFIG_BYTES 4096u
#define TGT_PCI_BAR0_BYTES 0x4000u /* the least that the specification lets a host ask for: MLBAR bits 13:4 are 0 */
#define TGT_PCI_BAR4_BYTES 0x2000u
#define TGT_PCI_PBA_OFFSET 0x1000u /* in BAR4, behind the MSI-X table */

/**
 * struct tgt_pci_config - what differs from zero; further bytes, up to TGT_PCI_CONFIG_BYTES, read as 0: no extended
 * capabilities
 */
struct tgt_pci_config {
	uint8_t bytes[256];
	uint8_t writable[256];
};

/**
 * tgt_pci_config_reset() - as after power-on
 * @nr_vectors: of MSI-X
 */
void tgt_pci_config_reset(struct tgt_pci_config *config, unsigned int nr_vectors);

/* Within TGT_PCI_CONFIG_BYTES; any width and alignment. */
void tgt_pci_config_read(const struct tgt_pci_config *config, uint64_t offset, void *buf, size_t len);

/**
 * tgt_pci_config_write() - what may be written of it
 * Return: true if it initiates a function level reset.
 */
bool tgt_pci_config_write(struct tgt_pci_config *config, uint64_t offset, const void *buf, size_t len);

/**
 * tgt_pci_config_may_dma() - bus mastering is on, and the power state is D0
 */
bool tgt_pci_config_may_dma(const struct tgt_pci_config *config);

#endif
