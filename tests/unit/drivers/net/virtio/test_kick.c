/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_kick.c - who does not kick for each batch has to notice a device that waits in vain: one whose wish to be told
 * stands at a place that was handed over long ago, so that no later batch passes it.
 */
#include <unistd.h>

#include "unit.h"
#include "virtio_fixture.h"

static uint8_t frame[60];

static void send_some(struct vfx *v, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		struct quoll_buf *buf = vfx_buf(v, frame, sizeof(frame), sizeof(frame));

		CU_ASSERT_EQUAL_FATAL(quoll_tx(&v->txq->q, &buf, 1), 1);
	}
}

static void finish_some(struct vfx *v, unsigned int n)
{
	struct virtio_net_hdr hdr;
	uint8_t back[sizeof(frame)];

	for (unsigned int i = 0; i < n; i++)
		CU_ASSERT_EQUAL_FATAL(fake_ring_sent(v->tx, &hdr, back, sizeof(back)), sizeof(frame));
}

/* Kicks of the ring since the last call. */
static unsigned int kicks(struct vfx *v, unsigned int ring)
{
	uint64_t n = 0;

	return read(v->be.kick_fds[ring], &n, sizeof(n)) == (ssize_t)sizeof(n) ? (unsigned int)n : 0;
}

static void look(struct vfx *v, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		CU_ASSERT_EQUAL(quoll_port_check(v->port), 0);
}

/*
 * The device says from where on it wants to hear, finds @done frames more all the same, and does not say it again, as
 * QEMU's does after a frame that had to wait. Then @n are sent.
 */
static void leave_a_wish_behind(struct vfx *v, unsigned int done, unsigned int n)
{
	fake_ring_want_kicks(v->tx, false);
	send_some(v, done);
	fake_ring_want_kicks(v->tx, true);
	finish_some(v, done);
	(void)kicks(v, 1);
	send_some(v, n);
	CU_ASSERT_EQUAL(kicks(v, 1), 0);
}

static void a_wish_that_was_left_behind_is_heeded(bool packed)
{
	static const unsigned int done[] = {1, 2, 31, VFX_ENTRIES - 1, VFX_ENTRIES};
	static const unsigned int waiting[] = {1, 33, VFX_ENTRIES - 2, VFX_ENTRIES};
	struct vfx v;

	/* From many places of the ring, in both kinds of lap of a packed one. */
	for (unsigned int i = 0; i < sizeof(done) / sizeof(done[0]); i++)
		for (unsigned int j = 0; j < sizeof(waiting) / sizeof(waiting[0]); j++) {
			/* Two laps behind is what a packed ring's next place is called, too: nobody can tell. */
			if (packed && done[i] + waiting[j] == 2 * VFX_ENTRIES)
				continue;
			vfx_run(&v, packed, 0);
			for (unsigned int turn = 0; turn < 43; turn++) {
				leave_a_wish_behind(&v, done[i], waiting[j]);
				/* It may only be slow. */
				look(&v, 1);
				CU_ASSERT_EQUAL(kicks(&v, 1), 0);
				look(&v, 1);
				CU_ASSERT_EQUAL(kicks(&v, 1), 1);
				finish_some(&v, waiting[j]);
				fake_ring_want_kicks(v.tx, true);
				look(&v, 10);
				CU_ASSERT_EQUAL(kicks(&v, 1), 0);
				send_some(&v, 1);
				CU_ASSERT_EQUAL(kicks(&v, 1), 1);
				finish_some(&v, 1);
				fake_ring_want_kicks(v.tx, true);
			}
			vfx_fini(&v);
		}
}

static void a_device_that_goes_on_is_not_disturbed(bool packed)
{
	struct vfx v;

	vfx_run(&v, packed, 0);
	for (unsigned int turn = 0; turn < 3 * VFX_ENTRIES; turn++) {
		/* It is behind all the time, but not at the same place. */
		leave_a_wish_behind(&v, 2, 5);
		look(&v, 1);
		finish_some(&v, 5);
		CU_ASSERT_EQUAL(kicks(&v, 1), 0);
	}
	/* Nor one that polls: its wishes, if it cannot say that it has none, are of long ago. */
	fake_ring_want_kicks(v.tx, false);
	for (unsigned int turn = 0; turn < 3 * VFX_ENTRIES; turn++) {
		send_some(&v, 3);
		finish_some(&v, 3);
		look(&v, 2);
		CU_ASSERT_EQUAL(kicks(&v, 1), 0);
	}
	CU_ASSERT_EQUAL(kicks(&v, 0), 0);
	vfx_fini(&v);
}

static void one_that_heeds_no_kick_gets_ever_fewer(bool packed)
{
	struct vfx v;

	vfx_run(&v, packed, 0);
	leave_a_wish_behind(&v, 1, 1);
	/* With the 2nd look, then the 3rd, the 5th, the 9th… up to the 1025th; then each 1024. */
	look(&v, 1025);
	CU_ASSERT_EQUAL(kicks(&v, 1), 11);
	look(&v, 4096);
	CU_ASSERT_EQUAL(kicks(&v, 1), 4);
	finish_some(&v, 1);
	vfx_fini(&v);
}

/* Buffers that were posted while the device said that it lacks some: a split ring's device cannot say that it does not.
 */
static void the_same_goes_for_packed_rings_of_buffers(void)
{
	struct quoll_buf *bufs[VFX_ENTRIES];
	struct vfx v;

	vfx_run(&v, true, 0);
	for (unsigned int turn = 0; turn < 5; turn++) {
		for (unsigned int i = 0; i < VFX_ENTRIES; i++) {
			if (i == 10)
				fake_ring_want_kicks(v.rx, true);
			CU_ASSERT(fake_ring_receive(v.rx, NULL, frame, sizeof(frame)));
		}
		CU_ASSERT_EQUAL_FATAL(quoll_rx(&v.rxq->q, bufs, VFX_ENTRIES), VFX_ENTRIES);
		quoll_buf_put(v.f.caches[0], bufs, VFX_ENTRIES);
		CU_ASSERT_EQUAL(kicks(&v, 0), 0);
		look(&v, 3);
		CU_ASSERT_EQUAL(kicks(&v, 0), 2);
	}
	fake_ring_want_kicks(v.rx, false);
	look(&v, 100);
	CU_ASSERT_EQUAL(kicks(&v, 0), 0);
	vfx_fini(&v);
}

static void who_goes_to_sleep_looks_once_more(void)
{
	struct vfx v;

	vfx_run(&v, true, 0);
	leave_a_wish_behind(&v, 1, 1);
	CU_ASSERT_EQUAL(quoll_rxq_arm(&v.rxq->q), 0);
	CU_ASSERT_EQUAL(kicks(&v, 1), 1);
	quoll_rxq_disarm(&v.rxq->q);
	finish_some(&v, 1);
	fake_ring_want_kicks(v.tx, true);
	CU_ASSERT_EQUAL(quoll_rxq_arm(&v.rxq->q), 0);
	CU_ASSERT_EQUAL(kicks(&v, 1), 0);
	quoll_rxq_disarm(&v.rxq->q);
	vfx_fini(&v);
}

/* A wish that no honest device has. */
static void wishes_without_sense_are_harmless(void)
{
	struct virtq_packed_event *event;
	struct vfx v;

	vfx_run(&v, true, 0);
	event = v.tx->device;
	for (uint32_t word = 0; word <= UINT16_MAX; word += 13) {
		*event = (struct virtq_packed_event){(quoll_le16)word, VIRTQ_EVENT_DESC};
		look(&v, 2);
		CU_ASSERT(kicks(&v, 1) <= 1);
	}
	vfx_fini(&v);
}

BOTH(a_wish_that_was_left_behind_is_heeded)
BOTH(a_device_that_goes_on_is_not_disturbed)
BOTH(one_that_heeds_no_kick_gets_ever_fewer)

static const struct unit_test tests[] = {
	{"split: a wish that was left behind is heeded", a_wish_that_was_left_behind_is_heeded_split},
	{"packed: a wish that was left behind is heeded", a_wish_that_was_left_behind_is_heeded_packed},
	{"split: a device that goes on is not disturbed", a_device_that_goes_on_is_not_disturbed_split},
	{"packed: a device that goes on is not disturbed", a_device_that_goes_on_is_not_disturbed_packed},
	{"split: one that heeds no kick gets ever fewer", one_that_heeds_no_kick_gets_ever_fewer_split},
	{"packed: one that heeds no kick gets ever fewer", one_that_heeds_no_kick_gets_ever_fewer_packed},
	{"the same goes for packed rings of buffers", the_same_goes_for_packed_rings_of_buffers},
	{"who goes to sleep looks once more", who_goes_to_sleep_looks_once_more},
	{"wishes without sense are harmless", wishes_without_sense_are_harmless},
};

UNIT_MAIN("virtio kick", tests)
