/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mem.h - what the files of eal/mem share: page pools, chunks, the heap and its arenas. Internal to the eal.
 *
 * All bookkeeping is ordinary memory; what lies in the window belongs to devices too and is never believed.
 */
#ifndef QUOLL_EAL_MEM_H
#define QUOLL_EAL_MEM_H

#include <backend/backend.h>
#include <quoll/heap.h>

#define SMALL_PAGE_BYTES 4096ull
#define HUGE_PAGE_BYTES (2ull << 20)
#define GIANT_PAGE_BYTES (1ull << 30)
/* Chunks of 4 KiB pages are multiples of this: few mappings, but little locked memory for a small program. */
#define SMALL_CHUNK_BYTES (64ull << 10)
/* IOVA and VA agree in their lower bits up to here, so that whatever aligns one aligns the other. */
#define WINDOW_COLOUR_BYTES (1ull << 30)
#define ARENA_NAME_BYTES 32

static inline uint64_t round_up(uint64_t v, uint64_t align)
{
	return (v + align - 1) & ~(align - 1);
}

/* hugepage.c: what the kernel has in its pools. */

/* Pages of one pool; resv are promised to mappings that have not touched them yet, surplus is what may come on top. */
struct hugepage_pool {
	uint64_t nr;
	uint64_t free;
	uint64_t resv;
	uint64_t surplus_left;
};

bool hugepage_size_known(uint64_t page_bytes);
int hugepage_pool_read(const struct quoll_env *env, uint64_t page_bytes, struct hugepage_pool *pool);
uint64_t hugepage_avail(const struct hugepage_pool *pool);

/* "N free, M needed" and the command that makes up the difference, never fewer than there are. Return: -ENOMEM. */
int hugepage_error(const struct quoll_env *env, uint64_t page_bytes, uint64_t need_pages, const char *subject,
		   struct quoll_error *err);

/* Likewise when the machine has enough, but not on the node. */
int hugepage_node_error(const struct quoll_env *env, uint64_t page_bytes, uint64_t need_pages, int node,
			struct quoll_error *err);

/* chunk.c: a piece of memory at a place in the window. */

struct chunk {
	uint64_t off; /* in the heap's window */
	uint64_t size_bytes;
	int fd;
	bool exposed; /* somebody who has no business there may still reach it: nothing is handed out of it */
	bool bare;    /* exposed, and could not be replaced: no memory is there, and it is mapped nowhere */
	bool shown;   /* somebody has, or had, its file to show to a peer: it keeps that */
};

struct chunk_want {
	const char *name;
	void *va;
	uint64_t size_bytes; /* multiple of page_bytes */
	uint64_t page_bytes;
	int numa_node;	     /* -1 for any */
	bool numa_preferred; /* rather than bound: memory from elsewhere is better than none */
	bool peer_reads;     /* whoever else gets the fd can neither write to it nor map it writable */
};

int chunk_place(const struct quoll_env *env, const struct chunk_want *want, int *fd, struct quoll_error *err);
/* Have va's memory come from the wanted node once it is touched; what cannot be done is logged, not an error. */
void chunk_bind(const struct quoll_env *env, const struct chunk_want *want, void *va);
/* The place is reserved again, the memory is the kernel's again (once no device has it mapped any more). */
void chunk_remove(void *va, uint64_t size_bytes, int fd);

/* window.c, heap.c, arena.c */

/* A piece of an arena's placed memory, handed out or free; the array of them covers it without gaps, ascending. */
struct extent {
	uint64_t off; /* in the heap's window */
	uint64_t size_bytes;
	uint64_t asked_bytes; /* as handed out; 0: free */
	bool dirty;	      /* free, and was in use before: to be zeroed when handed out */
};

struct quoll_arena {
	struct heap *heap;
	struct quoll_arena *next; /* ascending by off */
	char name[ARENA_NAME_BYTES];
	unsigned int access; /* MAP_DEVICE_* */
	uint64_t off;	     /* of its part of the window */
	uint64_t max_bytes;
	uint64_t placed_bytes; /* from off on, without gaps */
	unsigned int nr_chunks;
	struct chunk *chunks;
	unsigned int nr_extents;
	unsigned int cap_extents;
	struct extent *extents;
};

struct heap {
	struct quoll_heap pub; /* first: what users hold */
	struct quoll_env env;
	uint64_t page_bytes;
	uint64_t chunk_bytes; /* chunks are multiples of this */
	bool may_fall_back;   /* to 4 KiB pages */
	int numa_node;
	bool all_writable;
	struct quoll_arena *arenas;
	unsigned int nr_ioases;
	struct quoll_ioas **ioases;
};

/* Place at least need_bytes more at the end of the arena's memory and map them in every IOAS, or change nothing. */
int heap_grow(struct quoll_arena *arena, uint64_t need_bytes, struct quoll_error *err);
/* Unmap the arena's memory everywhere and give it back. False if an IOAS would not let go: the rest of it stays then.
 */
bool heap_shrink(struct quoll_arena *arena);
/* Look again which of the arena's chunks are exposed. */
void heap_look_exposed(struct quoll_arena *arena);
/* New memory in place of an exposed chunk's, nothing of which is in use; where that fails it stays out of use. */
void heap_renew(struct quoll_arena *arena, struct chunk *chunk);
/* Take it off the heap's list and forget it, once its memory is gone. */
void arena_free(struct quoll_arena *arena);
/* quoll_ioas_info(), refused while the limits are not known. */
int heap_ioas_info(struct quoll_ioas *ioas, struct quoll_ioas_info *info, struct quoll_error *err);

#endif
