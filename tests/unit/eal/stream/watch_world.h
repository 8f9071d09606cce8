/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * watch_world.h - a world whose stream's cached memory is watched by a real userfaultfd, and ways to take memory away.
 */
#ifndef QUOLL_TESTS_WATCH_WORLD_H
#define QUOLL_TESTS_WATCH_WORLD_H

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "stream_world.h"

#define BYTES (4 * PAGE)

static const struct quoll_stream_opts cached = {.ways = ONLY(CACHED)};
static const struct quoll_stream_opts watched = {.ways = ONLY(CACHED), .cached_watch = QUOLL_CACHED_WATCHED};
static const struct quoll_stream_opts bounced = {.ways = ONLY(CACHED) | ONLY(BOUNCE)};

static inline int uffd_open(void)
{
	struct uffdio_api api = {.api = UFFD_API};
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);

	if (fd >= 0 && ioctl(fd, UFFDIO_API, &api)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static inline bool is_refused(void)
{
	int fd = uffd_open();

	if (fd >= 0)
		close(fd);
	else
		unit_skip("no userfaultfd(2)");
	return fd < 0;
}

/* Memory files and hugepages are not watched without an option of the kernel's. */
static inline bool is_anonymous_only(void)
{
	struct uffdio_api api = {.api = UFFD_API};
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	bool has = fd >= 0 && !ioctl(fd, UFFDIO_API, &api) && api.features & UFFD_FEATURE_WP_HUGETLBFS_SHMEM;

	if (fd >= 0)
		close(fd);
	if (!has)
		unit_skip("no userfaultfd(2) for it (PTE_MARKER_UFFD_WP)");
	return !has;
}

static inline bool map_at(uint8_t *va)
{
	return mmap(va, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == va;
}

static inline bool unmap(uint8_t *va)
{
	return !munmap(va, BYTES) && map_at(va);
}

static inline bool dontneed(uint8_t *va)
{
	return !madvise(va + PAGE, PAGE, MADV_DONTNEED);
}

#endif
