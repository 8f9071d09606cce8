/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * doorbell.c - shadow doorbells: the values of I/O queues' doorbells in memory, and the register written only if the
 * controller asks for it. Base Specification 2.0, 5.8 (Doorbell Buffer Config) and Annex B.5.
 *
 * Two pages, laid out as the doorbells are: the shadows, which the controller only reads, and the event indices, which
 * it writes. The admin queue has neither here: its doorbells are registers.
 *
 * An event index is the controller's word and decides on one thing only, whether a register is written. One that lies
 * has a register write too many for each batch (which then costs what it costs without shadows), or one too few: then
 * the controller is late with its own commands, which is what time-outs are for. It is no index into anything of ours.
 */
#include <errno.h>
#include <string.h>

#include "nvme_internal.h"

static bool is_offered(const struct quoll_nvme *nvme)
{
	return quoll_le16_to_cpu(nvme->id->oacs) & NVME_CTRL_OACS_DBBUF_CFG;
}

static bool is_wanted(struct quoll_nvme *nvme)
{
	switch (nvme->doorbells.wanted) {
	case QUOLL_NVME_SHADOW_NEVER:
		return false;
	case QUOLL_NVME_SHADOW_ALWAYS:
		return true;
	default:
		return is_offered(nvme) && !nvme_doorbell_ptr(nvme, 1, 0);
	}
}

static int page_alloc(struct quoll_nvme *nvme, struct quoll_arena *arena, quoll_le32 **page, quoll_iova_t *iova,
		      struct quoll_error *err)
{
	void *va;
	int rc = quoll_arena_alloc(arena, PRP_PAGE_BYTES, PRP_PAGE_BYTES, &va, err);

	if (rc)
		return rc;
	memset(va, 0, PRP_PAGE_BYTES);
	*page = va;
	*iova = quoll_heap_iova(nvme->heap, va, PRP_PAGE_BYTES);
	return 0;
}

struct nvme_sqe nvme_shadow_cmd(const struct quoll_nvme *nvme)
{
	return (struct nvme_sqe){
		.opcode = nvme_admin_dbbuf,
		.prp1 = quoll_cpu_to_le64(nvme->doorbells.shadows_iova),
		.prp2 = quoll_cpu_to_le64(nvme->doorbells.events_iova),
	};
}

int nvme_shadow_answer(struct quoll_nvme *nvme, int rc, struct quoll_error *err)
{
	/* Refused where nobody insists: then registers do. */
	bool without = rc > 0 && nvme->doorbells.wanted != QUOLL_NVME_SHADOW_ALWAYS;

	if (without)
		quoll_log(quoll_device_env(nvme->dev), QUOLL_LOG_WARN, "nvme", "%s: no shadow doorbells: %s",
			  nvme->name, quoll_nvme_status_name((uint16_t)rc));
	/* Queues' threads read it when they resume, some of them perhaps late. */
	__atomic_store_n(&nvme->doorbells.on, !rc, __ATOMIC_RELAXED);
	return !rc || without ? 0 : nvme_admin_error(nvme, rc, "Doorbell Buffer Config", err);
}

int nvme_shadow_init(struct quoll_nvme *nvme, struct quoll_error *err)
{
	struct nvme_doorbells *bells = &nvme->doorbells;
	struct nvme_sqe cmd;
	int rc;

	if (!is_wanted(nvme))
		return 0;
	if (!is_offered(nvme))
		return quoll_error_set(err, ENOTSUP, "doorbells", nvme->name,
				       "shadow doorbells are asked for, and the controller has no Doorbell Buffer "
				       "Config (OACS 0x%04x)",
				       quoll_le16_to_cpu(nvme->id->oacs));
	rc = page_alloc(nvme, nvme->arena_read, &bells->shadows, &bells->shadows_iova, err);
	if (!rc)
		rc = page_alloc(nvme, nvme->arena_rw, &bells->events, &bells->events_iova, err);
	if (rc)
		return rc;
	cmd = nvme_shadow_cmd(nvme);
	return nvme_shadow_answer(nvme, nvme_admin_exec(nvme, &cmd, NULL), err);
}

static void bell_find(struct quoll_nvme_queue *queue, unsigned int is_cq)
{
	const struct nvme_doorbells *bells = &queue->nvme->doorbells;
	struct nvme_bell *bell = &queue->bells[is_cq];
	size_t at = (nvme_doorbell_offset(queue->nvme->dstrd, queue->qid, is_cq) - NVME_DOORBELLS_OFFSET) /
		    sizeof(*bells->shadows);

	bell->reg = nvme_doorbell_ptr(queue->nvme, queue->qid, is_cq);
	/* There is a page of them, and queues beyond that have registers only. */
	if (__atomic_load_n(&bells->on, __ATOMIC_RELAXED) && at < PRP_PAGE_BYTES / sizeof(*bells->shadows)) {
		bell->shadow = bells->shadows + at;
		bell->event = bells->events + at;
	} else {
		bell->shadow = bell->event = NULL;
	}
}

void nvme_queue_bells_open(struct quoll_nvme_queue *queue)
{
	bell_find(queue, 0);
	bell_find(queue, 1);
	/* The short way of submit and poll writes a mapped register, and does nothing else. */
	queue->sq_db = queue->saved || queue->bells[0].shadow ? NULL : queue->bells[0].reg;
	queue->cq_db = queue->bells[1].shadow ? NULL : queue->bells[1].reg;
}

void nvme_queue_bells_clear(struct quoll_nvme_queue *queue)
{
	for (unsigned int i = 0; i < 2; i++) {
		struct nvme_bell *bell = &queue->bells[i];

		if (!bell->shadow)
			continue;
		__atomic_store_n(bell->shadow, 0, __ATOMIC_RELAXED);
		__atomic_store_n(bell->event, 0, __ATOMIC_RELAXED);
	}
}

/*
 * Whether the controller asks for the register, having been told @value in memory. All in 16 bits, as B.5 has it: the
 * event index lies between the value before (included) and this one. That holds around a ring's end too, though
 * values wrap there and not at 2^16, because all three differences are taken from the new value.
 */
static bool shadow_tell(struct nvme_bell *bell, uint32_t value)
{
	uint16_t old = (uint16_t)quoll_le32_to_cpu(*bell->shadow);
	uint16_t event;

	/* After what it stands for: entries written, or completions read. */
	__atomic_store_n(bell->shadow, quoll_cpu_to_le32(value), __ATOMIC_RELEASE);
	/*
	 * Store before load, the one order that processors do not keep by themselves. Pairs with the controller's fence
	 * between its event index and its last look at the shadow before it sleeps: without both, each side may miss
	 * what the other has just written, and the command would lie there until the next one.
	 */
	quoll_dma_mb();
	event = (uint16_t)quoll_le32_to_cpu(__atomic_load_n(bell->event, __ATOMIC_RELAXED));
	return (uint16_t)(value - event - 1) < (uint16_t)(value - old);
}

void nvme_queue_ring(struct quoll_nvme_queue *queue, unsigned int is_cq, uint32_t value)
{
	struct nvme_bell *bell = &queue->bells[is_cq];

	if (bell->shadow && !shadow_tell(bell, value))
		bell->nr_spared++;
	else if (bell->reg)
		quoll_mmio_write32(bell->reg, value);
	else
		nvme_doorbell_message(queue->nvme, queue->qid, is_cq, value);
}
