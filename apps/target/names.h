/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * names.h - what a target is called that nobody has given a name: the same each time it is started, another than that
 * of every other target, and without telling which machine it is on.
 */
#ifndef QUOLL_TARGET_NAMES_H
#define QUOLL_TARGET_NAMES_H

#include "subsystem.h"

struct tgt_names {
	char nqn[TGT_NQN_BYTES];
	char serial[TGT_SERIAL_BYTES];
};

/**
 * tgt_names_make() - names of the target whose first listener has this socket
 * @machine_id: NULL for /etc/machine-id; where that can't be read, the host's name stands in
 * @path:       of the socket, which need not be there
 */
void tgt_names_make(const char *machine_id, const char *path, struct tgt_names *names);

/**
 * tgt_siphash() - SipHash-2-4 with 128 bits of output (Aumasson, Bernstein: "SipHash: a fast short-input PRF", 2012,
 * and its authors' reference code for the longer output): without the key, the sum tells nothing of it
 */
void tgt_siphash(const uint8_t key[16], const void *text, size_t len, uint8_t sum[16]);

#endif
