/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_user.c - virtio-user ports and their back ends: options, what is agreed on, memory, back ends that say nonsense,
 * go away, and come back under two threads that poll.
 */
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>

#include "eal/vfio_user/open_fds.h"
#include "net/virtio/user.h"
#include "unit.h"
#include "virtio_fixture.h"

static uint8_t frame[2048];

static bool link_up(const struct vfx *v)
{
	struct quoll_port_link link;

	quoll_port_link(v->port, &link);
	return link.up;
}

/* Until it holds; what never does runs into the time limit of the test program. */
static void poll_until_link(struct vfx *v, bool up)
{
	struct quoll_buf *buf;

	while (link_up(v) != up) {
		while (quoll_rx(&v->rxq->q, &buf, 1))
			vfx_put(v, buf);
		sched_yield();
	}
}

static void options_are_checked(void)
{
	static const char *const bad[] = {"&queues=0", "&queues=33", "&queues=x", "&packed=2", "&server=7", "&speed=1"};
	struct vfx v;

	vfx_init(&v, FIX_BUF_BYTES);
	fake_back_end_run(&v.be);
	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CU_ASSERT_EQUAL(vfx_open(&v, bad[i]), -EINVAL);
	CU_ASSERT_EQUAL(fix_port_try(&v.f, "virtio-user:/nowhere?mac=03:00:00:00:00:01", &v.port), -EINVAL);
	CU_ASSERT_EQUAL(fix_port_try(&v.f, "virtio-user:/nowhere?mac=02:00:00:00:00", &v.port), -EINVAL);
	CU_ASSERT_EQUAL(fix_port_try(&v.f, "virtio-user:/nowhere", &v.port), -ENOENT);
	CU_ASSERT(strlen(v.f.err.hint) > 0);
	v.port = NULL;
	vfx_fini(&v);
}

static void the_port_is_what_the_back_end_can_do(void)
{
	struct quoll_port_info info;
	struct vfx v;

	vfx_init(&v, FIX_BUF_BYTES);
	fake_back_end_run(&v.be);
	CU_ASSERT_EQUAL_FATAL(vfx_open(&v, "&queues=3"), 0);
	quoll_port_info(v.port, &info);
	CU_ASSERT_STRING_EQUAL(info.driver, "virtio-user");
	CU_ASSERT_EQUAL(info.max_rxqs, 3);
	CU_ASSERT_TRUE(info.tx_writable);
	CU_ASSERT_EQUAL(info.mac[5], 1);
	CU_ASSERT_EQUAL(info.rss_types, 0);
	CU_ASSERT_EQUAL(info.offloads, QUOLL_OFFLOAD_RX_L4_CSUM | QUOLL_OFFLOAD_TX_L4_CSUM | QUOLL_OFFLOAD_TX_TSO |
					       QUOLL_OFFLOAD_RX_SCATTER | QUOLL_OFFLOAD_RX_GSO);
	CU_ASSERT_FALSE(link_up(&v));
	CU_ASSERT_EQUAL_FATAL(vfx_start_n(&v, 3, QUOLL_OFFLOAD_TX_L4_CSUM), 0);
	CU_ASSERT(link_up(&v));
	/* No more than what is of use, and never what its name does not promise. */
	CU_ASSERT_EQUAL(v.be.agreed,
			VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX | VIRTIO_NET_F_CSUM | VHOST_F_PROTOCOL_FEATURES);
	CU_ASSERT_EQUAL(v.be.nr_enabled, 6);
	CU_ASSERT_EQUAL(v.be.nr_sessions, 1);
	CU_ASSERT_EQUAL(quoll_port_stop(v.port), 0);
	CU_ASSERT_EQUAL(v.be.nr_stopped, 6);
	CU_ASSERT_FALSE(link_up(&v));
	/* And again, over a new connection. */
	CU_ASSERT_EQUAL_FATAL(vfx_start_n(&v, 1, 0), 0);
	frame_fill(frame, 60, 1);
	vfx_put(&v, vfx_pass(&v, NULL, frame, 60));
	CU_ASSERT_EQUAL(vfx_stats(&v).rx_packets, 1);
	vfx_fini(&v);
}

static void a_plain_back_end_will_do(void)
{
	struct quoll_port_info info;
	struct vfx v;

	vfx_init(&v, FIX_BUF_BYTES);
	v.be.features = VIRTIO_F_VERSION_1;
	fake_back_end_run(&v.be);
	CU_ASSERT_EQUAL_FATAL(vfx_open(&v, ""), 0);
	quoll_port_info(v.port, &info);
	CU_ASSERT_EQUAL(info.max_rxqs, 1);
	CU_ASSERT_EQUAL(info.offloads, 0);
	CU_ASSERT_EQUAL_FATAL(vfx_start_n(&v, 1, 0), 0);
	quoll_port_stop(v.port); /* a question with an answer: all before it has been heard */
	CU_ASSERT_EQUAL(v.be.agreed, VIRTIO_F_VERSION_1);
	vfx_fini(&v);
}

/* What a back end's mtu is nobody says, so nobody can keep to it. */
static void an_mtu_that_is_not_told_is_not_agreed_on(void)
{
	struct quoll_port_info info;
	struct vfx v;

	vfx_init(&v, FIX_BUF_BYTES);
	v.be.features |= VIRTIO_NET_F_MTU;
	fake_back_end_run(&v.be);
	CU_ASSERT_EQUAL_FATAL(vfx_open(&v, ""), 0);
	quoll_port_info(v.port, &info);
	CU_ASSERT_EQUAL(info.max_mtu, VIRTIO_MAX_MTU);
	CU_ASSERT_EQUAL_FATAL(vfx_start_n(&v, 1, 0), 0);
	CU_ASSERT_EQUAL(v.be.agreed & VIRTIO_NET_F_MTU, 0);
	vfx_fini(&v);
}

static void old_or_lacking_back_ends_are_refused(void)
{
	struct vfx v;

	vfx_init(&v, FIX_BUF_BYTES);
	v.be.features &= ~VIRTIO_F_RING_PACKED;
	fake_back_end_run(&v.be);
	CU_ASSERT_EQUAL(vfx_open(&v, "&packed=1"), -ENOTSUP);
	fake_back_end_kill(&v.be);
	v.be.features &= ~VIRTIO_F_VERSION_1;
	fake_back_end_run(&v.be);
	CU_ASSERT_EQUAL(vfx_open(&v, ""), -ENOTSUP);
	v.port = NULL;
	vfx_fini(&v);
}

static bool lies_in_one_region(const struct fake_back_end *b, const struct virtio_ring *ring)
{
	for (unsigned int i = 0; i < b->nr_regions; i++) {
		uint64_t off = (uintptr_t)ring->mem - b->regions[i].user_addr;

		if (off < b->regions[i].bytes)
			return ring->bytes <= b->regions[i].bytes - off;
	}
	return false;
}

/* A back end maps regions each by itself, wherever it likes: a ring that goes on in the next one is of no use to it. */
static void rings_lie_in_one_region_each(void)
{
	static const struct {
		unsigned int nr_txqs, entries;
	} starts[] = {{1, 64}, {2, 512}, {4, 256}, {4, 512}, {1, 512}, {3, 512}};
	struct quoll_port_settings settings = {0};
	struct vfx v;

	for (unsigned int packed = 0; packed < 2; packed++) {
		vfx_init(&v, FIX_BUF_BYTES);
		fake_back_end_run(&v.be);
		CU_ASSERT_EQUAL_FATAL(vfx_open(&v, packed ? "&packed=1" : ""), 0);
		for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
			struct quoll_buf_cache *caches[4] = {v.f.caches[0], v.f.caches[0], v.f.caches[0],
							     v.f.caches[0]};
			struct quoll_port_queues queues = {.nr_rxqs = 1,
							   .nr_txqs = starts[i].nr_txqs,
							   .entries = starts[i].entries,
							   .rx_caches = caches,
							   .tx_caches = caches};

			CU_ASSERT_EQUAL_FATAL(quoll_port_start(v.port, &queues, &settings, &v.f.err), 0);
			for (unsigned int k = 0; k < 2 * starts[i].nr_txqs; k++)
				CU_ASSERT_TRUE(lies_in_one_region(&v.be, &((struct virtio_port *)v.port)->rings[k]));
			CU_ASSERT_EQUAL(quoll_port_stop(v.port), 0);
		}
		vfx_fini(&v);
	}
}

static void memory_in_many_pieces_goes_over_one_by_one(void)
{
	struct quoll_arena *arenas[10];
	void *va;
	struct vfx v;

	vfx_init(&v, FIX_BUF_BYTES);
	fake_back_end_run(&v.be);
	for (unsigned int i = 0; i < 10; i++) {
		CU_ASSERT_EQUAL_FATAL(quoll_arena_create(v.f.heap, "more",
							 i ? QUOLL_ARENA_DEVICE_READ_WRITE : QUOLL_ARENA_DEVICE_READ,
							 1 << 20, &arenas[i], &v.f.err),
				      0);
		CU_ASSERT_EQUAL_FATAL(quoll_arena_alloc(arenas[i], 4096, 4096, &va, &v.f.err), 0);
	}
	CU_ASSERT_EQUAL_FATAL(vfx_open(&v, ""), 0);
	CU_ASSERT_EQUAL_FATAL(vfx_start_n(&v, 1, 0), 0);
	/* Nine of these, buffers, rings; not the one that devices only read. */
	CU_ASSERT_EQUAL(v.be.nr_regions, 11);
	for (unsigned int i = 0; i < v.be.nr_regions; i++)
		CU_ASSERT_EQUAL(v.be.regions[i].guest_addr,
				quoll_heap_iova(v.f.heap, (void *)(uintptr_t)v.be.regions[i].user_addr, 1));
	CU_ASSERT_EQUAL(quoll_port_stop(v.port), 0);
	fake_back_end_kill(&v.be);
	v.be.protocol &= ~VHOST_PROTOCOL_CONFIGURE_MEM_SLOTS;
	fake_back_end_run(&v.be);
	CU_ASSERT_EQUAL(vfx_start_n(&v, 1, 0), -ENOSPC);
	CU_ASSERT(strlen(v.f.err.hint) > 0);
	fake_back_end_kill(&v.be);
	v.be.protocol |= VHOST_PROTOCOL_CONFIGURE_MEM_SLOTS;
	v.be.max_slots = 10;
	fake_back_end_run(&v.be);
	CU_ASSERT_EQUAL(vfx_start_n(&v, 1, 0), -ENOSPC);
	quoll_port_close(v.port);
	v.port = NULL;
	for (unsigned int i = 0; i < 10; i++)
		quoll_arena_destroy(arenas[i]);
	vfx_fini(&v);
}

static const uint32_t at_open[] = {VHOST_GET_FEATURES, VHOST_GET_PROTOCOL_FEATURES, VHOST_GET_QUEUE_NUM};
static const uint32_t at_start[] = {VHOST_SET_FEATURES,	  VHOST_SET_MEM_TABLE,	 VHOST_SET_VRING_NUM,
				    VHOST_SET_VRING_BASE, VHOST_SET_VRING_ADDR,	 VHOST_SET_VRING_KICK,
				    VHOST_SET_VRING_CALL, VHOST_SET_VRING_ENABLE};

static void nonsense_at_any_step_is_an_error(void)
{
	struct vfx v;

	vfx_init(&v, FIX_BUF_BYTES);
	fake_back_end_run(&v.be);
	for (unsigned int i = 0; i < 2 * sizeof(at_open) / sizeof(at_open[0]); i++) {
		fake_back_end_kill(&v.be);
		v.be.refuses = i & 1 ? at_open[i / 2] : 0;
		v.be.hangs_up_at = i & 1 ? 0 : at_open[i / 2];
		fake_back_end_run(&v.be);
		CU_ASSERT_EQUAL(vfx_open(&v, ""), i & 1 ? -EPROTO : -ECONNRESET);
	}
	for (unsigned int i = 0; i < 2 * sizeof(at_start) / sizeof(at_start[0]); i++) {
		fake_back_end_kill(&v.be);
		v.be.refuses = i & 1 ? at_start[i / 2] : 0;
		v.be.hangs_up_at = i & 1 ? 0 : at_start[i / 2];
		fake_back_end_run(&v.be);
		CU_ASSERT_EQUAL_FATAL(vfx_open(&v, ""), 0);
		CU_ASSERT_EQUAL(vfx_start_n(&v, 1, 0), i & 1 ? -EREMOTEIO : -ECONNRESET);
		CU_ASSERT_EQUAL(quoll_pool_nr_free(v.f.pool), FIX_BUFS);
		quoll_port_close(v.port);
	}
	v.port = NULL;
	vfx_fini(&v);
}

static void a_back_end_that_does_not_stop_is_cut_off(void)
{
	struct vfx v;

	vfx_run(&v, false, 0);
	fake_back_end_kill(&v.be);
	/* Gone before anybody has looked. */
	CU_ASSERT_EQUAL(quoll_port_stop(v.port), -EIO);
	CU_ASSERT_EQUAL(quoll_pool_nr_free(v.f.pool), FIX_BUFS);
	fake_back_end_run(&v.be);
	vfx_fini(&v);
}

/* A check reads so many of its messages and no more; it says nothing that we asked for. */
static void a_back_end_that_floods_us_keeps_no_queue_waiting(void)
{
	static const struct vhost_header header = {VHOST_GET_STATUS, VHOST_FLAG_VERSION, 0};
	const struct vhost_conn *conn;
	uint64_t before;
	struct vfx v;

	vfx_run(&v, false, 0);
	conn = &((const struct virtio_user *)v.port)->conn;
	before = conn->nr_received;
	for (unsigned int i = 0; i < 100; i++)
		CU_ASSERT_EQUAL(send(v.be.conn.fd, &header, sizeof(header), MSG_NOSIGNAL), sizeof(header));
	CU_ASSERT_EQUAL(quoll_port_check(v.port), 0);
	CU_ASSERT_TRUE(conn->nr_received > before && conn->nr_received < before + 50);
	while (conn->nr_received < before + 100)
		CU_ASSERT_EQUAL_FATAL(quoll_port_check(v.port), 0);
	CU_ASSERT_TRUE(link_up(&v));
	vfx_fini(&v);
}

/* One that goes as soon as it is there: a few lines, then one a second. */
static void one_that_goes_again_and_again_does_not_fill_the_log(void)
{
	uint64_t before = fd_socket_now_ns(), seconds;
	struct vfx v;

	vfx_run(&v, false, 0);
	for (unsigned int i = 0; i < 20; i++) {
		fake_back_end_kill(&v.be);
		poll_until_link(&v, false);
		fake_back_end_run(&v.be);
		poll_until_link(&v, true);
	}
	seconds = (fd_socket_now_ns() - before) / 1000000000 + 1;
	CU_ASSERT_EQUAL(((struct virtio_user *)v.port)->nr_lost, 20);
	CU_ASSERT_TRUE(v.f.nr_warnings >= 4 && v.f.nr_warnings <= 4 + seconds);
	vfx_fini(&v);
}

static void it_listens_where_the_back_end_connects(void)
{
	struct vfx v;

	vfx_init(&v, FIX_BUF_BYTES);
	fake_back_end_run_connecting(&v.be);
	CU_ASSERT_EQUAL_FATAL(vfx_open(&v, "&server=1"), 0);
	CU_ASSERT_EQUAL_FATAL(vfx_start_n(&v, 1, 0), 0);
	fake_back_end_kill(&v.be);
	poll_until_link(&v, false);
	fake_back_end_run_connecting(&v.be);
	poll_until_link(&v, true);
	frame_fill(frame, 60, 1);
	vfx_put(&v, vfx_pass(&v, NULL, frame, 60));
	CU_ASSERT_EQUAL(vfx_stats(&v).rx_packets, 1);
	vfx_fini(&v);
}

static void a_back_end_comes_back(bool packed)
{
	struct quoll_buf *bufs[VFX_ENTRIES];
	struct virtio_net_hdr hdr;
	struct fake_chain chain;
	struct vfx v;

	vfx_run(&v, packed, 0);
	for (unsigned int turn = 0; turn < 3; turn++) {
		frame_fill(frame, 100, turn);
		/* In the middle of it: some are taken and never given back, some finished out of turn. */
		for (unsigned int i = 0; i < 20; i++)
			CU_ASSERT(fake_ring_receive(v.rx, NULL, frame, 100));
		for (unsigned int i = 0; i < 4; i++)
			CU_ASSERT(fake_ring_pop(v.rx, &chain));
		fake_ring_push(v.rx, &(struct fake_used){chain.id, 112, 1}, 1);
		for (unsigned int i = 0; i < 20; i++)
			bufs[i] = vfx_buf(&v, frame, 100, i & 1 ? 100 : 50);
		CU_ASSERT_EQUAL(quoll_tx(&v.txq->q, bufs, 20), 20);
		CU_ASSERT_EQUAL(fake_ring_sent(v.tx, &hdr, frame, sizeof(frame)), 100);
		fake_back_end_kill(&v.be);
		poll_until_link(&v, false);
		bufs[0] = vfx_buf(&v, frame, 100, 100);
		CU_ASSERT_EQUAL(quoll_tx(&v.txq->q, bufs, 1), 0);
		CU_ASSERT_EQUAL(quoll_rx(&v.rxq->q, bufs + 1, 1), 0);
		CU_ASSERT_EQUAL(quoll_rxq_arm(&v.rxq->q), 0);
		quoll_rxq_disarm(&v.rxq->q);
		fake_back_end_run(&v.be);
		poll_until_link(&v, true);
		CU_ASSERT_EQUAL(quoll_tx(&v.txq->q, bufs, 1), 1);
		/* What was on its way is back: the pool lacks what rings hold, and they may be short of a batch. */
		CU_ASSERT(quoll_pool_nr_free(v.f.pool) >= FIX_BUFS - VFX_ENTRIES - 1);
		CU_ASSERT_EQUAL(fake_ring_sent(v.tx, &hdr, frame, sizeof(frame)), 100);
		frame_fill(frame, 100, turn + 9);
		for (unsigned int i = 0; i < 32; i++)
			CU_ASSERT(fake_ring_receive(v.rx, NULL, frame, 100));
		CU_ASSERT_EQUAL_FATAL(quoll_rx(&v.rxq->q, bufs, 32), 32);
		for (unsigned int i = 0; i < 32; i++) {
			CU_ASSERT(chain_is(bufs[i], frame, 100));
			vfx_put(&v, bufs[i]);
		}
	}
	CU_ASSERT_EQUAL(vfx_stats(&v).rx_bad, 0);
	vfx_fini(&v);
}

/*
 * A back end that comes back, step by step in this very thread, which therefore never has to wait for it; and another
 * port goes on beside it.
 */
struct slow {
	struct vfx v;
	struct quoll_port *other;
	uint64_t nr_checks;
};

static void slow_init(struct slow *s, bool packed)
{
	vfx_run(&s->v, packed, 0);
	s->other = fix_port(&s->v.f, "null:");
	fix_start(&s->v.f, s->other, s->v.f.caches[1]);
	s->nr_checks = 0;
	fake_back_end_kill(&s->v.be);
	poll_until_link(&s->v, false);
	fake_back_end_listen(&s->v.be);
}

static void slow_fini(struct slow *s)
{
	quoll_port_close(s->other);
	/* Nobody is there who would answer. */
	fake_back_end_leave(&s->v.be);
	CU_ASSERT_EQUAL(quoll_port_stop(s->v.port), -EIO);
	CU_ASSERT_EQUAL(quoll_pool_nr_free(s->v.f.pool), FIX_BUFS);
	quoll_port_close(s->v.port);
	fix_close(&s->v.f);
}

/* One turn of a loop with two ports. */
static void slow_turn(struct slow *s)
{
	struct quoll_buf *buf;

	CU_ASSERT_EQUAL_FATAL(quoll_port_check(s->v.port), 0);
	s->nr_checks++;
	CU_ASSERT_EQUAL_FATAL(quoll_rx(quoll_port_rxq(s->other, 0), &buf, 1), 1);
	quoll_buf_put(s->v.f.caches[1], &buf, 1);
}

static void slow_until_session(struct slow *s, unsigned int nr)
{
	while (s->v.be.nr_sessions < nr) {
		slow_turn(s);
		fake_back_end_step(&s->v.be);
		sched_yield();
	}
}

static void a_mute_back_end_keeps_nobody_waiting(void)
{
	struct vhost_conn *conn;
	struct slow s;
	char byte;

	slow_init(&s, false);
	conn = &s.v.be.conn;
	slow_until_session(&s, 2);
	for (unsigned int i = 0; i < 1000; i++)
		slow_turn(&s);
	/* It has heard a question, and neither another nor that we have gone. */
	CU_ASSERT_EQUAL(vhost_recv_step(conn), 1);
	CU_ASSERT_EQUAL(conn->header.request, VHOST_GET_FEATURES);
	CU_ASSERT_EQUAL(vhost_recv_step(conn), 0);
	/* Not for ever. */
	((struct virtio_user *)s.v.port)->return_by_ns = 1;
	slow_turn(&s);
	CU_ASSERT_EQUAL(recv(conn->fd, &byte, 1, 0), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(s.v.f.last_log, "no answer in time to GET_FEATURES"));
	CU_ASSERT_FALSE(link_up(&s.v));
	/* And the next one is looked for. */
	fake_back_end_step(&s.v.be);
	while (!link_up(&s.v)) {
		slow_turn(&s);
		fake_back_end_step(&s.v.be);
		sched_yield();
	}
	frame_fill(frame, 60, 1);
	vfx_put(&s.v, vfx_pass(&s.v, NULL, frame, 60));
	slow_fini(&s);
}

/* Who answers a byte at a time has a turn of ours between any two. */
static void a_back_end_that_answers_byte_by_byte_comes_back(bool packed)
{
	struct slow s;
	uint64_t before;

	slow_init(&s, packed);
	s.v.be.trickles = true;
	slow_until_session(&s, 2);
	before = s.nr_checks;
	while (!link_up(&s.v)) {
		slow_turn(&s);
		fake_back_end_step(&s.v.be);
	}
	/* Three questions; all else is confirmed: features, memory, five a ring, two rings on. */
	CU_ASSERT(s.nr_checks - before >= (3 + 1 + 1 + 2 * 5 + 2) * (sizeof(struct vhost_header) + 8));
	CU_ASSERT_EQUAL(s.v.be.nr_sessions, 2);
	s.v.be.trickles = false;
	frame_fill(frame, 60, 1);
	vfx_put(&s.v, vfx_pass(&s.v, NULL, frame, 60));
	CU_ASSERT_EQUAL(vfx_stats(&s.v).rx_bad, 0);
	slow_fini(&s);
}

/* It comes back, and says nonsense or hangs up at that message; and gives us files that nobody has asked for. */
static void come_back_with_a_lie(struct slow *s, uint32_t request, bool hangs_up)
{
	struct virtio_user *u = (struct virtio_user *)s->v.port;
	struct vhost_out gift = {.request = VHOST_GET_STATUS, .fds = (int[]){s->v.be.listen.fd, s->v.be.listen.fd}};

	gift.nr_fds = 2;
	s->v.be.refuses = hangs_up ? 0 : request;
	s->v.be.hangs_up_at = hangs_up ? request : 0;
	u->retry_ns = 0;
	slow_until_session(s, s->v.be.nr_sessions + 1);
	CU_ASSERT_EQUAL(vhost_send(&s->v.be.conn, &gift, 0), 0);
	while (u->conn.fd >= 0) {
		slow_turn(s);
		fake_back_end_step(&s->v.be);
	}
	CU_ASSERT_FALSE(link_up(&s->v));
}

static void back_ends_that_lie_leave_nothing_behind(bool packed)
{
	const size_t nr_open = sizeof(at_open) / sizeof(at_open[0]), nr_start = sizeof(at_start) / sizeof(at_start[0]);
	unsigned int nr_fds = open_fds();
	struct slow s;

	slow_init(&s, packed);
	for (unsigned int round = 0; round < 20; round++)
		for (size_t i = 0; i < nr_open + nr_start; i++)
			come_back_with_a_lie(&s, i < nr_open ? at_open[i] : at_start[i - nr_open], round & 1);
	s.v.be.refuses = s.v.be.hangs_up_at = 0;
	((struct virtio_user *)s.v.port)->retry_ns = 0;
	while (!link_up(&s.v)) {
		slow_turn(&s);
		fake_back_end_step(&s.v.be);
	}
	frame_fill(frame, 60, 1);
	vfx_put(&s.v, vfx_pass(&s.v, NULL, frame, 60));
	CU_ASSERT_EQUAL(vfx_stats(&s.v).rx_bad, 0);
	slow_fini(&s);
	CU_ASSERT_TRUE(open_fds_become(nr_fds));
}

static void one_that_can_do_less_is_not_taken(void)
{
	uint64_t all;
	struct vfx v;

	vfx_run(&v, false, QUOLL_OFFLOAD_TX_L4_CSUM);
	all = v.be.features;
	fake_back_end_kill(&v.be);
	poll_until_link(&v, false);
	v.be.features &= ~VIRTIO_NET_F_CSUM;
	fake_back_end_run(&v.be);
	while (__atomic_load_n(&v.be.nr_sessions, __ATOMIC_ACQUIRE) < 3) {
		struct quoll_buf *buf;

		CU_ASSERT_EQUAL(quoll_rx(&v.rxq->q, &buf, 1), 0);
		sched_yield();
	}
	CU_ASSERT_FALSE(link_up(&v));
	fake_back_end_kill(&v.be);
	v.be.features = all;
	fake_back_end_run(&v.be);
	poll_until_link(&v, true);
	vfx_fini(&v);
}

/* Two threads poll, and have no part in what happens. */
struct poller {
	struct vfx *v;
	unsigned int *stop;
	bool is_tx;
	uint64_t nr;
};

static void *poll_thread(void *arg)
{
	struct poller *p = arg;
	struct quoll_buf_cache *cache = p->v->f.caches[p->is_tx];
	struct quoll_buf *bufs[8];

	while (!__atomic_load_n(p->stop, __ATOMIC_ACQUIRE)) {
		unsigned int n = 0;

		if (!p->is_tx) {
			n = quoll_rx(&p->v->rxq->q, bufs, 8);
			quoll_buf_put(cache, bufs, n);
		} else if (!quoll_buf_get(cache, bufs, 8)) {
			for (unsigned int i = 0; i < 8; i++)
				bufs[i]->data_bytes = bufs[i]->total_bytes = 60;
			n = quoll_tx(&p->v->txq->q, bufs, 8);
			quoll_buf_put(cache, bufs + n, 8 - n);
		}
		p->nr += n;
	}
	return NULL;
}

static void a_back_end_comes_back_under_threads(bool packed)
{
	static struct virtio_net_hdr hdr;
	struct quoll_buf_cache *tx_caches[1], *rx_caches[1];
	struct quoll_port_queues queues = {
		.nr_rxqs = 1, .nr_txqs = 1, .entries = VFX_ENTRIES, .rx_caches = rx_caches, .tx_caches = tx_caches};
	struct poller pollers[2];
	pthread_t threads[2];
	unsigned int stop = 0;
	struct vfx v;

	vfx_init(&v, FIX_BUF_BYTES);
	fake_back_end_run(&v.be);
	CU_ASSERT_EQUAL_FATAL(vfx_open(&v, packed ? "&packed=1" : ""), 0);
	rx_caches[0] = v.f.caches[0];
	tx_caches[0] = v.f.caches[1];
	CU_ASSERT_EQUAL_FATAL(quoll_port_start(v.port, &queues, NULL, &v.f.err), 0);
	v.rxq = (struct virtio_rxq *)quoll_port_rxq(v.port, 0);
	v.txq = (struct virtio_txq *)quoll_port_txq(v.port, 0);
	for (unsigned int i = 0; i < 2; i++) {
		pollers[i] = (struct poller){&v, &stop, i, 0};
		CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, poll_thread, &pollers[i]), 0);
	}
	frame_fill(frame, 60, 1);
	for (unsigned int turn = 0; turn < 4; turn++) {
		struct fake_ring *rx = &v.be.rings[0], *tx = &v.be.rings[1];
		unsigned int done = 0;

		while (!link_up(&v))
			sched_yield();
		CU_ASSERT_EQUAL(__atomic_load_n(&v.be.nr_enabled, __ATOMIC_ACQUIRE), 2);
		while (done < 500) {
			done += fake_ring_receive(rx, NULL, frame, 60);
			if (fake_ring_sent(tx, &hdr, frame + 100, 100) == 60)
				done++;
			sched_yield();
		}
		CU_ASSERT_EQUAL(rx->nr_violations + tx->nr_violations, 0);
		/* A thread that finds the connection closed knows what was before, which the thread sanitizer does not.
		 */
		__atomic_store_n(&stop, 0, __ATOMIC_RELEASE);
		fake_back_end_kill(&v.be);
		while (link_up(&v))
			sched_yield();
		fake_back_end_run(&v.be);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
	for (unsigned int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	CU_ASSERT_EQUAL(vfx_stats(&v).rx_packets, pollers[0].nr);
	CU_ASSERT_EQUAL(vfx_stats(&v).tx_packets, pollers[1].nr);
	CU_ASSERT_EQUAL(vfx_stats(&v).rx_bad + vfx_stats(&v).tx_bad, 0);
	vfx_fini(&v);
}

BOTH(a_back_end_comes_back)
BOTH(a_back_end_that_answers_byte_by_byte_comes_back)
BOTH(back_ends_that_lie_leave_nothing_behind)
BOTH(a_back_end_comes_back_under_threads)

static const struct unit_test tests[] = {
	{"options are checked", options_are_checked},
	{"the port is what the back end can do", the_port_is_what_the_back_end_can_do},
	{"a plain back end will do", a_plain_back_end_will_do},
	{"an mtu that is not told is not agreed on", an_mtu_that_is_not_told_is_not_agreed_on},
	{"old or lacking back ends are refused", old_or_lacking_back_ends_are_refused},
	{"rings lie in one region each", rings_lie_in_one_region_each},
	{"memory in many pieces goes over one by one", memory_in_many_pieces_goes_over_one_by_one},
	{"nonsense at any step is an error", nonsense_at_any_step_is_an_error},
	{"a back end that does not stop is cut off", a_back_end_that_does_not_stop_is_cut_off},
	{"a back end that floods us keeps no queue waiting", a_back_end_that_floods_us_keeps_no_queue_waiting},
	{"one that goes again and again does not fill the log", one_that_goes_again_and_again_does_not_fill_the_log},
	{"it listens where the back end connects", it_listens_where_the_back_end_connects},
	{"split: a back end comes back", a_back_end_comes_back_split},
	{"packed: a back end comes back", a_back_end_comes_back_packed},
	{"a mute back end keeps nobody waiting", a_mute_back_end_keeps_nobody_waiting},
	{"split: a back end that answers byte by byte comes back",
	 a_back_end_that_answers_byte_by_byte_comes_back_split},
	{"packed: a back end that answers byte by byte comes back",
	 a_back_end_that_answers_byte_by_byte_comes_back_packed},
	{"split: back ends that lie leave nothing behind", back_ends_that_lie_leave_nothing_behind_split},
	{"packed: back ends that lie leave nothing behind", back_ends_that_lie_leave_nothing_behind_packed},
	{"one that can do less is not taken", one_that_can_do_less_is_not_taken},
	{"split: a back end comes back under threads", a_back_end_comes_back_under_threads_split},
	{"packed: a back end comes back under threads", a_back_end_comes_back_under_threads_packed},
};

UNIT_MAIN("virtio user", tests)
