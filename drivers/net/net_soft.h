/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_soft.h - in software what a port does not do itself: checksums both ways, tags, segmentation. Hashes are in
 * net_rss.h.
 *
 * No driver calls any of it: a port reports what its device does (quoll_port_info), and whoever needs more than that
 * asks here for the rest:
 *
 *	uint32_t missing = QUOLL_OFFLOAD_TX_CSUM & ~info.offloads, work = quoll_soft_tx_flags(missing);
 *	…
 *	if (QUOLL_UNLIKELY(buf->flags & work))
 *		n = quoll_soft_tx(missing, cache, buf, out, max);
 *
 * Source: RFC 1071 and 1624 (checksums), 768 and 8200 8.1 (UDP's of 0), 9293 (TCP), 3168 6.1.2 (CWR), 6864 (IPv4's ID).
 */
#ifndef QUOLL_NET_SOFT_H
#define QUOLL_NET_SOFT_H

#include <quoll/buf_cache.h>

#include "net_parse.h"

#ifdef __cplusplus
extern "C" {
#endif

#define QUOLL_SOFT_MAX_HEADER_BYTES 512u /* of a frame that is cut up: Ethernet, IP and TCP together */

/**
 * quoll_soft_rx() - for received frames do what the port lacks
 * @missing: QUOLL_OFFLOAD_RX_IP_CSUM, RX_L4_CSUM, VLAN_STRIP; others mean nothing here
 *
 * Sets QUOLL_BUF_RX_IP_*, QUOLL_BUF_RX_L4_* where there is a checksum to be looked at: not of fragments, not of frames
 * that make no sense, not UDP over IPv4 without one, not with QUOLL_BUF_RX_L4_PARTIAL. Takes the outer 802.1Q tag away
 * and sets QUOLL_BUF_RX_VLAN, unless that is set or the first link ends within the tag. Thread rule: that of the
 * buffers' owner; hot path, reads all of each frame for RX_L4_CSUM.
 */
QUOLL_API void quoll_soft_rx(uint32_t missing, struct quoll_buf *const *bufs, unsigned int n);

/**
 * quoll_soft_pass() - make what a peer left undone on receive what transmit is asked to do
 * @buf: with QUOLL_BUF_RX_L4_PARTIAL: gets QUOLL_BUF_TX_TCP_CSUM or UDP_CSUM, with QUOLL_BUF_RX_GSO also TX_TSO, and
 * the header lengths that these need (which take the place of the hash). RX_L4_PARTIAL and RX_GSO go
 *
 * Return: 0, also if there was nothing to do; -EINVAL: it is not TCP or UDP, not whole, or an mss of 0; nothing is
 * changed then.
 */
QUOLL_API int quoll_soft_pass(struct quoll_buf *buf);

/**
 * quoll_soft_complete() - fill in the checksum of a frame with QUOLL_BUF_RX_L4_PARTIAL, for who hands it on as bytes
 *
 * The flag becomes QUOLL_BUF_RX_L4_GOOD.
 * Return: as quoll_soft_pass(), and -EINVAL with QUOLL_BUF_RX_GSO: many segments have no one checksum.
 */
QUOLL_API int quoll_soft_complete(struct quoll_buf *buf);

/**
 * quoll_soft_tx_flags() - which of a buffer's flags take quoll_soft_tx() on a port that lacks @missing
 */
QUOLL_API uint32_t quoll_soft_tx_flags(uint32_t missing);

/**
 * quoll_soft_tx() - of what a frame asks of transmit, do what the port lacks
 * @missing: QUOLL_OFFLOAD_TX_*, VLAN_INSERT: what the port was not started with
 * @cache: where segments' buffers come from, and where the frame goes that they were made of
 * @buf:   flags, lengths as net_queue.h says. What is done here is asked for no more
 * @out:   room for @max: what to send in its place. Segments are copies, in links as long as the cache's buffers are;
 *         each asks for what @missing leaves to the port
 *
 * IPv4's ID counts up from the frame's own; FIN and PSH are the last segment's, CWR the first one's. A frame whose
 * header says SYN is not cut up (-EINVAL): its sequence numbers would count it each time.
 * Return: how many frames are in @out. -EINVAL: the frame is not what its flags say; -ENOBUFS: the cache has not
 * enough, or the frame's buffer no headroom for a tag; -ENOSPC: more than @max. Then the frame is the caller's and asks
 * for all that is not done yet, so that after -ENOBUFS and -ENOSPC it may be tried again. Thread rule: the cache's
 * holder; hot path: no division, no allocation but from the cache.
 */
QUOLL_API int quoll_soft_tx(uint32_t missing, struct quoll_buf_cache *cache, struct quoll_buf *buf,
			    struct quoll_buf **out, unsigned int max);

#ifdef __cplusplus
}
#endif
#endif
