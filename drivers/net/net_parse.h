/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_parse.h - what a frame is: one pass over its headers, each length checked against what is there.
 *
 * Source: IEEE 802.3 3.2.6 and 802.1Q 9.6 (Ethernet, tags), RFC 791 (IPv4), RFC 8200, 4302 and 6275 (IPv6 and its
 * extension headers), RFC 9293 (TCP), RFC 768 (UDP).
 */
#ifndef QUOLL_NET_PARSE_H
#define QUOLL_NET_PARSE_H

#include <stdbool.h>

#include <quoll/pool.h>

#ifdef __cplusplus
extern "C" {
#endif

#define QUOLL_ETHERTYPE_IPV4 0x0800u
#define QUOLL_ETHERTYPE_IPV6 0x86ddu
#define QUOLL_ETHERTYPE_VLAN 0x8100u	     /* 802.1Q C-tag */
#define QUOLL_ETHERTYPE_SERVICE_VLAN 0x88a8u /* 802.1ad S-tag */
#define QUOLL_IP_TCP 6u
#define QUOLL_IP_UDP 17u

#define QUOLL_FRAME_MAX_VLANS 8u
#define QUOLL_FRAME_MAX_EXTENSIONS 16u /* headers between IPv6's own and what it carries */

enum quoll_l3 {
	QUOLL_L3_NONE, /* neither of the two */
	QUOLL_L3_IPV4,
	QUOLL_L3_IPV6,
};

enum quoll_l4 {
	QUOLL_L4_NONE, /* neither of the two, or not there: a fragment, encrypted */
	QUOLL_L4_TCP,
	QUOLL_L4_UDP,
};

/**
 * struct quoll_frame - a frame's headers; offsets count from its first byte
 * @frame_bytes: all of it, without FCS
 * @l3_end:   where the IP packet ends; what follows is padding. @frame_bytes if @l3 is none
 * @l4_end:   where what the TCP or UDP checksum covers ends, at most @l3_end; 0 if @l4 is none
 * @l2_bytes: Ethernet header and tags
 * @l3_bytes: IP header with options or extension headers
 * @l4_bytes: TCP header with options, 8 for UDP
 * @ethertype: after the tags; up to 1500 the length of an 802.3 frame
 * @vlan_tci: of the outer tag
 * @nr_vlans: tags
 * @l3, @l4:  enum quoll_l3, enum quoll_l4
 * @ip_proto: what the IP packet carries, after extension headers
 * @fragment: a part of a packet, whichever
 * @routed:   IPv6, and a routing header has segments left: the checksum covers another destination than the header's
 * @bad_layer: 2, 3 or 4 if that layer makes no sense (it and those above are none then, their lengths 0); else 0
 */
struct quoll_frame {
	uint32_t frame_bytes;
	uint32_t l3_end;
	uint32_t l4_end;
	uint16_t l2_bytes;
	uint16_t l3_bytes;
	uint16_t l4_bytes;
	uint16_t ethertype;
	uint16_t vlan_tci;
	uint8_t nr_vlans;
	uint8_t l3;
	uint8_t l4;
	uint8_t ip_proto;
	bool fragment;
	bool routed;
	uint8_t bad_layer;
};

/**
 * quoll_frame_parse() - look at a frame
 * @buf: its first link (total_bytes filled in); headers may lie across links
 *
 * Checksums are not looked at (net_soft.h); neither is the Home Address option of Mobile IPv6.
 * Return: @bad_layer: 0, or the layer that makes no sense. Thread rule: any; hot path, reads the headers only.
 */
QUOLL_API unsigned int quoll_frame_parse(const struct quoll_buf *buf, struct quoll_frame *frame);

/**
 * quoll_frame_parse_bytes() - the same of a frame that lies in ordinary memory
 */
static inline unsigned int quoll_frame_parse_bytes(const void *data, uint32_t bytes, struct quoll_frame *frame)
{
	struct quoll_buf buf = {};

	buf.va = (uint8_t *)(uintptr_t)data; /* only read */
	buf.data_bytes = buf.total_bytes = bytes;
	buf.nr_links = 1;
	return quoll_frame_parse(&buf, frame);
}

#ifdef __cplusplus
}
#endif
#endif
