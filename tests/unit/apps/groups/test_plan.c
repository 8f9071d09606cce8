/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_plan.c - `quoll plan` and `quoll bind` on a machine in a folder: which driver the way to the devices asks for.
 */
#include <stdlib.h>
#include <string.h>

#include "eal/group/fake.h"
#include "quoll/verbs.h"

#include "unit.h"

/* A slot of two functions: one that is asked for, and the other member. */
#define NIC_PATH "pci0000:00/0000:00:1c.0/0000:01:00.0"
#define NIC "0000:01:00.0"
#define DISK_PATH "pci0000:00/0000:00:1c.0/0000:01:00.1"

struct wish {
	const char *variable; /* QUOLL_BACKEND; NULL: not set */
	const char *backend;  /* --backend */
	const char *driver;   /* --driver */
	const char *bound;    /* what the member asked for is with */
	const char *action;
	const char *to; /* NULL: nowhere */
	const char *other_to;
};

static const struct wish wishes[] = {
	{NULL, NULL, NULL, "e1000e", "bind", "vfio-pci", "vfio-pci"},
	{NULL, "vfio", NULL, "e1000e", "bind", "vfio-pci", "vfio-pci"},
	{NULL, "iommufd", NULL, "e1000e", "bind", "vfio-pci", "vfio-pci"},
	{NULL, "kmod", NULL, "e1000e", "bind", "quoll", "quoll"},
	{NULL, NULL, "quoll", "e1000e", "bind", "quoll", "quoll"},
	/* what is asked for in so many words is meant */
	{NULL, "kmod", "vfio-pci", "e1000e", "bind", "vfio-pci", "vfio-pci"},
	{NULL, "vfio", "quoll", "e1000e", "bind", "quoll", "quoll"},
	{"kmod", NULL, NULL, "e1000e", "bind", "quoll", "quoll"},
	{"kmod", "vfio", NULL, "e1000e", "bind", "vfio-pci", "vfio-pci"},
	{"vfio", "kmod", NULL, "e1000e", "bind", "quoll", "quoll"},
	{"", NULL, NULL, "e1000e", "bind", "vfio-pci", "vfio-pci"},
	/* VFIO's ways work with the module's driver, too; the module's with no other */
	{NULL, NULL, NULL, "quoll", "keep", NULL, "vfio-pci"},
	{NULL, "vfio", NULL, "quoll", "keep", NULL, "vfio-pci"},
	{NULL, "kmod", NULL, "quoll", "keep", NULL, "quoll"},
	{NULL, "kmod", NULL, "vfio-pci", "bind", "quoll", "quoll"},
	{NULL, "kmod", NULL, "", "bind", "quoll", "quoll"},
};

/* Run a verb on the machine for NIC. Return: its output, parsed, or NULL; to be freed. */
static json_t *run(struct fake *f, const struct cli_verb *verb, bool dry_run, const struct wish *w)
{
	char *argv[12] = {(char *)verb->name, "--root", f->root, "--json"};
	struct cli cli = {.verb = verb};
	char *output = NULL;
	int argc = 4, status;
	json_t *doc;
	size_t len;

	if (dry_run)
		argv[argc++] = "--dry-run";
	if (w->backend) {
		argv[argc++] = "--backend";
		argv[argc++] = (char *)w->backend;
	}
	if (w->driver) {
		argv[argc++] = "--driver";
		argv[argc++] = (char *)w->driver;
	}
	argv[argc++] = NIC;
	if (w->variable)
		setenv("QUOLL_BACKEND", w->variable, 1);
	else
		unsetenv("QUOLL_BACKEND");
	cli.out = cli.err = open_memstream(&output, &len);
	status = cli_run(&cli, argc, argv);
	fclose(cli.out);
	CU_ASSERT_EQUAL(status, CLI_DONE);
	doc = json_loads(output, 0, NULL);
	free(output);
	unsetenv("QUOLL_BACKEND");
	return doc;
}

static bool is_text(const json_t *value, const char *text)
{
	return text ? json_is_string(value) && !strcmp(json_string_value(value), text) : json_is_null(value);
}

static void check_wish(const struct cli_verb *verb, bool dry_run, size_t nr)
{
	const struct wish *w = &wishes[nr];
	const struct fake_device devices[] = {
		{NIC_PATH, 1, 0x020000, w->bound, CONFIG_PCI},
		{DISK_PATH, 1, 0x010802, "nvme", CONFIG_PCI},
	};
	json_t *doc, *steps, *nic, *disk;
	struct fake f;

	fake_open(&f, devices, 2);
	fake_driver(&f, "quoll");
	doc = run(&f, verb, dry_run, w);
	steps = json_object_get(doc, "steps");
	CU_ASSERT_EQUAL(json_array_size(steps), 2);
	nic = json_array_get(steps, 0);
	disk = json_array_get(steps, 1);
	if (!is_text(json_object_get(nic, "action"), w->action) || !is_text(json_object_get(nic, "to"), w->to) ||
	    !is_text(json_object_get(disk, "action"), "bind") || !is_text(json_object_get(disk, "to"), w->other_to)) {
		fprintf(stderr, "wish %zu: ", nr);
		json_dumpf(doc, stderr, JSON_COMPACT);
		CU_FAIL("another driver");
	}
	json_decref(doc);
	fake_close(&f);
}

static void a_plan_has_the_driver_that_the_back_end_needs(void)
{
	for (size_t i = 0; i < sizeof(wishes) / sizeof(wishes[0]); i++)
		check_wish(&verb_plan, false, i);
}

static void bind_takes_the_same(void)
{
	for (size_t i = 0; i < sizeof(wishes) / sizeof(wishes[0]); i++)
		check_wish(&verb_bind, true, i);
}

static const struct unit_test tests[] = {
	{"a plan has the driver that the back-end needs, or that was asked for",
	 a_plan_has_the_driver_that_the_back_end_needs},
	{"bind takes the same", bind_takes_the_same},
};

UNIT_MAIN("plan and bind", tests)
