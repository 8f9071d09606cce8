/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stats.c - what the device counts. Its counters are cleared when read and stop at their end, so they are added up
 * here: when somebody asks, and now and then in between.
 */
#include "e1000e.h"

#define LOOK_PERIOD_NS UINT64_C(1000000000)

void e1000e_stats_clear(struct e1000e_port *e)
{
	for (unsigned int reg = E1000E_CRCERRS; reg <= E1000E_STATS_LAST; reg += 4)
		(void)e1000e_read(e, reg);
}

/* Asked by any thread, looked at by whichever polls: who comes second leaves it to the first. */
static bool try_lock(struct e1000e_port *e)
{
	return !__atomic_exchange_n(&e->count.busy, 1, __ATOMIC_ACQUIRE);
}

static void unlock(struct e1000e_port *e)
{
	__atomic_store_n(&e->count.busy, 0, __ATOMIC_RELEASE);
}

static void add_up(struct e1000e_port *e)
{
	uint32_t missed = e1000e_read(e, E1000E_MPC);
	uint32_t length = e1000e_read(e, E1000E_RLEC), oversize = e1000e_read(e, E1000E_ROC);
	uint64_t errors = 0, unsent;

	errors += e1000e_read(e, E1000E_CRCERRS);
	errors += e1000e_read(e, E1000E_ALGNERRC);
	errors += e1000e_read(e, E1000E_RXERRC);
	errors += e1000e_read(e, E1000E_CEXTERR);
	/* Length errors include oversized frames, except where only the latter are counted. */
	errors += length > oversize ? length : oversize;
	unsent = (uint64_t)e1000e_read(e, E1000E_ECOL) + e1000e_read(e, E1000E_LATECOL);
	/* All of these are nonsense if it went meanwhile. */
	if (e1000e_read(e, E1000E_STATUS) == UINT32_MAX)
		return;
	e->count.sum.rx_missed += missed;
	e->count.sum.rx_errors += errors;
	e->count.sum.tx_errors += unsent;
}

void e1000e_stats_look(struct e1000e_port *e)
{
	uint64_t now = quoll_ticks(&e->port.clock);

	if (now - e->count.last < quoll_ns_to_ticks(&e->port.clock, LOOK_PERIOD_NS) || !try_lock(e))
		return;
	e->count.last = now;
	add_up(e);
	unlock(e);
}

void e1000e_stats(struct quoll_port *port, struct quoll_port_stats *stats)
{
	struct e1000e_port *e = e1000e_port(port);

	while (!try_lock(e))
		;
	if (!net_port_dead(port))
		add_up(e);
	stats->rx_missed += e->count.sum.rx_missed;
	stats->rx_errors += e->count.sum.rx_errors;
	stats->tx_errors += e->count.sum.tx_errors;
	unlock(e);
}
