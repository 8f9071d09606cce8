/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_rss.h - receive-side scaling: the hash of a flow, and the queue that it goes to.
 *
 * Source: Microsoft, "RSS Hashing Types", "Verifying the RSS Hash Calculation" (Windows driver documentation); Virtual
 * I/O Device 1.3, 5.1.6.4.3 "Hash calculation for incoming packets".
 */
#ifndef QUOLL_NET_RSS_H
#define QUOLL_NET_RSS_H

#include <stdint.h>

#include <quoll/pool.h>

#include "net_parse.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What of a frame is hashed; a frame is hashed by the most particular type that it fits and that is asked for. */
#define QUOLL_RSS_IPV4 (1u << 0) /* addresses */
#define QUOLL_RSS_TCP4 (1u << 1) /* addresses and ports; not of fragments */
#define QUOLL_RSS_UDP4 (1u << 2)
#define QUOLL_RSS_IPV6 (1u << 3)
#define QUOLL_RSS_TCP6 (1u << 4)
#define QUOLL_RSS_UDP6 (1u << 5)

#define QUOLL_RSS_KEY_BYTES 40
#define QUOLL_RSS_MAX_ENTRIES 512

/**
 * struct quoll_rss - how frames are spread
 * @types:      QUOLL_RSS_*; 0 for all that the port has. Frames of no such type go to the queue of table[0]
 * @nr_entries: of @table; 0 for the default one, else as many as the port's table has (quoll_port_info)
 * @key:        zeroes for quoll_rss_key_default
 * @table:      a receive queue for each remainder of the hash
 */
struct quoll_rss {
	uint32_t types;
	uint32_t nr_entries;
	uint8_t key[QUOLL_RSS_KEY_BYTES];
	uint16_t table[QUOLL_RSS_MAX_ENTRIES];
};

/*
 * The key that Microsoft's specification is verified with. Everybody knows it, so the hash is no protection against
 * somebody who picks his flows.
 */
extern QUOLL_API const uint8_t quoll_rss_key_default[QUOLL_RSS_KEY_BYTES];

/* Addresses and ports of IPv6: the longest input there is. */
#define QUOLL_RSS_MAX_INPUT_BYTES 36u

/**
 * struct quoll_rss_hasher - a key, made ready: 4.6 KiB, constant once it is filled in
 */
struct quoll_rss_hasher {
	/* private: what each value of each four bits of the input adds to the hash */
	uint32_t nibbles[2 * QUOLL_RSS_MAX_INPUT_BYTES][16];
};

/**
 * quoll_rss_hasher_init() - fill it in
 */
QUOLL_API void quoll_rss_hasher_init(struct quoll_rss_hasher *hasher, const uint8_t key[QUOLL_RSS_KEY_BYTES]);

/**
 * quoll_rss_hash() - the Toeplitz hash
 * @input: source address, destination address, and with ports source port, destination port, as they lie in the frame
 * @bytes: of it; what is beyond QUOLL_RSS_MAX_INPUT_BYTES is left out
 *
 * With a key that repeats itself every two bytes, both directions of a flow have one hash. Thread rule: any; hot path,
 * two look-ups a byte.
 */
QUOLL_API uint32_t quoll_rss_hash(const struct quoll_rss_hasher *hasher, const void *input, unsigned int bytes);

/**
 * quoll_rss_hash_frame() - the hash of a received frame in software: QUOLL_BUF_RX_HASH, and buf->hash
 * @types: QUOLL_RSS_* that are asked for
 * @frame: of quoll_frame_parse()
 *
 * Return: the type that it was hashed by; 0: none fits, and the buffer is as it was.
 */
QUOLL_API uint32_t quoll_rss_hash_frame(const struct quoll_rss_hasher *hasher, uint32_t types, struct quoll_buf *buf,
					const struct quoll_frame *frame);

#ifdef __cplusplus
}
#endif
#endif
