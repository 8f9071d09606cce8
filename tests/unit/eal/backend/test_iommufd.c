/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_iommufd.c - the iommufd back-end above a fake kernel: all of a group or nothing, what a refusal says, mappings,
 * what the kernel may answer, and members that it wants back.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "eal/vfio_user/open_fds.h"
#include "fake_iommufd.h"
#include "unit.h"

static struct fake f;
static struct quoll_ioas *ioas;

static void begin(void)
{
	fake_iommufd_open(&f);
	CU_ASSERT_EQUAL_FATAL(quoll_ioas_open(&f.env, "iommufd", &ioas, NULL), 0);
}

static void end(void)
{
	CU_ASSERT_EQUAL(quoll_ioas_close(ioas), 0);
	CU_ASSERT_TRUE(fake_iommufd_all_free());
	fake_iommufd_close(&f);
}

static int claim(const char *name, struct quoll_group **group, struct quoll_error *err)
{
	const struct quoll_addr addr = {.scheme = QUOLL_ADDR_PCI, .target = name};

	return quoll_group_claim(ioas, &addr, group, err);
}

static int map_at(quoll_iova_t iova, uint64_t len, unsigned int access, struct quoll_error *err)
{
	const struct ioas_mapping m = {
		.va = (void *)0x7000000, .iova = iova, .len_bytes = len, .access = access, .fd = -1};

	return ioas_map(ioas, &m, err);
}

static void every_member_is_bound_and_attached_and_let_go_again(void)
{
	struct quoll_group *group = NULL;
	unsigned int files;

	begin();
	files = open_fds();
	CU_ASSERT_EQUAL_FATAL(claim(LAB_SLOT1, &group, NULL), 0);
	CU_ASSERT_STRING_EQUAL(fake_kernel.calls, "alloc bind(vfio1) bind(vfio2) attach(vfio1) attach(vfio2) ");
	CU_ASSERT_TRUE(fake_kernel.attached[1] && fake_kernel.attached[2]);
	CU_ASSERT_EQUAL(quoll_group_id(group), LAB_GROUP_SLOT);
	CU_ASSERT_EQUAL(quoll_group_nr_devices(group), 2);
	CU_ASSERT_EQUAL(quoll_group_release(group), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(fake_kernel.calls, "detach(vfio2) detach(vfio1) "));
	CU_ASSERT_TRUE(fake_iommufd_all_free());
	CU_ASSERT_EQUAL(open_fds(), files);
	CU_ASSERT_EQUAL(claim(LAB_SLOT0, &group, NULL), 0);
	CU_ASSERT_EQUAL(quoll_group_release(group), 0);
	end();
}

static void a_failure_at_any_member_undoes_the_others(void)
{
	static const struct {
		unsigned long request;
		unsigned int skip;
		const char *undone;
	} steps[] = {
		{IOMMUFD_DEVICE_BIND, 0, "alloc "},
		{IOMMUFD_DEVICE_BIND, 1, "bind(vfio1) detach(vfio1) "},
		{IOMMUFD_DEVICE_ATTACH, 0, "bind(vfio2) detach(vfio2) detach(vfio1) "},
		{IOMMUFD_DEVICE_ATTACH, 1, "attach(vfio1) detach(vfio2) detach(vfio1) "},
	};
	struct quoll_group *group = NULL;
	struct quoll_error err;
	unsigned int files;

	for (unsigned int i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		begin();
		files = open_fds();
		fake_kernel.fail_ioctl = steps[i].request;
		fake_kernel.fail_skip = steps[i].skip;
		fake_kernel.fail_errno = EIO;
		CU_ASSERT_EQUAL(claim(LAB_SLOT0, &group, &err), -EIO);
		CU_ASSERT_EQUAL(fake_kernel.fail_ioctl, 0);
		CU_ASSERT_TRUE(fake_iommufd_all_free());
		CU_ASSERT_EQUAL(open_fds(), files);
		CU_ASSERT_STRING_EQUAL(fake_kernel.calls + strlen(fake_kernel.calls) - strlen(steps[i].undone),
				       steps[i].undone);
		CU_ASSERT_EQUAL(claim(LAB_SLOT0, &group, NULL), 0);
		CU_ASSERT_EQUAL(quoll_group_release(group), 0);
		end();
	}
}

static void no_iommu_file_and_no_address_space_are_errors(void)
{
	struct quoll_error err;
	unsigned int files;

	fake_iommufd_open(&f);
	files = open_fds();
	fake_kernel.fail_ioctl = IOMMUFD_IOAS_ALLOC;
	fake_kernel.fail_errno = ENOMEM;
	CU_ASSERT_EQUAL(quoll_ioas_open(&f.env, "iommufd", &ioas, &err), -ENOMEM);
	fake_remove(&f, "dev/iommu");
	CU_ASSERT_EQUAL(quoll_ioas_open(&f.env, "iommufd", &ioas, &err), -ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "modprobe -a iommufd"));
	CU_ASSERT_EQUAL(open_fds(), files);
	fake_iommufd_close(&f);
}

static void whoever_holds_the_group_is_named(void)
{
	static const struct {
		int errnum;
		const char *file;
	} ways[] = {
		{EBUSY, "/vfio/3"},		 /* through the group's file */
		{EINVAL, "/vfio/devices/vfio2"}, /* bound already */
		{EPERM, "/vfio/devices/vfio1"},	 /* another member is */
	};
	struct quoll_group *group = NULL;
	struct quoll_error err;

	for (unsigned int i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		begin();
		fake_holder(&f, 4321, "qemu", ways[i].file);
		fake_kernel.fail_ioctl = IOMMUFD_DEVICE_BIND;
		fake_kernel.fail_errno = ways[i].errnum;
		CU_ASSERT_EQUAL(claim(LAB_SLOT0, &group, &err), -EBUSY);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "process 4321 (qemu)"));
		CU_ASSERT_TRUE(err.hint[0] != '\0');
		end();
	}
}

static void a_second_claim_in_this_process_is_told_as_such(void)
{
	struct quoll_group *group = NULL, *second = NULL;
	struct quoll_ioas *other = NULL;
	const struct quoll_addr addr = {.scheme = QUOLL_ADDR_PCI, .target = LAB_SLOT0};
	struct quoll_error err;
	struct quoll_env env;

	begin();
	env = f.env;
	env.proc_root = NULL; /* the true one, in which this process is found */
	CU_ASSERT_EQUAL_FATAL(claim(LAB_SLOT0, &group, NULL), 0);
	CU_ASSERT_EQUAL(claim(LAB_SLOT1, &second, &err), -EBUSY);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "in this address space already"));
	CU_ASSERT_EQUAL_FATAL(quoll_ioas_open(&env, "iommufd", &other, NULL), 0);
	CU_ASSERT_EQUAL(quoll_group_claim(other, &addr, &second, &err), -EBUSY);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "this process itself"));
	CU_ASSERT_EQUAL(quoll_ioas_close(other), 0);
	CU_ASSERT_EQUAL(quoll_group_release(group), 0);
	end();
}

static void interrupts_that_are_not_remapped_are_told_from_a_holder(void)
{
	struct quoll_group *group = NULL;
	struct quoll_error err;

	begin();
	fake_kernel.fail_ioctl = IOMMUFD_DEVICE_BIND;
	fake_kernel.fail_errno = EPERM;
	CU_ASSERT_EQUAL(claim(LAB_DRIVE, &group, &err), -EPERM);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "does not remap interrupts"));
	fake_kernel.fail_ioctl = IOMMUFD_DEVICE_BIND;
	fake_kernel.fail_errno = EINVAL;
	CU_ASSERT_EQUAL(claim(LAB_DRIVE, &group, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "it does not answer"));
	end();
}

static void a_group_that_is_not_viable_is_not_touched(void)
{
	struct quoll_group *group = NULL;
	struct quoll_error err;

	begin();
	fake_driver(&f, "e1000e");
	fake_remove(&f, "sys/devices/" LAB_SLOT1_PATH "/driver");
	fake_link(&f, "sys/devices/" LAB_SLOT1_PATH "/driver", "sys/bus/pci/drivers/e1000e");
	CU_ASSERT_EQUAL(claim(LAB_SLOT0, &group, &err), -EBUSY);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, LAB_SLOT1 "  e1000e  <- in the way"));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "quoll bind " LAB_SLOT0));
	CU_ASSERT_EQUAL(claim("0000:00:04.0", &group, &err), -ENODEV);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "quoll bind 0000:00:04.0"));
	CU_ASSERT_STRING_EQUAL(fake_kernel.calls, "alloc ");
	end();
}

static void a_member_without_a_driver_joins_when_it_has_one(void)
{
	struct quoll_device *dev = NULL;
	struct quoll_group *group = NULL;
	struct quoll_error err;

	begin();
	fake_remove(&f, "sys/devices/" LAB_SLOT1_PATH "/driver");
	fake_remove(&f, "sys/devices/" LAB_SLOT1_PATH "/vfio-dev");
	CU_ASSERT_EQUAL_FATAL(claim(LAB_SLOT0, &group, NULL), 0);
	CU_ASSERT_STRING_EQUAL(fake_kernel.calls, "alloc bind(vfio1) attach(vfio1) ");
	CU_ASSERT_EQUAL(quoll_device_open(group, LAB_SLOT1, &dev, &err), -ENODEV);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "quoll bind " LAB_SLOT1));
	fake_link(&f, "sys/devices/" LAB_SLOT1_PATH "/driver", "sys/bus/pci/drivers/vfio-pci");
	fake_file(&f, "sys/devices/" LAB_SLOT1_PATH "/vfio-dev/vfio2/dev", "511:2\n");
	CU_ASSERT_EQUAL_FATAL(quoll_device_open(group, LAB_SLOT1, &dev, &err), 0);
	CU_ASSERT_TRUE(fake_kernel.attached[2]);
	quoll_device_close(dev);
	CU_ASSERT_EQUAL(quoll_group_release(group), 0);
	end();
}

static void files_that_are_missing_are_told_by_their_cause(void)
{
	struct quoll_group *group = NULL;
	struct quoll_error err;

	begin();
	fake_remove(&f, "dev/vfio/devices/vfio2");
	CU_ASSERT_EQUAL(claim(LAB_SLOT0, &group, &err), -ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "/vfio/devices/vfio2 is missing"));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "--device"));
	CU_ASSERT_TRUE(fake_iommufd_all_free());
	fake_remove(&f, "sys/devices/" LAB_SLOT1_PATH "/vfio-dev/vfio2/dev");
	CU_ASSERT_EQUAL(claim(LAB_SLOT0, &group, &err), -ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "CONFIG_VFIO_DEVICE_CDEV"));
	fake_remove(&f, "sys/devices/" LAB_SLOT1_PATH "/vfio-dev");
	CU_ASSERT_EQUAL(claim(LAB_SLOT0, &group, &err), -ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "CONFIG_VFIO_DEVICE_CDEV"));
	end();
}

static void mappings_outlive_the_last_group(void)
{
	struct quoll_group *group = NULL;

	begin();
	CU_ASSERT_EQUAL_FATAL(claim(LAB_DRIVE, &group, NULL), 0);
	CU_ASSERT_EQUAL(map_at(0x10000, 0x2000, MAP_DEVICE_READ, NULL), 0);
	CU_ASSERT_EQUAL(fake_kernel.map.flags, IOMMUFD_MAP_FIXED_IOVA | IOMMUFD_MAP_READABLE);
	CU_ASSERT_EQUAL(fake_kernel.map.ioas_id, FAKE_IOAS_ID);
	CU_ASSERT_EQUAL(fake_kernel.map.user_va, 0x7000000);
	CU_ASSERT_EQUAL(fake_kernel.map.length, 0x2000);
	CU_ASSERT_EQUAL(map_at(0x20000, 0x1000, MAP_DEVICE_READ | MAP_DEVICE_WRITE, NULL), 0);
	CU_ASSERT_EQUAL(fake_kernel.map.flags, IOMMUFD_MAP_FIXED_IOVA | IOMMUFD_MAP_READABLE | IOMMUFD_MAP_WRITEABLE);
	CU_ASSERT_EQUAL(quoll_group_release(group), 0);
	fake_kernel.calls[0] = '\0';
	CU_ASSERT_EQUAL_FATAL(claim(LAB_DRIVE, &group, NULL), 0);
	CU_ASSERT_PTR_NULL(strstr(fake_kernel.calls, "map"));
	CU_ASSERT_EQUAL(ioas_unmap(ioas, 0x10000, 0x2000), 0);
	CU_ASSERT_EQUAL(quoll_group_release(group), 0);
	CU_ASSERT_EQUAL(ioas_unmap(ioas, 0x20000, 0x1000), 0); /* also without one */
	CU_ASSERT_PTR_NOT_NULL(strstr(fake_kernel.calls, "unmap(0x20000)"));
	end();
}

static void a_group_that_does_not_go_with_what_is_mapped_is_refused(void)
{
	struct rlimit old, low = {.rlim_cur = 4096};
	struct quoll_group *group = NULL;
	struct quoll_error err;

	begin();
	CU_ASSERT_EQUAL(map_at(0x10000, 0x2000, MAP_DEVICE_READ, NULL), 0);
	fake_kernel.fail_ioctl = IOMMUFD_DEVICE_ATTACH;
	fake_kernel.fail_errno = EADDRINUSE;
	CU_ASSERT_EQUAL(claim(LAB_DRIVE, &group, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "reserves addresses that are mapped already"));
	CU_ASSERT_TRUE(fake_iommufd_all_free());

	getrlimit(RLIMIT_MEMLOCK, &old);
	low.rlim_max = old.rlim_max;
	CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_MEMLOCK, &low), 0);
	fake_file(&f, "proc/self/status", "VmLck:\t0 kB\nCapEff:\t0000000000000000\n");
	fake_kernel.fail_ioctl = IOMMUFD_DEVICE_ATTACH;
	fake_kernel.fail_errno = ENOMEM;
	CU_ASSERT_EQUAL(claim(LAB_DRIVE, &group, &err), -ENOMEM);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "all of the user's processes"));
	setrlimit(RLIMIT_MEMLOCK, &old);
	CU_ASSERT_EQUAL(ioas_unmap(ioas, 0x10000, 0x2000), 0);
	end();
}

static void the_limits_are_the_ranges_that_the_kernel_tells(void)
{
	struct quoll_ioas_info info;
	struct quoll_group *group = NULL;

	begin();
	CU_ASSERT_EQUAL(quoll_ioas_info(ioas, &info, NULL), 0);
	CU_ASSERT_EQUAL(info.nr_ranges, 0); /* no device yet */
	CU_ASSERT_EQUAL_FATAL(claim(LAB_DRIVE, &group, NULL), 0);
	CU_ASSERT_EQUAL(quoll_ioas_info(ioas, &info, NULL), 0);
	CU_ASSERT_EQUAL(info.nr_ranges, 2);
	CU_ASSERT_EQUAL(info.ranges[0].last, 0xfedfffff);
	CU_ASSERT_EQUAL(info.ranges[1].first, 0xfef00000);
	CU_ASSERT_EQUAL(info.page_sizes & -info.page_sizes, 4096);
	CU_ASSERT_EQUAL(info.maps_avail, UINT32_MAX);
	CU_ASSERT_EQUAL(info.memlock_bytes, UINT64_MAX); /* CAP_IPC_LOCK */
	fake_kernel.num_iovas = 80;			 /* more than there is room for: those that fit count */
	for (unsigned int i = 0; i < 80; i++)
		fake_kernel.ranges[i] = (struct iommufd_iova_range){i * 0x2000, i * 0x2000 + 0xfff};
	CU_ASSERT_EQUAL(quoll_ioas_info(ioas, &info, NULL), 0);
	CU_ASSERT_EQUAL(info.nr_ranges, QUOLL_IOAS_MAX_RANGES);
	CU_ASSERT_EQUAL(info.ranges[QUOLL_IOAS_MAX_RANGES - 1].first, 63 * 0x2000);
	CU_ASSERT_EQUAL(quoll_group_release(group), 0);
	end();
}

static int ranges_take(uint64_t alignment, uint32_t nr, const struct iommufd_iova_range *ranges)
{
	const struct iommufd_ioas_iova_ranges answer = {.num_iovas = nr, .out_iova_alignment = alignment};
	struct quoll_ioas_info info = {0};

	return iommufd_ranges_take(&answer, ranges, 2, &info);
}

static void ranges_that_make_no_sense_are_refused(void)
{
	static const struct iommufd_iova_range good[] = {{0, 0xfff}, {0x2000, UINT64_MAX}};
	static const struct iommufd_iova_range backwards[] = {{0x2000, 0x1fff}, {0x4000, 0x4fff}};
	static const struct iommufd_iova_range overlap[] = {{0, 0x2000}, {0x2000, 0x2fff}};
	static const struct iommufd_iova_range unsorted[] = {{0x2000, 0x2fff}, {0, 0xfff}};

	CU_ASSERT_EQUAL(ranges_take(4096, 2, good), 0);
	CU_ASSERT_EQUAL(ranges_take(1, 2, good), 0);
	CU_ASSERT_EQUAL(ranges_take(4096, UINT32_MAX, good), 0); /* there is room for two */
	CU_ASSERT_EQUAL(ranges_take(0, 2, good), -EPROTO);
	CU_ASSERT_EQUAL(ranges_take(4097, 2, good), -EPROTO);
	CU_ASSERT_EQUAL(ranges_take(4096, 2, backwards), -EPROTO);
	CU_ASSERT_EQUAL(ranges_take(4096, 2, overlap), -EPROTO);
	CU_ASSERT_EQUAL(ranges_take(4096, 2, unsorted), -EPROTO);
}

static void a_refused_mapping_is_explained(void)
{
	static const struct {
		int errnum;
		quoll_iova_t iova;
		uint64_t len_bytes;
		int rc;
		const char *said;
	} ways[] = {
		{EINVAL, 0x10800, 0x1000, -EINVAL, "not all multiples of the IOMMU's page, 4096"},
		{EINVAL, 0xfee00000, 0x1000, -ERANGE, "outside what the IOMMU translates"},
		{EINVAL, 1ull << 39, 0x1000, -ERANGE, "outside what the IOMMU translates"},
		{EINVAL, 0x10000, 0x1000, -EINVAL, "refused"},
		{EEXIST, 0x10000, 0x1000, -EEXIST, "mapped already"},
		{EFAULT, 0x10000, 0x1000, -EFAULT, "there is no memory at"},
		{ENOMEM, 0x10000, 0x1000, -ENOMEM, "no memory to pin"},
		{EIO, 0x10000, 0x1000, -EIO, "Input/output error"},
	};
	struct quoll_group *group = NULL;
	struct quoll_error err;

	begin();
	CU_ASSERT_EQUAL_FATAL(claim(LAB_DRIVE, &group, NULL), 0);
	for (unsigned int i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		fake_kernel.fail_ioctl = IOMMUFD_IOAS_MAP;
		fake_kernel.fail_errno = ways[i].errnum;
		CU_ASSERT_EQUAL(map_at(ways[i].iova, ways[i].len_bytes, MAP_DEVICE_READ, &err), ways[i].rc);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.what, ways[i].said));
	}
	CU_ASSERT_EQUAL(ioas->maps.nr, 0);
	CU_ASSERT_EQUAL(map_at(0x10000, 0x1000, MAP_DEVICE_READ, NULL), 0);
	fake_kernel.unmap_short_bytes = 0x800;
	CU_ASSERT_EQUAL(ioas_unmap(ioas, 0x10000, 0x1000), -EIO);
	CU_ASSERT_EQUAL(quoll_group_release(group), 0);
	end();
}

/* Before the kernel is asked, and afterwards where it knew better. */
static void a_memlock_limit_is_told_with_what_others_of_the_user_pin(void)
{
	struct rlimit old, low = {.rlim_cur = 1 << 20};
	struct quoll_ioas_info info;
	struct quoll_group *group = NULL;
	struct quoll_error err;

	begin();
	getrlimit(RLIMIT_MEMLOCK, &old);
	low.rlim_max = old.rlim_max;
	CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_MEMLOCK, &low), 0);
	fake_file(&f, "proc/self/status", "VmLck:\t0 kB\nCapEff:\t0000000000000000\n");
	fake_file(&f, "proc/77/status", "Uid:\t%u\t0\t0\t0\nVmPin:\t  1000 kB\nCapEff:\t0\n", getuid());
	CU_ASSERT_EQUAL_FATAL(claim(LAB_DRIVE, &group, NULL), 0);
	CU_ASSERT_EQUAL(quoll_ioas_info(ioas, &info, NULL), 0);
	CU_ASSERT_EQUAL(info.memlock_bytes, 24 << 10);
	CU_ASSERT_EQUAL(ioas_check_limits(ioas, 24 << 10, 1, &err), 0);
	CU_ASSERT_EQUAL(ioas_check_limits(ioas, 28 << 10, 1, &err), -ENOMEM);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "1024000 of all of the user's processes"));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "1028 KiB"));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "1028"));
	fake_kernel.fail_ioctl = IOMMUFD_IOAS_MAP;
	fake_kernel.fail_errno = ENOMEM;
	CU_ASSERT_EQUAL(map_at(0x10000, 28 << 10, MAP_DEVICE_READ, &err), -ENOMEM);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "1024000 of all of the user's processes"));
	setrlimit(RLIMIT_MEMLOCK, &old);
	CU_ASSERT_EQUAL(quoll_group_release(group), 0);
	end();
}

static void a_device_that_makes_no_sense_stays_with_its_group(void)
{
	struct quoll_device *dev = NULL;
	struct quoll_group *group = NULL;
	struct quoll_error err;
	unsigned int files;

	begin();
	CU_ASSERT_EQUAL_FATAL(claim(LAB_DRIVE, &group, NULL), 0);
	files = open_fds();
	fake_kernel.nr_regions = 100000;
	CU_ASSERT_EQUAL(quoll_device_open(group, LAB_DRIVE, &dev, &err), -EPROTO);
	fake_kernel.nr_regions = 9;
	fake_kernel.fail_ioctl = VFIO_DEVICE_RESET;
	fake_kernel.fail_errno = EIO;
	CU_ASSERT_EQUAL(quoll_device_open(group, LAB_DRIVE, &dev, &err), -EIO);
	CU_ASSERT_EQUAL(open_fds(), files);
	CU_ASSERT_TRUE(fake_kernel.attached[0]);
	for (int i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL_FATAL(quoll_device_open(group, LAB_DRIVE, &dev, &err), 0);
		quoll_device_close(dev);
		CU_ASSERT_EQUAL(open_fds(), files);
		CU_ASSERT_TRUE(fake_kernel.attached[0]);
	}
	CU_ASSERT_EQUAL(quoll_group_release(group), 0);
	end();
}

static bool readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

static void a_member_that_nobody_opened_is_let_go_when_it_is_wanted(void)
{
	struct quoll_device *dev = NULL, *other = NULL;
	struct quoll_group *group = NULL;

	begin();
	CU_ASSERT_EQUAL_FATAL(claim(LAB_SLOT0, &group, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_device_open(group, LAB_SLOT0, &dev, NULL), 0);
	CU_ASSERT_EQUAL(quoll_device_events(dev), 0);
	/* opened and closed meanwhile: heard again afterwards */
	CU_ASSERT_EQUAL_FATAL(quoll_device_open(group, LAB_SLOT1, &other, NULL), 0);
	quoll_device_close(other);
	CU_ASSERT_FALSE(readable(quoll_device_event_fd(dev)));
	CU_ASSERT_EQUAL(eventfd_write(fake_kernel.req_fd[2], 1), 0);
	CU_ASSERT_TRUE(readable(quoll_device_event_fd(dev)));
	CU_ASSERT_EQUAL(quoll_device_events(dev), 0); /* ours stays */
	CU_ASSERT_FALSE(readable(quoll_device_event_fd(dev)));
	CU_ASSERT_TRUE(fake_kernel.attached[1]);
	CU_ASSERT_FALSE(fake_kernel.attached[2]);
	CU_ASSERT_EQUAL(eventfd_write(fake_kernel.req_fd[1], 1), 0);
	CU_ASSERT_EQUAL(quoll_device_events(dev), QUOLL_DEVICE_REMOVE_REQUESTED);
	quoll_device_close(dev);
	CU_ASSERT_EQUAL(quoll_group_release(group), 0);
	end();
}

/* VFIO's groups do the same: the kernel waits for the device alone, not for its group. */
static void a_device_that_is_wanted_goes_when_it_is_closed(void)
{
	struct quoll_device *dev = NULL;
	struct quoll_group *group = NULL;

	begin();
	CU_ASSERT_EQUAL_FATAL(claim(LAB_SLOT0, &group, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_device_open(group, LAB_SLOT0, &dev, NULL), 0);
	CU_ASSERT_EQUAL(eventfd_write(fake_kernel.req_fd[1], 1), 0);
	CU_ASSERT_EQUAL(quoll_device_events(dev), QUOLL_DEVICE_REMOVE_REQUESTED);
	CU_ASSERT_TRUE(fake_kernel.attached[1]);
	quoll_device_close(dev);
	CU_ASSERT_FALSE(fake_kernel.attached[1]);
	CU_ASSERT_TRUE(fake_kernel.attached[2]);
	/* the kernel has done without it after all */
	CU_ASSERT_EQUAL_FATAL(quoll_device_open(group, LAB_SLOT0, &dev, NULL), 0);
	CU_ASSERT_TRUE(fake_kernel.attached[1]);
	quoll_device_close(dev);
	CU_ASSERT_TRUE(fake_kernel.attached[1]);
	CU_ASSERT_EQUAL(quoll_group_release(group), 0);
	end();
}

static void groups_of_one_address_space_come_and_go_by_themselves(void)
{
	struct quoll_group *drive = NULL, *slot = NULL;

	begin();
	CU_ASSERT_EQUAL_FATAL(claim(LAB_DRIVE, &drive, NULL), 0);
	fake_kernel.fail_ioctl = IOMMUFD_DEVICE_ATTACH;
	fake_kernel.fail_skip = 1;
	fake_kernel.fail_errno = ENOMEM;
	CU_ASSERT_EQUAL(claim(LAB_SLOT0, &slot, NULL), -ENOMEM);
	CU_ASSERT_FALSE(fake_kernel.bound[1] && fake_kernel.attached[1]);
	CU_ASSERT_TRUE(fake_kernel.attached[0]); /* not the first group's loss */
	CU_ASSERT_EQUAL_FATAL(claim(LAB_SLOT0, &slot, NULL), 0);
	CU_ASSERT_TRUE(fake_kernel.attached[0] && fake_kernel.attached[1] && fake_kernel.attached[2]);
	CU_ASSERT_EQUAL(map_at(0x10000, 0x1000, MAP_DEVICE_READ, NULL), 0);
	CU_ASSERT_EQUAL(quoll_group_release(drive), 0);
	CU_ASSERT_FALSE(fake_kernel.attached[0]);
	CU_ASSERT_TRUE(fake_kernel.attached[1] && fake_kernel.attached[2]);
	CU_ASSERT_EQUAL(ioas_unmap(ioas, 0x10000, 0x1000), 0);
	CU_ASSERT_EQUAL(quoll_group_release(slot), 0);
	end();
}

#define LOOKS 1000

static void *looks_at(void *device)
{
	for (int i = 0; i < LOOKS; i++)
		if (quoll_device_events(device))
			return device;
	return NULL;
}

/* Each is polled by a thread of its own; what nobody has opened is any of theirs to let go, once. */
static void devices_of_a_group_are_looked_at_by_several_threads(void)
{
	static const char *const names[] = {LAB_SLOT0, LAB_SLOT1};
	struct quoll_device *dev[2] = {NULL};
	struct quoll_group *group = NULL;
	pthread_t threads[2];
	unsigned int files;
	void *told = NULL;

	fake_iommufd_open_three(&f);
	CU_ASSERT_EQUAL_FATAL(quoll_ioas_open(&f.env, "iommufd", &ioas, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(claim(LAB_SLOT0, &group, NULL), 0);
	for (int i = 0; i < 2; i++)
		CU_ASSERT_EQUAL_FATAL(quoll_device_open(group, names[i], &dev[i], NULL), 0);
	files = open_fds();
	for (int i = 0; i < 2; i++)
		CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, looks_at, dev[i]), 0);
	CU_ASSERT_EQUAL(eventfd_write(fake_kernel.req_fd[3], 1), 0);
	for (int i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL(pthread_join(threads[i], &told), 0);
		CU_ASSERT_PTR_NULL(told);
	}
	CU_ASSERT_EQUAL(quoll_device_events(dev[0]), 0); /* also if both were done before */
	CU_ASSERT_FALSE(fake_kernel.attached[3]);
	CU_ASSERT_EQUAL(open_fds(), files - 2); /* its file, and its request's */
	for (int i = 0; i < 2; i++)
		quoll_device_close(dev[i]);
	CU_ASSERT_EQUAL(quoll_group_release(group), 0);
	end();
}

static void vfio_groups_come_first_and_iommufd_where_there_are_none(void)
{
	struct quoll_error err;

	fake_iommufd_open(&f);
	fake_remove(&f, "dev/vfio/vfio");
	CU_ASSERT_EQUAL_FATAL(quoll_ioas_open(&f.env, NULL, &ioas, &err), 0);
	CU_ASSERT_STRING_EQUAL(ioas->ops->name, "iommufd");
	CU_ASSERT_EQUAL(quoll_ioas_close(ioas), 0);
	fake_remove(&f, "dev/iommu");
	CU_ASSERT_EQUAL(quoll_ioas_open(&f.env, NULL, &ioas, &err), -ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "VFIO is not loaded")); /* what any kernel has */
	fake_file(&f, "dev/iommu", "%s", "");
	f.env.backend = "vfio";
	CU_ASSERT_EQUAL(quoll_ioas_open(&f.env, NULL, &ioas, &err), -ENOENT);
	fake_file(&f, "dev/vfio/vfio", "%s", "");
	/* taken first: its container is then asked for its version, which this kernel does not know */
	f.env.backend = NULL;
	CU_ASSERT_EQUAL(quoll_ioas_open(&f.env, NULL, &ioas, &err), -ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "VFIO speaks version"));
	f.env.backend = "iommufd";
	CU_ASSERT_EQUAL_FATAL(quoll_ioas_open(&f.env, NULL, &ioas, &err), 0);
	CU_ASSERT_STRING_EQUAL(ioas->ops->name, "iommufd");
	CU_ASSERT_EQUAL(quoll_ioas_close(ioas), 0);
	fake_iommufd_close(&f);
}

static const struct unit_test tests[] = {
	{"every member is bound and attached, and let go again", every_member_is_bound_and_attached_and_let_go_again},
	{"a failure at any member undoes the others", a_failure_at_any_member_undoes_the_others},
	{"no /dev/iommu and no address space are errors", no_iommu_file_and_no_address_space_are_errors},
	{"whoever holds the group is named", whoever_holds_the_group_is_named},
	{"a second claim in this process is told as such", a_second_claim_in_this_process_is_told_as_such},
	{"interrupts that are not remapped are told from a holder",
	 interrupts_that_are_not_remapped_are_told_from_a_holder},
	{"a group that is not viable is not touched", a_group_that_is_not_viable_is_not_touched},
	{"a member without a driver joins when it has one", a_member_without_a_driver_joins_when_it_has_one},
	{"files that are missing are told by their cause", files_that_are_missing_are_told_by_their_cause},
	{"mappings outlive the last group", mappings_outlive_the_last_group},
	{"a group that does not go with what is mapped is refused",
	 a_group_that_does_not_go_with_what_is_mapped_is_refused},
	{"the limits are the ranges that the kernel tells", the_limits_are_the_ranges_that_the_kernel_tells},
	{"ranges that make no sense are refused", ranges_that_make_no_sense_are_refused},
	{"a refused mapping is explained", a_refused_mapping_is_explained},
	{"a memlock limit is told with what others of the user pin",
	 a_memlock_limit_is_told_with_what_others_of_the_user_pin},
	{"a device that makes no sense stays with its group", a_device_that_makes_no_sense_stays_with_its_group},
	{"a member that nobody opened is let go when it is wanted",
	 a_member_that_nobody_opened_is_let_go_when_it_is_wanted},
	{"a device that is wanted goes when it is closed", a_device_that_is_wanted_goes_when_it_is_closed},
	{"groups of one address space come and go by themselves",
	 groups_of_one_address_space_come_and_go_by_themselves},
	{"devices of a group are looked at by several threads", devices_of_a_group_are_looked_at_by_several_threads},
	{"VFIO's groups come first, and iommufd where there are none",
	 vfio_groups_come_first_and_iommufd_where_there_are_none},
};

UNIT_MAIN("eal/backend/iommufd", tests)
