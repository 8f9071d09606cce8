/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtq.h - virtqueues as they lie in memory, split and packed, and the header before each frame of virtio-net: shared
 * by the driver (virtio) and the device (vhost).
 *
 * Source: Virtual I/O Device 1.3, 2.7 "Split Virtqueues", 2.8 "Packed Virtqueues", 5.1 "Network Device", 6 "Reserved
 * Feature Bits". Everything is little-endian: only devices of version 1 are spoken to.
 */
#ifndef QUOLL_NET_VIRTQ_H
#define QUOLL_NET_VIRTQ_H

#include <assert.h>
#include <stdbool.h>

#include <quoll/types.h>

#define VIRTQ_MAX_SIZE 32768u
#define VIRTQ_DESC_BYTES 16u

/* Descriptors of both kinds: flags. */
#define VIRTQ_DESC_NEXT (1u << 0)
#define VIRTQ_DESC_WRITE (1u << 1) /* the device writes it */
#define VIRTQ_DESC_INDIRECT (1u << 2)
/* Of packed ones only. */
#define VIRTQ_DESC_AVAIL (1u << 7)
#define VIRTQ_DESC_USED (1u << 15)

/* Split: three areas. */
struct virtq_desc {
	quoll_le64 addr;
	quoll_le32 bytes;
	quoll_le16 flags;
	quoll_le16 next;
};

#define VIRTQ_AVAIL_NO_INTERRUPT 1u
struct virtq_avail {
	quoll_le16 flags;
	quoll_le16 idx;
	quoll_le16 ring[]; /* one more at its end: used_event */
};

struct virtq_used_elem {
	quoll_le32 id;
	quoll_le32 bytes;
};

#define VIRTQ_USED_NO_NOTIFY 1u
struct virtq_used {
	quoll_le16 flags;
	quoll_le16 idx;
	struct virtq_used_elem ring[]; /* followed by avail_event, 16 bits */
};

/* Packed: one ring, two areas for event suppression. */
struct virtq_packed_desc {
	quoll_le64 addr;
	quoll_le32 bytes;
	quoll_le16 id;
	quoll_le16 flags;
};

#define VIRTQ_EVENT_ENABLE 0u
#define VIRTQ_EVENT_DISABLE 1u
#define VIRTQ_EVENT_DESC 2u /* at off_wrap; with VIRTIO_F_EVENT_IDX */
#define VIRTQ_EVENT_WRAP (1u << 15)
struct virtq_packed_event {
	quoll_le16 off_wrap;
	quoll_le16 flags;
};

static_assert(sizeof(struct virtq_desc) == VIRTQ_DESC_BYTES && sizeof(struct virtq_packed_desc) == VIRTQ_DESC_BYTES,
	      "descriptors are 16 bytes");

static inline size_t virtq_avail_bytes(uint32_t size)
{
	return sizeof(struct virtq_avail) + (size_t)size * sizeof(quoll_le16) + sizeof(quoll_le16);
}

static inline size_t virtq_used_bytes(uint32_t size)
{
	return sizeof(struct virtq_used) + (size_t)size * sizeof(struct virtq_used_elem) + sizeof(quoll_le16);
}

/**
 * virtq_need_event() - does the other side want to hear of what happened between @old and @now? (2.7.7.2, 2.8.10)
 * @event: the index it asked to be told of; all three run on, modulo 65536
 */
static inline bool virtq_need_event(uint16_t event, uint16_t now, uint16_t old)
{
	return (uint16_t)(now - event - 1) < (uint16_t)(now - old);
}

/* A line that the other side has had, and that is going to be written. */
static inline void virtq_prefetch_write(const uint8_t *at)
{
#if defined(__x86_64__)
	/* The built-in would become a prefetch for reading on the baseline CPU. */
	__asm__ volatile("prefetchw %0" ::"m"(*at));
#else
	__builtin_prefetch(at, 1);
#endif
}

/* Feature bits. */
#define VIRTIO_F(bit) (UINT64_C(1) << (bit))
#define VIRTIO_NET_F_CSUM VIRTIO_F(0)	    /* the device fills in checksums */
#define VIRTIO_NET_F_GUEST_CSUM VIRTIO_F(1) /* the driver takes frames without */
#define VIRTIO_NET_F_MTU VIRTIO_F(3)
#define VIRTIO_NET_F_MAC VIRTIO_F(5)
#define VIRTIO_NET_F_GUEST_TSO4 VIRTIO_F(7)
#define VIRTIO_NET_F_GUEST_TSO6 VIRTIO_F(8)
#define VIRTIO_NET_F_GUEST_ECN VIRTIO_F(9)
#define VIRTIO_NET_F_GUEST_UFO VIRTIO_F(10)
#define VIRTIO_NET_F_HOST_TSO4 VIRTIO_F(11)
#define VIRTIO_NET_F_HOST_TSO6 VIRTIO_F(12)
#define VIRTIO_NET_F_HOST_ECN VIRTIO_F(13)
#define VIRTIO_NET_F_HOST_UFO VIRTIO_F(14)
#define VIRTIO_NET_F_MRG_RXBUF VIRTIO_F(15)
#define VIRTIO_NET_F_STATUS VIRTIO_F(16)
#define VIRTIO_NET_F_CTRL_VQ VIRTIO_F(17)
#define VIRTIO_NET_F_CTRL_RX VIRTIO_F(18)
#define VIRTIO_NET_F_CTRL_VLAN VIRTIO_F(19)
#define VIRTIO_NET_F_GUEST_ANNOUNCE VIRTIO_F(21)
#define VIRTIO_NET_F_MQ VIRTIO_F(22)
#define VIRTIO_NET_F_CTRL_MAC_ADDR VIRTIO_F(23)
#define VIRTIO_F_INDIRECT_DESC VIRTIO_F(28)
#define VIRTIO_F_EVENT_IDX VIRTIO_F(29)
#define VIRTIO_F_VERSION_1 VIRTIO_F(32)
#define VIRTIO_F_ACCESS_PLATFORM VIRTIO_F(33)
#define VIRTIO_F_RING_PACKED VIRTIO_F(34)
#define VIRTIO_F_IN_ORDER VIRTIO_F(35)
#define VIRTIO_F_ORDER_PLATFORM VIRTIO_F(36)
#define VIRTIO_F_NOTIFICATION_DATA VIRTIO_F(38)
#define VIRTIO_F_RING_RESET VIRTIO_F(40)
#define VIRTIO_NET_F_HASH_REPORT VIRTIO_F(57)
#define VIRTIO_NET_F_RSS VIRTIO_F(60)
#define VIRTIO_NET_F_SPEED_DUPLEX VIRTIO_F(63)

/* Before each frame (5.1.6). */
#define VIRTIO_NET_HDR_NEEDS_CSUM 1u
#define VIRTIO_NET_HDR_DATA_VALID 2u
#define VIRTIO_NET_GSO_NONE 0u
#define VIRTIO_NET_GSO_TCPV4 1u
#define VIRTIO_NET_GSO_UDP 3u
#define VIRTIO_NET_GSO_TCPV6 4u
#define VIRTIO_NET_GSO_ECN 0x80u
struct virtio_net_hdr {
	uint8_t flags;
	uint8_t gso_type;
	quoll_le16 hdr_bytes;
	quoll_le16 gso_bytes;
	quoll_le16 csum_start;
	quoll_le16 csum_offset;
	quoll_le16 nr_bufs; /* with MRG_RXBUF on receive; it is there in any case */
};

static_assert(sizeof(struct virtio_net_hdr) == 12, "as devices of version 1 have it");

#endif
