// SPDX-License-Identifier: GPL-2.0-only
/*
 * main.c - the module: groups and their nodes under /dev/quoll, the control node, news from the buses.
 *
 * A group is listed from when its first member gets our driver (all_groups=1: from load on) until the last one has lost
 * it (all_groups=1: until it is empty). Who still has the node open then has a group that is gone; another member makes
 * another.
 */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/platform_device.h>
#include <linux/slab.h>

#include "compat.h"
#include "quoll.h"

bool quoll_all_groups;
module_param_named(all_groups, quoll_all_groups, bool, 0444);
MODULE_PARM_DESC(all_groups, "Nodes for all IOMMU groups, not only for those with a member that is with this driver");

static LIST_HEAD(groups);
static DEFINE_MUTEX(groups_lock); /* outside group->lock; of the list, of making and removing nodes */
static dev_t first_node;

#define MAX_NODES (1U << MINORBITS) /* more than there are IOMMU groups */

static char *group_devnode(COMPAT_DEVNODE *dev, umode_t *mode)
{
	return kasprintf(GFP_KERNEL, "quoll/%s", dev_name(dev));
}

static struct class quoll_class = {
	.name = "quoll",
	.devnode = group_devnode,
};

static void group_free(struct device *dev)
{
	struct quoll_group *group = container_of(dev, struct quoll_group, dev);

	iommu_group_put(group->iommu_group);
	mutex_destroy(&group->lock);
	kfree(group);
}

static struct quoll_group *group_create(struct iommu_group *iommu_group)
{
	struct quoll_group *group;
	int rc;

	group = kzalloc(sizeof(*group), GFP_KERNEL);
	if (!group)
		return ERR_PTR(-ENOMEM);
	mutex_init(&group->lock);
	INIT_LIST_HEAD(&group->devices);
	INIT_LIST_HEAD(&group->node);
	group->iommu_group = iommu_group_ref_get(iommu_group);
	device_initialize(&group->dev);
	group->dev.class = &quoll_class;
	group->dev.release = group_free;
	group->dev.devt = MKDEV(MAJOR(first_node), iommu_group_id(iommu_group));
	cdev_init(&group->cdev, &quoll_group_fops);
	group->cdev.owner = THIS_MODULE;
	rc = dev_set_name(&group->dev, "%d", iommu_group_id(iommu_group));
	if (rc) {
		quoll_group_put(group);
		return ERR_PTR(rc);
	}
	return group;
}

/* With groups_lock: a group with a node. */
static struct quoll_group *group_listed(struct iommu_group *iommu_group)
{
	struct quoll_group *group;

	list_for_each_entry(group, &groups, node)
		if (group->iommu_group == iommu_group)
			return group;
	return NULL;
}

struct quoll_group *quoll_group_find(u32 id)
{
	struct quoll_group *group, *found = NULL;

	mutex_lock(&groups_lock);
	list_for_each_entry(group, &groups, node) {
		if (iommu_group_id(group->iommu_group) == id) {
			found = group;
			get_device(&group->dev);
			break;
		}
	}
	mutex_unlock(&groups_lock);
	return found;
}

/* With groups_lock: the group of an IOMMU group, made and listed if need be. No reference is taken. */
static struct quoll_group *group_show(struct iommu_group *iommu_group)
{
	struct quoll_group *group = group_listed(iommu_group);
	int rc;

	if (group)
		return group;
	group = group_create(iommu_group);
	if (IS_ERR(group))
		return group;
	rc = cdev_device_add(&group->cdev, &group->dev);
	if (rc) {
		quoll_group_put(group);
		return ERR_PTR(rc);
	}
	list_add(&group->node, &groups); /* the list has the reference */
	return group;
}

/* With groups_lock: take the node away for good. Files that are open keep the group, and find it gone. */
static void group_hide(struct quoll_group *group)
{
	list_del(&group->node);
	cdev_device_del(&group->cdev, &group->dev);
	quoll_group_put(group);
}

static int any_member(struct device *dev, void *data)
{
	return 1;
}

/* With both locks: whether nobody is to see the group any more; then it is gone. */
static bool group_over(struct quoll_group *group)
{
	if (list_empty(&group->devices))
		group->gone = !quoll_all_groups || !iommu_group_for_each_dev(group->iommu_group, NULL, any_member);
	return group->gone;
}

int quoll_group_join(struct iommu_group *iommu_group, struct list_head *member, struct quoll_group **joined)
{
	struct quoll_group *group;
	int rc;

	mutex_lock(&groups_lock);
	group = group_show(iommu_group);
	rc = PTR_ERR_OR_ZERO(group);
	if (!rc) {
		get_device(&group->dev);
		mutex_lock(&group->lock);
		WRITE_ONCE(*joined, group);
		list_add_tail(member, &group->devices);
		mutex_unlock(&group->lock);
	}
	mutex_unlock(&groups_lock);
	return rc;
}

/*
 * The last member takes the claim with it: an IOMMU group must not be owned when the kernel takes its last device out,
 * and there is nothing left to own.
 */
void quoll_group_leave(struct quoll_group *group, struct list_head *member)
{
	bool over;

	mutex_lock(&groups_lock);
	mutex_lock(&group->lock);
	list_del(member);
	if (group->owner && group->owner->claimed && list_empty(&group->devices)) {
		quoll_group_unclaim(group->owner); /* there are no devices: the lock stays ours */
		group->owner->lost = true;
		quoll_group_tell(group);
		queue_work(system_unbound_wq, &group->owner->settle);
		group->owner = NULL; /* somebody else's, should it come back */
	}
	over = group_over(group);
	mutex_unlock(&group->lock);
	if (over)
		group_hide(group);
	mutex_unlock(&groups_lock);
}

/* A device that has just come, or got or lost a driver. */
static void device_changed(struct device *dev)
{
	struct iommu_group *iommu_group = iommu_group_get(dev);
	struct quoll_group *group;

	if (!iommu_group)
		return;
	mutex_lock(&groups_lock);
	group = quoll_all_groups ? group_show(iommu_group) : group_listed(iommu_group);
	if (!IS_ERR_OR_NULL(group))
		quoll_group_changed(group);
	mutex_unlock(&groups_lock);
	iommu_group_put(iommu_group);
}

/* A device has gone, and is in no group any more: it may have been in any. */
static void device_gone(void)
{
	struct quoll_group *group, *next;
	bool over;

	mutex_lock(&groups_lock);
	list_for_each_entry_safe(group, next, &groups, node) {
		quoll_group_changed(group);
		mutex_lock(&group->lock);
		over = group_over(group);
		mutex_unlock(&group->lock);
		if (over)
			group_hide(group);
	}
	mutex_unlock(&groups_lock);
}

static int bus_event(struct notifier_block *nb, unsigned long action, void *data)
{
	switch (action) {
	case BUS_NOTIFY_ADD_DEVICE:
	case BUS_NOTIFY_BOUND_DRIVER:
	case BUS_NOTIFY_UNBOUND_DRIVER:
		device_changed(data);
		break;
	case BUS_NOTIFY_REMOVED_DEVICE:
		device_gone();
		break;
	}
	return NOTIFY_DONE;
}

static struct notifier_block pci_events = {.notifier_call = bus_event};
static struct notifier_block platform_events = {.notifier_call = bus_event};

static int device_show(struct device *dev, void *data)
{
	device_changed(dev);
	return 0;
}

static long control_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return quoll_group_ask(NULL, cmd, (void __user *)arg);
}

static const struct file_operations control_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = control_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice control = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "quoll",
	.nodename = "quoll/control",
	.mode = 0666,
	.fops = &control_fops,
};

/* All groups that are still listed: no member is with our driver any more, and no file open. */
static void groups_hide(void)
{
	struct quoll_group *group, *next;

	mutex_lock(&groups_lock);
	list_for_each_entry_safe(group, next, &groups, node)
		group_hide(group);
	mutex_unlock(&groups_lock);
}

static int __init quoll_init(void)
{
	int rc;

	rc = alloc_chrdev_region(&first_node, 0, MAX_NODES, "quoll");
	if (rc)
		return rc;
	rc = class_register(&quoll_class);
	if (rc)
		goto err_region;
	rc = misc_register(&control);
	if (rc)
		goto err_class;
	rc = quoll_pci_register();
	if (rc)
		goto err_control;
	bus_register_notifier(&pci_bus_type, &pci_events);
	bus_register_notifier(&platform_bus_type, &platform_events);
	if (quoll_all_groups) {
		bus_for_each_dev(&pci_bus_type, NULL, NULL, device_show);
		bus_for_each_dev(&platform_bus_type, NULL, NULL, device_show);
	}
	return 0;

err_control:
	misc_deregister(&control);
err_class:
	class_unregister(&quoll_class);
err_region:
	unregister_chrdev_region(first_node, MAX_NODES);
	return rc;
}

static void __exit quoll_exit(void)
{
	bus_unregister_notifier(&platform_bus_type, &platform_events);
	bus_unregister_notifier(&pci_bus_type, &pci_events);
	quoll_pci_unregister();
	groups_hide();
	misc_deregister(&control);
	class_unregister(&quoll_class);
	unregister_chrdev_region(first_node, MAX_NODES);
}

module_init(quoll_init);
module_exit(quoll_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("IOMMU groups for user space: DMA mapping, devices and interrupts by one file a group");
