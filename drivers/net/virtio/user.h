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
/* Messages a check, so that one that floods us does not keep this thread from its queues. */
#define USER_CHECK_MESSAGES 16u
/* Messages that are not the answer, for each that is. */
#define USER_MAX_OTHERS 16u

enum user_state {
	USER_STOPPED, /* no rings that a back end knows; there may be a session all the same */
	USER_UP,
	USER_ENDING,	/* the back end is gone, queues are held, and their threads may still be at it */
	USER_DOWN,	/* rings are as new; wait for a back end */
	USER_RETURNING, /* there is one, and it is talked to */
};

enum user_part {
	USER_BEGIN, /* ask what the back end can do, over a new connection */
	USER_GO,    /* memory and rings to the back end, rings on */
	USER_HALT,  /* it touches no ring any more after this */
};

/**
 * struct user_talk - how far a part has been said
 * @at:           its messages so far
 * @request:      the message last said
 * @answer_bytes: of the answer that is awaited; 0: none
 * @nr_others:    messages that came in its place
 */
struct user_talk {
	enum user_part part;
	unsigned int at;
	uint32_t request;
	uint32_t answer_bytes;
	unsigned int nr_others;
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
 * @return_by_ns: returning: until then all has to be said
 * @nr_lost:  back ends that went, or did what they may not
 * @lost_pace: of lines about them
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
	struct user_talk talk;
	unsigned int nr_chunks;
	struct quoll_heap_chunk chunks[USER_MAX_CHUNKS];
	int kick_fds[VIRTIO_MAX_RINGS];
	int tick_fd;
	int dummy_fd;
	uint64_t retry_ns;
	uint64_t return_by_ns;
	uint64_t nr_lost;
	struct quoll_pace lost_pace;
	uint8_t mac[QUOLL_MAC_BYTES];
	char path[QUOLL_ADDR_MAX_BYTES];
};

static inline struct virtio_user *virtio_user(struct virtio_port *v)
{
	return (struct virtio_user *)v;
}

/* user_session.c */

/* From the beginning of this part on. */
void user_session_part(struct virtio_user *u, enum user_part part);
/*
 * Say what comes next, and hear what is answered.
 * @deadline_ns: wait until all has been said, or until then, see fd_socket_now_ns(); 0: not at all, a few messages and
 * no more
 *
 * Return: 1: the part has been said, and answered; 0: not yet, only with 0; -errno, which ends the session.
 */
int user_session_step(struct virtio_user *u, uint64_t deadline_ns, struct quoll_error *err);
/* What step would have said at a deadline. Return: -ETIMEDOUT. */
int user_session_expired(const struct virtio_user *u, struct quoll_error *err);

#endif
