/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_queue.h - the queues of ports, and their data path: what buffers carry, receive and transmit, waiting for frames.
 *
 * A queue belongs to one thread; it comes from quoll_port_rxq() or quoll_port_txq() (net.h).
 */
#ifndef QUOLL_NET_QUEUE_H
#define QUOLL_NET_QUEUE_H

#include <quoll/buf_cache.h>

#ifdef __cplusplus
extern "C" {
#endif

struct quoll_port;
struct quoll_stream;

/* Which memory buffers may lie in. */
enum quoll_port_memory {
	QUOLL_PORT_MEMORY_HEAP,	    /* the heap's */
	QUOLL_PORT_MEMORY_STREAMED, /* that, or any other, which streams map while the port has it */
	QUOLL_PORT_MEMORY_ANY,	    /* any: it is the CPU that reads and writes it */
};

/* A queue has its entries, rounded up to a power of two, and so many more buffers mapped by its stream at most. */
#define QUOLL_PORT_MORE_MAPPED 256u

/**
 * struct quoll_port_queues - which queues a port shall have
 * @nr_rxqs, @nr_txqs: either may be 0, not both. With several receive queues frames are spread by a hash of their flow
 *              (@rss of the settings), if the port does that itself
 * @entries:    descriptors a queue, rounded up to what the device can; 0 for QUOLL_PORT_DEFAULT_ENTRIES, or as
 *              many as it can
 * @rx_caches:  one a receive queue: where empty buffers come from. Their pool's buffers must hold a frame, unless
 *              QUOLL_OFFLOAD_RX_SCATTER is set
 * @tx_caches:  one a transmit queue: where buffers go that were sent. Buffers of other pools find home too, only slower
 * @rx_streams, @tx_streams: one a queue, of the device's IOAS, where the caches' pool is outside of the heap
 *              (quoll_pool_create_outside()) and the port says QUOLL_PORT_MEMORY_STREAMED; else not looked at. They map
 *              a buffer before the port has it, and unmap it before anybody else does. Of several such pools a queue
 *              takes the one of its cache only. A frame that cannot be mapped is dropped: tx_bad. A buffer to receive
 * into that cannot be mapped goes behind all others of its pool (xstat rxqN_unmappable); if no others are found it is
 * missing: rx_no_buf. They outlive the queues
 *
 * A cache belongs to the thread that polls the queue, as does a stream; two queues of one thread may share them.
 */
struct quoll_port_queues {
	unsigned int nr_rxqs;
	unsigned int nr_txqs;
	unsigned int entries;
	struct quoll_buf_cache *const *rx_caches;
	struct quoll_buf_cache *const *tx_caches;
	struct quoll_stream *const *rx_streams;
	struct quoll_stream *const *tx_streams;
};

/* quoll_buf.flags set by receive. Not known to be good and not known to be bad: nobody looked. */
#define QUOLL_BUF_RX_IP_GOOD (1u << 0) /* IPv4 header checksum */
#define QUOLL_BUF_RX_IP_BAD (1u << 1)
#define QUOLL_BUF_RX_L4_GOOD (1u << 2) /* TCP or UDP checksum */
#define QUOLL_BUF_RX_L4_BAD (1u << 3)
#define QUOLL_BUF_RX_VLAN (1u << 4)	 /* vlan_tci holds the tag that was stripped */
#define QUOLL_BUF_RX_HASH (1u << 5)	 /* hash holds the receive-side scaling hash */
#define QUOLL_BUF_RX_TIMESTAMP (1u << 6) /* user holds when it came in, in ns of the device's clock */
/* Data is good; the checksum of the frame's own (outer) TCP or UDP header holds the pseudo-header's sum only. */
#define QUOLL_BUF_RX_L4_PARTIAL (1u << 7)
/* TCP that is still to be cut up; mss, in the place of port, holds the size of a segment's payload. */
#define QUOLL_BUF_RX_GSO (1u << 8)

/*
 * quoll_buf.flags that ask transmit for something; l2_bytes, l3_bytes and l4_bytes are filled in for checksums and TSO.
 * What receive sets has no meaning to transmit, so a forwarded buffer needs no cleaning.
 */
#define QUOLL_BUF_TX_IP_CSUM (1u << 16)	 /* IPv4 header checksum; the field holds 0 */
#define QUOLL_BUF_TX_TCP_CSUM (1u << 17) /* the field holds the pseudo-header's sum */
#define QUOLL_BUF_TX_UDP_CSUM (1u << 18)
#define QUOLL_BUF_TX_VLAN (1u << 19) /* insert vlan_tci */
/*
 * Cut up into segments of mss bytes of payload; QUOLL_BUF_TX_TCP_CSUM as well, and QUOLL_BUF_TX_IP_CSUM with IPv4 (and
 * not with IPv6). The TCP checksum field holds the pseudo-header's sum with a length of 0.
 */
#define QUOLL_BUF_TX_TSO (1u << 20)

/**
 * struct quoll_rxq, struct quoll_txq - what the inline calls touch; a driver's own follows
 */
struct quoll_rxq {
	/* private: */
	unsigned int (*burst)(struct quoll_rxq *rxq, struct quoll_buf **bufs, unsigned int n);
	struct quoll_buf_cache *cache;
	struct quoll_port *port;
	uint64_t nr_packets; /* these are written by the queue's thread and read by any, relaxed */
	uint64_t nr_bytes;
	uint64_t nr_no_buf;
	uint64_t nr_bad;
	uint32_t polls_left; /* until a busy queue looks at the port's health */
	uint16_t id;
	uint16_t port_id;
};

struct quoll_txq {
	/* private: */
	unsigned int (*burst)(struct quoll_txq *txq, struct quoll_buf *const *bufs, unsigned int n);
	struct quoll_buf_cache *cache;
	struct quoll_port *port;
	uint64_t nr_packets;
	uint64_t nr_bytes;
	uint64_t nr_bad;
	uint16_t id;
	uint16_t port_id;
	uint32_t lacks; /* written by whoever checks the port, read by any, relaxed */
};

/**
 * quoll_rx() - receive
 * @bufs: room for @n; each is the first link of a frame without FCS, and the caller's from now on
 *
 * Return: number of frames, 0 if none came or the port is dead. Thread rule: the queue's; hot path, one indirect call a
 * batch.
 */
static inline unsigned int quoll_rx(struct quoll_rxq *rxq, struct quoll_buf **bufs, unsigned int n)
{
	return rxq->burst(rxq, bufs, n);
}

/**
 * quoll_tx() - send
 * @bufs: frames of at least 14 bytes without FCS (total_bytes and nr_links filled in), buffers of a pool that is
 * attached to the device's IOAS
 *
 * Return: how many frames, from the first on, are no longer the caller's; the rest stay, as the ring is full, or the
 * port dead. What cannot be sent at all (too long, too many links, an offload that was not switched on) is taken,
 * counted and dropped. Thread rule: the queue's; hot path. Buffers that were sent come back in later calls.
 */
static inline unsigned int quoll_tx(struct quoll_txq *txq, struct quoll_buf *const *bufs, unsigned int n)
{
	return txq->burst(txq, bufs, n);
}

/**
 * quoll_txq_lacks() - what was switched on, and whoever is at the other end does not take
 *
 * On ports whose other end comes and goes, and takes what it likes (vhost:). A frame that asks for it is dropped, so it
 * is to be done before, as what the port lacks is (net_soft.h). May change whenever the link does.
 *
 * Return: QUOLL_OFFLOAD_TX_*; 0 on all other ports. Thread rule: any; hot path.
 */
static inline uint32_t quoll_txq_lacks(const struct quoll_txq *txq)
{
	/* Relaxed: a frame that is on its way while the other end changes is lost in any case. */
	return __atomic_load_n(&txq->lacks, __ATOMIC_RELAXED);
}

/**
 * quoll_rxq_fd(), quoll_rxq_arm(), quoll_rxq_disarm() - for a poller of the loop (loop.h), which see
 *
 * Interrupts are let through between arm and disarm only. fd is -1 if the port cannot wake anybody, arm is -ENOTSUP
 * then.
 */
QUOLL_API int quoll_rxq_fd(const struct quoll_rxq *rxq);
QUOLL_API int quoll_rxq_arm(struct quoll_rxq *rxq);
QUOLL_API void quoll_rxq_disarm(struct quoll_rxq *rxq);

#ifdef __cplusplus
}
#endif
#endif
