/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * report.c - what a generator sent and received, as one document and as text; the live line.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "quoll/render.h"

#include "gen.h"

#define MAX_FLOW_ROWS 256u

static const char *const end_names[] = {"time", "count", "signal", "error"};

static void add_tracks(const struct gen_run *run, unsigned int flow, struct gen_sums *sums)
{
	for (unsigned int i = 0; i < GEN_MAX_THREADS; i++) {
		const struct track *t = run->tracks[i] ? &run->tracks[i][flow] : NULL;

		if (!t)
			continue;
		sums->good += t->nr_good;
		sums->lost += t->nr_gaps;
		sums->reordered += t->nr_reordered;
		sums->duplicates += t->nr_duplicates;
		sums->late += t->nr_late;
		sums->far += t->nr_far;
	}
}

void gen_sums(const struct gen_run *run, unsigned int first_flow, unsigned int nr_flows, struct gen_sums *sums)
{
	*sums = (struct gen_sums){0};
	for (unsigned int i = first_flow; i < first_flow + nr_flows; i++) {
		struct gen_sums one = {0};

		add_tracks(run, i, &one);
		one.sent = run->sources ? run->flows[i].nr_sent : 0;
		/* What was sent last and did not come leaves no gap; so count from what was sent, where that is known.
		 */
		if (run->sources)
			one.lost = run->sinks && one.sent > one.good ? one.sent - one.good : 0;
		sums->sent += one.sent;
		sums->good += one.good;
		sums->lost += one.lost;
		sums->reordered += one.reordered;
		sums->duplicates += one.duplicates;
		sums->late += one.late;
		sums->far += one.far;
	}
}

static double seconds_of(const struct gen_run *run)
{
	uint64_t ticks = run->end_ticks > run->begin_ticks ? run->end_ticks - run->begin_ticks : 0;
	uint64_t ns = quoll_ticks_to_ns(&run->p.clock, ticks);

	return ns ? (double)ns / 1e9 : 1;
}

static json_t *describe_rate(uint64_t packets, uint64_t bytes, double seconds)
{
	uint64_t frames = bytes + packets * SHAPE_FCS_BYTES;

	return json_pack("{s:I, s:I, s:f, s:f}", "packets", (json_int_t)packets, "bytes", (json_int_t)frames,
			 "packets_per_s", (double)packets / seconds, "gbit_per_s", (double)frames * 8 / 1e9 / seconds);
}

/* Both directions, or one of them. */
struct part {
	unsigned int first;
	unsigned int nr;
};

static struct part lanes_of(const struct gen_run *run, struct part directions)
{
	return (struct part){directions.first * run->opts.nr_queues, directions.nr * run->opts.nr_queues};
}

static json_t *describe_sources(const struct gen_run *run, struct part directions)
{
	uint64_t packets = 0, bytes = 0, warm_up = 0, full = 0, no_buf = 0, unsent = 0, behind = 0;
	struct part lanes = lanes_of(run, directions);
	json_t *doc, *more;

	if (!run->sources)
		return json_null();
	for (unsigned int i = lanes.first; i < lanes.first + lanes.nr; i++) {
		const struct source *s = &run->sources[i];

		packets += s->nr_packets;
		bytes += s->nr_bytes;
		warm_up += s->nr_warm_up;
		full += s->nr_full;
		no_buf += s->nr_no_buf;
		unsent += s->nr_unsent + s->nr_pending;
		behind = s->behind_ticks > behind ? s->behind_ticks : behind;
	}
	doc = describe_rate(packets, bytes, seconds_of(run));
	more = json_pack("{s:o, s:I, s:I, s:I, s:I, s:I}", "address",
			 render_text(run->p.ports[directions.first ? run->p.nr_ports - 1 : 0].info.name),
			 "warm_up_packets", (json_int_t)warm_up, "full_polls", (json_int_t)full, "no_buf_polls",
			 (json_int_t)no_buf, "unsent", (json_int_t)unsent, "behind_ns",
			 (json_int_t)quoll_ticks_to_ns(&run->p.clock, behind));
	json_object_update(doc, more);
	json_decref(more);
	return doc;
}

/* What ports count themselves. */
static void add_port(const struct ports_port *port, struct quoll_port_stats *sum)
{
	struct quoll_port_stats one;

	quoll_port_stats(port->port, &one);
	sum->rx_missed += one.rx_missed;
	sum->rx_no_buf += one.rx_no_buf;
	sum->rx_bad += one.rx_bad + one.rx_errors;
}

static json_t *describe_sinks(const struct gen_run *run, struct part directions)
{
	unsigned int rx_port = directions.first ? 0 : run->p.nr_ports - 1;
	uint64_t packets = 0, bytes = 0, warm_up = 0, foreign = 0, odd = 0;
	struct part lanes = lanes_of(run, directions);
	struct quoll_port_stats stats = {0};
	json_t *doc, *more;

	if (!run->sinks)
		return json_null();
	for (unsigned int i = lanes.first; i < lanes.first + lanes.nr; i++) {
		const struct sink *s = &run->sinks[i];

		packets += s->nr_packets;
		bytes += s->nr_bytes;
		warm_up += s->nr_warm_up;
		foreign += s->nr_foreign;
		odd += s->nr_odd;
	}
	add_port(&run->p.ports[rx_port], &stats);
	if (directions.nr == 2)
		add_port(&run->p.ports[0], &stats);
	doc = describe_rate(packets, bytes, seconds_of(run));
	more = json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:I}", "address", render_text(run->p.ports[rx_port].info.name),
			 "warm_up_packets", (json_int_t)warm_up, "foreign_packets", (json_int_t)foreign, "odd_packets",
			 (json_int_t)odd, "rx_missed", (json_int_t)stats.rx_missed, "rx_no_buf",
			 (json_int_t)stats.rx_no_buf, "rx_bad", (json_int_t)stats.rx_bad);
	json_object_update(doc, more);
	json_decref(more);
	return doc;
}

static json_t *describe_sums(const struct gen_run *run, unsigned int first, unsigned int nr)
{
	struct gen_sums s;

	gen_sums(run, first, nr, &s);
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "sent", (json_int_t)s.sent, "received",
			 (json_int_t)s.good, "lost", (json_int_t)s.lost, "reordered", (json_int_t)s.reordered,
			 "duplicates", (json_int_t)s.duplicates, "late", (json_int_t)s.late, "far_ahead",
			 (json_int_t)s.far);
}

/* The first flows one by one, direction after direction. */
static json_t *describe_flows(const struct gen_run *run)
{
	unsigned int all = gen_nr_flows(run), nr = all < MAX_FLOW_ROWS ? all : MAX_FLOW_ROWS;
	json_t *flows = json_array();

	for (unsigned int i = 0; i < nr; i++) {
		json_t *row = describe_sums(run, i, 1);

		json_object_set_new(row, "flow", json_integer(i));
		json_array_append_new(flows, row);
	}
	return flows;
}

static json_t *pack_latency(const struct quoll_hist *h)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "packets", (json_int_t)h->nr_values, "min_ns",
			 (json_int_t)h->min, "avg_ns", (json_int_t)(h->sum / h->nr_values), "p50_ns",
			 (json_int_t)quoll_hist_percentile(h, 50), "p90_ns", (json_int_t)quoll_hist_percentile(h, 90),
			 "p99_ns", (json_int_t)quoll_hist_percentile(h, 99), "p99_9_ns",
			 (json_int_t)quoll_hist_percentile(h, 99.9), "p99_99_ns",
			 (json_int_t)quoll_hist_percentile(h, 99.99), "max_ns", (json_int_t)h->max);
}

static json_t *describe_latency(const struct gen_run *run, struct part directions)
{
	struct quoll_hist *sum = run->sinks ? malloc(sizeof(*sum)) : NULL;
	struct part lanes = lanes_of(run, directions);
	json_t *doc = NULL;

	if (!sum)
		return json_null();
	quoll_hist_reset(sum);
	for (unsigned int i = lanes.first; i < lanes.first + lanes.nr; i++)
		quoll_hist_merge(sum, &run->sinks[i].latency);
	if (sum->nr_values)
		doc = pack_latency(sum);
	free(sum);
	return doc ? doc : json_null();
}

static json_t *describe_part(const struct gen_run *run, struct part directions)
{
	unsigned int nr_flows = run->opts.flow.nr_flows;

	return json_pack("{s:o, s:o, s:o, s:o}", "sent", describe_sources(run, directions), "received",
			 describe_sinks(run, directions), "frames",
			 describe_sums(run, directions.first * nr_flows, directions.nr * nr_flows), "latency",
			 describe_latency(run, directions));
}

json_t *gen_describe(const struct gen_run *run)
{
	json_t *doc = describe_part(run, (struct part){0, run->nr_directions}), *directions = json_array(), *more;
	uint64_t ticks = run->end_ticks > run->begin_ticks ? run->end_ticks - run->begin_ticks : 0;

	for (unsigned int i = 0; i < run->nr_directions; i++)
		json_array_append_new(directions, describe_part(run, (struct part){i, 1}));
	more = json_pack("{s:s, s:I, s:I, s:I, s:i, s:i, s:o, s:o, s:I}", "ended_by", end_names[run->end], "elapsed_ns",
			 (json_int_t)quoll_ticks_to_ns(&run->p.clock, ticks), "tick_hz",
			 (json_int_t)run->p.clock.tick_hz, "nr_flows", (json_int_t)gen_nr_flows(run), "queues",
			 (int)run->opts.nr_queues, "threads", (int)run->opts.nr_threads, "flows", describe_flows(run),
			 "directions", directions, "bufs_missing", (json_int_t)run->p.nr_missing);
	if (!doc || json_object_update(doc, more)) {
		json_decref(doc);
		doc = NULL;
	}
	if (doc)
		iommu_faults_describe(run->faults, doc);
	json_decref(more);
	return doc;
}

static void part_text(FILE *f, const json_t *part, const char *heading, const struct render_field *fields)
{
	if (!json_is_object(part))
		return;
	fprintf(f, "%s\n", heading);
	render_facts(f, part, fields, "  ");
}

static void direction_text(FILE *f, const json_t *part)
{
	static const struct render_field ends[] = {
		{"port", "address", RENDER_PLAIN, false},
		{"packets", "packets", RENDER_PLAIN, false},
		{"packets/s", "packets_per_s", RENDER_PLAIN, false},
		{"Gbit/s, FCS included", "gbit_per_s", RENDER_PLAIN, false},
		{"behind at the end", "behind_ns", RENDER_NS, false},
		{"bursts that the port did not take whole", "full_polls", RENDER_PLAIN, false},
		{"frames that it never took", "unsent", RENDER_PLAIN, false},
		{"of the warm-up", "warm_up_packets", RENDER_PLAIN, false},
		{"not ours", "foreign_packets", RENDER_PLAIN, false},
		{"that make no sense", "odd_packets", RENDER_PLAIN, false},
		{"missed by the device", "rx_missed", RENDER_PLAIN, false},
		{NULL, NULL, RENDER_PLAIN, false},
	};
	static const struct render_field frames[] = {
		{"lost", "lost", RENDER_PLAIN, false},
		{"out of order", "reordered", RENDER_PLAIN, false},
		{"there twice", "duplicates", RENDER_PLAIN, false},
		{"too late to tell", "late", RENDER_PLAIN, false},
		{"too far ahead", "far_ahead", RENDER_PLAIN, false},
		{NULL, NULL, RENDER_PLAIN, false},
	};
	static const struct render_field latency[] = {
		{"least", "min_ns", RENDER_NS, false},	  {"50 %", "p50_ns", RENDER_NS, false},
		{"90 %", "p90_ns", RENDER_NS, false},	  {"99 %", "p99_ns", RENDER_NS, false},
		{"99.9 %", "p99_9_ns", RENDER_NS, false}, {"99.99 %", "p99_99_ns", RENDER_NS, false},
		{"longest", "max_ns", RENDER_NS, false},  {NULL, NULL, RENDER_PLAIN, false},
	};

	part_text(f, json_object_get(part, "sent"), "sent", ends);
	part_text(f, json_object_get(part, "received"), "received", ends);
	if (json_is_object(json_object_get(part, "received")))
		part_text(f, json_object_get(part, "frames"), "frames", frames);
	part_text(f, json_object_get(part, "latency"), "latency, from when a frame was due", latency);
}

void gen_text(FILE *f, const json_t *doc)
{
	const json_t *directions = json_object_get(doc, "directions");
	json_int_t faults = json_integer_value(json_object_get(doc, "faults"));

	fprintf(f, "generated until %s\n", render_string(doc, "ended_by"));
	for (size_t i = 0; i < json_array_size(directions); i++)
		direction_text(f, json_array_get(directions, i));
	if (faults)
		fprintf(f, "the IOMMU stopped %lld accesses\n", (long long)faults);
}

void gen_live_line(const struct gen_totals *before, const struct gen_totals *now, uint64_t ns, char *line, size_t bytes)
{
	double seconds = ns ? (double)ns / 1e9 : 1;

	snprintf(line, bytes, "sent %.3f Mpps, %.3f Gbit/s; received %.3f Mpps, %.3f Gbit/s",
		 (double)(now->tx_packets - before->tx_packets) / 1e6 / seconds,
		 (double)(now->tx_bytes - before->tx_bytes) * 8 / 1e9 / seconds,
		 (double)(now->rx_packets - before->rx_packets) / 1e6 / seconds,
		 (double)(now->rx_bytes - before->rx_bytes) * 8 / 1e9 / seconds);
}
