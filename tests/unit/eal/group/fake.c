/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fake.c - see fake.h. A failure to build the tree ends the program: a test on half a machine proves nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake.h"

const struct fake_device fake_lab[] = {
	{"pci0000:00/0000:00:02.0", 10, 0x060400, "pcieport", CONFIG_ROOT_ACS},
	{LAB_DRIVE_PATH, LAB_GROUP_DRIVE, 0x010802, "nvme", CONFIG_PCIE},
	{"pci0000:00/0000:00:03.0", 11, 0x060400, "pcieport", CONFIG_ROOT_ACS},
	{LAB_SLOT0_PATH, LAB_GROUP_SLOT, 0x010802, "nvme", CONFIG_PCIE},
	{LAB_SLOT1_PATH, LAB_GROUP_SLOT, 0x020000, "e1000e", CONFIG_PCIE},
	{"pci0000:00/0000:00:04.0", 12, 0x060400, "pcieport", CONFIG_ROOT_ACS},
	{"pci0000:00/0000:00:04.0/0000:03:00.0", LAB_GROUP_OLD, 0x060400, "shpchp", CONFIG_PCIE_TO_PCI},
	{"pci0000:00/0000:00:04.0/0000:03:00.0/0000:04:01.0", LAB_GROUP_OLD, 0x020000, "e1000", CONFIG_PCI},
	{LAB_OLD1_PATH, LAB_GROUP_OLD, 0x020000, "e1000", CONFIG_PCI},
	{"platform/serial8250", -1, 0, "", CONFIG_PCI},
};
const unsigned int fake_lab_nr = sizeof(fake_lab) / sizeof(fake_lab[0]);

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "fake machine: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void full(const struct fake *f, char path[PATH_BYTES], const char *relative)
{
	must(path_make(path, "%s/%s", f->root, relative) == 0, relative);
}

static void make_parents(char *path)
{
	for (char *s = strchr(path + 1, '/'); s; s = strchr(s + 1, '/')) {
		*s = '\0';
		must(!mkdir(path, 0755) || errno == EEXIST, path);
		*s = '/';
	}
}

void fake_bytes(struct fake *f, const char *path, const void *data, size_t len)
{
	char to[PATH_BYTES];
	FILE *out;

	full(f, to, path);
	make_parents(to);
	out = fopen(to, "we");
	must(out && fwrite(data, 1, len, out) == len && !fclose(out), to);
}

void fake_file(struct fake *f, const char *path, const char *fmt, ...)
{
	char text[4096];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fake_bytes(f, path, text, strlen(text));
}

void fake_dir(struct fake *f, const char *path)
{
	char to[PATH_BYTES];

	full(f, to, path);
	make_parents(to);
	must(!mkdir(to, 0755) || errno == EEXIST, to);
}

void fake_raw_link(struct fake *f, const char *path, const char *target)
{
	char from[PATH_BYTES];

	full(f, from, path);
	make_parents(from);
	must(!symlink(target, from), from);
}

void fake_link(struct fake *f, const char *path, const char *to_path)
{
	char to[PATH_BYTES];

	full(f, to, to_path);
	fake_raw_link(f, path, to);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void fake_remove(struct fake *f, const char *path)
{
	char to[PATH_BYTES];

	full(f, to, path);
	nftw(to, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static bool is_express(enum fake_config kind)
{
	return kind != CONFIG_PCI && kind != CONFIG_PCI_BRIDGE;
}

static void make_config(struct fake *f, const char *dir, enum fake_config kind)
{
	static const uint8_t port_types[] = {
		[CONFIG_PCIE] = 0, [CONFIG_ROOT_PORT] = 4, [CONFIG_ROOT_ACS] = 4,    [CONFIG_UPSTREAM] = 5,
		[CONFIG_DOWN] = 6, [CONFIG_DOWN_ACS] = 6,  [CONFIG_PCIE_TO_PCI] = 7, [CONFIG_PCI_BRIDGE] = 0};
	uint8_t c[4096] = {0x86, 0x80};
	char path[PATH_BYTES];

	c[0x0e] = kind == CONFIG_PCIE || kind == CONFIG_PCI ? 0x80 : 0x81; /* multifunction bit set, to be ignored */
	c[0x34] = 0x50;
	c[0x50] = 0x01; /* power management, then PCI Express */
	if (is_express(kind)) {
		c[0x51] = 0x70;
		c[0x70] = 0x10;
		c[0x72] = (uint8_t)(port_types[kind] << 4 | 2);
	}
	c[0x100] = 0x01; /* error reporting, version 1, next at 0x140 */
	c[0x102] = 0x01;
	c[0x103] = 0x14;
	if (kind == CONFIG_ROOT_ACS || kind == CONFIG_DOWN_ACS) {
		c[0x140] = 0x0d;
		c[0x142] = 0x01;
		c[0x144] = 0x5f;
		c[0x146] = 0x1d;
	}
	must(path_make(path, "%s/config", dir) == 0, dir);
	fake_bytes(f, path, c, is_express(kind) ? 4096 : 256);
	if (!is_express(kind))
		return;
	must(path_make(path, "%s/current_link_speed", dir) == 0, dir);
	fake_file(f, path, "8.0 GT/s PCIe\n");
}

void fake_hide_capabilities(struct fake *f)
{
	char path[PATH_BYTES];

	for (unsigned int i = 0; i < f->nr_devices; i++) {
		must(path_make(path, "%s/devices/%s/config", f->sys, f->devices[i].path) == 0, "config");
		if (path_exists(path))
			must(truncate(path, 64) == 0, path);
	}
}

void fake_driver(struct fake *f, const char *name)
{
	char path[PATH_BYTES];

	must(path_make(path, "sys/bus/pci/drivers/%s/bind", name) == 0, name);
	fake_file(f, path, "%s", "");
}

static void set_driver(struct fake *f, const char *name, const char *driver)
{
	char path[PATH_BYTES], to[PATH_BYTES];

	must(path_make(path, "sys/bus/pci/devices/%s/driver", name) == 0 &&
		     path_make(to, "sys/bus/pci/drivers/%s", driver) == 0,
	     name);
	if (driver[0])
		return fake_link(f, path, to);
	full(f, to, path);
	must(!unlink(to), to);
}

static const char *native(const struct fake_device *d)
{
	return d->driver[0] == '-' ? d->driver + 1 : d->driver;
}

static void make_device(struct fake *f, const struct fake_device *d)
{
	char dir[PATH_BYTES], path[PATH_BYTES], group[PATH_BYTES];
	const char *name = path_last(d->path);
	bool pci = is_bdf(name);

	must(path_make(dir, "sys/devices/%s", d->path) == 0, d->path);
	fake_dir(f, dir);
#define AT(...) (must(path_make(path, __VA_ARGS__) == 0, name), path)
	if (d->group >= 0) {
		must(path_make(group, "sys/kernel/iommu_groups/%d", d->group) == 0, name);
		fake_dir(f, group);
		fake_link(f, AT("%s/iommu_group", dir), group);
		fake_link(f, AT("%s/devices/%s", group, name), dir);
	}
	fake_dir(f, pci ? "sys/bus/pci" : "sys/bus/platform");
	fake_link(f, AT("%s/subsystem", dir), pci ? "sys/bus/pci" : "sys/bus/platform");
	if (!pci) {
		if (d->driver[0])
			fake_raw_link(f, AT("%s/driver", dir), d->driver);
		return;
	}
	fake_link(f, AT("sys/bus/pci/devices/%s", name), dir);
	fake_file(f, AT("%s/vendor", dir), "0x8086\n");
	fake_file(f, AT("%s/device", dir), "0x10d3\n");
	fake_file(f, AT("%s/class", dir), "0x%06x\n", d->class_code);
	fake_file(f, AT("%s/numa_node", dir), "1\n");
	fake_file(f, AT("%s/driver_override", dir), "(null)\n");
	make_config(f, dir, d->config);
#undef AT
	if (d->driver[0])
		fake_driver(f, native(d));
	if (d->driver[0] && d->driver[0] != '-')
		set_driver(f, name, d->driver);
}

void fake_block(struct fake *f, const char *parent, const char *name, const char *dev)
{
	char dir[PATH_BYTES], path[PATH_BYTES];

	must(path_make(dir, "sys/devices/%s/%s", parent, name) == 0 && path_make(path, "%s/holders", dir) == 0, name);
	fake_dir(f, path);
	must(path_make(path, "%s/dev", dir) == 0, name);
	fake_file(f, path, "%s\n", dev);
	must(path_make(path, "sys/class/block/%s", name) == 0, name);
	fake_link(f, path, dir);
	must(path_make(path, "dev/%s", name) == 0, name);
	fake_file(f, path, "%s", "");
}

void fake_nic(struct fake *f, const char *parent, const char *name, bool up)
{
	char dir[PATH_BYTES], path[PATH_BYTES];

	must(path_make(dir, "sys/devices/%s/net/%s", parent[0] ? parent : "virtual", name) == 0, name);
	must(path_make(path, "%s/flags", dir) == 0, name);
	fake_file(f, path, "0x100%d\n", up ? 3 : 2);
	must(path_make(path, "sys/class/net/%s", name) == 0, name);
	fake_link(f, path, dir);
}

void fake_address(struct fake *f, const char *nic, const char *text)
{
	struct net_address *a = &f->addresses[f->nr_addresses++];

	snprintf(a->interface, sizeof(a->interface), "%s", nic);
	snprintf(a->text, sizeof(a->text), "%s", text);
}

const char *fake_bound(struct fake *f, const char *name, char driver[32])
{
	must(driver_of(&f->env, name, driver) == 0, name);
	return driver;
}

void fake_state(struct fake *f, char *text, size_t size)
{
	char driver[32], override[32];
	size_t used = 0;

	for (unsigned int i = 0; i < f->nr_devices; i++) {
		const char *name = path_last(f->devices[i].path);

		if (!is_bdf(name))
			continue;
		must(!override_of(&f->env, name, override), name);
		used += (size_t)snprintf(text + used, size - used, "%s %s %s\n", name, fake_bound(f, name, driver),
					 override);
		must(used < size, "state");
	}
}

unsigned int fake_records(struct fake *f)
{
	struct name_list list;
	unsigned int nr;

	if (records_list(&f->env, &list))
		return 0;
	nr = list.nr;
	name_list_free(&list);
	return nr;
}

/* The fake kernel. */

static const struct fake_device *device_of(const struct fake *f, const char *name)
{
	for (unsigned int i = 0; i < f->nr_devices; i++)
		if (!strcmp(path_last(f->devices[i].path), name))
			return &f->devices[i];
	return NULL;
}

static bool driver_takes(struct fake *f, const struct fake_device *d, const char *driver)
{
	const char *name = path_last(d->path);
	char override[32], path[PATH_BYTES];

	must(!override_of(&f->env, name, override), name);
	must(path_make(path, "%s/bus/pci/drivers/%s", f->sys, driver) == 0, driver);
	if (!path_exists(path))
		return false;
	if (override[0])
		return !strcmp(override, driver);
	return !strcmp(native(d), driver) && !(f->no_native && !strcmp(f->no_native, driver));
}

static void update_cdev(struct fake *f, unsigned int i)
{
	char path[PATH_BYTES], sys[PATH_BYTES], driver[32];

	must(path_make(path, "dev/vfio/devices/vfio%u", i) == 0 &&
		     path_make(sys, "sys/devices/%s/vfio-dev", f->devices[i].path) == 0,
	     "cdev");
	if (strstr(fake_bound(f, path_last(f->devices[i].path), driver), "vfio")) {
		fake_file(f, path, "%s", "");
		must(path_make(path, "%s/vfio%u/dev", sys, i) == 0, "cdev");
		fake_file(f, path, "511:%u\n", i);
	} else {
		fake_remove(f, path);
		fake_remove(f, sys);
	}
}

/* A group has a node while a member is with a VFIO driver. */
static void update_nodes(struct fake *f)
{
	char path[PATH_BYTES], driver[32];

	for (unsigned int i = 0; f->cdevs && i < f->nr_devices; i++)
		if (is_bdf(path_last(f->devices[i].path)))
			update_cdev(f, i);
	for (unsigned int i = 0; i < f->nr_devices; i++) {
		bool vfio = false;

		if (f->devices[i].group < 0)
			continue;
		for (unsigned int k = 0; k < f->nr_devices; k++)
			if (f->devices[k].group == f->devices[i].group && is_bdf(path_last(f->devices[k].path)))
				vfio |= strstr(fake_bound(f, path_last(f->devices[k].path), driver), "vfio") != NULL;
		must(path_make(path, "dev/vfio/%d", f->devices[i].group) == 0, "node");
		if (vfio && !f->no_group_files)
			fake_file(f, path, "%s", "");
		else
			fake_remove(f, path);
	}
}

void fake_cdevs(struct fake *f)
{
	f->cdevs = true;
	fake_file(f, "dev/iommu", "%s", "");
	update_nodes(f);
}

static int kernel_bind(struct fake *f, const char *driver, const char *name)
{
	const struct fake_device *d = device_of(f, name);
	char now[32];

	if (!d || fake_bound(f, name, now)[0] || !driver_takes(f, d, driver))
		return -ENODEV;
	if (f->refusing && !strcmp(f->refusing, driver))
		return -EINVAL;
	set_driver(f, name, driver);
	return 0;
}

static int kernel_unbind(struct fake *f, const char *driver, const char *name)
{
	char now[32];

	if (!device_of(f, name) || strcmp(fake_bound(f, name, now), driver) != 0)
		return -ENODEV;
	if (!f->stuck || strcmp(f->stuck, driver) != 0)
		set_driver(f, name, "");
	return 0;
}

static void kernel_probe(struct fake *f, const char *name)
{
	const struct fake_device *d = device_of(f, name);
	char override[32];

	must(d && !override_of(&f->env, name, override), name);
	kernel_bind(f, override[0] ? override : native(d), name);
}

static int kernel_do(struct fake *f, const char *path, const char *text)
{
	char driver[64], relative[PATH_BYTES];
	const char *below = path + strlen(f->sys), *op = path_last(path);

	if (!path_under(path, f->sys))
		return -ENOENT;
	if (!strcmp(op, "driver_override")) {
		must(path_make(relative, "sys%s", below) == 0, path);
		fake_file(f, relative, "%s\n", strcmp(text, "\n") ? text : "(null)");
	} else if (!strcmp(op, "drivers_probe")) {
		kernel_probe(f, text);
	} else if (sscanf(below, "/bus/pci/drivers/%63[^/]/", driver) == 1) {
		return !strcmp(op, "bind") ? kernel_bind(f, driver, text) : kernel_unbind(f, driver, text);
	} else {
		return -ENOENT;
	}
	return 0;
}

static int next_op_fails(struct fake *f)
{
	f->nr_ops++;
	if (!f->fail_at || f->nr_ops < f->fail_at || (f->nr_ops > f->fail_at && f->failure != FAIL_ONWARDS))
		return 0;
	return -EIO;
}

static int fake_write(void *arg, const char *path, const char *text)
{
	struct fake *f = arg;
	int fails = next_op_fails(f), rc;

	if (fails && f->failure != FAIL_AFTER)
		return fails;
	rc = kernel_do(f, path, text);
	update_nodes(f);
	return fails ? fails : rc;
}

static int fake_open_node(void *arg, const char *path, int flags)
{
	struct fake *f = arg;
	int fd;

	if (f->busy[0] && !strcmp(f->busy, path))
		return -EBUSY;
	fd = open(path, flags & ~O_EXCL);
	return fd < 0 ? -errno : fd;
}

static int fake_chown(void *arg, const char *path, uid_t uid, gid_t gid)
{
	struct fake *f = arg;
	int fails = next_op_fails(f);
	size_t used = strlen(f->given);

	(void)gid;
	if (fails)
		return fails;
	snprintf(f->given + used, sizeof(f->given) - used, "%s:%u ", path + strlen(f->dev) + 1, (unsigned int)uid);
	snprintf(f->owned, sizeof(f->owned), "%s", path);
	f->owner = uid;
	return 0;
}

static int fake_user(void *arg, const char *name, uid_t *uid, gid_t *gid)
{
	(void)arg;
	if (strcmp(name, FAKE_USER) != 0)
		return -ENOENT;
	*uid = *gid = FAKE_UID;
	return 0;
}

static int fake_addresses(void *arg, struct net_address **list, unsigned int *nr)
{
	struct fake *f = arg;

	*nr = f->nr_addresses;
	*list = calloc(8, sizeof(**list));
	must(*list, "addresses");
	memcpy(*list, f->addresses, sizeof(f->addresses));
	return 0;
}

static int fake_kmod_owned(void *arg, const char *control, int id)
{
	struct fake *f = arg;

	if (!path_exists(control))
		return -ENOENT;
	return f->kmod_owned && f->kmod_owned == id;
}

static void fake_pause(void *arg, unsigned int ms)
{
	struct fake *f = arg;

	(void)ms;
	f->nr_pauses++;
}

void fake_open(struct fake *f, const struct fake_device *devices, unsigned int nr_devices)
{
	char path[PATH_BYTES];

	memset(f, 0, sizeof(*f));
	snprintf(f->root, sizeof(f->root), "/tmp/quoll-group-XXXXXX");
	must(mkdtemp(f->root) != NULL, f->root);
	snprintf(f->sys, sizeof(f->sys), "%s/sys", f->root);
	snprintf(f->proc, sizeof(f->proc), "%s/proc", f->root);
	snprintf(f->dev, sizeof(f->dev), "%s/dev", f->root);
	snprintf(f->run, sizeof(f->run), "%s/run", f->root);
	f->env = (struct quoll_env){.sysfs_root = f->sys, .proc_root = f->proc, .dev_root = f->dev, .run_root = f->run};
	f->io = (struct group_io){.arg = f,
				  .write = fake_write,
				  .open_node = fake_open_node,
				  .chown = fake_chown,
				  .user = fake_user,
				  .addresses = fake_addresses,
				  .kmod_owned = fake_kmod_owned,
				  .pause = fake_pause};
	f->devices = devices;
	f->nr_devices = nr_devices;
	fake_dir(f, "sys/kernel/iommu_groups");
	fake_file(f, "proc/cpuinfo", "vendor_id\t: GenuineIntel\n");
	fake_file(f, "proc/cmdline", "quiet\n");
	fake_file(f, "dev/vfio/vfio", "%s", "");
	full(f, path, "dev/vfio/vfio");
	must(!chmod(path, 0666), path);
	fake_driver(f, "vfio-pci");
	for (unsigned int i = 0; i < nr_devices; i++)
		make_device(f, &devices[i]);
	update_nodes(f);
}

void fake_close(struct fake *f)
{
	nftw(f->root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* The functions under test, with the fake kernel. */

struct quoll_group_desc *fake_describe(struct fake *f, int id, struct quoll_group_list *list)
{
	struct quoll_error err = {0};
	struct describer d;

	*list = (struct quoll_group_list){0};
	if (describer_open(&d, &f->env, &f->io, &err))
		return NULL;
	d.ask_disks = true;
	if (describe_group(&d, id, list, &err))
		fprintf(stderr, "describe: %s\n", err.what);
	describer_close(&d);
	return list->nr_groups ? &list->groups[0] : NULL;
}

int fake_plan(struct fake *f, const char *address, const struct quoll_plan_opts *opts, struct quoll_plan *plan,
	      struct quoll_error *err)
{
	struct quoll_addr addr;
	const struct quoll_addr *addrs[] = {&addr};
	struct planner_args args = {.addrs = addrs, .nr_addrs = 1, .opts = opts};
	struct describer d;
	int rc = quoll_addr_parse(address, &addr, err);

	if (!rc)
		rc = describer_open(&d, &f->env, &f->io, err);
	if (rc)
		return rc;
	rc = plan_make(&d, &args, plan, err);
	describer_close(&d);
	return rc;
}

int fake_restore(struct fake *f, const char *address, struct quoll_restored **done, unsigned int *nr_done,
		 struct quoll_error *err)
{
	struct quoll_addr addr;
	const struct quoll_addr *addrs[] = {&addr};
	struct restore_args args = {.addrs = addrs, .nr_addrs = address ? 1 : 0, .done = done, .nr_done = nr_done};
	int rc = address ? quoll_addr_parse(address, &addr, err) : 0;

	return rc ? rc : restore_recorded(&f->env, &f->io, &args, err);
}

const struct quoll_member *fake_member(const struct quoll_group_desc *desc, const char *name)
{
	for (unsigned int i = 0; desc && i < desc->nr_members; i++)
		if (!strcmp(desc->members[i].name, name))
			return &desc->members[i];
	return NULL;
}

bool fake_has_use(const struct quoll_member *m, enum quoll_use_kind kind, const char *piece)
{
	for (unsigned int i = 0; m && i < m->nr_uses; i++)
		if (m->uses[i].kind == kind && strstr(m->uses[i].detail, piece))
			return true;
	return false;
}
