/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sysfs.c - describe groups: members, drivers, viability. Reads only, needs no privilege.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "internal.h"

const char *quoll_use_kind_name(enum quoll_use_kind kind)
{
	static const char *const names[] = {"mounted", "swap", "held", "open", "address", "default route", "enslaved"};

	return (unsigned int)kind < sizeof(names) / sizeof(names[0]) ? names[kind] : "?";
}

const char *quoll_group_reason_name(enum quoll_group_reason reason)
{
	static const char *const names[] = {"alone", "PCI bridge", "multifunction", "no ACS", "other"};

	return (unsigned int)reason < sizeof(names) / sizeof(names[0]) ? names[reason] : "?";
}

/* How to switch the IOMMU on depends on the CPU, and on whose machine it is. */
int no_iommu_error(const struct quoll_env *env, struct quoll_error *err)
{
	char path[PATH_BYTES], cpu[16384] = "", cmdline[4096] = "", dir[PATH_BYTES];
	const char *guest = "";

	path_make(dir, "%s/kernel/iommu_groups", quoll_env_sysfs(env));
	if (!path_make(path, "%s/cpuinfo", quoll_env_proc(env)))
		file_text(path, cpu, sizeof(cpu));
	if (!path_make(path, "%s/cmdline", quoll_env_proc(env)))
		file_text(path, cmdline, sizeof(cmdline));
	quoll_error_set(err, ENODEV, "describe", dir,
			"this machine has no IOMMU groups: it has no IOMMU, or the IOMMU is off");
	if (strstr(cpu, " hypervisor"))
		guest = "; this is a virtual machine: its host must give it an IOMMU first (QEMU: -device "
			"intel-iommu,intremap=on,caching-mode=on)";
	if (strstr(cmdline, "iommu=off"))
		quoll_error_hint(err, "take iommu=off out of the kernel's command line and reboot%s", guest);
	else if (strstr(cpu, "GenuineIntel") && strstr(cmdline, "intel_iommu=on"))
		quoll_error_hint(err, "intel_iommu=on is set already: switch VT-d on in the firmware's set-up%s",
				 guest);
	else if (strstr(cpu, "GenuineIntel"))
		quoll_error_hint(
			err,
			"switch VT-d on in the firmware's set-up, add intel_iommu=on to the kernel's command line "
			"(GRUB_CMDLINE_LINUX in /etc/default/grub, then update-grub) and reboot%s",
			guest);
	else if (strstr(cpu, "AuthenticAMD") || strstr(cpu, "HygonGenuine"))
		quoll_error_hint(err,
				 "switch the IOMMU (AMD-Vi) on in the firmware's set-up; the kernel uses it "
				 "without an option%s",
				 guest);
	else if (strstr(cpu, "CPU implementer"))
		quoll_error_hint(err,
				 "the firmware must describe an SMMU (IORT table or device tree) and switch it on%s",
				 guest);
	else
		quoll_error_hint(err, "switch the IOMMU on in the firmware's set-up%s", guest);
	return -ENODEV;
}

static unsigned long member_number(const char *real_path, const char *file, int base)
{
	char path[PATH_BYTES], text[32];

	if (path_make(path, "%s/%s", real_path, file) || file_text(path, text, sizeof(text)) <= 0)
		return 0;
	return strtoul(text, NULL, base);
}

static int member_numa_node(const char *real_path)
{
	char path[PATH_BYTES], text[32];

	if (path_make(path, "%s/numa_node", real_path) || file_text(path, text, sizeof(text)) <= 0)
		return -1;
	return (int)strtol(text, NULL, 10);
}

int device_numa_node(const struct quoll_env *env, const char *name)
{
	char dir[PATH_BYTES];

	return device_path(env, name, "", dir) ? -1 : member_numa_node(dir);
}

static int member_uses(const struct describer *d, const char *real_path, struct quoll_member *m)
{
	struct use_list list = {0};

	block_uses(d->blocks, real_path, d->ask_disks ? d->io : NULL, &list);
	net_uses(d->nets, real_path, &list);
	m->uses = list.uses;
	m->nr_uses = list.nr;
	return list.rc;
}

static int describe_member(const struct describer *d, const char *real_path, struct quoll_member *m)
{
	char path[PATH_BYTES];
	int rc;

	snprintf(m->name, sizeof(m->name), "%s", path_last(real_path));
	rc = path_make(path, "%s/subsystem", real_path);
	if (!rc)
		link_name(path, m->bus, sizeof(m->bus));
	if (!rc)
		rc = path_make(path, "%s/driver", real_path);
	if (!rc)
		rc = link_name(path, m->driver, sizeof(m->driver));
	if (rc == -ENAMETOOLONG) /* still a driver, one that nobody can bind to by this name */
		snprintf(m->driver, sizeof(m->driver), "(name too long)");
	m->numa_node = member_numa_node(real_path);
	m->for_user = driver_kind_of(m->driver) == DRIVER_VFIO;
	m->blocks = driver_kind_of(m->driver) == DRIVER_KERNEL;
	if (!strcmp(m->bus, "pci")) {
		m->vendor_id = (uint16_t)member_number(real_path, "vendor", 16);
		m->device_id = (uint16_t)member_number(real_path, "device", 16);
		m->class_code = (uint32_t)member_number(real_path, "class", 16) & 0xffffff;
		m->is_bridge = config_is_bridge(real_path, m->class_code);
		pci_names_find(d->nameless ? NULL : d->names, m);
	}
	/* what is below a bridge is used below it */
	return m->is_bridge ? 0 : member_uses(d, real_path, m);
}

static void describe_viability(struct quoll_group_desc *desc)
{
	const struct quoll_member *first = NULL, *endpoint = NULL;
	unsigned int nr = 0;
	char more[48] = "";

	for (unsigned int i = 0; i < desc->nr_members; i++) {
		const struct quoll_member *m = &desc->members[i];

		if (!endpoint && !m->is_bridge && !strcmp(m->bus, "pci"))
			endpoint = m;
		if (!m->blocks)
			continue;
		nr++;
		first = first ? first : m;
	}
	desc->viable = !nr;
	if (!nr)
		return;
	if (nr > 1)
		snprintf(more, sizeof(more), ", and %u more are with theirs", nr - 1);
	snprintf(desc->blocker, sizeof(desc->blocker), "%s is with its kernel driver %s%s", first->name, first->driver,
		 more);
	if (endpoint) {
		size_t used = strlen(desc->blocker);

		snprintf(desc->blocker + used, sizeof(desc->blocker) - used, "; quoll bind %s takes the whole group",
			 endpoint->name);
	}
}

static void desc_free(struct quoll_group_desc *desc)
{
	for (unsigned int i = 0; i < desc->nr_members; i++)
		free(desc->members[i].uses);
	free(desc->members);
}

void quoll_groups_free(struct quoll_group_list *list)
{
	for (unsigned int i = 0; i < list->nr_groups; i++)
		desc_free(&list->groups[i]);
	free(list->groups);
	*list = (struct quoll_group_list){0};
}

/* A member that vanishes while we look is left out. */
static int describe_members(const struct describer *d, const char *dir, const struct name_list *names,
			    struct quoll_group_desc *desc)
{
	char **real_paths = calloc(names->nr, sizeof(*real_paths));
	char path[PATH_BYTES];
	int rc = 0;

	desc->members = calloc(names->nr, sizeof(*desc->members));
	if (!real_paths || !desc->members)
		rc = -ENOMEM;
	for (unsigned int i = 0; !rc && i < names->nr; i++) {
		rc = path_make(path, "%s/%s", dir, names->names[i]);
		if (rc || strlen(names->names[i]) >= QUOLL_NAME_BYTES)
			continue;
		real_paths[desc->nr_members] = realpath(path, NULL);
		if (!real_paths[desc->nr_members] && errno == ENOENT)
			continue;
		rc = real_paths[desc->nr_members] ? 0 : -errno;
		if (!rc)
			rc = describe_member(d, real_paths[desc->nr_members], &desc->members[desc->nr_members]);
		desc->nr_members++;
	}
	if (!rc && desc->nr_members)
		reason_find(desc, real_paths);
	for (unsigned int i = 0; real_paths && i < names->nr; i++)
		free(real_paths[i]);
	free(real_paths);
	return rc;
}

int describe_group(struct describer *d, int id, struct quoll_group_list *list, struct quoll_error *err)
{
	struct quoll_group_desc desc = {.id = id}, *grown;
	char dir[PATH_BYTES], subject[32];
	struct name_list names;
	int rc;

	for (unsigned int i = 0; i < list->nr_groups; i++)
		if (list->groups[i].id == id)
			return 0;
	snprintf(subject, sizeof(subject), "group %d", id);
	rc = path_make(dir, "%s/kernel/iommu_groups/%d/devices", quoll_env_sysfs(d->env), id);
	if (!rc)
		rc = name_list_read(dir, &names);
	if (rc)
		return quoll_error_set(err, -rc, "describe", subject, "%s cannot be read", dir);
	rc = names.nr ? describe_members(d, dir, &names, &desc) : 0;
	name_list_free(&names);
	if (!rc && !desc.nr_members)
		rc = -ENOENT;
	grown = rc ? NULL : array_grow(list->groups, list->nr_groups, sizeof(*grown));
	if (!grown) {
		rc = rc ? rc : -ENOMEM;
		desc_free(&desc);
		return quoll_error_set(err, -rc, "describe", subject, "its members cannot be read: %s", strerror(-rc));
	}
	list->groups = grown;
	describe_viability(&desc);
	list->groups[list->nr_groups++] = desc;
	return 0;
}

int describer_open(struct describer *d, const struct quoll_env *env, const struct group_io *io, struct quoll_error *err)
{
	int rc;

	*d = (struct describer){.env = env, .io = io};
	d->names = pci_names_open();
	rc = d->names ? 0 : -ENOMEM;
	if (!rc)
		rc = block_map_read(env, &d->blocks);
	if (!rc)
		rc = net_map_read(env, io, &d->nets);
	if (!rc)
		return 0;
	describer_close(d);
	return quoll_error_set(err, -rc, "describe", NULL, "the machine's disks and networks cannot be read: %s",
			       strerror(-rc));
}

void describer_close(struct describer *d)
{
	pci_names_close(d->names);
	block_map_free(d->blocks);
	net_map_free(d->nets);
}

/* Group numbers, ascending; anything else in the folder is passed over. */
static int compare_ids(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	return (x > y) - (x < y);
}

static int group_number(const char *name)
{
	char *end;
	long id = strtol(name, &end, 10);

	return name[0] >= '0' && name[0] <= '9' && !*end && id <= INT_MAX ? (int)id : -1;
}

static int read_ids(const struct quoll_env *env, int **ids, unsigned int *nr)
{
	char dir[PATH_BYTES];
	struct name_list names;
	int rc = path_make(dir, "%s/kernel/iommu_groups", quoll_env_sysfs(env));

	*nr = 0;
	*ids = NULL;
	if (!rc)
		rc = name_list_read(dir, &names);
	if (rc)
		return rc == -ENOENT ? 0 : rc;
	*ids = calloc(names.nr ? names.nr : 1, sizeof(**ids));
	for (unsigned int i = 0; *ids && i < names.nr; i++)
		if (group_number(names.names[i]) >= 0)
			(*ids)[(*nr)++] = group_number(names.names[i]);
	name_list_free(&names);
	if (!*ids)
		return -ENOMEM;
	qsort(*ids, *nr, sizeof(**ids), compare_ids);
	return 0;
}

/* Devices come and go: a group that is not there any more is none of an answer, not a failure. */
static int describe_all(struct describer *d, const int *ids, unsigned int nr, struct quoll_group_list *list,
			struct quoll_error *err)
{
	struct quoll_error e;
	int rc;

	for (unsigned int i = 0; i < nr; i++) {
		rc = describe_group(d, ids[i], list, &e);
		if (rc && rc != -ENOENT) {
			if (err)
				*err = e;
			return rc;
		}
	}
	return 0;
}

int quoll_groups_read(const struct quoll_env *env, struct quoll_group_list *list, struct quoll_error *err)
{
	struct describer d;
	unsigned int nr;
	int *ids, rc = read_ids(env, &ids, &nr);

	*list = (struct quoll_group_list){0};
	if (rc)
		return quoll_error_set(err, -rc, "describe", quoll_env_sysfs(env),
				       "kernel/iommu_groups cannot be read: %s", strerror(-rc));
	if (!nr) {
		free(ids);
		return no_iommu_error(env, err);
	}
	rc = describer_open(&d, env, &group_io_real, err);
	if (!rc) {
		rc = describe_all(&d, ids, nr, list, err);
		describer_close(&d);
	}
	free(ids);
	if (rc)
		quoll_groups_free(list);
	return rc;
}

int group_id_of(const struct quoll_env *env, const struct quoll_addr *addr, struct quoll_error *err)
{
	char path[PATH_BYTES], name[32];
	unsigned int nr;
	int id, *ids, rc;

	if (addr->scheme != QUOLL_ADDR_PCI)
		return quoll_error_set(err, EINVAL, "describe", addr->target,
				       "%s: addresses have no IOMMU group, only PCI devices have one",
				       quoll_addr_scheme_name(addr->scheme));
	rc = device_path(env, addr->target, "", path);
	if (rc)
		return quoll_error_set(err, -rc, "describe", addr->target, "the path of its folder is too long");
	if (!path_exists(path)) {
		quoll_error_set(err, ENOENT, "describe", addr->target, "there is no such PCI device");
		quoll_error_hint(err, "quoll groups lists the devices of this machine");
		return -ENOENT;
	}
	rc = device_path(env, addr->target, "iommu_group", path);
	if (!rc)
		rc = link_name(path, name, sizeof(name));
	id = rc ? -1 : group_number(name);
	if (id >= 0)
		return id;
	rc = read_ids(env, &ids, &nr);
	free(rc ? NULL : ids);
	if (rc || !nr)
		return no_iommu_error(env, err);
	return quoll_error_set(err, ENODEV, "describe", addr->target,
			       "it is in no IOMMU group: no IOMMU translates for it");
}

int quoll_group_read(const struct quoll_env *env, const struct quoll_addr *addr, struct quoll_group_list *list,
		     struct quoll_error *err)
{
	struct describer d;
	int rc, id = group_id_of(env, addr, err);

	*list = (struct quoll_group_list){0};
	if (id < 0)
		return id;
	rc = describer_open(&d, env, &group_io_real, err);
	if (rc)
		return rc;
	rc = describe_group(&d, id, list, err);
	describer_close(&d);
	return rc;
}
