/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_bringup.c - open, identify, admin commands, close; and controllers that are slow, broken or hostile.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <linux/pci_regs.h>

#include "nvme/nvme_internal.h"
#include "nvme_fixture.h"
#include "unit.h"

static struct nvme_fixture fx;

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Open a controller that must be refused, and be refused without a trace. */
static void expect_refusal(int rc, const char *stage, const char *word)
{
	fx.err = (struct quoll_error){0};
	CU_ASSERT_EQUAL(fixture_open(&fx, NULL), rc);
	CU_ASSERT_PTR_NULL(fx.nvme);
	CU_ASSERT_EQUAL(fx.err.errnum, -rc);
	CU_ASSERT_STRING_EQUAL(fx.err.stage, stage);
	CU_ASSERT_STRING_EQUAL(fx.err.subject, "0000:01:00.0");
	CU_ASSERT_PTR_NOT_NULL(strstr(fx.err.what, word));
	if (!strstr(fx.err.what, word))
		printf("found: %s\n", fx.err.what);
	fixture_fini(&fx);
}

static void a_controller_comes_up_and_says_what_it_is(void)
{
	struct quoll_nvme_opts opts = {.max_io_queues = 100};
	struct quoll_nvme_ns_info ns;
	struct quoll_nvme_info info;

	fixture_init(&fx);
	fake_nvme_add_ns(&fx.fake, 3, 100, 12, 32);
	CU_ASSERT_EQUAL_FATAL(fixture_open(&fx, &opts), 0);
	quoll_nvme_info(fx.nvme, &info);
	CU_ASSERT_STRING_EQUAL(info.model, "Quoll fake");
	CU_ASSERT_STRING_EQUAL(info.serial, "FAKE0001");
	CU_ASSERT_STRING_EQUAL(info.firmware, "1.0");
	CU_ASSERT_STRING_EQUAL(info.subnqn, "nqn.2026-01.test:fake");
	CU_ASSERT_EQUAL(info.version, 0x10400);
	CU_ASSERT_EQUAL(info.cap, fx.fake.cap);
	CU_ASSERT_EQUAL(info.max_transfer_bytes, 128 << 10);
	CU_ASSERT_EQUAL(info.max_io_queues, 4); /* asked for 100, granted 4 */
	CU_ASSERT_EQUAL(info.max_queue_entries, 1024);
	CU_ASSERT_EQUAL(info.nr_namespaces, 2);
	CU_ASSERT_EQUAL(info.page_bytes, 4096);
	CU_ASSERT_TRUE(info.volatile_cache);
	CU_ASSERT_EQUAL(quoll_nvme_ns_at(fx.nvme, 1, &ns), 0);
	CU_ASSERT_EQUAL(ns.nsid, 3);
	CU_ASSERT_EQUAL(ns.nr_lbas, 100);
	CU_ASSERT_EQUAL(ns.lba_bytes, 4096);
	CU_ASSERT_EQUAL(ns.boundary_lbas, 32);
	CU_ASSERT_EQUAL(ns.usable, 0);
	CU_ASSERT_EQUAL(ns.eui64[7], 3);
	CU_ASSERT_EQUAL(quoll_nvme_ns_at(fx.nvme, 2, &ns), -ENOENT);
	CU_ASSERT_EQUAL(quoll_nvme_ns_find(fx.nvme, 1, &ns), 0);
	CU_ASSERT_EQUAL(ns.lba_bytes, 512);
	CU_ASSERT_EQUAL(quoll_nvme_ns_find(fx.nvme, 2, &ns), -ENOENT);
	CU_ASSERT_EQUAL(quoll_nvme_id_ctrl(fx.nvme)->mdts, 5);
	CU_ASSERT_EQUAL(quoll_nvme_id_ns(fx.nvme, 3)->flbas, 1);
	CU_ASSERT_PTR_NULL(quoll_nvme_id_ns(fx.nvme, 2));
	fixture_fini(&fx);
	CU_ASSERT_EQUAL(fx.close_rc, 0);
	CU_ASSERT_TRUE(fx.fake.shut_down);
}

static void a_controller_can_be_opened_again_after_close(void)
{
	fixture_init(&fx);
	CU_ASSERT_EQUAL_FATAL(fixture_open(&fx, NULL), 0);
	for (int i = 0; i < 3; i++) {
		fake_nvme_pump_start(&fx.fake);
		CU_ASSERT_EQUAL(quoll_nvme_close(fx.nvme), 0);
		CU_ASSERT_FALSE(fake_pci_bus_master(&fx.fake.pci));
		CU_ASSERT_EQUAL_FATAL(quoll_nvme_open(fx.dev, fx.heap, NULL, &fx.nvme, &fx.err), 0);
		fake_nvme_pump_stop(&fx.fake);
	}
	fixture_fini(&fx);
}

static void a_controller_left_enabled_by_somebody_else_is_reset(void)
{
	fixture_init(&fx);
	/* Enabled and ready, with admin queues that do not exist. */
	*(uint32_t *)(fx.fake.pci.bar + NVME_REG_CC) = 0x00460001;
	*(uint32_t *)(fx.fake.pci.bar + NVME_REG_CSTS) = 1;
	fx.fake.cc_seen = 0x00460001;
	CU_ASSERT_EQUAL(fixture_open(&fx, NULL), 0);
	fixture_fini(&fx);
}

/* CAP.TO, in units of 500 ms. */
static void set_cap_to(uint64_t units)
{
	fx.fake.cap &= ~((uint64_t)NVME_CAP_TO_MASK << NVME_CAP_TO_SHIFT);
	fx.fake.cap |= units << NVME_CAP_TO_SHIFT;
}

static void a_controller_that_never_becomes_ready_is_given_up_in_time(void)
{
	uint64_t start;

	fixture_init(&fx);
	fx.fake.never_ready = true;
	set_cap_to(1);
	start = now_ms();
	expect_refusal(-ETIMEDOUT, "enable", "CSTS is 0x00000000");
	/* CAP.TO is 500 ms, and one unit of grace. */
	CU_ASSERT(now_ms() - start >= 900);
	CU_ASSERT(now_ms() - start < 8000);
	CU_ASSERT_PTR_NOT_NULL(strstr(fx.err.what, "CAP.TO is 500 ms"));
}

static void crto_is_a_longer_limit_than_cap_to_where_there_is_one(void)
{
	uint64_t start;

	fixture_init(&fx);
	fx.fake.never_ready = true;
	set_cap_to(1);
	fx.fake.cap |= 1ull << NVME_CAP_CRMS_SHIFT;
	fx.fake.crto = 3;
	start = now_ms();
	expect_refusal(-ETIMEDOUT, "enable", "not ready");
	CU_ASSERT(now_ms() - start >= 1900);
	CU_ASSERT(now_ms() - start < 10000);
}

static void fatal_status_and_absence_are_told_apart(void)
{
	fixture_init(&fx);
	fx.fake.fatal_on_enable = true;
	expect_refusal(-EIO, "enable", "CSTS is 0x00000002");
	fixture_init(&fx);
	fx.fake.cap = UINT64_MAX;
	expect_refusal(-ENODEV, "capabilities", "all ones");
}

static void capabilities_that_do_not_fit_are_refused(void)
{
	fixture_init(&fx);
	fx.fake.cap &= ~0xffffull;
	expect_refusal(-EPROTO, "capabilities", "CAP.MQES is 0");
	fixture_init(&fx);
	fx.fake.cap &= ~(0xffull << NVME_CAP_CSS_SHIFT);
	expect_refusal(-ENOTSUP, "capabilities", "CAP.CSS");
	fixture_init(&fx);
	fx.fake.cap |= 1ull << NVME_CAP_MPSMIN_SHIFT;
	expect_refusal(-ENOTSUP, "capabilities", "8 KiB");
	fixture_init(&fx);
	fx.fake.cap |= 15ull << NVME_CAP_DSTRD_SHIFT;
	expect_refusal(-EPROTO, "enable", "doorbells");
	fixture_init(&fx);
	fx.fake.cap |= 10ull << NVME_CAP_DSTRD_SHIFT; /* room for the admin queue's only */
	expect_refusal(-EPROTO, "queues", "doorbells");
	fixture_init(&fx);
	fx.fake.pci.bar_bytes = 4096;
	expect_refusal(-EPROTO, "registers", "too few");
	fixture_init(&fx);
	fx.fake.pci.config[PCI_CLASS_DEVICE] = 0x06;
	expect_refusal(-ENODEV, "open", "not an NVMe controller");
}

static void doorbells_limit_the_number_of_queues(void)
{
	struct quoll_nvme_opts opts = {.max_io_queues = 4};
	struct quoll_nvme_info info;

	fixture_init(&fx);
	fx.fake.cap |= 8ull << NVME_CAP_DSTRD_SHIFT; /* 1 KiB apart: 12 in 12 KiB, two of them the admin queue's */
	fx.fake.pci.bar_bytes = 12288;		     /* 8: three I/O queues */
	CU_ASSERT_EQUAL_FATAL(fixture_open(&fx, &opts), 0);
	quoll_nvme_info(fx.nvme, &info);
	CU_ASSERT_EQUAL(info.max_io_queues, 3);
	for (int i = 0; i < 3; i++)
		fixture_queue(&fx, 16);
	fixture_fini(&fx);
}

static void identify_data_that_excludes_us_is_refused(void)
{
	fixture_init(&fx);
	fx.fake.id.sqes = 0x77;
	expect_refusal(-EPROTO, "identify", "SQES 0x77");
	fixture_init(&fx);
	fx.fake.id.cqes = 0x33;
	expect_refusal(-EPROTO, "identify", "CQES 0x33");
	fixture_init(&fx);
	fx.fake.id.cntrltype = 3;
	expect_refusal(-ENOTSUP, "identify", "not an I/O controller");
}

static void strings_without_end_and_unprintable_are_made_safe(void)
{
	struct quoll_nvme_info info;

	fixture_init(&fx);
	memset(fx.fake.id.mn, 'M', sizeof(fx.fake.id.mn));
	memset(fx.fake.id.sn, '\033', sizeof(fx.fake.id.sn));
	memset(fx.fake.id.fr, ' ', sizeof(fx.fake.id.fr));
	memset(fx.fake.id.subnqn, 0xff, sizeof(fx.fake.id.subnqn));
	CU_ASSERT_EQUAL_FATAL(fixture_open(&fx, NULL), 0);
	quoll_nvme_info(fx.nvme, &info);
	CU_ASSERT_EQUAL(strlen(info.model), 40);
	CU_ASSERT_STRING_EQUAL(info.serial, "????????????????????");
	CU_ASSERT_STRING_EQUAL(info.firmware, "");
	CU_ASSERT_EQUAL(strlen(info.subnqn), 256);
	CU_ASSERT_EQUAL(info.subnqn[255], '?');
	fixture_fini(&fx);
}

static void mdts_is_cut_to_what_one_list_holds(void)
{
	static const struct {
		uint8_t mdts;
		uint32_t bytes;
	} rows[] = {{0, 2 << 20}, {1, 8192}, {8, 1 << 20}, {9, 2 << 20}, {10, 2 << 20}, {31, 2 << 20}, {255, 2 << 20}};
	struct quoll_nvme_info info;

	for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		fixture_init(&fx);
		fx.fake.id.mdts = rows[i].mdts;
		CU_ASSERT_EQUAL_FATAL(fixture_open(&fx, NULL), 0);
		quoll_nvme_info(fx.nvme, &info);
		CU_ASSERT_EQUAL(info.max_transfer_bytes, rows[i].bytes);
		fixture_fini(&fx);
	}
}

/* A namespace's identify data, parsed; what is not set is 1,000 blocks of 512 bytes. */
static struct nvme_namespace parse(void (*change)(struct nvme_id_ns *id), uint8_t csi)
{
	struct nvme_namespace ns = {.nsid = 1};
	static struct nvme_id_ns id;

	memset(&id, 0, sizeof(id));
	id.nsze = quoll_cpu_to_le64(1000);
	id.lbaf[0].ds = 9;
	change(&id);
	nvme_ns_parse(&ns, &id, csi, 128 << 10);
	CU_ASSERT_EQUAL(ns.short_lbas == 0, ns.refuse != 0 || ns.boundary_lbas || !ns.nr_lbas);
	return ns;
}

static void lbads_0(struct nvme_id_ns *id)
{
	id->lbaf[0].ds = 0;
}

static void lbads_200(struct nvme_id_ns *id)
{
	id->lbaf[0].ds = 200;
}

static void lbads_8(struct nvme_id_ns *id)
{
	id->lbaf[0].ds = 8;
}

static void lbads_16(struct nvme_id_ns *id)
{
	id->lbaf[0].ds = 16;
}

static void lbads_17(struct nvme_id_ns *id)
{
	id->lbaf[0].ds = 17;
}

static void nsze_huge(struct nvme_id_ns *id)
{
	id->nsze = UINT64_MAX;
}

static void nsze_largest(struct nvme_id_ns *id)
{
	id->nsze = quoll_cpu_to_le64(1ull << 54);
}

static void nsze_0(struct nvme_id_ns *id)
{
	id->nsze = 0;
}

static void format_beyond_the_list(struct nvme_id_ns *id)
{
	id->nlbaf = 3;
	id->flbas = 4;
}

static void format_beyond_the_array(struct nvme_id_ns *id)
{
	id->nlbaf = 255;
	id->nulbaf = 255;
	id->flbas = 0x7f;
}

static void format_above_16(struct nvme_id_ns *id)
{
	id->nlbaf = 40;
	id->flbas = 0x20 | 3; /* 16 + 3 */
	id->lbaf[19].ds = 12;
}

static void high_bits_ignored(struct nvme_id_ns *id)
{
	id->nlbaf = 3;
	id->flbas = 0x60 | 3;
	id->lbaf[3].ds = 12;
}

static void metadata_interleaved(struct nvme_id_ns *id)
{
	id->flbas = 0x10;
	id->lbaf[0].ms = 8;
}

static void boundary_3(struct nvme_id_ns *id)
{
	id->noiob = 3;
}

static void hostile_namespace_data_is_listed_but_not_used(void)
{
	CU_ASSERT_EQUAL(parse(lbads_0, 0).refuse, -EPROTO);
	CU_ASSERT_EQUAL(parse(lbads_200, 0).refuse, -EPROTO);
	CU_ASSERT_EQUAL(parse(lbads_8, 0).refuse, -EPROTO);
	CU_ASSERT_EQUAL(parse(lbads_16, 0).refuse, 0);
	CU_ASSERT_EQUAL(parse(lbads_16, 0).max_lbas, 2);
	CU_ASSERT_EQUAL(parse(lbads_17, 0).refuse, -EPROTO);
	CU_ASSERT_EQUAL(parse(nsze_huge, 0).refuse, -EPROTO);
	CU_ASSERT_EQUAL(parse(nsze_largest, 0).refuse, 0);
	CU_ASSERT_EQUAL(parse(nsze_0, 0).refuse, 0);
	CU_ASSERT_EQUAL(parse(nsze_0, 0).short_lbas, 0);
	CU_ASSERT_EQUAL(parse(format_beyond_the_list, 0).refuse, -EPROTO);
	CU_ASSERT_EQUAL(parse(format_beyond_the_array, 0).refuse, -EPROTO);
	CU_ASSERT_EQUAL(parse(format_above_16, 0).lba_shift, 12);
	CU_ASSERT_EQUAL(parse(high_bits_ignored, 0).lba_shift, 12);
	CU_ASSERT_EQUAL(parse(metadata_interleaved, 0).refuse, -ENOTSUP);
	CU_ASSERT_EQUAL(parse(boundary_3, 0).boundary_lbas, 3);
	CU_ASSERT_EQUAL(parse(nsze_largest, 2).refuse, -ENOTSUP);
}

static uint16_t bad_ns_2(struct fake_nvme *fake, uint8_t cns, uint32_t nsid, void *page)
{
	struct nvme_id_ns *id = page;

	(void)fake;
	if (cns == NVME_IDENTIFY_CNS_NS && nsid == 2)
		id->lbaf[1].ds = 200;
	return cns == NVME_IDENTIFY_CNS_NS && nsid == 3 ? 0x00b : 0;
}

static void one_bad_namespace_does_not_spoil_the_others(void)
{
	struct quoll_nvme_ns_info ns;

	fixture_init(&fx);
	fx.fake.on_identify = bad_ns_2;
	fake_nvme_add_ns(&fx.fake, 2, 100, 12, 0);
	fake_nvme_add_ns(&fx.fake, 3, 100, 12, 0);
	fixture_open_queue(&fx, 16);
	CU_ASSERT_EQUAL(quoll_nvme_ns_find(fx.nvme, 2, &ns), 0);
	CU_ASSERT_EQUAL(ns.usable, -EPROTO);
	CU_ASSERT_EQUAL(quoll_nvme_ns_find(fx.nvme, 3, &ns), 0);
	CU_ASSERT_EQUAL(ns.usable, -ENOTSUP);
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 2, fx.buf, 0, 1, 0), -EPROTO);
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 3, fx.buf, 0, 1, 0), -ENOTSUP);
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf, 0, 1, 0), 0);
	fixture_fini(&fx);
}

/* Lists of namespaces. @arg is which one. */
enum list { LIST_UNSORTED, LIST_REPEATED, LIST_LOOP, LIST_LONG, LIST_BROADCAST };

static uint16_t list_hook(struct fake_nvme *fake, uint8_t cns, uint32_t nsid, void *page)
{
	uint32_t *ids = page;

	if (cns != NVME_IDENTIFY_CNS_NS_ACTIVE_LIST)
		return 0;
	memset(ids, 0, 4096);
	switch (*(enum list *)fake->arg) {
	case LIST_UNSORTED:
		ids[0] = 5;
		ids[1] = 3;
		break;
	case LIST_REPEATED:
		ids[0] = 5;
		ids[1] = 5;
		break;
	case LIST_LOOP: /* full pages of the same ids for ever */
		for (uint32_t i = 0; i < 1024; i++)
			ids[i] = i + 1;
		break;
	case LIST_LONG: /* 1,030 namespaces */
		for (uint32_t i = 0; i < 1024 && nsid + i + 1 <= 1030; i++)
			ids[i] = nsid + i + 1;
		break;
	case LIST_BROADCAST:
		ids[0] = 0xffffffff;
	}
	return 0;
}

static void lists_of_namespaces_must_ascend(void)
{
	static enum list lists[] = {LIST_UNSORTED, LIST_REPEATED, LIST_LOOP, LIST_BROADCAST};

	for (unsigned int i = 0; i < 4; i++) {
		fixture_init(&fx);
		fx.fake.on_identify = list_hook;
		fx.fake.arg = &lists[i];
		expect_refusal(-EPROTO, "identify", "out of order");
	}
}

static void a_list_of_more_than_a_page_is_read_on(void)
{
	enum list list = LIST_LONG;
	struct quoll_nvme_ns_info ns;
	struct quoll_nvme_info info;

	fixture_init(&fx);
	fx.fake.on_identify = list_hook;
	fx.fake.arg = &list;
	CU_ASSERT_EQUAL_FATAL(fixture_open(&fx, NULL), 0);
	quoll_nvme_info(fx.nvme, &info);
	CU_ASSERT_EQUAL(info.nr_namespaces, 1030);
	CU_ASSERT_EQUAL(quoll_nvme_ns_find(fx.nvme, 1030, &ns), 0);
	CU_ASSERT_EQUAL(quoll_nvme_ns_find(fx.nvme, 1031, &ns), -ENOENT);
	CU_ASSERT_EQUAL(quoll_nvme_ns_find(fx.nvme, 64, &ns), 0);
	CU_ASSERT_EQUAL(ns.nsid, 64);
	fixture_fini(&fx);
}

static uint16_t zoned_ns_1(struct fake_nvme *fake, uint8_t cns, uint32_t nsid, void *page)
{
	uint8_t *list = page;
	static const uint8_t descriptors[] = {3, 16, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1,
					      1, 1,  1, 1, 1, 1, 1, 4, 1, 0, 0, 2};

	(void)fake;
	if (cns == NVME_IDENTIFY_CNS_NS_DESC_LIST && nsid == 1)
		memcpy(list, descriptors, sizeof(descriptors));
	/* The other one's list has no end. */
	if (cns == NVME_IDENTIFY_CNS_NS_DESC_LIST && nsid == 2)
		memset(list, 0xff, 4096);
	return 0;
}

static void namespaces_of_another_command_set_are_refused(void)
{
	struct quoll_nvme_ns_info ns;

	fixture_init(&fx);
	fx.fake.cap |= (uint64_t)NVME_CAP_CSS_CSI << NVME_CAP_CSS_SHIFT;
	fx.fake.on_identify = zoned_ns_1;
	fake_nvme_add_ns(&fx.fake, 2, 100, 12, 0);
	CU_ASSERT_EQUAL_FATAL(fixture_open(&fx, NULL), 0);
	quoll_nvme_ns_find(fx.nvme, 1, &ns);
	CU_ASSERT_EQUAL(ns.usable, -ENOTSUP);
	quoll_nvme_ns_find(fx.nvme, 2, &ns);
	CU_ASSERT_EQUAL(ns.usable, 0);
	fixture_fini(&fx);
}

static uint16_t fail_identify(struct fake_nvme *fake, uint8_t cns, uint32_t nsid, void *page)
{
	(void)fake;
	(void)nsid;
	(void)page;
	return cns == NVME_IDENTIFY_CNS_CTRL ? 0x006 : 0;
}

static void a_failed_command_is_named_with_its_status(void)
{
	fixture_init(&fx);
	fx.fake.on_identify = fail_identify;
	expect_refusal(-EIO, "admin", "Identify Controller failed with status 0x006");
	CU_ASSERT_PTR_NOT_NULL(strstr(fx.err.what, quoll_nvme_status_name(6)));
}

static void silence_is_a_time_out_that_quotes_csts(void)
{
	struct quoll_nvme_opts opts = {.admin_timeout_ms = 60};
	uint64_t start = now_ms();

	fixture_init(&fx);
	fx.fake.mute_admin = true;
	CU_ASSERT_EQUAL(fixture_open(&fx, &opts), -ETIMEDOUT);
	CU_ASSERT(now_ms() - start < 8000);
	CU_ASSERT_PTR_NOT_NULL(strstr(fx.err.what, "60 ms; CSTS is 0x00000001"));
	CU_ASSERT_FALSE(fake_pci_bus_master(&fx.fake.pci));
	fixture_fini(&fx);
}

static void admin_commands_pass_through_with_data_at_any_place(void)
{
	struct quoll_nvme_cmd cmd = {.opcode = 0xc2};
	static const uint32_t lens[] = {4, 4096, 4100, 8192, 65536, 128 << 10};
	unsigned int wrong = 0;
	uint32_t result;

	fixture_init(&fx);
	CU_ASSERT_EQUAL_FATAL(fixture_open(&fx, NULL), 0);
	for (unsigned int i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		cmd.data = fx.buf + 4096 * i + 1000;
		cmd.data_bytes = lens[i];
		cmd.cdw10 = lens[i];
		cmd.opcode = 0xc2; /* from the controller */
		CU_ASSERT_EQUAL(fixture_admin(&fx, &cmd, &result), 0);
		CU_ASSERT_EQUAL(result, 0x1234);
		for (uint32_t j = 0; j < lens[i]; j++)
			wrong += ((uint8_t *)cmd.data)[j] != j % 251;
		cmd.opcode = 0xc1; /* and to it: it checks */
		CU_ASSERT_EQUAL(fixture_admin(&fx, &cmd, NULL), 0);
	}
	CU_ASSERT_EQUAL(wrong, 0);
	cmd.opcode = 0xc3;
	CU_ASSERT_EQUAL(fixture_admin(&fx, &cmd, &result), 0x001);
	fixture_fini(&fx);
}

static void admin_commands_that_would_break_something_are_refused(void)
{
	static const uint8_t opcodes[] = {nvme_admin_delete_sq, nvme_admin_create_sq, nvme_admin_delete_cq,
					  nvme_admin_create_cq, nvme_admin_dbbuf,     nvme_admin_async_event};
	static uint32_t outside[4];
	struct quoll_nvme_cmd cmd = {0};
	unsigned int before;

	fixture_init(&fx);
	CU_ASSERT_EQUAL_FATAL(fixture_open(&fx, NULL), 0);
	before = fx.fake.nr_admin;
	for (unsigned int i = 0; i < sizeof(opcodes); i++) {
		cmd.opcode = opcodes[i];
		CU_ASSERT_EQUAL(quoll_nvme_admin(fx.nvme, &cmd, NULL), -EPERM);
	}
	cmd = (struct quoll_nvme_cmd){.opcode = 0xc1, .data = outside, .data_bytes = 16};
	CU_ASSERT_EQUAL(quoll_nvme_admin(fx.nvme, &cmd, NULL), -EFAULT);
	cmd.data = fx.buf + 1;
	CU_ASSERT_EQUAL(quoll_nvme_admin(fx.nvme, &cmd, NULL), -EINVAL);
	cmd.data = fx.buf;
	cmd.data_bytes = (128 << 10) + 4;
	CU_ASSERT_EQUAL(quoll_nvme_admin(fx.nvme, &cmd, NULL), -EINVAL);
	cmd.data_bytes = 0;
	CU_ASSERT_EQUAL(quoll_nvme_admin(fx.nvme, &cmd, NULL), -EINVAL);
	CU_ASSERT_EQUAL(fx.fake.nr_admin, before);
	fixture_fini(&fx);
}

static void a_time_out_takes_the_callers_buffer_out_of_reach(void)
{
	struct quoll_nvme_cmd cmd = {.opcode = 0xc2, .cdw10 = 4096, .data_bytes = 4096};

	fixture_init(&fx);
	CU_ASSERT_EQUAL_FATAL(fixture_open(&fx, NULL), 0);
	cmd.data = fx.buf;
	fx.nvme->admin.timeout_ns = 50000000;
	fx.fake.mute_admin = true;
	CU_ASSERT_EQUAL(fixture_admin(&fx, &cmd, NULL), -ETIMEDOUT);
	CU_ASSERT_FALSE(fake_pci_bus_master(&fx.fake.pci));
	CU_ASSERT_EQUAL(fixture_admin(&fx, &cmd, NULL), -ENODEV);
	fixture_fini(&fx);
	CU_ASSERT_EQUAL(fx.close_rc, -ETIMEDOUT);
}

/* Each answer twice; or, with *arg 0, one to nothing. */
static unsigned int stray(struct fake_nvme *fake, uint16_t qid, struct nvme_cqe *cqe)
{
	if (!qid && !*(int *)fake->arg)
		cqe->cid_status ^= 0x40;
	return 2;
}

static void strays_in_the_admin_queue_are_dropped(void)
{
	struct quoll_nvme_cmd cmd = {.opcode = 0xc2};
	int right = 1;

	fixture_init(&fx);
	CU_ASSERT_EQUAL_FATAL(fixture_open(&fx, NULL), 0);
	fx.fake.arg = &right;
	fx.fake.on_cqe = stray;
	/* The second answer to one command is a stray for the next. */
	for (int i = 0; i < 100; i++)
		CU_ASSERT_EQUAL(fixture_admin(&fx, &cmd, NULL), 0);
	CU_ASSERT(fx.nvme->admin.nr_strays >= 99);
	right = 0;
	fx.nvme->admin.timeout_ns = 50000000;
	CU_ASSERT_EQUAL(fixture_admin(&fx, &cmd, NULL), -ETIMEDOUT);
	fx.fake.on_cqe = NULL;
	fixture_fini(&fx);
}

static void formatting_makes_what_is_known_of_a_namespace_stale(void)
{
	struct quoll_nvme_cmd cmd = {.opcode = nvme_admin_format_nvm, .nsid = 1};
	struct quoll_nvme_ns_info ns;

	fixture_init(&fx);
	fake_nvme_add_ns(&fx.fake, 2, 100, 12, 0);
	fixture_open_queue(&fx, 16);
	CU_ASSERT_EQUAL(fixture_admin(&fx, &cmd, NULL), 0);
	quoll_nvme_ns_find(fx.nvme, 1, &ns);
	CU_ASSERT_EQUAL(ns.usable, -ESTALE);
	CU_ASSERT_EQUAL(quoll_nvme_prep_write(fx.queue, 1, fx.buf, 0, 1, 0), -ESTALE);
	CU_ASSERT_EQUAL(quoll_nvme_prep_write(fx.queue, 1, fx.buf, 0, 4096, 0), -ESTALE);
	CU_ASSERT_EQUAL(quoll_nvme_prep_write(fx.queue, 2, fx.buf, 0, 1, 0), 0);
	cmd.nsid = NVME_NSID_ALL;
	CU_ASSERT_EQUAL(fixture_admin(&fx, &cmd, NULL), 0);
	CU_ASSERT_EQUAL(quoll_nvme_prep_write(fx.queue, 2, fx.buf, 0, 1, 0), -ESTALE);
	fixture_fini(&fx);
}

/* FNA bit 0: a format of one namespace is one of all (Base Specification 2.0, figure 275). */
static void formatting_one_may_make_all_stale(void)
{
	struct quoll_nvme_cmd cmd = {.opcode = nvme_admin_format_nvm, .nsid = 1};

	fixture_init(&fx);
	fx.fake.id.fna = NVME_CTRL_FNA_FMT_ALL_NAMESPACES;
	fake_nvme_add_ns(&fx.fake, 2, 100, 12, 0);
	fixture_open_queue(&fx, 16);
	CU_ASSERT_EQUAL(quoll_nvme_prep_write(fx.queue, 2, fx.buf, 0, 1, 0), 0);
	CU_ASSERT_EQUAL(fixture_admin(&fx, &cmd, NULL), 0);
	CU_ASSERT_EQUAL(quoll_nvme_prep_write(fx.queue, 1, fx.buf, 0, 1, 0), -ESTALE);
	CU_ASSERT_EQUAL(quoll_nvme_prep_write(fx.queue, 2, fx.buf, 0, 1, 0), -ESTALE);
	fixture_fini(&fx);
}

static void count_warnings(void *arg, enum quoll_log_level level, const char *area, const char *line)
{
	(void)area;
	if (level == QUOLL_LOG_WARN && strstr(line, "shutdown"))
		++*(unsigned int *)arg;
}

static void a_shutdown_that_does_not_end_is_bounded_and_told(void)
{
	unsigned int warnings = 0;
	uint64_t start;

	fixture_init(&fx);
	fx.fake.pci.env = (struct quoll_env){.log = count_warnings, .log_arg = &warnings, .log_level = QUOLL_LOG_WARN};
	fx.fake.never_shut_down = true;
	CU_ASSERT_EQUAL_FATAL(fixture_open(&fx, NULL), 0);
	start = now_ms();
	fixture_fini(&fx);
	CU_ASSERT_EQUAL(fx.close_rc, -ETIMEDOUT);
	CU_ASSERT(now_ms() - start < 10000);
	CU_ASSERT_EQUAL(warnings, 1);
}

static void every_status_has_a_name(void)
{
	unsigned int wrong = 0;

	for (uint32_t status = 0; status <= 0xffff; status++)
		wrong += !quoll_nvme_status_name((uint16_t)status) || !*quoll_nvme_status_name((uint16_t)status);
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(quoll_nvme_status_name(0x002), "Invalid Field"));
	CU_ASSERT_STRING_NOT_EQUAL(quoll_nvme_status_name(0x281), quoll_nvme_status_name(0x081));
}

static const struct unit_test tests[] = {
	{"a controller comes up and says what it is", a_controller_comes_up_and_says_what_it_is},
	{"a controller can be opened again after close", a_controller_can_be_opened_again_after_close},
	{"a controller left enabled by somebody else is reset", a_controller_left_enabled_by_somebody_else_is_reset},
	{"a controller that never becomes ready is given up in time",
	 a_controller_that_never_becomes_ready_is_given_up_in_time},
	{"CRTO is a longer limit than CAP.TO where there is one",
	 crto_is_a_longer_limit_than_cap_to_where_there_is_one},
	{"fatal status and absence are told apart", fatal_status_and_absence_are_told_apart},
	{"capabilities that do not fit are refused", capabilities_that_do_not_fit_are_refused},
	{"doorbells limit the number of queues", doorbells_limit_the_number_of_queues},
	{"identify data that excludes us is refused", identify_data_that_excludes_us_is_refused},
	{"strings without end and unprintable are made safe", strings_without_end_and_unprintable_are_made_safe},
	{"MDTS is cut to what one list holds", mdts_is_cut_to_what_one_list_holds},
	{"hostile namespace data is listed but not used", hostile_namespace_data_is_listed_but_not_used},
	{"one bad namespace does not spoil the others", one_bad_namespace_does_not_spoil_the_others},
	{"lists of namespaces must ascend", lists_of_namespaces_must_ascend},
	{"a list of more than a page is read on", a_list_of_more_than_a_page_is_read_on},
	{"namespaces of another command set are refused", namespaces_of_another_command_set_are_refused},
	{"a failed command is named with its status", a_failed_command_is_named_with_its_status},
	{"silence is a time-out that quotes CSTS", silence_is_a_time_out_that_quotes_csts},
	{"admin commands pass through with data at any place", admin_commands_pass_through_with_data_at_any_place},
	{"admin commands that would break something are refused",
	 admin_commands_that_would_break_something_are_refused},
	{"a time-out takes the caller's buffer out of reach", a_time_out_takes_the_callers_buffer_out_of_reach},
	{"strays in the admin queue are dropped", strays_in_the_admin_queue_are_dropped},
	{"formatting makes what is known of a namespace stale", formatting_makes_what_is_known_of_a_namespace_stale},
	{"formatting one namespace may make all stale", formatting_one_may_make_all_stale},
	{"a shutdown that does not end is bounded, and told", a_shutdown_that_does_not_end_is_bounded_and_told},
	{"every status has a name", every_status_has_a_name},
};

UNIT_MAIN("nvme bring-up", tests)
