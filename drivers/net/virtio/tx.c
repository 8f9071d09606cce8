/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tx.c - transmit: frames become descriptors, one kick a call if the device wants it; buffers come back in batches.
 *
 * A frame of one link without offloads takes one descriptor: its header, all zeroes, goes right before its data, where
 * the headroom is. Everything else is odd: a header of the ring's own in a descriptor, then one for each link.
 */
#include <string.h>

#include "../net_chain.h"
#include "../net_stage.h"
#include "virtio.h"

#define TX_FLAGS                                                                                                       \
	(QUOLL_BUF_TX_IP_CSUM | QUOLL_BUF_TX_TCP_CSUM | QUOLL_BUF_TX_UDP_CSUM | QUOLL_BUF_TX_VLAN | QUOLL_BUF_TX_TSO)
#define L4_FLAGS (QUOLL_BUF_TX_TCP_CSUM | QUOLL_BUF_TX_UDP_CSUM)
#define FLAGS_USED (VIRTQ_DESC_AVAIL | VIRTQ_DESC_USED)

/* Buffers back. */

static __attribute__((noinline)) void broken(struct virtio_txq *txq)
{
	if (!txq->broken)
		quoll_count(&txq->q.nr_bad, 1);
	__atomic_store_n(&txq->broken, 1, __ATOMIC_RELAXED);
}

/* How many descriptors the frame whose first is at this place has. */
static inline uint16_t count_of(const struct virtio_txq *txq, uint32_t id)
{
	return txq->counts[id] ? txq->counts[id] : 1;
}

/* Places are free again as far as all before them are finished. */
static void advance(struct virtio_txq *txq)
{
	uint32_t mask = txq->size - 1u;

	while (txq->clean != txq->tail && !txq->bufs[txq->clean & mask]) {
		uint32_t idx = txq->clean & mask;

		txq->clean += count_of(txq, idx);
		txq->counts[idx] = 0;
		txq->nr_odd--;
	}
}

/* The frame with this id is finished. Return: how many descriptors it had; 0: there is no such frame. */
static __attribute__((noinline)) uint16_t finish(struct virtio_txq *txq, uint32_t id)
{
	uint32_t mask = txq->size - 1u;
	uint16_t count;

	if (id > mask || ((id - txq->clean) & mask) >= (uint16_t)(txq->tail - txq->clean) || !txq->bufs[id]) {
		broken(txq);
		return 0;
	}
	count = count_of(txq, id);
	quoll_buf_put_chain(txq->q.cache, txq->bufs[id]);
	txq->bufs[id] = NULL;
	if (!txq->counts[id]) {
		txq->counts[id] = 1;
		txq->nr_odd++;
	}
	advance(txq);
	return count;
}

static inline uint64_t peek_packed(const struct virtio_txq *txq, uint16_t used)
{
	const struct virtq_packed_desc *desc = txq->desc;

	return quoll_le64_to_cpu(
		__atomic_load_n((const uint64_t *)&desc[used & (txq->size - 1u)].bytes, __ATOMIC_ACQUIRE));
}

static inline uint32_t packed_want(uint16_t used, uint16_t size)
{
	return used & size ? 0 : FLAGS_USED << 16;
}

static inline uint32_t peek_split(const struct virtio_txq *txq, uint16_t used)
{
	const struct virtq_used *ring = txq->device;

	return quoll_le32_to_cpu(__atomic_load_n(&ring->ring[used & (txq->size - 1u)].id, __ATOMIC_RELAXED));
}

/* From clean on, at most @n, not beyond the end: finished in turn, a descriptor each? They go back together. */
static inline __attribute__((always_inline)) unsigned int reclaim_run(struct virtio_txq *txq, unsigned int n,
								      const bool packed)
{
	uint32_t idx = txq->clean & (txq->size - 1u), want = packed_want(txq->used, txq->size);
	unsigned int i;

	for (i = 0; i < n; i++) {
		uint32_t id = packed ? (uint32_t)(peek_packed(txq, (uint16_t)(idx + i)) >> 32) &
					       (FLAGS_USED << 16 | UINT16_MAX)
				     : peek_split(txq, (uint16_t)(txq->used + i));

		if (id != (packed ? want | (idx + i) : idx + i))
			break;
	}
	quoll_buf_put(txq->q.cache, txq->bufs + idx, i);
	txq->used += (uint16_t)i;
	txq->clean += (uint16_t)i;
	return i;
}

static inline __attribute__((always_inline)) void reclaim_packed(struct virtio_txq *txq)
{
	while (txq->clean != txq->tail) {
		uint16_t to_end = txq->size - (txq->clean & (txq->size - 1u)), n = txq->tail - txq->clean, count;
		uint64_t word;

		n = n < to_end ? n : to_end;
		/* In turn, both counters are the same; not so while one was finished out of turn. */
		if (QUOLL_LIKELY(!txq->nr_odd) && reclaim_run(txq, n, true) == n)
			continue;
		word = peek_packed(txq, txq->used);
		if (txq->used == txq->tail || (word >> 32 & FLAGS_USED << 16) != packed_want(txq->used, txq->size))
			return;
		count = finish(txq, word >> 32 & UINT16_MAX);
		if (!count)
			return;
		txq->used += count;
	}
}

static inline __attribute__((always_inline)) void reclaim_split(struct virtio_txq *txq)
{
	const struct virtq_used *used = txq->device;
	uint16_t ready = quoll_le16_to_cpu(__atomic_load_n(&used->idx, __ATOMIC_ACQUIRE)), n = ready - txq->used;

	if (QUOLL_UNLIKELY(n > (uint16_t)(txq->avail - txq->used))) {
		broken(txq);
		return;
	}
	quoll_dma_rmb();
	for (; n; n = ready - txq->used) {
		uint16_t to_end = txq->size - (txq->clean & (txq->size - 1u));

		n = n < to_end ? n : to_end;
		if (QUOLL_LIKELY(!txq->nr_odd) && reclaim_run(txq, n, false) == n)
			continue;
		if (!finish(txq, peek_split(txq, txq->used)))
			return;
		txq->used++;
	}
}

static inline __attribute__((always_inline)) void reclaim(struct virtio_txq *txq, const bool packed)
{
	if (packed)
		reclaim_packed(txq);
	else
		reclaim_split(txq);
}

void virtio_tx_drain(struct virtio_txq *txq)
{
	uint32_t mask = txq->size - 1u;

	for (; txq->clean != txq->tail; txq->clean++) {
		quoll_buf_put_chain(txq->q.cache, txq->bufs[txq->clean & mask]);
		txq->bufs[txq->clean & mask] = NULL;
	}
	for (; txq->nr_orphans; txq->nr_orphans--)
		quoll_buf_put_chain(txq->q.cache, txq->orphans[txq->nr_orphans - 1]);
}

void virtio_tx_orphan(struct virtio_txq *txq)
{
	uint32_t mask = txq->size - 1u;
	uint16_t nr = txq->nr_orphans;

	for (; txq->clean != txq->tail; txq->clean++) {
		struct quoll_buf **buf = &txq->bufs[txq->clean & mask];

		/* Older orphans are still there only if nothing was sent since, so there is room. */
		if (*buf)
			txq->orphans[nr++] = *buf;
		*buf = NULL;
		txq->counts[txq->clean & mask] = 0;
	}
	txq->nr_orphans = nr;
	txq->clean = txq->tail = txq->used = txq->avail = 0;
	txq->nr_odd = 0;
	txq->renumbered = 0;
	txq->broken = 0;
}

static __attribute__((noinline)) void put_orphans(struct virtio_txq *txq)
{
	for (; txq->nr_orphans; txq->nr_orphans--)
		quoll_buf_put_chain(txq->q.cache, txq->orphans[txq->nr_orphans - 1]);
}

/* Descriptors. */

static inline uint64_t packed_second(uint32_t bytes, uint32_t id, uint16_t tail, uint16_t size)
{
	uint64_t flags = tail & size ? VIRTQ_DESC_USED : VIRTQ_DESC_AVAIL;

	return bytes | (uint64_t)id << 32 | flags << 48;
}

static inline void put_second(struct virtq_packed_desc *desc, uint64_t second)
{
	__atomic_store_n((uint64_t *)&desc->bytes, quoll_cpu_to_le64(second), __ATOMIC_RELEASE);
}

/**
 * struct tx_call - what one call of a burst function has under way
 * @first:  packed: flags and the rest of the first descriptor of all, which is written last
 * @start:  where that is
 */
struct tx_call {
	uint64_t first;
	uint16_t start;
};

/* One of the descriptors of an odd frame. @id: place of its first one. */
static void put_desc(struct virtio_txq *txq, struct tx_call *call, uint64_t iova, uint32_t bytes, uint32_t id,
		     bool more)
{
	uint32_t mask = txq->size - 1u, idx = txq->tail & mask;
	uint64_t second;

	if (!txq->ring->packed) {
		struct virtq_desc *desc = (struct virtq_desc *)txq->desc + idx;

		desc->addr = quoll_cpu_to_le64(iova);
		desc->bytes = quoll_cpu_to_le32(bytes);
		desc->flags = quoll_cpu_to_le16(more ? VIRTQ_DESC_NEXT : 0);
		desc->next = quoll_cpu_to_le16((uint16_t)((idx + 1) & mask));
	} else {
		struct virtq_packed_desc *desc = (struct virtq_packed_desc *)txq->desc + idx;

		desc->addr = quoll_cpu_to_le64(iova);
		second = packed_second(bytes, id, txq->tail, txq->size) | (more ? (uint64_t)VIRTQ_DESC_NEXT << 48 : 0);
		if (txq->tail == call->start)
			call->first = second;
		else
			put_second(desc, second);
	}
	txq->bufs[idx] = NULL;
	txq->tail++;
}

/* Odd frames. */

/* A frame to be cut up: its headers lie in the first link and make sense. */
static bool tso_is_good(const struct quoll_buf *buf)
{
	uint32_t headers = (uint32_t)buf->l2_bytes + buf->l3_bytes + buf->l4_bytes;

	if (!(buf->flags & QUOLL_BUF_TX_TCP_CSUM) || !buf->mss || buf->l4_bytes < NET_TCP_CSUM_AT + 2)
		return false;
	return headers <= buf->data_bytes && buf->total_bytes <= VIRTIO_MAX_GSO_BYTES;
}

static bool fill_header(const struct virtio_txq *txq, const struct quoll_buf *buf, struct virtio_net_hdr *hdr)
{
	uint32_t flags = buf->flags & TX_FLAGS, start = (uint32_t)buf->l2_bytes + buf->l3_bytes;
	uint32_t off = flags & QUOLL_BUF_TX_UDP_CSUM ? NET_UDP_CSUM_AT : NET_TCP_CSUM_AT, gso = flags;

	*hdr = (struct virtio_net_hdr){0};
	if (flags & ~txq->allowed_flags || (flags & L4_FLAGS) == L4_FLAGS)
		return false;
	if (!(flags & L4_FLAGS))
		return !flags && buf->total_bytes - NET_MIN_FRAME_BYTES <= txq->span_bytes;
	if (buf->l2_bytes < NET_MIN_FRAME_BYTES || start + off + 2 > buf->total_bytes)
		return false;
	hdr->flags = VIRTIO_NET_HDR_NEEDS_CSUM;
	hdr->csum_start = quoll_cpu_to_le16((uint16_t)start);
	hdr->csum_offset = quoll_cpu_to_le16((uint16_t)off);
	if (!(flags & QUOLL_BUF_TX_TSO))
		return !(flags & QUOLL_BUF_TX_IP_CSUM) && buf->total_bytes - NET_MIN_FRAME_BYTES <= txq->span_bytes;
	/* Only one of the two may have been agreed on. */
	gso = flags & QUOLL_BUF_TX_IP_CSUM ? VIRTIO_NET_GSO_TCPV4 : VIRTIO_NET_GSO_TCPV6;
	if (!tso_is_good(buf) || !(txq->gso_types & 1u << gso) || !net_tso_fill(buf))
		return false;
	if (net_tx_is_staged(&txq->q))
		net_stage_written(&txq->q, buf);
	hdr->gso_type = (uint8_t)gso;
	hdr->gso_bytes = quoll_cpu_to_le16(buf->mss);
	hdr->hdr_bytes = quoll_cpu_to_le16((uint16_t)(start + buf->l4_bytes));
	return true;
}

/*
 * A frame that is a chain, wants an offload, has no room for a header, or is no good. Return: how many descriptors it
 * took, 0 if it was dropped; -1: there is no room for it, and it stays the caller's.
 */
static __attribute__((noinline)) int tx_odd(struct virtio_txq *txq, struct tx_call *call, struct quoll_buf *buf,
					    uint32_t room)
{
	uint32_t id = txq->tail & (txq->size - 1u);
	struct virtio_net_hdr hdr, *where = &txq->ring->hdrs[id];
	unsigned int nr_links = net_chain_count(buf, VIRTIO_MAX_TX_LINKS);

	if (nr_links + 1 > room && nr_links)
		return -1;
	if (!nr_links || !fill_header(txq, buf, &hdr)) {
		quoll_buf_put_chain(txq->q.cache, buf);
		quoll_count(&txq->q.nr_bad, 1);
		return 0;
	}
	*where = hdr;
	put_desc(txq, call, txq->hdrs_iova + id * VIRTIO_HDR_BYTES, VIRTIO_HDR_BYTES, id, true);
	for (const struct quoll_buf *link = buf; link; link = link->next) {
		if (link->data_bytes)
			put_desc(txq, call, quoll_buf_iova(link), link->data_bytes, id, --nr_links);
	}
	txq->bufs[id] = buf;
	txq->counts[id] = (uint16_t)((txq->tail - id) & (txq->size - 1u));
	txq->nr_odd++;
	txq->bytes += buf->total_bytes;
	return txq->counts[id];
}

/* The short way. */

static inline void zero_header(const struct quoll_buf *buf)
{
	static const struct virtio_net_hdr none;

	memcpy((uint8_t *)quoll_buf_data(buf) - VIRTIO_HDR_BYTES, &none, sizeof(none));
}

/* At most @n frames, for which there is room before the end of the ring. Return: how many were plain. */
static inline __attribute__((always_inline)) unsigned int tx_plain(struct virtio_txq *txq, struct tx_call *call,
								   struct quoll_buf *const *bufs, unsigned int n,
								   uint64_t *bytes, const bool packed)
{
	uint32_t idx = txq->tail & (txq->size - 1u), span = txq->span_bytes;
	struct quoll_buf **slots = txq->bufs + idx;
	uint16_t tail = txq->tail;
	unsigned int i;

	for (i = 0; i < n; i++) {
		struct quoll_buf *buf = bufs[i];
		uint32_t len = buf->data_bytes;

		if (QUOLL_UNLIKELY(buf->next || buf->flags & TX_FLAGS || len - NET_MIN_FRAME_BYTES > span ||
				   buf->data_off < VIRTIO_HDR_BYTES))
			break;
		zero_header(buf);
		if (packed) {
			struct virtq_packed_desc *desc = (struct virtq_packed_desc *)txq->desc + idx + i;
			uint64_t second = packed_second(len + VIRTIO_HDR_BYTES, idx + i, tail, txq->size);

			desc->addr = quoll_cpu_to_le64(quoll_buf_iova(buf) - VIRTIO_HDR_BYTES);
			if (QUOLL_UNLIKELY((uint16_t)(tail + i) == call->start))
				call->first = second;
			else
				put_second(desc, second);
		} else {
			struct virtq_desc *desc = (struct virtq_desc *)txq->desc + idx + i;

			desc->addr = quoll_cpu_to_le64(quoll_buf_iova(buf) - VIRTIO_HDR_BYTES);
			/* Length, and no flags. */
			*(uint64_t *)&desc->bytes = quoll_cpu_to_le64((uint64_t)len + VIRTIO_HDR_BYTES);
		}
		slots[i] = buf;
		*bytes += len;
	}
	txq->tail += (uint16_t)i;
	return i;
}

/* Frames of a split ring, whose first descriptors are at these places, into the available ring. */
static inline void note_avail(struct virtio_txq *txq, uint32_t idx, unsigned int n)
{
	struct virtq_avail *avail = txq->driver;
	uint32_t mask = txq->size - 1u;

	/* It begins with all places in order: as long as each frame takes one, they stand there already. */
	if (QUOLL_UNLIKELY(((txq->avail ^ idx) & mask) | txq->renumbered)) {
		txq->renumbered = 1;
		for (unsigned int i = 0; i < n; i++)
			avail->ring[(txq->avail + i) & mask] = quoll_cpu_to_le16((uint16_t)(idx + i));
	}
	txq->avail += (uint16_t)n;
}

/* All that was written is the device's. @n: entries that it counts. */
static inline __attribute__((always_inline)) void hand_over(struct virtio_txq *txq, const struct tx_call *call,
							    uint16_t before, const bool packed)
{
	struct virtq_avail *avail = txq->driver;
	uint16_t now = packed ? txq->tail : txq->avail;

	quoll_dma_wmb();
	if (packed)
		put_second((struct virtq_packed_desc *)txq->desc + (call->start & (txq->size - 1u)), call->first);
	else
		__atomic_store_n(&avail->idx, quoll_cpu_to_le16(now), __ATOMIC_RELEASE);
	/* Pairs with the device's own: it says that it wants to hear, then looks for frames. */
	quoll_dma_mb();
	virtio_ring_kick(txq->ring, now, (uint16_t)(now - before));
}

/* Return: how many frames were taken. */
static inline __attribute__((always_inline)) unsigned int tx_all(struct virtio_txq *txq, struct quoll_buf *const *bufs,
								 unsigned int n, const bool packed)
{
	struct tx_call call = {.start = txq->tail};
	uint16_t before = packed ? txq->tail : txq->avail;
	unsigned int taken = 0, nr_bad = 0;
	uint64_t bytes = 0;

	while (taken < n) {
		uint32_t start = txq->tail & (txq->size - 1u), most = txq->size - start, done;
		uint32_t room = txq->size - (uint16_t)(txq->tail - txq->clean);
		int odd;

		most = most < room ? most : room;
		most = most < n - taken ? most : n - taken;
		done = tx_plain(txq, &call, bufs + taken, most, &bytes, packed);
		if (!packed)
			note_avail(txq, start, done);
		taken += done;
		if (QUOLL_LIKELY(done == most && done))
			continue;
		start = txq->tail & (txq->size - 1u);
		odd = tx_odd(txq, &call, bufs[taken], room - done);
		if (odd < 0)
			break;
		if (!packed && odd)
			note_avail(txq, start, 1);
		taken++;
		nr_bad += !odd;
	}
	if (QUOLL_LIKELY(txq->tail != call.start))
		hand_over(txq, &call, before, packed);
	quoll_count(&txq->q.nr_packets, taken - nr_bad);
	quoll_count(&txq->q.nr_bytes, bytes + txq->bytes);
	txq->bytes = 0;
	return taken;
}

static inline __attribute__((always_inline)) unsigned int tx_burst(struct quoll_txq *q, struct quoll_buf *const *bufs,
								   unsigned int n, const bool packed)
{
	struct virtio_txq *txq = (struct virtio_txq *)q;
	bool reclaimed;
	unsigned int taken = 0;

	if (QUOLL_UNLIKELY(net_port_dead(q->port) || !virtio_enter(&txq->turn)))
		return 0;
	if (QUOLL_UNLIKELY(txq->nr_orphans))
		put_orphans(txq);
	reclaimed = (uint16_t)(txq->tail - txq->clean) >= txq->reclaim_at;
	if (reclaimed)
		reclaim(txq, packed);
	if (QUOLL_LIKELY(!txq->broken))
		taken = tx_all(txq, bufs, n, packed);
	if (QUOLL_UNLIKELY(taken < n && !reclaimed)) {
		reclaim(txq, packed);
		if (!txq->broken)
			taken += tx_all(txq, bufs + taken, n - taken, packed);
	}
	virtio_leave(&txq->turn);
	return taken;
}

static unsigned int tx_split(struct quoll_txq *q, struct quoll_buf *const *bufs, unsigned int n)
{
	return tx_burst(q, bufs, n, false);
}

static unsigned int tx_packed(struct quoll_txq *q, struct quoll_buf *const *bufs, unsigned int n)
{
	return tx_burst(q, bufs, n, true);
}

void virtio_tx_choose_burst(struct virtio_txq *txq)
{
	txq->q.burst = txq->ring->packed ? tx_packed : tx_split;
}
