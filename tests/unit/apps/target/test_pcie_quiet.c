/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_pcie_quiet.c - a host that takes the function's right to reach its memory: bus mastering off, D3, a function
 * reset. It is answered when nothing moves there any more, and not kept waiting for ever.
 */
#include <errno.h>

#include "held_ns.h"
#include "pcie_host.h"

#define ON (PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY)
#define SHADOW (IOVA + 0x8000)
#define EVENTS (IOVA + 0x9000)

static struct held_ns held;

/* A command on @held is in flight. */
static void start_held(struct nvme_sqe cmd)
{
	held = (struct held_ns){.ns = {.ops = &held_ops, .nr_lbas = 64, .lba_shift = 9}};
	start_ns(&held.ns, false);
	enable_io();
	push(&f.io, cmd);
	tgt_pcie_poll(f.pcie);
	CU_ASSERT_EQUAL_FATAL(held.nr, 1);
}

static void finish_held(void)
{
	held.release = true;
	finish();
}

static int bus_mastering_off(void)
{
	return set_command(PCI_COMMAND_MEMORY);
}

static int power_off(void)
{
	return set_config(capability(PCI_CAP_ID_PM) + PCI_PM_CTRL, 3);
}

static int function_reset(void)
{
	return set_config(capability(PCI_CAP_ID_EXP) + PCI_EXP_DEVCTL, 0x8000);
}

static int (*const ways[])(void) = {bus_mastering_off, power_off, function_reset};
#define NR_WAYS (sizeof(ways) / sizeof(ways[0]))

/* The server's part: the same write again after each poll, until it is answered. */
static bool is_answered(int (*way)(void))
{
	time_t until = time(NULL) + 10;
	int rc;

	while ((rc = way()) == -EAGAIN && time(NULL) < until)
		tgt_pcie_poll(f.pcie);
	CU_ASSERT_EQUAL(rc, 0);
	return !rc;
}

static void it_is_answered_when_nothing_moves_any_more(void)
{
	for (size_t i = 0; i < NR_WAYS; i++) {
		start_held(rw(nvme_cmd_read));
		CU_ASSERT_EQUAL(ways[i](), -EAGAIN);
		CU_ASSERT_EQUAL(memory[DATA - IOVA], 0);
		held.release = true;
		CU_ASSERT_TRUE(is_answered(ways[i]));
		CU_ASSERT_EQUAL(held.nr, 0);
		CU_ASSERT_EQUAL(memory[DATA - IOVA], HELD_DATA);
		CU_ASSERT_FALSE(answered(&f.io));
		finish_held();
	}
}

static void what_the_host_writes_is_read_before_it_is_answered(void)
{
	start_held(rw(nvme_cmd_write));
	CU_ASSERT_EQUAL(bus_mastering_off(), -EAGAIN);
	held.release = true;
	CU_ASSERT_TRUE(is_answered(bus_mastering_off));
	finish_held();
}

static void completions_wait_until_memory_is_in_reach(void)
{
	struct nvme_cqe cqe;

	for (size_t i = 0; i < 2; i++) { /* a function reset forgets them */
		start_held(rw(nvme_cmd_read));
		held.release = true;
		CU_ASSERT_TRUE(is_answered(ways[i]));
		ring(2, 2); /* another one, which isn't fetched */
		for (int n = 0; n < 100; n++)
			tgt_pcie_poll(f.pcie);
		CU_ASSERT_FALSE(answered(&f.io));
		CU_ASSERT_EQUAL(tgt_pcie_arm(f.pcie), 0); /* nor does it keep anybody awake */
		tgt_pcie_disarm(f.pcie);
		CU_ASSERT_EQUAL(set_config(capability(PCI_CAP_ID_PM) + PCI_PM_CTRL, 0), 0);
		CU_ASSERT_EQUAL(set_command(ON), 0);
		tgt_pcie_poll(f.pcie);
		CU_ASSERT_TRUE(take(&f.io, &cqe));
		CU_ASSERT_EQUAL(nvme_cqe_status(cqe.cid_status), 0);
		CU_ASSERT_TRUE(f.nr_irqs[5] > 0);
		finish_held();
	}
}

static void a_function_reset_forgets_what_was_in_flight(void)
{
	start_held(rw(nvme_cmd_read));
	CU_ASSERT_EQUAL(function_reset(), -EAGAIN);
	CU_ASSERT_EQUAL(csts(), 0); /* registers are as after power-on already */
	CU_ASSERT_EQUAL(reg(NVME_REG_ASQ, 8), 0);
	CU_ASSERT_EQUAL(config(PCI_COMMAND), 0);
	held.release = true;
	CU_ASSERT_TRUE(is_answered(function_reset));
	CU_ASSERT_EQUAL(set_command(ON), 0);
	enable_io();
	CU_ASSERT_FALSE(answered(&f.io));
	CU_ASSERT_EQUAL(run(&f.io, rw(nvme_cmd_read)), 0);
	finish_held();
}

static void a_back_end_that_does_not_return_is_not_waited_for_without_end(void)
{
	for (size_t i = 0; i < NR_WAYS; i++) {
		start_held(rw(nvme_cmd_read));
		CU_ASSERT_TRUE(is_answered(ways[i]));
		CU_ASSERT_EQUAL(held.nr, 1);
		/* What the host writes then is answered at once: it has waited. */
		CU_ASSERT_EQUAL(set_command(0), 0);
		CU_ASSERT_EQUAL(set_config(PCI_BASE_ADDRESS_0, 0), 0);
		held.release = true;
		for (int n = 0; n < 100; n++)
			tgt_pcie_poll(f.pcie);
		CU_ASSERT_EQUAL(held.nr, 0);
		CU_ASSERT_FALSE(answered(&f.io));
		finish_held();
	}
}

static void after_a_reset_that_was_not_waited_for_it_is_ready_when_the_last_command_has_ended(void)
{
	start_held(rw(nvme_cmd_read));
	CU_ASSERT_TRUE(is_answered(function_reset));
	CU_ASSERT_EQUAL(set_command(ON), 0);
	enable();
	for (int n = 0; n < 100; n++)
		tgt_pcie_poll(f.pcie);
	CU_ASSERT_EQUAL(csts(), 0);
	held.release = true;
	poll_until(is_ready);
	enable_io();
	CU_ASSERT_EQUAL(run(&f.io, rw(nvme_cmd_read)), 0);
	finish_held();
}

static void what_faults_hold_back_is_not_waited_for(void)
{
	static const char *const texts[] = {"drop,queue=io", "delay=3600s,queue=io"};
	struct tgt_fault one;

	for (size_t i = 0; i < 2; i++) {
		start("mem:1M", false);
		fault(texts[i], &one);
		enable_io();
		push(&f.io, rw(nvme_cmd_read));
		tgt_pcie_poll(f.pcie);
		CU_ASSERT_EQUAL(bus_mastering_off(), 0);
		finish();
	}
}

static struct tgt_ctrl *ctrl(void)
{
	return tgt_pcie_ctrl(f.pcie);
}

static bool is_late_no_more(void)
{
	return !ctrl()->late;
}

static void a_completion_whose_delay_is_over_waits(void)
{
	struct tgt_fault one;
	struct nvme_cqe cqe;

	start("mem:1M", false);
	fault("delay=1ms,queue=io", &one);
	enable_io();
	push(&f.io, rw(nvme_cmd_read));
	tgt_pcie_poll(f.pcie);
	CU_ASSERT_EQUAL(bus_mastering_off(), 0);
	poll_until(is_late_no_more);
	CU_ASSERT_FALSE(answered(&f.io));
	CU_ASSERT_EQUAL(set_command(ON), 0);
	tgt_pcie_poll(f.pcie);
	CU_ASSERT_TRUE(take(&f.io, &cqe));
	finish();
}

static void events_wait(void)
{
	struct nvme_cqe cqe;

	start("mem:1M", false);
	enable();
	push(&f.admin, (struct nvme_sqe){.opcode = nvme_admin_async_event});
	tgt_pcie_poll(f.pcie);
	CU_ASSERT_EQUAL(bus_mastering_off(), 0);
	set_reg(0x1000 + 4 * 60, 1, 4); /* a doorbell that isn't there */
	tgt_pcie_poll(f.pcie);
	CU_ASSERT_FALSE(answered(&f.admin));
	CU_ASSERT_EQUAL(set_command(ON), 0);
	tgt_pcie_poll(f.pcie);
	CU_ASSERT_TRUE(take(&f.admin, &cqe));
	finish();
}

static void event_indices_are_not_written(void)
{
	const quoll_le32 *events = (const quoll_le32 *)(memory + (EVENTS - IOVA));
	struct nvme_sqe cmd = {.opcode = nvme_admin_dbbuf, .prp1 = SHADOW, .prp2 = EVENTS};

	start("mem:1M", false);
	enable_io();
	CU_ASSERT_EQUAL(run(&f.admin, cmd), 0);
	CU_ASSERT_EQUAL(bus_mastering_off(), 0);
	memset(memory + (EVENTS - IOVA), 0x77, 4096);
	tgt_pcie_arm(f.pcie);
	tgt_pcie_disarm(f.pcie);
	tgt_pcie_poll(f.pcie);
	for (unsigned int i = 0; i < 1024; i++)
		CU_ASSERT_EQUAL(events[i], quoll_cpu_to_le32(0x77777777));
	finish();
}

static void a_queue_is_deleted_when_its_last_command_has_ended_all_the_same(void)
{
	struct nvme_sqe cmd = {.opcode = nvme_admin_delete_sq, .cdw10 = 1};
	struct nvme_cqe cqe;

	start_held(rw(nvme_cmd_read));
	push(&f.admin, cmd);
	tgt_pcie_poll(f.pcie);
	held.release = true;
	CU_ASSERT_TRUE(is_answered(bus_mastering_off));
	tgt_pcie_poll(f.pcie);
	CU_ASSERT_EQUAL(tgt_pcie_nr_queues(f.pcie), 0);
	CU_ASSERT_FALSE(answered(&f.admin));
	CU_ASSERT_EQUAL(set_command(ON), 0);
	tgt_pcie_poll(f.pcie);
	CU_ASSERT_TRUE(take(&f.admin, &cqe));
	CU_ASSERT_EQUAL(nvme_cqe_status(cqe.cid_status), 0);
	finish_held();
}

/* A client that waits for an answer may be unable to give one, as QEMU under its lock. */
static void data_that_would_go_by_messages_is_lost(void)
{
	struct nvme_cqe cqe;

	start_held(rw(nvme_cmd_flush)); /* for a start, and without data */
	held.release = true;
	tgt_pcie_poll(f.pcie);
	CU_ASSERT_TRUE_FATAL(take(&f.io, &cqe));
	held.release = false;
	CU_ASSERT_EQUAL(unmap(memory), 0);
	CU_ASSERT_EQUAL(map(NULL), 0);
	push(&f.io, rw(nvme_cmd_read));
	tgt_pcie_poll(f.pcie);
	CU_ASSERT_EQUAL_FATAL(held.nr, 1);
	f.nr_dma_reads = f.nr_dma_writes = 0;
	CU_ASSERT_EQUAL(bus_mastering_off(), 0);
	held.release = true;
	for (int n = 0; n < 100; n++)
		tgt_pcie_poll(f.pcie);
	CU_ASSERT_EQUAL(held.nr, 0);
	CU_ASSERT_EQUAL(f.nr_dma_reads + f.nr_dma_writes, 0);
	CU_ASSERT_EQUAL(set_command(ON), 0);
	tgt_pcie_poll(f.pcie);
	CU_ASSERT_TRUE(take(&f.io, &cqe));
	CU_ASSERT_EQUAL(nvme_cqe_status(cqe.cid_status), NVME_SC_DATA_XFER_ERROR);
	CU_ASSERT_EQUAL(memory[DATA - IOVA], 0);
	CU_ASSERT_EQUAL(run(&f.io, rw(nvme_cmd_read)), 0);
	CU_ASSERT_EQUAL(memory[DATA - IOVA], HELD_DATA);
	finish_held();
}

static void a_client_that_goes_while_it_waits_leaves_nothing_behind(void)
{
	start_held(rw(nvme_cmd_read));
	CU_ASSERT_EQUAL(bus_mastering_off(), -EAGAIN);
	CU_ASSERT_EQUAL(f.device.ops->disconnect(f.device.arg), -EAGAIN);
	held.release = true;
	poll_until(disconnected);
	/* The next one's writes are its own, not the last one's again. */
	join();
	CU_ASSERT_EQUAL(config(PCI_COMMAND), ON);
	enable_io();
	CU_ASSERT_EQUAL(run(&f.io, rw(nvme_cmd_read)), 0);
	finish_held();
}

static void only_a_back_end_keeps_memory(void)
{
	struct tgt_fault one;

	start_held(rw(nvme_cmd_read));
	fault("drop,queue=io,count=1", &one);
	push(&f.io, rw(nvme_cmd_read));
	tgt_pcie_poll(f.pcie);
	CU_ASSERT_EQUAL(held.nr, 2);
	CU_ASSERT_EQUAL(tgt_ctrl_moving(ctrl()), 2);
	held.release = true;
	tgt_pcie_poll(f.pcie);
	CU_ASSERT_PTR_NOT_NULL(ctrl()->dropped);
	CU_ASSERT_EQUAL(tgt_ctrl_moving(ctrl()), 0);
	held.release = false;
	push(&f.io, (struct nvme_sqe){.opcode = nvme_cmd_flush, .nsid = 1});
	tgt_pcie_poll(f.pcie);
	CU_ASSERT_TRUE(tgt_ctrl_busy(ctrl()));
	CU_ASSERT_FALSE(tgt_ctrl_uses(ctrl(), memory, MEMORY));
	finish_held();
}

/* Its extents are of the namespace, and no memory of the host's, nor any at all. */
static void what_clears_blocks_keeps_no_memory(void)
{
	start("mem:8M", false);
	enable_io();
	push(&f.io, (struct nvme_sqe){.opcode = nvme_cmd_write_zeroes, .nsid = 1, .cdw12 = 16383});
	tgt_pcie_poll(f.pcie);
	CU_ASSERT_TRUE(tgt_ctrl_busy(ctrl()));
	CU_ASSERT_FALSE(tgt_ctrl_uses(ctrl(), memory, MEMORY));
	CU_ASSERT_EQUAL(bus_mastering_off(), 0);
	finish();
}

static const struct unit_test tests[] = {
	{"it is answered when nothing moves any more", it_is_answered_when_nothing_moves_any_more},
	{"what the host writes is read before it is answered", what_the_host_writes_is_read_before_it_is_answered},
	{"completions wait until memory is in reach", completions_wait_until_memory_is_in_reach},
	{"a function reset forgets what was in flight", a_function_reset_forgets_what_was_in_flight},
	{"a back end that does not return is not waited for without end",
	 a_back_end_that_does_not_return_is_not_waited_for_without_end},
	{"after a reset that was not waited for it is ready when the last command has ended",
	 after_a_reset_that_was_not_waited_for_it_is_ready_when_the_last_command_has_ended},
	{"what faults hold back is not waited for", what_faults_hold_back_is_not_waited_for},
	{"a completion whose delay is over waits", a_completion_whose_delay_is_over_waits},
	{"events wait", events_wait},
	{"event indices are not written", event_indices_are_not_written},
	{"a queue is deleted when its last command has ended all the same",
	 a_queue_is_deleted_when_its_last_command_has_ended_all_the_same},
	{"data that would go by messages is lost", data_that_would_go_by_messages_is_lost},
	{"a client that goes while it waits leaves nothing behind",
	 a_client_that_goes_while_it_waits_leaves_nothing_behind},
	{"only a back end keeps memory", only_a_back_end_keeps_memory},
	{"what clears blocks keeps no memory", what_clears_blocks_keeps_no_memory},
};

UNIT_MAIN("apps/target/pcie_quiet", tests)
