/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * count_paths.c - one hot path, many times over, for callgrind to count: count_paths PATH. `run` knows the paths.
 *
 * What is counted is what happens in measured_PATH(): one batch through the path, as a caller would write it. Every
 * batch must move all of its items: a poll that finds nothing ends the program, so that only useful polls are counted.
 * `count_paths --toolchain` says what the counts depend on.
 */
#include <gnu/libc-version.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <net/net.h>
#include <quoll/buf_cache.h>
#include <quoll/heap.h>
#include <quoll/ring.h>

#define BATCH 32u
#define NR_BATCHES 1024u
#define RING_SIZE 1024u
#define NR_BUFS 4096u
#define FRAME_BYTES 64u

/* Its own symbol, whatever the compiler would rather do. */
#ifdef __clang__
#define MEASURED __attribute__((noinline))
#else
#define MEASURED __attribute__((noipa))
#endif

struct paths {
	struct quoll_spsc *spsc;
	struct quoll_mpmc *mpmc;
	struct quoll_heap *heap;
	struct quoll_arena *arena;
	struct quoll_pool *pool;
	struct quoll_buf_cache *cache;
	struct quoll_net *net;
	struct quoll_port *port;
	struct quoll_rxq *rxq;
	struct quoll_txq *txq;
	struct quoll_buf *bufs[BATCH];
	void *in[BATCH];
	void *out[BATCH];
	quoll_iova_t iovas[BATCH];
	bool holds; /* bufs[] are frames of ours, between two batches */
};

/* Items moved: n, or the path is not what is to be counted. */
MEASURED static uint32_t measured_spsc(struct paths *p, uint32_t n)
{
	quoll_spsc_enqueue_bulk(p->spsc, p->in, n);
	return quoll_spsc_dequeue_bulk(p->spsc, p->out, n);
}

MEASURED static uint32_t measured_mpmc(struct paths *p, uint32_t n)
{
	quoll_mpmc_enqueue_bulk(p->mpmc, p->in, n);
	return quoll_mpmc_dequeue_bulk(p->mpmc, p->out, n);
}

MEASURED static uint32_t measured_pool(struct paths *p, uint32_t n)
{
	if (quoll_buf_get(p->cache, p->bufs, n))
		return 0;
	quoll_buf_put(p->cache, p->bufs, n);
	return n;
}

MEASURED static uint32_t measured_iova(struct paths *p, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		p->iovas[i] = quoll_heap_iova(p->heap, p->in[i], 2048);
	return n;
}

/* A port that brings frames: forward them. */
MEASURED static uint32_t measured_null(struct paths *p, uint32_t n)
{
	return quoll_tx(p->txq, p->bufs, quoll_rx(p->rxq, p->bufs, n));
}

/* A port that brings what was sent: the other way round. */
MEASURED static uint32_t measured_ring(struct paths *p, uint32_t n)
{
	return quoll_rx(p->rxq, p->bufs, quoll_tx(p->txq, p->bufs, n));
}

static void must(int rc, const char *what)
{
	if (!rc)
		return;
	fprintf(stderr, "count_paths: %s: %s\n", what, strerror(-rc));
	exit(1);
}

static void prepare_memory(struct paths *p)
{
	struct quoll_heap_opts heap_opts = {.size_bytes = 256u << 20, .pages = QUOLL_PAGES_4K, .numa_node = -1};
	struct quoll_pool_opts pool_opts = {.nr_bufs = NR_BUFS, .buf_bytes = 2048};
	struct quoll_error err = {0};

	must(quoll_heap_create(NULL, &heap_opts, &p->heap, &err), "heap");
	must(quoll_arena_create(p->heap, "bufs", QUOLL_ARENA_DEVICE_READ_WRITE, 0, &p->arena, &err), "arena");
	must(quoll_pool_create(p->arena, &pool_opts, &p->pool, &err), "pool");
	must(quoll_buf_cache_create(p->pool, 0, &p->cache, &err), "cache");
	/* Fill the cache and give in[] addresses to look up. */
	must(quoll_buf_get(p->cache, p->bufs, BATCH), "buffers");
	for (uint32_t i = 0; i < BATCH; i++)
		p->in[i] = p->bufs[i]->va;
	quoll_buf_put(p->cache, p->bufs, BATCH);
}

static void prepare_port(struct paths *p, const char *address)
{
	struct quoll_buf_cache *caches[] = {p->cache};
	struct quoll_port_queues queues = {.nr_rxqs = 1, .nr_txqs = 1, .rx_caches = caches, .tx_caches = caches};
	struct quoll_error err = {0};
	struct quoll_addr addr;

	must(quoll_addr_parse(address, &addr, &err), address);
	must(quoll_net_create(NULL, p->heap, &p->net, &err), "net");
	must(quoll_port_open(p->net, &addr, NULL, &p->port, &err), address);
	must(quoll_port_start(p->port, &queues, NULL, &err), address);
	p->rxq = quoll_port_rxq(p->port, 0);
	p->txq = quoll_port_txq(p->port, 0);
	if (addr.scheme == QUOLL_ADDR_NULL)
		return;
	must(quoll_buf_get(p->cache, p->bufs, BATCH), "buffers");
	for (uint32_t i = 0; i < BATCH; i++)
		p->bufs[i]->data_bytes = p->bufs[i]->total_bytes = FRAME_BYTES;
	p->holds = true;
}

static void finish_port(struct paths *p)
{
	if (p->holds)
		quoll_buf_put(p->cache, p->bufs, BATCH);
	quoll_port_close(p->port);
	must(quoll_net_destroy(p->net), "net");
}

static void finish_memory(struct paths *p)
{
	quoll_buf_cache_destroy(p->cache);
	must(quoll_pool_destroy(p->pool), "all buffers are back");
	quoll_heap_destroy(p->heap);
}

static const struct {
	const char *name;
	uint32_t (*measured)(struct paths *p, uint32_t n);
	const char *port; /* its address, if it needs one */
} paths[] = {
	{"spsc", measured_spsc, NULL}, {"mpmc", measured_mpmc, NULL},	 {"pool", measured_pool, NULL},
	{"iova", measured_iova, NULL}, {"null", measured_null, "null:"}, {"ring", measured_ring, "ring:count?loop=1"},
};

static int count(uint32_t (*measured)(struct paths *p, uint32_t n), const char *port)
{
	static struct paths p;

	must(quoll_spsc_create(RING_SIZE, &p.spsc), "SPSC ring");
	must(quoll_mpmc_create(RING_SIZE, &p.mpmc), "MPMC ring");
	prepare_memory(&p);
	if (port)
		prepare_port(&p, port);
	for (uint32_t i = 0; i < NR_BATCHES; i++)
		if (measured(&p, BATCH) != BATCH) {
			fprintf(stderr, "count_paths: batch %u did not move %u items\n", i, BATCH);
			return 1;
		}
	if (port)
		finish_port(&p);
	finish_memory(&p);
	quoll_spsc_destroy(p.spsc);
	quoll_mpmc_destroy(p.mpmc);
	printf("items %u\n", NR_BATCHES * BATCH);
	return 0;
}

static void print_toolchain(void)
{
#ifdef __clang__
	printf("clang-%d", __clang_major__);
#else
	printf("gcc-%d", __GNUC__);
#endif
#ifdef __AVX__
	printf("-avx"); /* compiled for more than the baseline */
#endif
	printf("/glibc-%s\n", gnu_get_libc_version());
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--toolchain")) {
		print_toolchain();
		return 0;
	}
	for (size_t i = 0; argc == 2 && i < sizeof(paths) / sizeof(paths[0]); i++)
		if (!strcmp(argv[1], paths[i].name))
			return count(paths[i].measured, paths[i].port);
	fprintf(stderr, "usage: count_paths PATH | --toolchain\n");
	return 2;
}
