/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * uses_block.c - which block devices are on a device, what is stacked on them, and who uses it all: file systems, swap,
 * device mapper, MD, bcache, processes. Sees the mounts of its own namespace; the exclusive open sees the rest.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

/* A node of a disk, a partition, or (is_char) an NVMe controller or namespace that takes commands. */
struct node {
	char name[QUOLL_NAME_BYTES];
	char *real_path;
	char dev[24]; /* "259:1" */
	bool is_char;
};

struct mount {
	char dev[24];
	char node[QUOLL_NAME_BYTES]; /* source below /dev, "" if it is not there */
	char *point;
};

struct opener {
	char node[QUOLL_NAME_BYTES];
	char comm[32];
	unsigned int pid;
};

struct block_map {
	const struct quoll_env *env;
	unsigned int nr, nr_mounts, nr_swaps, nr_openers;
	struct node *nodes;
	struct mount *mounts;
	char (*swaps)[QUOLL_NAME_BYTES];
	struct opener *openers;
};

static struct node *find_node(const struct block_map *map, const char *name)
{
	for (unsigned int i = 0; i < map->nr; i++)
		if (!strcmp(map->nodes[i].name, name))
			return &map->nodes[i];
	return NULL;
}

/* sysfs spells a '/' of a node's name '!' */
static void node_path(char *to, size_t size, const char *name)
{
	snprintf(to, size, "%s", name);
	for (; *to; to++)
		if (*to == '!')
			*to = '/';
}

static int read_class(struct block_map *map, const char *class, bool is_char)
{
	char dir[PATH_BYTES], path[PATH_BYTES];
	struct name_list names;
	int rc = path_make(dir, "%s/class/%s", quoll_env_sysfs(map->env), class);

	if (rc || name_list_read(dir, &names))
		return rc;
	for (unsigned int i = 0; !rc && i < names.nr; i++) {
		struct node node = {.is_char = is_char}, *grown;

		if (strlen(names.names[i]) >= sizeof(node.name) || path_make(path, "%s/%s", dir, names.names[i]) ||
		    !(node.real_path = realpath(path, NULL)))
			continue;
		node_path(node.name, sizeof(node.name), names.names[i]);
		if (!path_make(path, "%s/dev", node.real_path))
			file_text(path, node.dev, sizeof(node.dev));
		grown = array_grow(map->nodes, map->nr, sizeof(*grown));
		if (!grown) {
			free(node.real_path);
			rc = -ENOMEM;
			continue;
		}
		map->nodes = grown;
		map->nodes[map->nr++] = node;
	}
	name_list_free(&names);
	return rc;
}

/* What follows /dev/ in a path, links there resolved; "" for other paths. */
static void below_dev(const struct quoll_env *env, const char *path, char name[QUOLL_NAME_BYTES])
{
	char real_dev[PATH_BYTES], here[PATH_BYTES], *resolved;
	const char *rest = NULL;

	name[0] = '\0';
	if (path_under(path, quoll_env_dev(env)))
		rest = path + strlen(quoll_env_dev(env)) + 1;
	else if (path_under(path, "/dev"))
		rest = path + 5;
	if (!rest)
		return;
	resolved = path_make(here, "%s/%s", quoll_env_dev(env), rest) ? NULL : realpath(here, NULL);
	if (resolved && realpath(quoll_env_dev(env), here) && !path_make(real_dev, "%s", here) &&
	    path_under(resolved, real_dev))
		rest = resolved + strlen(real_dev) + 1;
	if (strlen(rest) < QUOLL_NAME_BYTES)
		memcpy(name, rest, strlen(rest) + 1);
	free(resolved);
}

/* \040 and the like, as the kernel writes spaces in its tables */
static void unescape(char *s)
{
	char *to = s;

	while (*s) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' && s[3] >= '0' &&
		    s[3] <= '7') {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
}

/* id parent major:minor root point options [fields] - type source options (proc(5)) */
static int add_mount(struct block_map *map, char *line)
{
	char *field[5], *save, *dash = strstr(line, " - "), *source;
	struct mount m = {0}, *grown;

	for (int i = 0; i < 5; i++) {
		field[i] = strtok_r(i ? NULL : line, " \n", &save);
		if (!field[i])
			return 0;
	}
	if (!dash || dash < field[4] || !strtok_r(dash + 3, " \n", &save) || !(source = strtok_r(NULL, " \n", &save)))
		return 0;
	unescape(field[4]);
	unescape(source);
	snprintf(m.dev, sizeof(m.dev), "%s", field[2]);
	below_dev(map->env, source, m.node);
	m.point = strdup(field[4]);
	grown = m.point ? array_grow(map->mounts, map->nr_mounts, sizeof(*grown)) : NULL;
	if (!grown) {
		free(m.point);
		return -ENOMEM;
	}
	map->mounts = grown;
	map->mounts[map->nr_mounts++] = m;
	return 0;
}

/* path type size used priority; the first line is a heading, and names no path below /dev */
static int add_swap(struct block_map *map, char *line)
{
	char *save, *path = strtok_r(line, " \t\n", &save), name[QUOLL_NAME_BYTES];
	void *grown;

	if (!path)
		return 0;
	unescape(path);
	below_dev(map->env, path, name);
	if (!name[0])
		return 0;
	grown = array_grow(map->swaps, map->nr_swaps, sizeof(*map->swaps));
	if (!grown)
		return -ENOMEM;
	map->swaps = grown;
	memcpy(map->swaps[map->nr_swaps++], name, sizeof(name));
	return 0;
}

static int read_table(struct block_map *map, const char *file, int (*add)(struct block_map *map, char *line))
{
	char path[PATH_BYTES], *line = NULL;
	size_t size = 0;
	int rc = path_make(path, "%s/%s", quoll_env_proc(map->env), file);
	FILE *f = rc ? NULL : fopen(path, "re");

	while (f && !rc && getline(&line, &size, f) > 0)
		rc = add(map, line);
	free(line);
	if (f)
		fclose(f);
	return rc;
}

/* udev opens every new disk for a moment, to see what is on it: nobody's use */
static bool passing_by(const char *comm)
{
	return !strncmp(comm, "(udev", 5) || !strncmp(comm, "udev", 4) || !strncmp(comm, "systemd-udev", 12);
}

static int add_opener(struct block_map *map, const char *dir, const char *fd, struct opener *o)
{
	char path[PATH_BYTES], target[PATH_BYTES], comm[PATH_BYTES];
	struct opener *grown;
	ssize_t n = path_make(path, "%s/%s", dir, fd) ? -1 : readlink(path, target, sizeof(target) - 1);

	if (n <= 0)
		return 0;
	target[n] = '\0';
	below_dev(map->env, target, o->node);
	if (!o->node[0] || !find_node(map, o->node))
		return 0;
	if (!path_make(comm, "%s/%u/comm", quoll_env_proc(map->env), o->pid))
		file_text(comm, o->comm, sizeof(o->comm));
	if (passing_by(o->comm))
		return 0;
	grown = array_grow(map->openers, map->nr_openers, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	map->openers = grown;
	map->openers[map->nr_openers++] = *o;
	return 0;
}

/* Processes whose open files we may see: all for root, else one's own. */
static int read_openers(struct block_map *map)
{
	char dir[PATH_BYTES];
	struct name_list pids, fds;
	int rc = 0;

	if (!map->nr || name_list_read(quoll_env_proc(map->env), &pids))
		return 0;
	for (unsigned int i = 0; !rc && i < pids.nr; i++) {
		struct opener o = {.pid = (unsigned int)strtoul(pids.names[i], NULL, 10)};

		if (!o.pid || path_make(dir, "%s/%u/fd", quoll_env_proc(map->env), o.pid) || name_list_read(dir, &fds))
			continue;
		for (unsigned int k = 0; !rc && k < fds.nr; k++)
			rc = add_opener(map, dir, fds.names[k], &o);
		name_list_free(&fds);
	}
	name_list_free(&pids);
	return rc;
}

int block_map_read(const struct quoll_env *env, struct block_map **out)
{
	struct block_map *map = calloc(1, sizeof(*map));
	int rc = map ? 0 : -ENOMEM;

	if (rc)
		return rc;
	map->env = env;
	rc = read_class(map, "block", false);
	if (!rc)
		rc = read_class(map, "nvme", true);
	if (!rc)
		rc = read_class(map, "nvme-generic", true);
	if (!rc)
		rc = read_table(map, "self/mountinfo", add_mount);
	if (!rc)
		rc = read_table(map, "swaps", add_swap);
	if (!rc)
		rc = read_openers(map);
	if (rc)
		block_map_free(map);
	else
		*out = map;
	return rc;
}

void block_map_free(struct block_map *map)
{
	if (!map)
		return;
	for (unsigned int i = 0; i < map->nr; i++)
		free(map->nodes[i].real_path);
	for (unsigned int i = 0; i < map->nr_mounts; i++)
		free(map->mounts[i].point);
	free(map->nodes);
	free(map->mounts);
	free(map->swaps);
	free(map->openers);
	free(map);
}

static void mark_below(const struct block_map *map, const char *dir, bool *marked)
{
	for (unsigned int i = 0; i < map->nr; i++)
		if (path_under(map->nodes[i].real_path, dir))
			marked[i] = true;
}

/*
 * With NVMe multipath the disk that is mounted hangs on the subsystem, not on a controller: a controller's disks are
 * also those of the subsystem that links to it.
 */
static void mark_multipath(const struct block_map *map, bool *marked)
{
	char dir[PATH_BYTES], path[PATH_BYTES], *real_path;
	struct name_list names;

	if (path_make(dir, "%s/class/nvme-subsystem", quoll_env_sysfs(map->env)) || name_list_read(dir, &names))
		return;
	for (unsigned int i = 0; i < map->nr; i++) {
		for (unsigned int k = 0; marked[i] && map->nodes[i].is_char && k < names.nr; k++) {
			if (path_make(path, "%s/%s/%s", dir, names.names[k], map->nodes[i].name) ||
			    !path_exists(path) || path_make(path, "%s/%s", dir, names.names[k]))
				continue;
			real_path = realpath(path, NULL);
			if (real_path)
				mark_below(map, real_path, marked);
			free(real_path);
		}
	}
	name_list_free(&names);
}

/* The name that a person gave to a device mapper device: " (lab-root)" */
static void holder_title(const struct node *holder, char *title, size_t size)
{
	char path[PATH_BYTES], name[64] = "";

	title[0] = '\0';
	if (!path_make(path, "%s/dm/name", holder->real_path) && file_text(path, name, sizeof(name)) > 0)
		snprintf(title, size, " (%s)", name);
}

/* What is stacked on marked nodes is marked too, to any depth. */
static void mark_holders(const struct block_map *map, bool *marked, struct use_list *uses)
{
	bool *visited = calloc(map->nr, sizeof(*visited)), more = true;
	char path[PATH_BYTES], title[72];
	struct name_list names;

	if (!visited)
		uses->rc = -ENOMEM;
	while (visited && more) {
		more = false;
		for (unsigned int i = 0; i < map->nr; i++) {
			if (!marked[i] || visited[i])
				continue;
			visited[i] = more = true;
			if (path_make(path, "%s/holders", map->nodes[i].real_path) || name_list_read(path, &names))
				continue;
			for (unsigned int k = 0; k < names.nr; k++) {
				struct node *holder = find_node(map, names.names[k]);

				title[0] = '\0';
				if (holder) {
					marked[holder - map->nodes] = true;
					mark_below(map, holder->real_path, marked);
					holder_title(holder, title, sizeof(title));
				}
				use_add(uses, QUOLL_USE_HELD, "%s by %s%s", map->nodes[i].name, names.names[k], title);
			}
			name_list_free(&names);
		}
	}
	free(visited);
}

/* A btrfs of several disks is mounted from one of them; sysfs lists the others while it is mounted. */
static void btrfs_uses(const struct block_map *map, const bool *marked, struct use_list *uses)
{
	char dir[PATH_BYTES], path[PATH_BYTES];
	struct name_list names;

	if (path_make(dir, "%s/fs/btrfs", quoll_env_sysfs(map->env)) || name_list_read(dir, &names))
		return;
	for (unsigned int k = 0; k < names.nr; k++)
		for (unsigned int i = 0; i < map->nr; i++)
			if (marked[i] &&
			    !path_make(path, "%s/%s/devices/%s", dir, names.names[k], map->nodes[i].name) &&
			    path_exists(path))
				use_add(uses, QUOLL_USE_MOUNTED, "%s in the btrfs %s", map->nodes[i].name,
					names.names[k]);
	name_list_free(&names);
}

static void node_uses(const struct block_map *map, const struct node *node, struct use_list *uses)
{
	for (unsigned int i = 0; i < map->nr_mounts && !node->is_char; i++) {
		const struct mount *m = &map->mounts[i];

		if ((node->dev[0] && !strcmp(node->dev, m->dev)) || !strcmp(node->name, m->node))
			use_add(uses, QUOLL_USE_MOUNTED, "%s at %s", node->name, m->point);
	}
	for (unsigned int i = 0; i < map->nr_swaps; i++)
		if (!strcmp(node->name, map->swaps[i]))
			use_add(uses, QUOLL_USE_SWAP, "swap on %s", node->name);
	for (unsigned int i = 0; i < map->nr_openers; i++)
		if (!strcmp(node->name, map->openers[i].node))
			use_add(uses, QUOLL_USE_OPEN, "%s by process %u (%s)", node->name, map->openers[i].pid,
				map->openers[i].comm);
}

/* What no table shows (a mount in another namespace, ZFS) still claims the disk, which shows in an exclusive open. */
static void ask_nodes(const struct block_map *map, const bool *marked, const struct group_io *io, struct use_list *uses)
{
	char path[PATH_BYTES];
	int fd;

	for (unsigned int i = 0; i < map->nr; i++) {
		if (!marked[i] || map->nodes[i].is_char ||
		    path_make(path, "%s/%s", quoll_env_dev(map->env), map->nodes[i].name))
			continue;
		fd = io->open_node(io->arg, path, O_RDONLY | O_EXCL | O_NONBLOCK | O_CLOEXEC);
		if (fd == -EBUSY)
			use_add(uses, QUOLL_USE_OPEN,
				"%s exclusively, by something not seen from here (another namespace, ZFS)",
				map->nodes[i].name);
		if (fd >= 0)
			close(fd);
	}
}

void block_uses(const struct block_map *map, const char *real_path, const struct group_io *io, struct use_list *uses)
{
	bool *marked;

	if (!map->nr || !map->nodes)
		return;
	marked = calloc(map->nr, sizeof(*marked));
	if (!marked) {
		uses->rc = -ENOMEM;
		return;
	}
	mark_below(map, real_path, marked);
	mark_multipath(map, marked);
	mark_holders(map, marked, uses);
	btrfs_uses(map, marked, uses);
	for (unsigned int i = 0; i < map->nr; i++)
		if (marked[i])
			node_uses(map, &map->nodes[i], uses);
	if (io && !uses->nr)
		ask_nodes(map, marked, io, uses);
	free(marked);
}
