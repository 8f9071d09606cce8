/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fake.h"
#include "unit.h"

static int bind_it(struct fake *f, const char *address, const char *user, struct quoll_error *err)
{
	struct quoll_plan plan;
	int rc = fake_plan(f, address, NULL, &plan, err);

	if (rc)
		return rc;
	rc = bind_plan(&f->env, &f->io, &plan, user, err);
	quoll_plan_free(&plan);
	return rc;
}

static void test_binds_whole_group(void)
{
	char before[4096], after[4096], driver[32];
	struct quoll_error err = {0};
	struct fake f;

	fake_open(&f, fake_lab, fake_lab_nr);
	fake_state(&f, before, sizeof(before));
	CU_ASSERT_EQUAL(bind_it(&f, LAB_SLOT1, NULL, &err), 2);
	CU_ASSERT_STRING_EQUAL(fake_bound(&f, LAB_SLOT0, driver), "vfio-pci");
	CU_ASSERT_STRING_EQUAL(fake_bound(&f, LAB_SLOT1, driver), "vfio-pci");
	CU_ASSERT_STRING_EQUAL(fake_bound(&f, LAB_DRIVE, driver), "nvme");
	CU_ASSERT_EQUAL(fake_records(&f), 2);
	CU_ASSERT_EQUAL(f.owned[0], '\0');
	/* again: nothing to do, nothing done */
	f.nr_ops = 0;
	CU_ASSERT_EQUAL(bind_it(&f, LAB_SLOT0, NULL, &err), 0);
	CU_ASSERT_EQUAL(f.nr_ops, 0);
	CU_ASSERT_EQUAL(fake_restore(&f, NULL, NULL, NULL, &err), 0);
	fake_state(&f, after, sizeof(after));
	CU_ASSERT_STRING_EQUAL(before, after);
	CU_ASSERT_EQUAL(fake_records(&f), 0);
	fake_close(&f);
}

static void test_bridge_is_taken_from_shpchp(void)
{
	char before[4096], after[4096], driver[32];
	struct quoll_group_list list;
	struct quoll_error err = {0};
	struct fake f;

	fake_open(&f, fake_lab, fake_lab_nr);
	fake_state(&f, before, sizeof(before));
	CU_ASSERT_EQUAL(bind_it(&f, LAB_OLD0, NULL, &err), 2);
	CU_ASSERT_STRING_EQUAL(fake_bound(&f, LAB_BRIDGE, driver), "");
	CU_ASSERT_TRUE(fake_describe(&f, LAB_GROUP_OLD, &list)->viable);
	quoll_groups_free(&list);
	CU_ASSERT_EQUAL(fake_restore(&f, LAB_OLD1, NULL, NULL, &err), 0);
	fake_state(&f, after, sizeof(after));
	CU_ASSERT_STRING_EQUAL(before, after);
	fake_close(&f);
}

static void test_user_gets_the_group(void)
{
	char node[PATH_BYTES];
	struct quoll_error err = {0};
	struct fake f;

	fake_open(&f, fake_lab, fake_lab_nr);
	CU_ASSERT_EQUAL(bind_it(&f, LAB_SLOT0, "nobody-of-that-name", &err), -ENOENT);
	CU_ASSERT_STRING_EQUAL(err.subject, "nobody-of-that-name");
	CU_ASSERT_EQUAL(f.nr_ops, 0);
	CU_ASSERT_EQUAL(bind_it(&f, LAB_SLOT0, FAKE_USER, &err), 2);
	path_make(node, "%s/vfio/%d", f.dev, LAB_GROUP_SLOT);
	CU_ASSERT_STRING_EQUAL(f.owned, node);
	CU_ASSERT_EQUAL(f.owner, FAKE_UID);
	/* a group that is bound already can still be handed over */
	f.owned[0] = '\0';
	CU_ASSERT_EQUAL(bind_it(&f, LAB_SLOT0, FAKE_USER, &err), 0);
	CU_ASSERT_STRING_EQUAL(f.owned, node);
	fake_close(&f);
}

static void test_user_gets_files_of_devices(void)
{
	char path[PATH_BYTES];
	struct quoll_error err = {0};
	struct fake f;

	fake_open(&f, fake_lab, fake_lab_nr);
	fake_cdevs(&f);
	CU_ASSERT_EQUAL(bind_it(&f, LAB_SLOT0, FAKE_USER, &err), 2);
	CU_ASSERT_STRING_EQUAL(f.given, "vfio/devices/vfio3:4711 vfio/3:4711 vfio/devices/vfio4:4711 iommu:4711 ");
	CU_ASSERT_EQUAL(fake_records(&f), 2); /* that of /dev/iommu is no device's */
	fake_close(&f);

	/* everybody's: not touched; and a kernel without groups' files needs no container */
	fake_open(&f, fake_lab, fake_lab_nr);
	fake_cdevs(&f);
	f.no_group_files = true;
	fake_remove(&f, "dev/vfio/vfio");
	path_make(path, "%s/iommu", f.dev);
	CU_ASSERT_EQUAL(chmod(path, 0666), 0);
	CU_ASSERT_EQUAL(bind_it(&f, LAB_DRIVE, FAKE_USER, &err), 1);
	CU_ASSERT_STRING_EQUAL(f.given, "vfio/devices/vfio1:4711 ");
	CU_ASSERT_EQUAL(f.nr_pauses, 0);
	path_make(path, "%s/bound/.iommu", f.run);
	CU_ASSERT_FALSE(path_exists(path));
	fake_close(&f);
}

/* It is there with quoll.ko: handed over as the other, and given back if the last step fails. */
static void test_user_gets_the_modules_file_too(void)
{
	char before[4096], after[4096];
	struct quoll_error err = {0};
	unsigned int nr_ops;
	struct fake f;

	fake_open(&f, fake_lab, fake_lab_nr);
	fake_file(&f, "dev/quoll/3", "%s", "");
	fake_file(&f, "dev/quoll/2", "%s", "");
	CU_ASSERT_EQUAL(bind_it(&f, LAB_SLOT0, FAKE_USER, &err), 2);
	CU_ASSERT_STRING_EQUAL(f.given, "vfio/3:4711 quoll/3:4711 ");
	nr_ops = f.nr_ops;
	fake_close(&f);

	fake_open(&f, fake_lab, fake_lab_nr);
	fake_file(&f, "dev/quoll/3", "%s", "");
	fake_state(&f, before, sizeof(before));
	f.fail_at = nr_ops;
	CU_ASSERT_TRUE(bind_it(&f, LAB_SLOT0, FAKE_USER, &err) < 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.subject, "/quoll/3"));
	CU_ASSERT_PTR_NULL(strstr(f.given, "quoll/3:4711"));
	CU_ASSERT_PTR_NOT_NULL(strstr(f.given, "vfio/3:4711 vfio/3:"));
	fake_state(&f, after, sizeof(after));
	CU_ASSERT_STRING_EQUAL(before, after);
	CU_ASSERT_EQUAL(fake_records(&f), 0);
	fake_close(&f);
}

static void test_container_must_be_open_to_the_user(void)
{
	char before[4096], after[4096], path[PATH_BYTES];
	struct quoll_error err = {0};
	struct fake f;

	fake_open(&f, fake_lab, fake_lab_nr);
	fake_state(&f, before, sizeof(before));
	path_make(path, "%s/vfio/vfio", f.dev);
	chmod(path, 0600);
	CU_ASSERT_EQUAL(bind_it(&f, LAB_SLOT0, FAKE_USER, &err), -EACCES);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "chmod 0666"));
	fake_state(&f, after, sizeof(after));
	CU_ASSERT_STRING_EQUAL(before, after);
	CU_ASSERT_EQUAL(fake_records(&f), 0);
	fake_close(&f);
}

/* Every operation of binding this group from the first one on fails in turn, in three ways; each time everything is as
 * it was. */
static void fail_from(unsigned int first_op, const char *address, bool cdevs, unsigned int expected_ops)
{
	static const enum fake_failure ways[] = {FAIL_ONCE, FAIL_AFTER, FAIL_ONWARDS};
	char before[4096], after[4096];
	unsigned int nr_ops;
	struct quoll_error err;
	struct fake f;

	fake_open(&f, fake_lab, fake_lab_nr);
	if (cdevs)
		fake_cdevs(&f);
	CU_ASSERT(bind_it(&f, address, FAKE_USER, &err) > 0);
	nr_ops = f.nr_ops;
	CU_ASSERT_EQUAL(nr_ops, expected_ops);
	fake_close(&f);
	for (unsigned int k = (first_op - 1) * 3 + 1; k <= nr_ops * 3; k++) {
		fake_open(&f, fake_lab, fake_lab_nr);
		if (cdevs)
			fake_cdevs(&f);
		fake_state(&f, before, sizeof(before));
		f.fail_at = (k - 1) / 3 + 1;
		f.failure = ways[(k - 1) % 3];
		memset(&err, 0, sizeof(err));
		CU_ASSERT_EQUAL(bind_it(&f, address, FAKE_USER, &err), -EIO);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "Input/output error"));
		fake_state(&f, after, sizeof(after));
		if (f.failure != FAIL_ONWARDS) {
			CU_ASSERT_STRING_EQUAL(before, after);
			CU_ASSERT_EQUAL(fake_records(&f), 0);
			CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "all members are back with their drivers"));
		} else if (strcmp(before, after) != 0) {
			/* a kernel that answers nothing any more: it says so, and the records outlive it */
			CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "NOT put back"));
			CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "quoll restore"));
			CU_ASSERT(fake_records(&f) > 0);
		}
		f.fail_at = 0;
		CU_ASSERT_EQUAL(fake_restore(&f, NULL, NULL, NULL, &err), 0);
		fake_state(&f, after, sizeof(after));
		CU_ASSERT_STRING_EQUAL(before, after);
		CU_ASSERT_EQUAL(fake_records(&f), 0);
		fake_close(&f);
	}
}

static void test_roll_back_slot(void)
{
	fail_from(1, LAB_SLOT0, false, 2 * 3 + 1);
}

static void test_roll_back_with_files_of_devices(void)
{
	fail_from(2 * 3 + 1, LAB_SLOT0, true, 2 * 3 + 1 + 2 + 1);
}

static void test_roll_back_bridge_group(void)
{
	fail_from(1, LAB_OLD0, false, 1 + 2 * 3 + 1);
}

/* A program that dies in the middle leaves records; restore puts everything back from wherever it was. */
static void test_restore_after_crash(void)
{
	char before[4096], after[4096];
	struct quoll_error err;
	struct fake f;

	for (unsigned int k = 1; k <= 6; k++) {
		fake_open(&f, fake_lab, fake_lab_nr);
		fake_state(&f, before, sizeof(before));
		f.fail_at = k;
		f.failure = FAIL_ONWARDS;
		CU_ASSERT_EQUAL(bind_it(&f, LAB_SLOT0, NULL, &err), -EIO);
		f.fail_at = 0;
		CU_ASSERT_EQUAL(fake_restore(&f, LAB_SLOT1, NULL, NULL, &err), k == 1 ? -ENOENT : 0);
		fake_state(&f, after, sizeof(after));
		CU_ASSERT_STRING_EQUAL(before, after);
		fake_close(&f);
	}
}

/* Binding again after such a death: what is put back in the end is still what was there before the first time. */
static void test_bind_again_after_crash(void)
{
	char before[4096], after[4096];
	struct quoll_error err;
	struct fake f;

	for (unsigned int k = 1; k <= 6; k++) {
		fake_open(&f, fake_lab, fake_lab_nr);
		fake_state(&f, before, sizeof(before));
		f.fail_at = k;
		f.failure = FAIL_ONWARDS;
		CU_ASSERT_EQUAL(bind_it(&f, LAB_SLOT0, NULL, &err), -EIO);
		f.fail_at = 0;
		CU_ASSERT(bind_it(&f, LAB_SLOT0, NULL, &err) > 0);
		CU_ASSERT_EQUAL(fake_restore(&f, NULL, NULL, NULL, &err), 0);
		fake_state(&f, after, sizeof(after));
		CU_ASSERT_STRING_EQUAL(before, after);
		fake_close(&f);
	}
}

static void test_driver_that_refuses(void)
{
	char before[4096], after[4096];
	struct quoll_error err = {0};
	struct fake f;

	fake_open(&f, fake_lab, fake_lab_nr);
	fake_state(&f, before, sizeof(before));
	f.refusing = "vfio-pci";
	CU_ASSERT_EQUAL(bind_it(&f, LAB_SLOT0, NULL, &err), -EINVAL);
	CU_ASSERT_STRING_EQUAL(err.subject, LAB_SLOT0);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "the driver vfio-pci does not take it: Invalid argument"));
	fake_state(&f, after, sizeof(after));
	CU_ASSERT_STRING_EQUAL(before, after);
	fake_close(&f);
}

static void test_driver_that_does_not_let_go(void)
{
	char before[4096], after[4096];
	struct quoll_error err = {0};
	struct fake f;

	fake_open(&f, fake_lab, fake_lab_nr);
	fake_state(&f, before, sizeof(before));
	f.stuck = "e1000e";
	CU_ASSERT_EQUAL(bind_it(&f, LAB_SLOT0, NULL, &err), -ETIMEDOUT);
	CU_ASSERT_STRING_EQUAL(err.subject, LAB_SLOT1);
	CU_ASSERT(f.nr_pauses > 10);
	CU_ASSERT(f.nr_pauses < 1000);
	fake_state(&f, after, sizeof(after));
	CU_ASSERT_STRING_EQUAL(before, after);
	fake_close(&f);
}

/* The original driver takes its device back by an override only: it had it by a dynamic id, say. */
static void test_put_back_by_override(void)
{
	char before[4096], after[4096];
	struct quoll_error err = {0};
	struct fake f;

	fake_open(&f, fake_lab, fake_lab_nr);
	fake_state(&f, before, sizeof(before));
	CU_ASSERT_EQUAL(bind_it(&f, LAB_DRIVE, NULL, &err), 1);
	f.no_native = "nvme";
	CU_ASSERT_EQUAL(fake_restore(&f, NULL, NULL, NULL, &err), 0);
	fake_state(&f, after, sizeof(after));
	CU_ASSERT_STRING_EQUAL(before, after);
	fake_close(&f);
}

static void test_original_driver_is_gone(void)
{
	char driver[32];
	struct quoll_error err = {0};
	struct fake f;

	fake_open(&f, fake_lab, fake_lab_nr);
	CU_ASSERT_EQUAL(bind_it(&f, LAB_SLOT1, NULL, &err), 2);
	fake_remove(&f, "sys/bus/pci/drivers/e1000e");
	CU_ASSERT(fake_restore(&f, NULL, NULL, NULL, &err) < 0);
	CU_ASSERT_STRING_EQUAL(err.subject, LAB_SLOT1);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "modprobe e1000e"));
	CU_ASSERT_STRING_EQUAL(fake_bound(&f, LAB_SLOT0, driver), "nvme"); /* the other went on */
	CU_ASSERT_EQUAL(fake_records(&f), 1);
	fake_driver(&f, "e1000e");
	CU_ASSERT_EQUAL(fake_restore(&f, NULL, NULL, NULL, &err), 0);
	CU_ASSERT_STRING_EQUAL(fake_bound(&f, LAB_SLOT1, driver), "e1000e");
	fake_close(&f);
}

static void test_override_is_put_back(void)
{
	char before[4096], after[4096];
	struct quoll_error err = {0};
	struct fake f;

	fake_open(&f, fake_lab, fake_lab_nr);
	fake_file(&f, "sys/devices/" LAB_SLOT0_PATH "/driver_override", "nvme\n");
	fake_state(&f, before, sizeof(before));
	CU_ASSERT_EQUAL(bind_it(&f, LAB_SLOT1, NULL, &err), 2);
	CU_ASSERT_EQUAL(fake_restore(&f, NULL, NULL, NULL, &err), 0);
	fake_state(&f, after, sizeof(after));
	CU_ASSERT_STRING_EQUAL(before, after);
	fake_close(&f);
}

static void test_driverless_member(void)
{
	static const struct fake_device devices[] = {
		{LAB_SLOT0_PATH, 1, 0x010802, "nvme", CONFIG_PCIE},
		{LAB_SLOT1_PATH, 1, 0x020000, "-e1000e", CONFIG_PCIE},
	};
	char before[4096], after[4096], driver[32];
	struct quoll_error err = {0};
	struct fake f;

	fake_open(&f, devices, 2);
	fake_state(&f, before, sizeof(before));
	CU_ASSERT_EQUAL(bind_it(&f, LAB_SLOT0, NULL, &err), 2);
	CU_ASSERT_STRING_EQUAL(fake_bound(&f, LAB_SLOT1, driver), "vfio-pci");
	CU_ASSERT_EQUAL(fake_restore(&f, NULL, NULL, NULL, &err), 0);
	fake_state(&f, after, sizeof(after));
	CU_ASSERT_STRING_EQUAL(before, after);
	fake_close(&f);
}

static void test_blocked_plan_is_refused(void)
{
	const struct quoll_plan_opts in_use = {.in_use = true};
	char before[4096], after[4096];
	struct quoll_error err = {0};
	struct quoll_plan plan;
	struct fake f;

	fake_open(&f, fake_lab, fake_lab_nr);
	fake_block(&f, LAB_SLOT0_PATH "/nvme/nvme1", "nvme1n1", "259:50");
	fake_file(&f, "proc/self/mountinfo", "22 1 259:50 / /srv rw - ext4 /dev/nvme1n1 rw\n");
	fake_nic(&f, LAB_SLOT1_PATH, "eth0", true);
	fake_address(&f, "eth0", "192.0.2.1");
	fake_state(&f, before, sizeof(before));
	CU_ASSERT_EQUAL(bind_it(&f, LAB_SLOT1, NULL, &err), -EBUSY);
	CU_ASSERT_STRING_EQUAL(err.subject, LAB_SLOT0);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "mounted: nvme1n1 at /srv"));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, LAB_SLOT1 ": address: eth0 has the address 192.0.2.1"));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "--in-use"));
	fake_state(&f, after, sizeof(after));
	CU_ASSERT_STRING_EQUAL(before, after);
	CU_ASSERT_EQUAL(f.nr_ops, 0);
	CU_ASSERT_FALSE(path_exists(f.run));
	CU_ASSERT_EQUAL_FATAL(fake_plan(&f, LAB_SLOT1, &in_use, &plan, &err), 0);
	CU_ASSERT_EQUAL(bind_plan(&f.env, &f.io, &plan, NULL, &err), 2);
	quoll_plan_free(&plan);
	fake_close(&f);
}

static void test_plan_that_is_out_of_date(void)
{
	struct quoll_error err = {0};
	struct quoll_plan plan;
	struct fake f;

	fake_open(&f, fake_lab, fake_lab_nr);
	CU_ASSERT_EQUAL_FATAL(fake_plan(&f, LAB_SLOT0, NULL, &plan, &err), 0);
	/* an address comes up */
	fake_nic(&f, LAB_SLOT1_PATH, "eth0", true);
	fake_address(&f, "eth0", "192.0.2.1");
	CU_ASSERT_EQUAL(bind_plan(&f.env, &f.io, &plan, NULL, &err), -EBUSY);
	CU_ASSERT_STRING_EQUAL(err.subject, LAB_SLOT1);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "192.0.2.1"));
	CU_ASSERT_EQUAL(f.nr_ops, 0);
	/* a driver lets go of its device */
	f.nr_addresses = 0;
	fake_remove(&f, "sys/devices/" LAB_SLOT1_PATH "/driver");
	CU_ASSERT_EQUAL(bind_plan(&f.env, &f.io, &plan, NULL, &err), -EAGAIN);
	CU_ASSERT_STRING_EQUAL(err.hint, "plan again");
	CU_ASSERT_EQUAL(f.nr_ops, 0);
	CU_ASSERT_EQUAL(fake_records(&f), 0);
	/* the device goes altogether */
	fake_remove(&f, "sys/devices/" LAB_SLOT1_PATH);
	CU_ASSERT_EQUAL(bind_plan(&f.env, &f.io, &plan, NULL, &err), -ENODEV);
	CU_ASSERT_EQUAL(f.nr_ops, 0);
	quoll_plan_free(&plan);
	fake_close(&f);
}

static void test_oldest_record_is_kept(void)
{
	const struct quoll_plan_opts variant = {.driver = "mlx5_vfio_pci"};
	char before[4096], after[4096], driver[32];
	struct quoll_error err = {0};
	struct quoll_plan plan;
	struct fake f;

	fake_open(&f, fake_lab, fake_lab_nr);
	fake_driver(&f, "mlx5_vfio_pci");
	fake_state(&f, before, sizeof(before));
	CU_ASSERT_EQUAL(bind_it(&f, LAB_SLOT1, NULL, &err), 2);
	CU_ASSERT_EQUAL_FATAL(fake_plan(&f, LAB_SLOT1, &variant, &plan, &err), 0);
	/* not while somebody has the group */
	snprintf(f.busy, sizeof(f.busy), "%s/vfio/%d", f.dev, LAB_GROUP_SLOT);
	CU_ASSERT_EQUAL(bind_plan(&f.env, &f.io, &plan, NULL, &err), -EBUSY);
	f.busy[0] = '\0';
	fake_file(&f, "dev/quoll/control", "%s", "");
	f.kmod_owned = LAB_GROUP_SLOT;
	CU_ASSERT_EQUAL(bind_plan(&f.env, &f.io, &plan, NULL, &err), -EBUSY);
	f.kmod_owned = 0;
	CU_ASSERT_EQUAL(bind_plan(&f.env, &f.io, &plan, NULL, &err), 2);
	quoll_plan_free(&plan);
	CU_ASSERT_STRING_EQUAL(fake_bound(&f, LAB_SLOT1, driver), "mlx5_vfio_pci");
	CU_ASSERT_EQUAL(fake_restore(&f, NULL, NULL, NULL, &err), 0);
	fake_state(&f, after, sizeof(after));
	CU_ASSERT_STRING_EQUAL(before, after);
	fake_close(&f);
}

static void test_driver_not_loaded(void)
{
	struct quoll_error err = {0};
	struct fake f;

	fake_open(&f, fake_lab, fake_lab_nr);
	fake_remove(&f, "sys/bus/pci/drivers/vfio-pci");
	CU_ASSERT_EQUAL(bind_it(&f, LAB_SLOT0, NULL, &err), -ENOENT);
	CU_ASSERT_STRING_EQUAL(err.hint, "modprobe vfio-pci");
	CU_ASSERT_EQUAL(f.nr_ops, 0);
	CU_ASSERT_EQUAL(fake_records(&f), 0);
	fake_close(&f);
}

static void test_odd_override_stops_before_the_first_change(void)
{
	static const char zeros[4096], *const name = LAB_SLOT1;
	struct quoll_error err = {0};
	struct fake f;

	fake_open(&f, fake_lab, fake_lab_nr);
	fake_bytes(&f, "sys/devices/" LAB_SLOT1_PATH "/driver_override", zeros, sizeof(zeros));
	CU_ASSERT_EQUAL(bind_it(&f, LAB_SLOT0, NULL, &err), -EINVAL);
	CU_ASSERT_STRING_EQUAL(err.subject, name);
	CU_ASSERT_EQUAL(f.nr_ops, 0);
	fake_remove(&f, "sys/devices/" LAB_SLOT1_PATH "/driver_override");
	CU_ASSERT_EQUAL(bind_it(&f, LAB_SLOT0, NULL, &err), -ENOENT);
	CU_ASSERT_EQUAL(f.nr_ops, 0);
	fake_close(&f);
}

static const struct unit_test tests[] = {
	{"all endpoints of a group are bound, a second time there is nothing to do", test_binds_whole_group},
	{"a bridge is taken from shpchp and given back", test_bridge_is_taken_from_shpchp},
	{"a user gets the group's file", test_user_gets_the_group},
	{"a user gets the devices' own files and /dev/iommu, where there are such", test_user_gets_files_of_devices},
	{"a user gets the file of quoll.ko, too", test_user_gets_the_modules_file_too},
	{"a container file that the user cannot open is an error", test_container_must_be_open_to_the_user},
	{"failing at each step of each member puts all drivers back (slot)", test_roll_back_slot},
	{"failing at each file that is handed over puts all drivers back", test_roll_back_with_files_of_devices},
	{"failing at each step of each member puts all drivers back (bridge)", test_roll_back_bridge_group},
	{"records put everything back after a crash at any step", test_restore_after_crash},
	{"binding again after a crash still restores what was there first", test_bind_again_after_crash},
	{"a driver that refuses is named with its errno", test_driver_that_refuses},
	{"a driver that does not let go is waited for in bounded time", test_driver_that_does_not_let_go},
	{"a driver that matches by override only gets its device back", test_put_back_by_override},
	{"a driver whose module is gone is named, the others are restored", test_original_driver_is_gone},
	{"an override that was set before is put back", test_override_is_put_back},
	{"a member without driver is bound, and without one afterwards", test_driverless_member},
	{"a plan with blocked steps is refused, all uses named", test_blocked_plan_is_refused},
	{"a plan that is out of date is refused", test_plan_that_is_out_of_date},
	{"binding to another VFIO driver keeps the first record", test_oldest_record_is_kept},
	{"a driver that is not loaded stops before the first change", test_driver_not_loaded},
	{"an override that cannot be read stops before the first change",
	 test_odd_override_stops_before_the_first_change},
};

UNIT_MAIN("eal/group/bind", tests)
