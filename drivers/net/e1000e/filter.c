/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * filter.c - which frames come in. All addresses, unicast and multicast, are matched in full by the sixteen receive
 * address registers; the inexact multicast table stays empty.
 */
#include <errno.h>
#include <string.h>

#include "e1000e.h"

static void rar_clear(struct e1000e_port *e, unsigned int i)
{
	e1000e_write(e, E1000E_RAH + i * 8, 0);
	e1000e_write(e, E1000E_RAL + i * 8, 0);
}

static void rar_set(struct e1000e_port *e, unsigned int i, const uint8_t *mac)
{
	/* Not valid while half of it is the old one. */
	e1000e_write(e, E1000E_RAH + i * 8, 0);
	e1000e_write(e, E1000E_RAL + i * 8,
		     mac[0] | (uint32_t)mac[1] << 8 | (uint32_t)mac[2] << 16 | (uint32_t)mac[3] << 24);
	e1000e_write(e, E1000E_RAH + i * 8, mac[4] | (uint32_t)mac[5] << 8 | E1000E_RAH_AV);
}

void e1000e_filter_clear(struct e1000e_port *e)
{
	for (unsigned int i = 1; i < E1000E_NR_RAR; i++)
		rar_clear(e, i);
	for (unsigned int i = 0; i < E1000E_MTA_REGS; i++)
		e1000e_write(e, E1000E_MTA + i * 4, 0);
}

int e1000e_read_mac(struct e1000e_port *e, struct quoll_error *err)
{
	static const uint8_t zero[QUOLL_MAC_BYTES];
	uint32_t low = e1000e_read(e, E1000E_RAL), high = e1000e_read(e, E1000E_RAH);
	uint8_t *mac = e->port.info.mac;

	for (unsigned int i = 0; i < 4; i++)
		mac[i] = (uint8_t)(low >> 8 * i);
	mac[4] = (uint8_t)high;
	mac[5] = (uint8_t)(high >> 8);
	if (low == UINT32_MAX && high == UINT32_MAX)
		return e1000e_gone(e, "MAC address", err);
	if (!(high & E1000E_RAH_AV) || mac[0] & 1 || !memcmp(mac, zero, sizeof(zero)))
		return quoll_error_set(err, EPROTO, "MAC address", e->port.name,
				       "its NVM holds none: RAH is 0x%08x, RAL 0x%08x", high, low);
	return 0;
}

uint32_t e1000e_filter_set(struct e1000e_port *e, const struct quoll_port_settings *settings)
{
	uint32_t rctl = E1000E_RCTL_BAM;

	rar_set(e, 0, settings->mac);
	for (unsigned int i = 0; i < E1000E_NR_RAR - 1; i++) {
		if (i < settings->nr_macs)
			rar_set(e, i + 1, settings->macs[i]);
		else
			rar_clear(e, i + 1);
	}
	if (settings->promiscuous)
		rctl |= E1000E_RCTL_UPE | E1000E_RCTL_MPE;
	if (settings->all_multicast)
		rctl |= E1000E_RCTL_MPE;
	return rctl;
}

int e1000e_apply(struct quoll_port *port, const struct quoll_port_settings *settings, struct quoll_error *err)
{
	struct e1000e_port *e = e1000e_port(port);

	if (e1000e_read(e, E1000E_STATUS) == UINT32_MAX)
		return e1000e_gone(e, "apply", err);
	e->rctl &= ~(E1000E_RCTL_BAM | E1000E_RCTL_UPE | E1000E_RCTL_MPE);
	e->rctl |= e1000e_filter_set(e, settings);
	e1000e_write(e, E1000E_RCTL, e->rctl);
	if (settings->rss.types)
		e1000e_rss_table_set(e, &settings->rss);
	return 0;
}
