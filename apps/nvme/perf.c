/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * perf.c - `quoll nvme perf`: options, report. The loop is in perf_loop.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "quoll/render.h"
#include "quoll/verbs.h"

#include "perf.h"
#include "transfer.h"

#define RW_WORDS "randread|randwrite|randrw|read|write|rw"

struct perf_values {
	uint64_t nsid;
	unsigned int rw;
	uint64_t mix;
	uint64_t io_bytes;
	uint64_t qd;
	uint64_t seconds;
	uint64_t nr_ios;
	uint64_t batch;
	uint64_t nr_queues;
	uint64_t pause_ms;
	uint64_t seed;
	uint64_t timeout_ms;
	unsigned int pages;
	unsigned int buffers;
};

static const struct perf_values defaults = {
	.mix = 50,
	.io_bytes = 4096,
	.qd = 32,
	.batch = 32,
	.nr_queues = 1,
	.seed = 1,
	.timeout_ms = NVME_SESSION_TIMEOUT_MS,
};

static const struct cli_option options[] = {
	NVME_OPTION_NSID(struct perf_values),
	{"rw", CLI_CHOICE, offsetof(struct perf_values, rw), RW_WORDS, "what to do; randread unless told otherwise", 0,
	 0},
	{"mix", CLI_NUMBER, offsetof(struct perf_values, mix), "PERCENT",
	 "of reads for randrw and rw; 50 unless told otherwise", 0, 100},
	{"size", CLI_SIZE, offsetof(struct perf_values, io_bytes), "SIZE", "of a request; 4k unless told otherwise",
	 512, 1u << 30},
	{"qd", CLI_NUMBER, offsetof(struct perf_values, qd), "N",
	 "requests in flight a queue; 32 unless told otherwise", 1, 65535},
	{"time", CLI_NUMBER, offsetof(struct perf_values, seconds), "SECONDS",
	 "how long; 10 unless --time or --ios is told", 1, 1000000000},
	{"ios", CLI_NUMBER, offsetof(struct perf_values, nr_ios), "N", "stop after so many requests", 1, 0},
	{"batch", CLI_NUMBER, offsetof(struct perf_values, batch), "N",
	 "at most so many requests a doorbell and completions a poll; 32 unless told", 1, PERF_MAX_BATCH},
	{"queues", CLI_NUMBER, offsetof(struct perf_values, nr_queues), "N",
	 "queue pairs, all polled by one thread; 1 unless told otherwise", 1, 1024},
	{"pause", CLI_NUMBER, offsetof(struct perf_values, pause_ms), "MS",
	 "sleep so long whenever nothing is in flight: what does a device take that has gone idle?", 0, 1000000},
	{"seed", CLI_NUMBER, offsetof(struct perf_values, seed), "N", "of the random places; 1 unless told otherwise",
	 0, 0},
	BUFFERS_OPTION(struct perf_values),
	NVME_OPTION_TIMEOUT(struct perf_values),
	CLAIMS_OPTION_PAGES(struct perf_values),
	{NULL, CLI_FLAG, 0, NULL, NULL, 0, 0},
};

static const char *const rw_names[] = {"randread", "randwrite", "randrw", "read", "write", "rw"};
static const char *const end_names[] = {"time", "ios", "signal", "error"};

static void live_line(double iops, double mib_per_s, double avg_ns, uint64_t max_ns)
{
	cli_progress("%.0f IOPS, %.1f MiB/s, latency %.1f us on average, %.1f us at most", iops, mib_per_s,
		     avg_ns / 1e3, (double)max_ns / 1e3);
}

static int make_job(struct perf_run *run, const struct perf_values *v, struct quoll_error *err)
{
	static const uint8_t percent[] = {100, 0, 255, 100, 0, 255};
	struct perf_job *job = &run->job;
	uint64_t mix = percent[v->rw] == 255 ? v->mix : percent[v->rw];
	int ret = nvme_session_ns(run->session, v->nsid, &job->ns, err);

	if (ret)
		return ret;
	if (v->io_bytes % job->ns.lba_bytes) {
		quoll_error_set(err, EINVAL, "size", run->session->name,
				"--size %" PRIu64 " is not a multiple of namespace %" PRIu32 "'s block size %" PRIu32,
				v->io_bytes, job->ns.nsid, job->ns.lba_bytes);
		quoll_error_hint(err, "--size %" PRIu32, job->ns.lba_bytes);
		return -EINVAL;
	}
	job->io_lbas = (uint32_t)(v->io_bytes / job->ns.lba_bytes);
	job->nr_places = job->ns.nr_lbas / job->io_lbas;
	if (!job->nr_places)
		return quoll_error_set(err, ERANGE, "size", run->session->name,
				       "namespace %" PRIu32 " has %" PRIu64 " blocks, fewer than one request",
				       job->ns.nsid, job->ns.nr_lbas);
	job->random = v->rw < 3;
	job->read_below = (mix << 32) / 100;
	job->depth = (unsigned int)v->qd;
	job->batch = (unsigned int)(v->batch < v->qd ? v->batch : v->qd);
	job->nr_queues = (unsigned int)v->nr_queues;
	job->max_ios = v->nr_ios;
	job->time_ns = (v->seconds ? v->seconds : v->nr_ios ? 0 : 10) * 1000000000u;
	job->where = (enum buffers_where)v->buffers;
	job->pause_ns = v->pause_ms * 1000000u;
	job->stall_ms = nvme_session_stall_ms(run->session);
	job->live = cli_progress_wanted() ? live_line : NULL;
	run->rng.state = v->seed;
	return 0;
}

/* Whether the controller has what is asked for: queues and their length. */
static int check_limits(const struct perf_run *run, struct quoll_error *err)
{
	struct quoll_nvme_info info;

	quoll_nvme_info(run->session->nvme, &info);
	if (run->job.nr_queues > info.max_io_queues) {
		quoll_error_set(err, ERANGE, "queues", run->session->name,
				"--queues %u: the controller grants %u I/O queues", run->job.nr_queues,
				info.max_io_queues);
		quoll_error_hint(err, "--queues %u", info.max_io_queues);
		return -ERANGE;
	}
	if (run->job.depth > info.max_queue_entries - 1) {
		quoll_error_set(err, ERANGE, "queues", run->session->name,
				"--qd %u: the controller's queues hold %u requests", run->job.depth,
				info.max_queue_entries - 1);
		quoll_error_hint(err, "--qd %u, and more --queues", info.max_queue_entries - 1);
		return -ERANGE;
	}
	return 0;
}

static json_t *describe_latency(const struct quoll_hist *hist)
{
	uint64_t nr = hist->nr_values;

	return json_pack(
		"{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "min_ns", (json_int_t)(nr ? hist->min : 0), "avg_ns",
		(json_int_t)(nr ? hist->sum / nr : 0), "p50_ns", (json_int_t)quoll_hist_percentile(hist, 50), "p90_ns",
		(json_int_t)quoll_hist_percentile(hist, 90), "p99_ns", (json_int_t)quoll_hist_percentile(hist, 99),
		"p99_9_ns", (json_int_t)quoll_hist_percentile(hist, 99.9), "p99_99_ns",
		(json_int_t)quoll_hist_percentile(hist, 99.99), "max_ns", (json_int_t)hist->max);
}

/* The counters of all queues, a request. */
static json_t *describe_costs(const struct perf_run *run)
{
	double ios = run->completed ? (double)run->completed : 1;
	double useful_ns = (double)quoll_ticks_to_ns(&run->clock, run->useful_ticks);
	uint64_t sq = 0, cq = 0, bad = 0;

	for (unsigned int i = 0; i < run->job.nr_queues; i++) {
		struct quoll_nvme_queue_stats stats;

		quoll_nvme_queue_stats(run->queues[i].queue, &stats);
		sq += stats.sq_doorbells;
		cq += stats.cq_doorbells;
		bad += stats.bad_cid + stats.bad_sqid + stats.bad_sqhd;
	}
	return json_pack("{s:f, s:f, s:f, s:f, s:I, s:I, s:I, s:I}", "sq_doorbells_per_io", (double)sq / ios,
			 "cq_doorbells_per_io", (double)cq / ios, "useful_ns_per_io", useful_ns / ios, "ticks_per_io",
			 (double)(run->end_ticks - run->start_ticks) / ios, "tick_hz", (json_int_t)run->clock.tick_hz,
			 "timer_ns", (json_int_t)quoll_ticks_to_ns(&run->clock, run->timer_ticks), "bad_completions",
			 (json_int_t)bad, "errors", (json_int_t)run->errors);
}

static json_t *describe_run(const struct perf_run *run, const struct perf_values *v)
{
	uint64_t ns = quoll_ticks_to_ns(&run->clock, run->end_ticks - run->start_ticks);
	double seconds = ns ? (double)ns / 1e9 : 1, bytes = (double)run->completed * (double)v->io_bytes;
	struct quoll_heap_info heap;
	json_t *doc, *costs;

	quoll_heap_info(run->session->heap, &heap);
	doc = json_pack("{s:o, s:I, s:s, s:f, s:I, s:i, s:i, s:i, s:I, s:s, s:I, s:I, s:I, s:f, s:f, s:o}", "device",
			render_text(run->session->name), "nsid", (json_int_t)run->job.ns.nsid, "rw", rw_names[v->rw],
			"read_percent", run->started ? 100.0 * (double)run->nr_reads / (double)run->started : 0.0,
			"io_bytes", (json_int_t)v->io_bytes, "queue_depth", (int)run->job.depth, "queues",
			(int)run->job.nr_queues, "batch", (int)run->job.batch, "page_bytes",
			(json_int_t)heap.page_bytes, "ended_by", end_names[run->end], "elapsed_ns", (json_int_t)ns,
			"ios", (json_int_t)run->completed, "bytes", (json_int_t)bytes, "iops",
			(double)run->completed / seconds, "mib_per_s", bytes / (1 << 20) / seconds, "latency",
			describe_latency(&run->latency));
	nvme_buffers_describe(&run->buffers, doc);
	costs = describe_costs(run);
	if (!doc || !costs || json_object_update(doc, costs)) {
		json_decref(doc);
		doc = NULL;
	}
	json_decref(costs);
	nvme_recovery_describe(run->session, doc);
	return doc;
}

static void perf_text(FILE *f, const json_t *doc)
{
	static const struct render_field facts[] = {
		{"IOPS", "iops", RENDER_PLAIN, false},
		{"MiB/s", "mib_per_s", RENDER_PLAIN, false},
		{"requests", "ios", RENDER_PLAIN, false},
		{"time", "elapsed_ns", RENDER_NS, false},
		{"in driver calls that did work, a request", "useful_ns_per_io", RENDER_NS, false},
		{"SQ doorbells a request", "sq_doorbells_per_io", RENDER_PLAIN, false},
		{"CQ doorbells a request", "cq_doorbells_per_io", RENDER_PLAIN, false},
		{"bad completions", "bad_completions", RENDER_PLAIN, false},
		{"failed requests", "errors", RENDER_PLAIN, false},
		{"time-outs", "timeouts", RENDER_PLAIN, false},
		{"aborts", "aborts", RENDER_PLAIN, false},
		{"resets", "resets", RENDER_PLAIN, false},
		{"IOMMU faults", "faults", RENDER_PLAIN, false},
		{NULL, NULL, RENDER_PLAIN, false},
	};
	static const struct render_field latency[] = {
		{"min", "min_ns", RENDER_NS, true},	  {"avg", "avg_ns", RENDER_NS, true},
		{"p50", "p50_ns", RENDER_NS, true},	  {"p90", "p90_ns", RENDER_NS, true},
		{"p99", "p99_ns", RENDER_NS, true},	  {"p99.9", "p99_9_ns", RENDER_NS, true},
		{"p99.99", "p99_99_ns", RENDER_NS, true}, {"max", "max_ns", RENDER_NS, true},
		{NULL, NULL, RENDER_PLAIN, false},
	};
	json_t *row = json_pack("[O]", json_object_get(doc, "latency"));
	char *size = render_cell(json_object_get(doc, "io_bytes"), RENDER_BYTES);
	char *page = render_cell(json_object_get(doc, "page_bytes"), RENDER_BYTES);

	fprintf(f, "%s: %s of %s in namespace %lld, queues %lld, QD %lld, batch %lld, %s pages, buffers: %s\n",
		render_string(doc, "device"), render_string(doc, "rw"), size ? size : "?",
		(long long)json_integer_value(json_object_get(doc, "nsid")),
		(long long)json_integer_value(json_object_get(doc, "queues")),
		(long long)json_integer_value(json_object_get(doc, "queue_depth")),
		(long long)json_integer_value(json_object_get(doc, "batch")), page ? page : "?",
		render_string(doc, "buffers"));
	render_facts(f, doc, facts, "  ");
	fputs("latency\n", f);
	render_table(f, row, latency, "  ");
	json_decref(row);
	free(size);
	free(page);
}

static int run_perf(struct cli *cli, const void *values)
{
	const struct perf_values *v = values;
	const struct nvme_session_opts opts = {.pages = (enum quoll_heap_pages)v->pages,
					       .nr_queues = (unsigned int)v->nr_queues,
					       .timeout_ms = (unsigned int)v->timeout_ms};
	struct quoll_error err = {0};
	struct nvme_session session;
	struct perf_run *run;
	int status, ret;

	cli_catch_signals();
	status = nvme_session_start(cli, &opts, &session);
	if (status)
		return status;
	run = calloc(1, sizeof(*run));
	if (!run) {
		quoll_error_set(&err, ENOMEM, "memory", session.name, "out of memory");
		nvme_session_close(&session);
		return cli_error(cli, &err);
	}
	run->session = &session;
	ret = make_job(run, v, &err);
	if (!ret)
		ret = check_limits(run, &err);
	if (!ret)
		ret = perf_open(run, &err);
	if (!ret) {
		ret = perf_loop(run, &err);
		status = cli_emit(cli, describe_run(run, v), perf_text);
	}
	if (ret)
		status = cli_error(cli, &err);
	perf_close(run);
	free(run);
	nvme_session_close(&session);
	return status;
}

const struct cli_verb verb_nvme_perf = {
	.name = "nvme perf",
	.args = "ADDR",
	.min_args = 1,
	.max_args = 1,
	.summary = "measure a namespace: IOPS, throughput, latency, cost of a request",
	.details = BUFFERS_DETAILS
	"Random places cover the whole namespace. randwrite, randrw, write and rw overwrite it.\n"
	"useful_ns_per_io is the time in driver calls that prepared, submitted or collected something; polls\n"
	"that found nothing are not counted. Requests that are late, aborted or cut off by a reset count as\n"
	"failed, and the run goes on; other failures end it. Where the CPU's counter counts instructions (QEMU "
	"-icount "
	"shift=0)\n"
	"it is instructions a request.",
	.has_json = true,
	.options = options,
	.defaults = &defaults,
	.values_bytes = sizeof(defaults),
	.run = run_perf,
};
