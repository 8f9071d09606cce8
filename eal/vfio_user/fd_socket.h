/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fd_socket.h - bytes and file descriptors over a UNIX stream socket, without blocking: what vfio-user and vhost-user,
 * which frame messages each in its own way, have in common.
 *
 * A stream socket delivers fds with the first byte that they were sent with, and never joins two sends that carry fds.
 * Who reads each message to its last byte and no further knows that fds that arrive meanwhile belong to it. The socket
 * itself may be blocking or not; no call relies on it.
 *
 * Thread rule: one thread at a time a socket. Deadlines are times of fd_socket_now_ns().
 */
#ifndef QUOLL_EAL_VFIO_USER_FD_SOCKET_H
#define QUOLL_EAL_VFIO_USER_FD_SOCKET_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

/* The most that a call sends or takes. The kernel's own limit is 253. */
#define FD_SOCKET_MAX_FDS 64u

union fd_control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(FD_SOCKET_MAX_FDS * sizeof(int))];
};

/**
 * struct fd_room - where fds go that come in
 * @fds, @max_fds: room for so many, at most FD_SOCKET_MAX_FDS
 * @nr_fds: how many there are by now
 * @owner:  on whose account files are closed (closer.h)
 */
struct fd_room {
	int *fds;
	unsigned int *nr_fds;
	unsigned int max_fds;
	const void *owner;
};

/* CLOCK_MONOTONIC, ns. */
uint64_t fd_socket_now_ns(void);

/* Wait for POLLIN or POLLOUT. Return: 0, -ETIMEDOUT, -errno. A hang-up counts as ready: the next call tells. */
int fd_socket_wait(int fd, short events, uint64_t deadline_ns);

/**
 * fd_socket_wait_more() - wait for what is to be received, while a message that has begun may be too late already
 * @late_ns: when that one is; UINT64_MAX: none has begun
 *
 * Return: 0: there is something, or it is late; -ETIMEDOUT: the deadline came before; -errno.
 */
int fd_socket_wait_more(int fd, uint64_t late_ns, uint64_t deadline_ns);

/* Let @nr_fds go out with the first byte of a message. @control must live as long as @mh. */
void fd_socket_attach(struct msghdr *mh, union fd_control *control, const int *fds, unsigned int nr_fds);

/* As much as the socket takes now, which goes off @mh. Return: 0, -EAGAIN if something is left, -ECONNRESET, -errno. */
int fd_socket_send_some(int fd, struct msghdr *mh);

/* All of it. Return: 0, -ETIMEDOUT, -ECONNRESET, -errno. */
int fd_socket_send(int fd, struct msghdr *mh, uint64_t deadline_ns);

/**
 * fd_socket_recv() - up to @len bytes, and the fds that come with them
 *
 * Return: how many bytes; 0: nothing is there; -ECONNRESET: the peer is gone; -EPROTO: more fds than there is room for,
 * or than this process may open (those that were got are kept, or closed); -ENOBUFS: too many files of the owner's wait
 * to be closed; -errno.
 */
ssize_t fd_socket_recv(int fd, void *at, size_t len, const struct fd_room *room);

/* Close fds, but for those that were taken and are -1 now. */
void fd_socket_close_all(int *fds, unsigned int *nr_fds, const void *owner);

/* Take the @i-th of them away. Return: -1 if there is none, or it was taken. */
int fd_socket_take(int *fds, unsigned int nr_fds, unsigned int i);

/* The peer hears of it now, and sends no more, whenever the socket goes. */
void fd_socket_close(int fd, const void *owner);

#endif
