/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * watch.c - the file descriptors that a loop looks at now and then, signals among them.
 *
 * They have an epoll set of their own, which is a member of the one that the loop sleeps on: while busy the loop asks
 * this one only, and while asleep it wakes the other.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "run/loop_internal.h"

#define MAX_EVENTS 32

static int make_room(struct quoll_loop *loop, unsigned int fd)
{
	unsigned int size = loop->watches_size ? loop->watches_size : 16;
	struct loop_watch *watches;

	if (fd < loop->watches_size)
		return 0;
	while (size <= fd)
		size *= 2;
	watches = realloc(loop->watches, size * sizeof(*watches));
	if (!watches)
		return -ENOMEM;
	memset(watches + loop->watches_size, 0, (size - loop->watches_size) * sizeof(*watches));
	loop->watches = watches;
	loop->watches_size = size;
	return 0;
}

int quoll_loop_watch(struct quoll_loop *loop, int fd, int (*fn)(void *arg, int fd), void *arg)
{
	struct epoll_event event = {.events = EPOLLIN};
	int rc;

	if (fd < 0)
		return -EBADF;
	rc = make_room(loop, (unsigned int)fd);
	if (rc)
		return rc;
	if (loop->watches[fd].fn)
		return -EEXIST;
	event.data.u64 = (uint64_t)++loop->watch_gen << 32 | (unsigned int)fd;
	if (epoll_ctl(loop->watch_epoll_fd, EPOLL_CTL_ADD, fd, &event))
		return -errno;
	loop->watches[fd] = (struct loop_watch){.fn = fn, .arg = arg, .gen = loop->watch_gen};
	loop->nr_watches++;
	/* Already readable, perhaps: look in the next round. */
	loop->watch_due = 0;
	loop_set_due(loop);
	return 0;
}

int quoll_loop_unwatch(struct quoll_loop *loop, int fd)
{
	if (fd < 0 || (unsigned int)fd >= loop->watches_size || !loop->watches[fd].fn)
		return -ENOENT;
	loop->watches[fd].fn = NULL;
	loop->nr_watches--;
	epoll_ctl(loop->watch_epoll_fd, EPOLL_CTL_DEL, fd, NULL); /* fails if its owner has closed it */
	return 0;
}

int loop_run_watches(struct quoll_loop *loop)
{
	struct epoll_event events[MAX_EVENTS];
	int nr = epoll_wait(loop->watch_epoll_fd, events, MAX_EVENTS, 0);
	int done = 0;

	if (nr < 0)
		return errno == EINTR ? 0 : -errno;
	if (nr == MAX_EVENTS)
		loop->watch_due = 0; /* perhaps there are more */
	for (int i = 0; i < nr; i++) {
		int fd = (int)(uint32_t)events[i].data.u64, rc;
		struct loop_watch watch;

		/* A copy: it may be ended, and the table moved, by what is called; an earlier one may have ended it. */
		watch = loop->watches[fd];
		if (!watch.fn || watch.gen != events[i].data.u64 >> 32)
			continue;
		rc = watch.fn(watch.arg, fd);
		if (rc < 0)
			return rc;
		done++;
	}
	return done;
}

static int signals_came(void *arg, int fd)
{
	struct quoll_loop *loop = arg;
	struct signalfd_siginfo info;

	while (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (loop->signal_fn)
			loop->signal_fn(loop->signal_arg, (int)info.ssi_signo);
		else
			quoll_loop_stop(loop);
	}
	return 0;
}

/* Which of @set were not blocked before: those are unblocked again in the end. */
static void remember_added(struct quoll_loop *loop, const sigset_t *set, const sigset_t *before)
{
	sigemptyset(&loop->signals_added);
	for (int signo = 1; signo < NSIG; signo++)
		if (sigismember(set, signo) == 1 && sigismember(before, signo) == 0)
			sigaddset(&loop->signals_added, signo);
}

int quoll_loop_signals(struct quoll_loop *loop, const sigset_t *set, void (*fn)(void *arg, int signo), void *arg)
{
	sigset_t before;
	int rc;

	if (loop->signal_fd >= 0)
		return -EALREADY;
	rc = pthread_sigmask(SIG_BLOCK, set, &before);
	if (rc)
		return -rc;
	remember_added(loop, set, &before);
	loop->signal_fn = fn;
	loop->signal_arg = arg;
	loop->signal_fd = signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK);
	rc = loop->signal_fd < 0 ? -errno : quoll_loop_watch(loop, loop->signal_fd, signals_came, loop);
	if (!rc)
		return 0;
	if (loop->signal_fd >= 0)
		close(loop->signal_fd);
	loop->signal_fd = -1;
	pthread_sigmask(SIG_UNBLOCK, &loop->signals_added, NULL);
	return rc;
}

void loop_drop_watches(struct quoll_loop *loop)
{
	struct signalfd_siginfo info;

	if (loop->signal_fd >= 0) {
		/* A second Ctrl-C that nobody has looked at must not kill a program that is about to end. */
		while (read(loop->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
			;
		close(loop->signal_fd);
		pthread_sigmask(SIG_UNBLOCK, &loop->signals_added, NULL);
	}
	free(loop->watches);
}
