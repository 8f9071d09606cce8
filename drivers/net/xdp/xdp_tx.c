/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * xdp_tx.c - frames into the transmit ring, and back from the completion ring.
 *
 * In copy mode the kernel sends only when it is told to, by a system call that takes some frames of the ring and may
 * leave others. What it leaves is sent by the next call, or by the port's check.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "xdp.h"

#define RECLAIM 64u

void xdp_kick(struct xdp_sock *sock)
{
	uint32_t before, now = __atomic_load_n(sock->tx.consumer, __ATOMIC_RELAXED);

	do {
		before = now;
		if (sendto(sock->fd, NULL, 0, MSG_DONTWAIT, NULL, 0) >= 0 || errno != EAGAIN)
			return;
		now = __atomic_load_n(sock->tx.consumer, __ATOMIC_RELAXED);
	} while (now != before && now != __atomic_load_n(sock->tx.producer, __ATOMIC_RELAXED));
}

/* Return: how many entries were looked at, RECLAIM at most. */
static inline uint32_t reclaim_some(struct xdp_txq *q)
{
	struct xdp_sock *sock = q->sock;
	const struct xdp_umem_map *map = &sock->map;
	struct quoll_buf *bufs[RECLAIM];
	uint32_t idx, n, nr_good = 0;

	n = xsk_ring_cons__peek(&sock->comp, RECLAIM, &idx);
	if (!n)
		return 0;
	for (uint32_t i = 0; i < n; i++) {
		uint64_t addr = *xsk_ring_cons__comp_addr(&sock->comp, idx + i);
		uint64_t nr = xdp_map_index(map, xsk_umem__add_offset_to_addr(addr));

		if (QUOLL_UNLIKELY(nr >= map->nr_bufs || sock->held[nr] != XDP_HELD_SENT))
			continue;
		sock->held[nr] = XDP_HELD_NOT;
		bufs[nr_good++] = &map->bufs[nr];
	}
	xsk_ring_cons__release(&sock->comp, n);
	quoll_buf_put(q->txq.cache, bufs, nr_good);
	__atomic_store_n(&sock->nr_out, sock->nr_out - nr_good, __ATOMIC_RELAXED);
	return n;
}

/* There can't be more than the ring has, whatever its index says; and others wait for this thread. */
static __attribute__((noinline)) void reclaim_rest(struct xdp_txq *q)
{
	for (uint32_t done = RECLAIM; done < q->entries; done += RECLAIM)
		if (reclaim_some(q) < RECLAIM)
			return;
}

void xdp_reclaim(struct xdp_txq *q)
{
	if (QUOLL_UNLIKELY(reclaim_some(q) == RECLAIM))
		reclaim_rest(q);
}

static inline void put_desc(struct xdp_sock *sock, const struct quoll_buf *buf, uint32_t idx, uint32_t options)
{
	struct xdp_desc *desc = xsk_ring_prod__tx_desc(&sock->tx, idx);

	desc->addr = (uint64_t)((uint8_t *)quoll_buf_data(buf) - sock->map.base);
	desc->len = buf->data_bytes;
	desc->options = options;
	sock->held[buf - sock->map.bufs] = XDP_HELD_SENT;
}

/* Frames are there for the kernel to see. */
static void submit(struct xdp_sock *sock, uint32_t n)
{
	xsk_ring_prod__submit(&sock->tx, n);
	sock->tx.cached_prod += n;
	__atomic_store_n(&sock->nr_out, sock->nr_out + n, __ATOMIC_RELAXED);
}

/* A frame with a link in another pool than the UMEM, which the kernel cannot see: into a buffer that it can. */
static struct quoll_buf *copy_frame(struct xdp_txq *q, struct quoll_buf *frame)
{
	struct xdp_sock *sock = q->sock;
	struct quoll_buf *to;
	uint32_t bytes = 0;

	if (frame->total_bytes > q->max_link_bytes || quoll_buf_get(sock->copies, &to, 1))
		return NULL;
	to->data_off = 0;
	for (const struct quoll_buf *buf = frame; buf && buf->data_bytes <= frame->total_bytes - bytes;
	     buf = buf->next) {
		memcpy(to->va + bytes, quoll_buf_data(buf), buf->data_bytes);
		bytes += buf->data_bytes;
	}
	to->data_bytes = to->total_bytes = bytes;
	quoll_buf_put_chain(q->txq.cache, frame);
	quoll_count(&sock->nr_copied, 1);
	return to;
}

/* What of a frame keeps it from being sent as it is. */
static void look_at_links(const struct xdp_txq *q, const struct quoll_buf *frame, bool *bad, bool *foreign)
{
	uint32_t bytes = 0, nr = 0;

	*foreign = false;
	*bad = net_tx_bad(&q->rules, frame);
	for (const struct quoll_buf *buf = frame; buf && nr <= frame->nr_links; buf = buf->next, nr++) {
		*foreign |= buf->pool != q->sock->map.pool;
		*bad |= buf->data_bytes > q->max_link_bytes;
		bytes += buf->data_bytes;
	}
	*bad |= nr != frame->nr_links || nr > q->max_links || bytes != frame->total_bytes;
}

/* Return: false if there is no room for it now. */
static bool send_one(struct xdp_txq *q, struct quoll_buf *frame, uint32_t room, uint32_t *taken)
{
	uint32_t idx = q->sock->tx.cached_prod, nr = 0;
	struct quoll_buf *next;
	bool bad, foreign;

	look_at_links(q, frame, &bad, &foreign);
	if (!bad && frame->nr_links > room)
		return false;
	if (!bad && foreign) {
		struct quoll_buf *copy = copy_frame(q, frame);

		bad = !copy;
		frame = copy ? copy : frame;
	}
	*taken = 0;
	if (bad) {
		quoll_buf_put_chain(q->txq.cache, frame);
		quoll_count(&q->txq.nr_bad, 1);
		return true;
	}
	quoll_count(&q->txq.nr_packets, 1);
	quoll_count(&q->txq.nr_bytes, frame->total_bytes);
	/* Links come back one by one, by their addresses. */
	for (struct quoll_buf *buf = frame; buf; buf = next, nr++) {
		next = buf->next;
		put_desc(q->sock, buf, idx + nr, next ? XDP_PKT_CONTD : 0);
	}
	submit(q->sock, nr);
	*taken = nr;
	return true;
}

static __attribute__((noinline)) unsigned int send_each(struct xdp_txq *q, struct quoll_buf *const *bufs,
							unsigned int n, uint32_t room)
{
	uint32_t taken;
	unsigned int i;

	for (i = 0; i < n && send_one(q, bufs[i], room, &taken); i++)
		room -= taken;
	return i;
}

/* Whether all of a batch are frames of one link in our pool, that can be sent. Without a branch a frame. */
static inline bool all_plain(const struct xdp_txq *q, struct quoll_buf *const *bufs, unsigned int n, uint64_t *bytes)
{
	uintptr_t pool = (uintptr_t)q->sock->map.pool, foreign = 0;
	uint32_t excess = 0, flags = 0, links = 0;

	*bytes = 0;
	for (unsigned int i = 0; i < n; i++) {
		const struct quoll_buf *buf = bufs[i];
		uint32_t len = buf->total_bytes;

		*bytes += len;
		excess = net_frame_excess(len) > excess ? net_frame_excess(len) : excess;
		flags |= buf->flags;
		links |= buf->nr_links;
		foreign |= (uintptr_t)buf->pool ^ pool;
	}
	return excess <= q->plain_excess && !(flags & q->rules.forbidden) && links == 1 && !foreign;
}

static unsigned int xdp_tx(struct quoll_txq *txq, struct quoll_buf *const *bufs, unsigned int n)
{
	struct xdp_txq *q = (struct xdp_txq *)txq;
	struct xdp_sock *sock = q->sock;
	uint64_t bytes;
	uint32_t room;

	if (QUOLL_UNLIKELY(!n || net_port_dead(txq->port)))
		return 0;
	xdp_reclaim(q);
	/* So there is also room in the ring, and in the one that brings them back. */
	room = q->entries - sock->nr_out;
	if (QUOLL_LIKELY(all_plain(q, bufs, n, &bytes) && n <= room)) {
		for (unsigned int i = 0; i < n; i++)
			put_desc(sock, bufs[i], sock->tx.cached_prod + i, 0);
		submit(sock, n);
		quoll_count(&txq->nr_packets, n);
		quoll_count(&txq->nr_bytes, bytes);
	} else {
		n = send_each(q, bufs, n, room);
	}
	if (xsk_ring_prod__needs_wakeup(&sock->tx))
		xdp_kick(sock);
	return n;
}

void xdp_txq_init(struct xdp_txq *q)
{
	const struct quoll_port *port = q->txq.port;
	uint32_t plain;

	net_tx_rules_init(&q->rules, port);
	q->max_links = port->info.max_tx_links;
	q->max_link_bytes = q->sock->map.chunk;
	q->entries = port->queues.entries;
	plain = q->rules.max_bytes < q->max_link_bytes ? q->rules.max_bytes : q->max_link_bytes;
	q->plain_excess = net_frame_excess(plain);
	q->txq.burst = xdp_tx;
}
