/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * prp.c - the list half of PRP building; see prp.h.
 */
#include "prp.h"

uint32_t prp_list_bytes(uint32_t max_bytes)
{
	/* Entry 1 in the last dword of its page leaves max_bytes - 4 to the list, so as many pages as max_bytes has. */
	uint32_t nr_entries = (uint32_t)(((uint64_t)max_bytes + PRP_PAGE_BYTES - 1) >> PRP_PAGE_SHIFT);
	uint32_t bytes = sizeof(quoll_le64);

	while (bytes < nr_entries * sizeof(quoll_le64))
		bytes *= 2;
	return bytes;
}

void prp_list_fill(quoll_le64 *entries, quoll_iova_t first_page, uint32_t nr_pages)
{
	for (uint32_t i = 1; i < nr_pages; i++)
		entries[i - 1] = quoll_cpu_to_le64(first_page + (quoll_iova_t)i * PRP_PAGE_BYTES);
}
