/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR BSD-3-Clause) */
/*
 * quoll_uapi.h - what quoll.ko and programs say to each other. Version 0: it changes without notice until all drivers
 * have used it.
 *
 * Nodes: /dev/quoll/control answers questions about any group that has a node, to anybody. /dev/quoll/N is the IOMMU
 * group N: who opens it owns the group, alone. The owner is an address space, whoever has the file: to any other one,
 * a forked child's too, each request is EPERM; request 13 is set aside for handing a group over to another one, once,
 * at the owner's word.
 *
 * open() of /dev/quoll/N: EBUSY: it is open already, or, without all_groups=1, VFIO has the group or a member's driver
 * does DMA; EPERM: the IOMMU does not remap interrupts; EOPNOTSUPP: its smallest page is larger than the CPU's; EINTR:
 * a signal came; ENODEV: the node is just going away; ENOMEM.
 *
 * Each structure begins with argsz, the bytes that the caller has, and flags. A longer structure is taken if the kernel
 * knows of no meaning for the rest, it is zero and no more than a page (E2BIG otherwise), a shorter one than the first
 * is EINVAL. Reserved members and unknown flags must be zero (EINVAL). An argument that is not there is EFAULT, a
 * request that the node has not ENOTTY; ENOMEM may come of most. What follows struct quoll_group_info is room for its
 * capability chain, and not looked at; if it does not fit, argsz is set to what is needed, and cap_offset is 0. The
 * chain is that of linux/vfio.h: struct vfio_info_cap_header, offsets from the start of the structure.
 *
 * A device's file speaks linux/vfio.h: VFIO_DEVICE_GET_INFO, _GET_REGION_INFO, _GET_IRQ_INFO, _SET_IRQS, _RESET, with
 * an argsz of at most 16 KiB (EINVAL); read, write and mmap at the regions' offsets; ENOTTY for the rest. EPERM:
 * another address space than the owner's; ENODEV: the device is taken away, or the group is let go; EIO: it does not
 * get power. What is mapped is not there in a forked child.
 */
#ifndef QUOLL_UAPI_H
#define QUOLL_UAPI_H

#include <linux/ioctl.h>
#include <linux/types.h>
#include <linux/vfio.h>

#define QUOLL_UAPI_VERSION 0
#define QUOLL_UAPI_NAME_BYTES 64

#define QUOLL_UAPI_TYPE 0xBE

/* Both nodes. Return: QUOLL_UAPI_VERSION. */
#define QUOLL_GET_VERSION _IO(QUOLL_UAPI_TYPE, 0)

/**
 * struct quoll_group_info - a group: whether it can be owned, what stands in the way, what its IOMMU can do
 * @flags:      in: 0; out: QUOLL_GROUP_*
 * @group:      /dev/quoll/control: in: which group; /dev/quoll/N: in: 0 (EINVAL), out: N
 * @nr_devices: members of the IOMMU group, whatever they are with
 * @nr_bound:   of these, with this module
 * @generation: another one whenever members came, went or changed their driver
 * @cap_offset: 0, or where the chain begins
 * @blocker:    without QUOLL_GROUP_VIABLE: the member that is in the way, and its driver; both empty where the group is
 *              owned by VFIO, or none of its members is with this module
 *
 * Errors: ENOENT: no such group, or it has no node.
 */
struct quoll_group_info {
	__u32 argsz;
	__u32 flags;
#define QUOLL_GROUP_VIABLE (1 << 0)  /* claimed, or nobody is in the way; EPERM of open() is not foreseen */
#define QUOLL_GROUP_OWNED (1 << 1)   /* by a file of /dev/quoll/N */
#define QUOLL_GROUP_CLAIMED (1 << 2) /* and DMA mappings and device files can be had from it */
#define QUOLL_GROUP_CAPS (1 << 3)    /* there is a chain, whether it fits or not */
	__u32 group;
	__u32 nr_devices;
	__u32 nr_bound;
	__u32 generation;
	__u32 cap_offset;
	__u32 reserved;
	char blocker[QUOLL_UAPI_NAME_BYTES];
	char blocker_driver[QUOLL_UAPI_NAME_BYTES];
};
#define QUOLL_GROUP_GET_INFO _IO(QUOLL_UAPI_TYPE, 1)

/**
 * struct quoll_cap_iommu - capability 1, of a claimed group
 * @type:            QUOLL_IOMMU_*; what is special to an architecture comes in capabilities of its own
 * @page_sizes:      a bit each
 * @aperture_first, @aperture_last: IOVAs that exist, both inclusive; capability 2 has the holes
 * @max_mappings, @nr_mappings: allowed and there
 */
#define QUOLL_CAP_IOMMU 1
struct quoll_cap_iommu {
	struct vfio_info_cap_header header;
	__u32 type;
#define QUOLL_IOMMU_PAGE_TABLE 1
	__u32 flags;
#define QUOLL_IOMMU_COHERENT (1 << 0)	     /* devices see what is in the CPUs' caches */
#define QUOLL_IOMMU_COHERENT_ALWAYS (1 << 1) /* also where a transaction asks not to snoop */
#define QUOLL_IOMMU_ISOLATED_MSI (1 << 2)    /* no device can raise another one's interrupts */
	__u64 page_sizes;
	__u64 aperture_first;
	__u64 aperture_last;
	__u32 max_mappings;
	__u32 nr_mappings;
};

/**
 * struct quoll_cap_reserved - capability 2: IOVAs that cannot be mapped
 */
#define QUOLL_CAP_RESERVED 2
struct quoll_reserved_range {
	__u64 first;
	__u64 last;
	__u32 type;
#define QUOLL_RESERVED_OTHER 0
#define QUOLL_RESERVED_DIRECT 1 /* firmware wants it mapped one to one */
#define QUOLL_RESERVED_MSI 2	/* writes are interrupts, or go where they are translated for these */
	__u32 reserved;
};
struct quoll_cap_reserved {
	struct vfio_info_cap_header header;
	__u32 nr_ranges;
	__u32 reserved;
	struct quoll_reserved_range ranges[];
};

/**
 * struct quoll_group_device - a member of a group
 * @flags: in: 0; out: QUOLL_DEVICE_*
 * @group: as in struct quoll_group_info
 * @index: in: 0 .. nr_devices - 1, in an order that holds for one generation
 * @bus:   QUOLL_BUS_TYPE_*
 *
 * Errors: ENOENT: no such group, no such index.
 */
struct quoll_group_device {
	__u32 argsz;
	__u32 flags;
#define QUOLL_DEVICE_BOUND (1 << 0)  /* with this module: its file can be had */
#define QUOLL_DEVICE_OPEN (1 << 1)   /* its file is open */
#define QUOLL_DEVICE_BLOCKS (1 << 2) /* its driver does DMA: the group is not viable */
#define QUOLL_DEVICE_BUSY (1 << 3)   /* it just gets or loses a driver; ask again */
	__u32 group;
	__u32 index;
	__u32 bus;
#define QUOLL_BUS_TYPE_OTHER 0
#define QUOLL_BUS_TYPE_PCI 1
#define QUOLL_BUS_TYPE_PLATFORM 2
	__u32 generation;
	char name[QUOLL_UAPI_NAME_BYTES];
	char driver[QUOLL_UAPI_NAME_BYTES];
};
#define QUOLL_GROUP_GET_DEVICE _IO(QUOLL_UAPI_TYPE, 2)

/*
 * The rest is /dev/quoll/N's alone. ENODEV, also of the requests above if they come by that file: the group is lost, as
 * its last member left. With all_groups=1 the file may be open before the group is claimed; then whoever wants a
 * device's file, a map, an unmap or a window claims it first, and that fails as open() does without all_groups=1.
 */

/**
 * struct quoll_device_open - get the file of a member, by name
 * @flags: in: 0
 *
 * Return: a file descriptor, close-on-exec. Errors: EINVAL: the name has no end; ENOENT: no member of that name is with
 * this module; EBUSY: its file is open, or is being opened or closed; EACCES: it is a virtual function whose physical
 * function somebody has through VFIO; EAGAIN: the kernel is at the device; EMFILE; as the kernel's driver fails.
 */
struct quoll_device_open {
	__u32 argsz;
	__u32 flags;
	char name[QUOLL_UAPI_NAME_BYTES];
};
#define QUOLL_GROUP_OPEN_DEVICE _IO(QUOLL_UAPI_TYPE, 3)

/**
 * struct quoll_dma_map - let the group's devices reach memory
 * @flags: QUOLL_DMA_*, at least one
 * @va:    of the calling process; @iova, @size_bytes: where; all multiples of the CPU's page size
 *
 * The memory is pinned, and counts against RLIMIT_MEMLOCK until it is unmapped (CAP_IPC_LOCK: it counts, without
 * limit).
 *
 * Errors: EINVAL: no or unknown flags, no multiples, nothing, or too much of it; EEXIST: overlaps with a mapping or the
 * window; ERANGE: outside the aperture or in a reserved range; EFAULT: no memory at va, or none of that permission;
 * ENOMEM: RLIMIT_MEMLOCK, or no memory; ENOSPC: max_mappings; EINTR: the process is killed; EIO: the IOMMU took a part,
 * and has not let go of it, so that the memory stays pinned.
 */
struct quoll_dma_map {
	__u32 argsz;
	__u32 flags;
#define QUOLL_DMA_READ (1 << 0)	 /* by the device */
#define QUOLL_DMA_WRITE (1 << 1) /* by the device */
	__u64 va;
	__u64 iova;
	__u64 size_bytes;
};
#define QUOLL_GROUP_MAP_DMA _IO(QUOLL_UAPI_TYPE, 4)

/**
 * struct quoll_dma_unmap - take mappings back; when it returns no device reaches the memory any more
 * @flags:      QUOLL_DMA_UNMAP_ALL, with the rest 0: all but the window
 * @iova, @size_bytes: in: a range that covers whole mappings, multiples of the CPU's page size; size_bytes out: how
 *              much was mapped there
 *
 * Errors: EINVAL: the range cuts a mapping, no multiples, nothing, or too much; ENOENT: there is none in it; ENOMEM:
 * those at its end may be mapped still; EIO: the IOMMU did not let go of all of it, and what it kept stays pinned.
 */
struct quoll_dma_unmap {
	__u32 argsz;
	__u32 flags;
#define QUOLL_DMA_UNMAP_ALL (1 << 0)
	__u64 iova;
	__u64 size_bytes;
};
#define QUOLL_GROUP_UNMAP_DMA _IO(QUOLL_UAPI_TYPE, 5)

/**
 * struct quoll_group_events - an eventfd that is signalled with each new generation
 * @flags: in: 0
 * @fd:    replaces the one before; -1: none
 *
 * Before a device that is open is taken away its request interrupt and this are signalled, and the kernel waits for a
 * moment for its file to be closed; then the file is dead: ENODEV, SIGBUS where its memory was mapped.
 *
 * Errors: EBADF, EINVAL: no eventfd.
 */
struct quoll_group_events {
	__u32 argsz;
	__u32 flags;
	__s32 fd;
	__u32 reserved;
};
#define QUOLL_GROUP_SET_EVENTS _IO(QUOLL_UAPI_TYPE, 6)

/*
 * Streaming: a window of IOVAs in which memory is mapped for one I/O at a time. Who has it hands IOVAs out as it likes
 * (each thread a part of its own, so that it needs no locks); the kernel keeps the state of each slot, a page of IOVAs:
 *
 *   free --map--> mapped --unmap--> zapped --fence--> free
 *
 * No device reaches what is zapped once the fence has completed, and only then is it unpinned and its slots can be
 * mapped again (EEXIST before). Work is put into rings of struct quoll_stream_entry and done in their order by
 * QUOLL_STREAM_ENTER; a ring is one thread's.
 */

/**
 * struct quoll_window - set IOVAs aside for streaming; one window a claim, until the claim ends
 * @flags: in: 0
 * @iova, @size_bytes: where; multiples of the CPU's page size, at most QUOLL_WINDOW_MAX_BYTES
 *
 * RLIMIT_MEMLOCK is charged with all of it at once, as each slot may pin a page.
 *
 * Errors: EINVAL: no multiples, nothing, or too much; EEXIST: there is a window, or a mapping in that range; ERANGE:
 * outside the aperture or in a reserved range; ENOMEM: RLIMIT_MEMLOCK, or no memory for the slots.
 */
struct quoll_window {
	__u32 argsz;
	__u32 flags;
	__u64 iova;
	__u64 size_bytes;
#define QUOLL_WINDOW_MAX_BYTES (1ULL << 34)
};
#define QUOLL_STREAM_WINDOW _IO(QUOLL_UAPI_TYPE, 7)

/**
 * struct quoll_stream_entry - a piece of work
 * @op:        QUOLL_STREAM_MAP .. _FENCE
 * @flags:     QUOLL_STREAM_*
 * @buffer:    with QUOLL_STREAM_REGISTERED: which; else 0
 * @va:        map: of the process; with QUOLL_STREAM_REGISTERED an offset in the buffer; unmap, fence: 0
 * @iova, @size_bytes: map: where, in the window; unmap: a mapping, or several that lie one behind the other, all of
 * them or none; 0 for a fence. All multiples of a page
 * @user_data: comes back in the completion
 */
struct quoll_stream_entry {
	__u8 op;
#define QUOLL_STREAM_MAP 1
#define QUOLL_STREAM_UNMAP 2
#define QUOLL_STREAM_FENCE 3 /* what this ring has unmapped before is free */
	__u8 flags;
#define QUOLL_STREAM_READ (1 << 0)	 /* map: by the device; one of these two at least */
#define QUOLL_STREAM_WRITE (1 << 1)	 /* map: by the device */
#define QUOLL_STREAM_REGISTERED (1 << 2) /* map: pinned already, by QUOLL_STREAM_REGISTER */
#define QUOLL_STREAM_SILENT (1 << 3)	 /* no completion if it goes well */
	__u16 reserved;
	__u32 buffer;
	__u64 va;
	__u64 iova;
	__u64 size_bytes;
	__u64 user_data;
	__u64 reserved2[3];
};

/**
 * struct quoll_stream_done - a completion
 * @result: 0, or -errno: EINVAL: malformed, or an unmap that cuts a mapping; ERANGE: not in the window; EEXIST: a slot
 *          isn't free; ENOENT: unmap: nothing is mapped there, map: no such buffer; EFAULT: no memory at va, or none of
 *          that permission, or not in the buffer; ENOMEM; EINTR; ENODEV: the group is lost; EIO: the IOMMU has not let
 *          go of it (of what it had before a map failed), and its slots are lost
 */
struct quoll_stream_done {
	__u64 user_data;
	__s32 result;
	__u32 reserved;
};

/**
 * struct quoll_stream_head - the first bytes of a ring's memory
 *
 * The indexes run freely and are taken modulo the number of entries; each is written by one side, after what it covers
 * (release), and read by the other (acquire). A program whose indexes make no sense gets EINVAL from
 * QUOLL_STREAM_ENTER, and nothing is done.
 *
 * nr_entries struct quoll_stream_entry follow, then 2 * nr_entries struct quoll_stream_done.
 */
struct quoll_stream_head {
	__u32 tail;	 /* of the entries; program */
	__u32 done_head; /* of the completions; program */
	__u32 reserved[14];
	__u32 head;	 /* of the entries; kernel */
	__u32 done_tail; /* of the completions; kernel */
	__u32 reserved2[14];
};

/**
 * struct quoll_stream_ring - make a ring of the caller's memory
 * @flags:      in: 0
 * @ring:       in: 0; out: its number, for QUOLL_STREAM_ENTER
 * @nr_entries: a power of two, 1 .. QUOLL_STREAM_MAX_ENTRIES
 * @va, @size_bytes: the memory, whole pages, at least what struct quoll_stream_head says; as many pages as that needs
 *              are zeroed, pinned (they count against RLIMIT_MEMLOCK) and the kernel's to read and write until the ring
 *              is given back
 *
 * Errors: EINVAL; EFAULT: no writable memory there; ENOMEM: RLIMIT_MEMLOCK, or no memory; ENOSPC:
 * QUOLL_STREAM_MAX_RINGS; ENOENT: no window; EINTR.
 */
struct quoll_stream_ring {
	__u32 argsz;
	__u32 flags;
	__u32 ring;
	__u32 nr_entries;
#define QUOLL_STREAM_MAX_ENTRIES 4096
#define QUOLL_STREAM_MAX_RINGS 256
	__u64 va;
	__u64 size_bytes;
};
#define QUOLL_STREAM_RING _IO(QUOLL_UAPI_TYPE, 8)

/**
 * struct quoll_stream_free - give back a ring, or a registered buffer
 * @flags: in: 0
 * @id:    of QUOLL_STREAM_RING, or of QUOLL_STREAM_REGISTER
 *
 * What a ring has zapped is fenced as it goes. Errors: ENOENT; EBUSY: a buffer that is mapped, or zapped and not
 * fenced; a ring that somebody is at.
 */
struct quoll_stream_free {
	__u32 argsz;
	__u32 flags;
	__u32 id;
	__u32 reserved;
};
#define QUOLL_STREAM_RING_FREE _IO(QUOLL_UAPI_TYPE, 9)

/**
 * struct quoll_stream_enter - do what is in a ring
 * @flags:      in: 0
 * @ring:       which
 * @nr_entries: in: how many at most
 *
 * Return: how many entries were taken, also those that failed; fewer if the completions have no more room. Errors:
 * EINVAL: indexes that make no sense; ENOENT: no such ring, or no window; EBUSY: somebody else is at the ring; EINTR.
 */
struct quoll_stream_enter {
	__u32 argsz;
	__u32 flags;
	__u32 ring;
	__u32 nr_entries;
};
#define QUOLL_STREAM_ENTER _IO(QUOLL_UAPI_TYPE, 10)

/**
 * struct quoll_stream_register - pin memory once, to be mapped and unmapped for one I/O each
 * @flags: in: QUOLL_STREAM_WRITE: devices may be allowed to write to it
 * @buffer: in: 0; out: its number
 * @va, @size_bytes: whole pages, at most QUOLL_WINDOW_MAX_BYTES; they count against RLIMIT_MEMLOCK
 *
 * Errors: EINVAL; EFAULT: no memory there, or none of that permission; ENOMEM: RLIMIT_MEMLOCK, or no memory; ENOSPC:
 * QUOLL_STREAM_MAX_BUFFERS; ENOENT: no window; EINTR.
 */
struct quoll_stream_register {
	__u32 argsz;
	__u32 flags;
	__u32 buffer;
	__u32 reserved;
#define QUOLL_STREAM_MAX_BUFFERS 4096
	__u64 va;
	__u64 size_bytes;
};
#define QUOLL_STREAM_REGISTER _IO(QUOLL_UAPI_TYPE, 11)
#define QUOLL_STREAM_UNREGISTER _IO(QUOLL_UAPI_TYPE, 12) /* struct quoll_stream_free */

#endif
