/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pci_fixture.h - a port of the virtio driver's on PCI, with fake_virtio.h as its device.
 */
#ifndef QUOLL_TESTS_VIRTIO_PCI_FIXTURE_H
#define QUOLL_TESTS_VIRTIO_PCI_FIXTURE_H

#include <stdio.h>
#include <string.h>

#include "../pci_world.h"
#include "fake_virtio.h"

#define PFX_BUFS 1024u
#define PFX_ENTRIES 64u

struct pfx {
	struct fake_virtio fake;
	struct pci_world w;
};

static inline void pfx_init(struct pfx *x)
{
	memset(x, 0, sizeof(*x));
	x->w.nr_bufs = PFX_BUFS;
	x->w.buf_bytes = 2048;
	CU_ASSERT_EQUAL_FATAL(fake_virtio_init(&x->fake), 0);
}

static inline int pfx_open(struct pfx *x, const char *options)
{
	struct quoll_addr addr;
	char text[64];

	snprintf(text, sizeof(text), "pci:0000:01:00.0%s", options);
	CU_ASSERT_EQUAL_FATAL(quoll_addr_parse(text, &addr, NULL), 0);
	if (!x->w.heap)
		pci_world_open(&x->w, &x->fake.pci);
	mmio_trap_clear(); /* of an open that failed */
	return quoll_port_open(x->w.net, &addr, x->w.dev, &x->w.port, &x->w.err);
}

static inline int pfx_start(struct pfx *x, unsigned int n, const struct quoll_port_settings *settings)
{
	struct quoll_buf_cache *caches[] = {x->w.cache, x->w.cache, x->w.cache, x->w.cache};
	struct quoll_port_queues queues = {
		.nr_rxqs = n, .nr_txqs = n, .entries = PFX_ENTRIES, .rx_caches = caches, .tx_caches = caches};

	return quoll_port_start(x->w.port, &queues, settings, &x->w.err);
}

static inline void pfx_fini(struct pfx *x)
{
	unsigned int nr_violations = 0;

	for (unsigned int i = 0; i < FAKE_VIRTIO_RINGS; i++)
		nr_violations += x->fake.rings[i].nr_violations;
	CU_ASSERT_EQUAL(nr_violations, 0);
	pci_world_close(&x->w, &x->fake.pci);
	fake_virtio_fini(&x->fake);
}

#endif
