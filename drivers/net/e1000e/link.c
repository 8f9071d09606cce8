/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * link.c - the line: what MAC and PHY are told, what STATUS says. The PHY negotiates by itself; flow control is off.
 */
#include <errno.h>

#include "e1000e.h"

#define MDIC_LIMIT_MS 200 /* far more than a transaction takes: a busy machine may not run us meanwhile */

/* One access to a PHY register (MDIC). Return: 0; -ENODEV; -ETIMEDOUT; -EIO: the PHY reports an error. */
static int phy_access(struct e1000e_port *e, unsigned int reg, uint32_t op, uint16_t *value)
{
	uint32_t mdic;
	int rc;

	e1000e_write(e, E1000E_MDIC, op | reg << E1000E_MDIC_REG_SHIFT | E1000E_MDIC_PHY_1 | *value);
	rc = e1000e_wait(e, E1000E_MDIC, E1000E_MDIC_READY, E1000E_MDIC_READY, MDIC_LIMIT_MS);
	if (rc)
		return rc;
	mdic = e1000e_read(e, E1000E_MDIC);
	if (mdic & E1000E_MDIC_ERROR)
		return -EIO;
	*value = (uint16_t)(mdic & E1000E_MDIC_DATA_MASK);
	return 0;
}

/* A driver before us may have powered it down to save power while the interface was down. */
static int phy_wake(struct e1000e_port *e)
{
	uint16_t control = 0;
	int rc = phy_access(e, E1000E_PHY_CONTROL, E1000E_MDIC_OP_READ, &control);

	if (rc || !(control & E1000E_PHY_CONTROL_POWER_DOWN))
		return rc;
	control &= (uint16_t)~E1000E_PHY_CONTROL_POWER_DOWN;
	control |= E1000E_PHY_CONTROL_AN_ENABLE | E1000E_PHY_CONTROL_RESTART_AN;
	return phy_access(e, E1000E_PHY_CONTROL, E1000E_MDIC_OP_WRITE, &control);
}

int e1000e_link_setup(struct e1000e_port *e, struct quoll_error *err)
{
	uint32_t ctrl = e1000e_read(e, E1000E_CTRL);
	int rc;

	/* Speed and duplex as the PHY has negotiated them; no pause frames, neither heeded nor sent. */
	ctrl &= ~(E1000E_CTRL_FRCSPD | E1000E_CTRL_FRCDPX | E1000E_CTRL_RFCE | E1000E_CTRL_TFCE);
	e1000e_write(e, E1000E_CTRL, ctrl | E1000E_CTRL_SLU);
	e1000e_write(e, E1000E_FCAL, 0);
	e1000e_write(e, E1000E_FCAH, 0);
	e1000e_write(e, E1000E_FCT, 0);
	e1000e_write(e, E1000E_FCTTV, 0);
	e1000e_write(e, E1000E_FCRTL, 0);
	e1000e_write(e, E1000E_FCRTH, 0);
	rc = phy_wake(e);
	if (rc == -ENODEV)
		return e1000e_gone(e, "PHY", err);
	if (rc)
		return quoll_error_set(err, -rc, "PHY", e->port.name, "it does not answer (MDIC is 0x%08x)",
				       e1000e_read(e, E1000E_MDIC));
	return 0;
}

int e1000e_link_update(struct e1000e_port *e)
{
	static const uint32_t mbit_per_s[] = {10, 100, 1000, 1000};
	uint32_t status = e1000e_read(e, E1000E_STATUS);
	bool up = status & E1000E_STATUS_LU;

	if (status == UINT32_MAX)
		return -ENODEV;
	net_port_set_link(&e->port, up, up && status & E1000E_STATUS_FD,
			  up ? mbit_per_s[status >> E1000E_STATUS_SPEED_SHIFT & E1000E_STATUS_SPEED_MASK] : 0);
	return 0;
}
