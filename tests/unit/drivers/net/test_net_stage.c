/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_net_stage.c - a port whose buffers are the program's own memory, over the fake 82574 and a fake of quoll.ko's
 * window: right data by each way; the device finds a buffer only while the driver has it; what cannot be mapped is
 * dropped and counted; whatever becomes of it, every buffer comes back and nothing stays mapped.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "e1000e/e1000e_fixture.h"
#include "outside_world.h"
#include "unit.h"

#define ENTRIES 128u
#define FRAME_BYTES 200u
#define BURST 32u

static struct e1000e_fixture fx;
static struct outside_world o;
static uint8_t frame[FAKE_MAX_FRAME];
static unsigned int nr_warnings;
static char warning[256];

/* Coming and going. */

static void on_log(void *arg, enum quoll_log_level level, const char *area, const char *line)
{
	(void)arg;
	if (level != QUOLL_LOG_WARN || strcmp(area, "net") != 0)
		return;
	nr_warnings++;
	snprintf(warning, sizeof(warning), "%s", line);
}

static void begin(const struct quoll_stream_opts *opts)
{
	fixture_init(&fx);
	nr_warnings = 0;
	fx.fake.pci.env = (struct quoll_env){.log = on_log, .log_level = QUOLL_LOG_WARN};
	CU_ASSERT_EQUAL_FATAL(fixture_open(&fx), 0);
	outside_open(&o, &fx.w, &fx.fake.pci, opts, FIXTURE_HEADROOM);
}

static int start_with(struct quoll_stream *rx_stream, struct quoll_stream *tx_stream, uint32_t offloads,
		      unsigned int mtu)
{
	struct quoll_port_settings settings = {.offloads = offloads, .mtu = mtu};
	int rc = outside_start(&o, &fx.w, ENTRIES, rx_stream, tx_stream, &settings);

	fx.rxq = (struct e1000e_rxq *)quoll_port_rxq(fx.w.port, 0);
	fx.txq = (struct e1000e_txq *)quoll_port_txq(fx.w.port, 0);
	return rc;
}

static void start(void)
{
	CU_ASSERT_EQUAL_FATAL(start_with(o.stream, o.stream, 0, 0), 0);
}

static void stop(void)
{
	outside_stop(&o, &fx.w);
}

static void end(void)
{
	stop();
	outside_close(&o);
	fixture_fini(&fx);
}

/* Frames. */

static void put(struct quoll_buf *buf)
{
	quoll_buf_put_chain(o.cache, buf);
}

static void come_in(unsigned int n, uint32_t seed)
{
	for (unsigned int i = 0; i < n; i++) {
		fixture_make_frame(&fx, frame, FRAME_BYTES, seed + i);
		CU_ASSERT_TRUE_FATAL(fake_e1000e_receive(&fx.fake, frame, FRAME_BYTES));
	}
}

static struct quoll_buf *fresh(uint32_t seed)
{
	fixture_make_frame(&fx, frame, FRAME_BYTES, seed);
	return chain_make(o.cache, frame, FRAME_BYTES, FRAME_BYTES);
}

static bool was_sent(unsigned int i, uint32_t seed)
{
	fixture_make_frame(&fx, frame, FRAME_BYTES, seed);
	return i < fx.fake.nr_sent && fx.fake.sent[i].len == FRAME_BYTES &&
	       !memcmp(fx.fake.sent[i].data, frame, FRAME_BYTES);
}

/* Right data. */

static void forwards(unsigned int ways, unsigned int way)
{
	const struct quoll_stream_opts opts = {.ways = ways, .window_bytes = MEMORY_BYTES, .cached_entries = NR_BUFS};
	struct quoll_buf *bufs[BURST];
	uint64_t done = 0;

	begin(&opts);
	start();
	for (unsigned int round = 0; round < 100; round++, done += BURST) {
		come_in(BURST, round * BURST);
		CU_ASSERT_EQUAL_FATAL(quoll_rx(&fx.rxq->q, bufs, BURST), BURST);
		for (unsigned int i = 0; i < BURST; i++) {
			fixture_make_frame(&fx, frame, FRAME_BYTES, round * BURST + i);
			CU_ASSERT_TRUE(chain_is(bufs[i], frame, FRAME_BYTES));
			CU_ASSERT_TRUE(is_unreachable(&o, bufs[i]) || way == QUOLL_WAY_CACHED);
			CU_ASSERT_EQUAL(bufs[i]->data_off, FIXTURE_HEADROOM);
		}
		fake_e1000e_forget(&fx.fake);
		CU_ASSERT_EQUAL_FATAL(quoll_tx(&fx.txq->q, bufs, BURST), BURST);
		for (unsigned int i = 0; i < BURST; i++)
			CU_ASSERT_TRUE_FATAL(was_sent(i, round * BURST + i));
	}
	CU_ASSERT_EQUAL(fixture_stats(&fx).rx_packets, done);
	CU_ASSERT_EQUAL(fixture_stats(&fx).tx_packets, done);
	CU_ASSERT_EQUAL(fixture_stats(&fx).rx_no_buf, 0);
	went_by(&o, way, 2 * done);
	end();
}

static void memory_in_a_window_is_forwarded(void)
{
	forwards(ONLY(WINDOW), QUOLL_WAY_WINDOW);
}

static void memory_that_is_registered_is_forwarded(void)
{
	forwards(ONLY(REGISTERED), QUOLL_WAY_REGISTERED);
}

static void memory_that_bounces_is_forwarded(void)
{
	forwards(ONLY(BOUNCE), QUOLL_WAY_BOUNCE);
}

static void memory_that_is_cached_is_forwarded(void)
{
	const struct quoll_stream_opts opts = {
		.ways = ONLY(CACHED), .cached_entries = 128, .cached_watch = QUOLL_CACHED_FORGETS};
	struct quoll_buf *bufs[BURST];

	/* The fake address space has few places, so receive is by the heap's pool. */
	begin(&opts);
	{
		struct quoll_buf_cache *rx_cache = fx.w.cache;
		struct quoll_port_queues queues = {.nr_rxqs = 1,
						   .nr_txqs = 1,
						   .entries = ENTRIES,
						   .rx_caches = &rx_cache,
						   .tx_caches = &o.cache,
						   .tx_streams = &o.stream};

		CU_ASSERT_EQUAL_FATAL(quoll_port_start(fx.w.port, &queues, NULL, &fx.w.err), 0);
	}
	fx.rxq = (struct e1000e_rxq *)quoll_port_rxq(fx.w.port, 0);
	fx.txq = (struct e1000e_txq *)quoll_port_txq(fx.w.port, 0);
	for (unsigned int round = 0; round < 20; round++) {
		for (unsigned int i = 0; i < BURST; i++)
			bufs[i] = fresh(round * BURST + i);
		fake_e1000e_forget(&fx.fake);
		CU_ASSERT_EQUAL_FATAL(quoll_tx(&fx.txq->q, bufs, BURST), BURST);
		for (unsigned int i = 0; i < BURST; i++)
			CU_ASSERT_TRUE_FATAL(was_sent(i, round * BURST + i));
		/* What came in lies in the heap, and goes out without a map. */
		come_in(BURST, round);
		CU_ASSERT_EQUAL_FATAL(quoll_rx(&fx.rxq->q, bufs, BURST), BURST);
		CU_ASSERT_EQUAL_FATAL(quoll_tx(&fx.txq->q, bufs, BURST), BURST);
	}
	end();
}

/* In several links, in and out. */
static void chains_are_forwarded(void)
{
	const struct quoll_stream_opts opts = {.ways = ONLY(WINDOW), .window_bytes = MEMORY_BYTES};
	static uint8_t longest[FAKE_MAX_FRAME];
	struct quoll_buf *buf, *heap_buf, *bufs[BURST];

	begin(&opts);
	CU_ASSERT_EQUAL_FATAL(start_with(o.stream, o.stream, QUOLL_OFFLOAD_RX_SCATTER, 9000), 0);
	for (uint32_t len = 60; len <= 9000; len += 447) {
		fixture_make_frame(&fx, longest, len, len);
		CU_ASSERT_TRUE_FATAL(fake_e1000e_receive(&fx.fake, longest, len));
		CU_ASSERT_EQUAL_FATAL(quoll_rx(&fx.rxq->q, bufs, BURST), 1);
		buf = bufs[0];
		CU_ASSERT_TRUE(chain_is(buf, longest, len));
		for (const struct quoll_buf *link = buf; link; link = link->next)
			CU_ASSERT_TRUE(is_unreachable(&o, link));
		fake_e1000e_forget(&fx.fake);
		CU_ASSERT_EQUAL_FATAL(quoll_tx(&fx.txq->q, &buf, 1), 1);
		CU_ASSERT_EQUAL_FATAL(fx.fake.nr_sent, 1);
		CU_ASSERT_EQUAL(fx.fake.sent[0].len, len);
		CU_ASSERT_EQUAL(memcmp(fx.fake.sent[0].data, longest, len), 0);
	}
	/* One link in the heap, one without data, one outside. */
	buf = fresh(1);
	heap_buf = fixture_buf(&fx, frame, FRAME_BYTES, FRAME_BYTES);
	CU_ASSERT_EQUAL_FATAL(quoll_buf_get(o.cache, &heap_buf->next, 1), 0);
	heap_buf->next->next = buf;
	heap_buf->total_bytes = 2 * FRAME_BYTES;
	heap_buf->nr_links = 3;
	fake_e1000e_forget(&fx.fake);
	CU_ASSERT_EQUAL_FATAL(quoll_tx(&fx.txq->q, &heap_buf, 1), 1);
	CU_ASSERT_EQUAL_FATAL(fx.fake.nr_sent, 1);
	CU_ASSERT_EQUAL(memcmp(fx.fake.sent[0].data + FRAME_BYTES, frame, FRAME_BYTES), 0);
	end();
}

/* Calls of the kernel. */

static unsigned int free_at_fence;

static void at_enter(void)
{
	free_at_fence = quoll_pool_nr_free(o.pool);
}

static void a_burst_is_one_map_and_one_fence_and_buffers_come_back_after_it(void)
{
	const struct quoll_stream_opts opts = {.ways = ONLY(WINDOW), .window_bytes = MEMORY_BYTES};
	struct quoll_buf *bufs[BURST];
	unsigned int nr_free;

	begin(&opts);
	start();
	come_in(BURST, 0);
	fake_window.nr_enters = fake_window.nr_fences = 0;
	CU_ASSERT_EQUAL_FATAL(quoll_rx(&fx.rxq->q, bufs, BURST), BURST);
	CU_ASSERT_EQUAL(fake_window.nr_enters, 1); /* the ring is filled up once more are missing */
	CU_ASSERT_EQUAL(fake_window.nr_fences, 1);
	CU_ASSERT_EQUAL_FATAL(quoll_tx(&fx.txq->q, bufs, BURST), BURST);
	CU_ASSERT_EQUAL(fake_window.nr_enters, 2);
	CU_ASSERT_EQUAL(fake_window.nr_fences, 1);
	/* The device has sent the first burst: the second one takes it back. */
	for (unsigned int i = 0; i < BURST; i++)
		bufs[i] = fresh(i);
	nr_free = quoll_pool_nr_free(o.pool);
	fake_window_entering = at_enter;
	CU_ASSERT_EQUAL_FATAL(quoll_tx(&fx.txq->q, bufs, BURST), BURST);
	fake_window_entering = NULL;
	CU_ASSERT_EQUAL(fake_window.nr_enters, 4);
	CU_ASSERT_EQUAL(fake_window.nr_fences, 2);
	CU_ASSERT_EQUAL(free_at_fence, nr_free);
	CU_ASSERT_EQUAL(quoll_pool_nr_free(o.pool), nr_free + BURST);
	/* A long burst is received in pieces, and unmapped by one fence all the same. */
	come_in(64, 0);
	fake_window.nr_fences = 0;
	{
		struct quoll_buf *many[100];
		unsigned int got = quoll_rx(&fx.rxq->q, many, 100);

		CU_ASSERT_EQUAL(got, 64);
		CU_ASSERT_EQUAL(fake_window.nr_fences, 1);
		for (unsigned int i = 0; i < got; i++)
			put(many[i]);
	}
	end();
}

static void the_device_may_only_write_what_it_receives_into_and_only_read_what_it_sends(void)
{
	const struct quoll_stream_opts opts = {.ways = ONLY(WINDOW), .window_bytes = MEMORY_BYTES};
	struct quoll_buf *buf;
	quoll_iova_t iova;

	begin(&opts);
	start();
	for (unsigned int i = 0; i < FAKE_MAX_STREAMED; i++)
		CU_ASSERT(!fake_window.maps[i].bytes || !(fake_window.maps[i].flags & QUOLL_STREAM_READ));
	fx.fake.mute_tx = true;
	buf = fresh(1);
	CU_ASSERT_EQUAL_FATAL(quoll_tx(&fx.txq->q, &buf, 1), 1);
	iova = quoll_buf_iova(buf);
	CU_ASSERT_PTR_EQUAL(fake_stream_at(&fake_window, iova, QUOLL_STREAM_READ), quoll_buf_data(buf));
	CU_ASSERT_PTR_NULL(fake_stream_at(&fake_window, iova, QUOLL_STREAM_WRITE));
	fx.fake.mute_tx = false;
	fake_e1000e_run_tx(&fx.fake);
	CU_ASSERT_TRUE(was_sent(0, 1));
	stop();
	CU_ASSERT_PTR_NULL(fake_stream_at(&fake_window, iova, QUOLL_STREAM_READ));
	end();
}

/* What goes wrong. */

static void fail_maps(unsigned int skip, int errnum)
{
	fake_window.fail_op = QUOLL_STREAM_MAP;
	fake_window.fail_skip = skip;
	fake_window.fail_errno = errnum;
}

/* The buffer at the end of the memory, which is not registered. */
static struct quoll_buf *take_unregistered(void)
{
	struct quoll_buf *bufs[NR_BUFS], *last = NULL;
	unsigned int nr = 0;

	while (!last && nr < NR_BUFS && !quoll_buf_get(o.cache, &bufs[nr], 1)) {
		if (bufs[nr]->va == o.memory + MEMORY_BYTES - BUF_BYTES)
			last = bufs[nr];
		else
			nr++;
	}
	while (nr)
		put(bufs[--nr]);
	CU_ASSERT_PTR_NOT_NULL_FATAL(last);
	last->data_bytes = last->total_bytes = FRAME_BYTES;
	return last;
}

static void a_frame_that_cannot_be_mapped_is_dropped_and_counted_and_the_others_go_out(void)
{
	const struct quoll_stream_opts opts = {.ways = ONLY(WINDOW), .window_bytes = MEMORY_BYTES},
				       registered = {.ways = ONLY(REGISTERED), .window_bytes = MEMORY_BYTES};
	struct quoll_buf *bufs[10], *last;

	begin(&opts);
	quoll_stream_destroy(o.stream);
	CU_ASSERT_EQUAL_FATAL(quoll_stream_create(fx.w.ioas, fx.w.heap, &registered, &o.stream, &fx.w.err), 0);
	CU_ASSERT_EQUAL_FATAL(
		quoll_stream_register(o.stream, o.memory, MEMORY_BYTES - BUF_BYTES, QUOLL_SEG_READ | QUOLL_SEG_WRITE),
		0);
	start();
	for (unsigned int i = 0; i < 10; i++)
		bufs[i] = i == 4 ? take_unregistered() : fresh(i);
	CU_ASSERT_EQUAL(quoll_tx(&fx.txq->q, bufs, 10), 10);
	CU_ASSERT_EQUAL(fx.fake.nr_sent, 9);
	for (unsigned int i = 0; i < 9; i++)
		CU_ASSERT_TRUE(was_sent(i, i < 4 ? i : i + 1));
	CU_ASSERT_EQUAL(fixture_stats(&fx).tx_packets, 9);
	CU_ASSERT_EQUAL(fixture_stats(&fx).tx_bad, 1);
	/* The last link of three: the first two are unmapped again. */
	last = take_unregistered();
	fixture_make_frame(&fx, frame, 300, 1);
	bufs[0] = chain_make(o.cache, frame, 300, 150);
	bufs[0]->next->next = last;
	bufs[0]->nr_links = 3;
	bufs[0]->total_bytes += FRAME_BYTES;
	bufs[1] = fresh(1);
	fake_e1000e_forget(&fx.fake);
	CU_ASSERT_EQUAL(quoll_tx(&fx.txq->q, bufs, 2), 2);
	CU_ASSERT_EQUAL(fx.fake.nr_sent, 1);
	CU_ASSERT_TRUE(was_sent(0, 1));
	CU_ASSERT_EQUAL(fixture_stats(&fx).tx_bad, 2);
	end();
}

static void frames_that_make_no_sense_are_dropped(void)
{
	const struct quoll_stream_opts opts = {.ways = ONLY(WINDOW), .window_bytes = MEMORY_BYTES};
	struct quoll_pool_opts pool_opts = {.nr_bufs = 1, .buf_bytes = 1024, .align = 4096};
	struct quoll_buf_cache *strange_cache;
	struct quoll_pool *strange_pool;
	struct quoll_buf *bufs[3], *last;

	begin(&opts);
	start();
	CU_ASSERT_EQUAL_FATAL(quoll_pool_create_outside(o.memory, 4096, &pool_opts, &strange_pool, &fx.w.err), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_buf_cache_create(strange_pool, 1, &strange_cache, &fx.w.err), 0);
	bufs[0] = fresh(1);
	bufs[0]->data_off = BUF_BYTES - 10; /* past the end of the buffer */
	CU_ASSERT_EQUAL_FATAL(quoll_buf_get(strange_cache, &bufs[1], 1), 0);
	bufs[1]->data_bytes = bufs[1]->total_bytes = 100; /* of a pool that the queue knows nothing of */
	bufs[2] = last = fresh(1);			  /* more links than any frame has */
	for (unsigned int i = 0; i < 40; i++, last = last->next)
		last->next = fresh(1);
	CU_ASSERT_EQUAL(quoll_tx(&fx.txq->q, bufs, 3), 3);
	CU_ASSERT_EQUAL(fx.fake.nr_sent, 0);
	CU_ASSERT_EQUAL(fixture_stats(&fx).tx_bad, 3);
	quoll_buf_cache_destroy(strange_cache);
	CU_ASSERT_EQUAL(quoll_pool_destroy(strange_pool), 0);
	end();
}

static void what_the_ring_has_no_room_for_stays_the_callers_and_is_not_mapped(void)
{
	const struct quoll_stream_opts opts = {.ways = ONLY(WINDOW), .window_bytes = MEMORY_BYTES};
	struct quoll_buf *bufs[200];
	unsigned int taken;

	begin(&opts);
	start();
	fx.fake.mute_tx = true;
	for (unsigned int i = 0; i < 200; i++)
		bufs[i] = fresh(i);
	taken = quoll_tx(&fx.txq->q, bufs, 200);
	CU_ASSERT_EQUAL(taken, ENTRIES - 1);
	for (unsigned int i = taken; i < 200; i++)
		CU_ASSERT_TRUE(is_unreachable(&o, bufs[i]));
	CU_ASSERT_EQUAL(quoll_tx(&fx.txq->q, bufs + taken, 200 - taken), 0);
	fx.fake.mute_tx = false;
	fake_e1000e_run_tx(&fx.fake);
	CU_ASSERT_EQUAL(quoll_tx(&fx.txq->q, bufs + taken, 200 - taken), 200 - taken);
	CU_ASSERT_EQUAL(fx.fake.nr_sent, 200);
	CU_ASSERT_TRUE(was_sent(199, 199));
	end();
}

static void without_room_in_the_window_frames_wait_until_others_are_sent(void)
{
	struct quoll_stream_opts opts = {.ways = ONLY(WINDOW), .window_bytes = 1 << 20};
	struct quoll_stream *small = NULL;
	struct quoll_buf *bufs[40];

	begin(&opts);
	quoll_stream_destroy(o.stream);
	opts.window_bytes = 2 << 20;
	CU_ASSERT_EQUAL_FATAL(quoll_stream_create(fx.w.ioas, fx.w.heap, &opts, &o.stream, &fx.w.err), 0);
	opts.window_bytes = 32 * 4096;
	CU_ASSERT_EQUAL_FATAL(quoll_stream_create(fx.w.ioas, fx.w.heap, &opts, &small, &fx.w.err), 0);
	CU_ASSERT_EQUAL_FATAL(start_with(o.stream, small, 0, 0), 0);
	fx.fake.mute_tx = true;
	for (unsigned int i = 0; i < 40; i++)
		bufs[i] = fresh(i);
	CU_ASSERT_EQUAL(quoll_tx(&fx.txq->q, bufs, 40), 32);
	CU_ASSERT_EQUAL(quoll_tx(&fx.txq->q, bufs + 32, 8), 0);
	CU_ASSERT_EQUAL(fixture_stats(&fx).tx_bad, 0);
	fx.fake.mute_tx = false;
	fake_e1000e_run_tx(&fx.fake);
	/* The first call finds out that they were sent, the second has the room. */
	CU_ASSERT_EQUAL(quoll_tx(&fx.txq->q, bufs + 32, 8), 0);
	CU_ASSERT_EQUAL(quoll_tx(&fx.txq->q, bufs + 32, 8), 8);
	CU_ASSERT_TRUE(was_sent(39, 39));
	stop();
	quoll_stream_destroy(small);
	end();
}

static void a_buffer_that_cannot_be_mapped_is_replaced_by_another(void)
{
	const struct quoll_stream_opts opts = {.ways = ONLY(WINDOW), .window_bytes = MEMORY_BYTES};
	struct quoll_buf *buf;

	begin(&opts);
	start();
	for (unsigned int round = 0; round < 300; round++) {
		fail_maps(round % 7, -EFAULT);
		come_in(1, round);
		CU_ASSERT_EQUAL_FATAL(quoll_rx(&fx.rxq->q, &buf, 1), 1);
		put(buf);
	}
	CU_ASSERT_EQUAL(fixture_stats(&fx).rx_no_buf, 0);
	CU_ASSERT_EQUAL(fixture_stats(&fx).rx_missed, 0);
	end();
}

static uint64_t unmappable(void)
{
	struct quoll_port_xstat xstats[128];
	unsigned int n = quoll_port_xstats(fx.w.port, xstats, 128);

	for (unsigned int i = 0; i < n; i++)
		if (!strcmp(xstats[i].name, "rxq0_unmappable"))
			return xstats[i].value;
	return UINT64_MAX;
}

#define NR_BAD 300u /* at the begin of the memory, which is not registered */

static bool is_bad(const struct quoll_buf *buf)
{
	return buf->va < o.memory + NR_BAD * BUF_BYTES;
}

/* All that are free, in an array of NR_BUFS. */
static unsigned int take_all(struct quoll_buf **all)
{
	unsigned int n = 0;

	while (n < NR_BUFS && !quoll_buf_get(o.cache, &all[n], 1))
		n++;
	return n;
}

/* Those of one kind go back. */
static void put_all(struct quoll_buf *const *all, unsigned int n, bool bad)
{
	for (unsigned int i = 0; i < n; i++)
		if (is_bad(all[i]) == bad)
			put(all[i]);
}

static void start_with_bad_ones(unsigned int way)
{
	const uint64_t bad = NR_BAD * BUF_BYTES;
	const struct quoll_stream_opts opts = {.ways = ONLY(WINDOW), .window_bytes = MEMORY_BYTES},
				       way_opts = {.ways = way, .window_bytes = MEMORY_BYTES};

	begin(&opts);
	quoll_stream_destroy(o.stream);
	CU_ASSERT_EQUAL_FATAL(quoll_stream_create(fx.w.ioas, fx.w.heap, &way_opts, &o.stream, &fx.w.err), 0);
	if (way == ONLY(REGISTERED))
		CU_ASSERT_EQUAL_FATAL(quoll_stream_register(o.stream, o.memory + bad, MEMORY_BYTES - bad,
							    QUOLL_SEG_READ | QUOLL_SEG_WRITE),
				      0);
	fake_window.no_memory = (uintptr_t)o.memory;
	fake_window.no_memory_bytes = bad;
	/* The pool hands them out first. */
	start();
}

static void bad_ones_are_passed_over(unsigned int way)
{
	struct quoll_buf *all[NR_BUFS], *held[10 * BURST];
	uint64_t before, passed;
	unsigned int n;

	start_with_bad_ones(way);
	CU_ASSERT_EQUAL(nr_warnings, 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(warning, "receive queue 0: its stream cannot map the buffer at"));
	CU_ASSERT_PTR_NOT_NULL(strstr(warning, strerror(EFAULT)));
	CU_ASSERT_EQUAL(unmappable(), NR_BAD);
	for (unsigned int turn = 0; turn < 20; turn++) {
		/* They are the next ones again. */
		n = take_all(all);
		put_all(all, n, false);
		put_all(all, n, true);
		for (unsigned int i = 0; i < 10; i++) {
			before = unmappable();
			come_in(BURST, i);
			fake_window.nr_entries = 0;
			CU_ASSERT_EQUAL_FATAL(quoll_rx(&fx.rxq->q, held + i * BURST, BURST), BURST);
			passed = unmappable() - before;
			CU_ASSERT(passed <= 64);
			/* The kernel does little in vain for each. */
			CU_ASSERT(fake_window.nr_entries <= 4 * 256 + 10 * passed);
		}
		for (unsigned int i = 0; i < 10 * BURST; i++)
			put(held[i]);
	}
	CU_ASSERT(unmappable() > 2 * NR_BAD);
	CU_ASSERT_EQUAL(nr_warnings, 1);
	CU_ASSERT_EQUAL(fixture_stats(&fx).rx_no_buf, 0);
	CU_ASSERT_EQUAL(fixture_stats(&fx).rx_missed, 0);
	end();
}

static void many_buffers_that_can_never_be_mapped_are_passed_over(void)
{
	bad_ones_are_passed_over(ONLY(WINDOW));
}

static void many_buffers_that_are_not_registered_are_passed_over(void)
{
	bad_ones_are_passed_over(ONLY(REGISTERED));
}

static void with_no_others_left_it_is_a_shortage_and_the_port_gets_over_it(void)
{
	struct quoll_buf *all[NR_BUFS], *bufs[BURST];
	unsigned int n, got = 1;
	uint64_t before;

	start_with_bad_ones(ONLY(WINDOW));
	n = take_all(all);
	put_all(all, n, true);
	while (got) {
		fixture_make_frame(&fx, frame, FRAME_BYTES, 1);
		for (unsigned int i = 0; i < BURST; i++)
			(void)fake_e1000e_receive(&fx.fake, frame, FRAME_BYTES);
		before = unmappable();
		got = quoll_rx(&fx.rxq->q, bufs, BURST);
		CU_ASSERT(unmappable() - before <= 64);
		for (unsigned int i = 0; i < got; i++)
			all[n++] = bufs[i];
		CU_ASSERT_FATAL(n <= NR_BUFS);
	}
	CU_ASSERT(fixture_stats(&fx).rx_no_buf > 0);
	put_all(all, n, false);
	for (unsigned int i = 0; i < 10; i++) {
		CU_ASSERT_EQUAL(quoll_rx(&fx.rxq->q, bufs, BURST), 0);
	}
	come_in(BURST, 3);
	CU_ASSERT_EQUAL_FATAL(quoll_rx(&fx.rxq->q, bufs, BURST), BURST);
	for (unsigned int i = 0; i < BURST; i++)
		put(bufs[i]);
	end();
}

static void a_ring_that_cannot_be_filled_is_a_shortage_and_gets_over_it(void)
{
	const struct quoll_stream_opts opts = {.ways = ONLY(WINDOW), .window_bytes = MEMORY_BYTES};
	struct quoll_buf *bufs[BURST], *taken[NR_BUFS];
	unsigned int nr_taken = 0;

	begin(&opts);
	start();
	/* The pool has none left; then it has them again. */
	while (nr_taken < NR_BUFS && !quoll_buf_get(o.cache, &taken[nr_taken], 1))
		nr_taken++;
	for (unsigned int got = 1; got;) {
		fixture_make_frame(&fx, frame, FRAME_BYTES, 1);
		for (unsigned int i = 0; i < BURST; i++)
			(void)fake_e1000e_receive(&fx.fake, frame, FRAME_BYTES);
		got = quoll_rx(&fx.rxq->q, bufs, BURST);
		for (unsigned int i = 0; i < got; i++)
			taken[nr_taken++] = bufs[i];
	}
	CU_ASSERT_EQUAL(nr_taken, NR_BUFS);
	CU_ASSERT(fixture_stats(&fx).rx_no_buf > 0);
	CU_ASSERT_EQUAL(fake_stream_maps(&fake_window), 0);
	while (nr_taken)
		put(taken[--nr_taken]);
	CU_ASSERT_EQUAL(quoll_rx(&fx.rxq->q, bufs, BURST), 0);
	come_in(BURST, 3);
	CU_ASSERT_EQUAL_FATAL(quoll_rx(&fx.rxq->q, bufs, BURST), BURST);
	for (unsigned int i = 0; i < BURST; i++)
		put(bufs[i]);
	end();
}

static void a_port_is_stopped_with_buffers_on_its_rings(void)
{
	const struct quoll_stream_opts opts = {.ways = ONLY(WINDOW), .window_bytes = MEMORY_BYTES};
	struct quoll_buf *bufs[BURST];

	begin(&opts);
	for (unsigned int round = 0; round < 3; round++) {
		start();
		come_in(BURST, 0);
		fx.fake.mute_tx = true;
		for (unsigned int i = 0; i < BURST; i++)
			bufs[i] = fresh(i);
		CU_ASSERT_EQUAL_FATAL(quoll_tx(&fx.txq->q, bufs, BURST), BURST);
		CU_ASSERT(fake_stream_maps(&fake_window) > ENTRIES);
		fx.fake.mute_tx = false;
		stop();
	}
	/* The device goes away. */
	start();
	come_in(BURST, 0);
	fake_e1000e_yank(&fx.fake);
	CU_ASSERT_EQUAL(fixture_check(&fx), -ENODEV);
	CU_ASSERT_EQUAL(quoll_rx(&fx.rxq->q, bufs, BURST), 0);
	bufs[0] = fresh(1);
	CU_ASSERT_EQUAL(quoll_tx(&fx.txq->q, bufs, 1), 0);
	put(bufs[0]);
	CU_ASSERT_EQUAL(quoll_port_stop(fx.w.port), -ENODEV);
	end();
}

static void the_kernel_gives_up_the_window(void)
{
	const struct quoll_stream_opts opts = {.ways = ONLY(WINDOW), .window_bytes = MEMORY_BYTES};
	struct quoll_buf *bufs[BURST];

	begin(&opts);
	start();
	for (unsigned int i = 0; i < BURST; i++)
		bufs[i] = fresh(i);
	fake_window.enter_result = -ENODEV;
	CU_ASSERT_EQUAL(quoll_tx(&fx.txq->q, bufs, BURST), BURST);
	CU_ASSERT_EQUAL(fixture_stats(&fx).tx_bad, BURST);
	fake_window.enter_result = 0;
	CU_ASSERT_EQUAL(quoll_port_stop(fx.w.port), 0);
	CU_ASSERT_EQUAL(quoll_pool_nr_free(o.pool), NR_BUFS);
	fake_window = (struct fake_stream){0}; /* what was mapped has gone with the group */
	end();
}

/* What is refused. */

static void without_a_stream_or_room_in_it_a_port_does_not_start(void)
{
	struct quoll_stream_opts opts = {.ways = ONLY(WINDOW), .window_bytes = 100 * 4096};

	begin(&opts);
	CU_ASSERT_EQUAL(start_with(NULL, o.stream, 0, 0), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(fx.w.err.what, "no stream"));
	CU_ASSERT_EQUAL(start_with(o.stream, NULL, 0, 0), -EINVAL);
	CU_ASSERT_EQUAL(start_with(o.stream, o.stream, 0, 0), -EAGAIN);
	CU_ASSERT_PTR_NOT_NULL(strstr(fx.w.err.what, "has mapped 100 buffers"));
	CU_ASSERT_EQUAL(fake_stream_maps(&fake_window), 0);
	CU_ASSERT_EQUAL(quoll_pool_nr_free(o.pool), NR_BUFS);
	fail_maps(0, -EPERM);
	CU_ASSERT_EQUAL(start_with(o.stream, o.stream, 0, 0), -EAGAIN);
	end();
}

static const struct unit_test tests[] = {
	{"memory in a window is forwarded", memory_in_a_window_is_forwarded},
	{"memory that is registered is forwarded", memory_that_is_registered_is_forwarded},
	{"memory that bounces is forwarded", memory_that_bounces_is_forwarded},
	{"memory that is cached is forwarded", memory_that_is_cached_is_forwarded},
	{"chains are forwarded", chains_are_forwarded},
	{"a burst is one map and one fence, and buffers come back after it",
	 a_burst_is_one_map_and_one_fence_and_buffers_come_back_after_it},
	{"the device may only write what it receives into, and only read what it sends",
	 the_device_may_only_write_what_it_receives_into_and_only_read_what_it_sends},
	{"a frame that cannot be mapped is dropped and counted, and the others go out",
	 a_frame_that_cannot_be_mapped_is_dropped_and_counted_and_the_others_go_out},
	{"frames that make no sense are dropped", frames_that_make_no_sense_are_dropped},
	{"what the ring has no room for stays the caller's and is not mapped",
	 what_the_ring_has_no_room_for_stays_the_callers_and_is_not_mapped},
	{"without room in the window frames wait until others are sent",
	 without_room_in_the_window_frames_wait_until_others_are_sent},
	{"a buffer that cannot be mapped is replaced by another",
	 a_buffer_that_cannot_be_mapped_is_replaced_by_another},
	{"many buffers that can never be mapped are passed over",
	 many_buffers_that_can_never_be_mapped_are_passed_over},
	{"many buffers that are not registered are passed over", many_buffers_that_are_not_registered_are_passed_over},
	{"with no others left it is a shortage, and the port gets over it",
	 with_no_others_left_it_is_a_shortage_and_the_port_gets_over_it},
	{"a ring that cannot be filled is a shortage, and gets over it",
	 a_ring_that_cannot_be_filled_is_a_shortage_and_gets_over_it},
	{"a port is stopped with buffers on its rings", a_port_is_stopped_with_buffers_on_its_rings},
	{"the kernel gives up the window", the_kernel_gives_up_the_window},
	{"without a stream, or room in it, a port does not start",
	 without_a_stream_or_room_in_it_a_port_does_not_start},
};

UNIT_MAIN("net stage", tests)
