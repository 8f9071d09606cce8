/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost.c - vhost:/run/y.sock[?queues=N&client=1&packed=0]: a virtual machine's network device, or whoever else speaks
 * vhost-user from the other side, as a port.
 *
 * We listen on the socket, or connect to it and go on trying. A session lasts as long as the connection; the port
 * outlives it and serves the next front end. Stop ends the session, and listens on.
 */
#include <errno.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vhost.h"

#define MIN_ENTRIES 1u

static int take_switch(const struct quoll_port *port, const struct quoll_addr *addr, const char *name, bool *value,
		       struct quoll_error *err)
{
	const char *text = quoll_addr_option(addr, name);

	if (!text)
		return 0;
	if (strcmp(text, "0") != 0 && strcmp(text, "1") != 0)
		return quoll_error_set(err, EINVAL, "address", port->name, "%s: \"%s\" is not 0 or 1", name, text);
	*value = *text == '1';
	return 0;
}

static int take_options(struct vhost_port *vp, const struct quoll_addr *addr, struct quoll_error *err)
{
	const char *queues = quoll_addr_option(addr, "queues");
	uint64_t nr = QUOLL_PORT_MAX_QUEUES;
	int rc;

	if (queues && (quoll_size_parse(queues, &nr) || !nr || nr > QUOLL_PORT_MAX_QUEUES))
		return quoll_error_set(err, EINVAL, "address", vp->port.name, "queues: \"%s\" is not 1 to %u", queues,
				       QUOLL_PORT_MAX_QUEUES);
	vp->max_queues = (unsigned int)nr;
	vp->packed = true;
	rc = take_switch(&vp->port, addr, "client", &vp->client, err);
	return rc ? rc : take_switch(&vp->port, addr, "packed", &vp->packed, err);
}

static int vhost_open(struct quoll_port *port, const struct quoll_addr *addr, struct quoll_error *err)
{
	struct vhost_port *vp = (struct vhost_port *)port;
	int rc = take_options(vp, addr, err);

	if (rc)
		return rc;
	strcpy(vp->path, addr->target); /* the parser knows how long it may be */
	vp->fenced = syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
	rc = vhost_peer_open(vp, err);
	if (rc)
		return rc;
	port->info.offloads = QUOLL_OFFLOAD_RX_SCATTER | QUOLL_OFFLOAD_RX_L4_CSUM | QUOLL_OFFLOAD_RX_GSO |
			      QUOLL_OFFLOAD_TX_L4_CSUM | QUOLL_OFFLOAD_TX_TSO;
	port->info.max_rxqs = vp->max_queues;
	port->info.max_txqs = vp->max_queues;
	port->info.min_entries = MIN_ENTRIES;
	port->info.max_entries = VIRTQ_MAX_SIZE;
	port->info.max_mtu = VHOST_MAX_MTU;
	port->info.max_tx_links = UINT16_MAX;
	port->info.max_tso_bytes = VHOST_MAX_GSO_BYTES;
	return 0;
}

static void vhost_close(struct quoll_port *port)
{
	vhost_peer_close((struct vhost_port *)port);
}

static int start_rxq(struct vhost_port *vp, unsigned int i)
{
	const struct quoll_port_settings *settings = &vp->port.settings;
	struct vhost_rxq *q = net_alloc(sizeof(*q));
	const struct quoll_buf_cache *cache = vp->port.queues.rx_caches[i];
	uint32_t simple;

	if (!q)
		return -ENOMEM;
	net_rxq_init(&vp->port, &q->rxq, i);
	q->rxq.burst = vhost_rx;
	q->vring = &vp->vrings[2 * i + 1];
	q->room = quoll_pool_buf_bytes(cache->pool) - cache->headroom_bytes;
	q->max_bytes = settings->mtu + NET_FRAME_OVERHEAD_BYTES;
	simple = q->room < q->max_bytes ? q->room : q->max_bytes;
	q->max_excess = simple - NET_MIN_FRAME_BYTES;
	q->scatter = settings->offloads & QUOLL_OFFLOAD_RX_SCATTER;
	vp->port.rx_fds[i] = q->vring->epoll_fd;
	return 0;
}

static int start_txq(struct vhost_port *vp, unsigned int i)
{
	uint32_t offloads = vp->port.settings.offloads;
	struct vhost_txq *q = net_alloc(sizeof(*q));

	if (!q)
		return -ENOMEM;
	net_txq_init(&vp->port, &q->txq, i);
	q->txq.burst = vhost_tx;
	q->vring = &vp->vrings[2 * i];
	net_tx_rules_init(&q->rules, &vp->port);
	if (offloads & QUOLL_OFFLOAD_TX_L4_CSUM)
		q->rules.forbidden &= ~(uint32_t)(QUOLL_BUF_TX_TCP_CSUM | QUOLL_BUF_TX_UDP_CSUM);
	/* The header's checksum only goes with it, see ask_offloads(). */
	if (offloads & QUOLL_OFFLOAD_TX_TSO)
		q->rules.forbidden &= ~(uint32_t)(QUOLL_BUF_TX_TSO | QUOLL_BUF_TX_IP_CSUM);
	return 0;
}

static int vhost_start(struct quoll_port *port, struct quoll_error *err)
{
	struct vhost_port *vp = (struct vhost_port *)port;
	const struct quoll_port_queues *queues = &port->queues;
	int rc;

	vp->nr_pairs = queues->nr_rxqs > queues->nr_txqs ? queues->nr_rxqs : queues->nr_txqs;
	vp->offered = vhost_offer(vp);
	rc = vhost_vrings_create(vp);
	for (unsigned int i = 0; !rc && i < queues->nr_rxqs; i++)
		rc = start_rxq(vp, i);
	for (unsigned int i = 0; !rc && i < queues->nr_txqs; i++)
		rc = start_txq(vp, i);
	vhost_vrings_tell_lacks(vp);
	return rc ? quoll_error_set(err, -rc, "start", port->name, "%u and %u queues: %s", queues->nr_rxqs,
				    queues->nr_txqs, strerrordesc_np(-rc))
		  : 0;
}

static int vhost_stop(struct quoll_port *port)
{
	struct vhost_port *vp = (struct vhost_port *)port;

	/* Their threads have left the queues. */
	if (vp->vrings)
		vhost_session_end(vp);
	vhost_vrings_destroy(vp);
	for (unsigned int i = 0; i < QUOLL_PORT_MAX_QUEUES; i++) {
		free(port->rxqs[i]);
		free(port->txqs[i]);
	}
	return 0;
}

static int vhost_check(struct quoll_port *port)
{
	struct vhost_port *vp = (struct vhost_port *)port;

	if (vp->vrings)
		vhost_peer_check(vp);
	return 0;
}

static const char *const options[] = {"queues", "client", "packed", NULL};
static const char *const xstats[] = {"sessions", "sessions_ended_as_bad", "requests_refused", "calls", NULL};

static void vhost_stats(struct quoll_port *port, struct quoll_port_stats *stats, uint64_t *values)
{
	struct vhost_port *vp = (struct vhost_port *)port;
	uint64_t nr_calls = vp->nr_calls;

	(void)stats;
	for (unsigned int i = 0; vp->vrings && i < 2 * vp->nr_pairs; i++)
		nr_calls += quoll_counted(&vp->vrings[i].nr_calls);
	values[0] += quoll_counted(&vp->nr_sessions);
	values[1] += quoll_counted(&vp->nr_bad_sessions);
	values[2] += quoll_counted(&vp->nr_refused);
	values[3] += nr_calls;
}

const struct net_driver net_vhost = {
	.name = "vhost",
	.scheme = QUOLL_ADDR_VHOST,
	.port_bytes = sizeof(struct vhost_port),
	.memory = QUOLL_PORT_MEMORY_ANY,
	.options = options,
	.xstats = xstats,
	.open = vhost_open,
	.close = vhost_close,
	.start = vhost_start,
	.stop = vhost_stop,
	.stats = vhost_stats,
	.arm = vhost_rx_arm,
	.disarm = vhost_rx_disarm,
	.check = vhost_check,
};
