/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * where.h - what lies at an IOVA: the way back from an address that a device used to the buffer it was. For telling of
 * faults (fault.h) and for debugging; nothing of it is for the hot path.
 */
#ifndef QUOLL_WHERE_H
#define QUOLL_WHERE_H

#include <quoll/heap.h>
#include <quoll/stream.h>

#ifdef __cplusplus
extern "C" {
#endif

enum quoll_where_state {
	QUOLL_WHERE_NOWHERE,   /* in no window of IOVAs of what was asked */
	QUOLL_WHERE_EMPTY,     /* in a window, but nothing is there, or was as far as is known */
	QUOLL_WHERE_FREE,      /* heap: devices reach it, and it is not handed out */
	QUOLL_WHERE_IN_USE,    /* heap: handed out; stream: mapped */
	QUOLL_WHERE_UNMAPPING, /* stream: not mapped any more, but the fence was not passed, or the kernel refused */
	QUOLL_WHERE_UNMAPPED,  /* stream: not mapped any more; what was there last is told */
};

/**
 * struct quoll_where - what is at an IOVA
 * @way:    QUOLL_WAY_HEAP: an arena's; else of a stream's, which piece of memory is or was mapped there
 * @dir:    QUOLL_SEG_*: what devices may do there, or could; 0: not known
 * @arena:  name; "" if there is none. Bounce buffers have an arena, too
 * @offset: of the IOVA in its part of the window
 * @va:     of the byte at the IOVA; NULL: not known, or no memory is there
 * @piece, @piece_bytes: what was handed out or mapped, and @va is in: an allocation in an arena; whole pages in
 *          a stream; NULL: not known, or not handed out
 * @held, @held_bytes: of a bounce buffer: the memory outside of the heap whose data the page of the IOVA holds, or held
 *          last, from the page's first byte on; NULL: none yet
 */
struct quoll_where {
	enum quoll_where_state state;
	enum quoll_stream_way way;
	unsigned int dir;
	char arena[32];
	uint64_t offset;
	const void *va;
	const void *piece;
	uint64_t piece_bytes;
	const void *held;
	uint64_t held_bytes;
};

/**
 * quoll_heap_where() - look in a heap
 * @where: filled in, also with QUOLL_WHERE_NOWHERE. A log that knows only pages tells their first byte: of an IOVA at
 *         the start of a page it is the first piece of that page which is handed out
 *
 * Return: whether it is in the heap's window. Thread rule: the heap's thread; time grows with what is allocated.
 */
QUOLL_API bool quoll_heap_where(const struct quoll_heap *heap, quoll_iova_t iova, struct quoll_where *where);

/**
 * quoll_stream_where() - look in a stream: its part of the window, its registrations, its bounce buffers; not its heap
 * @where: filled in, also with QUOLL_WHERE_NOWHERE
 *
 * Return: whether it is one of these. Thread rule: any thread, while the stream is there. If its own thread maps or
 * unmaps right there meanwhile, each number is right, but together they may be from different moments. Time grows with
 * the size of the window and the number of registrations.
 */
QUOLL_API bool quoll_stream_where(const struct quoll_stream *stream, quoll_iova_t iova, struct quoll_where *where);

#ifdef __cplusplus
}
#endif
#endif
