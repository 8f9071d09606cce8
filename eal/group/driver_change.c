/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * driver_change.c - move one PCI device from driver to driver through sysfs, and see that it got there.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

#define WAIT_TRIES 250 /* of WAIT_MS each: 5 s; the kernel probes before the write returns, but for async probing */
#define WAIT_MS 20

int driver_of(const struct quoll_env *env, const char *name, char driver[32])
{
	char path[PATH_BYTES];
	int rc = device_path(env, name, "", path);

	driver[0] = '\0';
	if (!rc && !path_exists(path))
		return -ENODEV;
	if (!rc)
		rc = device_path(env, name, "driver", path);
	if (!rc)
		rc = link_name(path, driver, 32);
	return rc == -ENOENT ? 0 : rc;
}

int override_of(const struct quoll_env *env, const char *name, char override[32])
{
	char path[PATH_BYTES], text[64];
	int rc = device_path(env, name, "driver_override", path);

	override[0] = '\0';
	if (!rc)
		rc = file_text(path, text, sizeof(text));
	if (rc <= 0 || !strcmp(text, "(null)"))
		return rc < 0 ? rc : 0;
	if (!driver_name_valid(text))
		return -EINVAL;
	memcpy(override, text, strlen(text) + 1);
	return 0;
}

static int wait_for_driver(const struct quoll_env *env, const struct group_io *io, const char *name, const char *want)
{
	char now[32];
	int rc;

	for (int i = 0; i < WAIT_TRIES; i++) {
		rc = driver_of(env, name, now);
		if (rc || !strcmp(now, want))
			return rc;
		io->pause(io->arg, WAIT_MS);
	}
	return -ETIMEDOUT;
}

static int write_override(const struct quoll_env *env, const struct group_io *io, const char *name, const char *driver)
{
	char path[PATH_BYTES];
	int rc = device_path(env, name, "driver_override", path);

	return rc ? rc : io->write(io->arg, path, driver[0] ? driver : "\n");
}

/* op: "bind" or "unbind" */
static int write_driver(const struct quoll_env *env, const struct group_io *io, const char *driver, const char *op,
			const char *name)
{
	char path[PATH_BYTES];
	int rc = path_make(path, "%s/bus/pci/drivers/%s/%s", quoll_env_sysfs(env), driver, op);

	return rc ? rc : io->write(io->arg, path, name);
}

static int write_probe(const struct quoll_env *env, const struct group_io *io, const char *name)
{
	char path[PATH_BYTES];
	int rc = path_make(path, "%s/bus/pci/drivers_probe", quoll_env_sysfs(env));

	return rc ? rc : io->write(io->arg, path, name);
}

static int failed(int rc, const char *stage, const char *name, const char *what, struct quoll_error *err)
{
	quoll_error_set(err, -rc, stage, name, "%s: %s", what, strerror(-rc));
	if (rc == -EACCES || rc == -EPERM)
		quoll_error_hint(err, "changing drivers is for root: run it as root or with sudo");
	return rc;
}

static int unbind(const struct quoll_env *env, const struct group_io *io, const char *name, const char *driver)
{
	int rc = write_driver(env, io, driver, "unbind", name);

	return rc ? rc : wait_for_driver(env, io, name, "");
}

/*
 * drivers_probe does not tell why a driver did not take a device; the driver's own bind file does, so it is asked after
 * a probe that brought nothing.
 */
static int probe(const struct quoll_env *env, const struct group_io *io, const char *name, const char *to)
{
	char now[32];
	int rc = write_probe(env, io, name);

	if (!rc)
		rc = driver_of(env, name, now);
	if (!rc && !now[0])
		rc = write_driver(env, io, to, "bind", name);
	return rc ? rc : wait_for_driver(env, io, name, to);
}

int driver_take(const struct quoll_env *env, const struct group_io *io, const char *name, const char *to,
		struct quoll_error *err)
{
	char from[32], what[96];
	int rc = driver_of(env, name, from);

	if (rc)
		return failed(rc, "bind", name, "its driver cannot be told", err);
	rc = to[0] ? write_override(env, io, name, to) : 0;
	if (rc)
		return failed(rc, "bind", name, "its driver_override cannot be written", err);
	rc = from[0] ? unbind(env, io, name, from) : 0;
	if (rc) {
		snprintf(what, sizeof(what), "it cannot be taken from its driver %s", from);
		return failed(rc, "bind", name, what, err);
	}
	rc = to[0] ? probe(env, io, name, to) : 0;
	if (rc) {
		snprintf(what, sizeof(what), "the driver %s does not take it", to);
		return failed(rc, "bind", name, what, err);
	}
	return 0;
}

/*
 * Bind to the driver that had it. By name; where that does not work, by a probe that can find only that driver. The
 * override is as recorded afterwards.
 */
static int give_back(const struct quoll_env *env, const struct group_io *io, const struct record *r)
{
	int rc = write_driver(env, io, r->driver, "bind", r->name), undo;

	if (!rc)
		rc = wait_for_driver(env, io, r->name, r->driver);
	if (!rc)
		return 0;
	rc = write_override(env, io, r->name, r->driver);
	if (rc)
		return rc;
	rc = probe(env, io, r->name, r->driver);
	undo = write_override(env, io, r->name, r->override);
	return rc ? rc : undo;
}

static void module_hint(const struct quoll_env *env, const char *driver, struct quoll_error *err)
{
	char path[PATH_BYTES];

	if (!path_make(path, "%s/bus/pci/drivers/%s", quoll_env_sysfs(env), driver) && !path_exists(path))
		quoll_error_hint(err, "the module of %s is not loaded: modprobe %s", driver, driver);
}

int driver_put_back(const struct quoll_env *env, const struct group_io *io, const struct record *r,
		    struct quoll_error *err)
{
	char now[32], override[32], what[96];
	int rc = driver_of(env, r->name, now), first = 0;

	if (rc)
		return failed(rc, "restore", r->name, "its driver cannot be told", err);
	if (strcmp(now, r->driver) != 0 && now[0]) {
		rc = unbind(env, io, r->name, now);
		if (rc) {
			snprintf(what, sizeof(what), "it cannot be taken from %s", now);
			return failed(rc, "restore", r->name, what, err);
		}
	}
	rc = override_of(env, r->name, override);
	if (!rc && strcmp(override, r->override) != 0)
		rc = write_override(env, io, r->name, r->override);
	if (rc)
		first = failed(rc, "restore", r->name, "its driver_override cannot be put back", err);
	if (!r->driver[0] || !strcmp(now, r->driver))
		return first;
	rc = give_back(env, io, r);
	if (rc && !first) {
		snprintf(what, sizeof(what), "its driver %s does not take it back", r->driver);
		first = failed(rc, "restore", r->name, what, err);
		module_hint(env, r->driver, err);
	}
	return first;
}
