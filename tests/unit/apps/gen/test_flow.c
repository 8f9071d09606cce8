/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_flow.c - frames as they are sent: the library's parser understands them, their checksums are right.
 */
#include <stdlib.h>

#include <net/net.h>
#include <net/net_soft.h>

#include "gen/flow.h"
#include "unit.h"

#define KEY 77u
#define FIRST_IDX 300u

static const struct flow_opts base = {
	.src_mac = {2, 0, 0, 0, 0, 1},
	.dst_mac = {2, 0, 0, 0, 0, 2},
	.src_ip = {198, 18, 0, 255, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 255, 255},
	.dst_ip = {198, 19, 0, 1},
	.src_port = 65535,
	.dst_port = 9,
	.vlan_tci = -1,
	.nr_flows = 3,
};

static struct flow *flows;
static struct flow_layout layout;

static void make(const struct flow_opts *opts)
{
	free(flows);
	flows = aligned_alloc(QUOLL_CACHE_LINE_BYTES, opts->nr_flows * sizeof(*flows));
	CU_ASSERT_PTR_NOT_NULL_FATAL(flows);
	flow_make(opts, FIRST_IDX, KEY, flows, &layout);
}

/* The next frame of a flow, checked; its parsed headers. */
static struct quoll_frame fill(uint8_t *data, unsigned int idx, uint64_t due, uint32_t size)
{
	struct quoll_buf buf = {.va = data, .data_bytes = size - 4, .total_bytes = size - 4, .nr_links = 1};
	struct quoll_buf *bufs[] = {&buf};
	struct quoll_frame f;

	flow_fill(&layout, &flows[idx], due, data, size - 4);
	CU_ASSERT_EQUAL(quoll_frame_parse(&buf, &f), 0);
	CU_ASSERT_EQUAL(f.l4, QUOLL_L4_UDP);
	CU_ASSERT_EQUAL(f.l4_end, size - 4);
	CU_ASSERT_EQUAL(f.l2_bytes + f.l3_bytes + 8u, layout.stamp_at);
	quoll_soft_rx(QUOLL_OFFLOAD_RX_CSUM, bufs, 1);
	CU_ASSERT_EQUAL(buf.flags, QUOLL_BUF_RX_L4_GOOD | (f.l3 == QUOLL_L3_IPV4 ? QUOLL_BUF_RX_IP_GOOD : 0));
	return f;
}

static void frames_of_every_kind_are_right(void)
{
	uint8_t data[2048] = {0};

	for (unsigned int kind = 0; kind < 4; kind++) {
		struct flow_opts opts = base;
		struct quoll_frame f;

		opts.v6 = kind & 1;
		opts.vlan_tci = kind & 2 ? 0x123 : -1;
		make(&opts);
		CU_ASSERT_EQUAL(flow_min_size(&opts), kind == 0 ? 64 : kind == 1 ? 84 : kind == 2 ? 68 : 88);
		for (uint32_t size = flow_min_size(&opts); size < 1600; size++)
			for (unsigned int i = 0; i < 3; i++) {
				f = fill(data, i, 0xffffffffffff0000u + size, size);
				CU_ASSERT_EQUAL(f.l3, kind & 1 ? QUOLL_L3_IPV6 : QUOLL_L3_IPV4);
				CU_ASSERT_EQUAL(f.nr_vlans, kind / 2);
				CU_ASSERT_EQUAL(f.vlan_tci, kind & 2 ? 0x123 : 0);
			}
	}
}

static void stamps_come_back(void)
{
	uint8_t data[256] = {0};
	struct stamp stamp = {0};

	make(&base);
	for (uint32_t i = 0; i < 70000; i++) {
		fill(data, i % 3, UINT64_MAX - i, 64);
		CU_ASSERT_TRUE(stamp_read(data + layout.stamp_at, &stamp, KEY));
		CU_ASSERT_EQUAL(stamp.seq, i / 3);
		CU_ASSERT_EQUAL(stamp.flow, FIRST_IDX + i % 3);
		CU_ASSERT_EQUAL(stamp.due_ticks, UINT64_MAX - i);
	}
	flows[0].nr_sent = 0xfffffffeu;
	for (uint32_t i = 0; i < 4; i++) {
		fill(data, 0, 0, 64);
		CU_ASSERT_TRUE(stamp_read(data + layout.stamp_at, &stamp, KEY));
		CU_ASSERT_EQUAL(stamp.seq, 0xfffffffeu + i);
	}
}

static void damaged_stamps_are_none(void)
{
	uint8_t data[256] = {0};
	struct stamp stamp = {0};

	make(&base);
	fill(data, 2, 123456789, 64);
	CU_ASSERT_FALSE(stamp_read(data + layout.stamp_at, &stamp, KEY + 1));
	for (unsigned int bit = 0; bit < 8 * STAMP_BYTES; bit++) {
		data[layout.stamp_at + bit / 8] ^= (uint8_t)(1u << bit % 8);
		CU_ASSERT_FALSE(stamp_read(data + layout.stamp_at, &stamp, KEY));
		data[layout.stamp_at + bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	CU_ASSERT_TRUE(stamp_read(data + layout.stamp_at, &stamp, KEY));
}

static void flows_differ_in_what_is_varied(void)
{
	static const struct {
		enum flow_vary vary;
		uint32_t at, bytes;
		uint8_t second[6];
	} kinds[] = {
		{FLOW_SRC_PORT, 34, 2, {0, 0}},		  {FLOW_DST_PORT, 36, 2, {0, 10}},
		{FLOW_SRC_IP, 26, 4, {198, 18, 1, 0}},	  {FLOW_DST_IP, 30, 4, {198, 19, 0, 2}},
		{FLOW_SRC_MAC, 6, 6, {2, 0, 0, 0, 0, 2}}, {FLOW_DST_MAC, 0, 6, {2, 0, 0, 0, 0, 3}},
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		uint8_t first[256] = {0}, second[256] = {0};
		struct flow_opts opts = base;

		opts.vary = kinds[i].vary;
		make(&opts);
		fill(first, 0, 5, 64);
		fill(second, 1, 5, 64);
		CU_ASSERT_EQUAL(memcmp(second + kinds[i].at, kinds[i].second, kinds[i].bytes), 0);
		memcpy(second + kinds[i].at, first + kinds[i].at, kinds[i].bytes);
		second[24] = first[24]; /* checksums */
		second[25] = first[25];
		CU_ASSERT_EQUAL(memcmp(first, second, 40), 0);
	}
}

/* What comes back has the first one's addresses and ports in each other's place, flow by flow. */
static void the_reverse_of_a_flow_answers_it(void)
{
	for (enum flow_vary vary = FLOW_SRC_PORT; vary <= FLOW_DST_MAC; vary++) {
		uint8_t there[256] = {0}, back[256] = {0};
		struct flow_opts opts = base;

		opts.vary = vary;
		make(&opts);
		fill(there, 2, 5, 64);
		flow_reverse(&opts);
		make(&opts);
		fill(back, 2, 5, 64);
		CU_ASSERT(!memcmp(there, back + 6, 6) && !memcmp(there + 6, back, 6));
		CU_ASSERT(!memcmp(there + 26, back + 30, 4) && !memcmp(there + 30, back + 26, 4));
		CU_ASSERT(!memcmp(there + 34, back + 36, 2) && !memcmp(there + 36, back + 34, 2));
	}
}

static const struct unit_test tests[] = {
	{"frames of every kind and size are right", frames_of_every_kind_are_right},
	{"stamps come back, numbers wrap around", stamps_come_back},
	{"damaged stamps are none, nor those of another key", damaged_stamps_are_none},
	{"flows differ in what is varied, and in nothing else", flows_differ_in_what_is_varied},
	{"the reverse of a flow answers it", the_reverse_of_a_flow_answers_it},
};

UNIT_MAIN("apps/gen/flow", tests)
