/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * stream_memory.c - cached registrations while memory comes and goes at the same address, with an NVMe drive and the
 * kernel's real pins.
 *
 *   stream_memory ADDR             by the back-end of QUOLL_BACKEND
 *
 * "ok NAME" and "not ok NAME" lines as tests/lib.sh has them. Exits 1 if one failed.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <quoll/claim.h>
#include <quoll/stream.h>

#include "nvme/nvme.h"

#define BYTES 16384u
#define NR_LBAS (BYTES / 512u)
#define WAIT_S 30
#define HUGE_BYTES (2ul << 20)
#define HUGEPAGE (MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | 21 << MAP_HUGE_SHIFT)
#define BLOCK_BYTES (1ul << 20)
#define BLOCK_OFFSET 4080u /* from there a page begins */

static int failures;
static struct quoll_error err;

struct drive {
	struct quoll_ioas *ioas;
	struct quoll_group *group;
	struct quoll_device *dev;
	struct quoll_heap *heap;
	struct quoll_arena *arena;
	struct quoll_stream *stream;
	struct quoll_nvme *nvme;
	struct quoll_nvme_queue *queue;
	uint8_t *heap_buf;
};

static void check(bool good, const char *what, const char *how)
{
	printf("%s memory: %s%s\n", good ? "ok" : "not ok", how, what);
	if (!good)
		failures++;
	fflush(stdout);
}

static int open_all(struct drive *d, const struct quoll_addr *addr)
{
	struct quoll_stream_opts stream = {.ways = QUOLL_WAY_BIT(QUOLL_WAY_HEAP) | QUOLL_WAY_BIT(QUOLL_WAY_CACHED)};
	struct quoll_heap_opts heap = {.numa_node = -1, .nr_ioases = 1};
	struct quoll_nvme_queue_opts queue = {.entries = 16};
	void *va = NULL;
	int rc = quoll_ioas_open(NULL, getenv("QUOLL_BACKEND"), &d->ioas, &err);

	if (!rc)
		rc = quoll_group_claim(d->ioas, addr, &d->group, &err);
	if (!rc)
		rc = quoll_device_open(d->group, addr->target, &d->dev, &err);
	heap.ioases = &d->ioas;
	if (!rc)
		rc = quoll_heap_create(NULL, &heap, &d->heap, &err);
	if (!rc)
		rc = quoll_arena_create(d->heap, "data", QUOLL_ARENA_DEVICE_READ_WRITE, 0, &d->arena, &err);
	if (!rc)
		rc = quoll_arena_alloc(d->arena, BYTES, 4096, &va, &err);
	d->heap_buf = va;
	if (!rc)
		rc = quoll_stream_create(d->ioas, d->heap, &stream, &d->stream, &err);
	if (!rc)
		rc = quoll_nvme_open(d->dev, d->heap, NULL, &d->nvme, &err);
	queue.stream = d->stream;
	if (!rc)
		rc = quoll_nvme_queue_create(d->nvme, &queue, &d->queue, &err);
	return rc;
}

static void close_all(struct drive *d)
{
	(void)quoll_nvme_close(d->nvme);
	quoll_stream_destroy(d->stream);
	quoll_device_close(d->dev);
	quoll_heap_destroy(d->heap);
	quoll_group_release(d->group);
	quoll_ioas_close(d->ioas);
}

static bool do_io(struct drive *d, void *va, bool write)
{
	struct quoll_nvme_completion comp;
	time_t end = time(NULL) + WAIT_S;
	int rc = write ? quoll_nvme_prep_write(d->queue, 1, va, 0, NR_LBAS, 0)
		       : quoll_nvme_prep_read(d->queue, 1, va, 0, NR_LBAS, 0);

	if (rc)
		return false;
	quoll_nvme_submit(d->queue);
	while (!quoll_nvme_poll(d->queue, &comp, 1))
		if (time(NULL) > end)
			return false;
	return !comp.error && !comp.status;
}

/* What is at @va now is what the drive gets, and what it has arrives there. */
static bool both_ways(struct drive *d, uint8_t *va, uint8_t value)
{
	memset(va, value, BYTES);
	memset(d->heap_buf, 0, BYTES);
	if (!do_io(d, va, true) || !do_io(d, d->heap_buf, false) || memcmp(d->heap_buf, va, BYTES))
		return false;
	memset(d->heap_buf, value ^ 0xff, BYTES);
	return do_io(d, d->heap_buf, true) && do_io(d, va, false) && !memcmp(d->heap_buf, va, BYTES);
}

static bool map_at(uint8_t *va)
{
	return mmap(va, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == va;
}

static bool unmapped(uint8_t *va)
{
	return !munmap(va, BYTES) && map_at(va);
}

static bool dontneed(uint8_t *va)
{
	return !madvise(va, BYTES, MADV_DONTNEED);
}

static bool moved(uint8_t *va)
{
	void *to = mmap(NULL, BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return to != MAP_FAILED && mremap(va, BYTES, BYTES, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to && map_at(va);
}

static bool second_page_unmapped(uint8_t *va)
{
	return !munmap(va + 4096, 4096) && map_at(va);
}

static bool left_behind(uint8_t *va)
{
	return mremap(va, BYTES, BYTES, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL) != MAP_FAILED;
}

/* The first BYTES of a hugepage. */
static bool hugepage_unmapped(uint8_t *va)
{
	return !munmap(va, HUGE_BYTES) &&
	       mmap(va, HUGE_BYTES, PROT_READ | PROT_WRITE, HUGEPAGE | MAP_FIXED, -1, 0) == va;
}

/* The second page of a block that malloc() has mapped for itself alone. */
static bool freed(uint8_t *va)
{
	free(va - BLOCK_OFFSET);
	return mmap(va, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == va;
}

static void *unmap_by_thread(void *va)
{
	return munmap(va, BYTES) ? va : NULL;
}

static bool unmapped_by_another_thread(uint8_t *va)
{
	pthread_t thread;
	void *bad = va;

	return !pthread_create(&thread, NULL, unmap_by_thread, va) && !pthread_join(thread, &bad) && !bad && map_at(va);
}

static uint64_t hits(const struct drive *d)
{
	struct quoll_stream_stats stats;

	quoll_stream_stats(d->stream, &stats);
	return stats.hits;
}

static void forget_and(struct drive *d, uint8_t *va, const char *how, bool (*change)(uint8_t *va))
{
	uint64_t before;

	check(both_ways(d, va, 0x11), ": before it", how);
	before = hits(d);
	check(both_ways(d, va, 0x22) && hits(d) == before + 2, ": it is registered", how);
	check(!quoll_stream_forget(d->stream, va, BYTES) && change(va) && both_ways(d, va, 0x33) &&
		      hits(d) == before + 2,
	      ": devices reach what is there after it", how);
}

/* Nobody says that the memory goes. */
static void without_forget(struct drive *d, uint8_t *va, const char *how, bool (*change)(uint8_t *va))
{
	char name[64];
	uint64_t before;

	snprintf(name, sizeof(name), "%s, nothing said", how);
	(void)quoll_stream_forget(d->stream, va, BYTES); /* what the one before has left */
	check(both_ways(d, va, 0x11) && both_ways(d, va, 0x22), ": before it", name);
	before = hits(d);
	check(both_ways(d, va, 0x33) && hits(d) == before + 2, ": it is registered", name);
	check(change(va) && both_ways(d, va, 0x44), ": devices reach what is there after it", name);
}

/* Not without the kernel's option PTE_MARKER_UFFD_WP. */
static bool kernel_watches_hugepages(void)
{
	struct uffdio_api api = {.api = UFFD_API};
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	bool good = fd >= 0 && !ioctl(fd, UFFDIO_API, &api) && api.features & UFFD_FEATURE_WP_HUGETLBFS_SHMEM;

	close(fd);
	return good;
}

static void hugepage(struct drive *d, uint8_t *va)
{
	struct quoll_stream_stats stats;

	if (kernel_watches_hugepages()) {
		without_forget(d, va, "munmap of a hugepage", hugepage_unmapped);
		return;
	}
	check(!do_io(d, va, true), ": it is not cached", "a hugepage that the kernel does not watch");
	quoll_stream_stats(d->stream, &stats);
	check(stats.unwatched && stats.unwatched_errno == EINVAL, ": that is said",
	      "a hugepage that the kernel does not watch");
}

/* The child keeps the pages as they were; the parent's are those that devices reach, without being told. */
static void forked(struct drive *d, uint8_t *va)
{
	uint64_t before;
	int status = 1;
	pid_t pid;

	check(both_ways(d, va, 0x44), ": before it", "fork");
	before = hits(d);
	memset(va, 0x55, BYTES);
	pid = fork();
	if (!pid) {
		pause();
		_exit(0);
	}
	check(both_ways(d, va, 0x66) && hits(d) == before + 2,
	      ": devices reach the parent's memory while a child has it", "fork");
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	check(both_ways(d, va, 0x77) && hits(d) == before + 4, ": and when the child has ended", "fork");
	/* registered while a child has it */
	check(!quoll_stream_forget(d->stream, va, BYTES), ": forgotten", "fork");
	memset(va, 0x88, BYTES);
	pid = fork();
	if (!pid) {
		pause();
		_exit(0);
	}
	check(do_io(d, va, true), ": registered for reading while a child has it", "fork");
	check(both_ways(d, va, 0x99), ": devices reach what the parent writes then", "fork");
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
}

int main(int argc, char **argv)
{
	uint8_t *va = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *huge = mmap(NULL, HUGE_BYTES, PROT_READ | PROT_WRITE, HUGEPAGE, -1, 0);
	uint8_t *block = malloc(BLOCK_BYTES);
	struct drive drive = {0};
	struct quoll_addr addr;

	if (argc != 2 || va == MAP_FAILED || huge == MAP_FAILED || !block || quoll_addr_parse(argv[1], &addr, &err)) {
		fprintf(stderr, "usage: stream_memory ADDR\n");
		return 2;
	}
	if (open_all(&drive, &addr)) {
		printf("not ok memory: the drive: %s\n", err.what);
		return 1;
	}
	forget_and(&drive, va, "munmap, mmap", unmapped);
	forget_and(&drive, va, "MAP_FIXED", map_at);
	forget_and(&drive, va, "MADV_DONTNEED", dontneed);
	forget_and(&drive, va, "mremap", moved);
	without_forget(&drive, va, "munmap, mmap", unmapped);
	without_forget(&drive, va, "munmap of a page, mmap", second_page_unmapped);
	without_forget(&drive, va, "MAP_FIXED", map_at);
	without_forget(&drive, va, "MADV_DONTNEED", dontneed);
	without_forget(&drive, va, "mremap", moved);
	without_forget(&drive, va, "MREMAP_DONTUNMAP", left_behind);
	hugepage(&drive, huge);
	without_forget(&drive, block + BLOCK_OFFSET, "free", freed);
	without_forget(&drive, va, "munmap by another thread, mmap", unmapped_by_another_thread);
	forked(&drive, va);
	close_all(&drive);
	return failures ? 1 : 0;
}
