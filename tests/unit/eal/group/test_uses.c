/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "fake.h"
#include "unit.h"

#define DISK_DIR LAB_DRIVE_PATH "/nvme/nvme0"

static struct quoll_group_list list;

/* A drive with a disk, two partitions, a controller node, and nothing that uses them. */
static void open_drive(struct fake *f)
{
	fake_open(f, fake_lab, fake_lab_nr);
	fake_block(f, DISK_DIR, "nvme0n1", "259:0");
	fake_block(f, DISK_DIR "/nvme0n1", "nvme0n1p1", "259:1");
	fake_block(f, DISK_DIR "/nvme0n1", "nvme0n1p2", "259:2");
	fake_link(f, "sys/class/nvme/nvme0", "sys/devices/" DISK_DIR);
	fake_file(f, "dev/nvme0", "%s", "");
	fake_file(f, "proc/self/mountinfo",
		  "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
		  "23 22 0:21 / /proc rw shared:2 - proc proc rw\n");
	fake_file(f, "proc/swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
}

/* The lab drive's member; the list is freed by done(). */
static const struct quoll_member *drive(struct fake *f)
{
	return fake_member(fake_describe(f, LAB_GROUP_DRIVE, &list), LAB_DRIVE);
}

static void done(struct fake *f)
{
	quoll_groups_free(&list);
	fake_close(f);
}

static void test_idle(void)
{
	struct fake f;

	open_drive(&f);
	CU_ASSERT_EQUAL(drive(&f)->nr_uses, 0);
	done(&f);
}

static void test_mounted(void)
{
	const struct quoll_member *m;
	struct fake f;

	open_drive(&f);
	fake_file(&f, "proc/self/mountinfo",
		  "22 1 259:1 / /mnt/a\\040b rw,relatime shared:1 master:2 - ext4 /dev/root rw\n"
		  "malformed\n24 22 259:9 / /other rw - ext4 /dev/x rw\n"
		  "25 22 0:45 / /data rw - btrfs /dev/nvme0n1p2 rw\n26 22 259:2\n27 22 259:2 / /x rw -\n");
	m = drive(&f);
	CU_ASSERT_EQUAL(m->nr_uses, 2);
	CU_ASSERT_TRUE(fake_has_use(m, QUOLL_USE_MOUNTED, "nvme0n1p1 at /mnt/a b"));
	CU_ASSERT_TRUE(fake_has_use(m, QUOLL_USE_MOUNTED, "nvme0n1p2 at /data"));
	done(&f);
}

static void test_mounted_through_link(void)
{
	struct fake f;

	open_drive(&f);
	fake_link(&f, "dev/disk/by-label/data", "dev/nvme0n1p2");
	fake_file(&f, "proc/self/mountinfo", "25 22 0:45 / /data rw - btrfs /dev/disk/by-label/data rw\n");
	CU_ASSERT_TRUE(fake_has_use(drive(&f), QUOLL_USE_MOUNTED, "nvme0n1p2 at /data"));
	done(&f);
}

static void test_second_disk_of_btrfs(void)
{
	struct fake f;

	open_drive(&f);
	fake_link(&f, "sys/fs/btrfs/1234-abcd/devices/nvme0n1", "sys/devices/" DISK_DIR "/nvme0n1");
	CU_ASSERT_TRUE(fake_has_use(drive(&f), QUOLL_USE_MOUNTED, "nvme0n1 in the btrfs 1234-abcd"));
	done(&f);
}

static void test_swap(void)
{
	const struct quoll_member *m;
	struct fake f;

	open_drive(&f);
	fake_file(&f, "proc/swaps",
		  "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
		  "/dev/nvme0n1p2                          partition\t1048572\t0\t-2\n/swapfile file\t1\t0\t-3\n");
	m = drive(&f);
	CU_ASSERT_EQUAL(m->nr_uses, 1);
	CU_ASSERT_TRUE(fake_has_use(m, QUOLL_USE_SWAP, "swap on nvme0n1p2"));
	done(&f);
}

/* partition -> md0 -> dm-0 -> a file system; and swap on a partition of the array */
static void test_stacked(void)
{
	const struct quoll_member *m;
	struct fake f;

	open_drive(&f);
	fake_block(&f, "virtual/block", "md0", "9:0");
	fake_block(&f, "virtual/block/md0", "md0p1", "259:7");
	fake_block(&f, "virtual/block", "dm-0", "253:0");
	fake_file(&f, "sys/devices/virtual/block/dm-0/dm/name", "lab-root\n");
	fake_link(&f, "sys/devices/" DISK_DIR "/nvme0n1/nvme0n1p1/holders/md0", "sys/devices/virtual/block/md0");
	fake_link(&f, "sys/devices/virtual/block/md0/holders/dm-0", "sys/devices/virtual/block/dm-0");
	/* a circle, as no kernel makes one, does no harm */
	fake_link(&f, "sys/devices/virtual/block/dm-0/holders/md0", "sys/devices/virtual/block/md0");
	/* a holder that is no block device that we know */
	fake_link(&f, "sys/devices/" DISK_DIR "/nvme0n1/holders/bcache7", "sys/devices/virtual");
	fake_file(&f, "proc/self/mountinfo", "22 1 253:0 / /srv rw - ext4 /dev/mapper/lab-root rw\n");
	fake_file(&f, "proc/swaps", "Filename Type Size Used Priority\n/dev/md0p1 partition 1 0 -2\n");
	m = drive(&f);
	CU_ASSERT_TRUE(fake_has_use(m, QUOLL_USE_HELD, "nvme0n1p1 by md0"));
	CU_ASSERT_TRUE(fake_has_use(m, QUOLL_USE_HELD, "md0 by dm-0 (lab-root)"));
	CU_ASSERT_TRUE(fake_has_use(m, QUOLL_USE_HELD, "nvme0n1 by bcache7"));
	CU_ASSERT_TRUE(fake_has_use(m, QUOLL_USE_MOUNTED, "dm-0 at /srv"));
	CU_ASSERT_TRUE(fake_has_use(m, QUOLL_USE_SWAP, "swap on md0p1"));
	done(&f);
}

static void test_multipath(void)
{
	struct fake f;

	open_drive(&f);
	fake_block(&f, DISK_DIR, "nvme0c0n2", "259:30");
	fake_block(&f, "virtual/nvme-subsystem/nvme-subsys0", "nvme0n2", "259:31");
	fake_link(&f, "sys/class/nvme-subsystem/nvme-subsys0", "sys/devices/virtual/nvme-subsystem/nvme-subsys0");
	fake_file(&f, "proc/self/mountinfo", "22 1 259:31 / /multi rw - xfs /dev/nvme0n2 rw\n");
	CU_ASSERT_EQUAL(drive(&f)->nr_uses, 0); /* another controller's subsystem */
	quoll_groups_free(&list);
	fake_link(&f, "sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0", "sys/devices/" DISK_DIR);
	CU_ASSERT_TRUE(fake_has_use(drive(&f), QUOLL_USE_MOUNTED, "nvme0n2 at /multi"));
	done(&f);
}

static void test_opened(void)
{
	const struct quoll_member *m;
	struct fake f;

	open_drive(&f);
	fake_file(&f, "proc/77/comm", "fio\n");
	fake_raw_link(&f, "proc/77/fd/0", "/dev/null");
	fake_raw_link(&f, "proc/77/fd/3", "/dev/nvme0n1p1");
	fake_raw_link(&f, "proc/77/fd/4", "/dev/nvme0n1p1");
	fake_raw_link(&f, "proc/77/fd/5", "socket:[123]");
	fake_file(&f, "proc/78/comm", "nvme\033[1m\n");
	fake_raw_link(&f, "proc/78/fd/9", "/dev/nvme0");
	fake_file(&f, "proc/79/comm", "(udev-worker)\n");
	fake_raw_link(&f, "proc/79/fd/9", "/dev/nvme0n1");
	m = drive(&f);
	CU_ASSERT_EQUAL(m->nr_uses, 2);
	CU_ASSERT_TRUE(fake_has_use(m, QUOLL_USE_OPEN, "nvme0n1p1 by process 77 (fio)"));
	CU_ASSERT_TRUE(fake_has_use(m, QUOLL_USE_OPEN, "nvme0 by process 78 (nvme?[1m)"));
	done(&f);
}

static void test_claimed_unseen(void)
{
	struct fake f;

	open_drive(&f);
	snprintf(f.busy, sizeof(f.busy), "%s/nvme0n1", f.dev);
	CU_ASSERT_TRUE(fake_has_use(drive(&f), QUOLL_USE_OPEN, "nvme0n1 exclusively"));
	done(&f);
}

static void test_other_disks_do_not_matter(void)
{
	struct fake f;

	open_drive(&f);
	fake_block(&f, LAB_SLOT0_PATH "/nvme/nvme1", "nvme1n1", "259:50");
	fake_file(&f, "proc/self/mountinfo", "22 1 259:50 / / rw - ext4 /dev/nvme1n1 rw\n");
	snprintf(f.busy, sizeof(f.busy), "%s/nvme1n1", f.dev);
	CU_ASSERT_EQUAL(drive(&f)->nr_uses, 0);
	quoll_groups_free(&list);
	CU_ASSERT_TRUE(fake_has_use(fake_member(fake_describe(&f, LAB_GROUP_SLOT, &list), LAB_SLOT0), QUOLL_USE_MOUNTED,
				    "nvme1n1 at /"));
	CU_ASSERT_EQUAL(fake_member(&list.groups[0], LAB_SLOT1)->nr_uses, 0);
	done(&f);
}

/* The lab's NIC, in the shared slot. */
static const struct quoll_member *nic(struct fake *f)
{
	return fake_member(fake_describe(f, LAB_GROUP_SLOT, &list), LAB_SLOT1);
}

static void open_nic(struct fake *f, bool up)
{
	fake_open(f, fake_lab, fake_lab_nr);
	fake_nic(f, LAB_SLOT1_PATH, "eth0", up);
	fake_nic(f, "", "lo", true);
	fake_address(f, "lo", "127.0.0.1");
	fake_file(f, "sys/class/net/bonding_masters", "%s", "");
	fake_file(f, "proc/net/route",
		  "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n");
	fake_file(f, "proc/net/ipv6_route",
		  "00000000000000000000000000000001 80 00000000000000000000000000000000 00 "
		  "00000000000000000000000000000000 00000000 00000002 00000000 80200001       lo\n"
		  "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
		  "00000000000000000000000000000000 ffffffff 00000001 00000000 00200200     eth0\n");
}

static void test_nic_idle(void)
{
	struct fake f;

	open_nic(&f, true);
	CU_ASSERT_EQUAL(nic(&f)->nr_uses, 0);
	done(&f);
	open_nic(&f, false);
	fake_address(&f, "eth0", "192.0.2.1");
	CU_ASSERT_EQUAL(nic(&f)->nr_uses, 0);
	done(&f);
}

static void test_nic_address(void)
{
	const struct quoll_member *m;
	struct fake f;

	open_nic(&f, true);
	fake_address(&f, "eth0", "192.0.2.1");
	m = nic(&f);
	CU_ASSERT_EQUAL(m->nr_uses, 1);
	CU_ASSERT_TRUE(fake_has_use(m, QUOLL_USE_ADDRESS, "eth0 has the address 192.0.2.1"));
	CU_ASSERT_EQUAL(fake_member(&list.groups[0], LAB_SLOT0)->nr_uses, 0);
	done(&f);
}

static void test_default_routes(void)
{
	struct fake f;

	open_nic(&f, true);
	fake_file(&f, "proc/net/route",
		  "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
		  "eth0\t0002A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n");
	CU_ASSERT_EQUAL(nic(&f)->nr_uses, 0);
	quoll_groups_free(&list);
	fake_file(&f, "proc/net/route",
		  "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
		  "eth0\t00000000\t0102A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\nmalformed\n");
	CU_ASSERT_TRUE(fake_has_use(nic(&f), QUOLL_USE_DEFAULT_ROUTE, "eth0 carries the default route"));
	done(&f);
	open_nic(&f, true);
	fake_file(&f, "proc/net/ipv6_route",
		  "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
		  "fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth0\n");
	CU_ASSERT_TRUE(fake_has_use(nic(&f), QUOLL_USE_DEFAULT_ROUTE, "eth0 carries the default route"));
	done(&f);
}

static void enslave(struct fake *f, const char *parent, const char *name, const char *master)
{
	char path[PATH_BYTES], to[PATH_BYTES];

	path_make(to, "sys/devices/virtual/net/%s", master);
	path_make(path, "sys/devices/%s/net/%s/master", parent, name);
	fake_link(f, path, to);
	path_make(path, "sys/devices/%s/net/%s/upper_%s", parent, name, master);
	fake_link(f, path, to);
}

/* eth0 in bond0, bond0 in br0, and br0 has the address and the route */
static void test_enslaved(void)
{
	const struct quoll_member *m;
	struct fake f;

	open_nic(&f, true);
	fake_nic(&f, "", "bond0", true);
	fake_nic(&f, "", "br0", true);
	enslave(&f, LAB_SLOT1_PATH, "eth0", "bond0");
	enslave(&f, "virtual", "bond0", "br0");
	fake_address(&f, "br0", "2001:db8::1");
	fake_file(&f, "proc/net/route", "h\nbr0\t00000000\t0102A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n");
	m = nic(&f);
	CU_ASSERT_EQUAL(m->nr_uses, 3);
	CU_ASSERT_TRUE(fake_has_use(m, QUOLL_USE_ENSLAVED, "eth0 is up in bond0"));
	CU_ASSERT_TRUE(fake_has_use(m, QUOLL_USE_ADDRESS, "eth0 through br0 has the address 2001:db8::1"));
	CU_ASSERT_TRUE(fake_has_use(m, QUOLL_USE_DEFAULT_ROUTE, "eth0 carries the default route through br0"));
	done(&f);
}

static void test_enslaved_but_down(void)
{
	struct fake f;

	open_nic(&f, false);
	fake_nic(&f, "", "br0", false);
	enslave(&f, LAB_SLOT1_PATH, "eth0", "br0");
	CU_ASSERT_EQUAL(nic(&f)->nr_uses, 0);
	done(&f);
}

static void test_vlan(void)
{
	struct fake f;

	open_nic(&f, true);
	fake_nic(&f, "", "eth0.7", true);
	fake_link(&f, "sys/devices/" LAB_SLOT1_PATH "/net/eth0/upper_eth0.7", "sys/devices/virtual/net/eth0.7");
	fake_address(&f, "eth0.7", "198.51.100.1");
	CU_ASSERT_TRUE(fake_has_use(nic(&f), QUOLL_USE_ADDRESS, "eth0 through eth0.7 has the address 198.51.100.1"));
	done(&f);
}

static const struct unit_test tests[] = {
	{"an idle drive has no uses", test_idle},
	{"mounted partitions are found by number and by source", test_mounted},
	{"a mount source that is a link is followed", test_mounted_through_link},
	{"the second disk of a btrfs counts as mounted", test_second_disk_of_btrfs},
	{"swap is found", test_swap},
	{"what is stacked on a partition is found at any depth", test_stacked},
	{"a multipath disk counts for each of its controllers", test_multipath},
	{"processes with a disk or controller open are named, udev is not", test_opened},
	{"a claim that no table shows is found by an exclusive open", test_claimed_unseen},
	{"other drives' uses do not count", test_other_disks_do_not_matter},
	{"an interface that is up without address, or down with one, is idle", test_nic_idle},
	{"an address counts, for its own function only", test_nic_address},
	{"default routes of both families count, others do not", test_default_routes},
	{"masters of masters are followed", test_enslaved},
	{"a slave that is down is idle", test_enslaved_but_down},
	{"an address on a VLAN counts", test_vlan},
};

UNIT_MAIN("eal/group/uses", tests)
