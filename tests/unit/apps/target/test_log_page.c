/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_log_page.c - log pages: what is in them, cut to length and offset, and what is refused.
 */
#include "tgt_fixture.h"

static struct host host;

struct log {
	uint8_t lid;
	bool retain;
	uint32_t dwords;
	uint64_t offset;
	uint32_t nsid;
	uint32_t cdw14;
};

static uint16_t log_read(struct log log)
{
	uint32_t nr = (log.dwords ? log.dwords : 1024) - 1;
	struct nvme_sqe cmd = host_rw(&host, nvme_admin_get_log_page, 0, (nr * 4 + 4 + 511) / 512, 512);

	memset(host_va(&host, HOST_DATA), 0xee, 8192);
	cmd.nsid = log.nsid ? log.nsid : HOST_ALL;
	cmd.cdw10 = log.lid | (uint32_t)log.retain << 15 | (nr & 0xffff) << 16;
	cmd.cdw11 = nr >> 16;
	cmd.cdw12 = (uint32_t)log.offset;
	cmd.cdw13 = (uint32_t)(log.offset >> 32);
	cmd.cdw14 = log.cdw14;
	return host_admin(&host, cmd);
}

static const void *page(void)
{
	return host_va(&host, HOST_DATA);
}

static void the_pages_that_are_there_are_listed(void)
{
	static const uint8_t known[] = {0, 1, 2, 3, 4, 5, 0x12, 0x13};
	const quoll_le32 *list = page();

	host_start_io(&host, "mem:1M");
	for (unsigned int lid = 0; lid < 256; lid++) {
		bool is_known = memchr(known, (int)lid, sizeof(known));

		CU_ASSERT_EQUAL(log_read((struct log){.lid = (uint8_t)lid}), is_known ? 0 : CMD(INVALID_LOG_PAGE));
		CU_ASSERT_EQUAL(log_read((struct log){.lid = 0}), 0);
		CU_ASSERT_EQUAL(list[lid], is_known);
	}
	host_end(&host);
}

static void failed_commands_are_in_the_error_page_newest_first(void)
{
	const struct nvme_error_log_page *entries = page();
	struct nvme_sqe cmd = {.opcode = 0xc0};

	host_start_io(&host, "mem:1M");
	CU_ASSERT_EQUAL(log_read((struct log){.lid = NVME_LOG_LID_ERROR}), 0);
	CU_ASSERT_EQUAL(entries[0].error_count, 0);
	CU_ASSERT_EQUAL(host_admin(&host, cmd), NVME_SC_INVALID_OPCODE);
	cmd = host_rw(&host, nvme_cmd_read, 0x123456789, 1, 512);
	CU_ASSERT_TRUE(host_run(&host, &host.io, cmd).more);
	CU_ASSERT_EQUAL(log_read((struct log){.lid = NVME_LOG_LID_ERROR}), 0);
	CU_ASSERT_EQUAL(entries[0].error_count, 2);
	CU_ASSERT_EQUAL(entries[0].sqid, 1);
	CU_ASSERT_EQUAL(entries[0].cmdid, host.next_cid - 1);
	CU_ASSERT_EQUAL(entries[0].status_field >> 1 & 0x7ff, NVME_SC_LBA_RANGE);
	CU_ASSERT_EQUAL(entries[0].lba, 0x123456789);
	CU_ASSERT_EQUAL(entries[0].nsid, 1);
	CU_ASSERT_EQUAL(entries[1].error_count, 1);
	CU_ASSERT_EQUAL(entries[1].sqid, 0);
	CU_ASSERT_EQUAL(entries[2].error_count, 0);
	/* More than it holds: the oldest are lost. */
	for (unsigned int i = 0; i < 2 * TGT_NR_ERRORS; i++)
		host_io(&host, cmd);
	log_read((struct log){.lid = NVME_LOG_LID_ERROR});
	CU_ASSERT_EQUAL(entries[0].error_count, 2 + 2 * TGT_NR_ERRORS);
	CU_ASSERT_EQUAL(entries[TGT_NR_ERRORS - 1].error_count, 3 + TGT_NR_ERRORS);
	host_end(&host);
}

static uint64_t le64(const uint8_t *bytes)
{
	quoll_le64 value;

	memcpy(&value, bytes, sizeof(value));
	return value;
}

static void smart_counts_what_hosts_do(void)
{
	const struct nvme_smart_log *smart = page();

	host_start_io(&host, "mem:4M");
	for (unsigned int i = 0; i < 3; i++)
		host_io(&host, host_rw(&host, nvme_cmd_write, 0, 1024, 512));
	host_io(&host, host_rw(&host, nvme_cmd_read, 0, 8, 512));
	host_io(&host, host_rw(&host, nvme_cmd_compare, 0, 8, 512));
	host_io(&host, host_rw(&host, nvme_cmd_read, 1 << 20, 8, 512)); /* fails */
	CU_ASSERT_EQUAL(log_read((struct log){.lid = NVME_LOG_LID_SMART, .dwords = 128}), 0);
	CU_ASSERT_EQUAL(smart->critical_warning, 0);
	CU_ASSERT_EQUAL(smart->temperature[0] | smart->temperature[1] << 8, TGT_TEMPERATURE);
	CU_ASSERT_EQUAL(smart->avail_spare, 100);
	CU_ASSERT_EQUAL(le64(smart->data_units_written), 4);
	CU_ASSERT_EQUAL(le64(smart->data_units_read), 1);
	CU_ASSERT_EQUAL(le64(smart->host_writes), 3);
	CU_ASSERT_EQUAL(le64(smart->host_reads), 2);
	CU_ASSERT_EQUAL(le64(smart->num_err_log_entries), 1);
	CU_ASSERT_EQUAL(le64(smart->media_errors), 0);
	host_end(&host);
}

static void firmware_has_one_slot(void)
{
	const struct nvme_firmware_slot *fw = page();

	host_start_io(&host, "mem:1M");
	CU_ASSERT_EQUAL(log_read((struct log){.lid = NVME_LOG_LID_FW_SLOT}), 0);
	CU_ASSERT_EQUAL(fw->afi, 1);
	CU_ASSERT_EQUAL(memcmp(fw->frs[0], "quoll1  ", 8), 0);
	CU_ASSERT_EQUAL(fw->frs[1][0], 0);
	host_end(&host);
}

/* What the page says is what a command of that name answers. */
static void effects_are_of_the_commands_there_are(void)
{
	struct nvme_cmd_effects_log effects;

	host_start_io(&host, "mem:1M");
	CU_ASSERT_EQUAL(log_read((struct log){.lid = NVME_LOG_LID_CMD_EFFECTS, .cdw14 = 1u << 24}),
			NVME_SC_INVALID_FIELD);
	CU_ASSERT_EQUAL(log_read((struct log){.lid = NVME_LOG_LID_CMD_EFFECTS}), 0);
	memcpy(&effects, page(), sizeof(effects));
	for (unsigned int op = 0; op < 256; op++) {
		struct nvme_sqe cmd = {.opcode = (uint8_t)op, .flags = 3};
		bool is_there = effects.acs[op] & NVME_CMD_EFFECTS_CSUPP;

		CU_ASSERT_EQUAL(host_admin(&host, cmd), is_there ? NVME_SC_INVALID_FIELD : NVME_SC_INVALID_OPCODE);
		is_there = effects.iocs[op] & NVME_CMD_EFFECTS_CSUPP;
		CU_ASSERT_EQUAL(host_io(&host, cmd), is_there ? NVME_SC_INVALID_FIELD : NVME_SC_INVALID_OPCODE);
	}
	CU_ASSERT_EQUAL(effects.iocs[nvme_cmd_write], NVME_CMD_EFFECTS_CSUPP | NVME_CMD_EFFECTS_LBCC);
	CU_ASSERT_EQUAL(effects.acs[nvme_admin_keep_alive], 0);
	CU_ASSERT_EQUAL(effects.acs[nvme_admin_dbbuf], NVME_CMD_EFFECTS_CSUPP);
	host_end(&host);
}

static void features_have_a_scope(void)
{
	const struct nvme_fid_supported_effects_log *log = page();

	host_start_io(&host, "mem:1M");
	CU_ASSERT_EQUAL(log_read((struct log){.lid = NVME_LOG_LID_FID_SUPPORTED_EFFECTS}), 0);
	CU_ASSERT_EQUAL(log->fid_support[NVME_FEAT_FID_NUM_QUEUES], 1 | 2 << 20);
	CU_ASSERT_EQUAL(log->fid_support[NVME_FEAT_FID_ERR_RECOVERY], 1 | 1 << 20);
	CU_ASSERT_EQUAL(log->fid_support[NVME_FEAT_FID_HOST_MEM_BUF], 0);
	host_end(&host);
}

static void pages_are_cut_to_length_and_offset(void)
{
	uint8_t whole[4096];
	const uint8_t *part = page();

	host_start_io(&host, "mem:1M");
	CU_ASSERT_EQUAL(log_read((struct log){.lid = NVME_LOG_LID_CMD_EFFECTS}), 0);
	memcpy(whole, page(), sizeof(whole));
	for (uint32_t offset = 0; offset < 4096; offset += 508) {
		CU_ASSERT_EQUAL(log_read((struct log){.lid = NVME_LOG_LID_CMD_EFFECTS, .offset = offset, .dwords = 3}),
				0);
		CU_ASSERT_EQUAL(memcmp(part, whole + offset, 12), 0);
		CU_ASSERT_EQUAL(part[12], 0xee);
	}
	/* Behind its end there are zeroes. */
	CU_ASSERT_EQUAL(log_read((struct log){.lid = NVME_LOG_LID_FW_SLOT, .offset = 508, .dwords = 2000}), 0);
	CU_ASSERT_EQUAL(part[4], 0);
	CU_ASSERT_EQUAL(part[7999], 0);
	CU_ASSERT_EQUAL(part[8000], 0xee);
	CU_ASSERT_EQUAL(log_read((struct log){.lid = NVME_LOG_LID_FW_SLOT, .offset = 512}), 0);
	CU_ASSERT_EQUAL(log_read((struct log){.lid = NVME_LOG_LID_FW_SLOT, .dwords = TGT_MAX_BYTES / 4}), 0);
	host_end(&host);
}

static void wrong_lengths_offsets_and_namespaces_are_refused(void)
{
	static const struct log wrong[] = {
		{.lid = NVME_LOG_LID_SMART, .offset = 2},
		{.lid = NVME_LOG_LID_SMART, .offset = 516},
		{.lid = NVME_LOG_LID_SMART, .offset = 1ull << 32},
		{.lid = NVME_LOG_LID_SMART, .offset = UINT64_MAX - 3},
		{.lid = NVME_LOG_LID_SMART, .dwords = TGT_MAX_BYTES / 4 + 1},
		{.lid = NVME_LOG_LID_SMART, .dwords = 0xffffffff},
		{.lid = NVME_LOG_LID_SMART, .cdw14 = 1 << 23},
		{.lid = NVME_LOG_LID_SMART, .nsid = 1},
	};

	host_start_io(&host, "mem:1M");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		CU_ASSERT_EQUAL(log_read(wrong[i]), NVME_SC_INVALID_FIELD);
	CU_ASSERT_EQUAL(log_read((struct log){.lid = NVME_LOG_LID_SMART, .nsid = 9999}), NVME_SC_INVALID_NS);
	host_end(&host);
}

static const struct unit_test tests[] = {
	{"the pages that are there are listed", the_pages_that_are_there_are_listed},
	{"failed commands are in the error page, newest first", failed_commands_are_in_the_error_page_newest_first},
	{"SMART counts what hosts do", smart_counts_what_hosts_do},
	{"firmware has one slot", firmware_has_one_slot},
	{"effects are of the commands there are", effects_are_of_the_commands_there_are},
	{"features have a scope", features_have_a_scope},
	{"pages are cut to length and offset", pages_are_cut_to_length_and_offset},
	{"wrong lengths, offsets and namespaces are refused", wrong_lengths_offsets_and_namespaces_are_refused},
};

UNIT_MAIN("apps/target/log_page", tests)
