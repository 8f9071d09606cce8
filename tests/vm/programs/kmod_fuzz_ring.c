/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kmod_fuzz_ring.c - what the fuzzer puts into rings; see kmod_fuzz.h.
 *
 * Each thread has a ring whose completions it counts. One ring is everybody's, and is scribbled over while the kernel
 * is at it: what comes out of it says nothing.
 */
#include "kmod_fuzz.h"

/* User data has what the entry was: its kind, its slot, its pages. */
#define MARK 0x71756f6c00000000ull
#define MARK_KIND(data) ((data)&0xff)
#define MARK_SLOT(data) ((data) >> 8 & 0xff)
#define MARK_PAGES(data) ((data) >> 16 & 0xffff)
#define LARGE_BYTES (2ull << 20)
#define REFUSED_AT_MOST 6u

static uint64_t slot_iova(struct life *life, uint32_t slot)
{
	return life->window + slot * PAGE;
}

static enum call entry_map(struct fuzzer *f, struct quoll_stream_entry *entry)
{
	uint32_t slot = below(f, HOT_SLOTS), id;

	entry->op = QUOLL_STREAM_MAP;
	entry->flags = (uint8_t)(1 + below(f, 3));
	entry->va = some_va(f, &entry->size_bytes);
	/* few pages have few neighbours that they overlap with */
	if (!one_in(f, 8))
		slot &= ~3u;
	entry->iova = slot_iova(f->life, slot);
	if (entry->size_bytes == LARGE_BYTES)
		entry->iova = (f->life->window + LARGE_BYTES) & ~(LARGE_BYTES - 1);
	if (one_in(f, 40))
		entry->iova = slot_iova(f->life, (uint32_t)(f->life->window_bytes / PAGE) - below(f, 4));
	id = atomic_load(&f->life->buffers[below(f, NR_BUFFERS)]);
	if (!id || !one_in(f, 3))
		return ENTRY_MAP;
	entry->flags |= QUOLL_STREAM_REGISTERED;
	entry->buffer = one_in(f, 30) ? (uint32_t)odd_number(f) : id - 1;
	entry->va = below(f, 4) * PAGE;
	entry->size_bytes = (1 + below(f, 3)) * PAGE;
	return ENTRY_REGISTERED;
}

static enum call entry_unmap(struct fuzzer *f, struct quoll_stream_entry *entry)
{
	uint32_t slot = below(f, HOT_SLOTS), pages = 0;

	for (unsigned int i = 0; i < 32 && !pages; i++) {
		slot = (slot + 1) % HOT_SLOTS;
		pages = one_in(f, 8) ? atomic_load(&f->life->slots[slot]) : atomic_exchange(&f->life->slots[slot], 0);
	}
	entry->op = QUOLL_STREAM_UNMAP;
	entry->iova = slot_iova(f->life, slot);
	entry->size_bytes = (pages ?: 1) * PAGE;
	if (one_in(f, 6)) /* with what may lie behind it */
		entry->size_bytes += (1 + below(f, 8)) * PAGE;
	if (one_in(f, 40))
		entry->iova = (f->life->window + LARGE_BYTES) & ~(LARGE_BYTES - 1), entry->size_bytes = LARGE_BYTES;
	return ENTRY_UNMAP;
}

static void entry_spoil(struct fuzzer *f, struct quoll_stream_entry *entry)
{
	switch (below(f, 7)) {
	case 0:
		entry->flags ^= (uint8_t)(1u << below(f, 8));
		break;
	case 1:
		entry->iova = odd_number(f);
		break;
	case 2:
		entry->size_bytes = odd_number(f);
		break;
	case 3:
		entry->va = odd_number(f);
		break;
	case 4:
		entry->buffer = (uint32_t)odd_number(f);
		break;
	case 5:
		entry->reserved2[below(f, 3)] = 1;
		break;
	default:
		entry->reserved = 1;
	}
}

/* What an entry has done. */
static void slot_note(struct life *life, uint64_t data)
{
	uint32_t pages = MARK_PAGES(data);

	if (MARK_KIND(data) == ENTRY_MAP || MARK_KIND(data) == ENTRY_REGISTERED)
		atomic_store(&life->slots[MARK_SLOT(data) % HOT_SLOTS], pages);
	else if (MARK_KIND(data) == ENTRY_UNMAP && pages)
		atomic_compare_exchange_strong(&life->slots[MARK_SLOT(data) % HOT_SLOTS], &pages, 0);
}

static void entry_make(struct fuzzer *f, struct quoll_stream_entry *entry)
{
	uint32_t what = below(f, 100);
	uint64_t slot, pages;
	enum call kind;

	*entry = (struct quoll_stream_entry){0};
	if (what < 44) {
		kind = entry_map(f, entry);
	} else if (what < 86) {
		kind = entry_unmap(f, entry);
	} else if (what < 98) {
		entry->op = QUOLL_STREAM_FENCE;
		kind = ENTRY_FENCE;
	} else {
		entry->op = one_in(f, 2) ? 0 : (uint8_t)(4 + below(f, 252));
		kind = ENTRY_OTHER;
	}
	if (one_in(f, 16))
		entry_spoil(f, entry);
	else if (one_in(f, 8))
		entry->flags |= QUOLL_STREAM_SILENT;
	slot = (entry->iova - f->life->window) / PAGE;
	pages = entry->size_bytes / PAGE;
	entry->user_data = MARK | kind | (slot < HOT_SLOTS && pages <= 0xffff ? slot << 8 | pages << 16 : 0);
	/* how it goes is not told: it may have gone well */
	if (entry->flags & QUOLL_STREAM_SILENT)
		slot_note(f->life, entry->user_data);
}

void ring_renew(struct fuzzer *f, struct fuzz_ring *ring, uint32_t nr)
{
	int fd = f->life->group;
	uint32_t id;

	if (atomic_load(&ring->id))
		ring_give(fd, atomic_load(&ring->id) - 1);
	atomic_store(&ring->id, 0);
	if (!ring->head) {
		ring->nr = nr;
		ring->bytes = ring_bytes(nr);
		ring->head = mmap(NULL, ring->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (ring->head == MAP_FAILED)
			abort();
	}
	ring->tail = 0;
	ring->refused = 0;
	if (!ring_make(fd, ring->head, ring->bytes, ring->nr, &id))
		atomic_store(&ring->id, id + 1);
}

int ring_enter_as(struct fuzzer *f, uint32_t id, uint32_t nr)
{
	struct quoll_stream_enter arg = {.argsz = sizeof(arg), .ring = id, .nr_entries = nr};

	return call(f, GROUP_REQUESTS + _IOC_NR(QUOLL_STREAM_ENTER), f->life->group, QUOLL_STREAM_ENTER,
		    arg_put(f, &arg, sizeof(arg)));
}

static void completions_take(struct fuzzer *f, struct fuzz_ring *ring, bool counted)
{
	struct quoll_stream_done *dones = (void *)((struct quoll_stream_entry *)(ring->head + 1) + ring->nr);
	uint32_t at = ring->head->done_head, tail = __atomic_load_n(&ring->head->done_tail, __ATOMIC_ACQUIRE);

	if (counted && tail - at <= 2 * ring->nr)
		for (; at != tail; at++) {
			struct quoll_stream_done *done = &dones[at & (2 * ring->nr - 1)];

			if (done->user_data >> 32 != MARK >> 32 || MARK_KIND(done->user_data) >= NR_CALLS)
				continue;
			count(f->life, (enum call)MARK_KIND(done->user_data), -done->result);
			if (!done->result)
				slot_note(f->life, done->user_data);
		}
	/* one in a few is late */
	if (!one_in(f, 6))
		__atomic_store_n(&ring->head->done_head, tail, __ATOMIC_RELEASE);
}

void ring_use(struct fuzzer *f)
{
	bool own = !one_in(f, 3);
	struct fuzz_ring *ring = &f->life->rings[own ? f->index : RING_COMMON];
	struct quoll_stream_entry *entries = (struct quoll_stream_entry *)(ring->head + 1), entry;
	uint32_t id = atomic_load(&ring->id), nr = 1 + below(f, one_in(f, 4) ? ring->nr : 8);
	int rc;

	if (!id || ring->refused > REFUSED_AT_MOST) {
		ring_renew(f, ring, ring->nr);
		return;
	}
	if (!own)
		ring->tail = __atomic_load_n(&ring->head->tail, __ATOMIC_RELAXED);
	/* a ring of one's own is never more than full, so that what is counted is what was put there */
	if (own)
		nr = nr <= ring->nr - (ring->tail - ring->head->head) ? nr : ring->nr - (ring->tail - ring->head->head);
	for (uint32_t i = 0; i < nr; i++) {
		entry_make(f, &entry);
		memcpy(&entries[ring->tail++ & (ring->nr - 1)], &entry, sizeof(entry));
	}
	__atomic_store_n(&ring->head->tail, ring->tail, __ATOMIC_RELEASE);
	if (one_in(f, 25)) /* a jump */
		__atomic_store_n(&ring->head->tail, (uint32_t)odd_number(f), __ATOMIC_RELEASE);
	if (one_in(f, 25))
		__atomic_store_n(&ring->head->done_head, (uint32_t)odd_number(f), __ATOMIC_RELEASE);
	rc = ring_enter_as(f, one_in(f, 30) ? (uint32_t)odd_number(f) : id - 1, one_in(f, 10) ? 3 : UINT32_MAX);
	ring->refused = rc == -EINVAL ? ring->refused + 1 : 0;
	if (own)
		__atomic_store_n(&ring->head->tail, ring->tail, __ATOMIC_RELEASE);
	completions_take(f, ring, own);
	if (own && ring->tail - ring->head->head > ring->nr)
		ring->refused = REFUSED_AT_MOST + 1; /* the kernel went along with a jump */
}

void ring_scribble(struct fuzzer *f)
{
	struct fuzz_ring *ring = &f->life->rings[RING_COMMON];
	struct quoll_stream_entry *entries = (struct quoll_stream_entry *)(ring->head + 1), entry;
	uint32_t at = below(f, ring->nr);

	switch (below(f, 32)) {
	case 0:
		__atomic_store_n(&ring->head->head, (uint32_t)odd_number(f), __ATOMIC_RELAXED);
		break;
	case 1:
		__atomic_store_n(&ring->head->done_tail, (uint32_t)odd_number(f), __ATOMIC_RELAXED);
		break;
	case 2:
		__atomic_store_n(&ring->head->tail, ring->head->head + below(f, ring->nr + 1), __ATOMIC_RELAXED);
		break;
	case 3:
		__atomic_store_n(&ring->head->done_head, ring->head->done_tail, __ATOMIC_RELAXED);
		break;
	case 4:
	case 5:
		((uint64_t *)ring->head)[below(f, (uint32_t)(ring->bytes / 8))] = odd_number(f);
		break;
	default:
		entry_make(f, &entry);
		memcpy(&entries[at], &entry, sizeof(entry));
	}
}
