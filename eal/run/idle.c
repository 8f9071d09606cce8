/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * idle.c - what a loop does without work: spin, pause, arm its pollers and sleep, disarm them.
 *
 * No wake-up is lost: a poller's arm looks for work after it has made its file descriptor wake, and the flag of
 * quoll_loop_wake() is read after the loop has said that it is asleep. Only work of pollers starts the back-off anew: a
 * timer that fires every millisecond does not keep a CPU awake.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "run/loop_internal.h"

#define PAUSES 16 /* between two polls; about 0.3 to 0.7 us */
#define MAX_EVENTS 16
#define NS_PER_S 1000000000u

static void pause_briefly(void)
{
#if defined(__x86_64__)
	for (int i = 0; i < PAUSES; i++)
		__builtin_ia32_pause();
#endif
}

static void disarm_all(struct quoll_loop *loop)
{
	struct quoll_poller *poller;

	for (poller = loop->first; poller; poller = loop->cursor) {
		loop->cursor = poller->next;
		if (!poller->armed)
			continue;
		poller->armed = false;
		poller->disarm(poller->arg);
	}
}

/* Return: 0, 1: one has found work; -errno. */
static int arm_all(struct quoll_loop *loop)
{
	struct quoll_poller *poller;

	for (poller = loop->first; poller; poller = loop->cursor) {
		int rc;

		loop->cursor = poller->next;
		if (!poller->arm)
			continue;
		poller->armed = true;
		rc = poller->arm(poller->arg);
		if (rc > 0)
			return 1;
		if (rc < 0) {
			/* It may have removed itself in doing so, but not freed: its arm has yet to return. */
			poller->armed = false;
			return rc;
		}
	}
	return 0;
}

/*
 * How long to sleep at most, in ns; LOOP_NEVER: no limit. A sleep may end later than asked for by the thread's timer
 * slack, so that is taken off where there is a bound; timers are allowed to be late by it.
 */
static uint64_t longest_sleep(struct quoll_loop *loop, uint64_t slack_ns)
{
	uint64_t ns = LOOP_NEVER, now = quoll_ticks(&loop->clock);

	if (loop->nr_timers) {
		uint64_t expires = loop->timers[1]->expires_ticks;

		ns = expires > now ? quoll_ticks_to_ns(&loop->clock, expires - now) : 0;
	}
	if (loop->nr_unarmed && loop->wake_bound_ns - slack_ns < ns)
		ns = loop->wake_bound_ns - slack_ns;
	return ns;
}

static void look_at_events(struct quoll_loop *loop, const struct epoll_event *events, int nr)
{
	uint64_t count;

	for (int i = 0; i < nr; i++) {
		if (events[i].data.fd == loop->wake_fd) {
			if (read(loop->wake_fd, &count, sizeof(count)) < 0)
				continue; /* nothing in it: looked at before */
		} else if (events[i].data.fd == loop->watch_epoll_fd) {
			loop->watch_due = 0;
			loop_set_due(loop);
		}
	}
}

static int sleep_for(struct quoll_loop *loop, uint64_t ns)
{
	struct epoll_event events[MAX_EVENTS];
	struct timespec limit = {.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
	uint64_t before = quoll_ticks(&loop->clock);
	int nr;

	/* Arming is not sleeping. */
	quoll_count(&loop->ticks[LOOP_IDLE], before - loop->now);
	nr = epoll_pwait2(loop->epoll_fd, events, MAX_EVENTS, ns == LOOP_NEVER ? NULL : &limit, NULL);
	if (nr < 0 && errno != EINTR)
		return -errno;
	loop->now = quoll_ticks(&loop->clock);
	quoll_count(&loop->sleep_ticks, loop->now - before);
	quoll_count(&loop->sleeps, 1);
	look_at_events(loop, events, nr);
	return 0;
}

/* Was there a quoll_loop_wake()? Then work has come in, by its word. */
static bool take_wake(struct quoll_loop *loop)
{
	/* Pairs with the store in quoll_loop_wake(): what was done before it is seen by the next poll. */
	if (!__atomic_load_n(&loop->shared.woken, __ATOMIC_SEQ_CST))
		return false;
	__atomic_exchange_n(&loop->shared.woken, 0, __ATOMIC_SEQ_CST);
	return true;
}

/*
 * The thread's timer slack, made small enough for the bound: the kernel's default of 50 us is for the default bound.
 * Looked at once a run, in the first nap: a system call each nap would be half of what a nap costs.
 */
static uint64_t timer_slack(struct quoll_loop *loop)
{
	uint64_t most = loop->wake_bound_ns / 2 ? loop->wake_bound_ns / 2 : 1;

	if (loop->slack_ns)
		return loop->slack_ns;
	loop->found_slack_ns = loop->slack_ns = (uint64_t)prctl(PR_GET_TIMERSLACK);
	if (loop->slack_ns > most) {
		loop->slack_ns = most;
		prctl(PR_SET_TIMERSLACK, most);
	}
	return loop->slack_ns;
}

void loop_restore_slack(struct quoll_loop *loop)
{
	if (loop->slack_ns != loop->found_slack_ns)
		prctl(PR_SET_TIMERSLACK, loop->found_slack_ns);
	loop->slack_ns = loop->found_slack_ns = 0;
}

static int sleep_unless_woken(struct quoll_loop *loop)
{
	uint64_t slack_ns = loop->nr_unarmed ? timer_slack(loop) : 0;
	int rc = 0;

	__atomic_store_n(&loop->shared.asleep, 1, __ATOMIC_SEQ_CST);
	if (!__atomic_load_n(&loop->shared.woken, __ATOMIC_SEQ_CST))
		rc = sleep_for(loop, longest_sleep(loop, slack_ns));
	__atomic_store_n(&loop->shared.asleep, 0, __ATOMIC_SEQ_CST);
	return rc;
}

static int arm_and_sleep(struct quoll_loop *loop)
{
	int rc;

	if (take_wake(loop)) {
		loop->idle_since = loop->now;
		return 0;
	}
	rc = arm_all(loop);
	if (!rc)
		rc = sleep_unless_woken(loop);
	disarm_all(loop);
	if (rc > 0) {
		quoll_count(&loop->arm_races, 1);
		/* As if the poll had found it: one whose arm is wrong about it must not be armed again and again. */
		loop->idle_since = loop->now;
		return 0;
	}
	if (take_wake(loop))
		loop->idle_since = loop->now;
	return rc;
}

int loop_idle(struct quoll_loop *loop, bool others)
{
	uint64_t idle = loop->now - loop->idle_since;

	/* Timers and watches may have made work for a poller that cannot say so. */
	if (idle < loop->spin_ticks || others)
		return 0;
	if (idle >= loop->sleep_after_ticks)
		return arm_and_sleep(loop);
	pause_briefly();
	return 0;
}
