/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake.h"
#include "unit.h"

#define PORT "pci0000:00/0000:00:1c.0"
#define HERE "0000:01:00.0" /* the device that is asked for */

static const struct quoll_plan_step *step_of(const struct quoll_plan *plan, const char *name)
{
	for (unsigned int i = 0; i < plan->nr_steps; i++)
		if (!strcmp(plan->steps[i].member->name, name))
			return &plan->steps[i];
	return NULL;
}

struct rule {
	const char *driver; /* the plan's option */
	bool asked;	    /* is it the device that is asked for, or another member? */
	uint32_t class_code;
	const char *bound; /* as in struct fake_device */
	enum quoll_action action;
	const char *to;
};

static const struct rule rules[] = {
	{NULL, true, 0x020000, "e1000e", QUOLL_ACTION_BIND, "vfio-pci"},
	{NULL, false, 0x020000, "e1000e", QUOLL_ACTION_BIND, "vfio-pci"},
	{NULL, false, 0x020000, "", QUOLL_ACTION_BIND, "vfio-pci"},
	{NULL, true, 0x020000, "vfio-pci", QUOLL_ACTION_KEEP, ""},
	{NULL, false, 0x020000, "mlx5_vfio_pci", QUOLL_ACTION_KEEP, ""},
	{"mlx5_vfio_pci", false, 0x020000, "vfio-pci", QUOLL_ACTION_BIND, "mlx5_vfio_pci"},
	{"vfio-pci", false, 0x020000, "vfio-pci", QUOLL_ACTION_KEEP, ""},
	{"vfio-pci", false, 0x020000, "mlx5_vfio_pci", QUOLL_ACTION_BIND, "vfio-pci"},
	{NULL, true, 0x020000, "quoll", QUOLL_ACTION_KEEP, ""},
	{"quoll", false, 0x020000, "vfio-pci", QUOLL_ACTION_BIND, "quoll"},
	{NULL, false, 0x020000, "pci-stub", QUOLL_ACTION_LEAVE, ""},
	{NULL, true, 0x020000, "pci-stub", QUOLL_ACTION_BIND, "vfio-pci"},
	{NULL, false, 0x060100, "", QUOLL_ACTION_LEAVE, ""},
	{NULL, true, 0x060100, "", QUOLL_ACTION_BIND, "vfio-pci"},
	{NULL, false, 0x060100, "lpc_ich", QUOLL_ACTION_BIND, "vfio-pci"},
	{NULL, false, 0x060400, "", QUOLL_ACTION_LEAVE, ""},
	{NULL, true, 0x060400, "", QUOLL_ACTION_LEAVE, ""},
	{NULL, false, 0x060400, "pcieport", QUOLL_ACTION_LEAVE, ""},
	{NULL, false, 0x060400, "shpchp", QUOLL_ACTION_BIND, ""},
};

static void test_rules(void)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		const struct rule *r = &rules[i];
		enum fake_config config = r->class_code == 0x060400 ? CONFIG_PCI_BRIDGE : CONFIG_PCI;
		const struct fake_device devices[] = {
			{PORT "/" HERE, 1, r->asked ? r->class_code : 0x010802, r->asked ? r->bound : "nvme",
			 r->asked ? config : CONFIG_PCI},
			{PORT "/0000:01:00.1", 1, r->asked ? 0x010802 : r->class_code, r->asked ? "nvme" : r->bound,
			 r->asked ? CONFIG_PCI : config},
		};
		const struct quoll_plan_opts opts = {.driver = r->driver};
		const struct quoll_plan_step *s;
		struct quoll_error err = {0};
		struct quoll_plan plan;
		struct fake f;

		fake_open(&f, devices, 2);
		fake_driver(&f, "mlx5_vfio_pci");
		fake_driver(&f, "quoll");
		CU_ASSERT_EQUAL_FATAL(fake_plan(&f, HERE, &opts, &plan, &err), 0);
		CU_ASSERT_EQUAL(plan.nr_steps, 2);
		s = step_of(&plan, r->asked ? HERE : "0000:01:00.1");
		CU_ASSERT_PTR_NOT_NULL_FATAL(s);
		if (s->action != r->action || strcmp(s->to, r->to) != 0) {
			fprintf(stderr, "rule %zu: action %d to \"%s\"\n", i, s->action, s->to);
			CU_FAIL("wrong action");
		}
		CU_ASSERT_EQUAL(s->group, 1);
		CU_ASSERT_FALSE(s->blocked);
		quoll_plan_free(&plan);
		fake_close(&f);
	}
}

static void test_whole_groups_once(void)
{
	struct quoll_addr a[3];
	const struct quoll_addr *const addrs[] = {&a[0], &a[1], &a[2]};
	const struct planner_args args = {.addrs = addrs, .nr_addrs = 3};
	static const char *const order[] = {LAB_SLOT0, LAB_SLOT1, LAB_DRIVE};
	struct quoll_error err = {0};
	struct quoll_plan plan;
	struct describer d;
	struct fake f;
	char before[4096], after[4096];

	fake_open(&f, fake_lab, fake_lab_nr);
	fake_state(&f, before, sizeof(before));
	quoll_addr_parse(LAB_SLOT1, &a[0], NULL);
	quoll_addr_parse(LAB_DRIVE, &a[1], NULL);
	quoll_addr_parse(LAB_SLOT0, &a[2], NULL);
	CU_ASSERT_EQUAL_FATAL(describer_open(&d, &f.env, &f.io, &err), 0);
	CU_ASSERT_EQUAL_FATAL(plan_make(&d, &args, &plan, &err), 0);
	describer_close(&d);
	CU_ASSERT_EQUAL_FATAL(plan.nr_steps, 3);
	for (int i = 0; i < 3; i++) {
		CU_ASSERT_STRING_EQUAL(plan.steps[i].member->name, order[i]);
		CU_ASSERT_EQUAL(plan.steps[i].action, QUOLL_ACTION_BIND);
	}
	quoll_plan_free(&plan);
	CU_ASSERT_PTR_NULL(plan.steps);
	fake_state(&f, after, sizeof(after));
	CU_ASSERT_STRING_EQUAL(before, after);
	CU_ASSERT_EQUAL(f.nr_ops, 0);
	CU_ASSERT_FALSE(path_exists(f.run));
	fake_close(&f);
}

static void test_bridge_group(void)
{
	struct quoll_error err = {0};
	struct quoll_plan plan;
	struct fake f;

	fake_open(&f, fake_lab, fake_lab_nr);
	CU_ASSERT_EQUAL_FATAL(fake_plan(&f, LAB_OLD1, NULL, &plan, &err), 0);
	CU_ASSERT_EQUAL(plan.nr_steps, 3);
	CU_ASSERT_EQUAL(step_of(&plan, LAB_BRIDGE)->action, QUOLL_ACTION_BIND);
	CU_ASSERT_STRING_EQUAL(step_of(&plan, LAB_BRIDGE)->to, "");
	CU_ASSERT_STRING_EQUAL(step_of(&plan, LAB_OLD0)->to, "vfio-pci");
	quoll_plan_free(&plan);
	fake_close(&f);
}

static void test_blocked_by_any_member(void)
{
	const struct quoll_plan_opts in_use = {.in_use = true};
	struct quoll_error err = {0};
	struct quoll_plan plan;
	struct fake f;

	fake_open(&f, fake_lab, fake_lab_nr);
	fake_nic(&f, LAB_SLOT1_PATH, "eth0", true);
	fake_address(&f, "eth0", "192.0.2.1");
	CU_ASSERT_EQUAL_FATAL(fake_plan(&f, LAB_SLOT0, NULL, &plan, &err), 0);
	CU_ASSERT_EQUAL(plan.nr_blocked, 1);
	CU_ASSERT_FALSE(step_of(&plan, LAB_SLOT0)->blocked);
	CU_ASSERT_TRUE(step_of(&plan, LAB_SLOT1)->blocked);
	quoll_plan_free(&plan);
	CU_ASSERT_EQUAL_FATAL(fake_plan(&f, LAB_SLOT0, &in_use, &plan, &err), 0);
	CU_ASSERT_EQUAL(plan.nr_blocked, 0);
	CU_ASSERT_EQUAL(step_of(&plan, LAB_SLOT1)->member->nr_uses, 1);
	quoll_plan_free(&plan);
	fake_close(&f);
}

static void test_driver_missing(void)
{
	const struct quoll_plan_opts variant = {.driver = "mlx5_vfio_pci"};
	struct quoll_error err = {0};
	struct quoll_plan plan;
	struct fake f;

	fake_open(&f, fake_lab, fake_lab_nr);
	CU_ASSERT_EQUAL(fake_plan(&f, LAB_DRIVE, &variant, &plan, &err), -ENOENT);
	CU_ASSERT_STRING_EQUAL(err.hint, "modprobe mlx5_vfio_pci");
	CU_ASSERT_PTR_NULL(plan.steps);
	fake_remove(&f, "sys/bus/pci/drivers/vfio-pci");
	/* vfio-pci can be loaded when it comes to binding */
	CU_ASSERT_EQUAL_FATAL(fake_plan(&f, LAB_DRIVE, NULL, &plan, &err), 0);
	CU_ASSERT_STRING_EQUAL(plan.steps[0].to, "vfio-pci");
	quoll_plan_free(&plan);
	fake_close(&f);
}

static void test_driver_that_is_no_vfio(void)
{
	static const char *const names[] = {"e1000e",	"",	  "../vfio-pci",
					    "vfio/pci", "vfio\n", "vfio-with-a-name-longer-than-fits-into-it"};
	struct quoll_error err = {0};
	struct quoll_plan plan;
	struct fake f;

	fake_open(&f, fake_lab, fake_lab_nr);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const struct quoll_plan_opts opts = {.driver = names[i]};

		CU_ASSERT_EQUAL(fake_plan(&f, LAB_DRIVE, &opts, &plan, &err), -EINVAL);
	}
	fake_close(&f);
}

static void test_no_such_device(void)
{
	struct quoll_error err = {0};
	struct quoll_plan plan;
	struct fake f;

	fake_open(&f, fake_lab, fake_lab_nr);
	CU_ASSERT_EQUAL(fake_plan(&f, "7f:00.0", NULL, &plan, &err), -ENOENT);
	CU_ASSERT_STRING_EQUAL(err.subject, "0000:7f:00.0");
	CU_ASSERT_EQUAL(fake_plan(&f, "null:", NULL, &plan, &err), -EINVAL);
	fake_close(&f);
}

static void test_member_on_other_bus(void)
{
	static const struct fake_device busy[] = {
		{PORT "/" HERE, 1, 0x010802, "nvme", CONFIG_PCIE},
		{"platform/dma", 1, 0, "pl330", CONFIG_PCI},
	};
	static const struct fake_device idle[] = {
		{PORT "/" HERE, 1, 0x010802, "nvme", CONFIG_PCIE},
		{"platform/dma", 1, 0, "", CONFIG_PCI},
	};
	struct quoll_error err = {0};
	struct quoll_plan plan;
	struct fake f;

	fake_open(&f, busy, 2);
	CU_ASSERT_EQUAL(fake_plan(&f, HERE, NULL, &plan, &err), -ENOTSUP);
	CU_ASSERT_STRING_EQUAL(err.subject, "dma");
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "pl330"));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "unbind"));
	fake_close(&f);
	fake_open(&f, idle, 2);
	CU_ASSERT_EQUAL_FATAL(fake_plan(&f, HERE, NULL, &plan, &err), 0);
	CU_ASSERT_EQUAL(step_of(&plan, "dma")->action, QUOLL_ACTION_LEAVE);
	quoll_plan_free(&plan);
	fake_close(&f);
}

static const struct unit_test tests[] = {
	{"each kind of member gets its action", test_rules},
	{"whole groups, each once, in the order asked for, and nothing changes", test_whole_groups_once},
	{"a bridge is only taken from a driver that blocks", test_bridge_group},
	{"a member in use blocks the plan, unless that is allowed", test_blocked_by_any_member},
	{"a variant that is not loaded is named with its modprobe, vfio-pci may come later", test_driver_missing},
	{"a driver that is none of VFIO's is refused", test_driver_that_is_no_vfio},
	{"no such device, no PCI address", test_no_such_device},
	{"a member that cannot be bound is named", test_member_on_other_bus},
};

UNIT_MAIN("eal/group/plan", tests)
