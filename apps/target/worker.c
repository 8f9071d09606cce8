/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * worker.c - a thread, its loop, and one call at a time into it. A call's eventfd is watched by the loop: a loop that
 * sleeps wakes up, a busy one looks about once a millisecond, and costs nothing meanwhile.
 *
 * Who calls waits for a limited time until the call is taken, and takes it back then. Once it is taken it is waited for
 * to its end, so that nothing of the caller's is used behind its back.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "worker.h"

/**
 * struct worker - the thread
 * @call_fd: readable while there is a call
 * @fn, @fn_arg: the call, under @lock; @fn is NULL when it is over
 * @taken:   @fn runs, under @lock
 * @late:    a call was taken back, and the thread has not looked since; under @lock
 * @running: the loop runs, under @lock
 */
struct worker {
	struct worker_opts opts;
	struct quoll_loop *loop;
	struct quoll_thread *thread;
	int call_fd;
	pthread_mutex_t lock;
	pthread_cond_t over;
	void (*fn)(void *arg);
	void *fn_arg;
	bool taken;
	bool late;
	bool running;
};

static int take_call(void *arg, int fd)
{
	struct worker *worker = arg;
	uint64_t count;

	if (read(fd, &count, sizeof(count)) < 0)
		return 0;
	pthread_mutex_lock(&worker->lock);
	worker->late = false;
	worker->taken = worker->fn != NULL;
	pthread_mutex_unlock(&worker->lock);
	if (!worker->taken)
		return 0;
	worker->fn(worker->fn_arg);
	pthread_mutex_lock(&worker->lock);
	worker->fn = NULL;
	worker->taken = false;
	pthread_cond_signal(&worker->over);
	pthread_mutex_unlock(&worker->lock);
	return 0;
}

/* Deadlines are times of the monotonic clock. */
static void over_init(pthread_cond_t *over)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(over, &attr);
	pthread_condattr_destroy(&attr);
}

int worker_create(const struct quoll_env *env, const struct worker_opts *opts, struct worker **worker,
		  struct quoll_error *err)
{
	struct quoll_loop_opts loop_opts = {.never_sleep = opts->never_sleep};
	struct worker *made = calloc(1, sizeof(*made));
	int rc;

	if (!made)
		return quoll_error_set(err, ENOMEM, "thread", "", "out of memory");
	made->opts = *opts;
	pthread_mutex_init(&made->lock, NULL);
	over_init(&made->over);
	made->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (made->call_fd < 0)
		rc = quoll_error_set(err, errno, "thread", "", "no eventfd");
	else
		rc = quoll_loop_create(env, &loop_opts, &made->loop, err);
	if (!rc) {
		rc = quoll_loop_watch(made->loop, made->call_fd, take_call, made);
		if (rc)
			quoll_error_set(err, -rc, "thread", "", "its loop can't be called");
	}
	if (rc)
		worker_destroy(made);
	else
		*worker = made;
	return rc;
}

struct quoll_loop *worker_loop(struct worker *worker)
{
	return worker->loop;
}

static int worker_main(void *arg)
{
	struct worker *worker = arg;
	int rc = quoll_loop_run(worker->loop);

	pthread_mutex_lock(&worker->lock);
	worker->running = false;
	pthread_cond_signal(&worker->over);
	pthread_mutex_unlock(&worker->lock);
	if (rc)
		worker->opts.ended(worker->opts.arg, rc);
	return rc;
}

int worker_start(struct worker *worker, struct quoll_error *err)
{
	struct quoll_thread_opts opts = {.name = "quoll-target", .cpu = worker->opts.core};
	int rc;

	worker->running = true;
	rc = quoll_thread_start(&opts, worker_main, worker, &worker->thread, err);
	if (rc)
		worker->running = false;
	return rc;
}

/* Under the lock, while the thread runs. Return: 0: it is over, or the loop has ended; -ETIMEDOUT: it is taken back. */
static int wait_over(struct worker *worker)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += WORKER_CALL_MS / 1000;
	while (worker->fn && worker->running) {
		if (worker->taken)
			pthread_cond_wait(&worker->over, &worker->lock);
		else if (pthread_cond_timedwait(&worker->over, &worker->lock, &until) == ETIMEDOUT && !worker->taken)
			break;
	}
	if (!worker->fn || !worker->running)
		return 0;
	worker->fn = NULL;
	worker->late = true;
	return -ETIMEDOUT;
}

int worker_call(struct worker *worker, void (*fn)(void *arg), void *arg)
{
	const uint64_t one = 1;
	int rc = 0;

	pthread_mutex_lock(&worker->lock);
	worker->fn = fn;
	worker->fn_arg = arg;
	if (worker->running) {
		rc = worker->late || write(worker->call_fd, &one, sizeof(one)) != sizeof(one) ? -ETIMEDOUT
											      : wait_over(worker);
	}
	/* Nobody runs the loop: what is its thread's is ours. */
	if (!rc && worker->fn)
		fn(arg);
	worker->fn = NULL;
	pthread_mutex_unlock(&worker->lock);
	return rc;
}

void worker_stop(struct worker *worker)
{
	if (!worker->thread)
		return;
	quoll_loop_stop(worker->loop);
	quoll_thread_join(worker->thread);
	worker->thread = NULL;
}

void worker_destroy(struct worker *worker)
{
	if (worker->loop) {
		quoll_loop_unwatch(worker->loop, worker->call_fd);
		quoll_loop_destroy(worker->loop);
	}
	if (worker->call_fd >= 0)
		close(worker->call_fd);
	pthread_cond_destroy(&worker->over);
	pthread_mutex_destroy(&worker->lock);
	free(worker);
}
