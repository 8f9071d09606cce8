/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_message.c - framing of vfio-user messages over a socket pair: whole, in pieces, with fds, and with every way in
 * which a peer can break it.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "open_fds.h"
#include "raw_send.h"
#include "unit.h"
#include "vfio_user/message.h"

#define SOON_NS 20000000ull /* to wait for what does not come */
#define LONG_NS 20000000000ull

struct pair {
	struct vuser_conn a, b;
	unsigned int nr_fds_before;
};

static void pair_open(struct pair *p)
{
	int sockets[2];

	p->nr_fds_before = open_fds();
	CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
	vuser_conn_init(&p->a, sockets[0]);
	vuser_conn_init(&p->b, sockets[1]);
}

/* Every file that came in was closed by somebody. */
static void pair_close(struct pair *p)
{
	vuser_conn_close(&p->a);
	vuser_conn_close(&p->b);
	CU_ASSERT_TRUE(open_fds_become(p->nr_fds_before));
}

static uint64_t in_ns(uint64_t ns)
{
	return fd_socket_now_ns() + ns;
}

static int send_text(struct vuser_conn *conn, uint16_t id, const char *text)
{
	struct vuser_out out = {
		.id = id, .command = VUSER_REGION_WRITE, .data = text, .data_bytes = (uint32_t)strlen(text)};

	return vuser_send(conn, &out, in_ns(LONG_NS));
}

static bool has_text(const struct vuser_conn *conn, uint16_t id, const char *text)
{
	return conn->header.id == id && conn->payload_bytes == strlen(text) &&
	       !memcmp(conn->payload, text, strlen(text));
}

static struct vuser_header header_of(uint32_t size_bytes)
{
	return (struct vuser_header){.id = 7, .command = VUSER_REGION_READ, .size_bytes = size_bytes};
}

static void head_data_and_fds_arrive_as_they_were_sent(void)
{
	struct vuser_dma_map map = {.argsz = sizeof(map), .iova = 0x1000, .size_bytes = 4096};
	int pipes[2], fd;
	struct pair p;
	char byte = 0;

	pair_open(&p);
	CU_ASSERT_EQUAL_FATAL(pipe(pipes), 0);
	struct vuser_out out = {.id = 65535,
				.command = VUSER_DMA_MAP,
				.flags = VUSER_NO_REPLY,
				.head = &map,
				.head_bytes = sizeof(map),
				.data = "tail",
				.data_bytes = 4,
				.fds = pipes,
				.nr_fds = 2};
	CU_ASSERT_EQUAL(vuser_send(&p.a, &out, in_ns(LONG_NS)), 0);
	CU_ASSERT_EQUAL_FATAL(vuser_recv(&p.b, in_ns(LONG_NS)), 0);
	CU_ASSERT_EQUAL(p.b.header.id, 65535);
	CU_ASSERT_EQUAL(p.b.header.command, VUSER_DMA_MAP);
	CU_ASSERT_EQUAL(p.b.header.size_bytes, 16 + 32 + 4);
	CU_ASSERT_TRUE(vuser_is_command(&p.b.header));
	CU_ASSERT_FALSE(vuser_wants_reply(&p.b.header));
	CU_ASSERT_EQUAL(p.b.payload_bytes, 36);
	CU_ASSERT_EQUAL(memcmp(p.b.payload, &map, sizeof(map)), 0);
	CU_ASSERT_EQUAL(memcmp(p.b.payload + sizeof(map), "tail", 4), 0);
	CU_ASSERT_EQUAL(p.b.nr_fds, 2);
	fd = vuser_take_fd(&p.b, 1);
	CU_ASSERT_TRUE(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	CU_ASSERT_EQUAL(write(fd, "x", 1), 1);
	CU_ASSERT_EQUAL(read(pipes[0], &byte, 1), 1);
	CU_ASSERT_EQUAL(byte, 'x');
	CU_ASSERT_EQUAL(vuser_take_fd(&p.b, 1), -1);
	CU_ASSERT_EQUAL(vuser_take_fd(&p.b, 2), -1);
	close(fd);
	close(pipes[0]);
	close(pipes[1]);
	pair_close(&p);
}

static void a_message_that_comes_byte_by_byte_is_put_together(void)
{
	struct vuser_header header = header_of(sizeof(header) + 5);
	uint8_t bytes[sizeof(header) + 5];
	struct pair p;

	pair_open(&p);
	memcpy(bytes, &header, sizeof(header));
	memcpy(bytes + sizeof(header), "abcde", 5);
	for (size_t i = 0; i < sizeof(bytes); i++) {
		CU_ASSERT_EQUAL(vuser_recv_step(&p.b), 0);
		CU_ASSERT_EQUAL(write(p.a.fd, &bytes[i], 1), 1);
	}
	CU_ASSERT_EQUAL(vuser_recv_step(&p.b), 1);
	CU_ASSERT_TRUE(has_text(&p.b, 7, "abcde"));
	CU_ASSERT_EQUAL(vuser_recv_step(&p.b), 0);
	CU_ASSERT_EQUAL(p.b.nr_received, 1);
	pair_close(&p);
}

static void messages_sent_back_to_back_keep_apart_with_their_fds(void)
{
	struct vuser_header header = header_of(sizeof(header));
	struct pair p;

	pair_open(&p);
	CU_ASSERT_EQUAL(send_text(&p.a, 1, "first"), 0);
	send_raw(p.a.fd, &header, sizeof(header), p.a.fd, 1);
	CU_ASSERT_EQUAL(send_text(&p.a, 3, ""), 0);
	CU_ASSERT_EQUAL(vuser_recv(&p.b, in_ns(LONG_NS)), 0);
	CU_ASSERT_TRUE(has_text(&p.b, 1, "first"));
	CU_ASSERT_EQUAL(p.b.nr_fds, 0);
	CU_ASSERT_EQUAL(vuser_recv(&p.b, in_ns(LONG_NS)), 0);
	CU_ASSERT_TRUE(has_text(&p.b, 7, ""));
	CU_ASSERT_EQUAL(p.b.nr_fds, 1);
	CU_ASSERT_EQUAL(vuser_recv(&p.b, in_ns(LONG_NS)), 0);
	CU_ASSERT_TRUE(has_text(&p.b, 3, ""));
	CU_ASSERT_EQUAL(p.b.nr_fds, 0);
	pair_close(&p);
}

static void fds_that_nobody_took_are_closed_with_the_next_message(void)
{
	struct vuser_header header = header_of(sizeof(header));
	unsigned int before;
	struct pair p;

	pair_open(&p);
	before = open_fds();
	send_raw(p.a.fd, &header, sizeof(header), p.a.fd, 3);
	CU_ASSERT_EQUAL(vuser_recv(&p.b, in_ns(LONG_NS)), 0);
	CU_ASSERT_TRUE(open_fds_become(before + 3));
	CU_ASSERT_EQUAL(vuser_recv_step(&p.b), 0);
	CU_ASSERT_TRUE(open_fds_become(before));
	pair_close(&p);
}

static void too_many_fds_are_all_closed_and_end_the_connection(void)
{
	static const unsigned int numbers[] = {VUSER_MAX_FDS + 1, 253};
	struct vuser_header header = header_of(sizeof(header));
	struct pair p;

	for (unsigned int i = 0; i < 2; i++) {
		pair_open(&p);
		unsigned int before = open_fds();

		send_raw(p.a.fd, &header, sizeof(header), p.a.fd, numbers[i]);
		CU_ASSERT_EQUAL(vuser_recv(&p.b, in_ns(LONG_NS)), -EPROTO);
		CU_ASSERT_EQUAL(p.b.nr_protocol_errors, 1);
		CU_ASSERT_TRUE(open_fds_become(before));
		CU_ASSERT_EQUAL(send_text(&p.b, 1, ""), -EPROTO);
		pair_close(&p);
	}
}

static void fds_spread_over_one_message_are_bounded_too(void)
{
	struct vuser_header header = header_of(sizeof(header) + 200);
	uint8_t byte = 0;
	struct pair p;

	pair_open(&p);
	send_raw(p.a.fd, &header, sizeof(header), p.a.fd, VUSER_MAX_FDS);
	CU_ASSERT_EQUAL(vuser_recv_step(&p.b), 0);
	CU_ASSERT_EQUAL(p.b.nr_fds, VUSER_MAX_FDS);
	send_raw(p.a.fd, &byte, 1, p.a.fd, 1);
	CU_ASSERT_EQUAL(vuser_recv_step(&p.b), -EPROTO);
	pair_close(&p);
}

static void a_message_of_another_shape_is_refused_and_its_fds_closed(void)
{
	struct vuser_header header = header_of(sizeof(header));
	unsigned int before;
	struct pair p;

	pair_open(&p);
	before = open_fds();
	CU_ASSERT_EQUAL(send_text(&p.a, 1, "12345678"), 0);
	CU_ASSERT_EQUAL(vuser_recv(&p.b, in_ns(LONG_NS)), 0);
	CU_ASSERT_EQUAL(vuser_expect(&p.b, 8, 8, 0), 0);
	CU_ASSERT_EQUAL(vuser_expect(&p.b, 9, 20, 0), -EPROTO);
	CU_ASSERT_EQUAL(vuser_expect(&p.b, 0, 7, 0), -EPROTO);
	send_raw(p.a.fd, &header, sizeof(header), p.a.fd, 2);
	CU_ASSERT_EQUAL(vuser_recv(&p.b, in_ns(LONG_NS)), 0);
	CU_ASSERT_EQUAL(vuser_expect(&p.b, 0, 0, 2), 0);
	CU_ASSERT_EQUAL(vuser_expect(&p.b, 0, 0, 1), -EPROTO);
	CU_ASSERT_TRUE(open_fds_become(before));
	CU_ASSERT_EQUAL(vuser_take_fd(&p.b, 0), -1);
	CU_ASSERT_EQUAL(p.b.nr_protocol_errors, 3);
	CU_ASSERT_EQUAL(p.b.error, 0);
	pair_close(&p);
}

static void lengths_and_types_that_cannot_be_end_the_connection(void)
{
	static const struct {
		uint32_t size_bytes, flags;
		int rc;
	} lies[] = {
		{0, 0, -EPROTO},
		{15, 0, -EPROTO},
		{VUSER_MAX_MSG_BYTES + 1, 0, -EMSGSIZE},
		{UINT32_MAX, VUSER_TYPE_REPLY, -EMSGSIZE},
		{16, 2, -EPROTO},
		{16, 0xf, -EPROTO},
	};
	struct vuser_header header;
	struct pair p;

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		pair_open(&p);
		header = header_of(lies[i].size_bytes);
		header.flags = lies[i].flags;
		send_raw(p.a.fd, &header, sizeof(header), p.a.fd, 1);
		CU_ASSERT_EQUAL(vuser_recv(&p.b, in_ns(LONG_NS)), lies[i].rc);
		CU_ASSERT_EQUAL(vuser_recv(&p.b, in_ns(LONG_NS)), lies[i].rc);
		CU_ASSERT_EQUAL(p.b.nr_protocol_errors, 1);
		pair_close(&p);
	}
}

static void a_peer_that_stops_in_the_middle_times_out(void)
{
	struct vuser_header header = header_of(sizeof(header) + 4);
	struct pair p;

	for (size_t len = 1; len < sizeof(header) + 4; len += 9) {
		uint8_t bytes[sizeof(header) + 4] = {0};

		pair_open(&p);
		memcpy(bytes, &header, sizeof(header));
		send_raw(p.a.fd, bytes, len, p.a.fd, 1);
		p.b.stall_ns = SOON_NS;
		CU_ASSERT_EQUAL(vuser_recv(&p.b, in_ns(LONG_NS)), -ETIMEDOUT);
		CU_ASSERT_EQUAL(vuser_recv_step(&p.b), -ETIMEDOUT);
		CU_ASSERT_EQUAL(p.b.nr_protocol_errors, 1);
		pair_close(&p);
	}
}

static void a_trickle_does_not_prolong_the_time(void)
{
	struct vuser_header header = header_of(sizeof(header));
	struct pair p;

	pair_open(&p);
	send_raw(p.a.fd, &header, 4, -1, 0);
	CU_ASSERT_EQUAL(vuser_recv_step(&p.b), 0);
	p.b.begun_ns -= VUSER_STALL_NS;
	send_raw(p.a.fd, &header, 4, -1, 0);
	CU_ASSERT_EQUAL(vuser_recv_step(&p.b), -ETIMEDOUT);
	pair_close(&p);
}

static void a_deadline_in_the_middle_ends_it_and_one_before_does_not(void)
{
	struct vuser_header header = header_of(sizeof(header));
	struct pair p;

	pair_open(&p);
	CU_ASSERT_EQUAL(vuser_recv(&p.b, in_ns(SOON_NS)), -ETIMEDOUT);
	CU_ASSERT_EQUAL(vuser_recv(&p.b, 0), -ETIMEDOUT);
	CU_ASSERT_EQUAL(send_text(&p.a, 1, "later"), 0);
	CU_ASSERT_EQUAL(vuser_recv(&p.b, 0), 0);
	CU_ASSERT_TRUE(has_text(&p.b, 1, "later"));
	send_raw(p.a.fd, &header, 3, -1, 0);
	CU_ASSERT_EQUAL(vuser_recv(&p.b, in_ns(SOON_NS)), -ETIMEDOUT);
	CU_ASSERT_EQUAL(p.b.error, -ETIMEDOUT);
	pair_close(&p);
}

static void a_peer_that_does_not_read_times_out(void)
{
	static uint8_t data[VUSER_DEFAULT_DATA_BYTES];
	struct vuser_out out = {.command = VUSER_DMA_WRITE, .data = data, .data_bytes = sizeof(data)};
	struct pair p;

	pair_open(&p);
	CU_ASSERT_EQUAL(vuser_send(&p.a, &out, in_ns(SOON_NS)), -ETIMEDOUT);
	CU_ASSERT_EQUAL(vuser_send(&p.a, &out, in_ns(LONG_NS)), -ETIMEDOUT);
	CU_ASSERT_EQUAL(p.a.nr_sent, 0);
	pair_close(&p);
}

static void *send_large(void *arg)
{
	static uint8_t data[VUSER_DEFAULT_DATA_BYTES];
	struct vuser_out out = {.command = VUSER_DMA_WRITE, .data = data, .data_bytes = sizeof(data)};
	struct vuser_conn *conn = arg;
	int rc = 0;

	for (unsigned int i = 0; !rc && i < 2; i++) {
		memset(data, 'a' + (int)i, sizeof(data));
		out.fds = &conn->fd;
		out.nr_fds = i;
		rc = vuser_send(conn, &out, in_ns(LONG_NS));
	}
	return (void *)(intptr_t)rc;
}

static void messages_larger_than_the_socket_holds_arrive_whole(void)
{
	pthread_t thread;
	struct pair p;
	void *rc;

	pair_open(&p);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, send_large, &p.a), 0);
	for (unsigned int i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL_FATAL(vuser_recv(&p.b, in_ns(LONG_NS)), 0);
		CU_ASSERT_EQUAL(p.b.payload_bytes, VUSER_DEFAULT_DATA_BYTES);
		CU_ASSERT_EQUAL(p.b.payload[0], 'a' + i);
		CU_ASSERT_EQUAL(memcmp(p.b.payload, p.b.payload + 1, p.b.payload_bytes - 1), 0);
		CU_ASSERT_EQUAL(p.b.nr_fds, i);
	}
	CU_ASSERT_EQUAL(pthread_join(thread, &rc), 0);
	CU_ASSERT_PTR_NULL(rc);
	pair_close(&p);
}

static void a_peer_that_leaves_is_seen_without_a_signal(void)
{
	struct vuser_header header = header_of(sizeof(header));
	struct pair p;

	for (unsigned int half = 0; half < 2; half++) {
		pair_open(&p);
		if (half)
			send_raw(p.a.fd, &header, 5, -1, 0);
		vuser_conn_close(&p.a);
		vuser_conn_close(&p.a);
		CU_ASSERT_EQUAL(vuser_recv(&p.b, in_ns(LONG_NS)), -ECONNRESET);
		CU_ASSERT_EQUAL(send_text(&p.b, 1, ""), -ECONNRESET);
		CU_ASSERT_EQUAL(send_text(&p.a, 1, ""), -ENOTCONN);
		pair_close(&p);

		pair_open(&p);
		vuser_conn_close(&p.a);
		CU_ASSERT_EQUAL(send_text(&p.b, 1, ""), -ECONNRESET);
		pair_close(&p);
	}
}

static void what_was_sent_before_the_peer_left_is_still_received(void)
{
	struct pair p;

	pair_open(&p);
	CU_ASSERT_EQUAL(send_text(&p.a, 1, "bye"), 0);
	vuser_conn_close(&p.a);
	CU_ASSERT_EQUAL(vuser_recv(&p.b, in_ns(LONG_NS)), 0);
	CU_ASSERT_TRUE(has_text(&p.b, 1, "bye"));
	CU_ASSERT_EQUAL(vuser_recv(&p.b, in_ns(LONG_NS)), -ECONNRESET);
	pair_close(&p);
}

static void what_is_too_large_to_send_is_refused_and_nothing_is_sent(void)
{
	struct vuser_out out = {.data = "", .data_bytes = VUSER_MAX_MSG_BYTES};
	int fds[VUSER_MAX_FDS + 1] = {0};
	struct pair p;

	pair_open(&p);
	CU_ASSERT_EQUAL(vuser_send(&p.a, &out, in_ns(LONG_NS)), -EMSGSIZE);
	out = (struct vuser_out){.head = "", .head_bytes = UINT32_MAX, .data = "", .data_bytes = UINT32_MAX};
	CU_ASSERT_EQUAL(vuser_send(&p.a, &out, in_ns(LONG_NS)), -EMSGSIZE);
	out = (struct vuser_out){.fds = fds, .nr_fds = VUSER_MAX_FDS + 1};
	CU_ASSERT_EQUAL(vuser_send(&p.a, &out, in_ns(LONG_NS)), -EINVAL);
	CU_ASSERT_EQUAL(vuser_recv_step(&p.b), 0);
	CU_ASSERT_EQUAL(send_text(&p.a, 9, "ok"), 0);
	CU_ASSERT_EQUAL(vuser_recv_step(&p.b), 1);
	CU_ASSERT_TRUE(has_text(&p.b, 9, "ok"));
	pair_close(&p);
}

static void a_reply_repeats_the_id_and_one_of_an_error_is_empty(void)
{
	struct vuser_header command = {.id = 300, .command = VUSER_DMA_UNMAP};
	struct vuser_out out = vuser_reply_to(&command, ENOENT);
	struct pair p;

	pair_open(&p);
	out.head = "12345678";
	out.head_bytes = 8;
	out.fds = &p.a.fd;
	out.nr_fds = 1;
	CU_ASSERT_EQUAL(vuser_send(&p.a, &out, in_ns(LONG_NS)), 0);
	CU_ASSERT_EQUAL(vuser_recv(&p.b, in_ns(LONG_NS)), 0);
	CU_ASSERT_TRUE(has_text(&p.b, 300, ""));
	CU_ASSERT_FALSE(vuser_is_command(&p.b.header));
	CU_ASSERT_EQUAL(p.b.header.command, VUSER_DMA_UNMAP);
	CU_ASSERT_EQUAL(p.b.header.flags, VUSER_TYPE_REPLY | VUSER_ERROR);
	CU_ASSERT_EQUAL(p.b.header.error, ENOENT);
	CU_ASSERT_EQUAL(p.b.nr_fds, 0);
	pair_close(&p);
}

static atomic_uint nr_alarms;

/* More than a socket holds, with fds; whoever sends it goes on, and it arrives as it was when it was sent. */
static void what_a_socket_does_not_take_is_sent_later(void)
{
	static uint8_t data[1 << 20];
	struct vuser_out out = {.id = 9, .command = VUSER_REGION_READ, .data = data, .data_bytes = sizeof(data)};
	uint64_t until = in_ns(LONG_NS);
	struct pair p;
	int rc;

	pair_open(&p);
	out.fds = &p.a.fd;
	out.nr_fds = 1;
	for (unsigned int i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i / 999);
	CU_ASSERT_EQUAL(vuser_flush(&p.a), 1);
	CU_ASSERT_EQUAL(vuser_post(&p.a, &out), 0);
	CU_ASSERT_TRUE(vuser_is_posting(&p.a));
	CU_ASSERT_EQUAL(vuser_flush(&p.a), 0);
	CU_ASSERT_EQUAL(vuser_post(&p.a, &out), -EBUSY);
	CU_ASSERT_EQUAL(p.a.nr_sent, 0);
	memset(data, 0, sizeof(data));
	while (!(rc = vuser_recv_step(&p.b)) && fd_socket_now_ns() < until)
		CU_ASSERT_TRUE(vuser_flush(&p.a) >= 0);
	CU_ASSERT_EQUAL_FATAL(rc, 1);
	CU_ASSERT_EQUAL(vuser_flush(&p.a), 1);
	CU_ASSERT_FALSE(vuser_is_posting(&p.a));
	CU_ASSERT_EQUAL(p.a.nr_sent, 1);
	CU_ASSERT_EQUAL(p.b.nr_fds, 1);
	for (unsigned int i = 0; i < sizeof(data); i++)
		if (p.b.payload[i] != (uint8_t)(i / 999))
			CU_FAIL_FATAL("other data than was sent");
	pair_close(&p);
}

/* Nothing of it has gone out yet, so its fds have not either. */
static void fds_go_out_with_the_first_byte_also_later(void)
{
	static const uint8_t filler[4096];
	struct vuser_out out = {.id = 9, .command = VUSER_DEVICE_RESET};
	uint8_t drain[65536];
	struct pair p;

	pair_open(&p);
	out.fds = &p.a.fd;
	out.nr_fds = 1;
	while (send(p.a.fd, filler, sizeof(filler), MSG_DONTWAIT) > 0)
		;
	CU_ASSERT_EQUAL(vuser_post(&p.a, &out), 0);
	CU_ASSERT_EQUAL(vuser_flush(&p.a), 0);
	while (recv(p.b.fd, drain, sizeof(drain), MSG_DONTWAIT) > 0)
		;
	/* Another is sent behind it. */
	CU_ASSERT_EQUAL(send_text(&p.a, 10, "next"), 0);
	CU_ASSERT_EQUAL(vuser_recv(&p.b, in_ns(LONG_NS)), 0);
	CU_ASSERT_EQUAL(p.b.header.id, 9);
	CU_ASSERT_EQUAL(p.b.nr_fds, 1);
	CU_ASSERT_EQUAL(vuser_recv(&p.b, in_ns(LONG_NS)), 0);
	CU_ASSERT_TRUE(has_text(&p.b, 10, "next"));
	CU_ASSERT_EQUAL(p.b.nr_fds, 0);
	pair_close(&p);
}

static void what_nobody_takes_times_out_or_ends_with_the_peer(void)
{
	static uint8_t data[1 << 20];
	struct vuser_out out = {.command = VUSER_REGION_READ, .data = data, .data_bytes = sizeof(data)};
	struct pair p;
	int rc;

	pair_open(&p);
	p.a.stall_ns = SOON_NS;
	CU_ASSERT_EQUAL(vuser_post(&p.a, &out), 0);
	while (!(rc = vuser_flush(&p.a)))
		;
	CU_ASSERT_EQUAL(rc, -ETIMEDOUT);
	CU_ASSERT_EQUAL(p.a.nr_protocol_errors, 1);
	CU_ASSERT_EQUAL(vuser_post(&p.a, &out), -ETIMEDOUT);
	pair_close(&p);
	pair_open(&p);
	CU_ASSERT_EQUAL(vuser_post(&p.a, &out), 0);
	vuser_conn_close(&p.b);
	CU_ASSERT_EQUAL(vuser_flush(&p.a), -ECONNRESET);
	CU_ASSERT_FALSE(vuser_is_posting(&p.a));
	out.data_bytes = sizeof(data) + 8192;
	pair_close(&p);
	pair_open(&p);
	CU_ASSERT_EQUAL(vuser_post(&p.a, &out), -EMSGSIZE);
	CU_ASSERT_EQUAL(p.a.error, 0);
	pair_close(&p);
}

static void a_message_may_be_laid_aside(void)
{
	struct vuser_held first, second;
	struct vuser_out out = {.id = 1, .command = VUSER_REGION_WRITE, .data = "first", .data_bytes = 5};
	struct pair p;

	pair_open(&p);
	out.fds = &p.a.fd;
	out.nr_fds = 1;
	CU_ASSERT_EQUAL(vuser_send(&p.a, &out, in_ns(LONG_NS)), 0);
	CU_ASSERT_EQUAL(send_text(&p.a, 2, "second"), 0);
	CU_ASSERT_EQUAL(send_text(&p.a, 3, "third"), 0);
	CU_ASSERT_FALSE(vuser_has_message(&p.b));
	CU_ASSERT_EQUAL(vuser_recv(&p.b, in_ns(LONG_NS)), 0);
	CU_ASSERT_TRUE(vuser_has_message(&p.b));
	vuser_hold(&p.b, &first);
	CU_ASSERT_FALSE(vuser_has_message(&p.b));
	CU_ASSERT_EQUAL(vuser_recv(&p.b, in_ns(LONG_NS)), 0);
	CU_ASSERT_TRUE(has_text(&p.b, 2, "second"));
	vuser_hold(&p.b, &second);
	vuser_unhold(&p.b, &first);
	CU_ASSERT_TRUE(has_text(&p.b, 1, "first"));
	CU_ASSERT_EQUAL(p.b.nr_fds, 1);
	close(vuser_take_fd(&p.b, 0));
	CU_ASSERT_EQUAL(vuser_recv(&p.b, in_ns(LONG_NS)), 0);
	CU_ASSERT_TRUE(has_text(&p.b, 3, "third"));
	vuser_unhold(&p.b, &second);
	CU_ASSERT_TRUE(has_text(&p.b, 2, "second"));
	CU_ASSERT_EQUAL(vuser_send(&p.a, &out, in_ns(LONG_NS)), 0);
	CU_ASSERT_EQUAL(vuser_recv(&p.b, in_ns(LONG_NS)), 0);
	vuser_hold(&p.b, &first);
	vuser_held_drop(&first); /* with its fd */
	pair_close(&p);
}

static void on_alarm(int signum)
{
	(void)signum;
	atomic_fetch_add(&nr_alarms, 1);
}

/* Sends once the receiver has been interrupted a few times. */
static void *send_after_alarms(void *arg)
{
	uint64_t limit = in_ns(LONG_NS);

	while (atomic_load(&nr_alarms) < 5 && fd_socket_now_ns() < limit)
		usleep(1000);
	return (void *)(intptr_t)send_text(arg, 4, "calm");
}

static void signals_do_not_disturb_a_wait(void)
{
	struct itimerval timer = {.it_interval.tv_usec = 2000, .it_value.tv_usec = 2000}, off = {{0, 0}, {0, 0}};
	struct sigaction action = {.sa_handler = on_alarm}, old;
	pthread_t thread;
	struct pair p;
	sigset_t set;
	void *rc;

	pair_open(&p);
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	CU_ASSERT_EQUAL_FATAL(sigaction(SIGALRM, &action, &old), 0);
	pthread_sigmask(SIG_BLOCK, &set, NULL); /* in the thread; alarms come to this one */
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, send_after_alarms, &p.a), 0);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	CU_ASSERT_EQUAL(vuser_recv(&p.b, in_ns(LONG_NS)), 0);
	setitimer(ITIMER_REAL, &off, NULL);
	CU_ASSERT_TRUE(has_text(&p.b, 4, "calm"));
	CU_ASSERT_EQUAL(pthread_join(thread, &rc), 0);
	CU_ASSERT_PTR_NULL(rc);
	CU_ASSERT_TRUE(atomic_load(&nr_alarms) >= 5);
	sigaction(SIGALRM, &old, NULL);
	pair_close(&p);
}

static const struct unit_test tests[] = {
	{"head, data and fds arrive as they were sent, close-on-exec", head_data_and_fds_arrive_as_they_were_sent},
	{"a message that comes byte by byte is put together", a_message_that_comes_byte_by_byte_is_put_together},
	{"messages sent back to back keep apart, with their fds", messages_sent_back_to_back_keep_apart_with_their_fds},
	{"fds that nobody took are closed with the next message",
	 fds_that_nobody_took_are_closed_with_the_next_message},
	{"too many fds are all closed and end the connection", too_many_fds_are_all_closed_and_end_the_connection},
	{"fds spread over one message are bounded too", fds_spread_over_one_message_are_bounded_too},
	{"a message of another shape is refused and its fds closed",
	 a_message_of_another_shape_is_refused_and_its_fds_closed},
	{"lengths and types that cannot be end the connection", lengths_and_types_that_cannot_be_end_the_connection},
	{"a peer that stops in the middle of a message times out", a_peer_that_stops_in_the_middle_times_out},
	{"a trickle of bytes does not prolong the time", a_trickle_does_not_prolong_the_time},
	{"a deadline within a message ends the connection, one before it does not",
	 a_deadline_in_the_middle_ends_it_and_one_before_does_not},
	{"a peer that does not read times out", a_peer_that_does_not_read_times_out},
	{"messages larger than the socket holds arrive whole", messages_larger_than_the_socket_holds_arrive_whole},
	{"a peer that leaves is seen, without a signal", a_peer_that_leaves_is_seen_without_a_signal},
	{"what was sent before the peer left is still received", what_was_sent_before_the_peer_left_is_still_received},
	{"what is too large to send is refused and nothing is sent",
	 what_is_too_large_to_send_is_refused_and_nothing_is_sent},
	{"a reply repeats the id, and one of an error is empty", a_reply_repeats_the_id_and_one_of_an_error_is_empty},
	{"what a socket does not take is sent later", what_a_socket_does_not_take_is_sent_later},
	{"fds go out with the first byte, also later", fds_go_out_with_the_first_byte_also_later},
	{"what nobody takes times out, or ends with the peer", what_nobody_takes_times_out_or_ends_with_the_peer},
	{"a message may be laid aside", a_message_may_be_laid_aside},
	{"signals do not disturb a wait", signals_do_not_disturb_a_wait},
};

UNIT_MAIN("eal/vfio_user/message", tests)
