/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * lingering.h - a file whose close() waits for as long as somebody else likes.
 */
#ifndef QUOLL_TESTS_LINGERING_H
#define QUOLL_TESTS_LINGERING_H

#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "unit.h"

/* A TCP connection that nobody reads at the other end, full, whose close() waits for that: @peer ends it. */
static inline int lingering_socket(int *peer)
{
	const struct linger linger = {.l_onoff = 1, .l_linger = 1000};
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	static const char data[65536];
	socklen_t len = sizeof(address);

	CU_ASSERT_EQUAL_FATAL(bind(listener, (struct sockaddr *)&address, sizeof(address)) | listen(listener, 1), 0);
	CU_ASSERT_EQUAL_FATAL(getsockname(listener, (struct sockaddr *)&address, &len), 0);
	CU_ASSERT_EQUAL_FATAL(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	*peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	CU_ASSERT_TRUE_FATAL(*peer >= 0);
	close(listener);
	while (send(fd, data, sizeof(data), MSG_DONTWAIT) > 0)
		;
	CU_ASSERT_EQUAL_FATAL(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	return fd;
}

/* The other ends of up to two such files: they are read at last, which lets a close() that waits go on. */
struct late_reader {
	int peers[2];
	unsigned int nr;
	sem_t done;
	pthread_t thread;
	bool was_needed;
};

/* Twenty seconds are a failure. */
static inline void *late_reader_main(void *arg)
{
	struct late_reader *reader = arg;
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 20;
	reader->was_needed = sem_timedwait(&reader->done, &until);
	for (unsigned int i = 0; i < reader->nr; i++)
		close(reader->peers[i]);
	return NULL;
}

/* Before whatever may wait, and after it. Return: whether it did wait. */
static inline void late_reader_begin(struct late_reader *reader, unsigned int nr)
{
	reader->nr = nr;
	CU_ASSERT_EQUAL_FATAL(sem_init(&reader->done, 0, 0), 0);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&reader->thread, NULL, late_reader_main, reader), 0);
}

static inline bool late_reader_end(struct late_reader *reader)
{
	sem_post(&reader->done);
	pthread_join(reader->thread, NULL);
	sem_destroy(&reader->done);
	return reader->was_needed;
}

#endif
