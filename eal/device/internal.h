/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * internal.h - what the files of device/ share. device.c drives, the others do their part of opening and closing.
 */
#ifndef QUOLL_EAL_DEVICE_INTERNAL_H
#define QUOLL_EAL_DEVICE_INTERNAL_H

#include "backend/backend.h"

/* One mapped region: a reserved window as large as the region, with the areas mapped inside at their offsets. */
struct quoll_region {
	struct quoll_device *dev;
	struct quoll_region *next;
	uint8_t *va;
	size_t window_bytes;
	unsigned int nr_areas;
	struct quoll_region_area areas[QUOLL_REGION_MAX_AREAS];
};

void region_unmap_all(struct quoll_device *dev);

void irq_disable_all(struct quoll_device *dev);

/* Is the interrupt one that the device object itself listens to. */
bool irq_is_own(const struct quoll_device *dev, unsigned int idx);

/* Read ids, power up (D0). */
int pci_identify(struct quoll_device *dev, struct quoll_error *err);

/* Does config space answer no more. */
bool pci_is_gone(struct quoll_device *dev);

/* Set and clear bits of the command register. */
int pci_command(struct quoll_device *dev, uint16_t clear, uint16_t set);

#define PCI_CMD_MEMORY (1u << 1)
#define PCI_CMD_MASTER (1u << 2)
#define PCI_CMD_NO_INTX (1u << 10)

#endif
