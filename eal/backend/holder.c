/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * holder.c - walks /proc for the process that has a device file open. Slow; for error messages only.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/holder.h"
#include "group/internal.h"

static bool ends_with(const char *text, const char *tail)
{
	size_t len = strlen(text), tail_len = strlen(tail);

	return len >= tail_len && !strcmp(text + len - tail_len, tail);
}

/* Return: 1 if one of the process's files is meant, 0 if none is, -errno if they cannot be seen. */
static int process_holds(int proc_fd, const char *pid, const char *tail)
{
	char path[300], target[512];
	struct dirent *entry;
	int fd, found = 0;
	ssize_t len;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/fd", pid);
	fd = openat(proc_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return -ENOMEM;
	}
	while (!found && (entry = readdir(dir))) {
		len = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);
		if (len <= 0)
			continue;
		target[len] = '\0';
		found = ends_with(target, tail);
	}
	closedir(dir);
	return found;
}

static void process_name(int proc_fd, const char *pid, char *name, size_t size)
{
	char path[300];
	ssize_t len = -1;
	int fd;

	snprintf(path, sizeof(path), "%s/comm", pid);
	fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		len = read(fd, name, size - 1);
		close(fd);
	}
	name[len > 0 ? len : 0] = '\0';
	name[strcspn(name, "\n")] = '\0';
	/* A process chooses its own name: keep it from steering the reader's terminal. */
	for (char *c = name; *c; c++)
		if (!isprint((unsigned char)*c))
			*c = '?';
}

int holder_find(const struct quoll_env *env, const char *tail, struct holder *h)
{
	const char *proc = quoll_env_proc(env);
	DIR *dir = opendir(proc);
	struct dirent *entry;
	int rc;

	memset(h, 0, sizeof(*h));
	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		rc = process_holds(dirfd(dir), entry->d_name, tail);
		if (rc == -EACCES || rc == -EPERM)
			h->hidden = true;
		if (rc <= 0)
			continue;
		h->pid = (pid_t)strtol(entry->d_name, NULL, 10);
		process_name(dirfd(dir), entry->d_name, h->comm, sizeof(h->comm));
		if (h->pid != getpid())
			break;
	}
	closedir(dir);
	return h->pid ? 0 : -ENOENT;
}

static void look_at(const struct quoll_env *env, const char *tail, struct holder *h)
{
	struct holder one;
	int rc;

	if (h->pid && h->pid != getpid())
		return;
	rc = holder_find(env, tail, &one);
	one.hidden |= h->hidden;
	if (!rc || !h->pid)
		*h = one;
	else
		h->hidden = one.hidden;
}

int holder_of_group(const struct quoll_env *env, int id, struct holder *h)
{
	char path[PATH_BYTES], tail[32], cdev[CDEV_BYTES];
	struct name_list members;

	memset(h, 0, sizeof(*h));
	snprintf(tail, sizeof(tail), "/vfio/%d", id);
	look_at(env, tail, h);
	snprintf(tail, sizeof(tail), "/quoll/%d", id);
	look_at(env, tail, h);
	if (path_make(path, "%s/kernel/iommu_groups/%d/devices", quoll_env_sysfs(env), id) ||
	    name_list_read(path, &members))
		return h->pid ? 0 : -ENOENT;
	for (unsigned int i = 0; i < members.nr; i++) {
		if (device_cdev(env, members.names[i], cdev))
			continue;
		snprintf(tail, sizeof(tail), "/vfio/devices/%s", cdev);
		look_at(env, tail, h);
	}
	name_list_free(&members);
	return h->pid ? 0 : -ENOENT;
}
