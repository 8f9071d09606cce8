/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_chain.c - see net_chain.h.
 */
#include "net_chain.h"
#include "net_queue.h"

#define MIN_IPV4_BYTES 20u
#define MAX_IPV4_BYTES 60u

/* The link that @off lies in, made relative to it; NULL past the end. */
static const struct quoll_buf *find_link(const struct quoll_buf *buf, uint32_t *off)
{
	while (buf && *off >= buf->data_bytes) {
		*off -= buf->data_bytes;
		buf = buf->next;
	}
	return buf;
}

static uint32_t part_of(const struct quoll_buf *link, uint32_t off, uint32_t bytes)
{
	uint32_t rest = link->data_bytes - off;

	return bytes < rest ? bytes : rest;
}

const uint8_t *net_chain_gather(const struct quoll_buf *buf, uint32_t off, uint32_t bytes, void *scratch)
{
	uint8_t *to = scratch;

	while (bytes) {
		uint32_t n;

		buf = find_link(buf, &off);
		if (!buf)
			return NULL;
		n = part_of(buf, off, bytes);
		memcpy(to, (uint8_t *)quoll_buf_data(buf) + off, n);
		to += n;
		off += n;
		bytes -= n;
	}
	return scratch;
}

bool net_chain_write(const struct quoll_buf *buf, uint32_t off, const void *data, uint32_t bytes)
{
	const uint8_t *from = data;

	while (bytes) {
		uint32_t n;

		buf = find_link(buf, &off);
		if (!buf)
			return false;
		n = part_of(buf, off, bytes);
		memcpy((uint8_t *)quoll_buf_data(buf) + off, from, n);
		from += n;
		off += n;
		bytes -= n;
	}
	return true;
}

/* 64 bytes: one addition for eight of them, the carry going from each to the next. */
static inline uint64_t add_64_bytes(uint64_t sum, const uint8_t *at)
{
#if defined(__x86_64__)
	__asm__("addq 0(%1), %0\n\t"
		"adcq 8(%1), %0\n\t"
		"adcq 16(%1), %0\n\t"
		"adcq 24(%1), %0\n\t"
		"adcq 32(%1), %0\n\t"
		"adcq 40(%1), %0\n\t"
		"adcq 48(%1), %0\n\t"
		"adcq 56(%1), %0\n\t"
		"adcq $0, %0"
		: "+r"(sum)
		: "r"(at), "m"(*(const uint8_t(*)[64])at)
		: "cc");
#else
	for (unsigned int i = 0; i < 64; i += 8) {
		uint64_t word;

		memcpy(&word, at + i, sizeof(word));
		sum = net_csum_plus(sum, word);
	}
#endif
	return sum;
}

/* Fewer than 8 bytes, as if zeroes followed; each part begins at an even place. */
static inline uint64_t last_bytes(const uint8_t *at, size_t bytes)
{
	uint64_t sum = 0;
	uint32_t four;
	uint16_t two;

	if (bytes & 4) {
		memcpy(&four, at, sizeof(four));
		sum = four;
		at += 4;
	}
	if (bytes & 2) {
		memcpy(&two, at, sizeof(two));
		sum += two;
		at += 2;
	}
	if (bytes & 1) {
		const uint8_t one[2] = {*at, 0};

		memcpy(&two, one, sizeof(two));
		sum += two;
	}
	return sum;
}

uint64_t net_csum_add(uint64_t sum, const void *data, size_t bytes)
{
	const uint8_t *at = data;
	uint64_t other = 0;

	/* Each addition waits for the carry of the one before; two chains of them wait side by side. */
	for (; bytes >= 128; bytes -= 128, at += 128) {
		sum = add_64_bytes(sum, at);
		other = add_64_bytes(other, at + 64);
	}
	sum = net_csum_plus(sum, other);
	for (; bytes >= 64; bytes -= 64, at += 64)
		sum = add_64_bytes(sum, at);
	for (; bytes >= 8; bytes -= 8, at += 8) {
		uint64_t word;

		memcpy(&word, at, sizeof(word));
		sum = net_csum_plus(sum, word);
	}
	return net_csum_plus(sum, last_bytes(at, bytes));
}

uint64_t net_csum_chain(uint64_t sum, const struct quoll_buf *buf, uint32_t off, uint32_t bytes)
{
	bool odd = false;

	if (QUOLL_LIKELY((uint64_t)off + bytes <= buf->data_bytes))
		return net_csum_add(sum, (uint8_t *)quoll_buf_data(buf) + off, bytes);
	while (bytes && (buf = find_link(buf, &off))) {
		uint32_t n = part_of(buf, off, bytes);
		uint64_t part = net_csum_add(0, (uint8_t *)quoll_buf_data(buf) + off, n);

		/* A link that begins at an odd offset has its bytes in the other halves of the words. */
		sum = net_csum_plus(sum, odd ? __builtin_bswap16(net_csum_fold(part)) : part);
		odd ^= n & 1;
		off += n;
		bytes -= n;
	}
	return sum;
}

/* To the sum in the TCP header's field. */
static bool add_to_tcp(const struct quoll_buf *buf, uint32_t l4, uint16_t word)
{
	uint8_t scratch[2];
	const uint8_t *field = net_chain_peek(buf, l4 + NET_TCP_CSUM_AT, 2, scratch);
	uint16_t sum;

	if (!field)
		return false;
	memcpy(&sum, field, sizeof(sum));
	sum = net_csum_fold((uint64_t)sum + word);
	return net_chain_write(buf, l4 + NET_TCP_CSUM_AT, &sum, sizeof(sum));
}

static bool fill_ipv4(const struct quoll_buf *buf)
{
	uint8_t scratch[MAX_IPV4_BYTES];
	const uint8_t *ip = net_chain_peek(buf, buf->l2_bytes, buf->l3_bytes, scratch);
	uint64_t sum;
	uint16_t csum;

	if (!ip)
		return false;
	sum = net_csum_add(0, ip, NET_IPV4_CSUM_AT);
	sum = net_csum_add(sum, ip + NET_IPV4_CSUM_AT + 2, buf->l3_bytes - NET_IPV4_CSUM_AT - 2);
	csum = (uint16_t)~net_csum_fold(sum);
	return net_chain_write(buf, buf->l2_bytes + NET_IPV4_CSUM_AT, &csum, sizeof(csum));
}

bool net_tso_fill(const struct quoll_buf *buf)
{
	bool v4 = buf->flags & QUOLL_BUF_TX_IP_CSUM;
	uint32_t l4 = (uint32_t)buf->l2_bytes + buf->l3_bytes;

	if (v4 && (buf->l3_bytes < MIN_IPV4_BYTES || buf->l3_bytes > MAX_IPV4_BYTES || buf->l3_bytes & 3))
		return false;
	/* What lies before the field is there if the field is. */
	return add_to_tcp(buf, l4, net_cpu_to_be16((uint16_t)(buf->total_bytes - l4))) && (!v4 || fill_ipv4(buf));
}

void net_tso_take_back(const struct quoll_buf *buf)
{
	uint32_t l4 = (uint32_t)buf->l2_bytes + buf->l3_bytes;

	(void)add_to_tcp(buf, l4, (uint16_t)~net_cpu_to_be16((uint16_t)(buf->total_bytes - l4)));
}
