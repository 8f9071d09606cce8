/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * recover.c - a queue's side of time-outs, aborts and resets, in the queue's thread and off the hot path.
 *
 * Time-outs cost prep and poll nothing. Eight times within a time-out the slots are looked at, and what is in flight is
 * marked with the number of the watch, above the CID: a command that bears its mark eight watches later is late. Marks
 * go with the completion, or with the next prep. A thread that did not run does not make commands late, because a
 * watch counts once however long it comes after the one before.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nvme_internal.h"

static uint32_t cid_of(uint32_t expect)
{
	return expect & 0xffff;
}

static uint64_t slot_user_data(const struct quoll_nvme_queue *queue, const struct nvme_slot *slot)
{
	return slot->parent == NVME_NO_PARENT ? slot->user_data : queue->parents[slot->parent].user_data;
}

/* Entries that were prepared and not submitted: @fn is called with each one's slot. */
static void for_unsubmitted(struct quoll_nvme_queue *queue, void (*fn)(struct quoll_nvme_queue *, uint16_t slot))
{
	for (uint16_t at = queue->sq_rung; at != queue->sq_tail; at = at == queue->last_idx ? 0 : (uint16_t)(at + 1))
		fn(queue, quoll_le16_to_cpu(queue->sq[at].cmd.cid) & queue->slot_mask);
}

/* Aborts. */

/* Take a CID back that the controller's thread has not taken. Return: false: the device may be asked to abort it. */
static bool mail_retract(struct quoll_nvme_queue *queue, uint32_t cid)
{
	uint32_t mail = NVME_ABORT_WANTED | cid;

	return __atomic_compare_exchange_n(&queue->link.abort, &mail, 0, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE) ||
	       mail != (NVME_ABORT_TAKEN | cid);
}

/* The device has answered the Abort for a CID whose command ended before: the slot can be used again. */
static void quarantine_end(struct quoll_nvme_queue *queue)
{
	if (queue->quarantine < 0 || __atomic_load_n(&queue->link.abort, __ATOMIC_ACQUIRE))
		return;
	queue->free_slots[queue->nr_free++] = (uint16_t)queue->quarantine;
	queue->quarantine = -1;
}

/* One CID at a time goes to the controller's thread, and none while the last one's slot is in quarantine. */
static void mail_next(struct quoll_nvme_queue *queue)
{
	quarantine_end(queue);
	if (!queue->wants_abort || queue->quarantine >= 0 || __atomic_load_n(&queue->link.abort, __ATOMIC_ACQUIRE))
		return;
	for (unsigned int i = 0; i < queue->nr_slots; i++) {
		struct nvme_slot *slot = &queue->slots[i];

		if ((slot->expect & (NVME_SLOT_FREE | NVME_SLOT_ABORT | NVME_SLOT_MAILED)) != NVME_SLOT_ABORT)
			continue;
		slot->expect |= NVME_SLOT_MAILED;
		__atomic_store_n(&queue->link.abort, NVME_ABORT_WANTED | cid_of(slot->expect), __ATOMIC_RELEASE);
		return;
	}
	queue->wants_abort = false;
}

enum nvme_taken nvme_queue_take_flagged(struct quoll_nvme_queue *queue, uint32_t cid)
{
	struct nvme_slot *slot = &queue->slots[cid & queue->slot_mask];

	if ((slot->expect & (NVME_SLOT_FREE | 0xffff)) != cid)
		return NVME_TAKEN_NOTHING;
	if (!(slot->expect & NVME_SLOT_MAILED) || mail_retract(queue, cid))
		return NVME_TAKEN;
	slot->expect = cid | NVME_SLOT_FREE;
	queue->quarantine = (int32_t)(cid & queue->slot_mask);
	return NVME_TAKEN_NOT_REUSABLE;
}

static void slot_abort(struct quoll_nvme_queue *queue, struct nvme_slot *slot)
{
	slot->expect |= NVME_SLOT_ABORT;
	queue->wants_abort = true;
}

int quoll_nvme_abort(struct quoll_nvme_queue *queue, uint64_t user_data)
{
	bool found = false;

	if (queue->dead)
		return -ENODEV;
	for (unsigned int i = 0; i < queue->nr_slots; i++) {
		struct nvme_slot *slot = &queue->slots[i];

		if (slot->expect & NVME_SLOT_FREE || slot_user_data(queue, slot) != user_data)
			continue;
		found = true;
		slot_abort(queue, slot);
	}
	/* Unsent parts: the next poll does without them. */
	for (uint16_t i = queue->split.first, next; i != NVME_NO_PARENT; i = next) {
		next = queue->parents[i].next;
		if (queue->parents[i].user_data != user_data)
			continue;
		found = true;
		nvme_split_cancel(queue, i);
	}
	if (!queue->paused)
		mail_next(queue);
	return found ? 0 : -ENOENT;
}

/* Time-outs. */

static void slot_unwatch(struct quoll_nvme_queue *queue, uint16_t idx)
{
	queue->slots[idx].expect &= ~NVME_SLOT_WATCHED;
}

/* @again: it was late a time-out ago, and is still there. */
static void slot_late(struct quoll_nvme_queue *queue, struct nvme_slot *slot, bool again)
{
	struct quoll_nvme *nvme = queue->nvme;

	if (!again) {
		slot->expect |= NVME_SLOT_LATE | NVME_SLOT_UNTOLD;
		queue->untold = true;
		queue->nr_timeouts++;
		__atomic_add_fetch(&nvme->shared.nr_timeouts, 1, __ATOMIC_RELAXED);
	}
	switch (nvme->recovery) {
	case QUOLL_NVME_GIVE_UP:
		nvme_ctrl_kill(nvme, -EIO);
		return;
	case QUOLL_NVME_TELL:
		return;
	case QUOLL_NVME_ABORT:
		if (again)
			nvme_ctrl_want_reset(nvme);
		else
			slot_abort(queue, slot);
		return;
	case QUOLL_NVME_RESET:
		nvme_ctrl_want_reset(nvme);
	}
}

static void queue_watch(struct quoll_nvme_queue *queue)
{
	uint16_t nr = ++queue->nr_watches;

	/* The device does not know of these. */
	for_unsubmitted(queue, slot_unwatch);
	for (unsigned int i = 0; i < queue->nr_slots; i++) {
		struct nvme_slot *slot = &queue->slots[i];

		if (slot->expect & NVME_SLOT_FREE)
			continue;
		if (!(slot->expect & NVME_SLOT_WATCHED)) {
			slot->expect |= NVME_SLOT_WATCHED;
			slot->seen = nr;
		} else if ((uint16_t)(nr - slot->seen) >= NVME_WATCHES) {
			slot->seen = nr;
			slot_late(queue, slot, slot->expect & NVME_SLOT_LATE);
		}
	}
}

unsigned int quoll_nvme_timeouts(struct quoll_nvme_queue *queue, uint64_t *user_data, unsigned int max)
{
	unsigned int n = 0;

	if (!queue->untold)
		return 0;
	for (unsigned int i = 0; i < queue->nr_slots; i++) {
		struct nvme_slot *slot = &queue->slots[i];

		if ((slot->expect & (NVME_SLOT_FREE | NVME_SLOT_UNTOLD)) != NVME_SLOT_UNTOLD)
			continue;
		if (n == max)
			return n;
		slot->expect &= ~NVME_SLOT_UNTOLD;
		if (slot->parent != NVME_NO_PARENT) {
			if (queue->parents[slot->parent].told)
				continue;
			queue->parents[slot->parent].told = true;
		}
		user_data[n++] = slot_user_data(queue, slot);
	}
	queue->untold = false;
	return n;
}

/* Resets. */

static void save_one(struct quoll_nvme_queue *queue, const union nvme_sq_slot *sqe)
{
	uint16_t idx = quoll_le16_to_cpu(sqe->cmd.cid) & queue->slot_mask;

	queue->saved[idx] = *sqe;
	queue->nr_resubmits[idx] = 0;
}

void nvme_queue_save(struct quoll_nvme_queue *queue, uint32_t tail, uint32_t nr)
{
	uint32_t at = tail < nr ? tail + queue->entries - nr : tail - nr;

	for (; nr; nr--) {
		save_one(queue, &queue->sq[at]);
		at = at == queue->last_idx ? 0 : at + 1;
	}
}

/* They will be sent with what was, so they count as such. */
static void save_unsubmitted(struct quoll_nvme_queue *queue)
{
	uint32_t wrapped = queue->sq_tail < queue->sq_rung ? queue->entries : 0;
	uint32_t nr = queue->sq_tail + wrapped - queue->sq_rung;

	nvme_queue_save(queue, queue->sq_tail, nr);
	queue->sq_rung = queue->sq_tail;
	queue->nr_submitted += nr;
}

static void link_set(struct quoll_nvme_queue *queue, enum nvme_link_state state)
{
	/* Pairs with the acquires in reset.c: rings are as they are said to be. */
	__atomic_store_n(&queue->link.state, nvme_link_state(queue->reset_nr, state), __ATOMIC_RELEASE);
}

/*
 * What the queue's thread and the controller's last said. One look, however much hangs on it: between two the
 * controller's thread may make CLEAN into CREATED.
 */
static uint32_t link_get(const struct quoll_nvme_queue *queue)
{
	return __atomic_load_n(&queue->link.state, __ATOMIC_ACQUIRE);
}

static bool link_is(const struct quoll_nvme_queue *queue, uint32_t link, enum nvme_link_state state)
{
	return link == nvme_link_state(queue->reset_nr, state);
}

static bool device_is_stopped(const struct quoll_nvme_queue *queue)
{
	return __atomic_load_n(&queue->nvme->shared.stopped_nr, __ATOMIC_ACQUIRE) == queue->reset_nr;
}

/* As with a dead queue: prep finds no namespace and says why, doorbells go nowhere. */
static void queue_pause(struct quoll_nvme_queue *queue, uint32_t reset_nr)
{
	uint32_t mail = __atomic_load_n(&queue->link.abort, __ATOMIC_ACQUIRE);

	/* A reset ends it as well; what was taken is handed back by the controller's thread. */
	if (mail & NVME_ABORT_WANTED)
		(void)mail_retract(queue, cid_of(mail));
	if (queue->saved && !queue->paused)
		save_unsubmitted(queue);
	queue->paused = true;
	queue->reset_nr = reset_nr;
	queue->ns = &queue->nvme->no_ns;
	queue->sq_db = &queue->sink;
	queue->cq_db = &queue->sink;
	queue->abandon_cursor = 0;
	queue->draining = false;
	link_set(queue, NVME_LINK_PAUSED);
}

/* Sent again, all but what is to blame for the reset, or has been there too often. */
static bool slot_is_kept(const struct quoll_nvme_queue *queue, unsigned int idx)
{
	return queue->saved && !queue->dead && !queue->stale &&
	       !(queue->slots[idx].expect & (NVME_SLOT_LATE | NVME_SLOT_ABORT)) &&
	       queue->nr_resubmits[idx] < NVME_MAX_RESUBMITS;
}

static bool unsent_are_kept(const struct quoll_nvme_queue *queue)
{
	return queue->saved && !queue->dead && !queue->stale;
}

static int why_back(const struct quoll_nvme_queue *queue, uint32_t expect)
{
	if (queue->dead)
		return queue->dead;
	if (queue->stale)
		return -ESTALE;
	return expect & NVME_SLOT_LATE ? -ETIMEDOUT : -ECANCELED;
}

unsigned int nvme_queue_hand_back(struct quoll_nvme_queue *queue, struct quoll_nvme_completion *comps, unsigned int n,
				  unsigned int max)
{
	for (; queue->abandon_cursor < queue->nr_slots && n < max; queue->abandon_cursor++) {
		struct nvme_slot *slot = &queue->slots[queue->abandon_cursor];
		struct quoll_nvme_completion part = {.user_data = slot->user_data};
		uint16_t parent = slot->parent;

		if (slot->expect & NVME_SLOT_FREE || slot_is_kept(queue, queue->abandon_cursor))
			continue;
		part.error = why_back(queue, slot->expect);
		slot->expect = cid_of(slot->expect) | NVME_SLOT_FREE;
		slot->parent = NVME_NO_PARENT;
		if (!queue->dead)
			queue->free_slots[queue->nr_free++] = (uint16_t)queue->abandon_cursor;
		if (parent == NVME_NO_PARENT)
			comps[n++] = part;
		else if (nvme_split_part_done(queue, parent, &part, &comps[n]))
			n++;
	}
	while (n < max && queue->abandon_cursor == queue->nr_slots && !unsent_are_kept(queue) &&
	       nvme_split_abandon(queue, why_back(queue, 0), &comps[n]))
		n++;
	return n;
}

bool nvme_queue_handed_back(const struct quoll_nvme_queue *queue)
{
	return queue->abandon_cursor >= queue->nr_slots &&
	       (queue->split.first == NVME_NO_PARENT || unsent_are_kept(queue));
}

/* As at creation: the device will begin at entry 0, with phase 1. */
static void rings_clear(struct quoll_nvme_queue *queue)
{
	quarantine_end(queue);
	memset(queue->cq, 0, queue->cq_bytes);
	queue->sq_tail = queue->sq_rung = queue->sq_head = 0;
	queue->cq_head = 0;
	queue->phase_bit = NVME_CQE_PHASE;
	nvme_queue_bells_clear(queue);
	link_set(queue, NVME_LINK_CLEAN);
}

/*
 * With a new CID, so that an answer to the first attempt, should one still come, is none to this. Lists of pages are
 * where they were, because they belong to the slot.
 */
static void slot_resubmit(struct quoll_nvme_queue *queue, unsigned int idx)
{
	struct nvme_slot *slot = &queue->slots[idx];
	union nvme_sq_slot *sqe = &queue->sq[queue->sq_tail];

	slot->expect = (uint16_t)(slot->expect + queue->cid_step);
	*sqe = queue->saved[idx];
	sqe->cmd.cid = quoll_cpu_to_le16((uint16_t)slot->expect);
	queue->nr_resubmits[idx]++;
	queue->nr_resubmitted++;
	nvme_sq_advance(queue, queue->sq_tail);
}

static void queue_ring(struct quoll_nvme_queue *queue)
{
	queue->sq_rung = queue->sq_tail;
	queue->nr_sq_doorbells++;
	/* As in quoll_nvme_submit(). */
	quoll_mmio_wmb();
	nvme_queue_ring(queue, 0, queue->sq_tail);
}

static void queue_resume(struct quoll_nvme_queue *queue)
{
	struct quoll_nvme *nvme = queue->nvme;

	queue->set = __atomic_load_n(&nvme->set, __ATOMIC_ACQUIRE);
	queue->ns = queue->set->nr ? &queue->set->ns[0] : &nvme->no_ns;
	nvme_queue_bells_open(queue);
	queue->paused = false;
	queue->resumed = true;
	queue->last_watch = quoll_ticks(&queue->clock);
	link_set(queue, NVME_LINK_RUNNING);
	for (unsigned int i = 0; queue->saved && i < queue->nr_slots; i++)
		if (!(queue->slots[i].expect & NVME_SLOT_FREE))
			slot_resubmit(queue, i);
	if (queue->sq_tail != queue->sq_rung)
		queue_ring(queue);
}

/* The queue is there again. If namespaces have changed, what was kept may not fit them. */
static unsigned int take_up_again(struct quoll_nvme_queue *queue, struct quoll_nvme_completion *comps, unsigned int n,
				  unsigned int max)
{
	if (!queue->stale && queue->set != __atomic_load_n(&queue->nvme->set, __ATOMIC_ACQUIRE)) {
		queue->stale = true;
		queue->abandon_cursor = 0;
	}
	if (queue->stale) {
		n = nvme_queue_hand_back(queue, comps, n, max);
		if (!nvme_queue_handed_back(queue))
			return n;
		queue->stale = false;
	}
	queue_resume(queue);
	return n;
}

/*
 * What was answered in time is an answer, and the next poll takes it. A ring has room for no more than one turn of
 * those; a device that still writes has not stopped, though it said so.
 */
static bool has_answers(struct quoll_nvme_queue *queue)
{
	uint64_t nr_taken = queue->nr_completed + queue->nr_bad_cid + queue->nr_bad_sqid;

	if (!queue->draining) {
		queue->draining = true;
		queue->drain_until = nr_taken + queue->entries;
	}
	return nr_taken < queue->drain_until && nvme_queue_completion_is_there(queue);
}

static unsigned int queue_go_on(struct quoll_nvme_queue *queue, struct quoll_nvme_completion *comps, unsigned int n,
				unsigned int max)
{
	uint32_t link = link_get(queue);

	if (link_is(queue, link, NVME_LINK_CREATED))
		return take_up_again(queue, comps, n, max);
	if (link_is(queue, link, NVME_LINK_CLEAN) || !device_is_stopped(queue))
		return n;
	if (has_answers(queue))
		return n;
	n = nvme_queue_hand_back(queue, comps, n, max);
	if (nvme_queue_handed_back(queue))
		rings_clear(queue);
	return n;
}

bool nvme_queue_has_news(const struct quoll_nvme_queue *queue)
{
	uint32_t link = link_get(queue);

	if (__atomic_load_n(&queue->nvme->shared.reset_nr, __ATOMIC_ACQUIRE) != queue->reset_nr)
		return true;
	return queue->paused && (link_is(queue, link, NVME_LINK_CREATED) ||
				 (!link_is(queue, link, NVME_LINK_CLEAN) && device_is_stopped(queue)));
}

unsigned int nvme_queue_look(struct quoll_nvme_queue *queue, struct quoll_nvme_completion *comps, unsigned int n,
			     unsigned int max)
{
	uint32_t reset_nr = __atomic_load_n(&queue->nvme->shared.reset_nr, __ATOMIC_ACQUIRE);
	uint64_t now = quoll_ticks(&queue->clock);

	if (reset_nr != queue->reset_nr)
		queue_pause(queue, reset_nr);
	if (queue->paused) {
		/* Nobody but the controller's thread can end this. */
		if (nvme_ctrl_unattended(queue->nvme))
			nvme_ctrl_kill(queue->nvme, -EIO);
		return queue_go_on(queue, comps, n, max);
	}
	if (queue->watch_ticks && now - queue->last_watch >= queue->watch_ticks) {
		queue->last_watch = now;
		queue_watch(queue);
	}
	mail_next(queue);
	return n;
}

int nvme_queue_recover_init(struct quoll_nvme_queue *queue, enum quoll_nvme_on_reset on_reset)
{
	if (on_reset == QUOLL_NVME_RESET_FAIL)
		return 0;
	queue->saved = aligned_alloc(QUOLL_CACHE_LINE_BYTES, queue->nr_slots * sizeof(*queue->saved));
	queue->nr_resubmits = calloc(queue->nr_slots, sizeof(*queue->nr_resubmits));
	if (!queue->saved || !queue->nr_resubmits)
		return -ENOMEM;
	return 0;
}

void nvme_queue_recover_fini(struct quoll_nvme_queue *queue)
{
	free(queue->saved);
	free(queue->nr_resubmits);
}
