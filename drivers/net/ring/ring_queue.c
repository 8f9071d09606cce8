/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ring_queue.c - frames into a lane and out of it.
 *
 * A frame's header is looked at once, by the sender, who has it in its CPU's cache: he checks it for both ends, makes
 * it a frame received by the other port, and notes the sum of all bytes so far beside its slot, where the receiver
 * finds what it has to count. The receiver touches no header, unless the sender says that some frames are not as it
 * wants them, or may have been sent for an earlier receiver; then it looks at each (lane->suspect).
 */
#include "ring_queue.h"

/* Receive. */

/* Those that are not wanted go back to their pool. Return: how many are left. */
static __attribute__((noinline)) unsigned int look_at_each(struct ring_rxq *q, struct quoll_buf **bufs, unsigned int n,
							   uint64_t *bytes)
{
	unsigned int good = 0;

	*bytes = 0;
	for (unsigned int i = 0; i < n; i++) {
		struct quoll_buf *buf = bufs[i];

		if (buf->total_bytes > q->max_bytes || buf->nr_links & q->bad_links) {
			quoll_buf_put_chain(q->rxq.cache, buf);
			continue;
		}
		buf->port = q->rxq.port_id;
		buf->flags = 0;
		*bytes += buf->total_bytes;
		bufs[good++] = buf;
	}
	quoll_count(&q->rxq.nr_bad, n - good);
	return good;
}

/* Frames up to @tail have been looked at: need those that follow be? */
static void note_looked(struct ring_rxq *q, uint32_t tail)
{
	/* Pairs with the release in learn(): who sees that the sender knows us also sees from which frame on. */
	uint32_t known = __atomic_load_n(&q->lane->known, __ATOMIC_ACQUIRE);
	uint64_t suspect = __atomic_load_n(&q->lane->suspect, __ATOMIC_RELAXED);

	if (known == q->id && (int32_t)((uint32_t)suspect - tail) <= 0)
		q->seen = suspect;
}

static unsigned int ring_rx(struct quoll_rxq *rxq, struct quoll_buf **bufs, unsigned int n)
{
	struct ring_rxq *q = (struct ring_rxq *)rxq;
	struct quoll_spsc *ring = q->ring;
	uint32_t tail = ring->cons.tail, filled, sum;
	uint64_t bytes;

	if (QUOLL_UNLIKELY(net_port_dead(rxq->port)))
		return 0;
	filled = quoll_spsc_filled_(ring, tail, n);
	if (n > filled)
		n = filled;
	if (n) {
		tail += n;
		sum = q->sums[(tail - 1) & ring->mask];
		quoll_spsc_take_(ring, tail - n, (void **)bufs, n);
		bytes = sum - q->sum;
		q->sum = sum;
		/* Relaxed: the acquire of the slots has it as it was when they were filled, or newer. */
		if (QUOLL_UNLIKELY(__atomic_load_n(&q->lane->suspect, __ATOMIC_RELAXED) != q->seen)) {
			n = look_at_each(q, bufs, n, &bytes);
			note_looked(q, tail);
		}
		quoll_count(&rxq->nr_packets, n);
		quoll_count(&rxq->nr_bytes, bytes);
	}
	net_rxq_polled(rxq, n);
	return n;
}

void ring_rxq_init(struct ring_rxq *q, struct ring_lane *lane)
{
	const struct quoll_port_settings *settings = &q->rxq.port->settings;

	q->lane = lane;
	q->ring = lane->ring;
	q->sums = lane->sums;
	q->seen = ~__atomic_load_n(&lane->suspect, __ATOMIC_RELAXED); /* look until the sender knows us */
	q->max_bytes = settings->mtu + NET_FRAME_OVERHEAD_BYTES;
	q->bad_links = settings->offloads & QUOLL_OFFLOAD_RX_SCATTER ? 0 : ~1u;
	q->id = ++lane->receiver;
	/* Relaxed: the lane is opened after that, with release order. A sender that has not seen it closed may mix
	 * these up with our predecessor's; it does not say that it knows us then. */
	__atomic_store_n(&lane->rx_max_bytes, q->max_bytes, __ATOMIC_RELAXED);
	__atomic_store_n(&lane->rx_bad_links, q->bad_links, __ATOMIC_RELAXED);
	__atomic_store_n(&lane->rx_port_id, q->rxq.port_id, __ATOMIC_RELAXED);
	q->rxq.burst = ring_rx;
}

/* Transmit. */

/* The receiver has to look at all frames before @head. */
static void suspect_before(struct ring_lane *lane, uint32_t head)
{
	uint64_t count = (lane->suspect >> 32) + 1;

	/* Relaxed: the release of the slots that follows tells the receiver. */
	__atomic_store_n(&lane->suspect, count << 32 | head, __ATOMIC_RELAXED);
}

static __attribute__((noinline)) void learn(struct ring_txq *q, uint32_t receiver)
{
	struct ring_lane *lane = q->lane;
	uint32_t max_bytes;

	q->rx_max_bytes = __atomic_load_n(&lane->rx_max_bytes, __ATOMIC_RELAXED);
	q->rx_bad_links = __atomic_load_n(&lane->rx_bad_links, __ATOMIC_RELAXED);
	q->rx_port_id = __atomic_load_n(&lane->rx_port_id, __ATOMIC_RELAXED);
	max_bytes = q->rx_max_bytes < q->rules.max_bytes ? q->rx_max_bytes : q->rules.max_bytes;
	q->max_excess = net_frame_excess(max_bytes);
	q->receiver = receiver;
	suspect_before(lane, q->ring->prod.head);
	/* Pairs with the acquire in note_looked(). */
	__atomic_store_n(&lane->known, receiver, __ATOMIC_RELEASE);
}

/**
 * struct looked - what frames are like together
 * @sum:    bytes up to the last of them, and before: up to the one before the first
 * @excess: of the longest
 */
struct looked {
	uint32_t sum;
	uint32_t excess;
	uint32_t flags;
	uint32_t links;
};

/* Without a branch a frame. Flags stay, as they may be why one cannot be sent. */
static inline void look(const struct ring_txq *q, struct quoll_buf *const *bufs, uint32_t *sums, uint32_t n,
			struct looked *looked)
{
	uint32_t sum = looked->sum, excess = looked->excess, flags = looked->flags, links = looked->links;
	uint16_t port_id = q->rx_port_id;

	for (uint32_t i = 0; i < n; i++) {
		struct quoll_buf *buf = bufs[i];
		uint32_t len = buf->total_bytes;

		sum += len;
		sums[i] = sum;
		excess = net_frame_excess(len) > excess ? net_frame_excess(len) : excess;
		flags |= buf->flags;
		links |= buf->nr_links;
		buf->port = port_id;
	}
	*looked = (struct looked){sum, excess, flags, links};
}

/* There is room for all of them, but some cannot be sent, or are not as the receiver wants them. */
static __attribute__((noinline)) void send_each(struct ring_txq *q, struct quoll_buf *const *bufs, uint32_t n)
{
	struct quoll_spsc *ring = q->ring;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t head = ring->prod.head, bytes = bufs[i]->total_bytes;

		if (net_tx_bad(&q->rules, bufs[i])) {
			quoll_buf_put_chain(q->txq.cache, bufs[i]);
			quoll_count(&q->txq.nr_bad, 1);
			continue;
		}
		if (bytes > q->rx_max_bytes || bufs[i]->nr_links & q->rx_bad_links)
			suspect_before(q->lane, head + 1);
		bufs[i]->port = q->rx_port_id;
		bufs[i]->flags = 0;
		q->sums[head & ring->mask] = q->sums[(head - 1) & ring->mask] + bytes;
		quoll_spsc_put_(ring, head, (void *const *)&bufs[i], 1);
		quoll_count(&q->txq.nr_packets, 1);
		quoll_count(&q->txq.nr_bytes, bytes);
	}
}

/* There is room for all of them. */
static inline void send(struct ring_txq *q, struct quoll_buf *const *bufs, uint32_t head, uint32_t n)
{
	struct quoll_spsc *ring = q->ring;
	uint32_t i = head & ring->mask, to_end = ring->mask + 1 - i;
	uint32_t before = q->sums[(head - 1) & ring->mask];
	struct looked looked = {.sum = before};

	look(q, bufs, q->sums + i, n < to_end ? n : to_end, &looked);
	if (QUOLL_UNLIKELY(n > to_end))
		look(q, bufs + to_end, q->sums, n - to_end, &looked);
	if (QUOLL_UNLIKELY(looked.excess > q->max_excess || looked.flags & q->rules.forbidden ||
			   looked.links & q->rx_bad_links)) {
		send_each(q, bufs, n);
		return;
	}
	/* What a device said of them. */
	for (i = 0; looked.flags && i < n; i++)
		bufs[i]->flags = 0;
	quoll_spsc_put_(ring, head, (void *const *)bufs, n);
	quoll_count(&q->txq.nr_packets, n);
	quoll_count(&q->txq.nr_bytes, looked.sum - before);
}

static unsigned int ring_tx(struct quoll_txq *txq, struct quoll_buf *const *bufs, unsigned int n)
{
	struct ring_txq *q = (struct ring_txq *)txq;
	/* Pairs with the release in update(): what the receiver wants. That it is still there is a hint: frames
	 * that slip in while it stops are found by whoever stops last, or by the next receiver. */
	uint32_t receiver = __atomic_load_n(&q->lane->open, __ATOMIC_ACQUIRE);
	uint32_t head = q->ring->prod.head, room;

	if (QUOLL_UNLIKELY(!receiver || net_port_dead(txq->port)))
		return 0;
	if (QUOLL_UNLIKELY(receiver != q->receiver))
		learn(q, receiver);
	/* Before anything is written to them: frames that are not taken stay as they are. */
	room = quoll_spsc_room_(q->ring, head, n);
	if (QUOLL_UNLIKELY(n > room))
		n = room;
	if (n) {
		send(q, bufs, head, n);
		ring_lane_filled(q->lane);
	}
	return n;
}

void ring_txq_init(struct ring_txq *q, struct ring_lane *lane)
{
	q->lane = lane;
	q->ring = lane->ring;
	q->sums = lane->sums;
	net_tx_rules_init(&q->rules, q->txq.port);
	q->txq.burst = ring_tx;
}
