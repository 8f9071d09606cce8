/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include "e1000e_fixture.h"
#include "unit.h"

static struct e1000e_fixture fx;

static struct quoll_port_link link_of(void)
{
	struct quoll_port_link link;

	quoll_port_link(fx.w.port, &link);
	return link;
}

static void the_link_is_known_after_open_with_its_speed(void)
{
	static const uint32_t mbit[] = {10, 100, 1000, 1000};

	for (uint32_t code = 0; code < 4; code++) {
		fixture_init(&fx);
		fx.fake.speed_code = code;
		CU_ASSERT_EQUAL_FATAL(fixture_open(&fx), 0);
		CU_ASSERT_TRUE(link_of().up && link_of().full_duplex);
		CU_ASSERT_EQUAL(link_of().mbit_per_s, mbit[code]);
		fixture_fini(&fx);
	}
	fixture_init(&fx);
	fx.fake.link_up = false;
	CU_ASSERT_EQUAL_FATAL(fixture_open(&fx), 0);
	CU_ASSERT_FALSE(link_of().up);
	CU_ASSERT_EQUAL(link_of().mbit_per_s, 0);
	fixture_fini(&fx);
}

static void changes_are_signalled_and_seen_by_the_next_check(void)
{
	uint32_t before;

	fixture_init(&fx);
	fixture_run(&fx, 0);
	before = link_of().nr_changes;
	for (unsigned int i = 1; i <= 6; i++) {
		fake_e1000e_set_link(&fx.fake, i % 2 == 0);
		CU_ASSERT_EQUAL(fx.fake.nr_interrupts[E1000E_VECTOR_OTHER], i);
		CU_ASSERT_EQUAL(fixture_check(&fx), 0);
		CU_ASSERT_EQUAL(link_of().up, i % 2 == 0);
		CU_ASSERT_EQUAL(link_of().nr_changes, before + i);
	}
	fixture_fini(&fx);
}

static void without_news_few_checks_touch_a_register(void)
{
	uint64_t reads, writes;

	fixture_init(&fx);
	fixture_run(&fx, 0);
	CU_ASSERT_EQUAL(fixture_check(&fx), 0); /* counters are due */
	reads = fx.fake.trap.nr_reads;
	writes = fx.fake.trap.nr_writes;
	for (unsigned int i = 0; i < 160; i++)
		CU_ASSERT_EQUAL(fixture_check(&fx), 0);
	CU_ASSERT(fx.fake.trap.nr_reads - reads < 20); /* ten; or a second has passed, and counters are due once more */
	CU_ASSERT_EQUAL(fx.fake.trap.nr_writes, writes);
	fixture_fini(&fx);
}

static void without_msix_the_link_is_polled(void)
{
	fixture_init(&fx);
	fx.fake.pci.nr_msix = 1;
	fixture_run(&fx, 0);
	CU_ASSERT_TRUE(link_of().up);
	fake_e1000e_set_link(&fx.fake, false);
	CU_ASSERT_EQUAL(fixture_check(&fx), 0);
	CU_ASSERT_FALSE(link_of().up);
	fixture_fini(&fx);
}

static void a_phy_that_was_powered_down_is_woken_and_negotiates(void)
{
	fixture_init(&fx);
	fx.fake.phy[E1000E_PHY_CONTROL] = E1000E_PHY_CONTROL_POWER_DOWN | 0x140;
	CU_ASSERT_EQUAL_FATAL(fixture_open(&fx), 0);
	CU_ASSERT_EQUAL(fx.fake.phy[E1000E_PHY_CONTROL],
			0x140 | E1000E_PHY_CONTROL_AN_ENABLE | E1000E_PHY_CONTROL_RESTART_AN);
	fixture_fini(&fx);
	/* One that is up keeps the line it has. */
	fixture_init(&fx);
	CU_ASSERT_EQUAL_FATAL(fixture_open(&fx), 0);
	CU_ASSERT_EQUAL(fx.fake.phy[E1000E_PHY_CONTROL], E1000E_PHY_CONTROL_AN_ENABLE);
	fixture_fini(&fx);
}

static const struct unit_test tests[] = {
	{"the link is known after open, with its speed", the_link_is_known_after_open_with_its_speed},
	{"changes are signalled, and seen by the next check", changes_are_signalled_and_seen_by_the_next_check},
	{"without news few checks touch a register", without_news_few_checks_touch_a_register},
	{"without MSI-X the link is polled", without_msix_the_link_is_polled},
	{"a PHY that was powered down is woken, and negotiates", a_phy_that_was_powered_down_is_woken_and_negotiates},
};

UNIT_MAIN("e1000e link", tests)
