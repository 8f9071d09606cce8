/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * server_signal.h - signal an eventfd that a peer holds as well, without ever waiting for it: the vfio-user server, and
 * the vhost-user back end.
 *
 * Thread rule: one thread at a time a struct.
 */
#ifndef QUOLL_EAL_VFIO_USER_SERVER_SIGNAL_H
#define QUOLL_EAL_VFIO_USER_SERVER_SIGNAL_H

#include <stdbool.h>

#include <linux/aio_abi.h>

/**
 * struct server_signal - see server_signal.c
 * @context:    of asynchronous I/O; 0: there is none
 * @sink_fd:    what its operations write to
 * @nr_reports: that may be in its ring
 */
struct server_signal {
	aio_context_t context;
	int sink_fd;
	unsigned int nr_reports;
};

void server_signal_open(struct server_signal *signal);
void server_signal_close(struct server_signal *signal);
/* Whether a client's file is one that may be signalled. */
bool server_signal_prepare(const struct server_signal *signal, int eventfd);
/* Add 1 to it, or to nothing if it is full. Never waits. */
void server_signal(struct server_signal *signal, int eventfd);

#endif
