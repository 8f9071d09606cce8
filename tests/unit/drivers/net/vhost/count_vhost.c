/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * count_vhost.c - a load for counting instructions (tests/instructions): count_vhost split|packed. 64-byte frames are
 * forwarded, received and sent in batches of 32, with the test as the guest, which works between the calls and wants
 * not to be called. Every poll finds a whole batch.
 */
#include "front.h"

#define BATCH 32u
#define NR_PACKETS 16384u

static bool packed;

static void want_no_calls(struct front *f, unsigned int idx)
{
	if (packed)
		((struct virtq_packed_event *)(f->rings[idx].mem + FRONT_AVAIL))->flags = VIRTQ_EVENT_DISABLE;
	else
		((struct virtq_avail *)(f->rings[idx].mem + FRONT_AVAIL))->flags = VIRTQ_AVAIL_NO_INTERRUPT;
}

static void take_back(struct front *f, unsigned int idx)
{
	uint32_t bytes;
	uint16_t id;
	bool written;

	for (unsigned int i = 0; i < BATCH; i++)
		CU_ASSERT_TRUE_FATAL(front_used(f, idx, &id, &bytes, &written));
}

static void frames_are_forwarded_in_batches(void)
{
	struct quoll_buf *bufs[BATCH];
	struct front f;

	front_up(&f, VIRTIO_NET_F_MRG_RXBUF | (packed ? VIRTIO_F_RING_PACKED : 0), 1);
	want_no_calls(&f, 0);
	want_no_calls(&f, 1);
	for (unsigned int n = 0; n < NR_PACKETS; n += BATCH) {
		for (uint16_t i = 0; i < BATCH; i++) {
			front_send_frame(&f, 0, i, (uint8_t)i, 64);
			front_post(&f, 0, (uint16_t)(BATCH + i), FRONT_BUF_BYTES);
		}
		CU_ASSERT_EQUAL_FATAL(front_rx(&f, 0, bufs, BATCH), BATCH);
		CU_ASSERT_EQUAL_FATAL(front_tx(&f, 0, bufs, BATCH), BATCH);
		take_back(&f, 0);
		take_back(&f, 1);
	}
	CU_ASSERT_EQUAL(front_stats(&f).rx_packets, NR_PACKETS);
	CU_ASSERT_EQUAL(front_stats(&f).tx_packets, NR_PACKETS);
	CU_ASSERT_EQUAL(front_xstat(&f, "calls"), 0);
	front_close(&f);
	printf("\nitems %u\n", NR_PACKETS);
}

static const struct unit_test tests[] = {{"frames are forwarded in batches", frames_are_forwarded_in_batches}};

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;
	packed = !strcmp(argv[1], "packed");
	return unit_main("count_vhost", tests, 1);
}
