/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * prp.h - Physical Region Pages: from one contiguous IOVA range to PRP entry 1, entry 2 and, if need be, a list.
 *
 * Pure arithmetic; owns nothing. Invariant: entry 1 may start anywhere (dword aligned) within its page, all others are
 * page starts, and a list lies within one page, so that it never chains. Base Specification 2.0, 4.1.1.
 */
#ifndef QUOLL_NVME_PRP_H
#define QUOLL_NVME_PRP_H

#include <stdbool.h>

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

/* Size of a list for transfers of up to @max_bytes (1 .. PRP_MAX_BYTES) at any offset: a power of two up to a page. */
uint32_t prp_list_bytes(uint32_t max_bytes);

/*
 * PRP entry 2 of a transfer; entry 1 is @iova itself. @iova: dword aligned; @bytes: 1 .. the maximum that @list was
 * made for. The one- and two-page cases, which are most of all I/O, touch no list.
 */
quoll_le64 prp_second(quoll_iova_t iova, uint32_t bytes, struct prp_list list);

/* Most I/O, if it is aligned: entry 2 is 0 then. */
static inline bool prp_in_one_page(quoll_iova_t iova, uint32_t bytes)
{
	return (uint32_t)(iova & (PRP_PAGE_BYTES - 1)) + bytes <= PRP_PAGE_BYTES;
}

#endif
