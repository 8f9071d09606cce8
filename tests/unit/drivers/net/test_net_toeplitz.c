/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_net_toeplitz.c - the hash against the vectors that Microsoft published with it, and of frames by type.
 *
 * Source: Microsoft, "Verifying the RSS Hash Calculation" (Windows driver documentation).
 */
#include <arpa/inet.h>
#include <string.h>

#include <net/net_queue.h>
#include <net/net_rss.h>

#include "frames.h"
#include "unit.h"

static const struct {
	const char *dst;
	uint16_t dst_port;
	const char *src;
	uint16_t src_port;
	uint32_t with_ports;
	uint32_t addresses;
} published[] = {
	{"161.142.100.80", 1766, "66.9.149.187", 2794, 0x51ccc178, 0x323e8fc2},
	{"65.69.140.83", 4739, "199.92.111.2", 14230, 0xc626b0ea, 0xd718262a},
	{"12.22.207.184", 38024, "24.19.198.95", 12898, 0x5c2b394a, 0xd2d0a5de},
	{"209.142.163.6", 2217, "38.27.205.30", 48228, 0xafc7327f, 0x82989176},
	{"202.188.127.2", 1303, "153.39.163.191", 44251, 0x10e828a2, 0x5d1809c5},
	{"3ffe:2501:200:3::1", 1766, "3ffe:2501:200:1fff::7", 2794, 0x40207d3d, 0x2cc18cd5},
	{"ff02::1", 4739, "3ffe:501:8::260:97ff:fe40:efab", 14230, 0xdde51bbf, 0x0f0c461c},
	{"fe80::200:f8ff:fe21:67cf", 38024, "3ffe:1900:4545:3:200:f8ff:fe21:67cf", 44251, 0x02d1feef, 0x4b61e985},
};
#define NR_PUBLISHED (sizeof(published) / sizeof(published[0]))

/* Return: bytes of the addresses. */
static unsigned int fill_input(size_t i, uint8_t *input)
{
	int family = strchr(published[i].src, ':') ? AF_INET6 : AF_INET;
	unsigned int n = family == AF_INET6 ? 16 : 4;
	uint16_t ports[2] = {htons(published[i].src_port), htons(published[i].dst_port)};

	CU_ASSERT_EQUAL(inet_pton(family, published[i].src, input), 1);
	CU_ASSERT_EQUAL(inet_pton(family, published[i].dst, input + n), 1);
	memcpy(input + 2 * n, ports, 4);
	return 2 * n;
}

static void published_vectors_hold(void)
{
	uint8_t input[QUOLL_RSS_MAX_INPUT_BYTES];
	struct quoll_rss_hasher hasher;

	quoll_rss_hasher_init(&hasher, quoll_rss_key_default);
	for (size_t i = 0; i < NR_PUBLISHED; i++) {
		unsigned int n = fill_input(i, input);

		CU_ASSERT_EQUAL(quoll_rss_hash(&hasher, input, n), published[i].addresses);
		CU_ASSERT_EQUAL(quoll_rss_hash(&hasher, input, n + 4), published[i].with_ports);
	}
}

static void key_of_two_bytes_makes_both_directions_one(void)
{
	uint8_t input[QUOLL_RSS_MAX_INPUT_BYTES], back[QUOLL_RSS_MAX_INPUT_BYTES], key[QUOLL_RSS_KEY_BYTES];
	struct quoll_rss_hasher hasher;

	for (unsigned int i = 0; i < sizeof(key); i++)
		key[i] = i % 2 ? 0x5a : 0x6d;
	quoll_rss_hasher_init(&hasher, key);
	for (size_t i = 0; i < NR_PUBLISHED; i++) {
		unsigned int n = fill_input(i, input);

		memcpy(back, input + n / 2, n / 2);
		memcpy(back + n / 2, input, n / 2);
		memcpy(back + n, input + n + 2, 2);
		memcpy(back + n + 2, input + n, 2);
		CU_ASSERT_NOT_EQUAL(memcmp(back, input, n + 4), 0);
		CU_ASSERT_EQUAL(quoll_rss_hash(&hasher, input, n + 4), quoll_rss_hash(&hasher, back, n + 4));
	}
}

/* Bit by bit, as the specification words it. */
static uint32_t by_bits(const uint8_t *key, const uint8_t *input, unsigned int bytes)
{
	uint32_t hash = 0;

	for (unsigned int i = 0; i < 8 * bytes; i++) {
		if (!(input[i / 8] & 0x80u >> i % 8))
			continue;
		for (unsigned int k = 0; k < 32; k++)
			if (key[(i + k) / 8] & 0x80u >> (i + k) % 8)
				hash ^= 0x80000000u >> k;
	}
	return hash;
}

static void tables_agree_with_bits(void)
{
	uint8_t input[QUOLL_RSS_MAX_INPUT_BYTES + 4] = {0}, key[QUOLL_RSS_KEY_BYTES];
	struct quoll_rss_hasher hasher;

	srandom(5);
	for (unsigned int round = 0; round < 50; round++) {
		for (unsigned int i = 0; i < sizeof(key); i++)
			key[i] = (uint8_t)random();
		for (unsigned int i = 0; i < sizeof(input); i++)
			input[i] = (uint8_t)random();
		quoll_rss_hasher_init(&hasher, key);
		for (unsigned int n = 0; n <= QUOLL_RSS_MAX_INPUT_BYTES; n++)
			CU_ASSERT_EQUAL(quoll_rss_hash(&hasher, input, n), by_bits(key, input, n));
		CU_ASSERT_EQUAL(quoll_rss_hash(&hasher, input, sizeof(input)),
				by_bits(key, input, QUOLL_RSS_MAX_INPUT_BYTES));
	}
}

static struct quoll_rss_hasher hasher;

/* Return: the type; *hash as by_bits() has it of addresses at @at, and of the ports at @ports unless 0. */
static uint32_t hash_frame(const uint8_t *data, uint32_t bytes, uint32_t types, uint32_t *hash)
{
	struct quoll_buf buf = {
		.va = (uint8_t *)(uintptr_t)data, .data_bytes = bytes, .total_bytes = bytes, .nr_links = 1};
	struct quoll_frame f;
	uint32_t type;

	quoll_frame_parse(&buf, &f);
	type = quoll_rss_hash_frame(&hasher, types, &buf, &f);
	CU_ASSERT_EQUAL(buf.flags, type ? QUOLL_BUF_RX_HASH : 0);
	*hash = buf.hash;
	return type;
}

static uint32_t expected(const uint8_t *data, uint32_t at, uint32_t bytes, uint32_t ports)
{
	uint8_t input[QUOLL_RSS_MAX_INPUT_BYTES];

	memcpy(input, data + at, bytes);
	if (ports)
		memcpy(input + bytes, data + ports, 4);
	return by_bits(quoll_rss_key_default, input, bytes + (ports ? 4 : 0));
}

static void frames_are_hashed_by_their_most_particular_type(void)
{
	uint32_t hash, all = 0x3f;

	quoll_rss_hasher_init(&hasher, quoll_rss_key_default);
	CU_ASSERT_EQUAL(hash_frame(frame_tcp4, sizeof(frame_tcp4), all, &hash), QUOLL_RSS_TCP4);
	CU_ASSERT_EQUAL(hash, expected(frame_tcp4, 26, 8, 34));
	CU_ASSERT_EQUAL(hash_frame(frame_udp4, sizeof(frame_udp4), all, &hash), QUOLL_RSS_UDP4);
	CU_ASSERT_EQUAL(hash, expected(frame_udp4, 26, 8, 34));
	CU_ASSERT_EQUAL(hash_frame(frame_opt, sizeof(frame_opt), all, &hash), QUOLL_RSS_UDP4);
	CU_ASSERT_EQUAL(hash, expected(frame_opt, 26, 8, 46));
	CU_ASSERT_EQUAL(hash_frame(frame_tcp6, sizeof(frame_tcp6), all, &hash), QUOLL_RSS_TCP6);
	CU_ASSERT_EQUAL(hash, expected(frame_tcp6, 22, 32, 54));
	CU_ASSERT_EQUAL(hash_frame(frame_ext, sizeof(frame_ext), all, &hash), QUOLL_RSS_UDP6);
	CU_ASSERT_EQUAL(hash, expected(frame_ext, 22, 32, 70));
	CU_ASSERT_EQUAL(hash_frame(frame_tcp4, sizeof(frame_tcp4), all & ~QUOLL_RSS_TCP4, &hash), QUOLL_RSS_IPV4);
	CU_ASSERT_EQUAL(hash, expected(frame_tcp4, 26, 8, 0));
	CU_ASSERT_EQUAL(hash_frame(frame_ext, sizeof(frame_ext), QUOLL_RSS_IPV6 | QUOLL_RSS_TCP6, &hash),
			QUOLL_RSS_IPV6);
	CU_ASSERT_EQUAL(hash, expected(frame_ext, 22, 32, 0));
}

static void what_fits_no_type_has_no_hash(void)
{
	uint8_t fragment[sizeof(frame_udp4)], arp[60] = {0};
	uint32_t hash;

	CU_ASSERT_EQUAL(hash_frame(frame_tcp4, sizeof(frame_tcp4), QUOLL_RSS_UDP4 | QUOLL_RSS_IPV6, &hash), 0);
	memcpy(fragment, frame_udp4, sizeof(fragment));
	fragment[20] = 0x20;
	CU_ASSERT_EQUAL(hash_frame(fragment, sizeof(fragment), QUOLL_RSS_UDP4, &hash), 0);
	CU_ASSERT_EQUAL(hash_frame(fragment, sizeof(fragment), QUOLL_RSS_UDP4 | QUOLL_RSS_IPV4, &hash), QUOLL_RSS_IPV4);
	arp[12] = 0x08;
	arp[13] = 0x06;
	CU_ASSERT_EQUAL(hash_frame(arp, sizeof(arp), 0x3f, &hash), 0);
	CU_ASSERT_EQUAL(hash_frame(frame_udp4, 40, 0x3f, &hash), 0);
}

static const struct unit_test tests[] = {
	{"the vectors that Microsoft published hold", published_vectors_hold},
	{"a key of two bytes makes both directions of a flow one", key_of_two_bytes_makes_both_directions_one},
	{"tables agree with the hash bit by bit", tables_agree_with_bits},
	{"frames are hashed by their most particular type", frames_are_hashed_by_their_most_particular_type},
	{"what fits no type has no hash", what_fits_no_type_has_no_hash},
};

UNIT_MAIN("drivers/net/net_toeplitz", tests)
