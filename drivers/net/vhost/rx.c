/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rx.c - from the guest: frames are copied out of its transmit ring into fresh buffers.
 *
 * A call looks at the descriptors of its whole batch first, so that the frames are on their way into the cache when
 * they are copied. A frame in one descriptor is the way of nearly all; whatever else there is (chains, indirect tables,
 * frames for several buffers) goes through chain.c.
 */
#include <errno.h>
#include <sys/epoll.h>

#include "../net_partial.h"
#include "ring.h"

/* The shortest that a descriptor holds: header and frame. */
#define MIN_BYTES (VHOST_HDR_BYTES + NET_MIN_FRAME_BYTES)

/**
 * struct incoming - a frame of the batch
 * @va: header and frame in one piece, @bytes in all; NULL: look at its chain
 */
struct incoming {
	const uint8_t *va;
	uint32_t bytes;
	uint16_t id;
};

/* What the guest left undone. Return: false: the header makes no sense, or asks for what was not agreed on. */
static __attribute__((noinline)) bool take_offloads(const struct vhost_ring *ring, const struct virtio_net_hdr *hdr,
						    struct quoll_buf *buf)
{
	uint8_t type = hdr->gso_type & (uint8_t)~VIRTIO_NET_GSO_ECN;
	uint64_t needs = type == VIRTIO_NET_GSO_TCPV4 ? VIRTIO_NET_F_HOST_TSO4 : VIRTIO_NET_F_HOST_TSO6;

	if (type != VIRTIO_NET_GSO_NONE) {
		if ((type != VIRTIO_NET_GSO_TCPV4 && type != VIRTIO_NET_GSO_TCPV6) || !(ring->features & needs) ||
		    !hdr->gso_bytes || !(hdr->flags & VIRTIO_NET_HDR_NEEDS_CSUM))
			return false;
		buf->flags |= QUOLL_BUF_RX_GSO;
		buf->mss = hdr->gso_bytes;
	}
	if (hdr->flags & VIRTIO_NET_HDR_NEEDS_CSUM) {
		if (!(ring->features & VIRTIO_NET_F_CSUM) ||
		    !net_rx_partial(buf, hdr->csum_start, hdr->csum_offset, type != VIRTIO_NET_GSO_NONE))
			return false;
	}
	return true;
}

/* A header that asks for something is copied whole, and what it says then counts. */
static __attribute__((noinline)) bool take_header(const struct vhost_ring *ring, const uint8_t *va,
						  struct quoll_buf *buf)
{
	struct virtio_net_hdr hdr;

	memcpy(&hdr, va, sizeof(hdr));
	vhost_copied();
	return take_offloads(ring, &hdr, buf);
}

/* The usual frame. Return: false: it is to be dropped. */
static inline bool take_simple(struct vhost_rxq *q, struct vhost_ring *ring, const struct incoming *in,
			       struct quoll_buf *buf)
{
	uint32_t bytes = in->bytes - VHOST_HDR_BYTES;
	const uint8_t *va = in->va;
	uint16_t asks; /* flags and gso_type */

	static_assert(offsetof(struct virtio_net_hdr, hdr_bytes) == sizeof(asks), "they are in front");
	memcpy(&asks, va, sizeof(asks));
	vhost_copied();
	vhost_copy(quoll_buf_data(buf), va + VHOST_HDR_BYTES, bytes);
	buf->data_bytes = bytes;
	buf->total_bytes = bytes;
	buf->port = q->rxq.port_id;
	return QUOLL_LIKELY(!asks) || take_header(ring, va, buf);
}

/* The next bytes of a chain. */
static void pull(struct vhost_chain *chain, unsigned int *at, uint8_t *to, uint32_t n)
{
	while (n) {
		struct vhost_piece *piece = &chain->pieces[*at];
		uint32_t part = n < piece->bytes ? n : piece->bytes;

		memcpy(to, piece->va, part);
		piece->va += part;
		piece->bytes -= part;
		if (!piece->bytes)
			++*at;
		to += part;
		n -= part;
	}
}

/* A frame as a chain of buffers, the first of which is @buf. Return: 0, -ENOBUFS: what there is hangs on @buf. */
static int pull_frame(struct vhost_rxq *q, struct vhost_chain *chain, unsigned int at, struct quoll_buf *buf,
		      uint32_t bytes)
{
	struct quoll_buf *last = buf;

	buf->total_bytes = bytes;
	for (;;) {
		last->data_bytes = bytes < q->room ? bytes : q->room;
		pull(chain, &at, quoll_buf_data(last), last->data_bytes);
		bytes -= last->data_bytes;
		if (!bytes)
			return 0;
		if (quoll_buf_get(q->rxq.cache, &last->next, 1)) {
			last->next = NULL;
			return -ENOBUFS;
		}
		last = last->next;
		buf->nr_links++;
	}
}

/* Whatever is not simple. Return: 0; -EPROTO, -ENOBUFS: it is to be dropped, with what hangs on @buf. */
static __attribute__((noinline)) int take_chain(struct vhost_rxq *q, struct vhost_ring *ring, struct vhost_chain *chain,
						struct quoll_buf *buf)
{
	uint64_t bytes = chain->bytes - VHOST_HDR_BYTES;
	struct virtio_net_hdr hdr;
	unsigned int at = 0;
	uint64_t max;
	int rc;

	if (chain->bytes < MIN_BYTES)
		return -EPROTO;
	pull(chain, &at, (uint8_t *)&hdr, sizeof(hdr));
	max = hdr.gso_type != VIRTIO_NET_GSO_NONE ? VHOST_MAX_GSO_BYTES : q->max_bytes;
	if (bytes > max || (bytes > q->room && !q->scatter))
		return -EPROTO;
	rc = pull_frame(q, chain, at, buf, (uint32_t)bytes);
	if (rc)
		return rc;
	buf->port = q->rxq.port_id;
	return !(hdr.flags | hdr.gso_type) || take_offloads(ring, &hdr, buf) ? 0 : -EPROTO;
}

/* Whether a descriptor is a frame of its own, for one buffer. */
static inline bool is_simple(const struct vhost_rxq *q, uint32_t bytes, uint16_t flags)
{
	return !(flags & (VIRTQ_DESC_NEXT | VIRTQ_DESC_INDIRECT | VIRTQ_DESC_WRITE)) &&
	       bytes - MIN_BYTES <= q->max_excess;
}

static inline void prefetch_frame(const uint8_t *va)
{
	__builtin_prefetch(va);
	__builtin_prefetch(va + QUOLL_CACHE_LINE_BYTES);
}

/* What a call counted. */
struct counts {
	uint64_t bytes;
	unsigned int bad;
	unsigned int no_buf;
	unsigned int chains; /* packed: the last look at a chain: 1 if it was a frame */
};

static void drop(struct vhost_rxq *q, struct quoll_buf *buf, int why, struct counts *counts)
{
	quoll_buf_put_chain(q->rxq.cache, buf);
	if (why == -ENOBUFS)
		counts->no_buf++;
	else
		counts->bad++;
}

/* Split: a chain that is more than one descriptor. Return: as take_chain(). */
static __attribute__((noinline)) int take_split_chain(struct vhost_rxq *q, struct vhost_ring *ring, uint16_t head,
						      struct quoll_buf *buf)
{
	struct vhost_chain chain;
	int rc;

	chain.nr = 0;
	chain.bytes = 0;
	rc = vhost_walk_split(ring, head, false, &chain);
	return rc ? rc : take_chain(q, ring, &chain, buf);
}

/* Frames of incoming descriptors, each into one of @bufs; those that are good are moved to the front of it. */
static inline unsigned int take_all(struct vhost_rxq *q, struct vhost_ring *ring, const struct incoming *in,
				    struct quoll_buf **bufs, unsigned int n, struct counts *counts)
{
	struct vhost_used *done = ring->done + ring->nr_done;
	unsigned int good = 0;
	int rc;

	for (unsigned int i = 0; i < n; i++) {
		struct quoll_buf *buf = bufs[i];

		if (QUOLL_LIKELY(in[i].va != NULL))
			rc = take_simple(q, ring, &in[i], buf) ? 0 : -EPROTO;
		else
			rc = take_split_chain(q, ring, in[i].id, buf);
		done[i] = (struct vhost_used){in[i].id, 1, 0};
		if (QUOLL_UNLIKELY(rc)) {
			drop(q, buf, rc, counts);
			continue;
		}
		counts->bytes += buf->total_bytes;
		bufs[good++] = buf;
	}
	ring->nr_done = (uint16_t)(ring->nr_done + n);
	return good;
}

/* As many as there are, or fewer; the cache gives all or nothing. */
static unsigned int get_bufs(struct vhost_rxq *q, struct quoll_buf **bufs, unsigned int n, struct counts *counts)
{
	unsigned int got = 0;

	if (QUOLL_LIKELY(!quoll_buf_get(q->rxq.cache, bufs, n)))
		return n;
	for (unsigned int step = n / 2; step; step /= 2)
		if (!quoll_buf_get(q->rxq.cache, bufs + got, step))
			got += step;
	counts->no_buf++;
	return got;
}

/* Heads and descriptors of @n chains. Return: false: one is no place in the table. */
static inline bool look_split(struct vhost_rxq *q, struct vhost_ring *ring, struct incoming *in, unsigned int n)
{
	uint32_t worst = 0;

	for (unsigned int i = 0; i < n; i++) {
		in[i].id = vhost_split_head(ring, i);
		worst = in[i].id > worst ? in[i].id : worst;
		__builtin_prefetch(&ring->desc[in[i].id & (ring->size - 1)]);
	}
	if (QUOLL_UNLIKELY(worst >= ring->size))
		return false;
	for (unsigned int i = 0; i < n; i++) {
		struct virtq_desc desc;

		memcpy(&desc, &ring->desc[in[i].id], sizeof(desc));
		vhost_copied();
		in[i].bytes = desc.bytes;
		in[i].va = is_simple(q, desc.bytes, desc.flags) ? vhost_at(ring, desc.addr, desc.bytes) : NULL;
		if (QUOLL_LIKELY(in[i].va != NULL))
			prefetch_frame(in[i].va);
	}
	return true;
}

static unsigned int rx_split(struct vhost_rxq *q, struct vhost_ring *ring, struct quoll_buf **bufs, unsigned int n,
			     struct counts *counts)
{
	uint32_t ready = vhost_split_ready(ring);
	struct incoming in[VHOST_BATCH];

	if (n > ready)
		n = ready;
	if (!n)
		return 0;
	if (!look_split(q, ring, in, n)) {
		vhost_break(ring);
		return 0;
	}
	n = get_bufs(q, bufs, n, counts);
	n = take_all(q, ring, in, bufs, n, counts);
	vhost_give_back(q->vring, ring, false);
	return n;
}

/* Packed: descriptors that are frames of their own, up to the first that is not. */
static inline unsigned int look_packed(struct vhost_rxq *q, struct vhost_ring *ring, struct incoming *in,
				       unsigned int n, uint32_t *slot, bool *wrap)
{
	unsigned int i;

	for (i = 0; i < n && vhost_packed_ready(ring, *slot, *wrap); i++) {
		struct virtq_packed_desc desc;

		memcpy(&desc, &ring->packed[*slot], sizeof(desc));
		vhost_copied();
		in[i].id = desc.id;
		in[i].bytes = desc.bytes;
		in[i].va = is_simple(q, desc.bytes, desc.flags) ? vhost_at(ring, desc.addr, desc.bytes) : NULL;
		if (QUOLL_UNLIKELY(!in[i].va))
			break;
		prefetch_frame(in[i].va);
		vhost_packed_step(ring->size, slot, wrap, 1);
	}
	return i;
}

/* One chain at that slot: into *bufs, and chains is 1. Return: false: it stays where it is. */
static __attribute__((noinline)) bool rx_packed_chain(struct vhost_rxq *q, struct vhost_ring *ring,
						      struct quoll_buf **bufs, uint32_t *slot, bool *wrap,
						      struct counts *counts)
{
	struct vhost_chain chain;
	int rc;

	chain.nr = 0;
	chain.bytes = 0;
	rc = vhost_walk_packed(ring, *slot, false, &chain);
	if (!chain.slots) {
		vhost_break(ring);
		return false;
	}
	if (quoll_buf_get(q->rxq.cache, bufs, 1)) {
		counts->no_buf++;
		return false;
	}
	vhost_done(ring, chain.id, chain.slots, 0);
	vhost_packed_step(ring->size, slot, wrap, chain.slots);
	if (!rc)
		rc = take_chain(q, ring, &chain, bufs[0]);
	if (rc) {
		drop(q, bufs[0], rc, counts);
		return true;
	}
	counts->bytes += bufs[0]->total_bytes;
	counts->chains++;
	return true;
}

static unsigned int rx_packed(struct vhost_rxq *q, struct vhost_ring *ring, struct quoll_buf **bufs, unsigned int n,
			      struct counts *counts)
{
	struct incoming in[VHOST_BATCH];
	uint32_t slot = ring->next;
	bool wrap = ring->wrap;
	unsigned int good = 0, run, got;

	while (ring->nr_done < n) {
		run = look_packed(q, ring, in, n - ring->nr_done, &slot, &wrap);
		got = run ? get_bufs(q, bufs + good, run, counts) : 0;
		good += take_all(q, ring, in, bufs + good, got, counts);
		if (QUOLL_LIKELY(got < run || ring->nr_done == n || !vhost_packed_ready(ring, slot, wrap)))
			break;
		counts->chains = 0;
		if (!rx_packed_chain(q, ring, bufs + good, &slot, &wrap, counts))
			break;
		good += counts->chains;
	}
	vhost_give_back(q->vring, ring, false);
	return good;
}

/* The guest has moved here: a frame from its address, so that switches learn where it is. Source: RFC 903. */
static __attribute__((noinline)) unsigned int rarp(struct vhost_rxq *q, struct quoll_buf **bufs)
{
	static const uint8_t types[] = {0x80, 0x35, 0, 1, 8, 0, 6, 4, 0, 3};
	const uint8_t *mac = ((struct vhost_port *)q->rxq.port)->rarp_mac;
	uint8_t *frame;

	/* Pairs with the release in send_rarp(): the address is there. */
	if (!__atomic_exchange_n(&q->rarp, 0, __ATOMIC_ACQUIRE) || quoll_buf_get(q->rxq.cache, bufs, 1))
		return 0;
	frame = quoll_buf_data(bufs[0]);
	memset(frame, 0, 60);
	memset(frame, 0xff, 6);
	memcpy(frame + 6, mac, 6);
	memcpy(frame + 12, types, sizeof(types));
	memcpy(frame + 22, mac, 6);
	memcpy(frame + 32, mac, 6);
	bufs[0]->data_bytes = bufs[0]->total_bytes = 60;
	bufs[0]->port = q->rxq.port_id;
	quoll_count(&q->rxq.nr_packets, 1);
	quoll_count(&q->rxq.nr_bytes, 60);
	return 1;
}

unsigned int vhost_rx(struct quoll_rxq *rxq, struct quoll_buf **bufs, unsigned int n)
{
	struct vhost_rxq *q = (struct vhost_rxq *)rxq;
	struct counts counts = {0};
	struct vhost_ring *ring;
	unsigned int room = n;

	if (QUOLL_UNLIKELY(net_port_dead(rxq->port)))
		return 0;
	ring = vhost_enter(q->vring);
	if (QUOLL_LIKELY(ring != NULL)) {
		n = n < VHOST_BATCH ? n : VHOST_BATCH;
		n = ring->is_packed ? rx_packed(q, ring, bufs, n, &counts) : rx_split(q, ring, bufs, n, &counts);
		vhost_leave(q->vring);
		quoll_count(&rxq->nr_packets, n);
		quoll_count(&rxq->nr_bytes, counts.bytes);
		if (QUOLL_UNLIKELY(counts.bad | counts.no_buf)) {
			quoll_count(&rxq->nr_bad, counts.bad);
			quoll_count(&rxq->nr_no_buf, counts.no_buf);
		}
	} else {
		n = 0;
	}
	/* Relaxed: a hint, rarp() looks again. With frames of the guest's own on their way nobody needs it. */
	if (QUOLL_UNLIKELY(!n && __atomic_load_n(&q->rarp, __ATOMIC_RELAXED) && room))
		n = rarp(q, bufs);
	net_rxq_polled(rxq, n);
	return n;
}

/* Sleeping: what the guest would have to tell, we look for ourselves, unless we are about to sleep. */

void vhost_want_kicks(struct vhost_ring *ring, bool wanted)
{
	if (ring->is_packed) {
		__atomic_store_n(&ring->device_event->flags, wanted ? VIRTQ_EVENT_ENABLE : VIRTQ_EVENT_DISABLE,
				 __ATOMIC_RELAXED);
		return;
	}
	__atomic_store_n(&ring->used->flags, wanted ? 0 : VIRTQ_USED_NO_NOTIFY, __ATOMIC_RELAXED);
	/* With event indexes flags have no meaning; the next chain but one turn is as good as never. */
	if (ring->event_idx)
		__atomic_store_n((quoll_le16 *)&ring->used->ring[ring->size],
				 (uint16_t)(wanted ? ring->next : ring->next - 1), __ATOMIC_RELAXED);
}

int vhost_rx_arm(struct quoll_rxq *rxq)
{
	struct vhost_rxq *q = (struct vhost_rxq *)rxq;
	struct vhost_ring *ring;
	int ready;

	/* Relaxed: whoever leaves work behind polls on, and does it. */
	if (net_port_dead(rxq->port) || __atomic_load_n(&q->rarp, __ATOMIC_RELAXED) ||
	    __atomic_load_n(&((struct vhost_port *)rxq->port)->pending, __ATOMIC_RELAXED))
		return 1;
	ring = vhost_enter(q->vring);
	if (!ring) /* somebody who connects, a message, or a ring that is handed out wakes us */
		return 0;
	vhost_want_kicks(ring, true);
	/* Our wish, then its chains: the guest does it the other way round, so one of us sees the other. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	ready = ring->is_packed ? vhost_packed_ready(ring, ring->next, ring->wrap) : !!vhost_split_ready(ring);
	vhost_leave(q->vring);
	return ready;
}

void vhost_rx_disarm(struct quoll_rxq *rxq)
{
	struct vhost_vring *vring = ((struct vhost_rxq *)rxq)->vring;
	struct vhost_ring *ring = vhost_enter(vring);
	struct epoll_event events[8];

	if (ring) {
		vhost_want_kicks(ring, false);
		vhost_leave(vring);
	}
	/* What is watched for edges is forgotten once it was told; nobody reads from a file that a peer holds. */
	while (epoll_wait(vring->epoll_fd, events, 8, 0) == 8)
		;
}
