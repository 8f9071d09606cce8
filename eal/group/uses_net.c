/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * uses_net.c - which network interfaces are on a device, and what goes through them: addresses, default routes,
 * bridges, bonds, VLANs. Sees its own network namespace and the main routing table.
 */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define RTF_UP 0x0001 /* linux/route.h, linux/ipv6_route.h, which do not go along with net/if.h */
#define RTF_REJECT 0x0200

struct nic {
	char name[32];
	char *real_path;
	bool up;
	bool default_route;
};

struct net_map {
	unsigned int nr;
	struct nic *nics;
	unsigned int nr_addresses;
	struct net_address *addresses;
};

static struct nic *find_nic(const struct net_map *map, const char *name)
{
	for (unsigned int i = 0; i < map->nr; i++)
		if (!strcmp(map->nics[i].name, name))
			return &map->nics[i];
	return NULL;
}

static int read_nic(struct net_map *map, const char *dir, const char *name)
{
	struct nic nic = {0}, *grown;
	char path[PATH_BYTES], text[32];

	if (strlen(name) >= sizeof(nic.name) || path_make(path, "%s/%s/flags", dir, name) ||
	    file_text(path, text, sizeof(text)) <= 0)
		return 0; /* no interface: bonding_masters lies in the same folder */
	nic.up = strtoul(text, NULL, 16) & IFF_UP;
	snprintf(nic.name, sizeof(nic.name), "%s", name);
	if (path_make(path, "%s/%s", dir, name) || !(nic.real_path = realpath(path, NULL)))
		return 0;
	grown = array_grow(map->nics, map->nr, sizeof(*grown));
	if (!grown) {
		free(nic.real_path);
		return -ENOMEM;
	}
	map->nics = grown;
	map->nics[map->nr++] = nic;
	return 0;
}

/* net/route: Iface Destination Gateway Flags RefCnt Use Metric Mask …, numbers in hexadecimal */
static void read_ipv4_routes(const struct quoll_env *env, const struct net_map *map)
{
	char path[PATH_BYTES], line[512], name[32], destination[16], mask[16];
	unsigned int flags;
	struct nic *nic;
	FILE *f = path_make(path, "%s/net/route", quoll_env_proc(env)) ? NULL : fopen(path, "re");

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%31s %15s %*s %x %*s %*s %*s %15s", name, destination, &flags, mask) != 4)
			continue;
		nic = find_nic(map, name);
		if (nic && (flags & RTF_UP) && !(flags & RTF_REJECT) && !strcmp(destination, "00000000") &&
		    !strcmp(mask, "00000000"))
			nic->default_route = true;
	}
	if (f)
		fclose(f);
}

/* net/ipv6_route: destination length source length next-hop metric refcnt use flags device */
static void read_ipv6_routes(const struct quoll_env *env, const struct net_map *map)
{
	char path[PATH_BYTES], line[512], name[32], destination[40], length[8];
	unsigned int flags;
	struct nic *nic;
	FILE *f = path_make(path, "%s/net/ipv6_route", quoll_env_proc(env)) ? NULL : fopen(path, "re");

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%39s %7s %*s %*s %*s %*s %*s %*s %x %31s", destination, length, &flags, name) != 4)
			continue;
		nic = find_nic(map, name);
		if (nic && (flags & RTF_UP) && !(flags & RTF_REJECT) && !strcmp(length, "00") &&
		    strspn(destination, "0") == 32)
			nic->default_route = true;
	}
	if (f)
		fclose(f);
}

int net_map_read(const struct quoll_env *env, const struct group_io *io, struct net_map **out)
{
	struct net_map *map = calloc(1, sizeof(*map));
	char dir[PATH_BYTES];
	struct name_list names;
	int rc = map ? path_make(dir, "%s/class/net", quoll_env_sysfs(env)) : -ENOMEM;

	if (!rc && name_list_read(dir, &names) == 0) {
		for (unsigned int i = 0; !rc && i < names.nr; i++)
			rc = read_nic(map, dir, names.names[i]);
		name_list_free(&names);
	}
	if (!rc)
		rc = io->addresses(io->arg, &map->addresses, &map->nr_addresses);
	if (rc) {
		net_map_free(map);
		return rc;
	}
	read_ipv4_routes(env, map);
	read_ipv6_routes(env, map);
	*out = map;
	return 0;
}

void net_map_free(struct net_map *map)
{
	if (!map)
		return;
	for (unsigned int i = 0; i < map->nr; i++)
		free(map->nics[i].real_path);
	free(map->nics);
	free(map->addresses);
	free(map);
}

static const char *address_of(const struct net_map *map, const struct nic *nic)
{
	for (unsigned int i = 0; i < map->nr_addresses; i++)
		if (!strcmp(map->addresses[i].interface, nic->name))
			return map->addresses[i].text;
	return NULL;
}

/* What lies on nic itself, reached from the device's own interface own. */
static void uses_of(const struct net_map *map, const struct nic *own, const struct nic *nic, struct use_list *uses)
{
	const char *address = address_of(map, nic);
	char via[48] = "";

	if (nic != own)
		snprintf(via, sizeof(via), " through %s", nic->name);
	if (nic->up && address)
		use_add(uses, QUOLL_USE_ADDRESS, "%s%s has the address %s", own->name, via, address);
	if (nic->default_route)
		use_add(uses, QUOLL_USE_DEFAULT_ROUTE, "%s carries the default route%s", own->name, via);
}

/* Interfaces that sit on this one are its links upper_NAME: bridges, bonds, VLANs, in any depth. */
static void walk_uppers(const struct net_map *map, const struct nic *own, bool *seen, struct use_list *uses)
{
	struct name_list names;
	bool more = true;

	while (more) {
		more = false;
		for (unsigned int i = 0; i < map->nr; i++) {
			if (!seen[i] || name_list_read(map->nics[i].real_path, &names))
				continue;
			for (unsigned int k = 0; k < names.nr; k++) {
				struct nic *upper = NULL;

				if (!strncmp(names.names[k], "upper_", 6))
					upper = find_nic(map, names.names[k] + 6);
				if (!upper || seen[upper - map->nics])
					continue;
				seen[upper - map->nics] = true;
				more = true;
				uses_of(map, own, upper, uses);
			}
			name_list_free(&names);
		}
	}
}

void net_uses(const struct net_map *map, const char *real_path, struct use_list *uses)
{
	bool *seen = calloc(map->nr ? map->nr : 1, sizeof(*seen));
	char path[PATH_BYTES], master[32];

	if (!seen) {
		uses->rc = -ENOMEM;
		return;
	}
	for (unsigned int i = 0; i < map->nr; i++) {
		const struct nic *own = &map->nics[i];

		if (!path_under(own->real_path, real_path))
			continue;
		uses_of(map, own, own, uses);
		if (own->up && !path_make(path, "%s/master", own->real_path) &&
		    !link_name(path, master, sizeof(master)))
			use_add(uses, QUOLL_USE_ENSLAVED, "%s is up in %s", own->name, master);
		memset(seen, 0, map->nr * sizeof(*seen));
		seen[i] = true;
		walk_uppers(map, own, seen, uses);
	}
	free(seen);
}
