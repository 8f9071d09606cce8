/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * count_target.c - a load for counting instructions: 8,192 reads of 4 KiB through queues in the host's memory, 32 a
 * poll, from a namespace that moves no data. Only polls that find commands are in measured_target(), which
 * tests/instructions/run counts under callgrind; the host's own work is not.
 */
#include <stdio.h>

#include "tgt_fixture.h"

#define BATCH 32u
#define NR_IOS 8192u

#if defined(__clang__)
#define MEASURED __attribute__((noinline))
#else
#define MEASURED __attribute__((noipa))
#endif

MEASURED static unsigned int measured_target(struct host *host)
{
	return tgt_mq_poll(host->mq);
}

static void push_batch(struct host *host, uint32_t first)
{
	for (uint32_t i = first; i < first + BATCH; i++) {
		struct nvme_sqe cmd = host_rw(host, nvme_cmd_read, i % 1024 * 8, 8, 512);

		cmd.cid = quoll_cpu_to_le16((uint16_t)i);
		cmd.prp1 = quoll_cpu_to_le64(HOST_DATA + i % BATCH * 4096);
		host_push(host, &host->io, &cmd);
	}
	host_ring(host, &host->io);
}

/* A CUnit test, because the fixture asserts through CUnit. */
static void reads_of_nothing_in_batches(void)
{
	static struct host host;
	struct host_cqe cqe;

	host_start_io(&host, "null:?size=64M");
	for (uint32_t done = 0; done < NR_IOS; done += BATCH) {
		push_batch(&host, done);
		CU_ASSERT_EQUAL_FATAL(measured_target(&host), BATCH);
		for (uint32_t i = done; i < done + BATCH; i++) {
			CU_ASSERT_TRUE_FATAL(host_reap(&host, &host.io, &cqe));
			CU_ASSERT_EQUAL(cqe.cid, i);
			CU_ASSERT_EQUAL(cqe.status, 0);
		}
	}
	host_end(&host);
	printf("\nitems %u\n", NR_IOS);
}

static const struct unit_test tests[] = {
	{"reads of nothing in batches", reads_of_nothing_in_batches},
};

UNIT_MAIN("target instruction count", tests)
