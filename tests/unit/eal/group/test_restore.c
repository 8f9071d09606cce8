/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake.h"
#include "unit.h"

static void bind_group(struct fake *f, const char *address)
{
	struct quoll_error err = {0};
	struct quoll_plan plan;

	CU_ASSERT_EQUAL_FATAL(fake_plan(f, address, NULL, &plan, &err), 0);
	CU_ASSERT_FATAL(bind_plan(&f->env, &f->io, &plan, NULL, &err) > 0);
	quoll_plan_free(&plan);
}

static void test_one_group_of_two(void)
{
	struct quoll_restored *done = NULL;
	struct quoll_error err = {0};
	unsigned int nr_done = 0;
	char driver[32];
	struct fake f;

	fake_open(&f, fake_lab, fake_lab_nr);
	bind_group(&f, LAB_DRIVE);
	bind_group(&f, LAB_SLOT0);
	CU_ASSERT_EQUAL(fake_restore(&f, LAB_SLOT1, &done, &nr_done, &err), 0);
	CU_ASSERT_EQUAL_FATAL(nr_done, 2);
	CU_ASSERT_STRING_EQUAL(done[0].name, LAB_SLOT0);
	CU_ASSERT_STRING_EQUAL(done[0].from, "vfio-pci");
	CU_ASSERT_STRING_EQUAL(done[0].to, "nvme");
	CU_ASSERT_STRING_EQUAL(done[1].to, "e1000e");
	CU_ASSERT_FALSE(done[1].gone);
	free(done);
	CU_ASSERT_STRING_EQUAL(fake_bound(&f, LAB_DRIVE, driver), "vfio-pci");
	CU_ASSERT_EQUAL(fake_records(&f), 1);
	CU_ASSERT_EQUAL(fake_restore(&f, LAB_SLOT1, &done, &nr_done, &err), -ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "nothing is recorded"));
	CU_ASSERT_EQUAL(nr_done, 0);
	CU_ASSERT_EQUAL(fake_restore(&f, NULL, &done, &nr_done, &err), 0);
	CU_ASSERT_EQUAL(nr_done, 1);
	free(done);
	CU_ASSERT_EQUAL(fake_restore(&f, NULL, &done, &nr_done, &err), 0);
	CU_ASSERT_EQUAL(nr_done, 0);
	free(done);
	fake_close(&f);
}

static void test_nothing_was_ever_bound(void)
{
	struct quoll_error err = {0};
	struct fake f;

	fake_open(&f, fake_lab, fake_lab_nr);
	CU_ASSERT_EQUAL(fake_restore(&f, NULL, NULL, NULL, &err), 0);
	CU_ASSERT_EQUAL(fake_restore(&f, LAB_DRIVE, NULL, NULL, &err), -ENOENT);
	CU_ASSERT_EQUAL(fake_restore(&f, "7f:00.0", NULL, NULL, &err), -ENOENT);
	CU_ASSERT_EQUAL(fake_restore(&f, "mem:1G", NULL, NULL, &err), -EINVAL);
	CU_ASSERT_FALSE(path_exists(f.run));
	fake_close(&f);
}

static void test_claimed_group_is_not_touched(void)
{
	struct quoll_error err = {0};
	char driver[32], node[PATH_BYTES];
	struct quoll_restored *done;
	unsigned int nr_done;
	struct fake f;

	fake_open(&f, fake_lab, fake_lab_nr);
	bind_group(&f, LAB_DRIVE);
	bind_group(&f, LAB_SLOT0);
	path_make(node, "%s/vfio/%d", f.dev, LAB_GROUP_SLOT);
	snprintf(f.busy, sizeof(f.busy), "%s", node);
	fake_file(&f, "proc/4321/comm", "quoll\n");
	fake_raw_link(&f, "proc/4321/fd/7", node);
	f.nr_ops = 0;
	CU_ASSERT_EQUAL(fake_restore(&f, LAB_SLOT0, NULL, NULL, &err), -EBUSY);
	CU_ASSERT_EQUAL(f.nr_ops, 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "process 4321 (quoll)"));
	CU_ASSERT_STRING_EQUAL(fake_bound(&f, LAB_SLOT0, driver), "vfio-pci");
	/* all: the other group is restored, this one is reported */
	CU_ASSERT_EQUAL(fake_restore(&f, NULL, &done, &nr_done, &err), -EBUSY);
	CU_ASSERT_EQUAL(nr_done, 1);
	CU_ASSERT_STRING_EQUAL(done[0].name, LAB_DRIVE);
	free(done);
	fake_remove(&f, "proc/4321");
	CU_ASSERT_EQUAL(fake_restore(&f, NULL, NULL, NULL, &err), -EBUSY);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "fuser"));
	f.busy[0] = '\0';
	CU_ASSERT_EQUAL(fake_restore(&f, NULL, NULL, NULL, &err), 0);
	CU_ASSERT_EQUAL(fake_records(&f), 0);
	fake_close(&f);
}

/* It has VFIO's file, too, which can be opened all the same. */
static void test_group_claimed_through_the_module_is_not_touched(void)
{
	const struct quoll_plan_opts opts = {.driver = "quoll"};
	struct quoll_error err = {0};
	struct quoll_plan plan;
	char node[PATH_BYTES];
	char driver[32];
	struct fake f;

	fake_open(&f, fake_lab, fake_lab_nr);
	fake_driver(&f, "quoll");
	CU_ASSERT_EQUAL_FATAL(fake_plan(&f, LAB_SLOT0, &opts, &plan, &err), 0);
	CU_ASSERT_EQUAL(bind_plan(&f.env, &f.io, &plan, NULL, &err), 2);
	quoll_plan_free(&plan);
	fake_file(&f, "dev/quoll/control", "%s", "");
	path_make(node, "%s/quoll/%d", f.dev, LAB_GROUP_SLOT);
	fake_file(&f, "proc/4321/comm", "quoll\n");
	fake_raw_link(&f, "proc/4321/fd/7", node);
	f.kmod_owned = LAB_GROUP_SLOT;
	f.nr_ops = 0;
	CU_ASSERT_EQUAL(fake_restore(&f, LAB_SLOT0, NULL, NULL, &err), -EBUSY);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "process 4321 (quoll)"));
	CU_ASSERT_EQUAL(f.nr_ops, 0);
	CU_ASSERT_STRING_EQUAL(fake_bound(&f, LAB_SLOT0, driver), "quoll");
	CU_ASSERT_STRING_EQUAL(fake_bound(&f, LAB_SLOT1, driver), "quoll");
	fake_remove(&f, "proc/4321");
	CU_ASSERT_EQUAL(fake_restore(&f, NULL, NULL, NULL, &err), -EBUSY);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "fuser"));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "quoll/3"));
	/* another group's owner is not in the way */
	f.kmod_owned = LAB_GROUP_DRIVE;
	CU_ASSERT_EQUAL(fake_restore(&f, NULL, NULL, NULL, &err), 0);
	CU_ASSERT_EQUAL(fake_records(&f), 0);
	fake_close(&f);
}

static void test_device_that_is_gone(void)
{
	struct quoll_error err = {0};
	struct quoll_restored *done;
	unsigned int nr_done;
	struct fake f;

	for (int named = 0; named < 2; named++) {
		fake_open(&f, fake_lab, fake_lab_nr);
		bind_group(&f, LAB_DRIVE);
		fake_remove(&f, "sys/bus/pci/devices/" LAB_DRIVE);
		CU_ASSERT_EQUAL(fake_restore(&f, named ? LAB_DRIVE : NULL, &done, &nr_done, &err), 0);
		CU_ASSERT_EQUAL_FATAL(nr_done, 1);
		CU_ASSERT_TRUE(done[0].gone);
		CU_ASSERT_EQUAL(fake_records(&f), 0);
		free(done);
		fake_close(&f);
	}
}

static void test_moved_by_others(void)
{
	struct quoll_error err = {0};
	char driver[32];
	struct fake f;

	fake_open(&f, fake_lab, fake_lab_nr);
	bind_group(&f, LAB_DRIVE);
	fake_driver(&f, "uio_pci_generic");
	fake_remove(&f, "sys/devices/" LAB_DRIVE_PATH "/driver");
	fake_link(&f, "sys/devices/" LAB_DRIVE_PATH "/driver", "sys/bus/pci/drivers/uio_pci_generic");
	CU_ASSERT_EQUAL(fake_restore(&f, NULL, NULL, NULL, &err), -ESTALE);
	CU_ASSERT_STRING_EQUAL(fake_bound(&f, LAB_DRIVE, driver), "uio_pci_generic");
	CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "rm "));
	/* moved back by hand: only the override is left to do */
	fake_remove(&f, "sys/devices/" LAB_DRIVE_PATH "/driver");
	fake_link(&f, "sys/devices/" LAB_DRIVE_PATH "/driver", "sys/bus/pci/drivers/nvme");
	CU_ASSERT_EQUAL(fake_restore(&f, NULL, NULL, NULL, &err), 0);
	CU_ASSERT_EQUAL(override_of(&f.env, LAB_DRIVE, driver), 0);
	CU_ASSERT_STRING_EQUAL(driver, "");
	fake_close(&f);
}

/* Records that are not as we write them: refused, named, and nothing is done on their word. */
static void test_hostile_records(void)
{
#define HEAD "quoll record 1\n"
	static const char *const texts[] = {
		"",
		"quoll record 1",
		HEAD,
		"quoll record 2\ndriver=nvme\noverride=\nbound=vfio-pci\n",
		HEAD "driver=nvme\noverride=\nbound=vfio-pci",
		HEAD "driver=nvme\noverride=\nbound=vfio-pci\n\n",
		HEAD "driver=nvme\noverride=\nbound=vfio-pci\nextra=1\n",
		HEAD "override=\ndriver=nvme\nbound=vfio-pci\n",
		HEAD "driver=../../../../tmp/x\noverride=\nbound=vfio-pci\n",
		HEAD "driver=..\noverride=\nbound=vfio-pci\n",
		HEAD "driver=nvme\noverride=a/b\nbound=vfio-pci\n",
		HEAD "driver=nvme\noverride=\nbound=\033[2J\n",
		HEAD "driver=a-driver-whose-name-is-longer-than-fits\noverride=\nbound=vfio-pci\n",
		HEAD "driver= nvme\noverride=\nbound=vfio-pci\n",
	};
	char before[4096], after[4096];
	struct fake f;

	fake_open(&f, fake_lab, fake_lab_nr);
	bind_group(&f, LAB_DRIVE);
	fake_state(&f, before, sizeof(before));
	f.nr_ops = 0;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct quoll_error err = {0};

		fake_file(&f, "run/bound/" LAB_DRIVE, "%s", texts[i]);
		if (fake_restore(&f, NULL, NULL, NULL, &err) != -EINVAL) {
			fprintf(stderr, "record %zu is believed\n", i);
			CU_FAIL("a malformed record is believed");
		}
		CU_ASSERT_STRING_EQUAL(err.subject, LAB_DRIVE);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "not believed"));
	}
	fake_bytes(&f, "run/bound/" LAB_DRIVE, HEAD "driver=nvme\0\noverride=\nbound=vfio-pci\n", 53);
	CU_ASSERT_EQUAL(fake_restore(&f, NULL, NULL, NULL, NULL), -EINVAL);
	fake_bytes(&f, "run/bound/" LAB_DRIVE, before, sizeof(before));
	CU_ASSERT_EQUAL(fake_restore(&f, NULL, NULL, NULL, NULL), -EINVAL);
	fake_state(&f, after, sizeof(after));
	CU_ASSERT_STRING_EQUAL(before, after);
	CU_ASSERT_EQUAL(f.nr_ops, 0);
	fake_file(&f, "run/bound/" LAB_DRIVE, HEAD "driver=nvme\noverride=\nbound=vfio-pci\n");
	CU_ASSERT_EQUAL(fake_restore(&f, NULL, NULL, NULL, NULL), 0);
	fake_close(&f);
#undef HEAD
}

static void test_records_of_others(void)
{
	char path[PATH_BYTES], dir[PATH_BYTES];
	struct quoll_error err = {0};
	struct fake f;

	fake_open(&f, fake_lab, fake_lab_nr);
	bind_group(&f, LAB_DRIVE);
	path_make(dir, "%s/bound", f.run);
	path_make(path, "%s/bound/" LAB_DRIVE, f.run);
	f.nr_ops = 0;
	chmod(path, 0666);
	CU_ASSERT_EQUAL(fake_restore(&f, NULL, NULL, NULL, &err), -EINVAL);
	chmod(path, 0644);
	chmod(dir, 0777);
	CU_ASSERT_EQUAL(fake_restore(&f, NULL, NULL, NULL, &err), -EPERM);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "chmod"));
	chmod(dir, 0755);
	if (geteuid() == 0) {
		CU_ASSERT_EQUAL(chown(path, 1234, 1234), 0);
		CU_ASSERT_EQUAL(fake_restore(&f, NULL, NULL, NULL, &err), -EINVAL);
		CU_ASSERT_EQUAL(chown(path, 0, 0), 0);
	}
	/* links and folders in a record's place, and names that are no address */
	fake_remove(&f, "run/bound/" LAB_DRIVE);
	fake_file(&f, "elsewhere", "quoll record 1\ndriver=nvme\noverride=\nbound=vfio-pci\n");
	fake_link(&f, "run/bound/" LAB_DRIVE, "elsewhere");
	CU_ASSERT_EQUAL(fake_restore(&f, NULL, NULL, NULL, &err), -EINVAL);
	fake_remove(&f, "run/bound/" LAB_DRIVE);
	fake_dir(&f, "run/bound/" LAB_DRIVE);
	CU_ASSERT_EQUAL(fake_restore(&f, NULL, NULL, NULL, &err), -EINVAL);
	fake_remove(&f, "run/bound/" LAB_DRIVE);
	path_make(path, "%s/bound/" LAB_DRIVE, f.run);
	CU_ASSERT_EQUAL(mkfifo(path, 0644), 0);
	CU_ASSERT_EQUAL(fake_restore(&f, NULL, NULL, NULL, &err), -EINVAL);
	fake_remove(&f, "run/bound/" LAB_DRIVE);
	fake_file(&f, "run/bound/vfio-pci", "quoll record 1\ndriver=nvme\noverride=\nbound=vfio-pci\n");
	CU_ASSERT_EQUAL(fake_restore(&f, NULL, NULL, NULL, &err), -EINVAL);
	CU_ASSERT_EQUAL(f.nr_ops, 0);
	fake_close(&f);
}

static void test_one_at_a_time(void)
{
	struct quoll_error err = {0};
	struct records records;
	struct fake f;

	fake_open(&f, fake_lab, fake_lab_nr);
	bind_group(&f, LAB_DRIVE);
	CU_ASSERT_EQUAL_FATAL(records_open(&f.env, &f.io, false, &records, &err), 0);
	CU_ASSERT_EQUAL(fake_restore(&f, NULL, NULL, NULL, &err), -EBUSY);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "another bind or restore"));
	CU_ASSERT(f.nr_pauses > 10);
	records_close(&records);
	CU_ASSERT_EQUAL(fake_restore(&f, NULL, NULL, NULL, &err), 0);
	fake_close(&f);
}

/* The fake kernel's files are this user's, whoever was given them. */
static void record_iommu(struct fake *f, unsigned int uid, const char *more)
{
	fake_file(f, "run/bound/.iommu", "quoll record 1\nuid=%u was=0:7\n%s", uid, more);
}

static void test_iommu_goes_back_with_the_last(void)
{
	struct quoll_error err = {0};
	struct fake f;

	fake_open(&f, fake_lab, fake_lab_nr);
	fake_cdevs(&f);
	bind_group(&f, LAB_DRIVE);
	bind_group(&f, LAB_SLOT0);
	record_iommu(&f, getuid(), "");
	CU_ASSERT_EQUAL(fake_restore(&f, LAB_DRIVE, NULL, NULL, &err), 0);
	CU_ASSERT_STRING_EQUAL(f.given, "");
	CU_ASSERT_EQUAL(fake_restore(&f, LAB_SLOT1, NULL, NULL, &err), 0);
	CU_ASSERT_STRING_EQUAL(f.given, "iommu:0 ");
	CU_ASSERT_EQUAL(fake_restore(&f, NULL, NULL, NULL, &err), 0);
	CU_ASSERT_STRING_EQUAL(f.given, "iommu:0 "); /* once */

	record_iommu(&f, getuid() + 1, ""); /* it has another owner by now */
	CU_ASSERT_EQUAL(fake_restore(&f, NULL, NULL, NULL, &err), 0);
	record_iommu(&f, getuid(), "x");
	CU_ASSERT_EQUAL(fake_restore(&f, NULL, NULL, NULL, &err), 0);
	fake_file(&f, "run/bound/.iommu", "quoll record 1\nuid=%u was=4294967296:0\n", getuid());
	CU_ASSERT_EQUAL(fake_restore(&f, NULL, NULL, NULL, &err), 0);
	CU_ASSERT_STRING_EQUAL(f.given, "iommu:0 ");

	record_iommu(&f, getuid(), "");
	f.fail_at = f.nr_ops + 1;
	CU_ASSERT_EQUAL(fake_restore(&f, NULL, NULL, NULL, &err), -EIO);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "cannot be given back"));
	CU_ASSERT_EQUAL(fake_restore(&f, NULL, NULL, NULL, &err), 0);
	CU_ASSERT_STRING_EQUAL(f.given, "iommu:0 iommu:0 ");
	fake_close(&f);
}

static const struct unit_test tests[] = {
	{"the groups of the given devices are restored, others not", test_one_group_of_two},
	{"where nothing was bound there is nothing to restore", test_nothing_was_ever_bound},
	{"a claimed group is not touched, its owner is named", test_claimed_group_is_not_touched},
	{"a group that is claimed through the module is not touched either",
	 test_group_claimed_through_the_module_is_not_touched},
	{"a device that is gone is forgotten, and said to be", test_device_that_is_gone},
	{"a device that others moved since is left alone", test_moved_by_others},
	{"malformed records are refused and change nothing", test_hostile_records},
	{"records that others could have written are refused", test_records_of_others},
	{"/dev/iommu goes back with the last device, if it is still whose it was made",
	 test_iommu_goes_back_with_the_last},
	{"two restores do not run at once", test_one_at_a_time},
};

UNIT_MAIN("eal/group/restore", tests)
