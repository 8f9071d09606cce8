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
	uint32_t span_bytes; /* lengths from NET_MIN_FRAME_BYTES on */
	uint32_t forbidden;  /* flags */
};

/**
 * struct net_tx_sum - what a batch is like
 * @bytes:  of its good frames
 * @nr_bad: frames that cannot be sent
 * @chains: a frame has several links
 */
struct net_tx_sum {
	uint64_t bytes;
	uint32_t nr_bad;
	bool chains;
};

static inline void net_tx_rules_init(struct net_tx_rules *rules, const struct quoll_port *port)
{
	rules->span_bytes = port->settings.mtu + NET_FRAME_OVERHEAD_BYTES - NET_MIN_FRAME_BYTES;
	rules->forbidden = NET_TX_FLAGS;
}

static inline bool net_tx_bad(const struct net_tx_rules *rules, const struct quoll_buf *buf)
{
	/* One comparison for both ends. */
	return (buf->total_bytes - NET_MIN_FRAME_BYTES > rules->span_bytes) | !!(buf->flags & rules->forbidden);
}

static inline void net_tx_look(const struct net_tx_rules *rules, struct quoll_buf *const *bufs, unsigned int n,
			       struct net_tx_sum *sum)
{
	uint64_t bytes = 0;
	uint32_t bad = 0, links = 0;

	for (unsigned int i = 0; i < n; i++) {
		bytes += bufs[i]->total_bytes;
		bad += net_tx_bad(rules, bufs[i]);
		links |= bufs[i]->nr_links;
	}
	for (unsigned int i = 0; QUOLL_UNLIKELY(bad) && i < n; i++)
		if (net_tx_bad(rules, bufs[i]))
			bytes -= bufs[i]->total_bytes;
	sum->bytes = bytes;
	sum->nr_bad = bad;
	sum->chains = links != 1;
}

/**
 * struct net_rx_rules - what a port without hardware receives
 * @max_bytes: longest frame
 * @max_links: 1 unless QUOLL_OFFLOAD_RX_SCATTER is on
 */
struct net_rx_rules {
	uint32_t max_bytes;
	uint32_t max_links;
};

static inline void net_rx_rules_init(struct net_rx_rules *rules, const struct quoll_port *port)
{
	rules->max_bytes = port->settings.mtu + NET_FRAME_OVERHEAD_BYTES;
	rules->max_links = port->settings.offloads & QUOLL_OFFLOAD_RX_SCATTER ? UINT16_MAX : 1;
}

static inline bool net_rx_bad(const struct net_rx_rules *rules, const struct quoll_buf *buf)
{
	return (buf->total_bytes > rules->max_bytes) | (buf->nr_links > rules->max_links);
}

/* Make a sender's frames received ones of this port. Return: how many are not to be received. */
static inline unsigned int net_rx_look(const struct net_rx_rules *rules, struct quoll_buf **bufs, unsigned int n,
				       uint16_t port_id, uint64_t *bytes_out)
{
	uint64_t bytes = 0;
	unsigned int bad = 0;

	for (unsigned int i = 0; i < n; i++) {
		bytes += bufs[i]->total_bytes;
		bad += net_rx_bad(rules, bufs[i]);
		bufs[i]->port = port_id;
		bufs[i]->flags = 0;
	}
	*bytes_out = bytes;
	return bad;
}

#endif
