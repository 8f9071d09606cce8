/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tap.h - tap: ports: the other end of a TAP interface of the kernel's. One file descriptor a queue, one system call a
 * frame, with virtio's header before each, so that checksums and segmentation can be left undone in both directions.
 *
 * Source: Linux, Documentation/networking/tuntap.rst, include/uapi/linux/if_tun.h; Virtual I/O Device 1.3, 5.1.6.
 */
#ifndef TAP_H
#define TAP_H

#include <linux/virtio_net.h>
#include <sys/uio.h>

#include "../net_frame.h"
#include "../net_if.h"

#define TAP_MAX_LINKS 64u
#define TAP_MAX_GSO_BYTES (65535u + NET_FRAME_OVERHEAD_BYTES)

/**
 * struct tap_rxq - the receiving half
 * @spare: buffers that the next frame is read into, @nr_spare of @max_links
 * @room:  data bytes of each
 */
struct tap_rxq {
	struct quoll_rxq rxq;
	int fd;
	uint32_t max_links;
	uint32_t nr_spare;
	uint32_t room;
	uint32_t max_bytes;
	uint32_t offloads;
	struct quoll_buf *spare[TAP_MAX_LINKS];
} QUOLL_CACHE_ALIGNED;

/**
 * struct tap_txq - the sending half
 * @nr_errors: frames that the kernel did not take, as the interface is down
 */
struct tap_txq {
	struct quoll_txq txq;
	int fd;
	struct net_tx_rules rules;
	uint32_t offloads;
	uint64_t nr_errors;
} QUOLL_CACHE_ALIGNED;

/**
 * struct tap_port - the port
 * @fds:   of the queues; the first one as long as the port is open
 * @multi: more queues than one can be had
 */
struct tap_port {
	struct quoll_port port;
	struct net_if ifc;
	int fds[QUOLL_PORT_MAX_QUEUES];
	bool multi;
	uint64_t nr_errors_ended;
};

static inline struct tap_port *to_tap(struct quoll_port *port)
{
	return (struct tap_port *)port;
}

/* tap_queue.c; their common halves and fd are filled in but for burst. */
void tap_rxq_init(struct tap_rxq *q);
void tap_txq_init(struct tap_txq *q);

#endif
