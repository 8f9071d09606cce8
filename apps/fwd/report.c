/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * report.c - what a forwarder is and counted, as one document and as text; the live line.
 */
#include <inttypes.h>
#include <string.h>

#include "quoll/measure.h"
#include "quoll/render.h"

#include "fwd.h"

static const char *const end_names[] = {"time", "packets", "signal", "error"};

/* What paths counted, summed over those that somebody is interested in. */
struct counts {
	uint64_t packets;
	uint64_t full;
	uint64_t cut;
	uint64_t segments;
	uint64_t undone;
	uint64_t bursts;
	uint64_t nr_timed;
	uint64_t timed_packets;
	uint64_t timed_ticks;
};

static void add_path(struct counts *c, const struct fwd_path *path)
{
	c->packets += quoll_counted(&path->nr_packets);
	c->full += quoll_counted(&path->nr_full);
	c->cut += quoll_counted(&path->nr_cut);
	c->segments += quoll_counted(&path->nr_segments);
	c->undone += quoll_counted(&path->nr_undone);
	c->bursts += quoll_counted(&path->nr_bursts);
	c->nr_timed += quoll_counted(&path->nr_timed);
	c->timed_packets += quoll_counted(&path->timed_packets);
	c->timed_ticks += quoll_counted(&path->timed_ticks);
}

static double per(double what, uint64_t nr)
{
	return nr ? what / (double)nr : 0;
}

static double useful_ns_per_packet(const struct fwd_run *run, const struct counts *c)
{
	uint64_t ticks = measure_net_ticks(c->timed_ticks, c->nr_timed, run->timer_ticks);

	return per((double)quoll_ticks_to_ns(&run->p.clock, ticks), c->timed_packets);
}

static uint64_t elapsed_ns(const struct fwd_run *run)
{
	return quoll_ticks_to_ns(&run->p.clock, run->end_ticks - run->start_ticks);
}

static double seconds_of(const struct fwd_run *run)
{
	uint64_t ns = elapsed_ns(run);

	return ns ? (double)ns / 1e9 : 1;
}

/* null where something is not known. */
static json_t *number_or_null(int value)
{
	return value < 0 ? json_null() : json_integer(value);
}

static json_t *describe_mac(const uint8_t *mac)
{
	char text[18];

	snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
	return json_string(text);
}

/* The map: which queue is where. */

static json_t *describe_queue(const struct fwd_run *run, const struct fwd_path *path)
{
	const struct ports_port *in = &run->p.ports[path->plan.port], *out = &run->p.ports[path->plan.out_port];
	const struct ports_thread *thread = &run->p.threads[path->plan.thread];

	return json_pack("{s:i, s:o, s:s, s:o, s:o, s:i, s:i, s:o, s:i, s:o, s:o, s:b}", "port", (int)path->plan.port,
			 "address", render_text(in->info.name), "driver", in->info.driver, "mac",
			 describe_mac(in->info.mac), "numa_node", number_or_null(in->info.numa_node), "queue",
			 (int)path->plan.queue, "out_port", (int)path->plan.out_port, "out_address",
			 render_text(out->info.name), "thread", (int)path->plan.thread, "core",
			 number_or_null(thread->core), "core_numa_node", number_or_null(thread->node), "can_sleep",
			 path->poller.fd >= 0);
}

json_t *fwd_describe_map(const struct fwd_run *run)
{
	json_t *queues = json_array();

	for (unsigned int i = 0; i < run->nr_paths; i++)
		if (json_array_append_new(queues, describe_queue(run, &run->paths[i]))) {
			json_decref(queues);
			return NULL;
		}
	return json_pack("{s:o}", "queues", queues);
}

void fwd_map_text(FILE *f, const json_t *doc)
{
	static const struct render_field queues[] = {
		{"#", "port", RENDER_PLAIN, true},	   {"port", "address", RENDER_PLAIN, false},
		{"driver", "driver", RENDER_PLAIN, false}, {"MAC", "mac", RENDER_PLAIN, false},
		{"node", "numa_node", RENDER_PLAIN, true}, {"queue", "queue", RENDER_PLAIN, true},
		{"to #", "out_port", RENDER_PLAIN, true},  {"thread", "thread", RENDER_PLAIN, true},
		{"core", "core", RENDER_PLAIN, true},	   {"node", "core_numa_node", RENDER_PLAIN, true},
		{NULL, NULL, RENDER_PLAIN, false},
	};

	render_table(f, json_object_get(doc, "queues"), queues, "");
}

/* What was counted. */

static int add_queue_counts(const struct fwd_run *run, json_t *queues)
{
	int ret = 0;

	for (unsigned int i = 0; i < run->nr_paths; i++) {
		struct counts c = {0};
		json_t *counts;

		add_path(&c, &run->paths[i]);
		counts =
			json_pack("{s:I, s:I, s:I, s:I, s:I, s:f, s:f}", "packets", (json_int_t)c.packets, "tx_full",
				  (json_int_t)c.full, "cut_up", (json_int_t)c.cut, "segments", (json_int_t)c.segments,
				  "undone", (json_int_t)c.undone, "packets_per_burst", per((double)c.packets, c.bursts),
				  "useful_ns_per_packet", useful_ns_per_packet(run, &c));
		ret |= json_object_update(json_array_get(queues, i), counts);
		json_decref(counts);
	}
	return ret;
}

static json_t *describe_port(const struct fwd_run *run, unsigned int idx)
{
	const struct ports_port *port = &run->p.ports[idx];
	struct quoll_port_stats s;
	struct counts c = {0};

	for (unsigned int i = 0; i < run->nr_paths; i++)
		if (run->paths[i].plan.out_port == idx)
			add_path(&c, &run->paths[i]);
	quoll_port_stats(port->port, &s);
	return json_pack("{s:i, s:o, s:s, s:o, s:o, s:i, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
			 "s:I, s:I, s:I, s:I, s:i}",
			 "port", (int)idx, "address", render_text(port->info.name), "driver", port->info.driver, "mac",
			 describe_mac(port->info.mac), "numa_node", number_or_null(port->info.numa_node), "out_port",
			 (int)plan_out_port(run->p.nr_ports, idx), "link_up", run->seen[idx].link.up, "link_mbit_per_s",
			 (json_int_t)run->seen[idx].link.mbit_per_s, "link_changes",
			 (json_int_t)run->seen[idx].nr_link_changes, "rx_packets", (json_int_t)s.rx_packets, "rx_bytes",
			 (json_int_t)s.rx_bytes, "tx_packets", (json_int_t)s.tx_packets, "tx_bytes",
			 (json_int_t)s.tx_bytes, "primed", (json_int_t)run->seen[idx].nr_primed, "rx_missed",
			 (json_int_t)s.rx_missed, "rx_no_buf", (json_int_t)s.rx_no_buf, "rx_errors",
			 (json_int_t)s.rx_errors, "rx_bad", (json_int_t)s.rx_bad, "tx_full", (json_int_t)c.full,
			 "undone", (json_int_t)c.undone, "tx_bad", (json_int_t)s.tx_bad, "tx_errors",
			 (json_int_t)s.tx_errors, "errno", -quoll_port_error(port->port));
}

/* Frames in one direction. All that a port sends comes from its partner, but for those sent to begin with. */
static json_t *describe_pair(const struct fwd_run *run, unsigned int idx)
{
	unsigned int out = plan_out_port(run->p.nr_ports, idx);
	uint64_t primed = (uint64_t)run->seen[out].nr_primed * run->opts.frame_bytes, bytes;
	double seconds = seconds_of(run);
	struct quoll_port_stats s;
	struct counts c = {0};

	for (unsigned int i = 0; i < run->nr_paths; i++)
		if (run->paths[i].plan.port == idx)
			add_path(&c, &run->paths[i]);
	quoll_port_stats(run->p.ports[out].port, &s);
	bytes = s.tx_bytes > primed ? s.tx_bytes - primed : 0;
	return json_pack("{s:i, s:i, s:o, s:o, s:I, s:I, s:f, s:f, s:f}", "port", (int)idx, "out_port", (int)out,
			 "from", render_text(run->p.ports[idx].info.name), "to",
			 render_text(run->p.ports[out].info.name), "packets", (json_int_t)c.packets, "bytes",
			 (json_int_t)bytes, "packets_per_s", (double)c.packets / seconds, "gbit_per_s",
			 (double)bytes * 8 / 1e9 / seconds, "useful_ns_per_packet", useful_ns_per_packet(run, &c));
}

static json_t *describe_thread(const struct fwd_run *run, unsigned int idx)
{
	const struct ports_thread *thread = &run->p.threads[idx];
	double ticks = (double)(thread->end_ticks - thread->start_ticks), all_ns;
	struct quoll_loop_stats s;
	struct counts c = {0};

	for (unsigned int i = 0; i < run->nr_paths; i++)
		if (run->paths[i].plan.thread == idx)
			add_path(&c, &run->paths[i]);
	quoll_loop_stats(thread->loop, &s);
	all_ns = (double)(s.busy_ns + s.idle_ns + s.sleep_ns) / 100;
	if (all_ns <= 0)
		all_ns = 1;
	return json_pack("{s:i, s:o, s:o, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:I, s:I, s:I, s:f, s:f}", "thread",
			 (int)idx, "core", number_or_null(thread->core), "numa_node", number_or_null(thread->node),
			 "packets", (json_int_t)c.packets, "busy_ns", (json_int_t)s.busy_ns, "idle_ns",
			 (json_int_t)s.idle_ns, "sleep_ns", (json_int_t)s.sleep_ns, "busy_percent",
			 (double)s.busy_ns / all_ns, "idle_percent", (double)s.idle_ns / all_ns, "sleep_percent",
			 (double)s.sleep_ns / all_ns, "rounds", (json_int_t)s.rounds, "sleeps", (json_int_t)s.sleeps,
			 "arm_races", (json_int_t)s.arm_races, "ticks_per_packet", per(ticks, c.packets),
			 "useful_ns_per_packet", useful_ns_per_packet(run, &c));
}

static json_t *describe_event(const struct fwd_run *run, unsigned int idx)
{
	const struct fwd_event *event = &run->events[idx];

	return json_pack("{s:I, s:o, s:b, s:I}", "time_ns", (json_int_t)event->time_ns, "address",
			 render_text(run->p.ports[event->port].info.name), "up", event->up, "mbit_per_s",
			 (json_int_t)event->mbit_per_s);
}

static json_t *array_of(const struct fwd_run *run, json_t *(*describe)(const struct fwd_run *run, unsigned int idx),
			unsigned int nr)
{
	json_t *array = json_array();

	for (unsigned int i = 0; i < nr; i++)
		if (json_array_append_new(array, describe(run, i))) {
			json_decref(array);
			return NULL;
		}
	return array;
}

/* Sums over all of it. */
static json_t *describe_sums(const struct fwd_run *run)
{
	struct quoll_heap_info heap;
	struct fwd_totals totals;
	struct counts c = {0};
	double ticks = 0, seconds = seconds_of(run);

	for (unsigned int i = 0; i < run->nr_paths; i++)
		add_path(&c, &run->paths[i]);
	for (unsigned int i = 0; i < run->p.nr_threads; i++)
		ticks += (double)(run->p.threads[i].end_ticks - run->p.threads[i].start_ticks);
	fwd_totals(run, &totals);
	quoll_heap_info(run->p.claims.heap, &heap);
	return json_pack("{s:s, s:I, s:I, s:f, s:f, s:I, s:f, s:f, s:f, s:I, s:I, s:i, s:I, s:I, s:I, s:I, s:I}",
			 "ended_by", end_names[run->end], "elapsed_ns", (json_int_t)elapsed_ns(run), "packets",
			 (json_int_t)c.packets, "packets_per_s", (double)c.packets / seconds, "gbit_per_s",
			 (double)totals.tx_bytes * 8 / 1e9 / seconds, "tx_full", (json_int_t)c.full,
			 "packets_per_burst", per((double)c.packets, c.bursts), "ticks_per_packet",
			 per(ticks, c.packets), "useful_ns_per_packet", useful_ns_per_packet(run, &c), "tick_hz",
			 (json_int_t)run->p.clock.tick_hz, "timer_ns",
			 (json_int_t)quoll_ticks_to_ns(&run->p.clock, run->timer_ticks), "burst", (int)run->opts.burst,
			 "bufs", (json_int_t)run->p.nr_bufs[0], "buf_bytes", (json_int_t)run->buf_bytes, "bufs_missing",
			 (json_int_t)run->p.nr_missing, "page_bytes", (json_int_t)heap.page_bytes, "nr_link_changes",
			 (json_int_t)run->nr_events);
}

json_t *fwd_describe(const struct fwd_run *run)
{
	unsigned int nr_kept = run->nr_events < FWD_MAX_EVENTS ? run->nr_events : FWD_MAX_EVENTS;
	json_t *doc = describe_sums(run), *map = fwd_describe_map(run), *lists;

	lists = json_pack("{s:o, s:o, s:o, s:o}", "ports", array_of(run, describe_port, run->p.nr_ports), "pairs",
			  array_of(run, describe_pair, run->p.nr_ports), "threads",
			  array_of(run, describe_thread, run->p.nr_threads), "link_changes",
			  array_of(run, describe_event, nr_kept));
	if (!doc || !map || !lists || add_queue_counts(run, json_object_get(map, "queues")) ||
	    json_object_update(doc, map) || json_object_update(doc, lists)) {
		json_decref(doc);
		doc = NULL;
	}
	if (doc)
		buffers_describe(run->opts.buffers, run->p.outside.streams, run->p.outside.nr_streams, doc);
	if (doc)
		iommu_faults_describe(run->faults, doc);
	json_decref(map);
	json_decref(lists);
	return doc;
}

static void tables_text(FILE *f, const json_t *doc)
{
	static const struct render_field pairs[] = {
		{"#", "port", RENDER_PLAIN, true},
		{"from", "from", RENDER_PLAIN, false},
		{"to", "to", RENDER_PLAIN, false},
		{"packets", "packets", RENDER_PLAIN, true},
		{"packets/s", "packets_per_s", RENDER_PLAIN, true},
		{"Gbit/s", "gbit_per_s", RENDER_PLAIN, true},
		{NULL, NULL, RENDER_PLAIN, false},
	};
	static const struct render_field ports[] = {
		{"#", "port", RENDER_PLAIN, true},
		{"port", "address", RENDER_PLAIN, false},
		{"rx packets", "rx_packets", RENDER_PLAIN, true},
		{"rx bytes", "rx_bytes", RENDER_PLAIN, true},
		{"tx packets", "tx_packets", RENDER_PLAIN, true},
		{"tx bytes", "tx_bytes", RENDER_PLAIN, true},
		{"link", "link_up", RENDER_PLAIN, false},
		{"changes", "link_changes", RENDER_PLAIN, true},
		{NULL, NULL, RENDER_PLAIN, false},
	};
	static const struct render_field drops[] = {
		{"#", "port", RENDER_PLAIN, true},
		{"dropped", "address", RENDER_PLAIN, false},
		{"rx missed", "rx_missed", RENDER_PLAIN, true},
		{"no buffer", "rx_no_buf", RENDER_PLAIN, true},
		{"rx errors", "rx_errors", RENDER_PLAIN, true},
		{"rx bad", "rx_bad", RENDER_PLAIN, true},
		{"tx full", "tx_full", RENDER_PLAIN, true},
		{"undone", "undone", RENDER_PLAIN, true},
		{"tx bad", "tx_bad", RENDER_PLAIN, true},
		{"tx errors", "tx_errors", RENDER_PLAIN, true},
		{NULL, NULL, RENDER_PLAIN, false},
	};
	static const struct render_field threads[] = {
		{"thread", "thread", RENDER_PLAIN, true},
		{"core", "core", RENDER_PLAIN, true},
		{"packets", "packets", RENDER_PLAIN, true},
		{"busy %", "busy_percent", RENDER_PLAIN, true},
		{"idle %", "idle_percent", RENDER_PLAIN, true},
		{"asleep %", "sleep_percent", RENDER_PLAIN, true},
		{"sleeps", "sleeps", RENDER_PLAIN, true},
		{"ticks/packet", "ticks_per_packet", RENDER_PLAIN, true},
		{NULL, NULL, RENDER_PLAIN, false},
	};

	render_table(f, json_object_get(doc, "pairs"), pairs, "  ");
	render_table(f, json_object_get(doc, "ports"), ports, "  ");
	render_table(f, json_object_get(doc, "ports"), drops, "  ");
	render_table(f, json_object_get(doc, "threads"), threads, "  ");
}

void fwd_text(FILE *f, const json_t *doc)
{
	static const struct render_field facts[] = {
		{"packets", "packets", RENDER_PLAIN, false},
		{"packets/s", "packets_per_s", RENDER_PLAIN, false},
		{"Gbit/s", "gbit_per_s", RENDER_PLAIN, false},
		{"time", "elapsed_ns", RENDER_NS, false},
		{"packets a burst", "packets_per_burst", RENDER_PLAIN, false},
		{"clock ticks a packet, waiting included", "ticks_per_packet", RENDER_PLAIN, false},
		{"ns in polls that forwarded something, a packet", "useful_ns_per_packet", RENDER_PLAIN, false},
		{"link changes", "nr_link_changes", RENDER_PLAIN, false},
		{"IOMMU faults", "faults", RENDER_PLAIN, false},
		{"buffers", "buffers", RENDER_PLAIN, false},
		{NULL, NULL, RENDER_PLAIN, false},
	};

	fprintf(f, "forwarded until %s\n", render_string(doc, "ended_by"));
	render_facts(f, doc, facts, "  ");
	tables_text(f, doc);
}

/* The live line. */

struct drop_kind {
	const char *name;
	uint64_t nr;
};

void fwd_live_line(const struct fwd_totals *before, const struct fwd_totals *now, uint64_t ns, char *line, size_t bytes)
{
	const struct quoll_port_stats *a = &before->stats, *b = &now->stats;
	const struct drop_kind kinds[] = {
		{"tx_full", now->tx_full - before->tx_full}, {"undone", now->undone - before->undone},
		{"rx_missed", b->rx_missed - a->rx_missed},  {"rx_no_buf", b->rx_no_buf - a->rx_no_buf},
		{"rx_errors", b->rx_errors - a->rx_errors},  {"rx_bad", b->rx_bad - a->rx_bad},
		{"tx_bad", b->tx_bad - a->tx_bad},	     {"tx_errors", b->tx_errors - a->tx_errors},
	};
	double seconds = ns ? (double)ns / 1e9 : 1;
	const char *before_kind = " (";
	uint64_t drops = 0;
	size_t used;

	for (unsigned int i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		drops += kinds[i].nr;
	used = (size_t)snprintf(line, bytes, "%.3f Mpps, %.3f Gbit/s, %" PRIu64 " dropped",
				(double)(now->packets - before->packets) / 1e6 / seconds,
				(double)(now->tx_bytes - before->tx_bytes) * 8 / 1e9 / seconds, drops);
	for (unsigned int i = 0; i < sizeof(kinds) / sizeof(*kinds) && used < bytes; i++) {
		if (!kinds[i].nr)
			continue;
		used += (size_t)snprintf(line + used, bytes - used, "%s%s %" PRIu64, before_kind, kinds[i].name,
					 kinds[i].nr);
		before_kind = ", ";
	}
	if (drops && used < bytes)
		snprintf(line + used, bytes - used, ")");
}
