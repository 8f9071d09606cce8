/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_path.c - the hot path on queues of the test's own: bursts, counts, addresses, and what becomes of the rest.
 */
#include "path_fixture.h"

#define NR_BUFS 256
#define FRAME_BYTES 100

/* A receive queue that hands out @offer frames a call, each of @nr_links; a transmit queue that takes @room of them. */
static struct {
	struct path_fixture fx;
	unsigned int offer;
	unsigned int room;
	unsigned int nr_links;
	unsigned int asked;
	unsigned int nr_sent;
	struct quoll_buf *sent[FWD_MAX_BURST];
} t;

static unsigned int fake_rx(struct quoll_rxq *rxq, struct quoll_buf **bufs, unsigned int n)
{
	unsigned int nr = t.offer < n ? t.offer : n;

	(void)rxq;
	t.asked = n;
	for (unsigned int i = 0; i < nr; i++) {
		struct quoll_buf *links[4];

		for (unsigned int k = 0; k < t.nr_links; k++) {
			CU_ASSERT_EQUAL_FATAL(quoll_buf_get(t.fx.cache, &links[k], 1), 0);
			memset(quoll_buf_data(links[k]), (int)i, FRAME_BYTES);
			links[k]->data_bytes = FRAME_BYTES;
			if (k)
				links[k - 1]->next = links[k];
		}
		links[0]->total_bytes = t.nr_links * FRAME_BYTES;
		links[0]->nr_links = (uint16_t)t.nr_links;
		bufs[i] = links[0];
	}
	return nr;
}

static unsigned int fake_tx(struct quoll_txq *txq, struct quoll_buf *const *bufs, unsigned int n)
{
	(void)txq;
	t.nr_sent = t.room < n ? t.room : n;
	memcpy(t.sent, bufs, t.nr_sent * sizeof(bufs[0]));
	return t.nr_sent;
}

static void start(unsigned int offer, unsigned int room)
{
	memset(&t, 0, sizeof(t));
	path_open(&t.fx, NR_BUFS);
	t.fx.rxq.burst = fake_rx;
	t.fx.txq.burst = fake_tx;
	t.offer = offer;
	t.room = room;
	t.nr_links = 1;
}

static void finish(void)
{
	path_close(&t.fx, t.sent, t.nr_sent);
}

static void a_burst_is_forwarded_as_it_is_and_counted(void)
{
	start(20, 100);
	CU_ASSERT_EQUAL(fwd_poll_plain(&t.fx.path), 20);
	CU_ASSERT_EQUAL(t.asked, 32);
	CU_ASSERT_EQUAL(t.nr_sent, 20);
	for (unsigned int i = 0; i < 20; i++) {
		const uint8_t *data = quoll_buf_data(t.sent[i]);

		CU_ASSERT(data[0] == i && data[11] == i && data[FRAME_BYTES - 1] == i); /* in order, untouched */
	}
	CU_ASSERT_EQUAL(t.fx.path.nr_packets, 20);
	CU_ASSERT_EQUAL(t.fx.path.nr_bursts, 1);
	CU_ASSERT_EQUAL(t.fx.path.nr_full, 0);
	CU_ASSERT_EQUAL(t.fx.path.nr_timed, 1); /* the first one always */
	CU_ASSERT_EQUAL(t.fx.path.timed_packets, 20);
	CU_ASSERT(t.fx.path.timed_ticks > 0);
	finish();
}

static void no_burst_is_longer_than_asked_for(void)
{
	start(100, 100);
	CU_ASSERT_EQUAL(fwd_poll_plain(&t.fx.path), 32);
	CU_ASSERT_EQUAL(t.nr_sent, 32);
	finish();
	start(100, 100);
	t.fx.path.burst = 1;
	CU_ASSERT_EQUAL(fwd_poll_plain(&t.fx.path), 1);
	CU_ASSERT_EQUAL(t.asked, 1);
	finish();
}

static void a_poll_that_finds_nothing_costs_no_time_and_is_no_burst(void)
{
	start(0, 100);
	CU_ASSERT_EQUAL(fwd_poll_plain(&t.fx.path), 0);
	CU_ASSERT_EQUAL(t.fx.path.nr_bursts, 0);
	CU_ASSERT_EQUAL(t.fx.path.nr_timed, 0);
	CU_ASSERT_EQUAL(t.fx.path.timed_ticks, 0);
	CU_ASSERT_EQUAL(t.nr_sent, 0);
	finish();
}

/* Empty polls in between change nothing: which bursts are timed depends on bursts alone. */
static void one_burst_in_so_many_is_timed(void)
{
	start(4, 100);
	for (unsigned int i = 0; i < 3 * FWD_TIMED_BURSTS; i++) {
		t.offer = 4;
		CU_ASSERT_EQUAL(fwd_poll_plain(&t.fx.path), 4);
		for (unsigned int k = 0; k < t.nr_sent; k++)
			quoll_buf_put_chain(t.fx.cache, t.sent[k]);
		t.nr_sent = 0;
		t.offer = 0;
		CU_ASSERT_EQUAL(fwd_poll_plain(&t.fx.path), 0);
	}
	CU_ASSERT_EQUAL(t.fx.path.nr_bursts, 3 * FWD_TIMED_BURSTS);
	CU_ASSERT_EQUAL(t.fx.path.nr_timed, 3);
	CU_ASSERT_EQUAL(t.fx.path.timed_packets, 12);
	finish();
}

static void what_does_not_fit_is_dropped_counted_and_back_in_the_pool(void)
{
	start(32, 10);
	CU_ASSERT_EQUAL(fwd_poll_plain(&t.fx.path), 32);
	CU_ASSERT_EQUAL(t.fx.path.nr_packets, 10);
	CU_ASSERT_EQUAL(t.fx.path.nr_full, 22);
	CU_ASSERT_EQUAL(quoll_pool_nr_free(t.fx.pool), NR_BUFS - 10);
	finish();
	start(32, 0);
	CU_ASSERT_EQUAL(fwd_poll_both(&t.fx.path), 32);
	CU_ASSERT_EQUAL(t.fx.path.nr_packets, 0);
	CU_ASSERT_EQUAL(t.fx.path.nr_full, 32);
	finish();
}

static void chains_are_dropped_with_all_their_links(void)
{
	start(16, 5);
	t.nr_links = 3;
	CU_ASSERT_EQUAL(fwd_poll_plain(&t.fx.path), 16);
	CU_ASSERT_EQUAL(t.fx.path.nr_full, 11);
	CU_ASSERT_EQUAL(quoll_pool_nr_free(t.fx.pool), NR_BUFS - 3 * 5);
	finish();
}

static void the_source_alone_is_rewritten_or_both_addresses(void)
{
	static const uint8_t macs[12] = {0xd0, 0xd1, 0xd2, 0xd3, 0xd4, 0xd5, 0x50, 0x51, 0x52, 0x53, 0x54, 0x55};

	start(32, 32);
	memcpy(t.fx.path.macs, macs, 12);
	CU_ASSERT_EQUAL(fwd_poll_source(&t.fx.path), 32);
	for (unsigned int i = 0; i < 32; i++) {
		const uint8_t *data = quoll_buf_data(t.sent[i]);

		CU_ASSERT(data[0] == i && data[5] == i && data[12] == i);
		CU_ASSERT_EQUAL(memcmp(data + 6, macs + 6, 6), 0);
	}
	finish();
	start(32, 32);
	memcpy(t.fx.path.macs, macs, 12);
	CU_ASSERT_EQUAL(fwd_poll_both(&t.fx.path), 32);
	for (unsigned int i = 0; i < 32; i++) {
		const uint8_t *data = quoll_buf_data(t.sent[i]);

		CU_ASSERT_EQUAL(memcmp(data, macs, 12), 0);
		CU_ASSERT(data[12] == i && data[13] == i);
	}
	finish();
}

static const struct unit_test tests[] = {
	{"a burst is forwarded as it is, and counted", a_burst_is_forwarded_as_it_is_and_counted},
	{"no burst is longer than asked for", no_burst_is_longer_than_asked_for},
	{"a poll that finds nothing costs no time and is no burst",
	 a_poll_that_finds_nothing_costs_no_time_and_is_no_burst},
	{"one burst in so many is timed", one_burst_in_so_many_is_timed},
	{"what does not fit is dropped, counted, and back in the pool",
	 what_does_not_fit_is_dropped_counted_and_back_in_the_pool},
	{"chains are dropped with all their links", chains_are_dropped_with_all_their_links},
	{"the source alone is rewritten, or both addresses", the_source_alone_is_rewritten_or_both_addresses},
};

UNIT_MAIN("path of a forwarder", tests)
