/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device.h - one member of a claimed group: regions, interrupts, reset, events. Bus-neutral; pci.h has what is PCI's.
 *
 * Thread rule: a device belongs to one thread at a time, as its IOAS does; registers, behind quoll_region_ptr() or by
 * quoll_region_read() and quoll_region_write(), may be accessed from any.
 */
#ifndef QUOLL_DEVICE_H
#define QUOLL_DEVICE_H

#include <stdbool.h>

#include <quoll/claim.h>
#include <quoll/error.h>

#ifdef __cplusplus
extern "C" {
#endif

enum quoll_bus {
	QUOLL_BUS_PCI,
	QUOLL_BUS_PLATFORM,
	QUOLL_BUS_OTHER,
};

/**
 * struct quoll_device_info - what a device is made of
 * @name:       as in quoll_device_open()
 * @bus:        which bus's numbering @nr_regions and @nr_irqs follow
 * @nr_regions: region indices are 0 .. nr_regions - 1
 * @nr_irqs:    interrupt indices likewise
 * @can_reset:  quoll_device_reset() may work
 * @numa_node:  -1 if unknown
 * @vendor_id:  PCI, from config space; 0 elsewhere
 * @device_id:  likewise
 * @class_code: likewise, 24 bits
 */
struct quoll_device_info {
	const char *name;
	enum quoll_bus bus;
	unsigned int nr_regions;
	unsigned int nr_irqs;
	bool can_reset;
	int numa_node;
	uint16_t vendor_id;
	uint16_t device_id;
	uint32_t class_code;
};

QUOLL_API void quoll_device_info(const struct quoll_device *dev, struct quoll_device_info *info);
QUOLL_API const struct quoll_env *quoll_device_env(const struct quoll_device *dev);
QUOLL_API struct quoll_ioas *quoll_device_ioas(struct quoll_device *dev);

/**
 * quoll_device_close() - quiesce and close: interrupts off, bus mastering off, regions unmapped, reset
 *
 * The driver has stopped its queues before; memory that the device could reach is freed after, not before.
 */
QUOLL_API void quoll_device_close(struct quoll_device *dev);

/**
 * quoll_device_reset() - function-level reset or what the bus has
 *
 * PCI: bus mastering is off meanwhile; afterwards it and memory space are as they were before.
 * Return: 0, -ENOTTY if the device cannot be reset, -errno.
 */
QUOLL_API int quoll_device_reset(struct quoll_device *dev, struct quoll_error *err);

/* Events, a bit mask. */
#define QUOLL_DEVICE_REMOVE_REQUESTED (1u << 0) /* the kernel wants the device back: quiesce, close, release */
#define QUOLL_DEVICE_ERROR (1u << 1)		/* an uncorrectable error was reported (PCI: AER) */
#define QUOLL_DEVICE_GONE (1u << 2)		/* it answers no more: config space all ones, its server hung up */

/**
 * quoll_device_events() - which events have come in so far; they stay set
 *
 * Costs system calls: look every millisecond or so, not every poll. Thread rule: one thread at a time; a driver that
 * has the device looks itself (quoll_nvme_poll() does), and nobody else may.
 */
QUOLL_API unsigned int quoll_device_events(struct quoll_device *dev);

/**
 * quoll_device_is_cut_off() - whether a device that is gone can't write into our memory any more
 *
 * One that was pulled can't. A vfio-user server is another program: when its session is over, for whatever reason, it
 * may be alive, and have what was mapped for it; see heap.h. Return: false also while quoll_device_events() has not
 * said QUOLL_DEVICE_GONE. Thread rule: as quoll_device_events().
 */
QUOLL_API bool quoll_device_is_cut_off(const struct quoll_device *dev);

/**
 * quoll_device_event_fd() - becomes readable when an event comes in, for sleepers; owned by the device
 */
QUOLL_API int quoll_device_event_fd(const struct quoll_device *dev);

/* Regions. */
#define QUOLL_REGION_READ (1u << 0)
#define QUOLL_REGION_WRITE (1u << 1)
#define QUOLL_REGION_MMAP (1u << 2)
#define QUOLL_REGION_MAX_AREAS 16

struct quoll_region_area {
	uint64_t offset;
	uint64_t size_bytes;
};

/**
 * struct quoll_region_info - a BAR, config space, an MMIO window
 * @size_bytes: 0 if the region does not exist
 * @flags:      QUOLL_REGION_*
 * @nr_areas:   pieces that may be mapped: one of the whole size, or those that the device marks as sparse
 */
struct quoll_region_info {
	uint64_t size_bytes;
	unsigned int flags;
	unsigned int nr_areas;
	struct quoll_region_area areas[QUOLL_REGION_MAX_AREAS];
};

struct quoll_region;

/**
 * quoll_region_info() - what a region is like; checked, whatever the device or the kernel says
 * @err: -ENXIO: index beyond nr_regions; -EPROTO: areas that overlap, or lie outside the region or off pages
 */
QUOLL_API int quoll_region_info(struct quoll_device *dev, unsigned int idx, struct quoll_region_info *info,
				struct quoll_error *err);

/**
 * quoll_region_map() - map what may be mapped of a region
 * @region: the result; undone by quoll_region_unmap() or by closing the device
 * @err:    -ENXIO: no such region, or of size 0; -EPERM: it cannot be mapped, or is not for both reading
 *          and writing (use quoll_region_read/write)
 */
QUOLL_API int quoll_region_map(struct quoll_device *dev, unsigned int idx, struct quoll_region **region,
			       struct quoll_error *err);
QUOLL_API void quoll_region_unmap(struct quoll_region *region);

/**
 * quoll_region_ptr() - address of registers for the accessors of mmio.h
 * Return: NULL unless all of [offset, offset + len) is mapped, in one area.
 */
QUOLL_API volatile void *quoll_region_ptr(const struct quoll_region *region, uint64_t offset, uint64_t len);

/**
 * quoll_device_bus_error() - for a handler of SIGBUS that the program installs: make of it a device that is gone
 * @va: what could not be reached (siginfo_t.si_addr)
 *
 * A vfio-user server can cut the file of a region short while it is mapped, unless it has sealed it; and quoll.ko takes
 * a device away whose user has not closed it in time. The page of @va is then replaced by memory that reads all ones,
 * once, and quoll_device_events() says QUOLL_DEVICE_GONE.
 * Async-signal-safe. Thread rule: any thread, while no region of the device is mapped or unmapped. Return: false if @va
 * is in no region.
 */
QUOLL_API bool quoll_device_bus_error(struct quoll_device *dev, void *va);

/**
 * quoll_region_read(), quoll_region_write() - access by system call or message; config space, unmappable pieces
 * Return: 0 when all @len bytes went over; -ENXIO: no such region; -EPERM: flags forbid it; -EINVAL: beyond its end;
 * -errno. Each costs a system call or more.
 */
QUOLL_API int quoll_region_read(struct quoll_device *dev, unsigned int idx, uint64_t offset, void *buf, size_t len);
QUOLL_API int quoll_region_write(struct quoll_device *dev, unsigned int idx, uint64_t offset, const void *buf,
				 size_t len);

/* Interrupts. */
#define QUOLL_IRQ_EVENTFD (1u << 0)
#define QUOLL_IRQ_MASKABLE (1u << 1)
#define QUOLL_IRQ_AUTOMASKED (1u << 2)
#define QUOLL_IRQ_NORESIZE (1u << 3)

struct quoll_irq_info {
	unsigned int nr_vectors;
	unsigned int flags;
};

QUOLL_API int quoll_irq_info(struct quoll_device *dev, unsigned int idx, struct quoll_irq_info *info,
			     struct quoll_error *err);

/**
 * quoll_irq_enable() - have vectors signal eventfds
 * @idx:         which kind (PCI: QUOLL_PCI_IRQ_*)
 * @eventfds:    one a vector, from vector 0 on; -1 leaves a vector without, masked
 * @nr_eventfds: 1 .. nr_vectors
 *
 * The eventfds stay the caller's, who reads them. Return: 0; -ENXIO: no such index; -EINVAL: no vector, or not by
 * eventfd; -ENOSPC: too many; -EBUSY: another of INTx, MSI and MSI-X is enabled, or the index is one that
 * quoll_device_events() listens to; -errno.
 */
QUOLL_API int quoll_irq_enable(struct quoll_device *dev, unsigned int idx, const int *eventfds,
			       unsigned int nr_eventfds, struct quoll_error *err);

/**
 * quoll_irq_attach() - have one vector of an index that is enabled signal another eventfd, or none
 * @vector:  below the number that was enabled; enabled with -1 it stays masked until now
 * @eventfd: -1: masked again, and when this returns the last eventfd is written no more
 *
 * A masked MSI-X vector remembers that it wanted to signal, so an eventfd may be signalled as soon as it is attached.
 * Return: 0; -ENXIO, -EBUSY as above; -EINVAL: the vector is not enabled; -errno. Costs a system call. Thread rule: any
 * thread, one a vector at a time, and none while the index is enabled or disabled.
 */
QUOLL_API int quoll_irq_attach(struct quoll_device *dev, unsigned int idx, unsigned int vector, int eventfd);

/**
 * quoll_irq_disable() - no vector signals any more
 * Return: 0, also if none was enabled; -ENXIO and -EBUSY as above; -errno.
 */
QUOLL_API int quoll_irq_disable(struct quoll_device *dev, unsigned int idx);

/**
 * quoll_irq_unmask() - let an automasked (level-triggered) interrupt through again after it was served
 * Return: 0, -ENXIO: no such index; -EINVAL: the vector is not enabled; -errno.
 */
QUOLL_API int quoll_irq_unmask(struct quoll_device *dev, unsigned int idx, unsigned int vector);

#ifdef __cplusplus
}
#endif
#endif
