/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost_msg.c - framing of vhost-user messages: sending whole ones, receiving bounded ones, fds in both directions.
 * Each message is read to its last byte and no further, for its fds (eal's vfio_user/fd_socket.h).
 */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "vfio_user/fd_socket.h"

#include "vhost_msg.h"

#define HEADER_BYTES ((uint32_t)sizeof(struct vhost_header))

void vhost_conn_init(struct vhost_conn *conn, int fd)
{
	memset(conn, 0, sizeof(*conn));
	conn->fd = fd;
	conn->stall_ns = VHOST_STALL_NS;
}

static void close_fds(struct vhost_conn *conn)
{
	fd_socket_close_all(conn->fds, &conn->nr_fds, conn);
}

void vhost_conn_close(struct vhost_conn *conn)
{
	if (conn->fd < 0)
		return;
	close_fds(conn);
	fd_socket_close(conn->fd, conn);
	conn->fd = -1;
	if (!conn->error)
		conn->error = -ENOTCONN;
}

int vhost_conn_fail(struct vhost_conn *conn, int rc)
{
	conn->error = rc;
	close_fds(conn);
	return rc;
}

static int protocol_error(struct vhost_conn *conn, int rc)
{
	conn->nr_protocol_errors++;
	return vhost_conn_fail(conn, rc);
}

bool vhost_can_send(const struct vhost_conn *conn)
{
	/* A UNIX socket is writable while three quarters of its buffer are free, which is more than any message. */
	return conn->error || fd_socket_wait(conn->fd, POLLOUT, 0) != -ETIMEDOUT;
}

int vhost_send(struct vhost_conn *conn, const struct vhost_out *out, uint64_t deadline_ns)
{
	struct {
		struct vhost_header header;
		uint8_t payload[VHOST_MAX_PAYLOAD_BYTES];
	} message = {.header = {out->request, out->flags | VHOST_FLAG_VERSION, out->bytes}};
	struct iovec iov = {.iov_base = &message, .iov_len = HEADER_BYTES + out->bytes};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
	union fd_control control;
	int rc;

	if (conn->error)
		return conn->error;
	if (out->bytes > VHOST_MAX_PAYLOAD_BYTES || out->nr_fds > VHOST_MAX_FDS)
		return -EINVAL;
	if (out->bytes)
		memcpy(message.payload, out->payload, out->bytes);
	fd_socket_attach(&mh, &control, out->fds, out->nr_fds);
	rc = fd_socket_send(conn->fd, &mh, deadline_ns);
	if (rc)
		return vhost_conn_fail(conn, rc);
	conn->nr_sent++;
	return 0;
}

/* Up to len bytes of the message. Return: how many, 0 if nothing is there, -errno after the connection was ended. */
static ssize_t recv_some(struct vhost_conn *conn, void *at, size_t len)
{
	const struct fd_room room = {conn->fds, &conn->nr_fds, VHOST_MAX_FDS, conn};
	ssize_t n = fd_socket_recv(conn->fd, at, len, &room);

	if (n < 0)
		return n == -EPROTO ? protocol_error(conn, -EPROTO) : vhost_conn_fail(conn, (int)n);
	if (n && !conn->got_bytes)
		conn->begun_ns = fd_socket_now_ns();
	return n;
}

/* The header is whole: believe it, or not. */
static int header_check(struct vhost_conn *conn)
{
	if ((conn->header.flags & VHOST_FLAG_VERSION_MASK) != VHOST_FLAG_VERSION)
		return protocol_error(conn, -EPROTO);
	if (conn->header.bytes > VHOST_MAX_PAYLOAD_BYTES)
		return protocol_error(conn, -EMSGSIZE);
	memset(&conn->payload, 0, sizeof(conn->payload));
	return 0;
}

/* The rest of header or payload. Return: as recv_some(). */
static ssize_t recv_part(struct vhost_conn *conn)
{
	uint32_t at = conn->got_bytes;

	if (at < HEADER_BYTES)
		return recv_some(conn, (uint8_t *)&conn->header + at, HEADER_BYTES - at);
	at -= HEADER_BYTES;
	return recv_some(conn, conn->payload.bytes + at, conn->header.bytes - at);
}

static void message_drop(struct vhost_conn *conn)
{
	close_fds(conn);
	conn->complete = false;
	conn->got_bytes = 0;
}

int vhost_recv_step(struct vhost_conn *conn)
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
		if (conn->got_bytes == HEADER_BYTES + conn->header.bytes) {
			conn->complete = true;
			conn->nr_received++;
			return 1;
		}
	}
	if (conn->got_bytes && fd_socket_now_ns() - conn->begun_ns >= conn->stall_ns)
		return protocol_error(conn, -ETIMEDOUT);
	return 0;
}

int vhost_recv(struct vhost_conn *conn, uint64_t deadline_ns)
{
	int rc;

	for (;;) {
		rc = vhost_recv_step(conn);
		if (rc)
			return rc < 0 ? rc : 0;
		rc = fd_socket_wait_more(conn->fd, conn->got_bytes ? conn->begun_ns + conn->stall_ns : UINT64_MAX,
					 deadline_ns);
		if (!rc)
			continue; /* there is something, or the next step says that it is too late */
		if (rc == -ETIMEDOUT && !conn->got_bytes)
			return rc;
		return rc == -ETIMEDOUT ? protocol_error(conn, rc) : vhost_conn_fail(conn, rc);
	}
}

int vhost_expect(struct vhost_conn *conn, uint32_t bytes, unsigned int max_fds)
{
	if (conn->header.bytes == bytes && conn->nr_fds <= max_fds)
		return 0;
	conn->nr_protocol_errors++;
	close_fds(conn);
	return -EPROTO;
}

int vhost_take_fd(struct vhost_conn *conn, unsigned int i)
{
	return fd_socket_take(conn->fds, conn->nr_fds, i);
}
