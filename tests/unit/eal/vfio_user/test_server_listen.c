/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_server_listen.c - a server's socket in the file system: mode, take-over, refusals, removal; devices that
 * contradict themselves.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server_world.h"

static int create(struct server_world *w, struct quoll_error *err)
{
	struct quoll_server *server = NULL;
	int rc = quoll_server_create(NULL, w->path, &w->device, &server, err);

	if (!rc)
		quoll_server_destroy(server);
	CU_ASSERT_EQUAL(rc, rc ? -err->errnum : 0);
	return rc;
}

/* A socket that was bound and left behind. */
static void leave_socket(const struct server_world *w, bool listens)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(sa.sun_path, w->path);
	CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	if (listens)
		listen(fd, 1);
	close(fd);
}

static void only_its_user_may_connect_whatever_the_umask(void)
{
	mode_t before = umask(0);
	struct server_world w;
	struct stat st;

	world_init(&w);
	world_listen(&w);
	umask(before);
	CU_ASSERT_EQUAL_FATAL(lstat(w.path, &st), 0);
	CU_ASSERT_TRUE(S_ISSOCK(st.st_mode));
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0600);
	world_close(&w);
}

static void what_a_dead_server_left_is_taken_over(void)
{
	struct server_world w;

	for (unsigned int i = 0; i < 2; i++) {
		world_init(&w);
		leave_socket(&w, i);
		world_listen(&w);
		CU_ASSERT_TRUE(world_hello(&w) > 0);
		world_close(&w);
	}
}

static void a_live_one_is_left_alone(void)
{
	struct quoll_error err;
	struct server_world w;

	world_init(&w);
	world_listen(&w);
	CU_ASSERT_EQUAL(create(&w, &err), -EADDRINUSE);
	CU_ASSERT_TRUE(err.hint[0]);
	/* Also with its queue full, when nobody can connect. */
	for (unsigned int i = 0; i < 40; i++) {
		struct sockaddr_un sa = w.server->address;
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

		if (!connect(fd, (struct sockaddr *)&sa, sizeof(sa))) {
			close(fd);
			continue;
		}
		CU_ASSERT_EQUAL(errno, EAGAIN);
		close(fd);
		break;
	}
	CU_ASSERT_EQUAL(create(&w, &err), -EADDRINUSE);
	for (unsigned int i = 0; i < 40; i++)
		quoll_server_poll(w.server);
	CU_ASSERT_TRUE(world_hello(&w) > 0);
	world_close(&w);
}

static void what_is_no_socket_is_left_alone(void)
{
	struct quoll_error err;
	struct server_world w;
	int fd;

	world_init(&w);
	fd = open(w.path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	close(fd);
	CU_ASSERT_EQUAL(create(&w, &err), -EEXIST);
	CU_ASSERT_EQUAL(unlink(w.path), 0);
	CU_ASSERT_EQUAL(symlink("elsewhere", w.path), 0);
	CU_ASSERT_EQUAL(create(&w, &err), -EEXIST);
	CU_ASSERT_EQUAL(unlink(w.path), 0);
	CU_ASSERT_EQUAL(mkdir(w.path, 0700), 0);
	CU_ASSERT_EQUAL(create(&w, &err), -EEXIST);
	CU_ASSERT_EQUAL(rmdir(w.path), 0);
	world_listen(&w);
	world_close(&w);
}

static void paths_that_cannot_be(void)
{
	char right[128];
	struct quoll_error err;
	struct server_world w;

	world_init(&w);
	strcpy(right, w.path);
	w.path[0] = '\0';
	CU_ASSERT_EQUAL(create(&w, &err), -ENAMETOOLONG);
	memset(w.path, 'x', 108);
	w.path[108] = '\0';
	CU_ASSERT_EQUAL(create(&w, &err), -ENAMETOOLONG);
	snprintf(w.path, sizeof(w.path), "%s/none/sock", w.dir);
	CU_ASSERT_EQUAL(create(&w, &err), -ENOENT);
	strcpy(w.path, right);
	world_listen(&w);
	world_close(&w);
}

static void a_relative_path_will_do(void)
{
	char before[4096];
	struct server_world w;

	world_init(&w);
	CU_ASSERT_PTR_NOT_NULL_FATAL(getcwd(before, sizeof(before)));
	CU_ASSERT_EQUAL_FATAL(chdir(w.dir), 0);
	strcpy(w.path, "sock");
	world_listen(&w);
	CU_ASSERT_TRUE(world_hello(&w) > 0);
	world_close(&w);
	CU_ASSERT_EQUAL(chdir(before), 0);
}

static void a_socket_that_is_no_longer_ours_stays(void)
{
	struct server_world w;
	struct stat st;

	world_init(&w);
	world_listen(&w);
	CU_ASSERT_EQUAL(unlink(w.path), 0);
	leave_socket(&w, false);
	quoll_server_destroy(w.server);
	w.server = NULL;
	CU_ASSERT_EQUAL(lstat(w.path, &st), 0);
	CU_ASSERT_EQUAL(unlink(w.path), 0);
	world_close(&w);
}

enum { STARTERS = 8 };

/* A process that waits for the gate, tries, tells how it went, and stays until it is ended. */
static pid_t starter(const struct server_world *w, int gate, int tell)
{
	struct quoll_server *server;
	pid_t pid = fork();
	char verdict;
	int rc;

	if (pid)
		return pid;
	if (read(gate, &verdict, 1) == 1) {
		rc = quoll_server_create(NULL, w->path, &w->device, &server, NULL);
		verdict = rc == 0 ? 'w' : rc == -EADDRINUSE ? 'b' : '?';
		if (write(tell, &verdict, 1) == 1)
			pause();
	}
	_exit(1);
}

static void of_many_that_start_at_once_over_a_dead_ones_socket_one_wins(void)
{
	static const char open_gate[STARTERS];
	int gate[2], tell[2];
	struct server_world w;
	pid_t pids[STARTERS];
	unsigned int won = 0, busy = 0;
	char verdict;

	world_init(&w);
	leave_socket(&w, true);
	CU_ASSERT_EQUAL_FATAL(pipe2(gate, O_CLOEXEC) | pipe2(tell, O_CLOEXEC), 0);
	for (unsigned int i = 0; i < STARTERS; i++)
		pids[i] = starter(&w, gate[0], tell[1]);
	CU_ASSERT_EQUAL(write(gate[1], open_gate, STARTERS), STARTERS);
	for (unsigned int i = 0; i < STARTERS; i++) {
		CU_ASSERT_EQUAL_FATAL(read(tell[0], &verdict, 1), 1);
		won += verdict == 'w';
		busy += verdict == 'b';
	}
	CU_ASSERT_EQUAL(won, 1);
	CU_ASSERT_EQUAL(busy, STARTERS - 1);
	for (unsigned int i = 0; i < STARTERS; i++) {
		kill(pids[i], SIGKILL);
		CU_ASSERT_EQUAL(waitpid(pids[i], NULL, 0), pids[i]);
	}
	for (unsigned int i = 0; i < 2; i++) {
		close(gate[i]);
		close(tell[i]);
	}
	world_listen(&w); /* the winner was killed, and left its socket */
	world_close(&w);
}

static const struct quoll_server_ops no_ops;

static void devices_that_contradict_themselves(void)
{
	static const struct quoll_server_region regions[] = {
		{.size_bytes = 0x4000, .flags = 1u << 3},
		{.size_bytes = 0, .flags = QUOLL_REGION_READ},
		{.size_bytes = 0x4000, .flags = QUOLL_REGION_MMAP, .fd = -1},
		{.size_bytes = 0x4001, .flags = QUOLL_REGION_MMAP},
		{.size_bytes = 0x4000, .flags = QUOLL_REGION_MMAP, .fd_offset = 0x1000},
		{.size_bytes = 0x1000, .flags = QUOLL_REGION_MMAP, .fd_offset = 0x800},
		{.size_bytes = 0x4000, .flags = QUOLL_REGION_MMAP, .nr_areas = 17},
		{.size_bytes = 0x4000, .flags = QUOLL_REGION_MMAP, .nr_areas = 1, .areas = {{0x1000, 0}}},
		{.size_bytes = 0x4000, .flags = QUOLL_REGION_MMAP, .nr_areas = 1, .areas = {{0x1000, 0x800}}},
		{.size_bytes = 0x4000, .flags = QUOLL_REGION_MMAP, .nr_areas = 1, .areas = {{0x800, 0x1000}}},
		{.size_bytes = 0x4000, .flags = QUOLL_REGION_MMAP, .nr_areas = 1, .areas = {{0x3000, 0x2000}}},
		{.size_bytes = 0x4000, .flags = QUOLL_REGION_MMAP, .nr_areas = 1, .areas = {{0x5000, 0x1000}}},
		{.size_bytes = 0x4000,
		 .flags = QUOLL_REGION_MMAP,
		 .nr_areas = 2,
		 .areas = {{0, 0x2000}, {0x1000, 0x1000}}},
	};
	struct quoll_error err;
	struct server_world w;
	int unsealed = memfd_create("unsealed", MFD_CLOEXEC);

	world_init(&w);
	for (size_t i = 0; i < sizeof(regions) / sizeof(regions[0]); i++) {
		w.device.regions[1] = regions[i];
		if (!w.device.regions[1].fd)
			w.device.regions[1].fd = w.device.regions[0].fd;
		CU_ASSERT_EQUAL(create(&w, &err), -EINVAL);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "region 1"));
	}
	CU_ASSERT_EQUAL(ftruncate(unsealed, 0x4000), 0);
	w.device.regions[1] =
		(struct quoll_server_region){.size_bytes = 0x4000, .flags = QUOLL_REGION_MMAP, .fd = unsealed};
	CU_ASSERT_EQUAL(create(&w, &err), -EINVAL);
	w.device.regions[1] = (struct quoll_server_region){0};
	w.device.irqs[1].nr_vectors = QUOLL_SERVER_MAX_VECTORS + 1;
	CU_ASSERT_EQUAL(create(&w, &err), -EINVAL);
	w.device.irqs[1] = (struct quoll_irq_info){.flags = 1u << 9};
	CU_ASSERT_EQUAL(create(&w, &err), -EINVAL);
	w.device.irqs[1].flags = 0;
	w.device.nr_irqs = 2;
	CU_ASSERT_EQUAL(create(&w, &err), -EINVAL);
	w.device.nr_irqs = QUOLL_SERVER_MAX_IRQS + 1;
	CU_ASSERT_EQUAL(create(&w, &err), -EINVAL);
	w.device.nr_irqs = 5;
	w.device.nr_regions = QUOLL_SERVER_MAX_REGIONS + 1;
	CU_ASSERT_EQUAL(create(&w, &err), -EINVAL);
	w.device.nr_regions = 7;
	CU_ASSERT_EQUAL(create(&w, &err), -EINVAL);
	w.device.nr_regions = 9;
	w.device.bus = QUOLL_BUS_OTHER;
	CU_ASSERT_EQUAL(create(&w, &err), -EINVAL);
	w.device.bus = QUOLL_BUS_PCI;
	w.device.ops = &no_ops;
	CU_ASSERT_EQUAL(create(&w, &err), -EINVAL);
	w.device.ops = NULL;
	CU_ASSERT_EQUAL(create(&w, &err), -EINVAL);
	w.device.ops = &w.ops;
	CU_ASSERT_EQUAL(create(&w, &err), 0);
	close(unsealed);
	w.fds_before--;
	world_close(&w);
}

static const struct unit_test tests[] = {
	{"only its user may connect, whatever the umask", only_its_user_may_connect_whatever_the_umask},
	{"what a dead server left is taken over", what_a_dead_server_left_is_taken_over},
	{"a live one is left alone", a_live_one_is_left_alone},
	{"what is no socket is left alone", what_is_no_socket_is_left_alone},
	{"paths that cannot be", paths_that_cannot_be},
	{"a relative path will do", a_relative_path_will_do},
	{"a socket that is no longer ours stays", a_socket_that_is_no_longer_ours_stays},
	{"of many that start at once over a dead one's socket, one wins",
	 of_many_that_start_at_once_over_a_dead_ones_socket_one_wins},
	{"devices that contradict themselves", devices_that_contradict_themselves},
};

UNIT_MAIN("eal/vfio_user/server_listen", tests)
