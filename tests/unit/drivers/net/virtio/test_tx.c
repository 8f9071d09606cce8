/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_tx.c - transmit, on rings of both kinds.
 */
#include <unistd.h>

#include "../be16.h"
#include "unit.h"
#include "virtio_fixture.h"

#define ALL_TX (QUOLL_OFFLOAD_TX_L4_CSUM | QUOLL_OFFLOAD_TX_TSO)

static uint8_t frame[70000], back[70000];

static bool header_is_zero(const struct virtio_net_hdr *hdr)
{
	static const struct virtio_net_hdr none;

	return !memcmp(hdr, &none, sizeof(none));
}

static void frames_go_out_for_many_turns(bool packed)
{
	struct virtio_net_hdr hdr;
	struct vfx v;

	vfx_run(&v, packed, 0);
	for (unsigned int n = 0; n < 20 * VFX_ENTRIES;) {
		struct quoll_buf *bufs[31];
		unsigned int batch = 1 + n % 31;

		for (unsigned int i = 0; i < batch; i++) {
			frame_fill(frame, 60 + (n + i) % 1400, n + i);
			/* A descriptor each at first; later every third is a chain. */
			bufs[i] = vfx_buf(&v, frame, 60 + (n + i) % 1400,
					  n < 5 * VFX_ENTRIES || (n + i) % 3 ? 2000 : 500);
		}
		CU_ASSERT_EQUAL_FATAL(quoll_tx(&v.txq->q, bufs, batch), batch);
		for (unsigned int i = 0; i < batch; i++, n++) {
			frame_fill(frame, 60 + n % 1400, n);
			CU_ASSERT_EQUAL(fake_ring_sent(v.tx, &hdr, back, sizeof(back)), (int)(60 + n % 1400));
			CU_ASSERT_FALSE(memcmp(frame, back, 60 + n % 1400));
			CU_ASSERT(header_is_zero(&hdr));
		}
	}
	CU_ASSERT_EQUAL(vfx_stats(&v).tx_bad, 0);
	vfx_fini(&v);
}

static void what_does_not_fit_stays_the_callers(bool packed)
{
	struct quoll_buf *bufs[2 * VFX_ENTRIES];
	struct virtio_net_hdr hdr;
	unsigned int sent;
	struct vfx v;

	vfx_run(&v, packed, 0);
	frame_fill(frame, 60, 1);
	for (unsigned int i = 0; i < 2 * VFX_ENTRIES; i++)
		bufs[i] = vfx_buf(&v, frame, 60, i < 5 ? 20 : 60);
	sent = quoll_tx(&v.txq->q, bufs, 2 * VFX_ENTRIES);
	/* Five of four descriptors, the others of one. */
	CU_ASSERT_EQUAL(sent, VFX_ENTRIES - 5 * 3);
	CU_ASSERT_EQUAL(quoll_tx(&v.txq->q, bufs + sent, 1), 0);
	CU_ASSERT_EQUAL(fake_ring_sent(v.tx, &hdr, back, sizeof(back)), 60);
	CU_ASSERT_EQUAL(quoll_tx(&v.txq->q, bufs + sent, 5), 4);
	sent += 4;
	while (sent < 2 * VFX_ENTRIES) {
		while (fake_ring_sent(v.tx, &hdr, back, sizeof(back)) == 60)
			;
		sent += quoll_tx(&v.txq->q, bufs + sent, 2 * VFX_ENTRIES - sent);
	}
	CU_ASSERT_EQUAL(vfx_stats(&v).tx_packets, 2 * VFX_ENTRIES);
	vfx_fini(&v);
}

static void frames_may_be_finished_in_any_order(bool packed)
{
	struct vfx v;
	unsigned int nr_sent = 0, nr_free;

	vfx_run(&v, packed, 0);
	frame_fill(frame, 300, 1);
	for (unsigned int turn = 0; turn < 100; turn++) {
		struct fake_chain chains[16];
		struct quoll_buf *bufs[16];
		unsigned int some = 1 + turn % 16;

		for (unsigned int i = 0; i < some; i++)
			bufs[i] = vfx_buf(&v, frame, 300, (turn + i) % 4 ? 300 : 150);
		CU_ASSERT_EQUAL_FATAL(quoll_tx(&v.txq->q, bufs, some), some);
		for (unsigned int i = 0; i < some; i++)
			CU_ASSERT_TRUE_FATAL(fake_ring_pop(v.tx, &chains[i]));
		for (unsigned int i = some; i; i--)
			fake_ring_push(v.tx, &(struct fake_used){chains[i - 1].id, 0, chains[i - 1].nr}, 1);
		nr_sent += some;
	}
	CU_ASSERT_EQUAL(vfx_stats(&v).tx_packets, nr_sent);
	CU_ASSERT_EQUAL(v.txq->broken, 0);
	/* All are finished, and come back with the next frames that make somebody look. */
	nr_free = quoll_pool_nr_free(v.f.pool);
	for (unsigned int i = 0; i < VFX_ENTRIES; i++) {
		struct quoll_buf *buf = vfx_buf(&v, frame, 300, 300);

		if (!quoll_tx(&v.txq->q, &buf, 1))
			vfx_put(&v, buf);
	}
	CU_ASSERT(quoll_pool_nr_free(v.f.pool) + VFX_ENTRIES >= nr_free);
	CU_ASSERT_EQUAL(quoll_pool_nr_free(v.f.pool), FIX_BUFS - 2 * VFX_ENTRIES);
	vfx_fini(&v);
}

static void checksums_are_the_devices(bool packed)
{
	struct virtio_net_hdr hdr;
	struct quoll_buf *buf;
	struct vfx v;

	vfx_run(&v, packed, QUOLL_OFFLOAD_TX_L4_CSUM);
	frame_fill(frame, 100, 1);
	for (unsigned int udp = 0; udp < 2; udp++) {
		buf = vfx_buf(&v, frame, 100, 100);
		buf->flags = udp ? QUOLL_BUF_TX_UDP_CSUM : QUOLL_BUF_TX_TCP_CSUM;
		buf->l2_bytes = 14;
		buf->l3_bytes = 24;
		CU_ASSERT_EQUAL(quoll_tx(&v.txq->q, &buf, 1), 1);
		CU_ASSERT_EQUAL(fake_ring_sent(v.tx, &hdr, back, sizeof(back)), 100);
		CU_ASSERT_FALSE(memcmp(frame, back, 100));
		CU_ASSERT_EQUAL(hdr.flags, VIRTIO_NET_HDR_NEEDS_CSUM);
		CU_ASSERT_EQUAL(hdr.gso_type, VIRTIO_NET_GSO_NONE);
		CU_ASSERT_EQUAL(hdr.csum_start, 38);
		CU_ASSERT_EQUAL(hdr.csum_offset, udp ? 6 : 16);
	}
	vfx_fini(&v);
}

static void a_frame_to_be_cut_up_has_whole_headers(bool packed)
{
	struct virtio_net_hdr hdr;
	struct vfx v;

	vfx_run(&v, packed, ALL_TX);
	for (unsigned int v6 = 0; v6 < 2; v6++) {
		uint32_t l3 = v6 ? 40 : 20, pseudo = 0x1234, len = 20000;
		struct quoll_buf *buf;

		frame_fill(frame, len, v6);
		frame[14 + l3 + 16] = (uint8_t)(pseudo >> 8);
		frame[14 + l3 + 17] = (uint8_t)pseudo;
		buf = vfx_buf(&v, frame, len, 1900);
		buf->flags = QUOLL_BUF_TX_TSO | QUOLL_BUF_TX_TCP_CSUM | (v6 ? 0 : QUOLL_BUF_TX_IP_CSUM);
		buf->l2_bytes = 14;
		buf->l3_bytes = (uint16_t)l3;
		buf->l4_bytes = 32;
		buf->mss = 1448;
		CU_ASSERT_EQUAL(quoll_tx(&v.txq->q, &buf, 1), 1);
		CU_ASSERT_EQUAL(fake_ring_sent(v.tx, &hdr, back, sizeof(back)), (int)len);
		CU_ASSERT_EQUAL(hdr.gso_type, v6 ? VIRTIO_NET_GSO_TCPV6 : VIRTIO_NET_GSO_TCPV4);
		CU_ASSERT_EQUAL(hdr.gso_bytes, 1448);
		CU_ASSERT_EQUAL(hdr.hdr_bytes, 14 + l3 + 32);
		CU_ASSERT_EQUAL(hdr.csum_start, 14 + l3);
		CU_ASSERT_EQUAL(sum16(back + 14 + l3 + 16, 2, 0), sum16(NULL, 0, pseudo + len - 14 - l3));
		if (!v6)
			CU_ASSERT_EQUAL(sum16(back + 14, l3, 0), 0xffff);
		CU_ASSERT_FALSE(memcmp(frame + 14 + l3 + 18, back + 14 + l3 + 18, len - 14 - l3 - 18));
	}
	CU_ASSERT_EQUAL(vfx_stats(&v).tx_bad, 0);
	vfx_fini(&v);
}

static void what_cannot_be_sent_is_dropped(bool packed)
{
	static const struct {
		uint32_t bytes;
		uint32_t flags;
		uint16_t l3;
		uint8_t l2, l4;
		uint16_t mss;
	} bad[] = {
		{13, 0, 0, 0, 0, 0},
		{1519, 0, 0, 0, 0, 0},
		{60, QUOLL_BUF_TX_VLAN, 0, 0, 0, 0},
		{60, QUOLL_BUF_TX_IP_CSUM, 20, 14, 0, 0},
		{60, QUOLL_BUF_TX_TCP_CSUM | QUOLL_BUF_TX_UDP_CSUM, 20, 14, 0, 0},
		{60, QUOLL_BUF_TX_TCP_CSUM, 40, 14, 0, 0},
		{60, QUOLL_BUF_TX_TCP_CSUM, 20, 13, 0, 0},
		{60, QUOLL_BUF_TX_TCP_CSUM | QUOLL_BUF_TX_IP_CSUM, 20, 14, 0, 0},
		{900, QUOLL_BUF_TX_TSO, 20, 14, 20, 100},
		{900, QUOLL_BUF_TX_TSO | QUOLL_BUF_TX_TCP_CSUM, 20, 14, 20, 0},
		{900, QUOLL_BUF_TX_TSO | QUOLL_BUF_TX_TCP_CSUM, 20, 14, 4, 100},
		{900, QUOLL_BUF_TX_TSO | QUOLL_BUF_TX_TCP_CSUM | QUOLL_BUF_TX_IP_CSUM, 16, 14, 20, 100},
		{900, QUOLL_BUF_TX_TSO | QUOLL_BUF_TX_TCP_CSUM, 800, 14, 200, 100},
	};
	const unsigned int nr = sizeof(bad) / sizeof(bad[0]);
	struct virtio_net_hdr hdr;
	struct quoll_buf *buf;
	struct vfx v;

	vfx_run(&v, packed, ALL_TX);
	for (unsigned int i = 0; i < nr; i++) {
		frame_fill(frame, bad[i].bytes, 1);
		buf = vfx_buf(&v, frame, bad[i].bytes, 1800);
		buf->flags = bad[i].flags;
		buf->l2_bytes = bad[i].l2;
		buf->l3_bytes = bad[i].l3;
		buf->l4_bytes = bad[i].l4;
		buf->mss = bad[i].mss;
		CU_ASSERT_EQUAL(quoll_tx(&v.txq->q, &buf, 1), 1);
		CU_ASSERT_EQUAL(vfx_stats(&v).tx_bad, i + 1);
		CU_ASSERT_EQUAL(fake_ring_sent(v.tx, &hdr, back, sizeof(back)), -1);
	}
	/* Chains that do not add up. */
	buf = vfx_buf(&v, frame, 300, 100);
	buf->nr_links = 4;
	CU_ASSERT_EQUAL(quoll_tx(&v.txq->q, &buf, 1), 1);
	buf = vfx_buf(&v, frame, 300, 100);
	buf->total_bytes = 299;
	CU_ASSERT_EQUAL(quoll_tx(&v.txq->q, &buf, 1), 1);
	CU_ASSERT_EQUAL(vfx_stats(&v).tx_bad, nr + 2);
	CU_ASSERT_EQUAL(vfx_stats(&v).tx_packets, 0);
	vfx_fini(&v);
}

static void a_frame_without_headroom_goes_out_all_the_same(bool packed)
{
	struct virtio_net_hdr hdr;
	struct quoll_buf *buf;
	struct vfx v;

	vfx_run(&v, packed, 0);
	CU_ASSERT_EQUAL_FATAL(quoll_buf_get(v.f.caches[0], &buf, 1), 0);
	buf->data_off = 4;
	buf->data_bytes = buf->total_bytes = 60;
	frame_fill(quoll_buf_data(buf), 60, 9);
	frame_fill(frame, 60, 9);
	CU_ASSERT_EQUAL(quoll_tx(&v.txq->q, &buf, 1), 1);
	CU_ASSERT_EQUAL(fake_ring_sent(v.tx, &hdr, back, sizeof(back)), 60);
	CU_ASSERT(header_is_zero(&hdr));
	CU_ASSERT_FALSE(memcmp(frame, back, 60));
	vfx_fini(&v);
}

static void one_kick_a_batch_if_it_is_wanted(bool packed)
{
	struct virtio_net_hdr hdr;
	struct quoll_buf *bufs[8];
	uint64_t kicks;
	struct vfx v;

	for (unsigned int event_idx = 0; event_idx < 2; event_idx++) {
		vfx_run_without(&v, event_idx ? 0 : VIRTIO_F_EVENT_IDX, packed, 0);
		for (unsigned int turn = 0; turn < 3 * VFX_ENTRIES / 8; turn++) {
			kicks = 0;
			fake_ring_want_kicks(v.tx, turn & 1);
			for (unsigned int i = 0; i < 8; i++)
				bufs[i] = vfx_buf(&v, frame, 60, 60);
			CU_ASSERT_EQUAL(quoll_tx(&v.txq->q, bufs, 8), 8);
			CU_ASSERT_EQUAL(read(v.be.kick_fds[1], &kicks, sizeof(kicks)) > 0, turn & 1);
			CU_ASSERT_EQUAL(kicks, turn & 1);
			while (fake_ring_sent(v.tx, &hdr, back, sizeof(back)) >= 0)
				;
		}
		vfx_fini(&v);
	}
}

BOTH(frames_go_out_for_many_turns)
BOTH(what_does_not_fit_stays_the_callers)
BOTH(frames_may_be_finished_in_any_order)
BOTH(checksums_are_the_devices)
BOTH(a_frame_to_be_cut_up_has_whole_headers)
BOTH(what_cannot_be_sent_is_dropped)
BOTH(a_frame_without_headroom_goes_out_all_the_same)
BOTH(one_kick_a_batch_if_it_is_wanted)

static const struct unit_test tests[] = {
	{"split: frames go out for many turns", frames_go_out_for_many_turns_split},
	{"packed: frames go out for many turns", frames_go_out_for_many_turns_packed},
	{"split: what does not fit stays the caller's", what_does_not_fit_stays_the_callers_split},
	{"packed: what does not fit stays the caller's", what_does_not_fit_stays_the_callers_packed},
	{"split: frames may be finished in any order", frames_may_be_finished_in_any_order_split},
	{"packed: frames may be finished in any order", frames_may_be_finished_in_any_order_packed},
	{"split: checksums are the device's", checksums_are_the_devices_split},
	{"packed: checksums are the device's", checksums_are_the_devices_packed},
	{"split: a frame to be cut up has whole headers", a_frame_to_be_cut_up_has_whole_headers_split},
	{"packed: a frame to be cut up has whole headers", a_frame_to_be_cut_up_has_whole_headers_packed},
	{"split: what cannot be sent is dropped", what_cannot_be_sent_is_dropped_split},
	{"packed: what cannot be sent is dropped", what_cannot_be_sent_is_dropped_packed},
	{"split: a frame without headroom goes out all the same", a_frame_without_headroom_goes_out_all_the_same_split},
	{"packed: a frame without headroom goes out all the same",
	 a_frame_without_headroom_goes_out_all_the_same_packed},
	{"split: one kick a batch, if it is wanted", one_kick_a_batch_if_it_is_wanted_split},
	{"packed: one kick a batch, if it is wanted", one_kick_a_batch_if_it_is_wanted_packed},
};

UNIT_MAIN("virtio tx", tests)
