/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bind.c - carry a plan out, all of it or nothing: check, record, change, hand over; on failure back in reverse order.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

#define NODE_TRIES 100 /* of NODE_MS each: 2 s for the node of a group to appear */
#define NODE_MS 20

/* One member that is to change, as it was before this call. */
struct change {
	const struct quoll_plan_step *step;
	struct record before;
	bool recorded; /* by this call */
};

/* A file that got an owner, and the owner it had. */
struct handover {
	char path[PATH_BYTES];
	uid_t uid;
	gid_t gid;
};

struct binding {
	const struct quoll_env *env;
	const struct group_io *io;
	const struct quoll_plan *plan;
	const char *user;
	uid_t uid;
	gid_t gid;
	struct records records;
	struct holds holds;
	unsigned int nr_changes, nr_started, nr_handovers;
	struct change *changes;
	struct handover *handovers; /* done */
	bool iommu_recorded;	    /* by this call */
};

static int refuse_blocked(const struct quoll_plan *plan, struct quoll_error *err)
{
	const struct quoll_plan_step *first = NULL;
	bool also = false;

	for (unsigned int i = 0; i < plan->nr_steps; i++) {
		const struct quoll_plan_step *s = &plan->steps[i];

		for (unsigned int k = 0; s->blocked && k < s->member->nr_uses; k++) {
			const struct quoll_use *use = &s->member->uses[k];

			if (!first)
				quoll_error_set(err, EBUSY, "bind", s->member->name, "it is in use: ");
			quoll_error_append(err, "%s", also ? "; " : "");
			if (first && first != s)
				quoll_error_append(err, "%s: ", s->member->name);
			quoll_error_append(err, "%s: %s", quoll_use_kind_name(use->kind), use->detail);
			first = first ? first : s;
			also = true;
		}
	}
	quoll_error_hint(err, "end that use, or take the device all the same with --in-use");
	return -EBUSY;
}

static int find_user(struct binding *b, struct quoll_error *err)
{
	int rc = b->user ? b->io->user(b->io->arg, b->user, &b->uid, &b->gid) : 0;

	if (rc)
		quoll_error_set(err, -rc, "bind", b->user, "there is no such user");
	return rc;
}

static int collect(struct binding *b, struct quoll_error *err)
{
	unsigned int nr = b->plan->nr_steps ? b->plan->nr_steps : 1;

	b->changes = calloc(nr, sizeof(*b->changes));
	b->handovers =
		calloc(3 * (size_t)nr + 1, sizeof(*b->handovers)); /* a step's group twice, its device; /dev/iommu */
	if (!b->changes || !b->handovers)
		return quoll_error_set(err, ENOMEM, "bind", NULL, "out of memory");
	for (unsigned int i = 0; i < b->plan->nr_steps; i++) {
		if (b->plan->steps[i].action == QUOLL_ACTION_BIND)
			b->changes[b->nr_changes++].step = &b->plan->steps[i];
	}
	return 0;
}

/* The plan was made some time ago: what it builds on must still be so. */
static int check_still_so(struct binding *b, struct change *c, struct quoll_error *err)
{
	const struct quoll_member *m = c->step->member;
	char now[32];
	int rc = driver_of(b->env, m->name, now);

	if (!rc && strcmp(now, m->driver) != 0) {
		quoll_error_set(err, EAGAIN, "bind", m->name,
				"its driver was \"%s\" when this was planned and is \"%s\" now", m->driver, now);
		quoll_error_hint(err, "plan again");
		return -EAGAIN;
	}
	if (rc)
		return quoll_error_set(err, -rc, "bind", m->name, "its driver cannot be told: %s", strerror(-rc));
	snprintf(c->before.name, sizeof(c->before.name), "%s", m->name);
	memcpy(c->before.driver, now, sizeof(now));
	memcpy(c->before.bound, c->step->to, sizeof(c->before.bound));
	rc = override_of(b->env, m->name, c->before.override);
	if (rc)
		return quoll_error_set(err, -rc, "bind", m->name, "its driver_override cannot be read: %s",
				       strerror(-rc));
	/* from one VFIO driver to another: not under its owner's feet */
	if (driver_kind_of(now) == DRIVER_VFIO)
		rc = group_hold(&b->holds, b->env, b->io, c->step->group, err);
	return rc;
}

static int refuse_new_use(const struct quoll_group_desc *desc, const struct quoll_member *planned,
			  struct quoll_error *err)
{
	for (unsigned int i = 0; i < desc->nr_members; i++) {
		const struct quoll_member *m = &desc->members[i];

		if (strcmp(m->name, planned->name) != 0 || !m->nr_uses || planned->nr_uses)
			continue;
		quoll_error_set(err, EBUSY, "bind", m->name, "it came into use after this was planned: %s: %s",
				quoll_use_kind_name(m->uses[0].kind), m->uses[0].detail);
		quoll_error_hint(err, "end that use, or plan again with --in-use");
		return -EBUSY;
	}
	return 0;
}

/* Nobody has begun to use what was idle when it was planned. */
static int check_uses(struct binding *b, struct quoll_error *err)
{
	struct quoll_group_list list = {0};
	struct describer d;
	int rc = describer_open(&d, b->env, b->io, err);

	if (rc)
		return rc;
	d.ask_disks = d.nameless = true;
	for (unsigned int i = 0; i < b->nr_changes && !rc; i++)
		rc = describe_group(&d, b->changes[i].step->group, &list, err);
	for (unsigned int g = 0; g < list.nr_groups; g++)
		for (unsigned int i = 0; i < b->nr_changes && !rc; i++)
			rc = refuse_new_use(&list.groups[g], b->changes[i].step->member, err);
	quoll_groups_free(&list);
	describer_close(&d);
	return rc;
}

/*
 * A device that we bound before keeps the record of that time, which tells what was there before Quoll; one that a
 * kernel driver has taken since gets a new one, as all others do. But not where a bind died between its first two
 * steps: the driver is still the one recorded, and the override already ours.
 */
static bool keeps_record(const struct binding *b, const struct record *now)
{
	enum driver_kind kind = driver_kind_of(now->driver);
	struct record old;

	if (record_read(&b->records, now->name, &old, NULL))
		return false;
	if (kind == DRIVER_NONE || kind == DRIVER_VFIO)
		return true;
	return now->override[0] && !strcmp(now->override, old.bound) && !strcmp(now->driver, old.driver);
}

static int record_all(struct binding *b, struct quoll_error *err)
{
	int rc = 0;

	for (unsigned int i = 0; i < b->nr_changes && !rc; i++) {
		struct change *c = &b->changes[i];

		if (keeps_record(b, &c->before))
			continue;
		rc = record_write(&b->records, &c->before, err);
		c->recorded = !rc;
	}
	return rc;
}

static int change_all(struct binding *b, struct quoll_error *err)
{
	int rc = 0;

	for (unsigned int i = 0; i < b->nr_changes && !rc; i++) {
		struct change *c = &b->changes[i];

		b->nr_started = i + 1;
		rc = driver_take(b->env, b->io, c->before.name, c->step->to, err);
		if (!rc)
			quoll_log(b->env, QUOLL_LOG_INFO, "group", "%s: %s to %s", c->before.name,
				  c->before.driver[0] ? c->before.driver : "no driver",
				  c->step->to[0] ? c->step->to : "no driver");
	}
	return rc;
}

static int wait_for_node(const struct binding *b, const char *node, struct stat *st)
{
	for (int i = 0; i < NODE_TRIES; i++) {
		if (!stat(node, st))
			return 0;
		if (errno != ENOENT)
			return -errno;
		b->io->pause(b->io->arg, NODE_MS);
	}
	return -ENOENT;
}

/* A group's file is no use without the container's, which is everyone's unless somebody changed that. */
static int check_container(const struct binding *b, struct quoll_error *err)
{
	char path[PATH_BYTES];
	struct stat st;
	int rc = path_make(path, "%s/vfio/vfio", quoll_env_dev(b->env));

	if (!rc && stat(path, &st))
		rc = -errno;
	if (rc)
		return quoll_error_set(err, -rc, "bind", path, "it cannot be looked at: %s", strerror(-rc));
	if ((st.st_mode & 0006) == 0006 || (st.st_uid == b->uid && (st.st_mode & 0600) == 0600) || b->uid == 0)
		return 0;
	quoll_error_set(err, EACCES, "bind", path, "the user %s may not open it", b->user);
	quoll_error_hint(err, "chmod 0666 %s", path);
	return -EACCES;
}

static bool given_already(const struct binding *b, const char *path)
{
	for (unsigned int i = 0; i < b->nr_handovers; i++)
		if (!strcmp(b->handovers[i].path, path))
			return true;
	return false;
}

static int give(struct binding *b, const char *path, const struct stat *st, struct quoll_error *err)
{
	struct handover *h = &b->handovers[b->nr_handovers];
	int rc;

	if (given_already(b, path))
		return 0;
	snprintf(h->path, sizeof(h->path), "%s", path);
	h->uid = st->st_uid;
	h->gid = st->st_gid;
	rc = b->io->chown(b->io->arg, path, b->uid, b->gid);
	if (rc)
		return quoll_error_set(err, -rc, "bind", path, "it cannot be given to the user %s: %s", b->user,
				       strerror(-rc));
	b->nr_handovers++;
	return 0;
}

/* A device's own file, if the kernel has such: 1 if it was given. */
static int give_cdev(struct binding *b, const char *name, struct quoll_error *err)
{
	char cdev[CDEV_BYTES], path[PATH_BYTES];
	struct stat st;
	int rc;

	if (device_cdev(b->env, name, cdev) || path_make(path, "%s/vfio/devices/%s", quoll_env_dev(b->env), cdev) ||
	    stat(path, &st))
		return 0;
	rc = give(b, path, &st, err);
	return rc ? rc : 1;
}

/* The file of a group, which kernels that have files of devices need not have. */
static int give_group(struct binding *b, int group, bool optional, struct quoll_error *err)
{
	char path[PATH_BYTES];
	struct stat st;
	int rc = path_make(path, "%s/vfio/%d", quoll_env_dev(b->env), group);

	if (!rc && optional && stat(path, &st))
		return 0;
	if (!rc)
		rc = wait_for_node(b, path, &st);
	if (rc)
		return quoll_error_set(err, -rc, "bind", path, "it cannot be given to the user %s: %s", b->user,
				       strerror(-rc));
	rc = check_container(b, err);
	return rc ? rc : give(b, path, &st, err);
}

/* quoll.ko's file of a group, if it has one: it comes with a member that has its driver. */
static int give_kmod(struct binding *b, int group, struct quoll_error *err)
{
	char path[PATH_BYTES];
	struct stat st;

	if (path_make(path, "%s/quoll/%d", quoll_env_dev(b->env), group) || stat(path, &st))
		return 0;
	return give(b, path, &st, err);
}

/*
 * /dev/iommu is one for all devices: it is taken from root only, and recorded, so that restore can give it back. With
 * another user it stays: groups have files of their own.
 */
static int give_iommu(struct binding *b, struct quoll_error *err)
{
	char path[PATH_BYTES];
	struct stat st;
	int rc;

	if (path_make(path, "%s/iommu", quoll_env_dev(b->env)) || stat(path, &st) || st.st_uid == b->uid ||
	    (st.st_mode & 0006) == 0006)
		return 0;
	if (st.st_uid != 0 && st.st_uid != geteuid()) {
		quoll_log(b->env, QUOLL_LOG_WARN, "group",
			  "%s is another user's (uid %u) and stays that: %s cannot use the back-end iommufd; for all "
			  "users: chmod 0666 %s",
			  path, (unsigned int)st.st_uid, b->user, path);
		return 0;
	}
	rc = iommu_record_write(&b->records, &(struct iommu_record){b->uid, st.st_uid, st.st_gid});
	if (rc)
		return quoll_error_set(err, -rc, "bind", path, "its owner cannot be recorded: %s", strerror(-rc));
	b->iommu_recorded = true;
	return give(b, path, &st, err);
}

static int hand_over(struct binding *b, struct quoll_error *err)
{
	bool any_cdev = false;
	int rc = 0;

	for (unsigned int i = 0; i < b->plan->nr_steps && b->user && rc >= 0; i++) {
		const struct quoll_plan_step *s = &b->plan->steps[i];

		if (s->action == QUOLL_ACTION_BIND ? !s->to[0] : driver_kind_of(s->member->driver) != DRIVER_VFIO)
			continue;
		rc = give_cdev(b, s->member->name, err);
		any_cdev |= rc > 0;
		if (rc >= 0)
			rc = give_group(b, s->group, rc > 0, err);
		if (!rc)
			rc = give_kmod(b, s->group, err);
	}
	return rc || !any_cdev ? rc : give_iommu(b, err);
}

static void roll_back(struct binding *b, struct quoll_error *err)
{
	struct quoll_error why;
	unsigned int failed = 0;

	for (unsigned int i = b->nr_handovers; i-- > 0;)
		b->io->chown(b->io->arg, b->handovers[i].path, b->handovers[i].uid, b->handovers[i].gid);
	if (b->iommu_recorded)
		iommu_record_remove(&b->records);
	for (unsigned int i = b->nr_changes; i-- > 0;) {
		struct change *c = &b->changes[i];
		int rc = i < b->nr_started ? driver_put_back(b->env, b->io, &c->before, &why) : 0;

		if (rc) {
			quoll_error_append(err, "%s%s: %s", failed++ ? "; " : "\nNOT put back: ", c->before.name,
					   why.what);
			continue; /* its record stays, for quoll restore */
		}
		if (c->recorded)
			record_remove(&b->records, c->before.name);
	}
	if (failed)
		quoll_error_hint(err, "quoll restore tries again to put back what is recorded");
	else if (b->nr_started)
		quoll_error_append(err, "; all members are back with their drivers");
}

static int change_and_hand_over(struct binding *b, struct quoll_error *err)
{
	int rc = 0;

	for (unsigned int i = 0; i < b->nr_changes && !rc; i++)
		if (b->changes[i].step->to[0])
			rc = driver_loaded(b->env, b->changes[i].step->to, err);
	for (unsigned int i = 0; i < b->nr_changes && !rc; i++)
		rc = check_still_so(b, &b->changes[i], err);
	if (!rc && b->nr_changes)
		rc = check_uses(b, err);
	if (rc)
		return rc;
	rc = record_all(b, err);
	if (!rc)
		rc = change_all(b, err);
	if (!rc)
		rc = hand_over(b, err);
	if (rc)
		roll_back(b, err);
	return rc;
}

int bind_plan(const struct quoll_env *env, const struct group_io *io, const struct quoll_plan *plan, const char *user,
	      struct quoll_error *err)
{
	struct binding b = {.env = env, .io = io, .plan = plan, .user = user, .records = {-1, -1}};
	struct quoll_error own;
	int rc, nr_bound = 0;

	err = err ? err : &own;
	if (plan->nr_blocked)
		return refuse_blocked(plan, err);
	rc = find_user(&b, err);
	if (!rc)
		rc = collect(&b, err);
	if (!rc && (b.nr_changes || user))
		rc = records_open(env, io, true, &b.records, err);
	if (!rc)
		rc = change_and_hand_over(&b, err);
	for (unsigned int i = 0; !rc && i < b.nr_changes; i++)
		nr_bound += b.changes[i].step->to[0] ? 1 : 0;
	holds_release(&b.holds);
	records_close(&b.records);
	free(b.changes);
	free(b.handovers);
	return rc ? rc : nr_bound;
}

int quoll_bind(const struct quoll_env *env, const struct quoll_plan *plan, const char *user, struct quoll_error *err)
{
	return bind_plan(env, &group_io_real, plan, user, err);
}
