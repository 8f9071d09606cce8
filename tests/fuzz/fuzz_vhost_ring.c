/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_vhost_ring.c - a guest whose rings come from the input: nothing outside of its memory is touched, and every
 * buffer comes back.
 *
 * First byte: kind of rings and features. Then, one after the other: descriptors and driver area of the guest's
 * transmit ring, the same of its receive ring, and what lies in its buffers.
 */
#include <string.h>

#include "vhost_port.h"

#define SIZE 16u
#define MEMORY_BYTES 16384u
#define RING_BYTES 2048u
#define DRIVER_AT 512u
#define DEVICE_AT 1024u
#define BUFS_AT 8192u

enum {
	KIND_PACKED = 1 << 0,
	KIND_MERGEABLE = 1 << 1,
	KIND_INDIRECT = 1 << 2,
	KIND_EVENT_IDX = 1 << 3,
	KIND_TWO_AREAS = 1 << 4,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t take(uint8_t *to, size_t room, const uint8_t *data, size_t size)
{
	size_t n = size < room ? size : room;

	memcpy(to, data, n);
	return n;
}

static void make_ring(struct vhost_port *vp, unsigned int idx, uint8_t kind, uint8_t *mem)
{
	struct vhost_vring *vring = &vp->vrings[idx];

	vring->ring = (struct vhost_ring){
		.desc = (void *)mem,
		.avail = (void *)(mem + DRIVER_AT),
		.used = (void *)(mem + DEVICE_AT),
		.area = &vp->memory.areas[0],
		.size = SIZE,
		.wrap = true,
		.is_packed = kind & KIND_PACKED,
		.event_idx = kind & KIND_EVENT_IDX,
		.indirect = kind & KIND_INDIRECT,
		.mergeable = kind & KIND_MERGEABLE,
		.memory = &vp->memory,
		.features = VIRTIO_NET_F_CSUM | VIRTIO_NET_F_HOST_TSO4,
	};
	vring->active = &vring->ring;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vhost_port *vp;
	uint8_t *mem;
	size_t n;

	if (!size)
		return 0;
	if (!fuzz.port)
		fuzz_port_make();
	vp = (struct vhost_port *)fuzz.port;
	/* Of its own, so that a byte too far is seen. */
	mem = aligned_alloc(64, MEMORY_BYTES);
	if (!mem)
		abort();
	memset(mem, 0, MEMORY_BYTES);
	vp->memory.nr = 1;
	vp->memory.areas[0] = (struct vhost_area){.bytes = MEMORY_BYTES, .va = mem, .guard = -1};
	if (data[0] & KIND_TWO_AREAS) {
		vp->memory.nr = 2;
		vp->memory.areas[0].bytes = MEMORY_BYTES / 2;
		vp->memory.areas[1] = vp->memory.areas[0];
		vp->memory.areas[1].guest = MEMORY_BYTES / 2;
		vp->memory.areas[1].va = mem + MEMORY_BYTES / 2;
	}
	n = 1;
	for (unsigned int i = 2; i-- > 0;) {
		n += take(mem + i * RING_BYTES, SIZE * VIRTQ_DESC_BYTES, data + n, size - n);
		n += take(mem + i * RING_BYTES + DRIVER_AT, virtq_avail_bytes(SIZE), data + n, size - n);
		make_ring(vp, i, data[0], mem + i * RING_BYTES);
	}
	take(mem + BUFS_AT, MEMORY_BYTES - BUFS_AT, data + n, size - n);
	fuzz_port_poll();
	fuzz_port_poll();
	for (unsigned int i = 0; i < 2; i++)
		vp->vrings[i].active = NULL;
	vp->memory.nr = 0;
	free(mem);
	return 0;
}
