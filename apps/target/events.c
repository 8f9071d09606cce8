/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * events.c - Asynchronous Event Request (Base 2.0, 5.2): the host leaves requests with us, and each is the answer to
 * one event. After an event, further ones of its type wait until the host has read the log page that clears it.
 */
#include "controller_internal.h"

/* Whether the host wants to hear of it (feature 0Bh); errors it hears of always. */
static bool event_enabled(const struct tgt_ctrl *ctrl, uint8_t type, uint8_t info)
{
	uint32_t config = ctrl->features.values[NVME_FEAT_FID_ASYNC_EVENT];

	switch (type) {
	case NVME_AER_ERROR:
		return true;
	case NVME_AER_SMART:
		return info == NVME_AER_SMART_TEMPERATURE_THRESHOLD &&
		       config & NVME_FEATURE_AENCFG_SMART_CRIT_TEMPERATURE;
	case NVME_AER_NOTICE:
		return info == NVME_AER_NOTICE_NS_CHANGED && config & NVME_FEATURE_AENCFG_NOTICE_NAMESPACE_ATTRIBUTES;
	default:
		return false;
	}
}

/* Answer requests as long as there are any, and something to say. */
static void events_deliver(struct tgt_ctrl *ctrl)
{
	struct tgt_events *events = &ctrl->events;

	for (uint8_t type = 0; type < 8 && events->nr_waiting; type++) {
		uint8_t bit = (uint8_t)(1u << type);
		struct tgt_req *req;

		if (!(events->pending & ~events->masked & bit))
			continue;
		events->pending &= (uint8_t)~bit;
		events->masked |= bit;
		req = events->waiting[0];
		events->nr_waiting--;
		memmove(&events->waiting[0], &events->waiting[1], events->nr_waiting * sizeof(events->waiting[0]));
		req->status = 0;
		req->result = (uint32_t)type | (uint32_t)events->info[type] << 8 | (uint32_t)events->lid[type] << 16;
		tgt_ctrl_complete(ctrl, &req, 1);
	}
}

void tgt_ctrl_event(struct tgt_ctrl *ctrl, uint8_t type, uint8_t info, uint8_t lid)
{
	if (ctrl->stopping || !event_enabled(ctrl, type, info))
		return;
	ctrl->events.pending |= (uint8_t)(1u << type);
	ctrl->events.info[type] = info;
	ctrl->events.lid[type] = lid;
	events_deliver(ctrl);
}

uint16_t tgt_async_event(struct tgt_ctrl *ctrl, struct tgt_req *req)
{
	struct tgt_events *events = &ctrl->events;

	if (events->nr_waiting == TGT_MAX_AERS)
		return TGT_SC_CMD(ASYNC_LIMIT);
	req->waits = true;
	events->waiting[events->nr_waiting++] = req;
	events_deliver(ctrl);
	return 0;
}

void tgt_events_reset(struct tgt_ctrl *ctrl)
{
	ctrl->events.pending = 0;
	ctrl->events.masked = 0;
}

/* What happened up to now was in the page that the host has just read. */
void tgt_events_clear(struct tgt_ctrl *ctrl, uint8_t type)
{
	ctrl->events.masked &= (uint8_t) ~(1u << type);
	ctrl->events.pending &= (uint8_t) ~(1u << type);
}

struct tgt_req *tgt_events_take(struct tgt_ctrl *ctrl, uint16_t cid)
{
	struct tgt_events *events = &ctrl->events;

	for (unsigned int i = 0; i < events->nr_waiting; i++) {
		struct tgt_req *req = events->waiting[i];

		if (tgt_req_cid(req) != cid)
			continue;
		events->nr_waiting--;
		memmove(&events->waiting[i], &events->waiting[i + 1],
			(events->nr_waiting - i) * sizeof(events->waiting[0]));
		return req;
	}
	return NULL;
}
