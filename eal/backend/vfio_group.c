/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio_group.c - claim of a group through /dev/vfio/N: open, viable, into the container; and back.
 *
 * The kernel lets one process open a group at a time, which is what makes a claim exclusive. Every refusal lists the
 * members or names the process that is in the way.
 */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/vfio.h>

#include "backend/holder.h"
#include "backend/vfio.h"

#define LISTED_MEMBERS 14 /* as many as fit struct quoll_error's sentence */

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

static int refuse_not_viable(const struct quoll_group_desc *desc, const struct quoll_addr *addr,
			     struct quoll_error *err)
{
	quoll_error_set(err, EBUSY, "claim", addr->target,
			"group %d is not viable: all its endpoints must be with a VFIO driver or with none", desc->id);
	list_members(desc, err);
	quoll_error_hint(err, "sudo quoll bind %s", addr->target);
	return -EBUSY;
}

/* There is no /dev/vfio/N: it comes with the first member that a VFIO driver takes. */
static int refuse_no_file(const struct quoll_group_desc *desc, const struct quoll_addr *addr, const char *path,
			  struct quoll_error *err)
{
	bool blocked = false, bound = false;

	for (unsigned int i = 0; i < desc->nr_members; i++) {
		const struct quoll_member *m = &desc->members[i];

		blocked |= m->blocks;
		bound |= strstr(m->driver, "vfio") != NULL;
	}
	if (blocked)
		return refuse_not_viable(desc, addr, err);
	if (bound) {
		quoll_error_set(err, ENOENT, "claim", addr->target,
				"%s is missing, though group %d is with VFIO drivers", path, desc->id);
		quoll_error_hint(err, "in a container, start it with --device /dev/vfio/vfio --device /dev/vfio/%d",
				 desc->id);
		return -ENOENT;
	}
	quoll_error_set(err, ENODEV, "claim", addr->target, "no device of group %d is with a VFIO driver", desc->id);
	list_members(desc, err);
	quoll_error_hint(err, "sudo quoll bind %s", addr->target);
	return -ENODEV;
}

static int refuse_busy(const struct quoll_env *env, int id, const struct quoll_addr *addr, struct quoll_error *err)
{
	struct holder h;
	char tail[32];

	snprintf(tail, sizeof(tail), "/vfio/%d", id);
	if (!holder_find(env, tail, &h)) {
		quoll_error_set(err, EBUSY, "claim", addr->target, "group %d is claimed by %s %d (%s)", id,
				h.pid == getpid() ? "this process itself," : "process", (int)h.pid, h.comm);
		quoll_error_hint(err, h.pid == getpid() ? "release it first" : "end that process, or wait for it");
		return -EBUSY;
	}
	quoll_error_set(err, EBUSY, "claim", addr->target, "group %d is claimed by another process", id);
	if (h.hidden)
		quoll_error_hint(err, "run as root to see which, or: sudo lsof /dev/vfio/%d", id);
	return -EBUSY;
}

static int refuse_permission(const char *path, const struct quoll_addr *addr, int errnum, struct quoll_error *err)
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

static int group_open(struct quoll_group *group, const struct quoll_group_desc *desc, const struct quoll_addr *addr,
		      struct quoll_error *err)
{
	const struct quoll_env *env = &group->ioas->env;
	char leaf[16], path[512];

	snprintf(leaf, sizeof(leaf), "%d", desc->id);
	vfio_path(env, leaf, path, sizeof(path));
	group->fd = open(path, O_RDWR | O_CLOEXEC);
	if (group->fd >= 0)
		return 0;
	switch (errno) {
	case EBUSY:
		return refuse_busy(env, desc->id, addr, err);
	case EACCES:
	case EPERM:
		return refuse_permission(path, addr, errno, err);
	case ENOENT:
		return refuse_no_file(desc, addr, path, err);
	default:
		return quoll_error_set(err, errno, "claim", addr->target, "cannot open %s: %s", path,
				       strerrordesc_np(errno));
	}
}

static int group_attach(struct quoll_group *group, const struct quoll_group_desc *desc, const struct quoll_addr *addr,
			struct quoll_error *err)
{
	struct quoll_ioas *ioas = group->ioas;
	int rc;

	if (ioctl(group->fd, VFIO_GROUP_SET_CONTAINER, &ioas->fd)) {
		rc = errno;
		/* Since 5.18 a foreign driver may show only here, when DMA ownership is taken. */
		if (rc == EPERM || rc == EBUSY)
			return refuse_not_viable(desc, addr, err);
		if (rc == EINVAL && ioas->nr_groups)
			return quoll_error_set(
				err, EINVAL, "claim", addr->target,
				"group %d cannot share this address space: its IOMMU differs, or reserves "
				"addresses that are mapped already; open another for it",
				desc->id);
		return quoll_error_set(err, rc, "claim", addr->target, "group %d cannot be attached: %s", desc->id,
				       strerrordesc_np(rc));
	}
	if (ioas->nr_groups)
		return 0; /* the container has its IOMMU */
	if (!ioctl(ioas->fd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		return 0;
	rc = errno;
	ioctl(group->fd, VFIO_GROUP_UNSET_CONTAINER);
	if (rc == EPERM) {
		quoll_error_set(err, EPERM, "claim", addr->target,
				"the IOMMU does not remap interrupts, so devices could forge them");
		quoll_error_hint(err, "switch interrupt remapping on: in the firmware (VT-d/AMD-Vi, x2APIC), and no "
				      "intremap=off on the kernel's command line");
		return -EPERM;
	}
	return quoll_error_set(err, rc, "claim", addr->target, "the IOMMU cannot be set up for group %d: %s", desc->id,
			       strerrordesc_np(rc));
}

static int fill_names(struct quoll_group *group, const struct quoll_group_desc *desc)
{
	group->names = calloc(desc->nr_members, sizeof(*group->names));
	if (!group->names)
		return -ENOMEM;
	for (unsigned int i = 0; i < desc->nr_members; i++)
		if (!desc->members[i].is_bridge)
			memcpy(group->names[group->nr_devices++], desc->members[i].name, QUOLL_NAME_BYTES);
	return 0;
}

static int claim_described(struct quoll_group *group, const struct quoll_group_desc *desc,
			   const struct quoll_addr *addr, struct quoll_error *err)
{
	struct vfio_group_status status = {.argsz = sizeof(status)};
	int rc;

	for (unsigned int i = 0; i < group->ioas->nr_groups; i++)
		if (group->ioas->groups[i]->id == desc->id)
			return quoll_error_set(err, EBUSY, "claim", addr->target,
					       "group %d is in this address space already: one claim covers all its "
					       "devices",
					       desc->id);
	rc = group_open(group, desc, addr, err);
	if (rc)
		return rc;
	if (ioctl(group->fd, VFIO_GROUP_GET_STATUS, &status))
		rc = quoll_error_set(err, errno, "claim", addr->target, "the kernel does not tell group %d's status",
				     desc->id);
	else if (!(status.flags & VFIO_GROUP_FLAGS_VIABLE))
		rc = refuse_not_viable(desc, addr, err);
	else
		rc = group_attach(group, desc, addr, err);
	if (rc)
		goto err_close;
	rc = fill_names(group, desc);
	if (rc) {
		quoll_error_set(err, -rc, "claim", addr->target, "out of memory");
		goto err_detach;
	}
	group->id = desc->id;
	return 0;

err_detach:
	ioctl(group->fd, VFIO_GROUP_UNSET_CONTAINER);
err_close:
	close(group->fd);
	group->fd = -1;
	return rc;
}

int vfio_group_claim(struct quoll_group *group, const struct quoll_addr *addr, struct quoll_error *err)
{
	struct quoll_group_list list;
	int rc;

	if (addr->scheme != QUOLL_ADDR_PCI)
		return quoll_error_set(err, EINVAL, "claim", addr->target,
				       "%s: is not an address of a device in a group",
				       quoll_addr_scheme_name(addr->scheme));
	rc = quoll_group_read(&group->ioas->env, addr, &list, err);
	if (rc)
		return rc;
	if (list.nr_groups == 1)
		rc = claim_described(group, &list.groups[0], addr, err);
	else
		rc = quoll_error_set(err, ENODEV, "claim", addr->target, "the device is in no IOMMU group");
	quoll_groups_free(&list);
	return rc;
}

void vfio_group_release(struct quoll_group *group)
{
	/* Before the close, so that the IOAS is free of the group even if the file was passed on to another process. */
	if (ioctl(group->fd, VFIO_GROUP_UNSET_CONTAINER))
		quoll_log(&group->ioas->env, QUOLL_LOG_WARN, "vfio", "group %d does not leave its container: %s",
			  group->id, strerrordesc_np(errno));
	close(group->fd);
	group->fd = -1;
	free(group->names);
	group->names = NULL;
	group->nr_devices = 0;
}
