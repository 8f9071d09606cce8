/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * xdp.c - xdp:IFNAME[?queues=…&zerocopy=…&mode=…&busy=N]: options, start and stop, counters, and whether the interface
 * is still there.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "xdp.h"

#define MIN_ENTRIES 64u
#define MAX_ENTRIES 32768u
#define MAX_MTU 65517u
#define MAX_BUSY 1024u

/* Options. */

static int refuse_option(const struct quoll_port *port, const char *key, const char *value, const char *what,
			 struct quoll_error *err)
{
	return quoll_error_set(err, EINVAL, "address", port->name, "%s: \"%s\" is not %s", key, value, what);
}

/* "2", "2-5": queues of the interface. */
static int take_queues(struct xdp_port *xp, const char *text, struct quoll_error *err)
{
	unsigned long first = 0, last = xp->nr_device_queues - 1;
	char *end;

	if (text) {
		first = last = strtoul(text, &end, 10);
		if (*end == '-' && end != text)
			last = strtoul(end + 1, &end, 10);
		if (*text < '0' || *text > '9' || *end || last < first)
			return refuse_option(&xp->port, "queues", text, "a queue or a range of queues: 0 or 0-3", err);
	}
	if (last >= xp->nr_device_queues)
		return quoll_error_set(err, EINVAL, "open", xp->port.name, "queues: \"%s\": the interface has %u", text,
				       xp->nr_device_queues);
	xp->first_queue = (unsigned int)first;
	xp->port.info.max_rxqs = (unsigned int)(last - first) + 1;
	if (xp->port.info.max_rxqs > QUOLL_PORT_MAX_QUEUES)
		xp->port.info.max_rxqs = QUOLL_PORT_MAX_QUEUES;
	xp->port.info.max_txqs = xp->port.info.max_rxqs;
	return 0;
}

/* Which of @words, in the order of their values; the first one if it was not given. Return: -1: none. */
static int which(const char *value, const char *const *words, int nr)
{
	for (int i = 0; i < nr; i++)
		if (!value || !strcmp(value, words[i]))
			return i;
	return -1;
}

static int take_options(struct xdp_port *xp, const struct quoll_addr *addr, struct quoll_error *err)
{
	static const char *const wants[] = {"auto", "on", "off"}, *const modes[] = {"auto", "native", "generic"};
	const char *zerocopy = quoll_addr_option(addr, "zerocopy"), *mode = quoll_addr_option(addr, "mode");
	const char *busy = quoll_addr_option(addr, "busy");
	int want = which(zerocopy, wants, 3), how = which(mode, modes, 3);
	uint64_t budget = 0;

	if (want < 0)
		return refuse_option(&xp->port, "zerocopy", zerocopy, "auto, on or off", err);
	if (how < 0)
		return refuse_option(&xp->port, "mode", mode, "auto, native or generic", err);
	if (busy && (quoll_size_parse(busy, &budget) || budget > MAX_BUSY))
		return refuse_option(&xp->port, "busy", busy, "0 to 1024 frames", err);
	xp->zerocopy = (enum xdp_want)want;
	xp->mode = (enum xdp_mode)how;
	xp->busy = (unsigned int)budget;
	return take_queues(xp, quoll_addr_option(addr, "queues"), err);
}

/* The kernel checks flags before anything else: what it says of no interface tells whether it knows the flag. */
static int probe_sg(struct xdp_port *xp, struct quoll_error *err)
{
	struct sockaddr_xdp addr = {.sxdp_family = AF_XDP, .sxdp_flags = XDP_USE_SG};
	int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0), rc;

	if (fd >= 0) {
		xp->sg = bind(fd, (struct sockaddr *)&addr, sizeof(addr)) && errno != EINVAL;
		close(fd);
		return 0;
	}
	rc = quoll_error_set(err, errno, "open", xp->port.name, "no AF_XDP socket");
	if (rc == -EPERM)
		quoll_error_hint(err, "run as root, or give the program CAP_NET_RAW, CAP_NET_ADMIN and CAP_BPF: "
				      "setcap cap_bpf,cap_net_admin,cap_net_raw+ep FILE");
	else if (rc == -EAFNOSUPPORT)
		quoll_error_hint(err, "a kernel with CONFIG_XDP_SOCKETS");
	return rc;
}

static int xdp_open(struct quoll_port *port, const struct quoll_addr *addr, struct quoll_error *err)
{
	struct xdp_port *xp = to_xdp(port);
	int rc = net_if_open(&xp->ifc, addr->target, err);

	if (rc)
		return rc;
	xp->prog = (struct xdp_prog){.map_fd = -1, .link_fd = -1};
	xp->nr_device_queues = net_if_nr_queues(&xp->ifc);
	rc = take_options(xp, addr, err);
	if (!rc)
		rc = probe_sg(xp, err);
	if (!rc && net_if_mac(&xp->ifc, port->info.mac))
		rc = quoll_error_set(err, ENODEV, "open", port->name, "the interface went away");
	if (rc) {
		net_if_close(&xp->ifc);
		return rc;
	}
	port->info.offloads = xp->sg ? QUOLL_OFFLOAD_RX_SCATTER : 0;
	port->info.min_entries = MIN_ENTRIES;
	port->info.max_entries = MAX_ENTRIES;
	port->info.max_mtu = MAX_MTU;
	port->info.max_macs = QUOLL_PORT_MAX_MACS;
	port->info.max_tx_links = xp->sg ? XDP_MAX_LINKS : 1;
	return 0;
}

static void xdp_close(struct quoll_port *port)
{
	net_if_close(&to_xdp(port)->ifc);
}

/* Start. */

static int make_queues(struct xdp_port *xp, unsigned int i, struct quoll_error *err)
{
	struct quoll_port *port = &xp->port;
	bool has_rx = i < port->queues.nr_rxqs, has_tx = i < port->queues.nr_txqs;
	struct xdp_rxq *rxq = has_rx ? net_alloc(sizeof(*rxq)) : NULL;
	struct xdp_txq *txq = has_tx ? net_alloc(sizeof(*txq)) : NULL;
	int rc;

	if (rxq)
		net_rxq_init(port, &rxq->rxq, i);
	if (txq)
		net_txq_init(port, &txq->txq, i);
	if (!rxq != !has_rx || !txq != !has_tx)
		return quoll_error_set(err, ENOMEM, "start", port->name, "out of memory");
	rc = xdp_sock_open(xp, i, err);
	if (rc)
		return rc;
	if (txq) {
		txq->sock = xp->socks[i];
		xdp_txq_init(txq);
	}
	if (!rxq)
		return 0;
	rxq->sock = xp->socks[i];
	xdp_rxq_init(rxq);
	port->rx_fds[i] = xp->socks[i]->wake_fd;
	rxq->owed = port->queues.entries;
	if (xdp_refill(rxq, rxq->owed))
		return 0;
	return quoll_error_set(err, ENOBUFS, "start", port->name, "rx_caches[%u]: a ring takes %u buffers", i,
			       port->queues.entries);
}

static void warn_of_queues(const struct xdp_port *xp)
{
	unsigned int used = xp->port.queues.nr_rxqs;

	if (used && used < xp->nr_device_queues)
		quoll_log(
			net_env(&xp->port), QUOLL_LOG_WARN, "net",
			"%s: %u of the interface's %u queues are received from; frames of the others go to the kernel",
			xp->port.name, used, xp->nr_device_queues);
}

static int start_all(struct quoll_port *port, struct quoll_error *err)
{
	struct xdp_port *xp = to_xdp(port);
	unsigned int nr = port->queues.nr_rxqs > port->queues.nr_txqs ? port->queues.nr_rxqs : port->queues.nr_txqs;
	int rc = net_if_raise_mtu(&xp->ifc, port->settings.mtu, err);

	port->queues.entries = quoll_round_up_pow2(port->queues.entries);
	for (unsigned int i = 0; !rc && i < nr; i++)
		rc = make_queues(xp, i, err);
	if (!rc)
		rc = net_if_filter(&xp->ifc, port, &port->settings, err);
	if (!rc)
		rc = xdp_prog_attach(xp, nr, err);
	if (rc)
		return rc;
	warn_of_queues(xp);
	return net_if_check(&xp->ifc, port) ? quoll_error_set(err, ENODEV, "start", port->name, "the interface is gone")
					    : 0;
}

static int xdp_start(struct quoll_port *port, struct quoll_error *err)
{
	int rc = start_all(port, err);

	if (rc)
		net_if_restore_mtu(&to_xdp(port)->ifc);
	return rc;
}

static int xdp_stop(struct quoll_port *port)
{
	struct xdp_port *xp = to_xdp(port);

	/* From now on frames go to the kernel. */
	xdp_prog_detach(&xp->prog);
	for (unsigned int i = 0; i < QUOLL_PORT_MAX_QUEUES; i++) {
		xdp_sock_close(xp, i);
		free(port->rxqs[i]);
		free(port->txqs[i]);
	}
	if (xp->ifc.filter_fd >= 0)
		close(xp->ifc.filter_fd);
	xp->ifc.filter_fd = -1;
	net_port_set_link(port, false, false, 0);
	return 0;
}

static int xdp_apply(struct quoll_port *port, const struct quoll_port_settings *settings, struct quoll_error *err)
{
	return net_if_filter(&to_xdp(port)->ifc, port, settings, err);
}

/* While it runs. */

static const char *const xstats[] = {
	"xdp_rx_dropped",
	"xdp_rx_invalid_descs",
	"xdp_tx_invalid_descs",
	"xdp_rx_ring_full",
	"xdp_rx_fill_ring_empty_descs",
	"xdp_tx_ring_empty_descs",
	"xdp_tx_copied",
	NULL,
};

static void xdp_stats(struct quoll_port *port, struct quoll_port_stats *stats, uint64_t *values)
{
	struct xdp_port *xp = to_xdp(port);
	struct xdp_statistics sum = xp->ended;

	values[6] = xp->nr_copied_ended;
	for (unsigned int i = 0; i < QUOLL_PORT_MAX_QUEUES; i++) {
		if (!xp->socks[i])
			continue;
		xdp_sock_statistics(xp->socks[i], &sum);
		values[6] += quoll_counted(&xp->socks[i]->nr_copied);
	}
	/* An empty fill ring is among the dropped. */
	stats->rx_missed += sum.rx_dropped + sum.rx_ring_full;
	stats->tx_errors += sum.tx_invalid_descs;
	values[0] = sum.rx_dropped;
	values[1] = sum.rx_invalid_descs;
	values[2] = sum.tx_invalid_descs;
	values[3] = sum.rx_ring_full;
	values[4] = sum.rx_fill_ring_empty_descs;
	values[5] = sum.tx_ring_empty_descs;
}

static int xdp_check(struct quoll_port *port)
{
	struct xdp_port *xp = to_xdp(port);

	for (unsigned int i = 0; i < port->queues.nr_txqs; i++)
		if (xp->socks[i] && xdp_tx_waits(xp->socks[i]))
			xdp_kick(xp->socks[i]);
	return net_if_check(&xp->ifc, port);
}

/* The socket wakes: a frame came in, or the interface is gone. What is so already when it is added wakes, too. */
static int xdp_arm(struct quoll_rxq *rxq)
{
	struct xdp_sock *sock = ((struct xdp_rxq *)rxq)->sock;
	struct xdp_port *xp = to_xdp(rxq->port);
	struct epoll_event event = {.events = EPOLLIN};
	/* Pairs with the kernel's release of the producer's index. */
	uint32_t filled = __atomic_load_n(sock->rx.producer, __ATOMIC_ACQUIRE);

	if (net_port_dead(rxq->port) || filled != sock->rx.cached_cons)
		return 1;
	/* Nobody but us moves on what the kernel has left in a transmit ring. */
	for (unsigned int i = 0; i < rxq->port->queues.nr_txqs; i++)
		if (xdp_tx_waits(xp->socks[i]))
			return 1;
	return epoll_ctl(sock->wake_fd, EPOLL_CTL_ADD, sock->fd, &event) && errno != EEXIST ? 1 : 0;
}

static void xdp_disarm(struct quoll_rxq *rxq)
{
	struct xdp_sock *sock = ((struct xdp_rxq *)rxq)->sock;

	/* It is not in it if there was work when it should have been. */
	(void)epoll_ctl(sock->wake_fd, EPOLL_CTL_DEL, sock->fd, NULL);
}

static const char *const options[] = {"queues", "zerocopy", "mode", "busy", NULL};

const struct net_driver net_xdp = {
	.name = "xdp",
	.scheme = QUOLL_ADDR_XDP,
	.port_bytes = sizeof(struct xdp_port),
	.memory = QUOLL_PORT_MEMORY_ANY, /* it is the kernel that pins it, and maps it for a device */
	.options = options,
	.xstats = xstats,
	.open = xdp_open,
	.close = xdp_close,
	.start = xdp_start,
	.stop = xdp_stop,
	.apply = xdp_apply,
	.stats = xdp_stats,
	.arm = xdp_arm,
	.disarm = xdp_disarm,
	.check = xdp_check,
};
