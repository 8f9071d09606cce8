/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * clock.h - time from the CPU's counter, without a system call.
 *
 * Needs an invariant TSC (every x86-64 CPU of the last decade); elsewhere, and where CPUID does not promise one,
 * quoll_clock_init() says so and the counter is CLOCK_MONOTONIC_RAW itself.
 */
#ifndef QUOLL_CLOCK_H
#define QUOLL_CLOCK_H

#include <stdbool.h>
#include <time.h>

#include <quoll/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct quoll_clock - how ticks become nanoseconds: ns = ticks × mult >> shift
 * @tick_hz:   frequency of quoll_ticks()
 * @from_cpu:  ticks are the CPU's counter, not a system clock
 */
struct quoll_clock {
	uint64_t tick_hz;
	uint32_t mult;
	uint32_t shift;
	bool from_cpu;
};

/**
 * quoll_clock_init() - find the frequency: from CPUID where it tells, else measured against CLOCK_MONOTONIC_RAW (2 ms,
 * the first time in a process)
 *
 * The result may be copied and shared. Return: 0, or -ENOTSUP if ticks come from a system clock (still usable).
 */
QUOLL_API int quoll_clock_init(struct quoll_clock *clock);

static inline uint64_t quoll_ticks(const struct quoll_clock *clock)
{
#if defined(__x86_64__)
	if (QUOLL_LIKELY(clock->from_cpu))
		return __builtin_ia32_rdtsc();
#else
	(void)clock;
#endif
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline uint64_t quoll_ticks_to_ns(const struct quoll_clock *clock, uint64_t ticks)
{
	return (uint64_t)(((unsigned __int128)ticks * clock->mult) >> clock->shift);
}

static inline uint64_t quoll_ns_to_ticks(const struct quoll_clock *clock, uint64_t ns)
{
	return (uint64_t)(((unsigned __int128)ns << clock->shift) / clock->mult);
}

#ifdef __cplusplus
}
#endif
#endif
