/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * holder.h - which process has a device file open.
 */
#ifndef QUOLL_EAL_HOLDER_H
#define QUOLL_EAL_HOLDER_H

#include <stdbool.h>
#include <sys/types.h>

#include <quoll/env.h>

/* @hidden: there were processes whose files this user may not see. */
struct holder {
	pid_t pid;
	char comm[32];
	bool hidden;
};

/*
 * The first process with a file open whose path ends with @tail ("/vfio/26"); the end, because another mount namespace
 * may have /dev elsewhere. Other processes are preferred to this one. Return: 0, -ENOENT if none was seen.
 */
int holder_find(const struct quoll_env *env, const char *tail, struct holder *h);

/*
 * The process that has claimed an IOMMU group: whose file it has open, VFIO's or quoll.ko's, or that of a member
 * (iommufd). Return: 0, -ENOENT if none was seen.
 */
int holder_of_group(const struct quoll_env *env, int id, struct holder *h);

#endif
