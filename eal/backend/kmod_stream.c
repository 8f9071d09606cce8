/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kmod_stream.c - what quoll.ko is asked for streaming: a window, rings, registered buffers. What is in a ring is
 * eal/stream's.
 */
#include <errno.h>
#include <sys/ioctl.h>

#include <quoll_uapi.h>

#include "backend/kmod.h"

static int kmod_window(const struct quoll_group *group, const struct quoll_iova_range *range)
{
	struct quoll_window window = {
		.argsz = sizeof(window),
		.iova = range->first,
		.size_bytes = range->last - range->first + 1,
	};

	return ioctl(group->fd, QUOLL_STREAM_WINDOW, &window) ? -errno : 0;
}

static int kmod_ring(const struct quoll_group *group, void *va, uint64_t bytes, uint32_t nr_entries)
{
	struct quoll_stream_ring ring = {
		.argsz = sizeof(ring),
		.nr_entries = nr_entries,
		.va = (uintptr_t)va,
		.size_bytes = bytes,
	};

	return ioctl(group->fd, QUOLL_STREAM_RING, &ring) ? -errno : (int)ring.ring;
}

static int kmod_free(const struct quoll_group *group, unsigned long request, uint32_t id)
{
	struct quoll_stream_free arg = {.argsz = sizeof(arg), .id = id};

	return ioctl(group->fd, request, &arg) ? -errno : 0;
}

static int kmod_ring_free(const struct quoll_group *group, uint32_t ring)
{
	return kmod_free(group, QUOLL_STREAM_RING_FREE, ring);
}

static int kmod_enter(const struct quoll_group *group, uint32_t ring, uint32_t nr_entries)
{
	struct quoll_stream_enter enter = {.argsz = sizeof(enter), .ring = ring, .nr_entries = nr_entries};
	int rc = ioctl(group->fd, QUOLL_STREAM_ENTER, &enter);

	return rc < 0 ? -errno : rc;
}

static int kmod_buffer(const struct quoll_group *group, void *va, uint64_t bytes, bool write)
{
	struct quoll_stream_register arg = {
		.argsz = sizeof(arg),
		.flags = write ? QUOLL_STREAM_WRITE : 0,
		.va = (uintptr_t)va,
		.size_bytes = bytes,
	};

	return ioctl(group->fd, QUOLL_STREAM_REGISTER, &arg) ? -errno : (int)arg.buffer;
}

static int kmod_buffer_free(const struct quoll_group *group, uint32_t buffer)
{
	return kmod_free(group, QUOLL_STREAM_UNREGISTER, buffer);
}

const struct stream_ops kmod_stream = {
	.window = kmod_window,
	.ring = kmod_ring,
	.ring_free = kmod_ring_free,
	.enter = kmod_enter,
	.buffer = kmod_buffer,
	.buffer_free = kmod_buffer_free,
};
