/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_guest.c - the view of the host's memory: what is found where, and what is refused.
 */
#include <errno.h>
#include <string.h>

#include "target/guest.h"

#include "unit.h"

#define RW (TGT_GUEST_READ | TGT_GUEST_WRITE)

static uint8_t memory[4][4096] __attribute__((aligned(4096)));
static uint8_t remote[4096];

static int remote_read(void *arg, uint64_t iova, void *dst, size_t len)
{
	(void)arg;
	memcpy(dst, remote + (iova & 4095), len);
	return 0;
}

static int remote_write(void *arg, uint64_t iova, const void *src, size_t len)
{
	(void)arg;
	memcpy(remote + (iova & 4095), src, len);
	return 0;
}

static const struct tgt_guest_ops remote_ops = {.read = remote_read, .write = remote_write};

static int add(struct tgt_guest *guest, uint64_t iova, uint64_t len, void *va, unsigned int prot)
{
	struct tgt_guest_range range = {.iova = iova, .len = len, .va = va, .prot = prot};

	return tgt_guest_add(guest, &range);
}

static void ranges_are_found_by_any_address_within(void)
{
	struct tgt_guest guest;

	tgt_guest_init(&guest, NULL, NULL);
	CU_ASSERT_PTR_NULL(tgt_guest_find(&guest, 0));
	CU_ASSERT_EQUAL(add(&guest, 0x9000, 0x1000, memory[2], RW), 0);
	CU_ASSERT_EQUAL(add(&guest, 0x1000, 0x1000, memory[0], RW), 0);
	CU_ASSERT_EQUAL(add(&guest, 0x5000, 0x1000, memory[1], RW), 0);
	for (uint64_t iova = 0; iova < 0xb000; iova += 0x800) {
		uint64_t page = iova & ~0xfffull;
		void *want = page == 0x1000   ? memory[0]
			     : page == 0x5000 ? memory[1]
			     : page == 0x9000 ? memory[2]
					      : NULL;
		void *va = tgt_guest_va(&guest, iova, 1, RW);

		CU_ASSERT_PTR_EQUAL(va, want ? (uint8_t *)want + (iova & 0xfff) : NULL);
	}
	tgt_guest_fini(&guest);
}

static void empty_wrapping_and_overlapping_ranges_are_refused(void)
{
	struct tgt_guest guest;

	tgt_guest_init(&guest, NULL, NULL);
	CU_ASSERT_EQUAL(add(&guest, 0x1000, 0, memory[0], RW), -EINVAL);
	CU_ASSERT_EQUAL(add(&guest, UINT64_MAX - 4094, 4096, memory[0], RW), -EINVAL);
	CU_ASSERT_EQUAL(add(&guest, UINT64_MAX - 4095, 4096, memory[0], RW), 0);
	CU_ASSERT_EQUAL(add(&guest, 0x2000, 0x1000, memory[1], RW), 0);
	CU_ASSERT_EQUAL(add(&guest, 0x2fff, 1, memory[2], RW), -EEXIST);
	CU_ASSERT_EQUAL(add(&guest, 0x1fff, 2, memory[2], RW), -EEXIST);
	CU_ASSERT_EQUAL(add(&guest, 0x1000, 0x9000, memory[2], RW), -EEXIST);
	CU_ASSERT_EQUAL(add(&guest, 0x1fff, 1, memory[2], RW), 0);
	CU_ASSERT_EQUAL(guest.nr_ranges, 3);
	tgt_guest_fini(&guest);
}

static void only_what_was_offered_can_be_taken_back(void)
{
	struct tgt_guest guest;
	uint32_t generation;

	tgt_guest_init(&guest, NULL, NULL);
	CU_ASSERT_EQUAL(add(&guest, 0x1000, 0x1000, memory[0], RW), 0);
	generation = guest.generation;
	CU_ASSERT_EQUAL(tgt_guest_remove(&guest, 0x1000, 0x800), -ENOENT);
	CU_ASSERT_EQUAL(tgt_guest_remove(&guest, 0x1800, 0x800), -ENOENT);
	CU_ASSERT_EQUAL(guest.generation, generation);
	CU_ASSERT_PTR_NOT_NULL(tgt_guest_find(&guest, 0x1000));
	CU_ASSERT_EQUAL(tgt_guest_remove(&guest, 0x1000, 0x1000), 0);
	CU_ASSERT_NOT_EQUAL(guest.generation, generation);
	CU_ASSERT_PTR_NULL(tgt_guest_find(&guest, 0x1000));
	tgt_guest_fini(&guest);
}

static void many_ranges_stay_in_order(void)
{
	struct tgt_guest guest;
	unsigned int wrong = 0;

	tgt_guest_init(&guest, NULL, NULL);
	for (uint64_t i = 0; i < 500; i++) /* 7 has no common factor with 500: each once, not in order */
		wrong += add(&guest, (i * 7 % 500) * 0x2000, 0x1000, memory[0], RW) != 0;
	for (uint64_t i = 1; i < 500; i++)
		wrong += guest.ranges[i - 1].iova >= guest.ranges[i].iova;
	for (uint64_t i = 0; i < 500; i++)
		wrong += !tgt_guest_find(&guest, i * 0x2000 + 5) || tgt_guest_find(&guest, i * 0x2000 + 0x1000);
	CU_ASSERT_EQUAL(wrong, 0);
	tgt_guest_fini(&guest);
}

static void permissions_hold_for_each_range(void)
{
	struct tgt_guest guest;
	uint8_t bytes[16] = {0};

	tgt_guest_init(&guest, NULL, NULL);
	add(&guest, 0x1000, 0x1000, memory[0], TGT_GUEST_READ);
	add(&guest, 0x2000, 0x1000, memory[1], TGT_GUEST_WRITE);
	CU_ASSERT_EQUAL(tgt_guest_read(&guest, 0x1000, bytes, 16), 0);
	CU_ASSERT_EQUAL(tgt_guest_write(&guest, 0x1000, bytes, 16), -EFAULT);
	CU_ASSERT_EQUAL(tgt_guest_write(&guest, 0x2000, bytes, 16), 0);
	CU_ASSERT_EQUAL(tgt_guest_read(&guest, 0x2000, bytes, 16), -EFAULT);
	CU_ASSERT_EQUAL(tgt_guest_read(&guest, 0x1ff8, bytes, 16), -EFAULT);
	CU_ASSERT_PTR_NULL(tgt_guest_va(&guest, 0x1000, 1, RW));
	CU_ASSERT_PTR_NULL(tgt_guest_va(&guest, 0x1ff8, 16, TGT_GUEST_READ));
	tgt_guest_fini(&guest);
}

static void copies_cross_ranges_mapped_or_not(void)
{
	struct tgt_guest guest;
	uint8_t out[64], in[64];

	for (unsigned int i = 0; i < 64; i++)
		out[i] = (uint8_t)(i + 1);
	tgt_guest_init(&guest, &remote_ops, NULL);
	add(&guest, 0x1000, 0x1000, memory[0], RW);
	add(&guest, 0x2000, 0x1000, NULL, RW);
	CU_ASSERT_PTR_NULL(tgt_guest_va(&guest, 0x2000, 1, RW));
	CU_ASSERT_EQUAL(tgt_guest_write(&guest, 0x1fe0, out, 64), 0);
	CU_ASSERT_EQUAL(memcmp(memory[0] + 0xfe0, out, 32), 0);
	CU_ASSERT_EQUAL(memcmp(remote, out + 32, 32), 0);
	CU_ASSERT_EQUAL(tgt_guest_read(&guest, 0x1fe0, in, 64), 0);
	CU_ASSERT_EQUAL(memcmp(in, out, 64), 0);
	CU_ASSERT_EQUAL(tgt_guest_fetch(&guest, 0x2000, (quoll_le64 *)in, 4), 0);
	CU_ASSERT_EQUAL(memcmp(in, out + 32, 32), 0);
	tgt_guest_fini(&guest);
}

static void without_messages_unmapped_memory_is_a_fault(void)
{
	struct tgt_guest guest;
	uint8_t bytes[8] = {0};

	tgt_guest_init(&guest, NULL, NULL);
	add(&guest, 0x2000, 0x1000, NULL, RW);
	CU_ASSERT_EQUAL(tgt_guest_read(&guest, 0x2000, bytes, 8), -EFAULT);
	CU_ASSERT_EQUAL(tgt_guest_write(&guest, 0x2000, bytes, 8), -EFAULT);
	CU_ASSERT_EQUAL(tgt_guest_read(&guest, 0x9000, bytes, 8), -EFAULT);
	tgt_guest_fini(&guest);
}

static void addresses_do_not_go_round(void)
{
	struct tgt_guest guest;
	uint8_t bytes[16] = {0};

	tgt_guest_init(&guest, NULL, NULL);
	add(&guest, 0, 0x1000, memory[0], RW);
	add(&guest, UINT64_MAX - 4095, 4096, memory[1], RW);
	CU_ASSERT_EQUAL(tgt_guest_read(&guest, UINT64_MAX - 7, bytes, 8), 0);
	CU_ASSERT_EQUAL(tgt_guest_read(&guest, UINT64_MAX - 7, bytes, 16), -EFAULT);
	CU_ASSERT_EQUAL(tgt_guest_write(&guest, UINT64_MAX - 7, bytes, 16), -EFAULT);
	tgt_guest_fini(&guest);
}

static void ranges_are_found_by_where_they_are_mapped(void)
{
	const struct tgt_guest_range *range;
	struct tgt_guest guest;

	tgt_guest_init(&guest, NULL, NULL);
	add(&guest, 0x8000, 4096, memory[1], RW);
	add(&guest, 0x4000, 4096, NULL, RW);
	add(&guest, 0, 4096, memory[3], TGT_GUEST_READ);
	range = tgt_guest_find_va(&guest, &memory[1][4095]);
	CU_ASSERT_TRUE(range && range->iova == 0x8000);
	range = tgt_guest_find_va(&guest, memory[3]);
	CU_ASSERT_TRUE(range && range->iova == 0);
	CU_ASSERT_PTR_NULL(tgt_guest_find_va(&guest, memory[2]));
	CU_ASSERT_PTR_NULL(tgt_guest_find_va(&guest, &guest));
	tgt_guest_fini(&guest);
}

static const struct unit_test tests[] = {
	{"ranges are found by any address within", ranges_are_found_by_any_address_within},
	{"empty, wrapping and overlapping ranges are refused", empty_wrapping_and_overlapping_ranges_are_refused},
	{"only what was offered can be taken back", only_what_was_offered_can_be_taken_back},
	{"many ranges stay in order", many_ranges_stay_in_order},
	{"permissions hold for each range", permissions_hold_for_each_range},
	{"copies cross ranges, mapped or not", copies_cross_ranges_mapped_or_not},
	{"without messages unmapped memory is a fault", without_messages_unmapped_memory_is_a_fault},
	{"addresses do not go round", addresses_do_not_go_round},
	{"ranges are found by where they are mapped", ranges_are_found_by_where_they_are_mapped},
};

UNIT_MAIN("apps/target/guest", tests)
