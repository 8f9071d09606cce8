/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_partial.h - checksums that a peer in software left undone, for ports that are told of them by virtio's header.
 *
 * Source: Virtual I/O Device 1.3, 5.1.6.4 "Processing of Incoming Packets".
 */
#ifndef QUOLL_NET_PARTIAL_H
#define QUOLL_NET_PARTIAL_H

#include <stdbool.h>

#include <quoll/pool.h>

/*
 * A received frame whose field at @offset from @start on holds the sum of a pseudo-header. If that is the frame's own
 * TCP or UDP checksum it gets QUOLL_BUF_RX_L4_PARTIAL, and is left as it is. Any other one, such as of a frame in a
 * tunnel, nobody behind us would know of: it is filled in, which reads all from @start on.
 * Return: false: the field is not in the frame, or @gso and not the frame's own; nothing is changed.
 */
bool net_rx_partial(struct quoll_buf *buf, uint32_t start, uint32_t offset, bool gso);

#endif
