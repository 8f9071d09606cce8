/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fake_rings.h - the driver of an xdp: port whose sockets are memory, for tests and fuzz entries, which are the kernel
 * at the other side of the four rings.
 *
 * System calls on the socket fail, as there is none; the data path does not care.
 */
#ifndef QUOLL_TESTS_FAKE_RINGS_H
#define QUOLL_TESTS_FAKE_RINGS_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <net/xdp/xdp.h>

#define FAKE_ENTRIES 64u

/* What the kernel and we share, of one socket. The rings lie behind each other in no order that matters. */
struct fake_rings {
	uint32_t producers[4];
	uint32_t consumers[4];
	uint32_t flags;
	uint64_t fill[FAKE_ENTRIES];
	uint64_t comp[FAKE_ENTRIES];
	struct xdp_desc rx[FAKE_ENTRIES];
	struct xdp_desc tx[FAKE_ENTRIES];
};

enum fake_ring {
	FAKE_FILL,
	FAKE_COMP,
	FAKE_RX,
	FAKE_TX,
};

static struct fake_rings fake_rings[2];

static int fake_open(struct quoll_port *port, const struct quoll_addr *addr, struct quoll_error *err)
{
	(void)addr;
	(void)err;
	port->info.offloads = QUOLL_OFFLOAD_RX_SCATTER;
	port->info.max_rxqs = port->info.max_txqs = 2;
	port->info.min_entries = port->info.max_entries = FAKE_ENTRIES;
	port->info.max_mtu = 9000;
	port->info.max_tx_links = XDP_MAX_LINKS;
	return 0;
}

static void fake_close(struct quoll_port *port)
{
	(void)port;
}

#define FAKE_RING(r, at, which, memory)                                                                                \
	do {                                                                                                           \
		(r)->mask = FAKE_ENTRIES - 1;                                                                          \
		(r)->size = FAKE_ENTRIES;                                                                              \
		(r)->producer = &(at)->producers[which];                                                               \
		(r)->consumer = &(at)->consumers[which];                                                               \
		(r)->flags = &(at)->flags;                                                                             \
		(r)->ring = (memory);                                                                                  \
	} while (0)

static void fake_join(struct xdp_sock *sock, struct fake_rings *at)
{
	memset(at, 0, sizeof(*at));
	FAKE_RING(&sock->fill, at, FAKE_FILL, at->fill);
	FAKE_RING(&sock->comp, at, FAKE_COMP, at->comp);
	FAKE_RING(&sock->rx, at, FAKE_RX, at->rx);
	FAKE_RING(&sock->tx, at, FAKE_TX, at->tx);
	sock->fill.cached_cons = FAKE_ENTRIES;
	sock->tx.cached_cons = FAKE_ENTRIES;
}

static int fake_start(struct quoll_port *port, struct quoll_error *err)
{
	struct xdp_port *xp = to_xdp(port);

	for (unsigned int i = 0; i < port->queues.nr_rxqs; i++) {
		struct xdp_rxq *rxq = net_alloc(sizeof(*rxq));
		struct xdp_txq *txq = net_alloc(sizeof(*txq));
		struct xdp_sock *sock = net_alloc(sizeof(*sock));

		sock->fd = sock->wake_fd = -1;
		xdp_map_init(&sock->map, port->queues.rx_caches[i]->pool);
		sock->held = calloc(sock->map.nr_bufs, 1);
		if (quoll_buf_cache_create(sock->map.pool, 8, &sock->copies, err))
			return -ENOMEM;
		fake_join(sock, &fake_rings[i]);
		xp->socks[i] = rxq->sock = txq->sock = sock;
		net_rxq_init(port, &rxq->rxq, i);
		net_txq_init(port, &txq->txq, i);
		xdp_rxq_init(rxq);
		xdp_txq_init(txq);
		rxq->owed = FAKE_ENTRIES;
		if (!xdp_refill(rxq, FAKE_ENTRIES))
			return -ENOBUFS;
	}
	return 0;
}

static int fake_stop(struct quoll_port *port)
{
	for (unsigned int i = 0; i < 2; i++) {
		xdp_sock_close(to_xdp(port), i);
		free(port->rxqs[i]);
		free(port->txqs[i]);
	}
	return 0;
}

static const struct net_driver fake_driver = {
	.name = "fake-xdp",
	.scheme = QUOLL_ADDR_XDP,
	.port_bytes = sizeof(struct xdp_port),
	.open = fake_open,
	.close = fake_close,
	.start = fake_start,
	.stop = fake_stop,
};

static inline void fake_rx(struct fake_rings *at, uint64_t addr, uint32_t len, uint32_t options)
{
	at->rx[at->producers[FAKE_RX]++ % FAKE_ENTRIES] =
		(struct xdp_desc){.addr = addr, .len = len, .options = options};
}

static inline void fake_complete(struct fake_rings *at, uint64_t addr)
{
	at->comp[at->producers[FAKE_COMP]++ % FAKE_ENTRIES] = addr;
}

/* The kernel sends all that is there. */
static inline void fake_send_all(struct fake_rings *at)
{
	for (; at->consumers[FAKE_TX] != at->producers[FAKE_TX]; at->consumers[FAKE_TX]++)
		fake_complete(at, at->tx[at->consumers[FAKE_TX] % FAKE_ENTRIES].addr);
}

#endif
