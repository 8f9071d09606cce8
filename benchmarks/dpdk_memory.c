/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dpdk_memory.c - the peer of bench_rings for pools and heap: DPDK's, in the same loop with the same sizes.
 *
 * Independent of Quoll. DPDK's own test of pools (mempool_perf_autotest) measures the same but takes minutes to get to
 * a pool with a cache. A buffer of ours comes with its header in order, which is what an mbuf does; the line of the
 * bare mempool is pointers only.
 *
 *   dpdk_memory [EAL OPTION...]
 */
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <stdlib.h>

#include "table.h"

#define MAX_BATCH TABLE_MAX_BATCH
#define ELEMENTS (1u << 20)
#define HEAP_ELEMENTS (1u << 14)
#define CACHE_SIZE 512
#define NR_BUFS 4096
#define BUF_BYTES 2048

struct peer {
	struct rte_mempool *pool;
	size_t alloc_bytes;
	void *objs[MAX_BATCH];
	struct rte_mbuf *bufs[MAX_BATCH];
};

TABLE_INLINE void mempool(void *ctx, uint32_t n)
{
	struct peer *p = ctx;

	if (!rte_mempool_get_bulk(p->pool, p->objs, n))
		rte_mempool_put_bulk(p->pool, p->objs, n);
}

TABLE_INLINE void mbuf(void *ctx, uint32_t n)
{
	struct peer *p = ctx;

	if (!rte_pktmbuf_alloc_bulk(p->pool, p->bufs, n))
		rte_pktmbuf_free_bulk(p->bufs, n);
}

/* Twice the cache is taken before any of it is given back, as in rings.c. */
TABLE_INLINE void mbuf_exchange(void *ctx, uint32_t n)
{
	static struct rte_mbuf *held[CACHE_SIZE * 2];
	static uint32_t nr_held;
	struct peer *p = ctx;

	if (nr_held + n > CACHE_SIZE * 2) {
		for (uint32_t i = 0; i < nr_held; i += n)
			rte_pktmbuf_free_bulk(held + i, nr_held - i < n ? nr_held - i : n);
		nr_held = 0;
	}
	if (!rte_pktmbuf_alloc_bulk(p->pool, held + nr_held, n))
		nr_held += n;
}

TABLE_INLINE void heap(void *ctx, uint32_t n)
{
	struct peer *p = ctx;

	for (uint32_t i = 0; i < n; i++) {
		p->objs[i] = rte_zmalloc(NULL, p->alloc_bytes, 64);
		if (!p->objs[i])
			abort();
	}
	for (uint32_t i = 0; i < n; i++)
		rte_free(p->objs[i]);
}

static uint64_t ticks(void)
{
	return rte_rdtsc();
}

int main(int argc, char **argv)
{
	static struct peer p;
	struct table t = {.ticks = ticks, .ctx = &p, .nr_elements = ELEMENTS};

	if (rte_eal_init(argc, argv) < 0) {
		fprintf(stderr, "dpdk_memory: EAL: %s\n", rte_strerror(rte_errno));
		return 1;
	}
	p.pool = rte_pktmbuf_pool_create("bufs", NR_BUFS, CACHE_SIZE, 0, BUF_BYTES, SOCKET_ID_ANY);
	if (!p.pool) {
		fprintf(stderr, "dpdk_memory: pool: %s\n", rte_strerror(rte_errno));
		return 1;
	}
	table_head((double)rte_get_tsc_hz() / 1e9);
	table_line(&t, "mempool get + put, within the cache", mempool);
	table_line(&t, "mbuf alloc + free, within the cache", mbuf);
	table_line(&t, "mbuf alloc + free, with exchanges", mbuf_exchange);
	t.nr_elements = HEAP_ELEMENTS;
	p.alloc_bytes = 64;
	table_line(&t, "rte_zmalloc + rte_free, 64 bytes", heap);
	p.alloc_bytes = 2048;
	table_line(&t, "rte_zmalloc + rte_free, 2 KiB", heap);
	rte_eal_cleanup();
	return 0;
}
