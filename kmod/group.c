// SPDX-License-Identifier: GPL-2.0-only
/*
 * group.c - /dev/quoll/N: who owns an IOMMU group, what it is asked, how it is let go.
 *
 * Owner is the address space that opened the node. It is tracked with a notifier, not with the file alone: a child that
 * was forked, or got the file sent, would otherwise keep devices and memory of a process that is dead.
 *
 * Letting go, for whatever reason, is quoll_group_unclaim(): streaming stops, devices are closed (users out, BAR
 * mappings revoked, bus mastering off, reset), then memory is unmapped, then the domain and the ownership go; pages are
 * unpinned after that, without the group's lock.
 */
#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/pci.h>
#include <linux/platform_device.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vfio.h>

#include "compat.h"
#include "quoll.h"

/* The members of an IOMMU group, each with a reference. */
struct members {
	unsigned int nr;
	struct device **devs;
};

static int member_add(struct device *dev, void *data)
{
	struct members *members = data;
	struct device **devs;

	devs = krealloc(members->devs, (members->nr + 1) * sizeof(*devs), GFP_KERNEL);
	if (!devs)
		return -ENOMEM;
	members->devs = devs;
	devs[members->nr++] = get_device(dev);
	return 0;
}

static void members_put(struct members *members)
{
	while (members->nr)
		put_device(members->devs[--members->nr]);
	kfree(members->devs);
	members->devs = NULL;
}

static int members_get(struct quoll_group *group, struct members *members)
{
	int rc;

	*members = (struct members){};
	rc = iommu_group_for_each_dev(group->iommu_group, members, member_add);
	if (rc)
		members_put(members);
	return rc;
}

/* Whether a device has no driver, or one that does no DMA of its own. */
static bool driver_is_harmless(struct device *dev)
{
	if (!dev->driver)
		return true;
	if (dev_is_pci(dev))
		return to_pci_driver(dev->driver)->driver_managed_dma;
	if (dev->bus == &platform_bus_type)
		return to_platform_driver(dev->driver)->driver_managed_dma;
	return false;
}

static u32 bus_type(const struct device *dev)
{
	if (dev_is_pci(dev))
		return QUOLL_BUS_TYPE_PCI;
	return dev->bus == &platform_bus_type ? QUOLL_BUS_TYPE_PLATFORM : QUOLL_BUS_TYPE_OTHER;
}

/*
 * With group->lock. A device's own lock, which the driver's name needs, is only tried: its remove() may be waiting for
 * the very process that asks.
 */
static void member_describe(struct quoll_group *group, struct device *dev, struct quoll_group_device *info)
{
	struct quoll_device *qdev = quoll_device_of(group, dev);

	info->flags = 0;
	info->bus = bus_type(dev);
	strscpy(info->name, dev_name(dev), sizeof(info->name));
	memset(info->driver, 0, sizeof(info->driver));
	if (qdev) {
		info->flags = QUOLL_DEVICE_BOUND | (quoll_device_is_open(qdev) ? QUOLL_DEVICE_OPEN : 0);
		strscpy(info->driver, KBUILD_MODNAME, sizeof(info->driver));
		return;
	}
	if (!device_trylock(dev)) {
		info->flags = QUOLL_DEVICE_BUSY;
		return;
	}
	if (dev->driver)
		strscpy(info->driver, dev->driver->name, sizeof(info->driver));
	if (!driver_is_harmless(dev))
		info->flags = QUOLL_DEVICE_BLOCKS;
	device_unlock(dev);
}

/* With group->lock. Whether no member is in the way; else the first that is. */
static bool members_harmless(struct quoll_group *group, struct members *members, struct quoll_group_device *info)
{
	unsigned int i;

	for (i = 0; i < members->nr; i++) {
		member_describe(group, members->devs[i], info);
		if (info->flags & QUOLL_DEVICE_BLOCKS)
			return false;
	}
	return true;
}

static bool group_harmless(struct quoll_group *group, struct quoll_group_device *blocker)
{
	struct members members;
	bool harmless;

	if (members_get(group, &members))
		return false;
	harmless = members_harmless(group, &members, blocker);
	members_put(&members);
	return harmless;
}

/* With group->lock: make the IOMMU group ours. The kernel has the last word on viability: EPERM from it is EBUSY here.
 */
static int group_claim(struct quoll_owner *owner)
{
	struct quoll_group *group = owner->group;
	struct device *dev = quoll_device_any(group);
	struct quoll_group_device blocker = {};
	int rc;

	if (owner->claimed)
		return 0;
	if (!dev || !group_harmless(group, &blocker))
		return -EBUSY;
	if (!compat_isolated_msi(group->iommu_group, dev))
		return -EPERM;
	rc = iommu_group_claim_dma_owner(group->iommu_group, owner);
	if (rc)
		return rc == -EPERM ? -EBUSY : rc;
	rc = quoll_space_open(&owner->space, group, dev);
	if (rc) {
		iommu_group_release_dma_owner(group->iommu_group);
		return rc;
	}
	owner->claimed = true;
	return 0;
}

void quoll_group_unclaim(struct quoll_owner *owner)
{
	struct quoll_group *group = owner->group;

	if (!owner->claimed)
		return;
	if (owner->engine)
		quoll_engine_stop(owner->engine);
	quoll_devices_close(owner);
	if (!owner->claimed)
		return; /* the last member has gone meanwhile, and taken the claim with it */
	if (owner->engine)
		quoll_engine_unmap(owner->engine);
	owner->over = owner->engine;
	quoll_space_close(&owner->space, group, &owner->spent);
	iommu_group_release_dma_owner(group->iommu_group);
	owner->claimed = false;
}

/* With group->lock: whether the file still stands for the group. */
static bool owner_is_current(struct quoll_owner *owner)
{
	return owner->group->owner == owner && !owner->group->gone && !owner->lost;
}

int quoll_owner_enter(struct quoll_owner *owner)
{
	int rc;

	mutex_lock(&owner->group->lock);
	rc = owner_is_current(owner) ? group_claim(owner) : -ENODEV;
	if (rc)
		mutex_unlock(&owner->group->lock);
	return rc;
}

/* What an ended claim has left. */
static void owner_settle(struct quoll_owner *owner)
{
	struct quoll_engine *over;
	struct dma_map *spent;

	mutex_lock(&owner->group->lock);
	spent = owner->spent;
	owner->spent = NULL;
	over = owner->over;
	owner->over = NULL;
	mutex_unlock(&owner->group->lock);
	quoll_maps_settle(spent, owner->mm);
	if (over)
		quoll_engine_put(over);
}

/* The group is free for the next one, whatever this owner's file is still held by. */
static void owner_end(struct quoll_owner *owner)
{
	struct quoll_group *group = owner->group;
	struct eventfd_ctx *events;

	mutex_lock(&group->lock);
	owner->lost = true; /* nobody opens anything of it any more */
	quoll_group_unclaim(owner);
	if (group->owner == owner)
		group->owner = NULL;
	events = owner->events;
	owner->events = NULL;
	mutex_unlock(&group->lock);
	if (events)
		eventfd_ctx_put(events);
	owner_settle(owner);
}

static void owner_end_work(struct work_struct *work)
{
	owner_end(container_of(work, struct quoll_owner, end));
}

/* The claim ended while the owner was busy with something else. */
static void owner_settle_work(struct work_struct *work)
{
	owner_settle(container_of(work, struct quoll_owner, settle));
}

static void owner_exits(struct mmu_notifier *exit, struct mm_struct *mm)
{
	queue_work(system_unbound_wq, &container_of(exit, struct quoll_owner, exit)->end);
}

static const struct mmu_notifier_ops exit_ops = {
	.release = owner_exits,
};

static struct quoll_owner *owner_create(struct quoll_group *group)
{
	struct quoll_owner *owner;
	int rc;

	owner = kzalloc(sizeof(*owner), GFP_KERNEL_ACCOUNT);
	if (!owner)
		return ERR_PTR(-ENOMEM);
	owner->group = group;
	owner->mm = current->mm;
	owner->exit.ops = &exit_ops;
	INIT_WORK(&owner->end, owner_end_work);
	INIT_WORK(&owner->settle, owner_settle_work);
	rc = mmu_notifier_register(&owner->exit, owner->mm);
	if (rc) {
		kfree(owner);
		return ERR_PTR(rc);
	}
	mmgrab(owner->mm);
	get_device(&group->dev);
	return owner;
}

static void owner_destroy(struct quoll_owner *owner)
{
	mmu_notifier_unregister(&owner->exit, owner->mm);
	cancel_work_sync(&owner->end);
	owner_end(owner);
	cancel_work_sync(&owner->settle); /* nobody starts it from now on */
	quoll_engine_free(owner->engine);
	mmdrop(owner->mm);
	quoll_group_put(owner->group);
	kfree(owner);
}

static int group_open(struct inode *inode, struct file *file)
{
	struct quoll_group *group = container_of(inode->i_cdev, struct quoll_group, cdev);
	struct quoll_owner *owner;
	int rc = 0;

	if (!current->mm)
		return -EPERM;
	if (READ_ONCE(group->owner))
		return -EBUSY;
	owner = owner_create(group);
	if (IS_ERR(owner))
		return PTR_ERR(owner);
	mutex_lock(&group->lock);
	if (group->gone)
		rc = -ENODEV;
	else if (group->owner)
		rc = -EBUSY;
	else
		rc = group_claim(owner);
	if (rc == -EBUSY && quoll_all_groups && !group->owner)
		rc = 0; /* it may become viable */
	if (!rc)
		group->owner = owner;
	mutex_unlock(&group->lock);
	if (rc) {
		owner_destroy(owner);
		return rc;
	}
	file->private_data = owner;
	return nonseekable_open(inode, file);
}

static int group_release(struct inode *inode, struct file *file)
{
	owner_destroy(file->private_data);
	return 0;
}

void quoll_group_tell(struct quoll_group *group)
{
	group->generation++;
	if (group->owner && group->owner->events)
		compat_eventfd_signal(group->owner->events);
}

void quoll_group_changed(struct quoll_group *group)
{
	mutex_lock(&group->lock);
	if (group->owner && group->owner->claimed)
		quoll_space_refresh(&group->owner->space, group);
	quoll_group_tell(group);
	mutex_unlock(&group->lock);
}

static int info_caps(struct quoll_group *group, struct vfio_info_cap *caps)
{
	struct quoll_owner *owner = group->owner;
	LIST_HEAD(reserved);
	int rc;

	if (owner && owner->claimed) {
		rc = quoll_space_caps(&owner->space, caps);
		return rc ?: quoll_reserved_caps(&owner->space.reserved, caps);
	}
	rc = iommu_get_group_resv_regions(group->iommu_group, &reserved);
	if (!rc)
		rc = quoll_reserved_caps(&reserved, caps);
	quoll_reserved_free(&reserved);
	return rc;
}

/* With group->lock */
static int info_fill(struct quoll_group *group, struct quoll_group_info *info)
{
	struct quoll_owner *owner = group->owner;
	struct quoll_group_device member = {};
	struct members members;
	unsigned int i;
	int rc;

	rc = members_get(group, &members);
	if (rc)
		return rc;
	info->flags = QUOLL_GROUP_CAPS | (owner ? QUOLL_GROUP_OWNED : 0);
	info->group = iommu_group_id(group->iommu_group);
	info->nr_devices = members.nr;
	info->generation = group->generation;
	info->nr_bound = 0;
	for (i = 0; i < members.nr; i++)
		info->nr_bound += !!quoll_device_of(group, members.devs[i]);
	memset(info->blocker, 0, sizeof(info->blocker));
	memset(info->blocker_driver, 0, sizeof(info->blocker_driver));
	if (owner && owner->claimed) {
		info->flags |= QUOLL_GROUP_CLAIMED | QUOLL_GROUP_VIABLE;
	} else if (!members_harmless(group, &members, &member)) {
		strscpy(info->blocker, member.name, sizeof(info->blocker));
		strscpy(info->blocker_driver, member.driver, sizeof(info->blocker_driver));
	} else if (info->nr_bound && !iommu_group_dma_owner_claimed(group->iommu_group)) {
		info->flags |= QUOLL_GROUP_VIABLE;
	}
	members_put(&members);
	return 0;
}

/* The chain behind the structure, if there is room for it, else how much it takes. */
static int caps_copy_out(struct quoll_group_info *info, struct vfio_info_cap *caps, struct quoll_group_info __user *arg)
{
	info->cap_offset = 0;
	if (info->argsz < sizeof(*info) + caps->size) {
		info->argsz = sizeof(*info) + caps->size;
		return 0;
	}
	info->cap_offset = sizeof(*info);
	vfio_info_cap_shift(caps, sizeof(*info));
	return copy_to_user(arg + 1, caps->buf, caps->size) ? -EFAULT : 0;
}

static long get_info(struct quoll_group *group, struct quoll_group_info *info, struct quoll_group_info __user *arg)
{
	struct vfio_info_cap caps = {};
	long rc;

	mutex_lock(&group->lock);
	rc = info_fill(group, info);
	if (!rc)
		rc = info_caps(group, &caps);
	mutex_unlock(&group->lock);
	if (!rc)
		rc = caps_copy_out(info, &caps, arg);
	if (!rc && copy_to_user(arg, info, sizeof(*info)))
		rc = -EFAULT;
	kfree(caps.buf);
	return rc;
}

static long get_member(struct quoll_group *group, struct quoll_group_device *info,
		       struct quoll_group_device __user *arg)
{
	struct members members;
	long rc;

	rc = members_get(group, &members);
	if (rc)
		return rc;
	rc = -ENOENT;
	if (info->index < members.nr) {
		mutex_lock(&group->lock);
		info->group = iommu_group_id(group->iommu_group);
		info->generation = group->generation;
		member_describe(group, members.devs[array_index_nospec(info->index, members.nr)], info);
		mutex_unlock(&group->lock);
		rc = copy_to_user(arg, info, sizeof(*info)) ? -EFAULT : 0;
	}
	members_put(&members);
	return rc;
}

int quoll_copy_in(void *to, size_t size, const void __user *arg)
{
	u32 argsz;

	if (get_user(argsz, (const u32 __user *)arg))
		return -EFAULT;
	if (argsz < size)
		return -EINVAL;
	if (argsz > PAGE_SIZE) /* what is behind is looked at */
		return -E2BIG;
	return copy_struct_from_user(to, size, arg, argsz);
}

/* The group that a question is about: @group, whose node it came by, or by number. Return: a reference, an ERR_PTR. */
static struct quoll_group *asked_group(struct quoll_group *group, u32 id)
{
	if (!group)
		return quoll_group_find(id) ?: ERR_PTR(-ENOENT);
	if (id)
		return ERR_PTR(-EINVAL);
	get_device(&group->dev);
	return group;
}

static long ask_info(struct quoll_group *group, struct quoll_group_info __user *arg)
{
	struct quoll_group_info info;
	long rc;

	if (copy_from_user(&info, arg, sizeof(info)))
		return -EFAULT;
	if (info.argsz < sizeof(info) || info.flags || info.reserved)
		return -EINVAL;
	group = asked_group(group, info.group);
	if (IS_ERR(group))
		return PTR_ERR(group);
	rc = get_info(group, &info, arg);
	quoll_group_put(group);
	return rc;
}

static long ask_device(struct quoll_group *group, struct quoll_group_device __user *arg)
{
	struct quoll_group_device info;
	long rc;

	rc = quoll_copy_in(&info, sizeof(info), arg);
	if (rc)
		return rc;
	if (info.flags)
		return -EINVAL;
	group = asked_group(group, info.group);
	if (IS_ERR(group))
		return PTR_ERR(group);
	rc = get_member(group, &info, arg);
	quoll_group_put(group);
	return rc;
}

long quoll_group_ask(struct quoll_group *group, unsigned int cmd, void __user *arg)
{
	switch (cmd) {
	case QUOLL_GET_VERSION:
		return QUOLL_UAPI_VERSION;
	case QUOLL_GROUP_GET_INFO:
		return ask_info(group, arg);
	case QUOLL_GROUP_GET_DEVICE:
		return ask_device(group, arg);
	default:
		return -ENOTTY;
	}
}

static long open_device(struct quoll_owner *owner, void __user *arg)
{
	struct quoll_device_open open;
	struct quoll_device *qdev;
	long rc;

	rc = quoll_copy_in(&open, sizeof(open), arg);
	if (rc)
		return rc;
	if (open.flags || strnlen(open.name, sizeof(open.name)) == sizeof(open.name))
		return -EINVAL;
	rc = quoll_owner_enter(owner);
	if (rc)
		return rc;
	qdev = quoll_device_find(owner->group, open.name);
	rc = qdev ? quoll_device_open_file(owner->group, qdev, owner->mm) : -ENOENT;
	mutex_unlock(&owner->group->lock);
	return rc;
}

static long map_dma(struct quoll_owner *owner, void __user *arg)
{
	struct quoll_dma_map map;
	long rc;

	rc = quoll_copy_in(&map, sizeof(map), arg);
	return rc ?: quoll_dma_map(owner, &map);
}

static long unmap_dma(struct quoll_owner *owner, struct quoll_dma_unmap __user *arg)
{
	struct quoll_dma_unmap unmap;
	long rc;

	rc = quoll_copy_in(&unmap, sizeof(unmap), arg);
	if (!rc)
		rc = quoll_dma_unmap(owner, &unmap);
	if (!rc && put_user(unmap.size_bytes, &arg->size_bytes))
		rc = -EFAULT;
	return rc;
}

static long set_events(struct quoll_owner *owner, void __user *arg)
{
	struct eventfd_ctx *ctx = NULL, *old = NULL;
	struct quoll_group_events events;
	long rc;

	rc = quoll_copy_in(&events, sizeof(events), arg);
	if (rc)
		return rc;
	if (events.flags || events.reserved || events.fd < -1)
		return -EINVAL;
	if (events.fd >= 0)
		ctx = eventfd_ctx_fdget(events.fd);
	if (IS_ERR(ctx))
		return PTR_ERR(ctx);
	mutex_lock(&owner->group->lock);
	if (owner_is_current(owner)) {
		old = owner->events;
		owner->events = ctx;
	} else {
		old = ctx;
		rc = -ENODEV;
	}
	mutex_unlock(&owner->group->lock);
	if (old)
		eventfd_ctx_put(old);
	return rc;
}

static bool owner_alive(struct quoll_owner *owner)
{
	bool alive;

	mutex_lock(&owner->group->lock);
	alive = owner_is_current(owner);
	mutex_unlock(&owner->group->lock);
	return alive;
}

static long group_ioctl(struct file *file, unsigned int cmd, unsigned long argument)
{
	struct quoll_owner *owner = file->private_data;
	void __user *arg = (void __user *)argument;

	if (current->mm != owner->mm)
		return -EPERM;
	if (cmd == QUOLL_STREAM_ENTER)
		return quoll_stream_enter(owner, arg);
	if (!owner_alive(owner))
		return -ENODEV;
	switch (cmd) {
	case QUOLL_GROUP_OPEN_DEVICE:
		return open_device(owner, arg);
	case QUOLL_GROUP_MAP_DMA:
		return map_dma(owner, arg);
	case QUOLL_GROUP_UNMAP_DMA:
		return unmap_dma(owner, arg);
	case QUOLL_GROUP_SET_EVENTS:
		return set_events(owner, arg);
	case QUOLL_STREAM_WINDOW:
	case QUOLL_STREAM_RING:
	case QUOLL_STREAM_RING_FREE:
	case QUOLL_STREAM_REGISTER:
	case QUOLL_STREAM_UNREGISTER:
		return quoll_stream_ask(owner, cmd, arg);
	default:
		return quoll_group_ask(owner->group, cmd, arg);
	}
}

const struct file_operations quoll_group_fops = {
	.owner = THIS_MODULE,
	.open = group_open,
	.release = group_release,
	.unlocked_ioctl = group_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};
