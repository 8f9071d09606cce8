/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_segment.c - TCP cut up into segments, as a device with segmentation offload does it.
 *
 * Payload is copied: buffers have one owner each, so that links cannot be shared between frames, and a copy is read
 * from the CPU's cache by the checksum that follows.
 */
#include <errno.h>

#include "net.h"
#include "net_chain.h"
#include "net_segment.h"

/* Bytes into fresh links of one frame, one after the other. */
struct writer {
	struct quoll_buf_cache *cache;
	struct quoll_buf *first;
	struct quoll_buf *last;
	uint32_t room; /* left in the last link */
};

/* Where payload is read next. */
struct reader {
	const struct quoll_buf *link;
	uint32_t off;
};

/**
 * struct cut - a frame that is cut up
 * @header:  of the next segment, but for lengths and flags
 * @header_bytes, @payload_bytes: of the frame
 * @sum:     what the TCP checksum field held
 * @tcp_flags: of the frame
 */
struct cut {
	const struct quoll_buf *buf;
	struct net_place place;
	uint8_t header[QUOLL_SOFT_MAX_HEADER_BYTES];
	uint32_t header_bytes;
	uint32_t payload_bytes;
	uint16_t sum;
	uint8_t tcp_flags;
	struct reader reader;
};

static int new_link(struct writer *w)
{
	struct quoll_buf *link;

	if (quoll_buf_get(w->cache, &link, 1))
		return -ENOBUFS;
	if (w->first)
		w->last->next = link;
	else
		w->first = link;
	w->first->nr_links += w->first != link;
	w->last = link;
	w->room = quoll_pool_buf_bytes(w->cache->pool) - link->data_off;
	return w->room ? 0 : -ENOBUFS;
}

static int put_bytes(struct writer *w, const uint8_t *from, uint32_t bytes)
{
	while (bytes) {
		uint32_t n;

		if (!w->room && new_link(w))
			return -ENOBUFS;
		n = bytes < w->room ? bytes : w->room;
		memcpy((uint8_t *)quoll_buf_data(w->last) + w->last->data_bytes, from, n);
		w->last->data_bytes += n;
		w->first->total_bytes += n;
		w->room -= n;
		from += n;
		bytes -= n;
	}
	return 0;
}

static int put_payload(struct writer *w, struct reader *r, uint32_t bytes)
{
	while (bytes) {
		uint32_t n = r->link->data_bytes - r->off;

		if (n > bytes)
			n = bytes;
		if (put_bytes(w, (uint8_t *)quoll_buf_data(r->link) + r->off, n))
			return -ENOBUFS;
		bytes -= n;
		r->off += n;
		if (r->off == r->link->data_bytes && bytes) {
			r->link = r->link->next;
			r->off = 0;
		}
	}
	return 0;
}

/* All links are as long as total_bytes says: payload is read without a look later on. */
static bool is_whole(const struct quoll_buf *buf)
{
	uint64_t bytes = 0;

	for (const struct quoll_buf *link = buf; link; link = link->next)
		bytes += link->data_bytes;
	return bytes >= buf->total_bytes;
}

/* The longest segment's length must fit the IP header's field; net_place() looked at those of the headers. */
static bool lengths_fit(const struct cut *cut, const struct quoll_buf *buf)
{
	uint32_t bytes = cut->payload_bytes < buf->mss ? cut->payload_bytes : buf->mss;

	return buf->mss && cut->header_bytes - cut->place.l3 + bytes <= UINT16_MAX;
}

static int begin(struct cut *cut, const struct quoll_buf *buf)
{
	uint8_t scratch[QUOLL_SOFT_MAX_HEADER_BYTES];
	const uint8_t *header, *tcp;
	int ret;

	cut->buf = buf;
	ret = net_place(buf, &cut->place);
	if (ret)
		return ret;
	cut->header_bytes = cut->place.l4 + buf->l4_bytes;
	if (buf->l4_bytes < NET_TCP_BYTES || cut->header_bytes > buf->total_bytes ||
	    cut->header_bytes > sizeof(cut->header) || !(buf->flags & QUOLL_BUF_TX_TCP_CSUM) || !is_whole(buf))
		return -EINVAL;
	header = net_chain_peek(buf, 0, cut->header_bytes, scratch);
	if (!header)
		return -EINVAL;
	memcpy(cut->header, header, cut->header_bytes);
	tcp = cut->header + cut->place.l4;
	cut->tcp_flags = tcp[13];
	if ((tcp[12] >> 4) * 4 != buf->l4_bytes || cut->tcp_flags & NET_TCP_SYN)
		return -EINVAL;
	memcpy(&cut->sum, tcp + NET_TCP_CSUM_AT, sizeof(cut->sum));
	cut->payload_bytes = buf->total_bytes - cut->header_bytes;
	if (!lengths_fit(cut, buf))
		return -EINVAL;
	cut->reader.link = buf;
	cut->reader.off = cut->header_bytes;
	while (cut->payload_bytes && cut->reader.off >= cut->reader.link->data_bytes) {
		cut->reader.off -= cut->reader.link->data_bytes;
		cut->reader.link = cut->reader.link->next;
	}
	return 0;
}

/* The header of a segment with @bytes of payload. */
static void edit_header(struct cut *cut, uint32_t bytes, bool first, bool last)
{
	uint8_t *ip = cut->header + cut->place.l3, *tcp = cut->header + cut->place.l4;
	uint32_t l4_bytes = cut->header_bytes - cut->place.l4 + bytes, l3_bytes = cut->place.l4 - cut->place.l3;
	uint16_t sum = net_csum_fold((uint64_t)cut->sum + net_cpu_to_be16((uint16_t)l4_bytes));
	uint8_t flags = cut->tcp_flags;

	if (cut->place.v6) {
		net_put_be16(ip + 4, l3_bytes - 40 + l4_bytes);
	} else {
		net_put_be16(ip + 2, l3_bytes + l4_bytes);
		ip[10] = ip[11] = 0;
	}
	if (!first)
		flags &= (uint8_t)~NET_TCP_CWR;
	if (!last)
		flags &= (uint8_t) ~(NET_TCP_FIN | NET_TCP_PSH);
	tcp[13] = flags;
	memcpy(tcp + NET_TCP_CSUM_AT, &sum, sizeof(sum));
}

/* Sequence number and ID go on. */
static void step_header(struct cut *cut, uint32_t bytes)
{
	uint8_t *ip = cut->header + cut->place.l3, *seq = cut->header + cut->place.l4 + 4;
	uint32_t value;

	memcpy(&value, seq, sizeof(value));
	value = __builtin_bswap32(__builtin_bswap32(value) + bytes);
	memcpy(seq, &value, sizeof(value));
	if (!cut->place.v6)
		net_put_be16(ip + 4, net_get_be16(ip + 4) + 1u);
}

/* What the frame asked for, but for being cut up; then what the port lacks is done. */
static int finish(uint32_t missing, const struct cut *cut, struct quoll_buf *segment)
{
	const struct quoll_buf *buf = cut->buf;
	struct net_place place;

	segment->flags = buf->flags & (QUOLL_BUF_TX_VLAN | QUOLL_BUF_TX_TCP_CSUM);
	segment->flags |= cut->place.v6 ? 0 : QUOLL_BUF_TX_IP_CSUM;
	segment->vlan_tci = buf->vlan_tci;
	segment->l2_bytes = buf->l2_bytes;
	segment->l3_bytes = buf->l3_bytes;
	segment->l4_bytes = buf->l4_bytes;
	if (net_place(segment, &place))
		return -EINVAL;
	return net_fill_csums(missing, segment, &place);
}

static int make(uint32_t missing, struct cut *cut, struct writer *w, uint32_t bytes)
{
	if (put_bytes(w, cut->header, cut->header_bytes) || put_payload(w, &cut->reader, bytes))
		return -ENOBUFS;
	return finish(missing, cut, w->first);
}

int net_segment(uint32_t missing, struct quoll_buf_cache *cache, struct quoll_buf *buf, struct quoll_buf **out,
		unsigned int max)
{
	uint32_t left, mss = buf->mss;
	unsigned int n = 0;
	struct cut cut;
	int ret;

	ret = begin(&cut, buf);
	if (ret)
		return ret;
	left = cut.payload_bytes;
	if ((uint64_t)max * mss < left)
		return -ENOSPC;
	do {
		uint32_t bytes = left < mss ? left : mss;
		struct writer w = {.cache = cache};

		left -= bytes;
		edit_header(&cut, bytes, !n, !left);
		ret = make(missing, &cut, &w, bytes);
		out[n++] = w.first;
		step_header(&cut, bytes);
	} while (!ret && left);
	if (ret) {
		while (n)
			quoll_buf_put_chain(cache, out[--n]);
		return ret;
	}
	quoll_buf_put_chain(cache, buf);
	return (int)n;
}
