/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mq_admin.c - queues come and go: Create and Delete I/O Completion and Submission Queue, Doorbell Buffer Config (Base
 * 2.0, 5.4 to 5.8), with each check that the specification names.
 */
#include "mq_internal.h"

static uint16_t cmd_qid(const struct tgt_req *req)
{
	return (uint16_t)tgt_cdw10(req);
}

/* Of an I/O queue that may be: 1 to what feature 07h has given. */
static bool qid_in_range(const struct tgt_mq *mq, uint16_t qid)
{
	return qid && qid <= mq->ctrl->nr_queues && qid < TGT_NR_QUEUES;
}

/* QSIZE is 0-based, and one entry is no queue. */
static uint32_t cmd_entries(const struct tgt_req *req)
{
	return (tgt_cdw10(req) >> 16) + 1;
}

static bool entries_ok(uint32_t entries)
{
	return entries >= 2 && entries <= TGT_MAX_ENTRIES;
}

/* Where the queue is: in one piece (CAP.CQR is set), from a page's beginning, in the host's memory. */
static uint16_t place_check(const struct tgt_mq *mq, const struct tgt_req *req, uint32_t entry_bytes, unsigned int prot)
{
	uint64_t iova = quoll_le64_to_cpu(req->cmd.prp1);

	if (!(tgt_cdw11(req) & NVME_QUEUE_PHYS_CONTIG))
		return TGT_SC(INVALID_FIELD);
	if (iova & (mq->page_bytes - 1))
		return TGT_SC(PRP_INVALID_OFFSET);
	if (!tgt_guest_covers(mq->guest, iova, (uint64_t)cmd_entries(req) * entry_bytes, prot))
		return TGT_SC(INVALID_FIELD);
	return 0;
}

static uint16_t create_cq(struct tgt_mq *mq, struct tgt_req *req)
{
	uint16_t vector = (uint16_t)(tgt_cdw11(req) >> 16);
	bool interrupts = tgt_cdw11(req) & 2;
	struct tgt_cq *cq;
	uint16_t status;

	if (!qid_in_range(mq, cmd_qid(req)) || mq->cqs[cmd_qid(req)])
		return TGT_SC_CMD(QID_INVALID);
	if (!entries_ok(cmd_entries(req)) || mq->iocqes != NVME_CQES_SHIFT)
		return TGT_SC_CMD(QUEUE_SIZE);
	status = place_check(mq, req, sizeof(struct nvme_cqe), TGT_GUEST_WRITE);
	if (status)
		return status;
	if (interrupts && vector >= mq->ctrl->transport.nr_vectors)
		return TGT_SC_CMD(INVALID_VECTOR);
	cq = tgt_mq_add_cq(mq, cmd_qid(req), quoll_le64_to_cpu(req->cmd.prp1), cmd_entries(req));
	if (!cq)
		return NVME_SC_INTERNAL;
	cq->interrupts = interrupts;
	cq->vector = vector;
	return 0;
}

static uint16_t create_sq(struct tgt_mq *mq, struct tgt_req *req)
{
	uint16_t cqid = (uint16_t)(tgt_cdw11(req) >> 16);
	uint16_t status;

	if (!qid_in_range(mq, cmd_qid(req)) || mq->sqs[cmd_qid(req)])
		return TGT_SC_CMD(QID_INVALID);
	/* The admin queue and numbers beyond the last are invalid, those between are not there (5.5, CQID). */
	if (!qid_in_range(mq, cqid))
		return TGT_SC_CMD(QID_INVALID);
	if (!mq->cqs[cqid])
		return TGT_SC_CMD(CQ_INVALID);
	if (!entries_ok(cmd_entries(req)) || mq->iosqes != NVME_SQES_SHIFT)
		return TGT_SC_CMD(QUEUE_SIZE);
	status = place_check(mq, req, sizeof(struct nvme_sqe), TGT_GUEST_READ);
	if (status)
		return status;
	/* Priorities (QPRIO) are of no use without weighted arbitration, and NVM sets there are none. */
	if (tgt_cdw12(req) & 0xffff)
		return TGT_SC(INVALID_FIELD);
	if (!tgt_mq_add_sq(mq, mq->cqs[cqid], cmd_qid(req), quoll_le64_to_cpu(req->cmd.prp1), cmd_entries(req)))
		return NVME_SC_INTERNAL;
	return 0;
}

/* Commands in flight end first; entries that were not fetched, and completions without room, are forgotten (5.7). */
static uint16_t delete_sq(struct tgt_mq *mq, struct tgt_req *req)
{
	uint16_t qid = cmd_qid(req);
	struct tgt_msq *sq = qid && qid < TGT_NR_QUEUES ? mq->sqs[qid] : NULL;

	if (!sq || sq->deletion)
		return TGT_SC_CMD(QID_INVALID);
	tgt_ctrl_abort_queue(mq->ctrl, qid);
	tgt_mq_retire_sq(mq, sq);
	if (!sq->base.nr_inflight) {
		tgt_mq_free_sq(mq, sq);
		return 0;
	}
	sq->deletion = req;
	mq->nr_deleting++;
	req->waits = true;
	return 0;
}

static uint16_t delete_cq(struct tgt_mq *mq, struct tgt_req *req)
{
	uint16_t qid = cmd_qid(req);
	struct tgt_cq *cq = qid && qid < TGT_NR_QUEUES ? mq->cqs[qid] : NULL;

	if (!cq)
		return TGT_SC_CMD(QID_INVALID);
	if (cq->nr_sqs)
		return TGT_SC_CMD(INVALID_QUEUE);
	tgt_mq_free_cq(mq, cq);
	return 0;
}

/* Queues that are there already go on from where they are; the shadows of others are not ours to write. */
static void shadow_begin(struct tgt_mq *mq)
{
	for (unsigned int i = 1; i < TGT_NR_QUEUES; i++) {
		uint32_t tail =
			mq->sqs[i] ? quoll_le32_to_cpu(__atomic_load_n(mq->sqs[i]->tail_db, __ATOMIC_RELAXED)) : 0;
		uint32_t head =
			mq->cqs[i] ? quoll_le32_to_cpu(__atomic_load_n(mq->cqs[i]->head_db, __ATOMIC_RELAXED)) : 0;

		if (mq->sqs[i])
			__atomic_store_n(&mq->shadow[2 * i], quoll_cpu_to_le32(tail), __ATOMIC_RELAXED);
		if (mq->cqs[i])
			__atomic_store_n(&mq->shadow[2 * i + 1], quoll_cpu_to_le32(head), __ATOMIC_RELAXED);
		__atomic_store_n(&mq->events[2 * i], quoll_cpu_to_le32(tail), __ATOMIC_RELAXED);
		__atomic_store_n(&mq->events[2 * i + 1], quoll_cpu_to_le32(head), __ATOMIC_RELAXED);
	}
}

/*
 * 5.8: two pages of the host, for doorbells of all but the admin queue. The first one is the host's to write: it may be
 * mapped for reading only, unless there are queues whose place we have to put there.
 */
static uint16_t doorbell_buffers(struct tgt_mq *mq, struct tgt_req *req)
{
	const unsigned int rw = TGT_GUEST_READ | TGT_GUEST_WRITE;
	const unsigned int shadow_prot = tgt_mq_nr_cqs(mq) ? rw : TGT_GUEST_READ;
	uint64_t shadow = quoll_le64_to_cpu(req->cmd.prp1);
	uint64_t events = quoll_le64_to_cpu(req->cmd.prp2);

	if ((shadow | events) & (mq->page_bytes - 1))
		return TGT_SC(INVALID_FIELD);
	if (!tgt_guest_va(mq->guest, shadow, mq->page_bytes, shadow_prot) ||
	    !tgt_guest_va(mq->guest, events, mq->page_bytes, rw))
		return TGT_SC(INVALID_FIELD);
	mq->shadow = tgt_guest_va(mq->guest, shadow, mq->page_bytes, shadow_prot);
	mq->events = tgt_guest_va(mq->guest, events, mq->page_bytes, rw);
	if (((uintptr_t)mq->shadow | (uintptr_t)mq->events) & 7) {
		tgt_mq_remap(mq);
		return TGT_SC(INVALID_FIELD);
	}
	shadow_begin(mq);
	mq->shadow_iova = shadow;
	mq->events_iova = events;
	mq->has_shadow = true;
	tgt_mq_remap(mq);
	return 0;
}

uint16_t tgt_mq_admin_command(void *arg, struct tgt_req *req)
{
	struct tgt_mq *mq = arg;

	switch (req->cmd.opcode) {
	case nvme_admin_create_cq:
		return create_cq(mq, req);
	case nvme_admin_create_sq:
		return create_sq(mq, req);
	case nvme_admin_delete_sq:
		return delete_sq(mq, req);
	case nvme_admin_delete_cq:
		return delete_cq(mq, req);
	default:
		return doorbell_buffers(mq, req);
	}
}
