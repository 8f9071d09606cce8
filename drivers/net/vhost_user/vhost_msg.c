/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost_msg.c - framing of vhost-user messages: sending whole ones, receiving bounded ones, fds in both directions.
 *
 * A stream socket delivers fds with the first byte that they were sent with, and never joins two sends that carry fds.
 * Each message is read to its last byte and no further, so fds that arrive meanwhile belong to it.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "vfio_user/closer.h"

#include "vhost_msg.h"

#define HEADER_BYTES ((uint32_t)sizeof(struct vhost_header))

union fd_control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(VHOST_MAX_FDS * sizeof(int))];
};

uint64_t vhost_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void vhost_conn_init(struct vhost_conn *conn, int fd)
{
	memset(conn, 0, sizeof(*conn));
	conn->fd = fd;
	conn->stall_ns = VHOST_STALL_NS;
}

static void close_fds(struct vhost_conn *conn)
{
	for (unsigned int i = 0; i < conn->nr_fds; i++)
		if (conn->fds[i] >= 0)
			closer_close(conn->fds[i], conn);
	conn->nr_fds = 0;
}

void vhost_conn_close(struct vhost_conn *conn)
{
	if (conn->fd < 0)
		return;
	close_fds(conn);
	/* The peer hears of it now, and sends no more, whenever the socket goes. */
	shutdown(conn->fd, SHUT_RDWR);
	closer_close_socket(conn->fd, conn);
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

static bool peer_is_gone(int errnum)
{
	return errnum == EPIPE || errnum == ECONNRESET || errnum == ENOTCONN || errnum == ESHUTDOWN;
}

/* Wait until the socket is ready. Return: 0, -ETIMEDOUT, -errno. A hang-up counts as ready: the next call tells. */
static int wait_ready(const struct vhost_conn *conn, short events, uint64_t deadline_ns)
{
	struct pollfd pfd = {.fd = conn->fd, .events = events};

	for (;;) {
		uint64_t now = vhost_now_ns(), left = deadline_ns > now ? deadline_ns - now : 0;
		struct timespec ts = {.tv_sec = (time_t)(left / 1000000000u), .tv_nsec = (long)(left % 1000000000u)};
		int n = ppoll(&pfd, 1, &ts, NULL);

		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (!n)
			return -ETIMEDOUT;
	}
}

/* Sending. */

static void attach_fds(struct msghdr *mh, union fd_control *control, const int *fds, unsigned int nr_fds)
{
	struct cmsghdr *cmsg;

	if (!nr_fds)
		return;
	memset(control, 0, sizeof(*control));
	mh->msg_control = control;
	mh->msg_controllen = CMSG_SPACE(nr_fds * sizeof(int));
	cmsg = CMSG_FIRSTHDR(mh);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(nr_fds * sizeof(int));
	memcpy(CMSG_DATA(cmsg), fds, nr_fds * sizeof(int));
}

/* Return: 0, or -errno. */
static int send_all(struct vhost_conn *conn, struct msghdr *mh, uint64_t deadline_ns)
{
	struct iovec *iov = mh->msg_iov;
	ssize_t n;
	int rc;

	while (iov->iov_len) {
		n = sendmsg(conn->fd, mh, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n >= 0) {
			iov->iov_base = (uint8_t *)iov->iov_base + n;
			iov->iov_len -= (size_t)n;
			mh->msg_control = NULL; /* gone with the first byte */
			mh->msg_controllen = 0;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return peer_is_gone(errno) ? -ECONNRESET : -errno;
		rc = wait_ready(conn, POLLOUT, deadline_ns);
		if (rc)
			return rc;
	}
	return 0;
}

bool vhost_can_send(const struct vhost_conn *conn)
{
	/* A UNIX socket is writable while three quarters of its buffer are free, which is more than any message. */
	return conn->error || wait_ready(conn, POLLOUT, 0) != -ETIMEDOUT;
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
	attach_fds(&mh, &control, out->fds, out->nr_fds);
	rc = send_all(conn, &mh, deadline_ns);
	if (rc)
		return vhost_conn_fail(conn, rc);
	conn->nr_sent++;
	return 0;
}

/* Receiving. */

/* Keep the fds that came with some bytes. Return: 0, -EPROTO if there are too many (all that we got are closed then by
 * the caller, with those that are kept). */
static int take_fds(struct vhost_conn *conn, struct msghdr *mh)
{
	/* Also when this process may open no more files: what the kernel dropped, nobody can ask for again. */
	bool excess = mh->msg_flags & MSG_CTRUNC;
	size_t nr;
	int fd;

	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(mh); cmsg; cmsg = CMSG_NXTHDR(mh, cmsg)) {
		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		nr = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < nr; i++) {
			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(int));
			if (conn->nr_fds < VHOST_MAX_FDS) {
				conn->fds[conn->nr_fds++] = fd;
			} else {
				closer_close(fd, conn);
				excess = true;
			}
		}
	}
	return excess ? -EPROTO : 0;
}

/* Up to len bytes of the message. Return: how many, 0 if nothing is there, -errno after the connection was ended. */
static ssize_t recv_some(struct vhost_conn *conn, void *at, size_t len)
{
	struct iovec iov = {.iov_base = at, .iov_len = len};
	union fd_control control;
	struct msghdr mh = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	ssize_t n;

	/* Files that come can't be left: what is not received would be closed here, too. */
	if (closer_full(conn))
		return vhost_conn_fail(conn, -ENOBUFS);
	do {
		n = recvmsg(conn->fd, &mh, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n <= 0)
		return vhost_conn_fail(conn, !n || peer_is_gone(errno) ? -ECONNRESET : -errno);
	if (take_fds(conn, &mh))
		return protocol_error(conn, -EPROTO);
	if (!conn->got_bytes)
		conn->begun_ns = vhost_now_ns();
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
	if (conn->got_bytes && vhost_now_ns() - conn->begun_ns >= conn->stall_ns)
		return protocol_error(conn, -ETIMEDOUT);
	return 0;
}

int vhost_recv(struct vhost_conn *conn, uint64_t deadline_ns)
{
	uint64_t until_ns;
	int rc;

	for (;;) {
		rc = vhost_recv_step(conn);
		if (rc)
			return rc < 0 ? rc : 0;
		until_ns = deadline_ns;
		if (conn->got_bytes && conn->begun_ns + conn->stall_ns < until_ns)
			until_ns = conn->begun_ns + conn->stall_ns;
		rc = wait_ready(conn, POLLIN, until_ns);
		if (!rc || (rc == -ETIMEDOUT && until_ns < deadline_ns))
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
	int fd;

	if (i >= conn->nr_fds)
		return -1;
	fd = conn->fds[i];
	conn->fds[i] = -1;
	return fd;
}
