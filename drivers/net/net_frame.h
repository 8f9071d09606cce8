/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_frame.h - what ports without hardware check of the frames they are given: lengths, links, flags, all at once.
 */
#ifndef QUOLL_NET_FRAME_H
#define QUOLL_NET_FRAME_H

#include "net_driver.h"

/* Every flag that asks transmit for something. */
#define NET_TX_FLAGS                                                                                                   \
	(QUOLL_BUF_TX_IP_CSUM | QUOLL_BUF_TX_TCP_CSUM | QUOLL_BUF_TX_UDP_CSUM | QUOLL_BUF_TX_VLAN | QUOLL_BUF_TX_TSO)

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

/* How much longer than the shortest frame; one that is shorter still is too long by far, so one comparison does. */
static inline uint32_t net_frame_excess(uint32_t bytes)
{
	return bytes - NET_MIN_FRAME_BYTES;
}

static inline bool net_tx_bad(const struct net_tx_rules *rules, const struct quoll_buf *buf)
{
	return net_frame_excess(buf->total_bytes) > net_frame_excess(rules->max_bytes) || buf->flags & rules->forbidden;
}

/* All of a batch at once, without a branch a frame. */
static inline void net_tx_look(const struct net_tx_rules *rules, struct quoll_buf *const *bufs, unsigned int n,
			       struct net_tx_sum *sum)
{
	uint32_t excess = 0, flags = 0, links = 0;
	uint64_t bytes = 0;

	for (unsigned int i = 0; i < n; i++) {
		const struct quoll_buf *buf = bufs[i];
		uint32_t len = buf->total_bytes;

		bytes += len;
		excess = net_frame_excess(len) > excess ? net_frame_excess(len) : excess;
		flags |= buf->flags;
		links |= buf->nr_links;
	}
	sum->bytes = bytes;
	sum->bad = excess > net_frame_excess(rules->max_bytes) || flags & rules->forbidden;
	sum->chains = links != 1;
}

#endif
