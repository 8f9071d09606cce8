/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fake_nvme.h - an NVMe controller in the test's own process, behind a fake back-end: BAR 0 is a memfd, DMA goes
 * through what the driver's heap has mapped, with its permissions. It keeps to the specification strictly, and breaks
 * it only where a knob or a hook says so.
 *
 * It moves only in fake_nvme_step(): the test calls that between prep and poll; fake_nvme_pump_start() has a thread
 * call it while the driver blocks (open, close, admin commands).
 */
#ifndef QUOLL_TESTS_FAKE_NVME_H
#define QUOLL_TESTS_FAKE_NVME_H

#include <pthread.h>
#include <stdbool.h>

#include <nvme/types.h>

#include "nvme/nvme_wire.h"

#include "../fake_pci.h"

#define FAKE_MAX_NS 8
#define FAKE_MAX_QUEUES 9 /* the admin queue is 0 */
#define FAKE_MAX_HELD 256

struct fake_ns {
	uint32_t nsid;
	uint64_t nr_lbas;
	unsigned int lba_shift;
	uint16_t noiob;
	uint8_t *disk;
};

struct fake_cq {
	bool live;
	quoll_iova_t iova;
	uint32_t entries;
	uint32_t tail;
	unsigned int phase;
	bool interrupts;
	uint16_t vector;
};

struct fake_sq {
	bool live;
	quoll_iova_t iova;
	uint32_t entries;
	uint32_t head;
	uint16_t cqid;
};

/* What becomes of an Abort for a command that is held. */
enum fake_abort {
	FAKE_ABORT_FIRST,   /* the command's completion, then the Abort's */
	FAKE_ABORT_AFTER,   /* the other way round */
	FAKE_ABORT_LATE,    /* the Abort's says that it is done; the command's comes with fake_nvme_release() */
	FAKE_ABORT_REFUSED, /* not aborted */
	FAKE_ABORT_MUTE,    /* not answered */
};

/* A command that was fetched and is not completed for now. */
struct fake_held {
	uint16_t qid;
	union nvme_sq_slot sqe;
	uint16_t status; /* that it will be completed with */
};

struct fake_nvme {
	struct fake_pci pci;

	/* Knobs, set before the driver opens it or between steps. */
	uint64_t cap;
	uint32_t version;
	uint32_t crto;
	bool never_ready;
	bool never_disabled; /* CSTS.RDY stays 1 */
	bool fatal_on_enable;
	bool never_shut_down;
	bool mute_admin;     /* admin commands are fetched and not answered */
	uint8_t mute_opcode; /* the same for these only: a reset goes on without its leave; 0: none */
	bool refuses;	     /* admin commands of @refused_opcode fail */
	uint8_t refused_opcode;
	bool mute_io; /* I/O commands are not even fetched */
	bool hold_io; /* I/O commands are held */
	enum fake_abort abort;
	bool naps; /* with shadow doorbells: sleeps when there is nothing to do, until a register is written */
	bool lies; /* writes @lie into each event index in each step; with @naps too */
	uint16_t lie;
	bool shuffle;		/* complete in random order */
	uint16_t queues_less_1; /* both halves of the answer to Set Features (Number of Queues) */
	struct nvme_id_ctrl id;
	unsigned int nr_ns;
	struct fake_ns ns[FAKE_MAX_NS];

	/* Hooks; NULL for none. */
	void *arg;
	/* Change identify data on its way out. Return: status. */
	uint16_t (*on_identify)(struct fake_nvme *fake, uint8_t cns, uint32_t nsid, void *page);
	/* Before a command is carried out. Return: 0, or a status to fail it with (DNR is bit 14). */
	uint16_t (*on_io)(struct fake_nvme *fake, uint16_t qid, const union nvme_sq_slot *sqe);
	/* Whether to hold a command; @hold_io holds all. */
	bool (*on_hold)(struct fake_nvme *fake, uint16_t qid, const union nvme_sq_slot *sqe);
	/* Change a completion on its way out. Return: how often it is written, 0 for never. */
	unsigned int (*on_cqe)(struct fake_nvme *fake, uint16_t qid, struct nvme_cqe *cqe);

	/* What was seen. */
	unsigned int nr_admin;
	uint64_t nr_io;
	uint64_t max_lbas_seen;
	unsigned int nr_deleted_sqs;
	unsigned int nr_deleted_cqs;
	bool shut_down; /* CC.SHN was honoured */
	unsigned int nr_disables;
	unsigned int nr_aborts;
	unsigned int most_aborts; /* under way at a time */
	unsigned int nr_dbbufs;	  /* Doorbell Buffer Config was carried out */
	unsigned int nr_naps;

	/* The machine. */
	uint32_t cc_seen;
	bool dbbuf; /* I/O queues' doorbells are in the host's memory */
	quoll_iova_t shadows;
	quoll_iova_t events;
	bool asleep;
	unsigned int nr_held;
	struct fake_held held[FAKE_MAX_HELD];
	unsigned int nr_mute_aborts;
	union nvme_sq_slot mute_aborts[FAKE_MAX_QUEUES];
	struct fake_sq sq[FAKE_MAX_QUEUES];
	struct fake_cq cq[FAKE_MAX_QUEUES];
	pthread_t pump;
	bool pump_stop;
};

/* Defaults: NVMe 1.4, one namespace of 8 MiB in 512-byte blocks, MDTS 128 KiB. Return: 0, -errno. */
int fake_nvme_init(struct fake_nvme *fake);
void fake_nvme_fini(struct fake_nvme *fake);
/* One more namespace; its blocks are zero. */
void fake_nvme_add_ns(struct fake_nvme *fake, uint32_t nsid, uint64_t nr_lbas, unsigned int lba_shift, uint16_t noiob);
struct fake_ns *fake_nvme_ns(struct fake_nvme *fake, uint32_t nsid);

/* The address space whose only group has the fake as its only device. */
int fake_nvme_ioas_open(struct fake_nvme *fake, struct quoll_ioas **ioas);

/* Look at registers and doorbells once, carry out what is there. */
void fake_nvme_step(struct fake_nvme *fake);
void fake_nvme_pump_start(struct fake_nvme *fake);
void fake_nvme_pump_stop(struct fake_nvme *fake);

/* Carry out and complete what is held, as if it had only been slow. */
void fake_nvme_release(struct fake_nvme *fake);
/* Answer the Abort commands that were not. */
void fake_nvme_answer_aborts(struct fake_nvme *fake);
/* Write a completion of the test's own making, phase right. */
void fake_nvme_post(struct fake_nvme *fake, uint16_t qid, struct nvme_cqe cqe);
/* The submission queue entry at an index, as the controller sees it. */
const union nvme_sq_slot *fake_nvme_sqe(struct fake_nvme *fake, uint16_t qid, uint32_t idx);
uint32_t fake_nvme_sq_tail(struct fake_nvme *fake, uint16_t qid);
uint32_t fake_nvme_cq_head(struct fake_nvme *fake, uint16_t qid);
void fake_nvme_set_fatal(struct fake_nvme *fake);
/* All at once, as after a reset of the subsystem that nobody here has asked for. */
void fake_nvme_reset_itself(struct fake_nvme *fake);

#endif
