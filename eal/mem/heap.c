/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * heap.c - which memory is behind a heap's window, and in which IOASes it is mapped.
 *
 * Owns the chunks and the list of attached IOASes; every mapping goes through map_chunk() and unmap_chunk(). The window
 * itself is window.c's, what lies inside an arena arena.c's.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "iova.h"
#include "mem.h"

static struct heap *heap_of(struct quoll_heap *pub)
{
	return (struct heap *)pub;
}

/* Huge pages ran out and any will do: the rest of this heap is placed on 4 KiB pages. */
static void fall_back(struct heap *heap)
{
	quoll_log(&heap->env, QUOLL_LOG_WARN, "heap", "out of 2 MiB pages, going on with 4 KiB pages");
	heap->may_fall_back = false;
	heap->page_bytes = SMALL_PAGE_BYTES;
	heap->chunk_bytes = SMALL_CHUNK_BYTES;
}

/* Mapping chunks. */

static int map_chunk(struct heap *heap, struct quoll_ioas *ioas, const struct quoll_arena *arena,
		     const struct chunk *chunk, struct quoll_error *err)
{
	struct ioas_mapping m = {
		.va = (void *)(heap->pub.va_base + chunk->off),
		.iova = heap->pub.iova_base + chunk->off,
		.len_bytes = chunk->size_bytes,
		.access = arena->access,
		.fd = chunk->fd,
	};

	return ioas_map(ioas, &m, err);
}

static int unmap_chunk(struct heap *heap, struct quoll_ioas *ioas, struct chunk *chunk)
{
	int rc;

	/* The address space forgets that with the mapping. */
	chunk->exposed |= ioas_is_exposed(ioas, heap->pub.iova_base + chunk->off);
	rc = ioas_unmap(ioas, heap->pub.iova_base + chunk->off, chunk->size_bytes);

	if (rc == -ENOENT) /* unmapped before, when another IOAS would not */
		return 0;
	if (rc)
		quoll_log(&heap->env, QUOLL_LOG_ERROR, "heap", "IOVA 0x%" PRIx64 " could not be unmapped: %s",
			  heap->pub.iova_base + chunk->off, strerrordesc_np(-rc));
	return rc;
}

/* The limits are asked for one IOAS after another: what the first pins counts against the second. */
static int map_everywhere(struct quoll_arena *arena, struct chunk *chunk, struct quoll_error *err)
{
	struct heap *heap = arena->heap;
	unsigned int done;
	int rc = 0;

	for (done = 0; done < heap->nr_ioases; done++) {
		rc = ioas_check_limits(heap->ioases[done], chunk->size_bytes, 1, err);
		if (!rc)
			rc = map_chunk(heap, heap->ioases[done], arena, chunk, err);
		if (rc)
			break;
	}
	if (rc)
		while (done--)
			(void)unmap_chunk(heap, heap->ioases[done], chunk);
	return rc;
}

static bool unmap_everywhere(struct heap *heap, struct chunk *chunk)
{
	bool unmapped = true;

	for (unsigned int i = 0; i < heap->nr_ioases; i++)
		if (unmap_chunk(heap, heap->ioases[i], chunk))
			unmapped = false;
	return unmapped;
}

static void *chunk_va(const struct heap *heap, const struct chunk *chunk)
{
	return (void *)(heap->pub.va_base + chunk->off);
}

static int place(struct quoll_arena *arena, struct chunk *chunk, struct quoll_error *err)
{
	const struct heap *heap = arena->heap;
	struct chunk_want want = {
		.name = arena->name,
		.va = chunk_va(heap, chunk),
		.size_bytes = chunk->size_bytes,
		.page_bytes = heap->page_bytes,
		.numa_node = heap->numa_node,
		.peer_reads = !(arena->access & MAP_DEVICE_WRITE),
	};

	return chunk_place(&heap->env, &want, &chunk->fd, err);
}

/* *no_pages tells a lack of memory from a limit on mapping it. */
static int place_and_map(struct quoll_arena *arena, uint64_t size_bytes, bool *no_pages, struct quoll_error *err)
{
	struct heap *heap = arena->heap;
	struct chunk chunk = {.off = arena->off + arena->placed_bytes, .size_bytes = size_bytes};
	struct chunk *chunks = realloc(arena->chunks, (arena->nr_chunks + 1) * sizeof(*chunks));
	int rc;

	*no_pages = false;
	if (!chunks)
		return quoll_error_set(err, ENOMEM, "heap", arena->name, "out of memory");
	arena->chunks = chunks;
	rc = place(arena, &chunk, err);
	if (rc) {
		*no_pages = rc == -ENOMEM;
		return rc;
	}
	rc = map_everywhere(arena, &chunk, err);
	if (rc) {
		chunk_remove(chunk_va(heap, &chunk), size_bytes, chunk.fd);
		return rc;
	}
	arena->chunks[arena->nr_chunks++] = chunk;
	arena->placed_bytes += size_bytes;
	return 0;
}

int heap_grow(struct quoll_arena *arena, uint64_t need_bytes, struct quoll_error *err)
{
	struct heap *heap = arena->heap;
	uint64_t room = arena->max_bytes - arena->placed_bytes, least, ample;
	bool no_pages;
	int rc;

	if (need_bytes > room)
		return quoll_error_set(err, ENOSPC, "heap", arena->name,
				       "%" PRIu64 " bytes more do not fit, %" PRIu64 " of %" PRIu64 " are left",
				       need_bytes, room, arena->max_bytes);
	do {
		least = round_up(need_bytes, heap->chunk_bytes);
		/* An eighth more, so that many small requests make few mappings; if that is too much, just enough. */
		ample = round_up(arena->placed_bytes / 8, heap->chunk_bytes);
		if (ample > least && ample <= room && !place_and_map(arena, ample, &no_pages, NULL))
			return 0;
		rc = place_and_map(arena, least, &no_pages, err);
		if (!rc || !no_pages || !heap->may_fall_back)
			return rc;
		fall_back(heap);
	} while (true);
}

bool heap_shrink(struct quoll_arena *arena)
{
	struct heap *heap = arena->heap;

	while (arena->nr_chunks) {
		struct chunk *chunk = &arena->chunks[arena->nr_chunks - 1];

		if (!unmap_everywhere(heap, chunk))
			return false;
		if (!chunk->bare)
			chunk_remove(chunk_va(heap, chunk), chunk->size_bytes, chunk->fd);
		arena->placed_bytes -= chunk->size_bytes;
		arena->nr_chunks--;
	}
	return true;
}

/* Chunks that somebody whose session is over may still reach. */

void heap_look_exposed(struct quoll_arena *arena)
{
	const struct heap *heap = arena->heap;

	for (unsigned int c = 0; c < arena->nr_chunks; c++)
		for (unsigned int i = 0; i < heap->nr_ioases; i++)
			arena->chunks[c].exposed |=
				ioas_is_exposed(heap->ioases[i], heap->pub.iova_base + arena->chunks[c].off);
}

/* The old file goes first: huge pages may be few. */
void heap_renew(struct quoll_arena *arena, struct chunk *chunk)
{
	struct heap *heap = arena->heap;
	bool said = chunk->bare;
	struct quoll_error err;
	int rc;

	if (!chunk->bare) {
		if (!unmap_everywhere(heap, chunk))
			return;
		chunk_remove(chunk_va(heap, chunk), chunk->size_bytes, chunk->fd);
		chunk->bare = true;
	}
	rc = place(arena, chunk, &err);
	if (!rc) {
		rc = map_everywhere(arena, chunk, &err);
		if (rc)
			chunk_remove(chunk_va(heap, chunk), chunk->size_bytes, chunk->fd);
	}
	/* It is tried again whenever memory is wanted. */
	if (rc && !said)
		quoll_log(&heap->env, QUOLL_LOG_WARN, "heap", "%s: 0x%" PRIx64 " bytes stay out of use: %s",
			  arena->name, chunk->size_bytes, err.what);
	chunk->exposed = chunk->bare = rc;
}

/* Attaching. */

static struct quoll_iova_range window_of(const struct heap *heap)
{
	return (struct quoll_iova_range){heap->pub.iova_base, heap->pub.iova_base + (heap->pub.size_bytes - 1)};
}

static int window_error(const struct heap *heap, const char *what, struct quoll_error *err)
{
	struct quoll_iova_range w = window_of(heap);

	quoll_error_set(err, ERANGE, "heap", "attach", "the window 0x%" PRIx64 " to 0x%" PRIx64 " %s", w.first, w.last,
			what);
	quoll_error_hint(err, "name all address spaces when the heap is created, so that one window fits them");
	return -ERANGE;
}

int heap_ioas_info(struct quoll_ioas *ioas, struct quoll_ioas_info *info, struct quoll_error *err)
{
	int rc = quoll_ioas_info(ioas, info, err);

	if (rc)
		return rc;
	if (info->nr_ranges && info->nr_ranges <= QUOLL_IOAS_MAX_RANGES)
		return 0;
	quoll_error_set(err, ENXIO, "heap", "attach",
			"the address space has no group yet, so its limits are not known");
	quoll_error_hint(err, "claim a group into it first");
	return -ENXIO;
}

static int check_fit(const struct heap *heap, struct quoll_ioas *ioas, struct quoll_error *err)
{
	struct quoll_iova_range window = window_of(heap);
	struct quoll_ioas_info info;
	struct iova_set set = {.ranges = info.ranges};
	int rc = heap_ioas_info(ioas, &info, err);

	if (rc)
		return rc;
	set.nr_ranges = info.nr_ranges;
	/* The IOMMU's smallest page must divide our chunks; a back-end that names none has no such limit. */
	if (info.page_sizes && (info.page_sizes & -info.page_sizes) > heap->chunk_bytes)
		return quoll_error_set(err, ENOTSUP, "heap", "attach",
				       "the IOMMU's smallest page is %" PRIu64 " bytes, more than the heap's chunks",
				       info.page_sizes & -info.page_sizes);
	if (iova_window_check(&set, NULL, 0, &window))
		return window_error(heap, "does not lie within what this address space can map", err);
	if (iova_window_check(&set, ioas->windows, ioas->nr_windows, &window))
		return window_error(heap, "overlaps that of another heap or stream in this address space", err);
	return 0;
}

static unsigned int count_chunks(const struct heap *heap, uint64_t *placed_bytes)
{
	unsigned int nr = 0;

	*placed_bytes = 0;
	for (const struct quoll_arena *a = heap->arenas; a; a = a->next) {
		nr += a->nr_chunks;
		*placed_bytes += a->placed_bytes;
	}
	return nr;
}

static void unmap_first(struct heap *heap, struct quoll_ioas *ioas, unsigned int nr)
{
	for (struct quoll_arena *a = heap->arenas; a; a = a->next)
		for (unsigned int i = 0; i < a->nr_chunks && nr; i++, nr--)
			(void)unmap_chunk(heap, ioas, &a->chunks[i]);
}

static int map_all(struct heap *heap, struct quoll_ioas *ioas, struct quoll_error *err)
{
	unsigned int done = 0;

	for (struct quoll_arena *a = heap->arenas; a; a = a->next) {
		for (unsigned int i = 0; i < a->nr_chunks; i++) {
			int rc = a->chunks[i].bare ? 0 : map_chunk(heap, ioas, a, &a->chunks[i], err);

			if (rc) {
				unmap_first(heap, ioas, done);
				return rc;
			}
			done++;
		}
	}
	return 0;
}

int quoll_heap_attach(struct quoll_heap *pub, struct quoll_ioas *ioas, struct quoll_error *err)
{
	struct heap *heap = heap_of(pub);
	struct quoll_iova_range window;
	struct quoll_ioas **ioases;
	uint64_t placed_bytes;
	unsigned int nr;
	int rc;

	for (unsigned int i = 0; i < heap->nr_ioases; i++)
		if (heap->ioases[i] == ioas)
			return quoll_error_set(err, EALREADY, "heap", "attach",
					       "attached to this address space already");
	if (ioas->nr_windows >= IOAS_MAX_WINDOWS)
		return quoll_error_set(err, ENOSPC, "heap", "attach",
				       "the address space has %d heaps and streams, the most it takes",
				       IOAS_MAX_WINDOWS);
	ioases = realloc(heap->ioases, (heap->nr_ioases + 1) * sizeof(*ioases));
	if (!ioases)
		return quoll_error_set(err, ENOMEM, "heap", "attach", "out of memory");
	heap->ioases = ioases;
	rc = check_fit(heap, ioas, err);
	if (rc)
		return rc;
	nr = count_chunks(heap, &placed_bytes);
	rc = nr ? ioas_check_limits(ioas, placed_bytes, nr, err) : 0;
	if (!rc)
		rc = map_all(heap, ioas, err);
	if (rc)
		return rc;
	heap->ioases[heap->nr_ioases++] = ioas;
	window = window_of(heap);
	ioas_window_add(ioas, &window);
	return 0;
}

int quoll_heap_detach(struct quoll_heap *pub, struct quoll_ioas *ioas)
{
	struct heap *heap = heap_of(pub);

	for (unsigned int i = 0; i < heap->nr_ioases; i++) {
		if (heap->ioases[i] != ioas)
			continue;
		unmap_first(heap, ioas, UINT32_MAX);
		heap->ioases[i] = heap->ioases[--heap->nr_ioases];
		ioas_window_remove(ioas, heap->pub.iova_base);
		return 0;
	}
	return -ENOENT;
}

void quoll_heap_info(const struct quoll_heap *pub, struct quoll_heap_info *info)
{
	const struct heap *heap = (const struct heap *)pub;

	info->va = (void *)pub->va_base;
	info->iova = pub->iova_base;
	info->size_bytes = pub->size_bytes;
	info->page_bytes = heap->page_bytes;
	info->nr_chunks = count_chunks(heap, &info->placed_bytes);
	info->nr_ioases = heap->nr_ioases;
}

unsigned int quoll_heap_chunks(const struct quoll_heap *pub, struct quoll_heap_chunk *chunks, unsigned int n)
{
	const struct heap *heap = (const struct heap *)pub;
	unsigned int nr = 0;

	for (struct quoll_arena *arena = heap->arenas; arena; arena = arena->next) {
		for (unsigned int i = 0; i < arena->nr_chunks; i++) {
			struct chunk *chunk = &arena->chunks[i];

			/* No memory is there, and its file is closed. */
			if (chunk->bare)
				continue;
			if (nr++ >= n)
				continue;
			chunk->shown = true;
			chunks[nr - 1] = (struct quoll_heap_chunk){
				.va = (void *)(pub->va_base + chunk->off),
				.iova = pub->iova_base + chunk->off,
				.size_bytes = chunk->size_bytes,
				.fd = chunk->fd,
				.access = arena->access & MAP_DEVICE_WRITE ? QUOLL_ARENA_DEVICE_READ_WRITE
									   : QUOLL_ARENA_DEVICE_READ,
			};
		}
	}
	return nr;
}
