/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * guard.h - a handler of SIGBUS for as long as there are devices whose registers, servers' clients or ports' peers
 * whose memory another process may take away.
 *
 * Thread rule: devices, servers and the net come and go in one thread at a time.
 */
#ifndef QUOLL_APPS_GUARD_H
#define QUOLL_APPS_GUARD_H

#include <net/net.h>
#include <quoll/device.h>
#include <quoll/server.h>

#define GUARD_MAX_SERVERS 64

/**
 * guard_add() - a SIGBUS in a region of this device makes it gone instead of ending the process
 * Beyond CLAIMS_MAX_DEVICES, or where no handler can be installed, it stays as it was.
 */
void guard_add(struct quoll_device *dev);

/**
 * guard_remove() - the device is about to be closed; with the last one the handler goes too
 */
void guard_remove(struct quoll_device *dev);

/**
 * guard_add_server() - a SIGBUS in its client's memory cuts the client off
 * Return: false beyond GUARD_MAX_SERVERS, or where no handler can be installed.
 */
bool guard_add_server(struct quoll_server *server);

/**
 * guard_remove_server() - it is about to be destroyed, and polled no more
 */
void guard_remove_server(struct quoll_server *server);

/**
 * guard_add_net() - a SIGBUS in the memory of a port's peer ends its session; and the net is told that it is so
 * Return: false if there is one already, or where no handler can be installed.
 */
bool guard_add_net(struct quoll_net *net);

/**
 * guard_remove_net() - it is about to be destroyed; NULL, or one that was never added: nothing happens
 */
void guard_remove_net(struct quoll_net *net);

#endif
