/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stream.c - streams come and go, and the way that each piece of memory takes: the first that is allowed and possible,
 * from the cheapest on.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include <quoll/counter.h>

#include "mem/mem.h"
#include "stream/internal.h"

#define ALL_WAYS (QUOLL_WAY_BIT(QUOLL_NR_WAYS) - 1)
#define SAFE_WAYS (QUOLL_WAY_BIT(QUOLL_WAY_HEAP) | QUOLL_WAY_BIT(QUOLL_WAY_BOUNCE))
/* No process has more; so nothing that is rounded up or added to it wraps. */
#define SEG_MAX_BYTES (1ull << 57)
#define DEFAULT_BOUNCE_BYTES (4ull << 20)

static bool allows(const struct quoll_stream *stream, enum quoll_stream_way way)
{
	return stream->ways & QUOLL_WAY_BIT(way);
}

const char *quoll_stream_way_name(enum quoll_stream_way way)
{
	static const char *const names[QUOLL_NR_WAYS] = {"heap", "cached", "bounce"};

	return (unsigned int)way < QUOLL_NR_WAYS ? names[way] : "unknown";
}

static bool is_attached(const struct quoll_heap *pub, const struct quoll_ioas *ioas)
{
	const struct heap *heap = (const struct heap *)pub;

	for (unsigned int i = 0; i < heap->nr_ioases; i++)
		if (heap->ioases[i] == ioas)
			return true;
	return false;
}

static int open_ways(struct quoll_stream *stream, struct quoll_ioas *ioas, struct quoll_heap *heap,
		     const struct quoll_stream_opts *opts, struct quoll_error *err)
{
	int rc = 0;

	if (allows(stream, QUOLL_WAY_CACHED))
		rc = stream_cache_init(&stream->cache, ioas, opts, err);
	if (!rc && allows(stream, QUOLL_WAY_BOUNCE))
		rc = stream_bounce_init(&stream->bounce, heap,
					opts->bounce_bytes ? opts->bounce_bytes : DEFAULT_BOUNCE_BYTES, err);
	return rc;
}

int quoll_stream_create(struct quoll_ioas *ioas, struct quoll_heap *heap, const struct quoll_stream_opts *opts,
			struct quoll_stream **stream, struct quoll_error *err)
{
	static const struct quoll_stream_opts defaults;
	struct quoll_stream *new;
	int rc;

	if (!opts)
		opts = &defaults;
	if (opts->ways & ~ALL_WAYS)
		return quoll_error_set(err, EINVAL, "stream", "create", "0x%x is not a set of ways", opts->ways);
	if (!is_attached(heap, ioas))
		return quoll_error_set(err, EINVAL, "stream", "create",
				       "the heap is not attached to the address space");
	new = calloc(1, sizeof(*new));
	if (!new)
		return quoll_error_set(err, ENOMEM, "stream", "create", "out of memory");
	new->heap = heap;
	new->ways = opts->ways ? opts->ways : SAFE_WAYS;
	rc = open_ways(new, ioas, heap, opts, err);
	if (rc) {
		quoll_stream_destroy(new);
		return rc;
	}
	*stream = new;
	return 0;
}

void quoll_stream_destroy(struct quoll_stream *stream)
{
	if (!stream)
		return;
	if (allows(stream, QUOLL_WAY_CACHED))
		stream_cache_fini(&stream->cache);
	if (allows(stream, QUOLL_WAY_BOUNCE))
		stream_bounce_fini(&stream->bounce);
	free(stream);
}

static bool makes_sense(const struct quoll_stream_seg *seg)
{
	return seg->bytes && seg->bytes <= SEG_MAX_BYTES && seg->dir &&
	       !(seg->dir & ~(QUOLL_SEG_READ | QUOLL_SEG_WRITE)) && seg->bytes - 1 <= UINTPTR_MAX - (uintptr_t)seg->va;
}

/* Return: 0, and seg has the way and an IOVA; -errno of the last way that was tried. */
static int pick(struct quoll_stream *stream, struct quoll_stream_seg *seg)
{
	int rc = -EFAULT;

	if (allows(stream, QUOLL_WAY_HEAP)) {
		seg->way = QUOLL_WAY_HEAP;
		seg->iova = quoll_heap_iova(stream->heap, seg->va, seg->bytes);
		if (seg->iova != QUOLL_IOVA_INVALID)
			return 0;
	}
	if (allows(stream, QUOLL_WAY_CACHED)) {
		seg->way = QUOLL_WAY_CACHED;
		rc = stream_cache_map(&stream->cache, seg);
		if (!rc)
			return 0;
	}
	if (allows(stream, QUOLL_WAY_BOUNCE)) {
		int cached = rc;

		seg->way = QUOLL_WAY_BOUNCE;
		rc = stream_bounce_map(&stream->bounce, seg);
		/* Too much to bounce, but not to be registered once there is room. */
		if (rc == -E2BIG && cached == -EAGAIN)
			rc = cached;
	}
	return rc;
}

int quoll_stream_map(struct quoll_stream *stream, struct quoll_stream_seg *segs, unsigned int n)
{
	unsigned int i;
	int rc = 0;

	for (i = 0; i < n; i++) {
		struct quoll_stream_seg *seg = &segs[i];

		rc = QUOLL_LIKELY(makes_sense(seg)) ? pick(stream, seg) : -EINVAL;
		if (QUOLL_UNLIKELY(rc))
			break;
		seg->valid_bytes = seg->bytes;
		quoll_count(&stream->segs[seg->way], 1);
		quoll_count(&stream->bytes[seg->way], seg->bytes);
	}
	return i ? (int)i : rc;
}

void quoll_stream_unmap(struct quoll_stream *stream, const struct quoll_stream_seg *segs, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		if (segs[i].way == QUOLL_WAY_CACHED)
			stream_cache_unmap(&stream->cache, &segs[i]);
		else if (segs[i].way == QUOLL_WAY_BOUNCE)
			stream_bounce_unmap(&stream->bounce, &segs[i]);
	}
}

int quoll_stream_forget(struct quoll_stream *stream, const void *va, uint64_t bytes)
{
	if (!allows(stream, QUOLL_WAY_CACHED) || !bytes)
		return 0;
	return stream_cache_forget(&stream->cache, (uintptr_t)va, bytes);
}

void quoll_stream_stats(const struct quoll_stream *stream, struct quoll_stream_stats *stats)
{
	*stats = (struct quoll_stream_stats){
		.hits = quoll_counted(&stream->cache.hits),
		.misses = quoll_counted(&stream->cache.misses),
		.evicted = quoll_counted(&stream->cache.evicted),
		.registered_bytes = quoll_counted(&stream->cache.bytes),
		.registrations = quoll_counted(&stream->cache.nr),
	};
	for (unsigned int way = 0; way < QUOLL_NR_WAYS; way++) {
		stats->segs[way] = quoll_counted(&stream->segs[way]);
		stats->bytes[way] = quoll_counted(&stream->bytes[way]);
	}
}

unsigned int quoll_stream_ways(const struct quoll_stream *stream)
{
	return stream->ways;
}
