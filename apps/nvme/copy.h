/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * copy.h - moving data between a namespace and a file, for `quoll nvme read` and `quoll nvme write`.
 */
#ifndef QUOLL_APPS_NVME_COPY_H
#define QUOLL_APPS_NVME_COPY_H

#include "transfer.h"

#define COPY_SLOTS 8
#define COPY_SLOT_BYTES (256u << 10) /* 2 MiB in all: well inside an unprivileged user's 8 MiB of locked memory */

/**
 * struct copy - one run
 * @t:       session and ns set, then transfer_open()
 * @fd:      the file
 * @path:    its name for messages
 * @lba:     first block
 * @nr_lbas: how many; for writing to the end of the input UINT64_MAX
 * @pad:     writing: fill the last block, and what is missing of @nr_lbas, with zeroes
 * @done_lbas: result: blocks moved, in order from @lba
 * @crc:     result: CRC-32 of them
 * @crc_known: result: false if a write failed after more had been taken from the input
 */
struct copy {
	struct transfer t;
	int fd;
	const char *path;
	uint64_t lba;
	uint64_t nr_lbas;
	bool pad;
	uint64_t done_lbas;
	uint32_t crc;
	bool crc_known;
	bool is_file; /* rather than a pipe, whose other end may keep us waiting */
	uint64_t started_ticks;
	uint64_t next_progress_ticks;
};

/* Return: 0; -EINTR: stopped by a signal; -errno with @err filled in. */
int copy_read(struct copy *c, struct quoll_error *err);
int copy_write(struct copy *c, struct quoll_error *err);

/* Refuse input whose size can be known to be wrong, before anything is written. */
int copy_check_input(const struct copy *c, struct quoll_error *err);

#endif
