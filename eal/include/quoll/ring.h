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

#include <quoll/ring_slots.h>

#ifdef __cplusplus
extern "C" {
#endif

#define QUOLL_RING_MAX_SIZE (1u << 30)

/* Two lines: the CPU's prefetcher fetches pairs, and pulls a neighbour's line away from its writer. */
#define QUOLL_RING_APART_ __attribute__((aligned(2 * QUOLL_CACHE_LINE_BYTES)))

/**
 * quoll_ring_relax() - pass half a microsecond or so, after a poll in vain of a thread that has nothing else to do
 *
 * A consumer that polls an empty ring without rest takes the producer's line away from it each time, and then gets what
 * comes in the smallest portions; after a rest it finds several batches at one look. Between two CPUs that halves the
 * cost of an element (benchmarks/spsc.c). Not for a thread that polls other things too.
 */
static inline void quoll_ring_relax(void)
{
#if defined(__x86_64__)
	/* By the clock, as the pause instruction takes from 10 to 140 cycles, depending on the CPU. */
	uint64_t begin = __builtin_ia32_rdtsc();

	do {
		__builtin_ia32_pause();
	} while (__builtin_ia32_rdtsc() - begin < 1500);
#elif defined(__aarch64__)
	for (unsigned int i = 0; i < 16; i++)
		__asm__ volatile("isb" ::: "memory");
#endif
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

/* private: the halves of the calls below, also for rings of this project that keep more beside a slot. Room for n, or
 * what there is. */
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
	quoll_ring_claim_(ring->slots, ring->mask, head + QUOLL_RING_AHEAD_, n);
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
