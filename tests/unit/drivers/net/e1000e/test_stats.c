/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include "e1000e_fixture.h"
#include "unit.h"

static struct e1000e_fixture fx;

static uint64_t xstat(const char *name)
{
	struct quoll_port_xstat xstats[64];
	unsigned int n = quoll_port_xstats(fx.w.port, xstats, 64);

	for (unsigned int i = 0; i < n; i++)
		if (!strcmp(xstats[i].name, name))
			return xstats[i].value;
	return UINT64_MAX;
}

static void counters_start_at_nothing_and_add_up(void)
{
	struct quoll_port_stats stats;

	fixture_init(&fx);
	fixture_run(&fx, 0);
	stats = fixture_stats(&fx); /* the fake had 12345 everywhere before open */
	CU_ASSERT_EQUAL(stats.rx_missed + stats.rx_errors + stats.tx_errors, 0);
	for (unsigned int i = 1; i <= 3; i++) {
		fake_pci_reg_set(&fx.fake.pci, E1000E_MPC, 7);
		fake_pci_reg_set(&fx.fake.pci, E1000E_CRCERRS, 2);
		fake_pci_reg_set(&fx.fake.pci, E1000E_ALGNERRC, 1);
		fake_pci_reg_set(&fx.fake.pci, E1000E_RXERRC, 1);
		fake_pci_reg_set(&fx.fake.pci, E1000E_CEXTERR, 1);
		fake_pci_reg_set(&fx.fake.pci, E1000E_RLEC, 5); /* of which 3 are oversized */
		fake_pci_reg_set(&fx.fake.pci, E1000E_ROC, 3);
		fake_pci_reg_set(&fx.fake.pci, E1000E_ECOL, 1);
		fake_pci_reg_set(&fx.fake.pci, E1000E_LATECOL, 1);
		stats = fixture_stats(&fx);
		CU_ASSERT_EQUAL(stats.rx_missed, 7u * i);
		CU_ASSERT_EQUAL(stats.rx_errors, 10u * i);
		CU_ASSERT_EQUAL(stats.tx_errors, 2u * i);
		stats = fixture_stats(&fx); /* cleared by having been read */
		CU_ASSERT_EQUAL(stats.rx_missed, 7u * i);
		CU_ASSERT_EQUAL(xstat("rx_crc_errors"), 2u * i);
		CU_ASSERT_EQUAL(xstat("rx_length_errors"), 5u * i);
		CU_ASSERT_EQUAL(xstat("rx_oversize_errors"), 3u * i);
		CU_ASSERT_EQUAL(xstat("tx_late_collisions"), i);
	}
	fixture_fini(&fx);
}

static void frames_and_bytes_are_counted_over_stop_and_start(void)
{
	uint8_t frame[100];
	struct quoll_port_stats stats;

	fixture_init(&fx);
	fixture_run(&fx, 0);
	fixture_make_frame(&fx, frame, sizeof(frame), 1);
	for (unsigned int i = 1; i <= 2; i++) {
		struct quoll_buf *buf = fixture_pass(&fx, frame, sizeof(frame));

		CU_ASSERT_EQUAL(quoll_tx(&fx.txq->q, &buf, 1), 1);
		stats = fixture_stats(&fx);
		CU_ASSERT_EQUAL(stats.rx_packets, i);
		CU_ASSERT_EQUAL(stats.rx_bytes, 100u * i);
		CU_ASSERT_EQUAL(stats.tx_packets, i);
		CU_ASSERT_EQUAL(stats.tx_bytes, 100u * i);
		CU_ASSERT_EQUAL(fixture_stop(&fx), 0);
		CU_ASSERT_EQUAL_FATAL(fixture_start(&fx, 1, 128, NULL), 0);
	}
	fixture_fini(&fx);
}

static void frames_without_room_are_missed_and_long_ones_are_errors(void)
{
	static uint8_t frame[1600];
	struct quoll_port_stats stats;
	unsigned int stored = 0;

	fixture_init(&fx);
	fixture_run(&fx, 0);
	fixture_make_frame(&fx, frame, sizeof(frame), 1);
	while (fake_e1000e_receive(&fx.fake, frame, 64))
		stored++;
	CU_ASSERT_EQUAL(stored, 96); /* a batch of 32 is not posted */
	CU_ASSERT_FALSE(fake_e1000e_receive(&fx.fake, frame, 1600));
	stats = fixture_stats(&fx);
	CU_ASSERT_EQUAL(stats.rx_missed, 1);
	CU_ASSERT_EQUAL(stats.rx_errors, 1);
	CU_ASSERT_EQUAL(stats.rx_bad, 0);
	fixture_fini(&fx);
}

static void nonsense_from_a_device_that_is_gone_is_not_counted(void)
{
	struct quoll_port_stats stats;

	fixture_init(&fx);
	fixture_run(&fx, 0);
	fake_pci_reg_set(&fx.fake.pci, E1000E_MPC, 7);
	CU_ASSERT_EQUAL(fixture_stats(&fx).rx_missed, 7);
	fake_e1000e_yank(&fx.fake);
	stats = fixture_stats(&fx);
	CU_ASSERT_EQUAL(stats.rx_missed, 7);
	CU_ASSERT_EQUAL(stats.rx_errors, 0);
	CU_ASSERT_EQUAL(fixture_check(&fx), -ENODEV);
	CU_ASSERT_EQUAL(fixture_stats(&fx).rx_missed, 7);
	fixture_fini(&fx);
}

static const struct unit_test tests[] = {
	{"counters start at nothing, and add up", counters_start_at_nothing_and_add_up},
	{"frames and bytes are counted over stop and start", frames_and_bytes_are_counted_over_stop_and_start},
	{"frames without room are missed, and long ones are errors",
	 frames_without_room_are_missed_and_long_ones_are_errors},
	{"nonsense from a device that is gone is not counted", nonsense_from_a_device_that_is_gone_is_not_counted},
};

UNIT_MAIN("e1000e counters", tests)
