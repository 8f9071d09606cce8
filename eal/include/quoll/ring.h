/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ring.h - rings of pointers between threads: SPSC (one puts, one takes) here, MPMC (any number) in ring_mpmc.h.
 *
 * Batches in, batches out: an SPSC batch costs one acquire and one release at most, an MPMC batch one compare-and-swap
 * and one release more; nothing is locked per pointer. All of it is inline; sizes are powers of two, all slots are
 * used.
 *
 * bulk moves all or nothing, burst as many as fit; both return how many they moved. Indices run free over 32 bits and
 * are masked on access, so head - tail is the fill level even after they wrap.
 */
#ifndef QUOLL_RING_H
#define QUOLL_RING_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <quoll/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define QUOLL_RING_MAX_SIZE (1u << 30)

/* Two lines: the CPU's prefetcher fetches pairs, and pulls a neighbour's line away from its writer. */
#define QUOLL_RING_APART_ __attribute__((aligned(2 * QUOLL_CACHE_LINE_BYTES)))

/* private: as many pointers at a time as a vector register holds, wherever they lie. */
#ifdef __AVX__
#define QUOLL_RING_VEC_ 4
#else
#define QUOLL_RING_VEC_ 2
#endif
typedef uint64_t quoll_ring_vec_ __attribute__((vector_size(QUOLL_RING_VEC_ * 8), aligned(8), may_alias));

/*
 * private: n pointers. Short batches inline; from 32 on libc's memcpy, which has the widest registers of the CPU it
 * runs on, is worth its call, unless we were compiled for them ourselves. (Measured: benchmarks/rings.c.)
 */
static inline void quoll_ring_move_(void **to, void *const *from, uint32_t n)
{
#ifndef __AVX__
	if (n >= 32) {
		memcpy(to, from, n * sizeof(*to));
		return;
	}
#endif
	for (; n >= 2 * QUOLL_RING_VEC_; n -= 2 * QUOLL_RING_VEC_) {
		quoll_ring_vec_ a = ((const quoll_ring_vec_ *)from)[0];
		quoll_ring_vec_ b = ((const quoll_ring_vec_ *)from)[1];

		((quoll_ring_vec_ *)to)[0] = a;
		((quoll_ring_vec_ *)to)[1] = b;
		to += 2 * QUOLL_RING_VEC_;
		from += 2 * QUOLL_RING_VEC_;
	}
#ifdef __AVX__
	if (n >= QUOLL_RING_VEC_) {
		*(quoll_ring_vec_ *)to = *(const quoll_ring_vec_ *)from;
		to += QUOLL_RING_VEC_;
		from += QUOLL_RING_VEC_;
		n -= QUOLL_RING_VEC_;
	}
#endif
	if (n & 2) {
		memcpy(to, from, 2 * sizeof(*to));
		to += 2;
		from += 2;
	}
	if (n & 1)
		*to = *from;
}

/* private: the same across the end of the slots; seldom. */
__attribute__((noinline, cold, unused)) static void quoll_ring_in_wrapped_(void **slots, uint32_t i, uint32_t to_end,
									   void *const *objs, uint32_t n)
{
	memcpy(slots + i, objs, to_end * sizeof(*slots));
	memcpy(slots, objs + to_end, (n - to_end) * sizeof(*slots));
}

__attribute__((noinline, cold, unused)) static void quoll_ring_out_wrapped_(void *const *slots, uint32_t i,
									    uint32_t to_end, void **objs, uint32_t n)
{
	memcpy(objs, slots + i, to_end * sizeof(*slots));
	memcpy(objs + to_end, slots, (n - to_end) * sizeof(*slots));
}

static inline void quoll_ring_in_(void **slots, uint32_t mask, uint32_t at, void *const *objs, uint32_t n)
{
	uint32_t i = at & mask, to_end = mask + 1 - i;

	if (QUOLL_LIKELY(n <= to_end))
		quoll_ring_move_(slots + i, objs, n);
	else
		quoll_ring_in_wrapped_(slots, i, to_end, objs, n);
}

static inline void quoll_ring_out_(void *const *slots, uint32_t mask, uint32_t at, void **objs, uint32_t n)
{
	uint32_t i = at & mask, to_end = mask + 1 - i;

	if (QUOLL_LIKELY(n <= to_end))
		quoll_ring_move_(objs, slots + i, n);
	else
		quoll_ring_out_wrapped_(slots, i, to_end, objs, n);
}

static inline void *quoll_ring_alloc_(size_t header_bytes, uint32_t size)
{
	size_t bytes = header_bytes + size * sizeof(void *);
	void *mem = NULL;

	if (posix_memalign(&mem, 128, bytes))
		return NULL;
	memset(mem, 0, bytes);
	return mem;
}

/**
 * struct quoll_spsc - one producer, one consumer
 *
 * Each side has its own lines and remembers where it last saw the other, so that the other's line is fetched only when
 * the ring looks full or empty.
 */
struct quoll_spsc {
	/* private: written by quoll_spsc_create() only */
	uint32_t mask;
	struct {
		uint32_t head; /* next to be filled; read by the consumer */
		uint32_t tail_seen;
	} prod QUOLL_RING_APART_;
	struct {
		uint32_t tail; /* next to be taken; read by the producer */
		uint32_t head_seen;
	} cons QUOLL_RING_APART_;
	void *slots[] QUOLL_RING_APART_;
};

/**
 * quoll_spsc_create() - a ring of @size slots, a power of two up to QUOLL_RING_MAX_SIZE
 * Return: 0, -EINVAL (size), -ENOMEM. Thread rule: set-up; freed by quoll_spsc_destroy(), what it still holds is not
 * looked at.
 */
static inline int quoll_spsc_create(uint32_t size, struct quoll_spsc **ring)
{
	if (!size || (size & (size - 1)) || size > QUOLL_RING_MAX_SIZE)
		return -EINVAL;
	*ring = (struct quoll_spsc *)quoll_ring_alloc_(sizeof(struct quoll_spsc), size);
	if (!*ring)
		return -ENOMEM;
	(*ring)->mask = size - 1;
	return 0;
}

static inline void quoll_spsc_destroy(struct quoll_spsc *ring)
{
	free(ring);
}

/* private: room for n, or what there is. */
static inline uint32_t quoll_spsc_room_(struct quoll_spsc *ring, uint32_t head, uint32_t n)
{
	uint32_t size = ring->mask + 1, room = size - (head - ring->prod.tail_seen);

	if (QUOLL_UNLIKELY(room < n)) {
		/* Pairs with the release in take_: the slots have been read before they are filled again. */
		ring->prod.tail_seen = __atomic_load_n(&ring->cons.tail, __ATOMIC_ACQUIRE);
		room = size - (head - ring->prod.tail_seen);
	}
	return room;
}

static inline void quoll_spsc_put_(struct quoll_spsc *ring, uint32_t head, void *const *objs, uint32_t n)
{
	quoll_ring_in_(ring->slots, ring->mask, head, objs, n);
	/* Pairs with the acquire in filled_: the slots are filled before the consumer sees them counted. */
	__atomic_store_n(&ring->prod.head, head + n, __ATOMIC_RELEASE);
}

static inline uint32_t quoll_spsc_filled_(struct quoll_spsc *ring, uint32_t tail, uint32_t n)
{
	uint32_t filled = ring->cons.head_seen - tail;

	if (QUOLL_UNLIKELY(filled < n)) {
		/* Pairs with the release in put_. */
		ring->cons.head_seen = __atomic_load_n(&ring->prod.head, __ATOMIC_ACQUIRE);
		filled = ring->cons.head_seen - tail;
	}
	return filled;
}

static inline void quoll_spsc_take_(struct quoll_spsc *ring, uint32_t tail, void **objs, uint32_t n)
{
	quoll_ring_out_(ring->slots, ring->mask, tail, objs, n);
	/* Pairs with the acquire in room_. */
	__atomic_store_n(&ring->cons.tail, tail + n, __ATOMIC_RELEASE);
}

/**
 * quoll_spsc_enqueue_bulk(), quoll_spsc_enqueue_burst() - put pointers in, all or nothing, or as many as fit
 * Return: how many went in. Thread rule: the producer; hot path, never waits.
 */
static inline uint32_t quoll_spsc_enqueue_bulk(struct quoll_spsc *ring, void *const *objs, uint32_t n)
{
	uint32_t head = ring->prod.head;

	if (QUOLL_UNLIKELY(quoll_spsc_room_(ring, head, n) < n))
		return 0;
	quoll_spsc_put_(ring, head, objs, n);
	return n;
}

static inline uint32_t quoll_spsc_enqueue_burst(struct quoll_spsc *ring, void *const *objs, uint32_t n)
{
	uint32_t head = ring->prod.head, room = quoll_spsc_room_(ring, head, n);

	if (QUOLL_UNLIKELY(n > room))
		n = room;
	if (n)
		quoll_spsc_put_(ring, head, objs, n);
	return n;
}

/**
 * quoll_spsc_dequeue_bulk(), quoll_spsc_dequeue_burst() - take the oldest pointers, all or nothing, or what there is
 * Return: how many came out. Thread rule: the consumer; hot path, never waits.
 */
static inline uint32_t quoll_spsc_dequeue_bulk(struct quoll_spsc *ring, void **objs, uint32_t n)
{
	uint32_t tail = ring->cons.tail;

	if (QUOLL_UNLIKELY(quoll_spsc_filled_(ring, tail, n) < n))
		return 0;
	quoll_spsc_take_(ring, tail, objs, n);
	return n;
}

static inline uint32_t quoll_spsc_dequeue_burst(struct quoll_spsc *ring, void **objs, uint32_t n)
{
	uint32_t tail = ring->cons.tail, filled = quoll_spsc_filled_(ring, tail, n);

	if (n > filled)
		n = filled;
	if (n)
		quoll_spsc_take_(ring, tail, objs, n);
	return n;
}

/**
 * quoll_spsc_count() - how full it is; exact only while both sides rest. Thread rule: any thread.
 */
static inline uint32_t quoll_spsc_count(const struct quoll_spsc *ring)
{
	/* Relaxed: a hint, nothing is read on the strength of it. The tail first, so that it cannot pass the head. */
	uint32_t tail = __atomic_load_n(&ring->cons.tail, __ATOMIC_ACQUIRE);
	uint32_t n = __atomic_load_n(&ring->prod.head, __ATOMIC_RELAXED) - tail;

	return n <= ring->mask + 1 ? n : ring->mask + 1;
}

#ifdef __cplusplus
}
#endif

#include <quoll/ring_mpmc.h>

#endif
