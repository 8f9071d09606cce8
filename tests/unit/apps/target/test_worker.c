/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_worker.c - calls into a thread with a loop: asleep, busy, before it runs and after it has ended.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>

#include "target/worker.h"
#include "unit.h"

static pthread_t caller, seen;
static unsigned int nr_calls, nr_ended;
static int end_error;

static void note(void *arg)
{
	CU_ASSERT_PTR_EQUAL(arg, &nr_calls);
	seen = pthread_self();
	nr_calls++;
}

static void on_ended(void *arg, int error)
{
	(void)arg;
	__atomic_store_n(&end_error, error, __ATOMIC_RELAXED);
	__atomic_add_fetch(&nr_ended, 1, __ATOMIC_RELEASE);
}

static int busy_poll(void *arg)
{
	int *result = arg;

	return __atomic_load_n(result, __ATOMIC_RELAXED);
}

static struct worker *make(void)
{
	struct worker_opts opts = {.core = -1, .ended = on_ended};
	struct worker *worker;

	nr_calls = nr_ended = 0;
	caller = pthread_self();
	CU_ASSERT_EQUAL_FATAL(worker_create(NULL, &opts, &worker, NULL), 0);
	return worker;
}

static void calls_run_in_the_thread_of_the_loop(void)
{
	struct worker *worker = make();

	CU_ASSERT_EQUAL_FATAL(worker_start(worker, NULL), 0);
	for (unsigned int i = 0; i < 100; i++) {
		worker_call(worker, note, &nr_calls);
		CU_ASSERT_FALSE(pthread_equal(seen, caller));
	}
	CU_ASSERT_EQUAL(nr_calls, 100);
	worker_stop(worker);
	worker_stop(worker); /* again does nothing */
	worker_destroy(worker);
	CU_ASSERT_EQUAL(nr_ended, 0);
}

static void a_busy_loop_takes_calls_too(void)
{
	struct worker *worker = make();
	int work = 1;
	struct quoll_poller poller = {.poll = busy_poll, .arg = &work, .fd = -1};

	CU_ASSERT_EQUAL_FATAL(quoll_loop_add(worker_loop(worker), &poller), 0);
	CU_ASSERT_EQUAL_FATAL(worker_start(worker, NULL), 0);
	for (unsigned int i = 0; i < 5; i++)
		worker_call(worker, note, &nr_calls);
	CU_ASSERT_EQUAL(nr_calls, 5);
	worker_stop(worker);
	worker_destroy(worker);
}

static void without_the_thread_the_caller_does_it(void)
{
	struct worker *worker = make();

	worker_call(worker, note, &nr_calls);
	CU_ASSERT_TRUE(pthread_equal(seen, caller));
	CU_ASSERT_EQUAL_FATAL(worker_start(worker, NULL), 0);
	worker_stop(worker);
	worker_call(worker, note, &nr_calls);
	CU_ASSERT_TRUE(pthread_equal(seen, caller));
	CU_ASSERT_EQUAL(nr_calls, 2);
	worker_destroy(worker);
}

static void a_loop_that_ends_by_itself_is_told_and_calls_go_on(void)
{
	struct worker *worker = make();
	int work = 0;
	struct quoll_poller poller = {.poll = busy_poll, .arg = &work, .fd = -1};

	CU_ASSERT_EQUAL_FATAL(quoll_loop_add(worker_loop(worker), &poller), 0);
	CU_ASSERT_EQUAL_FATAL(worker_start(worker, NULL), 0);
	worker_call(worker, note, &nr_calls);
	__atomic_store_n(&work, -EIO, __ATOMIC_RELAXED);
	/* Whether it has ended by now or not, a call comes back. */
	for (unsigned int i = 0; i < 100; i++)
		worker_call(worker, note, &nr_calls);
	CU_ASSERT_EQUAL(nr_calls, 101);
	worker_stop(worker);
	CU_ASSERT_EQUAL(__atomic_load_n(&nr_ended, __ATOMIC_ACQUIRE), 1);
	CU_ASSERT_EQUAL(end_error, -EIO);
	worker_destroy(worker);
}

/* A poller that keeps the thread until it is let go. */
struct keeper {
	sem_t taken, let_go;
	bool keeps;
};

static int keeping_poll(void *arg)
{
	struct keeper *keeper = arg;

	if (keeper->keeps) {
		keeper->keeps = false;
		sem_post(&keeper->taken);
		while (sem_wait(&keeper->let_go))
			;
	}
	return 0;
}

static void a_call_that_nobody_takes_is_taken_back(void)
{
	struct keeper keeper = {.keeps = true};
	struct quoll_poller poller = {.poll = keeping_poll, .arg = &keeper, .fd = -1};
	struct worker *worker = make();
	unsigned int nr_done = 0;

	sem_init(&keeper.taken, 0, 0);
	sem_init(&keeper.let_go, 0, 0);
	CU_ASSERT_EQUAL_FATAL(quoll_loop_add(worker_loop(worker), &poller), 0);
	CU_ASSERT_EQUAL_FATAL(worker_start(worker, NULL), 0);
	CU_ASSERT_EQUAL(sem_wait(&keeper.taken), 0);
	CU_ASSERT_EQUAL(worker_call(worker, note, &nr_calls), -ETIMEDOUT);
	CU_ASSERT_EQUAL(worker_call(worker, note, &nr_calls), -ETIMEDOUT);
	CU_ASSERT_EQUAL(nr_calls, 0);
	sem_post(&keeper.let_go);
	/* It may take a moment until it looks; what was taken back before that is never run. */
	while (nr_done < 20)
		nr_done += !worker_call(worker, note, &nr_calls);
	CU_ASSERT_EQUAL(nr_calls, 20);
	worker_stop(worker);
	CU_ASSERT_EQUAL(nr_calls, 20);
	worker_destroy(worker);
	sem_destroy(&keeper.taken);
	sem_destroy(&keeper.let_go);
}

static const struct unit_test tests[] = {
	{"calls run in the thread of the loop", calls_run_in_the_thread_of_the_loop},
	{"a busy loop takes calls too", a_busy_loop_takes_calls_too},
	{"a call that nobody takes is taken back", a_call_that_nobody_takes_is_taken_back},
	{"without the thread the caller does it", without_the_thread_the_caller_does_it},
	{"a loop that ends by itself is told, and calls go on", a_loop_that_ends_by_itself_is_told_and_calls_go_on},
};

UNIT_MAIN("apps/target/worker", tests)
