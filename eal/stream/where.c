/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * where.c - from an IOVA of a stream's back to the memory that is, or last was, mapped there (quoll/where.h). It looks
 * at what the stream's own thread writes, so loads are atomic; it is only for telling people, and needs no order.
 */
#include <string.h>

#include <quoll/where.h>

#include "stream/internal.h"

#define LOAD(from) __atomic_load_n(from, __ATOMIC_RELAXED)

/*
 * The mapping that covers @page: the one that is there now, else the last that was.
 * Return: its first page's state, and which page that is; 0: there never was one.
 */
static uint64_t find_mapping(const struct stream_window *window, uint32_t page, uint32_t *first)
{
	uint32_t next = stream_slot_fence(LOAD(&window->next_fence)), newest = 0;
	uint64_t best = 0;

	for (uint32_t at = page + 1; at-- && !stream_slot_mapped(best);) {
		uint64_t state = LOAD(&window->states[at]);
		uint32_t age = next - stream_slot_fence(state); /* 0: it waits for its fence */

		if ((state & STREAM_SLOT_NR_MASK) <= page - at)
			continue;
		if (best && !stream_slot_mapped(state) && age >= newest)
			continue;
		newest = age;
		*first = at;
		best = state;
	}
	return best;
}

static enum quoll_where_state state_of(const struct stream_window *window, uint64_t state)
{
	if (stream_slot_mapped(state))
		return QUOLL_WHERE_IN_USE;
	if (state & STREAM_SLOT_LOST || stream_slot_fence(state) == stream_slot_fence(LOAD(&window->next_fence)))
		return QUOLL_WHERE_UNMAPPING;
	return QUOLL_WHERE_UNMAPPED;
}

static void in_window(const struct stream_window *window, uint64_t off, struct quoll_where *where)
{
	uint32_t first = 0;
	uint64_t state = find_mapping(window, (uint32_t)(off / STREAM_PAGE_BYTES), &first);
	uintptr_t va;

	where->state = QUOLL_WHERE_EMPTY;
	where->way = QUOLL_WAY_WINDOW;
	where->offset = off;
	if (!state)
		return;
	va = LOAD(&window->pieces[first]);
	where->state = state_of(window, state);
	where->way = va & STREAM_SLOT_REGISTERED ? QUOLL_WAY_REGISTERED : QUOLL_WAY_WINDOW;
	where->dir = (unsigned int)va & STREAM_SLOT_DIR_MASK;
	va &= ~(uintptr_t)(STREAM_PAGE_BYTES - 1);
	where->piece = (const void *)va;
	where->piece_bytes = (state & STREAM_SLOT_NR_MASK) * STREAM_PAGE_BYTES;
	where->va = (const void *)(va + (off - first * STREAM_PAGE_BYTES));
}

static void in_cache(const struct stream_cache *cache, quoll_iova_t iova, struct quoll_where *where)
{
	where->state = QUOLL_WHERE_EMPTY;
	where->way = QUOLL_WAY_CACHED;
	where->offset = iova - cache->iova;
	for (uint32_t i = 0; i < cache->nr_entries; i++) {
		const struct stream_entry *entry = &cache->entries[i];
		uint64_t bytes = LOAD(&entry->bytes), off = iova - LOAD(&entry->iova);
		uintptr_t va = LOAD(&entry->va);

		if (off >= bytes)
			continue;
		where->state = LOAD(&entry->stuck) ? QUOLL_WHERE_UNMAPPING : QUOLL_WHERE_IN_USE;
		where->dir = QUOLL_SEG_READ | (LOAD(&entry->access) & MAP_DEVICE_WRITE ? QUOLL_SEG_WRITE : 0);
		where->piece = (const void *)va;
		where->piece_bytes = bytes;
		where->va = (const void *)(va + off);
		return;
	}
}

static void in_bounce(const struct stream_bounce *bounce, quoll_iova_t iova, struct quoll_where *where)
{
	const struct stream_held *held = &bounce->held[(iova - bounce->iova) / STREAM_PAGE_BYTES];

	where->state = QUOLL_WHERE_IN_USE;
	where->way = QUOLL_WAY_BOUNCE;
	where->dir = QUOLL_SEG_READ | QUOLL_SEG_WRITE;
	strcpy(where->arena, STREAM_BOUNCE_ARENA);
	where->offset = iova - bounce->iova;
	where->va = bounce->va + where->offset;
	where->piece = bounce->va;
	where->piece_bytes = bounce->bytes;
	where->held = (const void *)LOAD(&held->va);
	where->held_bytes = LOAD(&held->bytes);
}

bool quoll_stream_where(const struct quoll_stream *stream, quoll_iova_t iova, struct quoll_where *where)
{
	const struct stream_window *window = &stream->window;
	const struct stream_bounce *bounce = &stream->bounce;
	const struct stream_cache *cache = &stream->cache;

	*where = (struct quoll_where){.state = QUOLL_WHERE_NOWHERE};
	if (window->pieces && iova - window->iova < window->part_nr * STREAM_PAGE_BYTES)
		in_window(window, iova - window->iova, where);
	else if (stream->ways & QUOLL_WAY_BIT(QUOLL_WAY_CACHED) && iova - cache->iova < 2 * cache->max_bytes)
		in_cache(cache, iova, where);
	else if (stream->ways & QUOLL_WAY_BIT(QUOLL_WAY_BOUNCE) && iova - bounce->iova < bounce->bytes)
		in_bounce(bounce, iova, where);
	return where->state != QUOLL_WHERE_NOWHERE;
}
