/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ring.c - ring:NAME: two ports of one net, crossed: what one sends, the other receives, queue by queue, without a
 * copy.
 *
 * Buffers themselves are handed over, so they go back to the sender's pool from the receiver's caches. A lane takes
 * frames only while both of its ends run. Who stops takes what lies in its receive lanes, and in its transmit lanes if
 * nobody is left to receive it; so when both have stopped, nothing is in a lane.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ring_queue.h"

#define MAX_ENTRIES 32768u
#define MAX_FRAME_BYTES 65535u

struct ring_port;

/* What the two ports of a name share; set-up from either's thread. */
struct ring_link {
	pthread_mutex_t lock;
	struct ring_port *ends[2];
	bool loop;					  /* one end, which receives what it sends */
	struct ring_lane lanes[2][QUOLL_PORT_MAX_QUEUES]; /* by the end that sends */
};

struct ring_port {
	struct quoll_port port;
	struct ring_link *link;
	unsigned int end;
	bool can_sleep;
	bool runs;
};

/* Lanes, with the link's lock. */

static struct ring_lane *tx_lane(const struct ring_port *rp, unsigned int i)
{
	return &rp->link->lanes[rp->end][i];
}

static struct ring_lane *rx_lane(const struct ring_port *rp, unsigned int i)
{
	return &rp->link->lanes[rp->link->loop ? rp->end : !rp->end][i];
}

static struct ring_port *other_end(const struct ring_port *rp)
{
	return rp->link->loop ? NULL : rp->link->ends[!rp->end];
}

static void drain(struct ring_lane *lane, struct quoll_buf_cache *cache)
{
	struct quoll_buf *bufs[32];
	uint32_t n;

	while (lane->ring && (n = quoll_spsc_dequeue_burst(lane->ring, (void **)bufs, 32)) > 0)
		for (uint32_t i = 0; i < n; i++)
			quoll_buf_put_chain(cache, bufs[i]);
}

/* What follows from who runs: which lanes are open, whether the line is up. */
static void update(struct ring_port *rp)
{
	struct ring_port *peer = other_end(rp);
	bool up = rp->runs && (rp->link->loop || (peer && peer->runs));

	for (unsigned int i = 0; i < QUOLL_PORT_MAX_QUEUES; i++)
		for (unsigned int end = 0; end < 2; end++) {
			struct ring_lane *lane = &rp->link->lanes[end][i];

			/* Pairs with the acquire in ring_tx(): what the receiver wants is there by then. */
			__atomic_store_n(&lane->open, lane->has_tx && lane->has_rx ? lane->receiver : 0,
					 __ATOMIC_RELEASE);
		}
	net_port_set_link(&rp->port, up, up, 0);
	if (peer)
		net_port_set_link(&peer->port, up, up, 0);
}

/* Open and close: one thread a net, so the list of ports holds still. */

static struct ring_link *find_link(struct ring_port *rp)
{
	for (struct quoll_port *p = net_first_port(&rp->port); p; p = p->next)
		if (p->driver == &net_ring && p != &rp->port && !strcmp(p->name, rp->port.name))
			return ((struct ring_port *)p)->link;
	return NULL;
}

static struct ring_link *new_link(bool loop)
{
	struct ring_link *link = net_alloc(sizeof(*link));

	if (!link)
		return NULL;
	pthread_mutex_init(&link->lock, NULL);
	link->loop = loop;
	return link;
}

static int ring_open(struct quoll_port *port, const struct quoll_addr *addr, struct quoll_error *err)
{
	const char *loop = quoll_addr_option(addr, "loop");
	struct ring_port *rp = (struct ring_port *)port;

	if (loop && strcmp(loop, "0") != 0 && strcmp(loop, "1") != 0)
		return quoll_error_set(err, EINVAL, "address", port->name, "loop: \"%s\" is not 0 or 1", loop);
	rp->link = find_link(rp);
	if (!rp->link)
		rp->link = new_link(loop && *loop == '1');
	else if (rp->link->loop || (loop && *loop == '1'))
		return quoll_error_set(err, EBUSY, "open", port->name,
				       "a ring with loop=1 has one port, which is open");
	if (!rp->link)
		return quoll_error_set(err, ENOMEM, "open", port->name, "out of memory");
	pthread_mutex_lock(&rp->link->lock);
	rp->end = rp->link->ends[0] ? 1 : 0;
	if (rp->link->ends[rp->end]) {
		pthread_mutex_unlock(&rp->link->lock);
		return quoll_error_set(err, EBUSY, "open", port->name, "both ends of this ring are open");
	}
	rp->link->ends[rp->end] = rp;
	pthread_mutex_unlock(&rp->link->lock);
	rp->can_sleep = ring_lane_can_sleep();
	port->info.offloads = QUOLL_OFFLOAD_RX_SCATTER;
	port->info.max_rxqs = QUOLL_PORT_MAX_QUEUES;
	port->info.max_txqs = QUOLL_PORT_MAX_QUEUES;
	port->info.min_entries = 1;
	port->info.max_entries = MAX_ENTRIES;
	port->info.max_mtu = MAX_FRAME_BYTES - NET_FRAME_OVERHEAD_BYTES;
	port->info.max_tx_links = UINT16_MAX;
	return 0;
}

static void ring_close(struct quoll_port *port)
{
	struct ring_port *rp = (struct ring_port *)port;
	struct ring_link *link = rp->link;

	pthread_mutex_lock(&link->lock);
	link->ends[rp->end] = NULL;
	pthread_mutex_unlock(&link->lock);
	if (link->ends[!rp->end])
		return;
	pthread_mutex_destroy(&link->lock);
	free(link);
}

/* Start and stop: either end's thread, so with the link's lock. */

static int make_lanes(struct ring_port *rp)
{
	const struct quoll_port_queues *queues = &rp->port.queues;
	int rc = 0;

	for (unsigned int i = 0; !rc && i < queues->nr_rxqs; i++)
		rc = ring_lane_make(rx_lane(rp, i), queues->entries, rp->can_sleep);
	for (unsigned int i = 0; !rc && i < queues->nr_txqs; i++)
		rc = ring_lane_make(tx_lane(rp, i), queues->entries, rp->can_sleep);
	return rc;
}

static int start_rxq(struct ring_port *rp, unsigned int i)
{
	struct ring_lane *lane = rx_lane(rp, i);
	struct ring_rxq *q = net_alloc(sizeof(*q));

	if (!q)
		return -ENOMEM;
	net_rxq_init(&rp->port, &q->rxq, i);
	ring_rxq_init(q, lane);
	rp->port.rx_fds[i] = lane->fd;
	lane->has_rx = true;
	return 0;
}

static int start_txq(struct ring_port *rp, unsigned int i)
{
	struct ring_lane *lane = tx_lane(rp, i);
	struct ring_txq *q = net_alloc(sizeof(*q));

	if (!q)
		return -ENOMEM;
	net_txq_init(&rp->port, &q->txq, i);
	ring_txq_init(q, lane);
	lane->has_tx = true;
	return 0;
}

static int ring_start(struct quoll_port *port, struct quoll_error *err)
{
	struct ring_port *rp = (struct ring_port *)port;
	int rc;

	pthread_mutex_lock(&rp->link->lock);
	rc = make_lanes(rp);
	for (unsigned int i = 0; !rc && i < port->queues.nr_rxqs; i++)
		rc = start_rxq(rp, i);
	for (unsigned int i = 0; !rc && i < port->queues.nr_txqs; i++)
		rc = start_txq(rp, i);
	/* After a failure stop comes next, and takes it all back. */
	if (!rc) {
		rp->runs = true;
		update(rp);
	}
	pthread_mutex_unlock(&rp->link->lock);
	return rc ? quoll_error_set(err, -rc, "start", port->name, "no ring or eventfd to be had for %u and %u queues",
				    port->queues.nr_rxqs, port->queues.nr_txqs)
		  : 0;
}

static int ring_stop(struct quoll_port *port)
{
	struct ring_port *rp = (struct ring_port *)port, *peer;

	pthread_mutex_lock(&rp->link->lock);
	rp->runs = false;
	for (unsigned int i = 0; i < QUOLL_PORT_MAX_QUEUES; i++) {
		if (port->rxqs[i])
			rx_lane(rp, i)->has_rx = false;
		if (port->txqs[i])
			tx_lane(rp, i)->has_tx = false;
	}
	update(rp);
	for (unsigned int i = 0; i < QUOLL_PORT_MAX_QUEUES; i++) {
		if (port->rxqs[i])
			drain(rx_lane(rp, i), port->rxqs[i]->cache);
		if (port->txqs[i] && !tx_lane(rp, i)->has_rx)
			drain(tx_lane(rp, i), port->txqs[i]->cache);
		free(port->rxqs[i]);
		free(port->txqs[i]);
	}
	peer = other_end(rp);
	for (unsigned int i = 0; (!peer || !peer->runs) && i < QUOLL_PORT_MAX_QUEUES; i++) {
		ring_lane_free(&rp->link->lanes[0][i]);
		ring_lane_free(&rp->link->lanes[1][i]);
	}
	pthread_mutex_unlock(&rp->link->lock);
	return 0;
}

/* Sleeping. */

static int ring_arm(struct quoll_rxq *rxq)
{
	return ring_lane_arm(((struct ring_rxq *)rxq)->lane);
}

static void ring_disarm(struct quoll_rxq *rxq)
{
	ring_lane_disarm(((struct ring_rxq *)rxq)->lane);
}

static const char *const options[] = {"loop", NULL};

const struct net_driver net_ring = {
	.name = "ring",
	.scheme = QUOLL_ADDR_RING,
	.port_bytes = sizeof(struct ring_port),
	.memory = QUOLL_PORT_MEMORY_ANY,
	.options = options,
	.open = ring_open,
	.close = ring_close,
	.start = ring_start,
	.stop = ring_stop,
	.arm = ring_arm,
	.disarm = ring_disarm,
};
