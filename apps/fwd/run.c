/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * run.c - the run: frames sent to begin with, the control loop with its timers and signals, and the end.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "quoll/measure.h"
#include "quoll/signals.h"

#include "fwd.h"

#define LOOK_NS 100000000u

static const uint8_t broadcast[QUOLL_MAC_BYTES] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
static const uint8_t experimental[2] = {0x88, 0xb5}; /* IEEE 802 - Local Experimental Ethertype 1 */

uint64_t fwd_packets(const struct fwd_run *run)
{
	uint64_t packets = 0;

	for (unsigned int i = 0; i < run->nr_paths; i++)
		packets += quoll_counted(&run->paths[i].nr_packets);
	return packets;
}

void fwd_totals(const struct fwd_run *run, struct fwd_totals *totals)
{
	struct quoll_port_stats *sum = &totals->stats;

	memset(totals, 0, sizeof(*totals));
	for (unsigned int i = 0; i < run->nr_paths; i++) {
		totals->packets += quoll_counted(&run->paths[i].nr_packets);
		totals->tx_full += quoll_counted(&run->paths[i].nr_full);
		totals->undone += quoll_counted(&run->paths[i].nr_undone);
	}
	for (unsigned int i = 0; i < run->p.nr_ports; i++) {
		struct quoll_port_stats one;

		quoll_port_stats(run->p.ports[i].port, &one);
		totals->tx_bytes += one.tx_bytes;
		sum->rx_missed += one.rx_missed;
		sum->rx_no_buf += one.rx_no_buf;
		sum->rx_errors += one.rx_errors;
		sum->rx_bad += one.rx_bad;
		sum->tx_bad += one.tx_bad;
		sum->tx_errors += one.tx_errors;
	}
}

/* Timers of the control loop. */

static void finish(struct fwd_run *run, enum fwd_end end)
{
	run->end = end;
	quoll_loop_stop(run->p.control);
}

bool fwd_link_line(struct fwd_seen *seen, const char *name, uint64_t now_ns, char *line, size_t line_bytes)
{
	uint32_t nr = quoll_pace_take(&seen->pace, now_ns);
	char more[64] = "";

	if (!nr)
		return false;
	if (nr > 1)
		snprintf(more, sizeof(more), ", %u changes since it was told last", nr);
	if (seen->link.up)
		snprintf(line, line_bytes, "%s: link up after %.1f s, %u Mbit/s%s", name, (double)seen->change_ns / 1e9,
			 seen->link.mbit_per_s, more);
	else
		snprintf(line, line_bytes, "%s: link down after %.1f s%s", name, (double)seen->change_ns / 1e9, more);
	return true;
}

static void note_link(struct fwd_run *run, unsigned int idx, const struct quoll_port_link *link, uint64_t ns)
{
	struct fwd_seen *seen = &run->seen[idx];
	uint32_t nr = link->nr_changes - seen->link.nr_changes;

	if (run->nr_events < FWD_MAX_EVENTS)
		run->events[run->nr_events] = (struct fwd_event){ns, idx, link->up, link->mbit_per_s};
	run->nr_events++;
	seen->nr_link_changes += nr;
	seen->pace.nr_untold += nr;
	seen->change_ns = ns;
	seen->link = *link;
}

/* Health and link of every port, also of those whose queues sleep, and what the IOMMU stopped. */
static void look(void *arg)
{
	struct fwd_run *run = arg;
	uint64_t ns = quoll_ticks_to_ns(&run->p.clock, quoll_ticks(&run->p.clock) - run->start_ticks);
	char line[QUOLL_ADDR_MAX_BYTES + 128];

	for (unsigned int i = 0; i < run->p.nr_ports; i++) {
		struct quoll_port_link link;

		if (quoll_port_check(run->p.ports[i].port))
			finish(run, FWD_END_ERROR);
		quoll_port_link(run->p.ports[i].port, &link);
		if (link.nr_changes != run->seen[i].link.nr_changes)
			note_link(run, i, &link, ns);
		if (run->opts.say && fwd_link_line(&run->seen[i], run->p.ports[i].info.name, ns, line, sizeof(line)))
			run->opts.say(run->opts.say_arg, line);
	}
	iommu_faults_look(run->faults, ns);
}

static void live(void *arg)
{
	struct fwd_run *run = arg;
	uint64_t now = quoll_ticks(&run->p.clock);
	struct fwd_totals totals;
	char line[256];

	fwd_totals(run, &totals);
	fwd_live_line(&run->live_before, &totals, quoll_ticks_to_ns(&run->p.clock, now - run->live_ticks), line,
		      sizeof(line));
	run->opts.live(line);
	run->live_before = totals;
	run->live_ticks = now;
}

static void time_is_up(void *arg)
{
	finish(arg, FWD_END_TIME);
}

static void on_signal(void *arg, int signo)
{
	(void)signo;
	finish(arg, FWD_END_SIGNAL);
}

static int start_control(struct fwd_run *run, struct quoll_error *err)
{
	struct ports_control control = {.look = look,
					.look_ns = LOOK_NS,
					.live = run->opts.live ? live : NULL,
					.live_ns = run->opts.live_ns,
					.on_signal = on_signal,
					.arg = run};
	int ret = ports_start_control(&run->p, &control, err);

	run->end_timer = (struct quoll_timer){.fn = time_is_up, .arg = run};
	if (!ret && run->opts.time_ns && quoll_timer_start(run->p.control, &run->end_timer, run->opts.time_ns, 0))
		return quoll_error_set(err, ENOMEM, "start", "", "there is no timer");
	return ret;
}

static void stop_control(struct fwd_run *run)
{
	ports_stop_control(&run->p);
	quoll_timer_cancel(&run->end_timer);
}

/* Frames to begin with. */

static void fill_frame(const struct fwd_run *run, const struct fwd_path *path, struct quoll_buf *buf)
{
	uint8_t *data = quoll_buf_data(buf);

	memset(data, 0, run->opts.frame_bytes);
	memcpy(data, broadcast, QUOLL_MAC_BYTES);
	memcpy(data + QUOLL_MAC_BYTES, run->p.ports[path->plan.out_port].info.mac, QUOLL_MAC_BYTES);
	memcpy(data + 2 * QUOLL_MAC_BYTES, experimental, sizeof(experimental));
	buf->data_bytes = buf->total_bytes = run->opts.frame_bytes;
}

static int prime(struct fwd_run *run, struct fwd_path *path, struct quoll_error *err)
{
	struct fwd_seen *out = &run->seen[path->plan.out_port];
	unsigned int sent = 0;
	struct quoll_buf *buf;

	for (; sent < run->opts.nr_prime && !quoll_buf_get(path->cache, &buf, 1); sent++) {
		fill_frame(run, path, buf);
		if (quoll_tx(path->txq, &buf, 1))
			continue;
		quoll_buf_put(path->cache, &buf, 1);
		break;
	}
	out->nr_primed += sent;
	if (sent == run->opts.nr_prime)
		return 0;
	quoll_error_set(err, ENOBUFS, "prime", run->p.ports[path->plan.out_port].info.name,
			"queue %u took %u of --prime's %u frames", path->plan.queue, sent, run->opts.nr_prime);
	quoll_error_hint(err, "fewer frames, or more --entries and --bufs");
	return -ENOBUFS;
}

int fwd_loop(struct fwd_run *run, struct quoll_error *err)
{
	int ret = start_control(run, err);

	run->end = FWD_END_PACKETS; /* unless something else ends it */
	run->timer_ticks = measure_timer_ticks(&run->p.clock);
	for (unsigned int i = 0; !ret && run->opts.nr_prime && i < run->nr_paths; i++)
		ret = prime(run, &run->paths[i], err);
	fwd_totals(run, &run->live_before);
	run->start_ticks = run->end_ticks = run->live_ticks = quoll_ticks(&run->p.clock);
	if (!ret)
		ret = ports_run(&run->p, "quoll-fwd", err);
	run->end_ticks = quoll_ticks(&run->p.clock);
	stop_control(run);
	if (run->end == FWD_END_SIGNAL)
		signals_kill_from_now();
	look(run);
	if (!ret)
		ret = ports_failure(&run->p, err);
	if (ret)
		run->end = FWD_END_ERROR;
	return ret;
}
