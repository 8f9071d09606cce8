/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * flow.h - the headers of each flow, made ready: a frame takes a copy of them, its lengths, a stamp and checksums.
 *
 * Payload behind the stamp is zeroes: memory of a fresh pool is, and nothing but headers and stamps is ever written
 * there.
 */
#ifndef QUOLL_APPS_GEN_FLOW_H
#define QUOLL_APPS_GEN_FLOW_H

#include <quoll/pool.h>

#include "shape.h"
#include "stamp.h"

#define FLOW_MAX 65536u
#define FLOW_HEADER_ROOM 80u /* Ethernet, tag, IPv6, UDP are 66; copied whole, in a few wide stores */

/* What differs from flow to flow: counted up from what is given. */
enum flow_vary {
	FLOW_SRC_PORT,
	FLOW_DST_PORT,
	FLOW_SRC_IP,
	FLOW_DST_IP,
	FLOW_SRC_MAC,
	FLOW_DST_MAC,
};

/**
 * struct flow_opts - the first flow
 * @v6:     addresses are IPv6, else the first 4 bytes of each
 * @vlan_tci: of a tag, or -1
 */
struct flow_opts {
	uint8_t src_mac[6];
	uint8_t dst_mac[6];
	uint8_t src_ip[16];
	uint8_t dst_ip[16];
	bool v6;
	uint16_t src_port;
	uint16_t dst_port;
	int vlan_tci;
	enum flow_vary vary;
	unsigned int nr_flows;
};

/**
 * struct flow - one flow, as it is sent
 * @header:  lengths and checksums 0
 * @idx:     what its stamps say
 * @ip_sum, @udp_sum: of the header and the pseudo-header, without lengths: words as they lie in memory
 * @nr_sent: frames; the next one's sequence number is its low half
 */
struct flow {
	uint8_t header[FLOW_HEADER_ROOM];
	uint16_t idx;
	uint32_t ip_sum;
	uint32_t udp_sum;
	uint64_t nr_sent;
} QUOLL_CACHE_ALIGNED;

/**
 * struct flow_layout - where things are in every frame of a run
 */
struct flow_layout {
	uint32_t l2_bytes;
	uint32_t udp_at;
	uint32_t stamp_at;
	bool v6;
	uint64_t key;
};

/* Shortest frame that has room for a stamp, FCS included. */
uint32_t flow_min_size(const struct flow_opts *opts);

/**
 * flow_reverse() - the opposite direction: source and destination change places, and so does what varies
 */
void flow_reverse(struct flow_opts *opts);

/**
 * flow_make() - @flows: room for opts->nr_flows, whose stamps count from @first_idx
 */
void flow_make(const struct flow_opts *opts, uint32_t first_idx, uint64_t key, struct flow *flows,
	       struct flow_layout *layout);

static inline uint16_t flow_be16(uint32_t value)
{
	return (uint16_t)(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? (uint16_t)__builtin_bswap16((uint16_t)value)
								    : value);
}

static inline uint16_t flow_fold(uint64_t sum)
{
	sum = (sum >> 32) + (uint32_t)sum;
	sum = (sum >> 16) + (uint16_t)sum;
	sum = (sum >> 16) + (uint16_t)sum;
	return (uint16_t)((sum >> 16) + (uint16_t)sum);
}

/* Of the 18 bytes of a stamp. */
static inline uint64_t flow_stamp_sum(const uint8_t *at)
{
	uint32_t words[4];
	uint16_t last;

	memcpy(words, at, sizeof(words));
	memcpy(&last, at + sizeof(words), sizeof(last));
	return (uint64_t)words[0] + words[1] + words[2] + words[3] + last;
}

/**
 * flow_fill() - write the flow's next frame
 * @data: FLOW_HEADER_ROOM + STAMP_BYTES at least
 * @bytes: of the frame, without FCS
 */
static inline void flow_fill(const struct flow_layout *layout, struct flow *flow, uint64_t due_ticks, uint8_t *data,
			     uint32_t bytes)
{
	struct stamp stamp = {.due_ticks = due_ticks, .seq = (uint32_t)flow->nr_sent++, .flow = flow->idx};
	uint16_t ip_bytes = flow_be16(bytes - layout->l2_bytes), udp_bytes = flow_be16(bytes - layout->udp_at), csum;
	uint8_t *ip = data + layout->l2_bytes, *udp = data + layout->udp_at;

	memcpy(data, flow->header, FLOW_HEADER_ROOM);
	if (layout->v6) {
		memcpy(ip + 4, &udp_bytes, 2);
	} else {
		memcpy(ip + 2, &ip_bytes, 2);
		csum = (uint16_t)~flow_fold((uint64_t)flow->ip_sum + ip_bytes);
		memcpy(ip + 10, &csum, 2);
	}
	stamp_write(data + layout->stamp_at, &stamp, layout->key);
	memcpy(udp + 4, &udp_bytes, 2);
	csum = (uint16_t)~flow_fold(flow->udp_sum + 2u * udp_bytes + flow_stamp_sum(data + layout->stamp_at));
	csum = csum ? csum : 0xffff;
	memcpy(udp + 6, &csum, 2);
}

#endif
