/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * transfer.c - slots: started, waited for, given up on after a while.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "transfer.h"

#define STATUS_ABORT_REQUESTED 0x007 /* Base Specification 2.0, figure 96 */

int transfer_open(struct transfer *t, unsigned int nr_slots, uint64_t slot_bytes, struct quoll_error *err)
{
	const struct nvme_buffers_opts want = {
		.where = t->where,
		.nr = nr_slots,
		.io_bytes = slot_bytes,
		.device_writes = true,
	};
	struct quoll_nvme_queue_opts opts = {.on_reset = QUOLL_NVME_RESET_RESUBMIT};
	int ret;

	quoll_clock_init(&t->clock);
	if (!t->stall_ms)
		t->stall_ms = nvme_session_stall_ms(t->session);
	t->slots = calloc(nr_slots, sizeof(*t->slots));
	if (!t->slots)
		return quoll_error_set(err, ENOMEM, "memory", t->session->name, "out of memory");
	t->nr_slots = nr_slots;
	t->slot_bytes = slot_bytes;
	ret = nvme_buffers_open(&t->buffers, t->session, &want, err);
	opts.stream = t->buffers.stream;
	if (!ret)
		ret = quoll_nvme_queue_create(t->session->nvme, &opts, &t->queue, err);
	for (unsigned int i = 0; !ret && i < nr_slots; i++) {
		t->slots[i].va = nvme_buffers_get(&t->buffers, slot_bytes, err);
		ret = t->slots[i].va ? 0 : -err->errnum;
	}
	return ret;
}

void transfer_close(struct transfer *t)
{
	/* the queue first: after that the device knows of no buffer any more */
	if (t->queue)
		quoll_nvme_queue_destroy(t->queue);
	for (unsigned int i = 0; i < t->nr_slots; i++)
		nvme_buffers_put(&t->buffers, t->slots[i].va, t->slot_bytes);
	nvme_buffers_close(&t->buffers);
	free(t->slots);
	t->slots = NULL;
	t->queue = NULL;
	t->nr_slots = 0;
}

bool transfer_is_recovered(const struct quoll_nvme_completion *comp)
{
	if (comp->error)
		return comp->error == -ETIMEDOUT || comp->error == -ECANCELED;
	return comp->status == STATUS_ABORT_REQUESTED;
}

static void hint_timeout(const struct nvme_session *s, struct quoll_error *err)
{
	quoll_error_hint(err, "--timeout with more milliseconds than %u, if the device is only slow", s->timeout_ms);
}

int transfer_failed(const struct nvme_session *s, const struct quoll_nvme_completion *comp, const char *what,
		    struct quoll_error *err)
{
	unsigned int events;

	if (!comp->error) {
		quoll_error_set(err, EIO, "I/O", s->name, "%s failed: %s (status 0x%03x)", what,
				quoll_nvme_status_name(comp->status), comp->status);
		if (transfer_is_recovered(comp))
			hint_timeout(s, err);
		return -EIO;
	}
	events = quoll_device_events(s->device);
	if (events & QUOLL_DEVICE_GONE)
		quoll_error_set(err, ENODEV, "I/O", s->name,
				"the device is gone (it answers no more): %s was not finished", what);
	else if (events & QUOLL_DEVICE_REMOVE_REQUESTED)
		quoll_error_set(err, ENODEV, "I/O", s->name,
				"the kernel requested the device back, to remove or unbind it: %s was not finished",
				what);
	else
		quoll_error_set(err, -comp->error, "I/O", s->name, "%s was not finished: %s", what,
				comp->error == -ENODEV	    ? "the device is gone"
				: comp->error == -EIO	    ? "the queue is broken"
				: comp->error == -ETIMEDOUT ? "no answer in time, and none to an abort"
				: comp->error == -ECANCELED ? "the controller was reset"
							    : strerror(-comp->error));
	if (transfer_is_recovered(comp))
		hint_timeout(s, err);
	else
		quoll_error_hint(err, "quoll nvme list shows what is there now; the kernel's log says why (dmesg)");
	return -err->errnum;
}

int transfer_stalled(const struct nvme_session *s, unsigned int nr_busy, unsigned int ms, struct quoll_error *err)
{
	quoll_error_set(err, ETIMEDOUT, "I/O", s->name, "%u requests in flight and no answer for %u ms", nr_busy, ms);
	quoll_error_hint(err, "run it again (that resets the controller); the kernel's log may tell more (dmesg)");
	return -ETIMEDOUT;
}

static int slot_failed(struct transfer *t, const struct transfer_slot *slot, const struct quoll_nvme_completion *comp,
		       struct quoll_error *err)
{
	char what[128];

	if (slot->op == TRANSFER_FLUSH)
		snprintf(what, sizeof(what), "flush of namespace %" PRIu32, t->ns.nsid);
	else
		snprintf(what, sizeof(what), "%s of %" PRIu32 " blocks at LBA %" PRIu64 " of namespace %" PRIu32,
			 slot->op == TRANSFER_READ ? "read" : "write", slot->nr_lbas, slot->lba, t->ns.nsid);
	return transfer_failed(t->session, comp, what, err);
}

static int prep(struct transfer *t, struct transfer_slot *slot)
{
	uint64_t id = (uint64_t)(slot - t->slots);

	switch (slot->op) {
	case TRANSFER_READ:
		return quoll_nvme_prep_read(t->queue, t->ns.nsid, slot->va, slot->lba, slot->nr_lbas, id);
	case TRANSFER_WRITE:
		return quoll_nvme_prep_write(t->queue, t->ns.nsid, slot->va, slot->lba, slot->nr_lbas, id);
	default:
		return quoll_nvme_prep_flush(t->queue, t->ns.nsid, id);
	}
}

static void slot_done(struct transfer *t, struct transfer_slot *slot, bool failed)
{
	slot->state = TRANSFER_DONE;
	slot->failed = failed;
	slot->unsent = false;
	t->nr_busy--;
}

/* Now, or once a poll finds that it can be. Return: 0, or why it never can. */
static int slot_send(struct transfer *t, struct transfer_slot *slot, struct quoll_error *err)
{
	struct quoll_nvme_completion refused = {.error = prep(t, slot)};

	slot->unsent = refused.error == -EAGAIN;
	if (slot->unsent)
		return 0;
	if (refused.error) {
		slot_done(t, slot, true);
		return slot_failed(t, slot, &refused, err);
	}
	slot->nr_tries++;
	quoll_nvme_submit(t->queue);
	return 0;
}

/* What had no room goes first come, first served as far as that matters: the slots are few. */
static int send_unsent(struct transfer *t, struct quoll_error *err)
{
	int ret = 0;

	for (unsigned int i = 0; i < t->nr_slots && !ret; i++)
		if (t->slots[i].unsent)
			ret = slot_send(t, &t->slots[i], err);
	return ret;
}

static int take(struct transfer *t, const struct quoll_nvme_completion *comp, struct quoll_error *err)
{
	struct transfer_slot *slot = &t->slots[comp->user_data];

	if (transfer_is_recovered(comp) && slot->nr_tries < TRANSFER_MAX_TRIES) {
		slot->unsent = true;
		return 0;
	}
	slot_done(t, slot, comp->error || comp->status);
	return slot->failed ? slot_failed(t, slot, comp, err) : 0;
}

/* Collect what is finished. Return: number, or the first failure. */
static int transfer_poll(struct transfer *t, struct quoll_error *err)
{
	struct quoll_nvme_completion comps[16];
	unsigned int nr = quoll_nvme_poll(t->queue, comps, 16);
	struct quoll_error later; /* the first one is told */
	int ret = 0, failed;

	for (unsigned int i = 0; i < nr; i++) {
		failed = take(t, &comps[i], ret ? &later : err);
		ret = ret ? ret : failed;
	}
	/* Time-outs and resets need somebody who carries them on. Whether it is dead, polls tell. */
	if (!nr) {
		(void)quoll_nvme_ctrl_poll(t->session->nvme);
		iommu_faults_look(t->session->faults, quoll_ticks_to_ns(&t->clock, quoll_ticks(&t->clock)));
	}
	failed = send_unsent(t, ret ? &later : err);
	ret = ret ? ret : failed;
	return ret ? ret : (int)nr;
}

int transfer_start(struct transfer *t, struct transfer_slot *slot, struct quoll_error *err)
{
	slot->state = TRANSFER_BUSY;
	slot->failed = false;
	slot->nr_tries = 0;
	t->nr_busy++;
	return slot_send(t, slot, err);
}

int transfer_wait(struct transfer *t, struct quoll_error *err)
{
	uint64_t limit = quoll_ticks(&t->clock) + quoll_ns_to_ticks(&t->clock, t->stall_ms * 1000000ull);
	int ret = 0;

	while (t->nr_busy && !ret) {
		ret = transfer_poll(t, err);
		if (!ret && quoll_ticks(&t->clock) > limit)
			return transfer_stalled(t->session, t->nr_busy, t->stall_ms, err);
	}
	return ret < 0 ? ret : 0;
}

int transfer_drain(struct transfer *t, struct quoll_error *err)
{
	int ret = 0;

	while (t->nr_busy && !ret)
		ret = transfer_wait(t, err);
	return ret;
}
