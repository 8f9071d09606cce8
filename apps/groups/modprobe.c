/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * modprobe.c - running modprobe(8).
 */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "modprobe.h"

extern char **environ;

static int spawn_modprobe(char *driver)
{
	char *argv[] = {"modprobe", "--", driver, NULL};
	const char *const paths[] = {"/sbin/modprobe", "/usr/sbin/modprobe", "/bin/modprobe"};
	int status, ret = ENOENT;
	pid_t pid;

	for (unsigned int i = 0; i < 3 && ret == ENOENT; i++)
		ret = posix_spawn(&pid, paths[i], NULL, NULL, argv, environ);
	if (ret)
		return -ret;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : -EIO;
}

int modprobe_driver(const struct quoll_env *env, const char *driver, struct quoll_error *err)
{
	const char *root = quoll_env_sysfs(env);
	char path[512], name[64];
	int ret;

	/* the driver's name goes into a path and a command line */
	if (!driver[0] || strlen(driver) >= sizeof(name) ||
	    strspn(driver, "abcdefghijklmnopqrstuvwxyz"
			   "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			   "0123456789_-") != strlen(driver)) {
		quoll_error_set(err, EINVAL, "module", driver, "not the name of a driver");
		return -EINVAL;
	}
	snprintf(path, sizeof(path), "%s/bus/pci/drivers/%s", root, driver);
	if (!access(path, F_OK) || env->sysfs_root)
		return 0;
	strcpy(name, driver);
	ret = spawn_modprobe(name);
	if (!ret && !access(path, F_OK))
		return 0;
	ret = quoll_error_set(err, ret ? -ret : ENOENT, "module", driver,
			      "the driver is not loaded and modprobe failed");
	quoll_error_hint(err, "modprobe %s as root and read its message; a kernel without the module cannot be used",
			 driver);
	return ret;
}
