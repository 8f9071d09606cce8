/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * arena.c - parts of a heap's window with one permission, and the allocations in them.
 *
 * An arena's placed memory has no gaps, so one sorted array of extents covers it: handed out or free, no two free ones
 * side by side. First fit; all of it is set-up work. The array is ordinary memory, out of any device's reach.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"

/* No two allocations share a cache line: one may be a device's, written without regard to its neighbour. */
#define GRANULE_BYTES QUOLL_CACHE_LINE_BYTES
#define MAX_ALIGN WINDOW_COLOUR_BYTES

/* Where a part of that size fits between the others: the lowest place. *link is where it goes in the list. */
static int find_part(struct heap *heap, uint64_t max_bytes, uint64_t *off, struct quoll_arena ***link)
{
	uint64_t from = 0;

	for (*link = &heap->arenas;; *link = &(**link)->next) {
		const struct quoll_arena *next = **link;
		uint64_t end = next ? next->off : heap->pub.size_bytes;

		if (end > from && end - from >= max_bytes) {
			*off = from;
			return 0;
		}
		if (!next)
			return -ENOSPC;
		from = next->off + next->max_bytes;
	}
}

int quoll_arena_create(struct quoll_heap *pub, const char *name, enum quoll_arena_access access, uint64_t max_bytes,
		       struct quoll_arena **result, struct quoll_error *err)
{
	struct heap *heap = (struct heap *)pub;
	struct quoll_arena *arena, **link;
	uint64_t off;

	if (access != QUOLL_ARENA_DEVICE_READ && access != QUOLL_ARENA_DEVICE_READ_WRITE)
		return quoll_error_set(err, EINVAL, "heap", name, "no such access: %d", (int)access);
	if (!max_bytes)
		max_bytes = pub->size_bytes / 8;
	if (max_bytes <= pub->size_bytes) /* what is larger has no room, and is not made to wrap by rounding */
		max_bytes = round_up(max_bytes, heap->chunk_bytes);
	if (find_part(heap, max_bytes, &off, &link)) {
		quoll_error_set(err, ENOSPC, "heap", name,
				"the window of %" PRIu64 " bytes has no %" PRIu64 " bytes left in one piece",
				pub->size_bytes, max_bytes);
		quoll_error_hint(err, "give the heap a larger size_bytes, or its arenas a smaller max_bytes");
		return -ENOSPC;
	}
	arena = calloc(1, sizeof(*arena));
	if (!arena)
		return quoll_error_set(err, ENOMEM, "heap", name, "out of memory");
	arena->heap = heap;
	snprintf(arena->name, sizeof(arena->name), "%s", name ? name : "arena");
	arena->access = MAP_DEVICE_READ;
	if (access == QUOLL_ARENA_DEVICE_READ_WRITE || heap->all_writable)
		arena->access |= MAP_DEVICE_WRITE;
	arena->off = off;
	arena->max_bytes = max_bytes;
	arena->next = *link;
	*link = arena;
	*result = arena;
	return 0;
}

void arena_free(struct quoll_arena *arena)
{
	struct quoll_arena **link = &arena->heap->arenas;

	while (*link != arena)
		link = &(*link)->next;
	*link = arena->next;
	free(arena->chunks);
	free(arena->extents);
	free(arena);
}

void quoll_arena_destroy(struct quoll_arena *arena)
{
	if (!arena)
		return;
	if (heap_shrink(arena)) {
		arena_free(arena);
		return;
	}
	/* A device may still get at these IOVAs, so nothing else may be placed there; the heap's end tries again. */
	quoll_log(&arena->heap->env, QUOLL_LOG_ERROR, "heap", "%s: its part of the window is not used again",
		  arena->name);
	arena->nr_extents = 0;
}

struct quoll_heap *quoll_arena_heap(struct quoll_arena *arena)
{
	return &arena->heap->pub;
}

/* A growth and a split in one allocation add up to three extents; with room for them nothing can fail half-way. */
static int make_room(struct quoll_arena *arena, struct quoll_error *err)
{
	unsigned int cap = arena->cap_extents;
	struct extent *extents;

	if (arena->nr_extents + 3 <= cap)
		return 0;
	cap = cap ? 2 * cap : 16;
	extents = realloc(arena->extents, cap * sizeof(*extents));
	if (!extents)
		return quoll_error_set(err, ENOMEM, "heap", arena->name, "out of memory");
	arena->extents = extents;
	arena->cap_extents = cap;
	return 0;
}

static struct extent *insert(struct quoll_arena *arena, unsigned int i)
{
	struct extent *e = &arena->extents[i];

	memmove(e + 1, e, (arena->nr_extents - i) * sizeof(*e));
	arena->nr_extents++;
	return e;
}

static void erase(struct quoll_arena *arena, unsigned int i)
{
	struct extent *e = &arena->extents[i];

	arena->nr_extents--;
	memmove(e, e + 1, (arena->nr_extents - i) * sizeof(*e));
}

/* First place at or after off whose IOVA is aligned; the VA is too, since both windows have the same colour. */
static uint64_t aligned_off(const struct quoll_arena *arena, uint64_t off, uint64_t align)
{
	uint64_t iova_base = arena->heap->pub.iova_base;

	return round_up(iova_base + off, align) - iova_base;
}

/* Carve [off, off + size) out of the free extent i. Return: the index of the new, used one. */
static unsigned int carve(struct quoll_arena *arena, unsigned int i, uint64_t off, uint64_t size_bytes)
{
	struct extent whole = arena->extents[i];
	struct extent *e;

	if (off > whole.off) {
		e = insert(arena, i);
		*e = whole;
		e->size_bytes = off - whole.off;
		i++;
	}
	e = &arena->extents[i];
	e->off = off;
	e->size_bytes = size_bytes;
	if (off + size_bytes < whole.off + whole.size_bytes) {
		e = insert(arena, i + 1);
		*e = whole;
		e->off = off + size_bytes;
		e->size_bytes = whole.off + whole.size_bytes - e->off;
	}
	return i;
}

/* The end of the last exposed chunk that has a part in [off, off + size); 0 if none has. */
static uint64_t past_exposed(const struct quoll_arena *arena, uint64_t off, uint64_t size_bytes)
{
	uint64_t past = 0;

	for (unsigned int i = 0; i < arena->nr_chunks; i++) {
		const struct chunk *chunk = &arena->chunks[i];

		if (chunk->exposed && chunk->off < off + size_bytes && off < chunk->off + chunk->size_bytes)
			past = chunk->off + chunk->size_bytes;
	}
	return past;
}

static bool is_free(const struct quoll_arena *arena, const struct chunk *chunk)
{
	for (unsigned int i = 0; i < arena->nr_extents; i++) {
		const struct extent *e = &arena->extents[i];

		if (e->asked_bytes && e->off < chunk->off + chunk->size_bytes && chunk->off < e->off + e->size_bytes)
			return false;
	}
	return true;
}

/* Where a process that has nothing to do with us any more may still write there is to be other memory, or no use. */
static void renew_exposed(struct quoll_arena *arena)
{
	heap_look_exposed(arena);
	for (unsigned int i = 0; i < arena->nr_chunks; i++)
		if (arena->chunks[i].exposed && !arena->chunks[i].shown && is_free(arena, &arena->chunks[i]))
			heap_renew(arena, &arena->chunks[i]);
}

/* The lowest place in a free extent. Return: false if there is none. */
static bool find_place(const struct quoll_arena *arena, const struct extent *e, uint64_t size_bytes, uint64_t align,
		       uint64_t *off)
{
	uint64_t end = e->off + e->size_bytes, past;

	for (*off = aligned_off(arena, e->off, align); *off <= end && end - *off >= size_bytes;
	     *off = aligned_off(arena, past, align)) {
		past = past_exposed(arena, *off, size_bytes);
		if (!past)
			return true;
	}
	return false;
}

/* A free extent that takes it, and where. Return: its index, nr_extents if there is none. */
static unsigned int first_fit(const struct quoll_arena *arena, uint64_t size_bytes, uint64_t align, uint64_t *off)
{
	unsigned int i;

	for (i = 0; i < arena->nr_extents; i++) {
		const struct extent *e = &arena->extents[i];

		if (!e->asked_bytes && find_place(arena, e, size_bytes, align, off))
			break;
	}
	return i;
}

/* More memory at the end, so that the last extent takes it. */
static int grow(struct quoll_arena *arena, uint64_t size_bytes, uint64_t align, struct quoll_error *err)
{
	uint64_t end = arena->off + arena->placed_bytes, from = end, past;
	struct extent *last = arena->nr_extents ? &arena->extents[arena->nr_extents - 1] : NULL;
	int rc;

	if (last && !last->asked_bytes) {
		past = past_exposed(arena, last->off, last->size_bytes);
		from = past ? past : last->off;
	} else {
		last = NULL;
	}
	rc = heap_grow(arena, aligned_off(arena, from, align) + size_bytes - end, err);
	if (rc)
		return rc;
	if (!last) {
		last = insert(arena, arena->nr_extents);
		*last = (struct extent){.off = end};
	}
	last->size_bytes = arena->off + arena->placed_bytes - last->off;
	return 0;
}

int quoll_arena_alloc(struct quoll_arena *arena, uint64_t bytes, uint64_t align, void **va, struct quoll_error *err)
{
	uint64_t size, off;
	unsigned int i;
	int rc;

	if (!bytes || !align || (align & (align - 1)) || align > MAX_ALIGN)
		return quoll_error_set(err, EINVAL, "heap", arena->name,
				       "cannot allocate %" PRIu64 " bytes aligned to %" PRIu64, bytes, align);
	if (bytes > arena->max_bytes) {
		quoll_error_set(err, ENOSPC, "heap", arena->name, "%" PRIu64 " bytes do not fit into %" PRIu64, bytes,
				arena->max_bytes);
		quoll_error_hint(err, "give the arena a larger max_bytes");
		return -ENOSPC;
	}
	if (align < GRANULE_BYTES)
		align = GRANULE_BYTES;
	size = round_up(bytes, GRANULE_BYTES);
	rc = make_room(arena, err);
	if (rc)
		return rc;
	renew_exposed(arena);
	i = first_fit(arena, size, align, &off);
	if (i == arena->nr_extents) {
		rc = grow(arena, size, align, err);
		if (rc)
			return rc;
		i = arena->nr_extents - 1;
		(void)find_place(arena, &arena->extents[i], size, align, &off); /* there is one now */
	}
	i = carve(arena, i, off, size);
	*va = (void *)(arena->heap->pub.va_base + off);
	if (arena->extents[i].dirty)
		memset(*va, 0, size);
	arena->extents[i].dirty = false;
	arena->extents[i].asked_bytes = bytes;
	return 0;
}

/* The extent that starts at off. Return: its index, nr_extents if none does. */
static unsigned int find_extent(const struct quoll_arena *arena, uint64_t off)
{
	unsigned int lo = 0, hi = arena->nr_extents;

	while (lo < hi) {
		unsigned int mid = lo + (hi - lo) / 2;

		if (arena->extents[mid].off < off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < arena->nr_extents && arena->extents[lo].off == off ? lo : arena->nr_extents;
}

/* Join extent i with i + 1 if both are free. */
static void join_free(struct quoll_arena *arena, unsigned int i)
{
	struct extent *e = &arena->extents[i];

	if (i + 1 >= arena->nr_extents || e[0].asked_bytes || e[1].asked_bytes)
		return;
	e[0].size_bytes += e[1].size_bytes;
	e[0].dirty |= e[1].dirty;
	erase(arena, i + 1);
}

int quoll_arena_free(struct quoll_arena *arena, void *va, uint64_t bytes)
{
	unsigned int i = find_extent(arena, (uintptr_t)va - arena->heap->pub.va_base);

	if (i == arena->nr_extents || !bytes || arena->extents[i].asked_bytes != bytes)
		return -EINVAL;
	arena->extents[i].asked_bytes = 0;
	arena->extents[i].dirty = true;
	join_free(arena, i);
	if (i)
		join_free(arena, i - 1);
	return 0;
}
