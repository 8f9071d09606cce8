/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * plan.c - what claiming devices means: a step for every member of every group they are in. Changes nothing.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define DEFAULT_DRIVER "vfio-pci"

struct planner {
	const struct quoll_env *env;
	const struct quoll_addr *const *addrs;
	unsigned int nr_addrs;
	const char *driver; /* as asked for; NULL: any VFIO driver will do */
	bool in_use;
};

static bool asked_for(const struct planner *p, const char *name)
{
	for (unsigned int i = 0; i < p->nr_addrs; i++)
		if (!strcmp(p->addrs[i]->target, name))
			return true;
	return false;
}

/*
 * A host or ISA bridge without a driver does not block and is nobody's to drive; drivers without DMA neither. Both are
 * bound only if named.
 */
static enum quoll_action endpoint_action(const struct planner *p, const struct quoll_member *m)
{
	const char *to = p->driver ? p->driver : DEFAULT_DRIVER;

	switch (driver_kind_of(m->driver)) {
	case DRIVER_VFIO:
		return p->driver && strcmp(m->driver, to) != 0 ? QUOLL_ACTION_BIND : QUOLL_ACTION_KEEP;
	case DRIVER_NO_DMA:
		return asked_for(p, m->name) ? QUOLL_ACTION_BIND : QUOLL_ACTION_LEAVE;
	case DRIVER_NONE:
		return m->class_code >> 16 == 0x06 && !asked_for(p, m->name) ? QUOLL_ACTION_LEAVE : QUOLL_ACTION_BIND;
	case DRIVER_KERNEL:
		break;
	}
	return QUOLL_ACTION_BIND;
}

static int plan_step(const struct planner *p, int group, const struct quoll_member *m, struct quoll_plan_step *step,
		     struct quoll_error *err)
{
	*step = (struct quoll_plan_step){.group = group, .member = m, .action = QUOLL_ACTION_LEAVE};
	if (strcmp(m->bus, "pci") != 0) {
		if (!m->blocks)
			return 0;
		quoll_error_set(err, ENOTSUP, "plan", m->name,
				"it is a member of group %d on the bus \"%s\" with the kernel driver %s, and only PCI "
				"devices can be bound",
				group, m->bus, m->driver);
		quoll_error_hint(err, "take it from its driver by hand: echo %s >%s/bus/%s/drivers/%s/unbind", m->name,
				 quoll_env_sysfs(p->env), m->bus, m->driver);
		return -ENOTSUP;
	}
	if (m->is_bridge) {
		step->action = m->blocks ? QUOLL_ACTION_BIND : QUOLL_ACTION_LEAVE;
		return 0;
	}
	step->action = endpoint_action(p, m);
	if (step->action == QUOLL_ACTION_BIND) {
		snprintf(step->to, sizeof(step->to), "%s", p->driver ? p->driver : DEFAULT_DRIVER);
		step->blocked = m->nr_uses && !p->in_use;
	}
	return 0;
}

/*
 * A variant that was asked for must be there. vfio-pci itself may be loaded later: a plan needs no privilege, loading
 * does, and bind looks again.
 */
static int check_driver(const struct planner *p, const struct quoll_plan *plan, struct quoll_error *err)
{
	for (unsigned int i = 0; i < plan->nr_steps; i++)
		if (plan->steps[i].action == QUOLL_ACTION_BIND && plan->steps[i].to[0] && p->driver)
			return driver_loaded(p->env, plan->steps[i].to, err);
	return 0;
}

static int plan_steps(const struct planner *p, struct quoll_plan *plan, struct quoll_error *err)
{
	const struct quoll_group_list *list = &plan->groups;
	unsigned int nr = 0;
	int rc = 0;

	for (unsigned int g = 0; g < list->nr_groups; g++)
		nr += list->groups[g].nr_members;
	plan->steps = calloc(nr ? nr : 1, sizeof(*plan->steps));
	if (!plan->steps)
		return quoll_error_set(err, ENOMEM, "plan", NULL, "out of memory");
	for (unsigned int g = 0; g < list->nr_groups && !rc; g++) {
		for (unsigned int i = 0; i < list->groups[g].nr_members && !rc; i++) {
			struct quoll_plan_step *step = &plan->steps[plan->nr_steps++];

			rc = plan_step(p, list->groups[g].id, &list->groups[g].members[i], step, err);
			plan->nr_blocked += step->blocked ? 1 : 0;
		}
	}
	return rc ? rc : check_driver(p, plan, err);
}

int plan_make(struct describer *d, const struct planner_args *args, struct quoll_plan *plan, struct quoll_error *err)
{
	struct planner p = {.env = d->env, .addrs = args->addrs, .nr_addrs = args->nr_addrs};
	int rc = 0;

	*plan = (struct quoll_plan){0};
	if (args->opts) {
		p.driver = args->opts->driver;
		p.in_use = args->opts->in_use;
	}
	if (p.driver && (!driver_name_valid(p.driver) || driver_kind_of(p.driver) != DRIVER_VFIO)) {
		quoll_error_set(err, EINVAL, "plan", p.driver, "it is not a VFIO driver");
		quoll_error_hint(err, "leave it out for vfio-pci, or name a variant of it");
		return -EINVAL;
	}
	for (unsigned int i = 0; i < p.nr_addrs && !rc; i++) {
		rc = group_id_of(d->env, p.addrs[i], err);
		if (rc >= 0)
			rc = describe_group(d, rc, &plan->groups, err);
	}
	if (!rc)
		rc = plan_steps(&p, plan, err);
	if (rc)
		quoll_plan_free(plan);
	return rc;
}

int quoll_plan_make(const struct quoll_env *env, const struct quoll_addr *const *addrs, unsigned int nr_addrs,
		    const struct quoll_plan_opts *opts, struct quoll_plan *plan, struct quoll_error *err)
{
	const struct planner_args args = {.addrs = addrs, .nr_addrs = nr_addrs, .opts = opts};
	struct describer d;
	int rc = describer_open(&d, env, &group_io_real, err);

	*plan = (struct quoll_plan){0};
	if (rc)
		return rc;
	d.ask_disks = true;
	rc = plan_make(&d, &args, plan, err);
	describer_close(&d);
	return rc;
}

void quoll_plan_free(struct quoll_plan *plan)
{
	free(plan->steps);
	quoll_groups_free(&plan->groups);
	*plan = (struct quoll_plan){0};
}
