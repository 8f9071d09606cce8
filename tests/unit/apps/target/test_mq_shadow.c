/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_mq_shadow.c - Doorbell Buffer Config: doorbells of I/O queues in the host's memory, and event indices that say
 * when the host has to write the device's; pages that are none, or go away.
 */
#include <sys/mman.h>

#include "mq_host.h"

static void doorbells_may_be_in_the_hosts_memory(void)
{
	quoll_le32 *shadow = host_va(&host, HOST_PAGE(700)), *events = host_va(&host, HOST_PAGE(701));
	struct nvme_sqe cmd = {.opcode = nvme_admin_dbbuf, .prp1 = HOST_PAGE(700), .prp2 = HOST_PAGE(701)};
	struct nvme_sqe read;
	struct host_cqe cqe;

	start();
	CU_ASSERT_EQUAL(host_create_io(&host, &host.io, 1, 16), 0);
	CU_ASSERT_EQUAL(host_io(&host, read_cmd(1)), 0);
	CU_ASSERT_EQUAL(host_admin(&host, cmd), 0);
	CU_ASSERT_EQUAL(shadow[2], 1);
	CU_ASSERT_EQUAL(shadow[3], 1);
	CU_ASSERT_EQUAL(events[2], 1);
	read = read_cmd(2);
	host_push(&host, &host.io, &read);
	__atomic_store_n(&shadow[2], host.io.tail, __ATOMIC_RELEASE);
	CU_ASSERT_TRUE(host_reap(&host, &host.io, &cqe));
	CU_ASSERT_EQUAL(cqe.cid, 2);
	/* About to sleep: the event index is where the queue is, and what came meanwhile is seen. */
	CU_ASSERT_EQUAL(tgt_mq_arm(host.mq), 0);
	CU_ASSERT_EQUAL(events[2], 2);
	host_push(&host, &host.io, &read);
	__atomic_store_n(&shadow[2], host.io.tail, __ATOMIC_RELEASE);
	CU_ASSERT_EQUAL(tgt_mq_arm(host.mq), 1);
	tgt_mq_disarm(host.mq);
	CU_ASSERT_EQUAL(events[2], 1);
	CU_ASSERT_TRUE(host_reap(&host, &host.io, &cqe));
	/* A queue that is made later is in them too. */
	shadow[4] = shadow[5] = 0;
	CU_ASSERT_EQUAL(host_create_io(&host, &host.io, 2, 16), 0);
	host_push(&host, &host.io, &read);
	shadow[4] = host.io.tail;
	CU_ASSERT_TRUE(host_reap(&host, &host.io, &cqe));
	host_end(&host);
}

/* Shadows are the host's to write; only for queues that are there already their place is put into them. */
/* A bell of the host, as Base 2.0, Annex B.5 has it. Return: whether the device's register is to be written. */
static bool shadow_tell(quoll_le32 *shadow, const quoll_le32 *event, uint32_t value)
{
	uint16_t old = (uint16_t)quoll_le32_to_cpu(*shadow);

	*shadow = quoll_cpu_to_le32(value);
	return (uint16_t)(value - quoll_le32_to_cpu(*event) - 1) < (uint16_t)(value - old);
}

/* @total commands, @batch at a time. Return: how often the host would have written a register. */
static unsigned int run_with_shadows(struct host_queue *queue, unsigned int batch, unsigned int total)
{
	quoll_le32 *shadow = host_va(&host, HOST_PAGE(700)), *events = host_va(&host, HOST_PAGE(701));
	unsigned int at = 2u * queue->id, nr = 0;
	struct nvme_sqe read = read_cmd(7);
	struct host_cqe cqe;

	for (unsigned int done = 0; done < total; done += batch) {
		for (unsigned int i = 0; i < batch; i++)
			host_push(&host, queue, &read);
		nr += shadow_tell(&shadow[at], &events[at], queue->tail);
		for (unsigned int i = 0; i < batch; i++)
			CU_ASSERT_TRUE_FATAL(host_reap(&host, queue, &cqe));
		nr += shadow_tell(&shadow[at + 1], &events[at + 1], queue->head);
	}
	return nr;
}

/* Every register that it spares is a message less. */
static void a_host_with_shadow_doorbells_is_silent_while_we_are_awake(void)
{
	static const struct {
		uint32_t entries;
		unsigned int batch;
	} cases[] = {{16, 1}, {16, 7}, {16, 15}, {64, 32}, {37, 5}, {37, 18}, {2, 1}, {3, 2}, {256, 100}};
	struct nvme_sqe cmd = {.opcode = nvme_admin_dbbuf, .prp1 = HOST_PAGE(700), .prp2 = HOST_PAGE(701)};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		start();
		CU_ASSERT_EQUAL(host_admin(&host, cmd), 0);
		CU_ASSERT_EQUAL(host_create_io(&host, &host.io, 1, cases[i].entries), 0);
		tgt_mq_disarm(host.mq);
		CU_ASSERT_EQUAL(run_with_shadows(&host.io, cases[i].batch, 10 * cases[i].entries), 0);
		host_end(&host);
	}
}

static void a_host_with_shadow_doorbells_wakes_us(void)
{
	quoll_le32 *shadow = host_va(&host, HOST_PAGE(700)), *events = host_va(&host, HOST_PAGE(701));
	struct nvme_sqe cmd = {.opcode = nvme_admin_dbbuf, .prp1 = HOST_PAGE(700), .prp2 = HOST_PAGE(701)};
	struct nvme_sqe read = read_cmd(7);
	struct host_cqe cqe;

	start();
	CU_ASSERT_EQUAL(host_admin(&host, cmd), 0);
	CU_ASSERT_EQUAL(host_create_io(&host, &host.io, 1, 16), 0);
	/* At each place of the ring. */
	for (unsigned int i = 0; i < 40; i++) {
		CU_ASSERT_EQUAL(tgt_mq_arm(host.mq), 0);
		host_push(&host, &host.io, &read);
		CU_ASSERT_TRUE(shadow_tell(&shadow[2], &events[2], host.io.tail));
		tgt_mq_disarm(host.mq);
		CU_ASSERT_TRUE(host_reap(&host, &host.io, &cqe));
		/* What it has read is of interest only where completions wait for room. */
		CU_ASSERT_EQUAL(tgt_mq_arm(host.mq), 0);
		CU_ASSERT_FALSE(shadow_tell(&shadow[3], &events[3], host.io.head));
		tgt_mq_disarm(host.mq);
	}
	host_end(&host);
}

/* Of 8 commands 3 find no room; we sleep until the host has read something. */
static void a_host_with_shadow_doorbells_wakes_us_when_there_is_room_again(void)
{
	quoll_le32 *shadow = host_va(&host, HOST_PAGE(700)), *events = host_va(&host, HOST_PAGE(701));
	struct nvme_sqe cmd = {.opcode = nvme_admin_dbbuf, .prp1 = HOST_PAGE(700), .prp2 = HOST_PAGE(701)};
	struct nvme_sqe read = read_cmd(7);
	struct host_cqe cqe;

	start();
	CU_ASSERT_EQUAL(host_admin(&host, cmd), 0);
	CU_ASSERT_EQUAL(host_create_cq(&host, 1, 6, CQ_AT, 1), 0);
	CU_ASSERT_EQUAL(host_create_sq(&host, 1, 16, SQ_AT, 1u << 16 | 1), 0);
	host.io = (struct host_queue){.id = 1, .entries = 16, .sq = SQ_AT, .cq = CQ_AT, .phase = 1};
	for (unsigned int i = 0; i < 8; i++)
		host_push(&host, &host.io, &read);
	shadow_tell(&shadow[2], &events[2], host.io.tail);
	host_poll(&host, 3);
	CU_ASSERT_EQUAL(tgt_mq_arm(host.mq), 0);
	host.io.entries = 6; /* of the queue that is read */
	CU_ASSERT_TRUE(host_reap(&host, &host.io, &cqe));
	CU_ASSERT_TRUE(shadow_tell(&shadow[3], &events[3], host.io.head));
	CU_ASSERT_EQUAL(tgt_mq_arm(host.mq), 1);
	tgt_mq_disarm(host.mq);
	for (unsigned int i = 1; i < 8; i++) {
		CU_ASSERT_TRUE(host_reap(&host, &host.io, &cqe));
		shadow_tell(&shadow[3], &events[3], host.io.head);
	}
	host_end(&host);
}

static void shadows_may_be_mapped_for_reading_only(void)
{
	const uint64_t at = HOST_BASE + HOST_BYTES;
	struct nvme_sqe cmd = {.opcode = nvme_admin_dbbuf, .prp1 = at, .prp2 = HOST_PAGE(701)};
	struct tgt_guest_range range = {.iova = at, .len = 4096, .prot = TGT_GUEST_READ};
	struct nvme_sqe read = read_cmd(1);
	struct host_cqe cqe;
	quoll_le32 *shadow;

	start();
	range.va = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CU_ASSERT_TRUE_FATAL(range.va != MAP_FAILED);
	shadow = (quoll_le32 *)range.va;
	CU_ASSERT_EQUAL(tgt_guest_add(&host.guest, &range), 0);
	CU_ASSERT_EQUAL(host_create_io(&host, &host.io, 1, 16), 0);
	CU_ASSERT_EQUAL(host_admin(&host, cmd), NVME_SC_INVALID_FIELD);
	CU_ASSERT_EQUAL(delete (nvme_admin_delete_sq, 1), 0);
	CU_ASSERT_EQUAL(delete (nvme_admin_delete_cq, 1), 0);
	shadow[4] = 7; /* of a queue that is not there */
	CU_ASSERT_EQUAL(mprotect(range.va, 4096, PROT_READ), 0);
	CU_ASSERT_EQUAL(host_admin(&host, cmd), 0);
	CU_ASSERT_EQUAL(shadow[4], 7);
	CU_ASSERT_EQUAL(host_create_io(&host, &host.io, 1, 16), 0);
	host_push(&host, &host.io, &read);
	CU_ASSERT_EQUAL(mprotect(range.va, 4096, PROT_READ | PROT_WRITE), 0);
	__atomic_store_n(&shadow[2], host.io.tail, __ATOMIC_RELEASE);
	CU_ASSERT_TRUE(host_reap(&host, &host.io, &cqe));
	CU_ASSERT_EQUAL(tgt_guest_remove(&host.guest, at, 4096), 0);
	munmap(range.va, 4096);
	host_end(&host);
}

static void doorbell_buffers_that_are_not_pages_are_refused(void)
{
	struct nvme_sqe cmd = {.opcode = nvme_admin_dbbuf, .prp1 = HOST_PAGE(700), .prp2 = HOST_PAGE(701) + 8};

	start();
	CU_ASSERT_EQUAL(host_admin(&host, cmd), NVME_SC_INVALID_FIELD);
	cmd.prp1 = 0x1000;
	cmd.prp2 = HOST_PAGE(701);
	CU_ASSERT_EQUAL(host_admin(&host, cmd), NVME_SC_INVALID_FIELD);
	cmd.prp1 = HOST_PAGE(700);
	cmd.prp2 = 0;
	CU_ASSERT_EQUAL(host_admin(&host, cmd), NVME_SC_INVALID_FIELD);
	CU_ASSERT_PTR_NULL(host.mq->shadow);
	host_end(&host);
}

/* Between a poll and arm the transport may hear that the host takes memory back. */
static void doorbell_buffers_that_went_away_are_not_touched(void)
{
	const uint64_t at = HOST_BASE + HOST_BYTES;
	struct nvme_sqe cmd = {.opcode = nvme_admin_dbbuf, .prp1 = at, .prp2 = at + 4096};
	struct tgt_guest_range range = {.iova = at, .len = 8192, .prot = HOST_RW};

	start();
	range.va = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CU_ASSERT_TRUE_FATAL(range.va != MAP_FAILED);
	CU_ASSERT_EQUAL(tgt_guest_add(&host.guest, &range), 0);
	CU_ASSERT_EQUAL(host_create_io(&host, &host.io, 1, 16), 0);
	CU_ASSERT_EQUAL(host_admin(&host, cmd), 0);
	CU_ASSERT_EQUAL(tgt_mq_arm(host.mq), 0);
	CU_ASSERT_EQUAL(tgt_guest_remove(&host.guest, at, 8192), 0);
	munmap(range.va, 8192);
	tgt_mq_disarm(host.mq);
	CU_ASSERT_EQUAL(tgt_mq_arm(host.mq), 0);
	CU_ASSERT_PTR_NULL(host.mq->shadow);
	host_end(&host);
}

/* The device's own doorbells are behind by all that the host has not written there: its commands would run again. */
static void what_has_run_does_not_run_again_when_the_shadows_go_away(void)
{
	const uint64_t at = HOST_BASE + HOST_BYTES;
	struct nvme_sqe cmd = {.opcode = nvme_admin_dbbuf, .prp1 = at, .prp2 = at + 4096};
	struct tgt_guest_range range = {.iova = at, .len = 8192, .prot = HOST_RW};
	struct nvme_sqe read = read_cmd(7);
	struct host_cqe cqe;
	quoll_le32 *shadow;

	start();
	range.va = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CU_ASSERT_TRUE_FATAL(range.va != MAP_FAILED);
	shadow = (quoll_le32 *)(void *)range.va;
	CU_ASSERT_EQUAL(tgt_guest_add(&host.guest, &range), 0);
	CU_ASSERT_EQUAL(host_create_io(&host, &host.io, 1, 16), 0);
	CU_ASSERT_EQUAL(host_admin(&host, cmd), 0);
	for (unsigned int i = 0; i < 5; i++) {
		host_push(&host, &host.io, &read);
		shadow[2] = quoll_cpu_to_le32(host.io.tail);
		CU_ASSERT_TRUE(host_reap(&host, &host.io, &cqe));
		shadow[3] = quoll_cpu_to_le32(host.io.head);
	}
	CU_ASSERT_EQUAL(tgt_guest_remove(&host.guest, at, 8192), 0);
	host_poll(&host, 3);
	CU_ASSERT_EQUAL(host.mq->sqs[1]->head, 5);
	CU_ASSERT_EQUAL(host.mq->cqs[1]->tail, 5);
	/* A register is heard; and when they are back, so are they. */
	host_push(&host, &host.io, &read);
	tgt_mq_doorbell(host.mq, 2, host.io.tail);
	CU_ASSERT_TRUE(host_reap(&host, &host.io, &cqe));
	shadow[2] = quoll_cpu_to_le32(host.io.tail);
	shadow[3] = quoll_cpu_to_le32(host.io.head);
	CU_ASSERT_EQUAL(tgt_guest_add(&host.guest, &range), 0);
	host_push(&host, &host.io, &read);
	shadow[2] = quoll_cpu_to_le32(host.io.tail);
	CU_ASSERT_TRUE(host_reap(&host, &host.io, &cqe));
	CU_ASSERT_EQUAL(host.mq->sqs[1]->head, 7);
	CU_ASSERT_EQUAL(tgt_guest_remove(&host.guest, at, 8192), 0);
	munmap(range.va, 8192);
	host_end(&host);
}

static const struct unit_test tests[] = {
	{"doorbells may be in the host's memory", doorbells_may_be_in_the_hosts_memory},
	{"a host with shadow doorbells is silent while we are awake",
	 a_host_with_shadow_doorbells_is_silent_while_we_are_awake},
	{"a host with shadow doorbells wakes us", a_host_with_shadow_doorbells_wakes_us},
	{"a host with shadow doorbells wakes us when there is room again",
	 a_host_with_shadow_doorbells_wakes_us_when_there_is_room_again},
	{"shadows may be mapped for reading only", shadows_may_be_mapped_for_reading_only},
	{"doorbell buffers that are not pages are refused", doorbell_buffers_that_are_not_pages_are_refused},
	{"doorbell buffers that went away are not touched", doorbell_buffers_that_went_away_are_not_touched},
	{"what has run does not run again when the shadows go away",
	 what_has_run_does_not_run_again_when_the_shadows_go_away},
};

UNIT_MAIN("apps/target/mq_shadow", tests)
