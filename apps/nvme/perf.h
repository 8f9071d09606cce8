/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * perf.h - the measuring loop of `quoll nvme perf`: what it is told, what it counts.
 */
#ifndef QUOLL_APPS_NVME_PERF_H
#define QUOLL_APPS_NVME_PERF_H

#include <quoll/clock.h>
#include <quoll/hist.h>

#include "buffers.h"
#include "random.h"

#define PERF_MAX_BATCH 256

/* Why a run ended. */
enum perf_end {
	PERF_END_TIME,
	PERF_END_IOS,
	PERF_END_SIGNAL,
	PERF_END_ERROR,
};

/**
 * struct perf_job - what to do; constant while it runs
 * @ns:        namespace
 * @random:    random places, else one after the other
 * @io_lbas:   size of each request
 * @nr_places: places of that size in the namespace
 * @read_below: a random 32-bit word below this means a read; 2^32 for reads only
 * @depth:     requests in flight a queue
 * @batch:     at most so many prepared before a doorbell, and collected by a poll
 * @max_ios:   0 for no limit
 * @time_ns:   0 for no limit
 * @where:     buffers are
 * @pause_ns:  slept whenever a queue's depth was sent and has come back; 0 for not at all
 * @stall_ms:  a device that completes nothing for so long is given up
 * @live:      called once a second with what the last second brought; may be NULL
 */
struct perf_job {
	struct quoll_nvme_ns_info ns;
	bool random;
	uint32_t io_lbas;
	uint64_t nr_places;
	uint64_t read_below;
	unsigned int depth;
	unsigned int nr_queues;
	unsigned int batch;
	uint64_t max_ios;
	uint64_t time_ns;
	enum buffers_where where;
	uint64_t pause_ns;
	unsigned int stall_ms;
	void (*live)(double iops, double mib_per_s, double avg_ns, uint64_t max_ns);
};

/**
 * struct perf_queue - one queue and its buffers: the hot part first
 * @free:  stack of slots that are not in flight
 * @start: by slot: when it was prepared
 */
struct perf_queue {
	struct quoll_nvme_queue *queue;
	uint8_t *buffers;
	uint32_t *free;
	uint64_t *start;
	unsigned int nr_free;
};

/**
 * struct perf_run - the state of a run and, at its end, its result
 * @useful_ticks: in prep, submit, and in polls that returned something, the clock's own cost taken off
 * @timer_ticks:  cost of one reading of the clock, measured
 * @nr_intervals: pairs of readings behind useful_ticks
 * @failed:       the first completion that failed; valid if errors is not 0
 */
struct perf_run {
	const struct nvme_session *session;
	struct perf_job job;
	struct quoll_clock clock;
	struct random rng;
	struct nvme_buffers buffers;
	struct perf_queue *queues;
	uint64_t next_place;
	uint64_t started;
	uint64_t completed;
	uint64_t nr_reads;
	uint64_t useful_ticks;
	uint64_t nr_intervals;
	uint64_t timer_ticks;
	uint64_t start_ticks;
	uint64_t end_ticks;
	uint64_t errors;
	struct quoll_nvme_completion failed;
	enum perf_end end;
	bool stop;
	uint64_t max_ns;
	uint64_t last_ticks;
	uint64_t last_completed;
	uint64_t last_sum;
	uint64_t progress_ticks;
	uint64_t progress_completed;
	struct quoll_hist latency;
};

/**
 * perf_open() - queues and buffers for run->job; perf_close() after success or failure
 * @run: session and job are set, the rest is zero
 */
int perf_open(struct perf_run *run, struct quoll_error *err);
void perf_close(struct perf_run *run);

/**
 * perf_loop() - run the job to its end and collect all that is in flight
 * Return: 0; -errno: the device failed a request, is gone, or does not answer. Counters are valid either way.
 */
int perf_loop(struct perf_run *run, struct quoll_error *err);

#endif
