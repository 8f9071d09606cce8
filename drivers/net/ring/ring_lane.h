/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ring_lane.h - one direction of one queue pair between two ring ports: the ring, what sender and receiver have to tell
 * each other, and the bell for a receiver asleep.
 *
 * Set-up happens under the link's lock; the hot path touches the ring and the sums, and reads open, suspect and armed.
 */
#ifndef RING_LANE_H
#define RING_LANE_H

#include <stdbool.h>

#include <quoll/ring.h>

/**
 * struct ring_lane - a lane
 * @ring:           there while either end runs
 * @fd:             eventfd, as long as @ring, so that a sender never writes to a file that is another one by now; -1 if
 *                  nobody can sleep
 * @sums:           one a slot: bytes of all frames up to the one in it, modulo 2^32 (more than a full ring holds)
 * @open:           atomic: the receiver's number while both queues are there, else 0: senders put nothing in then
 * @armed:          atomic: the receiver is asleep, or about to be
 * @receiver:       number of the latest receiving queue, from 1
 * @rx_max_bytes, @rx_bad_links, @rx_port_id: atomic: of that queue, see ring_queue.h
 * @known:          atomic, the sender's: the receiver whose wishes it knows
 * @suspect:        atomic, the sender's: low half: the receiver must look at all frames before this place; high half:
 *                  counts the changes
 * @has_tx, @has_rx: a started port has this queue
 */
struct ring_lane {
	struct quoll_spsc *ring;
	uint32_t *sums;
	int fd;
	uint32_t open;
	unsigned int armed;
	uint32_t receiver;
	uint32_t rx_max_bytes;
	uint32_t rx_bad_links;
	uint16_t rx_port_id;
	bool has_tx;
	bool has_rx;
	uint32_t known;
	uint64_t suspect;
} QUOLL_CACHE_ALIGNED;

/* Whether this kernel can do what sleeping needs. Asked once a port, at open; any number of times. */
bool ring_lane_can_sleep(void);
int ring_lane_make(struct ring_lane *lane, unsigned int entries, bool can_sleep);
void ring_lane_free(struct ring_lane *lane);
int ring_lane_arm(struct ring_lane *lane);
void ring_lane_disarm(struct ring_lane *lane);
void ring_lane_wake(struct ring_lane *lane);

/*
 * After frames went in. The receiver sets armed, then looks at the ring; we fill the ring, then look at armed: one of
 * the two sees the other, if neither CPU moves its load before its store. The receiver's call of membarrier() in
 * ring_lane_arm() makes that so for both, and nothing but the compiler has to be held here.
 */
static inline void ring_lane_filled(struct ring_lane *lane)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (QUOLL_UNLIKELY(__atomic_load_n(&lane->armed, __ATOMIC_RELAXED)))
		ring_lane_wake(lane);
}

#endif
