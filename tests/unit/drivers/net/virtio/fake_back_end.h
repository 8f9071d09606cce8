/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fake_back_end.h - a vhost-user back end in the test's own process: a thread that answers messages, and rings that the
 * test itself works on (fake_ring.h), once the driver has told of them. As both are one process, memory is where the
 * driver says it is; whether it was offered is looked up all the same.
 */
#ifndef QUOLL_TESTS_FAKE_BACK_END_H
#define QUOLL_TESTS_FAKE_BACK_END_H

#include <pthread.h>

#include <quoll/listen.h>

#include "net/vhost_user/vhost_msg.h"

#include "fake_ring.h"

#define FAKE_MAX_RINGS 16

struct fake_back_end {
	/* Knobs. */
	uint64_t features;
	uint64_t protocol;
	uint64_t max_pairs;
	uint64_t max_slots;
	uint32_t refuses; /* this request: nacked, or answered wrongly if it has an answer of its own */
	uint32_t ignores; /* this one is not answered */
	uint32_t hangs_up_at;
	bool trickles; /* answers go out a byte a step; for fake_back_end_step() */

	/* What was said, after start has returned. */
	uint64_t agreed;
	unsigned int nr_regions;
	struct vhost_region regions[64];
	struct fake_ring rings[FAKE_MAX_RINGS];
	int kick_fds[FAKE_MAX_RINGS];
	int call_fds[FAKE_MAX_RINGS];
	unsigned int nr_enabled;
	unsigned int nr_stopped; /* GET_VRING_BASE */
	unsigned int nr_sessions;

	/* The machine. */
	char path[64];
	struct quoll_listen listen;
	struct vhost_conn conn;
	uint8_t owed[sizeof(struct vhost_header) + 64];
	unsigned int nr_owed;
	unsigned int nr_paid;
	pthread_t thread;
	unsigned int stop;
};

/* All that a modern device may have, packed rings too; knobs come after that. */
void fake_back_end_init(struct fake_back_end *b);
void fake_back_end_fini(struct fake_back_end *b);
/* Listen, and serve one driver at a time, until stopped. */
void fake_back_end_run(struct fake_back_end *b);
/* Or connect to a driver that listens. */
void fake_back_end_run_connecting(struct fake_back_end *b);
/* Or without a thread: listen, and do a step when told, accept, take a message, or send a byte that is owed. */
void fake_back_end_listen(struct fake_back_end *b);
void fake_back_end_step(struct fake_back_end *b);
/* The end of that. */
void fake_back_end_leave(struct fake_back_end *b);
/* As if it had been killed. */
void fake_back_end_kill(struct fake_back_end *b);

#endif
