/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * split.c - requests larger than one command, or across a boundary, or with memory that goes through a stream. A
 * request is a parent object that remembers what is still to be sent; its parts are ordinary commands, sent as slots
 * come free, in prep and then in poll.
 *
 * Parents with something left to send are in a list, served first come, first served. A few slots are left to small
 * requests; but the first of the list always gets one if it has nothing in flight, so it always goes on.
 */
#include <errno.h>

#include "nvme_internal.h"

#define MAP_AT_ONCE 64u

static void list_append(struct quoll_nvme_queue *queue, uint16_t idx)
{
	struct nvme_parent *parent = &queue->parents[idx];

	parent->next = NVME_NO_PARENT;
	parent->prev = queue->split.first == NVME_NO_PARENT ? NVME_NO_PARENT : queue->split_last;
	if (parent->prev == NVME_NO_PARENT)
		queue->split.first = idx;
	else
		queue->parents[parent->prev].next = idx;
	queue->split_last = idx;
}

static void list_remove(struct quoll_nvme_queue *queue, uint16_t idx)
{
	struct nvme_parent *parent = &queue->parents[idx];

	if (parent->prev == NVME_NO_PARENT)
		queue->split.first = parent->next;
	else
		queue->parents[parent->prev].next = parent->next;
	if (parent->next == NVME_NO_PARENT)
		queue->split_last = parent->prev;
	else
		queue->parents[parent->next].prev = parent->prev;
}

/* To the front of the list, where the next poll finds it: the first of it may wait long. */
void nvme_split_cancel(struct quoll_nvme_queue *queue, uint16_t idx)
{
	struct nvme_parent *parent = &queue->parents[idx];

	parent->error = -ECANCELED;
	list_remove(queue, idx);
	if (queue->split.first == NVME_NO_PARENT) {
		list_append(queue, idx);
		return;
	}
	parent->prev = NVME_NO_PARENT;
	parent->next = queue->split.first;
	queue->parents[parent->next].prev = idx;
	queue->split.first = idx;
}

/* Put the next part into the submission queue. Return: true if something remains. */
static bool send_part(struct quoll_nvme_queue *queue, uint16_t idx)
{
	struct nvme_parent *parent = &queue->parents[idx];
	struct nvme_io io = {
		.ns = parent->ns,
		.iova = parent->iova,
		.lba = parent->lba,
		.nr_lbas = nvme_split_first_lbas(parent->ns, parent->lba, parent->remaining),
		.nsid = parent->ns->nsid,
		.opcode = parent->opcode,
	};
	struct nvme_sqe_rw *sqe;
	uint16_t cid;

	io.bytes = io.nr_lbas << io.ns->lba_shift;
	sqe = nvme_queue_push(queue, &io, &cid);
	sqe->prp2 = prp_second(io.iova, io.bytes, nvme_slot_list(queue, cid));
	queue->slots[cid & queue->slot_mask].parent = idx;
	parent->in_flight++;
	parent->remaining -= io.nr_lbas;
	parent->lba += io.nr_lbas;
	parent->iova += io.bytes;
	return parent->remaining;
}

static void parent_init(struct nvme_parent *parent, const struct nvme_io *io)
{
	*parent = (struct nvme_parent){
		.user_data = io->user_data,
		.iova = io->iova,
		.lba = io->lba,
		.ns = io->ns,
		.remaining = io->nr_lbas,
		.opcode = io->opcode,
	};
}

int nvme_split_start(struct quoll_nvme_queue *queue, const struct nvme_io *io)
{
	struct nvme_parent *parent;
	uint16_t idx;

	if (!queue->nr_free_parents)
		return -EAGAIN;
	idx = queue->free_parents[--queue->nr_free_parents];
	parent = &queue->parents[idx];
	parent_init(parent, io);
	/* The first part at once, there is a slot; more only if nobody waits before us and the reserve stays. */
	while (send_part(queue, idx))
		if (queue->split.first != NVME_NO_PARENT || queue->nr_free <= queue->split_reserve)
			break;
	if (parent->remaining)
		list_append(queue, idx);
	return 0;
}

static unsigned int seg_dir(const struct nvme_io *io)
{
	return io->opcode == nvme_cmd_read ? QUOLL_SEG_WRITE : QUOLL_SEG_READ;
}

/* It waits in the list for submit, which has the memory of all that wait mapped; each has a slot then. */
static int start_unmapped(struct quoll_nvme_queue *queue, const struct nvme_io *io, const void *va, uint64_t bytes)
{
	uint16_t idx;

	if (queue->nr_unmapped >= queue->nr_free)
		return -EAGAIN;
	idx = queue->free_parents[--queue->nr_free_parents];
	parent_init(&queue->parents[idx], io);
	queue->parents[idx].unmapped = true;
	queue->nr_unmapped++;
	queue->segs[idx] =
		(struct quoll_stream_seg){.va = (void *)(uintptr_t)va, .valid_bytes = bytes, .dir = seg_dir(io)};
	list_append(queue, idx);
	return 0;
}

int nvme_split_start_streamed(struct quoll_nvme_queue *queue, struct nvme_io *io, const void *va, uint64_t bytes)
{
	struct quoll_stream_seg *seg;
	int rc;

	if (!queue->nr_free_parents)
		return -EAGAIN;
	if (queue->maps_late)
		return start_unmapped(queue, io, va, bytes);
	/* Of the parent that comes next. */
	seg = &queue->segs[queue->free_parents[queue->nr_free_parents - 1]];
	*seg = (struct quoll_stream_seg){
		.va = (void *)(uintptr_t)va,
		.bytes = bytes,
		.dir = seg_dir(io),
	};
	rc = quoll_stream_map(queue->stream, seg, 1);
	if (rc != 1) {
		seg->bytes = 0;
		return rc;
	}
	io->iova = seg->iova;
	return nvme_split_start(queue, io);
}

/* Before its completion is handed out, with others of the same poll: unmapping flushes the IOMMU. */
static void unmap_later(struct quoll_nvme_queue *queue, struct quoll_stream_seg *seg, bool valid)
{
	if (!seg->bytes)
		return;
	if (!valid)
		seg->valid_bytes = 0;
	queue->done_segs[queue->split.nr_done++] = *seg;
	seg->bytes = 0;
}

void nvme_split_unmap_done(struct quoll_nvme_queue *queue)
{
	if (!queue->split.nr_done)
		return;
	quoll_stream_unmap(queue->stream, queue->done_segs, queue->split.nr_done);
	queue->split.nr_done = 0;
}

void nvme_split_unmap_all(struct quoll_nvme_queue *queue)
{
	for (unsigned int i = 0; queue->segs && i < queue->nr_slots; i++)
		unmap_later(queue, &queue->segs[i], false);
	nvme_split_unmap_done(queue);
}

static void is_mapped(struct quoll_nvme_queue *queue, struct nvme_parent *parent)
{
	parent->unmapped = false;
	queue->nr_unmapped--;
}

static void finish(struct quoll_nvme_queue *queue, uint16_t idx, struct quoll_nvme_completion *comp)
{
	struct nvme_parent *parent = &queue->parents[idx];

	if (QUOLL_UNLIKELY(parent->unmapped))
		is_mapped(queue, parent); /* nor will be */

	*comp = (struct quoll_nvme_completion){
		.user_data = parent->user_data,
		.error = parent->error,
		.status = parent->status,
		.dnr = parent->dnr,
		.result = parent->result,
	};
	if (queue->segs)
		unmap_later(queue, &queue->segs[idx], !parent->error && !parent->status);
	queue->free_parents[queue->nr_free_parents++] = idx;
}

/*
 * Formatted meanwhile, so that what prep checked, block size above all, is no longer so; or aborted: nothing more is
 * sent. Return: false if the request is to be handed back and there is no room for that.
 */
static bool stop_stale(struct quoll_nvme_queue *queue, uint16_t idx, int refuse, struct quoll_nvme_completion *comp)
{
	struct nvme_parent *parent = &queue->parents[idx];

	if (!parent->in_flight && !comp)
		return false;
	list_remove(queue, idx);
	parent->remaining = 0;
	parent->error = refuse;
	if (!parent->in_flight)
		finish(queue, idx, comp);
	return true;
}

/*
 * From @idx on, the memory of those in the list that wait for it, as far as there are slots, by one call of the
 * kernel's. What is refused is its request's error. Return: false: the stream has no room for the first of them now.
 */
static bool map_waiting(struct quoll_nvme_queue *queue, uint16_t idx)
{
	struct quoll_stream_seg segs[MAP_AT_ONCE];
	uint16_t of[MAP_AT_ONCE];
	unsigned int n = 0;
	int rc;

	for (; idx != NVME_NO_PARENT && n < MAP_AT_ONCE && n < queue->nr_free; idx = queue->parents[idx].next) {
		if (!queue->parents[idx].unmapped || queue->parents[idx].error)
			continue;
		of[n] = idx;
		segs[n] = queue->segs[idx];
		segs[n].bytes = segs[n].valid_bytes;
		n++;
	}
	rc = quoll_stream_map(queue->stream, segs, n);
	for (int i = 0; i < rc; i++) {
		is_mapped(queue, &queue->parents[of[i]]);
		queue->parents[of[i]].iova = segs[i].iova;
		queue->segs[of[i]] = segs[i];
	}
	if (rc < 0 && rc != -EAGAIN)
		queue->parents[of[0]].error = rc;
	return rc != -EAGAIN;
}

/*
 * If parts were sent, the doorbell also shows the device what the user has prepared and not yet submitted: entries are
 * in one order, and earlier is not wrong.
 */
unsigned int nvme_split_continue(struct quoll_nvme_queue *queue, struct quoll_nvme_completion *comps, unsigned int n,
				 unsigned int max)
{
	bool sent = false;
	uint16_t idx;

	if (queue->nr_unmapped)
		nvme_split_unmap_done(queue); /* which makes room */
	while (!queue->dead && !queue->paused && (idx = queue->split.first) != NVME_NO_PARENT) {
		struct nvme_parent *parent = &queue->parents[idx];
		/* An error that it has already: it was aborted. */
		int refuse = parent->error ? parent->error : __atomic_load_n(&parent->ns->refuse, __ATOMIC_RELAXED);

		if (QUOLL_UNLIKELY(refuse)) {
			bool done = !parent->in_flight;

			if (!stop_stale(queue, idx, refuse, n < max ? &comps[n] : NULL))
				break;
			n += done;
			continue;
		}
		if (!queue->nr_free || (queue->nr_free <= queue->split_reserve && parent->in_flight))
			break;
		if (parent->unmapped) {
			if (!map_waiting(queue, idx))
				break;
			continue;
		}
		if (!send_part(queue, idx))
			list_remove(queue, idx);
		sent = true;
	}
	/* Which may come here again, and finds nothing more to be sent. */
	if (sent)
		quoll_nvme_submit(queue);
	nvme_split_unmap_done(queue);
	return n;
}

bool nvme_split_part_done(struct quoll_nvme_queue *queue, uint16_t idx, const struct quoll_nvme_completion *part,
			  struct quoll_nvme_completion *comp)
{
	struct nvme_parent *parent = &queue->parents[idx];

	parent->in_flight--;
	if (!parent->error)
		parent->error = part->error;
	if (part->status && !parent->status) {
		parent->status = part->status;
		parent->dnr = part->dnr;
		parent->result = part->result;
	}
	/* Formatted meanwhile: what prep checked, block size above all, is no longer so. */
	if (parent->remaining && !parent->error)
		parent->error = __atomic_load_n(&parent->ns->refuse, __ATOMIC_RELAXED);
	/* After a failure nothing more is sent; what is in flight is waited for, because the buffer is still in use. */
	if (parent->remaining && (parent->status || parent->error)) {
		parent->remaining = 0;
		list_remove(queue, idx);
	}
	if (parent->in_flight || parent->remaining)
		return false;
	finish(queue, idx, comp);
	return true;
}

bool nvme_split_abandon(struct quoll_nvme_queue *queue, int error, struct quoll_nvme_completion *comp)
{
	uint16_t idx = queue->split.first;

	if (idx == NVME_NO_PARENT)
		return false;
	list_remove(queue, idx);
	queue->parents[idx].error = error;
	finish(queue, idx, comp);
	return true;
}
