/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_dptr.c - PRPs and SGLs: where data lies by the letter of the specification, and what a host gets that lies.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "target/dptr.h"

#include "unit.h"

#define RW (TGT_GUEST_READ | TGT_GUEST_WRITE)
#define BASE 0x100000ull
#define NR_PAGES 600u
#define MEM_BYTES (NR_PAGES * 4096u)
#define PAGE(n) (BASE + (n)*4096ull)
#define NOWHERE 0xdead0000ull

#define SGL_DATA 0x00
#define SGL_BIT_BUCKET 0x10
#define SGL_SEG 0x20
#define SGL_LAST 0x30
#define SGL_KEYED 0x40

static uint8_t *memory;
static struct tgt_guest guest;
static struct tgt_dptr dptr = {.guest = &guest, .page_shift = 12};
static union tgt_seg segs[TGT_MAX_SEGS];
static struct tgt_req req;

static void start(void)
{
	struct tgt_guest_range range = {.iova = BASE, .len = MEM_BYTES, .prot = RW};

	if (!memory)
		memory = aligned_alloc(4096, MEM_BYTES);
	memset(memory, 0, MEM_BYTES);
	range.va = memory;
	tgt_guest_init(&guest, NULL, NULL);
	tgt_guest_add(&guest, &range);
	dptr.page_shift = 12;
	memset(&req, 0, sizeof(req));
	req.segs = segs;
}

static void stop(void)
{
	tgt_guest_fini(&guest);
	free(memory);
	memory = NULL;
}

static quoll_le64 *quads(uint64_t iova)
{
	return (quoll_le64 *)(memory + (iova - BASE));
}

static uint16_t prp(uint64_t prp1, uint64_t prp2, uint32_t bytes)
{
	req.cmd.flags = 0;
	req.cmd.prp1 = prp1;
	req.cmd.prp2 = prp2;
	return tgt_dptr_map(&dptr, &req, bytes, TGT_GUEST_WRITE);
}

static void sgl_put(uint64_t at, uint64_t iova, uint32_t len, uint8_t type)
{
	quads(at)[0] = iova;
	quads(at)[1] = len | (uint64_t)type << 56;
}

static uint16_t sgl(uint64_t iova, uint32_t len, uint8_t type, uint32_t bytes)
{
	req.cmd.flags = 1 << 6;
	req.cmd.prp1 = iova;
	req.cmd.prp2 = len | (uint64_t)type << 56;
	return tgt_dptr_map(&dptr, &req, bytes, TGT_GUEST_WRITE);
}

/* Where byte @at of the data is, as offset into the memory. */
static uint64_t place(uint32_t at)
{
	for (unsigned int i = 0; i < req.nr_segs; i++) {
		if (at < segs[i].mem.iov_len)
			return (uint64_t)((uint8_t *)segs[i].mem.iov_base - memory) + at;
		at -= (uint32_t)segs[i].mem.iov_len;
	}
	return UINT64_MAX;
}

static uint64_t total(void)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < req.nr_segs; i++)
		sum += segs[i].mem.iov_len;
	return sum;
}

static void prp_of_one_page_may_begin_at_any_dword(void)
{
	start();
	for (uint32_t off = 0; off < 4096; off += 4) {
		CU_ASSERT_EQUAL(prp(PAGE(3) + off, NOWHERE + 1, 4096 - off), 0);
		CU_ASSERT_EQUAL(place(0), 3 * 4096 + off);
		CU_ASSERT_EQUAL(total(), 4096 - off);
	}
	CU_ASSERT_EQUAL(prp(PAGE(3) + 2, 0, 512), TGT_SC(PRP_INVALID_OFFSET));
	CU_ASSERT_EQUAL(prp(PAGE(3) + 1, 0, 512), TGT_SC(PRP_INVALID_OFFSET));
	stop();
}

static void prp2_is_a_page_if_two_are_enough(void)
{
	start();
	CU_ASSERT_EQUAL(prp(PAGE(3) + 512, PAGE(9), 4096), 0);
	CU_ASSERT_EQUAL(place(3584), 9 * 4096);
	CU_ASSERT_EQUAL(total(), 4096);
	CU_ASSERT_EQUAL(prp(PAGE(3), PAGE(9), 8192), 0);
	CU_ASSERT_EQUAL(place(8191), 9 * 4096 + 4095);
	CU_ASSERT_EQUAL(prp(PAGE(3), PAGE(9) + 8, 8192), TGT_SC(PRP_INVALID_OFFSET));
	stop();
}

/* A list at every offset of its page, so that the pointer to the next page is at every place. */
static void prp_lists_chain_at_the_end_of_their_page(void)
{
	start();
	for (uint32_t slot = 480; slot < 512; slot++) {
		uint64_t list = PAGE(1) + slot * 8;
		uint32_t nr = 40, room = 512 - slot, chained = nr > room;

		for (uint32_t i = 0; i < nr; i++) {
			uint32_t here = chained ? room - 1 : nr;
			quoll_le64 *entry = i < here ? quads(list) + i : quads(PAGE(2)) + (i - here);

			*entry = PAGE(599 - 2 * i);
		}
		if (chained)
			quads(list)[room - 1] = PAGE(2);
		CU_ASSERT_EQUAL(prp(PAGE(4) + 512, list, 4096 * nr + 3584), 0);
		CU_ASSERT_EQUAL(total(), 4096 * nr + 3584);
		for (uint32_t i = 0; i < nr; i++)
			CU_ASSERT_EQUAL(place(3584 + i * 4096), (599 - 2 * i) * 4096);
	}
	stop();
}

static void the_longest_prp_list_is_walked(void)
{
	start();
	for (uint32_t i = 0; i < 256; i++)
		quads(PAGE(1))[i] = PAGE(599 - 2 * i);
	CU_ASSERT_EQUAL(prp(PAGE(4) + 4, PAGE(1), TGT_MAX_BYTES), 0);
	CU_ASSERT_EQUAL(total(), TGT_MAX_BYTES);
	CU_ASSERT_EQUAL(req.nr_segs, 257);
	stop();
}

static void larger_pages_are_the_hosts_choice(void)
{
	start();
	dptr.page_shift = 16;
	CU_ASSERT_EQUAL(prp(BASE + 0x20000 + 4096, BASE + 0x10000, 65536), 0);
	CU_ASSERT_EQUAL(place(65536 - 4096), 0x10000);
	CU_ASSERT_EQUAL(prp(BASE + 0x20000, BASE + 0x10000 + 4096, 65536 + 512), TGT_SC(PRP_INVALID_OFFSET));
	stop();
}

static void neighbouring_pages_are_one_segment(void)
{
	start();
	for (uint32_t i = 0; i < 31; i++)
		quads(PAGE(1))[i] = PAGE(11 + i);
	CU_ASSERT_EQUAL(prp(PAGE(10), PAGE(1), 32 * 4096), 0);
	CU_ASSERT_EQUAL(req.nr_segs, 1);
	CU_ASSERT_EQUAL(total(), 32 * 4096);
	stop();
}

static void prps_that_point_nowhere_are_transfer_errors(void)
{
	start();
	CU_ASSERT_EQUAL(prp(NOWHERE, 0, 512), TGT_SC(DATA_XFER_ERROR));
	CU_ASSERT_EQUAL(prp(PAGE(3), NOWHERE, 8192), TGT_SC(DATA_XFER_ERROR));
	CU_ASSERT_EQUAL(prp(PAGE(3), NOWHERE, 3 * 4096), TGT_SC(DATA_XFER_ERROR));
	CU_ASSERT_EQUAL(prp(0, 0, 512), TGT_SC(DATA_XFER_ERROR));
	CU_ASSERT_EQUAL(prp(~3ull, 0, 512), TGT_SC(DATA_XFER_ERROR));
	quads(PAGE(1))[0] = PAGE(5);
	quads(PAGE(1))[1] = NOWHERE;
	CU_ASSERT_EQUAL(prp(PAGE(3), PAGE(1), 3 * 4096), TGT_SC(DATA_XFER_ERROR));
	/* The list runs out of the host's memory. */
	CU_ASSERT_EQUAL(prp(PAGE(3), BASE + MEM_BYTES - 8, 4 * 4096), TGT_SC(DATA_XFER_ERROR));
	stop();
}

static void prp_lists_with_offsets_are_refused(void)
{
	start();
	quads(PAGE(1))[0] = PAGE(5);
	quads(PAGE(1))[1] = PAGE(6) + 4;
	CU_ASSERT_EQUAL(prp(PAGE(3), PAGE(1) + 4, 3 * 4096), TGT_SC(PRP_INVALID_OFFSET));
	CU_ASSERT_EQUAL(prp(PAGE(3), PAGE(1), 3 * 4096), TGT_SC(PRP_INVALID_OFFSET));
	/* A pointer to the next page of the list has none either. */
	quads(PAGE(1))[511] = PAGE(2) + 8;
	CU_ASSERT_EQUAL(prp(PAGE(3), PAGE(1) + 511 * 8, 3 * 4096), TGT_SC(PRP_INVALID_OFFSET));
	stop();
}

static void a_prp_list_that_loops_ends_with_its_data(void)
{
	start();
	/* The last entry of the page is the page itself, and all others are one page of data. */
	for (uint32_t i = 0; i < 512; i++)
		quads(PAGE(1))[i] = PAGE(1);
	CU_ASSERT_EQUAL(prp(PAGE(3), PAGE(1) + 500 * 8, TGT_MAX_BYTES), 0);
	CU_ASSERT_EQUAL(total(), TGT_MAX_BYTES);
	stop();
}

static void the_list_itself_and_pages_twice_may_be_data(void)
{
	start();
	quads(PAGE(1))[0] = PAGE(1);
	quads(PAGE(1))[1] = PAGE(3);
	CU_ASSERT_EQUAL(prp(PAGE(3), PAGE(1), 3 * 4096), 0);
	CU_ASSERT_EQUAL(place(4096), 4096);
	CU_ASSERT_EQUAL(place(8192), 3 * 4096);
	stop();
}

static void memory_without_permission_is_a_transfer_error(void)
{
	struct tgt_guest_range range = {.iova = 0x10000, .len = 4096, .va = memory, .prot = TGT_GUEST_READ};

	start();
	range.va = memory;
	tgt_guest_add(&guest, &range);
	CU_ASSERT_EQUAL(prp(0x10000, 0, 512), TGT_SC(DATA_XFER_ERROR));
	req.cmd.prp1 = 0x10000;
	CU_ASSERT_EQUAL(tgt_dptr_map(&dptr, &req, 512, TGT_GUEST_READ), 0);
	stop();
}

static void sgl_of_one_block_has_any_address(void)
{
	start();
	CU_ASSERT_EQUAL(sgl(PAGE(3) + 1, 20000, SGL_DATA, 20000), 0);
	CU_ASSERT_EQUAL(place(0), 3 * 4096 + 1);
	CU_ASSERT_EQUAL(req.nr_segs, 1);
	CU_ASSERT_EQUAL(sgl(PAGE(3), 512, SGL_DATA, 1024), TGT_SC(SGL_INVALID_DATA));
	CU_ASSERT_EQUAL(sgl(PAGE(3), 1024, SGL_DATA, 512), TGT_SC(SGL_INVALID_DATA));
	CU_ASSERT_EQUAL(sgl(NOWHERE, 512, SGL_DATA, 512), TGT_SC(DATA_XFER_ERROR));
	CU_ASSERT_EQUAL(sgl(UINT64_MAX - 100, 512, SGL_DATA, 512), TGT_SC(DATA_XFER_ERROR));
	stop();
}

static void sgl_types_that_are_not_supported_are_named(void)
{
	static const uint8_t types[] = {SGL_BIT_BUCKET, SGL_KEYED,   0x50,	    0xf0,
					SGL_DATA | 1,	SGL_SEG | 1, SGL_LAST | 0xf};

	start();
	for (unsigned int i = 0; i < sizeof(types); i++) {
		CU_ASSERT_EQUAL(sgl(PAGE(3), 512, types[i], 512), TGT_SC(SGL_INVALID_TYPE));
		sgl_put(PAGE(1), PAGE(3), 512, types[i]);
		CU_ASSERT_EQUAL(sgl(PAGE(1), 16, SGL_LAST, 512), TGT_SC(SGL_INVALID_TYPE));
	}
	stop();
}

static void sgl_segments_are_followed(void)
{
	start();
	for (uint32_t i = 0; i < 99; i++)
		sgl_put(PAGE(1) + 16 * i, PAGE(10 + 2 * i), 100, SGL_DATA);
	sgl_put(PAGE(1) + 16 * 99, PAGE(2) + 8, 16 * 40, SGL_SEG);
	for (uint32_t i = 0; i < 39; i++)
		sgl_put(PAGE(2) + 8 + 16 * i, PAGE(300 + 2 * i), 1, SGL_DATA);
	sgl_put(PAGE(2) + 8 + 16 * 39, PAGE(3), 16, SGL_LAST);
	sgl_put(PAGE(3), PAGE(5), 61, SGL_DATA);
	CU_ASSERT_EQUAL(sgl(PAGE(1), 1600, SGL_SEG, 9900 + 39 + 61), 0);
	CU_ASSERT_EQUAL(total(), 10000);
	CU_ASSERT_EQUAL(place(100), 12 * 4096);
	CU_ASSERT_EQUAL(place(9900), 300 * 4096);
	CU_ASSERT_EQUAL(place(9939), 5 * 4096);
	/* One byte more or less than the command wants. */
	CU_ASSERT_EQUAL(sgl(PAGE(1), 1600, SGL_SEG, 10001), TGT_SC(SGL_INVALID_DATA));
	CU_ASSERT_EQUAL(sgl(PAGE(1), 1600, SGL_SEG, 9999), TGT_SC(SGL_INVALID_DATA));
	stop();
}

static void sgl_segments_of_wrong_shape_are_refused(void)
{
	start();
	sgl_put(PAGE(1), PAGE(3), 512, SGL_DATA);
	CU_ASSERT_EQUAL(sgl(PAGE(1), 0, SGL_LAST, 512), TGT_SC(SGL_INVALID_LAST));
	CU_ASSERT_EQUAL(sgl(PAGE(1), 17, SGL_LAST, 512), TGT_SC(SGL_INVALID_LAST));
	CU_ASSERT_EQUAL(sgl(PAGE(1) + 4, 16, SGL_LAST, 512), TGT_SC(SGL_INVALID_LAST));
	CU_ASSERT_EQUAL(sgl(PAGE(1), 0, SGL_SEG, 512), TGT_SC(SGL_INVALID_LAST));
	/* A segment that is not the last ends with a segment; the last has none. */
	CU_ASSERT_EQUAL(sgl(PAGE(1), 16, SGL_SEG, 512), TGT_SC(SGL_INVALID_LAST));
	sgl_put(PAGE(1), PAGE(2), 16, SGL_LAST);
	sgl_put(PAGE(2), PAGE(3), 512, SGL_DATA);
	CU_ASSERT_EQUAL(sgl(PAGE(1), 16, SGL_LAST, 512), TGT_SC(SGL_INVALID_LAST));
	CU_ASSERT_EQUAL(sgl(PAGE(1), 16, SGL_SEG, 512), 0);
	/* And nowhere else than at the end. */
	sgl_put(PAGE(1) + 16, PAGE(3), 512, SGL_DATA);
	CU_ASSERT_EQUAL(sgl(PAGE(1), 32, SGL_SEG, 512), TGT_SC(SGL_INVALID_COUNT));
	CU_ASSERT_EQUAL(sgl(NOWHERE, 16, SGL_LAST, 512), TGT_SC(DATA_XFER_ERROR));
	CU_ASSERT_EQUAL(sgl(BASE + MEM_BYTES - 16, 32, SGL_LAST, 512), TGT_SC(DATA_XFER_ERROR));
	stop();
}

static void sgls_that_loop_come_to_an_end(void)
{
	start();
	sgl_put(PAGE(1), PAGE(1), 16, SGL_SEG);
	CU_ASSERT_EQUAL(sgl(PAGE(1), 16, SGL_SEG, 512), TGT_SC(SGL_INVALID_COUNT));
	/* Blocks of no length bring it no nearer to the end. */
	sgl_put(PAGE(1), PAGE(3), 0, SGL_DATA);
	sgl_put(PAGE(1) + 16, PAGE(1), 32, SGL_SEG);
	CU_ASSERT_EQUAL(sgl(PAGE(1), 32, SGL_SEG, 512), TGT_SC(SGL_INVALID_COUNT));
	CU_ASSERT_EQUAL(sgl(PAGE(1), 0xfffffff0, SGL_SEG, 512), TGT_SC(SGL_INVALID_COUNT));
	stop();
}

static void too_many_pieces_are_a_transfer_error(void)
{
	start();
	for (uint32_t i = 0; i < TGT_MAX_SEGS + 1; i++)
		sgl_put(PAGE(1) + 16 * i, PAGE(599 - i), 1, SGL_DATA);
	CU_ASSERT_EQUAL(sgl(PAGE(1), 16 * TGT_MAX_SEGS, SGL_LAST, TGT_MAX_SEGS), 0);
	CU_ASSERT_EQUAL(sgl(PAGE(1), 16 * (TGT_MAX_SEGS + 1), SGL_LAST, TGT_MAX_SEGS + 1), TGT_SC(DATA_XFER_ERROR));
	stop();
}

static uint8_t far[8192];

static int far_read(void *arg, uint64_t iova, void *dst, size_t len)
{
	(void)arg;
	memcpy(dst, far + (iova - 0x8000), len);
	return 0;
}

static int far_write(void *arg, uint64_t iova, const void *src, size_t len)
{
	(void)arg;
	memcpy(far + (iova - 0x8000), src, len);
	return 0;
}

static void data_that_is_not_mapped_goes_by_address(void)
{
	static const struct tgt_guest_ops ops = {.read = far_read, .write = far_write};
	struct tgt_guest_range range = {.iova = 0x8000, .len = 8192, .prot = RW};
	uint8_t out[8192], in[8192];

	start();
	guest.ops = &ops;
	tgt_guest_add(&guest, &range);
	CU_ASSERT_EQUAL(prp(PAGE(3), 0x8000, 8192), 0);
	CU_ASSERT_TRUE(req.remote);
	memset(out, 0x5a, sizeof(out));
	CU_ASSERT_EQUAL(tgt_dptr_write(&dptr, &req, out, sizeof(out)), 0);
	CU_ASSERT_EQUAL(memcmp(memory + 3 * 4096, out, 4096), 0);
	CU_ASSERT_EQUAL(memcmp(far, out, 4096), 0);
	CU_ASSERT_EQUAL(tgt_dptr_read(&dptr, &req, in, sizeof(in)), 0);
	CU_ASSERT_EQUAL(memcmp(in, out, sizeof(in)), 0);
	/* A list that is not mapped is read by messages too. */
	memcpy(far, &(uint64_t[2]){PAGE(5), PAGE(7)}, 16);
	CU_ASSERT_EQUAL(prp(PAGE(3), 0x8000, 3 * 4096), 0);
	CU_ASSERT_FALSE(req.remote);
	CU_ASSERT_EQUAL(place(8192), 7 * 4096);
	stop();
}

/* Changes entries of the lists while they are walked; each is right or wrong by itself. */
static void *rewrite(void *arg)
{
	static const uint64_t values[] = {NOWHERE, PAGE(3), PAGE(4) + 4, UINT64_MAX, PAGE(5), 0};
	bool *done = arg;

	for (uint64_t i = 0; !__atomic_load_n(done, __ATOMIC_RELAXED); i++) {
		__atomic_store_n(&quads(PAGE(1))[i % 64], values[i % 6], __ATOMIC_RELAXED);
		__atomic_store_n(&quads(PAGE(2))[2 * (i % 32)], values[i * 7 % 6], __ATOMIC_RELAXED);
		__atomic_store_n(&quads(PAGE(2))[2 * (i % 32) + 1], (uint64_t)(i % 7) << 60 | (i * 512 & 0xffff),
				 __ATOMIC_RELAXED);
	}
	return NULL;
}

static void lists_rewritten_meanwhile_lead_to_host_memory_or_to_an_error(void)
{
	bool done = false;
	unsigned int wrong = 0, refused = 0, nr = 0;
	time_t until = time(NULL) + 30;
	pthread_t thread;

	start();
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, rewrite, &done), 0);
	/* Until both ends have been seen often, or for as long as that may take at most. */
	for (; time(NULL) < until && (nr < 20000 || refused < 100); nr++) {
		uint16_t status = nr & 1 ? prp(PAGE(3), PAGE(1), 20 * 4096)
					 : sgl(PAGE(2), 16 * (1 + nr / 2 % 32), SGL_SEG, 65536);

		refused += status != 0;
		for (unsigned int i = 0; !status && i < req.nr_segs; i++)
			wrong += (uint8_t *)segs[i].mem.iov_base < memory ||
				 (uint8_t *)segs[i].mem.iov_base + segs[i].mem.iov_len > memory + MEM_BYTES;
		wrong += !status && total() != (nr & 1 ? 20 * 4096 : 65536);
	}
	__atomic_store_n(&done, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT_TRUE(refused >= 100);
	stop();
}

static const struct unit_test tests[] = {
	{"a PRP of one page may begin at any dword", prp_of_one_page_may_begin_at_any_dword},
	{"PRP 2 is a page if two are enough", prp2_is_a_page_if_two_are_enough},
	{"PRP lists chain at the end of their page", prp_lists_chain_at_the_end_of_their_page},
	{"the longest PRP list is walked", the_longest_prp_list_is_walked},
	{"larger pages are the host's choice", larger_pages_are_the_hosts_choice},
	{"neighbouring pages are one segment", neighbouring_pages_are_one_segment},
	{"PRPs that point nowhere are transfer errors", prps_that_point_nowhere_are_transfer_errors},
	{"PRP lists with offsets are refused", prp_lists_with_offsets_are_refused},
	{"a PRP list that loops ends with its data", a_prp_list_that_loops_ends_with_its_data},
	{"the list itself, and pages twice, may be data", the_list_itself_and_pages_twice_may_be_data},
	{"memory without permission is a transfer error", memory_without_permission_is_a_transfer_error},
	{"an SGL of one block has any address", sgl_of_one_block_has_any_address},
	{"SGL types that are not supported are named", sgl_types_that_are_not_supported_are_named},
	{"SGL segments are followed", sgl_segments_are_followed},
	{"SGL segments of wrong shape are refused", sgl_segments_of_wrong_shape_are_refused},
	{"SGLs that loop come to an end", sgls_that_loop_come_to_an_end},
	{"too many pieces are a transfer error", too_many_pieces_are_a_transfer_error},
	{"data that is not mapped goes by address", data_that_is_not_mapped_goes_by_address},
	{"lists rewritten meanwhile lead to host memory or to an error",
	 lists_rewritten_meanwhile_lead_to_host_memory_or_to_an_error},
};

UNIT_MAIN("apps/target/dptr", tests)
