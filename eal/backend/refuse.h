/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * refuse.h - what the back-ends for this machine's groups share of a claim: reading the group, and the sentences that
 * say why it is refused, with every member or the process that is in the way.
 */
#ifndef QUOLL_EAL_REFUSE_H
#define QUOLL_EAL_REFUSE_H

#include "backend/backend.h"

/*
 * The group of a PCI device, which is none of those in the address space already; list is to be freed and has that one
 * group. Return: 0, -errno with err filled in.
 */
int claim_describe(struct quoll_group *group, const struct quoll_addr *addr, struct quoll_group_list *list,
		   struct quoll_error *err);

/* The endpoints' names to group->names. Return: 0, -ENOMEM with err filled in. */
int claim_fill_names(struct quoll_group *group, const struct quoll_group_desc *desc, const struct quoll_addr *addr,
		     struct quoll_error *err);

/* A member is with a driver of the kernel's. Return: -EBUSY. */
int refuse_not_viable(const struct quoll_group_desc *desc, const struct quoll_addr *addr, struct quoll_error *err);

/* No member is with a VFIO driver. Return: -ENODEV, -EBUSY where one is not viable. */
int refuse_unbound(const struct quoll_group_desc *desc, const struct quoll_addr *addr, struct quoll_error *err);

/* No member is with the one driver that the back-end needs. Return: -ENODEV. */
int refuse_no_driver(const struct quoll_group_desc *desc, const struct quoll_addr *addr, const char *driver,
		     struct quoll_error *err);

/* Another process, or this one, has the group's file open, or that of a member. Return: -EBUSY. */
int refuse_busy(const struct quoll_env *env, int id, const struct quoll_addr *addr, struct quoll_error *err);

/* Return: -errnum. */
int refuse_permission(const char *path, const struct quoll_addr *addr, int errnum, struct quoll_error *err);

/* Return: -EPERM. */
int refuse_unsafe_interrupts(const struct quoll_addr *addr, struct quoll_error *err);

/* This machine has IOMMU groups. Return: 0, -errno: err says why it has none, and how to get them. */
int check_groups_exist(const struct quoll_env *env, const char *backend, struct quoll_error *err);

#endif
