/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * target.h - a running target: the subsystem, workers with their listeners, and the calling thread's loop with signals,
 * the control socket and the live line. Set up and run in run.c, put into words in report.c.
 */
#ifndef QUOLL_TARGET_TARGET_H
#define QUOLL_TARGET_TARGET_H

#include <jansson.h>

#include "config.h"
#include "control.h"
#include "listener.h"
#include "worker.h"

/* What the live line shows the difference of. */
struct target_totals {
	uint64_t reads;
	uint64_t writes;
	uint64_t units; /* of 512 bytes, read and written */
	unsigned int nr_connected;
};

/**
 * struct target - everything; zeroed, but for what is set before target_open()
 * @env, @config: set before
 * @live:      told in words how it goes, each @live_ns; NULL: nobody is
 * @listeners: each with its worker at the same place of @workers_of
 * @seen:      what their counters were when their thread was last asked, and answered
 * @loop:      the calling thread's
 * @drained:   the signal to end has come, and what was in flight has ended, or took too long
 * @error:     what a worker's loop ended with
 */
struct target {
	const struct quoll_env *env;
	const struct target_config *config;
	uint64_t live_ns;
	void (*live)(const char *line);

	struct tgt_subsys *subsys;
	unsigned int nr_workers;
	unsigned int nr_listeners;
	struct worker *workers[CONFIG_MAX_THREADS];
	struct worker *workers_of[CONFIG_MAX_LISTENERS];
	struct listener *listeners[CONFIG_MAX_LISTENERS];
	struct listener_stats seen[CONFIG_MAX_LISTENERS];
	struct quoll_loop *loop;
	struct control *control;
	struct quoll_clock clock;
	uint64_t start_ticks;
	struct quoll_timer live_timer;
	uint64_t live_ticks;
	struct target_totals live_before;
	struct quoll_timer drain_timer;
	uint64_t drain_until;
	bool draining;
	bool drained;
	int error;
};

/**
 * target_open() - namespaces, listeners, the control socket; target_close() after success or failure
 */
int target_open(struct target *target, struct quoll_error *err);

/**
 * target_run() - serve until SIGINT or SIGTERM, then let commands in flight end
 * Return: 0; -errno: a thread's loop ended by itself, or commands did not end in time. Counters are valid either way.
 */
int target_run(struct target *target, struct quoll_error *err);

/**
 * target_close() - flush the namespaces, remove the sockets
 * Return: 0; -ETIMEDOUT: a back end did not finish; what it uses stays until the process ends.
 */
int target_close(struct target *target, struct quoll_error *err);

/**
 * target_listener_stats() - looked at in the listener's thread
 * Return: 0; -ETIMEDOUT: the thread does not answer (a client, or a back end, has it wait); @stats are from before.
 */
int target_listener_stats(struct target *target, unsigned int idx, struct listener_stats *stats);

/**
 * target_set_faults() - of all listeners, or of one
 * @idx: below @nr_listeners; or -1
 * Return: 0; -ETIMEDOUT: a thread does not answer, and its listeners have what they had.
 */
int target_set_faults(struct target *target, int idx, const struct tgt_fault *faults, unsigned int nr);

/**
 * target_add_ns(), target_remove_ns() - and wake those whose hosts shall hear of it
 * Return: the NSID, 0; -errno.
 */
int target_add_ns(struct target *target, const char *text, uint32_t nsid, struct quoll_error *err);
int target_remove_ns(struct target *target, uint32_t nsid, struct quoll_error *err);

/* report.c: documents; NULL without memory. */
json_t *target_describe_info(struct target *target);
json_t *target_describe_namespaces(struct target *target);
json_t *target_describe_listeners(struct target *target);
json_t *target_describe_threads(struct target *target);
/* All of it, as the control socket's target.stats and the summary at the end have it. */
json_t *target_describe(struct target *target);
/* What there is at the start, and the summary, as text of that document. */
void target_start_text(FILE *f, const json_t *doc);
void target_text(FILE *f, const json_t *doc);
void target_live_line(const struct target_totals *before, const struct target_totals *now, uint64_t ns, char *line,
		      size_t bytes);

#endif
