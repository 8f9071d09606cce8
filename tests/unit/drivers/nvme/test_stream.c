/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_stream.c - requests with memory outside of the heap: right data by each way, nothing copied of what failed, and
 * whatever becomes of the request, the stream has its room back.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "drivers/fake_window.h"
#include "nvme/nvme_internal.h"
#include "nvme_fixture.h"
#include "unit.h"

#define OUTSIDE_BYTES (4u << 20)
#define CACHED QUOLL_WAY_BIT(QUOLL_WAY_CACHED)
#define BOUNCE QUOLL_WAY_BIT(QUOLL_WAY_BOUNCE)
#define HEAP QUOLL_WAY_BIT(QUOLL_WAY_HEAP)
#define WINDOW QUOLL_WAY_BIT(QUOLL_WAY_WINDOW)

static struct nvme_fixture fx;
static struct quoll_stream *stream;
static uint8_t *outside;

static void open_with(const struct quoll_stream_opts *opts, enum quoll_nvme_on_reset on_reset, unsigned int entries)
{
	const struct quoll_nvme_opts nvme_opts = {.max_io_queues = 1, .recovery = QUOLL_NVME_RESET};
	struct quoll_nvme_queue_opts queue_opts = {.entries = entries, .on_reset = on_reset};
	void *va = mmap(NULL, OUTSIDE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CU_ASSERT_FATAL(va != MAP_FAILED);
	outside = va;
	fixture_init(&fx);
	CU_ASSERT_EQUAL_FATAL(fixture_open(&fx, &nvme_opts), 0);
	if (opts && opts->ways & WINDOW)
		fake_window_add(fx.ioas, &fx.fake.pci);
	CU_ASSERT_EQUAL_FATAL(quoll_stream_create(fx.ioas, fx.heap, opts, &stream, NULL), 0);
	queue_opts.stream = stream;
	fake_nvme_pump_start(&fx.fake);
	CU_ASSERT_EQUAL_FATAL(quoll_nvme_queue_create(fx.nvme, &queue_opts, &fx.queue, &fx.err), 0);
	fake_nvme_pump_stop(&fx.fake);
}

/* The controller first, so that its queue is off the stream; then the fixture's rest. */
static void end(void)
{
	fake_nvme_pump_start(&fx.fake);
	fx.close_rc = quoll_nvme_close(fx.nvme);
	fake_nvme_pump_stop(&fx.fake);
	fx.nvme = NULL;
	quoll_stream_destroy(stream);
	fixture_fini(&fx);
	munmap(outside, OUTSIDE_BYTES);
}

static struct quoll_stream_stats stats_now(void)
{
	struct quoll_stream_stats stats;

	quoll_stream_stats(stream, &stats);
	return stats;
}

/* All that the stream bounces through is free: it takes as much at once. */
static void has_its_room_back(uint64_t bounce_bytes)
{
	struct quoll_stream_seg seg = {.va = outside, .bytes = bounce_bytes, .dir = QUOLL_SEG_READ};

	CU_ASSERT_EQUAL(quoll_stream_map(stream, &seg, 1), 1);
	seg.valid_bytes = 0;
	quoll_stream_unmap(stream, &seg, 1);
}

static void one_request(bool write, uint8_t *va, uint64_t lba, uint32_t nr_lbas)
{
	struct quoll_nvme_completion comp;

	CU_ASSERT_EQUAL_FATAL(write ? quoll_nvme_prep_write(fx.queue, 1, va, lba, nr_lbas, 77)
				    : quoll_nvme_prep_read(fx.queue, 1, va, lba, nr_lbas, 77),
			      0);
	quoll_nvme_submit(fx.queue);
	fixture_collect(&fx, fx.queue, &comp, 1);
	CU_ASSERT_EQUAL(comp.user_data, 77);
	CU_ASSERT_EQUAL(comp.error | comp.status, 0);
}

/* Sizes of a block up to many commands' worth, at any dword of a page; what lies around it stays as it is. */
static void data_is_right(unsigned int ways)
{
	const struct quoll_stream_opts opts = {.ways = ways, .cached_watch = QUOLL_CACHED_FORGETS};
	unsigned int seed = 5;

	open_with(&opts, QUOLL_NVME_RESET_FAIL, 16);
	for (unsigned int i = 0; i < 60; i++) {
		uint32_t nr = 1 + (uint32_t)rand_r(&seed) % (i % 5 ? 40 : 2000);
		uint64_t lba = (uint64_t)rand_r(&seed) % (16384 - nr), bytes = nr * 512ull;
		uint8_t *out = outside + (uint64_t)(rand_r(&seed) % 2048) * 4, *in = outside + (2 << 20) + 64 + i * 4;

		fixture_fill_random(&fx, out, bytes);
		one_request(true, out, lba, nr);
		CU_ASSERT_EQUAL(memcmp(fx.fake.ns[0].disk + lba * 512, out, bytes), 0);
		memset(in - 4, 0x5a, bytes + 8);
		one_request(false, in, lba, nr);
		CU_ASSERT_EQUAL(memcmp(in, out, bytes), 0);
		CU_ASSERT_EQUAL(in[-1], 0x5a);
		CU_ASSERT_EQUAL(in[bytes], 0x5a);
	}
	for (unsigned int way = 0; way < QUOLL_NR_WAYS; way++)
		CU_ASSERT_EQUAL(stats_now().segs[way], ways == QUOLL_WAY_BIT(way) ? 120 : 0);
	end();
}

static void data_that_bounces_is_right(void)
{
	data_is_right(BOUNCE);
}

static void data_that_is_registered_is_right(void)
{
	data_is_right(CACHED);
}

static void data_that_is_mapped_for_one_request_is_right(void)
{
	data_is_right(WINDOW);
}

static void requests_that_finish_in_one_poll_share_a_flush(void)
{
	const struct quoll_stream_opts opts = {.ways = WINDOW};
	struct quoll_nvme_completion comps[8];

	open_with(&opts, QUOLL_NVME_RESET_FAIL, 16);
	fixture_fill_random(&fx, fx.fake.ns[0].disk, 8 * 4096);
	for (unsigned int i = 0; i < 8; i++)
		CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, outside + i * 4096, 8ull * i, 8, i), 0);
	quoll_nvme_submit(fx.queue);
	CU_ASSERT_EQUAL(fake_stream_maps(&fake_window), 8);
	fake_nvme_step(&fx.fake);
	CU_ASSERT_EQUAL(quoll_nvme_poll(fx.queue, comps, 8), 8);
	/* Who has the completions has the memory, and the device has not. */
	CU_ASSERT_EQUAL(fake_stream_maps(&fake_window), 0);
	CU_ASSERT_EQUAL(fake_window.nr_fences, 1);
	CU_ASSERT_EQUAL(memcmp(outside, fx.fake.ns[0].disk, 8 * 4096), 0);
	end();
}

static void memory_of_the_heap_does_not_go_through_the_stream(void)
{
	open_with(NULL, QUOLL_NVME_RESET_FAIL, 16);
	one_request(true, fx.buf, 0, 8);
	one_request(false, fx.buf, 0, 2000);
	for (unsigned int way = 0; way < QUOLL_NR_WAYS; way++)
		CU_ASSERT_EQUAL(stats_now().segs[way], 0);
	end();
}

static void without_a_way_or_a_stream_it_is_refused(void)
{
	const struct quoll_stream_opts opts = {.ways = HEAP};

	open_with(&opts, QUOLL_NVME_RESET_FAIL, 16);
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, outside, 0, 8, 0), -EFAULT);
	end();
	fixture_init(&fx);
	fixture_open_queue(&fx, 16);
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, &fx, 0, 8, 0), -EFAULT);
	fixture_fini(&fx);
}

static void where_the_stream_is_full_prep_says_again(void)
{
	const struct quoll_stream_opts opts = {.ways = BOUNCE, .bounce_bytes = 4 * 4096};
	struct quoll_nvme_completion comps[4];

	open_with(&opts, QUOLL_NVME_RESET_FAIL, 16);
	for (unsigned int i = 0; i < 4; i++)
		CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, outside + i * 4096, 8ull * i, 8, i), 0);
	for (unsigned int i = 0; i < 100; i++) /* a refusal costs neither slot nor room */
		CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, outside, 0, 1, 9), -EAGAIN);
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, outside, 0, 33, 9), -E2BIG);
	quoll_nvme_submit(fx.queue);
	fixture_collect(&fx, fx.queue, comps, 4);
	one_request(false, outside, 0, 32);
	has_its_room_back(4 * 4096);
	end();
}

static void all_slots_may_be_in_flight_through_the_stream(void)
{
	struct quoll_nvme_completion comps[16];
	uint32_t seen = 0;

	open_with(NULL, QUOLL_NVME_RESET_FAIL, 16);
	for (unsigned int round = 0; round < 5; round++) {
		for (unsigned int i = 0; i < 15; i++)
			CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, outside + i * 4096, 8ull * i, 8, i), 0);
		CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, outside, 0, 8, 15), -EAGAIN);
		quoll_nvme_submit(fx.queue);
		fixture_collect(&fx, fx.queue, comps, 15);
		for (unsigned int i = 0; i < 15; i++)
			seen |= 1u << comps[i].user_data;
		CU_ASSERT_EQUAL(seen, 0x7fff);
	}
	CU_ASSERT_EQUAL(stats_now().segs[QUOLL_WAY_BOUNCE], 75);
	has_its_room_back(4 << 20);
	end();
}

static uint16_t fail_above_300(struct fake_nvme *fake, uint16_t qid, const union nvme_sq_slot *sqe)
{
	(void)fake;
	(void)qid;
	return quoll_le64_to_cpu(sqe->rw.slba) >= 300 ? 0x281 : 0; /* unrecovered read error */
}

static void a_read_that_fails_leaves_memory_as_it_was(void)
{
	const struct quoll_stream_opts opts = {.ways = BOUNCE};
	struct quoll_nvme_completion comp;

	open_with(&opts, QUOLL_NVME_RESET_FAIL, 16);
	fixture_fill_random(&fx, fx.fake.ns[0].disk, 2000 * 512);
	memset(outside, 0x5a, 2000 * 512);
	fx.fake.on_io = fail_above_300;
	/* one part, and several of which the first works */
	for (unsigned int i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, outside, i ? 0 : 300, i ? 2000 : 8, i), 0);
		quoll_nvme_submit(fx.queue);
		fixture_collect(&fx, fx.queue, &comp, 1);
		CU_ASSERT_EQUAL(comp.status, 0x281);
		for (unsigned int at = 0; at < 2000 * 512; at++)
			if (outside[at] != 0x5a) {
				CU_FAIL("copied");
				break;
			}
	}
	has_its_room_back(4 << 20);
	end();
}

static void drain_dead(unsigned int nr)
{
	struct quoll_nvme_completion comps[16];
	unsigned int n = 0;

	for (unsigned int round = 0; n < nr && round < 10000000; round++)
		n += quoll_nvme_poll(fx.queue, comps + n, 16 - n);
	CU_ASSERT_EQUAL_FATAL(n, nr);
	for (unsigned int i = 0; i < nr; i++)
		CU_ASSERT_EQUAL(comps[i].error, -ENODEV);
}

static void what_a_device_that_goes_has_is_given_back(void)
{
	open_with(NULL, QUOLL_NVME_RESET_FAIL, 16);
	fx.fake.mute_io = true;
	memset(outside, 0x5a, 1 << 20);
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, outside, 0, 8, 0), 0);
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, outside, 0, 2048, 1), 0);
	CU_ASSERT_EQUAL(quoll_nvme_prep_write(fx.queue, 1, outside, 0, 8, 2), 0);
	quoll_nvme_submit(fx.queue);
	fake_pci_yank(&fx.fake.pci);
	drain_dead(3);
	CU_ASSERT_EQUAL(outside[0], 0x5a);
	has_its_room_back(4 << 20);
	end();
	CU_ASSERT_EQUAL(fx.close_rc, -ENODEV);
}

static void requests_that_are_submitted_together_are_mapped_by_one_call(void)
{
	const struct quoll_stream_opts opts = {.ways = WINDOW};
	struct quoll_nvme_completion comps[9];

	open_with(&opts, QUOLL_NVME_RESET_FAIL, 16);
	fixture_fill_random(&fx, fx.fake.ns[0].disk, 8 * 4096);
	for (unsigned int i = 0; i < 8; i++)
		CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, outside + i * 4096, 8ull * i, 8, i), 0);
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf, 0, 8, 8), 0); /* in the heap, between */
	CU_ASSERT_EQUAL(fake_window.nr_enters, 0);
	quoll_nvme_submit(fx.queue);
	CU_ASSERT_EQUAL(fake_window.nr_enters, 1);
	CU_ASSERT_EQUAL(fake_stream_maps(&fake_window), 8);
	fake_nvme_step(&fx.fake);
	CU_ASSERT_EQUAL(quoll_nvme_poll(fx.queue, comps, 9), 9);
	CU_ASSERT_EQUAL(fake_window.nr_enters, 2);
	CU_ASSERT_EQUAL(memcmp(outside, fx.fake.ns[0].disk, 8 * 4096), 0);
	CU_ASSERT_EQUAL(memcmp(fx.buf, fx.fake.ns[0].disk, 4096), 0);
	end();
}

static void memory_that_the_kernel_refuses_is_its_requests_error(void)
{
	const struct quoll_stream_opts opts = {.ways = WINDOW};
	struct quoll_nvme_completion comps[5];
	unsigned int good = 0;

	open_with(&opts, QUOLL_NVME_RESET_FAIL, 16);
	fixture_fill_random(&fx, fx.fake.ns[0].disk, 5 * 4096);
	for (unsigned int i = 0; i < 5; i++)
		CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, outside + i * 4096, 8ull * i, 8, i), 0);
	fake_window.fail_op = QUOLL_STREAM_MAP;
	fake_window.fail_errno = -EFAULT;
	quoll_nvme_submit(fx.queue);
	fixture_collect(&fx, fx.queue, comps, 5);
	for (unsigned int i = 0; i < 5; i++) {
		CU_ASSERT_EQUAL(comps[i].error, comps[i].user_data == 0 ? -EFAULT : 0);
		good += !comps[i].error && !memcmp(outside + comps[i].user_data * 4096,
						   fx.fake.ns[0].disk + comps[i].user_data * 4096, 4096);
	}
	CU_ASSERT_EQUAL(good, 4);
	CU_ASSERT_EQUAL(fake_stream_maps(&fake_window), 0);
	one_request(false, outside, 0, 8);
	end();
}

static void where_the_window_is_full_requests_wait(void)
{
	const struct quoll_stream_opts opts = {.ways = WINDOW, .window_bytes = 4 * 4096};
	struct quoll_nvme_completion comps[10];

	open_with(&opts, QUOLL_NVME_RESET_FAIL, 16);
	fixture_fill_random(&fx, fx.fake.ns[0].disk, 10 * 4096);
	for (unsigned int i = 0; i < 10; i++)
		CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, outside + i * 4096, 8ull * i, 8, i), 0);
	quoll_nvme_submit(fx.queue);
	CU_ASSERT_EQUAL(fake_stream_maps(&fake_window), 4);
	fixture_collect(&fx, fx.queue, comps, 10);
	for (unsigned int i = 0; i < 10; i++)
		CU_ASSERT_EQUAL(comps[i].error | comps[i].status, 0);
	CU_ASSERT_EQUAL(memcmp(outside, fx.fake.ns[0].disk, 10 * 4096), 0);
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, outside, 0, 40, 9), 0);
	quoll_nvme_submit(fx.queue);
	fixture_collect(&fx, fx.queue, comps, 1);
	CU_ASSERT_EQUAL(comps[0].error, -E2BIG);
	end();
}

static void each_request_that_waits_to_be_mapped_has_a_slot(void)
{
	const struct quoll_stream_opts opts = {.ways = WINDOW};
	struct quoll_nvme_completion comps[16];

	open_with(&opts, QUOLL_NVME_RESET_FAIL, 16);
	for (unsigned int round = 0; round < 3; round++) {
		for (unsigned int i = 0; i < 15; i++)
			CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, outside + i * 4096, 8ull * i, 8, i), 0);
		CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, outside, 0, 8, 15), -EAGAIN);
		quoll_nvme_submit(fx.queue);
		fixture_collect(&fx, fx.queue, comps, 15);
	}
	end();
}

/* Prepared, and the device goes, or the request is aborted, before it was mapped. */
static void what_was_not_mapped_is_given_back(void)
{
	const struct quoll_stream_opts opts = {.ways = WINDOW};
	struct quoll_nvme_completion comp;

	open_with(&opts, QUOLL_NVME_RESET_FAIL, 16);
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, outside, 0, 8, 4), 0);
	CU_ASSERT_EQUAL(quoll_nvme_abort(fx.queue, 4), 0);
	quoll_nvme_submit(fx.queue);
	fixture_collect(&fx, fx.queue, &comp, 1);
	CU_ASSERT_EQUAL(comp.error, -ECANCELED);
	CU_ASSERT_EQUAL(fake_window.nr_enters, 0);
	for (unsigned int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, outside, 0, i ? 8 : 2048, i), 0);
	fake_pci_yank(&fx.fake.pci);
	drain_dead(3);
	CU_ASSERT_EQUAL(fake_stream_maps(&fake_window), 0);
	CU_ASSERT_EQUAL(fx.queue->nr_unmapped, 0);
	end();
	CU_ASSERT_EQUAL(fx.close_rc, -ENODEV);
}

static void what_a_queue_that_goes_has_is_given_back(void)
{
	open_with(NULL, QUOLL_NVME_RESET_FAIL, 16);
	fx.fake.mute_io = true;
	memset(outside, 0x5a, 1 << 20);
	for (unsigned int i = 0; i < 5; i++)
		CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, outside, 0, i ? 8 : 2048, i), 0);
	quoll_nvme_submit(fx.queue);
	fixture_queue_destroy(&fx, fx.queue);
	CU_ASSERT_EQUAL(outside[0], 0x5a);
	has_its_room_back(4 << 20);
	end();
}

static bool is_reset(void)
{
	struct quoll_nvme_state state;

	quoll_nvme_state(fx.nvme, &state);
	return state.resets && fx.queue->reset_nr == fx.nvme->shared.reset_nr && !fx.queue->paused;
}

static bool both_are_back(void)
{
	return fx.nr_comps >= 2;
}

static void a_request_that_is_sent_again_keeps_its_memory(void)
{
	open_with(NULL, QUOLL_NVME_RESET_RESUBMIT, 16);
	fixture_fill_random(&fx, fx.fake.ns[0].disk, 1 << 20);
	fx.fake.hold_io = true;
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, outside, 0, 8, 0), 0);
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, outside + (1 << 20), 0, 2048, 1), 0);
	quoll_nvme_submit(fx.queue);
	fake_nvme_step(&fx.fake);
	CU_ASSERT_EQUAL(quoll_nvme_reset(fx.nvme), 0);
	fixture_run(&fx, fx.queue, is_reset);
	CU_ASSERT_EQUAL(fx.nr_comps, 0);
	fx.fake.hold_io = false;
	fake_nvme_release(&fx.fake);
	fixture_run(&fx, fx.queue, both_are_back);
	CU_ASSERT_EQUAL(fx.comps[0].error | fx.comps[1].error, 0);
	CU_ASSERT_EQUAL(memcmp(outside, fx.fake.ns[0].disk, 8 * 512), 0);
	CU_ASSERT_EQUAL(memcmp(outside + (1 << 20), fx.fake.ns[0].disk, 1 << 20), 0);
	has_its_room_back(4 << 20);
	end();
}

static void what_a_reset_hands_back_was_not_touched(void)
{
	open_with(NULL, QUOLL_NVME_RESET_FAIL, 16);
	memset(outside, 0x5a, 1 << 20);
	fx.fake.hold_io = true;
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, outside, 0, 8, 0), 0);
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, outside, 0, 2048, 1), 0);
	quoll_nvme_submit(fx.queue);
	fake_nvme_step(&fx.fake);
	CU_ASSERT_EQUAL(quoll_nvme_reset(fx.nvme), 0);
	fixture_run(&fx, fx.queue, both_are_back);
	CU_ASSERT_EQUAL(fx.comps[0].error, -ECANCELED);
	CU_ASSERT_EQUAL(fx.comps[1].error, -ECANCELED);
	CU_ASSERT_EQUAL(outside[0], 0x5a);
	fixture_run(&fx, fx.queue, is_reset);
	has_its_room_back(4 << 20);
	end();
}

static const struct unit_test tests[] = {
	{"data that bounces is right", data_that_bounces_is_right},
	{"data that is registered is right", data_that_is_registered_is_right},
	{"data that is mapped for one request is right", data_that_is_mapped_for_one_request_is_right},
	{"requests that finish in one poll share a flush", requests_that_finish_in_one_poll_share_a_flush},
	{"memory of the heap does not go through the stream", memory_of_the_heap_does_not_go_through_the_stream},
	{"without a way or a stream it is refused", without_a_way_or_a_stream_it_is_refused},
	{"where the stream is full prep says again", where_the_stream_is_full_prep_says_again},
	{"all slots may be in flight through the stream", all_slots_may_be_in_flight_through_the_stream},
	{"a read that fails leaves memory as it was", a_read_that_fails_leaves_memory_as_it_was},
	{"what a device that goes has is given back", what_a_device_that_goes_has_is_given_back},
	{"requests that are submitted together are mapped by one call",
	 requests_that_are_submitted_together_are_mapped_by_one_call},
	{"memory that the kernel refuses is its request's error", memory_that_the_kernel_refuses_is_its_requests_error},
	{"where the window is full requests wait", where_the_window_is_full_requests_wait},
	{"each request that waits to be mapped has a slot", each_request_that_waits_to_be_mapped_has_a_slot},
	{"what was not mapped is given back", what_was_not_mapped_is_given_back},
	{"what a queue that goes has is given back", what_a_queue_that_goes_has_is_given_back},
	{"a request that is sent again keeps its memory", a_request_that_is_sent_again_keeps_its_memory},
	{"what a reset hands back was not touched", what_a_reset_hands_back_was_not_touched},
};

UNIT_MAIN("drivers/nvme/stream", tests)
