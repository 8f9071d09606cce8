/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_ioas.c - the address space above a fake back-end: the list of mappings, limits, life cycle.
 */
#include <sys/resource.h>

#include "eal/backend/fake_backend.h"
#include "unit.h"

#define KIB 1024ull

static struct quoll_ioas *open_claimed(struct quoll_group **group)
{
	struct quoll_ioas *ioas = NULL;
	struct quoll_addr addr;

	fake_reset();
	fake_address(&addr);
	CU_ASSERT_EQUAL_FATAL(ioas_open_ops(NULL, &fake_ops, &ioas, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_group_claim(ioas, &addr, group, NULL), 0);
	fake_forget_calls();
	return ioas;
}

static void close_claimed(struct quoll_ioas *ioas, struct quoll_group *group)
{
	CU_ASSERT_EQUAL(quoll_group_release(group), 0);
	CU_ASSERT_EQUAL(quoll_ioas_close(ioas), 0);
}

static int map_at(struct quoll_ioas *ioas, quoll_iova_t iova, uint64_t len, struct quoll_error *err)
{
	struct ioas_mapping m = {
		.va = (void *)(uintptr_t)(0x100000 + iova),
		.iova = iova,
		.len_bytes = len,
		.access = MAP_DEVICE_READ | MAP_DEVICE_WRITE,
		.fd = -1,
	};

	return ioas_map(ioas, &m, err);
}

static void overlapping_mappings_never_reach_the_back_end(void)
{
	struct quoll_group *group;
	struct quoll_ioas *ioas = open_claimed(&group);
	struct quoll_error err;

	CU_ASSERT_EQUAL(map_at(ioas, 0x4000, 0x2000, NULL), 0);
	CU_ASSERT_EQUAL(map_at(ioas, 0x8000, 0x1000, NULL), 0);
	CU_ASSERT_EQUAL(map_at(ioas, 0x6000, 0x2000, NULL), 0); /* fits exactly in between */
	CU_ASSERT_STRING_EQUAL(fake.calls, "map(0x4000) map(0x8000) map(0x6000) ");
	CU_ASSERT_EQUAL(map_at(ioas, 0x5000, 0x1000, &err), -EEXIST);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "0x4000"));
	CU_ASSERT_EQUAL(map_at(ioas, 0x3000, 0x1001, NULL), -EEXIST);
	CU_ASSERT_EQUAL(map_at(ioas, 0x0, 0x10000, NULL), -EEXIST);
	CU_ASSERT_EQUAL(map_at(ioas, 0x8fff, 1, NULL), -EEXIST);
	CU_ASSERT_EQUAL(fake.nr_mapped, 3);
	close_claimed(ioas, group);
}

static void senseless_mappings_are_refused(void)
{
	struct quoll_group *group;
	struct quoll_ioas *ioas = open_claimed(&group);
	struct ioas_mapping m = {.va = (void *)0x1000, .iova = 0x1000, .len_bytes = 0x1000};

	CU_ASSERT_EQUAL(map_at(ioas, 0x1000, 0, NULL), -EINVAL);
	CU_ASSERT_EQUAL(map_at(ioas, UINT64_MAX - 0xfff, 0x2000, NULL), -EINVAL);
	CU_ASSERT_EQUAL(ioas_map(ioas, &m, NULL), -EINVAL);
	m.access = MAP_DEVICE_WRITE;
	CU_ASSERT_EQUAL(ioas_map(ioas, &m, NULL), -EINVAL);
	m.access = MAP_DEVICE_READ | 8;
	CU_ASSERT_EQUAL(ioas_map(ioas, &m, NULL), -EINVAL);
	CU_ASSERT_STRING_EQUAL(fake.calls, FAKE_NO_CALL);
	close_claimed(ioas, group);
}

static void a_mapping_is_never_cut_in_two(void)
{
	struct quoll_group *group;
	struct quoll_ioas *ioas = open_claimed(&group);

	map_at(ioas, 0x4000, 0x2000, NULL);
	map_at(ioas, 0x8000, 0x1000, NULL);
	fake_forget_calls();
	CU_ASSERT_EQUAL(ioas_unmap(ioas, 0x4000, 0x1000), -EINVAL);
	CU_ASSERT_EQUAL(ioas_unmap(ioas, 0x5000, 0x1000), -EINVAL);
	CU_ASSERT_EQUAL(ioas_unmap(ioas, 0x4000, 0x4800), -EINVAL);
	CU_ASSERT_EQUAL(ioas_unmap(ioas, 0x6000, 0x2000), -ENOENT);
	CU_ASSERT_EQUAL(ioas_unmap(ioas, 0x4000, 0), -EINVAL);
	CU_ASSERT_EQUAL(ioas_unmap(ioas, UINT64_MAX, 2), -EINVAL);
	CU_ASSERT_STRING_EQUAL(fake.calls, FAKE_NO_CALL);
	CU_ASSERT_EQUAL(ioas_unmap(ioas, 0x0, 0x10000), 0); /* several whole ones at once */
	CU_ASSERT_STRING_EQUAL(fake.calls, "unmap(0x4000) unmap(0x8000) ");
	CU_ASSERT_EQUAL(ioas_unmap(ioas, 0x4000, 0x2000), -ENOENT);
	close_claimed(ioas, group);
}

static void the_list_agrees_with_the_back_end_after_a_failed_unmap(void)
{
	struct quoll_group *group;
	struct quoll_ioas *ioas = open_claimed(&group);

	for (unsigned int i = 1; i <= 3; i++)
		map_at(ioas, i * 0x1000, 0x1000, NULL);
	fake.fail_call = "unmap";
	fake.fail_skip = 1;
	fake.fail_rc = -EIO;
	CU_ASSERT_EQUAL(ioas_unmap(ioas, 0x1000, 0x3000), -EIO);
	fake.fail_call = NULL;
	CU_ASSERT_EQUAL(map_at(ioas, 0x1000, 0x1000, NULL), 0);
	CU_ASSERT_EQUAL(map_at(ioas, 0x2000, 0x1000, NULL), -EEXIST);
	CU_ASSERT_EQUAL(fake.nr_mapped, 3);
	CU_ASSERT_EQUAL(ioas_unmap(ioas, 0x1000, 0x3000), 0);
	CU_ASSERT_EQUAL(fake.nr_mapped, 0);
	close_claimed(ioas, group);
}

static void many_mappings_stay_sorted(void)
{
	struct quoll_group *group;
	struct quoll_ioas *ioas = open_claimed(&group);

	for (unsigned int i = 0; i < 200; i++)
		CU_ASSERT_EQUAL(map_at(ioas, ((i * 77) % 200) * 0x1000ull, 0x1000, NULL), 0);
	CU_ASSERT_EQUAL(map_at(ioas, 199 * 0x1000, 0x1000, NULL), -EEXIST);
	for (unsigned int i = 0; i < 200; i++)
		CU_ASSERT_EQUAL(ioas_unmap(ioas, ((i * 33) % 200) * 0x1000ull, 0x1000), 0);
	CU_ASSERT_EQUAL(fake.nr_mapped, 0);
	close_claimed(ioas, group);
}

static void mapping_without_a_group_says_what_to_do(void)
{
	struct quoll_group *group;
	struct quoll_ioas *ioas = open_claimed(&group);
	struct quoll_error err;

	CU_ASSERT_EQUAL(quoll_group_release(group), 0);
	CU_ASSERT_EQUAL(map_at(ioas, 0x1000, 0x1000, &err), -ENODEV);
	CU_ASSERT_STRING_EQUAL(err.hint, "claim a group first");
	CU_ASSERT_EQUAL(quoll_ioas_close(ioas), 0);
}

static void mappings_survive_release_and_claim_again(void)
{
	struct quoll_group *group;
	struct quoll_ioas *ioas = open_claimed(&group);
	struct quoll_addr addr;

	fake_address(&addr);
	map_at(ioas, 0x1000, 0x1000, NULL);
	map_at(ioas, 0x5000, 0x1000, NULL);
	map_at(ioas, 0x9000, 0x1000, NULL);
	CU_ASSERT_EQUAL(quoll_group_release(group), 0);
	fake_forget_calls();
	CU_ASSERT_EQUAL(ioas_unmap(ioas, 0x5000, 0x1000), 0); /* gone in the kernel already */
	CU_ASSERT_STRING_EQUAL(fake.calls, FAKE_NO_CALL);
	CU_ASSERT_EQUAL(quoll_group_claim(ioas, &addr, &group, NULL), 0);
	CU_ASSERT_STRING_EQUAL(fake.calls, "claim() map(0x1000) map(0x9000) ");
	close_claimed(ioas, group);
}

static void a_claim_whose_mappings_fail_is_undone(void)
{
	struct quoll_group *group;
	struct quoll_ioas *ioas = open_claimed(&group);
	struct quoll_addr addr;

	fake_address(&addr);
	map_at(ioas, 0x1000, 0x1000, NULL);
	map_at(ioas, 0x5000, 0x1000, NULL);
	CU_ASSERT_EQUAL(quoll_group_release(group), 0);
	fake_forget_calls();
	fake.fail_call = "map";
	fake.fail_skip = 1;
	fake.fail_rc = -ENOMEM;
	CU_ASSERT_EQUAL(quoll_group_claim(ioas, &addr, &group, NULL), -ENOMEM);
	CU_ASSERT_STRING_EQUAL(fake.calls, "claim() map(0x1000) map(0x5000) unmap(0x1000) release() ");
	CU_ASSERT_EQUAL(ioas->nr_groups, 0);
	CU_ASSERT_EQUAL(quoll_ioas_close(ioas), 0);
}

static void limits_name_the_number_and_the_command(void)
{
	struct rlimit old, low = {.rlim_cur = 64 * KIB};
	struct quoll_env env = {.proc_root = "proc"};
	char dir[] = "/tmp/quoll-ioas-XXXXXX", path[128], cwd[1024];
	struct quoll_ioas *ioas = NULL;
	struct quoll_error err;
	FILE *f;

	fake_reset();
	CU_ASSERT_PTR_NOT_NULL_FATAL(getcwd(cwd, sizeof(cwd)));
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	snprintf(path, sizeof(path), "mkdir -p %s/proc/self", dir);
	CU_ASSERT_EQUAL_FATAL(system(path), 0);
	CU_ASSERT_EQUAL_FATAL(chdir(dir), 0);
	f = fopen("proc/self/status", "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fprintf(f, "Name:\tx\nVmLck:\t      16 kB\nCapEff:\t0000000000000000\n");
	fclose(f);
	getrlimit(RLIMIT_MEMLOCK, &old);
	low.rlim_max = old.rlim_max;
	CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_MEMLOCK, &low), 0);
	CU_ASSERT_EQUAL_FATAL(ioas_open_ops(&env, &fake_ops, &ioas, NULL), 0);

	fake.info.memlock_bytes = 48 * KIB;
	CU_ASSERT_EQUAL(ioas_check_limits(ioas, 48 * KIB, 1, &err), 0);
	CU_ASSERT_EQUAL(ioas_check_limits(ioas, 48 * KIB + 1, 1, &err), -ENOMEM);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "makes 65 KiB"));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "is 64 KiB"));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "ulimit -l 65"));
	fake.info.maps_avail = 3;
	CU_ASSERT_EQUAL(ioas_check_limits(ioas, 1, 3, &err), 0);
	CU_ASSERT_EQUAL(ioas_check_limits(ioas, 1, 4, &err), -ENOMEM);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "4 more are needed, 3 more are possible"));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "echo 4 "));
	CU_ASSERT_EQUAL(quoll_ioas_close(ioas), 0);

	setrlimit(RLIMIT_MEMLOCK, &old);
	CU_ASSERT_EQUAL(chdir(cwd), 0);
	snprintf(path, sizeof(path), "%s/proc/self/status", dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/proc/self", dir);
	rmdir(path);
	snprintf(path, sizeof(path), "%s/proc", dir);
	rmdir(path);
	rmdir(dir);
}

static void close_is_refused_while_in_use(void)
{
	struct quoll_group *group;
	struct quoll_ioas *ioas = open_claimed(&group);

	CU_ASSERT_EQUAL(quoll_ioas_close(ioas), -EBUSY);
	CU_ASSERT_EQUAL(quoll_group_release(group), 0);
	ioas_window_add(ioas, &(struct quoll_iova_range){0x10000, 0x1ffff});
	CU_ASSERT_EQUAL(quoll_ioas_close(ioas), -EBUSY);
	ioas_window_remove(ioas, 0x10000);
	fake_forget_calls();
	CU_ASSERT_EQUAL(quoll_ioas_close(ioas), 0);
	CU_ASSERT_STRING_EQUAL(fake.calls, "ioas_close() ");
}

static void an_unknown_back_end_is_answered_with_the_known_ones(void)
{
	struct quoll_ioas *ioas = NULL;
	struct quoll_error err;

	CU_ASSERT_EQUAL(quoll_ioas_open(NULL, "vfoi", &ioas, &err), -ENOENT);
	CU_ASSERT_PTR_NULL(ioas);
	for (unsigned int i = 0; backends[i]; i++)
		CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, backends[i]->name));
	fake_reset();
	fake.fail_call = "ioas_open";
	fake.fail_rc = -EACCES;
	CU_ASSERT_EQUAL(ioas_open_ops(NULL, &fake_ops, &ioas, &err), -EACCES);
	CU_ASSERT_PTR_NULL(ioas);
}

static const struct unit_test tests[] = {
	{"overlapping mappings never reach the back-end", overlapping_mappings_never_reach_the_back_end},
	{"senseless mappings are refused", senseless_mappings_are_refused},
	{"a mapping is never cut in two", a_mapping_is_never_cut_in_two},
	{"the list agrees with the back-end after a failed unmap",
	 the_list_agrees_with_the_back_end_after_a_failed_unmap},
	{"many mappings stay sorted", many_mappings_stay_sorted},
	{"mapping without a group says what to do", mapping_without_a_group_says_what_to_do},
	{"mappings survive release and claim again", mappings_survive_release_and_claim_again},
	{"a claim whose mappings fail is undone", a_claim_whose_mappings_fail_is_undone},
	{"limits name the number and the command", limits_name_the_number_and_the_command},
	{"close is refused while in use", close_is_refused_while_in_use},
	{"an unknown back-end is answered with the known ones", an_unknown_back_end_is_answered_with_the_known_ones},
};

UNIT_MAIN("address space", tests)
