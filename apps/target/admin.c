/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * admin.c - admin commands: which there are, the common checks, and the small ones. Queues are the transport's.
 *
 * Source: Base 2.0, chapter 5.
 */
#include "controller_internal.h"

/* Abort (5.1). Those whose completion is on its way can't be stopped, which isn't an error: bit 0 of the result says
 * so. */
static uint16_t admin_abort(struct tgt_ctrl *ctrl, struct tgt_req *req)
{
	uint16_t sqid = (uint16_t)tgt_cdw10(req);
	uint16_t cid = (uint16_t)(tgt_cdw10(req) >> 16);
	struct tgt_req *found = sqid ? NULL : tgt_events_take(ctrl, cid);

	if (!found)
		found = tgt_held_take(ctrl, sqid, cid);
	req->result = !found;
	if (!found)
		return 0;
	found->status = NVME_SC_ABORT_REQ;
	found->fault = NULL;
	tgt_ctrl_complete(ctrl, &found, 1);
	return 0;
}

static uint16_t admin_keep_alive(struct tgt_ctrl *ctrl, struct tgt_req *req)
{
	(void)ctrl;
	(void)req;
	return 0;
}

struct admin_command {
	uint8_t opcode;
	uint16_t (*run)(struct tgt_ctrl *ctrl, struct tgt_req *req);
};

static const struct admin_command commands[] = {
	{nvme_admin_get_log_page, tgt_get_log_page}, {nvme_admin_identify, tgt_identify},
	{nvme_admin_abort_cmd, admin_abort},	     {nvme_admin_set_features, tgt_set_features},
	{nvme_admin_get_features, tgt_get_features}, {nvme_admin_async_event, tgt_async_event},
	{nvme_admin_keep_alive, admin_keep_alive},
};

static const struct admin_command *admin_find(const struct tgt_ctrl *ctrl, uint8_t opcode)
{
	if (opcode == nvme_admin_keep_alive && !ctrl->transport.kas)
		return NULL;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (commands[i].opcode == opcode)
			return &commands[i];
	return NULL;
}

static bool admin_of_transport(const struct tgt_ctrl *ctrl, uint8_t opcode)
{
	switch (opcode) {
	case nvme_admin_create_sq:
	case nvme_admin_delete_sq:
	case nvme_admin_create_cq:
	case nvme_admin_delete_cq:
		return ctrl->transport.ops->admin;
	case nvme_admin_dbbuf:
		return ctrl->transport.ops->admin && ctrl->transport.doorbell_buffers;
	default:
		return false;
	}
}

uint32_t tgt_admin_effects(const struct tgt_ctrl *ctrl, uint8_t opcode)
{
	return admin_find(ctrl, opcode) || admin_of_transport(ctrl, opcode) ? NVME_CMD_EFFECTS_CSUPP : 0;
}

static uint16_t admin_run(struct tgt_ctrl *ctrl, struct tgt_req *req)
{
	const struct admin_command *command = admin_find(ctrl, req->cmd.opcode);

	if (!command && !admin_of_transport(ctrl, req->cmd.opcode))
		return TGT_SC(INVALID_OPCODE);
	/* Nothing is fused, and admin commands have PRPs (Base 2.0, Figure 86: PSDT). */
	if (req->cmd.flags & 3 || req->cmd.flags >> 6)
		return TGT_SC(INVALID_FIELD);
	if (req->fault && req->fault->action == TGT_FAULT_STATUS)
		return (uint16_t)req->fault->value;
	return command ? command->run(ctrl, req) : ctrl->transport.ops->admin(ctrl->transport.arg, req);
}

void tgt_ctrl_admin(struct tgt_ctrl *ctrl, struct tgt_req *req)
{
	req->sq->nr_inflight++;
	req->result = 0;
	req->waits = false;
	req->op = TGT_OP_FLUSH;
	req->bytes = 0;
	req->nr_iov = 0;
	req->slot = NULL;
	req->fault = tgt_fault_match(ctrl->faults, ctrl->nr_faults, req);
	req->status = admin_run(ctrl, req);
	if (!req->waits)
		tgt_ctrl_complete(ctrl, &req, 1);
}

uint16_t tgt_admin_write(struct tgt_ctrl *ctrl, struct tgt_req *req, const void *data, uint32_t len)
{
	uint16_t status = tgt_dptr_addresses(&ctrl->dptr, req, len, TGT_GUEST_WRITE);

	return status ? status : tgt_dptr_write(&ctrl->dptr, req, data, len);
}

uint16_t tgt_admin_read(struct tgt_ctrl *ctrl, struct tgt_req *req, void *data, uint32_t len)
{
	uint16_t status = tgt_dptr_addresses(&ctrl->dptr, req, len, TGT_GUEST_READ);

	return status ? status : tgt_dptr_read(&ctrl->dptr, req, data, len);
}
