/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * loop.h - the poll loop of one thread: pollers, timers, file descriptors, and what it does when there is nothing to
 * do.
 *
 * While there is work the loop spins. Without it, it backs off: spin, then pause, then sleep in epoll on the file
 * descriptors of its pollers, timers and watches. Ports, NVMe queues, sockets and timers are all served by one loop, so
 * that a forwarder and a storage target can share a thread.
 *
 * Thread rule: a loop, its pollers, timers and watches belong to the thread that runs it, which it neither makes nor
 * pins; quoll_loop_stop(), quoll_loop_wake() and quoll_loop_stats() may be called from any.
 */
#ifndef QUOLL_LOOP_H
#define QUOLL_LOOP_H

#include <signal.h>
#include <stdbool.h>

#include <quoll/env.h>
#include <quoll/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct quoll_loop;

/**
 * struct quoll_poller - something that is polled; the owner's memory, which must stay until it is removed
 * @poll:   do what there is to do, a batch at most. Return: how much was done, 0 for nothing; -errno ends the loop with
 *          that value
 * @arm:    the loop is about to sleep: make @fd become readable when work comes in. Return: 0; 1 if work is there
 *          already (then disarm is called, and the loop polls again, so that no wake-up is lost); -errno ends the loop.
 *          NULL: it cannot wake anybody, and the loop never sleeps longer than its wake-up bound
 * @disarm: after a sleep, before the next poll, and also when somebody else's arm found work
 * @arg:    handed to all three
 * @fd:     readable when there is work; -1 without arm. It may be an epoll set of several
 */
struct quoll_poller {
	int (*poll)(void *arg);
	int (*arm)(void *arg);
	void (*disarm)(void *arg);
	void *arg;
	int fd;
	/* private: */
	struct quoll_poller *next;
	struct quoll_loop *loop;
	bool armed;
};

/**
 * struct quoll_timer - a call at a time; the owner's memory, which must stay until it ran or was cancelled
 * @fn:  called from the loop; may start and cancel timers, this one included
 * @arg: handed to it
 */
struct quoll_timer {
	void (*fn)(void *arg);
	void *arg;
	/* private: */
	uint64_t expires_ticks;
	uint64_t period_ticks;
	struct quoll_loop *loop;
	unsigned int pos; /* in the loop's heap, from 1; 0: not started */
};

/**
 * struct quoll_loop_opts - when a loop backs off; zeroes are the defaults
 * @spin_ns:       after so long without work of pollers it pauses between polls; 0 for 50,000
 * @sleep_ns:      after so long without work it sleeps; 0 for 200,000
 * @wake_bound_ns: longest nap while a poller without arm is in the loop; 0 for 100,000
 * @never_sleep:   pause, but never sleep: for the lowest latency at the price of a CPU
 */
struct quoll_loop_opts {
	uint64_t spin_ns;
	uint64_t sleep_ns;
	uint64_t wake_bound_ns;
	bool never_sleep;
};

/**
 * struct quoll_loop_stats - where the time went, since the loop was made
 * @busy_ns:  rounds in which a poller, timer or watch did something
 * @idle_ns:  rounds in which none did, pauses included
 * @sleep_ns: asleep; counted when a sleep is over
 * @rounds:   of all pollers
 * @busy_rounds: of those, with work
 * @sleeps:   how often it slept
 * @arm_races: how often an arm found work, so that it did not
 */
struct quoll_loop_stats {
	uint64_t busy_ns;
	uint64_t idle_ns;
	uint64_t sleep_ns;
	uint64_t rounds;
	uint64_t busy_rounds;
	uint64_t sleeps;
	uint64_t arm_races;
};

/**
 * quoll_loop_create() - a loop without pollers
 * @env:  copied; NULL for the ordinary machine
 * @opts: NULL for the defaults
 * @loop: freed by quoll_loop_destroy()
 * @err:  -ENOMEM; -EMFILE, -ENFILE; -EINVAL: @sleep_ns below @spin_ns
 */
QUOLL_API int quoll_loop_create(const struct quoll_env *env, const struct quoll_loop_opts *opts,
				struct quoll_loop **loop, struct quoll_error *err);

/**
 * quoll_loop_destroy() - forget pollers, timers and watches, which stay their owners'; puts the signal mask back
 */
QUOLL_API void quoll_loop_destroy(struct quoll_loop *loop);

/**
 * quoll_loop_run() - until quoll_loop_stop()
 * While it naps for pollers without arm the thread's timer slack is at most half of @wake_bound_ns, to the run's end.
 * Return: 0, or the -errno that a poller, an arm or the sleep returned. May be called again afterwards.
 */
QUOLL_API int quoll_loop_run(struct quoll_loop *loop);

/**
 * quoll_loop_once() - one round: every poller once, timers that are due, and about once a millisecond the watches
 * Never sleeps. Return: what was done in all, 0 for nothing, or -errno.
 */
QUOLL_API int quoll_loop_once(struct quoll_loop *loop);

/**
 * quoll_loop_stop() - make quoll_loop_run() return after the present round; any thread, and signal handlers
 */
QUOLL_API void quoll_loop_stop(struct quoll_loop *loop);

/**
 * quoll_loop_wake() - end a sleep, as if work had come in; any thread, and signal handlers
 */
QUOLL_API void quoll_loop_wake(struct quoll_loop *loop);

/**
 * quoll_loop_add() - poll this from now on. Pollers are polled in the order in which they were added.
 * Return: 0; -EINVAL: no poll, or arm without disarm or fd; -EALREADY: it is in a loop; -errno of epoll_ctl().
 */
QUOLL_API int quoll_loop_add(struct quoll_loop *loop, struct quoll_poller *poller);

/**
 * quoll_loop_remove() - and no more; disarmed first if it was armed. A poller may remove itself and others.
 */
QUOLL_API void quoll_loop_remove(struct quoll_poller *poller);

/**
 * quoll_timer_start() - call timer->fn in @delay_ns, then every @period_ns, or once if that is 0. Restarts a running
 * one. A period is counted from the time that was due, and turns that were missed are left out. Never early; late by a
 * round, or in a sleep by the thread's timer slack (50 us unless changed). Return: 0, -ENOMEM.
 */
QUOLL_API int quoll_timer_start(struct quoll_loop *loop, struct quoll_timer *timer, uint64_t delay_ns,
				uint64_t period_ns);

/**
 * quoll_timer_cancel() - no call any more; allowed if it is not started
 */
QUOLL_API void quoll_timer_cancel(struct quoll_timer *timer);

/**
 * quoll_loop_watch() - call @fn when @fd is readable: sockets, control; looked at about once a millisecond while busy
 * @fn: reads what there is. Return: 0, -errno ends the loop
 * Return: 0, -EEXIST: it is watched already; -ENOMEM; -errno of epoll_ctl().
 */
QUOLL_API int quoll_loop_watch(struct quoll_loop *loop, int fd, int (*fn)(void *arg, int fd), void *arg);

/**
 * quoll_loop_unwatch() - and no more. Return: 0, -ENOENT.
 */
QUOLL_API int quoll_loop_unwatch(struct quoll_loop *loop, int fd);

/**
 * quoll_loop_signals() - have signals stop the loop, or call @fn instead, from the loop and not from a handler
 * @set: blocked in the calling thread (threads that are made later inherit that) until quoll_loop_destroy()
 * @fn:  told which signal; NULL for quoll_loop_stop()
 * Return: 0, -EALREADY, -errno.
 */
QUOLL_API int quoll_loop_signals(struct quoll_loop *loop, const sigset_t *set, void (*fn)(void *arg, int signo),
				 void *arg);

/**
 * quoll_loop_stats() - a snapshot; any thread
 */
QUOLL_API void quoll_loop_stats(const struct quoll_loop *loop, struct quoll_loop_stats *stats);

#ifdef __cplusplus
}
#endif
#endif
