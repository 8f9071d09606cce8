/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include "e1000e_fixture.h"
#include "unit.h"

static struct e1000e_fixture fx;

static const uint8_t other[6] = {0x02, 1, 2, 3, 4, 5};
static const uint8_t multi[6] = {0x01, 0, 0x5e, 1, 2, 3};
static const uint8_t broad[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static bool comes_in(const uint8_t *dst)
{
	uint8_t frame[64];
	struct quoll_buf *buf;

	fixture_make_frame(&fx, frame, sizeof(frame), 1);
	memcpy(frame, dst, 6);
	buf = fixture_pass(&fx, frame, sizeof(frame));
	if (buf)
		fixture_put(&fx, buf);
	return buf;
}

static void only_what_is_for_us_and_for_all_comes_in(void)
{
	fixture_init(&fx);
	fixture_run(&fx, 0);
	CU_ASSERT_TRUE(comes_in(fx.w.port->info.mac));
	CU_ASSERT_TRUE(comes_in(broad));
	CU_ASSERT_FALSE(comes_in(other));
	CU_ASSERT_FALSE(comes_in(multi));
	fixture_fini(&fx);
}

static void settings_change_while_it_runs(void)
{
	struct quoll_port_settings s = {.promiscuous = true};

	fixture_init(&fx);
	fixture_run(&fx, 0);
	CU_ASSERT_EQUAL(quoll_port_apply(fx.w.port, &s, &fx.w.err), 0);
	CU_ASSERT_TRUE(comes_in(other) && comes_in(multi) && comes_in(broad));
	s = (struct quoll_port_settings){.all_multicast = true};
	CU_ASSERT_EQUAL(quoll_port_apply(fx.w.port, &s, &fx.w.err), 0);
	CU_ASSERT_FALSE(comes_in(other));
	CU_ASSERT_TRUE(comes_in(multi));
	s = (struct quoll_port_settings){.nr_macs = 2};
	memcpy(s.macs[0], other, 6);
	memcpy(s.macs[1], multi, 6);
	CU_ASSERT_EQUAL(quoll_port_apply(fx.w.port, &s, &fx.w.err), 0);
	CU_ASSERT_TRUE(comes_in(other) && comes_in(multi) && comes_in(fx.w.port->info.mac));
	CU_ASSERT_EQUAL(quoll_port_apply(fx.w.port, NULL, &fx.w.err), 0);
	CU_ASSERT_FALSE(comes_in(other) || comes_in(multi));
	CU_ASSERT_TRUE(comes_in(fx.w.port->info.mac));
	fixture_fini(&fx);
}

static void as_many_addresses_as_are_promised_are_matched_in_full(void)
{
	struct quoll_port_settings s = {.nr_macs = 15};
	uint8_t near[6];

	fixture_init(&fx);
	fixture_run(&fx, 0);
	CU_ASSERT_EQUAL(fx.w.port->info.max_macs, 15);
	for (unsigned int i = 0; i < 15; i++) {
		memcpy(s.macs[i], i % 2 ? multi : other, 6);
		s.macs[i][5] = (uint8_t)(0x40 + i);
	}
	CU_ASSERT_EQUAL(quoll_port_apply(fx.w.port, &s, &fx.w.err), 0);
	for (unsigned int i = 0; i < 15; i++) {
		CU_ASSERT_TRUE(comes_in(s.macs[i]));
		memcpy(near, s.macs[i], 6);
		near[3] ^= 0x80;
		CU_ASSERT_FALSE(comes_in(near));
	}
	s.nr_macs = 16;
	CU_ASSERT_EQUAL(quoll_port_apply(fx.w.port, &s, &fx.w.err), -EINVAL);
	fixture_fini(&fx);
}

static void another_address_takes_the_place_of_its_own(void)
{
	struct quoll_port_settings s = {0};

	fixture_init(&fx);
	CU_ASSERT_EQUAL_FATAL(fixture_open(&fx), 0);
	memcpy(s.mac, other, 6);
	CU_ASSERT_EQUAL_FATAL(fixture_start(&fx, 1, 128, &s), 0);
	CU_ASSERT_TRUE(comes_in(other));
	CU_ASSERT_FALSE(comes_in(fx.w.port->info.mac));
	fixture_fini(&fx);
}

static void nothing_is_applied_to_a_device_that_is_gone(void)
{
	fixture_init(&fx);
	fixture_run(&fx, 0);
	fake_e1000e_yank(&fx.fake);
	CU_ASSERT_EQUAL(quoll_port_apply(fx.w.port, NULL, &fx.w.err), -ENODEV);
	fixture_fini(&fx);
}

static const struct unit_test tests[] = {
	{"only what is for us and for all comes in", only_what_is_for_us_and_for_all_comes_in},
	{"settings change while it runs", settings_change_while_it_runs},
	{"as many addresses as are promised are matched in full",
	 as_many_addresses_as_are_promised_are_matched_in_full},
	{"another address takes the place of its own", another_address_takes_the_place_of_its_own},
	{"nothing is applied to a device that is gone", nothing_is_applied_to_a_device_that_is_gone},
};

UNIT_MAIN("e1000e filters", tests)
