/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * control.h - the control socket: JSON-RPC 2.0 (rpc.h) on a UNIX stream socket that only its owner may connect to.
 *
 * Who connects is not trusted further than that: a document has at most RPC_MAX_BYTES, there are at most
 * CONTROL_MAX_CLIENTS, and one that doesn't read its answers is cut off.
 *
 * Thread rule: the thread that runs the loop. Methods are run there, one at a time.
 */
#ifndef QUOLL_TARGET_CONTROL_H
#define QUOLL_TARGET_CONTROL_H

#include <quoll/loop.h>

#include "rpc.h"

#define CONTROL_MAX_CLIENTS 16u

struct control;
struct target;

/**
 * control_create() - listen, watched by @loop
 * @path: a dead target's socket there is taken over, a live one's refused
 * @err:  -EADDRINUSE; -EEXIST: a file that is no socket; -errno
 */
int control_create(struct target *target, const char *path, struct quoll_loop *loop, struct control **control,
		   struct quoll_error *err);

/**
 * control_destroy() - hang up, remove the socket
 */
void control_destroy(struct control *control);

/**
 * control_connect() - the other side: a socket connected to @path
 * @err: -ENOENT, -ECONNREFUSED: no target is there; -ENAMETOOLONG; -errno
 * Return: the socket, or -errno.
 */
int control_connect(const char *path, struct quoll_error *err);

/* methods.c: what can be called; the argument is the target. */
extern const struct rpc_method control_methods[];

#endif
