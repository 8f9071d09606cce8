/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kmod_fuzz_device.c - a device's file under the fuzzer: linux/vfio.h's requests, regions; see kmod_fuzz.h.
 *
 * Written to are only edu's registers of arithmetic and of interrupts, and memory decoding and bus mastering in config
 * space, which vfio_pci_core emulates. All else is read: a controller that is enabled with queues at random, or
 * capabilities and MSI-X tables that are scribbled over, are a test of the emulator and not of the module, and what a
 * device then writes to where the local APICs are stops the guest.
 */
#include "kmod_fuzz.h"

#include <sys/eventfd.h>

#include <linux/pci_regs.h>

#define EDU_LIVENESS 4u
#define EDU_FACTORIAL 8u
#define EDU_IRQ_RAISE 0x60u
#define EDU_IRQ_ACK 0x64u

static off_t region_at(uint32_t region, uint64_t at)
{
	return (off_t)(((uint64_t)region << 40) + at);
}

static void ask_info(struct fuzzer *f, int dev)
{
	struct vfio_device_info info = {.argsz = one_in(f, 2) ? 512 : sizeof(info)};
	struct vfio_region_info region = {.argsz = one_in(f, 2) ? 512 : sizeof(region), .index = below(f, 11)};
	struct vfio_irq_info irq = {.argsz = sizeof(irq), .index = below(f, 7)};

	switch (below(f, 3)) {
	case 0:
		call(f, DEV_INFO, dev, VFIO_DEVICE_GET_INFO, arg_put(f, &info, sizeof(info)));
		break;
	case 1:
		call(f, DEV_REGION, dev, VFIO_DEVICE_GET_REGION_INFO, arg_put(f, &region, sizeof(region)));
		break;
	default:
		call(f, DEV_IRQ, dev, VFIO_DEVICE_GET_IRQ_INFO, arg_put(f, &irq, sizeof(irq)));
	}
}

static void ask_irqs(struct fuzzer *f, int dev)
{
	static const uint32_t actions[] = {VFIO_IRQ_SET_ACTION_TRIGGER, VFIO_IRQ_SET_ACTION_MASK,
					   VFIO_IRQ_SET_ACTION_UNMASK};
	struct vfio_irq_set set = {.index = one_in(f, 20) ? below(f, 9) : below(f, 5),
				   .start = one_in(f, 8) ? below(f, 4) : 0,
				   .count = one_in(f, 3) ? below(f, 5) : 1};
	int32_t fds[4];
	uint8_t arg[sizeof(set) + sizeof(fds)];

	set.flags = one_in(f, 4) ? actions[below(f, 3)] : VFIO_IRQ_SET_ACTION_TRIGGER;
	set.flags |= 1u << (one_in(f, 3) ? below(f, 3) : 2);
	if (one_in(f, 30))
		set.count = (uint32_t)odd_number(f);
	if (one_in(f, 30))
		set.start = (uint32_t)odd_number(f);
	if (one_in(f, 4)) /* off */
		set.flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER, set.count = 0;
	set.argsz = sizeof(arg);
	for (unsigned int i = 0; i < 4; i++)
		fds[i] = one_in(f, 10) ? (int32_t)below(f, 30) - 2 : f->life->events;
	memcpy(arg, &set, sizeof(set));
	memcpy(arg + sizeof(set), fds, sizeof(fds));
	call(f, DEV_SET_IRQS, dev, VFIO_DEVICE_SET_IRQS, arg_put(f, arg, sizeof(arg)));
}

static void *some_memory(struct fuzzer *f, size_t *bytes)
{
	*bytes = 1u << below(f, 4);
	if (one_in(f, 8))
		*bytes = below(f, PAGE);
	if (one_in(f, 12))
		return (void *)(uintptr_t)odd_number(f);
	if (one_in(f, 8))
		return f->life->areas[AREA_MOVING];
	return f->args;
}

static off_t some_place(struct fuzzer *f)
{
	static const uint32_t regions[] = {VFIO_PCI_CONFIG_REGION_INDEX, VFIO_PCI_BAR0_REGION_INDEX,
					   VFIO_PCI_ROM_REGION_INDEX, VFIO_PCI_VGA_REGION_INDEX,
					   VFIO_PCI_BAR5_REGION_INDEX};
	uint32_t region = regions[one_in(f, 4) ? below(f, 5) : below(f, 2)];

	if (one_in(f, 20))
		return (off_t)odd_number(f);
	/* edu's registers below 0x80 stand for themselves only; of a controller the first are its capabilities */
	return region_at(region, region == VFIO_PCI_BAR0_REGION_INDEX ? below(f, 16) * 4 : below(f, 64) * 4);
}

static void device_read(struct fuzzer *f, int dev)
{
	size_t bytes;
	void *to = some_memory(f, &bytes);
	ssize_t rc = pread(dev, to, bytes, some_place(f));

	count(f->life, DEV_READ, rc < 0 ? errno : 0);
}

static void device_write(struct fuzzer *f, int dev)
{
	uint16_t command =
		(uint16_t)(one_in(f, 4) ? 0 : PCI_COMMAND_MEMORY) | (uint16_t)(one_in(f, 2) ? PCI_COMMAND_MASTER : 0);
	const void *from = one_in(f, 8) ? f->life->areas[AREA_NONE] : f->args;
	size_t bytes = 4;
	static const uint32_t registers[] = {EDU_LIVENESS, EDU_FACTORIAL, EDU_IRQ_RAISE, EDU_IRQ_RAISE, EDU_IRQ_ACK};
	off_t at = region_at(VFIO_PCI_BAR0_REGION_INDEX, registers[below(f, 5)]);
	ssize_t rc;

	if (!f->life->edu || one_in(f, 3)) {
		at = region_at(VFIO_PCI_CONFIG_REGION_INDEX, PCI_COMMAND);
		bytes = sizeof(command);
		memcpy(f->args, &command, sizeof(command));
	} else if (one_in(f, 6)) {
		at = region_at(VFIO_PCI_ROM_REGION_INDEX, 0); /* nothing to write to */
	} else {
		memcpy(f->args, &(uint32_t){1u << below(f, 2)}, 4);
	}
	rc = pwrite(dev, from, bytes, at);
	count(f->life, DEV_WRITE, rc < 0 ? errno : 0);
}

/* A bus error is an answer, too. */
static void touch(struct fuzzer *f, volatile uint32_t *at)
{
	f->touching = true;
	if (!sigsetjmp(f->bus_error, 1))
		(void)*at;
	f->touching = false;
}

/* Map a BAR, read it; another thread may close the device or switch its memory off meanwhile. */
static void device_mmap(struct fuzzer *f, int dev)
{
	size_t bytes = one_in(f, 8) ? (1 + below(f, 1024)) * PAGE : PAGE;
	off_t at = one_in(f, 4) ? region_at(below(f, 10), below(f, 300) * PAGE) : region_at(0, 0);
	int prot = one_in(f, 3) ? PROT_READ : PROT_READ | PROT_WRITE;
	int flags = one_in(f, 12) ? MAP_PRIVATE : MAP_SHARED;
	void *map;

	if (one_in(f, 20))
		at = (off_t)(odd_number(f) & ~(PAGE - 1));
	map = mmap(NULL, bytes, prot, flags, dev, at);
	count(f->life, DEV_MMAP, map == MAP_FAILED ? errno : 0);
	if (map == MAP_FAILED)
		return;
	touch(f, map);
	if (f->bar || bytes != PAGE)
		munmap(map, bytes);
	else
		f->bar = map; /* for requests to name, and for revocation to find */
}

void device_close(struct life *life)
{
	int dev = atomic_exchange(&life->dev, -1);

	if (dev >= 0)
		close(dev);
}

void device_use(struct fuzzer *f)
{
	int dev = atomic_load(&f->life->dev);
	uint32_t what = below(f, 256);

	if (dev < 0)
		return;
	if (what < 1)
		device_close(f->life);
	else if (what < 5)
		call(f, DEV_RESET, dev, VFIO_DEVICE_RESET, NULL);
	else if (what < 60)
		ask_info(f, dev);
	else if (what < 110)
		ask_irqs(f, dev);
	else if (what < 150)
		device_read(f, dev);
	else if (what < 190)
		device_write(f, dev);
	else if (what < 240)
		device_mmap(f, dev);
	else
		call(f, DEV_OTHER, dev,
		     (unsigned long[]){VFIO_DEVICE_FEATURE, VFIO_DEVICE_PCI_HOT_RESET,
				       VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, VFIO_DEVICE_IOEVENTFD,
				       VFIO_GET_API_VERSION}[below(f, 5)],
		     f->args);
}

void device_dead(struct fuzzer *f)
{
	int dev = atomic_load(&f->life->dev);

	if (dev < 0)
		return;
	call(f, DEV_RESET, dev, VFIO_DEVICE_RESET, NULL);
	for (unsigned int i = 0; i < 20; i++) {
		ask_info(f, dev);
		ask_irqs(f, dev);
		device_read(f, dev);
		device_mmap(f, dev);
	}
	if (f->bar)
		touch(f, (volatile uint32_t *)f->bar);
}

static void refused(struct life *life, bool good)
{
	atomic_fetch_add(&life->tally->in_child[!good], 1);
}

/* fork() takes files before memory: what was opened between the two is a number here, of nothing or of another file. */
static bool is_device(int fd)
{
	char link[32], name[32] = {0};

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	return readlink(link, name, sizeof(name) - 1) > 0 && !strcmp(name, "anon_inode:[quoll-device]");
}

void device_refused(struct life *life, uint8_t *page)
{
	int dev = atomic_load(&life->dev);

	if (dev < 0 || !is_device(dev))
		return;
	*(uint32_t *)page = 512;
	refused(life, ioctl(dev, VFIO_DEVICE_GET_INFO, page) == -1 && errno == EPERM);
	refused(life, ioctl(dev, VFIO_DEVICE_RESET, NULL) == -1 && errno == EPERM);
	refused(life, pread(dev, page, 4, region_at(VFIO_PCI_CONFIG_REGION_INDEX, 0)) == -1 && errno == EPERM);
	refused(life, pwrite(dev, page, 4, region_at(VFIO_PCI_CONFIG_REGION_INDEX, 0)) == -1 && errno == EPERM);
	refused(life, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, dev, 0) == MAP_FAILED && errno == EPERM);
}
