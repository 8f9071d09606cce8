/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_holder.c - which process holds a file, in the real /proc and in a made one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backend/holder.h"
#include "unit.h"

static void another_process_is_named_with_pid_and_name(void)
{
	char dir[] = "/tmp/quoll-holder-XXXXXX", path[128], tail[128], byte = 0;
	struct quoll_env env = {0};
	int ready[2], done[2];
	struct holder h;
	pid_t pid;

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/77", dir);
	snprintf(tail, sizeof(tail), "%s", strrchr(dir, '/'));
	strcat(tail, "/77");
	CU_ASSERT_EQUAL_FATAL(pipe(ready) | pipe(done), 0);
	pid = fork();
	CU_ASSERT_FATAL(pid >= 0);
	if (!pid) {
		int fd = open(path, O_RDWR | O_CREAT, 0600);

		close(done[1]);
		if (fd < 0 || write(ready[1], &byte, 1) != 1 || read(done[0], &byte, 1) < 0)
			_exit(1);
		_exit(0);
	}
	CU_ASSERT_EQUAL_FATAL(read(ready[0], &byte, 1), 1);
	CU_ASSERT_EQUAL(holder_find(&env, tail, &h), 0);
	CU_ASSERT_EQUAL(h.pid, pid);
	CU_ASSERT_PTR_NOT_NULL(strstr(h.comm, "test_eal"));
	close(done[1]);
	waitpid(pid, NULL, 0);
	CU_ASSERT_EQUAL(holder_find(&env, tail, &h), -ENOENT);
	CU_ASSERT_EQUAL(h.pid, 0);
	unlink(path);
	rmdir(dir);
	close(ready[0]);
	close(ready[1]);
	close(done[0]);
}

static void this_process_is_found_if_there_is_no_other(void)
{
	char path[] = "/tmp/quoll-holder-XXXXXX";
	struct quoll_env env = {0};
	struct holder h;
	int fd = mkstemp(path);

	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_EQUAL(holder_find(&env, strrchr(path, '/'), &h), 0);
	CU_ASSERT_EQUAL(h.pid, getpid());
	close(fd);
	unlink(path);
}

static void a_name_cannot_steer_the_terminal(void)
{
	char dir[] = "/tmp/quoll-proc-XXXXXX", cmd[512];
	struct quoll_env env = {.proc_root = dir};
	struct holder h;

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	snprintf(cmd, sizeof(cmd),
		 "cd %s && mkdir -p 12/fd 34/fd self && ln -s /other/vfio/260 12/fd/3 && ln -s /dev/vfio/26 34/fd/9 && "
		 "printf 'a\\033[31mb\\n' > 34/comm && printf 'x\\n' > 12/comm",
		 dir);
	CU_ASSERT_EQUAL_FATAL(system(cmd), 0);
	CU_ASSERT_EQUAL(holder_find(&env, "/vfio/26", &h), 0);
	CU_ASSERT_EQUAL(h.pid, 34);
	CU_ASSERT_STRING_EQUAL(h.comm, "a?[31mb");
	CU_ASSERT_EQUAL(holder_find(&env, "/vfio/6", &h), -ENOENT);
	snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
	CU_ASSERT_EQUAL(system(cmd), 0);
}

static const struct unit_test tests[] = {
	{"another process is named with pid and name", another_process_is_named_with_pid_and_name},
	{"this process is found if there is no other", this_process_is_found_if_there_is_no_other},
	{"a name cannot steer the terminal", a_name_cannot_steer_the_terminal},
};

UNIT_MAIN("holder", tests)
