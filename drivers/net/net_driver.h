/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_driver.h - what a port driver implements: one table, and a port whose common half is here.
 *
 * net.c checks all that a caller says (ranges, offloads, states) before a driver sees it, keeps the settings, and knows
 * which thread may do what; a driver knows its device. Each driver is one folder and one word in meson.build.
 */
#ifndef QUOLL_NET_DRIVER_H
#define QUOLL_NET_DRIVER_H

#include <pthread.h>

#include <quoll/clock.h>
#include <quoll/counter.h>
#include <quoll/device.h>
#include <quoll/heap.h>
#include <quoll/pace.h>

#include "net.h"
#include "net/net_drivers.h"

#define NET_CHECK_PERIOD_NS 1000000u
/* A queue that never has an empty poll looks at the clock this often, in polls. */
#define NET_BUSY_POLLS 256u
/* A frame without FCS is at most this much longer than the mtu: Ethernet header and one tag. */
#define NET_FRAME_OVERHEAD_BYTES 18u
#define NET_MIN_FRAME_BYTES 14u
#define NET_MAX_XSTATS 64u

struct net_driver;
struct net_stage;

/* A device that a driver is for. */
struct net_device_id {
	uint16_t vendor_id;
	uint16_t device_id;
};

/**
 * struct quoll_port - the common half; a driver's own port has it as its first member
 * @info:     filled in by open
 * @settings: what was applied last; zero values replaced by what they stand for
 * @queues:   as started, entries rounded; arrays of cache pointers are the port's copies, and may have other caches of
 *            the same buffers (net_stage.h): a driver looks here only
 * @rxqs, @txqs: set by start, freed by stop; their common halves are filled in by net_rxq_init() and net_txq_init()
 * @rx_fds:   what a sleeper on a receive queue waits for; -1: nothing. Set by start
 * @lock:     held while queues come and go and while the driver counts, so that stats may be asked for by any thread
 * @dead:     0, or the -errno that ended it; set once, with release order, after DMA is off
 */
struct quoll_port {
	const struct net_driver *driver;
	struct quoll_net *net;
	struct quoll_device *dev; /* NULL: no device */
	struct quoll_port_info info;
	struct quoll_port_settings settings;
	struct quoll_port_queues queues;
	struct quoll_rxq *rxqs[QUOLL_PORT_MAX_QUEUES];
	struct quoll_txq *txqs[QUOLL_PORT_MAX_QUEUES];
	struct quoll_clock clock;
	pthread_mutex_t lock;
	struct quoll_port_stats ended; /* of queues that are no more */
	bool running;
	uint16_t id;
	char name[QUOLL_ADDR_MAX_BYTES];
	struct quoll_port *next;
	struct quoll_buf_cache *rx_caches[QUOLL_PORT_MAX_QUEUES]; /* what queues points to */
	struct quoll_buf_cache *tx_caches[QUOLL_PORT_MAX_QUEUES];
	int rx_fds[QUOLL_PORT_MAX_QUEUES];
	struct net_stage *rx_stages[QUOLL_PORT_MAX_QUEUES]; /* NULL: the driver has the caller's cache itself */
	struct net_stage *tx_stages[QUOLL_PORT_MAX_QUEUES];

	/* Any thread; see net_health.c. */
	struct {
		int dead;
		unsigned int killing;
		unsigned int checking;
		uint64_t last_check;
		uint64_t check_ticks;
		uint64_t link; /* net_port_set_link() packs it into one word */
	} QUOLL_CACHE_ALIGNED shared;
};

/**
 * struct net_driver - a driver
 * @name:    "e1000e"
 * @scheme:  of the addresses it takes
 * @ids:     of several drivers of pci: the devices that are its own, up to one of zeroes; NULL: any
 * @port_bytes: size of its port, whose first member is struct quoll_port; zeroed by net.c
 * @memory:  where buffers may lie. HEAP where nothing is said. STREAMED: all that the device reads and writes of a
 * buffer is data, and @front_bytes before it, from the headroom on, at the IOVA that the buffer has while it is the
 * driver's; and what the driver itself reads or writes of it, it tells the stage of (net_stage.h). ANY: no DMA in them
 * @front_bytes: STREAMED: before data that is received, and before a frame's that is sent, if its headroom has them.
 * They are zero when the driver gets a frame to be sent
 * @options: address options it reads, NULL-terminated; NULL for none. A value that cannot be is -EINVAL at the stage
 *           "address", as an option that is none
 * @xstats:  names of what only it counts, NULL-terminated, at most NET_MAX_XSTATS; NULL for none
 * @open:    bring the device up as far as it goes without buffers; fill in port->info. What fails cleans up after
 * itself
 * @close:   free all that open made; the port is stopped
 * @start:   make the queues of port->queues with port->settings, fill rings, set port->rxqs and txqs, switch on
 * @stop:    quiesce, give every buffer back to its queue's cache, free the queues; also after a start that failed
 * @apply:   change over to @settings while running; port->settings still has the old ones. mtu, offloads, and types and
 *           key of rss are equal. NULL: there is nothing to change
 * @stats:   add what the device counted since open to @stats; the queues' own counters are there already. The same for
 *           @xstats, one a name. Any thread, never two at once, and not during start and stop. May be NULL
 * @arm, @disarm: of a receive queue, whose rx_fds[] is set; NULL both if it cannot wake anybody
 * @check:   about once a millisecond, in whichever thread polls, never in two at once: link, events, health. Return: 0,
 *           or the -errno that the port is to die of. net.c calls @dma_off then. NULL: nothing ever happens
 * @dma_off: the device must do no DMA from now on (bus mastering off); net.c marks the port dead after it. NULL: no DMA
 */
struct net_driver {
	const char *name;
	enum quoll_addr_scheme scheme;
	const struct net_device_id *ids;
	size_t port_bytes;
	enum quoll_port_memory memory;
	uint32_t front_bytes;
	const char *const *options;
	const char *const *xstats;

	int (*open)(struct quoll_port *port, const struct quoll_addr *addr, struct quoll_error *err);
	void (*close)(struct quoll_port *port);
	int (*start)(struct quoll_port *port, struct quoll_error *err);
	int (*stop)(struct quoll_port *port);
	int (*apply)(struct quoll_port *port, const struct quoll_port_settings *settings, struct quoll_error *err);
	void (*stats)(struct quoll_port *port, struct quoll_port_stats *stats, uint64_t *xstats);
	int (*arm)(struct quoll_rxq *rxq);
	void (*disarm)(struct quoll_rxq *rxq);
	int (*check)(struct quoll_port *port);
	void (*dma_off)(struct quoll_port *port);
};

/* net_null and so on: NET_DRIVERS is NET_DRIVER(word) for each word in meson.build, which writes it. */
#define NET_DRIVER(name) extern const struct net_driver net_##name;
NET_DRIVERS
#undef NET_DRIVER

/* net.c and net_port.c, for drivers */

/* For a queue: zeroed memory at the beginning of a cache line; freed with free(). NULL: there is none. */
void *net_alloc(size_t bytes);
/* The common half of a queue that start made, in port->rxqs[i] or txqs[i]: all but burst. */
void net_rxq_init(struct quoll_port *port, struct quoll_rxq *rxq, unsigned int i);
void net_txq_init(struct quoll_port *port, struct quoll_txq *txq, unsigned int i);
/* quoll_port_open() with a driver that need not be in the table: for tests. */
int net_port_open_driver(struct quoll_net *net, const struct net_driver *driver, const struct quoll_addr *addr,
			 struct quoll_device *dev, struct quoll_port **port, struct quoll_error *err);

const struct quoll_env *net_env(const struct quoll_port *port);
struct quoll_heap *net_heap(const struct quoll_port *port);
/* The other ports of the same net: for ring:, which looks for its peer. */
struct quoll_port *net_first_port(const struct quoll_port *port);
/* What others read with quoll_port_link(); a change is counted and logged. */
void net_port_set_link(struct quoll_port *port, bool up, bool full_duplex, uint32_t mbit_per_s);
/*
 * A warning of what a peer can do as often as it likes, after the port's name: at the pace of quoll_pace_take(), with
 * the number of those that it stands for. Return: whether it was written.
 */
bool net_port_warn(const struct quoll_port *port, struct quoll_pace *pace, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Mark it dead for @why (-ENODEV, -EIO), after dma_off; any thread, not from dma_off. It is dead on return. */
void net_port_kill(struct quoll_port *port, int why);
/* Out of line part of net_rxq_polled(). */
void net_port_check_due(struct quoll_port *port);

/* net_stats.c, for net_port.c: what the queues that there are have counted, added to @stats. */
void net_add_queues(const struct quoll_port *port, struct quoll_port_stats *stats);

/* net_settings.c, for net_port.c: see quoll_port_start(), quoll_port_apply(). They fill in @to with defaults in place.
 */
int net_check_settings(const struct quoll_port *port, const struct quoll_port_settings *from, unsigned int nr_rxqs,
		       struct quoll_port_settings *to, struct quoll_error *err);
/* net_rss.c, for net_settings.c: defaults are put in place. */
int net_check_rss(const struct quoll_port *port, struct quoll_rss *rss, unsigned int nr_rxqs, struct quoll_error *err);
int net_check_queues(const struct quoll_port *port, const struct quoll_port_queues *queues,
		     const struct quoll_port_settings *settings, struct quoll_error *err);
unsigned int net_round_entries(const struct quoll_port *port, unsigned int entries);

static inline int net_port_dead(const struct quoll_port *port)
{
	/* Pairs with the release in net_port_kill(): who sees it also knows that DMA is off. */
	return __atomic_load_n(&port->shared.dead, __ATOMIC_ACQUIRE);
}

/**
 * net_rxq_polled() - at the end of each poll of a receive queue: now and then, look at the port's health
 * @n: frames that this poll returned
 */
static inline void net_rxq_polled(struct quoll_rxq *rxq, unsigned int n)
{
	if (QUOLL_LIKELY(n && --rxq->polls_left))
		return;
	rxq->polls_left = NET_BUSY_POLLS;
	net_port_check_due(rxq->port);
}

#endif
