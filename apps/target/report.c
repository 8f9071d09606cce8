/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * report.c - what a target is and has counted, as documents and as text; the live line.
 */
#include <inttypes.h>
#include <unistd.h>

#include "quoll/render.h"

#include "target.h"

static uint64_t uptime_ns(const struct target *target)
{
	return quoll_ticks_to_ns(&target->clock, quoll_ticks(&target->clock) - target->start_ticks);
}

json_t *target_describe_info(struct target *target)
{
	return json_pack("{s:s, s:i, s:I, s:s, s:s, s:s, s:i, s:i, s:o}", "version", QUOLL_VERSION, "pid",
			 (int)getpid(), "uptime_ns", (json_int_t)uptime_ns(target), "nqn", target->subsys->nqn,
			 "serial", target->subsys->serial, "model", target->subsys->model, "listeners",
			 (int)target->nr_listeners, "threads", (int)target->nr_workers, "control",
			 render_text(target->config->control));
}

static json_t *describe_uuid(const uint8_t *uuid)
{
	char text[TGT_UUID_CHARS];

	tgt_uuid_text(uuid, text);
	return json_string(text);
}

/* null where a back end registers no buffers. */
static json_t *describe_buffers(const struct tgt_ns_buffers *b)
{
	if (!b)
		return json_null();
	return json_pack("{s:I, s:I, s:I, s:I, s:I}", "fixed_transfers",
			 (json_int_t)__atomic_load_n(&b->fixed, __ATOMIC_RELAXED), "plain_transfers",
			 (json_int_t)__atomic_load_n(&b->plain, __ATOMIC_RELAXED), "copied_transfers",
			 (json_int_t)__atomic_load_n(&b->copied, __ATOMIC_RELAXED), "refused_pieces",
			 (json_int_t)__atomic_load_n(&b->refused, __ATOMIC_RELAXED), "registered_bytes",
			 (json_int_t)__atomic_load_n(&b->registered_bytes, __ATOMIC_RELAXED));
}

static json_t *describe_ns(const struct tgt_ns *ns)
{
	uint64_t block = 1ull << ns->lba_shift;

	return json_pack("{s:i, s:o, s:I, s:I, s:I, s:o, s:b, s:o}", "nsid", (int)ns->nsid, "address",
			 render_text(ns->text), "block_bytes", (json_int_t)block, "blocks", (json_int_t)ns->nr_lbas,
			 "size_bytes", (json_int_t)(ns->nr_lbas * block), "uuid", describe_uuid(ns->uuid),
			 "volatile_cache", ns->volatile_cache, "buffers", describe_buffers(ns->buffers));
}

json_t *target_describe_namespaces(struct target *target)
{
	json_t *list = json_array();

	for (uint32_t nsid = 1; nsid <= TGT_MAX_NAMESPACES; nsid++) {
		struct tgt_ns *ns = tgt_subsys_get_ns(target->subsys, nsid);

		if (!ns)
			continue;
		json_array_append_new(list, describe_ns(ns));
		tgt_subsys_put_ns(target->subsys, ns);
	}
	return list;
}

static json_t *describe_listener(struct target *target, unsigned int idx)
{
	const struct config_listener *config = listener_config(target->listeners[idx]);
	struct listener_stats s;
	const char *state;

	if (target_listener_stats(target, idx, &s))
		state = "not answering";
	else
		state = !s.connected ? "no client" : s.ready ? "enabled" : "connected";
	return json_pack(
		"{s:i, s:o, s:s, s:i, s:i, s:s, s:b, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
		"listener", (int)idx, "address", render_text(config->text), "doorbells",
		config->mapped ? "mapped" : "trapped", "thread", (int)(idx % target->nr_workers), "controller_id",
		(int)s.cntlid, "state", state, "connected", s.connected, "io_queues", (int)s.nr_queues, "reads",
		(json_int_t)s.counters.reads, "writes", (json_int_t)s.counters.writes, "read_bytes",
		(json_int_t)(s.counters.units_read * 512), "written_bytes",
		(json_int_t)(s.counters.units_written * 512), "errors", (json_int_t)s.nr_errors, "faults_injected",
		(json_int_t)s.fault_hits, "clients", (json_int_t)s.server.clients, "refused",
		(json_int_t)s.server.refused, "messages", (json_int_t)s.server.messages, "message_errors",
		(json_int_t)(s.server.errors + s.server.protocol_errors), "dma_messages",
		(json_int_t)s.server.dma_messages);
}

json_t *target_describe_listeners(struct target *target)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < target->nr_listeners; i++)
		json_array_append_new(list, describe_listener(target, i));
	return list;
}

static json_t *describe_thread(struct target *target, unsigned int idx)
{
	int core = target->config->nr_cores ? (int)target->config->cores[idx] : -1;
	struct quoll_loop_stats s;
	double all_ns;

	quoll_loop_stats(worker_loop(target->workers[idx]), &s);
	all_ns = (double)(s.busy_ns + s.idle_ns + s.sleep_ns) / 100;
	if (all_ns <= 0)
		all_ns = 1;
	return json_pack("{s:i, s:o, s:f, s:f, s:f, s:I, s:I}", "thread", (int)idx, "core",
			 core < 0 ? json_null() : json_integer(core), "busy_percent", (double)s.busy_ns / all_ns,
			 "idle_percent", (double)s.idle_ns / all_ns, "sleep_percent", (double)s.sleep_ns / all_ns,
			 "rounds", (json_int_t)s.rounds, "sleeps", (json_int_t)s.sleeps);
}

json_t *target_describe_threads(struct target *target)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < target->nr_workers; i++)
		json_array_append_new(list, describe_thread(target, i));
	return list;
}

json_t *target_describe(struct target *target)
{
	return json_pack("{s:o, s:o, s:o, s:o}", "target", target_describe_info(target), "namespaces",
			 target_describe_namespaces(target), "listeners", target_describe_listeners(target), "threads",
			 target_describe_threads(target));
}

void target_start_text(FILE *f, const json_t *doc)
{
	static const struct render_field namespaces[] = {
		{"NSID", "nsid", RENDER_PLAIN, true},	    {"namespace", "address", RENDER_PLAIN, false},
		{"size", "size_bytes", RENDER_BYTES, true}, {"block", "block_bytes", RENDER_BYTES, true},
		{NULL, NULL, RENDER_PLAIN, false},
	};
	static const struct render_field listeners[] = {
		{"#", "listener", RENDER_PLAIN, true},
		{"listens on", "address", RENDER_PLAIN, false},
		{"doorbells", "doorbells", RENDER_PLAIN, false},
		{"thread", "thread", RENDER_PLAIN, true},
		{NULL, NULL, RENDER_PLAIN, false},
	};

	render_table(f, json_object_get(doc, "namespaces"), namespaces, "  ");
	render_table(f, json_object_get(doc, "listeners"), listeners, "  ");
}

void target_text(FILE *f, const json_t *doc)
{
	static const struct render_field listeners[] = {
		{"#", "listener", RENDER_PLAIN, true},
		{"listened on", "address", RENDER_PLAIN, false},
		{"clients", "clients", RENDER_PLAIN, true},
		{"reads", "reads", RENDER_PLAIN, true},
		{"writes", "writes", RENDER_PLAIN, true},
		{"read", "read_bytes", RENDER_BYTES, true},
		{"written", "written_bytes", RENDER_BYTES, true},
		{"errors", "errors", RENDER_PLAIN, true},
		{NULL, NULL, RENDER_PLAIN, false},
	};
	static const struct render_field threads[] = {
		{"thread", "thread", RENDER_PLAIN, true},	   {"core", "core", RENDER_PLAIN, true},
		{"busy %", "busy_percent", RENDER_PLAIN, true},	   {"idle %", "idle_percent", RENDER_PLAIN, true},
		{"asleep %", "sleep_percent", RENDER_PLAIN, true}, {NULL, NULL, RENDER_PLAIN, false},
	};
	static const struct render_field facts[] = {
		{"served for", "uptime_ns", RENDER_NS, false},
		{NULL, NULL, RENDER_PLAIN, false},
	};

	render_facts(f, json_object_get(doc, "target"), facts, "");
	render_table(f, json_object_get(doc, "listeners"), listeners, "  ");
	render_table(f, json_object_get(doc, "threads"), threads, "  ");
}

void target_live_line(const struct target_totals *before, const struct target_totals *now, uint64_t ns, char *line,
		      size_t bytes)
{
	double seconds = ns ? (double)ns / 1e9 : 1;

	snprintf(line, bytes, "%u client%s, %.1f k reads/s, %.1f k writes/s, %.1f MB/s", now->nr_connected,
		 now->nr_connected == 1 ? "" : "s", (double)(now->reads - before->reads) / 1e3 / seconds,
		 (double)(now->writes - before->writes) / 1e3 / seconds,
		 (double)(now->units - before->units) * 512 / 1e6 / seconds);
}
