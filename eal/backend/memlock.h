/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memlock.h - how much memory this process may pin (RLIMIT_MEMLOCK), and how to get more.
 *
 * The per-process account that type1 charges: mm->locked_vm against the limit, not looked at with CAP_IPC_LOCK.
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
};

/* Return: 0, -errno if the process's status cannot be read or makes no sense. */
int memlock_read(const struct quoll_env *env, struct memlock *ml);

/* How much more fits; UINT64_MAX if there is no limit. */
uint64_t memlock_left(const struct memlock *ml);

/* Fill err in: what need_bytes more would take, and the command that grants it. Return: -ENOMEM. */
int memlock_refuse(const struct memlock *ml, const char *subject, uint64_t need_bytes, struct quoll_error *err);

#endif
