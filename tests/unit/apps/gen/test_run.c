/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_run.c - generators over null: and ring: ports: packets in are packets out, what is lost or forged is told, and
 * no buffer is lost.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <net/net_driver.h>

#include "apps/quoll/fault_world.h"
#include "gen/gen.h"
#include "unit.h"

#define KEY 5u

static struct gen_run *run;
static struct quoll_error err;
static const uint16_t size_64[] = {64}, sizes[] = {64, 1518, 100, 777};

static const struct gen_opts base = {
	.flow = {.src_ip = {198, 18, 0, 1}, .dst_ip = {198, 19, 0, 1}, .vlan_tci = -1, .nr_flows = 7},
	.rate = {SHAPE_UNLIMITED, 0},
	.sizes = sizes,
	.nr_sizes = 4,
	.send = true,
	.receive = true,
	.nr_queues = 1,
	.nr_threads = 1,
	.burst = 32,
	.mtu = 1500,
	.max_packets = 10000,
	.linger_ns = 50000000,
	.link_down_ns = 60000000000,
	.key = KEY,
	.pages = QUOLL_PAGES_4K,
	.live_ns = 1000000,
};

static int open_run(const struct gen_opts *opts, const char *first, const char *second)
{
	static const struct quoll_env env;
	struct quoll_addr addrs[2];

	run = calloc(1, sizeof(*run));
	CU_ASSERT_PTR_NOT_NULL_FATAL(run);
	memset(&err, 0, sizeof(err));
	run->opts = *opts;
	run->p.claims.env = &env;
	CU_ASSERT_EQUAL_FATAL(quoll_addr_parse(first, &addrs[0], NULL), 0);
	if (second)
		CU_ASSERT_EQUAL_FATAL(quoll_addr_parse(second, &addrs[1], NULL), 0);
	return gen_open(run, addrs, second ? 2 : 1, &err);
}

static void start(const struct gen_opts *opts, const char *first, const char *second)
{
	int ret = open_run(opts, first, second);

	if (ret)
		printf("open: %s: %s\n", err.subject, err.what);
	CU_ASSERT_EQUAL_FATAL(ret, 0);
}

static void finish(void)
{
	CU_ASSERT_EQUAL(gen_stop(run, &err), 0);
	CU_ASSERT_EQUAL(run->p.nr_missing, 0);
	gen_close(run);
	free(run);
}

static struct gen_sums sums(void)
{
	struct gen_sums s;

	gen_sums(run, 0, run->opts.flow.nr_flows, &s);
	return s;
}

static void expect_all(uint64_t n)
{
	struct gen_sums s = sums();

	CU_ASSERT_EQUAL(run->sources->nr_packets, n);
	CU_ASSERT_EQUAL(run->sinks->nr_packets, n);
	CU_ASSERT_EQUAL(run->sinks->nr_bytes, run->sources->nr_bytes);
	CU_ASSERT_EQUAL(run->sinks->nr_foreign, 0);
	CU_ASSERT_EQUAL(run->sinks->nr_odd, 0);
	CU_ASSERT_EQUAL(run->sinks->latency.nr_values, n);
	CU_ASSERT_EQUAL(s.sent, n);
	CU_ASSERT_EQUAL(s.good, n);
	CU_ASSERT_EQUAL(s.lost, 0);
	CU_ASSERT_EQUAL(s.reordered + s.duplicates + s.late + s.far, 0);
}

static void packets_out_are_packets_in(void)
{
	for (unsigned int threads = 1; threads <= 2; threads++)
		for (unsigned int ports = 1; ports <= 2; ports++) {
			struct gen_opts opts = base;

			opts.nr_threads = threads;
			opts.linger_ns = 60000000000u; /* however busy the machine is */
			start(&opts, ports == 1 ? "ring:a?loop=1" : "ring:a", ports == 1 ? NULL : "ring:a");
			CU_ASSERT_EQUAL(gen_loop(run, &err), 0);
			CU_ASSERT_EQUAL(run->end, GEN_END_COUNT);
			expect_all(opts.max_packets);
			finish();
		}
}

/* Each direction and queue sends its share, and each flow is whole. */
static void queues_and_directions_share_the_work(void)
{
	static const unsigned int threads[] = {1, 2, 5, 12};

	for (unsigned int i = 0; i < sizeof(threads) / sizeof(threads[0]); i++) {
		struct gen_opts opts = base;
		struct gen_sums s;

		opts.both = true;
		opts.nr_queues = 3;
		opts.nr_threads = threads[i];
		opts.linger_ns = 60000000000u;
		start(&opts, "ring:a", "ring:a");
		CU_ASSERT_EQUAL(gen_loop(run, &err), 0);
		CU_ASSERT_EQUAL(run->end, GEN_END_COUNT);
		CU_ASSERT_EQUAL(run->nr_lanes, 6);
		for (unsigned int lane = 0; lane < 6; lane++) {
			uint64_t share = 10000 / 3 + (lane % 3 < 10000 % 3);

			CU_ASSERT_EQUAL(run->sources[lane].nr_packets, share);
			CU_ASSERT_EQUAL(run->sinks[lane].nr_packets, share);
			CU_ASSERT_EQUAL(run->sinks[lane].latency.nr_values, share);
		}
		for (unsigned int flow = 0; flow < 14; flow++) {
			gen_sums(run, flow, 1, &s);
			CU_ASSERT_TRUE(s.sent > 0);
			CU_ASSERT_EQUAL(s.good, s.sent);
			CU_ASSERT_EQUAL(s.lost + s.reordered + s.duplicates + s.late + s.far, 0);
		}
		finish();
	}
}

/* A frame of the other direction, which came back to whom it was sent by, is none that was waited for. */
static void what_comes_back_to_its_sender_is_no_success(void)
{
	struct gen_opts opts = base;
	struct gen_sums s;

	opts.both = true;
	opts.linger_ns = 1000000;
	start(&opts, "ring:a?loop=1", "ring:b?loop=1");
	CU_ASSERT_EQUAL(gen_loop(run, &err), 0);
	CU_ASSERT_EQUAL(run->sinks[0].nr_odd, 10000);
	CU_ASSERT_EQUAL(run->sinks[1].nr_odd, 10000);
	gen_sums(run, 0, 14, &s);
	CU_ASSERT_EQUAL(s.sent, 20000);
	CU_ASSERT_EQUAL(s.lost, 20000);
	finish();
}

static void queues_share_the_rate(void)
{
	struct gen_opts opts = base;
	struct shape_pace one;

	opts.rate = (struct shape_rate){SHAPE_PPS, 1000};
	opts.nr_queues = 3;
	opts.max_packets = 1;
	opts.linger_ns = 60000000000u;
	start(&opts, "ring:a", "ring:a");
	CU_ASSERT_EQUAL(gen_loop(run, &err), 0);
	CU_ASSERT_EQUAL_FATAL(shape_pace(&opts.rate, run->p.clock.tick_hz, 0, &one), 0);
	for (unsigned int i = 0; i < 3; i++)
		CU_ASSERT_TRUE(run->sources[i].pace.per_frame == 3 * one.per_frame);
	/* These two have no share of one packet, and are where they began: each a step of the whole rate later. */
	for (unsigned int i = 1; i < 3; i++)
		CU_ASSERT_TRUE(run->sources[i].due == ((unsigned __int128)run->start_ticks << 32) + i * one.per_frame);
	CU_ASSERT_EQUAL(sums().sent, 1);
	finish();
}

static void other_frames_too(void)
{
	struct gen_opts opts = base;

	opts.flow.v6 = true;
	opts.flow.vlan_tci = 5;
	opts.sizes = (const uint16_t[]){88};
	opts.nr_sizes = 1;
	opts.flow.nr_flows = 1;
	start(&opts, "ring:a?loop=1", NULL);
	CU_ASSERT_EQUAL(gen_loop(run, &err), 0);
	expect_all(opts.max_packets);
	CU_ASSERT_EQUAL(run->sources->nr_bytes, opts.max_packets * 84);
	finish();
}

/* By hand, at times that the test says: a poll at a time sends exactly what is due. */
static void pace_is_kept_by_the_clock(void)
{
	struct gen_opts opts = base;
	struct source *s;
	uint64_t now, step;

	opts.rate = (struct shape_rate){SHAPE_PPS, 1000};
	opts.max_packets = 0;
	start(&opts, "ring:a?loop=1", NULL);
	s = run->sources;
	s->nr_left = s->end = s->limit = UINT64_MAX;
	s->phase = SOURCE_MEASURE;
	now = quoll_ticks(&s->clock);
	s->due = (unsigned __int128)(2 * now) << 32;
	CU_ASSERT_EQUAL(source_poll(s), 0);
	/* In steps that no pause of this test comes near: a quarter of the time since the clock began. */
	now = quoll_ticks(&s->clock);
	step = now / 4;
	s->pace.per_frame = (unsigned __int128)step << 32;
	s->due = (unsigned __int128)(now - 2 * step - step / 2) << 32;
	CU_ASSERT_EQUAL(source_poll(s), 3);
	CU_ASSERT_EQUAL(source_poll(s), 0);
	/* Behind by more than a burst: a burst a poll, until it has caught up. */
	s->due = 0;
	s->burst = 3;
	CU_ASSERT_EQUAL(source_poll(s), 3);
	CU_ASSERT_TRUE(s->due == (unsigned __int128)(3 * step) << 32);
	CU_ASSERT_EQUAL(source_poll(s), 2);
	CU_ASSERT_EQUAL(source_poll(s), 0);
	finish();
}

/* Frames wait in a ring that nobody empties: latency counts from when they were due. */
static void waiting_is_part_of_latency(void)
{
	struct gen_opts opts = base;
	uint64_t before, hour;
	struct source *s;

	start(&opts, "ring:a?loop=1", NULL);
	s = run->sources;
	hour = s->clock.tick_hz * 3600;
	s->nr_left = s->end = s->limit = UINT64_MAX;
	s->phase = SOURCE_MEASURE;
	s->unlimited = false;
	s->pace.per_frame = 1;
	before = quoll_ticks(&s->clock);
	CU_ASSERT_TRUE_FATAL(before > 1000);
	s->due = (unsigned __int128)(before > hour ? before - hour : 0) << 32;
	CU_ASSERT_EQUAL(source_poll(s), 32);
	CU_ASSERT_EQUAL(sink_poll(run->sinks), 32);
	CU_ASSERT_EQUAL(run->sinks->latency.nr_values, 32);
	CU_ASSERT_TRUE(run->sinks->latency.min >= quoll_ticks_to_ns(&s->clock, before > hour ? hour : before) - 1000);
	finish();
}

static void full_rings_hold_frames_back(void)
{
	struct gen_opts opts = base;
	struct source *s;
	uint64_t sent;

	opts.entries = 64;
	start(&opts, "ring:a?loop=1", NULL);
	s = run->sources;
	s->nr_left = s->end = s->limit = UINT64_MAX;
	s->phase = SOURCE_MEASURE;
	for (int i = 0; i < 10; i++)
		source_poll(s);
	CU_ASSERT_EQUAL(s->nr_pending, 32);
	sent = s->nr_packets;
	CU_ASSERT_EQUAL(sent, 96);
	CU_ASSERT_TRUE(s->nr_full > 1);
	while (sink_poll(run->sinks) || source_poll(s) == 32) {
		if (s->nr_packets == sent + 320)
			s->phase = SOURCE_DONE;
	}
	expect_all(sent + 320);
	finish();
}

/* A port that takes nothing does not keep the run from its end; also where the warm-up was not over by then. */
static void full_rings_do_not_hold_up_the_end(void)
{
	for (int phase = SOURCE_WARM_UP; phase <= SOURCE_MEASURE; phase++) {
		struct gen_opts opts = base;
		struct source *s;

		opts.receive = false;
		start(&opts, "ring:a", NULL); /* the other end is not there */
		s = run->sources;
		s->nr_left = s->end = s->limit = UINT64_MAX;
		s->phase = phase;
		source_poll(s);
		source_poll(s);
		CU_ASSERT_EQUAL(s->nr_pending, 32);
		CU_ASSERT_EQUAL(s->phase, phase);
		s->end = quoll_ticks(&s->clock);
		CU_ASSERT_EQUAL(source_poll(s), 0);
		CU_ASSERT_EQUAL(s->phase, SOURCE_DONE);
		CU_ASSERT_EQUAL(s->nr_pending, 32);
		CU_ASSERT_EQUAL(sums().sent, s->nr_packets);
		finish();
	}
}

/* Of what was filled and never taken nothing was sent, so nothing of it is lost; in all phases. */
static void what_the_port_never_took_was_not_sent(void)
{
	for (int phase = SOURCE_WARM_UP; phase <= SOURCE_DONE; phase++) {
		struct gen_opts opts = base;
		uint64_t taken = phase == SOURCE_MEASURE ? 64 : 0, warm_up = phase == SOURCE_DONE ? 64 : 0;
		const json_t *sent;
		struct source *s;
		json_t *doc;

		opts.entries = 64;
		start(&opts, "ring:a?loop=1", NULL);
		s = run->sources;
		s->nr_left = s->end = s->limit = UINT64_MAX;
		s->phase = phase == SOURCE_MEASURE ? phase : SOURCE_WARM_UP;
		run->sinks->begin = phase == SOURCE_MEASURE ? 0 : UINT64_MAX;
		for (int i = 0; i < 4; i++)
			source_poll(s);
		CU_ASSERT_EQUAL(s->nr_pending, 32);
		if (phase == SOURCE_DONE) {
			s->end = quoll_ticks(&s->clock); /* in the warm-up */
			source_poll(s);
			CU_ASSERT_EQUAL(s->phase, SOURCE_DONE);
		}
		while (sink_poll(run->sinks))
			;
		CU_ASSERT_EQUAL(gen_stop(run, &err), 0);
		CU_ASSERT_EQUAL(s->nr_packets, taken);
		CU_ASSERT_EQUAL(run->sinks->nr_packets, taken);
		CU_ASSERT_EQUAL(run->sinks->nr_bytes, s->nr_bytes);
		CU_ASSERT_EQUAL(s->nr_warm_up, warm_up);
		CU_ASSERT_EQUAL(sums().sent, phase == SOURCE_WARM_UP ? 64 : taken);
		if (phase != SOURCE_WARM_UP)
			CU_ASSERT_EQUAL(sums().lost, 0);
		doc = gen_describe(run);
		sent = json_object_get(doc, "sent");
		CU_ASSERT_EQUAL(json_integer_value(json_object_get(sent, "packets")), (json_int_t)taken);
		CU_ASSERT_EQUAL(json_integer_value(json_object_get(sent, "unsent")), 32);
		json_decref(doc);
		finish();
	}
}

/* The number was filled, and the port has not taken it: that was not the number's end. */
static void a_number_that_was_not_taken_was_not_reached(void)
{
	struct gen_opts opts = base;

	opts.receive = false;
	opts.max_packets = 32;
	opts.time_ns = 10000000;
	start(&opts, "ring:a", NULL); /* the other end is not there */
	CU_ASSERT_EQUAL(gen_loop(run, &err), 0);
	CU_ASSERT_EQUAL(run->end, GEN_END_TIME);
	CU_ASSERT_EQUAL(gen_stop(run, &err), 0);
	CU_ASSERT_EQUAL(sums().sent, 0);
	finish();
}

static void what_goes_nowhere_is_lost(void)
{
	struct gen_opts opts = base;
	struct gen_sums s;

	opts.linger_ns = 1000000;
	start(&opts, "null:", "ring:a");
	CU_ASSERT_EQUAL(gen_loop(run, &err), 0);
	s = sums();
	CU_ASSERT_EQUAL(s.sent, opts.max_packets);
	CU_ASSERT_EQUAL(s.good, 0);
	CU_ASSERT_EQUAL(s.lost, opts.max_packets);
	finish();
}

static void frames_that_are_not_ours_are_told_apart(void)
{
	struct gen_opts opts = base;

	opts.send = false;
	start(&opts, "null:", NULL);
	CU_ASSERT_EQUAL(sink_poll(run->sinks), 32);
	CU_ASSERT_EQUAL(run->sinks->nr_foreign, 32);
	CU_ASSERT_EQUAL(run->sinks->nr_packets, 0);
	finish();
}

/* One way only: each thing that a peer could do to a frame, between the source and the sink. */
static void lie(struct quoll_buf *buf, unsigned int what, uint64_t now)
{
	uint8_t *data = quoll_buf_data(buf);
	struct stamp stamp = {.due_ticks = now, .seq = 0x7ffffff0, .flow = 0};

	switch (what) {
	case 0: /* cut short within the stamp */
		buf->data_bytes = buf->total_bytes = 59;
		break;
	case 1:
		buf->data_bytes = buf->total_bytes = 14;
		break;
	case 2: /* magic gone */
		data[42] ^= 1;
		break;
	case 3: /* forged: a flow that there is not */
		stamp.flow = 7;
		stamp_write(data + 42, &stamp, KEY);
		break;
	case 4: /* forged: from the future */
		stamp.due_ticks = UINT64_MAX;
		stamp_write(data + 42, &stamp, KEY);
		break;
	case 5: /* forged: a number far ahead */
		stamp_write(data + 42, &stamp, KEY);
		break;
	default: /* its headers are damaged, and the stamp is where it was: that is ours */
		memset(data, 0xff, 42);
	}
}

static void forged_frames_do_no_harm(void)
{
	struct gen_opts opts = base;
	struct quoll_rxq *rxq;
	struct quoll_txq *txq;
	struct source *s;

	opts.sizes = size_64;
	opts.nr_sizes = 1;
	start(&opts, "ring:a?loop=1", NULL);
	s = run->sources;
	rxq = run->sinks->rxq;
	txq = s->txq;
	s->nr_left = s->end = s->limit = UINT64_MAX;
	s->phase = SOURCE_MEASURE;
	s->burst = 7;
	for (unsigned int what = 0; what < 7; what++) {
		struct quoll_buf *bufs[7];

		CU_ASSERT_EQUAL(source_poll(s), 7);
		CU_ASSERT_EQUAL_FATAL(quoll_rx(rxq, bufs, 7), 7);
		lie(bufs[0], what, quoll_ticks(&s->clock));
		CU_ASSERT_EQUAL(quoll_tx(txq, bufs, 7), 7);
		CU_ASSERT_EQUAL(sink_poll(run->sinks), 7);
	}
	CU_ASSERT_EQUAL(run->sinks->nr_foreign, 3);
	CU_ASSERT_EQUAL(run->sinks->nr_odd, 2);
	CU_ASSERT_EQUAL(run->sinks->nr_packets, 44);
	CU_ASSERT_EQUAL(sums().far, 1);
	CU_ASSERT_EQUAL(sums().good, 43);
	CU_ASSERT_EQUAL(sums().lost, 6);
	finish();
}

static void tags_and_other_headers_are_no_hindrance(void)
{
	struct gen_opts opts = base;
	struct quoll_buf *bufs[32];
	struct source *s;

	start(&opts, "ring:a?loop=1", NULL);
	s = run->sources;
	s->nr_left = s->end = s->limit = UINT64_MAX;
	s->phase = SOURCE_MEASURE;
	CU_ASSERT_EQUAL(source_poll(s), 32);
	CU_ASSERT_EQUAL_FATAL(quoll_rx(run->sinks->rxq, bufs, 32), 32);
	for (int i = 0; i < 32; i++) {
		bufs[i]->data_off -= 4;
		bufs[i]->data_bytes = bufs[i]->total_bytes = bufs[i]->total_bytes + 4;
		memmove(quoll_buf_data(bufs[i]), (uint8_t *)quoll_buf_data(bufs[i]) + 4, 12);
		memcpy((uint8_t *)quoll_buf_data(bufs[i]) + 12, "\x81\x00\x00\x01", 4);
		bufs[i]->total_bytes = bufs[i]->data_bytes;
	}
	CU_ASSERT_EQUAL(quoll_tx(s->txq, bufs, 32), 32);
	CU_ASSERT_EQUAL(sink_poll(run->sinks), 32);
	CU_ASSERT_EQUAL(sums().good, 32);
	CU_ASSERT_EQUAL(run->sinks->nr_foreign, 0);
	finish();
}

static void warm_up_counts_for_nothing(void)
{
	struct gen_opts opts = base;

	opts.warm_up_ns = 3000000;
	opts.linger_ns = 60000000000u;
	start(&opts, "ring:a?loop=1", NULL);
	CU_ASSERT_EQUAL(gen_loop(run, &err), 0);
	CU_ASSERT_TRUE(run->sinks->nr_warm_up > 0);
	CU_ASSERT_EQUAL(run->sinks->nr_warm_up, run->sources->nr_warm_up);
	expect_all(opts.max_packets);
	finish();
}

static void dead_ports_end_the_run(void)
{
	struct gen_opts opts = base;

	opts.max_packets = 0;
	start(&opts, "ring:a?loop=1", NULL);
	net_port_kill(run->p.ports[0].port, -ENODEV);
	CU_ASSERT_EQUAL(gen_loop(run, &err), -ENODEV);
	CU_ASSERT_EQUAL(run->end, GEN_END_ERROR);
	CU_ASSERT_STRING_EQUAL(err.subject, "ring:a");
	finish();
}

/* The live line is told of traffic; the first time that there is some the line goes down, and stays so. */
static void cut_the_line(const char *line)
{
	(void)line;
	if (run->live_before.tx_packets || run->live_before.rx_packets)
		net_port_set_link(run->p.ports[0].port, false, false, 0);
}

static void a_line_that_stays_down_after_traffic_ends_the_run(void)
{
	for (int receive = 0; receive < 2; receive++) {
		struct gen_opts opts = base;

		opts.max_packets = 0;
		opts.link_down_ns = 5000000;
		opts.live = cut_the_line;
		opts.receive = receive;
		start(&opts, receive ? "ring:a?loop=1" : "null:", NULL);
		CU_ASSERT_EQUAL(gen_loop(run, &err), -ENETDOWN);
		CU_ASSERT_EQUAL(run->end, GEN_END_ERROR);
		CU_ASSERT_STRING_EQUAL(err.subject, receive ? "ring:a" : "null:");
		CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "down"));
		finish();
	}
}

/* Before there was any, it is waited for. */
static void a_line_that_was_never_up_is_waited_for(void)
{
	struct gen_opts opts = base;

	opts.receive = false;
	opts.link_down_ns = 1;
	opts.time_ns = 20000000;
	start(&opts, "ring:a", NULL);
	CU_ASSERT_EQUAL(gen_loop(run, &err), 0);
	CU_ASSERT_EQUAL(run->end, GEN_END_TIME);
	finish();
}

static void rates_that_a_port_cannot_tell_are_refused(void)
{
	struct gen_opts opts = base;

	opts.rate = (struct shape_rate){SHAPE_PERCENT, 10};
	CU_ASSERT_EQUAL(open_run(&opts, "null:", NULL), -ENOTSUP);
	CU_ASSERT_STRING_EQUAL(err.subject, "null:");
	finish();
}

static void document_says_what_was_counted(void)
{
	const json_t *frames;
	json_t *doc;

	start(&base, "ring:a?loop=1", NULL);
	CU_ASSERT_EQUAL(gen_loop(run, &err), 0);
	CU_ASSERT_EQUAL(gen_stop(run, &err), 0);
	doc = gen_describe(run);
	CU_ASSERT_PTR_NOT_NULL_FATAL(doc);
	frames = json_object_get(doc, "frames");
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(frames, "sent")), 10000);
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(frames, "lost")), 0);
	CU_ASSERT_EQUAL(json_array_size(json_object_get(doc, "flows")), 7);
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(json_object_get(doc, "latency"), "packets")), 10000);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(doc, "ended_by")), "count");
	json_decref(doc);
	finish();
}

static json_int_t faults_described(bool *text_has_them)
{
	json_t *doc = gen_describe(run);
	char *text = NULL;
	size_t bytes;
	FILE *f = open_memstream(&text, &bytes);

	gen_text(f, doc);
	fclose(f);
	*text_has_them = strstr(text, "the IOMMU stopped 1 accesses") != NULL;
	free(text);
	return faults_counted(doc);
}

/* Of a device in a claim of the test's, as no port here has one. */
static void faults_of_the_iommu_are_told_and_counted(void)
{
	struct gen_opts opts = base;
	struct fault_world w;
	bool text_has_them;

	fault_world_open(&w);
	opts.say = fault_log_hear;
	opts.say_arg = &w.log;
	start(&opts, "ring:a?loop=1", NULL);
	CU_ASSERT_EQUAL(faults_described(&text_has_them), -1);
	CU_ASSERT_FALSE(text_has_them);
	run->faults = iommu_faults_open(&w.claims, opts.say, opts.say_arg);
	fault_log_add(&w.log, "03:00.0", 0x9000);
	CU_ASSERT_EQUAL(gen_loop(run, &err), 0);
	CU_ASSERT_EQUAL(w.log.nr_told, 1); /* while it ran */
	CU_ASSERT_PTR_NOT_NULL(strstr(w.log.told, "0000:03:00.0: the IOMMU stopped a write at IOVA 0x9000 "
						  "(no memory of this program): PTE"));
	CU_ASSERT_EQUAL(gen_stop(run, &err), 0);
	CU_ASSERT_EQUAL(w.log.nr_told, 1);
	CU_ASSERT_EQUAL(faults_described(&text_has_them), 1);
	CU_ASSERT_TRUE(text_has_them);
	finish();
	fault_world_close(&w);
}

static const struct unit_test tests[] = {
	{"packets out are packets in, one or two ports and threads", packets_out_are_packets_in},
	{"queues and directions share the work, on any number of threads", queues_and_directions_share_the_work},
	{"what comes back to its sender is no success", what_comes_back_to_its_sender_is_no_success},
	{"queues share the rate, and take turns", queues_share_the_rate},
	{"IPv6 with a tag, too", other_frames_too},
	{"the pace is kept by the clock", pace_is_kept_by_the_clock},
	{"waiting is part of latency", waiting_is_part_of_latency},
	{"full rings hold frames back, none is lost", full_rings_hold_frames_back},
	{"full rings do not hold up the end", full_rings_do_not_hold_up_the_end},
	{"what the port never took was not sent", what_the_port_never_took_was_not_sent},
	{"a number that was not taken was not reached", a_number_that_was_not_taken_was_not_reached},
	{"what goes nowhere is lost", what_goes_nowhere_is_lost},
	{"frames that are not ours are told apart", frames_that_are_not_ours_are_told_apart},
	{"frames cut short or forged do no harm", forged_frames_do_no_harm},
	{"tags put in on the way are no hindrance", tags_and_other_headers_are_no_hindrance},
	{"the warm-up counts for nothing", warm_up_counts_for_nothing},
	{"a dead port ends the run", dead_ports_end_the_run},
	{"a line that stays down after traffic ends the run", a_line_that_stays_down_after_traffic_ends_the_run},
	{"a line that was never up is waited for", a_line_that_was_never_up_is_waited_for},
	{"a percentage of a line without a rate is refused", rates_that_a_port_cannot_tell_are_refused},
	{"the document says what was counted", document_says_what_was_counted},
	{"faults of the IOMMU are told and counted", faults_of_the_iommu_are_told_and_counted},
};

UNIT_MAIN("apps/gen/run", tests)
