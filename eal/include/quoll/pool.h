/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pool.h - DMA buffers for packets and blocks, and the pools they come from.
 *
 * The header of a buffer is one cache line of ordinary memory; only its data lies where devices reach it. So a device
 * that writes past a buffer spoils a neighbour's data, never a pointer.
 */
#ifndef QUOLL_POOL_H
#define QUOLL_POOL_H

#include <quoll/heap.h>

#ifdef __cplusplus
extern "C" {
#endif

struct quoll_pool;

/**
 * struct quoll_buf - one buffer, or one link of a chain
 * @next:        following link, NULL at the end
 * @pool:        where it goes back to; quoll_pool_buf_bytes() tells the size of its memory
 * @va:          start of its memory, headroom included
 * @iova:        the same place as devices see it; QUOLL_IOVA_INVALID: no device does now
 * @data_bytes:  data in this link
 * @total_bytes: data in the chain; in the first link only
 * @data_off:    where data begins, from @va
 * @nr_links:    of the chain; in the first link only
 * @vlan_tci:    stripped on receive, or to be inserted on transmit
 * @port:        receive: the port it came in on
 * @mss:         transmit: segment size for segmentation offload
 * @flags:       what the metadata holds; bits belong to drivers/net/net.h
 * @hash:        receive: hash
 * @l2_bytes, @l3_bytes, @l4_bytes: transmit: header lengths for offloads
 * @user:        free for the owner; a receive timestamp if flags say so
 *
 * All of it is one cache line, which pool.c asserts.
 */
struct quoll_buf {
	struct quoll_buf *next;
	struct quoll_pool *pool;
	uint8_t *va;
	quoll_iova_t iova;
	uint32_t data_bytes;
	uint32_t total_bytes;
	uint16_t data_off;
	uint16_t nr_links;
	uint16_t vlan_tci;
	union {
		uint16_t port;
		uint16_t mss;
	};
	uint32_t flags;
	union {
		uint32_t hash;
		struct {
			uint16_t l3_bytes;
			uint8_t l2_bytes;
			uint8_t l4_bytes;
		};
	};
	uint64_t user;
} QUOLL_CACHE_ALIGNED;

static inline void *quoll_buf_data(const struct quoll_buf *buf)
{
	return buf->va + buf->data_off;
}

static inline quoll_iova_t quoll_buf_iova(const struct quoll_buf *buf)
{
	return buf->iova + buf->data_off;
}

/**
 * struct quoll_pool_opts - how to make a pool
 * @nr_bufs:        how many
 * @buf_bytes:      memory a buffer, headroom included; rounded up to a cache line; at most 16 MiB
 * @headroom_bytes: data_off of a fresh buffer; at most 65,535 and below @buf_bytes
 * @align:          of each buffer's memory, power of two, at least a cache line; 0 for a cache line
 */
struct quoll_pool_opts {
	uint32_t nr_bufs;
	uint32_t buf_bytes;
	uint32_t headroom_bytes;
	uint32_t align;
};

/**
 * quoll_pool_create() - buffers from an arena; freed by quoll_pool_destroy()
 * @err: -EINVAL: an option out of its range; else as quoll_arena_alloc()
 */
QUOLL_API int quoll_pool_create(struct quoll_arena *arena, const struct quoll_pool_opts *opts, struct quoll_pool **pool,
				struct quoll_error *err);

/**
 * quoll_pool_create_outside() - buffers in memory of the program's own, outside of any heap
 * @va, @bytes: room for all of them; stays the program's, and where it is, until the pool is destroyed
 * @opts: @align: devices are shown whole pages: with a page's size no two buffers share one
 * @err:  -EINVAL: an option out of its range, not aligned, too little; -ENOMEM
 *
 * Devices find none of it (iova is QUOLL_IOVA_INVALID) but what is mapped by a stream, while it is: quoll_port_start().
 */
QUOLL_API int quoll_pool_create_outside(void *va, uint64_t bytes, const struct quoll_pool_opts *opts,
					struct quoll_pool **pool, struct quoll_error *err);

/**
 * quoll_pool_is_outside() - whether its buffers, or those of the pool that it is an annex of, are outside of any heap
 */
QUOLL_API bool quoll_pool_is_outside(const struct quoll_pool *pool);

/**
 * quoll_pool_create_annex() - an empty pool, for buffers of another one: those that are ready for a device, say
 * @of:    outlives it
 * @annex: as any pool, with caches. Whoever has a buffer of @of out makes it the annex's by quoll_buf.pool = annex, and
 *         gives it back by quoll_buf.pool = of; where it is put it goes back to the one that is named there. Destroyed
 *         once there are no buffers in it; those that are out have to be @of's again by then
 * @err:   -EINVAL: @of is an annex; -ENOMEM
 */
QUOLL_API int quoll_pool_create_annex(struct quoll_pool *of, struct quoll_pool **annex, struct quoll_error *err);

/**
 * quoll_pool_destroy() - free a pool
 * Return: 0, or -EBUSY while buffers, caches or annexes are out (nothing is changed then; quoll_pool_nr_free() tells
 * how many buffers are not).
 */
QUOLL_API int quoll_pool_destroy(struct quoll_pool *pool);

/**
 * quoll_pool_nr_free() - buffers in the pool and in its caches; exact only while nobody takes or returns
 */
QUOLL_API uint32_t quoll_pool_nr_free(const struct quoll_pool *pool);

/**
 * quoll_pool_buf_bytes() - memory of each buffer, headroom included
 */
QUOLL_API uint32_t quoll_pool_buf_bytes(const struct quoll_pool *pool);

/**
 * struct quoll_pool_memory - where a pool's buffers lie
 * @bufs:         their headers, @nr_bufs of them
 * @va, @bytes:   the memory of them all, one piece of VA and IOVA; buffer i's is at i * @stride_bytes
 */
struct quoll_pool_memory {
	struct quoll_buf *bufs;
	uint8_t *va;
	uint64_t bytes;
	uint32_t nr_bufs;
	uint32_t stride_bytes;
};

/**
 * quoll_pool_memory() - for drivers whose peer is told of the memory as a whole, and names buffers by their addresses
 *
 * Stays as it is while the pool lives. Thread rule: any thread.
 */
QUOLL_API void quoll_pool_memory(const struct quoll_pool *pool, struct quoll_pool_memory *memory);

/* The cache object, quoll_buf_get(), quoll_buf_put() and quoll_buf_put_chain() are in buf_cache.h: inline code. */

#ifdef __cplusplus
}
#endif
#endif
