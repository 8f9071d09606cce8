/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_partial.c - see net_partial.h.
 */
#include "net_partial.h"
#include "net_chain.h"
#include "net_parse.h"
#include "net_queue.h"

#define FIELD_BYTES 2u

static bool is_outer(const struct quoll_buf *buf, uint32_t start, uint32_t offset)
{
	struct quoll_frame f;

	quoll_frame_parse(buf, &f);
	if (f.l4 == QUOLL_L4_NONE || start != (uint32_t)f.l2_bytes + f.l3_bytes)
		return false;
	return offset == (f.l4 == QUOLL_L4_TCP ? NET_TCP_CSUM_AT : NET_UDP_CSUM_AT);
}

bool net_rx_partial(struct quoll_buf *buf, uint32_t start, uint32_t offset, bool gso)
{
	uint16_t csum;

	if ((uint64_t)start + offset + FIELD_BYTES > buf->total_bytes)
		return false;
	if (is_outer(buf, start, offset)) {
		buf->flags |= QUOLL_BUF_RX_L4_PARTIAL;
		return true;
	}
	if (gso)
		return false;
	csum = (uint16_t)~net_csum_fold(net_csum_chain(0, buf, start, buf->total_bytes - start));
	/* For UDP 0 would be none; for the others the two are the same. */
	if (!csum)
		csum = 0xffff;
	return net_chain_write(buf, start + offset, &csum, sizeof(csum));
}
