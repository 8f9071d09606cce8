/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_port.h - for the entries of ports: a heap, a pool and a net, made once; the input, taken byte by byte; what
 * holds of every frame that came in, whatever was said of it.
 */
#ifndef QUOLL_TESTS_FUZZ_PORT_H
#define QUOLL_TESTS_FUZZ_PORT_H

#include <stdlib.h>
#include <string.h>

#include <net/net_driver.h>

#define FUZZ_BUF_BYTES (2048u + 128)
#define FUZZ_HEADROOM_BYTES 128u

/* What all inputs share, and where the one that is tried has been read to. */
struct fuzz_port {
	struct quoll_heap *heap;
	struct quoll_pool *pool;
	struct quoll_buf_cache *cache;
	struct quoll_net *net;
	struct quoll_port *port;
	uint32_t nr_bufs;
	const uint8_t *data;
	size_t left;
};

static inline void must(bool good)
{
	if (!good)
		abort();
}

static inline uint8_t fuzz_byte(struct fuzz_port *f)
{
	if (!f->left)
		return 0;
	f->left--;
	return *f->data++;
}

/* Little-endian. */
static inline uint64_t fuzz_word(struct fuzz_port *f, unsigned int bytes)
{
	uint64_t word = 0;

	for (unsigned int i = 0; i < bytes; i++)
		word |= (uint64_t)fuzz_byte(f) << 8 * i;
	return word;
}

static inline struct quoll_pool *fuzz_pool(struct fuzz_port *f, uint32_t nr_bufs, uint32_t buf_bytes,
					   struct quoll_buf_cache **cache)
{
	struct quoll_pool_opts opts = {
		.nr_bufs = nr_bufs, .buf_bytes = buf_bytes, .headroom_bytes = FUZZ_HEADROOM_BYTES};
	struct quoll_arena *arena;
	struct quoll_pool *pool;

	must(!quoll_arena_create(f->heap, "bufs", QUOLL_ARENA_DEVICE_READ_WRITE, 8 << 20, &arena, NULL));
	must(!quoll_pool_create(arena, &opts, &pool, NULL));
	must(!quoll_buf_cache_create(pool, nr_bufs < 256 ? nr_bufs : 256, cache, NULL));
	return pool;
}

/* A port of @driver, on a pool of so many buffers. */
static inline void fuzz_prepare(struct fuzz_port *f, uint32_t nr_bufs, uint32_t buf_bytes,
				const struct net_driver *driver, const char *address)
{
	struct quoll_heap_opts opts = {.size_bytes = 64u << 20, .pages = QUOLL_PAGES_4K, .numa_node = -1};
	struct quoll_addr addr;

	must(!quoll_heap_create(NULL, &opts, &f->heap, NULL));
	f->nr_bufs = nr_bufs;
	f->pool = fuzz_pool(f, nr_bufs, buf_bytes, &f->cache);
	must(!quoll_net_create(NULL, f->heap, &f->net, NULL));
	must(!quoll_addr_parse(address, &addr, NULL));
	must(!net_port_open_driver(f->net, driver, &addr, NULL, &f->port, NULL));
}

/* One queue each way. */
static inline void fuzz_start(struct fuzz_port *f, const uint8_t *data, size_t size, unsigned int entries,
			      const struct quoll_port_settings *settings)
{
	struct quoll_buf_cache *caches[] = {f->cache};
	struct quoll_port_queues queues = {
		.nr_rxqs = 1, .nr_txqs = 1, .entries = entries, .rx_caches = caches, .tx_caches = caches};

	f->data = data;
	f->left = size;
	must(!quoll_port_start(f->port, &queues, settings, NULL));
}

/* Every buffer is back, each once. */
static inline void fuzz_stop(struct fuzz_port *f)
{
	must(!quoll_port_stop(f->port));
	must(quoll_pool_nr_free(f->pool) == f->nr_bufs);
	must(quoll_pool_nr_bad_puts(f->pool) == 0);
}

/* What came is what its links hold, and these fit their buffers. */
static inline void fuzz_look_at(const struct quoll_buf *buf, uint32_t max_bytes)
{
	uint32_t bytes = 0, nr = 0;

	must(buf->total_bytes >= NET_MIN_FRAME_BYTES && buf->total_bytes <= max_bytes);
	for (const struct quoll_buf *link = buf; link; link = link->next, nr++) {
		must(link->data_off + link->data_bytes <= quoll_pool_buf_bytes(link->pool));
		bytes += link->data_bytes;
	}
	must(bytes == buf->total_bytes && nr == buf->nr_links);
}

/* What the port does not take goes back. */
static inline void fuzz_send(struct fuzz_port *f, struct quoll_buf **bufs, unsigned int n)
{
	for (unsigned int i = quoll_tx(f->port->txqs[0], bufs, n); i < n; i++)
		quoll_buf_put_chain(f->cache, bufs[i]);
}

#endif
