/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_null.c - null ports: every frame has a buffer of its own, every buffer comes back, every count is exact.
 */
#include <net/net_driver.h>

#include "../leak.h"

static void frames_have_the_size_asked_for(void)
{
	struct quoll_buf *bufs[32];
	struct quoll_port *port;
	struct fix f;

	fix_open(&f);
	port = fix_port(&f, "null:?size=1k");
	fix_start(&f, port, f.caches[0]);
	CU_ASSERT_EQUAL_FATAL(quoll_rx(quoll_port_rxq(port, 0), bufs, 32), 32);
	for (int i = 0; i < 32; i++) {
		CU_ASSERT_EQUAL(bufs[i]->total_bytes, 1024);
		CU_ASSERT_EQUAL(bufs[i]->data_bytes, 1024);
		CU_ASSERT_EQUAL(bufs[i]->nr_links, 1);
		CU_ASSERT_PTR_NULL(bufs[i]->next);
		CU_ASSERT_EQUAL(bufs[i]->data_off, 128);
		CU_ASSERT_EQUAL(bufs[i]->flags, 0);
		for (int k = 0; k < i; k++)
			CU_ASSERT_PTR_NOT_EQUAL(bufs[i], bufs[k]);
	}
	quoll_buf_put(f.caches[0], bufs, 32);
	quoll_port_close(port);
	fix_close(&f);
}

static void sizes_out_of_range_are_refused(void)
{
	static const char *const wrong[] = {"null:?size=13", "null:?size=16129", "null:?size=64x", "null:?size=-1",
					    "null:?size=99999999999999999999"};
	static const char *const right[] = {"null:?size=14", "null:?size=16128", "null:"};
	struct quoll_port *port;
	struct fix f;

	fix_open(&f);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		CU_ASSERT_EQUAL(fix_port_try(&f, wrong[i], &port), -EINVAL);
		CU_ASSERT_PTR_NOT_NULL(strstr(f.err.what, "14 to 16128"));
	}
	for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++)
		quoll_port_close(fix_port(&f, right[i]));
	fix_close(&f);
}

static void frames_longer_than_the_mtu_are_refused(void)
{
	struct quoll_port_settings settings = {.mtu = 1501};
	struct quoll_port *port;
	struct fix f;

	fix_open(&f);
	port = fix_port(&f, "null:?size=1519");
	CU_ASSERT_EQUAL(fix_start_with(&f, port, f.caches[0], 1, NULL), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(f.err.what, "1519"));
	CU_ASSERT_EQUAL(fix_start_with(&f, port, f.caches[0], 1, &settings), 0);
	quoll_port_close(port);
	fix_close(&f);
}

static void empty_pool_gives_what_it_has(void)
{
	struct quoll_port_stats stats;
	struct quoll_buf *bufs[64];
	struct quoll_port *port;
	struct fix f;

	fix_open_with(&f, 50, FIX_BUF_BYTES);
	port = fix_port(&f, "null:");
	fix_start(&f, port, f.caches[0]);
	CU_ASSERT_EQUAL(quoll_rx(quoll_port_rxq(port, 0), bufs, 64), 50);
	CU_ASSERT_EQUAL(quoll_rx(quoll_port_rxq(port, 0), bufs + 50, 14), 0);
	quoll_port_stats(port, &stats);
	CU_ASSERT_EQUAL(stats.rx_packets, 50);
	CU_ASSERT_EQUAL(stats.rx_bytes, 50 * 64);
	CU_ASSERT_EQUAL(stats.rx_no_buf, 28);
	CU_ASSERT_EQUAL(quoll_tx(quoll_port_txq(port, 0), bufs, 50), 50);
	CU_ASSERT_EQUAL(quoll_pool_nr_free(f.pool), 50);
	quoll_port_close(port);
	fix_close(&f);
}

static void what_cannot_be_sent_is_counted_and_dropped(void)
{
	static const uint32_t asks[] = {QUOLL_BUF_TX_IP_CSUM, QUOLL_BUF_TX_TCP_CSUM, QUOLL_BUF_TX_UDP_CSUM,
					QUOLL_BUF_TX_VLAN};
	struct quoll_buf *bufs[8];
	struct quoll_port_stats stats;
	struct quoll_port *port;
	struct fix f;

	fix_open(&f);
	port = fix_port(&f, "null:");
	fix_start(&f, port, f.caches[0]);
	bufs[0] = fix_frame(f.caches[0], 13, 1);
	bufs[1] = fix_frame(f.caches[0], 14, 1);
	bufs[2] = fix_frame(f.caches[0], 1518, 1);
	bufs[3] = fix_frame(f.caches[0], 1519, 1);
	for (int i = 0; i < 4; i++) {
		bufs[4 + i] = fix_frame(f.caches[0], 100, 1);
		bufs[4 + i]->flags = asks[i];
	}
	bufs[1]->flags = QUOLL_BUF_RX_L4_GOOD | QUOLL_BUF_RX_VLAN; /* means nothing here */
	CU_ASSERT_EQUAL(quoll_tx(quoll_port_txq(port, 0), bufs, 8), 8);
	quoll_port_stats(port, &stats);
	CU_ASSERT_EQUAL(stats.tx_packets, 2);
	CU_ASSERT_EQUAL(stats.tx_bytes, 14 + 1518);
	CU_ASSERT_EQUAL(stats.tx_bad, 6);
	CU_ASSERT_EQUAL(quoll_pool_nr_free(f.pool), FIX_BUFS);
	quoll_port_close(port);
	fix_close(&f);
}

static void chains_are_given_back_link_by_link(void)
{
	struct quoll_buf *bufs[3];
	struct quoll_port_stats stats;
	struct quoll_port *port;
	struct fix f;

	fix_open(&f);
	port = fix_port(&f, "null:");
	fix_start(&f, port, f.caches[0]);
	bufs[0] = fix_frame(f.caches[0], 100, 1);
	bufs[1] = fix_frame(f.caches[0], 1200, 16);
	bufs[2] = fix_frame(f.caches[0], 200, 2);
	CU_ASSERT_EQUAL(quoll_tx(quoll_port_txq(port, 0), bufs, 3), 3);
	quoll_port_stats(port, &stats);
	CU_ASSERT_EQUAL(stats.tx_packets, 3);
	CU_ASSERT_EQUAL(stats.tx_bytes, 1500);
	CU_ASSERT_EQUAL(quoll_pool_nr_free(f.pool), FIX_BUFS);
	quoll_port_close(port);
	fix_close(&f);
}

static void dead_port_moves_nothing(void)
{
	struct quoll_buf *buf;
	struct quoll_port *port;
	struct fix f;

	fix_open(&f);
	port = fix_port(&f, "null:");
	fix_start(&f, port, f.caches[0]);
	CU_ASSERT_EQUAL(quoll_rx(quoll_port_rxq(port, 0), &buf, 1), 1);
	net_port_kill(port, -EIO);
	CU_ASSERT_EQUAL(quoll_tx(quoll_port_txq(port, 0), &buf, 1), 0);
	quoll_buf_put(f.caches[0], &buf, 1);
	CU_ASSERT_EQUAL(quoll_rx(quoll_port_rxq(port, 0), &buf, 1), 0);
	quoll_port_close(port);
	fix_close(&f);
}

static void link_is_up_while_it_runs(void)
{
	struct quoll_port_link link;
	struct quoll_port *port;
	struct fix f;

	fix_open(&f);
	port = fix_port(&f, "null:");
	quoll_port_link(port, &link);
	CU_ASSERT_FALSE(link.up);
	fix_start(&f, port, f.caches[0]);
	quoll_port_link(port, &link);
	CU_ASSERT_TRUE(link.up);
	quoll_port_stop(port);
	quoll_port_link(port, &link);
	CU_ASSERT_FALSE(link.up);
	quoll_port_close(port);
	fix_close(&f);
}

static void settings_may_be_applied(void)
{
	struct quoll_port_settings settings = {.promiscuous = true, .mac = {2, 0, 0, 0, 0, 1}};
	struct quoll_port *port;
	struct fix f;

	fix_open(&f);
	port = fix_port(&f, "null:");
	fix_start(&f, port, f.caches[0]);
	CU_ASSERT_EQUAL(quoll_port_apply(port, &settings, &f.err), 0);
	quoll_port_close(port);
	fix_close(&f);
}

/* 10^8 packets through two ports; in bursts that change, so that caches run empty and full. */
static void nothing_leaks(void)
{
	struct quoll_port_stats stats;
	struct quoll_port *ports[2];
	uint64_t n = leak_packets();
	struct fix f;

	fix_open(&f);
	for (int i = 0; i < 2; i++) {
		ports[i] = fix_port(&f, "null:");
		fix_start(&f, ports[i], f.caches[0]);
	}
	CU_ASSERT_EQUAL(leak_forward(quoll_port_rxq(ports[0], 0), quoll_port_txq(ports[1], 0), n), n);
	quoll_port_stats(ports[0], &stats);
	CU_ASSERT_EQUAL(stats.rx_packets, n);
	CU_ASSERT_EQUAL(stats.rx_bytes, n * 64);
	CU_ASSERT_EQUAL(stats.rx_no_buf, 0);
	quoll_port_stats(ports[1], &stats);
	CU_ASSERT_EQUAL(stats.tx_packets, n);
	CU_ASSERT_EQUAL(stats.tx_bytes, n * 64);
	CU_ASSERT_EQUAL(quoll_pool_nr_free(f.pool), FIX_BUFS);
	for (int i = 0; i < 2; i++)
		quoll_port_close(ports[i]);
	fix_close(&f);
}

static const struct unit_test tests[] = {
	{"frames have the size asked for, each in a fresh buffer", frames_have_the_size_asked_for},
	{"sizes out of range are refused", sizes_out_of_range_are_refused},
	{"frames longer than the mtu are refused", frames_longer_than_the_mtu_are_refused},
	{"an empty pool gives what it has, and the rest is counted", empty_pool_gives_what_it_has},
	{"what cannot be sent is counted and dropped", what_cannot_be_sent_is_counted_and_dropped},
	{"chains are given back link by link", chains_are_given_back_link_by_link},
	{"a dead port moves nothing", dead_port_moves_nothing},
	{"the link is up while it runs", link_is_up_while_it_runs},
	{"settings may be applied", settings_may_be_applied},
	{"nothing leaks over 10^8 packets (fewer under sanitizers)", nothing_leaks},
};

UNIT_MAIN("drivers/net/null", tests)
