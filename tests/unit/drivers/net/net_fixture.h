/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_fixture.h - a heap without devices, a pool, two caches of it and a net; ports in it by their addresses.
 *
 * At its end every buffer is back in the pool, or the test fails.
 */
#ifndef QUOLL_TESTS_NET_FIXTURE_H
#define QUOLL_TESTS_NET_FIXTURE_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <net/net.h>

#include "unit.h"

#define FIX_BUFS 4096
#define FIX_BUF_BYTES 2048
#define FIX_CACHE 256

struct fix {
	struct quoll_heap *heap;
	struct quoll_arena *arena;
	struct quoll_pool *pool;
	struct quoll_buf_cache *caches[2]; /* two threads have one each */
	struct quoll_net *net;
	struct quoll_error err;
	unsigned int nr_log_lines;
	char last_log[256];
	unsigned int nr_warnings; /* of the lines */
	char last_warning[256];
};

static inline void fix_log(void *arg, enum quoll_log_level level, const char *area, const char *line)
{
	struct fix *f = arg;

	CU_ASSERT_STRING_EQUAL(area, "net");
	f->nr_log_lines++;
	snprintf(f->last_log, sizeof(f->last_log), "%s", line);
	if (level == QUOLL_LOG_WARN) {
		f->nr_warnings++;
		snprintf(f->last_warning, sizeof(f->last_warning), "%s", line);
	}
}

static inline void fix_pool(struct fix *f, uint32_t nr_bufs, uint32_t buf_bytes)
{
	struct quoll_pool_opts opts = {.nr_bufs = nr_bufs, .buf_bytes = buf_bytes, .headroom_bytes = 128};

	CU_ASSERT_EQUAL_FATAL(quoll_pool_create(f->arena, &opts, &f->pool, &f->err), 0);
	for (int i = 0; i < 2; i++)
		CU_ASSERT_EQUAL_FATAL(quoll_buf_cache_create(f->pool, nr_bufs < FIX_CACHE ? nr_bufs : FIX_CACHE,
							     &f->caches[i], &f->err),
				      0);
}

static inline void fix_pool_gone(struct fix *f)
{
	CU_ASSERT_EQUAL(quoll_pool_nr_bad_puts(f->pool), 0);
	for (int i = 0; i < 2; i++)
		quoll_buf_cache_destroy(f->caches[i]);
	CU_ASSERT_EQUAL(quoll_pool_destroy(f->pool), 0);
}

static inline void fix_open_with(struct fix *f, uint32_t nr_bufs, uint32_t buf_bytes)
{
	struct quoll_heap_opts opts = {.size_bytes = 256u << 20, .pages = QUOLL_PAGES_4K, .numa_node = -1};
	struct quoll_env env = {.log = fix_log, .log_arg = f, .log_level = QUOLL_LOG_INFO};

	memset(f, 0, sizeof(*f));
	CU_ASSERT_EQUAL_FATAL(quoll_heap_create(NULL, &opts, &f->heap, &f->err), 0);
	CU_ASSERT_EQUAL_FATAL(
		quoll_arena_create(f->heap, "bufs", QUOLL_ARENA_DEVICE_READ_WRITE, 128u << 20, &f->arena, &f->err), 0);
	fix_pool(f, nr_bufs, buf_bytes);
	CU_ASSERT_EQUAL_FATAL(quoll_net_create(&env, f->heap, &f->net, &f->err), 0);
}

static inline void fix_open(struct fix *f)
{
	fix_open_with(f, FIX_BUFS, FIX_BUF_BYTES);
}

static inline void fix_close(struct fix *f)
{
	CU_ASSERT_EQUAL(quoll_net_destroy(f->net), 0);
	fix_pool_gone(f);
	quoll_heap_destroy(f->heap);
}

static inline int fix_port_try(struct fix *f, const char *text, struct quoll_port **port)
{
	struct quoll_addr addr;

	*port = NULL;
	CU_ASSERT_EQUAL_FATAL(quoll_addr_parse(text, &addr, &f->err), 0);
	return quoll_port_open(f->net, &addr, NULL, port, &f->err);
}

static inline struct quoll_port *fix_port(struct fix *f, const char *text)
{
	struct quoll_port *port;

	CU_ASSERT_EQUAL_FATAL(fix_port_try(f, text, &port), 0);
	return port;
}

/* n receive and n transmit queues, all with this cache. */
static inline int fix_start_with(struct fix *f, struct quoll_port *port, struct quoll_buf_cache *cache, unsigned int n,
				 const struct quoll_port_settings *settings)
{
	struct quoll_buf_cache *caches[QUOLL_PORT_MAX_QUEUES];
	struct quoll_port_queues queues = {.nr_rxqs = n, .nr_txqs = n, .rx_caches = caches, .tx_caches = caches};

	for (unsigned int i = 0; i < QUOLL_PORT_MAX_QUEUES; i++)
		caches[i] = cache;
	return quoll_port_start(port, &queues, settings, &f->err);
}

static inline void fix_start(struct fix *f, struct quoll_port *port, struct quoll_buf_cache *cache)
{
	CU_ASSERT_EQUAL_FATAL(fix_start_with(f, port, cache, 1, NULL), 0);
}

/* A frame of that many bytes in so many links, each with the same data; NULL if there are no buffers. */
static inline struct quoll_buf *fix_frame(struct quoll_buf_cache *cache, unsigned int bytes, unsigned int nr_links)
{
	struct quoll_buf *links[16], *first;

	if (nr_links > 16 || quoll_buf_get(cache, links, nr_links))
		return NULL;
	first = links[0];
	for (unsigned int i = 0, left = bytes; i < nr_links; i++) {
		links[i]->data_bytes = i + 1 == nr_links ? left : bytes / nr_links;
		left -= links[i]->data_bytes;
		links[i]->next = i + 1 == nr_links ? NULL : links[i + 1];
	}
	first->total_bytes = bytes;
	first->nr_links = (uint16_t)nr_links;
	return first;
}

#endif
