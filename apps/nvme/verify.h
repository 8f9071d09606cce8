/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * verify.h - writes of random size and place, then all of it read back in other sizes and compared by checksum.
 */
#ifndef QUOLL_APPS_NVME_VERIFY_H
#define QUOLL_APPS_NVME_VERIFY_H

#include "random.h"
#include "shadow.h"
#include "transfer.h"

#define VERIFY_MAX_LISTED 16

/**
 * struct verify_job - what to do
 * @lba, @nr_lbas: the range; UINT64_MAX blocks for all to the end of the namespace
 * @max_bytes: of one write or read
 * @depth:     requests in flight
 */
struct verify_job {
	uint64_t lba;
	uint64_t nr_lbas;
	uint64_t nr_writes;
	uint64_t seed;
	uint64_t max_bytes;
	unsigned int depth;
};

/**
 * struct verify - a run and its result
 * @t:             session and ns are set by the caller
 * @job:           set by the caller; verify_open() puts a number in place of UINT64_MAX
 * @mismatches:    the first of the blocks that do not hold what was written to them last
 */
struct verify {
	struct transfer t;
	struct verify_job job;
	struct shadow shadow;
	struct random random;
	uint64_t max_lbas;
	uint64_t nr_writes;
	uint64_t written_lbas;
	uint64_t nr_reads;
	uint64_t read_lbas;
	uint64_t nr_mismatches;
	uint64_t mismatches[VERIFY_MAX_LISTED];
	uint64_t started_ticks;
	uint64_t next_progress_ticks;
};

/* Checks the range, makes buffers and table; verify_close() after success or failure. */
int verify_open(struct verify *run, struct quoll_error *err);
void verify_close(struct verify *run);

/* Return: 0, with mismatches counted; -EINTR: stopped by a signal; -errno. */
int verify_run(struct verify *run, struct quoll_error *err);

#endif
