/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_timer.c - order, periods, and what a callback may do. Most of it sets the loop's clock by hand (loop->now), so
 * that no test depends on how long anything takes.
 */
#include <stdlib.h>
#include <string.h>

#include "run/loop_internal.h"

#include "unit.h"

#define NR_TIMERS 500
#define US 1000ull

struct test_timer {
	struct quoll_timer timer;
	unsigned int nr_calls;
	uint64_t called_at;
	void (*then)(struct test_timer *t);
	struct test_timer *other;
};

static struct quoll_loop *loop;
static struct test_timer timers[NR_TIMERS];
static struct test_timer *called[4 * NR_TIMERS];
static unsigned int nr_called;

static void call(void *arg)
{
	struct test_timer *t = arg;

	called[nr_called++] = t;
	t->nr_calls++;
	t->called_at = quoll_ticks(&loop->clock);
	if (t->then)
		t->then(t);
}

static void open_loop(void)
{
	CU_ASSERT_EQUAL_FATAL(quoll_loop_create(NULL, NULL, &loop, NULL), 0);
	memset(timers, 0, sizeof(timers));
	nr_called = 0;
	for (int i = 0; i < NR_TIMERS; i++)
		timers[i].timer = (struct quoll_timer){.fn = call, .arg = &timers[i]};
}

static void start(int i, uint64_t delay_us, uint64_t period_us)
{
	CU_ASSERT_EQUAL_FATAL(quoll_timer_start(loop, &timers[i].timer, delay_us * US, period_us * US), 0);
}

/* It is now the time at which this one expires, or a number of ticks later. */
static int at_expiry(int i, uint64_t later)
{
	loop->now = timers[i].timer.expires_ticks + later;
	return loop_run_due(loop);
}

static void check_heap(void)
{
	for (unsigned int i = 1; i <= loop->nr_timers; i++) {
		CU_ASSERT_EQUAL_FATAL(loop->timers[i]->pos, i);
		CU_ASSERT_FATAL(i == 1 || loop->timers[i / 2]->expires_ticks <= loop->timers[i]->expires_ticks);
	}
}

static void they_are_called_in_the_order_of_expiry(void)
{
	uint64_t last = 0;

	open_loop();
	srand(1);
	for (int i = 0; i < NR_TIMERS; i++)
		start(i, 1000000 + (uint64_t)rand() % 1000000, 0);
	check_heap();
	for (int i = 0; i < NR_TIMERS; i += 3)
		quoll_timer_cancel(&timers[i].timer);
	check_heap();
	for (int i = 1; i < NR_TIMERS; i += 3)
		start(i, 1000000 + (uint64_t)rand() % 1000000, 0); /* restart */
	check_heap();
	loop->now += quoll_ns_to_ticks(&loop->clock, 900000 * US);
	CU_ASSERT_EQUAL(loop_run_due(loop), 0);
	loop->now += quoll_ns_to_ticks(&loop->clock, 9000000 * US);
	CU_ASSERT_EQUAL(loop_run_due(loop), NR_TIMERS - (NR_TIMERS + 2) / 3);
	for (unsigned int i = 0; i < nr_called; i++) {
		CU_ASSERT_FATAL(called[i]->timer.expires_ticks >= last);
		last = called[i]->timer.expires_ticks;
	}
	for (int i = 0; i < NR_TIMERS; i++)
		CU_ASSERT_EQUAL(timers[i].nr_calls, i % 3 != 0);
	CU_ASSERT_EQUAL(loop->nr_timers, 0);
	CU_ASSERT_EQUAL(loop->due, LOOP_NEVER);
	quoll_loop_destroy(loop);
}

/* Random starts and cancels, against a plain array. */
static void the_first_to_expire_is_known_whatever_was_done(void)
{
	open_loop();
	srand(2);
	for (int step = 0; step < 20000; step++) {
		int i = rand() % NR_TIMERS;
		uint64_t first = LOOP_NEVER;

		if (rand() % 3)
			start(i, 1000000 + (uint64_t)rand() % 1000000, 0);
		else
			quoll_timer_cancel(&timers[i].timer);
		for (int j = 0; step % 64 == 0 && j < NR_TIMERS; j++)
			if (timers[j].timer.pos && timers[j].timer.expires_ticks < first)
				first = timers[j].timer.expires_ticks;
		if (step % 64)
			continue;
		check_heap();
		CU_ASSERT_EQUAL_FATAL(loop->nr_timers ? loop->timers[1]->expires_ticks : LOOP_NEVER, first);
		CU_ASSERT_FATAL(loop->due <= first);
	}
	quoll_loop_destroy(loop);
}

static void a_period_keeps_its_phase_and_leaves_out_what_was_missed(void)
{
	uint64_t first, period;

	open_loop();
	start(0, 1000, 500);
	first = timers[0].timer.expires_ticks;
	period = timers[0].timer.period_ticks;
	CU_ASSERT_EQUAL(at_expiry(0, 0), 1);
	CU_ASSERT_EQUAL(timers[0].timer.expires_ticks, first + period);
	CU_ASSERT_EQUAL(loop_run_due(loop), 0);
	CU_ASSERT_EQUAL(at_expiry(0, period / 3), 1); /* late, but the next one is not */
	CU_ASSERT_EQUAL(timers[0].timer.expires_ticks, first + 2 * period);
	CU_ASSERT_EQUAL(at_expiry(0, 5 * period + 1), 1); /* once for six */
	CU_ASSERT_EQUAL(timers[0].timer.expires_ticks, first + 8 * period);
	CU_ASSERT_EQUAL(at_expiry(0, 4 * period), 1); /* the fifth is just due: called for it, not twice */
	CU_ASSERT_EQUAL(timers[0].timer.expires_ticks, first + 13 * period);
	CU_ASSERT_EQUAL(timers[0].nr_calls, 4);
	quoll_loop_destroy(loop);
}

static void cancel_other(struct test_timer *t)
{
	quoll_timer_cancel(&t->other->timer);
}

static void start_other_now(struct test_timer *t)
{
	CU_ASSERT_EQUAL(quoll_timer_start(loop, &t->other->timer, 0, 0), 0);
}

static void a_callback_cancels_others_and_itself(void)
{
	open_loop();
	for (int i = 0; i < 3; i++) {
		start(i, 1000, i == 2 ? 1000 : 0);
		timers[i].timer.expires_ticks = timers[0].timer.expires_ticks; /* all due at once */
	}
	timers[0].then = cancel_other;
	timers[0].other = &timers[1];
	timers[1].then = cancel_other;
	timers[1].other = &timers[0];
	timers[2].then = cancel_other;
	timers[2].other = &timers[2];
	CU_ASSERT_EQUAL(at_expiry(0, 0), 2);
	CU_ASSERT_EQUAL(timers[0].nr_calls + timers[1].nr_calls, 1);
	CU_ASSERT_EQUAL(timers[2].nr_calls, 1); /* periodic, and no more */
	CU_ASSERT_EQUAL(loop->nr_timers, 0);
	quoll_timer_cancel(&timers[2].timer); /* not started */
	quoll_loop_destroy(loop);
}

static void a_callback_starts_others_and_itself(void)
{
	open_loop();
	start(0, 1000, 0);
	timers[0].then = start_other_now;
	timers[0].other = &timers[0];
	for (unsigned int i = 1; i <= 5; i++) {
		timers[0].timer.expires_ticks = 0; /* long ago */
		loop->now = 1;
		/* Started anew for a time later than this round's: it has to wait for the next one. */
		CU_ASSERT_EQUAL(loop_run_due(loop), 1);
		CU_ASSERT_EQUAL(timers[0].nr_calls, i);
		CU_ASSERT_EQUAL(timers[0].timer.pos, 1);
	}
	timers[0].other = &timers[1];
	at_expiry(0, 0);
	CU_ASSERT_EQUAL(timers[0].timer.pos, 0);
	CU_ASSERT_EQUAL(timers[1].timer.pos, 1);
	quoll_loop_destroy(loop);
	CU_ASSERT_EQUAL(timers[1].timer.pos, 0); /* its owner's again */
}

static void extreme_times_are_cut_and_not_wrapped(void)
{
	open_loop();
	start(0, 0, 0);
	CU_ASSERT_EQUAL_FATAL(quoll_timer_start(loop, &timers[1].timer, UINT64_MAX, UINT64_MAX), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_timer_start(loop, &timers[2].timer, 0, 1), 0);
	CU_ASSERT(timers[2].timer.period_ticks > 0);
	CU_ASSERT(timers[1].timer.expires_ticks > timers[0].timer.expires_ticks + loop->clock.tick_hz * 3600);
	CU_ASSERT(at_expiry(2, 100) >= 2);
	CU_ASSERT_EQUAL(timers[1].nr_calls, 0);
	quoll_loop_destroy(loop);
}

static void stop(struct test_timer *t)
{
	if (t->nr_calls == 20)
		quoll_loop_stop(loop);
}

/* With the real clock, asleep in between: each is called, and none before its time. */
static void none_is_called_early(void)
{
	static const struct quoll_loop_opts sleepy = {.spin_ns = 1, .sleep_ns = 1};
	uint64_t began, wanted[50];

	open_loop();
	quoll_loop_destroy(loop);
	CU_ASSERT_EQUAL_FATAL(quoll_loop_create(NULL, &sleepy, &loop, NULL), 0);
	began = quoll_ticks(&loop->clock);
	for (int i = 0; i < 50; i++) {
		uint64_t us = 20 + (uint64_t)(i * 7919) % 15000;

		wanted[i] = began + quoll_ns_to_ticks(&loop->clock, us * US);
		start(i, us, 0);
	}
	timers[50].then = stop;
	start(50, 1000, 1000);
	CU_ASSERT_EQUAL(quoll_loop_run(loop), 0);
	CU_ASSERT_EQUAL(timers[50].nr_calls, 20);
	for (int i = 0; i < 50; i++) {
		CU_ASSERT_EQUAL(timers[i].nr_calls, 1);
		CU_ASSERT(timers[i].called_at >= wanted[i]);
	}
	quoll_loop_destroy(loop);
}

static const struct unit_test tests[] = {
	{"they are called in the order of expiry", they_are_called_in_the_order_of_expiry},
	{"the first to expire is known, whatever was done", the_first_to_expire_is_known_whatever_was_done},
	{"a period keeps its phase and leaves out what was missed",
	 a_period_keeps_its_phase_and_leaves_out_what_was_missed},
	{"a callback cancels others and itself", a_callback_cancels_others_and_itself},
	{"a callback starts others and itself", a_callback_starts_others_and_itself},
	{"extreme times are cut and not wrapped", extreme_times_are_cut_and_not_wrapped},
	{"none is called early", none_is_called_early},
};

UNIT_MAIN("timers", tests)
