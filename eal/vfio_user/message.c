/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * message.c - framing of vfio-user messages: sending whole ones, receiving bounded ones, fds in both directions.
 *
 * A stream socket delivers fds with the first byte that they were sent with, and never joins two sends that carry fds.
 * Each message is read to its last byte and no further, so fds that arrive meanwhile belong to it.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "message.h"

#define HEADER_BYTES ((uint32_t)sizeof(struct vuser_header))
/* A reply is small, or data of up to 1 MiB: grown by what a message says, but not in steps of nothing. */
#define PAYLOAD_ROOM_MIN 4096u

union fd_control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(VUSER_MAX_FDS * sizeof(int))];
};

uint64_t vuser_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void vuser_conn_init(struct vuser_conn *conn, int fd)
{
	memset(conn, 0, sizeof(*conn));
	conn->fd = fd;
	conn->max_msg_bytes = VUSER_MAX_MSG_BYTES;
	conn->stall_ns = VUSER_STALL_NS;
}

static void close_fds(struct vuser_conn *conn)
{
	for (unsigned int i = 0; i < conn->nr_fds; i++)
		if (conn->fds[i] >= 0)
			close(conn->fds[i]);
	conn->nr_fds = 0;
}

void vuser_conn_close(struct vuser_conn *conn)
{
	if (conn->fd < 0)
		return;
	close_fds(conn);
	close(conn->fd);
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
	return rc;
}

static int protocol_error(struct vuser_conn *conn, int rc)
{
	conn->nr_protocol_errors++;
	return conn_end(conn, rc);
}

static bool peer_is_gone(int errnum)
{
	return errnum == EPIPE || errnum == ECONNRESET || errnum == ENOTCONN || errnum == ESHUTDOWN;
}

/* Wait until the socket is ready. Return: 0, -ETIMEDOUT, -errno. A hang-up counts as ready: the next call tells. */
static int wait_ready(const struct vuser_conn *conn, short events, uint64_t deadline_ns)
{
	struct pollfd pfd = {.fd = conn->fd, .events = events};

	for (;;) {
		uint64_t now = vuser_now_ns(), left = deadline_ns > now ? deadline_ns - now : 0;
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

static void attach_fds(struct msghdr *mh, union fd_control *control, const struct vuser_out *out)
{
	struct cmsghdr *cmsg;

	memset(control, 0, sizeof(*control));
	mh->msg_control = control;
	mh->msg_controllen = CMSG_SPACE(out->nr_fds * sizeof(int));
	cmsg = CMSG_FIRSTHDR(mh);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(out->nr_fds * sizeof(int));
	memcpy(CMSG_DATA(cmsg), out->fds, out->nr_fds * sizeof(int));
}

/* Take n bytes off the front. */
static void iov_advance(struct msghdr *mh, size_t n)
{
	while (mh->msg_iovlen && n >= mh->msg_iov->iov_len) {
		n -= mh->msg_iov->iov_len;
		mh->msg_iov++;
		mh->msg_iovlen--;
	}
	if (mh->msg_iovlen) {
		mh->msg_iov->iov_base = (uint8_t *)mh->msg_iov->iov_base + n;
		mh->msg_iov->iov_len -= n;
	}
}

static int send_all(struct vuser_conn *conn, struct msghdr *mh, uint64_t deadline_ns)
{
	ssize_t n;
	int rc;

	while (mh->msg_iovlen) {
		n = sendmsg(conn->fd, mh, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n >= 0) {
			iov_advance(mh, (size_t)n);
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

int vuser_send(struct vuser_conn *conn, const struct vuser_out *out, uint64_t deadline_ns)
{
	bool failed = out->flags & VUSER_ERROR;
	struct vuser_header header = {.id = out->id, .command = out->command, .flags = out->flags, .error = out->error};
	struct iovec iov[3] = {
		{.iov_base = &header, .iov_len = sizeof(header)},
		{.iov_base = (void *)(uintptr_t)out->head, .iov_len = failed ? 0 : out->head_bytes},
		{.iov_base = (void *)(uintptr_t)out->data, .iov_len = failed ? 0 : out->data_bytes},
	};
	struct msghdr mh = {.msg_iov = iov, .msg_iovlen = 3};
	uint64_t bytes = (uint64_t)sizeof(header) + iov[1].iov_len + iov[2].iov_len;
	union fd_control control;
	int rc;

	if (conn->error)
		return conn->error;
	if (bytes > conn->max_msg_bytes)
		return -EMSGSIZE;
	if (out->nr_fds > VUSER_MAX_FDS)
		return -EINVAL;
	header.size_bytes = (uint32_t)bytes;
	if (out->nr_fds && !failed)
		attach_fds(&mh, &control, out);
	rc = send_all(conn, &mh, deadline_ns);
	if (rc)
		return conn_end(conn, rc);
	conn->nr_sent++;
	return 0;
}

/* Keep the fds that came with some bytes. Return: 0, -EPROTO if there are too many (all of them are closed then). */
static int take_fds(struct vuser_conn *conn, struct msghdr *mh)
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
			if (conn->nr_fds < VUSER_MAX_FDS) {
				conn->fds[conn->nr_fds++] = fd;
			} else {
				close(fd);
				excess = true;
			}
		}
	}
	return excess ? -EPROTO : 0;
}

/* Up to len bytes of the message. Return: how many, 0 if nothing is there, -errno after the connection was ended. */
static ssize_t recv_some(struct vuser_conn *conn, void *at, size_t len)
{
	struct iovec iov = {.iov_base = at, .iov_len = len};
	union fd_control control;
	struct msghdr mh = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	ssize_t n;

	do {
		n = recvmsg(conn->fd, &mh, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n <= 0)
		return conn_end(conn, !n || peer_is_gone(errno) ? -ECONNRESET : -errno);
	if (take_fds(conn, &mh))
		return protocol_error(conn, -EPROTO);
	if (!conn->got_bytes)
		conn->begun_ns = vuser_now_ns();
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
	if (conn->got_bytes && vuser_now_ns() - conn->begun_ns >= conn->stall_ns)
		return protocol_error(conn, -ETIMEDOUT);
	return 0;
}

int vuser_recv(struct vuser_conn *conn, uint64_t deadline_ns)
{
	uint64_t until_ns;
	int rc;

	for (;;) {
		rc = vuser_recv_step(conn);
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
	int fd;

	if (i >= conn->nr_fds)
		return -1;
	fd = conn->fds[i];
	conn->fds[i] = -1;
	return fd;
}
