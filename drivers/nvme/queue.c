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
static const struct nvme_namespace *queue_find_ns(struct quoll_nvme_queue *queue, uint32_t nsid, int *rc)
{
	const struct nvme_namespace *ns = nvme_ns_lookup(queue->set, nsid);

	*rc = queue->dead     ? -ENODEV
	      : queue->paused ? -EAGAIN
	      : ns	      ? __atomic_load_n(&ns->refuse, __ATOMIC_RELAXED)
			      : -ENOENT;
	if (*rc)
		return NULL;
	queue->ns = ns;
	return ns;
}

/* All that the short way of queue_prep() does not do: another namespace, a split, an error with its reason. */
static int queue_prep_long(struct quoll_nvme_queue *queue, uint32_t nsid, const void *va, struct nvme_io *io)
{
	struct nvme_sqe_rw *sqe;
	uint64_t bytes;
	uint16_t cid;
	int rc;

	io->ns = queue_find_ns(queue, nsid, &rc);
	if (!io->ns)
		return rc;
	if (!io->nr_lbas || (uintptr_t)va & 3)
		return -EINVAL;
	if (io->lba >= io->ns->nr_lbas || io->nr_lbas > io->ns->nr_lbas - io->lba)
		return -ERANGE;
	bytes = (uint64_t)io->nr_lbas << io->ns->lba_shift;
	io->iova = quoll_heap_iova(queue->heap, va, bytes);
	if (io->iova == QUOLL_IOVA_INVALID && !queue->segs)
		return -EFAULT;
	if (!queue->nr_free)
		return -EAGAIN;
	if (io->iova == QUOLL_IOVA_INVALID)
		return nvme_split_start_streamed(queue, io, va, bytes);
	if (nvme_split_first_lbas(io->ns, io->lba, io->nr_lbas) != io->nr_lbas)
		return nvme_split_start(queue, io);
	io->nsid = nsid;
	io->bytes = (uint32_t)bytes;
	sqe = nvme_queue_push(queue, io, &cid);
	sqe->prp2 = prp_second(io->iova, io->bytes, nvme_slot_list(queue, cid));
	return 0;
}

/* These two have the arguments of the public functions, so that the way to them is a jump and saves no register. */
typedef int queue_prep_long_fn(struct quoll_nvme_queue *queue, uint32_t nsid, const void *va, uint64_t lba,
			       uint32_t nr_lbas, uint64_t user_data);

static __attribute__((noinline)) int queue_read_long(struct quoll_nvme_queue *queue, uint32_t nsid, const void *va,
						     uint64_t lba, uint32_t nr_lbas, uint64_t user_data)
{
	struct nvme_io io = {.lba = lba, .nr_lbas = nr_lbas, .opcode = nvme_cmd_read, .user_data = user_data};

	return queue_prep_long(queue, nsid, va, &io);
}

static __attribute__((noinline)) int queue_write_long(struct quoll_nvme_queue *queue, uint32_t nsid, const void *va,
						      uint64_t lba, uint32_t nr_lbas, uint64_t user_data)
{
	struct nvme_io io = {.lba = lba, .nr_lbas = nr_lbas, .opcode = nvme_cmd_write, .user_data = user_data};

	return queue_prep_long(queue, nsid, va, &io);
}

/* PRP entry 2 of a command that is in the queue but for that. Return: 0, so that it ends prep with a jump. */
static __attribute__((noinline)) int queue_set_prp2(const struct quoll_nvme_queue *queue, struct nvme_sqe_rw *sqe,
						    uint16_t cid, quoll_iova_t iova, uint32_t bytes)
{
	sqe->prp2 = prp_second(iova, bytes, nvme_slot_list(queue, cid));
	return 0;
}

/*
 * The short way: one command for the namespace used last, and nothing wrong with it. For anything else @prep_long, with
 * the same arguments.
 */
static inline __attribute__((always_inline)) int queue_prep(struct quoll_nvme_queue *queue, uint32_t nsid,
							    const void *va, struct nvme_io io,
							    queue_prep_long_fn *prep_long)
{
	const struct nvme_namespace *ns = queue->ns;
	uint64_t last = io.lba + io.nr_lbas - 1;
	struct nvme_sqe_rw *sqe;
	uint16_t cid;

	/* 0 blocks wrap around to more than any command may have; and none may have more than the namespace. */
	if (QUOLL_UNLIKELY(ns->nsid != nsid || io.nr_lbas - 1 >= __atomic_load_n(&ns->short_lbas, __ATOMIC_RELAXED) ||
			   io.lba > ns->nr_lbas - io.nr_lbas || (io.lba ^ last) & ns->boundary_mask ||
			   (uintptr_t)va & 3))
		return prep_long(queue, nsid, va, io.lba, io.nr_lbas, io.user_data);
	io.nsid = nsid;
	io.bytes = io.nr_lbas << ns->lba_shift;
	io.iova = quoll_heap_iova(queue->heap, va, io.bytes);
	if (QUOLL_UNLIKELY(io.iova == QUOLL_IOVA_INVALID || !queue->nr_free))
		return prep_long(queue, nsid, va, io.lba, io.nr_lbas, io.user_data);
	sqe = nvme_queue_push(queue, &io, &cid);
	if (QUOLL_UNLIKELY(!prp_in_one_page(io.iova, io.bytes)))
		return queue_set_prp2(queue, sqe, cid, io.iova, io.bytes);
	sqe->prp2 = 0;
	return 0;
}

int quoll_nvme_prep_read(struct quoll_nvme_queue *queue, uint32_t nsid, void *va, uint64_t lba, uint32_t nr_lbas,
			 uint64_t user_data)
{
	struct nvme_io io = {.lba = lba, .nr_lbas = nr_lbas, .opcode = nvme_cmd_read, .user_data = user_data};

	return queue_prep(queue, nsid, va, io, queue_read_long);
}

int quoll_nvme_prep_write(struct quoll_nvme_queue *queue, uint32_t nsid, const void *va, uint64_t lba, uint32_t nr_lbas,
			  uint64_t user_data)
{
	struct nvme_io io = {.lba = lba, .nr_lbas = nr_lbas, .opcode = nvme_cmd_write, .user_data = user_data};

	return queue_prep(queue, nsid, va, io, queue_write_long);
}

int quoll_nvme_prep_flush(struct quoll_nvme_queue *queue, uint32_t nsid, uint64_t user_data)
{
	struct nvme_sqe *sqe = &queue->sq[queue->sq_tail].cmd;
	int rc;

	if (!queue_find_ns(queue, nsid, &rc))
		return rc;
	if (!queue->nr_free)
		return -EAGAIN;
	*sqe = (struct nvme_sqe){
		.opcode = nvme_cmd_flush,
		.cid = quoll_cpu_to_le16(nvme_slot_take(queue, user_data)),
		.nsid = quoll_cpu_to_le32(nsid),
	};
	nvme_sq_advance(queue, queue->sq_tail);
	return 0;
}

/* The doorbell has a shadow or is not mapped, or the commands are saved first; @nr of them before @tail. */
static __attribute__((noinline)) void queue_ring_long(struct quoll_nvme_queue *queue, uint32_t tail, uint32_t nr)
{
	if (queue->saved)
		nvme_queue_save(queue, tail, nr);
	nvme_queue_ring(queue, 0, tail);
}

void quoll_nvme_submit(struct quoll_nvme_queue *queue)
{
	uint16_t tail;
	int32_t nr;

	if (QUOLL_UNLIKELY(queue->nr_unmapped))
		nvme_split_continue(queue, NULL, 0, 0);
	/* One entry always stays empty, so a difference of 0 means that nothing was prepared. */
	tail = queue->sq_tail;
	nr = (int32_t)tail - queue->sq_rung;
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
		queue_ring_long(queue, tail, (uint32_t)nr);
}

/* What a poll works with, in registers as far as there are any; queue_reap_end() puts it back. */
struct reap {
	const volatile struct nvme_cqe *next;
	uint32_t phase_bit;
	uint32_t nr_free;
	uint32_t sq_head;
	uint32_t nr_bad; /* completions that answered nothing */
};

/*
 * An SQ head is believed if it lies between the last one and the tail that the device was told, around the ring. Few
 * completions move it: a controller fetches several commands at once.
 */
static __attribute__((noinline)) uint32_t queue_take_sqhd(struct quoll_nvme_queue *queue, uint32_t from, uint32_t sqhd)
{
	uint32_t ring = queue->last_idx + 1u;
	uint32_t moved = sqhd - from + (sqhd < from ? ring : 0);
	uint32_t most = queue->sq_rung - from + (queue->sq_rung < from ? ring : 0);

	if (sqhd < ring && moved <= most)
		return sqhd;
	queue->nr_bad_sqhd++;
	return from;
}

/* The slot that a completion answers, free again from now on; NULL if it answers nothing that is in flight. */
static inline struct nvme_slot *queue_take_cid(struct quoll_nvme_queue *queue, struct reap *reap, uint32_t cid)
{
	uint32_t idx = cid & queue->slot_mask;
	struct nvme_slot *slot = &queue->slots[idx];

	if (QUOLL_UNLIKELY(slot->expect != cid)) {
		enum nvme_taken taken = nvme_queue_take_flagged(queue, cid);

		if (taken == NVME_TAKEN_NOTHING)
			return NULL;
		if (taken == NVME_TAKEN_NOT_REUSABLE)
			return slot;
	}
	slot->expect = cid | NVME_SLOT_FREE;
	queue->free_slots[reap->nr_free++] = (uint16_t)idx;
	return slot;
}

static __attribute__((noinline)) bool queue_take_part(struct quoll_nvme_queue *queue, struct nvme_slot *slot,
						      struct quoll_nvme_completion *comp)
{
	struct quoll_nvme_completion part = *comp;
	uint16_t parent = slot->parent;

	slot->parent = NVME_NO_PARENT;
	return nvme_split_part_done(queue, parent, &part, comp);
}

/* One completion, copied. Return: true if @comp is a finished request. */
static inline bool queue_take_cqe(struct quoll_nvme_queue *queue, struct reap *reap, const struct nvme_cqe *cqe,
				  struct quoll_nvme_completion *comp)
{
	struct nvme_slot *slot;

	if (QUOLL_UNLIKELY(nvme_cqe_sqid(cqe->sqhd_sqid) != queue->qid)) {
		queue->nr_bad_sqid++;
		reap->nr_bad++;
		return false;
	}
	if (QUOLL_UNLIKELY(nvme_cqe_sqhd(cqe->sqhd_sqid) != reap->sq_head))
		reap->sq_head = queue_take_sqhd(queue, reap->sq_head, nvme_cqe_sqhd(cqe->sqhd_sqid));
	slot = queue_take_cid(queue, reap, nvme_cqe_cid(cqe->cid_status));
	if (QUOLL_UNLIKELY(!slot)) {
		queue->nr_bad_cid++;
		reap->nr_bad++;
		return false;
	}
	*comp = (struct quoll_nvme_completion){.user_data = slot->user_data, .result = cqe->dw0};
	if (QUOLL_UNLIKELY(cqe->cid_status >> 17)) {
		comp->status = nvme_cqe_status(cqe->cid_status);
		comp->dnr = nvme_cqe_dnr(cqe->cid_status);
	}
	if (QUOLL_UNLIKELY(slot->parent != NVME_NO_PARENT))
		return queue_take_part(queue, slot, comp);
	return true;
}

/*
 * From now on prep finds no namespace and says why, and doorbells go nowhere, which costs the hot path no check. A
 * completion that was written before DMA was switched off may still be taken.
 */
static void queue_die(struct quoll_nvme_queue *queue, int why)
{
	queue->dead = why;
	queue->ns = &queue->nvme->no_ns;
	queue->sq_db = &queue->sink;
	queue->cq_db = &queue->sink;
	queue->abandon_cursor = 0;
}

/*
 * No progress in this poll, or many polls with progress: once a millisecond, see whether the controller lives, what is
 * late, and whether a reset goes on.
 */
static __attribute__((noinline)) unsigned int
queue_poll_slow(struct quoll_nvme_queue *queue, struct quoll_nvme_completion *comps, unsigned int n, unsigned int max)
{
	uint64_t now;
	int why;

	queue->busy_polls = NVME_BUSY_POLLS;
	if (!queue->dead) {
		now = quoll_ticks(&queue->clock);
		if (now - queue->last_check < queue->check_ticks && !queue->paused)
			return n;
		queue->last_check = now;
		why = nvme_ctrl_check(queue->nvme);
		if (why)
			queue_die(queue, why);
	}
	n = queue->dead ? nvme_queue_hand_back(queue, comps, n, max) : nvme_queue_look(queue, comps, n, max);
	nvme_split_unmap_done(queue);
	return n;
}

bool nvme_queue_completion_is_there(const struct quoll_nvme_queue *queue)
{
	const volatile struct nvme_cqe *next = queue->cq + queue->cq_head;

	return !((quoll_le32_to_cpu(next->cid_status) ^ queue->phase_bit) & NVME_CQE_PHASE);
}

static inline void queue_reap_end(struct quoll_nvme_queue *queue, const struct reap *reap, uint32_t nr_taken)
{
	uint32_t head = (uint32_t)(reap->next - queue->cq);

	queue->cq_head = (uint16_t)head;
	queue->phase_bit = reap->phase_bit;
	queue->nr_free = (uint16_t)reap->nr_free;
	queue->sq_head = (uint16_t)reap->sq_head;
	queue->nr_completed += nr_taken - reap->nr_bad;
	queue->nr_cq_doorbells++;
	if (QUOLL_LIKELY(queue->cq_db))
		quoll_mmio_write32(queue->cq_db, head);
	else
		nvme_queue_ring(queue, 1, head);
}

unsigned int quoll_nvme_poll(struct quoll_nvme_queue *queue, struct quoll_nvme_completion *comps, unsigned int max)
{
	/* At most one turn of the ring, so that a device that goes on writing rubbish cannot hold us here. */
	unsigned int most = max <= queue->last_idx ? max : queue->last_idx + 1u;
	struct reap reap = {
		.next = queue->cq + queue->cq_head,
		.phase_bit = queue->phase_bit,
		.nr_free = queue->nr_free,
		.sq_head = queue->sq_head,
	};
	struct quoll_nvme_completion *comp = comps;
	unsigned int taken;
	unsigned int n;

	for (taken = 0; taken < most; taken++) {
		struct nvme_cqe cqe = {.cid_status = quoll_le32_to_cpu(reap.next->cid_status)};

		if ((cqe.cid_status ^ reap.phase_bit) & NVME_CQE_PHASE)
			break;
		/* The rest of the entry is read after the phase; pairs with the controller's ordered write of both. */
		quoll_dma_rmb();
		cqe.sqhd_sqid = quoll_le32_to_cpu(reap.next->sqhd_sqid);
		cqe.dw0 = quoll_le32_to_cpu(reap.next->dw0);
		if (QUOLL_UNLIKELY(reap.next++ == queue->cq_last)) {
			reap.next = queue->cq;
			reap.phase_bit ^= NVME_CQE_PHASE;
		}
		if (QUOLL_LIKELY(queue_take_cqe(queue, &reap, &cqe, comp)))
			comp++;
	}
	n = (unsigned int)(comp - comps);
	if (QUOLL_LIKELY(taken))
		queue_reap_end(queue, &reap, taken);
	if (QUOLL_UNLIKELY(!nvme_split_is_idle(&queue->split)))
		n = nvme_split_continue(queue, comps, n, max);
	if (QUOLL_UNLIKELY(!n || !--queue->busy_polls))
		n = queue_poll_slow(queue, comps, n, max);
	return n;
}
