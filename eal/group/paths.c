/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * paths.c - files below the environment's roots: names, short texts, links, folders. Changes nothing.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

int path_make(char path[PATH_BYTES], const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(path, PATH_BYTES, fmt, ap);
	va_end(ap);
	return n < 0 || n >= PATH_BYTES ? -ENAMETOOLONG : 0;
}

bool path_exists(const char *path)
{
	return access(path, F_OK) == 0;
}

bool path_under(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	return !strncmp(path, dir, len) && path[len] == '/';
}

const char *path_last(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

int file_bytes(const char *path, void *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	size_t got = 0;
	ssize_t n = 1;

	if (fd < 0)
		return -errno;
	while (got < size && n > 0) {
		n = read(fd, (char *)buf + got, size - got);
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n > 0)
			got += (size_t)n;
	}
	/* config space ends in an error for readers without privilege on some kernels: what came before counts */
	n = n < 0 && !got ? -errno : (ssize_t)got;
	close(fd);
	return (int)n;
}

int file_text(const char *path, char *text, size_t size)
{
	int n = file_bytes(path, text, size - 1);

	text[n > 0 ? n : 0] = '\0';
	if (n < 0)
		return n;
	for (int i = 0; i < n; i++)
		if (!text[i])
			text[i] = ' ';
	while (n > 0 && text[n - 1] == '\n')
		text[--n] = '\0';
	return n;
}

int link_name(const char *path, char *name, size_t size)
{
	char target[PATH_MAX];
	ssize_t n = readlink(path, target, sizeof(target) - 1);
	const char *last;

	name[0] = '\0';
	if (n < 0)
		return -errno;
	target[n] = '\0';
	last = path_last(target);
	if (strlen(last) >= size)
		return -ENAMETOOLONG;
	memcpy(name, last, strlen(last) + 1);
	return 0;
}

int device_path(const struct quoll_env *env, const char *name, const char *file, char path[PATH_BYTES])
{
	return path_make(path, "%s/bus/pci/devices/%s%s%s", quoll_env_sysfs(env), name, file[0] ? "/" : "", file);
}

int device_cdev(const struct quoll_env *env, const char *name, char cdev[CDEV_BYTES])
{
	char path[PATH_BYTES];
	struct name_list list;
	int rc;

	rc = device_path(env, name, "vfio-dev", path);
	if (!rc)
		rc = name_list_read(path, &list);
	if (rc)
		return rc;
	if (!list.nr)
		rc = -ENOENT;
	else if (strlen(list.names[0]) >= CDEV_BYTES)
		rc = -ENAMETOOLONG;
	else
		strcpy(cdev, list.names[0]);
	name_list_free(&list);
	return rc;
}

void printable(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

void *array_grow(void *array, unsigned int nr, size_t element_bytes)
{
	if (nr < 8)
		return nr ? array : realloc(array, 8 * element_bytes);
	if (nr & (nr - 1))
		return array;
	return reallocarray(array, (size_t)nr * 2, element_bytes);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int name_list_read(const char *dir, struct name_list *list)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	char **grown;

	*list = (struct name_list){0};
	if (!d)
		return -errno;
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		grown = array_grow(list->names, list->nr, sizeof(*grown));
		if (grown)
			list->names = grown;
		if (!grown || !(list->names[list->nr] = strdup(e->d_name))) {
			closedir(d);
			name_list_free(list);
			return -ENOMEM;
		}
		list->nr++;
	}
	closedir(d);
	if (list->nr)
		qsort(list->names, list->nr, sizeof(*list->names), compare_names);
	return 0;
}

void name_list_free(struct name_list *list)
{
	for (unsigned int i = 0; i < list->nr; i++)
		free(list->names[i]);
	free(list->names);
	*list = (struct name_list){0};
}
