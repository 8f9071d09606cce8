/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_events.c - asynchronous events, Abort, and namespaces that come and go under a running host.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tgt_fixture.h"

static struct host host;

/* Leave a request for events with the controller. Return: its CID. */
static uint16_t request_event(void)
{
	struct nvme_sqe cmd = {.opcode = nvme_admin_async_event, .cid = (uint16_t)(0x8000 + ++host.next_cid)};

	host_push(&host, &host.admin, &cmd);
	host_ring(&host, &host.admin);
	host_poll(&host, 2);
	return cmd.cid;
}

static bool nothing_came(void)
{
	const struct nvme_cqe *entry = host_va(&host, host.admin.cq + host.admin.head * 16ull);

	host_poll(&host, 4);
	return nvme_cqe_phase(entry->cid_status) != host.admin.phase;
}

static void configure(uint32_t value)
{
	CU_ASSERT_EQUAL(host_admin(&host, (struct nvme_sqe){.opcode = nvme_admin_set_features,
							    .cdw10 = NVME_FEAT_FID_ASYNC_EVENT,
							    .cdw11 = value}),
			0);
}

static uint16_t read_log(uint8_t lid, bool retain)
{
	return host_admin(&host, (struct nvme_sqe){.opcode = nvme_admin_get_log_page,
						   .nsid = HOST_ALL,
						   .prp1 = HOST_DATA,
						   .cdw10 = 1023u << 16 | (uint32_t)retain << 15 | lid});
}

static const uint32_t ns_event = NVME_AER_NOTICE | NVME_AER_NOTICE_NS_CHANGED << 8 | NVME_LOG_LID_CHANGED_NS << 16;
static const uint32_t smart_event =
	NVME_AER_SMART | NVME_AER_SMART_TEMPERATURE_THRESHOLD << 8 | NVME_LOG_LID_SMART << 16;

static void expect_event(uint16_t cid, uint32_t result)
{
	struct host_cqe cqe = {0};

	CU_ASSERT_TRUE(host_reap(&host, &host.admin, &cqe));
	CU_ASSERT_EQUAL(cqe.cid, cid);
	CU_ASSERT_EQUAL(cqe.status, 0);
	CU_ASSERT_EQUAL(cqe.result, result);
}

static void a_namespace_that_comes_is_an_event_and_in_the_list(void)
{
	const quoll_le32 *list = host_va(&host, HOST_DATA);
	uint16_t cid;

	host_start_io(&host, "mem:1M");
	configure(NVME_FEATURE_AENCFG_NOTICE_NAMESPACE_ATTRIBUTES);
	cid = request_event();
	CU_ASSERT_TRUE(nothing_came());
	host_add_ns(&host, "mem:1M");
	expect_event(cid, ns_event);
	/* Masked until the page was read. */
	cid = request_event();
	host_add_ns(&host, "mem:1M");
	CU_ASSERT_TRUE(nothing_came());
	CU_ASSERT_EQUAL(read_log(NVME_LOG_LID_CHANGED_NS, true), 0);
	CU_ASSERT_EQUAL(list[0], 2);
	CU_ASSERT_EQUAL(list[1], 3);
	CU_ASSERT_EQUAL(list[2], 0);
	CU_ASSERT_TRUE(nothing_came());
	CU_ASSERT_EQUAL(read_log(NVME_LOG_LID_CHANGED_NS, false), 0);
	CU_ASSERT_EQUAL(list[0], 2);
	CU_ASSERT_EQUAL(read_log(NVME_LOG_LID_CHANGED_NS, false), 0);
	CU_ASSERT_EQUAL(list[0], 0);
	CU_ASSERT_TRUE(nothing_came());
	tgt_subsys_remove_ns(host.subsys, 2, NULL);
	expect_event(cid, ns_event);
	CU_ASSERT_EQUAL(read_log(NVME_LOG_LID_CHANGED_NS, false), 0);
	CU_ASSERT_EQUAL(list[0], 2);
	host_end(&host);
}

static void events_wait_for_a_request(void)
{
	host_start_io(&host, "mem:1M");
	configure(NVME_FEATURE_AENCFG_NOTICE_NAMESPACE_ATTRIBUTES);
	host_add_ns(&host, "mem:1M");
	CU_ASSERT_TRUE(nothing_came());
	expect_event(request_event(), ns_event);
	host_end(&host);
}

static void events_that_the_host_does_not_want_are_none(void)
{
	const quoll_le32 *list = host_va(&host, HOST_DATA);

	host_start_io(&host, "mem:1M");
	request_event();
	host_add_ns(&host, "mem:1M");
	CU_ASSERT_TRUE(nothing_came());
	/* But the list has it. */
	CU_ASSERT_EQUAL(read_log(NVME_LOG_LID_CHANGED_NS, false), 0);
	CU_ASSERT_EQUAL(list[0], 2);
	host_end(&host);
}

static void what_changed_while_disabled_is_no_event(void)
{
	const quoll_le32 *list = host_va(&host, HOST_DATA);

	host_start_io(&host, "mem:1M");
	host_disable(&host);
	host_add_ns(&host, "mem:1M");
	CU_ASSERT_EQUAL(host_enable(&host), 0);
	configure(NVME_FEATURE_AENCFG_NOTICE_NAMESPACE_ATTRIBUTES);
	request_event();
	CU_ASSERT_TRUE(nothing_came());
	CU_ASSERT_EQUAL(read_log(NVME_LOG_LID_CHANGED_NS, false), 0);
	CU_ASSERT_EQUAL(list[0], 0);
	host_end(&host);
}

static void a_threshold_that_is_crossed_is_an_event(void)
{
	struct nvme_sqe cmd = {.opcode = nvme_admin_set_features, .cdw10 = NVME_FEAT_FID_TEMP_THRESH, .cdw11 = 300};
	const struct nvme_smart_log *smart = host_va(&host, HOST_DATA);
	struct host_cqe cqe;
	uint16_t cid;

	host_start_io(&host, "mem:1M");
	configure(NVME_FEATURE_AENCFG_SMART_CRIT_TEMPERATURE);
	cid = request_event();
	cmd.cid = 77;
	host_push(&host, &host.admin, &cmd);
	host_ring(&host, &host.admin);
	expect_event(cid, smart_event);
	CU_ASSERT_TRUE(host_reap(&host, &host.admin, &cqe));
	CU_ASSERT_EQUAL(cqe.cid, 77);
	CU_ASSERT_EQUAL(read_log(NVME_LOG_LID_SMART, false), 0);
	CU_ASSERT_EQUAL(smart->critical_warning, NVME_SMART_CRIT_TEMPERATURE);
	cmd.cdw11 = 1 << 20 | 320; /* too cold as well: no further crossing */
	request_event();
	CU_ASSERT_EQUAL(host_admin(&host, cmd), 0);
	CU_ASSERT_TRUE(nothing_came());
	host_end(&host);
}

static void types_of_events_do_not_mask_each_other(void)
{
	struct nvme_sqe cmd = {.opcode = nvme_admin_set_features, .cdw10 = NVME_FEAT_FID_TEMP_THRESH, .cdw11 = 300};
	uint16_t first, second;

	host_start_io(&host, "mem:1M");
	configure(NVME_FEATURE_AENCFG_SMART_CRIT_TEMPERATURE | NVME_FEATURE_AENCFG_NOTICE_NAMESPACE_ATTRIBUTES);
	host_add_ns(&host, "mem:1M");
	CU_ASSERT_TRUE(nothing_came());
	CU_ASSERT_EQUAL(host_admin(&host, cmd), 0);
	first = request_event();
	second = request_event();
	expect_event(first, smart_event);
	expect_event(second, ns_event);
	host_end(&host);
}

static void more_requests_than_allowed_are_refused(void)
{
	uint16_t cids[TGT_MAX_AERS], cid;
	struct host_cqe cqe;

	host_start_io(&host, "mem:1M");
	configure(NVME_FEATURE_AENCFG_NOTICE_NAMESPACE_ATTRIBUTES);
	for (unsigned int i = 0; i < TGT_MAX_AERS; i++)
		cids[i] = request_event();
	CU_ASSERT_TRUE(nothing_came());
	cid = request_event();
	CU_ASSERT_TRUE(host_reap(&host, &host.admin, &cqe));
	CU_ASSERT_EQUAL(cqe.cid, cid);
	CU_ASSERT_EQUAL(cqe.status, CMD(ASYNC_LIMIT));
	/* The first that came is the first that is answered. */
	host_add_ns(&host, "mem:1M");
	expect_event(cids[0], ns_event);
	host_end(&host);
}

static void abort_takes_back_a_request_for_events(void)
{
	struct nvme_sqe cmd = {.opcode = nvme_admin_abort_cmd, .cid = 0x700};
	struct host_cqe cqe;
	uint16_t first, second;

	host_start_io(&host, "mem:1M");
	first = request_event();
	second = request_event();
	cmd.cdw10 = (uint32_t)first << 16;
	host_push(&host, &host.admin, &cmd);
	host_ring(&host, &host.admin);
	CU_ASSERT_TRUE(host_reap(&host, &host.admin, &cqe));
	CU_ASSERT_EQUAL(cqe.cid, first);
	CU_ASSERT_EQUAL(cqe.status, NVME_SC_ABORT_REQ);
	CU_ASSERT_TRUE(host_reap(&host, &host.admin, &cqe));
	CU_ASSERT_EQUAL(cqe.cid, 0x700);
	CU_ASSERT_EQUAL(cqe.status, 0);
	CU_ASSERT_EQUAL(cqe.result & 1, 0);
	/* Gone, never there, not of that queue: not aborted, and no error. */
	CU_ASSERT_EQUAL(host_run(&host, &host.admin, cmd).result & 1, 1);
	cmd.cdw10 = (uint32_t)second << 16 | 1;
	CU_ASSERT_EQUAL(host_run(&host, &host.admin, cmd).result & 1, 1);
	cmd.cdw10 = 0xffffffff;
	CU_ASSERT_EQUAL(host_run(&host, &host.admin, cmd).result & 1, 1);
	host_end(&host);
}

static void a_removed_namespace_is_refused_and_comes_back_as_another(void)
{
	struct nvme_sqe write = host_rw(&host, nvme_cmd_write, 0, 8, 512), read = write;

	read.opcode = nvme_cmd_read;
	host_start_io(&host, "mem:1M");
	memset(host_va(&host, HOST_DATA), 0x5a, 4096);
	CU_ASSERT_EQUAL(host_io(&host, write), 0);
	tgt_subsys_remove_ns(host.subsys, 1, NULL);
	host_poll(&host, 1);
	CU_ASSERT_EQUAL(host_io(&host, read), NVME_SC_INVALID_FIELD);
	host_add_ns(&host, "mem:2M?bs=4096");
	host_poll(&host, 1);
	read.cdw12 = 0;
	CU_ASSERT_EQUAL(host_io(&host, read), 0);
	CU_ASSERT_EQUAL(*(uint8_t *)host_va(&host, HOST_DATA), 0);
	host_end(&host);
}

/* A FIFO of the kernel would do as well: commands of a file are in flight when its namespace goes. */
static void commands_in_flight_outlive_their_namespace(void)
{
	char path[] = "/tmp/test_events.XXXXXX", text[64];
	int fd = mkstemp(path);
	unsigned int n = 0, wrong = 0;
	struct host_cqe cqe;

	CU_ASSERT_EQUAL_FATAL(ftruncate(fd, 8 << 20), 0);
	snprintf(text, sizeof(text), "file:%s", path);
	host_start_io(&host, text);
	for (unsigned int i = 0; i < HOST_ENTRIES - 1; i++) {
		struct nvme_sqe cmd = host_rw(&host, nvme_cmd_write, 8 * i, 8, 512);

		cmd.cid = (uint16_t)i;
		host_push(&host, &host.io, &cmd);
	}
	host_ring(&host, &host.io);
	host_poll(&host, 1);
	tgt_subsys_remove_ns(host.subsys, 1, NULL);
	/* The NSID is given out anew while the old namespace's commands may still be there. */
	CU_ASSERT_EQUAL(host_add_ns(&host, "mem:1M"), 1);
	while (n < HOST_ENTRIES - 1 && host_reap(&host, &host.io, &cqe)) {
		n++;
		/* Those that were fetched later find no namespace, or the new one. */
		wrong += cqe.status != 0 && cqe.status != NVME_SC_INVALID_FIELD;
	}
	CU_ASSERT_EQUAL(n, HOST_ENTRIES - 1);
	CU_ASSERT_EQUAL(wrong, 0);
	host_poll(&host, 2);
	CU_ASSERT_EQUAL(host_io(&host, host_rw(&host, nvme_cmd_read, 0, 8, 512)), 0);
	CU_ASSERT_EQUAL(host_io(&host, host_rw(&host, nvme_cmd_read, 8000, 8, 512)), NVME_SC_LBA_RANGE);
	host_end(&host);
	close(fd);
	unlink(path);
}

static const struct unit_test tests[] = {
	{"a namespace that comes is an event, and in the list", a_namespace_that_comes_is_an_event_and_in_the_list},
	{"events wait for a request", events_wait_for_a_request},
	{"events that the host does not want are none", events_that_the_host_does_not_want_are_none},
	{"what changed while disabled is no event", what_changed_while_disabled_is_no_event},
	{"a threshold that is crossed is an event", a_threshold_that_is_crossed_is_an_event},
	{"types of events do not mask each other", types_of_events_do_not_mask_each_other},
	{"more requests than allowed are refused", more_requests_than_allowed_are_refused},
	{"Abort takes back a request for events", abort_takes_back_a_request_for_events},
	{"a removed namespace is refused, and comes back as another",
	 a_removed_namespace_is_refused_and_comes_back_as_another},
	{"commands in flight outlive their namespace", commands_in_flight_outlive_their_namespace},
};

UNIT_MAIN("apps/target/events", tests)
