/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio_regs.h - a virtio device on PCI: its capabilities in config space and the registers that they lead to.
 *
 * Source: Virtual I/O Device 1.3, 4.1 "Virtio Over PCI Bus", 2.1 "Device Status Field".
 */
#ifndef QUOLL_VIRTIO_REGS_H
#define QUOLL_VIRTIO_REGS_H

#define VIRTIO_PCI_VENDOR_ID 0x1af4u
#define VIRTIO_PCI_NET_ID 0x1041u
#define VIRTIO_PCI_NET_TRANSITIONAL_ID 0x1000u

/* Vendor capabilities: offsets in one. */
enum virtio_pci_cap {
	VIRTIO_PCI_CAP_NEXT = 1,
	VIRTIO_PCI_CAP_LEN = 2,
	VIRTIO_PCI_CAP_TYPE = 3,
	VIRTIO_PCI_CAP_BAR = 4,
	VIRTIO_PCI_CAP_OFFSET = 8,
	VIRTIO_PCI_CAP_BYTES = 12,
	VIRTIO_PCI_CAP_MULTIPLIER = 16, /* of the notification capability */
};

enum virtio_pci_cap_type {
	VIRTIO_PCI_COMMON = 1,
	VIRTIO_PCI_NOTIFY = 2,
	VIRTIO_PCI_ISR = 3,
	VIRTIO_PCI_DEVICE = 4,
};

/* The common structure. */
enum virtio_reg {
	VIRTIO_DEVICE_FEATURE_SELECT = 0,
	VIRTIO_DEVICE_FEATURE = 4,
	VIRTIO_DRIVER_FEATURE_SELECT = 8,
	VIRTIO_DRIVER_FEATURE = 12,
	VIRTIO_CONFIG_VECTOR = 16, /* 16 bits, as all of the queue's but the addresses */
	VIRTIO_NUM_QUEUES = 18,
	VIRTIO_DEVICE_STATUS = 20,     /* 8 bits */
	VIRTIO_CONFIG_GENERATION = 21, /* 8 bits */
	VIRTIO_QUEUE_SELECT = 22,
	VIRTIO_QUEUE_SIZE = 24,
	VIRTIO_QUEUE_VECTOR = 26,
	VIRTIO_QUEUE_ENABLE = 28,
	VIRTIO_QUEUE_NOTIFY_OFF = 30,
	VIRTIO_QUEUE_DESC = 32, /* 64 bits, in two halves */
	VIRTIO_QUEUE_DRIVER = 40,
	VIRTIO_QUEUE_DEVICE = 48,
	VIRTIO_COMMON_BYTES = 56,
};

#define VIRTIO_NO_VECTOR 0xffffu

#define VIRTIO_STATUS_ACKNOWLEDGE 1u
#define VIRTIO_STATUS_DRIVER 2u
#define VIRTIO_STATUS_DRIVER_OK 4u
#define VIRTIO_STATUS_FEATURES_OK 8u
#define VIRTIO_STATUS_NEEDS_RESET 64u
#define VIRTIO_STATUS_FAILED 128u

/* Commands on the control queue (5.1.6.5). */
#define VIRTIO_CTRL_RX 0u
#define VIRTIO_CTRL_RX_PROMISC 0u
#define VIRTIO_CTRL_RX_ALLMULTI 1u
#define VIRTIO_CTRL_MAC 1u
#define VIRTIO_CTRL_MAC_TABLE_SET 0u
#define VIRTIO_CTRL_MAC_ADDR_SET 1u
#define VIRTIO_CTRL_MQ 4u
#define VIRTIO_CTRL_MQ_PAIRS_SET 0u
#define VIRTIO_CTRL_MQ_RSS_CONFIG 1u
#define VIRTIO_CTRL_OK 0u

#endif
