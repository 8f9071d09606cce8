/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * loop_internal.h - what the files of a loop share: loop.c runs the rounds, idle.c backs off and sleeps, timer.c keeps
 * the heap, watch.c the file descriptors and signals.
 *
 * Everything belongs to the loop's thread, except @shared and the counters.
 */
#ifndef QUOLL_LOOP_INTERNAL_H
#define QUOLL_LOOP_INTERNAL_H

#include <quoll/clock.h>
#include <quoll/counter.h>
#include <quoll/loop.h>

#define LOOP_WATCH_PERIOD_NS 1000000u
#define LOOP_NEVER UINT64_MAX

enum loop_kind {
	LOOP_IDLE,
	LOOP_BUSY,
	LOOP_NR_KINDS,
};

/* By file descriptor; fn is NULL where nothing is watched. @gen tells an event of an earlier watch from one of this. */
struct loop_watch {
	int (*fn)(void *arg, int fd);
	void *arg;
	uint32_t gen;
};

struct quoll_loop {
	/* Each round. */
	struct quoll_poller *first QUOLL_CACHE_ALIGNED;
	struct quoll_poller *cursor; /* the next of the pass that is on: removing moves it on */
	uint64_t now;		     /* ticks at the end of the last round or sleep */
	uint64_t due;		     /* when timers or watches have to be looked at */
	uint64_t idle_since;	     /* the last time that a poller did something */
	uint64_t ticks[LOOP_NR_KINDS];
	uint64_t rounds[LOOP_NR_KINDS];

	struct quoll_poller **tail QUOLL_CACHE_ALIGNED; /* where the next one is linked */
	struct quoll_clock clock;
	uint64_t spin_ticks;
	uint64_t sleep_after_ticks; /* LOOP_NEVER: it only pauses */
	uint64_t wake_bound_ns;
	uint64_t slack_ns;	 /* the thread's timer slack in this run; 0: not looked at yet */
	uint64_t found_slack_ns; /* what it was before */
	uint64_t sleep_ticks;
	uint64_t sleeps;
	uint64_t arm_races;
	unsigned int nr_unarmed; /* pollers that cannot wake anybody */
	int epoll_fd;		 /* what ends a sleep: the pollers' fds, @wake_fd, @watch_epoll_fd */
	int wake_fd;

	int watch_epoll_fd;
	unsigned int nr_watches;
	unsigned int watches_size;
	struct loop_watch *watches;
	uint32_t watch_gen;
	uint64_t watch_period_ticks;
	uint64_t watch_due;

	unsigned int nr_timers;
	unsigned int timers_size;
	struct quoll_timer **timers; /* from 1; the first to expire is timers[1] */

	int signal_fd; /* -1: none */
	sigset_t signals_added;
	void (*signal_fn)(void *arg, int signo);
	void *signal_arg;

	/* Any thread. Pairs: loop_wake() stores woken, then reads asleep; sleep stores asleep, then reads woken. */
	struct {
		int stop;
		int woken;
		int asleep;
	} shared QUOLL_CACHE_ALIGNED;
};

static inline bool loop_stopping(const struct quoll_loop *loop)
{
	return __atomic_load_n(&loop->shared.stop, __ATOMIC_RELAXED);
}

/* After a round without work of pollers; @others: timers and watches did something. Return: 0, -errno. */
int loop_idle(struct quoll_loop *loop, bool others);

/* The run is over: the thread's timer slack is what it was. */
void loop_restore_slack(struct quoll_loop *loop);

/* Run what is due by loop->now. Return: how many callbacks, -errno of one. */
int loop_run_due(struct quoll_loop *loop);
/* Recompute loop->due. */
void loop_set_due(struct quoll_loop *loop);

int loop_run_timers(struct quoll_loop *loop);
void loop_drop_timers(struct quoll_loop *loop);

/* Ask the kernel which are readable, and call. Return: how many, -errno of one. */
int loop_run_watches(struct quoll_loop *loop);
void loop_drop_watches(struct quoll_loop *loop);

#endif
