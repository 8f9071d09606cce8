/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio_group.c - claim of a group through /dev/vfio/N: open, viable, into the container; and back.
 *
 * The kernel lets one process open a group at a time, which is what makes a claim exclusive. Every refusal lists the
 * members or names the process that is in the way.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/vfio.h>

#include "backend/holder.h"
#include "backend/refuse.h"
#include "backend/vfio.h"

/* There is no /dev/vfio/N: it comes with the first member that a VFIO driver takes. */
static int refuse_no_file(const struct quoll_group_desc *desc, const struct quoll_addr *addr, const char *path,
			  struct quoll_error *err)
{
	bool blocked = false, bound = false;

	for (unsigned int i = 0; i < desc->nr_members; i++) {
		blocked |= desc->members[i].blocks;
		bound |= strstr(desc->members[i].driver, "vfio") != NULL;
	}
	if (blocked || !bound)
		return refuse_unbound(desc, addr, err);
	quoll_error_set(err, ENOENT, "claim", addr->target, "%s is missing, though group %d is with VFIO drivers", path,
			desc->id);
	quoll_error_hint(err, "in a container, start it with --device /dev/vfio/vfio --device /dev/vfio/%d", desc->id);
	return -ENOENT;
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

/*
 * Somebody else owns the group's DMA. A member's driver does not tell who, where the group is another back-end's: its
 * holder does.
 */
static int refuse_owned(const struct quoll_group *group, const struct quoll_group_desc *desc,
			const struct quoll_addr *addr, struct quoll_error *err)
{
	const struct quoll_env *env = &group->ioas->env;
	struct holder h;

	if (desc->viable && !holder_of_group(env, desc->id, &h) && h.pid != getpid())
		return refuse_busy(env, desc->id, addr, err);
	return refuse_not_viable(desc, addr, err);
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
			return refuse_owned(group, desc, addr, err);
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
	if (rc == EPERM)
		return refuse_unsafe_interrupts(addr, err);
	return quoll_error_set(err, rc, "claim", addr->target, "the IOMMU cannot be set up for group %d: %s", desc->id,
			       strerrordesc_np(rc));
}

static int claim_described(struct quoll_group *group, const struct quoll_group_desc *desc,
			   const struct quoll_addr *addr, struct quoll_error *err)
{
	struct vfio_group_status status = {.argsz = sizeof(status)};
	int rc;

	rc = group_open(group, desc, addr, err);
	if (rc)
		return rc;
	if (ioctl(group->fd, VFIO_GROUP_GET_STATUS, &status))
		rc = quoll_error_set(err, errno, "claim", addr->target, "the kernel does not tell group %d's status",
				     desc->id);
	else if (!(status.flags & VFIO_GROUP_FLAGS_VIABLE))
		rc = refuse_owned(group, desc, addr, err);
	else
		rc = group_attach(group, desc, addr, err);
	if (rc)
		goto err_close;
	rc = claim_fill_names(group, desc, addr, err);
	if (rc)
		goto err_detach;
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
	return claim_by_address(group, addr, claim_described, err);
}

void vfio_group_release(struct quoll_group *group)
{
	/*
	 * Before the close, so that the IOAS is free of the group even if the file was passed on to another process.
	 * EINVAL: the group is in none, as the kernel took it out when its last device went.
	 */
	if (ioctl(group->fd, VFIO_GROUP_UNSET_CONTAINER) && errno != EINVAL)
		quoll_log(&group->ioas->env, QUOLL_LOG_WARN, "vfio", "group %d does not leave its container: %s",
			  group->id, strerrordesc_np(errno));
	close(group->fd);
	group->fd = -1;
	claim_forget_names(group);
}
