/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memlock.h - how much memory this process may pin (RLIMIT_MEMLOCK), and how to get more.
 *
 * Two accounts, both held against this process's limit, neither with CAP_IPC_LOCK: type1 charges the process
 * (mm->locked_vm), iommufd the user (user->locked_vm), for all processes together.
 */
#ifndef QUOLL_EAL_MEMLOCK_H
#define QUOLL_EAL_MEMLOCK_H

#include <stdbool.h>

#include <quoll/env.h>
#include <quoll/error.h>

struct memlock {
	uint64_t soft_bytes;
	uint64_t hard_bytes;
	uint64_t locked_bytes;
	bool unlimited;
	bool per_user;
};

/* Return: 0, -errno if the process's status cannot be read or makes no sense. */
int memlock_read(const struct quoll_env *env, struct memlock *ml);

/*
 * The user's account. The kernel shows it nowhere: it is the sum of what each process of the user has pinned (VmPin,
 * which io_uring's buffers are in, too). Walks /proc, unless there is no limit.
 */
int memlock_read_user(const struct quoll_env *env, struct memlock *ml);

/* How much more fits; UINT64_MAX if there is no limit. */
uint64_t memlock_left(const struct memlock *ml);

/* Fill err in: what need_bytes more would take, and the command that grants it. Return: -ENOMEM. */
int memlock_refuse(const struct memlock *ml, const char *subject, uint64_t need_bytes, struct quoll_error *err);

#endif
