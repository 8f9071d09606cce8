/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * listen.h - a UNIX stream socket to listen on, and its place in the file system: made for its owner only, taken over
 * from a dead process, removed.
 *
 * Thread rule: any thread, one at a time a socket.
 */
#ifndef QUOLL_LISTEN_H
#define QUOLL_LISTEN_H

#include <sys/types.h>
#include <sys/un.h>

#include <quoll/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct quoll_listen - the socket
 * @fd:      listened on, non-blocking; -1: not any more
 * @address: its path is in sun_path
 */
struct quoll_listen {
	int fd;
	struct sockaddr_un address;
	/* private: */
	dev_t dev;
	ino_t ino;
};

/**
 * quoll_listen_open() - make the socket, mode 0600 from its first moment on, and listen
 * @place: filled in; @fd is -1 on error
 * @err:   -EADDRINUSE: somebody listens there; -EEXIST: a file that is no socket; -ENAMETOOLONG: not 1 to 107 bytes;
 *         -EBUSY: somebody keeps the directory locked; -errno
 *
 * A socket that nobody listens on is removed first. Of several who try that at once one gets the place: they lock the
 * directory meanwhile (flock), if it can be read. Blocks for at most 5 s.
 */
QUOLL_API int quoll_listen_open(const char *path, struct quoll_listen *place, struct quoll_error *err);

/**
 * quoll_listen_close() - listen no more; the socket's file goes if it is still ours. Again does nothing.
 *
 * Who waits to be accepted is hung up on. Never blocks: files that they have sent are closed in a thread, where that
 * may take long.
 */
QUOLL_API void quoll_listen_close(struct quoll_listen *place);

#ifdef __cplusplus
}
#endif
#endif
