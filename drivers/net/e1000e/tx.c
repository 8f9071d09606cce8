/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tx.c - transmit: frames become descriptors, one doorbell a call; buffers come back in batches.
 *
 * The device is asked to report once every few dozen descriptors (RS), at the end of a frame. Such a place is a mark:
 * when its descriptor is done, so are all before it. Frames of one link without offloads take the short way, with
 * legacy descriptors; everything else is odd.
 */
#include "../net_chain.h"
#include "e1000e.h"

#define TX_FLAGS (QUOLL_BUF_TX_IP_CSUM | QUOLL_BUF_TX_TCP_CSUM | QUOLL_BUF_TX_UDP_CSUM | QUOLL_BUF_TX_VLAN)
#define L4_FLAGS (QUOLL_BUF_TX_TCP_CSUM | QUOLL_BUF_TX_UDP_CSUM)
#define CSUM_FLAGS (QUOLL_BUF_TX_IP_CSUM | L4_FLAGS)
#define CMD_FRAME (E1000E_TX_EOP | E1000E_TX_IFCS)
#define IP_CSUM_OFFSET 10u
#define TCP_CSUM_OFFSET 16u
#define UDP_CSUM_OFFSET 6u
#define VLAN_TAG_BYTES 4u
#define CONTEXT_IP (UINT64_C(1) << 62)
#define CONTEXT_TCP (UINT64_C(1) << 63)

/* Buffers back. */

/* Contexts have no buffer; from @idx on, not past the end of the ring. */
static __attribute__((noinline)) void put_some(struct e1000e_txq *txq, uint32_t idx, uint32_t n)
{
	for (uint32_t i = idx; i < idx + n; i++) {
		if (txq->bufs[i])
			quoll_buf_put(txq->q.cache, &txq->bufs[i], 1);
		else
			txq->nr_contexts--;
	}
}

static void clean_until(struct e1000e_txq *txq, uint32_t end)
{
	while (txq->clean != end) {
		uint32_t idx = txq->clean & (txq->size - 1), n = end - txq->clean;

		if (n > txq->size - idx)
			n = txq->size - idx;
		if (QUOLL_LIKELY(!txq->nr_contexts))
			quoll_buf_put(txq->q.cache, txq->bufs + idx, n);
		else
			put_some(txq, idx, n);
		txq->clean += n;
	}
}

static inline uint32_t mark_mask(const struct e1000e_txq *txq)
{
	return txq->size / E1000E_TX_MARK_DISTANCE - 1;
}

/* Marks that are done, at most all that there are: their descriptors are ours again. */
static inline void reclaim(struct e1000e_txq *txq)
{
	while (txq->mark_head != txq->mark_tail) {
		uint32_t end = txq->marks[txq->mark_head & mark_mask(txq)];
		const struct e1000e_tx_desc *desc = &txq->ring[(end - 1) & (txq->size - 1)];

		if (!(quoll_le64_to_cpu(*(const volatile quoll_le64 *)&desc->second) & E1000E_TX_DD))
			return;
		quoll_dma_rmb();
		txq->mark_head++;
		clean_until(txq, end);
	}
}

void e1000e_tx_drain(struct e1000e_txq *txq)
{
	clean_until(txq, txq->tail);
	txq->mark_head = txq->mark_tail;
}

/* The last descriptor written ends a frame, and has not been handed over yet. */
static inline void set_mark(struct e1000e_txq *txq)
{
	struct e1000e_tx_desc *desc = &txq->ring[(txq->tail - 1) & (txq->size - 1)];

	desc->second |= quoll_cpu_to_le64(E1000E_TX_RS);
	txq->marks[txq->mark_tail++ & mark_mask(txq)] = txq->tail;
	txq->last_mark = txq->tail;
}

/* Odd frames. */

static void put_desc(struct e1000e_txq *txq, struct quoll_buf *buf, uint64_t first, uint64_t second)
{
	uint32_t idx = txq->tail++ & (txq->size - 1);

	txq->ring[idx].first = quoll_cpu_to_le64(first);
	txq->ring[idx].second = quoll_cpu_to_le64(second);
	txq->bufs[idx] = buf;
}

/* Do the headers that checksums refer to lie within the frame, and can a context describe them? */
static bool headers_are_good(const struct quoll_buf *buf)
{
	uint32_t l3 = buf->l2_bytes, l4 = l3 + buf->l3_bytes, end = l4;

	if (!(buf->flags & CSUM_FLAGS))
		return true;
	if ((buf->flags & L4_FLAGS) == L4_FLAGS || l3 < NET_MIN_FRAME_BYTES)
		return false;
	if (buf->flags & QUOLL_BUF_TX_IP_CSUM && buf->l3_bytes < IP_CSUM_OFFSET + 2)
		return false;
	if (buf->flags & QUOLL_BUF_TX_TCP_CSUM)
		end += TCP_CSUM_OFFSET + 2;
	if (buf->flags & QUOLL_BUF_TX_UDP_CSUM)
		end += UDP_CSUM_OFFSET + 2;
	return end <= buf->total_bytes && end <= UINT8_MAX;
}

/* The first half of a context descriptor, and what else is in it as bits of TUCSE, which is 0: to the end. */
static uint64_t context_of(const struct quoll_buf *buf)
{
	uint32_t l3 = buf->l2_bytes, l4 = l3 + buf->l3_bytes;
	uint64_t context = (uint64_t)l3 << E1000E_TX_IPCSS_SHIFT |
			   (uint64_t)(l3 + IP_CSUM_OFFSET) << E1000E_TX_IPCSO_SHIFT |
			   (uint64_t)l4 << E1000E_TX_TUCSS_SHIFT;

	if (buf->flags & QUOLL_BUF_TX_IP_CSUM)
		context |= (uint64_t)(l4 - 1) << E1000E_TX_IPCSE_SHIFT | CONTEXT_IP;
	if (buf->flags & QUOLL_BUF_TX_UDP_CSUM)
		return context | (uint64_t)(l4 + UDP_CSUM_OFFSET) << E1000E_TX_TUCSO_SHIFT;
	/* Without L4 checksum nobody looks at that half: as for TCP, so that a switch costs nothing. */
	return context | (uint64_t)(l4 + TCP_CSUM_OFFSET) << E1000E_TX_TUCSO_SHIFT | CONTEXT_TCP;
}

static void put_context(struct e1000e_txq *txq, uint64_t context)
{
	uint64_t second = E1000E_TX_DEXT;

	if (context & CONTEXT_IP)
		second |= E1000E_TX_TUCMD_IP;
	if (context & CONTEXT_TCP)
		second |= E1000E_TX_TUCMD_TCP;
	put_desc(txq, NULL, context & ~(CONTEXT_IP | CONTEXT_TCP), second);
	txq->nr_contexts++;
	txq->context = context;
}

/* All but address and length of the descriptors of a frame. */
static uint64_t command_of(const struct quoll_buf *buf)
{
	uint64_t command = E1000E_TX_IFCS;

	if (buf->flags & CSUM_FLAGS)
		command |= E1000E_TX_DEXT | E1000E_TX_DTYP_DATA;
	if (buf->flags & QUOLL_BUF_TX_IP_CSUM)
		command |= E1000E_TX_IXSM;
	if (buf->flags & L4_FLAGS)
		command |= E1000E_TX_TXSM;
	if (buf->flags & QUOLL_BUF_TX_VLAN)
		command |= E1000E_TX_VLE | (uint64_t)buf->vlan_tci << E1000E_TX_VLAN_SHIFT;
	return command;
}

static void put_links(struct e1000e_txq *txq, struct quoll_buf *buf, unsigned int nr_links)
{
	uint64_t command = command_of(buf);
	struct quoll_buf *next;

	for (; buf; buf = next) {
		next = buf->next;
		if (!buf->data_bytes) {
			quoll_buf_put(txq->q.cache, &buf, 1); /* an empty descriptor would end the frame */
			continue;
		}
		if (!--nr_links)
			command |= E1000E_TX_EOP;
		put_desc(txq, buf, quoll_buf_iova(buf), command | buf->data_bytes);
	}
}

/*
 * A frame that is a chain, wants an offload, or is no good. Return: how many descriptors it took, 0 if it was dropped;
 * -1: there is no room for it, and it stays the caller's.
 */
static __attribute__((noinline)) int tx_odd(struct e1000e_txq *txq, struct quoll_buf *buf, uint32_t room)
{
	uint32_t flags = buf->flags & TX_FLAGS, span = txq->span_bytes, before = txq->tail;
	unsigned int nr_links = net_chain_count(buf, E1000E_MAX_TX_LINKS);
	uint64_t context = txq->context;

	if (flags & QUOLL_BUF_TX_VLAN)
		span -= VLAN_TAG_BYTES;
	if (!nr_links || buf->total_bytes - NET_MIN_FRAME_BYTES > span || flags & ~txq->allowed_flags ||
	    !headers_are_good(buf)) {
		quoll_buf_put_chain(txq->q.cache, buf);
		quoll_count(&txq->q.nr_bad, 1);
		return 0;
	}
	if (flags & CSUM_FLAGS)
		context = context_of(buf);
	if (nr_links + (context != txq->context) > room)
		return -1;
	if (context != txq->context)
		put_context(txq, context);
	txq->bytes += buf->total_bytes;
	put_links(txq, buf, nr_links);
	return (int)(txq->tail - before);
}

/* The short way: at most @n frames, for which there is room before the end of the ring. Return: how many were plain. */
static inline unsigned int tx_plain(struct e1000e_txq *txq, struct quoll_buf *const *bufs, unsigned int n,
				    uint64_t *bytes)
{
	uint32_t idx = txq->tail & (txq->size - 1), span = txq->span_bytes;
	struct e1000e_tx_desc *desc = txq->ring + idx;
	struct quoll_buf **slots = txq->bufs + idx;
	unsigned int i;

	for (i = 0; i < n; i++) {
		struct quoll_buf *buf = bufs[i];
		uint32_t len = buf->data_bytes;

		if (QUOLL_UNLIKELY(buf->next || buf->flags & TX_FLAGS || len - NET_MIN_FRAME_BYTES > span))
			break;
		desc[i].first = quoll_cpu_to_le64(quoll_buf_iova(buf));
		desc[i].second = quoll_cpu_to_le64(len | CMD_FRAME);
		slots[i] = buf;
		*bytes += len;
	}
	txq->tail += i;
	return i;
}

unsigned int e1000e_tx_burst(struct quoll_txq *q, struct quoll_buf *const *bufs, unsigned int n)
{
	struct e1000e_txq *txq = (struct e1000e_txq *)q;
	uint32_t before = txq->tail, room, size = txq->size;
	unsigned int taken = 0, nr_bad = 0;
	uint64_t bytes = 0;

	if (QUOLL_UNLIKELY(net_port_dead(q->port)))
		return 0;
	reclaim(txq);
	/* One descriptor stays free: a full ring would look empty. */
	room = size - 1 - (txq->tail - txq->clean);
	while (taken < n) {
		uint32_t start = txq->tail;
		uint32_t most = size - (start & (size - 1));
		int odd = 0;

		/* In pieces, so that marks are never further apart than that, but for one frame. */
		if (most > E1000E_TX_MARK_DISTANCE)
			most = E1000E_TX_MARK_DISTANCE;
		if (most > room)
			most = room;
		if (most > n - taken)
			most = n - taken;
		most -= tx_plain(txq, bufs + taken, most, &bytes);
		taken += txq->tail - start;
		if (QUOLL_UNLIKELY(most || txq->tail == start)) {
			odd = tx_odd(txq, bufs[taken], room - (txq->tail - start));
			taken += odd >= 0;
			nr_bad += !odd;
		}
		room -= txq->tail - start;
		if (txq->tail - txq->last_mark >= E1000E_TX_MARK_DISTANCE)
			set_mark(txq);
		if (odd < 0)
			break;
	}
	if (QUOLL_LIKELY(txq->tail != before)) {
		quoll_mmio_wmb();
		quoll_mmio_write32(txq->tail_reg, txq->tail & (size - 1));
		quoll_count(&q->nr_packets, taken - nr_bad);
		quoll_count(&q->nr_bytes, bytes + txq->bytes);
		txq->bytes = 0;
	}
	return taken;
}
