/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_parse.c - see net_parse.h. Each step reads one header, and only then says that it is there.
 */
#include <string.h>

#include "net_chain.h"
#include "net_parse.h"

#define MAC_PAIR_BYTES 12u
#define ETHERNET_BYTES 14u
#define TAG_BYTES 4u
#define MAX_LENGTH_FIELD 1500u
#define IPV4_BYTES 20u
#define IPV4_PART_MASK 0x3fffu /* more fragments, fragment offset */
#define IPV6_BYTES 40u
#define IPV6_PART_MASK 0xfff9u /* fragment offset, more fragments */
#define TCP_BYTES 20u
#define UDP_BYTES 8u

enum ipv6_extension {
	HOP_BY_HOP = 0,
	ROUTING = 43,
	FRAGMENT = 44,
	AUTHENTICATION = 51,
	DESTINATION_OPTIONS = 60,
	MOBILITY = 135,
	HOST_IDENTITY = 139,
	SHIM6 = 140,
};

static bool parse_l2(const struct quoll_buf *buf, struct quoll_frame *f)
{
	uint32_t at = MAC_PAIR_BYTES;
	uint8_t scratch[TAG_BYTES + 2];
	const uint8_t *type = net_chain_peek(buf, at, 2, scratch);

	while (type &&
	       (net_get_be16(type) == QUOLL_ETHERTYPE_VLAN || net_get_be16(type) == QUOLL_ETHERTYPE_SERVICE_VLAN)) {
		if (f->nr_vlans == QUOLL_FRAME_MAX_VLANS)
			return false;
		/* The type after the tag is looked at with it: a tag with nothing after it is none. */
		type = net_chain_peek(buf, at, TAG_BYTES + 2, scratch);
		if (!type)
			return false;
		if (!f->nr_vlans++)
			f->vlan_tci = net_get_be16(type + 2);
		type += TAG_BYTES;
		at += TAG_BYTES;
	}
	if (!type || at + 2 > f->frame_bytes)
		return false;
	f->ethertype = net_get_be16(type);
	f->l2_bytes = (uint16_t)(at + 2);
	f->l3_end = f->frame_bytes;
	return f->ethertype > MAX_LENGTH_FIELD || f->ethertype <= f->frame_bytes - f->l2_bytes;
}

static bool parse_ipv4(const struct quoll_buf *buf, struct quoll_frame *f)
{
	uint32_t rest = f->frame_bytes - f->l2_bytes, header_bytes, packet_bytes;
	uint8_t scratch[IPV4_BYTES];
	const uint8_t *ip = rest < IPV4_BYTES ? NULL : net_chain_peek(buf, f->l2_bytes, IPV4_BYTES, scratch);

	if (!ip || ip[0] >> 4 != 4)
		return false;
	header_bytes = (ip[0] & 15u) * 4;
	packet_bytes = net_get_be16(ip + 2);
	if (header_bytes < IPV4_BYTES || packet_bytes < header_bytes || packet_bytes > rest)
		return false;
	f->l3 = QUOLL_L3_IPV4;
	f->l3_bytes = (uint16_t)header_bytes;
	f->l3_end = f->l2_bytes + packet_bytes;
	f->fragment = net_get_be16(ip + 6) & IPV4_PART_MASK;
	f->ip_proto = ip[9];
	return true;
}

static bool is_extension(uint8_t header)
{
	switch (header) {
	case HOP_BY_HOP:
	case ROUTING:
	case FRAGMENT:
	case AUTHENTICATION:
	case DESTINATION_OPTIONS:
	case MOBILITY:
	case HOST_IDENTITY:
	case SHIM6:
		return true;
	default:
		return false;
	}
}

static uint32_t extension_bytes(uint8_t header, uint8_t length_field)
{
	if (header == FRAGMENT)
		return 8;
	return header == AUTHENTICATION ? (length_field + 2u) * 4 : (length_field + 1u) * 8;
}

/*
 * From f->l3_bytes on up to @packet_bytes, all from IPv6's header on. The fragment header is the last one of a
 * fragment: what follows it may be the middle of anything.
 */
static bool parse_extensions(const struct quoll_buf *buf, struct quoll_frame *f, uint32_t packet_bytes)
{
	uint32_t at = f->l3_bytes;
	uint8_t scratch[8];

	for (unsigned int i = 0; is_extension(f->ip_proto) && !f->fragment; i++) {
		const uint8_t *ext = packet_bytes - at < 8 ? NULL : net_chain_peek(buf, f->l2_bytes + at, 8, scratch);
		uint32_t bytes;

		if (!ext || i == QUOLL_FRAME_MAX_EXTENSIONS || (i && f->ip_proto == HOP_BY_HOP))
			return false;
		bytes = extension_bytes(f->ip_proto, ext[1]);
		if (bytes > packet_bytes - at)
			return false;
		f->fragment = f->ip_proto == FRAGMENT && net_get_be16(ext + 2) & IPV6_PART_MASK;
		f->routed |= f->ip_proto == ROUTING && ext[3];
		f->ip_proto = ext[0];
		at += bytes;
	}
	f->l3_bytes = (uint16_t)at;
	return true;
}

static bool parse_ipv6(const struct quoll_buf *buf, struct quoll_frame *f)
{
	uint32_t rest = f->frame_bytes - f->l2_bytes, packet_bytes;
	uint8_t scratch[IPV6_BYTES];
	const uint8_t *ip = rest < IPV6_BYTES ? NULL : net_chain_peek(buf, f->l2_bytes, IPV6_BYTES, scratch);

	if (!ip || ip[0] >> 4 != 6)
		return false;
	packet_bytes = IPV6_BYTES + net_get_be16(ip + 4);
	if (packet_bytes > rest)
		return false;
	f->ip_proto = ip[6];
	f->l3_bytes = IPV6_BYTES;
	if (!parse_extensions(buf, f, packet_bytes))
		return false;
	f->l3 = QUOLL_L3_IPV6;
	f->l3_end = f->l2_bytes + packet_bytes;
	return true;
}

static bool parse_l3(const struct quoll_buf *buf, struct quoll_frame *f)
{
	if (f->ethertype == QUOLL_ETHERTYPE_IPV4)
		return parse_ipv4(buf, f);
	return f->ethertype == QUOLL_ETHERTYPE_IPV6 ? parse_ipv6(buf, f) : true;
}

static bool parse_tcp(const struct quoll_buf *buf, struct quoll_frame *f, uint32_t at)
{
	uint32_t rest = f->l3_end - at, header_bytes;
	uint8_t scratch[TCP_BYTES];
	const uint8_t *tcp = rest < TCP_BYTES ? NULL : net_chain_peek(buf, at, TCP_BYTES, scratch);

	if (!tcp)
		return false;
	header_bytes = (tcp[12] >> 4) * 4u;
	if (header_bytes < TCP_BYTES || header_bytes > rest)
		return false;
	f->l4 = QUOLL_L4_TCP;
	f->l4_bytes = (uint16_t)header_bytes;
	f->l4_end = f->l3_end;
	return true;
}

static bool parse_udp(const struct quoll_buf *buf, struct quoll_frame *f, uint32_t at)
{
	uint32_t rest = f->l3_end - at, bytes;
	uint8_t scratch[UDP_BYTES];
	const uint8_t *udp = rest < UDP_BYTES ? NULL : net_chain_peek(buf, at, UDP_BYTES, scratch);

	if (!udp)
		return false;
	bytes = net_get_be16(udp + 4);
	if (bytes < UDP_BYTES || bytes > rest)
		return false;
	f->l4 = QUOLL_L4_UDP;
	f->l4_bytes = UDP_BYTES;
	f->l4_end = at + bytes;
	return true;
}

static bool parse_l4(const struct quoll_buf *buf, struct quoll_frame *f)
{
	uint32_t at = (uint32_t)f->l2_bytes + f->l3_bytes;

	if (f->l3 == QUOLL_L3_NONE || f->fragment)
		return true;
	if (f->ip_proto == QUOLL_IP_TCP)
		return parse_tcp(buf, f, at);
	return f->ip_proto == QUOLL_IP_UDP ? parse_udp(buf, f, at) : true;
}

/* What was found out of a layer before it turned out to make no sense is not to be seen. */
static unsigned int bad(struct quoll_frame *f, unsigned int layer)
{
	struct quoll_frame seen = *f;

	memset(f, 0, sizeof(*f));
	f->bad_layer = (uint8_t)layer;
	f->frame_bytes = f->l3_end = seen.frame_bytes;
	if (layer == 2)
		return layer;
	f->l2_bytes = seen.l2_bytes;
	f->ethertype = seen.ethertype;
	f->vlan_tci = seen.vlan_tci;
	f->nr_vlans = seen.nr_vlans;
	if (layer == 3)
		return layer;
	*f = seen;
	f->bad_layer = (uint8_t)layer;
	return layer;
}

unsigned int quoll_frame_parse(const struct quoll_buf *buf, struct quoll_frame *f)
{
	memset(f, 0, sizeof(*f));
	f->frame_bytes = buf->total_bytes;
	if (!parse_l2(buf, f))
		return bad(f, 2);
	if (!parse_l3(buf, f))
		return bad(f, 3);
	if (!parse_l4(buf, f))
		return bad(f, 4);
	return 0;
}
