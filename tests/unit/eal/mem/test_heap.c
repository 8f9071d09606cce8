/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_heap.c - windows, chunks and attaching, with IOASes that record what is mapped. 4 KiB pages, so that it runs
 * everywhere; what needs huge pages says so and checks the message where there are none.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <quoll/heap.h>

#include "fake_ioas.h"
#include "unit.h"

#define GIB (1ull << 30)
#define RW (MAP_DEVICE_READ | MAP_DEVICE_WRITE)

static struct quoll_heap *heap_on(struct fake **fakes, unsigned int nr, uint64_t size_bytes, struct quoll_error *err)
{
	struct quoll_ioas *ioases[4];
	struct quoll_heap_opts opts = {
		.size_bytes = size_bytes,
		.pages = QUOLL_PAGES_4K,
		.numa_node = -1,
		.ioases = ioases,
		.nr_ioases = nr,
	};
	struct quoll_heap *heap = NULL;

	for (unsigned int i = 0; i < nr; i++)
		ioases[i] = fakes[i]->ioas;
	return quoll_heap_create(NULL, &opts, &heap, err) ? NULL : heap;
}

static struct quoll_arena *arena_in(struct quoll_heap *heap, enum quoll_arena_access access)
{
	struct quoll_arena *arena = NULL;

	CU_ASSERT_EQUAL_FATAL(quoll_arena_create(heap, "test", access, 0, &arena, NULL), 0);
	return arena;
}

static void memory_is_mapped_in_every_ioas_at_the_same_iova(void)
{
	struct fake *fakes[2] = {fake_new(), fake_new()};
	struct quoll_heap *heap = heap_on(fakes, 2, 0, NULL);
	struct quoll_arena *rd, *rw;
	void *a, *b;

	CU_ASSERT_FATAL(heap != NULL);
	rd = arena_in(heap, QUOLL_ARENA_DEVICE_READ);
	rw = arena_in(heap, QUOLL_ARENA_DEVICE_READ_WRITE);
	CU_ASSERT_EQUAL_FATAL(quoll_arena_alloc(rd, 100000, 4096, &a, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_arena_alloc(rw, 300000, 4096, &b, NULL), 0);
	memset(a, 1, 100000);
	memset(b, 2, 300000);
	for (int i = 0; i < 2; i++) {
		CU_ASSERT(fake_reaches(fakes[i], a, quoll_heap_iova(heap, a, 100000), 100000, MAP_DEVICE_READ));
		CU_ASSERT(fake_reaches(fakes[i], b, quoll_heap_iova(heap, b, 300000), 300000, RW));
	}
	quoll_heap_destroy(heap);
	CU_ASSERT_EQUAL(fakes[0]->nr_maps + fakes[1]->nr_maps, 0);
	CU_ASSERT_EQUAL(fake_delete(fakes[0]), 0);
	CU_ASSERT_EQUAL(fake_delete(fakes[1]), 0);
}

static void the_look_up_refuses_what_is_not_all_inside(void)
{
	struct quoll_heap *heap = heap_on(NULL, 0, 64ull << 20, NULL);
	struct quoll_heap_info info;
	char outside;

	CU_ASSERT_FATAL(heap != NULL);
	quoll_heap_info(heap, &info);
	CU_ASSERT_EQUAL(info.size_bytes, 64ull << 20);
	CU_ASSERT_EQUAL(info.page_bytes, 4096);
	CU_ASSERT_EQUAL(quoll_heap_iova(heap, info.va, 1), info.iova);
	CU_ASSERT_EQUAL(quoll_heap_iova(heap, (char *)info.va + 4097, 10), info.iova + 4097);
	CU_ASSERT_EQUAL(quoll_heap_iova(heap, (char *)info.va + info.size_bytes - 1, 1),
			info.iova + info.size_bytes - 1);
	CU_ASSERT_EQUAL(quoll_heap_iova(heap, info.va, info.size_bytes), info.iova);
	CU_ASSERT_EQUAL(quoll_heap_iova(heap, info.va, info.size_bytes + 1), QUOLL_IOVA_INVALID);
	CU_ASSERT_EQUAL(quoll_heap_iova(heap, (char *)info.va + info.size_bytes - 1, 2), QUOLL_IOVA_INVALID);
	CU_ASSERT_EQUAL(quoll_heap_iova(heap, (char *)info.va + info.size_bytes, 1), QUOLL_IOVA_INVALID);
	CU_ASSERT_EQUAL(quoll_heap_iova(heap, (char *)info.va - 1, 1), QUOLL_IOVA_INVALID);
	CU_ASSERT_EQUAL(quoll_heap_iova(heap, (char *)info.va + 1, UINT64_MAX), QUOLL_IOVA_INVALID);
	CU_ASSERT_EQUAL(quoll_heap_iova(heap, &outside, 1), QUOLL_IOVA_INVALID);
	CU_ASSERT_EQUAL(quoll_heap_iova(heap, NULL, 1), QUOLL_IOVA_INVALID);
	quoll_heap_destroy(heap);
}

static void va_and_iova_have_the_same_offset_in_a_gigabyte(void)
{
	struct fake *fake = fake_new();
	struct quoll_heap_info info;
	struct quoll_heap *heap;

	/* An aperture that leaves no gigabyte-aligned place. */
	fake->limits.nr_ranges = 1;
	fake->limits.ranges[0] = (struct quoll_iova_range){0x12345000, 0x3fffffff};
	heap = heap_on(&fake, 1, 256ull << 20, NULL);
	CU_ASSERT_FATAL(heap != NULL);
	quoll_heap_info(heap, &info);
	CU_ASSERT_EQUAL((uintptr_t)info.va % GIB, info.iova % GIB);
	CU_ASSERT_EQUAL(info.iova % (2ull << 20), 0);
	CU_ASSERT(info.iova >= 0x12345000);
	CU_ASSERT(info.iova + info.size_bytes - 1 <= 0x3fffffff);
	quoll_heap_destroy(heap);
	fake_delete(fake);
}

static void the_window_fits_all_apertures_or_the_largest_is_named(void)
{
	struct fake *fakes[2] = {fake_new(), fake_new()};
	struct quoll_heap_info info;
	struct quoll_error err = {0};
	struct quoll_heap *heap;

	fakes[1]->limits.nr_ranges = 1;
	fakes[1]->limits.ranges[0] = (struct quoll_iova_range){0, 16 * GIB - 1};
	CU_ASSERT_PTR_NULL(heap_on(fakes, 2, 20 * GIB, &err));
	CU_ASSERT_EQUAL(err.errnum, ERANGE);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "12901679104")); /* 12 GiB and 16 MiB, above MSI */
	CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "12901679104"));
	/* The default size takes what there is. */
	heap = heap_on(fakes, 2, 0, NULL);
	CU_ASSERT_FATAL(heap != NULL);
	quoll_heap_info(heap, &info);
	CU_ASSERT_EQUAL(info.iova, 4 * GIB);
	CU_ASSERT_EQUAL(info.size_bytes, 12 * GIB);
	CU_ASSERT_EQUAL(info.nr_ioases, 2);
	quoll_heap_destroy(heap);
	CU_ASSERT_PTR_NULL(heap_on(fakes, 2, UINT64_MAX, &err));
	CU_ASSERT_EQUAL(err.errnum, ERANGE);
	fake_delete(fakes[0]);
	fake_delete(fakes[1]);
}

static void two_heaps_share_an_ioas_without_sharing_iovas(void)
{
	struct fake *fake = fake_new();
	struct quoll_heap *one = heap_on(&fake, 1, GIB, NULL), *two = heap_on(&fake, 1, GIB, NULL);
	struct quoll_heap_info a, b;
	void *va;

	CU_ASSERT_FATAL(one && two);
	quoll_heap_info(one, &a);
	quoll_heap_info(two, &b);
	CU_ASSERT(a.iova + a.size_bytes <= b.iova || b.iova + b.size_bytes <= a.iova);
	CU_ASSERT_EQUAL(quoll_arena_alloc(arena_in(one, QUOLL_ARENA_DEVICE_READ), 4096, 4096, &va, NULL), 0);
	CU_ASSERT_EQUAL(quoll_arena_alloc(arena_in(two, QUOLL_ARENA_DEVICE_READ), 4096, 4096, &va, NULL), 0);
	CU_ASSERT_EQUAL(quoll_ioas_close(fake->ioas), -EBUSY);
	/* The place of one that has gone is free again. */
	quoll_heap_destroy(one);
	one = heap_on(&fake, 1, GIB, NULL);
	CU_ASSERT_FATAL(one != NULL);
	CU_ASSERT_EQUAL(one->iova_base, a.iova);
	quoll_heap_destroy(one);
	quoll_heap_destroy(two);
	CU_ASSERT_EQUAL(fake_delete(fake), 0);
}

static void a_window_that_overlaps_another_heaps_is_not_attached(void)
{
	struct fake *fakes[2] = {fake_new(), fake_new()};
	struct quoll_heap *one = heap_on(&fakes[0], 1, GIB, NULL), *two = heap_on(&fakes[1], 1, GIB, NULL);
	struct quoll_error err = {0};

	CU_ASSERT_FATAL(one && two);
	CU_ASSERT_EQUAL(one->iova_base, two->iova_base);
	CU_ASSERT_EQUAL(quoll_heap_attach(one, fakes[1]->ioas, &err), -ERANGE);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "another heap"));
	CU_ASSERT_EQUAL(fakes[1]->ioas->nr_windows, 1);
	quoll_heap_destroy(one);
	quoll_heap_destroy(two);
	fake_delete(fakes[0]);
	fake_delete(fakes[1]);
}

static void attaching_later_maps_what_is_placed_and_what_will_be(void)
{
	struct fake *fake = fake_new();
	struct quoll_heap *heap = heap_on(NULL, 0, 0, NULL);
	struct quoll_arena *arena;
	void *early, *late;

	CU_ASSERT_FATAL(heap != NULL);
	arena = arena_in(heap, QUOLL_ARENA_DEVICE_READ_WRITE);
	CU_ASSERT_EQUAL(quoll_arena_alloc(arena, 50000, 64, &early, NULL), 0);
	CU_ASSERT_EQUAL(quoll_heap_attach(heap, fake->ioas, NULL), 0);
	CU_ASSERT_EQUAL(quoll_arena_alloc(arena, 5000000, 64, &late, NULL), 0);
	CU_ASSERT(fake_reaches(fake, early, quoll_heap_iova(heap, early, 50000), 50000, RW));
	CU_ASSERT(fake_reaches(fake, late, quoll_heap_iova(heap, late, 5000000), 5000000, RW));
	CU_ASSERT_EQUAL(quoll_heap_attach(heap, fake->ioas, NULL), -EALREADY);
	CU_ASSERT_EQUAL(quoll_heap_detach(heap, fake->ioas), 0);
	CU_ASSERT_EQUAL(fake->nr_maps, 0);
	CU_ASSERT_EQUAL(quoll_heap_detach(heap, fake->ioas), -ENOENT);
	CU_ASSERT_EQUAL(fake_delete(fake), 0);
	/* The memory outlives the IOAS. */
	memset(late, 1, 5000000);
	quoll_heap_destroy(heap);
}

static void attaching_is_all_or_nothing(void)
{
	struct fake *fake = fake_new();
	struct quoll_heap *heap = heap_on(NULL, 0, 0, NULL);
	struct quoll_arena *arena[3];
	struct quoll_error err = {0};
	struct quoll_heap_info info;
	void *va;

	CU_ASSERT_FATAL(heap != NULL);
	for (int i = 0; i < 3; i++) {
		arena[i] = arena_in(heap, QUOLL_ARENA_DEVICE_READ);
		CU_ASSERT_EQUAL(quoll_arena_alloc(arena[i], 4096, 64, &va, NULL), 0);
	}
	for (unsigned int fail = 1; fail <= 3; fail++) {
		fake->nr_map_calls = 0;
		fake->fail_map_call = fail;
		CU_ASSERT_EQUAL(quoll_heap_attach(heap, fake->ioas, &err), -EIO);
		CU_ASSERT_EQUAL(fake->nr_maps, 0);
		CU_ASSERT_EQUAL(fake->ioas->nr_windows, 0);
		quoll_heap_info(heap, &info);
		CU_ASSERT_EQUAL(info.nr_ioases, 0);
	}
	fake->fail_map_call = 0;
	fake->limits.maps_avail = 2;
	CU_ASSERT_EQUAL(quoll_heap_attach(heap, fake->ioas, &err), -ENOMEM);
	fake->limits.maps_avail = 3;
	fake->limits.memlock_bytes = 3 * 65536 - 1;
	CU_ASSERT_EQUAL(quoll_heap_attach(heap, fake->ioas, &err), -ENOMEM);
	fake->limits.memlock_bytes++;
	CU_ASSERT_EQUAL(quoll_heap_attach(heap, fake->ioas, &err), 0);
	CU_ASSERT_EQUAL(fake->nr_maps, 3);
	quoll_heap_destroy(heap);
	fake_delete(fake);
}

static void an_ioas_without_limits_or_with_others_is_refused(void)
{
	struct fake *fake = fake_new();
	struct quoll_heap *heap = heap_on(NULL, 0, 0, NULL);
	struct quoll_error err = {0};

	CU_ASSERT_FATAL(heap != NULL);
	fake->limits.nr_ranges = 0;
	CU_ASSERT_EQUAL(quoll_heap_attach(heap, fake->ioas, &err), -ENXIO);
	CU_ASSERT_PTR_NULL(heap_on(&fake, 1, 0, &err));
	CU_ASSERT_EQUAL(err.errnum, ENXIO);
	fake->limits.nr_ranges = 1;
	fake->limits.ranges[0] = (struct quoll_iova_range){0, (1ull << 28) - 1};
	CU_ASSERT_EQUAL(quoll_heap_attach(heap, fake->ioas, &err), -ERANGE);
	CU_ASSERT(err.hint[0] != '\0');
	fake->limits.ranges[0].last = UINT64_MAX;
	fake->limits.page_sizes = 1ull << 20;
	CU_ASSERT_EQUAL(quoll_heap_attach(heap, fake->ioas, &err), -ENOTSUP);
	quoll_heap_destroy(heap);
	fake_delete(fake);
}

static void a_growth_that_fails_in_one_ioas_is_undone_in_all(void)
{
	struct fake *fakes[3] = {fake_new(), fake_new(), fake_new()};
	struct quoll_heap *heap = heap_on(fakes, 3, 0, NULL);
	struct quoll_heap_info before, after;
	struct quoll_error err = {0};
	struct quoll_arena *arena;
	void *va;

	CU_ASSERT_FATAL(heap != NULL);
	arena = arena_in(heap, QUOLL_ARENA_DEVICE_READ_WRITE);
	CU_ASSERT_EQUAL(quoll_arena_alloc(arena, 65536, 64, &va, NULL), 0);
	quoll_heap_info(heap, &before);
	for (int f = 0; f < 3; f++) {
		fakes[f]->nr_map_calls = 0;
		fakes[f]->fail_map_call = 1;
		CU_ASSERT_EQUAL(quoll_arena_alloc(arena, 65536, 64, &va, &err), -EIO);
		fakes[f]->fail_map_call = 0;
		fakes[f]->limits.maps_avail = 0;
		CU_ASSERT_EQUAL(quoll_arena_alloc(arena, 65536, 64, &va, &err), -ENOMEM);
		fakes[f]->limits.maps_avail = 100;
		quoll_heap_info(heap, &after);
		CU_ASSERT_EQUAL(memcmp(&before, &after, sizeof(before)), 0);
		for (int i = 0; i < 3; i++)
			CU_ASSERT_EQUAL(fakes[i]->nr_maps, 1);
	}
	CU_ASSERT_EQUAL(quoll_arena_alloc(arena, 65536, 64, &va, &err), 0);
	memset(va, 1, 65536);
	for (int i = 0; i < 3; i++)
		CU_ASSERT(fake_reaches(fakes[i], va, quoll_heap_iova(heap, va, 65536), 65536, RW));
	quoll_heap_destroy(heap);
	for (int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(fake_delete(fakes[i]), 0);
}

static void a_small_program_needs_little_locked_memory(void)
{
	struct fake *fake = fake_new();
	struct quoll_heap *heap = heap_on(&fake, 1, 0, NULL);
	struct quoll_heap_info info;
	struct quoll_arena *arena;
	void *va;

	/* The default RLIMIT_MEMLOCK: 8 MiB. Asking for an eighth more than needed must not spoil the last request. */
	fake->limits.memlock_bytes = 8ull << 20;
	CU_ASSERT_FATAL(heap != NULL);
	arena = arena_in(heap, QUOLL_ARENA_DEVICE_READ_WRITE);
	CU_ASSERT_EQUAL(quoll_arena_alloc(arena, 4096, 4096, &va, NULL), 0);
	quoll_heap_info(heap, &info);
	CU_ASSERT_EQUAL(info.placed_bytes, 65536);
	for (int i = 0; i < 126; i++)
		CU_ASSERT_EQUAL(quoll_arena_alloc(arena, 65536, 4096, &va, NULL), 0);
	CU_ASSERT_EQUAL(quoll_arena_alloc(arena, 131072, 4096, &va, NULL), -ENOMEM);
	quoll_heap_destroy(heap);
	fake_delete(fake);
}

static void many_requests_make_few_mappings(void)
{
	struct fake *fake = fake_new();
	struct quoll_heap *heap = heap_on(&fake, 1, 0, NULL);
	struct quoll_heap_info info;
	struct quoll_arena *arena;
	void *va;

	CU_ASSERT_FATAL(heap != NULL);
	arena = arena_in(heap, QUOLL_ARENA_DEVICE_READ_WRITE);
	for (int i = 0; i < 2000; i++)
		CU_ASSERT_EQUAL_FATAL(quoll_arena_alloc(arena, 65536, 4096, &va, NULL), 0);
	quoll_heap_info(heap, &info);
	CU_ASSERT_EQUAL(info.nr_chunks, fake->nr_maps);
	CU_ASSERT(info.nr_chunks < 70);
	CU_ASSERT(info.placed_bytes < 2000 * 65536 + 2000 * 65536 / 8 + 65536);
	quoll_heap_destroy(heap);
	fake_delete(fake);
}

/* The fd is what another process maps: it shows the same memory and cannot be shrunk under us. */
static void chunks_are_sealed_memfds(void)
{
	struct fake *fake = fake_new();
	struct quoll_heap *heap = heap_on(&fake, 1, 0, NULL);
	struct ioas_mapping *m;
	char *va, *peer;
	void *p;

	CU_ASSERT_FATAL(heap != NULL);
	CU_ASSERT_EQUAL(quoll_arena_alloc(arena_in(heap, QUOLL_ARENA_DEVICE_READ), 10, 1, &p, NULL), 0);
	va = p;
	m = &fake->maps[0];
	CU_ASSERT(ftruncate(m->fd, 0) != 0);
	CU_ASSERT(ftruncate(m->fd, 1 << 30) != 0);
	CU_ASSERT_EQUAL(fcntl(m->fd, F_GET_SEALS) & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL),
			F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	peer = mmap(NULL, m->len_bytes, PROT_READ, MAP_SHARED, m->fd, (off_t)m->fd_offset);
	CU_ASSERT_FATAL(peer != MAP_FAILED);
	strcpy(va, "quoll");
	CU_ASSERT_STRING_EQUAL(peer + (va - (char *)m->va), "quoll");
	munmap(peer, m->len_bytes);
	quoll_heap_destroy(heap);
	fake_delete(fake);
}

/* What a peer could do with the fd that a back-end passes to it: as it is, and opened anew with all rights. */
static bool peer_can_write(const struct ioas_mapping *m)
{
	char path[64];
	bool can = false;
	void *p;
	int again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", m->fd);
	again = open(path, O_RDWR | O_CLOEXEC);
	for (int i = 0; i < 2; i++) {
		int fd = i ? again : m->fd;

		can |= pwrite(fd, "x", 1, (off_t)m->fd_offset) == 1;
		p = mmap(NULL, m->len_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)m->fd_offset);
		can |= p != MAP_FAILED;
		if (p != MAP_FAILED)
			munmap(p, m->len_bytes);
		p = mmap(NULL, m->len_bytes, PROT_READ, MAP_SHARED, fd, (off_t)m->fd_offset);
		CU_ASSERT(p != MAP_FAILED);
		can |= !mprotect(p, m->len_bytes, PROT_READ | PROT_WRITE);
		munmap(p, m->len_bytes);
	}
	close(again);
	return can;
}

static void a_peer_cannot_write_what_devices_only_read(void)
{
	struct fake *fake = fake_new();
	struct quoll_heap *heap = heap_on(&fake, 1, 0, NULL);
	void *ro, *rw;

	CU_ASSERT_FATAL(heap != NULL);
	CU_ASSERT_EQUAL(quoll_arena_alloc(arena_in(heap, QUOLL_ARENA_DEVICE_READ), 10, 1, &ro, NULL), 0);
	CU_ASSERT_EQUAL(quoll_arena_alloc(arena_in(heap, QUOLL_ARENA_DEVICE_READ_WRITE), 10, 1, &rw, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(fake->nr_maps, 2);
	CU_ASSERT_FALSE(peer_can_write(&fake->maps[0]));
	CU_ASSERT_TRUE(peer_can_write(&fake->maps[1]));
	strcpy(ro, "quoll"); /* we can, still */
	CU_ASSERT_STRING_EQUAL(ro, "quoll");
	quoll_heap_destroy(heap);
	fake_delete(fake);
}

static unsigned int open_fds(void)
{
	unsigned int nr = 0;

	for (int fd = 0; fd < 1024; fd++)
		nr += fcntl(fd, F_GETFD) != -1;
	return nr;
}

static void destroying_gives_everything_back(void)
{
	unsigned int fds = open_fds();
	struct quoll_heap *heap = heap_on(NULL, 0, 0, NULL);
	unsigned char resident;
	void *va;

	CU_ASSERT_FATAL(heap != NULL);
	CU_ASSERT_EQUAL(quoll_arena_alloc(arena_in(heap, QUOLL_ARENA_DEVICE_READ), 1 << 20, 1, &va, NULL), 0);
	CU_ASSERT(open_fds() > fds);
	quoll_heap_destroy(heap);
	CU_ASSERT_EQUAL(open_fds(), fds);
	CU_ASSERT(mincore((void *)((uintptr_t)va & ~4095ull), 4096, &resident) != 0);
	CU_ASSERT_EQUAL(errno, ENOMEM);
	quoll_heap_destroy(NULL);
}

/* A sysfs tree in a temporary directory, with one pool of 2 MiB pages. */
static void write_pool(const char *root, const char *file, unsigned int value)
{
	static const char *const dirs[] = {"", "/kernel", "/kernel/mm", "/kernel/mm/hugepages",
					   "/kernel/mm/hugepages/hugepages-2048kB"};
	char path[256];
	FILE *f;

	for (int i = 0; i < 5; i++) {
		snprintf(path, sizeof(path), "%s%s", root, dirs[i]);
		mkdir(path, 0700);
	}
	snprintf(path, sizeof(path), "%s%s/%s", root, dirs[4], file);
	f = fopen(path, "w");
	CU_ASSERT_FATAL(f != NULL);
	fprintf(f, "%u\n", value);
	fclose(f);
}

static unsigned int nr_warnings;

static void count_warnings(void *arg, enum quoll_log_level level, const char *area, const char *line)
{
	(void)arg;
	(void)area;
	(void)line;
	nr_warnings += level == QUOLL_LOG_WARN;
}

static void without_huge_pages_the_command_is_named_and_best_goes_on(void)
{
	char root[] = "/tmp/quoll-heap-XXXXXX", expected[128], remove[64];
	struct quoll_env env = {.sysfs_root = root};
	struct quoll_heap_opts opts = {.size_bytes = 64ull << 20, .pages = QUOLL_PAGES_2M, .numa_node = -1};
	struct quoll_error err = {0};
	struct quoll_heap_info info;
	struct quoll_heap *heap;

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(root));
	write_pool(root, "nr_hugepages", 7);
	write_pool(root, "free_hugepages", 3);
	write_pool(root, "resv_hugepages", 3);
	CU_ASSERT_EQUAL(quoll_heap_create(&env, &opts, &heap, &err), -ENOMEM);
	/* Grow-only: what others have stays theirs. */
	snprintf(expected, sizeof(expected), "echo 8 > %s/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", root);
	CU_ASSERT_STRING_EQUAL(err.hint, expected);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "1 pages of 2 MiB needed, 0 available"));
	opts.pages = QUOLL_PAGES_1G; /* no such pool in this tree */
	CU_ASSERT_EQUAL(quoll_heap_create(&env, &opts, &heap, &err), -ENOMEM);
	CU_ASSERT(err.hint[0] != '\0');
	opts.pages = QUOLL_PAGES_BEST;
	CU_ASSERT_EQUAL_FATAL(quoll_heap_create(&env, &opts, &heap, &err), 0);
	quoll_heap_info(heap, &info);
	CU_ASSERT_EQUAL(info.page_bytes, 4096);
	quoll_heap_destroy(heap);
	opts.pages = (enum quoll_heap_pages)17;
	CU_ASSERT_EQUAL(quoll_heap_create(&env, &opts, &heap, &err), -EINVAL);
	snprintf(remove, sizeof(remove), "rm -r %s", root);
	CU_ASSERT_EQUAL(system(remove), 0);
}

static unsigned long pool_number(const char *file)
{
	char path[128];
	unsigned long n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-2048kB/%s", file);
	f = fopen(path, "r");
	if (!f)
		return 0;
	if (fscanf(f, "%lu", &n) != 1)
		n = 0;
	fclose(f);
	return n;
}

/* Asking for more than there is must be an error with the missing number, and change nothing: no SIGBUS. */
static void running_out_of_huge_pages_is_an_error(void)
{
	struct quoll_heap_opts opts = {.pages = QUOLL_PAGES_2M, .numa_node = -1};
	unsigned long avail = pool_number("free_hugepages") - pool_number("resv_hugepages");
	struct quoll_error err = {0};
	struct quoll_arena *arena;
	struct quoll_heap *heap;
	void *va;

	if (!avail) {
		CU_ASSERT_EQUAL(quoll_heap_create(NULL, &opts, &heap, &err), -ENOMEM);
		CU_ASSERT_EQUAL(strncmp(err.hint, "echo ", 5) && strncmp(err.hint, "use ", 4), 0);
		return;
	}
	CU_ASSERT_EQUAL_FATAL(quoll_heap_create(NULL, &opts, &heap, &err), 0);
	CU_ASSERT_EQUAL(quoll_arena_create(heap, "big", QUOLL_ARENA_DEVICE_READ, 32 * GIB, &arena, NULL), 0);
	CU_ASSERT_EQUAL(quoll_arena_alloc(arena, (avail + 1) << 21, 64, &va, &err), -ENOMEM);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "nr_hugepages"));
	CU_ASSERT_EQUAL(pool_number("free_hugepages") - pool_number("resv_hugepages"), avail);
	CU_ASSERT_EQUAL(quoll_arena_alloc(arena, avail << 21, 64, &va, &err), 0);
	memset(va, 1, avail << 21);
	CU_ASSERT_EQUAL((uintptr_t)va % (2 << 20), 0);
	quoll_heap_destroy(heap);
	CU_ASSERT_EQUAL(pool_number("free_hugepages") - pool_number("resv_hugepages"), avail);
}

/* A tree that promises more than the kernel has stands for a pool that others emptied meanwhile. */
static void best_goes_on_with_small_pages_when_huge_ones_run_out(void)
{
	char root[] = "/tmp/quoll-heap-XXXXXX", remove[64];
	struct quoll_env env = {.sysfs_root = root, .log = count_warnings, .log_level = QUOLL_LOG_WARN};
	struct quoll_heap_opts opts = {.numa_node = -1};
	unsigned long avail = pool_number("free_hugepages") - pool_number("resv_hugepages");
	struct quoll_heap_info info;
	struct quoll_arena *arena;
	struct quoll_heap *heap;
	void *va;

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(root));
	write_pool(root, "nr_hugepages", 1000000);
	write_pool(root, "free_hugepages", 1000000);
	write_pool(root, "resv_hugepages", 0);
	nr_warnings = 0;
	CU_ASSERT_EQUAL_FATAL(quoll_heap_create(&env, &opts, &heap, NULL), 0);
	quoll_heap_info(heap, &info);
	if (info.page_bytes == 2 << 20) { /* unless the kernel has no huge pages at all */
		arena = arena_in(heap, QUOLL_ARENA_DEVICE_READ);
		CU_ASSERT_EQUAL_FATAL(quoll_arena_alloc(arena, (avail << 21) + 5000000, 64, &va, NULL), 0);
		memset(va, 1, (avail << 21) + 5000000);
		quoll_heap_info(heap, &info);
		CU_ASSERT_EQUAL(info.page_bytes, 4096);
		CU_ASSERT_EQUAL(nr_warnings, 1);
	}
	quoll_heap_destroy(heap);
	snprintf(remove, sizeof(remove), "rm -r %s", root);
	CU_ASSERT_EQUAL(system(remove), 0);
}

static void a_node_that_does_not_exist_is_only_reported(void)
{
	struct quoll_env env = {.log = count_warnings, .log_level = QUOLL_LOG_WARN};
	struct quoll_heap_opts opts = {.pages = QUOLL_PAGES_4K, .numa_node = 4000};
	struct quoll_heap *heap;
	void *va;

	nr_warnings = 0;
	CU_ASSERT_EQUAL_FATAL(quoll_heap_create(&env, &opts, &heap, NULL), 0);
	CU_ASSERT_EQUAL(quoll_arena_alloc(arena_in(heap, QUOLL_ARENA_DEVICE_READ), 10, 1, &va, NULL), 0);
	CU_ASSERT_EQUAL(nr_warnings, 1);
	quoll_heap_destroy(heap);
}

static void chunks_are_what_another_process_can_map(void)
{
	struct quoll_heap *heap = heap_on(NULL, 0, 64ull << 20, NULL);
	struct quoll_heap_chunk chunks[8];
	struct quoll_heap_info info;
	void *ro, *rw, *other;
	unsigned int nr;

	CU_ASSERT_FATAL(heap != NULL);
	CU_ASSERT_EQUAL(quoll_heap_chunks(heap, NULL, 0), 0);
	CU_ASSERT_EQUAL(quoll_arena_alloc(arena_in(heap, QUOLL_ARENA_DEVICE_READ), 4096, 4096, &ro, NULL), 0);
	CU_ASSERT_EQUAL(quoll_arena_alloc(arena_in(heap, QUOLL_ARENA_DEVICE_READ_WRITE), 4096, 4096, &rw, NULL), 0);
	quoll_heap_info(heap, &info);
	memset(chunks, 0, sizeof(chunks));
	nr = quoll_heap_chunks(heap, chunks, 1);
	CU_ASSERT_EQUAL(nr, info.nr_chunks);
	CU_ASSERT_EQUAL(chunks[1].size_bytes, 0);
	CU_ASSERT_EQUAL_FATAL(quoll_heap_chunks(heap, chunks, 8), 2);
	CU_ASSERT_EQUAL(chunks[0].access, QUOLL_ARENA_DEVICE_READ);
	CU_ASSERT_EQUAL(chunks[1].access, QUOLL_ARENA_DEVICE_READ_WRITE);
	CU_ASSERT_EQUAL(chunks[0].size_bytes + chunks[1].size_bytes, info.placed_bytes);
	for (unsigned int i = 0; i < 2; i++)
		CU_ASSERT_EQUAL(quoll_heap_iova(heap, chunks[i].va, chunks[i].size_bytes), chunks[i].iova);
	other = mmap(NULL, chunks[1].size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, chunks[1].fd, 0);
	CU_ASSERT_FATAL(other != MAP_FAILED);
	strcpy(rw, "here");
	CU_ASSERT_STRING_EQUAL((char *)other + ((char *)rw - (char *)chunks[1].va), "here");
	munmap(other, chunks[1].size_bytes);
	quoll_heap_destroy(heap);
}

static const struct unit_test tests[] = {
	{"memory is mapped in every IOAS at the same IOVA", memory_is_mapped_in_every_ioas_at_the_same_iova},
	{"the look-up refuses what is not all inside", the_look_up_refuses_what_is_not_all_inside},
	{"VA and IOVA have the same offset in a gigabyte", va_and_iova_have_the_same_offset_in_a_gigabyte},
	{"the window fits all apertures, or the largest is named",
	 the_window_fits_all_apertures_or_the_largest_is_named},
	{"two heaps share an IOAS without sharing IOVAs", two_heaps_share_an_ioas_without_sharing_iovas},
	{"a window that overlaps another heap's is not attached", a_window_that_overlaps_another_heaps_is_not_attached},
	{"attaching later maps what is placed and what will be", attaching_later_maps_what_is_placed_and_what_will_be},
	{"attaching is all or nothing", attaching_is_all_or_nothing},
	{"an IOAS without limits, or with others, is refused", an_ioas_without_limits_or_with_others_is_refused},
	{"a growth that fails in one IOAS is undone in all", a_growth_that_fails_in_one_ioas_is_undone_in_all},
	{"a small program needs little locked memory", a_small_program_needs_little_locked_memory},
	{"many requests make few mappings", many_requests_make_few_mappings},
	{"chunks are what another process can map", chunks_are_what_another_process_can_map},
	{"chunks are sealed memfds", chunks_are_sealed_memfds},
	{"a peer cannot write what devices only read", a_peer_cannot_write_what_devices_only_read},
	{"destroying gives everything back", destroying_gives_everything_back},
	{"without huge pages the command is named, and BEST goes on",
	 without_huge_pages_the_command_is_named_and_best_goes_on},
	{"running out of huge pages is an error", running_out_of_huge_pages_is_an_error},
	{"BEST goes on with small pages when huge ones run out", best_goes_on_with_small_pages_when_huge_ones_run_out},
	{"a node that does not exist is only reported", a_node_that_does_not_exist_is_only_reported},
};

UNIT_MAIN("heap", tests)
