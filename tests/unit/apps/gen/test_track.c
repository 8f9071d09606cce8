/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_track.c - sequence numbers that go missing, change places, come twice, and lie.
 */
#include "gen/track.h"
#include "unit.h"

static struct track t;

static void take(uint32_t from, uint32_t to)
{
	for (uint32_t seq = from; seq != to; seq++)
		track_take(&t, seq);
}

static void expect(uint64_t good, uint64_t gaps, uint64_t reordered, uint64_t duplicates)
{
	CU_ASSERT_EQUAL(t.nr_good, good);
	CU_ASSERT_EQUAL(t.nr_gaps, gaps);
	CU_ASSERT_EQUAL(t.nr_reordered, reordered);
	CU_ASSERT_EQUAL(t.nr_duplicates, duplicates);
}

static void all_in_order_is_all_there(void)
{
	track_init(&t, true);
	take(0, 1000);
	expect(1000, 0, 0, 0);
}

static void first_one_begins_where_it_likes(void)
{
	track_init(&t, false);
	take(123456, 123466);
	expect(10, 0, 0, 0);
	track_init(&t, true);
	take(5, 10); /* it is known that there were five before */
	expect(5, 5, 0, 0);
}

static void gaps_are_counted_until_they_are_filled(void)
{
	track_init(&t, true);
	take(0, 10);
	take(13, 20);
	expect(17, 3, 0, 0);
	track_take(&t, 11);
	expect(18, 2, 1, 0);
	track_take(&t, 11);
	expect(18, 2, 1, 1);
	take(20, 30);
	track_take(&t, 29);
	track_take(&t, 12);
	expect(29, 1, 2, 2);
}

static void window_ends_somewhere(void)
{
	track_init(&t, true);
	take(0, 1);
	take(2, 2 + TRACK_WINDOW - 1); /* 1 is the oldest that is remembered */
	track_take(&t, 1);
	expect(TRACK_WINDOW + 1, 0, 1, 0);
	take(TRACK_WINDOW + 1, TRACK_WINDOW + 2);
	track_take(&t, 1);
	CU_ASSERT_EQUAL(t.nr_late, 1);
	expect(TRACK_WINDOW + 2, 0, 1, 0);
}

static void long_gaps_forget_what_was_seen(void)
{
	for (uint32_t gap = TRACK_WINDOW - 2; gap < TRACK_WINDOW + 3; gap++) {
		track_init(&t, true);
		take(0, 100);
		track_take(&t, 100 + gap);
		expect(101, gap, 0, 0);
		track_take(&t, 100 + gap - 1);
		expect(102, gap - 1, 1, 0);
	}
}

static void numbers_wrap_around(void)
{
	track_init(&t, false);
	take(UINT32_MAX - 5, 5);
	track_take(&t, 7);
	track_take(&t, UINT32_MAX);
	expect(12, 2, 0, 1);
}

static void one_that_lies_changes_nothing(void)
{
	track_init(&t, true);
	take(0, 100);
	track_take(&t, 0x7fffffff);
	take(100, 200);
	expect(200, 0, 0, 0);
	CU_ASSERT_EQUAL(t.nr_far, 1);
	track_take(&t, 200 + TRACK_MAX_STEP + 1);
	take(200, 300);
	expect(300, 0, 0, 0);
	CU_ASSERT_EQUAL(t.nr_far, 2);
}

static void long_pause_is_believed_once_it_is_confirmed(void)
{
	track_init(&t, true);
	take(0, 100);
	take(1000000, 1000010);
	CU_ASSERT_EQUAL(t.nr_far, 1);
	expect(109, 999901, 0, 0);
	track_take(&t, 1000000); /* the one that was not believed may be told again */
	expect(110, 999900, 1, 0);
}

static const struct unit_test tests[] = {
	{"all in order is all there", all_in_order_is_all_there},
	{"the first one begins where it likes, unless that is known", first_one_begins_where_it_likes},
	{"gaps are counted until they are filled", gaps_are_counted_until_they_are_filled},
	{"the window ends somewhere", window_ends_somewhere},
	{"long gaps forget what was seen", long_gaps_forget_what_was_seen},
	{"numbers wrap around", numbers_wrap_around},
	{"one that lies changes nothing", one_that_lies_changes_nothing},
	{"a long pause is believed once it is confirmed", long_pause_is_believed_once_it_is_confirmed},
};

UNIT_MAIN("apps/gen/track", tests)
