/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device.c - open, close, reset and events of one member of a claimed group, on any bus.
 *
 * Closing goes from the device outward: interrupts off, bus mastering off, regions unmapped, reset, file closed; so
 * nothing that the device could still reach or signal is gone before it is quiet. A failed open goes the same way.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <quoll/pci.h>

#include "device/internal.h"

#define MAX_IRQS 4096
#define MAX_REGIONS 4096

static int watch(struct quoll_device *dev, unsigned int idx, int *eventfd_out)
{
	struct epoll_event event = {.events = EPOLLIN};
	struct quoll_irq_info info;
	int fd, rc;

	rc = quoll_irq_info(dev, idx, &info, NULL);
	if (rc || !info.nr_vectors || !(info.flags & QUOLL_IRQ_EVENTFD))
		return rc == -ENXIO ? 0 : rc; /* the device has no such interrupt (ERR without PCIe) */
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	event.data.u32 = idx;
	if (epoll_ctl(dev->event_fd, EPOLL_CTL_ADD, fd, &event))
		rc = -errno;
	else
		rc = dev->group->ioas->ops->irq_set(dev, idx, 0, 1, &fd);
	if (rc) {
		close(fd);
		return rc;
	}
	*eventfd_out = fd;
	return 0;
}

static int watch_events(struct quoll_device *dev, struct quoll_error *err)
{
	const struct backend_ops *ops = dev->group->ioas->ops;
	int rc = 0;

	dev->event_fd = epoll_create1(EPOLL_CLOEXEC);
	if (dev->event_fd < 0)
		return quoll_error_set(err, errno, "open", dev->name, "no event set: %s", strerrordesc_np(errno));
	if (dev->info.bus == QUOLL_BUS_PCI) {
		rc = watch(dev, QUOLL_PCI_IRQ_REQ, &dev->req_fd);
		if (!rc)
			rc = watch(dev, QUOLL_PCI_IRQ_ERR, &dev->err_fd);
	}
	if (!rc && ops->device_watch)
		rc = ops->device_watch(dev, dev->event_fd);
	if (rc)
		quoll_error_set(err, -rc, "open", dev->name, "cannot listen for the kernel's request for the device");
	return rc;
}

static void unwatch_events(struct quoll_device *dev)
{
	const struct backend_ops *ops = dev->group->ioas->ops;

	if (dev->err_fd >= 0) {
		ops->irq_set(dev, QUOLL_PCI_IRQ_ERR, 0, 0, NULL);
		close(dev->err_fd);
	}
	if (dev->req_fd >= 0) {
		ops->irq_set(dev, QUOLL_PCI_IRQ_REQ, 0, 0, NULL);
		close(dev->req_fd);
	}
	if (dev->event_fd >= 0)
		close(dev->event_fd);
}

/* Undo whatever of opening has been done; each part knows whether there is anything to undo. */
static void device_stop(struct quoll_device *dev)
{
	const struct backend_ops *ops = dev->group->ioas->ops;

	irq_disable_all(dev);
	if (dev->info.bus == QUOLL_BUS_PCI)
		quoll_pci_bus_master(dev, false);
	region_unmap_all(dev);
	if (dev->info.bus == QUOLL_BUS_PCI)
		pci_command(dev, PCI_CMD_MEMORY, 0);
	/* A device that is gone does not answer; the kernel would wait up to a minute for its reset. */
	if (dev->info.can_reset && !(quoll_device_events(dev) & QUOLL_DEVICE_GONE))
		ops->device_reset(dev);
	unwatch_events(dev);
	ops->device_close(dev);
}

static void device_free(struct quoll_device *dev)
{
	free(dev->irqs_enabled);
	free(dev);
}

static int device_start(struct quoll_device *dev, struct quoll_error *err)
{
	int rc = 0;

	if (dev->info.nr_irqs > MAX_IRQS || dev->info.nr_regions > MAX_REGIONS)
		return quoll_error_set(err, EPROTO, "open", dev->name, "%u regions and %u interrupts are too many",
				       dev->info.nr_regions, dev->info.nr_irqs);
	dev->irqs_enabled = calloc(dev->info.nr_irqs ? dev->info.nr_irqs : 1, sizeof(*dev->irqs_enabled));
	if (!dev->irqs_enabled)
		return quoll_error_set(err, ENOMEM, "open", dev->name, "out of memory");
	if (dev->info.bus == QUOLL_BUS_PCI)
		rc = pci_identify(dev, err);
	/* Whoever had it before us: what it still does, it does not to the memory that is mapped now. */
	if (!rc && dev->info.bus == QUOLL_BUS_PCI) {
		rc = quoll_pci_bus_master(dev, false);
		if (rc)
			quoll_error_set(err, -rc, "open", dev->name, "cannot switch bus mastering off");
	}
	if (!rc && dev->info.can_reset)
		rc = quoll_device_reset(dev, err);
	if (!rc)
		rc = watch_events(dev, err);
	if (rc || dev->info.bus != QUOLL_BUS_PCI)
		return rc;
	/* No INTx as long as nobody listens: a device may take its line for the way to us, and fail for want of it. */
	rc = pci_command(dev, PCI_CMD_MASTER, PCI_CMD_MEMORY | PCI_CMD_NO_INTX);
	if (rc)
		quoll_error_set(err, -rc, "open", dev->name, "cannot switch memory space on");
	return rc;
}

void device_name_cut(const char *target, char name[QUOLL_NAME_BYTES])
{
	static const char cut[] = "...";
	size_t len = strlen(target), room = QUOLL_NAME_BYTES - sizeof(cut);

	if (len < QUOLL_NAME_BYTES)
		memcpy(name, target, len + 1);
	else
		snprintf(name, QUOLL_NAME_BYTES, "%s%s", cut, target + len - room);
}

static int member_index(const struct quoll_group *group, const char *name, struct quoll_error *err)
{
	char cut[QUOLL_NAME_BYTES];

	device_name_cut(name, cut);
	for (unsigned int i = 0; i < group->nr_devices; i++)
		if (!strcmp(group->names[i], cut))
			return (int)i;
	quoll_error_set(err, ENOENT, "open", name, "not an endpoint of group %d, which has", group->id);
	for (unsigned int i = 0; i < group->nr_devices; i++)
		quoll_error_append(err, "\n  %s", group->names[i]);
	return -ENOENT;
}

int quoll_device_open(struct quoll_group *group, const char *name, struct quoll_device **device,
		      struct quoll_error *err)
{
	struct quoll_device *dev;
	int index, rc;

	index = member_index(group, name, err);
	if (index < 0)
		return index;
	if (group->devices[index])
		return quoll_error_set(err, EBUSY, "open", name, "open already, in this process");
	dev = calloc(1, sizeof(*dev));
	if (!dev)
		return quoll_error_set(err, ENOMEM, "open", name, "out of memory");
	dev->group = group;
	dev->index = (unsigned int)index;
	device_name_cut(name, dev->name);
	dev->info.name = dev->name;
	dev->info.numa_node = -1;
	dev->fd = dev->event_fd = dev->req_fd = dev->err_fd = -1;
	rc = group->ioas->ops->device_open(dev, err);
	if (rc)
		goto err_free;
	rc = device_start(dev, err);
	if (rc) {
		device_stop(dev);
		goto err_free;
	}
	group->devices[index] = dev;
	quoll_log(&group->ioas->env, QUOLL_LOG_INFO, "device", "%s: opened, %04x:%04x class %06" PRIx32, dev->name,
		  dev->info.vendor_id, dev->info.device_id, dev->info.class_code);
	*device = dev;
	return 0;

err_free:
	device_free(dev);
	return rc;
}

void quoll_device_close(struct quoll_device *dev)
{
	if (!dev)
		return;
	device_stop(dev);
	dev->group->devices[dev->index] = NULL;
	quoll_log(&dev->group->ioas->env, QUOLL_LOG_INFO, "device", "%s: closed", dev->name);
	device_free(dev);
}

int quoll_device_reset(struct quoll_device *dev, struct quoll_error *err)
{
	bool is_pci = dev->info.bus == QUOLL_BUS_PCI;
	uint32_t command = 0;
	int rc = 0;

	if (!dev->info.can_reset)
		return quoll_error_set(err, ENOTTY, "reset", dev->name, "the device has no reset of its own");
	if (is_pci) {
		rc = quoll_pci_config_read(dev, 4, 2, &command);
		/* Linux restores what config space held: only with bus mastering off is the device quiet afterwards. */
		if (!rc)
			rc = quoll_pci_bus_master(dev, false);
	}
	if (!rc)
		rc = dev->group->ioas->ops->device_reset(dev);
	if (!rc && is_pci)
		rc = pci_command(dev, 0, command & (PCI_CMD_MEMORY | PCI_CMD_MASTER | PCI_CMD_NO_INTX));
	if (rc)
		quoll_error_set(err, -rc, "reset", dev->name, "the device cannot be reset: %s", strerrordesc_np(-rc));
	return rc;
}

static bool eventfd_fired(int fd)
{
	uint64_t count;

	return fd >= 0 && read(fd, &count, sizeof(count)) == (ssize_t)sizeof(count);
}

/* A back-end that knows is cheaper to ask than config space. */
static bool is_gone(struct quoll_device *dev)
{
	const struct backend_ops *ops = dev->group->ioas->ops;

	return !ops->device_events && dev->info.bus == QUOLL_BUS_PCI && pci_is_gone(dev);
}

unsigned int quoll_device_events(struct quoll_device *dev)
{
	const struct backend_ops *ops = dev->group->ioas->ops;

	if (ops->device_serve)
		ops->device_serve(dev);
	if (eventfd_fired(dev->req_fd))
		dev->events |= QUOLL_DEVICE_REMOVE_REQUESTED;
	if (eventfd_fired(dev->err_fd))
		dev->events |= QUOLL_DEVICE_ERROR;
	if (ops->device_events)
		dev->events |= ops->device_events(dev);
	/* Relaxed: the flag is all there is to it. */
	if (__atomic_load_n(&dev->bus_error, __ATOMIC_RELAXED) || (!(dev->events & QUOLL_DEVICE_GONE) && is_gone(dev)))
		dev->events |= QUOLL_DEVICE_GONE;
	return dev->events;
}

bool quoll_device_is_cut_off(const struct quoll_device *dev)
{
	return (dev->events & QUOLL_DEVICE_GONE) && !dev->group->ioas->ops->device_is_process;
}

int quoll_device_event_fd(const struct quoll_device *dev)
{
	return dev->event_fd;
}

void quoll_device_info(const struct quoll_device *dev, struct quoll_device_info *info)
{
	*info = dev->info;
}

const struct quoll_env *quoll_device_env(const struct quoll_device *dev)
{
	return &dev->group->ioas->env;
}

struct quoll_ioas *quoll_device_ioas(struct quoll_device *dev)
{
	return dev->group->ioas;
}
