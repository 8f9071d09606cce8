/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * buffers.c - see buffers.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include "buffers.h"

static const struct {
	const char *name;
	unsigned int ways; /* of the stream; 0: it has the choice */
} places[] = {
	[BUFFERS_HEAP] = {"heap", 0},
	[BUFFERS_STREAM] = {"stream", 0},
	[BUFFERS_REGISTERED] = {"registered", QUOLL_WAY_BIT(QUOLL_WAY_REGISTERED)},
	[BUFFERS_CACHED] = {"cached", QUOLL_WAY_BIT(QUOLL_WAY_CACHED)},
	[BUFFERS_BOUNCE] = {"bounce", QUOLL_WAY_BIT(QUOLL_WAY_BOUNCE)},
};

unsigned int buffers_ways(enum buffers_where where)
{
	return places[where].ways;
}

uint64_t buffers_whole_pages(uint64_t bytes)
{
	return (bytes + BUFFERS_PAGE_BYTES - 1) / BUFFERS_PAGE_BYTES * BUFFERS_PAGE_BYTES;
}

uint8_t *buffers_map(uint64_t bytes, const char *subject, struct quoll_error *err)
{
	uint64_t whole = buffers_whole_pages(bytes);
	void *va = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (va != MAP_FAILED)
		return va;
	quoll_error_set(err, errno, "memory", subject, "no %" PRIu64 " bytes of memory: %s", whole,
			strerrordesc_np(errno));
	return NULL;
}

void buffers_unmap(uint8_t *va, uint64_t bytes)
{
	if (va)
		munmap(va, buffers_whole_pages(bytes));
}

int buffers_prepare(enum buffers_where where, struct quoll_stream *stream, uint8_t *va, uint64_t bytes, bool writes,
		    const char *subject, struct quoll_error *err)
{
	uint64_t whole = buffers_whole_pages(bytes);
	int ret;

	if (where != BUFFERS_REGISTERED)
		return 0;
	ret = quoll_stream_register(stream, va, whole, QUOLL_SEG_READ | (writes ? QUOLL_SEG_WRITE : 0));
	if (!ret)
		return 0;
	return quoll_error_set(err, -ret, "memory", subject, "%" PRIu64 " bytes of buffers cannot be registered: %s",
			       whole, strerrordesc_np(-ret));
}

void buffers_forget(enum buffers_where where, struct quoll_stream *stream, uint8_t *va, uint64_t bytes)
{
	/* Refused while a device may be in it, which then keeps the pages, and not what comes to lie at these
	 * addresses. */
	if (where == BUFFERS_REGISTERED)
		(void)quoll_stream_unregister(stream, va);
	(void)quoll_stream_forget(stream, va, buffers_whole_pages(bytes));
}

void buffers_describe(enum buffers_where where, struct quoll_stream *const *streams, unsigned int n, json_t *doc)
{
	uint64_t segs[QUOLL_NR_WAYS] = {0}, misses = 0;
	json_t *ways = json_object();

	for (unsigned int i = 0; i < n; i++) {
		struct quoll_stream_stats stats = {0};

		if (streams[i])
			quoll_stream_stats(streams[i], &stats);
		for (unsigned int way = 0; way < QUOLL_NR_WAYS; way++)
			segs[way] += stats.segs[way];
		misses += stats.misses;
	}
	for (unsigned int way = 0; way < QUOLL_NR_WAYS; way++)
		json_object_set_new(ways, quoll_stream_way_name((enum quoll_stream_way)way),
				    json_integer((json_int_t)segs[way]));
	json_object_set_new(ways, "registrations", json_integer((json_int_t)misses));
	json_object_set_new(doc, "buffers", json_string(places[where].name));
	json_object_set_new(doc, "streamed", ways);
}
