/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_net_settings.c - settings and queues out of range are refused by name, and defaults put in place.
 */
#include "fake_port.h"

/* Start with these; it is stopped again. What is refused says so in err.what. */
static int try_settings(struct fix *f, const struct quoll_port_settings *settings)
{
	struct fake_port *fake = fake_port_open(f);
	int rc = fix_start_with(f, &fake->port, f->caches[0], 1, settings);

	quoll_port_close(&fake->port);
	return rc;
}

static void refused(const struct quoll_port_settings *settings, int rc, const char *word, const char *limit)
{
	struct fix f;

	fix_open(&f);
	fake_port_defaults();
	CU_ASSERT_EQUAL(try_settings(&f, settings), rc);
	CU_ASSERT_PTR_NOT_NULL(strstr(f.err.what, word));
	CU_ASSERT_PTR_NOT_NULL(strstr(f.err.what, limit));
	CU_ASSERT_STRING_EQUAL(f.err.subject, "null:");
	fix_close(&f);
}

static void mtu_has_two_ends(void)
{
	struct quoll_port_settings s = {.mtu = 67};

	refused(&s, -EINVAL, "mtu", "68 to 9216");
	s.mtu = 9217;
	refused(&s, -EINVAL, "mtu", "68 to 9216");
}

static void offloads_that_it_lacks_are_named(void)
{
	struct quoll_port_settings s = {.offloads = QUOLL_OFFLOAD_RX_CSUM | QUOLL_OFFLOAD_TX_CSUM};
	struct fix f;

	refused(&s, -ENOTSUP, "tx-ip-csum tx-l4-csum", "fake");
	s.offloads = QUOLL_OFFLOAD_VLAN_STRIP | QUOLL_OFFLOAD_VLAN_INSERT;
	refused(&s, -ENOTSUP, "vlan-strip", "vlan-insert");
	s.offloads = 1u << 31;
	refused(&s, -ENOTSUP, "unknown", "0x80000000");
	fix_open(&f);
	fake_port_defaults();
	s.offloads = QUOLL_OFFLOAD_RX_CSUM;
	CU_ASSERT_EQUAL(try_settings(&f, &s), 0);
	CU_ASSERT_PTR_NULL(strstr(f.err.what, "rx-ip-csum"));
	fix_close(&f);
}

static void segments_need_checksums(void)
{
	struct quoll_port_settings s = {.offloads = QUOLL_OFFLOAD_TX_TSO4};
	struct fix f;

	fix_open(&f);
	fake_port_defaults();
	fake_port_can.info.offloads |= QUOLL_OFFLOAD_TX_TSO4 | QUOLL_OFFLOAD_TX_L4_CSUM;
	CU_ASSERT_EQUAL(try_settings(&f, &s), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(f.err.what, "tx-l4-csum"));
	s.offloads |= QUOLL_OFFLOAD_TX_L4_CSUM;
	CU_ASSERT_EQUAL(try_settings(&f, &s), 0);
	fix_close(&f);
}

static void rss_that_it_lacks_is_refused(void)
{
	struct quoll_port_settings s = {.rss = {.types = QUOLL_RSS_IPV4 | QUOLL_RSS_UDP6}};
	struct fix f;

	refused(&s, -ENOTSUP, "rss.types", "0x20");
	s = (struct quoll_port_settings){.rss = {.nr_entries = 4}};
	refused(&s, -EINVAL, "rss.nr_entries", "table has 8");
	s.rss.nr_entries = QUOLL_RSS_MAX_ENTRIES + 1;
	refused(&s, -EINVAL, "rss.nr_entries", "513");
	s.rss.nr_entries = 8;
	s.rss.table[7] = 1; /* the one receive queue is 0 */
	refused(&s, -EINVAL, "rss.table[7]", "queue 1");
	s = (struct quoll_port_settings){.rss = {.key = {1}}};
	fix_open(&f);
	fake_port_defaults();
	CU_ASSERT_EQUAL(try_settings(&f, &s), 0);
	fake_port_can.info.rss_types = 0;
	fake_port_can.info.rss_table_entries = 0;
	CU_ASSERT_EQUAL(try_settings(&f, &s), -ENOTSUP);
	CU_ASSERT_PTR_NOT_NULL(strstr(f.err.what, "rss.key"));
	fix_close(&f);
}

static void queues_take_turns_in_the_table_unless_told(void)
{
	struct quoll_port_settings s = {0};
	struct fake_port *fake;
	struct fix f;

	fix_open(&f);
	fake_port_defaults();
	fake = fake_port_open(&f);
	CU_ASSERT_EQUAL_FATAL(fix_start_with(&f, &fake->port, f.caches[0], 2, NULL), 0);
	CU_ASSERT_EQUAL(fake->port.settings.rss.types, QUOLL_RSS_IPV4 | QUOLL_RSS_TCP4);
	CU_ASSERT_EQUAL(fake->port.settings.rss.nr_entries, 8);
	for (unsigned int i = 0; i < 8; i++)
		CU_ASSERT_EQUAL(fake->port.settings.rss.table[i], i % 2);
	CU_ASSERT_EQUAL(memcmp(fake->port.settings.rss.key, quoll_rss_key_default, QUOLL_RSS_KEY_BYTES), 0);
	quoll_port_stop(&fake->port);
	/* With one queue there is no hash unless it is asked for. */
	CU_ASSERT_EQUAL_FATAL(fix_start_with(&f, &fake->port, f.caches[0], 1, NULL), 0);
	CU_ASSERT_EQUAL(fake->port.settings.rss.types, 0);
	quoll_port_stop(&fake->port);
	s.rss.types = QUOLL_RSS_TCP4;
	s.rss.nr_entries = 8;
	CU_ASSERT_EQUAL_FATAL(fix_start_with(&f, &fake->port, f.caches[0], 1, &s), 0);
	CU_ASSERT_EQUAL(fake->port.settings.rss.types, QUOLL_RSS_TCP4);
	quoll_port_close(&fake->port);
	fix_close(&f);
}

static void multicast_is_no_address_of_ones_own(void)
{
	struct quoll_port_settings s = {.mac = {1, 0, 0x5e, 0, 0, 1}};

	refused(&s, -EINVAL, "mac", "01:00:5e:00:00:01");
}

static void further_addresses_are_counted_and_not_zero(void)
{
	struct quoll_port_settings s = {.nr_macs = 4};
	struct fix f;

	refused(&s, -EINVAL, "nr_macs", "limit of 3");
	s.nr_macs = 2;
	s.macs[0][0] = 0x33; /* multicast is allowed here */
	refused(&s, -EINVAL, "macs[1]", "zero");
	s.macs[1][5] = 1;
	fix_open(&f);
	fake_port_defaults();
	CU_ASSERT_EQUAL(try_settings(&f, &s), 0);
	/* A driver that says more than the array has is not believed. */
	fake_port_can.info.max_macs = 1000;
	s.nr_macs = QUOLL_PORT_MAX_MACS + 1;
	CU_ASSERT_EQUAL(try_settings(&f, &s), -EINVAL);
	fix_close(&f);
}

static void zeroes_stand_for_defaults(void)
{
	struct quoll_port_settings s = {0};
	struct fake_port *fake;
	struct fix f;

	fix_open(&f);
	fake_port_defaults();
	fake = fake_port_open(&f);
	CU_ASSERT_EQUAL(fix_start_with(&f, &fake->port, f.caches[0], 1, &s), 0);
	CU_ASSERT_EQUAL(fake->port.settings.mtu, 1500);
	CU_ASSERT_EQUAL(memcmp(fake->port.settings.mac, fake_port_can.info.mac, QUOLL_MAC_BYTES), 0);
	CU_ASSERT_EQUAL(fake->port.queues.entries, 512);
	quoll_port_close(&fake->port);
	fake_port_can.info.max_mtu = 1000;
	fake_port_can.info.max_entries = 100;
	fake = fake_port_open(&f);
	CU_ASSERT_EQUAL(fix_start_with(&f, &fake->port, f.caches[0], 1, NULL), 0);
	CU_ASSERT_EQUAL(fake->port.settings.mtu, 1000);
	CU_ASSERT_EQUAL(fake->port.queues.entries, 100);
	quoll_port_close(&fake->port);
	fix_close(&f);
}

static void refuse_queues(const struct quoll_port_queues *queues, const char *word, const char *limit)
{
	struct fake_port *fake;
	struct fix f;

	fix_open(&f);
	fake_port_defaults();
	fake = fake_port_open(&f);
	CU_ASSERT_EQUAL(quoll_port_start(&fake->port, queues, NULL, &f.err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(f.err.what, word));
	CU_ASSERT_PTR_NOT_NULL(strstr(f.err.what, limit));
	CU_ASSERT_EQUAL(fake->nr_starts, 0);
	quoll_port_close(&fake->port);
	fix_close(&f);
}

static void queues_out_of_range_are_refused(void)
{
	struct quoll_buf_cache *hole[4] = {NULL};
	struct quoll_port_queues q = {.nr_rxqs = 3};

	refuse_queues(NULL, "no queue", "nr_rxqs");
	refuse_queues(&q, "nr_rxqs", "limit of 2");
	q = (struct quoll_port_queues){0};
	refuse_queues(&q, "no queue", "nr_txqs");
	q.nr_txqs = 5;
	refuse_queues(&q, "nr_txqs", "limit of 4");
	q.nr_txqs = 1;
	q.entries = 4097;
	refuse_queues(&q, "entries", "limit of 4096");
	q.entries = 0;
	refuse_queues(&q, "tx_caches", "none");
	q.tx_caches = hole;
	refuse_queues(&q, "tx_caches[0]", "NULL");
	q = (struct quoll_port_queues){.nr_rxqs = 1, .rx_caches = hole};
	refuse_queues(&q, "rx_caches[0]", "NULL");
}

static void one_direction_is_enough(void)
{
	struct fake_port *fake;
	struct fix f;
	struct quoll_port_queues rx = {.nr_rxqs = 1}, tx = {.nr_txqs = 1};

	fix_open(&f);
	fake_port_defaults();
	rx.rx_caches = tx.tx_caches = f.caches;
	fake = fake_port_open(&f);
	CU_ASSERT_EQUAL(quoll_port_start(&fake->port, &rx, NULL, &f.err), 0);
	CU_ASSERT_PTR_NULL(quoll_port_txq(&fake->port, 0));
	quoll_port_stop(&fake->port);
	CU_ASSERT_EQUAL(quoll_port_start(&fake->port, &tx, NULL, &f.err), 0);
	CU_ASSERT_PTR_NULL(quoll_port_rxq(&fake->port, 0));
	quoll_port_close(&fake->port);
	fix_close(&f);
}

/* 128 bytes of 2048 are headroom: 1920, and a frame takes the mtu and 18. */
static void buffers_must_hold_a_frame_unless_scattered(void)
{
	struct quoll_port_settings s = {.mtu = 1902};
	struct fix f;

	fix_open(&f);
	fake_port_defaults();
	CU_ASSERT_EQUAL(try_settings(&f, &s), 0);
	s.mtu = 1903;
	CU_ASSERT_EQUAL(try_settings(&f, &s), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(f.err.what, "1920"));
	CU_ASSERT_PTR_NOT_NULL(strstr(f.err.what, "1921"));
	CU_ASSERT_PTR_NOT_NULL(strstr(f.err.hint, "rx-scatter"));
	s.offloads = QUOLL_OFFLOAD_RX_SCATTER;
	CU_ASSERT_EQUAL(try_settings(&f, &s), 0);
	fix_close(&f);
}

static void buffers_outside_of_the_heap_are_for_ports_that_can_do_with_them(void)
{
	struct quoll_pool_opts opts = {.nr_bufs = 16, .buf_bytes = 2048, .align = 4096};
	static uint8_t memory[16 * 4096] __attribute__((aligned(4096)));
	struct quoll_buf_cache *outside;
	struct fake_port *fake;
	struct quoll_pool *pool;
	struct fix f;

	fix_open(&f);
	CU_ASSERT_EQUAL_FATAL(quoll_pool_create_outside(memory, sizeof(memory), &opts, &pool, &f.err), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_buf_cache_create(pool, 16, &outside, &f.err), 0);
	fake_port_defaults();
	fake = fake_port_open(&f);
	CU_ASSERT_EQUAL(fix_start_with(&f, &fake->port, outside, 1, NULL), -ENOTSUP);
	CU_ASSERT_PTR_NOT_NULL(strstr(f.err.what, "driver fake takes buffers of the heap only, as that is what"));
	CU_ASSERT_PTR_NOT_NULL(strstr(f.err.hint, "--buffers heap"));
	quoll_port_close(&fake->port);
	fake_port_can.info.memory = QUOLL_PORT_MEMORY_STREAMED;
	fake = fake_port_open(&f);
	CU_ASSERT_EQUAL(fix_start_with(&f, &fake->port, outside, 1, NULL), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(f.err.what, "no stream"));
	CU_ASSERT_EQUAL(fake->nr_starts, 0);
	quoll_port_close(&fake->port);
	fake_port_can.info.memory = QUOLL_PORT_MEMORY_ANY;
	fake = fake_port_open(&f);
	CU_ASSERT_EQUAL(fix_start_with(&f, &fake->port, outside, 1, NULL), 0);
	quoll_port_close(&fake->port);
	quoll_buf_cache_destroy(outside);
	CU_ASSERT_EQUAL(quoll_pool_destroy(pool), 0);
	fix_close(&f);
}

static const struct unit_test tests[] = {
	{"an mtu out of range is refused with the range", mtu_has_two_ends},
	{"offloads that it lacks are named", offloads_that_it_lacks_are_named},
	{"segments need checksums", segments_need_checksums},
	{"RSS that it lacks is refused", rss_that_it_lacks_is_refused},
	{"queues take turns in the table of RSS unless told otherwise", queues_take_turns_in_the_table_unless_told},
	{"a multicast address is not its own", multicast_is_no_address_of_ones_own},
	{"further addresses are counted, and none is zero", further_addresses_are_counted_and_not_zero},
	{"zeroes stand for defaults", zeroes_stand_for_defaults},
	{"queues out of range are refused by name", queues_out_of_range_are_refused},
	{"one direction is enough", one_direction_is_enough},
	{"buffers must hold a frame, unless it is scattered", buffers_must_hold_a_frame_unless_scattered},
	{"buffers outside of the heap are for ports that can do with them",
	 buffers_outside_of_the_heap_are_for_ports_that_can_do_with_them},
};

UNIT_MAIN("drivers/net/net_settings", tests)
