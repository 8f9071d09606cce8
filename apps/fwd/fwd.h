/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fwd.h - a forwarder: ports, buffers, threads with their loops, and the run. Set up in setup.c, run in run.c; what it
 * counted is put into words in report.c.
 */
#ifndef QUOLL_APPS_FWD_FWD_H
#define QUOLL_APPS_FWD_FWD_H

#include <jansson.h>

#include <quoll/pace.h>

#include "ports/ports.h"
#include "quoll/iommu_faults.h"

#include "path.h"

#define FWD_MAX_PORTS PORTS_MAX
#define FWD_MAX_THREADS PORTS_MAX_THREADS
#define FWD_MAX_EVENTS 64

/* Why a run ended. */
enum fwd_end {
	FWD_END_TIME,
	FWD_END_PACKETS,
	FWD_END_SIGNAL,
	FWD_END_ERROR,
};

/**
 * struct fwd_opts - what is asked for; constant while it runs
 * @nr_queues:  of each port, in each direction
 * @nr_cores:   0, or @nr_threads cores to pin threads to
 * @entries:    of each ring; 0 for 512, or as many as the port can
 * @nr_bufs:    of the pool; 0: worked out
 * @buf_bytes:  of each, headroom included; 0: worked out from @mtu
 * @offloads:   take what peers leave undone, and hand it on or do it
 * @rewrite:    put the outgoing port's own address into frames as their source
 * @nr_dst_macs: 0: destinations stay; 1: this one everywhere; else one a port, of frames that leave by it
 * @time_ns:    0 for no limit
 * @max_packets: 0 for no limit
 * @nr_prime:   frames of @frame_bytes that each queue sends before anything is received
 * @buffers:   where they lie
 * @heap_bytes: of the heap's window; 0 for the default
 * @live_ns:    how often @live is called
 * @live:       told in words how it goes; may be NULL
 * @say:        told of what happens on the way (a link that changes, the IOMMU's faults) and what looks wrong; may be
 *              NULL
 */
struct fwd_opts {
	unsigned int nr_queues;
	unsigned int nr_threads;
	unsigned int nr_cores;
	unsigned int cores[FWD_MAX_THREADS];
	unsigned int burst;
	unsigned int entries;
	uint32_t nr_bufs;
	uint32_t buf_bytes;
	unsigned int mtu;
	bool promiscuous;
	bool offloads;
	bool rewrite;
	unsigned int nr_dst_macs;
	uint8_t dst_macs[FWD_MAX_PORTS][QUOLL_MAC_BYTES];
	uint64_t time_ns;
	uint64_t max_packets;
	unsigned int nr_prime;
	unsigned int frame_bytes;
	bool never_sleep;
	enum quoll_heap_pages pages;
	enum buffers_where buffers;
	uint64_t heap_bytes;
	uint64_t live_ns;
	void (*live)(const char *line);
	void (*say)(void *arg, const char *line);
	void *say_arg;
};

/**
 * struct fwd_seen - what was last seen of a port
 * @nr_primed: frames that it sent before the run
 * @link:      as last looked at
 * @nr_link_changes: since the run began
 * @pace:      of lines about them
 * @change_ns: when the last one was seen
 */
struct fwd_seen {
	unsigned int nr_primed;
	struct quoll_port_link link;
	uint32_t nr_link_changes;
	struct quoll_pace pace;
	uint64_t change_ns;
};

/* A link that went up or down while forwarding. */
struct fwd_event {
	uint64_t time_ns;
	unsigned int port;
	bool up;
	uint32_t mbit_per_s;
};

/**
 * struct fwd_totals - sums over all ports and paths, for the live line
 */
struct fwd_totals {
	uint64_t packets;
	uint64_t tx_bytes;
	uint64_t tx_full;
	uint64_t undone;
	struct quoll_port_stats stats;
};

/**
 * struct fwd_run - everything
 * @p:       with one pool, for all ports
 * @cache_size, @buf_bytes: as they came out
 * @paths:   one a receive queue, in the order of plan_queues()
 */
struct fwd_run {
	struct fwd_opts opts;
	struct ports p;
	struct iommu_faults *faults;
	uint32_t cache_size;
	uint32_t buf_bytes;
	unsigned int nr_paths;
	struct fwd_seen seen[FWD_MAX_PORTS];
	struct fwd_path *paths;

	struct quoll_timer end_timer;
	enum fwd_end end;
	uint64_t start_ticks;
	uint64_t end_ticks;
	uint64_t timer_ticks;
	uint64_t live_ticks;
	struct fwd_totals live_before;
	unsigned int nr_events; /* all of them; the first FWD_MAX_EVENTS are kept */
	struct fwd_event events[FWD_MAX_EVENTS];
};

/**
 * fwd_open() - ports, buffers, threads' loops, and queues in them; fwd_close() after success or failure
 * @run:   zeroed, but for @opts and p.claims.env
 * @addrs: array of @nr_addrs addresses: 1, or an even number
 */
int fwd_open(struct fwd_run *run, const struct quoll_addr *addrs, unsigned int nr_addrs, struct quoll_error *err);

/**
 * fwd_loop() - forward until time, number, a signal or an error ends it
 * Return: 0; -errno: a port died (named). Counters are valid either way.
 */
int fwd_loop(struct fwd_run *run, struct quoll_error *err);

/**
 * fwd_stop() - stop the ports and look whether every buffer is back
 * Return: 0; -errno: a port did not stop cleanly, or buffers are missing. Counters stay readable until fwd_close().
 */
int fwd_stop(struct fwd_run *run, struct quoll_error *err);
void fwd_close(struct fwd_run *run);

/**
 * fwd_link_line() - what is to be printed of a port's link
 * @now_ns: since the start of the run
 *
 * Return: false: nothing, or not now: of one that flaps, a few lines come at once, then one a second with the number of
 * changes that it stands for.
 */
bool fwd_link_line(struct fwd_seen *seen, const char *name, uint64_t now_ns, char *line, size_t line_bytes);

/* Frames forwarded so far by all paths; any thread. */
uint64_t fwd_packets(const struct fwd_run *run);
void fwd_totals(const struct fwd_run *run, struct fwd_totals *totals);

/**
 * fwd_live_line() - what happened between two sums, in words: rates, and drops of each kind
 */
void fwd_live_line(const struct fwd_totals *before, const struct fwd_totals *now, uint64_t ns, char *line,
		   size_t bytes);

/**
 * fwd_describe_map() - which queue is served where: {"queues": […]}; fwd_describe() - that and all that was counted
 * Return: NULL without memory. fwd_map_text() and fwd_text() render them.
 */
json_t *fwd_describe_map(const struct fwd_run *run);
json_t *fwd_describe(const struct fwd_run *run);
void fwd_map_text(FILE *f, const json_t *doc);
void fwd_text(FILE *f, const json_t *doc);

#endif
