/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * buffers.c - see buffers.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include "buffers.h"

#define PAGE_BYTES 4096ull

static const struct {
	const char *name;
	unsigned int ways; /* of the stream; 0: it has the choice */
} places[] = {
	[NVME_BUFFERS_HEAP] = {"heap", 0},
	[NVME_BUFFERS_STREAM] = {"stream", 0},
	[NVME_BUFFERS_REGISTERED] = {"registered", QUOLL_WAY_BIT(QUOLL_WAY_REGISTERED)},
	[NVME_BUFFERS_CACHED] = {"cached", QUOLL_WAY_BIT(QUOLL_WAY_CACHED)},
	[NVME_BUFFERS_BOUNCE] = {"bounce", QUOLL_WAY_BIT(QUOLL_WAY_BOUNCE)},
};

static uint64_t whole_pages(uint64_t bytes)
{
	return (bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
}

/* With room for every request, whichever way it takes, and for each buffer both to be read and to be written. */
static int open_stream(struct nvme_buffers *buffers, struct quoll_error *err)
{
	const struct nvme_session *session = buffers->session;
	uint64_t nr = buffers->opts.nr, io_bytes = whole_pages(buffers->opts.io_bytes);
	const struct quoll_stream_opts opts = {
		.ways = places[buffers->opts.where].ways,
		.window_bytes = 2 * nr * (io_bytes + PAGE_BYTES),
		.bounce_bytes = nr * io_bytes,
		.cached_bytes = 2 * nr * (io_bytes + PAGE_BYTES),
		.cached_entries = (unsigned int)(2 * nr),
	};

	return quoll_stream_create(session->claims.ioases[0], session->heap, &opts, &buffers->stream, err);
}

int nvme_buffers_open(struct nvme_buffers *buffers, const struct nvme_session *session,
		      const struct nvme_buffers_opts *opts, struct quoll_error *err)
{
	*buffers = (struct nvme_buffers){.session = session, .opts = *opts};
	if (opts->where != NVME_BUFFERS_HEAP)
		return open_stream(buffers, err);
	return quoll_arena_create(session->heap, "data",
				  opts->device_writes ? QUOLL_ARENA_DEVICE_READ_WRITE : QUOLL_ARENA_DEVICE_READ, 0,
				  &buffers->arena, err);
}

void nvme_buffers_close(struct nvme_buffers *buffers)
{
	quoll_stream_destroy(buffers->stream);
	if (buffers->arena)
		quoll_arena_destroy(buffers->arena);
	buffers->stream = NULL;
	buffers->arena = NULL;
}

static int prepare(struct nvme_buffers *buffers, void *va, uint64_t bytes)
{
	if (buffers->opts.where != NVME_BUFFERS_REGISTERED)
		return 0;
	return quoll_stream_register(buffers->stream, va, bytes,
				     QUOLL_SEG_READ | (buffers->opts.device_writes ? QUOLL_SEG_WRITE : 0));
}

uint8_t *nvme_buffers_get(struct nvme_buffers *buffers, uint64_t bytes, struct quoll_error *err)
{
	uint64_t whole = whole_pages(bytes);
	void *va;
	int ret;

	if (buffers->opts.where == NVME_BUFFERS_HEAP)
		return quoll_arena_alloc(buffers->arena, bytes, PAGE_BYTES, &va, err) ? NULL : va;
	va = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (va == MAP_FAILED) {
		quoll_error_set(err, errno, "memory", buffers->session->name, "no %" PRIu64 " bytes of memory: %s",
				whole, strerrordesc_np(errno));
		return NULL;
	}
	ret = prepare(buffers, va, whole);
	if (!ret)
		return va;
	munmap(va, whole);
	quoll_error_set(err, -ret, "memory", buffers->session->name,
			"%" PRIu64 " bytes of buffers cannot be registered: %s", whole, strerrordesc_np(-ret));
	return NULL;
}

void nvme_buffers_put(struct nvme_buffers *buffers, uint8_t *va, uint64_t bytes)
{
	if (!va)
		return;
	if (buffers->opts.where == NVME_BUFFERS_HEAP) {
		(void)quoll_arena_free(buffers->arena, va, bytes);
		return;
	}
	/* Refused while a device may be in it, which then keeps the pages, and not what comes to lie at these
	 * addresses. */
	if (buffers->opts.where == NVME_BUFFERS_REGISTERED)
		(void)quoll_stream_unregister(buffers->stream, va);
	(void)quoll_stream_forget(buffers->stream, va, whole_pages(bytes));
	munmap(va, whole_pages(bytes));
}

void nvme_buffers_describe(const struct nvme_buffers *buffers, json_t *doc)
{
	struct quoll_stream_stats stats = {0};
	json_t *ways = json_object();

	if (buffers->stream)
		quoll_stream_stats(buffers->stream, &stats);
	for (unsigned int way = 0; way < QUOLL_NR_WAYS; way++)
		json_object_set_new(ways, quoll_stream_way_name((enum quoll_stream_way)way),
				    json_integer((json_int_t)stats.segs[way]));
	json_object_set_new(ways, "registrations", json_integer((json_int_t)stats.misses));
	json_object_set_new(doc, "buffers", json_string(places[buffers->opts.where].name));
	json_object_set_new(doc, "streamed", ways);
}
