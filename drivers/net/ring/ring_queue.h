/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ring_queue.h - the queues of ring ports: one end each of a lane. ring_queue.c moves frames, ring.c starts and stops.
 */
#ifndef RING_QUEUE_H
#define RING_QUEUE_H

#include "../net_frame.h"
#include "ring_lane.h"

/**
 * struct ring_rxq - the receiving end
 * @ring, @sums: the lane's
 * @seen:    lane->suspect, as far as all frames before it have been received
 * @sum:     of the last frame received
 * @id:      lane->receiver of this one
 * @max_bytes, @bad_links: what it does not want: longer frames, these bits in the number of links
 */
struct ring_rxq {
	struct quoll_rxq rxq;
	struct ring_lane *lane;
	struct quoll_spsc *ring;
	const uint32_t *sums;
	uint64_t seen;
	uint32_t sum;
	uint32_t id;
	uint32_t max_bytes;
	uint32_t bad_links;
} QUOLL_CACHE_ALIGNED;

/**
 * struct ring_txq - the sending end
 * @rules:      of its own port
 * @receiver:   whom it works for: lane->receiver; 0: nobody yet
 * @max_excess: of frames that both ends take, see net_frame_excess()
 * @rx_max_bytes, @rx_bad_links, @rx_port_id: of that receiver
 */
struct ring_txq {
	struct quoll_txq txq;
	struct ring_lane *lane;
	struct quoll_spsc *ring;
	uint32_t *sums;
	struct net_tx_rules rules;
	uint32_t receiver;
	uint32_t max_excess;
	uint32_t rx_max_bytes;
	uint32_t rx_bad_links;
	uint16_t rx_port_id;
} QUOLL_CACHE_ALIGNED;

/* With the link's lock; the lane has been made. Their common halves are filled in but for burst. */
void ring_rxq_init(struct ring_rxq *q, struct ring_lane *lane);
void ring_txq_init(struct ring_txq *q, struct ring_lane *lane);

#endif
