/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_segment.h - between net_soft.c and net_segment.c.
 */
#ifndef QUOLL_NET_SEGMENT_H
#define QUOLL_NET_SEGMENT_H

#include <stdbool.h>

#include "net_soft.h"

/* Bits of TCP's byte 13. */
#define NET_TCP_FIN 0x01u
#define NET_TCP_SYN 0x02u
#define NET_TCP_PSH 0x08u
#define NET_TCP_CWR 0x80u

#define NET_TCP_BYTES 20u

/**
 * struct net_place - where a frame's headers are, as its buffer says, if its IP header agrees
 * @l3, @l4, @end: offsets; @end: where the IP packet ends
 */
struct net_place {
	uint32_t l3;
	uint32_t l4;
	uint32_t end;
	bool v6;
};

/* Return: -EINVAL if they do not agree. */
int net_place(const struct quoll_buf *buf, struct net_place *place);

/* Fill in the checksums that @buf asks for and @missing names. */
int net_fill_csums(uint32_t missing, struct quoll_buf *buf, const struct net_place *place);

/* quoll_soft_tx() of a frame with QUOLL_BUF_TX_TSO that the port does not cut up. */
int net_segment(uint32_t missing, struct quoll_buf_cache *cache, struct quoll_buf *buf, struct quoll_buf **out,
		unsigned int max);

#endif
