/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * log_page.c - Get Log Page (Base 2.0, 5.16): a page is made as it would be read from its beginning, then cut.
 */
#include <stdlib.h>

#include "controller_internal.h"

#define PAGE_BYTES 4096u
#define LSUPP 1u		     /* Supported Log Pages: bit 0 */
#define INDEX_OFFSET_MASK (1u << 23) /* dword 14: the offset is an index */

static void le128_put(uint8_t *dst, uint64_t value)
{
	quoll_le64 le = quoll_cpu_to_le64(value);

	memcpy(dst, &le, sizeof(le));
}

/* Newest first (5.16.1.2). */
static void page_errors(struct tgt_ctrl *ctrl, void *page)
{
	struct nvme_error_log_page *entries = page;

	for (uint64_t i = 0; i < TGT_NR_ERRORS && i < ctrl->nr_errors; i++)
		entries[i] = ctrl->errors[(ctrl->nr_errors - 1 - i) % TGT_NR_ERRORS];
}

/* Thousands of 512 byte units, rounded up (5.16.1.3). */
static uint64_t data_units(uint64_t units)
{
	return (units + 999) / 1000;
}

static void page_smart(struct tgt_ctrl *ctrl, void *page)
{
	struct nvme_smart_log *smart = page;
	const struct tgt_counters *counters = &ctrl->counters;
	uint64_t on_ns = quoll_ticks_to_ns(&ctrl->clock, quoll_ticks(&ctrl->clock) - ctrl->started_ticks);

	smart->critical_warning = tgt_features_warning(ctrl);
	smart->temperature[0] = TGT_TEMPERATURE & 0xff;
	smart->temperature[1] = TGT_TEMPERATURE >> 8;
	smart->avail_spare = 100;
	smart->spare_thresh = 10;
	le128_put(smart->data_units_read, data_units(counters->units_read));
	le128_put(smart->data_units_written, data_units(counters->units_written));
	le128_put(smart->host_reads, counters->reads);
	le128_put(smart->host_writes, counters->writes);
	le128_put(smart->power_cycles, 1);
	le128_put(smart->power_on_hours, on_ns / 3600000000000ull);
	le128_put(smart->media_errors, counters->media_errors);
	le128_put(smart->num_err_log_entries, ctrl->nr_errors);
}

static void page_firmware(struct tgt_ctrl *ctrl, void *page)
{
	struct nvme_firmware_slot *fw = page;

	(void)ctrl;
	fw->afi = 1;
	memset(fw->frs[0], ' ', sizeof(fw->frs[0]));
	memcpy(fw->frs[0], TGT_FIRMWARE, sizeof(TGT_FIRMWARE) - 1);
}

static void page_changed(struct tgt_ctrl *ctrl, void *page)
{
	quoll_le32 *list = page;
	unsigned int n = 0;

	for (uint32_t i = 0; i < TGT_MAX_NAMESPACES; i++)
		if (ctrl->slots[i].changed)
			list[n++] = quoll_cpu_to_le32(i + 1);
}

static void page_effects(struct tgt_ctrl *ctrl, void *page)
{
	struct nvme_cmd_effects_log *effects = page;

	for (unsigned int i = 0; i < 256; i++) {
		effects->acs[i] = quoll_cpu_to_le32(tgt_admin_effects(ctrl, (uint8_t)i));
		effects->iocs[i] = quoll_cpu_to_le32(tgt_io_effects((uint8_t)i));
	}
}

static void page_features(struct tgt_ctrl *ctrl, void *page)
{
	struct nvme_fid_supported_effects_log *log = page;
	bool per_ns;

	for (unsigned int i = 0; i < 256; i++) {
		if (!tgt_feature_known(ctrl, (uint8_t)i, &per_ns))
			continue;
		log->fid_support[i] = quoll_cpu_to_le32(
			NVME_FID_SUPPORTED_EFFECTS_FSUPP |
			(per_ns ? NVME_FID_SUPPORTED_EFFECTS_SCOPE_NS : NVME_FID_SUPPORTED_EFFECTS_SCOPE_CTRL)
				<< NVME_FID_SUPPORTED_EFFECTS_SCOPE_SHIFT);
	}
}

/* No NVMe-MI command is supported. */
static void page_mi(struct tgt_ctrl *ctrl, void *page)
{
	(void)ctrl;
	(void)page;
}

static void page_supported(struct tgt_ctrl *ctrl, void *page);

struct log_page {
	uint8_t lid;
	uint8_t clears; /* the event type, + 1 */
	uint32_t bytes;
	void (*fill)(struct tgt_ctrl *ctrl, void *page);
};

static const struct log_page pages[] = {
	{NVME_LOG_LID_SUPPORTED_LOG_PAGES, 0, 1024, page_supported},
	{NVME_LOG_LID_ERROR, NVME_AER_ERROR + 1, TGT_NR_ERRORS * sizeof(struct nvme_error_log_page), page_errors},
	{NVME_LOG_LID_SMART, NVME_AER_SMART + 1, sizeof(struct nvme_smart_log), page_smart},
	{NVME_LOG_LID_FW_SLOT, 0, sizeof(struct nvme_firmware_slot), page_firmware},
	{NVME_LOG_LID_CHANGED_NS, NVME_AER_NOTICE + 1, 4096, page_changed},
	{NVME_LOG_LID_CMD_EFFECTS, 0, sizeof(struct nvme_cmd_effects_log), page_effects},
	{NVME_LOG_LID_FID_SUPPORTED_EFFECTS, 0, sizeof(struct nvme_fid_supported_effects_log), page_features},
	{NVME_LOG_LID_MI_CMD_SUPPORTED_EFFECTS, 0, sizeof(struct nvme_mi_cmd_supported_effects_log), page_mi},
};

#define NR_PAGES (sizeof(pages) / sizeof(pages[0]))

static_assert(TGT_NR_ERRORS * sizeof(struct nvme_error_log_page) <= PAGE_BYTES, "all pages fit");
static_assert(TGT_MAX_NAMESPACES * 4 <= PAGE_BYTES, "all namespaces fit the list of changed ones");

static void page_supported(struct tgt_ctrl *ctrl, void *page)
{
	struct nvme_supported_log_pages *log = page;

	(void)ctrl;
	for (size_t i = 0; i < NR_PAGES; i++)
		log->lid_support[pages[i].lid] = quoll_cpu_to_le32(LSUPP);
}

static const struct log_page *page_find(uint8_t lid)
{
	for (size_t i = 0; i < NR_PAGES; i++)
		if (pages[i].lid == lid)
			return &pages[i];
	return NULL;
}

/* The page was read, and the host doesn't want the event retained. */
static void page_clear(struct tgt_ctrl *ctrl, const struct log_page *log)
{
	if (log->lid == NVME_LOG_LID_CHANGED_NS)
		for (unsigned int i = 0; i < TGT_MAX_NAMESPACES; i++)
			ctrl->slots[i].changed = false;
	if (log->clears)
		tgt_events_clear(ctrl, log->clears - 1);
}

/* @len bytes from @offset; behind its end a page reads as zeroes. */
static uint16_t page_send(struct tgt_ctrl *ctrl, struct tgt_req *req, const struct log_page *log, uint32_t len)
{
	uint64_t offset = (uint64_t)tgt_cdw13(req) << 32 | tgt_cdw12(req);
	uint64_t page[PAGE_BYTES / 8] = {0};
	uint32_t have = (uint32_t)(log->bytes - offset);
	uint8_t *data = calloc(1, len);
	uint16_t status;

	if (!data)
		return NVME_SC_INTERNAL;
	log->fill(ctrl, page);
	memcpy(data, (uint8_t *)page + offset, have < len ? have : len);
	status = tgt_admin_write(ctrl, req, data, len);
	free(data);
	return status;
}

uint16_t tgt_get_log_page(struct tgt_ctrl *ctrl, struct tgt_req *req)
{
	const struct log_page *log = page_find((uint8_t)tgt_cdw10(req));
	uint64_t dwords = ((uint64_t)(tgt_cdw11(req) & 0xffff) << 16 | tgt_cdw10(req) >> 16) + 1;
	uint64_t offset = (uint64_t)tgt_cdw13(req) << 32 | tgt_cdw12(req);
	uint32_t nsid = tgt_req_nsid(req);
	uint16_t status;

	if (!log)
		return TGT_SC_CMD(INVALID_LOG_PAGE);
	/* All pages are of the controller or the subsystem. */
	if (nsid && nsid != NVME_NSID_ALL)
		return tgt_nsid_valid(nsid) ? TGT_SC(INVALID_FIELD) : TGT_SC(INVALID_NS);
	if (tgt_cdw14(req) & INDEX_OFFSET_MASK || offset & 3 || offset > log->bytes || dwords > TGT_MAX_BYTES / 4)
		return TGT_SC(INVALID_FIELD);
	if (log->lid == NVME_LOG_LID_CMD_EFFECTS && tgt_cdw14(req) >> 24 != NVME_CSI_NVM)
		return TGT_SC(INVALID_FIELD);
	status = page_send(ctrl, req, log, (uint32_t)dwords * 4);
	if (!status && !(tgt_cdw10(req) & 1u << 15))
		page_clear(ctrl, log);
	return status;
}

/* A command that failed, as the host may ask about (5.16.1.2). More, in its status, says that there is an entry. */
void tgt_log_error(struct tgt_ctrl *ctrl, struct tgt_req *req)
{
	struct nvme_error_log_page *entry = &ctrl->errors[ctrl->nr_errors % TGT_NR_ERRORS];

	/* What the host or a reset aborted is no error. */
	if (ctrl->stopping || (req->status & 0x7ff) == NVME_SC_ABORT_REQ ||
	    (req->status & 0x7ff) == NVME_SC_ABORT_QUEUE)
		return;
	if ((req->status >> NVME_SCT_SHIFT & NVME_SCT_MASK) == NVME_SCT_MEDIA &&
	    (req->status & NVME_SC_MASK) != NVME_SC_COMPARE_FAILED)
		ctrl->counters.media_errors++;
	ctrl->nr_errors++;
	req->status |= NVME_SC_MORE;
	*entry = (struct nvme_error_log_page){
		.error_count = quoll_cpu_to_le64(ctrl->nr_errors),
		.sqid = quoll_cpu_to_le16(req->sq->id),
		.cmdid = req->cmd.cid,
		.status_field = quoll_cpu_to_le16((uint16_t)(req->status << 1)),
		.parm_error_location = 0xffff,
		.lba = req->sq->id ? quoll_cpu_to_le64((uint64_t)tgt_cdw11(req) << 32 | tgt_cdw10(req)) : 0,
		.nsid = req->cmd.nsid,
	};
}
