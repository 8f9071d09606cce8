/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * claim.h - own a whole group and open its devices.
 *
 * One claim object, whichever way the kernel offers (VFIO group and container, iommufd, quoll.ko, vfio-user).
 */
#ifndef QUOLL_CLAIM_H
#define QUOLL_CLAIM_H

#include <quoll/addr.h>
#include <quoll/ioas.h>

#ifdef __cplusplus
extern "C" {
#endif

struct quoll_group;
struct quoll_device;

/**
 * quoll_claim_backend() - which back-end an address's device is reached by
 *
 * Return: the name for quoll_ioas_open(); NULL, which is for the environment's or the best, where the kernel offers it.
 */
QUOLL_API const char *quoll_claim_backend(const struct quoll_addr *addr);

/**
 * quoll_group_claim() - take the group of a device, exclusively, and attach it to an IOAS
 * @ioas:  where its devices' DMA goes
 * @addr:  any member of the group
 * @group: the result; given back by quoll_group_release()
 * @err:   -EBUSY: claimed already, by this or by another process (named if it can be found), or not viable: every
 * member is listed with its driver, and the command that binds them; -EACCES: no right to the group's file, with the
 * command that grants it; -EPERM: the IOMMU does not remap interrupts; -ENOENT, -ENODEV: no such device, no group, no
 * IOMMU, or no member is with a driver that lets it go; -EINVAL: not an address of a device in a group, or its IOMMU
 *         does not go with that of the groups in @ioas; -ENOSPC: the 65th group
 *
 * vfio-user: the server of a socket is connected to, told of what is mapped in @ioas, and is a group of one device that
 * bears the path's name. -ENOENT, -ECONNREFUSED: no socket, or nobody listens; -EBUSY: claimed already, or others wait
 * there too; -ETIMEDOUT: no answer within 5 s; -ENODEV: it hung up; -EPROTO: it does not speak the protocol.
 *
 * What is mapped in @ioas stays so while it has no group: it is mapped again with the next one.
 *
 * Return: 0, -errno. Thread rule: set-up, may block.
 */
QUOLL_API int quoll_group_claim(struct quoll_ioas *ioas, const struct quoll_addr *addr, struct quoll_group **group,
				struct quoll_error *err);

/**
 * quoll_group_release() - give a group back
 * Return: 0, or -EBUSY while a device of it is open (nothing is changed then).
 */
QUOLL_API int quoll_group_release(struct quoll_group *group);

QUOLL_API int quoll_group_id(const struct quoll_group *group);
QUOLL_API unsigned int quoll_group_nr_devices(const struct quoll_group *group);

/**
 * quoll_group_device_name() - name of the i-th endpoint, NULL past the end
 */
QUOLL_API const char *quoll_group_device_name(const struct quoll_group *group, unsigned int i);

/**
 * quoll_device_open() - open one member of a claimed group
 * @name:   as quoll_group_device_name() spells it, or addr->target
 * @device: the result; closed by quoll_device_close()
 * @err:    -ENOENT: not an endpoint of this group; -EBUSY: open already; -ENODEV: not with a VFIO driver, or it does
 *          not answer; -EPROTO: what the kernel says of it makes no sense
 *
 * PCI: bus mastering goes off first and stays off: the driver stops what may still run in the device, then calls
 * quoll_pci_bus_master(). Resets the device if it can be reset, subscribes to the kernel's request interrupt (PCI: and
 * to the error interrupt), then, for PCI, switches memory space on. Nothing is mapped yet.
 */
QUOLL_API int quoll_device_open(struct quoll_group *group, const char *name, struct quoll_device **device,
				struct quoll_error *err);

#ifdef __cplusplus
}
#endif
#endif
