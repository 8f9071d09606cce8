/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rx.c - receive: what the device has filled becomes frames, and batches of fresh buffers are posted in their place.
 *
 * Each descriptor is one buffer, with room for the header right before where its data goes. There are four burst
 * functions: for split and packed rings, each without offloads, where the header is not even looked at, and with. Of
 * what the device has finished one word is read, once: id and length. A frame in one buffer, in turn, takes the short
 * way; everything else is odd. Two more are for offloads where buffers are outside of the heap (net_stage.h): a header
 * can be read there only after the stage has heard of it, so each frame is odd.
 */
#include <string.h>

#include "../net_partial.h"
#include "../net_stage.h"
#include "virtio.h"

#define FLAGS_USED (VIRTQ_DESC_AVAIL | VIRTQ_DESC_USED)

/* Posting. */

/* How a descriptor says that it is the device's: once around the ring, once around it inverted. */
static inline uint64_t packed_flags(uint16_t tail, uint16_t size)
{
	return (uint64_t)(VIRTQ_DESC_WRITE | (tail & size ? VIRTQ_DESC_USED : VIRTQ_DESC_AVAIL)) << 48;
}

static inline void put_second(struct virtq_packed_desc *desc, uint64_t second)
{
	/* Pairs with the device's ordered read of a descriptor after its flags. */
	__atomic_store_n((uint64_t *)&desc->bytes, quoll_cpu_to_le64(second), __ATOMIC_RELEASE);
}

/* @n places from the tail on, none beyond the end of the ring; their buffers are in bufs[]. */
static void post_split(struct virtio_rxq *rxq, unsigned int n)
{
	uint32_t idx = rxq->tail & (rxq->size - 1u);
	struct virtq_desc *desc = (struct virtq_desc *)rxq->desc + idx;
	struct virtq_avail *avail = rxq->ring->driver;
	uint32_t off = rxq->headroom_bytes - VIRTIO_HDR_BYTES;
	quoll_le64 second = quoll_cpu_to_le64(rxq->room_bytes | (uint64_t)VIRTQ_DESC_WRITE << 32);

	for (unsigned int i = 0; i < n; i++) {
		desc[i].addr = quoll_cpu_to_le64(rxq->bufs[idx + i]->iova + off);
		/* Length, flags, and no next one. */
		*(quoll_le64 *)&desc[i].bytes = second;
	}
	rxq->tail += (uint16_t)n;
	/* The available ring holds the places in order, since it was made. */
	quoll_dma_wmb();
	__atomic_store_n(&avail->idx, quoll_cpu_to_le16(rxq->tail), __ATOMIC_RELEASE);
}

static void post_packed(struct virtio_rxq *rxq, unsigned int n)
{
	uint32_t idx = rxq->tail & (rxq->size - 1u);
	struct virtq_packed_desc *desc = (struct virtq_packed_desc *)rxq->desc + idx;
	uint32_t off = rxq->headroom_bytes - VIRTIO_HDR_BYTES;
	uint64_t second = packed_flags(rxq->tail, rxq->size) | rxq->room_bytes;

	desc[0].addr = quoll_cpu_to_le64(rxq->bufs[idx]->iova + off);
	for (unsigned int i = 1; i < n; i++) {
		desc[i].addr = quoll_cpu_to_le64(rxq->bufs[idx + i]->iova + off);
		put_second(&desc[i], second | (uint64_t)(idx + i) << 32);
	}
	/* The device looks no further than to the first that is not its own: that one comes last. */
	quoll_dma_wmb();
	put_second(&desc[0], second | (uint64_t)idx << 32);
	rxq->tail += (uint16_t)n;
}

static inline void post(struct virtio_rxq *rxq, unsigned int n)
{
	if (rxq->ring->packed)
		post_packed(rxq, n);
	else
		post_split(rxq, n);
}

unsigned int virtio_rx_fill(struct virtio_rxq *rxq)
{
	unsigned int n = rxq->batch, idx = rxq->tail & (rxq->size - 1u);

	/* Size and tail are multiples of the batch, so it never goes around the end, unless buffers ran out once. */
	if (n > rxq->size - idx)
		n = rxq->size - idx;
	if (QUOLL_UNLIKELY(quoll_buf_get(rxq->q.cache, rxq->bufs + idx, n))) {
		quoll_count(&rxq->q.nr_no_buf, 1);
		for (n /= 2; n && quoll_buf_get(rxq->q.cache, rxq->bufs + idx, n); n /= 2)
			;
		if (!n)
			return 0;
	}
	post(rxq, n);
	return n;
}

void virtio_rx_repost(struct virtio_rxq *rxq)
{
	struct quoll_buf **spare;
	unsigned int nr = 0;

	for (uint16_t at = rxq->clean; at != rxq->tail; at++) {
		struct quoll_buf *buf = rxq->bufs[at & (rxq->size - 1u)];

		if (buf)
			rxq->spare[nr++] = buf;
	}
	spare = rxq->bufs;
	rxq->bufs = rxq->spare;
	rxq->spare = spare;
	rxq->used = rxq->clean = rxq->tail = 0;
	rxq->broken = 0;
	if (nr)
		post(rxq, nr);
}

void virtio_rx_drain(struct virtio_rxq *rxq)
{
	for (; rxq->clean != rxq->tail; rxq->clean++) {
		struct quoll_buf **buf = &rxq->bufs[rxq->clean & (rxq->size - 1u)];

		if (*buf)
			quoll_buf_put(rxq->q.cache, buf, 1);
	}
}

/* Odd frames. */

static __attribute__((noinline)) void broken(struct virtio_rxq *rxq)
{
	if (!rxq->broken)
		quoll_count(&rxq->q.nr_bad, 1);
	/* Relaxed: a hint for whoever looks at the port's health. */
	__atomic_store_n(&rxq->broken, 1, __ATOMIC_RELAXED);
}

/* The buffer of a place that the device says it has finished; it is ours then. NULL: it was not with the device. */
static struct quoll_buf *take(struct virtio_rxq *rxq, uint32_t id)
{
	uint32_t mask = rxq->size - 1u;
	struct quoll_buf *buf;

	if (id > mask || ((id - rxq->clean) & mask) >= (uint16_t)(rxq->tail - rxq->clean) || !rxq->bufs[id]) {
		broken(rxq);
		return NULL;
	}
	buf = rxq->bufs[id];
	rxq->bufs[id] = NULL;
	rxq->used++;
	while (rxq->clean != rxq->tail && !rxq->bufs[rxq->clean & mask])
		rxq->clean++;
	return buf;
}

static inline uint64_t peek_split(const struct virtio_rxq *rxq, uint16_t used)
{
	const struct virtq_used *ring = rxq->device;

	/* Aligned: see ring.c for where the ring begins. */
	return quoll_le64_to_cpu(*(const volatile quoll_le64 *)(const void *)&ring->ring[used & (rxq->size - 1u)]);
}

static inline uint64_t peek_packed(const struct virtio_rxq *rxq, uint16_t used)
{
	const struct virtq_packed_desc *desc = rxq->desc;

	return quoll_le64_to_cpu(
		__atomic_load_n((const uint64_t *)&desc[used & (rxq->size - 1u)].bytes, __ATOMIC_ACQUIRE));
}

/* Flags and id of a packed descriptor that was finished in turn, as they lie in the upper half. */
#define PACKED_CARE (FLAGS_USED << 16 | UINT16_MAX)

static inline uint32_t packed_want(uint16_t used, uint16_t size)
{
	return used & size ? 0 : FLAGS_USED << 16;
}

static inline bool packed_is_used(const struct virtio_rxq *rxq, uint64_t word)
{
	return (word >> 32 & FLAGS_USED << 16) == packed_want(rxq->used, rxq->size);
}

/**
 * struct rx_next - what the device says of the next buffer
 */
struct rx_next {
	uint32_t id;
	uint32_t bytes;
};

/* Is there one more? @ready: used index of a split ring, as it was read. */
static bool next_one(const struct virtio_rxq *rxq, uint16_t ready, struct rx_next *next)
{
	uint64_t word;

	if (!rxq->ring->packed) {
		if (ready == rxq->used)
			return false;
		word = peek_split(rxq, rxq->used);
		*next = (struct rx_next){(uint32_t)word, (uint32_t)(word >> 32)};
		return true;
	}
	if (rxq->used == (uint16_t)(rxq->tail))
		return false;
	word = peek_packed(rxq, rxq->used);
	if (!packed_is_used(rxq, word))
		return false;
	*next = (struct rx_next){word >> 32 & UINT16_MAX, (uint32_t)word};
	return true;
}

/* What the header says of the frame, into its flags. Return: false: it makes no sense. */
static bool take_header(const struct virtio_rxq *rxq, struct quoll_buf *buf, const struct virtio_net_hdr *hdr)
{
	uint32_t gso = hdr->gso_type & ~VIRTIO_NET_GSO_ECN;

	buf->flags = 0;
	if (hdr->flags & VIRTIO_NET_HDR_NEEDS_CSUM) {
		if (!rxq->csum || !net_rx_partial(buf, quoll_le16_to_cpu(hdr->csum_start),
						  quoll_le16_to_cpu(hdr->csum_offset), gso != VIRTIO_NET_GSO_NONE))
			return false;
	} else if (hdr->flags & VIRTIO_NET_HDR_DATA_VALID && rxq->csum) {
		buf->flags = QUOLL_BUF_RX_L4_GOOD;
	}
	if (gso == VIRTIO_NET_GSO_NONE)
		return buf->total_bytes <= rxq->max_bytes;
	if (!rxq->gso || (gso != VIRTIO_NET_GSO_TCPV4 && gso != VIRTIO_NET_GSO_TCPV6))
		return false;
	if (!(buf->flags & QUOLL_BUF_RX_L4_PARTIAL) || !hdr->gso_bytes || buf->total_bytes > VIRTIO_MAX_GSO_BYTES)
		return false;
	buf->flags |= QUOLL_BUF_RX_GSO;
	buf->mss = quoll_le16_to_cpu(hdr->gso_bytes);
	return true;
}

static struct quoll_buf *drop(struct virtio_rxq *rxq, struct quoll_buf *buf)
{
	quoll_buf_put_chain(rxq->q.cache, buf);
	quoll_count(&rxq->q.nr_bad, 1);
	return NULL;
}

/* The further buffers of a frame. Return: false: not all of them are there, or one has more than fits. */
static bool append(struct virtio_rxq *rxq, struct quoll_buf *first, unsigned int nr, uint16_t ready)
{
	struct quoll_buf *last = first;
	bool good = true;

	for (; nr; nr--) {
		struct rx_next next;
		struct quoll_buf *buf;

		if (!next_one(rxq, ready, &next))
			return false;
		buf = take(rxq, next.id);
		if (!buf)
			return false;
		if (!next.bytes || next.bytes > rxq->room_bytes)
			good = false;
		else if (net_rx_is_staged(&rxq->q))
			net_stage_received(&rxq->q, buf, next.bytes);
		/* Only the first one has a header; in the others data begins where it would be. */
		buf->data_off -= VIRTIO_HDR_BYTES;
		buf->data_bytes = good ? next.bytes : 0;
		first->total_bytes += buf->data_bytes;
		first->nr_links++;
		last->next = buf;
		last = buf;
	}
	return good;
}

/*
 * The next frame, whatever it is like. Return: it, or NULL: there is none, it was dropped, or the queue is broken. Out
 * of line, so that the short way has the registers.
 */
static __attribute__((noinline)) struct quoll_buf *rx_odd(struct virtio_rxq *rxq, uint16_t ready, bool offloads,
							  bool *more)
{
	struct virtio_net_hdr hdr;
	struct rx_next next;
	struct quoll_buf *buf;
	unsigned int nr = 1;

	*more = false;
	if (!next_one(rxq, ready, &next))
		return NULL;
	buf = take(rxq, next.id);
	if (!buf)
		return NULL;
	*more = true;
	quoll_dma_rmb();
	buf->data_bytes = buf->total_bytes = 0;
	if (next.bytes < VIRTIO_HDR_BYTES || next.bytes > rxq->room_bytes)
		return drop(rxq, buf);
	buf->data_bytes = buf->total_bytes = next.bytes - VIRTIO_HDR_BYTES;
	buf->port = rxq->q.port_id;
	if (!offloads)
		return buf->total_bytes - NET_MIN_FRAME_BYTES <= rxq->max_bytes - NET_MIN_FRAME_BYTES ? buf
												      : drop(rxq, buf);
	if (net_rx_is_staged(&rxq->q))
		net_stage_received(&rxq->q, buf, next.bytes);
	memcpy(&hdr, (const uint8_t *)quoll_buf_data(buf) - VIRTIO_HDR_BYTES, sizeof(hdr));
	quoll_dma_rmb(); /* copied once, whatever becomes of it there */
	if (rxq->mergeable)
		nr = quoll_le16_to_cpu(hdr.nr_bufs);
	if (!nr || !append(rxq, buf, nr - 1, ready) || buf->total_bytes < NET_MIN_FRAME_BYTES ||
	    !take_header(rxq, buf, &hdr))
		return drop(rxq, buf);
	return buf;
}

/* The short way. */

static inline void set_bytes(struct quoll_buf *buf, uint32_t len)
{
	buf->data_bytes = len;
	/* Two stores; gcc would make a vector of the two equal values first, for three instructions more. */
	__asm__("" : "+m"(buf->data_bytes));
	buf->total_bytes = len;
}

/* Nothing but a frame in one buffer: flags and gso_type are 0, and of buffers there is one, if they are counted. */
static inline bool header_is_plain(const struct virtio_rxq *rxq, const struct quoll_buf *buf)
{
	const uint8_t *at = buf->va + rxq->headroom_bytes - VIRTIO_HDR_BYTES;
	uint16_t kind = *(const volatile uint16_t *)at;
	uint16_t nr = quoll_le16_to_cpu(*(const volatile quoll_le16 *)(at + offsetof(struct virtio_net_hdr, nr_bufs)));

	return !kind && (nr == 1 || !rxq->mergeable);
}

/* At most @n places from clean on, not beyond the end of the ring, while they are plain and in turn. */
static inline __attribute__((always_inline)) unsigned int rx_run(struct virtio_rxq *rxq, struct quoll_buf **out,
								 unsigned int n, const bool packed, const bool offloads)
{
	uint32_t idx = rxq->clean & (rxq->size - 1u), span = rxq->span_bytes, want = 0;
	struct quoll_buf *const *slot = rxq->bufs + idx;
	uint32_t header_at = rxq->headroom_bytes - VIRTIO_HDR_BYTES;
	uint16_t port_id = rxq->q.port_id;
	uint64_t bytes = 0;
	unsigned int i;

	if (packed)
		want = packed_want(rxq->used, rxq->size);
	for (i = 0; i < n; i++) {
		uint64_t word = packed ? peek_packed(rxq, (uint16_t)(idx + i)) : peek_split(rxq, (uint16_t)(idx + i));
		uint32_t len = packed ? (uint32_t)word : (uint32_t)(word >> 32);
		uint32_t id = packed ? (uint32_t)(word >> 32) & PACKED_CARE : (uint32_t)word;
		struct quoll_buf *buf = slot[i];

		if (QUOLL_UNLIKELY(id != (want | (idx + i)) || len - (VIRTIO_HDR_BYTES + NET_MIN_FRAME_BYTES) > span))
			break;
		if (offloads) {
			quoll_dma_rmb();
			if (QUOLL_UNLIKELY(!header_is_plain(rxq, buf)))
				break;
		}
		/* Who sends it on writes its header there, frame by frame: by then the lines have come, all at once. */
		virtq_prefetch_write(buf->va + header_at);
		len -= VIRTIO_HDR_BYTES;
		set_bytes(buf, len);
		buf->port = port_id;
		out[i] = buf;
		bytes += len;
	}
	rxq->used += (uint16_t)i;
	rxq->clean += (uint16_t)i;
	rxq->bytes += bytes;
	return i;
}

/* Plain runs, and odd frames between them, until @n frames or all that there are. */
static inline __attribute__((always_inline)) unsigned int rx_all(struct virtio_rxq *rxq, struct quoll_buf **out,
								 unsigned int n, uint16_t ready, const bool packed,
								 const bool offloads, const bool staged)
{
	unsigned int got = 0;
	bool more = true;

	while (got < n && more) {
		unsigned int run = packed ? (uint16_t)(rxq->tail - rxq->clean) : (uint16_t)(ready - rxq->used);
		unsigned int to_end = rxq->size - (rxq->clean & (rxq->size - 1u)), done = 0;
		struct quoll_buf *buf;

		if (!run)
			break;
		run = run > n - got ? n - got : run;
		run = run > to_end ? to_end : run;
		/* Once something was out of turn, place and index differ until all before it is done. */
		if (!staged && QUOLL_LIKELY(rxq->used == rxq->clean))
			done = rx_run(rxq, out + got, run, packed, offloads);
		got += done;
		if (done == run)
			continue;
		if (packed && !packed_is_used(rxq, peek_packed(rxq, rxq->used)))
			break;
		buf = rx_odd(rxq, ready, offloads, &more);
		if (buf) {
			rxq->bytes += buf->total_bytes;
			out[got++] = buf;
		}
	}
	return got;
}

static inline __attribute__((always_inline)) void refill(struct virtio_rxq *rxq)
{
	uint16_t before = rxq->tail;

	while ((uint16_t)(rxq->size - (uint16_t)(rxq->tail - rxq->clean)) >= rxq->batch && virtio_rx_fill(rxq))
		;
	if (rxq->tail == before)
		return;
	/* Pairs with the device's own: it says that it wants to hear, then looks for buffers. */
	quoll_dma_mb();
	virtio_ring_kick(rxq->ring, rxq->tail, (uint16_t)(rxq->tail - before));
}

static inline __attribute__((always_inline)) unsigned int rx_burst(struct quoll_rxq *q, struct quoll_buf **bufs,
								   unsigned int n, const bool packed,
								   const bool offloads, const bool staged)
{
	struct virtio_rxq *rxq = (struct virtio_rxq *)q;
	unsigned int got = 0;
	uint16_t ready = 0;

	if (QUOLL_UNLIKELY(net_port_dead(q->port)))
		return 0;
	if (QUOLL_LIKELY(virtio_enter(&rxq->turn))) {
		if (!packed) {
			const struct virtq_used *used = rxq->device;

			ready = quoll_le16_to_cpu(__atomic_load_n(&used->idx, __ATOMIC_ACQUIRE));
			/* More than it was given: nothing that it says is of use any more. */
			if (QUOLL_UNLIKELY((uint16_t)(ready - rxq->used) > (uint16_t)(rxq->tail - rxq->used)))
				broken(rxq);
			quoll_dma_rmb();
		}
		if (QUOLL_LIKELY(!rxq->broken)) {
			got = rx_all(rxq, bufs, n, ready, packed, offloads, staged);
			quoll_dma_rmb(); /* what the caller reads of the frames is not older than their being done */
			refill(rxq);
		}
		virtio_leave(&rxq->turn);
	}
	if (got) {
		quoll_count(&q->nr_packets, got);
		quoll_count(&q->nr_bytes, rxq->bytes);
		rxq->bytes = 0;
	}
	net_rxq_polled(q, got);
	return got;
}

static unsigned int rx_split(struct quoll_rxq *q, struct quoll_buf **bufs, unsigned int n)
{
	return rx_burst(q, bufs, n, false, false, false);
}

static unsigned int rx_split_offloads(struct quoll_rxq *q, struct quoll_buf **bufs, unsigned int n)
{
	return rx_burst(q, bufs, n, false, true, false);
}

static unsigned int rx_packed(struct quoll_rxq *q, struct quoll_buf **bufs, unsigned int n)
{
	return rx_burst(q, bufs, n, true, false, false);
}

static unsigned int rx_packed_offloads(struct quoll_rxq *q, struct quoll_buf **bufs, unsigned int n)
{
	return rx_burst(q, bufs, n, true, true, false);
}

static unsigned int rx_split_staged(struct quoll_rxq *q, struct quoll_buf **bufs, unsigned int n)
{
	return rx_burst(q, bufs, n, false, true, true);
}

static unsigned int rx_packed_staged(struct quoll_rxq *q, struct quoll_buf **bufs, unsigned int n)
{
	return rx_burst(q, bufs, n, true, true, true);
}

void virtio_rx_choose_burst(struct virtio_rxq *rxq)
{
	bool offloads = rxq->mergeable || rxq->csum;

	if (offloads && net_rx_is_staged(&rxq->q))
		rxq->q.burst = rxq->ring->packed ? rx_packed_staged : rx_split_staged;
	else if (rxq->ring->packed)
		rxq->q.burst = offloads ? rx_packed_offloads : rx_packed;
	else
		rxq->q.burst = offloads ? rx_split_offloads : rx_split;
}

bool virtio_rx_ready(const struct virtio_rxq *rxq)
{
	const struct virtq_used *used = rxq->device;
	struct rx_next next;

	if (rxq->ring->packed)
		return next_one(rxq, 0, &next);
	return quoll_le16_to_cpu(__atomic_load_n(&used->idx, __ATOMIC_ACQUIRE)) != rxq->used;
}
