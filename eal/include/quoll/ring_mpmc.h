/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ring_mpmc.h - the ring of pointers for any number of producers and consumers; ring.h says what both kinds share.
 */
#ifndef QUOLL_RING_MPMC_H
#define QUOLL_RING_MPMC_H

#include <sched.h>
#include <stdbool.h>

#include <quoll/ring.h>

#ifdef __cplusplus
extern "C" {
#endif

/* private: one side of an MPMC ring: slots up to head are someone's, those up to tail are finished. */
struct quoll_mpmc_end_ {
	uint32_t head;
	uint32_t tail;
};

/**
 * struct quoll_mpmc - any number of producers and consumers
 *
 * A batch reserves its slots by moving head, copies, and finishes by moving tail, in the order of the reservations. So
 * a thread that is preempted in the middle of its copy holds up those who reserved after it: they yield the CPU after a
 * while. Meant for exchanges of whole batches, as pools do them.
 */
struct quoll_mpmc {
	/* private: written by quoll_mpmc_create() only */
	uint32_t mask;
	struct quoll_mpmc_end_ prod QUOLL_RING_APART_;
	struct quoll_mpmc_end_ cons QUOLL_RING_APART_;
	void *slots[] QUOLL_RING_APART_;
};

/**
 * quoll_mpmc_create() - as quoll_spsc_create()
 */
static inline int quoll_mpmc_create(uint32_t size, struct quoll_mpmc **ring)
{
	if (!size || (size & (size - 1)) || size > QUOLL_RING_MAX_SIZE)
		return -EINVAL;
	*ring = (struct quoll_mpmc *)quoll_ring_alloc_(sizeof(struct quoll_mpmc), size);
	if (!*ring)
		return -ENOMEM;
	(*ring)->mask = size - 1;
	return 0;
}

static inline void quoll_mpmc_destroy(struct quoll_mpmc *ring)
{
	free(ring);
}

/*
 * private: reserve up to n slots of our end. bias is how far we may run ahead of the other end's tail: the size for
 * producers, 0 for consumers. Return: how many, from *at on.
 */
static inline uint32_t quoll_mpmc_reserve_(struct quoll_mpmc_end_ *own, const struct quoll_mpmc_end_ *other,
					   uint32_t bias, uint32_t n, bool all, uint32_t *at)
{
	/*
	 * Pairs with the release of the CAS below in other threads of our end: who sees their head sees at least the
	 * other end's tail that they saw, so the difference below cannot go negative.
	 */
	uint32_t head = __atomic_load_n(&own->head, __ATOMIC_ACQUIRE), room, take;

	do {
		/* Pairs with the release in finish_: the slots have been read (filled) before we fill (read) them. */
		room = bias + __atomic_load_n(&other->tail, __ATOMIC_ACQUIRE) - head;
		take = n;
		if (QUOLL_UNLIKELY(room < n))
			take = all ? 0 : room;
		if (QUOLL_UNLIKELY(!take))
			return 0;
	} while (QUOLL_UNLIKELY(!__atomic_compare_exchange_n(&own->head, &head, head + take, false, __ATOMIC_ACQ_REL,
							     __ATOMIC_ACQUIRE)));
	*at = head;
	return take;
}

/* private: those who reserved before us first, then tail moves over our slots. */
static inline void quoll_mpmc_finish_(struct quoll_mpmc_end_ *own, uint32_t at, uint32_t n)
{
	/* Pairs with the release below in the thread before us: what it copied counts as done before what we copied. */
	for (unsigned int spins = 0; QUOLL_UNLIKELY(__atomic_load_n(&own->tail, __ATOMIC_ACQUIRE) != at); spins++) {
		/* A copy takes well under 256 pauses: the thread has been preempted, and may be waiting for our CPU. */
		if (spins >= 256)
			sched_yield();
#if defined(__x86_64__)
		else
			__builtin_ia32_pause();
#endif
	}
	/* Pairs with the acquire of the other end's reserve_. */
	__atomic_store_n(&own->tail, at + n, __ATOMIC_RELEASE);
}

static inline uint32_t quoll_mpmc_enqueue_(struct quoll_mpmc *ring, void *const *objs, uint32_t n, bool all)
{
	uint32_t at;

	n = quoll_mpmc_reserve_(&ring->prod, &ring->cons, ring->mask + 1, n, all, &at);
	if (QUOLL_UNLIKELY(!n))
		return 0;
	quoll_ring_in_(ring->slots, ring->mask, at, objs, n);
	quoll_mpmc_finish_(&ring->prod, at, n);
	return n;
}

static inline uint32_t quoll_mpmc_dequeue_(struct quoll_mpmc *ring, void **objs, uint32_t n, bool all)
{
	uint32_t at;

	n = quoll_mpmc_reserve_(&ring->cons, &ring->prod, 0, n, all, &at);
	if (QUOLL_UNLIKELY(!n))
		return 0;
	quoll_ring_out_(ring->slots, ring->mask, at, objs, n);
	quoll_mpmc_finish_(&ring->cons, at, n);
	return n;
}

/**
 * quoll_mpmc_enqueue_bulk(), …_burst(), quoll_mpmc_dequeue_bulk(), …_burst() - as for SPSC, from any thread
 *
 * A batch stays together and in order. One compare-and-swap a batch, more only against a competing thread.
 */
static inline uint32_t quoll_mpmc_enqueue_bulk(struct quoll_mpmc *ring, void *const *objs, uint32_t n)
{
	return quoll_mpmc_enqueue_(ring, objs, n, true);
}

static inline uint32_t quoll_mpmc_enqueue_burst(struct quoll_mpmc *ring, void *const *objs, uint32_t n)
{
	return quoll_mpmc_enqueue_(ring, objs, n, false);
}

static inline uint32_t quoll_mpmc_dequeue_bulk(struct quoll_mpmc *ring, void **objs, uint32_t n)
{
	return quoll_mpmc_dequeue_(ring, objs, n, true);
}

static inline uint32_t quoll_mpmc_dequeue_burst(struct quoll_mpmc *ring, void **objs, uint32_t n)
{
	return quoll_mpmc_dequeue_(ring, objs, n, false);
}

/**
 * quoll_mpmc_count() - as quoll_spsc_count()
 */
static inline uint32_t quoll_mpmc_count(const struct quoll_mpmc *ring)
{
	uint32_t tail = __atomic_load_n(&ring->cons.tail, __ATOMIC_ACQUIRE);
	uint32_t n = __atomic_load_n(&ring->prod.tail, __ATOMIC_RELAXED) - tail;

	return n <= ring->mask + 1 ? n : ring->mask + 1;
}

#ifdef __cplusplus
}
#endif
#endif
