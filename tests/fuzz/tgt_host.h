/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tgt_host.h - a controller of the target with a host that says what the fuzzer wants. Memory is 1 MiB from address 0
 * on, so that small numbers are addresses.
 */
#ifndef QUOLL_TESTS_FUZZ_TGT_HOST_H
#define QUOLL_TESTS_FUZZ_TGT_HOST_H

#include <stddef.h>

#include "target/mq_internal.h"

#define FUZZ_MEMORY_BYTES (1u << 20)
#define FUZZ_QUEUE_ENTRIES 64u
/* Where lists are made of the input. */
#define FUZZ_LISTS 0x20000u

struct fuzz_host {
	struct tgt_guest guest;
	struct tgt_subsys *subsys;
	struct tgt_mq *mq;
	uint32_t tail[2];
	uint8_t *memory;
};

/* A controller that was just enabled, with I/O queue pair 1 if @io. The same one each time. */
struct fuzz_host *fuzz_host(bool io);

/* Make lists of the input: addresses near the memory, the top byte (an SGL's type) as it is. */
void fuzz_lists(struct fuzz_host *host, const uint8_t *data, size_t size);

/* One command, pointers brought near the memory. Aborts the program if it isn't answered, or more than once. */
void fuzz_command(struct fuzz_host *host, unsigned int queue, const uint8_t entry[64]);

#endif
