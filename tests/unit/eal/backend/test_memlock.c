/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_memlock.c - the memlock account from a made /proc, and the command that grants more.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "backend/memlock.h"
#include "unit.h"

#define KIB 1024ull
#define IDENTITY "0 0 4294967295"

static int read_from(const char *status, const char *uid_map, struct memlock *ml)
{
	char dir[] = "/tmp/quoll-proc-XXXXXX", cmd[1024];
	struct quoll_env env = {.proc_root = dir};
	int rc;

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	snprintf(cmd, sizeof(cmd), "mkdir %s/self && printf '%s' > %s/self/status && printf '%s\\n' > %s/self/uid_map",
		 dir, status, dir, uid_map, dir);
	CU_ASSERT_EQUAL_FATAL(system(cmd), 0);
	rc = memlock_read(&env, ml);
	snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
	CU_ASSERT_EQUAL(system(cmd), 0);
	return rc;
}

static void what_is_locked_already_counts(void)
{
	struct rlimit old, low;
	struct memlock ml;

	getrlimit(RLIMIT_MEMLOCK, &old);
	low = (struct rlimit){.rlim_cur = 48 * KIB, .rlim_max = old.rlim_max};
	CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_MEMLOCK, &low), 0);
	CU_ASSERT_EQUAL(read_from("VmLck:\\t  16 kB\\nCapEff:\\t0000000000000000\\n", IDENTITY, &ml), 0);
	CU_ASSERT_EQUAL(memlock_left(&ml), 32 * KIB);
	CU_ASSERT_EQUAL(read_from("VmLck:\\t  4096 kB\\nCapEff:\\t0000000000000000\\n", IDENTITY, &ml), 0);
	CU_ASSERT_EQUAL(memlock_left(&ml), 0);
	setrlimit(RLIMIT_MEMLOCK, &old);
}

static void cap_ipc_lock_counts_in_the_initial_namespace_only(void)
{
	struct rlimit old, low;
	struct memlock ml;

	getrlimit(RLIMIT_MEMLOCK, &old);
	low = (struct rlimit){.rlim_cur = 48 * KIB, .rlim_max = old.rlim_max};
	CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_MEMLOCK, &low), 0);
	CU_ASSERT_EQUAL(read_from("VmLck:\\t0 kB\\nCapEff:\\t0000000000004000\\n", IDENTITY, &ml), 0);
	CU_ASSERT_EQUAL(memlock_left(&ml), UINT64_MAX);
	CU_ASSERT_EQUAL(read_from("VmLck:\\t0 kB\\nCapEff:\\t0000000000004000\\n", "0 1000 1", &ml), 0);
	CU_ASSERT_EQUAL(memlock_left(&ml), 48 * KIB);
	CU_ASSERT_EQUAL(read_from("VmLck:\\t0 kB\\nCapEff:\\tffffffffffffbfff\\n", IDENTITY, &ml), 0);
	CU_ASSERT_EQUAL(memlock_left(&ml), 48 * KIB);
	setrlimit(RLIMIT_MEMLOCK, &old);
}

static void a_status_that_makes_no_sense_is_an_error(void)
{
	struct memlock ml;

	CU_ASSERT_EQUAL(read_from("Name:\\tx\\n", IDENTITY, &ml), -EPROTO);
	CU_ASSERT_EQUAL(read_from("VmLck:\\tlots\\nCapEff:\\t0\\n", IDENTITY, &ml), -EPROTO);
}

/* Sum of what processes of this user pin, but for those that are exempt, and only where there is a limit. */
static void the_users_account_is_that_of_all_processes(void)
{
	char dir[] = "/tmp/quoll-proc-XXXXXX", cmd[2048];
	struct quoll_env env = {.proc_root = dir};
	struct rlimit old, low;
	struct memlock ml;

	getrlimit(RLIMIT_MEMLOCK, &old);
	low = (struct rlimit){.rlim_cur = 48 * KIB, .rlim_max = old.rlim_max};
	CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_MEMLOCK, &low), 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	snprintf(cmd, sizeof(cmd),
		 "cd %s && mkdir self 1 2 3 4 5 other && printf 'VmLck: 44 kB\nCapEff: 0\n' >self/status && "
		 "echo '" IDENTITY "' >self/uid_map && "
		 "printf 'Uid:\t%u\t0\t0\t0\nVmPin:\t 16 kB\nCapEff:\t0\n' | tee 1/status >other/status && "
		 "printf 'Uid:\t%u\t0\t0\t0\nVmPin:\t 8 kB\nCapEff:\t0\n' >2/status && "
		 "printf 'Uid:\t%u\t0\t0\t0\nVmPin:\t 4 kB\nCapEff:\t4000\n' >3/status && "
		 "printf 'Uid:\t%u\t0\t0\t0\nVmPin:\t 2 kB\nCapEff:\t0\n' >4/status",
		 dir, getuid(), getuid(), getuid(), getuid() + 1);
	CU_ASSERT_EQUAL_FATAL(system(cmd), 0);
	CU_ASSERT_EQUAL(memlock_read_user(&env, &ml), 0);
	CU_ASSERT_EQUAL(ml.locked_bytes, 24 * KIB);
	CU_ASSERT_EQUAL(memlock_left(&ml), 24 * KIB);
	snprintf(cmd, sizeof(cmd), "printf 'VmLck: 44 kB\nCapEff: 4000\n' >%s/self/status", dir);
	CU_ASSERT_EQUAL_FATAL(system(cmd), 0);
	CU_ASSERT_EQUAL(memlock_read_user(&env, &ml), 0);
	CU_ASSERT_EQUAL(memlock_left(&ml), UINT64_MAX);
	snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
	CU_ASSERT_EQUAL(system(cmd), 0);
	setrlimit(RLIMIT_MEMLOCK, &old);
}

static void the_refusal_names_a_command_that_is_allowed(void)
{
	struct memlock ml = {.soft_bytes = 64 * KIB, .hard_bytes = 1024 * KIB, .locked_bytes = 16 * KIB};
	struct quoll_error err;

	CU_ASSERT_EQUAL(memlock_refuse(&ml, "heap", 1008 * KIB, &err), -ENOMEM);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "ulimit -l 1024"));
	CU_ASSERT_PTR_NULL(strstr(err.hint, "sudo"));
	CU_ASSERT_EQUAL(memlock_refuse(&ml, "heap", 1008 * KIB + 1, &err), -ENOMEM);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "sudo prlimit --pid $$ --memlock=1049600"));
	CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "- memlock 1025'"));
	CU_ASSERT_EQUAL(memlock_refuse(&ml, "heap", UINT64_MAX, &err), -ENOMEM); /* does not wrap */
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "18014398509481984 KiB"));
}

static const struct unit_test tests[] = {
	{"what is locked already counts", what_is_locked_already_counts},
	{"CAP_IPC_LOCK counts in the initial namespace only", cap_ipc_lock_counts_in_the_initial_namespace_only},
	{"a status that makes no sense is an error", a_status_that_makes_no_sense_is_an_error},
	{"the user's account is that of all its processes", the_users_account_is_that_of_all_processes},
	{"the refusal names a command that is allowed", the_refusal_names_a_command_that_is_allowed},
};

UNIT_MAIN("memlock", tests)
