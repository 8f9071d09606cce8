/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pcie_host.h - a host of the controller's registers, which plays the server as well: it calls what the function gave
 * for that. One at a time, in the test's thread.
 */
#ifndef QUOLL_TESTS_PCIE_HOST_H
#define QUOLL_TESTS_PCIE_HOST_H

#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <linux/pci_regs.h>

#include <quoll/pci.h>

#include "target/pci_config.h"
#include "target/pcie.h"

#include "unit.h"

#define MEMORY 0x100000u
#define IOVA 0x10000000ull
#define ENTRIES 16u
#define ASQ (IOVA + 0x0000)
#define ACQ (IOVA + 0x1000)
#define SQ1 (IOVA + 0x2000)
#define CQ1 (IOVA + 0x3000)
#define DATA (IOVA + 0x4000)
#define RW (QUOLL_DMA_READ | QUOLL_DMA_WRITE)
#define CC_ON (1u | 6u << NVME_CC_IOSQES_SHIFT | 4u << NVME_CC_IOCQES_SHIFT)

static uint8_t memory[MEMORY] __attribute__((aligned(4096)));

struct ring {
	uint64_t sq;
	uint64_t cq;
	unsigned int id;
	unsigned int tail;
	unsigned int head;
	unsigned int phase;
};

static struct {
	struct tgt_subsys *subsys;
	struct tgt_pcie *pcie;
	struct quoll_server_device device;
	quoll_le32 *doorbells; /* mapped, or NULL */
	struct ring admin;
	struct ring io;
	unsigned int nr_irqs[TGT_MAX_VECTORS];
	unsigned int nr_dma_reads;
	unsigned int nr_dma_writes;
	int doorbells_rc;
	char path[32];
} f;

static void on_irq(void *arg, unsigned int vector)
{
	(void)arg;
	f.nr_irqs[vector]++;
}

static int on_doorbells(void *arg, int fd)
{
	(void)arg;
	f.device.regions[0].fd = fd;
	return f.doorbells_rc;
}

/* Memory that isn't mapped is at the same place, by these. */
static int on_dma_read(void *arg, uint64_t iova, void *dst, size_t len)
{
	(void)arg;
	f.nr_dma_reads++;
	memcpy(dst, memory + (iova - IOVA), len);
	return 0;
}

static int on_dma_write(void *arg, uint64_t iova, const void *src, size_t len)
{
	(void)arg;
	f.nr_dma_writes++;
	memcpy(memory + (iova - IOVA), src, len);
	return 0;
}

static const struct tgt_pcie_ops ops = {
	.irq = on_irq, .doorbells = on_doorbells, .dma_read = on_dma_read, .dma_write = on_dma_write};

static inline int map(void *va)
{
	struct quoll_server_dma dma = {.iova = IOVA, .len = MEMORY, .va = va, .prot = RW};

	return f.device.ops->dma_map(f.device.arg, &dma);
}

static inline int unmap(void *va)
{
	struct quoll_server_dma dma = {.iova = IOVA, .len = MEMORY, .va = va, .prot = RW};

	return f.device.ops->dma_unmap(f.device.arg, &dma);
}

static inline uint64_t reg(unsigned int offset, unsigned int len)
{
	quoll_le64 value = 0;

	CU_ASSERT_EQUAL(f.device.ops->region_read(f.device.arg, QUOLL_PCI_BAR0, offset, &value, len), 0);
	return quoll_le64_to_cpu(value);
}

static inline int set_reg(unsigned int offset, uint64_t value, unsigned int len)
{
	quoll_le64 raw = quoll_cpu_to_le64(value);

	return f.device.ops->region_write(f.device.arg, QUOLL_PCI_BAR0, offset, &raw, len);
}

static inline uint32_t csts(void)
{
	return (uint32_t)reg(NVME_REG_CSTS, 4);
}

static inline int set_config(unsigned int offset, uint16_t value)
{
	quoll_le16 raw = quoll_cpu_to_le16(value);

	return f.device.ops->region_write(f.device.arg, QUOLL_PCI_CONFIG, offset, &raw, sizeof(raw));
}

static inline int set_command(uint16_t value)
{
	return set_config(PCI_COMMAND, value);
}

static inline uint16_t config(unsigned int offset)
{
	quoll_le16 raw = 0;

	f.device.ops->region_read(f.device.arg, QUOLL_PCI_CONFIG, offset, &raw, sizeof(raw));
	return quoll_le16_to_cpu(raw);
}

/* Where the capability is. */
static inline unsigned int capability(uint8_t id)
{
	unsigned int at = config(PCI_CAPABILITY_LIST) & 0xff;

	while (at && (config(at) & 0xff) != id)
		at = config(at) >> 8;
	CU_ASSERT_NOT_EQUAL_FATAL(at, 0);
	return at;
}

/* A client comes: it maps the doorbells, if they are for mapping, and offers its memory. */
static inline void join(void)
{
	const struct quoll_server_region *bar = &f.device.regions[0];

	CU_ASSERT_EQUAL_FATAL(f.device.ops->connect(f.device.arg), 0);
	if (bar->flags & QUOLL_REGION_MMAP) {
		f.doorbells = mmap(NULL, 0x1000, PROT_READ | PROT_WRITE, MAP_SHARED, bar->fd,
				   (off_t)(bar->fd_offset + bar->areas[0].offset));
		CU_ASSERT_PTR_NOT_EQUAL_FATAL(f.doorbells, MAP_FAILED);
	}
	CU_ASSERT_EQUAL_FATAL(map(memory), 0);
	set_command(PCI_COMMAND_MASTER | PCI_COMMAND_MEMORY);
}

static inline void start_ns(struct tgt_ns *ns, bool mapped)
{
	struct tgt_pcie_opts opts = {.ops = &ops, .mapped = mapped};

	memset(&f, 0, sizeof(f));
	memset(memory, 0, sizeof(memory));
	CU_ASSERT_EQUAL_FATAL(tgt_subsys_create(NULL, NULL, &f.subsys, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(tgt_subsys_add_ns(f.subsys, ns, 0, NULL), 1);
	CU_ASSERT_EQUAL_FATAL(tgt_pcie_create(f.subsys, &opts, &f.pcie, NULL), 0);
	tgt_pcie_describe(f.pcie, &f.device);
	join();
}

static inline void start(const char *ns_text, bool mapped)
{
	struct tgt_ns *ns;

	CU_ASSERT_EQUAL_FATAL(tgt_ns_open(ns_text, &ns, NULL), 0);
	start_ns(ns, mapped);
}

static inline void poll_until(bool (*fact)(void))
{
	time_t until = time(NULL) + 10;

	while (!fact() && time(NULL) < until)
		tgt_pcie_poll(f.pcie);
	CU_ASSERT_TRUE_FATAL(fact());
}

static inline bool disconnected(void)
{
	return f.device.ops->disconnect(f.device.arg) == 0;
}

static inline void finish(void)
{
	poll_until(disconnected);
	if (f.doorbells)
		munmap(f.doorbells, 0x1000);
	tgt_pcie_destroy(f.pcie);
	tgt_subsys_destroy(f.subsys);
	if (f.path[0])
		unlink(f.path);
}

static inline bool is_ready(void)
{
	return csts() == 1;
}

static inline bool is_off(void)
{
	return csts() == 0;
}

static inline bool is_shut(void)
{
	return NVME_CSTS_SHST(csts()) == NVME_CSTS_SHST_CMPLT;
}

static inline void enable(void)
{
	memset(memory, 0, 0x4000);
	set_reg(NVME_REG_AQA, (ENTRIES - 1) << 16 | (ENTRIES - 1), 4);
	set_reg(NVME_REG_ASQ, ASQ, 8);
	set_reg(NVME_REG_ACQ, ACQ, 8);
	set_reg(NVME_REG_CC, CC_ON & ~1u, 4);
	set_reg(NVME_REG_CC, CC_ON, 4);
	f.admin = (struct ring){.sq = ASQ, .cq = ACQ, .phase = 1};
	f.io = (struct ring){.sq = SQ1, .cq = CQ1, .id = 1, .phase = 1};
}

static inline void ring(unsigned int index, uint32_t value)
{
	if (f.doorbells)
		__atomic_store_n(&f.doorbells[index], quoll_cpu_to_le32(value), __ATOMIC_RELEASE);
	else
		set_reg(0x1000 + 4 * index, value, 4);
}

static inline void push(struct ring *r, struct nvme_sqe cmd)
{
	memcpy(memory + (r->sq - IOVA) + r->tail * 64, &cmd, 64);
	r->tail = (r->tail + 1) % ENTRIES;
	ring(2 * r->id, r->tail);
}

static inline bool take(struct ring *r, struct nvme_cqe *cqe)
{
	memcpy(cqe, memory + (r->cq - IOVA) + r->head * 16, 16);
	if (nvme_cqe_phase(cqe->cid_status) != r->phase)
		return false;
	r->head = (r->head + 1) % ENTRIES;
	r->phase ^= !r->head;
	ring(2 * r->id + 1, r->head);
	return true;
}

/* Return: status, 0xffff without an answer. */
static inline uint16_t run(struct ring *r, struct nvme_sqe cmd)
{
	time_t until = time(NULL) + 10;
	struct nvme_cqe cqe;

	push(r, cmd);
	while (!take(r, &cqe)) {
		if (time(NULL) >= until)
			return 0xffff;
		tgt_pcie_poll(f.pcie);
	}
	return nvme_cqe_status(cqe.cid_status);
}

/* Whether the next completion is there, which is left there. */
static inline bool answered(const struct ring *r)
{
	struct nvme_cqe cqe;

	memcpy(&cqe, memory + (r->cq - IOVA) + r->head * 16, 16);
	return nvme_cqe_phase(cqe.cid_status) == r->phase;
}

static inline uint16_t create_cq(void)
{
	return run(&f.admin, (struct nvme_sqe){.opcode = nvme_admin_create_cq,
					       .prp1 = CQ1,
					       .cdw10 = nvme_queue_cdw10(1, ENTRIES),
					       .cdw11 = 5u << 16 | 3});
}

static inline uint16_t create_sq(void)
{
	return run(&f.admin, (struct nvme_sqe){.opcode = nvme_admin_create_sq,
					       .prp1 = SQ1,
					       .cdw10 = nvme_queue_cdw10(1, ENTRIES),
					       .cdw11 = 1u << 16 | 1});
}

static inline void enable_io(void)
{
	enable();
	CU_ASSERT_EQUAL_FATAL(csts(), 1);
	CU_ASSERT_EQUAL_FATAL(create_cq(), 0);
	CU_ASSERT_EQUAL_FATAL(create_sq(), 0);
}

static inline struct nvme_sqe rw(uint8_t opcode)
{
	return (struct nvme_sqe){.opcode = opcode, .nsid = 1, .prp1 = DATA, .cdw12 = 7};
}

static inline void fault(const char *text, struct tgt_fault *fault)
{
	CU_ASSERT_EQUAL_FATAL(tgt_fault_parse(text, fault, NULL), 0);
	tgt_ctrl_faults(tgt_pcie_ctrl(f.pcie), fault, 1);
}

#endif
