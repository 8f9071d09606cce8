/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * refuse.c - what back-ends for this machine's groups share: the group that a claim means, the file that they begin
 * with, and what is refused in words: members, holders, rights, mappings.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/holder.h"
#include "backend/memlock.h"
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

static int describe(struct quoll_group *group, const struct quoll_addr *addr, struct quoll_group_list *list,
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

int claim_by_address(struct quoll_group *group, const struct quoll_addr *addr, claim_fn *claim, struct quoll_error *err)
{
	struct quoll_group_list list;
	int rc;

	rc = describe(group, addr, &list, err);
	if (rc)
		return rc;
	rc = claim(group, &list.groups[0], addr, err);
	quoll_groups_free(&list);
	return rc;
}

void claim_forget_names(struct quoll_group *group)
{
	free(group->names);
	group->names = NULL;
	group->nr_devices = 0;
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

/* Return: 0, -errno: err says why it has none, and how to get them. */
static int check_groups_exist(const struct quoll_env *env, const char *backend, struct quoll_error *err)
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

/* Mappings. */

static bool range_holds(const struct quoll_ioas_info *info, const struct ioas_mapping *m)
{
	for (unsigned int i = 0; i < info->nr_ranges; i++)
		if (m->iova >= info->ranges[i].first && map_last(m) <= info->ranges[i].last)
			return true;
	return false;
}

/* EINVAL has causes that a caller can tell apart only by looking. */
static int refuse_invalid(struct quoll_ioas *ioas, const struct ioas_mapping *m, struct quoll_error *err)
{
	const char *backend = ioas->ops->name;
	struct quoll_ioas_info info = {0};
	uint64_t page;

	/* In the midst of a mapping, with the lock that quoll_ioas_info() would take. */
	if (ioas->ops->ioas_info(ioas, &info, NULL) || !info.page_sizes)
		return quoll_error_set(err, EINVAL, "map", backend, "refused");
	page = info.page_sizes & -info.page_sizes;
	if ((m->iova | (uintptr_t)m->va | m->len_bytes) & (page - 1))
		return quoll_error_set(err, EINVAL, "map", backend,
				       "IOVA 0x%" PRIx64 ", address %p and length 0x%" PRIx64
				       " are not all multiples of the IOMMU's page, %" PRIu64 " bytes",
				       m->iova, m->va, m->len_bytes, page);
	if (!range_holds(&info, m))
		return quoll_error_set(err, ERANGE, "map", backend,
				       "IOVA 0x%" PRIx64 " + 0x%" PRIx64 " is outside what the IOMMU translates",
				       m->iova, m->len_bytes);
	return quoll_error_set(err, EINVAL, "map", backend, "refused: IOVA 0x%" PRIx64 " + 0x%" PRIx64, m->iova,
			       m->len_bytes);
}

int refuse_mapping(struct quoll_ioas *ioas, const struct ioas_mapping *m, int errnum, struct quoll_error *err)
{
	const char *backend = ioas->ops->name;

	switch (errnum) {
	case EEXIST:
		return quoll_error_set(err, EEXIST, "map", backend,
				       "IOVA 0x%" PRIx64 " + 0x%" PRIx64 " is mapped already", m->iova, m->len_bytes);
	case EINVAL:
		return refuse_invalid(ioas, m, err);
	case EFAULT:
		return quoll_error_set(err, EFAULT, "map", backend,
				       "there is no memory at %p + 0x%" PRIx64 ", or it is not writable while devices "
				       "are to write there",
				       m->va, m->len_bytes);
	default:
		return quoll_error_set(err, errnum, "map", backend, "%s", strerrordesc_np(errnum));
	}
}

int refuse_memory(struct quoll_ioas *ioas, const struct ioas_mapping *m, uint64_t need_bytes, struct quoll_error *err)
{
	const char *backend = ioas->ops->name;
	struct memlock ml;

	if (!memlock_read(&ioas->env, &ml) && memlock_left(&ml) < need_bytes)
		return memlock_refuse(&ml, backend, need_bytes, err);
	return quoll_error_set(err, ENOMEM, "map", backend,
			       "the kernel has no memory to pin and map %" PRIu64 " bytes (not the memlock limit)",
			       m->len_bytes);
}

/* The file that a back-end begins with. */

static int control_refused(const struct control_file *file, const char *path, int errnum, struct quoll_error *err)
{
	switch (errnum) {
	case ENOENT:
	case ENODEV: /* the node is there, its module is not */
	case ENXIO:
		quoll_error_set(err, ENOENT, "open", path, "%s", file->absent);
		quoll_error_hint(err, "%s", file->load);
		return -ENOENT;
	case EACCES:
	case EPERM:
		quoll_error_set(err, errnum, "open", path, "no permission");
		quoll_error_hint(err, "%ssudo chmod 0666 %s (harmless: %s)", file->rather, path, file->why);
		return -errnum;
	default:
		return quoll_error_set(err, errnum, "open", path, "%s", strerrordesc_np(errnum));
	}
}

static void control_path(const struct control_file *file, const struct quoll_env *env, char path[PATH_BYTES])
{
	snprintf(path, PATH_BYTES, "%s/%s", quoll_env_dev(env), file->leaf);
}

int control_probe(const struct control_file *file, const struct quoll_env *env, struct quoll_error *err)
{
	static const struct quoll_env ordinary;
	char path[PATH_BYTES];
	int rc;

	if (!env)
		env = &ordinary;
	rc = check_groups_exist(env, file->backend, err);
	if (rc)
		return rc;
	control_path(file, env, path);
	return access(path, R_OK | W_OK) ? control_refused(file, path, errno, err) : 0;
}

int control_open(const struct control_file *file, const struct quoll_env *env, struct quoll_error *err)
{
	char path[PATH_BYTES];
	int fd;

	control_path(file, env, path);
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? control_refused(file, path, errno, err) : fd;
}
