/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mq.h - queues in the host's memory (Base 2.0, 3.3; PCIe Transport 1.0): entries are fetched from submission queues,
 * completions are written to completion queues. The controller's logic is behind it, registers and interrupts before
 * it.
 *
 * Doorbells are a table of 32-bit values, SQ tail of queue y at 2y and CQ head at 2y + 1, that may lie in memory shared
 * with the host, or be filled by tgt_mq_doorbell(). Nothing that the host writes there or in its queues is believed.
 *
 * Thread rule: one thread, as the controller.
 */
#ifndef QUOLL_TARGET_MQ_H
#define QUOLL_TARGET_MQ_H

#include "controller.h"

#define TGT_MAX_ENTRIES 4096u
#define TGT_NR_QUEUES (TGT_MAX_IO_QUEUES + 1)
#define TGT_NR_DOORBELLS (2 * TGT_NR_QUEUES)

struct tgt_mq;

/**
 * struct tgt_mq_ops - what is before the queues
 * @interrupt: completions were written to a queue with this vector
 * @fault:     an injected fault: CSTS stuck or fatal, or the device is to go
 */
struct tgt_mq_ops {
	void (*interrupt)(void *arg, uint16_t vector);
	void (*fault)(void *arg, const struct tgt_fault *fault);
};

/**
 * struct tgt_mq_opts - a controller over queues in memory
 * @guest:      the host's memory
 * @nr_vectors: 1 to TGT_MAX_VECTORS
 * @vid, @ssvid: see struct tgt_transport
 */
struct tgt_mq_opts {
	const struct tgt_mq_ops *ops;
	void *arg;
	struct tgt_guest *guest;
	uint16_t nr_vectors;
	uint16_t vid;
	uint16_t ssvid;
};

/**
 * struct tgt_mq_admin - what the host has put into the registers before it enables the controller
 * @page_shift: CC.MPS + 12
 * @sq_entries, @cq_entries: from AQA, 1-based
 */
struct tgt_mq_admin {
	uint64_t asq;
	uint64_t acq;
	uint16_t sq_entries;
	uint16_t cq_entries;
	uint8_t page_shift;
};

/**
 * tgt_mq_create() - a controller of the subsystem, disabled
 * @err: as tgt_ctrl_create()
 */
int tgt_mq_create(struct tgt_subsys *subsys, const struct tgt_mq_opts *opts, struct tgt_mq **mq,
		  struct quoll_error *err);

/**
 * tgt_mq_destroy() - it must be disabled and idle
 */
void tgt_mq_destroy(struct tgt_mq *mq);

struct tgt_ctrl *tgt_mq_ctrl(struct tgt_mq *mq);

/**
 * tgt_mq_doorbells() - the host's doorbells are in memory that is shared with it; before, tgt_mq_doorbell() brings them
 * @table: TGT_NR_DOORBELLS values, as long as the controller or until there is another. The controller is disabled
 */
void tgt_mq_doorbells(struct tgt_mq *mq, quoll_le32 *table);

/**
 * tgt_mq_enable() - CC.EN was set; the admin queues work from now on
 * Return: 0; -EINVAL: sizes, alignment; -EFAULT: the queues are not in the host's memory; -EBUSY: not idle yet.
 */
int tgt_mq_enable(struct tgt_mq *mq, const struct tgt_mq_admin *admin);

/**
 * tgt_mq_entry_sizes() - CC.IOSQES and CC.IOCQES, at any time: what I/O queues that are made from now on must have
 */
void tgt_mq_entry_sizes(struct tgt_mq *mq, uint8_t iosqes, uint8_t iocqes);

/**
 * tgt_mq_disable() - CC.EN was cleared, or the host is gone: nothing is fetched or answered any more
 * CSTS.RDY may go to 0 when tgt_mq_idle(); keep polling until then. Not from within a callback.
 */
void tgt_mq_disable(struct tgt_mq *mq);
bool tgt_mq_idle(const struct tgt_mq *mq);

/**
 * tgt_mq_remap() - pointers into the host's memory anew: before what it takes back is unmapped
 */
void tgt_mq_remap(struct tgt_mq *mq);

/**
 * enum tgt_mq_hold - how far queues work
 * @TGT_MQ_RUN:     they do
 * @TGT_MQ_ANSWER:  nothing more is fetched; what was fetched ends, and is answered
 * @TGT_MQ_CUT_OFF: the host's memory is out of reach: nothing is fetched, completions wait, and data that would go by
 *                  messages is lost (status Data Transfer Error). What back ends move by themselves goes on, see
 *                  tgt_ctrl_moving()
 */
enum tgt_mq_hold {
	TGT_MQ_RUN,
	TGT_MQ_ANSWER,
	TGT_MQ_CUT_OFF,
};

void tgt_mq_hold(struct tgt_mq *mq, enum tgt_mq_hold hold);

/**
 * enum tgt_mq_pace - how much is done in one poll
 * @TGT_MQ_FULL: what there is
 * @TGT_MQ_ONE:  one command a queue, for the host's memory is reached by messages, which take time
 * @TGT_MQ_STOP: no further queue is looked at: enough time was spent
 */
enum tgt_mq_pace {
	TGT_MQ_FULL,
	TGT_MQ_ONE,
	TGT_MQ_STOP,
};

/**
 * tgt_mq_pace() - from now on, also in the middle of a poll
 * After a stop the next poll begins with another queue, so that each has its turn.
 */
void tgt_mq_pace(struct tgt_mq *mq, enum tgt_mq_pace pace);

/**
 * tgt_mq_poll() - fetch, run, complete; a batch of each queue at most
 * Return: how much was done.
 */
unsigned int tgt_mq_poll(struct tgt_mq *mq);

/**
 * tgt_mq_doorbell() - the host wrote a doorbell that isn't mapped
 * A queue that isn't there and a value beyond the queue are events (Base 2.0, Figure 147), and change nothing.
 */
void tgt_mq_doorbell(struct tgt_mq *mq, unsigned int index, uint32_t value);

/**
 * tgt_mq_arm() - we are about to sleep: hosts with shadow doorbells shall write the real one next time
 * Return: 1: there is work already; 0. tgt_mq_disarm(): awake, they need not, for as long as polls go on.
 */
int tgt_mq_arm(struct tgt_mq *mq);
void tgt_mq_disarm(struct tgt_mq *mq);

/* Whether the host's doorbells of I/O queues are in its memory, so that it need not write those of the device. */
bool tgt_mq_has_shadow(const struct tgt_mq *mq);

/* I/O submission and completion queues that the host has made. */
unsigned int tgt_mq_nr_sqs(const struct tgt_mq *mq);
unsigned int tgt_mq_nr_cqs(const struct tgt_mq *mq);

#endif
