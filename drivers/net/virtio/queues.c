/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * queues.c - start and stop: rings and queues made, given to the device, taken back; and taking queues away from their
 * threads while they run, for a device that comes back.
 */
#include <errno.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "virtio.h"

#define MAX_BATCH 64u
#define RECLAIM_AT 64u

static int no_memory(struct virtio_port *v, struct quoll_error *err)
{
	return quoll_error_set(err, ENOMEM, "start", v->port.name, "out of memory");
}

/* Room for a frame and its header in each buffer of this queue's pool. */
static int check_buffers(struct virtio_port *v, const struct quoll_buf_cache *cache, uint32_t *room,
			 struct quoll_error *err)
{
	uint32_t headroom = cache->headroom_bytes, frame = v->port.settings.mtu + NET_FRAME_OVERHEAD_BYTES;
	int rc;

	if (headroom < VIRTIO_HDR_BYTES || headroom & 3) {
		rc = quoll_error_set(err, EINVAL, "start", v->port.name,
				     "buffers have a headroom of %u bytes, and the header before each frame takes %u",
				     headroom, VIRTIO_HDR_BYTES);
		quoll_error_hint(err, "a headroom of %u bytes or more, a multiple of 4", VIRTIO_HDR_BYTES);
		return rc;
	}
	*room = quoll_pool_buf_bytes(cache->pool) - headroom;
	if (*room >= frame || virtio_has(v, VIRTIO_NET_F_MRG_RXBUF))
		return 0;
	rc = quoll_error_set(err, EINVAL, "start", v->port.name,
			     "buffers have room for %u bytes, and a frame of mtu %u takes %u", *room,
			     v->port.settings.mtu, frame);
	quoll_error_hint(err, "larger buffers, a smaller mtu, or the offload rx-scatter");
	return rc;
}

static int rxq_create(struct virtio_port *v, unsigned int i, struct quoll_error *err)
{
	struct virtio_rxq *rxq = net_alloc(sizeof(*rxq));
	struct virtio_ring *ring = &v->rings[2 * i];
	uint32_t room = 0;
	int rc;

	if (!rxq)
		return no_memory(v, err);
	rxq->ring = ring;
	rxq->desc = ring->desc;
	rxq->device = ring->device;
	rxq->size = ring->size;
	rxq->batch = (uint16_t)(ring->size / 4 < MAX_BATCH ? ring->size / 4 : MAX_BATCH);
	rxq->mergeable = virtio_has(v, VIRTIO_NET_F_MRG_RXBUF);
	rxq->csum = virtio_has(v, VIRTIO_NET_F_GUEST_CSUM);
	rxq->gso = virtio_has(v, VIRTIO_NET_F_GUEST_TSO4 | VIRTIO_NET_F_GUEST_TSO6);
	rxq->max_bytes = v->port.settings.mtu + NET_FRAME_OVERHEAD_BYTES;
	rxq->call_fd = -1;
	net_rxq_init(&v->port, &rxq->q, i);
	virtio_rx_choose_burst(rxq);
	rc = check_buffers(v, rxq->q.cache, &room, err);
	if (rc)
		return rc;
	rxq->headroom_bytes = rxq->q.cache->headroom_bytes;
	rxq->room_bytes = room + VIRTIO_HDR_BYTES;
	rxq->span_bytes = (room < rxq->max_bytes ? room : rxq->max_bytes) - NET_MIN_FRAME_BYTES;
	rxq->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (rxq->call_fd < 0)
		return quoll_error_set(err, errno, "start", v->port.name, "no eventfd");
	rxq->bufs = calloc(rxq->size, sizeof(struct quoll_buf *));
	rxq->spare = calloc(rxq->size, sizeof(struct quoll_buf *));
	return rxq->bufs && rxq->spare ? 0 : no_memory(v, err);
}

static uint32_t flags_allowed(const struct virtio_port *v)
{
	uint32_t offloads = v->port.settings.offloads, flags = 0;

	if (offloads & QUOLL_OFFLOAD_TX_L4_CSUM)
		flags |= QUOLL_BUF_TX_TCP_CSUM | QUOLL_BUF_TX_UDP_CSUM;
	if (offloads & QUOLL_OFFLOAD_TX_TSO)
		flags |= QUOLL_BUF_TX_TSO | QUOLL_BUF_TX_TCP_CSUM;
	if (offloads & QUOLL_OFFLOAD_TX_TSO4)
		flags |= QUOLL_BUF_TX_IP_CSUM;
	return flags;
}

static int txq_create(struct virtio_port *v, unsigned int i, struct quoll_error *err)
{
	struct virtio_txq *txq = net_alloc(sizeof(*txq));
	struct virtio_ring *ring = &v->rings[2 * i + 1];
	uint32_t offloads = v->port.settings.offloads;

	if (!txq)
		return no_memory(v, err);
	txq->ring = ring;
	txq->desc = ring->desc;
	txq->driver = ring->driver;
	txq->device = ring->device;
	txq->size = ring->size;
	txq->span_bytes = v->port.settings.mtu + NET_FRAME_OVERHEAD_BYTES - NET_MIN_FRAME_BYTES;
	txq->hdrs_iova = quoll_heap_iova(net_heap(&v->port), ring->hdrs, 1);
	txq->allowed_flags = flags_allowed(v);
	txq->gso_types = (offloads & QUOLL_OFFLOAD_TX_TSO4 ? 1u << VIRTIO_NET_GSO_TCPV4 : 0) |
			 (offloads & QUOLL_OFFLOAD_TX_TSO6 ? 1u << VIRTIO_NET_GSO_TCPV6 : 0);
	txq->reclaim_at = (uint16_t)(ring->size / 2 < RECLAIM_AT ? ring->size / 2 : RECLAIM_AT);
	virtio_tx_choose_burst(txq);
	net_txq_init(&v->port, &txq->q, i);
	txq->bufs = calloc(txq->size, sizeof(struct quoll_buf *));
	txq->orphans = calloc(txq->size, sizeof(struct quoll_buf *));
	txq->counts = calloc(txq->size, sizeof(*txq->counts));
	return txq->bufs && txq->orphans && txq->counts ? 0 : no_memory(v, err);
}

static int fill_rings(struct virtio_port *v, struct quoll_error *err)
{
	for (unsigned int i = 0; i < v->port.queues.nr_rxqs; i++) {
		struct virtio_rxq *rxq = (struct virtio_rxq *)v->port.rxqs[i];
		int rc;

		while (rxq->tail < rxq->size && virtio_rx_fill(rxq))
			;
		if (rxq->tail == rxq->size)
			continue;
		rc = quoll_error_set(err, ENOBUFS, "start", v->port.name,
				     "receive queue %u: the pool gave %u buffers, and the ring takes %u", i, rxq->tail,
				     rxq->size);
		quoll_error_hint(err, "a larger pool, or fewer entries");
		return rc;
	}
	return 0;
}

static int make_rings(struct virtio_port *v, struct quoll_error *err)
{
	unsigned int entries = quoll_round_up_pow2(v->port.queues.entries);
	int rc = 0;

	/* Where only less is possible, a power of two. */
	while (entries > v->max_ring_entries)
		entries /= 2;
	v->port.queues.entries = entries;
	v->nr_pairs = v->port.queues.nr_rxqs > v->port.queues.nr_txqs ? v->port.queues.nr_rxqs : v->port.queues.nr_txqs;
	v->nr_rings = 2 * v->nr_pairs;
	if (v->transport->by_piece)
		rc = virtio_rings_reserve(v, v->nr_rings, entries, err);
	for (unsigned int i = 0; !rc && i < v->nr_rings; i++) {
		rc = virtio_ring_make(v, &v->rings[i], entries, i & 1, err);
		v->rings[i].idx = (uint16_t)i;
	}
	return rc;
}

int virtio_start(struct quoll_port *port, struct quoll_error *err)
{
	struct virtio_port *v = virtio_port(port);
	int rc = v->transport->begin(v, err);

	if (!rc) {
		v->features = virtio_wanted_features(v);
		rc = virtio_check_features(v, err);
	}
	if (!rc)
		rc = make_rings(v, err);
	for (unsigned int i = 0; !rc && i < port->queues.nr_rxqs; i++)
		rc = rxq_create(v, i, err);
	for (unsigned int i = 0; !rc && i < port->queues.nr_txqs; i++)
		rc = txq_create(v, i, err);
	if (!rc)
		rc = fill_rings(v, err);
	if (!rc)
		rc = v->transport->go(v, err);
	return rc;
}

static void rxq_free(struct virtio_rxq *rxq)
{
	if (rxq->bufs)
		virtio_rx_drain(rxq);
	if (rxq->call_fd >= 0)
		close(rxq->call_fd);
	free(rxq->bufs);
	free(rxq->spare);
	free(rxq);
}

static void txq_free(struct virtio_txq *txq)
{
	if (txq->bufs && txq->orphans)
		virtio_tx_drain(txq);
	free(txq->bufs);
	free(txq->orphans);
	free(txq->counts);
	free(txq);
}

int virtio_stop(struct quoll_port *port)
{
	struct virtio_port *v = virtio_port(port);
	int rc = v->transport->halt(v);

	for (unsigned int i = 0; i < QUOLL_PORT_MAX_QUEUES; i++) {
		if (port->rxqs[i] && port->rx_fds[i] >= 0)
			close(port->rx_fds[i]);
		if (port->rxqs[i])
			rxq_free((struct virtio_rxq *)port->rxqs[i]);
		if (port->txqs[i])
			txq_free((struct virtio_txq *)port->txqs[i]);
	}
	for (unsigned int i = 0; i < VIRTIO_MAX_RINGS; i++)
		virtio_ring_free(v, &v->rings[i]);
	v->nr_rings = v->nr_pairs = 0;
	return rc;
}

/* Taking queues away. */

bool virtio_can_hold(void)
{
	/* Linux 4.14; refused in some containers. Registering again is allowed and changes nothing. */
	return !syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
}

static struct virtio_turn *turn_of(const struct virtio_port *v, unsigned int i)
{
	const struct quoll_port *port = &v->port;

	if (i & 1)
		return port->txqs[i / 2] ? &((struct virtio_txq *)port->txqs[i / 2])->turn : NULL;
	return port->rxqs[i / 2] ? &((struct virtio_rxq *)port->rxqs[i / 2])->turn : NULL;
}

int virtio_hold(struct virtio_port *v)
{
	for (unsigned int i = 0; i < 2 * v->nr_pairs; i++) {
		struct virtio_turn *turn = turn_of(v, i);

		if (turn)
			__atomic_store_n(&turn->held, 1, __ATOMIC_RELAXED);
	}
	/*
	 * A queue's thread stores busy, then loads held; we store held, then load busy: one of the two sees the other,
	 * if neither CPU moves its load before its store. This makes it so for both.
	 */
	return syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) ? -errno : 0;
}

bool virtio_is_still(const struct virtio_port *v)
{
	for (unsigned int i = 0; i < 2 * v->nr_pairs; i++) {
		const struct virtio_turn *turn = turn_of(v, i);

		/* Pairs with the release in virtio_leave(). */
		if (turn && __atomic_load_n(&turn->busy, __ATOMIC_ACQUIRE))
			return false;
	}
	return true;
}

void virtio_begin_anew(struct virtio_port *v)
{
	for (unsigned int i = 0; i < v->nr_rings; i++)
		virtio_ring_clear(&v->rings[i]);
	for (unsigned int i = 0; i < v->nr_pairs; i++) {
		if (v->port.rxqs[i])
			virtio_rx_repost((struct virtio_rxq *)v->port.rxqs[i]);
		if (v->port.txqs[i])
			virtio_tx_orphan((struct virtio_txq *)v->port.txqs[i]);
	}
}

void virtio_let_go(struct virtio_port *v)
{
	for (unsigned int i = 0; i < 2 * v->nr_pairs; i++) {
		struct virtio_turn *turn = turn_of(v, i);

		/* Pairs with the acquire in virtio_enter(): the thread finds its queue as it was left. */
		if (turn)
			__atomic_store_n(&turn->held, 0, __ATOMIC_RELEASE);
	}
}

bool virtio_is_broken(const struct virtio_port *v)
{
	for (unsigned int i = 0; i < v->nr_pairs; i++) {
		const struct virtio_rxq *rxq = (const struct virtio_rxq *)v->port.rxqs[i];
		const struct virtio_txq *txq = (const struct virtio_txq *)v->port.txqs[i];

		if (rxq && __atomic_load_n(&rxq->broken, __ATOMIC_RELAXED))
			return true;
		if (txq && __atomic_load_n(&txq->broken, __ATOMIC_RELAXED))
			return true;
	}
	return false;
}

void virtio_look(struct virtio_port *v)
{
	for (unsigned int i = 0; i < v->nr_rings; i++)
		virtio_ring_look(&v->rings[i]);
}
