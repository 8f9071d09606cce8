/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * gen.h - a generator: ports, buffers, sources and sinks, threads, and the run. Set up in setup.c, run in run.c; what
 * it counted is put into words in report.c.
 */
#ifndef QUOLL_APPS_GEN_GEN_H
#define QUOLL_APPS_GEN_GEN_H

#include <jansson.h>

#include "ports/ports.h"
#include "quoll/iommu_faults.h"

#include "path.h"

#define GEN_MAX_PORTS 2u
#define GEN_MAX_THREADS PORTS_MAX_THREADS
#define GEN_TX 0u /* pools, and threads' caches of them */
#define GEN_RX 1u

/* Why a run ended. */
enum gen_end {
	GEN_END_TIME,
	GEN_END_COUNT,
	GEN_END_SIGNAL,
	GEN_END_ERROR,
};

/**
 * struct gen_opts - what is asked for; constant while it runs
 * @flow:     the first flow; MAC addresses of zeroes: of the ports. So many flows in each direction
 * @sizes, @nr_sizes: of frames, FCS included; stay the caller's
 * @send, @receive: at least one
 * @both:     of two ports, each sends to the other
 * @nr_queues: of each port and direction; flows are dealt out over them, at least one each
 * @same_clock: without @send: stamps are of this machine's clock
 * @nr_threads: that queues are dealt out over, those that send first
 * @time_ns:  how long frames are sent; 0 for no limit. @warm_up_ns of that come first
 * @max_packets: after the warm-up, in each direction; 0 for no limit
 * @linger_ns: how long frames are waited for that were sent and have not come
 * @link_down_ns: a link that is down for so long, after traffic, ends the run with an error
 * @live_ns, @live: as those of fwd
 */
struct gen_opts {
	struct flow_opts flow;
	struct shape_rate rate;
	const uint16_t *sizes;
	unsigned int nr_sizes;
	bool send;
	bool receive;
	bool both;
	bool same_clock;
	unsigned int nr_queues;
	unsigned int nr_threads;
	unsigned int nr_cores;
	unsigned int cores[GEN_MAX_THREADS];
	unsigned int burst;
	unsigned int entries;
	unsigned int mtu;
	uint64_t time_ns;
	uint64_t warm_up_ns;
	uint64_t max_packets;
	uint64_t linger_ns;
	uint64_t link_down_ns;
	uint64_t key;
	enum quoll_heap_pages pages;
	uint64_t heap_bytes;
	uint64_t live_ns;
	void (*live)(const char *line);
	void (*say)(void *arg, const char *line); /* told of the IOMMU's faults; NULL: nobody is */
	void *say_arg;
};

/* For the live line. */
struct gen_totals {
	uint64_t tx_packets;
	uint64_t rx_packets;
	uint64_t tx_bytes;
	uint64_t rx_bytes;
};

/**
 * struct gen_run - everything
 * @p:      pool GEN_TX is sent from, GEN_RX received into
 * @nr_directions: from the first port to the second (or itself), and back
 * @nr_lanes: of @sources, of @sinks: one a queue, direction after direction
 * @sources, @sinks: NULL if nothing is sent, received
 * @flows:  of all directions, opts.flow.nr_flows each; their stamps count through
 * @tracks: of each thread that receives, all flows
 * @begin_ticks, @end_ticks: of what is measured
 * @was_up, @down_ticks: of each port: its link was up since the start; it was first seen down, 0: it is up
 * @lost:   the port whose link was down for too long, or NULL
 */
struct gen_run {
	struct gen_opts opts;
	struct ports p;
	struct iommu_faults *faults;
	unsigned int nr_directions;
	unsigned int nr_lanes;
	struct source *sources;
	struct sink *sinks;
	struct flow *flows;
	struct track *tracks[GEN_MAX_THREADS];
	enum gen_end end;
	bool was_up[GEN_MAX_PORTS];
	uint64_t down_ticks[GEN_MAX_PORTS];
	const struct ports_port *lost;
	uint64_t start_ticks;
	uint64_t begin_ticks;
	uint64_t end_ticks;
	uint64_t linger_until;
	uint64_t live_ticks;
	struct gen_totals live_before;
};

/* The ports that a direction uses: with two of them, the first one's is from the first to the second. */
static inline struct ports_port *gen_tx_port(struct gen_run *run, unsigned int direction)
{
	return &run->p.ports[direction ? run->p.nr_ports - 1 : 0];
}

static inline struct ports_port *gen_rx_port(struct gen_run *run, unsigned int direction)
{
	return &run->p.ports[direction ? 0 : run->p.nr_ports - 1];
}

static inline unsigned int gen_nr_flows(const struct gen_run *run)
{
	return run->nr_directions * run->opts.flow.nr_flows;
}

/**
 * gen_open() - ports, buffers, loops; gen_close() after success or failure
 * @run: zeroed, but for @opts and p.claims.env
 */
int gen_open(struct gen_run *run, const struct quoll_addr *addrs, unsigned int nr_addrs, struct quoll_error *err);

/**
 * gen_loop() - until time, number, a signal or an error ends it, and what was sent has come or been waited for
 * Return: 0; -ENETDOWN: a port's link was down for too long; -errno: a port died (named). Counters are valid either
 * way.
 */
int gen_loop(struct gen_run *run, struct quoll_error *err);

/**
 * gen_stop() - stop the ports and look whether every buffer is back
 */
int gen_stop(struct gen_run *run, struct quoll_error *err);
void gen_close(struct gen_run *run);

/* Sums of all flows: what came, what is missing (with a source: of all that it sent), and so on. */
struct gen_sums {
	uint64_t sent;
	uint64_t good;
	uint64_t lost;
	uint64_t reordered;
	uint64_t duplicates;
	uint64_t late;
	uint64_t far;
};

void gen_sums(const struct gen_run *run, unsigned int first_flow, unsigned int nr_flows, struct gen_sums *sums);
void gen_totals(const struct gen_run *run, struct gen_totals *totals);
void gen_live_line(const struct gen_totals *before, const struct gen_totals *now, uint64_t ns, char *line,
		   size_t bytes);

/* Return: NULL without memory. */
json_t *gen_describe(const struct gen_run *run);
void gen_text(FILE *f, const json_t *doc);

#endif
