/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tgt_host.c - the host of tgt_host.h.
 */
#include <stdlib.h>
#include <string.h>

#include "tgt_host.h"

static void ignore_interrupt(void *arg, uint16_t vector)
{
	(void)arg;
	(void)vector;
}

static void ignore_fault(void *arg, const struct tgt_fault *fault)
{
	(void)arg;
	(void)fault;
}

static void need(bool fact)
{
	if (!fact)
		abort();
}

static void host_make(struct fuzz_host *host)
{
	static const struct tgt_mq_ops ops = {.interrupt = ignore_interrupt, .fault = ignore_fault};
	static const char *const namespaces[] = {"mem:256k", "mem:256k?bs=4096", "null:?size=1M"};
	struct tgt_guest_range range = {.len = FUZZ_MEMORY_BYTES, .prot = TGT_GUEST_READ | TGT_GUEST_WRITE};
	struct tgt_mq_opts opts = {.ops = &ops, .arg = host, .guest = &host->guest, .nr_vectors = 8};

	/* By itself, so that the sanitizer sees what goes beyond it. */
	host->memory = aligned_alloc(4096, FUZZ_MEMORY_BYTES);
	need(host->memory);
	range.va = host->memory;
	tgt_guest_init(&host->guest, NULL, NULL);
	need(!tgt_guest_add(&host->guest, &range));
	need(!tgt_subsys_create(NULL, NULL, &host->subsys, NULL));
	for (unsigned int i = 0; i < 3; i++) {
		struct tgt_ns *ns;

		need(!tgt_ns_open(namespaces[i], &ns, NULL));
		need(tgt_subsys_add_ns(host->subsys, ns, 0, NULL) == (int)i + 1);
	}
	need(!tgt_mq_create(host->subsys, &opts, &host->mq, NULL));
}

/* The admin queues are in pages 0 and 1, those for I/O in 2 and 3. */
struct fuzz_host *fuzz_host(bool io)
{
	static struct fuzz_host host;
	struct tgt_mq_admin admin = {
		.acq = 0x1000,
		.sq_entries = FUZZ_QUEUE_ENTRIES,
		.cq_entries = FUZZ_QUEUE_ENTRIES,
		.page_shift = 12,
	};
	struct tgt_cq *cq;

	if (!host.mq)
		host_make(&host);
	tgt_mq_disable(host.mq);
	need(tgt_mq_idle(host.mq));
	memset(host.memory, 0, 4 * 4096);
	memset(host.tail, 0, sizeof(host.tail));
	tgt_mq_entry_sizes(host.mq, NVME_SQES_SHIFT, NVME_CQES_SHIFT);
	need(!tgt_mq_enable(host.mq, &admin));
	if (!io)
		return &host;
	cq = tgt_mq_add_cq(host.mq, 1, 0x3000, FUZZ_QUEUE_ENTRIES);
	need(cq && tgt_mq_add_sq(host.mq, cq, 1, 0x2000, FUZZ_QUEUE_ENTRIES));
	return &host;
}

/* 2 MiB: half of it is memory. */
static uint64_t near(uint64_t value)
{
	return value & 0xff000000001fffffull;
}

void fuzz_lists(struct fuzz_host *host, const uint8_t *data, size_t size)
{
	uint64_t *lists = (uint64_t *)(host->memory + FUZZ_LISTS);

	for (size_t i = 0; i + 8 <= size && i < 8 * 4096; i += 8) {
		uint64_t value;

		memcpy(&value, data + i, 8);
		/* The second quadword of a descriptor is length and type. */
		lists[i / 8] = near(value) & (i & 8 ? UINT64_MAX : 0x1fffff);
	}
}

void fuzz_command(struct fuzz_host *host, unsigned int queue, const uint8_t entry[64])
{
	struct tgt_ctrl *ctrl = tgt_mq_ctrl(host->mq);
	struct tgt_msq *sq = host->mq->sqs[queue];
	struct nvme_sqe cmd;
	/* Those that wait for room in queues of the fuzzer's are not counted. */
	uint32_t before, after, held = ctrl->nr_taken - host->mq->nr_waiting, answers, holds;

	memcpy(&cmd, entry, sizeof(cmd));
	cmd.prp1 = near(cmd.prp1) & 0x1fffff;
	cmd.prp2 = near(cmd.prp2);
	memcpy(host->memory + 0x2000 * queue + host->tail[queue] * 64, &cmd, sizeof(cmd));
	host->tail[queue] = (host->tail[queue] + 1) % FUZZ_QUEUE_ENTRIES;
	before = sq->cq->tail;
	tgt_mq_doorbell(host->mq, 2 * queue, host->tail[queue]);
	for (unsigned int i = 0; i < 3; i++)
		tgt_mq_poll(host->mq);
	after = sq->cq->tail;
	answers = (after - before) % FUZZ_QUEUE_ENTRIES;
	holds = ctrl->nr_taken - host->mq->nr_waiting;
	/* One answer, or none to a request for events. One more to one that was aborted, or to a wrong doorbell. */
	need(answers + holds == held + 1);
	need(queue ? answers == 1 : holds <= TGT_MAX_AERS);
	tgt_mq_doorbell(host->mq, 2 * queue + 1, after);
}
