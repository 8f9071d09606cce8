/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * describe.c - the JSON of groups and plans and its text.
 */
#include "quoll/render.h"

#include "describe.h"

static json_t *describe_uses(const struct quoll_member *member)
{
	json_t *uses = json_array();

	for (unsigned int i = 0; uses && i < member->nr_uses; i++) {
		json_t *use = json_pack("{s:s, s:o}", "kind", quoll_use_kind_name(member->uses[i].kind), "detail",
					render_text(member->uses[i].detail));

		if (!use || json_array_append_new(uses, use)) {
			json_decref(uses);
			return NULL;
		}
	}
	return uses;
}

/* Keep an array only if appending went well. Takes over both. */
static json_t *append(json_t *array, json_t *value)
{
	if (array && (!value || json_array_append_new(array, value))) {
		json_decref(array);
		return NULL;
	}
	if (!array)
		json_decref(value);
	return array;
}

static json_t *describe_member(const struct quoll_member *member)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:i, s:i, s:i, s:o, s:b, s:b, s:o}", "name",
			 render_text(member->name), "bus", render_text(member->bus), "driver",
			 render_text(member->driver), "class_name", render_text(member->class_name), "description",
			 render_text(member->description), "vendor_id", member->vendor_id, "device_id",
			 member->device_id, "class_code", (int)member->class_code, "numa_node",
			 member->numa_node < 0 ? json_null() : json_integer(member->numa_node), "is_bridge",
			 member->is_bridge, "blocks", member->blocks, "uses", describe_uses(member));
}

static json_t *describe_group(const struct quoll_group_desc *group)
{
	json_t *members = json_array();

	for (unsigned int i = 0; members && i < group->nr_members; i++)
		members = append(members, describe_member(&group->members[i]));
	return json_pack("{s:i, s:b, s:s, s:o, s:o, s:o}", "id", group->id, "viable", group->viable, "reason",
			 quoll_group_reason_name(group->reason), "why", render_text(group->why), "blocker",
			 group->blocker[0] ? render_text(group->blocker) : json_null(), "members", members);
}

json_t *describe_groups(const struct quoll_group_list *list)
{
	json_t *groups = json_array();

	for (unsigned int i = 0; groups && i < list->nr_groups; i++)
		groups = append(groups, describe_group(&list->groups[i]));
	return json_pack("{s:o}", "groups", groups);
}

/* Rows of the table: a member each; the group's columns are filled in on its first. */
static json_t *group_rows(const json_t *groups)
{
	json_t *rows = json_array();
	const json_t *group, *member;
	size_t g, m;

	json_array_foreach(groups, g, group) {
		json_array_foreach(json_object_get(group, "members"), m, member) {
			json_t *row = json_copy((json_t *)member);

			json_object_set_new(row, "group",
					    m ? json_string(" ") : json_incref(json_object_get(group, "id")));
			json_object_set_new(row, "viable",
					    m ? json_string(" ") : json_incref(json_object_get(group, "viable")));
			rows = append(rows, row);
		}
	}
	return rows;
}

/* A sentence of several lines, each after its indent. */
static void put_lines(FILE *f, const char *text)
{
	for (; *text; text++) {
		fputc(*text, f);
		if (*text == '\n')
			fputs("    ", f);
	}
	fputc('\n', f);
}

/* "0000:01:00.0 is in use, mounted: nvme0n1p1 at /" */
static void put_uses(FILE *f, const json_t *member, const char *indent)
{
	const json_t *use;
	size_t u;

	json_array_foreach(json_object_get(member, "uses"), u, use)
		fprintf(f, "%s%s is in use, %s: %s\n", indent, render_string(member, "name"),
			render_string(use, "kind"), render_string(use, "detail"));
}

/* What the table does not tell: why devices are together, what is used, what blocks a group of several. */
static void put_group(FILE *f, const json_t *group)
{
	const json_t *members = json_object_get(group, "members"), *member;
	bool viable = json_is_true(json_object_get(group, "viable")), several = json_array_size(members) > 1;
	int id = (int)json_integer_value(json_object_get(group, "id"));
	size_t m;

	if (several)
		fprintf(f, "group %d: together because %s\n", id, render_string(group, "why"));
	if (several && !viable) {
		fputs("  not viable: ", f);
		put_lines(f, render_string(group, "blocker"));
	}
	json_array_foreach(members, m, member)
		put_uses(f, member, several ? "  " : "");
}

void describe_groups_text(FILE *f, const json_t *doc)
{
	static const struct render_field columns[] = {
		{"GROUP", "group", RENDER_PLAIN, true},
		{"VIABLE", "viable", RENDER_PLAIN, false},
		{"DEVICE", "name", RENDER_PLAIN, false},
		{"DRIVER", "driver", RENDER_PLAIN, false},
		{"NUMA", "numa_node", RENDER_PLAIN, true},
		{"CLASS", "class_name", RENDER_PLAIN, false},
		{"DESCRIPTION", "description", RENDER_PLAIN, false},
		{NULL, NULL, RENDER_PLAIN, false},
	};
	const json_t *groups = json_object_get(doc, "groups"), *group;
	json_t *rows = group_rows(groups);
	bool all_viable = true;
	size_t g;

	render_table(f, rows, columns, "");
	json_decref(rows);
	fputc('\n', f);
	json_array_foreach(groups, g, group) {
		all_viable &= json_is_true(json_object_get(group, "viable"));
		put_group(f, group);
	}
	if (!all_viable)
		fputs("not viable: a device is with its kernel driver; quoll plan DEVICE shows what quoll bind DEVICE "
		      "would do\n",
		      f);
}

static const char *action_name(const struct quoll_plan_step *step)
{
	if (step->blocked)
		return "blocked";
	switch (step->action) {
	case QUOLL_ACTION_BIND:
		return step->to[0] ? "bind" : "release";
	case QUOLL_ACTION_KEEP:
		return "keep";
	default:
		return "leave";
	}
}

static json_t *describe_step(const struct quoll_plan_step *step)
{
	const struct quoll_member *member = step->member;

	return json_pack("{s:i, s:o, s:s, s:o, s:o, s:o, s:b, s:o, s:o}", "group", step->group, "name",
			 render_text(member->name), "action", action_name(step), "from", render_text(member->driver),
			 "to", step->action == QUOLL_ACTION_BIND ? render_text(step->to) : json_null(), "description",
			 render_text(member->description), "is_bridge", member->is_bridge, "class_name",
			 render_text(member->class_name), "uses", describe_uses(member));
}

json_t *describe_plan(const struct quoll_plan *plan)
{
	json_t *steps = json_array();

	for (unsigned int i = 0; steps && i < plan->nr_steps; i++)
		steps = append(steps, describe_step(&plan->steps[i]));
	return json_pack("{s:b, s:i, s:o}", "possible", plan->nr_blocked == 0, "nr_blocked", (int)plan->nr_blocked,
			 "steps", steps);
}

void describe_plan_text(FILE *f, const json_t *doc)
{
	static const struct render_field columns[] = {
		{"GROUP", "group", RENDER_PLAIN, true}, {"DEVICE", "name", RENDER_PLAIN, false},
		{"DO", "action", RENDER_PLAIN, false},	{"FROM", "from", RENDER_PLAIN, false},
		{"TO", "to", RENDER_PLAIN, false},	{"DESCRIPTION", "description", RENDER_PLAIN, false},
		{NULL, NULL, RENDER_PLAIN, false},
	};
	const json_t *steps = json_object_get(doc, "steps"), *step;
	size_t s;

	render_table(f, steps, columns, "");
	json_array_foreach(steps, s, step)
		put_uses(f, step, "");
	if (!json_is_true(json_object_get(doc, "possible")))
		fputs("blocked: end these uses first; --in-use takes the devices all the same\n", f);
}
