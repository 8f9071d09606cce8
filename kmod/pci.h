/* SPDX-License-Identifier: GPL-2.0-only */
/* pci.h - a PCI member, for pci.c and mainline.c. Nobody else knows what is in it: quoll.h has what others ask. */
#ifndef PCI_H
#define PCI_H

#include <linux/srcu.h>
#include <linux/vfio_pci_core.h>

#include "quoll.h"

struct quoll_handle;

/*
 * struct quoll_device - a member that is with our driver
 * @node:     group->lock: in group->devices
 * @handle:   group->lock to write: of the file that is open, or NULL
 * @leaving:  group->lock: nobody gets it any more
 * @changing: group->lock to write: somebody opens or closes it, without the lock: both may reset it, and a reset waits
 *            for the hotplug driver, which may wait for who takes a device of the group away
 * @in_use:   dev_set->lock to write: @handle has it enabled
 * @mainline: dev_set->lock to write: VFIO has it enabled
 * @changed:  woken when @changing ends
 * @srcu:     read around all that a user does
 */
struct quoll_device {
	struct vfio_pci_core_device core;
	struct quoll_group *group;
	struct list_head node;
	struct quoll_handle *handle;
	bool leaving;
	bool changing;
	bool in_use;
	bool mainline;
	wait_queue_head_t changed;
	struct srcu_struct srcu;
};

static inline struct quoll_device *from_vfio(struct vfio_device *vdev)
{
	return container_of(vdev, struct quoll_device, core.vdev);
}

/* What VFIO calls, and the life of struct quoll_device with VFIO. */
extern const struct vfio_device_ops quoll_vdev_ops;

#endif
