/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_net_segment.c - TCP frames cut up in software: put together again they are the frame, each segment is right.
 */
#include <net/net_soft.h>

#include "frames.h"
#include "net_fixture.h"
#include "segments.h"
#include "soft_frames.h"

#define MAX_OUT 512u
#define ALL (QUOLL_OFFLOAD_TX_CSUM | QUOLL_OFFLOAD_TX_TSO | QUOLL_OFFLOAD_VLAN_INSERT)
#define FIN 0x01u
#define SYN 0x02u
#define PSH 0x08u
#define ACK 0x10u
#define ECE 0x40u
#define CWR 0x80u

static uint8_t whole_bytes[SEGMENT_MAX_BYTES];

/* The headers of a frame that Linux sent, other flags, so much payload. */
static struct whole make_whole(bool v6, uint32_t payload, uint32_t mss, uint8_t flags)
{
	const uint8_t *headers = v6 ? frame_tcp6 : frame_tcp4;
	struct whole w = {.data = whole_bytes, .l3 = 14, .l4 = v6 ? 54 : 34, .payload = v6 ? 94 : 74, .mss = mss};

	memcpy(whole_bytes, headers, w.payload);
	for (uint32_t i = 0; i < payload; i++)
		whole_bytes[w.payload + i] = (uint8_t)(i * 7 + i / 251);
	w.bytes = w.payload + payload;
	whole_bytes[w.l4 + 13] = flags;
	memset(whole_bytes + w.l4 + 4, 0xff, 3); /* the sequence number wraps around */
	if (v6)
		return w;
	whole_bytes[w.l3 + 4] = whole_bytes[w.l3 + 5] = 0xff; /* and so does the ID */
	whole_bytes[w.l3 + 10] = whole_bytes[w.l3 + 11] = 0;
	return w;
}

/* In links of @step bytes, asking to be cut up. */
static struct quoll_buf *asking(struct fix *f, const struct whole *w, uint32_t step)
{
	bool v6 = w->data[w->l3] >> 4 == 6;
	uint32_t sum = seg_sum(6, w->data + w->l3 + (v6 ? 8 : 12), v6 ? 32 : 8);
	struct quoll_buf *buf;

	whole_bytes[w->l4 + 16] = (uint8_t)(sum >> 8);
	whole_bytes[w->l4 + 17] = (uint8_t)sum;
	buf = soft_frame(f->caches[0], w->data, w->bytes, step);
	CU_ASSERT_PTR_NOT_NULL_FATAL(buf);
	buf->flags = QUOLL_BUF_TX_TSO | QUOLL_BUF_TX_TCP_CSUM | (v6 ? 0 : QUOLL_BUF_TX_IP_CSUM);
	buf->l2_bytes = (uint8_t)w->l3;
	buf->l3_bytes = (uint16_t)(w->l4 - w->l3);
	buf->l4_bytes = (uint8_t)(w->payload - w->l4);
	buf->mss = (uint16_t)w->mss;
	return buf;
}

static void put_all(struct fix *f, struct quoll_buf **out, int n)
{
	for (int i = 0; i < n; i++)
		quoll_buf_put_chain(f->caches[0], out[i]);
}

static void check(struct fix *f, const struct whole *w, uint32_t step, int expected)
{
	struct quoll_buf *out[MAX_OUT], *buf = asking(f, w, step);
	int n = quoll_soft_tx(ALL, f->caches[0], buf, out, MAX_OUT);
	const char *wrong;

	CU_ASSERT_EQUAL_FATAL(n, expected);
	wrong = segments_check(w, out, (unsigned int)n, w->data[w->l3] >> 4 == 4, true);
	if (wrong)
		fprintf(stderr, "mss %u, links of %u: %s\n", w->mss, step, wrong);
	CU_ASSERT_PTR_NULL(wrong);
	for (int i = 0; i < n; i++)
		CU_ASSERT_EQUAL(out[i]->flags, 0);
	put_all(f, out, n);
	CU_ASSERT_EQUAL(quoll_pool_nr_free(f->pool), FIX_BUFS);
}

static void segments_together_are_the_frame(void)
{
	static const uint32_t payloads[] = {0, 1, 99, 100, 101, 200, 4321, 65000};
	struct fix f;

	fix_open(&f);
	for (int v6 = 0; v6 < 2; v6++)
		for (size_t i = 0; i < sizeof(payloads) / sizeof(payloads[0]); i++) {
			uint32_t n = payloads[i], mss = n > 10000 ? 1448 : 100;
			struct whole w = make_whole(v6, n, mss, ACK | PSH | FIN | ECE | CWR);

			check(&f, &w, 1900, n ? (int)((n + mss - 1) / mss) : 1);
		}
	fix_close(&f);
}

static void links_may_end_anywhere(void)
{
	struct fix f;

	fix_open(&f);
	for (int v6 = 0; v6 < 2; v6++) {
		struct whole w = make_whole(v6, 1000, 333, ACK | PSH);

		for (uint32_t step = 1; step < 200; step++)
			check(&f, &w, step, 4);
	}
	fix_close(&f);
}

static void flags_go_to_the_segments_that_they_belong_to(void)
{
	static const uint8_t expected[] = {ACK | CWR, ACK, ACK | PSH | FIN};
	struct whole w = make_whole(false, 250, 100, ACK | PSH | FIN | CWR);
	struct quoll_buf *out[MAX_OUT];
	struct fix f;

	fix_open(&f);
	CU_ASSERT_EQUAL_FATAL(quoll_soft_tx(ALL, f.caches[0], asking(&f, &w, 500), out, MAX_OUT), 3);
	for (int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(((uint8_t *)quoll_buf_data(out[i]))[w.l4 + 13], expected[i]);
	put_all(&f, out, 3);
	fix_close(&f);
}

static void segments_longer_than_buffers_are_chains(void)
{
	struct fix f;

	fix_open_with(&f, FIX_BUFS, 256);
	for (int v6 = 0; v6 < 2; v6++) {
		struct whole w = make_whole(v6, 20000, 8900, ACK);

		check(&f, &w, 100, 3);
	}
	fix_close(&f);
}

static void the_rest_is_left_to_the_port(void)
{
	static const uint32_t missing[] = {QUOLL_OFFLOAD_TX_TSO, QUOLL_OFFLOAD_TX_TSO | QUOLL_OFFLOAD_TX_IP_CSUM,
					   QUOLL_OFFLOAD_TX_TSO | QUOLL_OFFLOAD_TX_L4_CSUM};
	struct quoll_buf *out[MAX_OUT], *buf;
	struct fix f;

	fix_open(&f);
	for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++) {
		struct whole w = make_whole(false, 1000, 400, ACK);
		bool ip = missing[i] & QUOLL_OFFLOAD_TX_IP_CSUM, l4 = missing[i] & QUOLL_OFFLOAD_TX_L4_CSUM;

		buf = asking(&f, &w, 300);
		buf->flags |= QUOLL_BUF_TX_VLAN;
		buf->vlan_tci = 7;
		CU_ASSERT_EQUAL_FATAL(quoll_soft_tx(missing[i], f.caches[0], buf, out, MAX_OUT), 3);
		CU_ASSERT_PTR_NULL(segments_check(&w, out, 3, ip, l4));
		for (int k = 0; k < 3; k++) {
			CU_ASSERT_EQUAL(out[k]->flags, QUOLL_BUF_TX_VLAN | (ip ? 0 : QUOLL_BUF_TX_IP_CSUM) |
							       (l4 ? 0 : QUOLL_BUF_TX_TCP_CSUM));
			CU_ASSERT_EQUAL(out[k]->vlan_tci, 7);
			CU_ASSERT_EQUAL(out[k]->l2_bytes, 14);
			CU_ASSERT_EQUAL(out[k]->l3_bytes, 20);
			CU_ASSERT_EQUAL(out[k]->l4_bytes, 40);
		}
		put_all(&f, out, 3);
	}
	fix_close(&f);
}

static void frames_that_the_port_cuts_up_stay_whole(void)
{
	struct whole w = make_whole(true, 1000, 400, ACK);
	struct quoll_buf *out[MAX_OUT], *buf;
	uint32_t flags;
	struct fix f;

	fix_open(&f);
	buf = asking(&f, &w, 300);
	flags = buf->flags;
	CU_ASSERT_EQUAL(quoll_soft_tx(QUOLL_OFFLOAD_TX_TSO4 | QUOLL_OFFLOAD_TX_CSUM, f.caches[0], buf, out, MAX_OUT),
			1);
	CU_ASSERT_PTR_EQUAL(out[0], buf);
	CU_ASSERT_EQUAL(buf->flags, flags);
	CU_ASSERT_EQUAL(quoll_soft_tx(QUOLL_OFFLOAD_TX_TSO6, f.caches[0], buf, out, MAX_OUT), 3);
	put_all(&f, out, 3);
	fix_close(&f);
}

static void tags_are_in_every_segment(void)
{
	struct whole w = make_whole(false, 1000, 400, ACK);
	struct quoll_buf *out[MAX_OUT], *buf;
	struct fix f;

	fix_open(&f);
	buf = asking(&f, &w, 300);
	buf->flags |= QUOLL_BUF_TX_VLAN;
	buf->vlan_tci = 0x123;
	CU_ASSERT_EQUAL_FATAL(quoll_soft_tx(ALL, f.caches[0], buf, out, MAX_OUT), 3);
	for (int i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(memcmp((uint8_t *)quoll_buf_data(out[i]) + 12, "\x81\x00\x01\x23\x08\x00", 6), 0);
		quoll_soft_rx(QUOLL_OFFLOAD_VLAN_STRIP, &out[i], 1);
		out[i]->flags = 0;
	}
	CU_ASSERT_PTR_NULL(segments_check(&w, out, 3, true, true));
	put_all(&f, out, 3);
	fix_close(&f);
}

/* A peer's frame that is not cut up yet, on its way to a port that cannot. */
static void frames_of_a_peer_are_passed_on_in_segments(void)
{
	struct quoll_buf *out[MAX_OUT], *buf;
	struct fix f;

	fix_open(&f);
	for (int v6 = 0; v6 < 2; v6++) {
		struct whole w = make_whole(v6, 3000, 1000, ACK | PSH);
		uint32_t bytes = w.bytes - (v6 ? 54 : 14);

		whole_bytes[w.l3 + (v6 ? 4 : 2)] = (uint8_t)(bytes >> 8);
		whole_bytes[w.l3 + (v6 ? 5 : 3)] = (uint8_t)bytes;
		buf = asking(&f, &w, 700);
		buf->flags = QUOLL_BUF_RX_L4_PARTIAL | QUOLL_BUF_RX_GSO;
		buf->hash = 0;
		((uint8_t *)quoll_buf_data(buf))[w.l4 + 16] = 0x55; /* whatever sum it left */
		CU_ASSERT_EQUAL_FATAL(quoll_soft_pass(buf), 0);
		CU_ASSERT_EQUAL_FATAL(quoll_soft_tx(ALL, f.caches[0], buf, out, MAX_OUT), 3);
		CU_ASSERT_PTR_NULL(segments_check(&w, out, 3, !v6, true));
		put_all(&f, out, 3);
	}
	fix_close(&f);
}

static void failure_changes_nothing(void)
{
	struct whole w = make_whole(false, 1000, 400, ACK);
	struct quoll_buf *out[MAX_OUT], *buf, *rest[64];
	struct fix f;

	fix_open_with(&f, 20, 512);
	buf = asking(&f, &w, 300);
	CU_ASSERT_EQUAL(quoll_soft_tx(ALL, f.caches[0], buf, out, 2), -ENOSPC);
	CU_ASSERT_EQUAL(quoll_pool_nr_free(f.pool), 16);
	for (unsigned int left = 0; left < 6; left++) { /* segments of 2, 2 and 1 links */
		CU_ASSERT_EQUAL_FATAL(quoll_buf_get(f.caches[0], rest, 16 - left), 0);
		CU_ASSERT_EQUAL(quoll_soft_tx(ALL, f.caches[0], buf, out, MAX_OUT), left < 5 ? -ENOBUFS : 3);
		CU_ASSERT_EQUAL(quoll_pool_nr_free(f.pool), left < 5 ? left : left + 4 - 5);
		quoll_buf_put(f.caches[0], rest, 16 - left);
	}
	CU_ASSERT_PTR_NULL(segments_check(&w, out, 3, true, true));
	put_all(&f, out, 3);
	fix_close(&f);
}

/* One thing wrong at a time. */
static void spoil(struct quoll_buf *buf, unsigned int what)
{
	uint8_t *data = quoll_buf_data(buf);

	switch (what) {
	case 0:
		buf->mss = 0;
		break;
	case 1:
		buf->l4_bytes = 19;
		break;
	case 2:
		buf->l4_bytes = 44; /* the header says 40 */
		break;
	case 3:
		buf->flags &= ~QUOLL_BUF_TX_TCP_CSUM;
		break;
	case 4:
		data[14 + 20 + 13] |= SYN;
		break;
	case 5:
		buf->l3_bytes = 65000;
		break;
	case 6:
		buf->total_bytes += 1; /* than there are in its links */
		break;
	case 7:
		buf->l2_bytes = 200;
		break;
	default:
		data[14] = 0x55;
	}
}

static void what_is_no_tcp_frame_is_refused(void)
{
	struct quoll_buf *out[MAX_OUT];
	struct fix f;

	fix_open(&f);
	for (unsigned int what = 0; what < 9; what++) {
		struct whole w = make_whole(false, 1000, 400, ACK);
		struct quoll_buf *buf = asking(&f, &w, 300);

		spoil(buf, what);
		CU_ASSERT_EQUAL(quoll_soft_tx(ALL, f.caches[0], buf, out, MAX_OUT), -EINVAL);
		quoll_buf_put_chain(f.caches[0], buf);
		CU_ASSERT_EQUAL(quoll_pool_nr_free(f.pool), FIX_BUFS);
	}
	fix_close(&f);
}

static void segments_that_no_length_field_holds_are_refused(void)
{
	struct quoll_buf *out[MAX_OUT], *buf;
	struct whole w;
	struct fix f;

	fix_open(&f);
	w = make_whole(false, 65535, 65476, ACK);
	buf = asking(&f, &w, 1900);
	CU_ASSERT_EQUAL(quoll_soft_tx(ALL, f.caches[0], buf, out, MAX_OUT), -EINVAL);
	buf->mss = 65475; /* 60 bytes of headers: 65535 with them */
	CU_ASSERT_EQUAL(quoll_soft_tx(ALL, f.caches[0], buf, out, MAX_OUT), 2);
	w.mss = 65475;
	CU_ASSERT_PTR_NULL(segments_check(&w, out, 2, true, true));
	put_all(&f, out, 2);
	fix_close(&f);
}

static const struct unit_test tests[] = {
	{"segments put together are the frame, IPv4 and IPv6", segments_together_are_the_frame},
	{"links may end anywhere, in headers too", links_may_end_anywhere},
	{"flags go to the segments that they belong to", flags_go_to_the_segments_that_they_belong_to},
	{"segments longer than buffers are chains", segments_longer_than_buffers_are_chains},
	{"the rest is left to the port", the_rest_is_left_to_the_port},
	{"frames that the port cuts up stay whole", frames_that_the_port_cuts_up_stay_whole},
	{"tags are in every segment", tags_are_in_every_segment},
	{"frames of a peer are passed on in segments", frames_of_a_peer_are_passed_on_in_segments},
	{"failure changes nothing and gives all back", failure_changes_nothing},
	{"what is no TCP frame is refused", what_is_no_tcp_frame_is_refused},
	{"segments that no length field holds are refused", segments_that_no_length_field_holds_are_refused},
};

UNIT_MAIN("drivers/net/net_segment", tests)
