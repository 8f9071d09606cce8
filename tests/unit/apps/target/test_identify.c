/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_identify.c - each CNS, and each refusal.
 */
#include "tgt_fixture.h"

static struct host host;

static uint16_t identify(uint8_t cns, uint32_t nsid, uint16_t cntid, uint8_t csi)
{
	memset(host_va(&host, HOST_DATA), 0xee, 4096);
	return host_admin(&host, (struct nvme_sqe){.opcode = nvme_admin_identify,
						   .nsid = nsid,
						   .prp1 = HOST_DATA,
						   .cdw10 = (uint32_t)cntid << 16 | cns,
						   .cdw11 = (uint32_t)csi << 24});
}

static const void *page(void)
{
	return host_va(&host, HOST_DATA);
}

static bool is_zero(const void *bytes, size_t n)
{
	const uint8_t *at = bytes;

	for (size_t i = 0; i < n; i++)
		if (at[i])
			return false;
	return true;
}

static void start(void)
{
	static const char *const namespaces[] = {"mem:8M", "mem:4M?bs=4096&uuid=01234567-89ab-cdef-0123-456789abcdef",
						 "null:?size=1G", NULL};

	host_start(&host, namespaces);
	tgt_subsys_remove_ns(host.subsys, 1, NULL);
	host_poll(&host, 1);
}

static void the_controller_says_what_it_is(void)
{
	const struct nvme_id_ctrl *id = page();

	start();
	CU_ASSERT_EQUAL(identify(NVME_IDENTIFY_CNS_CTRL, 0, 0, 0), 0);
	CU_ASSERT_EQUAL(id->vid, 0x1b36);
	CU_ASSERT_EQUAL(memcmp(id->sn, "QUOLL1              ", 20), 0);
	CU_ASSERT_EQUAL(memcmp(id->mn, "Quoll target                            ", 40), 0);
	CU_ASSERT_EQUAL(id->ver, 0x20000);
	CU_ASSERT_EQUAL(id->cntrltype, 1);
	CU_ASSERT_EQUAL(id->cntlid, 1);
	CU_ASSERT_EQUAL(id->cmic, 0);
	CU_ASSERT_EQUAL(id->mdts, 8);
	CU_ASSERT_EQUAL(id->aerl, TGT_MAX_AERS - 1);
	CU_ASSERT_EQUAL(id->sqes, 0x66);
	CU_ASSERT_EQUAL(id->cqes, 0x44);
	CU_ASSERT_EQUAL(id->nn, TGT_MAX_NAMESPACES);
	CU_ASSERT_EQUAL(id->oacs, NVME_CTRL_OACS_DBBUF_CFG);
	CU_ASSERT_TRUE(id->oncs & NVME_CTRL_ONCS_COMPARE && id->oncs & NVME_CTRL_ONCS_DSM);
	CU_ASSERT_EQUAL(id->kas, 0);
	CU_ASSERT_EQUAL(id->sgls & 3, 1);
	CU_ASSERT_STRING_EQUAL(id->subnqn, "nqn.2026-01.io.quoll:target");
	host_end(&host);
}

static void several_controllers_say_that_they_share(void)
{
	const struct nvme_id_independent_id_ns *independent = page();
	const struct nvme_id_ctrl *ctrl = page();
	const struct nvme_id_ns *ns = page();
	struct tgt_ctrl *other;

	start();
	CU_ASSERT_EQUAL_FATAL(tgt_ctrl_create(host.subsys, &host.ctrl->transport, &other, NULL), 0);
	CU_ASSERT_EQUAL(identify(NVME_IDENTIFY_CNS_CTRL, 0, 0, 0), 0);
	CU_ASSERT_EQUAL(ctrl->cmic, 2);
	CU_ASSERT_EQUAL(identify(NVME_IDENTIFY_CNS_NS, 2, 0, 0), 0);
	CU_ASSERT_EQUAL(ns->nmic, 1);
	CU_ASSERT_EQUAL(identify(NVME_IDENTIFY_CNS_CSI_INDEPENDENT_ID_NS, 2, 0, 0), 0);
	CU_ASSERT_EQUAL(independent->nmic, 1);
	tgt_ctrl_destroy(other);
	CU_ASSERT_EQUAL(identify(NVME_IDENTIFY_CNS_CTRL, 0, 0, 0), 0);
	CU_ASSERT_EQUAL(ctrl->cmic, 0);
	CU_ASSERT_EQUAL(identify(NVME_IDENTIFY_CNS_CSI_INDEPENDENT_ID_NS, 2, 0, 0), 0);
	CU_ASSERT_EQUAL(independent->nmic, 0);
	host_end(&host);
}

static void a_namespace_says_its_size_and_format(void)
{
	const struct nvme_id_ns *id = page();

	start();
	CU_ASSERT_EQUAL(identify(NVME_IDENTIFY_CNS_NS, 2, 0, 0), 0);
	CU_ASSERT_EQUAL(id->nsze, 1024);
	CU_ASSERT_EQUAL(id->ncap, 1024);
	CU_ASSERT_EQUAL(id->nlbaf, 0);
	CU_ASSERT_EQUAL(id->lbaf[0].ds, 12);
	CU_ASSERT_EQUAL(id->dlfeat, 9);
	CU_ASSERT_EQUAL(id->nmic, 0);
	CU_ASSERT_EQUAL(identify(NVME_IDENTIFY_CNS_NS, 3, 0, 0), 0);
	CU_ASSERT_EQUAL(id->nsze, 1u << 21);
	CU_ASSERT_EQUAL(id->lbaf[0].ds, 9);
	CU_ASSERT_EQUAL(identify(NVME_IDENTIFY_CNS_ALLOCATED_NS, 3, 0, 0), 0);
	CU_ASSERT_EQUAL(id->nsze, 1u << 21);
	CU_ASSERT_EQUAL(identify(NVME_IDENTIFY_CNS_CSI_INDEPENDENT_ID_NS, 3, 0, 0), 0);
	CU_ASSERT_EQUAL(((const struct nvme_id_independent_id_ns *)page())->nstat, 1);
	host_end(&host);
}

static void inactive_namespaces_are_zeroes_and_invalid_ones_refused(void)
{
	static const uint8_t cns[] = {NVME_IDENTIFY_CNS_NS, NVME_IDENTIFY_CNS_ALLOCATED_NS, NVME_IDENTIFY_CNS_CSI_NS,
				      NVME_IDENTIFY_CNS_CSI_INDEPENDENT_ID_NS,
				      NVME_IDENTIFY_CNS_CSI_ID_NS_DATA_STRUCTURE};
	static const uint32_t invalid[] = {0, TGT_MAX_NAMESPACES + 1, 0x80000000, HOST_ALL - 1, HOST_ALL};

	start();
	for (size_t i = 0; i < sizeof(cns); i++) {
		CU_ASSERT_EQUAL(identify(cns[i], 1, 0, 0), 0);
		CU_ASSERT_TRUE(is_zero(page(), 4096));
		CU_ASSERT_EQUAL(identify(cns[i], TGT_MAX_NAMESPACES, 0, 0), 0);
		CU_ASSERT_TRUE(is_zero(page(), 4096));
		for (size_t j = 0; j < sizeof(invalid) / sizeof(invalid[0]); j++)
			CU_ASSERT_EQUAL(identify(cns[i], invalid[j], 0, 0), NVME_SC_INVALID_NS);
	}
	host_end(&host);
}

static void lists_have_the_active_namespaces_above_the_one_given(void)
{
	static const uint8_t cns[] = {NVME_IDENTIFY_CNS_NS_ACTIVE_LIST, NVME_IDENTIFY_CNS_CSI_NS_ACTIVE_LIST,
				      NVME_IDENTIFY_CNS_ALLOCATED_NS_LIST, NVME_IDENTIFY_CNS_CSI_ALLOCATED_NS_LIST};
	const quoll_le32 *list = page();

	start();
	for (size_t i = 0; i < sizeof(cns); i++) {
		CU_ASSERT_EQUAL(identify(cns[i], 0, 0, 0), 0);
		CU_ASSERT_EQUAL(list[0], 2);
		CU_ASSERT_EQUAL(list[1], 3);
		CU_ASSERT_TRUE(is_zero(&list[2], 4088));
		CU_ASSERT_EQUAL(identify(cns[i], 2, 0, 0), 0);
		CU_ASSERT_EQUAL(list[0], 3);
		CU_ASSERT_EQUAL(list[1], 0);
		CU_ASSERT_EQUAL(identify(cns[i], 77777, 0, 0), 0);
		CU_ASSERT_TRUE(is_zero(page(), 4096));
		CU_ASSERT_EQUAL(identify(cns[i], HOST_ALL, 0, 0), NVME_SC_INVALID_NS);
		CU_ASSERT_EQUAL(identify(cns[i], HOST_ALL - 1, 0, 0), NVME_SC_INVALID_NS);
	}
	host_end(&host);
}

static void descriptors_have_uuid_and_command_set(void)
{
	static const uint8_t want[] = {3,    16,   0,	 0,    0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01,
				       0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 4,    1,    0,	   0,	 0};

	start();
	CU_ASSERT_EQUAL(identify(NVME_IDENTIFY_CNS_NS_DESC_LIST, 2, 0, 0), 0);
	CU_ASSERT_EQUAL(memcmp(page(), want, sizeof(want)), 0);
	CU_ASSERT_TRUE(is_zero((const uint8_t *)page() + sizeof(want), 4096 - sizeof(want)));
	CU_ASSERT_EQUAL(identify(NVME_IDENTIFY_CNS_NS_DESC_LIST, 1, 0, 0), NVME_SC_INVALID_NS);
	CU_ASSERT_EQUAL(identify(NVME_IDENTIFY_CNS_NS_DESC_LIST, HOST_ALL, 0, 0), NVME_SC_INVALID_NS);
	host_end(&host);
}

static void controllers_are_listed(void)
{
	const struct nvme_ctrl_list *list = page();
	struct tgt_ctrl *other = (struct tgt_ctrl *)&host;

	start();
	CU_ASSERT_EQUAL(tgt_subsys_attach(host.subsys, other), 2);
	CU_ASSERT_EQUAL(identify(NVME_IDENTIFY_CNS_CTRL_LIST, 0, 0, 0), 0);
	CU_ASSERT_EQUAL(list->num, 2);
	CU_ASSERT_EQUAL(list->identifier[1], 2);
	CU_ASSERT_EQUAL(identify(NVME_IDENTIFY_CNS_CTRL_LIST, 0, 2, 0), 0);
	CU_ASSERT_EQUAL(list->num, 1);
	CU_ASSERT_EQUAL(list->identifier[0], 2);
	CU_ASSERT_EQUAL(identify(NVME_IDENTIFY_CNS_NS_CTRL_LIST, 2, 0, 0), 0);
	CU_ASSERT_EQUAL(list->num, 2);
	CU_ASSERT_EQUAL(identify(NVME_IDENTIFY_CNS_NS_CTRL_LIST, 1, 0, 0), NVME_SC_INVALID_FIELD);
	CU_ASSERT_EQUAL(identify(NVME_IDENTIFY_CNS_NS_CTRL_LIST, 0, 0, 0), NVME_SC_INVALID_NS);
	tgt_subsys_detach(host.subsys, 2);
	host_end(&host);
}

static void there_is_one_command_set(void)
{
	start();
	CU_ASSERT_EQUAL(identify(NVME_IDENTIFY_CNS_COMMAND_SET_STRUCTURE, 0, 0xffff, 0), 0);
	CU_ASSERT_EQUAL(*(const quoll_le64 *)page(), 1);
	CU_ASSERT_EQUAL(identify(NVME_IDENTIFY_CNS_COMMAND_SET_STRUCTURE, 0, 1, 0), 0);
	CU_ASSERT_EQUAL(identify(NVME_IDENTIFY_CNS_COMMAND_SET_STRUCTURE, 0, 9, 0), NVME_SC_INVALID_FIELD);
	CU_ASSERT_EQUAL(identify(NVME_IDENTIFY_CNS_CSI_CTRL, 0, 0, NVME_CSI_NVM), 0);
	CU_ASSERT_EQUAL(identify(NVME_IDENTIFY_CNS_CSI_CTRL, 0, 0, NVME_CSI_ZNS), NVME_SC_INVALID_FIELD);
	CU_ASSERT_EQUAL(identify(NVME_IDENTIFY_CNS_CSI_NS, 2, 0, NVME_CSI_KV), NVME_SC_INVALID_FIELD);
	CU_ASSERT_EQUAL(identify(NVME_IDENTIFY_CNS_CSI_NS_ACTIVE_LIST, 0, 0, 0xff), NVME_SC_INVALID_FIELD);
	host_end(&host);
}

static void other_pages_are_refused(void)
{
	static const uint8_t known[] = {0, 1, 2, 3, 5, 6, 7, 8, 0x10, 0x11, 0x12, 0x13, 0x1a, 0x1b, 0x1c};

	start();
	for (unsigned int cns = 0; cns < 256; cns++) {
		if (memchr(known, (int)cns, sizeof(known)))
			continue;
		CU_ASSERT_EQUAL(identify((uint8_t)cns, 2, 0, 0), NVME_SC_INVALID_FIELD);
	}
	host_end(&host);
}

static void data_that_goes_nowhere_is_an_error(void)
{
	struct nvme_sqe cmd = {.opcode = nvme_admin_identify, .prp1 = 0x1000, .cdw10 = NVME_IDENTIFY_CNS_CTRL};

	start();
	CU_ASSERT_EQUAL(host_admin(&host, cmd), NVME_SC_DATA_XFER_ERROR);
	cmd.prp1 = HOST_DATA + 512;
	cmd.prp2 = HOST_DATA + 8192 + 8;
	CU_ASSERT_EQUAL(host_admin(&host, cmd), NVME_SC_PRP_INVALID_OFFSET);
	cmd.prp2 = HOST_DATA + 8192;
	CU_ASSERT_EQUAL(host_admin(&host, cmd), 0);
	cmd.flags = 1 << 6; /* an SGL */
	CU_ASSERT_EQUAL(host_admin(&host, cmd), NVME_SC_INVALID_FIELD);
	cmd.flags = 1; /* fused */
	CU_ASSERT_EQUAL(host_admin(&host, cmd), NVME_SC_INVALID_FIELD);
	host_end(&host);
}

static const struct unit_test tests[] = {
	{"the controller says what it is", the_controller_says_what_it_is},
	{"several controllers say that they share", several_controllers_say_that_they_share},
	{"a namespace says its size and format", a_namespace_says_its_size_and_format},
	{"inactive namespaces are zeroes, and invalid ones refused",
	 inactive_namespaces_are_zeroes_and_invalid_ones_refused},
	{"lists have the active namespaces above the one given", lists_have_the_active_namespaces_above_the_one_given},
	{"descriptors have UUID and command set", descriptors_have_uuid_and_command_set},
	{"controllers are listed", controllers_are_listed},
	{"there is one command set", there_is_one_command_set},
	{"other pages are refused", other_pages_are_refused},
	{"data that goes nowhere is an error", data_that_goes_nowhere_is_an_error},
};

UNIT_MAIN("apps/target/identify", tests)
