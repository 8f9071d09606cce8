/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * closer.c - close files that a peer has sent, without ever waiting for it.
 *
 * close() of a file is not always quick: a FUSE file's server is asked, and may not answer; a TCP socket with SO_LINGER
 * whose last holder we are waits for whoever is at the other end. A peer may send us either. Memory files (memfd,
 * tmpfs, hugetlbfs), which are nearly all that comes, have nobody to wait for; all others are closed by a thread, which
 * the first of them starts and which stays: one for all of the process. It may be stuck; what waits behind it is
 * counted by owner, so that a server whose client did that takes no more files, and the others go on.
 *
 * The connection itself: SO_LINGER means nothing to AF_UNIX, and would be of the peer's own end. But files that it has
 * sent and that we have not received are let go of by our close(). So one with nothing in it is closed at once.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "closer.h"

#define CLOSER_FDS 1024u

struct closing {
	int fd;
	const void *owner;
};

/* A ring: @nr of them from @first on, which is being closed. Under the lock; @nr is looked at without, too. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t some;
	struct closing ring[CLOSER_FDS];
	unsigned int first;
	unsigned int nr;
	bool started;
} closer = {.lock = PTHREAD_MUTEX_INITIALIZER, .some = PTHREAD_COND_INITIALIZER};

static void set_nr(unsigned int nr)
{
	__atomic_store_n(&closer.nr, nr, __ATOMIC_RELAXED);
}

static void *closer_main(void *arg)
{
	(void)arg;
	pthread_setname_np(pthread_self(), "quoll-close");
	pthread_mutex_lock(&closer.lock);
	for (;;) {
		int fd;

		while (!closer.nr)
			pthread_cond_wait(&closer.some, &closer.lock);
		fd = closer.ring[closer.first].fd;
		pthread_mutex_unlock(&closer.lock);
		close(fd);
		pthread_mutex_lock(&closer.lock);
		closer.first = (closer.first + 1) % CLOSER_FDS;
		set_nr(closer.nr - 1);
	}
	return NULL;
}

/* Under the lock. Without a thread it is tried again with the next file. */
static void start(void)
{
	sigset_t all, before;
	pthread_attr_t attr;
	pthread_t thread;

	if (closer.started || pthread_attr_init(&attr))
		return;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	/* The program's signals are not for it. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	closer.started = !pthread_create(&thread, &attr, closer_main, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
}

/* Return: false: there is no room. */
static bool close_later(int fd, const void *owner)
{
	bool room;

	pthread_mutex_lock(&closer.lock);
	room = closer.nr < CLOSER_FDS;
	if (room) {
		closer.ring[(closer.first + closer.nr) % CLOSER_FDS] = (struct closing){.fd = fd, .owner = owner};
		set_nr(closer.nr + 1);
		start();
		pthread_cond_signal(&closer.some);
	}
	pthread_mutex_unlock(&closer.lock);
	return room;
}

void closer_close(int fd, const void *owner)
{
	/* Only memory files have seals, if none at all; nobody is asked for them, as fstat() may ask. */
	if (fcntl(fd, F_GET_SEALS) >= 0 || !close_later(fd, owner))
		close(fd);
}

void closer_close_socket(int fd, const void *owner)
{
	int bytes;

	if ((!ioctl(fd, FIONREAD, &bytes) && !bytes) || !close_later(fd, owner))
		close(fd);
}

bool closer_full(const void *owner)
{
	unsigned int nr, n = 0;

	if (__atomic_load_n(&closer.nr, __ATOMIC_RELAXED) < CLOSER_OWNER_FDS)
		return false;
	pthread_mutex_lock(&closer.lock);
	nr = closer.nr;
	for (unsigned int i = 0; i < nr; i++)
		n += closer.ring[(closer.first + i) % CLOSER_FDS].owner == owner;
	pthread_mutex_unlock(&closer.lock);
	return n >= CLOSER_OWNER_FDS || nr >= CLOSER_FDS - 2 * CLOSER_OWNER_FDS;
}
