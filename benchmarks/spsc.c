/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * spsc.c - what does an SPSC ring cost between two CPUs? Ticks of the TSC an element, bulk by bulk.
 *
 * As DPDK's ring_perf_autotest does it: one thread puts in bulks of a size, the other takes bulks of that size, both as
 * fast as they can, over a ring of 4096; the figure is the sum of both sides' ticks an element. Polls in vain are part
 * of it: what counts is how fast elements get through. After one, a thread rests by quoll_ring_relax(); the other
 * figure is with one pause instruction instead, which is what DPDK's test does.
 */
#include <jansson.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <quoll/clock.h>
#include <quoll/ring.h>

#include "sort.h"

#define RING_SIZE 4096
#define MAX_BULK 32
#define ELEMENTS (1u << 24) /* a run */
#define MAX_RUNS 101

static struct quoll_clock timer;

struct side {
	struct quoll_spsc *ring;
	uint32_t bulk;
	bool pause_only;
	unsigned int cpu;
	unsigned int *ready; /* atomic: begin together */
	double ticks;	     /* an element */
};

static void begin_together(struct side *s)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(s->cpu, &set);
	if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set))
		fprintf(stderr, "spsc: CPU %u is not to be had\n", s->cpu);
	__atomic_fetch_add(s->ready, 1, __ATOMIC_ACQ_REL);
	while (__atomic_load_n(s->ready, __ATOMIC_ACQUIRE) < 2)
		;
}

static inline void rest(bool pause_only)
{
#if defined(__x86_64__)
	if (pause_only) {
		__builtin_ia32_pause();
		return;
	}
#endif
	(void)pause_only;
	quoll_ring_relax();
}

static void *produce(void *arg)
{
	struct side *s = arg;
	void *objs[MAX_BULK];
	uint64_t begin;

	for (uint32_t i = 0; i < MAX_BULK; i++)
		objs[i] = &objs[i];
	begin_together(s);
	begin = quoll_ticks(&timer);
	for (uint32_t done = 0; done < ELEMENTS; done += s->bulk)
		while (!quoll_spsc_enqueue_bulk(s->ring, objs, s->bulk))
			rest(s->pause_only);
	s->ticks = (double)(quoll_ticks(&timer) - begin) / ELEMENTS;
	return NULL;
}

static void *consume(void *arg)
{
	struct side *s = arg;
	void *objs[MAX_BULK];
	uint64_t begin;

	begin_together(s);
	begin = quoll_ticks(&timer);
	for (uint32_t done = 0; done < ELEMENTS; done += s->bulk)
		while (!quoll_spsc_dequeue_bulk(s->ring, objs, s->bulk))
			rest(s->pause_only);
	s->ticks = (double)(quoll_ticks(&timer) - begin) / ELEMENTS;
	return NULL;
}

/* Return: ticks an element, or a negative number. */
static double run(const unsigned int cpus[2], uint32_t bulk, bool pause_only)
{
	unsigned int ready = 0;
	struct side sides[2];
	struct quoll_spsc *ring;
	pthread_t threads[2];

	if (quoll_spsc_create(RING_SIZE, &ring))
		return -1;
	for (int i = 0; i < 2; i++) {
		sides[i] = (struct side){
			.ring = ring, .bulk = bulk, .pause_only = pause_only, .cpu = cpus[i], .ready = &ready};
		if (pthread_create(&threads[i], NULL, i ? consume : produce, &sides[i]))
			exit(1);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	quoll_spsc_destroy(ring);
	return sides[0].ticks + sides[1].ticks;
}

static int measure(const unsigned int cpus[2], uint32_t bulk, bool pause_only, unsigned int runs, json_t *doc)
{
	double ticks[MAX_RUNS];

	if (run(cpus, bulk, pause_only) < 0) /* warm */
		return -1;
	for (unsigned int i = 0; i < runs; i++) {
		ticks[i] = run(cpus, bulk, pause_only);
		if (ticks[i] < 0)
			return -1;
	}
	sort_doubles(ticks, runs);
	if (doc)
		return json_array_append_new(doc, json_pack("{s:i, s:f, s:f, s:f}", "bulk", (int)bulk,
							    "median_ticks_per_element", ticks[runs / 2],
							    "min_ticks_per_element", ticks[0], "max_ticks_per_element",
							    ticks[runs - 1]));
	printf("bulk %2u: %6.2f (%.2f-%.2f) ticks an element, both sides together%s\n", bulk, ticks[runs / 2], ticks[0],
	       ticks[runs - 1], pause_only ? "; one pause after a poll in vain" : "");
	return 0;
}

static int usage(int rc)
{
	fprintf(rc ? stderr : stdout, "bench_spsc [--cpus A,B] [--runs N] [--json]\n"
				      "  --cpus  which two (0,1)\n  --runs  1 to 101 (5)\n");
	return rc;
}

int main(int argc, char **argv)
{
	static const uint32_t bulks[] = {8, 32};
	unsigned int cpus[2] = {0, 1}, runs = 5;
	bool json = false;
	json_t *doc = NULL, *pauses = NULL;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--json"))
			json = true;
		else if (!strcmp(argv[i], "--help"))
			return usage(0);
		else if (i + 1 < argc && !strcmp(argv[i], "--cpus") &&
			 sscanf(argv[i + 1], "%u,%u", &cpus[0], &cpus[1]) == 2)
			i++;
		else if (i + 1 < argc && !strcmp(argv[i], "--runs") && sscanf(argv[i + 1], "%u", &runs) == 1 && runs &&
			 runs <= MAX_RUNS)
			i++;
		else
			return usage(2);
	}
	(void)quoll_clock_init(&timer); /* a system clock's ticks do as well */
	if (json)
		doc = json_array(), pauses = json_array();
	else
		printf("TSC %.6f GHz; ring of %d; median of %u (min-max)\n", (double)timer.tick_hz / 1e9, RING_SIZE,
		       runs);
	for (size_t i = 0; i < sizeof(bulks) / sizeof(bulks[0]); i++)
		if (measure(cpus, bulks[i], false, runs, doc) || measure(cpus, bulks[i], true, runs, pauses))
			return 1;
	if (json) {
		doc = json_pack("{s:s, s:I, s:i, s:i, s:o, s:o}", "program", "bench_spsc", "tick_hz",
				(json_int_t)timer.tick_hz, "ring_entries", RING_SIZE, "runs", (int)runs, "cases", doc,
				"one_pause", pauses);
		json_dumpf(doc, stdout, JSON_INDENT(2));
		printf("\n");
		json_decref(doc);
	}
	return 0;
}
