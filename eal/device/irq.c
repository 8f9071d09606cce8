/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * irq.c - interrupts of a device as eventfds.
 *
 * The eventfds are the caller's. The request and error interrupts of PCI belong to device.c, which turns them into
 * events.
 */
#include <errno.h>

#include <quoll/pci.h>

#include "device/internal.h"

bool irq_is_own(const struct quoll_device *dev, unsigned int idx)
{
	return dev->info.bus == QUOLL_BUS_PCI && (idx == QUOLL_PCI_IRQ_ERR || idx == QUOLL_PCI_IRQ_REQ);
}

int quoll_irq_info(struct quoll_device *dev, unsigned int idx, struct quoll_irq_info *info, struct quoll_error *err)
{
	int rc;

	if (idx >= dev->info.nr_irqs)
		return quoll_error_set(err, ENXIO, "interrupt", dev->name, "no interrupt index %u; there are %u", idx,
				       dev->info.nr_irqs);
	rc = dev->group->ioas->ops->irq_info(dev, idx, info);
	if (rc)
		return quoll_error_set(err, -rc, "interrupt", dev->name, "interrupt index %u cannot be described", idx);
	return 0;
}

/* INTx, MSI and MSI-X are ways to signal the same: a PCI function uses one at a time. */
static int other_in_use(const struct quoll_device *dev, unsigned int idx)
{
	if (dev->info.bus != QUOLL_BUS_PCI)
		return -1;
	for (unsigned int i = QUOLL_PCI_IRQ_INTX; i <= QUOLL_PCI_IRQ_MSIX && i < dev->info.nr_irqs; i++)
		if (i != idx && dev->irqs_enabled[i])
			return (int)i;
	return -1;
}

static int enable_check(struct quoll_device *dev, unsigned int idx, unsigned int nr, struct quoll_irq_info *info,
			struct quoll_error *err)
{
	int rc = quoll_irq_info(dev, idx, info, err);

	if (rc)
		return rc;
	if (irq_is_own(dev, idx))
		return quoll_error_set(err, EBUSY, "interrupt", dev->name,
				       "index %u is what quoll_device_events() listens to", idx);
	if (!nr)
		return quoll_error_set(err, EINVAL, "interrupt", dev->name, "no vector to enable");
	if (nr > info->nr_vectors)
		return quoll_error_set(err, ENOSPC, "interrupt", dev->name, "index %u has %u vectors, not %u", idx,
				       info->nr_vectors, nr);
	if (!(info->flags & QUOLL_IRQ_EVENTFD))
		return quoll_error_set(err, EINVAL, "interrupt", dev->name, "index %u cannot signal eventfds", idx);
	rc = other_in_use(dev, idx);
	if (rc >= 0)
		return quoll_error_set(err, EBUSY, "interrupt", dev->name,
				       "index %d is enabled, and a function uses one kind at a time", rc);
	return 0;
}

/* INTx only while somebody listens to it; MSI and MSI-X do not ask. */
static int allow_intx(struct quoll_device *dev, unsigned int idx, bool on)
{
	if (dev->info.bus != QUOLL_BUS_PCI || idx != QUOLL_PCI_IRQ_INTX)
		return 0;
	return pci_command(dev, on ? PCI_CMD_NO_INTX : 0, on ? 0 : PCI_CMD_NO_INTX);
}

int quoll_irq_enable(struct quoll_device *dev, unsigned int idx, const int *eventfds, unsigned int nr_eventfds,
		     struct quoll_error *err)
{
	unsigned int enabled;
	struct quoll_irq_info info;
	int rc;

	rc = enable_check(dev, idx, nr_eventfds, &info, err);
	if (rc)
		return rc;
	enabled = dev->irqs_enabled[idx];
	/* Fewer: the rest must not go on signalling eventfds that the caller may close. More: where it cannot grow. */
	if (enabled > nr_eventfds || (enabled && enabled < nr_eventfds && (info.flags & QUOLL_IRQ_NORESIZE))) {
		rc = quoll_irq_disable(dev, idx);
		if (rc)
			return quoll_error_set(err, -rc, "interrupt", dev->name, "index %u cannot be switched off",
					       idx);
	}
	rc = dev->group->ioas->ops->irq_set(dev, idx, 0, nr_eventfds, eventfds);
	if (!rc) {
		dev->irqs_enabled[idx] = nr_eventfds;
		rc = allow_intx(dev, idx, true);
	}
	if (rc)
		return quoll_error_set(err, -rc, "interrupt", dev->name, "%u vectors of index %u cannot be enabled",
				       nr_eventfds, idx);
	return 0;
}

/* Any thread: irqs_enabled is only read here, and does not change while vectors are in use. */
int quoll_irq_attach(struct quoll_device *dev, unsigned int idx, unsigned int vector, int eventfd)
{
	if (idx >= dev->info.nr_irqs)
		return -ENXIO;
	if (irq_is_own(dev, idx))
		return -EBUSY;
	if (vector >= dev->irqs_enabled[idx])
		return -EINVAL;
	return dev->group->ioas->ops->irq_set(dev, idx, vector, 1, &eventfd);
}

int quoll_irq_disable(struct quoll_device *dev, unsigned int idx)
{
	int rc;

	if (idx >= dev->info.nr_irqs)
		return -ENXIO;
	if (irq_is_own(dev, idx))
		return -EBUSY;
	if (!dev->irqs_enabled[idx])
		return 0;
	rc = allow_intx(dev, idx, false);
	if (!rc)
		rc = dev->group->ioas->ops->irq_set(dev, idx, 0, 0, NULL);
	if (!rc)
		dev->irqs_enabled[idx] = 0;
	return rc;
}

int quoll_irq_unmask(struct quoll_device *dev, unsigned int idx, unsigned int vector)
{
	if (idx >= dev->info.nr_irqs)
		return -ENXIO;
	if (irq_is_own(dev, idx) || vector >= dev->irqs_enabled[idx])
		return -EINVAL;
	return dev->group->ioas->ops->irq_unmask(dev, idx, vector);
}

void irq_disable_all(struct quoll_device *dev)
{
	for (unsigned int i = 0; dev->irqs_enabled && i < dev->info.nr_irqs; i++)
		quoll_irq_disable(dev, i);
}
