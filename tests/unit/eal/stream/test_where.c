/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_where.c - from an IOVA of a stream's back to the memory: mapped in its window, registered there, not any more,
 * and what was there last; registrations that are kept; bounce buffers; and all of that from another thread.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <quoll/where.h>

#include "eal/backend/fake_kmod.h"
#include "unit.h"

#define PAGE 4096ull
#define ONLY(way) QUOLL_WAY_BIT(QUOLL_WAY_##way)
#define OUTSIDE_BYTES (4ull << 20)
#define NR_IOS 20000
#define KERNEL (&fake_kmod.groups[LAB_GROUP_DRIVE].stream)

static struct fake f;
static struct quoll_ioas *ioas;
static struct quoll_group *group;
static struct quoll_heap *heap;
static struct quoll_stream *stream;
static uint8_t *outside;
static struct quoll_where where;

static void begin(const struct quoll_stream_opts *opts)
{
	struct quoll_heap_opts heap_opts = {.size_bytes = 64ull << 20, .pages = QUOLL_PAGES_4K, .numa_node = -1};
	const struct quoll_addr addr = {.scheme = QUOLL_ADDR_PCI, .target = LAB_DRIVE};

	fake_kmod_open(&f);
	CU_ASSERT_EQUAL_FATAL(quoll_ioas_open(&f.env, "kmod", &ioas, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_group_claim(ioas, &addr, &group, NULL), 0);
	heap_opts.ioases = &ioas;
	heap_opts.nr_ioases = 1;
	CU_ASSERT_EQUAL_FATAL(quoll_heap_create(&f.env, &heap_opts, &heap, NULL), 0);
	outside = mmap(NULL, OUTSIDE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CU_ASSERT_FATAL(outside != MAP_FAILED);
	CU_ASSERT_EQUAL_FATAL(quoll_stream_create(ioas, heap, opts, &stream, NULL), 0);
}

static void end(void)
{
	quoll_stream_destroy(stream);
	quoll_heap_destroy(heap);
	CU_ASSERT_EQUAL(quoll_group_release(group), 0);
	CU_ASSERT_EQUAL(quoll_ioas_close(ioas), 0);
	munmap(outside, OUTSIDE_BYTES);
	fake_kmod_close(&f);
}

static void map_one(struct quoll_stream_seg *seg, void *va, uint64_t bytes, unsigned int dir)
{
	*seg = (struct quoll_stream_seg){.va = va, .bytes = bytes, .dir = dir};
	CU_ASSERT_EQUAL_FATAL(quoll_stream_map(stream, seg, 1), 1);
}

static void expect(quoll_iova_t iova, enum quoll_where_state state, enum quoll_stream_way way, const void *va)
{
	memset(&where, 0xff, sizeof(where));
	CU_ASSERT(quoll_stream_where(stream, iova, &where));
	CU_ASSERT_EQUAL(where.state, state);
	CU_ASSERT_EQUAL(where.way, way);
	CU_ASSERT_PTR_EQUAL(where.va, va);
}

static void what_is_mapped_is_found_and_what_was_there_last(void)
{
	const struct quoll_stream_opts opts = {.ways = ONLY(WINDOW), .window_bytes = 8 * PAGE};
	struct quoll_stream_seg seg, next;

	begin(&opts);
	map_one(&seg, outside + PAGE + 100, 2 * PAGE, QUOLL_SEG_WRITE); /* three pages */
	expect(seg.iova, QUOLL_WHERE_IN_USE, QUOLL_WAY_WINDOW, outside + PAGE + 100);
	CU_ASSERT_EQUAL(where.dir, QUOLL_SEG_WRITE);
	CU_ASSERT_PTR_EQUAL(where.piece, outside + PAGE);
	CU_ASSERT_EQUAL(where.piece_bytes, 3 * PAGE);
	CU_ASSERT_STRING_EQUAL(where.arena, "");
	expect(seg.iova - 100 + 3 * PAGE - 1, QUOLL_WHERE_IN_USE, QUOLL_WAY_WINDOW, outside + 4 * PAGE - 1);
	/* behind it nothing ever was */
	expect(seg.iova - 100 + 3 * PAGE, QUOLL_WHERE_EMPTY, QUOLL_WAY_WINDOW, NULL);
	CU_ASSERT_PTR_NULL(where.piece);
	map_one(&next, outside + 64 * PAGE, PAGE, QUOLL_SEG_READ);
	quoll_stream_unmap(stream, &seg, 1);
	expect(seg.iova, QUOLL_WHERE_UNMAPPED, QUOLL_WAY_WINDOW, outside + PAGE + 100);
	CU_ASSERT_EQUAL(where.dir, QUOLL_SEG_WRITE);
	CU_ASSERT_EQUAL(where.piece_bytes, 3 * PAGE);
	expect(next.iova, QUOLL_WHERE_IN_USE, QUOLL_WAY_WINDOW, outside + 64 * PAGE);
	CU_ASSERT_EQUAL(where.dir, QUOLL_SEG_READ);
	quoll_stream_unmap(stream, &next, 1);
	expect(next.iova + 5, QUOLL_WHERE_UNMAPPED, QUOLL_WAY_WINDOW, outside + 64 * PAGE + 5);
	end();
}

/* Pieces of other sizes come to lie over each other: it is the last one that is told, whichever begins nearer. */
static void of_several_that_were_there_it_is_the_last(void)
{
	const struct quoll_stream_opts opts = {.ways = ONLY(WINDOW), .window_bytes = 4 * PAGE};
	struct quoll_stream_seg seg[4];
	quoll_iova_t first;

	begin(&opts);
	for (unsigned int i = 0; i < 4; i++)
		map_one(&seg[i], outside + i * PAGE, PAGE, QUOLL_SEG_READ);
	first = seg[0].iova;
	quoll_stream_unmap(stream, seg, 4);
	map_one(&seg[0], outside + 64 * PAGE, 4 * PAGE, QUOLL_SEG_READ);
	CU_ASSERT_EQUAL(seg[0].iova, first);
	expect(first + 2 * PAGE, QUOLL_WHERE_IN_USE, QUOLL_WAY_WINDOW, outside + 66 * PAGE);
	quoll_stream_unmap(stream, seg, 1);
	expect(first + 2 * PAGE, QUOLL_WHERE_UNMAPPED, QUOLL_WAY_WINDOW, outside + 66 * PAGE);
	for (unsigned int i = 0; i < 4; i++)
		map_one(&seg[i], outside + i * PAGE, PAGE, QUOLL_SEG_READ);
	quoll_stream_unmap(stream, &seg[2], 1);
	expect(first + 2 * PAGE, QUOLL_WHERE_UNMAPPED, QUOLL_WAY_WINDOW, outside + 2 * PAGE);
	expect(first + 3 * PAGE, QUOLL_WHERE_IN_USE, QUOLL_WAY_WINDOW, outside + 3 * PAGE);
	quoll_stream_unmap(stream, seg, 2);
	quoll_stream_unmap(stream, &seg[3], 1);
	end();
}

static void a_registered_buffer_is_found_by_the_io_in_it(void)
{
	const struct quoll_stream_opts opts = {.ways = ONLY(REGISTERED)};
	struct quoll_stream_seg seg;

	begin(&opts);
	CU_ASSERT_EQUAL_FATAL(quoll_stream_register(stream, outside, 16 * PAGE, QUOLL_SEG_READ | QUOLL_SEG_WRITE), 0);
	map_one(&seg, outside + 5 * PAGE + 8, 16, QUOLL_SEG_READ | QUOLL_SEG_WRITE);
	expect(seg.iova, QUOLL_WHERE_IN_USE, QUOLL_WAY_REGISTERED, outside + 5 * PAGE + 8);
	CU_ASSERT_EQUAL(where.dir, QUOLL_SEG_READ | QUOLL_SEG_WRITE);
	CU_ASSERT_PTR_EQUAL(where.piece, outside + 5 * PAGE);
	CU_ASSERT_EQUAL(where.piece_bytes, PAGE);
	quoll_stream_unmap(stream, &seg, 1);
	expect(seg.iova, QUOLL_WHERE_UNMAPPED, QUOLL_WAY_REGISTERED, outside + 5 * PAGE + 8);
	end();
}

static void what_the_kernel_does_not_unmap_is_not_said_to_be(void)
{
	const struct quoll_stream_opts opts = {.ways = ONLY(WINDOW)};
	struct quoll_stream_seg seg[3];

	begin(&opts);
	for (unsigned int i = 0; i < 3; i++)
		map_one(&seg[i], outside + 2 * i * PAGE, PAGE, QUOLL_SEG_READ);
	KERNEL->fail_op = QUOLL_STREAM_UNMAP;
	KERNEL->fail_errno = -EIO;
	quoll_stream_unmap(stream, &seg[0], 1);
	expect(seg[0].iova, QUOLL_WHERE_UNMAPPING, QUOLL_WAY_WINDOW, outside);
	quoll_stream_unmap(stream, &seg[1], 1);
	expect(seg[0].iova, QUOLL_WHERE_UNMAPPING, QUOLL_WAY_WINDOW, outside);
	expect(seg[1].iova, QUOLL_WHERE_UNMAPPED, QUOLL_WAY_WINDOW, outside + 2 * PAGE);
	KERNEL->fail_op = QUOLL_STREAM_FENCE;
	quoll_stream_unmap(stream, &seg[2], 1);
	expect(seg[2].iova, QUOLL_WHERE_UNMAPPING, QUOLL_WAY_WINDOW, outside + 4 * PAGE);
	end();
}

static void what_the_kernel_refuses_was_never_there(void)
{
	const struct quoll_stream_opts opts = {.ways = ONLY(WINDOW), .window_bytes = PAGE};
	struct quoll_stream_seg seg;

	begin(&opts);
	map_one(&seg, outside, PAGE, QUOLL_SEG_READ);
	quoll_stream_unmap(stream, &seg, 1);
	KERNEL->fail_op = QUOLL_STREAM_MAP;
	KERNEL->fail_errno = -EFAULT;
	CU_ASSERT_EQUAL(quoll_stream_map(stream, &seg, 1), -EFAULT);
	CU_ASSERT_EQUAL(KERNEL->nr_enters, 3);
	expect(seg.iova, QUOLL_WHERE_EMPTY, QUOLL_WAY_WINDOW, NULL);
	end();
}

static void registrations_are_found_for_as_long_as_they_are_kept(void)
{
	const struct quoll_stream_opts opts = {.ways = ONLY(CACHED),
					       .cached_entries = 2,
					       .cached_bytes = 1 << 20,
					       .cached_watch = QUOLL_CACHED_FORGETS};
	struct quoll_stream_seg seg, next;

	begin(&opts);
	map_one(&seg, outside + 12, 2 * PAGE, QUOLL_SEG_WRITE);
	map_one(&next, outside + 64 * PAGE, PAGE, QUOLL_SEG_READ);
	quoll_stream_unmap(stream, &seg, 1);
	expect(seg.iova + PAGE, QUOLL_WHERE_IN_USE, QUOLL_WAY_CACHED, outside + 12 + PAGE);
	CU_ASSERT_EQUAL(where.dir, QUOLL_SEG_READ | QUOLL_SEG_WRITE);
	CU_ASSERT_PTR_EQUAL(where.piece, outside);
	CU_ASSERT_EQUAL(where.piece_bytes, 3 * PAGE);
	expect(next.iova, QUOLL_WHERE_IN_USE, QUOLL_WAY_CACHED, outside + 64 * PAGE);
	CU_ASSERT_EQUAL(where.dir, QUOLL_SEG_READ);
	CU_ASSERT_EQUAL(quoll_stream_forget(stream, outside, PAGE), 0);
	expect(seg.iova, QUOLL_WHERE_EMPTY, QUOLL_WAY_CACHED, NULL);
	quoll_stream_unmap(stream, &next, 1);
	end();
}

static void expect_held(quoll_iova_t iova, const void *va, uint64_t bytes)
{
	CU_ASSERT(quoll_stream_where(stream, iova, &where));
	CU_ASSERT_EQUAL(where.way, QUOLL_WAY_BOUNCE);
	CU_ASSERT_PTR_EQUAL(where.held, va);
	CU_ASSERT_EQUAL(where.held_bytes, bytes);
}

static void of_a_bounce_buffer_whose_data_it_holds_or_held_last(void)
{
	const struct quoll_stream_opts opts = {.ways = ONLY(BOUNCE), .bounce_bytes = 4 * PAGE};
	struct quoll_stream_seg seg, next;

	begin(&opts);
	map_one(&seg, outside + 100, 2 * PAGE + 10, QUOLL_SEG_WRITE);
	expect_held(seg.iova, outside + 100, PAGE);
	expect_held(seg.iova + PAGE - 1, outside + 100, PAGE);
	expect_held(seg.iova + PAGE, outside + 100 + PAGE, PAGE);
	expect_held(seg.iova + 2 * PAGE + 20, outside + 100 + 2 * PAGE, 10);
	expect_held(seg.iova + 3 * PAGE, NULL, 0); /* nobody's yet */
	quoll_stream_unmap(stream, &seg, 1);
	expect_held(seg.iova + PAGE, outside + 100 + PAGE, PAGE);
	/* One more page of its own, then round to the first. */
	map_one(&next, outside + 5 * PAGE, PAGE, QUOLL_SEG_READ);
	expect_held(seg.iova + 3 * PAGE, outside + 5 * PAGE, PAGE);
	quoll_stream_unmap(stream, &next, 1);
	map_one(&next, outside + 6 * PAGE + 1, 7, QUOLL_SEG_READ);
	CU_ASSERT_EQUAL(next.iova, seg.iova);
	expect_held(seg.iova, outside + 6 * PAGE + 1, 7);
	expect_held(seg.iova + PAGE, outside + 100 + PAGE, PAGE);
	quoll_stream_unmap(stream, &next, 1);
	end();
}

static void bounce_buffers_and_other_addresses(void)
{
	const struct quoll_stream_opts opts = {.ways = ONLY(HEAP) | ONLY(BOUNCE)};
	struct quoll_stream_seg seg;
	struct quoll_heap_info info;

	begin(&opts);
	quoll_heap_info(heap, &info);
	map_one(&seg, outside, PAGE, QUOLL_SEG_READ);
	expect(seg.iova + 3, QUOLL_WHERE_IN_USE, QUOLL_WAY_BOUNCE, (uint8_t *)info.va + (seg.iova + 3 - info.iova));
	/* it is the heap's as well, and an arena of that name */
	CU_ASSERT(quoll_heap_where(heap, seg.iova + 3, &where));
	CU_ASSERT_STRING_EQUAL(where.arena, "stream");
	CU_ASSERT_EQUAL(where.state, QUOLL_WHERE_IN_USE);
	CU_ASSERT(quoll_stream_where(stream, seg.iova + 3, &where));
	CU_ASSERT_STRING_EQUAL(where.arena, "stream");
	quoll_stream_unmap(stream, &seg, 1);
	CU_ASSERT(!quoll_stream_where(stream, 0, &where));
	CU_ASSERT_EQUAL(where.state, QUOLL_WHERE_NOWHERE);
	CU_ASSERT(!quoll_stream_where(stream, info.iova + info.size_bytes, &where));
	CU_ASSERT(!quoll_stream_where(stream, UINT64_MAX, &where));
	end();
}

struct seeker {
	quoll_iova_t window, cached;
	unsigned int nr_found, nr_bad;
	bool stop;
};

/* For TSan above all; of what is found the memory must be right. */
static void *seek(void *arg)
{
	struct seeker *seeker = arg;
	struct quoll_where at;

	while (!__atomic_load_n(&seeker->stop, __ATOMIC_RELAXED) || !seeker->nr_found) {
		for (unsigned int i = 0; i < 8; i++) {
			const uint8_t *va;

			if (!quoll_stream_where(stream, seeker->window + i * PAGE, &at))
				seeker->nr_bad++;
			va = at.va;
			if (va && (va < outside || va >= outside + OUTSIDE_BYTES))
				seeker->nr_bad++;
			seeker->nr_found += va != NULL;
		}
		if (!quoll_stream_where(stream, seeker->cached, &at))
			seeker->nr_bad++;
	}
	return NULL;
}

static void another_thread_may_look_meanwhile(void)
{
	const struct quoll_stream_opts opts = {.ways = ONLY(WINDOW) | ONLY(CACHED),
					       .cached_watch = QUOLL_CACHED_FORGETS,
					       .window_bytes = 8 * PAGE,
					       .cached_entries = 2,
					       .cached_bytes = 1 << 20};
	struct quoll_stream_seg seg[2], large;
	struct seeker seeker = {0};
	pthread_t thread;

	begin(&opts);
	map_one(&seg[0], outside, PAGE, QUOLL_SEG_READ);
	map_one(&large, outside, 9 * PAGE, QUOLL_SEG_READ);
	CU_ASSERT_EQUAL(large.way, QUOLL_WAY_CACHED);
	seeker.window = seg[0].iova;
	seeker.cached = large.iova;
	quoll_stream_unmap(stream, &large, 1);
	quoll_stream_unmap(stream, seg, 1);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, seek, &seeker), 0);
	for (unsigned int i = 0; i < NR_IOS; i++) {
		map_one(&seg[0], outside + i % 100 * PAGE, (1 + i % 3) * PAGE, QUOLL_SEG_READ);
		map_one(&seg[1], outside + i % 64 * PAGE, PAGE, QUOLL_SEG_WRITE);
		if (i % 16 == 0) {
			map_one(&large, outside + i % 5 * PAGE, 9 * PAGE, QUOLL_SEG_READ);
			quoll_stream_unmap(stream, &large, 1);
		}
		quoll_stream_unmap(stream, seg, 2);
	}
	__atomic_store_n(&seeker.stop, true, __ATOMIC_RELAXED);
	CU_ASSERT_EQUAL(pthread_join(thread, NULL), 0);
	CU_ASSERT_EQUAL(seeker.nr_bad, 0);
	CU_ASSERT(seeker.nr_found > 0);
	end();
}

static const struct unit_test tests[] = {
	{"what is mapped is found, and what was there last", what_is_mapped_is_found_and_what_was_there_last},
	{"of several that were there it is the last", of_several_that_were_there_it_is_the_last},
	{"a registered buffer is found by the I/O in it", a_registered_buffer_is_found_by_the_io_in_it},
	{"what the kernel does not unmap is not said to be", what_the_kernel_does_not_unmap_is_not_said_to_be},
	{"what the kernel refuses was never there", what_the_kernel_refuses_was_never_there},
	{"registrations are found for as long as they are kept", registrations_are_found_for_as_long_as_they_are_kept},
	{"of a bounce buffer whose data it holds, or held last", of_a_bounce_buffer_whose_data_it_holds_or_held_last},
	{"bounce buffers, and other addresses", bounce_buffers_and_other_addresses},
	{"another thread may look meanwhile", another_thread_may_look_meanwhile},
};

UNIT_MAIN("eal/stream/where", tests)
