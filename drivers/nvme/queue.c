/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * queue.c - the data path: prep, submit, poll. No lock, division, allocation, system call or indirect call per request.
 *
 * A completion is read once, after its phase, and believed only as far as it fits what was submitted: the CID must be
 * one in flight, of its slot's present generation, the SQ id ours, the SQ head between the last one and the tail the
 * device was told. Whatever does not fit is counted and dropped.
 */
#include <errno.h>

#include "nvme_internal.h"

/* The namespace is not the last one used, or refuses. Return: it, or NULL and the reason. */
static __attribute__((noinline)) const struct nvme_namespace *queue_find_ns(struct quoll_nvme_queue *queue,
									    uint32_t nsid, int *rc)
{
	const struct nvme_namespace *ns = nvme_ns_lookup(queue->nvme, nsid);

	*rc = queue->dead ? -ENODEV : ns ? __atomic_load_n(&ns->refuse, __ATOMIC_RELAXED) : -ENOENT;
	if (*rc)
		return NULL;
	queue->ns = ns;
	return ns;
}

static inline const struct nvme_namespace *queue_ns(struct quoll_nvme_queue *queue, uint32_t nsid, int *rc)
{
	const struct nvme_namespace *ns = queue->ns;

	if (QUOLL_UNLIKELY(ns->nsid != nsid || __atomic_load_n(&ns->refuse, __ATOMIC_RELAXED)))
		return queue_find_ns(queue, nsid, rc);
	return ns;
}

static inline int queue_full(const struct quoll_nvme_queue *queue)
{
	return queue->dead ? -ENODEV : -EAGAIN;
}

static inline __attribute__((always_inline)) int queue_prep(struct quoll_nvme_queue *queue, const void *va,
							    uint32_t nsid, struct nvme_io io)
{
	uint64_t bytes;
	int rc;

	io.ns = queue_ns(queue, nsid, &rc);
	if (QUOLL_UNLIKELY(!io.ns))
		return rc;
	if (QUOLL_UNLIKELY(!io.nr_lbas || (uintptr_t)va & 3))
		return -EINVAL;
	if (QUOLL_UNLIKELY(io.lba >= io.ns->nr_lbas || io.nr_lbas > io.ns->nr_lbas - io.lba))
		return -ERANGE;
	bytes = (uint64_t)io.nr_lbas << io.ns->lba_shift;
	io.iova = quoll_heap_iova(queue->heap, va, bytes);
	if (QUOLL_UNLIKELY(io.iova == QUOLL_IOVA_INVALID))
		return -EFAULT;
	if (QUOLL_UNLIKELY(!queue->nr_free))
		return queue_full(queue);
	if (QUOLL_UNLIKELY(nvme_split_first_lbas(io.ns, io.lba, io.nr_lbas) != io.nr_lbas))
		return nvme_split_start(queue, &io);
	nvme_queue_push(queue, &io);
	return 0;
}

int quoll_nvme_prep_read(struct quoll_nvme_queue *queue, uint32_t nsid, void *va, uint64_t lba, uint32_t nr_lbas,
			 uint64_t user_data)
{
	return queue_prep(queue, va, nsid,
			  (struct nvme_io){.lba = lba,
					   .nr_lbas = nr_lbas,
					   .opcode = nvme_cmd_read,
					   .parent = NVME_NO_PARENT,
					   .user_data = user_data});
}

int quoll_nvme_prep_write(struct quoll_nvme_queue *queue, uint32_t nsid, const void *va, uint64_t lba, uint32_t nr_lbas,
			  uint64_t user_data)
{
	return queue_prep(queue, va, nsid,
			  (struct nvme_io){.lba = lba,
					   .nr_lbas = nr_lbas,
					   .opcode = nvme_cmd_write,
					   .parent = NVME_NO_PARENT,
					   .user_data = user_data});
}

int quoll_nvme_prep_flush(struct quoll_nvme_queue *queue, uint32_t nsid, uint64_t user_data)
{
	struct nvme_sqe *sqe = &queue->sq[queue->sq_tail].cmd;
	const struct nvme_namespace *ns;
	int rc;

	ns = queue_ns(queue, nsid, &rc);
	if (!ns)
		return rc;
	if (!queue->nr_free)
		return queue_full(queue);
	*sqe = (struct nvme_sqe){
		.opcode = nvme_cmd_flush,
		.cid = quoll_cpu_to_le16(nvme_slot_take(queue, user_data, NVME_NO_PARENT)),
		.nsid = quoll_cpu_to_le32(nsid),
	};
	nvme_sq_advance(queue);
	return 0;
}

void quoll_nvme_submit(struct quoll_nvme_queue *queue)
{
	uint16_t tail = queue->sq_tail;
	/* One entry always stays empty, so a difference of 0 means that nothing was prepared. */
	int32_t nr = (int32_t)tail - queue->sq_rung;

	if (!nr)
		return;
	if (nr < 0)
		nr += queue->last_idx + 1;
	queue->nr_submitted += (uint32_t)nr;
	queue->sq_rung = tail;
	queue->nr_sq_doorbells++;
	/* Entries and lists before the doorbell; pairs with the controller's fetch after it has read the tail. */
	quoll_mmio_wmb();
	if (QUOLL_LIKELY(queue->sq_db))
		quoll_mmio_write32(queue->sq_db, tail);
	else
		nvme_doorbell_message(queue->nvme, queue->qid, 0, tail);
}

/* An SQ head is believed if it lies between the last one and the tail that the device was told, around the ring. */
static inline void queue_take_sqhd(struct quoll_nvme_queue *queue, uint16_t sqhd)
{
	int32_t ring = queue->last_idx + 1;
	int32_t moved = (int32_t)sqhd - queue->sq_head;
	int32_t most = (int32_t)queue->sq_rung - queue->sq_head;

	moved += moved < 0 ? ring : 0;
	most += most < 0 ? ring : 0;
	if (QUOLL_LIKELY(sqhd <= queue->last_idx && moved <= most))
		queue->sq_head = sqhd;
	else
		queue->nr_bad_sqhd++;
}

/* The slot that a completion answers, free again from now on; NULL if it answers nothing that is in flight. */
static inline const struct nvme_slot *queue_take_cid(struct quoll_nvme_queue *queue, uint16_t cid)
{
	uint16_t idx = cid & queue->slot_mask;
	struct nvme_slot *slot = &queue->slots[idx];

	if (QUOLL_UNLIKELY(slot->expect != cid))
		return NULL;
	slot->expect = (uint16_t)(cid + queue->cid_step) | NVME_SLOT_FREE;
	queue->free_slots[queue->nr_free++] = idx;
	return slot;
}

/* One completion, copied. Return: true if @comp is a finished request. */
static inline bool queue_take_cqe(struct quoll_nvme_queue *queue, const struct nvme_cqe *cqe,
				  struct quoll_nvme_completion *comp)
{
	const struct nvme_slot *slot;
	uint16_t parent;

	if (QUOLL_UNLIKELY(nvme_cqe_sqid(cqe->sqhd_sqid) != queue->qid)) {
		queue->nr_bad_sqid++;
		return false;
	}
	queue_take_sqhd(queue, nvme_cqe_sqhd(cqe->sqhd_sqid));
	slot = queue_take_cid(queue, nvme_cqe_cid(cqe->cid_status));
	if (QUOLL_UNLIKELY(!slot)) {
		queue->nr_bad_cid++;
		return false;
	}
	queue->nr_completed++;
	parent = slot->parent;
	comp->user_data = slot->user_data;
	comp->error = 0;
	comp->status = nvme_cqe_status(cqe->cid_status);
	comp->dnr = nvme_cqe_dnr(cqe->cid_status);
	comp->result = cqe->dw0;
	if (QUOLL_UNLIKELY(parent != NVME_NO_PARENT)) {
		struct quoll_nvme_completion part = *comp;

		return nvme_split_part_done(queue, parent, &part, comp);
	}
	return true;
}

/* Everything in flight comes back unfinished. Return: completions in @comps now. */
static unsigned int queue_abandon(struct quoll_nvme_queue *queue, struct quoll_nvme_completion *comps, unsigned int n,
				  unsigned int max)
{
	for (; queue->abandon_cursor < queue->nr_slots && n < max; queue->abandon_cursor++) {
		struct nvme_slot *slot = &queue->slots[queue->abandon_cursor];
		struct quoll_nvme_completion part = {.user_data = slot->user_data, .error = queue->dead};

		if (slot->expect & NVME_SLOT_FREE)
			continue;
		/* Not put on the stack of free slots: nr_free stays 0, which keeps prep out. */
		slot->expect |= NVME_SLOT_FREE;
		queue->nr_abandoned++;
		if (slot->parent == NVME_NO_PARENT)
			comps[n++] = part;
		else if (nvme_split_part_done(queue, slot->parent, &part, &comps[n]))
			n++;
	}
	while (n < max && nvme_split_abandon(queue, &comps[n]))
		n++;
	return n;
}

/* No progress in this poll, or many polls with progress: once a millisecond, see whether the controller lives. */
static __attribute__((noinline)) unsigned int
queue_poll_slow(struct quoll_nvme_queue *queue, struct quoll_nvme_completion *comps, unsigned int n, unsigned int max)
{
	uint64_t now;

	queue->busy_polls = NVME_BUSY_POLLS;
	if (!queue->dead) {
		now = quoll_ticks(&queue->clock);
		if (now - queue->last_check < queue->check_ticks)
			return n;
		queue->last_check = now;
		queue->dead = nvme_ctrl_check(queue->nvme);
		if (!queue->dead)
			return n;
		queue->nr_free = 0;
		queue->abandon_cursor = 0;
	}
	return queue_abandon(queue, comps, n, max);
}

static inline void queue_ring_cq(struct quoll_nvme_queue *queue, uint16_t head)
{
	queue->nr_cq_doorbells++;
	if (QUOLL_LIKELY(queue->cq_db))
		quoll_mmio_write32(queue->cq_db, head);
	else
		nvme_doorbell_message(queue->nvme, queue->qid, 1, head);
}

unsigned int quoll_nvme_poll(struct quoll_nvme_queue *queue, struct quoll_nvme_completion *comps, unsigned int max)
{
	/* Entries a poll looks at: one turn of the ring, so that a device that writes rubbish cannot hold us here. */
	uint32_t budget = queue->last_idx + 1u;
	uint16_t head = queue->cq_head;
	uint32_t left = budget;
	unsigned int n = 0;

	while (n < max && left) {
		const volatile struct nvme_cqe *entry = &queue->cq[head];
		struct nvme_cqe cqe = {.cid_status = quoll_le32_to_cpu(entry->cid_status)};

		if (nvme_cqe_phase(cqe.cid_status) != queue->phase)
			break;
		/* The rest of the entry is read after the phase; pairs with the controller's ordered write of both. */
		quoll_dma_rmb();
		cqe.sqhd_sqid = quoll_le32_to_cpu(entry->sqhd_sqid);
		cqe.dw0 = quoll_le32_to_cpu(entry->dw0);
		left--;
		if (QUOLL_UNLIKELY(head == queue->last_idx)) {
			head = 0;
			queue->phase ^= 1;
		} else {
			head++;
		}
		n += queue_take_cqe(queue, &cqe, &comps[n]);
	}
	if (QUOLL_LIKELY(left != budget)) {
		queue->cq_head = head;
		queue_ring_cq(queue, head);
	}
	if (QUOLL_UNLIKELY(queue->split_first != NVME_NO_PARENT))
		nvme_split_continue(queue);
	if (QUOLL_UNLIKELY(!n || !--queue->busy_polls))
		n = queue_poll_slow(queue, comps, n, max);
	return n;
}
