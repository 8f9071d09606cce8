/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fake_doorbell.c - the fake controller's doorbells: registers, or the host's memory after Doorbell Buffer Config; and
 * the sleep that only a register ends.
 */
#include "fake_internal.h"

/* In the registers of a controller that sleeps: no host writes that. */
#define UNTOUCHED UINT32_MAX

#define STATUS_INVALID_OPCODE 0x001
#define STATUS_INVALID_FIELD 0x002

static uint64_t reg_at(const struct fake_nvme *fake, uint16_t qid, unsigned int is_cq)
{
	return nvme_doorbell_offset(NVME_CAP_DSTRD(fake->cap), qid, is_cq);
}

/* Queues beyond the end of the page have registers only. */
static bool has_shadow(const struct fake_nvme *fake, uint16_t qid)
{
	return qid && fake->dbbuf && reg_at(fake, qid, 1) - NVME_DOORBELLS_OFFSET < 4096;
}

/* One of the host's two pages; they have the layout of the registers. */
static quoll_le32 *in_memory(struct fake_nvme *fake, uint16_t qid, unsigned int is_cq, bool event)
{
	quoll_iova_t page = event ? fake->events : fake->shadows;

	return fake_pci_dma(&fake->pci, page + reg_at(fake, qid, is_cq) - NVME_DOORBELLS_OFFSET, sizeof(quoll_le32),
			    event);
}

static uint32_t shadow_get(struct fake_nvme *fake, uint16_t qid, unsigned int is_cq)
{
	const quoll_le32 *at = in_memory(fake, qid, is_cq, false);

	return at ? quoll_le32_to_cpu(__atomic_load_n(at, __ATOMIC_ACQUIRE)) : 0;
}

static void event_set(struct fake_nvme *fake, uint16_t qid, unsigned int is_cq, uint32_t value)
{
	quoll_le32 *at = in_memory(fake, qid, is_cq, true);

	if (at)
		__atomic_store_n(at, quoll_cpu_to_le32(fake->lies ? fake->lie : value), __ATOMIC_RELAXED);
}

uint32_t fake_doorbell(struct fake_nvme *fake, uint16_t qid, unsigned int is_cq)
{
	return has_shadow(fake, qid) ? shadow_get(fake, qid, is_cq)
				     : fake_pci_reg(&fake->pci, reg_at(fake, qid, is_cq));
}

void fake_doorbell_reset(struct fake_nvme *fake, uint16_t qid, unsigned int is_cq)
{
	fake_pci_reg_set(&fake->pci, reg_at(fake, qid, is_cq), 0);
	if (has_shadow(fake, qid) && shadow_get(fake, qid, is_cq))
		fake_pci_violation(&fake->pci, "queue %u is created, and its shadow doorbell is not 0", qid);
}

uint32_t fake_nvme_sq_tail(struct fake_nvme *fake, uint16_t qid)
{
	return fake_doorbell(fake, qid, 0);
}

uint32_t fake_nvme_cq_head(struct fake_nvme *fake, uint16_t qid)
{
	return fake_doorbell(fake, qid, 1);
}

uint16_t fake_doorbell_buffers(struct fake_nvme *fake, const union nvme_sq_slot *sqe)
{
	quoll_iova_t shadows = quoll_le64_to_cpu(sqe->cmd.prp1);
	quoll_iova_t events = quoll_le64_to_cpu(sqe->cmd.prp2);

	if (!(fake->id.oacs & NVME_CTRL_OACS_DBBUF_CFG))
		return STATUS_INVALID_OPCODE;
	if (shadows & 4095 || events & 4095)
		return STATUS_INVALID_FIELD;
	for (unsigned int i = 1; i < FAKE_MAX_QUEUES; i++)
		if (fake->cq[i].live)
			fake_pci_violation(&fake->pci, "doorbell buffers while queue %u is there", i);
	fake->shadows = shadows;
	fake->events = events;
	fake->dbbuf = true;
	fake->nr_dbbufs++;
	return 0;
}

/* For each I/O queue with shadows that is there: both doorbells. Return: whether @fn said so of any. */
static bool any_doorbell(struct fake_nvme *fake, bool (*fn)(struct fake_nvme *, uint16_t qid, unsigned int is_cq))
{
	bool any = false;

	for (uint16_t qid = 1; qid < FAKE_MAX_QUEUES; qid++) {
		any |= has_shadow(fake, qid) && fake->sq[qid].live && fn(fake, qid, 0);
		any |= has_shadow(fake, qid) && fake->cq[qid].live && fn(fake, qid, 1);
	}
	return any;
}

static bool tell_lie(struct fake_nvme *fake, uint16_t qid, unsigned int is_cq)
{
	event_set(fake, qid, is_cq, 0);
	return false;
}

static bool is_touched(struct fake_nvme *fake, uint16_t qid, unsigned int is_cq)
{
	return fake_pci_reg(&fake->pci, reg_at(fake, qid, is_cq)) != UNTOUCHED;
}

/* The register first: what is written because of the event index is written after that. */
static bool ask_for_register(struct fake_nvme *fake, uint16_t qid, unsigned int is_cq)
{
	fake_pci_reg_set(&fake->pci, reg_at(fake, qid, is_cq), UNTOUCHED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	event_set(fake, qid, is_cq, is_cq ? shadow_get(fake, qid, 1) : fake->sq[qid].head);
	return false;
}

static bool has_work(struct fake_nvme *fake, uint16_t qid, unsigned int is_cq)
{
	return !is_cq && shadow_get(fake, qid, 0) != fake->sq[qid].head;
}

bool fake_is_awake(struct fake_nvme *fake)
{
	if (!fake->dbbuf)
		return true;
	/* Nothing in the host's memory can be read. */
	if (!fake_pci_bus_master(&fake->pci))
		return false;
	if (fake->lies)
		(void)any_doorbell(fake, tell_lie);
	if (fake->asleep)
		fake->asleep = !any_doorbell(fake, is_touched);
	return !fake->asleep;
}

void fake_nap(struct fake_nvme *fake)
{
	if (!fake->dbbuf || !fake->naps)
		return;
	(void)any_doorbell(fake, ask_for_register);
	/* Pairs with the driver's fence between shadow and event index. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	fake->asleep = !any_doorbell(fake, has_work);
	fake->nr_naps += fake->asleep;
}
