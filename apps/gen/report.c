/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * report.c - what a generator sent and received, as one document and as text; the live line.
 */
#include <inttypes.h>

#include "quoll/render.h"

#include "gen.h"

#define MAX_FLOW_ROWS 256u

static const char *const end_names[] = {"time", "count", "signal", "error"};

void gen_sums(const struct gen_run *run, unsigned int first_flow, unsigned int nr_flows, struct gen_sums *sums)
{
	*sums = (struct gen_sums){0};
	for (unsigned int i = first_flow; i < first_flow + nr_flows; i++) {
		const struct track *t = &run->tracks[i];
		uint64_t sent = run->source ? run->flows[i].nr_sent : 0;

		/* What was sent last and did not come leaves no gap; so count from what was sent, where that is known.
		 */
		sums->sent += sent;
		sums->good += t->nr_good;
		sums->lost += !run->source ? t->nr_gaps : sent > t->nr_good ? sent - t->nr_good : 0;
		sums->reordered += t->nr_reordered;
		sums->duplicates += t->nr_duplicates;
		sums->late += t->nr_late;
		sums->far += t->nr_far;
	}
	if (!run->sink)
		sums->lost = 0;
}

static double seconds_of(const struct gen_run *run)
{
	uint64_t ticks = run->end_ticks > run->begin_ticks ? run->end_ticks - run->begin_ticks : 0;
	uint64_t ns = quoll_ticks_to_ns(&run->clock, ticks);

	return ns ? (double)ns / 1e9 : 1;
}

static json_t *describe_rate(uint64_t packets, uint64_t bytes, double seconds)
{
	uint64_t frames = bytes + packets * SHAPE_FCS_BYTES;

	return json_pack("{s:I, s:I, s:f, s:f}", "packets", (json_int_t)packets, "bytes", (json_int_t)frames,
			 "packets_per_s", (double)packets / seconds, "gbit_per_s", (double)frames * 8 / 1e9 / seconds);
}

static json_t *describe_source(const struct gen_run *run)
{
	const struct source *s = run->source;
	json_t *doc, *more;

	if (!s)
		return json_null();
	doc = describe_rate(s->nr_packets, s->nr_bytes, seconds_of(run));
	more = json_pack("{s:o, s:I, s:I, s:I, s:I, s:I}", "address", render_text(run->ports[0].info.name),
			 "warm_up_packets", (json_int_t)s->nr_warm_up, "full_polls", (json_int_t)s->nr_full,
			 "no_buf_polls", (json_int_t)s->nr_no_buf, "unsent", (json_int_t)s->nr_pending, "behind_ns",
			 (json_int_t)quoll_ticks_to_ns(&run->clock, s->behind_ticks));
	json_object_update(doc, more);
	json_decref(more);
	return doc;
}

static json_t *describe_sink(const struct gen_run *run)
{
	const struct sink *s = run->sink;
	struct quoll_port_stats stats;
	json_t *doc, *more;

	if (!s)
		return json_null();
	quoll_port_stats(run->ports[run->nr_ports - 1].port, &stats);
	doc = describe_rate(s->nr_packets, s->nr_bytes, seconds_of(run));
	more = json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:I}", "address",
			 render_text(run->ports[run->nr_ports - 1].info.name), "warm_up_packets",
			 (json_int_t)s->nr_warm_up, "foreign_packets", (json_int_t)s->nr_foreign, "odd_packets",
			 (json_int_t)s->nr_odd, "rx_missed", (json_int_t)stats.rx_missed, "rx_no_buf",
			 (json_int_t)stats.rx_no_buf, "rx_bad", (json_int_t)(stats.rx_bad + stats.rx_errors));
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

/* The first flows one by one. */
static json_t *describe_flows(const struct gen_run *run)
{
	unsigned int nr = run->opts.flow.nr_flows < MAX_FLOW_ROWS ? run->opts.flow.nr_flows : MAX_FLOW_ROWS;
	json_t *flows = json_array();

	for (unsigned int i = 0; i < nr; i++) {
		json_t *row = describe_sums(run, i, 1);

		json_object_set_new(row, "flow", json_integer(i));
		json_array_append_new(flows, row);
	}
	return flows;
}

static json_t *describe_latency(const struct gen_run *run)
{
	const struct quoll_hist *h = run->sink && run->sink->stamps_tell ? &run->sink->latency : NULL;

	if (!h || !h->nr_values)
		return json_null();
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "packets", (json_int_t)h->nr_values, "min_ns",
			 (json_int_t)h->min, "avg_ns", (json_int_t)(h->sum / h->nr_values), "p50_ns",
			 (json_int_t)quoll_hist_percentile(h, 50), "p90_ns", (json_int_t)quoll_hist_percentile(h, 90),
			 "p99_ns", (json_int_t)quoll_hist_percentile(h, 99), "p99_9_ns",
			 (json_int_t)quoll_hist_percentile(h, 99.9), "p99_99_ns",
			 (json_int_t)quoll_hist_percentile(h, 99.99), "max_ns", (json_int_t)h->max);
}

json_t *gen_describe(const struct gen_run *run)
{
	return json_pack("{s:s, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:I}", "ended_by", end_names[run->end],
			 "elapsed_ns",
			 (json_int_t)(run->end_ticks > run->begin_ticks
					      ? quoll_ticks_to_ns(&run->clock, run->end_ticks - run->begin_ticks)
					      : 0),
			 "tick_hz", (json_int_t)run->clock.tick_hz, "nr_flows", (json_int_t)run->opts.flow.nr_flows,
			 "sent", describe_source(run), "received", describe_sink(run), "frames",
			 describe_sums(run, 0, run->opts.flow.nr_flows), "flows", describe_flows(run), "latency",
			 describe_latency(run), "bufs_missing", (json_int_t)run->nr_missing);
}

static void part_text(FILE *f, const json_t *part, const char *heading, const struct render_field *fields)
{
	if (!json_is_object(part))
		return;
	fprintf(f, "%s\n", heading);
	render_facts(f, part, fields, "  ");
}

void gen_text(FILE *f, const json_t *doc)
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

	fprintf(f, "generated until %s\n", render_string(doc, "ended_by"));
	part_text(f, json_object_get(doc, "sent"), "sent", ends);
	part_text(f, json_object_get(doc, "received"), "received", ends);
	if (json_is_object(json_object_get(doc, "received")))
		part_text(f, json_object_get(doc, "frames"), "frames", frames);
	part_text(f, json_object_get(doc, "latency"), "latency, from when a frame was due", latency);
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
