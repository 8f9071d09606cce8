/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * abort.c - Abort commands, in the controller's thread. Base Specification 2.0, 5.1.
 *
 * A queue's thread leaves a CID in its link, one at a time; recover.c says how it chooses. No more are under way than
 * the controller takes (Abort Command Limit), nor so many that there is no room for the other commands: one that a
 * controller does not answer stays in the admin queue. What the device makes of an Abort does not matter here: the
 * command ends with its own completion, before or after that of the Abort, or in a reset.
 */
#include <errno.h>

#include "nvme_internal.h"

#define MAX_ABORTS (NVME_ADMIN_SLOTS - NVME_ADMIN_ABORTS)
#define ABORT_NOT_DONE 1u /* completion dword 0, bit 0 */

/* The queue's thread may use the CID again. */
static void hand_link_back(struct nvme_abort *abort)
{
	if (abort->queue)
		__atomic_store_n(&abort->queue->link.abort, 0, __ATOMIC_RELEASE);
	*abort = (struct nvme_abort){0};
}

void nvme_abort_forget(struct quoll_nvme *nvme, const struct quoll_nvme_queue *queue)
{
	for (unsigned int i = 0; i < MAX_ABORTS; i++)
		if (nvme->aborts[i].queue == queue)
			nvme->aborts[i].queue = NULL;
}

void nvme_abort_forget_all(struct quoll_nvme *nvme)
{
	for (unsigned int i = 0; i < MAX_ABORTS; i++)
		hand_link_back(&nvme->aborts[i]);
}

/* Return: false: it is too late, and a reset has begun. */
static bool take_answer(struct quoll_nvme *nvme, unsigned int i)
{
	uint32_t result;
	int rc = nvme_admin_answer(nvme, NVME_ADMIN_ABORTS + i, &result);

	if (rc == -EINPROGRESS)
		return true;
	if (rc == -ETIMEDOUT) {
		/* The caller decides about the controller; its limit goes on being used up. */
		if (nvme->recovery == QUOLL_NVME_TELL)
			return true;
		(void)nvme_ctrl_trouble(nvme, "an Abort command was not answered");
		return false;
	}
	nvme_count(&nvme->nr_aborts);
	if (!rc && !(result & ABORT_NOT_DONE))
		nvme_count(&nvme->nr_aborted);
	hand_link_back(&nvme->aborts[i]);
	return true;
}

/* Send what a queue wants aborted. Return: false: there is no room for it. */
static bool send_abort(struct quoll_nvme *nvme, struct quoll_nvme_queue *queue, uint32_t wanted)
{
	unsigned int limit = nvme->id->acl + 1u < MAX_ABORTS ? nvme->id->acl + 1u : MAX_ABORTS;
	uint16_t cid = (uint16_t)wanted;
	struct nvme_sqe cmd = {
		.opcode = nvme_admin_abort_cmd,
		.cdw10 = quoll_cpu_to_le32((uint32_t)cid << 16 | queue->qid),
	};
	unsigned int i = 0;

	while (i < limit && nvme->aborts[i].used)
		i++;
	if (i == limit || nvme->admin.nr_busy + 1 + NVME_ADMIN_ABORTS > nvme->admin.entries - 1)
		return false;
	/* The command may have ended meanwhile; then its slot is not waited for, and may have another user. */
	if (__atomic_compare_exchange_n(&queue->link.abort, &wanted, NVME_ABORT_TAKEN | cid, false, __ATOMIC_ACQ_REL,
					__ATOMIC_ACQUIRE)) {
		nvme->aborts[i] = (struct nvme_abort){.used = true, .queue = queue};
		(void)nvme_admin_send(nvme, NVME_ADMIN_ABORTS + i, &cmd);
	}
	return true;
}

void nvme_abort_work(struct quoll_nvme *nvme)
{
	for (unsigned int i = 0; i < MAX_ABORTS; i++)
		if (nvme->aborts[i].used && !take_answer(nvme, i))
			return;
	for (unsigned int i = 0; i < nvme->max_io_queues; i++) {
		struct quoll_nvme_queue *queue = nvme->queues[i];
		uint32_t wanted = queue ? __atomic_load_n(&queue->link.abort, __ATOMIC_ACQUIRE) : 0;

		if (wanted & NVME_ABORT_WANTED && !send_abort(nvme, queue, wanted))
			return;
	}
}
