/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_broken_soft.c - that what broken_soft.c breaks is broken: else the tests that are built with it would show
 * nothing.
 */
#include <net/net_soft.h>

#include "frames.h"
#include "net_fixture.h"
#include "soft_frames.h"

static void good_frames_are_called_bad(void)
{
	struct quoll_buf *buf;
	struct fix f;

	fix_open(&f);
	buf = soft_frame(f.caches[0], frame_udp4, sizeof(frame_udp4), 2000);
	CU_ASSERT_PTR_NOT_NULL_FATAL(buf);
	quoll_soft_rx(QUOLL_OFFLOAD_RX_CSUM, &buf, 1);
	CU_ASSERT_EQUAL(buf->flags, QUOLL_BUF_RX_IP_BAD | QUOLL_BUF_RX_L4_BAD);
	quoll_buf_put(f.caches[0], &buf, 1);
	fix_close(&f);
}

static void wrong_checksums_are_sent(void)
{
	struct quoll_buf *buf, *out;
	uint8_t *data;
	struct fix f;

	fix_open(&f);
	buf = soft_frame(f.caches[0], frame_tcp4, sizeof(frame_tcp4), 2000);
	CU_ASSERT_PTR_NOT_NULL_FATAL(buf);
	data = quoll_buf_data(buf);
	data[24] = data[25] = 0;
	buf->flags = QUOLL_BUF_TX_IP_CSUM;
	buf->l2_bytes = 14;
	buf->l3_bytes = 20;
	CU_ASSERT_EQUAL(quoll_soft_tx(QUOLL_OFFLOAD_TX_IP_CSUM, f.caches[0], buf, &out, 1), 1);
	CU_ASSERT_NOT_EQUAL(memcmp(data + 24, frame_tcp4 + 24, 2), 0);
	quoll_buf_put(f.caches[0], &buf, 1);
	fix_close(&f);
}

static void hashes_are_none(void)
{
	static struct quoll_rss_hasher hasher;
	struct quoll_buf buf = {.data_bytes = 0};
	struct quoll_frame frame;

	quoll_rss_hasher_init(&hasher, quoll_rss_key_default);
	quoll_frame_parse_bytes(frame_udp4, sizeof(frame_udp4), &frame);
	CU_ASSERT_EQUAL(quoll_rss_hash(&hasher, frame_udp4 + 26, 8), 8);
	CU_ASSERT_EQUAL(quoll_rss_hash_frame(&hasher, QUOLL_RSS_IPV4, &buf, &frame), 0);
}

static const struct unit_test tests[] = {
	{"good frames are called bad", good_frames_are_called_bad},
	{"wrong checksums are sent", wrong_checksums_are_sent},
	{"hashes are none", hashes_are_none},
};

UNIT_MAIN("drivers/net/broken_soft", tests)
