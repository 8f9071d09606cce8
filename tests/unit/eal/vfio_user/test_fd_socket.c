/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_fd_socket.c - bytes and fds over a socket pair: bounded, counted, sent once, and what each wait says.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "open_fds.h"
#include "raw_send.h"
#include "unit.h"
#include "vfio_user/fd_socket.h"

#define SOON_NS 20000000ull /* to wait for what does not come */
#define LONG_NS 20000000000ull

static int a, b;
static int came[FD_SOCKET_MAX_FDS];
static unsigned int nr_came;

/* Room for so many fds at b. */
static struct fd_room room_for(unsigned int nr)
{
	nr_came = 0;
	return (struct fd_room){.fds = came, .nr_fds = &nr_came, .max_fds = nr};
}

static void pair_open(void)
{
	int sockets[2];

	CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
	a = sockets[0];
	b = sockets[1];
}

static void pair_close(void)
{
	fd_socket_close_all(came, &nr_came, NULL);
	fd_socket_close(a, NULL);
	fd_socket_close(b, NULL);
}

static void fds_come_close_on_exec_and_are_taken_once(void)
{
	unsigned int before = open_fds();
	struct fd_room room = room_for(4);
	char bytes[8];
	int fd;

	pair_open();
	send_raw(a, "hello", 5, a, 3);
	CU_ASSERT_EQUAL(fd_socket_recv(b, bytes, 2, &room), 2);
	CU_ASSERT_EQUAL(nr_came, 3);
	CU_ASSERT_EQUAL(fd_socket_recv(b, bytes, sizeof(bytes), &room), 3);
	CU_ASSERT_EQUAL(nr_came, 3);
	CU_ASSERT_EQUAL(fd_socket_recv(b, bytes, sizeof(bytes), &room), 0);
	fd = fd_socket_take(came, nr_came, 2);
	CU_ASSERT_TRUE(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	CU_ASSERT_EQUAL(fd_socket_take(came, nr_came, 2), -1);
	CU_ASSERT_EQUAL(fd_socket_take(came, nr_came, 3), -1);
	close(fd);
	pair_close();
	CU_ASSERT_TRUE(open_fds_become(before));
}

/*
 * Also if there is less room than the alignment of control messages leaves, and whatever was there already. Who has too
 * many files that wait to be closed gets no more: so they are waited for.
 */
static void more_fds_than_there_is_room_for_are_an_error_and_none_leaks(void)
{
	static const unsigned int rooms[] = {1, 2, 7, 8, FD_SOCKET_MAX_FDS};
	unsigned int before = open_fds();
	char byte;

	for (unsigned int i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++) {
		struct fd_room room = room_for(rooms[i]);

		pair_open();
		send_raw(a, "x", 1, a, rooms[i]);
		CU_ASSERT_EQUAL(fd_socket_recv(b, &byte, 1, &room), 1);
		send_raw(a, "x", 1, a, 1);
		CU_ASSERT_EQUAL(fd_socket_recv(b, &byte, 1, &room), -EPROTO);
		pair_close();
		CU_ASSERT_TRUE(open_fds_become(before));
		for (unsigned int more = 1; more <= 2; more++) {
			room = room_for(rooms[i]);
			pair_open();
			send_raw(a, "x", 1, a, rooms[i] + more);
			CU_ASSERT_EQUAL(fd_socket_recv(b, &byte, 1, &room), -EPROTO);
			CU_ASSERT_TRUE(nr_came <= rooms[i]);
			pair_close();
			CU_ASSERT_TRUE(open_fds_become(before));
		}
	}
}

/* What the kernel drops nobody can ask for again. */
static void fds_that_this_process_may_not_open_are_an_error(void)
{
	struct fd_room room = room_for(8);
	struct rlimit limit, less;
	char byte;

	pair_open();
	send_raw(a, "x", 1, a, 8);
	CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_NOFILE, &limit), 0);
	less = limit;
	less.rlim_cur = (rlim_t)b + 3; /* the sockets were the last to be opened, or fill a gap */
	CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_NOFILE, &less), 0);
	CU_ASSERT_EQUAL(fd_socket_recv(b, &byte, 1, &room), -EPROTO);
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &limit), 0);
	pair_close();
}

/* The first part with them, the rest without. */
static void fds_go_out_once_also_when_a_message_goes_out_in_pieces(void)
{
	static uint8_t bytes[1 << 20], back[1 << 16];
	struct iovec iov[2] = {{bytes, 10}, {bytes, sizeof(bytes)}};
	struct msghdr mh = {.msg_iov = iov, .msg_iovlen = 2};
	struct fd_room room = room_for(8);
	union fd_control control;
	size_t got = 0;
	ssize_t n;

	pair_open();
	fd_socket_attach(&mh, &control, &a, 1);
	CU_ASSERT_EQUAL(fd_socket_send_some(a, &mh), -EAGAIN);
	CU_ASSERT_EQUAL(fd_socket_send(a, &mh, fd_socket_now_ns() + SOON_NS), -ETIMEDOUT);
	for (;;) {
		while ((n = fd_socket_recv(b, back, sizeof(back), &room)) > 0)
			got += (size_t)n;
		if (got == sizeof(bytes) + 10)
			break;
		CU_ASSERT_EQUAL_FATAL(n, 0);
		n = fd_socket_send_some(a, &mh);
		CU_ASSERT_TRUE_FATAL(!n || n == -EAGAIN);
	}
	CU_ASSERT_EQUAL(fd_socket_send_some(a, &mh), 0);
	CU_ASSERT_EQUAL(nr_came, 1);
	pair_close();
}

static void a_peer_that_is_gone_is_told_without_a_signal(void)
{
	struct iovec iov = {(void *)(uintptr_t) "x", 1};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
	struct fd_room room = room_for(1);
	char byte;

	pair_open();
	shutdown(a, SHUT_RDWR);
	CU_ASSERT_EQUAL(fd_socket_wait(b, POLLIN, fd_socket_now_ns() + LONG_NS), 0);
	CU_ASSERT_EQUAL(fd_socket_recv(b, &byte, 1, &room), -ECONNRESET);
	CU_ASSERT_EQUAL(fd_socket_send(b, &mh, fd_socket_now_ns() + LONG_NS), -ECONNRESET);
	pair_close();
}

static void a_wait_tells_a_late_message_from_the_deadline(void)
{
	pair_open();
	CU_ASSERT_EQUAL(fd_socket_wait(b, POLLIN, 0), -ETIMEDOUT);
	CU_ASSERT_EQUAL(fd_socket_wait(b, POLLOUT, 0), 0);
	CU_ASSERT_EQUAL(fd_socket_wait_more(b, UINT64_MAX, fd_socket_now_ns() + SOON_NS), -ETIMEDOUT);
	CU_ASSERT_EQUAL(fd_socket_wait_more(b, fd_socket_now_ns() + SOON_NS, fd_socket_now_ns() + LONG_NS), 0);
	CU_ASSERT_EQUAL(fd_socket_wait_more(b, fd_socket_now_ns() + LONG_NS, fd_socket_now_ns() + SOON_NS), -ETIMEDOUT);
	send_raw(a, "x", 1, -1, 0);
	CU_ASSERT_EQUAL(fd_socket_wait_more(b, UINT64_MAX, 0), 0);
	pair_close();
}

static const struct unit_test tests[] = {
	{"fds come close-on-exec, and are taken once", fds_come_close_on_exec_and_are_taken_once},
	{"more fds than there is room for are an error, and none leaks",
	 more_fds_than_there_is_room_for_are_an_error_and_none_leaks},
	{"fds that this process may not open are an error", fds_that_this_process_may_not_open_are_an_error},
	{"fds go out once, also when a message goes out in pieces",
	 fds_go_out_once_also_when_a_message_goes_out_in_pieces},
	{"a peer that is gone is told, without a signal", a_peer_that_is_gone_is_told_without_a_signal},
	{"a wait tells a late message from the deadline", a_wait_tells_a_late_message_from_the_deadline},
};

UNIT_MAIN("eal/vfio_user/fd_socket", tests)
