/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * wire.h - the messages of vfio-user 0.2 as they lie on the socket: header, commands, payloads. No code, no state.
 *
 * Source: "vfio-user Protocol Specification", docs/interop/vfio-user.rst in QEMU. All numbers are in the host's byte
 * order. Flags of devices, regions and interrupts, and capability chains, are those of linux/vfio.h. A payload follows
 * the header; what is variable (data, chains, capabilities in JSON) follows the fixed part of the payload.
 */
#ifndef QUOLL_EAL_VFIO_USER_WIRE_H
#define QUOLL_EAL_VFIO_USER_WIRE_H

#include <stddef.h>
#include <stdint.h>

#define VUSER_MAJOR 0
#define VUSER_MINOR 2

/* What a side that says nothing about it can take. */
#define VUSER_DEFAULT_MSG_FDS 1u
#define VUSER_DEFAULT_DATA_BYTES (1u << 20)
#define VUSER_DEFAULT_DMA_MAPS 65535u
#define VUSER_DEFAULT_PGSIZES 4096u

/* The client sends all but DMA_READ and DMA_WRITE. */
enum vuser_command {
	VUSER_VERSION = 1,
	VUSER_DMA_MAP = 2,
	VUSER_DMA_UNMAP = 3,
	VUSER_DEVICE_GET_INFO = 4,
	VUSER_DEVICE_GET_REGION_INFO = 5,
	VUSER_DEVICE_GET_REGION_IO_FDS = 6,
	VUSER_DEVICE_GET_IRQ_INFO = 7,
	VUSER_DEVICE_SET_IRQS = 8,
	VUSER_REGION_READ = 9,
	VUSER_REGION_WRITE = 10,
	VUSER_DMA_READ = 11,
	VUSER_DMA_WRITE = 12,
	VUSER_DEVICE_RESET = 13,
	VUSER_REGION_WRITE_MULTI = 15,
	VUSER_DEVICE_FEATURE = 16,
	VUSER_MIG_DATA_READ = 17,
	VUSER_MIG_DATA_WRITE = 18,
};

/* Flags of the header. */
#define VUSER_TYPE_MASK 0xfu
#define VUSER_TYPE_COMMAND 0u
#define VUSER_TYPE_REPLY 1u
#define VUSER_NO_REPLY (1u << 4) /* of a command: none is wanted */
#define VUSER_ERROR (1u << 5)	 /* of a reply: the command failed, nothing but the header comes */

/* @size_bytes: of the whole message; @error: an errno, in replies with VUSER_ERROR, and may be 0 even there. */
struct vuser_header {
	uint16_t id; /* the sender's own affair; a reply repeats it */
	uint16_t command;
	uint32_t size_bytes;
	uint32_t flags;
	uint32_t error;
};

/* VERSION, both ways; capabilities in JSON follow, with their terminating zero, or nothing does. */
struct vuser_version {
	uint16_t major;
	uint16_t minor;
};

/* Flags of DMA_MAP. */
#define VUSER_DMA_READABLE (1u << 0)
#define VUSER_DMA_WRITABLE (1u << 1)

/* DMA_MAP; with one fd if the server may map the memory. The reply is empty. */
struct vuser_dma_map {
	uint32_t argsz; /* 32 */
	uint32_t flags;
	uint64_t offset; /* in the fd's file */
	uint64_t iova;
	uint64_t size_bytes;
};

/* DMA_UNMAP, both ways; iova and size are those of one earlier map. */
struct vuser_dma_unmap {
	uint32_t argsz;
	uint32_t flags; /* 0 */
	uint64_t iova;
	uint64_t size_bytes;
};

/* DEVICE_GET_INFO, both ways; flags: VFIO_DEVICE_FLAGS_*. */
struct vuser_device_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t nr_regions;
	uint32_t nr_irqs;
};

/*
 * DEVICE_GET_REGION_INFO, both ways; argsz: in a command the room for the reply, in a reply what it takes. A reply with
 * less than it takes leaves out the chain. It comes with one fd for the region, or with one for each sparse area.
 */
struct vuser_region_info {
	uint32_t argsz;
	uint32_t flags; /* VFIO_REGION_INFO_FLAG_* */
	uint32_t index;
	uint32_t cap_offset; /* from the start of this struct */
	uint64_t size_bytes;
	uint64_t offset; /* where the region begins in the fd's file */
};

/* DEVICE_GET_IRQ_INFO, both ways; flags: VFIO_IRQ_INFO_*. */
struct vuser_irq_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t count;
};

/* DEVICE_SET_IRQS; with count fds, or count bytes after it, by flags (VFIO_IRQ_SET_*). The reply is empty. */
struct vuser_irq_set {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t start;
	uint32_t count;
};

/* REGION_READ and REGION_WRITE, both ways; count bytes of data follow in a read's reply and in a write. */
struct vuser_region_access {
	uint64_t offset;
	uint32_t region;
	uint32_t count;
};

/* DMA_READ and DMA_WRITE, both ways; likewise. */
struct vuser_dma_access {
	uint64_t iova;
	uint64_t count;
};

/* REGION_WRITE_MULTI: a number of writes, then these; the reply is the number of those that were done. */
struct vuser_write_one {
	uint64_t offset;
	uint32_t region;
	uint32_t count; /* 8 at most */
	uint8_t data[8];
};

struct vuser_write_multi {
	uint64_t nr_writes;
};

/* DEVICE_FEATURE, both ways. */
struct vuser_feature {
	uint32_t argsz;
	uint32_t flags;
};

#define VUSER_WIRE_SIZE_(type, bytes) _Static_assert(sizeof(struct type) == (bytes), #type)
#define VUSER_WIRE_AT_(type, member, at) _Static_assert(offsetof(struct type, member) == (at), #type "." #member)

VUSER_WIRE_SIZE_(vuser_header, 16);
VUSER_WIRE_AT_(vuser_header, size_bytes, 4);
VUSER_WIRE_AT_(vuser_header, error, 12);
VUSER_WIRE_SIZE_(vuser_version, 4);
VUSER_WIRE_SIZE_(vuser_dma_map, 32);
VUSER_WIRE_AT_(vuser_dma_map, offset, 8);
VUSER_WIRE_AT_(vuser_dma_map, iova, 16);
VUSER_WIRE_SIZE_(vuser_dma_unmap, 24);
VUSER_WIRE_AT_(vuser_dma_unmap, iova, 8);
VUSER_WIRE_SIZE_(vuser_device_info, 16);
VUSER_WIRE_SIZE_(vuser_region_info, 32);
VUSER_WIRE_AT_(vuser_region_info, cap_offset, 12);
VUSER_WIRE_AT_(vuser_region_info, size_bytes, 16);
VUSER_WIRE_AT_(vuser_region_info, offset, 24);
VUSER_WIRE_SIZE_(vuser_irq_info, 16);
VUSER_WIRE_SIZE_(vuser_irq_set, 20);
VUSER_WIRE_AT_(vuser_irq_set, start, 12);
VUSER_WIRE_SIZE_(vuser_region_access, 16);
VUSER_WIRE_AT_(vuser_region_access, count, 12);
VUSER_WIRE_SIZE_(vuser_dma_access, 16);
VUSER_WIRE_SIZE_(vuser_write_one, 24);
VUSER_WIRE_AT_(vuser_write_one, data, 16);
VUSER_WIRE_SIZE_(vuser_write_multi, 8);
VUSER_WIRE_SIZE_(vuser_feature, 8);

#endif
