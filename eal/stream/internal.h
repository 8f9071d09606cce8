/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * internal.h - what the files of eal/stream share: the stream, and the state of each way that has some.
 *
 * stream.c picks the way of each piece of memory; cache.c owns the registrations and their window of IOVAs, bounce.c
 * the buffers.
 */
#ifndef QUOLL_EAL_STREAM_INTERNAL_H
#define QUOLL_EAL_STREAM_INTERNAL_H

#include <quoll/stream.h>

#include "backend/backend.h"
#include "stream/pages.h"

static inline uint64_t stream_pages(uint64_t bytes)
{
	return bytes / STREAM_PAGE_BYTES + !!(bytes % STREAM_PAGE_BYTES);
}

/* bounce.c */

struct stream_bounce {
	struct quoll_arena *arena;
	uint8_t *va;
	quoll_iova_t iova;
	uint64_t bytes;
	struct page_runs pages;
};

int stream_bounce_init(struct stream_bounce *bounce, struct quoll_heap *heap, uint64_t bytes, struct quoll_error *err);
void stream_bounce_fini(struct stream_bounce *bounce);
/* Return: 0, -EAGAIN, -E2BIG. */
int stream_bounce_map(struct stream_bounce *bounce, struct quoll_stream_seg *seg);
void stream_bounce_unmap(struct stream_bounce *bounce, const struct quoll_stream_seg *seg);

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
};

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
	/* Counters; others read them. */
	uint64_t bytes;
	uint64_t nr;
	uint64_t hits;
	uint64_t misses;
	uint64_t evicted;
};

int stream_cache_init(struct stream_cache *cache, struct quoll_ioas *ioas, const struct quoll_stream_opts *opts,
		      struct quoll_error *err);
void stream_cache_fini(struct stream_cache *cache);
/* Return: 0, -EAGAIN, -E2BIG, -errno of the mapping. */
int stream_cache_map(struct stream_cache *cache, struct quoll_stream_seg *seg);
void stream_cache_unmap(struct stream_cache *cache, const struct quoll_stream_seg *seg);
int stream_cache_forget(struct stream_cache *cache, uintptr_t va, uint64_t bytes);

struct quoll_stream {
	const struct quoll_heap *heap;
	unsigned int ways;
	uint64_t segs[QUOLL_NR_WAYS];
	uint64_t bytes[QUOLL_NR_WAYS];
	struct stream_bounce bounce;
	struct stream_cache cache;
};

#endif
