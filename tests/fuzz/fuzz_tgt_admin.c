/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_tgt_admin.c - any bytes as admin commands of the target, and doorbells of the queues that they make.
 */
#include <string.h>

#include "tgt_host.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* More often than by chance one that there is. */
	static const uint8_t opcodes[] = {0, 1, 2, 4, 5, 6, 8, 9, 0xa, 0xc, 0x7c};
	struct fuzz_host *host = fuzz_host(false);

	fuzz_lists(host, data, size);
	for (size_t at = 0; at + 72 <= size; at += 72) {
		uint8_t entry[64];
		uint32_t doorbell;

		memcpy(entry, data + at + 8, sizeof(entry));
		if (data[at] & 1)
			entry[0] = opcodes[entry[0] % sizeof(opcodes)];
		if (data[at] & 2)
			entry[1] = 0;
		if (data[at] & 4)
			memset(entry + 42, 0, 2); /* short logs, small queues */
		fuzz_command(host, 0, entry);
		memcpy(&doorbell, data + at + 4, sizeof(doorbell));
		if (data[at + 1] > 1)
			tgt_mq_doorbell(host->mq, data[at + 1], data[at] & 8 ? doorbell : doorbell & 63);
	}
	return 0;
}
