/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ports.c - what does it cost to forward a packet from port to port on one core? Ticks of the TSC a packet.
 *
 * null: from one null port to another: a buffer from the pool, its lengths set and read, and back. ring: two ring ports
 * that loop, as DPDK's net_ring does: what port a received is sent on port b and comes back there, and so on, with 512
 * packets on the way. The loop is that of testpmd's io mode: receive a burst, send it, put back what was not taken.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <net/net.h>
#include <quoll/clock.h>

#include "sort.h"

#define PACKETS (1u << 23) /* a run */
#define ON_THE_WAY 512
#define MAX_BURST 256
#define MAX_RUNS 101

struct bench {
	struct quoll_clock clock;
	struct quoll_heap *heap;
	struct quoll_buf_cache *cache;
	struct quoll_net *net;
	unsigned int burst;
	unsigned int runs;
	json_t *doc; /* NULL: text */
};

struct stream {
	struct quoll_rxq *rxq;
	struct quoll_txq *txq;
};

static int fail(const struct quoll_error *err)
{
	fprintf(stderr, "ports: %s: %s\n", err->subject, err->what);
	return -1;
}

static int prepare(struct bench *b)
{
	struct quoll_heap_opts heap_opts = {.numa_node = -1};
	struct quoll_pool_opts pool_opts = {.nr_bufs = 8192, .buf_bytes = 2176, .headroom_bytes = 128};
	struct quoll_error err = {0};
	struct quoll_arena *arena;
	struct quoll_pool *pool;
	int rc = quoll_heap_create(NULL, &heap_opts, &b->heap, &err);

	(void)quoll_clock_init(&b->clock); /* a system clock's ticks do as well */
	if (!rc)
		rc = quoll_arena_create(b->heap, "bufs", QUOLL_ARENA_DEVICE_READ_WRITE, 0, &arena, &err);
	if (!rc)
		rc = quoll_pool_create(arena, &pool_opts, &pool, &err);
	if (!rc)
		rc = quoll_buf_cache_create(pool, 512, &b->cache, &err);
	if (!rc)
		rc = quoll_net_create(NULL, b->heap, &b->net, &err);
	return rc ? fail(&err) : 0;
}

static struct quoll_port *open_port(struct bench *b, const char *text)
{
	struct quoll_buf_cache *caches[] = {b->cache};
	struct quoll_port_queues queues = {
		.nr_rxqs = 1, .nr_txqs = 1, .entries = 1024, .rx_caches = caches, .tx_caches = caches};
	struct quoll_error err = {0};
	struct quoll_port *port;
	struct quoll_addr addr;

	if (quoll_addr_parse(text, &addr, &err) || quoll_port_open(b->net, &addr, NULL, &port, &err) ||
	    quoll_port_start(port, &queues, NULL, &err)) {
		fail(&err);
		exit(1);
	}
	return port;
}

/* Return: packets that were sent on. */
static inline uint64_t forward(const struct bench *b, const struct stream *s)
{
	struct quoll_buf *bufs[MAX_BURST];
	unsigned int n = quoll_rx(s->rxq, bufs, b->burst), sent = quoll_tx(s->txq, bufs, n);

	if (QUOLL_UNLIKELY(sent < n))
		quoll_buf_put(b->cache, bufs + sent, n - sent);
	return sent;
}

static double run(const struct bench *b, const struct stream streams[2])
{
	uint64_t begin = quoll_ticks(&b->clock), done = 0;

	while (done < PACKETS)
		done += forward(b, &streams[0]) + forward(b, &streams[1]);
	return (double)(quoll_ticks(&b->clock) - begin) / (double)done;
}

static void measure(const struct bench *b, const char *name, const struct stream streams[2])
{
	double ticks[MAX_RUNS];

	run(b, streams); /* warm */
	for (unsigned int i = 0; i < b->runs; i++)
		ticks[i] = run(b, streams);
	sort_doubles(ticks, b->runs);
	if (b->doc)
		json_array_append_new(b->doc, json_pack("{s:s, s:f, s:f, s:f}", "name", name, "median_ticks_per_packet",
							ticks[b->runs / 2], "min_ticks_per_packet", ticks[0],
							"max_ticks_per_packet", ticks[b->runs - 1]));
	else
		printf("%-4s  %6.2f (%.2f-%.2f) ticks a packet\n", name, ticks[b->runs / 2], ticks[0],
		       ticks[b->runs - 1]);
}

static void measure_pair(struct bench *b, const char *name, const char *first, const char *second,
			 unsigned int nr_begin)
{
	struct quoll_port *ports[2] = {open_port(b, first), open_port(b, second)};
	struct stream streams[2] = {
		{quoll_port_rxq(ports[0], 0), quoll_port_txq(ports[1], 0)},
		{quoll_port_rxq(ports[1], 0), quoll_port_txq(ports[0], 0)},
	};
	struct quoll_buf *buf;

	for (unsigned int i = 0; i < nr_begin; i++) {
		if (quoll_buf_get(b->cache, &buf, 1))
			exit(1);
		buf->data_bytes = buf->total_bytes = 64;
		if (quoll_tx(streams[i % 2].txq, &buf, 1) != 1)
			exit(1);
	}
	measure(b, name, streams);
	for (int i = 0; i < 2; i++)
		quoll_port_close(ports[i]);
}

static int usage(int rc)
{
	fprintf(rc ? stderr : stdout, "bench_ports [--burst N] [--runs N] [--json]\n"
				      "  --burst  1 to 256 packets at a time (32)\n  --runs   1 to 101 (5)\n");
	return rc;
}

int main(int argc, char **argv)
{
	struct bench b = {.burst = 32, .runs = 5};
	bool json = false;
	json_t *doc;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--json"))
			json = true;
		else if (!strcmp(argv[i], "--help"))
			return usage(0);
		else if (i + 1 < argc && !strcmp(argv[i], "--burst") && sscanf(argv[i + 1], "%u", &b.burst) == 1 &&
			 b.burst && b.burst <= MAX_BURST)
			i++;
		else if (i + 1 < argc && !strcmp(argv[i], "--runs") && sscanf(argv[i + 1], "%u", &b.runs) == 1 &&
			 b.runs && b.runs <= MAX_RUNS)
			i++;
		else
			return usage(2);
	}
	if (prepare(&b))
		return 1;
	if (json)
		b.doc = json_array();
	else
		printf("TSC %.6f GHz; bursts of %u; median of %u (min-max)\n", (double)b.clock.tick_hz / 1e9, b.burst,
		       b.runs);
	measure_pair(&b, "null", "null:", "null:", 0);
	measure_pair(&b, "ring", "ring:a?loop=1", "ring:b?loop=1", ON_THE_WAY);
	if (!json)
		return 0;
	doc = json_pack("{s:s, s:I, s:i, s:i, s:o}", "program", "bench_ports", "tick_hz", (json_int_t)b.clock.tick_hz,
			"burst", (int)b.burst, "runs", (int)b.runs, "cases", b.doc);
	json_dumpf(doc, stdout, JSON_INDENT(2));
	printf("\n");
	json_decref(doc);
	return 0;
}
