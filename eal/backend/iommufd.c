/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * iommufd.c - the back-end for /dev/iommu and /dev/vfio/devices/vfioN: the file, and the table of ops.
 *
 * Source: Documentation/userspace-api/iommufd.rst and Documentation/driver-api/vfio.rst ("Using VFIO cdev"). Each
 * address space opens /dev/iommu for itself and has one IOAS there. Its mappings outlive the last group, unlike a
 * container's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "backend/iommufd.h"
#include "backend/refuse.h"
#include "backend/vfio.h"

static const struct control_file iommu_file = {
	.backend = "iommufd",
	.leaf = "iommu",
	.absent = "the kernel has no iommufd, or it is not loaded",
	.load = "sudo modprobe -a iommufd vfio-pci (Linux 6.6 or newer, built with "
		"CONFIG_IOMMUFD and CONFIG_VFIO_DEVICE_CDEV), or use the back-end vfio",
	.rather = "sudo quoll bind ADDRESS --user USER, or for all users: ",
	.why = "rights are with the devices' own files",
};

static int iommufd_probe(const struct quoll_env *env, struct quoll_error *err)
{
	return control_probe(&iommu_file, env, err);
}

static int iommufd_ioas_open(struct quoll_ioas *ioas, struct quoll_error *err)
{
	struct iommufd_ioas_alloc alloc = {.size = sizeof(alloc)};
	struct iommufd_ioas *own;
	int rc;

	own = calloc(1, sizeof(*own));
	if (!own)
		return quoll_error_set(err, ENOMEM, "open", "iommufd", "out of memory");
	rc = ioas->fd = control_open(&iommu_file, &ioas->env, err);
	if (rc < 0)
		goto err_free;
	if (ioctl(ioas->fd, IOMMUFD_IOAS_ALLOC, &alloc)) {
		rc = quoll_error_set(err, errno, "open", "iommufd", "the kernel makes no address space: %s",
				     strerrordesc_np(errno));
		goto err_close;
	}
	own->id = alloc.out_ioas_id;
	ioas->priv = own;
	return 0;

err_close:
	close(ioas->fd);
	ioas->fd = -1;
err_free:
	free(own);
	return rc;
}

/* With the file goes the IOAS, and with that all mappings. */
static void iommufd_ioas_close(struct quoll_ioas *ioas)
{
	close(ioas->fd);
	ioas->fd = -1;
	free(ioas->priv);
	ioas->priv = NULL;
}

const struct backend_ops backend_iommufd = {
	.name = "iommufd",
	.memlock_per_user = true,
	.probe = iommufd_probe,
	.ioas_open = iommufd_ioas_open,
	.ioas_close = iommufd_ioas_close,
	.ioas_info = iommufd_ioas_info,
	.map = iommufd_ioas_map,
	.unmap = iommufd_ioas_unmap,
	.claim = iommufd_claim,
	.release = iommufd_release,
	.device_open = iommufd_device_open,
	.device_close = iommufd_device_close,
	.device_reset = vfio_device_reset,
	.device_watch = iommufd_device_watch,
	.device_serve = iommufd_device_serve,
	.region_info = vfio_region_info,
	.region_map = vfio_region_map,
	.region_rw = vfio_region_rw,
	.irq_info = vfio_irq_info,
	.irq_set = vfio_irq_set,
	.irq_unmask = vfio_irq_unmask,
};
