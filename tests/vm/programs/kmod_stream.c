/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kmod_stream.c - streaming by quoll.ko's own interface, without the library.
 *
 *   kmod_stream window ADDR        windows, rings, entries, registered buffers: what is taken, what is refused
 *   kmod_stream edu ADDR           QEMU's edu: DMA through the window, with each permission, and after it has ended
 *   kmod_stream nvme ADDR          the same with an NVMe controller
 *   kmod_stream threads ADDR       two threads at the same slots, and at the same ring
 *   kmod_stream waiting ADDR       a call that waits for user memory, and what others may do meanwhile
 *   kmod_stream rounds ADDR N      open, window, map, ring, buffer, at times the device, close: N times
 *   kmod_stream hammer ADDR        two threads that map and unmap for good; "ready" once they do
 *   kmod_stream child ADDR         the same, and a forked child has the files, too: "ready CHILD"
 *   kmod_stream lose ADDR          the same until the device is taken away; says what the owner saw
 *   kmod_stream lose-waiting ADDR  a call that waits for user memory while the device is taken away: "ready", then a
 * line of input lets it have the memory
 *
 * One line a check: "ok NAME" or "not ok NAME". Exits 1 if one failed.
 */
#include "kmod_ring.h"

#include <sys/resource.h>
#include <sys/wait.h>

#define MEMLOCK_PAGES 64
#define WINDOW_KB ((long)(WINDOW_BYTES / 1024))

static void test_window(const char *addr)
{
	struct quoll_window flags = {.argsz = sizeof(flags), .flags = 1, .iova = WINDOW, .size_bytes = WINDOW_BYTES};
	struct quoll_stream_enter none = {.argsz = sizeof(none), .nr_entries = 1};
	int fd = group_open(addr);
	char *memory = pages_get(4);
	uint32_t id;

	check(fails(fd, QUOLL_STREAM_ENTER, &none, ENOENT) && ring_make(fd, memory, 4 * PAGE, 1, &id) == -ENOENT &&
		      buffer_register(fd, memory, PAGE, 0, &id) == -ENOENT && ring_give(fd, 0) == -ENOENT,
	      "nothing is to be had without a window");
	check(window_set(fd, WINDOW, 0) == -EINVAL && window_set(fd, WINDOW + 1, PAGE) == -EINVAL &&
		      window_set(fd, WINDOW, PAGE + 1) == -EINVAL &&
		      window_set(fd, WINDOW, QUOLL_WINDOW_MAX_BYTES + PAGE) == -EINVAL &&
		      window_set(fd, -PAGE, 2 * PAGE) == -EINVAL && fails(fd, QUOLL_STREAM_WINDOW, &flags, EINVAL),
	      "bad windows are refused");
	check(window_set(fd, 0xfee00000, PAGE) == -ERANGE && window_set(fd, 1ull << 50, PAGE) == -ERANGE,
	      "so are reserved addresses, and what is beyond the aperture");
	check(!dma_map(fd, memory, WINDOW + PAGE, PAGE, QUOLL_DMA_READ) &&
		      window_set(fd, WINDOW, WINDOW_BYTES) == -EEXIST && !dma_unmap(fd, WINDOW + PAGE, PAGE) &&
		      !dma_map(fd, memory, WINDOW - PAGE, 2 * PAGE, QUOLL_DMA_READ) &&
		      window_set(fd, WINDOW, WINDOW_BYTES) == -EEXIST && !dma_unmap(fd, WINDOW - PAGE, 2 * PAGE),
	      "and one where something is mapped");
	check(!locked_kb(), "nothing of it is locked");
	check(!window_set(fd, WINDOW, WINDOW_BYTES) && locked_kb() == WINDOW_KB, "a window counts as locked, whole");
	check(window_set(fd, WINDOW + WINDOW_BYTES, PAGE) == -EEXIST && locked_kb() == WINDOW_KB,
	      "there is one a claim");
	check(dma_map(fd, memory, WINDOW, PAGE, QUOLL_DMA_READ) == -EEXIST &&
		      dma_map(fd, memory, WINDOW - PAGE, 2 * PAGE, QUOLL_DMA_READ) == -EEXIST &&
		      dma_map(fd, memory, WINDOW + WINDOW_BYTES - PAGE, 2 * PAGE, QUOLL_DMA_READ) == -EEXIST,
	      "no other mapping gets into it");
	check(!dma_map(fd, memory, WINDOW - PAGE, PAGE, QUOLL_DMA_READ) &&
		      !dma_map(fd, memory, WINDOW + WINDOW_BYTES, PAGE, QUOLL_DMA_READ),
	      "beside it they do");
	check(dma_unmap(fd, WINDOW, WINDOW_BYTES) == -ENOENT && !dma_unmap_all(fd), "nor is it theirs to unmap");
	close(fd);
	check(!locked_kb(), "closing the group takes the window off the limit");
	munmap(memory, 4 * PAGE);
}

static void test_rings(const char *addr)
{
	struct quoll_stream_ring bad = {.argsz = sizeof(bad), .ring = 1, .nr_entries = 1, .size_bytes = PAGE};
	uint32_t ids[QUOLL_STREAM_MAX_RINGS], id = 0, good = 0;
	size_t bytes = ring_bytes(64);
	char *memory = pages_get(4);
	int fd = group_open(addr);

	bad.va = (uintptr_t)memory;
	check(!window_set(fd, WINDOW, WINDOW_BYTES), "a window for rings");
	check(ring_make(fd, memory, PAGE, 0, &id) == -EINVAL && ring_make(fd, memory, PAGE, 3, &id) == -EINVAL &&
		      ring_make(fd, memory, 1ull << 30, 2 * QUOLL_STREAM_MAX_ENTRIES, &id) == -EINVAL &&
		      ring_make(fd, memory, bytes - PAGE, 64, &id) == -EINVAL &&
		      ring_make(fd, memory + 8, PAGE, 1, &id) == -EINVAL &&
		      ring_make(fd, memory, 0, 1, &id) == -EINVAL && fails(fd, QUOLL_STREAM_RING, &bad, EINVAL),
	      "bad rings are refused");
	check(ring_make(fd, (void *)(-1ull << 20), PAGE, 1, &id) == -EFAULT &&
		      ring_make(fd, NULL, PAGE, 1, &id) == -EFAULT,
	      "so is memory that is not the process's");
	mprotect(memory, PAGE, PROT_READ);
	check(ring_make(fd, memory, PAGE, 1, &id) == -EFAULT, "or that it may not write");
	mprotect(memory, PAGE, PROT_READ | PROT_WRITE);
	check(locked_kb() == WINDOW_KB && !ring_make(fd, memory, 4 * PAGE, 1, &id) && locked_kb() == WINDOW_KB + 4 &&
		      !memory[0] && !memory[PAGE - 1] && memory[PAGE] == (char)0xa5,
	      "a ring's memory is zeroed and counts as locked, as far as it is needed");
	check(!ring_give(fd, id) && locked_kb() == WINDOW_KB && ring_give(fd, id) == -ENOENT &&
		      ring_give(fd, UINT32_MAX) == -ENOENT,
	      "given back it is off the limit, and unknown");
	while (good < QUOLL_STREAM_MAX_RINGS && !ring_make(fd, memory, PAGE, 1, &ids[good]))
		good++;
	check(good == QUOLL_STREAM_MAX_RINGS && ring_make(fd, memory, PAGE, 1, &id) == -ENOSPC,
	      "there are %u, and no more", good);
	check(!ring_give(fd, ids[17]) && !ring_make(fd, memory, PAGE, 1, &id) && id == ids[17],
	      "a number is used again");
	close(fd);
	check(!locked_kb(), "and they end with the group");
	munmap(memory, 4 * PAGE);
}

static void test_indexes(int fd)
{
	struct ring ring = ring_open(fd, 4);
	char *memory = pages_get(1);

	push_map(&ring, memory, WINDOW, PAGE, RW);
	ring.tail += 4;
	check(enter(&ring) == -EINVAL && ring.head->head == 0 && result(&ring) == NO_RESULT,
	      "a tail that jumps is refused");
	ring.tail -= 5;
	check(enter(&ring) == 0, "nothing was done by it");
	ring.tail -= 1;
	check(enter(&ring) == -EINVAL, "one that goes back is refused");
	ring.tail += 1;
	ring.head->done_head = 1;
	check(enter(&ring) == -EINVAL, "so is an index of completions beyond them");
	ring.head->done_head = 0;
	ring.head->head = 77;
	ring.head->done_tail = 99;
	ring.tail = 0;
	ring.entries[0] = (struct quoll_stream_entry){.op = QUOLL_STREAM_FENCE};
	ring.tail = 1;
	check(enter(&ring) == 1 && ring.head->head == 1 && ring.head->done_tail == 1 && !result(&ring),
	      "the kernel's own indexes are its own");
	ring_close(&ring);
	munmap(memory, PAGE);
}

static void test_completions(int fd)
{
	struct quoll_stream_entry silent = {.op = QUOLL_STREAM_FENCE, .flags = QUOLL_STREAM_SILENT};
	struct ring ring = ring_open(fd, 4);
	unsigned int good = 0;

	for (unsigned int i = 0; i < 4; i++)
		push_fence(&ring);
	check(enter(&ring) == 4, "four entries");
	for (unsigned int i = 0; i < 4; i++)
		push_fence(&ring);
	check(enter(&ring) == 4, "and four more, whose completions nobody has read");
	push_fence(&ring);
	push_fence(&ring);
	check(enter(&ring) == 0, "then there is no room for any");
	check(!result(&ring) && enter(&ring) == 1, "one was read, one entry is taken");
	for (unsigned int i = 0; i < 8; i++)
		good += !result(&ring);
	check(good == 8 && result(&ring) == NO_RESULT, "all completions are there");
	check(enter(&ring) == 1 && !result(&ring) && result(&ring) == NO_RESULT, "and the last one");
	push(&ring, &silent);
	check(enter(&ring) == 1 && result(&ring) == NO_RESULT, "a silent entry has no completion");
	silent.size_bytes = PAGE;
	check(one(&ring, &silent) == -EINVAL, "unless it fails");
	for (unsigned int i = 0; i < 100; i++) {
		push_fence(&ring);
		if (enter(&ring) != 1 || ring.dones[ring.done_head & 7].user_data != ring.tail - 1 || result(&ring)) {
			check(false, "round %u", i);
			break;
		}
	}
	check(ring.tail > 100, "a ring goes round with what is the caller's in each completion");
	ring_close(&ring);
}

static void test_bad_entries(struct ring *ring, char *memory)
{
	const struct quoll_stream_entry map = {
		.op = QUOLL_STREAM_MAP, .flags = RW, .va = (uintptr_t)memory, .iova = WINDOW, .size_bytes = PAGE};
	const struct {
		struct quoll_stream_entry entry;
		int result;
	} bad[] = {
		{{.op = 0}, -EINVAL},
		{{.op = 4}, -EINVAL},
		{{.op = 255}, -EINVAL},
		{{.op = QUOLL_STREAM_FENCE, .iova = WINDOW}, -EINVAL},
		{{.op = QUOLL_STREAM_FENCE, .flags = QUOLL_STREAM_READ}, -EINVAL},
		{{.op = QUOLL_STREAM_FENCE, .reserved = 1}, -EINVAL},
		{{.op = QUOLL_STREAM_UNMAP, .flags = RW, .iova = WINDOW, .size_bytes = PAGE}, -EINVAL},
		{{.op = QUOLL_STREAM_UNMAP, .va = PAGE, .iova = WINDOW, .size_bytes = PAGE}, -EINVAL},
		{{.op = QUOLL_STREAM_UNMAP, .iova = WINDOW, .size_bytes = PAGE}, -ENOENT},
		{{.op = QUOLL_STREAM_UNMAP, .iova = WINDOW - PAGE, .size_bytes = PAGE}, -ERANGE},
	};

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		check(one(ring, &bad[i].entry) == bad[i].result, "bad entry %u is refused", i);
	for (unsigned int i = 0; i < 10; i++) {
		struct quoll_stream_entry entry = map;
		int want = -EINVAL;

		switch (i) {
		case 0:
			entry.flags = 0;
			break;
		case 1:
			entry.flags = RW | 1 << 7;
			break;
		case 2:
			entry.reserved2[2] = 1;
			break;
		case 3:
			entry.va += 8;
			break;
		case 4:
			entry.size_bytes = 0;
			break;
		case 5:
			entry.size_bytes = -PAGE;
			want = -ERANGE;
			break;
		case 6:
			entry.iova = WINDOW + WINDOW_BYTES - PAGE;
			entry.size_bytes = 2 * PAGE;
			want = -ERANGE;
			break;
		case 7:
			entry.iova = -PAGE;
			want = -ERANGE;
			break;
		case 8:
			entry.va = -PAGE;
			entry.size_bytes = 2 * PAGE;
			break;
		case 9:
			entry.buffer = 1;
			break;
		}
		check(one(ring, &entry) == want, "bad map %u is refused", i);
	}
}

static void test_slots(struct ring *ring, char *memory)
{
	check(!one_map(ring, memory, WINDOW, 4 * PAGE, RW), "four pages are mapped");
	check(one_map(ring, memory, WINDOW, 4 * PAGE, RW) == -EEXIST &&
		      one_map(ring, memory, WINDOW, PAGE, RW) == -EEXIST &&
		      one_map(ring, memory, WINDOW + 3 * PAGE, 2 * PAGE, RW) == -EEXIST,
	      "none of them a second time");
	check(!one_map(ring, memory, WINDOW + 4 * PAGE, PAGE, RW), "the page after them is free");
	check(one_unmap(ring, WINDOW, PAGE) == -EINVAL && one_unmap(ring, WINDOW + PAGE, PAGE) == -EINVAL &&
		      one_unmap(ring, WINDOW + PAGE, 3 * PAGE) == -EINVAL &&
		      one_unmap(ring, WINDOW + 3 * PAGE, 2 * PAGE) == -EINVAL,
	      "an unmap is of whole mappings");
	check(!one_unmap(ring, WINDOW, 4 * PAGE) && one_unmap(ring, WINDOW, 4 * PAGE) == -ENOENT, "and works once");
	check(one_map(ring, memory, WINDOW, PAGE, RW) == -EEXIST &&
		      one_map(ring, memory, WINDOW + 3 * PAGE, PAGE, RW) == -EEXIST,
	      "its addresses are not free before the fence");
	check(!one_fence(ring) && !one_map(ring, memory, WINDOW + 3 * PAGE, PAGE, RW) &&
		      !one_map(ring, memory, WINDOW, PAGE, RW),
	      "after it they are");
	push_unmap(ring, WINDOW, PAGE);
	push_map(ring, memory, WINDOW, PAGE, RW);
	push_fence(ring);
	push_map(ring, memory, WINDOW, PAGE, RW);
	check(enter(ring) == 4 && !result(ring) && result(ring) == -EEXIST && !result(ring) && !result(ring),
	      "the same in one batch, in its order");
	push_unmap(ring, WINDOW, PAGE);
	push_unmap(ring, WINDOW, PAGE);
	push_unmap(ring, WINDOW + 3 * PAGE, PAGE);
	push_unmap(ring, WINDOW + 4 * PAGE, PAGE);
	push_fence(ring);
	check(enter(ring) == 5 && !result(ring) && result(ring) == -ENOENT && !result(ring) && !result(ring) &&
		      !result(ring),
	      "one of a batch that fails leaves the others");
}

static bool maps_there(struct ring *ring, char *memory, const uint8_t *pages, unsigned int nr, int want)
{
	uint64_t at = 0;
	bool all = true;

	for (unsigned int i = 0; i < nr; at += pages[i++])
		all &= one_map(ring, memory + at * PAGE, WINDOW + at * PAGE, pages[i] * PAGE, RW) == want;
	return all;
}

static void test_ranges(struct ring *ring, char *memory)
{
	static const uint8_t pages[] = {2, 1, 1, 3};

	check(maps_there(ring, memory, pages, 4, 0), "four mappings, one behind the other");
	check(one_unmap(ring, WINDOW, 6 * PAGE) == -EINVAL && one_unmap(ring, WINDOW + PAGE, 3 * PAGE) == -EINVAL &&
		      one_unmap(ring, WINDOW, 8 * PAGE) == -ENOENT,
	      "an unmap of several cuts none, and has no holes");
	check(maps_there(ring, memory, pages, 4, -EEXIST) && !one_unmap(ring, WINDOW + 2 * PAGE, PAGE) &&
		      one_unmap(ring, WINDOW, 7 * PAGE) == -ENOENT && !one_unmap(ring, WINDOW, 2 * PAGE) &&
		      !one_unmap(ring, WINDOW + 3 * PAGE, 4 * PAGE),
	      "where it fails all stay mapped");
	check(maps_there(ring, memory, pages, 4, -EEXIST) && !one_fence(ring) && maps_there(ring, memory, pages, 4, 0),
	      "their addresses are free after the fence");
	check(!one_unmap(ring, WINDOW, 7 * PAGE) && one_unmap(ring, WINDOW + 3 * PAGE, PAGE) == -ENOENT &&
		      maps_there(ring, memory, pages, 4, -EEXIST) && !one_fence(ring),
	      "all of them are unmapped by one");
	check(!one_map(ring, memory, WINDOW, 7 * PAGE, RW) && !one_unmap(ring, WINDOW, 7 * PAGE) && !one_fence(ring),
	      "and their addresses are one mapping's");
}

static void test_memory(struct ring *ring, char *memory)
{
	char *code = (char *)((uintptr_t)test_memory & ~(PAGE - 1));

	check(one_map(ring, NULL, WINDOW, PAGE, RW) == -EFAULT &&
		      one_map(ring, (void *)(-1ull << 20), WINDOW, PAGE, RW) == -EFAULT,
	      "memory that is not there, or the kernel's, is refused");
	check(one_map(ring, code, WINDOW, PAGE, RW) == -EFAULT && !one_map(ring, code, WINDOW, PAGE, QUOLL_STREAM_READ),
	      "what the process may not write devices may read only");
	check(!one_unmap(ring, WINDOW, PAGE) && !one_fence(ring), "it is unmapped");
	munmap(memory + 2 * PAGE, PAGE);
	check(one_map(ring, memory, WINDOW, 4 * PAGE, RW) == -EFAULT, "a hole is refused as a whole");
	for (unsigned int i = 0; i < 4; i++)
		push_map(ring, memory + i * PAGE, WINDOW + i * PAGE, PAGE, RW);
	check(enter(ring) == 4 && !result(ring) && !result(ring) && result(ring) == -EFAULT && !result(ring),
	      "of neighbours the one without memory fails");
	for (unsigned int i = 0; i < 4; i++)
		push_unmap(ring, WINDOW + i * PAGE, PAGE);
	push_fence(ring);
	check(enter(ring) == 5 && !result(ring) && !result(ring) && result(ring) == -ENOENT && !result(ring) &&
		      !result(ring),
	      "and is not mapped");
	check(!one_map(ring, memory, WINDOW + 2 * PAGE, PAGE, RW) && !one_unmap(ring, WINDOW + 2 * PAGE, PAGE) &&
		      !one_fence(ring),
	      "its slot is free");
}

static void test_many(int fd)
{
	const unsigned int nr = QUOLL_STREAM_MAX_ENTRIES;
	struct ring ring = ring_open(fd, nr), small = ring_open(fd, 1);
	char *memory = pages_get(nr);

	for (unsigned int i = 0; i < nr; i++)
		push_map(&ring, memory + i * PAGE, WINDOW + i * PAGE, PAGE, RW);
	check(all_good(&ring), "%u pages are mapped in one call", nr);
	for (unsigned int i = 0; i < nr; i++)
		push_unmap(&ring, WINDOW + i * PAGE, PAGE);
	check(all_good(&ring) && !one_fence(&ring), "and unmapped in one");
	for (unsigned int i = 0; i < nr; i++)
		push_map(&ring, memory + i * PAGE, WINDOW + (uint64_t)(i * 2029 % nr) * PAGE, PAGE,
			 i % 3 ? RW : QUOLL_STREAM_READ);
	check(all_good(&ring), "the same scattered");
	for (unsigned int i = 0; i < nr; i++)
		push_unmap(&ring, WINDOW + (uint64_t)(i * 1021 % nr) * PAGE, PAGE);
	check(all_good(&ring) && !one_fence(&ring), "and unmapped, otherwise scattered");
	check(!one_map(&small, memory, WINDOW, nr * PAGE, RW) && !one_unmap(&small, WINDOW, nr * PAGE) &&
		      !one_fence(&small),
	      "and as one mapping, by a ring of one entry");
	ring_close(&small);
	ring_close(&ring);
	munmap(memory, nr * PAGE);
}

static void test_registered(int fd, struct ring *ring)
{
	char *memory = pages_get(8);
	long before = locked_kb();
	uint32_t rw = 0, ro = 0, id = 0;

	check(buffer_register(fd, memory, 0, 0, &id) == -EINVAL &&
		      buffer_register(fd, memory + 1, PAGE, 0, &id) == -EINVAL &&
		      buffer_register(fd, memory, PAGE, 1, &id) == -EINVAL &&
		      buffer_register(fd, NULL, PAGE, 0, &id) == -EFAULT && locked_kb() == before,
	      "bad buffers are refused");
	check(!buffer_register(fd, memory, 4 * PAGE, QUOLL_STREAM_WRITE, &rw) &&
		      !buffer_register(fd, memory + 4 * PAGE, 4 * PAGE, 0, &ro) && locked_kb() == before + 32,
	      "registered buffers count as locked");
	check(one_registered(ring, ro, 0, PAGE, RW) == -EFAULT &&
		      one_registered(ring, rw, 4 * PAGE, PAGE, RW) == -EFAULT &&
		      one_registered(ring, rw, 3 * PAGE, 2 * PAGE, RW) == -EFAULT &&
		      one_registered(ring, rw, 1ull << 50, PAGE, RW) == -EFAULT,
	      "no more than was registered is mapped");
	check(one_registered(ring, 99, 0, PAGE, RW) == -ENOENT &&
		      one_registered(ring, UINT32_MAX, 0, PAGE, RW) == -ENOENT,
	      "nor what was not");
	check(!one_registered(ring, ro, 0, PAGE, QUOLL_STREAM_READ) && buffer_unregister(fd, ro) == -EBUSY,
	      "one that is mapped stays");
	check(one_registered(ring, rw, 0, PAGE, RW) == -EEXIST && !buffer_unregister(fd, rw),
	      "one whose mapping was refused does not");
	check(!one_unmap(ring, WINDOW, PAGE) && buffer_unregister(fd, ro) == -EBUSY,
	      "nor does the other before the fence");
	check(!one_fence(ring) && !buffer_unregister(fd, ro) && buffer_unregister(fd, ro) == -ENOENT &&
		      locked_kb() == before,
	      "after it it goes, and is off the limit");
	check(!buffer_register(fd, memory, 4 * PAGE, QUOLL_STREAM_WRITE, &rw) &&
		      !one_registered(ring, rw, 0, 4 * PAGE, RW),
	      "one is left mapped");
	munmap(memory, 8 * PAGE);
}

/* The child has the file, and the ring's memory as it was; the owner's ring goes on. */
static void test_fork(struct ring *ring, char *memory)
{
	int status = 1;
	pid_t pid;

	push_map(ring, memory, WINDOW + 64 * PAGE, PAGE, RW);
	pid = fork();
	if (!pid)
		_exit(enter(ring) != -EPERM || ring_give(ring->fd, ring->id) != -EPERM);
	waitpid(pid, &status, 0);
	check(!status, "a forked child does not stream");
	check(all_good(ring), "the owner does, and leaves it mapped");
}

static void test_entries(const char *addr)
{
	int fd = group_open(addr);
	char *memory = pages_get(8);
	struct ring ring;

	check(!window_set(fd, WINDOW, WINDOW_BYTES), "a window for entries");
	test_indexes(fd);
	test_completions(fd);
	ring = ring_open(fd, 64);
	test_bad_entries(&ring, memory);
	test_slots(&ring, memory);
	test_ranges(&ring, memory);
	test_many(fd);
	test_memory(&ring, memory + PAGE);
	test_registered(fd, &ring);
	test_fork(&ring, memory);
	push_map(&ring, memory, WINDOW + 65 * PAGE, PAGE, RW);
	push_unmap(&ring, WINDOW + 65 * PAGE, PAGE);
	check(all_good(&ring), "one is left zapped");
	close(fd);
	check(!locked_kb(), "closing the group takes all of it off the limit");
}

static void test_limit(const char *addr)
{
	struct rlimit limit = {MEMLOCK_PAGES * PAGE, MEMLOCK_PAGES * PAGE};
	char *memory = pages_get(MEMLOCK_PAGES);
	int fd = group_open(addr);
	uint32_t id;

	check(!privilege_drop() && !setrlimit(RLIMIT_MEMLOCK, &limit), "the rest is done without privilege");
	check(window_set(fd, WINDOW, (MEMLOCK_PAGES + 1) * PAGE) == -ENOMEM && !locked_kb(),
	      "a window is within the limit");
	check(!window_set(fd, WINDOW, (MEMLOCK_PAGES - 2) * PAGE) && !ring_make(fd, memory, PAGE, 1, &id),
	      "with it a ring");
	check(buffer_register(fd, memory + PAGE, 2 * PAGE, 0, &id) == -ENOMEM &&
		      ring_make(fd, memory + PAGE, 2 * PAGE, 64, &id) == -ENOMEM &&
		      dma_map(fd, memory, IOVA, 2 * PAGE, QUOLL_DMA_READ) == -ENOMEM,
	      "and all else");
	check(!buffer_register(fd, memory + PAGE, PAGE, 0, &id), "to the last page of it");
	close(fd);
	check(!locked_kb(), "nothing is locked any more");
}

static void test_all(const char *addr)
{
	test_window(addr);
	test_rings(addr);
	test_entries(addr);
	test_limit(addr); /* drops privileges */
}

int main(int argc, char **argv)
{
	static const struct kmod_test tests[] = {
		{.name = "window", .run = test_all},	   {.name = "edu", .run = test_edu_stream},
		{.name = "nvme", .run = test_nvme_stream}, {.name = "threads", .run = test_threads},
		{.name = "waiting", .run = test_waiting},  {.name = "rounds", .run_with = test_rounds},
		{.name = "hammer", .run = hammer},	   {.name = "child", .run = hammer_child},
		{.name = "lose", .run = lose_stream},	   {.name = "lose-waiting", .run = lose_waiting},
	};

	return kmod_main(tests, sizeof(tests) / sizeof(*tests), argc, argv);
}
