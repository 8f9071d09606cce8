/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * prp.c - PRP entry 2 and lists; see prp.h.
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

quoll_le64 prp_second(quoll_iova_t iova, uint32_t bytes, struct prp_list list)
{
	quoll_iova_t page = iova & ~(quoll_iova_t)(PRP_PAGE_BYTES - 1);
	uint32_t end = (uint32_t)(iova - page) + bytes;

	if (end <= PRP_PAGE_BYTES)
		return 0;
	if (end <= 2 * PRP_PAGE_BYTES)
		return quoll_cpu_to_le64(page + PRP_PAGE_BYTES);
	for (uint32_t at = PRP_PAGE_BYTES; at < end; at += PRP_PAGE_BYTES)
		*list.entries++ = quoll_cpu_to_le64(page + at);
	return quoll_cpu_to_le64(list.iova);
}
