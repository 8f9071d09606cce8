/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * copier.h - a device that is not PCI: it copies memory, and signals when it has. In a process of its own.
 *
 * Region 0: registers, trapped. Region 1: memory, mapped; what is stored in its first word is the device's business at
 * its next copy. Interrupt 0: one vector.
 */
#ifndef QUOLL_TESTS_COPIER_H
#define QUOLL_TESTS_COPIER_H

#include <stdint.h>
#include <sys/types.h>

#define COPIER_REGISTERS 0u
#define COPIER_MEMORY 1u
#define COPIER_MEMORY_BYTES 0x2000u
#define COPIER_ID_VALUE 0x51c0b1e5u

/* Of region 0; all of 8 bytes, little-endian. */
enum copier_register {
	COPIER_ID = 0x00,     /* RO */
	COPIER_FROM = 0x08,   /* IOVA */
	COPIER_TO = 0x10,     /* IOVA */
	COPIER_LEN = 0x18,    /* bytes, 1 MiB at most */
	COPIER_START = 0x20,  /* WO; anything starts it */
	COPIER_STATUS = 0x28, /* RO; COPIER_* */
	COPIER_TIMES = 0x30,  /* RO; copies since reset, and 0x100000000 times the memory's first word */
	COPIER_REGISTER_BYTES = 0x1000,
};

enum copier_status {
	COPIER_IDLE,
	COPIER_BUSY,
	COPIER_DONE,
	COPIER_FAILED, /* it could not reach the memory */
};

/*
 * Start one that listens on path. Return: its process, when it is ready for clients; ended by a signal.
 */
pid_t copier_start(const char *path);

#endif
