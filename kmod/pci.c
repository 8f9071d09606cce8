// SPDX-License-Identifier: GPL-2.0-only
/*
 * pci.c - the driver of PCI members, and their files. What a device is virtualised for (config space, BARs, interrupts,
 * power, reset) is vfio_pci_core's; here is who may get at it, and how it is taken away.
 *
 * The device is VFIO's, too: /dev/vfio/N works with this driver as with vfio-pci, in turn with /dev/quoll/N, never at
 * once (mainline.c).
 *
 * A file is revoked in this order: no new call gets in (handle->live), those inside have left (SRCU), BAR mappings go,
 * the core closes: bus mastering off, interrupts off, reset.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/iopoll.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/pm_runtime.h>
#include <linux/pseudo_fs.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/uaccess.h>
#include <linux/vfio_pci_core.h>

#include "compat.h"
#include "pci.h"

static unsigned int remove_wait_ms = 1000;
module_param(remove_wait_ms, uint, 0644);
MODULE_PARM_DESC(remove_wait_ms, "How long a device that is taken away waits for its user to close it");

/* Longest argument of a device's ioctl: as many eventfds as MSI-X has vectors, and some. */
#define MAX_ARGSZ (16U << 10)
/* Memory that was made present may be gone again before it is used. */
#define MAX_FAULTS 16

/* What a device's file stands for. */
struct quoll_handle {
	struct quoll_device *qdev;
	struct mm_struct *mm; /* held, so that nobody else's gets its address */
	bool live;
#ifndef HAVE_VFIO_INODE
	struct inode *inode;
#endif
};

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
	size_t done = 0, piece, most;
	ssize_t rc = 0;

	if (current->mm != handle->mm)
		return -EPERM;
	while (done < count) {
		/* A piece is done anew if its memory has gone meanwhile: a single write has not been done then. */
		most = write ? sizeof(u64) - (*pos & (sizeof(u64) - 1)) : PAGE_SIZE - offset_in_page(*pos);
		piece = min_t(size_t, count - done, most);
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

static void handle_revoke(struct quoll_handle *handle)
{
	unmap_mapping_range(handle_mapping(handle), 0, 0, 1);
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

/*
 * A core that has no inode maps by remap_pfn_range(). What that reserves (VM_PAT) is given back by whoever unmaps
 * first, which only mmap_lock decides: munmap() has it meanwhile. It is waited for a second at most: who waits for
 * memory with it could keep the device; what is given back twice is a line in the log, or a warning. In memory that
 * has no users left nobody runs, and its end unmaps: its devices don't wait for that.
 */
static void handle_revoke(struct quoll_handle *handle)
{
	bool locked;

	if (!mmget_not_zero(handle->mm))
		return;
	read_poll_timeout(mmap_write_trylock, locked, locked, USEC_PER_MSEC, USEC_PER_SEC, false, handle->mm);
	unmap_mapping_range(handle_mapping(handle), 0, 0, 1);
	if (locked)
		mmap_write_unlock(handle->mm);
	mmput_async(handle->mm);
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
	mmgrab(mm);
	return handle;
}

static void handle_destroy(struct quoll_handle *handle)
{
	handle_mapping_exit(handle);
	mmdrop(handle->mm);
	kfree(handle);
}

/* With group->lock, which is let go meanwhile: until nobody opens or closes the device. */
static void change_wait(struct quoll_group *group, struct quoll_device *qdev)
{
	while (qdev->changing) {
		mutex_unlock(&group->lock);
		wait_event(qdev->changed, !READ_ONCE(qdev->changing));
		mutex_lock(&group->lock);
	}
}

/* With group->lock, while nobody else changes it: let go of the lock to do so, and take it again. */
static void change_begin(struct quoll_group *group, struct quoll_device *qdev)
{
	WRITE_ONCE(qdev->changing, true);
	mutex_unlock(&group->lock);
}

static void change_end(struct quoll_group *group, struct quoll_device *qdev, struct quoll_handle *handle)
{
	mutex_lock(&group->lock);
	WRITE_ONCE(qdev->handle, handle);
	WRITE_ONCE(qdev->changing, false);
	wake_up_all(&qdev->changed);
}

static void device_disable(struct quoll_device *qdev)
{
	struct vfio_device *vdev = &qdev->core.vdev;

	mutex_lock(&vdev->dev_set->lock);
	vfio_pci_core_close_device(vdev);
	vdev->open_count--;
	/*
	 * Somebody who had asked VFIO before the claim, by iommufd, has got a file meanwhile, as a second opener; our
	 * ops refuse him everything. His close is now the last one: it gives back a reference that a first open takes.
	 */
	if (vdev->open_count)
		__module_get(THIS_MODULE);
	WRITE_ONCE(qdev->in_use, false);
	mutex_unlock(&vdev->dev_set->lock);
}

/* With group->lock, which is let go meanwhile: nobody reaches the device any more, nor does it reach anything. */
static void device_close(struct quoll_group *group, struct quoll_device *qdev)
{
	struct quoll_handle *handle;

	change_wait(group, qdev);
	handle = qdev->handle;
	if (!handle)
		return;
	change_begin(group, qdev);
	WRITE_ONCE(handle->live, false);
	synchronize_srcu(&qdev->srcu);
	handle_revoke(handle);
	device_disable(qdev);
	change_end(group, qdev, NULL);
}

static int device_release(struct inode *inode, struct file *file)
{
	struct quoll_handle *handle = file->private_data;
	struct quoll_device *qdev = handle->qdev;
	struct quoll_group *group = qdev->group;

	mutex_lock(&group->lock);
	if (qdev->handle == handle)
		change_wait(group, qdev); /* who does is at this handle */
	if (qdev->handle == handle)
		device_close(group, qdev);
	mutex_unlock(&group->lock);
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

/* A file for a device that nobody has. Return: the file, an ERR_PTR. */
static struct file *device_file(struct quoll_device *qdev, struct quoll_handle *handle)
{
	struct file *file;
	int rc;

	rc = device_enable(qdev);
	if (rc)
		return ERR_PTR(rc);
	file = anon_inode_getfile("[quoll-device]", &device_fops, handle, O_RDWR);
	if (IS_ERR(file)) {
		device_disable(qdev);
		return file;
	}
	get_device(&qdev->core.vdev.device);
	file->f_mode |= FMODE_PREAD | FMODE_PWRITE;
	file->f_mapping = handle_mapping(handle);
	return file;
}

int quoll_device_open_file(struct quoll_group *group, struct quoll_device *qdev, struct mm_struct *mm)
{
	struct quoll_handle *handle;
	struct file *file;
	int fd;

	if (qdev->handle || qdev->changing)
		return -EBUSY;
	if (qdev->core.sriov_pf_core_dev)
		return -EACCES;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	handle = handle_create(qdev, mm);
	if (IS_ERR(handle)) {
		put_unused_fd(fd);
		return PTR_ERR(handle);
	}
	/* Meanwhile neither claim nor device goes: who ends one of them waits for us first. */
	change_begin(group, qdev);
	file = device_file(qdev, handle);
	change_end(group, qdev, IS_ERR(file) ? NULL : handle);
	if (IS_ERR(file)) {
		handle_destroy(handle);
		put_unused_fd(fd);
		return PTR_ERR(file);
	}
	fd_install(fd, file);
	return fd;
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

static struct quoll_device *device_first_open(struct quoll_group *group)
{
	struct quoll_device *qdev;

	list_for_each_entry(qdev, &group->devices, node)
		if (qdev->handle || qdev->changing)
			return qdev;
	return NULL;
}

void quoll_devices_close(struct quoll_owner *owner)
{
	struct quoll_group *group = owner->group;
	struct quoll_device *qdev;

	/* what is open once the claim has gone is the next owner's */
	while (owner->claimed && (qdev = device_first_open(group))) {
		get_device(&qdev->core.vdev.device); /* it may leave while it is closed */
		device_close(group, qdev);
		vfio_put_device(&qdev->core.vdev);
	}
}

static int quoll_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct iommu_group *iommu_group;
	struct quoll_device *qdev;
	int rc;

	iommu_group = iommu_group_get(&pdev->dev);
	if (!iommu_group)
		return -ENODEV;
	qdev = vfio_alloc_device(quoll_device, core.vdev, &pdev->dev, &quoll_vdev_ops);
	if (IS_ERR(qdev)) {
		rc = PTR_ERR(qdev);
		goto err_group;
	}
	dev_set_drvdata(&pdev->dev, &qdev->core);
	rc = vfio_pci_core_register_device(&qdev->core);
	if (rc)
		goto err_device;
	rc = quoll_group_join(iommu_group, &qdev->node, &qdev->group);
	if (rc)
		goto err_unregister;
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

/*
 * The close could not reset it, as the driver core has its lock here; @closed: or it was closed while somebody else had
 * it. Not what VFIO has open: its user is still to be asked.
 */
static void device_reset(struct quoll_device *qdev, bool closed)
{
	struct pci_dev *pdev = qdev->core.pdev;

	mutex_lock(&qdev->core.vdev.dev_set->lock);
	if (qdev->mainline || (!closed && !qdev->core.needs_reset))
		goto out;
	pci_clear_master(pdev);
	if (!pci_device_is_present(pdev) || pci_reset_function_locked(pdev))
		goto out;
	pci_clear_master(pdev);
	qdev->core.needs_reset = false;
out:
	mutex_unlock(&qdev->core.vdev.dev_set->lock);
}

/*
 * Tell the user, wait for a moment, then take it; see struct quoll_group_events. Whom we wait for is in no reset of
 * this device, as that takes its lock, which the driver core has here. Ours may want reset_lock of the slot's hotplug
 * driver: where that one removes us, with pci_rescan_remove_lock, it has let go of it (pciehp_unconfigure_device()).
 */
static void device_take(struct quoll_device *qdev)
{
	struct quoll_group *group = qdev->group;
	bool open;

	mutex_lock(&group->lock);
	qdev->leaving = true;
	change_wait(group, qdev);
	open = qdev->handle;
	mutex_unlock(&group->lock);
	if (open) {
		vfio_pci_core_request(&qdev->core.vdev, 0);
		quoll_group_changed(group);
		wait_event_timeout(qdev->changed, !READ_ONCE(qdev->handle), msecs_to_jiffies(remove_wait_ms));
		mutex_lock(&group->lock);
		device_close(group, qdev);
		mutex_unlock(&group->lock);
	}
	device_reset(qdev, open);
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
