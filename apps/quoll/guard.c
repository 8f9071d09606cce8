/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * guard.c - the handler of SIGBUS, and the devices that it asks. Process-wide, as signals are; the library has none.
 */
#include <signal.h>
#include <stddef.h>

#include "claims.h"
#include "guard.h"

static struct quoll_device *guarded[CLAIMS_MAX_DEVICES];
static unsigned int nr_guarded;
static struct sigaction before;

static void on_bus_error(int sig, siginfo_t *info, void *context)
{
	(void)context;
	for (unsigned int i = 0; i < CLAIMS_MAX_DEVICES; i++) {
		/* Pairs with the release in guard_add(). */
		struct quoll_device *dev = __atomic_load_n(&guarded[i], __ATOMIC_ACQUIRE);

		if (dev && quoll_device_bus_error(dev, info->si_addr))
			return;
	}
	/* Not ours: the access is tried again, and meets whoever was here before. */
	sigaction(sig, &before, NULL);
}

static unsigned int find(const struct quoll_device *dev)
{
	unsigned int i = 0;

	while (i < CLAIMS_MAX_DEVICES && guarded[i] != dev)
		i++;
	return i;
}

void guard_add(struct quoll_device *dev)
{
	struct sigaction sa = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO | SA_RESTART};
	unsigned int at = find(NULL);

	if (at == CLAIMS_MAX_DEVICES || (!nr_guarded && sigaction(SIGBUS, &sa, &before)))
		return;
	nr_guarded++;
	__atomic_store_n(&guarded[at], dev, __ATOMIC_RELEASE);
}

void guard_remove(struct quoll_device *dev)
{
	unsigned int at = find(dev);

	if (at == CLAIMS_MAX_DEVICES)
		return;
	__atomic_store_n(&guarded[at], NULL, __ATOMIC_RELEASE);
	if (!--nr_guarded)
		sigaction(SIGBUS, &before, NULL);
}
