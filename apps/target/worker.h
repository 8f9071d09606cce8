/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * worker.h - a thread with a loop that serves controllers, and calls into it: whatever belongs to that thread is looked
 * at and changed there.
 */
#ifndef QUOLL_TARGET_WORKER_H
#define QUOLL_TARGET_WORKER_H

#include <quoll/loop.h>
#include <quoll/thread.h>

struct worker;

/**
 * struct worker_opts - a thread
 * @core:        where it stays; -1: not pinned
 * @never_sleep: its loop polls without end
 * @ended:       told when its loop has ended by itself, with its -errno; called in the worker's thread
 */
struct worker_opts {
	int core;
	bool never_sleep;
	void (*ended)(void *arg, int error);
	void *arg;
};

/**
 * worker_create() - a worker whose loop doesn't run yet, so that pollers can be added to it
 */
int worker_create(const struct quoll_env *env, const struct worker_opts *opts, struct worker **worker,
		  struct quoll_error *err);
struct quoll_loop *worker_loop(struct worker *worker);

/**
 * worker_start() - from now on pollers belong to its thread
 */
int worker_start(struct worker *worker, struct quoll_error *err);

/* How long a thread may take to look whether there is a call. */
#define WORKER_CALL_MS 1000u

/**
 * worker_call() - run @fn in the worker's thread, and wait until it has; at once if the thread isn't running
 * @fn: waits for nothing. @arg may be on the caller's stack.
 * Return: 0; -ETIMEDOUT: the thread is kept by something and has not looked for WORKER_CALL_MS, or hasn't looked since
 * that happened before; @fn has not run, and will not.
 * Thread rule: the thread that made the worker.
 */
int worker_call(struct worker *worker, void (*fn)(void *arg), void *arg);

/**
 * worker_stop() - end the loop and the thread; pollers belong to the caller again
 */
void worker_stop(struct worker *worker);

/**
 * worker_destroy() - it was stopped, or never started
 */
void worker_destroy(struct worker *worker);

#endif
