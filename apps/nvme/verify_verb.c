/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * verify_verb.c - `quoll nvme verify`: options, summary.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "quoll/render.h"
#include "quoll/verbs.h"

#include "verify.h"

struct verify_values {
	uint64_t nsid;
	uint64_t lba;
	uint64_t nr_lbas;
	uint64_t nr_writes;
	uint64_t seed;
	uint64_t max_bytes;
	uint64_t qd;
	uint64_t timeout_ms;
	unsigned int pages;
	unsigned int buffers;
};

static const struct verify_values defaults = {
	.nr_lbas = UINT64_MAX,
	.nr_writes = 10000,
	.seed = 1,
	.max_bytes = 256 << 10,
	.qd = 8,
	.timeout_ms = NVME_SESSION_TIMEOUT_MS,
};

static const struct cli_option options[] = {
	NVME_OPTION_NSID(struct verify_values),
	{"lba", CLI_NUMBER, offsetof(struct verify_values, lba), "N",
	 "first block of the range; 0 unless told otherwise", 0, 0},
	{"blocks", CLI_NUMBER, offsetof(struct verify_values, nr_lbas), "N",
	 "blocks of the range; all to the end of the namespace unless told", 1, 0},
	{"writes", CLI_NUMBER, offsetof(struct verify_values, nr_writes), "N", "how many; 10000 unless told otherwise",
	 1, 1u << 30},
	{"seed", CLI_NUMBER, offsetof(struct verify_values, seed), "N",
	 "the same seed makes the same writes; 1 unless told otherwise", 0, 0},
	{"max-bytes", CLI_SIZE, offsetof(struct verify_values, max_bytes), "SIZE",
	 "of one write or read; 256k unless told otherwise; small ones are as frequent as large", 512, 64 << 20},
	{"qd", CLI_NUMBER, offsetof(struct verify_values, qd), "N", "requests in flight; 8 unless told otherwise", 1,
	 64},
	BUFFERS_OPTION(struct verify_values),
	NVME_OPTION_TIMEOUT(struct verify_values),
	CLAIMS_OPTION_PAGES(struct verify_values),
	{NULL, CLI_FLAG, 0, NULL, NULL, 0, 0},
};

static json_t *describe(const struct verify *run, const char *device, bool complete)
{
	uint64_t ticks = quoll_ticks(&run->t.clock) - run->started_ticks;
	json_t *list = json_array(), *doc;

	for (uint64_t i = 0; i < run->nr_mismatches && i < VERIFY_MAX_LISTED; i++)
		json_array_append_new(list, json_integer((json_int_t)run->mismatches[i]));
	doc = json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:b, s:I}", "device",
			render_text(device), "nsid", (json_int_t)run->t.ns.nsid, "seed", (json_int_t)run->job.seed,
			"lba", (json_int_t)run->job.lba, "nr_lbas", (json_int_t)run->job.nr_lbas, "writes",
			(json_int_t)run->nr_writes, "written_bytes",
			(json_int_t)(run->written_lbas * run->t.ns.lba_bytes), "reads", (json_int_t)run->nr_reads,
			"read_bytes", (json_int_t)(run->read_lbas * run->t.ns.lba_bytes), "checked_lbas",
			(json_int_t)run->read_lbas, "mismatches", (json_int_t)run->nr_mismatches, "mismatched_lbas",
			list, "complete", complete, "elapsed_ns", (json_int_t)quoll_ticks_to_ns(&run->t.clock, ticks));
	nvme_buffers_describe(&run->t.buffers, doc);
	nvme_recovery_describe(run->t.session, doc);
	return doc;
}

static long long number(const json_t *doc, const char *key)
{
	return (long long)json_integer_value(json_object_get(doc, key));
}

static void verify_text(FILE *f, const json_t *doc)
{
	char *written = render_cell(json_object_get(doc, "written_bytes"), RENDER_BYTES);
	char *took = render_cell(json_object_get(doc, "elapsed_ns"), RENDER_NS);
	char *lbas = render_cell(json_object_get(doc, "mismatched_lbas"), RENDER_PLAIN);

	fprintf(f, "%s%lld writes (%s) of random size and place in namespace %lld, seed %lld, %s\n",
		json_is_true(json_object_get(doc, "complete")) ? "" : "incomplete: ", number(doc, "writes"),
		written ? written : "?", number(doc, "nsid"), number(doc, "seed"), took ? took : "?");
	if (number(doc, "reads"))
		fprintf(f, "%lld blocks read back in %lld reads: ", number(doc, "checked_lbas"), number(doc, "reads"));
	if (number(doc, "mismatches"))
		fprintf(f, "%lld do not hold what was written last: LBA %s%s\n", number(doc, "mismatches"),
			lbas ? lbas : "?", number(doc, "mismatches") > VERIFY_MAX_LISTED ? ", ..." : "");
	else if (number(doc, "reads"))
		fputs("each checksum is right\n", f);
	nvme_recovery_text(f, doc);
	free(written);
	free(took);
	free(lbas);
}

static int run_verify(struct cli *cli, const void *values)
{
	const struct verify_values *v = values;
	const struct nvme_session_opts opts = {.pages = (enum quoll_heap_pages)v->pages,
					       .timeout_ms = (unsigned int)v->timeout_ms};
	const struct verify_job job = {.lba = v->lba,
				       .nr_lbas = v->nr_lbas,
				       .nr_writes = v->nr_writes,
				       .seed = v->seed,
				       .max_bytes = v->max_bytes,
				       .depth = (unsigned int)v->qd};
	struct quoll_error err = {0};
	struct nvme_session session;
	struct verify run = {.t.session = &session, .t.where = (enum buffers_where)v->buffers, .job = job};
	int status, ret;

	cli_catch_signals();
	status = nvme_session_start(cli, &opts, &session);
	if (status)
		return status;
	ret = nvme_session_ns(&session, v->nsid, &run.t.ns, &err);
	if (!ret)
		ret = verify_open(&run, &err);
	if (!ret)
		ret = verify_run(&run, &err);
	cli_progress_end();
	if (ret == -EINTR)
		quoll_error_set(&err, 0, "stop", session.name, "stopped by a signal");
	if (!ret || run.nr_writes)
		status = cli_emit(cli, describe(&run, session.name, !ret), verify_text);
	if (!ret && run.nr_mismatches) {
		ret = quoll_error_set(&err, EILSEQ, "verify", session.name,
				      "%" PRIu64 " blocks do not hold what was written", run.nr_mismatches);
		quoll_error_hint(&err, "--seed %" PRIu64 " makes the same writes again", v->seed);
	}
	if (ret)
		status = cli_error(cli, &err);
	verify_close(&run);
	nvme_session_close(&session);
	return status;
}

const struct cli_verb verb_nvme_verify = {
	.name = "nvme verify",
	.args = "ADDR",
	.min_args = 1,
	.max_args = 1,
	.summary = "write random data of random size to random places, read it back, compare checksums",
	.details = BUFFERS_DETAILS
	"Overwrites the range. Exit status 1 if a block does not hold what was written to it last.",
	.has_json = true,
	.options = options,
	.defaults = &defaults,
	.values_bytes = sizeof(defaults),
	.run = run_verify,
};
