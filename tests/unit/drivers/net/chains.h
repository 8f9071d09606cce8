/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * chains.h - frames as bytes and as chains of buffers: made of one another, compared.
 */
#ifndef QUOLL_TESTS_NET_CHAINS_H
#define QUOLL_TESTS_NET_CHAINS_H

#include <stdbool.h>
#include <string.h>

#include <quoll/buf_cache.h>

#include "unit.h"

/* Filled with what follows from @seed. */
static inline void frame_fill(uint8_t *frame, uint32_t len, uint32_t seed)
{
	for (uint32_t i = 0; i < len; i++)
		frame[i] = (uint8_t)(seed * 131 + i * 7 + (i >> 8));
}

/* A chain of links of at most @link bytes with this data. */
static inline struct quoll_buf *chain_make(struct quoll_buf_cache *cache, const uint8_t *frame, uint32_t len,
					   uint32_t link)
{
	struct quoll_buf *first = NULL, **tail = &first, *buf;
	uint16_t nr_links = 0;

	for (uint32_t off = 0; off < len; off += buf->data_bytes) {
		CU_ASSERT_EQUAL_FATAL(quoll_buf_get(cache, &buf, 1), 0);
		buf->data_bytes = len - off < link ? len - off : link;
		memcpy(quoll_buf_data(buf), frame + off, buf->data_bytes);
		*tail = buf;
		tail = &buf->next;
		nr_links++;
	}
	first->total_bytes = len;
	first->nr_links = nr_links;
	return first;
}

/* Does the chain hold exactly this? */
static inline bool chain_is(const struct quoll_buf *buf, const uint8_t *frame, uint32_t len)
{
	uint32_t off = 0;
	uint16_t nr_links = 0;

	if (!buf || buf->total_bytes != len)
		return false;
	for (const struct quoll_buf *link = buf; link; off += link->data_bytes, link = link->next, nr_links++)
		if (link->data_bytes > len - off || memcmp(quoll_buf_data(link), frame + off, link->data_bytes) != 0)
			return false;
	return off == len && nr_links == buf->nr_links;
}

#endif
