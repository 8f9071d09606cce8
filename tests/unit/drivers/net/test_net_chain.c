/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_net_chain.c - sums against a plain one of 16-bit words, of any length, at any address, in any links.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include <net/net_chain.h>
#include <net/net_queue.h>

#include "be16.h"
#include "unit.h"

#define PAGE_BYTES 4096u

static uint16_t in_network_order(uint16_t sum)
{
	uint8_t bytes[2];

	memcpy(bytes, &sum, 2);
	return net_get_be16(bytes);
}

static void example_of_rfc_1071_holds(void)
{
	static const uint8_t data[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};

	CU_ASSERT_EQUAL(in_network_order(net_csum_fold(net_csum_add(0, data, sizeof(data)))), 0xddf2);
}

/* The page after it cannot be read: a sum that reads on dies, in code that ASan does not see, too. */
static void sums_of_every_length_at_every_address(void)
{
	uint8_t *pages = mmap(NULL, 2 * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *end = pages + PAGE_BYTES;

	CU_ASSERT_PTR_NOT_EQUAL_FATAL(pages, MAP_FAILED);
	CU_ASSERT_EQUAL_FATAL(mprotect(end, PAGE_BYTES, PROT_NONE), 0);
	srandom(3);
	for (size_t i = 0; i < PAGE_BYTES; i++)
		pages[i] = (uint8_t)random();
	for (size_t bytes = 0; bytes < 300; bytes++)
		for (size_t before_end = 0; before_end < 9; before_end++) {
			const uint8_t *at = end - bytes - before_end;

			CU_ASSERT_EQUAL(in_network_order(net_csum_fold(net_csum_add(0, at, bytes))),
					sum16(at, bytes, 0));
		}
	CU_ASSERT_EQUAL(in_network_order(net_csum_fold(net_csum_add(0, pages, PAGE_BYTES))),
			sum16(pages, PAGE_BYTES, 0));
	munmap(pages, 2 * PAGE_BYTES);
}

static void carries_are_never_lost(void)
{
	static uint8_t ones[65536];

	memset(ones, 0xff, sizeof(ones));
	CU_ASSERT_EQUAL(net_csum_fold(net_csum_add(UINT64_MAX, ones, sizeof(ones))), 0xffff);
	CU_ASSERT_EQUAL(net_csum_fold(net_csum_add(net_csum_add(1, ones, 64), ones, 8)), 1);
	CU_ASSERT_EQUAL(net_csum_fold(net_csum_plus(UINT64_MAX, 1)), 1);
	CU_ASSERT_EQUAL(net_csum_fold(0), 0);
	CU_ASSERT_EQUAL(net_csum_fold(0xffff0000ffff0001), 1);
}

/* @data in links of random lengths, some of them empty. */
static void make_chain(struct quoll_buf *links, uint8_t *data, uint32_t bytes)
{
	uint32_t nr = 0;

	for (uint32_t at = 0; at < bytes || !nr; nr++) {
		uint32_t n = (uint32_t)random() % 40;

		if (n > bytes - at || nr == 62)
			n = bytes - at;
		links[nr] =
			(struct quoll_buf){.va = data + at - 3, .data_off = 3, .data_bytes = n, .next = &links[nr + 1]};
		at += n;
	}
	links[nr - 1].next = NULL;
}

static void chains_are_like_flat_memory(void)
{
	uint8_t data[600], seen[600], patch[40];
	struct quoll_buf links[64];

	srandom(4);
	for (unsigned int round = 0; round < 2000; round++) {
		uint32_t off = (uint32_t)random() % 500, n = (uint32_t)random() % 100;

		for (size_t i = 0; i < sizeof(data); i++)
			data[i] = (uint8_t)random();
		make_chain(links, data + 3, 597);
		CU_ASSERT_EQUAL(in_network_order(net_csum_fold(net_csum_chain(0, links, off, n))),
				sum16(data + 3 + off, n, 0));
		CU_ASSERT_PTR_NOT_NULL_FATAL(net_chain_peek(links, off, n, seen));
		CU_ASSERT_EQUAL(memcmp(net_chain_peek(links, off, n, seen), data + 3 + off, n), 0);
		memset(patch, (int)round, sizeof(patch));
		CU_ASSERT_TRUE(net_chain_write(links, off, patch, sizeof(patch)));
		CU_ASSERT_EQUAL(memcmp(data + 3 + off, patch, sizeof(patch)), 0);
	}
}

static void nothing_lies_past_the_end(void)
{
	uint8_t data[100] = {1}, seen[100];
	struct quoll_buf links[64];

	make_chain(links, data + 3, 97);
	CU_ASSERT_PTR_NOT_NULL(net_chain_peek(links, 90, 7, seen));
	CU_ASSERT_PTR_NULL(net_chain_peek(links, 90, 8, seen));
	CU_ASSERT_PTR_NULL(net_chain_peek(links, UINT32_MAX, 8, seen));
	CU_ASSERT_FALSE(net_chain_write(links, 90, seen, 8));
	CU_ASSERT_EQUAL(net_csum_fold(net_csum_chain(5, links, 97, 10)), 5);
}

/* Ethernet, IPv4 or IPv6 of @l3 bytes, TCP: what of 5000 bytes is there. */
static void make_frame(uint8_t *data, uint16_t l3, bool v4, struct quoll_buf *buf)
{
	buf->flags = QUOLL_BUF_TX_TSO | QUOLL_BUF_TX_TCP_CSUM | (v4 ? QUOLL_BUF_TX_IP_CSUM : 0);
	buf->l2_bytes = 14;
	buf->l3_bytes = l3;
	buf->l4_bytes = 20;
	buf->total_bytes = 5000;
	for (size_t i = 0; i < 200; i++)
		data[i] = (uint8_t)random();
}

static void headers_of_a_frame_to_be_cut_up_become_whole(void)
{
	uint8_t data[603], before[603];
	struct quoll_buf links[64];

	srandom(5);
	for (unsigned int round = 0; round < 2000; round++) {
		bool v4 = round & 1;
		uint16_t l3 = v4 ? (uint16_t)(20 + round % 11 * 4) : 40;
		uint8_t *tcp = data + 3 + 14 + l3;
		uint32_t sum;

		make_chain(links, data + 3, 600);
		make_frame(data + 3, l3, v4, links);
		memcpy(before, data, sizeof(data));
		sum = net_get_be16(tcp + NET_TCP_CSUM_AT) + 5000u - 14 - l3;
		CU_ASSERT(net_tso_fill(links));
		CU_ASSERT_EQUAL(net_get_be16(tcp + NET_TCP_CSUM_AT), (uint16_t)(sum + (sum >> 16)));
		if (v4)
			CU_ASSERT_EQUAL(sum16(data + 17, l3, 0), 0xffff);
		net_tso_take_back(links);
		/* The IPv4 header's is filled in anew by whoever sends it. */
		if (v4)
			memcpy(before + 17 + NET_IPV4_CSUM_AT, data + 17 + NET_IPV4_CSUM_AT, 2);
		CU_ASSERT_FALSE(memcmp(before, data, sizeof(data)));
	}
}

static void headers_that_are_not_there_are_not_filled_in(void)
{
	static const uint16_t wrong[] = {0, 16, 19, 21, 22, 64, 600};
	uint8_t data[603], before[603];
	struct quoll_buf links[64];

	srandom(6);
	make_chain(links, data + 3, 600);
	for (unsigned int i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		make_frame(data + 3, wrong[i], true, links);
		memcpy(before, data, sizeof(data));
		CU_ASSERT_FALSE(net_tso_fill(links));
		CU_ASSERT_FALSE(memcmp(before, data, sizeof(data)));
	}
	for (uint32_t bytes = 0; bytes < 14 + 20 + NET_TCP_CSUM_AT + 2; bytes++) {
		make_chain(links, data + 3, bytes);
		make_frame(data + 3, 20, true, links);
		memcpy(before, data, sizeof(data));
		CU_ASSERT_FALSE(net_tso_fill(links));
		CU_ASSERT_FALSE(memcmp(before, data, sizeof(data)));
	}
}

static void links_that_do_not_add_up_are_no_frame(void)
{
	static const struct {
		uint32_t bytes[5], total;
		uint16_t told; /* links */
		unsigned int nr, with_data;
	} cases[] = {
		{{100}, 100, 1, 1, 1},
		{{100, 0, 50}, 150, 3, 3, 2},
		{{0, 1, 2, 3}, 6, 4, 4, 3},
		{{1, 1, 1, 1, 1}, 5, 5, 5, 0}, /* more than are taken */
		{{100, 50}, 149, 2, 2, 0},
		{{100, 50}, 151, 2, 2, 0},
		{{100, 50}, 150, 3, 2, 0},
		{{100, 50}, 100, 1, 2, 0},
		{{0x80000000, 0x80000064}, 100, 2, 2, 0}, /* modulo 2^32 they would */
	};

	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct quoll_buf links[5] = {{.total_bytes = cases[i].total, .nr_links = cases[i].told}};

		for (unsigned int j = 0; j < cases[i].nr; j++) {
			links[j].data_bytes = cases[i].bytes[j];
			links[j].next = j + 1 < cases[i].nr ? &links[j + 1] : NULL;
		}
		CU_ASSERT_EQUAL(net_chain_count(links, 4), cases[i].with_data);
	}
}

static const struct unit_test tests[] = {
	{"the example of RFC 1071 holds", example_of_rfc_1071_holds},
	{"sums of every length at every address read nothing else", sums_of_every_length_at_every_address},
	{"carries are never lost", carries_are_never_lost},
	{"chains are like flat memory", chains_are_like_flat_memory},
	{"nothing lies past the end", nothing_lies_past_the_end},
	{"headers of a frame to be cut up become whole", headers_of_a_frame_to_be_cut_up_become_whole},
	{"headers that are not there are not filled in", headers_that_are_not_there_are_not_filled_in},
	{"links that do not add up are no frame", links_that_do_not_add_up_are_no_frame},
};

UNIT_MAIN("drivers/net/net_chain", tests)
