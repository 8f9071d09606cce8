/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fake_kmod_stream.c - quoll.ko's streaming for unit tests: the entries of rings are done to a list of mappings, by the
 * rules of quoll_uapi.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "fake_kmod.h"

#define PAGE 4096u

static int failure(int errnum)
{
	errno = errnum;
	return -1;
}

static bool overlap(uint64_t a, uint64_t a_bytes, uint64_t b, uint64_t b_bytes)
{
	return a < b + b_bytes && b < a + a_bytes;
}

static int window(struct fake_stream *stream, const struct quoll_window *arg)
{
	if (arg->argsz != sizeof(*arg) || arg->flags || !arg->size_bytes || (arg->iova | arg->size_bytes) % PAGE ||
	    arg->size_bytes > QUOLL_WINDOW_MAX_BYTES)
		return failure(EINVAL);
	if (stream->bytes)
		return failure(EEXIST);
	stream->iova = arg->iova;
	stream->bytes = arg->size_bytes;
	return 0;
}

static int ring(struct fake_stream *stream, struct quoll_stream_ring *arg)
{
	uint64_t need = sizeof(struct quoll_stream_head) + arg->nr_entries * sizeof(struct quoll_stream_entry) +
			2 * arg->nr_entries * sizeof(struct quoll_stream_done);

	if (arg->argsz != sizeof(*arg) || arg->flags || arg->ring || (arg->va | arg->size_bytes) % PAGE ||
	    arg->size_bytes < need || !arg->nr_entries || arg->nr_entries & (arg->nr_entries - 1))
		return failure(EINVAL);
	for (unsigned int i = 0; i < FAKE_MAX_RINGS; i++)
		if (!stream->rings[i].shared) {
			stream->rings[i] = (struct fake_stream_ring){(void *)(uintptr_t)arg->va, arg->nr_entries, 0, 0};
			memset(stream->rings[i].shared, 0, need);
			arg->ring = i;
			return 0;
		}
	return failure(ENOSPC);
}

static void settle(struct fake_stream *stream, unsigned int ring_id)
{
	for (unsigned int i = 0; i < FAKE_MAX_STREAMED; i++) {
		struct fake_streamed *m = &stream->maps[i];

		if (!m->bytes || !m->zapped || m->ring != ring_id)
			continue;
		if (m->buffer)
			m->buffer->uses--;
		*m = (struct fake_streamed){0};
	}
}

static int ring_free(struct fake_stream *stream, const struct quoll_stream_free *arg)
{
	if (arg->argsz != sizeof(*arg) || arg->flags || arg->reserved)
		return failure(EINVAL);
	if (arg->id >= FAKE_MAX_RINGS || !stream->rings[arg->id].shared)
		return failure(ENOENT);
	settle(stream, arg->id);
	stream->rings[arg->id].shared = NULL;
	return 0;
}

static int buffer(struct fake_stream *stream, struct quoll_stream_register *arg)
{
	if (arg->argsz != sizeof(*arg) || arg->flags & ~QUOLL_STREAM_WRITE || arg->buffer || arg->reserved ||
	    !arg->size_bytes || (arg->va | arg->size_bytes) % PAGE)
		return failure(EINVAL);
	for (unsigned int i = 0; i < FAKE_MAX_BUFFERS; i++)
		if (!stream->buffers[i].bytes) {
			stream->buffers[i] =
				(struct fake_buffer){arg->va, arg->size_bytes, arg->flags & QUOLL_STREAM_WRITE, 0};
			arg->buffer = i;
			return 0;
		}
	return failure(ENOSPC);
}

static int buffer_free(struct fake_stream *stream, const struct quoll_stream_free *arg)
{
	if (arg->argsz != sizeof(*arg) || arg->flags || arg->reserved)
		return failure(EINVAL);
	if (arg->id >= FAKE_MAX_BUFFERS || !stream->buffers[arg->id].bytes)
		return failure(ENOENT);
	if (stream->buffers[arg->id].uses)
		return failure(EBUSY);
	stream->buffers[arg->id].bytes = 0;
	return 0;
}

/* Where the memory of a map is, and whose. Return: 0, -errno. */
static int memory(struct fake_stream *stream, const struct quoll_stream_entry *entry, struct fake_streamed *m)
{
	struct fake_buffer *of;

	m->va = entry->va;
	if (!(entry->flags & QUOLL_STREAM_REGISTERED))
		return entry->buffer ? -EINVAL : 0;
	of = entry->buffer < FAKE_MAX_BUFFERS ? &stream->buffers[entry->buffer] : NULL;
	if (!of || !of->bytes)
		return -ENOENT;
	if (entry->va >= of->bytes || entry->size_bytes > of->bytes - entry->va ||
	    (entry->flags & QUOLL_STREAM_WRITE && !of->write))
		return -EFAULT;
	m->va = of->va + entry->va;
	m->buffer = of;
	return 0;
}

static int map(struct fake_stream *stream, const struct quoll_stream_entry *entry)
{
	struct fake_streamed *to = NULL, new = {.iova = entry->iova, .bytes = entry->size_bytes, .flags = entry->flags};
	int rc;

	if (!(entry->flags & (QUOLL_STREAM_READ | QUOLL_STREAM_WRITE)))
		return -EINVAL;
	if (!(entry->flags & QUOLL_STREAM_REGISTERED) && entry->va - stream->no_memory < stream->no_memory_bytes)
		return -EFAULT;
	for (unsigned int i = 0; i < FAKE_MAX_STREAMED; i++) {
		if (!stream->maps[i].bytes)
			to = &stream->maps[i];
		else if (overlap(stream->maps[i].iova, stream->maps[i].bytes, new.iova, new.bytes))
			return -EEXIST;
	}
	rc = memory(stream, entry, &new);
	if (rc || !to)
		return rc ? rc : -ENOMEM;
	if (new.buffer)
		new.buffer->uses++;
	*to = new;
	return 0;
}

static struct fake_streamed *map_from(struct fake_stream *stream, uint64_t iova)
{
	for (unsigned int i = 0; i < FAKE_MAX_STREAMED; i++) {
		struct fake_streamed *m = &stream->maps[i];

		if (m->bytes && iova >= m->iova && iova - m->iova < m->bytes)
			return m;
	}
	return NULL;
}

/* Whole mappings, one behind the other, all or none. */
static int unmap(struct fake_stream *stream, const struct quoll_stream_entry *entry, unsigned int ring_id)
{
	uint64_t end = entry->iova + entry->size_bytes;
	struct fake_streamed *m;

	if (entry->buffer || entry->va || entry->flags & ~QUOLL_STREAM_SILENT)
		return -EINVAL;
	for (uint64_t at = entry->iova; at < end; at += m->bytes) {
		m = map_from(stream, at);
		if (!m || m->zapped)
			return -ENOENT;
		if (m->iova != at || m->bytes > end - at)
			return -EINVAL;
	}
	for (uint64_t at = entry->iova; at < end; at += m->bytes) {
		m = map_from(stream, at);
		m->zapped = true;
		m->ring = ring_id;
	}
	return 0;
}

static int work(struct fake_stream *stream, const struct quoll_stream_entry *entry, unsigned int ring_id)
{
	static const uint8_t none[sizeof(entry->reserved2)];

	if (entry->reserved || memcmp(entry->reserved2, none, sizeof(none)))
		return -EINVAL;
	if (entry->op == stream->fail_op && !stream->fail_skip--) {
		stream->fail_op = stream->fail_skip = 0;
		return stream->fail_errno;
	}
	if (entry->op == QUOLL_STREAM_FENCE) {
		if (entry->flags & ~QUOLL_STREAM_SILENT || entry->va || entry->iova || entry->size_bytes ||
		    entry->buffer)
			return -EINVAL;
		stream->nr_fences++;
		settle(stream, ring_id);
		return 0;
	}
	if (!entry->size_bytes || (entry->va | entry->iova | entry->size_bytes) % PAGE)
		return -EINVAL;
	if (entry->iova < stream->iova || entry->iova - stream->iova >= stream->bytes ||
	    entry->size_bytes > stream->bytes - (entry->iova - stream->iova))
		return -ERANGE;
	return entry->op == QUOLL_STREAM_MAP	 ? map(stream, entry)
	       : entry->op == QUOLL_STREAM_UNMAP ? unmap(stream, entry, ring_id)
						 : -EINVAL;
}

static void complete(struct fake_stream *stream, struct fake_stream_ring *r, const struct quoll_stream_entry *entry,
		     int result)
{
	struct quoll_stream_done *dones =
		(struct quoll_stream_done *)((struct quoll_stream_entry *)(r->shared + 1) + r->nr_entries);

	if (!result && entry->flags & QUOLL_STREAM_SILENT)
		return;
	dones[r->done_tail++ % (2 * r->nr_entries)] = (struct quoll_stream_done){
		.user_data = entry->user_data + (stream->lie_user_data ? 1000 : 0),
		.result = result,
	};
}

static int enter(struct fake_stream *stream, const struct quoll_stream_enter *arg)
{
	struct fake_stream_ring *r = arg->ring < FAKE_MAX_RINGS ? &stream->rings[arg->ring] : NULL;
	const struct quoll_stream_entry *entries;
	uint32_t nr;

	if (arg->argsz != sizeof(*arg) || arg->flags)
		return failure(EINVAL);
	if (!r || !r->shared)
		return failure(ENOENT);
	stream->nr_enters++;
	if (stream->enter_result)
		return stream->enter_result < 0 ? failure(-stream->enter_result) : stream->enter_result;
	entries = (const struct quoll_stream_entry *)(r->shared + 1);
	nr = r->shared->tail - r->head;
	if (nr > r->nr_entries || r->done_tail - r->shared->done_head > 2 * r->nr_entries)
		return failure(EINVAL);
	if (nr > arg->nr_entries)
		nr = arg->nr_entries;
	if (stream->at_once && nr > stream->at_once)
		nr = stream->at_once;
	for (uint32_t i = 0; i < nr; i++) {
		struct quoll_stream_entry entry = entries[r->head++ % r->nr_entries];

		complete(stream, r, &entry, work(stream, &entry, arg->ring));
	}
	stream->nr_entries += nr;
	r->shared->done_tail = r->done_tail + stream->jump;
	r->shared->head = r->head;
	return (int)nr;
}

int fake_stream_ioctl(struct fake_stream *stream, unsigned long request, void *arg)
{
	if (request == QUOLL_STREAM_WINDOW)
		return window(stream, arg);
	if (!stream->bytes)
		return failure(ENOENT);
	switch (request) {
	case QUOLL_STREAM_RING:
		return ring(stream, arg);
	case QUOLL_STREAM_RING_FREE:
		return ring_free(stream, arg);
	case QUOLL_STREAM_ENTER:
		return enter(stream, arg);
	case QUOLL_STREAM_REGISTER:
		return buffer(stream, arg);
	case QUOLL_STREAM_UNREGISTER:
		return buffer_free(stream, arg);
	default:
		return failure(ENOTTY);
	}
}

uint8_t *fake_stream_at(const struct fake_stream *stream, uint64_t iova, unsigned int access)
{
	for (unsigned int i = 0; i < FAKE_MAX_STREAMED; i++) {
		const struct fake_streamed *m = &stream->maps[i];

		if (m->bytes && iova >= m->iova && iova - m->iova < m->bytes && !(access & ~m->flags))
			return (uint8_t *)(uintptr_t)m->va + (iova - m->iova);
	}
	return NULL;
}

unsigned int fake_stream_maps(const struct fake_stream *stream)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < FAKE_MAX_STREAMED; i++)
		nr += stream->maps[i].bytes != 0;
	return nr;
}
