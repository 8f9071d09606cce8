/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * chain.c - chains of descriptors walked with suspicion, and given back; calls.
 *
 * A walk takes as many steps as the table has entries at most, so one that loops has an end.
 */
#include <errno.h>

#include "inflight.h"
#include "ring.h"

uint8_t *vhost_at_slow(struct vhost_ring *ring, uint64_t guest, uint32_t bytes)
{
	const struct vhost_area *area = vhost_memory_find(ring->memory, guest);

	if (!area)
		return NULL;
	ring->area = area;
	return bytes <= area->bytes - (guest - area->guest) ? area->va + (guest - area->guest) : NULL;
}

/* One descriptor: a piece for each area that it lies in. */
static int add(struct vhost_ring *ring, struct vhost_chain *chain, uint64_t guest, uint32_t bytes)
{
	while (bytes) {
		const struct vhost_area *area = vhost_memory_find(ring->memory, guest);
		uint64_t room;
		uint32_t n;

		if (!area || chain->nr == VHOST_MAX_PIECES)
			return -EPROTO;
		room = area->bytes - (guest - area->guest);
		n = bytes < room ? bytes : (uint32_t)room;
		chain->pieces[chain->nr++] = (struct vhost_piece){area->va + (guest - area->guest), n};
		chain->bytes += n;
		guest += n;
		bytes -= n;
	}
	return 0;
}

/* An indirect table lies in one area, and has whole entries. Return: how many; 0: it is none. */
static uint32_t indirect(struct vhost_ring *ring, uint64_t guest, uint32_t bytes, const uint8_t **table)
{
	if (!ring->indirect || bytes % VIRTQ_DESC_BYTES || bytes / VIRTQ_DESC_BYTES > VIRTQ_MAX_SIZE)
		return 0;
	*table = vhost_at(ring, guest, bytes);
	return *table ? bytes / VIRTQ_DESC_BYTES : 0;
}

int vhost_walk_split(struct vhost_ring *ring, uint16_t head, bool write, struct vhost_chain *chain)
{
	const uint8_t *table = (const uint8_t *)ring->desc;
	uint32_t nr = ring->size, at = head;
	bool is_indirect = false;
	struct virtq_desc desc;

	for (uint32_t left = nr; left; left--) {
		memcpy(&desc, table + (size_t)at * sizeof(desc), sizeof(desc));
		vhost_copied();
		if (desc.flags & VIRTQ_DESC_INDIRECT) {
			nr = is_indirect || desc.flags & VIRTQ_DESC_NEXT
				     ? 0
				     : indirect(ring, desc.addr, desc.bytes, &table);
			if (!nr)
				return -EPROTO;
			is_indirect = true;
			at = 0;
			left = nr + 1;
			continue;
		}
		if (!!(desc.flags & VIRTQ_DESC_WRITE) != write || add(ring, chain, desc.addr, desc.bytes))
			return -EPROTO;
		if (!(desc.flags & VIRTQ_DESC_NEXT))
			return 0;
		at = desc.next;
		if (at >= nr)
			return -EPROTO;
	}
	return -EPROTO;
}

/* All entries of the table, one after the other. */
static int walk_packed_indirect(struct vhost_ring *ring, const struct virtq_packed_desc *desc, bool write,
				struct vhost_chain *chain)
{
	const uint8_t *table;
	uint32_t nr = indirect(ring, desc->addr, desc->bytes, &table);
	struct virtq_packed_desc entry;

	if (!nr)
		return -EPROTO;
	for (uint32_t i = 0; i < nr; i++) {
		memcpy(&entry, table + (size_t)i * sizeof(entry), sizeof(entry));
		vhost_copied();
		if (entry.flags & VIRTQ_DESC_INDIRECT || !!(entry.flags & VIRTQ_DESC_WRITE) != write ||
		    add(ring, chain, entry.addr, entry.bytes))
			return -EPROTO;
	}
	return 0;
}

int vhost_walk_packed(struct vhost_ring *ring, uint32_t slot, bool write, struct vhost_chain *chain)
{
	struct virtq_packed_desc desc;
	int rc = 0;

	/* One that is bad is followed to its end all the same: the slots have to be given back. */
	chain->slots = 0;
	for (uint32_t nr = 1; nr <= ring->size; nr++) {
		memcpy(&desc, &ring->packed[slot], sizeof(desc));
		vhost_copied();
		if (desc.flags & VIRTQ_DESC_INDIRECT)
			rc = rc || nr > 1 || desc.flags & VIRTQ_DESC_NEXT
				     ? -EPROTO
				     : walk_packed_indirect(ring, &desc, write, chain);
		else if (!rc && (!!(desc.flags & VIRTQ_DESC_WRITE) != write || add(ring, chain, desc.addr, desc.bytes)))
			rc = -EPROTO;
		if (!(desc.flags & VIRTQ_DESC_NEXT)) {
			chain->id = desc.id;
			chain->slots = (uint16_t)nr;
			return rc;
		}
		slot = slot + 1 == ring->size ? 0 : slot + 1;
	}
	return -EPROTO;
}

/* Giving back: all of a call at once, then whoever waits is called, if he wants to. */

static void call(struct vhost_vring *vring)
{
	server_signal(&vring->signal, vring->call_fd);
	quoll_count(&vring->nr_calls, 1);
}

static bool split_wants_call(const struct vhost_ring *ring, uint16_t now, uint16_t old)
{
	if (ring->event_idx)
		return virtq_need_event(__atomic_load_n(&ring->avail->ring[ring->size], __ATOMIC_RELAXED), now, old);
	return !(__atomic_load_n(&ring->avail->flags, __ATOMIC_RELAXED) & VIRTQ_AVAIL_NO_INTERRUPT);
}

static void split_give_back(struct vhost_vring *vring, struct vhost_ring *ring)
{
	struct virtq_used *used = ring->used;
	uint16_t old = ring->next, now = (uint16_t)(old + ring->nr_done);

	for (uint32_t i = 0; i < ring->nr_done; i++)
		used->ring[(old + i) & (ring->size - 1)] =
			(struct virtq_used_elem){ring->done[i].id, ring->done[i].bytes};
	vhost_guest_gets(ring);
	/* Pairs with the guest's acquire: entries and data are there. */
	__atomic_store_n(&used->idx, now, __ATOMIC_RELEASE);
	ring->next = now;
	if (QUOLL_UNLIKELY(ring->inflight_split != NULL))
		ring->inflight_split->used_idx = now;
	if (vring->call_fd < 0)
		return;
	/* Our index, then its wish: the guest does it the other way round, so one of us sees the other. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (split_wants_call(ring, now, old))
		call(vring);
}

static bool packed_wants_call(const struct vhost_ring *ring, uint16_t slots)
{
	uint16_t flags = __atomic_load_n(&ring->driver_event->flags, __ATOMIC_ACQUIRE), off_wrap, event;

	if (flags != VIRTQ_EVENT_DESC || !ring->event_idx)
		return flags != VIRTQ_EVENT_DISABLE;
	off_wrap = __atomic_load_n(&ring->driver_event->off_wrap, __ATOMIC_RELAXED);
	event = off_wrap & (VIRTQ_EVENT_WRAP - 1);
	/* Of the turn before: below zero. */
	if (!!(off_wrap & VIRTQ_EVENT_WRAP) != ring->wrap)
		event = (uint16_t)(event - ring->size);
	return virtq_need_event(event, ring->next, (uint16_t)(ring->next - slots));
}

/* One after the other. Return: slots that they take. */
static inline uint32_t give_in_order(struct vhost_ring *ring, bool written)
{
	uint32_t slot = ring->next, slots = 0;
	bool wrap = ring->wrap;

	for (uint32_t i = 0; i < ring->nr_done; i++) {
		const struct vhost_used *done = &ring->done[i];
		struct virtq_packed_desc *desc = &ring->packed[slot];

		desc->id = done->id;
		desc->bytes = done->bytes;
		/* In order, so that what a guest sees, or who comes after us, is always a beginning of it. Pairs with
		 * the guest's acquire: id, length and data are there. */
		__atomic_store_n(&desc->flags,
				 (wrap ? VIRTQ_DESC_AVAIL | VIRTQ_DESC_USED : 0) | (written ? VIRTQ_DESC_WRITE : 0),
				 __ATOMIC_RELEASE);
		slots += done->slots;
		vhost_packed_step(ring->size, &slot, &wrap, done->slots);
	}
	ring->next = (uint16_t)slot;
	ring->wrap = wrap;
	return slots;
}

/* The chains of one frame, from the place of the next one on: the first comes last, as the guest looks there. Whoever
 * comes after us finds what is missing (inflight.c): ids and lengths are there. Return: slots that they take. */
static uint32_t give_frame(struct vhost_ring *ring, const struct vhost_used *done, uint32_t n)
{
	uint32_t slot = ring->next, slots = 0;
	bool wrap = ring->wrap;

	for (uint32_t i = 0; i < n; i++) {
		ring->packed[slot].id = done[i].id;
		ring->packed[slot].bytes = done[i].bytes & ~VHOST_USED_MORE;
		slots += done[i].slots;
		vhost_packed_step(ring->size, &slot, &wrap, done[i].slots);
	}
	ring->next = (uint16_t)slot;
	ring->wrap = wrap;
	while (n--) {
		wrap ^= slot < done[n].slots;
		slot = (slot < done[n].slots ? slot + ring->size : slot) - done[n].slots;
		__atomic_store_n(&ring->packed[slot].flags,
				 (wrap ? VIRTQ_DESC_AVAIL | VIRTQ_DESC_USED : 0) | VIRTQ_DESC_WRITE, __ATOMIC_RELEASE);
	}
	return slots;
}

/* Frame by frame. Return: as above. */
static __attribute__((noinline)) uint32_t give_joined(struct vhost_ring *ring)
{
	uint32_t slots = 0, n;

	for (uint32_t i = 0; i < ring->nr_done; i += n) {
		for (n = 1; ring->done[i + n - 1].bytes & VHOST_USED_MORE; n++)
			;
		slots += give_frame(ring, ring->done + i, n);
	}
	ring->joined = false;
	return slots;
}

static void packed_give_back(struct vhost_vring *vring, struct vhost_ring *ring, bool written)
{
	uint32_t slots;

	vhost_guest_gets(ring);
	if (QUOLL_UNLIKELY(ring->inflight_packed != NULL))
		vhost_inflight_packed_before(ring);
	slots = QUOLL_UNLIKELY(ring->joined) ? give_joined(ring) : give_in_order(ring, written);
	if (QUOLL_UNLIKELY(ring->inflight_packed != NULL))
		vhost_inflight_packed_after(ring);
	if (vring->call_fd < 0)
		return;
	__atomic_thread_fence(__ATOMIC_SEQ_CST); /* as above */
	if (packed_wants_call(ring, (uint16_t)slots))
		call(vring);
}

void vhost_give_back(struct vhost_vring *vring, struct vhost_ring *ring, bool written)
{
	if (!ring->nr_done)
		return;
	if (ring->is_packed)
		packed_give_back(vring, ring, written);
	else
		split_give_back(vring, ring);
	ring->nr_done = 0;
}
