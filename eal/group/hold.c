/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * hold.c - keep groups from being claimed while their members change drivers, and tell who has claimed one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/holder.h"
#include "internal.h"

static int claimed(const struct quoll_env *env, int id, struct quoll_error *err)
{
	static const struct quoll_env ordinary;
	const char *dev = quoll_env_dev(env);
	char subject[32];
	struct holder owner;

	snprintf(subject, sizeof(subject), "group %d", id);
	if (holder_of_group(env ? env : &ordinary, id, &owner)) {
		quoll_error_set(err, EBUSY, "group", subject,
				"it is claimed by a process that cannot be seen from here");
		quoll_error_hint(err, "fuser -v %s/vfio/%d %s/quoll/%d, as root, tells which; end it first", dev, id,
				 dev, id);
		return -EBUSY;
	}
	quoll_error_set(err, EBUSY, "group", subject, "it is claimed by process %d (%s)", (int)owner.pid, owner.comm);
	quoll_error_hint(err, "end it first: kill %d", (int)owner.pid);
	return -EBUSY;
}

/*
 * quoll.ko's file is another way to the same group. Opening it to hold it would be a claim, with which no kernel driver
 * could be bound: it is only asked.
 */
static bool kmod_claimed(const struct quoll_env *env, const struct group_io *io, int id)
{
	char control[PATH_BYTES];

	return !path_make(control, "%s/quoll/control", quoll_env_dev(env)) && io->kmod_owned(io->arg, control, id) > 0;
}

int group_hold(struct holds *holds, const struct quoll_env *env, const struct group_io *io, int id,
	       struct quoll_error *err)
{
	char node[PATH_BYTES], subject[32];
	void *grown;
	int fd;

	if (path_make(node, "%s/vfio/%d", quoll_env_dev(env), id))
		return quoll_error_set(err, ENAMETOOLONG, "group", quoll_env_dev(env), "the path is too long");
	for (unsigned int i = 0; i < holds->nr; i++)
		if (holds->held[i].id == id)
			return holds->held[i].fd == -EBUSY ? claimed(env, id, err) : 0;
	grown = array_grow(holds->held, holds->nr, sizeof(*holds->held));
	if (!grown)
		return quoll_error_set(err, ENOMEM, "group", node, "out of memory");
	holds->held = grown;
	fd = kmod_claimed(env, io, id) ? -EBUSY : io->open_node(io->arg, node, O_RDWR | O_CLOEXEC);
	if (fd == -EBUSY) {
		claimed(env, id, err);
	} else if (fd < 0 && fd != -ENOENT && fd != -ENXIO && fd != -ENODEV) {
		snprintf(subject, sizeof(subject), "group %d", id);
		quoll_error_set(err, -fd, "group", subject, "%s cannot be opened: %s", node, strerror(-fd));
		return fd;
	}
	holds->held[holds->nr].id = id;
	holds->held[holds->nr++].fd = fd;
	return fd == -EBUSY ? -EBUSY : 0;
}

void holds_release(struct holds *holds)
{
	for (unsigned int i = 0; i < holds->nr; i++)
		if (holds->held[i].fd >= 0)
			close(holds->held[i].fd);
	free(holds->held);
	*holds = (struct holds){0};
}
