/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * count_packets.c - a load for counting instructions (tests/instructions): 64-byte frames forwarded, received and sent
 * in batches of 32, against the fake 82574, which works between the calls. Every poll finds a whole batch. Register
 * accesses are not trapped, as valgrind cannot do that.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "e1000e_fixture.h"
#include "unit.h"

#define BATCH 32u
#define NR_PACKETS 16384u

static struct e1000e_fixture fx;
static bool stop_pump;

/* While the driver waits for the device to come up. */
static void *pump(void *arg)
{
	(void)arg;
	while (!__atomic_load_n(&stop_pump, __ATOMIC_ACQUIRE)) {
		fake_e1000e_step(&fx.fake);
		sched_yield();
	}
	return NULL;
}

static void pump_while_running(void (*what)(void))
{
	pthread_t thread;

	stop_pump = false;
	if (pthread_create(&thread, NULL, pump, NULL))
		abort();
	what();
	__atomic_store_n(&stop_pump, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
}

static void start(void)
{
	CU_ASSERT_EQUAL_FATAL(fixture_open(&fx), 0);
	CU_ASSERT_EQUAL_FATAL(fixture_start(&fx, 1, 512, NULL), 0);
}

static void finish(void)
{
	fixture_fini(&fx);
}

static void frames_are_forwarded_in_batches(void)
{
	struct quoll_buf *bufs[BATCH];
	uint8_t frame[64];

	fixture_init(&fx);
	fx.fake.untrapped = true;
	fx.fake.discard_sent = true;
	pump_while_running(start);
	fixture_make_frame(&fx, frame, sizeof(frame), 1);
	for (unsigned int n = 0; n < NR_PACKETS; n += BATCH) {
		for (unsigned int i = 0; i < BATCH; i++)
			CU_ASSERT_TRUE_FATAL(fake_e1000e_receive(&fx.fake, frame, sizeof(frame)));
		CU_ASSERT_EQUAL_FATAL(quoll_rx(&fx.rxq->q, bufs, BATCH), BATCH);
		CU_ASSERT_EQUAL_FATAL(quoll_tx(&fx.txq->q, bufs, BATCH), BATCH);
		fake_e1000e_step(&fx.fake);
	}
	CU_ASSERT_EQUAL(fixture_stats(&fx).rx_packets, NR_PACKETS);
	CU_ASSERT_EQUAL(fixture_stats(&fx).tx_packets, NR_PACKETS);
	/* One write a call, and one in two calls for the buffers posted. */
	CU_ASSERT_EQUAL(fx.fake.nr_tdt_writes, NR_PACKETS / BATCH);
	CU_ASSERT(fx.fake.nr_rdt_writes <= NR_PACKETS / (2 * BATCH) + 8);
	pump_while_running(finish);
	printf("\nitems %u\n", NR_PACKETS);
}

static const struct unit_test tests[] = {
	{"frames are forwarded in batches", frames_are_forwarded_in_batches},
};

UNIT_MAIN("e1000e instruction count", tests)
