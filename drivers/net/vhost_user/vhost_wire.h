/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost_wire.h - vhost-user's messages as they go over the socket: shared by the front end (virtio-user:) and the back
 * end (vhost:).
 *
 * Source: QEMU, "Vhost-user Protocol" (docs/interop/vhost-user). Values are in the host's byte order.
 */
#ifndef QUOLL_NET_VHOST_WIRE_H
#define QUOLL_NET_VHOST_WIRE_H

#include <assert.h>
#include <stdint.h>

enum vhost_request {
	VHOST_GET_FEATURES = 1,
	VHOST_SET_FEATURES = 2,
	VHOST_SET_OWNER = 3,
	VHOST_RESET_OWNER = 4,
	VHOST_SET_MEM_TABLE = 5,
	VHOST_SET_LOG_BASE = 6,
	VHOST_SET_LOG_FD = 7,
	VHOST_SET_VRING_NUM = 8,
	VHOST_SET_VRING_ADDR = 9,
	VHOST_SET_VRING_BASE = 10,
	VHOST_GET_VRING_BASE = 11,
	VHOST_SET_VRING_KICK = 12,
	VHOST_SET_VRING_CALL = 13,
	VHOST_SET_VRING_ERR = 14,
	VHOST_GET_PROTOCOL_FEATURES = 15,
	VHOST_SET_PROTOCOL_FEATURES = 16,
	VHOST_GET_QUEUE_NUM = 17,
	VHOST_SET_VRING_ENABLE = 18,
	VHOST_SEND_RARP = 19,
	VHOST_NET_SET_MTU = 20,
	VHOST_SET_BACKEND_REQ_FD = 21,
	VHOST_GET_CONFIG = 24,
	VHOST_SET_CONFIG = 25,
	VHOST_GET_INFLIGHT_FD = 31,
	VHOST_SET_INFLIGHT_FD = 32,
	VHOST_RESET_DEVICE = 34,
	VHOST_GET_MAX_MEM_SLOTS = 36,
	VHOST_ADD_MEM_REG = 37,
	VHOST_REM_MEM_REG = 38,
	VHOST_SET_STATUS = 39,
	VHOST_GET_STATUS = 40,
};

#define VHOST_FLAG_VERSION 1u
#define VHOST_FLAG_VERSION_MASK 3u
#define VHOST_FLAG_REPLY (1u << 2)
#define VHOST_FLAG_NEED_REPLY (1u << 3)

/* Among the virtio features, but never the driver's: protocol features can be negotiated. */
#define VHOST_F_PROTOCOL_FEATURES (UINT64_C(1) << 30)
#define VHOST_F_LOG_ALL (UINT64_C(1) << 26)

#define VHOST_PROTOCOL_MQ (UINT64_C(1) << 0)
#define VHOST_PROTOCOL_LOG_SHMFD (UINT64_C(1) << 1)
#define VHOST_PROTOCOL_RARP (UINT64_C(1) << 2)
#define VHOST_PROTOCOL_REPLY_ACK (UINT64_C(1) << 3)
#define VHOST_PROTOCOL_MTU (UINT64_C(1) << 4)
#define VHOST_PROTOCOL_BACKEND_REQ (UINT64_C(1) << 5)
#define VHOST_PROTOCOL_CONFIG (UINT64_C(1) << 9)
#define VHOST_PROTOCOL_INFLIGHT_SHMFD (UINT64_C(1) << 12)
#define VHOST_PROTOCOL_RESET_DEVICE (UINT64_C(1) << 13)
#define VHOST_PROTOCOL_CONFIGURE_MEM_SLOTS (UINT64_C(1) << 15)
#define VHOST_PROTOCOL_STATUS (UINT64_C(1) << 16)

#define VHOST_MAX_FDS 8u     /* of SET_MEM_TABLE: one a region */
#define VHOST_MAX_REGIONS 8u /* in one message; with CONFIGURE_MEM_SLOTS there may be more, one a message */
#define VHOST_VRING_NO_FD (1u << 8)
#define VHOST_VRING_IDX_MASK 0xffu

struct vhost_header {
	uint32_t request;
	uint32_t flags;
	uint32_t bytes; /* of what follows */
};

struct vhost_vring_state {
	uint32_t idx;
	uint32_t num;
};

struct vhost_vring_addr {
	uint32_t idx;
	uint32_t flags;
	uint64_t desc; /* these are addresses of the front end's process */
	uint64_t used;
	uint64_t avail;
	uint64_t log;
};

struct vhost_region {
	uint64_t guest_addr;
	uint64_t bytes;
	uint64_t user_addr;
	uint64_t mmap_offset;
};

struct vhost_mem_table {
	uint32_t nr_regions;
	uint32_t padding;
	struct vhost_region regions[VHOST_MAX_REGIONS];
};

struct vhost_mem_reg {
	uint64_t padding;
	struct vhost_region region;
};

struct vhost_inflight {
	uint64_t mmap_bytes;
	uint64_t mmap_offset;
	uint16_t nr_queues;
	uint16_t queue_size;
	uint32_t padding; /* of the struct's alignment */
};

static_assert(sizeof(struct vhost_header) == 12, "as on the socket");
static_assert(sizeof(struct vhost_vring_addr) == 40, "as on the socket");
static_assert(sizeof(struct vhost_mem_table) == 8 + 32 * VHOST_MAX_REGIONS, "as on the socket");

#endif
