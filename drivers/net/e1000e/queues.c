/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * queues.c - start and stop: rings made, given to the device, taken back. The datasheet's receive and transmit
 * initialization.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "e1000e.h"

#define LPE_MTU 1500u
/* Without LPE the device drops what is longer, so a buffer may be shorter than BSIZE says. */
#define SHORT_FRAME_BYTES 1522u
#define TX_DRAIN_MS 20u

static uint64_t ring_bytes(uint32_t size)
{
	return (uint64_t)size * sizeof(struct e1000e_rx_desc);
}

static int ring_alloc(struct e1000e_port *e, uint32_t size, void **ring, struct quoll_error *err)
{
	return quoll_arena_alloc(e->arena, ring_bytes(size), 4096, ring, err);
}

static int no_memory(struct e1000e_port *e, struct quoll_error *err)
{
	return quoll_error_set(err, ENOMEM, "start", e->port.name, "out of memory");
}

/* How long a part of a frame may be that goes into one buffer. */
static uint32_t buffer_room(const struct e1000e_port *e)
{
	uint32_t least = UINT32_MAX;

	for (unsigned int i = 0; i < e->port.queues.nr_rxqs; i++) {
		const struct quoll_buf_cache *cache = e->port.queues.rx_caches[i];
		uint32_t room = quoll_pool_buf_bytes(cache->pool) - cache->headroom_bytes;

		if (room < least)
			least = room;
	}
	return least;
}

/*
 * The RCTL bits for buffers of @room bytes: the largest size that fits. BSIZE 2048 to 256 falls with its value, BSEX
 * makes 16384 of 1; FLXBUF is for the other KiB. Return: the bits, and in @limit what the device may store; 0 limit if
 * there is no size that small.
 */
static uint32_t buffer_size(uint32_t room, uint32_t mtu, uint32_t *limit)
{
	if (room >= 16384) {
		*limit = 16384;
		return E1000E_RCTL_BSEX | 1u << E1000E_RCTL_BSIZE_SHIFT;
	}
	if (room >= 2048) {
		*limit = room & ~1023u;
		return *limit == 2048 ? 0 : *limit / 1024 << E1000E_RCTL_FLXBUF_SHIFT;
	}
	if (room >= SHORT_FRAME_BYTES && mtu <= LPE_MTU) {
		*limit = room;
		return 0;
	}
	for (uint32_t code = 1; code <= E1000E_RCTL_BSIZE_MASK; code++) {
		*limit = 2048u >> code;
		if (room >= *limit)
			return code << E1000E_RCTL_BSIZE_SHIFT;
	}
	*limit = 0;
	return 0;
}

static int choose_buffer_size(struct e1000e_port *e, uint32_t *rctl, uint32_t *limit, struct quoll_error *err)
{
	const struct quoll_port_settings *s = &e->port.settings;
	uint32_t room = buffer_room(e), frame = s->mtu + NET_FRAME_OVERHEAD_BYTES;
	int rc;

	*rctl = buffer_size(room, s->mtu, limit);
	if (!*limit)
		return quoll_error_set(err, EINVAL, "start", e->port.name,
				       "buffers have room for %u bytes, the device writes 256 at least", room);
	if (*limit >= frame || s->offloads & QUOLL_OFFLOAD_RX_SCATTER)
		return 0;
	rc = quoll_error_set(
		err, EINVAL, "start", e->port.name,
		"buffers have room for %u bytes, of which the device uses %u, and a frame of mtu %u takes %u", room,
		*limit, s->mtu, frame);
	quoll_error_hint(err, "buffers with room for %u bytes, a smaller mtu, or the offload rx-scatter",
			 (frame + 1023) / 1024 * 1024);
	return rc;
}

static int rxq_create(struct e1000e_port *e, unsigned int i, uint32_t limit, struct quoll_error *err)
{
	const struct quoll_port_settings *s = &e->port.settings;
	struct e1000e_rxq *rxq = net_alloc(sizeof(*rxq));
	uint32_t size = e->port.queues.entries;
	void *ring;
	int rc;

	if (!rxq)
		return no_memory(e, err);
	rxq->size = size;
	rxq->limit_bytes = limit;
	rxq->max_frame_bytes = s->mtu + NET_FRAME_OVERHEAD_BYTES;
	rxq->batch = size > 128 ? 64 : 32;
	rxq->want = (uint32_t)(E1000E_RX_DD | E1000E_RX_EOP);
	rxq->span_bytes = (limit < rxq->max_frame_bytes ? limit : rxq->max_frame_bytes) - NET_MIN_FRAME_BYTES;
	rxq->scatter = s->offloads & QUOLL_OFFLOAD_RX_SCATTER;
	rxq->hash = s->rss.types;
	rxq->offloads = rxq->hash || s->offloads & (QUOLL_OFFLOAD_RX_CSUM | QUOLL_OFFLOAD_VLAN_STRIP);
	rxq->q.burst = rxq->offloads ? e1000e_rx_burst_offloads : e1000e_rx_burst;
	e1000e_rx_flags_init(rxq, s->offloads);
	net_rxq_init(&e->port, &rxq->q, i);
	rxq->headroom_bytes = rxq->q.cache->headroom_bytes;
	rxq->tail_reg = e->regs + e1000e_queue_reg(E1000E_RDT, i);
	rxq->bufs = calloc(size, sizeof(struct quoll_buf *));
	if (!rxq->bufs)
		return no_memory(e, err);
	rc = ring_alloc(e, size, &ring, err);
	if (rc)
		return rc;
	rxq->ring = ring;
	return e1000e_rxq_wake_open(e, i, err);
}

static int txq_create(struct e1000e_port *e, unsigned int i, struct quoll_error *err)
{
	const struct quoll_port_settings *s = &e->port.settings;
	struct e1000e_txq *txq = net_alloc(sizeof(*txq));
	uint32_t size = e->port.queues.entries;
	void *ring;
	int rc;

	if (!txq)
		return no_memory(e, err);
	txq->size = size;
	txq->span_bytes = s->mtu + NET_FRAME_OVERHEAD_BYTES - NET_MIN_FRAME_BYTES;
	txq->context = E1000E_NO_CONTEXT;
	if (s->offloads & QUOLL_OFFLOAD_TX_IP_CSUM)
		txq->allowed_flags |= QUOLL_BUF_TX_IP_CSUM;
	if (s->offloads & QUOLL_OFFLOAD_TX_L4_CSUM)
		txq->allowed_flags |= QUOLL_BUF_TX_TCP_CSUM | QUOLL_BUF_TX_UDP_CSUM;
	if (s->offloads & QUOLL_OFFLOAD_VLAN_INSERT)
		txq->allowed_flags |= QUOLL_BUF_TX_VLAN;
	txq->q.burst = e1000e_tx_burst;
	net_txq_init(&e->port, &txq->q, i);
	txq->tail_reg = e->regs + e1000e_queue_reg(E1000E_TDT, i);
	txq->bufs = calloc(size, sizeof(struct quoll_buf *));
	txq->marks = calloc(size / E1000E_TX_MARK_DISTANCE, sizeof(*txq->marks));
	if (!txq->bufs || !txq->marks)
		return no_memory(e, err);
	rc = ring_alloc(e, size, &ring, err);
	if (!rc)
		txq->ring = ring;
	return rc;
}

static void write_ring(struct e1000e_port *e, enum e1000e_reg base, unsigned int i, const void *ring, uint32_t size)
{
	quoll_iova_t iova = quoll_heap_iova(net_heap(&e->port), ring, ring_bytes(size));

	/* The registers of either kind of ring have the same distances. */
	e1000e_write(e, e1000e_queue_reg(base, i), (uint32_t)iova);
	e1000e_write(e, e1000e_queue_reg(base + E1000E_RDBAH - E1000E_RDBAL, i), (uint32_t)(iova >> 32));
	e1000e_write(e, e1000e_queue_reg(base + E1000E_RDLEN - E1000E_RDBAL, i), (uint32_t)ring_bytes(size));
	e1000e_write(e, e1000e_queue_reg(base + E1000E_RDH - E1000E_RDBAL, i), 0);
	e1000e_write(e, e1000e_queue_reg(base + E1000E_RDT - E1000E_RDBAL, i), 0);
}

/* A ring of length 0 is none. */
static void write_no_ring(struct e1000e_port *e, enum e1000e_reg base, unsigned int i)
{
	e1000e_write(e, e1000e_queue_reg(base + E1000E_RDLEN - E1000E_RDBAL, i), 0);
	e1000e_write(e, e1000e_queue_reg(base + E1000E_RDH - E1000E_RDBAL, i), 0);
	e1000e_write(e, e1000e_queue_reg(base + E1000E_RDT - E1000E_RDBAL, i), 0);
}

void e1000e_rss_table_set(struct e1000e_port *e, const struct quoll_rss *rss)
{
	for (unsigned int i = 0; i < E1000E_RSS_ENTRIES; i += 4) {
		uint32_t reg = 0;

		for (unsigned int j = 0; j < 4; j++)
			reg |= (rss->table[i + j] ? E1000E_RETA_QUEUE_1 : 0) << j * 8;
		e1000e_write(e, E1000E_RETA + i, reg);
	}
}

static void rss_setup(struct e1000e_port *e)
{
	const struct quoll_rss *rss = &e->port.settings.rss;
	uint32_t mrqc = E1000E_MRQC_RSS_2Q;

	if (!rss->types) {
		e1000e_write(e, E1000E_MRQC, 0);
		return;
	}
	for (unsigned int i = 0; i < sizeof(rss->key); i += 4)
		e1000e_write(e, E1000E_RSSRK + i,
			     rss->key[i] | (uint32_t)rss->key[i + 1] << 8 | (uint32_t)rss->key[i + 2] << 16 |
				     (uint32_t)rss->key[i + 3] << 24);
	e1000e_rss_table_set(e, rss);
	mrqc |= rss->types & QUOLL_RSS_IPV4 ? E1000E_MRQC_IPV4 : 0;
	mrqc |= rss->types & QUOLL_RSS_TCP4 ? E1000E_MRQC_TCPIPV4 : 0;
	mrqc |= rss->types & QUOLL_RSS_IPV6 ? E1000E_MRQC_IPV6 : 0;
	mrqc |= rss->types & QUOLL_RSS_TCP6 ? E1000E_MRQC_TCPIPV6 : 0;
	e1000e_write(e, E1000E_MRQC, mrqc);
}

static int fill_rings(struct e1000e_port *e, struct quoll_error *err)
{
	for (unsigned int i = 0; i < e->port.queues.nr_rxqs; i++) {
		struct e1000e_rxq *rxq = (struct e1000e_rxq *)e->port.rxqs[i];
		uint32_t wanted = rxq->size - rxq->batch;
		int rc;

		while (rxq->nr_posted < wanted && e1000e_rx_fill(rxq))
			;
		if (rxq->nr_posted >= wanted)
			continue;
		rc = quoll_error_set(err, ENOBUFS, "start", e->port.name,
				     "receive queue %u: the pool gave %u buffers, and the ring takes %u", i,
				     rxq->nr_posted, wanted);
		quoll_error_hint(err, "a larger pool, or fewer entries");
		return rc;
	}
	return 0;
}

static void rx_setup(struct e1000e_port *e)
{
	uint32_t offloads = e->port.settings.offloads, rxcsum = 0;

	e1000e_write(e, E1000E_RFCTL,
		     E1000E_RFCTL_EXSTEN | E1000E_RFCTL_ACK_DIS | E1000E_RFCTL_NFSW_DIS | E1000E_RFCTL_NFSR_DIS);
	if (offloads & QUOLL_OFFLOAD_RX_IP_CSUM)
		rxcsum |= E1000E_RXCSUM_IPOFLD;
	if (offloads & QUOLL_OFFLOAD_RX_L4_CSUM)
		rxcsum |= E1000E_RXCSUM_TUOFLD;
	/* Descriptors have room for the packet checksum or the hash, and only the latter is of use. */
	if (e->port.settings.rss.types)
		rxcsum |= E1000E_RXCSUM_PCSD;
	e1000e_write(e, E1000E_RXCSUM, rxcsum);
	for (unsigned int i = 0; i < E1000E_MAX_QUEUES; i++) {
		const struct e1000e_rxq *rxq = (const struct e1000e_rxq *)e->port.rxqs[i];

		if (!rxq) {
			write_no_ring(e, E1000E_RDBAL, i);
			continue;
		}
		write_ring(e, E1000E_RDBAL, i, rxq->ring, rxq->size);
		e1000e_write(e, e1000e_queue_reg(E1000E_RXDCTL, i),
			     E1000E_DCTL_GRAN | 32u << E1000E_DCTL_PTHRESH_SHIFT | 4u << E1000E_DCTL_HTHRESH_SHIFT |
				     1u << E1000E_DCTL_WTHRESH_SHIFT);
	}
	rss_setup(e);
}

static void tx_setup(struct e1000e_port *e)
{
	for (unsigned int i = 0; i < E1000E_MAX_QUEUES; i++) {
		const struct e1000e_txq *txq = (const struct e1000e_txq *)e->port.txqs[i];

		if (!txq) {
			write_no_ring(e, E1000E_TDBAL, i);
			continue;
		}
		write_ring(e, E1000E_TDBAL, i, txq->ring, txq->size);
		e1000e_write(e, e1000e_queue_reg(E1000E_TXDCTL, i),
			     E1000E_DCTL_GRAN | E1000E_TXDCTL_BIT22 | 31u << E1000E_DCTL_PTHRESH_SHIFT |
				     1u << E1000E_DCTL_HTHRESH_SHIFT | 1u << E1000E_DCTL_WTHRESH_SHIFT);
		e1000e_write(e, e1000e_queue_reg(E1000E_TARC, i),
			     E1000E_TARC_COUNT_1 | E1000E_TARC_ENABLE | (i ? 0 : E1000E_TARC_BIT26));
	}
}

/* Transmitter first: what is received may be sent at once. */
static void switch_on(struct e1000e_port *e, uint32_t rctl)
{
	uint32_t ctrl = e1000e_read(e, E1000E_CTRL) & ~(E1000E_CTRL_GIO_MASTER_DISABLE | E1000E_CTRL_VME);

	if (e->port.settings.offloads & QUOLL_OFFLOAD_VLAN_STRIP)
		ctrl |= E1000E_CTRL_VME;
	e1000e_write(e, E1000E_CTRL, ctrl);
	if (e->port.queues.nr_txqs)
		e1000e_write(e, E1000E_TCTL,
			     E1000E_TCTL_EN | E1000E_TCTL_PSP | 15u << E1000E_TCTL_CT_SHIFT |
				     63u << E1000E_TCTL_COLD_SHIFT | E1000E_TCTL_RTLC);
	e->rctl = rctl | e1000e_filter_set(e, &e->port.settings) | E1000E_RCTL_SECRC;
	if (e->port.settings.mtu > LPE_MTU)
		e->rctl |= E1000E_RCTL_LPE;
	if (e->port.queues.nr_rxqs)
		e->rctl |= E1000E_RCTL_EN;
	e1000e_write(e, E1000E_RCTL, e->rctl);
}

static int check_start(struct e1000e_port *e, struct quoll_error *err)
{
	uint32_t offloads = e->port.settings.offloads;
	int rc;

	if ((offloads & (QUOLL_OFFLOAD_VLAN_STRIP | QUOLL_OFFLOAD_VLAN_INSERT)) == QUOLL_OFFLOAD_VLAN_INSERT) {
		rc = quoll_error_set(err, EINVAL, "start", e->port.name,
				     "vlan-insert without vlan-strip: the device has one switch for both");
		quoll_error_hint(err, "ask for both");
		return rc;
	}
	if (!e->is_down)
		return 0;
	rc = e1000e_reset(e, err);
	if (!rc)
		rc = e1000e_init(e, err);
	if (!rc)
		e->is_down = false;
	return rc;
}

int e1000e_start(struct quoll_port *port, struct quoll_error *err)
{
	struct e1000e_port *e = e1000e_port(port);
	uint32_t rctl = 0, limit = 0;
	int rc;

	port->queues.entries = quoll_round_up_pow2(port->queues.entries);
	rc = check_start(e, err);
	if (!rc && port->queues.nr_rxqs)
		rc = choose_buffer_size(e, &rctl, &limit, err);
	for (unsigned int i = 0; !rc && i < port->queues.nr_rxqs; i++)
		rc = rxq_create(e, i, limit, err);
	for (unsigned int i = 0; !rc && i < port->queues.nr_txqs; i++)
		rc = txq_create(e, i, err);
	if (rc)
		return rc;
	if (e1000e_read(e, E1000E_STATUS) == UINT32_MAX)
		return e1000e_gone(e, "start", err);
	rx_setup(e);
	tx_setup(e);
	/* Before the receiver is on, as the tail would otherwise say that there are none. */
	rc = fill_rings(e, err);
	if (!rc)
		switch_on(e, rctl);
	return rc;
}

/* Let go out what was handed over, for a moment: head and tail meet. */
static void tx_flush(struct e1000e_port *e, unsigned int i)
{
	const struct e1000e_txq *txq = (const struct e1000e_txq *)e->port.txqs[i];
	struct quoll_port_link link;

	quoll_port_link(&e->port, &link);
	if (txq && txq->ring && link.up)
		(void)e1000e_wait(e, (enum e1000e_reg)e1000e_queue_reg(E1000E_TDH, i), UINT32_MAX,
				  txq->tail & (txq->size - 1), TX_DRAIN_MS);
}

static int silence(struct e1000e_port *e)
{
	int rc = net_port_dead(&e->port);

	/* DMA is off already, and no register may be touched. */
	if (rc)
		return rc;
	for (unsigned int i = 0; i < E1000E_MAX_QUEUES; i++)
		tx_flush(e, i);
	rc = e1000e_quiesce(e);
	if (!rc)
		return 0;
	e->is_down = true;
	return quoll_pci_bus_master(e->port.dev, false) && rc != -ENODEV ? -EIO : rc;
}

static void rxq_free(struct e1000e_port *e, struct e1000e_rxq *rxq)
{
	int wake_fd = e->port.rx_fds[rxq->q.id];

	e1000e_rx_drain(rxq);
	if (wake_fd >= 0)
		close(wake_fd);
	if (rxq->ring)
		(void)quoll_arena_free(e->arena, rxq->ring, ring_bytes(rxq->size));
	free(rxq->bufs);
	free(rxq);
}

static void txq_free(struct e1000e_port *e, struct e1000e_txq *txq)
{
	e1000e_tx_drain(txq);
	if (txq->ring)
		(void)quoll_arena_free(e->arena, txq->ring, ring_bytes(txq->size));
	free(txq->bufs);
	free(txq->marks);
	free(txq);
}

int e1000e_stop(struct quoll_port *port)
{
	struct e1000e_port *e = e1000e_port(port);
	int rc = silence(e);

	for (unsigned int i = 0; i < E1000E_MAX_QUEUES; i++) {
		if (port->rxqs[i])
			rxq_free(e, (struct e1000e_rxq *)port->rxqs[i]);
		if (port->txqs[i])
			txq_free(e, (struct e1000e_txq *)port->txqs[i]);
	}
	return rc;
}
