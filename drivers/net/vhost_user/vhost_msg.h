/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost_msg.h - vhost-user messages over a UNIX stream socket, with file descriptors; both ends use it.
 *
 * A connection takes one message at a time, bounded in length, in fds and in time. What breaks the framing (a length
 * that cannot be, too many fds, a peer that stops in the middle) ends it: from then on every call says so at once, for
 * nobody knows where the next message would begin. The socket itself may be blocking or not; no call relies on it.
 *
 * Deadlines are times of fd_socket_now_ns(). Thread rule: one thread at a time a connection.
 */
#ifndef QUOLL_NET_VHOST_MSG_H
#define QUOLL_NET_VHOST_MSG_H

#include <stdbool.h>

#include "vfio_user/fd_socket.h"

#include "vhost_wire.h"

_Static_assert(VHOST_MAX_FDS <= FD_SOCKET_MAX_FDS, "fds of a message");

/* The longest payload taken or sent; that of GET_CONFIG is the longest there is. */
#define VHOST_MAX_PAYLOAD_BYTES 512u
/* How long a message that has begun may take: far more than a live peer needs. */
#define VHOST_STALL_NS 2000000000ull

/**
 * struct vhost_conn - one connection; set up by vhost_conn_init()
 * @fd:       the socket; -1 once it was closed
 * @stall_ns: see VHOST_STALL_NS; may be changed
 * @error:    0, or -errno once the connection is of no more use
 * @header, @payload, @nr_fds, @fds: of the message received last, until the next call that receives. Those of @fds that
 *            nobody took are closed then. Bytes of @payload past header.bytes are zero, so that a struct in it is whole
 * @nr_sent, @nr_received, @nr_protocol_errors: counted; the last: what a peer that keeps to the protocol never does
 */
struct vhost_conn {
	int fd;
	uint64_t stall_ns;
	int error;
	struct vhost_header header;
	union {
		uint8_t bytes[VHOST_MAX_PAYLOAD_BYTES];
		uint64_t u64;
		struct vhost_vring_state state;
		struct vhost_vring_addr addr;
		struct vhost_mem_table table;
		struct vhost_mem_reg reg;
		struct vhost_inflight in_flight;
	} payload;
	unsigned int nr_fds;
	int fds[VHOST_MAX_FDS];
	uint64_t nr_sent;
	uint64_t nr_received;
	uint64_t nr_protocol_errors;
	/* private: */
	uint32_t got_bytes; /* of the message that is coming in */
	bool complete;
	uint64_t begun_ns; /* when its first byte came in */
};

/**
 * struct vhost_out - a message to be sent
 * @flags:   VHOST_FLAG_REPLY or VHOST_FLAG_NEED_REPLY, or none; the version is added
 * @payload: @bytes of it, may be NULL if there are none
 */
struct vhost_out {
	uint32_t request;
	uint32_t flags;
	const void *payload;
	uint32_t bytes;
	const int *fds;
	unsigned int nr_fds;
};

/* @fd is the connection's from now on, also if it fails later. */
void vhost_conn_init(struct vhost_conn *conn, int fd);
/* From now on the connection is of no more use, for the reason rc. Return: rc. */
int vhost_conn_fail(struct vhost_conn *conn, int rc);
/* Closes the socket and what is left of fds. A second call does nothing. */
void vhost_conn_close(struct vhost_conn *conn);
/**
 * vhost_send() - send one message whole; the fds stay the caller's
 * @deadline_ns: when to give up because the peer does not read; 0: if it cannot go out at once
 *
 * Return: 0; -EINVAL (too long, too many fds: nothing is sent, the connection lives on); any other -errno ends the
 * connection: -ECONNRESET: the peer is gone; -ETIMEDOUT.
 */
int vhost_send(struct vhost_conn *conn, const struct vhost_out *out, uint64_t deadline_ns);

/* Whether the next vhost_send() goes out at once, whatever it is; also if the peer is gone, which that one tells. */
bool vhost_can_send(const struct vhost_conn *conn);

/**
 * vhost_recv_step() - take what has come in, without waiting; for pollers
 *
 * Return: 1: a message is complete; 0: not yet; -errno, and the connection is at its end: -ECONNRESET: the peer is
 * gone; -ETIMEDOUT: it stopped in the middle of a message; -EPROTO: of another version, or too many fds; -EMSGSIZE.
 */
int vhost_recv_step(struct vhost_conn *conn);

/**
 * vhost_recv() - wait for the next message
 * Return: 0; -ETIMEDOUT at the deadline, which ends the connection only in the middle of a message; else as
 * vhost_recv_step().
 */
int vhost_recv(struct vhost_conn *conn, uint64_t deadline_ns);

/**
 * vhost_expect() - is the received message of this shape
 * @bytes:   of the payload, exactly
 * @max_fds: fds that may come with it
 *
 * Return: 0; else -EPROTO, counted as a protocol error, and all its fds are closed. The connection lives on.
 */
int vhost_expect(struct vhost_conn *conn, uint32_t bytes, unsigned int max_fds);

/* The i-th fd of the received message now belongs to the caller. Return: -1 if there is none, or it was taken. */
int vhost_take_fd(struct vhost_conn *conn, unsigned int i);

/* Whether a message has begun to come in, and is not whole yet. */
static inline bool vhost_begun(const struct vhost_conn *conn)
{
	return conn->got_bytes && !conn->complete;
}

static inline bool vhost_is_reply(const struct vhost_header *header)
{
	return header->flags & VHOST_FLAG_REPLY;
}

#endif
