/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_prp.c - PRP building against a walker that goes dword by dword.
 */
#include <stdlib.h>
#include <string.h>

#include "nvme/prp.h"

#include "unit.h"

#define LIST_IOVA 0x7000u
#define POISON 0xdeaddeaddeaddeadull

static quoll_le64 entries[513];

struct prps {
	uint64_t prp1;
	uint64_t prp2;
};

/* Where byte @at of the transfer goes, by the letter of the specification. */
static uint64_t walk(const struct prps *prp, uint32_t bytes, uint32_t at)
{
	uint32_t first = 4096 - (uint32_t)(prp->prp1 & 4095);

	if (at < first)
		return prp->prp1 + at;
	at -= first;
	if (bytes - first <= 4096)
		return prp->prp2 + at;
	return entries[at / 4096] + at % 4096;
}

static unsigned int nr_pages(quoll_iova_t iova, uint32_t bytes)
{
	return (unsigned int)((iova + bytes - 1) / 4096 - iova / 4096 + 1);
}

static void check(quoll_iova_t iova, uint32_t bytes, uint32_t step)
{
	struct prps prp = {.prp1 = iova};
	unsigned int pages = nr_pages(iova, bytes);
	unsigned int used = pages > 2 ? pages - 1 : 0;
	unsigned int wrong = 0;

	for (unsigned int i = 0; i < 513; i++)
		entries[i] = POISON;
	prp.prp2 = prp_second(iova, bytes, (struct prp_list){.entries = entries, .iova = LIST_IOVA});
	for (uint32_t at = 0; at < bytes; at += step)
		wrong += walk(&prp, bytes, at) != iova + at;
	wrong += walk(&prp, bytes, bytes - 1) != iova + bytes - 1;
	if (pages == 1)
		wrong += prp.prp2 != 0;
	else if (pages == 2)
		wrong += prp.prp2 % 4096 != 0;
	else
		wrong += prp.prp2 != LIST_IOVA;
	for (unsigned int i = 0; i < 513; i++)
		wrong += (entries[i] == POISON) != (i >= used);
	wrong += used * sizeof(quoll_le64) > prp_list_bytes(bytes);
	CU_ASSERT_EQUAL(wrong, 0);
}

static void every_offset_and_length_of_three_pages(void)
{
	for (uint32_t off = 0; off < 4096; off += 4)
		for (uint32_t bytes = 4; bytes <= 3 * 4096; bytes += off % 64 ? 508 : 52)
			check(0x10000 + off, bytes, 252);
	for (uint32_t off = 0; off < 4096; off += 4)
		for (int32_t d = -8; d <= 8; d += 4)
			for (uint32_t pages = 1; pages <= 3; pages++)
				if ((int32_t)(pages * 4096 - off) + d > 0)
					check(0x10000 + off, (uint32_t)((int32_t)(pages * 4096 - off) + d), 1020);
}

static void random_transfers_up_to_the_longest(void)
{
	srand(7);
	for (int i = 0; i < 3000; i++) {
		quoll_iova_t iova = ((uint64_t)rand() << 20 | (uint64_t)rand()) & ~3ull;
		uint32_t bytes = ((uint32_t)rand() % PRP_MAX_BYTES & ~3u) + 4;

		check(iova, bytes > PRP_MAX_BYTES ? PRP_MAX_BYTES : bytes, 1024);
	}
}

static void the_longest_transfer_fits_one_list_at_every_offset(void)
{
	for (uint32_t off = 0; off < 4096; off += 4)
		check(0x200000 + off, PRP_MAX_BYTES, 4096);
	CU_ASSERT_EQUAL(prp_list_bytes(PRP_MAX_BYTES), PRP_PAGE_BYTES);
}

static void lists_are_as_small_as_the_longest_transfer_lets_them_be(void)
{
	CU_ASSERT_EQUAL(prp_list_bytes(4096), 8);
	CU_ASSERT_EQUAL(prp_list_bytes(8192), 16);
	CU_ASSERT_EQUAL(prp_list_bytes(128 << 10), 256);
	CU_ASSERT_EQUAL(prp_list_bytes((128 << 10) + 4), 512);
	/* The worst offset of the longest transfer uses all of it. */
	CU_ASSERT_EQUAL((nr_pages(4092, 128 << 10) - 1) * 8, 256);
}

static const struct unit_test tests[] = {
	{"every offset and length of three pages", every_offset_and_length_of_three_pages},
	{"random transfers up to the longest", random_transfers_up_to_the_longest},
	{"the longest transfer fits one list at every offset", the_longest_transfer_fits_one_list_at_every_offset},
	{"lists are as small as the longest transfer lets them be",
	 lists_are_as_small_as_the_longest_transfer_lets_them_be},
};

UNIT_MAIN("nvme prp", tests)
