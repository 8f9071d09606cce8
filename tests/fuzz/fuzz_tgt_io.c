/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_tgt_io.c - any bytes as I/O commands of the target, with PRP lists and SGLs made of them too.
 */
#include <string.h>

#include "tgt_host.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t opcodes[] = {nvme_cmd_flush,   nvme_cmd_write,	   nvme_cmd_read,
					  nvme_cmd_compare, nvme_cmd_write_zeroes, nvme_cmd_dsm};
	struct fuzz_host *host = fuzz_host(true);

	fuzz_lists(host, data, size);
	for (size_t at = 0; at + 72 <= size; at += 72) {
		struct nvme_sqe cmd;

		memcpy(&cmd, data + at + 8, sizeof(cmd));
		if (data[at] & 1)
			cmd.opcode = opcodes[cmd.opcode % sizeof(opcodes)];
		if (data[at] & 2)
			cmd.flags &= 0xc0;
		if (data[at] & 4)
			cmd.nsid = cmd.nsid % 3 + 1;
		if (data[at] & 8) {
			cmd.cdw10 &= 0x3f;
			cmd.cdw11 &= 4; /* DSM: deallocate; others: the upper half of the LBA */
			cmd.cdw12 &= 0xff;
		}
		if (data[at] & 16)
			cmd.cdw11 = 0;
		fuzz_command(host, 1, (const uint8_t *)&cmd);
	}
	return 0;
}
