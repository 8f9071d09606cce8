/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * signals.h - SIGINT and SIGTERM of verbs that run a loop: the first one ends the run, a second one kills.
 */
#ifndef QUOLL_APPS_SIGNALS_H
#define QUOLL_APPS_SIGNALS_H

#include <signal.h>
#include <time.h>

static inline void signals_that_end(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
}

/*
 * The way down has begun: from now on a signal kills, should it hang. What has come meanwhile belongs to the first one:
 * timeout(1) sends one to the process and one to its group.
 */
static inline void signals_kill_from_now(void)
{
	static const struct timespec now;
	sigset_t set;

	signals_that_end(&set);
	while (sigtimedwait(&set, NULL, &now) > 0)
		;
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

#endif
