/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pci.h - what is PCI's alone: region and interrupt numbers, config space, bus mastering.
 *
 * Numbers as in linux/vfio.h (VFIO_PCI_*), which every back-end follows.
 */
#ifndef QUOLL_PCI_H
#define QUOLL_PCI_H

#include <stdbool.h>

#include <quoll/device.h>

#ifdef __cplusplus
extern "C" {
#endif

enum quoll_pci_region {
	QUOLL_PCI_BAR0 = 0,
	QUOLL_PCI_BAR1,
	QUOLL_PCI_BAR2,
	QUOLL_PCI_BAR3,
	QUOLL_PCI_BAR4,
	QUOLL_PCI_BAR5,
	QUOLL_PCI_ROM,
	QUOLL_PCI_CONFIG,
	QUOLL_PCI_VGA,
};

enum quoll_pci_irq {
	QUOLL_PCI_IRQ_INTX = 0,
	QUOLL_PCI_IRQ_MSI,
	QUOLL_PCI_IRQ_MSIX,
	QUOLL_PCI_IRQ_ERR,
	QUOLL_PCI_IRQ_REQ,
};

/**
 * quoll_pci_config_read(), quoll_pci_config_write() - config space, little-endian values of 1, 2 or 4 bytes
 * Return: 0, -EINVAL (width, alignment), -errno.
 */
QUOLL_API int quoll_pci_config_read(struct quoll_device *dev, unsigned int offset, unsigned int width_bytes,
				    uint32_t *value);
QUOLL_API int quoll_pci_config_write(struct quoll_device *dev, unsigned int offset, unsigned int width_bytes,
				     uint32_t value);

/**
 * quoll_pci_find_capability() - walk the capability list (PCI Local Bus 3.0, 6.7)
 * Return: offset, 0 if there is none, -ELOOP if the list does not end, -errno.
 */
QUOLL_API int quoll_pci_find_capability(struct quoll_device *dev, uint8_t cap_id);

/**
 * quoll_pci_bus_master() - let the device do DMA, and send MSIs, or keep it from both (command register, bit 2)
 *
 * Off after quoll_device_open(): a driver switches it on once it has stopped whatever the device was told before.
 */
QUOLL_API int quoll_pci_bus_master(struct quoll_device *dev, bool on);

#ifdef __cplusplus
}
#endif
#endif
