/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * refuse.c - the group that a claim means, and refused claims in words: members, holders, rights.
 */
#include <dirent.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/holder.h"
#include "backend/refuse.h"

#define LISTED_MEMBERS 14 /* as many as fit struct quoll_error's sentence */
#define PATH_BYTES 512

static void list_members(const struct quoll_group_desc *desc, struct quoll_error *err)
{
	for (unsigned int i = 0; i < desc->nr_members && i < LISTED_MEMBERS; i++) {
		const struct quoll_member *m = &desc->members[i];

		quoll_error_append(err, "\n  %s  %s%s", m->name, m->driver[0] ? m->driver : "(no driver)",
				   m->blocks ? "  <- in the way" : "");
	}
	if (desc->nr_members > LISTED_MEMBERS)
		quoll_error_append(err, "\n  and %u more", desc->nr_members - LISTED_MEMBERS);
}

int refuse_not_viable(const struct quoll_group_desc *desc, const struct quoll_addr *addr, struct quoll_error *err)
{
	quoll_error_set(err, EBUSY, "claim", addr->target,
			"group %d is not viable: all its endpoints must be with a VFIO driver or with none", desc->id);
	list_members(desc, err);
	quoll_error_hint(err, "sudo quoll bind %s", addr->target);
	return -EBUSY;
}

int refuse_unbound(const struct quoll_group_desc *desc, const struct quoll_addr *addr, struct quoll_error *err)
{
	for (unsigned int i = 0; i < desc->nr_members; i++)
		if (desc->members[i].blocks)
			return refuse_not_viable(desc, addr, err);
	quoll_error_set(err, ENODEV, "claim", addr->target, "no device of group %d is with a VFIO driver", desc->id);
	list_members(desc, err);
	quoll_error_hint(err, "sudo quoll bind %s", addr->target);
	return -ENODEV;
}

int refuse_no_driver(const struct quoll_group_desc *desc, const struct quoll_addr *addr, const char *driver,
		     struct quoll_error *err)
{
	quoll_error_set(err, ENODEV, "claim", addr->target, "no device of group %d is with the driver %s", desc->id,
			driver);
	list_members(desc, err);
	quoll_error_hint(err, "sudo quoll bind %s --driver %s", addr->target, driver);
	return -ENODEV;
}

int refuse_busy(const struct quoll_env *env, int id, const struct quoll_addr *addr, struct quoll_error *err)
{
	struct holder h;

	if (!holder_of_group(env, id, &h)) {
		quoll_error_set(err, EBUSY, "claim", addr->target, "group %d is claimed by %s %d (%s)", id,
				h.pid == getpid() ? "this process itself," : "process", (int)h.pid, h.comm);
		quoll_error_hint(err, h.pid == getpid() ? "release it first" : "end that process, or wait for it");
		return -EBUSY;
	}
	quoll_error_set(err, EBUSY, "claim", addr->target, "group %d is claimed by another process", id);
	if (h.hidden)
		quoll_error_hint(err, "run as root to see which, or: sudo lsof /dev/vfio/%d /dev/vfio/devices/*", id);
	return -EBUSY;
}

int refuse_permission(const char *path, const struct quoll_addr *addr, int errnum, struct quoll_error *err)
{
	struct passwd pw, *found = NULL;
	char strings[1024];

	quoll_error_set(err, errnum, "claim", addr->target, "no permission to open %s", path);
	if (!getpwuid_r(geteuid(), &pw, strings, sizeof(strings), &found) && found)
		quoll_error_hint(err, "sudo quoll bind %s --user %s", addr->target, pw.pw_name);
	else
		quoll_error_hint(err, "sudo quoll bind %s --user NAME", addr->target);
	return -errnum;
}

int refuse_unsafe_interrupts(const struct quoll_addr *addr, struct quoll_error *err)
{
	quoll_error_set(err, EPERM, "claim", addr->target,
			"the IOMMU does not remap interrupts, so devices could forge them");
	quoll_error_hint(err, "switch interrupt remapping on: in the firmware (VT-d/AMD-Vi, x2APIC), and no "
			      "intremap=off on the kernel's command line");
	return -EPERM;
}

int claim_describe(struct quoll_group *group, const struct quoll_addr *addr, struct quoll_group_list *list,
		   struct quoll_error *err)
{
	int rc;

	if (addr->scheme != QUOLL_ADDR_PCI)
		return quoll_error_set(err, EINVAL, "claim", addr->target,
				       "%s: is not an address of a device in a group",
				       quoll_addr_scheme_name(addr->scheme));
	rc = quoll_group_read(&group->ioas->env, addr, list, err);
	if (rc)
		return rc;
	if (list->nr_groups != 1)
		rc = quoll_error_set(err, ENODEV, "claim", addr->target, "the device is in no IOMMU group");
	for (unsigned int i = 0; !rc && i < group->ioas->nr_groups; i++)
		if (group->ioas->groups[i]->id == list->groups[0].id)
			rc = quoll_error_set(err, EBUSY, "claim", addr->target,
					     "group %d is in this address space already: one claim covers all its "
					     "devices",
					     list->groups[0].id);
	if (rc)
		quoll_groups_free(list);
	return rc;
}

int claim_fill_names(struct quoll_group *group, const struct quoll_group_desc *desc, const struct quoll_addr *addr,
		     struct quoll_error *err)
{
	group->names = calloc(desc->nr_members, sizeof(*group->names));
	if (!group->names)
		return quoll_error_set(err, ENOMEM, "claim", addr->target, "out of memory");
	for (unsigned int i = 0; i < desc->nr_members; i++)
		if (!desc->members[i].is_bridge)
			memcpy(group->names[group->nr_devices++], desc->members[i].name, QUOLL_NAME_BYTES);
	return 0;
}

static bool machine_has_groups(const struct quoll_env *env)
{
	const char *sysfs = quoll_env_sysfs(env);
	struct dirent *entry;
	char path[PATH_BYTES];
	bool any = false;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/kernel/iommu_groups", sysfs);
	dir = opendir(path);
	if (!dir)
		return false;
	while (!any && (entry = readdir(dir)))
		any = entry->d_name[0] != '.';
	closedir(dir);
	return any;
}

int check_groups_exist(const struct quoll_env *env, const char *backend, struct quoll_error *err)
{
	struct quoll_group_list list;
	int rc;

	if (machine_has_groups(env))
		return 0;
	/* Knows why, and how to switch the IOMMU on for the CPU found. */
	rc = quoll_groups_read(env, &list, err);
	if (!rc)
		quoll_groups_free(&list);
	return rc ? rc : quoll_error_set(err, ENODEV, "open", backend, "this machine has no IOMMU groups");
}
