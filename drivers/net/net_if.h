/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_if.h - a network interface of the kernel's, for the drivers of ports that run on one: what it is like, and which
 * frames it takes.
 *
 * Nothing here outlives the process, but an mtu that was raised, which a start that is refused puts back: addresses and
 * promiscuity are memberships of a socket.
 */
#ifndef QUOLL_NET_IF_H
#define QUOLL_NET_IF_H

#include <net/if.h>

#include "net_driver.h"

/**
 * struct net_if - an interface, in the network namespace that it was opened in
 * @fd:        socket to ask with
 * @filter_fd: packet socket whose memberships hold the filters; -1: none
 * @mtu_raised, @mtu_before: what the mtu was raised to by the last start, and from where; 0: it was not
 */
struct net_if {
	char name[IFNAMSIZ];
	int idx;
	int fd;
	int filter_fd;
	unsigned int mtu_raised;
	unsigned int mtu_before;
};

/* Return: 0; -EINVAL: no name of an interface, -ENODEV: there is none, else -errno. */
int net_if_open(struct net_if *ifc, const char *name, struct quoll_error *err);
void net_if_close(struct net_if *ifc);

/* Return: 0, -errno. Zeroes, and 0, where the interface has no Ethernet address. */
int net_if_mac(const struct net_if *ifc, uint8_t *mac);
int net_if_mtu(const struct net_if *ifc, unsigned int *mtu);
/* An mtu below @mtu is raised to it, a larger one stays. */
int net_if_raise_mtu(struct net_if *ifc, unsigned int mtu, struct quoll_error *err);
/* After a start that was refused: what was raised for it is as it was, unless somebody else has changed it since. */
void net_if_restore_mtu(struct net_if *ifc);
/* How many queues it has now, in the direction that has more; 1 if it doesn't say. */
unsigned int net_if_nr_queues(const struct net_if *ifc);
/* Looks whether it is still there, and sets the port's link. Return: 0; -ENODEV: gone, also to another namespace. */
int net_if_check(const struct net_if *ifc, struct quoll_port *port);
/* Takes what the settings say (promiscuous, all_multicast, mac, macs), and only that, beside what the kernel wants. */
int net_if_filter(struct net_if *ifc, const struct quoll_port *port, const struct quoll_port_settings *settings,
		  struct quoll_error *err);

#endif
