/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_ring.c - SPSC and MPMC rings: levels and wrapping on one thread, order and completeness between threads.
 */
#include <pthread.h>
#include <stdlib.h>

#include <quoll/ring.h>

#include "unit.h"

#define SIZE 64
#define NR_ITEMS 400000u
#define BATCH 48

/* Both kinds behind one table, so that both pass the same single-threaded tests. */
struct kind {
	int (*create)(uint32_t size, void **ring);
	void (*destroy)(void *ring);
	uint32_t (*put_bulk)(void *ring, void *const *objs, uint32_t n);
	uint32_t (*put_burst)(void *ring, void *const *objs, uint32_t n);
	uint32_t (*take_bulk)(void *ring, void **objs, uint32_t n);
	uint32_t (*take_burst)(void *ring, void **objs, uint32_t n);
	uint32_t (*count)(const void *ring);
	void (*start_at)(void *ring, uint32_t index);
};

#define KIND(k)                                                                                                        \
	static int k##_create(uint32_t size, void **ring)                                                              \
	{                                                                                                              \
		struct quoll_##k *r = NULL;                                                                            \
		int rc = quoll_##k##_create(size, &r);                                                                 \
                                                                                                                       \
		*ring = r;                                                                                             \
		return rc;                                                                                             \
	}                                                                                                              \
	static void k##_destroy(void *ring)                                                                            \
	{                                                                                                              \
		quoll_##k##_destroy(ring);                                                                             \
	}                                                                                                              \
	static uint32_t k##_put_bulk(void *ring, void *const *objs, uint32_t n)                                        \
	{                                                                                                              \
		return quoll_##k##_enqueue_bulk(ring, objs, n);                                                        \
	}                                                                                                              \
	static uint32_t k##_put_burst(void *ring, void *const *objs, uint32_t n)                                       \
	{                                                                                                              \
		return quoll_##k##_enqueue_burst(ring, objs, n);                                                       \
	}                                                                                                              \
	static uint32_t k##_take_bulk(void *ring, void **objs, uint32_t n)                                             \
	{                                                                                                              \
		return quoll_##k##_dequeue_bulk(ring, objs, n);                                                        \
	}                                                                                                              \
	static uint32_t k##_take_burst(void *ring, void **objs, uint32_t n)                                            \
	{                                                                                                              \
		return quoll_##k##_dequeue_burst(ring, objs, n);                                                       \
	}                                                                                                              \
	static uint32_t k##_count(const void *ring)                                                                    \
	{                                                                                                              \
		return quoll_##k##_count(ring);                                                                        \
	}                                                                                                              \
	static const struct kind k = {                                                                                 \
		k##_create,    k##_destroy,    k##_put_bulk, k##_put_burst,                                            \
		k##_take_bulk, k##_take_burst, k##_count,    k##_start_at,                                             \
	}

static void spsc_start_at(void *ring, uint32_t index)
{
	struct quoll_spsc *r = ring;

	r->prod.head = r->prod.tail_seen = r->cons.tail = r->cons.head_seen = index;
}

static void mpmc_start_at(void *ring, uint32_t index)
{
	struct quoll_mpmc *r = ring;

	r->prod.head = r->prod.tail = r->cons.head = r->cons.tail = index;
}

KIND(spsc);
KIND(mpmc);

static const struct kind *const kinds[] = {&spsc, &mpmc};

static void *obj(uintptr_t n)
{
	return (void *)(n + 1);
}

static void sizes_that_are_no_power_of_two_are_refused(void)
{
	static const uint32_t bad[] = {0, 3, 63, 65, (1u << 30) + 1, 1u << 31, UINT32_MAX};
	void *ring;

	for (int k = 0; k < 2; k++) {
		for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
			CU_ASSERT_EQUAL(kinds[k]->create(bad[i], &ring), -EINVAL);
		CU_ASSERT_EQUAL_FATAL(kinds[k]->create(1, &ring), 0);
		CU_ASSERT_EQUAL((uintptr_t)ring % 128, 0);
		kinds[k]->destroy(ring);
	}
}

static void bulk_moves_all_or_nothing_and_burst_what_fits(void)
{
	void *in[SIZE + 1], *out[SIZE + 1], *ring;

	for (uintptr_t i = 0; i <= SIZE; i++)
		in[i] = obj(i);
	for (int i = 0; i < 2; i++) {
		const struct kind *k = kinds[i];

		CU_ASSERT_EQUAL_FATAL(k->create(SIZE, &ring), 0);
		CU_ASSERT_EQUAL(k->take_burst(ring, out, 1), 0);
		CU_ASSERT_EQUAL(k->take_bulk(ring, out, 1), 0);
		CU_ASSERT_EQUAL(k->put_bulk(ring, in, SIZE + 1), 0);
		CU_ASSERT_EQUAL(k->put_bulk(ring, in, SIZE - 1), SIZE - 1);
		CU_ASSERT_EQUAL(k->put_bulk(ring, in, 2), 0);
		CU_ASSERT_EQUAL(k->put_burst(ring, in + SIZE - 1, 2), 1);
		CU_ASSERT_EQUAL(k->put_burst(ring, in, 5), 0);
		CU_ASSERT_EQUAL(k->count(ring), SIZE);
		CU_ASSERT_EQUAL(k->take_bulk(ring, out, SIZE + 1), 0);
		CU_ASSERT_EQUAL(k->take_burst(ring, out, SIZE + 1), SIZE);
		CU_ASSERT_EQUAL(memcmp(in, out, SIZE * sizeof(in[0])), 0);
		CU_ASSERT_EQUAL(k->count(ring), 0);
		CU_ASSERT_EQUAL(k->put_burst(ring, in, 0), 0);
		CU_ASSERT_EQUAL(k->take_burst(ring, out, 0), 0);
		k->destroy(ring);
	}
}

/* Every batch size from every position, with the indices about to overflow, against what must come out. */
static void nothing_is_lost_or_moved_at_the_wrap(void)
{
	void *in[SIZE], *out[SIZE + 2], *ring;

	for (int i = 0; i < 2; i++) {
		const struct kind *k = kinds[i];

		CU_ASSERT_EQUAL_FATAL(k->create(SIZE, &ring), 0);
		for (uint32_t at = 0; at < SIZE; at++) {
			k->start_at(ring, UINT32_MAX - at);
			for (uint32_t n = 1; n <= SIZE; n++) {
				for (uint32_t j = 0; j < n; j++)
					in[j] = obj(at * 1000 + n * 10 + j);
				memset(out, 0, sizeof(out));
				CU_ASSERT_EQUAL_FATAL(k->put_bulk(ring, in, n), n);
				CU_ASSERT_EQUAL_FATAL(k->take_bulk(ring, out + 1, n), n);
				CU_ASSERT_EQUAL_FATAL(memcmp(in, out + 1, n * sizeof(in[0])), 0);
				/* Not a pointer more than asked for. */
				CU_ASSERT_PTR_NULL_FATAL(out[0]);
				CU_ASSERT_PTR_NULL_FATAL(out[n + 1]);
			}
		}
		k->destroy(ring);
	}
}

static uint32_t next_random(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

static void *spsc_producer(void *arg)
{
	struct quoll_spsc *ring = arg;
	uint32_t seed = 1, sent = 0;
	void *objs[BATCH];

	while (sent < NR_ITEMS) {
		uint32_t n = 1 + next_random(&seed) % BATCH, done;

		if (n > NR_ITEMS - sent)
			n = NR_ITEMS - sent;
		for (uint32_t i = 0; i < n; i++)
			objs[i] = obj(sent + i);
		done = seed & 1 << 20 ? quoll_spsc_enqueue_bulk(ring, objs, n)
				      : quoll_spsc_enqueue_burst(ring, objs, n);
		if (!done)
			sched_yield();
		sent += done;
	}
	return NULL;
}

static void spsc_keeps_order_between_threads(void)
{
	struct quoll_spsc *ring;
	uint32_t seed = 2, got = 0, wrong = 0;
	void *objs[BATCH];
	pthread_t thread;

	CU_ASSERT_EQUAL_FATAL(quoll_spsc_create(SIZE, &ring), 0);
	spsc_start_at(ring, UINT32_MAX - NR_ITEMS / 2);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, spsc_producer, ring), 0);
	while (got < NR_ITEMS) {
		uint32_t n = 1 + next_random(&seed) % BATCH;

		n = seed & 1 << 20 ? quoll_spsc_dequeue_bulk(ring, objs, n < 8 ? n : 1)
				   : quoll_spsc_dequeue_burst(ring, objs, n);
		if (!n)
			sched_yield();
		for (uint32_t i = 0; i < n; i++)
			wrong += objs[i] != obj(got++);
		CU_ASSERT_FATAL(quoll_spsc_count(ring) <= SIZE);
	}
	pthread_join(thread, NULL);
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT_EQUAL(quoll_spsc_count(ring), 0);
	quoll_spsc_destroy(ring);
}

#define NR_SIDES 3 /* producers, and consumers: more threads than CPUs, so that some are preempted in the middle */

struct mpmc_test {
	struct quoll_mpmc *ring;
	uint32_t nr_taken; /* atomic */
};

struct mpmc_side {
	struct mpmc_test *test;
	uint32_t id;
	uint32_t nr_from[NR_SIDES];
	uint64_t sum_from[NR_SIDES];
	uint32_t wrong;
	pthread_t thread;
};

static void *mpmc_producer(void *arg)
{
	struct mpmc_side *side = arg;
	uint32_t seed = 77 + side->id, sent = 0;
	void *objs[BATCH];

	while (sent < NR_ITEMS / NR_SIDES) {
		uint32_t n = 1 + next_random(&seed) % BATCH;

		if (n > NR_ITEMS / NR_SIDES - sent)
			n = NR_ITEMS / NR_SIDES - sent;
		for (uint32_t i = 0; i < n; i++)
			objs[i] = obj((uintptr_t)side->id << 32 | (sent + i));
		n = seed & 1 << 20 ? quoll_mpmc_enqueue_bulk(side->test->ring, objs, n)
				   : quoll_mpmc_enqueue_burst(side->test->ring, objs, n);
		if (!n)
			sched_yield();
		sent += n;
	}
	return NULL;
}

static void *mpmc_consumer(void *arg)
{
	struct mpmc_side *side = arg;
	uint32_t seed = 99 + side->id;
	int64_t last[NR_SIDES] = {-1, -1, -1};
	void *objs[BATCH];

	while (__atomic_load_n(&side->test->nr_taken, __ATOMIC_RELAXED) < NR_ITEMS / NR_SIDES * NR_SIDES) {
		uint32_t n = 1 + next_random(&seed) % BATCH;

		n = seed & 1 << 20 ? quoll_mpmc_dequeue_bulk(side->test->ring, objs, n < 8 ? n : 1)
				   : quoll_mpmc_dequeue_burst(side->test->ring, objs, n);
		if (!n)
			sched_yield();
		for (uint32_t i = 0; i < n; i++) {
			uint64_t v = (uintptr_t)objs[i] - 1;
			uint32_t from = (uint32_t)(v >> 32), seq = (uint32_t)v;

			if (from >= NR_SIDES || (int64_t)seq <= last[from]) {
				side->wrong++;
				continue;
			}
			last[from] = seq;
			side->nr_from[from]++;
			side->sum_from[from] += seq;
		}
		__atomic_fetch_add(&side->test->nr_taken, n, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void mpmc_loses_nothing_and_keeps_each_producers_order(void)
{
	static struct mpmc_side producers[NR_SIDES], consumers[NR_SIDES];
	struct mpmc_test test = {.nr_taken = 0};
	uint64_t each = NR_ITEMS / NR_SIDES;

	CU_ASSERT_EQUAL_FATAL(quoll_mpmc_create(SIZE, &test.ring), 0);
	mpmc_start_at(test.ring, UINT32_MAX - NR_ITEMS / 2);
	for (uint32_t i = 0; i < NR_SIDES; i++) {
		producers[i] = consumers[i] = (struct mpmc_side){.test = &test, .id = i};
		CU_ASSERT_EQUAL_FATAL(pthread_create(&producers[i].thread, NULL, mpmc_producer, &producers[i]), 0);
		CU_ASSERT_EQUAL_FATAL(pthread_create(&consumers[i].thread, NULL, mpmc_consumer, &consumers[i]), 0);
	}
	for (uint32_t i = 0; i < NR_SIDES; i++) {
		pthread_join(producers[i].thread, NULL);
		pthread_join(consumers[i].thread, NULL);
	}
	for (uint32_t p = 0; p < NR_SIDES; p++) {
		uint64_t nr = 0, sum = 0;

		for (uint32_t c = 0; c < NR_SIDES; c++) {
			nr += consumers[c].nr_from[p];
			sum += consumers[c].sum_from[p];
		}
		CU_ASSERT_EQUAL(nr, each);
		CU_ASSERT_EQUAL(sum, each * (each - 1) / 2);
		CU_ASSERT_EQUAL(consumers[p].wrong, 0);
	}
	CU_ASSERT_EQUAL(quoll_mpmc_count(test.ring), 0);
	quoll_mpmc_destroy(test.ring);
}

/* As a caller drains a ring: a compiler that believes that more than one pointer might be written warns here. */
static void one_at_a_time_needs_room_for_one(void)
{
	struct quoll_spsc *ring;
	int items[3], n = 0;
	void *obj;

	CU_ASSERT_EQUAL_FATAL(quoll_spsc_create(4, &ring), 0);
	for (int i = 0; i < 3; i++) {
		obj = &items[i];
		CU_ASSERT_EQUAL(quoll_spsc_enqueue_burst(ring, &obj, 1), 1);
	}
	for (; quoll_spsc_dequeue_burst(ring, &obj, 1); n++)
		CU_ASSERT_PTR_EQUAL(obj, &items[n]);
	CU_ASSERT_EQUAL(n, 3);
	quoll_spsc_destroy(ring);
}

static const struct unit_test tests[] = {
	{"sizes that are no power of two are refused", sizes_that_are_no_power_of_two_are_refused},
	{"bulk moves all or nothing, burst what fits", bulk_moves_all_or_nothing_and_burst_what_fits},
	{"nothing is lost or moved at the wrap", nothing_is_lost_or_moved_at_the_wrap},
	{"one at a time needs room for one", one_at_a_time_needs_room_for_one},
	{"SPSC keeps order between threads", spsc_keeps_order_between_threads},
	{"MPMC loses nothing and keeps each producer's order", mpmc_loses_nothing_and_keeps_each_producers_order},
};

UNIT_MAIN("rings", tests)
