/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_chain.h - bytes of a frame by their offset, whichever links they lie in; sums of them for checksums.
 *
 * A checksum is the complement of the one's complement sum of 16-bit words (RFC 1071). Here words are taken as they lie
 * in memory, so that a sum is stored without swapping, on any machine.
 */
#ifndef QUOLL_NET_CHAIN_H
#define QUOLL_NET_CHAIN_H

#include <stdbool.h>
#include <string.h>

#include <quoll/pool.h>

/* Where checksums are in their headers. */
#define NET_IPV4_CSUM_AT 10u
#define NET_TCP_CSUM_AT 16u
#define NET_UDP_CSUM_AT 6u

/* net_chain.c: out of line, for bytes that are not all in the first link. false, NULL: the chain is shorter. */
const uint8_t *net_chain_gather(const struct quoll_buf *buf, uint32_t off, uint32_t bytes, void *scratch);
bool net_chain_write(const struct quoll_buf *buf, uint32_t off, const void *data, uint32_t bytes);

/*
 * @sum and @bytes of data: the sum of a sum, for net_csum_fold(). Data begins at an even offset of what is summed up,
 * at any address.
 */
uint64_t net_csum_add(uint64_t sum, const void *data, size_t bytes);
/* The same for a part of a frame; @sum stays as it is past the chain's end. */
uint64_t net_csum_chain(uint64_t sum, const struct quoll_buf *buf, uint32_t off, uint32_t bytes);

/*
 * What who cuts a frame up (QUOLL_BUF_TX_TSO), or hands it on whole, expects of its headers by virtio's rules, and our
 * callers leave to it: the length in the sum of the pseudo-header, with QUOLL_BUF_TX_IP_CSUM the checksum of the IPv4
 * header. Return: false: the headers are not there, or not that long; nothing is changed.
 */
bool net_tso_fill(const struct quoll_buf *buf);
/* The frame stays its owner's after all: the length goes again. */
void net_tso_take_back(const struct quoll_buf *buf);

/* @bytes at @off, where they lie, or copied to @scratch; NULL: the chain is shorter. */
static inline const uint8_t *net_chain_peek(const struct quoll_buf *buf, uint32_t off, uint32_t bytes, void *scratch)
{
	if (QUOLL_LIKELY((uint64_t)off + bytes <= buf->data_bytes))
		return buf->va + buf->data_off + off;
	return net_chain_gather(buf, off, bytes, scratch);
}

/*
 * A frame to be sent, of at most @max_links: its links add up, none is missing. Return: links with data; 0: it is bad.
 */
static inline unsigned int net_chain_count(const struct quoll_buf *buf, uint32_t max_links)
{
	uint32_t total = buf->total_bytes, nr_links = buf->nr_links, n = 0;

	if (nr_links > max_links)
		return 0;
	for (; buf && nr_links; buf = buf->next, nr_links--) {
		if (buf->data_bytes > total)
			return 0;
		total -= buf->data_bytes;
		n += !!buf->data_bytes;
	}
	return buf || nr_links || total ? 0 : n;
}

/* One's complement addition. */
static inline uint64_t net_csum_plus(uint64_t a, uint64_t b)
{
	uint64_t sum = a + b;

	return sum + (sum < b);
}

/* 64 bits to 16, all but the complement. */
static inline uint16_t net_csum_fold(uint64_t sum)
{
	sum = (sum >> 32) + (uint32_t)sum;
	sum = (sum >> 32) + (uint32_t)sum;
	sum = (sum >> 16) + (uint16_t)sum;
	sum = (sum >> 16) + (uint16_t)sum;
	return (uint16_t)sum;
}

static inline uint16_t net_get_be16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static inline void net_put_be16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static inline uint16_t net_cpu_to_be16(uint16_t v)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return __builtin_bswap16(v);
#else
	return v;
#endif
}

#endif
