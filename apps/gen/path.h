/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * path.h - the hot paths of `quoll gen`: a source fills and sends what is due, a sink takes frames apart and counts.
 * Each belongs to one thread.
 */
#ifndef QUOLL_APPS_GEN_PATH_H
#define QUOLL_APPS_GEN_PATH_H

#include <net/net.h>
#include <net/net_parse.h>
#include <quoll/clock.h>
#include <quoll/counter.h>
#include <quoll/hist.h>
#include <quoll/loop.h>

#include "flow.h"
#include "shape.h"
#include "track.h"

#define GEN_MAX_BURST 256u

enum source_phase {
	SOURCE_WARM_UP,
	SOURCE_MEASURE,
	SOURCE_DONE,
};

/**
 * struct source - one transmit queue, the hot part first
 * @flows, @nr_flows: its own, which no other source has
 * @due:      of the next frame: ticks times 2^32
 * @limit:    when the phase ends, in ticks
 * @end:      when to stop, in ticks; UINT64_MAX: never
 * @nr_left:  frames still to be measured; UINT64_MAX: no limit
 * @pending, @nr_pending: filled frames that the port had no room for
 * @nr_packets, @nr_bytes: measured; FCS not included. Written by the source's thread, read by any
 * @nr_warm_up: sent before
 * @nr_unsent: at the end, frames that the port never took; the others do not count them from then on
 * @nr_full:  polls in which the port did not take all of a burst; @nr_no_buf: in which there were no buffers
 * @phase:    release order when it becomes SOURCE_DONE
 * @behind_ticks: how late it was when it ended, at @done_ticks
 */
struct source {
	struct quoll_txq *txq;
	struct quoll_buf_cache *cache;
	struct flow *flows;
	const uint16_t *sizes;
	unsigned __int128 due;
	struct shape_pace pace;
	struct flow_layout layout;
	struct quoll_clock clock;
	uint64_t limit;
	uint64_t end;
	uint64_t nr_left;
	uint32_t nr_flows;
	uint32_t flow;
	uint32_t nr_sizes;
	uint32_t size;
	uint32_t burst;
	uint32_t nr_pending;
	bool unlimited;
	struct quoll_buf *pending[GEN_MAX_BURST];
	uint64_t nr_packets QUOLL_CACHE_ALIGNED;
	uint64_t nr_bytes;
	uint64_t nr_warm_up;
	uint64_t nr_unsent;
	uint64_t nr_full;
	uint64_t nr_no_buf;
	uint64_t behind_ticks;
	uint64_t done_ticks;
	int phase;
	struct quoll_poller poller QUOLL_CACHE_ALIGNED;
};

/**
 * struct sink - one receive queue
 * @tracks: of its thread, of all flows; its direction has @nr_flows of them from @first_flow on
 * @caches: of this thread: where frames go back to, by their pool
 * @begin:  what was due, or with @by_arrival came, before is of the warm-up, in ticks
 * @stamps_tell: stamps are of this machine's clock: latency is counted
 * @nr_packets, @nr_bytes: ours, measured; @nr_warm_up: ours, not measured; @nr_foreign: not ours, or damaged;
 *         @nr_odd: ours by their check, but from the future or of a flow that there is not
 * @latency: ns from when a frame was due to when it was received; of this thread
 */
struct sink {
	struct quoll_rxq *rxq;
	struct quoll_buf_cache *caches[2];
	struct track *tracks;
	struct flow_layout layout;
	struct quoll_clock clock;
	uint64_t begin;
	uint32_t nr_flows;
	uint32_t first_flow;
	uint32_t burst;
	bool by_arrival;
	bool stamps_tell;
	uint64_t nr_packets QUOLL_CACHE_ALIGNED;
	uint64_t nr_bytes;
	uint64_t nr_warm_up;
	uint64_t nr_foreign;
	uint64_t nr_odd;
	struct quoll_poller poller QUOLL_CACHE_ALIGNED;
	struct quoll_hist latency;
};

/**
 * source_poll(), sink_poll() - @arg: struct source, struct sink. Return: frames moved, for the loop.
 */
int source_poll(void *arg);
int sink_poll(void *arg);

/**
 * source_give_back() - what is filled and was not taken by the port, which counts as not sent; when nobody polls any
 * more
 */
void source_give_back(struct source *s);

static inline int source_phase(const struct source *s)
{
	/* Pairs with the release in path.c: who sees that it is done also sees its last counts. */
	return __atomic_load_n(&s->phase, __ATOMIC_ACQUIRE);
}

#endif
