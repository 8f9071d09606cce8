/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bounce.c - buffers in the heap that stand in for memory which devices cannot, or shall not, reach: whole pages of one
 * area, copied into when they are mapped and out of when the I/O is over, as its direction has it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "stream/internal.h"

int stream_bounce_init(struct stream_bounce *bounce, struct quoll_heap *heap, uint64_t bytes, struct quoll_error *err)
{
	void *va;
	int rc = page_runs_init(&bounce->pages, stream_pages(bytes));

	if (rc)
		return quoll_error_set(err, -rc, "stream", "bounce", "%" PRIu64 " bytes of buffers are not possible",
				       bytes);
	bounce->bytes = stream_pages(bytes) * STREAM_PAGE_BYTES;
	bounce->held = calloc(stream_pages(bytes), sizeof(*bounce->held));
	if (!bounce->held) {
		stream_bounce_fini(bounce);
		return quoll_error_set(err, ENOMEM, "stream", "bounce", "out of memory");
	}
	/* One area for both directions: what a device writes where it was to read harms only what it reads. */
	rc = quoll_arena_create(heap, STREAM_BOUNCE_ARENA, QUOLL_ARENA_DEVICE_READ_WRITE, bounce->bytes, &bounce->arena,
				err);
	if (!rc)
		rc = quoll_arena_alloc(bounce->arena, bounce->bytes, STREAM_PAGE_BYTES, &va, err);
	if (rc) {
		stream_bounce_fini(bounce);
		return rc;
	}
	bounce->va = va;
	bounce->iova = quoll_heap_iova(heap, va, bounce->bytes);
	return 0;
}

void stream_bounce_fini(struct stream_bounce *bounce)
{
	if (bounce->arena)
		quoll_arena_destroy(bounce->arena);
	page_runs_fini(&bounce->pages);
	free(bounce->held);
	*bounce = (struct stream_bounce){0};
}

/* For where.c. */
static inline void note(struct stream_held *held, uintptr_t va, uint64_t bytes)
{
	__atomic_store_n(&held->va, va, __ATOMIC_RELAXED);
	__atomic_store_n(&held->bytes, bytes, __ATOMIC_RELAXED);
}

static __attribute__((noinline)) void note_pages(struct stream_held *held, uintptr_t va, uint64_t bytes)
{
	for (; bytes > STREAM_PAGE_BYTES; bytes -= STREAM_PAGE_BYTES, va += STREAM_PAGE_BYTES)
		note(held++, va, STREAM_PAGE_BYTES);
	note(held, va, bytes);
}

int stream_bounce_map(struct stream_bounce *bounce, struct quoll_stream_seg *seg)
{
	uint64_t nr = stream_pages(seg->bytes);
	uint32_t first;

	if (seg->bytes > bounce->bytes)
		return -E2BIG;
	if (!(nr == 1 && page_runs_take_next(&bounce->pages, &first)) && !page_runs_take(&bounce->pages, nr, &first))
		return -EAGAIN;
	seg->token = first;
	seg->iova = bounce->iova + first * STREAM_PAGE_BYTES;
	note(bounce->held + first, (uintptr_t)seg->va, seg->bytes);
	if (QUOLL_UNLIKELY(nr > 1))
		note_pages(bounce->held + first, (uintptr_t)seg->va, seg->bytes);
	stream_bounce_sync(bounce, seg, QUOLL_SEG_READ);
	return 0;
}

void stream_bounce_sync(struct stream_bounce *bounce, const struct quoll_stream_seg *seg, unsigned int dir)
{
	uint64_t valid = seg->valid_bytes < seg->bytes ? seg->valid_bytes : seg->bytes;
	uint8_t *at = bounce->va + seg->token * STREAM_PAGE_BYTES;

	dir &= seg->dir;
	if (dir & QUOLL_SEG_READ)
		memcpy(at, seg->va, seg->bytes);
	if (dir & QUOLL_SEG_WRITE)
		memcpy(seg->va, at, valid);
}

void stream_bounce_unmap(struct stream_bounce *bounce, const struct quoll_stream_seg *seg)
{
	stream_bounce_sync(bounce, seg, QUOLL_SEG_WRITE);
	page_runs_give(&bounce->pages, seg->token, (uint32_t)stream_pages(seg->bytes));
}
