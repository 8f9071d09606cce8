/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_frame.h - what ports without hardware check of the frames they are given: lengths, links, flags, all at once.
 */
#ifndef QUOLL_NET_FRAME_H
#define QUOLL_NET_FRAME_H

#include "net_driver.h"

/* Every flag that asks transmit for something. */
#define NET_TX_FLAGS (QUOLL_BUF_TX_IP_CSUM | QUOLL_BUF_TX_TCP_CSUM | QUOLL_BUF_TX_UDP_CSUM | QUOLL_BUF_TX_VLAN)

struct net_tx_rules {
	uint32_t max_bytes; /* longest frame */
	uint32_t forbidden; /* flags */
};

/**
 * struct net_tx_sum - what a batch is like
 * @bytes:  of all its frames
 * @bad:    some cannot be sent
 * @chains: some have several links
 */
struct net_tx_sum {
	uint64_t bytes;
	bool bad;
	bool chains;
};

static inline void net_tx_rules_init(struct net_tx_rules *rules, const struct quoll_port *port)
{
	rules->max_bytes = port->settings.mtu + NET_FRAME_OVERHEAD_BYTES;
	rules->forbidden = NET_TX_FLAGS;
}

static inline bool net_tx_bad(const struct net_tx_rules *rules, const struct quoll_buf *buf)
{
	return buf->total_bytes < NET_MIN_FRAME_BYTES || buf->total_bytes > rules->max_bytes ||
	       buf->flags & rules->forbidden;
}

/* All of a batch at once, without a branch a frame: differences that are negative leave a sign. */
static inline void net_tx_look(const struct net_tx_rules *rules, struct quoll_buf *const *bufs, unsigned int n,
			       struct net_tx_sum *sum)
{
	uint64_t bytes = 0, signs = 0, max = rules->max_bytes;
	uint32_t flags = 0, links = 0;

	for (unsigned int i = 0; i < n; i++) {
		const struct quoll_buf *buf = bufs[i];
		uint64_t len = buf->total_bytes;

		bytes += len;
		signs |= (len - NET_MIN_FRAME_BYTES) | (max - len);
		flags |= buf->flags;
		links |= buf->nr_links;
	}
	sum->bytes = bytes;
	sum->bad = signs >> 63 || flags & rules->forbidden;
	sum->chains = links != 1;
}

/**
 * struct net_rx_rules - what a port without hardware receives
 * @max_bytes: longest frame
 * @bad_links: bits that the number of links may not have: all but the first without QUOLL_OFFLOAD_RX_SCATTER
 */
struct net_rx_rules {
	uint32_t max_bytes;
	uint32_t bad_links;
};

static inline void net_rx_rules_init(struct net_rx_rules *rules, const struct quoll_port *port)
{
	rules->max_bytes = port->settings.mtu + NET_FRAME_OVERHEAD_BYTES;
	rules->bad_links = port->settings.offloads & QUOLL_OFFLOAD_RX_SCATTER ? 0 : ~1u;
}

static inline bool net_rx_bad(const struct net_rx_rules *rules, const struct quoll_buf *buf)
{
	return buf->total_bytes > rules->max_bytes || buf->nr_links & rules->bad_links;
}

/* Make a sender's frames received ones of this port. Return: whether some are not to be received. */
static inline bool net_rx_look(const struct net_rx_rules *rules, struct quoll_buf **bufs, unsigned int n,
			       uint16_t port_id, uint64_t *bytes_out)
{
	uint64_t bytes = 0, signs = 0, max = rules->max_bytes;
	uint32_t links = 0;

	for (unsigned int i = 0; i < n; i++) {
		struct quoll_buf *buf = bufs[i];
		uint64_t len = buf->total_bytes;

		bytes += len;
		signs |= max - len;
		links |= buf->nr_links;
		buf->port = port_id;
		buf->flags = 0;
	}
	*bytes_out = bytes;
	return signs >> 63 || links & rules->bad_links;
}

#endif
