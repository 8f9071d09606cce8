/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mmio_trap.c - see mmio_trap.h.
 *
 * Both signals are raised by the access itself, never in the middle of anything else, so what the handlers call need
 * not be async-signal-safe.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "mmio_trap.h"

#define TRAP_FLAG 0x100
#define FAULT_IS_WRITE 2

static struct mmio_trap *current;
static struct sigaction old_segv;
static struct sigaction old_trap;

static void on_fault(int signo, siginfo_t *info, void *context)
{
	greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
	struct mmio_trap *trap = current;
	uintptr_t at = (uintptr_t)info->si_addr;

	(void)signo;
	if (!trap || trap->stepping || at - (uintptr_t)trap->va >= trap->len) {
		/* Not ours: it happens again, and goes where it would have gone. */
		sigaction(SIGSEGV, &old_segv, NULL);
		return;
	}
	trap->offset = (uint32_t)(at - (uintptr_t)trap->va) & ~3u;
	trap->is_write = regs[REG_ERR] & FAULT_IS_WRITE;
	trap->stepping = true;
	if (trap->is_write)
		memcpy(&trap->old, trap->memory + trap->offset, sizeof(trap->old));
	else
		trap->before_read(trap->arg, trap->offset);
	if (mprotect(trap->va, trap->len, PROT_READ | PROT_WRITE))
		abort();
	regs[REG_EFL] |= TRAP_FLAG;
}

static void on_step(int signo, siginfo_t *info, void *context)
{
	greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
	struct mmio_trap *trap = current;

	(void)signo;
	(void)info;
	regs[REG_EFL] &= ~TRAP_FLAG;
	if (!trap || !trap->stepping)
		return;
	trap->stepping = false;
	if (mprotect(trap->va, trap->len, PROT_NONE))
		abort();
	if (trap->is_write) {
		trap->nr_writes++;
		trap->after_write(trap->arg, trap->offset, trap->old);
	} else {
		trap->nr_reads++;
	}
}

void mmio_trap_set(struct mmio_trap *trap)
{
	struct sigaction fault = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
	struct sigaction step = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO};

	if (current || mprotect(trap->va, trap->len, PROT_NONE))
		abort();
	current = trap;
	if (sigaction(SIGSEGV, &fault, &old_segv) || sigaction(SIGTRAP, &step, &old_trap))
		abort();
}

void mmio_trap_clear(void)
{
	if (!current)
		return;
	current = NULL;
	sigaction(SIGSEGV, &old_segv, NULL);
	sigaction(SIGTRAP, &old_trap, NULL);
}
