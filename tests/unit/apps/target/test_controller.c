/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_controller.c - what injected faults do to commands, and what the host can do about it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tgt_fixture.h"

static struct host host;
static struct tgt_fault faults[2];

static void start_on(const char *ns, const char *text)
{
	host_start_io(&host, ns);
	CU_ASSERT_EQUAL_FATAL(tgt_fault_parse(text, &faults[0], NULL), 0);
	tgt_ctrl_faults(host.ctrl, faults, 1);
}

static void start(const char *text)
{
	start_on("mem:1M", text);
}

static void push_read(uint16_t cid)
{
	struct nvme_sqe cmd = host_rw(&host, nvme_cmd_read, 0, 8, 512);

	cmd.cid = cid;
	host_push(&host, &host.io, &cmd);
	host_ring(&host, &host.io);
}

static bool nothing_came(void)
{
	const struct nvme_cqe *entry = host_va(&host, host.io.cq + host.io.head * 16ull);

	host_poll(&host, 10);
	return nvme_cqe_phase(entry->cid_status) != host.io.phase;
}

static void a_status_replaces_the_command(void)
{
	start("status=0x281,op=write,every=2");
	memset(host_va(&host, HOST_DATA), 0x11, 4096);
	CU_ASSERT_EQUAL(host_io(&host, host_rw(&host, nvme_cmd_write, 0, 8, 512)), 0);
	memset(host_va(&host, HOST_DATA), 0x22, 4096);
	CU_ASSERT_EQUAL(host_io(&host, host_rw(&host, nvme_cmd_write, 0, 8, 512)), 0x281);
	CU_ASSERT_EQUAL(host_io(&host, host_rw(&host, nvme_cmd_read, 0, 8, 512)), 0);
	CU_ASSERT_EQUAL(*(uint8_t *)host_va(&host, HOST_DATA), 0x11);
	host_end(&host);
}

static void delayed_completions_come_later_and_others_pass_them(void)
{
	struct host_cqe cqe;
	struct timespec before, after;
	int64_t ns;

	start("delay=30ms,op=read,count=1");
	clock_gettime(CLOCK_MONOTONIC, &before);
	push_read(1);
	push_read(2);
	CU_ASSERT_TRUE(host_reap(&host, &host.io, &cqe));
	CU_ASSERT_EQUAL(cqe.cid, 2);
	CU_ASSERT_TRUE(host_reap(&host, &host.io, &cqe));
	CU_ASSERT_EQUAL(cqe.cid, 1);
	CU_ASSERT_EQUAL(cqe.status, 0);
	clock_gettime(CLOCK_MONOTONIC, &after);
	ns = (after.tv_sec - before.tv_sec) * 1000000000ll + after.tv_nsec - before.tv_nsec;
	CU_ASSERT_TRUE(ns >= 29000000); /* never early; the clocks differ by less than that */
	host_end(&host);
}

static void dropped_completions_can_be_aborted(void)
{
	struct nvme_sqe abort = {.opcode = nvme_admin_abort_cmd, .cdw10 = 7u << 16 | 1};
	struct host_cqe cqe;

	start("drop,op=read,count=2");
	push_read(7);
	push_read(8);
	CU_ASSERT_TRUE(nothing_came());
	cqe = host_run(&host, &host.admin, abort);
	CU_ASSERT_EQUAL(cqe.status, 0);
	CU_ASSERT_EQUAL(cqe.result & 1, 0);
	CU_ASSERT_TRUE(host_reap(&host, &host.io, &cqe));
	CU_ASSERT_EQUAL(cqe.cid, 7);
	CU_ASSERT_EQUAL(cqe.status, NVME_SC_ABORT_REQ);
	CU_ASSERT_EQUAL(host_run(&host, &host.admin, abort).result & 1, 1);
	/* A reset takes the other. */
	host_disable(&host);
	CU_ASSERT_EQUAL(host.ctrl->nr_taken, 0);
	host_end(&host);
}

static void deleting_a_queue_ends_what_was_dropped(void)
{
	struct host_cqe cqe;

	start("drop,op=read");
	push_read(7);
	CU_ASSERT_TRUE(nothing_came());
	CU_ASSERT_EQUAL(host_admin(&host, (struct nvme_sqe){.opcode = nvme_admin_delete_sq, .cdw10 = 1}), 0);
	CU_ASSERT_TRUE(host_reap(&host, &host.io, &cqe));
	CU_ASSERT_EQUAL(cqe.cid, 7);
	CU_ASSERT_EQUAL(cqe.status, NVME_SC_ABORT_QUEUE);
	host_end(&host);
}

static void repeated_completions_are_the_same(void)
{
	struct host_cqe cqe;

	start("repeat=3,op=read,count=1");
	push_read(9);
	for (unsigned int i = 0; i < 4; i++) {
		CU_ASSERT_TRUE(host_reap(&host, &host.io, &cqe));
		CU_ASSERT_EQUAL(cqe.cid, 9);
	}
	CU_ASSERT_TRUE(nothing_came());
	push_read(10);
	CU_ASSERT_TRUE(host_reap(&host, &host.io, &cqe));
	CU_ASSERT_EQUAL(cqe.cid, 10);
	CU_ASSERT_TRUE(nothing_came());
	host_end(&host);
}

static void corrupt_entries_are_wrong_where_it_says(void)
{
	static const char *const texts[] = {"corrupt=cid,op=read", "corrupt=sqid,op=read", "corrupt=sqhd,op=read",
					    "corrupt=data,op=read"};

	for (unsigned int i = 0; i < 4; i++) {
		struct host_cqe cqe;

		start(texts[i]);
		memset(host_va(&host, HOST_DATA), 0xee, 4096);
		push_read(9);
		CU_ASSERT_TRUE(host_reap(&host, &host.io, &cqe));
		CU_ASSERT_EQUAL(cqe.cid != 9, i == 0);
		CU_ASSERT_EQUAL(cqe.sqid != 1, i == 1);
		CU_ASSERT_EQUAL(cqe.sqhd != 1, i == 2);
		CU_ASSERT_EQUAL(*(uint8_t *)host_va(&host, HOST_DATA) != 0, i == 3);
		CU_ASSERT_EQUAL(*(uint8_t *)host_va(&host, HOST_DATA + 1), 0);
		CU_ASSERT_EQUAL(cqe.status, 0);
		host_end(&host);
	}
}

/* Of a file, read to where the host wants it, or through a copy because that is not aligned. */
static void corrupt_data_is_wrong_from_a_file_too(void)
{
	char path[] = "/tmp/test_controller.XXXXXX", ns[64];
	int fd = mkstemp(path);

	CU_ASSERT_EQUAL_FATAL(ftruncate(fd, 1 << 20), 0);
	snprintf(ns, sizeof(ns), "file:%s", path);
	for (unsigned int off = 0; off < 8; off += 4) {
		struct nvme_sqe cmd;
		uint8_t *data;

		start_on(ns, "corrupt=data,op=read,count=1");
		cmd = host_rw(&host, nvme_cmd_read, 0, 4, 512);
		data = host_va(&host, HOST_DATA + off);
		cmd.prp1 = quoll_cpu_to_le64(HOST_DATA + off);
		memset(data, 0xee, 2048);
		CU_ASSERT_EQUAL(host_io(&host, cmd), 0);
		CU_ASSERT_NOT_EQUAL(data[0], 0);
		CU_ASSERT_EQUAL(data[1], 0);
		CU_ASSERT_EQUAL(host_io(&host, cmd), 0);
		CU_ASSERT_EQUAL(data[0], 0);
		host_end(&host);
	}
	close(fd);
	unlink(path);
}

static void a_wrong_phase_hides_the_entry(void)
{
	start("corrupt=phase,op=read");
	push_read(9);
	CU_ASSERT_TRUE(nothing_came());
	CU_ASSERT_EQUAL(((struct nvme_cqe *)host_va(&host, host.io.cq))->cid_status & 0xffff, 9);
	host_end(&host);
}

static void a_controller_that_fails_answers_nothing_until_its_reset(void)
{
	static const char *const texts[] = {"csts=fatal,op=read,skip=1,count=1", "csts=stuck,op=read,skip=1,count=1",
					    "gone,op=read,skip=1,count=1"};

	for (unsigned int i = 0; i < 3; i++) {
		struct host_cqe cqe;

		start(texts[i]);
		push_read(1);
		CU_ASSERT_TRUE(host_reap(&host, &host.io, &cqe));
		CU_ASSERT_PTR_NULL(host.fault);
		push_read(2);
		push_read(3);
		CU_ASSERT_TRUE(nothing_came());
		CU_ASSERT_PTR_EQUAL(host.fault, &faults[0]);
		host_disable(&host);
		CU_ASSERT_EQUAL(host_enable(&host), 0);
		CU_ASSERT_EQUAL(host_create_io(&host, &host.io, 1, HOST_ENTRIES), 0);
		push_read(4);
		CU_ASSERT_TRUE(host_reap(&host, &host.io, &cqe));
		CU_ASSERT_EQUAL(cqe.cid, 4);
		host_end(&host);
	}
}

static void admin_commands_fail_too(void)
{
	struct nvme_sqe identify = {.opcode = nvme_admin_identify, .prp1 = HOST_DATA, .cdw10 = NVME_IDENTIFY_CNS_CTRL};

	start("status=6,queue=admin,op=6,count=1");
	CU_ASSERT_EQUAL(host_admin(&host, identify), NVME_SC_INTERNAL);
	CU_ASSERT_EQUAL(host_admin(&host, identify), 0);
	host_end(&host);
}

/* A transport with messages only, as NVMe/TCP will be: no queues of its own, Keep Alive, no interrupts. */
static unsigned int nr_messages;
static uint16_t last_status;
static struct tgt_ctrl *message_ctrl;

static void message_complete(void *arg, struct tgt_req *const *reqs, unsigned int n)
{
	(void)arg;
	for (unsigned int i = 0; i < n; i++) {
		last_status = reqs[i]->status & 0x7ff;
		tgt_ctrl_req_put(message_ctrl, reqs[i]);
	}
	nr_messages += n;
}

static uint16_t message(struct tgt_sq *sq, struct nvme_sqe cmd)
{
	struct tgt_req *req = tgt_ctrl_req(message_ctrl);
	unsigned int before = nr_messages;

	req->cmd = cmd;
	req->sq = sq;
	tgt_ctrl_admin(message_ctrl, req);
	return nr_messages == before + 1 ? last_status : 0xffff;
}

static void other_transports_have_no_queue_commands_but_keep_alive(void)
{
	static const struct tgt_transport_ops ops = {.complete = message_complete};
	struct tgt_guest guest;
	struct tgt_transport transport = {.ops = &ops, .guest = &guest, .max_io_queues = 8, .kas = 10};
	struct tgt_subsys *subsys;
	struct tgt_sq sq = {.id = 0};

	tgt_guest_init(&guest, NULL, NULL);
	CU_ASSERT_EQUAL_FATAL(tgt_subsys_create(NULL, NULL, &subsys, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(tgt_ctrl_create(subsys, &transport, &message_ctrl, NULL), 0);
	tgt_ctrl_start(message_ctrl, 12);
	CU_ASSERT_EQUAL(message(&sq, (struct nvme_sqe){.opcode = nvme_admin_keep_alive}), 0);
	CU_ASSERT_EQUAL(message(&sq, (struct nvme_sqe){.opcode = nvme_admin_create_cq}), NVME_SC_INVALID_OPCODE);
	CU_ASSERT_EQUAL(message(&sq, (struct nvme_sqe){.opcode = nvme_admin_dbbuf}), NVME_SC_INVALID_OPCODE);
	CU_ASSERT_EQUAL(message(&sq, (struct nvme_sqe){.opcode = nvme_admin_get_features, .cdw10 = NVME_FEAT_FID_KATO}),
			0);
	CU_ASSERT_EQUAL(
		message(&sq, (struct nvme_sqe){.opcode = nvme_admin_get_features, .cdw10 = NVME_FEAT_FID_IRQ_COALESCE}),
		NVME_SC_INVALID_FIELD);
	tgt_ctrl_stop(message_ctrl);
	CU_ASSERT_TRUE(tgt_ctrl_idle(message_ctrl));
	tgt_ctrl_destroy(message_ctrl);
	tgt_subsys_destroy(subsys);
	tgt_guest_fini(&guest);
}

static const struct unit_test tests[] = {
	{"a status replaces the command", a_status_replaces_the_command},
	{"delayed completions come later, and others pass them", delayed_completions_come_later_and_others_pass_them},
	{"dropped completions can be aborted", dropped_completions_can_be_aborted},
	{"deleting a queue ends what was dropped", deleting_a_queue_ends_what_was_dropped},
	{"repeated completions are the same", repeated_completions_are_the_same},
	{"corrupt entries are wrong where it says", corrupt_entries_are_wrong_where_it_says},
	{"corrupt data is wrong from a file too", corrupt_data_is_wrong_from_a_file_too},
	{"a wrong phase hides the entry", a_wrong_phase_hides_the_entry},
	{"a controller that fails answers nothing until its reset",
	 a_controller_that_fails_answers_nothing_until_its_reset},
	{"admin commands fail too", admin_commands_fail_too},
	{"other transports have no queue commands, but Keep Alive",
	 other_transports_have_no_queue_commands_but_keep_alive},
};

UNIT_MAIN("apps/target/controller", tests)
