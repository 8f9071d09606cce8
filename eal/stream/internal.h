/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * internal.h - what the files of eal/stream share: the stream, and the state of each way that has some.
 *
 * stream.c picks the way of each piece of memory; cache.c owns the registrations, and watch.c tells it when their
 * memory goes away; window.c owns what is mapped for one I/O only, bounce.c the buffers; place.c finds windows of
 * IOVAs.
 */
#ifndef QUOLL_EAL_STREAM_INTERNAL_H
#define QUOLL_EAL_STREAM_INTERNAL_H

#include <quoll/stream.h>
#include <quoll_uapi.h>

#include "backend/backend.h"
#include "stream/pages.h"
#include "stream/watch.h"

static inline uint64_t stream_pages(uint64_t bytes)
{
	return bytes / STREAM_PAGE_BYTES + !!(bytes % STREAM_PAGE_BYTES);
}

/* bounce.c */

#define STREAM_BOUNCE_ARENA "stream" /* its name */

/* Whose data a page holds, or held last: so many bytes from @va on. Written by the stream's thread, read by any. */
struct stream_held {
	uintptr_t va;
	uint64_t bytes; /* 0: none ever */
};

struct stream_bounce {
	struct quoll_arena *arena;
	uint8_t *va;
	quoll_iova_t iova;
	uint64_t bytes;
	struct page_runs pages;
	struct stream_held *held; /* by page */
};

int stream_bounce_init(struct stream_bounce *bounce, struct quoll_heap *heap, uint64_t bytes, struct quoll_error *err);
void stream_bounce_fini(struct stream_bounce *bounce);
/* Return: 0, -EAGAIN, -E2BIG. */
int stream_bounce_map(struct stream_bounce *bounce, struct quoll_stream_seg *seg);
void stream_bounce_unmap(struct stream_bounce *bounce, const struct quoll_stream_seg *seg);
/* As quoll_stream_sync() has it. */
void stream_bounce_sync(struct stream_bounce *bounce, const struct quoll_stream_seg *seg, unsigned int dir);

/* cache.c */

#define STREAM_NO_ENTRY UINT32_MAX

/* Whole pages of the process, mapped at a place of the window. Free ones are in a list through @hash_next. */
struct stream_entry {
	uintptr_t va;
	uint64_t bytes; /* 0: free */
	quoll_iova_t iova;
	unsigned int access; /* MAP_DEVICE_* */
	uint32_t refs;	     /* I/Os that use it */
	uint32_t hash_next;
	uint32_t older; /* while refs is 0 */
	uint32_t newer;
	bool forgotten; /* not to be found any more */
	bool stuck;	/* could not be unmapped: its IOVAs are not used again */
	bool gone;	/* its memory: set by watch.c, in another thread */
};

#define STREAM_UNSURE (1ull << 63) /* no turn has that */

struct stream_cache {
	struct quoll_ioas *ioas;
	quoll_iova_t iova; /* of the window; QUOLL_IOVA_INVALID: none */
	struct page_runs pages;
	struct stream_entry *entries;
	uint32_t nr_entries;
	uint32_t free_entry;
	uint32_t *buckets;
	unsigned int bucket_shift; /* 64 less the bits of a bucket's number */
	uint32_t oldest;	   /* of those that no I/O uses */
	uint32_t newest;
	uint64_t max_bytes;
	/* Up to which turn of the watch marks are seen to. Without one @turn never moves. */
	const uint64_t *turn;
	uint64_t seen;
	uint64_t unsure; /* STREAM_UNSURE: the kernel is to be asked once in each call; 0: it is not */
	bool is_watched;
	struct stream_watched watched;
	/* Counters; others read them. */
	uint64_t bytes;
	uint64_t nr;
	uint64_t hits;
	uint64_t misses;
	uint64_t evicted;
	uint64_t gone;
	uint64_t unwatched;
	int unwatched_errno; /* of the last one; others read it */
};

int stream_cache_init(struct stream_cache *cache, struct quoll_ioas *ioas, const struct quoll_stream_opts *opts,
		      struct quoll_error *err);
void stream_cache_fini(struct stream_cache *cache);
/* Before the first map of a call. */
static inline void stream_cache_begin(struct stream_cache *cache)
{
	cache->seen |= cache->unsure;
}

/* Return: 0, -EAGAIN, -E2BIG, -ENOTSUP: this memory cannot be watched, -errno of the mapping. */
int stream_cache_map(struct stream_cache *cache, struct quoll_stream_seg *seg);
void stream_cache_unmap(struct stream_cache *cache, const struct quoll_stream_seg *seg);
int stream_cache_forget(struct stream_cache *cache, uintptr_t va, uint64_t bytes);

/* place.c */

/* Fewer of @what make it smaller. */
struct stream_window_want {
	enum quoll_stream_way way;
	uint64_t bytes;
	const char *what;
};

/* Return: 0, -ENOTSUP: the IOMMU's pages are too large. */
int stream_pages_check(const struct quoll_ioas_info *info, enum quoll_stream_way way, struct quoll_error *err);
/* The place is taken until ioas_window_remove(). Return: 0, -ENOSPC, -ERANGE. */
int stream_window_place(struct quoll_ioas *ioas, const struct quoll_ioas_info *info,
			const struct stream_window_want *wanted, quoll_iova_t *iova, struct quoll_error *err);

/* window.c */

#define STREAM_RING_ENTRIES 512u
#define STREAM_BATCH (STREAM_RING_ENTRIES - 1) /* entries staged at most; one more is a fence */

struct stream_run {
	uint32_t first;
	uint32_t nr;
};

/*
 * A page of the window where a mapping begins, or began last, has the address of its first page, with how it was mapped
 * in the bits below, and a state: its number of pages, and once it is not mapped any more the number of the fence
 * behind its unmap, which is not 0. Other pages have what was there when one began there; 0: none did. Written by the
 * stream's thread, read by any (where.c).
 */
#define STREAM_SLOT_DIR_MASK (QUOLL_SEG_READ | QUOLL_SEG_WRITE)
#define STREAM_SLOT_REGISTERED QUOLL_STREAM_REGISTERED
#define STREAM_SLOT_NR_MASK 0x7fffffffull
#define STREAM_SLOT_LOST (1ull << 31) /* the kernel did not unmap it */
#define STREAM_SLOT_FENCE_SHIFT 32

static inline uint32_t stream_slot_fence(uint64_t state)
{
	return (uint32_t)(state >> STREAM_SLOT_FENCE_SHIFT);
}

static inline bool stream_slot_mapped(uint64_t state)
{
	return state && !stream_slot_fence(state);
}

struct stream_buffer {
	uintptr_t va;
	uint64_t bytes;
	uint32_t id;
	bool write;
};

struct stream_window {
	struct quoll_ioas *ioas; /* NULL: there is none */
	struct quoll_group *group;
	const struct stream_ops *ops;
	int dead; /* -errno: entries are taken no more */
	/* This stream's part of the address space's window. */
	quoll_iova_t iova;
	uint32_t part_first;
	uint32_t part_nr;
	uint32_t nr_lost; /* pages that the kernel did not unmap */
	struct page_runs pages;
	uint64_t *states;    /* by page */
	uint64_t *pieces;    /* likewise */
	uint64_t next_fence; /* its number, as in a state */
	/* The ring, which the kernel writes to as well. */
	uint32_t ring;
	uint64_t shared_bytes;
	struct quoll_stream_head *head;
	struct quoll_stream_entry *entries;
	struct quoll_stream_done *dones;
	uint32_t tail;
	uint32_t done_head;
	/* What is put in the ring, and what came of it. */
	uint32_t nr_staged;
	struct stream_run staged[STREAM_RING_ENTRIES];
	int results[STREAM_RING_ENTRIES];
	struct stream_buffer *buffers; /* by va */
	unsigned int nr_buffers;
	unsigned int last_buffer; /* that was asked for */
};

/* Also after a failure fini is called. @bytes: 0 for the default. */
int stream_window_init(struct stream_window *window, struct quoll_ioas *ioas, uint64_t bytes, struct quoll_error *err);
void stream_window_fini(struct stream_window *window);

/*
 * Stage a map, at most STREAM_BATCH of them: @seg's IOVA is known, and reaches nothing until stream_window_map(), after
 * which results has 0 or -errno for each in their order. Return: 0, -EAGAIN, -E2BIG; registered: -EFAULT: it isn't, or
 * not for this direction; the errno that the window has died of.
 */
int stream_window_stage(struct stream_window *window, struct quoll_stream_seg *seg);
int stream_window_stage_registered(struct stream_window *window, struct quoll_stream_seg *seg);
/* Return: whether all of them are mapped. */
bool stream_window_map(struct stream_window *window);

/* Stage an unmap, any number; devices reach none of it any more after stream_window_unmap(). */
void stream_window_stage_unmap(struct stream_window *window, const struct quoll_stream_seg *seg);
void stream_window_unmap(struct stream_window *window);

/* Return: 0, or as quoll_stream_register() and quoll_stream_unregister() have it. */
int stream_window_register(struct stream_window *window, uintptr_t va, uint64_t bytes, unsigned int dir);
int stream_window_unregister(struct stream_window *window, uintptr_t va);

struct quoll_stream {
	const struct quoll_heap *heap;
	unsigned int ways;
	uint64_t segs[QUOLL_NR_WAYS];
	uint64_t bytes[QUOLL_NR_WAYS];
	struct stream_bounce bounce;
	struct stream_cache cache;
	struct stream_window window;
};

#endif
