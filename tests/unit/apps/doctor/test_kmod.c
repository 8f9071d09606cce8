/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_kmod.c - what `quoll doctor` says of quoll.ko, on a machine in a folder with a module behind it.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "eal/backend/fake_kmod.h"
#include "quoll/render.h"
#include "quoll/verbs.h"

#include "unit.h"

#define NOBODY 65534

static struct fake f;

static void begin(void)
{
	unsetenv("QUOLL_BACKEND");
	fake_kmod_open(&f);
	fake_driver(&f, "quoll");
}

/* quoll doctor --json, or its text; to be freed. */
static char *doctor(const char *backend, bool json)
{
	char *argv[8] = {"doctor", "--root", f.root}, *output = NULL;
	struct cli cli = {.verb = &verb_doctor};
	int argc = 3;
	size_t len;

	if (json)
		argv[argc++] = "--json";
	if (backend) {
		argv[argc++] = "--backend";
		argv[argc++] = (char *)backend;
	}
	cli.out = cli.err = open_memstream(&output, &len);
	cli_run(&cli, argc, argv);
	fclose(cli.out);
	return output;
}

/* One check of the document, to be freed. */
static json_t *check_named(const char *name, const char *backend)
{
	char *output = doctor(backend, true);
	json_t *doc = json_loads(output, 0, NULL), *one, *found = NULL;
	size_t i;

	free(output);
	json_array_foreach(json_object_get(doc, "checks"), i, one)
		if (!strcmp(render_string(one, "check"), name))
			found = json_incref(one);
	json_decref(doc);
	CU_ASSERT_PTR_NOT_NULL_FATAL(found);
	return found;
}

static const json_t *fact(const json_t *check, const char *name)
{
	return json_object_get(json_object_get(check, "facts"), name);
}

/* The status, and pieces of what was found and of what mends it; NULL: nothing is to be mended. */
static void expect(const json_t *check, const char *status, const char *found, const char *hint)
{
	CU_ASSERT_STRING_EQUAL(render_string(check, "status"), status);
	if (!strstr(render_string(check, "found"), found)) {
		fprintf(stderr, "found: %s\n", render_string(check, "found"));
		CU_FAIL("found something else");
	}
	if (hint)
		CU_ASSERT_PTR_NOT_NULL(strstr(render_string(check, "try"), hint));
	CU_ASSERT_EQUAL(json_is_null(json_object_get(check, "try")), !hint);
}

static void without_the_module_it_says_so_and_minds_only_if_it_was_asked_for(void)
{
	json_t *check;

	begin();
	fake_remove(&f, "dev/quoll");
	fake_remove(&f, "sys/bus/pci/drivers/quoll");
	check = check_named("kmod", NULL);
	expect(check, "ok", "not loaded", NULL);
	CU_ASSERT_TRUE(json_is_false(fact(check, "loaded")));
	CU_ASSERT_TRUE(json_is_false(fact(check, "speaks_our_version")));
	CU_ASSERT_EQUAL(json_array_size(fact(check, "groups")), 0);
	json_decref(check);
	check = check_named("kmod", "vfio");
	expect(check, "ok", "not loaded", NULL);
	json_decref(check);
	check = check_named("kmod", "kmod");
	expect(check, "fail", "not loaded", "insmod");
	json_decref(check);
	fake_kmod_close(&f);
}

static void groups_with_a_file_are_listed_and_counted_as_bound(void)
{
	json_t *check, *drive;

	begin();
	check = check_named("kmod", "kmod");
	expect(check, "ok", "groups 2 (you may open it), 3 (you may open it)", NULL);
	CU_ASSERT_TRUE(json_is_true(fact(check, "loaded")));
	CU_ASSERT_TRUE(json_is_true(fact(check, "usable")));
	CU_ASSERT_TRUE(json_is_true(fact(check, "speaks_our_version")));
	CU_ASSERT_EQUAL_FATAL(json_array_size(fact(check, "groups")), 2);
	drive = json_array_get(fact(check, "groups"), 0);
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(drive, "group")), LAB_GROUP_DRIVE);
	CU_ASSERT_PTR_NOT_NULL(strstr(render_string(drive, "path"), "/dev/quoll/2"));
	CU_ASSERT_TRUE(json_is_true(json_object_get(drive, "bound")));
	CU_ASSERT_TRUE(json_is_true(json_object_get(drive, "viable")));
	CU_ASSERT_TRUE(json_is_null(json_object_get(drive, "blocker")));
	json_decref(check);
	check = check_named("iommu", NULL);
	CU_ASSERT_EQUAL(json_integer_value(fact(check, "nr_bound")), 2);
	json_decref(check);
	check = check_named("nvme", NULL);
	expect(check, "ok", "2 NVMe controllers, 2 of them bound", NULL);
	json_decref(check);
	fake_kmod_close(&f);
}

static void what_blocks_a_group_is_named(void)
{
	const struct fake_device mixed[] = {
		{LAB_SLOT0_PATH, LAB_GROUP_SLOT, 0x010802, "quoll", CONFIG_PCIE},
		{LAB_SLOT1_PATH, LAB_GROUP_SLOT, 0x020000, "e1000e", CONFIG_PCIE},
		/* not bound, its file is there as with all_groups=1 */
		{LAB_DRIVE_PATH, LAB_GROUP_DRIVE, 0x010802, "nvme", CONFIG_PCIE},
	};
	json_t *check, *slot;

	begin();
	fake_close(&f);
	fake_open(&f, mixed, 3);
	fake_file(&f, "dev/quoll/control", "%s", "");
	fake_file(&f, "dev/quoll/2", "%s", "");
	fake_file(&f, "dev/quoll/3", "%s", "");
	check = check_named("kmod", NULL);
	expect(check, "warn", "group 3 is not viable: " LAB_SLOT1 " is with its kernel driver e1000e", "quoll bind");
	CU_ASSERT_EQUAL_FATAL(json_array_size(fact(check, "groups")), 2);
	CU_ASSERT_TRUE(json_is_false(json_object_get(json_array_get(fact(check, "groups"), 0), "bound")));
	slot = json_array_get(fact(check, "groups"), 1);
	CU_ASSERT_TRUE(json_is_true(json_object_get(slot, "bound")));
	CU_ASSERT_TRUE(json_is_false(json_object_get(slot, "viable")));
	CU_ASSERT_PTR_NOT_NULL(strstr(render_string(slot, "blocker"), "e1000e"));
	json_decref(check);
	fake_kmod_close(&f);
}

static void another_version_is_told(void)
{
	json_t *check;

	begin();
	fake_kmod.version = 7;
	check = check_named("kmod", NULL);
	expect(check, "warn", "it speaks version 7, not 0", "load the one that came with this program");
	CU_ASSERT_TRUE(json_is_false(fact(check, "speaks_our_version")));
	json_decref(check);
	check = check_named("kmod", "kmod");
	expect(check, "fail", "version 7", "load");
	json_decref(check);
	fake_kmod_close(&f);
}

static void a_module_without_its_control_node_is_a_containers(void)
{
	json_t *check;

	begin();
	fake_remove(&f, "dev/quoll");
	check = check_named("kmod", NULL);
	expect(check, "warn", "/dev/quoll/control is missing", "--device");
	CU_ASSERT_TRUE(json_is_true(fact(check, "loaded")));
	CU_ASSERT_TRUE(json_is_false(fact(check, "present")));
	json_decref(check);
	fake_kmod_close(&f);
}

static void a_module_without_devices_says_how_to_bind(void)
{
	json_t *check;

	begin();
	fake_remove(&f, "dev/quoll/2");
	fake_remove(&f, "dev/quoll/3");
	check = check_named("kmod", NULL);
	expect(check, "ok", "no device is with it", "quoll bind ADDR --backend kmod");
	json_decref(check);
	fake_kmod_close(&f);
}

/* As somebody without rights, in a process of its own: whether the text has a piece. */
static bool nobody_reads(const char *piece)
{
	int status = 1;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		if (!geteuid() && (setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY)))
			_exit(2);
		_exit(strstr(doctor(NULL, false), piece) ? 0 : 1);
	}
	waitpid(pid, &status, 0);
	return !status;
}

static void who_may_not_open_a_file_is_told_whose_it_is(void)
{
	char path[PATH_BYTES];

	begin();
	CU_ASSERT_EQUAL(chmod(f.root, 0755), 0);
	path_make(path, "%s/dev/quoll/control", f.root);
	CU_ASSERT_EQUAL(chmod(path, 0666), 0);
	path_make(path, "%s/dev/quoll/3", f.root);
	CU_ASSERT_EQUAL(chmod(path, 0666), 0);
	path_make(path, "%s/dev/quoll/2", f.root);
	CU_ASSERT_EQUAL(chmod(path, 0), 0);
	CU_ASSERT_TRUE(nobody_reads("'s, 0000), 3 (you may open it)"));
	CU_ASSERT_TRUE(nobody_reads("OK    kmod "));
	path_make(path, "%s/dev/quoll/control", f.root);
	CU_ASSERT_EQUAL(chmod(path, 0), 0);
	CU_ASSERT_TRUE(nobody_reads("WARN  kmod "));
	CU_ASSERT_TRUE(nobody_reads("/dev/quoll/control: no permission"));
	fake_kmod_close(&f);
}

static const struct unit_test tests[] = {
	{"without the module it says so, and minds only if it was asked for",
	 without_the_module_it_says_so_and_minds_only_if_it_was_asked_for},
	{"groups with a file are listed, and counted as bound", groups_with_a_file_are_listed_and_counted_as_bound},
	{"what blocks a group is named", what_blocks_a_group_is_named},
	{"another version is told", another_version_is_told},
	{"a module without its control node is a container's", a_module_without_its_control_node_is_a_containers},
	{"a module without devices says how to bind", a_module_without_devices_says_how_to_bind},
	{"who may not open a file is told whose it is", who_may_not_open_a_file_is_told_whose_it_is},
};

UNIT_MAIN("doctor: quoll.ko", tests)
