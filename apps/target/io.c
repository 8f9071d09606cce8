/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * io.c - commands of the NVM command set: checked, turned into what back ends understand, handed on in batches.
 *
 * Source: NVM Command Set Specification 1.0, chapter 3. Status codes as named there; a wrong NSID as in
 * Base 2.0, 3.2.1.
 */
#include <stdlib.h>

#include "controller_internal.h"

#define RW_FUA (1u << 30)
#define RW_DTYPE (0xfu << 20)
#define DSM_DEALLOCATE NVME_DSMGMT_AD

uint32_t tgt_io_effects(uint8_t opcode)
{
	switch (opcode) {
	case nvme_cmd_flush:
	case nvme_cmd_read:
	case nvme_cmd_compare:
		return NVME_CMD_EFFECTS_CSUPP;
	case nvme_cmd_write:
	case nvme_cmd_write_zeroes:
	case nvme_cmd_dsm:
		return NVME_CMD_EFFECTS_CSUPP | NVME_CMD_EFFECTS_LBCC;
	default:
		return 0;
	}
}

/* An NSID that can be one, of a namespace that is there. */
static inline uint16_t io_slot(struct tgt_ctrl *ctrl, struct tgt_req *req)
{
	uint32_t nsid = tgt_req_nsid(req);

	if (QUOLL_UNLIKELY(!tgt_nsid_valid(nsid)))
		return TGT_SC(INVALID_NS);
	req->slot = &ctrl->slots[nsid - 1];
	return QUOLL_LIKELY(req->slot->nr_lbas) ? 0 : TGT_SC(INVALID_FIELD);
}

/* The blocks that dwords 10 to 12 name are all there; they become @offset and @bytes. At most 65,536, so 256 MiB. */
static inline uint16_t io_range(struct tgt_req *req)
{
	const struct tgt_ns_slot *slot = req->slot;
	uint64_t slba = (uint64_t)tgt_cdw11(req) << 32 | tgt_cdw10(req);
	uint32_t nr = (tgt_cdw12(req) & 0xffff) + 1;

	if (QUOLL_UNLIKELY(slba >= slot->nr_lbas || nr > slot->nr_lbas - slba))
		return TGT_SC(LBA_RANGE);
	req->offset = slba << slot->lba_shift;
	req->bytes = nr << slot->lba_shift;
	return 0;
}

/* Part of the host's memory isn't mapped here: the data goes through a copy. */
static __attribute__((noinline)) uint16_t io_bounce(struct tgt_ctrl *ctrl, struct tgt_req *req)
{
	uint16_t status = 0;

	req->bounce = aligned_alloc(4096, (req->bytes + 4095) & ~4095u);
	if (!req->bounce)
		return NVME_SC_INTERNAL;
	if (req->op != TGT_OP_READ)
		status = tgt_dptr_read(&ctrl->dptr, req, req->bounce, req->bytes);
	if (status) {
		free(req->bounce);
		req->bounce = NULL;
		return status;
	}
	req->bounce_iov = (struct iovec){.iov_base = req->bounce, .iov_len = req->bytes};
	req->iov = &req->bounce_iov;
	req->nr_iov = 1;
	return 0;
}

/* Read, Write and Compare. */
static inline uint16_t io_transfer(struct tgt_ctrl *ctrl, struct tgt_req *req, enum tgt_op op, unsigned int prot)
{
	uint16_t status = io_range(req);

	if (QUOLL_UNLIKELY(status))
		return status;
	if (QUOLL_UNLIKELY(req->bytes > TGT_MAX_BYTES))
		return TGT_SC(INVALID_FIELD);
	req->op = op;
	status = tgt_dptr_map(&ctrl->dptr, req, req->bytes, prot);
	if (QUOLL_UNLIKELY(status))
		return status;
	if (QUOLL_UNLIKELY(req->remote))
		return io_bounce(ctrl, req);
	req->iov = &req->segs[0].mem;
	req->nr_iov = req->nr_segs;
	return 0;
}

static uint16_t io_write_zeroes(struct tgt_ctrl *ctrl, struct tgt_req *req)
{
	req->op = TGT_OP_ZEROES;
	req->fua = (tgt_cdw12(req) & RW_FUA) || ctrl->write_through;
	req->nr_iov = 0;
	return io_range(req);
}

/* Ranges are read whole, then checked; one that is wrong refuses the command, and nothing was deallocated. */
static uint16_t io_dsm(struct tgt_ctrl *ctrl, struct tgt_req *req)
{
	struct nvme_dsm_range ranges[NVME_DSM_MAX_RANGES];
	uint32_t nr = (tgt_cdw10(req) & 0xff) + 1;
	const struct tgt_ns_slot *slot = req->slot;
	uint16_t status;

	status = tgt_dptr_addresses(&ctrl->dptr, req, nr * sizeof(ranges[0]), TGT_GUEST_READ);
	if (!status)
		status = tgt_dptr_read(&ctrl->dptr, req, ranges, nr * sizeof(ranges[0]));
	if (status)
		return status;
	req->op = TGT_OP_DISCARD;
	req->nr_iov = 0;
	for (uint32_t i = 0; i < nr; i++) {
		uint64_t slba = quoll_le64_to_cpu(ranges[i].slba);
		uint32_t lbas = quoll_le32_to_cpu(ranges[i].nlb);

		if (slba > slot->nr_lbas || lbas > slot->nr_lbas - slba)
			return TGT_SC(LBA_RANGE);
		if (!lbas || !(tgt_cdw11(req) & DSM_DEALLOCATE))
			continue;
		req->segs[req->nr_iov].extent.offset = slba << slot->lba_shift;
		req->segs[req->nr_iov++].extent.len = (uint64_t)lbas << slot->lba_shift;
	}
	return 0;
}

/* Commands with a name, a namespace and no fusing. Return: 0: for the back end; or the status. */
static inline uint16_t io_parse(struct tgt_ctrl *ctrl, struct tgt_req *req)
{
	uint16_t status;

	if (QUOLL_UNLIKELY(!tgt_io_effects(req->cmd.opcode)))
		return TGT_SC(INVALID_OPCODE);
	/* FUSE: not supported; PSDT 11b: reserved. */
	if (QUOLL_UNLIKELY(req->cmd.flags & 3 || req->cmd.flags >> 6 == 3))
		return TGT_SC(INVALID_FIELD);
	status = io_slot(ctrl, req);
	if (QUOLL_UNLIKELY(status))
		return status;
	/* Before the rest, whose order the compiler makes a table of. */
	if (QUOLL_LIKELY(req->cmd.opcode == nvme_cmd_read))
		return io_transfer(ctrl, req, TGT_OP_READ, TGT_GUEST_WRITE);
	switch (req->cmd.opcode) {
	case nvme_cmd_write:
		if (QUOLL_UNLIKELY(tgt_cdw12(req) & RW_DTYPE)) /* there are no directives */
			return TGT_SC(INVALID_FIELD);
		req->fua = (tgt_cdw12(req) & RW_FUA) || ctrl->write_through;
		return io_transfer(ctrl, req, TGT_OP_WRITE, TGT_GUEST_READ);
	case nvme_cmd_compare:
		return io_transfer(ctrl, req, TGT_OP_COMPARE, TGT_GUEST_READ);
	case nvme_cmd_write_zeroes:
		return io_write_zeroes(ctrl, req);
	case nvme_cmd_dsm:
		return io_dsm(ctrl, req);
	default:
		req->op = TGT_OP_FLUSH;
		req->nr_iov = 0;
		return 0;
	}
}

/* The command is new: nothing of the last one may be left. */
static inline void io_begin(struct tgt_req *req)
{
	req->sq->nr_inflight++;
	req->result = 0;
	req->fua = false;
	req->phase = 0;
	req->cursor = 0;
	req->private = NULL;
	req->fault = NULL;
	req->op = TGT_OP_FLUSH;
	req->bytes = 0;
}

/* Hand a run of requests for one namespace to its back end. Return: how many went to @done. */
static unsigned int io_submit(struct tgt_req *const *run, unsigned int n, struct tgt_req **done)
{
	struct tgt_ns_slot *slot;
	unsigned int nr_done;

	if (!n)
		return 0;
	slot = run[0]->slot;
	slot->nr_inflight += n;
	nr_done = slot->ops->submit(slot->chan, run, n, done);
	slot->nr_inflight -= nr_done;
	return nr_done;
}

void tgt_ctrl_io(struct tgt_ctrl *ctrl, struct tgt_req *const *reqs, unsigned int n)
{
	struct tgt_req *done[TGT_MAX_BATCH], *run[TGT_MAX_BATCH];
	unsigned int nr_done = 0, nr_run = 0;

	for (unsigned int i = 0; i < n; i++) {
		struct tgt_req *req = reqs[i];

		io_begin(req);
		if (QUOLL_UNLIKELY(ctrl->nr_faults))
			req->fault = tgt_fault_match(ctrl->faults, ctrl->nr_faults, req);
		if (QUOLL_UNLIKELY(req->fault && req->fault->action == TGT_FAULT_STATUS))
			req->status = (uint16_t)req->fault->value;
		else
			req->status = io_parse(ctrl, req);
		if (QUOLL_UNLIKELY(req->status)) {
			done[nr_done++] = req;
			continue;
		}
		if (nr_run && run[0]->slot != req->slot) {
			nr_done += io_submit(run, nr_run, done + nr_done);
			nr_run = 0;
		}
		run[nr_run++] = req;
	}
	nr_done += io_submit(run, nr_run, done + nr_done);
	tgt_ctrl_complete(ctrl, done, nr_done);
}

void tgt_ctrl_flush(struct tgt_ctrl *ctrl)
{
	for (unsigned int i = 0; i < TGT_MAX_NAMESPACES; i++) {
		struct tgt_ns_slot *slot = &ctrl->slots[i];
		struct tgt_req *req, *done;

		if (!slot->nr_lbas || !slot->ns->volatile_cache)
			continue;
		req = tgt_ctrl_req(ctrl); /* there are more than namespaces, and none is taken */
		req->sq = &ctrl->own;
		req->cmd = (struct nvme_sqe){.opcode = nvme_cmd_flush, .nsid = quoll_cpu_to_le32(i + 1)};
		io_begin(req);
		req->slot = slot;
		if (io_submit(&req, 1, &done))
			tgt_ctrl_complete(ctrl, &done, 1);
	}
}
