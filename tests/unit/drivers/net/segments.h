/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * segments.h - what must hold of the segments that a TCP frame was cut into; by means of their own, not the library's.
 */
#ifndef QUOLL_TESTS_NET_SEGMENTS_H
#define QUOLL_TESTS_NET_SEGMENTS_H

#include <string.h>

#include <quoll/pool.h>

#define SEGMENT_MAX_BYTES 70000u

/* The frame that was cut: flat; offsets of its headers. */
struct whole {
	const uint8_t *data;
	uint32_t bytes;
	uint32_t l3;
	uint32_t l4;
	uint32_t payload;
	uint32_t mss;
};

static inline uint32_t seg_be16(const uint8_t *at)
{
	return (uint32_t)at[0] << 8 | at[1];
}

static inline uint32_t seg_be32(const uint8_t *at)
{
	return seg_be16(at) << 16 | seg_be16(at + 2);
}

/* RFC 1071, a word at a time; not complemented. */
static inline uint32_t seg_sum(uint32_t sum, const uint8_t *data, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i++) {
		sum += i % 2 ? data[i] : (uint32_t)data[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

/* Return: bytes, 0 if its links do not fit its header. */
static inline uint32_t seg_flatten(const struct quoll_buf *buf, uint8_t *to)
{
	const struct quoll_buf *first = buf;
	uint32_t bytes = 0, nr = 0;

	for (; buf; buf = buf->next, nr++) {
		if (bytes + buf->data_bytes > SEGMENT_MAX_BYTES ||
		    buf->data_off + buf->data_bytes > quoll_pool_buf_bytes(buf->pool))
			return 0;
		memcpy(to + bytes, quoll_buf_data(buf), buf->data_bytes);
		bytes += buf->data_bytes;
	}
	return bytes == first->total_bytes && nr == first->nr_links ? bytes : 0;
}

/* TCP with its pseudo-header. @field_only: what the checksum field holds is to be the pseudo-header's sum. */
static inline bool seg_tcp_csum_good(const uint8_t *data, uint32_t bytes, const struct whole *w, bool field_only)
{
	bool v6 = data[w->l3] >> 4 == 6;
	uint32_t sum = seg_sum(bytes - w->l4 + 6, data + w->l3 + (v6 ? 8 : 12), v6 ? 32 : 8);
	uint32_t field = seg_be16(data + w->l4 + 16);

	sum = (sum & 0xffff) + (sum >> 16);
	if (field_only)
		return field % 0xffff == sum % 0xffff;
	return seg_sum(sum, data + w->l4, bytes - w->l4) == 0xffff;
}

static inline const char *seg_check_ip(const struct whole *w, const uint8_t *data, uint32_t bytes, unsigned int idx,
				       bool ip_csum)
{
	if (data[w->l3] >> 4 == 6)
		return seg_be16(data + w->l3 + 4) == bytes - w->l3 - 40 ? NULL : "payload length of IPv6";
	if (seg_be16(data + w->l3 + 2) != bytes - w->l3)
		return "total length of IPv4";
	if (seg_be16(data + w->l3 + 4) != ((seg_be16(w->data + w->l3 + 4) + idx) & 0xffff))
		return "ID of IPv4";
	if (ip_csum ? seg_sum(0, data + w->l3, w->l4 - w->l3) != 0xffff : seg_be16(data + w->l3 + 10))
		return "header checksum of IPv4";
	return NULL;
}

/* What may differ, set equal; then compared byte by byte with the whole frame's header. */
static inline bool seg_headers_same(const struct whole *w, uint8_t *data)
{
	bool v6 = data[w->l3] >> 4 == 6;

	memcpy(data + w->l3 + (v6 ? 4 : 2), w->data + w->l3 + (v6 ? 4 : 2), v6 ? 2 : 4);
	if (!v6)
		memcpy(data + w->l3 + 10, w->data + w->l3 + 10, 2);
	memcpy(data + w->l4 + 4, w->data + w->l4 + 4, 4);
	data[w->l4 + 13] = w->data[w->l4 + 13];
	memcpy(data + w->l4 + 16, w->data + w->l4 + 16, 2);
	return !memcmp(data, w->data, w->payload);
}

static inline const char *seg_check_one(const struct whole *w, uint8_t *data, uint32_t bytes, unsigned int idx,
					uint32_t at)
{
	bool first = !idx, last = at + bytes - w->payload == w->bytes;
	uint8_t flags = w->data[w->l4 + 13];

	if (!last && bytes - w->payload != w->mss)
		return "size of a segment";
	if (bytes - w->payload > w->mss)
		return "size of the last segment";
	if (seg_be32(data + w->l4 + 4) != seg_be32(w->data + w->l4 + 4) + (at - w->payload))
		return "sequence number";
	if (!first)
		flags &= 0x7f; /* CWR */
	if (!last)
		flags &= 0xf6; /* PSH, FIN */
	if (data[w->l4 + 13] != flags)
		return "flags";
	return seg_headers_same(w, data) ? NULL : "another part of the headers";
}

/**
 * segments_check() - segments put together again are the frame, and each is right by itself
 * @ip_csum, @l4_csum: the checksum is to be there; else the field holds 0, the pseudo-header's sum
 * Return: NULL, or what is wrong.
 */
static inline const char *segments_check(const struct whole *w, struct quoll_buf *const *out, unsigned int n,
					 bool ip_csum, bool l4_csum)
{
	static uint8_t data[SEGMENT_MAX_BYTES];
	uint32_t at = w->payload;

	for (unsigned int i = 0; i < n; i++) {
		uint32_t bytes = seg_flatten(out[i], data);
		const char *wrong;

		if (bytes < w->payload || at + bytes - w->payload > w->bytes)
			return "length";
		if (memcmp(data + w->payload, w->data + at, bytes - w->payload))
			return "payload";
		wrong = seg_check_ip(w, data, bytes, i, ip_csum);
		if (!wrong && !seg_tcp_csum_good(data, bytes, w, !l4_csum))
			wrong = "checksum of TCP";
		if (!wrong)
			wrong = seg_check_one(w, data, bytes, i, at);
		if (wrong)
			return wrong;
		at += bytes - w->payload;
	}
	return at == w->bytes ? NULL : "something is missing";
}

#endif
