/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio_selftest.c - the VFIO back-end against the kernel's: claim, devices, regions, interrupts, mappings, events.
 *
 *   vfio_selftest ADDR [OTHER]      all of ADDR's group, which must be with vfio-pci; OTHER joins in a second group
 *   vfio_selftest --events ADDR     open, say "ready", wait for an event, say which, let go
 *   vfio_selftest --map-limit ADDR  map page after page until it is refused, say after how many and why
 *   vfio_selftest --refused ADDR    print why the claim is refused
 *
 * One line a check, as tests/lib.sh has them: "ok NAME" or "not ok NAME" and the reason. Exits 1 if one failed.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/capability.h>

#include <quoll/mmio.h>
#include <quoll/pci.h>

#include "backend/backend.h"

#define CLASS_NVME 0x010802
#define NVME_CAP 0x0
#define NVME_VS 0x8
#define PAGE 4096ull
#define LOW_MEMLOCK (64 * 1024)
#define EVENT_WAIT_MS 60000

static int failures;
static struct quoll_error err;

static void check(bool good, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void check(bool good, const char *fmt, ...)
{
	va_list ap;

	printf(good ? "ok vfio: " : "not ok vfio: ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	if (!good) {
		printf("    last error: %s: %s (%s)\n    try: %s\n", err.subject, err.what, strerror(err.errnum),
		       err.hint);
		failures++;
	}
	fflush(stdout);
}

static void check_limits_known(struct quoll_ioas *ioas)
{
	struct quoll_ioas_info info;
	bool msi = false;

	check(!quoll_ioas_info(ioas, &info, &err), "limits can be read");
	check(info.nr_ranges > 0 && (info.page_sizes & PAGE), "ranges and page sizes are known");
	for (unsigned int i = 0; i < info.nr_ranges; i++) {
		printf("    range 0x%" PRIx64 " .. 0x%" PRIx64 "\n", info.ranges[i].first, info.ranges[i].last);
		msi |= info.ranges[i].first <= 0xfeefffff && info.ranges[i].last >= 0xfee00000;
	}
	check(!msi, "the MSI window is no range");
	printf("    page sizes 0x%" PRIx64 ", %" PRIu32 " mappings, %" PRIu64 " bytes to lock\n", info.page_sizes,
	       info.maps_avail, info.memlock_bytes);
	if (ioas->ops->forgets_maps) /* type1 */
		check(info.maps_avail != UINT32_MAX && info.maps_avail > 1000,
		      "the number of mappings is limited, and told");
}

/* A second claim by another process is refused and names this one. */
static void check_exclusive(struct quoll_ioas *ioas, const struct quoll_addr *addr)
{
	struct quoll_group *again = NULL;
	char pid_text[16];
	int status = 0;
	pid_t pid;

	check(quoll_group_claim(ioas, addr, &again, &err) == -EBUSY,
	      "a second claim in the same address space is refused");
	snprintf(pid_text, sizeof(pid_text), "%d", (int)getpid());
	fflush(stdout);
	pid = fork();
	if (!pid) {
		struct quoll_ioas *own = NULL;
		int rc;

		/* The child inherits the files; what it claims is by its own open. */
		if (quoll_ioas_open(NULL, getenv("QUOLL_BACKEND"), &own, &err))
			_exit(2);
		rc = quoll_group_claim(own, addr, &again, &err);
		printf("    %s\n", err.what);
		fflush(stdout);
		_exit(rc == -EBUSY && strstr(err.what, pid_text) ? 0 : 1);
	}
	check(pid > 0 && waitpid(pid, &status, 0) == pid && !status,
	      "a claim by another process is refused, and names us");
}

static struct ioas_mapping mapping(void *va, quoll_iova_t iova, uint64_t len)
{
	return (struct ioas_mapping){
		.va = va, .iova = iova, .len_bytes = len, .access = MAP_DEVICE_READ | MAP_DEVICE_WRITE, .fd = -1};
}

static void check_mappings(struct quoll_ioas *ioas)
{
	const quoll_iova_t iova = 0x10000000;
	uint8_t *memory = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct ioas_mapping m = mapping(memory, iova, 4 * PAGE);
	struct quoll_ioas_info before, info;

	quoll_ioas_info(ioas, &before, &err);
	check(!ioas_map(ioas, &m, &err), "memory is mapped");
	quoll_ioas_info(ioas, &info, &err);
	check(info.maps_avail == before.maps_avail - (before.maps_avail != UINT32_MAX), "it counts as one mapping");
	check(ioas_map(ioas, &m, &err) == -EEXIST, "a second time it is refused");
	check(ioas->ops->map(ioas, &m, &err) == -EEXIST, "by the kernel, too");
	check(ioas_unmap(ioas, iova, PAGE) == -EINVAL, "a mapping is not cut");
	check(!ioas_unmap(ioas, iova, 4 * PAGE), "it is unmapped");
	check(ioas_unmap(ioas, iova, 4 * PAGE) == -ENOENT, "but once");

	m.access = MAP_DEVICE_READ;
	check(!ioas_map(ioas, &m, &err) && !ioas_unmap(ioas, iova, 4 * PAGE), "device-read memory is mapped");
	m = mapping(memory + 512, iova, PAGE);
	check(ioas_map(ioas, &m, &err) == -EINVAL && strstr(err.what, "4096"), "misaligned: the page size is named");
	m = mapping(memory, before.ranges[before.nr_ranges - 1].last + 1, PAGE);
	check(ioas_map(ioas, &m, &err) == -ERANGE, "outside the aperture");
	m = mapping(memory, 0xfee00000, PAGE);
	check(ioas_map(ioas, &m, &err) != 0, "in the MSI window");
	mprotect(memory, PAGE, PROT_READ);
	m = mapping(memory, iova, PAGE);
	check(ioas_map(ioas, &m, &err) == -EFAULT, "read-only memory is not for devices to write");
	munmap(memory, 4 * PAGE);
	check(ioas_map(ioas, &m, &err) == -EFAULT, "no memory at all");
	quoll_ioas_info(ioas, &info, &err);
	check(info.maps_avail == before.maps_avail, "nothing is left mapped");
}

/* Without CAP_IPC_LOCK the limit holds, and both the check and the kernel name the number. */
static void check_memlock(struct quoll_ioas *ioas)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct old[2], without[2];
	struct rlimit old_limit, low;
	uint64_t len = 4 * LOW_MEMLOCK;
	uint8_t *memory = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct ioas_mapping m = mapping(memory, 0x10000000, len);
	struct quoll_ioas_info info;

	syscall(SYS_capget, &head, old);
	memcpy(without, old, sizeof(old));
	without[0].effective &= ~(1u << CAP_IPC_LOCK);
	getrlimit(RLIMIT_MEMLOCK, &old_limit);
	low = (struct rlimit){.rlim_cur = LOW_MEMLOCK, .rlim_max = old_limit.rlim_max};
	check(!setrlimit(RLIMIT_MEMLOCK, &low) && !syscall(SYS_capset, &head, without), "CAP_IPC_LOCK is dropped");
	check(!quoll_ioas_info(ioas, &info, &err) && info.memlock_bytes == LOW_MEMLOCK,
	      "memlock: what is left is told");
	check(ioas_check_limits(ioas, len, 1, &err) == -ENOMEM && strstr(err.what, "256 KiB"),
	      "memlock: checked before, with the number needed");
	check(ioas_map(ioas, &m, &err) == -ENOMEM && strstr(err.what, "256 KiB"),
	      "memlock: the kernel's refusal likewise");
	printf("    %s\n    try: %s\n", err.what, err.hint);
	m.len_bytes = LOW_MEMLOCK;
	check(!ioas_map(ioas, &m, &err), "memlock: all of it can be used");
	check(!quoll_ioas_info(ioas, &info, &err) && info.memlock_bytes == 0, "memlock: then nothing is left");
	check(!ioas_unmap(ioas, m.iova, m.len_bytes), "memlock: and given back");
	setrlimit(RLIMIT_MEMLOCK, &old_limit);
	syscall(SYS_capset, &head, old);
	munmap(memory, len);
}

static void check_irqs(struct quoll_device *dev, const char *name)
{
	struct quoll_irq_info info;
	int fds[2] = {eventfd(0, EFD_CLOEXEC), eventfd(0, EFD_CLOEXEC)};

	if (!quoll_irq_info(dev, QUOLL_PCI_IRQ_INTX, &info, &err) && info.nr_vectors) {
		check(!quoll_irq_enable(dev, QUOLL_PCI_IRQ_INTX, fds, 1, &err), "%s: INTx on", name);
		check(!quoll_irq_unmask(dev, QUOLL_PCI_IRQ_INTX, 0), "%s: INTx unmasked", name);
		check(quoll_irq_enable(dev, QUOLL_PCI_IRQ_MSIX, fds, 1, &err) < 0, "%s: not MSI-X beside it", name);
		check(!quoll_irq_disable(dev, QUOLL_PCI_IRQ_INTX), "%s: INTx off", name);
	}
	if (!quoll_irq_info(dev, QUOLL_PCI_IRQ_MSIX, &info, &err) && info.nr_vectors) {
		printf("    MSI-X: %u vectors, flags %x\n", info.nr_vectors, info.flags);
		check(!quoll_irq_enable(dev, QUOLL_PCI_IRQ_MSIX, fds, 1, &err), "%s: one MSI-X vector", name);
		if (info.nr_vectors > 1)
			check(!quoll_irq_enable(dev, QUOLL_PCI_IRQ_MSIX, fds, 2, &err), "%s: two of them", name);
		check(quoll_irq_enable(dev, QUOLL_PCI_IRQ_MSIX, fds, info.nr_vectors + 1, &err) == -ENOSPC,
		      "%s: not one too many", name);
		check(!quoll_irq_attach(dev, QUOLL_PCI_IRQ_MSIX, 0, -1), "%s: the vector detached", name);
		check(!quoll_irq_attach(dev, QUOLL_PCI_IRQ_MSIX, 0, fds[1]), "%s: and attached to another", name);
		check(quoll_irq_attach(dev, QUOLL_PCI_IRQ_MSIX, info.nr_vectors, fds[0]) == -EINVAL,
		      "%s: none that is not enabled", name);
		/* Left on: closing the device has to switch them off. */
	}
	close(fds[0]);
	close(fds[1]);
}

static void check_regions(struct quoll_device *dev, const struct quoll_device_info *info)
{
	struct quoll_region *region = NULL;
	struct quoll_region_info bar;
	volatile void *regs;
	uint32_t vs, by_call = 0;
	uint64_t cap;

	for (unsigned int i = 0; i < info->nr_regions; i++) {
		if (quoll_region_info(dev, i, &bar, &err))
			check(false, "%s: region %u described", info->name, i);
		if (!bar.size_bytes)
			continue;
		printf("    0x%" PRIx64 " bytes, flags %x, %u areas\n", bar.size_bytes, bar.flags, bar.nr_areas);
		if (!(bar.flags & QUOLL_REGION_MMAP))
			continue;
		check(!quoll_region_map(dev, i, &region, &err), "%s: region %u mapped", info->name, i);
		check(quoll_region_ptr(region, bar.size_bytes, 1) == NULL, "%s: not past its end", info->name);
		if (i != QUOLL_PCI_BAR0 || info->class_code != CLASS_NVME)
			continue;
		regs = quoll_region_ptr(region, 0, 16);
		cap = quoll_mmio_read64((volatile uint8_t *)regs + NVME_CAP);
		vs = quoll_mmio_read32((volatile uint8_t *)regs + NVME_VS);
		printf("    CAP 0x%016" PRIx64 ", version %u.%u\n", cap, vs >> 16, vs >> 8 & 0xff);
		check((cap & 0xffff) > 0 && cap != UINT64_MAX && vs >> 16 >= 1 && vs >> 16 <= 2,
		      "%s: NVMe registers read", info->name);
		check(!quoll_region_read(dev, i, NVME_VS, &by_call, 4) && by_call == vs, "%s: the same by system call",
		      info->name);
	}
}

static void check_device(struct quoll_group *group, const char *name)
{
	struct quoll_device *dev = NULL, *again = NULL;
	struct quoll_device_info info;
	uint32_t command = 0;

	check(!quoll_device_open(group, name, &dev, &err), "%s: opened", name);
	if (!dev)
		return;
	check(quoll_device_open(group, name, &again, &err) == -EBUSY, "%s: once", name);
	check(quoll_group_release(group) == -EBUSY, "%s: holds its group", name);
	quoll_device_info(dev, &info);
	printf("    %04x:%04x class %06" PRIx32 ", %s\n", info.vendor_id, info.device_id, info.class_code,
	       info.can_reset ? "can be reset" : "cannot be reset");
	check(!quoll_pci_config_read(dev, 4, 2, &command) && (command & 6) == 2, "%s: memory on, bus mastering off",
	      name);
	check_regions(dev, &info);
	check_irqs(dev, name);
	check(!quoll_pci_bus_master(dev, true), "%s: bus mastering on", name);
	check(quoll_device_reset(dev, &err) == (info.can_reset ? 0 : -ENOTTY), "%s: reset, if it has one", name);
	check(!quoll_pci_config_read(dev, 4, 2, &command) && (command & 6) == 6, "%s: both on again after it", name);
	check(quoll_device_events(dev) == 0, "%s: no events", name);
	quoll_device_close(dev);
	dev = NULL;
	check(!quoll_device_open(group, name, &dev, &err), "%s: opened again", name);
	quoll_device_close(dev);
}

/* All devices of the group at once, closed in another order. */
static void check_together(struct quoll_group *group)
{
	unsigned int nr = quoll_group_nr_devices(group);
	struct quoll_device **devs = calloc(nr, sizeof(struct quoll_device *));

	for (unsigned int i = 0; i < nr; i++)
		check(!quoll_device_open(group, quoll_group_device_name(group, i), &devs[i], &err),
		      "%u of %u open at once", i + 1, nr);
	for (unsigned int i = 0; i < nr; i++)
		quoll_device_close(devs[i]);
	free(devs);
}

/* A mapping outlives the release of the only group: the kernel forgets it, the IOAS does not. */
static void check_claim_again(struct quoll_ioas *ioas, struct quoll_group **group, const struct quoll_addr *addr)
{
	uint8_t *memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct ioas_mapping m = mapping(memory, 0x10000000, PAGE);
	int rc;

	check(!ioas_map(ioas, &m, &err), "memory is mapped before the group is released");
	check(!quoll_group_release(*group), "released");
	*group = NULL;
	rc = quoll_group_claim(ioas, addr, group, &err);
	check(!rc, "claimed again");
	if (rc)
		exit(1);
	/* Unmap succeeds only if the kernel finds the whole mapping. */
	check(!ioas_unmap(ioas, m.iova, PAGE), "the memory is mapped again");
	munmap(memory, PAGE);
}

static void check_second_group(struct quoll_ioas *ioas, const struct quoll_addr *addr)
{
	struct quoll_group *second = NULL;
	struct quoll_device *dev = NULL;

	check(!quoll_group_claim(ioas, addr, &second, &err), "a second group joins the address space");
	if (!second)
		return;
	check(!quoll_device_open(second, addr->target, &dev, &err), "its device is opened");
	quoll_device_close(dev);
	check(!quoll_group_release(second), "it leaves");
}

static int run_events(struct quoll_group *group, const char *name)
{
	struct quoll_device *dev = NULL;
	struct pollfd p = {.events = POLLIN};
	unsigned int events;

	if (quoll_device_open(group, name, &dev, &err)) {
		printf("not ok vfio: %s\n", err.what);
		return 1;
	}
	printf("ready\n");
	fflush(stdout);
	p.fd = quoll_device_event_fd(dev);
	poll(&p, 1, EVENT_WAIT_MS);
	events = quoll_device_events(dev);
	printf("events:%s%s%s\n", events & QUOLL_DEVICE_REMOVE_REQUESTED ? " remove-requested" : "",
	       events & QUOLL_DEVICE_ERROR ? " error" : "", events & QUOLL_DEVICE_GONE ? " gone" : "");
	fflush(stdout);
	quoll_device_close(dev);
	return 0;
}

static void print_refusal(void)
{
	printf("%s: %s: %s (%s)\ntry: %s\n", err.stage, err.subject, err.what, strerrorname_np(err.errnum), err.hint);
}

static int run_map_limit(struct quoll_ioas *ioas)
{
	uint8_t *memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct ioas_mapping m = mapping(memory, 0x10000000, PAGE);
	unsigned int nr = 0;

	/* Straight to the kernel's own refusal; then what a heap would have been told before. */
	while (!ioas_map(ioas, &m, &err)) {
		m.iova += PAGE;
		nr++;
	}
	printf("mapped %u\n", nr);
	print_refusal();
	check(ioas_check_limits(ioas, PAGE, 1, &err) == -ENOMEM, "the limit is checked before, too");
	print_refusal();
	check(!nr || !ioas_unmap(ioas, 0x10000000, nr * PAGE), "all of them are unmapped");
	munmap(memory, PAGE);
	return 0;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 2 && argv[1][0] == '-' ? argv[1] : "";
	struct quoll_addr addr, other;
	struct quoll_group *group = NULL;
	struct quoll_ioas *ioas = NULL;
	int first = *mode ? 2 : 1, rc = 0;

	if (argc <= first || quoll_addr_parse(argv[first], &addr, &err)) {
		fprintf(stderr, "usage: vfio_selftest [--events|--map-limit|--refused] ADDR [OTHER]\n");
		return 2;
	}
	rc = quoll_ioas_open(NULL, getenv("QUOLL_BACKEND"), &ioas, &err);
	if (!rc)
		rc = quoll_group_claim(ioas, &addr, &group, &err);
	if (rc) {
		print_refusal();
		return 1;
	}
	if (!strcmp(mode, "--events")) {
		rc = run_events(group, addr.target);
	} else if (!strcmp(mode, "--map-limit")) {
		rc = run_map_limit(ioas);
	} else if (!*mode) {
		check_limits_known(ioas);
		check_exclusive(ioas, &addr);
		check_mappings(ioas);
		check_memlock(ioas);
		for (unsigned int i = 0; i < quoll_group_nr_devices(group); i++)
			check_device(group, quoll_group_device_name(group, i));
		check_together(group);
		check_claim_again(ioas, &group, &addr);
		if (argc > first + 1 && !quoll_addr_parse(argv[first + 1], &other, &err))
			check_second_group(ioas, &other);
	}
	check(quoll_ioas_close(ioas) == -EBUSY, "the address space is not closed under its group");
	check(!quoll_group_release(group) && !quoll_ioas_close(ioas), "all is given back");
	return rc || failures ? 1 : 0;
}
