/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * count_xdp.c - a load for counting instructions (tests/instructions): 64-byte frames received from rings in memory and
 * sent into them, in batches of 32, without the kernel's part.
 */
#include <stdio.h>

#include "fake_xsk.h"

#define BATCH 32u
#define NR_PACKETS 16384u

static void frames_are_forwarded_in_batches(void)
{
	struct fake_rings *at = &fake_rings[0];
	struct quoll_buf *bufs[BATCH];
	struct quoll_port_stats stats;
	struct quoll_port *port;
	struct fix f;

	fix_open(&f);
	port = fake_port(&f, NULL);
	for (unsigned int n = 0; n < NR_PACKETS; n += BATCH) {
		for (unsigned int i = 0; i < BATCH; i++)
			fake_rx(at, fake_chunk(at) + XDP_HEADROOM_BYTES, 64, 0);
		CU_ASSERT_EQUAL_FATAL(quoll_rx(quoll_port_rxq(port, 0), bufs, BATCH), BATCH);
		CU_ASSERT_EQUAL_FATAL(quoll_tx(quoll_port_txq(port, 0), bufs, BATCH), BATCH);
		fake_send_all(at);
	}
	quoll_port_stats(port, &stats);
	CU_ASSERT_EQUAL(stats.rx_packets, NR_PACKETS);
	CU_ASSERT_EQUAL(stats.tx_packets, NR_PACKETS);
	quoll_port_close(port);
	fix_close(&f);
	printf("\nitems %u\n", NR_PACKETS);
}

static const struct unit_test tests[] = {
	{"frames are forwarded in batches", frames_are_forwarded_in_batches},
};

UNIT_MAIN("xdp instruction count", tests)
