/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wait.h - bounded waits of set-up paths, for what raises no interrupt: look again and again, with a limit.
 *
 *	quoll_wait_start(&wait, &clock, limit_ns);
 *	for (more = true;; more = quoll_wait_more(&wait)) {
 *		if (is_ready())
 *			return 0;
 *		if (!more)
 *			return -ETIMEDOUT;
 *	}
 *
 * There is one look after the limit, so a device is not called late because the thread was held up.
 */
#ifndef QUOLL_WAIT_H
#define QUOLL_WAIT_H

#include <stdbool.h>

#include <quoll/clock.h>

#ifdef __cplusplus
extern "C" {
#endif

struct quoll_wait {
	/* private: */
	const struct quoll_clock *clock;
	uint64_t start;
	uint64_t limit_ticks;
	unsigned int rounds;
};

/**
 * quoll_wait_start() - from now on, at most @limit_ns
 */
QUOLL_API void quoll_wait_start(struct quoll_wait *wait, const struct quoll_clock *clock, uint64_t limit_ns);

/**
 * quoll_wait_more() - pause a little, then longer and longer, up to a millisecond
 * Return: false once the time is up: look one last time.
 */
QUOLL_API bool quoll_wait_more(struct quoll_wait *wait);

/**
 * quoll_wait_elapsed_ms() - since quoll_wait_start()
 */
QUOLL_API uint64_t quoll_wait_elapsed_ms(const struct quoll_wait *wait);

#ifdef __cplusplus
}
#endif
#endif
