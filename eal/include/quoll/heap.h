/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * heap.h - DMA memory: one window of virtual addresses, one window of IOVAs, mapped in each IOAS it is attached to.
 *
 * IOVA = VA + constant, the same in every IOAS, so a look-up is an add and a compare. What a device may do with memory
 * belongs to the arena: device-read (submission queues, PRP lists, payload to be sent) or device-read-write.
 *
 * A vfio-user server is sent the files behind this memory, and nobody can take them back from it. When the session is
 * over, also by quoll_group_release(), it may go on writing to all that was mapped until then. So nothing more is
 * handed out of that memory; once all of a chunk is free, a new file takes its place. What was handed out before stays
 * where it is, and within that server's reach: a program that goes on and does not trust it frees its buffers and pools
 * before it keeps anything else there, or gives each server an address space and a heap of its own. Destroying the heap
 * ends it in any case.
 */
#ifndef QUOLL_HEAP_H
#define QUOLL_HEAP_H

#include <stdbool.h>

#include <quoll/env.h>
#include <quoll/error.h>
#include <quoll/ioas.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct quoll_heap - what the inline look-up touches; the rest is behind it
 */
struct quoll_heap {
	/* private: */
	uintptr_t va_base;
	uint64_t size_bytes;
	uint64_t iova_base;
};

struct quoll_arena;

enum quoll_arena_access {
	QUOLL_ARENA_DEVICE_READ, /* the IOMMU lets devices read only */
	QUOLL_ARENA_DEVICE_READ_WRITE,
};

enum quoll_heap_pages {
	QUOLL_PAGES_BEST = 0, /* hugepages where there are any, else 4 KiB, and a log line says so */
	QUOLL_PAGES_4K,
	QUOLL_PAGES_2M,
	QUOLL_PAGES_1G,
};

/**
 * struct quoll_heap_opts - how to make a heap
 * @size_bytes: of the window, rounded up to whole chunks (64 KiB, or the huge page); memory is placed on demand. 0 for
 * 64 GiB, or as much as the apertures let through
 * @pages:      a size that is not to be had is an error, except with QUOLL_PAGES_BEST
 * @numa_node:  bind memory to this node; -1 for any
 * @ioases:     @nr_ioases address spaces to fit into and attach to at once
 * @all_writable: every arena is device-read-write, whatever it is created with. For vfio-user servers that map all of a
 * host's memory writable and fail, or die, where it is not; a device behind an IOMMU never needs it
 */
struct quoll_heap_opts {
	uint64_t size_bytes;
	enum quoll_heap_pages pages;
	int numa_node;
	struct quoll_ioas *const *ioases;
	unsigned int nr_ioases;
	bool all_writable;
};

/**
 * struct quoll_heap_info - where a heap lies
 * @va:            start of the window
 * @iova:          start of the IOVA window
 * @size_bytes:    of both
 * @page_bytes:    of what is placed next; with QUOLL_PAGES_BEST it falls to 4 KiB once huge pages have run out
 * @placed_bytes:  memory behind it now
 * @nr_chunks:     pieces of it, each one mapping an IOAS and one file descriptor
 * @nr_ioases:     attached address spaces
 */
struct quoll_heap_info {
	void *va;
	quoll_iova_t iova;
	uint64_t size_bytes;
	uint64_t page_bytes;
	uint64_t placed_bytes;
	unsigned int nr_chunks;
	unsigned int nr_ioases;
};

/**
 * quoll_heap_create() - reserve the windows, attach to the given IOASes
 * @env:  copied; NULL for the ordinary machine
 * @opts: NULL or zeroes for the defaults (numa_node 0 is node 0)
 * @heap: the result; freed by quoll_heap_destroy()
 * @err:  -ERANGE: no IOVA window of that size fits all apertures (the largest that would is named); -ENOMEM: no such
 *        hugepages (says how many pages are free, how many are needed and the command that reserves them); else as
 *        quoll_heap_attach() for each of opts->ioases
 *
 * Thread rule: set-up; heap and arenas belong to one thread at a time, quoll_heap_iova() may be called from any.
 */
QUOLL_API int quoll_heap_create(const struct quoll_env *env, const struct quoll_heap_opts *opts,
				struct quoll_heap **heap, struct quoll_error *err);

/**
 * quoll_heap_destroy() - detach from every IOAS, then free; devices must be quiet
 */
QUOLL_API void quoll_heap_destroy(struct quoll_heap *heap);

/**
 * quoll_heap_attach() - map what is placed, and all that will be, in one more IOAS, at the same IOVAs
 * @err: -ERANGE: the window does not fit its aperture; -ENOMEM: memlock or mapping limit (number needed, command);
 *       -EALREADY; -ENXIO: no group is in the IOAS yet, so its limits are not known. All or nothing.
 */
QUOLL_API int quoll_heap_attach(struct quoll_heap *heap, struct quoll_ioas *ioas, struct quoll_error *err);

/**
 * quoll_heap_detach() - unmap from an IOAS; its devices must be quiet
 * Return: 0, -ENOENT.
 */
QUOLL_API int quoll_heap_detach(struct quoll_heap *heap, struct quoll_ioas *ioas);
QUOLL_API void quoll_heap_info(const struct quoll_heap *heap, struct quoll_heap_info *info);

/**
 * struct quoll_heap_chunk - a piece of a heap's memory, for drivers whose device is another process
 * @fd:      sealed memfd that holds exactly this piece, from its start; stays the heap's
 * @access:  QUOLL_ARENA_DEVICE_READ: the file cannot be mapped writable anew
 */
struct quoll_heap_chunk {
	void *va;
	quoll_iova_t iova;
	uint64_t size_bytes;
	int fd;
	enum quoll_arena_access access;
};

/**
 * quoll_heap_chunks() - what a heap's memory is made of now
 * @chunks: room for @n, ascending by arena and address; NULL if @n is 0
 *
 * Those that were filled in keep their files for good, as a peer may have been shown them: where a vfio-user server
 * that is gone may still reach one, it stays out of use, and is not replaced by new memory.
 *
 * Return: how many there are; the first @n were filled in. Thread rule: the heap's thread.
 */
QUOLL_API unsigned int quoll_heap_chunks(const struct quoll_heap *heap, struct quoll_heap_chunk *chunks,
					 unsigned int n);

/**
 * quoll_heap_iova() - where devices find this memory
 * @va, @len: a buffer, @len >= 1
 *
 * Return: the IOVA of its first byte, the following bytes follow; QUOLL_IOVA_INVALID if any of it is outside the
 * window. A hole in the window (memory not placed, or freed) is not looked for: the IOMMU stops a device there.
 * Thread rule: any thread; hot path, no call.
 */
static inline quoll_iova_t quoll_heap_iova(const struct quoll_heap *heap, const void *va, uint64_t len)
{
	uint64_t off = (uint64_t)((uintptr_t)va - heap->va_base);

	if (QUOLL_UNLIKELY(off >= heap->size_bytes || len > heap->size_bytes - off))
		return QUOLL_IOVA_INVALID;
	return heap->iova_base + off;
}

/**
 * quoll_arena_create() - a part of the window with one permission
 * @heap:      where
 * @name:      for messages; copied
 * @access:    what devices may do
 * @max_bytes: part of the window that is set aside for it, rounded up to whole chunks; 0 for an eighth of the window
 * @arena:     freed by quoll_arena_destroy(), or with the heap
 * @err:       -ENOSPC: the window has no room left for that
 */
QUOLL_API int quoll_arena_create(struct quoll_heap *heap, const char *name, enum quoll_arena_access access,
				 uint64_t max_bytes, struct quoll_arena **arena, struct quoll_error *err);
QUOLL_API void quoll_arena_destroy(struct quoll_arena *arena);
QUOLL_API struct quoll_heap *quoll_arena_heap(struct quoll_arena *arena);

/**
 * quoll_arena_alloc() - zeroed memory that devices reach, contiguous in VA and IOVA
 * @bytes: at least 1
 * @align: power of two, at most 1 GiB; aligns the IOVA and, where the window's offset allows (2 MiB at least), the VA
 * @va:    the result
 * @err:   -ENOSPC: the arena's part of the window is full; -ENOMEM: no pages, memlock, or mapping limit (number,
 * command)
 *
 * Grows the arena by whole chunks; a growth that cannot be mapped in every attached IOAS is undone.
 * Thread rule: set-up; may block.
 */
QUOLL_API int quoll_arena_alloc(struct quoll_arena *arena, uint64_t bytes, uint64_t align, void **va,
				struct quoll_error *err);

/**
 * quoll_arena_free() - give memory back to the arena (it stays mapped); @bytes as asked for
 *
 * An address that was not handed out, or a second time, is refused with -EINVAL and changes nothing.
 */
QUOLL_API int quoll_arena_free(struct quoll_arena *arena, void *va, uint64_t bytes);

#ifdef __cplusplus
}
#endif
#endif
