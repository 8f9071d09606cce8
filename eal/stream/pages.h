/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pages.h - which of a row of pages are in use: runs of them are taken and given back. Pure bookkeeping, one thread's.
 *
 * The search goes on where it ended last, so that a page which was just given back is not the next to be taken.
 */
#ifndef QUOLL_EAL_STREAM_PAGES_H
#define QUOLL_EAL_STREAM_PAGES_H

#include <stdbool.h>
#include <stdint.h>

#define STREAM_PAGE_BYTES 4096ull
#define STREAM_MAX_PAGES (1u << 30)

struct page_runs {
	uint64_t *used; /* a bit a page; those behind the last one are set */
	uint32_t nr;
	uint32_t cursor;
	uint32_t nr_free;
};

/* All free. Return: 0, -EINVAL (no pages, or too many), -ENOMEM. */
int page_runs_init(struct page_runs *runs, uint64_t nr);
void page_runs_fini(struct page_runs *runs);

#define PAGE_RUNS_WORD_BITS 64u

/* Mostly one page is wanted, and the one at the cursor is free. */
static inline bool page_runs_take_next(struct page_runs *runs, uint32_t *first)
{
	uint64_t *word = &runs->used[runs->cursor / PAGE_RUNS_WORD_BITS];
	uint64_t bit = 1ull << runs->cursor % PAGE_RUNS_WORD_BITS;

	if (!runs->nr_free || *word & bit)
		return false;
	*word |= bit;
	runs->nr_free--;
	*first = runs->cursor++;
	if (runs->cursor == runs->nr)
		runs->cursor = 0;
	return true;
}

/* The first of @n pages in a row, @n >= 1. Return: false if there is no such run. */
bool page_runs_take(struct page_runs *runs, uint64_t n, uint32_t *first);
void page_runs_give(struct page_runs *runs, uint32_t first, uint32_t n);

#endif
