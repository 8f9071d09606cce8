/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * buffers.c - see buffers.h.
 */
#include "buffers.h"

/* With room for every request, whichever way it takes, and for each buffer both to be read and to be written. */
static int open_stream(struct nvme_buffers *buffers, struct quoll_error *err)
{
	const struct nvme_session *session = buffers->session;
	uint64_t nr = buffers->opts.nr, io_bytes = buffers_whole_pages(buffers->opts.io_bytes);
	const struct quoll_stream_opts opts = {
		.ways = buffers_ways(buffers->opts.where),
		.window_bytes = 2 * nr * (io_bytes + BUFFERS_PAGE_BYTES),
		.bounce_bytes = nr * io_bytes,
		.cached_bytes = 2 * nr * (io_bytes + BUFFERS_PAGE_BYTES),
		.cached_entries = (unsigned int)(2 * nr),
		.cached_watch = QUOLL_CACHED_FORGETS, /* buffers_forget() */
	};
	int ret;

	ret = quoll_stream_create(session->claims.ioases[0], session->heap, &opts, &buffers->stream, err);

	if (!ret)
		iommu_faults_streams(session->faults, &buffers->stream, 1);
	return ret;
}

int nvme_buffers_open(struct nvme_buffers *buffers, const struct nvme_session *session,
		      const struct nvme_buffers_opts *opts, struct quoll_error *err)
{
	*buffers = (struct nvme_buffers){.session = session, .opts = *opts};
	if (opts->where != BUFFERS_HEAP)
		return open_stream(buffers, err);
	return quoll_arena_create(session->heap, "data",
				  opts->device_writes ? QUOLL_ARENA_DEVICE_READ_WRITE : QUOLL_ARENA_DEVICE_READ, 0,
				  &buffers->arena, err);
}

void nvme_buffers_close(struct nvme_buffers *buffers)
{
	if (buffers->stream)
		iommu_faults_streams(buffers->session->faults, NULL, 0);
	quoll_stream_destroy(buffers->stream);
	if (buffers->arena)
		quoll_arena_destroy(buffers->arena);
	buffers->stream = NULL;
	buffers->arena = NULL;
}

uint8_t *nvme_buffers_get(struct nvme_buffers *buffers, uint64_t bytes, struct quoll_error *err)
{
	void *va;

	if (buffers->opts.where == BUFFERS_HEAP)
		return quoll_arena_alloc(buffers->arena, bytes, BUFFERS_PAGE_BYTES, &va, err) ? NULL : va;
	va = buffers_map(bytes, buffers->session->name, err);
	if (va && buffers_prepare(buffers->opts.where, buffers->stream, va, bytes, buffers->opts.device_writes,
				  buffers->session->name, err)) {
		buffers_unmap(va, bytes);
		return NULL;
	}
	return va;
}

void nvme_buffers_put(struct nvme_buffers *buffers, uint8_t *va, uint64_t bytes)
{
	if (!va)
		return;
	if (buffers->opts.where == BUFFERS_HEAP) {
		(void)quoll_arena_free(buffers->arena, va, bytes);
		return;
	}
	buffers_forget(buffers->opts.where, buffers->stream, va, bytes);
	buffers_unmap(va, bytes);
}

void nvme_buffers_describe(const struct nvme_buffers *buffers, json_t *doc)
{
	buffers_describe(buffers->opts.where, &buffers->stream, 1, doc);
}
