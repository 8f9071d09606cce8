/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * transfer.h - a few buffers and a queue, for verbs that move data (read, write, verify). Not for measuring. Requests
 * survive a reset of the controller, and one that was aborted or was late is tried again.
 *
 * A slot is a buffer and the request it is used for. It is FREE, then BUSY until the device is through with it, then
 * DONE until the verb has looked at it.
 */
#ifndef QUOLL_APPS_NVME_TRANSFER_H
#define QUOLL_APPS_NVME_TRANSFER_H

#include <quoll/clock.h>

#include "buffers.h"

enum transfer_state {
	TRANSFER_FREE,
	TRANSFER_BUSY,
	TRANSFER_DONE,
};

enum transfer_op {
	TRANSFER_READ,
	TRANSFER_WRITE,
	TRANSFER_FLUSH,
};

struct transfer_slot {
	uint8_t *va;
	uint64_t lba;
	uint32_t nr_lbas;
	enum transfer_op op;
	enum transfer_state state;
	bool failed;
	bool unsent; /* BUSY, but the queue had no room or the controller is being reset */
	unsigned int nr_tries;
};

/* So often a request is sent that comes back aborted or late. */
#define TRANSFER_MAX_TRIES 3

/**
 * struct transfer - a queue and its slots
 * @where: its buffers are; the heap unless told otherwise
 * @stall_ms: without any completion for so long a device is given up; 0 for nvme_session_stall_ms()
 */
struct transfer {
	const struct nvme_session *session;
	struct quoll_nvme_ns_info ns;
	struct quoll_nvme_queue *queue;
	enum buffers_where where;
	struct nvme_buffers buffers;
	struct quoll_clock clock;
	unsigned int nr_slots;
	unsigned int nr_busy;
	unsigned int stall_ms;
	uint64_t slot_bytes;
	struct transfer_slot *slots;
};

/**
 * transfer_open() - a queue and @nr_slots buffers of @slot_bytes
 * @t: session, ns and where are set by the caller, the rest is filled in; transfer_close() after success or failure
 */
int transfer_open(struct transfer *t, unsigned int nr_slots, uint64_t slot_bytes, struct quoll_error *err);
void transfer_close(struct transfer *t);

/**
 * transfer_start() - have the device do @slot->op on @slot->lba and nr_lbas; the slot becomes BUSY
 */
int transfer_start(struct transfer *t, struct transfer_slot *slot, struct quoll_error *err);

/**
 * transfer_wait() - until at least one BUSY slot becomes DONE, or there is none
 * Return: 0; -EIO: a request failed (the NVMe status is named); -ENODEV: device gone; -ETIMEDOUT: no answer.
 */
int transfer_wait(struct transfer *t, struct quoll_error *err);

/**
 * transfer_drain() - until no slot is BUSY
 */
int transfer_drain(struct transfer *t, struct quoll_error *err);

/* Whether a request was ended by an abort, a time-out or a reset; else see transfer_failed(). */
bool transfer_is_recovered(const struct quoll_nvme_completion *comp);

/* The error for a failed completion; @what: "read of 8 blocks at LBA 0". Return: -errno. */
int transfer_failed(const struct nvme_session *s, const struct quoll_nvme_completion *comp, const char *what,
		    struct quoll_error *err);
int transfer_stalled(const struct nvme_session *s, unsigned int nr_busy, unsigned int ms, struct quoll_error *err);

#endif
