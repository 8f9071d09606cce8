/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * identify.c - Identify (Base 2.0, 5.17; NVM Command Set 1.0, 4.1.5): who we are, and what namespaces there are.
 */
#include "controller_internal.h"

#define IDENTIFY_BYTES NVME_IDENTIFY_DATA_SIZE

static uint8_t id_cns(const struct tgt_req *req)
{
	return (uint8_t)tgt_cdw10(req);
}

static uint16_t id_cntid(const struct tgt_req *req)
{
	return (uint16_t)(tgt_cdw10(req) >> 16);
}

static uint8_t id_csi(const struct tgt_req *req)
{
	return (uint8_t)(tgt_cdw11(req) >> 24);
}

/* ASCII, filled up with spaces (Base 2.0, 1.5). */
static void text_put(char *dst, size_t size, const char *text)
{
	size_t len = strnlen(text, size);

	memcpy(dst, text, len);
	memset(dst + len, ' ', size - len);
}

static void le128_put(uint8_t *dst, uint64_t value)
{
	quoll_le64 le = quoll_cpu_to_le64(value);

	memcpy(dst, &le, sizeof(le));
}

static void ctrl_limits(const struct tgt_ctrl *ctrl, struct nvme_id_ctrl *id)
{
	id->mdts = TGT_MDTS;
	id->aerl = TGT_MAX_AERS - 1;
	id->acl = 3;
	id->elpe = TGT_NR_ERRORS - 1;
	id->sqes = NVME_SQES_SHIFT << 4 | NVME_SQES_SHIFT;
	id->cqes = NVME_CQES_SHIFT << 4 | NVME_CQES_SHIFT;
	id->nn = quoll_cpu_to_le32(TGT_MAX_NAMESPACES);
	id->kas = quoll_cpu_to_le16(ctrl->transport.kas);
	id->wctemp = quoll_cpu_to_le16(TGT_WARN_TEMPERATURE);
	id->cctemp = quoll_cpu_to_le16(TGT_CRITICAL_TEMPERATURE);
	id->psd[0].mp = quoll_cpu_to_le16(2500); /* 25 W, as there must be something */
}

static void ctrl_fill(const struct tgt_ctrl *ctrl, struct nvme_id_ctrl *id)
{
	id->vid = quoll_cpu_to_le16(ctrl->transport.vid);
	id->ssvid = quoll_cpu_to_le16(ctrl->transport.ssvid);
	text_put(id->sn, sizeof(id->sn), ctrl->subsys->serial);
	text_put(id->mn, sizeof(id->mn), ctrl->subsys->model);
	text_put(id->fr, sizeof(id->fr), TGT_FIRMWARE);
	id->cmic = tgt_subsys_shared(ctrl->subsys) ? NVME_CTRL_CMIC_MULTI_CTRL : 0;
	id->cntlid = quoll_cpu_to_le16(ctrl->cntlid);
	id->ver = quoll_cpu_to_le32(TGT_VERSION);
	id->oaes = quoll_cpu_to_le32(NVME_CTRL_OAES_NA);
	id->cntrltype = NVME_CTRL_CNTRLTYPE_IO;
	id->oacs = quoll_cpu_to_le16(ctrl->transport.doorbell_buffers ? NVME_CTRL_OACS_DBBUF_CFG : 0);
	id->frmw = NVME_CTRL_FRMW_1ST_RO | 1 << 1;
	id->lpa = NVME_CTRL_LPA_CMD_EFFECTS | NVME_CTRL_LPA_EXTENDED | NVME_CTRL_LPA_LI0_LI5_LI12_LI13;
	id->oncs = quoll_cpu_to_le16(NVME_CTRL_ONCS_COMPARE | NVME_CTRL_ONCS_DSM | NVME_CTRL_ONCS_WRITE_ZEROES |
				     NVME_CTRL_ONCS_SAVE_FEATURES | NVME_CTRL_ONCS_TIMESTAMP);
	/* There is a cache, and Flush is for one namespace: FFFFFFFFh is refused. */
	id->vwc = NVME_CTRL_VWC_PRESENT | 2 << 1;
	id->sgls = quoll_cpu_to_le32(1); /* any alignment */
	memcpy(id->subnqn, ctrl->subsys->nqn, sizeof(ctrl->subsys->nqn));
	ctrl_limits(ctrl, id);
}

static uint16_t id_ctrl(struct tgt_ctrl *ctrl, struct tgt_req *req, void *page)
{
	(void)req;
	ctrl_fill(ctrl, page);
	return 0;
}

/*
 * Linux keeps the I/O of a namespace that may have other paths for as long as it likes when the only one has died, so
 * that this is said only where there are others.
 */
static uint8_t ns_multipath(const struct tgt_ctrl *ctrl)
{
	return tgt_subsys_shared(ctrl->subsys) ? NVME_NS_NMIC_SHARED : 0;
}

/* Of an NSID without an active namespace it is all zeroes. */
static uint16_t id_ns(struct tgt_ctrl *ctrl, struct tgt_req *req, void *page)
{
	const struct tgt_ns_slot *slot = tgt_slot(ctrl, tgt_req_nsid(req));
	struct nvme_id_ns *id = page;

	if (!tgt_nsid_valid(tgt_req_nsid(req)))
		return TGT_SC(INVALID_NS);
	if (!slot)
		return 0;
	id->nsze = quoll_cpu_to_le64(slot->nr_lbas);
	id->ncap = id->nsze;
	id->nuse = id->nsze;
	id->nmic = ns_multipath(ctrl);
	id->dlfeat = slot->ns->reads_zeroes ? NVME_NS_DLFEAT_RB_ALL_0S | NVME_NS_DLFEAT_WRITE_ZEROES : 0;
	le128_put(id->nvmcap, slot->nr_lbas << slot->lba_shift);
	id->lbaf[0].ds = (uint8_t)slot->lba_shift;
	return 0;
}

static uint16_t id_ns_independent(struct tgt_ctrl *ctrl, struct tgt_req *req, void *page)
{
	struct nvme_id_independent_id_ns *id = page;

	if (!tgt_nsid_valid(tgt_req_nsid(req)))
		return TGT_SC(INVALID_NS);
	if (!tgt_slot(ctrl, tgt_req_nsid(req)))
		return 0;
	id->nmic = ns_multipath(ctrl);
	id->nstat = 1; /* ready */
	return 0;
}

/* What the NVM command set adds for namespaces and controllers: nothing but zeroes here. */
static uint16_t id_csi_ns(struct tgt_ctrl *ctrl, struct tgt_req *req, void *page)
{
	(void)ctrl;
	(void)page;
	if (!tgt_nsid_valid(tgt_req_nsid(req)))
		return TGT_SC(INVALID_NS);
	return id_csi(req) == NVME_CSI_NVM ? 0 : TGT_SC(INVALID_FIELD);
}

static uint16_t id_csi_ctrl(struct tgt_ctrl *ctrl, struct tgt_req *req, void *page)
{
	(void)ctrl;
	(void)page;
	return id_csi(req) == NVME_CSI_NVM ? 0 : TGT_SC(INVALID_FIELD);
}

/* Up to 1,024 NSIDs above the one given, and none of the two that mean something else. */
static uint16_t id_ns_list(struct tgt_ctrl *ctrl, struct tgt_req *req, void *page)
{
	uint32_t after = tgt_req_nsid(req);
	struct nvme_ns_list *list = page;
	unsigned int n = 0;

	if (after >= NVME_NSID_ALL - 1)
		return TGT_SC(INVALID_NS);
	for (uint32_t nsid = after + 1; nsid <= TGT_MAX_NAMESPACES && n < NVME_ID_NS_LIST_MAX; nsid++)
		if (tgt_slot(ctrl, nsid))
			list->ns[n++] = quoll_cpu_to_le32(nsid);
	return 0;
}

static uint16_t id_csi_ns_list(struct tgt_ctrl *ctrl, struct tgt_req *req, void *page)
{
	return id_csi(req) == NVME_CSI_NVM ? id_ns_list(ctrl, req, page) : TGT_SC(INVALID_FIELD);
}

static uint8_t *desc_put(uint8_t *at, uint8_t nidt, const void *nid, uint8_t len)
{
	struct nvme_ns_id_desc *desc = (struct nvme_ns_id_desc *)at;

	desc->nidt = nidt;
	desc->nidl = len;
	memcpy(desc->nid, nid, len);
	return at + sizeof(*desc) + len;
}

static uint16_t id_ns_descs(struct tgt_ctrl *ctrl, struct tgt_req *req, void *page)
{
	const struct tgt_ns_slot *slot = tgt_slot(ctrl, tgt_req_nsid(req));
	const uint8_t csi = NVME_CSI_NVM;
	uint8_t *at = page;

	if (!slot)
		return TGT_SC(INVALID_NS);
	at = desc_put(at, NVME_NIDT_UUID, slot->ns->uuid, NVME_NIDT_UUID_LEN);
	desc_put(at, NVME_NIDT_CSI, &csi, NVME_NIDT_CSI_LEN);
	return 0;
}

static uint16_t id_ctrl_list(struct tgt_ctrl *ctrl, struct tgt_req *req, void *page)
{
	uint16_t ids[NVME_ID_CTRL_LIST_MAX];
	struct nvme_ctrl_list *list = page;
	unsigned int n;

	/* All namespaces are attached to all controllers. */
	if (id_cns(req) == NVME_IDENTIFY_CNS_NS_CTRL_LIST) {
		if (!tgt_nsid_valid(tgt_req_nsid(req)))
			return TGT_SC(INVALID_NS);
		if (!tgt_slot(ctrl, tgt_req_nsid(req)))
			return TGT_SC(INVALID_FIELD);
	}
	n = tgt_subsys_ids(ctrl->subsys, id_cntid(req), ids, NVME_ID_CTRL_LIST_MAX);
	list->num = quoll_cpu_to_le16((uint16_t)n);
	for (unsigned int i = 0; i < n; i++)
		list->identifier[i] = quoll_cpu_to_le16(ids[i]);
	return 0;
}

static uint16_t id_command_sets(struct tgt_ctrl *ctrl, struct tgt_req *req, void *page)
{
	struct nvme_id_iocs *id = page;

	if (id_cntid(req) != 0xffff && id_cntid(req) != ctrl->cntlid)
		return TGT_SC(INVALID_FIELD);
	id->iocsc[0] = quoll_cpu_to_le64(1u << NVME_CSI_NVM);
	return 0;
}

struct identify_page {
	uint8_t cns;
	uint16_t (*fill)(struct tgt_ctrl *ctrl, struct tgt_req *req, void *page);
};

static const struct identify_page pages[] = {
	{NVME_IDENTIFY_CNS_NS, id_ns},
	{NVME_IDENTIFY_CNS_CTRL, id_ctrl},
	{NVME_IDENTIFY_CNS_NS_ACTIVE_LIST, id_ns_list},
	{NVME_IDENTIFY_CNS_NS_DESC_LIST, id_ns_descs},
	{NVME_IDENTIFY_CNS_CSI_NS, id_csi_ns},
	{NVME_IDENTIFY_CNS_CSI_CTRL, id_csi_ctrl},
	{NVME_IDENTIFY_CNS_CSI_NS_ACTIVE_LIST, id_csi_ns_list},
	{NVME_IDENTIFY_CNS_CSI_INDEPENDENT_ID_NS, id_ns_independent},
	{NVME_IDENTIFY_CNS_ALLOCATED_NS_LIST, id_ns_list},
	{NVME_IDENTIFY_CNS_ALLOCATED_NS, id_ns},
	{NVME_IDENTIFY_CNS_NS_CTRL_LIST, id_ctrl_list},
	{NVME_IDENTIFY_CNS_CTRL_LIST, id_ctrl_list},
	{NVME_IDENTIFY_CNS_CSI_ALLOCATED_NS_LIST, id_csi_ns_list},
	{NVME_IDENTIFY_CNS_CSI_ID_NS_DATA_STRUCTURE, id_csi_ns},
	{NVME_IDENTIFY_CNS_COMMAND_SET_STRUCTURE, id_command_sets},
};

uint16_t tgt_identify(struct tgt_ctrl *ctrl, struct tgt_req *req)
{
	uint64_t page[IDENTIFY_BYTES / 8] = {0};
	uint16_t status;

	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		if (pages[i].cns != id_cns(req))
			continue;
		status = pages[i].fill(ctrl, req, page);
		return status ? status : tgt_admin_write(ctrl, req, page, sizeof(page));
	}
	return TGT_SC(INVALID_FIELD);
}
