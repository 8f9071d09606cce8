/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stream_world.h - a stream in an IOAS that records what is mapped, its heap of 4 KiB pages, and memory outside of it.
 */
#ifndef QUOLL_TESTS_STREAM_WORLD_H
#define QUOLL_TESTS_STREAM_WORLD_H

#include <sys/mman.h>

#include <quoll/stream.h>

#include "eal/mem/fake_ioas.h"
#include "unit.h"

#define PAGE 4096ull
#define RW (MAP_DEVICE_READ | MAP_DEVICE_WRITE)
#define ONLY(way) QUOLL_WAY_BIT(QUOLL_WAY_##way)
#define OUTSIDE_BYTES (4ull << 20)

struct world {
	struct fake *fake;
	struct quoll_heap *heap;
	struct quoll_arena *arena;
	struct quoll_stream *stream;
	uint8_t *outside; /* OUTSIDE_BYTES, never touched */
	unsigned int nr_heap_maps;
};

static inline void world_open(struct world *w, const struct quoll_stream_opts *opts)
{
	struct quoll_heap_opts heap_opts = {.size_bytes = 64ull << 20, .pages = QUOLL_PAGES_4K, .numa_node = -1};
	void *outside = mmap(NULL, OUTSIDE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	*w = (struct world){.fake = fake_new(), .outside = outside};
	CU_ASSERT_FATAL(w->fake && outside != MAP_FAILED);
	heap_opts.ioases = &w->fake->ioas;
	heap_opts.nr_ioases = 1;
	CU_ASSERT_EQUAL_FATAL(quoll_heap_create(NULL, &heap_opts, &w->heap, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(
		quoll_arena_create(w->heap, "test", QUOLL_ARENA_DEVICE_READ_WRITE, 1 << 20, &w->arena, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_stream_create(w->fake->ioas, w->heap, opts, &w->stream, NULL), 0);
	w->nr_heap_maps = w->fake->nr_maps;
}

static inline void world_close(struct world *w)
{
	quoll_stream_destroy(w->stream);
	quoll_heap_destroy(w->heap);
	CU_ASSERT_EQUAL(w->fake->nr_maps, 0);
	CU_ASSERT_EQUAL(fake_delete(w->fake), 0);
	munmap(w->outside, OUTSIDE_BYTES);
}

static inline struct quoll_stream_seg world_seg(void *va, uint64_t bytes, unsigned int dir)
{
	return (struct quoll_stream_seg){.va = va, .bytes = bytes, .dir = dir};
}

/* Map one piece; what quoll_stream_map() says. */
static inline int world_map(struct world *w, struct quoll_stream_seg *seg, void *va, uint64_t bytes, unsigned int dir)
{
	*seg = world_seg(va, bytes, dir);
	return quoll_stream_map(w->stream, seg, 1);
}

/* An I/O from beginning to end. */
static inline void world_io(struct world *w, void *va, uint64_t bytes, unsigned int dir)
{
	struct quoll_stream_seg seg;

	CU_ASSERT_EQUAL_FATAL(world_map(w, &seg, va, bytes, dir), 1);
	quoll_stream_unmap(w->stream, &seg, 1);
}

static inline struct quoll_stream_stats world_stats(const struct world *w)
{
	struct quoll_stream_stats stats;

	quoll_stream_stats(w->stream, &stats);
	return stats;
}

/* Memory of this process that devices find at an IOVA; NULL if they find none. */
static inline uint8_t *world_at(const struct world *w, quoll_iova_t iova)
{
	for (unsigned int i = 0; i < w->fake->nr_maps; i++) {
		const struct ioas_mapping *m = &w->fake->maps[i];

		if (iova >= m->iova && iova - m->iova < m->len_bytes)
			return (uint8_t *)m->va + (iova - m->iova);
	}
	return NULL;
}

#endif
