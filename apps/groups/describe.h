/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * describe.h - groups, members and plans as JSON, and as text made from that; shared by the set-up verbs.
 */
#ifndef QUOLL_APPS_DESCRIBE_H
#define QUOLL_APPS_DESCRIBE_H

#include <jansson.h>
#include <quoll/group.h>
#include <stdio.h>

/**
 * describe_groups() - {"groups": […]}. Return: NULL without memory.
 */
json_t *describe_groups(const struct quoll_group_list *list);
void describe_groups_text(FILE *f, const json_t *doc);

/**
 * describe_plan() - {"possible": …, "steps": […]}. Return: NULL without memory.
 */
json_t *describe_plan(const struct quoll_plan *plan);
void describe_plan_text(FILE *f, const json_t *doc);

#endif
