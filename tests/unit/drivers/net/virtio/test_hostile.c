/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_hostile.c - devices that lie: in each field of what they give back, in headers, in rings rewritten. Frames are
 * dropped and counted, a queue that makes no sense any more is given up, and no buffer is lost or handed out twice.
 */
#include "unit.h"
#include "virtio_fixture.h"

#define ALL_RX (QUOLL_OFFLOAD_RX_L4_CSUM | QUOLL_OFFLOAD_RX_SCATTER | QUOLL_OFFLOAD_RX_GSO)
#define ROOM (FIX_BUF_BYTES - 128u + 12u)

static uint8_t frame[4096];

/* The next buffer, given back with these. */
static void give_back(struct vfx *v, uint32_t id_off, uint32_t bytes)
{
	struct fake_chain chain;

	CU_ASSERT_TRUE_FATAL(fake_ring_pop(v->rx, &chain));
	fake_ring_push(v->rx, &(struct fake_used){chain.id + id_off, bytes, 1}, 1);
}

/* A good frame comes through. */
static bool still_works(struct vfx *v)
{
	struct quoll_buf *buf;
	bool good;

	frame_fill(frame, 100, 77);
	buf = vfx_pass(v, NULL, frame, 100);
	good = chain_is(buf, frame, 100);
	vfx_put(v, buf);
	return good;
}

/* The line went down, and may be up again with a back end that starts anew. */
static bool given_up(struct vfx *v)
{
	struct quoll_port_link link;

	(void)quoll_port_check(v->port);
	quoll_port_link(v->port, &link);
	return link.nr_changes > 1;
}

static void lengths_that_cannot_be_are_dropped(bool packed)
{
	static const uint32_t lengths[] = {0, 1, 11, 12, 25, ROOM + 1, 65535, 65536, UINT32_MAX, UINT32_MAX - 11};
	struct quoll_buf *buf;
	struct vfx v;

	for (unsigned int offloads = 0; offloads < 2; offloads++) {
		vfx_run(&v, packed, offloads ? ALL_RX : 0);
		for (unsigned int i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
			give_back(&v, 0, lengths[i]);
			CU_ASSERT_EQUAL(quoll_rx(&v.rxq->q, &buf, 1), 0);
			CU_ASSERT_EQUAL(vfx_stats(&v).rx_bad, i + 1);
			CU_ASSERT(still_works(&v));
		}
		CU_ASSERT_FALSE(given_up(&v));
		vfx_fini(&v);
	}
}

static void ids_that_are_not_in_flight_end_it(bool packed)
{
	static const uint32_t offs[] = {1, VFX_ENTRIES, 40000, 65000};
	struct quoll_buf *bufs[VFX_ENTRIES];
	struct vfx v;

	for (unsigned int i = 0; i < sizeof(offs) / sizeof(offs[0]); i++) {
		vfx_run(&v, packed, 0);
		give_back(&v, 0, 112);
		/* The first one again: it was finished already, and is not posted again yet. */
		if (offs[i] == 1)
			give_back(&v, (uint32_t)-1, 112);
		else
			give_back(&v, offs[i], 112);
		CU_ASSERT_EQUAL(quoll_rx(&v.rxq->q, bufs, VFX_ENTRIES), 1);
		vfx_put(&v, bufs[0]);
		CU_ASSERT_EQUAL(vfx_stats(&v).rx_bad, 1);
		CU_ASSERT_EQUAL(quoll_rx(&v.rxq->q, bufs, VFX_ENTRIES), 0);
		CU_ASSERT_EQUAL(vfx_stats(&v).rx_bad, 1);
		CU_ASSERT(given_up(&v));
		vfx_fini(&v);
	}
}

static void a_used_index_that_jumps_ends_it(void)
{
	static const uint16_t jumps[] = {VFX_ENTRIES + 1, 1000, 32768, 65535};
	struct quoll_buf *bufs[VFX_ENTRIES];
	struct vfx v;

	for (unsigned int i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++) {
		vfx_run(&v, false, 0);
		((struct virtq_used *)v.rx->device)->idx = jumps[i];
		CU_ASSERT_EQUAL(quoll_rx(&v.rxq->q, bufs, VFX_ENTRIES), 0);
		CU_ASSERT_EQUAL(vfx_stats(&v).rx_bad, 1);
		CU_ASSERT(given_up(&v));
		vfx_fini(&v);
	}
}

static void all_is_called_finished_at_once(bool packed)
{
	struct quoll_buf *bufs[2 * VFX_ENTRIES];
	unsigned int got;
	struct vfx v;

	/* By a device that never read the ring: old elements, or flags of its own. */
	vfx_run(&v, packed, 0);
	if (packed) {
		struct virtq_packed_desc *desc = v.rx->desc;

		for (unsigned int i = 0; i < VFX_ENTRIES; i++)
			desc[i] = (struct virtq_packed_desc){0, 112, 5, VIRTQ_DESC_AVAIL | VIRTQ_DESC_USED};
	} else {
		((struct virtq_used *)v.rx->device)->idx = VFX_ENTRIES;
	}
	got = quoll_rx(&v.rxq->q, bufs, 2 * VFX_ENTRIES);
	CU_ASSERT(got <= 1);
	for (unsigned int i = 0; i < got; i++)
		vfx_put(&v, bufs[i]);
	CU_ASSERT(given_up(&v));
	vfx_fini(&v);
}

static void headers_that_make_no_sense_drop_the_frame(bool packed)
{
	static const struct virtio_net_hdr bad[] = {
		{.nr_bufs = 0},
		{.nr_bufs = 2},
		{.nr_bufs = 65535},
		{.nr_bufs = 1, .flags = VIRTIO_NET_HDR_NEEDS_CSUM, .csum_start = 99, .csum_offset = 0},
		{.nr_bufs = 1, .flags = VIRTIO_NET_HDR_NEEDS_CSUM, .csum_start = 65535, .csum_offset = 65535},
		{.nr_bufs = 1, .gso_type = VIRTIO_NET_GSO_TCPV4, .gso_bytes = 100},
		{.nr_bufs = 1, .flags = VIRTIO_NET_HDR_NEEDS_CSUM, .gso_type = VIRTIO_NET_GSO_TCPV4},
		{.nr_bufs = 1, .flags = VIRTIO_NET_HDR_NEEDS_CSUM, .gso_type = VIRTIO_NET_GSO_UDP, .gso_bytes = 100},
		{.nr_bufs = 1, .flags = VIRTIO_NET_HDR_NEEDS_CSUM, .gso_type = 0x7f, .gso_bytes = 100},
	};
	struct vfx v;

	vfx_run(&v, packed, ALL_RX);
	frame_fill(frame, 100, 1);
	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CU_ASSERT_PTR_NULL(vfx_pass(&v, &bad[i], frame, 100));
		CU_ASSERT_EQUAL(vfx_stats(&v).rx_bad, i + 1);
		CU_ASSERT(still_works(&v));
	}
	CU_ASSERT_FALSE(given_up(&v));
	vfx_fini(&v);
}

/* A frame longer than any that was asked for, and links that lie. */
static void chains_that_lie_drop_the_frame(bool packed)
{
	static const uint32_t lengths[] = {0, ROOM + 1, UINT32_MAX};
	struct quoll_buf *buf;
	struct vfx v;

	vfx_run(&v, packed, ALL_RX);
	for (unsigned int i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct virtio_net_hdr hdr = {.nr_bufs = 3};
		struct fake_used used[3];

		for (unsigned int j = 0; j < 3; j++) {
			struct fake_chain chain;

			CU_ASSERT_TRUE_FATAL(fake_ring_pop(v.rx, &chain));
			if (!j)
				memcpy(chain.segs[0].va, &hdr, sizeof(hdr));
			used[j] = (struct fake_used){chain.id, j == 1 ? lengths[i] : 200, 1};
		}
		fake_ring_push(v.rx, used, 3);
		CU_ASSERT_EQUAL(quoll_rx(&v.rxq->q, &buf, 1), 0);
		CU_ASSERT_EQUAL(vfx_stats(&v).rx_bad, i + 1);
		CU_ASSERT(still_works(&v));
	}
	frame_fill(frame, 1519, 1);
	CU_ASSERT_PTR_NULL(vfx_pass(&v, NULL, frame, 1519));
	CU_ASSERT_PTR_NULL(vfx_pass(&v, NULL, frame, 4000));
	CU_ASSERT(still_works(&v));
	vfx_fini(&v);
}

static void sent_frames_with_a_wrong_id_end_it(bool packed)
{
	static const uint32_t ids[] = {5, VFX_ENTRIES, 60000};
	struct vfx v;

	for (unsigned int i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		struct quoll_buf *bufs[VFX_ENTRIES];
		struct fake_chain chain;

		vfx_run(&v, packed, 0);
		frame_fill(frame, 60, 1);
		/* A chain of three first: 1 and 2 are none of a frame's first places. */
		for (unsigned int j = 0; j < 4; j++)
			bufs[j] = vfx_buf(&v, frame, 60, j ? 60 : 30);
		CU_ASSERT_EQUAL(quoll_tx(&v.txq->q, bufs, 2), 2);
		CU_ASSERT_TRUE_FATAL(fake_ring_pop(v.tx, &chain));
		fake_ring_push(v.tx, &(struct fake_used){ids[i] == 5 ? 1 : ids[i], 0, chain.nr}, 1);
		for (unsigned int j = 4; j < VFX_ENTRIES; j++)
			bufs[j] = vfx_buf(&v, frame, 60, 60);
		for (unsigned int sent = 2, n = 1; sent < VFX_ENTRIES; sent += n ? n : VFX_ENTRIES) {
			n = quoll_tx(&v.txq->q, bufs + sent, VFX_ENTRIES - sent);
			for (unsigned int j = sent + n; !n && j < VFX_ENTRIES; j++)
				vfx_put(&v, bufs[j]);
		}
		CU_ASSERT_EQUAL(v.txq->broken, 1);
		CU_ASSERT(given_up(&v));
		vfx_fini(&v);
	}
}

static void a_used_index_of_sent_frames_that_jumps_ends_it(void)
{
	struct quoll_buf *bufs[VFX_ENTRIES];
	unsigned int sent;
	struct vfx v;

	vfx_run(&v, false, 0);
	frame_fill(frame, 60, 1);
	for (unsigned int j = 0; j < VFX_ENTRIES; j++)
		bufs[j] = vfx_buf(&v, frame, 60, 60);
	CU_ASSERT_EQUAL(quoll_tx(&v.txq->q, bufs, VFX_ENTRIES), VFX_ENTRIES);
	((struct virtq_used *)v.tx->device)->idx = VFX_ENTRIES + 1;
	bufs[0] = vfx_buf(&v, frame, 60, 60);
	sent = quoll_tx(&v.txq->q, bufs, 1);
	CU_ASSERT_EQUAL(sent, 0);
	vfx_put(&v, bufs[0]);
	CU_ASSERT_EQUAL(vfx_stats(&v).tx_bad, 1);
	CU_ASSERT(given_up(&v));
	vfx_fini(&v);
}

/* What the driver wrote is the device's to scribble over: none of it is read back. */
static void rewritten_rings_are_not_believed(bool packed)
{
	struct quoll_buf *bufs[VFX_ENTRIES];
	struct vfx v;

	vfx_run(&v, packed, 0);
	if (packed) {
		struct virtq_packed_desc *desc = v.rx->desc;

		for (unsigned int i = 1; i < VFX_ENTRIES; i++)
			desc[i].addr = 0xdeadbeef;
	} else {
		struct virtq_desc *desc = v.rx->desc;
		struct virtq_avail *avail = v.rx->driver;

		for (unsigned int i = 1; i < VFX_ENTRIES; i++) {
			desc[i].addr = 0xdeadbeef;
			avail->ring[i] = 3;
		}
		avail->idx = 9;
	}
	fake_ring_push(v.rx, &(struct fake_used){0, 112, 1}, 1);
	CU_ASSERT_EQUAL(quoll_rx(&v.rxq->q, bufs, VFX_ENTRIES), 1);
	vfx_put(&v, bufs[0]);
	CU_ASSERT_FALSE(given_up(&v));
	vfx_fini(&v);
}

BOTH(lengths_that_cannot_be_are_dropped)
BOTH(ids_that_are_not_in_flight_end_it)
BOTH(all_is_called_finished_at_once)
BOTH(headers_that_make_no_sense_drop_the_frame)
BOTH(chains_that_lie_drop_the_frame)
BOTH(sent_frames_with_a_wrong_id_end_it)
BOTH(rewritten_rings_are_not_believed)

static const struct unit_test tests[] = {
	{"split: lengths that cannot be are dropped", lengths_that_cannot_be_are_dropped_split},
	{"packed: lengths that cannot be are dropped", lengths_that_cannot_be_are_dropped_packed},
	{"split: ids that are not in flight end it", ids_that_are_not_in_flight_end_it_split},
	{"packed: ids that are not in flight end it", ids_that_are_not_in_flight_end_it_packed},
	{"a used index that jumps ends it", a_used_index_that_jumps_ends_it},
	{"split: all is called finished at once", all_is_called_finished_at_once_split},
	{"packed: all is called finished at once", all_is_called_finished_at_once_packed},
	{"split: headers that make no sense drop the frame", headers_that_make_no_sense_drop_the_frame_split},
	{"packed: headers that make no sense drop the frame", headers_that_make_no_sense_drop_the_frame_packed},
	{"split: chains that lie drop the frame", chains_that_lie_drop_the_frame_split},
	{"packed: chains that lie drop the frame", chains_that_lie_drop_the_frame_packed},
	{"split: sent frames with a wrong id end it", sent_frames_with_a_wrong_id_end_it_split},
	{"packed: sent frames with a wrong id end it", sent_frames_with_a_wrong_id_end_it_packed},
	{"a used index of sent frames that jumps ends it", a_used_index_of_sent_frames_that_jumps_ends_it},
	{"split: rewritten rings are not believed", rewritten_rings_are_not_believed_split},
	{"packed: rewritten rings are not believed", rewritten_rings_are_not_believed_packed},
};

UNIT_MAIN("virtio hostile", tests)
