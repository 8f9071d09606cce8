/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * prp.h - Physical Region Pages: from one contiguous IOVA range to PRP entry 1, entry 2 and, if need be, a list.
 *
 * Pure arithmetic; owns nothing. Invariant: entry 1 may start anywhere (dword aligned) within its page, all others are
 * page starts, and a list lies within one page, so that it never chains. Base Specification 2.0, 4.1.1.
 */
#ifndef QUOLL_NVME_PRP_H
#define QUOLL_NVME_PRP_H

#include <quoll/types.h>

#define PRP_PAGE_SHIFT 12
#define PRP_PAGE_BYTES (1u << PRP_PAGE_SHIFT)
/* A list of one page, plus what entry 1 covers even if it starts at the very end of its page: hence not one page more.
 */
#define PRP_MAX_BYTES (PRP_PAGE_BYTES / sizeof(quoll_le64) * PRP_PAGE_BYTES)

/*
 * Where a command's list is: room for prp_list_bytes() of the longest transfer, not crossing a page. It need not begin
 * one: the specification lets the pointer to a list have an offset.
 */
struct prp_list {
	quoll_le64 *entries;
	quoll_iova_t iova;
};

struct prp_pair {
	quoll_le64 prp1;
	quoll_le64 prp2;
};

/* Size of a list for transfers of up to @max_bytes (1 .. PRP_MAX_BYTES) at any offset: a power of two up to a page. */
uint32_t prp_list_bytes(uint32_t max_bytes);

/* Fill a list with the pages after the first: @nr_pages - 1 entries. */
void prp_list_fill(quoll_le64 *entries, quoll_iova_t first_page, uint32_t nr_pages);

/*
 * @iova: dword aligned; @bytes: 1 .. the maximum that @list was made for. The one- and two-page cases, which are most
 * of all I/O, touch no list.
 */
static inline struct prp_pair prp_build(quoll_iova_t iova, uint32_t bytes, struct prp_list list)
{
	struct prp_pair prp = {.prp1 = quoll_cpu_to_le64(iova)};
	uint32_t end = (uint32_t)(iova & (PRP_PAGE_BYTES - 1)) + bytes;
	quoll_iova_t page = iova & ~(quoll_iova_t)(PRP_PAGE_BYTES - 1);

	if (QUOLL_LIKELY(end <= PRP_PAGE_BYTES)) {
		prp.prp2 = 0;
	} else if (end <= 2 * PRP_PAGE_BYTES) {
		prp.prp2 = quoll_cpu_to_le64(page + PRP_PAGE_BYTES);
	} else {
		prp_list_fill(list.entries, page, (end + PRP_PAGE_BYTES - 1) >> PRP_PAGE_SHIFT);
		prp.prp2 = quoll_cpu_to_le64(list.iova);
	}
	return prp;
}

#endif
