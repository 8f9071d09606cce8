/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_net_port.c - the states of a port, applied settings, and counters that outlive their queues; with a fake driver.
 */
#include <pthread.h>

#include "backend/backend.h"
#include "fake_port.h"

static struct fake_port *open_one(struct fix *f)
{
	fix_open(f);
	fake_port_defaults();
	return fake_port_open(f);
}

static void close_one(struct fix *f, struct fake_port *fake)
{
	quoll_port_close(&fake->port);
	CU_ASSERT_EQUAL(fake_port_closes, 1);
	fix_close(f);
}

static void failed_open_leaves_nothing(void)
{
	struct quoll_port *port;
	struct fix f;

	fix_open(&f);
	fake_port_defaults();
	fake_port_can.open_rc = -ETIMEDOUT;
	CU_ASSERT_EQUAL(fake_port_try(&f, &port), -ETIMEDOUT);
	CU_ASSERT_PTR_NULL(port);
	CU_ASSERT_EQUAL(fake_port_closes, 0);
	fix_close(&f);
}

static void a_port_is_at_its_device_s_node(void)
{
	struct quoll_device dev = {.info = {.name = "0000:01:00.0", .numa_node = 2}};
	struct quoll_port_info info;
	struct quoll_port *port;
	struct quoll_addr addr;
	struct fix f;

	fix_open(&f);
	CU_ASSERT_EQUAL_FATAL(quoll_addr_parse("null:", &addr, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(net_port_open_driver(f.net, &net_null, &addr, &dev, &port, &f.err), 0);
	quoll_port_info(port, &info);
	CU_ASSERT_EQUAL(info.numa_node, 2);
	quoll_port_close(port);
	fix_close(&f);
}

static void queues_are_there_while_it_runs(void)
{
	struct fix f;
	struct fake_port *fake = open_one(&f);
	struct quoll_port *port = &fake->port;

	CU_ASSERT_PTR_NULL(quoll_port_rxq(port, 0));
	CU_ASSERT_EQUAL(fix_start_with(&f, port, f.caches[0], 2, NULL), 0);
	CU_ASSERT_PTR_NOT_NULL(quoll_port_rxq(port, 1));
	CU_ASSERT_PTR_NOT_NULL(quoll_port_txq(port, 1));
	CU_ASSERT_PTR_NULL(quoll_port_rxq(port, 2));
	CU_ASSERT_PTR_NULL(quoll_port_txq(port, UINT32_MAX));
	CU_ASSERT_EQUAL(quoll_port_stop(port), 0);
	CU_ASSERT_PTR_NULL(quoll_port_rxq(port, 0));
	CU_ASSERT_PTR_NULL(quoll_port_txq(port, 0));
	close_one(&f, fake);
}

static void running_port_is_not_started(void)
{
	struct fix f;
	struct fake_port *fake = open_one(&f);

	fix_start(&f, &fake->port, f.caches[0]);
	CU_ASSERT_EQUAL(fix_start_with(&f, &fake->port, f.caches[0], 1, NULL), -EBUSY);
	CU_ASSERT_EQUAL(fake->nr_starts, 1);
	CU_ASSERT_PTR_NOT_NULL(quoll_port_rxq(&fake->port, 0));
	close_one(&f, fake);
}

static void stopping_twice_stops_once(void)
{
	struct fix f;
	struct fake_port *fake = open_one(&f);

	CU_ASSERT_EQUAL(quoll_port_stop(&fake->port), 0);
	CU_ASSERT_EQUAL(fake->nr_stops, 0);
	fix_start(&f, &fake->port, f.caches[0]);
	CU_ASSERT_EQUAL(quoll_port_stop(&fake->port), 0);
	CU_ASSERT_EQUAL(quoll_port_stop(&fake->port), 0);
	CU_ASSERT_EQUAL(fake->nr_stops, 1);
	fix_start(&f, &fake->port, f.caches[0]);
	CU_ASSERT_EQUAL(fake->nr_starts, 2);
	close_one(&f, fake);
}

static void stop_hands_its_failure_on(void)
{
	struct fix f;
	struct fake_port *fake = open_one(&f);

	fix_start(&f, &fake->port, f.caches[0]);
	fake_port_can.stop_rc = -ETIMEDOUT;
	CU_ASSERT_EQUAL(quoll_port_stop(&fake->port), -ETIMEDOUT);
	CU_ASSERT_PTR_NULL(quoll_port_rxq(&fake->port, 0));
	CU_ASSERT_EQUAL(quoll_port_stop(&fake->port), 0);
	close_one(&f, fake);
}

/* The driver's close asserts that the port is stopped. */
static void close_stops_first(void)
{
	struct fix f;
	struct fake_port *fake = open_one(&f);

	fix_start(&f, &fake->port, f.caches[0]);
	close_one(&f, fake);
}

static void failed_start_is_cleaned_up(void)
{
	struct fix f;
	struct fake_port *fake = open_one(&f);

	fake_port_can.start_rc = -ENOBUFS;
	CU_ASSERT_EQUAL(fix_start_with(&f, &fake->port, f.caches[0], 1, NULL), -ENOBUFS);
	CU_ASSERT_EQUAL(fake->nr_stops, 1);
	CU_ASSERT_PTR_NULL(quoll_port_rxq(&fake->port, 0));
	CU_ASSERT_EQUAL(quoll_port_stop(&fake->port), 0);
	CU_ASSERT_EQUAL(fake->nr_stops, 1);
	fake_port_can.start_rc = 0;
	fix_start(&f, &fake->port, f.caches[0]);
	close_one(&f, fake);
}

/* The caller's arrays may go after start; the driver sees copies. */
static void queue_arrays_are_copied(void)
{
	struct fix f;
	struct fake_port *fake = open_one(&f);
	struct quoll_buf_cache *rx[1] = {f.caches[0]}, *tx[1] = {f.caches[1]};
	struct quoll_port_queues queues = {.nr_rxqs = 1, .nr_txqs = 1, .entries = 1, .rx_caches = rx, .tx_caches = tx};

	CU_ASSERT_EQUAL(quoll_port_start(&fake->port, &queues, NULL, &f.err), 0);
	rx[0] = tx[0] = NULL;
	CU_ASSERT_PTR_EQUAL(fake->port.queues.rx_caches[0], f.caches[0]);
	CU_ASSERT_PTR_EQUAL(fake->port.queues.tx_caches[0], f.caches[1]);
	CU_ASSERT_EQUAL(fake->port.queues.entries, 64);
	close_one(&f, fake);
}

static void apply_takes_a_running_port(void)
{
	struct quoll_port_settings settings = {.promiscuous = true};
	struct fix f;
	struct fake_port *fake = open_one(&f);

	CU_ASSERT_EQUAL(quoll_port_apply(&fake->port, &settings, &f.err), -EINVAL);
	fix_start(&f, &fake->port, f.caches[0]);
	CU_ASSERT_EQUAL(quoll_port_apply(&fake->port, &settings, &f.err), 0);
	CU_ASSERT_EQUAL(fake->nr_applies, 1);
	CU_ASSERT_TRUE(fake->port.settings.promiscuous);
	CU_ASSERT_EQUAL(fake->port.settings.mtu, QUOLL_PORT_DEFAULT_MTU);
	close_one(&f, fake);
}

static void apply_refuses_mtu_and_offloads(void)
{
	struct quoll_port_settings mtu = {.mtu = 2000}, offloads = {.offloads = QUOLL_OFFLOAD_RX_CSUM};
	struct fix f;
	struct fake_port *fake = open_one(&f);

	fix_start(&f, &fake->port, f.caches[0]);
	CU_ASSERT_EQUAL(quoll_port_apply(&fake->port, &mtu, &f.err), -EBUSY);
	CU_ASSERT_PTR_NOT_NULL(strstr(f.err.what, "mtu"));
	CU_ASSERT_EQUAL(quoll_port_apply(&fake->port, &offloads, &f.err), -EBUSY);
	CU_ASSERT_PTR_NOT_NULL(strstr(f.err.what, "offloads"));
	CU_ASSERT_EQUAL(fake->nr_applies, 0);
	CU_ASSERT_EQUAL(fake->port.settings.mtu, QUOLL_PORT_DEFAULT_MTU);
	close_one(&f, fake);
}

static void apply_changes_the_table_of_rss_but_not_its_key(void)
{
	struct quoll_port_settings s;
	struct fix f;
	struct fake_port *fake = open_one(&f);

	CU_ASSERT_EQUAL_FATAL(fix_start_with(&f, &fake->port, f.caches[0], 2, NULL), 0);
	s = fake->port.settings;
	memset(s.rss.table, 0, sizeof(s.rss.table));
	CU_ASSERT_EQUAL(quoll_port_apply(&fake->port, &s, &f.err), 0);
	CU_ASSERT_EQUAL(fake->port.settings.rss.table[1], 0);
	/* Zeroes are the defaults again. */
	CU_ASSERT_EQUAL(quoll_port_apply(&fake->port, NULL, &f.err), 0);
	CU_ASSERT_EQUAL(fake->port.settings.rss.table[1], 1);
	s.rss.key[0] ^= 1;
	CU_ASSERT_EQUAL(quoll_port_apply(&fake->port, &s, &f.err), -EBUSY);
	CU_ASSERT_PTR_NOT_NULL(strstr(f.err.what, "rss"));
	CU_ASSERT_EQUAL(fake->port.settings.rss.table[1], 1);
	s = fake->port.settings;
	s.rss.types = QUOLL_RSS_IPV4;
	CU_ASSERT_EQUAL(quoll_port_apply(&fake->port, &s, &f.err), -EBUSY);
	CU_ASSERT_EQUAL(fake->nr_applies, 2);
	close_one(&f, fake);
}

static void failed_apply_changes_nothing(void)
{
	struct quoll_port_settings settings = {.all_multicast = true};
	struct fix f;
	struct fake_port *fake = open_one(&f);

	fix_start(&f, &fake->port, f.caches[0]);
	fake_port_can.apply_rc = -EIO;
	CU_ASSERT_EQUAL(quoll_port_apply(&fake->port, &settings, &f.err), -EIO);
	CU_ASSERT_FALSE(fake->port.settings.all_multicast);
	settings.mac[0] = 1;
	CU_ASSERT_EQUAL(quoll_port_apply(&fake->port, &settings, &f.err), -EINVAL);
	CU_ASSERT_EQUAL(fake->nr_applies, 1);
	close_one(&f, fake);
}

static void counters_outlive_their_queues(void)
{
	struct quoll_port_stats stats;
	struct quoll_buf *none[32] = {0};
	struct fix f;
	struct fake_port *fake = open_one(&f);

	for (unsigned int round = 1; round <= 3; round++) {
		CU_ASSERT_EQUAL_FATAL(fix_start_with(&f, &fake->port, f.caches[0], 2, NULL), 0);
		quoll_rx(quoll_port_rxq(&fake->port, 0), none, 10);
		quoll_rx(quoll_port_rxq(&fake->port, 1), none, 3);
		quoll_tx(quoll_port_txq(&fake->port, 1), none, 5);
		quoll_port_stats(&fake->port, &stats);
		CU_ASSERT_EQUAL(stats.rx_packets, 13 * round);
		CU_ASSERT_EQUAL(stats.tx_packets, 5 * round);
		CU_ASSERT_EQUAL(stats.rx_missed, 7);
		quoll_port_stop(&fake->port);
		quoll_port_stats(&fake->port, &stats);
		CU_ASSERT_EQUAL(stats.rx_packets, 13 * round);
		CU_ASSERT_EQUAL(stats.tx_packets, 5 * round);
	}
	close_one(&f, fake);
}

static uint64_t xstat(const struct quoll_port *port, const char *name)
{
	struct quoll_port_xstat xstats[64];
	unsigned int n = quoll_port_xstats(port, xstats, 64);

	CU_ASSERT_FATAL(n <= 64);
	for (unsigned int i = 0; i < n; i++)
		if (!strcmp(xstats[i].name, name))
			return xstats[i].value;
	CU_FAIL("no such counter");
	return 0;
}

static void counters_have_names(void)
{
	struct quoll_port_xstat few[3] = {0};
	struct quoll_buf *none[32] = {0};
	unsigned int n;
	struct fix f;
	struct fake_port *fake = open_one(&f);

	n = quoll_port_xstats(&fake->port, NULL, 0);
	CU_ASSERT_EQUAL(n, 10 + 2);
	CU_ASSERT_EQUAL_FATAL(fix_start_with(&f, &fake->port, f.caches[0], 2, NULL), 0);
	CU_ASSERT_EQUAL(quoll_port_xstats(&fake->port, NULL, 0), n + 2 * 4 + 2 * 3);
	quoll_rx(quoll_port_rxq(&fake->port, 0), none, 10);
	quoll_rx(quoll_port_rxq(&fake->port, 1), none, 3);
	quoll_tx(quoll_port_txq(&fake->port, 1), none, 5);
	CU_ASSERT_EQUAL(xstat(&fake->port, "rx_packets"), 13);
	CU_ASSERT_EQUAL(xstat(&fake->port, "rx_missed"), 7);
	CU_ASSERT_EQUAL(xstat(&fake->port, "rxq0_packets"), 10);
	CU_ASSERT_EQUAL(xstat(&fake->port, "rxq1_packets"), 3);
	CU_ASSERT_EQUAL(xstat(&fake->port, "txq0_packets"), 0);
	CU_ASSERT_EQUAL(xstat(&fake->port, "txq1_packets"), 5);
	CU_ASSERT_EQUAL(xstat(&fake->port, "fake_crc"), 11);
	CU_ASSERT_EQUAL(xstat(&fake->port, "fake_runts"), 13);
	/* No more are filled in than there is room for. */
	CU_ASSERT_EQUAL(quoll_port_xstats(&fake->port, few, 2), n + 2 * 4 + 2 * 3);
	CU_ASSERT_STRING_EQUAL(few[1].name, "rx_bytes");
	CU_ASSERT_STRING_EQUAL(few[2].name, "");
	close_one(&f, fake);
}

struct asker {
	struct quoll_port *port;
	int stop; /* atomic, as the next */
	uint64_t nr_asked;
	unsigned int nr_wrong; /* CUnit is for one thread */
};

static void *ask(void *arg)
{
	struct asker *a = arg;
	struct quoll_port_stats stats;
	struct quoll_port_link link;
	uint64_t last = 0;

	/* At least once, however late we come. */
	do {
		quoll_port_stats(a->port, &stats);
		quoll_port_link(a->port, &link);
		a->nr_wrong += stats.rx_packets < last || quoll_port_error(a->port);
		last = stats.rx_packets;
		__atomic_store_n(&a->nr_asked, a->nr_asked + 1, __ATOMIC_RELEASE);
	} while (!__atomic_load_n(&a->stop, __ATOMIC_ACQUIRE));
	return NULL;
}

/* TSan looks at this one: another thread asks while queues come, count and go. */
static void any_thread_may_ask_while_it_starts_and_stops(void)
{
	struct quoll_buf *none[32] = {0};
	struct fix f;
	struct fake_port *fake = open_one(&f);
	struct asker asker = {.port = &fake->port};
	pthread_t thread;

	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, ask, &asker), 0);
	for (int i = 0; i < 200 || !__atomic_load_n(&asker.nr_asked, __ATOMIC_ACQUIRE); i++) {
		fix_start(&f, &fake->port, f.caches[0]);
		for (int k = 0; k < 10; k++)
			quoll_rx(quoll_port_rxq(&fake->port, 0), none, 32);
		net_port_set_link(&fake->port, i & 1, true, 1000);
		quoll_port_stop(&fake->port);
	}
	__atomic_store_n(&asker.stop, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	CU_ASSERT_EQUAL(asker.nr_wrong, 0);
	close_one(&f, fake);
}

static void port_without_interrupts_cannot_wake(void)
{
	struct fix f;
	struct fake_port *fake = open_one(&f);
	struct quoll_rxq *rxq;

	fix_start(&f, &fake->port, f.caches[0]);
	rxq = quoll_port_rxq(&fake->port, 0);
	CU_ASSERT_EQUAL(quoll_rxq_fd(rxq), -1);
	CU_ASSERT_EQUAL(quoll_rxq_arm(rxq), -ENOTSUP);
	quoll_rxq_disarm(rxq);
	close_one(&f, fake);
}

static const struct unit_test tests[] = {
	{"a failed open leaves nothing", failed_open_leaves_nothing},
	{"a port is at its device's node", a_port_is_at_its_device_s_node},
	{"queues are there while it runs", queues_are_there_while_it_runs},
	{"a running port is not started again", running_port_is_not_started},
	{"stopping twice stops once", stopping_twice_stops_once},
	{"stop hands its failure on, and has stopped", stop_hands_its_failure_on},
	{"close stops first", close_stops_first},
	{"a failed start is cleaned up and can be tried again", failed_start_is_cleaned_up},
	{"queue arrays are copied, entries rounded up", queue_arrays_are_copied},
	{"apply takes a running port", apply_takes_a_running_port},
	{"apply refuses a new mtu and new offloads", apply_refuses_mtu_and_offloads},
	{"a failed apply changes nothing", failed_apply_changes_nothing},
	{"counters outlive their queues and are counted once", counters_outlive_their_queues},
	{"counters have names", counters_have_names},
	{"apply changes the table of RSS, but not its key", apply_changes_the_table_of_rss_but_not_its_key},
	{"any thread may ask while it starts and stops", any_thread_may_ask_while_it_starts_and_stops},
	{"a port without interrupts cannot wake", port_without_interrupts_cannot_wake},
};

UNIT_MAIN("drivers/net/net_port", tests)
