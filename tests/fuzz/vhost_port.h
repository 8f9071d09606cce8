/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost_port.h - a vhost port with one pair of queues, for fuzzing: made once, and after each input every buffer is
 * back.
 */
#ifndef QUOLL_FUZZ_VHOST_PORT_H
#define QUOLL_FUZZ_VHOST_PORT_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/vhost/vhost.h"

#define FUZZ_BUFS 512u

static struct {
	struct quoll_heap *heap;
	struct quoll_arena *arena;
	struct quoll_pool *pool;
	struct quoll_buf_cache *cache;
	struct quoll_net *net;
	struct quoll_port *port;
	char path[64];
} fuzz;

static void fuzz_port_remove(void)
{
	unlink(fuzz.path);
}

static inline void fuzz_port_make(void)
{
	struct quoll_heap_opts heap = {.size_bytes = 64u << 20, .pages = QUOLL_PAGES_4K, .numa_node = -1};
	struct quoll_pool_opts pool = {.nr_bufs = FUZZ_BUFS, .buf_bytes = 2048, .headroom_bytes = 128};
	struct quoll_port_settings settings = {
		.mtu = 9000, .offloads = QUOLL_OFFLOAD_RX_SCATTER | QUOLL_OFFLOAD_RX_L4_CSUM | QUOLL_OFFLOAD_RX_GSO};
	struct quoll_port_queues queues = {
		.nr_rxqs = 1, .nr_txqs = 1, .rx_caches = &fuzz.cache, .tx_caches = &fuzz.cache};
	struct quoll_addr addr;
	char text[80];

	snprintf(fuzz.path, sizeof(fuzz.path), "/tmp/quoll-fuzz-vhost-%d.sock", getpid());
	snprintf(text, sizeof(text), "vhost:%s", fuzz.path);
	if (quoll_heap_create(NULL, &heap, &fuzz.heap, NULL) ||
	    quoll_arena_create(fuzz.heap, "bufs", QUOLL_ARENA_DEVICE_READ_WRITE, 0, &fuzz.arena, NULL) ||
	    quoll_pool_create(fuzz.arena, &pool, &fuzz.pool, NULL) ||
	    quoll_buf_cache_create(fuzz.pool, 128, &fuzz.cache, NULL) ||
	    quoll_net_create(NULL, fuzz.heap, &fuzz.net, NULL) || quoll_addr_parse(text, &addr, NULL) ||
	    quoll_port_open(fuzz.net, &addr, NULL, &fuzz.port, NULL) ||
	    quoll_port_start(fuzz.port, &queues, &settings, NULL))
		abort();
	atexit(fuzz_port_remove);
}

/* What comes in goes back, and a chain and a long frame besides. */
static inline void fuzz_port_poll(void)
{
	struct quoll_buf *bufs[66], *second;
	unsigned int n = quoll_rx(quoll_port_rxq(fuzz.port, 0), bufs, 64), sent;

	if (!quoll_buf_get(fuzz.cache, bufs + n, 2) && !quoll_buf_get(fuzz.cache, &second, 1)) {
		bufs[n]->data_bytes = bufs[n]->total_bytes = 1500;
		bufs[n + 1]->data_bytes = 14;
		bufs[n + 1]->next = second;
		bufs[n + 1]->nr_links = 2;
		second->data_bytes = 1900;
		bufs[n + 1]->total_bytes = 1914;
		n += 2;
	}
	sent = quoll_tx(quoll_port_txq(fuzz.port, 0), bufs, n);
	for (unsigned int i = sent; i < n; i++)
		quoll_buf_put_chain(fuzz.cache, bufs[i]);
	if (quoll_pool_nr_free(fuzz.pool) != FUZZ_BUFS)
		abort();
}

#endif
