/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mq_internal.h - the queues themselves, for those that run them (mq.c) and make them (mq_admin.c).
 */
#ifndef QUOLL_TARGET_MQ_INTERNAL_H
#define QUOLL_TARGET_MQ_INTERNAL_H

#include "controller_internal.h"
#include "mq.h"

/**
 * struct tgt_cq - a completion queue
 * @ring:    mapped, or NULL: written by messages
 * @head:    what the host has said it has read up to
 * @waiting: completions for which there is no room
 * @nr_sqs:  that complete to it
 * @event_tail: what @tail was when the event index was moved along
 */
struct tgt_cq {
	struct nvme_cqe *ring;
	const quoll_le32 *head_db;
	uint32_t entries;
	uint32_t head;
	uint32_t tail;
	uint32_t event_tail;
	uint16_t id;
	uint16_t vector;
	uint8_t phase;
	bool interrupts;
	bool bad_head; /* reported */
	struct tgt_fifo waiting;
	uint64_t iova;
	unsigned int nr_sqs;
};

enum tgt_fetch {
	TGT_FETCH_ALL, /* TGT_MAX_BATCH at the most */
	TGT_FETCH_ONE,
	TGT_FETCH_NONE,
};

/**
 * struct tgt_msq - a submission queue
 * @ring:   mapped, or NULL: read by messages
 * @fetch:  how many entries in one poll; none: at this generation of the host's memory the ring could not be read
 * @event_head: what @head was when the event index was moved along
 * @deletion: the command that deletes it and waits for its last request
 */
struct tgt_msq {
	struct tgt_sq base; /* first */
	const uint8_t *ring;
	const quoll_le32 *tail_db;
	struct tgt_cq *cq;
	uint32_t entries;
	uint32_t head;
	uint32_t event_head;
	bool bad_tail; /* reported */
	enum tgt_fetch fetch;
	uint64_t iova;
	struct tgt_req *deletion;
};

struct tgt_mq {
	struct tgt_ctrl *ctrl;
	struct tgt_guest *guest;
	uint32_t generation; /* of the guest's memory that the pointers fit */
	bool enabled;
	bool held;    /* nothing is fetched */
	bool hold;    /* until tgt_mq_hold() says otherwise */
	bool answers; /* enabled, and the host's memory is in reach */
	unsigned int nr_active;
	struct tgt_msq *active[TGT_NR_QUEUES];
	unsigned int nr_waiting;    /* in all completion queues */
	unsigned int nr_deleting;   /* submission queues */
	unsigned int nr_completing; /* batches, one within another */
	quoll_le32 *doorbells;
	quoll_le32 *shadow; /* Doorbell Buffer Config, or NULL */
	quoll_le32 *events;
	uint64_t shadow_iova;
	uint64_t events_iova;
	bool has_shadow;
	uint32_t page_bytes;
	uint8_t iosqes;
	uint8_t iocqes;
	const struct tgt_mq_ops *ops;
	void *arg;
	struct tgt_msq *sqs[TGT_NR_QUEUES];
	struct tgt_cq *cqs[TGT_NR_QUEUES];
	quoll_le32 own_doorbells[TGT_NR_DOORBELLS];
};

/* mq_admin.c */
uint16_t tgt_mq_admin_command(void *arg, struct tgt_req *req);

/* mq.c: queues whose place was checked; NULL: out of memory. */
struct tgt_cq *tgt_mq_add_cq(struct tgt_mq *mq, uint16_t id, uint64_t iova, uint32_t entries);
struct tgt_msq *tgt_mq_add_sq(struct tgt_mq *mq, struct tgt_cq *cq, uint16_t id, uint64_t iova, uint32_t entries);
void tgt_mq_free_sq(struct tgt_mq *mq, struct tgt_msq *sq);
void tgt_mq_free_cq(struct tgt_mq *mq, struct tgt_cq *cq);
/* No more entries are fetched; completions that wait for room are dropped. */
void tgt_mq_retire_sq(struct tgt_mq *mq, struct tgt_msq *sq);

#endif
