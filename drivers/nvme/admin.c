/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * admin.c - the admin queue: a few commands on their way, one of them waited for; pass-through; status names.
 *
 * A command that is not answered in time leaves a buffer that the controller may still write, so a time-out ends the
 * controller (bus mastering off) before anybody gets the buffer back.
 */
#include <errno.h>
#include <string.h>

#include <libnvme.h>

#include "nvme_internal.h"

#define ADMIN_DEFAULT_ENTRIES 32u
#define ADMIN_DEFAULT_TIMEOUT_MS 10000u
#define ADMIN_GENERATION_MASK                                                                                          \
	0xfffu /* of a CID, above the slot; FFFFh is reserved (Base Specification 2.0, figure 87) */

static int alloc_dma(struct quoll_nvme *nvme, struct quoll_arena *arena, uint64_t bytes, void **va, quoll_iova_t *iova,
		     struct quoll_error *err)
{
	int rc = quoll_arena_alloc(arena, bytes, PRP_PAGE_BYTES, va, err);

	if (!rc)
		*iova = quoll_heap_iova(nvme->heap, *va, bytes);
	return rc;
}

int nvme_admin_init(struct quoll_nvme *nvme, const struct quoll_nvme_opts *opts, struct quoll_error *err)
{
	struct nvme_admin *admin = &nvme->admin;
	unsigned int timeout_ms = opts && opts->admin_timeout_ms ? opts->admin_timeout_ms : ADMIN_DEFAULT_TIMEOUT_MS;
	void *va;
	int rc;

	admin->entries = opts && opts->admin_entries ? opts->admin_entries : ADMIN_DEFAULT_ENTRIES;
	admin->timeout_ns = timeout_ms * 1000000ull;
	rc = alloc_dma(nvme, nvme->arena_read, admin->entries * sizeof(*admin->sq), &va, &admin->sq_iova, err);
	if (rc)
		return rc;
	admin->sq = va;
	rc = alloc_dma(nvme, nvme->arena_rw, admin->entries * sizeof(*admin->cq), &va, &admin->cq_iova, err);
	if (rc)
		return rc;
	admin->cq = va;
	rc = alloc_dma(nvme, nvme->arena_read, PRP_PAGE_BYTES, &va, &admin->list.iova, err);
	if (rc)
		return rc;
	admin->list.entries = va;
	return alloc_dma(nvme, nvme->arena_rw, PRP_PAGE_BYTES, &admin->data, &admin->data_iova, err);
}

int nvme_admin_start(struct quoll_nvme *nvme, struct quoll_error *err)
{
	struct nvme_admin *admin = &nvme->admin;

	if (nvme_doorbell_offset(nvme->dstrd, 0, 1) + sizeof(uint32_t) > nvme->bar_bytes)
		return quoll_error_set(err, EPROTO, "enable", nvme->name,
				       "the admin queue's doorbells (stride %u bytes) lie outside BAR 0",
				       4u << nvme->dstrd);
	admin->sq_db = nvme_doorbell_ptr(nvme, 0, 0);
	admin->cq_db = nvme_doorbell_ptr(nvme, 0, 1);
	admin->sq_tail = 0;
	admin->cq_head = 0;
	admin->phase = 1;
	/* Entries of an earlier life would be new again. */
	memset(admin->cq, 0, admin->entries * sizeof(*admin->cq));
	memset(admin->slots, 0, sizeof(admin->slots));
	admin->nr_busy = 0;
	return 0;
}

static void admin_submit(struct quoll_nvme *nvme, const struct nvme_sqe *cmd, uint16_t cid)
{
	struct nvme_admin *admin = &nvme->admin;
	struct nvme_sqe *sqe = &admin->sq[admin->sq_tail].cmd;

	*sqe = *cmd;
	sqe->cid = quoll_cpu_to_le16(cid);
	admin->sq_tail = admin->sq_tail + 1 == admin->entries ? 0 : admin->sq_tail + 1;
	/* The entry before the doorbell; pairs with the controller's fetch. */
	quoll_mmio_wmb();
	if (admin->sq_db)
		quoll_mmio_write32(admin->sq_db, admin->sq_tail);
	else
		nvme_doorbell_message(nvme, 0, 0, admin->sq_tail);
}

bool nvme_admin_send(struct quoll_nvme *nvme, unsigned int idx, const struct nvme_sqe *cmd)
{
	struct nvme_admin *admin = &nvme->admin;
	struct nvme_admin_slot *slot = &admin->slots[idx];

	if (admin->nr_busy == admin->entries - 1)
		return false;
	admin->nr_busy++;
	slot->busy = true;
	slot->cid = (uint16_t)((admin->next_cid++ & ADMIN_GENERATION_MASK) * NVME_ADMIN_SLOTS + idx);
	slot->sent = quoll_ticks(&nvme->clock);
	admin_submit(nvme, cmd, slot->cid);
	return true;
}

/* One completion, copied. */
static void admin_take(struct nvme_admin *admin, const struct nvme_cqe *cqe)
{
	struct nvme_admin_slot *slot = &admin->slots[nvme_cqe_cid(cqe->cid_status) % NVME_ADMIN_SLOTS];

	if (nvme_cqe_sqid(cqe->sqhd_sqid) || !slot->busy || slot->cid != nvme_cqe_cid(cqe->cid_status)) {
		admin->nr_strays++;
		return;
	}
	slot->dw0 = cqe->dw0;
	slot->dw3 = cqe->cid_status;
	slot->busy = false;
	admin->nr_busy--;
}

/* Take what the completion queue holds, one turn of it at most. */
static void admin_reap(struct quoll_nvme *nvme)
{
	struct nvme_admin *admin = &nvme->admin;
	unsigned int seen;

	for (seen = 0; seen < admin->entries; seen++) {
		const volatile struct nvme_cqe *entry = &admin->cq[admin->cq_head];
		struct nvme_cqe cqe = {.cid_status = quoll_le32_to_cpu(entry->cid_status)};

		if (nvme_cqe_phase(cqe.cid_status) != admin->phase)
			break;
		/* The rest of the entry is older than the phase; pairs with the controller's ordered write. */
		quoll_dma_rmb();
		cqe.sqhd_sqid = quoll_le32_to_cpu(entry->sqhd_sqid);
		cqe.dw0 = quoll_le32_to_cpu(entry->dw0);
		admin_take(admin, &cqe);
		if (++admin->cq_head == admin->entries) {
			admin->cq_head = 0;
			admin->phase ^= 1;
		}
	}
	if (!seen)
		return;
	if (admin->cq_db)
		quoll_mmio_write32(admin->cq_db, admin->cq_head);
	else
		nvme_doorbell_message(nvme, 0, 1, admin->cq_head);
}

int nvme_admin_answer(struct quoll_nvme *nvme, unsigned int idx, uint32_t *result)
{
	const struct nvme_admin_slot *slot = &nvme->admin.slots[idx];
	/* Before looking, so that nothing is called late because the thread was held up. */
	uint64_t now = quoll_ticks(&nvme->clock);

	admin_reap(nvme);
	if (slot->busy)
		return now - slot->sent < quoll_ns_to_ticks(&nvme->clock, nvme->admin.timeout_ns) ? -EINPROGRESS
												  : -ETIMEDOUT;
	if (result)
		*result = slot->dw0;
	return nvme_cqe_status(slot->dw3);
}

int nvme_admin_exec(struct quoll_nvme *nvme, const struct nvme_sqe *cmd, uint32_t *result)
{
	struct quoll_wait wait;
	uint32_t reset_nr;
	bool more = true;
	bool sent;
	int dead;
	int rc;

	if (nvme_reset_finish(nvme))
		return -ENODEV;
	reset_nr = nvme->shared.reset_nr;
	/* Paces the looks, and limits the wait for room; once it is sent, the limit is the command's own. */
	quoll_wait_start(&wait, &nvme->clock, nvme->admin.timeout_ns);
	sent = nvme_admin_send(nvme, NVME_ADMIN_WAITED, cmd);
	for (;;) {
		rc = sent ? nvme_admin_answer(nvme, NVME_ADMIN_WAITED, result) : more ? -EINPROGRESS : -ETIMEDOUT;
		if (rc >= 0)
			return rc;
		dead = nvme_ctrl_work(nvme);
		if (dead)
			return dead;
		/* Nobody gets a buffer back before the controller cannot reach it any more. */
		if (nvme->shared.reset_nr != reset_nr ||
		    (rc == -ETIMEDOUT && nvme_ctrl_trouble(nvme, "admin time-out")))
			(void)nvme_reset_wait_stopped(nvme);
		if (rc == -ETIMEDOUT || nvme->shared.reset_nr != reset_nr)
			return rc == -ETIMEDOUT ? rc : -ECANCELED;
		if (!sent)
			sent = nvme_admin_send(nvme, NVME_ADMIN_WAITED, cmd);
		more = quoll_wait_more(&wait);
	}
}

int nvme_admin_error(struct quoll_nvme *nvme, int rc, const char *command, struct quoll_error *err)
{
	uint32_t csts;

	if (rc > 0)
		return quoll_error_set(err, EIO, "admin", nvme->name, "%s failed with status 0x%03x: %s", command,
				       (unsigned int)rc, quoll_nvme_status_name((uint16_t)rc));
	if (rc == -ENODEV)
		return quoll_error_set(err, ENODEV, "admin", nvme->name, "the device went away during %s", command);
	if (rc == -ECANCELED)
		return quoll_error_set(err, ECANCELED, "admin", nvme->name, "a reset cut %s off", command);
	csts = nvme_reg_read32(nvme, NVME_REG_CSTS);
	if (rc == -ETIMEDOUT)
		return quoll_error_set(err, ETIMEDOUT, "admin", nvme->name,
				       "%s was not answered within %u ms; CSTS is 0x%08x (%s)", command,
				       (unsigned int)(nvme->admin.timeout_ns / 1000000u), csts, nvme_csts_text(csts));
	return quoll_error_set(err, -rc, "admin", nvme->name, "the controller failed during %s: CSTS is 0x%08x (%s)",
			       command, csts, nvme_csts_text(csts));
}

/* What would pull the queues away under us, and what is never answered. */
static bool is_refused(uint8_t opcode)
{
	switch (opcode) {
	case nvme_admin_delete_sq:
	case nvme_admin_create_sq:
	case nvme_admin_delete_cq:
	case nvme_admin_create_cq:
	case nvme_admin_dbbuf:
	case nvme_admin_async_event:
		return true;
	default:
		return false;
	}
}

static bool changes_namespaces(uint8_t opcode)
{
	return opcode == nvme_admin_format_nvm || opcode == nvme_admin_ns_mgmt || opcode == nvme_admin_ns_attach;
}

/* There are controllers whose namespaces have one format in common. */
static bool formats_all(const struct quoll_nvme *nvme, uint8_t opcode)
{
	return opcode == nvme_admin_format_nvm && (nvme->id->fna & NVME_CTRL_FNA_FMT_ALL_NAMESPACES);
}

int quoll_nvme_admin(struct quoll_nvme *nvme, const struct quoll_nvme_cmd *cmd, uint32_t *result)
{
	struct nvme_sqe sqe = {
		.opcode = cmd->opcode,
		.nsid = quoll_cpu_to_le32(cmd->nsid),
		.cdw10 = quoll_cpu_to_le32(cmd->cdw10),
		.cdw11 = quoll_cpu_to_le32(cmd->cdw11),
		.cdw12 = quoll_cpu_to_le32(cmd->cdw12),
		.cdw13 = quoll_cpu_to_le32(cmd->cdw13),
		.cdw14 = quoll_cpu_to_le32(cmd->cdw14),
		.cdw15 = quoll_cpu_to_le32(cmd->cdw15),
	};
	quoll_iova_t iova;

	if (is_refused(cmd->opcode))
		return -EPERM;
	if (!cmd->data != !cmd->data_bytes || ((uintptr_t)cmd->data | cmd->data_bytes) & 3 ||
	    cmd->data_bytes > nvme->max_transfer_bytes)
		return -EINVAL;
	if (cmd->data) {
		iova = quoll_heap_iova(nvme->heap, cmd->data, cmd->data_bytes);
		if (iova == QUOLL_IOVA_INVALID)
			return -EFAULT;
		sqe.prp1 = quoll_cpu_to_le64(iova);
		sqe.prp2 = prp_second(iova, cmd->data_bytes, nvme->admin.list);
	}
	/* Marked before it is sent: even if it fails or times out, nobody knows what it has done by then. */
	if (changes_namespaces(cmd->opcode))
		nvme_ns_mark_stale(nvme, formats_all(nvme, cmd->opcode) ? NVME_NSID_ALL : cmd->nsid);
	return nvme_admin_exec(nvme, &sqe, result);
}

const char *quoll_nvme_status_name(uint16_t status)
{
	const char *text = nvme_status_to_string(status & 0x7ff, false);

	return text ? text : "unknown status";
}
