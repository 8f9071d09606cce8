/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_rx.c - receive, on rings of both kinds.
 */
#include <unistd.h>

#include "../partial_frames.h"
#include "unit.h"
#include "virtio_fixture.h"

#define ALL_RX (QUOLL_OFFLOAD_RX_L4_CSUM | QUOLL_OFFLOAD_RX_SCATTER | QUOLL_OFFLOAD_RX_GSO)

static uint8_t frame[70000];

static void frames_come_in_for_many_turns(bool packed)
{
	struct quoll_buf *bufs[32];
	struct vfx v;

	vfx_run(&v, packed, 0);
	for (unsigned int n = 0; n < 40 * VFX_ENTRIES;) {
		unsigned int batch = 1 + n % 31, got = 0;

		for (unsigned int i = 0; i < batch; i++) {
			frame_fill(frame, 60 + (n + i) % 1400, n + i);
			CU_ASSERT_TRUE_FATAL(fake_ring_receive(v.rx, NULL, frame, 60 + (n + i) % 1400));
		}
		for (unsigned int polls = 0; got < batch && polls < 3; polls++)
			got += quoll_rx(&v.rxq->q, bufs + got, 32 - got);
		CU_ASSERT_EQUAL_FATAL(got, batch);
		for (unsigned int i = 0; i < got; i++) {
			frame_fill(frame, 60 + (n + i) % 1400, n + i);
			CU_ASSERT(chain_is(bufs[i], frame, 60 + (n + i) % 1400));
			CU_ASSERT_EQUAL(bufs[i]->port, v.rxq->q.port_id);
			CU_ASSERT_EQUAL(bufs[i]->flags, 0);
			vfx_put(&v, bufs[i]);
		}
		n += batch;
	}
	CU_ASSERT_EQUAL(vfx_stats(&v).rx_bad + vfx_stats(&v).rx_no_buf, 0);
	CU_ASSERT_EQUAL(v.be.nr_regions, v.be.nr_regions ? v.be.nr_regions : 1);
	vfx_fini(&v);
}

/* Whole turns of it. */
static void buffers_may_come_back_in_any_order(bool packed)
{
	struct vfx v;
	unsigned int got = 0, sent = 0;

	vfx_run(&v, packed, 0);
	for (unsigned int turn = 0; turn < 200; turn++) {
		struct fake_chain chains[VFX_ENTRIES];
		struct quoll_buf *bufs[VFX_ENTRIES];
		unsigned int n = 0, some = 1 + turn * 7 % 16, back;

		while (n < some && fake_ring_pop(v.rx, &chains[n]))
			n++;
		CU_ASSERT_EQUAL_FATAL(n, some);
		for (unsigned int i = 0; i < n; i++) {
			struct fake_chain *chain = &chains[turn & 1 ? n - 1 - i : (i * 5 + turn) % n];

			/* Each once: 5 may share a factor with n, then in order. */
			if (!(turn & 1) && n % 5 == 0)
				chain = &chains[i];
			memset(chain->segs[0].va, 0, 12);
			frame_fill(chain->segs[0].va + 12, 100, sent++);
			fake_ring_push(v.rx, &(struct fake_used){chain->id, 112, 1}, 1);
		}
		back = quoll_rx(&v.rxq->q, bufs, VFX_ENTRIES);
		CU_ASSERT_EQUAL_FATAL(back, n);
		for (unsigned int i = 0; i < back; i++) {
			frame_fill(frame, 100, got++);
			CU_ASSERT(chain_is(bufs[i], frame, 100));
			vfx_put(&v, bufs[i]);
		}
	}
	CU_ASSERT_EQUAL(vfx_stats(&v).rx_packets, got);
	CU_ASSERT_EQUAL(vfx_stats(&v).rx_bad, 0);
	vfx_fini(&v);
}

static void long_frames_come_as_chains(bool packed)
{
	struct quoll_buf *buf;
	struct vfx v;

	vfx_run(&v, packed, ALL_RX);
	CU_ASSERT(v.be.agreed & VIRTIO_NET_F_MRG_RXBUF);
	for (uint32_t n = 0; n < 3 * VFX_ENTRIES; n++) {
		struct virtio_net_hdr hdr = {.flags = VIRTIO_NET_HDR_NEEDS_CSUM,
					     .gso_type = n & 1 ? VIRTIO_NET_GSO_TCPV4 : VIRTIO_NET_GSO_TCPV6,
					     .gso_bytes = 1400,
					     .csum_start = 34,
					     .csum_offset = 16};
		uint32_t len = 3000 + n * 97 % 60000;

		hdr.nr_bufs = (uint16_t)((len + 12 + (FIX_BUF_BYTES - 128 + 12) - 1) / (FIX_BUF_BYTES - 128 + 12));
		frame_fill(frame, len, n);
		partial_frame(frame, len, 6);
		buf = vfx_pass(&v, &hdr, frame, len);
		CU_ASSERT(chain_is(buf, frame, len));
		CU_ASSERT_EQUAL_FATAL(buf->nr_links, hdr.nr_bufs);
		CU_ASSERT_EQUAL(buf->flags, QUOLL_BUF_RX_L4_PARTIAL | QUOLL_BUF_RX_GSO);
		CU_ASSERT_EQUAL(buf->mss, 1400);
		vfx_put(&v, buf);
	}
	vfx_fini(&v);
}

static void checksum_states_are_told(bool packed)
{
	const struct virtio_net_hdr valid = {.flags = VIRTIO_NET_HDR_DATA_VALID, .nr_bufs = 1};
	const struct virtio_net_hdr partial = {
		.flags = VIRTIO_NET_HDR_NEEDS_CSUM, .csum_start = 34, .csum_offset = 6, .nr_bufs = 1};
	const struct virtio_net_hdr inner = {.flags = VIRTIO_NET_HDR_NEEDS_CSUM,
					     .csum_start = PARTIAL_INNER_L4,
					     .csum_offset = PARTIAL_TCP_FIELD,
					     .nr_bufs = 1};
	struct quoll_buf *buf;
	struct vfx v;

	vfx_run(&v, packed, QUOLL_OFFLOAD_RX_L4_CSUM);
	CU_ASSERT_FALSE(v.be.agreed & (VIRTIO_NET_F_GUEST_TSO4 | VIRTIO_NET_F_MRG_RXBUF));
	frame_fill(frame, 100, 1);
	buf = vfx_pass(&v, &valid, frame, 100);
	CU_ASSERT(chain_is(buf, frame, 100));
	CU_ASSERT_EQUAL(buf->flags, QUOLL_BUF_RX_L4_GOOD);
	vfx_put(&v, buf);
	partial_frame(frame, 100, 17);
	buf = vfx_pass(&v, &partial, frame, 100);
	CU_ASSERT(chain_is(buf, frame, 100));
	CU_ASSERT_EQUAL(buf->flags, QUOLL_BUF_RX_L4_PARTIAL);
	vfx_put(&v, buf);
	/* In a tunnel: nobody else would fill it in. */
	partial_tunnel(frame, 120);
	buf = vfx_pass(&v, &inner, frame, 120);
	CU_ASSERT_FATAL(buf && buf->total_bytes == 120);
	CU_ASSERT_EQUAL(buf->flags, 0);
	CU_ASSERT(memcmp((uint8_t *)quoll_buf_data(buf) + PARTIAL_INNER_L4 + PARTIAL_TCP_FIELD,
			 frame + PARTIAL_INNER_L4 + PARTIAL_TCP_FIELD, 2) != 0);
	vfx_put(&v, buf);
	buf = vfx_pass(&v, NULL, frame, 100);
	CU_ASSERT_EQUAL(buf->flags, 0);
	vfx_put(&v, buf);
	vfx_fini(&v);
}

static void without_buffers_nothing_is_lost_but_counted(bool packed)
{
	struct quoll_buf *held[FIX_BUFS], *bufs[VFX_ENTRIES];
	unsigned int nr_held = 0, got;
	struct vfx v;

	vfx_run(&v, packed, 0);
	while (!quoll_buf_get(v.f.caches[0], &held[nr_held], 1))
		nr_held++;
	frame_fill(frame, 60, 1);
	for (unsigned int i = 0; i < VFX_ENTRIES; i++)
		CU_ASSERT(fake_ring_receive(v.rx, NULL, frame, 60));
	CU_ASSERT_FALSE(fake_ring_receive(v.rx, NULL, frame, 60));
	got = quoll_rx(&v.rxq->q, bufs, VFX_ENTRIES);
	CU_ASSERT_EQUAL(got, VFX_ENTRIES);
	CU_ASSERT(vfx_stats(&v).rx_no_buf > 0);
	CU_ASSERT_FALSE(fake_ring_receive(v.rx, NULL, frame, 60));
	/* A few, fewer than a batch, are posted all the same. */
	quoll_buf_put(v.f.caches[0], bufs, 3);
	quoll_buf_put(v.f.caches[0], held, nr_held);
	CU_ASSERT_EQUAL(quoll_rx(&v.rxq->q, bufs, 1), 0);
	for (unsigned int i = 0; i < VFX_ENTRIES; i++)
		CU_ASSERT(fake_ring_receive(v.rx, NULL, frame, 60));
	quoll_buf_put(v.f.caches[0], bufs + 3, VFX_ENTRIES - 3);
	vfx_fini(&v);
}

static void the_device_is_kicked_only_if_it_wants(bool packed)
{
	struct quoll_buf *bufs[32];
	uint64_t kicks;
	struct vfx v;

	for (unsigned int event_idx = 0; event_idx < 2; event_idx++) {
		vfx_run_without(&v, event_idx ? 0 : VIRTIO_F_EVENT_IDX, packed, 0);
		for (unsigned int want = 0; want < 6; want++) {
			while (read(v.be.kick_fds[0], &kicks, sizeof(kicks)) > 0)
				;
			frame_fill(frame, 60, 1);
			for (unsigned int i = 0; i < VFX_ENTRIES; i++)
				CU_ASSERT(fake_ring_receive(v.rx, NULL, frame, 60));
			fake_ring_want_kicks(v.rx, want & 1);
			for (unsigned int i = 0; i < VFX_ENTRIES; i += 32) {
				CU_ASSERT_EQUAL_FATAL(quoll_rx(&v.rxq->q, bufs, 32), 32);
				quoll_buf_put(v.f.caches[0], bufs, 32);
			}
			CU_ASSERT_EQUAL(read(v.be.kick_fds[0], &kicks, sizeof(kicks)) > 0, want & 1);
		}
		vfx_fini(&v);
	}
}

static void a_sleeper_is_woken_by_what_comes_after_it_armed(bool packed)
{
	uint16_t before;
	struct quoll_buf *buf;
	struct vfx v;

	vfx_run(&v, packed, 0);
	frame_fill(frame, 60, 1);
	CU_ASSERT(quoll_rxq_fd(&v.rxq->q) >= 0);
	CU_ASSERT_EQUAL(quoll_rxq_arm(&v.rxq->q), 0);
	before = v.rx->used;
	CU_ASSERT(fake_ring_receive(v.rx, NULL, frame, 60));
	CU_ASSERT(fake_ring_wants_interrupt(v.rx, before));
	quoll_rxq_disarm(&v.rxq->q);
	/* What is there already is told at once. */
	CU_ASSERT_EQUAL(quoll_rxq_arm(&v.rxq->q), 1);
	quoll_rxq_disarm(&v.rxq->q);
	CU_ASSERT_EQUAL(quoll_rx(&v.rxq->q, &buf, 1), 1);
	vfx_put(&v, buf);
	before = v.rx->used;
	CU_ASSERT(fake_ring_receive(v.rx, NULL, frame, 60));
	CU_ASSERT_FALSE(fake_ring_wants_interrupt(v.rx, before));
	vfx_fini(&v);
}

BOTH(frames_come_in_for_many_turns)
BOTH(buffers_may_come_back_in_any_order)
BOTH(long_frames_come_as_chains)
BOTH(checksum_states_are_told)
BOTH(without_buffers_nothing_is_lost_but_counted)
BOTH(the_device_is_kicked_only_if_it_wants)
BOTH(a_sleeper_is_woken_by_what_comes_after_it_armed)

static const struct unit_test tests[] = {
	{"split: frames come in for many turns", frames_come_in_for_many_turns_split},
	{"packed: frames come in for many turns", frames_come_in_for_many_turns_packed},
	{"split: buffers may come back in any order", buffers_may_come_back_in_any_order_split},
	{"packed: buffers may come back in any order", buffers_may_come_back_in_any_order_packed},
	{"split: long frames come as chains", long_frames_come_as_chains_split},
	{"packed: long frames come as chains", long_frames_come_as_chains_packed},
	{"split: checksum states are told", checksum_states_are_told_split},
	{"packed: checksum states are told", checksum_states_are_told_packed},
	{"split: without buffers nothing is lost, but counted", without_buffers_nothing_is_lost_but_counted_split},
	{"packed: without buffers nothing is lost, but counted", without_buffers_nothing_is_lost_but_counted_packed},
	{"split: the device is kicked only if it wants", the_device_is_kicked_only_if_it_wants_split},
	{"packed: the device is kicked only if it wants", the_device_is_kicked_only_if_it_wants_packed},
	{"split: a sleeper is woken by what comes after it armed",
	 a_sleeper_is_woken_by_what_comes_after_it_armed_split},
	{"packed: a sleeper is woken by what comes after it armed",
	 a_sleeper_is_woken_by_what_comes_after_it_armed_packed},
};

UNIT_MAIN("virtio rx", tests)
