/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include "e1000e_fixture.h"
#include "unit.h"

static struct e1000e_fixture fx;
static uint8_t frame[FAKE_MAX_FRAME];

static void rings_are_of_the_next_power_of_two(void)
{
	static const unsigned int sizes[][2] = {{0, 512}, {1, 128}, {129, 256}, {256, 256}, {1000, 1024}};

	fixture_init(&fx);
	CU_ASSERT_EQUAL_FATAL(fixture_open(&fx), 0);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		CU_ASSERT_EQUAL_FATAL(fixture_start(&fx, 1, sizes[i][0], NULL), 0);
		CU_ASSERT_EQUAL(fake_reg(&fx.fake, E1000E_RDLEN), sizes[i][1] * 16);
		CU_ASSERT_EQUAL(fake_reg(&fx.fake, E1000E_TDLEN), sizes[i][1] * 16);
		CU_ASSERT_EQUAL(fixture_stop(&fx), 0);
	}
	CU_ASSERT_EQUAL(fixture_start(&fx, 1, 4097, NULL), -EINVAL);
	CU_ASSERT_EQUAL(fixture_start(&fx, 3, 128, NULL), -EINVAL);
	fixture_fini(&fx);
}

/* The largest frame of each mtu comes through buffers of each size, whole or in links of what the device uses. */
static void every_size_of_buffer_is_used_as_far_as_the_device_can(void)
{
	static const struct {
		uint32_t room;
		unsigned int mtu;
		uint32_t used;
	} sizes[] = {
		{256, 1500, 256},   {448, 1500, 256},	{512, 1500, 512},   {1024, 1500, 1024},	  {1500, 9000, 1024},
		{1536, 1500, 1536}, {1920, 1500, 1920}, {1920, 9000, 1024}, {2048, 1500, 2048},	  {2048, 9000, 2048},
		{3100, 9000, 3072}, {4096, 9000, 4096}, {9216, 9000, 9216}, {16384, 9000, 16384},
	};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct quoll_port_settings s = {.mtu = sizes[i].mtu, .offloads = QUOLL_OFFLOAD_RX_SCATTER};
		uint32_t len = sizes[i].mtu + 14, room = (sizes[i].room + 63) & ~63u;
		struct quoll_buf *buf;

		fixture_init(&fx);
		fx.w.buf_bytes = FIXTURE_HEADROOM + room;
		fx.w.nr_bufs = 512;
		CU_ASSERT_EQUAL_FATAL(fixture_open(&fx), 0);
		CU_ASSERT_EQUAL_FATAL(fixture_start(&fx, 1, 128, &s), 0);
		fixture_make_frame(&fx, frame, len, (uint32_t)i);
		buf = fixture_pass(&fx, frame, len);
		for (unsigned int k = 0; !buf && k < 64; k++)
			(void)quoll_rx(&fx.rxq->q, &buf, 1);
		CU_ASSERT_TRUE(chain_is(buf, frame, len));
		CU_ASSERT_EQUAL(buf->nr_links, (len + sizes[i].used - 1) / sizes[i].used);
		fixture_put(&fx, buf);
		fixture_fini(&fx);
	}
}

static void start_refuses(uint32_t buf_bytes, const struct quoll_port_settings *s, int want, const char *what)
{
	int rc;

	fixture_init(&fx);
	fx.w.buf_bytes = buf_bytes;
	fx.w.nr_bufs = 512;
	CU_ASSERT_EQUAL_FATAL(fixture_open(&fx), 0);
	rc = fixture_start(&fx, 1, 128, s);
	CU_ASSERT_EQUAL(rc, want);
	CU_ASSERT_PTR_NOT_NULL(strstr(fx.w.err.what, what));
	CU_ASSERT_TRUE(fx.w.err.hint[0] != '\0');
	CU_ASSERT_EQUAL(quoll_pool_nr_free(fx.w.pool), fx.w.nr_bufs);
	/* It starts with what it can. */
	fixture_fini(&fx);
}

static void what_the_device_cannot_do_is_refused_with_a_way_out(void)
{
	struct quoll_port_settings jumbo = {.mtu = 9000}, insert = {.offloads = QUOLL_OFFLOAD_VLAN_INSERT};
	struct quoll_port_settings scatter = {.offloads = QUOLL_OFFLOAD_RX_SCATTER};

	start_refuses(FIXTURE_HEADROOM + 9088, &jumbo, -EINVAL, "the device uses 8192");
	start_refuses(FIXTURE_HEADROOM + 2048, &insert, -EINVAL, "one switch");
	fixture_init(&fx);
	fx.w.buf_bytes = FIXTURE_HEADROOM + 192;
	CU_ASSERT_EQUAL_FATAL(fixture_open(&fx), 0);
	CU_ASSERT_EQUAL(fixture_start(&fx, 1, 128, &scatter), -EINVAL);
	fixture_fini(&fx);
}

static void a_pool_that_is_too_small_is_said_to_be(void)
{
	fixture_init(&fx);
	fx.w.nr_bufs = 150;
	CU_ASSERT_EQUAL_FATAL(fixture_open(&fx), 0);
	CU_ASSERT_EQUAL(fixture_start(&fx, 1, 256, NULL), -ENOBUFS);
	CU_ASSERT_PTR_NOT_NULL(strstr(fx.w.err.what, "the ring takes 192"));
	CU_ASSERT_PTR_NOT_NULL(strstr(fx.w.err.what, "queue 0"));
	CU_ASSERT_EQUAL(quoll_pool_nr_free(fx.w.pool), 150);
	CU_ASSERT_EQUAL(fixture_start(&fx, 1, 128, NULL), 0);
	fixture_fini(&fx);
}

static void stop_gives_back_what_was_not_sent_and_what_was_posted(void)
{
	struct quoll_buf *bufs[40];

	fixture_init(&fx);
	fixture_run(&fx, 0);
	fixture_make_frame(&fx, frame, 100, 1);
	fx.fake.mute_tx = true;
	for (unsigned int i = 0; i < 40; i++)
		bufs[i] = fixture_buf(&fx, frame, 100, 60);
	CU_ASSERT_EQUAL(quoll_tx(&fx.txq->q, bufs, 40), 40);
	CU_ASSERT_TRUE(fake_e1000e_receive(&fx.fake, frame, 100));
	CU_ASSERT_EQUAL(fixture_stop(&fx), 0); /* checks that all are back */
	CU_ASSERT_FALSE(fake_reg(&fx.fake, E1000E_RCTL) & E1000E_RCTL_EN);
	CU_ASSERT_FALSE(fake_reg(&fx.fake, E1000E_TCTL) & E1000E_TCTL_EN);
	fixture_fini(&fx);
}

static void stop_waits_a_moment_for_what_is_on_its_way_out(void)
{
	struct quoll_buf *buf;

	fixture_init(&fx);
	fixture_run(&fx, 0);
	fixture_make_frame(&fx, frame, 100, 1);
	buf = fixture_buf(&fx, frame, 100, 2048);
	CU_ASSERT_EQUAL(quoll_tx(&fx.txq->q, &buf, 1), 1);
	CU_ASSERT_EQUAL(fixture_stop(&fx), 0);
	CU_ASSERT_EQUAL(fx.fake.nr_sent, 1);
	fixture_fini(&fx);
}

static void a_device_that_does_not_stop_loses_bus_mastering_and_can_be_started_again(void)
{
	struct quoll_buf *buf;

	fixture_init(&fx);
	fixture_run(&fx, 0);
	fx.fake.master_stuck = true;
	CU_ASSERT_EQUAL(fixture_stop(&fx), -ETIMEDOUT);
	CU_ASSERT_FALSE(fake_pci_bus_master(&fx.fake.pci));
	fx.fake.master_stuck = false;
	CU_ASSERT_EQUAL_FATAL(fixture_start(&fx, 1, 128, NULL), 0);
	CU_ASSERT_EQUAL(fx.fake.nr_resets, 2);
	fixture_make_frame(&fx, frame, 100, 1);
	buf = fixture_pass(&fx, frame, 100);
	CU_ASSERT_TRUE(chain_is(buf, frame, 100));
	CU_ASSERT_EQUAL(quoll_tx(&fx.txq->q, &buf, 1), 1);
	CU_ASSERT_EQUAL(fx.fake.nr_sent, 1);
	fixture_fini(&fx);
}

static void queues_of_one_kind_alone_are_enough(void)
{
	struct quoll_port_queues q = {.entries = 128, .rx_caches = &fx.w.cache, .tx_caches = &fx.w.cache};
	struct quoll_buf *buf;

	fixture_init(&fx);
	CU_ASSERT_EQUAL_FATAL(fixture_open(&fx), 0);
	q.nr_txqs = 1;
	CU_ASSERT_EQUAL_FATAL(quoll_port_start(fx.w.port, &q, NULL, &fx.w.err), 0);
	CU_ASSERT_FALSE(fake_reg(&fx.fake, E1000E_RCTL) & E1000E_RCTL_EN);
	fixture_make_frame(&fx, frame, 100, 1);
	buf = fixture_buf(&fx, frame, 100, 2048);
	CU_ASSERT_EQUAL(quoll_tx(quoll_port_txq(fx.w.port, 0), &buf, 1), 1);
	CU_ASSERT_EQUAL(fx.fake.nr_sent, 1);
	CU_ASSERT_EQUAL(fixture_stop(&fx), 0);
	q.nr_txqs = 0;
	q.nr_rxqs = 1;
	CU_ASSERT_EQUAL_FATAL(quoll_port_start(fx.w.port, &q, NULL, &fx.w.err), 0);
	CU_ASSERT_FALSE(fake_reg(&fx.fake, E1000E_TCTL) & E1000E_TCTL_EN);
	CU_ASSERT_TRUE(fake_e1000e_receive(&fx.fake, frame, 100));
	CU_ASSERT_EQUAL(quoll_rx(quoll_port_rxq(fx.w.port, 0), &buf, 1), 1);
	fixture_put(&fx, buf);
	fixture_fini(&fx);
}

/* Each flow sticks to one queue, both queues are used, and the hash is what the specification says it is. */
static void two_receive_queues_share_flows_by_their_hash(void)
{
	unsigned int per_queue[2] = {0, 0};

	fixture_init(&fx);
	CU_ASSERT_EQUAL_FATAL(fixture_open(&fx), 0);
	CU_ASSERT_EQUAL_FATAL(fixture_start(&fx, 2, 128, NULL), 0);
	for (uint32_t flow = 0; flow < 64; flow++) {
		uint8_t proto = flow % 2 ? 6 : 17;
		uint32_t hash;

		fixture_make_ip(&fx, frame, 80, proto, flow);
		hash = fake_e1000e_toeplitz(fx.fake.pci.bar + E1000E_RSSRK, frame + 26, proto == 6 ? 12 : 8);
		CU_ASSERT_TRUE(fake_e1000e_receive(&fx.fake, frame, 80));
		for (unsigned int i = 0; i < 2; i++) {
			struct quoll_buf *buf;

			if (!quoll_rx(quoll_port_rxq(fx.w.port, i), &buf, 1))
				continue;
			per_queue[i]++;
			CU_ASSERT_EQUAL(i, hash & 1);
			CU_ASSERT_EQUAL(buf->flags, QUOLL_BUF_RX_HASH);
			CU_ASSERT_EQUAL(buf->hash, hash);
			fixture_put(&fx, buf);
		}
	}
	CU_ASSERT_EQUAL(per_queue[0] + per_queue[1], 64);
	CU_ASSERT(per_queue[0] > 16 && per_queue[1] > 16);
	/* What has no IP header has no hash. */
	fixture_make_frame(&fx, frame, 80, 1);
	{
		struct quoll_buf *buf = fixture_pass(&fx, frame, 80);

		CU_ASSERT_EQUAL_FATAL(buf->flags, 0);
		fixture_put(&fx, buf);
	}
	fixture_fini(&fx);
}

/* The table says where a flow goes, from one frame to the next; the key and the types are the caller's. */
static void rss_is_as_it_is_told(void)
{
	struct quoll_port_settings s = {.rss = {.types = QUOLL_RSS_TCP4, .nr_entries = 128, .key = {0xa5, 1, 2, 3}}};
	struct quoll_buf *buf;

	fixture_init(&fx);
	CU_ASSERT_EQUAL_FATAL(fixture_open(&fx), 0);
	for (unsigned int i = 0; i < 128; i++)
		s.rss.table[i] = 1;
	CU_ASSERT_EQUAL_FATAL(fixture_start(&fx, 2, 128, &s), 0);
	CU_ASSERT_EQUAL(fake_pci_reg(&fx.fake.pci, E1000E_MRQC), E1000E_MRQC_RSS_2Q | E1000E_MRQC_TCPIPV4);
	for (uint32_t flow = 0; flow < 8; flow++) {
		uint32_t hash;

		fixture_make_ip(&fx, frame, 80, 6, flow);
		hash = fake_e1000e_toeplitz(s.rss.key, frame + 26, 12);
		CU_ASSERT_TRUE(fake_e1000e_receive(&fx.fake, frame, 80));
		CU_ASSERT_EQUAL_FATAL(quoll_rx(quoll_port_rxq(fx.w.port, flow < 4 ? 1 : 0), &buf, 1), 1);
		CU_ASSERT_EQUAL(buf->hash, hash);
		fixture_put(&fx, buf);
		if (flow != 3)
			continue;
		memset(s.rss.table, 0, sizeof(s.rss.table));
		CU_ASSERT_EQUAL(quoll_port_apply(fx.w.port, &s, &fx.w.err), 0);
	}
	fixture_fini(&fx);
}

static void one_queue_has_a_hash_where_it_is_asked_for(void)
{
	struct quoll_port_settings s = {.rss = {.types = QUOLL_RSS_TCP4 | QUOLL_RSS_IPV4}};
	struct quoll_buf *buf;

	fixture_init(&fx);
	CU_ASSERT_EQUAL_FATAL(fixture_open(&fx), 0);
	CU_ASSERT_EQUAL_FATAL(fixture_start(&fx, 1, 128, &s), 0);
	fixture_make_ip(&fx, frame, 80, 6, 3);
	CU_ASSERT_TRUE(fake_e1000e_receive(&fx.fake, frame, 80));
	CU_ASSERT_EQUAL_FATAL(quoll_rx(quoll_port_rxq(fx.w.port, 0), &buf, 1), 1);
	CU_ASSERT_EQUAL(buf->flags, QUOLL_BUF_RX_HASH);
	CU_ASSERT_EQUAL(buf->hash, fake_e1000e_toeplitz(quoll_rss_key_default, frame + 26, 12));
	fixture_put(&fx, buf);
	fixture_fini(&fx);
}

static void both_transmit_queues_send(void)
{
	fixture_init(&fx);
	CU_ASSERT_EQUAL_FATAL(fixture_open(&fx), 0);
	CU_ASSERT_EQUAL_FATAL(fixture_start(&fx, 2, 128, NULL), 0);
	fixture_make_frame(&fx, frame, 100, 1);
	for (unsigned int i = 0; i < 2; i++) {
		struct quoll_buf *buf = fixture_buf(&fx, frame, 100, 2048);

		CU_ASSERT_EQUAL(quoll_tx(quoll_port_txq(fx.w.port, i), &buf, 1), 1);
		CU_ASSERT_EQUAL(fx.fake.sent[i].queue, i);
	}
	fixture_fini(&fx);
}

static const struct unit_test tests[] = {
	{"rings are of the next power of two", rings_are_of_the_next_power_of_two},
	{"every size of buffer is used as far as the device can",
	 every_size_of_buffer_is_used_as_far_as_the_device_can},
	{"what the device cannot do is refused, with a way out", what_the_device_cannot_do_is_refused_with_a_way_out},
	{"a pool that is too small is said to be", a_pool_that_is_too_small_is_said_to_be},
	{"stop gives back what was not sent and what was posted",
	 stop_gives_back_what_was_not_sent_and_what_was_posted},
	{"stop waits a moment for what is on its way out", stop_waits_a_moment_for_what_is_on_its_way_out},
	{"a device that does not stop loses bus mastering, and can be started again",
	 a_device_that_does_not_stop_loses_bus_mastering_and_can_be_started_again},
	{"queues of one kind alone are enough", queues_of_one_kind_alone_are_enough},
	{"two receive queues share flows by their hash", two_receive_queues_share_flows_by_their_hash},
	{"RSS is as it is told", rss_is_as_it_is_told},
	{"one queue has a hash where it is asked for", one_queue_has_a_hash_where_it_is_asked_for},
	{"both transmit queues send", both_transmit_queues_send},
};

UNIT_MAIN("e1000e queues", tests)
