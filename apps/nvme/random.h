/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * random.h - small random numbers for places, sizes and data: splitmix64 (Steele, Lea, Flood, 2014), not for secrets.
 */
#ifndef QUOLL_APPS_NVME_RANDOM_H
#define QUOLL_APPS_NVME_RANDOM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct random {
	uint64_t state;
};

static inline uint64_t random_mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static inline uint64_t random_next(struct random *r)
{
	return random_mix(r->state += 0x9e3779b97f4a7c15u);
}

/* Map a random word to 0 .. n - 1 without a division; the word's high bits decide. */
static inline uint64_t random_scale(uint64_t word, uint64_t n)
{
	return (uint64_t)(((unsigned __int128)word * n) >> 64);
}

static inline uint64_t random_below(struct random *r, uint64_t n)
{
	return random_scale(random_next(r), n);
}

static inline void random_fill(struct random *r, void *to, size_t bytes)
{
	uint8_t *p = to;

	for (; bytes >= 8; bytes -= 8, p += 8) {
		uint64_t word = random_next(r);

		memcpy(p, &word, 8);
	}
	if (bytes) {
		uint64_t word = random_next(r);

		memcpy(p, &word, bytes);
	}
}

#endif
