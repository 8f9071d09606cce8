/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * list.c - `quoll nvme list`: the NVMe controllers of the machine; those bound for Quoll are asked, of the others sysfs
 * tells what the kernel's driver knows.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <quoll/group.h>

#include "quoll/render.h"
#include "quoll/verbs.h"

#include "describe.h"

/* First line of a file of sysfs, trimmed at its end; null if there is none. */
static json_t *sysfs_line(const char *folder, const char *name)
{
	char path[1024], line[128] = "";
	size_t len;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "re");
	if (!f)
		return json_null();
	if (!fgets(line, sizeof(line), f))
		line[0] = '\0';
	fclose(f);
	for (len = strlen(line); len && (line[len - 1] == ' ' || line[len - 1] == '\n'); len--)
		line[len - 1] = '\0';
	return render_text(line);
}

/* What the kernel's driver says: …/devices/BDF/nvme/nvmeN */
static void add_kernel_facts(const struct quoll_env *env, const char *name, json_t *row)
{
	char folder[512], path[1024];
	struct dirent *entry;
	DIR *dir;

	snprintf(folder, sizeof(folder), "%s/bus/pci/devices/%s/nvme", quoll_env_sysfs(env), name);
	dir = opendir(folder);
	while (dir && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, "nvme", 4))
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		json_object_set_new(row, "model", sysfs_line(path, "model"));
		json_object_set_new(row, "serial", sysfs_line(path, "serial"));
		json_object_set_new(row, "firmware", sysfs_line(path, "firmware_rev"));
		json_object_set_new(row, "state", json_sprintf("used by the kernel as %s", entry->d_name));
	}
	if (dir)
		closedir(dir);
}

/* Claim the controller and ask it; or note why that is not possible. */
static void add_own_facts(const struct quoll_env *env, const char *name, json_t *row)
{
	const struct nvme_session_opts opts = {0};
	struct nvme_session session;
	struct quoll_error err = {0};
	struct quoll_addr addr;
	json_t *controller;

	if (quoll_addr_parse(name, &addr, &err) || nvme_session_open(env, &addr, &opts, &session, &err)) {
		json_object_set_new(row, "state", render_text(err.what));
		json_object_set_new(row, "try", err.hint[0] ? render_text(err.hint) : json_null());
		return;
	}
	controller = describe_controller(&session);
	json_object_set(row, "model", json_object_get(controller, "model"));
	json_object_set(row, "serial", json_object_get(controller, "serial"));
	json_object_set(row, "firmware", json_object_get(controller, "firmware"));
	json_object_set_new(row, "namespaces", describe_namespaces(&session));
	json_object_set_new(row, "state", json_string("ready"));
	json_decref(controller);
	nvme_session_close(&session);
}

static json_t *describe_one(const struct quoll_env *env, const struct quoll_group_desc *group,
			    const struct quoll_member *member)
{
	json_t *row = json_pack("{s:o, s:o, s:i, s:b, s:o, s:n, s:n, s:n, s:s, s:n, s:o}", "device",
				render_text(member->name), "driver", render_text(member->driver), "group", group->id,
				"viable", group->viable, "numa_node",
				member->numa_node < 0 ? json_null() : json_integer(member->numa_node), "model",
				"serial", "firmware", "state", "", "try", "namespaces", json_array());

	if (!row)
		return NULL;
	if (member->for_user) {
		add_own_facts(env, member->name, row);
	} else if (member->driver[0]) {
		add_kernel_facts(env, member->name, row);
		json_object_set_new(row, "try", json_sprintf("quoll bind %s", member->name));
	} else {
		json_object_set_new(row, "state", json_string("no driver"));
		json_object_set_new(row, "try", json_sprintf("quoll bind %s", member->name));
	}
	return row;
}

/* Whether a device was asked for; without arguments every one is. */
static bool wanted(const struct cli *cli, const struct quoll_addr *addrs, const char *name)
{
	for (unsigned int i = 0; i < cli->nr_args; i++)
		if (!strcmp(addrs[i].target, name))
			return true;
	return !cli->nr_args;
}

static json_t *describe_list(const struct cli *cli, const struct quoll_addr *addrs, const struct quoll_group_list *list)
{
	json_t *doc = json_pack("{s:[]}", "controllers"), *rows = json_object_get(doc, "controllers");

	for (unsigned int g = 0; doc && g < list->nr_groups; g++) {
		for (unsigned int m = 0; m < list->groups[g].nr_members; m++) {
			const struct quoll_member *member = &list->groups[g].members[m];

			if (member->class_code != QUOLL_NVME_CLASS_CODE || !wanted(cli, addrs, member->name))
				continue;
			if (json_array_append_new(rows, describe_one(&cli->env, &list->groups[g], member))) {
				json_decref(doc);
				return NULL;
			}
		}
	}
	return doc;
}

/* "1: 256 MiB of 512, 2: …", one text for the table. */
static json_t *namespaces_text(const json_t *namespaces)
{
	char *text = NULL;
	const json_t *ns;
	json_t *value;
	size_t i, len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	json_array_foreach(namespaces, i, ns) {
		char *size = render_cell(json_object_get(ns, "size_bytes"), RENDER_BYTES);

		fprintf(f, "%s%lld: %s of %lld", i ? ", " : "",
			(long long)json_integer_value(json_object_get(ns, "nsid")), size ? size : "?",
			(long long)json_integer_value(json_object_get(ns, "lba_bytes")));
		free(size);
	}
	value = fclose(f) ? NULL : json_string(text);
	free(text);
	return value;
}

static void list_text(FILE *f, const json_t *doc)
{
	static const struct render_field columns[] = {
		{"DEVICE", "device", RENDER_PLAIN, false},
		{"GROUP", "group", RENDER_PLAIN, true},
		{"DRIVER", "driver", RENDER_PLAIN, false},
		{"MODEL", "model", RENDER_PLAIN, false},
		{"SERIAL", "serial", RENDER_PLAIN, false},
		{"FIRMWARE", "firmware", RENDER_PLAIN, false},
		{"NAMESPACES", "namespaces", RENDER_PLAIN, false},
		{"STATE", "first_state", RENDER_PLAIN, false},
		{NULL, NULL, RENDER_PLAIN, false},
	};
	json_t *rows = json_deep_copy(json_object_get(doc, "controllers")), *row;
	size_t i;

	json_array_foreach(rows, i, row) {
		const char *state = render_string(row, "state");

		json_object_set_new(row, "namespaces", namespaces_text(json_object_get(row, "namespaces")));
		json_object_set_new(row, "first_state", json_stringn(state, strcspn(state, "\n")));
	}
	render_table(f, rows, columns, "");
	if (!json_array_size(rows))
		fputs("no NVMe controller\n", f);
	json_decref(rows);
}

static int run_list(struct cli *cli, const void *values)
{
	struct quoll_group_list list;
	struct quoll_error err = {0};
	struct quoll_addr *addrs;
	json_t *doc;
	int status;

	(void)values;
	status = cli_addrs(cli, &addrs);
	if (status)
		return status;
	if (quoll_groups_read(&cli->env, &list, &err)) {
		status = cli_error(cli, &err);
		goto out;
	}
	doc = describe_list(cli, addrs, &list);
	quoll_groups_free(&list);
	if (cli->nr_args && doc && json_array_size(json_object_get(doc, "controllers")) < cli->nr_args) {
		quoll_error_set(&err, ENODEV, "list", "", "not all of these addresses are NVMe controllers in a group");
		quoll_error_hint(&err, "quoll nvme list, quoll groups");
	}
	status = cli_emit(cli, doc, list_text);
	if (err.errnum)
		status = cli_error(cli, &err);
out:
	free(addrs);
	return status;
}

const struct cli_verb verb_nvme_list = {
	.name = "nvme list",
	.args = "[ADDR…]",
	.max_args = 1024,
	.summary = "list NVMe controllers: driver, model, namespaces, and why one cannot be used",
	.details = "Controllers that are bound for Quoll and free are claimed for a moment to ask them.",
	.has_json = true,
	.run = run_list,
};
