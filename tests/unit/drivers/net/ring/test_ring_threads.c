/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_ring_threads.c - ring ports between two threads: frames, buffers that go round, sleeping, and stopping while the
 * other end sends. TSan runs it.
 */
#include <poll.h>
#include <pthread.h>
#include <sched.h>

#include <net/net_driver.h>

#include "../leak.h"

#define BURST 32

struct run {
	struct quoll_port *ports[2];
	struct quoll_buf_cache *caches[2];
	uint64_t n;
	bool sleeps;
	unsigned int nr_sleeps; /* atomic; counted when armed */
	unsigned int nr_wrong;
	int stop; /* atomic */
};

static void setup(struct fix *f, struct run *r)
{
	memset(r, 0, sizeof(*r));
	fix_open(f);
	for (int i = 0; i < 2; i++) {
		r->caches[i] = f->caches[i];
		r->ports[i] = fix_port(f, "ring:a");
		fix_start(f, r->ports[i], f->caches[i]);
	}
}

static void teardown(struct fix *f, struct run *r)
{
	for (int i = 0; i < 2; i++)
		quoll_port_close(r->ports[i]);
	fix_close(f);
}

/* Until a wake-up that must come; a minute without one is a lost one. */
static void sleep_till_rung(struct run *r, struct quoll_rxq *rxq)
{
	struct pollfd p = {.fd = quoll_rxq_fd(rxq), .events = POLLIN};
	int rc = quoll_rxq_arm(rxq);

	if (!rc) {
		__atomic_fetch_add(&r->nr_sleeps, 1, __ATOMIC_RELEASE);
		r->nr_wrong += poll(&p, 1, 60000) != 1;
	} else if (rc < 0) {
		r->nr_wrong++;
	}
	quoll_rxq_disarm(rxq);
}

/* Takes n frames, checks their order, sends every one of them back from its own thread. */
static void *echo(void *arg)
{
	struct run *r = arg;
	struct quoll_rxq *rxq = quoll_port_rxq(r->ports[1], 0);
	struct quoll_txq *txq = quoll_port_txq(r->ports[1], 0);
	struct quoll_buf *bufs[BURST];

	for (uint64_t done = 0; done < r->n && !r->nr_wrong;) {
		unsigned int got = quoll_rx(rxq, bufs, BURST), sent = 0;

		if (!got && r->sleeps)
			sleep_till_rung(r, rxq);
		for (unsigned int i = 0; i < got; i++)
			r->nr_wrong += bufs[i]->user != done + i || bufs[i]->total_bytes != 64;
		while (sent < got)
			sent += quoll_tx(txq, bufs + sent, got - sent);
		done += got;
	}
	return NULL;
}

/* Sends n frames and takes them back. Return: how many came back in order. */
static uint64_t send_and_take(struct run *r)
{
	struct quoll_rxq *rxq = quoll_port_rxq(r->ports[0], 0);
	struct quoll_txq *txq = quoll_port_txq(r->ports[0], 0);
	uint64_t sent = 0, back = 0;
	struct quoll_buf *bufs[BURST];

	while (back < r->n) {
		unsigned int want = r->n - sent < BURST ? (unsigned int)(r->n - sent) : BURST, k = 0, got;

		if (want && !quoll_buf_get(r->caches[0], bufs, want)) {
			for (unsigned int i = 0; i < want; i++) {
				bufs[i]->data_bytes = bufs[i]->total_bytes = 64;
				bufs[i]->user = sent + i;
			}
			k = quoll_tx(txq, bufs, want);
			quoll_buf_put(r->caches[0], bufs + k, want - k);
			sent += k;
		}
		got = quoll_rx(rxq, bufs, BURST);
		for (unsigned int i = 0; i < got; i++)
			if (bufs[i]->user != back + i)
				return back;
		quoll_buf_put(r->caches[0], bufs, got);
		back += got;
	}
	return back;
}

static void run_echo(bool sleeps, uint64_t n)
{
	pthread_t thread;
	struct fix f;
	struct run r;

	setup(&f, &r);
	r.n = n;
	r.sleeps = sleeps;
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, echo, &r), 0);
	CU_ASSERT_EQUAL(send_and_take(&r), r.n);
	pthread_join(thread, NULL);
	CU_ASSERT_EQUAL(r.nr_wrong, 0);
	teardown(&f, &r);
}

static void frames_go_round_in_order(void)
{
	run_echo(false, leak_packets() / 100);
}

static void no_wake_up_is_lost(void)
{
	run_echo(true, leak_packets() / 100);
}

/* One frame at a time, and none before the receiver is armed: it sleeps before each of them. */
static void each_of_many_sleeps_ends(void)
{
	pthread_t thread;
	struct fix f;
	struct run r;
	uint64_t back = 0;

	setup(&f, &r);
	r.n = 2000;
	r.sleeps = true;
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, echo, &r), 0);
	while (back < r.n) {
		struct quoll_buf *buf = fix_frame(r.caches[0], 64, 1);

		while (__atomic_load_n(&r.nr_sleeps, __ATOMIC_ACQUIRE) <= back)
			sched_yield();
		buf->user = back++;
		CU_ASSERT_EQUAL_FATAL(quoll_tx(quoll_port_txq(r.ports[0], 0), &buf, 1), 1);
		while (!quoll_rx(quoll_port_rxq(r.ports[0], 0), &buf, 1))
			;
		quoll_buf_put(r.caches[0], &buf, 1);
	}
	pthread_join(thread, NULL);
	CU_ASSERT_EQUAL(r.nr_wrong, 0);
	CU_ASSERT(r.nr_sleeps >= r.n);
	teardown(&f, &r);
}

/* Sends as long as it is let, and takes what comes. */
static void *flood(void *arg)
{
	struct run *r = arg;
	struct quoll_rxq *rxq = quoll_port_rxq(r->ports[0], 0);
	struct quoll_txq *txq = quoll_port_txq(r->ports[0], 0);
	struct quoll_buf *bufs[BURST];

	while (!__atomic_load_n(&r->stop, __ATOMIC_ACQUIRE)) {
		unsigned int k;

		if (quoll_buf_get(r->caches[0], bufs, BURST))
			continue;
		for (unsigned int i = 0; i < BURST; i++)
			bufs[i]->data_bytes = bufs[i]->total_bytes = 64;
		k = quoll_tx(txq, bufs, BURST);
		quoll_buf_put(r->caches[0], bufs + k, BURST - k);
		k = quoll_rx(rxq, bufs, BURST);
		quoll_buf_put(r->caches[0], bufs, k);
	}
	return NULL;
}

/* The teardown of the fixture finds every buffer that stayed in a lane. */
static void other_end_comes_and_goes_while_one_sends(void)
{
	struct quoll_buf *bufs[BURST];
	pthread_t thread;
	struct fix f;
	struct run r;
	unsigned int got;

	setup(&f, &r);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, flood, &r), 0);
	for (int i = 0; i < 200; i++) {
		unsigned int polls = 0;

		do {
			got = quoll_rx(quoll_port_rxq(r.ports[1], 0), bufs, BURST);
			quoll_buf_put(r.caches[1], bufs, got);
		} while (!got && polls++ < 100000000);
		CU_ASSERT(got > 0);
		quoll_port_stop(r.ports[1]);
		fix_start(&f, r.ports[1], f.caches[1]);
	}
	__atomic_store_n(&r.stop, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	teardown(&f, &r);
}

static const struct unit_test tests[] = {
	{"frames go round between two threads in order", frames_go_round_in_order},
	{"no wake-up is lost under load", no_wake_up_is_lost},
	{"each of many sleeps ends", each_of_many_sleeps_ends},
	{"the other end comes and goes while one sends", other_end_comes_and_goes_while_one_sends},
};

UNIT_MAIN("drivers/net/ring_threads", tests)
