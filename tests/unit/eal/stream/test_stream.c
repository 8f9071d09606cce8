/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_stream.c - which way memory takes, what is copied and when, and what a stream refuses.
 */
#include <string.h>

#include "stream_world.h"

static void memory_of_the_heap_is_translated_and_nothing_else(void)
{
	struct quoll_stream_seg seg;
	unsigned int nr_map_calls;
	struct world w;
	void *va;

	world_open(&w, NULL);
	CU_ASSERT_EQUAL_FATAL(quoll_arena_alloc(w.arena, 2 * PAGE, PAGE, &va, NULL), 0);
	nr_map_calls = w.fake->nr_map_calls;
	CU_ASSERT_EQUAL(world_map(&w, &seg, (char *)va + 12, PAGE, QUOLL_SEG_WRITE), 1);
	CU_ASSERT_EQUAL(seg.way, QUOLL_WAY_HEAP);
	CU_ASSERT_EQUAL(seg.iova, quoll_heap_iova(w.heap, va, 1) + 12);
	quoll_stream_unmap(w.stream, &seg, 1);
	CU_ASSERT_EQUAL(w.fake->nr_map_calls, nr_map_calls);
	CU_ASSERT_EQUAL(world_stats(&w).segs[QUOLL_WAY_HEAP], 1);
	CU_ASSERT_EQUAL(world_stats(&w).bytes[QUOLL_WAY_HEAP], PAGE);
	world_close(&w);
}

static void without_options_what_is_outside_bounces(void)
{
	struct quoll_stream_seg seg;
	struct world w;

	world_open(&w, NULL);
	CU_ASSERT_EQUAL(quoll_stream_ways(w.stream), ONLY(HEAP) | ONLY(BOUNCE));
	CU_ASSERT_EQUAL(world_map(&w, &seg, w.outside, PAGE, QUOLL_SEG_READ), 1);
	CU_ASSERT_EQUAL(seg.way, QUOLL_WAY_BOUNCE);
	quoll_stream_unmap(w.stream, &seg, 1);
	CU_ASSERT_EQUAL(w.fake->nr_map_calls, w.nr_heap_maps);
	CU_ASSERT_EQUAL(world_stats(&w).segs[QUOLL_WAY_BOUNCE], 1);
	world_close(&w);
}

static void with_the_heap_alone_what_is_outside_is_refused(void)
{
	const struct quoll_stream_opts opts = {.ways = ONLY(HEAP)};
	struct quoll_stream_seg segs[2];
	struct world w;
	void *va;

	world_open(&w, &opts);
	CU_ASSERT_EQUAL_FATAL(quoll_arena_alloc(w.arena, PAGE, PAGE, &va, NULL), 0);
	segs[0] = world_seg(va, PAGE, QUOLL_SEG_READ);
	segs[1] = world_seg(w.outside, PAGE, QUOLL_SEG_READ);
	CU_ASSERT_EQUAL(quoll_stream_map(w.stream, segs, 2), 1);
	CU_ASSERT_EQUAL(quoll_stream_map(w.stream, segs + 1, 1), -EFAULT);
	CU_ASSERT_EQUAL(quoll_stream_map(w.stream, segs, 0), 0);
	quoll_stream_unmap(w.stream, segs, 1);
	world_close(&w);
}

static void a_bounce_copies_in_what_the_device_reads(void)
{
	const struct quoll_stream_opts opts = {.ways = ONLY(BOUNCE)};
	struct quoll_stream_seg seg;
	struct world w;
	uint8_t *buffer;

	world_open(&w, &opts);
	for (unsigned int i = 0; i < 3 * PAGE; i++)
		w.outside[i] = (uint8_t)(i * 7);
	CU_ASSERT_EQUAL_FATAL(world_map(&w, &seg, w.outside + 3, 2 * PAGE, QUOLL_SEG_READ), 1);
	CU_ASSERT_EQUAL(seg.iova % PAGE, 0);
	buffer = world_at(&w, seg.iova);
	CU_ASSERT_FATAL(buffer != NULL);
	CU_ASSERT_EQUAL(memcmp(buffer, w.outside + 3, 2 * PAGE), 0);
	/* A device that writes where it was to read changes nothing of the process's. */
	memset(buffer, 0xee, 2 * PAGE);
	quoll_stream_unmap(w.stream, &seg, 1);
	for (unsigned int i = 0; i < 3 * PAGE; i++)
		if (w.outside[i] != (uint8_t)(i * 7)) {
			CU_FAIL("written to");
			break;
		}
	world_close(&w);
}

static void a_bounce_copies_out_what_the_device_wrote_and_no_more(void)
{
	const struct quoll_stream_opts opts = {.ways = ONLY(BOUNCE)};
	struct quoll_stream_seg seg;
	struct world w;
	uint8_t *buffer;

	world_open(&w, &opts);
	memset(w.outside, 0x11, 2 * PAGE);
	CU_ASSERT_EQUAL_FATAL(world_map(&w, &seg, w.outside, PAGE + 100, QUOLL_SEG_WRITE), 1);
	CU_ASSERT_EQUAL(seg.valid_bytes, PAGE + 100);
	buffer = world_at(&w, seg.iova);
	CU_ASSERT_FATAL(buffer != NULL);
	CU_ASSERT_NOT_EQUAL(buffer[0], 0x11); /* nothing was copied in */
	memset(buffer, 0x22, 2 * PAGE);
	CU_ASSERT_EQUAL(w.outside[0], 0x11); /* nor out, yet */
	quoll_stream_unmap(w.stream, &seg, 1);
	CU_ASSERT_EQUAL(w.outside[0], 0x22);
	CU_ASSERT_EQUAL(w.outside[PAGE + 99], 0x22);
	CU_ASSERT_EQUAL(w.outside[PAGE + 100], 0x11);
	/* An I/O that failed after 10 bytes, and one that says more than there is. */
	memset(w.outside, 0x33, 2 * PAGE);
	CU_ASSERT_EQUAL_FATAL(world_map(&w, &seg, w.outside, PAGE, QUOLL_SEG_WRITE), 1);
	memset(world_at(&w, seg.iova), 0x44, PAGE);
	seg.valid_bytes = 10;
	quoll_stream_unmap(w.stream, &seg, 1);
	CU_ASSERT_EQUAL(w.outside[9], 0x44);
	CU_ASSERT_EQUAL(w.outside[10], 0x33);
	CU_ASSERT_EQUAL_FATAL(world_map(&w, &seg, w.outside, 100, QUOLL_SEG_WRITE), 1);
	memset(world_at(&w, seg.iova), 0x55, PAGE);
	seg.valid_bytes = 1000;
	quoll_stream_unmap(w.stream, &seg, 1);
	CU_ASSERT_EQUAL(w.outside[99], 0x55);
	CU_ASSERT_EQUAL(w.outside[100], 0x33);
	/* Both ways. */
	CU_ASSERT_EQUAL_FATAL(world_map(&w, &seg, w.outside, PAGE, QUOLL_SEG_READ | QUOLL_SEG_WRITE), 1);
	buffer = world_at(&w, seg.iova);
	CU_ASSERT_EQUAL(memcmp(buffer, w.outside, PAGE), 0);
	buffer[5] = 0x66;
	quoll_stream_unmap(w.stream, &seg, 1);
	CU_ASSERT_EQUAL(w.outside[5], 0x66);
	CU_ASSERT_EQUAL(w.outside[100], 0x33);
	world_close(&w);
}

static void what_bounces_can_be_looked_at_and_changed_while_it_is_mapped(void)
{
	const struct quoll_stream_opts opts = {.ways = ONLY(HEAP) | ONLY(BOUNCE)};
	struct quoll_stream_seg in, out;
	struct quoll_heap_info info;
	uint8_t *seen;
	struct world w;

	world_open(&w, &opts);
	quoll_heap_info(w.heap, &info);
	memset(w.outside, 1, 2 * PAGE);
	CU_ASSERT_EQUAL_FATAL(world_map(&w, &out, w.outside, PAGE, QUOLL_SEG_READ), 1);
	CU_ASSERT_EQUAL_FATAL(world_map(&w, &in, w.outside + PAGE, PAGE, QUOLL_SEG_WRITE), 1);
	/* To the device. */
	seen = (uint8_t *)info.va + (out.iova - info.iova);
	memset(w.outside, 2, PAGE);
	CU_ASSERT_EQUAL(seen[PAGE - 1], 1);
	quoll_stream_sync(w.stream, &out, QUOLL_SEG_WRITE); /* which it may not */
	CU_ASSERT(seen[0] == 1 && w.outside[0] == 2);
	quoll_stream_sync(w.stream, &out, QUOLL_SEG_READ);
	CU_ASSERT(seen[0] == 2 && seen[PAGE - 1] == 2);
	/* From it, as much as is valid. */
	seen = (uint8_t *)info.va + (in.iova - info.iova);
	memset(seen, 3, PAGE);
	in.valid_bytes = 100;
	quoll_stream_sync(w.stream, &in, QUOLL_SEG_READ);
	CU_ASSERT(seen[0] == 3 && w.outside[PAGE] == 1);
	quoll_stream_sync(w.stream, &in, QUOLL_SEG_WRITE);
	CU_ASSERT(w.outside[PAGE] == 3 && w.outside[PAGE + 99] == 3 && w.outside[PAGE + 100] == 1);
	in.valid_bytes = UINT64_MAX;
	quoll_stream_sync(w.stream, &in, QUOLL_SEG_WRITE);
	CU_ASSERT(w.outside[2 * PAGE - 1] == 3 && w.outside[2 * PAGE] == 0);
	/* What does not bounce is one memory. */
	quoll_stream_unmap(w.stream, &in, 1);
	quoll_stream_unmap(w.stream, &out, 1);
	CU_ASSERT_EQUAL_FATAL(world_map(&w, &in, info.va, 64, QUOLL_SEG_WRITE), 1);
	quoll_stream_sync(w.stream, &in, QUOLL_SEG_WRITE);
	quoll_stream_unmap(w.stream, &in, 1);
	world_close(&w);
}

static void buffers_are_nobody_elses_until_unmapped(void)
{
	const struct quoll_stream_opts opts = {.ways = ONLY(BOUNCE), .bounce_bytes = 8 * PAGE};
	struct quoll_stream_seg segs[8], more;
	struct world w;

	world_open(&w, &opts);
	for (unsigned int i = 0; i < 8; i++)
		segs[i] = world_seg(w.outside + i * PAGE, PAGE, QUOLL_SEG_READ);
	CU_ASSERT_EQUAL_FATAL(quoll_stream_map(w.stream, segs, 8), 8);
	for (unsigned int i = 0; i < 8; i++)
		for (unsigned int j = 0; j < i; j++)
			CU_ASSERT_NOT_EQUAL(segs[i].iova, segs[j].iova);
	CU_ASSERT_EQUAL(world_map(&w, &more, w.outside, 1, QUOLL_SEG_READ), -EAGAIN);
	quoll_stream_unmap(w.stream, &segs[2], 1);
	quoll_stream_unmap(w.stream, &segs[5], 1);
	CU_ASSERT_EQUAL(world_map(&w, &more, w.outside, 2 * PAGE, QUOLL_SEG_READ), -EAGAIN); /* not in a row */
	quoll_stream_unmap(w.stream, &segs[3], 2);
	CU_ASSERT_EQUAL(world_map(&w, &more, w.outside, 4 * PAGE, QUOLL_SEG_READ), 1);
	CU_ASSERT_EQUAL(more.iova, segs[2].iova);
	CU_ASSERT_EQUAL(world_map(&w, &segs[2], w.outside, 8 * PAGE + 1, QUOLL_SEG_READ), -E2BIG);
	quoll_stream_unmap(w.stream, &more, 1);
	quoll_stream_unmap(w.stream, &segs[0], 2);
	quoll_stream_unmap(w.stream, &segs[6], 2);
	CU_ASSERT_EQUAL(world_map(&w, &more, w.outside, 8 * PAGE, QUOLL_SEG_READ), 1);
	world_close(&w); /* with one mapped */
}

static void what_makes_no_sense_is_refused(void)
{
	struct quoll_stream_seg seg;
	struct world w;

	world_open(&w, NULL);
	CU_ASSERT_EQUAL(world_map(&w, &seg, w.outside, 0, QUOLL_SEG_READ), -EINVAL);
	CU_ASSERT_EQUAL(world_map(&w, &seg, w.outside, 1, 0), -EINVAL);
	CU_ASSERT_EQUAL(world_map(&w, &seg, w.outside, 1, 4), -EINVAL);
	CU_ASSERT_EQUAL(world_map(&w, &seg, (void *)(UINTPTR_MAX - 10), 12, QUOLL_SEG_READ), -EINVAL);
	CU_ASSERT_EQUAL(world_map(&w, &seg, w.outside, UINT64_MAX, QUOLL_SEG_READ), -EINVAL);
	CU_ASSERT_EQUAL(world_map(&w, &seg, NULL, UINT64_MAX, QUOLL_SEG_READ), -EINVAL);
	CU_ASSERT_EQUAL(quoll_stream_forget(w.stream, w.outside, PAGE), 0); /* nothing is kept of it */
	world_close(&w);
}

static int create(struct world *w, struct quoll_heap *heap, const struct quoll_stream_opts *opts,
		  struct quoll_error *err)
{
	struct quoll_stream *stream = NULL;
	int rc = quoll_stream_create(w->fake->ioas, heap, opts, &stream, err);

	CU_ASSERT_EQUAL(stream == NULL, rc != 0);
	quoll_stream_destroy(stream);
	return rc;
}

static void a_stream_that_is_not_possible_says_why(void)
{
	struct quoll_stream_opts opts = {.ways = QUOLL_WAY_BIT(QUOLL_NR_WAYS)};
	const struct quoll_heap_opts small = {.size_bytes = 1 << 20, .pages = QUOLL_PAGES_4K, .numa_node = -1};
	struct quoll_heap *loose = NULL;
	struct quoll_ioas_info limits;
	struct quoll_error err;
	struct world w;

	world_open(&w, NULL);
	limits = w.fake->limits;
	CU_ASSERT_EQUAL(create(&w, w.heap, &opts, &err), -EINVAL);
	CU_ASSERT_EQUAL_FATAL(quoll_heap_create(NULL, &small, &loose, NULL), 0);
	CU_ASSERT_EQUAL(create(&w, loose, NULL, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "not attached"));
	quoll_heap_destroy(loose);
	opts.ways = ONLY(BOUNCE);
	opts.bounce_bytes = 128ull << 20; /* more than the heap */
	CU_ASSERT_EQUAL(create(&w, w.heap, &opts, &err), -ENOSPC);
	opts.bounce_bytes = UINT64_MAX;
	CU_ASSERT_EQUAL(create(&w, w.heap, &opts, &err), -EINVAL);
	opts = (struct quoll_stream_opts){.ways = ONLY(CACHED), .cached_watch = QUOLL_CACHED_FORGETS};
	w.fake->limits.nr_ranges = 0;
	CU_ASSERT_EQUAL(create(&w, w.heap, &opts, &err), -ENXIO);
	w.fake->limits = limits;
	w.fake->limits.ranges[0] = w.fake->limits.ranges[1] = (struct quoll_iova_range){0, 8 << 20};
	CU_ASSERT_EQUAL(create(&w, w.heap, &opts, &err), -ERANGE);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "134217728"));
	w.fake->limits = limits;
	w.fake->limits.page_sizes = 65536;
	CU_ASSERT_EQUAL(create(&w, w.heap, &opts, &err), -ENOTSUP);
	w.fake->limits = limits;
	w.fake->limits.memlock_bytes = PAGE;
	CU_ASSERT_EQUAL(create(&w, w.heap, &opts, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "ulimit -l"));
	w.fake->limits = limits;
	w.fake->limits.maps_avail = 1;
	CU_ASSERT_EQUAL(create(&w, w.heap, &opts, &err), -EINVAL);
	opts.cached_bytes = UINT64_MAX;
	w.fake->limits = limits;
	CU_ASSERT_EQUAL(create(&w, w.heap, &opts, &err), -EINVAL);
	opts.cached_bytes = 0;
	CU_ASSERT_EQUAL(create(&w, w.heap, &opts, &err), 0);
	CU_ASSERT_EQUAL(w.fake->ioas->nr_windows, 1); /* what was refused left nothing behind */
	world_close(&w);
}

static void nothing_is_registered_for_devices_in_other_processes(void)
{
	const struct quoll_stream_opts opts = {.ways = ONLY(HEAP) | ONLY(CACHED) | ONLY(BOUNCE),
					       .cached_watch = QUOLL_CACHED_FORGETS};
	struct backend_ops process = fake_ops;
	struct quoll_error err;
	struct world w;

	world_open(&w, NULL);
	process.device_is_process = true;
	w.fake->ioas->ops = &process;
	CU_ASSERT_EQUAL(create(&w, w.heap, &opts, &err), -ENOTSUP);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "a file behind it"));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "bounce"));
	CU_ASSERT_EQUAL(create(&w, w.heap, NULL, &err), 0);
	w.fake->ioas->ops = &fake_ops;
	world_close(&w);
}

static void windows_of_heaps_and_streams_are_apart(void)
{
	const struct quoll_stream_opts opts = {
		.ways = ONLY(CACHED), .cached_bytes = 16 << 20, .cached_watch = QUOLL_CACHED_FORGETS};
	const struct quoll_iova_range *at;
	struct quoll_stream *second;
	struct world w;

	world_open(&w, &opts);
	at = w.fake->ioas->windows;
	CU_ASSERT_EQUAL_FATAL(quoll_stream_create(w.fake->ioas, w.heap, &opts, &second, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(w.fake->ioas->nr_windows, 3);
	for (unsigned int i = 0; i < 3; i++)
		for (unsigned int j = 0; j < i; j++)
			CU_ASSERT(at[i].last < at[j].first || at[j].last < at[i].first);
	/* One that was made for another address space first, and would lie there. */
	CU_ASSERT_EQUAL(at[1].last - at[1].first + 1, 32 << 20);
	quoll_stream_destroy(w.stream);
	CU_ASSERT_EQUAL(w.fake->ioas->nr_windows, 2);
	CU_ASSERT_EQUAL(quoll_ioas_close(w.fake->ioas), -EBUSY);
	w.stream = second;
	world_close(&w);
}

static void ways_have_names(void)
{
	CU_ASSERT_STRING_EQUAL(quoll_stream_way_name(QUOLL_WAY_HEAP), "heap");
	CU_ASSERT_STRING_EQUAL(quoll_stream_way_name(QUOLL_WAY_REGISTERED), "registered");
	CU_ASSERT_STRING_EQUAL(quoll_stream_way_name(QUOLL_WAY_WINDOW), "window");
	CU_ASSERT_STRING_EQUAL(quoll_stream_way_name(QUOLL_WAY_CACHED), "cached");
	CU_ASSERT_STRING_EQUAL(quoll_stream_way_name(QUOLL_WAY_BOUNCE), "bounce");
	CU_ASSERT_STRING_EQUAL(quoll_stream_way_name(QUOLL_NR_WAYS), "unknown");
}

static const struct unit_test tests[] = {
	{"memory of the heap is translated and nothing else", memory_of_the_heap_is_translated_and_nothing_else},
	{"without options what is outside bounces", without_options_what_is_outside_bounces},
	{"with the heap alone what is outside is refused", with_the_heap_alone_what_is_outside_is_refused},
	{"a bounce copies in what the device reads", a_bounce_copies_in_what_the_device_reads},
	{"a bounce copies out what the device wrote and no more",
	 a_bounce_copies_out_what_the_device_wrote_and_no_more},
	{"what bounces can be looked at and changed while it is mapped",
	 what_bounces_can_be_looked_at_and_changed_while_it_is_mapped},
	{"buffers are nobody else's until unmapped", buffers_are_nobody_elses_until_unmapped},
	{"what makes no sense is refused", what_makes_no_sense_is_refused},
	{"a stream that is not possible says why", a_stream_that_is_not_possible_says_why},
	{"nothing is registered for devices in other processes", nothing_is_registered_for_devices_in_other_processes},
	{"windows of heaps and streams are apart", windows_of_heaps_and_streams_are_apart},
	{"ways have names", ways_have_names},
};

UNIT_MAIN("eal/stream/stream", tests)
