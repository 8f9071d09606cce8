/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * target_world.h - a whole target in this process: in a thread of its own, ended by SIGTERM as users end it, with
 * sockets in a directory of its own.
 */
#ifndef QUOLL_TESTS_TARGET_WORLD_H
#define QUOLL_TESTS_TARGET_WORLD_H

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "target/target.h"

#include "unit.h"

struct target_world {
	char dir[32];
	char control[64];
	char listener[2][64]; /* addresses */
	struct target_config config;
	struct target target;
	pthread_t thread;
	int opened;
	int ran;
	int closed;
	struct quoll_error err;
	struct listener_stats stats[2]; /* at the end */
};

static inline void *target_world_main(void *arg)
{
	struct target_world *world = arg;

	world->ran = target_run(&world->target, &world->err);
	for (unsigned int i = 0; i < world->target.nr_listeners && i < 2; i++)
		target_listener_stats(&world->target, i, &world->stats[i]);
	world->closed = target_close(&world->target, &world->err);
	return NULL;
}

/* Names of sockets; then namespaces, listeners and faults are added to world->config. */
static inline void target_world_init(struct target_world *world)
{
	sigset_t set;

	memset(world, 0, sizeof(*world));
	strcpy(world->dir, "/tmp/quoll-target-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(world->dir));
	snprintf(world->control, sizeof(world->control), "%s/control", world->dir);
	for (unsigned int i = 0; i < 2; i++)
		snprintf(world->listener[i], sizeof(world->listener[i]), "vfio-user:%s/q%u", world->dir, i);
	strcpy(world->config.control, world->control);
	/* Nobody but the target's loop takes it, in whichever thread. */
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static inline void target_world_add(struct target_world *world, unsigned int i, const char *options)
{
	char text[96];

	snprintf(text, sizeof(text), "%s%s", world->listener[i], options);
	CU_ASSERT_EQUAL_FATAL(config_add_listener(&world->config, text, NULL), 0);
}

static inline void target_world_start(struct target_world *world)
{
	world->target.config = &world->config;
	world->opened = target_open(&world->target, &world->err);
	if (world->opened)
		printf("%s: %s\n", world->err.subject, world->err.what);
	CU_ASSERT_EQUAL_FATAL(world->opened, 0);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&world->thread, NULL, target_world_main, world), 0);
}

static inline void target_world_end(struct target_world *world)
{
	kill(getpid(), SIGTERM);
	pthread_join(world->thread, NULL);
	CU_ASSERT_EQUAL(world->ran, 0);
	CU_ASSERT_EQUAL(world->closed, 0);
	/* The sockets are gone. */
	CU_ASSERT_EQUAL(rmdir(world->dir), 0);
}

/* Send a text to the control socket; receive until a line is complete. Return: false: it hung up. */
static inline bool target_world_ask(int fd, const char *text, char *answer, size_t bytes)
{
	size_t len = 0;

	if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
		return false;
	while (len < bytes - 1 && !memchr(answer, '\n', len)) {
		ssize_t got = recv(fd, answer + len, bytes - 1 - len, 0);

		if (got <= 0)
			return false;
		len += (size_t)got;
	}
	answer[len] = '\0';
	return true;
}

#endif
