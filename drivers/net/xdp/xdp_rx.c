/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * xdp_rx.c - frames from the receive ring, empty buffers into the fill ring.
 */
#include <sys/socket.h>

#include "xdp.h"

/* The kernel sleeps on the fill ring, or works only when it is asked to. */
static void wake_kernel(const struct xdp_sock *sock)
{
	/* Whatever it says: what it did is seen in the rings, and a dead interface by the port's check. */
	(void)recvfrom(sock->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
}

bool xdp_refill(struct xdp_rxq *q, uint32_t n)
{
	struct xdp_sock *sock = q->sock;
	const struct xdp_umem_map *map = &sock->map;
	struct quoll_buf *bufs[XDP_REFILL];
	uint32_t idx;

	/* The kernel shows frames first and the room that they leave in the ring only then: what finds none waits. */
	while (n >= XDP_REFILL && xsk_ring_prod__reserve(&sock->fill, XDP_REFILL, &idx)) {
		if (quoll_buf_get(q->rxq.cache, bufs, XDP_REFILL)) {
			sock->fill.cached_prod -= XDP_REFILL; /* not shown to the kernel yet, so it is free again */
			return false;
		}
		for (uint32_t i = 0; i < XDP_REFILL; i++) {
			uint32_t nr = (uint32_t)(bufs[i] - map->bufs);

			*xsk_ring_prod__fill_addr(&sock->fill, idx + i) = map->first + (uint64_t)nr * map->stride;
			sock->held[nr] = XDP_HELD_EMPTY;
		}
		xsk_ring_prod__submit(&sock->fill, XDP_REFILL);
		n -= XDP_REFILL;
		q->owed -= XDP_REFILL;
	}
	return true;
}

static __attribute__((noinline)) void refill_owed(struct xdp_rxq *q)
{
	if (!xdp_refill(q, q->owed))
		quoll_count(&q->rxq.nr_no_buf, 1);
}

/* The buffer of a descriptor, ours again; NULL if it names none that the kernel has. */
static inline struct quoll_buf *take(const struct xdp_sock *sock, const struct xdp_desc *desc)
{
	const struct xdp_umem_map *map = &sock->map;
	uint64_t offset = xsk_umem__add_offset_to_addr(desc->addr);
	uint64_t nr = xdp_map_index(map, offset);
	uint64_t within = offset - map->first - nr * map->stride;
	/* Relaxed: once, as the kernel may write there. */
	uint64_t len = __atomic_load_n(&desc->len, __ATOMIC_RELAXED);
	struct quoll_buf *buf;

	if (QUOLL_UNLIKELY(nr >= map->nr_bufs || sock->held[nr] != XDP_HELD_EMPTY || within + len > map->stride))
		return NULL;
	sock->held[nr] = XDP_HELD_NOT;
	buf = &map->bufs[nr];
	buf->data_off = (uint16_t)within;
	buf->data_bytes = (uint32_t)len;
	return buf;
}

static void drop_chain(struct xdp_rxq *q)
{
	quoll_buf_put_chain(q->rxq.cache, q->first);
	q->first = q->last = NULL;
	quoll_count(&q->rxq.nr_bad, 1);
}

static void add_link(struct xdp_rxq *q, struct quoll_buf *buf)
{
	if (!q->first) {
		q->first = buf;
		buf->total_bytes = buf->data_bytes;
		buf->nr_links = 1;
	} else {
		q->last->next = buf;
		q->first->total_bytes += buf->data_bytes;
		q->first->nr_links++;
	}
	q->last = buf;
}

/* A frame in parts, or one that is not as it should be. Return: the whole frame, when its end has come and it is good.
 */
static __attribute__((noinline)) struct quoll_buf *add_part(struct xdp_rxq *q, struct quoll_buf *buf, bool more)
{
	struct quoll_buf *whole;

	if (buf && q->skip)
		quoll_buf_put(q->rxq.cache, &buf, 1);
	else if (buf)
		add_link(q, buf);
	if (!q->skip &&
	    (!buf || q->first->total_bytes > q->max_bytes || (!more && q->first->total_bytes < NET_MIN_FRAME_BYTES))) {
		drop_chain(q);
		q->skip = true;
	}
	if (more)
		return NULL;
	q->skip = false;
	whole = q->first;
	q->first = q->last = NULL;
	return whole;
}

static unsigned int take_all(struct xdp_rxq *q, struct quoll_buf **bufs, unsigned int n, uint64_t *bytes)
{
	struct xdp_sock *sock = q->sock;
	uint16_t port_id = q->rxq.port_id;
	unsigned int nr = 0;
	uint32_t idx;

	n = xsk_ring_cons__peek(&sock->rx, n, &idx);
	if (!n)
		return 0;
	for (unsigned int i = 0; i < n; i++) {
		const struct xdp_desc *desc = xsk_ring_cons__rx_desc(&sock->rx, idx + i);
		bool more = desc->options & XDP_PKT_CONTD;
		struct quoll_buf *buf = take(sock, desc);

		if (QUOLL_UNLIKELY(!buf || more || q->first || q->skip ||
				   net_frame_excess(buf->data_bytes) > net_frame_excess(q->max_bytes))) {
			buf = add_part(q, buf, more);
			if (!buf)
				continue;
		} else {
			buf->total_bytes = buf->data_bytes;
		}
		buf->port = port_id;
		*bytes += buf->total_bytes;
		bufs[nr++] = buf;
	}
	xsk_ring_cons__release(&sock->rx, n);
	q->owed += n;
	return nr;
}

static unsigned int xdp_rx(struct quoll_rxq *rxq, struct quoll_buf **bufs, unsigned int n)
{
	struct xdp_rxq *q = (struct xdp_rxq *)rxq;
	struct xdp_sock *sock = q->sock;
	uint64_t bytes = 0;

	if (QUOLL_UNLIKELY(net_port_dead(rxq->port)))
		return 0;
	n = take_all(q, bufs, n, &bytes);
	if (q->owed >= XDP_REFILL)
		refill_owed(q);
	if (n) {
		quoll_count(&rxq->nr_packets, n);
		quoll_count(&rxq->nr_bytes, bytes);
	} else if (sock->busy || xsk_ring_prod__needs_wakeup(&sock->fill)) {
		wake_kernel(sock);
	}
	net_rxq_polled(rxq, n);
	return n;
}

void xdp_rxq_init(struct xdp_rxq *q)
{
	q->max_bytes = q->rxq.port->settings.mtu + NET_FRAME_OVERHEAD_BYTES;
	q->rxq.burst = xdp_rx;
}
