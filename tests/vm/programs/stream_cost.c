/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stream_cost.c - what it takes to let a device at memory for one I/O, by each way that the back-end has: map and unmap
 * in batches, no I/O between. Under QEMU's -icount the clock counts instructions.
 *
 *   stream_cost ADDR        the back-end is that of QUOLL_BACKEND, or the best
 *
 * One JSON object a line: backend, way (ioas: mapped as a heap is, a system call each; cached: nobody watches the
 * memory; cached-watched and cached-checked: as enum quoll_cached_watch has it), bytes of a piece, batch (pieces a
 * call), scattered (pieces do not touch), and ns of a piece, one for each of the rounds. Exits 1, with the reason, if
 * something was not mapped, or went another way.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <quoll/claim.h>
#include <quoll/heap.h>
#include <quoll/stream.h>

#include "backend/backend.h"

#define PAGE 4096ull
#define MEMORY_BYTES (64ull << 20)
#define BOUNCE_BYTES (32ull << 20)
#define MAX_BATCH 256u
#define NR_ROUNDS 5u
#define ROUND_PIECES 1024u
#define ROUND_BYTES (32ull << 20)
/* Far above where heaps and windows are put. */
#define FREE_IOVA (64ull << 30)

static struct quoll_error err;
static struct quoll_ioas *ioas;
static struct quoll_group *group;
static struct quoll_heap *heap;
static uint8_t *memory;
static const char *backend;

struct cost {
	const char *way;
	struct quoll_stream *stream; /* NULL: the address space itself */
	enum quoll_stream_way expected;
	uint64_t bytes;
	unsigned int batch;
	bool scattered;
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint8_t *piece(const struct cost *cost, unsigned int i)
{
	return memory + i * cost->bytes * (cost->scattered ? 2 : 1);
}

/* Return: 0, -errno. */
static int once_by_ioas(const struct cost *cost)
{
	int rc = 0;

	for (unsigned int i = 0; !rc && i < cost->batch; i++) {
		const struct ioas_mapping m = {
			.va = piece(cost, i),
			.iova = FREE_IOVA + i * cost->bytes,
			.len_bytes = cost->bytes,
			.access = MAP_DEVICE_READ | MAP_DEVICE_WRITE,
			.fd = -1,
		};

		rc = ioas_map(ioas, &m, &err);
	}
	for (unsigned int i = 0; !rc && i < cost->batch; i++)
		rc = ioas_unmap(ioas, FREE_IOVA + i * cost->bytes, cost->bytes);
	return rc;
}

static int once_by_stream(const struct cost *cost)
{
	struct quoll_stream_seg segs[MAX_BATCH];
	int rc;

	for (unsigned int i = 0; i < cost->batch; i++)
		segs[i] = (struct quoll_stream_seg){.va = piece(cost, i), .bytes = cost->bytes, .dir = QUOLL_SEG_WRITE};
	rc = quoll_stream_map(cost->stream, segs, cost->batch);
	if (rc < 0)
		return rc;
	quoll_stream_unmap(cost->stream, segs, (unsigned int)rc);
	for (int i = 0; i < rc; i++)
		if (segs[i].way != cost->expected)
			return -EPROTOTYPE;
	return (unsigned int)rc == cost->batch ? 0 : -EAGAIN;
}

static int once(const struct cost *cost)
{
	return cost->stream ? once_by_stream(cost) : once_by_ioas(cost);
}

/* Calls a round: enough pieces for the clock, and no more bytes than a round shall have. */
static unsigned int round_calls(const struct cost *cost)
{
	uint64_t by_bytes = ROUND_BYTES / (cost->bytes * cost->batch), by_pieces = ROUND_PIECES / cost->batch;
	uint64_t calls = by_bytes < by_pieces ? by_bytes : by_pieces;

	return calls ? (unsigned int)calls : 1;
}

static int measure(const struct cost *cost)
{
	unsigned int calls = round_calls(cost);
	double ns[NR_ROUNDS];
	int rc = once(cost); /* what is made at the first use is there */

	for (unsigned int round = 0; !rc && round < NR_ROUNDS; round++) {
		uint64_t begin = now_ns();

		for (unsigned int i = 0; !rc && i < calls; i++)
			rc = once(cost);
		ns[round] = (double)(now_ns() - begin) / calls / cost->batch;
	}
	if (rc) {
		fprintf(stderr, "%s, %" PRIu64 " bytes, batch %u: %s\n", cost->way, cost->bytes, cost->batch,
			strerrordesc_np(-rc));
		return rc;
	}
	printf("{\"backend\": \"%s\", \"way\": \"%s\", \"bytes\": %" PRIu64
	       ", \"batch\": %u, \"scattered\": %s, \"ns\": [",
	       backend, cost->way, cost->bytes, cost->batch, cost->scattered ? "true" : "false");
	for (unsigned int round = 0; round < NR_ROUNDS; round++)
		printf("%s%.1f", round ? ", " : "", ns[round]);
	printf("]}\n");
	return 0;
}

/* Every size, in every batch that there is memory for. */
static int measure_all(struct cost cost)
{
	static const unsigned int batches[] = {1, 4, 16, 64, MAX_BATCH};
	static const uint64_t sizes[] = {PAGE, 64 << 10, 2 << 20};
	uint64_t most = cost.expected == QUOLL_WAY_BOUNCE ? BOUNCE_BYTES : MEMORY_BYTES;
	int rc = 0;

	for (unsigned int s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
		for (unsigned int b = 0; b < sizeof(batches) / sizeof(batches[0]); b++)
			for (unsigned int scattered = 0; !rc && scattered < 2; scattered++) {
				cost.bytes = sizes[s];
				cost.batch = batches[b];
				cost.scattered = scattered;
				if (cost.bytes * cost.batch * (1 + scattered) <= most)
					rc = measure(&cost);
			}
	return rc;
}

static int measure_way(const char *name, enum quoll_stream_way way, enum quoll_cached_watch watch)
{
	const struct quoll_stream_opts opts = {
		.ways = QUOLL_WAY_BIT(way),
		.window_bytes = MEMORY_BYTES,
		.bounce_bytes = BOUNCE_BYTES,
		.cached_bytes = 2 * MEMORY_BYTES,
		.cached_watch = watch,
	};
	struct cost cost = {.way = name, .expected = way};
	int rc = quoll_stream_create(ioas, heap, &opts, &cost.stream, &err);

	if (rc == -ENOTSUP)
		return 0;
	if (!rc && way == QUOLL_WAY_REGISTERED)
		rc = quoll_stream_register(cost.stream, memory, MEMORY_BYTES, QUOLL_SEG_WRITE);
	if (!rc)
		rc = measure_all(cost);
	quoll_stream_destroy(cost.stream);
	return rc;
}

static int open_all(const struct quoll_addr *addr)
{
	struct quoll_heap_opts opts = {
		.numa_node = -1, .nr_ioases = 1, .ioases = &ioas, .size_bytes = 2 * BOUNCE_BYTES};
	const char *named = quoll_claim_backend(addr);
	int rc = quoll_ioas_open(NULL, named ? named : getenv("QUOLL_BACKEND"), &ioas, &err);

	if (!rc)
		rc = quoll_group_claim(ioas, addr, &group, &err);
	if (!rc)
		rc = quoll_heap_create(NULL, &opts, &heap, &err);
	if (rc)
		return rc;
	backend = ioas->ops->name;
	memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return quoll_error_set(&err, ENOMEM, "memory", addr->target, "out of memory");
	madvise(memory, MEMORY_BYTES, MADV_NOHUGEPAGE);
	memset(memory, 1, MEMORY_BYTES);
	return 0;
}

static void close_all(void)
{
	if (heap)
		quoll_heap_destroy(heap);
	if (group)
		quoll_group_release(group);
	if (ioas)
		quoll_ioas_close(ioas);
}

static int measure_ways(void)
{
	int rc = 0;

	for (unsigned int way = QUOLL_WAY_REGISTERED; !rc && way < QUOLL_NR_WAYS; way++)
		rc = measure_way(quoll_stream_way_name(way), way, QUOLL_CACHED_FORGETS);
	if (!rc)
		rc = measure_way("cached-watched", QUOLL_WAY_CACHED, QUOLL_CACHED_WATCHED);
	return rc ? rc : measure_way("cached-checked", QUOLL_WAY_CACHED, QUOLL_CACHED_CHECKED);
}

int main(int argc, char **argv)
{
	struct quoll_addr addr;
	int rc = argc == 2 ? quoll_addr_parse(argv[1], &addr, &err) : -EINVAL;

	if (!rc)
		rc = open_all(&addr);
	/* Devices in other processes reach only what has a file behind it: there is nothing to be measured. */
	if (!rc && !ioas->ops->device_is_process)
		rc = measure_all((struct cost){.way = "ioas"});
	if (!rc)
		rc = measure_ways();
	close_all();
	if (rc)
		fprintf(stderr, "stream_cost: %s: %s\n", strerrordesc_np(-rc), err.what);
	return rc != 0;
}
