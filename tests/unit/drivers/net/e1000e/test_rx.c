/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include "e1000e_fixture.h"
#include "unit.h"

static struct e1000e_fixture fx;
static uint8_t frame[FAKE_MAX_FRAME];

static void frames_of_every_length_come_in_unchanged(void)
{
	fixture_init(&fx);
	fixture_run(&fx, 0);
	for (uint32_t len = 14; len <= 1518; len += len < 64 ? 1 : 31) {
		struct quoll_buf *buf;

		fixture_make_frame(&fx, frame, len, len);
		buf = fixture_pass(&fx, frame, len);
		CU_ASSERT_TRUE_FATAL(chain_is(buf, frame, len));
		CU_ASSERT_EQUAL(buf->flags, 0);
		CU_ASSERT_EQUAL(buf->port, fx.w.port->id);
		CU_ASSERT_EQUAL(buf->data_off, FIXTURE_HEADROOM);
		fixture_put(&fx, buf);
	}
	fixture_fini(&fx);
}

/* Batches of many sizes, so that they meet the ring's end in every way. */
static void batches_come_in_order_through_many_turns_of_the_ring(void)
{
	struct quoll_buf *bufs[200];
	uint32_t sent = 0, seen = 0;
	uint64_t rdt_writes;

	fixture_init(&fx);
	fixture_run(&fx, 0);
	rdt_writes = fx.fake.nr_rdt_writes;
	for (unsigned int round = 0; round < 400; round++) {
		unsigned int n = fake_pci_random(&fx.fake.pci) % 90, got;

		for (unsigned int i = 0; i < n; i++) {
			fixture_make_frame(&fx, frame, 60, sent);
			sent += fake_e1000e_receive(&fx.fake, frame, 60);
		}
		got = quoll_rx(&fx.rxq->q, bufs, 1 + fake_pci_random(&fx.fake.pci) % 200);
		for (unsigned int i = 0; i < got; i++, seen++) {
			fixture_make_frame(&fx, frame, 60, seen);
			CU_ASSERT_TRUE(chain_is(bufs[i], frame, 60));
			fixture_put(&fx, bufs[i]);
		}
	}
	while (quoll_rx(&fx.rxq->q, bufs, 1)) {
		fixture_put(&fx, bufs[0]);
		seen++;
	}
	CU_ASSERT_EQUAL(sent, seen);
	CU_ASSERT(sent > 10 * 128);
	/* One write of the tail a batch of buffers. */
	CU_ASSERT((fx.fake.nr_rdt_writes - rdt_writes) * 32 <= seen + 32);
	CU_ASSERT_EQUAL(fixture_stats(&fx).rx_packets, seen);
	CU_ASSERT_EQUAL(fixture_stats(&fx).rx_bytes, seen * 60ull);
	fixture_fini(&fx);
}

static void a_batch_larger_than_the_refill_keeps_the_ring_full(void)
{
	struct quoll_buf *bufs[128];

	fixture_init(&fx);
	CU_ASSERT_EQUAL_FATAL(fixture_open(&fx), 0);
	CU_ASSERT_EQUAL_FATAL(fixture_start(&fx, 1, 512, NULL), 0);
	fixture_make_frame(&fx, frame, 60, 1);
	for (unsigned int round = 0; round < 20; round++) {
		for (unsigned int i = 0; i < 128; i++)
			CU_ASSERT_TRUE(fake_e1000e_receive(&fx.fake, frame, 60));
		CU_ASSERT_EQUAL(quoll_rx(&fx.rxq->q, bufs, 128), 128);
		CU_ASSERT(fx.rxq->nr_posted >= 512 - 64);
		quoll_buf_put(fx.w.cache, bufs, 128);
	}
	fixture_fini(&fx);
}

static void long_frames_come_as_chains_even_over_several_polls(void)
{
	struct quoll_port_settings s = {.mtu = 9000, .offloads = QUOLL_OFFLOAD_RX_SCATTER};

	fixture_init(&fx);
	CU_ASSERT_EQUAL_FATAL(fixture_open(&fx), 0);
	CU_ASSERT_EQUAL_FATAL(fixture_start(&fx, 1, 128, &s), 0);
	for (uint32_t len = 1500; len <= 9018; len += 179) {
		struct quoll_buf *buf = NULL;
		unsigned int polls = 0;

		fixture_make_frame(&fx, frame, len, len);
		CU_ASSERT_TRUE(fake_e1000e_receive(&fx.fake, frame, len));
		/* One descriptor a poll. */
		for (; !quoll_rx(&fx.rxq->q, &buf, 1); polls++)
			CU_ASSERT_FATAL(polls < 10);
		CU_ASSERT_EQUAL(polls, (len - 1) / 2048);
		CU_ASSERT_TRUE_FATAL(chain_is(buf, frame, len));
		fixture_put(&fx, buf);
	}
	CU_ASSERT_EQUAL(fixture_stats(&fx).rx_bad, 0);
	fixture_fini(&fx);
}

static uint32_t flags_of(const uint8_t *data, uint32_t len)
{
	struct quoll_buf *buf = fixture_pass(&fx, data, len);
	uint32_t flags;

	CU_ASSERT_PTR_NOT_NULL_FATAL(buf);
	flags = buf->flags;
	fixture_put(&fx, buf);
	return flags;
}

static void checksums_are_said_to_be_good_bad_or_neither(void)
{
	fixture_init(&fx);
	fixture_run(&fx, QUOLL_OFFLOAD_RX_CSUM);
	for (unsigned int i = 0; i < 2; i++) {
		fixture_make_ip(&fx, frame, 90, i ? 6 : 17, i);
		CU_ASSERT_EQUAL(flags_of(frame, 90), QUOLL_BUF_RX_IP_GOOD | QUOLL_BUF_RX_L4_GOOD);
		frame[80] ^= 1;
		CU_ASSERT_EQUAL(flags_of(frame, 90), QUOLL_BUF_RX_IP_GOOD | QUOLL_BUF_RX_L4_BAD);
		frame[80] ^= 1;
		frame[24] ^= 1; /* the header's checksum itself */
		CU_ASSERT_EQUAL(flags_of(frame, 90), QUOLL_BUF_RX_IP_BAD | QUOLL_BUF_RX_L4_GOOD);
	}
	fixture_make_ip(&fx, frame, 90, 1, 3); /* ICMP */
	CU_ASSERT_EQUAL(flags_of(frame, 90), QUOLL_BUF_RX_IP_GOOD);
	fixture_make_frame(&fx, frame, 90, 1);
	CU_ASSERT_EQUAL(flags_of(frame, 90), 0);
	fixture_fini(&fx);
}

static void what_was_not_asked_for_is_not_said(void)
{
	fixture_init(&fx);
	fixture_run(&fx, 0);
	fixture_make_ip(&fx, frame, 90, 6, 1);
	CU_ASSERT_EQUAL(flags_of(frame, 90), 0);
	fixture_fini(&fx);
}

/* A frame with a tag, of @len bytes with it. */
static void make_tagged(uint32_t len, uint16_t tci)
{
	fixture_make_frame(&fx, frame, len, 5);
	frame[12] = 0x81;
	frame[13] = 0x00;
	frame[14] = (uint8_t)(tci >> 8);
	frame[15] = (uint8_t)tci;
}

static void tags_are_stripped_or_left_alone(void)
{
	struct quoll_buf *buf;
	uint8_t bare[96];

	fixture_init(&fx);
	fixture_run(&fx, QUOLL_OFFLOAD_VLAN_STRIP);
	make_tagged(100, 0x6123);
	memcpy(bare, frame, 12);
	memcpy(bare + 12, frame + 16, 84);
	buf = fixture_pass(&fx, frame, 100);
	CU_ASSERT_TRUE_FATAL(chain_is(buf, bare, 96));
	CU_ASSERT_EQUAL(buf->flags, QUOLL_BUF_RX_VLAN);
	CU_ASSERT_EQUAL(buf->vlan_tci, 0x6123);
	fixture_put(&fx, buf);
	fixture_make_frame(&fx, frame, 100, 1);
	CU_ASSERT_EQUAL(flags_of(frame, 100), 0);
	CU_ASSERT_EQUAL(fixture_stop(&fx), 0);
	CU_ASSERT_EQUAL_FATAL(fixture_start(&fx, 1, 128, NULL), 0);
	make_tagged(1518, 7);
	buf = fixture_pass(&fx, frame, 1518);
	CU_ASSERT_TRUE_FATAL(chain_is(buf, frame, 1518));
	CU_ASSERT_EQUAL(buf->flags, 0);
	fixture_put(&fx, buf);
	fixture_fini(&fx);
}

static void the_metadata_of_a_chain_is_in_its_first_link(void)
{
	struct quoll_port_settings s = {
		.mtu = 9000, .offloads = QUOLL_OFFLOAD_RX_SCATTER | QUOLL_OFFLOAD_RX_CSUM | QUOLL_OFFLOAD_VLAN_STRIP};
	struct quoll_buf *bufs[1];

	fixture_init(&fx);
	CU_ASSERT_EQUAL_FATAL(fixture_open(&fx), 0);
	CU_ASSERT_EQUAL_FATAL(fixture_start(&fx, 1, 128, &s), 0);
	fixture_make_ip(&fx, frame, 5000, 6, 1);
	memmove(frame + 16, frame + 12, 5000 - 12);
	frame[12] = 0x81;
	frame[13] = 0;
	frame[14] = 0;
	frame[15] = 9;
	CU_ASSERT_TRUE(fake_e1000e_receive(&fx.fake, frame, 5004));
	while (!quoll_rx(&fx.rxq->q, bufs, 1))
		;
	CU_ASSERT_EQUAL(bufs[0]->nr_links, 3);
	CU_ASSERT_EQUAL(bufs[0]->flags, QUOLL_BUF_RX_VLAN | QUOLL_BUF_RX_IP_GOOD | QUOLL_BUF_RX_L4_GOOD);
	CU_ASSERT_EQUAL(bufs[0]->vlan_tci, 9);
	CU_ASSERT_EQUAL(bufs[0]->next->flags, 0);
	fixture_put(&fx, bufs[0]);
	fixture_fini(&fx);
}

static void a_pool_that_runs_dry_is_counted_and_goes_on_when_buffers_come_back(void)
{
	struct quoll_buf *held[FIXTURE_NR_BUFS], *bufs[64];
	unsigned int nr_held = 0;
	uint64_t before;

	fixture_init(&fx);
	fixture_run(&fx, 0);
	fixture_make_frame(&fx, frame, 60, 1);
	while (!quoll_buf_get(fx.w.cache, &held[nr_held], 1))
		nr_held++;
	/* The ring lives on what it has: three batches. */
	for (unsigned int i = 0; i < 96; i++)
		CU_ASSERT_TRUE(fake_e1000e_receive(&fx.fake, frame, 60));
	for (unsigned int n = 0; n < 96;) {
		unsigned int got = quoll_rx(&fx.rxq->q, bufs, 32);

		CU_ASSERT_EQUAL_FATAL(got, 32);
		for (unsigned int i = 0; i < got; i++)
			held[nr_held++] = bufs[i];
		n += got;
	}
	before = fixture_stats(&fx).rx_no_buf;
	CU_ASSERT(before > 0);
	CU_ASSERT_FALSE(fake_e1000e_receive(&fx.fake, frame, 60));
	CU_ASSERT_EQUAL(fixture_stats(&fx).rx_missed, 1);
	CU_ASSERT_EQUAL(quoll_rx(&fx.rxq->q, bufs, 32), 0);
	/* A few come back: those are posted; then all, and the batches fall into step again. */
	quoll_buf_put(fx.w.cache, held + nr_held - 5, 5);
	nr_held -= 5;
	CU_ASSERT_EQUAL(quoll_rx(&fx.rxq->q, bufs, 32), 0);
	CU_ASSERT_EQUAL(fx.rxq->nr_posted, 5);
	CU_ASSERT_TRUE(fake_e1000e_receive(&fx.fake, frame, 60));
	quoll_buf_put(fx.w.cache, held, nr_held);
	CU_ASSERT_EQUAL(quoll_rx(&fx.rxq->q, bufs, 32), 1);
	fixture_put(&fx, bufs[0]);
	CU_ASSERT(fx.rxq->nr_posted >= 64);
	before = fixture_stats(&fx).rx_no_buf;
	for (unsigned int i = 0; i < 1000; i++)
		fixture_put(&fx, fixture_pass(&fx, frame, 60));
	CU_ASSERT_EQUAL(fixture_stats(&fx).rx_no_buf, before);
	fixture_fini(&fx);
}

static const struct unit_test tests[] = {
	{"frames of every length come in unchanged", frames_of_every_length_come_in_unchanged},
	{"batches come in order through many turns of the ring", batches_come_in_order_through_many_turns_of_the_ring},
	{"a batch larger than the refill keeps the ring full", a_batch_larger_than_the_refill_keeps_the_ring_full},
	{"long frames come as chains, even over several polls", long_frames_come_as_chains_even_over_several_polls},
	{"checksums are said to be good, bad, or neither", checksums_are_said_to_be_good_bad_or_neither},
	{"what was not asked for is not said", what_was_not_asked_for_is_not_said},
	{"tags are stripped, or left alone", tags_are_stripped_or_left_alone},
	{"the metadata of a chain is in its first link", the_metadata_of_a_chain_is_in_its_first_link},
	{"a pool that runs dry is counted, and goes on when buffers come back",
	 a_pool_that_runs_dry_is_counted_and_goes_on_when_buffers_come_back},
};

UNIT_MAIN("e1000e receive", tests)
