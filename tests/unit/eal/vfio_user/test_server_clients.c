/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_server_clients.c - clients of a server come and go: one at a time, any number in sequence, at any point of the
 * protocol, with patience for those who come early and none for those who do not read, write or leave.
 */
#include <malloc.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server_world.h"

#define SHORT_NS 50000000ull /* where a time-out is what is tested */

static void world_begin(struct server_world *w)
{
	world_init(w);
	world_listen(w);
	CU_ASSERT_TRUE_FATAL(world_hello(w) > 0);
}

/* A second client, with its own connection, for which w stands as well. */
struct second {
	struct vuser_conn first;
};

static void second_begin(struct server_world *w, struct second *s)
{
	s->first = w->client;
	vuser_conn_init(&w->client, world_connect(w));
}

static void second_end(struct server_world *w, struct second *s)
{
	vuser_conn_close(&w->client);
	w->client = s->first;
}

static int read_register(struct server_world *w)
{
	struct vuser_region_access access = {.count = 4};

	return world_ask(w, VUSER_REGION_READ, &access, sizeof(access));
}

static void a_second_client_is_told_that_the_server_is_busy(void)
{
	struct quoll_server_stats stats;
	struct server_world w;
	struct second s;

	world_begin(&w);
	second_begin(&w, &s);
	CU_ASSERT_EQUAL(world_ask(&w, VUSER_VERSION, "\0\0\2\0", 4), -EBUSY);
	CU_ASSERT_EQUAL(world_answer(&w), -ECONNRESET);
	second_end(&w, &s);
	CU_ASSERT_EQUAL(read_register(&w), 20);
	quoll_server_stats(w.server, &stats);
	CU_ASSERT_EQUAL(stats.clients, 1);
	CU_ASSERT_EQUAL(stats.refused, 1);
	CU_ASSERT_EQUAL(w.nr_connects, 1);
	world_close(&w);
}

static void silent_connections_do_not_keep_a_client_out(void)
{
	struct server_world w;
	int silent[SERVER_VISITORS - 1];

	world_init(&w);
	world_listen(&w);
	for (unsigned int i = 0; i < SERVER_VISITORS - 1; i++)
		silent[i] = world_connect(&w);
	CU_ASSERT_TRUE(world_hello(&w) > 0);
	CU_ASSERT_EQUAL(read_register(&w), 20);
	for (unsigned int i = 0; i < SERVER_VISITORS - 1; i++)
		close(silent[i]);
	world_close(&w);
}

static bool nobody_visits(const struct server_world *w)
{
	for (unsigned int i = 0; i < SERVER_VISITORS; i++)
		if (w->server->visitors[i].there)
			return false;
	return true;
}

static void a_crowd_of_silent_connections_is_sent_away_in_time(void)
{
	struct pollfd pfd = {.events = POLLIN};
	int silent[SERVER_VISITORS + 3];
	struct server_world w;

	world_init(&w);
	world_listen(&w);
	w.server->stall_ns = SHORT_NS;
	for (unsigned int i = 0; i < SERVER_VISITORS + 3; i++)
		silent[i] = world_connect(&w);
	/* Nothing but the descriptor says when. */
	pfd.fd = quoll_server_fd(w.server);
	CU_ASSERT_TRUE(world_hello(&w) > 0);
	while (!nobody_visits(&w)) {
		CU_ASSERT_EQUAL_FATAL(poll(&pfd, 1, 20000), 1);
		quoll_server_poll(w.server);
	}
	CU_ASSERT_EQUAL(read_register(&w), 20);
	for (unsigned int i = 0; i < SERVER_VISITORS + 3; i++) {
		char byte;

		CU_ASSERT_EQUAL(recv(silent[i], &byte, 1, MSG_DONTWAIT), 0);
		close(silent[i]);
	}
	world_close(&w);
}

static void who_comes_while_the_last_is_cleaned_up_waits(void)
{
	struct server_world w;

	world_begin(&w);
	w.busy = 5;
	vuser_conn_close(&w.client);
	vuser_conn_init(&w.client, world_connect(&w));
	world_send(&w, VUSER_VERSION, "\0\0\2\0", 4, NULL, 0);
	while (w.busy > 2) {
		quoll_server_poll(w.server);
		CU_ASSERT_TRUE(w.busy == 5 || quoll_server_pending(w.server));
		CU_ASSERT_EQUAL(vuser_recv_step(&w.client), 0);
	}
	CU_ASSERT_FALSE(quoll_server_connected(w.server));
	CU_ASSERT_TRUE(world_answer(&w) > 0);
	CU_ASSERT_EQUAL(w.nr_connects, 2);
	CU_ASSERT_EQUAL(w.nr_disconnects, 1);
	CU_ASSERT_EQUAL(read_register(&w), 20);
	world_close(&w);
}

static void who_waits_and_gives_up_is_forgotten(void)
{
	struct server_world w;

	world_begin(&w);
	w.busy = 8;
	vuser_conn_close(&w.client);
	vuser_conn_init(&w.client, world_connect(&w));
	world_send(&w, VUSER_VERSION, "\0\0\2\0", 4, NULL, 0);
	while (w.busy > 4)
		quoll_server_poll(w.server);
	vuser_conn_close(&w.client);
	world_until(&w, world_is_free);
	CU_ASSERT_TRUE(nobody_visits(&w));
	CU_ASSERT_EQUAL(w.nr_connects, 1);
	world_close(&w);
}

/* What the last client sent is still in its socket when the next one comes. */
static void who_comes_right_after_another_is_served(void)
{
	static const struct vuser_region_access access = {.count = 4};
	struct server_world w;

	world_begin(&w);
	for (unsigned int i = 0; i < 3 * SERVER_POLL_MESSAGES; i++)
		world_send(&w, VUSER_REGION_READ, &access, sizeof(access), NULL, 0);
	vuser_conn_close(&w.client);
	vuser_conn_init(&w.client, world_connect(&w));
	CU_ASSERT_TRUE(world_ask(&w, VUSER_VERSION, "\0\0\2\0", 4) > 0);
	CU_ASSERT_EQUAL(read_register(&w), 20);
	world_close(&w);
}

/* Up to where a client gets before it drops. */
static void client_gets_to(struct server_world *w, unsigned int point)
{
	static const char begun[] = "\1\0\1\0\100\0\0\0\0\0";
	struct vuser_irq_set set = {.argsz = 20,
				    .flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
				    .index = QUOLL_PCI_IRQ_MSIX,
				    .count = 3};
	int fd, fds[3];

	if (point < 2) {
		fd = world_connect(w);
		if (point == 1)
			send(fd, begun, sizeof(begun), MSG_NOSIGNAL);
		quoll_server_poll(w->server);
		close(fd);
		return;
	}
	CU_ASSERT_TRUE(world_hello(w) > 0);
	fd = world_memfd(0x4000);
	if (point >= 3) {
		CU_ASSERT_EQUAL(world_map(w, 0x10000, 0x4000, 3, fd, 0), 0);
		CU_ASSERT_EQUAL(world_map(w, 0x20000, 0x4000, 3, -1, 0), 0);
	}
	if (point >= 4) {
		fds[0] = fds[1] = fds[2] = eventfd(0, EFD_CLOEXEC);
		CU_ASSERT_EQUAL(world_ask_fds(w, VUSER_DEVICE_SET_IRQS, &set, sizeof(set), fds, 3), 0);
		close(fds[0]);
	}
	if (point == 5) /* in the middle of a message, whose fds have come already */
		world_send(w, VUSER_DMA_MAP, NULL, 0, &fd, 1);
	if (point == 6)
		send(w->client.fd, begun, sizeof(begun), MSG_NOSIGNAL);
	if (point == 7) { /* a reply is on its way */
		struct vuser_region_info info = {.argsz = 4096};

		world_send(w, VUSER_DEVICE_GET_REGION_INFO, &info, sizeof(info), NULL, 0);
		quoll_server_poll(w->server);
	}
	if (point == 8) /* it waits */
		w->busy = 2;
	close(fd);
	if (point == 8)
		world_send(w, VUSER_DEVICE_RESET, NULL, 0, NULL, 0);
	quoll_server_poll(w->server);
	vuser_conn_close(&w->client);
}

static void a_thousand_clients_that_drop_leave_nothing(void)
{
	struct server_world w;
	unsigned int fds;
	size_t bytes = 0;

	world_init(&w);
	world_listen(&w);
	fds = open_fds();
	for (unsigned int i = 0; i < 1000; i++) {
		client_gets_to(&w, i % 9);
		world_until(&w, world_is_free);
		world_until(&w, nobody_visits);
		CU_ASSERT_PTR_NULL(w.server->maps);
		CU_ASSERT_PTR_NULL(w.server->held);
		CU_ASSERT_PTR_NULL(w.server->conn.payload);
		if (i == 99) {
			CU_ASSERT_TRUE(open_fds_become(fds));
			bytes = mallinfo2().uordblks; /* the sanitizers' allocator has its own way to tell */
		}
	}
	CU_ASSERT_TRUE(open_fds_become(fds));
	CU_ASSERT_EQUAL(mallinfo2().uordblks, bytes);
	CU_ASSERT_EQUAL(w.nr_connects, w.nr_disconnects);
	world_close(&w);
}

static void a_client_that_stops_in_a_message_is_cut_off(void)
{
	struct pollfd pfd = {.events = POLLIN};
	struct quoll_server_stats stats;
	struct server_world w;

	world_init(&w);
	world_listen(&w);
	w.server->stall_ns = SHORT_NS;
	CU_ASSERT_TRUE_FATAL(world_hello(&w) > 0);
	CU_ASSERT_EQUAL(send(w.client.fd, "\1\0\11\0\40\0", 6, MSG_NOSIGNAL), 6);
	pfd.fd = quoll_server_fd(w.server);
	while (!world_is_free(&w)) {
		CU_ASSERT_EQUAL_FATAL(poll(&pfd, 1, 20000), 1);
		quoll_server_poll(w.server);
	}
	CU_ASSERT_EQUAL(vuser_recv_step(&w.client), -ECONNRESET);
	CU_ASSERT_EQUAL(w.nr_disconnects, 1);
	quoll_server_stats(w.server, &stats);
	CU_ASSERT_EQUAL(stats.protocol_errors, 1);
	world_close(&w);
}

static void a_large_reply_waits_for_its_reader(void)
{
	struct vuser_region_access access = {.region = 0, .count = MODEL_BAR_BYTES};
	uint64_t until = fd_socket_now_ns() + WORLD_PATIENCE_NS;
	struct server_world w;
	unsigned int n = 0;

	world_begin(&w);
	for (unsigned int i = 0; i < MODEL_BAR_BYTES; i++)
		w.bar[i] = (uint8_t)(i * 7 + i / 256);
	/* More than the socket holds. */
	for (unsigned int i = 0; i < 100; i++)
		world_send(&w, VUSER_REGION_READ, &access, sizeof(access), NULL, 0);
	while (!vuser_is_posting(&w.server->conn) && fd_socket_now_ns() < until)
		quoll_server_poll(w.server);
	CU_ASSERT_TRUE_FATAL(vuser_is_posting(&w.server->conn));
	CU_ASSERT_TRUE(w.nr_reads < 100); /* what nobody takes is not made either */
	w.next_id = 0;
	while (n < 100) {
		int rc = vuser_recv_step(&w.client);

		CU_ASSERT_TRUE_FATAL(rc >= 0 && fd_socket_now_ns() < until);
		if (rc) {
			n++;
			CU_ASSERT_EQUAL_FATAL(w.client.payload_bytes, 16 + MODEL_BAR_BYTES);
			CU_ASSERT_EQUAL_FATAL(memcmp(w.client.payload + 16, w.bar, MODEL_BAR_BYTES), 0);
		} else {
			quoll_server_poll(w.server);
		}
	}
	CU_ASSERT_EQUAL(w.nr_reads, 100);
	w.next_id = 200;
	CU_ASSERT_EQUAL(read_register(&w), 20);
	world_close(&w);
}

static void a_client_that_does_not_read_is_cut_off(void)
{
	struct vuser_region_access access = {.region = 0, .count = MODEL_BAR_BYTES};
	struct pollfd pfd = {.events = POLLIN};
	struct server_world w;

	world_init(&w);
	world_listen(&w);
	w.server->stall_ns = SHORT_NS;
	CU_ASSERT_TRUE_FATAL(world_hello(&w) > 0);
	for (unsigned int i = 0; i < 100; i++)
		world_send(&w, VUSER_REGION_READ, &access, sizeof(access), NULL, 0);
	pfd.fd = quoll_server_fd(w.server);
	while (!world_is_free(&w)) {
		CU_ASSERT_EQUAL_FATAL(poll(&pfd, 1, 20000), 1);
		quoll_server_poll(w.server);
	}
	CU_ASSERT_EQUAL(w.nr_disconnects, 1);
	CU_ASSERT_EQUAL(w.server->stats.protocol_errors, 1);
	world_close(&w);
}

static int fresh_file;

/* As a device model does it, from its connect. */
static int connect_with_a_fresh_file(void *arg)
{
	struct server_world *w = arg;

	w->nr_connects++;
	return quoll_server_region_fd(w->server, 0, fresh_file);
}

/* The mapping that a client makes of the region's second page. */
static uint8_t *client_maps(struct server_world *w)
{
	struct vuser_region_info info = {.argsz = 4096};
	uint8_t *page;
	int fd;

	CU_ASSERT_TRUE_FATAL(world_ask(w, VUSER_DEVICE_GET_REGION_INFO, &info, sizeof(info)) > 0);
	fd = vuser_take_fd(&w->client, 0);
	page = mmap(NULL, 0x1000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0x1000);
	CU_ASSERT_PTR_NOT_EQUAL_FATAL(page, MAP_FAILED);
	close(fd);
	return page;
}

static void a_clients_old_mapping_is_not_the_next_ones_region(void)
{
	uint8_t *first, *second;
	struct server_world w;

	world_init(&w);
	fresh_file = w.device.regions[0].fd;
	w.ops.connect = connect_with_a_fresh_file;
	world_listen(&w);
	CU_ASSERT_TRUE_FATAL(world_hello(&w) > 0);
	first = client_maps(&w);
	first[0] = 1;
	CU_ASSERT_EQUAL(w.bar[0x1000], 1);
	/* It has the file: not now. */
	fresh_file = world_memfd(MODEL_BAR_BYTES);
	CU_ASSERT_EQUAL(quoll_server_region_fd(w.server, 0, fresh_file), -EBUSY);
	world_hang_up(&w);
	CU_ASSERT_TRUE_FATAL(world_hello(&w) > 0);
	second = client_maps(&w);
	CU_ASSERT_EQUAL(second[0], 0);
	first[0] = 2;
	CU_ASSERT_EQUAL(second[0], 0);
	CU_ASSERT_EQUAL(w.bar[0x1000], 2);
	world_hang_up(&w);
	munmap(first, 0x1000);
	munmap(second, 0x1000);
	close(fresh_file);
	world_close(&w);
}

static void another_file_is_checked_as_the_first_was(void)
{
	int unsealed = memfd_create("unsealed", MFD_CLOEXEC);
	int small = world_memfd(MODEL_BAR_BYTES - 0x1000);
	struct server_world w;

	world_init(&w);
	world_listen(&w);
	CU_ASSERT_EQUAL_FATAL(ftruncate(unsealed, MODEL_BAR_BYTES), 0);
	CU_ASSERT_EQUAL(quoll_server_region_fd(w.server, 0, unsealed), -EINVAL);
	CU_ASSERT_EQUAL(quoll_server_region_fd(w.server, 0, small), -EINVAL);
	CU_ASSERT_EQUAL(quoll_server_region_fd(w.server, 0, -1), -EINVAL);
	CU_ASSERT_EQUAL(quoll_server_region_fd(w.server, QUOLL_PCI_CONFIG, w.device.regions[0].fd), -EINVAL);
	CU_ASSERT_EQUAL(quoll_server_region_fd(w.server, 9, w.device.regions[0].fd), -EINVAL);
	/* The old one stays. */
	CU_ASSERT_TRUE_FATAL(world_hello(&w) > 0);
	munmap(client_maps(&w), 0x1000);
	close(unsealed);
	close(small);
	w.fds_before -= 2;
	world_close(&w);
}

static void the_device_hangs_up(void)
{
	struct server_world w;

	world_begin(&w);
	quoll_server_hang_up(w.server);
	CU_ASSERT_FALSE(quoll_server_connected(w.server));
	CU_ASSERT_TRUE(quoll_server_pending(w.server));
	quoll_server_hang_up(w.server);
	CU_ASSERT_EQUAL(read_register(&w), -ECONNRESET);
	CU_ASSERT_EQUAL(w.nr_disconnects, 1);
	CU_ASSERT_TRUE(world_hello(&w) > 0);
	world_close(&w);
}

static void a_stopped_server_keeps_its_client_only(void)
{
	struct server_world w;
	struct second s;

	world_begin(&w);
	second_begin(&w, &s);
	quoll_server_poll(w.server);
	quoll_server_stop(w.server);
	CU_ASSERT_EQUAL(world_answer(&w), -ECONNRESET);
	second_end(&w, &s);
	CU_ASSERT_EQUAL(world_connect(&w), -1);
	CU_ASSERT_EQUAL(access(w.path, F_OK), -1);
	CU_ASSERT_EQUAL(read_register(&w), 20);
	world_close(&w);
}

static void a_server_that_goes_takes_leave_of_its_client(void)
{
	struct server_world w;
	int fd;

	world_begin(&w);
	fd = world_memfd(0x1000);
	CU_ASSERT_EQUAL(world_map(&w, 0x1000, 0x1000, 3, fd, 0), 0);
	close(fd);
	quoll_server_destroy(w.server);
	w.server = NULL;
	CU_ASSERT_EQUAL(w.nr_disconnects, 1);
	CU_ASSERT_EQUAL(vuser_recv_step(&w.client), -ECONNRESET);
	world_close(&w);
}

/* There is no descriptor for another connection: it waits, and no poll spins because of it. */
static void a_server_out_of_files_tries_again(void)
{
	struct rlimit before, less;
	struct server_world w;

	world_begin(&w);
	CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_NOFILE, &before), 0);
	vuser_conn_close(&w.client);
	vuser_conn_init(&w.client, world_connect(&w));
	world_send(&w, VUSER_VERSION, "\0\0\2\0", 4, NULL, 0);
	less = before;
	less.rlim_cur = 3;
	CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_NOFILE, &less), 0);
	quoll_server_poll(w.server);
	CU_ASSERT_NOT_EQUAL(w.server->accept_again_ns, 0);
	CU_ASSERT_FALSE(w.server->listen_watched);
	CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_NOFILE, &before), 0);
	CU_ASSERT_TRUE(world_answer(&w) > 0);
	world_close(&w);
}

static const struct unit_test tests[] = {
	{"a second client is told that the server is busy", a_second_client_is_told_that_the_server_is_busy},
	{"silent connections do not keep a client out", silent_connections_do_not_keep_a_client_out},
	{"a crowd of silent connections is sent away in time", a_crowd_of_silent_connections_is_sent_away_in_time},
	{"who comes while the last is cleaned up waits", who_comes_while_the_last_is_cleaned_up_waits},
	{"who waits and gives up is forgotten", who_waits_and_gives_up_is_forgotten},
	{"who comes right after another is served", who_comes_right_after_another_is_served},
	{"a thousand clients that drop leave nothing", a_thousand_clients_that_drop_leave_nothing},
	{"a client that stops in a message is cut off", a_client_that_stops_in_a_message_is_cut_off},
	{"a large reply waits for its reader", a_large_reply_waits_for_its_reader},
	{"a client that does not read is cut off", a_client_that_does_not_read_is_cut_off},
	{"a client's old mapping is not the next one's region", a_clients_old_mapping_is_not_the_next_ones_region},
	{"another file is checked as the first was", another_file_is_checked_as_the_first_was},
	{"the device hangs up", the_device_hangs_up},
	{"a stopped server keeps its client only", a_stopped_server_keeps_its_client_only},
	{"a server that goes takes leave of its client", a_server_that_goes_takes_leave_of_its_client},
	{"a server out of files tries again", a_server_out_of_files_tries_again},
};

UNIT_MAIN("eal/vfio_user/server_clients", tests)
