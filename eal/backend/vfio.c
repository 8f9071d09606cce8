/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio.c - the back-end for /dev/vfio/N and /dev/vfio/vfio: container, and the table of ops.
 *
 * Source: linux/vfio.h and Documentation/driver-api/vfio.rst. A container gets its IOMMU with the first group and loses
 * it, with all mappings, with the last: hence forgets_maps.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/vfio.h>

#include "backend/refuse.h"
#include "backend/vfio.h"

#define PATH_BYTES 512

void vfio_path(const struct quoll_env *env, const char *leaf, char *path, size_t size)
{
	snprintf(path, size, "%s/vfio/%s", quoll_env_dev(env), leaf);
}

int vfio_get_info(int fd, unsigned long request, const void *head, size_t head_bytes, void **buf)
{
	uint32_t bytes = (uint32_t)head_bytes, wanted;
	void *answer, *bigger;

	answer = malloc(bytes);
	if (!answer)
		return -ENOMEM;
	for (;;) {
		memcpy(answer, head, head_bytes);
		memcpy(answer, &bytes, sizeof(bytes)); /* argsz comes first in all of them */
		if (ioctl(fd, request, answer)) {
			int rc = -errno;

			free(answer);
			return rc;
		}
		memcpy(&wanted, answer, sizeof(wanted));
		if (wanted <= bytes)
			break;
		bigger = wanted > VFIO_INFO_MAX_BYTES ? NULL : realloc(answer, wanted);
		if (!bigger) {
			free(answer);
			return wanted > VFIO_INFO_MAX_BYTES ? -EPROTO : -ENOMEM;
		}
		answer = bigger;
		memset((uint8_t *)answer + bytes, 0, wanted - bytes);
		bytes = wanted;
	}
	/* Parsers take the length from here: what is filled in, never more than what is allocated. */
	memcpy(answer, &bytes, sizeof(bytes));
	*buf = answer;
	return 0;
}

static const struct control_file container = {
	.backend = "vfio",
	.leaf = "vfio/vfio",
	.absent = "the kernel's VFIO is not loaded",
	.load = "sudo modprobe -a vfio_iommu_type1 vfio-pci",
	.rather = "",
	.why = "rights are with the groups' own files",
};

static int vfio_probe(const struct quoll_env *env, struct quoll_error *err)
{
	return control_probe(&container, env, err);
}

static int vfio_ioas_open(struct quoll_ioas *ioas, struct quoll_error *err)
{
	char path[PATH_BYTES];
	int version;

	vfio_path(&ioas->env, "vfio", path, sizeof(path));
	ioas->fd = control_open(&container, &ioas->env, err);
	if (ioas->fd < 0)
		return ioas->fd;
	version = ioctl(ioas->fd, VFIO_GET_API_VERSION);
	if (version != VFIO_API_VERSION) {
		quoll_error_set(err, ENOENT, "open", path, "VFIO speaks version %d, not %d", version, VFIO_API_VERSION);
		goto err_close;
	}
	if (ioctl(ioas->fd, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) != 1) {
		quoll_error_set(err, ENOENT, "open", path, "VFIO has no type1v2 IOMMU");
		quoll_error_hint(err, "sudo modprobe vfio_iommu_type1");
		goto err_close;
	}
	return 0;

err_close:
	close(ioas->fd);
	ioas->fd = -1;
	return -ENOENT;
}

static void vfio_ioas_close(struct quoll_ioas *ioas)
{
	close(ioas->fd);
	ioas->fd = -1;
}

const struct backend_ops backend_vfio = {
	.name = "vfio",
	.forgets_maps = true,
	.probe = vfio_probe,
	.ioas_open = vfio_ioas_open,
	.ioas_close = vfio_ioas_close,
	.ioas_info = vfio_iommu_info,
	.map = vfio_iommu_map,
	.unmap = vfio_iommu_unmap,
	.claim = vfio_group_claim,
	.release = vfio_group_release,
	.device_open = vfio_device_open,
	.device_close = vfio_device_close,
	.device_reset = vfio_device_reset,
	.region_info = vfio_region_info,
	.region_map = vfio_region_map,
	.region_rw = vfio_region_rw,
	.irq_info = vfio_irq_info,
	.irq_set = vfio_irq_set,
	.irq_unmask = vfio_irq_unmask,
};
