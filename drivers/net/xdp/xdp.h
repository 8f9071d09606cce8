/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * xdp.h - xdp: ports: AF_XDP sockets on an interface of the kernel's, one a queue, and the program that sends frames to
 * them.
 *
 * The memory of the pool that a queue's buffers come from is the socket's UMEM, whole: a buffer received is a buffer of
 * that pool, and can be sent by any other port whose queue has the same one, without a copy in user space.
 *
 * Source: Linux, Documentation/networking/af_xdp.rst, include/uapi/linux/if_xdp.h; libxdp's xsk.h.
 */
#ifndef XDP_H
#define XDP_H

#include <xdp/xsk.h>

#include "../net_frame.h"
#include "../net_if.h"

/* Newer than Debian 12's headers; the kernel is asked at run time. */
#ifndef XDP_USE_SG
#define XDP_USE_SG (1u << 4)
#endif
#ifndef XDP_PKT_CONTD
#define XDP_PKT_CONTD (1u << 0)
#endif

#define XDP_MIN_CHUNK_BYTES 2048u
#define XDP_MAX_CHUNK_BYTES 4096u
#define XDP_HEADROOM_BYTES 256u /* what the kernel keeps before each frame that it writes */
#define XDP_MAX_LINKS 17u	/* as many fragments as an skb has */
#define XDP_REFILL 32u

enum xdp_want {
	XDP_WANT_AUTO,
	XDP_WANT_ON,
	XDP_WANT_OFF,
};

enum xdp_mode {
	XDP_MODE_AUTO,
	XDP_MODE_NATIVE,
	XDP_MODE_GENERIC,
};

/**
 * struct xdp_umem_map - a pool as the kernel sees it: buffers by their offsets from @base, which is a page's beginning
 * @first:    offset of the first buffer
 * @magic:    2^64 / stride, rounded up: an offset times it has the buffer's number in its upper half. Exact, as offsets
 *            are far below 2^64 / stride
 * @chunk:    bytes from a buffer's beginning that the kernel writes at most, its headroom included
 */
struct xdp_umem_map {
	uint8_t *base;
	uint64_t first;
	uint64_t magic;
	struct quoll_buf *bufs;
	struct quoll_pool *pool;
	uint32_t stride;
	uint32_t chunk;
	uint32_t nr_bufs;
};

static inline uint64_t xdp_map_index(const struct xdp_umem_map *map, uint64_t offset)
{
	return (uint64_t)((unsigned __int128)(offset - map->first) * map->magic >> 64);
}

enum xdp_held {
	XDP_HELD_NOT,
	XDP_HELD_EMPTY, /* in the fill ring, or the kernel has taken it from there */
	XDP_HELD_SENT,
};

/**
 * struct xdp_sock - a socket, its UMEM, its four rings
 * @held:    one a buffer: while the kernel has it, enum xdp_held. What the kernel does not give back in its rings is
 * found by it; and a ring gives back what it was given, nothing of the other way's
 * @rx, @fill: of the receiving thread; @tx, @comp, @nr_out: of the sending one
 * @nr_out:  sent and not back yet
 * @nr_copied: frames from other pools, which had to be copied
 * @copies:  where their copies' buffers come from
 * @umem, @xsk: libxdp's; NULL while there is none
 * @busy:    polls drive the interface's NAPI
 * @wake_fd: a set of events, with the socket in it only while somebody sleeps: with a waiter the kernel would look whom
 *           to wake for each frame that comes in, and for each that it has sent
 * @ended:   what it had counted when it was closed
 */
struct xdp_sock {
	struct xdp_umem_map map;
	uint8_t *held;
	int fd;
	int wake_fd;
	bool busy;
	struct xsk_ring_cons rx QUOLL_CACHE_ALIGNED;
	struct xsk_ring_prod fill;
	struct xsk_ring_prod tx QUOLL_CACHE_ALIGNED;
	struct xsk_ring_cons comp;
	uint32_t nr_out; /* atomic for check and arm */
	uint64_t nr_copied;
	struct quoll_buf_cache *copies;
	struct xsk_umem *umem QUOLL_CACHE_ALIGNED;
	struct xsk_socket *xsk;
};

/**
 * struct xdp_rxq - the receiving half
 * @owed:  buffers that the fill ring still has to get
 * @first, @last: links so far of a frame whose end has not come
 * @skip:  the rest of a frame that was dropped is on its way
 */
struct xdp_rxq {
	struct quoll_rxq rxq;
	struct xdp_sock *sock;
	uint32_t owed;
	uint32_t max_bytes;
	struct quoll_buf *first;
	struct quoll_buf *last;
	bool skip;
} QUOLL_CACHE_ALIGNED;

struct xdp_txq {
	struct quoll_txq txq;
	struct xdp_sock *sock;
	struct net_tx_rules rules;
	uint32_t max_links;
	uint32_t max_link_bytes;
	uint32_t plain_excess; /* of frames in one link, see net_frame_excess() */
	uint32_t entries;
} QUOLL_CACHE_ALIGNED;

/**
 * struct xdp_prog - program and map
 * @link_fd: its attachment, which ends with it, whatever the process dies of
 */
struct xdp_prog {
	int map_fd;
	int link_fd;
	bool generic;
};

struct xdp_port {
	struct quoll_port port;
	struct net_if ifc;
	struct xdp_prog prog;
	enum xdp_want zerocopy;
	enum xdp_mode mode;
	unsigned int first_queue;
	unsigned int nr_device_queues;
	unsigned int busy; /* frames a busy poll; 0: none */
	bool sg;
	struct xdp_sock *socks[QUOLL_PORT_MAX_QUEUES];
	struct xdp_statistics ended;
	uint64_t nr_copied_ended;
};

static inline struct xdp_port *to_xdp(struct quoll_port *port)
{
	return (struct xdp_port *)port;
}

/* xdp_prog.c. Return: 0; -EPERM, -EBUSY, … with what mends it. */
int xdp_prog_attach(struct xdp_port *xp, unsigned int nr_queues, struct quoll_error *err);
void xdp_prog_detach(struct xdp_prog *prog);

/* xdp_sock.c. How a pool looks to the kernel. */
void xdp_map_init(struct xdp_umem_map *map, struct quoll_pool *pool);
/* A socket for queue @i; undone by xdp_sock_close(), which gives buffers back to these caches. */
int xdp_sock_open(struct xdp_port *xp, unsigned int i, struct quoll_error *err);
void xdp_sock_close(struct xdp_port *xp, unsigned int i);
void xdp_sock_statistics(const struct xdp_sock *sock, struct xdp_statistics *sum);

/* xdp_rx.c */
void xdp_rxq_init(struct xdp_rxq *q);
/* Fill up as far as there is room now; false if there were not enough buffers. */
bool xdp_refill(struct xdp_rxq *q, uint32_t n);

/* xdp_tx.c */
void xdp_txq_init(struct xdp_txq *q);
/* Make the kernel look at the ring, until it has seen all of it or does not go on. Any thread. */
void xdp_kick(struct xdp_sock *sock);
/* Take back what was sent. */
void xdp_reclaim(struct xdp_txq *q);

/* Frames in the ring that the kernel has not taken. Any thread. */
static inline bool xdp_tx_waits(const struct xdp_sock *sock)
{
	return __atomic_load_n(sock->tx.producer, __ATOMIC_RELAXED) !=
	       __atomic_load_n(sock->tx.consumer, __ATOMIC_RELAXED);
}

#endif
