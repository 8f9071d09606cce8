/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_threads.c - queues polled by two threads while a third, the front end, takes their rings and memory away and
 * gives them back: every frame comes once, in order, and a stop is one.
 */
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "front.h"

#define ROUNDS 60u
#define FRAMES 50u /* a round */

/**
 * struct side - a thread that polls one pair of queues, sending back what it receives
 */
struct side {
	struct front *f;
	unsigned int queue;
	struct quoll_buf_cache *cache;
	unsigned int stop;
	uint64_t nr_received;
};

static void *poll_queue(void *arg)
{
	struct side *side = arg;
	struct quoll_rxq *rxq = quoll_port_rxq(side->f->port, side->queue);
	struct quoll_txq *txq = quoll_port_txq(side->f->port, side->queue);
	struct quoll_buf *bufs[32];

	while (!__atomic_load_n(&side->stop, __ATOMIC_ACQUIRE)) {
		unsigned int n = quoll_rx(rxq, bufs, 32), sent = 0;

		side->nr_received += n;
		while (sent < n && !__atomic_load_n(&side->stop, __ATOMIC_ACQUIRE)) {
			unsigned int done = quoll_tx(txq, bufs + sent, n - sent);

			sent += done;
			/* The ring may have been taken away; who gives it back is one of us, in its check. */
			if (!done)
				(void)quoll_port_check(side->f->port);
		}
		quoll_buf_put(side->cache, bufs + sent, n - sent);
		if (!n)
			sched_yield();
	}
	return NULL;
}

/* The port is turned by the threads that poll; here we only wait. */
static void await(struct front *f, uint32_t request, const void *payload, uint32_t bytes, const int *fds,
		  unsigned int nr_fds)
{
	struct vhost_out out = {.request = request,
				.flags = VHOST_FLAG_NEED_REPLY,
				.payload = payload,
				.bytes = bytes,
				.fds = fds,
				.nr_fds = nr_fds};

	CU_ASSERT_EQUAL(vhost_send(&f->conn, &out, fd_socket_now_ns() + 20000000000u), 0);
	CU_ASSERT_EQUAL(vhost_recv(&f->conn, fd_socket_now_ns() + 60000000000u), 0);
	CU_ASSERT_EQUAL(f->conn.payload.u64, 0);
}

/* What comes back, in order. */
static void take_back(struct front *f, unsigned int pair, uint8_t *expected, unsigned int n)
{
	uint64_t deadline = fd_socket_now_ns() + 60000000000u;
	uint32_t bytes;
	uint16_t id;
	bool written;

	while (n && fd_socket_now_ns() < deadline) {
		if (!front_used(f, 2 * pair, &id, &bytes, &written)) {
			sched_yield();
			continue;
		}
		CU_ASSERT_EQUAL(bytes, 72);
		CU_ASSERT_EQUAL(front_buf_va(f, id)[12], *expected);
		++*expected;
		n--;
		while (front_used(f, 2 * pair + 1, &id, &bytes, &written))
			;
	}
	CU_ASSERT_EQUAL(n, 0);
}

static void disturb(struct front *f, unsigned int round)
{
	struct vhost_vring_state state = {.idx = round % 4, .num = 0};
	struct vhost_mem_table table = {.nr_regions = 1, .regions = {front_region()}};

	if (round % 3 == 0) {
		await(f, VHOST_SET_MEM_TABLE, &table, 40, &f->mem_fd, 1);
	} else if (round % 3 == 1) {
		await(f, VHOST_SET_VRING_ENABLE, &state, sizeof(state), NULL, 0);
		state.num = 1;
		await(f, VHOST_SET_VRING_ENABLE, &state, sizeof(state), NULL, 0);
	} else {
		uint64_t what = round % 4;

		await(f, VHOST_SET_VRING_CALL, &what, sizeof(what), &f->rings[what].call_fd, 1);
	}
}

static void rings_come_and_go_under_the_threads_with(uint64_t features)
{
	struct side sides[2];
	uint8_t sent[2] = {0}, back[2] = {0};
	pthread_t threads[2];
	struct front f;

	front_up(&f, features | VIRTIO_NET_F_MQ, 2);
	/* fix_start_with() gave both queues one cache: of two threads each needs its own. */
	f.port->rxqs[1]->cache = f.port->txqs[1]->cache = f.fix.caches[1];
	for (unsigned int i = 0; i < 2; i++) {
		sides[i] = (struct side){.f = &f, .queue = i, .cache = f.fix.caches[i]};
		CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, poll_queue, &sides[i]), 0);
	}
	for (unsigned int round = 0; round < ROUNDS; round++)
		for (unsigned int pair = 0; pair < 2; pair++) {
			for (unsigned int i = 0; i < FRAMES; i++) {
				unsigned int at = (pair * 2 * FRAMES) + i;

				front_post(&f, pair, (uint16_t)at, FRONT_BUF_BYTES);
				front_send_frame(&f, pair, (uint16_t)(at + FRAMES), sent[pair]++, 60);
				if (i == FRAMES / 2)
					disturb(&f, round);
			}
			take_back(&f, pair, &back[pair], FRAMES);
		}
	for (unsigned int i = 0; i < 2; i++)
		__atomic_store_n(&sides[i].stop, 1, __ATOMIC_RELEASE);
	for (unsigned int i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL(pthread_join(threads[i], NULL), 0);
		CU_ASSERT_EQUAL(sides[i].nr_received, ROUNDS * FRAMES);
	}
	CU_ASSERT_EQUAL(front_stats(&f).rx_packets, 2 * ROUNDS * FRAMES);
	CU_ASSERT_EQUAL(front_stats(&f).tx_packets, 2 * ROUNDS * FRAMES);
	front_close(&f);
}

static void rings_come_and_go_under_the_threads(void)
{
	rings_come_and_go_under_the_threads_with(0);
	rings_come_and_go_under_the_threads_with(VIRTIO_F_RING_PACKED);
}

/* The front end goes in the middle of traffic, again and again; the memory is gone with it, so whoever still used it
 * would not survive. */
static void front_ends_come_and_go_under_the_threads(void)
{
	struct side sides[2];
	pthread_t threads[2];
	struct front f;

	front_up(&f, VIRTIO_NET_F_MQ, 2);
	f.port->rxqs[1]->cache = f.port->txqs[1]->cache = f.fix.caches[1];
	for (unsigned int round = 0; round < 20; round++) {
		for (unsigned int i = 0; i < 2; i++) {
			sides[i] = (struct side){.f = &f, .queue = i, .cache = f.fix.caches[i]};
			CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, poll_queue, &sides[i]), 0);
			for (unsigned int k = 0; k < 60; k++) {
				front_post(&f, i, (uint16_t)(120 * i + k), FRONT_BUF_BYTES);
				front_send_frame(&f, i, (uint16_t)(120 * i + 60 + k), (uint8_t)k, 60);
			}
		}
		front_disconnect(&f);
		for (uint64_t end = fd_socket_now_ns() + 60000000000u; front_link(&f) && fd_socket_now_ns() < end;)
			sched_yield();
		CU_ASSERT_FALSE(front_link(&f));
		for (unsigned int i = 0; i < 2; i++) {
			__atomic_store_n(&sides[i].stop, 1, __ATOMIC_RELEASE);
			CU_ASSERT_EQUAL(pthread_join(threads[i], NULL), 0);
		}
		front_connect(&f);
		front_hello(&f);
		CU_ASSERT_TRUE(front_link(&f));
	}
	front_close(&f);
}

static const struct unit_test tests[] = {
	{"rings and memory come and go under the threads, and no frame does", rings_come_and_go_under_the_threads},
	{"front ends come and go under the threads", front_ends_come_and_go_under_the_threads},
};

UNIT_MAIN("drivers/net/vhost/threads", tests)
