/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * plan.c - `quoll plan` and `quoll bind`: what taking devices from their kernel drivers means, and doing it.
 */
#include <stdlib.h>
#include <string.h>

#include "quoll/render.h"
#include "quoll/verbs.h"

#include "describe.h"
#include "modprobe.h"

struct plan_values {
	bool in_use;
	bool dry_run;
	bool no_modprobe;
	const char *driver;
	const char *user;
};

static const struct plan_values defaults;

#define PLAN_OPTIONS                                                                                                   \
	{"in-use",                                                                                                     \
	 CLI_FLAG,                                                                                                     \
	 offsetof(struct plan_values, in_use),                                                                         \
	 NULL,                                                                                                         \
	 "take devices although they are in use (mounted, swap, default route, ...)",                                  \
	 0,                                                                                                            \
	 0},                                                                                                           \
	{                                                                                                              \
		"driver", CLI_TEXT, offsetof(struct plan_values, driver), "DRIVER",                                    \
			"VFIO driver for the devices; vfio-pci (quoll with --backend kmod) unless told otherwise, "    \
			"and one that has them already "                                                               \
			"stays",                                                                                       \
			0, 0                                                                                           \
	}

static const struct cli_option plan_options[] = {PLAN_OPTIONS, {NULL, CLI_FLAG, 0, NULL, NULL, 0, 0}};

static const struct cli_option bind_options[] = {
	{"dry-run", CLI_FLAG, offsetof(struct plan_values, dry_run), NULL, "print the plan and change nothing", 0, 0},
	{"user", CLI_TEXT, offsetof(struct plan_values, user), "NAME",
	 "hand the groups' files to this user, who then needs no root", 0, 0},
	PLAN_OPTIONS,
	{"no-modprobe", CLI_FLAG, offsetof(struct plan_values, no_modprobe), NULL,
	 "do not load the driver's module if it is missing", 0, 0},
	{NULL, CLI_FLAG, 0, NULL, NULL, 0, 0},
};

/* The module's own way to a device needs the module's own driver. NULL: vfio-pci, or whichever VFIO driver it has. */
static const char *wanted_driver(const struct cli *cli, const struct plan_values *v)
{
	if (!v->driver && cli->env.backend && !strcmp(cli->env.backend, "kmod"))
		return "quoll";
	return v->driver;
}

/* A plan for the arguments. Return: 0, or an exit status after the error was printed. */
static int make_plan(const struct cli *cli, const struct plan_values *v, struct quoll_plan *plan)
{
	const struct quoll_plan_opts opts = {.driver = wanted_driver(cli, v), .in_use = v->in_use};
	const struct quoll_addr **list;
	struct quoll_error err = {0};
	struct quoll_addr *addrs;
	int status = cli_addrs(cli, &addrs);

	if (status)
		return status;
	list = cli_addr_list(cli, addrs);
	if (!list)
		status = CLI_FAILED;
	else if (quoll_plan_make(&cli->env, list, cli->nr_args, &opts, plan, &err))
		status = cli_error(cli, &err);
	free(list);
	free(addrs);
	return status;
}

static int show_plan(const struct cli *cli, const struct quoll_plan *plan)
{
	int status = cli_emit(cli, describe_plan(plan), describe_plan_text);

	return status ? status : plan->nr_blocked ? CLI_FAILED : CLI_DONE;
}

static int run_plan(struct cli *cli, const void *values)
{
	struct quoll_plan plan;
	int status = make_plan(cli, values, &plan);

	if (status)
		return status;
	status = show_plan(cli, &plan);
	quoll_plan_free(&plan);
	return status;
}

/* What was done: the plan's document with the outcome and the next steps added. */
static json_t *describe_bound(const struct quoll_plan *plan, int nr_bound, const char *user)
{
	json_t *doc = describe_plan(plan);

	if (!doc || json_object_set_new(doc, "nr_bound", json_integer(nr_bound)) ||
	    json_object_set_new(doc, "user", user ? render_text(user) : json_null())) {
		json_decref(doc);
		return NULL;
	}
	return doc;
}

static void bound_text(FILE *f, const json_t *doc)
{
	const char *user = render_string(doc, "user");

	describe_plan_text(f, doc);
	fprintf(f, "%d bound; quoll restore puts the drivers back\n",
		(int)json_integer_value(json_object_get(doc, "nr_bound")));
	if (!user[0])
		return;
	fprintf(f,
		"%s may claim them without root, as far as RLIMIT_MEMLOCK lets DMA memory be pinned (8 MiB by "
		"default;\n"
		"see ulimit -l). To raise it from the next login on:\n"
		"  echo '%s - memlock unlimited' >/etc/security/limits.d/quoll.conf\n"
		"or for a running shell: prlimit --pid PID --memlock=unlimited\n",
		user, user);
}

/* Load the driver, once it is known that there are groups to bind: a machine without an IOMMU is told so first. */
static int load_driver(const struct cli *cli, const char *driver)
{
	struct quoll_group_list list = {0};
	struct quoll_error err = {0};
	struct quoll_addr *addrs;
	int status = cli_addrs(cli, &addrs);

	if (status)
		return status;
	if (quoll_group_read(&cli->env, &addrs[0], &list, &err) || modprobe_driver(&cli->env, driver, &err))
		status = cli_error(cli, &err);
	quoll_groups_free(&list);
	free(addrs);
	return status;
}

static int run_bind(struct cli *cli, const void *values)
{
	const struct plan_values *v = values;
	struct quoll_error err = {0};
	struct quoll_plan plan;
	const char *driver = wanted_driver(cli, v);
	int status = 0, nr_bound;

	if (!v->dry_run && !v->no_modprobe)
		status = load_driver(cli, driver ? driver : "vfio-pci");
	if (!status)
		status = make_plan(cli, v, &plan);
	if (status)
		return status;
	if (v->dry_run) {
		status = show_plan(cli, &plan);
		goto out;
	}
	nr_bound = quoll_bind(&cli->env, &plan, v->user, &err);
	if (nr_bound < 0)
		status = cli_error(cli, &err);
	else
		status = cli_emit(cli, describe_bound(&plan, nr_bound, v->user), bound_text);
out:
	quoll_plan_free(&plan);
	return status;
}

const struct cli_verb verb_plan = {
	.name = "plan",
	.args = "ADDR…",
	.min_args = 1,
	.max_args = 1024,
	.summary = "show what binding the groups of devices would do, and what forbids it",
	.details = "Changes nothing and needs no privilege. Exit status 1 if a use of a device forbids it.",
	.has_json = true,
	.options = plan_options,
	.defaults = &defaults,
	.values_bytes = sizeof(defaults),
	.run = run_plan,
};

const struct cli_verb verb_bind = {
	.name = "bind",
	.args = "ADDR…",
	.min_args = 1,
	.max_args = 1024,
	.summary = "take the groups of devices from their kernel drivers, all or nothing",
	.details =
		"Needs root. The drivers before are recorded; quoll restore puts them back. Loads the driver's module\n"
		"if it is missing.",
	.has_json = true,
	.options = bind_options,
	.defaults = &defaults,
	.values_bytes = sizeof(defaults),
	.run = run_bind,
};
