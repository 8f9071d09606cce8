/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ring_slots.h - pointers into and out of the slots of a ring, a batch at a time; what ring.h and ring_mpmc.h are made
 * of. Nothing here is for users.
 */
#ifndef QUOLL_RING_SLOTS_H
#define QUOLL_RING_SLOTS_H

#include <stdlib.h>
#include <string.h>

#include <quoll/types.h>

#ifdef __cplusplus
extern "C" {
#endif

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
	if (n >= 2) {
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

/* How far ahead of its index a producer asks for slots, so that they are its CPU's by the time it fills them. */
#define QUOLL_RING_AHEAD_ 64

/* private: the lines of n slots, to be written. Consumers on other CPUs have read them since. */
static inline void quoll_ring_claim_(void **slots, uint32_t mask, uint32_t at, uint32_t n)
{
	const uint32_t line = QUOLL_CACHE_LINE_BYTES / sizeof(void *);

	/* Fewer than a line's worth are not worth the instruction. */
	for (uint32_t i = 0; i + line <= n; i += line) {
		void **slot = &slots[(at + i) & mask];

#if defined(__x86_64__)
		/* The built-in would become a prefetch for reading on the baseline CPU; this is a no-op where it is
		 * unknown. */
		__asm__ volatile("prefetchw %0" ::"m"(*slot));
#else
		__builtin_prefetch(slot, 1);
#endif
	}
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

#ifdef __cplusplus
}
#endif
#endif
