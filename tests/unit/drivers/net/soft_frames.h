/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * soft_frames.h - bytes into buffers: in one, or in links of so many bytes.
 */
#ifndef QUOLL_TESTS_NET_SOFT_FRAMES_H
#define QUOLL_TESTS_NET_SOFT_FRAMES_H

#include <string.h>

#include <quoll/buf_cache.h>

/* @step: bytes a link. NULL without buffers. */
static inline struct quoll_buf *soft_frame(struct quoll_buf_cache *cache, const void *data, uint32_t bytes,
					   uint32_t step)
{
	struct quoll_buf *first = NULL, *last = NULL, *link;
	const uint8_t *from = data;

	for (uint32_t at = 0; at < bytes || !first; at += link->data_bytes) {
		if (quoll_buf_get(cache, &link, 1)) {
			quoll_buf_put_chain(cache, first);
			return NULL;
		}
		link->data_bytes = bytes - at < step ? bytes - at : step;
		memcpy(quoll_buf_data(link), from + at, link->data_bytes);
		if (first)
			last->next = link;
		else
			first = link;
		last = link;
		first->nr_links += first != link;
	}
	first->total_bytes = bytes;
	return first;
}

#endif
