/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * e1000e.h - the driver's objects. Of a queue, the line that every port has comes first, then one line that the hot
 * path touches, then what set-up and odd frames need.
 *
 * Who may touch what: a queue belongs to its thread; struct e1000e_port to the port's, except what is marked.
 */
#ifndef QUOLL_E1000E_H
#define QUOLL_E1000E_H

#include <quoll/mmio.h>
#include <quoll/pci.h>
#include <quoll/wait.h>

#include "../net_driver.h"
#include "e1000e_regs.h"

#define E1000E_MIN_ENTRIES 128u
#define E1000E_MAX_ENTRIES 4096u
#define E1000E_MAX_MTU 9000u
#define E1000E_MAX_TX_LINKS 32u
#define E1000E_MAX_RX_LINKS 40u /* 9,018 bytes in buffers of 256, and some more */
#define E1000E_TX_MARK_DISTANCE 32u
#define E1000E_CHECKS_A_LOOK 16u
#define E1000E_RX_NEVER UINT32_MAX /* no masked status is that: all descriptors are odd */

enum e1000e_vector {
	E1000E_VECTOR_RXQ0,
	E1000E_VECTOR_RXQ1,
	E1000E_VECTOR_OTHER,
	E1000E_USED_VECTORS,
};

/* A frame of several links, as far as it has come. */
struct e1000e_rx_chain {
	struct quoll_buf *first;
	struct quoll_buf *last;
	uint32_t bytes;
	uint16_t nr_links;
	bool dropping; /* until the end of the frame */
};

struct e1000e_rxq {
	struct quoll_rxq q;

	struct e1000e_rx_desc *ring;
	struct quoll_buf **bufs; /* which buffer is behind a descriptor: what counts, whatever the ring says */
	volatile void *tail_reg;
	uint32_t next;	    /* index of the descriptor to look at */
	uint32_t nr_posted; /* from next on, the device's; never the whole ring */
	uint32_t size;
	uint32_t batch;	     /* how many are posted at once */
	uint32_t want;	     /* status of a frame that needs no care; E1000E_RX_NEVER inside a chain */
	uint32_t span_bytes; /* lengths from NET_MIN_FRAME_BYTES on that are one */
	uint16_t headroom_bytes;

	struct e1000e_rx_chain chain QUOLL_CACHE_ALIGNED;
	uint32_t limit_bytes; /* what the device may put into one buffer */
	uint32_t max_frame_bytes;
	bool scatter;
	bool offloads;
	bool hash;
	uint8_t flags[128]; /* by status, see rx.c */
};

static_assert(offsetof(struct e1000e_rxq, ring) == QUOLL_CACHE_LINE_BYTES, "the common half is one line");
static_assert(offsetof(struct e1000e_rxq, chain) == 2 * QUOLL_CACHE_LINE_BYTES, "the hot half is one more");

struct e1000e_txq {
	struct quoll_txq q;

	struct e1000e_tx_desc *ring QUOLL_CACHE_ALIGNED;
	struct quoll_buf **bufs; /* one a descriptor; NULL for a context */
	volatile void *tail_reg;
	uint32_t *marks; /* where the descriptors before a position were asked to report, oldest first */
	/* These run on; the index is the value modulo size. */
	uint32_t tail;
	uint32_t clean; /* up to here buffers are back */
	uint32_t last_mark;
	uint32_t mark_head;
	uint32_t mark_tail;
	uint32_t size;
	uint32_t span_bytes;
	uint32_t nr_contexts; /* in the ring */

	uint64_t context QUOLL_CACHE_ALIGNED; /* what the device holds; E1000E_NO_CONTEXT */
	uint64_t bytes;			      /* of the frames of this call that were odd */
	uint32_t allowed_flags;
};

static_assert(offsetof(struct e1000e_txq, ring) == QUOLL_CACHE_LINE_BYTES, "the common half is one line");
static_assert(offsetof(struct e1000e_txq, context) == 2 * QUOLL_CACHE_LINE_BYTES, "the hot half is one more");

#define E1000E_NO_CONTEXT UINT64_MAX
#define E1000E_NR_XSTATS 9

struct e1000e_port {
	struct quoll_port port;

	struct quoll_region *bar;
	volatile uint8_t *regs;
	struct quoll_arena *arena; /* rings; the device writes into all of them */
	uint32_t rctl;		   /* as written last */
	uint32_t nr_checks;
	bool has_irqs;
	bool is_down; /* a stop had to take bus mastering away: reset before the next start */
	int vector_fds[E1000E_USED_VECTORS];

	/* Any thread; see stats.c. */
	struct {
		unsigned int busy;
		uint64_t last; /* ticks */
		uint64_t sums[E1000E_NR_XSTATS];
		uint64_t bad_lengths;
	} QUOLL_CACHE_ALIGNED count;
};

static inline struct e1000e_port *e1000e_port(struct quoll_port *port)
{
	return (struct e1000e_port *)port;
}

static inline uint32_t e1000e_read(const struct e1000e_port *e, unsigned int reg)
{
	return quoll_mmio_read32(e->regs + reg);
}

static inline void e1000e_write(struct e1000e_port *e, unsigned int reg, uint32_t value)
{
	quoll_mmio_write32(e->regs + reg, value);
}

/* Register of a queue. */
static inline unsigned int e1000e_queue_reg(enum e1000e_reg reg, unsigned int queue)
{
	return (unsigned int)reg + queue * E1000E_QUEUE_STRIDE;
}

/*
 * Wait until the bits of @mask read @value. Return: 0; -ETIMEDOUT; -ENODEV: all ones. @value is not all ones itself.
 */
int e1000e_wait(struct e1000e_port *e, enum e1000e_reg reg, uint32_t mask, uint32_t value, unsigned int limit_ms);

/* bringup.c */
int e1000e_reset(struct e1000e_port *e, struct quoll_error *err);
int e1000e_init(struct e1000e_port *e, struct quoll_error *err);
int e1000e_gone(struct e1000e_port *e, const char *stage, struct quoll_error *err);
/* Receiver and transmitter off, then no DMA any more. Return: 0; -ETIMEDOUT: it did not obey; -ENODEV. */
int e1000e_quiesce(struct e1000e_port *e);

/* link.c */
int e1000e_link_setup(struct e1000e_port *e, struct quoll_error *err);
int e1000e_link_update(struct e1000e_port *e);

/* irq.c */
int e1000e_irq_open(struct e1000e_port *e, struct quoll_error *err);
void e1000e_irq_close(struct e1000e_port *e);
/* Which cause goes to which vector, and link changes on; after a reset. */
void e1000e_irq_setup(struct e1000e_port *e);
/* Return: whether there may be news of the link. */
bool e1000e_irq_other_fired(struct e1000e_port *e);
/* A set of all that may wake a sleeper on queue @i, into rx_fds[]. */
int e1000e_rxq_wake_open(struct e1000e_port *e, unsigned int i, struct quoll_error *err);
int e1000e_arm(struct quoll_rxq *rxq);
void e1000e_disarm(struct quoll_rxq *rxq);

/* filter.c */
int e1000e_read_mac(struct e1000e_port *e, struct quoll_error *err);
void e1000e_filter_clear(struct e1000e_port *e);
/* Addresses into the device. Return: the RCTL bits that go with @settings. */
uint32_t e1000e_filter_set(struct e1000e_port *e, const struct quoll_port_settings *settings);
int e1000e_apply(struct quoll_port *port, const struct quoll_port_settings *settings, struct quoll_error *err);

void e1000e_rss_table_set(struct e1000e_port *e, const struct quoll_rss *rss);

/* stats.c */
extern const char *const e1000e_xstats[];
void e1000e_stats_clear(struct e1000e_port *e);
void e1000e_stats_look(struct e1000e_port *e);
void e1000e_stats(struct quoll_port *port, struct quoll_port_stats *stats, uint64_t *xstats);

/* queues.c */
int e1000e_start(struct quoll_port *port, struct quoll_error *err);
int e1000e_stop(struct quoll_port *port);

/* rx.c */
void e1000e_rx_flags_init(struct e1000e_rxq *rxq, uint32_t offloads);
/* Post a batch, or what there are buffers for. Return: how many. */
unsigned int e1000e_rx_fill(struct e1000e_rxq *rxq);
bool e1000e_rx_ready(const struct e1000e_rxq *rxq);
void e1000e_rx_drain(struct e1000e_rxq *rxq);
unsigned int e1000e_rx_burst(struct quoll_rxq *q, struct quoll_buf **bufs, unsigned int n);
unsigned int e1000e_rx_burst_offloads(struct quoll_rxq *q, struct quoll_buf **bufs, unsigned int n);

/* tx.c */
void e1000e_tx_drain(struct e1000e_txq *txq);
unsigned int e1000e_tx_burst(struct quoll_txq *q, struct quoll_buf *const *bufs, unsigned int n);

#endif
