/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * path.h - one receive queue and where its frames go: the hot path of `quoll fwd`. A path belongs to one thread.
 */
#ifndef QUOLL_APPS_FWD_PATH_H
#define QUOLL_APPS_FWD_PATH_H

#include <net/net.h>
#include <quoll/clock.h>
#include <quoll/counter.h>
#include <quoll/loop.h>

#include "plan.h"

#define FWD_MAX_BURST 256u
#define FWD_MAX_CUT 1024u /* segments of one frame: of 64 KiB, with an mss of 64 */
/*
 * One burst in so many is timed: reading the clock twice a burst would cost more than forwarding a packet. A prime, as
 * what drivers do every few bursts (clean, refill, wrap around) goes by powers of two and would always be timed, or
 * never.
 */
#define FWD_TIMED_BURSTS 17u

struct fwd_run;

/**
 * struct fwd_path - the hot part first
 * @cache: of the thread: where frames go that could not be sent
 * @macs:  destination and source of every frame, where they are rewritten, from byte @edit_off on
 * @missing: QUOLL_OFFLOAD_* of transmit that the outgoing port does not do, @max_tso_bytes, @max_links of what it does
 * @burst: frames at a time
 * @untimed: polls that receive something until one is timed
 * @nr_packets: forwarded; @nr_full: dropped, as the transmit ring was full; @nr_bursts: polls that received something.
 *         @nr_cut frames became @nr_segments, which are among @nr_packets and @nr_full; @nr_undone: dropped, as what
 *         their peer left undone could not be done.
 *         Of those that were timed: @nr_timed, @timed_packets forwarded, @timed_ticks. Written by the path's thread,
 *         read by any
 * @plain: the poll function, without the limit of --packets
 */
struct fwd_path {
	struct quoll_rxq *rxq;
	struct quoll_txq *txq;
	struct quoll_buf_cache *cache;
	unsigned int burst;
	unsigned int untimed;
	uint8_t macs[2 * QUOLL_MAC_BYTES];
	uint32_t edit_off;
	uint32_t missing;
	uint32_t max_tso_bytes;
	uint32_t max_links;
	uint64_t nr_packets QUOLL_CACHE_ALIGNED;
	uint64_t nr_full;
	uint64_t nr_cut;
	uint64_t nr_segments;
	uint64_t nr_undone;
	uint64_t nr_bursts;
	uint64_t nr_timed;
	uint64_t timed_packets;
	uint64_t timed_ticks;
	struct quoll_clock clock;
	int (*plain)(void *arg);
	struct quoll_poller poller QUOLL_CACHE_ALIGNED;
	struct plan_queue plan;
	struct fwd_run *run;
};

/**
 * fwd_poll_plain(), fwd_poll_source(), fwd_poll_both() - forward a burst: as it is, with path->macs's source, or with
 * both of its addresses
 * @arg: struct fwd_path
 * Return: frames received, for the loop.
 */
int fwd_poll_plain(void *arg);
int fwd_poll_source(void *arg);
int fwd_poll_both(void *arg);

/**
 * fwd_poll_offloads() - the same with any edit, of frames whose peer may have left checksums and segmentation undone:
 * they are handed on as they are where the outgoing port does it, else it is done here
 */
int fwd_poll_offloads(void *arg);

#endif
