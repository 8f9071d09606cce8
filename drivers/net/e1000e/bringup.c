/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bringup.c - from whatever ran before to a quiet device that is set up as far as it goes without queues. The order is
 * the datasheet's software initialization sequence (chapter 4).
 */
#include <errno.h>

#include "e1000e.h"

#define MASTER_LIMIT_MS 200 /* the PCIe completion time-out is 50 ms */
#define RESET_LIMIT_MS 200
#define AUTO_READ_LIMIT_MS 200
#define MDIO_LIMIT_MS 200
#define PHY_CONFIG_NS UINT64_C(25000000)

int e1000e_quiesce(struct e1000e_port *e)
{
	uint32_t ctrl;

	e1000e_write(e, E1000E_RCTL, 0);
	e->rctl = 0;
	e1000e_write(e, E1000E_TCTL, E1000E_TCTL_PSP);
	ctrl = e1000e_read(e, E1000E_CTRL);
	if (ctrl == UINT32_MAX)
		return -ENODEV;
	/* No new requests; the status bit falls when the last one on its way is through. */
	e1000e_write(e, E1000E_CTRL, ctrl | E1000E_CTRL_GIO_MASTER_DISABLE);
	return e1000e_wait(e, E1000E_STATUS, E1000E_STATUS_GIO_MASTER_ENABLE, 0, MASTER_LIMIT_MS);
}

/* Firmware shares the MDIO bus, and must not be at it when the MAC is reset. It may not answer: then go on without. */
static bool mdio_take(struct e1000e_port *e)
{
	e1000e_write(e, E1000E_EXTCNF_CTRL, e1000e_read(e, E1000E_EXTCNF_CTRL) | E1000E_EXTCNF_CTRL_MDIO_SW_OWNERSHIP);
	return !e1000e_wait(e, E1000E_EXTCNF_CTRL, E1000E_EXTCNF_CTRL_MDIO_SW_OWNERSHIP,
			    E1000E_EXTCNF_CTRL_MDIO_SW_OWNERSHIP, MDIO_LIMIT_MS);
}

static void mdio_release(struct e1000e_port *e)
{
	e1000e_write(e, E1000E_EXTCNF_CTRL, e1000e_read(e, E1000E_EXTCNF_CTRL) & ~E1000E_EXTCNF_CTRL_MDIO_SW_OWNERSHIP);
}

static int wait_failed(struct e1000e_port *e, int rc, const char *what, unsigned int limit_ms, struct quoll_error *err)
{
	if (rc == -ENODEV)
		return e1000e_gone(e, "reset", err);
	quoll_error_set(err, -rc, "reset", e->port.name, "%s within %u ms", what, limit_ms);
	quoll_error_hint(err, "power-cycle the device");
	return rc;
}

/* What the device loads from its NVM into the PHY shows in no register. */
static void wait_for_phy_config(struct e1000e_port *e)
{
	struct quoll_wait wait;

	quoll_wait_start(&wait, &e->port.clock, PHY_CONFIG_NS);
	while (quoll_wait_more(&wait))
		;
}

int e1000e_reset(struct e1000e_port *e, struct quoll_error *err)
{
	bool has_mdio;
	int rc;

	/* Interrupts masked, then receiver, transmitter and DMA off. */
	if (e1000e_read(e, E1000E_STATUS) == UINT32_MAX)
		return e1000e_gone(e, "reset", err);
	e1000e_write(e, E1000E_IMC, E1000E_INT_ALL);
	rc = e1000e_quiesce(e);
	if (rc == -ENODEV)
		return e1000e_gone(e, "reset", err);
	if (rc)
		quoll_log(net_env(&e->port), QUOLL_LOG_WARN, "e1000e",
			  "%s: requests still pending after %u ms; reset all the same", e->port.name, MASTER_LIMIT_MS);
	/* Nothing is set up that it could reach. It is switched on again by e1000e_init(). */
	rc = quoll_pci_bus_master(e->port.dev, false);
	if (rc)
		return quoll_error_set(err, -rc, "reset", e->port.name, "bus mastering could not be switched off");
	has_mdio = mdio_take(e);
	e1000e_write(e, E1000E_CTRL, e1000e_read(e, E1000E_CTRL) | E1000E_CTRL_RST);
	rc = e1000e_wait(e, E1000E_CTRL, E1000E_CTRL_RST, 0, RESET_LIMIT_MS);
	if (rc)
		return wait_failed(e, rc, "the reset did not end", RESET_LIMIT_MS, err);
	if (has_mdio)
		mdio_release(e);
	rc = e1000e_wait(e, E1000E_EECD, E1000E_EECD_AUTO_RD, E1000E_EECD_AUTO_RD, AUTO_READ_LIMIT_MS);
	if (rc)
		return wait_failed(e, rc, "the device did not finish reading its NVM", AUTO_READ_LIMIT_MS, err);
	wait_for_phy_config(e);
	/* The reset unmasked nothing, but what came in before it may be pending. */
	e1000e_write(e, E1000E_IMC, E1000E_INT_ALL);
	e1000e_write(e, E1000E_ICR, E1000E_INT_ALL);
	return 0;
}

/* Bits that are reserved and must not stay as a reset leaves them. */
static void reserved_bits(struct e1000e_port *e)
{
	uint32_t ext = e1000e_read(e, E1000E_CTRL_EXT) & ~E1000E_CTRL_EXT_BIT23;

	e1000e_write(e, E1000E_CTRL_EXT, ext | E1000E_CTRL_EXT_BIT22 | E1000E_CTRL_EXT_DRV_LOAD);
	e1000e_write(e, E1000E_GCR, e1000e_read(e, E1000E_GCR) | E1000E_GCR_BIT22);
	e1000e_write(e, E1000E_GCR2, e1000e_read(e, E1000E_GCR2) | E1000E_GCR2_BIT0);
}

/* A reset need not have cleared what an earlier driver had set: each register that matters is written. */
static void general_setup(struct e1000e_port *e)
{
	uint32_t ctrl = e1000e_read(e, E1000E_CTRL);

	ctrl &= ~(E1000E_CTRL_GIO_MASTER_DISABLE | E1000E_CTRL_VME | E1000E_CTRL_RST | E1000E_CTRL_PHY_RST |
		  E1000E_CTRL_BIT29);
	e1000e_write(e, E1000E_CTRL, ctrl);
	e1000e_write(e, E1000E_VET, 0x8100);
	for (unsigned int i = 0; i < E1000E_VFTA_REGS; i++)
		e1000e_write(e, E1000E_VFTA + i * 4, 0);
	e1000e_filter_clear(e);
	e1000e_write(e, E1000E_MRQC, 0);
	e1000e_write(e, E1000E_RXCSUM, 0);
	e1000e_write(e, E1000E_RDTR, 0);
	e1000e_write(e, E1000E_RADV, 0);
	e1000e_write(e, E1000E_RSRPD, 0);
	e1000e_write(e, E1000E_TIPG, E1000E_TIPG_COPPER);
}

int e1000e_init(struct e1000e_port *e, struct quoll_error *err)
{
	int rc;

	reserved_bits(e);
	general_setup(e);
	rc = e1000e_read_mac(e, err);
	if (!rc)
		rc = e1000e_link_setup(e, err);
	if (rc)
		return rc;
	e1000e_stats_clear(e);
	/* From here on only what start hands over is reached; interrupts are writes too. */
	rc = quoll_pci_bus_master(e->port.dev, true);
	if (rc)
		return quoll_error_set(err, -rc, "enable", e->port.name, "bus mastering could not be switched on");
	e1000e_irq_setup(e);
	rc = e1000e_link_update(e);
	return rc ? e1000e_gone(e, "enable", err) : 0;
}
