/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_toeplitz.c - the hash of receive-side scaling: for each bit of the input that is set, the 32 bits of the key from
 * there on, added without carry. What four bits add is looked up.
 */
#include "net_chain.h"
#include "net_queue.h"
#include "net_rss.h"

/* 32 bits of the key, from bit @at on. */
static uint32_t window(const uint8_t *key, unsigned int at)
{
	uint64_t bits = 0;

	for (unsigned int i = 0; i < 5; i++)
		bits = bits << 8 | (at / 8 + i < QUOLL_RSS_KEY_BYTES ? key[at / 8 + i] : 0);
	return (uint32_t)(bits >> (8 - at % 8));
}

void quoll_rss_hasher_init(struct quoll_rss_hasher *hasher, const uint8_t key[QUOLL_RSS_KEY_BYTES])
{
	for (unsigned int i = 0; i < 2 * QUOLL_RSS_MAX_INPUT_BYTES; i++)
		for (unsigned int value = 0; value < 16; value++) {
			uint32_t adds = 0;

			for (unsigned int bit = 0; bit < 4; bit++)
				if (value & 8u >> bit)
					adds ^= window(key, 4 * i + bit);
			hasher->nibbles[i][value] = adds;
		}
}

uint32_t quoll_rss_hash(const struct quoll_rss_hasher *hasher, const void *input, unsigned int bytes)
{
	const uint8_t *at = input;
	uint32_t hash = 0;

	if (bytes > QUOLL_RSS_MAX_INPUT_BYTES)
		bytes = QUOLL_RSS_MAX_INPUT_BYTES;
	for (unsigned int i = 0; i < bytes; i++)
		hash ^= hasher->nibbles[2 * i][at[i] >> 4] ^ hasher->nibbles[2 * i + 1][at[i] & 15];
	return hash;
}

/* The type with ports if the frame has any and it is asked for, else that of the addresses. */
static uint32_t choose(uint32_t types, const struct quoll_frame *frame)
{
	static const uint32_t by_addresses[] = {0, QUOLL_RSS_IPV4, QUOLL_RSS_IPV6};
	static const uint32_t by_ports[][3] = {
		{0, 0, 0}, {0, QUOLL_RSS_TCP4, QUOLL_RSS_UDP4}, {0, QUOLL_RSS_TCP6, QUOLL_RSS_UDP6}};
	uint32_t type = types & by_ports[frame->l3][frame->l4];

	return type ? type : types & by_addresses[frame->l3];
}

uint32_t quoll_rss_hash_frame(const struct quoll_rss_hasher *hasher, uint32_t types, struct quoll_buf *buf,
			      const struct quoll_frame *frame)
{
	uint32_t type = choose(types, frame);
	bool v6 = frame->l3 == QUOLL_L3_IPV6;
	unsigned int bytes = v6 ? 32 : 8;
	uint8_t input[QUOLL_RSS_MAX_INPUT_BYTES], scratch[32];
	const uint8_t *addresses, *ports;

	if (!type)
		return 0;
	addresses = net_chain_peek(buf, frame->l2_bytes + (v6 ? 8u : 12u), bytes, scratch);
	if (!addresses)
		return 0;
	if (v6)
		memcpy(input, addresses, 32);
	else
		memcpy(input, addresses, 8);
	if (type & ~(QUOLL_RSS_IPV4 | QUOLL_RSS_IPV6)) {
		ports = net_chain_peek(buf, (uint32_t)frame->l2_bytes + frame->l3_bytes, 4, scratch);
		if (!ports)
			return 0;
		memcpy(input + bytes, ports, 4);
		bytes += 4;
	}
	buf->hash = quoll_rss_hash(hasher, input, bytes);
	buf->flags |= QUOLL_BUF_RX_HASH;
	return type;
}
