/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_window.c - memory mapped for one I/O in a window of quoll.ko's, above a fake of its requests: what devices
 * reach, and until when; registered buffers; what goes another way; what the kernel refuses, or lies about.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <quoll/stream.h>

#include "eal/backend/fake_kmod.h"
#include "unit.h"

#define PAGE 4096ull
#define ONLY(way) QUOLL_WAY_BIT(QUOLL_WAY_##way)
#define OUTSIDE_BYTES (4ull << 20)
#define MANY 300 /* segments; a ring has room for these, but not for twice as many */
#define KERNEL (&fake_kmod.groups[LAB_GROUP_DRIVE].stream)

static struct fake f;
static struct quoll_ioas *ioas;
static struct quoll_group *group;
static struct quoll_heap *heap;
static struct quoll_stream *stream;
static uint8_t *outside;

static int claim(const char *name, struct quoll_group **claimed, struct quoll_error *err)
{
	const struct quoll_addr addr = {.scheme = QUOLL_ADDR_PCI, .target = name};

	return quoll_group_claim(ioas, &addr, claimed, err);
}

static void begin_without_stream(void)
{
	struct quoll_heap_opts opts = {.size_bytes = 64ull << 20, .pages = QUOLL_PAGES_4K, .numa_node = -1};

	fake_kmod_open(&f);
	CU_ASSERT_EQUAL_FATAL(quoll_ioas_open(&f.env, "kmod", &ioas, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(claim(LAB_DRIVE, &group, NULL), 0);
	opts.ioases = &ioas;
	opts.nr_ioases = 1;
	CU_ASSERT_EQUAL_FATAL(quoll_heap_create(&f.env, &opts, &heap, NULL), 0);
	outside = mmap(NULL, OUTSIDE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CU_ASSERT_FATAL(outside != MAP_FAILED);
	stream = NULL;
}

static void begin(const struct quoll_stream_opts *opts)
{
	begin_without_stream();
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

static struct quoll_stream_seg seg_of(void *va, uint64_t bytes, unsigned int dir)
{
	return (struct quoll_stream_seg){.va = va, .bytes = bytes, .dir = dir};
}

static int map_one(struct quoll_stream_seg *seg, void *va, uint64_t bytes, unsigned int dir)
{
	*seg = seg_of(va, bytes, dir);
	return quoll_stream_map(stream, seg, 1);
}

static struct quoll_stream_stats stats_now(void)
{
	struct quoll_stream_stats stats;

	quoll_stream_stats(stream, &stats);
	return stats;
}

/* The whole of a stream's part can be mapped in one piece. */
static void has_its_room(uint64_t bytes)
{
	struct quoll_stream_seg seg;

	CU_ASSERT_EQUAL(fake_stream_maps(KERNEL), 0);
	CU_ASSERT_EQUAL_FATAL(map_one(&seg, outside, bytes, QUOLL_SEG_READ), 1);
	CU_ASSERT_EQUAL(seg.way, QUOLL_WAY_WINDOW);
	quoll_stream_unmap(stream, &seg, 1);
}

static void devices_reach_memory_for_one_io_only(void)
{
	struct quoll_stream_seg seg;

	begin(NULL);
	CU_ASSERT_EQUAL(quoll_stream_ways(stream), ONLY(HEAP) | ONLY(REGISTERED) | ONLY(WINDOW) | ONLY(BOUNCE));
	CU_ASSERT_EQUAL(map_one(&seg, outside + 100, PAGE, QUOLL_SEG_READ), 1);
	CU_ASSERT_EQUAL(seg.way, QUOLL_WAY_WINDOW);
	CU_ASSERT_EQUAL(seg.valid_bytes, PAGE);
	CU_ASSERT_PTR_EQUAL(fake_stream_at(KERNEL, seg.iova, QUOLL_STREAM_READ), outside + 100);
	CU_ASSERT_PTR_EQUAL(fake_stream_at(KERNEL, seg.iova + PAGE - 1, QUOLL_STREAM_READ), outside + 99 + PAGE);
	CU_ASSERT_PTR_NULL(fake_stream_at(KERNEL, seg.iova, QUOLL_STREAM_WRITE));
	CU_ASSERT_EQUAL(KERNEL->nr_enters, 1);
	quoll_stream_unmap(stream, &seg, 1);
	CU_ASSERT_PTR_NULL(fake_stream_at(KERNEL, seg.iova, QUOLL_STREAM_READ));
	CU_ASSERT_EQUAL(KERNEL->nr_enters, 2);
	CU_ASSERT_EQUAL(KERNEL->nr_fences, 1);
	CU_ASSERT_EQUAL(map_one(&seg, outside, 3, QUOLL_SEG_WRITE), 1);
	CU_ASSERT_PTR_EQUAL(fake_stream_at(KERNEL, seg.iova, QUOLL_STREAM_WRITE), outside);
	CU_ASSERT_PTR_NULL(fake_stream_at(KERNEL, seg.iova, QUOLL_STREAM_READ));
	quoll_stream_unmap(stream, &seg, 1);
	CU_ASSERT_EQUAL(stats_now().segs[QUOLL_WAY_WINDOW], 2);
	CU_ASSERT_EQUAL(stats_now().bytes[QUOLL_WAY_WINDOW], PAGE + 3);
	has_its_room(OUTSIDE_BYTES);
	end();
}

static void many_segments_are_one_call_and_share_a_flush(void)
{
	const struct quoll_stream_opts opts = {.window_bytes = OUTSIDE_BYTES};
	static struct quoll_stream_seg segs[2 * MANY];

	begin(&opts);
	for (unsigned int round = 0; round < 3; round++) {
		for (unsigned int i = 0; i < 2 * MANY; i++)
			segs[i] = seg_of(outside + i * PAGE, PAGE, QUOLL_SEG_READ | QUOLL_SEG_WRITE);
		KERNEL->nr_enters = KERNEL->nr_fences = 0;
		CU_ASSERT_EQUAL_FATAL(quoll_stream_map(stream, segs, MANY), MANY);
		CU_ASSERT_EQUAL(KERNEL->nr_enters, 1);
		CU_ASSERT_EQUAL_FATAL(quoll_stream_map(stream, segs + MANY, MANY), MANY);
		for (unsigned int i = 0; i < 2 * MANY; i++)
			CU_ASSERT_PTR_EQUAL(fake_stream_at(KERNEL, segs[i].iova, QUOLL_STREAM_WRITE), segs[i].va);
		quoll_stream_unmap(stream, segs, MANY);
		CU_ASSERT_EQUAL(KERNEL->nr_fences, 1);
		CU_ASSERT_EQUAL(fake_stream_maps(KERNEL), MANY);
		quoll_stream_unmap(stream, segs + MANY, MANY);
		CU_ASSERT_EQUAL(KERNEL->nr_fences, 2);
		/* More than a ring has room for, and so that no two neighbours are unmapped one after the other. */
		CU_ASSERT_EQUAL_FATAL(quoll_stream_map(stream, segs, 2 * MANY), 2 * MANY);
		for (unsigned int i = 0; i < MANY; i += 2) {
			struct quoll_stream_seg swapped = segs[i];

			segs[i] = segs[2 * MANY - 1 - i];
			segs[2 * MANY - 1 - i] = swapped;
		}
		quoll_stream_unmap(stream, segs, 2 * MANY);
		CU_ASSERT_EQUAL(KERNEL->nr_fences, 4);
	}
	has_its_room(OUTSIDE_BYTES);
	end();
}

static void neighbours_are_unmapped_by_one_entry(void)
{
	struct quoll_stream_seg segs[6];

	begin(NULL);
	for (unsigned int i = 0; i < 6; i++)
		segs[i] = seg_of(outside + 2 * i * PAGE, i % 2 ? 2 * PAGE : PAGE, QUOLL_SEG_READ);
	CU_ASSERT_EQUAL_FATAL(quoll_stream_map(stream, segs, 6), 6);
	CU_ASSERT_EQUAL(KERNEL->nr_entries, 6);
	quoll_stream_unmap(stream, segs, 2); /* two, and a fence */
	CU_ASSERT_EQUAL(KERNEL->nr_entries, 8);
	CU_ASSERT_EQUAL(fake_stream_maps(KERNEL), 4);
	CU_ASSERT_PTR_NULL(fake_stream_at(KERNEL, segs[1].iova + PAGE, QUOLL_STREAM_READ));
	CU_ASSERT_PTR_NOT_NULL(fake_stream_at(KERNEL, segs[2].iova, QUOLL_STREAM_READ));
	quoll_stream_unmap(stream, segs + 5, 1);
	quoll_stream_unmap(stream, segs + 2, 3);
	CU_ASSERT_EQUAL(KERNEL->nr_entries, 12);
	has_its_room(OUTSIDE_BYTES);
	end();
}

static void a_call_that_takes_few_entries_is_repeated(void)
{
	struct quoll_stream_seg segs[20];

	begin(NULL);
	KERNEL->at_once = 3;
	for (unsigned int i = 0; i < 20; i++)
		segs[i] = seg_of(outside + i * PAGE, PAGE, QUOLL_SEG_READ);
	CU_ASSERT_EQUAL_FATAL(quoll_stream_map(stream, segs, 20), 20);
	CU_ASSERT_EQUAL(KERNEL->nr_enters, 7);
	quoll_stream_unmap(stream, segs, 20);
	KERNEL->at_once = 0;
	has_its_room(OUTSIDE_BYTES);
	end();
}

static void a_full_window_says_again(void)
{
	const struct quoll_stream_opts opts = {.ways = ONLY(WINDOW), .window_bytes = 4 * PAGE};
	struct quoll_stream_seg segs[5];

	begin(&opts);
	for (unsigned int i = 0; i < 5; i++)
		segs[i] = seg_of(outside + i * PAGE, PAGE, QUOLL_SEG_READ);
	CU_ASSERT_EQUAL(quoll_stream_map(stream, segs, 5), 4);
	CU_ASSERT_EQUAL(quoll_stream_map(stream, segs + 4, 1), -EAGAIN);
	quoll_stream_unmap(stream, segs, 2);
	CU_ASSERT_EQUAL(map_one(&segs[0], outside + 1, PAGE, QUOLL_SEG_READ), 1); /* two pages */
	CU_ASSERT_EQUAL(map_one(&segs[1], outside, 1, QUOLL_SEG_READ), -EAGAIN);
	CU_ASSERT_EQUAL(map_one(&segs[1], outside + 1, 4 * PAGE, QUOLL_SEG_READ), -E2BIG);
	quoll_stream_unmap(stream, segs, 1);
	quoll_stream_unmap(stream, segs + 2, 2);
	has_its_room(4 * PAGE);
	end();
}

/* Some of them outside of the heap, the third of those is refused. */
static void refuse_third(int errnum)
{
	KERNEL->fail_op = QUOLL_STREAM_MAP;
	KERNEL->fail_skip = 2;
	KERNEL->fail_errno = errnum;
}

static void what_the_kernel_refuses_goes_another_way(void)
{
	struct quoll_stream_seg segs[5];

	begin(NULL);
	for (unsigned int i = 0; i < 5; i++)
		segs[i] = seg_of(outside + i * PAGE, PAGE, QUOLL_SEG_READ);
	refuse_third(-EFAULT);
	CU_ASSERT_EQUAL_FATAL(quoll_stream_map(stream, segs, 5), 5);
	for (unsigned int i = 0; i < 5; i++)
		CU_ASSERT_EQUAL(segs[i].way, i == 2 ? QUOLL_WAY_BOUNCE : QUOLL_WAY_WINDOW);
	CU_ASSERT_EQUAL(fake_stream_maps(KERNEL), 4);
	CU_ASSERT_EQUAL(stats_now().segs[QUOLL_WAY_BOUNCE], 1);
	CU_ASSERT_EQUAL(stats_now().segs[QUOLL_WAY_WINDOW], 4);
	quoll_stream_unmap(stream, segs, 5);
	has_its_room(OUTSIDE_BYTES);
	end();
}

static void where_there_is_none_nothing_after_it_is_mapped(void)
{
	const struct quoll_stream_opts opts = {.ways = ONLY(WINDOW) | ONLY(HEAP), .window_bytes = 8 * PAGE};
	struct quoll_stream_seg segs[5];

	begin(&opts);
	for (unsigned int i = 0; i < 5; i++)
		segs[i] = seg_of(outside + i * PAGE, PAGE, QUOLL_SEG_READ);
	refuse_third(-EFAULT);
	CU_ASSERT_EQUAL_FATAL(quoll_stream_map(stream, segs, 5), 2);
	CU_ASSERT_EQUAL(fake_stream_maps(KERNEL), 2);
	quoll_stream_unmap(stream, segs, 2);
	refuse_third(-ENOMEM);
	KERNEL->fail_skip = 0;
	CU_ASSERT_EQUAL(quoll_stream_map(stream, segs, 5), -ENOMEM);
	CU_ASSERT_EQUAL(stats_now().segs[QUOLL_WAY_WINDOW], 2);
	has_its_room(8 * PAGE);
	end();
}

static void a_registered_buffer_is_mapped_without_its_memory(void)
{
	struct quoll_stream_seg seg;

	begin(NULL);
	CU_ASSERT_EQUAL(quoll_stream_register(stream, outside + 8 * PAGE, 4 * PAGE, QUOLL_SEG_READ), 0);
	CU_ASSERT_EQUAL(quoll_stream_register(stream, outside, 4 * PAGE, QUOLL_SEG_READ | QUOLL_SEG_WRITE), 0);
	CU_ASSERT_EQUAL(map_one(&seg, outside + PAGE + 5, 2 * PAGE, QUOLL_SEG_WRITE), 1);
	CU_ASSERT_EQUAL(seg.way, QUOLL_WAY_REGISTERED);
	CU_ASSERT_PTR_EQUAL(fake_stream_at(KERNEL, seg.iova, QUOLL_STREAM_WRITE), outside + PAGE + 5);
	CU_ASSERT_EQUAL(KERNEL->buffers[1].uses, 1);
	CU_ASSERT_EQUAL(quoll_stream_unregister(stream, outside), -EBUSY);
	quoll_stream_unmap(stream, &seg, 1);
	CU_ASSERT_EQUAL(KERNEL->buffers[1].uses, 0);
	CU_ASSERT_EQUAL(map_one(&seg, outside + 8 * PAGE, 4 * PAGE, QUOLL_SEG_READ), 1);
	CU_ASSERT_EQUAL(seg.way, QUOLL_WAY_REGISTERED);
	CU_ASSERT_PTR_EQUAL(fake_stream_at(KERNEL, seg.iova, QUOLL_STREAM_READ), outside + 8 * PAGE);
	quoll_stream_unmap(stream, &seg, 1);
	/* Not for this direction; over the end; between the two. */
	CU_ASSERT_EQUAL(map_one(&seg, outside + 8 * PAGE, PAGE, QUOLL_SEG_WRITE), 1);
	CU_ASSERT_EQUAL(seg.way, QUOLL_WAY_WINDOW);
	quoll_stream_unmap(stream, &seg, 1);
	CU_ASSERT_EQUAL(map_one(&seg, outside + 3 * PAGE, PAGE + 1, QUOLL_SEG_READ), 1);
	CU_ASSERT_EQUAL(seg.way, QUOLL_WAY_WINDOW);
	quoll_stream_unmap(stream, &seg, 1);
	CU_ASSERT_EQUAL(map_one(&seg, outside + 5 * PAGE, PAGE, QUOLL_SEG_READ), 1);
	CU_ASSERT_EQUAL(seg.way, QUOLL_WAY_WINDOW);
	quoll_stream_unmap(stream, &seg, 1);
	CU_ASSERT_EQUAL(stats_now().segs[QUOLL_WAY_REGISTERED], 2);
	CU_ASSERT_EQUAL(quoll_stream_unregister(stream, outside), 0);
	CU_ASSERT_EQUAL(KERNEL->buffers[1].bytes, 0);
	CU_ASSERT_EQUAL(map_one(&seg, outside, PAGE, QUOLL_SEG_READ), 1);
	CU_ASSERT_EQUAL(seg.way, QUOLL_WAY_WINDOW);
	quoll_stream_unmap(stream, &seg, 1);
	end();
	CU_ASSERT_EQUAL(KERNEL->buffers[0].bytes, 0); /* given back with the stream */
}

static void registrations_that_make_no_sense_are_refused(void)
{
	const struct quoll_stream_opts bounce = {.ways = ONLY(BOUNCE)}, registered = {.ways = ONLY(REGISTERED)};
	struct quoll_stream_seg seg;

	begin(&registered);
	CU_ASSERT_EQUAL(quoll_stream_register(stream, outside + 1, PAGE, QUOLL_SEG_READ), -EINVAL);
	CU_ASSERT_EQUAL(quoll_stream_register(stream, outside, PAGE + 1, QUOLL_SEG_READ), -EINVAL);
	CU_ASSERT_EQUAL(quoll_stream_register(stream, outside, 0, QUOLL_SEG_READ), -EINVAL);
	CU_ASSERT_EQUAL(quoll_stream_register(stream, outside, PAGE, 0), -EINVAL);
	CU_ASSERT_EQUAL(quoll_stream_register(stream, outside, 0 - PAGE, QUOLL_SEG_READ), -EINVAL);
	CU_ASSERT_EQUAL(quoll_stream_register(stream, outside + PAGE, 2 * PAGE, QUOLL_SEG_READ), 0);
	CU_ASSERT_EQUAL(quoll_stream_register(stream, outside, 2 * PAGE, QUOLL_SEG_READ), -EEXIST);
	CU_ASSERT_EQUAL(quoll_stream_register(stream, outside + 2 * PAGE, 2 * PAGE, QUOLL_SEG_READ), -EEXIST);
	CU_ASSERT_EQUAL(quoll_stream_register(stream, outside, PAGE, QUOLL_SEG_READ), 0);
	CU_ASSERT_EQUAL(quoll_stream_register(stream, outside + 3 * PAGE, PAGE, QUOLL_SEG_READ), 0);
	CU_ASSERT_EQUAL(quoll_stream_register(stream, outside + 4 * PAGE, PAGE, QUOLL_SEG_READ), 0);
	CU_ASSERT_EQUAL(quoll_stream_register(stream, outside + 5 * PAGE, PAGE, QUOLL_SEG_READ),
			-ENOSPC); /* the fake's */
	CU_ASSERT_EQUAL(quoll_stream_unregister(stream, outside + 2 * PAGE), -ENOENT);
	CU_ASSERT_EQUAL(quoll_stream_unregister(stream, outside + 9 * PAGE), -ENOENT);
	CU_ASSERT_EQUAL(map_one(&seg, outside + 9 * PAGE, PAGE, QUOLL_SEG_READ), -EFAULT);
	quoll_stream_destroy(stream);
	CU_ASSERT_EQUAL_FATAL(quoll_stream_create(ioas, heap, &bounce, &stream, NULL), 0);
	CU_ASSERT_EQUAL(quoll_stream_register(stream, outside, PAGE, QUOLL_SEG_READ), -ENOTSUP);
	CU_ASSERT_EQUAL(quoll_stream_unregister(stream, outside), -ENOTSUP);
	end();
}

static void streams_share_the_window_and_give_their_part_back(void)
{
	const struct quoll_stream_opts opts = {.ways = ONLY(WINDOW), .window_bytes = 1 << 20};
	struct quoll_stream *more[4] = {NULL};
	struct quoll_stream_seg seg, other;
	struct quoll_stream *first;
	struct quoll_error err;

	begin(&opts);
	CU_ASSERT_EQUAL(KERNEL->bytes, 8 << 20);
	for (unsigned int i = 0; i < FAKE_MAX_RINGS - 1; i++)
		CU_ASSERT_EQUAL_FATAL(quoll_stream_create(ioas, heap, &opts, &more[i], NULL), 0);
	CU_ASSERT_EQUAL(quoll_stream_create(ioas, heap, &opts, &more[3], &err), -ENOSPC); /* no ring */
	CU_ASSERT_EQUAL(map_one(&seg, outside, 1 << 20, QUOLL_SEG_READ), 1);
	first = stream;
	stream = more[0];
	CU_ASSERT_EQUAL(map_one(&other, outside, 1 << 20, QUOLL_SEG_READ), 1);
	CU_ASSERT_NOT_EQUAL(seg.iova, other.iova);
	stream = first;
	CU_ASSERT_EQUAL(quoll_group_release(group), -EBUSY);
	for (unsigned int i = 0; i < 3; i++)
		quoll_stream_destroy(more[i]); /* one with something mapped */
	CU_ASSERT_EQUAL(fake_stream_maps(KERNEL), 1);
	quoll_stream_unmap(stream, &seg, 1);
	quoll_stream_destroy(stream);
	/* The window stays as large as it is, and all of it can be had again. */
	CU_ASSERT_EQUAL_FATAL(
		quoll_stream_create(ioas, heap, &(struct quoll_stream_opts){.window_bytes = 8 << 20}, &stream, NULL),
		0);
	CU_ASSERT(quoll_stream_ways(stream) & ONLY(WINDOW));
	CU_ASSERT_EQUAL(quoll_stream_create(ioas, heap, &opts, &more[0], &err), -ENOSPC);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "not left"));
	has_its_room(OUTSIDE_BYTES);
	end();
}

static void a_group_more_is_refused_while_streams_map_for_one(void)
{
	struct quoll_group *slot = NULL;
	struct quoll_error err;

	begin(NULL);
	CU_ASSERT_EQUAL(claim(LAB_SLOT0, &slot, &err), -EBUSY);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "streams"));
	quoll_stream_destroy(stream);
	stream = NULL;
	CU_ASSERT_EQUAL_FATAL(claim(LAB_SLOT0, &slot, &err), 0);
	CU_ASSERT_EQUAL(
		quoll_stream_create(ioas, heap, &(struct quoll_stream_opts){.ways = ONLY(WINDOW)}, &stream, &err),
		-ENOTSUP);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "2 groups"));
	/* Who has not asked for it does without. */
	CU_ASSERT_EQUAL_FATAL(quoll_stream_create(ioas, heap, NULL, &stream, &err), 0);
	CU_ASSERT_EQUAL(quoll_stream_ways(stream), ONLY(HEAP) | ONLY(BOUNCE));
	CU_ASSERT_EQUAL(quoll_group_release(slot), 0);
	end();
}

static void fail_next(unsigned long request, int errnum)
{
	fake_kmod.fail_ioctl = request;
	fake_kmod.fail_skip = 0;
	fake_kmod.fail_errno = errnum;
}

static void a_stream_that_gets_no_window_says_why(void)
{
	const struct quoll_stream_opts opts = {.ways = ONLY(WINDOW)},
				       large = {.ways = ONLY(WINDOW), .window_bytes = UINT64_MAX};
	struct quoll_error err;

	begin_without_stream();
	CU_ASSERT_EQUAL(quoll_stream_create(ioas, heap, &large, &stream, &err), -EINVAL);
	fail_next(QUOLL_STREAM_WINDOW, EEXIST);
	CU_ASSERT_EQUAL(quoll_stream_create(ioas, heap, &opts, &stream, &err), -EEXIST);
	fail_next(QUOLL_STREAM_WINDOW, ENOMEM);
	CU_ASSERT_EQUAL(quoll_stream_create(ioas, heap, &opts, &stream, &err), -ENOMEM);
	fail_next(QUOLL_STREAM_RING, ENOMEM);
	CU_ASSERT_EQUAL(quoll_stream_create(ioas, heap, &opts, &stream, &err), -ENOMEM);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "ring"));
	fail_next(QUOLL_STREAM_RING, ENOMEM);
	CU_ASSERT_EQUAL_FATAL(quoll_stream_create(ioas, heap, NULL, &stream, &err), 0);
	CU_ASSERT_EQUAL(quoll_stream_ways(stream), ONLY(HEAP) | ONLY(BOUNCE));
	end();
}

static void a_group_that_is_lost_is_bounced_to(void)
{
	struct quoll_stream_seg seg, kept;

	begin(NULL);
	CU_ASSERT_EQUAL(map_one(&kept, outside, PAGE, QUOLL_SEG_READ), 1);
	KERNEL->enter_result = -ENODEV;
	CU_ASSERT_EQUAL(map_one(&seg, outside, PAGE, QUOLL_SEG_READ), 1);
	CU_ASSERT_EQUAL(seg.way, QUOLL_WAY_BOUNCE);
	quoll_stream_unmap(stream, &seg, 1);
	quoll_stream_unmap(stream, &kept, 1);
	end();
}

static void a_ring_that_does_not_work_is_not_used_any_more(void)
{
	static const struct {
		int result;
		uint32_t jump;
		bool lie;
	} cases[] = {{-EINVAL, 0, false}, {1000, 0, false}, {0, 100, false}, {0, 0, true}};

	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct quoll_stream_seg seg;
		unsigned int nr_enters;

		begin(NULL);
		KERNEL->enter_result = cases[i].result;
		KERNEL->jump = cases[i].jump;
		KERNEL->lie_user_data = cases[i].lie;
		refuse_third(-EFAULT);
		KERNEL->fail_skip = 0;
		CU_ASSERT_EQUAL(map_one(&seg, outside, PAGE, QUOLL_SEG_READ), 1);
		CU_ASSERT_EQUAL(seg.way, QUOLL_WAY_BOUNCE);
		quoll_stream_unmap(stream, &seg, 1);
		nr_enters = KERNEL->nr_enters;
		CU_ASSERT_EQUAL(map_one(&seg, outside, PAGE, QUOLL_SEG_READ), 1);
		quoll_stream_unmap(stream, &seg, 1);
		CU_ASSERT_EQUAL(KERNEL->nr_enters, nr_enters);
		end();
	}
}

static void what_is_not_unmapped_is_not_handed_out_again(void)
{
	const struct quoll_stream_opts opts = {.ways = ONLY(WINDOW), .window_bytes = 2 * PAGE};
	struct quoll_stream_seg seg, next;

	begin(&opts);
	CU_ASSERT_EQUAL(map_one(&seg, outside, PAGE, QUOLL_SEG_READ), 1);
	KERNEL->fail_op = QUOLL_STREAM_UNMAP;
	KERNEL->fail_errno = -EIO;
	quoll_stream_unmap(stream, &seg, 1);
	CU_ASSERT_EQUAL(map_one(&next, outside, PAGE, QUOLL_SEG_READ), 1);
	CU_ASSERT_NOT_EQUAL(next.iova, seg.iova);
	quoll_stream_unmap(stream, &next, 1);
	CU_ASSERT_EQUAL(map_one(&next, outside, 2 * PAGE, QUOLL_SEG_READ), -EAGAIN);
	/* Its part is lost with it; the next one gets another. */
	quoll_stream_destroy(stream);
	CU_ASSERT_EQUAL_FATAL(quoll_stream_create(ioas, heap, &opts, &stream, NULL), 0);
	CU_ASSERT_EQUAL(map_one(&next, outside, 2 * PAGE, QUOLL_SEG_READ), 1);
	quoll_stream_unmap(stream, &next, 1);
	end();
}

static void a_fence_that_fails_ends_it(void)
{
	struct quoll_stream_seg seg;

	begin(NULL);
	CU_ASSERT_EQUAL(map_one(&seg, outside, PAGE, QUOLL_SEG_READ), 1);
	KERNEL->fail_op = QUOLL_STREAM_FENCE;
	KERNEL->fail_errno = -ENODEV;
	quoll_stream_unmap(stream, &seg, 1);
	CU_ASSERT_EQUAL(map_one(&seg, outside, PAGE, QUOLL_SEG_READ), 1);
	CU_ASSERT_EQUAL(seg.way, QUOLL_WAY_BOUNCE);
	quoll_stream_unmap(stream, &seg, 1);
	end();
}

static const struct unit_test tests[] = {
	{"devices reach memory for one I/O only", devices_reach_memory_for_one_io_only},
	{"many segments are one call and share a flush", many_segments_are_one_call_and_share_a_flush},
	{"neighbours are unmapped by one entry", neighbours_are_unmapped_by_one_entry},
	{"a call that takes few entries is repeated", a_call_that_takes_few_entries_is_repeated},
	{"a full window says again", a_full_window_says_again},
	{"what the kernel refuses goes another way", what_the_kernel_refuses_goes_another_way},
	{"where there is none nothing after it is mapped", where_there_is_none_nothing_after_it_is_mapped},
	{"a registered buffer is mapped without its memory", a_registered_buffer_is_mapped_without_its_memory},
	{"registrations that make no sense are refused", registrations_that_make_no_sense_are_refused},
	{"streams share the window and give their part back", streams_share_the_window_and_give_their_part_back},
	{"a group more is refused while streams map for one", a_group_more_is_refused_while_streams_map_for_one},
	{"a stream that gets no window says why", a_stream_that_gets_no_window_says_why},
	{"a group that is lost is bounced to", a_group_that_is_lost_is_bounced_to},
	{"a ring that does not work is not used any more", a_ring_that_does_not_work_is_not_used_any_more},
	{"what is not unmapped is not handed out again", what_is_not_unmapped_is_not_handed_out_again},
	{"a fence that fails ends it", a_fence_that_fails_ends_it},
};

UNIT_MAIN("eal/stream/window", tests)
