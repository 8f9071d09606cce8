/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_perf_loop.c - the measuring loop: it does what it is told, counts it, and ends when it must.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "nvme/perf.h"
#include "session_fixture.h"
#include "unit.h"

#define OPC_READ 0x02

/* What the fake saw; only its thread writes. */
static struct {
	atomic_uint reads;
	atomic_uint writes;
	uint64_t lbas[4096];
	unsigned int fail_at; /* 0: never */
	unsigned int yank_at;
	unsigned int fatal_at;
	unsigned int hold_from; /* the first to be held, of those that arrive */
	unsigned int hold_to;
	unsigned int arrived;
} seen;

static uint16_t watch(struct fake_nvme *fake, uint16_t qid, const union nvme_sq_slot *sqe)
{
	const uint8_t *bytes = (const uint8_t *)sqe;
	unsigned int nr = seen.reads + seen.writes;

	(void)qid;
	if (nr < 4096)
		memcpy(&seen.lbas[nr], bytes + 40, 8);
	if (bytes[0] == OPC_READ)
		seen.reads++;
	else
		seen.writes++;
	nr++;
	if (nr == seen.yank_at)
		fake->mute_io = true;
	return seen.fail_at && nr >= seen.fail_at ? 0x281 : 0; /* unrecovered read error */
}

static bool hold(struct fake_nvme *fake, uint16_t qid, const union nvme_sq_slot *sqe)
{
	(void)qid;
	(void)sqe;
	seen.arrived++;
	if (seen.arrived == seen.fatal_at) {
		fake_nvme_set_fatal(fake);
		return true;
	}
	return seen.hold_from && seen.arrived >= seen.hold_from && seen.arrived <= seen.hold_to;
}

/* 0: the driver's own, which no test waits for. */
static unsigned int io_timeout_ms;

static const struct perf_job base = {
	.random = true,
	.io_lbas = 8,
	.read_below = 1ull << 32,
	.depth = 8,
	.nr_queues = 1,
	.batch = 4,
	.max_ios = 1000,
	.stall_ms = 20000,
};

static struct perf_run *start(struct session_fixture *sf, const struct perf_job *job)
{
	struct perf_run *run = calloc(1, sizeof(*run));

	memset(&seen, 0, sizeof(seen));
	session_fixture_init(sf);
	sf->fx.fake.on_io = watch;
	sf->fx.fake.on_hold = hold;
	sf->opts.io_timeout_ms = io_timeout_ms;
	sf->opts.recovery = QUOLL_NVME_ABORT;
	session_fixture_open(sf);
	run->session = &sf->session;
	run->job = *job;
	run->job.ns = sf->ns;
	run->job.nr_places = sf->ns.nr_lbas / job->io_lbas;
	run->rng.state = 1;
	CU_ASSERT_EQUAL_FATAL(perf_open(run, &sf->err), 0);
	return run;
}

static void finish(struct session_fixture *sf, struct perf_run *run)
{
	perf_close(run);
	free(run);
	session_fixture_fini(sf);
}

static void random_reads_are_aligned_and_meet_the_whole_namespace(void)
{
	struct session_fixture sf;
	struct perf_run *run = start(&sf, &base);
	uint64_t least = UINT64_MAX, most = 0;

	CU_ASSERT_EQUAL(perf_loop(run, &sf.err), 0);
	CU_ASSERT_EQUAL(run->end, PERF_END_IOS);
	CU_ASSERT_EQUAL(run->completed, 1000);
	CU_ASSERT_EQUAL(run->nr_reads, 1000);
	CU_ASSERT_EQUAL(run->latency.nr_values, 1000);
	CU_ASSERT_EQUAL(seen.reads, 1000);
	CU_ASSERT_EQUAL(seen.writes, 0);
	for (unsigned int i = 0; i < 1000; i++) {
		CU_ASSERT_EQUAL(seen.lbas[i] % 8, 0);
		least = seen.lbas[i] < least ? seen.lbas[i] : least;
		most = seen.lbas[i] > most ? seen.lbas[i] : most;
	}
	CU_ASSERT(least < 16384 / 50 && most > 16384 - 16384 / 50 && most < 16384);
	CU_ASSERT(run->end_ticks > run->start_ticks);
	finish(&sf, run);
}

static void batches_save_doorbells(void)
{
	struct quoll_nvme_queue_stats stats;
	struct session_fixture sf;
	struct perf_run *run = start(&sf, &base);

	CU_ASSERT_EQUAL(perf_loop(run, &sf.err), 0);
	quoll_nvme_queue_stats(run->queues[0].queue, &stats);
	CU_ASSERT_EQUAL(stats.submitted, 1000);
	CU_ASSERT_EQUAL(stats.completed, 1000);
	CU_ASSERT_EQUAL(stats.in_flight, 0);
	CU_ASSERT(stats.sq_doorbells >= 250 && stats.sq_doorbells <= 1000);
	finish(&sf, run);
}

static void sequential_writes_go_round_and_round(void)
{
	struct session_fixture sf;
	struct perf_job job = base;
	struct perf_run *run;

	job.random = false;
	job.read_below = 0;
	job.io_lbas = 1000; /* 16 places; the end of the namespace is left over */
	job.depth = 2;
	job.max_ios = 40;
	run = start(&sf, &job);
	CU_ASSERT_EQUAL(perf_loop(run, &sf.err), 0);
	CU_ASSERT_EQUAL(seen.reads, 0);
	CU_ASSERT_EQUAL(run->completed, 40);
	CU_ASSERT_EQUAL(seen.lbas[0], 0);
	CU_ASSERT_EQUAL(run->next_place, 40 % 16);
	finish(&sf, run);
}

static void a_mix_is_about_what_was_asked_for_on_several_queues(void)
{
	struct session_fixture sf;
	struct perf_job job = base;
	struct perf_run *run;

	job.read_below = (30ull << 32) / 100;
	job.nr_queues = 3;
	job.max_ios = 3000;
	run = start(&sf, &job);
	CU_ASSERT_EQUAL(perf_loop(run, &sf.err), 0);
	CU_ASSERT_EQUAL(run->completed, 3000);
	CU_ASSERT_EQUAL(seen.reads, run->nr_reads);
	CU_ASSERT_EQUAL(seen.writes, 3000 - run->nr_reads);
	CU_ASSERT(run->nr_reads > 800 && run->nr_reads < 1000);
	finish(&sf, run);
}

static void time_ends_a_run(void)
{
	struct session_fixture sf;
	struct perf_job job = base;
	struct perf_run *run;
	uint64_t ns;

	job.max_ios = 0;
	job.time_ns = 50000000;
	run = start(&sf, &job);
	CU_ASSERT_EQUAL(perf_loop(run, &sf.err), 0);
	CU_ASSERT_EQUAL(run->end, PERF_END_TIME);
	CU_ASSERT_EQUAL(run->completed, run->started);
	ns = quoll_ticks_to_ns(&run->clock, run->end_ticks - run->start_ticks);
	CU_ASSERT(ns > 40000000);
	finish(&sf, run);
}

static void a_failed_request_ends_the_run_with_its_status(void)
{
	struct session_fixture sf;
	struct perf_run *run = start(&sf, &base);

	seen.fail_at = 100;
	CU_ASSERT_EQUAL(perf_loop(run, &sf.err), -EIO);
	CU_ASSERT_EQUAL(run->end, PERF_END_ERROR);
	CU_ASSERT(run->errors >= 1 && run->errors <= 8);
	CU_ASSERT_EQUAL(run->completed, 99);
	CU_ASSERT_PTR_NOT_NULL(strstr(sf.err.what, "0x281"));
	finish(&sf, run);
}

static void a_device_that_answers_no_more_ends_the_run_in_time(void)
{
	struct perf_job job = base;
	struct session_fixture sf;
	struct perf_run *run;

	job.stall_ms = 2000; /* the wait of this test, and more than a busy machine keeps us from running */
	run = start(&sf, &job);
	seen.yank_at = 100;
	CU_ASSERT_EQUAL(perf_loop(run, &sf.err), -ETIMEDOUT);
	CU_ASSERT_EQUAL(run->end, PERF_END_ERROR);
	CU_ASSERT(run->completed >= 100 && run->completed < 1000);
	finish(&sf, run);
}

/* However late others are that meet a busy machine. */
static void requests_that_are_aborted_are_counted_and_the_run_goes_on(void)
{
	struct session_fixture sf;
	struct perf_job job = base;
	struct quoll_nvme_state state;
	struct perf_run *run;

	io_timeout_ms = 50;
	run = start(&sf, &job);
	seen.hold_from = 100;
	seen.hold_to = 102;
	CU_ASSERT(perf_loop(run, &sf.err) < 0);
	CU_ASSERT_EQUAL(run->end, PERF_END_IOS);
	CU_ASSERT(run->errors >= 3);
	CU_ASSERT_EQUAL(run->completed + run->errors, 1000);
	CU_ASSERT_EQUAL(run->latency.nr_values, run->completed);
	CU_ASSERT_PTR_NOT_NULL(strstr(sf.err.hint, "--timeout"));
	quoll_nvme_state(sf.session.nvme, &state);
	CU_ASSERT(state.timeouts >= 3);
	io_timeout_ms = 0;
	finish(&sf, run);
}

static void a_reset_costs_what_is_in_flight_and_the_run_goes_on(void)
{
	struct session_fixture sf;
	struct perf_job job = base;
	struct perf_run *run;

	io_timeout_ms = 50;
	run = start(&sf, &job);
	seen.fatal_at = 100;
	CU_ASSERT(perf_loop(run, &sf.err) < 0);
	CU_ASSERT_EQUAL(run->end, PERF_END_IOS);
	CU_ASSERT_EQUAL(run->completed + run->errors, 1000);
	CU_ASSERT(run->errors >= 1);
	CU_ASSERT(sf.fx.fake.nr_disables >= 1);
	io_timeout_ms = 0;
	finish(&sf, run);
}

static void a_device_that_does_nothing_but_abort_ends_the_run_in_time(void)
{
	struct perf_job job = base;
	struct session_fixture sf;
	struct perf_run *run;

	io_timeout_ms = 50;
	job.stall_ms = 2000;
	run = start(&sf, &job);
	seen.hold_from = 100;
	seen.hold_to = UINT32_MAX;
	CU_ASSERT_EQUAL(perf_loop(run, &sf.err), -ETIMEDOUT);
	CU_ASSERT_EQUAL(run->end, PERF_END_ERROR);
	CU_ASSERT(run->completed < 100);
	io_timeout_ms = 0;
	finish(&sf, run);
}

static void a_device_that_is_gone_ends_the_run_and_is_said_to_be_gone(void)
{
	struct session_fixture sf;
	struct perf_job job = base;
	struct perf_run *run;

	run = start(&sf, &job);
	sf.fx.fake.mute_io = true;
	fake_pci_yank(&sf.fx.fake.pci);
	CU_ASSERT_EQUAL(perf_loop(run, &sf.err), -ENODEV);
	CU_ASSERT_PTR_NOT_NULL(strstr(sf.err.what, "gone"));
	CU_ASSERT_EQUAL(run->end, PERF_END_ERROR);
	finish(&sf, run);
}

static void a_fault_of_the_iommu_is_told_while_it_runs(void)
{
	struct session_fixture sf;
	struct perf_run *run = start(&sf, &base);
	json_t *doc = json_object();

	session_fixture_watch_faults(&sf);
	session_fixture_fault(&sf, quoll_heap_iova(sf.fx.heap, sf.fx.buf, 4096));
	CU_ASSERT_EQUAL(perf_loop(run, &sf.err), 0);
	CU_ASSERT_EQUAL(sf.log.nr_told, 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(sf.log.told, "0000:01:00.0: the IOMMU stopped a write at IOVA 0x"));
	CU_ASSERT_PTR_NOT_NULL(strstr(sf.log.told, "(arena \"data\", offset 0x0, va 0x"));
	/* one more that nobody has looked for yet */
	session_fixture_fault(&sf, 0x1000);
	nvme_recovery_describe(&sf.session, doc);
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(doc, "faults")), 2);
	json_decref(doc);
	finish(&sf, run);
}

static const struct unit_test tests[] = {
	{"random reads are aligned and meet the whole namespace",
	 random_reads_are_aligned_and_meet_the_whole_namespace},
	{"batches save doorbells", batches_save_doorbells},
	{"sequential writes go round and round", sequential_writes_go_round_and_round},
	{"a mix is about what was asked for, on several queues", a_mix_is_about_what_was_asked_for_on_several_queues},
	{"time ends a run", time_ends_a_run},
	{"a failed request ends the run with its status", a_failed_request_ends_the_run_with_its_status},
	{"a device that answers no more ends the run in time", a_device_that_answers_no_more_ends_the_run_in_time},
	{"requests that are aborted are counted, and the run goes on",
	 requests_that_are_aborted_are_counted_and_the_run_goes_on},
	{"a reset costs what is in flight, and the run goes on", a_reset_costs_what_is_in_flight_and_the_run_goes_on},
	{"a device that does nothing but abort ends the run in time",
	 a_device_that_does_nothing_but_abort_ends_the_run_in_time},
	{"a device that is gone ends the run and is said to be gone",
	 a_device_that_is_gone_ends_the_run_and_is_said_to_be_gone},
	{"a fault of the IOMMU is told while it runs", a_fault_of_the_iommu_is_told_while_it_runs},
};

UNIT_MAIN("the measuring loop", tests)
