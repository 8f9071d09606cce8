/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * run.c - a generator at work: timers and signals of the control loop, waiting for what is on its way, the end.
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
	quoll_loop_stop(run->p.control);
}

/* Every port's health; also of those that only send. */
static bool check_ports(struct gen_run *run)
{
	for (unsigned int i = 0; i < run->p.nr_ports; i++)
		if (quoll_port_check(run->p.ports[i].port))
			return false;
	return true;
}

void gen_totals(const struct gen_run *run, struct gen_totals *totals)
{
	*totals = (struct gen_totals){0};
	for (unsigned int i = 0; i < run->nr_lanes; i++) {
		if (run->sources) {
			totals->tx_packets += quoll_counted(&run->sources[i].nr_packets);
			totals->tx_bytes += quoll_counted(&run->sources[i].nr_bytes);
		}
		if (run->sinks) {
			totals->rx_packets += quoll_counted(&run->sinks[i].nr_packets);
			totals->rx_bytes += quoll_counted(&run->sinks[i].nr_bytes);
		}
	}
}

/* A port whose other end is gone for good: frames have passed, and its link is down since. */
static const struct ports_port *lost_port(struct gen_run *run, uint64_t now)
{
	uint64_t patience = quoll_ns_to_ticks(&run->p.clock, run->opts.link_down_ns);
	struct quoll_port_link link;
	struct gen_totals totals;

	for (unsigned int i = 0; i < run->p.nr_ports; i++) {
		quoll_port_link(run->p.ports[i].port, &link);
		run->was_up[i] |= link.up;
		if (link.up || !run->was_up[i])
			run->down_ticks[i] = 0;
		else if (!run->down_ticks[i])
			run->down_ticks[i] = now;
		else if (now - run->down_ticks[i] >= patience) {
			gen_totals(run, &totals);
			return totals.tx_packets || totals.rx_packets ? &run->p.ports[i] : NULL;
		}
	}
	return NULL;
}

/* Of what only receives. */
static void look_at_sinks(struct gen_run *run, uint64_t now)
{
	struct gen_totals totals;

	gen_totals(run, &totals);
	if (run->opts.time_ns && now >= run->end_ticks)
		finish(run, GEN_END_TIME);
	else if (run->opts.max_packets && totals.rx_packets >= run->opts.max_packets)
		finish(run, GEN_END_COUNT);
}

/* Return: when the last source was done; 0 as long as one is not. */
static uint64_t done_ticks(const struct gen_run *run)
{
	uint64_t last = 0;

	for (unsigned int i = 0; i < run->nr_lanes; i++) {
		if (source_phase(&run->sources[i]) != SOURCE_DONE)
			return 0;
		if (run->sources[i].done_ticks > last)
			last = run->sources[i].done_ticks;
	}
	return last;
}

/* Nobody polls any more. */
static bool sent_all(const struct gen_run *run)
{
	for (unsigned int i = 0; i < run->nr_lanes; i++)
		if (run->sources[i].nr_left || run->sources[i].nr_pending)
			return false;
	return true;
}

/* Once a millisecond: is it over? What was sent is waited for until it has come, or for as long as is asked for. */
static void look(void *arg)
{
	struct gen_run *run = arg;
	uint64_t now = quoll_ticks(&run->p.clock), done;
	struct gen_totals totals;

	iommu_faults_look(run->faults, quoll_ticks_to_ns(&run->p.clock, now - run->start_ticks));
	if (!check_ports(run)) {
		finish(run, GEN_END_ERROR);
		return;
	}
	done = run->sources ? done_ticks(run) : 0;
	run->lost = done ? NULL : lost_port(run, now);
	if (run->lost) {
		finish(run, GEN_END_ERROR);
		return;
	}
	if (!run->sources) {
		look_at_sinks(run, now);
		return;
	}
	if (!done)
		return;
	if (!run->linger_until) {
		run->linger_until = now + quoll_ns_to_ticks(&run->p.clock, run->opts.linger_ns);
		run->end_ticks = done;
	}
	gen_totals(run, &totals);
	if (!run->sinks || totals.rx_packets >= totals.tx_packets || now >= run->linger_until)
		finish(run, GEN_END_COUNT);
}

static void live(void *arg)
{
	struct gen_run *run = arg;
	uint64_t now = quoll_ticks(&run->p.clock);
	struct gen_totals totals;
	char line[256];

	gen_totals(run, &totals);
	gen_live_line(&run->live_before, &totals, quoll_ticks_to_ns(&run->p.clock, now - run->live_ticks), line,
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

/* A queue's share: of the number, and of the time from frame to frame, so that queues take turns. */
static void set_source(struct gen_run *run, unsigned int idx, uint64_t now)
{
	unsigned int nr = run->opts.nr_queues, queue = idx % nr;
	struct source *s = &run->sources[idx];

	s->due = ((unsigned __int128)now << 32) + shape_step(&s->pace, s->sizes[s->size]) / nr * queue;
	s->limit = run->begin_ticks;
	s->end = run->end_ticks;
	s->nr_left = UINT64_MAX;
	if (run->opts.max_packets)
		s->nr_left = run->opts.max_packets / nr + (queue < run->opts.max_packets % nr);
}

/* When what happens; before any thread polls. */
static void set_times(struct gen_run *run)
{
	const struct gen_opts *opts = &run->opts;
	uint64_t now = quoll_ticks(&run->p.clock);

	run->start_ticks = run->live_ticks = now;
	run->begin_ticks = now + quoll_ns_to_ticks(&run->p.clock, opts->warm_up_ns);
	run->end_ticks =
		opts->time_ns ? run->begin_ticks + quoll_ns_to_ticks(&run->p.clock, opts->time_ns) : UINT64_MAX;
	for (unsigned int i = 0; run->sinks && i < run->nr_lanes; i++)
		run->sinks[i].begin = run->begin_ticks;
	for (unsigned int i = 0; run->sources && i < run->nr_lanes; i++)
		set_source(run, i, now);
}

static int link_failure(const struct gen_run *run, struct quoll_error *err)
{
	if (!run->lost)
		return 0;
	quoll_error_set(err, ENETDOWN, "link", run->lost->info.name, "its link went down, and was for %.3g s",
			(double)run->opts.link_down_ns / 1e9);
	quoll_error_hint(err, "look whether the other end is still there");
	return -ENETDOWN;
}

int gen_loop(struct gen_run *run, struct quoll_error *err)
{
	struct ports_control control = {.look = look,
					.look_ns = LOOK_NS,
					.live = run->opts.live ? live : NULL,
					.live_ns = run->opts.live_ns,
					.on_signal = on_signal,
					.arg = run};
	int ret = ports_start_control(&run->p, &control, err);

	set_times(run);
	if (!ret)
		ret = ports_run(&run->p, "quoll-gen", err);
	/* Sources also end by time; then the number was not reached. */
	if (run->end == GEN_END_COUNT && run->sources && !sent_all(run))
		run->end = GEN_END_TIME;
	if (run->end == GEN_END_SIGNAL)
		signals_kill_from_now();
	if (run->end == GEN_END_SIGNAL || run->lost || !run->sources)
		run->end_ticks = quoll_ticks(&run->p.clock);
	ports_stop_control(&run->p);
	if (!ret)
		ret = ports_failure(&run->p, err);
	if (!ret)
		ret = link_failure(run, err);
	if (ret)
		run->end = GEN_END_ERROR;
	return ret;
}
