/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * message.h - vfio-user messages over a UNIX stream socket, with file descriptors; both sides use it.
 *
 * A connection takes one message at a time, bounded in length, in fds and in time. What breaks the framing (a length
 * that cannot be, too many fds, a peer that stops in the middle) ends it: from then on every call says so at once, for
 * nobody knows where the next message would begin. The socket itself may be blocking or not; no call relies on it.
 *
 * Deadlines are times of fd_socket_now_ns(). Thread rule: one thread at a time a connection.
 */
#ifndef QUOLL_EAL_VFIO_USER_MESSAGE_H
#define QUOLL_EAL_VFIO_USER_MESSAGE_H

#include <stdbool.h>

#include <vfio_user/fd_socket.h>
#include <vfio_user/wire.h>

/* Taken in one message; what we announce as max_msg_fds. The kernel's own limit is 253. */
#define VUSER_MAX_FDS FD_SOCKET_MAX_FDS
/* The largest message: data as max_data_xfer_size announces it, and room for headers. */
#define VUSER_MAX_MSG_BYTES (VUSER_DEFAULT_DATA_BYTES + 4096u)
/* How long a message that has begun may take: far more than any live peer needs, little enough for a person to wait. */
#define VUSER_STALL_NS 5000000000ull

/**
 * struct vuser_conn - one connection; set up by vuser_conn_init()
 * @fd:            the socket
 * @max_msg_bytes: longer ones end the connection
 * @stall_ns:      see VUSER_STALL_NS; may be changed
 * @owner:         on whose account files are closed (closer.h); may be changed
 * @error:         0, or -errno once the connection is of no more use
 * @header, @payload, @payload_bytes, @nr_fds, @fds: of the message received last, until the next call that receives.
 *                 Those of @fds that nobody took are closed then. @payload is aligned as malloc() does, and not NULL
 * @nr_sent, @nr_received, @nr_protocol_errors: counted; the last: what a peer that keeps to the protocol never does
 */
struct vuser_conn {
	int fd;
	uint32_t max_msg_bytes;
	uint64_t stall_ns;
	const void *owner;
	int error;
	struct vuser_header header;
	uint8_t *payload;
	uint32_t payload_bytes;
	unsigned int nr_fds;
	int fds[VUSER_MAX_FDS];
	uint64_t nr_sent;
	uint64_t nr_received;
	uint64_t nr_protocol_errors;
	/* private: */
	uint32_t got_bytes; /* of the message that is coming in */
	uint32_t payload_room;
	bool complete;
	uint64_t begun_ns; /* when its first byte came in */
	uint8_t *unsent;   /* of vuser_post(): what the socket did not take yet */
	uint32_t unsent_bytes;
	uint32_t unsent_at;
	unsigned int nr_unsent_fds; /* go out with its first byte */
	int unsent_fds[VUSER_MAX_FDS];
	uint64_t unsent_ns; /* since when */
};

/**
 * struct vuser_held - a received message, taken out of its connection to be looked at later
 */
struct vuser_held {
	struct vuser_held *next;
	const void *owner;
	struct vuser_header header;
	uint8_t *payload;
	uint32_t payload_bytes;
	uint32_t payload_room;
	unsigned int nr_fds;
	int fds[VUSER_MAX_FDS];
};

/**
 * struct vuser_out - a message to be sent
 * @head, @data: two parts of the payload, so that data need not be copied behind a fixed part; either may be empty
 * @error:       replies only: a positive errno; the payload is left out then
 *
 * The header is made from @id, @command, @flags and @error.
 */
struct vuser_out {
	uint16_t id;
	uint16_t command;
	uint32_t flags;
	uint32_t error;
	const void *head;
	uint32_t head_bytes;
	const void *data;
	uint32_t data_bytes;
	const int *fds;
	unsigned int nr_fds;
};

/* @fd is the connection's from now on, also if it fails later. */
void vuser_conn_init(struct vuser_conn *conn, int fd);
/* From now on the connection is of no more use, for the reason rc. Return: rc. */
int vuser_conn_fail(struct vuser_conn *conn, int rc);

/* When the message that is coming in began; 0: none is. */
static inline uint64_t vuser_begun_ns(const struct vuser_conn *conn)
{
	return conn->got_bytes && !conn->complete ? conn->begun_ns : 0;
}

/* Whether a message has been received and not yet made room for the next. */
static inline bool vuser_has_message(const struct vuser_conn *conn)
{
	return conn->complete;
}

/* Closes the socket and what is left of fds. Sets fd to -1; a second call does nothing. */
void vuser_conn_close(struct vuser_conn *conn);

/**
 * vuser_send() - send one message whole
 * @deadline_ns: when to give up because the peer does not read; 0: if it cannot go out at once
 *
 * Return: 0; -ETIMEDOUT; -EMSGSIZE and -EINVAL (too long, too many fds: nothing is sent, the connection lives on); any
 * other -errno ends the connection, so does -ETIMEDOUT. What vuser_post() left goes out first.
 */
int vuser_send(struct vuser_conn *conn, const struct vuser_out *out, uint64_t deadline_ns);

/**
 * vuser_post() - send one message without waiting; what the socket does not take is kept for vuser_flush()
 * Nothing may be left of an earlier one. The fds stay the caller's, open until all is out.
 *
 * Return: 0; -EMSGSIZE, -EINVAL as vuser_send(); -EBUSY: something is left; any other -errno ends the connection.
 */
int vuser_post(struct vuser_conn *conn, const struct vuser_out *out);

/**
 * vuser_flush() - send on what is left, without waiting
 * Return: 1: nothing is left; 0: something is; -errno ends the connection, -ETIMEDOUT: the peer has not taken all of a
 * message for @stall_ns.
 */
int vuser_flush(struct vuser_conn *conn);

static inline bool vuser_is_posting(const struct vuser_conn *conn)
{
	return conn->unsent != NULL;
}

/**
 * vuser_recv_step() - take what has come in, without waiting; for pollers
 *
 * Return: 1: a message is complete; 0: not yet; -errno, and the connection is at its end: -ECONNRESET: the peer is
 * gone; -ETIMEDOUT: it stopped in the middle of a message; -EPROTO: what it sends is no message, or has too many fds;
 * -EMSGSIZE; -ENOMEM; -ENOBUFS: too many files of the owner's wait to be closed.
 */
int vuser_recv_step(struct vuser_conn *conn);

/**
 * vuser_recv() - wait for the next message
 * Return: 0; -ETIMEDOUT at the deadline, which ends the connection only in the middle of a message; else as
 * vuser_recv_step().
 */
int vuser_recv(struct vuser_conn *conn, uint64_t deadline_ns);

/**
 * vuser_expect() - is the received message of this shape
 * @min_bytes, @max_bytes: of the payload
 * @max_fds: fds that may come with it
 *
 * Return: 0; else -EPROTO, counted as a protocol error, and all its fds are closed. The connection lives on.
 */
int vuser_expect(struct vuser_conn *conn, uint32_t min_bytes, uint32_t max_bytes, unsigned int max_fds);

/*
 * Take the complete message out of the connection, with payload and fds, or put one back in place of what is there.
 * @held is the caller's; vuser_held_drop() closes and frees what is in it.
 */
void vuser_hold(struct vuser_conn *conn, struct vuser_held *held);
void vuser_unhold(struct vuser_conn *conn, struct vuser_held *held);
void vuser_held_drop(struct vuser_held *held);

/* The i-th fd of the received message now belongs to the caller. Return: -1 if there is none, or it was taken. */
int vuser_take_fd(struct vuser_conn *conn, unsigned int i);

/* The beginning of a reply to a command: its id, command, flags; errnum: 0, or what went wrong. */
static inline struct vuser_out vuser_reply_to(const struct vuser_header *command, int errnum)
{
	return (struct vuser_out){
		.id = command->id,
		.command = command->command,
		.flags = VUSER_TYPE_REPLY | (errnum ? VUSER_ERROR : 0),
		.error = (uint32_t)errnum,
	};
}

static inline bool vuser_is_command(const struct vuser_header *header)
{
	return (header->flags & VUSER_TYPE_MASK) == VUSER_TYPE_COMMAND;
}

static inline bool vuser_wants_reply(const struct vuser_header *command)
{
	return !(command->flags & VUSER_NO_REPLY);
}

#endif
