/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_ring.c - ring ports: what goes in at one end comes out at the other, in order, and nothing stays behind.
 */
#include <poll.h>
#include <pthread.h>

#include <net/ring/ring_queue.h>

#include "../leak.h"

struct pair {
	struct quoll_port *ports[2];
	struct quoll_rxq *rxqs[2];
	struct quoll_txq *txqs[2];
};

static void queues_of(struct pair *p)
{
	for (int i = 0; i < 2; i++) {
		p->rxqs[i] = quoll_port_rxq(p->ports[i], 0);
		p->txqs[i] = quoll_port_txq(p->ports[i], 0);
	}
}

/* Two ends, each with one of the fixture's caches. */
static void pair_open(struct fix *f, struct pair *p)
{
	fix_open(f);
	for (int i = 0; i < 2; i++) {
		p->ports[i] = fix_port(f, "ring:a");
		fix_start(f, p->ports[i], f->caches[i]);
	}
	queues_of(p);
}

static void pair_close(struct fix *f, struct pair *p)
{
	for (int i = 0; i < 2; i++)
		quoll_port_close(p->ports[i]);
	fix_close(f);
}

static unsigned int send(struct fix *f, struct quoll_txq *txq, int cache, unsigned int n)
{
	struct quoll_buf *bufs[64];
	unsigned int sent;

	for (unsigned int i = 0; i < n; i++) {
		bufs[i] = fix_frame(f->caches[cache], 60 + i, 1);
		bufs[i]->user = i;
	}
	sent = quoll_tx(txq, bufs, n);
	quoll_buf_put(f->caches[cache], bufs + sent, n - sent);
	return sent;
}

static void ends_are_crossed(void)
{
	struct quoll_buf *bufs[64];
	struct fix f;
	struct pair p;

	pair_open(&f, &p);
	CU_ASSERT_EQUAL(send(&f, p.txqs[0], 0, 10), 10);
	CU_ASSERT_EQUAL(quoll_rx(p.rxqs[0], bufs, 64), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_rx(p.rxqs[1], bufs, 64), 10);
	for (unsigned int i = 0; i < 10; i++) {
		CU_ASSERT_EQUAL(bufs[i]->user, i);
		CU_ASSERT_EQUAL(bufs[i]->total_bytes, 60 + i);
		CU_ASSERT_EQUAL(bufs[i]->port, p.rxqs[1]->port_id);
	}
	quoll_buf_put(f.caches[1], bufs, 10);
	CU_ASSERT_EQUAL(send(&f, p.txqs[1], 1, 3), 3);
	CU_ASSERT_EQUAL_FATAL(quoll_rx(p.rxqs[0], bufs, 2), 2);
	quoll_buf_put(f.caches[0], bufs, 2);
	CU_ASSERT_EQUAL_FATAL(quoll_rx(p.rxqs[0], bufs, 2), 1);
	quoll_buf_put(f.caches[0], bufs, 1);
	pair_close(&f, &p);
}

static void counters_are_exact(void)
{
	struct quoll_port_stats stats[2];
	struct quoll_buf *bufs[64];
	struct fix f;
	struct pair p;

	pair_open(&f, &p);
	send(&f, p.txqs[0], 0, 10);
	CU_ASSERT_EQUAL(quoll_rx(p.rxqs[1], bufs, 4), 4);
	quoll_buf_put(f.caches[1], bufs, 4);
	for (int i = 0; i < 2; i++)
		quoll_port_stats(p.ports[i], &stats[i]);
	CU_ASSERT_EQUAL(stats[0].tx_packets, 10);
	CU_ASSERT_EQUAL(stats[0].tx_bytes, 645);
	CU_ASSERT_EQUAL(stats[1].rx_packets, 4);
	CU_ASSERT_EQUAL(stats[1].rx_bytes, 246);
	CU_ASSERT_EQUAL(stats[0].rx_packets + stats[1].tx_packets, 0);
	CU_ASSERT_EQUAL(stats[0].tx_bad + stats[1].rx_bad, 0);
	pair_close(&f, &p);
}

static void loop_brings_back_what_was_sent(void)
{
	struct quoll_buf *bufs[64];
	struct quoll_port *port;
	struct fix f;

	fix_open(&f);
	port = fix_port(&f, "ring:l?loop=1");
	fix_start(&f, port, f.caches[0]);
	CU_ASSERT_EQUAL(send(&f, quoll_port_txq(port, 0), 0, 5), 5);
	CU_ASSERT_EQUAL(quoll_rx(quoll_port_rxq(port, 0), bufs, 64), 5);
	quoll_buf_put(f.caches[0], bufs, 5);
	CU_ASSERT_EQUAL(send(&f, quoll_port_txq(port, 0), 0, 7), 7);
	quoll_port_close(port);
	fix_close(&f);
}

static void third_port_is_refused(void)
{
	struct quoll_port *a, *b, *c, *loop;
	struct fix f;

	fix_open(&f);
	a = fix_port(&f, "ring:a");
	CU_ASSERT_EQUAL(fix_port_try(&f, "ring:a?loop=1", &c), -EBUSY);
	b = fix_port(&f, "ring:a?loop=0");
	CU_ASSERT_EQUAL(fix_port_try(&f, "ring:a", &c), -EBUSY);
	loop = fix_port(&f, "ring:b?loop=1");
	CU_ASSERT_EQUAL(fix_port_try(&f, "ring:b", &c), -EBUSY);
	CU_ASSERT_EQUAL(fix_port_try(&f, "ring:b?loop=1", &c), -EBUSY);
	CU_ASSERT_EQUAL(fix_port_try(&f, "ring:c?loop=yes", &c), -EINVAL);
	/* A place that was left is free again, whichever it was. */
	quoll_port_close(a);
	a = fix_port(&f, "ring:a");
	CU_ASSERT_EQUAL(fix_port_try(&f, "ring:a", &c), -EBUSY);
	quoll_port_close(a);
	quoll_port_close(b);
	quoll_port_close(loop);
	fix_close(&f);
}

static void nets_have_names_of_their_own(void)
{
	struct quoll_port *a, *b;
	struct fix f, g;

	fix_open(&f);
	fix_open(&g);
	a = fix_port(&f, "ring:a?loop=1");
	b = fix_port(&g, "ring:a?loop=1");
	quoll_port_close(a);
	quoll_port_close(b);
	fix_close(&g);
	fix_close(&f);
}

static void full_ring_takes_fewer(void)
{
	struct quoll_buf_cache *caches[1];
	struct quoll_port_queues queues = {.nr_rxqs = 1, .nr_txqs = 1, .entries = 9, .rx_caches = caches};
	struct quoll_port_stats stats;
	struct quoll_buf *bufs[64];
	struct fix f;
	struct pair p;

	fix_open(&f);
	caches[0] = f.caches[0];
	queues.tx_caches = caches;
	for (int i = 0; i < 2; i++) {
		p.ports[i] = fix_port(&f, "ring:a");
		CU_ASSERT_EQUAL_FATAL(quoll_port_start(p.ports[i], &queues, NULL, &f.err), 0);
	}
	queues_of(&p);
	CU_ASSERT_EQUAL(send(&f, p.txqs[0], 0, 10), 10);
	CU_ASSERT_EQUAL(send(&f, p.txqs[0], 0, 10), 6); /* 9 entries are rounded up to 16 */
	CU_ASSERT_EQUAL(send(&f, p.txqs[0], 0, 10), 0);
	quoll_port_stats(p.ports[0], &stats);
	CU_ASSERT_EQUAL(stats.tx_packets, 16);
	CU_ASSERT_EQUAL(stats.tx_bytes, 645 + 375);
	CU_ASSERT_EQUAL(quoll_rx(p.rxqs[1], bufs, 64), 16);
	quoll_buf_put(f.caches[0], bufs, 16);
	pair_close(&f, &p);
}

/* What did not go in is the caller's as it was. */
static void frames_not_taken_stay_as_they_are(void)
{
	struct quoll_buf *bufs[600];
	unsigned int sent;
	struct fix f;
	struct pair p;

	pair_open(&f, &p);
	for (int i = 0; i < 600; i++) {
		bufs[i] = fix_frame(f.caches[0], 60, 1);
		bufs[i]->port = 4711;
		bufs[i]->flags = QUOLL_BUF_RX_IP_GOOD;
	}
	sent = quoll_tx(p.txqs[0], bufs, 600);
	CU_ASSERT_EQUAL_FATAL(sent, 512);
	for (unsigned int i = sent; i < 600; i++) {
		CU_ASSERT_EQUAL(bufs[i]->port, 4711);
		CU_ASSERT_EQUAL(bufs[i]->flags, QUOLL_BUF_RX_IP_GOOD);
	}
	quoll_buf_put(f.caches[0], bufs + sent, 600 - sent);
	pair_close(&f, &p);
}

/* Batches of all sizes go in and come out in others, many times round a small ring; some frames can only be dropped. */
static void counters_are_exact_whatever_batches_meet(void)
{
	struct quoll_buf_cache *caches[1];
	struct quoll_port_queues queues = {.nr_rxqs = 1, .nr_txqs = 1, .entries = 64, .rx_caches = caches};
	struct quoll_port_settings small = {.mtu = 1000};
	struct quoll_port_stats tx, rx, want = {0};
	struct quoll_buf *bufs[48];
	struct fix f;
	struct pair p;

	fix_open(&f);
	caches[0] = f.caches[0];
	queues.tx_caches = caches;
	for (int i = 0; i < 2; i++) {
		p.ports[i] = fix_port(&f, "ring:a");
		CU_ASSERT_EQUAL_FATAL(quoll_port_start(p.ports[i], &queues, i ? &small : NULL, &f.err), 0);
	}
	queues_of(&p);
	for (unsigned int round = 0; round < 3008; round++) {
		unsigned int n = round < 3000 ? round * 7 % 48 : 0, sent;

		for (unsigned int i = 0; i < n; i++) {
			/* Up to 1099 bytes: the longest are too long for the receiver only; those of 13 for both. */
			unsigned int bytes = (round * 48 + i) % 50 ? 60 + (round * 31 + i * 17) % 950 : 13;

			if (round % 64 == 63 && i % 16 == 3)
				bytes = 1019 + i;
			bufs[i] = fix_frame(f.caches[0], bytes, 1);
		}
		sent = quoll_tx(p.txqs[0], bufs, n);
		quoll_buf_put(f.caches[0], bufs + sent, n - sent);
		n = quoll_rx(p.rxqs[1], bufs, round < 3000 ? round * 5 % 48 : 48); /* all that is left, in the end */
		for (unsigned int i = 0; i < n; i++) {
			CU_ASSERT(bufs[i]->total_bytes >= 60 && bufs[i]->total_bytes <= 1018);
			CU_ASSERT_EQUAL(bufs[i]->port, p.rxqs[1]->port_id);
			want.rx_bytes += bufs[i]->total_bytes;
		}
		want.rx_packets += n;
		quoll_buf_put(f.caches[0], bufs, n);
	}
	quoll_port_stats(p.ports[0], &tx);
	quoll_port_stats(p.ports[1], &rx);
	CU_ASSERT_EQUAL(rx.rx_packets, want.rx_packets);
	CU_ASSERT_EQUAL(rx.rx_bytes, want.rx_bytes);
	CU_ASSERT(tx.tx_bad > 0 && rx.rx_bad > 0);
	CU_ASSERT_EQUAL(tx.tx_packets, rx.rx_packets + rx.rx_bad);
	pair_close(&f, &p);
}

static bool is_up(const struct quoll_port *port)
{
	struct quoll_port_link link;

	quoll_port_link(port, &link);
	return link.up;
}

static void link_is_up_while_both_run(void)
{
	struct fix f;
	struct pair p;

	fix_open(&f);
	p.ports[0] = fix_port(&f, "ring:a");
	fix_start(&f, p.ports[0], f.caches[0]);
	CU_ASSERT_FALSE(is_up(p.ports[0]));
	CU_ASSERT_EQUAL(send(&f, quoll_port_txq(p.ports[0], 0), 0, 4), 0);
	p.ports[1] = fix_port(&f, "ring:a");
	CU_ASSERT_FALSE(is_up(p.ports[0]));
	fix_start(&f, p.ports[1], f.caches[1]);
	CU_ASSERT_TRUE(is_up(p.ports[0]) && is_up(p.ports[1]));
	CU_ASSERT_EQUAL(send(&f, quoll_port_txq(p.ports[0], 0), 0, 4), 4);
	quoll_port_stop(p.ports[1]);
	CU_ASSERT_FALSE(is_up(p.ports[0]) || is_up(p.ports[1]));
	CU_ASSERT_EQUAL(send(&f, quoll_port_txq(p.ports[0], 0), 0, 4), 0);
	pair_close(&f, &p);
}

/* All that lies in lanes is back when both have stopped, whoever stopped first, sent by one or both. */
static void stop_gives_back_what_lies_in_lanes(void)
{
	for (int first = 0; first < 2; first++) {
		struct fix f;
		struct pair p;

		pair_open(&f, &p);
		send(&f, p.txqs[0], 0, 20);
		send(&f, p.txqs[1], 1, 30);
		CU_ASSERT_EQUAL(quoll_pool_nr_free(f.pool), FIX_BUFS - 50);
		quoll_port_stop(p.ports[first]);
		/* Its receive lane is empty; what it sent is for the other, who still runs. */
		CU_ASSERT_EQUAL(quoll_pool_nr_free(f.pool), FIX_BUFS - (first ? 30 : 20));
		quoll_port_stop(p.ports[!first]);
		CU_ASSERT_EQUAL(quoll_pool_nr_free(f.pool), FIX_BUFS);
		pair_close(&f, &p);
	}
}

static void frames_of_a_stopped_sender_arrive(void)
{
	struct quoll_port_stats stats;
	struct quoll_buf *bufs[64];
	struct fix f;
	struct pair p;

	pair_open(&f, &p);
	send(&f, p.txqs[0], 0, 20);
	quoll_port_close(p.ports[0]);
	CU_ASSERT_EQUAL(quoll_rx(p.rxqs[1], bufs, 64), 20);
	quoll_buf_put(f.caches[1], bufs, 20);
	/* And a new other end works at once. */
	p.ports[0] = fix_port(&f, "ring:a");
	fix_start(&f, p.ports[0], f.caches[0]);
	queues_of(&p);
	CU_ASSERT_EQUAL(send(&f, p.txqs[1], 1, 6), 6);
	CU_ASSERT_EQUAL(quoll_rx(p.rxqs[0], bufs, 64), 6);
	quoll_buf_put(f.caches[0], bufs, 6);
	/* What the last and the new one sent comes in one batch, and is counted. */
	CU_ASSERT_EQUAL(send(&f, p.txqs[0], 0, 2), 2);
	quoll_port_close(p.ports[0]);
	p.ports[0] = fix_port(&f, "ring:a");
	fix_start(&f, p.ports[0], f.caches[0]);
	queues_of(&p);
	CU_ASSERT_EQUAL(send(&f, p.txqs[0], 0, 3), 3);
	CU_ASSERT_EQUAL_FATAL(quoll_rx(p.rxqs[1], bufs, 64), 5);
	quoll_buf_put(f.caches[1], bufs, 5);
	quoll_port_stats(p.ports[1], &stats);
	CU_ASSERT_EQUAL(stats.rx_packets, 25);
	CU_ASSERT_EQUAL(stats.rx_bytes, 20 * 60 + 190 + 2 * 60 + 1 + 3 * 60 + 3);
	pair_close(&f, &p);
}

/* Queue i of one end belongs to queue i of the other; one without a counterpart takes nothing. */
static void queues_without_counterpart_take_nothing(void)
{
	struct quoll_buf *bufs[64];
	struct fix f;
	struct pair p;

	fix_open(&f);
	for (int i = 0; i < 2; i++) {
		p.ports[i] = fix_port(&f, "ring:a");
		CU_ASSERT_EQUAL_FATAL(fix_start_with(&f, p.ports[i], f.caches[i], i ? 3 : 2, NULL), 0);
	}
	CU_ASSERT_EQUAL(send(&f, quoll_port_txq(p.ports[1], 2), 1, 4), 0);
	CU_ASSERT_EQUAL(send(&f, quoll_port_txq(p.ports[1], 1), 1, 4), 4);
	CU_ASSERT_EQUAL(quoll_rx(quoll_port_rxq(p.ports[0], 0), bufs, 64), 0);
	CU_ASSERT_EQUAL(quoll_rx(quoll_port_rxq(p.ports[0], 1), bufs, 64), 4);
	quoll_buf_put(f.caches[0], bufs, 4);
	CU_ASSERT_EQUAL(quoll_rx(quoll_port_rxq(p.ports[1], 2), bufs, 64), 0);
	pair_close(&f, &p);
}

/* The first frame is looked at by the receiver, later ones by the sender. */
static void metadata_of_another_port_is_cleared(void)
{
	struct quoll_buf *buf;
	struct fix f;
	struct pair p;

	pair_open(&f, &p);
	for (int i = 0; i < 3; i++) {
		buf = fix_frame(f.caches[0], 100, 1);
		buf->flags = QUOLL_BUF_RX_L4_GOOD | QUOLL_BUF_RX_HASH;
		buf->port = 4711;
		CU_ASSERT_EQUAL(quoll_tx(p.txqs[0], &buf, 1), 1);
		CU_ASSERT_EQUAL_FATAL(quoll_rx(p.rxqs[1], &buf, 1), 1);
		CU_ASSERT_EQUAL(buf->flags, 0);
		CU_ASSERT_EQUAL(buf->port, p.rxqs[1]->port_id);
		quoll_buf_put(f.caches[1], &buf, 1);
	}
	pair_close(&f, &p);
}

static void what_cannot_be_sent_is_counted_and_dropped(void)
{
	struct quoll_port_stats stats;
	struct quoll_buf *bufs[5];
	struct fix f;
	struct pair p;

	pair_open(&f, &p);
	bufs[0] = fix_frame(f.caches[0], 100, 1);
	bufs[1] = fix_frame(f.caches[0], 13, 1);
	bufs[2] = fix_frame(f.caches[0], 1519, 3);
	bufs[3] = fix_frame(f.caches[0], 300, 1);
	bufs[4] = fix_frame(f.caches[0], 400, 1);
	bufs[4]->flags = QUOLL_BUF_TX_VLAN;
	CU_ASSERT_EQUAL(quoll_tx(p.txqs[0], bufs, 5), 5);
	quoll_port_stats(p.ports[0], &stats);
	CU_ASSERT_EQUAL(stats.tx_packets, 2);
	CU_ASSERT_EQUAL(stats.tx_bytes, 400);
	CU_ASSERT_EQUAL(stats.tx_bad, 3);
	CU_ASSERT_EQUAL(quoll_rx(p.rxqs[1], bufs, 5), 2);
	CU_ASSERT_EQUAL(bufs[1]->total_bytes, 300);
	quoll_buf_put(f.caches[1], bufs, 2);
	pair_close(&f, &p);
}

/* A receiver without rx-scatter gets no chains, one with a smaller mtu no longer frames; one with it gets all links. */
static void receiver_gets_what_it_asked_for(void)
{
	struct quoll_port_settings scatter = {.mtu = 1000, .offloads = QUOLL_OFFLOAD_RX_SCATTER};
	struct quoll_port_stats stats;
	struct quoll_buf *bufs[3];
	struct fix f;
	struct pair p;

	pair_open(&f, &p);
	for (unsigned int i = 1; i < 4; i++) {
		bufs[0] = fix_frame(f.caches[0], 100, 1);
		bufs[1] = fix_frame(f.caches[0], 1000, 2);
		CU_ASSERT_EQUAL(quoll_tx(p.txqs[0], bufs, 2), 2);
		CU_ASSERT_EQUAL_FATAL(quoll_rx(p.rxqs[1], bufs, 2), 1);
		quoll_buf_put(f.caches[1], bufs, 1);
		quoll_port_stats(p.ports[1], &stats);
		CU_ASSERT_EQUAL(stats.rx_packets, i);
		CU_ASSERT_EQUAL(stats.rx_bytes, 100 * i);
		CU_ASSERT_EQUAL(stats.rx_bad, i);
	}
	quoll_port_stop(p.ports[1]);
	CU_ASSERT_EQUAL(fix_start_with(&f, p.ports[1], f.caches[1], 1, &scatter), 0);
	queues_of(&p);
	bufs[0] = fix_frame(f.caches[0], 1200, 1);
	bufs[1] = fix_frame(f.caches[0], 1018, 16);
	CU_ASSERT_EQUAL(quoll_tx(p.txqs[0], bufs, 2), 2);
	CU_ASSERT_EQUAL_FATAL(quoll_rx(p.rxqs[1], bufs, 2), 1);
	CU_ASSERT_EQUAL(bufs[0]->nr_links, 16);
	quoll_buf_put_chain(f.caches[1], bufs[0]);
	quoll_port_stats(p.ports[1], &stats);
	CU_ASSERT_EQUAL(stats.rx_bad, 4);
	pair_close(&f, &p);
}

/*
 * A sender that has not seen yet that the other end stopped: what it sends comes to the next receiver, who has another
 * idea of what it wants. After that the sender knows better.
 */
static void next_receiver_checks_what_was_for_the_last(void)
{
	struct quoll_port_settings small = {.mtu = 500};
	struct quoll_port_stats stats;
	struct quoll_buf *bufs[8];
	struct ring_lane *lane;
	uint32_t receiver;
	struct fix f;
	struct pair p;

	pair_open(&f, &p);
	lane = ((struct ring_txq *)p.txqs[0])->lane;
	receiver = lane->open;
	CU_ASSERT_EQUAL(send(&f, p.txqs[0], 0, 2), 2);
	quoll_port_stop(p.ports[1]);
	lane->open = receiver;
	for (int i = 0; i < 3; i++)
		bufs[i] = fix_frame(f.caches[0], i == 1 ? 1000 : 400, 1);
	CU_ASSERT_EQUAL(quoll_tx(p.txqs[0], bufs, 3), 3);
	lane->open = 0;
	CU_ASSERT_EQUAL_FATAL(fix_start_with(&f, p.ports[1], f.caches[1], 1, &small), 0);
	queues_of(&p);
	CU_ASSERT_EQUAL_FATAL(quoll_rx(p.rxqs[1], bufs, 1), 1);
	quoll_buf_put(f.caches[1], bufs, 1);
	CU_ASSERT_EQUAL(quoll_rx(p.rxqs[1], bufs, 1), 0); /* the long one */
	CU_ASSERT_EQUAL(send(&f, p.txqs[0], 0, 5), 5);
	CU_ASSERT_EQUAL_FATAL(quoll_rx(p.rxqs[1], bufs, 8), 6);
	CU_ASSERT_EQUAL(bufs[0]->total_bytes, 400);
	quoll_buf_put(f.caches[1], bufs, 6);
	quoll_port_stats(p.ports[1], &stats);
	CU_ASSERT_EQUAL(stats.rx_packets, 7);
	CU_ASSERT_EQUAL(stats.rx_bytes, 2 * 400 + 60 + 61 + 62 + 63 + 64);
	CU_ASSERT_EQUAL(stats.rx_bad, 1);
	pair_close(&f, &p);
}

static void dead_port_moves_nothing(void)
{
	struct quoll_buf *bufs[8];
	struct fix f;
	struct pair p;

	pair_open(&f, &p);
	CU_ASSERT_EQUAL(send(&f, p.txqs[0], 0, 8), 8);
	net_port_kill(p.ports[1], -EIO);
	CU_ASSERT_EQUAL(quoll_rx(p.rxqs[1], bufs, 8), 0);
	CU_ASSERT_EQUAL(send(&f, p.txqs[1], 1, 8), 0);
	pair_close(&f, &p);
}

static bool readable(int fd, int timeout_ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, timeout_ms) == 1;
}

static void sleeper_is_woken_once_by_what_comes(void)
{
	struct quoll_buf *bufs[64];
	struct fix f;
	struct pair p;
	int fd;

	pair_open(&f, &p);
	fd = quoll_rxq_fd(p.rxqs[1]);
	CU_ASSERT_FATAL(fd >= 0);
	/* Not armed: nobody is rung for. */
	send(&f, p.txqs[0], 0, 4);
	CU_ASSERT_FALSE(readable(fd, 0));
	/* Work is there: no sleep. */
	CU_ASSERT_EQUAL(quoll_rxq_arm(p.rxqs[1]), 1);
	quoll_rxq_disarm(p.rxqs[1]);
	CU_ASSERT_EQUAL(quoll_rx(p.rxqs[1], bufs, 64), 4);
	quoll_buf_put(f.caches[1], bufs, 4);
	CU_ASSERT_EQUAL(quoll_rxq_arm(p.rxqs[1]), 0);
	CU_ASSERT_FALSE(readable(fd, 0));
	send(&f, p.txqs[0], 0, 4);
	CU_ASSERT_TRUE(readable(fd, 0));
	quoll_rxq_disarm(p.rxqs[1]);
	CU_ASSERT_FALSE(readable(fd, 0));
	CU_ASSERT_EQUAL(quoll_rx(p.rxqs[1], bufs, 64), 4);
	quoll_buf_put(f.caches[1], bufs, 4);
	send(&f, p.txqs[0], 0, 4);
	CU_ASSERT_FALSE(readable(fd, 0));
	pair_close(&f, &p);
}

/* 10^8 packets that go in at one end and out at the other; some are under way all the time. */
static void nothing_leaks(void)
{
	struct quoll_port_stats stats;
	struct quoll_port *null;
	uint64_t n = leak_packets(), done = 0;
	struct fix f;
	struct pair p;

	pair_open(&f, &p);
	null = fix_port(&f, "null:");
	fix_start(&f, null, f.caches[0]);
	while (done < n) {
		uint64_t part = n - done < 500 ? n - done : 500; /* of a lane of 512 */

		if (leak_forward(quoll_port_rxq(null, 0), p.txqs[0], part) != part ||
		    leak_forward(p.rxqs[1], quoll_port_txq(null, 0), part) != part)
			break;
		done += part;
	}
	CU_ASSERT_EQUAL(done, n);
	quoll_port_stats(p.ports[0], &stats);
	CU_ASSERT_EQUAL(stats.tx_packets, n);
	CU_ASSERT_EQUAL(stats.tx_bytes, n * 64);
	quoll_port_stats(p.ports[1], &stats);
	CU_ASSERT_EQUAL(stats.rx_packets, n);
	CU_ASSERT_EQUAL(stats.rx_bytes, n * 64);
	CU_ASSERT_EQUAL(quoll_pool_nr_free(f.pool), FIX_BUFS);
	quoll_port_close(null);
	pair_close(&f, &p);
}

static const struct unit_test tests[] = {
	{"ends are crossed, frames stay in order", ends_are_crossed},
	{"counters are exact", counters_are_exact},
	{"loop=1 brings back what was sent", loop_brings_back_what_was_sent},
	{"a third port is refused, a place that was left is free", third_port_is_refused},
	{"nets have names of their own", nets_have_names_of_their_own},
	{"a full ring takes fewer", full_ring_takes_fewer},
	{"frames that are not taken stay as they are", frames_not_taken_stay_as_they_are},
	{"counters are exact whatever batches meet", counters_are_exact_whatever_batches_meet},
	{"the link is up while both run, and only then frames go in", link_is_up_while_both_run},
	{"stop gives back what lies in lanes", stop_gives_back_what_lies_in_lanes},
	{"frames of a sender that stopped arrive", frames_of_a_stopped_sender_arrive},
	{"queues without a counterpart take nothing", queues_without_counterpart_take_nothing},
	{"metadata of another port is cleared", metadata_of_another_port_is_cleared},
	{"what cannot be sent is counted and dropped", what_cannot_be_sent_is_counted_and_dropped},
	{"a receiver gets what it asked for", receiver_gets_what_it_asked_for},
	{"the next receiver checks what was sent to the last", next_receiver_checks_what_was_for_the_last},
	{"a dead port moves nothing", dead_port_moves_nothing},
	{"a sleeper is woken by what comes, nobody else is rung for", sleeper_is_woken_once_by_what_comes},
	{"nothing leaks over 10^8 packets (fewer under sanitizers)", nothing_leaks},
};

UNIT_MAIN("drivers/net/ring", tests)
