/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * place.c - where a stream's IOVAs lie: a window of the address space that nothing else has.
 */
#include <errno.h>
#include <inttypes.h>

#include "mem/iova.h"
#include "mem/mem.h"
#include "stream/internal.h"

#define WINDOW_LOWEST (4ull << 30)

int stream_pages_check(const struct quoll_ioas_info *info, enum quoll_stream_way way, struct quoll_error *err)
{
	uint64_t smallest = info->page_sizes & -info->page_sizes;

	if (smallest <= STREAM_PAGE_BYTES)
		return 0;
	return quoll_error_set(err, ENOTSUP, "stream", quoll_stream_way_name(way),
			       "the IOMMU's smallest page is %" PRIu64 " bytes, more than this machine's", smallest);
}

int stream_window_place(struct quoll_ioas *ioas, const struct quoll_ioas_info *info,
			const struct stream_window_want *wanted, quoll_iova_t *iova, struct quoll_error *err)
{
	const char *way = quoll_stream_way_name(wanted->way);
	const struct iova_set set = {info->ranges, info->nr_ranges};
	struct iova_want want = {
		.size_bytes = wanted->bytes,
		.align = HUGE_PAGE_BYTES,
		.lowest = WINDOW_LOWEST,
		.holes = ioas->windows,
		.nr_holes = ioas->nr_windows,
	};
	struct quoll_iova_range window;
	uint64_t largest;

	if (ioas->nr_windows == IOAS_MAX_WINDOWS)
		return quoll_error_set(err, ENOSPC, "stream", way,
				       "the address space has %d heaps and streams, the most it takes",
				       IOAS_MAX_WINDOWS);
	if (iova_window_find(&set, 1, &want, &window.first, &largest)) {
		want.lowest = IOVA_LOWEST;
		if (iova_window_find(&set, 1, &want, &window.first, &largest)) {
			quoll_error_set(err, ERANGE, "stream", way,
					"no window of %" PRIu64 " bytes is left in the address space; the largest that "
					"would fit has %" PRIu64,
					want.size_bytes, largest);
			quoll_error_hint(err, "ask for a smaller heap, or for fewer %s", wanted->what);
			return -ERANGE;
		}
	}
	window.last = window.first + (want.size_bytes - 1);
	ioas_window_add(ioas, &window);
	*iova = window.first;
	return 0;
}
