// SPDX-License-Identifier: GPL-2.0-only
/*
 * pci.c - the driver of PCI members, and their files. What a device is virtualised for (config space, BARs, interrupts,
 * power, reset) is vfio_pci_core's; here is who may get at it, and how it is taken away.
 *
 * The device is VFIO's, too: /dev/vfio/N works with this driver as with vfio-pci, in turn with /dev/quoll/N, never at
 * once. The claim of the IOMMU group sees to that. VFIO's wrappers below refuse whoever got in otherwise.
 *
 * A file is revoked in this order: no new call gets in (handle->live), those inside have left (SRCU), BAR mappings go,
 * the core closes: bus mastering off, interrupts off, reset.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/pm_runtime.h>
#include <linux/pseudo_fs.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/uaccess.h>
#include <linux/vfio_pci_core.h>

#include "compat.h"
#include "quoll.h"

static unsigned int remove_wait_ms = 1000;
module_param(remove_wait_ms, uint, 0644);
MODULE_PARM_DESC(remove_wait_ms, "How long a device that is taken away waits for its user to close it");

/* Longest argument of a device's ioctl: as many eventfds as MSI-X has vectors, and some. */
#define MAX_ARGSZ (16U << 10)
/* Memory that was made present may be gone again before it is used. */
#define MAX_FAULTS 16

/*
 * struct quoll_device - a member that is with our driver
 * @node:     group->lock: in group->devices
 * @handle:   group->lock to write: of the file that is open, or NULL
 * @leaving:  group->lock: nobody gets it any more
 * @in_use:   dev_set->lock to write: @handle has it enabled
 * @mainline: dev_set->lock to write: VFIO has it enabled
 * @closed:   woken when @handle goes
 * @srcu:     read around all that a user does
 */
struct quoll_device {
	struct vfio_pci_core_device core;
	struct quoll_group *group;
	struct list_head node;
	struct quoll_handle *handle;
	bool leaving;
	bool in_use;
	bool mainline;
	wait_queue_head_t closed;
	struct srcu_struct srcu;
};

/* What a device's file stands for. */
struct quoll_handle {
	struct quoll_device *qdev;
	struct mm_struct *mm; /* only compared */
	bool live;
#ifndef HAVE_VFIO_INODE
	struct inode *inode;
#endif
};

static struct quoll_device *from_vfio(struct vfio_device *vdev)
{
	return container_of(vdev, struct quoll_device, core.vdev);
}

/* With the SRCU read: the device is there, and stays as it is until the SRCU is let go. */
static bool is_live(struct quoll_handle *handle)
{
	return READ_ONCE(handle->live);
}

#ifdef HAVE_VFIO_REGION_INFO_CAPS
static long region_info(struct quoll_device *qdev, struct vfio_region_info __user *arg)
{
	struct vfio_info_cap caps = {};
	struct vfio_region_info info;
	long rc;

	if (copy_from_user(&info, arg, sizeof(info)))
		return -EFAULT;
	if (info.argsz < sizeof(info))
		return -EINVAL;
	info.cap_offset = 0;
	rc = vfio_pci_ioctl_get_region_info(&qdev->core.vdev, &info, &caps);
	if (!rc && caps.size) {
		info.flags |= VFIO_REGION_INFO_FLAG_CAPS;
		if (info.argsz < sizeof(info) + caps.size) {
			info.argsz = sizeof(info) + caps.size;
		} else {
			vfio_info_cap_shift(&caps, sizeof(info));
			info.cap_offset = sizeof(info);
			if (copy_to_user(arg + 1, caps.buf, caps.size))
				rc = -EFAULT;
		}
	}
	if (!rc && copy_to_user(arg, &info, sizeof(info)))
		rc = -EFAULT;
	kfree(caps.buf);
	return rc;
}
#else
static long region_info(struct quoll_device *qdev, struct vfio_region_info __user *arg)
{
	return vfio_pci_core_ioctl(&qdev->core.vdev, VFIO_DEVICE_GET_REGION_INFO, (unsigned long)arg);
}
#endif

static long device_do(struct quoll_device *qdev, unsigned int cmd, unsigned long arg)
{
	struct device *dev = &qdev->core.pdev->dev;
	long rc;

	rc = pm_runtime_resume_and_get(dev);
	if (rc < 0)
		return -EIO;
	if (cmd == VFIO_DEVICE_GET_REGION_INFO)
		rc = region_info(qdev, (struct vfio_region_info __user *)arg);
	else
		rc = vfio_pci_core_ioctl(&qdev->core.vdev, cmd, arg);
	pm_runtime_put(dev);
	return rc;
}

/* Make an argument present, as it will be used. */
static int arg_fault_in(unsigned int cmd, void __user *arg)
{
	u32 argsz;

	if (cmd == VFIO_DEVICE_RESET)
		return 0;
	if (get_user(argsz, (u32 __user *)arg))
		return -EFAULT;
	if (argsz > MAX_ARGSZ)
		return -EINVAL;
	if (cmd == VFIO_DEVICE_SET_IRQS)
		return fault_in_readable(arg, argsz) ? -EFAULT : 0;
	return fault_in_safe_writeable(arg, argsz) ? -EFAULT : 0;
}

static long device_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct quoll_handle *handle = file->private_data;
	unsigned int tries = 0;
	int idx;
	long rc;

	if (current->mm != handle->mm)
		return -EPERM;
	switch (cmd) {
	case VFIO_DEVICE_GET_INFO:
	case VFIO_DEVICE_GET_REGION_INFO:
	case VFIO_DEVICE_GET_IRQ_INFO:
	case VFIO_DEVICE_SET_IRQS:
	case VFIO_DEVICE_RESET:
		break;
	default:
		return -ENOTTY;
	}
	/* Inside nothing waits for user memory, or a user could keep the kernel from taking the device away. */
	do {
		rc = arg_fault_in(cmd, (void __user *)arg);
		if (rc)
			return rc;
		idx = srcu_read_lock(&handle->qdev->srcu);
		pagefault_disable();
		rc = is_live(handle) ? device_do(handle->qdev, cmd, arg) : -ENODEV;
		pagefault_enable();
		srcu_read_unlock(&handle->qdev->srcu, idx);
	} while (rc == -EFAULT && ++tries < MAX_FAULTS);
	return rc;
}

/* One piece, within a page of the device's; see device_ioctl() on user memory. */
static ssize_t device_piece(struct quoll_handle *handle, char __user *buf, size_t count, loff_t *pos, bool write)
{
	struct vfio_device *vdev = &handle->qdev->core.vdev;
	unsigned int tries = 0;
	ssize_t rc;
	int idx;

	do {
		if (write ? fault_in_readable(buf, count) : fault_in_safe_writeable(buf, count))
			return -EFAULT;
		idx = srcu_read_lock(&handle->qdev->srcu);
		pagefault_disable();
		if (!is_live(handle))
			rc = -ENODEV;
		else if (write)
			rc = vfio_pci_core_write(vdev, buf, count, pos);
		else
			rc = vfio_pci_core_read(vdev, buf, count, pos);
		pagefault_enable();
		srcu_read_unlock(&handle->qdev->srcu, idx);
	} while (rc == -EFAULT && ++tries < MAX_FAULTS);
	return rc;
}

static ssize_t device_rw(struct file *file, char __user *buf, size_t count, loff_t *pos, bool write)
{
	struct quoll_handle *handle = file->private_data;
	size_t done = 0, piece;
	ssize_t rc = 0;

	if (current->mm != handle->mm)
		return -EPERM;
	while (done < count) {
		piece = min_t(size_t, count - done, PAGE_SIZE - offset_in_page(*pos));
		rc = device_piece(handle, buf + done, piece, pos, write);
		if (rc <= 0)
			break;
		done += rc;
		if (rc < piece || fatal_signal_pending(current))
			break;
		cond_resched();
	}
	return done ?: rc;
}

static ssize_t device_read(struct file *file, char __user *buf, size_t count, loff_t *pos)
{
	return device_rw(file, buf, count, pos, false);
}

static ssize_t device_write(struct file *file, const char __user *buf, size_t count, loff_t *pos)
{
	return device_rw(file, (char __user *)buf, count, pos, true);
}

/*
 * The core's way to map BARs, but for faults: after a revocation there must be none, and the core's handler reads what
 * is freed then. All its mappings have the same table of functions.
 */
static const struct vm_operations_struct *core_vm_ops;

static vm_fault_t bar_fault(struct vm_fault *vmf)
{
	struct quoll_handle *handle = vmf->vma->vm_file->private_data;
	vm_fault_t rc = VM_FAULT_SIGBUS;
	int idx;

	idx = srcu_read_lock(&handle->qdev->srcu);
	if (is_live(handle))
		rc = core_vm_ops->fault(vmf);
	srcu_read_unlock(&handle->qdev->srcu, idx);
	return rc;
}

static void bar_open(struct vm_area_struct *vma)
{
	if (core_vm_ops->open)
		core_vm_ops->open(vma);
}

static void bar_close(struct vm_area_struct *vma)
{
	if (core_vm_ops->close)
		core_vm_ops->close(vma);
}

static const struct vm_operations_struct bar_ops = {
	.open = bar_open,
	.close = bar_close,
	.fault = bar_fault,
};

static int device_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct quoll_handle *handle = file->private_data;
	int idx, rc;

	if (current->mm != handle->mm)
		return -EPERM;
	idx = srcu_read_lock(&handle->qdev->srcu);
	rc = is_live(handle) ? vfio_pci_core_mmap(&handle->qdev->core.vdev, vma) : -ENODEV;
	srcu_read_unlock(&handle->qdev->srcu, idx);
	if (rc)
		return rc;
	WRITE_ONCE(core_vm_ops, vma->vm_ops);
	vma->vm_ops = &bar_ops;
	compat_vm_flags_set(vma, VM_DONTCOPY); /* a forked child has nothing to say to the device */
	return 0;
}

static int device_release(struct inode *inode, struct file *file);

static const struct file_operations device_fops = {
	.owner = THIS_MODULE,
	.release = device_release,
	.read = device_read,
	.write = device_write,
	.unlocked_ioctl = device_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = device_mmap,
};

/* A file's own mapping, so that what it mapped, and nothing else, can be revoked. */
#ifdef HAVE_VFIO_INODE
/* The device's, by which the core revokes, too, when memory is disabled in config space. */
static struct address_space *handle_mapping(struct quoll_handle *handle)
{
	return handle->qdev->core.vdev.inode->i_mapping;
}

static int handle_mapping_init(struct quoll_handle *handle)
{
	return 0;
}

static void handle_mapping_exit(struct quoll_handle *handle)
{
}
#else
#define QUOLL_FS_MAGIC 0x71756f6c
static struct vfsmount *fs_mount;
static int fs_users;

static int fs_init(struct fs_context *fc)
{
	return init_pseudo(fc, QUOLL_FS_MAGIC) ? 0 : -ENOMEM;
}

static struct file_system_type fs_type = {
	.name = "quoll",
	.owner = THIS_MODULE,
	.init_fs_context = fs_init,
	.kill_sb = kill_anon_super,
};

static struct address_space *handle_mapping(struct quoll_handle *handle)
{
	return handle->inode->i_mapping;
}

static int handle_mapping_init(struct quoll_handle *handle)
{
	int rc;

	rc = simple_pin_fs(&fs_type, &fs_mount, &fs_users);
	if (rc)
		return rc;
	handle->inode = alloc_anon_inode(fs_mount->mnt_sb);
	if (!IS_ERR(handle->inode))
		return 0;
	simple_release_fs(&fs_mount, &fs_users);
	return PTR_ERR(handle->inode);
}

static void handle_mapping_exit(struct quoll_handle *handle)
{
	iput(handle->inode);
	simple_release_fs(&fs_mount, &fs_users);
}
#endif

static struct quoll_handle *handle_create(struct quoll_device *qdev, struct mm_struct *mm)
{
	struct quoll_handle *handle;
	int rc;

	handle = kzalloc(sizeof(*handle), GFP_KERNEL_ACCOUNT);
	if (!handle)
		return ERR_PTR(-ENOMEM);
	handle->qdev = qdev;
	handle->mm = mm;
	handle->live = true;
	rc = handle_mapping_init(handle);
	if (rc) {
		kfree(handle);
		return ERR_PTR(rc);
	}
	return handle;
}

static void handle_destroy(struct quoll_handle *handle)
{
	handle_mapping_exit(handle);
	kfree(handle);
}

/* With group->lock: nobody reaches the device any more, nor does it reach anything. */
static void device_close(struct quoll_device *qdev)
{
	struct vfio_device *vdev = &qdev->core.vdev;

	if (!qdev->handle)
		return;
	WRITE_ONCE(qdev->handle->live, false);
	synchronize_srcu(&qdev->srcu);
	unmap_mapping_range(handle_mapping(qdev->handle), 0, 0, 1);
	mutex_lock(&vdev->dev_set->lock);
	vfio_pci_core_close_device(vdev);
	vdev->open_count--;
	WRITE_ONCE(qdev->in_use, false);
	mutex_unlock(&vdev->dev_set->lock);
	WRITE_ONCE(qdev->handle, NULL);
	wake_up_all(&qdev->closed);
}

static int device_release(struct inode *inode, struct file *file)
{
	struct quoll_handle *handle = file->private_data;
	struct quoll_device *qdev = handle->qdev;

	mutex_lock(&qdev->group->lock);
	if (qdev->handle == handle)
		device_close(qdev);
	mutex_unlock(&qdev->group->lock);
	handle_destroy(handle);
	vfio_put_device(&qdev->core.vdev);
	return 0;
}

/* A count of opens keeps a neighbour's close from resetting the bus under us. */
static int device_enable(struct quoll_device *qdev)
{
	struct vfio_device *vdev = &qdev->core.vdev;
	int rc = -EBUSY;

	mutex_lock(&vdev->dev_set->lock);
	if (!vdev->open_count)
		rc = vfio_pci_core_enable(&qdev->core);
	if (!rc) {
		vfio_pci_core_finish_enable(&qdev->core);
		vdev->open_count++;
		WRITE_ONCE(qdev->in_use, true);
	}
	mutex_unlock(&vdev->dev_set->lock);
	return rc;
}

int quoll_device_open_file(struct quoll_device *qdev, struct mm_struct *mm)
{
	struct quoll_handle *handle;
	struct file *file;
	int fd, rc;

	if (qdev->handle)
		return -EBUSY;
	if (qdev->core.sriov_pf_core_dev)
		return -EACCES;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	handle = handle_create(qdev, mm);
	if (IS_ERR(handle)) {
		rc = PTR_ERR(handle);
		goto err_fd;
	}
	rc = device_enable(qdev);
	if (rc)
		goto err_handle;
	qdev->handle = handle;
	file = anon_inode_getfile("[quoll-device]", &device_fops, handle, O_RDWR);
	if (IS_ERR(file)) {
		rc = PTR_ERR(file);
		goto err_close;
	}
	get_device(&qdev->core.vdev.device);
	file->f_mode |= FMODE_PREAD | FMODE_PWRITE;
	file->f_mapping = handle_mapping(handle);
	fd_install(fd, file);
	return fd;

err_close:
	device_close(qdev);
err_handle:
	handle_destroy(handle);
err_fd:
	put_unused_fd(fd);
	return rc;
}

struct quoll_device *quoll_device_of(struct quoll_group *group, const struct device *dev)
{
	struct quoll_device *qdev;

	list_for_each_entry(qdev, &group->devices, node)
		if (&qdev->core.pdev->dev == dev)
			return qdev;
	return NULL;
}

struct quoll_device *quoll_device_find(struct quoll_group *group, const char *name)
{
	struct quoll_device *qdev;

	list_for_each_entry(qdev, &group->devices, node)
		if (!qdev->leaving && !strcmp(pci_name(qdev->core.pdev), name))
			return qdev;
	return NULL;
}

bool quoll_device_is_open(struct quoll_device *qdev)
{
	return qdev->handle;
}

struct device *quoll_device_any(struct quoll_group *group)
{
	struct quoll_device *qdev = list_first_entry_or_null(&group->devices, struct quoll_device, node);

	return qdev ? &qdev->core.pdev->dev : NULL;
}

void quoll_devices_close(struct quoll_group *group)
{
	struct quoll_device *qdev;

	list_for_each_entry(qdev, &group->devices, node)
		device_close(qdev);
}

/* VFIO's callers, by way of /dev/vfio/N. */

static int mainline_open(struct vfio_device *vdev)
{
	struct quoll_device *qdev = from_vfio(vdev);
	int rc;

	if (qdev->in_use)
		return -EBUSY;
	rc = vfio_pci_core_enable(&qdev->core);
	if (rc)
		return rc;
	vfio_pci_core_finish_enable(&qdev->core);
	WRITE_ONCE(qdev->mainline, true);
	return 0;
}

static void mainline_close(struct vfio_device *vdev)
{
	struct quoll_device *qdev = from_vfio(vdev);

	if (!qdev->mainline)
		return;
	WRITE_ONCE(qdev->mainline, false);
	vfio_pci_core_close_device(vdev);
}

static bool is_mainline(struct vfio_device *vdev)
{
	return READ_ONCE(from_vfio(vdev)->mainline);
}

static long mainline_ioctl(struct vfio_device *vdev, unsigned int cmd, unsigned long arg)
{
	return is_mainline(vdev) ? vfio_pci_core_ioctl(vdev, cmd, arg) : -EBUSY;
}

static int mainline_feature(struct vfio_device *vdev, u32 flags, void __user *arg, size_t argsz)
{
	return is_mainline(vdev) ? vfio_pci_core_ioctl_feature(vdev, flags, arg, argsz) : -EBUSY;
}

static ssize_t mainline_read(struct vfio_device *vdev, char __user *buf, size_t count, loff_t *pos)
{
	return is_mainline(vdev) ? vfio_pci_core_read(vdev, buf, count, pos) : -EBUSY;
}

static ssize_t mainline_write(struct vfio_device *vdev, const char __user *buf, size_t count, loff_t *pos)
{
	return is_mainline(vdev) ? vfio_pci_core_write(vdev, buf, count, pos) : -EBUSY;
}

static int mainline_mmap(struct vfio_device *vdev, struct vm_area_struct *vma)
{
	return is_mainline(vdev) ? vfio_pci_core_mmap(vdev, vma) : -EBUSY;
}

static int mainline_match(struct vfio_device *vdev, char *buf)
{
	struct quoll_group *group = READ_ONCE(from_vfio(vdev)->group);
	bool ours = false;

	if (group) {
		mutex_lock(&group->lock);
		ours = group->owner && group->owner->claimed;
		mutex_unlock(&group->lock);
	}
	return ours ? -EBUSY : vfio_pci_core_match(vdev, buf);
}

#ifdef HAVE_VFIO_REGION_INFO_CAPS
static int mainline_region_info(struct vfio_device *vdev, struct vfio_region_info *info, struct vfio_info_cap *caps)
{
	return is_mainline(vdev) ? vfio_pci_ioctl_get_region_info(vdev, info, caps) : -EBUSY;
}
#endif

static int vdev_init(struct vfio_device *vdev)
{
	struct quoll_device *qdev = from_vfio(vdev);
	int rc;

	init_waitqueue_head(&qdev->closed);
	rc = init_srcu_struct(&qdev->srcu);
	if (rc)
		return rc;
	rc = vfio_pci_core_init_dev(vdev);
	if (rc)
		cleanup_srcu_struct(&qdev->srcu);
	return rc;
}

static void vdev_release(struct vfio_device *vdev)
{
	struct quoll_device *qdev = from_vfio(vdev);

	if (qdev->group)
		quoll_group_put(qdev->group);
	cleanup_srcu_struct(&qdev->srcu);
	vfio_pci_core_release_dev(vdev); /* 6.1 frees it there */
}

static const struct vfio_device_ops vdev_ops = {
	.name = "quoll",
	.init = vdev_init,
	.release = vdev_release,
#ifdef HAVE_VFIO_IOMMUFD
	.bind_iommufd = vfio_iommufd_physical_bind,
	.unbind_iommufd = vfio_iommufd_physical_unbind,
	.attach_ioas = vfio_iommufd_physical_attach_ioas,
#endif
#ifdef HAVE_VFIO_DETACH_IOAS
	.detach_ioas = vfio_iommufd_physical_detach_ioas,
#endif
#ifdef HAVE_VFIO_PASID
	.pasid_attach_ioas = vfio_iommufd_physical_pasid_attach_ioas,
	.pasid_detach_ioas = vfio_iommufd_physical_pasid_detach_ioas,
#endif
	.open_device = mainline_open,
	.close_device = mainline_close,
	.ioctl = mainline_ioctl,
	.device_feature = mainline_feature,
	.read = mainline_read,
	.write = mainline_write,
	.mmap = mainline_mmap,
	.request = vfio_pci_core_request,
	.match = mainline_match,
#ifdef HAVE_VFIO_MATCH_TOKEN
	.match_token_uuid = vfio_pci_core_match_token_uuid,
#endif
#ifdef HAVE_VFIO_REGION_INFO_CAPS
	.get_region_info_caps = mainline_region_info,
#endif
};

static int quoll_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct iommu_group *iommu_group;
	struct quoll_device *qdev;
	struct quoll_group *group;
	int rc;

	iommu_group = iommu_group_get(&pdev->dev);
	if (!iommu_group)
		return -ENODEV;
	qdev = vfio_alloc_device(quoll_device, core.vdev, &pdev->dev, &vdev_ops);
	if (IS_ERR(qdev)) {
		rc = PTR_ERR(qdev);
		goto err_group;
	}
	dev_set_drvdata(&pdev->dev, &qdev->core);
	rc = vfio_pci_core_register_device(&qdev->core);
	if (rc)
		goto err_device;
	group = quoll_group_join(iommu_group, &qdev->node);
	if (IS_ERR(group)) {
		rc = PTR_ERR(group);
		goto err_unregister;
	}
	WRITE_ONCE(qdev->group, group);
	iommu_group_put(iommu_group);
	return 0;

err_unregister:
	vfio_pci_core_unregister_device(&qdev->core);
err_device:
	vfio_put_device(&qdev->core.vdev);
err_group:
	iommu_group_put(iommu_group);
	return rc;
}

/* The close could not reset it, as the driver core has its lock here. */
static void device_reset(struct quoll_device *qdev)
{
	struct pci_dev *pdev = qdev->core.pdev;

	pci_clear_master(pdev);
	if (!pci_device_is_present(pdev) || pci_reset_function_locked(pdev))
		return;
	pci_clear_master(pdev);
	mutex_lock(&qdev->core.vdev.dev_set->lock);
	qdev->core.needs_reset = false;
	mutex_unlock(&qdev->core.vdev.dev_set->lock);
}

/* Tell the user, wait for a moment, then take it; see struct quoll_group_events. */
static void device_take(struct quoll_device *qdev)
{
	struct quoll_group *group = qdev->group;
	bool open;

	mutex_lock(&group->lock);
	qdev->leaving = true;
	open = qdev->handle;
	mutex_unlock(&group->lock);
	if (open) {
		vfio_pci_core_request(&qdev->core.vdev, 0);
		quoll_group_changed(group);
		wait_event_timeout(qdev->closed, !READ_ONCE(qdev->handle), msecs_to_jiffies(remove_wait_ms));
		mutex_lock(&group->lock);
		device_close(qdev);
		mutex_unlock(&group->lock);
	}
	/* also where it was closed while somebody had its lock */
	if (open || qdev->core.needs_reset)
		device_reset(qdev);
}

static void quoll_remove(struct pci_dev *pdev)
{
	struct vfio_pci_core_device *core = dev_get_drvdata(&pdev->dev);
	struct quoll_device *qdev = container_of(core, struct quoll_device, core);

	device_take(qdev);
	quoll_group_leave(qdev->group, &qdev->node);
	vfio_pci_core_unregister_device(core);
	vfio_put_device(&core->vdev);
}

/* No ids: only who writes our name to driver_override means us. */
static struct pci_driver quoll_driver = {
	.name = KBUILD_MODNAME,
	.probe = quoll_probe,
	.remove = quoll_remove,
	.err_handler = &vfio_pci_core_err_handlers,
	.driver_managed_dma = true,
};

int quoll_pci_register(void)
{
	return pci_register_driver(&quoll_driver);
}

void quoll_pci_unregister(void)
{
	pci_unregister_driver(&quoll_driver);
}
