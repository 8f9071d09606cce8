/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * where.c - from an IOVA in a heap's window back to the arena, and to what is handed out there (quoll/where.h).
 */
#include <stdio.h>

#include <quoll/where.h>

#include "mem.h"

static bool has_memory(const struct quoll_arena *arena, uint64_t off)
{
	for (unsigned int i = 0; i < arena->nr_chunks; i++)
		if (off - arena->chunks[i].off < arena->chunks[i].size_bytes)
			return !arena->chunks[i].bare;
	return false;
}

/* What is handed out at @off, or behind it before @end; NULL if nothing is. */
static const struct extent *find_used(const struct quoll_arena *arena, uint64_t off, uint64_t end)
{
	for (unsigned int i = 0; i < arena->nr_extents && arena->extents[i].off < end; i++) {
		const struct extent *e = &arena->extents[i];

		if (e->asked_bytes && off < e->off + e->size_bytes)
			return e;
	}
	return NULL;
}

static void in_arena(const struct quoll_arena *arena, uint64_t off, struct quoll_where *where)
{
	uint64_t end = off + (off % SMALL_PAGE_BYTES ? 1 : SMALL_PAGE_BYTES);
	const struct extent *used = find_used(arena, off, end);

	snprintf(where->arena, sizeof(where->arena), "%s", arena->name);
	where->offset = off - arena->off;
	where->dir = QUOLL_SEG_READ | (arena->access & MAP_DEVICE_WRITE ? QUOLL_SEG_WRITE : 0);
	if (!has_memory(arena, off))
		return;
	where->state = QUOLL_WHERE_FREE;
	where->va = (const void *)(arena->heap->pub.va_base + off);
	if (!used)
		return;
	where->state = QUOLL_WHERE_IN_USE;
	where->piece = (const void *)(arena->heap->pub.va_base + used->off);
	where->piece_bytes = used->asked_bytes;
}

bool quoll_heap_where(const struct quoll_heap *pub, quoll_iova_t iova, struct quoll_where *where)
{
	const struct heap *heap = (const struct heap *)pub;
	uint64_t off = iova - pub->iova_base;

	*where = (struct quoll_where){.state = QUOLL_WHERE_NOWHERE, .way = QUOLL_WAY_HEAP};
	if (off >= pub->size_bytes)
		return false;
	where->state = QUOLL_WHERE_EMPTY;
	for (const struct quoll_arena *arena = heap->arenas; arena; arena = arena->next)
		if (off - arena->off < arena->max_bytes)
			in_arena(arena, off, where);
	return true;
}
