/* SPDX-License-Identifier: BSD-3-Clause */
/* kmod_stream_io.c - streaming under devices, threads, and the end of either; see kmod_stream.c. */
#include "kmod_ring.h"

#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#define WAIT_MS 30000
#define BATCH 64u
#define DEVICE_EACH 64u /* a power of two: rounds for a device */
#define LARGE (2ull << 20)

static void fill(uint8_t *memory, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		memory[i] = (uint8_t)(i * 7 + i / 256);
}

/* What is in the device goes to @iova; whether it came to @memory. */
static bool arrives(volatile uint32_t *bar, uint64_t iova, uint8_t *memory, const uint8_t *pattern)
{
	memset(memory, 0x33, EDU_BYTES);
	return !edu_dma(bar, iova, EDU_BUFFER, EDU_BYTES, true) && !memcmp(memory, pattern, EDU_BYTES);
}

static bool unreached(volatile uint32_t *bar, uint64_t iova, uint8_t *memory)
{
	memset(memory, 0x44, EDU_BYTES);
	edu_dma(bar, iova, EDU_BUFFER, EDU_BYTES, true);
	return all_bytes(memory, EDU_BYTES, 0x44);
}

static void edu_pages(struct ring *ring, volatile uint32_t *bar, uint8_t *source, uint8_t *target)
{
	push_map(ring, source, WINDOW, PAGE, QUOLL_STREAM_READ);
	push_map(ring, target, WINDOW + PAGE, PAGE, RW);
	check(all_good(ring), "a page is mapped for reading, another for both");
	check(!edu_dma(bar, WINDOW, EDU_BUFFER, EDU_BYTES, false) && arrives(bar, WINDOW + PAGE, target, source),
	      "a device copies one into the other");
	memcpy(target, source, PAGE);
	check(unreached(bar, WINDOW, source), "what is mapped for reading stays as it is when the device writes to it");
	memcpy(source, target, PAGE);
	push_unmap(ring, WINDOW, PAGE);
	push_unmap(ring, WINDOW + PAGE, PAGE);
	push_fence(ring);
	check(all_good(ring) && unreached(bar, WINDOW + PAGE, target), "after unmap and fence nothing is reached");
	check(!one_map(ring, target + PAGE, WINDOW + PAGE, PAGE, RW) &&
		      arrives(bar, WINDOW + PAGE, target + PAGE, source) && all_bytes(target, EDU_BYTES, 0x44),
	      "the address is another page's then");
	check(!one_unmap(ring, WINDOW + PAGE, PAGE) && !one_fence(ring), "and is free again");
}

static void edu_batch(struct ring *ring, volatile uint32_t *bar, uint8_t *target, const uint8_t *source)
{
	unsigned int good = 0;

	for (unsigned int i = 0; i < BATCH; i++)
		push_map(ring, target + i * PAGE, WINDOW + (uint64_t)(i * 37 % BATCH) * PAGE, PAGE, RW);
	check(all_good(ring), "a batch is mapped out of order");
	for (unsigned int i = 0; i < BATCH; i++)
		good += arrives(bar, WINDOW + (uint64_t)(i * 37 % BATCH) * PAGE, target + i * PAGE, source);
	check(good == BATCH, "%u pages of it are where they should be", good);
	for (unsigned int i = 0; i < BATCH; i++)
		if (i != 5)
			push_unmap(ring, WINDOW + (uint64_t)i * PAGE, PAGE);
	push_fence(ring);
	check(all_good(ring), "all but one are unmapped");
	good = 0;
	for (unsigned int i = 0; i < BATCH; i++)
		if (i * 37 % BATCH != 5)
			good += unreached(bar, WINDOW + (uint64_t)(i * 37 % BATCH) * PAGE, target + i * PAGE);
	check(good == BATCH - 1, "%u of them are not reached any more", good);
	for (unsigned int i = 0; i < BATCH; i++)
		if (i * 37 % BATCH == 5)
			check(arrives(bar, WINDOW + 5 * PAGE, target + i * PAGE, source), "the one is");
	check(!one_unmap(ring, WINDOW + 5 * PAGE, PAGE) && !one_fence(ring), "until it is unmapped, too");
}

/* Memory that is contiguous, mapped in parts that together are one large page of the IOMMU's; then as one. */
static void edu_large(struct ring *ring, volatile uint32_t *bar, const uint8_t *source)
{
	const uint64_t part = LARGE / BATCH, iova = WINDOW + 2 * LARGE;
	uint8_t *large = mmap(NULL, LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

	if (large == MAP_FAILED) {
		check(false, "a large page is to be had");
		return;
	}
	memset(large, 0, LARGE);
	for (unsigned int i = 0; i < BATCH; i++)
		push_map(ring, large + i * part, iova + i * part, part, RW);
	check(all_good(ring), "a large page is mapped in parts");
	push_unmap(ring, iova + 7 * part, part);
	push_fence(ring);
	check(all_good(ring) && unreached(bar, iova + 7 * part, large + 7 * part), "one part is taken from it");
	check(arrives(bar, iova, large, source) && arrives(bar, iova + 6 * part, large + 6 * part, source) &&
		      arrives(bar, iova + 8 * part, large + 8 * part, source) &&
		      arrives(bar, iova + LARGE - PAGE, large + LARGE - PAGE, source),
	      "the others are still reached");
	for (unsigned int i = 0; i < BATCH; i++)
		if (i != 7)
			push_unmap(ring, iova + i * part, part);
	check(all_good(ring) && !one_fence(ring) && unreached(bar, iova, large), "they are unmapped");
	push_map(ring, large + part, iova - part, part, RW);
	push_map(ring, large, iova, LARGE, RW);
	push_map(ring, large, iova + LARGE, part, RW);
	check(all_good(ring) && arrives(bar, iova + LARGE - PAGE, large + LARGE - PAGE, source) &&
		      arrives(bar, iova + LARGE, large, source),
	      "it is mapped whole, with neighbours");
	push_unmap(ring, iova, LARGE);
	push_fence(ring);
	check(all_good(ring) && unreached(bar, iova, large) &&
		      unreached(bar, iova + LARGE - PAGE, large + LARGE - PAGE) &&
		      arrives(bar, iova + LARGE, large, source) && arrives(bar, iova - part, large + part, source),
	      "and unmapped without them");
	push_unmap(ring, iova - part, part);
	push_unmap(ring, iova + LARGE, part);
	check(all_good(ring) && !one_fence(ring), "then they, too");
	munmap(large, LARGE);
}

static void edu_registered(struct ring *ring, volatile uint32_t *bar, uint8_t *target, const uint8_t *source)
{
	uint32_t id = 0;

	check(!buffer_register(ring->fd, target, 4 * PAGE, QUOLL_STREAM_WRITE, &id) && unreached(bar, WINDOW, target),
	      "a registered buffer is not reached by that");
	check(!one_registered(ring, id, 2 * PAGE, 2 * PAGE, RW) && arrives(bar, WINDOW, target + 2 * PAGE, source) &&
		      arrives(bar, WINDOW + PAGE, target + 3 * PAGE, source),
	      "but by being mapped");
	check(!one_unmap(ring, WINDOW, 2 * PAGE) && !one_fence(ring) && unreached(bar, WINDOW, target + 2 * PAGE) &&
		      !one_registered(ring, id, PAGE, PAGE, QUOLL_STREAM_READ) && unreached(bar, WINDOW, target + PAGE),
	      "until it is unmapped, and as is allowed");
	check(!one_unmap(ring, WINDOW, PAGE) && !one_fence(ring) && !buffer_unregister(ring->fd, id), "it goes");
}

void test_edu_stream(const char *addr)
{
	int fd = group_open(addr), dev = device_open(fd, addr);
	volatile uint32_t *bar = bar_map(dev, 0, EDU_BAR_BYTES);
	uint8_t *source = pages_get(1), *target = pages_get(BATCH);
	struct ring ring;

	check(bar && !window_set(fd, WINDOW, WINDOW_BYTES), "a window in what edu can address");
	bus_master(dev, true);
	ring = ring_open(fd, BATCH);
	fill(source, PAGE);
	edu_pages(&ring, bar, source, target);
	edu_batch(&ring, bar, target, source);
	edu_large(&ring, bar, source);
	edu_registered(&ring, bar, target, source);
	ring_close(&ring);
	close(fd);
	close(dev);
	check(!locked_kb(), "nothing is left");
}

void test_nvme_stream(const char *addr)
{
	const uint64_t window = 1ull << 32;
	uint8_t *data = pages_get(1);
	struct nvme admin;
	struct ring ring;

	check(nvme_open(&admin, addr) && !window_set(admin.fd, window, WINDOW_BYTES),
	      "a controller, and a window beyond 4 GiB");
	ring = ring_open(admin.fd, 8);
	check(nvme_start(&admin) && !one_map(&ring, data, window + PAGE, PAGE, QUOLL_STREAM_WRITE), "a page is mapped");
	check(nvme_identify(&admin, window + PAGE) == 0 && !memcmp(data + 4, "quoll-nvme", 10),
	      "the controller identifies itself by DMA into it");
	memset(data, 0x55, PAGE);
	push_unmap(&ring, window + PAGE, PAGE);
	push_fence(&ring);
	push_map(&ring, data, window + PAGE, PAGE, QUOLL_STREAM_READ);
	/* QEMU 7.2 completes such a command as if all were well */
	check(all_good(&ring) && nvme_identify(&admin, window + PAGE) >= 0 && all_bytes(data, PAGE, 0x55),
	      "mapped for reading it is not written to");
	check(!one_unmap(&ring, window + PAGE, PAGE) && !one_fence(&ring) &&
		      nvme_identify(&admin, window + PAGE) >= 0 && all_bytes(data, PAGE, 0x55),
	      "nor unmapped");
	close(admin.dev);
	close(admin.fd);
	check(!locked_kb(), "nothing is left");
}

/* Two threads and their rings. */
#define SLOTS 1024u
struct worker {
	struct ring ring;
	pthread_t thread;
	pthread_barrier_t *both;
	char *memory;
	bool backwards;
	unsigned int mapped, unmapped, wrong;
	uint32_t taken;
	bool running;
};

/* Each slot once. Return: how many went well; @other is what the rest may say. */
static unsigned int each_slot(struct worker *worker, bool map, int other)
{
	struct ring *ring = &worker->ring;
	unsigned int good = 0;

	for (unsigned int i = 0; i < SLOTS; i += ring->nr) {
		for (unsigned int k = i; k < i + ring->nr; k++) {
			uint64_t iova = WINDOW + (uint64_t)(worker->backwards ? SLOTS - 1 - k : k) * PAGE;

			if (map)
				push_map(ring, worker->memory + k * PAGE, iova, PAGE, RW);
			else
				push_unmap(ring, iova, PAGE);
		}
		worker->wrong += enter(ring) != (int)ring->nr;
		for (unsigned int k = 0; k < ring->nr; k++) {
			int rc = result(ring);

			good += !rc;
			worker->wrong += rc && rc != other;
		}
	}
	return good;
}

static void *same_slots(void *arg)
{
	struct worker *worker = arg;

	for (unsigned int round = 0; round < 10; round++) {
		pthread_barrier_wait(worker->both);
		worker->mapped += each_slot(worker, true, -EEXIST);
		pthread_barrier_wait(worker->both);
		worker->unmapped += each_slot(worker, false, -ENOENT);
		pthread_barrier_wait(worker->both);
		worker->wrong += one_fence(&worker->ring) != 0;
	}
	return NULL;
}

/* Some entries at a time, of a ring that is the other's, too. */
static void *same_ring(void *arg)
{
	struct worker *worker = arg;
	struct quoll_stream_enter enter = {.argsz = sizeof(enter), .ring = worker->ring.id, .nr_entries = 7};
	int rc;

	pthread_barrier_wait(worker->both);
	do {
		rc = ioctl(worker->ring.fd, QUOLL_STREAM_ENTER, &enter);
		worker->wrong += rc < 0 && errno != EBUSY;
		worker->taken += rc > 0 ? (uint32_t)rc : 0;
	} while (rc);
	return NULL;
}

static void both_run(struct worker workers[2], void *(*run)(void *))
{
	pthread_barrier_t both;

	pthread_barrier_init(&both, NULL, 2);
	for (unsigned int i = 0; i < 2; i++) {
		workers[i].both = &both;
		if (pthread_create(&workers[i].thread, NULL, run, &workers[i]))
			abort();
	}
	for (unsigned int i = 0; i < 2; i++)
		pthread_join(workers[i].thread, NULL);
	pthread_barrier_destroy(&both);
}

static void test_same_ring(int fd)
{
	struct ring ring = ring_open(fd, QUOLL_STREAM_MAX_ENTRIES);
	struct worker workers[2] = {{.ring = ring}, {.ring = ring}};
	char *memory = pages_get(ring.nr);
	unsigned int good = 0;

	for (unsigned int i = 0; i < ring.nr; i++)
		push_map(&ring, memory + i * PAGE, WINDOW + i * PAGE, PAGE, RW);
	__atomic_store_n(&ring.head->tail, ring.tail, __ATOMIC_RELEASE);
	both_run(workers, same_ring);
	for (unsigned int i = 0; i < ring.nr; i++)
		good += !result(&ring);
	check(workers[0].taken + workers[1].taken == ring.nr && good == ring.nr && result(&ring) == NO_RESULT &&
		      !workers[0].wrong && !workers[1].wrong,
	      "two threads at one ring: %u entries are done once each", good);
	munmap(memory, ring.nr * PAGE);
}

void test_threads(const char *addr)
{
	struct worker workers[2];
	int fd = group_open(addr);

	check(!window_set(fd, WINDOW, WINDOW_BYTES), "a window for two");
	for (unsigned int i = 0; i < 2; i++)
		workers[i] = (struct worker){.ring = ring_open(fd, 64), .memory = pages_get(SLOTS), .backwards = i};
	both_run(workers, same_slots);
	check(!workers[0].wrong && !workers[1].wrong && workers[0].mapped + workers[1].mapped == 10 * SLOTS &&
		      workers[0].unmapped + workers[1].unmapped == 10 * SLOTS,
	      "each slot is mapped once and unmapped once a round, by %u and %u, %u and %u", workers[0].mapped,
	      workers[1].mapped, workers[0].unmapped, workers[1].unmapped);
	test_same_ring(fd);
	close(fd);
	check(!locked_kb(), "nothing is left");
}

/* A page that is there when it is given. */
struct late {
	int uffd;
	uint8_t *page;
};

static struct late late_page(void)
{
	struct late late = {.uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK),
			    .page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)};
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register range = {.range = {.start = (uintptr_t)late.page, .len = PAGE},
					.mode = UFFDIO_REGISTER_MODE_MISSING};

	if (late.page == MAP_FAILED || ioctl(late.uffd, UFFDIO_API, &api) || ioctl(late.uffd, UFFDIO_REGISTER, &range))
		abort();
	return late;
}

static void late_give(struct late *late)
{
	struct uffdio_zeropage zero = {.range = {.start = (uintptr_t)late->page, .len = PAGE}};

	if (ioctl(late->uffd, UFFDIO_ZEROPAGE, &zero))
		abort();
}

/* Its page is the first of more than are done at a time; fences follow. */
static void *map_late(void *arg)
{
	struct worker *worker = arg;
	struct ring *ring = &worker->ring;

	push_map(ring, worker->memory, WINDOW, PAGE, RW);
	while (ring->tail < ring->nr)
		push_fence(ring);
	worker->taken = (uint32_t)enter(ring);
	worker->wrong = (unsigned int)-result(ring);
	__atomic_store_n(&worker->running, false, __ATOMIC_RELEASE);
	return NULL;
}

/* Start a call that waits for @late. Return: whether it does; kernels before 6.2 fail instead. */
static bool wait_late(struct worker *worker, struct late *late)
{
	struct pollfd waits = {.fd = late->uffd, .events = POLLIN};
	struct utsname name;

	worker->memory = (char *)late->page;
	worker->running = true;
	if (pthread_create(&worker->thread, NULL, map_late, worker))
		abort();
	for (unsigned int ms = 0; ms < WAIT_MS && __atomic_load_n(&worker->running, __ATOMIC_ACQUIRE); ms++)
		if (poll(&waits, 1, 1) == 1)
			return true;
	pthread_join(worker->thread, NULL);
	uname(&name);
	check(worker->wrong == EFAULT && !strncmp(name.release, "6.1.", 4), "6.1 does not wait for user memory here");
	return false;
}

void test_waiting(const char *addr)
{
	int fd = group_open(addr);
	struct late late = late_page();
	struct worker worker = {0};
	char *memory = pages_get(1);
	struct ring other;

	check(!window_set(fd, WINDOW, WINDOW_BYTES), "a window for one that waits");
	worker.ring = ring_open(fd, 2 * BATCH);
	other = ring_open(fd, 4);
	if (wait_late(&worker, &late)) {
		check(enter(&worker.ring) == -EBUSY && ring_give(fd, worker.ring.id) == -EBUSY,
		      "its ring is busy while a call waits for user memory");
		check(one_map(&other, memory, WINDOW, PAGE, RW) == -EEXIST &&
			      one_unmap(&other, WINDOW, PAGE) == -EINVAL,
		      "its slot is taken");
		check(!one_map(&other, memory, WINDOW + PAGE, PAGE, RW) && !one_unmap(&other, WINDOW + PAGE, PAGE) &&
			      !one_fence(&other) && !dma_map(fd, memory, IOVA, PAGE, QUOLL_DMA_READ),
		      "all else goes on");
		late_give(&late);
		pthread_join(worker.thread, NULL);
		while (result(&worker.ring) != NO_RESULT)
			;
		check(!worker.wrong && worker.taken == worker.ring.nr && !one_unmap(&worker.ring, WINDOW, PAGE) &&
			      !one_fence(&worker.ring),
		      "then it is mapped");
	}
	close(fd);
	check(!locked_kb(), "nothing is left");
	close(late.uffd);
}

static void ready(pid_t child)
{
	printf("ready %d\n", child);
	fflush(stdout);
}

/* Rounds of maps, unmaps and a fence, until one fails; "running" from the first that went well. */
static void *rounds(void *arg)
{
	struct worker *worker = arg;
	uint64_t base = WINDOW + (worker->backwards ? WINDOW_BYTES / 2 : 0);
	struct ring *ring = &worker->ring;
	int rc;

	for (;;) {
		for (unsigned int i = 0; i < BATCH; i++)
			push_map(ring, worker->memory + i * PAGE, base + i * PAGE, PAGE, RW);
		rc = enter(ring);
		for (unsigned int i = 0; i < BATCH; i++)
			push_unmap(ring, base + (uint64_t)(i * 37 % BATCH) * PAGE, PAGE);
		if (rc >= 0)
			rc = enter(ring);
		push_fence(ring);
		if (rc >= 0)
			rc = enter(ring);
		if (rc < 0)
			break;
		while ((rc = result(ring)) != NO_RESULT)
			worker->wrong += rc && rc != -ENODEV;
		__atomic_store_n(&worker->running, true, __ATOMIC_RELEASE);
	}
	worker->wrong += rc != -ENODEV;
	return NULL;
}

static void workers_start(struct worker workers[2], int fd)
{
	for (unsigned int i = 0; i < 2; i++) {
		workers[i] = (struct worker){.ring = ring_open(fd, 256), .memory = pages_get(BATCH), .backwards = i};
		if (pthread_create(&workers[i].thread, NULL, rounds, &workers[i]))
			abort();
	}
	for (unsigned int i = 0; i < 2; i++)
		for (unsigned int ms = 0; ms < WAIT_MS && !__atomic_load_n(&workers[i].running, __ATOMIC_ACQUIRE); ms++)
			usleep(1000);
}

static void hammer_with(const char *addr, bool with_child)
{
	int fd = group_open(addr), dev = device_open(fd, addr);
	volatile uint32_t *bar = bar_map(dev, 0, EDU_BAR_BYTES);
	uint8_t *memory = pages_get(1);
	struct worker workers[2];
	struct ring ring;
	pid_t child;

	if (!bar || window_set(fd, WINDOW, WINDOW_BYTES))
		exit(1);
	ring = ring_open(fd, 1);
	if (one_map(&ring, memory, WINDOW + WINDOW_BYTES - PAGE, PAGE, RW))
		exit(1);
	bus_master(dev, true);
	child = with_child ? fork() : -1;
	if (!child) {
		pause();
		_exit(0);
	}
	workers_start(workers, fd);
	ready(child);
	while (!edu_dma(bar, WINDOW + WINDOW_BYTES - PAGE, EDU_BUFFER, EDU_BYTES, true))
		;
	exit(1);
}

void hammer(const char *addr)
{
	hammer_with(addr, false);
}

void hammer_child(const char *addr)
{
	hammer_with(addr, true);
}

/* All that a group's file is good for, left as it is when the file is closed; a device's file before or after. */
static int round_of(const char *addr, char *memory, unsigned int i)
{
	int fd = group_open(addr), dev = -1, rc;
	struct ring ring;
	uint32_t id;

	if (fd < 0)
		return -errno;
	rc = window_set(fd, WINDOW, WINDOW_BYTES);
	if (!rc)
		rc = dma_map(fd, memory, IOVA, 2 * PAGE, RW);
	if (!rc && i % DEVICE_EACH == 0) { /* its open and close reset it, which takes its time */
		dev = device_open(fd, addr);
		rc = dev < 0 ? dev : 0;
	}
	if (!rc) {
		ring = ring_open(fd, 4);
		rc = buffer_register(fd, memory, 4 * PAGE, 0, &id);
		push_map(&ring, memory, WINDOW, 8 * PAGE, RW);
		if (i & 1)
			push_unmap(&ring, WINDOW, 8 * PAGE);
		rc = rc ?: all_good(&ring) ? 0 : -EIO;
		munmap(ring.head, ring_bytes(ring.nr));
	}
	if (dev >= 0 && i & DEVICE_EACH)
		close(dev);
	close(fd);
	if (dev >= 0 && !(i & DEVICE_EACH))
		close(dev);
	return rc;
}

void test_rounds(const char *addr, const char *nr_rounds)
{
	unsigned int rounds = (unsigned int)strtoul(nr_rounds, NULL, 0), good = 0;
	char *memory = pages_get(8);

	for (unsigned int i = 0; i < rounds; i++)
		good += !round_of(addr, memory, i);
	check(rounds && good == rounds, "%u of %u rounds of open, window, map, ring, buffer, device, close", good,
	      rounds);
	check(!locked_kb(), "nothing is locked after them");
}

/* What the owner of a device that was taken away sees of streaming; the group was its alone. */
static void lost(int fd, struct ring *ring)
{
	for (unsigned int ms = 0; ms < WAIT_MS && locked_kb(); ms++)
		usleep(1000);
	check(!locked_kb(), "nothing is locked any more, while the file is open");
	check(enter(ring) == -ENODEV && ring_give(fd, ring->id) == -ENODEV && window_set(fd, WINDOW, PAGE) == -ENODEV,
	      "the group is gone");
	close(fd);
}

void lose_stream(const char *addr)
{
	int fd = group_open(addr), dev = device_open(fd, addr);
	volatile uint32_t *bar = bar_map(dev, 0, EDU_BAR_BYTES);
	struct worker workers[2];

	check(bar && !window_set(fd, WINDOW, WINDOW_BYTES), "a window that will be lost");
	workers_start(workers, fd);
	ready(-1);
	for (unsigned int i = 0; i < 2; i++)
		pthread_join(workers[i].thread, NULL);
	check(!workers[0].wrong && !workers[1].wrong, "two threads are told that the group is lost, and nothing else");
	check(touch_is_bus_error(bar), "and so is the device");
	lost(fd, &workers[0].ring);
	close(dev);
}

void lose_waiting(const char *addr)
{
	int fd = group_open(addr);
	struct late late = late_page();
	struct worker worker = {0};
	bool waits;

	check(!window_set(fd, WINDOW, WINDOW_BYTES), "a window for one that waits");
	worker.ring = ring_open(fd, 2 * BATCH);
	waits = wait_late(&worker, &late);
	ready(-1);
	getchar();
	if (waits) {
		late_give(&late);
		pthread_join(worker.thread, NULL);
		check(worker.wrong == ENODEV && worker.taken == BATCH,
		      "what came back after the end of the claim is not mapped, and what follows not begun");
	}
	lost(fd, &worker.ring);
	close(late.uffd);
}
