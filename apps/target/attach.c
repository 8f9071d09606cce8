/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * attach.c - a controller's namespaces follow the subsystem's: new ones get a channel, those that were removed are let
 * go once their last command is done, and the host is told of both.
 */
#include "controller_internal.h"

static void slot_detach(struct tgt_ctrl *ctrl, struct tgt_ns_slot *slot)
{
	struct tgt_ns *ns = slot->ns;

	slot->ops->chan_close(slot->chan);
	*slot = (struct tgt_ns_slot){.changed = slot->changed};
	tgt_subsys_put_ns(ctrl->subsys, ns);
}

/* A namespace without a channel stays away, and the log says why. */
static bool slot_attach(struct tgt_ctrl *ctrl, struct tgt_ns_slot *slot, struct tgt_ns *ns)
{
	struct quoll_error err = {0};

	if (ns->ops->chan_open(ns, ctrl->transport.guest, &slot->chan, &err)) {
		quoll_log(&ctrl->subsys->env, QUOLL_LOG_ERROR, "target", "namespace %u, %s: %s", ns->nsid, ns->text,
			  err.what);
		tgt_subsys_put_ns(ctrl->subsys, ns);
		return false;
	}
	slot->ns = ns;
	slot->ops = ns->ops;
	slot->nr_lbas = ns->nr_lbas;
	slot->lba_shift = ns->lba_shift;
	slot->leaving = false;
	return true;
}

/* Return: whether the host sees a difference. */
static bool slot_sync(struct tgt_ctrl *ctrl, struct tgt_ns_slot *slot, uint32_t nsid)
{
	struct tgt_ns *ns = tgt_subsys_get_ns(ctrl->subsys, nsid);
	bool differs = false;

	if (slot->ns && slot->ns == ns) {
		tgt_subsys_put_ns(ctrl->subsys, ns);
		return false;
	}
	if (slot->ns && !slot->leaving) {
		slot->nr_lbas = 0;
		slot->leaving = true;
		differs = true;
	}
	if (slot->ns && !slot->nr_inflight)
		slot_detach(ctrl, slot);
	if (slot->ns) {
		/* Commands of the old one are in flight; the new one, if there is one, has to wait. */
		ctrl->leaving = true;
		if (ns)
			tgt_subsys_put_ns(ctrl->subsys, ns);
		return differs;
	}
	return (ns && slot_attach(ctrl, slot, ns)) || differs;
}

void tgt_attach_sync(struct tgt_ctrl *ctrl)
{
	bool differs = false;

	ctrl->generation = tgt_subsys_generation(ctrl->subsys);
	ctrl->leaving = false;
	ctrl->nr_syncs++;
	ctrl->nr_polled = 0;
	for (unsigned int i = 0; i < TGT_MAX_NAMESPACES; i++) {
		struct tgt_ns_slot *slot = &ctrl->slots[i];

		if (slot_sync(ctrl, slot, i + 1)) {
			slot->changed = true;
			differs = true;
		}
		if (slot->ns && slot->ops->poll)
			ctrl->polled[ctrl->nr_polled++] = (uint16_t)i;
	}
	if (differs)
		tgt_ctrl_event(ctrl, NVME_AER_NOTICE, NVME_AER_NOTICE_NS_CHANGED, NVME_LOG_LID_CHANGED_NS);
}

bool tgt_ctrl_let_go(const struct tgt_ctrl *ctrl, const void *va, uint64_t len)
{
	bool gone = true;

	if (tgt_ctrl_uses(ctrl, va, len))
		return false;
	for (unsigned int i = 0; i < TGT_MAX_NAMESPACES; i++) {
		const struct tgt_ns_slot *slot = &ctrl->slots[i];

		if (slot->ns && slot->ops->forget)
			gone = slot->ops->forget(slot->chan, va, len) && gone;
	}
	return gone;
}

void tgt_attach_end(struct tgt_ctrl *ctrl)
{
	for (unsigned int i = 0; i < TGT_MAX_NAMESPACES; i++)
		if (ctrl->slots[i].ns)
			slot_detach(ctrl, &ctrl->slots[i]);
}
