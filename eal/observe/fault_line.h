/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fault_line.h - from the text of a line of the kernel's log to a fault. Knows nothing of where the lines come from.
 */
#ifndef QUOLL_OBSERVE_FAULT_LINE_H
#define QUOLL_OBSERVE_FAULT_LINE_H

#include <quoll/fault.h>

/**
 * struct fault_lines - what is remembered from line to line: SMMUv3 uses several for one event
 * @who:   the SMMU that speaks, "arm-smmu-v3 arm-smmu-v3.0.auto"; empty: no event is begun
 * @nr:    raw words seen so far; 4: the event is complete, and waits for a line that names its device
 */
struct fault_lines {
	char who[64];
	unsigned int nr;
	uint64_t raw[4];
	uint64_t log_us;
	uint64_t mark;
};

enum fault_line {
	FAULT_LINE_NONE,
	FAULT_LINE_FAULT,
	FAULT_LINE_EARLIER, /* a fault of the lines before: hand in this line once more */
};

/**
 * fault_line() - one more line
 * @text:  without the log's prefix and line break, terminated; control characters as \xNN
 * @log_us, @mark: go into the fault
 * @fault: filled in unless FAULT_LINE_NONE is returned
 */
enum fault_line fault_line(struct fault_lines *lines, const char *text, uint64_t log_us, uint64_t mark,
			   struct quoll_fault *fault);

/**
 * fault_lines_end() - no more lines for now
 * Return: whether @fault was filled in with an event that was waiting.
 */
bool fault_lines_end(struct fault_lines *lines, struct quoll_fault *fault);

#endif
