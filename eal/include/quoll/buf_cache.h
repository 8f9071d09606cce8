/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * buf_cache.h - taking buffers from a pool and giving them back, a batch at a time.
 *
 * A cache is a stack of free buffers that one thread (or one queue) holds: the buffer put last, whose header and data
 * are still in the CPU's cache, is the next one got. Only when it runs empty or full is half of it exchanged with the
 * pool, for one compare-and-swap. There is no thread-local state: whoever holds the cache, uses it.
 */
#ifndef QUOLL_BUF_CACHE_H
#define QUOLL_BUF_CACHE_H

#include <quoll/pool.h>
#include <quoll/ring.h>

#ifdef __cplusplus
extern "C" {
#endif

#define QUOLL_BUF_CACHE_MAX_SIZE 65536
#define QUOLL_BUF_CACHE_DEFAULT_SIZE 512

/**
 * struct quoll_buf_cache - what the inline code touches
 */
struct quoll_buf_cache {
	/* private: */
	struct quoll_pool *pool;
	uint32_t len; /* atomic for those who count; written by the holder only */
	uint32_t size;
	uint16_t headroom_bytes;
	struct quoll_buf_cache *next; /* the pool's list */
	struct quoll_buf *bufs[] QUOLL_CACHE_ALIGNED;
};

/**
 * quoll_buf_cache_create() - a cache of at most @size buffers, empty at first
 * @size: 0 for QUOLL_BUF_CACHE_DEFAULT_SIZE. At least twice the usual batch. Buffers in one cache are not to be had
 *        through another, so a pool needs the sum of its caches' sizes on top of what is in use
 * @err:  -EINVAL: above QUOLL_BUF_CACHE_MAX_SIZE or the pool's number of buffers; -ENOMEM
 *
 * Thread rule: set-up, any thread.
 */
QUOLL_API int quoll_buf_cache_create(struct quoll_pool *pool, uint32_t size, struct quoll_buf_cache **cache,
				     struct quoll_error *err);

/**
 * quoll_buf_cache_destroy() - free a cache; its buffers go back to the pool
 */
QUOLL_API void quoll_buf_cache_destroy(struct quoll_buf_cache *cache);

/* private: the seldom parts of get and put, out of line. */
QUOLL_API int quoll_buf_get_slow_(struct quoll_buf_cache *cache, struct quoll_buf **bufs, uint32_t n);
QUOLL_API void quoll_buf_put_slow_(struct quoll_buf_cache *cache, struct quoll_buf *const *bufs, uint32_t n);
QUOLL_API void quoll_buf_debug_got_(struct quoll_buf *const *bufs, uint32_t n);
QUOLL_API bool quoll_buf_debug_putting_(struct quoll_buf *buf);

static inline void quoll_buf_cache_set_len_(struct quoll_buf_cache *cache, uint32_t len)
{
	/* Relaxed: quoll_pool_nr_free() reads it for a count, nothing else depends on it. */
	__atomic_store_n(&cache->len, len, __ATOMIC_RELAXED);
}

/* private: data_off, nr_links, vlan_tci and port of a fresh buffer, which lie side by side, as one word. */
static inline uint64_t quoll_buf_fresh_(uint16_t headroom_bytes)
{
	const uint16_t fields[4] = {headroom_bytes, 1, 0, 0};
	uint64_t word;

	memcpy(&word, fields, sizeof(word));
	return word;
}

/* private: one cache line read (pool) and half of it written. user stays as it is: it is the owner's. */
static inline void quoll_buf_reset_(struct quoll_buf *buf, uint64_t fresh)
{
	buf->next = NULL;
	buf->data_bytes = 0;
	buf->total_bytes = 0;
	memcpy((char *)buf + offsetof(struct quoll_buf, data_off), &fresh, sizeof(fresh));
	buf->flags = 0;
	buf->hash = 0;
}

/**
 * quoll_buf_get() - take @n fresh buffers, all or nothing
 * @bufs: room for @n; each comes as one link without data, data_off at the pool's headroom, metadata and flags 0 (user
 *        is whatever its last owner left)
 *
 * Return: 0; -ENOBUFS: pool and cache together have fewer than @n. Thread rule: the cache's holder; hot path. Touches
 * no buffer; an exchange with the pool once every half cache.
 */
static inline int quoll_buf_get(struct quoll_buf_cache *cache, struct quoll_buf **bufs, uint32_t n)
{
	uint32_t len = cache->len;

	if (QUOLL_LIKELY(n <= len)) {
		len -= n;
		quoll_ring_move_((void **)bufs, (void *const *)(cache->bufs + len), n);
		quoll_buf_cache_set_len_(cache, len);
	} else if (quoll_buf_get_slow_(cache, bufs, n)) {
		return -ENOBUFS;
	}
#ifdef QUOLL_BUF_DEBUG
	quoll_buf_debug_got_(bufs, n);
#endif
	return 0;
}

/* private: put without the debug check. */
static inline void quoll_buf_put_(struct quoll_buf_cache *cache, struct quoll_buf *const *bufs, uint32_t n)
{
	struct quoll_pool *pool = cache->pool;
	uint64_t fresh = quoll_buf_fresh_(cache->headroom_bytes);
	uint32_t len = cache->len;
	uintptr_t foreign = 0;

	for (uint32_t i = 0; i < n; i++) {
		foreign |= (uintptr_t)bufs[i]->pool ^ (uintptr_t)pool;
		quoll_buf_reset_(bufs[i], fresh);
	}
	if (QUOLL_LIKELY(!foreign && n <= cache->size - len)) {
		quoll_ring_move_((void **)(cache->bufs + len), (void *const *)bufs, n);
		quoll_buf_cache_set_len_(cache, len + n);
		return;
	}
	quoll_buf_put_slow_(cache, bufs, n);
}

/**
 * quoll_buf_put() - give back @n single buffers (of a chain, this link only: quoll_buf_put_chain() gives back all)
 * @bufs: of this cache's pool for speed; those of other pools go back to theirs, at one exchange for each run of them
 *
 * Puts the header back to what quoll_buf_get() promises: reads and writes one cache line a buffer. A buffer must not be
 * put twice. With QUOLL_BUF_DEBUG defined (for all of the program that gets and puts) that is found out: the second put
 * is dropped and counted by quoll_pool_nr_bad_puts().
 * Thread rule: the cache's holder; hot path.
 */
static inline void quoll_buf_put(struct quoll_buf_cache *cache, struct quoll_buf *const *bufs, uint32_t n)
{
#ifdef QUOLL_BUF_DEBUG
	for (uint32_t i = 0; i < n; i++)
		if (quoll_buf_debug_putting_(bufs[i]))
			quoll_buf_put_(cache, &bufs[i], 1);
#else
	quoll_buf_put_(cache, bufs, n);
#endif
}

/**
 * quoll_buf_put_chain() - give back a buffer and all that hang on it by next
 * @buf: NULL is allowed
 */
static inline void quoll_buf_put_chain(struct quoll_buf_cache *cache, struct quoll_buf *buf)
{
	struct quoll_buf *links[16];

	while (buf) {
		uint32_t n = 0;

		/* next is read before put clears it. */
		for (; buf && n < 16; buf = buf->next)
			links[n++] = buf;
		quoll_buf_put(cache, links, n);
	}
}

/**
 * quoll_pool_nr_bad_puts() - puts of buffers that were not out, as far as QUOLL_BUF_DEBUG code did them
 */
QUOLL_API uint64_t quoll_pool_nr_bad_puts(const struct quoll_pool *pool);

#ifdef __cplusplus
}
#endif
#endif
