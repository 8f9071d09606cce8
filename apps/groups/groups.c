/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * groups.c - `quoll groups`: the IOMMU groups of the machine, or those that given devices are in.
 */
#include <errno.h>
#include <stdlib.h>

#include "quoll/verbs.h"

#include "describe.h"

/* The groups of the addresses, each once. */
static json_t *describe_some(const struct cli *cli, const struct quoll_addr *addrs, struct quoll_error *err)
{
	json_t *doc = json_pack("{s:[]}", "groups"), *groups = json_object_get(doc, "groups");

	for (unsigned int i = 0; i < cli->nr_args; i++) {
		struct quoll_group_list list;
		json_t *one, *known;
		bool twice = false;
		size_t k;

		if (quoll_group_read(&cli->env, &addrs[i], &list, err)) {
			json_decref(doc);
			return NULL;
		}
		one = describe_groups(&list);
		json_array_foreach(groups, k, known)
			twice |=
				list.nr_groups && json_integer_value(json_object_get(known, "id")) == list.groups[0].id;
		if (!twice)
			json_array_extend(groups, json_object_get(one, "groups"));
		json_decref(one);
		quoll_groups_free(&list);
	}
	return doc;
}

static int run_groups(struct cli *cli, const void *values)
{
	struct quoll_error err = {0};
	struct quoll_addr *addrs;
	json_t *doc = NULL;
	int status;

	(void)values;
	status = cli_addrs(cli, &addrs);
	if (status)
		return status;
	if (cli->nr_args) {
		doc = describe_some(cli, addrs, &err);
	} else {
		struct quoll_group_list list;

		if (!quoll_groups_read(&cli->env, &list, &err)) {
			doc = describe_groups(&list);
			quoll_groups_free(&list);
		}
	}
	free(addrs);
	if (!doc && err.errnum)
		return cli_error(cli, &err);
	return cli_emit(cli, doc, describe_groups_text);
}

const struct cli_verb verb_groups = {
	.name = "groups",
	.args = "[ADDR…]",
	.max_args = 1024,
	.summary = "show IOMMU groups, their devices and drivers, and what keeps them from being claimed",
	.details =
		"A group is the smallest set of devices that the IOMMU can tell apart: it is bound and claimed whole.\n"
		"With ADDR only the groups that those devices are in.",
	.has_json = true,
	.run = run_groups,
};
