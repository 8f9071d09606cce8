/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tap.c - tap:NAME[?persist=0|1]: made if it is not there; queues, offloads, and whether it is still there.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tap.h"

#define MAX_MTU 65521u
#define VNET_OFFLOADS                                                                                                  \
	(QUOLL_OFFLOAD_RX_SCATTER | QUOLL_OFFLOAD_RX_L4_CSUM | QUOLL_OFFLOAD_TX_L4_CSUM | QUOLL_OFFLOAD_TX_TSO |       \
	 QUOLL_OFFLOAD_RX_GSO)

/* A queue of the interface. Return: its descriptor, -errno. */
static int open_queue(const char *name, bool multi)
{
	struct ifreq req = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC), header = sizeof(struct virtio_net_hdr), rc;

	if (fd < 0)
		return -errno;
	if (multi)
		req.ifr_flags |= IFF_MULTI_QUEUE;
	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", name);
	if (!ioctl(fd, TUNSETIFF, &req) && !ioctl(fd, TUNSETVNETHDRSZ, &header))
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

static int refuse(const struct quoll_port *port, const char *name, int rc, struct quoll_error *err)
{
	quoll_error_set(err, -rc, "open", port->name, "no queue of the TAP interface");
	if (rc == -EPERM || rc == -EACCES)
		quoll_error_hint(err,
				 "give the program CAP_NET_ADMIN, or make the interface for this user: "
				 "ip tuntap add %s mode tap multi_queue user NAME",
				 name);
	else if (rc == -EBUSY)
		quoll_error_hint(err, "another program has it");
	else if (rc == -EINVAL)
		quoll_error_hint(err,
				 "there is one of that name, which is no TAP interface or has other flags: ip -d link "
				 "show %s",
				 name);
	else if (rc == -ENOENT || rc == -ENODEV)
		quoll_error_hint(err, "modprobe tun");
	return rc;
}

/* With several queues, if it can have them: one that is there already may not. */
static int open_first(struct tap_port *tp, const char *name)
{
	int fd = open_queue(name, true);

	tp->multi = fd != -EINVAL;
	return tp->multi ? fd : open_queue(name, false);
}

static int set_persist(struct tap_port *tp, const char *persist, struct quoll_error *err)
{
	if (!persist)
		return 0;
	if (strcmp(persist, "0") != 0 && strcmp(persist, "1") != 0)
		return quoll_error_set(err, EINVAL, "address", tp->port.name, "persist: \"%s\" is not 0 or 1", persist);
	if (ioctl(tp->fds[0], TUNSETPERSIST, (unsigned long)(*persist - '0')))
		return quoll_error_set(err, errno, "open", tp->port.name, "persist: the kernel refuses it");
	return 0;
}

static void close_queues(struct tap_port *tp, unsigned int first)
{
	for (unsigned int i = first; i < QUOLL_PORT_MAX_QUEUES; i++) {
		if (tp->fds[i] >= 0)
			close(tp->fds[i]);
		tp->fds[i] = -1;
	}
}

static int tap_open(struct quoll_port *port, const struct quoll_addr *addr, struct quoll_error *err)
{
	struct tap_port *tp = to_tap(port);
	int rc;

	for (unsigned int i = 0; i < QUOLL_PORT_MAX_QUEUES; i++)
		tp->fds[i] = -1;
	if (!*addr->target || strlen(addr->target) >= IFNAMSIZ)
		return quoll_error_set(err, EINVAL, "address", port->name,
				       "the name of an interface has 1 to %d characters", IFNAMSIZ - 1);
	tp->fds[0] = open_first(tp, addr->target);
	if (tp->fds[0] < 0)
		return refuse(port, addr->target, tp->fds[0], err);
	rc = net_if_open(&tp->ifc, addr->target, err);
	if (rc) {
		close_queues(tp, 0);
		return rc;
	}
	rc = set_persist(tp, quoll_addr_option(addr, "persist"), err);
	if (rc) {
		net_if_close(&tp->ifc);
		close_queues(tp, 0);
		return rc;
	}
	port->info.offloads = VNET_OFFLOADS;
	port->info.max_rxqs = port->info.max_txqs = tp->multi ? QUOLL_PORT_MAX_QUEUES : 1;
	port->info.min_entries = port->info.max_entries = 1; /* the kernel's queue is all there is */
	port->info.max_mtu = MAX_MTU;
	port->info.max_tx_links = TAP_MAX_LINKS;
	port->info.max_tso_bytes = TAP_MAX_GSO_BYTES - NET_FRAME_OVERHEAD_BYTES;
	return 0;
}

static void tap_close(struct quoll_port *port)
{
	net_if_close(&to_tap(port)->ifc);
	close_queues(to_tap(port), 0);
}

/* Start and stop. */

/* What the kernel may leave undone in frames for us. */
static int set_offloads(struct tap_port *tp, struct quoll_error *err)
{
	uint32_t offloads = tp->port.settings.offloads;
	unsigned long flags = 0;

	if (offloads & (QUOLL_OFFLOAD_RX_L4_CSUM | QUOLL_OFFLOAD_RX_GSO))
		flags = TUN_F_CSUM;
	if (offloads & QUOLL_OFFLOAD_RX_GSO)
		flags |= TUN_F_TSO4 | TUN_F_TSO6;
	if (ioctl(tp->fds[0], TUNSETOFFLOAD, flags))
		return quoll_error_set(err, errno, "start", tp->port.name, "the kernel refuses these offloads");
	return 0;
}

static int make_queue(struct tap_port *tp, unsigned int i, struct quoll_error *err)
{
	struct quoll_port *port = &tp->port;
	bool has_rx = i < port->queues.nr_rxqs, has_tx = i < port->queues.nr_txqs;
	struct tap_rxq *rxq = has_rx ? net_alloc(sizeof(*rxq)) : NULL;
	struct tap_txq *txq = has_tx ? net_alloc(sizeof(*txq)) : NULL;

	if (rxq)
		net_rxq_init(port, &rxq->rxq, i);
	if (txq)
		net_txq_init(port, &txq->txq, i);
	if (!rxq != !has_rx || !txq != !has_tx)
		return quoll_error_set(err, ENOMEM, "start", port->name, "out of memory");
	if (tp->fds[i] < 0)
		tp->fds[i] = open_queue(tp->ifc.name, true);
	if (tp->fds[i] < 0)
		return refuse(port, tp->ifc.name, tp->fds[i], err);
	if (rxq) {
		rxq->fd = port->rx_fds[i] = tp->fds[i];
		tap_rxq_init(rxq);
	}
	if (txq) {
		txq->fd = tp->fds[i];
		tap_txq_init(txq);
	}
	return 0;
}

/* An interface that was moved to another namespace goes on there, only that its link is not seen from here. */
static int tap_check(struct quoll_port *port)
{
	struct tap_port *tp = to_tap(port);
	struct quoll_port_link link;
	struct ifreq req = {0};

	if (ioctl(tp->fds[0], TUNGETIFF, &req))
		return -ENODEV;
	if (!net_if_check(&tp->ifc, port))
		return 0;
	quoll_port_link(port, &link);
	if (!link.up)
		net_port_set_link(port, true, true, 0);
	return 0;
}

static int start_all(struct quoll_port *port, struct quoll_error *err)
{
	struct tap_port *tp = to_tap(port);
	unsigned int nr = port->queues.nr_rxqs > port->queues.nr_txqs ? port->queues.nr_rxqs : port->queues.nr_txqs;
	int rc = net_if_raise_mtu(&tp->ifc, port->settings.mtu, err);

	for (unsigned int i = 0; !rc && i < nr; i++)
		rc = make_queue(tp, i, err);
	if (!rc)
		rc = set_offloads(tp, err);
	if (rc)
		return rc;
	return tap_check(port) ? quoll_error_set(err, ENODEV, "start", port->name, "the interface is gone") : 0;
}

static int tap_start(struct quoll_port *port, struct quoll_error *err)
{
	int rc = start_all(port, err);

	if (rc)
		net_if_restore_mtu(&to_tap(port)->ifc);
	return rc;
}

static int tap_stop(struct quoll_port *port)
{
	struct tap_port *tp = to_tap(port);

	for (unsigned int i = 0; i < QUOLL_PORT_MAX_QUEUES; i++) {
		struct tap_rxq *rxq = (struct tap_rxq *)port->rxqs[i];
		struct tap_txq *txq = (struct tap_txq *)port->txqs[i];

		if (rxq)
			quoll_buf_put(rxq->rxq.cache, rxq->spare, rxq->nr_spare);
		if (txq)
			tp->nr_errors_ended += txq->nr_errors;
		free(rxq);
		free(txq);
	}
	close_queues(tp, 1);
	net_port_set_link(port, false, false, 0);
	return 0;
}

/* While it runs. */

static void tap_stats(struct quoll_port *port, struct quoll_port_stats *stats, uint64_t *values)
{
	struct tap_port *tp = to_tap(port);

	(void)values;
	stats->tx_errors += tp->nr_errors_ended;
	for (unsigned int i = 0; i < QUOLL_PORT_MAX_QUEUES; i++)
		if (port->txqs[i])
			stats->tx_errors += quoll_counted(&((struct tap_txq *)port->txqs[i])->nr_errors);
}

/* The descriptor itself wakes. */
static int tap_arm(struct quoll_rxq *rxq)
{
	struct pollfd fd = {.fd = ((struct tap_rxq *)rxq)->fd, .events = POLLIN};

	return net_port_dead(rxq->port) || poll(&fd, 1, 0) > 0;
}

static void tap_disarm(struct quoll_rxq *rxq)
{
	(void)rxq;
}

static const char *const options[] = {"persist", NULL};

const struct net_driver net_tap = {
	.name = "tap",
	.scheme = QUOLL_ADDR_TAP,
	.port_bytes = sizeof(struct tap_port),
	.memory = QUOLL_PORT_MEMORY_ANY,
	.options = options,
	.open = tap_open,
	.close = tap_close,
	.start = tap_start,
	.stop = tap_stop,
	.stats = tap_stats,
	.arm = tap_arm,
	.disarm = tap_disarm,
	.check = tap_check,
};
