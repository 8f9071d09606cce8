/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_mq.c - queues in the host's memory: made and deleted with each check, full, wrapped, with doorbells that lie, in
 * memory that goes away; resets; injected faults.
 */
#include <errno.h>

#include "held_ns.h"
#include "mq_host.h"

static void completion_queues_are_checked_as_the_specification_says(void)
{
	start();
	CU_ASSERT_EQUAL(host_create_cq(&host, 0, 16, CQ_AT, 1), CMD(QID_INVALID));
	CU_ASSERT_EQUAL(host_create_cq(&host, TGT_MAX_IO_QUEUES + 1, 16, CQ_AT, 1), CMD(QID_INVALID));
	CU_ASSERT_EQUAL(host_create_cq(&host, 0xffff, 16, CQ_AT, 1), CMD(QID_INVALID));
	CU_ASSERT_EQUAL(host_create_cq(&host, 1, 1, CQ_AT, 1), CMD(QUEUE_SIZE));
	CU_ASSERT_EQUAL(host_create_cq(&host, 1, TGT_MAX_ENTRIES + 1, CQ_AT, 1), CMD(QUEUE_SIZE));
	CU_ASSERT_EQUAL(host_create_cq(&host, 1, 65536, CQ_AT, 1), CMD(QUEUE_SIZE));
	CU_ASSERT_EQUAL(host_create_cq(&host, 1, 16, CQ_AT, 0), NVME_SC_INVALID_FIELD); /* not in one piece */
	CU_ASSERT_EQUAL(host_create_cq(&host, 1, 16, CQ_AT + 512, 1), NVME_SC_PRP_INVALID_OFFSET);
	CU_ASSERT_EQUAL(host_create_cq(&host, 1, 16, 0x1000, 1), NVME_SC_INVALID_FIELD);
	CU_ASSERT_EQUAL(host_create_cq(&host, 1, 257, HOST_BASE + HOST_BYTES - 4096, 1), NVME_SC_INVALID_FIELD);
	CU_ASSERT_EQUAL(host_create_cq(&host, 1, 16, CQ_AT, TGT_MAX_VECTORS << 16 | 3), CMD(INVALID_VECTOR));
	/* Without interrupts the vector means nothing. */
	CU_ASSERT_EQUAL(host_create_cq(&host, 1, 16, CQ_AT, TGT_MAX_VECTORS << 16 | 1), 0);
	CU_ASSERT_EQUAL(host_create_cq(&host, 1, 16, CQ_AT, 1), CMD(QID_INVALID));
	CU_ASSERT_EQUAL(host_create_cq(&host, TGT_MAX_IO_QUEUES, TGT_MAX_ENTRIES, CQ_AT, 64 << 16 | 3), 0);
	host_end(&host);
}

static void submission_queues_are_checked_as_the_specification_says(void)
{
	struct nvme_sqe cmd = {.opcode = nvme_admin_create_sq, .prp1 = SQ_AT, .cdw11 = 1 << 16 | 1, .cdw12 = 1};

	start();
	CU_ASSERT_EQUAL(host_create_sq(&host, 1, 16, SQ_AT, 1 << 16 | 1), CMD(CQ_INVALID));
	CU_ASSERT_EQUAL(host_create_cq(&host, 1, 16, CQ_AT, 1), 0);
	CU_ASSERT_EQUAL(host_create_sq(&host, 0, 16, SQ_AT, 1 << 16 | 1), CMD(QID_INVALID));
	CU_ASSERT_EQUAL(host_create_sq(&host, TGT_MAX_IO_QUEUES + 1, 16, SQ_AT, 1 << 16 | 1), CMD(QID_INVALID));
	CU_ASSERT_EQUAL(host_create_sq(&host, 1, 16, SQ_AT, 1), CMD(QID_INVALID)); /* to the admin queue */
	CU_ASSERT_EQUAL(host_create_sq(&host, 1, 16, SQ_AT, 0xffffu << 16 | 1), CMD(QID_INVALID));
	CU_ASSERT_EQUAL(host_create_sq(&host, 1, 16, SQ_AT, 2 << 16 | 1), CMD(CQ_INVALID));
	CU_ASSERT_EQUAL(host_create_sq(&host, 1, 1, SQ_AT, 1 << 16 | 1), CMD(QUEUE_SIZE));
	CU_ASSERT_EQUAL(host_create_sq(&host, 1, TGT_MAX_ENTRIES + 1, SQ_AT, 1 << 16 | 1), CMD(QUEUE_SIZE));
	CU_ASSERT_EQUAL(host_create_sq(&host, 1, 16, SQ_AT, 1 << 16), NVME_SC_INVALID_FIELD);
	CU_ASSERT_EQUAL(host_create_sq(&host, 1, 16, SQ_AT + 64, 1 << 16 | 1), NVME_SC_PRP_INVALID_OFFSET);
	CU_ASSERT_EQUAL(host_create_sq(&host, 1, 16, UINT64_MAX - 4095, 1 << 16 | 1), NVME_SC_INVALID_FIELD);
	cmd.cdw10 = nvme_queue_cdw10(1, 16);
	CU_ASSERT_EQUAL(host_admin(&host, cmd), NVME_SC_INVALID_FIELD); /* an NVM set */
	CU_ASSERT_EQUAL(host_create_sq(&host, 1, 16, SQ_AT, 1 << 16 | 3 << 1 | 1), 0);
	CU_ASSERT_EQUAL(host_create_sq(&host, 1, 16, SQ_AT, 1 << 16 | 1), CMD(QID_INVALID));
	CU_ASSERT_EQUAL(tgt_mq_nr_sqs(host.mq), 1);
	host_end(&host);
}

static void entry_sizes_must_be_set_before(void)
{
	struct tgt_mq_admin admin = {
		.asq = HOST_ASQ, .acq = HOST_ACQ, .sq_entries = 2, .cq_entries = 2, .page_shift = 12};

	start();
	host_disable(&host);
	tgt_mq_entry_sizes(host.mq, 0, 0);
	CU_ASSERT_EQUAL(tgt_mq_enable(host.mq, &admin), 0);
	memset(host_va(&host, HOST_ACQ), 0, 4096);
	host.admin = (struct host_queue){.entries = 2, .sq = HOST_ASQ, .cq = HOST_ACQ, .phase = 1};
	CU_ASSERT_EQUAL(host_create_cq(&host, 1, 16, CQ_AT, 1), CMD(QUEUE_SIZE));
	host_end(&host);
}

static void queues_are_deleted_in_their_order(void)
{
	start();
	CU_ASSERT_EQUAL(host_create_io(&host, &host.io, 5, 16), 0);
	CU_ASSERT_EQUAL(delete (nvme_admin_delete_cq, 5), CMD(INVALID_QUEUE));
	CU_ASSERT_EQUAL(delete (nvme_admin_delete_cq, 0), CMD(QID_INVALID));
	CU_ASSERT_EQUAL(delete (nvme_admin_delete_cq, 4), CMD(QID_INVALID));
	CU_ASSERT_EQUAL(delete (nvme_admin_delete_cq, 0xffff), CMD(QID_INVALID));
	CU_ASSERT_EQUAL(delete (nvme_admin_delete_sq, 0), CMD(QID_INVALID));
	CU_ASSERT_EQUAL(delete (nvme_admin_delete_sq, 4), CMD(QID_INVALID));
	CU_ASSERT_EQUAL(delete (nvme_admin_delete_sq, 0xffff), CMD(QID_INVALID));
	CU_ASSERT_EQUAL(delete (nvme_admin_delete_sq, 5), 0);
	CU_ASSERT_EQUAL(delete (nvme_admin_delete_sq, 5), CMD(QID_INVALID));
	CU_ASSERT_EQUAL(delete (nvme_admin_delete_cq, 5), 0);
	CU_ASSERT_EQUAL(delete (nvme_admin_delete_cq, 5), CMD(QID_INVALID));
	/* And made again, from 0. */
	host.doorbells[10] = 9;
	CU_ASSERT_EQUAL(host_create_io(&host, &host.io, 5, 16), 0);
	CU_ASSERT_EQUAL(host_io(&host, read_cmd(1)), 0);
	host_end(&host);
}

static void all_queues_work_at_once(void)
{
	static struct host_queue queues[TGT_MAX_IO_QUEUES];
	struct host_cqe cqe;

	start();
	for (uint16_t i = 0; i < TGT_MAX_IO_QUEUES; i++)
		CU_ASSERT_EQUAL(host_create_io(&host, &queues[i], (uint16_t)(i + 1), 8), 0);
	for (unsigned int round = 0; round < 40; round++) {
		for (uint16_t i = 0; i < TGT_MAX_IO_QUEUES; i++) {
			struct nvme_sqe cmd = read_cmd((uint16_t)(i * 100 + round));

			host_push(&host, &queues[i], &cmd);
			host_ring(&host, &queues[i]);
		}
		for (uint16_t i = 0; i < TGT_MAX_IO_QUEUES; i++) {
			CU_ASSERT_TRUE(host_reap(&host, &queues[i], &cqe));
			CU_ASSERT_EQUAL(cqe.cid, i * 100 + round);
			CU_ASSERT_EQUAL(cqe.sqid, i + 1);
			CU_ASSERT_EQUAL(cqe.status, 0);
		}
	}
	for (unsigned int i = 1; i <= TGT_MAX_IO_QUEUES; i++)
		CU_ASSERT_EQUAL(host.nr_interrupts[i], 40);
	host_end(&host);
}

static void a_completion_queue_that_is_full_stops_its_submission_queues(void)
{
	struct host_queue other = {.id = 2, .entries = 64, .sq = HOST_PAGE(3800), .phase = 1};
	struct host_cqe cqe;
	unsigned int n = 0;

	start();
	CU_ASSERT_EQUAL(host_create_io(&host, &host.io, 1, 4), 0);
	/* A second, larger submission queue of the same completion queue, whose host does not read. */
	CU_ASSERT_EQUAL(host_create_sq(&host, 2, 64, other.sq, 1 << 16 | 1), 0);
	for (uint16_t i = 0; i < 50; i++) {
		struct nvme_sqe cmd = read_cmd(i);

		host_push(&host, &other, &cmd);
	}
	host_ring(&host, &other);
	host_poll(&host, 10);
	CU_ASSERT_EQUAL(host.mq->cqs[1]->tail, 3);
	CU_ASSERT_EQUAL(host.mq->nr_waiting, TGT_MAX_BATCH - 3);
	while (n < 50 && host_reap(&host, &host.io, &cqe)) {
		CU_ASSERT_EQUAL(cqe.cid, n);
		CU_ASSERT_EQUAL(cqe.sqid, 2);
		n++;
	}
	CU_ASSERT_EQUAL(n, 50);
	CU_ASSERT_EQUAL(host.mq->nr_waiting, 0);
	host_end(&host);
}

static void completions_without_room_go_with_their_queue(void)
{
	struct nvme_sqe cmd;

	start();
	CU_ASSERT_EQUAL(host_create_io(&host, &host.io, 1, 4), 0);
	CU_ASSERT_EQUAL(host_create_sq(&host, 2, 64, SQ_AT, 1 << 16 | 1), 0);
	cmd = read_cmd(1);
	for (unsigned int i = 0; i < 20; i++)
		memcpy(host_va(&host, SQ_AT + i * 64), &cmd, sizeof(cmd));
	host.doorbells[4] = 20;
	host_poll(&host, 3);
	CU_ASSERT_EQUAL(host.mq->nr_waiting, 17);
	CU_ASSERT_EQUAL(delete (nvme_admin_delete_sq, 2), 0);
	CU_ASSERT_EQUAL(host.mq->nr_waiting, 0);
	CU_ASSERT_EQUAL(host.ctrl->nr_taken, 0);
	CU_ASSERT_EQUAL(delete (nvme_admin_delete_sq, 1), 0);
	CU_ASSERT_EQUAL(delete (nvme_admin_delete_cq, 1), 0);
	host_end(&host);
}

static const uint32_t bad_register = NVME_AER_ERROR | NVME_AER_ERROR_INVALID_DB_REG << 8 | NVME_LOG_LID_ERROR << 16;
static const uint32_t bad_value = NVME_AER_ERROR | NVME_AER_ERROR_INVALID_DB_VAL << 8 | NVME_LOG_LID_ERROR << 16;

/* The event that came of it, 0 for none. */
static uint32_t event(void)
{
	struct nvme_sqe cmd = {.opcode = nvme_admin_async_event, .cid = 0x999};
	struct nvme_sqe clear = {
		.opcode = nvme_admin_get_log_page, .prp1 = HOST_DATA, .cdw10 = 15u << 16 | NVME_LOG_LID_ERROR};
	struct nvme_sqe abort = {.opcode = nvme_admin_abort_cmd, .cid = 0x998, .cdw10 = 0x999u << 16};
	struct host_cqe cqe, second;

	host_poll(&host, 2);
	host_push(&host, &host.admin, &cmd);
	host_push(&host, &host.admin, &abort);
	host_ring(&host, &host.admin);
	CU_ASSERT_TRUE(host_reap(&host, &host.admin, &cqe));
	CU_ASSERT_TRUE(host_reap(&host, &host.admin, &second));
	CU_ASSERT_EQUAL(cqe.cid, 0x999);
	CU_ASSERT_EQUAL(host_admin(&host, clear), 0);
	return cqe.status ? 0 : cqe.result;
}

static void doorbells_beyond_the_queue_are_events_and_change_nothing(void)
{
	start();
	CU_ASSERT_EQUAL(host_create_io(&host, &host.io, 1, 16), 0);
	CU_ASSERT_EQUAL(event(), 0);
	/* Mapped. */
	host.doorbells[2] = 16;
	CU_ASSERT_EQUAL(event(), bad_value);
	host.doorbells[2] = 0xffffffff;
	CU_ASSERT_EQUAL(event(), 0); /* once */
	host.doorbells[2] = 0;
	/* Trapped. */
	tgt_mq_doorbell(host.mq, 2, 16);
	CU_ASSERT_EQUAL(event(), bad_value);
	tgt_mq_doorbell(host.mq, 3, 1); /* nothing was completed */
	CU_ASSERT_EQUAL(event(), bad_value);
	tgt_mq_doorbell(host.mq, 4, 0);
	CU_ASSERT_EQUAL(event(), bad_register);
	tgt_mq_doorbell(host.mq, 5, 0);
	CU_ASSERT_EQUAL(event(), bad_register);
	tgt_mq_doorbell(host.mq, TGT_NR_DOORBELLS, 0);
	CU_ASSERT_EQUAL(event(), bad_register);
	tgt_mq_doorbell(host.mq, 0xffffffff, 7);
	CU_ASSERT_EQUAL(event(), bad_register);
	CU_ASSERT_EQUAL(host_io(&host, read_cmd(1)), 0);
	host_end(&host);
}

static void a_head_beyond_the_queue_makes_no_room(void)
{
	struct host_cqe cqe;

	start();
	CU_ASSERT_EQUAL(host_create_io(&host, &host.io, 1, 4), 0);
	CU_ASSERT_EQUAL(host_create_sq(&host, 2, 64, SQ_AT, 1 << 16 | 1), 0);
	for (uint16_t i = 0; i < 6; i++) {
		struct nvme_sqe cmd = read_cmd(i);

		memcpy(host_va(&host, SQ_AT + i * 64), &cmd, sizeof(cmd));
	}
	host.doorbells[3] = 4;
	host.doorbells[4] = 6;
	host_poll(&host, 3);
	CU_ASSERT_EQUAL(host.mq->cqs[1]->tail, 3);
	CU_ASSERT_EQUAL(host.mq->nr_waiting, 3);
	CU_ASSERT_EQUAL(event(), bad_value);
	host.doorbells[3] = 0xffffffff;
	host_poll(&host, 3);
	CU_ASSERT_EQUAL(host.mq->nr_waiting, 3);
	for (uint16_t i = 0; i < 6; i++) {
		CU_ASSERT_TRUE(host_reap(&host, &host.io, &cqe));
		CU_ASSERT_EQUAL(cqe.cid, i);
	}
	host_end(&host);
}

/*
 * The head that lies is seen in the middle of a batch. Telling of it completes another command, and that must not be
 * the moment at which the queue of the rest of the batch goes.
 */
static void a_head_that_lies_while_its_queue_is_deleted_is_survived(void)
{
	static struct held_ns held = {.ns = {.ops = &held_ops, .nr_lbas = 64, .lba_shift = 9}};
	struct nvme_sqe cmd = {.opcode = nvme_admin_async_event, .cid = 1000};
	struct host_cqe cqe;

	host_start(&host, NULL);
	CU_ASSERT_EQUAL_FATAL(tgt_subsys_add_ns(host.subsys, &held.ns, 1, NULL), 1);
	CU_ASSERT_EQUAL(host_create_cq(&host, 1, 2, CQ_AT, 1), 0);
	CU_ASSERT_EQUAL(host_create_sq(&host, 1, 16, SQ_AT, 1 << 16 | 1), 0);
	host_push(&host, &host.admin, &cmd);
	host_ring(&host, &host.admin);
	for (uint16_t i = 0; i < 3; i++) {
		cmd = read_cmd(i);
		memcpy(host_va(&host, SQ_AT + i * 64), &cmd, sizeof(cmd));
	}
	host.doorbells[2] = 3;
	host_poll(&host, 2);
	CU_ASSERT_EQUAL_FATAL(held.nr, 3);
	cmd = (struct nvme_sqe){.opcode = nvme_admin_delete_sq, .cid = 1001, .cdw10 = 1};
	host_push(&host, &host.admin, &cmd);
	host_ring(&host, &host.admin);
	host.doorbells[3] = 99;
	host_poll(&host, 2);
	CU_ASSERT_EQUAL(host.mq->nr_deleting, 1);
	held.release = true;
	CU_ASSERT_TRUE(host_reap(&host, &host.admin, &cqe));
	CU_ASSERT_EQUAL(cqe.cid, 1000);
	CU_ASSERT_EQUAL(cqe.result, bad_value);
	CU_ASSERT_TRUE(host_reap(&host, &host.admin, &cqe));
	CU_ASSERT_EQUAL(cqe.cid, 1001);
	CU_ASSERT_EQUAL(cqe.status, 0);
	/* One fitted; the others went with their queue. */
	CU_ASSERT_EQUAL(host.mq->cqs[1]->tail, 1);
	CU_ASSERT_EQUAL(host.mq->nr_waiting, 0);
	CU_ASSERT_TRUE(tgt_ctrl_idle(host.ctrl));
	CU_ASSERT_EQUAL(delete (nvme_admin_delete_cq, 1), 0);
	host_end(&host);
}

static void admin_queues_are_checked_when_enabled(void)
{
	struct tgt_mq_admin good = {
		.asq = HOST_ASQ, .acq = HOST_ACQ, .sq_entries = 16, .cq_entries = 16, .page_shift = 12};
	struct tgt_mq_admin bad;

	start();
	CU_ASSERT_EQUAL(tgt_mq_enable(host.mq, &good), -EBUSY);
	host_disable(&host);
	bad = good;
	bad.sq_entries = 1;
	CU_ASSERT_EQUAL(tgt_mq_enable(host.mq, &bad), -EINVAL);
	bad = good;
	bad.cq_entries = TGT_MAX_ENTRIES + 1;
	CU_ASSERT_EQUAL(tgt_mq_enable(host.mq, &bad), -EINVAL);
	bad = good;
	bad.asq += 64;
	CU_ASSERT_EQUAL(tgt_mq_enable(host.mq, &bad), -EINVAL);
	bad = good;
	bad.acq = 0;
	CU_ASSERT_EQUAL(tgt_mq_enable(host.mq, &bad), -EFAULT);
	bad = good;
	bad.asq = HOST_BASE + HOST_BYTES - 4096;
	bad.sq_entries = 65;
	CU_ASSERT_EQUAL(tgt_mq_enable(host.mq, &bad), -EFAULT);
	bad.sq_entries = 64;
	CU_ASSERT_EQUAL(tgt_mq_enable(host.mq, &bad), 0);
	host_end(&host);
}

static void a_reset_forgets_queues_and_waiting_commands(void)
{
	start();
	for (unsigned int i = 0; i < 20; i++) {
		struct nvme_sqe cmd = {.opcode = nvme_admin_async_event, .cid = 5};

		CU_ASSERT_EQUAL(host_create_io(&host, &host.io, 1, 16), 0);
		host_push(&host, &host.admin, &cmd);
		host_ring(&host, &host.admin);
		cmd = read_cmd(4);
		for (unsigned int j = 0; j < 15; j++)
			host_push(&host, &host.io, &cmd);
		host_ring(&host, &host.io);
		host_poll(&host, i % 3);
		host_disable(&host);
		CU_ASSERT_EQUAL(host.ctrl->nr_taken, 0);
		CU_ASSERT_EQUAL(tgt_mq_nr_sqs(host.mq), 0);
		CU_ASSERT_EQUAL(host_enable(&host), 0);
	}
	host_end(&host);
}

static void queues_stop_while_their_memory_is_away(void)
{
	struct tgt_guest_range range = {.iova = HOST_BASE, .len = HOST_BYTES, .prot = HOST_RW};
	struct nvme_sqe cmd;
	struct host_cqe cqe;

	start();
	range.va = host_va(&host, HOST_BASE);
	CU_ASSERT_EQUAL(host_create_io(&host, &host.io, 1, 16), 0);
	CU_ASSERT_EQUAL(tgt_guest_remove(&host.guest, HOST_BASE, HOST_BYTES), 0);
	cmd = read_cmd(3);
	host_push(&host, &host.io, &cmd);
	host_ring(&host, &host.io);
	host_poll(&host, 3);
	CU_ASSERT_EQUAL(host.mq->sqs[1]->head, 0);
	CU_ASSERT_EQUAL(tgt_guest_add(&host.guest, &range), 0);
	CU_ASSERT_TRUE(host_reap(&host, &host.io, &cqe));
	CU_ASSERT_EQUAL(cqe.status, 0);
	host_end(&host);
}

/* The whole memory by messages: slow, but right. */
static int by_message_read(void *arg, uint64_t iova, void *dst, size_t len)
{
	memcpy(dst, host_va(arg, iova), len);
	return 0;
}

static int by_message_write(void *arg, uint64_t iova, const void *src, size_t len)
{
	memcpy(host_va(arg, iova), src, len);
	return 0;
}

static void start_by_messages(const struct tgt_guest_ops *ops)
{
	struct tgt_guest_range range = {.iova = HOST_BASE, .len = HOST_BYTES, .prot = HOST_RW};

	start();
	host_disable(&host);
	tgt_guest_remove(&host.guest, HOST_BASE, HOST_BYTES);
	tgt_guest_add(&host.guest, &range);
	host.guest.ops = ops;
	host.guest.arg = &host;
	CU_ASSERT_EQUAL(host_enable(&host), 0);
}

static void queues_work_by_messages_alone(void)
{
	static const struct tgt_guest_ops ops = {.read = by_message_read, .write = by_message_write};

	start_by_messages(&ops);
	CU_ASSERT_EQUAL(host_create_io(&host, &host.io, 1, 4), 0);
	memset(host_va(&host, HOST_DATA), 0x21, 4096);
	CU_ASSERT_EQUAL(host_io(&host, host_rw(&host, nvme_cmd_write, 0, 8, 512)), 0);
	memset(host_va(&host, HOST_DATA), 0, 4096);
	for (unsigned int i = 0; i < 9; i++)
		CU_ASSERT_EQUAL(host_io(&host, read_cmd(1)), 0);
	CU_ASSERT_EQUAL(*(uint8_t *)host_va(&host, HOST_DATA + 4095), 0x21);
	host_end(&host);
}

/* Each message is one too many. */
static int slow_read(void *arg, uint64_t iova, void *dst, size_t len)
{
	tgt_mq_pace(host.mq, TGT_MQ_STOP);
	return by_message_read(arg, iova, dst, len);
}

static void push_some(struct host_queue *queue, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		struct nvme_sqe cmd = read_cmd(i);

		host_push(&host, queue, &cmd);
	}
	host_ring(&host, queue);
}

static void a_host_whose_memory_is_slow_has_a_command_a_poll_and_each_queue_its_turn(void)
{
	static const struct tgt_guest_ops ops = {.read = by_message_read, .write = by_message_write};
	static const struct tgt_guest_ops slow = {.read = slow_read, .write = by_message_write};
	static struct host_queue queues[2];
	const unsigned int *n = &host.nr_interrupts[1];

	start_by_messages(&ops);
	for (uint16_t i = 0; i < 2; i++)
		CU_ASSERT_EQUAL(host_create_io(&host, &queues[i], (uint16_t)(i + 1), 32), 0);
	for (uint16_t i = 0; i < 2; i++)
		push_some(&queues[i], 20);
	host.guest.ops = &slow;
	for (unsigned int round = 1; round <= 9; round++) {
		tgt_mq_pace(host.mq, TGT_MQ_ONE);
		CU_ASSERT_EQUAL(tgt_mq_arm(host.mq), 1);
		host_poll(&host, 1);
		CU_ASSERT_EQUAL(n[0] + n[1], round);
		host_poll(&host, 1); /* it goes on only when it is told to */
		CU_ASSERT_EQUAL(n[0] + n[1], round);
	}
	CU_ASSERT_TRUE(n[0] >= 3 && n[1] >= 3);
	/* Without the stop one of each queue; a hold goes before. */
	host.guest.ops = &ops;
	tgt_mq_pace(host.mq, TGT_MQ_ONE);
	host_poll(&host, 1);
	CU_ASSERT_EQUAL(n[0] + n[1], 11);
	tgt_mq_hold(host.mq, TGT_MQ_ANSWER);
	tgt_mq_pace(host.mq, TGT_MQ_FULL);
	host_poll(&host, 1);
	CU_ASSERT_EQUAL(n[0] + n[1], 11);
	tgt_mq_hold(host.mq, TGT_MQ_RUN);
	host_poll(&host, 1);
	CU_ASSERT_EQUAL(n[0] + n[1], 13); /* interrupts: each has the rest in one batch */
	CU_ASSERT_EQUAL(tgt_mq_arm(host.mq), 0);
	host_end(&host);
}

static void interrupts_are_one_a_batch(void)
{
	struct host_cqe cqe;

	start();
	CU_ASSERT_EQUAL(host_create_io(&host, &host.io, 3, 64), 0);
	for (uint16_t i = 0; i < 30; i++) {
		struct nvme_sqe cmd = read_cmd(i);

		host_push(&host, &host.io, &cmd);
	}
	host_ring(&host, &host.io);
	host_poll(&host, 1);
	CU_ASSERT_EQUAL(host.nr_interrupts[3], 1);
	for (uint16_t i = 0; i < 30; i++)
		CU_ASSERT_TRUE(host_reap(&host, &host.io, &cqe));
	host_end(&host);
}

static void a_queue_on_which_only_the_host_can_act_keeps_nobody_awake(void)
{
	struct host_cqe cqe;

	start();
	CU_ASSERT_EQUAL(host_create_io(&host, &host.io, 1, 4), 0);
	CU_ASSERT_EQUAL(tgt_mq_arm(host.mq), 0);
	host.doorbells[2] = 99; /* beyond the queue */
	host_poll(&host, 1);
	CU_ASSERT_EQUAL(tgt_mq_arm(host.mq), 0);
	/* Three completions fill the queue; the fourth command waits for room. */
	for (uint16_t i = 0; i < 4; i++) {
		struct nvme_sqe cmd = read_cmd(i);

		host_push(&host, &host.io, &cmd);
		host_ring(&host, &host.io);
		host_poll(&host, 1);
	}
	host_push(&host, &host.io, &(struct nvme_sqe){.opcode = nvme_cmd_flush, .nsid = 1});
	host_ring(&host, &host.io);
	host_poll(&host, 1);
	CU_ASSERT_EQUAL(tgt_mq_arm(host.mq), 0);
	host.doorbells[3] = 1; /* the host has read one, behind our back */
	CU_ASSERT_EQUAL(tgt_mq_arm(host.mq), 1);
	tgt_mq_disarm(host.mq);
	for (unsigned int i = 0; i < 5; i++)
		CU_ASSERT_TRUE(host_reap(&host, &host.io, &cqe));
	CU_ASSERT_EQUAL(tgt_mq_arm(host.mq), 0);
	host_end(&host);
}

static void a_controller_that_is_held_fetches_nothing_but_answers(void)
{
	struct nvme_sqe cmd = read_cmd(7);
	struct host_cqe cqe;

	start();
	CU_ASSERT_EQUAL(host_create_io(&host, &host.io, 1, 16), 0);
	tgt_mq_hold(host.mq, TGT_MQ_ANSWER);
	host_push(&host, &host.io, &cmd);
	host_ring(&host, &host.io);
	host_poll(&host, 10);
	CU_ASSERT_EQUAL(host.io.head, 0);
	CU_ASSERT_EQUAL(host.ctrl->nr_taken, 0);
	CU_ASSERT_EQUAL(tgt_mq_arm(host.mq), 0);
	tgt_mq_hold(host.mq, TGT_MQ_RUN);
	CU_ASSERT_EQUAL(tgt_mq_arm(host.mq), 1);
	CU_ASSERT_TRUE(host_reap(&host, &host.io, &cqe));
	CU_ASSERT_EQUAL(cqe.cid, 7);
	host_end(&host);
}

static const struct unit_test tests[] = {
	{"completion queues are checked as the specification says",
	 completion_queues_are_checked_as_the_specification_says},
	{"submission queues are checked as the specification says",
	 submission_queues_are_checked_as_the_specification_says},
	{"entry sizes must be set before", entry_sizes_must_be_set_before},
	{"queues are deleted in their order", queues_are_deleted_in_their_order},
	{"all queues work at once", all_queues_work_at_once},
	{"a completion queue that is full stops its submission queues",
	 a_completion_queue_that_is_full_stops_its_submission_queues},
	{"completions without room go with their queue", completions_without_room_go_with_their_queue},
	{"doorbells beyond the queue are events, and change nothing",
	 doorbells_beyond_the_queue_are_events_and_change_nothing},
	{"a head beyond the queue makes no room", a_head_beyond_the_queue_makes_no_room},
	{"a head that lies while its queue is deleted is survived",
	 a_head_that_lies_while_its_queue_is_deleted_is_survived},
	{"admin queues are checked when enabled", admin_queues_are_checked_when_enabled},
	{"a reset forgets queues and waiting commands", a_reset_forgets_queues_and_waiting_commands},
	{"queues stop while their memory is away", queues_stop_while_their_memory_is_away},
	{"queues work by messages alone", queues_work_by_messages_alone},
	{"a host whose memory is slow has a command a poll, and each queue its turn",
	 a_host_whose_memory_is_slow_has_a_command_a_poll_and_each_queue_its_turn},
	{"interrupts are one a batch", interrupts_are_one_a_batch},
	{"a queue on which only the host can act keeps nobody awake",
	 a_queue_on_which_only_the_host_can_act_keeps_nobody_awake},
	{"a controller that is held fetches nothing, but answers",
	 a_controller_that_is_held_fetches_nothing_but_answers},
};

UNIT_MAIN("apps/target/mq", tests)
