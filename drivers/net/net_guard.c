/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_guard.c - memory of other processes that may vanish under a port: which it is, and what becomes of it then.
 *
 * A port maps a peer's file; if the peer makes it shorter, touching it is SIGBUS. The program's handler of that signal
 * asks quoll_net_bus_error(), which puts empty memory in the place of the mapping and makes a note for the port's next
 * check. The table has a fixed size and is read without a lock, as a handler must.
 */
#include <errno.h>
#include <sys/mman.h>

#include "net_guard.h"

void quoll_net_guarded(struct quoll_net *net)
{
	net_guards(net)->handled = true;
}

int net_guard_add(struct quoll_port *port, void *base, size_t bytes)
{
	struct net_guards *guards = net_guards(port->net);

	if (!guards->handled)
		return -EPERM;
	for (int i = 0; i < (int)NET_MAX_GUARDS; i++) {
		struct net_guard *guard = &guards->guards[i];

		/* Ports of several threads look for a place at once. */
		if (__atomic_exchange_n(&guard->taken, 1, __ATOMIC_ACQUIRE))
			continue;
		guard->bytes = bytes;
		guard->port = port;
		__atomic_store_n(&guard->hit, 0, __ATOMIC_RELAXED);
		/* Pairs with the acquire in quoll_net_bus_error(): the rest is there by then. */
		__atomic_store_n(&guard->base, base, __ATOMIC_RELEASE);
		return i;
	}
	return -ENOSPC;
}

void net_guard_remove(struct quoll_port *port, int i)
{
	struct net_guard *guard = &net_guards(port->net)->guards[i];

	__atomic_store_n(&guard->base, NULL, __ATOMIC_RELAXED);
	__atomic_store_n(&guard->taken, 0, __ATOMIC_RELEASE);
}

bool net_guard_hit(const struct quoll_port *port, int i)
{
	return __atomic_load_n(&net_guards(port->net)->guards[i].hit, __ATOMIC_RELAXED);
}

/* All of a mapping is replaced: page by page a peer could have us split it until the kernel allows no more of them. */
bool quoll_net_bus_error(struct quoll_net *net, void *va)
{
	struct net_guards *guards = net_guards(net);

	for (unsigned int i = 0; i < NET_MAX_GUARDS; i++) {
		struct net_guard *guard = &guards->guards[i];
		/* Pairs with the release in net_guard_add(). */
		uint8_t *base = __atomic_load_n(&guard->base, __ATOMIC_ACQUIRE);

		if (!base || (uintptr_t)va - (uintptr_t)base >= guard->bytes)
			continue;
		if (mmap(base, guard->bytes, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
			return false;
		__atomic_store_n(&guard->hit, 1, __ATOMIC_RELAXED);
		return true;
	}
	return false;
}
