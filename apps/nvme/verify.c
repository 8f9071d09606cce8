/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * verify.c - `quoll nvme verify`: writes of random size and place, then all of it read back in other sizes and compared
 * by checksum. Two writes that overlap are never in flight together, so that the last one is known.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "quoll/render.h"
#include "quoll/verbs.h"

#include "random.h"
#include "shadow.h"
#include "transfer.h"

#define MAX_LISTED 16

struct verify_values {
	uint64_t nsid;
	uint64_t lba;
	uint64_t nr_lbas;
	uint64_t nr_writes;
	uint64_t seed;
	uint64_t max_bytes;
	uint64_t qd;
	unsigned int pages;
};

static const struct verify_values defaults = {
	.nr_lbas = UINT64_MAX,
	.nr_writes = 10000,
	.seed = 1,
	.max_bytes = 256 << 10,
	.qd = 8,
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
	NVME_OPTION_PAGES(struct verify_values),
	{NULL, CLI_FLAG, 0, NULL, NULL, 0, 0},
};

struct verify {
	struct transfer t;
	struct shadow shadow;
	struct random random;
	const struct verify_values *v;
	uint64_t lba;
	uint64_t nr_lbas;
	uint64_t max_lbas;
	uint64_t nr_writes;
	uint64_t written_lbas;
	uint64_t nr_reads;
	uint64_t read_lbas;
	uint64_t nr_mismatches;
	uint64_t mismatches[MAX_LISTED];
	uint64_t started_ticks;
	uint64_t next_progress_ticks;
};

static void progress(struct verify *run, const char *what, uint64_t done, uint64_t total)
{
	uint64_t now = quoll_ticks(&run->t.clock);

	if (now < run->next_progress_ticks || !cli_progress_wanted())
		return;
	run->next_progress_ticks = now + run->t.clock.tick_hz / 4;
	cli_progress("%s %" PRIu64 " of %" PRIu64 " %s", what, done, total,
		     run->nr_reads ? "blocks of the range" : "times");
}

/* A length whose number of bits is evenly spread, so that small and large ones are met. */
static uint32_t random_lbas(struct verify *run)
{
	unsigned int bits = 64 - (unsigned int)__builtin_clzll(run->max_lbas);
	uint64_t top = 1ull << random_below(&run->random, bits);
	uint64_t nr = top + random_below(&run->random, top);

	return (uint32_t)(nr < run->max_lbas ? nr : run->max_lbas);
}

/* Look at what was read into a slot. */
static void check_slot(struct verify *run, struct transfer_slot *slot)
{
	uint32_t lba_bytes = run->t.ns.lba_bytes;

	for (uint32_t i = 0; i < slot->nr_lbas; i++) {
		if (shadow_matches(&run->shadow, slot->lba + i - run->lba, slot->va + (size_t)i * lba_bytes, lba_bytes))
			continue;
		if (run->nr_mismatches < MAX_LISTED)
			run->mismatches[run->nr_mismatches] = slot->lba + i;
		run->nr_mismatches++;
	}
	run->nr_reads++;
	run->read_lbas += slot->nr_lbas;
}

/* What is done becomes free. */
static void settle(struct verify *run)
{
	for (unsigned int i = 0; i < run->t.nr_slots; i++) {
		struct transfer_slot *slot = &run->t.slots[i];

		if (slot->state != TRANSFER_DONE)
			continue;
		if (slot->op == TRANSFER_READ)
			check_slot(run, slot);
		slot->state = TRANSFER_FREE;
	}
}

/* A free slot, waiting for one if need be. NULL: failed. */
static struct transfer_slot *free_slot(struct verify *run, struct quoll_error *err)
{
	for (;;) {
		settle(run);
		for (unsigned int i = 0; i < run->t.nr_slots; i++)
			if (run->t.slots[i].state == TRANSFER_FREE)
				return &run->t.slots[i];
		if (transfer_wait(&run->t, err))
			return NULL;
	}
}

static bool overlaps(const struct verify *run, uint64_t lba, uint32_t nr_lbas)
{
	for (unsigned int i = 0; i < run->t.nr_slots; i++) {
		const struct transfer_slot *slot = &run->t.slots[i];

		if (slot->state == TRANSFER_BUSY && lba < slot->lba + slot->nr_lbas && slot->lba < lba + nr_lbas)
			return true;
	}
	return false;
}

static int write_one(struct verify *run, struct quoll_error *err)
{
	struct transfer_slot *slot = free_slot(run, err);
	uint32_t lba_bytes = run->t.ns.lba_bytes;
	int ret = slot ? 0 : -err->errnum;

	if (ret)
		return ret;
	slot->op = TRANSFER_WRITE;
	slot->nr_lbas = random_lbas(run);
	slot->lba = run->lba + random_below(&run->random, run->nr_lbas - slot->nr_lbas + 1);
	random_fill(&run->random, slot->va, (size_t)slot->nr_lbas * lba_bytes);
	while (!ret && overlaps(run, slot->lba, slot->nr_lbas))
		ret = transfer_wait(&run->t, err);
	if (ret)
		return ret;
	for (uint32_t i = 0; i < slot->nr_lbas; i++)
		shadow_set(&run->shadow, slot->lba - run->lba + i, slot->va + (size_t)i * lba_bytes, lba_bytes);
	run->nr_writes++;
	run->written_lbas += slot->nr_lbas;
	return transfer_start(&run->t, slot, err);
}

static int write_all(struct verify *run, struct quoll_error *err)
{
	int ret = 0;

	while (!ret && run->nr_writes < run->v->nr_writes) {
		if (cli_stopped())
			return -EINTR;
		ret = write_one(run, err);
		progress(run, "wrote", run->nr_writes, run->v->nr_writes);
	}
	return ret ? ret : transfer_drain(&run->t, err);
}

static int read_all(struct verify *run, struct quoll_error *err)
{
	uint64_t block = 0, nr;
	int ret;

	while ((nr = shadow_next(&run->shadow, block, random_lbas(run), &block))) {
		struct transfer_slot *slot = free_slot(run, err);

		if (cli_stopped())
			return -EINTR;
		if (!slot)
			return -err->errnum;
		slot->op = TRANSFER_READ;
		slot->lba = run->lba + block;
		slot->nr_lbas = (uint32_t)nr;
		/* so that a device that writes nothing cannot pass with what an earlier request left here */
		memset(slot->va, 0xa5, (size_t)nr * run->t.ns.lba_bytes);
		ret = transfer_start(&run->t, slot, err);
		if (ret)
			return ret;
		block += nr;
		progress(run, "checked", block, run->nr_lbas);
	}
	ret = transfer_drain(&run->t, err);
	settle(run);
	return ret;
}

static json_t *describe(const struct verify *run, const char *device, bool complete)
{
	uint64_t ticks = quoll_ticks(&run->t.clock) - run->started_ticks;
	json_t *list = json_array();

	for (uint64_t i = 0; i < run->nr_mismatches && i < MAX_LISTED; i++)
		json_array_append_new(list, json_integer((json_int_t)run->mismatches[i]));
	return json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:b, s:I}", "device",
			 render_text(device), "nsid", (json_int_t)run->t.ns.nsid, "seed", (json_int_t)run->v->seed,
			 "lba", (json_int_t)run->lba, "nr_lbas", (json_int_t)run->nr_lbas, "writes",
			 (json_int_t)run->nr_writes, "written_bytes",
			 (json_int_t)(run->written_lbas * run->t.ns.lba_bytes), "reads", (json_int_t)run->nr_reads,
			 "read_bytes", (json_int_t)(run->read_lbas * run->t.ns.lba_bytes), "checked_lbas",
			 (json_int_t)run->read_lbas, "mismatches", (json_int_t)run->nr_mismatches, "mismatched_lbas",
			 list, "complete", complete, "elapsed_ns", (json_int_t)quoll_ticks_to_ns(&run->t.clock, ticks));
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
	fprintf(f, "%lld blocks read back in %lld reads: ", number(doc, "checked_lbas"), number(doc, "reads"));
	if (number(doc, "mismatches"))
		fprintf(f, "%lld do not hold what was written last: LBA %s%s\n", number(doc, "mismatches"),
			lbas ? lbas : "?", number(doc, "mismatches") > MAX_LISTED ? ", ..." : "");
	else
		fputs("each checksum is right\n", f);
	free(written);
	free(took);
	free(lbas);
}

/* The range and the buffers. */
static int prepare(struct verify *run, struct quoll_error *err)
{
	const struct verify_values *v = run->v;
	int ret = nvme_session_ns(run->t.session, v->nsid, &run->t.ns, err);

	if (ret)
		return ret;
	ret = nvme_check_range(run->t.session, &run->t.ns, v->lba, v->nr_lbas == UINT64_MAX ? 1 : v->nr_lbas, err);
	if (ret)
		return ret;
	run->lba = v->lba;
	run->nr_lbas = v->nr_lbas == UINT64_MAX ? run->t.ns.nr_lbas - v->lba : v->nr_lbas;
	run->max_lbas = v->max_bytes / run->t.ns.lba_bytes;
	if (run->max_lbas > run->nr_lbas)
		run->max_lbas = run->nr_lbas;
	if (!run->max_lbas)
		run->max_lbas = 1;
	run->random.state = v->seed;
	ret = shadow_open(&run->shadow, run->nr_lbas);
	if (ret)
		return quoll_error_set(err, -ret, "memory", run->t.session->name,
				       "no memory for the checksums of %" PRIu64 " blocks", run->nr_lbas);
	return transfer_open(&run->t, (unsigned int)v->qd, run->max_lbas * run->t.ns.lba_bytes, err);
}

static int run_verify(struct cli *cli, const void *values)
{
	const struct verify_values *v = values;
	const struct nvme_session_opts opts = {.pages = (enum quoll_heap_pages)v->pages};
	struct quoll_error err = {0};
	struct nvme_session session;
	struct verify run = {.t.session = &session, .v = v};
	int status, ret;

	cli_catch_signals();
	status = nvme_session_start(cli, &opts, &session);
	if (status)
		return status;
	ret = prepare(&run, &err);
	run.started_ticks = ret ? 0 : quoll_ticks(&run.t.clock);
	if (!ret)
		ret = write_all(&run, &err);
	if (!ret)
		ret = read_all(&run, &err);
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
	transfer_close(&run.t);
	shadow_close(&run.shadow);
	nvme_session_close(&session);
	return status;
}

const struct cli_verb verb_nvme_verify = {
	.name = "nvme verify",
	.args = "ADDR",
	.min_args = 1,
	.max_args = 1,
	.summary = "write random data of random size to random places, read it back, compare checksums",
	.details = "Overwrites the range. Exit status 1 if a block does not hold what was written to it last.",
	.has_json = true,
	.options = options,
	.defaults = &defaults,
	.values_bytes = sizeof(defaults),
	.run = run_verify,
};
