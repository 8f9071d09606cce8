/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * claims.c - claiming groups, opening devices, making a heap for them, and back again.
 */
#include <errno.h>
#include <string.h>

#include <linux/pci_regs.h>

#include <quoll/device.h>
#include <quoll/pci.h>

#include "claims.h"
#include "guard.h"

/* Others use these ids too, Quoll's target with a subsystem id other than 0. */
#define SPDK_VENDOR_ID 0x4e58u
#define SPDK_TARGET_DEVICE_ID 0x0001u

/* The number of the claimed group that a device is in; nr_groups if none is. */
static unsigned int find_group(const struct claims *claims, const char *device_name)
{
	const char *name;

	for (unsigned int g = 0; g < claims->nr_groups; g++)
		for (unsigned int i = 0; (name = quoll_group_device_name(claims->groups[g], i)); i++)
			if (!strcmp(name, device_name))
				return g;
	return claims->nr_groups;
}

/* An address space of the back-end that an address needs; opened if it is the first one, or each has its own. */
static int find_ioas(struct claims *claims, const struct quoll_addr *addr, struct quoll_ioas **ioas,
		     struct quoll_error *err)
{
	const char *backend = quoll_claim_backend(addr);
	int ret;

	for (unsigned int i = 0; i < claims->nr_ioases && !claims->separate; i++)
		if (claims->backends[i] == backend) {
			*ioas = claims->ioases[i];
			return 0;
		}
	if (claims->nr_ioases == CLAIMS_MAX_IOASES)
		return quoll_error_set(err, ENOSPC, "open", addr->target, "more than %d address spaces",
				       CLAIMS_MAX_IOASES);
	ret = quoll_ioas_open(claims->env, backend, ioas, err);
	if (ret)
		return ret;
	claims->backends[claims->nr_ioases] = backend;
	claims->ioases[claims->nr_ioases++] = *ioas;
	return 0;
}

int claims_device(struct claims *claims, const struct quoll_addr *addr, struct quoll_device **device,
		  struct quoll_error *err)
{
	unsigned int g = find_group(claims, addr->target);
	struct quoll_group *group;
	struct quoll_ioas *ioas;
	int ret = 0;

	if (claims->nr_devices == CLAIMS_MAX_DEVICES)
		return quoll_error_set(err, ENOSPC, "open", addr->target, "more than %d devices", CLAIMS_MAX_DEVICES);
	if (g == claims->nr_groups) {
		ret = find_ioas(claims, addr, &ioas, err);
		if (!ret)
			ret = quoll_group_claim(ioas, addr, &group, err);
		if (ret)
			return ret;
		claims->group_ioases[g] = ioas;
		claims->groups[claims->nr_groups++] = group;
	}
	ret = quoll_device_open(claims->groups[g], addr->target, device, err);
	if (ret)
		return ret;
	claims->device_ioases[claims->nr_devices] = claims->group_ioases[g];
	claims->devices[claims->nr_devices++] = *device;
	guard_add(*device);
	return 0;
}

struct quoll_ioas *claims_ioas(const struct claims *claims, const struct quoll_device *device)
{
	for (unsigned int i = 0; i < claims->nr_devices; i++)
		if (claims->devices[i] == device)
			return claims->device_ioases[i];
	return NULL;
}

int claims_node(const struct claims *claims)
{
	struct quoll_device_info info;
	int node = -1;

	for (unsigned int i = 0; i < claims->nr_devices; i++) {
		quoll_device_info(claims->devices[i], &info);
		if (i && info.numa_node != node)
			return -1;
		node = info.numa_node;
	}
	return node;
}

/*
 * SPDK's vfio-user target clears the host's submission queues and maps what a host writes from writable. It dies of the
 * first and fails the second where the host offers that memory for reading.
 */
static bool wants_all_writable(const struct claims *claims, struct quoll_device *device)
{
	struct quoll_device_info info;
	uint32_t subsystem;

	quoll_device_info(device, &info);
	if (info.vendor_id != SPDK_VENDOR_ID || info.device_id != SPDK_TARGET_DEVICE_ID ||
	    quoll_pci_config_read(device, PCI_SUBSYSTEM_VENDOR_ID, 4, &subsystem) || subsystem != SPDK_VENDOR_ID)
		return false;
	quoll_log(claims->env, QUOLL_LOG_WARN, "heap",
		  "%s: SPDK's target: it gets submission queues and data that it should only read for writing too",
		  info.name);
	return true;
}

int claims_heap(struct claims *claims, enum quoll_heap_pages pages, uint64_t size_bytes, struct quoll_error *err)
{
	struct quoll_heap_opts opts = {.size_bytes = size_bytes,
				       .pages = pages,
				       .numa_node = claims_node(claims),
				       .ioases = claims->ioases,
				       .nr_ioases = claims->nr_ioases};

	for (unsigned int i = 0; i < claims->nr_devices && !opts.all_writable; i++)
		opts.all_writable = wants_all_writable(claims, claims->devices[i]);
	return quoll_heap_create(claims->env, &opts, &claims->heap, err);
}

void claims_close(struct claims *claims)
{
	while (claims->nr_devices) {
		struct quoll_device *device = claims->devices[--claims->nr_devices];

		guard_remove(device);
		quoll_device_close(device);
	}
	if (claims->heap)
		quoll_heap_destroy(claims->heap);
	while (claims->nr_groups)
		quoll_group_release(claims->groups[--claims->nr_groups]);
	while (claims->nr_ioases)
		quoll_ioas_close(claims->ioases[--claims->nr_ioases]);
	claims->heap = NULL;
}
