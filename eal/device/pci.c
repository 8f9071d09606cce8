/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pci.c - PCI config space: ids, capabilities, power state, command register.
 *
 * Sources: PCI Local Bus 3.0, chapter 6; PCI Power Management 1.2, 3.2.4 and 5.4.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include <linux/pci_regs.h>

#include <quoll/pci.h>

#include "device/internal.h"

#define MAX_CAPS 48	       /* of 4 bytes at least, between 0x40 and 0xff */
#define D3_DELAY_NS 10000000ul /* D3hot to D0: no access for 10 ms (PCI PM 1.2, table 5-6) */

static int config_access_check(const struct quoll_device *dev, unsigned int offset, unsigned int width_bytes)
{
	if (dev->info.bus != QUOLL_BUS_PCI)
		return -ENOTSUP;
	if ((width_bytes != 1 && width_bytes != 2 && width_bytes != 4) || offset % width_bytes)
		return -EINVAL;
	return 0;
}

int quoll_pci_config_read(struct quoll_device *dev, unsigned int offset, unsigned int width_bytes, uint32_t *value)
{
	quoll_le32 raw = 0;
	int rc = config_access_check(dev, offset, width_bytes);

	if (!rc)
		rc = quoll_region_read(dev, QUOLL_PCI_CONFIG, offset, &raw, width_bytes);
	if (!rc)
		*value = quoll_le32_to_cpu(raw); /* the bytes not read are zero, at the significant end */
	return rc;
}

int quoll_pci_config_write(struct quoll_device *dev, unsigned int offset, unsigned int width_bytes, uint32_t value)
{
	quoll_le32 raw = quoll_cpu_to_le32(value);
	int rc = config_access_check(dev, offset, width_bytes);

	if (!rc)
		rc = quoll_region_write(dev, QUOLL_PCI_CONFIG, offset, &raw, width_bytes);
	return rc;
}

int quoll_pci_find_capability(struct quoll_device *dev, uint8_t cap_id)
{
	uint32_t status, at, header;
	int rc;

	rc = quoll_pci_config_read(dev, PCI_STATUS, 2, &status);
	if (rc)
		return rc;
	if (!(status & PCI_STATUS_CAP_LIST))
		return 0;
	rc = quoll_pci_config_read(dev, PCI_CAPABILITY_LIST, 1, &at);
	for (unsigned int i = 0; !rc; i++) {
		at &= 0xfc; /* the low two bits are reserved */
		if (at < PCI_STD_HEADER_SIZEOF)
			return 0;
		if (i == MAX_CAPS)
			return -ELOOP;
		rc = quoll_pci_config_read(dev, at, 2, &header);
		if (!rc && (header & 0xff) == cap_id)
			return (int)at;
		at = header >> 8;
	}
	return rc;
}

int pci_command(struct quoll_device *dev, uint16_t clear, uint16_t set)
{
	uint32_t old, new;
	int rc = quoll_pci_config_read(dev, PCI_COMMAND, 2, &old);

	if (rc)
		return rc;
	new = (old & ~(uint32_t)clear) | set;
	return new == old ? 0 : quoll_pci_config_write(dev, PCI_COMMAND, 2, new);
}

int quoll_pci_bus_master(struct quoll_device *dev, bool on)
{
	return pci_command(dev, on ? 0 : PCI_COMMAND_MASTER, on ? PCI_COMMAND_MASTER : 0);
}

bool pci_is_gone(struct quoll_device *dev)
{
	uint32_t class_revision;

	/* Not the ids: vfio-pci answers for those itself, even when nobody is there. */
	return quoll_pci_config_read(dev, PCI_CLASS_REVISION, 4, &class_revision) || class_revision == UINT32_MAX;
}

static int power_up(struct quoll_device *dev)
{
	struct timespec delay = {.tv_nsec = D3_DELAY_NS};
	int cap = quoll_pci_find_capability(dev, PCI_CAP_ID_PM);
	uint32_t control;
	int rc;

	if (cap <= 0)
		return cap;
	rc = quoll_pci_config_read(dev, (unsigned int)cap + PCI_PM_CTRL, 2, &control);
	if (rc || !(control & PCI_PM_CTRL_STATE_MASK))
		return rc;
	rc = quoll_pci_config_write(dev, (unsigned int)cap + PCI_PM_CTRL, 2,
				    control & ~(uint32_t)PCI_PM_CTRL_STATE_MASK);
	if (!rc)
		while (clock_nanosleep(CLOCK_MONOTONIC, 0, &delay, &delay) == EINTR)
			;
	return rc;
}

int pci_identify(struct quoll_device *dev, struct quoll_error *err)
{
	uint32_t ids, class_revision;
	int rc;

	rc = quoll_pci_config_read(dev, PCI_VENDOR_ID, 4, &ids);
	if (!rc)
		rc = quoll_pci_config_read(dev, PCI_CLASS_REVISION, 4, &class_revision);
	if (rc)
		return quoll_error_set(err, -rc, "open", dev->name, "config space cannot be read");
	if ((ids & 0xffff) == 0xffff || class_revision == UINT32_MAX)
		return quoll_error_set(err, ENODEV, "open", dev->name, "the device does not answer");
	dev->info.vendor_id = (uint16_t)ids;
	dev->info.device_id = (uint16_t)(ids >> 16);
	dev->info.class_code = class_revision >> 8;
	rc = power_up(dev);
	if (rc)
		return quoll_error_set(err, -rc, "open", dev->name, "the device cannot be powered up (D0)");
	return 0;
}
