/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * counter.h - counters that one thread writes and any may read.
 *
 * A plain load and store instead of a locked add: relaxed, so nothing may depend on them, and a reader sees each value
 * whole but several counters from slightly different times.
 */
#ifndef QUOLL_COUNTER_H
#define QUOLL_COUNTER_H

#include <quoll/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * quoll_count() - add @n. Thread rule: the counter's one writer; hot path, once a batch.
 */
static inline void quoll_count(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

/**
 * quoll_counted() - the present value. Thread rule: any thread.
 */
static inline uint64_t quoll_counted(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

#ifdef __cplusplus
}
#endif
#endif
