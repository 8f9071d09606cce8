/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mmio_trap.h - a fake device sees each access to its registers at the moment it is made, as a real one does: what is
 * cleared by reading or by writing ones, doorbells, and how many accesses there were.
 *
 * The driver's mapping has no permission; a fault opens it for the one instruction that caused it (trap flag). x86-64
 * only, and not under valgrind. One trap and one thread at a time.
 */
#ifndef QUOLL_TESTS_MMIO_TRAP_H
#define QUOLL_TESTS_MMIO_TRAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct mmio_trap - where, and who answers
 * @va, @len: the driver's mapping
 * @memory:   the same memory, mapped for the fake
 * @before_read: put into @memory what the register at @offset reads as
 * @after_write: it has been written; @old is what stood there
 */
struct mmio_trap {
	uint8_t *va;
	size_t len;
	uint8_t *memory;
	void *arg;
	void (*before_read)(void *arg, uint32_t offset);
	void (*after_write)(void *arg, uint32_t offset, uint32_t old);

	uint64_t nr_reads;
	uint64_t nr_writes;
	/* private: the access under way */
	uint32_t offset;
	uint32_t old;
	bool is_write;
	bool stepping;
};

void mmio_trap_set(struct mmio_trap *trap);
/* The mapping may be gone by then. */
void mmio_trap_clear(void);

#endif
