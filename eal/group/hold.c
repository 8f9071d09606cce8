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

#include "internal.h"

static bool has_open(const struct quoll_env *env, unsigned int pid, const char *node)
{
	char dir[PATH_BYTES], path[PATH_BYTES], target[PATH_BYTES];
	struct name_list fds;
	bool found = false;
	ssize_t n;

	if (path_make(dir, "%s/%u/fd", root_proc(env), pid) || name_list_read(dir, &fds))
		return false;
	for (unsigned int i = 0; i < fds.nr && !found; i++) {
		n = path_make(path, "%s/%s", dir, fds.names[i]) ? -1 : readlink(path, target, sizeof(target) - 1);
		target[n > 0 ? n : 0] = '\0';
		found = !strcmp(target, node);
	}
	name_list_free(&fds);
	return found;
}

static unsigned int find_owner(const struct quoll_env *env, const char *node, char comm[32])
{
	char path[PATH_BYTES];
	struct name_list pids;
	unsigned int pid = 0;

	if (name_list_read(root_proc(env), &pids))
		return 0;
	for (unsigned int i = 0; i < pids.nr && !pid; i++) {
		unsigned int candidate = (unsigned int)strtoul(pids.names[i], NULL, 10);

		if (candidate && has_open(env, candidate, node))
			pid = candidate;
	}
	name_list_free(&pids);
	comm[0] = '\0';
	if (pid && !path_make(path, "%s/%u/comm", root_proc(env), pid))
		file_text(path, comm, 32);
	printable(comm);
	return pid;
}

static int claimed(const struct quoll_env *env, int id, const char *node, struct quoll_error *err)
{
	char subject[32], comm[32];
	unsigned int pid = find_owner(env, node, comm);

	snprintf(subject, sizeof(subject), "group %d", id);
	if (!pid) {
		quoll_error_set(err, EBUSY, "group", subject,
				"it is claimed by a process that cannot be seen from here");
		quoll_error_hint(err, "fuser -v %s, as root, tells which; end it first", node);
		return -EBUSY;
	}
	quoll_error_set(err, EBUSY, "group", subject, "it is claimed by process %u (%s)", pid, comm);
	quoll_error_hint(err, "end it first: kill %u", pid);
	return -EBUSY;
}

int group_hold(struct holds *holds, const struct quoll_env *env, const struct group_io *io, int id,
	       struct quoll_error *err)
{
	char node[PATH_BYTES], subject[32];
	void *grown;
	int fd;

	if (path_make(node, "%s/vfio/%d", root_dev(env), id))
		return quoll_error_set(err, ENAMETOOLONG, "group", root_dev(env), "the path is too long");
	for (unsigned int i = 0; i < holds->nr; i++)
		if (holds->held[i].id == id)
			return holds->held[i].fd == -EBUSY ? claimed(env, id, node, err) : 0;
	grown = array_grow(holds->held, holds->nr, sizeof(*holds->held));
	if (!grown)
		return quoll_error_set(err, ENOMEM, "group", node, "out of memory");
	holds->held = grown;
	fd = io->open_node(io->arg, node, O_RDWR | O_CLOEXEC);
	if (fd == -EBUSY) {
		claimed(env, id, node, err);
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
