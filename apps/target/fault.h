/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fault.h - what is to go wrong, as a table made from text: ACTION[=VALUE][,KEY=VALUE]...
 *
 * Actions: delay=TIME (ns, us, ms, s) · drop · corrupt=cid|sqid|sqhd|phase|data · repeat[=TIMES] · status=0xNNN (SCT <<
 * 8 | SC) · csts=stuck|fatal · gone. Keys, which commands: queue=admin|io|N · op=NAME|NUMBER · nsid=N · skip=N (the
 * first that fit are spared) · every=N (of those that fit, each Nth) · count=N (at most so often).
 */
#ifndef QUOLL_TARGET_FAULT_H
#define QUOLL_TARGET_FAULT_H

#include <quoll/error.h>

#include "request.h"

enum tgt_fault_action {
	TGT_FAULT_DELAY,
	TGT_FAULT_DROP,
	TGT_FAULT_CORRUPT,
	TGT_FAULT_REPEAT,
	TGT_FAULT_STATUS,
	TGT_FAULT_CSTS,
	TGT_FAULT_GONE,
};

enum tgt_fault_corrupt {
	TGT_CORRUPT_CID,
	TGT_CORRUPT_SQID,
	TGT_CORRUPT_SQHD,
	TGT_CORRUPT_PHASE,
	TGT_CORRUPT_DATA,
};

enum tgt_fault_csts {
	TGT_CSTS_STUCK,
	TGT_CSTS_FATAL,
};

#define TGT_FAULT_ANY (-1)
#define TGT_FAULT_IO (-2)

/**
 * struct tgt_fault - one line of the table
 * @value: nanoseconds; enum tgt_fault_corrupt; how often the completion is repeated; status; enum tgt_fault_csts
 * @sqid:  or TGT_FAULT_ANY, TGT_FAULT_IO
 * @opcode: or TGT_FAULT_ANY; on the admin queue if @sqid is 0, else on I/O queues
 * @nsid:  0 for any
 * @seen, @hits: commands that fitted, and were picked
 */
struct tgt_fault {
	enum tgt_fault_action action;
	uint64_t value;
	int32_t sqid;
	int32_t opcode;
	uint32_t nsid;
	uint64_t skip;
	uint64_t every;
	uint64_t count;
	uint64_t seen;
	uint64_t hits;
};

/**
 * tgt_fault_parse() - one line from text
 * @err: -EINVAL: says which word, where it begins, and what could stand there
 */
int tgt_fault_parse(const char *text, struct tgt_fault *fault, struct quoll_error *err);

/**
 * tgt_fault_match() - count this command, and say what is to go wrong with it: the first line that picks it, or NULL
 * Thread rule: the table belongs to the controller's thread.
 */
const struct tgt_fault *tgt_fault_match(struct tgt_fault *faults, unsigned int nr, const struct tgt_req *req);

#endif
