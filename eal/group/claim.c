/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * claim.c - take a whole group for this process and attach it to an IOAS, above whichever back-end.
 *
 * Owns struct quoll_group. What a group is made of comes from the back-end, which asks sysfs.c.
 */
#include <errno.h>
#include <stdlib.h>

#include "backend/backend.h"

static int claim_into(struct quoll_group *group, const struct quoll_addr *addr, struct quoll_error *err)
{
	struct quoll_ioas *ioas = group->ioas;
	int rc;

	rc = ioas->ops->claim(group, addr, err);
	if (rc)
		return rc;
	group->devices = calloc(group->nr_devices ? group->nr_devices : 1, sizeof(struct quoll_device *));
	if (!group->devices) {
		rc = quoll_error_set(err, ENOMEM, "claim", addr->target, "out of memory");
		goto err_release;
	}
	ioas->groups[ioas->nr_groups++] = group;
	if (ioas->nr_groups > 1)
		return 0;
	rc = ioas_remap(ioas, err);
	if (!rc)
		return 0;
	ioas->nr_groups--;
	free(group->devices);
err_release:
	ioas->ops->release(group);
	return rc;
}

const char *quoll_claim_backend(const struct quoll_addr *addr)
{
	return addr->scheme == QUOLL_ADDR_VFIO_USER ? backend_vfio_user.name : NULL;
}

int quoll_group_claim(struct quoll_ioas *ioas, const struct quoll_addr *addr, struct quoll_group **group,
		      struct quoll_error *err)
{
	struct quoll_group *new;
	int rc;

	if (ioas->nr_groups == IOAS_MAX_GROUPS)
		return quoll_error_set(err, ENOSPC, "claim", addr->target, "an address space takes %d groups at most",
				       IOAS_MAX_GROUPS);
	if (ioas->nr_window_streams) {
		quoll_error_set(err, EBUSY, "claim", addr->target,
				"streams map memory for group %d only in this address space", ioas->window_group->id);
		quoll_error_hint(err, "open another address space for it, or make the streams after the last claim");
		return -EBUSY;
	}
	new = calloc(1, sizeof(*new));
	if (!new)
		return quoll_error_set(err, ENOMEM, "claim", addr->target, "out of memory");
	new->ioas = ioas;
	new->id = -1;
	new->fd = -1;
	rc = claim_into(new, addr, err);
	if (rc) {
		free(new);
		return rc;
	}
	quoll_log(&ioas->env, QUOLL_LOG_INFO, "group", "claimed group %d (%u devices)", new->id, new->nr_devices);
	*group = new;
	return 0;
}

int quoll_group_release(struct quoll_group *group)
{
	struct quoll_ioas *ioas;

	if (!group)
		return 0;
	ioas = group->ioas;
	for (unsigned int i = 0; i < group->nr_devices; i++)
		if (group->devices[i])
			return -EBUSY;
	if (ioas->nr_window_streams)
		return -EBUSY;
	ioas_stream_window_forget(ioas, group);
	for (unsigned int i = 0; i < ioas->nr_groups; i++)
		if (ioas->groups[i] == group)
			ioas->groups[i] = ioas->groups[--ioas->nr_groups];
	quoll_log(&ioas->env, QUOLL_LOG_INFO, "group", "released group %d", group->id);
	ioas->ops->release(group);
	free(group->devices);
	free(group);
	return 0;
}

int quoll_group_id(const struct quoll_group *group)
{
	return group->id;
}

unsigned int quoll_group_nr_devices(const struct quoll_group *group)
{
	return group->nr_devices;
}

const char *quoll_group_device_name(const struct quoll_group *group, unsigned int i)
{
	return i < group->nr_devices ? group->names[i] : NULL;
}
