/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio.h - the driver's objects. Of a queue, the line that every port has comes first, then one line that the hot
 * path touches, then what set-up and odd frames need.
 *
 * Descriptors are handed over in the order of their places in the ring, and each is known by its place: whatever the
 * device does with ring or ids, which buffer is meant stands in an array of ours. A device may finish them in any
 * order; places are used again in order.
 *
 * Who may touch what: a queue belongs to its thread, unless a transport has taken it away (virtio_hold()); struct
 * virtio_port belongs to the port's thread, except what is marked.
 */
#ifndef QUOLL_VIRTIO_H
#define QUOLL_VIRTIO_H

#include <quoll/mmio.h>

#include "../net_driver.h"
#include "../virtq/virtq.h"

#define VIRTIO_MIN_ENTRIES 64u
#define VIRTIO_MAX_ENTRIES 4096u
#define VIRTIO_MAX_PAIRS 32u
#define VIRTIO_MAX_RINGS (2 * VIRTIO_MAX_PAIRS + 1) /* and the control queue */
#define VIRTIO_MIN_MTU 68u
#define VIRTIO_MAX_MTU 9216u
#define VIRTIO_MAX_TX_LINKS 32u
#define VIRTIO_MAX_GSO_BYTES (65535u + 14u)
#define VIRTIO_HDR_BYTES 12u

static_assert(sizeof(struct virtio_net_hdr) == VIRTIO_HDR_BYTES, "before each frame");

struct virtio_port;

/**
 * struct virtio_ring - where a ring lies, and how the device is told of news in it
 * @mem, @bytes: what was allocated
 * @desc:   descriptors
 * @driver: what we write: available ring, or event suppression of a packed one
 * @device: what the device writes: used ring, or event suppression
 * @hdrs:   transmit: a header for each descriptor
 * @kick_reg, @kick_fd: one of the two, from the transport
 * @wish, @nr_stood: what the device waited for at the last look, if that was in vain, and for how many looks
 */
struct virtio_ring {
	void *mem;
	uint64_t bytes;
	void *desc;
	void *driver;
	void *device;
	struct virtio_net_hdr *hdrs;
	volatile void *kick_reg;
	int kick_fd;
	uint16_t idx;
	uint16_t size;
	bool packed;
	bool event_idx;
	uint32_t wish;
	uint32_t nr_stood;
};

/*
 * A queue is taken away from its thread without a lock: the thread says that it is busy, then looks whether it may; the
 * other says that it may not, then looks whether it is busy, with membarrier(2) between, which holds for both.
 */
struct virtio_turn {
	uint32_t busy;
	uint32_t held;
};

struct virtio_rxq {
	struct quoll_rxq q;

	void *desc;
	void *device;
	struct quoll_buf **bufs; /* by place; NULL between clean and tail: finished out of turn */
	struct virtio_turn turn;
	/* These run on, modulo 65536; the place is the value modulo size. */
	uint16_t used;	/* what the device has finished, as far as it was looked at */
	uint16_t clean; /* up to here places are free */
	uint16_t tail;	/* up to here the device's */
	uint16_t size;
	uint16_t batch; /* how many are posted at once */
	uint16_t headroom_bytes;
	uint32_t span_bytes; /* lengths from NET_MIN_FRAME_BYTES on that are one, with the header */
	uint32_t room_bytes; /* of a buffer, header included */
	uint32_t broken;     /* any thread: the device told what cannot be */
	uint64_t bytes;	     /* of the frames of this call */

	struct virtio_ring *ring QUOLL_CACHE_ALIGNED;
	struct quoll_buf **spare; /* as long as bufs, for virtio_rx_repost() */
	uint32_t max_bytes;	  /* of a frame that is not to be cut up */
	bool mergeable;
	bool csum;
	bool gso;
	int call_fd;
};

static_assert(offsetof(struct virtio_rxq, desc) == QUOLL_CACHE_LINE_BYTES, "the common half is one line");
static_assert(offsetof(struct virtio_rxq, ring) == 2 * QUOLL_CACHE_LINE_BYTES, "the hot half is one more");

struct virtio_txq {
	struct quoll_txq q;

	void *desc QUOLL_CACHE_ALIGNED;
	void *device;
	void *driver;
	struct quoll_buf *
		*bufs; /* by the place of a frame's first descriptor; NULL: of one of the others, or finished */
	struct virtio_turn turn;
	uint16_t used;
	uint16_t clean;
	uint16_t tail;
	uint16_t avail; /* frames; used of a split ring counts these, too */
	uint16_t size;
	uint16_t nr_odd; /* frames in the ring that took more than a descriptor, or were finished out of turn */
	uint32_t span_bytes;
	uint16_t reclaim_at; /* so many in the ring before anybody looks whether some are finished, if there is room */
	uint16_t broken;     /* any thread */
	uint16_t nr_orphans;
	uint16_t renumbered; /* split: places stand in the available ring in another order than the one they began in */

	struct virtio_ring *ring QUOLL_CACHE_ALIGNED;
	uint16_t *counts; /* by the place of the first: descriptors of a frame, 0: one */
	uint64_t bytes;	  /* of the frames of this call that were odd */
	uint32_t allowed_flags;
	uint32_t gso_types; /* VIRTIO_NET_GSO_*, a bit each */
	quoll_iova_t hdrs_iova;
	/* Frames that were in the ring when it was taken away: the queue's thread gives them back. */
	struct quoll_buf **orphans;
};

static_assert(offsetof(struct virtio_txq, desc) == QUOLL_CACHE_LINE_BYTES, "the common half is one line");
static_assert(offsetof(struct virtio_txq, ring) == 2 * QUOLL_CACHE_LINE_BYTES, "the hot half is one more");

/**
 * struct virtio_config - what a device says of itself; little-endian, copied once
 *
 * Source: Virtual I/O Device 1.3, 5.1.4 "Device configuration layout".
 */
struct virtio_config {
	uint8_t mac[QUOLL_MAC_BYTES];
	quoll_le16 status;
	quoll_le16 max_pairs;
	quoll_le16 mtu;
	quoll_le32 mbit_per_s;
	uint8_t duplex;
	uint8_t rss_max_key_bytes;
	quoll_le16 rss_max_entries;
	quoll_le32 hash_types;
};

static_assert(sizeof(struct virtio_config) == 24, "as the specification has it");

#define VIRTIO_NET_S_LINK_UP 1u

/**
 * struct virtio_transport - how a device is reached
 * @features: that it adds to those of every port
 * @by_piece: it shows the device the heap's memory piece by piece, so that no ring may lie in two
 * @begin:  reach it, or reset it: then it has no rings. Fills in port->device_features and port->config
 * @go:     with port->features and rings: it works from now on. Interrupts of receive queues go to their call_fd
 * @halt:   it touches neither rings nor buffers any more; -EIO: it did not obey and was cut off, -ENODEV: gone
 */
struct virtio_transport {
	uint64_t features;
	bool by_piece;
	int (*begin)(struct virtio_port *v, struct quoll_error *err);
	int (*go)(struct virtio_port *v, struct quoll_error *err);
	int (*halt)(struct virtio_port *v);
};

/**
 * struct virtio_port - what both transports have
 * @offered:  features at open; a start needs the same
 * @features: agreed on
 * @nr_pairs: of rings, while it runs; a missing queue's ring is there, and stays empty
 * @nr_rings: with the control queue
 */
struct virtio_port {
	struct quoll_port port;
	const struct virtio_transport *transport;
	struct quoll_arena *arena;
	uint64_t device_features;
	uint64_t offered;
	uint64_t features;
	struct virtio_config config;
	unsigned int nr_pairs;
	unsigned int nr_rings;
	unsigned int max_ring_entries;
	struct virtio_ring rings[VIRTIO_MAX_RINGS];
	bool wants_packed;
};

static inline struct virtio_port *virtio_port(struct quoll_port *port)
{
	return (struct virtio_port *)port;
}

static inline bool virtio_has(const struct virtio_port *v, uint64_t feature)
{
	return v->features & feature;
}

/* At the begin of what a queue's thread does with its queue. Return: false: not now. */
static inline bool virtio_enter(struct virtio_turn *turn)
{
	/* Relaxed, and only the compiler is held: see virtio_hold(). */
	__atomic_store_n(&turn->busy, 1, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (QUOLL_LIKELY(!__atomic_load_n(&turn->held, __ATOMIC_ACQUIRE)))
		return true;
	__atomic_store_n(&turn->busy, 0, __ATOMIC_RELEASE);
	return false;
}

static inline void virtio_leave(struct virtio_turn *turn)
{
	/* Pairs with the acquire in virtio_is_still(). */
	__atomic_store_n(&turn->busy, 0, __ATOMIC_RELEASE);
}

/* ring.c */
/*
 * Memory for that many rings, in turn for receive and transmit, all of it one piece of the heap's (see
 * quoll_heap_chunks()), in an arena of its own, that they are made in then. There are no rings, and none before that
 * anybody uses.
 */
int virtio_rings_reserve(struct virtio_port *v, unsigned int nr_rings, unsigned int size, struct quoll_error *err);
/* @is_tx: with headers. */
int virtio_ring_make(struct virtio_port *v, struct virtio_ring *ring, unsigned int size, bool is_tx,
		     struct quoll_error *err);
void virtio_ring_free(struct virtio_port *v, struct virtio_ring *ring);
/* As it was made: nothing in it, no interrupts wanted. */
void virtio_ring_clear(struct virtio_ring *ring);
/* Interrupts wanted from what follows @used on, or not. */
void virtio_ring_interrupts(struct virtio_ring *ring, uint16_t used, bool on);
/* After @n entries up to @now were handed over, and a full fence: tell the device, if it wants to hear of them. */
void virtio_ring_kick(const struct virtio_ring *ring, uint16_t now, uint16_t n);
/* By whoever checks the port: a device that has waited in vain since the last look is told. */
void virtio_ring_look(struct virtio_ring *ring);
/* By whoever is not going to look for a while; any thread. */
void virtio_ring_look_before_sleep(const struct virtio_ring *ring);

/* queues.c */
int virtio_start(struct quoll_port *port, struct quoll_error *err);
int virtio_stop(struct quoll_port *port);
bool virtio_can_hold(void);
/* From now on no queue's thread begins anything. Return: 0, -errno. */
int virtio_hold(struct virtio_port *v);
/* All of them have ended what they had begun. */
bool virtio_is_still(const struct virtio_port *v);
/* Held and still: rings are empty, receive buffers posted again, frames that were on their way are orphans. */
void virtio_begin_anew(struct virtio_port *v);
void virtio_let_go(struct virtio_port *v);
bool virtio_is_broken(const struct virtio_port *v);
/* At all rings. */
void virtio_look(struct virtio_port *v);

/* rx.c */
/* After net_rxq_init(). */
void virtio_rx_choose_burst(struct virtio_rxq *rxq);
/* Post a batch, or what there are buffers for. Return: how many. */
unsigned int virtio_rx_fill(struct virtio_rxq *rxq);
/* Post again what is in bufs[], from place 0 on; the ring is empty. */
void virtio_rx_repost(struct virtio_rxq *rxq);
void virtio_rx_drain(struct virtio_rxq *rxq);
bool virtio_rx_ready(const struct virtio_rxq *rxq);

/* tx.c */
void virtio_tx_choose_burst(struct virtio_txq *txq);
/* The ring is empty again: what was in it becomes orphans. */
void virtio_tx_orphan(struct virtio_txq *txq);
void virtio_tx_drain(struct virtio_txq *txq);

/* virtio.c */
/* A unicast one, of local administration. Return: 0, -errno. */
int virtio_random_mac(uint8_t *mac);
/* One more that may wake it. */
int virtio_wake_add(struct virtio_port *v, unsigned int i, int fd);
void virtio_wake_drop(struct virtio_port *v, unsigned int i, int fd);
/* What is asked of the device, of the features that it has. */
uint64_t virtio_wanted_features(const struct virtio_port *v);
/* Are they all there, and is the device as it was when the port was opened? */
int virtio_check_features(const struct virtio_port *v, struct quoll_error *err);
/* After the first begin: what the port can do. */
int virtio_fill_info(struct virtio_port *v, struct quoll_error *err);
int virtio_arm(struct quoll_rxq *q);
void virtio_disarm(struct quoll_rxq *q);
/* A set of what may wake a sleeper on receive queue @i, into rx_fds[], with its call_fd and these (-1: none). */
int virtio_wake_open(struct virtio_port *v, unsigned int i, const int *fds, unsigned int nr_fds,
		     struct quoll_error *err);

#endif
