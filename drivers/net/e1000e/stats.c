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

enum {
	XSTAT_MISSED,
	XSTAT_CRC,
	XSTAT_ALIGN,
	XSTAT_SYMBOL,
	XSTAT_CARRIER_EXT,
	XSTAT_LENGTH,
	XSTAT_OVERSIZE,
	XSTAT_EXCESSIVE,
	XSTAT_LATE,
	XSTAT_NR,
};

static_assert(XSTAT_NR == E1000E_NR_XSTATS, "each has its place in count.sums");

static const uint16_t counters[] = {
	[XSTAT_MISSED] = E1000E_MPC,	[XSTAT_CRC] = E1000E_CRCERRS,	      [XSTAT_ALIGN] = E1000E_ALGNERRC,
	[XSTAT_SYMBOL] = E1000E_RXERRC, [XSTAT_CARRIER_EXT] = E1000E_CEXTERR, [XSTAT_LENGTH] = E1000E_RLEC,
	[XSTAT_OVERSIZE] = E1000E_ROC,	[XSTAT_EXCESSIVE] = E1000E_ECOL,      [XSTAT_LATE] = E1000E_LATECOL,
};

const char *const e1000e_xstats[] = {
	[XSTAT_MISSED] = "rx_missed_packets",
	[XSTAT_CRC] = "rx_crc_errors",
	[XSTAT_ALIGN] = "rx_align_errors",
	[XSTAT_SYMBOL] = "rx_symbol_errors",
	[XSTAT_CARRIER_EXT] = "rx_carrier_ext_errors",
	[XSTAT_LENGTH] = "rx_length_errors",
	[XSTAT_OVERSIZE] = "rx_oversize_errors",
	[XSTAT_EXCESSIVE] = "tx_excessive_collisions",
	[XSTAT_LATE] = "tx_late_collisions",
	[XSTAT_NR] = NULL,
};

static void add_up(struct e1000e_port *e)
{
	uint32_t now[E1000E_NR_XSTATS];

	for (unsigned int i = 0; i < E1000E_NR_XSTATS; i++)
		now[i] = e1000e_read(e, counters[i]);
	/* All of these are nonsense if it went meanwhile. */
	if (e1000e_read(e, E1000E_STATUS) == UINT32_MAX)
		return;
	for (unsigned int i = 0; i < E1000E_NR_XSTATS; i++)
		e->count.sums[i] += now[i];
	/* Length errors include oversized frames, except where only the latter are counted. */
	e->count.bad_lengths += now[XSTAT_LENGTH] > now[XSTAT_OVERSIZE] ? now[XSTAT_LENGTH] : now[XSTAT_OVERSIZE];
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

void e1000e_stats(struct quoll_port *port, struct quoll_port_stats *stats, uint64_t *xstats)
{
	struct e1000e_port *e = e1000e_port(port);
	const uint64_t *sums = e->count.sums;

	while (!try_lock(e))
		;
	if (!net_port_dead(port))
		add_up(e);
	for (unsigned int i = 0; i < E1000E_NR_XSTATS; i++)
		xstats[i] += sums[i];
	stats->rx_missed += sums[XSTAT_MISSED];
	stats->rx_errors += sums[XSTAT_CRC] + sums[XSTAT_ALIGN] + sums[XSTAT_SYMBOL] + sums[XSTAT_CARRIER_EXT] +
			    e->count.bad_lengths;
	stats->tx_errors += sums[XSTAT_EXCESSIVE] + sums[XSTAT_LATE];
	unlock(e);
}
