/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * loop.c - making a loop, its list of pollers, its rounds, and what other threads may do to it.
 *
 * A round is the pollers' calls, one look at the clock, and a comparison of it with the time at which timers or watches
 * have to be looked at. Everything else happens at those times, or when there is no work (idle.c).
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "run/loop_internal.h"

#define SPIN_NS 50000u
#define SLEEP_NS 200000u
#define WAKE_BOUND_NS 100000u

static int add_to_epoll(struct quoll_loop *loop, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

static int open_files(struct quoll_loop *loop)
{
	int rc;

	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0)
		return -errno;
	loop->watch_epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->watch_epoll_fd < 0)
		return -errno;
	loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->wake_fd < 0)
		return -errno;
	rc = add_to_epoll(loop, loop->wake_fd);
	return rc ? rc : add_to_epoll(loop, loop->watch_epoll_fd);
}

static void close_files(struct quoll_loop *loop)
{
	if (loop->wake_fd >= 0)
		close(loop->wake_fd);
	if (loop->watch_epoll_fd >= 0)
		close(loop->watch_epoll_fd);
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
}

static void set_times(struct quoll_loop *loop, const struct quoll_loop_opts *opts, uint64_t spin_ns, uint64_t sleep_ns)
{
	(void)quoll_clock_init(&loop->clock); /* a system clock is good enough */
	loop->spin_ticks = quoll_ns_to_ticks(&loop->clock, spin_ns);
	loop->sleep_after_ticks = opts->never_sleep ? LOOP_NEVER : quoll_ns_to_ticks(&loop->clock, sleep_ns);
	loop->wake_bound_ns = opts->wake_bound_ns ? opts->wake_bound_ns : WAKE_BOUND_NS;
	loop->watch_period_ticks = quoll_ns_to_ticks(&loop->clock, LOOP_WATCH_PERIOD_NS);
	loop->now = loop->idle_since = quoll_ticks(&loop->clock);
	loop->due = LOOP_NEVER;
}

int quoll_loop_create(const struct quoll_env *env, const struct quoll_loop_opts *opts, struct quoll_loop **loop_out,
		      struct quoll_error *err)
{
	static const struct quoll_loop_opts defaults;
	struct quoll_loop *loop;
	uint64_t spin_ns, sleep_ns;
	int rc;

	if (!opts)
		opts = &defaults;
	sleep_ns = opts->sleep_ns ? opts->sleep_ns : SLEEP_NS;
	spin_ns = opts->spin_ns ? opts->spin_ns : SPIN_NS;
	if (sleep_ns < spin_ns)
		return quoll_error_set(err, EINVAL, "loop", NULL,
				       "it would sleep after %llu ns without work, but spins for %llu ns first",
				       (unsigned long long)sleep_ns, (unsigned long long)spin_ns);
	loop = aligned_alloc(QUOLL_CACHE_LINE_BYTES, sizeof(*loop));
	if (!loop)
		return quoll_error_set(err, ENOMEM, "loop", NULL, "out of memory");
	memset(loop, 0, sizeof(*loop));
	loop->epoll_fd = loop->watch_epoll_fd = loop->wake_fd = loop->signal_fd = -1;
	loop->tail = &loop->first;
	rc = open_files(loop);
	if (rc) {
		close_files(loop);
		free(loop);
		return quoll_error_set(err, -rc, "loop", NULL, "cannot make an event set: %s", strerrordesc_np(-rc));
	}
	set_times(loop, opts, spin_ns, sleep_ns);
	if (!loop->clock.from_cpu)
		quoll_log(env, QUOLL_LOG_INFO, "loop", "no invariant TSC: each round asks the system's clock");
	*loop_out = loop;
	return 0;
}

void quoll_loop_destroy(struct quoll_loop *loop)
{
	if (!loop)
		return;
	while (loop->first)
		quoll_loop_remove(loop->first);
	loop_drop_timers(loop);
	loop_drop_watches(loop);
	close_files(loop);
	free(loop);
}

int quoll_loop_add(struct quoll_loop *loop, struct quoll_poller *poller)
{
	int rc;

	if (!poller->poll || (poller->arm && (!poller->disarm || poller->fd < 0)))
		return -EINVAL;
	if (poller->loop)
		return -EALREADY;
	if (poller->arm) {
		rc = add_to_epoll(loop, poller->fd);
		if (rc)
			return rc;
	} else {
		loop->nr_unarmed++;
	}
	poller->loop = loop;
	poller->armed = false;
	poller->next = NULL;
	*loop->tail = poller;
	loop->tail = &poller->next;
	/* It has not been polled; and if another's arm adds it, it has not been armed. */
	quoll_loop_wake(loop);
	return 0;
}

void quoll_loop_remove(struct quoll_poller *poller)
{
	struct quoll_loop *loop = poller->loop;
	struct quoll_poller **at;

	if (!loop)
		return;
	if (poller->armed) {
		poller->armed = false;
		poller->disarm(poller->arg);
	}
	for (at = &loop->first; *at != poller; at = &(*at)->next)
		;
	*at = poller->next;
	if (loop->tail == &poller->next)
		loop->tail = at;
	if (loop->cursor == poller)
		loop->cursor = poller->next;
	if (poller->arm)
		epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, poller->fd, NULL); /* fails if its owner has closed it */
	else
		loop->nr_unarmed--;
	poller->loop = NULL;
	poller->next = NULL;
}

void loop_set_due(struct quoll_loop *loop)
{
	uint64_t due = loop->nr_watches ? loop->watch_due : LOOP_NEVER;

	if (loop->nr_timers && loop->timers[1]->expires_ticks < due)
		due = loop->timers[1]->expires_ticks;
	loop->due = due;
}

int loop_run_due(struct quoll_loop *loop)
{
	int nr_timers = loop_run_timers(loop);
	int nr_watches = 0;

	if (loop->nr_watches && loop->now >= loop->watch_due) {
		loop->watch_due = loop->now + loop->watch_period_ticks;
		nr_watches = loop_run_watches(loop);
	}
	loop_set_due(loop);
	return nr_watches < 0 ? nr_watches : nr_timers + nr_watches;
}

/* @work: what pollers did; @others: how many timers and watches were called. Return: 0, -errno. */
static inline int run_round(struct quoll_loop *loop, uint64_t *work, int *others)
{
	uint64_t before = loop->now, done = 0;
	struct quoll_poller *poller;
	enum loop_kind kind;

	*others = 0;
	for (poller = loop->first; poller; poller = loop->cursor) {
		int rc;

		/* Before the call: a poller may remove, and free, itself. */
		loop->cursor = poller->next;
		rc = poller->poll(poller->arg);
		if (QUOLL_UNLIKELY(rc < 0))
			return rc;
		done += (unsigned int)rc;
	}
	loop->now = quoll_ticks(&loop->clock);
	if (QUOLL_UNLIKELY(loop->now >= loop->due)) {
		*others = loop_run_due(loop);
		if (*others < 0)
			return *others;
		if (*others)
			loop->now = quoll_ticks(&loop->clock);
	}
	if (done)
		loop->idle_since = loop->now;
	kind = done || *others ? LOOP_BUSY : LOOP_IDLE;
	quoll_count(&loop->ticks[kind], loop->now - before);
	quoll_count(&loop->rounds[kind], 1);
	*work = done;
	return 0;
}

int quoll_loop_once(struct quoll_loop *loop)
{
	uint64_t work;
	int others, rc = run_round(loop, &work, &others);

	if (rc)
		return rc;
	work += (unsigned int)others;
	return work < INT_MAX ? (int)work : INT_MAX;
}

int quoll_loop_run(struct quoll_loop *loop)
{
	int rc = 0;

	/* What passed since an earlier run is nobody's. */
	loop->now = loop->idle_since = quoll_ticks(&loop->clock);
	while (!loop_stopping(loop)) {
		uint64_t work;
		int others;

		rc = run_round(loop, &work, &others);
		if (QUOLL_UNLIKELY(rc))
			break;
		if (work)
			continue;
		rc = loop_idle(loop, others);
		if (QUOLL_UNLIKELY(rc))
			break;
	}
	loop_restore_slack(loop);
	if (!rc)
		__atomic_store_n(&loop->shared.stop, 0, __ATOMIC_RELAXED);
	return rc;
}

void quoll_loop_wake(struct quoll_loop *loop)
{
	static const uint64_t one = 1;
	int saved = errno;

	__atomic_store_n(&loop->shared.woken, 1, __ATOMIC_SEQ_CST);
	/* The counter is never near its limit, so this cannot fail for a reason that matters. */
	if (__atomic_load_n(&loop->shared.asleep, __ATOMIC_SEQ_CST) &&
	    write(loop->wake_fd, &one, sizeof(one)) != (ssize_t)sizeof(one))
		errno = 0;
	errno = saved;
}

void quoll_loop_stop(struct quoll_loop *loop)
{
	__atomic_store_n(&loop->shared.stop, 1, __ATOMIC_SEQ_CST);
	quoll_loop_wake(loop);
}

void quoll_loop_stats(const struct quoll_loop *loop, struct quoll_loop_stats *stats)
{
	stats->busy_ns = quoll_ticks_to_ns(&loop->clock, quoll_counted(&loop->ticks[LOOP_BUSY]));
	stats->idle_ns = quoll_ticks_to_ns(&loop->clock, quoll_counted(&loop->ticks[LOOP_IDLE]));
	stats->sleep_ns = quoll_ticks_to_ns(&loop->clock, quoll_counted(&loop->sleep_ticks));
	stats->busy_rounds = quoll_counted(&loop->rounds[LOOP_BUSY]);
	stats->rounds = stats->busy_rounds + quoll_counted(&loop->rounds[LOOP_IDLE]);
	stats->sleeps = quoll_counted(&loop->sleeps);
	stats->arm_races = quoll_counted(&loop->arm_races);
}
