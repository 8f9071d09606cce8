/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fake_nvme.c - the fake controller's command side: queues, admin commands, PRPs, the RAM disks. Strict: whatever the
 * driver may not do is a violation, and tests check that there was none.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_internal.h"

#define STATUS_INVALID_OPCODE 0x001
#define STATUS_ABORTED 0x007
#define STATUS_ABORT_LIMIT 0x103
#define STATUS_INVALID_FIELD 0x002
#define STATUS_INVALID_NS 0x00b
#define STATUS_LBA_RANGE 0x080
#define STATUS_CQ_INVALID 0x100
#define STATUS_INVALID_QID 0x101
#define STATUS_INVALID_QSIZE 0x102
#define STATUS_INVALID_VECTOR 0x108
#define STATUS_INVALID_DELETION 0x10c

struct fake_ns *fake_nvme_ns(struct fake_nvme *fake, uint32_t nsid)
{
	for (unsigned int i = 0; i < fake->nr_ns; i++)
		if (fake->ns[i].nsid == nsid)
			return &fake->ns[i];
	return NULL;
}

/* Move one piece that lies within a page. */
static bool move_piece(struct fake_nvme *fake, quoll_iova_t iova, uint8_t *local, uint32_t len, bool to_host)
{
	void *host = fake_pci_dma(&fake->pci, iova, len, to_host);

	if (!host)
		return false;
	if (to_host)
		memcpy(host, local, len);
	else
		memcpy(local, host, len);
	return true;
}

/* Entry i of a PRP list that began at @list, with the chaining of Base Specification 2.0, 4.1.1. */
static bool list_entry(struct fake_nvme *fake, quoll_iova_t *at, uint32_t left, quoll_iova_t *page)
{
	for (;;) {
		bool last_of_page = (*at & 4095) == 4088;
		const quoll_le64 *entry;

		if (*at & 7) {
			fake_pci_violation(&fake->pci, "PRP list at 0x%llx is not qword aligned",
					   (unsigned long long)*at);
			return false;
		}
		entry = fake_pci_dma(&fake->pci, *at, sizeof(*entry), false);
		if (!entry)
			return false;
		if (last_of_page && left > 4096) {
			*at = quoll_le64_to_cpu(*entry);
			continue;
		}
		*page = quoll_le64_to_cpu(*entry);
		*at += sizeof(*entry);
		if (*page & 4095)
			fake_pci_violation(&fake->pci, "PRP 0x%llx in a list is not a page", (unsigned long long)*page);
		return !(*page & 4095);
	}
}

static bool move_prps(struct fake_nvme *fake, const union nvme_sq_slot *sqe, uint8_t *local, uint32_t len, bool to_host)
{
	quoll_iova_t prp1 = quoll_le64_to_cpu(sqe->cmd.prp1);
	quoll_iova_t prp2 = quoll_le64_to_cpu(sqe->cmd.prp2);
	uint32_t piece = 4096 - (uint32_t)(prp1 & 4095);

	if (prp1 & 3)
		fake_pci_violation(&fake->pci, "PRP1 0x%llx is not dword aligned", (unsigned long long)prp1);
	if (piece > len)
		piece = len;
	if (!move_piece(fake, prp1, local, piece, to_host))
		return false;
	local += piece;
	len -= piece;
	if (!len && prp2)
		fake_pci_violation(&fake->pci, "PRP2 is 0x%llx, though PRP1 is enough", (unsigned long long)prp2);
	if (len && len <= 4096) {
		if (prp2 & 4095)
			fake_pci_violation(&fake->pci, "PRP2 0x%llx is not a page", (unsigned long long)prp2);
		return move_piece(fake, prp2, local, len, to_host);
	}
	while (len) {
		quoll_iova_t page;

		if (!list_entry(fake, &prp2, len, &page))
			return false;
		piece = len < 4096 ? len : 4096;
		if (!move_piece(fake, page, local, piece, to_host))
			return false;
		local += piece;
		len -= piece;
	}
	return true;
}

/* Completion queue full: the controller must wait for the host. */
static bool cq_full(struct fake_nvme *fake, uint16_t cqid)
{
	const struct fake_cq *cq = &fake->cq[cqid];

	return (cq->tail + 1) % cq->entries == fake_doorbell(fake, cqid, 1) % cq->entries;
}

static void cq_write(struct fake_nvme *fake, uint16_t cqid, struct nvme_cqe cqe)
{
	struct fake_cq *cq = &fake->cq[cqid];
	struct nvme_cqe *slot = fake_pci_dma(&fake->pci, cq->iova + cq->tail * sizeof(cqe), sizeof(cqe), true);

	if (!slot)
		return;
	slot->dw0 = cqe.dw0;
	slot->dw1 = 0;
	slot->sqhd_sqid = cqe.sqhd_sqid;
	cqe.cid_status &= ~(1u << 16);
	/* Pairs with the driver's read barrier after the phase. */
	__atomic_store_n(&slot->cid_status, cqe.cid_status | cq->phase << 16, __ATOMIC_RELEASE);
	if (++cq->tail == cq->entries) {
		cq->tail = 0;
		cq->phase ^= 1;
	}
	if (cq->interrupts)
		fake_pci_interrupt(&fake->pci, cq->vector);
}

void fake_nvme_post(struct fake_nvme *fake, uint16_t qid, struct nvme_cqe cqe)
{
	pthread_mutex_lock(&fake->pci.lock);
	cq_write(fake, qid, cqe);
	pthread_mutex_unlock(&fake->pci.lock);
}

static void complete(struct fake_nvme *fake, uint16_t qid, const union nvme_sq_slot *sqe, uint32_t result,
		     uint16_t status)
{
	const struct fake_sq *sq = &fake->sq[qid];
	struct nvme_cqe cqe = {
		.dw0 = result,
		.sqhd_sqid = sq->head | (uint32_t)qid << 16,
		.cid_status = sqe->cmd.cid | (uint32_t)status << 17,
	};
	unsigned int times = fake->on_cqe ? fake->on_cqe(fake, qid, &cqe) : 1;

	while (times--)
		cq_write(fake, sq->cqid, cqe);
}

static void fill_ns(const struct fake_ns *ns, struct nvme_id_ns *id)
{
	id->nsze = quoll_cpu_to_le64(ns->nr_lbas);
	id->ncap = id->nsze;
	id->nuse = id->nsze;
	id->noiob = quoll_cpu_to_le16(ns->noiob);
	id->nlbaf = 1;
	id->flbas = 1;
	id->lbaf[0].ds = 12;
	id->lbaf[1].ds = (uint8_t)ns->lba_shift;
	id->eui64[7] = (uint8_t)ns->nsid;
}

static uint16_t identify(struct fake_nvme *fake, const union nvme_sq_slot *sqe)
{
	uint8_t cns = sqe->cmd.cdw10 & 0xff;
	uint32_t nsid = sqe->cmd.nsid;
	uint32_t page[1024] = {0};
	uint16_t status = 0;
	const struct fake_ns *ns;
	unsigned int n = 0;

	switch (cns) {
	case NVME_IDENTIFY_CNS_CTRL:
		memcpy(page, &fake->id, sizeof(fake->id));
		break;
	case NVME_IDENTIFY_CNS_NS:
		ns = fake_nvme_ns(fake, nsid);
		if (ns)
			fill_ns(ns, (struct nvme_id_ns *)page);
		break;
	case NVME_IDENTIFY_CNS_NS_ACTIVE_LIST:
		for (unsigned int i = 0; i < fake->nr_ns; i++)
			if (fake->ns[i].nsid > nsid)
				page[n++] = fake->ns[i].nsid;
		break;
	case NVME_IDENTIFY_CNS_NS_DESC_LIST:
		break;
	default:
		status = STATUS_INVALID_FIELD;
	}
	if (fake->on_identify)
		status = fake->on_identify(fake, cns, nsid, page);
	if (!status)
		move_prps(fake, sqe, (uint8_t *)page, sizeof(page), true);
	return status;
}

static uint16_t create_queue(struct fake_nvme *fake, const union nvme_sq_slot *sqe, bool is_sq)
{
	uint16_t qid = sqe->cmd.cdw10 & 0xffff;
	uint32_t entries = (sqe->cmd.cdw10 >> 16) + 1;
	uint16_t cqid = sqe->cmd.cdw11 >> 16, vector = cqid; /* of an SQ, of a CQ */

	if (!qid || qid >= FAKE_MAX_QUEUES || qid > fake->queues_less_1 + 1 ||
	    (is_sq ? fake->sq[qid].live : fake->cq[qid].live))
		return STATUS_INVALID_QID;
	if (entries < 2 || entries - 1 > NVME_CAP_MQES(fake->cap))
		return STATUS_INVALID_QSIZE;
	if (!(sqe->cmd.cdw11 & 1) || sqe->cmd.prp1 & 4095)
		return STATUS_INVALID_FIELD;
	if (is_sq && (cqid >= FAKE_MAX_QUEUES || !fake->cq[cqid].live))
		return STATUS_CQ_INVALID;
	if (!is_sq && !(sqe->cmd.cdw11 & NVME_CQ_INTERRUPTS) && vector)
		fake_pci_violation(&fake->pci, "vector %u for a queue without interrupts", vector);
	if (!is_sq && vector && vector >= fake->pci.nr_msix_on)
		return STATUS_INVALID_VECTOR;
	fake_doorbell_reset(fake, qid, !is_sq);
	if (is_sq)
		fake->sq[qid] = (struct fake_sq){.live = true, .iova = sqe->cmd.prp1, .entries = entries, .cqid = cqid};
	else
		fake->cq[qid] = (struct fake_cq){.live = true,
						 .iova = sqe->cmd.prp1,
						 .entries = entries,
						 .phase = 1,
						 .interrupts = sqe->cmd.cdw11 & NVME_CQ_INTERRUPTS,
						 .vector = vector};
	return 0;
}

static uint16_t delete_queue(struct fake_nvme *fake, const union nvme_sq_slot *sqe, bool is_sq)
{
	uint16_t qid = sqe->cmd.cdw10 & 0xffff;

	if (!qid || qid >= FAKE_MAX_QUEUES || !(is_sq ? fake->sq[qid].live : fake->cq[qid].live))
		return STATUS_INVALID_QID;
	if (is_sq) {
		fake->sq[qid].live = false;
		fake->nr_deleted_sqs++;
		return 0;
	}
	for (unsigned int i = 1; i < FAKE_MAX_QUEUES; i++)
		if (fake->sq[i].live && fake->sq[i].cqid == qid)
			return STATUS_INVALID_DELETION;
	fake->cq[qid].live = false;
	fake->nr_deleted_cqs++;
	return 0;
}

/* A vendor command of the fake's own: 0xc1 takes cdw10 bytes and checks that each is its index mod 251, 0xc2 gives
 * them. */
static uint16_t vendor(struct fake_nvme *fake, const union nvme_sq_slot *sqe)
{
	uint32_t len = sqe->cmd.cdw10;
	uint8_t *bytes = calloc(1, len + 1);
	uint16_t status = 0;

	for (uint32_t i = 0; sqe->cmd.opcode == 0xc2 && i < len; i++)
		bytes[i] = (uint8_t)(i % 251);
	if (len && !move_prps(fake, sqe, bytes, len, sqe->cmd.opcode == 0xc2))
		status = STATUS_INVALID_FIELD;
	for (uint32_t i = 0; i < len; i++)
		if (bytes[i] != i % 251)
			status = STATUS_INVALID_FIELD;
	free(bytes);
	return status;
}

static void exec_io(struct fake_nvme *fake, uint16_t qid, const union nvme_sq_slot *sqe);

static struct fake_held *find_held(struct fake_nvme *fake, uint16_t qid, uint16_t cid)
{
	for (unsigned int i = 0; i < fake->nr_held; i++)
		if (fake->held[i].qid == qid && fake->held[i].sqe.cmd.cid == cid)
			return &fake->held[i];
	return NULL;
}

static void end_held(struct fake_nvme *fake, struct fake_held *held)
{
	struct fake_held was = *held;

	*held = fake->held[--fake->nr_held];
	if (was.status)
		complete(fake, was.qid, &was.sqe, 0, was.status);
	else
		exec_io(fake, was.qid, &was.sqe);
}

void fake_nvme_release(struct fake_nvme *fake)
{
	pthread_mutex_lock(&fake->pci.lock);
	while (fake->nr_held)
		end_held(fake, &fake->held[0]);
	pthread_mutex_unlock(&fake->pci.lock);
}

static void exec_abort(struct fake_nvme *fake, const union nvme_sq_slot *sqe)
{
	struct fake_held *held = find_held(fake, sqe->cmd.cdw10 & 0xffff, sqe->cmd.cdw10 >> 16);
	uint32_t not_done = !held || fake->abort == FAKE_ABORT_REFUSED;

	fake->nr_aborts++;
	if (fake->nr_mute_aborts + 1 > fake->most_aborts)
		fake->most_aborts = fake->nr_mute_aborts + 1;
	if (fake->nr_mute_aborts > fake->id.acl) {
		fake_pci_violation(&fake->pci, "more aborts than ACL %u allows", fake->id.acl);
		complete(fake, 0, sqe, 1, STATUS_ABORT_LIMIT);
		return;
	}
	if (fake->abort == FAKE_ABORT_MUTE) {
		fake->mute_aborts[fake->nr_mute_aborts++] = *sqe;
		return;
	}
	if (!not_done)
		held->status = STATUS_ABORTED;
	if (!not_done && fake->abort == FAKE_ABORT_FIRST)
		end_held(fake, held);
	complete(fake, 0, sqe, not_done, 0);
	if (!not_done && fake->abort == FAKE_ABORT_AFTER)
		end_held(fake, held);
}

void fake_nvme_answer_aborts(struct fake_nvme *fake)
{
	pthread_mutex_lock(&fake->pci.lock);
	while (fake->nr_mute_aborts)
		complete(fake, 0, &fake->mute_aborts[--fake->nr_mute_aborts], 1, 0);
	pthread_mutex_unlock(&fake->pci.lock);
}

static void exec_admin(struct fake_nvme *fake, const union nvme_sq_slot *sqe)
{
	uint32_t result = 0;
	uint16_t status;

	fake->nr_admin++;
	if (fake->refuses && sqe->cmd.opcode == fake->refused_opcode) {
		complete(fake, 0, sqe, 0, STATUS_INVALID_FIELD);
		return;
	}
	switch (sqe->cmd.opcode) {
	case nvme_admin_abort_cmd:
		exec_abort(fake, sqe);
		return;
	case nvme_admin_identify:
		status = identify(fake, sqe);
		break;
	case nvme_admin_set_features:
		status = sqe->cmd.cdw10 == NVME_FEAT_FID_NUM_QUEUES ? 0 : STATUS_INVALID_FIELD;
		result = fake->queues_less_1 | (uint32_t)fake->queues_less_1 << 16;
		break;
	case nvme_admin_create_cq:
	case nvme_admin_create_sq:
		status = create_queue(fake, sqe, sqe->cmd.opcode == nvme_admin_create_sq);
		break;
	case nvme_admin_delete_cq:
	case nvme_admin_delete_sq:
		status = delete_queue(fake, sqe, sqe->cmd.opcode == nvme_admin_delete_sq);
		break;
	case nvme_admin_dbbuf:
		status = fake_doorbell_buffers(fake, sqe);
		break;
	case nvme_admin_format_nvm:
		status = 0;
		break;
	case 0xc1:
	case 0xc2:
		status = vendor(fake, sqe);
		result = 0x1234;
		break;
	default:
		status = STATUS_INVALID_OPCODE;
	}
	if (!fake->mute_admin && (!fake->mute_opcode || sqe->cmd.opcode != fake->mute_opcode))
		complete(fake, 0, sqe, result, status);
}

static uint16_t read_write(struct fake_nvme *fake, const union nvme_sq_slot *sqe)
{
	const struct fake_ns *ns = fake_nvme_ns(fake, sqe->rw.nsid);
	uint32_t nr = (sqe->rw.nlb & 0xffff) + 1;
	uint64_t bytes;

	if (!ns)
		return STATUS_INVALID_NS;
	if (sqe->rw.slba >= ns->nr_lbas || nr > ns->nr_lbas - sqe->rw.slba)
		return STATUS_LBA_RANGE;
	bytes = (uint64_t)nr << ns->lba_shift;
	if (fake->id.mdts && bytes > 4096ull << fake->id.mdts)
		fake_pci_violation(&fake->pci, "%llu bytes are more than MDTS", (unsigned long long)bytes);
	if (ns->noiob && sqe->rw.slba / ns->noiob != (sqe->rw.slba + nr - 1) / ns->noiob)
		fake_pci_violation(&fake->pci, "LBA %llu + %u crosses the boundary of %u",
				   (unsigned long long)sqe->rw.slba, nr, ns->noiob);
	if (nr > fake->max_lbas_seen)
		fake->max_lbas_seen = nr;
	if (sqe->rw.mptr || sqe->rw.cdw2 || sqe->rw.cdw3 || sqe->cmd.flags || sqe->rw.nlb >> 16 || sqe->rw.cdw13 ||
	    sqe->rw.cdw14 || sqe->rw.cdw15)
		fake_pci_violation(&fake->pci, "fields that should be 0 are not");
	if (!move_prps(fake, sqe, ns->disk + (sqe->rw.slba << ns->lba_shift), (uint32_t)bytes,
		       sqe->cmd.opcode == nvme_cmd_read))
		return 0x004; /* data transfer error */
	return 0;
}

static void exec_io(struct fake_nvme *fake, uint16_t qid, const union nvme_sq_slot *sqe)
{
	uint16_t status = fake->on_io ? fake->on_io(fake, qid, sqe) : 0;

	fake->nr_io++;
	if (!status) {
		switch (sqe->cmd.opcode) {
		case nvme_cmd_read:
		case nvme_cmd_write:
			status = read_write(fake, sqe);
			break;
		case nvme_cmd_flush:
			status = fake_nvme_ns(fake, sqe->cmd.nsid) ? 0 : STATUS_INVALID_NS;
			if (sqe->cmd.prp1 || sqe->cmd.prp2 || sqe->cmd.cdw10 || sqe->cmd.cdw12)
				fake_pci_violation(&fake->pci, "flush with leftovers of a read or write");
			break;
		default:
			status = STATUS_INVALID_OPCODE;
		}
	}
	complete(fake, qid, sqe, 0, status);
}

const union nvme_sq_slot *fake_nvme_sqe(struct fake_nvme *fake, uint16_t qid, uint32_t idx)
{
	return fake_pci_dma(&fake->pci, fake->sq[qid].iova + idx * sizeof(union nvme_sq_slot),
			    sizeof(union nvme_sq_slot), false);
}

/* Fetch what the doorbell announces; carry it out, in order or not. Return: how many. */
static uint32_t run_queue(struct fake_nvme *fake, uint16_t qid)
{
	struct fake_sq *sq = &fake->sq[qid];
	static union nvme_sq_slot batch[65536];
	uint32_t tail = fake_doorbell(fake, qid, 0);
	uint32_t nr = 0;

	if (tail >= sq->entries) {
		fake_pci_violation(&fake->pci, "doorbell of queue %u is %u, beyond its end", qid, tail);
		return 0;
	}
	while (sq->head != tail) {
		const union nvme_sq_slot *sqe = fake_nvme_sqe(fake, qid, sq->head);

		if (!sqe)
			return 0;
		batch[nr++] = *sqe;
		sq->head = (sq->head + 1) % sq->entries;
	}
	for (uint32_t i = nr; fake->shuffle && i > 1; i--) {
		uint32_t j = fake_pci_random(&fake->pci) % i;
		union nvme_sq_slot tmp = batch[j];

		batch[j] = batch[i - 1];
		batch[i - 1] = tmp;
	}
	for (uint32_t i = 0; i < nr; i++) {
		/* The driver never has more in flight than fits; were it so, completions would be lost here. */
		if (cq_full(fake, sq->cqid) && !fake->on_cqe)
			fake_pci_violation(&fake->pci, "completion queue of queue %u overrun", qid);
		if (qid && (fake->hold_io || (fake->on_hold && fake->on_hold(fake, qid, &batch[i]))))
			fake->held[fake->nr_held++ % FAKE_MAX_HELD] = (struct fake_held){.qid = qid, .sqe = batch[i]};
		else if (qid)
			exec_io(fake, qid, &batch[i]);
		else
			exec_admin(fake, &batch[i]);
	}
	return nr;
}

void fake_run_queues(struct fake_nvme *fake)
{
	uint32_t nr = 0;

	/* A fetch is stopped on its way. That is no fault: a driver cuts a device off as it stands, commands and all.
	 */
	if (!fake_pci_bus_master(&fake->pci))
		return;
	if (fake->sq[0].live)
		run_queue(fake, 0);
	if (fake->mute_io || !fake_is_awake(fake))
		return;
	for (uint16_t qid = 1; qid < FAKE_MAX_QUEUES; qid++)
		if (fake->sq[qid].live)
			nr += run_queue(fake, qid);
	if (!nr)
		fake_nap(fake);
}
