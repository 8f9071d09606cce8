/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stamp.h - what `quoll gen` writes into each frame behind its UDP header, 18 bytes: with IPv4 and no tag that fills
 * the shortest frame there is.
 *
 * Whoever changes frames on their way can also forge a stamp: the check tells a damaged one, and another run's.
 */
#ifndef QUOLL_APPS_GEN_STAMP_H
#define QUOLL_APPS_GEN_STAMP_H

#include <stdbool.h>
#include <string.h>

#include <quoll/types.h>

#define STAMP_MAGIC 0x5167u
#define STAMP_BYTES 18u

/* Little-endian, as all of it. */
enum stamp_at {
	STAMP_AT_MAGIC = 0, /* 2 bytes */
	STAMP_AT_CHECK = 2, /* 2, of what follows and of a key */
	STAMP_AT_FLOW = 4,  /* 2 */
	STAMP_AT_SEQ = 6,   /* 4, of the flow's frames, wraps around */
	STAMP_AT_DUE = 10,  /* 8: when it should be sent, in ticks of the CPU's counter */
};

struct stamp {
	uint64_t due_ticks;
	uint32_t seq;
	uint16_t flow;
};

static inline uint16_t stamp_check(const struct stamp *s, uint64_t key)
{
	uint64_t h = (s->due_ticks ^ key) * 0x9e3779b97f4a7c15u;

	h = (h ^ h >> 32 ^ ((uint64_t)s->seq << 16 | s->flow)) * 0xbf58476d1ce4e5b9u;
	return (uint16_t)(h >> 48);
}

static inline void stamp_write(uint8_t *at, const struct stamp *s, uint64_t key)
{
	uint64_t first = STAMP_MAGIC | (uint64_t)stamp_check(s, key) << 16 | (uint64_t)s->flow << 32 |
			 (uint64_t)(s->seq & 0xffff) << 48;
	uint16_t seq_high = quoll_cpu_to_le16((uint16_t)(s->seq >> 16));
	uint64_t due = quoll_cpu_to_le64(s->due_ticks);

	first = quoll_cpu_to_le64(first);
	memcpy(at, &first, 8);
	memcpy(at + 8, &seq_high, 2);
	memcpy(at + STAMP_AT_DUE, &due, 8);
}

/* Return: whether it is one, of a run with this key. */
static inline bool stamp_read(const uint8_t *at, struct stamp *s, uint64_t key)
{
	uint64_t first, due;
	uint16_t seq_high;

	memcpy(&first, at, 8);
	memcpy(&seq_high, at + 8, 2);
	memcpy(&due, at + STAMP_AT_DUE, 8);
	first = quoll_le64_to_cpu(first);
	if ((uint16_t)first != STAMP_MAGIC)
		return false;
	s->flow = (uint16_t)(first >> 32);
	s->seq = (uint32_t)(first >> 48) | (uint32_t)quoll_le16_to_cpu(seq_high) << 16;
	s->due_ticks = quoll_le64_to_cpu(due);
	return (uint16_t)(first >> 16) == stamp_check(s, key);
}

#endif
