/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hugepage.c - which huge page sizes there are, how many pages are free, and the command that reserves more.
 *
 * The only file that uses libhugetlbfs, and only to ask for page sizes. That library has a constructor of its own that
 * reads HUGETLB_* from the environment; with none of them set it changes nothing in the process.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <hugetlbfs.h> /* needs size_t from those above */

#include "mem.h"

#define MAX_SIZES 16

bool hugepage_size_known(uint64_t page_bytes)
{
	long sizes[MAX_SIZES];
	int nr = gethugepagesizes(sizes, MAX_SIZES);

	for (int i = 0; i < nr; i++)
		if (sizes[i] > 0 && (uint64_t)sizes[i] == page_bytes)
			return true;
	return false;
}

static void pool_path(char *path, size_t size, const struct quoll_env *env, uint64_t page_bytes, const char *file)
{
	snprintf(path, size, "%s/kernel/mm/hugepages/hugepages-%" PRIu64 "kB/%s", quoll_env_sysfs(env),
		 page_bytes >> 10, file);
}

static void node_path(char *path, size_t size, const struct quoll_env *env, uint64_t page_bytes, int node)
{
	snprintf(path, size, "%s/devices/system/node/node%d/hugepages/hugepages-%" PRIu64 "kB/nr_hugepages",
		 quoll_env_sysfs(env), node, page_bytes >> 10);
}

static int read_number(const char *path, uint64_t *value)
{
	FILE *f = fopen(path, "re");
	int rc = 0;

	if (!f)
		return -errno;
	if (fscanf(f, "%" SCNu64, value) != 1)
		rc = -EIO;
	fclose(f);
	return rc;
}

int hugepage_pool_read(const struct quoll_env *env, uint64_t page_bytes, struct hugepage_pool *pool)
{
	static const char *const files[] = {"nr_hugepages", "free_hugepages", "resv_hugepages",
					    "nr_overcommit_hugepages", "surplus_hugepages"};
	uint64_t values[5] = {0};

	for (int i = 0; i < 5; i++) {
		char path[256];
		int rc;

		pool_path(path, sizeof(path), env, page_bytes, files[i]);
		rc = read_number(path, &values[i]);
		if (rc && i < 3) /* the kernel may be without overcommit, not without these */
			return rc;
	}
	pool->nr = values[0];
	pool->free = values[1];
	pool->resv = values[2];
	pool->surplus_left = values[3] > values[4] ? values[3] - values[4] : 0;
	return 0;
}

uint64_t hugepage_avail(const struct hugepage_pool *pool)
{
	return (pool->free > pool->resv ? pool->free - pool->resv : 0) + pool->surplus_left;
}

static const char *size_name(uint64_t page_bytes)
{
	return page_bytes == GIANT_PAGE_BYTES ? "1 GiB" : "2 MiB";
}

int hugepage_error(const struct quoll_env *env, uint64_t page_bytes, uint64_t need_pages, const char *subject,
		   struct quoll_error *err)
{
	struct hugepage_pool pool;
	uint64_t avail;
	char path[256];
	int rc = hugepage_pool_read(env, page_bytes, &pool);

	if (rc) {
		quoll_error_set(err, ENOMEM, "heap", subject, "this kernel has no pool of %s pages (%s)",
				size_name(page_bytes), strerrordesc_np(-rc));
		quoll_error_hint(err, "%s",
				 page_bytes == GIANT_PAGE_BYTES
					 ? "use 2 MiB pages, or boot with hugepagesz=1G hugepages=N"
					 : "use 4 KiB pages, or a kernel with CONFIG_HUGETLBFS");
		return -ENOMEM;
	}
	avail = hugepage_avail(&pool);
	quoll_error_set(err, ENOMEM, "heap", subject,
			"%" PRIu64 " pages of %s needed, %" PRIu64 " available (%" PRIu64 " reserved on this machine)",
			need_pages, size_name(page_bytes), avail, pool.nr);
	pool_path(path, sizeof(path), env, page_bytes, "nr_hugepages");
	quoll_error_hint(err, "echo %" PRIu64 " > %s", pool.nr + (need_pages > avail ? need_pages - avail : need_pages),
			 path);
	return -ENOMEM;
}

int hugepage_node_error(const struct quoll_env *env, uint64_t page_bytes, uint64_t need_pages, int node,
			struct quoll_error *err)
{
	char subject[32], path[256];
	uint64_t nr = 0;

	if (node < 0) {
		quoll_error_set(err, ENOMEM, "heap", "hugetlb", "%" PRIu64 " pages of %s were promised and not given",
				need_pages, size_name(page_bytes));
		quoll_error_hint(err, "raise hugetlb.%s.max of the control group",
				 page_bytes == GIANT_PAGE_BYTES ? "1GB" : "2MB");
		return -ENOMEM;
	}
	node_path(path, sizeof(path), env, page_bytes, node);
	(void)read_number(path, &nr); /* without it the hint asks for what is needed, at least */
	snprintf(subject, sizeof(subject), "NUMA node %d", node);
	quoll_error_set(err, ENOMEM, "heap", subject,
			"%" PRIu64
			" pages of %s could not be had on this node (or the hugetlb cgroup's limit is reached)",
			need_pages, size_name(page_bytes));
	quoll_error_hint(err, "echo %" PRIu64 " > %s", nr + need_pages, path);
	return -ENOMEM;
}
