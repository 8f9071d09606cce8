/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nvme_stats.h - what a queue of the NVMe driver counts. Comes with nvme.h.
 */
#ifndef QUOLL_NVME_STATS_H
#define QUOLL_NVME_STATS_H

#include <stdint.h>

#include <quoll/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct quoll_nvme_queue;

/**
 * struct quoll_nvme_queue_stats - counters since creation; read by the queue's thread
 * @submitted, @completed: commands (parts of split requests counted one by one)
 * @sq_doorbells, @cq_doorbells: register writes
 * @spared_doorbells: register writes that a shadow doorbell has made needless
 * @bad_cid:  completions with an identifier that is out of range or not in flight (so also repeated ones): dropped
 * @bad_sqid: completions that name another submission queue: dropped
 * @bad_sqhd: completions whose SQ head is beyond what was submitted: the head is not believed
 * @in_flight: commands the device has now
 * @timeouts: commands that were late
 * @resubmitted: commands that were sent again after a reset; not counted as submitted again
 */
struct quoll_nvme_queue_stats {
	uint64_t submitted;
	uint64_t completed;
	uint64_t sq_doorbells;
	uint64_t cq_doorbells;
	uint64_t spared_doorbells;
	uint64_t bad_cid;
	uint64_t bad_sqid;
	uint64_t bad_sqhd;
	unsigned int in_flight;
	uint64_t timeouts;
	uint64_t resubmitted;
};

QUOLL_API void quoll_nvme_queue_stats(const struct quoll_nvme_queue *queue, struct quoll_nvme_queue_stats *stats);

#ifdef __cplusplus
}
#endif
#endif
