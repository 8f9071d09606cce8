/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_session.c - a vhost port and its front ends: what is agreed on, rings that come and go, front ends that come and
 * go, memory that does; who sleeps, and what a back end finds that comes after one that died.
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <quoll/listen.h>

#include "front.h"
#include "net/vhost/vhost.h"

/* One frame each way. */
static void check_frames(struct front *f, uint16_t id)
{
	struct quoll_buf *buf;
	uint32_t bytes;
	uint16_t got;
	bool written;

	front_send_frame(f, 0, id, 'f', 60);
	CU_ASSERT_EQUAL_FATAL(front_rx(f, 0, &buf, 1), 1);
	CU_ASSERT_TRUE(front_is(buf, 'f', 60));
	front_post(f, 0, id, FRONT_BUF_BYTES);
	CU_ASSERT_EQUAL_FATAL(front_tx(f, 0, &buf, 1), 1);
	CU_ASSERT_TRUE(front_used(f, 0, &got, &bytes, &written));
	CU_ASSERT_EQUAL(bytes, 72);
	CU_ASSERT_TRUE(front_used(f, 1, &got, &bytes, &written));
}

static void options_out_of_range_are_refused(void)
{
	static const char *const wrong[] = {"vhost:/tmp/x?queues=0",   "vhost:/tmp/x?queues=65",
					    "vhost:/tmp/x?queues=a",   "vhost:/tmp/x?client=2",
					    "vhost:/tmp/x?packed=yes", "vhost:/nowhere/at/all"};
	struct quoll_port_info info;
	struct quoll_port *port;
	struct fix f;

	fix_open(&f);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		CU_ASSERT_TRUE(fix_port_try(&f, wrong[i], &port) < 0);
	port = fix_port(&f, "vhost:/tmp/quoll-vhost-options.sock?queues=3");
	quoll_port_info(port, &info);
	CU_ASSERT_EQUAL(info.max_rxqs, 3);
	quoll_port_close(port);
	CU_ASSERT_NOT_EQUAL(access("/tmp/quoll-vhost-options.sock", F_OK), 0);
	fix_close(&f);
}

static uint64_t offered(struct front *f)
{
	CU_ASSERT_TRUE(front_get(f, VHOST_GET_FEATURES, NULL, 0));
	return f->conn.payload.u64;
}

static void what_is_offered_follows_from_settings(void)
{
	static const struct {
		const char *options;
		uint32_t offloads;
		unsigned int nr_pairs;
		uint64_t yes, no;
	} cases[] = {
		{"", 0, 1, VIRTIO_F_RING_PACKED | VIRTIO_NET_F_MRG_RXBUF | VIRTIO_F_EVENT_IDX,
		 VIRTIO_NET_F_CSUM | VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_MQ | VHOST_F_LOG_ALL},
		{"?packed=0", QUOLL_OFFLOAD_RX_L4_CSUM, 2, VIRTIO_NET_F_CSUM | VIRTIO_NET_F_MQ,
		 VIRTIO_F_RING_PACKED | VIRTIO_NET_F_HOST_TSO4 | VIRTIO_NET_F_GUEST_CSUM},
		{"", QUOLL_OFFLOAD_RX_GSO, 1, VIRTIO_NET_F_CSUM | VIRTIO_NET_F_HOST_TSO4 | VIRTIO_NET_F_HOST_TSO6,
		 VIRTIO_NET_F_HOST_UFO | VIRTIO_NET_F_GUEST_TSO4},
		{"", QUOLL_OFFLOAD_TX_L4_CSUM | QUOLL_OFFLOAD_TX_TSO6, 1,
		 VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO6, VIRTIO_NET_F_GUEST_TSO4 | VIRTIO_NET_F_CSUM},
	};
	struct front f;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		front_open(&f, cases[i].options, cases[i].nr_pairs);
		f.settings.offloads = cases[i].offloads;
		front_start(&f);
		front_connect(&f);
		CU_ASSERT_EQUAL(offered(&f) & cases[i].yes, cases[i].yes);
		CU_ASSERT_EQUAL(f.conn.payload.u64 & cases[i].no, 0);
		front_close(&f);
	}
}

static void a_ring_is_used_from_the_last_word_on(void)
{
	struct quoll_buf *buf;
	struct front f;

	front_up(&f, 0, 1);
	CU_ASSERT_EQUAL(front_ask_state(&f, VHOST_SET_VRING_ENABLE, 1, 0), 0);
	front_send_frame(&f, 0, 0, 'a', 60);
	CU_ASSERT_EQUAL(front_rx(&f, 0, &buf, 1), 0);
	CU_ASSERT_TRUE(front_link(&f)); /* the other ring is there */
	CU_ASSERT_EQUAL(front_ask_state(&f, VHOST_SET_VRING_ENABLE, 1, 1), 0);
	CU_ASSERT_EQUAL_FATAL(front_rx(&f, 0, &buf, 1), 1);
	front_put(&f, &buf, 1);
	front_close(&f);
}

static void a_ring_that_is_stopped_says_where_it_was_with(uint64_t features)
{
	struct front f;

	front_up(&f, features, 1);
	for (unsigned int i = 0; i < 300; i++)
		check_frames(&f, (uint16_t)(i % FRONT_SIZE));
	for (unsigned int i = 0; i < 2; i++) {
		struct vhost_vring_state state = {.idx = i};

		CU_ASSERT_TRUE(front_get(&f, VHOST_GET_VRING_BASE, &state, sizeof(state)));
		/* Packed: 300 is 44 in the second turn. */
		CU_ASSERT_EQUAL(f.conn.payload.state.num, features ? 44 | 44 << 16 : 300);
	}
	CU_ASSERT_FALSE(front_link(&f));
	/* And goes on from there. */
	for (unsigned int i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL(front_ask_state(&f, VHOST_SET_VRING_BASE, i, features ? 44 : 300), 0);
		CU_ASSERT_EQUAL(front_set_kick(&f, i, f.rings[i].kick_fd), 0);
	}
	CU_ASSERT_TRUE(front_link(&f));
	check_frames(&f, 0);
	front_close(&f);
}
BOTH(a_ring_that_is_stopped_says_where_it_was)

static void front_ends_come_and_go_with(uint64_t features)
{
	struct front f;

	front_up(&f, features, 1);
	for (unsigned int i = 0; i < 5; i++) {
		check_frames(&f, 1);
		front_disconnect(&f);
		front_await_link(&f, false);
		front_connect(&f);
		front_hello(&f);
		CU_ASSERT_TRUE(front_link(&f));
	}
	check_frames(&f, 1);
	CU_ASSERT_EQUAL(front_xstat(&f, "sessions"), 6);
	CU_ASSERT_EQUAL(front_xstat(&f, "sessions_ended_as_bad"), 0);
	/* So do starts and stops of the port. */
	CU_ASSERT_EQUAL(quoll_port_stop(f.port), 0);
	CU_ASSERT_EQUAL(vhost_recv(&f.conn, fd_socket_now_ns() + 20000000000u), -ECONNRESET);
	front_disconnect(&f);
	front_start(&f);
	front_connect(&f);
	front_hello(&f);
	check_frames(&f, 1);
	front_close(&f);
}
BOTH(front_ends_come_and_go)

static void one_front_end_at_a_time(void)
{
	struct front f, other;

	front_up(&f, 0, 1);
	other = f;
	front_connect(&other);
	front_send(&other, VHOST_GET_FEATURES, NULL, 0, NULL, 0);
	for (unsigned int i = 0; i < 10; i++)
		front_turn(&f);
	CU_ASSERT_EQUAL(vhost_recv_step(&other.conn), 0);
	check_frames(&f, 1);
	front_disconnect(&f);
	CU_ASSERT_FALSE(front_is_gone(&other)); /* the answer */
	CU_ASSERT_EQUAL(other.conn.header.request, VHOST_GET_FEATURES);
	front_disconnect(&other);
	front_close(&f);
}

static void a_client_connects_again_and_again(void)
{
	struct quoll_listen listen;
	struct quoll_error err;
	struct front f;
	uint64_t deadline = fd_socket_now_ns() + 20000000000u;
	int fd;

	front_open(&f, "?client=1", 1);
	front_start(&f);
	front_turn(&f);
	front_memory(&f, true);
	CU_ASSERT_EQUAL_FATAL(quoll_listen_open(f.path, &listen, &err), 0);
	for (unsigned int i = 0; i < 2; i++) {
		do {
			front_turn(&f);
			fd = accept4(listen.fd, NULL, NULL, SOCK_CLOEXEC);
		} while (fd < 0 && fd_socket_now_ns() < deadline);
		CU_ASSERT_TRUE_FATAL(fd >= 0);
		vhost_conn_init(&f.conn, fd);
		front_hello(&f);
		check_frames(&f, 1);
		front_disconnect(&f);
		front_await_link(&f, false);
	}
	quoll_listen_close(&listen);
	front_close(&f);
}

static void answers_are_given_where_they_are_wanted(void)
{
	struct front f;

	front_up(&f, 0, 1);
	CU_ASSERT_EQUAL(front_ask_u64(&f, VHOST_NET_SET_MTU, 1500), 0);
	CU_ASSERT_EQUAL(front_ask_u64(&f, VHOST_NET_SET_MTU, 1501), 1);
	CU_ASSERT_EQUAL(front_ask_u64(&f, VHOST_NET_SET_MTU, 0), 1);
	CU_ASSERT_EQUAL(front_ask_u64(&f, VHOST_SET_STATUS, 15), 0);
	CU_ASSERT_TRUE(front_get(&f, VHOST_GET_STATUS, NULL, 0));
	CU_ASSERT_EQUAL(f.conn.payload.u64, 15);
	CU_ASSERT_TRUE(front_get(&f, VHOST_GET_QUEUE_NUM, NULL, 0));
	CU_ASSERT_EQUAL(f.conn.payload.u64, 1);
	CU_ASSERT_TRUE(front_get(&f, VHOST_GET_MAX_MEM_SLOTS, NULL, 0));
	CU_ASSERT_TRUE(f.conn.payload.u64 >= 8);
	/* A reset of the device. */
	CU_ASSERT_TRUE(front_link(&f));
	CU_ASSERT_EQUAL(front_ask_u64(&f, VHOST_SET_STATUS, 0), 0);
	CU_ASSERT_FALSE(front_link(&f));
	CU_ASSERT_EQUAL(front_xstat(&f, "requests_refused"), 2);
	front_close(&f);
}

static void memory_comes_and_goes_slot_by_slot(void)
{
	struct vhost_mem_reg reg = {.region = front_region()};
	struct front f;

	front_up(&f, 0, 1);
	check_frames(&f, 0);
	CU_ASSERT_EQUAL(front_ask(&f, VHOST_REM_MEM_REG, &reg, sizeof(reg), NULL, 0), 0);
	CU_ASSERT_FALSE(front_link(&f));
	CU_ASSERT_EQUAL(front_ask(&f, VHOST_REM_MEM_REG, &reg, sizeof(reg), NULL, 0), 1);
	CU_ASSERT_EQUAL(front_ask(&f, VHOST_ADD_MEM_REG, &reg, sizeof(reg), &f.mem_fd, 1), 0);
	CU_ASSERT_TRUE(front_link(&f));
	check_frames(&f, 1);
	/* The table at once: the same memory again. */
	CU_ASSERT_EQUAL(front_set_mem_table(&f), 0);
	check_frames(&f, 2);
	front_close(&f);
}

/* Agreed, and both rings told of but for the memory that they lie in, which comes last. */
static void hello_without_memory(struct front *f)
{
	front_connect(f);
	front_send(f, VHOST_SET_PROTOCOL_FEATURES, &(uint64_t){FRONT_PROTOCOL}, 8, NULL, 0);
	CU_ASSERT_EQUAL(front_ask_u64(f, VHOST_SET_FEATURES, f->features), 0);
	for (unsigned int i = 0; i < 2; i++) {
		front_ring_init(f, i);
		CU_ASSERT_EQUAL(front_set_kick(f, i, f->rings[i].kick_fd), 0);
		CU_ASSERT_EQUAL(front_ask_state(f, VHOST_SET_VRING_ENABLE, i, 1), 0);
		CU_ASSERT_EQUAL(front_set_addr(f, i), 0);
		CU_ASSERT_EQUAL(front_ask_state(f, VHOST_SET_VRING_BASE, i, f->packed ? 1u << 15 : 0), 0);
		CU_ASSERT_EQUAL(front_ask_state(f, VHOST_SET_VRING_NUM, i, f->size), 0);
	}
	CU_ASSERT_FALSE(front_link(f));
}

/* Where ring idx is after one frame each way. */
static void ask_base(struct front *f, unsigned int idx)
{
	struct vhost_vring_state state = {.idx = idx};

	CU_ASSERT_TRUE(front_get(f, VHOST_GET_VRING_BASE, &state, sizeof(state)));
	CU_ASSERT_EQUAL(f->conn.payload.state.num, f->packed ? 0x80018001 : 1);
}

static void words_come_in_any_order_with(uint64_t features)
{
	struct vhost_mem_reg reg = {.region = front_region()};
	struct quoll_buf *buf;
	struct front f;

	front_open(&f, "", 1);
	f.features |= features;
	f.packed = features;
	front_start(&f);
	front_memory(&f, true);
	hello_without_memory(&f);
	CU_ASSERT_EQUAL(front_set_mem_table(&f), 0);
	CU_ASSERT_TRUE(front_link(&f));
	check_frames(&f, 0);
	/* Asked twice, and once more when the memory has gone from under the other ring. */
	ask_base(&f, 1);
	ask_base(&f, 1);
	front_send_frame(&f, 0, 1, 's', 60);
	CU_ASSERT_EQUAL(front_rx(&f, 0, &buf, 1), 0);
	CU_ASSERT_TRUE(front_link(&f));
	CU_ASSERT_EQUAL(front_ask(&f, VHOST_REM_MEM_REG, &reg, sizeof(reg), NULL, 0), 0);
	CU_ASSERT_FALSE(front_link(&f));
	ask_base(&f, 1);
	ask_base(&f, 0);
	for (unsigned int i = 0; i < 2; i++)
		CU_ASSERT_EQUAL(front_set_kick(&f, i, f.rings[i].kick_fd), 0);
	CU_ASSERT_EQUAL(front_ask(&f, VHOST_ADD_MEM_REG, &reg, sizeof(reg), &f.mem_fd, 1), 0);
	CU_ASSERT_EQUAL_FATAL(front_rx(&f, 0, &buf, 1), 1);
	CU_ASSERT_TRUE(front_is(buf, 's', 60));
	front_put(&f, &buf, 1);
	CU_ASSERT_EQUAL(front_xstat(&f, "requests_refused"), 0);
	front_close(&f);
}
BOTH(words_come_in_any_order)

/* Of the guest's memory. */
static unsigned int nr_mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned int nr = 0;
	char line[512];

	CU_ASSERT_PTR_NOT_NULL_FATAL(maps);
	while (fgets(line, sizeof(line), maps))
		nr += strstr(line, "/memfd:guest") != NULL;
	fclose(maps);
	return nr;
}

/* Files where none belong, half a message, nothing. No more files than may wait to be closed; front_close() counts. */
static void front_ends_that_go_leave_nothing_behind(void)
{
	unsigned int kind;
	struct front f;

	front_up(&f, VIRTIO_F_RING_PACKED, 1);
	CU_ASSERT_EQUAL(nr_mappings(), 2);
	front_disconnect(&f);
	front_await_link(&f, false);
	for (unsigned int i = 0; i < 120; i++) {
		kind = i % 6;
		if (kind == 5) {
			hello_without_memory(&f);
			CU_ASSERT_EQUAL(front_set_mem_table(&f), 0);
		} else {
			front_connect(&f);
		}
		if (kind == 1)
			CU_ASSERT_EQUAL(send(f.conn.fd, &(uint32_t){VHOST_SET_MEM_TABLE}, 4, MSG_NOSIGNAL), 4);
		if (kind == 2 || kind == 3)
			front_send(&f, VHOST_SET_OWNER, NULL, 0, (int[]){f.mem_fd, f.rings[0].kick_fd, f.mem_fd}, 3);
		if (kind == 3)
			CU_ASSERT_TRUE(front_is_gone(&f));
		if (kind == 4)
			front_send(&f, VHOST_SET_VRING_KICK, &(uint64_t){1}, 8, &f.rings[1].kick_fd, 1);
		front_disconnect(&f);
		while (((struct vhost_port *)f.port)->connected || front_xstat(&f, "sessions") < i + 2)
			front_turn(&f);
	}
	CU_ASSERT_EQUAL(nr_mappings(), 1);
	front_connect(&f);
	front_hello(&f);
	check_frames(&f, 1);
	front_close(&f);
}

static void a_guest_that_moved_here_is_announced(void)
{
	uint8_t mac[8] = {2, 1, 2, 3, 4, 5};
	struct quoll_buf *buf;
	struct front f;

	front_up(&f, 0, 1);
	CU_ASSERT_EQUAL(front_ask(&f, VHOST_SEND_RARP, mac, sizeof(mac), NULL, 0), 0);
	CU_ASSERT_EQUAL_FATAL(front_rx(&f, 0, &buf, 1), 1);
	CU_ASSERT_EQUAL(buf->total_bytes, 60);
	CU_ASSERT_EQUAL(memcmp((uint8_t *)quoll_buf_data(buf) + 6, mac, 6), 0);
	CU_ASSERT_EQUAL(memcmp((uint8_t *)quoll_buf_data(buf) + 12, "\x80\x35", 2), 0);
	front_put(&f, &buf, 1);
	CU_ASSERT_EQUAL(front_rx(&f, 0, &buf, 1), 0);
	front_close(&f);
}

/* Sleeping. */

static bool readable(int fd)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};

	return poll(&pfd, 1, 0) == 1;
}

static void kick(struct front *f, unsigned int idx)
{
	uint64_t one = 1;

	CU_ASSERT_EQUAL(write(f->rings[idx].kick_fd, &one, sizeof(one)), sizeof(one));
}

static bool wants_kicks(struct front *f)
{
	if (f->packed)
		return ((struct virtq_packed_event *)(f->rings[1].mem + FRONT_USED))->flags == VIRTQ_EVENT_ENABLE;
	return !(((struct virtq_used *)(f->rings[1].mem + FRONT_USED))->flags & VIRTQ_USED_NO_NOTIFY);
}

static void a_sleeper_is_woken_by_kicks_and_by_the_socket_with(uint64_t features)
{
	struct quoll_rxq *rxq;
	struct quoll_buf *buf;
	struct front f;

	front_open(&f, "", 1);
	f.features |= features;
	f.packed = features;
	front_start(&f);
	front_memory(&f, true);
	rxq = quoll_port_rxq(f.port, 0);
	CU_ASSERT_TRUE_FATAL(quoll_rxq_fd(rxq) >= 0);
	CU_ASSERT_EQUAL(quoll_rxq_arm(rxq), 0);
	quoll_rxq_disarm(rxq);
	CU_ASSERT_FALSE(readable(quoll_rxq_fd(rxq)));
	front_connect(&f);
	CU_ASSERT_TRUE(readable(quoll_rxq_fd(rxq)));
	front_hello(&f);
	/* A ring was handed out. */
	CU_ASSERT_TRUE(readable(quoll_rxq_fd(rxq)));
	quoll_rxq_disarm(rxq);
	CU_ASSERT_FALSE(readable(quoll_rxq_fd(rxq)));
	CU_ASSERT_FALSE(wants_kicks(&f));
	for (unsigned int i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(quoll_rxq_arm(rxq), 0);
		CU_ASSERT_TRUE(wants_kicks(&f));
		front_send_frame(&f, 0, (uint16_t)i, 'k', 60);
		kick(&f, 1);
		CU_ASSERT_TRUE(readable(quoll_rxq_fd(rxq)));
		quoll_rxq_disarm(rxq);
		CU_ASSERT_FALSE(readable(quoll_rxq_fd(rxq)));
		CU_ASSERT_FALSE(wants_kicks(&f));
		/* Not slept on: there is something. */
		CU_ASSERT_EQUAL(quoll_rxq_arm(rxq), 1);
		quoll_rxq_disarm(rxq);
		CU_ASSERT_EQUAL(front_rx(&f, 0, &buf, 1), 1);
		front_put(&f, &buf, 1);
	}
	front_disconnect(&f);
	CU_ASSERT_TRUE(readable(quoll_rxq_fd(rxq)));
	front_close(&f);
}
BOTH(a_sleeper_is_woken_by_kicks_and_by_the_socket)

/* Inflight. */

static int take_inflight(struct front *f, struct vhost_inflight *what)
{
	*what = (struct vhost_inflight){.nr_queues = 2, .queue_size = FRONT_SIZE};
	CU_ASSERT_TRUE_FATAL(front_get(f, VHOST_GET_INFLIGHT_FD, what, sizeof(*what)));
	CU_ASSERT_EQUAL_FATAL(f->conn.nr_fds, 1);
	*what = f->conn.payload.in_flight;
	return vhost_take_fd(&f->conn, 0);
}

/* Another connection; @what: NULL: without memory that outlives it. */
static void up_with_inflight(struct front *f, const struct vhost_inflight *what, int fd, bool fresh)
{
	front_connect(f);
	front_send(f, VHOST_SET_PROTOCOL_FEATURES, &(uint64_t){FRONT_PROTOCOL}, 8, NULL, 0);
	CU_ASSERT_EQUAL(front_ask_u64(f, VHOST_SET_FEATURES, f->features), 0);
	CU_ASSERT_EQUAL(front_set_mem_table(f), 0);
	if (what)
		CU_ASSERT_EQUAL(front_ask(f, VHOST_SET_INFLIGHT_FD, what, sizeof(*what), &fd, 1), 0);
	for (unsigned int i = 0; i < 2; i++) {
		if (fresh)
			front_ring_init(f, i);
		front_start_ring(f, i);
	}
}

/* A back end dies (to the rings it is the same as a connection that ends), and the front end says that they are at
 * their beginning, as DPDK's does: the next one goes on where they are. */
static void the_next_back_end_goes_on_with(uint64_t features)
{
	struct vhost_inflight what;
	struct front f;
	int fd;

	front_up(&f, features, 1);
	fd = take_inflight(&f, &what);
	front_disconnect(&f);
	front_await_link(&f, false);
	up_with_inflight(&f, &what, fd, true);
	for (unsigned int round = 0; round < 3; round++) {
		for (unsigned int i = 0; i < 150; i++)
			check_frames(&f, (uint16_t)i);
		front_disconnect(&f);
		front_await_link(&f, false);
		up_with_inflight(&f, &what, fd, false);
	}
	check_frames(&f, 7);
	/* Given once more, the rings let go of what goes away; and of what was for rings of the other kind. */
	CU_ASSERT_EQUAL(front_ask(&f, VHOST_SET_INFLIGHT_FD, &what, sizeof(what), &fd, 1), 0);
	check_frames(&f, 8);
	front_disconnect(&f);
	front_await_link(&f, false);
	up_with_inflight(&f, &what, fd, true);
	CU_ASSERT_PTR_NOT_NULL(((struct vhost_port *)f.port)->vrings[0].ring.inflight_split);
	CU_ASSERT_EQUAL(front_ask_u64(&f, VHOST_SET_FEATURES, f.features ^ VIRTIO_F_RING_PACKED), 0);
	CU_ASSERT_PTR_NULL(((struct vhost_port *)f.port)->vrings[0].ring.inflight_split);
	close(fd);
	front_close(&f);
}
BOTH(the_next_back_end_goes_on)

/* It died with three chains given back of a call, one of them of two slots, and had not written down that they are. */
static void what_was_given_back_before_the_end_is_not_taken_again(void)
{
	struct front_desc two[] = {{front_buf(50), 12, 0}, {front_buf(50) + 12, 60, 0}};
	struct vhost_inflight what;
	struct quoll_buf *bufs[8];
	uint8_t *noted, before[32];
	struct front f;
	int fd;

	front_up(&f, VIRTIO_F_RING_PACKED, 1);
	fd = take_inflight(&f, &what);
	front_disconnect(&f);
	front_await_link(&f, false);
	up_with_inflight(&f, &what, fd, true);
	noted = mmap(NULL, what.mmap_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CU_ASSERT_PTR_NOT_EQUAL_FATAL(noted, MAP_FAILED);
	memcpy(before, noted + what.mmap_bytes / 2, sizeof(before));
	front_send_frame(&f, 0, 1, 'a', 60);
	front_frame(&f, 50, 'b', 60);
	front_chain(&f, 1, 50, two, 2);
	front_send_frame(&f, 0, 3, 'c', 60);
	CU_ASSERT_EQUAL_FATAL(front_rx(&f, 0, bufs, 8), 3);
	front_put(&f, bufs, 3);
	front_disconnect(&f);
	front_await_link(&f, false);
	memcpy(noted + what.mmap_bytes / 2, before, sizeof(before));
	up_with_inflight(&f, &what, fd, false);
	CU_ASSERT_EQUAL(front_rx(&f, 0, bufs, 8), 0);
	front_send_frame(&f, 0, 4, 'd', 60);
	CU_ASSERT_EQUAL_FATAL(front_rx(&f, 0, bufs, 8), 1);
	CU_ASSERT_TRUE(front_is(bufs[0], 'd', 60));
	front_put(&f, bufs, 1);
	munmap(noted, what.mmap_bytes);
	close(fd);
	front_close(&f);
}

/* QEMU's netdev keeps no such memory, and says of a packed ring whose back end died that it is where it once began. */
static void a_packed_ring_itself_tells_where_it_is(void)
{
	static const struct {
		unsigned int nr_before, nr_out;
	} cases[] = {{0, 0},	 {0, 3},   {0, 256},   {100, 0}, {100, 5},   {100, 156}, {100, 200},
		     {100, 256}, {255, 1}, {255, 2},   {256, 0}, {256, 256}, {300, 0},	 {300, 250},
		     {511, 1},	 {511, 2}, {511, 256}, {767, 2}, {1023, 200}};
	struct quoll_buf *buf;
	uint32_t bytes;
	struct front f;
	uint16_t id;
	bool written;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		front_up(&f, VIRTIO_F_RING_PACKED, 1);
		for (unsigned int k = 0; k < cases[i].nr_before; k++)
			check_frames(&f, (uint16_t)(k % FRONT_SIZE));
		for (uint16_t k = 0; k < cases[i].nr_out; k++) {
			front_post(&f, 0, k, FRONT_BUF_BYTES);
			front_send_frame(&f, 0, (uint16_t)(FRONT_SIZE + k), (uint8_t)k, 60);
		}
		front_disconnect(&f);
		front_await_link(&f, false);
		up_with_inflight(&f, NULL, -1, false);
		for (uint16_t k = 0; k < cases[i].nr_out; k++) {
			CU_ASSERT_EQUAL_FATAL(front_rx(&f, 0, &buf, 1), 1);
			CU_ASSERT_TRUE(front_is(buf, (uint8_t)k, 60));
			CU_ASSERT_EQUAL_FATAL(front_tx(&f, 0, &buf, 1), 1);
			CU_ASSERT_TRUE(front_used(&f, 0, &id, &bytes, &written));
			CU_ASSERT_EQUAL(id, k);
			CU_ASSERT_TRUE(front_used(&f, 1, &id, &bytes, &written));
			CU_ASSERT_EQUAL(id, FRONT_SIZE + k);
		}
		check_frames(&f, 0);
		front_close(&f);
	}
}

/* What is left of a chain looks as if it were still to be done. */
static void a_place_behind_a_chain_is_believed(void)
{
	struct front_desc three[] = {{front_buf(50), 12, 0}, {front_buf(50) + 12, 30, 0}, {front_buf(50) + 42, 30, 0}};
	struct vhost_vring_state state = {.idx = 1};
	struct quoll_buf *bufs[2];
	struct front f;

	front_up(&f, VIRTIO_F_RING_PACKED, 1);
	for (unsigned int n = 2; n <= 3; n++) {
		for (unsigned int ahead = 0; ahead < 2; ahead++) {
			front_frame(&f, 50, 'c', 60);
			three[1].bytes = n == 2 ? 60 : 30;
			front_chain(&f, 1, 50, three, n);
			CU_ASSERT_EQUAL_FATAL(front_rx(&f, 0, bufs, 2), 1);
			front_put(&f, bufs, 1);
			if (ahead)
				front_send_frame(&f, 0, 51, 'a', 60);
			CU_ASSERT_TRUE(front_get(&f, VHOST_GET_VRING_BASE, &state, sizeof(state)));
			state.num = f.conn.payload.state.num;
			CU_ASSERT_EQUAL(front_ask_state(&f, VHOST_SET_VRING_BASE, 1, state.num), 0);
			CU_ASSERT_EQUAL(front_set_kick(&f, 1, f.rings[1].kick_fd), 0);
			if (!ahead)
				front_send_frame(&f, 0, 51, 'a', 60);
			CU_ASSERT_EQUAL_FATAL(front_rx(&f, 0, bufs, 2), 1);
			CU_ASSERT_TRUE(front_is(bufs[0], 'a', 60));
			front_put(&f, bufs, 1);
		}
	}
	front_close(&f);
}

/* What QEMU does with a guest's frames while there is no back end: it gives them back, but for @nr_left, since it takes
 * the place that it was told once for the ring's. */
static void qemu_drops(struct front_ring *r, unsigned int nr_left, unsigned int nr_out)
{
	struct virtq_packed_desc *ring = (void *)r->mem;

	for (unsigned int k = nr_left; k < nr_out; k++) {
		uint16_t *flags = &ring[(r->seen + k) % r->size].flags;

		*flags = *flags & VIRTQ_DESC_AVAIL ? VIRTQ_DESC_AVAIL | VIRTQ_DESC_USED : 0;
	}
}

static void frames_that_qemu_leaves_are_given_back(void)
{
	static const struct {
		unsigned int nr_before, nr_out, nr_left;
	} cases[] = {{100, 156, 0},   {100, 256, 156}, {100, 200, 156}, {255, 2, 1}, {255, 256, 1},
		     {356, 157, 156}, {511, 5, 1},     {511, 256, 255}, {3, 10, 10}, {0, 256, 3}};
	uint64_t nr_calls;
	uint32_t bytes;
	struct front f;
	uint16_t id;
	bool written;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool left = cases[i].nr_left && cases[i].nr_left < cases[i].nr_out;

		front_up(&f, VIRTIO_F_RING_PACKED, 1);
		for (unsigned int k = 0; k < cases[i].nr_before; k++)
			check_frames(&f, (uint16_t)(k % FRONT_SIZE));
		for (uint16_t k = 0; k < cases[i].nr_out; k++)
			front_send_frame(&f, 0, k, (uint8_t)k, 60);
		front_disconnect(&f);
		front_await_link(&f, false);
		qemu_drops(&f.rings[1], cases[i].nr_left, cases[i].nr_out);
		up_with_inflight(&f, NULL, -1, false);
		CU_ASSERT_EQUAL(read(f.rings[1].call_fd, &nr_calls, sizeof(nr_calls)) > 0, left);
		for (uint16_t k = 0; k < cases[i].nr_out; k++) {
			struct quoll_buf *buf;

			if (cases[i].nr_left == cases[i].nr_out) {
				CU_ASSERT_EQUAL_FATAL(front_rx(&f, 0, &buf, 1), 1);
				front_put(&f, &buf, 1);
			}
			CU_ASSERT_TRUE_FATAL(front_used(&f, 1, &id, &bytes, &written));
			CU_ASSERT_EQUAL(id, k);
		}
		CU_ASSERT_FALSE(front_used(&f, 1, &id, &bytes, &written));
		check_frames(&f, 7);
		front_close(&f);
	}
}

/* The second one of a chain has its id as well; the driver does not look there. */
static void frames_in_chains_that_qemu_leaves_are_given_back(void)
{
	struct front_desc two[] = {{front_buf(50), 12, 0}, {front_buf(50) + 12, 60, 0}};
	struct virtq_packed_desc *ring;
	struct front f;

	front_up(&f, VIRTIO_F_RING_PACKED, 1);
	front_frame(&f, 50, 'c', 60);
	for (uint16_t id = 50; id < 53; id++)
		front_chain(&f, 1, id, two, 2);
	front_disconnect(&f);
	front_await_link(&f, false);
	ring = (void *)f.rings[1].mem;
	ring[4].flags = VIRTQ_DESC_AVAIL | VIRTQ_DESC_USED;
	ring[2].id = 99;
	up_with_inflight(&f, NULL, -1, false);
	for (unsigned int i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(ring[2 * i].flags, VIRTQ_DESC_AVAIL | VIRTQ_DESC_USED);
		CU_ASSERT_EQUAL(ring[2 * i].id, 50 + i);
	}
	front_close(&f);
}

/* It died while it gave back the three buffers of a frame, of which the guest was to see all or none: the last ones
 * have gone. In the middle of the ring, and across its end. */
static void the_rest_of_a_frame_is_given_back(bool noted, unsigned int nr_before, unsigned int nr_missing)
{
	struct vhost_inflight what;
	struct virtq_packed_desc *ring;
	uint8_t *memory, before[32];
	uint32_t bytes, sum = 0;
	struct quoll_buf *buf;
	struct front f;
	uint16_t id;
	bool written;
	int fd;

	front_up(&f, VIRTIO_F_RING_PACKED | VIRTIO_NET_F_MRG_RXBUF, 1);
	fd = take_inflight(&f, &what);
	front_disconnect(&f);
	front_await_link(&f, false);
	up_with_inflight(&f, noted ? &what : NULL, fd, true);
	for (unsigned int k = 0; k < nr_before; k++)
		check_frames(&f, (uint16_t)(k % FRONT_SIZE));
	memory = mmap(NULL, what.mmap_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CU_ASSERT_PTR_NOT_EQUAL_FATAL(memory, MAP_FAILED);
	memcpy(before, memory, sizeof(before));
	for (uint16_t i = 0; i < 6; i++)
		front_post(&f, 0, i, 512);
	buf = front_make(&f, 'm', 1500, 1);
	CU_ASSERT_EQUAL_FATAL(front_tx(&f, 0, &buf, 1), 1);
	front_disconnect(&f);
	front_await_link(&f, false);
	ring = (void *)f.rings[0].mem;
	for (unsigned int i = 0; i < nr_missing; i++) {
		uint16_t *flags = &ring[(nr_before + i) % FRONT_SIZE].flags;

		*flags = VIRTQ_DESC_WRITE | (*flags & VIRTQ_DESC_AVAIL ? VIRTQ_DESC_AVAIL : VIRTQ_DESC_USED);
	}
	memcpy(memory, before, sizeof(before));
	up_with_inflight(&f, noted ? &what : NULL, fd, false);
	for (uint16_t i = 0; i < 3; i++) {
		CU_ASSERT_TRUE_FATAL(front_used(&f, 0, &id, &bytes, &written));
		CU_ASSERT_TRUE(written);
		CU_ASSERT_EQUAL(id, i);
		sum += bytes;
	}
	CU_ASSERT_EQUAL(sum, 1512);
	CU_ASSERT_FALSE(front_used(&f, 0, &id, &bytes, &written));
	buf = front_make(&f, 'n', 1500, 1);
	CU_ASSERT_EQUAL_FATAL(front_tx(&f, 0, &buf, 1), 1);
	for (uint16_t i = 3; i < 6; i++) {
		CU_ASSERT_TRUE_FATAL(front_used(&f, 0, &id, &bytes, &written));
		CU_ASSERT_EQUAL(id, i);
	}
	check_frames(&f, 9);
	munmap(memory, what.mmap_bytes);
	close(fd);
	front_close(&f);
}

static void a_frame_that_was_being_given_back_is_whole(void)
{
	static const unsigned int places[] = {1, 100, 254, 255, 256, 510, 700};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		for (unsigned int nr_missing = 1; nr_missing < 3; nr_missing++) {
			the_rest_of_a_frame_is_given_back(true, places[i], nr_missing);
			the_rest_of_a_frame_is_given_back(false, places[i], nr_missing);
		}
}

static const struct unit_test tests[] = {
	{"options out of range are refused", options_out_of_range_are_refused},
	{"what is offered follows from options and settings", what_is_offered_follows_from_settings},
	{"a ring is used while it is enabled", a_ring_is_used_from_the_last_word_on},
	{"a ring that is stopped says where it was, and goes on from there", a_ring_that_is_stopped_says_where_it_was},
	{"front ends come and go, and so do starts and stops", front_ends_come_and_go},
	{"one front end at a time, the next waits", one_front_end_at_a_time},
	{"a client connects again and again", a_client_connects_again_and_again},
	{"answers are given where they are wanted", answers_are_given_where_they_are_wanted},
	{"memory comes and goes, slot by slot or as a table", memory_comes_and_goes_slot_by_slot},
	{"words come in any order", words_come_in_any_order},
	{"front ends that go leave nothing behind", front_ends_that_go_leave_nothing_behind},
	{"a guest that moved here is announced", a_guest_that_moved_here_is_announced},
	{"a sleeper is woken by kicks, and by the socket", a_sleeper_is_woken_by_kicks_and_by_the_socket},
	{"the next back end goes on where the rings are", the_next_back_end_goes_on},
	{"a packed ring itself tells where it is", a_packed_ring_itself_tells_where_it_is},
	{"frames that QEMU leaves are given back", frames_that_qemu_leaves_are_given_back},
	{"frames in chains that QEMU leaves are given back", frames_in_chains_that_qemu_leaves_are_given_back},
	{"a place behind a chain is believed", a_place_behind_a_chain_is_believed},
	{"a frame that was being given back at the end is whole", a_frame_that_was_being_given_back_is_whole},
	{"what was given back before the end is not taken again",
	 what_was_given_back_before_the_end_is_not_taken_again},
};

UNIT_MAIN("drivers/net/vhost/session", tests)
