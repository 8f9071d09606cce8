/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rx.c - receive: descriptors that are done become buffers, and batches of fresh ones are posted in their place.
 *
 * The second half of a descriptor holds all that matters in one word of eight bytes, which is read once: done bit,
 * end of packet, errors, length, tag. A frame in one buffer without errors takes the short way; everything else is odd.
 * The ring is the device's to write, so nothing is ever read from it but that: which buffer is behind a descriptor
 * stands in an array of our own, and how many are with the device is counted here.
 */
#include "e1000e.h"

/* Of a frame that needs no care DD and EOP are set, and no error. */
#define STATUS_CARE ((uint32_t)(E1000E_RX_DD | E1000E_RX_EOP | E1000E_RX_FRAME_ERRORS))

/* Checksum and tag bits of the status, close together: an index of struct e1000e_rxq.flags. */
static inline unsigned int flags_idx(uint64_t second)
{
	return (unsigned int)((second >> 2 & 0x1f) | (second >> 24 & 0x60));
}

void e1000e_rx_flags_init(struct e1000e_rxq *rxq, uint32_t offloads)
{
	for (unsigned int i = 0; i < sizeof(rxq->flags); i++) {
		uint64_t second = (uint64_t)(i & 0x1f) << 2 | (uint64_t)(i & 0x60) << 24;
		uint32_t flags = 0;

		if (offloads & QUOLL_OFFLOAD_VLAN_STRIP && second & E1000E_RX_VP)
			flags |= QUOLL_BUF_RX_VLAN;
		if (!(second & E1000E_RX_IXSM)) {
			if (offloads & QUOLL_OFFLOAD_RX_IP_CSUM && second & E1000E_RX_IPCS)
				flags |= second & E1000E_RX_IPE ? QUOLL_BUF_RX_IP_BAD : QUOLL_BUF_RX_IP_GOOD;
			if (offloads & QUOLL_OFFLOAD_RX_L4_CSUM && second & (E1000E_RX_TCPCS | E1000E_RX_UDPCS))
				flags |= second & E1000E_RX_TCPE ? QUOLL_BUF_RX_L4_BAD : QUOLL_BUF_RX_L4_GOOD;
		}
		rxq->flags[i] = (uint8_t)flags;
	}
}

static inline uint64_t second_half(const struct e1000e_rx_desc *desc)
{
	return quoll_le64_to_cpu(*(const volatile quoll_le64 *)&desc->second);
}

static inline void set_bytes(struct quoll_buf *buf, uint32_t len)
{
	buf->data_bytes = len;
	/* Two stores; gcc would make a vector of the two equal values first, for three instructions more. */
	__asm__("" : "+m"(buf->data_bytes));
	buf->total_bytes = len;
}

/* What came with the frame, into its first link. */
static inline void set_metadata(const struct e1000e_rxq *rxq, struct quoll_buf *buf, const struct e1000e_rx_desc *desc,
				uint64_t second)
{
	uint32_t flags = rxq->flags[flags_idx(second)];

	buf->vlan_tci = (uint16_t)(second >> E1000E_RX_VLAN_SHIFT);
	if (rxq->hash) {
		uint64_t first;

		quoll_dma_rmb(); /* the hash is not older than the done bit */
		first = quoll_le64_to_cpu(*(const volatile quoll_le64 *)&desc->first);
		if (first & E1000E_RX_MRQ_TYPE_MASK)
			flags |= QUOLL_BUF_RX_HASH;
		buf->hash = (uint32_t)(first >> E1000E_RX_RSS_SHIFT);
	}
	buf->flags = flags;
}

/* Odd frames. */

static void chain_reset(struct e1000e_rxq *rxq)
{
	rxq->chain = (struct e1000e_rx_chain){0};
	rxq->want = (uint32_t)(E1000E_RX_DD | E1000E_RX_EOP);
}

/* The frame is no good: away with it, and with what of it is still to come. */
static struct quoll_buf *frame_drop(struct e1000e_rxq *rxq, bool ended)
{
	quoll_buf_put_chain(rxq->q.cache, rxq->chain.first);
	chain_reset(rxq);
	quoll_count(&rxq->q.nr_bad, 1);
	if (!ended) {
		rxq->chain.dropping = true;
		rxq->want = E1000E_RX_NEVER;
	}
	return NULL;
}

static void chain_append(struct e1000e_rxq *rxq, struct quoll_buf *buf, uint32_t len)
{
	struct e1000e_rx_chain *chain = &rxq->chain;

	buf->data_bytes = len;
	if (chain->last)
		chain->last->next = buf;
	else
		chain->first = buf;
	chain->last = buf;
	chain->bytes += len;
	chain->nr_links++;
}

static bool link_is_good(const struct e1000e_rxq *rxq, uint64_t second, uint32_t len)
{
	bool ended = second & E1000E_RX_EOP;

	if (second & E1000E_RX_FRAME_ERRORS || len > rxq->limit_bytes)
		return false;
	if (rxq->chain.bytes + len > rxq->max_frame_bytes)
		return false;
	if (ended)
		return rxq->chain.bytes + len >= NET_MIN_FRAME_BYTES;
	return rxq->scatter && len && rxq->chain.nr_links + 1u < E1000E_MAX_RX_LINKS;
}

/*
 * A descriptor that is not a whole frame without errors. Return: the frame, if it was the last of one that is good;
 * else NULL. Out of line, so that the short way has the registers.
 */
static __attribute__((noinline)) struct quoll_buf *rx_odd(struct e1000e_rxq *rxq, struct quoll_buf *buf,
							  const struct e1000e_rx_desc *desc, uint64_t second)
{
	uint32_t len = (uint16_t)(second >> E1000E_RX_LENGTH_SHIFT);
	bool ended = second & E1000E_RX_EOP;
	struct quoll_buf *first;

	if (rxq->chain.dropping) {
		quoll_buf_put(rxq->q.cache, &buf, 1);
		if (ended)
			chain_reset(rxq);
		return NULL;
	}
	if (!link_is_good(rxq, second, len)) {
		quoll_buf_put(rxq->q.cache, &buf, 1);
		return frame_drop(rxq, ended);
	}
	/* The last buffer may have been for the FCS alone, which is stripped. */
	if (len)
		chain_append(rxq, buf, len);
	else
		quoll_buf_put(rxq->q.cache, &buf, 1);
	rxq->want = E1000E_RX_NEVER;
	if (!ended)
		return NULL;
	first = rxq->chain.first;
	first->total_bytes = rxq->chain.bytes;
	first->nr_links = rxq->chain.nr_links;
	first->port = rxq->q.port_id;
	if (rxq->offloads)
		set_metadata(rxq, first, desc, second);
	chain_reset(rxq);
	return first;
}

/* Posting. */

static void post(struct e1000e_rxq *rxq, uint32_t idx, unsigned int n)
{
	struct quoll_buf *const *bufs = rxq->bufs + idx;
	struct e1000e_rx_desc *desc = rxq->ring + idx;
	uint16_t headroom = rxq->headroom_bytes;

	for (unsigned int i = 0; i < n; i++) {
		desc[i].first = quoll_cpu_to_le64(bufs[i]->iova + headroom);
		desc[i].second = 0;
	}
	rxq->nr_posted += n;
	quoll_mmio_wmb();
	/* One past the last that the device may use (7.1.8). */
	quoll_mmio_write32(rxq->tail_reg, (idx + n) & (rxq->size - 1));
}

unsigned int e1000e_rx_fill(struct e1000e_rxq *rxq)
{
	uint32_t idx = (rxq->next + rxq->nr_posted) & (rxq->size - 1);
	/* Batches divide the ring; after a shortage this is what is left of one. */
	unsigned int n = rxq->batch - (idx & (rxq->batch - 1));

	if (QUOLL_UNLIKELY(quoll_buf_get(rxq->q.cache, rxq->bufs + idx, n))) {
		quoll_count(&rxq->q.nr_no_buf, 1);
		do {
			n /= 2;
		} while (n && quoll_buf_get(rxq->q.cache, rxq->bufs + idx, n));
	}
	if (QUOLL_LIKELY(n))
		post(rxq, idx, n);
	return n;
}

bool e1000e_rx_ready(const struct e1000e_rxq *rxq)
{
	return rxq->nr_posted && second_half(&rxq->ring[rxq->next]) & E1000E_RX_DD;
}

/* The device is quiet: what it has, and what a frame that never ended had, goes back. */
void e1000e_rx_drain(struct e1000e_rxq *rxq)
{
	quoll_buf_put_chain(rxq->q.cache, rxq->chain.first);
	chain_reset(rxq);
	for (; rxq->nr_posted; rxq->nr_posted--) {
		quoll_buf_put(rxq->q.cache, &rxq->bufs[rxq->next], 1);
		rxq->next = (rxq->next + 1) & (rxq->size - 1);
	}
}

/*
 * At most @n descriptors, which are the device's and do not pass the end of the ring. Return: how many frames; what was
 * looked at shows in rxq->nr_posted.
 */
static inline __attribute__((always_inline)) unsigned int rx_run(struct e1000e_rxq *rxq, struct quoll_buf **out,
								 unsigned int n, uint64_t *bytes, const bool offloads)
{
	const struct e1000e_rx_desc *desc = rxq->ring + rxq->next;
	struct quoll_buf *const *slot = rxq->bufs + rxq->next, *const *end = slot + n;
	struct quoll_buf **to = out;
	uint32_t want = rxq->want, span = rxq->span_bytes;
	uint16_t port_id = rxq->q.port_id;

	for (; slot != end; slot++, desc++) {
		uint64_t second = second_half(desc);
		uint32_t len = (uint16_t)(second >> E1000E_RX_LENGTH_SHIFT);
		struct quoll_buf *buf = *slot;

		if (QUOLL_UNLIKELY(((uint32_t)second & STATUS_CARE) != want || len - NET_MIN_FRAME_BYTES > span)) {
			if (!(second & E1000E_RX_DD))
				break;
			buf = rx_odd(rxq, buf, desc, second);
			want = rxq->want;
			if (!buf)
				continue;
			len = buf->total_bytes;
		} else {
			set_bytes(buf, len);
			buf->port = port_id;
			if (offloads)
				set_metadata(rxq, buf, desc, second);
		}
		*bytes += len;
		*to++ = buf;
	}
	n -= (unsigned int)(end - slot);
	rxq->next = (rxq->next + n) & (rxq->size - 1);
	rxq->nr_posted -= n;
	return (unsigned int)(to - out);
}

static inline __attribute__((always_inline)) unsigned int rx_burst(struct quoll_rxq *q, struct quoll_buf **bufs,
								   unsigned int n, const bool offloads)
{
	struct e1000e_rxq *rxq = (struct e1000e_rxq *)q;
	unsigned int looked_at = rxq->nr_posted, to_end = rxq->size - rxq->next, got;
	uint64_t bytes = 0;

	if (QUOLL_UNLIKELY(net_port_dead(q->port)))
		return 0;
	/* What is not the device's is not looked at, whatever it says; so a poll is one turn of the ring at most. */
	if (n > looked_at)
		n = looked_at;
	got = rx_run(rxq, bufs, n < to_end ? n : to_end, &bytes, offloads);
	looked_at -= rxq->nr_posted;
	if (QUOLL_UNLIKELY(looked_at == to_end && looked_at < n))
		got += rx_run(rxq, bufs + got, n - looked_at, &bytes, offloads);
	quoll_dma_rmb(); /* what the caller reads of the frames is not older than their done bits */
	while (rxq->size - rxq->nr_posted > rxq->batch && e1000e_rx_fill(rxq))
		;
	if (got) {
		quoll_count(&q->nr_packets, got);
		quoll_count(&q->nr_bytes, bytes);
	}
	net_rxq_polled(q, got);
	return got;
}

unsigned int e1000e_rx_burst(struct quoll_rxq *q, struct quoll_buf **bufs, unsigned int n)
{
	return rx_burst(q, bufs, n, false);
}

unsigned int e1000e_rx_burst_offloads(struct quoll_rxq *q, struct quoll_buf **bufs, unsigned int n)
{
	return rx_burst(q, bufs, n, true);
}
