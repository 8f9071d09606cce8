/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_soft.c - see net_soft.h: checksums and tags. Frames are cut up in net_segment.c.
 */
#include <errno.h>

#include "net.h"
#include "net_chain.h"
#include "net_segment.h"
#include "net_soft.h"

#define MAC_PAIR_BYTES 12u
#define TAG_BYTES 4u
#define IPV4_BYTES 20u
#define IPV6_BYTES 40u
#define UDP_BYTES 8u

/* Receive. */

static void strip_tag(struct quoll_buf *buf)
{
	uint8_t *data = quoll_buf_data(buf);

	if (buf->flags & QUOLL_BUF_RX_VLAN || buf->data_bytes < MAC_PAIR_BYTES + TAG_BYTES + 2 ||
	    net_get_be16(data + MAC_PAIR_BYTES) != QUOLL_ETHERTYPE_VLAN)
		return;
	buf->vlan_tci = net_get_be16(data + MAC_PAIR_BYTES + 2);
	buf->flags |= QUOLL_BUF_RX_VLAN;
	memmove(data + TAG_BYTES, data, MAC_PAIR_BYTES);
	buf->data_off += TAG_BYTES;
	buf->data_bytes -= TAG_BYTES;
	buf->total_bytes -= TAG_BYTES;
}

/* Addresses, protocol and length, as TCP and UDP sum them up before their own header. */
static uint64_t pseudo_header(const struct quoll_buf *buf, const struct quoll_frame *f)
{
	bool v6 = f->l3 == QUOLL_L3_IPV6;
	uint32_t l4 = (uint32_t)f->l2_bytes + f->l3_bytes;
	uint64_t sum = net_csum_chain(0, buf, f->l2_bytes + (v6 ? 8u : 12u), v6 ? 32 : 8);

	/* Both are below 65536 and add up without a carry. */
	return sum + net_cpu_to_be16(f->ip_proto) + net_cpu_to_be16((uint16_t)(f->l4_end - l4));
}

/* A UDP checksum of 0 is none. IPv4 allows that; over IPv6 it is an error like any other. */
static bool without_csum(const struct quoll_buf *buf, const struct quoll_frame *f)
{
	uint8_t scratch[2];
	const uint8_t *csum;

	if (f->l4 != QUOLL_L4_UDP)
		return false;
	csum = net_chain_peek(buf, (uint32_t)f->l2_bytes + f->l3_bytes + NET_UDP_CSUM_AT, 2, scratch);
	return csum && !csum[0] && !csum[1];
}

static uint32_t check_l4(const struct quoll_buf *buf, const struct quoll_frame *f)
{
	uint32_t l4 = (uint32_t)f->l2_bytes + f->l3_bytes;
	uint64_t sum;

	if (f->l4 == QUOLL_L4_NONE || f->routed || buf->flags & QUOLL_BUF_RX_L4_PARTIAL)
		return 0;
	if (without_csum(buf, f))
		return f->l3 == QUOLL_L3_IPV6 ? QUOLL_BUF_RX_L4_BAD : 0;
	sum = net_csum_chain(pseudo_header(buf, f), buf, l4, f->l4_end - l4);
	return net_csum_fold(sum) == 0xffff ? QUOLL_BUF_RX_L4_GOOD : QUOLL_BUF_RX_L4_BAD;
}

static uint32_t check_ip(const struct quoll_buf *buf, const struct quoll_frame *f)
{
	if (f->l3 != QUOLL_L3_IPV4)
		return 0;
	return net_csum_fold(net_csum_chain(0, buf, f->l2_bytes, f->l3_bytes)) == 0xffff ? QUOLL_BUF_RX_IP_GOOD
											 : QUOLL_BUF_RX_IP_BAD;
}

void quoll_soft_rx(uint32_t missing, struct quoll_buf *const *bufs, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		struct quoll_frame f;

		if (missing & QUOLL_OFFLOAD_VLAN_STRIP)
			strip_tag(bufs[i]);
		if (!(missing & QUOLL_OFFLOAD_RX_CSUM))
			continue;
		quoll_frame_parse(bufs[i], &f);
		if (missing & QUOLL_OFFLOAD_RX_IP_CSUM)
			bufs[i]->flags |= check_ip(bufs[i], &f);
		if (missing & QUOLL_OFFLOAD_RX_L4_CSUM)
			bufs[i]->flags |= check_l4(bufs[i], &f);
	}
}

/* From receive to transmit. */

int quoll_soft_pass(struct quoll_buf *buf)
{
	bool gso = buf->flags & QUOLL_BUF_RX_GSO;
	struct quoll_frame f;
	uint16_t pseudo;

	if (!(buf->flags & QUOLL_BUF_RX_L4_PARTIAL))
		return gso ? -EINVAL : 0;
	quoll_frame_parse(buf, &f);
	if (f.l4 == QUOLL_L4_NONE || f.l2_bytes > UINT8_MAX ||
	    (gso && (f.l4 != QUOLL_L4_TCP || !buf->mss || f.l4_end != f.frame_bytes)))
		return -EINVAL;
	buf->l2_bytes = (uint8_t)f.l2_bytes;
	buf->l3_bytes = f.l3_bytes;
	buf->l4_bytes = (uint8_t)f.l4_bytes;
	buf->flags &= ~(QUOLL_BUF_RX_L4_PARTIAL | QUOLL_BUF_RX_GSO | QUOLL_BUF_RX_HASH);
	buf->flags |= f.l4 == QUOLL_L4_TCP ? QUOLL_BUF_TX_TCP_CSUM : QUOLL_BUF_TX_UDP_CSUM;
	if (!gso)
		return 0;
	buf->flags |= QUOLL_BUF_TX_TSO;
	if (f.l3 == QUOLL_L3_IPV4) {
		buf->flags |= QUOLL_BUF_TX_IP_CSUM;
		net_chain_write(buf, f.l2_bytes + NET_IPV4_CSUM_AT, &(uint16_t){0}, 2);
	}
	/* What the field holds counts the length of all of it; that of a segment is added to a sum without any. */
	f.l4_end = (uint32_t)f.l2_bytes + f.l3_bytes;
	pseudo = net_csum_fold(pseudo_header(buf, &f));
	net_chain_write(buf, f.l4_end + NET_TCP_CSUM_AT, &pseudo, sizeof(pseudo));
	return 0;
}

int quoll_soft_complete(struct quoll_buf *buf)
{
	struct net_place place;
	int ret;

	if (buf->flags & QUOLL_BUF_RX_GSO)
		return -EINVAL;
	if (!(buf->flags & QUOLL_BUF_RX_L4_PARTIAL))
		return 0;
	ret = quoll_soft_pass(buf);
	if (!ret)
		ret = net_place(buf, &place);
	if (!ret)
		ret = net_fill_csums(QUOLL_OFFLOAD_TX_L4_CSUM, buf, &place);
	if (!ret)
		buf->flags |= QUOLL_BUF_RX_L4_GOOD;
	return ret;
}

/* Transmit. */

int net_place(const struct quoll_buf *buf, struct net_place *place)
{
	uint8_t scratch[IPV4_BYTES];
	const uint8_t *ip = net_chain_peek(buf, buf->l2_bytes, IPV4_BYTES, scratch);

	if (!ip)
		return -EINVAL;
	place->l3 = buf->l2_bytes;
	place->l4 = place->l3 + buf->l3_bytes;
	place->v6 = ip[0] >> 4 == 6;
	if (place->v6)
		place->end = place->l3 + IPV6_BYTES + net_get_be16(ip + 4);
	else if (ip[0] >> 4 == 4 && (ip[0] & 15) * 4 == buf->l3_bytes)
		place->end = place->l3 + net_get_be16(ip + 2);
	else
		return -EINVAL;
	if (buf->flags & QUOLL_BUF_TX_TSO)
		place->end = buf->total_bytes; /* its length field need not hold so much */
	if (buf->l3_bytes < (place->v6 ? IPV6_BYTES : IPV4_BYTES) || place->l4 > place->end ||
	    place->end > buf->total_bytes)
		return -EINVAL;
	return 0;
}

static int fill_ip(struct quoll_buf *buf, const struct net_place *place)
{
	uint16_t csum;

	if (place->v6)
		return -EINVAL;
	csum = (uint16_t)~net_csum_fold(net_csum_chain(0, buf, place->l3, place->l4 - place->l3));
	if (!net_chain_write(buf, place->l3 + NET_IPV4_CSUM_AT, &csum, sizeof(csum)))
		return -EINVAL;
	buf->flags &= ~QUOLL_BUF_TX_IP_CSUM;
	return 0;
}

/* The field holds the pseudo-header's sum and is summed up with the rest. */
static int fill_l4(struct quoll_buf *buf, const struct net_place *place)
{
	bool tcp = buf->flags & QUOLL_BUF_TX_TCP_CSUM;
	uint32_t bytes = place->end - place->l4;
	uint16_t csum;

	if (bytes < (tcp ? NET_TCP_BYTES : UDP_BYTES))
		return -EINVAL;
	csum = (uint16_t)~net_csum_fold(net_csum_chain(0, buf, place->l4, bytes));
	if (!tcp && !csum)
		csum = 0xffff;
	if (!net_chain_write(buf, place->l4 + (tcp ? NET_TCP_CSUM_AT : NET_UDP_CSUM_AT), &csum, sizeof(csum)))
		return -EINVAL;
	buf->flags &= ~(QUOLL_BUF_TX_TCP_CSUM | QUOLL_BUF_TX_UDP_CSUM);
	return 0;
}

int net_fill_csums(uint32_t missing, struct quoll_buf *buf, const struct net_place *place)
{
	int ret = 0;

	if (missing & QUOLL_OFFLOAD_TX_IP_CSUM && buf->flags & QUOLL_BUF_TX_IP_CSUM)
		ret = fill_ip(buf, place);
	if (!ret && missing & QUOLL_OFFLOAD_TX_L4_CSUM && buf->flags & (QUOLL_BUF_TX_TCP_CSUM | QUOLL_BUF_TX_UDP_CSUM))
		ret = fill_l4(buf, place);
	return ret;
}

static int insert_tag(struct quoll_buf *buf)
{
	uint8_t *data = quoll_buf_data(buf);

	if (buf->data_bytes < MAC_PAIR_BYTES || buf->l2_bytes > UINT8_MAX - TAG_BYTES)
		return -EINVAL;
	if (buf->data_off < TAG_BYTES)
		return -ENOBUFS;
	data -= TAG_BYTES;
	memmove(data, data + TAG_BYTES, MAC_PAIR_BYTES);
	net_put_be16(data + MAC_PAIR_BYTES, QUOLL_ETHERTYPE_VLAN);
	net_put_be16(data + MAC_PAIR_BYTES + 2, buf->vlan_tci);
	buf->data_off -= TAG_BYTES;
	buf->data_bytes += TAG_BYTES;
	buf->total_bytes += TAG_BYTES;
	buf->l2_bytes += TAG_BYTES;
	buf->flags &= ~QUOLL_BUF_TX_VLAN;
	return 0;
}

uint32_t quoll_soft_tx_flags(uint32_t missing)
{
	uint32_t flags = 0;

	if (missing & QUOLL_OFFLOAD_TX_IP_CSUM)
		flags |= QUOLL_BUF_TX_IP_CSUM;
	if (missing & QUOLL_OFFLOAD_TX_L4_CSUM)
		flags |= QUOLL_BUF_TX_TCP_CSUM | QUOLL_BUF_TX_UDP_CSUM;
	if (missing & QUOLL_OFFLOAD_VLAN_INSERT)
		flags |= QUOLL_BUF_TX_VLAN;
	if (missing & QUOLL_OFFLOAD_TX_TSO)
		flags |= QUOLL_BUF_TX_TSO;
	return flags;
}

int quoll_soft_tx(uint32_t missing, struct quoll_buf_cache *cache, struct quoll_buf *buf, struct quoll_buf **out,
		  unsigned int max)
{
	uint32_t work = buf->flags & quoll_soft_tx_flags(missing);
	struct net_place place;
	int ret = 0;

	if (!max)
		return -ENOSPC;
	if (work & QUOLL_BUF_TX_VLAN)
		ret = insert_tag(buf);
	if (!ret && work & ~QUOLL_BUF_TX_VLAN)
		ret = net_place(buf, &place);
	if (ret)
		return ret;
	if (buf->flags & QUOLL_BUF_TX_TSO) {
		if (work & QUOLL_BUF_TX_TSO && missing & (place.v6 ? QUOLL_OFFLOAD_TX_TSO6 : QUOLL_OFFLOAD_TX_TSO4))
			return net_segment(missing, cache, buf, out, max);
	} else if (work & ~QUOLL_BUF_TX_VLAN) {
		ret = net_fill_csums(missing, buf, &place);
	}
	out[0] = buf;
	return ret ? ret : 1;
}
