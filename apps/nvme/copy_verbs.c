/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * copy_verbs.c - `quoll nvme read` and `quoll nvme write`: options, files, summary.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "quoll/render.h"
#include "quoll/verbs.h"

#include "copy.h"

#define ALL UINT64_MAX

struct copy_values {
	uint64_t nsid;
	uint64_t lba;
	uint64_t nr_lbas;
	const char *path;
	bool pad;
	uint64_t timeout_ms;
	unsigned int pages;
};

static const struct copy_values defaults = {.nr_lbas = ALL, .path = "-", .timeout_ms = NVME_SESSION_TIMEOUT_MS};

#define COPY_OPTIONS                                                                                                   \
	NVME_OPTION_NSID(struct copy_values),                                                                          \
		{"lba", CLI_NUMBER, offsetof(struct copy_values, lba), "N", "first block; 0 unless told otherwise",    \
		 0,	0},                                                                                            \
		NVME_OPTION_TIMEOUT(struct copy_values), CLAIMS_OPTION_PAGES(struct copy_values)

static const struct cli_option read_options[] = {
	COPY_OPTIONS,
	{"blocks", CLI_NUMBER, offsetof(struct copy_values, nr_lbas), "N",
	 "how many; all to the end of the namespace unless told", 1, 0},
	{"output", CLI_TEXT, offsetof(struct copy_values, path), "FILE",
	 "where the data goes; - (standard output) unless told otherwise", 0, 0},
	{NULL, CLI_FLAG, 0, NULL, NULL, 0, 0},
};

static const struct cli_option write_options[] = {
	COPY_OPTIONS,
	{"blocks", CLI_NUMBER, offsetof(struct copy_values, nr_lbas), "N",
	 "how many; as many as the input has unless told", 1, 0},
	{"input", CLI_TEXT, offsetof(struct copy_values, path), "FILE",
	 "where the data comes from; - (standard input) unless told otherwise", 0, 0},
	{"pad", CLI_FLAG, offsetof(struct copy_values, pad), NULL, "fill what the input lacks with zeroes", 0, 0},
	{NULL, CLI_FLAG, 0, NULL, NULL, 0, 0},
};

static json_t *describe_copy(const struct copy *c, bool writing, bool complete)
{
	uint64_t bytes = c->done_lbas * c->t.ns.lba_bytes;
	uint64_t ns = quoll_ticks_to_ns(&c->t.clock, quoll_ticks(&c->t.clock) - c->started_ticks);
	json_t *doc;
	char crc[16];

	snprintf(crc, sizeof(crc), "%08" PRIx32, c->crc);
	doc = json_pack("{s:o, s:s, s:I, s:I, s:I, s:I, s:I, s:o, s:b, s:I, s:f}", "device",
			render_text(c->t.session->name), "direction", writing ? "write" : "read", "nsid",
			(json_int_t)c->t.ns.nsid, "lba", (json_int_t)c->lba, "nr_lbas", (json_int_t)c->done_lbas,
			"lba_bytes", (json_int_t)c->t.ns.lba_bytes, "bytes", (json_int_t)bytes, "crc32",
			c->crc_known ? json_string(crc) : json_null(), "complete", complete, "elapsed_ns",
			(json_int_t)ns, "mib_per_s", ns ? (double)bytes / (1 << 20) / ((double)ns / 1e9) : 0.0);
	nvme_recovery_describe(c->t.session, doc);
	return doc;
}

static void copy_text(FILE *f, const json_t *doc)
{
	bool writing = !strcmp(render_string(doc, "direction"), "write");
	const char *crc = render_string(doc, "crc32");
	char *took = render_cell(json_object_get(doc, "elapsed_ns"), RENDER_NS);

	fprintf(f, "%s%s %lld blocks from LBA %lld on, namespace %lld: crc32 %s, %lld bytes, %s, %.1f MiB/s\n",
		json_is_true(json_object_get(doc, "complete")) ? "" : "incomplete: ", writing ? "wrote" : "read",
		(long long)json_integer_value(json_object_get(doc, "nr_lbas")),
		(long long)json_integer_value(json_object_get(doc, "lba")),
		(long long)json_integer_value(json_object_get(doc, "nsid")), crc[0] ? crc : "unknown",
		(long long)json_integer_value(json_object_get(doc, "bytes")), took ? took : "?",
		json_real_value(json_object_get(doc, "mib_per_s")));
	nvme_recovery_text(f, doc);
	free(took);
}

static int open_file(struct cli *cli, struct copy *c, const struct copy_values *v, bool writing,
		     struct quoll_error *err)
{
	c->path = v->path;
	if (strcmp(v->path, "-")) {
		c->fd = writing ? open(v->path, O_RDONLY | O_CLOEXEC)
				: open(v->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
		if (c->fd < 0)
			return quoll_error_set(err, errno, "file", v->path, "%s", strerror(errno));
		return 0;
	}
	c->fd = writing ? STDIN_FILENO : STDOUT_FILENO;
	c->path = writing ? "standard input" : "standard output";
	if (!writing) {
		cli->out = cli->err; /* the data has stdout to itself */
		if (isatty(c->fd)) {
			quoll_error_set(err, EINVAL, "file", c->path, "is a terminal, and the data is binary");
			quoll_error_hint(err, "--output FILE, or a pipe");
			return -EINVAL;
		}
	}
	return 0;
}

/* Ranges are checked before the file is opened, so that a mistake does not empty it. */
static int prepare(struct cli *cli, struct copy *c, const struct copy_values *v, bool writing, struct quoll_error *err)
{
	uint64_t slot_bytes = COPY_SLOT_BYTES;
	int ret = nvme_session_ns(c->t.session, v->nsid, &c->t.ns, err);

	if (ret)
		return ret;
	c->lba = v->lba;
	c->nr_lbas = v->nr_lbas;
	c->pad = v->pad;
	ret = nvme_check_range(c->t.session, &c->t.ns, v->lba, v->nr_lbas == ALL ? 1 : v->nr_lbas, err);
	if (ret)
		return ret;
	if (!writing && v->nr_lbas == ALL)
		c->nr_lbas = c->t.ns.nr_lbas - v->lba;
	if (c->t.ns.lba_bytes > slot_bytes)
		slot_bytes = c->t.ns.lba_bytes;
	slot_bytes -= slot_bytes % c->t.ns.lba_bytes;
	ret = transfer_open(&c->t, COPY_SLOTS, slot_bytes, err);
	if (!ret)
		ret = open_file(cli, c, v, writing, err);
	if (!ret && writing)
		ret = copy_check_input(c, err);
	return ret;
}

static int close_file(const struct copy *c, struct quoll_error *err)
{
	if (c->fd <= STDERR_FILENO)
		return 0;
	if (close(c->fd))
		return quoll_error_set(err, errno, "file", c->path, "%s", strerror(errno));
	return 0;
}

static int run_copy(struct cli *cli, const struct copy_values *v, bool writing)
{
	const struct nvme_session_opts opts = {.pages = (enum quoll_heap_pages)v->pages,
					       .timeout_ms = (unsigned int)v->timeout_ms};
	struct quoll_error err = {0};
	struct nvme_session session;
	struct copy c = {.t.session = &session, .fd = -1};
	int status, ret, closed;

	cli_catch_signals();
	status = nvme_session_start(cli, &opts, &session);
	if (status)
		return status;
	ret = prepare(cli, &c, v, writing, &err);
	if (!ret)
		ret = writing ? copy_write(&c, &err) : copy_read(&c, &err);
	cli_progress_end();
	closed = close_file(&c, ret ? NULL : &err);
	ret = ret ? ret : closed;
	if (ret == -EINTR) {
		quoll_error_set(&err, 0, "stop", session.name, "stopped by a signal");
		ret = -ECANCELED;
	}
	if (!ret || c.done_lbas)
		status = cli_emit(cli, describe_copy(&c, writing, !ret), copy_text);
	if (ret)
		status = cli_error(cli, &err);
	transfer_close(&c.t);
	nvme_session_close(&session);
	return status;
}

static int run_read(struct cli *cli, const void *values)
{
	return run_copy(cli, values, false);
}

static int run_write(struct cli *cli, const void *values)
{
	return run_copy(cli, values, true);
}

const struct cli_verb verb_nvme_read = {
	.name = "nvme read",
	.args = "ADDR",
	.min_args = 1,
	.max_args = 1,
	.summary = "copy blocks from a namespace to a file or a pipe, and print their CRC-32",
	.details = "With --output - the summary goes to standard error.",
	.has_json = true,
	.options = read_options,
	.defaults = &defaults,
	.values_bytes = sizeof(defaults),
	.run = run_read,
};

const struct cli_verb verb_nvme_write = {
	.name = "nvme write",
	.args = "ADDR",
	.min_args = 1,
	.max_args = 1,
	.summary = "copy a file or a pipe to blocks of a namespace, flush, and print their CRC-32",
	.details =
		"Overwrites without asking. Input that does not fill whole blocks, or has fewer than --blocks, is an\n"
		"error without --pad.",
	.has_json = true,
	.options = write_options,
	.defaults = &defaults,
	.values_bytes = sizeof(defaults),
	.run = run_write,
};
