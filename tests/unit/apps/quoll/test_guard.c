/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_guard.c - devices whose registers are taken away do not end the command; other bus errors still do.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "eal/backend/vfio_user_world.h"
#include "quoll/guard.h"

static bool handles_bus_errors(void)
{
	struct sigaction now;

	sigaction(SIGBUS, NULL, &now);
	return now.sa_flags & SA_SIGINFO && now.sa_sigaction;
}

static void registers_that_are_taken_away_read_all_ones(void)
{
	int fd = memfd_create("shrinks", MFD_CLOEXEC);
	struct quoll_region *region;
	struct sigaction old, now;
	volatile uint32_t *regs;
	struct world w;

	CU_ASSERT_EQUAL(ftruncate(fd, SERVER_BAR_BYTES), 0);
	world_init(&w);
	w.nr_fds_before -= 1;
	w.server.area_fds[0] = fd;
	CU_ASSERT_EQUAL_FATAL(world_open(&w), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_region_map(w.dev, 0, &region, &w.err), 0);
	regs = quoll_region_ptr(region, 0, SERVER_BAR_BYTES);
	sigaction(SIGBUS, NULL, &old);
	guard_add(w.dev);
	CU_ASSERT_TRUE(handles_bus_errors());
	CU_ASSERT_EQUAL(ftruncate(fd, 0), 0);
	CU_ASSERT_EQUAL(regs[0], UINT32_MAX);
	CU_ASSERT_EQUAL(quoll_device_events(w.dev), QUOLL_DEVICE_GONE);
	guard_remove(w.dev);
	guard_remove(w.dev); /* not here any more: nothing happens */
	sigaction(SIGBUS, NULL, &now);
	CU_ASSERT_EQUAL((void *)now.sa_sigaction, (void *)old.sa_sigaction);
	close(fd);
	world_close(&w);
}

/* In a child: another file that shrinks, while a device is guarded. */
static void touch_what_is_gone(struct quoll_device *dev)
{
	int fd = memfd_create("other", MFD_CLOEXEC);
	volatile uint8_t *byte;

	setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
	signal(SIGBUS, SIG_DFL);
	if (fd < 0 || ftruncate(fd, 4096))
		_exit(2);
	byte = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	guard_add(dev);
	if (byte == MAP_FAILED || ftruncate(fd, 0))
		_exit(3);
	_exit(*byte);
}

static void a_bus_error_elsewhere_still_ends_the_process(void)
{
	struct world w;
	int status = 0;
	pid_t pid;

	world_init(&w);
	CU_ASSERT_EQUAL_FATAL(world_open(&w), 0);
	pid = fork();
	CU_ASSERT_TRUE_FATAL(pid >= 0);
	if (!pid)
		touch_what_is_gone(w.dev);
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_TRUE(WIFSIGNALED(status));
	CU_ASSERT_EQUAL(WTERMSIG(status), SIGBUS);
	world_close(&w);
}

static void a_server_is_guarded_as_long_as_it_is_there(void)
{
	char dir[] = "/tmp/quoll-guard.XXXXXX", path[64];
	struct quoll_server_device device = {.bus = QUOLL_BUS_PLATFORM, .ops = &(struct quoll_server_ops){0}};
	struct quoll_server *servers[2] = {NULL};
	struct sigaction old, now;
	uint8_t byte = 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	sigaction(SIGBUS, NULL, &old);
	for (unsigned int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%u", dir, i);
		CU_ASSERT_EQUAL_FATAL(quoll_server_create(NULL, path, &device, &servers[i], NULL), 0);
		CU_ASSERT_TRUE(guard_add_server(servers[i]));
		CU_ASSERT_TRUE(handles_bus_errors());
	}
	CU_ASSERT_FALSE(quoll_server_bus_error(servers[0], &byte));
	for (unsigned int i = 0; i < 2; i++) {
		CU_ASSERT_TRUE(handles_bus_errors());
		guard_remove_server(servers[i]);
		guard_remove_server(servers[i]); /* not here any more: nothing happens */
		quoll_server_destroy(servers[i]);
	}
	sigaction(SIGBUS, NULL, &now);
	CU_ASSERT_EQUAL((void *)now.sa_sigaction, (void *)old.sa_sigaction);
	CU_ASSERT_EQUAL(rmdir(dir), 0);
}

static const struct unit_test tests[] = {
	{"registers that are taken away read all ones", registers_that_are_taken_away_read_all_ones},
	{"a server is guarded as long as it is there", a_server_is_guarded_as_long_as_it_is_there},
	{"a bus error elsewhere still ends the process", a_bus_error_elsewhere_still_ends_the_process},
};

UNIT_MAIN("apps/quoll/guard", tests)
