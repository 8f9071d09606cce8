/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * outside.c - packet buffers in the process's own memory, and the streams that its ports reach them by: one a thread
 * and port, as a stream is one thread's and of one address space.
 */
#include <errno.h>
#include <stdlib.h>

#include "ports.h"

int ports_make_pool_outside(struct ports *p, enum buffers_where where, const struct quoll_pool_opts *opts,
			    struct quoll_error *err)
{
	struct ports_outside *o = &p->outside;
	struct quoll_pool_opts paged = *opts;

	/* Devices are shown whole pages, and no buffer but the one that is meant is to be in them. */
	paged.align = (uint32_t)quoll_round_up_pow2((uint32_t)buffers_whole_pages(opts->buf_bytes));
	o->where = where;
	o->stride_bytes = paged.align;
	o->bytes = (uint64_t)paged.nr_bufs * o->stride_bytes;
	o->nr_bufs = paged.nr_bufs;
	o->va = buffers_map(o->bytes, "buffers", err);
	if (!o->va)
		return -ENOMEM;
	p->nr_bufs[0] = opts->nr_bufs;
	return quoll_pool_create_outside(o->va, o->bytes, &paged, &p->pools[0], err);
}

int ports_stream(struct ports *p, unsigned int thread, unsigned int port, unsigned int nr_mapped,
		 struct quoll_stream **stream, struct quoll_error *err)
{
	struct ports_outside *o = &p->outside;
	struct ports_port *to = &p->ports[port];
	struct quoll_stream **at;
	struct quoll_stream_opts opts = {
		.ways = buffers_ways(o->where),
		.window_bytes = (uint64_t)nr_mapped * o->stride_bytes,
		.bounce_bytes = (uint64_t)nr_mapped * o->stride_bytes,
		.cached_bytes = o->bytes,
		.cached_entries = o->nr_bufs,
		.cached_watch = QUOLL_CACHED_FORGETS, /* buffers_forget() */
	};
	int ret;

	*stream = NULL;
	if (!o->va || to->info.memory != QUOLL_PORT_MEMORY_STREAMED)
		return 0;
	if (!o->streams)
		o->streams = calloc((size_t)p->nr_threads * p->nr_ports, sizeof(struct quoll_stream *));
	if (!o->streams)
		return quoll_error_set(err, ENOMEM, "stream", to->info.name, "out of memory");
	o->nr_streams = p->nr_threads * p->nr_ports;
	at = &o->streams[thread * p->nr_ports + port];
	if (!*at) {
		ret = quoll_stream_create(to->ioas, p->claims.heap, &opts, at, err);
		if (!ret)
			ret = buffers_prepare(o->where, *at, o->va, o->bytes, true, to->info.name, err);
		if (ret)
			return ret;
	}
	*stream = *at;
	return 0;
}

void ports_outside_close(struct ports *p)
{
	struct ports_outside *o = &p->outside;

	for (unsigned int i = 0; i < o->nr_streams; i++)
		if (o->streams[i]) {
			buffers_forget(o->where, o->streams[i], o->va, o->bytes);
			quoll_stream_destroy(o->streams[i]);
		}
	free(o->streams);
	buffers_unmap(o->va, o->bytes);
	*o = (struct ports_outside){.where = o->where};
}
