/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * closer.h - close files that a peer has sent, without ever waiting for it.
 *
 * Thread rule: any thread.
 */
#ifndef QUOLL_EAL_VFIO_USER_CLOSER_H
#define QUOLL_EAL_VFIO_USER_CLOSER_H

#include <stdbool.h>

/* Files of one owner that may wait to be closed: beyond that it must take no more. */
#define CLOSER_OWNER_FDS 128u

/**
 * closer_close() - close it, at once if that can't wait, else in a thread of its own
 * @owner: on whose account; only compared
 */
void closer_close(int fd, const void *owner);

/* The same for a connection that has been shut down. */
void closer_close_socket(int fd, const void *owner);

/* Whether so many files wait, of the owner's or of all, that it must take no more. */
bool closer_full(const void *owner);

#endif
