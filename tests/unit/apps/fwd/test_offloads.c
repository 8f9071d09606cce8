/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_offloads.c - what a peer left undone: handed on as it is where the outgoing port does it, else done here; frames
 * that lie about it are dropped and counted. Queues are the test's own.
 */
#include <string.h>

#include <net/net_soft.h>

#include "../../drivers/net/be16.h"
#include "../../drivers/net/soft_frames.h"
#include "path_fixture.h"

#define NR_BUFS 2048
#define MSS 1000u
#define ALL (QUOLL_OFFLOAD_TX_CSUM | QUOLL_OFFLOAD_TX_TSO)

static struct {
	struct path_fixture fx;
	unsigned int nr_offered; /* by the next receive, from @offered */
	struct quoll_buf *offered[FWD_MAX_BURST];
	unsigned int room; /* that transmit has */
	unsigned int nr_calls;
	unsigned int nr_sent;
	struct quoll_buf *sent[NR_BUFS];
} t;

static unsigned int fake_rx(struct quoll_rxq *rxq, struct quoll_buf **bufs, unsigned int n)
{
	unsigned int nr = t.nr_offered < n ? t.nr_offered : n;

	(void)rxq;
	memcpy(bufs, t.offered, nr * sizeof(*bufs));
	t.nr_offered = 0;
	return nr;
}

static unsigned int fake_tx(struct quoll_txq *txq, struct quoll_buf *const *bufs, unsigned int n)
{
	unsigned int nr = n < t.room ? n : t.room;

	(void)txq;
	t.nr_calls++;
	memcpy(t.sent + t.nr_sent, bufs, nr * sizeof(*bufs));
	t.nr_sent += nr;
	t.room -= nr;
	return nr;
}

/* @missing: what the outgoing port does not do */
static void start(uint32_t missing)
{
	memset(&t, 0, sizeof(t));
	path_open(&t.fx, NR_BUFS);
	t.fx.rxq.burst = fake_rx;
	t.fx.txq.burst = fake_tx;
	t.room = NR_BUFS;
	t.fx.path.edit_off = 12;
	t.fx.path.missing = missing;
	t.fx.path.max_tso_bytes = 65536;
	t.fx.path.max_links = 64;
}

static void finish(void)
{
	path_close(&t.fx, t.sent, t.nr_sent);
}

struct kind {
	bool v6;
	bool udp;
	bool tag;
};

/* A frame as the kernel hands it over: the TCP or UDP checksum is the pseudo-header's sum. Return: its length. */
static uint32_t make_frame(uint8_t *data, struct kind kind, uint32_t payload)
{
	uint32_t l2 = kind.tag ? 18 : 14, l3 = kind.v6 ? 40 : 20, l4 = kind.udp ? 8 : 20;
	uint8_t *ip = data + l2, *at = ip + l3, proto = kind.udp ? 17 : 6;
	uint32_t sum;

	memset(data, 0x11, 12);
	memset(data + 12, 0, l2 + l3 + l4 - 12);
	if (kind.tag) {
		put_be16(data + 12, 0x8100);
		put_be16(data + 14, 7);
	}
	put_be16(data + l2 - 2, kind.v6 ? 0x86dd : 0x0800);
	ip[0] = kind.v6 ? 0x60 : 0x45;
	if (kind.v6) {
		put_be16(ip + 4, l4 + payload);
		ip[6] = proto;
		ip[7] = 64;
		memset(ip + 8, 0xa5, 32);
		sum = sum16(ip + 8, 32, proto + l4 + payload);
	} else {
		put_be16(ip + 2, l3 + l4 + payload);
		ip[8] = 64;
		ip[9] = proto;
		memset(ip + 12, 0xa5, 8);
		put_be16(ip + 10, ~sum16(ip, 20, 0));
		sum = sum16(ip + 12, 8, proto + l4 + payload);
	}
	put_be16(at, 1000);
	put_be16(at + 2, 2000);
	if (kind.udp) {
		put_be16(at + 4, l4 + payload);
		put_be16(at + 6, sum);
	} else {
		at[12] = 0x50;
		at[13] = 0x18;
		put_be16(at + 16, sum);
	}
	for (uint32_t i = 0; i < payload; i++)
		at[l4 + i] = (uint8_t)(i * 31);
	return l2 + l3 + l4 + payload;
}

static void offer(struct kind kind, uint32_t payload, uint32_t flags)
{
	static uint8_t data[70000];
	struct quoll_buf *buf = soft_frame(t.fx.cache, data, make_frame(data, kind, payload), 1800);

	CU_ASSERT_PTR_NOT_NULL_FATAL(buf);
	buf->flags |= flags;
	if (flags & QUOLL_BUF_RX_GSO)
		buf->mss = MSS;
	t.offered[t.nr_offered++] = buf;
}

#define PARTIAL QUOLL_BUF_RX_L4_PARTIAL
#define GSO (QUOLL_BUF_RX_L4_PARTIAL | QUOLL_BUF_RX_GSO)

/* Nothing is left to be asked for, and checksums are right, as a receiver sees it. */
static void expect_done(struct quoll_buf *buf, bool v6)
{
	CU_ASSERT_EQUAL(buf->flags & quoll_soft_tx_flags(ALL), 0);
	buf->flags = 0;
	quoll_soft_rx(QUOLL_OFFLOAD_RX_CSUM, &buf, 1);
	CU_ASSERT_EQUAL(buf->flags, QUOLL_BUF_RX_L4_GOOD | (v6 ? 0 : QUOLL_BUF_RX_IP_GOOD));
}

static const struct kind kinds[] = {{false, false, false}, {true, false, false}, {false, false, true},
				    {true, false, true},   {false, true, false}, {true, true, true}};

static void checksums_are_filled_in_for_a_port_that_does_not(void)
{
	for (unsigned int i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		start(ALL);
		offer(kinds[i], 333, PARTIAL);
		offer(kinds[i], 1400, 0); /* nobody's business */
		CU_ASSERT_EQUAL(fwd_poll_offloads(&t.fx.path), 2);
		CU_ASSERT_EQUAL_FATAL(t.nr_sent, 2);
		expect_done(t.sent[0], kinds[i].v6);
		t.sent[1]->flags = 0;
		quoll_soft_rx(QUOLL_OFFLOAD_RX_L4_CSUM, &t.sent[1], 1);
		CU_ASSERT_EQUAL(t.sent[1]->flags, QUOLL_BUF_RX_L4_BAD);
		CU_ASSERT_EQUAL(t.nr_calls, 1);
		CU_ASSERT_EQUAL(t.fx.path.nr_packets, 2);
		CU_ASSERT_EQUAL(t.fx.path.nr_cut + t.fx.path.nr_undone, 0);
		finish();
	}
}

static void what_the_port_does_is_handed_on_as_it_is(void)
{
	start(0);
	offer(kinds[0], 333, PARTIAL);
	offer(kinds[4], 333, PARTIAL);
	offer(kinds[2], 5 * MSS, GSO);
	CU_ASSERT_EQUAL(fwd_poll_offloads(&t.fx.path), 3);
	CU_ASSERT_EQUAL_FATAL(t.nr_sent, 3);
	CU_ASSERT_EQUAL(t.sent[0]->flags, QUOLL_BUF_TX_TCP_CSUM);
	CU_ASSERT_EQUAL(t.sent[1]->flags, QUOLL_BUF_TX_UDP_CSUM);
	CU_ASSERT_EQUAL(t.sent[2]->flags, QUOLL_BUF_TX_TCP_CSUM | QUOLL_BUF_TX_IP_CSUM | QUOLL_BUF_TX_TSO);
	CU_ASSERT_EQUAL(t.sent[2]->mss, MSS);
	CU_ASSERT(
		!memcmp((uint8_t *)quoll_buf_data(t.sent[2]) + 18 + 10, "\0\0", 2)); /* IPv4's checksum is asked for */
	CU_ASSERT_EQUAL(t.sent[2]->l2_bytes, 18);
	CU_ASSERT_EQUAL(t.sent[2]->total_bytes, 58 + 5 * MSS);
	CU_ASSERT_EQUAL(t.fx.path.nr_cut, 0);
	finish();
}

/* Virtual machines that take less than their port could do. */
static void what_the_other_end_does_not_take_is_done_here(void)
{
	start(QUOLL_OFFLOAD_TX_IP_CSUM);
	t.fx.txq.lacks = QUOLL_OFFLOAD_TX_TSO;
	offer(kinds[4], 333, PARTIAL);
	offer(kinds[0], 2 * MSS, GSO);
	CU_ASSERT_EQUAL(fwd_poll_offloads(&t.fx.path), 2);
	CU_ASSERT_EQUAL_FATAL(t.nr_sent, 3);
	CU_ASSERT_EQUAL(t.sent[0]->flags, QUOLL_BUF_TX_UDP_CSUM);
	CU_ASSERT_EQUAL(t.sent[1]->flags & quoll_soft_tx_flags(ALL), QUOLL_BUF_TX_TCP_CSUM);
	CU_ASSERT_EQUAL(t.fx.path.nr_cut, 1);
	finish();
	start(QUOLL_OFFLOAD_TX_IP_CSUM);
	t.fx.txq.lacks = QUOLL_OFFLOAD_TX_TSO | QUOLL_OFFLOAD_TX_L4_CSUM;
	offer(kinds[4], 333, PARTIAL);
	offer(kinds[0], 2 * MSS, GSO);
	CU_ASSERT_EQUAL(fwd_poll_offloads(&t.fx.path), 2);
	CU_ASSERT_EQUAL_FATAL(t.nr_sent, 3);
	for (unsigned int i = 0; i < 3; i++)
		expect_done(t.sent[i], false);
	finish();
}

static void expect_segments(bool v6, uint32_t header, uint32_t payload)
{
	uint32_t seq = 0;

	for (unsigned int i = 0; i < t.nr_sent; i++) {
		uint8_t *tcp = (uint8_t *)quoll_buf_data(t.sent[i]) + header - 20;
		uint32_t bytes = payload - seq < MSS ? payload - seq : MSS;

		CU_ASSERT_EQUAL(t.sent[i]->total_bytes, header + bytes);
		CU_ASSERT_EQUAL((uint32_t)tcp[4] << 24 | (uint32_t)tcp[5] << 16 | (uint32_t)tcp[6] << 8 | tcp[7], seq);
		CU_ASSERT_EQUAL(tcp[20], (uint8_t)(seq * 31));
		expect_done(t.sent[i], v6);
		seq += bytes;
	}
	CU_ASSERT_EQUAL(seq, payload);
}

static void frames_are_cut_up_for_a_port_that_does_not(void)
{
	for (unsigned int i = 0; i < 4; i++) {
		uint32_t header = (kinds[i].tag ? 18u : 14u) + (kinds[i].v6 ? 40u : 20u) + 20u;

		start(ALL);
		offer(kinds[i], 60000, GSO);
		CU_ASSERT_EQUAL(fwd_poll_offloads(&t.fx.path), 1);
		CU_ASSERT_EQUAL_FATAL(t.nr_sent, 60);
		expect_segments(kinds[i].v6, header, 60000);
		CU_ASSERT_EQUAL(t.fx.path.nr_packets, 60);
		CU_ASSERT_EQUAL(t.fx.path.nr_cut, 1);
		CU_ASSERT_EQUAL(t.fx.path.nr_segments, 60);
		finish();
	}
}

static void frames_beyond_the_limits_of_the_port_are_cut_up_all_the_same(void)
{
	for (unsigned int i = 0; i < 2; i++) {
		start(QUOLL_OFFLOAD_TX_IP_CSUM);
		if (i)
			t.fx.path.max_links = 3;
		else
			t.fx.path.max_tso_bytes = 54 + 4 * MSS;
		offer(kinds[0], 4 * MSS, GSO);
		offer(kinds[0], 4 * MSS + 1801, GSO);
		CU_ASSERT_EQUAL(fwd_poll_offloads(&t.fx.path), 2);
		CU_ASSERT_EQUAL(t.nr_sent, 1 + 6);
		CU_ASSERT_TRUE(t.sent[0]->flags & QUOLL_BUF_TX_TSO);
		for (unsigned int k = 1; k < t.nr_sent; k++) /* the port does this much */
			CU_ASSERT_EQUAL(t.sent[k]->flags & quoll_soft_tx_flags(ALL), QUOLL_BUF_TX_TCP_CSUM);
		finish();
	}
}

static void frames_that_lie_are_dropped_and_counted(void)
{
	start(ALL);
	for (unsigned int i = 0; i < 7; i++)
		offer(kinds[i == 3 ? 4 : 0], 3000, GSO);
	t.offered[0]->flags = QUOLL_BUF_RX_GSO;		   /* whole, but segments to be */
	t.offered[1]->mss = 0;				   /* for ever */
	((uint8_t *)quoll_buf_data(t.offered[2]))[23] = 1; /* ICMP */
	/* 3: UDP has no segments */
	((uint8_t *)quoll_buf_data(t.offered[4]))[46] = 0x40; /* a TCP header of 16 bytes */
	((uint8_t *)quoll_buf_data(t.offered[5]))[47] = 2;    /* SYN */
	t.offered[6]->mss = 1;				      /* more than there is room for */
	CU_ASSERT_EQUAL(fwd_poll_offloads(&t.fx.path), 7);
	CU_ASSERT_EQUAL(t.nr_sent, 0);
	CU_ASSERT_EQUAL(t.fx.path.nr_undone, 7);
	CU_ASSERT_EQUAL(t.fx.path.nr_packets + t.fx.path.nr_full + t.fx.path.nr_cut, 0);
	finish();
}

/* More segments than are sent at once, and more than the port takes: in order as far as they go, and none is lost sight
 * of. */
static void many_segments_go_in_several_calls_and_the_rest_is_dropped(void)
{
	start(ALL);
	t.room = 1100;
	for (unsigned int i = 0; i < 20; i++)
		offer(kinds[0], 60000, GSO);
	CU_ASSERT_EQUAL(fwd_poll_offloads(&t.fx.path), 20);
	CU_ASSERT_EQUAL(t.nr_sent, 1100);
	CU_ASSERT_TRUE(t.nr_calls > 1);
	CU_ASSERT_EQUAL(t.fx.path.nr_packets, 1100);
	CU_ASSERT_EQUAL(t.fx.path.nr_segments, t.fx.path.nr_packets + t.fx.path.nr_full);
	CU_ASSERT_EQUAL(t.fx.path.nr_cut + t.fx.path.nr_undone, 20); /* some found no buffer */
	finish();
}

static void addresses_are_rewritten_before(void)
{
	static const uint8_t macs[12] = {0xd0, 0xd1, 0xd2, 0xd3, 0xd4, 0xd5, 0x50, 0x51, 0x52, 0x53, 0x54, 0x55};

	start(ALL);
	memcpy(t.fx.path.macs, macs, sizeof(macs));
	t.fx.path.edit_off = 6;
	offer(kinds[0], 2500, GSO);
	CU_ASSERT_EQUAL(fwd_poll_offloads(&t.fx.path), 1);
	CU_ASSERT_EQUAL(t.nr_sent, 3);
	for (unsigned int i = 0; i < t.nr_sent; i++) {
		const uint8_t *data = quoll_buf_data(t.sent[i]);

		CU_ASSERT(data[0] == 0x11 && data[5] == 0x11 && !memcmp(data + 6, macs + 6, 6));
	}
	finish();
}

static const struct unit_test tests[] = {
	{"checksums are filled in for a port that does not", checksums_are_filled_in_for_a_port_that_does_not},
	{"what the port does is handed on as it is", what_the_port_does_is_handed_on_as_it_is},
	{"what the other end does not take is done here", what_the_other_end_does_not_take_is_done_here},
	{"frames are cut up for a port that does not", frames_are_cut_up_for_a_port_that_does_not},
	{"frames beyond the limits of the port are cut up all the same",
	 frames_beyond_the_limits_of_the_port_are_cut_up_all_the_same},
	{"frames that lie are dropped and counted", frames_that_lie_are_dropped_and_counted},
	{"many segments go in several calls, and the rest is dropped",
	 many_segments_go_in_several_calls_and_the_rest_is_dropped},
	{"addresses are rewritten before", addresses_are_rewritten_before},
};

UNIT_MAIN("offloads of a forwarder", tests)
