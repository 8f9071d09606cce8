/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * restore.c - `quoll restore`: the drivers that were there before `quoll bind`.
 */
#include <stdio.h>
#include <stdlib.h>

#include <quoll/group.h>

#include "quoll/render.h"
#include "quoll/verbs.h"

static json_t *describe_restored(const struct quoll_restored *done, unsigned int nr_done)
{
	json_t *doc = json_pack("{s:[]}", "restored"), *list = json_object_get(doc, "restored");

	for (unsigned int i = 0; i < nr_done; i++) {
		json_t *one = json_pack("{s:o, s:o, s:o, s:b}", "name", render_text(done[i].name), "from",
					render_text(done[i].from), "to", render_text(done[i].to), "gone", done[i].gone);

		if (!one || json_array_append_new(list, one)) {
			json_decref(doc);
			return NULL;
		}
	}
	return doc;
}

static void restored_text(FILE *f, const json_t *doc)
{
	static const struct render_field columns[] = {
		{"DEVICE", "name", RENDER_PLAIN, false},
		{"FROM", "from", RENDER_PLAIN, false},
		{"TO", "to", RENDER_PLAIN, false},
		{NULL, NULL, RENDER_PLAIN, false},
	};
	const json_t *list = json_object_get(doc, "restored");

	render_table(f, list, columns, "");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *one = json_array_get(list, i);

		if (json_is_true(json_object_get(one, "gone")))
			fprintf(f, "%s is not there any more: what was recorded for it is forgotten\n",
				render_string(one, "name"));
	}
	if (!json_array_size(list))
		fputs("nothing to restore\n", f);
}

static int run_restore(struct cli *cli, const void *values)
{
	struct quoll_restored *done = NULL;
	const struct quoll_addr **list;
	struct quoll_error err = {0};
	struct quoll_addr *addrs;
	unsigned int nr_done = 0;
	int status, ret;

	(void)values;
	status = cli_addrs(cli, &addrs);
	if (status)
		return status;
	list = cli_addr_list(cli, addrs);
	if (!list) {
		free(addrs);
		return CLI_FAILED;
	}
	ret = quoll_restore(&cli->env, list, cli->nr_args, &done, &nr_done, &err);
	/* what went back before a failure is told too */
	if (!ret || nr_done)
		status = cli_emit(cli, describe_restored(done, nr_done), restored_text);
	if (ret)
		status = cli_error(cli, &err);
	free(done);
	free(list);
	free(addrs);
	return status;
}

const struct cli_verb verb_restore = {
	.name = "restore",
	.args = "[ADDR…]",
	.max_args = 1024,
	.summary = "put back the drivers that were there before quoll bind",
	.details = "With ADDR only the groups that those devices are in. Needs root.",
	.has_json = true,
	.run = run_restore,
};
