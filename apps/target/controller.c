/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * controller.c - the controller's life, and the way of a finished request: data that went through a copy, injected
 * faults, counters, the transport.
 */
#include <errno.h>
#include <stdlib.h>

#include "controller_internal.h"

static int ctrl_alloc_reqs(struct tgt_ctrl *ctrl)
{
	ctrl->reqs = calloc(TGT_MAX_REQS, sizeof(*ctrl->reqs));
	ctrl->segs = malloc(TGT_MAX_REQS * TGT_MAX_SEGS * sizeof(*ctrl->segs));
	if (!ctrl->reqs || !ctrl->segs)
		return -ENOMEM;
	for (unsigned int i = TGT_MAX_REQS; i-- > 0;) {
		struct tgt_req *req = &ctrl->reqs[i];

		req->segs = &ctrl->segs[i * TGT_MAX_SEGS];
		req->next = ctrl->free_reqs;
		ctrl->free_reqs = req;
	}
	return 0;
}

static void ctrl_free(struct tgt_ctrl *ctrl)
{
	free(ctrl->reqs);
	free(ctrl->segs);
	free(ctrl);
}

int tgt_ctrl_create(struct tgt_subsys *subsys, const struct tgt_transport *transport, struct tgt_ctrl **ctrl,
		    struct quoll_error *err)
{
	struct tgt_ctrl *made = calloc(1, sizeof(*made));
	int id;

	if (!made || ctrl_alloc_reqs(made)) {
		if (made)
			ctrl_free(made);
		return quoll_error_set(err, ENOMEM, "controller", subsys->nqn, "out of memory");
	}
	id = tgt_subsys_attach(subsys, made);
	if (id < 0) {
		ctrl_free(made);
		return quoll_error_set(err, -id, "controller", subsys->nqn, "%u controllers are there already",
				       TGT_MAX_CONTROLLERS);
	}
	made->cntlid = (uint16_t)id;
	made->subsys = subsys;
	made->batch = TGT_MAX_BATCH;
	made->transport = *transport;
	made->dptr.guest = transport->guest;
	quoll_clock_init(&made->clock);
	made->started_ticks = quoll_ticks(&made->clock);
	made->generation = tgt_subsys_generation(subsys) - 1;
	made->stopping = true;
	*ctrl = made;
	return 0;
}

void tgt_ctrl_destroy(struct tgt_ctrl *ctrl)
{
	tgt_attach_end(ctrl);
	tgt_subsys_detach(ctrl->subsys, ctrl->cntlid);
	ctrl_free(ctrl);
}

void tgt_ctrl_start(struct tgt_ctrl *ctrl, unsigned int page_shift)
{
	ctrl->dptr.page_shift = page_shift;
	ctrl->halted = false;
	ctrl->stopping = false;
	tgt_features_reset(ctrl);
	tgt_attach_sync(ctrl);
	/* What changed before the host looked is no change to it. */
	for (unsigned int i = 0; i < TGT_MAX_NAMESPACES; i++)
		ctrl->slots[i].changed = false;
	tgt_events_reset(ctrl);
}

void tgt_ctrl_faults(struct tgt_ctrl *ctrl, struct tgt_fault *faults, unsigned int nr)
{
	ctrl->faults = faults;
	ctrl->nr_faults = nr;
}

static void list_remove(struct tgt_req **link)
{
	*link = (*link)->next;
}

struct tgt_req *tgt_held_take(struct tgt_ctrl *ctrl, uint16_t sqid, uint16_t cid)
{
	struct tgt_req **lists[2] = {&ctrl->late, &ctrl->dropped};

	for (unsigned int i = 0; i < 2; i++) {
		for (struct tgt_req **link = lists[i]; *link; link = &(*link)->next) {
			struct tgt_req *req = *link;

			if (req->sq->id != sqid || tgt_req_cid(req) != cid)
				continue;
			list_remove(link);
			return req;
		}
	}
	return NULL;
}

static void ctrl_finish(struct tgt_ctrl *ctrl, struct tgt_req *req)
{
	req->sq->nr_inflight--;
	ctrl->transport.ops->complete(ctrl->transport.arg, &req, 1);
}

void tgt_ctrl_stop(struct tgt_ctrl *ctrl)
{
	struct tgt_req **lists[2] = {&ctrl->late, &ctrl->dropped};

	ctrl->stopping = true;
	for (unsigned int i = 0; i < 2; i++) {
		while (*lists[i]) {
			struct tgt_req *req = *lists[i];

			list_remove(lists[i]);
			req->status = NVME_SC_ABORT_REQ;
			ctrl_finish(ctrl, req);
		}
	}
	while (ctrl->events.nr_waiting) {
		struct tgt_req *req = ctrl->events.waiting[--ctrl->events.nr_waiting];

		req->status = NVME_SC_ABORT_REQ;
		ctrl_finish(ctrl, req);
	}
}

void tgt_ctrl_abort_queue(struct tgt_ctrl *ctrl, uint16_t sqid)
{
	struct tgt_req **lists[2] = {&ctrl->late, &ctrl->dropped};

	for (unsigned int i = 0; i < 2; i++) {
		for (struct tgt_req **link = lists[i]; *link;) {
			struct tgt_req *req = *link;

			if (req->sq->id != sqid) {
				link = &req->next;
				continue;
			}
			list_remove(link);
			req->status = NVME_SC_ABORT_QUEUE;
			ctrl_finish(ctrl, req);
		}
	}
}

/*
 * Data of a request whose memory isn't mapped here. A host that has put its memory out of reach, or doesn't wait for
 * the answer any more, isn't asked: it may be unable to answer messages just now.
 */
static __attribute__((noinline)) void req_unbounce(struct tgt_ctrl *ctrl, struct tgt_req *req)
{
	if (req->op == TGT_OP_READ && !req->status)
		req->status = ctrl->cut_off || ctrl->stopping
				      ? NVME_SC_DATA_XFER_ERROR
				      : tgt_dptr_write(&ctrl->dptr, req, req->bounce, req->bytes);
	free(req->bounce);
	req->bounce = NULL;
}

static void req_corrupt(struct tgt_req *req)
{
	uint8_t *byte = req->op == TGT_OP_READ && !req->status && req->nr_iov ? req->iov[0].iov_base : NULL;

	if (byte)
		*byte ^= 0x10;
}

/* What an injected fault does to a finished request. Return: true if it is held back. */
static bool req_fault(struct tgt_ctrl *ctrl, struct tgt_req *req)
{
	const struct tgt_fault *fault = req->fault;

	req->nr_iov = 0; /* as of one that isn't held back */
	if (ctrl->halted) {
		req->next = ctrl->dropped;
		ctrl->dropped = req;
		return true;
	}
	switch (fault->action) {
	case TGT_FAULT_DELAY:
		req->fault = NULL; /* once */
		req->due = quoll_ticks(&ctrl->clock) + quoll_ns_to_ticks(&ctrl->clock, fault->value);
		req->next = ctrl->late;
		ctrl->late = req;
		return true;
	case TGT_FAULT_CSTS:
	case TGT_FAULT_GONE:
		ctrl->halted = true;
		ctrl->transport.ops->fault(ctrl->transport.arg, fault);
		/* fall through */
	case TGT_FAULT_DROP:
		req->fault = NULL;
		req->next = ctrl->dropped;
		ctrl->dropped = req;
		return true;
	default: /* the status is there already; completion entries are spoilt by those who write them */
		return false;
	}
}

/* A flush that no host asked for, and none hears of. */
static void log_lost_flush(const struct tgt_ctrl *ctrl, const struct tgt_req *req)
{
	quoll_log(&ctrl->subsys->env, QUOLL_LOG_ERROR, "target", "namespace %u: flush failed with status 0x%03x",
		  tgt_req_nsid(req), req->status & 0x7ff);
}

static void req_count(struct tgt_ctrl *ctrl, struct tgt_req *req)
{
	struct tgt_counters *counters = &ctrl->counters;

	if (QUOLL_UNLIKELY(req->status)) {
		if (req->sq == &ctrl->own)
			log_lost_flush(ctrl, req);
		else
			tgt_log_error(ctrl, req);
		return;
	}
	/* Admin commands have no back end, and FLUSH, ZEROES and DISCARD no units (Base 2.0, Figure 207). */
	if (!req->sq->id)
		return;
	if (req->op == TGT_OP_WRITE) {
		counters->writes++;
		counters->units_written += req->bytes >> 9;
	} else if (req->op == TGT_OP_READ || req->op == TGT_OP_COMPARE) {
		counters->reads++;
		counters->units_read += req->bytes >> 9;
	}
}

void tgt_ctrl_complete(struct tgt_ctrl *ctrl, struct tgt_req **reqs, unsigned int n)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < n; i++) {
		struct tgt_req *req = reqs[i];

		if (QUOLL_UNLIKELY(req->fault && req->fault->action == TGT_FAULT_CORRUPT &&
				   req->fault->value == TGT_CORRUPT_DATA))
			req_corrupt(req);
		if (QUOLL_UNLIKELY(req->bounce))
			req_unbounce(ctrl, req);
		if (QUOLL_UNLIKELY((req->fault || ctrl->halted) && !ctrl->stopping && req_fault(ctrl, req)))
			continue;
		req_count(ctrl, req);
		req->sq->nr_inflight--;
		req->nr_iov = 0; /* nobody uses that memory any more: see tgt_ctrl_uses() */
		reqs[nr++] = req;
	}
	if (nr)
		ctrl->transport.ops->complete(ctrl->transport.arg, reqs, nr);
}

bool tgt_ctrl_busy(const struct tgt_ctrl *ctrl)
{
	for (unsigned int i = 0; i < ctrl->nr_polled; i++)
		if (ctrl->slots[ctrl->polled[i]].nr_inflight)
			return true;
	return false;
}

/* Whether a back end has it, with a list of memory; those of other commands are extents of the namespace. */
static bool req_has_data(const struct tgt_req *req)
{
	return req->op <= TGT_OP_COMPARE && req->nr_iov;
}

static bool req_uses(const struct tgt_req *req, const uint8_t *va, uint64_t len)
{
	for (unsigned int i = 0; req_has_data(req) && i < req->nr_iov; i++) {
		const uint8_t *base = req->iov[i].iov_base;

		if (base < va + len && va < base + req->iov[i].iov_len)
			return true;
	}
	return false;
}

bool tgt_ctrl_uses(const struct tgt_ctrl *ctrl, const void *va, uint64_t len)
{
	if (!tgt_ctrl_busy(ctrl))
		return false;
	for (unsigned int i = 0; i < TGT_MAX_REQS; i++)
		if (req_uses(&ctrl->reqs[i], va, len))
			return true;
	return false;
}

unsigned int tgt_ctrl_moving(const struct tgt_ctrl *ctrl)
{
	unsigned int n = 0;

	for (unsigned int i = 0; tgt_ctrl_busy(ctrl) && i < TGT_MAX_REQS; i++)
		n += req_has_data(&ctrl->reqs[i]) && !ctrl->reqs[i].bounce;
	return n;
}

/* Delayed completions whose time has come. */
static unsigned int ctrl_poll_late(struct tgt_ctrl *ctrl)
{
	uint64_t now = quoll_ticks(&ctrl->clock);
	struct tgt_req **link = &ctrl->late;
	unsigned int n = 0;

	while (*link) {
		struct tgt_req *req = *link;

		if (req->due > now) {
			link = &req->next;
			continue;
		}
		list_remove(link);
		tgt_ctrl_complete(ctrl, &req, 1);
		n++;
	}
	return n;
}

unsigned int tgt_ctrl_poll(struct tgt_ctrl *ctrl)
{
	struct tgt_req *done[TGT_MAX_BATCH];
	unsigned int total = 0;

	if (QUOLL_UNLIKELY(ctrl->generation != tgt_subsys_generation(ctrl->subsys) || ctrl->leaving))
		tgt_attach_sync(ctrl);
	for (unsigned int i = 0; i < ctrl->nr_polled; i++) {
		struct tgt_ns_slot *slot = &ctrl->slots[ctrl->polled[i]];
		unsigned int n = slot->nr_inflight ? slot->ops->poll(slot->chan, done, ctrl->batch) : 0;

		slot->nr_inflight -= n;
		total += n;
		tgt_ctrl_complete(ctrl, done, n);
	}
	if (QUOLL_UNLIKELY(ctrl->late && !ctrl->halted))
		total += ctrl_poll_late(ctrl);
	return total;
}
