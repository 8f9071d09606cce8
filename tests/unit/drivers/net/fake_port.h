/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fake_port.h - a port driver that records what net.c asks of it, and fails when told to.
 */
#ifndef QUOLL_TESTS_FAKE_PORT_H
#define QUOLL_TESTS_FAKE_PORT_H

#include <net/net_driver.h>

#include "net_fixture.h"

/* What it can do; tests change it before fake_port_open(). */
struct fake_port_can {
	struct quoll_port_info info;
	int open_rc, start_rc, apply_rc, stop_rc;
};

struct fake_port {
	struct quoll_port port;
	struct quoll_rxq rxqs[QUOLL_PORT_MAX_QUEUES];
	struct quoll_txq txqs[QUOLL_PORT_MAX_QUEUES];
	unsigned int nr_starts, nr_stops, nr_applies, nr_checks, nr_dma_offs;
	int check_rc;
	int dead_at_dma_off; /* must be 0: DMA is off before anybody hears of the death */
};

static struct fake_port_can fake_port_can;
static unsigned int fake_port_closes;

static inline unsigned int fake_rx(struct quoll_rxq *rxq, struct quoll_buf **bufs, unsigned int n)
{
	(void)bufs;
	/* n is how many it shall pretend to have; the buffers are nobody's. */
	quoll_count(&rxq->nr_packets, n);
	net_rxq_polled(rxq, n);
	return n;
}

static inline unsigned int fake_tx(struct quoll_txq *txq, struct quoll_buf *const *bufs, unsigned int n)
{
	(void)bufs;
	quoll_count(&txq->nr_packets, n);
	return n;
}

static inline int fake_port_driver_open(struct quoll_port *port, const struct quoll_addr *addr, struct quoll_error *err)
{
	struct quoll_port_info kept = port->info;

	(void)addr;
	if (fake_port_can.open_rc)
		return quoll_error_set(err, -fake_port_can.open_rc, "open", port->name, "told to fail");
	port->info = fake_port_can.info;
	port->info.name = kept.name;
	port->info.driver = kept.driver;
	return 0;
}

static inline void fake_port_driver_close(struct quoll_port *port)
{
	CU_ASSERT_FALSE(port->running);
	fake_port_closes++;
}

static inline int fake_port_driver_start(struct quoll_port *port, struct quoll_error *err)
{
	struct fake_port *fake = (struct fake_port *)port;

	fake->nr_starts++;
	for (unsigned int i = 0; i < port->queues.nr_rxqs; i++) {
		fake->rxqs[i] = (struct quoll_rxq){.burst = fake_rx};
		net_rxq_init(port, &fake->rxqs[i], i);
	}
	for (unsigned int i = 0; i < port->queues.nr_txqs; i++) {
		fake->txqs[i] = (struct quoll_txq){.burst = fake_tx};
		net_txq_init(port, &fake->txqs[i], i);
	}
	if (fake_port_can.start_rc)
		return quoll_error_set(err, -fake_port_can.start_rc, "start", port->name, "told to fail");
	return 0;
}

static inline int fake_port_driver_stop(struct quoll_port *port)
{
	((struct fake_port *)port)->nr_stops++;
	return fake_port_can.stop_rc;
}

static inline int fake_port_driver_apply(struct quoll_port *port, const struct quoll_port_settings *settings,
					 struct quoll_error *err)
{
	(void)settings;
	((struct fake_port *)port)->nr_applies++;
	if (fake_port_can.apply_rc)
		return quoll_error_set(err, -fake_port_can.apply_rc, "apply", port->name, "told to fail");
	return 0;
}

static inline void fake_port_driver_stats(struct quoll_port *port, struct quoll_port_stats *stats, uint64_t *xstats)
{
	(void)port;
	stats->rx_missed += 7;
	xstats[0] += 11;
	xstats[1] += 13;
}

static const char *const fake_port_xstats[] = {"fake_crc", "fake_runts", NULL};

static inline int fake_port_driver_check(struct quoll_port *port)
{
	struct fake_port *fake = (struct fake_port *)port;

	fake->nr_checks++;
	return fake->check_rc;
}

static inline void fake_port_driver_dma_off(struct quoll_port *port)
{
	struct fake_port *fake = (struct fake_port *)port;

	fake->nr_dma_offs++;
	fake->dead_at_dma_off = quoll_port_error(port);
}

static const struct net_driver fake_port_driver = {
	.name = "fake",
	.scheme = QUOLL_ADDR_NULL,
	.xstats = fake_port_xstats,
	.port_bytes = sizeof(struct fake_port),
	.open = fake_port_driver_open,
	.close = fake_port_driver_close,
	.start = fake_port_driver_start,
	.stop = fake_port_driver_stop,
	.apply = fake_port_driver_apply,
	.stats = fake_port_driver_stats,
	.check = fake_port_driver_check,
	.dma_off = fake_port_driver_dma_off,
};

/* As a NIC would be. */
static inline void fake_port_defaults(void)
{
	fake_port_can = (struct fake_port_can){
		.info =
			{
				.mac = {0x52, 0x54, 0, 0, 0, 1},
				.offloads = QUOLL_OFFLOAD_RX_CSUM | QUOLL_OFFLOAD_RX_SCATTER,
				.max_rxqs = 2,
				.max_txqs = 4,
				.min_entries = 64,
				.max_entries = 4096,
				.max_mtu = 9216,
				.max_macs = 3,
				.max_tx_links = 8,
				.rss_types = QUOLL_RSS_IPV4 | QUOLL_RSS_TCP4,
				.rss_table_entries = 8,
				.numa_node = -1,
			},
	};
	fake_port_closes = 0;
}

static inline int fake_port_try(struct fix *f, struct quoll_port **port)
{
	struct quoll_addr addr;

	*port = NULL;
	CU_ASSERT_EQUAL_FATAL(quoll_addr_parse("null:", &addr, NULL), 0);
	return net_port_open_driver(f->net, &fake_port_driver, &addr, NULL, port, &f->err);
}

static inline struct fake_port *fake_port_open(struct fix *f)
{
	struct quoll_port *port;

	CU_ASSERT_EQUAL_FATAL(fake_port_try(f, &port), 0);
	return (struct fake_port *)port;
}

#endif
