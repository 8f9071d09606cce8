/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * run.c - a generator at work: threads, timers and signals of the control loop, waiting for what is on its way, the
 * end.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "quoll/signals.h"

#include "gen.h"

#define LOOK_NS 1000000u

static void finish(struct gen_run *run, enum gen_end end)
{
	run->end = end;
	quoll_loop_stop(run->control);
}

/* Every port's health; also of those that only send. */
static bool check_ports(struct gen_run *run)
{
	for (unsigned int i = 0; i < run->nr_ports; i++)
		if (quoll_port_check(run->ports[i].port))
			return false;
	return true;
}

static bool all_came(const struct gen_run *run)
{
	const struct sink *s = run->sink;

	return !s || quoll_counted(&s->nr_packets) >= quoll_counted(&run->source->nr_packets);
}

/* Once a millisecond: is it over? What was sent is waited for until it has come, or for as long as is asked for. */
static void look(void *arg)
{
	struct gen_run *run = arg;
	uint64_t now = quoll_ticks(&run->clock);

	if (!check_ports(run)) {
		finish(run, GEN_END_ERROR);
		return;
	}
	if (!run->source) {
		if (run->opts.time_ns && now >= run->end_ticks)
			finish(run, GEN_END_TIME);
		else if (run->opts.max_packets && quoll_counted(&run->sink->nr_packets) >= run->opts.max_packets)
			finish(run, GEN_END_COUNT);
		return;
	}
	if (source_phase(run->source) != SOURCE_DONE)
		return;
	if (!run->linger_until) {
		run->linger_until = now + quoll_ns_to_ticks(&run->clock, run->opts.linger_ns);
		run->end_ticks = run->source->done_ticks;
	}
	if (all_came(run) || now >= run->linger_until)
		finish(run, run->opts.max_packets && !run->source->nr_left ? GEN_END_COUNT : GEN_END_TIME);
}

void gen_totals(const struct gen_run *run, struct gen_totals *totals)
{
	*totals = (struct gen_totals){0};
	if (run->source) {
		totals->tx_packets = quoll_counted(&run->source->nr_packets);
		totals->tx_bytes = quoll_counted(&run->source->nr_bytes);
	}
	if (run->sink) {
		totals->rx_packets = quoll_counted(&run->sink->nr_packets);
		totals->rx_bytes = quoll_counted(&run->sink->nr_bytes);
	}
}

static void live(void *arg)
{
	struct gen_run *run = arg;
	uint64_t now = quoll_ticks(&run->clock);
	struct gen_totals totals;
	char line[256];

	gen_totals(run, &totals);
	gen_live_line(&run->live_before, &totals, quoll_ticks_to_ns(&run->clock, now - run->live_ticks), line,
		      sizeof(line));
	run->opts.live(line);
	run->live_before = totals;
	run->live_ticks = now;
}

static void on_signal(void *arg, int signo)
{
	(void)signo;
	finish(arg, GEN_END_SIGNAL);
}

static int start_control(struct gen_run *run, struct quoll_error *err)
{
	sigset_t set;
	int ret;

	run->look_timer = (struct quoll_timer){.fn = look, .arg = run};
	run->live_timer = (struct quoll_timer){.fn = live, .arg = run};
	signals_that_end(&set);
	ret = quoll_loop_signals(run->control, &set, on_signal, run);
	if (!ret)
		ret = quoll_timer_start(run->control, &run->look_timer, LOOK_NS, LOOK_NS);
	if (!ret && run->opts.live)
		ret = quoll_timer_start(run->control, &run->live_timer, run->opts.live_ns, run->opts.live_ns);
	return ret ? quoll_error_set(err, -ret, "start", "", "signals and timers cannot be set up") : 0;
}

/* When what happens; before any thread polls. */
static void set_times(struct gen_run *run)
{
	const struct gen_opts *opts = &run->opts;
	uint64_t now = quoll_ticks(&run->clock);

	run->start_ticks = run->live_ticks = now;
	run->begin_ticks = now + quoll_ns_to_ticks(&run->clock, opts->warm_up_ns);
	run->end_ticks = opts->time_ns ? run->begin_ticks + quoll_ns_to_ticks(&run->clock, opts->time_ns) : UINT64_MAX;
	if (run->sink)
		run->sink->begin = run->begin_ticks;
	if (!run->source)
		return;
	run->source->due = (unsigned __int128)now << 32;
	run->source->limit = run->begin_ticks;
	run->source->end = run->end_ticks;
	run->source->nr_left = opts->max_packets ? opts->max_packets : UINT64_MAX;
}

static int thread_main(void *arg)
{
	struct gen_thread *thread = arg;

	thread->ret = quoll_loop_run(thread->loop);
	quoll_loop_stop(thread->run->control);
	return 0;
}

static int run_threads(struct gen_run *run, struct quoll_error *err)
{
	int ret = 0;

	for (unsigned int i = 0; !ret && i < run->nr_threads; i++) {
		struct quoll_thread_opts opts = {.name = "quoll-gen",
						 .cpu = run->opts.nr_cores ? (int)run->opts.cores[i] : -1};

		ret = quoll_thread_start(&opts, thread_main, &run->threads[i], &run->threads[i].handle, err);
	}
	if (!ret)
		quoll_loop_run(run->control);
	for (unsigned int i = 0; i < run->nr_threads; i++)
		if (run->threads[i].handle)
			quoll_loop_stop(run->threads[i].loop);
	for (unsigned int i = 0; i < run->nr_threads; i++)
		if (run->threads[i].handle)
			quoll_thread_join(run->threads[i].handle);
	return ret;
}

/* A port that died, or a loop that ended by itself. */
static int failure(struct gen_run *run, struct quoll_error *err)
{
	for (unsigned int i = 0; i < run->nr_ports; i++) {
		int error = quoll_port_error(run->ports[i].port);

		if (error)
			return quoll_error_set(err, -error, "port", run->ports[i].info.name, "%s",
					       error == -ENODEV ? "the device is gone, or the kernel wants it back"
								: "the device does not work any more");
	}
	for (unsigned int i = 0; i < run->nr_threads; i++)
		if (run->threads[i].ret)
			return quoll_error_set(err, -run->threads[i].ret, "loop", "", "the loop of thread %u ended", i);
	return 0;
}

int gen_loop(struct gen_run *run, struct quoll_error *err)
{
	int ret = start_control(run, err);

	set_times(run);
	if (!ret && run->own_control)
		ret = run_threads(run, err);
	else if (!ret)
		thread_main(&run->threads[0]);
	if (run->end == GEN_END_SIGNAL)
		signals_kill_from_now();
	if (run->end == GEN_END_SIGNAL || !run->source)
		run->end_ticks = quoll_ticks(&run->clock);
	quoll_timer_cancel(&run->look_timer);
	quoll_timer_cancel(&run->live_timer);
	if (!ret)
		ret = failure(run, err);
	if (ret)
		run->end = GEN_END_ERROR;
	return ret;
}
