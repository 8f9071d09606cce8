/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ports.h - what verbs that move packets have in common: devices, ports, pools with their threads' caches, threads with
 * their loops, the control loop with its timers and signals, and all of it taken down again. Who sends what where is
 * the verb's.
 *
 * Thread rule: all of it is the calling thread's.
 */
#ifndef QUOLL_APPS_PORTS_PORTS_H
#define QUOLL_APPS_PORTS_PORTS_H

#include <net/net.h>
#include <quoll/clock.h>
#include <quoll/loop.h>
#include <quoll/thread.h>

#include "quoll/buffers.h"
#include "quoll/claims.h"

#define PORTS_MAX CLAIMS_MAX_DEVICES
#define PORTS_MAX_THREADS 128
#define PORTS_MAX_POOLS 2u

/**
 * struct ports_port - @started: it is to be stopped
 * @ioas: of its device; NULL: it has none
 */
struct ports_port {
	struct quoll_port *port;
	struct quoll_ioas *ioas;
	struct quoll_port_info info;
	bool started;
};

/**
 * struct ports_thread - one thread: a loop, and a cache of each pool that its queues share
 * @core, @node: -1: not pinned, unknown
 * @handle: NULL for the calling thread
 * @ret:    what its loop ended with
 */
struct ports_thread {
	struct ports *ports;
	struct quoll_loop *loop;
	struct quoll_buf_cache *caches[PORTS_MAX_POOLS];
	int core;
	int node;
	struct quoll_thread *handle;
	int ret;
	uint64_t start_ticks;
	uint64_t end_ticks;
};

/**
 * struct ports_outside - buffers in the process's own memory
 * @va:      NULL: they are in the heap
 * @streams: one a thread and port, of those that there are
 */
struct ports_outside {
	enum buffers_where where;
	uint8_t *va;
	uint64_t bytes;
	uint32_t nr_bufs;
	uint32_t stride_bytes;
	unsigned int nr_streams;
	struct quoll_stream **streams;
};

/**
 * struct ports - zeroed before ports_open(), but for claims.env and claims.separate
 * @control: the loop with signals and timers: that of the only thread where it need not be pinned, else one of the
 *           calling thread's own, which moves no packets, so that it need not be pinned
 * @nr_missing: of @nr_bufs, buffers that were not back in their pools at the end
 */
struct ports {
	struct quoll_clock clock;
	struct claims claims;
	struct quoll_net *net;
	unsigned int nr_ports;
	unsigned int nr_threads;
	struct ports_port ports[PORTS_MAX];
	struct ports_thread threads[PORTS_MAX_THREADS];
	struct quoll_pool *pools[PORTS_MAX_POOLS];
	uint32_t nr_bufs[PORTS_MAX_POOLS];
	uint32_t nr_missing;
	struct ports_outside outside;
	struct quoll_loop *control;
	bool own_control;
	struct quoll_timer look_timer;
	struct quoll_timer live_timer;
};

/**
 * ports_open() - devices, heap, net, ports; ports_close() after success or failure
 */
int ports_open(struct ports *p, const struct quoll_addr *addrs, unsigned int nr_addrs, enum quoll_heap_pages pages,
	       uint64_t heap_bytes, struct quoll_error *err);

/**
 * ports_ring_entries() - what a port makes of @entries (0: not told), at most: it has its own default, and may round up
 */
unsigned int ports_ring_entries(const struct quoll_port_info *info, unsigned int entries);

/**
 * ports_make_pool() - p->pools[which], in an arena of its own
 */
int ports_make_pool(struct ports *p, unsigned int which, const char *name, enum quoll_arena_access access,
		    const struct quoll_pool_opts *opts, struct quoll_error *err);

/**
 * ports_make_pool_outside() - p->pools[0], in memory of the process's own, each buffer in pages of its own
 * @where: not BUFFERS_HEAP
 */
int ports_make_pool_outside(struct ports *p, enum buffers_where where, const struct quoll_pool_opts *opts,
			    struct quoll_error *err);

/**
 * ports_stream() - for a port's queues that a thread polls, once there are threads; the same one at each call
 * @nr_mapped: buffers that all of them have at a time, at most
 * @stream:    NULL: they need none; goes with ports_close()
 */
int ports_stream(struct ports *p, unsigned int thread, unsigned int port, unsigned int nr_mapped,
		 struct quoll_stream **stream, struct quoll_error *err);

/* For ports_close(): the ports are closed, and the pool is destroyed. */
void ports_outside_close(struct ports *p);

/**
 * ports_make_threads() - their loops, and the control loop
 * @cores: NULL: not pinned; else @nr of them
 */
int ports_make_threads(struct ports *p, unsigned int nr, const unsigned int *cores, bool never_sleep,
		       struct quoll_error *err);

/**
 * ports_start() - one port; the rest are as quoll_port_start() has them
 */
int ports_start(struct ports_port *port, const struct quoll_port_queues *queues,
		const struct quoll_port_settings *settings, struct quoll_error *err);

/**
 * struct ports_control - what the control loop calls, each with @arg
 * @look, @look_ns: regularly
 * @live, @live_ns: likewise; may be NULL
 * @on_signal: SIGINT or SIGTERM came
 */
struct ports_control {
	void (*look)(void *arg);
	uint64_t look_ns;
	void (*live)(void *arg);
	uint64_t live_ns;
	void (*on_signal)(void *arg, int signo);
	void *arg;
};

/**
 * ports_start_control() - from now on; ports_stop_control() also after a failure
 */
int ports_start_control(struct ports *p, const struct ports_control *control, struct quoll_error *err);
void ports_stop_control(struct ports *p);

/**
 * ports_run() - all threads, until the control loop is stopped or a thread's loop ends
 * @name: of threads
 */
int ports_run(struct ports *p, const char *name, struct quoll_error *err);

/**
 * ports_failure() - Return: 0; -errno: a port died or a loop ended by itself (named).
 */
int ports_failure(const struct ports *p, struct quoll_error *err);

/**
 * ports_stop() - stop the ports and look whether every buffer is back
 * Return: 0; -errno: a port did not stop cleanly, or buffers are missing. Counters stay readable until ports_close().
 */
int ports_stop(struct ports *p, struct quoll_error *err);
void ports_close(struct ports *p);

#endif
