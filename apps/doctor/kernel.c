/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kernel.c - doctor's checks of the kernel: version, IOMMU, VFIO.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <quoll/group.h>

#include "check.h"

void check_kernel(const struct quoll_env *env, struct check *check)
{
	char path[512], release[128];
	struct utsname name;

	if (!check_read(release, sizeof(release), "%s/sys/kernel/osrelease", quoll_env_proc(env))) {
		if (uname(&name))
			memset(&name, 0, sizeof(name));
		snprintf(release, sizeof(release), "%s", name.release);
	}
	check_found(check, CHECK_OK, "Linux %s", release);
	snprintf(path, sizeof(path), "%s/iommu", quoll_env_dev(env));
	check->facts = json_pack("{s:s, s:b}", "release", release, "has_iommufd", !access(path, F_OK));
}

/* Whether a group has a device with a VFIO driver, and could be claimed. */
static bool is_bound(const struct quoll_group_desc *group)
{
	for (unsigned int m = 0; m < group->nr_members; m++)
		if (group->viable && group->members[m].for_user)
			return true;
	return false;
}

void check_iommu(const struct quoll_env *env, struct check *check)
{
	struct quoll_group_list list;
	unsigned int nr_bound = 0;
	struct quoll_error err;

	if (quoll_groups_read(env, &list, &err)) {
		check_found(check, CHECK_FAIL, "%s", err.what);
		check_hint(check, "%s", err.hint);
		check->facts = json_pack("{s:i, s:i}", "nr_groups", 0, "nr_bound", 0);
		return;
	}
	for (unsigned int i = 0; i < list.nr_groups; i++)
		nr_bound += is_bound(&list.groups[i]);
	check_found(check, CHECK_OK, "the IOMMU is on: %u groups, %u of them bound for Quoll", list.nr_groups,
		    nr_bound);
	check->facts = json_pack("{s:i, s:i}", "nr_groups", (int)list.nr_groups, "nr_bound", (int)nr_bound);
	quoll_groups_free(&list);
}

void check_isolation(const struct quoll_env *env, struct check *check)
{
	const char *sysfs = quoll_env_sysfs(env);
	char value[16];
	bool noiommu, unsafe;

	noiommu = check_read(value, sizeof(value), "%s/module/vfio/parameters/enable_unsafe_noiommu_mode", sysfs) &&
		  value[0] == 'Y';
	unsafe = check_read(value, sizeof(value), "%s/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts",
			    sysfs) &&
		 value[0] == 'Y';
	check->facts = json_pack("{s:b, s:b}", "noiommu_mode", noiommu, "unsafe_interrupts", unsafe);
	if (noiommu) {
		check_found(check, CHECK_WARN,
			    "VFIO's no-IOMMU mode is allowed: a program could let a device write to "
			    "any memory (Quoll never uses it)");
		check_hint(check, "echo N >/sys/module/vfio/parameters/enable_unsafe_noiommu_mode");
	} else if (unsafe) {
		check_found(check, CHECK_WARN, "interrupts are not remapped: a device could raise any interrupt");
		check_hint(check, "switch interrupt remapping on in the firmware, then take "
				  "allow_unsafe_interrupts=1 of vfio_iommu_type1 away");
	} else {
		check_found(check, CHECK_OK, "neither no-IOMMU mode nor unsafe interrupts are allowed");
	}
}

/* Whether modprobe could load vfio-pci: it is listed for the running kernel. */
static bool module_listed(void)
{
	static const char *const lists[] = {"modules.dep", "modules.builtin"};
	char path[512], line[4096];
	struct utsname name;
	bool found = false;

	if (uname(&name))
		return false;
	for (unsigned int i = 0; i < 2 && !found; i++) {
		FILE *f;

		snprintf(path, sizeof(path), "/lib/modules/%s/%s", name.release, lists[i]);
		f = fopen(path, "re");
		while (f && !found && fgets(line, sizeof(line), f))
			found = strstr(line, "/vfio-pci.ko") != NULL;
		if (f)
			fclose(f);
	}
	return found;
}

void check_vfio_module(const struct quoll_env *env, struct check *check)
{
	char path[512];
	bool loaded, listed;

	snprintf(path, sizeof(path), "%s/bus/pci/drivers/vfio-pci", quoll_env_sysfs(env));
	loaded = !access(path, F_OK);
	listed = loaded || module_listed();
	check->facts = json_pack("{s:b, s:b}", "loaded", loaded, "available", listed);
	if (loaded) {
		check_found(check, CHECK_OK, "loaded");
	} else if (listed) {
		check_found(check, CHECK_WARN, "available, not loaded; quoll bind loads it");
		check_hint(check, "modprobe vfio-pci");
	} else {
		check_found(check, CHECK_FAIL, "the running kernel has no vfio-pci module");
		check_hint(check, "install the kernel's full module package, or a kernel built with CONFIG_VFIO_PCI "
				  "(cloud kernels often leave it out)");
	}
}

void check_vfio_file(const struct quoll_env *env, struct check *check)
{
	char path[512];
	bool usable;

	snprintf(path, sizeof(path), "%s/vfio/vfio", quoll_env_dev(env));
	usable = !access(path, R_OK | W_OK);
	check->facts = json_pack("{s:s, s:b}", "path", path, "usable", usable);
	if (usable) {
		check_found(check, CHECK_OK, "%s can be opened", path);
	} else if (errno == ENOENT) {
		check_found(check, CHECK_WARN, "%s does not exist yet", path);
		check_hint(check, "modprobe vfio-pci");
	} else {
		check_found(check, CHECK_FAIL, "%s: %s", path, strerror(errno));
		check_hint(check, "as root: chmod 0666 %s (it gives no right to any device)", path);
	}
}

/* The other way: what is missing here matters only to those who ask for it, or have no VFIO groups. */
void check_iommufd(const struct quoll_env *env, struct check *check)
{
	char path[512];
	bool usable, present;

	snprintf(path, sizeof(path), "%s/iommu", quoll_env_dev(env));
	usable = !access(path, R_OK | W_OK);
	present = usable || errno == EACCES || errno == EPERM;
	check->facts = json_pack("{s:s, s:b, s:b}", "path", path, "present", present, "usable", usable);
	if (usable) {
		check_found(check, CHECK_OK, "%s can be opened: --backend iommufd works, too", path);
	} else if (present) {
		check_found(check, CHECK_OK, "%s is another user's: --backend iommufd needs it", path);
		check_hint(check,
			   "as root: quoll bind ADDR --user $USER, or chmod 0666 %s (it gives no right to any device)",
			   path);
	} else {
		check_found(check, CHECK_OK,
			    "the kernel has no iommufd, or it is not loaded; VFIO groups do without it");
	}
}
