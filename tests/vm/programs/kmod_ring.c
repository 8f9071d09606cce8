/* SPDX-License-Identifier: BSD-3-Clause */
/* kmod_ring.c - see kmod_ring.h. */
#include "kmod_ring.h"

size_t ring_bytes(uint32_t nr_entries)
{
	size_t bytes = sizeof(struct quoll_stream_head) + nr_entries * sizeof(struct quoll_stream_entry) +
		       2 * nr_entries * sizeof(struct quoll_stream_done);

	return (bytes + PAGE - 1) & ~(PAGE - 1);
}

int window_set(int fd, uint64_t iova, uint64_t bytes)
{
	struct quoll_window window = {.argsz = sizeof(window), .iova = iova, .size_bytes = bytes};

	return ioctl(fd, QUOLL_STREAM_WINDOW, &window) ? -errno : 0;
}

int ring_make(int fd, void *memory, uint64_t bytes, uint32_t nr_entries, uint32_t *id)
{
	struct quoll_stream_ring ring = {
		.argsz = sizeof(ring), .nr_entries = nr_entries, .va = (uintptr_t)memory, .size_bytes = bytes};

	if (ioctl(fd, QUOLL_STREAM_RING, &ring))
		return -errno;
	*id = ring.ring;
	return 0;
}

int ring_give(int fd, uint32_t id)
{
	struct quoll_stream_free arg = {.argsz = sizeof(arg), .id = id};

	return ioctl(fd, QUOLL_STREAM_RING_FREE, &arg) ? -errno : 0;
}

int buffer_register(int fd, void *memory, uint64_t bytes, uint32_t flags, uint32_t *id)
{
	struct quoll_stream_register arg = {
		.argsz = sizeof(arg), .flags = flags, .va = (uintptr_t)memory, .size_bytes = bytes};

	if (ioctl(fd, QUOLL_STREAM_REGISTER, &arg))
		return -errno;
	*id = arg.buffer;
	return 0;
}

int buffer_unregister(int fd, uint32_t id)
{
	struct quoll_stream_free arg = {.argsz = sizeof(arg), .id = id};

	return ioctl(fd, QUOLL_STREAM_UNREGISTER, &arg) ? -errno : 0;
}

struct ring ring_open(int fd, uint32_t nr_entries)
{
	size_t bytes = ring_bytes(nr_entries);
	struct ring ring = {.fd = fd, .nr = nr_entries, .head = pages_get((unsigned int)(bytes / PAGE))};

	if (ring_make(fd, ring.head, bytes, nr_entries, &ring.id)) {
		perror("a ring");
		abort();
	}
	ring.entries = (struct quoll_stream_entry *)(ring.head + 1);
	ring.dones = (struct quoll_stream_done *)(ring.entries + nr_entries);
	return ring;
}

void ring_close(struct ring *ring)
{
	check(!ring_give(ring->fd, ring->id), "a ring of %u is given back", ring->nr);
	munmap(ring->head, ring_bytes(ring->nr));
}

void push(struct ring *ring, const struct quoll_stream_entry *entry)
{
	if (ring->tail - __atomic_load_n(&ring->head->head, __ATOMIC_ACQUIRE) == ring->nr)
		abort();
	ring->entries[ring->tail & (ring->nr - 1)] = *entry;
	ring->entries[ring->tail & (ring->nr - 1)].user_data = ring->tail;
	ring->tail++;
}

void push_map(struct ring *ring, const void *va, uint64_t iova, uint64_t bytes, uint8_t flags)
{
	push(ring,
	     &(struct quoll_stream_entry){
		     .op = QUOLL_STREAM_MAP, .flags = flags, .va = (uintptr_t)va, .iova = iova, .size_bytes = bytes});
}

void push_unmap(struct ring *ring, uint64_t iova, uint64_t bytes)
{
	push(ring, &(struct quoll_stream_entry){.op = QUOLL_STREAM_UNMAP, .iova = iova, .size_bytes = bytes});
}

void push_fence(struct ring *ring)
{
	push(ring, &(struct quoll_stream_entry){.op = QUOLL_STREAM_FENCE});
}

int enter(struct ring *ring)
{
	struct quoll_stream_enter arg = {.argsz = sizeof(arg), .ring = ring->id, .nr_entries = UINT32_MAX};
	int rc;

	__atomic_store_n(&ring->head->tail, ring->tail, __ATOMIC_RELEASE);
	rc = ioctl(ring->fd, QUOLL_STREAM_ENTER, &arg);
	return rc < 0 ? -errno : rc;
}

int result(struct ring *ring)
{
	struct quoll_stream_done done;

	if (__atomic_load_n(&ring->head->done_tail, __ATOMIC_ACQUIRE) == ring->done_head)
		return NO_RESULT;
	done = ring->dones[ring->done_head++ & (2 * ring->nr - 1)];
	__atomic_store_n(&ring->head->done_head, ring->done_head, __ATOMIC_RELEASE);
	return done.result;
}

int one(struct ring *ring, const struct quoll_stream_entry *entry)
{
	int rc;

	push(ring, entry);
	rc = enter(ring);
	return rc == 1 ? result(ring) : rc < 0 ? rc : NO_RESULT;
}

int one_registered(struct ring *ring, uint32_t buffer, uint64_t offset, uint64_t bytes, uint8_t flags)
{
	return one(ring, &(struct quoll_stream_entry){.op = QUOLL_STREAM_MAP,
						      .flags = flags | QUOLL_STREAM_REGISTERED,
						      .buffer = buffer,
						      .va = offset,
						      .iova = WINDOW,
						      .size_bytes = bytes});
}

int one_map(struct ring *ring, const void *va, uint64_t iova, uint64_t bytes, uint8_t flags)
{
	return one(ring, &(struct quoll_stream_entry){.op = QUOLL_STREAM_MAP,
						      .flags = flags,
						      .va = (uintptr_t)va,
						      .iova = iova,
						      .size_bytes = bytes});
}

int one_unmap(struct ring *ring, uint64_t iova, uint64_t bytes)
{
	return one(ring, &(struct quoll_stream_entry){.op = QUOLL_STREAM_UNMAP, .iova = iova, .size_bytes = bytes});
}

int one_fence(struct ring *ring)
{
	return one(ring, &(struct quoll_stream_entry){.op = QUOLL_STREAM_FENCE});
}

bool all_good(struct ring *ring)
{
	uint32_t pushed = ring->tail - __atomic_load_n(&ring->head->head, __ATOMIC_ACQUIRE);
	bool good = enter(ring) == (int)pushed;

	while (pushed--)
		good &= !result(ring);
	return good && result(ring) == NO_RESULT;
}
