/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fake_tap.h - the driver of a tap: port whose queue is a socket that keeps frames apart, as a TAP queue does, for
 * tests and fuzz entries, which are the kernel at its other end.
 */
#ifndef QUOLL_TESTS_FAKE_TAP_H
#define QUOLL_TESTS_FAKE_TAP_H

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <net/tap/tap.h>

#define FAKE_TAP_OFFLOADS                                                                                              \
	(QUOLL_OFFLOAD_RX_SCATTER | QUOLL_OFFLOAD_RX_L4_CSUM | QUOLL_OFFLOAD_TX_L4_CSUM | QUOLL_OFFLOAD_TX_TSO |       \
	 QUOLL_OFFLOAD_RX_GSO)

static int fake_tap_sockets[2]; /* the port's, and the kernel's */

static int fake_open(struct quoll_port *port, const struct quoll_addr *addr, struct quoll_error *err)
{
	(void)addr;
	(void)err;
	port->info.offloads = FAKE_TAP_OFFLOADS;
	port->info.max_rxqs = port->info.max_txqs = 1;
	port->info.min_entries = port->info.max_entries = 1;
	port->info.max_mtu = 9000;
	port->info.max_tx_links = TAP_MAX_LINKS;
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fake_tap_sockets) ? -errno : 0;
}

static void fake_close(struct quoll_port *port)
{
	(void)port;
	close(fake_tap_sockets[0]);
	close(fake_tap_sockets[1]);
}

static int fake_start(struct quoll_port *port, struct quoll_error *err)
{
	struct tap_rxq *rxq = net_alloc(sizeof(*rxq));
	struct tap_txq *txq = net_alloc(sizeof(*txq));

	(void)err;
	net_rxq_init(port, &rxq->rxq, 0);
	net_txq_init(port, &txq->txq, 0);
	rxq->fd = txq->fd = fake_tap_sockets[0];
	tap_rxq_init(rxq);
	tap_txq_init(txq);
	return 0;
}

static int fake_stop(struct quoll_port *port)
{
	struct tap_rxq *rxq = (struct tap_rxq *)port->rxqs[0];

	quoll_buf_put(rxq->rxq.cache, rxq->spare, rxq->nr_spare);
	free(rxq);
	free(port->txqs[0]);
	return 0;
}

static const struct net_driver fake_driver = {
	.name = "fake-tap",
	.scheme = QUOLL_ADDR_TAP,
	.port_bytes = sizeof(struct tap_port),
	.open = fake_open,
	.close = fake_close,
	.start = fake_start,
	.stop = fake_stop,
};

#endif
