/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * copy.c - the ceiling of a namespace in memory: blocks copied by memcpy from random places to a few buffers, one core,
 * nothing else.
 *
 *   bench_copy [--size BYTES] [--memory BYTES] [--buffers N] [--runs N] [--json]
 *
 * The memory is as the target's mem: has it (hugepages, or pages that the kernel may make large), and filled with
 * random data; a thousand places are drawn before the clock is read.
 */
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <quoll/clock.h>

#include "sort.h"

#define MAX_RUNS 101
#define HUGE_BYTES (2ull << 20)
#define COPIES_A_RUN 200000u
#define BATCH 1000u

struct options {
	uint64_t size_bytes;
	uint64_t memory_bytes;
	uint64_t nr_buffers;
	uint64_t nr_runs;
	int json;
};

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static uint8_t *map(uint64_t bytes)
{
	void *va = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

	if (va == MAP_FAILED) {
		va = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (va == MAP_FAILED) {
			perror("bench_copy: mmap");
			exit(1);
		}
		madvise(va, bytes, MADV_HUGEPAGE);
	}
	return va;
}

/* Copies a second. */
static double run(const struct options *o, const uint8_t *memory, uint8_t *buffers, uint64_t *seed)
{
	static uint64_t places[BATCH];
	uint64_t blocks = o->memory_bytes / o->size_bytes, ticks = 0, slot = 0;
	struct quoll_clock clock;

	quoll_clock_init(&clock);
	for (unsigned int done = 0; done < COPIES_A_RUN; done += BATCH) {
		uint64_t begin;

		for (unsigned int i = 0; i < BATCH; i++)
			places[i] = next_random(seed) % blocks;
		begin = quoll_ticks(&clock);
		for (unsigned int i = 0; i < BATCH; i++) {
			memcpy(buffers + slot * o->size_bytes, memory + places[i] * o->size_bytes, o->size_bytes);
			slot = slot + 1 == o->nr_buffers ? 0 : slot + 1;
		}
		ticks += quoll_ticks(&clock) - begin;
	}
	return COPIES_A_RUN / ((double)quoll_ticks_to_ns(&clock, ticks) / 1e9);
}

static uint64_t number(const char *name, const char *text, uint64_t least, uint64_t most)
{
	char *end;
	unsigned long long v = strtoull(text, &end, 0);

	if (end == text || *end || v < least || v > most) {
		fprintf(stderr, "bench_copy: --%s %s: %llu to %llu\n", name, text, (unsigned long long)least,
			(unsigned long long)most);
		exit(2);
	}
	return v;
}

static void parse(int argc, char **argv, struct options *o)
{
	static const struct option names[] = {
		{"size", required_argument, NULL, 's'},	   {"memory", required_argument, NULL, 'm'},
		{"buffers", required_argument, NULL, 'b'}, {"runs", required_argument, NULL, 'r'},
		{"json", no_argument, NULL, 'j'},	   {NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1)
		if (c == 's')
			o->size_bytes = number("size", optarg, 64, HUGE_BYTES);
		else if (c == 'm')
			o->memory_bytes = number("memory", optarg, HUGE_BYTES, 1ull << 40);
		else if (c == 'b')
			o->nr_buffers = number("buffers", optarg, 1, 65536);
		else if (c == 'r')
			o->nr_runs = number("runs", optarg, 1, MAX_RUNS);
		else if (c == 'j')
			o->json = 1;
		else
			exit(2);
	o->memory_bytes &= ~(HUGE_BYTES - 1);
}

int main(int argc, char **argv)
{
	struct options o = {.size_bytes = 4096, .memory_bytes = 1ull << 30, .nr_buffers = 128, .nr_runs = 5};
	uint64_t seed = 0x9e3779b97f4a7c15u;
	uint8_t *memory, *buffers;
	double runs[MAX_RUNS];

	parse(argc, argv, &o);
	memory = map(o.memory_bytes);
	buffers = map((o.nr_buffers * o.size_bytes + HUGE_BYTES - 1) & ~(HUGE_BYTES - 1));
	for (uint64_t at = 0; at < o.memory_bytes; at += sizeof(seed))
		memcpy(memory + at, &(uint64_t){next_random(&seed)}, sizeof(seed));
	memset(buffers, 1, o.nr_buffers * o.size_bytes);
	for (uint64_t i = 0; i < o.nr_runs; i++)
		runs[i] = run(&o, memory, buffers, &seed);
	sort_doubles(runs, o.nr_runs);
	if (o.json)
		printf("{\"size_bytes\": %llu, \"memory_bytes\": %llu, \"copies_per_s\": %.0f, \"min\": %.0f, \"max\": "
		       "%.0f}\n",
		       (unsigned long long)o.size_bytes, (unsigned long long)o.memory_bytes, runs[o.nr_runs / 2],
		       runs[0], runs[o.nr_runs - 1]);
	else
		printf("%.0f copies a second (%.0f-%.0f), %.0f ns each\n", runs[o.nr_runs / 2], runs[0],
		       runs[o.nr_runs - 1], 1e9 / runs[o.nr_runs / 2]);
	return 0;
}
