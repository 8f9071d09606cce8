/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * chunk.c - memory for a heap: sealed memfds, bound to a node, populated, put at a fixed place in the window.
 *
 * A memfd, so that another process can map it and nothing stays behind when ours is killed; sealed, so that nobody who
 * holds the fd can shrink it under us, and that a peer process may only read what devices may only read. Populated, so
 * that a lack of memory is an error here and not SIGBUS later.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/memfd.h>
#include <numa.h>
#include <numaif.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mem.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010 /* Linux 5.1 */
#endif

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

#define MAX_NODES 1024

static int sealed_memfd(const struct chunk_want *want, struct quoll_error *err)
{
	unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	char name[ARENA_NAME_BYTES + 8];
	int fd, rc;

	if (want->page_bytes == HUGE_PAGE_BYTES)
		flags |= MFD_HUGETLB | MFD_HUGE_2MB;
	else if (want->page_bytes == GIANT_PAGE_BYTES)
		flags |= MFD_HUGETLB | MFD_HUGE_1GB;
	snprintf(name, sizeof(name), "quoll-%s", want->name);
	fd = memfd_create(name, flags);
	if (fd < 0) {
		rc = errno;
		quoll_error_set(err, rc, "heap", want->name, "memfd_create: %s", strerrordesc_np(rc));
		if (rc == EMFILE)
			quoll_error_hint(err, "raise the limit of open files: ulimit -n");
		return -rc;
	}
	if (ftruncate(fd, (off_t)want->size_bytes) || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW)) {
		rc = errno;
		close(fd);
		return quoll_error_set(err, rc, "heap", want->name, "memfd of %" PRIu64 " bytes: %s", want->size_bytes,
				       strerrordesc_np(rc));
	}
	return fd;
}

/* Best effort: memory from another node is slow, not wrong, so a kernel that will not bind is only reported. */
void chunk_bind(const struct quoll_env *env, const struct chunk_want *want, void *va)
{
	unsigned long mask[MAX_NODES / (8 * sizeof(unsigned long))] = {0};
	unsigned int bits = 8 * sizeof(unsigned long), node = (unsigned int)want->numa_node;

	if (want->numa_node < 0 || numa_available() < 0)
		return;
	if (node >= MAX_NODES) {
		quoll_log(env, QUOLL_LOG_WARN, "heap", "%s: no NUMA node %u, memory comes from any", want->name, node);
		return;
	}
	mask[node / bits] = 1ul << (node % bits);
	if (mbind(va, want->size_bytes, want->numa_preferred ? MPOL_PREFERRED : MPOL_BIND, mask, MAX_NODES, 0))
		quoll_log(env, QUOLL_LOG_WARN, "heap", "%s: not bound to NUMA node %u: %s", want->name, node,
			  strerrordesc_np(errno));
}

static int mmap_error(const struct quoll_env *env, const struct chunk_want *want, int errnum, struct quoll_error *err)
{
	if (want->page_bytes != SMALL_PAGE_BYTES && errnum == ENOMEM)
		return hugepage_error(env, want->page_bytes, want->size_bytes / want->page_bytes, want->name, err);
	return quoll_error_set(err, errnum, "heap", want->name, "mapping %" PRIu64 " bytes: %s", want->size_bytes,
			       strerrordesc_np(errnum));
}

/* The kernel promised huge pages at mmap, so if it does not keep that, a node or a control group is short of them. */
static int populate_error(const struct quoll_env *env, const struct chunk_want *want, int errnum,
			  struct quoll_error *err)
{
	if (errnum == EINVAL) {
		quoll_error_set(err, ENOTSUP, "heap", want->name, "the kernel has no MADV_POPULATE_WRITE");
		quoll_error_hint(err, "run Linux 5.14 or newer");
		return -ENOTSUP;
	}
	if (want->page_bytes != SMALL_PAGE_BYTES)
		return hugepage_node_error(env, want->page_bytes, want->size_bytes / want->page_bytes, want->numa_node,
					   err);
	quoll_error_set(err, ENOMEM, "heap", want->name, "%" PRIu64 " bytes of memory could not be had: %s",
			want->size_bytes, strerrordesc_np(errnum));
	quoll_error_hint(err, "free memory, or raise the control group's memory.max");
	return -ENOMEM;
}

/*
 * Everything that can run out is tried at a place of its own first: a failed mmap over the window may leave a hole in
 * it, which another thread's mmap could fall into.
 */
static int populate_aside(const struct quoll_env *env, const struct chunk_want *want, int fd, struct quoll_error *err)
{
	void *va = mmap(NULL, want->size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	int rc = 0;

	if (va == MAP_FAILED)
		return mmap_error(env, want, errno, err);
	chunk_bind(env, want, va); /* of the file, not of this mapping only */
	if (madvise(va, want->size_bytes, MADV_POPULATE_WRITE))
		rc = populate_error(env, want, errno, err);
	munmap(va, want->size_bytes);
	return rc;
}

/*
 * The last seals. From here on there is no new way to write: not through this fd, not through one that a peer opens
 * anew from /proc. Mappings that exist, ours, stay as they are.
 */
static int seal_for_good(const struct chunk_want *want, int fd, struct quoll_error *err)
{
	int seals = F_SEAL_SEAL | (want->peer_reads ? F_SEAL_FUTURE_WRITE : 0);

	if (fcntl(fd, F_ADD_SEALS, seals))
		return quoll_error_set(err, errno, "heap", want->name, "memory cannot be sealed: %s",
				       strerrordesc_np(errno));
	return 0;
}

int chunk_place(const struct quoll_env *env, const struct chunk_want *want, int *fd, struct quoll_error *err)
{
	int rc;

	*fd = sealed_memfd(want, err);
	if (*fd < 0)
		return *fd;
	rc = populate_aside(env, want, *fd, err);
	if (rc)
		goto err_close;
	if (mmap(want->va, want->size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, *fd, 0) == MAP_FAILED) {
		rc = mmap_error(env, want, errno, err);
		goto err_close;
	}
	/* The pages are there; this fills in the page tables, so that the hot path takes no faults. */
	if (madvise(want->va, want->size_bytes, MADV_POPULATE_WRITE)) {
		rc = populate_error(env, want, errno, err);
		goto err_remove;
	}
	rc = seal_for_good(want, *fd, err);
	if (rc)
		goto err_remove;
	return 0;

err_remove:
	chunk_remove(want->va, want->size_bytes, *fd);
	return rc;
err_close:
	close(*fd);
	return rc;
}

void chunk_remove(void *va, uint64_t size_bytes, int fd)
{
	/* Cannot be refused for lack of memory in practice; if it is, the old mapping stays, which is harmless. */
	(void)mmap(va, size_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
	close(fd);
}
