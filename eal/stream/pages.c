/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pages.c - see pages.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "stream/pages.h"

#define WORD_BITS PAGE_RUNS_WORD_BITS

int page_runs_init(struct page_runs *runs, uint64_t nr)
{
	if (!nr || nr > STREAM_MAX_PAGES)
		return -EINVAL;
	*runs = (struct page_runs){.nr = (uint32_t)nr, .nr_free = (uint32_t)nr};
	runs->used = calloc((nr + WORD_BITS - 1) / WORD_BITS, sizeof(*runs->used));
	if (!runs->used)
		return -ENOMEM;
	if (nr % WORD_BITS)
		runs->used[nr / WORD_BITS] = ~0ull << nr % WORD_BITS;
	return 0;
}

void page_runs_fini(struct page_runs *runs)
{
	free(runs->used);
	*runs = (struct page_runs){0};
}

/* The first page of [at, end) that is in use (flip 0) or free (flip all ones); end if there is none. */
static uint32_t look_for(const struct page_runs *runs, uint32_t at, uint32_t end, uint64_t flip)
{
	while (at < end) {
		uint64_t word = (runs->used[at / WORD_BITS] ^ flip) >> at % WORD_BITS;

		if (word) {
			at += (uint32_t)__builtin_ctzll(word);
			return at < end ? at : end;
		}
		at += WORD_BITS - at % WORD_BITS;
	}
	return end;
}

static bool find(const struct page_runs *runs, uint32_t from, uint32_t end, uint32_t n, uint32_t *first)
{
	uint32_t at = look_for(runs, from, end, ~0ull);

	while (end - at >= n) {
		uint32_t used = look_for(runs, at, at + n, 0);

		if (used == at + n) {
			*first = at;
			return true;
		}
		at = look_for(runs, used, end, ~0ull);
	}
	return false;
}

static void mark(struct page_runs *runs, uint32_t first, uint32_t n)
{
	while (n) {
		uint32_t bit = first % WORD_BITS, some = n < WORD_BITS - bit ? n : WORD_BITS - bit;

		runs->used[first / WORD_BITS] ^= ~0ull >> (WORD_BITS - some) << bit;
		first += some;
		n -= some;
	}
}

bool page_runs_take(struct page_runs *runs, uint64_t n, uint32_t *first)
{
	if (n > runs->nr_free)
		return false;
	/* Once more from the start, for a run that reaches over the cursor as well. */
	if (!find(runs, runs->cursor, runs->nr, (uint32_t)n, first) && !find(runs, 0, runs->nr, (uint32_t)n, first))
		return false;
	mark(runs, *first, (uint32_t)n);
	runs->nr_free -= (uint32_t)n;
	runs->cursor = *first + (uint32_t)n == runs->nr ? 0 : *first + (uint32_t)n;
	return true;
}

void page_runs_give(struct page_runs *runs, uint32_t first, uint32_t n)
{
	mark(runs, first, n);
	runs->nr_free += n;
}
