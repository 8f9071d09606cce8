/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_describe.c - groups and plans as JSON and text, and the set-up verbs on a tree without an IOMMU.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "groups/describe.h"
#include "quoll/verbs.h"

#include "unit.h"

static struct quoll_use mounted = {.kind = QUOLL_USE_MOUNTED, .detail = "nvme0n1p1 at /"};

static struct quoll_member members[] = {
	{.name = "0000:01:00.0",
	 .bus = "pci",
	 .driver = "nvme",
	 .class_name = "Non-Volatile memory controller",
	 .class_code = 0x010802,
	 .numa_node = -1,
	 .blocks = true,
	 .nr_uses = 1,
	 .uses = &mounted},
	{.name = "0000:01:00.1", .bus = "pci", .description = "caf\xe9", .numa_node = 1},
};

static struct quoll_group_desc group = {
	.id = 14,
	.reason = QUOLL_GROUP_MULTIFUNCTION,
	.why = "functions of one slot",
	.blocker = "0000:01:00.0 is with nvme",
	.nr_members = 2,
	.members = members,
};

static char *text_of(json_t *doc, void (*text)(FILE *f, const json_t *doc))
{
	char *output = NULL;
	size_t len;
	FILE *f = open_memstream(&output, &len);

	text(f, doc);
	fclose(f);
	json_decref(doc);
	return output;
}

static void groups_have_stable_keys(void)
{
	struct quoll_group_list list = {.nr_groups = 1, .groups = &group};
	json_t *doc = describe_groups(&list), *one, *member;

	CU_ASSERT_PTR_NOT_NULL_FATAL(doc);
	one = json_array_get(json_object_get(doc, "groups"), 0);
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(one, "id")), 14);
	CU_ASSERT_TRUE(json_is_false(json_object_get(one, "viable")));
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(one, "blocker")), "0000:01:00.0 is with nvme");
	member = json_array_get(json_object_get(one, "members"), 0);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(member, "name")), "0000:01:00.0");
	CU_ASSERT_TRUE(json_is_null(json_object_get(member, "numa_node")));
	CU_ASSERT_EQUAL(json_array_size(json_object_get(member, "uses")), 1);
	member = json_array_get(json_object_get(one, "members"), 1);
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(member, "numa_node")), 1);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(member, "description")), "caf?");
	json_decref(doc);
}

static void groups_text_tells_why_what_blocks_and_what_is_used(void)
{
	struct quoll_group_list list = {.nr_groups = 1, .groups = &group};
	char *text = text_of(describe_groups(&list), describe_groups_text);

	CU_ASSERT_PTR_NOT_NULL(strstr(text, "   14  no      0000:01:00.0  nvme "));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\n               0000:01:00.1  - "));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\ngroup 14: together because functions of one slot\n"
					    "  not viable: 0000:01:00.0 is with nvme\n"
					    "  0000:01:00.0 is in use, "));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, ": nvme0n1p1 at /\n"));
	free(text);
}

static void a_blocked_plan_says_so_and_how_to_override(void)
{
	struct quoll_plan_step steps[] = {
		{.group = 14, .member = &members[0], .action = QUOLL_ACTION_BIND, .to = "vfio-pci", .blocked = true},
		{.group = 14, .member = &members[1], .action = QUOLL_ACTION_LEAVE},
	};
	struct quoll_plan plan = {.nr_steps = 2, .steps = steps, .nr_blocked = 1};
	char *text = text_of(describe_plan(&plan), describe_plan_text);

	CU_ASSERT_PTR_NOT_NULL(strstr(text, "0000:01:00.0  blocked  nvme  vfio-pci"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "0000:01:00.1  leave    -     - "));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "nvme0n1p1 at /"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "--in-use"));
	free(text);
	steps[0].blocked = false;
	plan.nr_blocked = 0;
	text = text_of(describe_plan(&plan), describe_plan_text);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "0000:01:00.0  bind "));
	CU_ASSERT_PTR_NULL(strstr(text, "--in-use"));
	free(text);
}

static void without_an_iommu_every_verb_fails_with_a_way_out(void)
{
	const struct cli_verb *const verbs[] = {&verb_groups, &verb_plan, &verb_bind, &verb_nvme_list,
						&verb_nvme_identify};
	char root[] = "/tmp/quoll-test-XXXXXX";

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(root));
	for (unsigned int i = 0; i < 5; i++) {
		char *argv[] = {"verb", "--root", root, "0000:01:00.0", NULL};
		struct cli cli = {.verb = verbs[i]};
		char *output = NULL;
		size_t len;

		cli.out = cli.err = open_memstream(&output, &len);
		CU_ASSERT_EQUAL(cli_run(&cli, verbs[i] == &verb_groups ? 3 : 4, argv), CLI_FAILED);
		fclose(cli.out);
		CU_ASSERT_PTR_NOT_NULL(strstr(output, "\ntry: "));
		CU_ASSERT_EQUAL(strncmp(output, "quoll ", 6), 0);
		free(output);
	}
	rmdir(root);
}

static const struct unit_test tests[] = {
	{"groups have stable keys", groups_have_stable_keys},
	{"groups as text tell why, what blocks and what is used", groups_text_tells_why_what_blocks_and_what_is_used},
	{"a blocked plan says so and how to override", a_blocked_plan_says_so_and_how_to_override},
	{"without an IOMMU every verb fails with a way out", without_an_iommu_every_verb_fails_with_a_way_out},
};

UNIT_MAIN("groups and plans as JSON and text", tests)
