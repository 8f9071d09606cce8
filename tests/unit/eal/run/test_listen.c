/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_listen.c - a socket in the file system: mode, take-over, refusals, removal.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <quoll/listen.h>

#include "eal/vfio_user/lingering.h"
#include "unit.h"

struct place {
	char dir[32];
	char path[128];
	struct quoll_listen listen;
};

static void place_init(struct place *w)
{
	memset(w, 0, sizeof(*w));
	w->listen.fd = -1;
	strcpy(w->dir, "/tmp/quoll-listen-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(w->dir));
	snprintf(w->path, sizeof(w->path), "%s/sock", w->dir);
}

static void place_open(struct place *w)
{
	struct quoll_error err;

	CU_ASSERT_EQUAL_FATAL(quoll_listen_open(w->path, &w->listen, &err), 0);
}

static void place_close(struct place *w)
{
	quoll_listen_close(&w->listen);
	quoll_listen_close(&w->listen);
	CU_ASSERT_EQUAL(w->listen.fd, -1);
	CU_ASSERT_EQUAL(rmdir(w->dir), 0);
}

static int create(const struct place *w, struct quoll_error *err)
{
	struct quoll_listen second;
	int rc = quoll_listen_open(w->path, &second, err);

	CU_ASSERT_EQUAL(rc, rc ? -err->errnum : 0);
	CU_ASSERT_EQUAL(second.fd < 0, rc != 0);
	quoll_listen_close(&second);
	return rc;
}

/* Whether who connects there is accepted here. */
static bool answers(const struct place *w)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), accepted;
	bool connected = !connect(fd, (const struct sockaddr *)&w->listen.address, sizeof(w->listen.address));

	accepted = accept4(w->listen.fd, NULL, NULL, SOCK_CLOEXEC);
	if (accepted >= 0)
		close(accepted);
	close(fd);
	return connected && accepted >= 0;
}

/* A socket that was bound and left behind. */
static void leave_socket(const struct place *w, bool listens)
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
	struct place w;
	struct stat st;

	place_init(&w);
	place_open(&w);
	umask(before);
	CU_ASSERT_EQUAL_FATAL(lstat(w.path, &st), 0);
	CU_ASSERT_TRUE(S_ISSOCK(st.st_mode));
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0600);
	place_close(&w);
}

static void what_a_dead_process_left_is_taken_over(void)
{
	struct place w;

	for (unsigned int i = 0; i < 2; i++) {
		place_init(&w);
		leave_socket(&w, i);
		place_open(&w);
		CU_ASSERT_TRUE(answers(&w));
		place_close(&w);
	}
}

static void a_live_one_is_left_alone(void)
{
	struct quoll_error err;
	struct place w;

	place_init(&w);
	place_open(&w);
	CU_ASSERT_EQUAL(create(&w, &err), -EADDRINUSE);
	CU_ASSERT_TRUE(err.hint[0]);
	place_close(&w);
}

static void what_is_no_socket_is_left_alone(void)
{
	struct quoll_error err;
	struct place w;
	int fd;

	place_init(&w);
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
	place_open(&w);
	place_close(&w);
}

static void paths_that_cannot_be(void)
{
	char right[128];
	struct quoll_error err;
	struct place w;

	place_init(&w);
	strcpy(right, w.path);
	w.path[0] = '\0';
	CU_ASSERT_EQUAL(create(&w, &err), -ENAMETOOLONG);
	memset(w.path, 'x', 108);
	w.path[108] = '\0';
	CU_ASSERT_EQUAL(create(&w, &err), -ENAMETOOLONG);
	snprintf(w.path, sizeof(w.path), "%s/none/sock", w.dir);
	CU_ASSERT_EQUAL(create(&w, &err), -ENOENT);
	strcpy(w.path, right);
	place_open(&w);
	place_close(&w);
}

static void a_relative_path_will_do(void)
{
	char before[4096];
	struct place w;

	place_init(&w);
	CU_ASSERT_PTR_NOT_NULL_FATAL(getcwd(before, sizeof(before)));
	CU_ASSERT_EQUAL_FATAL(chdir(w.dir), 0);
	strcpy(w.path, "sock");
	place_open(&w);
	CU_ASSERT_TRUE(answers(&w));
	place_close(&w);
	CU_ASSERT_EQUAL(chdir(before), 0);
}

static void a_socket_that_is_no_longer_ours_stays(void)
{
	struct place w;
	struct stat st;

	place_init(&w);
	place_open(&w);
	CU_ASSERT_EQUAL(unlink(w.path), 0);
	leave_socket(&w, false);
	quoll_listen_close(&w.listen);
	CU_ASSERT_EQUAL(lstat(w.path, &st), 0);
	CU_ASSERT_EQUAL(unlink(w.path), 0);
	place_close(&w);
}

enum { STARTERS = 8 };

/* A process that waits for the gate, tries, tells how it went, and stays until it is ended. */
static pid_t starter(const struct place *w, int gate, int tell)
{
	struct quoll_listen mine;
	pid_t pid = fork();
	char verdict;
	int rc;

	if (pid)
		return pid;
	if (read(gate, &verdict, 1) == 1) {
		rc = quoll_listen_open(w->path, &mine, NULL);
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
	struct place w;
	pid_t pids[STARTERS];
	unsigned int won = 0, busy = 0;
	char verdict;

	place_init(&w);
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
	place_open(&w); /* the winner was killed, and left its socket */
	place_close(&w);
}

static void send_file(int socket, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.bytes = {0}};
	struct iovec iov = {.iov_base = (void *)(uintptr_t) "x", .iov_len = 1};
	struct msghdr mh = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&mh);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	CU_ASSERT_EQUAL_FATAL(sendmsg(socket, &mh, MSG_NOSIGNAL), 1);
}

/* Two have connected, and sent a file whose close() waits, and nobody has accepted them. */
static void who_waits_to_be_accepted_keeps_no_close_waiting(void)
{
	struct late_reader reader;
	struct place w;
	int clients[2];
	char byte;

	place_init(&w);
	place_open(&w);
	for (unsigned int i = 0; i < 2; i++) {
		int fd = lingering_socket(&reader.peers[i]);

		clients[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		CU_ASSERT_EQUAL_FATAL(
			connect(clients[i], (const struct sockaddr *)&w.listen.address, sizeof(w.listen.address)), 0);
		send_file(clients[i], fd);
		close(fd);
	}
	late_reader_begin(&reader, 2);
	place_close(&w);
	/* They hear of it meanwhile: an end, or a reset if what they have sent is gone already. */
	for (unsigned int i = 0; i < 2; i++)
		CU_ASSERT_TRUE(recv(clients[i], &byte, 1, 0) <= 0);
	CU_ASSERT_FALSE(late_reader_end(&reader));
	for (unsigned int i = 0; i < 2; i++)
		close(clients[i]);
}

static const struct unit_test tests[] = {
	{"only its user may connect, whatever the umask", only_its_user_may_connect_whatever_the_umask},
	{"what a dead process left is taken over", what_a_dead_process_left_is_taken_over},
	{"a live one is left alone", a_live_one_is_left_alone},
	{"what is no socket is left alone", what_is_no_socket_is_left_alone},
	{"paths that cannot be", paths_that_cannot_be},
	{"a relative path will do", a_relative_path_will_do},
	{"who waits to be accepted keeps no close waiting", who_waits_to_be_accepted_keeps_no_close_waiting},
	{"a socket that is no longer ours stays", a_socket_that_is_no_longer_ours_stays},
	{"of many that start at once over a dead one's socket, one wins",
	 of_many_that_start_at_once_over_a_dead_ones_socket_one_wins},
};

UNIT_MAIN("eal/run/listen", tests)
