/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * drivers.c - what a driver's name tells: whether a group is viable with it.
 */
#include <errno.h>
#include <string.h>

#include "internal.h"

/*
 * Since 5.19 the kernel lets a group be claimed while a member's driver sets driver_managed_dma; before, it had a list
 * of names. Either way these do. shpchp does not: a bridge that it holds must be taken from it (commit
 * "vfio: Set DMA ownership for VFIO devices", says so).
 */
static const struct {
	const char *name;
	const char *why;
} no_dma[] = {
	{"pcieport", "serves a port's events; what it reads and writes is the port's own registers"},
	{"pci-stub", "does nothing but hold the device"},
};

enum driver_kind driver_kind_of(const char *name)
{
	if (!name[0])
		return DRIVER_NONE;
	/* vfio-pci and its variants: mlx5_vfio_pci, hisi_acc_vfio_pci, nvgrace_gpu_vfio_pci, vfio-platform … */
	if (strstr(name, "vfio"))
		return DRIVER_VFIO;
	/* kmod/: one more of these, with files of its own beside VFIO's */
	if (!strcmp(name, "quoll"))
		return DRIVER_VFIO;
	for (size_t i = 0; i < sizeof(no_dma) / sizeof(no_dma[0]); i++)
		if (!strcmp(name, no_dma[i].name))
			return DRIVER_NO_DMA;
	return DRIVER_KERNEL;
}

/* It becomes part of a path and a line of a record. Drivers with spaces in their names exist. */
bool driver_name_valid(const char *name)
{
	size_t len = strlen(name);

	if (!len || len >= sizeof(((struct quoll_member *)0)->driver) || name[0] == '.' || name[0] == ' ')
		return false;
	for (; *name; name++)
		if ((unsigned char)*name < 0x20 || (unsigned char)*name > 0x7e || *name == '/')
			return false;
	return true;
}

int driver_loaded(const struct quoll_env *env, const char *driver, struct quoll_error *err)
{
	char path[PATH_BYTES];
	int rc = path_make(path, "%s/bus/pci/drivers/%s", quoll_env_sysfs(env), driver);

	if (!rc && !path_exists(path))
		rc = -ENOENT;
	if (!rc)
		return 0;
	quoll_error_set(err, -rc, "plan", driver,
			"the kernel has no PCI driver of that name: its module is not loaded");
	quoll_error_hint(err, "modprobe %s", driver);
	return rc;
}
