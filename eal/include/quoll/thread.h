/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * thread.h - threads for loops: named, and on a CPU of the caller's choice if there is one.
 *
 * Nothing else of the library makes threads or moves them, but for two that sleep nearly always: one closes files that
 * a peer has sent, one sees memory go away (stream.h).
 */
#ifndef QUOLL_THREAD_H
#define QUOLL_THREAD_H

#include <quoll/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct quoll_thread;

/**
 * struct quoll_thread_opts - what a thread is like
 * @name: as tools show it, cut to 15 bytes; NULL for the process's
 * @cpu:  where it is to stay, from its first instruction on; -1 for where its maker may run
 */
struct quoll_thread_opts {
	const char *name;
	int cpu;
};

/**
 * quoll_thread_start() - run @fn in a new thread
 * @opts:   NULL: no name, not pinned
 * @fn:     its value is what quoll_thread_join() returns
 * @thread: freed by quoll_thread_join()
 * @err:    -EINVAL: the CPU is not among those that the calling thread may use, which are named; -EAGAIN: too many
 *          threads; -ENOMEM
 *
 * The new thread inherits the signal mask. Thread rule: any thread.
 */
QUOLL_API int quoll_thread_start(const struct quoll_thread_opts *opts, int (*fn)(void *arg), void *arg,
				 struct quoll_thread **thread, struct quoll_error *err);

/**
 * quoll_thread_join() - wait for its end. Return: what its function returned.
 */
QUOLL_API int quoll_thread_join(struct quoll_thread *thread);

/**
 * quoll_thread_cpus() - the CPUs that the calling thread may use (affinity, cpusets), ascending
 * @cpus: filled in with the first @max; NULL if @max is 0
 * Return: how many there are in all, -errno.
 */
QUOLL_API int quoll_thread_cpus(unsigned int *cpus, unsigned int max);

/**
 * quoll_cpu_numa_node() - the NUMA node that a CPU belongs to; -1 if unknown
 */
QUOLL_API int quoll_cpu_numa_node(unsigned int cpu);

#ifdef __cplusplus
}
#endif
#endif
