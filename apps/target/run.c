/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * run.c - a target's life: set up, serve, drain, tear down.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "names.h"
#include "target.h"

#define DRAIN_LOOK_NS 1000000u
#define DRAIN_NS 5000000000u /* for commands in flight; as long again for the flush of each listener */
#define FLUSH_MS 5000u

static int open_subsystem(struct target *target, struct quoll_error *err)
{
	const struct target_config *config = target->config;
	struct tgt_names names;
	struct tgt_subsys_opts opts = {
		.nqn = config->nqn[0] ? config->nqn : names.nqn,
		.serial = config->serial[0] ? config->serial : names.serial,
		.model = config->model[0] ? config->model : NULL,
	};
	int rc;

	tgt_names_make(NULL, config->listeners[0].path, &names);
	rc = tgt_subsys_create(target->env, &opts, &target->subsys, err);
	for (unsigned int i = 0; !rc && i < config->nr_ns; i++) {
		rc = target_add_ns(target, config->ns[i].text, config->ns[i].nsid, err);
		rc = rc > 0 ? 0 : rc;
	}
	return rc;
}

/* A worker's loop has ended by itself; told in its thread. */
static void worker_ended(void *arg, int error)
{
	struct target *target = arg;

	__atomic_store_n(&target->error, error, __ATOMIC_RELAXED);
	quoll_loop_stop(target->loop);
}

static int open_workers(struct target *target, struct quoll_error *err)
{
	const struct target_config *config = target->config;
	unsigned int nr = config->nr_threads ? config->nr_threads : 1;
	int rc = 0;

	for (unsigned int i = 0; !rc && i < nr; i++) {
		struct worker_opts opts = {
			.core = config->nr_cores ? (int)config->cores[i] : -1,
			.never_sleep = config->never_sleep,
			.ended = worker_ended,
			.arg = target,
		};

		rc = worker_create(target->env, &opts, &target->workers[i], err);
		target->nr_workers += !rc;
	}
	return rc;
}

static int open_listeners(struct target *target, struct quoll_error *err)
{
	const struct target_config *config = target->config;
	int rc = 0;

	for (unsigned int i = 0; !rc && i < config->nr_listeners; i++) {
		struct worker *worker = target->workers[i % target->nr_workers];

		target->workers_of[i] = worker;
		rc = listener_create(target->subsys, &config->listeners[i], worker_loop(worker), &target->listeners[i],
				     err);
		target->nr_listeners += !rc;
	}
	if (!rc && config->nr_faults) /* no thread runs yet that could not answer */
		rc = target_set_faults(target, -1, config->faults, config->nr_faults);
	return rc;
}

int target_open(struct target *target, struct quoll_error *err)
{
	int rc;

	quoll_clock_init(&target->clock);
	target->start_ticks = quoll_ticks(&target->clock);
	rc = quoll_loop_create(target->env, NULL, &target->loop, err);
	if (!rc)
		rc = open_subsystem(target, err);
	if (!rc)
		rc = open_workers(target, err);
	if (!rc)
		rc = open_listeners(target, err);
	if (!rc && target->config->control[0])
		rc = control_create(target, target->config->control, target->loop, &target->control, err);
	return rc;
}

/* What others ask of a listener, in its thread. */

struct listener_call {
	struct listener *listener;
	struct listener_stats *stats;
	const struct tgt_fault *faults;
	unsigned int nr_faults;
	bool drained;
};

static void call_stats(void *arg)
{
	struct listener_call *call = arg;

	listener_stats(call->listener, call->stats);
}

int target_listener_stats(struct target *target, unsigned int idx, struct listener_stats *stats)
{
	struct listener_call call = {.listener = target->listeners[idx], .stats = &target->seen[idx]};
	int rc = worker_call(target->workers_of[idx], call_stats, &call);

	*stats = target->seen[idx];
	return rc;
}

static void call_faults(void *arg)
{
	struct listener_call *call = arg;

	listener_faults(call->listener, call->faults, call->nr_faults);
}

int target_set_faults(struct target *target, int idx, const struct tgt_fault *faults, unsigned int nr)
{
	int rc = 0;

	for (unsigned int i = 0; i < target->nr_listeners; i++) {
		struct listener_call call = {.listener = target->listeners[i], .faults = faults, .nr_faults = nr};

		if ((idx < 0 || (unsigned int)idx == i) && worker_call(target->workers_of[i], call_faults, &call))
			rc = -ETIMEDOUT;
	}
	return rc;
}

static void wake_workers(struct target *target)
{
	for (unsigned int i = 0; i < target->nr_workers; i++)
		quoll_loop_wake(worker_loop(target->workers[i]));
}

int target_add_ns(struct target *target, const char *text, uint32_t nsid, struct quoll_error *err)
{
	struct tgt_ns *ns;
	int rc = tgt_ns_open(text, &ns, err);

	if (rc)
		return rc;
	rc = tgt_subsys_add_ns(target->subsys, ns, nsid, err);
	wake_workers(target);
	return rc;
}

int target_remove_ns(struct target *target, uint32_t nsid, struct quoll_error *err)
{
	int rc = tgt_subsys_remove_ns(target->subsys, nsid, err);

	wake_workers(target);
	return rc;
}

/* The calling thread's loop. */

static void take_totals(struct target *target, struct target_totals *totals)
{
	memset(totals, 0, sizeof(*totals));
	for (unsigned int i = 0; i < target->nr_listeners; i++) {
		struct listener_stats stats;

		target_listener_stats(target, i, &stats);
		totals->reads += stats.counters.reads;
		totals->writes += stats.counters.writes;
		totals->units += stats.counters.units_read + stats.counters.units_written;
		totals->nr_connected += stats.connected;
	}
}

static void live(void *arg)
{
	struct target *target = arg;
	uint64_t now = quoll_ticks(&target->clock);
	struct target_totals totals;
	char line[160];

	take_totals(target, &totals);
	target_live_line(&target->live_before, &totals, quoll_ticks_to_ns(&target->clock, now - target->live_ticks),
			 line, sizeof(line));
	target->live(line);
	target->live_before = totals;
	target->live_ticks = now;
}

static void call_drain(void *arg)
{
	struct listener_call *call = arg;

	listener_drain(call->listener);
	call->drained = listener_drained(call->listener);
}

/* One whose thread doesn't answer is asked again. */
static void drain(void *arg)
{
	struct target *target = arg;
	bool drained = true;

	for (unsigned int i = 0; i < target->nr_listeners; i++) {
		struct listener_call call = {.listener = target->listeners[i]};

		drained = !worker_call(target->workers_of[i], call_drain, &call) && call.drained && drained;
	}
	target->drained = drained;
	if (drained || quoll_ticks(&target->clock) >= target->drain_until)
		quoll_loop_stop(target->loop);
}

static void end_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGTERM);
}

/* A second signal while we drain: whoever sends it does not want to wait for more than what has ended already. */
static void on_signal(void *arg, int signo)
{
	struct target *target = arg;

	(void)signo;
	if (target->draining) {
		target->drain_until = quoll_ticks(&target->clock);
		drain(target);
		return;
	}
	target->draining = true;
	target->drain_until = quoll_ticks(&target->clock) + quoll_ns_to_ticks(&target->clock, DRAIN_NS);
	if (quoll_timer_start(target->loop, &target->drain_timer, 0, DRAIN_LOOK_NS))
		quoll_loop_stop(target->loop);
}

static int start_loop(struct target *target, struct quoll_error *err)
{
	sigset_t set;
	int rc;

	target->live_timer = (struct quoll_timer){.fn = live, .arg = target};
	target->drain_timer = (struct quoll_timer){.fn = drain, .arg = target};
	target->live_ticks = quoll_ticks(&target->clock);
	end_signals(&set);
	rc = quoll_loop_signals(target->loop, &set, on_signal, target);
	if (!rc && target->live)
		rc = quoll_timer_start(target->loop, &target->live_timer, target->live_ns, target->live_ns);
	return rc ? quoll_error_set(err, -rc, "start", "", "signals and timers can't be set up") : 0;
}

int target_run(struct target *target, struct quoll_error *err)
{
	int rc = start_loop(target, err);

	for (unsigned int i = 0; !rc && i < target->nr_workers; i++)
		rc = worker_start(target->workers[i], err);
	if (!rc)
		rc = quoll_loop_run(target->loop);
	quoll_timer_cancel(&target->live_timer);
	quoll_timer_cancel(&target->drain_timer);
	for (unsigned int i = 0; i < target->nr_workers; i++)
		worker_stop(target->workers[i]);
	if (target->error)
		return quoll_error_set(err, -target->error, "serve", "", "the loop of a thread ended");
	if (!rc && !target->drained)
		return quoll_error_set(err, ETIMEDOUT, "end", "", "commands in flight did not end");
	return rc;
}

int target_close(struct target *target, struct quoll_error *err)
{
	int rc = 0;

	if (target->control)
		control_destroy(target->control);
	for (unsigned int i = 0; i < target->nr_listeners; i++) {
		const char *text = listener_config(target->listeners[i])->text;

		if (listener_destroy(target->listeners[i], FLUSH_MS))
			rc = quoll_error_set(err, ETIMEDOUT, "end", text, "its namespaces could not be flushed in %u s",
					     FLUSH_MS / 1000);
	}
	for (unsigned int i = 0; i < target->nr_workers; i++)
		worker_destroy(target->workers[i]);
	if (target->loop)
		quoll_loop_destroy(target->loop);
	if (target->subsys && !rc)
		tgt_subsys_destroy(target->subsys);
	return rc;
}
