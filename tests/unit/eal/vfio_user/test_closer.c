/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_closer.c - clients that send files whose close() waits, for as long as they like: it keeps no server.
 */
#include <fcntl.h>
#include <sched.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "lingering.h"
#include "server_world.h"
#include "vfio_user/closer.h"

#define RW (VUSER_DMA_READABLE | VUSER_DMA_WRITABLE)

/* The server has the only one then. */
static void send_lingering(struct server_world *w, uint16_t command, int *peer)
{
	int fd = lingering_socket(peer);

	world_send(w, command, NULL, 0, &fd, 1);
	close(fd);
}

static void a_file_whose_close_waits_keeps_nobody(void)
{
	struct server_world w;
	int fd, peers[4];

	world_init(&w);
	world_listen(&w);
	CU_ASSERT_TRUE_FATAL(world_hello(&w) > 0);
	/* With a command that takes none. */
	send_lingering(&w, VUSER_DEVICE_RESET, &peers[0]);
	CU_ASSERT_EQUAL(world_answer(&w), -EINVAL);
	CU_ASSERT_EQUAL(world_ask(&w, VUSER_DEVICE_RESET, NULL, 0), 0);
	/* As memory. */
	fd = lingering_socket(&peers[1]);
	CU_ASSERT_EQUAL(world_map(&w, 0x10000, 0x1000, RW, fd, 0), 0);
	close(fd);
	CU_ASSERT_PTR_NULL(w.maps[0].va);
	CU_ASSERT_EQUAL(world_ask(&w, VUSER_DEVICE_RESET, NULL, 0), 0);
	/* In a message that the server has not looked at when the session ends, and in one that never is one. */
	send_lingering(&w, VUSER_DEVICE_RESET, &peers[2]);
	quoll_server_hang_up(w.server);
	world_until(&w, world_is_free);
	vuser_conn_close(&w.client);
	vuser_conn_init(&w.client, world_connect(&w));
	send_lingering(&w, VUSER_DEVICE_RESET, &peers[3]);
	CU_ASSERT_EQUAL(world_answer(&w), -EINVAL);
	CU_ASSERT_TRUE(world_hello(&w) > 0);
	for (unsigned int i = 0; i < 4; i++)
		close(peers[i]);
	world_close(&w);
}

/* Until the server takes no more; another one does not mind. */
static void whose_files_cannot_be_closed_takes_no_more(void)
{
	struct server_world w, other;
	struct vuser_out out = {.command = VUSER_DEVICE_RESET, .flags = VUSER_NO_REPLY, .nr_fds = 8};
	int fds[8], peer;

	world_init(&other);
	world_listen(&other);
	CU_ASSERT_TRUE_FATAL(world_hello(&other) > 0);
	world_init(&w);
	world_listen(&w);
	CU_ASSERT_TRUE_FATAL(world_hello(&w) > 0);
	send_lingering(&w, VUSER_DEVICE_RESET, &peer);
	CU_ASSERT_EQUAL(world_answer(&w), -EINVAL);
	CU_ASSERT_EQUAL_FATAL(pipe2(fds, O_CLOEXEC), 0);
	for (unsigned int i = 2; i < 8; i++)
		fds[i] = fds[i % 2];
	out.fds = fds;
	for (unsigned int i = 0; !vuser_send(&w.client, &out, fd_socket_now_ns() + WORLD_PATIENCE_NS); i++) {
		CU_ASSERT_TRUE_FATAL(i < CLOSER_OWNER_FDS / 8 + 2);
		quoll_server_poll(w.server);
	}
	world_until(&w, world_is_free);
	CU_ASSERT_TRUE(closer_full(w.server));
	CU_ASSERT_FALSE(closer_full(other.server));
	CU_ASSERT_EQUAL(world_map(&other, 0x10000, 0x1000, RW, fds[1], 0), 0);
	CU_ASSERT_EQUAL(world_ask(&other, VUSER_DEVICE_RESET, NULL, 0), 0);
	/* Nobody is let in; then the other end gives up. */
	vuser_conn_close(&w.client);
	vuser_conn_init(&w.client, world_connect(&w));
	quoll_server_poll(w.server);
	CU_ASSERT_FALSE(w.server->visitors[0].there);
	close(peer);
	while (closer_full(w.server))
		sched_yield();
	vuser_conn_close(&w.client);
	w.server->accept_again_ns = 1; /* it would look again in a second */
	while (w.server->accept_again_ns) {
		quoll_server_poll(w.server);
		CU_ASSERT_EQUAL(
			timerfd_settime(w.server->timer_fd, 0, &(struct itimerspec){.it_value.tv_nsec = 1}, NULL), 0);
	}
	CU_ASSERT_TRUE(world_hello(&w) > 0);
	close(fds[0]);
	close(fds[1]);
	world_close(&w);
	world_close(&other);
}

static const struct unit_test tests[] = {
	{"a file whose close waits keeps nobody", a_file_whose_close_waits_keeps_nobody},
	{"whose files cannot be closed takes no more", whose_files_cannot_be_closed_takes_no_more},
};

UNIT_MAIN("eal/vfio_user/closer", tests)
