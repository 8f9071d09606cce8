/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * user.h - virtio-user: a device in another process, behind vhost-user's messages. user.c is the port and its life over
 * several back ends, user_session.c what is said to one of them.
 */
#ifndef QUOLL_VIRTIO_USER_H
#define QUOLL_VIRTIO_USER_H

#include <quoll/listen.h>

#include "../vhost_user/vhost_msg.h"
#include "virtio.h"

#define USER_MAX_CHUNKS 64u

enum user_state {
	USER_STOPPED, /* no rings that a back end knows; there may be a session all the same */
	USER_UP,
	USER_ENDING, /* the back end is gone, queues are held, and their threads may still be at it */
	USER_DOWN,   /* rings are as new; wait for a back end */
};

/**
 * struct virtio_user - a virtio-user port
 * @listen:   the socket's place, if the back end connects to us; else its fd is -1
 * @conn:     with the back end; its fd is -1 if there is none
 * @protocol: vhost-user's own features, as agreed on
 * @is_fresh: nothing but questions was asked in this session so far
 * @chunks:   memory that back ends are offered, with files of our own, while it runs
 * @tick_fd:  wakes sleepers now and then while there is no back end
 * @dummy_fd: for interrupts that nobody waits for
 * @retry_ns: when to look for one again
 * @nr_lost:  back ends that went, or did what they may not
 */
struct virtio_user {
	struct virtio_port v;
	struct quoll_listen listen;
	struct vhost_conn conn;
	uint64_t protocol;
	unsigned int max_pairs;
	bool has_protocol;
	bool is_fresh;
	bool can_hold;
	enum user_state state;
	unsigned int nr_chunks;
	struct quoll_heap_chunk chunks[USER_MAX_CHUNKS];
	int kick_fds[VIRTIO_MAX_RINGS];
	int tick_fd;
	int dummy_fd;
	uint64_t retry_ns;
	uint64_t nr_lost;
	uint8_t mac[QUOLL_MAC_BYTES];
	char path[QUOLL_ADDR_MAX_BYTES];
};

static inline struct virtio_user *virtio_user(struct virtio_port *v)
{
	return (struct virtio_user *)v;
}

/* user_session.c; all of these end by @deadline_ns, see vhost_now_ns(). */

/* Ask what the back end can do, over a new connection. */
int user_session_begin(struct virtio_user *u, uint64_t deadline_ns, struct quoll_error *err);
/* Memory and rings to the back end, rings on. */
int user_session_go(struct virtio_user *u, uint64_t deadline_ns, struct quoll_error *err);
/* It touches no ring any more when this returns 0. */
int user_session_halt(struct virtio_user *u, uint64_t deadline_ns);

#endif
