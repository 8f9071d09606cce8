/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_kmod.c - the back-end for quoll.ko above a fake kernel: one address space over several groups, what a refusal
 * says, groups that are lost, what the kernel may answer.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "eal/vfio_user/open_fds.h"
#include "fake_kmod.h"
#include "unit.h"

static struct fake f;
static struct quoll_ioas *ioas;
static unsigned int files_before;

#define DRIVE (&fake_kmod.groups[LAB_GROUP_DRIVE])
#define SLOT (&fake_kmod.groups[LAB_GROUP_SLOT])

static void begin(void)
{
	fake_kmod_open(&f);
	files_before = open_fds();
	CU_ASSERT_EQUAL_FATAL(quoll_ioas_open(&f.env, "kmod", &ioas, NULL), 0);
}

static void end(void)
{
	CU_ASSERT_EQUAL(quoll_ioas_close(ioas), 0);
	CU_ASSERT_EQUAL(open_fds(), files_before);
	fake_kmod_close(&f);
}

static int claim(const char *name, struct quoll_group **group, struct quoll_error *err)
{
	const struct quoll_addr addr = {.scheme = QUOLL_ADDR_PCI, .target = name};

	return quoll_group_claim(ioas, &addr, group, err);
}

static int map_at(quoll_iova_t iova, uint64_t len, unsigned int access, struct quoll_error *err)
{
	const struct ioas_mapping m = {.va = (void *)(uintptr_t)(0x7000000 + iova),
				       .iova = iova,
				       .len_bytes = len,
				       .access = access,
				       .fd = -1};

	return ioas_map(ioas, &m, err);
}

static void fail_next(unsigned long request, unsigned int skip, int errnum)
{
	fake_kmod.fail_ioctl = request;
	fake_kmod.fail_skip = skip;
	fake_kmod.fail_errno = errnum;
}

static bool has_map(const struct fake_quoll_group *g, uint64_t iova, uint64_t len_bytes, uint32_t flags)
{
	for (unsigned int i = 0; i < g->nr_maps; i++)
		if (g->maps[i].iova == iova && g->maps[i].len_bytes == len_bytes && g->maps[i].flags == flags &&
		    g->maps[i].va == 0x7000000 + iova)
			return true;
	return false;
}

static void a_group_maps_what_its_address_space_has(void)
{
	struct quoll_group *group = NULL;

	begin();
	CU_ASSERT_EQUAL(map_at(0x10000, 0x2000, MAP_DEVICE_READ, NULL), -ENODEV); /* no group yet */
	CU_ASSERT_EQUAL_FATAL(claim(LAB_SLOT1, &group, NULL), 0);
	CU_ASSERT_EQUAL(quoll_group_id(group), LAB_GROUP_SLOT);
	CU_ASSERT_EQUAL(quoll_group_nr_devices(group), 2);
	CU_ASSERT_EQUAL(map_at(0x10000, 0x2000, MAP_DEVICE_READ, NULL), 0);
	CU_ASSERT_EQUAL(map_at(0x20000, 0x1000, MAP_DEVICE_READ | MAP_DEVICE_WRITE, NULL), 0);
	CU_ASSERT_TRUE(has_map(SLOT, 0x10000, 0x2000, QUOLL_DMA_READ));
	CU_ASSERT_TRUE(has_map(SLOT, 0x20000, 0x1000, QUOLL_DMA_READ | QUOLL_DMA_WRITE));
	CU_ASSERT_EQUAL(ioas_unmap(ioas, 0x10000, 0x2000), 0);
	CU_ASSERT_EQUAL(SLOT->nr_maps, 1);
	/* the group forgets; the address space does not */
	CU_ASSERT_EQUAL(quoll_group_release(group), 0);
	CU_ASSERT_EQUAL_FATAL(claim(LAB_SLOT0, &group, NULL), 0);
	CU_ASSERT_EQUAL(SLOT->nr_maps, 1);
	CU_ASSERT_TRUE(has_map(SLOT, 0x20000, 0x1000, QUOLL_DMA_READ | QUOLL_DMA_WRITE));
	CU_ASSERT_EQUAL(quoll_group_release(group), 0);
	end();
}

static void groups_of_an_address_space_have_the_same_mappings(void)
{
	struct quoll_group *drive = NULL, *slot = NULL;
	struct quoll_error err;

	begin();
	CU_ASSERT_EQUAL_FATAL(claim(LAB_DRIVE, &drive, NULL), 0);
	CU_ASSERT_EQUAL(map_at(0x10000, 0x1000, MAP_DEVICE_READ, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(claim(LAB_SLOT0, &slot, NULL), 0);
	CU_ASSERT_TRUE(has_map(SLOT, 0x10000, 0x1000, QUOLL_DMA_READ)); /* it was there before */
	CU_ASSERT_EQUAL(map_at(0x20000, 0x1000, MAP_DEVICE_READ, NULL), 0);
	CU_ASSERT_TRUE(has_map(DRIVE, 0x20000, 0x1000, QUOLL_DMA_READ) &&
		       has_map(SLOT, 0x20000, 0x1000, QUOLL_DMA_READ));
	/* one refuses: neither has it */
	for (unsigned int i = 0; i < 2; i++) {
		fail_next(QUOLL_GROUP_MAP_DMA, i, EFAULT);
		CU_ASSERT_EQUAL(map_at(0x30000, 0x1000, MAP_DEVICE_READ, &err), -EFAULT);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "there is no memory at"));
		CU_ASSERT_EQUAL(DRIVE->nr_maps, 2);
		CU_ASSERT_EQUAL(SLOT->nr_maps, 2);
	}
	CU_ASSERT_EQUAL(map_at(0x30000, 0x1000, MAP_DEVICE_READ, NULL), 0);
	CU_ASSERT_EQUAL(ioas_unmap(ioas, 0x20000, 0x1000), 0);
	CU_ASSERT_FALSE(has_map(DRIVE, 0x20000, 0x1000, QUOLL_DMA_READ) ||
			has_map(SLOT, 0x20000, 0x1000, QUOLL_DMA_READ));
	CU_ASSERT_EQUAL(quoll_group_release(drive), 0);
	CU_ASSERT_EQUAL(ioas_unmap(ioas, 0x10000, 0x1000), 0);
	CU_ASSERT_EQUAL(SLOT->nr_maps, 1);
	CU_ASSERT_EQUAL(quoll_group_release(slot), 0);
	end();
}

/* An unmap that fails in one group is made in the others all the same. */
static void what_one_group_does_not_let_go_of_the_others_do(void)
{
	struct quoll_group *drive = NULL, *slot = NULL;

	begin();
	CU_ASSERT_EQUAL_FATAL(claim(LAB_DRIVE, &drive, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(claim(LAB_SLOT0, &slot, NULL), 0);
	CU_ASSERT_EQUAL(map_at(0x10000, 0x1000, MAP_DEVICE_READ, NULL), 0);
	fail_next(QUOLL_GROUP_UNMAP_DMA, 0, EIO);
	CU_ASSERT_EQUAL(ioas_unmap(ioas, 0x10000, 0x1000), -EIO);
	CU_ASSERT_EQUAL(SLOT->nr_maps, 0);
	CU_ASSERT_EQUAL(DRIVE->nr_maps, 1);
	CU_ASSERT_EQUAL(quoll_group_release(drive), 0);
	CU_ASSERT_EQUAL(quoll_group_release(slot), 0);
	end();
	begin();
	CU_ASSERT_EQUAL_FATAL(claim(LAB_DRIVE, &drive, NULL), 0);
	CU_ASSERT_EQUAL(map_at(0x10000, 0x1000, MAP_DEVICE_READ, NULL), 0);
	fake_kmod.unmap_short_bytes = 0x800;
	CU_ASSERT_EQUAL(ioas_unmap(ioas, 0x10000, 0x1000), -EIO);
	CU_ASSERT_EQUAL(quoll_group_release(drive), 0);
	end();
}

static void a_group_that_cannot_take_what_is_mapped_is_refused(void)
{
	struct rlimit old, low = {.rlim_cur = 0x4000};
	struct quoll_group *drive = NULL, *slot = NULL;
	struct quoll_error err;

	begin();
	CU_ASSERT_EQUAL_FATAL(claim(LAB_DRIVE, &drive, NULL), 0);
	CU_ASSERT_EQUAL(map_at(0x10000, 0x1000, MAP_DEVICE_READ, NULL), 0);
	CU_ASSERT_EQUAL(map_at(0x20000, 0x4000, MAP_DEVICE_READ, NULL), 0);
	fail_next(QUOLL_GROUP_MAP_DMA, 1, ERANGE);
	CU_ASSERT_EQUAL(claim(LAB_SLOT0, &slot, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "open another for it"));
	CU_ASSERT_EQUAL(open_fds(), files_before + 2);
	fail_next(QUOLL_GROUP_MAP_DMA, 1, EIO);
	CU_ASSERT_EQUAL(claim(LAB_SLOT0, &slot, &err), -EIO);
	getrlimit(RLIMIT_MEMLOCK, &old);
	low.rlim_max = old.rlim_max;
	CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_MEMLOCK, &low), 0);
	fake_file(&f, "proc/self/status", "VmLck:\t4 kB\nCapEff:\t0000000000000000\n");
	fail_next(QUOLL_GROUP_MAP_DMA, 1, ENOMEM);
	CU_ASSERT_EQUAL(claim(LAB_SLOT0, &slot, &err), -ENOMEM);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "16384 bytes are to be pinned")); /* what is left to map */
	setrlimit(RLIMIT_MEMLOCK, &old);
	CU_ASSERT_EQUAL_FATAL(claim(LAB_SLOT0, &slot, &err), 0);
	CU_ASSERT_EQUAL(SLOT->nr_maps, 2);
	CU_ASSERT_EQUAL(quoll_group_release(slot), 0);
	CU_ASSERT_EQUAL(quoll_group_release(drive), 0);
	end();
}

static void the_limits_are_those_of_all_groups(void)
{
	struct quoll_group *drive = NULL, *slot = NULL;
	struct quoll_ioas_info info;

	begin();
	CU_ASSERT_EQUAL(quoll_ioas_info(ioas, &info, NULL), 0);
	CU_ASSERT_EQUAL(info.nr_ranges, 0);
	CU_ASSERT_EQUAL(info.maps_avail, UINT32_MAX);
	CU_ASSERT_EQUAL_FATAL(claim(LAB_DRIVE, &drive, NULL), 0);
	CU_ASSERT_EQUAL(quoll_ioas_info(ioas, &info, NULL), 0);
	CU_ASSERT_EQUAL(info.nr_ranges, 2);
	CU_ASSERT_EQUAL(info.ranges[0].first, 0);
	CU_ASSERT_EQUAL(info.ranges[0].last, 0xfedfffff);
	CU_ASSERT_EQUAL(info.ranges[1].first, 0xfef00000);
	CU_ASSERT_EQUAL(info.ranges[1].last, (1ull << 39) - 1);
	CU_ASSERT_EQUAL(info.page_sizes, 0x40201000);
	CU_ASSERT_EQUAL(info.memlock_bytes, UINT64_MAX); /* CAP_IPC_LOCK */
	CU_ASSERT_EQUAL(map_at(0x10000, 0x1000, MAP_DEVICE_READ, NULL), 0);
	SLOT->page_sizes = 0x201000;
	SLOT->aperture_last = (1ull << 36) - 1;
	SLOT->reserved_first = 0x8000000;
	SLOT->reserved_last = 0x80fffff;
	SLOT->max_maps = 4;
	CU_ASSERT_EQUAL_FATAL(claim(LAB_SLOT0, &slot, NULL), 0);
	CU_ASSERT_EQUAL(quoll_ioas_info(ioas, &info, NULL), 0);
	CU_ASSERT_EQUAL(info.page_sizes, 0x201000);
	CU_ASSERT_EQUAL(info.maps_avail, 3);
	CU_ASSERT_EQUAL_FATAL(info.nr_ranges, 3);
	CU_ASSERT_EQUAL(info.ranges[0].last, 0x7ffffff);
	CU_ASSERT_EQUAL(info.ranges[1].first, 0x8100000);
	CU_ASSERT_EQUAL(info.ranges[1].last, 0xfedfffff);
	CU_ASSERT_EQUAL(info.ranges[2].last, (1ull << 36) - 1);
	CU_ASSERT_EQUAL(quoll_group_release(slot), 0);
	CU_ASSERT_EQUAL(quoll_group_release(drive), 0);
	end();
}

static void locked_memory_counts_once_for_each_group(void)
{
	struct rlimit old, low = {.rlim_cur = 64 << 10};
	struct quoll_group *drive = NULL, *slot = NULL;
	struct quoll_error err;

	begin();
	getrlimit(RLIMIT_MEMLOCK, &old);
	low.rlim_max = old.rlim_max;
	CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_MEMLOCK, &low), 0);
	fake_file(&f, "proc/self/status", "VmLck:\t16 kB\nCapEff:\t0000000000000000\n");
	CU_ASSERT_EQUAL_FATAL(claim(LAB_DRIVE, &drive, NULL), 0);
	CU_ASSERT_EQUAL(ioas_check_limits(ioas, 48 << 10, 1, &err), 0);
	CU_ASSERT_EQUAL_FATAL(claim(LAB_SLOT0, &slot, NULL), 0);
	CU_ASSERT_EQUAL(ioas_check_limits(ioas, 24 << 10, 1, &err), 0);
	CU_ASSERT_EQUAL(ioas_check_limits(ioas, 28 << 10, 1, &err), -ENOMEM);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "which makes 72 KiB")); /* 16 and twice 28 */
	CU_ASSERT_EQUAL(ioas_check_limits(ioas, UINT64_MAX / 2 + 2, 1, &err), -ENOMEM);
	fail_next(QUOLL_GROUP_MAP_DMA, 1, ENOMEM);
	CU_ASSERT_EQUAL(map_at(0x10000, 28 << 10, MAP_DEVICE_READ, &err), -ENOMEM);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "which makes 72 KiB"));
	fail_next(QUOLL_GROUP_MAP_DMA, 1, ENOMEM);
	CU_ASSERT_EQUAL(map_at(0x10000, 24 << 10, MAP_DEVICE_READ, &err), -ENOMEM);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "not the memlock limit"));
	CU_ASSERT_EQUAL(ioas_check_limits(ioas, 4096, FAKE_MAX_MAPS + 1, &err), -ENOMEM);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "/sys/module/quoll/parameters/max_mappings"));
	setrlimit(RLIMIT_MEMLOCK, &old);
	CU_ASSERT_EQUAL(quoll_group_release(slot), 0);
	CU_ASSERT_EQUAL(quoll_group_release(drive), 0);
	end();
}

static void a_refused_mapping_is_explained(void)
{
	static const struct {
		int errnum, rc;
		const char *said;
	} ways[] = {
		{EINVAL, -EINVAL, "not all multiples of the page"},
		{ERANGE, -ERANGE, "outside what the IOMMU translates"},
		{EEXIST, -EEXIST, "mapped already"},
		{ENOSPC, -ENOMEM, "mappings that quoll.ko allows are in use"},
		{EBUSY, -EBUSY, "busy"},
	};
	struct quoll_group *group = NULL;
	struct quoll_error err;

	begin();
	CU_ASSERT_EQUAL_FATAL(claim(LAB_DRIVE, &group, NULL), 0);
	for (unsigned int i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		fail_next(QUOLL_GROUP_MAP_DMA, 0, ways[i].errnum);
		CU_ASSERT_EQUAL(map_at(0x10000, 0x1000, MAP_DEVICE_READ, &err), ways[i].rc);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.what, ways[i].said));
	}
	CU_ASSERT_EQUAL(ioas->maps.nr, 0);
	CU_ASSERT_EQUAL(quoll_group_release(group), 0);
	end();
}

static void a_lost_group_holds_nothing_up(void)
{
	struct quoll_group *drive = NULL, *slot = NULL;
	struct quoll_device *dev = NULL;
	struct quoll_ioas_info info;
	struct quoll_error err;

	begin();
	CU_ASSERT_EQUAL_FATAL(claim(LAB_DRIVE, &drive, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(claim(LAB_SLOT0, &slot, NULL), 0);
	CU_ASSERT_EQUAL(map_at(0x10000, 0x1000, MAP_DEVICE_READ, NULL), 0);
	DRIVE->aperture_last = 0xffff;
	DRIVE->lost = true;
	DRIVE->nr_maps = 0;
	CU_ASSERT_EQUAL(map_at(0x20000, 0x1000, MAP_DEVICE_READ, NULL), 0);
	CU_ASSERT_EQUAL(SLOT->nr_maps, 2);
	CU_ASSERT_EQUAL(quoll_ioas_info(ioas, &info, NULL), 0);
	CU_ASSERT_EQUAL(info.nr_ranges, 2); /* the other's */
	CU_ASSERT_EQUAL(quoll_device_open(drive, LAB_DRIVE, &dev, &err), -ENODEV);
	CU_ASSERT_EQUAL(ioas_unmap(ioas, 0x10000, 0x1000), 0);
	CU_ASSERT_EQUAL(SLOT->nr_maps, 1);
	SLOT->lost = true;
	CU_ASSERT_EQUAL(ioas_unmap(ioas, 0x20000, 0x1000), 0);
	CU_ASSERT_EQUAL(quoll_group_release(drive), 0);
	CU_ASSERT_EQUAL(quoll_group_release(slot), 0);
	end();
}

static void no_module_and_another_version_are_errors(void)
{
	struct quoll_error err;

	fake_kmod_open(&f);
	files_before = open_fds();
	fake_kmod.version = QUOLL_UAPI_VERSION + 1;
	CU_ASSERT_EQUAL(quoll_ioas_open(&f.env, "kmod", &ioas, &err), -ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "speaks version"));
	fake_remove(&f, "dev/quoll/control");
	CU_ASSERT_EQUAL(quoll_ioas_open(&f.env, "kmod", &ioas, &err), -ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "insmod kmod/quoll.ko"));
	CU_ASSERT_EQUAL(open_fds(), files_before);
	fake_kmod_close(&f);
}

/* It wants another driver than the others, so it is never taken for want of a name. */
static void it_is_taken_only_when_it_is_named(void)
{
	struct quoll_error err;

	fake_kmod_open(&f);
	fake_remove(&f, "dev/vfio/vfio");
	CU_ASSERT_EQUAL(quoll_ioas_open(&f.env, NULL, &ioas, &err), -ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "VFIO is not loaded"));
	f.env.backend = "kmod";
	CU_ASSERT_EQUAL_FATAL(quoll_ioas_open(&f.env, NULL, &ioas, &err), 0);
	CU_ASSERT_STRING_EQUAL(ioas->ops->name, "kmod");
	CU_ASSERT_EQUAL(quoll_ioas_close(ioas), 0);
	fake_kmod_close(&f);
}

static void slot1_driver(const char *name)
{
	fake_driver(&f, name);
	fake_remove(&f, "sys/devices/" LAB_SLOT1_PATH "/driver");
	if (!strcmp(name, "vfio-pci"))
		fake_link(&f, "sys/devices/" LAB_SLOT1_PATH "/driver", "sys/bus/pci/drivers/vfio-pci");
	else
		fake_link(&f, "sys/devices/" LAB_SLOT1_PATH "/driver", "sys/bus/pci/drivers/e1000e");
}

static void a_group_whose_members_are_with_others_is_refused(void)
{
	struct quoll_group *group = NULL;
	struct quoll_error err;

	begin();
	slot1_driver("e1000e");
	CU_ASSERT_EQUAL(claim(LAB_SLOT0, &group, &err), -EBUSY);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, LAB_SLOT1 "  e1000e  <- in the way"));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "quoll bind " LAB_SLOT0 " --driver quoll"));
	slot1_driver("vfio-pci");
	fake_remove(&f, "sys/devices/" LAB_SLOT0_PATH "/driver");
	CU_ASSERT_EQUAL(claim(LAB_SLOT0, &group, &err), -ENODEV);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "is with the driver quoll"));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "quoll bind " LAB_SLOT0 " --driver quoll"));
	fake_link(&f, "sys/devices/" LAB_SLOT0_PATH "/driver", "sys/bus/pci/drivers/quoll");
	CU_ASSERT_EQUAL_FATAL(claim(LAB_SLOT0, &group, &err), 0);
	CU_ASSERT_EQUAL(quoll_group_release(group), 0);
	end();
}

static void holder(int pid, const char *file)
{
	char path[PATH_BYTES];

	snprintf(path, sizeof(path), "proc/%d/comm", pid);
	fake_file(&f, path, "qemu\n");
	snprintf(path, sizeof(path), "proc/%d/fd/5", pid);
	fake_raw_link(&f, path, file);
}

static void whoever_holds_the_group_is_named(void)
{
	static const char *const ways[] = {"/dev/quoll/2", "/dev/vfio/2"};
	struct quoll_group *group = NULL;
	struct quoll_error err;

	for (unsigned int i = 0; i < 2; i++) {
		begin();
		holder(4321, ways[i]);
		fake_kmod.open_errno = EBUSY;
		CU_ASSERT_EQUAL(claim(LAB_DRIVE, &group, &err), -EBUSY);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "process 4321 (qemu)"));
		end();
	}
	/* all_groups=1: it opens, and is not ours */
	begin();
	holder(4321, "/dev/vfio/2");
	DRIVE->unclaimed = true;
	CU_ASSERT_EQUAL(claim(LAB_DRIVE, &group, &err), -EBUSY);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "process 4321 (qemu)"));
	end();
}

static void a_second_claim_in_this_process_is_told_as_such(void)
{
	const struct quoll_addr addr = {.scheme = QUOLL_ADDR_PCI, .target = LAB_SLOT0};
	struct quoll_group *group = NULL, *second = NULL;
	struct quoll_ioas *other = NULL;
	struct quoll_error err;
	struct quoll_env env;

	begin();
	env = f.env;
	env.proc_root = NULL; /* the true one, in which this process is found */
	CU_ASSERT_EQUAL_FATAL(claim(LAB_SLOT0, &group, NULL), 0);
	CU_ASSERT_EQUAL(claim(LAB_SLOT1, &second, &err), -EBUSY);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "in this address space already"));
	CU_ASSERT_EQUAL_FATAL(quoll_ioas_open(&env, "kmod", &other, NULL), 0);
	fake_kmod.open_errno = EBUSY;
	CU_ASSERT_EQUAL(quoll_group_claim(other, &addr, &second, &err), -EBUSY);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "this process itself"));
	CU_ASSERT_EQUAL(quoll_ioas_close(other), 0);
	CU_ASSERT_EQUAL(quoll_group_release(group), 0);
	end();
}

/* The kernel gives up opening while any signal is pending, also one that has a handler, or a debugger's. */
static void signals_do_not_keep_a_group_from_being_claimed(void)
{
	struct quoll_group *group = NULL;

	begin();
	fake_kmod.interrupts = 3;
	CU_ASSERT_EQUAL_FATAL(claim(LAB_DRIVE, &group, NULL), 0);
	CU_ASSERT_EQUAL(fake_kmod.interrupts, 0);
	CU_ASSERT_EQUAL(quoll_group_release(group), 0);
	end();
}

static void files_that_do_not_open_are_told_by_their_cause(void)
{
	struct quoll_group *group = NULL;
	struct quoll_error err;

	begin();
	fake_kmod.open_errno = EACCES;
	CU_ASSERT_EQUAL(claim(LAB_DRIVE, &group, &err), -EACCES);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "/quoll/2"));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "--user"));
	fake_kmod.open_errno = EPERM; /* though its rights are ours */
	CU_ASSERT_EQUAL(claim(LAB_DRIVE, &group, &err), -EPERM);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "does not remap interrupts"));
	fake_kmod.open_errno = ENOMEM;
	CU_ASSERT_EQUAL(claim(LAB_DRIVE, &group, &err), -ENOMEM);
	fake_kmod.open_errno = 0;
	fail_next(QUOLL_GROUP_GET_INFO, 0, EIO);
	CU_ASSERT_EQUAL(claim(LAB_DRIVE, &group, &err), -EIO);
	fake_remove(&f, "dev/quoll/2");
	CU_ASSERT_EQUAL(claim(LAB_DRIVE, &group, &err), -ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "/quoll/2 is missing"));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "--device"));
	end();
}

static void a_device_is_opened_and_closed_or_its_refusal_told(void)
{
	struct quoll_group *group = NULL;
	struct quoll_device *dev = NULL;
	unsigned int files;
	struct quoll_error err;

	begin();
	CU_ASSERT_EQUAL_FATAL(claim(LAB_DRIVE, &group, NULL), 0);
	files = open_fds();
	CU_ASSERT_EQUAL_FATAL(quoll_device_open(group, LAB_DRIVE, &dev, &err), 0);
	CU_ASSERT_EQUAL(quoll_device_events(dev), 0);
	quoll_device_close(dev);
	CU_ASSERT_EQUAL(open_fds(), files);
	fail_next(QUOLL_GROUP_OPEN_DEVICE, 0, ENOENT);
	CU_ASSERT_EQUAL(quoll_device_open(group, LAB_DRIVE, &dev, &err), -ENODEV);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "quoll bind " LAB_DRIVE " --driver quoll"));
	fail_next(QUOLL_GROUP_OPEN_DEVICE, 0, EACCES);
	CU_ASSERT_EQUAL(quoll_device_open(group, LAB_DRIVE, &dev, &err), -EACCES);
	fake_kmod.nr_regions = 100000;
	CU_ASSERT_EQUAL(quoll_device_open(group, LAB_DRIVE, &dev, &err), -EPROTO);
	CU_ASSERT_EQUAL(open_fds(), files);
	CU_ASSERT_EQUAL(quoll_group_release(group), 0);
	end();
}

struct answer {
	struct quoll_group_info info;
	struct quoll_cap_iommu iommu;
	struct fake_reserved reserved;
};

static const struct answer good = {
	.info = {.argsz = sizeof(struct answer),
		 .flags = QUOLL_GROUP_CAPS,
		 .cap_offset = offsetof(struct answer, iommu)},
	.iommu = {.header = {QUOLL_CAP_IOMMU, 1, offsetof(struct answer, reserved)},
		  .page_sizes = 4096,
		  .aperture_last = 0xffffffff,
		  .max_mappings = 10,
		  .nr_mappings = 4},
	.reserved = {.header = {QUOLL_CAP_RESERVED, 1, 0},
		     .nr_ranges = 2,
		     .ranges = {{.first = 0x1000, .last = 0x1fff}, {.first = 0xfee00000, .last = 0xfeefffff}}},
};

static int parse(const struct answer *answer, size_t bytes)
{
	struct quoll_ioas_info info = {0};

	return kmod_info_parse(answer, bytes, &info);
}

static void answers_that_make_no_sense_are_refused(void)
{
	struct quoll_ioas_info info = {0};
	struct answer bad;

	CU_ASSERT_EQUAL(kmod_info_parse(&good, sizeof(good), &info), 0);
	CU_ASSERT_EQUAL(info.nr_ranges, 3);
	CU_ASSERT_EQUAL(info.maps_avail, 6);
	CU_ASSERT_EQUAL(parse(&good, sizeof(good.info) - 1), -EPROTO);
	CU_ASSERT_EQUAL(parse(&good, sizeof(good) - 1), -EPROTO); /* the last range is cut */
	CU_ASSERT_EQUAL(parse(&good, offsetof(struct answer, reserved) - 1), -EPROTO);
	bad = good;
	bad.info.flags = 0;
	CU_ASSERT_EQUAL(parse(&bad, sizeof(bad)), -EPROTO);
	bad = good;
	bad.info.cap_offset = 0;
	CU_ASSERT_EQUAL(parse(&bad, sizeof(bad)), -EPROTO);
	bad = good;
	bad.info.cap_offset = offsetof(struct answer, reserved); /* no IOMMU in it */
	CU_ASSERT_EQUAL(parse(&bad, sizeof(bad)), -EPROTO);
	bad = good;
	bad.iommu.header.next = offsetof(struct answer, iommu);
	CU_ASSERT_EQUAL(parse(&bad, sizeof(bad)), -ELOOP);
	bad = good;
	bad.iommu.header.next = sizeof(bad) - 1;
	CU_ASSERT_EQUAL(parse(&bad, sizeof(bad)), -EPROTO);
	bad = good;
	bad.iommu.page_sizes = 0;
	CU_ASSERT_EQUAL(parse(&bad, sizeof(bad)), -EPROTO);
	bad = good;
	bad.iommu.aperture_first = 0x100000000;
	CU_ASSERT_EQUAL(parse(&bad, sizeof(bad)), -EPROTO);
	bad = good;
	bad.reserved.nr_ranges = UINT32_MAX;
	CU_ASSERT_EQUAL(parse(&bad, sizeof(bad)), -EPROTO);
	bad = good;
	bad.reserved.ranges[0].last = 0xfff;
	CU_ASSERT_EQUAL(parse(&bad, sizeof(bad)), -EPROTO);
	bad = good;
	bad.iommu.nr_mappings = 11; /* the limit was lowered meanwhile */
	CU_ASSERT_EQUAL(kmod_info_parse(&bad, sizeof(bad), &info), 0);
	CU_ASSERT_EQUAL(info.maps_avail, 0);
}

static void a_malformed_answer_is_told(void)
{
	struct quoll_group *group = NULL;
	struct quoll_ioas_info info;
	struct quoll_error err;

	begin();
	CU_ASSERT_EQUAL_FATAL(claim(LAB_DRIVE, &group, NULL), 0);
	fake_kmod.nr_reserved = 1000;
	CU_ASSERT_EQUAL(quoll_ioas_info(ioas, &info, &err), -EPROTO);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "malformed"));
	CU_ASSERT_EQUAL(quoll_group_release(group), 0);
	end();
}

static void limits_narrow_to_what_both_have(void)
{
	struct quoll_ioas_info a = {.page_sizes = 0x3000, .nr_ranges = 1, .ranges = {{0, UINT64_MAX}}, .maps_avail = 2};
	struct quoll_ioas_info b = {.page_sizes = 0x1000,
				    .nr_ranges = 2,
				    .ranges = {{0x1000, 0x1fff}, {0x4000, UINT64_MAX}},
				    .maps_avail = 3};

	kmod_info_narrow(&a, &b);
	CU_ASSERT_EQUAL(a.page_sizes, 0x1000);
	CU_ASSERT_EQUAL(a.maps_avail, 2);
	CU_ASSERT_EQUAL_FATAL(a.nr_ranges, 2);
	CU_ASSERT_TRUE(a.ranges[0].first == 0x1000 && a.ranges[0].last == 0x1fff);
	CU_ASSERT_TRUE(a.ranges[1].first == 0x4000 && a.ranges[1].last == UINT64_MAX);
	b.nr_ranges = 1;
	kmod_info_narrow(&a, &b);
	CU_ASSERT_EQUAL_FATAL(a.nr_ranges, 1);
	CU_ASSERT_EQUAL(a.ranges[0].last, 0x1fff);
	b.nr_ranges = 0;
	kmod_info_narrow(&a, &b);
	CU_ASSERT_EQUAL(a.nr_ranges, 0);
}

static const struct unit_test tests[] = {
	{"a group maps what its address space has", a_group_maps_what_its_address_space_has},
	{"groups of an address space have the same mappings", groups_of_an_address_space_have_the_same_mappings},
	{"what one group does not let go of the others do", what_one_group_does_not_let_go_of_the_others_do},
	{"a group that cannot take what is mapped is refused", a_group_that_cannot_take_what_is_mapped_is_refused},
	{"the limits are those of all groups", the_limits_are_those_of_all_groups},
	{"locked memory counts once for each group", locked_memory_counts_once_for_each_group},
	{"a refused mapping is explained", a_refused_mapping_is_explained},
	{"a lost group holds nothing up", a_lost_group_holds_nothing_up},
	{"no module and another version are errors", no_module_and_another_version_are_errors},
	{"it is taken only when it is named", it_is_taken_only_when_it_is_named},
	{"a group whose members are with others is refused", a_group_whose_members_are_with_others_is_refused},
	{"whoever holds the group is named", whoever_holds_the_group_is_named},
	{"a second claim in this process is told as such", a_second_claim_in_this_process_is_told_as_such},
	{"signals do not keep a group from being claimed", signals_do_not_keep_a_group_from_being_claimed},
	{"files that do not open are told by their cause", files_that_do_not_open_are_told_by_their_cause},
	{"a device is opened and closed, or its refusal told", a_device_is_opened_and_closed_or_its_refusal_told},
	{"answers that make no sense are refused", answers_that_make_no_sense_are_refused},
	{"a malformed answer is told", a_malformed_answer_is_told},
	{"limits narrow to what both have", limits_narrow_to_what_both_have},
};

UNIT_MAIN("eal/backend/kmod", tests)
