/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kmod.c - doctor's check of quoll.ko: whether it is there and speaks our version, which groups have a file of its, who
 * may open them, what keeps a group from being claimed. It matters only to those who ask for that back-end.
 */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <quoll/group.h>
#include <quoll/ioas.h>

#include "quoll/render.h"

#include "check.h"

#define BACKEND "kmod"
#define LISTED_GROUPS 8 /* as many as fit a sentence; --json has them all */

static void user_name(uid_t uid, char name[64])
{
	struct passwd pw, *found = NULL;
	char strings[1024];

	if (!getpwuid_r(uid, &pw, strings, sizeof(strings), &found) && found)
		snprintf(name, 64, "%s", pw.pw_name);
	else
		snprintf(name, 64, "%u", (unsigned int)uid);
}

/* What the file of a group is, and whose; NULL where it has none. */
static json_t *group_facts(const struct quoll_env *env, const struct quoll_group_desc *group)
{
	char path[512], mode[8], owner[64];
	bool bound = false;
	struct stat st;

	snprintf(path, sizeof(path), "%s/quoll/%d", quoll_env_dev(env), group->id);
	if (stat(path, &st))
		return NULL;
	for (unsigned int m = 0; m < group->nr_members; m++)
		bound |= !strcmp(group->members[m].driver, "quoll");
	snprintf(mode, sizeof(mode), "%04o", (unsigned int)(st.st_mode & 07777));
	user_name(st.st_uid, owner);
	return json_pack("{s:i, s:s, s:o, s:s, s:b, s:b, s:b, s:o}", "group", group->id, "path", path, "owner",
			 render_text(owner), "mode", mode, "usable", !access(path, R_OK | W_OK), "bound", bound,
			 "viable", group->viable, "blocker", group->viable ? json_null() : render_text(group->blocker));
}

static json_t *groups_facts(const struct quoll_env *env)
{
	json_t *groups = json_array(), *one;
	struct quoll_group_list list;

	if (quoll_groups_read(env, &list, NULL))
		return groups;
	for (unsigned int g = 0; g < list.nr_groups; g++) {
		one = group_facts(env, &list.groups[g]);
		if (one)
			json_array_append_new(groups, one);
	}
	quoll_groups_free(&list);
	return groups;
}

/* "21 (you may open it), 22 (root's, 0600)"; without those whose file is there only because all have one */
static void groups_text(const json_t *groups, char *text, size_t size)
{
	unsigned int nr = 0, used = 0;
	const json_t *one;
	size_t i;

	text[0] = '\0';
	json_array_foreach(groups, i, one) {
		if (!json_is_true(json_object_get(one, "bound")) || used >= size || nr++ >= LISTED_GROUPS)
			continue;
		used += (unsigned int)snprintf(text + used, size - used, "%s%d (", nr > 1 ? ", " : "",
					       (int)json_integer_value(json_object_get(one, "group")));
		if (used >= size)
			continue;
		if (json_is_true(json_object_get(one, "usable")))
			used += (unsigned int)snprintf(text + used, size - used, "you may open it)");
		else
			used += (unsigned int)snprintf(text + used, size - used, "%s's, %s)",
						       render_string(one, "owner"), render_string(one, "mode"));
	}
	if (nr > LISTED_GROUPS && used < size)
		snprintf(text + used, size - used, " and %u more", nr - LISTED_GROUPS);
}

/* The first group that somebody meant to claim, and cannot. */
static const json_t *first_blocked(const json_t *groups)
{
	const json_t *one;
	size_t i;

	json_array_foreach(groups, i, one)
		if (json_is_true(json_object_get(one, "bound")) && !json_is_true(json_object_get(one, "viable")))
			return one;
	return NULL;
}

static void found_groups(struct check *check, const json_t *groups)
{
	const json_t *blocked = first_blocked(groups);
	char text[320];

	groups_text(groups, text, sizeof(text));
	if (blocked) {
		check_found(check, CHECK_WARN, "quoll.ko: group %d is not viable: %s",
			    (int)json_integer_value(json_object_get(blocked, "group")),
			    render_string(blocked, "blocker"));
		check_hint(check, "sudo quoll bind ADDR --driver quoll takes all members of a group");
	} else if (text[0]) {
		check_found(check, CHECK_OK, "quoll.ko is loaded: --backend " BACKEND " works for groups %s", text);
	} else {
		check_found(check, CHECK_OK, "quoll.ko is loaded; no device is with it");
		check_hint(check, "sudo quoll bind ADDR --backend " BACKEND " --user $USER");
	}
}

void check_kmod(const struct quoll_env *env, struct check *check)
{
	enum check_status bad = env->backend && !strcmp(env->backend, BACKEND) ? CHECK_FAIL : CHECK_WARN;
	bool loaded, present, usable, speaks = false;
	struct quoll_ioas *ioas = NULL;
	struct quoll_error err = {0};
	char path[512];
	json_t *groups;

	snprintf(path, sizeof(path), "%s/bus/pci/drivers/quoll", quoll_env_sysfs(env));
	loaded = !access(path, F_OK);
	snprintf(path, sizeof(path), "%s/quoll/control", quoll_env_dev(env));
	present = !access(path, F_OK);
	usable = !access(path, R_OK | W_OK);
	if (!quoll_ioas_open(env, BACKEND, &ioas, &err)) /* it asks for the version */
		speaks = !quoll_ioas_close(ioas);
	groups = groups_facts(env);
	check->facts = json_pack("{s:b, s:s, s:b, s:b, s:b, s:O}", "loaded", loaded, "path", path, "present", present,
				 "usable", usable, "speaks_our_version", speaks, "groups", groups);
	if (speaks) {
		found_groups(check, groups);
	} else if (!loaded && !present) {
		check_found(check, bad == CHECK_FAIL ? CHECK_FAIL : CHECK_OK,
			    "quoll.ko is not loaded; VFIO groups do without it");
		if (bad == CHECK_FAIL)
			check_hint(check, "%s", err.hint);
	} else if (loaded && !present) {
		check_found(check, bad, "quoll.ko is loaded, but %s is missing", path);
		check_hint(check, "in a container, start it with --device %s", path);
	} else {
		check_found(check, bad, "%s: %s", err.subject, err.what);
		check_hint(check, "%s", err.hint);
	}
	json_decref(groups);
}
