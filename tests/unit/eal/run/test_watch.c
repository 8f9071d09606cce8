/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_watch.c - descriptors that are looked at while the loop is busy and that wake it, and signals.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "run/loop_internal.h"

#include "unit.h"

#define MS 1000000ull

static const struct quoll_loop_opts sleepy = {.spin_ns = 1, .sleep_ns = 1};
static struct quoll_loop *loop;
static unsigned int nr_calls;
static unsigned int stop_at;
static int call_rc;
static int unwatch_fd; /* -1: none */

static int readable(void *arg, int fd)
{
	uint64_t count;

	if (arg)
		CU_ASSERT_EQUAL(*(int *)arg, fd);
	CU_ASSERT_EQUAL(read(fd, &count, sizeof(count)), (ssize_t)sizeof(count));
	if (++nr_calls == stop_at)
		quoll_loop_stop(loop);
	if (unwatch_fd >= 0)
		CU_ASSERT_EQUAL(quoll_loop_unwatch(loop, unwatch_fd), 0);
	return call_rc;
}

static int always_busy(void *arg)
{
	(void)arg;
	return 1;
}

static void never(void *arg)
{
	(void)arg;
	CU_FAIL("nothing woke the loop for half a minute");
	quoll_loop_stop(loop);
}

static struct quoll_timer rescue = {.fn = never};
static struct quoll_poller busy = {.poll = always_busy, .fd = -1};

static void open_loop(const struct quoll_loop_opts *opts)
{
	nr_calls = stop_at = 0;
	call_rc = 0;
	unwatch_fd = -1;
	CU_ASSERT_EQUAL_FATAL(quoll_loop_create(NULL, opts, &loop, NULL), 0);
	quoll_timer_start(loop, &rescue, 30000 * MS, 0);
}

static int new_fd(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	CU_ASSERT_FATAL(fd >= 0);
	return fd;
}

static void kick(int fd)
{
	uint64_t one = 1;

	CU_ASSERT_EQUAL(write(fd, &one, sizeof(one)), (ssize_t)sizeof(one));
}

static void a_busy_loop_looks_now_and_then(void)
{
	struct quoll_loop_stats stats;
	int fd = new_fd();

	open_loop(NULL);
	CU_ASSERT_EQUAL(quoll_loop_watch(loop, fd, readable, &fd), 0);
	quoll_loop_add(loop, &busy);
	for (unsigned int i = 1; i <= 10; i++) {
		kick(fd);
		stop_at = i;
		CU_ASSERT_EQUAL(quoll_loop_run(loop), 0);
	}
	CU_ASSERT_EQUAL(nr_calls, 10);
	quoll_loop_stats(loop, &stats);
	CU_ASSERT_EQUAL(stats.sleeps, 0);
	quoll_loop_destroy(loop);
	close(fd);
}

static void a_look_is_not_repeated_within_a_millisecond(void)
{
	int fd = new_fd();

	open_loop(NULL);
	CU_ASSERT_EQUAL(quoll_loop_watch(loop, fd, readable, &fd), 0);
	CU_ASSERT_EQUAL(quoll_loop_once(loop), 0); /* at once, for it may be readable already */
	CU_ASSERT_EQUAL(loop->watch_due, loop->now + loop->watch_period_ticks);
	CU_ASSERT_EQUAL(loop->due, loop->watch_due);
	/* Before that is due nobody asks the kernel; then somebody does. */
	kick(fd);
	loop->watch_due = loop->due = loop->now + 60 * loop->clock.tick_hz;
	CU_ASSERT_EQUAL(quoll_loop_once(loop), 0);
	loop->watch_due = loop->due = loop->now;
	CU_ASSERT_EQUAL(quoll_loop_once(loop), 1);
	quoll_loop_destroy(loop);
	close(fd);
}

static void a_sleeping_loop_is_woken(void)
{
	struct quoll_loop_stats stats;
	int fds[40];

	open_loop(&sleepy);
	for (int i = 0; i < 40; i++) {
		fds[i] = new_fd();
		CU_ASSERT_EQUAL(quoll_loop_watch(loop, fds[i], readable, &fds[i]), 0);
	}
	/* One, then all of them: more than one look takes. */
	kick(fds[7]);
	stop_at = 1;
	CU_ASSERT_EQUAL(quoll_loop_run(loop), 0);
	for (int i = 0; i < 40; i++)
		kick(fds[i]);
	stop_at = 41;
	CU_ASSERT_EQUAL(quoll_loop_run(loop), 0);
	CU_ASSERT_EQUAL(nr_calls, 41);
	quoll_loop_stats(loop, &stats);
	CU_ASSERT(stats.sleeps <= 4);
	quoll_loop_destroy(loop);
	for (int i = 0; i < 40; i++)
		close(fds[i]);
}

static void watching_and_unwatching_say_what_was_there(void)
{
	int fd = new_fd(), file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	open_loop(NULL);
	CU_ASSERT_EQUAL(quoll_loop_unwatch(loop, fd), -ENOENT);
	CU_ASSERT_EQUAL(quoll_loop_watch(loop, -1, readable, NULL), -EBADF);
	CU_ASSERT_EQUAL(quoll_loop_unwatch(loop, -1), -ENOENT);
	CU_ASSERT_EQUAL(quoll_loop_watch(loop, file, readable, NULL), -EPERM); /* epoll does not take files */
	CU_ASSERT_EQUAL(quoll_loop_unwatch(loop, file), -ENOENT);
	CU_ASSERT_EQUAL(quoll_loop_watch(loop, fd, readable, NULL), 0);
	CU_ASSERT_EQUAL(quoll_loop_watch(loop, fd, readable, NULL), -EEXIST);
	CU_ASSERT_EQUAL(quoll_loop_unwatch(loop, fd), 0);
	kick(fd);
	CU_ASSERT_EQUAL(quoll_loop_once(loop), 0);
	CU_ASSERT_EQUAL(quoll_loop_watch(loop, fd, readable, NULL), 0);
	CU_ASSERT_EQUAL(quoll_loop_once(loop), 1);
	quoll_loop_destroy(loop);
	close(fd);
	close(file);
}

static void a_callback_may_unwatch_itself_and_others(void)
{
	int a = new_fd(), b = new_fd();

	open_loop(NULL);
	CU_ASSERT_EQUAL(quoll_loop_watch(loop, a, readable, &a), 0);
	CU_ASSERT_EQUAL(quoll_loop_watch(loop, b, readable, &b), 0);
	kick(a);
	kick(b);
	unwatch_fd = b;
	/* Whichever comes first; b, if it was second, is not called any more. */
	nr_calls = 0;
	if (quoll_loop_once(loop) == 2) {
		CU_ASSERT_EQUAL(nr_calls, 2);
	} else {
		CU_ASSERT_EQUAL(nr_calls, 1);
		CU_ASSERT_EQUAL(quoll_loop_unwatch(loop, b), -ENOENT);
	}
	quoll_loop_destroy(loop);
	close(a);
	close(b);
}

static void an_error_of_a_callback_ends_the_loop(void)
{
	int fd = new_fd();

	open_loop(&sleepy);
	CU_ASSERT_EQUAL(quoll_loop_watch(loop, fd, readable, &fd), 0);
	kick(fd);
	call_rc = -EPIPE;
	CU_ASSERT_EQUAL(quoll_loop_run(loop), -EPIPE);
	kick(fd);
	call_rc = 0;
	stop_at = 2;
	CU_ASSERT_EQUAL(quoll_loop_run(loop), 0);
	quoll_loop_destroy(loop);
	close(fd);
}

static int signals_seen[2];

static void on_signal(void *arg, int signo)
{
	CU_ASSERT_PTR_EQUAL(arg, &signals_seen);
	signals_seen[signo == SIGUSR2]++;
	if (signo == SIGUSR2)
		quoll_loop_stop(loop);
}

static bool blocked(int signo)
{
	sigset_t set;

	pthread_sigmask(SIG_BLOCK, NULL, &set);
	return sigismember(&set, signo);
}

static void signals_are_told_by_the_loop_or_stop_it(void)
{
	sigset_t set, own;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigemptyset(&own);
	sigaddset(&own, SIGUSR2);
	for (int with_poller = 0; with_poller < 2; with_poller++) {
		open_loop(&sleepy);
		if (with_poller)
			quoll_loop_add(loop, &busy);
		/* The caller had one of them blocked: that is how it stays. */
		pthread_sigmask(SIG_BLOCK, &own, NULL);
		memset(signals_seen, 0, sizeof(signals_seen));
		CU_ASSERT_EQUAL(quoll_loop_signals(loop, &set, on_signal, &signals_seen), 0);
		CU_ASSERT_EQUAL(quoll_loop_signals(loop, &set, on_signal, &signals_seen), -EALREADY);
		CU_ASSERT(blocked(SIGUSR1) && blocked(SIGUSR2));
		raise(SIGUSR1);
		raise(SIGUSR2);
		CU_ASSERT_EQUAL(quoll_loop_run(loop), 0);
		CU_ASSERT_EQUAL(signals_seen[0], 1);
		CU_ASSERT_EQUAL(signals_seen[1], 1);
		/* Nobody looks at this one; its default is to kill. */
		raise(SIGUSR1);
		quoll_loop_destroy(loop);
		CU_ASSERT_FALSE(blocked(SIGUSR1));
		CU_ASSERT_TRUE(blocked(SIGUSR2));
		pthread_sigmask(SIG_UNBLOCK, &own, NULL);

		open_loop(&sleepy);
		if (with_poller)
			quoll_loop_add(loop, &busy);
		CU_ASSERT_EQUAL(quoll_loop_signals(loop, &own, NULL, NULL), 0);
		raise(SIGUSR2);
		CU_ASSERT_EQUAL(quoll_loop_run(loop), 0);
		quoll_loop_destroy(loop);
		CU_ASSERT_FALSE(blocked(SIGUSR2));
	}
}

static const struct unit_test tests[] = {
	{"a busy loop looks now and then", a_busy_loop_looks_now_and_then},
	{"a look is not repeated within a millisecond", a_look_is_not_repeated_within_a_millisecond},
	{"a sleeping loop is woken", a_sleeping_loop_is_woken},
	{"watching and unwatching say what was there", watching_and_unwatching_say_what_was_there},
	{"a callback may unwatch itself and others", a_callback_may_unwatch_itself_and_others},
	{"an error of a callback ends the loop", an_error_of_a_callback_ends_the_loop},
	{"signals are told by the loop, or stop it", signals_are_told_by_the_loop_or_stop_it},
};

UNIT_MAIN("watches", tests)
