/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pci_world.h - from a fake device on PCI (fake_pci.h) up to a net that its port can be opened in, and down again.
 */
#ifndef QUOLL_TESTS_PCI_WORLD_H
#define QUOLL_TESTS_PCI_WORLD_H

#include <net/net.h>
#include <quoll/claim.h>

#include "../fake_pci.h"
#include "../mmio_trap.h"
#include "unit.h"

#define PCI_WORLD_HEADROOM 128u

/**
 * struct pci_world - @nr_bufs, @buf_bytes: of the pool; may be set before
 */
struct pci_world {
	struct quoll_ioas *ioas;
	struct quoll_group *group;
	struct quoll_device *dev;
	struct quoll_heap *heap;
	struct quoll_arena *arena;
	struct quoll_pool *pool;
	struct quoll_buf_cache *cache;
	struct quoll_net *net;
	struct quoll_port *port;
	struct quoll_error err;
	uint32_t nr_bufs;
	uint32_t buf_bytes;
};

/* All but the port. */
static inline void pci_world_open(struct pci_world *w, struct fake_pci *pci)
{
	struct quoll_heap_opts heap_opts = {
		.size_bytes = 64u << 20, .pages = QUOLL_PAGES_4K, .numa_node = -1, .ioases = &w->ioas, .nr_ioases = 1};
	struct quoll_pool_opts opts = {
		.nr_bufs = w->nr_bufs, .buf_bytes = w->buf_bytes, .headroom_bytes = PCI_WORLD_HEADROOM};
	struct quoll_addr addr;

	CU_ASSERT_EQUAL_FATAL(fake_pci_ioas_open(pci, &w->ioas), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_addr_parse("pci:0000:01:00.0", &addr, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_group_claim(w->ioas, &addr, &w->group, &w->err), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_device_open(w->group, addr.target, &w->dev, &w->err), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_heap_create(NULL, &heap_opts, &w->heap, &w->err), 0);
	CU_ASSERT_EQUAL_FATAL(
		quoll_arena_create(w->heap, "frames", QUOLL_ARENA_DEVICE_READ_WRITE, 40u << 20, &w->arena, &w->err), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_pool_create(w->arena, &opts, &w->pool, &w->err), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_buf_cache_create(w->pool, 128, &w->cache, &w->err), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_net_create(&pci->env, w->heap, &w->net, &w->err), 0);
}

/* Return: what quoll_port_stop() did. Every buffer is back. */
static inline int pci_world_stop(struct pci_world *w)
{
	int rc = quoll_port_stop(w->port);

	CU_ASSERT_EQUAL(quoll_pool_nr_free(w->pool), w->nr_bufs);
	return rc;
}

/* The port too, if it is open; the device has no bus and no interrupts any more, and nobody did what he may not. */
static inline void pci_world_close(struct pci_world *w, struct fake_pci *pci)
{
	if (w->port) {
		(void)pci_world_stop(w);
		quoll_port_close(w->port);
	}
	CU_ASSERT_FALSE(fake_pci_bus_master(pci) && pci->config[0] != 0xff);
	for (unsigned int i = 0; i < FAKE_PCI_MAX_VECTORS; i++)
		CU_ASSERT_EQUAL(pci->msix_fds[i], -1);
	CU_ASSERT_EQUAL(quoll_net_destroy(w->net), 0);
	quoll_buf_cache_destroy(w->cache);
	CU_ASSERT_EQUAL(quoll_pool_destroy(w->pool), 0);
	quoll_arena_destroy(w->arena);
	mmio_trap_clear();
	quoll_device_close(w->dev);
	quoll_heap_destroy(w->heap);
	CU_ASSERT_EQUAL(quoll_group_release(w->group), 0);
	CU_ASSERT_EQUAL(quoll_ioas_close(w->ioas), 0);
	if (pci->nr_violations)
		printf("violation: %s\n", pci->violation);
	CU_ASSERT_EQUAL(pci->nr_violations, 0);
}

#endif
