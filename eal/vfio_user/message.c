/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * message.c - framing of vfio-user messages: sending whole ones, receiving bounded ones, fds in both directions.
 * Each message is read to its last byte and no further, for its fds (fd_socket.h).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fd_socket.h"
#include "message.h"

#define HEADER_BYTES ((uint32_t)sizeof(struct vuser_header))
/* A reply is small, or data of up to 1 MiB: grown by what a message says, but not in steps of nothing. */
#define PAYLOAD_ROOM_MIN 4096u

void vuser_conn_init(struct vuser_conn *conn, int fd)
{
	memset(conn, 0, sizeof(*conn));
	conn->fd = fd;
	conn->max_msg_bytes = VUSER_MAX_MSG_BYTES;
	conn->stall_ns = VUSER_STALL_NS;
}

static void close_fds(struct vuser_conn *conn)
{
	fd_socket_close_all(conn->fds, &conn->nr_fds, conn->owner);
}

static void unsent_drop(struct vuser_conn *conn)
{
	free(conn->unsent);
	conn->unsent = NULL;
	conn->unsent_bytes = conn->unsent_at = 0;
	conn->nr_unsent_fds = 0;
}

void vuser_conn_close(struct vuser_conn *conn)
{
	if (conn->fd < 0)
		return;
	close_fds(conn);
	unsent_drop(conn);
	fd_socket_close(conn->fd, conn->owner);
	conn->fd = -1;
	if (!conn->error)
		conn->error = -ENOTCONN;
	free(conn->payload);
	conn->payload = NULL;
	conn->payload_bytes = conn->payload_room = 0;
}

/* From here on nothing can be said about where a message begins. */
static int conn_end(struct vuser_conn *conn, int rc)
{
	conn->error = rc;
	close_fds(conn);
	unsent_drop(conn);
	return rc;
}

int vuser_conn_fail(struct vuser_conn *conn, int rc)
{
	return conn_end(conn, rc);
}

static int protocol_error(struct vuser_conn *conn, int rc)
{
	conn->nr_protocol_errors++;
	return conn_end(conn, rc);
}

/* A message as sendmsg() takes it. */
struct message_parts {
	struct vuser_header header;
	struct iovec iov[3];
	struct msghdr mh;
	union fd_control control;
};

static int message_prepare(const struct vuser_conn *conn, const struct vuser_out *out, struct message_parts *parts)
{
	bool failed = out->flags & VUSER_ERROR;
	uint64_t bytes = sizeof(parts->header);

	parts->header =
		(struct vuser_header){.id = out->id, .command = out->command, .flags = out->flags, .error = out->error};
	parts->iov[0] = (struct iovec){.iov_base = &parts->header, .iov_len = sizeof(parts->header)};
	parts->iov[1] =
		(struct iovec){.iov_base = (void *)(uintptr_t)out->head, .iov_len = failed ? 0 : out->head_bytes};
	parts->iov[2] =
		(struct iovec){.iov_base = (void *)(uintptr_t)out->data, .iov_len = failed ? 0 : out->data_bytes};
	parts->mh = (struct msghdr){.msg_iov = parts->iov, .msg_iovlen = 3};
	bytes += parts->iov[1].iov_len + parts->iov[2].iov_len;
	if (bytes > conn->max_msg_bytes)
		return -EMSGSIZE;
	if (out->nr_fds > VUSER_MAX_FDS)
		return -EINVAL;
	parts->header.size_bytes = (uint32_t)bytes;
	fd_socket_attach(&parts->mh, &parts->control, out->fds, failed ? 0 : out->nr_fds);
	return 0;
}

/* What is left as sendmsg() takes it, in one piece. */
static void unsent_prepare(struct vuser_conn *conn, struct message_parts *parts)
{
	parts->iov[0] = (struct iovec){.iov_base = conn->unsent + conn->unsent_at,
				       .iov_len = conn->unsent_bytes - conn->unsent_at};
	parts->mh = (struct msghdr){.msg_iov = parts->iov, .msg_iovlen = 1};
	fd_socket_attach(&parts->mh, &parts->control, conn->unsent_fds, conn->nr_unsent_fds);
}

int vuser_send(struct vuser_conn *conn, const struct vuser_out *out, uint64_t deadline_ns)
{
	struct message_parts parts;
	int rc;

	if (conn->error)
		return conn->error;
	if (conn->unsent) {
		unsent_prepare(conn, &parts);
		rc = fd_socket_send(conn->fd, &parts.mh, deadline_ns);
		if (rc)
			return conn_end(conn, rc);
		unsent_drop(conn);
		conn->nr_sent++;
	}
	rc = message_prepare(conn, out, &parts);
	if (rc)
		return rc;
	rc = fd_socket_send(conn->fd, &parts.mh, deadline_ns);
	if (rc)
		return conn_end(conn, rc);
	conn->nr_sent++;
	return 0;
}

/* Copy what is left of a message. */
static int unsent_keep(struct vuser_conn *conn, const struct message_parts *parts, const struct vuser_out *out)
{
	const struct msghdr *mh = &parts->mh;
	uint32_t bytes = 0;

	for (size_t i = 0; i < mh->msg_iovlen; i++)
		bytes += (uint32_t)mh->msg_iov[i].iov_len;
	conn->unsent = malloc(bytes);
	if (!conn->unsent)
		return -ENOMEM;
	for (size_t i = 0; i < mh->msg_iovlen; i++) {
		if (mh->msg_iov[i].iov_len)
			memcpy(conn->unsent + conn->unsent_bytes, mh->msg_iov[i].iov_base, mh->msg_iov[i].iov_len);
		conn->unsent_bytes += (uint32_t)mh->msg_iov[i].iov_len;
	}
	if (mh->msg_controllen) {
		memcpy(conn->unsent_fds, out->fds, out->nr_fds * sizeof(*out->fds));
		conn->nr_unsent_fds = out->nr_fds;
	}
	conn->unsent_ns = fd_socket_now_ns();
	return 0;
}

int vuser_post(struct vuser_conn *conn, const struct vuser_out *out)
{
	struct message_parts parts;
	int rc;

	if (conn->error)
		return conn->error;
	if (conn->unsent)
		return -EBUSY;
	rc = message_prepare(conn, out, &parts);
	if (rc)
		return rc;
	rc = fd_socket_send_some(conn->fd, &parts.mh);
	if (rc == -EAGAIN) {
		rc = unsent_keep(conn, &parts, out);
		return rc ? conn_end(conn, rc) : 0;
	}
	if (rc)
		return conn_end(conn, rc);
	conn->nr_sent++;
	return 0;
}

int vuser_flush(struct vuser_conn *conn)
{
	struct message_parts parts;
	int rc;

	if (conn->error)
		return conn->error;
	if (!conn->unsent)
		return 1;
	unsent_prepare(conn, &parts);
	rc = fd_socket_send_some(conn->fd, &parts.mh);
	if (!rc) {
		unsent_drop(conn);
		conn->nr_sent++;
		return 1;
	}
	if (rc != -EAGAIN)
		return conn_end(conn, rc);
	if (!parts.mh.msg_controllen)
		conn->nr_unsent_fds = 0;
	conn->unsent_at = conn->unsent_bytes - (uint32_t)parts.iov[0].iov_len;
	return fd_socket_now_ns() - conn->unsent_ns >= conn->stall_ns ? protocol_error(conn, -ETIMEDOUT) : 0;
}

/* Up to len bytes of the message. Return: how many, 0 if nothing is there, -errno after the connection was ended. */
static ssize_t recv_some(struct vuser_conn *conn, void *at, size_t len)
{
	const struct fd_room room = {conn->fds, &conn->nr_fds, VUSER_MAX_FDS, conn->owner};
	ssize_t n = fd_socket_recv(conn->fd, at, len, &room);

	if (n < 0)
		return n == -EPROTO ? protocol_error(conn, -EPROTO) : conn_end(conn, (int)n);
	if (n && !conn->got_bytes)
		conn->begun_ns = fd_socket_now_ns();
	return n;
}

static int payload_room(struct vuser_conn *conn, uint32_t bytes)
{
	uint32_t room = bytes > PAYLOAD_ROOM_MIN ? bytes : PAYLOAD_ROOM_MIN;
	uint8_t *payload;

	if (conn->payload && bytes <= conn->payload_room)
		return 0;
	payload = malloc(room);
	if (!payload)
		return -ENOMEM;
	free(conn->payload);
	conn->payload = payload;
	conn->payload_room = room;
	return 0;
}

/* The header is whole: believe it, or not. */
static int header_check(struct vuser_conn *conn)
{
	uint32_t type = conn->header.flags & VUSER_TYPE_MASK;
	int rc;

	if (conn->header.size_bytes < HEADER_BYTES || (type != VUSER_TYPE_COMMAND && type != VUSER_TYPE_REPLY))
		return protocol_error(conn, -EPROTO);
	if (conn->header.size_bytes > conn->max_msg_bytes)
		return protocol_error(conn, -EMSGSIZE);
	rc = payload_room(conn, conn->header.size_bytes - HEADER_BYTES);
	if (rc)
		return conn_end(conn, rc);
	conn->payload_bytes = conn->header.size_bytes - HEADER_BYTES;
	return 0;
}

static void message_drop(struct vuser_conn *conn)
{
	close_fds(conn);
	conn->complete = false;
	conn->got_bytes = 0;
	conn->payload_bytes = 0;
}

/* The rest of header or payload. Return: as recv_some(). */
static ssize_t recv_part(struct vuser_conn *conn)
{
	uint32_t at = conn->got_bytes;

	if (at < HEADER_BYTES)
		return recv_some(conn, (uint8_t *)&conn->header + at, HEADER_BYTES - at);
	return recv_some(conn, conn->payload + (at - HEADER_BYTES), conn->header.size_bytes - at);
}

int vuser_recv_step(struct vuser_conn *conn)
{
	ssize_t n;

	if (conn->error)
		return conn->error;
	if (conn->complete)
		message_drop(conn);
	for (;;) {
		n = recv_part(conn);
		if (n < 0)
			return (int)n;
		if (!n)
			break;
		conn->got_bytes += (uint32_t)n;
		if (conn->got_bytes < HEADER_BYTES)
			continue;
		if (conn->got_bytes == HEADER_BYTES && header_check(conn))
			return conn->error;
		if (conn->got_bytes == conn->header.size_bytes) {
			conn->complete = true;
			conn->nr_received++;
			return 1;
		}
	}
	if (conn->got_bytes && fd_socket_now_ns() - conn->begun_ns >= conn->stall_ns)
		return protocol_error(conn, -ETIMEDOUT);
	return 0;
}

int vuser_recv(struct vuser_conn *conn, uint64_t deadline_ns)
{
	int rc;

	for (;;) {
		rc = vuser_recv_step(conn);
		if (rc)
			return rc < 0 ? rc : 0;
		rc = fd_socket_wait_more(conn->fd, conn->got_bytes ? conn->begun_ns + conn->stall_ns : UINT64_MAX,
					 deadline_ns);
		if (!rc)
			continue; /* there is something, or the next step says that it is too late */
		if (rc == -ETIMEDOUT && !conn->got_bytes)
			return rc;
		return rc == -ETIMEDOUT ? protocol_error(conn, rc) : conn_end(conn, rc);
	}
}

int vuser_expect(struct vuser_conn *conn, uint32_t min_bytes, uint32_t max_bytes, unsigned int max_fds)
{
	if (conn->payload_bytes >= min_bytes && conn->payload_bytes <= max_bytes && conn->nr_fds <= max_fds)
		return 0;
	conn->nr_protocol_errors++;
	close_fds(conn);
	return -EPROTO;
}

int vuser_take_fd(struct vuser_conn *conn, unsigned int i)
{
	return fd_socket_take(conn->fds, conn->nr_fds, i);
}

void vuser_hold(struct vuser_conn *conn, struct vuser_held *held)
{
	*held = (struct vuser_held){
		.owner = conn->owner,
		.header = conn->header,
		.payload = conn->payload,
		.payload_bytes = conn->payload_bytes,
		.payload_room = conn->payload_room,
		.nr_fds = conn->nr_fds,
	};
	memcpy(held->fds, conn->fds, conn->nr_fds * sizeof(*conn->fds));
	conn->payload = NULL;
	conn->payload_room = 0;
	conn->nr_fds = 0;
	message_drop(conn);
}

void vuser_unhold(struct vuser_conn *conn, struct vuser_held *held)
{
	close_fds(conn);
	free(conn->payload);
	conn->header = held->header;
	conn->payload = held->payload;
	conn->payload_bytes = held->payload_bytes;
	conn->payload_room = held->payload_room;
	conn->nr_fds = held->nr_fds;
	memcpy(conn->fds, held->fds, held->nr_fds * sizeof(*held->fds));
	conn->complete = true;
	held->payload = NULL;
	held->nr_fds = 0;
}

void vuser_held_drop(struct vuser_held *held)
{
	fd_socket_close_all(held->fds, &held->nr_fds, held->owner);
	free(held->payload);
	held->payload = NULL;
}
