/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_watch.c - registrations go when the memory does, without a word of the program: by a real userfaultfd. Where the
 * kernel refuses that, all but what is said then is skipped.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stream_world.h"

#define BYTES (4 * PAGE)
#define TIMEOUT_S 60

static const struct quoll_stream_opts cached = {.ways = ONLY(CACHED)};
static const struct quoll_stream_opts watched = {.ways = ONLY(CACHED), .cached_watch = QUOLL_CACHED_WATCHED};
static const struct quoll_stream_opts bounced = {.ways = ONLY(CACHED) | ONLY(BOUNCE)};

static int uffd_open(void)
{
	struct uffdio_api api = {.api = UFFD_API};
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);

	if (fd >= 0 && ioctl(fd, UFFDIO_API, &api)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static bool is_refused(void)
{
	int fd = uffd_open();

	if (fd >= 0)
		close(fd);
	else
		unit_skip("no userfaultfd(2)");
	return fd < 0;
}

static bool map_at(uint8_t *va)
{
	return mmap(va, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == va;
}

static bool unmap(uint8_t *va)
{
	return !munmap(va, BYTES) && map_at(va);
}

static bool unmap_last_page(uint8_t *va)
{
	return !munmap(va + 3 * PAGE, PAGE) && map_at(va);
}

static bool map_over_first_page(uint8_t *va)
{
	return mmap(va, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == va;
}

static bool dontneed(uint8_t *va)
{
	return !madvise(va + PAGE, PAGE, MADV_DONTNEED);
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

	if (is_refused())
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

	if (is_refused())
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

/* A page of a file; not of a memory file. */
static uint8_t *file_map(uint64_t bytes)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	uint8_t *va = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, fd, 0);

	CU_ASSERT_FATAL(fd >= 0 && va != MAP_FAILED);
	close(fd);
	return va;
}

static void what_cannot_be_watched_goes_another_way(void)
{
	const struct quoll_stream_opts opts = {.ways = ONLY(CACHED) | ONLY(BOUNCE), .cached_entries = 1};
	struct quoll_stream_seg seg;
	struct world w;
	uint8_t *file;

	if (is_refused())
		return;
	file = file_map(PAGE);
	world_open(&w, &opts);
	world_io(&w, w.outside, PAGE, QUOLL_SEG_READ);
	CU_ASSERT_EQUAL_FATAL(world_map(&w, &seg, file, PAGE, QUOLL_SEG_READ), 1);
	CU_ASSERT_EQUAL(seg.way, QUOLL_WAY_BOUNCE);
	quoll_stream_unmap(w.stream, &seg, 1);
	CU_ASSERT_EQUAL(world_stats(&w).unwatched, 1);
	CU_ASSERT_EQUAL(world_stats(&w).misses, 1);
	/* and nothing is thrown out for it */
	CU_ASSERT_EQUAL(world_stats(&w).evicted, 0);
	world_close(&w);
	world_open(&w, &cached);
	CU_ASSERT_EQUAL(world_map(&w, &seg, file, PAGE, QUOLL_SEG_READ), -ENOTSUP);
	world_close(&w);
	munmap(file, PAGE);
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
	quoll_stream_unmap(w.stream, &seg, 1);
	close(fd);
	CU_ASSERT_EQUAL_FATAL(world_map(&w, &seg, w.outside, BYTES, QUOLL_SEG_READ), 1);
	CU_ASSERT_EQUAL(seg.way, QUOLL_WAY_CACHED);
	quoll_stream_unmap(w.stream, &seg, 1);
	world_close(&w);
}

static unsigned int nr_threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	unsigned int nr = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(dir);
	while (readdir(dir))
		nr++;
	closedir(dir);
	return nr - 2;
}

static void who_forgets_is_not_watched(void)
{
	const struct quoll_stream_opts opts = {.ways = ONLY(CACHED), .cached_watch = QUOLL_CACHED_FORGETS};
	unsigned int before = nr_threads();
	uint8_t *file = file_map(PAGE);
	struct world w;

	world_open(&w, &opts);
	CU_ASSERT_EQUAL(nr_threads(), before);
	world_io(&w, file, PAGE, QUOLL_SEG_READ);
	world_io(&w, w.outside, BYTES, QUOLL_SEG_READ);
	CU_ASSERT_TRUE_FATAL(unmap(w.outside));
	world_io(&w, w.outside, BYTES, QUOLL_SEG_READ);
	CU_ASSERT_EQUAL(world_stats(&w).hits, 1);
	CU_ASSERT_EQUAL(world_stats(&w).unwatched, 0);
	world_close(&w);
	munmap(file, PAGE);
}

/* The thread. */

static void one_thread_is_there_while_there_are_streams(void)
{
	unsigned int before = nr_threads();
	struct quoll_stream *second;
	struct world w;

	if (is_refused())
		return;
	for (unsigned int i = 0; i < 3; i++) {
		world_open(&w, &cached);
		CU_ASSERT_EQUAL(nr_threads(), before + 1);
		CU_ASSERT_EQUAL_FATAL(quoll_stream_create(w.fake->ioas, w.heap, &cached, &second, NULL), 0);
		CU_ASSERT_EQUAL(nr_threads(), before + 1);
		world_io(&w, w.outside, BYTES, QUOLL_SEG_READ);
		quoll_stream_destroy(second);
		CU_ASSERT_TRUE_FATAL(unmap(w.outside));
		world_io(&w, w.outside, BYTES, QUOLL_SEG_READ);
		CU_ASSERT_EQUAL(world_stats(&w).gone, 1);
		world_close(&w);
		/* a thread is joined a little before it is listed no more */
		alarm(TIMEOUT_S);
		while (nr_threads() != before)
			sched_yield();
		alarm(0);
	}
}

/* What a child does; its exit status. */
static int in_child(struct world *w)
{
	struct quoll_stream *stream;
	struct quoll_stream_seg seg;
	int rc;

	alarm(TIMEOUT_S);
	/* The parent's registrations are none of its, and nobody would read of them. */
	if (!unmap(w->outside))
		return 1;
	if (quoll_stream_create(w->fake->ioas, w->heap, &cached, &stream, NULL))
		return 2;
	for (int i = 0; i < 2; i++) {
		seg = world_seg(w->outside, BYTES, QUOLL_SEG_READ);
		if (quoll_stream_map(stream, &seg, 1) != 1 || seg.way != QUOLL_WAY_CACHED)
			return 3;
		quoll_stream_unmap(stream, &seg, 1);
		if (!unmap(w->outside))
			return 4;
	}
	w->stream = stream;
	rc = world_stats(w).misses == 2 ? 0 : 5;
	quoll_stream_destroy(stream);
	return rc;
}

static void a_forked_child_begins_anew(void)
{
	int status = 1;
	struct world w;
	pid_t pid;

	if (is_refused())
		return;
#ifdef __SANITIZE_THREAD__
	unit_skip("ThreadSanitizer has no threads in a child of a process with threads");
	return;
#endif
	world_open(&w, &cached);
	world_io(&w, w.outside, BYTES, QUOLL_SEG_READ);
	pid = fork();
	if (!pid)
		_exit(in_child(&w));
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_TRUE(WIFEXITED(status));
	CU_ASSERT_EQUAL(WEXITSTATUS(status), 0);
	/* and the parent's goes on */
	world_io(&w, w.outside, BYTES, QUOLL_SEG_READ);
	CU_ASSERT_EQUAL(world_stats(&w).hits, 1);
	CU_ASSERT_TRUE_FATAL(unmap(w.outside));
	world_io(&w, w.outside, BYTES, QUOLL_SEG_READ);
	CU_ASSERT_EQUAL(world_stats(&w).misses, 2);
	world_close(&w);
}

static void nobody_waits_when_the_last_stream_has_gone_and_a_child_has_its_file(void)
{
	uint8_t *va = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct world w;
	pid_t pid;

	if (is_refused())
		return;
	CU_ASSERT_FATAL(va != MAP_FAILED);
	world_open(&w, &cached);
	world_io(&w, va, 2 * PAGE, QUOLL_SEG_READ);
	world_io(&w, va + 4 * PAGE, 2 * PAGE, QUOLL_SEG_READ);
	CU_ASSERT_EQUAL_FATAL(munmap(va + 5 * PAGE, PAGE), 0);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pause();
		_exit(0);
	}
	world_close(&w);
	alarm(TIMEOUT_S); /* it would wait for good */
	CU_ASSERT_EQUAL(munmap(va, 8 * PAGE), 0);
	alarm(0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* As a program does that closes all files which it doesn't know. */
static void close_userfaultfds(void)
{
	char path[64], target[64];

	for (int fd = 3; fd < 256; fd++) {
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, target, sizeof(target) - 1);
		target[n > 0 ? n : 0] = '\0';
		if (strstr(target, "[userfaultfd]"))
			close(fd);
	}
}

static void without_its_file_nothing_is_cached(void)
{
	struct quoll_stream_seg seg;
	struct world w;

	if (is_refused())
		return;
	world_open(&w, &bounced);
	world_io(&w, w.outside, BYTES, QUOLL_SEG_READ);
	world_io(&w, w.outside + 64 * PAGE, BYTES, QUOLL_SEG_READ);
	close_userfaultfds();
	CU_ASSERT_TRUE_FATAL(unmap(w.outside));
	/* The kernel has let that munmap() go when the file went, so it may take a moment. */
	alarm(TIMEOUT_S);
	do {
		CU_ASSERT_EQUAL_FATAL(world_map(&w, &seg, w.outside + 64 * PAGE, BYTES, QUOLL_SEG_READ), 1);
		quoll_stream_unmap(w.stream, &seg, 1);
	} while (seg.way != QUOLL_WAY_BOUNCE);
	alarm(0);
	CU_ASSERT_EQUAL(world_stats(&w).registrations, 0);
	world_close(&w);
	/* the next one has another */
	world_open(&w, &cached);
	world_io(&w, w.outside, BYTES, QUOLL_SEG_READ);
	CU_ASSERT_TRUE_FATAL(unmap(w.outside));
	world_io(&w, w.outside, BYTES, QUOLL_SEG_READ);
	CU_ASSERT_EQUAL(world_stats(&w).gone, 1);
	world_close(&w);
}

#define NR_APART 17000u

static void so_much_is_watched_and_then_it_begins_anew(void)
{
	uint64_t bytes = 2 * NR_APART * PAGE;
	uint8_t *va = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct quoll_stream_stats before;
	struct world w;

	if (is_refused())
		return;
	CU_ASSERT_FATAL(va != MAP_FAILED);
	world_open(&w, &cached);
	world_io(&w, w.outside, PAGE, QUOLL_SEG_READ);
	for (unsigned int i = 0; i < NR_APART; i++) {
		world_io(&w, va + 2 * i * PAGE, PAGE, QUOLL_SEG_READ);
		if (i % 500 == 0)
			world_io(&w, w.outside, PAGE, QUOLL_SEG_READ); /* not the oldest */
	}
	/* It was in all the time, but for once. */
	CU_ASSERT_EQUAL(world_stats(&w).misses, NR_APART + 2);
	before = world_stats(&w);
	CU_ASSERT(before.gone >= 1);
	CU_ASSERT_TRUE_FATAL(unmap(w.outside));
	world_io(&w, w.outside, PAGE, QUOLL_SEG_READ);
	CU_ASSERT_EQUAL(world_stats(&w).gone, before.gone + 1);
	world_close(&w);
	munmap(va, bytes);
}

/* Two threads. */

#define NR_ROUNDS 1000u

struct race {
	uint8_t *va;
	unsigned int unmapped; /* rounds */
	unsigned int mapped;
	bool failed;
};

static void *replace_again_and_again(void *arg)
{
	struct race *race = arg;

	for (unsigned int i = 1; i <= NR_ROUNDS; i++) {
		if (!(i % 2 ? map_at(race->va) : dontneed(race->va)))
			race->failed = true;
		__atomic_store_n(&race->unmapped, i, __ATOMIC_RELEASE);
		while (__atomic_load_n(&race->mapped, __ATOMIC_ACQUIRE) < i)
			sched_yield();
	}
	return NULL;
}

/* The moment that the other thread is back from taking the memory away it is not found any more. */
static void memory_is_not_found_from_its_end_on(void)
{
	struct race race = {0};
	unsigned int found = 0;
	pthread_t thread;
	struct world w;

	if (is_refused())
		return;
	world_open(&w, &watched);
	race.va = w.outside;
	world_io(&w, race.va, BYTES, QUOLL_SEG_WRITE);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, replace_again_and_again, &race), 0);
	for (unsigned int i = 1; i <= NR_ROUNDS; i++) {
		uint64_t misses;

		while (__atomic_load_n(&race.unmapped, __ATOMIC_ACQUIRE) < i) {
			world_io(&w, w.outside + 64 * PAGE, PAGE, QUOLL_SEG_WRITE);
			sched_yield(); /* there may be no CPU for the others else */
		}
		misses = world_stats(&w).misses;
		world_io(&w, race.va, BYTES, QUOLL_SEG_WRITE);
		found += world_stats(&w).misses != misses + 1;
		__atomic_store_n(&race.mapped, i, __ATOMIC_RELEASE);
	}
	CU_ASSERT_EQUAL(pthread_join(thread, NULL), 0);
	CU_ASSERT_FALSE(race.failed);
	CU_ASSERT_EQUAL(found, 0);
	CU_ASSERT_EQUAL(world_stats(&w).gone, NR_ROUNDS);
	world_close(&w);
}

#define NR_TAKEN 200u

/* It runs when nobody else wants to: so the other thread is seldom late. */
static void slow_down_watch(void)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;
	unsigned int nr = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(dir);
	while ((entry = readdir(dir))) {
		const struct sched_param param = {0};
		char path[300], name[32] = "";
		FILE *file;

		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", entry->d_name);
		file = fopen(path, "re");
		if (file && fgets(name, sizeof(name), file) && !strcmp(name, "quoll-watch\n"))
			nr += !sched_setscheduler(atoi(entry->d_name), SCHED_IDLE, &param);
		if (file)
			fclose(file);
	}
	closedir(dir);
	CU_ASSERT_EQUAL(nr, 1);
}

static void *unmap_only(void *arg)
{
	struct race *race = arg;

	for (unsigned int i = 1; i <= NR_TAKEN; i++) {
		while (__atomic_load_n(&race->mapped, __ATOMIC_ACQUIRE) < i)
			sched_yield();
		race->failed |= munmap(race->va, BYTES);
		__atomic_store_n(&race->unmapped, i, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* Whoever comes by the address while munmap() has not returned elsewhere does not find what was there. */
static void memory_is_not_found_by_who_takes_its_place_at_once(void)
{
	unsigned int found = 0, early = 0;
	struct race race = {0};
	pthread_t thread;
	struct world w;

	if (is_refused())
		return;
	world_open(&w, &cached);
	race.va = w.outside;
	slow_down_watch();
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, unmap_only, &race), 0);
	for (unsigned int i = 1; i <= NR_TAKEN; i++) {
		uint64_t misses;

		world_io(&w, race.va, BYTES, QUOLL_SEG_WRITE);
		misses = world_stats(&w).misses;
		__atomic_store_n(&race.mapped, i, __ATOMIC_RELEASE);
		while (mmap(race.va, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
			    -1, 0) != race.va)
			sched_yield();
		early += __atomic_load_n(&race.unmapped, __ATOMIC_ACQUIRE) < i;
		world_io(&w, race.va, BYTES, QUOLL_SEG_WRITE);
		found += world_stats(&w).misses == misses;
		while (__atomic_load_n(&race.unmapped, __ATOMIC_ACQUIRE) < i)
			sched_yield();
	}
	CU_ASSERT_EQUAL(pthread_join(thread, NULL), 0);
	CU_ASSERT_FALSE(race.failed);
	CU_ASSERT_EQUAL(found, 0);
	printf("(%u of %u before munmap() was back) ", early, NR_TAKEN);
	world_close(&w);
}

#define NR_STREAMS 3u

struct owner {
	pthread_barrier_t *begin;
	struct quoll_stream *stream;
	uint8_t *va;
	unsigned int bad;
};

static void *do_ios_and_replace(void *arg)
{
	struct owner *owner = arg;
	struct quoll_stream_stats stats;

	pthread_barrier_wait(owner->begin);
	for (unsigned int i = 0; i < 2 * NR_ROUNDS; i++) {
		struct quoll_stream_seg seg = world_seg(owner->va, BYTES, QUOLL_SEG_WRITE);

		if (quoll_stream_map(owner->stream, &seg, 1) == 1)
			quoll_stream_unmap(owner->stream, &seg, 1);
		else
			owner->bad++;
		/* Found once, and then it goes. Not by munmap(): the hole would be anybody's, until it is mapped over.
		 */
		owner->bad += i % 2 && !(i % 4 == 1 ? map_at(owner->va) : dontneed(owner->va));
	}
	quoll_stream_stats(owner->stream, &stats);
	owner->bad += stats.hits != NR_ROUNDS || stats.misses != NR_ROUNDS || stats.gone != NR_ROUNDS - 1;
	return NULL;
}

static void streams_of_several_threads_are_told(void)
{
	struct owner owners[NR_STREAMS];
	pthread_t threads[NR_STREAMS];
	pthread_barrier_t barrier;
	struct world w;

	if (is_refused())
		return;
	world_open(&w, &cached);
	for (unsigned int i = 0; i < NR_STREAMS; i++) {
		owners[i] = (struct owner){.begin = &barrier, .va = w.outside + i * 64 * PAGE};
		CU_ASSERT_EQUAL_FATAL(quoll_stream_create(w.fake->ioas, w.heap, &watched, &owners[i].stream, NULL), 0);
	}
	CU_ASSERT_EQUAL_FATAL(pthread_barrier_init(&barrier, NULL, NR_STREAMS), 0);
	for (unsigned int i = 0; i < NR_STREAMS; i++)
		CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, do_ios_and_replace, &owners[i]), 0);
	for (unsigned int i = 0; i < NR_STREAMS; i++) {
		CU_ASSERT_EQUAL(pthread_join(threads[i], NULL), 0);
		CU_ASSERT_EQUAL(owners[i].bad, 0);
		quoll_stream_destroy(owners[i].stream);
	}
	pthread_barrier_destroy(&barrier);
	world_close(&w);
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
	{"one thread is there while there are streams", one_thread_is_there_while_there_are_streams},
	{"a forked child begins anew", a_forked_child_begins_anew},
	{"nobody waits when the last stream has gone and a child has its file",
	 nobody_waits_when_the_last_stream_has_gone_and_a_child_has_its_file},
	{"without its file nothing is cached", without_its_file_nothing_is_cached},
	{"so much is watched, and then it begins anew", so_much_is_watched_and_then_it_begins_anew},
	{"memory is not found from its end on", memory_is_not_found_from_its_end_on},
	{"memory is not found by who takes its place at once", memory_is_not_found_by_who_takes_its_place_at_once},
	{"streams of several threads are told", streams_of_several_threads_are_told},
};

UNIT_MAIN("eal/stream/watch", tests)
