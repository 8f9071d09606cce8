/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * restore.c - put back the drivers that are recorded, for all devices or for the groups of some.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "internal.h"

struct restoring {
	const struct quoll_env *env;
	const struct group_io *io;
	const struct restore_args *args;
	struct records records;
	struct holds holds;
	struct name_list names;
	struct quoll_restored *done;
	unsigned int nr_done;
	unsigned int nr_matched;
	int first; /* first failure */
	struct quoll_error *err;
};

static void report(struct restoring *r, int rc, const struct quoll_error *err)
{
	if (r->first)
		return;
	r->first = rc;
	if (r->err)
		*r->err = *err;
}

/* -ENOENT: no such device; -ENODEV: in no group */
static int group_of(const struct quoll_env *env, const char *name)
{
	char path[PATH_BYTES], text[32];
	int rc = device_path(env, name, "", path);

	if (!rc && !path_exists(path))
		rc = -ENOENT;
	if (!rc)
		rc = device_path(env, name, "iommu_group", path);
	if (!rc && link_name(path, text, sizeof(text)))
		rc = -ENODEV;
	return rc ? rc : (int)strtol(text, NULL, 10);
}

/* Is this device one of those that are meant, or in the group of one? */
static bool meant(const struct restoring *r, const char *name)
{
	int group = group_of(r->env, name);

	if (!r->args->nr_addrs)
		return true;
	for (unsigned int i = 0; i < r->args->nr_addrs; i++) {
		const char *target = r->args->addrs[i]->target;

		if (!strcmp(target, name) || (group >= 0 && group_of(r->env, target) == group))
			return true;
	}
	return false;
}

static int add_done(struct restoring *r, const struct quoll_restored *one)
{
	struct quoll_restored *grown = array_grow(r->done, r->nr_done, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	r->done = grown;
	r->done[r->nr_done++] = *one;
	return 0;
}

/* Others may have moved the device since: only what is with VFIO or with nothing is taken back. */
static int put_back(struct restoring *r, const struct record *record, struct quoll_restored *one,
		    struct quoll_error *err)
{
	int group = group_of(r->env, record->name), rc;

	if (group == -ENOENT) {
		one->gone = true;
		return 0;
	}
	rc = driver_of(r->env, record->name, one->from);
	if (rc)
		return quoll_error_set(err, -rc, "restore", record->name, "its driver cannot be told: %s",
				       strerror(-rc));
	if (strcmp(one->from, record->driver) != 0 && one->from[0] && driver_kind_of(one->from) != DRIVER_VFIO) {
		quoll_error_set(err, ESTALE, "restore", record->name,
				"it was bound to %s and is with %s now, which was not done by quoll: left alone",
				record->bound, one->from);
		quoll_error_hint(err, "remove the record if that is as it should be: rm %s/bound/%s",
				 quoll_env_run(r->env), record->name);
		return -ESTALE;
	}
	if (driver_kind_of(one->from) == DRIVER_VFIO && group >= 0)
		rc = group_hold(&r->holds, r->env, r->io, group, err);
	if (!rc)
		rc = driver_put_back(r->env, r->io, record, err);
	snprintf(one->to, sizeof(one->to), "%s", record->driver);
	return rc;
}

static void restore_one(struct restoring *r, const char *name)
{
	struct quoll_restored one = {0};
	struct quoll_error err;
	struct record record;
	int rc = record_read(&r->records, name, &record, &err);

	if (rc == -ENOENT)
		return;
	snprintf(one.name, sizeof(one.name), "%s", name);
	if (!rc)
		rc = put_back(r, &record, &one, &err);
	if (!rc)
		rc = record_remove(&r->records, name);
	else
		return report(r, rc, &err);
	if (!rc)
		rc = add_done(r, &one);
	if (rc) {
		quoll_error_set(&err, -rc, "restore", name, "its record cannot be removed: %s", strerror(-rc));
		return report(r, rc, &err);
	}
	quoll_log(r->env, QUOLL_LOG_INFO, "group", "%s: %s to %s", name, one.from[0] ? one.from : "no driver",
		  one.gone    ? "nothing: it is gone"
		  : one.to[0] ? one.to
			      : "no driver");
}

static int check_addresses(const struct restore_args *args, struct quoll_error *err)
{
	for (unsigned int i = 0; i < args->nr_addrs; i++)
		if (args->addrs[i]->scheme != QUOLL_ADDR_PCI)
			return quoll_error_set(err, EINVAL, "restore", args->addrs[i]->target,
					       "only PCI devices have drivers that can be restored");
	return 0;
}

static int nothing_recorded(const struct restoring *r, struct quoll_error *err)
{
	const char *target;
	char now[32];

	if (!r->args->nr_addrs)
		return 0;
	target = r->args->addrs[0]->target;
	if (driver_of(r->env, target, now))
		return quoll_error_set(err, ENOENT, "restore", target,
				       "there is no such PCI device, and no record of one");
	quoll_error_set(err, ENOENT, "restore", target, "nothing is recorded for its group: quoll did not bind it");
	if (driver_kind_of(now) == DRIVER_VFIO)
		quoll_error_hint(err,
				 "to let the kernel choose a driver: echo %s >%s/bus/pci/drivers/%s/unbind; echo "
				 ">%s/bus/pci/devices/%s/driver_override; echo %s >%s/bus/pci/drivers_probe",
				 target, quoll_env_sysfs(r->env), now, quoll_env_sysfs(r->env), target, target,
				 quoll_env_sysfs(r->env));
	return -ENOENT;
}

/* Once nothing is bound any more /dev/iommu is whose it was, unless somebody has changed its owner since. */
static int iommu_take_back(struct restoring *r)
{
	struct name_list left;
	char path[PATH_BYTES];
	struct iommu_record was;
	struct stat st;
	int rc;

	if (records_list(r->env, &left))
		return 0;
	rc = left.nr || iommu_record_read(&r->records, &was);
	name_list_free(&left);
	if (rc || path_make(path, "%s/iommu", quoll_env_dev(r->env)))
		return 0;
	if (!stat(path, &st) && st.st_uid == was.uid)
		rc = r->io->chown(r->io->arg, path, was.old_uid, was.old_gid);
	if (rc)
		return quoll_error_set(r->err, -rc, "restore", path, "it cannot be given back: %s", strerror(-rc));
	iommu_record_remove(&r->records);
	return 0;
}

static int restore_all(struct restoring *r)
{
	int rc = records_open(r->env, r->io, false, &r->records, r->err);

	if (!rc)
		rc = records_list(r->env, &r->names);
	if (rc == -ENOENT)
		return nothing_recorded(r, r->err);
	if (rc)
		return rc;
	for (unsigned int i = 0; i < r->names.nr; i++) {
		if (!meant(r, r->names.names[i]))
			continue;
		r->nr_matched++;
		restore_one(r, r->names.names[i]);
	}
	rc = r->nr_matched ? r->first : nothing_recorded(r, r->err);
	return rc ? rc : iommu_take_back(r);
}

int restore_recorded(const struct quoll_env *env, const struct group_io *io, const struct restore_args *args,
		     struct quoll_error *err)
{
	struct restoring r = {.env = env, .io = io, .args = args, .records = {-1, -1}, .err = err};
	int rc = check_addresses(args, err);

	if (!rc)
		rc = restore_all(&r);
	if (args->nr_done)
		*args->nr_done = r.nr_done;
	if (args->done)
		*args->done = r.done;
	else
		free(r.done);
	holds_release(&r.holds);
	records_close(&r.records);
	name_list_free(&r.names);
	return rc;
}

int quoll_restore(const struct quoll_env *env, const struct quoll_addr *const *addrs, unsigned int nr_addrs,
		  struct quoll_restored **done, unsigned int *nr_done, struct quoll_error *err)
{
	const struct restore_args args = {.addrs = addrs, .nr_addrs = nr_addrs, .done = done, .nr_done = nr_done};

	return restore_recorded(env, &group_io_real, &args, err);
}
