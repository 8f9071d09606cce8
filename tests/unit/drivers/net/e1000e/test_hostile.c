/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_hostile.c - a device that lies, and one that goes: nothing that it says is believed, and no buffer is lost. The
 * fixture checks at the end of each test that every buffer is back.
 */
#include <errno.h>
#include <string.h>

#include "e1000e_fixture.h"
#include "unit.h"

static struct e1000e_fixture fx;
static uint8_t frame[FAKE_MAX_FRAME];

static void run(uint32_t offloads)
{
	fixture_init(&fx);
	fixture_run(&fx, offloads);
	fixture_make_frame(&fx, frame, sizeof(frame), 1);
}

static void still_works(void)
{
	struct quoll_buf *buf;

	fx.fake.on_rx_desc = NULL;
	buf = fixture_pass(&fx, frame, 100);
	CU_ASSERT_TRUE_FATAL(chain_is(buf, frame, 100));
	fake_e1000e_forget(&fx.fake);
	CU_ASSERT_EQUAL(quoll_tx(&fx.txq->q, &buf, 1), 1);
	CU_ASSERT_EQUAL(fx.fake.nr_sent, 1);
}

static bool lie(struct fake_e1000e *fake, unsigned int queue, struct e1000e_rx_desc *desc)
{
	(void)queue;
	*desc = *(const struct e1000e_rx_desc *)fake->arg;
	return true;
}

static uint64_t second(uint64_t status, uint32_t len)
{
	return E1000E_RX_DD | status | (uint64_t)len << E1000E_RX_LENGTH_SHIFT;
}

static void descriptors_that_make_no_sense_are_dropped_and_counted(void)
{
	const uint64_t lies[] = {
		second(E1000E_RX_EOP, 2049),
		second(E1000E_RX_EOP, 65535),
		second(E1000E_RX_EOP, 1519),
		second(E1000E_RX_EOP, 13),
		second(E1000E_RX_EOP, 0),
		second(E1000E_RX_EOP | E1000E_RX_CE, 100),
		second(E1000E_RX_EOP | E1000E_RX_RXE, 100),
		second(E1000E_RX_EOP | E1000E_RX_SEQ, 100),
		second(E1000E_RX_EOP | E1000E_RX_SE, 100),
		second(E1000E_RX_EOP | E1000E_RX_CXE, 100),
		UINT64_MAX,
	};
	struct quoll_buf *buf;

	for (unsigned int offloads = 0; offloads < 2; offloads++) {
		run(offloads ? QUOLL_OFFLOAD_RX_CSUM | QUOLL_OFFLOAD_RX_SCATTER : 0);
		for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
			struct e1000e_rx_desc desc = {UINT64_MAX, lies[i]};

			fx.fake.arg = &desc;
			fx.fake.on_rx_desc = lie;
			CU_ASSERT_TRUE(fake_e1000e_receive(&fx.fake, frame, 100));
			CU_ASSERT_EQUAL(quoll_rx(&fx.rxq->q, &buf, 1), 0);
			CU_ASSERT_EQUAL(fixture_stats(&fx).rx_bad, i + 1);
		}
		still_works();
		fixture_fini(&fx);
	}
}

/* Within what a frame may have, beyond what a buffer has. */
static void parts_longer_than_their_buffer_are_dropped(void)
{
	struct quoll_port_settings s = {.mtu = 9000, .offloads = QUOLL_OFFLOAD_RX_SCATTER};
	struct e1000e_rx_desc desc = {0, second(E1000E_RX_EOP, 2049)};
	struct quoll_buf *buf;

	fixture_init(&fx);
	CU_ASSERT_EQUAL_FATAL(fixture_open(&fx), 0);
	CU_ASSERT_EQUAL_FATAL(fixture_start(&fx, 1, 128, &s), 0);
	fixture_make_frame(&fx, frame, sizeof(frame), 1);
	fx.fake.arg = &desc;
	fx.fake.on_rx_desc = lie;
	CU_ASSERT_TRUE(fake_e1000e_receive(&fx.fake, frame, 100));
	CU_ASSERT_EQUAL(quoll_rx(&fx.rxq->q, &buf, 1), 0);
	CU_ASSERT_EQUAL(fixture_stats(&fx).rx_bad, 1);
	for (unsigned int i = 0; i < 2; i++) {
		desc.second = i ? second(E1000E_RX_EOP, 100) : second(0, 2049);
		CU_ASSERT_TRUE(fake_e1000e_receive(&fx.fake, frame, 100));
		CU_ASSERT_EQUAL(quoll_rx(&fx.rxq->q, &buf, 1), 0);
		CU_ASSERT_EQUAL(fixture_stats(&fx).rx_bad, 2);
	}
	still_works();
	fixture_fini(&fx);
}

/* @scatter: the frame grows until it is too long; without, its first part is one too many. */
static void never_ends(bool scatter, uint32_t part)
{
	struct e1000e_rx_desc desc = {0, second(0, part)};
	struct quoll_buf *buf;

	run(scatter ? QUOLL_OFFLOAD_RX_SCATTER : 0);
	fx.fake.arg = &desc;
	fx.fake.on_rx_desc = lie;
	for (unsigned int i = 0; i < 1000; i++) {
		(void)fake_e1000e_receive(&fx.fake, frame, 100);
		CU_ASSERT_EQUAL(quoll_rx(&fx.rxq->q, &buf, 1), 0);
		/* What a chain holds is bounded, the rest is at home. */
		CU_ASSERT(quoll_pool_nr_free(fx.w.pool) >= FIXTURE_NR_BUFS - 128 - E1000E_MAX_RX_LINKS);
	}
	CU_ASSERT_EQUAL(fixture_stats(&fx).rx_bad, 1); /* one frame, as nothing ended it */
	/* Its end is dropped too, the next frame is a new one. */
	fx.fake.on_rx_desc = NULL;
	(void)fake_e1000e_receive(&fx.fake, frame, 100);
	CU_ASSERT_EQUAL(quoll_rx(&fx.rxq->q, &buf, 1), 0);
	CU_ASSERT_EQUAL(fixture_stats(&fx).rx_bad, 1);
	still_works();
	fixture_fini(&fx);
}

static void a_frame_that_never_ends_is_one_bad_frame(void)
{
	never_ends(true, 2048);
	never_ends(true, 1);
	never_ends(true, 0);
	never_ends(false, 1500);
}

static void half_a_frame_is_given_back_by_stop(void)
{
	struct e1000e_rx_desc desc = {0, second(0, 500)};
	struct quoll_buf *buf;

	run(QUOLL_OFFLOAD_RX_SCATTER);
	fx.fake.arg = &desc;
	fx.fake.on_rx_desc = lie;
	for (unsigned int i = 0; i < 2; i++) {
		(void)fake_e1000e_receive(&fx.fake, frame, 100);
		CU_ASSERT_EQUAL(quoll_rx(&fx.rxq->q, &buf, 1), 0);
	}
	CU_ASSERT_EQUAL(fx.rxq->chain.nr_links, 2);
	fixture_fini(&fx);
}

static void a_last_link_without_data_is_no_harm(void)
{
	struct e1000e_rx_desc desc = {0, second(0, 100)};
	struct quoll_buf *buf;

	run(QUOLL_OFFLOAD_RX_SCATTER);
	fx.fake.arg = &desc;
	fx.fake.on_rx_desc = lie;
	(void)fake_e1000e_receive(&fx.fake, frame, 100);
	desc.second = second(E1000E_RX_EOP, 0);
	(void)fake_e1000e_receive(&fx.fake, frame, 100);
	CU_ASSERT_EQUAL(quoll_rx(&fx.rxq->q, &buf, 2), 1);
	CU_ASSERT_TRUE(chain_is(buf, frame, 100));
	fixture_put(&fx, buf);
	fixture_fini(&fx);
}

/* The whole ring says that it is done, whoever has its descriptors; the device's head follows, as it would have to. */
static void all_done(void)
{
	for (uint32_t i = 0; i < 128; i++)
		fake_e1000e_rx_desc(&fx.fake, 0, i)->second = second(E1000E_RX_EOP, 100);
	fake_pci_reg_set(&fx.fake.pci, E1000E_RDH, fake_reg(&fx.fake, E1000E_RDT));
}

static void descriptors_that_it_was_not_given_are_not_looked_at(void)
{
	struct quoll_buf *bufs[256];
	unsigned int got, total = 0;

	run(0);
	all_done();
	/* 96 were its own; a poll is a turn of the ring at most, and what was posted anew is not done. */
	got = quoll_rx(&fx.rxq->q, bufs, 256);
	CU_ASSERT_EQUAL(got, 96);
	for (unsigned int i = 0; i < got; i++)
		for (unsigned int k = 0; k < i; k++)
			CU_ASSERT_FATAL(bufs[i] != bufs[k]);
	quoll_buf_put(fx.w.cache, bufs, got);
	for (unsigned int round = 0; round < 3; round++)
		total += quoll_rx(&fx.rxq->q, bufs, 256);
	CU_ASSERT_EQUAL(total, 0);
	fixture_fini(&fx);
}

static void a_device_that_never_stops_writing_cannot_hold_a_poll(void)
{
	struct quoll_buf *bufs[1024];

	run(0);
	for (unsigned int round = 0; round < 50; round++) {
		unsigned int got;

		all_done();
		got = quoll_rx(&fx.rxq->q, bufs, 1024);
		CU_ASSERT(got < 128);
		quoll_buf_put(fx.w.cache, bufs, got);
	}
	fixture_fini(&fx);
}

static void done_bits_that_were_not_asked_for_free_nothing(void)
{
	struct quoll_buf *bufs[20];
	uint32_t before;

	run(0);
	fx.fake.mute_tx = true;
	for (unsigned int i = 0; i < 20; i++)
		bufs[i] = fixture_buf(&fx, frame, 100, 2048);
	CU_ASSERT_EQUAL(quoll_tx(&fx.txq->q, bufs, 20), 20);
	before = quoll_pool_nr_free(fx.w.pool);
	for (uint32_t i = 0; i < 128; i++)
		fake_e1000e_tx_desc(&fx.fake, 0, i)->second |= E1000E_TX_DD;
	CU_ASSERT_EQUAL(quoll_tx(&fx.txq->q, bufs, 0), 0);
	CU_ASSERT_EQUAL(quoll_pool_nr_free(fx.w.pool), before);
	CU_ASSERT_EQUAL(fx.txq->tail - fx.txq->clean, 20);
	fixture_fini(&fx);
}

static void done_too_early_or_garbage_gives_each_buffer_back_once(void)
{
	struct quoll_buf *bufs[64];

	run(0);
	fx.fake.mute_tx = true;
	for (unsigned int round = 0; round < 20; round++) {
		for (unsigned int i = 0; i < 64; i++)
			bufs[i] = fixture_buf(&fx, frame, 100, 2048);
		for (unsigned int n = 0; n < 64;) {
			n += quoll_tx(&fx.txq->q, bufs + n, 64 - n);
			for (uint32_t i = 0; i < 128; i++)
				fake_e1000e_tx_desc(&fx.fake, 0, i)->second = UINT64_MAX;
		}
	}
	CU_ASSERT_EQUAL(fixture_stats(&fx).tx_packets, 20 * 64);
	fixture_fini(&fx);
}

/* What is in flight when it ends: received frames not yet polled, half a chain, frames to be sent. */
static void under_load(void)
{
	struct quoll_port_settings s = {.mtu = 9000, .offloads = QUOLL_OFFLOAD_RX_SCATTER};
	struct quoll_buf *bufs[40];

	fixture_init(&fx);
	CU_ASSERT_EQUAL_FATAL(fixture_open(&fx), 0);
	CU_ASSERT_EQUAL_FATAL(fixture_start(&fx, 2, 128, &s), 0);
	fixture_make_frame(&fx, frame, sizeof(frame), 1);
	fx.fake.mute_tx = true;
	for (unsigned int i = 0; i < 40; i++)
		bufs[i] = fixture_buf(&fx, frame, 100, i % 2 ? 2048 : 40);
	CU_ASSERT_EQUAL(quoll_tx(&fx.txq->q, bufs, 40), 40);
	CU_ASSERT_TRUE(fake_e1000e_receive(&fx.fake, frame, 9000));
	CU_ASSERT_EQUAL(quoll_rx(&fx.rxq->q, bufs, 2), 0);
	for (unsigned int i = 0; i < 30; i++)
		CU_ASSERT_TRUE(fake_e1000e_receive(&fx.fake, frame, 100));
}

static void is_dead(int why)
{
	struct quoll_buf *buf = fixture_buf(&fx, frame, 100, 2048), *in;
	uint64_t accesses;

	CU_ASSERT_EQUAL(fixture_check(&fx), why);
	CU_ASSERT_EQUAL(quoll_port_error(fx.w.port), why);
	CU_ASSERT_TRUE(fx.fake.pci.config[0] == 0xff || !fake_pci_bus_master(&fx.fake.pci));
	accesses = fx.fake.trap.nr_reads + fx.fake.trap.nr_writes;
	CU_ASSERT_EQUAL(quoll_rx(&fx.rxq->q, &in, 1), 0);
	CU_ASSERT_EQUAL(quoll_tx(&fx.txq->q, &buf, 1), 0);
	fixture_put(&fx, buf);
	CU_ASSERT_EQUAL(fixture_check(&fx), why);
	(void)fixture_stats(&fx);
	CU_ASSERT_EQUAL(fixture_stop(&fx), why);
	CU_ASSERT_EQUAL(fixture_start(&fx, 1, 128, NULL), why);
	/* No register was touched any more. */
	CU_ASSERT_EQUAL(fx.fake.trap.nr_reads + fx.fake.trap.nr_writes, accesses);
	fixture_fini(&fx);
}

static void gone_under_load_everything_comes_back(void)
{
	under_load();
	fake_e1000e_yank(&fx.fake);
	is_dead(-ENODEV);
}

/* As behind a bridge that does not pass memory accesses on any more. */
static void registers_of_all_ones_are_noticed_though_config_space_answers(void)
{
	int rc = 0;

	under_load();
	for (uint32_t r = 0; r < E1000E_REGS_BYTES; r += 4)
		fake_pci_reg_set(&fx.fake.pci, r, UINT32_MAX);
	fx.fake.registers_dead = true;
	for (unsigned int i = 0; !rc && i < E1000E_CHECKS_A_LOOK; i++)
		rc = fixture_check(&fx);
	CU_ASSERT_EQUAL(rc, -ENODEV);
	is_dead(-ENODEV);
}

static void wanted_back_under_load_everything_comes_back(void)
{
	under_load();
	fake_pci_request_removal(&fx.fake.pci);
	is_dead(-ENODEV);
}

static void after_an_error_under_load_everything_comes_back(void)
{
	under_load();
	fake_pci_report_error(&fx.fake.pci);
	is_dead(-EIO);
}

static void it_may_go_between_any_two_polls(void)
{
	for (uint32_t n = 1; n < 60; n += 3) {
		struct quoll_buf *bufs[32];

		run(0);
		fx.fake.gone_after = n;
		for (unsigned int round = 0; round < 200 && !fixture_check(&fx); round++) {
			unsigned int got;

			for (unsigned int i = 0; i < 32; i++)
				(void)fake_e1000e_receive(&fx.fake, frame, 100);
			got = quoll_rx(&fx.rxq->q, bufs, 32);
			got -= quoll_tx(&fx.txq->q, bufs, got);
			CU_ASSERT(!got || fixture_check(&fx));
			(void)quoll_port_apply(fx.w.port, NULL, NULL);
			(void)quoll_rxq_arm(&fx.rxq->q);
			quoll_rxq_disarm(&fx.rxq->q);
		}
		CU_ASSERT_EQUAL(fixture_check(&fx), -ENODEV);
		fixture_fini(&fx);
	}
}

static const struct unit_test tests[] = {
	{"descriptors that make no sense are dropped and counted",
	 descriptors_that_make_no_sense_are_dropped_and_counted},
	{"parts longer than their buffer are dropped", parts_longer_than_their_buffer_are_dropped},
	{"a frame that never ends is one bad frame", a_frame_that_never_ends_is_one_bad_frame},
	{"half a frame is given back by stop", half_a_frame_is_given_back_by_stop},
	{"a last link without data is no harm", a_last_link_without_data_is_no_harm},
	{"descriptors that it was not given are not looked at", descriptors_that_it_was_not_given_are_not_looked_at},
	{"a device that never stops writing cannot hold a poll", a_device_that_never_stops_writing_cannot_hold_a_poll},
	{"done bits that were not asked for free nothing", done_bits_that_were_not_asked_for_free_nothing},
	{"done too early, or garbage, gives each buffer back once",
	 done_too_early_or_garbage_gives_each_buffer_back_once},
	{"gone under load: everything comes back", gone_under_load_everything_comes_back},
	{"registers of all ones are noticed, though config space answers",
	 registers_of_all_ones_are_noticed_though_config_space_answers},
	{"wanted back under load: everything comes back", wanted_back_under_load_everything_comes_back},
	{"after an error under load everything comes back", after_an_error_under_load_everything_comes_back},
	{"it may go between any two polls", it_may_go_between_any_two_polls},
};

UNIT_MAIN("e1000e hostile device", tests)
