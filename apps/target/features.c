/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * features.c - Get and Set Features (Base 2.0, 5.15 and 5.27; NVM Command Set 1.0, 4.1.3). Most are a value that the
 * host sets and gets; nothing is saved over a reset.
 */
#include <time.h>

#include "controller_internal.h"

/**
 * struct feature - one row
 * @mask:       bits of dword 11 that are defined; the rest is not kept
 * @fallback:   value after a reset
 * @changeable: Set Features is allowed
 * @per_ns:     one value a namespace
 * @vectors:    only where there are interrupts
 */
struct feature {
	uint8_t fid;
	bool changeable;
	bool per_ns;
	bool vectors;
	uint32_t mask;
	uint32_t fallback;
};

#define AEC_MASK (NVME_FEATURE_AENCFG_SMART_CRIT_TEMPERATURE | NVME_FEATURE_AENCFG_NOTICE_NAMESPACE_ATTRIBUTES)

static const struct feature features[] = {
	{.fid = NVME_FEAT_FID_ARBITRATION, .changeable = true, .mask = 0xffffff07, .fallback = 7},
	{.fid = NVME_FEAT_FID_POWER_MGMT, .changeable = true, .mask = 0xff},
	{.fid = NVME_FEAT_FID_TEMP_THRESH, .changeable = true},
	{.fid = NVME_FEAT_FID_ERR_RECOVERY, .changeable = true, .per_ns = true, .mask = 0xffff},
	{.fid = NVME_FEAT_FID_VOLATILE_WC, .changeable = true, .mask = 1, .fallback = 1},
	{.fid = NVME_FEAT_FID_NUM_QUEUES, .changeable = true},
	{.fid = NVME_FEAT_FID_IRQ_COALESCE, .changeable = true, .vectors = true, .mask = 0xffff},
	{.fid = NVME_FEAT_FID_IRQ_CONFIG, .changeable = true, .vectors = true},
	{.fid = NVME_FEAT_FID_WRITE_ATOMIC, .changeable = true, .mask = 1},
	{.fid = NVME_FEAT_FID_ASYNC_EVENT, .changeable = true, .mask = AEC_MASK},
	{.fid = NVME_FEAT_FID_TIMESTAMP, .changeable = true},
	{.fid = NVME_FEAT_FID_KATO, .changeable = true, .mask = 0xffffffff},
	{.fid = NVME_FEAT_FID_HOST_BEHAVIOR, .changeable = true},
};

#define NR_FEATURES (sizeof(features) / sizeof(features[0]))

static const struct feature *feature_find(const struct tgt_ctrl *ctrl, uint8_t fid)
{
	for (size_t i = 0; i < NR_FEATURES; i++) {
		const struct feature *feature = &features[i];

		if (feature->fid != fid)
			continue;
		if (feature->vectors && !ctrl->transport.nr_vectors)
			return NULL;
		return fid == NVME_FEAT_FID_KATO && !ctrl->transport.kas ? NULL : feature;
	}
	return NULL;
}

bool tgt_feature_known(const struct tgt_ctrl *ctrl, uint8_t fid, bool *per_ns)
{
	const struct feature *feature = feature_find(ctrl, fid);

	*per_ns = feature && feature->per_ns;
	return feature;
}

/* Both kinds of queues, 0-based, as feature 07h has them. */
static uint32_t queues_value(unsigned int nr)
{
	return (nr - 1) << 16 | (nr - 1);
}

void tgt_features_reset(struct tgt_ctrl *ctrl)
{
	memset(&ctrl->features, 0, sizeof(ctrl->features));
	for (size_t i = 0; i < NR_FEATURES; i++)
		ctrl->features.values[features[i].fid] = features[i].fallback;
	ctrl->features.temp_over = TGT_WARN_TEMPERATURE;
	ctrl->nr_queues = ctrl->transport.max_io_queues;
	ctrl->write_through = false;
	for (unsigned int i = 0; i < TGT_MAX_NAMESPACES; i++)
		ctrl->slots[i].error_recovery = 0;
}

uint8_t tgt_features_warning(const struct tgt_ctrl *ctrl)
{
	const struct tgt_features *f = &ctrl->features;

	return TGT_TEMPERATURE >= f->temp_over || TGT_TEMPERATURE <= f->temp_under ? NVME_SMART_CRIT_TEMPERATURE : 0;
}

/* Base 2.0, 5.27.1.3. There is the composite temperature and no sensor. */
static uint16_t set_temp_threshold(struct tgt_ctrl *ctrl, uint32_t value)
{
	uint8_t before = tgt_features_warning(ctrl);
	uint32_t sensor = value >> 16 & 0xf;
	uint32_t kind = value >> 20 & 3;

	if ((sensor && sensor != 0xf) || kind > NVME_FEATURE_TEMPTHRESH_THSEL_UNDER)
		return TGT_SC(INVALID_FIELD);
	if (kind == NVME_FEATURE_TEMPTHRESH_THSEL_OVER)
		ctrl->features.temp_over = (uint16_t)value;
	else
		ctrl->features.temp_under = (uint16_t)value;
	if (tgt_features_warning(ctrl) & ~before)
		tgt_ctrl_event(ctrl, NVME_AER_SMART, NVME_AER_SMART_TEMPERATURE_THRESHOLD, NVME_LOG_LID_SMART);
	return 0;
}

static uint16_t get_temp_threshold(const struct tgt_ctrl *ctrl, uint32_t select, bool fallback, uint32_t *value)
{
	uint32_t kind = select >> 20 & 3;

	if (select >> 16 & 0xf || kind > NVME_FEATURE_TEMPTHRESH_THSEL_UNDER)
		return TGT_SC(INVALID_FIELD);
	if (kind == NVME_FEATURE_TEMPTHRESH_THSEL_OVER)
		*value = fallback ? TGT_WARN_TEMPERATURE : ctrl->features.temp_over;
	else
		*value = fallback ? 0 : ctrl->features.temp_under;
	return 0;
}

/* Base 2.0, 5.27.1.5: before there are I/O queues, and FFFFh is no number. */
static uint16_t set_num_queues(struct tgt_ctrl *ctrl, struct tgt_req *req)
{
	uint32_t sqs = (tgt_cdw11(req) & 0xffff) + 1;
	uint32_t cqs = (tgt_cdw11(req) >> 16) + 1;
	uint32_t want = sqs > cqs ? sqs : cqs;

	if (sqs > 0xffff || cqs > 0xffff)
		return TGT_SC(INVALID_FIELD);
	if (ctrl->transport.ops->has_io_queues && ctrl->transport.ops->has_io_queues(ctrl->transport.arg))
		return TGT_SC(CMD_SEQ_ERROR);
	ctrl->nr_queues = (uint16_t)(want < ctrl->transport.max_io_queues ? want : ctrl->transport.max_io_queues);
	req->result = queues_value(ctrl->nr_queues);
	return 0;
}

/* PCIe Transport 1.0: coalescing can be switched off a vector. */
static uint16_t irq_config(struct tgt_ctrl *ctrl, uint32_t value, bool set, uint32_t *result)
{
	uint16_t vector = (uint16_t)value;

	if (vector >= ctrl->transport.nr_vectors || vector >= TGT_MAX_VECTORS)
		return TGT_SC(INVALID_FIELD);
	if (set)
		ctrl->features.vector_plain[vector] = value >> 16 & 1;
	else
		*result = (uint32_t)ctrl->features.vector_plain[vector] << 16 | vector;
	return 0;
}

/* Base 2.0, 5.27.1.11: milliseconds in 48 bits, from when it was set or from the reset on. */
static uint16_t set_timestamp(struct tgt_ctrl *ctrl, struct tgt_req *req)
{
	quoll_le64 data;
	uint16_t status = tgt_admin_read(ctrl, req, &data, sizeof(data));

	if (status)
		return status;
	ctrl->features.timestamp_ms = quoll_le64_to_cpu(data) & 0xffffffffffffull;
	ctrl->features.timestamp_ticks = quoll_ticks(&ctrl->clock);
	ctrl->features.timestamp_set = true;
	return 0;
}

static uint16_t get_timestamp(struct tgt_ctrl *ctrl, struct tgt_req *req, bool fallback)
{
	const struct tgt_features *f = &ctrl->features;
	uint64_t from = f->timestamp_set && !fallback ? f->timestamp_ticks : ctrl->started_ticks;
	uint64_t ms = quoll_ticks_to_ns(&ctrl->clock, quoll_ticks(&ctrl->clock) - from) / 1000000;
	quoll_le64 data;

	if (f->timestamp_set && !fallback)
		ms += f->timestamp_ms;
	/* Bits 51:49, the origin: 001b is that of Set Features. */
	ms = (ms & 0xffffffffffffull) | (uint64_t)(f->timestamp_set && !fallback) << 49;
	data = quoll_cpu_to_le64(ms);
	return tgt_admin_write(ctrl, req, &data, sizeof(data));
}

/* Base 2.0, 5.27.1.18: three bytes that are 0 or 1. We keep them; none of them changes what we do. */
static uint16_t set_host_behavior(struct tgt_ctrl *ctrl, struct tgt_req *req)
{
	uint8_t data[512];
	uint16_t status = tgt_admin_read(ctrl, req, data, sizeof(data));

	if (status)
		return status;
	for (unsigned int i = 0; i < sizeof(ctrl->features.host_behavior); i++)
		if (data[i] > 1)
			return TGT_SC(INVALID_FIELD);
	memcpy(ctrl->features.host_behavior, data, sizeof(ctrl->features.host_behavior));
	return 0;
}

static uint16_t get_host_behavior(struct tgt_ctrl *ctrl, struct tgt_req *req, bool fallback)
{
	uint8_t data[512] = {0};

	if (!fallback)
		memcpy(data, ctrl->features.host_behavior, sizeof(ctrl->features.host_behavior));
	return tgt_admin_write(ctrl, req, data, sizeof(data));
}

static uint16_t set_value(struct tgt_ctrl *ctrl, const struct feature *feature, uint32_t value)
{
	/* There is one power state, and workload hints up to 010b. */
	if (feature->fid == NVME_FEAT_FID_POWER_MGMT && (value & 0x1f || (value >> 5 & 7) > 2))
		return TGT_SC(INVALID_FIELD);
	ctrl->features.values[feature->fid] = value & feature->mask;
	ctrl->write_through = !(ctrl->features.values[NVME_FEAT_FID_VOLATILE_WC] & 1);
	return 0;
}

/*
 * The NSID: one of a namespace that is there where each has its own value; FFFFFFFFh means all of them, to set;
 * elsewhere none at all or all (Base 2.0, 5.27).
 */
static uint16_t feature_nsid(struct tgt_ctrl *ctrl, const struct feature *feature, uint32_t nsid, bool set)
{
	if (!feature->per_ns) {
		if (!nsid || nsid == NVME_NSID_ALL)
			return 0;
		return tgt_nsid_valid(nsid) ? (set ? TGT_SC_CMD(FEATURE_NOT_PER_NS) : 0) : TGT_SC(INVALID_NS);
	}
	if (set && nsid == NVME_NSID_ALL)
		return 0;
	if (!tgt_nsid_valid(nsid))
		return TGT_SC(INVALID_NS);
	return tgt_slot(ctrl, nsid) ? 0 : TGT_SC(INVALID_FIELD);
}

static void set_error_recovery(struct tgt_ctrl *ctrl, uint32_t nsid, uint32_t value)
{
	for (uint32_t i = 1; i <= TGT_MAX_NAMESPACES; i++)
		if (nsid == i || nsid == NVME_NSID_ALL)
			ctrl->slots[i - 1].error_recovery = value;
}

uint16_t tgt_set_features(struct tgt_ctrl *ctrl, struct tgt_req *req)
{
	const struct feature *feature = feature_find(ctrl, (uint8_t)tgt_cdw10(req));
	uint16_t status;

	if (!feature)
		return TGT_SC(INVALID_FIELD);
	if (tgt_cdw10(req) >> 31)
		return TGT_SC_CMD(FEATURE_NOT_SAVEABLE);
	status = feature_nsid(ctrl, feature, tgt_req_nsid(req), true);
	if (status)
		return status;
	switch (feature->fid) {
	case NVME_FEAT_FID_TEMP_THRESH:
		return set_temp_threshold(ctrl, tgt_cdw11(req));
	case NVME_FEAT_FID_ERR_RECOVERY:
		/* DULBE isn't offered by any namespace. */
		if (tgt_cdw11(req) & 1u << 16)
			return TGT_SC(INVALID_FIELD);
		set_error_recovery(ctrl, tgt_req_nsid(req), tgt_cdw11(req) & feature->mask);
		return 0;
	case NVME_FEAT_FID_NUM_QUEUES:
		return set_num_queues(ctrl, req);
	case NVME_FEAT_FID_IRQ_CONFIG:
		return irq_config(ctrl, tgt_cdw11(req), true, NULL);
	case NVME_FEAT_FID_TIMESTAMP:
		return set_timestamp(ctrl, req);
	case NVME_FEAT_FID_HOST_BEHAVIOR:
		return set_host_behavior(ctrl, req);
	default:
		return set_value(ctrl, feature, tgt_cdw11(req));
	}
}

/* The present value, or that after a reset. */
static uint16_t get_value(struct tgt_ctrl *ctrl, struct tgt_req *req, const struct feature *feature, bool fallback)
{
	switch (feature->fid) {
	case NVME_FEAT_FID_TEMP_THRESH:
		return get_temp_threshold(ctrl, tgt_cdw11(req), fallback, &req->result);
	case NVME_FEAT_FID_ERR_RECOVERY:
		req->result = fallback ? 0 : tgt_slot(ctrl, tgt_req_nsid(req))->error_recovery;
		return 0;
	case NVME_FEAT_FID_NUM_QUEUES:
		req->result = queues_value(fallback ? ctrl->transport.max_io_queues : ctrl->nr_queues);
		return 0;
	case NVME_FEAT_FID_IRQ_CONFIG:
		return irq_config(ctrl, tgt_cdw11(req), false, &req->result);
	case NVME_FEAT_FID_TIMESTAMP:
		return get_timestamp(ctrl, req, fallback);
	case NVME_FEAT_FID_HOST_BEHAVIOR:
		return get_host_behavior(ctrl, req, fallback);
	default:
		req->result = fallback ? feature->fallback : ctrl->features.values[feature->fid];
		return 0;
	}
}

uint16_t tgt_get_features(struct tgt_ctrl *ctrl, struct tgt_req *req)
{
	const struct feature *feature = feature_find(ctrl, (uint8_t)tgt_cdw10(req));
	uint32_t sel = tgt_cdw10(req) >> 8 & 7;
	uint16_t status;

	if (!feature || sel > NVME_GET_FEATURES_SEL_SUPPORTED)
		return TGT_SC(INVALID_FIELD);
	if (sel == NVME_GET_FEATURES_SEL_SUPPORTED) {
		req->result = (uint32_t)feature->per_ns << 1 | (uint32_t)feature->changeable << 2;
		return 0;
	}
	status = feature_nsid(ctrl, feature, tgt_req_nsid(req), false);
	if (status)
		return status;
	/* Nothing can be saved, so what is saved is what it starts from. */
	return get_value(ctrl, req, feature, sel != NVME_GET_FEATURES_SEL_CURRENT);
}
