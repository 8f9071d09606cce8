/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tx.c - to the guest: frames are copied into the buffers of its receive ring, and ours go home at once.
 *
 * As in rx.c: frames of one buffer that fit into one descriptor are the way of nearly all, a batch at a time; all else
 * goes one by one. A frame that no buffer of the guest is long enough for is dropped (without mergeable buffers), and
 * what the guest made wrong is given back with nothing in it.
 */
#include <errno.h>

#include "../net_chain.h"
#include "ring.h"

/* What a call came to. */
struct counts {
	uint64_t bytes;
	unsigned int packets;
	unsigned int bad;
};

/* A frame's way into a descriptor. */
struct outgoing {
	uint8_t *va;
	uint16_t id;
};

/* A header that asks for nothing, of a frame in one buffer. */
static inline void put_plain_header(uint8_t *va)
{
	static_assert(offsetof(struct virtio_net_hdr, nr_bufs) == 10, "the last of three words has it");
	const uint32_t last = 1u << 16;

	memset(va, 0, 8);
	memcpy(va + 8, &last, sizeof(last));
}

/* Offloads. */

/* Return: false: the frame cannot be sent: lengths of headers make no sense, or the guest does not take such frames. */
static __attribute__((noinline)) bool ask_offloads(const struct vhost_ring *ring, const struct quoll_buf *buf,
						   struct virtio_net_hdr *hdr)
{
	uint32_t l4 = (uint32_t)buf->l2_bytes + buf->l3_bytes;
	uint64_t type = buf->flags & QUOLL_BUF_TX_IP_CSUM ? VIRTIO_NET_F_GUEST_TSO4 : VIRTIO_NET_F_GUEST_TSO6;
	bool tcp = buf->flags & QUOLL_BUF_TX_TCP_CSUM;

	hdr->flags = VIRTIO_NET_HDR_NEEDS_CSUM;
	hdr->csum_start = (uint16_t)l4;
	hdr->csum_offset = tcp ? NET_TCP_CSUM_AT : NET_UDP_CSUM_AT;
	if (!(ring->features & VIRTIO_NET_F_GUEST_CSUM) || l4 < NET_MIN_FRAME_BYTES ||
	    l4 + hdr->csum_offset + 2 > buf->data_bytes)
		return false;
	if (!(buf->flags & QUOLL_BUF_TX_TSO))
		return !(buf->flags & QUOLL_BUF_TX_IP_CSUM);
	if (!tcp || !(ring->features & type) || !buf->mss || buf->l4_bytes < 20 || l4 + buf->l4_bytes > buf->data_bytes)
		return false;
	hdr->gso_type = type == VIRTIO_NET_F_GUEST_TSO4 ? VIRTIO_NET_GSO_TCPV4 : VIRTIO_NET_GSO_TCPV6;
	hdr->hdr_bytes = (uint16_t)(l4 + buf->l4_bytes);
	hdr->gso_bytes = buf->mss;
	return net_tso_fill(buf);
}

static bool frame_bad(const struct vhost_txq *q, const struct quoll_buf *buf)
{
	if (!(buf->flags & QUOLL_BUF_TX_TSO))
		return net_tx_bad(&q->rules, buf);
	return buf->flags & q->rules.forbidden ||
	       net_frame_excess(buf->total_bytes) > net_frame_excess(VHOST_MAX_GSO_BYTES);
}

/* One by one. */

static void push(struct vhost_chain *to, unsigned int *at, const uint8_t *from, uint32_t n)
{
	while (n && *at < to->nr) {
		struct vhost_piece *piece = &to->pieces[*at];
		uint32_t part = n < piece->bytes ? n : piece->bytes;

		memcpy(piece->va, from, part);
		piece->va += part;
		piece->bytes -= part;
		if (!piece->bytes)
			++*at;
		from += part;
		n -= part;
	}
}

/* How far a ring has been looked at in this call. */
struct place {
	uint32_t ready; /* split: chains that are there */
	uint32_t slot;	/* packed */
	bool wrap;
};

/* The next chain of the ring, added to @chain. Return: 0; -EAGAIN: there is none; -EPROTO: it makes no sense, and has
 * been given back empty; -EIO: the ring is broken. */
static int next_chain(struct vhost_ring *ring, struct place *place, struct vhost_chain *chain)
{
	int rc;

	if (ring->nr_done == VHOST_MAX_USED)
		return -EAGAIN;
	if (ring->is_packed) {
		if (!vhost_packed_ready(ring, place->slot, place->wrap))
			return -EAGAIN;
		rc = vhost_walk_packed(ring, place->slot, true, chain);
		if (!chain->slots) {
			vhost_break(ring);
			return -EIO;
		}
		vhost_packed_step(ring->size, &place->slot, &place->wrap, chain->slots);
		vhost_done(ring, chain->id, chain->slots, 0);
		return rc;
	}
	if (ring->nr_done == place->ready)
		return -EAGAIN;
	chain->id = vhost_split_head(ring, ring->nr_done);
	if (chain->id >= ring->size) {
		vhost_break(ring);
		return -EIO;
	}
	rc = vhost_walk_split(ring, chain->id, true, chain);
	vhost_done(ring, chain->id, 1, 0);
	return rc;
}

/* Packed: chains from @first on are one frame, and the guest sees all of them or none. */
static void join(struct vhost_ring *ring, uint16_t first)
{
	if (!ring->is_packed || ring->nr_done - first < 2)
		return;
	ring->joined = true;
	for (unsigned int i = first; i + 1u < ring->nr_done; i++)
		ring->done[i].bytes |= VHOST_USED_MORE;
}

/*
 * Buffers of the guest for one frame. Return: 0; -EAGAIN: there are too few, and none is taken; -EMSGSIZE: one is too
 * short and there may be no second, none is taken; -EIO.
 */
static int gather(struct vhost_ring *ring, struct place *place, struct vhost_chain *chain, uint64_t bytes,
		  struct counts *counts)
{
	struct place before = *place;
	uint16_t first = ring->nr_done;
	uint64_t had;
	int rc;

	chain->nr = 0;
	chain->bytes = 0;
	while (chain->bytes < bytes) {
		unsigned int nr = chain->nr;

		had = chain->bytes;
		rc = next_chain(ring, place, chain);
		if (rc == -EPROTO && ring->nr_done == first + 1) {
			/* It stays in front, empty: the frame begins behind it. */
			counts->bad++;
			first++;
			before = *place;
			chain->nr = 0;
			chain->bytes = 0;
			continue;
		}
		if (rc == -EPROTO) {
			chain->nr = nr;
			chain->bytes = had;
			continue;
		}
		if (!rc && chain->bytes < bytes && !ring->mergeable)
			rc = -EMSGSIZE;
		if (rc == -EAGAIN &&
		    (ring->nr_done - first >= (int)ring->size || (!first && ring->nr_done == VHOST_MAX_USED)))
			rc = -EMSGSIZE; /* nor will there be more */
		if (rc) {
			ring->nr_done = first;
			*place = before;
			return rc;
		}
		ring->done[ring->nr_done - 1].bytes = (uint32_t)(chain->bytes - had);
	}
	/* The last one need not be filled up. */
	ring->done[ring->nr_done - 1].bytes -= (uint32_t)(chain->bytes - bytes);
	return 0;
}

/* Return: whether the frame is done with, sent or dropped; false: there is no room for it. */
static __attribute__((noinline)) bool send_one(struct vhost_txq *q, struct vhost_ring *ring, struct place *place,
					       struct quoll_buf *buf, struct counts *counts)
{
	struct virtio_net_hdr hdr = {0};
	struct vhost_chain chain;
	uint16_t first = ring->nr_done;
	unsigned int at = 0;
	int rc;

	if (frame_bad(q, buf) || (buf->flags & NET_TX_FLAGS && !ask_offloads(ring, buf, &hdr))) {
		counts->bad++;
		return true;
	}
	rc = gather(ring, place, &chain, (uint64_t)VHOST_HDR_BYTES + buf->total_bytes, counts);
	if (rc) {
		if (hdr.gso_type)
			net_tso_take_back(buf);
		counts->bad += rc == -EMSGSIZE;
		return rc == -EMSGSIZE;
	}
	while (!ring->done[first].bytes)
		first++;
	hdr.nr_bufs = (uint16_t)(ring->nr_done - first);
	join(ring, first);
	push(&chain, &at, (const uint8_t *)&hdr, sizeof(hdr));
	for (const struct quoll_buf *link = buf; link; link = link->next)
		push(&chain, &at, quoll_buf_data(link), link->data_bytes);
	counts->packets++;
	counts->bytes += buf->total_bytes;
	return true;
}

/* A batch at a time. */

/* Whether that descriptor takes a frame of so many bytes, header included, all by itself. */
static inline bool fits(uint16_t flags, uint32_t room, uint32_t bytes)
{
	return (flags & (VIRTQ_DESC_NEXT | VIRTQ_DESC_INDIRECT | VIRTQ_DESC_WRITE)) == VIRTQ_DESC_WRITE &&
	       room >= bytes;
}

/* A header mostly ends a line, so that the frame begins on the next. */
static inline void prefetch_room(const uint8_t *va)
{
	virtq_prefetch_write(va);
	virtq_prefetch_write(va + QUOLL_CACHE_LINE_BYTES);
}

static inline bool plain(const struct net_tx_rules *rules, const struct quoll_buf *buf)
{
	return buf->nr_links == 1 && !net_tx_bad(rules, buf) && !(buf->flags & NET_TX_FLAGS);
}

/* Frames that are plain, and descriptors that fit, up to the first that is not. Nothing is taken yet. */
static inline unsigned int look_split(const struct vhost_txq *q, struct vhost_ring *ring, const struct place *place,
				      struct quoll_buf *const *bufs, struct outgoing *out, unsigned int n)
{
	/* A copy: past each vhost_copied() the compiler would look at memory again. */
	const struct net_tx_rules rules = q->rules;
	const uint32_t size = ring->size;
	unsigned int i;

	if (n > place->ready - ring->nr_done)
		n = place->ready - ring->nr_done;
	for (i = 0; i < n; i++) {
		out[i].id = vhost_split_head(ring, ring->nr_done + i);
		__builtin_prefetch(&ring->desc[out[i].id & (size - 1)]);
	}
	for (i = 0; i < n; i++) {
		uint32_t bytes = bufs[i]->total_bytes + VHOST_HDR_BYTES;
		struct virtq_desc desc;

		if (QUOLL_UNLIKELY(out[i].id >= size || !plain(&rules, bufs[i])))
			break;
		memcpy(&desc, &ring->desc[out[i].id], sizeof(desc));
		vhost_copied();
		if (QUOLL_UNLIKELY(!fits(desc.flags, desc.bytes, bytes)))
			break;
		out[i].va = vhost_at(ring, desc.addr, bytes);
		if (QUOLL_UNLIKELY(!out[i].va))
			break;
		prefetch_room(out[i].va);
	}
	return i;
}

static inline unsigned int look_packed(const struct vhost_txq *q, struct vhost_ring *ring, struct place *place,
				       struct quoll_buf *const *bufs, struct outgoing *out, unsigned int n)
{
	const struct net_tx_rules rules = q->rules; /* as above */
	unsigned int i;

	for (i = 0; i < n && vhost_packed_ready(ring, place->slot, place->wrap) && plain(&rules, bufs[i]); i++) {
		uint32_t bytes = bufs[i]->total_bytes + VHOST_HDR_BYTES;
		struct virtq_packed_desc desc;

		memcpy(&desc, &ring->packed[place->slot], sizeof(desc));
		vhost_copied();
		if (QUOLL_UNLIKELY(!fits(desc.flags, desc.bytes, bytes)))
			break;
		out[i].va = vhost_at(ring, desc.addr, bytes);
		if (QUOLL_UNLIKELY(!out[i].va))
			break;
		out[i].id = desc.id;
		prefetch_room(out[i].va);
		vhost_packed_step(ring->size, &place->slot, &place->wrap, 1);
	}
	return i;
}

static inline void send_plain(struct vhost_ring *ring, struct quoll_buf *const *bufs, const struct outgoing *out,
			      unsigned int n, struct counts *counts)
{
	struct vhost_used *done = ring->done + ring->nr_done;
	uint64_t sum = 0;

	for (unsigned int i = 0; i < n; i++) {
		uint32_t bytes = bufs[i]->total_bytes;
		uint8_t *va = out[i].va;

		put_plain_header(va);
		vhost_copy(va + VHOST_HDR_BYTES, quoll_buf_data(bufs[i]), bytes);
		done[i] = (struct vhost_used){out[i].id, 1, bytes + VHOST_HDR_BYTES};
		sum += bytes;
	}
	ring->nr_done = (uint16_t)(ring->nr_done + n);
	counts->bytes += sum;
	counts->packets += n;
}

/* Return: how many are done with. */
static inline unsigned int tx_ring(struct vhost_txq *q, struct vhost_ring *ring, struct quoll_buf *const *bufs,
				   unsigned int n, struct counts *counts, bool packed)
{
	struct place place = {.slot = ring->next, .wrap = ring->wrap};
	struct outgoing out[VHOST_BATCH];
	unsigned int sent = 0, run;

	if (!packed)
		place.ready = vhost_split_ready(ring);
	while (sent < n && !ring->broken && ring->nr_done < VHOST_MAX_USED - VHOST_BATCH) {
		run = packed ? look_packed(q, ring, &place, bufs + sent, out, n - sent)
			     : look_split(q, ring, &place, bufs + sent, out, n - sent);
		send_plain(ring, bufs + sent, out, run, counts);
		sent += run;
		if (sent == n || !send_one(q, ring, &place, bufs[sent], counts))
			break;
		sent++;
	}
	vhost_give_back(q->vring, ring, true);
	return sent;
}

static unsigned int tx_split(struct vhost_txq *q, struct vhost_ring *ring, struct quoll_buf *const *bufs,
			     unsigned int n, struct counts *counts)
{
	return tx_ring(q, ring, bufs, n, counts, false);
}

static unsigned int tx_packed(struct vhost_txq *q, struct vhost_ring *ring, struct quoll_buf *const *bufs,
			      unsigned int n, struct counts *counts)
{
	return tx_ring(q, ring, bufs, n, counts, true);
}

static void put_sent(struct vhost_txq *q, struct quoll_buf *const *bufs, unsigned int n)
{
	uint32_t links = 0;

	for (unsigned int i = 0; i < n; i++)
		links |= bufs[i]->nr_links;
	if (QUOLL_LIKELY(links <= 1)) {
		quoll_buf_put(q->txq.cache, bufs, n);
		return;
	}
	for (unsigned int i = 0; i < n; i++)
		quoll_buf_put_chain(q->txq.cache, bufs[i]);
}

unsigned int vhost_tx(struct quoll_txq *txq, struct quoll_buf *const *bufs, unsigned int n)
{
	struct vhost_txq *q = (struct vhost_txq *)txq;
	struct counts counts = {0};
	struct vhost_ring *ring;

	if (QUOLL_UNLIKELY(net_port_dead(txq->port)))
		return 0;
	ring = vhost_enter(q->vring);
	if (QUOLL_UNLIKELY(!ring))
		return 0;
	n = n < VHOST_BATCH ? n : VHOST_BATCH;
	n = ring->is_packed ? tx_packed(q, ring, bufs, n, &counts) : tx_split(q, ring, bufs, n, &counts);
	vhost_leave(q->vring);
	put_sent(q, bufs, n);
	quoll_count(&txq->nr_packets, counts.packets);
	quoll_count(&txq->nr_bytes, counts.bytes);
	if (QUOLL_UNLIKELY(counts.bad))
		quoll_count(&txq->nr_bad, counts.bad);
	return n;
}
