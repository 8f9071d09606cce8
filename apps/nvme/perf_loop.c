/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * perf_loop.c - the measuring loop. Per request: no division, no allocation, no system call; time is read once a batch.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "quoll/measure.h"

#include "perf.h"
#include "transfer.h"

/* How often the loop looks at time, signals and stalls. */
#define LOOK_PER_S 1000

static int open_queue(struct perf_run *run, struct perf_queue *q, struct quoll_error *err)
{
	uint64_t io_bytes = (uint64_t)run->job.io_lbas * run->job.ns.lba_bytes;
	struct quoll_nvme_queue_opts opts = {0};
	struct quoll_nvme_info info;
	uint64_t parts, entries;
	int ret;

	quoll_nvme_info(run->session->nvme, &info);
	/* room for every part of every request, as far as the controller has it */
	parts = (io_bytes + info.max_transfer_bytes - 1) / info.max_transfer_bytes + 1;
	entries = run->job.depth * (io_bytes > info.max_transfer_bytes || run->job.ns.boundary_lbas ? parts : 1) + 1;
	opts.stream = run->buffers.stream;
	opts.entries = (unsigned int)(entries < info.max_queue_entries ? entries : info.max_queue_entries);
	ret = quoll_nvme_queue_create(run->session->nvme, &opts, &q->queue, err);
	if (ret)
		return ret;
	q->free = calloc(run->job.depth, sizeof(*q->free));
	q->start = calloc(run->job.depth, sizeof(*q->start));
	if (!q->free || !q->start)
		return quoll_error_set(err, ENOMEM, "memory", run->session->name, "out of memory");
	q->buffers = nvme_buffers_get(&run->buffers, run->job.depth * io_bytes, err);
	if (!q->buffers)
		return -err->errnum;
	random_fill(&run->rng, q->buffers, run->job.depth * io_bytes);
	for (q->nr_free = 0; q->nr_free < run->job.depth; q->nr_free++)
		q->free[q->nr_free] = q->nr_free;
	return 0;
}

int perf_open(struct perf_run *run, struct quoll_error *err)
{
	const struct nvme_buffers_opts opts = {
		.where = run->job.where,
		.nr = (uint64_t)run->job.nr_queues * run->job.depth,
		.io_bytes = (uint64_t)run->job.io_lbas * run->job.ns.lba_bytes,
		.device_writes = run->job.read_below,
	};
	int ret;

	quoll_clock_init(&run->clock);
	quoll_hist_reset(&run->latency);
	run->timer_ticks = measure_timer_ticks(&run->clock);
	run->queues = calloc(run->job.nr_queues, sizeof(*run->queues));
	if (!run->queues)
		return quoll_error_set(err, ENOMEM, "memory", run->session->name, "out of memory");
	ret = nvme_buffers_open(&run->buffers, run->session, &opts, err);
	for (unsigned int i = 0; !ret && i < run->job.nr_queues; i++)
		ret = open_queue(run, &run->queues[i], err);
	return ret;
}

void perf_close(struct perf_run *run)
{
	uint64_t bytes = (uint64_t)run->job.depth * run->job.io_lbas * run->job.ns.lba_bytes;

	for (unsigned int i = 0; run->queues && i < run->job.nr_queues; i++) {
		struct perf_queue *q = &run->queues[i];

		if (q->queue)
			quoll_nvme_queue_destroy(q->queue);
		nvme_buffers_put(&run->buffers, q->buffers, bytes);
		free(q->free);
		free(q->start);
	}
	nvme_buffers_close(&run->buffers);
	free(run->queues);
	run->queues = NULL;
}

static void note_failure(struct perf_run *run, const struct quoll_nvme_completion *comp)
{
	if (!run->errors++)
		run->failed = *comp;
	/* What a drive survives, a measurement does; the report says how often. */
	if (transfer_is_recovered(comp))
		return;
	run->end = PERF_END_ERROR;
	run->stop = true;
}

/* Where the next n requests go: an LBA each, its lowest bit (the rest shifted up by one) set for a read. */
static void choose(struct perf_run *run, uint64_t *places, unsigned int n)
{
	const struct perf_job *job = &run->job;

	for (unsigned int i = 0; i < n; i++) {
		uint64_t word = random_next(&run->rng), place;

		if (job->random) {
			place = random_scale(word, job->nr_places);
		} else {
			place = run->next_place++;
			if (run->next_place == job->nr_places)
				run->next_place = 0;
		}
		places[i] = place * job->io_lbas << 1 | ((uint32_t)word < job->read_below);
	}
}

/* Fill the queue up, at most a batch. */
static void send(struct perf_run *run, struct perf_queue *q)
{
	const struct perf_job *job = &run->job;
	size_t io_bytes = (size_t)job->io_lbas * job->ns.lba_bytes;
	unsigned int n = q->nr_free < job->batch ? q->nr_free : job->batch, i;
	uint64_t places[PERF_MAX_BATCH], begin, reads = 0;
	int ret = 0;

	if (job->max_ios && n > job->max_ios - run->started)
		n = (unsigned int)(job->max_ios - run->started);
	if (!n)
		return;
	choose(run, places, n);
	begin = quoll_ticks(&run->clock);
	for (i = 0; i < n; i++) {
		uint32_t slot = q->free[q->nr_free - 1];
		void *va = q->buffers + slot * io_bytes;

		if (places[i] & 1)
			ret = quoll_nvme_prep_read(q->queue, job->ns.nsid, va, places[i] >> 1, job->io_lbas, slot);
		else
			ret = quoll_nvme_prep_write(q->queue, job->ns.nsid, va, places[i] >> 1, job->io_lbas, slot);
		if (QUOLL_UNLIKELY(ret))
			break;
		q->start[slot] = begin;
		q->nr_free--;
		reads += places[i] & 1;
	}
	quoll_nvme_submit(q->queue);
	run->useful_ticks += quoll_ticks(&run->clock) - begin;
	run->nr_intervals++;
	run->started += i;
	run->nr_reads += reads;
	if (QUOLL_UNLIKELY(ret && ret != -EAGAIN))
		note_failure(run, &(struct quoll_nvme_completion){.error = ret});
}

/* Collect at most a batch. */
static void collect(struct perf_run *run, struct perf_queue *q)
{
	struct quoll_nvme_completion comps[PERF_MAX_BATCH];
	uint64_t begin = quoll_ticks(&run->clock), now;
	unsigned int n = quoll_nvme_poll(q->queue, comps, run->job.batch);

	if (!n)
		return;
	now = quoll_ticks(&run->clock);
	run->useful_ticks += now - begin;
	run->nr_intervals++;
	for (unsigned int i = 0; i < n; i++) {
		uint32_t slot = (uint32_t)comps[i].user_data;
		uint64_t ns = quoll_ticks_to_ns(&run->clock, now - q->start[slot]);

		q->free[q->nr_free++] = slot;
		if (QUOLL_UNLIKELY(comps[i].error || comps[i].status)) {
			note_failure(run, &comps[i]);
			continue;
		}
		quoll_hist_record(&run->latency, ns);
		if (ns > run->max_ns)
			run->max_ns = ns;
		run->completed++;
	}
	run->end_ticks = now;
}

static unsigned int in_flight(const struct perf_run *run)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < run->job.nr_queues; i++)
		nr += run->job.depth - run->queues[i].nr_free;
	return nr;
}

static void show_live(struct perf_run *run, uint64_t now)
{
	double seconds = (double)(now - run->last_ticks) / (double)run->clock.tick_hz;
	uint64_t ios = run->completed - run->last_completed;
	double iops = (double)ios / seconds;

	run->job.live(iops, iops * run->job.io_lbas * run->job.ns.lba_bytes / (1 << 20),
		      ios ? (double)(run->latency.sum - run->last_sum) / (double)ios : 0, run->max_ns);
	run->last_ticks = now;
	run->last_completed = run->completed;
	run->last_sum = run->latency.sum;
	run->max_ns = 0;
}

/* What is looked at now and then: the end, a signal, the live line, a device that answers no more. */
static int look(struct perf_run *run, uint64_t now, struct quoll_error *err)
{
	/* Whether it is dead, polls tell. */
	(void)quoll_nvme_ctrl_poll(run->session->nvme);
	iommu_faults_look(run->session->faults, quoll_ticks_to_ns(&run->clock, now));
	/* A drive that does nothing but abort, or be reset, makes no progress. */
	if (run->completed != run->progress_completed) {
		run->progress_completed = run->completed;
		run->progress_ticks = now;
	} else if (now - run->progress_ticks > quoll_ns_to_ticks(&run->clock, run->job.stall_ms * 1000000ull)) {
		run->end = PERF_END_ERROR;
		return transfer_stalled(run->session, in_flight(run), run->job.stall_ms, err);
	}
	if (run->job.live && now - run->last_ticks >= run->clock.tick_hz)
		show_live(run, now);
	if (run->stop)
		return 0;
	run->stop = true;
	if (cli_stopped())
		run->end = PERF_END_SIGNAL;
	else if (run->job.time_ns && quoll_ticks_to_ns(&run->clock, now - run->start_ticks) >= run->job.time_ns)
		run->end = PERF_END_TIME;
	else
		run->stop = false;
	return 0;
}

/* Cut short by a signal, which is looked at next. */
static void pause_between(uint64_t ns)
{
	struct timespec pause = {.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};

	clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
}

static int failure(const struct perf_run *run, struct quoll_error *err)
{
	if (!run->errors)
		return 0;
	return transfer_failed(run->session, &run->failed, "a request", err);
}

int perf_loop(struct perf_run *run, struct quoll_error *err)
{
	uint64_t now = quoll_ticks(&run->clock), look_ticks = run->clock.tick_hz / LOOK_PER_S, next = now;
	int ret = 0;

	run->start_ticks = run->end_ticks = run->last_ticks = run->progress_ticks = now;
	while (!ret) {
		now = quoll_ticks(&run->clock);
		if (now >= next) {
			next = now + look_ticks;
			ret = look(run, now, err);
		}
		for (unsigned int i = 0; i < run->job.nr_queues; i++) {
			if (!run->stop)
				send(run, &run->queues[i]);
			collect(run, &run->queues[i]);
		}
		if (!run->stop && run->job.max_ios && run->started == run->job.max_ios) {
			run->stop = true;
			run->end = PERF_END_IOS;
		}
		if (run->stop && !in_flight(run))
			break;
		if (run->job.pause_ns && !in_flight(run)) {
			pause_between(run->job.pause_ns);
			run->progress_ticks = quoll_ticks(&run->clock);
		}
	}
	run->useful_ticks = measure_net_ticks(run->useful_ticks, run->nr_intervals, run->timer_ticks);
	return ret ? ret : failure(run, err);
}
