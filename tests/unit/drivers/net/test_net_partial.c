/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_net_partial.c - checksums left undone: the frame's own is told of, any other one is filled in.
 */
#include <stdlib.h>

#include <net/net_chain.h>
#include <net/net_partial.h>
#include <net/net_queue.h>

#include "unit.h"

#include "frames.h"
#include "partial_frames.h"

#define FRAME_BYTES 300u

static uint8_t data[FRAME_BYTES], before[FRAME_BYTES];

/* All of it in links of @step bytes. */
static struct quoll_buf *in_links(uint8_t *frame, uint32_t bytes, uint32_t step)
{
	static struct quoll_buf links[FRAME_BYTES];
	uint32_t nr = 0;

	for (uint32_t at = 0; at < bytes; at += step, nr++)
		links[nr] = (struct quoll_buf){
			.va = frame + at, .data_bytes = bytes - at < step ? bytes - at : step, .next = &links[nr + 1]};
	links[nr - 1].next = NULL;
	links[0].total_bytes = bytes;
	links[0].nr_links = (uint16_t)nr;
	return links;
}

static uint32_t plain_sum(const uint8_t *at, uint32_t bytes)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < bytes; i++)
		sum += i & 1 ? at[i] : (uint32_t)at[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static void a_frames_own_checksum_is_told_of(void)
{
	static const struct {
		const uint8_t *frame;
		uint32_t bytes, start, field;
	} own[] = {
		{frame_udp4, sizeof(frame_udp4), 34, 6},  {frame_udp6, sizeof(frame_udp6), 54, 6},
		{frame_tcp4, sizeof(frame_tcp4), 34, 16}, {frame_tcp6, sizeof(frame_tcp6), 54, 16},
		{frame_opt, sizeof(frame_opt), 46, 6},	  {frame_ext, sizeof(frame_ext), 70, 6},
	};

	for (unsigned int i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		for (uint32_t step = 1; step <= own[i].bytes; step++) {
			struct quoll_buf *buf;

			memcpy(data, own[i].frame, own[i].bytes);
			buf = in_links(data, own[i].bytes, step);
			CU_ASSERT(net_rx_partial(buf, own[i].start, own[i].field, false));
			CU_ASSERT_EQUAL(buf->flags, QUOLL_BUF_RX_L4_PARTIAL);
			CU_ASSERT_FALSE(memcmp(data, own[i].frame, own[i].bytes));
		}
}

static void any_other_one_is_filled_in(void)
{
	srandom(7);
	for (uint32_t bytes = 110; bytes < FRAME_BYTES; bytes++)
		for (uint32_t step = 1; step <= bytes; step += 7) {
			uint8_t *field = data + PARTIAL_INNER_L4 + PARTIAL_TCP_FIELD;
			struct quoll_buf *buf;

			for (uint32_t i = 0; i < bytes; i++)
				data[i] = (uint8_t)random();
			partial_tunnel(data, bytes);
			put_be16(field, 0); /* so that the sum of all is that of the pseudo-header's complement */
			memcpy(before, data, bytes);
			buf = in_links(data, bytes, step);
			CU_ASSERT(net_rx_partial(buf, PARTIAL_INNER_L4, PARTIAL_TCP_FIELD, false));
			CU_ASSERT_EQUAL(buf->flags, 0);
			CU_ASSERT_EQUAL(plain_sum(data + PARTIAL_INNER_L4, bytes - PARTIAL_INNER_L4), 0xffff);
			memcpy(field, before + PARTIAL_INNER_L4 + PARTIAL_TCP_FIELD, 2);
			CU_ASSERT_FALSE(memcmp(before, data, bytes));
		}
}

/* What looks like the frame's own, but for one thing, is not. */
static void nearly_its_own_is_another_one(void)
{
	struct quoll_buf *buf;

	for (unsigned int i = 0; i < 4; i++) {
		memcpy(data, frame_tcp4, sizeof(frame_tcp4));
		if (i == 2)
			data[23] = 17; /* the field of TCP, in a frame with UDP that is too long */
		else if (i == 3)
			data[20] = 0x20; /* a fragment */
		memcpy(before, data, sizeof(frame_tcp4));
		buf = in_links(data, sizeof(frame_tcp4), sizeof(frame_tcp4));
		CU_ASSERT(net_rx_partial(buf, i == 1 ? 36 : 34, i == 0 ? 18 : 16, false));
		CU_ASSERT_EQUAL(buf->flags, 0);
		CU_ASSERT(memcmp(before, data, sizeof(frame_tcp4)) != 0);
	}
}

static void what_makes_no_sense_is_refused(void)
{
	static const uint32_t wrong[][2] = {{59, 14}, {73, 0}, {UINT16_MAX, UINT16_MAX}, {0, 73}};
	struct quoll_buf *buf;

	memcpy(data, frame_tcp4, sizeof(frame_tcp4));
	buf = in_links(data, sizeof(frame_tcp4), 20);
	for (unsigned int i = 0; i < 4; i++)
		CU_ASSERT_FALSE(net_rx_partial(buf, wrong[i][0], wrong[i][1], false));
	/* To be cut up, and nobody would know how. */
	CU_ASSERT_FALSE(net_rx_partial(buf, 36, 16, true));
	CU_ASSERT_FALSE(memcmp(data, frame_tcp4, sizeof(frame_tcp4)));
	CU_ASSERT_EQUAL(buf->flags, 0);
	CU_ASSERT(net_rx_partial(buf, 34, 16, true));
	CU_ASSERT_EQUAL(buf->flags, QUOLL_BUF_RX_L4_PARTIAL);
}

/* UDP's 0 would say that there is none. */
static void zero_is_written_as_its_other_form(void)
{
	struct quoll_buf *buf;

	memset(data, 0, 60);
	data[40] = data[41] = 0xff;
	buf = in_links(data, 60, 60);
	CU_ASSERT(net_rx_partial(buf, 34, 10, false));
	CU_ASSERT(data[44] == 0xff && data[45] == 0xff);
}

static const struct unit_test tests[] = {
	{"a frame's own checksum is told of", a_frames_own_checksum_is_told_of},
	{"any other one is filled in", any_other_one_is_filled_in},
	{"nearly its own is another one", nearly_its_own_is_another_one},
	{"what makes no sense is refused", what_makes_no_sense_is_refused},
	{"zero is written as its other form", zero_is_written_as_its_other_form},
};

UNIT_MAIN("drivers/net/net_partial", tests)
