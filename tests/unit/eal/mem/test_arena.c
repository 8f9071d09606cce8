/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_arena.c - allocation inside arenas, and arenas inside the window.
 */
#include <stdio.h>
#include <sys/mman.h>

#include <quoll/heap.h>

#include "fake_ioas.h"
#include "unit.h"

#define MIB (1ull << 20)

static struct quoll_heap *new_heap(uint64_t size_bytes)
{
	struct quoll_heap_opts opts = {.size_bytes = size_bytes, .pages = QUOLL_PAGES_4K, .numa_node = -1};
	struct quoll_heap *heap = NULL;

	CU_ASSERT_EQUAL_FATAL(quoll_heap_create(NULL, &opts, &heap, NULL), 0);
	return heap;
}

static struct quoll_arena *new_arena(struct quoll_heap *heap, uint64_t max_bytes)
{
	struct quoll_arena *arena = NULL;

	CU_ASSERT_EQUAL_FATAL(quoll_arena_create(heap, "test", QUOLL_ARENA_DEVICE_READ_WRITE, max_bytes, &arena, NULL),
			      0);
	return arena;
}

static void *must_alloc(struct quoll_arena *arena, uint64_t bytes, uint64_t align)
{
	void *va = NULL;

	CU_ASSERT_EQUAL_FATAL(quoll_arena_alloc(arena, bytes, align, &va, NULL), 0);
	return va;
}

static bool all_zero(const void *va, uint64_t bytes)
{
	const unsigned char *p = va;

	for (uint64_t i = 0; i < bytes; i++)
		if (p[i])
			return false;
	return true;
}

static void alignment_holds_for_va_and_iova(void)
{
	struct quoll_heap *heap = new_heap(0);
	struct quoll_arena *arena = new_arena(heap, 0);
	void *va;

	for (uint64_t align = 1; align <= 64 * MIB; align *= 2) {
		must_alloc(arena, 1, 1);
		va = must_alloc(arena, 3, align);
		CU_ASSERT_EQUAL((uintptr_t)va % align, 0);
		CU_ASSERT_EQUAL(quoll_heap_iova(heap, va, 3) % align, 0);
	}
	CU_ASSERT_PTR_EQUAL(quoll_arena_heap(arena), heap);
	quoll_heap_destroy(heap);
}

static void nonsense_is_refused(void)
{
	struct quoll_heap *heap = new_heap(64 * MIB);
	struct quoll_arena *arena = new_arena(heap, MIB), *none = NULL;
	struct quoll_error err;
	void *va;

	CU_ASSERT_EQUAL(quoll_arena_alloc(arena, 0, 1, &va, &err), -EINVAL);
	CU_ASSERT_EQUAL(quoll_arena_alloc(arena, 1, 0, &va, &err), -EINVAL);
	CU_ASSERT_EQUAL(quoll_arena_alloc(arena, 1, 3, &va, &err), -EINVAL);
	CU_ASSERT_EQUAL(quoll_arena_alloc(arena, 1, 1ull << 31, &va, &err), -EINVAL);
	CU_ASSERT_EQUAL(quoll_arena_alloc(arena, UINT64_MAX, 1, &va, &err), -ENOSPC);
	CU_ASSERT_EQUAL(quoll_arena_alloc(arena, MIB + 1, 1, &va, &err), -ENOSPC);
	CU_ASSERT(err.hint[0] != '\0');
	CU_ASSERT_EQUAL(quoll_arena_create(heap, "x", (enum quoll_arena_access)9, 0, &none, &err), -EINVAL);
	CU_ASSERT_EQUAL(quoll_arena_create(heap, "x", QUOLL_ARENA_DEVICE_READ, 64 * MIB, &none, &err), -ENOSPC);
	CU_ASSERT_EQUAL(quoll_arena_create(heap, "x", QUOLL_ARENA_DEVICE_READ, UINT64_MAX, &none, &err), -ENOSPC);
	CU_ASSERT_PTR_NULL(none);
	quoll_heap_destroy(heap);
}

static void memory_is_zeroed_also_when_used_again(void)
{
	struct quoll_heap *heap = new_heap(0);
	struct quoll_arena *arena = new_arena(heap, 0);
	void *a = must_alloc(arena, 10000, 64), *b = must_alloc(arena, 10000, 64), *c;

	CU_ASSERT(all_zero(a, 10000) && all_zero(b, 10000));
	memset(a, 0xaa, 10000);
	memset(b, 0xbb, 10000);
	CU_ASSERT_EQUAL(quoll_arena_free(arena, a, 10000), 0);
	c = must_alloc(arena, 9000, 64);
	CU_ASSERT_PTR_EQUAL(c, a);
	CU_ASSERT(all_zero(c, 9000));
	CU_ASSERT_EQUAL(*(unsigned char *)b, 0xbb);
	CU_ASSERT_EQUAL(quoll_arena_free(arena, b, 10000), 0);
	/* From used, freed memory on into fresh memory. */
	b = must_alloc(arena, 3 * MIB, 64);
	CU_ASSERT(all_zero(b, 3 * MIB));
	quoll_heap_destroy(heap);
}

static void only_what_was_handed_out_can_be_freed_and_once(void)
{
	struct quoll_heap *heap = new_heap(0);
	struct quoll_arena *arena = new_arena(heap, 0), *other = new_arena(heap, 0);
	char *a = must_alloc(arena, 4096, 64), *b = must_alloc(arena, 4096, 64);
	char on_stack;

	CU_ASSERT_EQUAL(quoll_arena_free(arena, a + 64, 4032), -EINVAL);
	CU_ASSERT_EQUAL(quoll_arena_free(arena, a, 4095), -EINVAL);
	CU_ASSERT_EQUAL(quoll_arena_free(arena, a, 8192), -EINVAL);
	CU_ASSERT_EQUAL(quoll_arena_free(arena, a, 0), -EINVAL);
	CU_ASSERT_EQUAL(quoll_arena_free(arena, NULL, 4096), -EINVAL);
	CU_ASSERT_EQUAL(quoll_arena_free(arena, &on_stack, 1), -EINVAL);
	CU_ASSERT_EQUAL(quoll_arena_free(other, a, 4096), -EINVAL);
	CU_ASSERT_EQUAL(quoll_arena_free(arena, a, 4096), 0);
	CU_ASSERT_EQUAL(quoll_arena_free(arena, a, 4096), -EINVAL);
	CU_ASSERT_EQUAL(quoll_arena_free(arena, b, 4096), 0);
	CU_ASSERT_EQUAL(quoll_arena_free(arena, b, 4096), -EINVAL);
	CU_ASSERT_EQUAL(quoll_arena_free(arena, a, 0), -EINVAL);
	quoll_heap_destroy(heap);
}

static void neighbours_never_share_a_cache_line(void)
{
	struct quoll_heap *heap = new_heap(0);
	struct quoll_arena *arena = new_arena(heap, 0);
	uintptr_t a = (uintptr_t)must_alloc(arena, 1, 1), b = (uintptr_t)must_alloc(arena, 65, 1);
	uintptr_t c = (uintptr_t)must_alloc(arena, 1, 1);

	CU_ASSERT(a / 64 != b / 64);
	CU_ASSERT((b + 64) / 64 != c / 64);
	quoll_heap_destroy(heap);
}

#define SLOTS 64

struct slot {
	unsigned char *va;
	uint64_t bytes;
	unsigned char mark;
};

static uint32_t seed = 362436069u;

static uint32_t below(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed % n;
}

static bool intact(const struct slot *s)
{
	for (uint64_t i = 0; i < s->bytes; i++)
		if (s->va[i] != s->mark)
			return false;
	return true;
}

/* Every allocation is filled with a mark of its own: an overlap, a lost byte or memory not zeroed shows. */
static void random_use_never_overlaps_and_coalesces_at_the_end(void)
{
	struct quoll_heap *heap = new_heap(0);
	struct quoll_arena *arena = new_arena(heap, 2 * MIB);
	struct slot slots[SLOTS] = {{0}};
	unsigned int nr_allocs = 0, nr_full = 0;
	void *whole;

	for (int round = 0; round < 20000; round++) {
		struct slot *s = &slots[below(SLOTS)];
		void *va;

		if (s->va) {
			CU_ASSERT_FATAL(intact(s));
			CU_ASSERT_EQUAL_FATAL(quoll_arena_free(arena, s->va, s->bytes), 0);
			s->va = NULL;
			continue;
		}
		s->bytes = 1 + below(below(10) ? 3000 : 1000000);
		if (quoll_arena_alloc(arena, s->bytes, 1ull << below(15), &va, NULL)) {
			nr_full++;
			continue;
		}
		nr_allocs++;
		CU_ASSERT_FATAL(all_zero(va, s->bytes));
		s->va = va;
		s->mark = (unsigned char)(1 + below(255));
		memset(va, s->mark, s->bytes);
	}
	CU_ASSERT(nr_allocs > 5000);
	CU_ASSERT(nr_full > 10);
	for (int i = 0; i < SLOTS; i++)
		if (slots[i].va)
			CU_ASSERT_EQUAL(quoll_arena_free(arena, slots[i].va, slots[i].bytes), 0);
	/* Free pieces have been joined: the whole arena goes into one. */
	CU_ASSERT_EQUAL(quoll_arena_alloc(arena, 2 * MIB, 4096, &whole, NULL), 0);
	quoll_heap_destroy(heap);
}

static void a_full_arena_says_so_and_stays_usable(void)
{
	struct quoll_heap *heap = new_heap(64 * MIB);
	struct quoll_arena *arena = new_arena(heap, MIB);
	struct quoll_error err;
	void *a = must_alloc(arena, MIB - 64, 64), *b;

	CU_ASSERT_EQUAL(quoll_arena_alloc(arena, 65, 64, &b, &err), -ENOSPC);
	CU_ASSERT_EQUAL(quoll_arena_alloc(arena, 64, 64, &b, &err), 0);
	CU_ASSERT_EQUAL(quoll_arena_alloc(arena, 1, 1, &b, &err), -ENOSPC);
	CU_ASSERT_EQUAL(quoll_arena_free(arena, a, MIB - 64), 0);
	CU_ASSERT_EQUAL(quoll_arena_alloc(arena, MIB - 64, 64, &b, &err), 0);
	quoll_heap_destroy(heap);
}

static void a_destroyed_arenas_part_of_the_window_is_used_again(void)
{
	struct fake *fake = fake_new();
	struct quoll_heap *heap = new_heap(64 * MIB);
	struct quoll_arena *arenas[8], *none;
	void *va, *again;

	CU_ASSERT_EQUAL_FATAL(quoll_heap_attach(heap, fake->ioas, NULL), 0);
	for (int i = 0; i < 8; i++)
		arenas[i] = new_arena(heap, 0);
	CU_ASSERT_EQUAL(quoll_arena_create(heap, "x", QUOLL_ARENA_DEVICE_READ, 0, &none, NULL), -ENOSPC);
	va = must_alloc(arenas[3], 8 * MIB, 4096);
	memset(va, 1, 8 * MIB);
	must_alloc(arenas[4], 1, 1);
	CU_ASSERT_EQUAL(fake->nr_maps, 2);
	quoll_arena_destroy(arenas[3]);
	CU_ASSERT_EQUAL(fake->nr_maps, 1);
	/* Two halves fit where the whole was. */
	arenas[3] = new_arena(heap, 4 * MIB);
	CU_ASSERT_EQUAL(quoll_arena_create(heap, "x", QUOLL_ARENA_DEVICE_READ, 8 * MIB, &none, NULL), -ENOSPC);
	new_arena(heap, 4 * MIB);
	again = must_alloc(arenas[3], 4 * MIB, 4096);
	CU_ASSERT_PTR_EQUAL(again, va);
	CU_ASSERT(all_zero(again, 4 * MIB));
	quoll_arena_destroy(NULL);
	quoll_heap_destroy(heap);
	CU_ASSERT_EQUAL(fake->nr_maps, 0);
	fake_delete(fake);
}

static void iovas_that_a_device_may_still_reach_are_not_used_again(void)
{
	struct fake *fake = fake_new();
	struct quoll_heap *heap = new_heap(64 * MIB);
	struct quoll_arena *arena;
	void *va;

	CU_ASSERT_EQUAL_FATAL(quoll_heap_attach(heap, fake->ioas, NULL), 0);
	arena = new_arena(heap, MIB);
	va = must_alloc(arena, 100, 64);
	fake->fail_unmap = true;
	quoll_arena_destroy(arena);
	fake->fail_unmap = false;
	arena = new_arena(heap, MIB);
	CU_ASSERT_PTR_NOT_EQUAL(must_alloc(arena, 100, 64), va);
	/* Nor is the memory given away before the device has let go. */
	CU_ASSERT_EQUAL(fake->nr_maps, 2);
	quoll_heap_destroy(heap);
	CU_ASSERT_EQUAL(fake->nr_maps, 0);
	CU_ASSERT_EQUAL(fake_delete(fake), 0);
}

/* What is mapped by now is within somebody's reach whose session is over. */
static void expose(struct fake *fake)
{
	for (unsigned int i = 0; i < fake->ioas->maps.nr; i++)
		fake->ioas->maps.at[i].exposed = true;
}

/* The file behind an address, as a peer has got it. */
static int fd_of(const struct fake *fake, const void *va)
{
	for (unsigned int i = 0; i < fake->nr_maps; i++)
		if ((uintptr_t)va - (uintptr_t)fake->maps[i].va < fake->maps[i].len_bytes)
			return fake->maps[i].fd;
	return -1;
}

static struct quoll_arena *exposed_arena(struct fake *fake, struct quoll_heap *heap, uint8_t **kept, uint8_t **freed)
{
	struct quoll_arena *arena;

	CU_ASSERT_EQUAL_FATAL(quoll_heap_attach(heap, fake->ioas, NULL), 0);
	arena = new_arena(heap, MIB);
	*kept = must_alloc(arena, 4096, 4096);
	*freed = must_alloc(arena, 4096, 4096);
	expose(fake);
	CU_ASSERT_EQUAL(quoll_arena_free(arena, *freed, 4096), 0);
	return arena;
}

static void exposed_memory_is_handed_out_only_once_it_is_other_memory(void)
{
	uint8_t *kept, *freed, *again, *peer;
	struct fake *fake = fake_new();
	struct quoll_heap *heap = new_heap(64 * MIB);
	struct quoll_arena *arena = exposed_arena(fake, heap, &kept, &freed);

	peer = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, fd_of(fake, kept), 0);
	CU_ASSERT_PTR_NOT_EQUAL_FATAL(peer, MAP_FAILED);
	/* The chunk is in use yet: others get memory from elsewhere, also what is larger than the rest of it. */
	again = must_alloc(arena, 4096, 64);
	CU_ASSERT(again >= kept + 65536);
	CU_ASSERT(fake_reaches(fake, again, quoll_heap_iova(heap, again, 4096), 4096, 3));
	CU_ASSERT_EQUAL(quoll_arena_free(arena, again, 4096), 0);
	again = must_alloc(arena, 70000, 65536);
	CU_ASSERT(again >= kept + 65536);
	CU_ASSERT_EQUAL(quoll_arena_free(arena, again, 70000), 0);
	/* Now it is not, and its place has memory that the peer does not know. */
	CU_ASSERT_EQUAL(quoll_arena_free(arena, kept, 4096), 0);
	again = must_alloc(arena, 65536, 4096);
	CU_ASSERT_PTR_EQUAL(again, kept);
	memset(peer, 0xee, 65536);
	CU_ASSERT(all_zero(again, 65536));
	CU_ASSERT(fake_reaches(fake, again, quoll_heap_iova(heap, again, 65536), 65536, 3));
	munmap(peer, 65536);
	quoll_heap_destroy(heap);
	CU_ASSERT_EQUAL(fake->nr_maps, 0);
	CU_ASSERT_EQUAL(fake_delete(fake), 0);
}

static void the_last_memory_of_an_arena_grows_past_what_is_exposed(void)
{
	uint8_t *kept, *freed, *again;
	struct fake *fake = fake_new();
	struct quoll_heap *heap = new_heap(64 * MIB);
	struct quoll_arena *arena = exposed_arena(fake, heap, &kept, &freed);

	again = must_alloc(arena, 65536, 64);
	CU_ASSERT_PTR_EQUAL(again, kept + 65536);
	/* What of the arena's part is out of use is missing from it. */
	CU_ASSERT_EQUAL(quoll_arena_alloc(arena, MIB - 2 * 65536 + 1, 64, (void **)&again, NULL), -ENOSPC);
	must_alloc(arena, MIB - 2 * 65536, 64);
	quoll_heap_destroy(heap);
	CU_ASSERT_EQUAL(fake_delete(fake), 0);
}

/* Detached, the address space knows nothing any more; the heap does. */
static void what_is_exposed_stays_so_when_it_is_unmapped(void)
{
	uint8_t *kept, *freed, *again;
	struct fake *fake = fake_new();
	struct quoll_heap *heap = new_heap(64 * MIB);
	struct quoll_arena *arena = exposed_arena(fake, heap, &kept, &freed);

	CU_ASSERT_EQUAL(quoll_heap_detach(heap, fake->ioas), 0);
	CU_ASSERT_EQUAL(quoll_heap_attach(heap, fake->ioas, NULL), 0);
	again = must_alloc(arena, 4096, 64);
	CU_ASSERT(again >= kept + 65536);
	quoll_heap_destroy(heap);
	CU_ASSERT_EQUAL(fake_delete(fake), 0);
}

static void exposed_memory_that_cannot_be_replaced_stays_out_of_use(void)
{
	uint8_t *kept, *freed, *again;
	struct fake *fake = fake_new();
	struct quoll_heap *heap = new_heap(64 * MIB);
	struct quoll_arena *arena = exposed_arena(fake, heap, &kept, &freed);
	struct quoll_heap_chunk chunks[2];

	CU_ASSERT_EQUAL(quoll_arena_free(arena, kept, 4096), 0);
	fake->fail_unmap = true;
	again = must_alloc(arena, 4096, 64);
	CU_ASSERT(again >= kept + 65536);
	fake->fail_unmap = false;
	/* New memory, and no room to map it. */
	fake->fail_map_call = fake->nr_map_calls + 1;
	freed = must_alloc(arena, 4096, 64);
	CU_ASSERT(freed > again);
	CU_ASSERT_EQUAL(fake->nr_maps, 1);
	/* Its file is closed: another one may have the number. */
	CU_ASSERT_EQUAL(quoll_heap_chunks(heap, chunks, 2), 1);
	CU_ASSERT_PTR_EQUAL(chunks[0].va, kept + 65536);
	CU_ASSERT_EQUAL(chunks[0].fd, fd_of(fake, freed));
	/* An address space that comes now is told of what is there, and goes again. */
	CU_ASSERT_EQUAL(quoll_heap_detach(heap, fake->ioas), 0);
	CU_ASSERT_EQUAL(quoll_heap_attach(heap, fake->ioas, NULL), 0);
	CU_ASSERT_EQUAL(fake->nr_maps, 1);
	/* And at last there is. */
	again = must_alloc(arena, 65536, 64);
	CU_ASSERT_PTR_EQUAL(again, kept);
	CU_ASSERT(all_zero(again, 65536));
	quoll_heap_destroy(heap);
	CU_ASSERT_EQUAL(fake_delete(fake), 0);
}

/* A back end of vhost-user has the file, say, and reads what is sent from it. */
static void exposed_memory_that_was_shown_keeps_its_file(void)
{
	uint8_t *kept, *freed, *again;
	struct fake *fake = fake_new();
	struct quoll_heap *heap = new_heap(64 * MIB);
	struct quoll_arena *arena = exposed_arena(fake, heap, &kept, &freed);
	struct quoll_heap_chunk chunks[4], now[4];
	unsigned int nr = quoll_heap_chunks(heap, chunks, 4);

	CU_ASSERT_EQUAL(quoll_arena_free(arena, kept, 4096), 0);
	again = must_alloc(arena, 4096, 64);
	CU_ASSERT(again >= kept + 65536);
	CU_ASSERT(quoll_heap_chunks(heap, now, 4) >= nr);
	for (unsigned int i = 0; i < nr; i++)
		CU_ASSERT(now[i].va == chunks[i].va && now[i].fd == chunks[i].fd);
	quoll_heap_destroy(heap);
	CU_ASSERT_EQUAL(fake_delete(fake), 0);
}

static const struct unit_test tests[] = {
	{"alignment holds for VA and IOVA", alignment_holds_for_va_and_iova},
	{"nonsense is refused", nonsense_is_refused},
	{"memory is zeroed, also when used again", memory_is_zeroed_also_when_used_again},
	{"only what was handed out can be freed, and once", only_what_was_handed_out_can_be_freed_and_once},
	{"neighbours never share a cache line", neighbours_never_share_a_cache_line},
	{"random use never overlaps, and coalesces at the end", random_use_never_overlaps_and_coalesces_at_the_end},
	{"a full arena says so and stays usable", a_full_arena_says_so_and_stays_usable},
	{"a destroyed arena's part of the window is used again", a_destroyed_arenas_part_of_the_window_is_used_again},
	{"IOVAs that a device may still reach are not used again",
	 iovas_that_a_device_may_still_reach_are_not_used_again},
	{"exposed memory is handed out only once it is other memory",
	 exposed_memory_is_handed_out_only_once_it_is_other_memory},
	{"the last memory of an arena grows past what is exposed",
	 the_last_memory_of_an_arena_grows_past_what_is_exposed},
	{"what is exposed stays so when it is unmapped", what_is_exposed_stays_so_when_it_is_unmapped},
	{"exposed memory that cannot be replaced stays out of use",
	 exposed_memory_that_cannot_be_replaced_stays_out_of_use},
	{"exposed memory that was shown keeps its file", exposed_memory_that_was_shown_keeps_its_file},
};

UNIT_MAIN("arena", tests)
