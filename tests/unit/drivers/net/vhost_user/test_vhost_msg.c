/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_vhost_msg.c - framing of vhost-user messages over a socket pair: whole, in pieces, with fds, and with every way
 * in which a peer can break it.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "eal/vfio_user/lingering.h"
#include "eal/vfio_user/open_fds.h"
#include "eal/vfio_user/raw_send.h"
#include "net/vhost_user/vhost_msg.h"
#include "unit.h"
#include "vfio_user/closer.h"

#define SOON_NS 20000000ull /* to wait for what does not come */
#define LONG_NS 20000000000ull

struct pair {
	struct vhost_conn a, b;
	unsigned int nr_fds_before;
};

static void pair_open(struct pair *p)
{
	int sockets[2];

	p->nr_fds_before = open_fds();
	CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
	vhost_conn_init(&p->a, sockets[0]);
	vhost_conn_init(&p->b, sockets[1]);
}

/* Every file that came in was closed by somebody. */
static void pair_close(struct pair *p)
{
	vhost_conn_close(&p->a);
	vhost_conn_close(&p->b);
	CU_ASSERT_TRUE(open_fds_become(p->nr_fds_before));
}

static uint64_t in_ns(uint64_t ns)
{
	return fd_socket_now_ns() + ns;
}

static int send_u64(struct vhost_conn *conn, uint32_t request, uint64_t value)
{
	struct vhost_out out = {.request = request, .payload = &value, .bytes = sizeof(value)};

	return vhost_send(conn, &out, in_ns(LONG_NS));
}

static bool has_u64(const struct vhost_conn *conn, uint32_t request, uint64_t value)
{
	return conn->header.request == request && conn->header.bytes == 8 && conn->payload.u64 == value;
}

static struct vhost_header header_of(uint32_t bytes)
{
	return (struct vhost_header){.request = VHOST_SET_OWNER, .flags = VHOST_FLAG_VERSION, .bytes = bytes};
}

static void payload_flags_and_fds_arrive_as_they_were_sent(void)
{
	struct vhost_vring_addr addr = {.idx = 3, .desc = 0x1000, .used = 0x2000, .avail = 0x3000, .log = 4};
	int pipes[2], fd;
	struct pair p;
	char byte = 0;

	pair_open(&p);
	CU_ASSERT_EQUAL_FATAL(pipe(pipes), 0);
	struct vhost_out out = {.request = VHOST_SET_VRING_ADDR,
				.flags = VHOST_FLAG_NEED_REPLY,
				.payload = &addr,
				.bytes = sizeof(addr),
				.fds = pipes,
				.nr_fds = 2};
	CU_ASSERT_EQUAL(vhost_send(&p.a, &out, in_ns(LONG_NS)), 0);
	CU_ASSERT_EQUAL_FATAL(vhost_recv(&p.b, in_ns(LONG_NS)), 0);
	CU_ASSERT_EQUAL(p.b.header.request, VHOST_SET_VRING_ADDR);
	CU_ASSERT_EQUAL(p.b.header.flags, VHOST_FLAG_VERSION | VHOST_FLAG_NEED_REPLY);
	CU_ASSERT_EQUAL(p.b.header.bytes, 40);
	CU_ASSERT_FALSE(vhost_is_reply(&p.b.header));
	CU_ASSERT_EQUAL(memcmp(&p.b.payload.addr, &addr, sizeof(addr)), 0);
	CU_ASSERT_EQUAL(p.b.nr_fds, 2);
	fd = vhost_take_fd(&p.b, 1);
	CU_ASSERT_TRUE(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	CU_ASSERT_EQUAL(write(fd, "x", 1), 1);
	CU_ASSERT_EQUAL(read(pipes[0], &byte, 1), 1);
	CU_ASSERT_EQUAL(byte, 'x');
	CU_ASSERT_EQUAL(vhost_take_fd(&p.b, 1), -1);
	CU_ASSERT_EQUAL(vhost_take_fd(&p.b, 2), -1);
	out = (struct vhost_out){.request = VHOST_SET_VRING_ADDR, .flags = VHOST_FLAG_REPLY};
	CU_ASSERT_EQUAL(vhost_send(&p.b, &out, 0), 0);
	CU_ASSERT_EQUAL(vhost_recv(&p.a, in_ns(LONG_NS)), 0);
	CU_ASSERT_TRUE(vhost_is_reply(&p.a.header));
	close(fd);
	close(pipes[0]);
	close(pipes[1]);
	pair_close(&p);
}

static void a_message_that_comes_byte_by_byte_is_put_together(void)
{
	struct vhost_header header = header_of(5);
	uint8_t bytes[sizeof(header) + 5];
	struct pair p;

	pair_open(&p);
	memcpy(bytes, &header, sizeof(header));
	memcpy(bytes + sizeof(header), "abcde", 5);
	for (size_t i = 0; i < sizeof(bytes); i++) {
		CU_ASSERT_EQUAL(vhost_recv_step(&p.b), 0);
		CU_ASSERT_EQUAL(write(p.a.fd, &bytes[i], 1), 1);
	}
	CU_ASSERT_EQUAL(vhost_recv_step(&p.b), 1);
	CU_ASSERT_EQUAL(memcmp(p.b.payload.bytes, "abcde", 5), 0);
	CU_ASSERT_EQUAL(vhost_recv_step(&p.b), 0);
	CU_ASSERT_EQUAL(p.b.nr_received, 1);
	pair_close(&p);
}

static void messages_sent_back_to_back_keep_apart_with_their_fds(void)
{
	struct vhost_header header = header_of(0);
	struct pair p;

	pair_open(&p);
	CU_ASSERT_EQUAL(send_u64(&p.a, 1, 11), 0);
	send_raw(p.a.fd, &header, sizeof(header), p.a.fd, 1);
	CU_ASSERT_EQUAL(send_u64(&p.a, 3, 33), 0);
	CU_ASSERT_EQUAL(vhost_recv(&p.b, in_ns(LONG_NS)), 0);
	CU_ASSERT_TRUE(has_u64(&p.b, 1, 11));
	CU_ASSERT_EQUAL(p.b.nr_fds, 0);
	CU_ASSERT_EQUAL(vhost_recv(&p.b, in_ns(LONG_NS)), 0);
	CU_ASSERT_EQUAL(p.b.header.request, VHOST_SET_OWNER);
	CU_ASSERT_EQUAL(p.b.nr_fds, 1);
	CU_ASSERT_EQUAL(vhost_recv(&p.b, in_ns(LONG_NS)), 0);
	CU_ASSERT_TRUE(has_u64(&p.b, 3, 33));
	CU_ASSERT_EQUAL(p.b.nr_fds, 0);
	pair_close(&p);
}

static void nothing_is_left_of_an_earlier_payload(void)
{
	struct vhost_header header = header_of(2);
	uint8_t bytes[sizeof(header) + 2];
	struct pair p;

	pair_open(&p);
	CU_ASSERT_EQUAL(send_u64(&p.a, 1, UINT64_MAX), 0);
	CU_ASSERT_EQUAL(vhost_recv(&p.b, in_ns(LONG_NS)), 0);
	memcpy(bytes, &header, sizeof(header));
	memset(bytes + sizeof(header), 0x11, 2);
	send_raw(p.a.fd, bytes, sizeof(bytes), -1, 0);
	CU_ASSERT_EQUAL(vhost_recv(&p.b, in_ns(LONG_NS)), 0);
	CU_ASSERT_EQUAL(p.b.payload.u64, 0x1111);
	pair_close(&p);
}

static void fds_that_nobody_took_are_closed_with_the_next_message(void)
{
	struct vhost_header header = header_of(0);
	unsigned int before;
	struct pair p;

	pair_open(&p);
	before = open_fds();
	send_raw(p.a.fd, &header, sizeof(header), p.a.fd, 3);
	CU_ASSERT_EQUAL(vhost_recv(&p.b, in_ns(LONG_NS)), 0);
	CU_ASSERT_EQUAL(open_fds(), before + 3);
	CU_ASSERT_EQUAL(vhost_recv_step(&p.b), 0);
	CU_ASSERT_TRUE(open_fds_become(before));
	pair_close(&p);
}

static void too_many_fds_are_all_closed_and_end_the_connection(void)
{
	static const unsigned int numbers[] = {VHOST_MAX_FDS + 1, 253};
	struct vhost_header header = header_of(0);
	struct pair p;

	for (unsigned int i = 0; i < 2; i++) {
		pair_open(&p);
		unsigned int before = open_fds();

		send_raw(p.a.fd, &header, sizeof(header), p.a.fd, numbers[i]);
		CU_ASSERT_EQUAL(vhost_recv(&p.b, in_ns(LONG_NS)), -EPROTO);
		CU_ASSERT_EQUAL(p.b.nr_protocol_errors, 1);
		CU_ASSERT_TRUE(open_fds_become(before));
		CU_ASSERT_EQUAL(send_u64(&p.b, 1, 1), -EPROTO);
		pair_close(&p);
	}
}

static void fds_spread_over_one_message_are_bounded_too(void)
{
	struct vhost_header header = header_of(200);
	uint8_t byte = 0;
	struct pair p;

	pair_open(&p);
	send_raw(p.a.fd, &header, sizeof(header), p.a.fd, VHOST_MAX_FDS);
	CU_ASSERT_EQUAL(vhost_recv_step(&p.b), 0);
	CU_ASSERT_EQUAL(p.b.nr_fds, VHOST_MAX_FDS);
	send_raw(p.a.fd, &byte, 1, p.a.fd, 1);
	CU_ASSERT_EQUAL(vhost_recv_step(&p.b), -EPROTO);
	pair_close(&p);
}

static void a_message_of_another_shape_is_refused_and_its_fds_closed(void)
{
	struct vhost_header header = header_of(0);
	unsigned int before;
	struct pair p;

	pair_open(&p);
	before = open_fds();
	CU_ASSERT_EQUAL(send_u64(&p.a, 1, 1), 0);
	CU_ASSERT_EQUAL(vhost_recv(&p.b, in_ns(LONG_NS)), 0);
	CU_ASSERT_EQUAL(vhost_expect(&p.b, 8, 0), 0);
	CU_ASSERT_EQUAL(vhost_expect(&p.b, 9, 0), -EPROTO);
	CU_ASSERT_EQUAL(vhost_expect(&p.b, 7, 0), -EPROTO);
	send_raw(p.a.fd, &header, sizeof(header), p.a.fd, 2);
	CU_ASSERT_EQUAL(vhost_recv(&p.b, in_ns(LONG_NS)), 0);
	CU_ASSERT_EQUAL(vhost_expect(&p.b, 0, 2), 0);
	CU_ASSERT_EQUAL(vhost_expect(&p.b, 0, 1), -EPROTO);
	CU_ASSERT_TRUE(open_fds_become(before));
	CU_ASSERT_EQUAL(vhost_take_fd(&p.b, 0), -1);
	CU_ASSERT_EQUAL(p.b.nr_protocol_errors, 3);
	CU_ASSERT_EQUAL(p.b.error, 0);
	pair_close(&p);
}

static void lengths_and_versions_that_cannot_be_end_the_connection(void)
{
	static const struct {
		uint32_t bytes, flags;
		int rc;
	} lies[] = {
		{VHOST_MAX_PAYLOAD_BYTES + 1, VHOST_FLAG_VERSION, -EMSGSIZE},
		{UINT32_MAX, VHOST_FLAG_VERSION | VHOST_FLAG_REPLY, -EMSGSIZE},
		{UINT32_MAX - 11, VHOST_FLAG_VERSION, -EMSGSIZE},
		{0, 0, -EPROTO},
		{0, 2, -EPROTO},
		{0, 3, -EPROTO},
	};
	struct vhost_header header;
	struct pair p;

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		pair_open(&p);
		header = header_of(lies[i].bytes);
		header.flags = lies[i].flags;
		send_raw(p.a.fd, &header, sizeof(header), p.a.fd, 1);
		CU_ASSERT_EQUAL(vhost_recv(&p.b, in_ns(LONG_NS)), lies[i].rc);
		CU_ASSERT_EQUAL(vhost_recv(&p.b, in_ns(LONG_NS)), lies[i].rc);
		CU_ASSERT_EQUAL(p.b.nr_protocol_errors, 1);
		pair_close(&p);
	}
}

static void a_peer_that_stops_in_the_middle_times_out(void)
{
	struct vhost_header header = header_of(4);
	struct pair p;

	for (size_t len = 1; len < sizeof(header) + 4; len += 7) {
		uint8_t bytes[sizeof(header) + 4] = {0};

		pair_open(&p);
		memcpy(bytes, &header, sizeof(header));
		send_raw(p.a.fd, bytes, len, p.a.fd, 1);
		p.b.stall_ns = SOON_NS;
		CU_ASSERT_EQUAL(vhost_recv(&p.b, in_ns(LONG_NS)), -ETIMEDOUT);
		CU_ASSERT_EQUAL(vhost_recv_step(&p.b), -ETIMEDOUT);
		CU_ASSERT_EQUAL(p.b.nr_protocol_errors, 1);
		pair_close(&p);
	}
}

static void a_trickle_does_not_prolong_the_time(void)
{
	struct vhost_header header = header_of(0);
	struct pair p;

	pair_open(&p);
	send_raw(p.a.fd, &header, 4, -1, 0);
	CU_ASSERT_EQUAL(vhost_recv_step(&p.b), 0);
	p.b.begun_ns -= VHOST_STALL_NS;
	send_raw(p.a.fd, &header, 4, -1, 0);
	CU_ASSERT_EQUAL(vhost_recv_step(&p.b), -ETIMEDOUT);
	pair_close(&p);
}

static void a_deadline_in_the_middle_ends_it_and_one_before_does_not(void)
{
	struct vhost_header header = header_of(0);
	struct pair p;

	pair_open(&p);
	CU_ASSERT_EQUAL(vhost_recv(&p.b, in_ns(SOON_NS)), -ETIMEDOUT);
	CU_ASSERT_EQUAL(vhost_recv(&p.b, 0), -ETIMEDOUT);
	CU_ASSERT_EQUAL(send_u64(&p.a, 1, 7), 0);
	CU_ASSERT_EQUAL(vhost_recv(&p.b, 0), 0);
	CU_ASSERT_TRUE(has_u64(&p.b, 1, 7));
	send_raw(p.a.fd, &header, 3, -1, 0);
	CU_ASSERT_EQUAL(vhost_recv(&p.b, in_ns(SOON_NS)), -ETIMEDOUT);
	CU_ASSERT_EQUAL(p.b.error, -ETIMEDOUT);
	pair_close(&p);
}

static void a_peer_that_does_not_read_times_out(void)
{
	struct vhost_out out = {.request = VHOST_GET_FEATURES};
	int rc = 0, room = 4096;
	unsigned int nr = 0;
	struct pair p;

	pair_open(&p);
	CU_ASSERT_EQUAL(setsockopt(p.a.fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)), 0);
	for (; !rc && nr < 100000; nr++)
		rc = vhost_send(&p.a, &out, in_ns(SOON_NS));
	CU_ASSERT_EQUAL(rc, -ETIMEDOUT);
	CU_ASSERT_EQUAL(vhost_send(&p.a, &out, in_ns(LONG_NS)), -ETIMEDOUT);
	CU_ASSERT_EQUAL(p.a.nr_sent, nr - 1);
	pair_close(&p);
}

static void a_peer_that_leaves_is_seen_without_a_signal(void)
{
	struct vhost_header header = header_of(0);
	struct pair p;

	for (unsigned int half = 0; half < 2; half++) {
		pair_open(&p);
		if (half)
			send_raw(p.a.fd, &header, 5, -1, 0);
		vhost_conn_close(&p.a);
		vhost_conn_close(&p.a);
		CU_ASSERT_EQUAL(vhost_recv(&p.b, in_ns(LONG_NS)), -ECONNRESET);
		CU_ASSERT_EQUAL(send_u64(&p.b, 1, 1), -ECONNRESET);
		CU_ASSERT_EQUAL(send_u64(&p.a, 1, 1), -ENOTCONN);
		pair_close(&p);

		pair_open(&p);
		vhost_conn_close(&p.a);
		CU_ASSERT_EQUAL(send_u64(&p.b, 1, 1), -ECONNRESET);
		pair_close(&p);
	}
}

static void what_was_sent_before_the_peer_left_is_still_received(void)
{
	struct pair p;

	pair_open(&p);
	CU_ASSERT_EQUAL(send_u64(&p.a, 1, 5), 0);
	vhost_conn_close(&p.a);
	CU_ASSERT_EQUAL(vhost_recv(&p.b, in_ns(LONG_NS)), 0);
	CU_ASSERT_TRUE(has_u64(&p.b, 1, 5));
	CU_ASSERT_EQUAL(vhost_recv(&p.b, in_ns(LONG_NS)), -ECONNRESET);
	pair_close(&p);
}

static void what_is_too_large_to_send_is_refused_and_nothing_is_sent(void)
{
	static const uint8_t bytes[VHOST_MAX_PAYLOAD_BYTES + 1];
	struct vhost_out out = {.payload = bytes, .bytes = sizeof(bytes)};
	int fds[VHOST_MAX_FDS + 1] = {0};
	struct pair p;

	pair_open(&p);
	CU_ASSERT_EQUAL(vhost_send(&p.a, &out, in_ns(LONG_NS)), -EINVAL);
	out.bytes--;
	out.fds = fds;
	out.nr_fds = VHOST_MAX_FDS + 1;
	CU_ASSERT_EQUAL(vhost_send(&p.a, &out, in_ns(LONG_NS)), -EINVAL);
	CU_ASSERT_EQUAL(vhost_recv_step(&p.b), 0);
	out.nr_fds--;
	CU_ASSERT_EQUAL(vhost_send(&p.a, &out, in_ns(LONG_NS)), 0);
	CU_ASSERT_EQUAL(vhost_recv(&p.b, in_ns(LONG_NS)), 0);
	CU_ASSERT_EQUAL(p.b.header.bytes, VHOST_MAX_PAYLOAD_BYTES);
	CU_ASSERT_EQUAL(p.b.nr_fds, VHOST_MAX_FDS);
	pair_close(&p);
}

/* Of a message that came, and of one that nobody received. */
static void files_whose_close_waits_keep_nobody(void)
{
	struct vhost_header header = header_of(0);
	struct late_reader reader;
	struct pair p;

	pair_open(&p);
	for (unsigned int i = 0; i < 2; i++) {
		int fd = lingering_socket(&reader.peers[i]);

		send_raw(p.a.fd, &header, sizeof(header), fd, 1);
		close(fd);
	}
	late_reader_begin(&reader, 2);
	CU_ASSERT_EQUAL(vhost_recv(&p.b, in_ns(LONG_NS)), 0);
	CU_ASSERT_EQUAL(vhost_expect(&p.b, 0, 0), -EPROTO);
	vhost_conn_close(&p.b);
	CU_ASSERT_EQUAL(vhost_recv(&p.a, in_ns(LONG_NS)), -ECONNRESET);
	CU_ASSERT_FALSE(late_reader_end(&reader));
	pair_close(&p);
}

static void whose_files_cannot_be_closed_is_received_from_no_more(void)
{
	int fds[2], peer;
	struct pair p;

	pair_open(&p);
	closer_close(lingering_socket(&peer), &p.b);
	CU_ASSERT_EQUAL_FATAL(pipe2(fds, O_CLOEXEC), 0);
	for (unsigned int i = 1; i < CLOSER_OWNER_FDS; i++)
		closer_close(fcntl(fds[0], F_DUPFD_CLOEXEC, 0), &p.b);
	close(fds[0]);
	close(fds[1]);
	CU_ASSERT_EQUAL(send_u64(&p.b, 1, 1), 0);
	CU_ASSERT_EQUAL(vhost_recv(&p.a, in_ns(LONG_NS)), 0);
	CU_ASSERT_EQUAL(vhost_recv_step(&p.b), -ENOBUFS);
	close(peer);
	pair_close(&p);
}

static const struct unit_test tests[] = {
	{"payload, flags and fds arrive as they were sent, close-on-exec",
	 payload_flags_and_fds_arrive_as_they_were_sent},
	{"a message that comes byte by byte is put together", a_message_that_comes_byte_by_byte_is_put_together},
	{"messages sent back to back keep apart, with their fds", messages_sent_back_to_back_keep_apart_with_their_fds},
	{"nothing is left of an earlier payload", nothing_is_left_of_an_earlier_payload},
	{"fds that nobody took are closed with the next message",
	 fds_that_nobody_took_are_closed_with_the_next_message},
	{"too many fds are all closed and end the connection", too_many_fds_are_all_closed_and_end_the_connection},
	{"fds spread over one message are bounded too", fds_spread_over_one_message_are_bounded_too},
	{"files whose close waits keep nobody", files_whose_close_waits_keep_nobody},
	{"whose files cannot be closed is received from no more",
	 whose_files_cannot_be_closed_is_received_from_no_more},
	{"a message of another shape is refused and its fds closed",
	 a_message_of_another_shape_is_refused_and_its_fds_closed},
	{"lengths and versions that cannot be end the connection",
	 lengths_and_versions_that_cannot_be_end_the_connection},
	{"a peer that stops in the middle of a message times out", a_peer_that_stops_in_the_middle_times_out},
	{"a trickle of bytes does not prolong the time", a_trickle_does_not_prolong_the_time},
	{"a deadline within a message ends the connection, one before it does not",
	 a_deadline_in_the_middle_ends_it_and_one_before_does_not},
	{"a peer that does not read times out", a_peer_that_does_not_read_times_out},
	{"a peer that leaves is seen, without a signal", a_peer_that_leaves_is_seen_without_a_signal},
	{"what was sent before the peer left is still received", what_was_sent_before_the_peer_left_is_still_received},
	{"what is too large to send is refused and nothing is sent",
	 what_is_too_large_to_send_is_refused_and_nothing_is_sent},
};

UNIT_MAIN("drivers/net/vhost_user/vhost_msg", tests)
