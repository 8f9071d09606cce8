/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fd_socket.c - bytes and file descriptors over a UNIX stream socket.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "closer.h"
#include "fd_socket.h"

uint64_t fd_socket_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int peer_error(int errnum)
{
	bool gone = errnum == EPIPE || errnum == ECONNRESET || errnum == ENOTCONN || errnum == ESHUTDOWN;

	return gone ? -ECONNRESET : -errnum;
}

int fd_socket_wait(int fd, short events, uint64_t deadline_ns)
{
	struct pollfd pfd = {.fd = fd, .events = events};

	for (;;) {
		uint64_t now = fd_socket_now_ns(), left = deadline_ns > now ? deadline_ns - now : 0;
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

int fd_socket_wait_more(int fd, uint64_t late_ns, uint64_t deadline_ns)
{
	int rc = fd_socket_wait(fd, POLLIN, late_ns < deadline_ns ? late_ns : deadline_ns);

	return rc == -ETIMEDOUT && late_ns < deadline_ns ? 0 : rc;
}

void fd_socket_attach(struct msghdr *mh, union fd_control *control, const int *fds, unsigned int nr_fds)
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

int fd_socket_send_some(int fd, struct msghdr *mh)
{
	ssize_t n;

	while (mh->msg_iovlen) {
		n = sendmsg(fd, mh, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n >= 0) {
			iov_advance(mh, (size_t)n);
			mh->msg_control = NULL; /* gone with the first byte */
			mh->msg_controllen = 0;
			continue;
		}
		if (errno != EINTR)
			return peer_error(errno);
	}
	return 0;
}

int fd_socket_send(int fd, struct msghdr *mh, uint64_t deadline_ns)
{
	int rc;

	while ((rc = fd_socket_send_some(fd, mh)) == -EAGAIN) {
		rc = fd_socket_wait(fd, POLLOUT, deadline_ns);
		if (rc)
			break;
	}
	return rc;
}

/* Keep the fds that came with some bytes. Return: 0, -EPROTO if there are too many. */
static int take_fds(const struct fd_room *room, struct msghdr *mh)
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
			if (*room->nr_fds < room->max_fds) {
				room->fds[(*room->nr_fds)++] = fd;
			} else {
				closer_close(fd, room->owner);
				excess = true;
			}
		}
	}
	return excess ? -EPROTO : 0;
}

ssize_t fd_socket_recv(int fd, void *at, size_t len, const struct fd_room *room)
{
	struct iovec iov = {.iov_base = at, .iov_len = len};
	union fd_control control;
	/* No more than there is room for at all, so that the kernel installs no others. */
	struct msghdr mh = {.msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = &control,
			    .msg_controllen = CMSG_SPACE(room->max_fds * sizeof(int))};
	ssize_t n;

	/* Files that come can't be left: what is not received would be closed here, too. */
	if (closer_full(room->owner))
		return -ENOBUFS;
	do {
		n = recvmsg(fd, &mh, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : peer_error(errno);
	if (!n)
		return -ECONNRESET;
	return take_fds(room, &mh) ? -EPROTO : n;
}

void fd_socket_close_all(int *fds, unsigned int *nr_fds, const void *owner)
{
	for (unsigned int i = 0; i < *nr_fds; i++)
		if (fds[i] >= 0)
			closer_close(fds[i], owner);
	*nr_fds = 0;
}

int fd_socket_take(int *fds, unsigned int nr_fds, unsigned int i)
{
	int fd;

	if (i >= nr_fds)
		return -1;
	fd = fds[i];
	fds[i] = -1;
	return fd;
}

void fd_socket_close(int fd, const void *owner)
{
	shutdown(fd, SHUT_RDWR);
	closer_close_socket(fd, owner);
}
