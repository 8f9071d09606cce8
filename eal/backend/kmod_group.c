/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kmod_group.c - claim of a group through /dev/quoll/N, and the files of its devices; and back.
 *
 * The open is the claim: one process at a time, every member with a harmless driver, and never at once with VFIO's way
 * to the same group. Every refusal lists the members or names the process that is in the way.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <quoll_uapi.h>

#include "backend/kmod.h"
#include "backend/memlock.h"
#include "backend/refuse.h"
#include "backend/vfio.h"
#include "group/internal.h"

static bool has_our_driver(const struct quoll_group_desc *desc)
{
	for (unsigned int i = 0; i < desc->nr_members; i++)
		if (!strcmp(desc->members[i].driver, KMOD_DRIVER))
			return true;
	return false;
}

static void bind_hint(const char *name, struct quoll_error *err)
{
	quoll_error_hint(err, "sudo quoll bind %s --driver " KMOD_DRIVER, name);
}

static int refuse_members(const struct quoll_group_desc *desc, const struct quoll_addr *addr, struct quoll_error *err)
{
	int rc;

	if (desc->viable)
		return refuse_no_driver(desc, addr, KMOD_DRIVER, err);
	rc = refuse_not_viable(desc, addr, err);
	bind_hint(addr->target, err);
	return rc;
}

/* EPERM is the module's, for a group whose interrupts are not isolated, unless the file itself is kept from us. */
static int refuse_open(const struct quoll_group *group, const struct quoll_group_desc *desc, const char *path,
		       const struct quoll_addr *addr, struct quoll_error *err)
{
	int errnum = errno;

	switch (errnum) {
	case EBUSY:
		return refuse_busy(&group->ioas->env, desc->id, addr, err);
	case EPERM:
		if (!access(path, R_OK | W_OK))
			return refuse_unsafe_interrupts(addr, err);
		return refuse_permission(path, addr, errnum, err);
	case EACCES:
		return refuse_permission(path, addr, errnum, err);
	case ENOENT:
		quoll_error_set(err, ENOENT, "claim", addr->target, "%s is missing, though group %d is with quoll.ko",
				path, desc->id);
		quoll_error_hint(err, "in a container, start it with --device %s/quoll/control --device %s",
				 quoll_env_dev(&group->ioas->env), path);
		return -ENOENT;
	default:
		return quoll_error_set(err, errnum, "claim", addr->target, "cannot open %s: %s", path,
				       strerrordesc_np(errnum));
	}
}

static int group_open(struct quoll_group *group, const struct quoll_group_desc *desc, const struct quoll_addr *addr,
		      struct quoll_error *err)
{
	struct quoll_group_info info = {.argsz = sizeof(info)};
	char path[PATH_BYTES];
	int rc;

	rc = path_make(path, "%s/quoll/%d", quoll_env_dev(&group->ioas->env), desc->id);
	if (rc)
		return quoll_error_set(err, -rc, "claim", addr->target, "its file's name is too long");
	/* The kernel takes locks for it that a signal keeps it from, whatever the signal's handler does. */
	do {
		group->fd = open(path, O_RDWR | O_CLOEXEC);
	} while (group->fd < 0 && errno == EINTR);
	if (group->fd < 0)
		return refuse_open(group, desc, path, addr, err);
	rc = ioctl(group->fd, QUOLL_GROUP_GET_INFO, &info) ? -errno : 0;
	if (!rc && info.flags & QUOLL_GROUP_CLAIMED)
		return 0;
	/* Closed first: this process is not to be found as its holder. With all_groups=1 it opens also when it is not
	 * ours. */
	close(group->fd);
	group->fd = -1;
	if (rc)
		return quoll_error_set(err, -rc, "claim", addr->target, "quoll.ko does not tell group %d's status",
				       desc->id);
	return refuse_busy(&group->ioas->env, desc->id, addr, err);
}

/* With what is mapped for the groups that are there already; those of the first are made by ioas.c. */
static int maps_take_over(struct quoll_group *group, const struct quoll_addr *addr, struct quoll_error *err)
{
	const struct ioas_maps *maps = &group->ioas->maps;
	uint64_t left_bytes = 0;
	struct memlock ml;
	unsigned int i;
	int rc = 0;

	for (i = 0; group->ioas->nr_groups && i < maps->nr && !rc; i++)
		rc = kmod_group_map(group, &maps->at[i]);
	if (!rc)
		return 0;
	for (i--; i < maps->nr; i++)
		left_bytes += maps->at[i].len_bytes;
	if (rc == -ENOMEM && !memlock_read(&group->ioas->env, &ml) && memlock_left(&ml) < left_bytes)
		return memlock_refuse(&ml, "kmod", left_bytes, err);
	if (rc == -ERANGE)
		return quoll_error_set(err, EINVAL, "claim", addr->target,
				       "it cannot share this address space: its IOMMU differs, or reserves addresses "
				       "that are mapped already; open another for it");
	return quoll_error_set(err, -rc, "claim", addr->target,
			       "what is mapped in this address space cannot be mapped for it: %s",
			       strerrordesc_np(-rc));
}

static int claim_described(struct quoll_group *group, const struct quoll_group_desc *desc,
			   const struct quoll_addr *addr, struct quoll_error *err)
{
	int rc;

	if (!desc->viable || !has_our_driver(desc))
		return refuse_members(desc, addr, err);
	rc = group_open(group, desc, addr, err);
	if (rc)
		return rc;
	rc = maps_take_over(group, addr, err);
	if (!rc)
		rc = claim_fill_names(group, desc, addr, err);
	if (rc) {
		close(group->fd);
		group->fd = -1;
		return rc;
	}
	group->id = desc->id;
	return 0;
}

int kmod_claim(struct quoll_group *group, const struct quoll_addr *addr, struct quoll_error *err)
{
	return claim_by_address(group, addr, claim_described, err);
}

void kmod_release(struct quoll_group *group)
{
	close(group->fd);
	group->fd = -1;
	claim_forget_names(group);
}

int kmod_device_open(struct quoll_device *dev, struct quoll_error *err)
{
	struct quoll_device_open open = {.argsz = sizeof(open)};
	int rc;

	memcpy(open.name, dev->name, strnlen(dev->name, sizeof(open.name) - 1));
	dev->fd = ioctl(dev->group->fd, QUOLL_GROUP_OPEN_DEVICE, &open);
	if (dev->fd < 0 && (errno == ENOENT || errno == ENODEV)) {
		quoll_error_set(err, ENODEV, "open", dev->name, "not with the driver " KMOD_DRIVER ", or gone");
		bind_hint(dev->name, err);
		return -ENODEV;
	}
	if (dev->fd < 0)
		return quoll_error_set(err, errno, "open", dev->name, "quoll.ko refuses it: %s",
				       strerrordesc_np(errno));
	rc = vfio_device_describe(dev, err);
	if (rc)
		vfio_device_close(dev);
	return rc;
}
