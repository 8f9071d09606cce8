/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * verify.c - the work of `quoll nvme verify`. Two writes that overlap are never in flight together, so that the last
 * one is known.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "verify.h"

int verify_open(struct verify *run, struct quoll_error *err)
{
	struct verify_job *job = &run->job;
	const struct quoll_nvme_ns_info *ns = &run->t.ns;
	bool to_end = job->nr_lbas == UINT64_MAX;
	int ret = nvme_check_range(run->t.session, ns, job->lba, to_end ? 1 : job->nr_lbas, err);

	if (ret)
		return ret;
	if (to_end)
		job->nr_lbas = ns->nr_lbas - job->lba;
	run->max_lbas = job->max_bytes / ns->lba_bytes;
	if (run->max_lbas > job->nr_lbas)
		run->max_lbas = job->nr_lbas;
	if (!run->max_lbas)
		run->max_lbas = 1;
	run->random.state = job->seed;
	ret = shadow_open(&run->shadow, job->nr_lbas);
	if (ret)
		return quoll_error_set(err, -ret, "memory", run->t.session->name,
				       "no memory for the checksums of %" PRIu64 " blocks", job->nr_lbas);
	return transfer_open(&run->t, job->depth, run->max_lbas * ns->lba_bytes, err);
}

void verify_close(struct verify *run)
{
	transfer_close(&run->t);
	shadow_close(&run->shadow);
}

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
		if (shadow_matches(&run->shadow, slot->lba + i - run->job.lba, slot->va + (size_t)i * lba_bytes,
				   lba_bytes))
			continue;
		if (run->nr_mismatches < VERIFY_MAX_LISTED)
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
	slot->lba = run->job.lba + random_below(&run->random, run->job.nr_lbas - slot->nr_lbas + 1);
	random_fill(&run->random, slot->va, (size_t)slot->nr_lbas * lba_bytes);
	while (!ret && overlaps(run, slot->lba, slot->nr_lbas))
		ret = transfer_wait(&run->t, err);
	if (ret)
		return ret;
	for (uint32_t i = 0; i < slot->nr_lbas; i++)
		shadow_set(&run->shadow, slot->lba - run->job.lba + i, slot->va + (size_t)i * lba_bytes, lba_bytes);
	run->nr_writes++;
	run->written_lbas += slot->nr_lbas;
	return transfer_start(&run->t, slot, err);
}

static int write_all(struct verify *run, struct quoll_error *err)
{
	int ret = 0;

	while (!ret && run->nr_writes < run->job.nr_writes) {
		if (cli_stopped())
			return -EINTR;
		ret = write_one(run, err);
		progress(run, "wrote", run->nr_writes, run->job.nr_writes);
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
		slot->lba = run->job.lba + block;
		slot->nr_lbas = (uint32_t)nr;
		/* so that a device that writes nothing cannot pass with what an earlier request left here */
		memset(slot->va, 0xa5, (size_t)nr * run->t.ns.lba_bytes);
		ret = transfer_start(&run->t, slot, err);
		if (ret)
			return ret;
		block += nr;
		progress(run, "checked", block, run->job.nr_lbas);
	}
	ret = transfer_drain(&run->t, err);
	settle(run);
	return ret;
}

int verify_run(struct verify *run, struct quoll_error *err)
{
	int ret;

	run->started_ticks = quoll_ticks(&run->t.clock);
	ret = write_all(run, err);
	return ret ? ret : read_all(run, err);
}
