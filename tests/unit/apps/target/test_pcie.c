/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_pcie.c - the controller through its registers: enable, refuse, reset, shut down, function reset; doorbells by
 * message and by memory; memory that the host takes away; interrupts; injected faults. The server is played by the
 * test, which calls what the function gave it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#include "pcie_host.h"

static void a_file(char *text, size_t bytes)
{
	int fd;

	strcpy(f.path, "/tmp/quoll-pcie-XXXXXX");
	fd = mkstemp(f.path);
	CU_ASSERT_TRUE_FATAL(fd >= 0 && !ftruncate(fd, 1 << 20));
	close(fd);
	snprintf(text, bytes, "file:%s", f.path);
}

/* start() clears what a_file() has noted. */
static void start_file_with(const char *options)
{
	char text[96], path[32];

	a_file(text, sizeof(text));
	strcat(text, options);
	strcpy(path, f.path);
	start(text, false);
	strcpy(f.path, path);
}

static void start_file(void)
{
	start_file_with("");
}

static void registers_are_as_the_specification_has_them(void)
{
	uint64_t cap;

	start("mem:1M", false);
	cap = reg(NVME_REG_CAP, 8);
	CU_ASSERT_EQUAL(NVME_CAP_MQES(cap), TGT_MAX_ENTRIES - 1);
	CU_ASSERT_EQUAL(NVME_CAP_CQR(cap), 1);
	CU_ASSERT_EQUAL(NVME_CAP_DSTRD(cap), 0);
	CU_ASSERT_EQUAL(NVME_CAP_NSSRC(cap), 0);
	CU_ASSERT_EQUAL(NVME_CAP_CSS(cap), NVME_CAP_CSS_NVM);
	CU_ASSERT_EQUAL(NVME_CAP_MPSMIN(cap), 0);
	CU_ASSERT_EQUAL(NVME_CAP_CMBS(cap), 0);
	CU_ASSERT_TRUE(NVME_CAP_TO(cap) > 0);
	CU_ASSERT_EQUAL(NVME_CAP_CRMS(cap), 1);
	CU_ASSERT_EQUAL(NVME_CRTO_CRWMT(reg(NVME_REG_CRTO, 4)), NVME_CAP_TO(cap));
	CU_ASSERT_EQUAL(reg(NVME_REG_VS, 4), 0x20000);
	CU_ASSERT_EQUAL(csts(), 0);
	CU_ASSERT_EQUAL(reg(NVME_REG_NSSR, 4), 0);
	CU_ASSERT_EQUAL(reg(NVME_REG_CMBSZ, 4), 0);
	finish();
}

static void registers_are_read_and_written_by_halves_and_by_wholes(void)
{
	start("mem:1M", false);
	CU_ASSERT_EQUAL(set_reg(NVME_REG_ASQ, 0x123456789abcd000, 8), 0);
	CU_ASSERT_EQUAL(reg(NVME_REG_ASQ, 8), 0x123456789abcd000);
	CU_ASSERT_EQUAL(reg(NVME_REG_ASQ, 4), 0x9abcd000);
	CU_ASSERT_EQUAL(reg(NVME_REG_ASQ + 4, 4), 0x12345678);
	CU_ASSERT_EQUAL(set_reg(NVME_REG_ACQ + 4, 0x11223344, 4), 0);
	CU_ASSERT_EQUAL(set_reg(NVME_REG_ACQ, 0x55667fff, 4), 0); /* 11:0 are reserved */
	CU_ASSERT_EQUAL(reg(NVME_REG_ACQ, 8), 0x1122334455667000);
	/* Two registers at once, and bytes of one. */
	CU_ASSERT_EQUAL(set_reg(NVME_REG_AQA, 0x000f000full | 0xfeed0000ull << 32, 8), 0);
	CU_ASSERT_EQUAL(reg(NVME_REG_AQA, 4), 0x000f000f);
	CU_ASSERT_EQUAL(reg(NVME_REG_ASQ, 4), 0xfeed0000);
	CU_ASSERT_EQUAL(reg(NVME_REG_AQA, 1), 0x0f);
	CU_ASSERT_EQUAL(reg(NVME_REG_AQA + 2, 2), 0x0f);
	/* Other widths and places are refused, and reach nothing. */
	CU_ASSERT_EQUAL(set_reg(NVME_REG_AQA, 0x33, 1), -EINVAL);
	CU_ASSERT_EQUAL(set_reg(NVME_REG_AQA, 0x33, 2), -EINVAL);
	CU_ASSERT_EQUAL(set_reg(NVME_REG_AQA + 2, 0x33, 4), -EINVAL);
	CU_ASSERT_EQUAL(reg(NVME_REG_AQA, 4), 0x000f000f);
	/* Read-only ones stay, reserved ones are 0. */
	set_reg(NVME_REG_CAP, UINT64_MAX, 8);
	set_reg(NVME_REG_CSTS, UINT32_MAX, 4);
	set_reg(0x70, UINT32_MAX, 4);
	CU_ASSERT_EQUAL(NVME_CAP_MQES(reg(NVME_REG_CAP, 8)), TGT_MAX_ENTRIES - 1);
	CU_ASSERT_EQUAL(csts(), 0);
	CU_ASSERT_EQUAL(reg(0x70, 4), 0);
	set_reg(NVME_REG_INTMS, 0xf0, 4);
	set_reg(NVME_REG_INTMC, 0x30, 4);
	CU_ASSERT_EQUAL(reg(NVME_REG_INTMS, 4), 0xc0);
	finish();
}

static void a_host_enables_uses_and_disables_it(void)
{
	struct nvme_sqe cmd = rw(nvme_cmd_write);

	for (int mapped = 0; mapped < 2; mapped++) {
		start("mem:1M", mapped);
		for (int round = 0; round < 3; round++) {
			enable_io();
			memset(memory + 0x4000, 0xa0 + round, 4096);
			CU_ASSERT_EQUAL(run(&f.io, cmd), 0);
			memset(memory + 0x4000, 0, 4096);
			CU_ASSERT_EQUAL(run(&f.io, rw(nvme_cmd_read)), 0);
			CU_ASSERT_EQUAL(memory[0x4000], 0xa0 + round);
			CU_ASSERT_EQUAL(memory[0x4fff], 0xa0 + round);
			CU_ASSERT_TRUE(tgt_pcie_ready(f.pcie));
			CU_ASSERT_EQUAL(tgt_pcie_nr_queues(f.pcie), 1);
			set_reg(NVME_REG_CC, CC_ON & ~1u, 4);
			poll_until(is_off);
		}
		CU_ASSERT_TRUE(f.nr_irqs[5] >= 6); /* the I/O queue's vector */
		CU_ASSERT_TRUE(f.nr_irqs[0] >= 6);
		finish();
	}
}

static void what_cannot_be_enabled_is_a_fatal_status(void)
{
	static const uint32_t wrong[] = {
		CC_ON | 5u << NVME_CC_MPS_SHIFT, /* 128 KiB pages */
		CC_ON | 6u << NVME_CC_CSS_SHIFT, /* command sets that aren't there */
		CC_ON | 1u << NVME_CC_AMS_SHIFT, /* arbitration likewise */
	};

	start("mem:1M", false);
	set_reg(NVME_REG_CC, CC_ON, 4); /* queues of one entry */
	CU_ASSERT_EQUAL(csts(), 2);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		set_reg(NVME_REG_CC, 0, 4);
		CU_ASSERT_EQUAL(csts(), 0);
		enable();
		set_reg(NVME_REG_CC, 0, 4);
		set_reg(NVME_REG_CC, wrong[i], 4);
		CU_ASSERT_EQUAL(csts(), 2);
	}
	set_reg(NVME_REG_CC, 0, 4);
	set_reg(NVME_REG_ASQ, 0xdead0000, 8); /* not the host's memory */
	set_reg(NVME_REG_CC, CC_ON, 4);
	CU_ASSERT_EQUAL(csts(), 2);
	/* And a reset mends it. */
	set_reg(NVME_REG_CC, 0, 4);
	enable_io();
	finish();
}

static void larger_pages_work(void)
{
	start("mem:1M", false);
	enable();
	set_reg(NVME_REG_CC, 0, 4);
	set_reg(NVME_REG_ASQ, IOVA + 0x10000, 8);
	set_reg(NVME_REG_ACQ, IOVA + 0x20000, 8);
	set_reg(NVME_REG_CC, CC_ON | 4u << NVME_CC_MPS_SHIFT, 4);
	CU_ASSERT_EQUAL(csts(), 1);
	f.admin = (struct ring){.sq = IOVA + 0x10000, .cq = IOVA + 0x20000, .phase = 1};
	CU_ASSERT_EQUAL(run(&f.admin, (struct nvme_sqe){.opcode = nvme_admin_identify, .prp1 = DATA, .cdw10 = 1}), 0);
	finish();
}

/* A read of the file is in flight until its ring is polled. */
static void push_file_read(void)
{
	push(&f.io, rw(nvme_cmd_read));
	tgt_pcie_poll(f.pcie);
}

static void a_reset_waits_for_what_is_in_flight(void)
{
	start_file();
	enable_io();
	push_file_read();
	set_reg(NVME_REG_CC, CC_ON & ~1u, 4);
	CU_ASSERT_EQUAL(csts(), 1); /* still: nothing was polled since */
	/* A hasty host sets EN again before RDY is 0. */
	set_reg(NVME_REG_CC, CC_ON, 4);
	poll_until(is_ready);
	set_reg(NVME_REG_CC, CC_ON & ~1u, 4);
	poll_until(is_off);
	enable_io();
	CU_ASSERT_EQUAL(run(&f.io, rw(nvme_cmd_read)), 0);
	finish();
}

static void a_shutdown_flushes_and_is_over_with_a_reset(void)
{
	start_file();
	enable_io();
	CU_ASSERT_EQUAL(run(&f.io, rw(nvme_cmd_write)), 0);
	set_reg(NVME_REG_CC, CC_ON | 1u << NVME_CC_SHN_SHIFT, 4);
	CU_ASSERT_EQUAL(NVME_CSTS_SHST(csts()), NVME_CSTS_SHST_OCCUR); /* the flush is on its way */
	poll_until(is_shut);
	CU_ASSERT_TRUE(csts() & 1);
	/* Nothing is answered any more. */
	push(&f.io, rw(nvme_cmd_read));
	for (int i = 0; i < 100; i++)
		tgt_pcie_poll(f.pcie);
	CU_ASSERT_EQUAL(memory[CQ1 - IOVA + f.io.head * 16 + 14] & 1, !f.io.phase);
	set_reg(NVME_REG_CC, CC_ON & ~1u, 4);
	CU_ASSERT_EQUAL(csts(), 0);
	enable_io();
	CU_ASSERT_EQUAL(run(&f.io, rw(nvme_cmd_read)), 0);
	/* One that clears EN at the same time ends with both. */
	set_reg(NVME_REG_CC, (CC_ON & ~1u) | 2u << NVME_CC_SHN_SHIFT, 4);
	poll_until(is_shut);
	CU_ASSERT_EQUAL(csts() & 1, 0);
	enable_io();
	finish();
}

/* Base 2.0 lets a host enable the controller first, ask what sizes it takes, and then say which it uses. */
static void entry_sizes_may_be_set_until_there_are_queues(void)
{
	const uint32_t sizes = CC_ON & ~1u;

	start("mem:1M", false);
	enable();
	set_reg(NVME_REG_CC, 0, 4);
	set_reg(NVME_REG_CC, 1, 4);
	CU_ASSERT_EQUAL(csts(), 1);
	f.admin = (struct ring){.sq = ASQ, .cq = ACQ, .phase = 1};
	memset(memory, 0, 0x2000);
	CU_ASSERT_EQUAL(create_cq(), NVME_SCT_CMD_SPECIFIC << 8 | NVME_SC_QUEUE_SIZE);
	set_reg(NVME_REG_CC, CC_ON, 4);
	CU_ASSERT_EQUAL(reg(NVME_REG_CC, 4), CC_ON);
	CU_ASSERT_EQUAL(csts(), 1);
	CU_ASSERT_EQUAL(create_cq(), 0);
	CU_ASSERT_EQUAL(create_sq(), 0);
	CU_ASSERT_EQUAL(run(&f.io, rw(nvme_cmd_read)), 0);
	/* What isn't defined changes nothing. */
	set_reg(NVME_REG_CC, 1, 4);
	CU_ASSERT_EQUAL(reg(NVME_REG_CC, 4), CC_ON);
	CU_ASSERT_EQUAL(csts(), 1);
	CU_ASSERT_EQUAL(run(&f.io, rw(nvme_cmd_read)), 0);
	/* Each size until there are no queues of its kind. */
	CU_ASSERT_EQUAL(run(&f.admin, (struct nvme_sqe){.opcode = nvme_admin_delete_sq, .cdw10 = 1}), 0);
	set_reg(NVME_REG_CC, 1, 4);
	CU_ASSERT_EQUAL(reg(NVME_REG_CC, 4), (CC_ON & ~(0xfu << NVME_CC_IOSQES_SHIFT)));
	set_reg(NVME_REG_CC, 1 | sizes, 4);
	CU_ASSERT_EQUAL(create_sq(), 0);
	finish();
}

static void pages_and_command_sets_are_a_disabled_controllers_to_change(void)
{
	static const uint32_t other[] = {1u << NVME_CC_MPS_SHIFT, 6u << NVME_CC_CSS_SHIFT, 1u << NVME_CC_AMS_SHIFT};

	start("mem:1M", false);
	enable_io();
	for (size_t i = 0; i < 3; i++) {
		set_reg(NVME_REG_CC, CC_ON | other[i], 4);
		CU_ASSERT_EQUAL(reg(NVME_REG_CC, 4), CC_ON);
		CU_ASSERT_EQUAL(csts(), 1);
		CU_ASSERT_EQUAL(run(&f.io, rw(nvme_cmd_read)), 0);
	}
	/* Also while the last command before a reset ends. */
	set_reg(NVME_REG_CC, 0, 4);
	set_reg(NVME_REG_CC, other[0], 4);
	CU_ASSERT_EQUAL(reg(NVME_REG_CC, 4), other[0]);
	set_reg(NVME_REG_CC, CC_ON | other[0], 4);
	CU_ASSERT_EQUAL(csts(), 2); /* the admin queues don't begin with such a page */
	finish();
}

/* Enabled before the shutdown of a disabled controller is complete: it comes first, and then what the host wants. */
static void a_host_may_enable_it_while_it_shuts_down(void)
{
	for (int in_flight = 0; in_flight < 2; in_flight++) {
		start_file();
		enable_io();
		CU_ASSERT_EQUAL(run(&f.io, rw(nvme_cmd_write)), 0);
		if (in_flight)
			push_file_read();
		set_reg(NVME_REG_CC, (CC_ON & ~1u) | 1u << NVME_CC_SHN_SHIFT, 4);
		CU_ASSERT_EQUAL(NVME_CSTS_SHST(csts()), NVME_CSTS_SHST_OCCUR);
		memset(memory, 0, 0x4000);
		set_reg(NVME_REG_CC, CC_ON, 4);
		CU_ASSERT_EQUAL(NVME_CSTS_SHST(csts()), NVME_CSTS_SHST_OCCUR);
		f.admin = (struct ring){.sq = ASQ, .cq = ACQ, .phase = 1};
		f.io = (struct ring){.sq = SQ1, .cq = CQ1, .id = 1, .phase = 1};
		poll_until(is_ready);
		CU_ASSERT_EQUAL(create_cq(), 0);
		CU_ASSERT_EQUAL(create_sq(), 0);
		CU_ASSERT_EQUAL(run(&f.io, rw(nvme_cmd_read)), 0);
		/* A second shutdown has the last word. */
		set_reg(NVME_REG_CC, (CC_ON & ~1u) | 1u << NVME_CC_SHN_SHIFT, 4);
		set_reg(NVME_REG_CC, CC_ON, 4);
		set_reg(NVME_REG_CC, CC_ON | 1u << NVME_CC_SHN_SHIFT, 4);
		poll_until(is_shut);
		set_reg(NVME_REG_CC, 0, 4);
		enable();
		/* One that changes its mind has a controller that is off, and may begin anew. */
		set_reg(NVME_REG_CC, (CC_ON & ~1u) | 1u << NVME_CC_SHN_SHIFT, 4);
		set_reg(NVME_REG_CC, CC_ON, 4);
		set_reg(NVME_REG_CC, 0, 4);
		poll_until(is_off);
		set_reg(NVME_REG_CC, 1u << NVME_CC_SHN_SHIFT, 4);
		poll_until(is_shut);
		enable_io();
		finish();
	}
}

static void a_disabled_controller_can_be_shut_down(void)
{
	start("mem:1M", false);
	set_reg(NVME_REG_CC, 1u << NVME_CC_SHN_SHIFT, 4);
	poll_until(is_shut);
	enable_io();
	CU_ASSERT_EQUAL(csts(), 1);
	finish();
}

static bool was_reset(void)
{
	return f.device.ops->reset(f.device.arg) == 0;
}

static bool function_was_reset(void)
{
	return set_config(capability(PCI_CAP_ID_EXP) + PCI_EXP_DEVCTL, 0x8000) == 0;
}

static void a_function_reset_clears_all_and_waits_for_what_is_in_flight(void)
{
	start_file();
	enable_io();
	push_file_read();
	CU_ASSERT_EQUAL(f.device.ops->reset(f.device.arg), -EAGAIN);
	set_reg(NVME_REG_CC, 0, 4); /* in between: to no one */
	poll_until(was_reset);
	CU_ASSERT_EQUAL(csts(), 0);
	CU_ASSERT_EQUAL(reg(NVME_REG_CC, 4), 0);
	CU_ASSERT_EQUAL(reg(NVME_REG_ASQ, 8), 0);
	CU_ASSERT_EQUAL(reg(NVME_REG_AQA, 4), 0);
	/* Memory that the host has offered is its own still; bus mastering is not. */
	set_command(PCI_COMMAND_MASTER);
	enable_io();
	push_file_read();
	CU_ASSERT_FALSE(function_was_reset());
	poll_until(function_was_reset);
	CU_ASSERT_EQUAL(reg(NVME_REG_AQA, 4), 0);
	set_command(PCI_COMMAND_MASTER);
	enable_io();
	CU_ASSERT_EQUAL(run(&f.io, rw(nvme_cmd_read)), 0);
	finish();
}

static void without_bus_mastering_nothing_is_fetched(void)
{
	struct nvme_cqe cqe;

	start("mem:1M", false);
	enable_io();
	set_command(PCI_COMMAND_MEMORY);
	push(&f.io, rw(nvme_cmd_read));
	for (int i = 0; i < 100; i++)
		tgt_pcie_poll(f.pcie);
	CU_ASSERT_FALSE(take(&f.io, &cqe));
	CU_ASSERT_EQUAL(tgt_pcie_arm(f.pcie), 0); /* nor does it keep anybody awake */
	CU_ASSERT_EQUAL(tgt_pcie_bell(f.pcie), TGT_BELL_NONE);
	set_command(PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
	tgt_pcie_poll(f.pcie);
	CU_ASSERT_TRUE(take(&f.io, &cqe));
	finish();
}

static bool unmapped(void)
{
	return unmap(memory) == 0;
}

static void memory_stays_until_commands_that_point_there_have_ended(void)
{
	struct nvme_cqe cqe;

	start_file();
	enable_io();
	push_file_read();
	CU_ASSERT_EQUAL(unmap(memory), -EAGAIN);
	CU_ASSERT_EQUAL(unmap(memory), -EAGAIN);
	poll_until(unmapped);
	/* Its completion has nowhere to go until the queue's memory is back. */
	CU_ASSERT_FALSE(take(&f.io, &cqe));
	for (int i = 0; i < 10; i++)
		tgt_pcie_poll(f.pcie);
	/* A wrong doorbell is an event, whose completion would be written to memory that is gone. */
	set_reg(0x1000 + 4 * 60, 1, 4);
	CU_ASSERT_EQUAL(map(memory), 0);
	tgt_pcie_poll(f.pcie);
	CU_ASSERT_TRUE(take(&f.io, &cqe));
	CU_ASSERT_EQUAL(nvme_cqe_status(cqe.cid_status), 0);
	CU_ASSERT_EQUAL(run(&f.io, rw(nvme_cmd_read)), 0);
	/* Without commands there is nothing to wait for. */
	CU_ASSERT_EQUAL(unmap(memory), 0);
	CU_ASSERT_EQUAL(map(memory), 0);
	finish();
}

/* How much of the host's memory is registered with a back end. */
static uint64_t registered_bytes(void)
{
	struct tgt_ns *ns = tgt_subsys_get_ns(f.subsys, 1);
	uint64_t bytes = ns->buffers->registered_bytes;

	tgt_subsys_put_ns(f.subsys, ns);
	return bytes;
}

static void registered_memory_is_let_go_of_with_its_mapping(void)
{
	start_file_with("?registered=1");
	enable_io();
	CU_ASSERT_EQUAL(registered_bytes(), 0);
	CU_ASSERT_EQUAL(run(&f.io, rw(nvme_cmd_read)), 0);
	CU_ASSERT_EQUAL(registered_bytes(), MEMORY);
	/* Taken back while a command points there. */
	push_file_read();
	CU_ASSERT_EQUAL(unmap(memory), -EAGAIN);
	CU_ASSERT_EQUAL(registered_bytes(), MEMORY);
	poll_until(unmapped);
	CU_ASSERT_EQUAL(registered_bytes(), 0);
	CU_ASSERT_EQUAL(map(memory), 0);
	enable_io();
	CU_ASSERT_EQUAL(run(&f.io, rw(nvme_cmd_read)), 0);
	CU_ASSERT_EQUAL(registered_bytes(), MEMORY);
	/* Gone without a word. */
	push_file_read();
	CU_ASSERT_EQUAL(f.device.ops->disconnect(f.device.arg), -EAGAIN);
	poll_until(disconnected);
	CU_ASSERT_EQUAL(registered_bytes(), 0);
	CU_ASSERT_EQUAL(f.device.ops->connect(f.device.arg), 0);
	finish();
}

static void events_do_not_write_to_memory_that_was_taken_away(void)
{
	static uint8_t *page;

	start("mem:1M", false);
	enable();
	push(&f.admin, (struct nvme_sqe){.opcode = nvme_admin_async_event});
	tgt_pcie_poll(f.pcie);
	CU_ASSERT_EQUAL(unmap(memory), 0);
	page = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CU_ASSERT_PTR_NOT_EQUAL_FATAL(page, MAP_FAILED);
	/* The same place again, somewhere else, and away: the event comes without a poll in between. */
	CU_ASSERT_EQUAL(map(page), 0);
	tgt_pcie_poll(f.pcie);
	CU_ASSERT_EQUAL(unmap(page), 0);
	munmap(page, MEMORY);
	set_reg(0x1000 + 4 * 60, 1, 4);
	finish();
}

static void memory_without_a_mapping_is_reached_by_messages(void)
{
	start("mem:1M", false);
	CU_ASSERT_EQUAL(unmap(memory), 0);
	CU_ASSERT_EQUAL(map(NULL), 0);
	enable_io();
	memset(memory + 0x4000, 0x5a, 4096);
	CU_ASSERT_EQUAL(run(&f.io, rw(nvme_cmd_write)), 0);
	memset(memory + 0x4000, 0, 4096);
	CU_ASSERT_EQUAL(run(&f.io, rw(nvme_cmd_read)), 0);
	CU_ASSERT_EQUAL(memory[0x4abc], 0x5a);
	CU_ASSERT_TRUE(f.nr_dma_reads > 0);
	finish();
}

static void a_host_that_is_gone_leaves_nothing_behind(void)
{
	start_file();
	enable_io();
	push_file_read();
	CU_ASSERT_EQUAL(f.device.ops->disconnect(f.device.arg), -EAGAIN);
	poll_until(disconnected);
	/* The next one finds a device as after power-on. */
	CU_ASSERT_EQUAL(f.device.ops->connect(f.device.arg), 0);
	CU_ASSERT_EQUAL(csts(), 0);
	CU_ASSERT_EQUAL(reg(NVME_REG_ASQ, 8), 0);
	enable();
	CU_ASSERT_EQUAL(csts(), 2); /* the last one's memory isn't there */
	set_reg(NVME_REG_CC, 0, 4);
	CU_ASSERT_EQUAL(map(memory), 0);
	set_command(PCI_COMMAND_MASTER);
	enable_io();
	CU_ASSERT_EQUAL(run(&f.io, rw(nvme_cmd_read)), 0);
	finish();
}

/* As the kernel has it for any PCI Express device; QEMU warns of one that has none. */
static void there_is_an_error_interrupt(void)
{
	start("mem:1M", false);
	CU_ASSERT_EQUAL(f.device.irqs[QUOLL_PCI_IRQ_ERR].nr_vectors, 1);
	CU_ASSERT_EQUAL(f.device.irqs[QUOLL_PCI_IRQ_ERR].flags, QUOLL_IRQ_EVENTFD);
	CU_ASSERT_EQUAL(f.device.irqs[QUOLL_PCI_IRQ_MSIX].nr_vectors, TGT_MAX_VECTORS);
	CU_ASSERT_EQUAL(f.device.irqs[QUOLL_PCI_IRQ_INTX].nr_vectors, 0);
	finish();
}

static void the_msix_table_keeps_what_is_written(void)
{
	uint8_t entry[16] = {0}, pending[16];

	start("mem:1M", false);
	f.device.ops->region_read(f.device.arg, QUOLL_PCI_BAR4, 16 * (TGT_MAX_VECTORS - 1), entry, 16);
	CU_ASSERT_EQUAL(entry[12], 1); /* masked after power-on */
	memset(entry, 0x77, sizeof(entry));
	f.device.ops->region_write(f.device.arg, QUOLL_PCI_BAR4, 16, entry, 8);
	memset(entry, 0, sizeof(entry));
	f.device.ops->region_read(f.device.arg, QUOLL_PCI_BAR4, 16, entry, 16);
	CU_ASSERT_EQUAL(entry[7], 0x77);
	CU_ASSERT_EQUAL(entry[8], 0);
	CU_ASSERT_EQUAL(f.device.ops->region_read(f.device.arg, QUOLL_PCI_BAR4, TGT_PCI_PBA_OFFSET, pending, 16), 0);
	CU_ASSERT_EQUAL(pending[0], 0);
	/* Nothing is beyond the table. */
	CU_ASSERT_EQUAL(f.device.ops->region_write(f.device.arg, QUOLL_PCI_BAR4, TGT_PCI_BAR4_BYTES - 16, entry, 16),
			0);
	finish();
}

static void the_doorbells_file_cannot_be_cut_short(void)
{
	start("mem:1M", true);
	CU_ASSERT_EQUAL(f.device.regions[0].areas[0].offset, 0x1000);
	CU_ASSERT_EQUAL(ftruncate(f.device.regions[0].fd, 0), -1);
	CU_ASSERT_EQUAL(errno, EPERM);
	/* By message they work too. */
	enable_io();
	memcpy(memory + (SQ1 - IOVA), &(struct nvme_sqe){.opcode = nvme_cmd_flush, .nsid = 1}, 64);
	set_reg(0x1008, 1, 4);
	tgt_pcie_poll(f.pcie);
	CU_ASSERT_EQUAL(memory[CQ1 - IOVA + 14] & 1, 1);
	CU_ASSERT_EQUAL(tgt_pcie_bell(f.pcie), TGT_BELL_SILENT);
	finish();
	start("mem:1M", false);
	CU_ASSERT_FALSE(f.device.regions[0].flags & QUOLL_REGION_MMAP);
	enable();
	CU_ASSERT_EQUAL(tgt_pcie_bell(f.pcie), TGT_BELL_MESSAGE);
	CU_ASSERT_EQUAL(
		run(&f.admin,
		    (struct nvme_sqe){.opcode = nvme_admin_dbbuf, .prp1 = IOVA + 0x8000, .prp2 = IOVA + 0x9000}),
		0);
	CU_ASSERT_EQUAL(tgt_pcie_bell(f.pcie), TGT_BELL_MEMORY);
	finish();
}

/* A client that has gone keeps its mapping, and writes into it what it likes. */
static void a_clients_doorbells_are_not_those_of_the_next(void)
{
	quoll_le32 *kept;

	start("mem:1M", true);
	enable_io();
	CU_ASSERT_EQUAL(run(&f.io, rw(nvme_cmd_write)), 0);
	kept = f.doorbells;
	poll_until(disconnected);
	join();
	CU_ASSERT_PTR_NOT_EQUAL_FATAL(f.doorbells, kept);
	enable_io();
	CU_ASSERT_EQUAL(run(&f.io, rw(nvme_cmd_read)), 0);
	for (unsigned int i = 0; i < TGT_NR_DOORBELLS; i++)
		__atomic_store_n(&kept[i], quoll_cpu_to_le32(i & 1 ? 3 : ENTRIES - 1), __ATOMIC_RELEASE);
	CU_ASSERT_EQUAL(tgt_pcie_poll(f.pcie), 0);
	CU_ASSERT_EQUAL(quoll_le32_to_cpu(f.doorbells[2]), 1);
	CU_ASSERT_EQUAL(run(&f.io, rw(nvme_cmd_read)), 0);
	munmap(kept, 0x1000);
	finish();
}

static void a_client_without_doorbells_is_sent_away(void)
{
	start("mem:1M", true);
	poll_until(disconnected);
	munmap(f.doorbells, 0x1000);
	f.doorbells_rc = -EMFILE;
	CU_ASSERT_EQUAL(f.device.ops->connect(f.device.arg), -EMFILE);
	f.doorbells_rc = 0;
	join();
	enable_io();
	CU_ASSERT_EQUAL(run(&f.io, rw(nvme_cmd_read)), 0);
	finish();
}

static void injected_faults_show_in_the_status(void)
{
	struct tgt_fault one;
	struct nvme_cqe cqe;

	start("mem:1M", false);
	fault("csts=fatal,queue=io,count=1", &one);
	enable_io();
	push(&f.io, rw(nvme_cmd_read));
	tgt_pcie_poll(f.pcie);
	CU_ASSERT_EQUAL(csts(), 3);
	CU_ASSERT_FALSE(take(&f.io, &cqe));
	set_reg(NVME_REG_CC, CC_ON & ~1u, 4);
	poll_until(is_off);
	enable_io();
	CU_ASSERT_EQUAL(run(&f.io, rw(nvme_cmd_read)), 0);

	fault("csts=stuck,queue=io,count=1", &one);
	push(&f.io, rw(nvme_cmd_read));
	tgt_pcie_poll(f.pcie);
	CU_ASSERT_EQUAL(csts(), 1);
	set_reg(NVME_REG_CC, CC_ON & ~1u, 4);
	for (int i = 0; i < 100; i++)
		tgt_pcie_poll(f.pcie);
	CU_ASSERT_EQUAL(csts(), 1); /* for good, but for a function reset */
	poll_until(was_reset);
	CU_ASSERT_EQUAL(csts(), 0);
	set_command(PCI_COMMAND_MASTER);

	fault("gone,queue=io,count=1", &one);
	enable_io();
	CU_ASSERT_FALSE(tgt_pcie_gone(f.pcie));
	push(&f.io, rw(nvme_cmd_read));
	tgt_pcie_poll(f.pcie);
	CU_ASSERT_TRUE(tgt_pcie_gone(f.pcie));
	poll_until(disconnected);
	CU_ASSERT_FALSE(tgt_pcie_gone(f.pcie));
	finish();
}

static bool has_ended(void)
{
	return tgt_pcie_end(f.pcie) == 0;
}

static void the_end_answers_what_is_in_flight_and_flushes(void)
{
	struct nvme_cqe cqe;
	time_t until = time(NULL) + 10;

	start_file();
	enable_io();
	push_file_read();
	tgt_pcie_hold(f.pcie);
	set_command(PCI_COMMAND_MASTER); /* doesn't undo it */
	push(&f.io, rw(nvme_cmd_read));
	while (!take(&f.io, &cqe) && time(NULL) < until)
		tgt_pcie_poll(f.pcie);
	CU_ASSERT_EQUAL(nvme_cqe_status(cqe.cid_status), 0);
	CU_ASSERT_FALSE(tgt_ctrl_busy(tgt_pcie_ctrl(f.pcie)));
	CU_ASSERT_FALSE(take(&f.io, &cqe)); /* the second was not fetched */
	poll_until(has_ended);
	CU_ASSERT_EQUAL(f.device.ops->connect(f.device.arg), -ESHUTDOWN);
	CU_ASSERT_EQUAL(f.device.ops->reset(f.device.arg), -ESHUTDOWN);
	set_reg(NVME_REG_CC, 0, 4);
	set_reg(NVME_REG_CC, CC_ON, 4);
	CU_ASSERT_EQUAL(tgt_pcie_end(f.pcie), 0);
	finish();
}

static bool quiet(void)
{
	return !tgt_ctrl_busy(tgt_pcie_ctrl(f.pcie));
}

static void a_host_that_is_abandoned_is_let_go_of_at_once(void)
{
	struct tgt_fault one;

	start_file();
	enable_io();
	fault("drop,queue=io", &one);
	push_file_read();
	tgt_pcie_abandon(f.pcie);
	CU_ASSERT_EQUAL(f.device.ops->disconnect(f.device.arg), 0);
	poll_until(quiet);
	finish();
}

static void back_ends_wake_the_loop(void)
{
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event;
	struct nvme_cqe cqe;

	start_file();
	enable_io();
	tgt_pcie_watch(f.pcie, epoll_fd);
	tgt_pcie_watch(f.pcie, epoll_fd); /* twice is once */
	CU_ASSERT_EQUAL(epoll_wait(epoll_fd, &event, 1, 0), 0);
	push_file_read();
	CU_ASSERT_EQUAL(tgt_pcie_arm(f.pcie), 0);
	CU_ASSERT_EQUAL(epoll_wait(epoll_fd, &event, 1, 10000), 1);
	tgt_pcie_disarm(f.pcie);
	tgt_pcie_poll(f.pcie);
	CU_ASSERT_TRUE(take(&f.io, &cqe));
	CU_ASSERT_EQUAL(epoll_wait(epoll_fd, &event, 1, 0), 0);
	close(epoll_fd);
	finish();
}

static const struct unit_test tests[] = {
	{"registers are as the specification has them", registers_are_as_the_specification_has_them},
	{"registers are read and written by halves and by wholes",
	 registers_are_read_and_written_by_halves_and_by_wholes},
	{"a host enables, uses and disables it", a_host_enables_uses_and_disables_it},
	{"what cannot be enabled is a fatal status", what_cannot_be_enabled_is_a_fatal_status},
	{"larger pages work", larger_pages_work},
	{"a reset waits for what is in flight", a_reset_waits_for_what_is_in_flight},
	{"a shutdown flushes, and is over with a reset", a_shutdown_flushes_and_is_over_with_a_reset},
	{"entry sizes may be set until there are queues", entry_sizes_may_be_set_until_there_are_queues},
	{"pages and command sets are a disabled controller's to change",
	 pages_and_command_sets_are_a_disabled_controllers_to_change},
	{"a host may enable it while it shuts down", a_host_may_enable_it_while_it_shuts_down},
	{"a disabled controller can be shut down", a_disabled_controller_can_be_shut_down},
	{"a function reset clears all, and waits for what is in flight",
	 a_function_reset_clears_all_and_waits_for_what_is_in_flight},
	{"without bus mastering nothing is fetched", without_bus_mastering_nothing_is_fetched},
	{"memory stays until commands that point there have ended",
	 memory_stays_until_commands_that_point_there_have_ended},
	{"registered memory is let go of with its mapping", registered_memory_is_let_go_of_with_its_mapping},
	{"events do not write to memory that was taken away", events_do_not_write_to_memory_that_was_taken_away},
	{"memory without a mapping is reached by messages", memory_without_a_mapping_is_reached_by_messages},
	{"a host that is gone leaves nothing behind", a_host_that_is_gone_leaves_nothing_behind},
	{"there is an error interrupt", there_is_an_error_interrupt},
	{"the MSI-X table keeps what is written", the_msix_table_keeps_what_is_written},
	{"the doorbells' file cannot be cut short", the_doorbells_file_cannot_be_cut_short},
	{"a client's doorbells are not those of the next", a_clients_doorbells_are_not_those_of_the_next},
	{"a client without doorbells is sent away", a_client_without_doorbells_is_sent_away},
	{"injected faults show in the status", injected_faults_show_in_the_status},
	{"the end answers what is in flight, and flushes", the_end_answers_what_is_in_flight_and_flushes},
	{"a host that is abandoned is let go of at once", a_host_that_is_abandoned_is_let_go_of_at_once},
	{"back ends wake the loop", back_ends_wake_the_loop},
};

UNIT_MAIN("apps/target/pcie", tests)
