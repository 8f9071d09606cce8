/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mq_host.h - the one host of a test of queues, on tgt_fixture.h: where its rings are, a namespace of 1 MiB.
 */
#ifndef QUOLL_TESTS_MQ_HOST_H
#define QUOLL_TESTS_MQ_HOST_H

#include "target/mq_internal.h"
#include "tgt_fixture.h"

static struct host host;

#define SQ_AT HOST_PAGE(3500)
#define CQ_AT HOST_PAGE(3600)

static inline void start(void)
{
	static const char *const namespaces[] = {"mem:1M", NULL};

	host_start(&host, namespaces);
}

static inline uint16_t delete (uint8_t opcode, uint16_t qid)
{
	return host_admin(&host, (struct nvme_sqe){.opcode = opcode, .cdw10 = qid});
}

static inline struct nvme_sqe read_cmd(uint16_t cid)
{
	struct nvme_sqe cmd = host_rw(&host, nvme_cmd_read, 0, 8, 512);

	cmd.cid = cid;
	return cmd;
}

#endif
