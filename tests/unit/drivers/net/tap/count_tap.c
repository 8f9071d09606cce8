/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * count_tap.c - a load for counting instructions (tests/instructions): 64-byte frames received from a socket, which
 * keeps frames apart as a TAP queue does, and sent into it, in batches of 32; a system call a frame each way, without
 * the kernel's part.
 */
#include <stdio.h>

#include "../net_fixture.h"
#include "fake_tap.h"

#define BATCH 32u
#define NR_PACKETS 16384u
#define FRAME_BYTES 64u

static const uint8_t frame[sizeof(struct virtio_net_hdr) + FRAME_BYTES];

static void kernel_sends(void)
{
	for (unsigned int i = 0; i < BATCH; i++)
		CU_ASSERT_EQUAL_FATAL(send(fake_tap_sockets[1], frame, sizeof(frame), 0), sizeof(frame));
}

static void kernel_receives(void)
{
	uint8_t got[sizeof(frame)];

	for (unsigned int i = 0; i < BATCH; i++)
		CU_ASSERT_EQUAL_FATAL(recv(fake_tap_sockets[1], got, sizeof(got), 0), sizeof(got));
}

static void frames_are_forwarded_in_batches(void)
{
	struct quoll_buf *bufs[BATCH];
	struct quoll_port_stats stats;
	struct quoll_port *port;
	struct quoll_addr addr;
	struct fix f;

	fix_open(&f);
	CU_ASSERT_EQUAL_FATAL(quoll_addr_parse("tap:fake", &addr, &f.err), 0);
	CU_ASSERT_EQUAL_FATAL(net_port_open_driver(f.net, &fake_driver, &addr, NULL, &port, &f.err), 0);
	fix_start(&f, port, f.caches[0]);
	for (unsigned int n = 0; n < NR_PACKETS; n += BATCH) {
		kernel_sends();
		CU_ASSERT_EQUAL_FATAL(quoll_rx(quoll_port_rxq(port, 0), bufs, BATCH), BATCH);
		CU_ASSERT_EQUAL_FATAL(quoll_tx(quoll_port_txq(port, 0), bufs, BATCH), BATCH);
		kernel_receives();
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

UNIT_MAIN("tap instruction count", tests)
