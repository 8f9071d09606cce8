/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * refuse.h - what the back-ends for this machine's groups share of a claim: reading the group, and the sentences that
 * say why it is refused, with every member or the process that is in the way.
 */
#ifndef QUOLL_EAL_REFUSE_H
#define QUOLL_EAL_REFUSE_H

#include "backend/backend.h"

/* Claim @group, which is described. Return: 0, -errno with err filled in. */
typedef int claim_fn(struct quoll_group *group, const struct quoll_group_desc *desc, const struct quoll_addr *addr,
		     struct quoll_error *err);

/*
 * The group of a PCI device, which is none of those in the address space already, is described and claimed.
 * Return: 0, -errno with err filled in.
 */
int claim_by_address(struct quoll_group *group, const struct quoll_addr *addr, claim_fn *claim,
		     struct quoll_error *err);

/* The endpoints' names to group->names. Return: 0, -ENOMEM with err filled in. */
int claim_fill_names(struct quoll_group *group, const struct quoll_group_desc *desc, const struct quoll_addr *addr,
		     struct quoll_error *err);

void claim_forget_names(struct quoll_group *group);

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

/* The kernel has refused the mapping, and the back-end knows no more of why than any other. Return: -errno. */
int refuse_mapping(struct quoll_ioas *ioas, const struct ioas_mapping *m, int errnum, struct quoll_error *err);

/* It had no memory for it, or the process no room for @need_bytes below its limit. Return: -ENOMEM. */
int refuse_memory(struct quoll_ioas *ioas, const struct ioas_mapping *m, uint64_t need_bytes, struct quoll_error *err);

/**
 * struct control_file - the file that a back-end begins with
 * @leaf:   below /dev
 * @absent: said if it is not there, with @load as the hint
 * @rather: what is better than rights for all users: the hint begins with it
 * @why:    giving it to all users is harmless
 */
struct control_file {
	const char *backend;
	const char *leaf;
	const char *absent;
	const char *load;
	const char *rather;
	const char *why;
};

/* The machine has groups, and this process may open the file. Return: 0, -errno with err filled in. */
int control_probe(const struct control_file *file, const struct quoll_env *env, struct quoll_error *err);

/* Return: an fd; -errno with err filled in. */
int control_open(const struct control_file *file, const struct quoll_env *env, struct quoll_error *err);

#endif
