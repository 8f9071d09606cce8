/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * flow.c - see flow.h.
 */
#include "flow.h"

#define ETHERNET_BYTES 14u
#define TAG_BYTES 4u
#define UDP_BYTES 8u
#define PROTO_UDP 17u
#define HOPS 64u

static uint32_t l2_bytes_of(const struct flow_opts *opts)
{
	return ETHERNET_BYTES + (opts->vlan_tci >= 0 ? TAG_BYTES : 0);
}

static uint32_t ip_bytes_of(const struct flow_opts *opts)
{
	return opts->v6 ? 40 : 20;
}

uint32_t flow_min_size(const struct flow_opts *opts)
{
	uint32_t size = l2_bytes_of(opts) + ip_bytes_of(opts) + UDP_BYTES + STAMP_BYTES + SHAPE_FCS_BYTES;

	return size > SHAPE_MIN_SIZE ? size : SHAPE_MIN_SIZE;
}

static void put_be16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

/* A number of the network's order at the end of a field, counted up. */
static void count_up(uint8_t *field, unsigned int bytes, uint32_t by)
{
	for (uint8_t *at = field + bytes; at > field && by; by >>= 8) {
		by += *--at;
		*at = (uint8_t)by;
	}
}

static void vary(struct flow_opts *one, uint32_t idx)
{
	switch (one->vary) {
	case FLOW_SRC_PORT:
		one->src_port = (uint16_t)(one->src_port + idx);
		break;
	case FLOW_DST_PORT:
		one->dst_port = (uint16_t)(one->dst_port + idx);
		break;
	case FLOW_SRC_IP:
		count_up(one->src_ip, one->v6 ? 16 : 4, idx);
		break;
	case FLOW_DST_IP:
		count_up(one->dst_ip, one->v6 ? 16 : 4, idx);
		break;
	case FLOW_SRC_MAC:
		count_up(one->src_mac, 6, idx);
		break;
	case FLOW_DST_MAC:
		count_up(one->dst_mac, 6, idx);
		break;
	}
}

static uint32_t sum_words(uint32_t sum, const uint8_t *at, unsigned int bytes)
{
	for (unsigned int i = 0; i < bytes; i += 2) {
		uint16_t word;

		memcpy(&word, at + i, 2);
		sum += word;
	}
	return sum;
}

static void put_ip(const struct flow_opts *o, uint8_t *ip)
{
	unsigned int n = o->v6 ? 16 : 4, at = o->v6 ? 8 : 12;

	if (o->v6) {
		ip[0] = 0x60;
		ip[6] = PROTO_UDP;
		ip[7] = HOPS;
	} else {
		ip[0] = 0x45;
		ip[6] = 0x40; /* don't fragment: then there need be no ID */
		ip[8] = HOPS;
		ip[9] = PROTO_UDP;
	}
	memcpy(ip + at, o->src_ip, n);
	memcpy(ip + at + n, o->dst_ip, n);
}

static void make_one(const struct flow_opts *o, struct flow *flow)
{
	uint32_t l2_bytes = l2_bytes_of(o);
	uint8_t *h = flow->header, *ip = h + l2_bytes, *udp = ip + ip_bytes_of(o);
	unsigned int n = o->v6 ? 16 : 4, at = o->v6 ? 8 : 12;

	memset(flow, 0, sizeof(*flow));
	memcpy(h, o->dst_mac, 6);
	memcpy(h + 6, o->src_mac, 6);
	if (o->vlan_tci >= 0) {
		put_be16(h + 12, 0x8100);
		put_be16(h + 14, (uint32_t)o->vlan_tci);
	}
	put_be16(h + l2_bytes - 2, o->v6 ? 0x86dd : 0x0800);
	put_ip(o, ip);
	put_be16(udp, o->src_port);
	put_be16(udp + 2, o->dst_port);
	flow->ip_sum = sum_words(0, ip, 20);
	flow->udp_sum = sum_words(sum_words(flow_be16(PROTO_UDP), ip + at, 2 * n), udp, 4);
}

static void swap(void *a, void *b, size_t bytes)
{
	uint8_t kept[16];

	memcpy(kept, a, bytes);
	memcpy(a, b, bytes);
	memcpy(b, kept, bytes);
}

void flow_reverse(struct flow_opts *opts)
{
	static const enum flow_vary others[] = {
		[FLOW_SRC_PORT] = FLOW_DST_PORT, [FLOW_DST_PORT] = FLOW_SRC_PORT, [FLOW_SRC_IP] = FLOW_DST_IP,
		[FLOW_DST_IP] = FLOW_SRC_IP,	 [FLOW_SRC_MAC] = FLOW_DST_MAC,	  [FLOW_DST_MAC] = FLOW_SRC_MAC};

	swap(opts->src_mac, opts->dst_mac, sizeof(opts->src_mac));
	swap(opts->src_ip, opts->dst_ip, sizeof(opts->src_ip));
	swap(&opts->src_port, &opts->dst_port, sizeof(opts->src_port));
	opts->vary = others[opts->vary];
}

void flow_make(const struct flow_opts *opts, uint32_t first_idx, uint64_t key, struct flow *flows,
	       struct flow_layout *layout)
{
	layout->l2_bytes = l2_bytes_of(opts);
	layout->udp_at = layout->l2_bytes + ip_bytes_of(opts);
	layout->stamp_at = layout->udp_at + UDP_BYTES;
	layout->v6 = opts->v6;
	layout->key = key;
	for (unsigned int i = 0; i < opts->nr_flows; i++) {
		struct flow_opts one = *opts;

		vary(&one, i);
		make_one(&one, &flows[i]);
		flows[i].idx = (uint16_t)(first_idx + i);
	}
}
