/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * identify.c - `quoll nvme identify`: what a controller and its namespaces say of themselves.
 */
#include <errno.h>
#include <inttypes.h>
#include <nvme/types.h>
#include <string.h>

#include "quoll/render.h"
#include "quoll/verbs.h"

#include "describe.h"

struct identify_values {
	uint64_t nsid;
	const char *raw;
	unsigned int pages;
};

static const struct identify_values defaults;

static const struct cli_option options[] = {
	{"nsid", CLI_NUMBER, offsetof(struct identify_values, nsid), "N", "only this namespace", 1, 0xfffffffe},
	{"raw", CLI_TEXT, offsetof(struct identify_values, raw), "FILE",
	 "also store the 4096 bytes of Identify data as the controller sent them;\nof the namespace with --nsid", 0, 0},
	CLAIMS_OPTION_PAGES(struct identify_values),
	{NULL, CLI_FLAG, 0, NULL, NULL, 0, 0},
};

static int store_raw(const struct nvme_session *s, const struct identify_values *v, struct quoll_error *err)
{
	const void *data = v->nsid ? (const void *)quoll_nvme_id_ns(s->nvme, (uint32_t)v->nsid)
				   : (const void *)quoll_nvme_id_ctrl(s->nvme);
	FILE *f;

	if (!data)
		return quoll_error_set(err, ENOENT, "raw", s->name, "no Identify data of namespace %" PRIu64, v->nsid);
	f = fopen(v->raw, "we");
	if (!f || fwrite(data, NVME_IDENTIFY_DATA_SIZE, 1, f) != 1 || fflush(f))
		quoll_error_set(err, errno ? errno : EIO, "raw", v->raw, "%s", strerror(errno));
	if (f)
		fclose(f);
	return -err->errnum;
}

/* {"controller": …, "namespaces": […]} */
static json_t *describe(const struct nvme_session *s, const struct quoll_nvme_ns_info *only)
{
	json_t *namespaces = only ? json_pack("[o]", describe_namespace(s, only)) : describe_namespaces(s);

	return json_pack("{s:o, s:o}", "controller", describe_controller(s), "namespaces", namespaces);
}

static void identify_text(FILE *f, const json_t *doc)
{
	static const struct render_field facts[] = {
		{"device", "device", RENDER_PLAIN, false},
		{"model", "model", RENDER_PLAIN, false},
		{"serial", "serial", RENDER_PLAIN, false},
		{"firmware", "firmware", RENDER_PLAIN, false},
		{"subsystem", "subnqn", RENDER_PLAIN, false},
		{"vendor", "vendor_id", RENDER_HEX, false},
		{"controller id", "controller_id", RENDER_PLAIN, false},
		{"NVMe version", "version", RENDER_PLAIN, false},
		{"capacity", "capacity_bytes", RENDER_BYTES, false},
		{"largest transfer", "max_transfer_bytes", RENDER_BYTES, false},
		{"page size", "page_bytes", RENDER_BYTES, false},
		{"entries a queue", "max_queue_entries", RENDER_PLAIN, false},
		{"volatile cache", "volatile_cache", RENDER_PLAIN, false},
		{"time to get ready, ms", "ready_timeout_ms", RENDER_PLAIN, false},
		{"NVM commands", "nvm_commands", RENDER_PLAIN, false},
		{"admin commands", "admin_commands", RENDER_PLAIN, false},
		{NULL, NULL, RENDER_PLAIN, false},
	};
	static const struct render_field columns[] = {
		{"NAMESPACE", "nsid", RENDER_PLAIN, true},	{"SIZE", "size_bytes", RENDER_BYTES, true},
		{"BLOCKS", "nr_lbas", RENDER_PLAIN, true},	{"BLOCK", "lba_bytes", RENDER_PLAIN, true},
		{"META", "metadata_bytes", RENDER_PLAIN, true}, {"USED", "used_bytes", RENDER_BYTES, true},
		{"USABLE", "usable", RENDER_PLAIN, false},	{"EUI-64", "eui64", RENDER_PLAIN, false},
		{"NGUID", "nguid", RENDER_PLAIN, false},	{NULL, NULL, RENDER_PLAIN, false},
	};
	static const struct render_field formats[] = {
		{"FORMAT", "format", RENDER_PLAIN, true},
		{"BLOCK", "lba_bytes", RENDER_PLAIN, true},
		{"META", "metadata_bytes", RENDER_PLAIN, true},
		{"PERFORMANCE", "relative_performance", RENDER_PLAIN, true},
		{"IN USE", "in_use", RENDER_PLAIN, false},
		{NULL, NULL, RENDER_PLAIN, false},
	};
	const json_t *namespaces = json_object_get(doc, "namespaces");

	render_facts(f, json_object_get(doc, "controller"), facts, "");
	fputc('\n', f);
	render_table(f, namespaces, columns, "");
	if (json_array_size(namespaces) == 1) {
		fputc('\n', f);
		render_table(f, json_object_get(json_array_get(namespaces, 0), "formats"), formats, "");
	}
}

static int run_identify(struct cli *cli, const void *values)
{
	const struct identify_values *v = values;
	const struct nvme_session_opts opts = {.pages = (enum quoll_heap_pages)v->pages};
	struct quoll_nvme_ns_info ns;
	struct quoll_error err = {0};
	struct nvme_session session;
	int status, ret = 0;

	status = nvme_session_start(cli, &opts, &session);
	if (status)
		return status;
	if (v->nsid && quoll_nvme_ns_find(session.nvme, (uint32_t)v->nsid, &ns)) {
		ret = quoll_error_set(&err, ENOENT, "namespace", session.name, "namespace %" PRIu64 " does not exist",
				      v->nsid);
		quoll_error_hint(&err, "quoll nvme identify %s", session.name);
	}
	if (!ret && v->raw)
		ret = store_raw(&session, v, &err);
	status = ret ? cli_error(cli, &err) : cli_emit(cli, describe(&session, v->nsid ? &ns : NULL), identify_text);
	nvme_session_close(&session);
	return status;
}

const struct cli_verb verb_nvme_identify = {
	.name = "nvme identify",
	.args = "ADDR",
	.min_args = 1,
	.max_args = 1,
	.summary = "show what a controller and its namespaces say of themselves",
	.has_json = true,
	.options = options,
	.defaults = &defaults,
	.values_bytes = sizeof(defaults),
	.run = run_identify,
};
