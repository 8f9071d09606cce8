/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * gen.h - a generator: ports, buffers, one source, one sink, threads, and the run. Set up in setup.c, run in run.c;
 * what it counted is put into words in report.c.
 */
#ifndef QUOLL_APPS_GEN_GEN_H
#define QUOLL_APPS_GEN_GEN_H

#include <jansson.h>
#include <quoll/thread.h>

#include "quoll/claims.h"

#include "path.h"

#define GEN_MAX_PORTS 2u
#define GEN_MAX_THREADS 2u
#define GEN_TX_CACHE 0u
#define GEN_RX_CACHE 1u

/* Why a run ended. */
enum gen_end {
	GEN_END_TIME,
	GEN_END_COUNT,
	GEN_END_SIGNAL,
	GEN_END_ERROR,
};

/**
 * struct gen_opts - what is asked for; constant while it runs
 * @flow:     the first flow; MAC addresses of zeroes: of the ports
 * @sizes, @nr_sizes: of frames, FCS included; stay the caller's
 * @send, @receive: at least one
 * @same_clock: without @send: stamps are of this machine's clock
 * @nr_threads: 1, or 2: one for each direction
 * @time_ns:  how long frames are sent; 0 for no limit. @warm_up_ns of that come first
 * @max_packets: after the warm-up; 0 for no limit
 * @linger_ns: how long frames are waited for that were sent and have not come
 * @say, @live: as those of fwd
 */
struct gen_opts {
	struct flow_opts flow;
	struct shape_rate rate;
	const uint16_t *sizes;
	unsigned int nr_sizes;
	bool send;
	bool receive;
	bool same_clock;
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
	uint64_t key;
	enum quoll_heap_pages pages;
	uint64_t heap_bytes;
	uint64_t live_ns;
	void (*live)(const char *line);
};

struct gen_port {
	struct quoll_port *port;
	struct quoll_port_info info;
	bool started;
};

struct gen_thread {
	struct gen_run *run;
	struct quoll_loop *loop;
	struct quoll_thread *handle;
	int ret;
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
 * @pools:  sent from (device-read), received into
 * @source, @sink: NULL in a direction that is not asked for
 * @begin_ticks, @end_ticks: of what is measured
 */
struct gen_run {
	struct gen_opts opts;
	struct quoll_clock clock;
	struct claims claims;
	struct quoll_net *net;
	struct quoll_pool *pools[2];
	struct quoll_buf_cache *caches[2];
	uint32_t nr_bufs[2];
	unsigned int nr_ports;
	struct gen_port ports[GEN_MAX_PORTS];
	struct source *source;
	struct sink *sink;
	struct flow *flows;
	struct track *tracks;
	unsigned int nr_threads;
	struct gen_thread threads[GEN_MAX_THREADS];
	struct quoll_loop *control;
	bool own_control;
	struct quoll_timer look_timer;
	struct quoll_timer live_timer;
	enum gen_end end;
	uint64_t start_ticks;
	uint64_t begin_ticks;
	uint64_t end_ticks;
	uint64_t linger_until;
	uint64_t live_ticks;
	struct gen_totals live_before;
	uint32_t nr_missing;
};

/* The port that a direction uses: with two of them, the first sends and the second receives. */
static inline struct gen_port *gen_tx_port(struct gen_run *run)
{
	return &run->ports[0];
}

static inline struct gen_port *gen_rx_port(struct gen_run *run)
{
	return &run->ports[run->nr_ports - 1];
}

/**
 * gen_open() - ports, buffers, loops; gen_close() after success or failure
 * @run: zeroed, but for @opts and claims.env
 */
int gen_open(struct gen_run *run, const struct quoll_addr *addrs, unsigned int nr_addrs, struct quoll_error *err);

/**
 * gen_loop() - until time, number, a signal or an error ends it, and what was sent has come or been waited for
 * Return: 0; -errno: a port died (named). Counters are valid either way.
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
