/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * guard.c - the handler of SIGBUS, and the devices, servers and net that it asks. Process-wide, as signals are; the
 * library has none.
 */
#include <signal.h>
#include <stddef.h>

#include "claims.h"
#include "guard.h"

static struct quoll_device *devices[CLAIMS_MAX_DEVICES];
static struct quoll_server *servers[GUARD_MAX_SERVERS];
static struct quoll_net *the_net;
static unsigned int nr_guarded;
static struct sigaction before;

static void on_bus_error(int sig, siginfo_t *info, void *context)
{
	/* Pairs with the release in guard_add_net(). */
	struct quoll_net *net = __atomic_load_n(&the_net, __ATOMIC_ACQUIRE);

	(void)context;
	if (net && quoll_net_bus_error(net, info->si_addr))
		return;
	for (unsigned int i = 0; i < CLAIMS_MAX_DEVICES; i++) {
		/* Pairs with the release in guard_add(). */
		struct quoll_device *dev = __atomic_load_n(&devices[i], __ATOMIC_ACQUIRE);

		if (dev && quoll_device_bus_error(dev, info->si_addr))
			return;
	}
	for (unsigned int i = 0; i < GUARD_MAX_SERVERS; i++) {
		/* Pairs with the release in guard_add_server(). */
		struct quoll_server *server = __atomic_load_n(&servers[i], __ATOMIC_ACQUIRE);

		if (server && quoll_server_bus_error(server, info->si_addr))
			return;
	}
	/* Not ours: the access is tried again, and meets whoever was here before. */
	sigaction(sig, &before, NULL);
}

/* Return: false: there is no handler. */
static bool hold_handler(void)
{
	struct sigaction sa = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO | SA_RESTART};

	if (!nr_guarded && sigaction(SIGBUS, &sa, &before))
		return false;
	nr_guarded++;
	return true;
}

static void drop_handler(void)
{
	if (!--nr_guarded)
		sigaction(SIGBUS, &before, NULL);
}

static unsigned int find_device(const struct quoll_device *dev)
{
	unsigned int i = 0;

	while (i < CLAIMS_MAX_DEVICES && devices[i] != dev)
		i++;
	return i;
}

void guard_add(struct quoll_device *dev)
{
	unsigned int at = find_device(NULL);

	if (at == CLAIMS_MAX_DEVICES || !hold_handler())
		return;
	__atomic_store_n(&devices[at], dev, __ATOMIC_RELEASE);
}

void guard_remove(struct quoll_device *dev)
{
	unsigned int at = find_device(dev);

	if (at == CLAIMS_MAX_DEVICES)
		return;
	__atomic_store_n(&devices[at], NULL, __ATOMIC_RELEASE);
	drop_handler();
}

static unsigned int find_server(const struct quoll_server *server)
{
	unsigned int i = 0;

	while (i < GUARD_MAX_SERVERS && servers[i] != server)
		i++;
	return i;
}

bool guard_add_server(struct quoll_server *server)
{
	unsigned int at = find_server(NULL);

	if (at == GUARD_MAX_SERVERS || !hold_handler())
		return false;
	__atomic_store_n(&servers[at], server, __ATOMIC_RELEASE);
	return true;
}

void guard_remove_server(struct quoll_server *server)
{
	unsigned int at = find_server(server);

	if (at == GUARD_MAX_SERVERS)
		return;
	__atomic_store_n(&servers[at], NULL, __ATOMIC_RELEASE);
	drop_handler();
}

bool guard_add_net(struct quoll_net *net)
{
	if (the_net || !hold_handler())
		return false;
	quoll_net_guarded(net);
	__atomic_store_n(&the_net, net, __ATOMIC_RELEASE);
	return true;
}

void guard_remove_net(struct quoll_net *net)
{
	if (!net || net != the_net)
		return;
	__atomic_store_n(&the_net, NULL, __ATOMIC_RELEASE);
	drop_handler();
}
