/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kmod_selftest.c - quoll.ko by its own interface, without the library: a group, its devices, real DMA, bad input.
 *
 *   kmod_selftest group ADDR       owner, questions, mappings, limits, bad input; ADDR's group has to be viable
 *   kmod_selftest edu ADDR         QEMU's edu: BAR, MSI, DMA with each permission
 *   kmod_selftest nvme ADDR        config space, MSI-X, reset, the controller identified by DMA
 *   kmod_selftest turns ADDR       /dev/vfio/N and /dev/quoll/N in turn, never at once
 *   kmod_selftest beside ADDR      all_groups=1: /dev/quoll/N is open while VFIO has the group
 *   kmod_selftest rounds ADDR N    open, map, device, close: N times
 *   kmod_selftest blocked ADDR BY DRIVER [all]   not viable: who is in the way; "all": with all_groups=1
 *   kmod_selftest hold ADDR        edu under DMA for good; "ready" once it runs
 *   kmod_selftest child ADDR       as hold, and a forked child has the files, too: "ready CHILD"
 *   kmod_selftest lose ADDR        edu under load until it is taken away; says what the owner saw
 *   kmod_selftest wait ADDR        the group without a device's file until the last member is taken away
 *
 * One line a check: "ok NAME" or "not ok NAME". Exits 1 if one failed.
 */
#include "kmod_lib.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define MEMLOCK_PAGES 64
#define WAIT_MS 30000
#define DEVICE_EACH 64u /* a power of two: rounds for a device */

static void test_owner(const char *addr)
{
	int fd = group_open(addr), other, status = 0, rc;
	char *memory = pages_get(1);
	pid_t pid;

	check(fd >= 0, "the group opens");
	other = group_open(addr);
	check(other == -1 && errno == EBUSY, "a second open is refused");
	pid = fork();
	if (!pid) {
		rc = dma_map(fd, memory, IOVA, PAGE, QUOLL_DMA_READ);
		if (rc != -EPERM || device_open(fd, addr) != -EPERM || group_open(addr) != -1 || errno != EBUSY)
			_exit(1);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	check(!status, "a forked child gets neither mappings nor devices of the group");
	check(passed_fd_refused(fd, addr), "nor does a process that the file was sent to");
	check(!dma_map(fd, memory, IOVA, PAGE, QUOLL_DMA_READ), "the owner goes on");
	close(fd);
	fd = group_open(addr);
	check(fd >= 0, "it opens again after close");
	check(dma_unmap(fd, IOVA, PAGE) == -ENOENT, "nothing is mapped then");
	close(fd);
	munmap(memory, PAGE);
}

static void test_questions(const char *addr)
{
	int fd = group_open(addr), control = open("/dev/quoll/control", O_RDWR | O_CLOEXEC);
	struct quoll_group_device device = {.argsz = sizeof(device)};
	struct quoll_cap_reserved *reserved;
	struct quoll_group_info *info;
	struct quoll_cap_iommu *iommu;
	bool msi = false, found = false;

	check(ioctl(control, QUOLL_GET_VERSION) == QUOLL_UAPI_VERSION, "the control node tells the version");
	info = group_info(fd, 0);
	check(info && (info->flags & (QUOLL_GROUP_VIABLE | QUOLL_GROUP_OWNED | QUOLL_GROUP_CLAIMED)) == 7,
	      "the group is viable, owned, claimed");
	check(info && info->nr_devices >= 1 && info->nr_bound >= 1, "members and ours are counted");
	iommu = cap_find(info, QUOLL_CAP_IOMMU);
	check(iommu && iommu->page_sizes & PAGE && iommu->aperture_last > (1ull << 32) &&
		      iommu->flags & QUOLL_IOMMU_ISOLATED_MSI && iommu->flags & QUOLL_IOMMU_COHERENT,
	      "the IOMMU's pages, aperture, coherence and interrupt isolation are told");
	reserved = cap_find(info, QUOLL_CAP_RESERVED);
	for (unsigned int i = 0; reserved && i < reserved->nr_ranges; i++)
		msi |= reserved->ranges[i].type == QUOLL_RESERVED_MSI && reserved->ranges[i].first == 0xfee00000;
	check(msi, "the window of interrupt messages is told to be reserved");
	free(info);
	for (; !found && !ioctl(fd, QUOLL_GROUP_GET_DEVICE, &device); device.index++, device.flags = device.group = 0)
		found = !strcmp(device.name, addr) && device.flags == QUOLL_DEVICE_BOUND &&
			device.bus == QUOLL_BUS_TYPE_PCI && !strcmp(device.driver, "quoll");
	check(found, "the device is among the members, with its bus and driver");
	info = group_info(control, group_number(addr));
	check(info && info->flags & QUOLL_GROUP_OWNED, "the control node tells that the group is owned");
	free(info);
	info = group_info(control, 999999);
	check(!info && errno == ENOENT, "and knows no group that there is not");
	close(control);
	close(fd);
}

static void test_mappings(const char *addr)
{
	int fd = group_open(addr);
	struct rlimit limit = {MEMLOCK_PAGES * PAGE, MEMLOCK_PAGES * PAGE};
	char *memory = pages_get(MEMLOCK_PAGES + 1), *code = (char *)((uintptr_t)test_mappings & ~(PAGE - 1));
	const int rw = QUOLL_DMA_READ | QUOLL_DMA_WRITE;

	check(!dma_map(fd, memory, IOVA, 4 * PAGE, rw) && locked_kb() == 16, "four pages count as locked");
	check(dma_map(fd, memory, IOVA + 3 * PAGE, PAGE, rw) == -EEXIST, "an overlap is refused");
	check(dma_unmap(fd, IOVA, PAGE) == -EINVAL && dma_unmap(fd, IOVA + 3 * PAGE, 4 * PAGE) == -EINVAL,
	      "a mapping is not cut");
	check(!dma_map(fd, memory, IOVA + 4 * PAGE, PAGE, rw) && !dma_unmap(fd, IOVA, 64 * PAGE) && !locked_kb(),
	      "an unmap of several takes all, and nothing is locked then");
	check(dma_unmap(fd, IOVA, 64 * PAGE) == -ENOENT, "it finds nothing a second time");
	check(dma_map(fd, memory, 0xfee00000, PAGE, rw) == -ERANGE &&
		      dma_map(fd, memory, 0xfedff000, 2 * PAGE, rw) == -ERANGE,
	      "reserved addresses are refused");
	check(dma_map(fd, memory, 1ull << 50, PAGE, rw) == -ERANGE, "and what is beyond the aperture");
	check(dma_map(fd, NULL, IOVA, PAGE, rw) == -EFAULT &&
		      dma_map(fd, (void *)(-1ull << 20), IOVA, PAGE, rw) == -EFAULT,
	      "memory that is not there, or the kernel's, is refused");
	check(dma_map(fd, code, IOVA, PAGE, rw) == -EFAULT, "what the process may not write devices may not either");
	check(!dma_map(fd, code, IOVA, PAGE, QUOLL_DMA_READ) && !dma_unmap(fd, IOVA, PAGE), "but they may read it");
	munmap(memory + PAGE, PAGE);
	check(dma_map(fd, memory, IOVA, 3 * PAGE, rw) == -EFAULT && !locked_kb(), "a hole is refused as a whole");
	memory += 2 * PAGE;
	check(!privilege_drop() && !setrlimit(RLIMIT_MEMLOCK, &limit), "the rest is done without privilege");
	check(dma_map(fd, memory, IOVA, (MEMLOCK_PAGES - 1) * PAGE, rw) == 0 &&
		      dma_map(fd, memory, 2 * IOVA, 2 * PAGE, rw) == -ENOMEM,
	      "RLIMIT_MEMLOCK counts");
	close(fd);
	check(!locked_kb(), "closing the group takes everything off the limit");
}

/* What no structure may say. */
static void test_bad_input(const char *addr)
{
	struct {
		struct quoll_dma_map map;
		uint8_t more[64];
	} longer = {.map = {.argsz = sizeof(longer), .flags = QUOLL_DMA_READ, .iova = IOVA, .size_bytes = PAGE}};
	struct quoll_dma_map map = {.argsz = sizeof(map), .flags = QUOLL_DMA_READ, .iova = IOVA, .size_bytes = PAGE};
	struct {
		struct quoll_group_device device;
		uint64_t more;
	} member = {.device = {.argsz = sizeof(member)}, .more = 1};
	struct quoll_group_events events = {.argsz = sizeof(events), .fd = -1};
	struct quoll_device_open dev = {.argsz = sizeof(dev)};
	struct quoll_group_info info = {.argsz = sizeof(info)};
	int fd = group_open(addr);
	char *memory = pages_get(1);

	map.va = longer.map.va = (uintptr_t)memory;
	check(!ioctl(fd, QUOLL_GROUP_MAP_DMA, &longer) && !dma_unmap(fd, IOVA, PAGE),
	      "a longer structure that is zero is taken");
	longer.more[63] = 1;
	check(fails(fd, QUOLL_GROUP_MAP_DMA, &longer, E2BIG), "not one that says what is not known");
	check(fails(fd, QUOLL_GROUP_GET_DEVICE, &member, E2BIG), "nor when a question does");
	longer.map.argsz = UINT32_MAX;
	check(fails(fd, QUOLL_GROUP_MAP_DMA, &longer, E2BIG), "one of 4 GiB is not looked through");
	for (unsigned int i = 0; i < 6; i++) {
		struct quoll_dma_map bad = map;

		switch (i) {
		case 0:
			bad.argsz = sizeof(bad) - 1;
			break;
		case 1:
			bad.flags = 0;
			break;
		case 2:
			bad.flags = 4;
			break;
		case 3:
			bad.size_bytes = 0;
			break;
		case 4:
			bad.iova += 1;
			break;
		case 5:
			bad.size_bytes = -PAGE;
			break;
		}
		check(fails(fd, QUOLL_GROUP_MAP_DMA, &bad, EINVAL), "bad map %u is refused", i);
	}
	check(fails(fd, QUOLL_GROUP_MAP_DMA, (void *)8, EFAULT), "so is an argument that is no memory");
	memset(dev.name, 'x', sizeof(dev.name));
	check(fails(fd, QUOLL_GROUP_OPEN_DEVICE, &dev, EINVAL), "a name without an end is refused");
	strcpy(dev.name, "0000:ff:1f.7");
	check(fails(fd, QUOLL_GROUP_OPEN_DEVICE, &dev, ENOENT), "and one that nobody has");
	dev.flags = 1;
	check(fails(fd, QUOLL_GROUP_OPEN_DEVICE, &dev, EINVAL), "and a flag that is not known");
	events.reserved = 1;
	check(fails(fd, QUOLL_GROUP_SET_EVENTS, &events, EINVAL), "reserved members are zero");
	events.reserved = 0;
	events.fd = fd;
	check(fails(fd, QUOLL_GROUP_SET_EVENTS, &events, EINVAL), "events want an eventfd");
	info.group = 1;
	check(fails(fd, QUOLL_GROUP_GET_INFO, &info, EINVAL), "a group's node answers for itself only");
	check(fails(fd, _IO(QUOLL_UAPI_TYPE, 99), NULL, ENOTTY), "an unknown request is told so");
	check(dma_unmap_all(fd) == -ENOENT, "and none of it left anything mapped");
	close(fd);
	munmap(memory, PAGE);
}

/* Devices read what the process sees: memory that nobody has written to yet, behind what can't be written to. */
static void edu_untouched_tests(int fd, volatile uint32_t *bar)
{
	uint8_t *memory = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *target = pages_get(1);

	check(memory != MAP_FAILED && !mprotect(memory, PAGE, PROT_READ) &&
		      !dma_map(fd, memory, IOVA, 2 * PAGE, QUOLL_DMA_READ) &&
		      !dma_map(fd, target, 2 * IOVA, PAGE, QUOLL_DMA_READ | QUOLL_DMA_WRITE),
	      "a page that is read-only and one that nobody has written to are mapped for reading");
	memset(memory + PAGE, 0x33, PAGE);
	check(!edu_dma(bar, IOVA + PAGE, EDU_BUFFER, EDU_BYTES, false) &&
		      !edu_dma(bar, 2 * IOVA, EDU_BUFFER, EDU_BYTES, true) && all_bytes(target, EDU_BYTES, 0x33),
	      "the device reads what is written to it then");
	check(dma_unmap_all(fd) == 0 && !locked_kb(), "nothing of them is left");
	munmap(memory, 2 * PAGE);
	munmap(target, PAGE);
}

static void test_edu(const char *addr)
{
	int fd = group_open(addr), dev = device_open(fd, addr), irq = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	volatile uint32_t *bar = bar_map(dev, 0, EDU_BAR_BYTES);
	struct pollfd waits = {.fd = irq, .events = POLLIN};
	uint8_t *memory = pages_get(1);

	check(dev >= 0 && device_open(fd, addr) == -EBUSY, "a device's file is given once");
	check(bar && (bar[0] & 0xff) == 0xed, "its BAR is mapped");
	check(bar_refused_in_child(bar), "a forked child has no mapping of it");
	check(fails(dev, VFIO_DEVICE_PCI_HOT_RESET, NULL, ENOTTY) && fails(dev, VFIO_DEVICE_FEATURE, NULL, ENOTTY),
	      "what is not for it is not offered");
	bus_master(dev, true);
	check(!irq_set(dev, VFIO_PCI_MSI_IRQ_INDEX, irq), "an eventfd is taken for MSI");
	bar[0x60 / 4] = 1;
	check(poll(&waits, 1, WAIT_MS) == 1, "and is signalled");
	edu_dma_tests(fd, bar, memory);
	edu_untouched_tests(fd, bar);
	check(!ioctl(dev, VFIO_DEVICE_RESET), "the device is reset");
	close(fd);
	check(fails(dev, VFIO_DEVICE_RESET, NULL, ENODEV) && touch_is_bus_error(bar),
	      "closing the group ends the device's file and its mapping");
	close(dev);
	close(irq);
}

static void test_rounds(const char *addr, unsigned int rounds)
{
	char *memory = pages_get(2);
	unsigned int good = 0;

	for (unsigned int i = 0; i < rounds; i++) {
		int fd = group_open(addr), dev = -1, rc;

		rc = fd < 0 ? -errno : dma_map(fd, memory, IOVA, 2 * PAGE, QUOLL_DMA_READ | QUOLL_DMA_WRITE);
		/* a device's open and close reset it, which takes its time */
		if (!rc && i % DEVICE_EACH == 0) {
			dev = device_open(fd, addr);
			rc = dev < 0 ? dev : 0;
		}
		good += !rc;
		if (dev >= 0 && i & DEVICE_EACH)
			close(dev);
		close(fd);
		if (dev >= 0 && !(i & DEVICE_EACH))
			close(dev);
	}
	check(good == rounds, "%u of %u rounds of open, map, close", good, rounds);
	check(!locked_kb(), "nothing is locked after them");
}

static void test_blocked(const char *addr, const char *by, const char *driver, bool all)
{
	int fd = group_open(addr), control = open("/dev/quoll/control", O_RDWR | O_CLOEXEC);
	char *memory = pages_get(1);
	struct quoll_group_info *info;

	check(all ? fd >= 0 : fd == -1 && errno == EBUSY,
	      all ? "a group that is not viable opens" : "a group that is not viable is refused");
	info = all ? group_info(fd, 0) : group_info(control, group_number(addr));
	check(info && !(info->flags & QUOLL_GROUP_VIABLE) && !strcmp(info->blocker, by) &&
		      !strcmp(info->blocker_driver, driver),
	      "it is told that %s with %s is in the way", info ? info->blocker : "?",
	      info ? info->blocker_driver : "?");
	free(info);
	if (all) {
		check(dma_map(fd, memory, IOVA, PAGE, QUOLL_DMA_READ) == -EBUSY && device_open(fd, addr) == -EBUSY,
		      "it maps nothing and gives no device");
		printf("ready\n");
		fflush(stdout);
		getchar();
		check(!dma_map(fd, memory, IOVA, PAGE, QUOLL_DMA_READ), "once all members are bound it maps");
		check(device_open(fd, addr) >= 0, "and gives devices");
	}
	close(fd);
	close(control);
}

static void hold(const char *addr, bool with_child)
{
	int fd = group_open(addr), dev = device_open(fd, addr);
	volatile uint32_t *bar = bar_map(dev, 0, EDU_BAR_BYTES);
	uint8_t *memory = pages_get(256);
	pid_t child = -1;

	if (fd < 0 || dev < 0 || !bar || dma_map(fd, memory, IOVA, 256 * PAGE, QUOLL_DMA_READ | QUOLL_DMA_WRITE))
		exit(1);
	bus_master(dev, true);
	if (with_child) {
		child = fork();
		if (!child) {
			pause();
			_exit(0);
		}
	}
	for (bool told = false;; told = true) {
		if (edu_dma(bar, IOVA, EDU_BUFFER, EDU_BYTES, false) ||
		    edu_dma(bar, IOVA + PAGE, EDU_BUFFER, EDU_BYTES, true))
			exit(1);
		if (!told) {
			printf("ready %d\n", child);
			fflush(stdout);
		}
	}
}

/* The owner pays no heed to the request, so the device is taken: when, and what is left of it then. */
static void lose(const char *addr)
{
	int fd = group_open(addr), dev = device_open(fd, addr), events = eventfd(0, EFD_CLOEXEC),
	    req = eventfd(0, EFD_CLOEXEC);
	struct quoll_group_events set = {.argsz = sizeof(set), .fd = events};
	struct pollfd waits[] = {{.fd = events, .events = POLLIN}, {.fd = req, .events = POLLIN}};
	volatile uint32_t *bar = bar_map(dev, 0, EDU_BAR_BYTES);
	uint8_t *memory = pages_get(1);
	bool gone = false;

	check(!ioctl(fd, QUOLL_GROUP_SET_EVENTS, &set) && !irq_set(dev, VFIO_PCI_REQ_IRQ_INDEX, req),
	      "events are asked for");
	check(!dma_map(fd, memory, IOVA, PAGE, QUOLL_DMA_READ | QUOLL_DMA_WRITE), "memory is mapped");
	bus_master(dev, true);
	printf("ready\n");
	fflush(stdout);
	for (unsigned int i = 0; !gone && i < 100000000; i++)
		gone = i % 64 ? touch_is_bus_error(bar) : pread(dev, &set, 4, 7ull << 40) == -1 && errno == ENODEV;
	check(gone, "the device is taken from under load");
	check(poll(waits, 2, 0) == 2, "the group's event and the request came before");
	/* The group goes after the device, and pages are taken off the limit last. */
	for (unsigned int ms = 0;
	     ms < WAIT_MS && (dma_map(fd, memory, IOVA, PAGE, QUOLL_DMA_READ) != -ENODEV || locked_kb()); ms++)
		usleep(1000);
	check(dma_map(fd, memory, IOVA, PAGE, QUOLL_DMA_READ) == -ENODEV, "the group was its alone, and is gone");
	check(!locked_kb(), "nothing is locked any more");
	check(fails(dev, VFIO_DEVICE_RESET, NULL, ENODEV) && touch_is_bus_error(bar), "file and mapping are dead");
	close(dev);
	close(fd);
}

/* Nobody has the device's file, so nobody is asked to close it; the group's event is all that tells. */
static void wait_for_loss(const char *addr)
{
	int fd = group_open(addr), events = eventfd(0, EFD_CLOEXEC);
	struct quoll_group_events set = {.argsz = sizeof(set), .fd = events};
	struct pollfd waits = {.fd = events, .events = POLLIN};
	uint8_t *memory = pages_get(1);

	check(!ioctl(fd, QUOLL_GROUP_SET_EVENTS, &set), "the group's events are asked for");
	check(!dma_map(fd, memory, IOVA, PAGE, QUOLL_DMA_READ), "memory is mapped, no device open");
	check(poll(&waits, 1, 0) == 0, "nothing is told before anything happens");
	printf("ready\n");
	fflush(stdout);
	check(poll(&waits, 1, WAIT_MS) == 1, "the loss of the last member is told");
	check(dma_unmap(fd, IOVA, PAGE) == -ENODEV && !group_info(fd, 0) && errno == ENODEV, "and the group is gone");
	for (unsigned int ms = 0; ms < WAIT_MS && locked_kb(); ms++)
		usleep(1000);
	check(!locked_kb(), "what was mapped is off the limit while the file is open");
	close(fd);
	close(events);
}

int main(int argc, char **argv)
{
	const char *test = argc > 2 ? argv[1] : "", *addr = argc > 2 ? argv[2] : "";

	bus_errors_catch();
	if (!strcmp(test, "group")) {
		test_owner(addr);
		test_questions(addr);
		test_bad_input(addr);
		test_mappings(addr); /* drops privileges */
	} else if (!strcmp(test, "edu")) {
		test_edu(addr);
	} else if (!strcmp(test, "nvme")) {
		test_nvme(addr);
	} else if (!strcmp(test, "turns")) {
		test_turns(addr);
	} else if (!strcmp(test, "beside")) {
		test_beside(addr);
	} else if (!strcmp(test, "rounds") && argc == 4) {
		test_rounds(addr, strtoul(argv[3], NULL, 0));
	} else if (!strcmp(test, "blocked") && argc >= 5) {
		test_blocked(addr, argv[3], argv[4], argc == 6);
	} else if (!strcmp(test, "hold") || !strcmp(test, "child")) {
		hold(addr, *test == 'c');
	} else if (!strcmp(test, "lose")) {
		lose(addr);
	} else if (!strcmp(test, "wait")) {
		wait_for_loss(addr);
	} else {
		fprintf(stderr, "kmod_selftest: see the head of its source\n");
		return 2;
	}
	return checks_failed() ? 1 : 0;
}
