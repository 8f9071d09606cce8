/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio_user_world.h - a fake server, and this process as its client: address space, group, device.
 */
#ifndef QUOLL_TESTS_VFIO_USER_WORLD_H
#define QUOLL_TESTS_VFIO_USER_WORLD_H

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include <quoll/device.h>
#include <quoll/heap.h>
#include <quoll/pci.h>

#include "eal/vfio_user/open_fds.h"
#include "fake_server.h"
#include "unit.h"

#define WORLD_LONG_NS 20000000000ull
#define WORLD_SHORT_NS 100000000ull /* where a time-out is what is tested */

struct world {
	struct fake_server server;
	struct quoll_ioas *ioas;
	struct quoll_group *group;
	struct quoll_device *dev;
	struct quoll_heap *heap;
	struct quoll_error err;
	unsigned int nr_fds_before;
};

static inline void world_init(struct world *w)
{
	memset(w, 0, sizeof(*w));
	w->nr_fds_before = open_fds();
	fake_server_init(&w->server);
	CU_ASSERT_EQUAL_FATAL(quoll_ioas_open(NULL, "vfio-user", &w->ioas, &w->err), 0);
	((struct vfio_user_space *)w->ioas->priv)->timeout_ns = WORLD_LONG_NS;
}

static inline void world_timeout(struct world *w, uint64_t ns)
{
	((struct vfio_user_space *)w->ioas->priv)->timeout_ns = ns;
}

static inline int world_claim(struct world *w, const char *path, struct quoll_group **group)
{
	struct quoll_addr addr;
	char text[256];

	snprintf(text, sizeof(text), "vfio-user:%s", path);
	CU_ASSERT_EQUAL_FATAL(quoll_addr_parse(text, &addr, NULL), 0);
	return quoll_group_claim(w->ioas, &addr, group, &w->err);
}

/* Start the server, claim, open. Return: 0, or what the first that failed returned. */
static inline int world_open(struct world *w)
{
	int rc;

	fake_server_start(&w->server);
	rc = world_claim(w, w->server.path, &w->group);
	if (!rc)
		rc = quoll_device_open(w->group, w->server.path, &w->dev, &w->err);
	return rc;
}

static inline struct vfio_user_session *world_session(const struct world *w)
{
	return w->group->priv;
}

/* A heap in the address space, with memory of one access; where it lies. */
static inline void *world_memory(struct world *w, enum quoll_arena_access access, uint64_t bytes, quoll_iova_t *iova)
{
	struct quoll_heap_opts opts = {
		.pages = QUOLL_PAGES_4K, .numa_node = -1, .ioases = &w->ioas, .nr_ioases = 1, .size_bytes = 1 << 30};
	struct quoll_arena *arena;
	void *va = NULL;

	if (!w->heap)
		CU_ASSERT_EQUAL_FATAL(quoll_heap_create(NULL, &opts, &w->heap, &w->err), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_arena_create(w->heap, "test", access, 0, &arena, &w->err), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_arena_alloc(arena, bytes, 4096, &va, &w->err), 0);
	*iova = quoll_heap_iova(w->heap, va, bytes);
	return va;
}

/* Everything goes back, and no file stays open. */
static inline void world_close(struct world *w)
{
	quoll_device_close(w->dev);
	if (w->heap)
		quoll_heap_destroy(w->heap);
	CU_ASSERT_EQUAL(quoll_group_release(w->group), 0);
	CU_ASSERT_EQUAL(quoll_ioas_close(w->ioas), 0);
	fake_server_free(&w->server);
	CU_ASSERT_TRUE(open_fds_become(w->nr_fds_before));
}

#endif
