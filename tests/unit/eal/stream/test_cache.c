/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_cache.c - registrations: what devices reach by them, how many there are, which goes first, and what happens when
 * the kernel or the program takes something away. Nobody watches here: test_watch.c has that.
 */
#include <stdlib.h>
#include <string.h>

#include "stream_world.h"

static const struct quoll_stream_opts cached = {.ways = ONLY(CACHED), .cached_watch = QUOLL_CACHED_FORGETS};

static void devices_reach_the_pages_around_the_memory(void)
{
	struct quoll_stream_seg seg;
	struct world w;

	world_open(&w, &cached);
	CU_ASSERT_EQUAL_FATAL(world_map(&w, &seg, w.outside + PAGE + 12, PAGE, QUOLL_SEG_READ), 1);
	CU_ASSERT_EQUAL(seg.way, QUOLL_WAY_CACHED);
	CU_ASSERT_EQUAL(seg.iova % PAGE, 12);
	CU_ASSERT_EQUAL(w.fake->nr_maps, w.nr_heap_maps + 1);
	CU_ASSERT(fake_reaches(w.fake, w.outside + PAGE, seg.iova - 12, 2 * PAGE, MAP_DEVICE_READ));
	CU_ASSERT_PTR_NULL(world_at(&w, seg.iova - 13));
	CU_ASSERT_PTR_NULL(world_at(&w, seg.iova - 12 + 2 * PAGE));
	quoll_stream_unmap(w.stream, &seg, 1);
	/* To write one may read, too: no IOMMU has it otherwise. */
	CU_ASSERT_EQUAL_FATAL(world_map(&w, &seg, w.outside + 8 * PAGE, 1, QUOLL_SEG_WRITE), 1);
	CU_ASSERT(fake_reaches(w.fake, w.outside + 8 * PAGE, seg.iova, PAGE, RW));
	quoll_stream_unmap(w.stream, &seg, 1);
	world_close(&w);
}

static void the_next_io_finds_it_registered(void)
{
	struct quoll_stream_seg seg, again;
	struct world w;

	world_open(&w, &cached);
	CU_ASSERT_EQUAL_FATAL(world_map(&w, &seg, w.outside, 4 * PAGE, QUOLL_SEG_WRITE), 1);
	/* at once, later, another part of its first page, to be read */
	CU_ASSERT_EQUAL_FATAL(world_map(&w, &again, w.outside + 100, 2 * PAGE, QUOLL_SEG_READ), 1);
	CU_ASSERT_EQUAL(again.iova, seg.iova + 100);
	quoll_stream_unmap(w.stream, &seg, 1);
	quoll_stream_unmap(w.stream, &again, 1);
	CU_ASSERT_EQUAL_FATAL(world_map(&w, &again, w.outside, 4 * PAGE, QUOLL_SEG_WRITE), 1);
	CU_ASSERT_EQUAL(again.iova, seg.iova);
	quoll_stream_unmap(w.stream, &again, 1);
	CU_ASSERT_EQUAL(w.fake->nr_maps, w.nr_heap_maps + 1);
	CU_ASSERT_EQUAL(world_stats(&w).hits, 2);
	CU_ASSERT_EQUAL(world_stats(&w).misses, 1);
	CU_ASSERT_EQUAL(world_stats(&w).registrations, 1);
	CU_ASSERT_EQUAL(world_stats(&w).registered_bytes, 4 * PAGE);
	world_close(&w);
}

static void what_does_not_serve_is_registered_beside_it(void)
{
	struct quoll_stream_seg first, seg;
	struct world w;

	world_open(&w, &cached);
	CU_ASSERT_EQUAL_FATAL(world_map(&w, &first, w.outside, PAGE, QUOLL_SEG_READ), 1);
	/* devices may not write through the first */
	CU_ASSERT_EQUAL_FATAL(world_map(&w, &seg, w.outside, PAGE, QUOLL_SEG_WRITE), 1);
	CU_ASSERT_NOT_EQUAL(seg.iova, first.iova);
	CU_ASSERT(fake_reaches(w.fake, w.outside, seg.iova, PAGE, RW));
	CU_ASSERT(fake_reaches(w.fake, w.outside, first.iova, PAGE, MAP_DEVICE_READ));
	quoll_stream_unmap(w.stream, &seg, 1);
	/* longer */
	CU_ASSERT_EQUAL_FATAL(world_map(&w, &seg, w.outside, 2 * PAGE, QUOLL_SEG_READ), 1);
	CU_ASSERT(fake_reaches(w.fake, w.outside, seg.iova, 2 * PAGE, MAP_DEVICE_READ));
	quoll_stream_unmap(w.stream, &seg, 1);
	quoll_stream_unmap(w.stream, &first, 1);
	CU_ASSERT_EQUAL(world_stats(&w).registrations, 3);
	world_close(&w);
}

static bool is_registered(const struct world *w, const void *va)
{
	for (unsigned int i = w->nr_heap_maps; i < w->fake->nr_maps; i++)
		if (w->fake->maps[i].va == va)
			return true;
	return false;
}

static void the_one_used_longest_ago_goes_first(void)
{
	const struct quoll_stream_opts opts = {
		.ways = ONLY(CACHED), .cached_watch = QUOLL_CACHED_FORGETS, .cached_entries = 3};
	struct world w;

	world_open(&w, &opts);
	for (unsigned int i = 0; i < 3; i++)
		world_io(&w, w.outside + i * PAGE, PAGE, QUOLL_SEG_READ);
	world_io(&w, w.outside, PAGE, QUOLL_SEG_READ); /* so 1 is the oldest */
	world_io(&w, w.outside + 3 * PAGE, PAGE, QUOLL_SEG_READ);
	CU_ASSERT_FALSE(is_registered(&w, w.outside + PAGE));
	CU_ASSERT_TRUE(is_registered(&w, w.outside) && is_registered(&w, w.outside + 2 * PAGE) &&
		       is_registered(&w, w.outside + 3 * PAGE));
	world_io(&w, w.outside + 4 * PAGE, PAGE, QUOLL_SEG_READ);
	CU_ASSERT_FALSE(is_registered(&w, w.outside + 2 * PAGE));
	world_io(&w, w.outside + 5 * PAGE, PAGE, QUOLL_SEG_READ);
	CU_ASSERT_FALSE(is_registered(&w, w.outside));
	CU_ASSERT_EQUAL(world_stats(&w).evicted, 3);
	CU_ASSERT_EQUAL(world_stats(&w).registrations, 3);
	CU_ASSERT_EQUAL(w.fake->nr_maps, w.nr_heap_maps + 3);
	world_close(&w);
}

static void so_many_bytes_and_no_more_are_registered(void)
{
	const struct quoll_stream_opts opts = {
		.ways = ONLY(CACHED), .cached_watch = QUOLL_CACHED_FORGETS, .cached_bytes = 8 * PAGE};
	struct quoll_stream_seg seg;
	struct world w;

	world_open(&w, &opts);
	for (unsigned int i = 0; i < 8; i++)
		world_io(&w, w.outside + i * PAGE, PAGE, QUOLL_SEG_READ);
	CU_ASSERT_EQUAL(world_stats(&w).registered_bytes, 8 * PAGE);
	CU_ASSERT_EQUAL(world_stats(&w).evicted, 0);
	world_io(&w, w.outside + 16 * PAGE, 3 * PAGE, QUOLL_SEG_READ);
	CU_ASSERT_EQUAL(world_stats(&w).registered_bytes, 8 * PAGE);
	CU_ASSERT_EQUAL(world_stats(&w).evicted, 3);
	world_io(&w, w.outside + 32 * PAGE, 8 * PAGE, QUOLL_SEG_READ);
	CU_ASSERT_EQUAL(world_stats(&w).registrations, 1);
	/* a byte more is a page more */
	CU_ASSERT_EQUAL(world_map(&w, &seg, w.outside + 32 * PAGE + 1, 8 * PAGE, QUOLL_SEG_READ), -E2BIG);
	CU_ASSERT_EQUAL(world_stats(&w).registrations, 1);
	world_close(&w);
}

static void what_an_io_uses_is_not_thrown_out(void)
{
	struct quoll_stream_opts opts = {.ways = ONLY(CACHED),
					 .cached_watch = QUOLL_CACHED_FORGETS,
					 .cached_entries = 2,
					 .cached_bytes = 64 * PAGE};
	struct quoll_stream_seg segs[2], more;
	struct world w;

	world_open(&w, &opts);
	segs[0] = world_seg(w.outside, PAGE, QUOLL_SEG_WRITE);
	segs[1] = world_seg(w.outside + PAGE, PAGE, QUOLL_SEG_WRITE);
	CU_ASSERT_EQUAL_FATAL(quoll_stream_map(w.stream, segs, 2), 2);
	CU_ASSERT_EQUAL(world_map(&w, &more, w.outside + 2 * PAGE, PAGE, QUOLL_SEG_WRITE), -EAGAIN);
	CU_ASSERT(fake_reaches(w.fake, w.outside, segs[0].iova, PAGE, RW));
	CU_ASSERT(fake_reaches(w.fake, w.outside + PAGE, segs[1].iova, PAGE, RW));
	/* twice in use: once is not enough */
	CU_ASSERT_EQUAL_FATAL(world_map(&w, &more, w.outside, PAGE, QUOLL_SEG_WRITE), 1);
	quoll_stream_unmap(w.stream, &segs[0], 1);
	CU_ASSERT_EQUAL(world_map(&w, &segs[0], w.outside + 2 * PAGE, PAGE, QUOLL_SEG_WRITE), -EAGAIN);
	CU_ASSERT(fake_reaches(w.fake, w.outside, more.iova, PAGE, RW));
	quoll_stream_unmap(w.stream, &more, 1);
	CU_ASSERT_EQUAL(world_map(&w, &segs[0], w.outside + 2 * PAGE, PAGE, QUOLL_SEG_WRITE), 1);
	CU_ASSERT_FALSE(is_registered(&w, w.outside));
	CU_ASSERT(fake_reaches(w.fake, w.outside + PAGE, segs[1].iova, PAGE, RW));
	quoll_stream_unmap(w.stream, segs, 2);
	world_close(&w);
}

static void what_cannot_be_registered_bounces_where_it_may(void)
{
	const struct quoll_stream_opts opts = {.ways = ONLY(CACHED) | ONLY(BOUNCE),
					       .cached_watch = QUOLL_CACHED_FORGETS,
					       .cached_entries = 1,
					       .cached_bytes = 16 * PAGE,
					       .bounce_bytes = 4 * PAGE};
	struct quoll_stream_seg seg, more;
	struct world w;

	world_open(&w, &opts);
	CU_ASSERT_EQUAL_FATAL(world_map(&w, &seg, w.outside, PAGE, QUOLL_SEG_READ), 1);
	CU_ASSERT_EQUAL(seg.way, QUOLL_WAY_CACHED);
	CU_ASSERT_EQUAL_FATAL(world_map(&w, &more, w.outside + PAGE, PAGE, QUOLL_SEG_READ), 1);
	CU_ASSERT_EQUAL(more.way, QUOLL_WAY_BOUNCE);
	quoll_stream_unmap(w.stream, &more, 1);
	/* too large for the buffers, but once the other has gone it can be registered */
	CU_ASSERT_EQUAL(world_map(&w, &more, w.outside + PAGE, 8 * PAGE, QUOLL_SEG_READ), -EAGAIN);
	CU_ASSERT_EQUAL(world_map(&w, &more, w.outside + PAGE, 17 * PAGE, QUOLL_SEG_READ), -E2BIG);
	quoll_stream_unmap(w.stream, &seg, 1);
	CU_ASSERT_EQUAL(world_map(&w, &more, w.outside + PAGE, 8 * PAGE, QUOLL_SEG_READ), 1);
	CU_ASSERT_EQUAL(more.way, QUOLL_WAY_CACHED);
	quoll_stream_unmap(w.stream, &more, 1);
	world_close(&w);
}

static void a_mapping_that_fails_leaves_nothing_behind(void)
{
	const struct quoll_stream_opts opts = {
		.ways = ONLY(CACHED), .cached_watch = QUOLL_CACHED_FORGETS, .cached_bytes = 4 * PAGE};
	struct quoll_stream_seg seg;
	struct world w;

	world_open(&w, &opts);
	for (unsigned int i = 0; i < 20; i++) {
		w.fake->fail_map_call = w.fake->nr_map_calls + 1;
		CU_ASSERT_EQUAL(world_map(&w, &seg, w.outside, 4 * PAGE, QUOLL_SEG_READ), -EIO);
	}
	CU_ASSERT_EQUAL(world_stats(&w).registrations, 0);
	CU_ASSERT_EQUAL(world_stats(&w).misses, 0);
	CU_ASSERT_EQUAL(world_stats(&w).segs[QUOLL_WAY_CACHED], 0);
	world_io(&w, w.outside, 4 * PAGE, QUOLL_SEG_READ);
	world_close(&w);
}

static void where_the_kernel_has_no_room_old_ones_go(void)
{
	struct quoll_stream_seg seg;
	struct world w;

	world_open(&w, &cached);
	for (unsigned int i = 0; i < 3; i++)
		world_io(&w, w.outside + i * PAGE, PAGE, QUOLL_SEG_READ);
	w.fake->fail_map_call = w.fake->nr_map_calls + 1;
	w.fake->fail_errno = ENOMEM;
	world_io(&w, w.outside + 3 * PAGE, PAGE, QUOLL_SEG_READ);
	CU_ASSERT_EQUAL(world_stats(&w).evicted, 1);
	CU_ASSERT_FALSE(is_registered(&w, w.outside));
	CU_ASSERT_TRUE(is_registered(&w, w.outside + 3 * PAGE));
	/* none left to go */
	CU_ASSERT_EQUAL(quoll_stream_forget(w.stream, w.outside, OUTSIDE_BYTES), 0);
	w.fake->fail_map_call = w.fake->nr_map_calls + 1;
	CU_ASSERT_EQUAL(world_map(&w, &seg, w.outside, PAGE, QUOLL_SEG_READ), -ENOMEM);
	world_close(&w);
}

static void memory_is_forgotten_before_it_goes_away(void)
{
	struct world w;

	world_open(&w, &cached);
	for (unsigned int i = 0; i < 8; i++)
		world_io(&w, w.outside + 2 * i * PAGE, 2 * PAGE, QUOLL_SEG_READ);
	/* the last byte of one, two whole ones, the first byte of one */
	CU_ASSERT_EQUAL(quoll_stream_forget(w.stream, w.outside + 4 * PAGE - 1, 4 * PAGE + 2), 0);
	for (unsigned int i = 0; i < 8; i++)
		CU_ASSERT_EQUAL(is_registered(&w, w.outside + 2 * i * PAGE), i < 1 || i > 4);
	CU_ASSERT_EQUAL(world_stats(&w).registrations, 4);
	CU_ASSERT_EQUAL(world_stats(&w).evicted, 0);
	CU_ASSERT_EQUAL(quoll_stream_forget(w.stream, w.outside, 0), 0);
	CU_ASSERT_EQUAL(world_stats(&w).registrations, 4);
	CU_ASSERT_EQUAL(quoll_stream_forget(w.stream, w.outside, UINT64_MAX), 0);
	CU_ASSERT_EQUAL(w.fake->nr_maps, w.nr_heap_maps);
	world_io(&w, w.outside, PAGE, QUOLL_SEG_READ);
	world_close(&w);
}

static void what_is_forgotten_in_use_goes_with_the_last_io(void)
{
	struct quoll_stream_seg a, b, fresh;
	struct world w;

	world_open(&w, &cached);
	CU_ASSERT_EQUAL_FATAL(world_map(&w, &a, w.outside, PAGE, QUOLL_SEG_READ), 1);
	CU_ASSERT_EQUAL_FATAL(world_map(&w, &b, w.outside, PAGE, QUOLL_SEG_READ), 1);
	for (unsigned int i = 0; i < 2; i++)
		CU_ASSERT_EQUAL(quoll_stream_forget(w.stream, w.outside, PAGE), -EBUSY);
	/* it is not found any more */
	CU_ASSERT_EQUAL_FATAL(world_map(&w, &fresh, w.outside, PAGE, QUOLL_SEG_READ), 1);
	CU_ASSERT_NOT_EQUAL(fresh.iova, a.iova);
	quoll_stream_unmap(w.stream, &a, 1);
	CU_ASSERT(fake_reaches(w.fake, w.outside, b.iova, PAGE, MAP_DEVICE_READ));
	quoll_stream_unmap(w.stream, &b, 1);
	CU_ASSERT_PTR_NULL(world_at(&w, b.iova));
	quoll_stream_unmap(w.stream, &fresh, 1);
	CU_ASSERT(fake_reaches(w.fake, w.outside, fresh.iova, PAGE, MAP_DEVICE_READ));
	CU_ASSERT_EQUAL(quoll_stream_forget(w.stream, w.outside, PAGE), 0);
	CU_ASSERT_EQUAL(w.fake->nr_maps, w.nr_heap_maps);
	world_close(&w);
}

static void what_the_kernel_does_not_let_go_of_is_not_used_again(void)
{
	const struct quoll_stream_opts opts = {.ways = ONLY(CACHED),
					       .cached_watch = QUOLL_CACHED_FORGETS,
					       .cached_entries = 2,
					       .cached_bytes = 2 * PAGE};
	struct quoll_stream_seg seg;
	quoll_iova_t stuck;
	struct world w;

	world_open(&w, &opts);
	CU_ASSERT_EQUAL_FATAL(world_map(&w, &seg, w.outside, PAGE, QUOLL_SEG_READ), 1);
	stuck = seg.iova;
	quoll_stream_unmap(w.stream, &seg, 1);
	w.fake->fail_unmap = true;
	CU_ASSERT_EQUAL(quoll_stream_forget(w.stream, w.outside, PAGE), -EIO);
	CU_ASSERT_EQUAL(quoll_stream_forget(w.stream, w.outside, PAGE), -EIO);
	w.fake->fail_unmap = false;
	for (unsigned int i = 0; i < 20; i++) {
		CU_ASSERT_EQUAL_FATAL(world_map(&w, &seg, w.outside + i * PAGE, PAGE, QUOLL_SEG_READ), 1);
		CU_ASSERT_NOT_EQUAL(seg.iova, stuck);
		quoll_stream_unmap(w.stream, &seg, 1);
	}
	CU_ASSERT_PTR_EQUAL(world_at(&w, stuck), w.outside);
	world_close(&w);
}

/* What is pinned must be what the process sees when it writes there later. */
static void memory_is_there_and_its_own_before_it_is_pinned(void)
{
	struct quoll_stream_seg seg;
	unsigned char there[3];
	struct world w;

	world_open(&w, &cached);
	CU_ASSERT_EQUAL_FATAL(mincore(w.outside + PAGE, 3 * PAGE, there), 0);
	CU_ASSERT_FALSE((there[0] | there[1] | there[2]) & 1);
	CU_ASSERT_EQUAL_FATAL(world_map(&w, &seg, w.outside + PAGE, 2 * PAGE, QUOLL_SEG_READ), 1);
	CU_ASSERT_EQUAL_FATAL(mincore(w.outside + PAGE, 3 * PAGE, there), 0);
	CU_ASSERT_TRUE(there[0] & there[1] & 1);
	CU_ASSERT_FALSE(there[2] & 1);
	quoll_stream_unmap(w.stream, &seg, 1);
	world_close(&w);
}

#define NR_SEGS 24

static void random_ios_reach_their_memory_and_no_other(void)
{
	const struct quoll_stream_opts opts = {.ways = ONLY(CACHED) | ONLY(BOUNCE),
					       .cached_watch = QUOLL_CACHED_FORGETS,
					       .cached_bytes = 64 * PAGE,
					       .cached_entries = 16,
					       .bounce_bytes = 32 * PAGE};
	struct quoll_stream_seg segs[NR_SEGS];
	unsigned int seed = 11, nr = 0;
	struct quoll_stream_stats stats;
	struct world w;

	world_open(&w, &opts);
	for (int i = 0; i < 20000; i++) {
		if (nr < NR_SEGS && rand_r(&seed) % 2) {
			uint64_t off = (uint64_t)rand_r(&seed) % (40 * PAGE);
			uint64_t bytes = 1 + (uint64_t)rand_r(&seed) % (9 * PAGE);
			int rc = world_map(&w, &segs[nr], w.outside + off, bytes, 1 + (unsigned int)rand_r(&seed) % 3);

			CU_ASSERT(rc == 1 || rc == -EAGAIN);
			nr += rc == 1;
		} else if (nr) {
			struct quoll_stream_seg *seg = &segs[(unsigned int)rand_r(&seed) % nr];
			unsigned int access = seg->dir & QUOLL_SEG_WRITE ? RW : MAP_DEVICE_READ;

			if (seg->way == QUOLL_WAY_CACHED)
				CU_ASSERT(fake_reaches(w.fake, seg->va, seg->iova, seg->bytes, access) ||
					  fake_reaches(w.fake, seg->va, seg->iova, seg->bytes, RW));
			quoll_stream_unmap(w.stream, seg, 1);
			*seg = segs[--nr];
		}
		if (!(i % 500))
			(void)quoll_stream_forget(w.stream, w.outside + (i % 40) * PAGE, 4 * PAGE);
	}
	stats = world_stats(&w);
	CU_ASSERT(stats.hits > 100 && stats.evicted > 100 && stats.segs[QUOLL_WAY_BOUNCE] > 100);
	CU_ASSERT(stats.registered_bytes <= 64 * PAGE && stats.registrations <= 16);
	CU_ASSERT_EQUAL(w.fake->nr_maps, w.nr_heap_maps + stats.registrations);
	world_close(&w);
}

static const struct unit_test tests[] = {
	{"devices reach the pages around the memory", devices_reach_the_pages_around_the_memory},
	{"the next I/O finds it registered", the_next_io_finds_it_registered},
	{"what does not serve is registered beside it", what_does_not_serve_is_registered_beside_it},
	{"the one used longest ago goes first", the_one_used_longest_ago_goes_first},
	{"so many bytes and no more are registered", so_many_bytes_and_no_more_are_registered},
	{"what an I/O uses is not thrown out", what_an_io_uses_is_not_thrown_out},
	{"what cannot be registered bounces where it may", what_cannot_be_registered_bounces_where_it_may},
	{"a mapping that fails leaves nothing behind", a_mapping_that_fails_leaves_nothing_behind},
	{"where the kernel has no room old ones go", where_the_kernel_has_no_room_old_ones_go},
	{"memory is forgotten before it goes away", memory_is_forgotten_before_it_goes_away},
	{"what is forgotten in use goes with the last I/O", what_is_forgotten_in_use_goes_with_the_last_io},
	{"what the kernel does not let go of is not used again", what_the_kernel_does_not_let_go_of_is_not_used_again},
	{"memory is there and its own before it is pinned", memory_is_there_and_its_own_before_it_is_pinned},
	{"random I/Os reach their memory and no other", random_ios_reach_their_memory_and_no_other},
};

UNIT_MAIN("eal/stream/cache", tests)
