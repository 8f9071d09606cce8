/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_where.c - from an IOVA in a heap's window back to the arena and to what is handed out there.
 */
#include <string.h>

#include <quoll/where.h>

#include "fake_ioas.h"
#include "unit.h"

#define MIB (1ull << 20)
#define PAGE 4096ull

static struct quoll_heap *heap;
static struct quoll_arena *rw, *ro;
static struct quoll_where where;

static void begin(void)
{
	struct quoll_heap_opts opts = {.size_bytes = 64 * MIB, .pages = QUOLL_PAGES_4K, .numa_node = -1};

	CU_ASSERT_EQUAL_FATAL(quoll_heap_create(NULL, &opts, &heap, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_arena_create(heap, "rw", QUOLL_ARENA_DEVICE_READ_WRITE, MIB, &rw, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_arena_create(heap, "ro", QUOLL_ARENA_DEVICE_READ, MIB, &ro, NULL), 0);
}

static uint8_t *must_alloc(struct quoll_arena *arena, uint64_t bytes, uint64_t align)
{
	void *va = NULL;

	CU_ASSERT_EQUAL_FATAL(quoll_arena_alloc(arena, bytes, align, &va, NULL), 0);
	return va;
}

static bool look(const void *va)
{
	memset(&where, 0xff, sizeof(where));
	return quoll_heap_where(heap, quoll_heap_iova(heap, va, 1), &where);
}

static void what_is_handed_out_is_found_with_its_arena(void)
{
	uint8_t *first, *second, *third;

	begin();
	first = must_alloc(rw, 3 * PAGE, PAGE);
	second = must_alloc(rw, 100, 64);
	third = must_alloc(ro, PAGE, PAGE);
	CU_ASSERT(look(first + PAGE + 7));
	CU_ASSERT_EQUAL(where.state, QUOLL_WHERE_IN_USE);
	CU_ASSERT_EQUAL(where.way, QUOLL_WAY_HEAP);
	CU_ASSERT_EQUAL(where.dir, QUOLL_SEG_READ | QUOLL_SEG_WRITE);
	CU_ASSERT_STRING_EQUAL(where.arena, "rw");
	CU_ASSERT_PTR_EQUAL(where.va, first + PAGE + 7);
	CU_ASSERT_PTR_EQUAL(where.piece, first);
	CU_ASSERT_EQUAL(where.piece_bytes, 3 * PAGE);
	CU_ASSERT(look(second + 99));
	CU_ASSERT_PTR_EQUAL(where.piece, second);
	CU_ASSERT_EQUAL(where.piece_bytes, 100);
	CU_ASSERT_EQUAL(where.offset, (uint64_t)(second + 99 - first));
	CU_ASSERT(look(third));
	CU_ASSERT_STRING_EQUAL(where.arena, "ro");
	CU_ASSERT_EQUAL(where.dir, QUOLL_SEG_READ);
	CU_ASSERT_EQUAL(where.offset, 0);
	quoll_heap_destroy(heap);
}

static void memory_that_is_free_is_told_from_memory_that_is_not_there(void)
{
	uint8_t *first, *second;

	begin();
	first = must_alloc(rw, 2 * PAGE, PAGE);
	second = must_alloc(rw, PAGE, PAGE);
	CU_ASSERT_EQUAL(quoll_arena_free(rw, first, 2 * PAGE), 0);
	CU_ASSERT(look(first + 1));
	CU_ASSERT_EQUAL(where.state, QUOLL_WHERE_FREE);
	CU_ASSERT_PTR_EQUAL(where.va, first + 1);
	CU_ASSERT_PTR_NULL(where.piece);
	CU_ASSERT(look(second));
	CU_ASSERT_EQUAL(where.state, QUOLL_WHERE_IN_USE);
	/* the arena's part, but no memory */
	CU_ASSERT(look(first + MIB - 1));
	CU_ASSERT_EQUAL(where.state, QUOLL_WHERE_EMPTY);
	CU_ASSERT_STRING_EQUAL(where.arena, "rw");
	CU_ASSERT_EQUAL(where.offset, MIB - 1);
	CU_ASSERT_PTR_NULL(where.va);
	/* no arena */
	CU_ASSERT(look(first + 2 * MIB));
	CU_ASSERT_EQUAL(where.state, QUOLL_WHERE_EMPTY);
	CU_ASSERT_STRING_EQUAL(where.arena, "");
	quoll_heap_destroy(heap);
}

/* VT-d tells nothing but the page. */
static void of_a_page_it_is_the_first_piece_that_is_handed_out(void)
{
	uint8_t *first, *second;

	begin();
	first = must_alloc(rw, 256, 64);
	second = must_alloc(rw, 256, 64);
	CU_ASSERT_EQUAL((uintptr_t)first % PAGE, 0);
	CU_ASSERT_EQUAL(quoll_arena_free(rw, first, 256), 0);
	CU_ASSERT(look(first));
	CU_ASSERT_EQUAL(where.state, QUOLL_WHERE_IN_USE);
	CU_ASSERT_PTR_EQUAL(where.va, first);
	CU_ASSERT_PTR_EQUAL(where.piece, second);
	/* who knows the byte is told of the byte */
	CU_ASSERT(look(first + 64));
	CU_ASSERT_EQUAL(where.state, QUOLL_WHERE_FREE);
	CU_ASSERT(look(second + 512));
	CU_ASSERT_EQUAL(where.state, QUOLL_WHERE_FREE);
	quoll_heap_destroy(heap);
}

static void other_addresses_are_nowhere(void)
{
	struct quoll_heap_info info;

	begin();
	quoll_heap_info(heap, &info);
	CU_ASSERT(!quoll_heap_where(heap, info.iova - 1, &where));
	CU_ASSERT_EQUAL(where.state, QUOLL_WHERE_NOWHERE);
	CU_ASSERT(quoll_heap_where(heap, info.iova, &where));
	CU_ASSERT(quoll_heap_where(heap, info.iova + info.size_bytes - 1, &where));
	CU_ASSERT(!quoll_heap_where(heap, info.iova + info.size_bytes, &where));
	CU_ASSERT(!quoll_heap_where(heap, UINT64_MAX, &where));
	CU_ASSERT(!quoll_heap_where(heap, 0, &where));
	CU_ASSERT_EQUAL(where.state, QUOLL_WHERE_NOWHERE);
	quoll_heap_destroy(heap);
}

static const struct unit_test tests[] = {
	{"what is handed out is found, with its arena", what_is_handed_out_is_found_with_its_arena},
	{"memory that is free is told from memory that is not there",
	 memory_that_is_free_is_told_from_memory_that_is_not_there},
	{"of a page it is the first piece that is handed out", of_a_page_it_is_the_first_piece_that_is_handed_out},
	{"other addresses are nowhere", other_addresses_are_nowhere},
};

UNIT_MAIN("eal/mem/where", tests)
