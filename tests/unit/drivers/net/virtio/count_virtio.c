/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * count_virtio.c - a load for counting instructions (tests/instructions): count_virtio split|packed. 64-byte frames are
 * forwarded, received and sent in batches of 32, with the test as the device, which works between the calls and wants
 * no kicks. Every poll finds a whole batch.
 */
#include "unit.h"
#include "virtio_fixture.h"

#define BATCH 32u
#define NR_PACKETS 16384u

static bool packed;

static void frames_are_forwarded_in_batches(void)
{
	static uint8_t frame[64];
	struct virtio_net_hdr hdr;
	struct quoll_buf *bufs[BATCH];
	struct vfx v;

	vfx_run(&v, packed, 0);
	fake_ring_want_kicks(v.rx, false);
	fake_ring_want_kicks(v.tx, false);
	for (unsigned int n = 0; n < NR_PACKETS; n += BATCH) {
		for (unsigned int i = 0; i < BATCH; i++)
			CU_ASSERT_TRUE_FATAL(fake_ring_receive(v.rx, NULL, frame, sizeof(frame)));
		CU_ASSERT_EQUAL_FATAL(quoll_rx(&v.rxq->q, bufs, BATCH), BATCH);
		CU_ASSERT_EQUAL_FATAL(quoll_tx(&v.txq->q, bufs, BATCH), BATCH);
		for (unsigned int i = 0; i < BATCH; i++)
			CU_ASSERT_EQUAL_FATAL(fake_ring_sent(v.tx, &hdr, frame, sizeof(frame)), sizeof(frame));
	}
	CU_ASSERT_EQUAL(vfx_stats(&v).rx_packets, NR_PACKETS);
	CU_ASSERT_EQUAL(vfx_stats(&v).tx_packets, NR_PACKETS);
	vfx_fini(&v);
	printf("\nitems %u\n", NR_PACKETS);
}

static const struct unit_test tests[] = {{"frames are forwarded in batches", frames_are_forwarded_in_batches}};

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	packed = !strcmp(argv[1], "packed");
	return unit_main("count_virtio", tests, 1);
}
