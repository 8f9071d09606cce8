/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * quoll.h - what the files of the module share: groups, their owners, devices.
 *
 * main.c: the list of groups and their nodes; group.c: a group's file, viability, ownership; dma.c: what is mapped;
 * engine.c, stream.c: a window in which a program maps for one I/O at a time; pci.c: the driver of members and their
 * files; mainline.c: the same devices as VFIO's.
 *
 * Locks, outermost first: a device's own lock (the driver core holds it in probe and remove), groups_lock of main.c,
 * group->lock. Never one of the latter two around a reset, dev_set->lock of VFIO, or anything that waits for user
 * memory, a process's mmap_lock or the lock of a page: whoever takes a device away needs them. A device that is being
 * opened or closed is marked instead (pci.h: @changing). Who waits for the mark may have the device's own lock, and
 * none of the others; who has set it only tries for that one. A device's SRCU is read around everything that a user
 * does with it; it never waits for user memory either. engine.h has the locks of streaming.
 */
#ifndef QUOLL_KMOD_H
#define QUOLL_KMOD_H

#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/iommu.h>
#include <linux/maple_tree.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/workqueue.h>

#include "quoll_uapi.h"

static_assert(sizeof(unsigned long) == sizeof(__u64)); /* page numbers of IOVAs */

struct eventfd_ctx;
struct quoll_device;
struct quoll_engine;
struct quoll_owner;
struct scatterlist;
struct vfio_info_cap;

/*
 * struct quoll_group - an IOMMU group that has, or had, a node
 * @node:       in the list of main.c
 * @dev:        the node; its references are the group's
 * @lock:       of all that follows
 * @devices:    members that are with our driver
 * @owner:      who opened the node, or NULL
 * @generation: of the members
 * @gone:       the node is away for good
 */
struct quoll_group {
	struct list_head node;
	struct iommu_group *iommu_group;
	struct device dev;
	struct cdev cdev;
	struct mutex lock;
	struct list_head devices;
	struct quoll_owner *owner;
	u32 generation;
	bool gone;
};

/*
 * struct quoll_space - what the devices of a claimed group reach
 * @maps:     struct dma_map by page number of the IOVA
 * @reserved: struct iommu_resv_region
 * @window_first, @window_last: page numbers of IOVAs that are streaming's, if @has_window
 */
struct quoll_space {
	struct iommu_domain *domain;
	bool coherent_always;
	unsigned int nr_maps;
	struct maple_tree maps;
	struct list_head reserved;
	bool has_window;
	unsigned long window_first;
	unsigned long window_last;
};

struct dma_map;

/*
 * struct quoll_owner - one open of a group
 * @mm:      the process, by address space; held, not used
 * @exit:    tells when it ends; @end: does what is to be done then
 * @claimed: group->lock: the IOMMU group is ours, @space is there
 * @lost:    group->lock: it was, and for good, or is about to be
 * @events:  group->lock: or NULL
 * @engine:  NULL, or streaming: set once, with group->lock; goes with the owner
 * @spent:   group->lock: what no device reaches any more, but is pinned still and counts against @mm's limit; @settle
 *           sees to that where nobody else is going to
 * @over:    group->lock: the same of @engine, or NULL
 */
struct quoll_owner {
	struct quoll_group *group;
	struct mm_struct *mm;
	struct mmu_notifier exit;
	struct work_struct end;
	bool claimed;
	bool lost;
	struct quoll_space space;
	struct eventfd_ctx *events;
	struct quoll_engine *engine;
	struct dma_map *spent;
	struct quoll_engine *over;
	struct work_struct settle;
};

/* main.c */
extern bool quoll_all_groups;

/* By number. Return: a reference, or NULL. */
struct quoll_group *quoll_group_find(u32 id);
static inline void quoll_group_put(struct quoll_group *group)
{
	put_device(&group->dev);
}

/*
 * A device gets our driver, or loses it: @member goes into the group's list, or out of it. join makes the node if it is
 * the first; leave takes it away if it was the last. Return of join: 0, with a reference in @joined before anybody
 * finds the member; -errno.
 */
int quoll_group_join(struct iommu_group *iommu_group, struct list_head *member, struct quoll_group **joined);
void quoll_group_leave(struct quoll_group *group, struct list_head *member);

/* group.c */
extern const struct file_operations quoll_group_fops;

/* Members came, went or changed their driver. */
void quoll_group_changed(struct quoll_group *group);
/* With group->lock: the same, as the owner is told of it. */
void quoll_group_tell(struct quoll_group *group);
/*
 * With group->lock, which is let go while devices are closed: undo the claim: devices closed, nothing mapped, the IOMMU
 * group free.
 */
void quoll_group_unclaim(struct quoll_owner *owner);
/* What both kinds of nodes answer; @group: whose it is, NULL for the control node. */
long quoll_group_ask(struct quoll_group *group, unsigned int cmd, void __user *arg);
/* Take group->lock of a group that the caller owns and has claimed. Return: 0 with the lock held, -errno without. */
int quoll_owner_enter(struct quoll_owner *owner);
/* Copy a structure in as quoll_uapi.h has it. */
int quoll_copy_in(void *to, size_t size, const void __user *arg);

/* dma.c; with group->lock, but for map and unmap, which take it */
int quoll_space_open(struct quoll_space *space, struct quoll_group *group, struct device *dev);
/* What was mapped goes to @spent. */
void quoll_space_close(struct quoll_space *space, struct quoll_group *group, struct dma_map **spent);
/* Members have changed, and with them the reserved ranges. */
void quoll_space_refresh(struct quoll_space *space, struct quoll_group *group);
int quoll_space_caps(struct quoll_space *space, struct vfio_info_cap *caps);
long quoll_dma_map(struct quoll_owner *owner, const struct quoll_dma_map *arg);
long quoll_dma_unmap(struct quoll_owner *owner, struct quoll_dma_unmap *arg);
/* Set page numbers @first .. @last aside for streaming. */
int quoll_space_window(struct quoll_space *space, unsigned long first, unsigned long last);
/* Without group->lock: unpin what is spent, and take it off the process's limit. */
void quoll_maps_settle(struct dma_map *spent, struct mm_struct *mm);
/* After an iommu_map_sg() that failed. Return: whether nothing of it is mapped; else it has to stay pinned. */
bool quoll_failed_clear(struct iommu_domain *domain, unsigned long iova, struct scatterlist *sg, unsigned int nents);
/* Without group->lock. */
long quoll_pin(unsigned long va, unsigned long nr, bool write, struct page **pages);
void quoll_uncharge(struct mm_struct *mm, unsigned long pages);
int quoll_reserved_caps(struct list_head *reserved, struct vfio_info_cap *caps);
void quoll_reserved_free(struct list_head *reserved);

/* stream.c */
/* By the owner's process; neither takes group->lock while anybody else has to wait. */
long quoll_stream_enter(struct quoll_owner *owner, void __user *arg);
long quoll_stream_ask(struct quoll_owner *owner, unsigned int cmd, void __user *arg);
/*
 * With group->lock, in this order, as the claim ends: nobody maps any more and nobody is at it; devices are closed
 * between the two; nothing is mapped. Without: @engine's memory is let go of, by whoever is the last to have to do with
 * it; the owner is over, nobody calls any more. stop may come twice.
 */
void quoll_engine_stop(struct quoll_engine *engine);
void quoll_engine_unmap(struct quoll_engine *engine);
void quoll_engine_put(struct quoll_engine *engine);
void quoll_engine_free(struct quoll_engine *engine);

/* pci.c */
int quoll_pci_register(void);
void quoll_pci_unregister(void);
/* With group->lock. */
struct quoll_device *quoll_device_find(struct quoll_group *group, const char *name);
struct quoll_device *quoll_device_of(struct quoll_group *group, const struct device *dev);
bool quoll_device_is_open(struct quoll_device *qdev);
struct device *quoll_device_any(struct quoll_group *group);
/*
 * With group->lock, which they let go meanwhile. Return of open: the file descriptor, -errno. close: until nothing is
 * open, or the claim has ended meanwhile.
 */
int quoll_device_open_file(struct quoll_group *group, struct quoll_device *qdev, struct mm_struct *mm);
void quoll_devices_close(struct quoll_owner *owner);

#endif
