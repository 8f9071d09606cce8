/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mq.c - the way of a command through queues in the host's memory: tail, entry, controller, completion, head.
 *
 * Entries are copied once, by quadwords, after the tail that announces them. A completion's second quadword, with the
 * phase, is stored last. Memory that the host takes away stops the queues that lie there until it is back.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <quoll/mmio.h>

#include "mq_internal.h"

/* A ring within one mapped range, so that a pointer will do. */
static void *ring_map(struct tgt_guest *guest, uint64_t iova, uint64_t bytes, unsigned int prot)
{
	void *va = tgt_guest_va(guest, iova, bytes, prot);

	return (uintptr_t)va & 7 ? NULL : va;
}

/*
 * Where the value of a doorbell is: the admin queue's is never a shadow. One whose shadow the host has taken away,
 * @was, goes on from @at, where we are: the device's own is as old as the host's last write to it.
 */
static const quoll_le32 *mq_doorbell(struct tgt_mq *mq, unsigned int bell, const quoll_le32 *was, uint32_t at)
{
	quoll_le32 *own = &mq->doorbells[bell];

	if (bell > 1 && mq->shadow)
		return &mq->shadow[bell];
	if (was != own)
		__atomic_store_n(own, quoll_cpu_to_le32(at), __ATOMIC_RELAXED);
	return own;
}

void tgt_mq_remap(struct tgt_mq *mq)
{
	const unsigned int rw = TGT_GUEST_READ | TGT_GUEST_WRITE;

	mq->generation = mq->guest->generation;
	mq->shadow = mq->has_shadow ? ring_map(mq->guest, mq->shadow_iova, mq->page_bytes, TGT_GUEST_READ) : NULL;
	mq->events = mq->has_shadow ? ring_map(mq->guest, mq->events_iova, mq->page_bytes, rw) : NULL;
	for (uint16_t i = 0; i < TGT_NR_QUEUES; i++) {
		struct tgt_msq *sq = mq->sqs[i];
		struct tgt_cq *cq = mq->cqs[i];

		if (sq) {
			sq->ring = ring_map(mq->guest, sq->iova, (uint64_t)sq->entries * sizeof(struct nvme_sqe),
					    TGT_GUEST_READ);
			sq->tail_db = mq_doorbell(mq, 2u * i, sq->tail_db, sq->head);
			sq->fetch = mq->ctrl->batch == 1 ? TGT_FETCH_ONE : TGT_FETCH_ALL;
		}
		if (cq) {
			cq->ring = ring_map(mq->guest, cq->iova, (uint64_t)cq->entries * sizeof(struct nvme_cqe),
					    TGT_GUEST_WRITE);
			cq->head_db = mq_doorbell(mq, 2u * i + 1, cq->head_db, cq->head);
		}
	}
}

/* A queue begins at 0, whatever the host wrote there before it made it. Shadow doorbells are the host's to clear. */
static void mq_clear_doorbell(struct tgt_mq *mq, uint16_t qid, bool is_cq)
{
	__atomic_store_n(&mq->doorbells[2u * qid + is_cq], 0, __ATOMIC_RELAXED);
}

struct tgt_cq *tgt_mq_add_cq(struct tgt_mq *mq, uint16_t id, uint64_t iova, uint32_t entries)
{
	struct tgt_cq *cq = calloc(1, sizeof(*cq));

	if (!cq)
		return NULL;
	cq->id = id;
	cq->iova = iova;
	cq->entries = entries;
	cq->phase = 1;
	tgt_fifo_init(&cq->waiting);
	mq->cqs[id] = cq;
	mq_clear_doorbell(mq, id, true);
	tgt_mq_remap(mq);
	return cq;
}

struct tgt_msq *tgt_mq_add_sq(struct tgt_mq *mq, struct tgt_cq *cq, uint16_t id, uint64_t iova, uint32_t entries)
{
	struct tgt_msq *sq = calloc(1, sizeof(*sq));

	if (!sq)
		return NULL;
	sq->base.id = id;
	sq->iova = iova;
	sq->entries = entries;
	sq->cq = cq;
	cq->nr_sqs++;
	mq->sqs[id] = sq;
	mq_clear_doorbell(mq, id, false);
	mq->active[mq->nr_active++] = sq;
	tgt_mq_remap(mq);
	return sq;
}

void tgt_mq_free_sq(struct tgt_mq *mq, struct tgt_msq *sq)
{
	sq->cq->nr_sqs--;
	mq->sqs[sq->base.id] = NULL;
	free(sq);
}

void tgt_mq_free_cq(struct tgt_mq *mq, struct tgt_cq *cq)
{
	mq->cqs[cq->id] = NULL;
	free(cq);
}

/* Drop what waits for room, of one submission queue or of all. */
static void cq_drop_waiting(struct tgt_mq *mq, struct tgt_cq *cq, const struct tgt_sq *sq)
{
	struct tgt_fifo keep;
	struct tgt_req *req;

	tgt_fifo_init(&keep);
	while ((req = tgt_fifo_pop(&cq->waiting))) {
		if (sq && req->sq != sq) {
			tgt_fifo_push(&keep, req);
			continue;
		}
		mq->nr_waiting--;
		tgt_ctrl_req_put(mq->ctrl, req);
	}
	while ((req = tgt_fifo_pop(&keep)))
		tgt_fifo_push(&cq->waiting, req);
}

void tgt_mq_retire_sq(struct tgt_mq *mq, struct tgt_msq *sq)
{
	for (unsigned int i = 0; i < mq->nr_active; i++) {
		if (mq->active[i] != sq)
			continue;
		mq->active[i] = mq->active[--mq->nr_active];
		break;
	}
	cq_drop_waiting(mq, sq->cq, &sq->base);
}

static __attribute__((noinline)) void mq_bad_doorbell(struct tgt_mq *mq, uint8_t info, bool *reported)
{
	if (*reported)
		return;
	*reported = true;
	tgt_ctrl_event(mq->ctrl, NVME_AER_ERROR, info, NVME_LOG_LID_ERROR);
}

/* How far it is from @from to @to, around a ring. */
static inline uint32_t ring_distance(uint32_t from, uint32_t to, uint32_t entries)
{
	return to >= from ? to - from : to + entries - from;
}

/* The queue is full, so that the host may have read up to any entry of it. */
static void cq_update_head(struct tgt_mq *mq, struct tgt_cq *cq)
{
	/* Pairs with the host's doorbell write after it has read the entries. */
	uint32_t head = quoll_le32_to_cpu(__atomic_load_n(cq->head_db, __ATOMIC_ACQUIRE));

	if (QUOLL_UNLIKELY(head >= cq->entries))
		mq_bad_doorbell(mq, NVME_AER_ERROR_INVALID_DB_VAL, &cq->bad_head);
	else
		cq->head = head;
}

static inline bool cq_full(struct tgt_mq *mq, struct tgt_cq *cq)
{
	uint32_t next = cq->tail + 1 == cq->entries ? 0 : cq->tail + 1;

	if (QUOLL_UNLIKELY(next == cq->head))
		cq_update_head(mq, cq);
	return next == cq->head;
}

/* What an injected fault makes of an entry. */
static void cqe_spoil(const struct tgt_fault *fault, struct nvme_cqe *cqe)
{
	if (fault->action != TGT_FAULT_CORRUPT)
		return;
	switch (fault->value) {
	case TGT_CORRUPT_CID:
		cqe->cid_status ^= quoll_cpu_to_le32(0x5555);
		break;
	case TGT_CORRUPT_SQID:
		cqe->sqhd_sqid ^= quoll_cpu_to_le32(0x7fu << 16);
		break;
	case TGT_CORRUPT_SQHD:
		cqe->sqhd_sqid |= quoll_cpu_to_le32(0xffff);
		break;
	case TGT_CORRUPT_PHASE:
		cqe->cid_status ^= quoll_cpu_to_le32(NVME_CQE_PHASE);
		break;
	default:
		break;
	}
}

/* Return: false if the memory can't be reached. */
static bool cq_write(struct tgt_mq *mq, struct tgt_cq *cq, const struct nvme_cqe *cqe)
{
	quoll_le64 quads[2];

	memcpy(quads, cqe, sizeof(quads));
	if (QUOLL_LIKELY(cq->ring)) {
		quoll_le64 *at = (quoll_le64 *)&cq->ring[cq->tail];

		__atomic_store_n(&at[0], quads[0], __ATOMIC_RELAXED);
		/* The phase last; pairs with the host's read of the rest after it has seen the phase. */
		__atomic_store_n(&at[1], quads[1], __ATOMIC_RELEASE);
	} else {
		uint64_t iova = cq->iova + (uint64_t)cq->tail * sizeof(*cqe);

		if (tgt_guest_write(mq->guest, iova, quads, 8) || tgt_guest_write(mq->guest, iova + 8, &quads[1], 8))
			return false;
	}
	if (++cq->tail == cq->entries) {
		cq->tail = 0;
		cq->phase ^= 1;
	}
	return true;
}

/* Return: false if there is no room, or no memory. */
static bool cq_post(struct tgt_mq *mq, struct tgt_cq *cq, const struct tgt_req *req)
{
	const struct tgt_msq *sq = (const struct tgt_msq *)req->sq;
	struct nvme_cqe cqe = {
		.dw0 = quoll_cpu_to_le32(req->result),
		.sqhd_sqid = quoll_cpu_to_le32(sq->head | (uint32_t)sq->base.id << 16),
	};

	if (QUOLL_UNLIKELY(cq_full(mq, cq)))
		return false;
	cqe.cid_status = quoll_cpu_to_le32(tgt_req_cid(req) | (uint32_t)cq->phase << 16 | (uint32_t)req->status << 17);
	if (QUOLL_UNLIKELY(req->fault))
		cqe_spoil(req->fault, &cqe);
	if (QUOLL_UNLIKELY(!cq_write(mq, cq, &cqe)))
		return false;
	/* Repeated as often as there is room. */
	for (uint64_t i = 0; QUOLL_UNLIKELY(req->fault && req->fault->action == TGT_FAULT_REPEAT) &&
			     i < req->fault->value && !cq_full(mq, cq);
	     i++) {
		cqe.cid_status =
			quoll_cpu_to_le32(tgt_req_cid(req) | (uint32_t)cq->phase << 16 | (uint32_t)req->status << 17);
		cq_write(mq, cq, &cqe);
	}
	return true;
}

static inline void cq_interrupt(struct tgt_mq *mq, const struct tgt_cq *cq)
{
	if (cq->interrupts)
		mq->ops->interrupt(mq->arg, cq->vector);
}

/* Queues that are being deleted, and have had their last request. */
static __attribute__((noinline)) void mq_finish_deletions(struct tgt_mq *mq)
{
	for (unsigned int i = 1; i < TGT_NR_QUEUES; i++) {
		struct tgt_msq *sq = mq->sqs[i];
		struct tgt_req *req = sq ? sq->deletion : NULL;

		if (!req || sq->base.nr_inflight)
			continue;
		mq->nr_deleting--;
		cq_drop_waiting(mq, sq->cq, &sq->base);
		tgt_mq_free_sq(mq, sq);
		req->status = 0;
		tgt_ctrl_complete(mq->ctrl, &req, 1);
	}
}

/* After a reset began requests come back for nothing but their memory. */
static __attribute__((noinline)) void mq_discard(struct tgt_mq *mq, struct tgt_req *const *reqs, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		tgt_ctrl_req_put(mq->ctrl, reqs[i]);
}

/* The host's memory is out of reach: completions wait as if there were no room. */
static void mq_keep(struct tgt_mq *mq, struct tgt_req *const *reqs, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		tgt_fifo_push(&((struct tgt_msq *)reqs[i]->sq)->cq->waiting, reqs[i]);
	mq->nr_waiting += n;
	if (mq->nr_deleting)
		mq_finish_deletions(mq);
}

static void mq_complete(void *arg, struct tgt_req *const *reqs, unsigned int n)
{
	struct tgt_mq *mq = arg;
	struct tgt_cq *written = NULL;

	if (QUOLL_UNLIKELY(!mq->answers)) {
		if (mq->enabled)
			mq_keep(mq, reqs, n);
		else
			mq_discard(mq, reqs, n);
		return;
	}
	mq->nr_completing++;
	for (unsigned int i = 0; i < n; i++) {
		struct tgt_req *req = reqs[i];
		struct tgt_msq *sq = (struct tgt_msq *)req->sq;
		struct tgt_cq *cq = sq->cq;

		if (QUOLL_UNLIKELY(cq->waiting.head) || QUOLL_UNLIKELY(!cq_post(mq, cq, req))) {
			tgt_fifo_push(&cq->waiting, req);
			mq->nr_waiting++;
		} else {
			if (QUOLL_UNLIKELY(written && written != cq))
				cq_interrupt(mq, written);
			written = cq;
			tgt_ctrl_req_put(mq->ctrl, req);
		}
	}
	if (written)
		cq_interrupt(mq, written);
	mq->nr_completing--;
	/* Not from within another batch, which we got into by an event: queues of its rest would go. */
	if (QUOLL_UNLIKELY(mq->nr_deleting) && !mq->nr_completing)
		mq_finish_deletions(mq);
}

/* Completions that waited, as far as there is room now. */
static unsigned int mq_post_waiting(struct tgt_mq *mq)
{
	unsigned int total = 0;

	for (unsigned int i = 0; i < TGT_NR_QUEUES && mq->nr_waiting; i++) {
		struct tgt_cq *cq = mq->cqs[i];
		unsigned int n = 0;

		while (cq && cq->waiting.head && cq_post(mq, cq, cq->waiting.head)) {
			tgt_ctrl_req_put(mq->ctrl, tgt_fifo_pop(&cq->waiting));
			mq->nr_waiting--;
			n++;
		}
		if (n)
			cq_interrupt(mq, cq);
		total += n;
	}
	return total;
}

/* Return: false if the memory can't be reached. */
static inline bool sq_fetch(struct tgt_mq *mq, struct tgt_msq *sq, struct tgt_req *req)
{
	quoll_le64 *to = (quoll_le64 *)&req->cmd;

	if (QUOLL_LIKELY(sq->ring)) {
		tgt_fetch_quads(sq->ring + (size_t)sq->head * sizeof(req->cmd), to, sizeof(req->cmd) / 8);
		return true;
	}
	return !tgt_guest_fetch(mq->guest, sq->iova + (uint64_t)sq->head * sizeof(req->cmd), to, sizeof(req->cmd) / 8);
}

/*
 * The entries that are about to be read lie in the host's CPU's cache: all are asked for before the first is waited
 * for.
 */
static inline void sq_prefetch(const struct tgt_msq *sq, uint32_t tail)
{
	uint32_t at = sq->head;

	for (unsigned int n = 0; n < TGT_MAX_BATCH && at != tail; n++) {
		__builtin_prefetch(sq->ring + (size_t)at * sizeof(struct nvme_sqe));
		at = at + 1 == sq->entries ? 0 : at + 1;
	}
}

/*
 * Event indices (Base 2.0, Annex B.5): the host writes a register when its value comes past them. While we are awake it
 * need not, so they are kept one entry behind: the host comes there after a whole turn of the ring, and they are moved
 * along each half turn. Values are those of doorbells, so they wrap with the ring.
 */
static void event_behind(struct tgt_mq *mq, unsigned int bell, uint32_t at, uint32_t entries)
{
	__atomic_store_n(&mq->events[bell], quoll_cpu_to_le32(at ? at - 1 : entries - 1), __ATOMIC_RELAXED);
}

static void sq_event_behind(struct tgt_mq *mq, struct tgt_msq *sq)
{
	sq->event_head = sq->head;
	event_behind(mq, 2u * sq->base.id, sq->head, sq->entries);
}

/* Behind what the host has read, which is where it says; how far we know of it is older. */
static void cq_event_behind(struct tgt_mq *mq, struct tgt_cq *cq)
{
	uint32_t head = quoll_le32_to_cpu(__atomic_load_n(cq->head_db, __ATOMIC_RELAXED));

	cq->event_tail = cq->tail;
	if (head < cq->entries)
		event_behind(mq, 2u * cq->id + 1, head, cq->entries);
}

static __attribute__((noinline)) void sq_move_events(struct tgt_mq *mq, struct tgt_msq *sq)
{
	struct tgt_cq *cq = sq->cq;

	if (!sq->base.id)
		return;
	if (ring_distance(sq->event_head, sq->head, sq->entries) >= sq->entries / 2)
		sq_event_behind(mq, sq);
	if (ring_distance(cq->event_tail, cq->tail, cq->entries) >= cq->entries / 2)
		cq_event_behind(mq, cq);
}

static unsigned int sq_poll(struct tgt_mq *mq, struct tgt_msq *sq)
{
	struct tgt_req *reqs[TGT_MAX_BATCH];
	/* Pairs with the host's doorbell write after it has written the entries. */
	uint32_t tail = quoll_le32_to_cpu(__atomic_load_n(sq->tail_db, __ATOMIC_ACQUIRE));
	unsigned int n = 0;

	if (tail == sq->head)
		return 0;
	if (QUOLL_UNLIKELY(tail >= sq->entries)) {
		mq_bad_doorbell(mq, NVME_AER_ERROR_INVALID_DB_VAL, &sq->bad_tail);
		return 0;
	}
	/* A host that reads no completions gets no more commands done. */
	if (QUOLL_UNLIKELY(sq->cq->waiting.head || sq->fetch)) {
		if (sq->cq->waiting.head || sq->fetch == TGT_FETCH_NONE)
			return 0;
		tail = sq->head + 1 == sq->entries ? 0 : sq->head + 1;
	}
	if (QUOLL_LIKELY(sq->ring))
		sq_prefetch(sq, tail);
	while (n < TGT_MAX_BATCH && sq->head != tail) {
		struct tgt_req *req = tgt_ctrl_req(mq->ctrl);

		if (QUOLL_UNLIKELY(!req))
			break;
		if (QUOLL_UNLIKELY(!sq_fetch(mq, sq, req))) {
			tgt_ctrl_req_put(mq->ctrl, req);
			sq->fetch = TGT_FETCH_NONE;
			break;
		}
		req->sq = &sq->base;
		reqs[n++] = req;
		sq->head = sq->head + 1 == sq->entries ? 0 : sq->head + 1;
	}
	if (QUOLL_UNLIKELY(mq->events))
		sq_move_events(mq, sq);
	if (QUOLL_LIKELY(sq->base.id))
		tgt_ctrl_io(mq->ctrl, reqs, n);
	else
		for (unsigned int i = 0; i < n; i++)
			tgt_ctrl_admin(mq->ctrl, reqs[i]);
	return n;
}

static void mq_free_queues(struct tgt_mq *mq)
{
	for (unsigned int i = 0; i < TGT_NR_QUEUES; i++)
		if (mq->sqs[i])
			tgt_mq_free_sq(mq, mq->sqs[i]);
	for (unsigned int i = 0; i < TGT_NR_QUEUES; i++)
		if (mq->cqs[i])
			tgt_mq_free_cq(mq, mq->cqs[i]);
	mq->nr_active = 0;
}

/* The host may have taken memory back since we looked last. */
static inline void mq_remap_if_due(struct tgt_mq *mq)
{
	if (QUOLL_UNLIKELY(mq->generation != mq->guest->generation))
		tgt_mq_remap(mq);
}

unsigned int tgt_mq_poll(struct tgt_mq *mq)
{
	unsigned int n;

	mq_remap_if_due(mq);
	n = tgt_ctrl_poll(mq->ctrl);
	if (QUOLL_UNLIKELY(!mq->enabled)) {
		if (tgt_ctrl_idle(mq->ctrl))
			mq_free_queues(mq);
		return n;
	}
	if (QUOLL_UNLIKELY(mq->nr_waiting) && mq->answers)
		n += mq_post_waiting(mq);
	/* The list may become shorter: an admin command may delete a queue. */
	for (unsigned int i = 0; i < mq->nr_active && !mq->ctrl->halted && !mq->held; i++)
		n += sq_poll(mq, mq->active[i]);
	return n;
}

void tgt_mq_hold(struct tgt_mq *mq, enum tgt_mq_hold hold)
{
	mq->held = mq->hold = hold != TGT_MQ_RUN;
	mq->ctrl->cut_off = hold == TGT_MQ_CUT_OFF;
	mq->answers = mq->enabled && !mq->ctrl->cut_off;
}

void tgt_mq_pace(struct tgt_mq *mq, enum tgt_mq_pace pace)
{
	bool stopped = mq->held && !mq->hold;

	mq->ctrl->batch = pace == TGT_MQ_FULL ? TGT_MAX_BATCH : 1;
	mq->held = mq->hold || pace == TGT_MQ_STOP;
	for (unsigned int i = 0; i < mq->nr_active; i++)
		if (mq->active[i]->fetch != TGT_FETCH_NONE)
			mq->active[i]->fetch = pace == TGT_MQ_FULL ? TGT_FETCH_ALL : TGT_FETCH_ONE;
	if (stopped && !mq->held && mq->nr_active) {
		struct tgt_msq *first = mq->active[0];

		memmove(mq->active, mq->active + 1, (mq->nr_active - 1) * sizeof(first));
		mq->active[mq->nr_active - 1] = first;
	}
}

bool tgt_mq_has_shadow(const struct tgt_mq *mq)
{
	return mq->enabled && mq->shadow;
}

void tgt_mq_doorbell(struct tgt_mq *mq, unsigned int index, uint32_t value)
{
	bool is_cq = index & 1;
	unsigned int qid = index / 2;
	const struct tgt_msq *sq = qid < TGT_NR_QUEUES ? mq->sqs[qid] : NULL;
	const struct tgt_cq *cq = qid < TGT_NR_QUEUES ? mq->cqs[qid] : NULL;
	bool unheard = false;

	if (!mq->enabled)
		return;
	if (is_cq ? !cq : !sq)
		mq_bad_doorbell(mq, NVME_AER_ERROR_INVALID_DB_REG, &unheard);
	else if (value >= (is_cq ? cq->entries : sq->entries) ||
		 (is_cq &&
		  ring_distance(cq->head, value, cq->entries) > ring_distance(cq->head, cq->tail, cq->entries)))
		mq_bad_doorbell(mq, NVME_AER_ERROR_INVALID_DB_VAL, &unheard);
	else
		__atomic_store_n(&mq->doorbells[index], quoll_cpu_to_le32(value), __ATOMIC_RELAXED);
}

/* Whether a poll would fetch from it. Where only the host can change that, it has to wake us. */
static bool sq_has_work(const struct tgt_msq *sq)
{
	uint32_t tail = quoll_le32_to_cpu(__atomic_load_n(sq->tail_db, __ATOMIC_RELAXED));

	return tail != sq->head && tail < sq->entries && !sq->cq->waiting.head && sq->fetch != TGT_FETCH_NONE;
}

/* The host has read completions meanwhile, for which others wait. */
static bool cq_has_work(const struct tgt_cq *cq)
{
	uint32_t head = quoll_le32_to_cpu(__atomic_load_n(cq->head_db, __ATOMIC_RELAXED));

	return cq->waiting.head && head != cq->head && head < cq->entries;
}

int tgt_mq_arm(struct tgt_mq *mq)
{
	mq_remap_if_due(mq);
	for (unsigned int i = 0; mq->events && mq->answers && i < mq->nr_active; i++) {
		const struct tgt_msq *sq = mq->active[i];

		if (!sq->base.id)
			continue;
		__atomic_store_n(&mq->events[2u * sq->base.id], quoll_cpu_to_le32(sq->head), __ATOMIC_RELAXED);
		/* What the host has read is of interest where completions wait for room. */
		if (sq->cq->waiting.head)
			__atomic_store_n(&mq->events[2u * sq->cq->id + 1], quoll_cpu_to_le32(sq->cq->head),
					 __ATOMIC_RELAXED);
	}
	/* Event index before tail; pairs with the host's fence between its tail and its look at the event index. */
	quoll_dma_mb();
	for (unsigned int i = 0; i < mq->nr_active && !mq->ctrl->halted && !mq->held; i++)
		if (sq_has_work(mq->active[i]) || cq_has_work(mq->active[i]->cq))
			return 1;
	return 0;
}

void tgt_mq_disarm(struct tgt_mq *mq)
{
	mq_remap_if_due(mq);
	for (unsigned int i = 0; mq->events && mq->answers && i < mq->nr_active; i++) {
		struct tgt_msq *sq = mq->active[i];

		if (!sq->base.id)
			continue;
		sq_event_behind(mq, sq);
		cq_event_behind(mq, sq->cq);
	}
}

unsigned int tgt_mq_nr_sqs(const struct tgt_mq *mq)
{
	unsigned int n = 0;

	for (unsigned int i = 1; i < TGT_NR_QUEUES; i++)
		n += mq->sqs[i] != NULL;
	return n;
}

unsigned int tgt_mq_nr_cqs(const struct tgt_mq *mq)
{
	unsigned int n = 0;

	for (unsigned int i = 1; i < TGT_NR_QUEUES; i++)
		n += mq->cqs[i] != NULL;
	return n;
}

static bool mq_has_io_queues(void *arg)
{
	return tgt_mq_nr_cqs(arg); /* each submission queue has one */
}

static void mq_fault(void *arg, const struct tgt_fault *fault)
{
	struct tgt_mq *mq = arg;

	mq->ops->fault(mq->arg, fault);
}

static const struct tgt_transport_ops mq_transport_ops = {
	.complete = mq_complete,
	.admin = tgt_mq_admin_command,
	.has_io_queues = mq_has_io_queues,
	.fault = mq_fault,
};

int tgt_mq_create(struct tgt_subsys *subsys, const struct tgt_mq_opts *opts, struct tgt_mq **mq,
		  struct quoll_error *err)
{
	struct tgt_mq *made = calloc(1, sizeof(*made));
	struct tgt_transport transport = {
		.ops = &mq_transport_ops,
		.arg = made,
		.guest = opts->guest,
		.max_io_queues = TGT_MAX_IO_QUEUES,
		.nr_vectors = opts->nr_vectors,
		.vid = opts->vid,
		.ssvid = opts->ssvid,
		.doorbell_buffers = true,
	};
	int rc;

	if (!made)
		return quoll_error_set(err, ENOMEM, "controller", subsys->nqn, "out of memory");
	rc = tgt_ctrl_create(subsys, &transport, &made->ctrl, err);
	if (rc) {
		free(made);
		return rc;
	}
	made->guest = opts->guest;
	made->generation = opts->guest->generation;
	made->doorbells = made->own_doorbells;
	made->ops = opts->ops;
	made->arg = opts->arg;
	*mq = made;
	return 0;
}

void tgt_mq_destroy(struct tgt_mq *mq)
{
	mq_free_queues(mq);
	tgt_ctrl_destroy(mq->ctrl);
	free(mq);
}

struct tgt_ctrl *tgt_mq_ctrl(struct tgt_mq *mq)
{
	return mq->ctrl;
}

void tgt_mq_doorbells(struct tgt_mq *mq, quoll_le32 *table)
{
	mq->doorbells = table;
	tgt_mq_remap(mq);
}

static bool mq_entries_ok(uint16_t entries)
{
	return entries >= 2 && entries <= TGT_MAX_ENTRIES;
}

int tgt_mq_enable(struct tgt_mq *mq, const struct tgt_mq_admin *admin)
{
	uint64_t in_page = (1ull << admin->page_shift) - 1;
	struct tgt_cq *cq;

	if (mq->enabled || !tgt_mq_idle(mq))
		return -EBUSY;
	mq_free_queues(mq);
	if (!mq_entries_ok(admin->sq_entries) || !mq_entries_ok(admin->cq_entries) ||
	    (admin->asq | admin->acq) & in_page)
		return -EINVAL;
	if (!tgt_guest_covers(mq->guest, admin->asq, admin->sq_entries * sizeof(struct nvme_sqe), TGT_GUEST_READ) ||
	    !tgt_guest_covers(mq->guest, admin->acq, admin->cq_entries * sizeof(struct nvme_cqe), TGT_GUEST_WRITE))
		return -EFAULT;
	mq->has_shadow = false;
	mq->page_bytes = 1u << admin->page_shift;
	cq = tgt_mq_add_cq(mq, 0, admin->acq, admin->cq_entries);
	if (!cq || !tgt_mq_add_sq(mq, cq, 0, admin->asq, admin->sq_entries))
		return -ENOMEM; /* what was made is freed by the next attempt, or the end */
	cq->interrupts = true;
	mq->enabled = true;
	mq->answers = !mq->ctrl->cut_off;
	tgt_ctrl_start(mq->ctrl, admin->page_shift);
	return 0;
}

void tgt_mq_entry_sizes(struct tgt_mq *mq, uint8_t iosqes, uint8_t iocqes)
{
	mq->iosqes = iosqes;
	mq->iocqes = iocqes;
}

void tgt_mq_disable(struct tgt_mq *mq)
{
	if (!mq->enabled)
		return;
	mq->enabled = mq->answers = false;
	mq->nr_active = 0;
	mq->nr_deleting = 0;
	for (unsigned int i = 0; i < TGT_NR_QUEUES; i++) {
		if (mq->cqs[i])
			cq_drop_waiting(mq, mq->cqs[i], NULL);
		if (mq->sqs[i] && mq->sqs[i]->deletion)
			tgt_ctrl_req_put(mq->ctrl, mq->sqs[i]->deletion);
		if (mq->sqs[i])
			mq->sqs[i]->deletion = NULL;
	}
	tgt_ctrl_stop(mq->ctrl);
	if (tgt_ctrl_idle(mq->ctrl))
		mq_free_queues(mq);
}

bool tgt_mq_idle(const struct tgt_mq *mq)
{
	return !mq->enabled && tgt_ctrl_idle(mq->ctrl);
}
