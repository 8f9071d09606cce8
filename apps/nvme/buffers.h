/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * buffers.h - memory for requests: the heap's, or ordinary memory of the process that goes through a stream.
 */
#ifndef QUOLL_APPS_NVME_BUFFERS_H
#define QUOLL_APPS_NVME_BUFFERS_H

#include "quoll/buffers.h"

#include "session.h"

/**
 * struct nvme_buffers_opts - what is needed
 * @where:         of the buffers
 * @nr:            requests that are in flight at a time
 * @io_bytes:      the largest of them
 * @device_writes: some of them are reads
 */
struct nvme_buffers_opts {
	enum buffers_where where;
	uint64_t nr;
	uint64_t io_bytes;
	bool device_writes;
};

/**
 * struct nvme_buffers - where they come from
 * @stream: for queues; NULL: they are in the heap
 */
struct nvme_buffers {
	const struct nvme_session *session;
	struct nvme_buffers_opts opts;
	struct quoll_arena *arena;
	struct quoll_stream *stream;
};

/**
 * nvme_buffers_open() - nvme_buffers_close() after success or failure, when all buffers are put and no queue has the
 * stream any more
 * Return: 0, -errno: -ENOTSUP: not possible with this back-end.
 */
int nvme_buffers_open(struct nvme_buffers *buffers, const struct nvme_session *session,
		      const struct nvme_buffers_opts *opts, struct quoll_error *err);
void nvme_buffers_close(struct nvme_buffers *buffers);

/**
 * nvme_buffers_get() - whole pages; NULL and the reason if there are none
 */
uint8_t *nvme_buffers_get(struct nvme_buffers *buffers, uint64_t bytes, struct quoll_error *err);

/**
 * nvme_buffers_put() - no request is in it; NULL is nothing
 */
void nvme_buffers_put(struct nvme_buffers *buffers, uint8_t *va, uint64_t bytes);

/**
 * nvme_buffers_describe() - into @doc: buffers, and streamed: how many requests took which way
 */
void nvme_buffers_describe(const struct nvme_buffers *buffers, json_t *doc);

#endif
