/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * controller_internal.h - what the parts of the controller's logic are to each other. Handlers of commands return the
 * status; those that answer later set @req->waits.
 */
#ifndef QUOLL_TARGET_CONTROLLER_INTERNAL_H
#define QUOLL_TARGET_CONTROLLER_INTERNAL_H

#include <string.h>

#include "controller.h"

/* Identify, temperatures in kelvins: what it says it has, and where it would warn. */
#define TGT_TEMPERATURE 313u
#define TGT_WARN_TEMPERATURE 343u
#define TGT_CRITICAL_TEMPERATURE 363u
#define TGT_VERSION 0x20000u
#define TGT_FIRMWARE "quoll1"

/* Command dwords, read from the copy. */
static inline uint32_t tgt_cdw10(const struct tgt_req *req)
{
	return quoll_le32_to_cpu(req->cmd.cdw10);
}

static inline uint32_t tgt_cdw11(const struct tgt_req *req)
{
	return quoll_le32_to_cpu(req->cmd.cdw11);
}

static inline uint32_t tgt_cdw12(const struct tgt_req *req)
{
	return quoll_le32_to_cpu(req->cmd.cdw12);
}

static inline uint32_t tgt_cdw13(const struct tgt_req *req)
{
	return quoll_le32_to_cpu(req->cmd.cdw13);
}

static inline uint32_t tgt_cdw14(const struct tgt_req *req)
{
	return quoll_le32_to_cpu(req->cmd.cdw14);
}

/* Whether an NSID can be one at all (Base 2.0, 3.2.1.2: invalid NSIDs), and the slot of one that is active. */
static inline bool tgt_nsid_valid(uint32_t nsid)
{
	return nsid - 1 < TGT_MAX_NAMESPACES;
}

static inline struct tgt_ns_slot *tgt_slot(struct tgt_ctrl *ctrl, uint32_t nsid)
{
	struct tgt_ns_slot *slot = tgt_nsid_valid(nsid) ? &ctrl->slots[nsid - 1] : NULL;

	return slot && slot->nr_lbas ? slot : NULL;
}

/* admin.c: which commands there are. The effects log page shows it. */
uint32_t tgt_admin_effects(const struct tgt_ctrl *ctrl, uint8_t opcode);
/* io.c: the same. */
uint32_t tgt_io_effects(uint8_t opcode);

/* Data to and from the host for an admin command; @len may be less than the host asked for. */
uint16_t tgt_admin_write(struct tgt_ctrl *ctrl, struct tgt_req *req, const void *data, uint32_t len);
uint16_t tgt_admin_read(struct tgt_ctrl *ctrl, struct tgt_req *req, void *data, uint32_t len);

/* identify.c */
uint16_t tgt_identify(struct tgt_ctrl *ctrl, struct tgt_req *req);

/* features.c */
uint16_t tgt_set_features(struct tgt_ctrl *ctrl, struct tgt_req *req);
uint16_t tgt_get_features(struct tgt_ctrl *ctrl, struct tgt_req *req);
void tgt_features_reset(struct tgt_ctrl *ctrl);
bool tgt_feature_known(const struct tgt_ctrl *ctrl, uint8_t fid, bool *per_ns);
/* Critical Warning of the SMART page, as the thresholds have it now. */
uint8_t tgt_features_warning(const struct tgt_ctrl *ctrl);

/* log_page.c */
uint16_t tgt_get_log_page(struct tgt_ctrl *ctrl, struct tgt_req *req);
void tgt_log_error(struct tgt_ctrl *ctrl, struct tgt_req *req);

/* events.c */
uint16_t tgt_async_event(struct tgt_ctrl *ctrl, struct tgt_req *req);
void tgt_events_reset(struct tgt_ctrl *ctrl);
void tgt_events_clear(struct tgt_ctrl *ctrl, uint8_t type);
/* A request for events that has this CID, taken out; or NULL. */
struct tgt_req *tgt_events_take(struct tgt_ctrl *ctrl, uint16_t cid);

/* controller.c: a dropped or delayed request of this queue and CID, taken out; or NULL. */
struct tgt_req *tgt_held_take(struct tgt_ctrl *ctrl, uint16_t sqid, uint16_t cid);

/* attach.c */
void tgt_attach_sync(struct tgt_ctrl *ctrl);
void tgt_attach_end(struct tgt_ctrl *ctrl);

#endif
