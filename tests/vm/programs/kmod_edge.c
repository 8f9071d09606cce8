/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kmod_edge.c - quoll.ko where things go wrong half-way, or come while the group is owned.
 *
 *   kmod_edge reserved ADDR        what the kernel has reserved for the group is told, all of it, and cannot be mapped
 *   kmod_edge coherent ADDR        the IOMMU is made to enforce snooping if it can, and that is told
 *   kmod_edge refused ADDR         the group does not open, as nobody remaps interrupts
 *   kmod_edge added ADDR OTHER     "ready", then OTHER is added to the group; a line of input: it has our driver
 *   kmod_edge memory ADDR CGROUP   the IOMMU gets no memory for a table half-way through a mapping; ADDR is edu's
 *   kmod_edge intx ADDR            edu's interrupt pin: an eventfd, masked with each interrupt, and by request
 *   kmod_edge long ADDR            a batch of entries that take long; "ready" before
 *   kmod_edge batch ADDR           "ready", a line of input: neighbours are mapped, unmapped, fenced; "ready", another
 *   kmod_edge stale ADDR           all_groups=1: the file of a group that was lost, and a new one
 *   kmod_edge contest ADDR ROUNDS  the group, and its device by VFIO and an iommufd, are opened at once, over and over
 *   kmod_edge unmap ADDR ROUNDS    a BAR is unmapped while the device is revoked, over and over
 *
 * One line a check: "ok NAME" or "not ok NAME". Exits 1 if one failed.
 */
#include "kmod_ring.h"

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#define BATCH 64u
#define LARGE (2ull << 20)
#define WAIT_MS 30000
#define QUIET_MS 300

static void ready(void)
{
	printf("ready\n");
	fflush(stdout);
}

static void test_reserved(const char *addr)
{
	int fd = group_open(addr);
	struct quoll_group_info *info = group_info(fd, 0);
	struct quoll_cap_reserved *cap = cap_find(info, QUOLL_CAP_RESERVED);
	unsigned int nr = 0, told = 0, mapped = 0;
	char path[128], *memory = pages_get(2), type[32];
	uint64_t first, last;
	FILE *file;

	snprintf(path, sizeof(path), "/sys/kernel/iommu_groups/%u/reserved_regions", group_number(addr));
	file = fopen(path, "r");
	while (file && fscanf(file, "%" SCNx64 " %" SCNx64 " %31s", &first, &last, type) == 3) {
		if (!strcmp(type, "direct-relaxable"))
			continue;
		nr++;
		for (unsigned int i = 0; cap && i < cap->nr_ranges; i++)
			told += cap->ranges[i].first == first && cap->ranges[i].last == last;
		mapped += dma_map(fd, memory, first & ~(PAGE - 1), PAGE, QUOLL_DMA_READ) != -ERANGE;
		mapped += dma_map(fd, memory, last & ~(PAGE - 1), PAGE, QUOLL_DMA_READ) != -ERANGE;
		mapped += window_set(fd, (last & ~(PAGE - 1)), 2 * PAGE) != -ERANGE;
	}
	check(nr && told == nr && cap->nr_ranges == nr, "%u of the kernel's %u reserved ranges are told", told, nr);
	check(!mapped, "none of them is mapped, or in a window");
	if (file)
		fclose(file);
	free(info);
	close(fd);
}

/* Of the first unit: the lab has one. Return: whether it can. */
static bool snoop_control(void)
{
	FILE *file = fopen("/sys/class/iommu/dmar0/intel-iommu/ecap", "r");
	uint64_t ecap = 0;

	if (!file || fscanf(file, "%" SCNx64, &ecap) != 1)
		abort();
	fclose(file);
	return ecap & 1 << 7;
}

static void test_coherent(const char *addr)
{
	int fd = group_open(addr), dev = device_open(fd, addr);
	struct quoll_group_info *info = group_info(fd, 0);
	struct quoll_cap_iommu *cap = cap_find(info, QUOLL_CAP_IOMMU);
	volatile uint32_t *bar = bar_map(dev, 0, EDU_BAR_BYTES);

	check(cap && !!(cap->flags & QUOLL_IOMMU_COHERENT_ALWAYS) == snoop_control(),
	      "snooping is enforced, as the IOMMU %s", snoop_control() ? "can" : "can't");
	bus_master(dev, true);
	edu_dma_tests(fd, bar, pages_get(1));
	free(info);
	close(dev);
	close(fd);
}

static void test_refused(const char *addr)
{
	check(group_open(addr) == -1 && errno == EPERM, "without remapped interrupts the group is refused");
}

/* Whether it is a member, and its flags; the driver core may be at it for a moment. */
static bool member(int fd, const char *name, struct quoll_group_device *device)
{
	for (unsigned int index = 0, ms = 0; ms < WAIT_MS;) {
		*device = (struct quoll_group_device){.argsz = sizeof(*device), .index = index};
		if (ioctl(fd, QUOLL_GROUP_GET_DEVICE, device)) {
			index = 0;
			usleep(1000);
			ms++;
		} else if (strcmp(device->name, name)) {
			index++;
		} else if (!(device->flags & QUOLL_DEVICE_BUSY)) {
			return true;
		}
	}
	return false;
}

static void test_added(const char *addr, const char *other)
{
	int fd = group_open(addr), events = eventfd(0, EFD_CLOEXEC);
	struct quoll_group_events set = {.argsz = sizeof(set), .fd = events};
	struct pollfd waits = {.fd = events, .events = POLLIN};
	struct quoll_group_device device;
	struct quoll_group_info *info = group_info(fd, 0);
	char *memory = pages_get(1);
	uint32_t nr = info ? info->nr_devices : 0;

	check(fd >= 0 && nr && !ioctl(fd, QUOLL_GROUP_SET_EVENTS, &set), "the group is owned, its events asked for");
	check(!dma_map(fd, memory, IOVA, PAGE, QUOLL_DMA_READ) && poll(&waits, 1, 0) == 0, "nothing has happened");
	ready();
	check(poll(&waits, 1, WAIT_MS) == 1, "an event tells of the device that is added");
	check(member(fd, other, &device) && !device.flags && !*device.driver && device.bus == QUOLL_BUS_TYPE_PCI,
	      "it is a member, and without a driver");
	check(device_open(fd, other) == -ENOENT, "nor is it ours yet");
	free(info);
	info = group_info(fd, 0);
	check(info && info->nr_devices == nr + 1 && info->flags & QUOLL_GROUP_CLAIMED, "the group is owned as before");
	getchar();
	check(member(fd, other, &device) && device.flags == QUOLL_DEVICE_BOUND, "with our driver it is ours");
	check(device_open(fd, other) >= 0, "and its file is to be had");
	check(!dma_unmap(fd, IOVA, PAGE), "what was mapped stayed so");
	free(info);
	close(fd);
}

static void write_to(int fd, const char *text)
{
	if (pwrite(fd, text, strlen(text), 0) != (ssize_t)strlen(text)) {
		perror(text);
		abort();
	}
}

static int open_in(const char *folder, const char *name)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		perror(path);
		abort();
	}
	return fd;
}

/*
 * Two pages that lie one behind the other in memory, the second of which needs a table of its own: there is no memory
 * for that, and what the first had got must be gone, as it is not pinned any more.
 */
static void test_memory(const char *addr, const char *cgroup)
{
	int fd = group_open(addr), dev = device_open(fd, addr), max = open_in(cgroup, "memory.max");
	volatile uint32_t *bar = bar_map(dev, 0, EDU_BAR_BYTES);
	uint8_t *large = mmap(NULL, LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	const uint64_t last = WINDOW + LARGE - PAGE, room = 128ull << 20;
	struct ring ring;
	uint64_t iova;
	int rc = 0;

	check(bar && large != MAP_FAILED && !window_set(fd, WINDOW, room), "a window, and a large page");
	memset(large, 0x44, LARGE);
	bus_master(dev, true);
	ring = ring_open(fd, 8);
	check(!one_map(&ring, large, WINDOW, PAGE, RW), "there is a table for the first page");
	write_to(open_in("/proc/self", "oom_score_adj"), "-1000");
	write_to(open_in(cgroup, "cgroup.procs"), "0");
	if (mlockall(MCL_CURRENT))
		abort();
	write_to(max, "65536");
	for (iova = WINDOW + 2 * LARGE; !rc && iova < WINDOW + room; iova += LARGE)
		rc = one_map(&ring, large, iova, PAGE, RW);
	if (rc == -ENOMEM)
		rc = one_map(&ring, large + PAGE, last, 2 * PAGE, RW);
	write_to(max, "max");
	check(rc == -ENOMEM, "tables get no more memory");
	edu_dma(bar, last, EDU_BUFFER, EDU_BYTES, true);
	check(all_bytes(large + PAGE, EDU_BYTES, 0x44), "a mapping that failed half-way is not reached");
	check(!one_map(&ring, large + 3 * PAGE, last, 2 * PAGE, RW) &&
		      !edu_dma(bar, last, EDU_BUFFER, EDU_BYTES, true) &&
		      !all_bytes(large + 3 * PAGE, EDU_BYTES, 0x44) && all_bytes(large + PAGE, EDU_BYTES, 0x44),
	      "the next one at its address is");
	check(!one_unmap(&ring, last, 2 * PAGE) && !one_fence(&ring), "until it is unmapped");
	close(dev);
	close(fd);
}

static int intx_do(int dev, uint32_t action)
{
	struct vfio_irq_set set = {.argsz = sizeof(set),
				   .flags = VFIO_IRQ_SET_DATA_NONE | action,
				   .index = VFIO_PCI_INTX_IRQ_INDEX,
				   .count = 1};

	return ioctl(dev, VFIO_DEVICE_SET_IRQS, &set) ? -errno : 0;
}

/* How many times it was signalled within @ms. */
static uint64_t signalled(int irq, int ms)
{
	struct pollfd waits = {.fd = irq, .events = POLLIN};
	uint64_t n = 0;

	if (poll(&waits, 1, ms) == 1 && read(irq, &n, sizeof(n)) != sizeof(n))
		abort();
	return n;
}

static void test_intx(const char *addr)
{
	const uint32_t raise = 0x60 / 4, ack = 0x64 / 4;
	int fd = group_open(addr), dev = device_open(fd, addr), irq = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	volatile uint32_t *bar = bar_map(dev, 0, EDU_BAR_BYTES);

	check(bar && !irq_set(dev, VFIO_PCI_INTX_IRQ_INDEX, irq), "an eventfd is taken for INTx");
	bar[raise] = 1;
	check(signalled(irq, WAIT_MS) == 1 && !signalled(irq, QUIET_MS),
	      "it is signalled once, though the line stays up");
	check(!intx_do(dev, VFIO_IRQ_SET_ACTION_UNMASK) && signalled(irq, WAIT_MS) == 1, "again when it is unmasked");
	bar[ack] = 1;
	check(!intx_do(dev, VFIO_IRQ_SET_ACTION_UNMASK) && !signalled(irq, QUIET_MS), "but not with the line down");
	check(!intx_do(dev, VFIO_IRQ_SET_ACTION_MASK), "it is masked");
	bar[raise] = 1;
	check(!signalled(irq, QUIET_MS), "and not signalled");
	check(!intx_do(dev, VFIO_IRQ_SET_ACTION_UNMASK) && signalled(irq, WAIT_MS) == 1, "until it is unmasked");
	close(dev);
	close(fd);
	close(irq);
}

/* Each entry finds after all of the window but a page that it can't have it. */
static void test_long(const char *addr)
{
	const uint64_t window = 1ull << 36, bytes = QUOLL_WINDOW_MAX_BYTES;
	int fd = group_open(addr), rc;
	char *memory = pages_get(1);
	struct ring ring;

	check(!window_set(fd, window, bytes), "a window as large as can be");
	ring = ring_open(fd, BATCH);
	check(!one_map(&ring, memory, window + bytes - PAGE, PAGE, RW), "its last page is mapped");
	for (unsigned int i = 0; i < BATCH; i++)
		push_map(&ring, memory, window, bytes, RW);
	ready();
	rc = enter(&ring);
	check(rc == -ENODEV || rc == BATCH, "a batch of long entries ends");
	rc = 0;
	for (unsigned int i = 0; i < BATCH; i++)
		rc |= result(&ring) == -ENODEV;
	check(rc, "before all of them were looked at, as the device was taken away");
	close(fd);
}

static void test_batch(const char *addr)
{
	int fd = group_open(addr);
	char *memory = pages_get(BATCH);
	struct ring ring;

	check(!window_set(fd, WINDOW, WINDOW_BYTES), "a window");
	ring = ring_open(fd, BATCH);
	ready();
	getchar();
	for (unsigned int i = 0; i < BATCH; i++)
		push_map(&ring, memory + i * PAGE, WINDOW + i * PAGE, PAGE, RW);
	check(all_good(&ring), "neighbours are mapped");
	for (unsigned int i = 0; i < BATCH; i++)
		push_unmap(&ring, WINDOW + i * PAGE, PAGE);
	check(all_good(&ring), "and unmapped");
	check(!one_fence(&ring), "and fenced");
	ready();
	getchar();
	close(fd);
}

static void test_stale(const char *addr)
{
	int fd = group_open(addr), other;

	check(fd >= 0, "the group opens");
	ready();
	getchar();
	other = group_open(addr);
	check(other >= 0, "it opens again once its device has come back, as the file from before has lost it");
	check(dma_unmap(fd, IOVA, PAGE) == -ENODEV && dma_unmap(other, IOVA, PAGE) == -ENOENT, "which says so");
	close(fd);
	check(dma_unmap(other, IOVA, PAGE) == -ENOENT, "closing that one does nothing to the other");
	close(other);
}

/*
 * Who opens the device by VFIO and an iommufd, and we, on one CPU; a timer decides when we cut in. It goes to where
 * neither has won: between VFIO's question whether it may and its open.
 */
struct contest {
	const char *addr;
	int timer;
	_Atomic unsigned int vfio_done, ours_open, ours_done; /* rounds */
	unsigned int ours, vfio, beside;
};

static void wait_for_round(_Atomic unsigned int *done, unsigned int round)
{
	while (atomic_load(done) != round)
		usleep(100);
}

static void *contest_ours(void *arg)
{
	struct contest *contest = arg;
	unsigned int round = 0;
	uint64_t expired;
	int fd, dev;

	sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 1});
	while (read(contest->timer, &expired, sizeof(expired)) == sizeof(expired)) {
		round++;
		fd = group_open(contest->addr);
		dev = fd < 0 ? -1 : device_open(fd, contest->addr);
		contest->ours += dev >= 0;
		atomic_store(&contest->ours_open, round);
		wait_for_round(&contest->vfio_done, round);
		if (dev >= 0)
			close(dev);
		if (fd >= 0)
			close(fd);
		atomic_store(&contest->ours_done, round);
	}
	return NULL;
}

/* Return: what we got by VFIO after @ns: nothing (-1), the device (1), a file that is good for nothing (0). */
static int contest_round(struct contest *contest, int iommu, unsigned int round, long ns)
{
	struct vfio_device_info info = {.argsz = sizeof(info)};
	struct itimerspec when = {.it_value.tv_nsec = ns};
	int group, dev = -1, got = -1;
	char path[64];

	snprintf(path, sizeof(path), "/dev/vfio/%u", group_number(contest->addr));
	group = open(path, O_RDWR | O_CLOEXEC);
	if (group < 0 || ioctl(group, VFIO_GROUP_SET_CONTAINER, &iommu) ||
	    timerfd_settime(contest->timer, 0, &when, NULL))
		abort();
	dev = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, contest->addr);
	wait_for_round(&contest->ours_open, round);
	if (dev >= 0)
		got = !ioctl(dev, VFIO_DEVICE_GET_INFO, &info) || errno != EBUSY;
	atomic_store(&contest->vfio_done, round);
	wait_for_round(&contest->ours_done, round);
	if (dev >= 0)
		close(dev);
	close(group);
	return got;
}

static void test_contest(const char *addr, const char *rounds)
{
	struct contest contest = {.addr = addr, .timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC)};
	int iommu = open("/dev/iommu", O_RDWR | O_CLOEXEC), got;
	long ns = 100000, step = ns / 2;
	pthread_t ours;
	cpu_set_t cpu;

	CPU_ZERO(&cpu);
	CPU_SET(0, &cpu);
	if (sched_setaffinity(0, sizeof(cpu), &cpu) || pthread_create(&ours, NULL, contest_ours, &contest))
		abort();
	for (unsigned int i = 1; i <= (unsigned int)atoi(rounds); i++) {
		got = contest_round(&contest, iommu, i, ns);
		contest.vfio += got > 0;
		contest.beside += !got;
		ns -= got * step;
		ns = ns < 1000 ? 1000 : ns;
		step = step * 7 / 8 > 500 ? step * 7 / 8 : 500 + i * 37 % 4000;
	}
	pthread_cancel(ours);
	pthread_join(ours, NULL);
	close(iommu);
	check(contest.ours && contest.vfio,
	      "contest: ours %u times, VFIO's %u times; of ours it got a file that is good for nothing %u times",
	      contest.ours, contest.vfio, contest.beside);
}

#define UNMAPPED_AT_ONCE 32u

static _Atomic int revoked_dev;
static _Atomic unsigned int unmaps;

/* From when the device is open until it is dead. Each page is a mapping of its own: to unmap them takes a while. */
static void *unmap_until_dead(void *arg)
{
	size_t bytes = UNMAPPED_AT_ONCE * PAGE;
	bool dead = false;
	uint8_t *at;
	int dev;

	while ((dev = atomic_load(&revoked_dev)) < 0)
		sched_yield();
	while (!dead) {
		at = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (at == MAP_FAILED)
			abort();
		for (size_t i = 0; i < bytes && !dead; i += PAGE)
			dead = mmap(at + i, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, dev, 0) == MAP_FAILED ||
			       touch_is_bus_error(at + i);
		munmap(at, bytes);
		atomic_fetch_add(&unmaps, 1);
	}
	*(bool *)arg = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, dev, 0) == MAP_FAILED && errno == ENODEV;
	return NULL;
}

static void test_unmap(const char *addr, const char *rounds)
{
	unsigned int nr = (unsigned int)atoi(rounds), dead = 0;
	bool is_dead;
	pthread_t thread;
	int fd, dev;

	for (unsigned int i = 0; i < nr; i++) {
		atomic_store(&revoked_dev, -1);
		if (pthread_create(&thread, NULL, unmap_until_dead, &is_dead))
			abort();
		fd = group_open(addr);
		dev = device_open(fd, addr);
		if (fd < 0 || dev < 0)
			abort();
		atomic_store(&unmaps, 0);
		atomic_store(&revoked_dev, dev);
		while (!atomic_load(&unmaps))
			sched_yield();
		close(fd);
		pthread_join(thread, NULL);
		dead += is_dead;
		close(dev);
	}
	check(nr && dead == nr, "unmap: of %u devices that died while a BAR was unmapped, %u could be mapped no longer",
	      nr, dead);
}

int main(int argc, char **argv)
{
	static const struct kmod_test tests[] = {
		{.name = "reserved", .run = test_reserved},  {.name = "coherent", .run = test_coherent},
		{.name = "refused", .run = test_refused},    {.name = "added", .run_with = test_added},
		{.name = "memory", .run_with = test_memory}, {.name = "intx", .run = test_intx},
		{.name = "long", .run = test_long},	     {.name = "batch", .run = test_batch},
		{.name = "stale", .run = test_stale},	     {.name = "contest", .run_with = test_contest},
		{.name = "unmap", .run_with = test_unmap},
	};

	return kmod_main(tests, sizeof(tests) / sizeof(*tests), argc, argv);
}
