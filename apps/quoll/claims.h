/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * claims.h - the devices that a verb works with: the groups claimed, devices, a heap, and one address space a back-end,
 * or a group.
 *
 * They share what the heap places: devices that work on the same buffers gain nothing from being kept apart. What lies
 * outside of it, and goes through streams, is each device's own.
 */
#ifndef QUOLL_APPS_CLAIMS_H
#define QUOLL_APPS_CLAIMS_H

#include <quoll/claim.h>
#include <quoll/heap.h>

#define CLAIMS_MAX_DEVICES 32
#define CLAIMS_MAX_IOASES CLAIMS_MAX_DEVICES

/* The --pages option; the order of its words is that of enum quoll_heap_pages. */
#define CLAIMS_OPTION_PAGES(type)                                                                                      \
	{                                                                                                              \
		"pages", CLI_CHOICE, offsetof(type, pages), "best|4k|2m|1g",                                           \
			"size of the pages of DMA memory; best takes hugepages where there are any", 0, 0              \
	}

/**
 * struct claims - zeroed and with @env set at first
 * @env:     of the verb; stays the caller's
 * @separate: an address space for each group; set before the first device
 * @ioases:  one for each of @backends, as quoll_claim_backend() names them; none while there is no device
 * @heap:    NULL before claims_heap()
 * @devices: in the order in which they were opened; @device_ioases: the address space of each
 */
struct claims {
	const struct quoll_env *env;
	bool separate;
	unsigned int nr_ioases;
	struct quoll_ioas *ioases[CLAIMS_MAX_IOASES];
	const char *backends[CLAIMS_MAX_IOASES];
	struct quoll_heap *heap;
	unsigned int nr_groups;
	unsigned int nr_devices;
	struct quoll_group *groups[CLAIMS_MAX_DEVICES];
	struct quoll_ioas *group_ioases[CLAIMS_MAX_DEVICES];
	struct quoll_device *devices[CLAIMS_MAX_DEVICES];
	struct quoll_ioas *device_ioases[CLAIMS_MAX_DEVICES];
};

/**
 * claims_device() - open a device; its group is claimed, unless an earlier device of it is here
 * @addr:   of a PCI device, or of a vfio-user server
 * @device: closed by claims_close()
 * @err:    as quoll_ioas_open(), quoll_group_claim(), quoll_device_open(); -ENOSPC: too many
 */
int claims_device(struct claims *claims, const struct quoll_addr *addr, struct quoll_device **device,
		  struct quoll_error *err);

/**
 * claims_ioas() - the address space of an open device
 */
struct quoll_ioas *claims_ioas(const struct claims *claims, const struct quoll_device *device);

/**
 * claims_node() - the NUMA node that all devices are at; -1 if they differ, or one is unknown, or there is none
 */
int claims_node(const struct claims *claims);

/**
 * claims_heap() - a heap at the devices' node, which they all reach; also without any device
 * @size_bytes: of its window; 0 for the library's default
 * @err:        as quoll_heap_create()
 */
int claims_heap(struct claims *claims, enum quoll_heap_pages pages, uint64_t size_bytes, struct quoll_error *err);

/**
 * claims_close() - devices, heap, groups, address space, as far as there are any; drivers are closed before
 */
void claims_close(struct claims *claims);

#endif
