/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include "e1000e_fixture.h"
#include "unit.h"

static struct e1000e_fixture fx;
static uint8_t frame[FAKE_MAX_FRAME];

static bool was_sent(unsigned int i, const uint8_t *data, uint32_t len)
{
	return i < fx.fake.nr_sent && fx.fake.sent[i].len == len && !memcmp(fx.fake.sent[i].data, data, len);
}

static void send_one(struct quoll_buf *buf)
{
	fake_e1000e_forget(&fx.fake);
	CU_ASSERT_EQUAL_FATAL(quoll_tx(&fx.txq->q, &buf, 1), 1);
}

static void start_jumbo(uint32_t offloads)
{
	struct quoll_port_settings s = {.mtu = 9000, .offloads = offloads | QUOLL_OFFLOAD_RX_SCATTER};

	fixture_init(&fx);
	CU_ASSERT_EQUAL_FATAL(fixture_open(&fx), 0);
	CU_ASSERT_EQUAL_FATAL(fixture_start(&fx, 1, 128, &s), 0);
}

static void frames_of_every_length_go_out_unchanged_in_one_link_or_many(void)
{
	static const uint32_t links[] = {2048, 1000, 331, 64};

	start_jumbo(0);
	for (uint32_t len = 60; len <= 9018; len += len < 64 ? 1 : 119) {
		for (unsigned int i = 0; i < 4; i++) {
			uint32_t nr = (len + links[i] - 1) / links[i];

			if (nr > fx.w.port->info.max_tx_links)
				continue;
			fixture_make_frame(&fx, frame, len, len);
			send_one(fixture_buf(&fx, frame, len, links[i]));
			CU_ASSERT_TRUE_FATAL(was_sent(0, frame, len));
			CU_ASSERT_EQUAL(fx.fake.sent[0].nr_descs, nr);
		}
	}
	/* Short ones are padded by the device. */
	send_one(fixture_buf(&fx, frame, 14, 2048));
	CU_ASSERT_EQUAL(fx.fake.sent[0].len, 60);
	fixture_fini(&fx);
}

static void links_without_data_are_left_out_and_come_back(void)
{
	struct quoll_buf *buf, *empty, *last;

	fixture_init(&fx);
	fixture_run(&fx, 0);
	fixture_make_frame(&fx, frame, 200, 1);
	buf = fixture_buf(&fx, frame, 200, 100);
	CU_ASSERT_EQUAL_FATAL(quoll_buf_get(fx.w.cache, &empty, 1), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_buf_get(fx.w.cache, &last, 1), 0);
	empty->next = buf->next;
	buf->next = empty;
	empty->next->next = last;
	buf->nr_links = 4;
	send_one(buf);
	CU_ASSERT_TRUE(was_sent(0, frame, 200));
	CU_ASSERT_EQUAL(fx.fake.sent[0].nr_descs, 2);
	fixture_fini(&fx);
}

/* Batches of plain frames, chains and frames with checksums, through many turns of the ring. */
static void batches_go_out_in_order_with_one_doorbell_each(void)
{
	uint32_t sent = 0;
	uint64_t calls = 0;

	fixture_init(&fx);
	fixture_run(&fx, QUOLL_OFFLOAD_TX_CSUM);
	for (unsigned int round = 0; round < 300; round++) {
		unsigned int n = 1 + fake_pci_random(&fx.fake.pci) % 60, taken = 0;
		struct quoll_buf *bufs[64];
		uint64_t doorbells = fx.fake.nr_tdt_writes;

		for (unsigned int i = 0; i < n; i++) {
			uint32_t kind = fake_pci_random(&fx.fake.pci) % 8;

			fixture_make_ip(&fx, frame, 80, 6, sent + i);
			bufs[i] = fixture_buf(&fx, frame, 80, kind == 1 ? 30 : 2048);
			if (kind == 2) {
				bufs[i]->flags = QUOLL_BUF_TX_IP_CSUM;
				bufs[i]->l2_bytes = 14;
				bufs[i]->l3_bytes = 20;
				memset((uint8_t *)quoll_buf_data(bufs[i]) + 24, 0, 2);
			}
		}
		fake_e1000e_forget(&fx.fake);
		for (; taken < n; calls++)
			taken += quoll_tx(&fx.txq->q, bufs + taken, n - taken);
		CU_ASSERT_EQUAL(fx.fake.nr_tdt_writes, doorbells + 1);
		for (unsigned int i = 0; i < n; i++, sent++) {
			fixture_make_ip(&fx, frame, 80, 6, sent);
			CU_ASSERT_TRUE_FATAL(was_sent(i, frame, 80));
		}
	}
	CU_ASSERT_EQUAL(calls, 300);
	CU_ASSERT_EQUAL(fixture_stats(&fx).tx_packets, sent);
	CU_ASSERT_EQUAL(fixture_stats(&fx).tx_bytes, sent * 80ull);
	/* The device writes once in 32 descriptors at most. */
	CU_ASSERT(fx.fake.nr_reports * 32 <= sent * 2);
	fixture_fini(&fx);
}

static void what_a_full_ring_has_no_room_for_stays_the_callers(void)
{
	struct quoll_buf *bufs[200], *chain;
	unsigned int taken;

	fixture_init(&fx);
	fixture_run(&fx, 0);
	fx.fake.mute_tx = true;
	fixture_make_frame(&fx, frame, 60, 1);
	for (unsigned int i = 0; i < 200; i++)
		bufs[i] = fixture_buf(&fx, frame, 60, 2048);
	taken = quoll_tx(&fx.txq->q, bufs, 125);
	CU_ASSERT_EQUAL(taken, 125);
	chain = fixture_buf(&fx, frame, 60, 20); /* three, and two are free */
	CU_ASSERT_EQUAL(quoll_tx(&fx.txq->q, &chain, 1), 0);
	taken += quoll_tx(&fx.txq->q, bufs + taken, 200 - taken);
	CU_ASSERT_EQUAL(taken, 127);
	CU_ASSERT_EQUAL(quoll_tx(&fx.txq->q, bufs + taken, 200 - taken), 0);
	CU_ASSERT_EQUAL(fixture_stats(&fx).tx_packets, 127);
	fx.fake.mute_tx = false;
	fake_e1000e_run_tx(&fx.fake);
	CU_ASSERT_EQUAL(fx.fake.nr_sent, 127);
	taken += quoll_tx(&fx.txq->q, bufs + taken, 200 - taken);
	CU_ASSERT_EQUAL(taken, 200);
	CU_ASSERT_EQUAL(quoll_tx(&fx.txq->q, &chain, 1), 1);
	CU_ASSERT_EQUAL(fx.fake.nr_sent, 201);
	CU_ASSERT_TRUE(was_sent(200, frame, 60));
	fixture_fini(&fx);
}

/* A frame with what the device is to fill in: zero, or the sum of the pseudo-header. */
static struct quoll_buf *csum_buf(uint8_t proto, uint32_t flags, uint32_t len, uint32_t link)
{
	uint32_t field = 34 + (proto == 6 ? 16u : 6u), sum = proto + len - 34;
	struct quoll_buf *buf;
	uint8_t copy[FAKE_MAX_FRAME];

	memcpy(copy, frame, len);
	if (flags & QUOLL_BUF_TX_IP_CSUM)
		copy[24] = copy[25] = 0;
	if (flags & (QUOLL_BUF_TX_TCP_CSUM | QUOLL_BUF_TX_UDP_CSUM)) {
		for (unsigned int i = 26; i < 34; i += 2)
			sum += (uint32_t)copy[i] << 8 | copy[i + 1];
		sum = (sum & 0xffff) + (sum >> 16);
		sum = (sum & 0xffff) + (sum >> 16);
		copy[field] = (uint8_t)(sum >> 8);
		copy[field + 1] = (uint8_t)sum;
	}
	buf = fixture_buf(&fx, copy, len, link);
	buf->flags = flags;
	buf->l2_bytes = 14;
	buf->l3_bytes = 20;
	return buf;
}

static void each_checksum_is_filled_in(void)
{
	start_jumbo(QUOLL_OFFLOAD_TX_CSUM);
	for (uint32_t len = 60; len < 8000; len += 257) {
		for (unsigned int i = 0; i < 6; i++) {
			uint8_t proto = i % 2 ? 17 : 6;
			uint32_t l4 = proto == 6 ? QUOLL_BUF_TX_TCP_CSUM : QUOLL_BUF_TX_UDP_CSUM;
			uint32_t flags = i < 2 ? QUOLL_BUF_TX_IP_CSUM : i < 4 ? l4 : l4 | QUOLL_BUF_TX_IP_CSUM;

			fixture_make_ip(&fx, frame, len, proto, len + i);
			send_one(csum_buf(proto, flags, len, i % 3 ? 2048 : 700));
			CU_ASSERT_TRUE(was_sent(0, frame, len));
		}
	}
	CU_ASSERT_EQUAL(fixture_stats(&fx).tx_bad, 0);
	fixture_fini(&fx);
}

static void a_context_that_the_device_has_is_not_written_again(void)
{
	fixture_init(&fx);
	fixture_run(&fx, QUOLL_OFFLOAD_TX_CSUM);
	fixture_make_ip(&fx, frame, 100, 6, 1);
	for (unsigned int i = 0; i < 50; i++)
		send_one(csum_buf(6, QUOLL_BUF_TX_IP_CSUM | QUOLL_BUF_TX_TCP_CSUM, 100, 2048));
	CU_ASSERT_EQUAL(fx.fake.nr_contexts, 1);
	/* Plain frames in between do not disturb it, nor does the header's checksum alone. */
	send_one(fixture_buf(&fx, frame, 100, 2048));
	send_one(csum_buf(6, QUOLL_BUF_TX_IP_CSUM, 100, 2048));
	send_one(csum_buf(6, QUOLL_BUF_TX_IP_CSUM | QUOLL_BUF_TX_TCP_CSUM, 100, 2048));
	CU_ASSERT_EQUAL(fx.fake.nr_contexts, 1);
	fixture_make_ip(&fx, frame, 100, 17, 1);
	send_one(csum_buf(17, QUOLL_BUF_TX_IP_CSUM | QUOLL_BUF_TX_UDP_CSUM, 100, 2048));
	CU_ASSERT_TRUE(was_sent(0, frame, 100));
	CU_ASSERT_EQUAL(fx.fake.nr_contexts, 2);
	/* A reset forgets it. */
	CU_ASSERT_EQUAL(fixture_stop(&fx), 0);
	{
		struct quoll_port_settings s = {.offloads = QUOLL_OFFLOAD_TX_CSUM};

		CU_ASSERT_EQUAL_FATAL(fixture_start(&fx, 1, 128, &s), 0);
	}
	send_one(csum_buf(17, QUOLL_BUF_TX_IP_CSUM | QUOLL_BUF_TX_UDP_CSUM, 100, 2048));
	CU_ASSERT_EQUAL(fx.fake.nr_contexts, 3);
	fixture_fini(&fx);
}

static void a_context_needs_room_too(void)
{
	struct quoll_buf *bufs[127];

	fixture_init(&fx);
	fixture_run(&fx, QUOLL_OFFLOAD_TX_CSUM);
	fx.fake.mute_tx = true;
	fixture_make_ip(&fx, frame, 100, 6, 1);
	for (unsigned int i = 0; i < 126; i++)
		bufs[i] = fixture_buf(&fx, frame, 100, 2048);
	bufs[126] = csum_buf(6, QUOLL_BUF_TX_TCP_CSUM, 100, 2048);
	CU_ASSERT_EQUAL(quoll_tx(&fx.txq->q, bufs, 127), 126);
	fx.fake.mute_tx = false;
	fake_e1000e_run_tx(&fx.fake);
	CU_ASSERT_EQUAL(quoll_tx(&fx.txq->q, bufs + 126, 1), 1);
	CU_ASSERT_TRUE(was_sent(126, frame, 100));
	fixture_fini(&fx);
}

static void tags_are_inserted(void)
{
	struct quoll_buf *buf;
	uint8_t tagged[104];

	fixture_init(&fx);
	fixture_run(&fx, QUOLL_OFFLOAD_VLAN_INSERT | QUOLL_OFFLOAD_VLAN_STRIP);
	fixture_make_frame(&fx, frame, 100, 1);
	memcpy(tagged, frame, 12);
	memcpy(tagged + 12, "\x81\x00\xa1\x23", 4);
	memcpy(tagged + 16, frame + 12, 88);
	for (unsigned int i = 0; i < 2; i++) {
		buf = fixture_buf(&fx, frame, 100, i ? 30 : 2048);
		buf->flags = QUOLL_BUF_TX_VLAN;
		buf->vlan_tci = 0xa123;
		send_one(buf);
		CU_ASSERT_TRUE(was_sent(0, tagged, 104));
	}
	/* With its tag a frame may be 1518 bytes long, as without. */
	for (uint32_t len = 1514; len <= 1515; len++) {
		fixture_make_frame(&fx, frame, len, 1);
		buf = fixture_buf(&fx, frame, len, 2048);
		buf->flags = QUOLL_BUF_TX_VLAN;
		send_one(buf);
		CU_ASSERT_EQUAL(fx.fake.nr_sent, len == 1514);
	}
	CU_ASSERT_EQUAL(fixture_stats(&fx).tx_bad, 1);
	fixture_fini(&fx);
}

static void drops(struct quoll_buf *buf)
{
	static uint64_t before;
	struct quoll_port_stats stats = fixture_stats(&fx);

	before = stats.tx_bad;
	send_one(buf);
	stats = fixture_stats(&fx);
	CU_ASSERT_EQUAL(stats.tx_bad, before + 1);
	CU_ASSERT_EQUAL(fx.fake.nr_sent, 0);
}

static struct quoll_buf *plain(uint32_t len, uint32_t link)
{
	fixture_make_ip(&fx, frame, len < 60 ? 60 : len, 6, 1);
	return fixture_buf(&fx, frame, len, link);
}

static struct quoll_buf *flagged(uint32_t flags, uint8_t l2, uint16_t l3)
{
	struct quoll_buf *buf = plain(100, 2048);

	buf->flags = flags;
	buf->l2_bytes = l2;
	buf->l3_bytes = l3;
	return buf;
}

static void what_cannot_be_sent_is_dropped_and_counted(void)
{
	struct quoll_buf *buf;

	fixture_init(&fx);
	fixture_run(&fx, QUOLL_OFFLOAD_TX_CSUM);
	drops(plain(13, 2048));
	drops(plain(1519, 2048));
	drops(plain(33 * 40, 40));
	buf = plain(100, 50);
	buf->nr_links = 3;
	drops(buf);
	buf = plain(100, 50);
	buf->nr_links = 1;
	drops(buf);
	buf = plain(100, 50);
	buf->total_bytes = 101;
	drops(buf);
	buf = plain(100, 50);
	buf->total_bytes = 99;
	drops(buf);
	drops(flagged(QUOLL_BUF_TX_VLAN, 0, 0));
	drops(flagged(QUOLL_BUF_TX_TCP_CSUM | QUOLL_BUF_TX_UDP_CSUM, 14, 20));
	drops(flagged(QUOLL_BUF_TX_IP_CSUM, 13, 20));
	drops(flagged(QUOLL_BUF_TX_IP_CSUM, 14, 11));
	drops(flagged(QUOLL_BUF_TX_TCP_CSUM, 14, 80));
	drops(flagged(QUOLL_BUF_TX_UDP_CSUM, 14, 60000));
	CU_ASSERT_EQUAL(fixture_stats(&fx).tx_packets, 0);
	/* In the middle of a batch, the others go out. */
	{
		struct quoll_buf *bufs[3] = {plain(100, 2048), plain(13, 2048), plain(100, 50)};

		fake_e1000e_forget(&fx.fake);
		CU_ASSERT_EQUAL(quoll_tx(&fx.txq->q, bufs, 3), 3);
		CU_ASSERT_EQUAL(fx.fake.nr_sent, 2);
		CU_ASSERT_EQUAL(fixture_stats(&fx).tx_packets, 2);
	}
	fixture_fini(&fx);
}

static void without_the_offload_its_flags_are_not_obeyed(void)
{
	fixture_init(&fx);
	fixture_run(&fx, 0);
	drops(flagged(QUOLL_BUF_TX_IP_CSUM, 14, 20));
	drops(flagged(QUOLL_BUF_TX_TCP_CSUM, 14, 20));
	drops(flagged(QUOLL_BUF_TX_VLAN, 14, 20));
	/* What receive said means nothing here. */
	send_one(flagged(QUOLL_BUF_RX_IP_GOOD | QUOLL_BUF_RX_HASH | QUOLL_BUF_RX_VLAN, 0, 0));
	CU_ASSERT_TRUE(was_sent(0, frame, 100));
	fixture_fini(&fx);
}

static const struct unit_test tests[] = {
	{"frames of every length go out unchanged, in one link or many",
	 frames_of_every_length_go_out_unchanged_in_one_link_or_many},
	{"links without data are left out, and come back", links_without_data_are_left_out_and_come_back},
	{"batches go out in order, with one doorbell each", batches_go_out_in_order_with_one_doorbell_each},
	{"what a full ring has no room for stays the caller's", what_a_full_ring_has_no_room_for_stays_the_callers},
	{"each checksum is filled in", each_checksum_is_filled_in},
	{"a context that the device has is not written again", a_context_that_the_device_has_is_not_written_again},
	{"a context needs room, too", a_context_needs_room_too},
	{"tags are inserted", tags_are_inserted},
	{"what cannot be sent is dropped and counted", what_cannot_be_sent_is_dropped_and_counted},
	{"without the offload its flags are not obeyed", without_the_offload_its_flags_are_not_obeyed},
};

UNIT_MAIN("e1000e transmit", tests)
