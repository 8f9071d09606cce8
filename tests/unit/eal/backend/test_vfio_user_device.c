/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_vfio_user_device.c - files that a server sends for its regions, and what mapping them may not do to the client.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "eal/vfio_user/lingering.h"
#include "vfio_user/closer.h"
#include "vfio_user_world.h"

/* The kernel rounds such a mapping up to whole huge pages: with a fixed address, over whatever lies behind. */
static void a_file_of_huge_pages_is_not_mapped(void)
{
	int fd = memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB);
	struct quoll_region *region;
	uint32_t value = 0;
	struct world w;

	CU_ASSERT_TRUE_FATAL(fd >= 0);
	CU_ASSERT_EQUAL(ftruncate(fd, 2 << 20), 0);
	world_init(&w);
	w.nr_fds_before -= 1;
	w.server.area_fds[0] = fd;
	CU_ASSERT_EQUAL_FATAL(world_open(&w), 0);
	CU_ASSERT_EQUAL(quoll_region_map(w.dev, 0, &region, &w.err), -EPERM);
	/* By message it works. */
	CU_ASSERT_EQUAL(quoll_region_read(w.dev, 0, 0, &value, sizeof(value)), 0);
	close(fd);
	world_close(&w);
}

static struct quoll_device *guarded;
static volatile sig_atomic_t nr_mended;

static void on_bus_error(int sig, siginfo_t *info, void *context)
{
	(void)context;
	if (quoll_device_bus_error(guarded, info->si_addr))
		nr_mended++;
	else
		signal(sig, SIG_DFL);
}

/* A file that nobody sealed may be cut short while it is mapped. With a handler that asks us, that is a dead device. */
static void a_file_that_shrinks_while_mapped_makes_the_device_gone(void)
{
	struct sigaction sa = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO}, old;
	int fd = memfd_create("shrinks", MFD_CLOEXEC);
	struct quoll_region *region;
	volatile uint32_t *regs;
	uint8_t byte;
	struct world w;

	CU_ASSERT_EQUAL(ftruncate(fd, SERVER_BAR_BYTES), 0);
	world_init(&w);
	w.nr_fds_before -= 1;
	w.server.area_fds[0] = fd;
	CU_ASSERT_EQUAL_FATAL(world_open(&w), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_region_map(w.dev, 0, &region, &w.err), 0);
	regs = quoll_region_ptr(region, 0, SERVER_BAR_BYTES);
	CU_ASSERT_PTR_NOT_NULL_FATAL(regs);
	regs[3] = 7;
	CU_ASSERT_EQUAL(quoll_device_events(w.dev), 0);
	guarded = w.dev;
	nr_mended = 0;
	sigaction(SIGBUS, &sa, &old);
	CU_ASSERT_EQUAL(ftruncate(fd, 4096), 0);
	CU_ASSERT_EQUAL(regs[3], 7); /* that page is still there */
	CU_ASSERT_EQUAL(quoll_device_events(w.dev), 0);
	CU_ASSERT_EQUAL(regs[2048], UINT32_MAX);
	CU_ASSERT_EQUAL(regs[3071], UINT32_MAX);
	CU_ASSERT_EQUAL(nr_mended, 1);
	regs[3072] = 1;
	CU_ASSERT_EQUAL(nr_mended, 2);
	CU_ASSERT_EQUAL(quoll_device_events(w.dev), QUOLL_DEVICE_GONE);
	CU_ASSERT_FALSE(quoll_device_bus_error(w.dev, &byte));
	CU_ASSERT_FALSE(quoll_device_bus_error(w.dev, (uint8_t *)(uintptr_t)regs + SERVER_BAR_BYTES));
	CU_ASSERT_FALSE(quoll_device_bus_error(w.dev, (uint8_t *)(uintptr_t)regs - 1));
	sigaction(SIGBUS, &old, NULL);
	close(fd);
	world_close(&w);
}

/* What one server has sent, and nobody can close, is no matter for the sessions with others. */
static void files_that_cannot_be_closed_are_a_matter_of_one_session(void)
{
	struct world other, w;
	uint32_t value = 0;
	const void *owner;
	int fds[2], peer;

	world_init(&other);
	CU_ASSERT_EQUAL_FATAL(world_open(&other), 0);
	world_init(&w);
	CU_ASSERT_EQUAL_FATAL(world_open(&w), 0);
	owner = world_session(&w)->conn.owner;
	closer_close(lingering_socket(&peer), owner);
	CU_ASSERT_EQUAL_FATAL(pipe2(fds, O_CLOEXEC), 0);
	for (unsigned int i = 1; i < CLOSER_OWNER_FDS; i++)
		closer_close(fcntl(fds[0], F_DUPFD_CLOEXEC, 0), owner);
	close(fds[0]);
	close(fds[1]);
	CU_ASSERT_TRUE(closer_full(owner));
	CU_ASSERT_EQUAL(quoll_region_read(other.dev, 0, 0, &value, sizeof(value)), 0);
	CU_ASSERT_NOT_EQUAL(quoll_region_read(w.dev, 0, 0, &value, sizeof(value)), 0);
	close(peer);
	while (closer_full(owner))
		sched_yield();
	world_close(&w);
	world_close(&other);
}

static void a_file_that_cannot_be_closed_keeps_nobody_waiting(void)
{
	struct late_reader reader;
	struct world w;
	int fd = lingering_socket(&reader.peers[0]);

	world_init(&w);
	w.nr_fds_before -= 2;
	w.server.area_fds[0] = fd;
	CU_ASSERT_EQUAL_FATAL(world_open(&w), 0);
	close(fd);
	late_reader_begin(&reader, 1);
	quoll_device_close(w.dev);
	w.dev = NULL;
	CU_ASSERT_FALSE(late_reader_end(&reader));
	world_close(&w);
}

static const struct unit_test tests[] = {
	{"a file of huge pages is not mapped", a_file_of_huge_pages_is_not_mapped},
	{"a file that shrinks while mapped makes the device gone",
	 a_file_that_shrinks_while_mapped_makes_the_device_gone},
	{"a file that cannot be closed keeps nobody waiting", a_file_that_cannot_be_closed_keeps_nobody_waiting},
	{"files that cannot be closed are a matter of one session",
	 files_that_cannot_be_closed_are_a_matter_of_one_session},
};

UNIT_MAIN("eal/backend/vfio_user_device", tests)
