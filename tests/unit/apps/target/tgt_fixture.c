/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tgt_fixture.c - the host of tgt_fixture.h.
 */
#include <time.h>

#include "tgt_fixture.h"

/* One host at a time. */
static uint8_t fixture_memory[HOST_BYTES] __attribute__((aligned(4096)));

static void fixture_interrupt(void *arg, uint16_t vector)
{
	struct host *host = arg;

	host->nr_interrupts[vector]++;
}

static void fixture_fault(void *arg, const struct tgt_fault *fault)
{
	struct host *host = arg;

	host->fault = fault;
}

static const struct tgt_mq_ops fixture_ops = {.interrupt = fixture_interrupt, .fault = fixture_fault};

void *host_va(const struct host *host, uint64_t iova)
{
	(void)host;
	return fixture_memory + (iova - HOST_BASE);
}

int host_add_ns(struct host *host, const char *text)
{
	struct tgt_ns *ns;

	CU_ASSERT_EQUAL_FATAL(tgt_ns_open(text, &ns, NULL), 0);
	return tgt_subsys_add_ns(host->subsys, ns, 0, NULL);
}

void host_start(struct host *host, const char *const *namespaces)
{
	struct tgt_guest_range range = {.iova = HOST_BASE, .len = HOST_BYTES, .prot = HOST_RW};
	struct tgt_mq_opts opts = {.ops = &fixture_ops, .arg = host, .nr_vectors = TGT_MAX_VECTORS, .vid = 0x1b36};

	memset(host, 0, sizeof(*host));
	memset(fixture_memory, 0, HOST_BYTES);
	range.va = fixture_memory;
	tgt_guest_init(&host->guest, NULL, NULL);
	CU_ASSERT_EQUAL_FATAL(tgt_guest_add(&host->guest, &range), 0);
	CU_ASSERT_EQUAL_FATAL(tgt_subsys_create(NULL, NULL, &host->subsys, NULL), 0);
	for (; namespaces && *namespaces; namespaces++)
		CU_ASSERT_TRUE_FATAL(host_add_ns(host, *namespaces) > 0);
	opts.guest = &host->guest;
	CU_ASSERT_EQUAL_FATAL(tgt_mq_create(host->subsys, &opts, &host->mq, NULL), 0);
	tgt_mq_doorbells(host->mq, host->doorbells);
	host->ctrl = tgt_mq_ctrl(host->mq);
	CU_ASSERT_EQUAL_FATAL(host_enable(host), 0);
}

int host_enable(struct host *host)
{
	struct tgt_mq_admin admin = {
		.asq = HOST_ASQ,
		.acq = HOST_ACQ,
		.sq_entries = HOST_ENTRIES,
		.cq_entries = HOST_ENTRIES,
		.page_shift = 12,
	};

	memset(host_va(host, HOST_ASQ), 0, 2 * 4096);
	host->admin = (struct host_queue){.entries = HOST_ENTRIES, .sq = HOST_ASQ, .cq = HOST_ACQ, .phase = 1};
	tgt_mq_entry_sizes(host->mq, NVME_SQES_SHIFT, NVME_CQES_SHIFT);
	return tgt_mq_enable(host->mq, &admin);
}

void host_start_io(struct host *host, const char *ns)
{
	const char *namespaces[] = {ns, NULL};

	host_start(host, namespaces);
	CU_ASSERT_EQUAL_FATAL(host_create_io(host, &host->io, 1, HOST_ENTRIES), 0);
}

void host_disable(struct host *host)
{
	time_t until = time(NULL) + 10;

	tgt_mq_disable(host->mq);
	while (!tgt_mq_idle(host->mq) && time(NULL) < until)
		tgt_mq_poll(host->mq);
	CU_ASSERT_TRUE_FATAL(tgt_mq_idle(host->mq));
}

void host_end(struct host *host)
{
	host_disable(host);
	tgt_mq_destroy(host->mq);
	tgt_subsys_destroy(host->subsys);
	tgt_guest_fini(&host->guest);
}

void host_push(struct host *host, struct host_queue *queue, const struct nvme_sqe *cmd)
{
	memcpy(host_va(host, queue->sq + queue->tail * 64ull), cmd, sizeof(*cmd));
	queue->tail = (queue->tail + 1) % queue->entries;
}

void host_ring(struct host *host, const struct host_queue *queue)
{
	__atomic_store_n(&host->doorbells[2 * queue->id], queue->tail, __ATOMIC_RELEASE);
}

void host_poll(struct host *host, unsigned int n)
{
	while (n--)
		tgt_mq_poll(host->mq);
}

/* The next entry, if its phase says that it is there. */
static bool host_take(struct host *host, struct host_queue *queue, struct host_cqe *cqe)
{
	const struct nvme_cqe *entry = host_va(host, queue->cq + queue->head * 16ull);

	if (nvme_cqe_phase(entry->cid_status) != queue->phase)
		return false;
	*cqe = (struct host_cqe){
		.result = entry->dw0,
		.sqhd = nvme_cqe_sqhd(entry->sqhd_sqid),
		.sqid = nvme_cqe_sqid(entry->sqhd_sqid),
		.cid = nvme_cqe_cid(entry->cid_status),
		.status = nvme_cqe_status(entry->cid_status),
		.dnr = nvme_cqe_dnr(entry->cid_status),
		.more = entry->cid_status >> 30 & 1,
	};
	if (++queue->head == queue->entries) {
		queue->head = 0;
		queue->phase ^= 1;
	}
	__atomic_store_n(&host->doorbells[2 * queue->id + 1], queue->head, __ATOMIC_RELEASE);
	return true;
}

bool host_reap(struct host *host, struct host_queue *queue, struct host_cqe *cqe)
{
	time_t until = time(NULL) + 10;

	do {
		if (host_take(host, queue, cqe))
			return true;
		tgt_mq_poll(host->mq);
	} while (time(NULL) < until);
	return false;
}

struct host_cqe host_run(struct host *host, struct host_queue *queue, struct nvme_sqe cmd)
{
	struct host_cqe cqe;

	cmd.cid = ++host->next_cid;
	host_push(host, queue, &cmd);
	host_ring(host, queue);
	if (!host_reap(host, queue, &cqe))
		return (struct host_cqe){.status = 0xffff};
	CU_ASSERT_EQUAL(cqe.cid, cmd.cid);
	CU_ASSERT_EQUAL(cqe.sqid, queue->id);
	CU_ASSERT_EQUAL(cqe.sqhd, queue->tail);
	return cqe;
}

uint16_t host_admin(struct host *host, struct nvme_sqe cmd)
{
	return host_run(host, &host->admin, cmd).status;
}

uint16_t host_io(struct host *host, struct nvme_sqe cmd)
{
	return host_run(host, &host->io, cmd).status;
}

uint16_t host_create_cq(struct host *host, uint16_t id, uint32_t entries, uint64_t cq, uint32_t cdw11)
{
	return host_admin(host, (struct nvme_sqe){.opcode = nvme_admin_create_cq,
						  .prp1 = cq,
						  .cdw10 = nvme_queue_cdw10(id, entries),
						  .cdw11 = cdw11});
}

uint16_t host_create_sq(struct host *host, uint16_t id, uint32_t entries, uint64_t sq, uint32_t cdw11)
{
	return host_admin(host, (struct nvme_sqe){.opcode = nvme_admin_create_sq,
						  .prp1 = sq,
						  .cdw10 = nvme_queue_cdw10(id, entries),
						  .cdw11 = cdw11});
}

uint16_t host_create_io(struct host *host, struct host_queue *queue, uint16_t id, uint32_t entries)
{
	uint64_t sq = HOST_PAGE(3000 + 8 * id), cq = sq + 4 * 4096;
	uint16_t status;

	memset(host_va(host, sq), 0, 8 * 4096);
	*queue = (struct host_queue){.id = id, .entries = entries, .sq = sq, .cq = cq, .phase = 1};
	status = host_create_cq(host, id, entries, cq, (uint32_t)id << 16 | 3);
	return status ? status : host_create_sq(host, id, entries, sq, (uint32_t)id << 16 | 1);
}

struct nvme_sqe host_rw(struct host *host, uint8_t opcode, uint64_t lba, uint32_t nr, uint32_t block)
{
	uint64_t bytes = (uint64_t)nr * block;
	struct nvme_sqe cmd = {
		.opcode = opcode,
		.nsid = 1,
		.prp1 = HOST_DATA,
		.prp2 = bytes > 8192 ? HOST_LIST : HOST_DATA + 4096,
		.cdw10 = (uint32_t)lba,
		.cdw11 = (uint32_t)(lba >> 32),
		.cdw12 = (nr - 1) & 0xffff,
	};
	quoll_le64 *list = host_va(host, HOST_LIST);

	for (uint64_t i = 1; i < 512 && i * 4096 < bytes; i++)
		list[i - 1] = HOST_DATA + i * 4096;
	return cmd;
}
