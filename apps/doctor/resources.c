/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * resources.c - doctor's checks of memory, limits, clock, devices, and of what earlier runs left.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <quoll/clock.h>
#include <quoll/group.h>

#include "check.h"

#define CAP_IPC_LOCK_BIT 14
#define CLASS_NVME 0x010802u
#define MEMLOCK_LOW (64ull << 20)

/* A pool of hugepages in a folder hugepages-NkB. */
static json_t *read_pool(const char *folder, const char *name, int node)
{
	char total[32], available[32];
	unsigned long long kib;

	if (sscanf(name, "hugepages-%llukB", &kib) != 1 ||
	    !check_read(total, sizeof(total), "%s/%s/nr_hugepages", folder, name) ||
	    !check_read(available, sizeof(available), "%s/%s/free_hugepages", folder, name))
		return NULL;
	return json_pack("{s:I, s:o, s:I, s:I}", "page_bytes", (json_int_t)(kib << 10), "numa_node",
			 node < 0 ? json_null() : json_integer(node), "nr_total", (json_int_t)atoll(total), "nr_free",
			 (json_int_t)atoll(available));
}

static void read_pools(json_t *pools, const char *folder, int node)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		json_t *pool = read_pool(folder, entry->d_name, node);

		if (pool)
			json_array_append_new(pools, pool);
	}
	if (dir)
		closedir(dir);
}

static void read_node_pools(const struct quoll_env *env, json_t *pools)
{
	char folder[512];
	struct dirent *entry;
	DIR *dir;

	snprintf(folder, sizeof(folder), "%s/devices/system/node", quoll_env_sysfs(env));
	dir = opendir(folder);
	while (dir && (entry = readdir(dir))) {
		char pool[1024];
		int node;

		if (sscanf(entry->d_name, "node%d", &node) != 1)
			continue;
		snprintf(pool, sizeof(pool), "%s/%s/hugepages", folder, entry->d_name);
		read_pools(pools, pool, node);
	}
	if (dir)
		closedir(dir);
}

void check_hugepages(const struct quoll_env *env, struct check *check)
{
	json_t *pools = json_array(), *nodes = json_array(), *pool;
	json_int_t nr_free = 0, nr_total = 0;
	char folder[512], text[256] = "";
	size_t i, used = 0;

	snprintf(folder, sizeof(folder), "%s/kernel/mm/hugepages", quoll_env_sysfs(env));
	read_pools(pools, folder, -1);
	read_node_pools(env, nodes);
	json_array_foreach(pools, i, pool) {
		json_int_t total = json_integer_value(json_object_get(pool, "nr_total"));
		json_int_t unused = json_integer_value(json_object_get(pool, "nr_free"));
		json_int_t mib = json_integer_value(json_object_get(pool, "page_bytes")) >> 20;

		nr_total += total;
		nr_free += unused;
		if (total && used < sizeof(text))
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%lld of %lld of %lld MiB free",
						 used ? ", " : "", (long long)unused, (long long)total, (long long)mib);
	}
	check->facts = json_pack("{s:o, s:o}", "pools", pools, "node_pools", nodes);
	if (nr_free) {
		check_found(check, CHECK_OK, "%s", text);
		return;
	}
	check_found(check, CHECK_WARN, "%s: Quoll uses 4 KiB pages then, only slower",
		    nr_total ? text : "none are reserved");
	check_hint(check, "echo 128 >/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages");
}

static bool has_cap_ipc_lock(const struct quoll_env *env)
{
	char path[512], line[256];
	unsigned long long caps = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/self/status", quoll_env_proc(env));
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "CapEff: %llx", &caps) == 1)
			break;
	if (f)
		fclose(f);
	return caps >> CAP_IPC_LOCK_BIT & 1;
}

void check_memlock(const struct quoll_env *env, struct check *check)
{
	bool exempt = has_cap_ipc_lock(env);
	struct rlimit limit = {0};
	unsigned long long bytes;
	bool unlimited;

	getrlimit(RLIMIT_MEMLOCK, &limit);
	unlimited = limit.rlim_cur == RLIM_INFINITY;
	bytes = limit.rlim_cur;
	check->facts = json_pack("{s:o, s:b}", "limit_bytes", unlimited ? json_null() : json_integer((json_int_t)bytes),
				 "cap_ipc_lock", exempt);
	if (exempt || unlimited) {
		check_found(check, CHECK_OK, "DMA memory may be pinned without limit%s",
			    exempt ? " (CAP_IPC_LOCK)" : "");
		return;
	}
	check_found(check,
		    bytes < 1 << 20	  ? CHECK_FAIL
		    : bytes < MEMLOCK_LOW ? CHECK_WARN
					  : CHECK_OK,
		    "%llu KiB of DMA memory may be pinned (RLIMIT_MEMLOCK)", bytes >> 10);
	if (bytes < MEMLOCK_LOW)
		check_hint(check,
			   "as root: echo \"$USER - memlock unlimited\" >/etc/security/limits.d/quoll.conf, and log in "
			   "again\nor for a running shell: prlimit --pid PID --memlock=unlimited");
}

void check_clock(const struct quoll_env *env, struct check *check)
{
	struct quoll_clock clock;

	(void)env;
	if (quoll_clock_init(&clock)) {
		check_found(check, CHECK_WARN,
			    "this CPU promises no invariant time stamp counter: each reading is a system clock's");
		check_hint(check, "in a VM: pass the CPU's invtsc flag through; figures of quoll nvme perf cost more");
	} else {
		check_found(check, CHECK_OK, "invariant time stamp counter, %.0f MHz", (double)clock.tick_hz / 1e6);
	}
	check->facts = json_pack("{s:I, s:b}", "tick_hz", (json_int_t)clock.tick_hz, "from_cpu", clock.from_cpu);
}

void check_nvme(const struct quoll_env *env, struct check *check)
{
	json_t *devices = json_array();
	struct quoll_group_list list;
	unsigned int nr = 0, nr_ready = 0;

	check->facts = json_pack("{s:o}", "devices", devices);
	if (quoll_groups_read(env, &list, NULL)) {
		check_found(check, CHECK_WARN, "not looked for: without an IOMMU no device can be driven");
		return;
	}
	for (unsigned int g = 0; g < list.nr_groups; g++) {
		for (unsigned int m = 0; m < list.groups[g].nr_members; m++) {
			const struct quoll_member *member = &list.groups[g].members[m];

			if (member->class_code != CLASS_NVME)
				continue;
			nr++;
			nr_ready += list.groups[g].viable && member->for_user;
			json_array_append_new(devices, json_pack("{s:s, s:s, s:i, s:b}", "device", member->name,
								 "driver", member->driver, "group", list.groups[g].id,
								 "viable", list.groups[g].viable));
		}
	}
	quoll_groups_free(&list);
	check_found(check, nr ? CHECK_OK : CHECK_WARN, "%u NVMe controllers, %u of them bound for Quoll", nr, nr_ready);
	if (nr && !nr_ready)
		check_hint(check, "quoll nvme list, then quoll plan ADDR and quoll bind ADDR");
}

void check_records(const struct quoll_env *env, struct check *check)
{
	json_t *names = json_array();
	char folder[512];
	struct dirent *entry;
	size_t nr;
	DIR *dir;

	snprintf(folder, sizeof(folder), "%s/bound", quoll_env_run(env));
	dir = opendir(folder);
	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			json_array_append_new(names, json_string(entry->d_name));
	if (dir)
		closedir(dir);
	nr = json_array_size(names);
	check->facts = json_pack("{s:s, s:o}", "folder", folder, "devices", names);
	if (nr) {
		check_found(check, CHECK_OK, "%zu devices are bound by quoll bind (%s)", nr, folder);
		check_hint(check, "quoll restore gives them back to the drivers they were with");
	} else {
		check_found(check, CHECK_OK, "nothing is bound by quoll bind");
	}
}
