/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tgt_fixture.h - a host without a driver: memory, queues in it, and commands one at a time or many, for tests of the
 * target's controller. Everything runs in the test's thread.
 */
#ifndef QUOLL_TESTS_TGT_FIXTURE_H
#define QUOLL_TESTS_TGT_FIXTURE_H

#include <string.h>

#include "target/controller_internal.h"
#include "target/mq.h"

#include "unit.h"

#define HOST_BASE 0x40000000ull
#define HOST_BYTES (16u << 20)
#define HOST_RW (TGT_GUEST_READ | TGT_GUEST_WRITE)
#define HOST_ENTRIES 64u
#define HOST_ALL 0xffffffffu

/* Pages of the host's memory. 0 to 7 hold queues, from 16 on there is room for data. */
#define HOST_PAGE(n) (HOST_BASE + (n)*4096ull)
#define HOST_ASQ HOST_PAGE(0)
#define HOST_ACQ HOST_PAGE(1)
#define HOST_DATA HOST_PAGE(16)
#define HOST_LIST HOST_PAGE(2000)

#define CMD(sc) ((uint16_t)(NVME_SCT_CMD_SPECIFIC << NVME_SCT_SHIFT | NVME_SC_##sc))
#define MEDIA(sc) ((uint16_t)(NVME_SCT_MEDIA << NVME_SCT_SHIFT | NVME_SC_##sc))

/* A queue pair as the host sees it. */
struct host_queue {
	uint16_t id;
	uint32_t entries;
	uint64_t sq;
	uint64_t cq;
	uint32_t tail;
	uint32_t head;
	unsigned int phase;
};

struct host_cqe {
	uint32_t result;
	uint16_t sqhd;
	uint16_t sqid;
	uint16_t cid;
	uint16_t status; /* SCT << 8 | SC */
	bool dnr;
	bool more;
};

struct host {
	struct tgt_guest guest;
	struct tgt_subsys *subsys;
	struct tgt_mq *mq;
	struct tgt_ctrl *ctrl;
	quoll_le32 doorbells[TGT_NR_DOORBELLS];
	struct host_queue admin;
	struct host_queue io;
	unsigned int nr_interrupts[TGT_MAX_VECTORS];
	const struct tgt_fault *fault;
	uint16_t next_cid;
};

/* A subsystem with these namespaces (addresses, NULL at the end), and a controller that is enabled. */
void host_start(struct host *host, const char *const *namespaces);
/* The same with one namespace of 64 MiB of memory, and I/O queue pair 1. */
void host_start_io(struct host *host, const char *ns);
void host_end(struct host *host);
/* CC.EN from 1 to 0, until the controller is idle. */
void host_disable(struct host *host);
int host_enable(struct host *host);

/* Memory of the host by its address. */
void *host_va(const struct host *host, uint64_t iova);

/* Put a command into a queue without ringing; ring. */
void host_push(struct host *host, struct host_queue *queue, const struct nvme_sqe *cmd);
void host_ring(struct host *host, const struct host_queue *queue);
/* One completion, polled for up to ten seconds. Return: false if none came. */
bool host_reap(struct host *host, struct host_queue *queue, struct host_cqe *cqe);
/* Poll the target @n times. */
void host_poll(struct host *host, unsigned int n);

/* One command to its completion; the CID is filled in. Status 0xffff: no answer. */
struct host_cqe host_run(struct host *host, struct host_queue *queue, struct nvme_sqe cmd);
uint16_t host_admin(struct host *host, struct nvme_sqe cmd);
uint16_t host_io(struct host *host, struct nvme_sqe cmd);

/* I/O queue pair @id of @entries, its rings at @sq and @cq. */
uint16_t host_create_cq(struct host *host, uint16_t id, uint32_t entries, uint64_t cq, uint32_t cdw11);
uint16_t host_create_sq(struct host *host, uint16_t id, uint32_t entries, uint64_t sq, uint32_t cdw11);
uint16_t host_create_io(struct host *host, struct host_queue *queue, uint16_t id, uint32_t entries);

/* A read or write of @nr blocks from @lba on, with PRPs on data that lies in one piece at HOST_DATA. */
struct nvme_sqe host_rw(struct host *host, uint8_t opcode, uint64_t lba, uint32_t nr, uint32_t block);

/* Add a namespace to the subsystem. Return: its NSID. */
int host_add_ns(struct host *host, const char *text);

#endif
