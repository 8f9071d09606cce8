/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * count_io.c - a load for counting instructions: 8,192 reads of 4 KiB at queue depth 32 in batches of 8 against the
 * fake controller, which works between the calls. Poll is called only when there are completions.
 * tests/instructions/run runs it under callgrind.
 */
#include <stdio.h>
#include <stdlib.h>

#include "nvme_fixture.h"
#include "unit.h"

#define DEPTH 32u
#define BATCH 8u
#define NR_IOS 8192u

static struct nvme_fixture fx;

static void prep_batch(uint64_t first)
{
	for (uint64_t i = first; i < first + BATCH; i++)
		if (quoll_nvme_prep_read(fx.queue, 1, fx.buf + (i % DEPTH) * 4096, i * 8 % 16384, 8, i))
			abort();
	quoll_nvme_submit(fx.queue);
}

/* A CUnit test, because the fixture asserts through CUnit. */
static void four_kib_reads_in_batches(void)
{
	struct quoll_nvme_completion comps[BATCH];
	struct quoll_nvme_queue_stats stats;
	uint64_t sent = 0, done = 0;

	fixture_init(&fx);
	fixture_open_queue(&fx, 64);
	for (; sent < DEPTH; sent += BATCH)
		prep_batch(sent);
	while (done < NR_IOS) {
		fake_nvme_step(&fx.fake);
		for (unsigned int got = 0; got < DEPTH; got += BATCH) {
			CU_ASSERT_EQUAL_FATAL(quoll_nvme_poll(fx.queue, comps, BATCH), BATCH);
			done += BATCH;
			if (sent == NR_IOS)
				continue;
			prep_batch(sent);
			sent += BATCH;
		}
	}
	quoll_nvme_queue_stats(fx.queue, &stats);
	CU_ASSERT_EQUAL(stats.completed, NR_IOS);
	CU_ASSERT_EQUAL(stats.sq_doorbells, NR_IOS / BATCH);
	CU_ASSERT_EQUAL(stats.cq_doorbells, NR_IOS / BATCH);
	fixture_fini(&fx);
	printf("\nitems %u\n", NR_IOS);
}

static const struct unit_test tests[] = {
	{"4 KiB reads in batches", four_kib_reads_in_batches},
};

UNIT_MAIN("nvme instruction count", tests)
