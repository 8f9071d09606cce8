/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wait.c - bounded waits of the set-up path. Registers and admin completions raise no interrupt here, so a wait looks
 * again and again: at once for what takes microseconds, then after sleeps that grow to a millisecond.
 */
#include <quoll/wait.h>

#define WAIT_SPINS 2000u
#define WAIT_SLEEP_MIN_NS 20000u
#define WAIT_SLEEP_MAX_NS 1000000u

void quoll_wait_start(struct quoll_wait *wait, const struct quoll_clock *clock, uint64_t limit_ns)
{
	wait->clock = clock;
	wait->limit_ticks = quoll_ns_to_ticks(clock, limit_ns);
	wait->rounds = 0;
	wait->start = quoll_ticks(clock);
}

bool quoll_wait_more(struct quoll_wait *wait)
{
	struct timespec ts = {.tv_nsec = WAIT_SLEEP_MIN_NS};

	if (quoll_ticks(wait->clock) - wait->start >= wait->limit_ticks)
		return false;
	if (wait->rounds++ < WAIT_SPINS) {
#if defined(__x86_64__)
		__builtin_ia32_pause();
#endif
		return true;
	}
	ts.tv_nsec <<= (wait->rounds - WAIT_SPINS) / 64 < 6 ? (wait->rounds - WAIT_SPINS) / 64 : 6;
	if (ts.tv_nsec > WAIT_SLEEP_MAX_NS)
		ts.tv_nsec = WAIT_SLEEP_MAX_NS;
	nanosleep(&ts, NULL);
	return true;
}

uint64_t quoll_wait_elapsed_ms(const struct quoll_wait *wait)
{
	return quoll_ticks_to_ns(wait->clock, quoll_ticks(wait->clock) - wait->start) / 1000000u;
}
