/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * partial_frames.h - frames whose checksums a peer in software left undone: headers that make sense, before any data.
 */
#ifndef QUOLL_TESTS_NET_PARTIAL_FRAMES_H
#define QUOLL_TESTS_NET_PARTIAL_FRAMES_H

#include "be16.h"

#define PARTIAL_L4 34u	     /* where TCP or UDP begins */
#define PARTIAL_INNER_L4 84u /* of a frame in a tunnel */
#define PARTIAL_TCP_FIELD 16u
#define PARTIAL_UDP_FIELD 6u

/* Ethernet, IPv4 and UDP or TCP in the first of @bytes; what their fields mean to nobody stays. */
static inline void partial_frame(uint8_t *frame, uint32_t bytes, uint8_t proto)
{
	put_be16(frame + 12, 0x0800);
	frame[14] = 0x45;
	put_be16(frame + 16, bytes - 14);
	put_be16(frame + 20, 0); /* no fragment */
	frame[23] = proto;
	if (proto == 6)
		frame[PARTIAL_L4 + 12] = 0x50;
	else
		put_be16(frame + PARTIAL_L4 + 4, bytes - PARTIAL_L4);
}

/* VXLAN: Ethernet, IPv4, UDP without a checksum, 8 bytes, and in it a frame with TCP. */
static inline void partial_tunnel(uint8_t *frame, uint32_t bytes)
{
	partial_frame(frame, bytes, 17);
	put_be16(frame + PARTIAL_L4 + 2, 4789);
	put_be16(frame + PARTIAL_L4 + PARTIAL_UDP_FIELD, 0);
	partial_frame(frame + 50, bytes - 50, 6);
}

#endif
