/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * reason.c - why the members of a group are together, from their place in the tree and config space.
 *
 * Without privilege the kernel shows the first 64 bytes of config space only, so capabilities are out of sight: then
 * the answer leans on what else sysfs shows, and its sentence says so. Sources: PCI Express Base Specification 5.0,
 * 7.5.3 (capability), 7.7.8 (ACS); PCI Local Bus 3.0, 6.1, 6.7; the kernel's pci_device_group().
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

enum {
	CFG_HEADER_TYPE = 0x0e,
	CFG_CAP_POINTER = 0x34,
	CFG_STANDARD_BYTES = 0x40,
	CFG_EXTENDED = 0x100,
	CAP_PCIE = 0x10,
	EXT_CAP_ACS = 0x000d,
	ACS_ISOLATION = 0x1d, /* source validation, request and completion redirect, upstream forwarding */
};

static void config_read(const char *real_path, struct config *c)
{
	char path[PATH_BYTES];
	int n = path_make(path, "%s/config", real_path);

	if (!n)
		n = file_bytes(path, c->bytes, sizeof(c->bytes));
	c->len = n > 0 ? (unsigned int)n : 0;
}

static uint16_t config_le16(const struct config *c, unsigned int at)
{
	return (uint16_t)(c->bytes[at] | c->bytes[at + 1] << 8);
}

bool is_bdf(const char *name)
{
	size_t len = strspn(name, "0123456789abcdef");
	const char *p = name + len;

	return len >= 4 && len <= 8 && p[0] == ':' && strspn(p + 1, "0123456789abcdef") == 2 && p[3] == ':' &&
	       strspn(p + 4, "0123456789abcdef") == 2 && p[6] == '.' && p[7] >= '0' && p[7] <= '7' && !p[8];
}

bool config_is_bridge(const char *real_path, uint32_t class_code)
{
	struct config c;
	uint8_t type;

	config_read(real_path, &c);
	if (c.len > CFG_HEADER_TYPE) {
		type = c.bytes[CFG_HEADER_TYPE] & 0x7f;
		if (type != 0x7f) /* the device answers */
			return type == 1 || type == 2;
	}
	return class_code >> 8 == 0x0604 || class_code >> 8 == 0x0607 || class_code >> 8 == 0x0609;
}

enum port_type config_port_type(const struct config *c)
{
	unsigned int at;

	if (c->len < CFG_STANDARD_BYTES)
		return PORT_UNKNOWN;
	at = c->bytes[CFG_CAP_POINTER] & 0xfcu;
	for (int hops = 0; at >= CFG_STANDARD_BYTES && hops < 48; hops++) {
		if (at + 4 > c->len)
			return PORT_UNKNOWN;
		if (c->bytes[at] == CAP_PCIE)
			return (enum port_type)(c->bytes[at + 2] >> 4);
		at = c->bytes[at + 1] & 0xfcu;
	}
	return PORT_CONVENTIONAL;
}

int config_acs(const struct config *c)
{
	unsigned int at = CFG_EXTENDED;
	uint16_t can;

	if (c->len <= CFG_STANDARD_BYTES)
		return -1;
	for (int hops = 0; at >= CFG_EXTENDED && hops < 480 && at + 8 <= c->len; hops++) {
		if (config_le16(c, at) == EXT_CAP_ACS) {
			can = config_le16(c, at + 4) & ACS_ISOLATION;
			return (config_le16(c, at + 6) & can) == can;
		}
		at = (unsigned int)(config_le16(c, at + 2) >> 4) & 0xffcu;
	}
	return 0;
}

/* Cuts a device's path to that of the bridge above it; false at the root. */
static bool to_parent(char *path)
{
	char *slash = strrchr(path, '/');

	if (!slash)
		return false;
	*slash = '\0';
	return is_bdf(path_last(path));
}

/*
 * Is the bus below this bridge a conventional one? child is a device there. Capability not in sight: PCI Express
 * devices have a link, and sysfs shows its speed to everyone.
 */
static bool conventional_below(const char *bridge, const char *child, bool *guessed)
{
	char path[PATH_BYTES];
	enum port_type type;
	struct config c;

	config_read(bridge, &c);
	type = config_port_type(&c);
	if (type != PORT_UNKNOWN)
		return type == PORT_PCIE_TO_PCI || type == PORT_CONVENTIONAL;
	*guessed = true;
	return !path_make(path, "%s/current_link_speed", child) && !path_exists(path);
}

/* The topmost conventional bridge above a device, whose requester ID all that is below it goes by. */
static bool topmost_pci_bridge(const char *real_path, char bridge[PATH_BYTES], bool *guessed)
{
	char here[PATH_BYTES], child[PATH_BYTES];
	bool found = false, guess = false;

	if (path_make(here, "%s", real_path) || path_make(child, "%s", real_path))
		return false;
	while (to_parent(here)) {
		if (conventional_below(here, child, &guess)) {
			memcpy(bridge, here, sizeof(here));
			found = true;
			*guessed = guess;
		}
		memcpy(child, here, sizeof(here));
	}
	return found;
}

static bool all_below_or_bridges(const struct quoll_group_desc *desc, char *const *real_paths, const char *bridge)
{
	for (unsigned int i = 0; i < desc->nr_members; i++)
		if (!desc->members[i].is_bridge && !path_under(real_paths[i], bridge))
			return false;
	return true;
}

/* first: index of an endpoint */
static bool behind_pci_bridge(struct quoll_group_desc *desc, char *const *real_paths, unsigned int first)
{
	char bridge[PATH_BYTES];
	bool guessed = false;

	if (!topmost_pci_bridge(real_paths[first], bridge, &guessed) || !all_below_or_bridges(desc, real_paths, bridge))
		return false;
	desc->reason = QUOLL_GROUP_PCI_BRIDGE;
	snprintf(desc->why, sizeof(desc->why), "behind the PCI bridge %s, whose requests all carry one requester ID%s",
		 path_last(bridge), guessed ? " (judged without its capabilities, which only root may read)" : "");
	return true;
}

static bool one_slot(struct quoll_group_desc *desc, bool with_bridges)
{
	const char *slot = NULL;
	size_t len = 0;

	for (unsigned int i = 0; i < desc->nr_members; i++) {
		const char *name = desc->members[i].name;

		if (desc->members[i].is_bridge && !with_bridges)
			return false;
		if (!slot) {
			slot = name;
			len = strcspn(name, ".");
		} else if (strncmp(name, slot, len + 1) != 0) {
			return false;
		}
	}
	desc->reason = QUOLL_GROUP_MULTIFUNCTION;
	snprintf(desc->why, sizeof(desc->why),
		 "functions of one slot, %.*s, without ACS between them: they could reach each other unseen by the "
		 "IOMMU",
		 (int)len, slot);
	return true;
}

/* The nearest port above that does not isolate; failing a look at ACS, the nearest port. */
static bool port_without_acs(struct quoll_group_desc *desc, const char *real_path)
{
	char here[PATH_BYTES];
	enum port_type type;
	struct config c;
	int acs;

	if (path_make(here, "%s", real_path))
		return false;
	while (to_parent(here)) {
		config_read(here, &c);
		type = config_port_type(&c);
		acs = config_acs(&c);
		if (acs > 0 || (type != PORT_UNKNOWN && type != PORT_ROOT && type != PORT_DOWNSTREAM))
			continue;
		desc->reason = QUOLL_GROUP_NO_ACS;
		snprintf(desc->why, sizeof(desc->why), "below port %s, which %s", path_last(here),
			 acs < 0 ? "seems to lack ACS (only root may read that)"
				 : "lacks ACS: they could reach each other unseen by the IOMMU");
		return true;
	}
	return false;
}

void reason_find(struct quoll_group_desc *desc, char *const *real_paths)
{
	unsigned int first = desc->nr_members;

	if (desc->nr_members == 1) {
		desc->reason = QUOLL_GROUP_ALONE;
		snprintf(desc->why, sizeof(desc->why), "the only device of its group");
		return;
	}
	desc->reason = QUOLL_GROUP_OTHER;
	snprintf(desc->why, sizeof(desc->why), "together for a reason that sysfs does not show");
	for (unsigned int i = 0; i < desc->nr_members; i++) {
		if (strcmp(desc->members[i].bus, "pci") != 0 || !is_bdf(desc->members[i].name))
			return;
		if (!desc->members[i].is_bridge && first == desc->nr_members)
			first = i;
	}
	if (first == desc->nr_members) {
		one_slot(desc, true);
		return;
	}
	if (behind_pci_bridge(desc, real_paths, first) || one_slot(desc, false))
		return;
	port_without_acs(desc, real_paths[first]);
}
