/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fake_window.h - a kernel that maps for one I/O (fake_kmod_stream.c), for the address space of a fake device, which
 * finds in its window what is mapped there.
 */
#ifndef QUOLL_TESTS_FAKE_WINDOW_H
#define QUOLL_TESTS_FAKE_WINDOW_H

#include <errno.h>

#include "eal/backend/fake_kmod.h"
#include "fake_pci.h"

static struct fake_stream fake_window;
/* Called before each ENTER; NULL for none. */
static void (*fake_window_entering)(void);

static inline int fake_window_ask(unsigned long request, void *arg)
{
	int rc = fake_stream_ioctl(&fake_window, request, arg);

	return rc < 0 ? -errno : rc;
}

static inline int fake_window_window(const struct quoll_group *group, const struct quoll_iova_range *range)
{
	struct quoll_window window = {
		.argsz = sizeof(window), .iova = range->first, .size_bytes = range->last - range->first + 1};

	(void)group;
	return fake_window_ask(QUOLL_STREAM_WINDOW, &window);
}

static inline int fake_window_ring(const struct quoll_group *group, void *va, uint64_t bytes, uint32_t nr_entries)
{
	struct quoll_stream_ring ring = {
		.argsz = sizeof(ring), .nr_entries = nr_entries, .va = (uintptr_t)va, .size_bytes = bytes};
	int rc = fake_window_ask(QUOLL_STREAM_RING, &ring);

	(void)group;
	return rc ? rc : (int)ring.ring;
}

static inline int fake_window_ring_free(const struct quoll_group *group, uint32_t ring)
{
	struct quoll_stream_free arg = {.argsz = sizeof(arg), .id = ring};

	(void)group;
	return fake_window_ask(QUOLL_STREAM_RING_FREE, &arg);
}

static inline int fake_window_buffer(const struct quoll_group *group, void *va, uint64_t bytes, bool write)
{
	struct quoll_stream_register arg = {.argsz = sizeof(arg),
					    .flags = write ? QUOLL_STREAM_WRITE : 0,
					    .va = (uintptr_t)va,
					    .size_bytes = bytes};
	int rc = fake_window_ask(QUOLL_STREAM_REGISTER, &arg);

	(void)group;
	return rc ? rc : (int)arg.buffer;
}

static inline int fake_window_buffer_free(const struct quoll_group *group, uint32_t buffer)
{
	struct quoll_stream_free arg = {.argsz = sizeof(arg), .id = buffer};

	(void)group;
	return fake_window_ask(QUOLL_STREAM_UNREGISTER, &arg);
}

static inline int fake_window_enter(const struct quoll_group *group, uint32_t ring, uint32_t nr_entries)
{
	struct quoll_stream_enter enter = {.argsz = sizeof(enter), .ring = ring, .nr_entries = nr_entries};

	(void)group;
	if (fake_window_entering)
		fake_window_entering();
	return fake_window_ask(QUOLL_STREAM_ENTER, &enter);
}

static inline uint8_t *fake_window_at(quoll_iova_t iova, uint64_t len, bool write)
{
	unsigned int access = write ? QUOLL_STREAM_WRITE : QUOLL_STREAM_READ;
	uint8_t *first = fake_stream_at(&fake_window, iova, access),
		*last = fake_stream_at(&fake_window, iova + (len - 1), access);

	return first && last == first + (len - 1) ? first : NULL;
}

static inline void fake_window_add(struct quoll_ioas *ioas, struct fake_pci *pci)
{
	static const struct stream_ops stream = {
		.window = fake_window_window,
		.ring = fake_window_ring,
		.ring_free = fake_window_ring_free,
		.buffer = fake_window_buffer,
		.buffer_free = fake_window_buffer_free,
		.enter = fake_window_enter,
	};
	static struct backend_ops ops;

	fake_window = (struct fake_stream){0};
	fake_window_entering = NULL;
	ops = *ioas->ops;
	ops.stream = &stream;
	ioas->ops = &ops;
	pci->stream_at = fake_window_at;
}

#endif
