/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tap_queue.c - frames out of a TAP interface's queue and into it.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "../net_chain.h"
#include "../net_partial.h"
#include "tap.h"

/* Receive. */

/* What is missing of the buffers for one frame. False: there is not even one. */
static bool get_spare(struct tap_rxq *q)
{
	uint32_t missing = q->max_links - q->nr_spare;

	if (QUOLL_LIKELY(!missing))
		return true;
	if (!quoll_buf_get(q->rxq.cache, q->spare + q->nr_spare, missing)) {
		q->nr_spare = q->max_links;
		return true;
	}
	quoll_count(&q->rxq.nr_no_buf, 1);
	return false;
}

/* The first of the spare buffers become a frame of @bytes; those behind move up. */
static struct quoll_buf *make_frame(struct tap_rxq *q, uint32_t bytes)
{
	struct quoll_buf *first = q->spare[0];
	uint32_t nr = 0, left = bytes;

	do {
		struct quoll_buf *link = q->spare[nr++];

		link->data_bytes = left < q->room ? left : q->room;
		left -= link->data_bytes;
		link->next = left ? q->spare[nr] : NULL;
	} while (left);
	first->total_bytes = bytes;
	first->nr_links = (uint16_t)nr;
	first->port = q->rxq.port_id;
	q->nr_spare -= nr;
	memmove(q->spare, q->spare + nr, q->nr_spare * sizeof(q->spare[0]));
	return first;
}

/* What the kernel left undone, which it does only if we said that we take it. Return: false: it makes no sense. */
static bool take_header(const struct tap_rxq *q, struct quoll_buf *buf, const struct virtio_net_hdr *hdr)
{
	uint8_t gso = hdr->gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;

	if (hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
		if (!net_rx_partial(buf, hdr->csum_start, hdr->csum_offset, gso != VIRTIO_NET_HDR_GSO_NONE))
			return false;
	} else if (hdr->flags & VIRTIO_NET_HDR_F_DATA_VALID && q->offloads & QUOLL_OFFLOAD_RX_L4_CSUM) {
		buf->flags |= QUOLL_BUF_RX_L4_GOOD;
	}
	if (gso == VIRTIO_NET_HDR_GSO_TCPV4 || gso == VIRTIO_NET_HDR_GSO_TCPV6) {
		buf->flags |= QUOLL_BUF_RX_GSO;
		buf->mss = hdr->gso_size;
	}
	return true;
}

/* One frame. Return: NULL: there is none, or it was dropped; *more tells which. */
static struct quoll_buf *read_frame(struct tap_rxq *q, bool *more)
{
	struct iovec iov[TAP_MAX_LINKS + 2];
	struct virtio_net_hdr hdr;
	struct quoll_buf *buf;
	uint8_t beyond;
	ssize_t got;

	*more = false;
	if (!get_spare(q))
		return NULL;
	iov[0] = (struct iovec){&hdr, sizeof(hdr)};
	for (uint32_t i = 0; i < q->max_links; i++)
		iov[1 + i] = (struct iovec){quoll_buf_data(q->spare[i]), q->room};
	/* A frame that is longer than all of them fills this, too. */
	iov[1 + q->max_links] = (struct iovec){&beyond, 1};
	got = readv(q->fd, iov, (int)q->max_links + 2);
	if (got < 0)
		return NULL;
	*more = true;
	got -= (ssize_t)sizeof(hdr);
	if (got < (ssize_t)NET_MIN_FRAME_BYTES || got > (ssize_t)q->max_bytes ||
	    got > (ssize_t)q->max_links * (ssize_t)q->room) {
		quoll_count(&q->rxq.nr_bad, 1);
		return NULL;
	}
	buf = make_frame(q, (uint32_t)got);
	if (take_header(q, buf, &hdr))
		return buf;
	quoll_buf_put_chain(q->rxq.cache, buf);
	quoll_count(&q->rxq.nr_bad, 1);
	return NULL;
}

static unsigned int tap_rx(struct quoll_rxq *rxq, struct quoll_buf **bufs, unsigned int n)
{
	struct tap_rxq *q = (struct tap_rxq *)rxq;
	unsigned int nr = 0;
	uint64_t bytes = 0;
	bool more = true;

	if (QUOLL_UNLIKELY(net_port_dead(rxq->port)))
		return 0;
	/* Those that are dropped count, too: a poll ends. */
	for (unsigned int i = 0; i < n && more; i++) {
		struct quoll_buf *buf = read_frame(q, &more);

		if (!buf)
			continue;
		bytes += buf->total_bytes;
		bufs[nr++] = buf;
	}
	if (nr) {
		quoll_count(&rxq->nr_packets, nr);
		quoll_count(&rxq->nr_bytes, bytes);
	}
	net_rxq_polled(rxq, nr);
	return nr;
}

void tap_rxq_init(struct tap_rxq *q)
{
	const struct quoll_port *port = q->rxq.port;
	const struct quoll_buf_cache *cache = q->rxq.cache;

	q->offloads = port->settings.offloads;
	q->room = quoll_pool_buf_bytes(cache->pool) - cache->headroom_bytes;
	q->max_bytes =
		q->offloads & QUOLL_OFFLOAD_RX_GSO ? TAP_MAX_GSO_BYTES : port->settings.mtu + NET_FRAME_OVERHEAD_BYTES;
	q->max_links = 1;
	if (q->offloads & QUOLL_OFFLOAD_RX_SCATTER)
		q->max_links = (q->max_bytes + q->room - 1) / q->room;
	if (q->max_links > TAP_MAX_LINKS)
		q->max_links = TAP_MAX_LINKS;
	q->rxq.burst = tap_rx;
}

/* Transmit. */

static bool ask_for_csum(const struct quoll_buf *buf, struct virtio_net_hdr *hdr)
{
	bool tcp = buf->flags & QUOLL_BUF_TX_TCP_CSUM;
	uint32_t start = (uint32_t)buf->l2_bytes + buf->l3_bytes;

	hdr->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	hdr->csum_start = (uint16_t)start;
	hdr->csum_offset = tcp ? NET_TCP_CSUM_AT : NET_UDP_CSUM_AT;
	return start + hdr->csum_offset + 2 <= buf->total_bytes;
}

static bool ask_for_segments(struct quoll_buf *buf, uint32_t offloads, struct virtio_net_hdr *hdr)
{
	bool v4 = buf->flags & QUOLL_BUF_TX_IP_CSUM;
	uint32_t header = (uint32_t)buf->l2_bytes + buf->l3_bytes + buf->l4_bytes;

	if (!(offloads & (v4 ? QUOLL_OFFLOAD_TX_TSO4 : QUOLL_OFFLOAD_TX_TSO6)) || !buf->mss ||
	    !(buf->flags & QUOLL_BUF_TX_TCP_CSUM) || header >= buf->total_bytes || !net_tso_fill(buf))
		return false;
	hdr->gso_type = v4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
	hdr->hdr_len = (uint16_t)header;
	hdr->gso_size = buf->mss;
	return true;
}

/* Return: whether it can be sent; its header is filled in. */
static bool make_header(const struct tap_txq *q, struct quoll_buf *buf, struct virtio_net_hdr *hdr)
{
	bool tso = buf->flags & QUOLL_BUF_TX_TSO;
	uint32_t max = tso ? TAP_MAX_GSO_BYTES : q->rules.max_bytes;
	uint32_t forbidden = tso ? q->rules.forbidden & ~(QUOLL_BUF_TX_TSO | QUOLL_BUF_TX_IP_CSUM) : q->rules.forbidden;

	*hdr = (struct virtio_net_hdr){0};
	if (net_frame_excess(buf->total_bytes) > net_frame_excess(max) || buf->flags & forbidden ||
	    buf->nr_links > TAP_MAX_LINKS)
		return false;
	if (buf->flags & (QUOLL_BUF_TX_TCP_CSUM | QUOLL_BUF_TX_UDP_CSUM) && !ask_for_csum(buf, hdr))
		return false;
	return !tso || ask_for_segments(buf, q->offloads, hdr);
}

/* Return: 0: taken, counted; -EAGAIN: not now. */
static int write_frame(struct tap_txq *q, struct quoll_buf *buf)
{
	struct iovec iov[TAP_MAX_LINKS + 1];
	struct virtio_net_hdr hdr;
	int nr = 1;

	if (!make_header(q, buf, &hdr)) {
		quoll_count(&q->txq.nr_bad, 1);
		return 0;
	}
	iov[0] = (struct iovec){&hdr, sizeof(hdr)};
	for (struct quoll_buf *link = buf; link && nr <= (int)TAP_MAX_LINKS; link = link->next)
		iov[nr++] = (struct iovec){quoll_buf_data(link), link->data_bytes};
	if (writev(q->fd, iov, nr) >= 0) {
		quoll_count(&q->txq.nr_packets, 1);
		quoll_count(&q->txq.nr_bytes, buf->total_bytes);
		return 0;
	}
	if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS) {
		if (hdr.gso_type)
			net_tso_take_back(buf);
		return -EAGAIN;
	}
	/* EIO: the interface is down, as a cable that is not there; EINVAL: a header that makes no sense. */
	quoll_count(errno == EIO ? &q->nr_errors : &q->txq.nr_bad, 1);
	return 0;
}

static unsigned int tap_tx(struct quoll_txq *txq, struct quoll_buf *const *bufs, unsigned int n)
{
	struct tap_txq *q = (struct tap_txq *)txq;
	unsigned int i = 0;

	if (QUOLL_UNLIKELY(net_port_dead(txq->port)))
		return 0;
	for (; i < n && !write_frame(q, bufs[i]); i++)
		quoll_buf_put_chain(txq->cache, bufs[i]);
	return i;
}

void tap_txq_init(struct tap_txq *q)
{
	const struct quoll_port *port = q->txq.port;

	net_tx_rules_init(&q->rules, port);
	q->offloads = port->settings.offloads;
	if (q->offloads & QUOLL_OFFLOAD_TX_L4_CSUM)
		q->rules.forbidden &= ~(QUOLL_BUF_TX_TCP_CSUM | QUOLL_BUF_TX_UDP_CSUM);
	if (q->offloads & QUOLL_OFFLOAD_TX_TSO)
		q->rules.forbidden &= ~QUOLL_BUF_TX_TSO;
	q->txq.burst = tap_tx;
}
