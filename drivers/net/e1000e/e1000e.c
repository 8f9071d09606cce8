/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * e1000e.c - the driver's row of the table: which devices are its own, open, close, check, and DMA off.
 */
#include <errno.h>
#include <stdlib.h>

#include "e1000e.h"

#define ARENA_BYTES (2u * 1024 * 1024)

int e1000e_wait(struct e1000e_port *e, enum e1000e_reg reg, uint32_t mask, uint32_t value, unsigned int limit_ms)
{
	struct quoll_wait wait;
	uint32_t now;
	bool more;

	quoll_wait_start(&wait, &e->port.clock, limit_ms * UINT64_C(1000000));
	for (more = true;; more = quoll_wait_more(&wait)) {
		now = e1000e_read(e, reg);
		if (now == UINT32_MAX)
			return -ENODEV;
		if ((now & mask) == value)
			return 0;
		if (!more)
			return -ETIMEDOUT;
	}
}

int e1000e_gone(struct e1000e_port *e, const char *stage, struct quoll_error *err)
{
	return quoll_error_set(err, ENODEV, stage, e->port.name,
			       "the device does not answer: its registers read all ones (removed, or without power)");
}

static int map_registers(struct e1000e_port *e, struct quoll_error *err)
{
	int rc = quoll_region_map(e->port.dev, QUOLL_PCI_BAR0, &e->bar, err);

	if (rc)
		return rc;
	e->regs = quoll_region_ptr(e->bar, 0, E1000E_REGS_BYTES);
	if (!e->regs)
		return quoll_error_set(err, EPROTO, "registers", e->port.name,
				       "BAR 0 has less than the %u KiB of an 82574's registers",
				       E1000E_REGS_BYTES / 1024);
	return 0;
}

static void fill_info(struct e1000e_port *e)
{
	struct quoll_port_info *info = &e->port.info;

	info->offloads = QUOLL_OFFLOAD_RX_CSUM | QUOLL_OFFLOAD_TX_CSUM | QUOLL_OFFLOAD_VLAN_STRIP |
			 QUOLL_OFFLOAD_VLAN_INSERT | QUOLL_OFFLOAD_RX_SCATTER;
	info->max_rxqs = E1000E_MAX_QUEUES;
	info->max_txqs = E1000E_MAX_QUEUES;
	info->min_entries = E1000E_MIN_ENTRIES;
	info->max_entries = E1000E_MAX_ENTRIES;
	info->max_mtu = E1000E_MAX_MTU;
	info->max_macs = E1000E_NR_RAR - 1;
	info->max_tx_links = E1000E_MAX_TX_LINKS;
	info->rss_types = QUOLL_RSS_IPV4 | QUOLL_RSS_TCP4 | QUOLL_RSS_IPV6 | QUOLL_RSS_TCP6;
	info->rss_table_entries = E1000E_RSS_ENTRIES;
}

/* Bus mastering off first: whatever was left running reaches nothing that is given back here. */
static void e1000e_close(struct quoll_port *port)
{
	struct e1000e_port *e = e1000e_port(port);
	bool is_off;

	if (e->regs && !net_port_dead(port)) {
		e1000e_write(e, E1000E_IMC, E1000E_INT_ALL);
		/*
		 * Masking does not end what the device has begun: a vector that it throttles is sent when its interval
		 * is over, and MSI-X would be off by then (which ends QEMU 7.2). If the reset fails, so be it.
		 */
		if (e->has_irqs)
			(void)e1000e_reset(e, NULL);
		/* The device's own firmware takes over. */
		e1000e_write(e, E1000E_CTRL_EXT, e1000e_read(e, E1000E_CTRL_EXT) & ~E1000E_CTRL_EXT_DRV_LOAD);
	}
	is_off = !quoll_pci_bus_master(port->dev, false) || net_port_dead(port) == -ENODEV;
	e1000e_irq_close(e);
	/* If it cannot be switched off, the arena goes with the heap, which unmaps in the IOMMU first. */
	if (e->arena && is_off)
		quoll_arena_destroy(e->arena);
	if (e->bar)
		quoll_region_unmap(e->bar);
}

static int e1000e_open(struct quoll_port *port, const struct quoll_addr *addr, struct quoll_error *err)
{
	struct e1000e_port *e = e1000e_port(port);
	int rc;

	(void)addr;
	for (unsigned int i = 0; i < E1000E_USED_VECTORS; i++)
		e->vector_fds[i] = -1;
	rc = map_registers(e, err);
	if (!rc)
		rc = e1000e_reset(e, err);
	if (!rc)
		rc = quoll_arena_create(net_heap(port), "e1000e", QUOLL_ARENA_DEVICE_READ_WRITE, ARENA_BYTES, &e->arena,
					err);
	if (!rc)
		rc = e1000e_irq_open(e, err);
	if (!rc)
		rc = e1000e_init(e, err);
	if (rc) {
		e1000e_close(port);
		return rc;
	}
	fill_info(e);
	return 0;
}

static int e1000e_check(struct quoll_port *port)
{
	struct e1000e_port *e = e1000e_port(port);
	unsigned int events = quoll_device_events(port->dev);

	/* Before any register access: those of a removed device may fault. */
	if (events & (QUOLL_DEVICE_GONE | QUOLL_DEVICE_REMOVE_REQUESTED))
		return -ENODEV;
	if (events & QUOLL_DEVICE_ERROR)
		return -EIO;
	e1000e_stats_look(e);
	/* Without news now and then all the same: registers may read all ones long before config space does. */
	return e1000e_irq_other_fired(e) || ++e->nr_checks % E1000E_CHECKS_A_LOOK == 0 ? e1000e_link_update(e) : 0;
}

static void e1000e_dma_off(struct quoll_port *port)
{
	(void)quoll_pci_bus_master(port->dev, false);
}

static const struct net_device_id ids[] = {{E1000E_VENDOR_ID, E1000E_DEVICE_ID}, {0}};

const struct net_driver net_e1000e = {
	.name = "e1000e",
	.scheme = QUOLL_ADDR_PCI,
	.ids = ids,
	.xstats = e1000e_xstats,
	.port_bytes = sizeof(struct e1000e_port),
	.memory = QUOLL_PORT_MEMORY_STREAMED,
	.open = e1000e_open,
	.close = e1000e_close,
	.start = e1000e_start,
	.stop = e1000e_stop,
	.apply = e1000e_apply,
	.stats = e1000e_stats,
	.arm = e1000e_arm,
	.disarm = e1000e_disarm,
	.check = e1000e_check,
	.dma_off = e1000e_dma_off,
};
