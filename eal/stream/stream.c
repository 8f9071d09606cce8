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
#define WINDOW_WAYS (QUOLL_WAY_BIT(QUOLL_WAY_REGISTERED) | QUOLL_WAY_BIT(QUOLL_WAY_WINDOW))
/* No process has more; so nothing that is rounded up or added to it wraps. */
#define SEG_MAX_BYTES (1ull << 57)
#define DEFAULT_BOUNCE_BYTES (4ull << 20)

static bool allows(const struct quoll_stream *stream, enum quoll_stream_way way)
{
	return stream->ways & QUOLL_WAY_BIT(way);
}

const char *quoll_stream_way_name(enum quoll_stream_way way)
{
	static const char *const names[QUOLL_NR_WAYS] = {"heap", "registered", "window", "cached", "bounce"};

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

/* Who has not asked for it can do without. */
static int open_window(struct quoll_stream *stream, struct quoll_ioas *ioas, const struct quoll_stream_opts *opts,
		       struct quoll_error *err)
{
	struct quoll_error why;
	int rc;

	if (stream->ways & WINDOW_WAYS)
		return stream_window_init(&stream->window, ioas, opts->window_bytes, err);
	if (opts->ways || !ioas->ops->stream)
		return 0;
	rc = stream_window_init(&stream->window, ioas, opts->window_bytes, &why);
	if (!rc) {
		stream->ways |= WINDOW_WAYS;
		return 0;
	}
	quoll_log(&ioas->env, QUOLL_LOG_INFO, "stream", "what is outside of the heap bounces: %s", why.what);
	stream_window_fini(&stream->window);
	stream->window = (struct stream_window){0};
	return 0;
}

static int open_ways(struct quoll_stream *stream, struct quoll_ioas *ioas, struct quoll_heap *heap,
		     const struct quoll_stream_opts *opts, struct quoll_error *err)
{
	int rc = 0;

	if (allows(stream, QUOLL_WAY_CACHED))
		rc = stream_cache_init(&stream->cache, ioas, opts, err);
	if (!rc)
		rc = open_window(stream, ioas, opts, err);
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
	if (opts->cached_watch > QUOLL_CACHED_FORGETS)
		return quoll_error_set(err, EINVAL, "stream", "create", "%u is no way to learn that memory has gone",
				       opts->cached_watch);
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
	stream_window_fini(&stream->window);
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

static int try(struct quoll_stream *stream, struct quoll_stream_seg *seg)
{
	switch (seg->way) {
	case QUOLL_WAY_HEAP:
		seg->iova = quoll_heap_iova(stream->heap, seg->va, seg->bytes);
		return seg->iova == QUOLL_IOVA_INVALID ? -EFAULT : 0;
	case QUOLL_WAY_REGISTERED:
		return stream_window_stage_registered(&stream->window, seg);
	case QUOLL_WAY_WINDOW:
		return stream_window_stage(&stream->window, seg);
	case QUOLL_WAY_CACHED:
		return stream_cache_map(&stream->cache, seg);
	default:
		return stream_bounce_map(&stream->bounce, seg);
	}
}

/* From @way on. Return: 0, and seg has the way and an IOVA; -errno of the last way that was tried. */
static int pick(struct quoll_stream *stream, struct quoll_stream_seg *seg, unsigned int way)
{
	int rc = -EFAULT;

	for (; way < QUOLL_NR_WAYS; way++) {
		int last = rc;

		if (!allows(stream, way))
			continue;
		seg->way = way;
		rc = try(stream, seg);
		if (!rc)
			return 0;
		/* Too much for this way, but not for the one before once there is room. */
		if (rc == -E2BIG && last == -EAGAIN)
			rc = last;
	}
	seg->way = QUOLL_NR_WAYS;
	return rc;
}

static bool is_staged(const struct quoll_stream_seg *seg)
{
	return seg->way == QUOLL_WAY_REGISTERED || seg->way == QUOLL_WAY_WINDOW;
}

/*
 * Have the kernel map what was staged. What it refuses goes another way; where there is none, nothing from there on is
 * mapped. Return: how many are.
 */
static unsigned int map_staged(struct quoll_stream *stream, struct quoll_stream_seg *segs, unsigned int n, int *errnum)
{
	unsigned int staged = 0, end = n;

	if (QUOLL_LIKELY(stream_window_map(&stream->window)))
		return n;
	for (unsigned int i = 0; i < n; i++) {
		int rc = is_staged(&segs[i]) ? stream->window.results[staged++] : 0;
		int other = rc ? pick(stream, &segs[i], QUOLL_WAY_CACHED) : 0;

		if (!other || i > end)
			continue;
		end = i;
		/* Why the kernel refused it, unless there will be room elsewhere. */
		*errnum = other == -EAGAIN ? other : rc;
	}
	for (unsigned int i = end; i < n; i++)
		segs[i].valid_bytes = 0; /* nothing to be copied back */
	if (end < n)
		quoll_stream_unmap(stream, segs + end, n - end);
	return end;
}

/* Counters are memory, so that those of one way behind each other are counted together. */
static void count(struct quoll_stream *stream, const struct quoll_stream_seg *segs, unsigned int n)
{
	uint64_t bytes;
	unsigned int i, from, way;

	for (from = 0; from < n; from = i) {
		way = segs[from].way;
		bytes = 0;
		for (i = from; i < n && segs[i].way == way; i++)
			bytes += segs[i].bytes;
		quoll_count(&stream->segs[way], i - from);
		quoll_count(&stream->bytes[way], bytes);
	}
}

/* At most STREAM_BATCH. Return: how many are mapped; if not all, why is in @errnum. */
static unsigned int map_batch(struct quoll_stream *stream, struct quoll_stream_seg *segs, unsigned int n, int *errnum)
{
	unsigned int nr;

	stream_cache_begin(&stream->cache);
	for (nr = 0; nr < n; nr++) {
		*errnum = QUOLL_LIKELY(makes_sense(&segs[nr])) ? pick(stream, &segs[nr], 0) : -EINVAL;
		if (QUOLL_UNLIKELY(*errnum))
			break;
		segs[nr].valid_bytes = segs[nr].bytes;
	}
	if (stream->window.nr_staged)
		nr = map_staged(stream, segs, nr, errnum);
	count(stream, segs, nr);
	return nr;
}

int quoll_stream_map(struct quoll_stream *stream, struct quoll_stream_seg *segs, unsigned int n)
{
	unsigned int done = 0;
	int rc = 0;

	while (done < n) {
		unsigned int batch = n - done < STREAM_BATCH ? n - done : STREAM_BATCH;
		unsigned int nr = map_batch(stream, segs + done, batch, &rc);

		done += nr;
		if (nr < batch)
			break;
	}
	return done ? (int)done : rc;
}

void quoll_stream_unmap(struct quoll_stream *stream, const struct quoll_stream_seg *segs, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		if (is_staged(&segs[i]))
			stream_window_stage_unmap(&stream->window, &segs[i]);
		else if (segs[i].way == QUOLL_WAY_CACHED)
			stream_cache_unmap(&stream->cache, &segs[i]);
		else if (segs[i].way == QUOLL_WAY_BOUNCE)
			stream_bounce_unmap(&stream->bounce, &segs[i]);
	}
	if (stream->window.nr_staged)
		stream_window_unmap(&stream->window);
}

void quoll_stream_sync(struct quoll_stream *stream, const struct quoll_stream_seg *seg, unsigned int dir)
{
	if (seg->way == QUOLL_WAY_BOUNCE)
		stream_bounce_sync(&stream->bounce, seg, dir);
}

int quoll_stream_register(struct quoll_stream *stream, void *va, uint64_t bytes, unsigned int dir)
{
	if (!allows(stream, QUOLL_WAY_REGISTERED))
		return -ENOTSUP;
	return stream_window_register(&stream->window, (uintptr_t)va, bytes, dir);
}

int quoll_stream_unregister(struct quoll_stream *stream, const void *va)
{
	if (!allows(stream, QUOLL_WAY_REGISTERED))
		return -ENOTSUP;
	return stream_window_unregister(&stream->window, (uintptr_t)va);
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
		.gone = quoll_counted(&stream->cache.gone),
		.unwatched = quoll_counted(&stream->cache.unwatched),
		.unwatched_errno = __atomic_load_n(&stream->cache.unwatched_errno, __ATOMIC_RELAXED),
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
