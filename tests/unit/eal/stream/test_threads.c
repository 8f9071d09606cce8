/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_threads.c - streams of several threads that register memory in one address space at a time, while its own thread
 * lets the heap grow. For TSan above all.
 */
#include <pthread.h>
#include <string.h>

#include "stream_world.h"

#define NR_THREADS 3
#define NR_IOS 2000

struct job {
	struct quoll_stream *stream;
	uint8_t *memory;
	unsigned int bad;
};

static void *do_ios(void *arg)
{
	struct job *job = arg;

	for (unsigned int i = 0; i < NR_IOS; i++) {
		struct quoll_stream_seg seg = world_seg(job->memory + i % 7 * PAGE, PAGE, QUOLL_SEG_WRITE);

		if (quoll_stream_map(job->stream, &seg, 1) != 1) {
			job->bad++;
			continue;
		}
		quoll_stream_unmap(job->stream, &seg, 1);
	}
	return NULL;
}

static void streams_of_several_threads_share_an_address_space(void)
{
	const struct quoll_stream_opts opts = {.ways = ONLY(CACHED),
					       .cached_entries = 3,
					       .cached_bytes = 1 << 20,
					       .cached_watch = QUOLL_CACHED_FORGETS};
	struct quoll_stream_stats stats;
	pthread_t threads[NR_THREADS];
	struct job jobs[NR_THREADS];
	struct world w;
	void *va;

	world_open(&w, NULL);
	for (unsigned int i = 0; i < NR_THREADS; i++) {
		jobs[i] = (struct job){.memory = w.outside + i * 64 * PAGE};
		CU_ASSERT_EQUAL_FATAL(quoll_stream_create(w.fake->ioas, w.heap, &opts, &jobs[i].stream, NULL), 0);
	}
	for (unsigned int i = 0; i < NR_THREADS; i++)
		CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, do_ios, &jobs[i]), 0);
	for (unsigned int i = 0; i < 12; i++)
		CU_ASSERT_EQUAL(quoll_arena_alloc(w.arena, 64 << 10, PAGE, &va, NULL), 0);
	for (unsigned int i = 0; i < NR_THREADS; i++) {
		CU_ASSERT_EQUAL(pthread_join(threads[i], NULL), 0);
		quoll_stream_stats(jobs[i].stream, &stats);
		CU_ASSERT_EQUAL(jobs[i].bad, 0);
		CU_ASSERT_EQUAL(stats.hits + stats.misses, NR_IOS);
		CU_ASSERT_EQUAL(stats.misses, NR_IOS); /* seven in turn through room for three */
		CU_ASSERT_EQUAL(stats.registrations, 3);
		quoll_stream_destroy(jobs[i].stream);
	}
	world_close(&w);
}

static const struct unit_test tests[] = {
	{"streams of several threads share an address space", streams_of_several_threads_share_an_address_space},
};

UNIT_MAIN("eal/stream/threads", tests)
