/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_health.c - link and death of a port: what its polls find out, what any thread may ask for.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "net_driver.h"

/* The link in one word, so that it is read and written as a whole. */
#define LINK_UP (UINT64_C(1) << 63)
#define LINK_FULL_DUPLEX (UINT64_C(1) << 62)
#define LINK_CHANGES_SHIFT 32
#define LINK_CHANGES_MASK UINT64_C(0x3fffffff)

static void link_unpack(uint64_t word, struct quoll_port_link *link)
{
	link->up = word & LINK_UP;
	link->full_duplex = word & LINK_FULL_DUPLEX;
	link->mbit_per_s = (uint32_t)word;
	link->nr_changes = (uint32_t)(word >> LINK_CHANGES_SHIFT & LINK_CHANGES_MASK);
}

void net_port_set_link(struct quoll_port *port, bool up, bool full_duplex, uint32_t mbit_per_s)
{
	/* Relaxed: the word is all there is to it. */
	uint64_t old = __atomic_load_n(&port->shared.link, __ATOMIC_RELAXED), changes, word;

	do {
		changes = (old >> LINK_CHANGES_SHIFT) + (up != !!(old & LINK_UP));
		word = (up ? LINK_UP : 0) | (full_duplex ? LINK_FULL_DUPLEX : 0) |
		       (changes & LINK_CHANGES_MASK) << LINK_CHANGES_SHIFT | mbit_per_s;
		if (word == old)
			return;
	} while (!__atomic_compare_exchange_n(&port->shared.link, &old, word, false, __ATOMIC_RELAXED,
					      __ATOMIC_RELAXED));
	if (!up)
		quoll_log(net_env(port), QUOLL_LOG_INFO, "net", "%s: link down", port->name);
	else if (mbit_per_s)
		quoll_log(net_env(port), QUOLL_LOG_INFO, "net", "%s: link up, %u Mbit/s, %s duplex", port->name,
			  mbit_per_s, full_duplex ? "full" : "half");
	else
		quoll_log(net_env(port), QUOLL_LOG_INFO, "net", "%s: link up", port->name);
}

void quoll_port_link(const struct quoll_port *port, struct quoll_port_link *link)
{
	link_unpack(__atomic_load_n(&port->shared.link, __ATOMIC_RELAXED), link);
}

bool net_port_warn(const struct quoll_port *port, struct quoll_pace *pace, const char *fmt, ...)
{
	char what[256], more[48] = "";
	uint32_t nr;
	va_list ap;

	pace->nr_untold++;
	nr = quoll_pace_take(pace, quoll_ticks_to_ns(&port->clock, quoll_ticks(&port->clock)));
	if (!nr)
		return false;
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	if (nr > 1)
		snprintf(more, sizeof(more), ", %u times since it was told last", nr);
	quoll_log(net_env(port), QUOLL_LOG_WARN, "net", "%s: %s%s", port->name, what, more);
	return true;
}

int quoll_port_error(const struct quoll_port *port)
{
	return net_port_dead(port);
}

void net_port_kill(struct quoll_port *port, int why)
{
	if (__atomic_exchange_n(&port->shared.killing, 1, __ATOMIC_RELAXED)) {
		/* Somebody else is at it, for as long as it takes to write one register. */
		while (!net_port_dead(port))
			;
		return;
	}
	/* Buffers are about to be handed back: the device must not write into them after that. */
	if (port->driver->dma_off)
		port->driver->dma_off(port);
	quoll_log(net_env(port), QUOLL_LOG_ERROR, "net", "%s: port given up: %s", port->name,
		  why == -ENODEV ? "device gone or to be removed" : "fatal status, error or time-out");
	/* Pairs with the acquire in net_port_dead(). */
	__atomic_store_n(&port->shared.dead, why, __ATOMIC_RELEASE);
}

/* One thread at a time: somebody else looking is as good. Acquire and release hand the driver's state on. */
static void check(struct quoll_port *port, bool only_if_due)
{
	uint64_t now = quoll_ticks(&port->clock);
	int rc = 0;

	/* Relaxed, before anything is written: mostly it is not due, and then other threads' copy of the line stays. */
	if (only_if_due && now - __atomic_load_n(&port->shared.last_check, __ATOMIC_RELAXED) < port->shared.check_ticks)
		return;
	if (__atomic_exchange_n(&port->shared.checking, 1, __ATOMIC_ACQUIRE))
		return;
	__atomic_store_n(&port->shared.last_check, now, __ATOMIC_RELAXED);
	if (!net_port_dead(port))
		rc = port->driver->check(port);
	if (rc)
		net_port_kill(port, rc);
	__atomic_store_n(&port->shared.checking, 0, __ATOMIC_RELEASE);
}

void net_port_check_due(struct quoll_port *port)
{
	if (port->driver->check && !net_port_dead(port))
		check(port, true);
}

int quoll_port_check(struct quoll_port *port)
{
	if (port->driver->check && !net_port_dead(port))
		check(port, false);
	return net_port_dead(port);
}
