/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_watch.c - registrations go when the memory does, without a word of the program: by a real userfaultfd; and which
 * memory has that. Skipped where the kernel has none.
 */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/shm.h>

#include "watch_world.h"

static bool unmap_last_page(uint8_t *va)
{
	return !munmap(va + 3 * PAGE, PAGE) && map_at(va);
}

static bool map_over_first_page(uint8_t *va)
{
	return mmap(va, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == va;
}

static bool free_lazily(uint8_t *va)
{
	return !madvise(va, BYTES, MADV_FREE);
}

static bool move(uint8_t *va)
{
	void *to = mmap(NULL, BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return to != MAP_FAILED && mremap(va, BYTES, BYTES, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to && map_at(va) &&
	       !munmap(to, BYTES);
}

static bool move_pages_only(uint8_t *va)
{
	void *to = mremap(va, BYTES, BYTES, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);

	return to != MAP_FAILED && !munmap(to, BYTES);
}

static bool shrink(uint8_t *va)
{
	return mremap(va, BYTES, 2 * PAGE, 0) == va && map_at(va);
}

static void *unmap_in_thread(void *va)
{
	return munmap(va, BYTES) ? va : NULL;
}

static bool unmap_elsewhere(uint8_t *va)
{
	void *failed = va;
	pthread_t thread;

	return !pthread_create(&thread, NULL, unmap_in_thread, va) && !pthread_join(thread, &failed) && !failed &&
	       map_at(va);
}

static void registrations_go(const struct quoll_stream_opts *opts)
{
	static const struct {
		const char *how;
		bool (*change)(uint8_t *va);
	} changes[] = {
		{"munmap", unmap},
		{"munmap of a page", unmap_last_page},
		{"MAP_FIXED", map_at},
		{"MAP_FIXED over a page", map_over_first_page},
		{"MADV_DONTNEED of a page", dontneed},
		{"MADV_FREE", free_lazily},
		{"mremap", move},
		{"MREMAP_DONTUNMAP", move_pages_only},
		{"mremap to less", shrink},
		{"munmap by another thread", unmap_elsewhere},
	};
	struct world w;

	world_open(&w, opts);
	for (unsigned int i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
		uint8_t *va = w.outside + (64 + 16 * i) * PAGE;
		struct quoll_stream_stats before;

		world_io(&w, va, BYTES, QUOLL_SEG_WRITE);
		world_io(&w, va + 512 * PAGE, PAGE, QUOLL_SEG_WRITE); /* stays */
		before = world_stats(&w);
		world_io(&w, va, BYTES, QUOLL_SEG_WRITE);
		CU_ASSERT_EQUAL(world_stats(&w).hits, before.hits + 1);
		CU_ASSERT_TRUE_FATAL(changes[i].change(va));
		world_io(&w, va, BYTES, QUOLL_SEG_WRITE);
		if (world_stats(&w).misses != before.misses + 1)
			printf("%s: ", changes[i].how);
		CU_ASSERT_EQUAL(world_stats(&w).misses, before.misses + 1);
		CU_ASSERT_EQUAL(world_stats(&w).gone, i + 1);
		CU_ASSERT_EQUAL(world_stats(&w).registrations, before.registrations);
		world_io(&w, va + 512 * PAGE, PAGE, QUOLL_SEG_WRITE);
		world_io(&w, va, BYTES, QUOLL_SEG_WRITE);
		CU_ASSERT_EQUAL(world_stats(&w).hits, before.hits + 3);
	}
	CU_ASSERT_EQUAL(world_stats(&w).evicted, 0);
	CU_ASSERT_EQUAL(w.fake->nr_maps, w.nr_heap_maps + world_stats(&w).registrations);
	world_close(&w);
}

static void registrations_go_when_the_memory_does(void)
{
	if (is_refused())
		return;
	registrations_go(&watched);
	registrations_go(&cached);
}

static void what_the_allocator_gives_back_goes(void)
{
	struct world w;
	uint8_t *block, *top;

	if (is_refused())
		return;
	world_open(&w, &cached);
	mallopt(M_MMAP_THRESHOLD, 256 << 10);
	block = malloc(1 << 20);
	CU_ASSERT_PTR_NOT_NULL_FATAL(block);
	world_io(&w, block + 8 * PAGE, BYTES, QUOLL_SEG_READ);
	free(block);
	top = sbrk(0);
	top += -(uintptr_t)top % PAGE;
	CU_ASSERT_EQUAL_FATAL(brk(top + BYTES), 0);
	world_io(&w, top, BYTES, QUOLL_SEG_READ);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* theirs keep it */
	CU_ASSERT_EQUAL(world_stats(&w).gone, 1);
#endif
	CU_ASSERT_PTR_EQUAL_FATAL(sbrk(0), top + BYTES);
	CU_ASSERT_EQUAL_FATAL(brk(top), 0);
	CU_ASSERT_EQUAL_FATAL(brk(top + BYTES), 0);
	world_io(&w, top, BYTES, QUOLL_SEG_READ);
	CU_ASSERT_EQUAL(world_stats(&w).hits, 0);
	CU_ASSERT_EQUAL(world_stats(&w).misses, 3);
	CU_ASSERT_EQUAL_FATAL(brk(top), 0);
	world_close(&w);
}

static void what_goes_during_an_io_stays_registered_until_its_end(void)
{
	struct quoll_stream_seg a, b, fresh;
	struct world w;

	if (is_refused())
		return;
	world_open(&w, &cached);
	CU_ASSERT_EQUAL_FATAL(world_map(&w, &a, w.outside, BYTES, QUOLL_SEG_READ), 1);
	CU_ASSERT_EQUAL_FATAL(world_map(&w, &b, w.outside, BYTES, QUOLL_SEG_READ), 1);
	CU_ASSERT_TRUE_FATAL(unmap(w.outside));
	CU_ASSERT_EQUAL_FATAL(world_map(&w, &fresh, w.outside, BYTES, QUOLL_SEG_READ), 1);
	CU_ASSERT_NOT_EQUAL(fresh.iova, a.iova);
	quoll_stream_unmap(w.stream, &a, 1);
	CU_ASSERT(fake_reaches(w.fake, w.outside, b.iova, BYTES, MAP_DEVICE_READ));
	quoll_stream_unmap(w.stream, &b, 1);
	CU_ASSERT_PTR_NULL(world_at(&w, b.iova));
	CU_ASSERT(fake_reaches(w.fake, w.outside, fresh.iova, BYTES, MAP_DEVICE_READ));
	quoll_stream_unmap(w.stream, &fresh, 1);
	CU_ASSERT_EQUAL(world_stats(&w).registrations, 1);
	world_close(&w);
}

static void every_stream_is_told(void)
{
	struct quoll_stream *first;
	struct quoll_stream_stats stats;
	struct world w;

	if (is_refused())
		return;
	world_open(&w, &cached);
	world_io(&w, w.outside, BYTES, QUOLL_SEG_READ);
	first = w.stream;
	CU_ASSERT_EQUAL_FATAL(quoll_stream_create(w.fake->ioas, w.heap, &cached, &w.stream, NULL), 0);
	world_io(&w, w.outside + PAGE, BYTES, QUOLL_SEG_READ);
	CU_ASSERT_EQUAL_FATAL(madvise(w.outside + 2 * PAGE, PAGE, MADV_DONTNEED), 0);
	world_io(&w, w.outside + PAGE, BYTES, QUOLL_SEG_READ);
	CU_ASSERT_EQUAL(world_stats(&w).misses, 2);
	quoll_stream_destroy(w.stream);
	w.stream = first;
	world_io(&w, w.outside, BYTES, QUOLL_SEG_READ);
	quoll_stream_stats(first, &stats);
	CU_ASSERT_EQUAL(stats.misses, 2);
	CU_ASSERT_EQUAL(stats.hits, 0);
	world_close(&w);
}

/* Memory of other kinds. */

static void shared_memory_is_watched(void)
{
	int fd = memfd_create("test_watch", MFD_CLOEXEC);
	struct world w;
	uint8_t *va;

	if (is_anonymous_only())
		return;
	world_open(&w, &cached);
	CU_ASSERT_EQUAL_FATAL(ftruncate(fd, BYTES), 0);
	va = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CU_ASSERT_FATAL(va != MAP_FAILED);
	world_io(&w, va, BYTES, QUOLL_SEG_WRITE);
	world_io(&w, va, BYTES, QUOLL_SEG_WRITE);
	CU_ASSERT_EQUAL(world_stats(&w).hits, 1);
	CU_ASSERT_EQUAL_FATAL(madvise(va, BYTES, MADV_REMOVE), 0);
	world_io(&w, va, BYTES, QUOLL_SEG_WRITE);
	CU_ASSERT_EQUAL(world_stats(&w).misses, 2);
	CU_ASSERT_TRUE_FATAL(unmap(va));
	world_io(&w, va, BYTES, QUOLL_SEG_WRITE);
	CU_ASSERT_EQUAL(world_stats(&w).misses, 3);
	munmap(va, BYTES);
	close(fd);
	world_close(&w);
}

#define HUGE_BYTES (2ull << 20)

static void hugepages_are_watched(void)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | 21 << MAP_HUGE_SHIFT;
	struct world w;
	uint8_t *va;

	if (is_anonymous_only())
		return;
	va = mmap(NULL, HUGE_BYTES, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (va == MAP_FAILED) {
		unit_skip("no hugepage of 2 MiB");
		return;
	}
	world_open(&w, &cached);
	for (unsigned int i = 0; i < 2; i++)
		world_io(&w, va + 5 * PAGE, BYTES, QUOLL_SEG_WRITE);
	CU_ASSERT_EQUAL(world_stats(&w).hits, 1);
	CU_ASSERT_EQUAL_FATAL(munmap(va, HUGE_BYTES), 0);
	CU_ASSERT_PTR_EQUAL_FATAL(mmap(va, HUGE_BYTES, PROT_READ | PROT_WRITE, flags | MAP_FIXED, -1, 0), va);
	world_io(&w, va + 5 * PAGE, BYTES, QUOLL_SEG_WRITE);
	CU_ASSERT_EQUAL(world_stats(&w).gone, 1);
	munmap(va, HUGE_BYTES);
	world_close(&w);
}

static uint8_t *file_map(int fd, int flags)
{
	uint8_t *va = mmap(NULL, PAGE, PROT_READ, flags, fd, 0);

	CU_ASSERT_FATAL(fd >= 0 && va != MAP_FAILED);
	close(fd);
	return va;
}

static int executable(void)
{
	return open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
}

/* A memory file that this process can only read. */
static int read_only_memory(void)
{
	int fd = memfd_create("test_watch", MFD_CLOEXEC), other;
	char path[64];

	CU_ASSERT_EQUAL_FATAL(ftruncate(fd, PAGE), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	other = open(path, O_RDONLY | O_CLOEXEC);
	close(fd);
	return other;
}

static uint8_t *system_v_memory(void)
{
	int id = shmget(IPC_PRIVATE, PAGE, 0600 | IPC_CREAT);
	uint8_t *va = shmat(id, NULL, 0);

	CU_ASSERT_EQUAL(shmctl(id, IPC_RMID, NULL), 0);
	CU_ASSERT_PTR_NOT_EQUAL_FATAL(va, (void *)-1);
	return va;
}

static void what_cannot_be_watched_goes_another_way(void)
{
	const struct quoll_stream_opts opts = {.ways = ONLY(CACHED) | ONLY(BOUNCE), .cached_entries = 1};
	struct quoll_stream_seg seg;
	struct world w;

	if (is_refused())
		return;
	struct {
		uint8_t *va;
		int why;
	} memory[] = {
		{file_map(executable(), MAP_PRIVATE), EINVAL},
		{file_map(executable(), MAP_SHARED), EINVAL},
		{file_map(read_only_memory(), MAP_SHARED), EPERM},
		{(uint8_t *)getauxval(AT_SYSINFO_EHDR),
		 EINVAL}, /* the kernel's own: no file, no struct page to be had */
		{system_v_memory(), EINVAL},
	};
	world_open(&w, &opts);
	world_io(&w, w.outside, PAGE, QUOLL_SEG_READ);
	CU_ASSERT_EQUAL(world_stats(&w).unwatched_errno, 0);
	for (unsigned int i = 0; i < sizeof(memory) / sizeof(*memory); i++) {
		CU_ASSERT_EQUAL_FATAL(world_map(&w, &seg, memory[i].va, PAGE, QUOLL_SEG_READ), 1);
		CU_ASSERT_EQUAL(seg.way, QUOLL_WAY_BOUNCE);
		quoll_stream_unmap(w.stream, &seg, 1);
		CU_ASSERT_EQUAL(world_stats(&w).unwatched, i + 1);
		CU_ASSERT_EQUAL(world_stats(&w).unwatched_errno, memory[i].why);
	}
	CU_ASSERT_EQUAL(world_stats(&w).misses, 1);
	/* and nothing is thrown out for it */
	CU_ASSERT_EQUAL(world_stats(&w).evicted, 0);
	world_close(&w);
	world_open(&w, &cached);
	CU_ASSERT_EQUAL(world_map(&w, &seg, memory[0].va, PAGE, QUOLL_SEG_READ), -ENOTSUP);
	world_close(&w);
	for (unsigned int i = 0; i < 3; i++)
		munmap(memory[i].va, PAGE);
	shmdt(memory[4].va);
}

static void memory_with_the_programs_own_userfaultfd_goes_another_way(void)
{
	struct uffdio_register reg = {.mode = UFFDIO_REGISTER_MODE_WP};
	struct quoll_stream_seg seg;
	struct world w;
	int fd;

	if (is_refused())
		return;
	fd = uffd_open();
	world_open(&w, &bounced);
	reg.range.start = (uintptr_t)w.outside + PAGE;
	reg.range.len = PAGE;
	CU_ASSERT_EQUAL_FATAL(ioctl(fd, UFFDIO_REGISTER, &reg), 0);
	CU_ASSERT_EQUAL_FATAL(world_map(&w, &seg, w.outside, BYTES, QUOLL_SEG_READ), 1);
	CU_ASSERT_EQUAL(seg.way, QUOLL_WAY_BOUNCE);
	CU_ASSERT_EQUAL(world_stats(&w).unwatched_errno, EBUSY);
	quoll_stream_unmap(w.stream, &seg, 1);
	close(fd);
	CU_ASSERT_EQUAL_FATAL(world_map(&w, &seg, w.outside, BYTES, QUOLL_SEG_READ), 1);
	CU_ASSERT_EQUAL(seg.way, QUOLL_WAY_CACHED);
	quoll_stream_unmap(w.stream, &seg, 1);
	world_close(&w);
}

static void who_forgets_is_not_watched(void)
{
	const struct quoll_stream_opts opts = {.ways = ONLY(CACHED), .cached_watch = QUOLL_CACHED_FORGETS};
	uint8_t *file = file_map(executable(), MAP_PRIVATE);
	struct world w;

	world_open(&w, &opts);
	world_io(&w, file, PAGE, QUOLL_SEG_READ);
	world_io(&w, w.outside, BYTES, QUOLL_SEG_READ);
	CU_ASSERT_TRUE_FATAL(unmap(w.outside));
	world_io(&w, w.outside, BYTES, QUOLL_SEG_READ);
	CU_ASSERT_EQUAL(world_stats(&w).hits, 1);
	CU_ASSERT_EQUAL(world_stats(&w).unwatched, 0);
	world_close(&w);
	munmap(file, PAGE);
}

static const struct unit_test tests[] = {
	{"registrations go when the memory does", registrations_go_when_the_memory_does},
	{"what the allocator gives back goes", what_the_allocator_gives_back_goes},
	{"what goes during an I/O stays registered until its end",
	 what_goes_during_an_io_stays_registered_until_its_end},
	{"every stream is told", every_stream_is_told},
	{"shared memory is watched", shared_memory_is_watched},
	{"hugepages are watched", hugepages_are_watched},
	{"what cannot be watched goes another way", what_cannot_be_watched_goes_another_way},
	{"memory with the program's own userfaultfd goes another way",
	 memory_with_the_programs_own_userfaultfd_goes_another_way},
	{"who forgets is not watched", who_forgets_is_not_watched},
};

UNIT_MAIN("eal/stream/watch", tests)
