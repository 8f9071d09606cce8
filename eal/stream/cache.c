/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * cache.c - registrations: whole pages of the process that stay mapped after the I/O that they were mapped for, because
 * the next one may be there as well.
 *
 * An entry is found by its first page, and serves what begins in that and is no longer. While an I/O uses it, it is in
 * no list and cannot be thrown out; after that it is the newest of those that can. IOVAs come from a window that is
 * twice as large as what may be registered, so that there is nearly always a run of them.
 *
 * When memory goes away the watch (watch.c) marks its entries, and this thread sees to them before it looks for the
 * next one: for a hit that is a load of the turn's number and a comparison, which in the first of a call may be made to
 * fail so that the kernel is asked.
 */
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <quoll/counter.h>

#include "mem/mem.h"
#include "stream/internal.h"

#define DEFAULT_BYTES (64ull << 20)
#define DEFAULT_ENTRIES 1024u
#define MAX_ENTRIES (1u << 20)

/* Lists: free entries, buckets, and those that no I/O uses by age. */

static uint32_t bucket_of(const struct stream_cache *cache, uintptr_t va)
{
	return (uint32_t)(((uint64_t)va / STREAM_PAGE_BYTES * 0x9e3779b97f4a7c15ull) >> cache->bucket_shift);
}

static void bucket_remove(struct stream_cache *cache, uint32_t idx)
{
	uint32_t *at = &cache->buckets[bucket_of(cache, cache->entries[idx].va)];

	while (*at != idx)
		at = &cache->entries[*at].hash_next;
	*at = cache->entries[idx].hash_next;
}

static void age_append(struct stream_cache *cache, uint32_t idx)
{
	struct stream_entry *entry = &cache->entries[idx];

	entry->older = cache->newest;
	entry->newer = STREAM_NO_ENTRY;
	if (cache->newest == STREAM_NO_ENTRY)
		cache->oldest = idx;
	else
		cache->entries[cache->newest].newer = idx;
	cache->newest = idx;
}

static void age_remove(struct stream_cache *cache, uint32_t idx)
{
	const struct stream_entry *entry = &cache->entries[idx];

	if (entry->older == STREAM_NO_ENTRY)
		cache->oldest = entry->newer;
	else
		cache->entries[entry->older].newer = entry->newer;
	if (entry->newer == STREAM_NO_ENTRY)
		cache->newest = entry->older;
	else
		cache->entries[entry->newer].older = entry->older;
}

static uint32_t find(const struct stream_cache *cache, uintptr_t va, uint64_t bytes, unsigned int access)
{
	uint32_t idx = cache->buckets[bucket_of(cache, va)];

	while (idx != STREAM_NO_ENTRY) {
		const struct stream_entry *entry = &cache->entries[idx];

		if (entry->va == va && entry->bytes >= bytes && !(access & ~entry->access))
			return idx;
		idx = entry->hash_next;
	}
	return STREAM_NO_ENTRY;
}

/* Registering and back. */

/* quoll_stream_where() and the watch look at these from other threads. */
static void entry_set(struct stream_entry *entry, const struct stream_entry *new)
{
	__atomic_store_n(&entry->bytes, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&entry->gone, false, __ATOMIC_RELAXED);
	__atomic_store_n(&entry->va, new->va, __ATOMIC_RELAXED);
	__atomic_store_n(&entry->iova, new->iova, __ATOMIC_RELAXED);
	__atomic_store_n(&entry->access, new->access, __ATOMIC_RELAXED);
	__atomic_store_n(&entry->bytes, new->bytes, __ATOMIC_RELAXED);
	entry->refs = 0;
	entry->hash_next = new->hash_next;
	entry->forgotten = false;
}

static void entry_give(struct stream_cache *cache, uint32_t idx)
{
	entry_set(&cache->entries[idx], &(struct stream_entry){.hash_next = cache->free_entry});
	cache->free_entry = idx;
}

/* An entry that is in no list. On failure it stays what it is, out of everybody's reach, until the end. */
static int drop(struct stream_cache *cache, uint32_t idx)
{
	struct stream_entry *entry = &cache->entries[idx];
	int rc = ioas_unmap(cache->ioas, entry->iova, entry->bytes);

	if (rc) {
		__atomic_store_n(&entry->stuck, true, __ATOMIC_RELAXED);
		quoll_log(&cache->ioas->env, QUOLL_LOG_ERROR, "stream", "IOVA 0x%" PRIx64 " could not be unmapped: %s",
			  entry->iova, strerrordesc_np(-rc));
		return -EIO;
	}
	page_runs_give(&cache->pages, (uint32_t)((entry->iova - cache->iova) / STREAM_PAGE_BYTES),
		       (uint32_t)(entry->bytes / STREAM_PAGE_BYTES));
	quoll_count(&cache->bytes, -entry->bytes);
	quoll_count(&cache->nr, -1ull);
	entry_give(cache, idx);
	return 0;
}

/* Return: false if there was none to throw out. */
static bool evict(struct stream_cache *cache)
{
	uint32_t idx = cache->oldest;

	if (idx == STREAM_NO_ENTRY)
		return false;
	age_remove(cache, idx);
	bucket_remove(cache, idx);
	if (!drop(cache, idx))
		quoll_count(&cache->evicted, 1);
	return true;
}

static bool is_full(const struct stream_cache *cache, uint64_t bytes)
{
	return cache->bytes + bytes > cache->max_bytes || cache->free_entry == STREAM_NO_ENTRY;
}

/* Room for so much more: bytes, an entry, IOVAs. */
static int make_room(struct stream_cache *cache, uint64_t bytes, uint32_t *page)
{
	if (bytes > cache->max_bytes)
		return -E2BIG;
	while (is_full(cache, bytes) || !page_runs_take(&cache->pages, bytes / STREAM_PAGE_BYTES, page))
		if (!evict(cache))
			return -EAGAIN;
	return 0;
}

/*
 * The kernel pins what is there. Memory that was not written yet, or is shared with a child after a fork, would be
 * replaced by the next write to it, while devices went on reading the old page; so it is made this process's own first.
 * Where it can't be (read-only memory, an old kernel) mapping says what is wrong, or nothing is.
 */
static int map_pages(struct stream_cache *cache, const struct stream_entry *entry)
{
	const struct ioas_mapping m = {
		.va = (void *)entry->va,
		.iova = entry->iova,
		.len_bytes = entry->bytes,
		.access = entry->access,
		.fd = -1,
	};
	int rc;

	(void)madvise(m.va, m.len_bytes, MADV_POPULATE_WRITE);
	do
		rc = ioas_map(cache->ioas, &m, NULL);
	while ((rc == -ENOMEM || rc == -ENOSPC) && evict(cache));
	return rc;
}

/* A free entry becomes this one. It can be found by the watch, but by no I/O yet. */
static uint32_t entry_take(struct stream_cache *cache, struct stream_entry *new)
{
	uint32_t idx = cache->free_entry;

	cache->free_entry = cache->entries[idx].hash_next;
	new->hash_next = STREAM_NO_ENTRY;
	entry_set(&cache->entries[idx], new);
	return idx;
}

static int watch_memory(struct stream_cache *cache, uintptr_t va, uint64_t bytes)
{
	int rc = cache->is_watched ? stream_watch_memory(va, bytes) : 0;

	if (!rc)
		return 0;
	if (cache->unwatched_errno != -rc)
		quoll_log(&cache->ioas->env, QUOLL_LOG_INFO, "stream",
			  "0x%" PRIx64 " bytes at 0x%" PRIxPTR " cannot be watched, and are not cached: %s", bytes, va,
			  stream_watch_why(-rc));
	__atomic_store_n(&cache->unwatched_errno, -rc, __ATOMIC_RELAXED);
	quoll_count(&cache->unwatched, 1);
	return -ENOTSUP;
}

/* Apart, so that a hit saves no registers for it. */
static __attribute__((noinline)) int registration_make(struct stream_cache *cache, uintptr_t va, uint64_t bytes,
						       unsigned int access, uint32_t *idx)
{
	struct stream_entry entry = {.va = va, .bytes = bytes, .access = access};
	uint32_t page, *bucket;
	int rc = 0;

	/* Nothing is thrown out for what can't be watched. */
	if (is_full(cache, bytes))
		rc = watch_memory(cache, va, bytes);
	if (!rc)
		rc = make_room(cache, bytes, &page);
	if (rc)
		return rc;
	entry.iova = cache->iova + page * STREAM_PAGE_BYTES;
	*idx = entry_take(cache, &entry);
	/* Watched from before it is pinned, and when its entry is there: nothing happens in between that is not seen.
	 */
	rc = watch_memory(cache, va, bytes);
	if (!rc)
		rc = map_pages(cache, &entry);
	if (rc) {
		entry_give(cache, *idx);
		page_runs_give(&cache->pages, page, (uint32_t)(bytes / STREAM_PAGE_BYTES));
		return rc;
	}
	bucket = &cache->buckets[bucket_of(cache, va)];
	cache->entries[*idx].hash_next = *bucket;
	*bucket = *idx;
	quoll_count(&cache->bytes, bytes);
	quoll_count(&cache->nr, 1);
	return 0;
}

/* What is marked is not found any more, and goes now or with the last I/O. */
static void entry_gone(struct stream_cache *cache, uint32_t idx)
{
	struct stream_entry *entry = &cache->entries[idx];

	bucket_remove(cache, idx);
	quoll_count(&cache->gone, 1);
	if (entry->refs) {
		entry->forgotten = true;
		return;
	}
	age_remove(cache, idx);
	(void)drop(cache, idx);
}

/*
 * The watch has had turns since this cache looked last, or has one now: memory may be gone, and not marked yet. It does
 * not wait for anything then, so it will not be long. Or nobody has asked the kernel in this call.
 */
static __attribute__((noinline)) void catch_up(struct stream_cache *cache)
{
	uint64_t before = cache->seen & ~STREAM_UNSURE;

	if (cache->unsure)
		stream_watch_settle();
	while ((cache->seen = __atomic_load_n(cache->turn, __ATOMIC_ACQUIRE)) % 2)
		sched_yield();
	if (__atomic_load_n(&cache->watched.marked, __ATOMIC_RELAXED) <= before)
		return;
	for (uint32_t i = 0; i < cache->nr_entries; i++) {
		const struct stream_entry *entry = &cache->entries[i];

		if (entry->bytes && __atomic_load_n(&entry->gone, __ATOMIC_RELAXED) && !entry->forgotten &&
		    !entry->stuck)
			entry_gone(cache, i);
	}
}

int stream_cache_map(struct stream_cache *cache, struct quoll_stream_seg *seg)
{
	uintptr_t va = (uintptr_t)seg->va & ~(uintptr_t)(STREAM_PAGE_BYTES - 1);
	uint64_t bytes = stream_pages((uintptr_t)seg->va - va + seg->bytes) * STREAM_PAGE_BYTES;
	unsigned int access = MAP_DEVICE_READ | (seg->dir & QUOLL_SEG_WRITE ? MAP_DEVICE_WRITE : 0);
	uint32_t idx;
	int rc;

	/* pairs with turn_end(): what was marked in the turns before is seen */
	if (QUOLL_UNLIKELY(__atomic_load_n(cache->turn, __ATOMIC_ACQUIRE) != cache->seen))
		catch_up(cache);
	idx = find(cache, va, bytes, access);
	if (QUOLL_LIKELY(idx != STREAM_NO_ENTRY)) {
		if (!cache->entries[idx].refs)
			age_remove(cache, idx);
		quoll_count(&cache->hits, 1);
	} else {
		rc = registration_make(cache, va, bytes, access, &idx);
		if (rc)
			return rc;
		quoll_count(&cache->misses, 1);
	}
	cache->entries[idx].refs++;
	seg->token = idx;
	seg->iova = cache->entries[idx].iova + ((uintptr_t)seg->va - va);
	return 0;
}

void stream_cache_unmap(struct stream_cache *cache, const struct quoll_stream_seg *seg)
{
	struct stream_entry *entry = &cache->entries[seg->token];

	if (--entry->refs)
		return;
	if (QUOLL_UNLIKELY(entry->forgotten))
		(void)drop(cache, seg->token);
	else
		age_append(cache, seg->token);
}

int stream_cache_forget(struct stream_cache *cache, uintptr_t va, uint64_t bytes)
{
	uintptr_t last = bytes - 1 > UINTPTR_MAX - va ? UINTPTR_MAX : va + (bytes - 1);
	int rc = 0;

	for (uint32_t i = 0; i < cache->nr_entries; i++) {
		struct stream_entry *entry = &cache->entries[i];

		if (!entry->bytes || entry->va > last || entry->va + (entry->bytes - 1) < va)
			continue;
		if (entry->stuck) {
			rc = -EIO;
			continue;
		}
		if (!entry->forgotten)
			bucket_remove(cache, i);
		if (entry->refs) {
			entry->forgotten = true;
			rc = rc ? rc : -EBUSY;
			continue;
		}
		age_remove(cache, i);
		if (drop(cache, i))
			rc = -EIO;
	}
	return rc;
}

/* Coming and going. */

static const uint64_t no_turn;

static int is_possible(struct quoll_ioas *ioas, struct quoll_error *err)
{
	if (!ioas->ops->device_is_process)
		return 0;
	quoll_error_set(err, ENOTSUP, "stream", "cached",
			"devices are other processes with %s: they reach only memory that has a file behind it, as a "
			"heap's has",
			ioas->ops->name);
	quoll_error_hint(err, "let the memory bounce, or allocate it in the heap");
	return -ENOTSUP;
}

static int limits_choose(struct stream_cache *cache, const struct quoll_ioas_info *info,
			 const struct quoll_stream_opts *opts, struct quoll_error *err)
{
	uint64_t bytes = opts->cached_bytes, entries = opts->cached_entries;

	if (!bytes)
		bytes = info->memlock_bytes / 2 < DEFAULT_BYTES ? info->memlock_bytes / 2 : DEFAULT_BYTES;
	if (!entries)
		entries = info->maps_avail / 2 < DEFAULT_ENTRIES ? info->maps_avail / 2 : DEFAULT_ENTRIES;
	if (bytes < STREAM_PAGE_BYTES || stream_pages(bytes) > STREAM_MAX_PAGES / 2 || !entries ||
	    entries > MAX_ENTRIES) {
		quoll_error_set(err, EINVAL, "stream", "cached",
				"%" PRIu64 " bytes in %" PRIu64 " registrations are not possible", bytes, entries);
		quoll_error_hint(err, "one page and one registration at least; see ulimit -l for what may be pinned");
		return -EINVAL;
	}
	cache->max_bytes = stream_pages(bytes) * STREAM_PAGE_BYTES;
	cache->nr_entries = (uint32_t)entries;
	return 0;
}

static int tables_make(struct stream_cache *cache, struct quoll_error *err)
{
	uint32_t nr_buckets = quoll_round_up_pow2(2 * cache->nr_entries);

	cache->entries = calloc(cache->nr_entries, sizeof(*cache->entries));
	cache->buckets = malloc(nr_buckets * sizeof(*cache->buckets));
	if (!cache->entries || !cache->buckets ||
	    page_runs_init(&cache->pages, 2 * cache->max_bytes / STREAM_PAGE_BYTES))
		return quoll_error_set(err, ENOMEM, "stream", "cached", "out of memory");
	memset(cache->buckets, 0xff, nr_buckets * sizeof(*cache->buckets)); /* STREAM_NO_ENTRY */
	cache->bucket_shift = 64u - (unsigned int)__builtin_ctz(nr_buckets);
	for (uint32_t i = 0; i < cache->nr_entries; i++)
		cache->entries[i].hash_next = i + 1 < cache->nr_entries ? i + 1 : STREAM_NO_ENTRY;
	return 0;
}

static int watch_start(struct stream_cache *cache, const struct quoll_stream_opts *opts, struct quoll_error *err)
{
	int rc;

	cache->watched = (struct stream_watched){.entries = cache->entries, .nr_entries = cache->nr_entries};
	rc = stream_watch_join(&cache->watched, err);
	if (rc)
		return rc;
	cache->is_watched = true;
	cache->turn = stream_watch_turn();
	cache->unsure = opts->cached_watch == QUOLL_CACHED_CHECKED ? STREAM_UNSURE : 0;
	return 0;
}

int stream_cache_init(struct stream_cache *cache, struct quoll_ioas *ioas, const struct quoll_stream_opts *opts,
		      struct quoll_error *err)
{
	struct stream_window_want want = {.way = QUOLL_WAY_CACHED, .what = "cached bytes"};
	struct quoll_ioas_info info;
	int rc = is_possible(ioas, err);

	if (!rc)
		rc = heap_ioas_info(ioas, &info, err);
	*cache = (struct stream_cache){.ioas = ioas,
				       .iova = QUOLL_IOVA_INVALID,
				       .oldest = STREAM_NO_ENTRY,
				       .newest = STREAM_NO_ENTRY,
				       .turn = &no_turn};
	if (!rc)
		rc = stream_pages_check(&info, QUOLL_WAY_CACHED, err);
	if (!rc)
		rc = limits_choose(cache, &info, opts, err);
	if (!rc)
		rc = tables_make(cache, err);
	want.bytes = 2 * cache->max_bytes;
	if (!rc)
		rc = stream_window_place(ioas, &info, &want, &cache->iova, err);
	if (!rc && opts->cached_watch != QUOLL_CACHED_FORGETS)
		rc = watch_start(cache, opts, err);
	return rc;
}

void stream_cache_fini(struct stream_cache *cache)
{
	if (cache->is_watched)
		stream_watch_leave(&cache->watched);
	for (uint32_t i = 0; cache->entries && i < cache->nr_entries; i++)
		if (cache->entries[i].bytes)
			(void)drop(cache, i);
	if (cache->iova != QUOLL_IOVA_INVALID)
		ioas_window_remove(cache->ioas, cache->iova);
	page_runs_fini(&cache->pages);
	free(cache->entries);
	free(cache->buckets);
}
