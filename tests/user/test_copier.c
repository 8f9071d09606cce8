/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_copier.c - a device of another bus in another process, through the same calls as every device: regions by
 * message and mapped, memory, an interrupt, reset, its end.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <quoll/device.h>
#include <quoll/heap.h>
#include <quoll/mmio.h>

#include "backend/backend.h"
#include "copier.h"
#include "unit.h"

#define PATIENCE_MS 20000

struct world {
	char dir[64];
	char path[128];
	pid_t copier;
	struct quoll_ioas *ioas;
	struct quoll_group *group;
	struct quoll_device *dev;
	struct quoll_heap *heap;
	struct quoll_arena *arena;
	int eventfd;
};

static void client_begin(struct world *w)
{
	struct quoll_heap_opts opts = {
		.pages = QUOLL_PAGES_4K, .numa_node = -1, .ioases = &w->ioas, .nr_ioases = 1, .size_bytes = 1 << 30};
	struct quoll_addr addr;
	char text[160];

	snprintf(text, sizeof(text), "vfio-user:%s", w->path);
	CU_ASSERT_EQUAL_FATAL(quoll_addr_parse(text, &addr, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_ioas_open(NULL, "vfio-user", &w->ioas, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_group_claim(w->ioas, &addr, &w->group, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_device_open(w->group, w->path, &w->dev, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_heap_create(NULL, &opts, &w->heap, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_arena_create(w->heap, "test", QUOLL_ARENA_DEVICE_READ_WRITE, 0, &w->arena, NULL),
			      0);
	w->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	CU_ASSERT_EQUAL_FATAL(quoll_irq_enable(w->dev, 0, &w->eventfd, 1, NULL), 0);
}

static void client_end(struct world *w)
{
	quoll_device_close(w->dev);
	quoll_heap_destroy(w->heap);
	CU_ASSERT_EQUAL(quoll_group_release(w->group), 0);
	CU_ASSERT_EQUAL(quoll_ioas_close(w->ioas), 0);
	close(w->eventfd);
}

static void copier_kill(struct world *w)
{
	CU_ASSERT_EQUAL(kill(w->copier, SIGKILL), 0);
	CU_ASSERT_EQUAL(waitpid(w->copier, NULL, 0), w->copier);
}

static void world_begin(struct world *w)
{
	memset(w, 0, sizeof(*w));
	strcpy(w->dir, "/tmp/quoll-copier-XXXXXX");
	if (!mkdtemp(w->dir))
		abort();
	snprintf(w->path, sizeof(w->path), "%s/sock", w->dir);
	w->copier = copier_start(w->path);
	client_begin(w);
}

static void world_end(struct world *w)
{
	client_end(w);
	copier_kill(w);
	CU_ASSERT_EQUAL(unlink(w->path), 0); /* what is killed leaves its socket */
	CU_ASSERT_EQUAL(rmdir(w->dir), 0);
}

static uint64_t get(struct world *w, enum copier_register at)
{
	quoll_le64 value = 0;

	CU_ASSERT_EQUAL(quoll_region_read(w->dev, COPIER_REGISTERS, at, &value, sizeof(value)), 0);
	return quoll_le64_to_cpu(value);
}

static int put(struct world *w, enum copier_register at, uint64_t value)
{
	quoll_le64 le = quoll_cpu_to_le64(value);

	return quoll_region_write(w->dev, COPIER_REGISTERS, at, &le, sizeof(le));
}

static void *memory(struct world *w, uint64_t bytes, quoll_iova_t *iova)
{
	void *va = NULL;

	CU_ASSERT_EQUAL_FATAL(quoll_arena_alloc(w->arena, bytes, 4096, &va, NULL), 0);
	*iova = quoll_heap_iova(w->heap, va, bytes);
	return va;
}

/* Have it copy, and sleep until its interrupt. Return: its status. */
static uint64_t run_copy(struct world *w, quoll_iova_t from, quoll_iova_t to, uint64_t len)
{
	struct pollfd pfd = {.fd = w->eventfd, .events = POLLIN};
	uint64_t times;

	CU_ASSERT_EQUAL(put(w, COPIER_FROM, from) | put(w, COPIER_TO, to) | put(w, COPIER_LEN, len), 0);
	CU_ASSERT_EQUAL(put(w, COPIER_START, 1), 0);
	/* Its commands come on our socket: they are answered by whoever looks at events, or waits for a register. */
	for (int ms = 0; ms < PATIENCE_MS && poll(&pfd, 1, 1) == 0; ms++)
		CU_ASSERT_EQUAL_FATAL(quoll_device_events(w->dev), 0);
	CU_ASSERT_EQUAL_FATAL(read(w->eventfd, &times, sizeof(times)), sizeof(times));
	CU_ASSERT_EQUAL(times, 1);
	return get(w, COPIER_STATUS);
}

static void a_device_that_is_not_pci_is_described(void)
{
	struct quoll_device_info info;
	struct quoll_region_info region;
	struct quoll_irq_info irq;
	struct world w;

	world_begin(&w);
	quoll_device_info(w.dev, &info);
	CU_ASSERT_EQUAL(info.bus, QUOLL_BUS_PLATFORM);
	CU_ASSERT_EQUAL(info.nr_regions, 2);
	CU_ASSERT_EQUAL(info.nr_irqs, 1);
	CU_ASSERT_TRUE(info.can_reset);
	CU_ASSERT_EQUAL(info.vendor_id, 0);
	CU_ASSERT_EQUAL(quoll_region_info(w.dev, COPIER_REGISTERS, &region, NULL), 0);
	CU_ASSERT_EQUAL(region.size_bytes, COPIER_REGISTER_BYTES);
	CU_ASSERT_EQUAL(region.flags, QUOLL_REGION_READ | QUOLL_REGION_WRITE);
	CU_ASSERT_EQUAL(quoll_region_info(w.dev, COPIER_MEMORY, &region, NULL), 0);
	CU_ASSERT_EQUAL(region.flags, QUOLL_REGION_READ | QUOLL_REGION_WRITE | QUOLL_REGION_MMAP);
	CU_ASSERT_EQUAL(region.nr_areas, 1);
	CU_ASSERT_EQUAL(quoll_irq_info(w.dev, 0, &irq, NULL), 0);
	CU_ASSERT_EQUAL(irq.nr_vectors, 1);
	CU_ASSERT_EQUAL(get(&w, COPIER_ID), COPIER_ID_VALUE);
	CU_ASSERT_EQUAL(put(&w, COPIER_ID, 0), -EACCES);
	world_end(&w);
}

static void it_copies_memory_and_signals(void)
{
	quoll_iova_t from, to;
	uint8_t *src, *dst;
	struct world w;

	world_begin(&w);
	src = memory(&w, 1 << 20, &from);
	dst = memory(&w, 1 << 20, &to);
	for (unsigned int i = 0; i < 1 << 20; i++)
		src[i] = (uint8_t)(i * 7 + i / 4096);
	CU_ASSERT_EQUAL(run_copy(&w, from, to, 1 << 20), COPIER_DONE);
	CU_ASSERT_EQUAL(memcmp(src, dst, 1 << 20), 0);
	CU_ASSERT_EQUAL(run_copy(&w, from + 5, to + 1001, 77), COPIER_DONE);
	CU_ASSERT_EQUAL(memcmp(dst + 1001, src + 5, 77), 0);
	CU_ASSERT_EQUAL(memcmp(dst, src, 1001), 0);
	CU_ASSERT_EQUAL(memcmp(dst + 1001 + 77, src + 1001 + 77, 4096), 0);
	CU_ASSERT_EQUAL(get(&w, COPIER_TIMES), 2);
	CU_ASSERT_EQUAL(quoll_device_reset(w.dev, NULL), 0);
	CU_ASSERT_EQUAL(get(&w, COPIER_TIMES), 0);
	world_end(&w);
}

static void it_reaches_nothing_that_was_not_mapped(void)
{
	quoll_iova_t from, to;
	struct world w;

	world_begin(&w);
	memory(&w, 4096, &from);
	memory(&w, 4096, &to);
	CU_ASSERT_EQUAL(run_copy(&w, from, (quoll_iova_t)1 << 46, 4096), COPIER_FAILED);
	CU_ASSERT_EQUAL(run_copy(&w, UINT64_MAX - 100, to, 4096), COPIER_FAILED);
	CU_ASSERT_EQUAL(run_copy(&w, from, to, 4096), COPIER_DONE);
	world_end(&w);
}

static void it_reaches_memory_without_a_file_by_message(void)
{
	static uint8_t ours[0x4000] __attribute__((aligned(4096)));
	struct ioas_mapping m = {.va = ours,
				 .iova = (quoll_iova_t)1 << 45,
				 .len_bytes = sizeof(ours),
				 .access = MAP_DEVICE_READ | MAP_DEVICE_WRITE,
				 .fd = -1};
	struct world w;

	world_begin(&w);
	CU_ASSERT_EQUAL_FATAL(ioas_map(w.ioas, &m, NULL), 0);
	for (unsigned int i = 0; i < 0x2000; i++)
		ours[i] = (uint8_t)(i + i / 256);
	CU_ASSERT_EQUAL(run_copy(&w, m.iova, m.iova + 0x2000, 0x2000), COPIER_DONE);
	CU_ASSERT_EQUAL(memcmp(ours, ours + 0x2000, 0x2000), 0);
	CU_ASSERT_EQUAL(ioas_unmap(w.ioas, m.iova, m.len_bytes), 0);
	CU_ASSERT_EQUAL(run_copy(&w, m.iova, m.iova + 0x2000, 0x2000), COPIER_FAILED);
	world_end(&w);
}

static void its_memory_is_shared(void)
{
	struct quoll_region *region;
	quoll_iova_t from;
	volatile void *word;
	struct world w;

	world_begin(&w);
	CU_ASSERT_EQUAL_FATAL(quoll_region_map(w.dev, COPIER_MEMORY, &region, NULL), 0);
	word = quoll_region_ptr(region, 0, 4);
	CU_ASSERT_PTR_NOT_NULL_FATAL(word);
	quoll_mmio_write32(word, 0x1234);
	memory(&w, 4096, &from);
	CU_ASSERT_EQUAL(run_copy(&w, from, from + 2048, 64), COPIER_DONE);
	CU_ASSERT_EQUAL(get(&w, COPIER_TIMES), 1 + (0x1234ull << 32));
	world_end(&w);
}

static void it_is_killed_and_another_takes_its_place(void)
{
	uint64_t value;
	struct world w;

	world_begin(&w);
	copier_kill(&w);
	CU_ASSERT_EQUAL(quoll_device_events(w.dev), QUOLL_DEVICE_GONE);
	CU_ASSERT_EQUAL(quoll_region_read(w.dev, COPIER_REGISTERS, COPIER_ID, &value, 8), -ENODEV);
	client_end(&w);
	w.copier = copier_start(w.path);
	client_begin(&w);
	CU_ASSERT_EQUAL(get(&w, COPIER_ID), COPIER_ID_VALUE);
	world_end(&w);
}

static void a_client_is_killed_and_another_is_served(void)
{
	quoll_iova_t from;
	struct world w;
	int status;
	pid_t pid;

	world_begin(&w);
	client_end(&w);
	for (unsigned int i = 0; i < 20; i++) {
		pid = fork();
		if (!pid) {
			client_begin(&w);
			memory(&w, 1 << 20, &from);
			for (unsigned int n = 0; n < i; n++)
				run_copy(&w, from, from + 4096, 4096);
			put(&w, COPIER_START, 1);
			kill(getpid(), SIGKILL);
		}
		CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
		CU_ASSERT_TRUE(WIFSIGNALED(status));
	}
	client_begin(&w);
	memory(&w, 8192, &from);
	CU_ASSERT_EQUAL(get(&w, COPIER_TIMES), 0);
	CU_ASSERT_EQUAL(run_copy(&w, from, from + 4096, 4096), COPIER_DONE);
	world_end(&w);
}

static const struct unit_test tests[] = {
	{"a device that is not PCI is described", a_device_that_is_not_pci_is_described},
	{"it copies memory and signals", it_copies_memory_and_signals},
	{"it reaches nothing that was not mapped", it_reaches_nothing_that_was_not_mapped},
	{"it reaches memory without a file by message", it_reaches_memory_without_a_file_by_message},
	{"its memory is shared", its_memory_is_shared},
	{"it is killed, and another takes its place", it_is_killed_and_another_takes_its_place},
	{"a client is killed, and another is served", a_client_is_killed_and_another_is_served},
};

UNIT_MAIN("user/copier", tests)
