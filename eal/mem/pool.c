/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pool.c - buffer headers in ordinary memory, their data in an arena, and the central store behind the caches.
 *
 * The store is an MPMC ring with room for every buffer, so that giving back cannot fail. A buffer is in the ring, in a
 * cache, or out; only its owner touches its header.
 */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <quoll/buf_cache.h>

#include "mem.h"

#define MAX_BUF_BYTES (16u << 20)
#define MAX_HEADROOM_BYTES 65535u
#define MAX_BUFS (1u << 28)

static_assert(sizeof(struct quoll_buf) == QUOLL_CACHE_LINE_BYTES, "a buffer header is one cache line");
static_assert(offsetof(struct quoll_buf, data_off) % 8 == 0 &&
		      offsetof(struct quoll_buf, port) == offsetof(struct quoll_buf, data_off) + 6,
	      "quoll_buf_fresh_() is one word");

struct quoll_pool {
	struct quoll_mpmc *store;
	struct quoll_arena *arena; /* NULL: the memory is the program's */
	struct quoll_pool *of;	   /* of an annex: the pool whose buffers these are */
	uint8_t *va;
	uint64_t va_bytes;
	struct quoll_buf *bufs;
	uint64_t bufs_bytes;
	uint32_t nr_bufs;
	uint32_t buf_bytes;
	uint32_t stride_bytes;
	uint16_t headroom_bytes;
	uint64_t nr_bad_puts; /* atomic */
	uint8_t *out;	      /* atomic, one a buffer: QUOLL_BUF_DEBUG code has it */
	pthread_mutex_t lock; /* of the list below: set-up and counting, never get and put */
	struct quoll_buf_cache *caches;
	unsigned int nr_annexes;
};

static const char *pool_name(const struct quoll_pool *pool)
{
	return pool->arena ? pool->arena->name : "outside";
}

static int check_opts(const struct quoll_pool_opts *o, struct quoll_error *err)
{
	if (!o->nr_bufs || o->nr_bufs > MAX_BUFS)
		return quoll_error_set(err, EINVAL, "pool", "nr_bufs", "%" PRIu32 " is not 1 to %u", o->nr_bufs,
				       MAX_BUFS);
	if (!o->buf_bytes || o->buf_bytes > MAX_BUF_BYTES)
		return quoll_error_set(err, EINVAL, "pool", "buf_bytes", "%" PRIu32 " is not 1 to %u", o->buf_bytes,
				       MAX_BUF_BYTES);
	if (o->headroom_bytes > MAX_HEADROOM_BYTES || o->headroom_bytes >= o->buf_bytes)
		return quoll_error_set(err, EINVAL, "pool", "headroom_bytes",
				       "%" PRIu32 " is above %u or leaves no room in %" PRIu32, o->headroom_bytes,
				       MAX_HEADROOM_BYTES, o->buf_bytes);
	if (o->align &&
	    (o->align < QUOLL_CACHE_LINE_BYTES || (o->align & (o->align - 1)) || o->align > WINDOW_COLOUR_BYTES))
		return quoll_error_set(err, EINVAL, "pool", "align", "%" PRIu32 " is not a power of two from %d on",
				       o->align, QUOLL_CACHE_LINE_BYTES);
	return 0;
}

/* Ordinary memory, near the data's node, there before the hot path touches it. */
static int alloc_headers(struct quoll_pool *pool, struct quoll_error *err)
{
	struct chunk_want want = {.name = pool_name(pool), .numa_preferred = true};
	void *va;

	want.size_bytes = pool->bufs_bytes = round_up(pool->nr_bufs * sizeof(*pool->bufs), SMALL_PAGE_BYTES);
	va = mmap(NULL, pool->bufs_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (va == MAP_FAILED)
		return quoll_error_set(err, ENOMEM, "pool", pool_name(pool), "no memory for %" PRIu32 " headers",
				       pool->nr_bufs);
	pool->bufs = va;
	if (!pool->arena)
		return 0;
	want.numa_node = pool->arena->heap->numa_node;
	chunk_bind(&pool->arena->heap->env, &want, va);
	return 0;
}

static void fill(struct quoll_pool *pool)
{
	uint64_t stride = pool->stride_bytes;
	quoll_iova_t iova = QUOLL_IOVA_INVALID;

	if (pool->arena)
		iova = quoll_heap_iova(&pool->arena->heap->pub, pool->va, pool->va_bytes);
	for (uint32_t i = 0; i < pool->nr_bufs; i++) {
		struct quoll_buf *buf = &pool->bufs[i];
		void *obj = buf;

		buf->pool = pool;
		buf->va = pool->va + i * stride;
		buf->iova = pool->arena ? iova + i * stride : iova;
		quoll_buf_reset_(buf, quoll_buf_fresh_(pool->headroom_bytes));
		(void)quoll_mpmc_enqueue_bulk(pool->store, &obj, 1);
	}
}

static void pool_free(struct quoll_pool *pool)
{
	if (pool->bufs && !pool->of)
		munmap(pool->bufs, pool->bufs_bytes);
	quoll_mpmc_destroy(pool->store);
	pthread_mutex_destroy(&pool->lock);
	if (!pool->of)
		free(pool->out);
	free(pool);
}

static struct quoll_pool *pool_new(void)
{
	struct quoll_pool *pool = calloc(1, sizeof(*pool));

	if (pool)
		pthread_mutex_init(&pool->lock, NULL);
	return pool;
}

/* All but the memory of the buffers, and who is in the store. @arena: NULL for none. */
static int pool_make(struct quoll_arena *arena, const struct quoll_pool_opts *opts, struct quoll_pool **result,
		     struct quoll_error *err)
{
	uint64_t align = opts->align ? opts->align : QUOLL_CACHE_LINE_BYTES;
	struct quoll_pool *pool;
	int rc = check_opts(opts, err);

	if (rc)
		return rc;
	pool = pool_new();
	if (!pool)
		return quoll_error_set(err, ENOMEM, "pool", arena ? arena->name : "outside", "out of memory");
	pool->arena = arena;
	pool->nr_bufs = opts->nr_bufs;
	pool->buf_bytes = (uint32_t)round_up(opts->buf_bytes, QUOLL_CACHE_LINE_BYTES);
	pool->headroom_bytes = (uint16_t)opts->headroom_bytes;
	pool->stride_bytes = (uint32_t)round_up(pool->buf_bytes, align);
	pool->va_bytes = (uint64_t)pool->nr_bufs * pool->stride_bytes;
	pool->out = calloc(pool->nr_bufs, 1);
	if (!pool->out || quoll_mpmc_create(quoll_round_up_pow2(pool->nr_bufs), &pool->store))
		rc = quoll_error_set(err, ENOMEM, "pool", pool_name(pool), "out of memory");
	else
		rc = alloc_headers(pool, err);
	if (rc)
		pool_free(pool);
	else
		*result = pool;
	return rc;
}

/* The buffers' memory was found, or @rc says why not. */
static int pool_done(struct quoll_pool *pool, void *va, int rc, struct quoll_pool **result)
{
	if (rc) {
		pool_free(pool);
		return rc;
	}
	pool->va = va;
	fill(pool);
	*result = pool;
	return 0;
}

int quoll_pool_create(struct quoll_arena *arena, const struct quoll_pool_opts *opts, struct quoll_pool **result,
		      struct quoll_error *err)
{
	struct quoll_pool *pool;
	void *va = NULL;
	int rc = pool_make(arena, opts, &pool, err);

	if (rc)
		return rc;
	rc = quoll_arena_alloc(arena, pool->va_bytes, opts->align ? opts->align : QUOLL_CACHE_LINE_BYTES, &va, err);
	return pool_done(pool, va, rc, result);
}

int quoll_pool_create_outside(void *va, uint64_t bytes, const struct quoll_pool_opts *opts, struct quoll_pool **result,
			      struct quoll_error *err)
{
	uint64_t align = opts->align ? opts->align : QUOLL_CACHE_LINE_BYTES;
	struct quoll_pool *pool;
	int rc = pool_make(NULL, opts, &pool, err);

	if (rc)
		return rc;
	if (!va || (uintptr_t)va & (align - 1))
		rc = quoll_error_set(err, EINVAL, "pool", "va", "%p is not a multiple of %" PRIu64, va, align);
	else if (bytes < pool->va_bytes)
		rc = quoll_error_set(err, EINVAL, "pool", "bytes",
				     "%" PRIu64 " are not enough for %" PRIu32 " buffers of %" PRIu32, bytes,
				     pool->nr_bufs, pool->stride_bytes);
	return pool_done(pool, va, rc, result);
}

bool quoll_pool_is_outside(const struct quoll_pool *pool)
{
	return !pool->arena;
}

int quoll_pool_create_annex(struct quoll_pool *of, struct quoll_pool **result, struct quoll_error *err)
{
	struct quoll_pool *annex;

	if (of->of)
		return quoll_error_set(err, EINVAL, "pool", pool_name(of), "an annex has none itself");
	annex = pool_new();
	if (!annex || quoll_mpmc_create(quoll_round_up_pow2(of->nr_bufs), &annex->store)) {
		if (annex)
			pool_free(annex);
		return quoll_error_set(err, ENOMEM, "pool", pool_name(of), "out of memory");
	}
	annex->of = of;
	annex->arena = of->arena;
	annex->va = of->va;
	annex->va_bytes = of->va_bytes;
	annex->bufs = of->bufs;
	annex->nr_bufs = of->nr_bufs;
	annex->buf_bytes = of->buf_bytes;
	annex->stride_bytes = of->stride_bytes;
	annex->headroom_bytes = of->headroom_bytes;
	annex->out = of->out; /* a buffer is out, or it is not, whichever of them has it */
	pthread_mutex_lock(&of->lock);
	of->nr_annexes++;
	pthread_mutex_unlock(&of->lock);
	*result = annex;
	return 0;
}

static void annex_free(struct quoll_pool *annex)
{
	struct quoll_pool *of = annex->of;

	pool_free(annex);
	pthread_mutex_lock(&of->lock);
	of->nr_annexes--;
	pthread_mutex_unlock(&of->lock);
}

int quoll_pool_destroy(struct quoll_pool *pool)
{
	if (!pool)
		return 0;
	if (pool->caches || pool->nr_annexes || quoll_pool_nr_free(pool) != (pool->of ? 0 : pool->nr_bufs))
		return -EBUSY;
	if (pool->of) {
		annex_free(pool);
		return 0;
	}
	if (pool->arena)
		(void)quoll_arena_free(pool->arena, pool->va, pool->va_bytes);
	pool_free(pool);
	return 0;
}

uint32_t quoll_pool_nr_free(const struct quoll_pool *pool)
{
	pthread_mutex_t *lock = (pthread_mutex_t *)&pool->lock; /* locking changes nothing that the caller sees */
	uint32_t nr;

	pthread_mutex_lock(lock);
	nr = quoll_mpmc_count(pool->store);
	for (const struct quoll_buf_cache *c = pool->caches; c; c = c->next)
		nr += __atomic_load_n(&c->len, __ATOMIC_RELAXED);
	pthread_mutex_unlock(lock);
	return nr;
}

uint32_t quoll_pool_buf_bytes(const struct quoll_pool *pool)
{
	return pool->buf_bytes;
}

void quoll_pool_memory(const struct quoll_pool *pool, struct quoll_pool_memory *memory)
{
	memory->bufs = pool->bufs;
	memory->va = pool->va;
	memory->bytes = pool->va_bytes;
	memory->nr_bufs = pool->nr_bufs;
	memory->stride_bytes = pool->stride_bytes;
}

uint64_t quoll_pool_nr_bad_puts(const struct quoll_pool *pool)
{
	return __atomic_load_n(&pool->nr_bad_puts, __ATOMIC_RELAXED); /* a count, nothing depends on it */
}

/* Caches. */

int quoll_buf_cache_create(struct quoll_pool *pool, uint32_t size, struct quoll_buf_cache **result,
			   struct quoll_error *err)
{
	struct quoll_buf_cache *cache;
	void *mem;

	if (!size)
		size = pool->nr_bufs < QUOLL_BUF_CACHE_DEFAULT_SIZE ? pool->nr_bufs : QUOLL_BUF_CACHE_DEFAULT_SIZE;
	if (size > QUOLL_BUF_CACHE_MAX_SIZE || size > pool->nr_bufs)
		return quoll_error_set(err, EINVAL, "pool", "cache size",
				       "%" PRIu32 " is above %d or the pool's %" PRIu32 " buffers", size,
				       QUOLL_BUF_CACHE_MAX_SIZE, pool->nr_bufs);
	if (posix_memalign(&mem, QUOLL_CACHE_LINE_BYTES, sizeof(*cache) + size * sizeof(cache->bufs[0])))
		return quoll_error_set(err, ENOMEM, "pool", "cache", "out of memory");
	cache = mem;
	memset(cache, 0, sizeof(*cache));
	cache->pool = pool;
	cache->size = size;
	cache->headroom_bytes = pool->headroom_bytes;
	pthread_mutex_lock(&pool->lock);
	cache->next = pool->caches;
	pool->caches = cache;
	pthread_mutex_unlock(&pool->lock);
	*result = cache;
	return 0;
}

/* Cannot fail: the store has room for every buffer there is, unless some were put twice, and those are dropped. */
static void store_put(struct quoll_pool *pool, struct quoll_buf *const *bufs, uint32_t n)
{
	(void)quoll_mpmc_enqueue_bulk(pool->store, (void *const *)bufs, n);
}

void quoll_buf_cache_destroy(struct quoll_buf_cache *cache)
{
	struct quoll_buf_cache **link;
	struct quoll_pool *pool;

	if (!cache)
		return;
	pool = cache->pool;
	pthread_mutex_lock(&pool->lock);
	for (link = &pool->caches; *link != cache; link = &(*link)->next)
		;
	*link = cache->next;
	if (cache->len)
		store_put(pool, cache->bufs, cache->len);
	pthread_mutex_unlock(&pool->lock);
	free(cache);
}

/* The cache has fewer than n. Leave it half full afterwards if the store has that many. */
int quoll_buf_get_slow_(struct quoll_buf_cache *cache, struct quoll_buf **bufs, uint32_t n)
{
	struct quoll_mpmc *store = cache->pool->store;
	uint32_t len = cache->len, missing = n - len;

	if (missing > cache->size - len) {
		/* A batch larger than the cache: what is missing comes straight from the store. */
		if (!quoll_mpmc_dequeue_bulk(store, (void **)(bufs + len), missing))
			return -ENOBUFS;
		quoll_ring_move_((void **)bufs, (void *const *)cache->bufs, len);
		quoll_buf_cache_set_len_(cache, 0);
		return 0;
	}
	missing += cache->size / 2;
	if (missing > cache->size - len)
		missing = cache->size - len;
	len += quoll_mpmc_dequeue_burst(store, (void **)(cache->bufs + len), missing);
	if (len >= n) {
		len -= n;
		quoll_ring_move_((void **)bufs, (void *const *)(cache->bufs + len), n);
		quoll_buf_cache_set_len_(cache, len);
		return 0;
	}
	quoll_buf_cache_set_len_(cache, len);
	return -ENOBUFS;
}

/* Buffers of the cache's own pool, for which there is no room: the coldest go to the store, half a cache stays. */
static void put_own(struct quoll_buf_cache *cache, struct quoll_buf *const *bufs, uint32_t n)
{
	uint32_t len = cache->len, out;

	if (n > cache->size - len) {
		if (n > cache->size / 2) {
			store_put(cache->pool, bufs, n);
			return;
		}
		out = len + n - cache->size / 2;
		if (out > len)
			out = len;
		store_put(cache->pool, cache->bufs, out);
		len -= out;
		memmove(cache->bufs, cache->bufs + out, len * sizeof(cache->bufs[0]));
	}
	memcpy(cache->bufs + len, bufs, n * sizeof(bufs[0]));
	quoll_buf_cache_set_len_(cache, len + n);
}

/* A full cache, or buffers of other pools among these: run by run of one pool. */
void quoll_buf_put_slow_(struct quoll_buf_cache *cache, struct quoll_buf *const *bufs, uint32_t n)
{
	for (uint32_t i = 0, end; i < n; i = end) {
		struct quoll_pool *pool = bufs[i]->pool;

		for (end = i + 1; end < n && bufs[end]->pool == pool; end++)
			;
		if (pool == cache->pool) {
			put_own(cache, bufs + i, end - i);
			continue;
		}
		/* The inline part gave them our headroom; they get their own pool's before anyone else sees them. */
		for (uint32_t k = i; k < end; k++)
			bufs[k]->data_off = pool->headroom_bytes;
		store_put(pool, bufs + i, end - i);
	}
}

/* QUOLL_BUF_DEBUG: who has it. */

static uint8_t *out_flag(struct quoll_buf *buf)
{
	struct quoll_pool *pool = buf->pool;
	uintptr_t off = (uintptr_t)buf - (uintptr_t)pool->bufs;

	return off / sizeof(*buf) < pool->nr_bufs && !(off % sizeof(*buf)) ? &pool->out[off / sizeof(*buf)] : NULL;
}

void quoll_buf_debug_got_(struct quoll_buf *const *bufs, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		__atomic_store_n(out_flag(bufs[i]), 1, __ATOMIC_RELAXED); /* handed on with the buffer itself */
}

bool quoll_buf_debug_putting_(struct quoll_buf *buf)
{
	uint8_t *out = out_flag(buf);

	/* Two threads may put the same buffer at once: one of them gets the 1. */
	if (out && __atomic_exchange_n(out, 0, __ATOMIC_RELAXED))
		return true;
	__atomic_fetch_add(&buf->pool->nr_bad_puts, 1, __ATOMIC_RELAXED);
	return false;
}
