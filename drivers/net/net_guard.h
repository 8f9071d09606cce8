/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_guard.h - memory of other processes that may vanish under a port. For drivers, in net_driver.h's company.
 */
#ifndef QUOLL_NET_GUARD_H
#define QUOLL_NET_GUARD_H

#include "net_driver.h"

#define NET_MAX_GUARDS 512u

struct net_guard {
	uint8_t *base; /* NULL: there is none */
	size_t bytes;
	const struct quoll_port *port;
	unsigned int hit;
	unsigned int taken;
};

/**
 * struct net_guards - of a net
 * @handled: quoll_net_guarded() was called
 */
struct net_guards {
	bool handled;
	struct net_guard guards[NET_MAX_GUARDS];
};

struct net_guards *net_guards(struct quoll_net *net);

/**
 * net_guard_add() - from now on a SIGBUS in there makes empty memory of it
 * Return: a number for the other calls; -EPERM: the program has no handler; -ENOSPC. Thread rule: any thread.
 */
int net_guard_add(struct quoll_port *port, void *base, size_t bytes);
/* Before it is unmapped, when nobody touches it any more. */
void net_guard_remove(struct quoll_port *port, int guard);
/* Whether that has happened. */
bool net_guard_hit(const struct quoll_port *port, int guard);

#endif
