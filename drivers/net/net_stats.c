/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_stats.c - what a port counts: its queues, and its device.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "net_driver.h"
#include "net_stage.h"

void net_add_queues(const struct quoll_port *port, struct quoll_port_stats *stats)
{
	for (unsigned int i = 0; i < QUOLL_PORT_MAX_QUEUES; i++) {
		const struct quoll_rxq *rxq = port->rxqs[i];
		const struct quoll_txq *txq = port->txqs[i];

		if (rxq) {
			stats->rx_packets += quoll_counted(&rxq->nr_packets);
			stats->rx_bytes += quoll_counted(&rxq->nr_bytes);
			stats->rx_no_buf += quoll_counted(&rxq->nr_no_buf);
			stats->rx_bad += quoll_counted(&rxq->nr_bad);
		}
		if (txq) {
			stats->tx_packets += quoll_counted(&txq->nr_packets);
			stats->tx_bytes += quoll_counted(&txq->nr_bytes);
			stats->tx_bad += quoll_counted(&txq->nr_bad);
		}
	}
}

static void with_driver(const struct quoll_port *port, struct quoll_port_stats *stats, uint64_t *xstats)
{
	struct quoll_port *p = (struct quoll_port *)port; /* asking changes nothing that the caller sees */

	*stats = p->ended;
	net_add_queues(p, stats);
	if (p->driver->stats)
		p->driver->stats(p, stats, xstats);
}

static void lock(const struct quoll_port *port)
{
	pthread_mutex_lock((pthread_mutex_t *)&port->lock);
}

static void unlock(const struct quoll_port *port)
{
	pthread_mutex_unlock((pthread_mutex_t *)&port->lock);
}

void quoll_port_stats(const struct quoll_port *port, struct quoll_port_stats *stats)
{
	uint64_t xstats[NET_MAX_XSTATS] = {0};

	lock(port);
	with_driver(port, stats, xstats);
	unlock(port);
}

/* Those that there is no room for are counted all the same. */
struct xstat_list {
	struct quoll_port_xstat *xstats;
	unsigned int room;
	unsigned int n;
};

static void add(struct xstat_list *list, uint64_t value, const char *name)
{
	if (list->n < list->room) {
		struct quoll_port_xstat *x = &list->xstats[list->n];

		snprintf(x->name, sizeof(x->name), "%s", name);
		x->value = value;
	}
	list->n++;
}

static void add_of_queue(struct xstat_list *list, uint64_t value, const char *kind, unsigned int i, const char *what)
{
	char name[QUOLL_XSTAT_NAME_BYTES];

	snprintf(name, sizeof(name), "%s%u_%s", kind, i, what);
	add(list, value, name);
}

static void add_basic(struct xstat_list *list, const struct quoll_port_stats *s)
{
	add(list, s->rx_packets, "rx_packets");
	add(list, s->rx_bytes, "rx_bytes");
	add(list, s->tx_packets, "tx_packets");
	add(list, s->tx_bytes, "tx_bytes");
	add(list, s->rx_missed, "rx_missed");
	add(list, s->rx_no_buf, "rx_no_buf");
	add(list, s->rx_errors, "rx_errors");
	add(list, s->rx_bad, "rx_bad");
	add(list, s->tx_bad, "tx_bad");
	add(list, s->tx_errors, "tx_errors");
}

static void add_each_queue(struct xstat_list *list, const struct quoll_port *port)
{
	for (unsigned int i = 0; i < QUOLL_PORT_MAX_QUEUES && port->rxqs[i]; i++) {
		const struct quoll_rxq *q = port->rxqs[i];

		add_of_queue(list, quoll_counted(&q->nr_packets), "rxq", i, "packets");
		add_of_queue(list, quoll_counted(&q->nr_bytes), "rxq", i, "bytes");
		add_of_queue(list, quoll_counted(&q->nr_no_buf), "rxq", i, "no_buf");
		add_of_queue(list, quoll_counted(&q->nr_bad), "rxq", i, "bad");
		if (port->rx_stages[i])
			add_of_queue(list, net_stage_unmappable(port->rx_stages[i]), "rxq", i, "unmappable");
	}
	for (unsigned int i = 0; i < QUOLL_PORT_MAX_QUEUES && port->txqs[i]; i++) {
		const struct quoll_txq *q = port->txqs[i];

		add_of_queue(list, quoll_counted(&q->nr_packets), "txq", i, "packets");
		add_of_queue(list, quoll_counted(&q->nr_bytes), "txq", i, "bytes");
		add_of_queue(list, quoll_counted(&q->nr_bad), "txq", i, "bad");
	}
}

unsigned int quoll_port_xstats(const struct quoll_port *port, struct quoll_port_xstat *xstats, unsigned int n)
{
	struct xstat_list list = {.xstats = xstats, .room = n};
	const char *const *names = port->driver->xstats;
	uint64_t values[NET_MAX_XSTATS] = {0};
	struct quoll_port_stats stats;

	lock(port);
	with_driver(port, &stats, values);
	add_basic(&list, &stats);
	add_each_queue(&list, port);
	unlock(port);
	for (unsigned int i = 0; names && names[i]; i++)
		add(&list, values[i], names[i]);
	return list.n;
}
