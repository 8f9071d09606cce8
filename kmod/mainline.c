// SPDX-License-Identifier: GPL-2.0-only
/*
 * mainline.c - the device as VFIO's: /dev/vfio/N works with this driver as with vfio-pci, in turn with /dev/quoll/N,
 * never at once. The claim of the IOMMU group sees to that; whoever got in otherwise is refused here.
 */
#include "pci.h"

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

#if IS_ENABLED(CONFIG_IOMMUFD)
/* Whoever got in as a second opener (device_disable()) is bound to nothing. */
static void mainline_unbind(struct vfio_device *vdev)
{
	if (vdev->iommufd_device)
		vfio_iommufd_physical_unbind(vdev);
}
#else
#define mainline_unbind NULL
#endif

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

	init_waitqueue_head(&qdev->changed);
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

const struct vfio_device_ops quoll_vdev_ops = {
	.name = "quoll",
	.init = vdev_init,
	.release = vdev_release,
#ifdef HAVE_VFIO_IOMMUFD
	.bind_iommufd = vfio_iommufd_physical_bind,
	.unbind_iommufd = mainline_unbind,
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
