/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nvme_wire.h - what lies in memory between host and controller and libnvme has no structure for.
 *
 * Sources: NVM Express Base Specification 2.0, 3.3.3.1 (submission queue entry), 3.3.3.2 (completion queue entry), 5.4
 * to 5.7 (queue creation and deletion), PCIe Transport 1.0, 3.1.2 (doorbells). All fields little-endian.
 */
#ifndef QUOLL_NVME_WIRE_H
#define QUOLL_NVME_WIRE_H

#include <assert.h>

#include <quoll/types.h>

/* Submission queue entry; @dptr is PRP entry 1 and 2. */
struct nvme_sqe {
	uint8_t opcode;
	uint8_t flags;
	quoll_le16 cid;
	quoll_le32 nsid;
	quoll_le32 cdw2;
	quoll_le32 cdw3;
	quoll_le64 mptr;
	quoll_le64 prp1;
	quoll_le64 prp2;
	quoll_le32 cdw10;
	quoll_le32 cdw11;
	quoll_le32 cdw12;
	quoll_le32 cdw13;
	quoll_le32 cdw14;
	quoll_le32 cdw15;
};

/* NVM Command Set 1.0, 3.2.4 and 3.2.6: reads and writes have the starting LBA in dwords 10 and 11 as one number. */
struct nvme_sqe_rw {
	quoll_le32 cdw0; /* opcode, flags and CID as in struct nvme_sqe */
	quoll_le32 nsid;
	quoll_le32 cdw2;
	quoll_le32 cdw3;
	quoll_le64 mptr;
	quoll_le64 prp1;
	quoll_le64 prp2;
	quoll_le64 slba;
	quoll_le32 nlb; /* 0-based in bits 15:0; the rest are options that we leave 0 */
	quoll_le32 cdw13;
	quoll_le32 cdw14;
	quoll_le32 cdw15;
};

union nvme_sq_slot {
	struct nvme_sqe cmd;
	struct nvme_sqe_rw rw;
};

static_assert(sizeof(struct nvme_sqe) == 64, "SQE is 64 bytes");
static_assert(offsetof(struct nvme_sqe, nsid) == 4, "SQE dword 1");
static_assert(offsetof(struct nvme_sqe, mptr) == 16, "SQE dword 4");
static_assert(offsetof(struct nvme_sqe, prp1) == 24, "SQE dword 6");
static_assert(offsetof(struct nvme_sqe, cdw10) == 40, "SQE dword 10");
static_assert(sizeof(union nvme_sq_slot) == 64, "SQE is 64 bytes");
static_assert(offsetof(struct nvme_sqe_rw, slba) == 40, "SQE dword 10");
static_assert(offsetof(struct nvme_sqe_rw, nlb) == 48, "SQE dword 12");

/*
 * Completion queue entry. Dwords 2 and 3 are kept whole, because each is read from the device's memory once and taken
 * apart afterwards: 2 is SQ head (15:0) and SQ id (31:16), 3 is CID (15:0), phase (16) and status (31:17).
 */
struct nvme_cqe {
	quoll_le32 dw0;
	quoll_le32 dw1;
	quoll_le32 sqhd_sqid;
	quoll_le32 cid_status;
};

static_assert(sizeof(struct nvme_cqe) == 16, "CQE is 16 bytes");
static_assert(offsetof(struct nvme_cqe, cid_status) == 12, "CQE dword 3");

#define NVME_CQE_PHASE (1u << 16) /* in dword 3 */
#define NVME_SQES_SHIFT 6
#define NVME_CQES_SHIFT 4

static inline uint16_t nvme_cqe_sqhd(uint32_t dw2)
{
	return (uint16_t)dw2;
}

static inline uint16_t nvme_cqe_sqid(uint32_t dw2)
{
	return (uint16_t)(dw2 >> 16);
}

static inline uint16_t nvme_cqe_cid(uint32_t dw3)
{
	return (uint16_t)dw3;
}

static inline unsigned int nvme_cqe_phase(uint32_t dw3)
{
	return dw3 >> 16 & 1;
}

/* SCT << 8 | SC, as struct quoll_nvme_completion has it. */
static inline uint16_t nvme_cqe_status(uint32_t dw3)
{
	return (uint16_t)(dw3 >> 17 & 0x7ff);
}

static inline unsigned int nvme_cqe_dnr(uint32_t dw3)
{
	return dw3 >> 31;
}

/* Create I/O Submission / Completion Queue, dwords 10 and 11. */
#define NVME_QUEUE_PHYS_CONTIG (1u << 0)
#define NVME_CQ_INTERRUPTS (1u << 1)
#define NVME_CQ_VECTOR_SHIFT 16

static inline uint32_t nvme_queue_cdw10(uint16_t qid, uint32_t entries)
{
	return (entries - 1) << 16 | qid;
}

/* Doorbells start at 1000h and are 4 << CAP.DSTRD bytes apart: SQ tail of queue y at 2y, CQ head at 2y + 1. */
#define NVME_DOORBELLS_OFFSET 0x1000u

static inline uint64_t nvme_doorbell_offset(unsigned int dstrd, uint16_t qid, unsigned int is_cq)
{
	return NVME_DOORBELLS_OFFSET + ((2 * (uint64_t)qid + is_cq) << (2 + dstrd));
}

#endif
