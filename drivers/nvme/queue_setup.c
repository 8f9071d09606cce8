/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * queue_setup.c - I/O queue pairs come and go: memory, Create and Delete commands, counters. Base Specification 2.0,
 * 5.4 (Create I/O Completion Queue) to 5.7. The completion queue is there before the submission queue that uses it, and
 * goes after it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nvme_internal.h"

#define QUEUE_DEFAULT_ENTRIES 256u
#define QUEUE_SHADOW_ENTRIES 256u
#define SPLIT_RESERVE_MAX 8u
#define CREATE_ATTEMPTS 3u
/* So that one bit of a CID is left for its generation. */
#define MAX_IN_FLIGHT 32767u

static int pick_entries(struct quoll_nvme *nvme, const struct quoll_nvme_queue_opts *opts, unsigned int *entries,
			struct quoll_error *err)
{
	unsigned int most = nvme->max_queue_entries;
	unsigned int n = opts ? opts->entries : 0;

	if (!n)
		n = QUEUE_DEFAULT_ENTRIES < most ? QUEUE_DEFAULT_ENTRIES : most;
	if (n < 2 || n > most) {
		quoll_error_set(err, EINVAL, "queue", nvme->name, "%u entries asked for, 2 to %u are possible", n,
				most);
		return -EINVAL;
	}
	/* Even an awake controller is rung once a turn of each ring, which is to be seldom. */
	if (nvme->doorbells.on && n < QUEUE_SHADOW_ENTRIES)
		n = QUEUE_SHADOW_ENTRIES < most ? QUEUE_SHADOW_ENTRIES : most;
	*entries = quoll_round_up_pow2(n) <= most ? quoll_round_up_pow2(n) : n;
	return 0;
}

/* Ordinary memory: slots, the stack of free ones, parents. */
static int alloc_bookkeeping(struct quoll_nvme_queue *queue)
{
	uint32_t slots_size = quoll_round_up_pow2(queue->nr_slots + 1);

	/* A power of two above nr_slots: a CID masked with it is always inside, and the last slot is never used. */
	queue->slot_mask = (uint16_t)(slots_size - 1);
	queue->cid_step = (uint16_t)slots_size;
	queue->slots = calloc(slots_size, sizeof(*queue->slots));
	queue->free_slots = calloc(queue->nr_slots, sizeof(*queue->free_slots));
	queue->free_parents = calloc(queue->nr_slots, sizeof(*queue->free_parents));
	queue->parents = aligned_alloc(QUOLL_CACHE_LINE_BYTES, queue->nr_slots * sizeof(*queue->parents));
	if (queue->stream)
		queue->segs = calloc(2 * queue->nr_slots, sizeof(*queue->segs));
	queue->done_segs = queue->segs ? queue->segs + queue->nr_slots : NULL;
	if (!queue->slots || !queue->free_slots || !queue->free_parents || !queue->parents ||
	    (queue->stream && !queue->segs))
		return -ENOMEM;
	for (uint32_t i = 0; i < slots_size; i++)
		queue->slots[i] = (struct nvme_slot){.expect = i | NVME_SLOT_FREE, .parent = NVME_NO_PARENT};
	for (uint32_t i = 0; i < queue->nr_slots; i++) {
		queue->free_slots[i] = (uint16_t)(queue->nr_slots - 1 - i);
		queue->free_parents[i] = (uint16_t)(queue->nr_slots - 1 - i);
	}
	queue->nr_free = (uint16_t)queue->nr_slots;
	queue->quarantine = -1;
	queue->nr_free_parents = (uint16_t)queue->nr_slots;
	return 0;
}

static int alloc_rings(struct quoll_nvme_queue *queue, struct quoll_error *err)
{
	struct quoll_nvme *nvme = queue->nvme;
	void *va;
	int rc;

	rc = quoll_arena_alloc(nvme->arena_read, queue->sq_bytes, PRP_PAGE_BYTES, &va, err);
	if (rc)
		return rc;
	queue->sq = va;
	queue->sq_iova = quoll_heap_iova(nvme->heap, va, queue->sq_bytes);
	/* Aligned to a page, and each list a power of two up to one, so none crosses a page. */
	rc = quoll_arena_alloc(nvme->arena_read, queue->lists_bytes, PRP_PAGE_BYTES, &va, err);
	if (rc)
		return rc;
	queue->lists.entries = va;
	queue->lists.iova = quoll_heap_iova(nvme->heap, va, queue->lists_bytes);
	rc = quoll_arena_alloc(nvme->arena_rw, queue->cq_bytes, PRP_PAGE_BYTES, &va, err);
	if (rc)
		return rc;
	queue->cq = va;
	queue->cq_last = queue->cq + queue->last_idx;
	queue->cq_iova = quoll_heap_iova(nvme->heap, va, queue->cq_bytes);
	return 0;
}

static void queue_free(struct quoll_nvme_queue *queue)
{
	struct quoll_nvme *nvme = queue->nvme;

	/* What the controller may still reach stays allocated: until the arenas go, or with the heap. */
	if ((!queue->sq_created && !queue->cq_created) || nvme->dma_off) {
		nvme_split_unmap_all(queue);
		if (queue->sq)
			(void)quoll_arena_free(nvme->arena_read, queue->sq, queue->sq_bytes);
		if (queue->lists.entries)
			(void)quoll_arena_free(nvme->arena_read, queue->lists.entries, queue->lists_bytes);
		if (queue->cq)
			(void)quoll_arena_free(nvme->arena_rw, queue->cq, queue->cq_bytes);
	}
	nvme_queue_sleep_fini(queue);
	nvme_queue_recover_fini(queue);
	free(queue->slots);
	free(queue->free_slots);
	free(queue->parents);
	free(queue->free_parents);
	free(queue->segs);
	free(queue);
}

static int delete_one(struct quoll_nvme *nvme, uint8_t opcode, uint16_t qid)
{
	struct nvme_sqe cmd = {.opcode = opcode, .cdw10 = quoll_cpu_to_le32(qid)};

	return nvme_admin_exec(nvme, &cmd, NULL);
}

/* A reset since their creation, which is over, has made the device forget them. */
static bool rings_are_forgotten(struct quoll_nvme_queue *queue)
{
	return !nvme_reset_finish(queue->nvme) && queue->rings_nr != queue->nvme->shared.reset_nr;
}

static int delete_ring(struct quoll_nvme_queue *queue, uint8_t opcode, bool *created)
{
	int rc = *created && !rings_are_forgotten(queue) ? delete_one(queue->nvme, opcode, queue->qid) : 0;

	if (rc < 0 && rings_are_forgotten(queue))
		rc = 0;
	if (!rc)
		*created = false;
	return rc;
}

/* On any failure the controller is given up: it must not be left with a queue in memory that we take back. */
static void delete_rings(struct quoll_nvme_queue *queue)
{
	int rc = delete_ring(queue, nvme_admin_delete_sq, &queue->sq_created);

	if (!rc)
		rc = delete_ring(queue, nvme_admin_delete_cq, &queue->cq_created);
	if (rc > 0)
		nvme_ctrl_kill(queue->nvme, -EIO);
}

struct nvme_sqe nvme_queue_create_cmd(const struct quoll_nvme_queue *queue, bool is_sq)
{
	uint32_t cdw11 = NVME_QUEUE_PHYS_CONTIG; /* no interrupt: polled */

	if (is_sq)
		cdw11 |= (uint32_t)queue->qid << 16;
	else if (queue->vector)
		cdw11 |= NVME_CQ_INTERRUPTS | queue->vector << NVME_CQ_VECTOR_SHIFT;
	return (struct nvme_sqe){
		.opcode = is_sq ? nvme_admin_create_sq : nvme_admin_create_cq,
		.prp1 = quoll_cpu_to_le64(is_sq ? queue->sq_iova : queue->cq_iova),
		.cdw10 = quoll_cpu_to_le32(nvme_queue_cdw10(queue->qid, queue->entries)),
		.cdw11 = quoll_cpu_to_le32(cdw11),
	};
}

static int create_rings(struct quoll_nvme_queue *queue, struct quoll_error *err)
{
	struct quoll_nvme *nvme = queue->nvme;
	struct nvme_sqe cmd = nvme_queue_create_cmd(queue, false);
	int rc;

	queue->rings_nr = nvme->shared.reset_nr;
	rc = nvme_admin_exec(nvme, &cmd, NULL);
	if (rc)
		return nvme_admin_error(nvme, rc, "Create I/O Completion Queue", err);
	queue->cq_created = true;
	cmd = nvme_queue_create_cmd(queue, true);
	rc = nvme_admin_exec(nvme, &cmd, NULL);
	if (rc)
		return nvme_admin_error(nvme, rc, "Create I/O Submission Queue", err);
	queue->sq_created = true;
	return 0;
}

static struct quoll_nvme_queue *queue_new(struct quoll_nvme *nvme, uint16_t qid, unsigned int entries)
{
	struct quoll_nvme_queue *queue = aligned_alloc(QUOLL_CACHE_LINE_BYTES, sizeof(*queue));

	if (!queue)
		return NULL;
	memset(queue, 0, sizeof(*queue));
	queue->nvme = nvme;
	queue->heap = nvme->heap;
	queue->set = nvme->set;
	queue->ns = nvme->set->nr ? &nvme->set->ns[0] : &nvme->no_ns;
	queue->qid = qid;
	queue->entries = entries;
	queue->nr_slots = entries - 1 < MAX_IN_FLIGHT ? entries - 1 : MAX_IN_FLIGHT;
	queue->last_idx = (uint16_t)(entries - 1);
	queue->phase_bit = NVME_CQE_PHASE;
	queue->split.first = NVME_NO_PARENT;
	queue->split_last = NVME_NO_PARENT;
	queue->split_reserve =
		queue->nr_slots / 4 < SPLIT_RESERVE_MAX ? (uint16_t)(queue->nr_slots / 4) : SPLIT_RESERVE_MAX;
	queue->list_shift = (uint16_t)__builtin_ctz(nvme->prp_list_bytes);
	queue->sq_bytes = entries * sizeof(*queue->sq);
	queue->cq_bytes = entries * sizeof(*queue->cq);
	queue->lists_bytes = (uint64_t)queue->nr_slots << queue->list_shift;
	queue->busy_polls = NVME_BUSY_POLLS;
	queue->clock = nvme->clock;
	queue->check_ticks = nvme->check_ticks;
	queue->last_check = quoll_ticks(&nvme->clock);
	queue->irq_fd = queue->wake_fd = queue->watch_fd = queue->sleep_fd = -1;
	queue->watch_ticks = nvme->io_timeout_ticks / NVME_WATCHES;
	queue->last_watch = queue->last_check;
	queue->reset_nr = nvme->shared.reset_nr;
	queue->link.state = nvme_link_state(queue->reset_nr, NVME_LINK_RUNNING);
	return queue;
}

/* On failure nothing is left of it. */
static int queue_make(struct quoll_nvme_queue *queue, const struct quoll_nvme_queue_opts *opts, struct quoll_error *err)
{
	int rc;

	queue->stream = opts ? opts->stream : NULL;
	queue->maps_late = queue->stream && quoll_stream_ways(queue->stream) & (QUOLL_WAY_BIT(QUOLL_WAY_REGISTERED) |
										QUOLL_WAY_BIT(QUOLL_WAY_WINDOW));
	rc = alloc_bookkeeping(queue);
	if (!rc)
		rc = nvme_queue_recover_init(queue, opts ? opts->on_reset : QUOLL_NVME_RESET_FAIL);
	if (rc)
		quoll_error_set(err, -rc, "queue", queue->nvme->name, "out of memory for %u entries", queue->entries);
	else
		rc = alloc_rings(queue, err);
	if (!rc && opts && opts->interrupts)
		rc = nvme_queue_sleep_init(queue, err);
	nvme_queue_bells_open(queue);
	nvme_queue_bells_clear(queue);
	if (!rc)
		rc = create_rings(queue, err);
	if (rc) {
		delete_rings(queue);
		queue_free(queue);
	}
	return rc;
}

int quoll_nvme_queue_create(struct quoll_nvme *nvme, const struct quoll_nvme_queue_opts *opts,
			    struct quoll_nvme_queue **queue_out, struct quoll_error *err)
{
	struct quoll_nvme_queue *queue;
	unsigned int attempts = 0;
	unsigned int entries;
	unsigned int i = 0;
	int rc = pick_entries(nvme, opts, &entries, err);

	if (rc)
		return rc;
	if (opts && (unsigned int)opts->on_reset > QUOLL_NVME_RESET_RESUBMIT)
		return quoll_error_set(err, EINVAL, "queue", nvme->name, "on_reset is %u, of 0 and 1",
				       (unsigned int)opts->on_reset);
	if (nvme_reset_finish(nvme))
		return quoll_error_set(err, ENODEV, "queue", nvme->name, "the controller is gone or was given up");
	while (i < nvme->max_io_queues && nvme->queues[i])
		i++;
	if (i == nvme->max_io_queues) {
		quoll_error_set(err, ENOSPC, "queue", nvme->name, "all %u I/O queues of the controller are in use", i);
		quoll_error_hint(err, "open the controller with a larger max_io_queues");
		return -ENOSPC;
	}
	/*
	 * A reset that comes between cuts it off. That is soon over, if it does not come again and again; but over it
	 * must be, for a queue begins with the namespaces and the doorbells that there are then.
	 */
	do {
		queue = queue_new(nvme, (uint16_t)(i + 1), entries);
		if (!queue)
			return quoll_error_set(err, ENOMEM, "queue", nvme->name, "out of memory");
		rc = queue_make(queue, opts, err);
		if (rc == -ECANCELED)
			(void)nvme_reset_finish(nvme); /* the next attempt says so if it is dead */
	} while (rc == -ECANCELED && ++attempts < CREATE_ATTEMPTS);
	if (rc)
		return rc;
	nvme->queues[i] = queue;
	*queue_out = queue;
	return 0;
}

void quoll_nvme_queue_destroy(struct quoll_nvme_queue *queue)
{
	if (!queue)
		return;
	/* A reset that goes on might be creating it. */
	(void)nvme_reset_finish(queue->nvme);
	nvme_abort_forget(queue->nvme, queue);
	queue->nvme->queues[queue->qid - 1] = NULL;
	delete_rings(queue);
	queue_free(queue);
}

void quoll_nvme_queue_stats(const struct quoll_nvme_queue *queue, struct quoll_nvme_queue_stats *stats)
{
	*stats = (struct quoll_nvme_queue_stats){
		.submitted = queue->nr_submitted,
		.completed = queue->nr_completed,
		.sq_doorbells = queue->nr_sq_doorbells - queue->bells[0].nr_spared,
		.cq_doorbells = queue->nr_cq_doorbells - queue->bells[1].nr_spared,
		.spared_doorbells = queue->bells[0].nr_spared + queue->bells[1].nr_spared,
		.bad_cid = queue->nr_bad_cid,
		.bad_sqid = queue->nr_bad_sqid,
		.bad_sqhd = queue->nr_bad_sqhd,
		.timeouts = queue->nr_timeouts,
		.resubmitted = queue->nr_resubmitted,
		.in_flight = queue->dead ? 0
					 : queue->nr_slots - queue->nr_free - (queue->quarantine >= 0) -
						   (unsigned int)((queue->sq_tail + queue->entries - queue->sq_rung) %
								  queue->entries),
	};
}
