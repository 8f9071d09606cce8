/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * timer.c - the timers of a loop: a binary heap by expiry, each timer knowing its place in it.
 *
 * Places count from 1, so that the parent of i is i / 2, and 0 says that a timer is not started.
 */
#include <errno.h>
#include <stdlib.h>

#include "run/loop_internal.h"

#define FIRST_SIZE 16u
#define LONGEST_NS (1ull << 58) /* nine years; what is longer would not fit into ticks everywhere */

static void place(struct quoll_loop *loop, struct quoll_timer *timer, unsigned int pos)
{
	loop->timers[pos] = timer;
	timer->pos = pos;
}

static void move_up(struct quoll_loop *loop, struct quoll_timer *timer, unsigned int pos)
{
	for (; pos > 1 && loop->timers[pos / 2]->expires_ticks > timer->expires_ticks; pos /= 2)
		place(loop, loop->timers[pos / 2], pos);
	place(loop, timer, pos);
}

static void move_down(struct quoll_loop *loop, struct quoll_timer *timer, unsigned int pos)
{
	while (pos * 2 <= loop->nr_timers) {
		unsigned int child = pos * 2;

		if (child < loop->nr_timers &&
		    loop->timers[child + 1]->expires_ticks < loop->timers[child]->expires_ticks)
			child++;
		if (loop->timers[child]->expires_ticks >= timer->expires_ticks)
			break;
		place(loop, loop->timers[child], pos);
		pos = child;
	}
	place(loop, timer, pos);
}

/* Put a timer, which may be better off above or below, at a place. */
static void settle(struct quoll_loop *loop, struct quoll_timer *timer, unsigned int pos)
{
	if (pos > 1 && loop->timers[pos / 2]->expires_ticks > timer->expires_ticks)
		move_up(loop, timer, pos);
	else
		move_down(loop, timer, pos);
}

static void take_out(struct quoll_loop *loop, struct quoll_timer *timer)
{
	struct quoll_timer *last = loop->timers[loop->nr_timers--];

	if (last != timer)
		settle(loop, last, timer->pos);
	timer->pos = 0;
}

static int grow(struct quoll_loop *loop)
{
	unsigned int size = loop->timers_size ? loop->timers_size * 2 : FIRST_SIZE;
	struct quoll_timer **timers = realloc(loop->timers, size * sizeof(*timers));

	if (!timers)
		return -ENOMEM;
	loop->timers = timers;
	loop->timers_size = size;
	return 0;
}

static uint64_t to_ticks(struct quoll_loop *loop, uint64_t ns)
{
	return quoll_ns_to_ticks(&loop->clock, ns < LONGEST_NS ? ns : LONGEST_NS);
}

int quoll_timer_start(struct quoll_loop *loop, struct quoll_timer *timer, uint64_t delay_ns, uint64_t period_ns)
{
	quoll_timer_cancel(timer);
	if (loop->nr_timers + 1 >= loop->timers_size) {
		int rc = grow(loop);

		if (rc)
			return rc;
	}
	timer->loop = loop;
	timer->expires_ticks = quoll_ticks(&loop->clock) + to_ticks(loop, delay_ns);
	timer->period_ticks = period_ns ? to_ticks(loop, period_ns) : 0;
	if (period_ns && !timer->period_ticks)
		timer->period_ticks = 1;
	move_up(loop, timer, ++loop->nr_timers);
	loop_set_due(loop);
	return 0;
}

void quoll_timer_cancel(struct quoll_timer *timer)
{
	if (!timer->pos)
		return;
	take_out(timer->loop, timer);
	/* loop->due may be early now, which costs one look. */
}

int loop_run_timers(struct quoll_loop *loop)
{
	int nr = 0;

	/* By the time at which the round ended: a timer that starts itself for at once has to wait for the next one. */
	while (loop->nr_timers && loop->timers[1]->expires_ticks <= loop->now) {
		struct quoll_timer *timer = loop->timers[1];

		/* Before the call, so that it may cancel or restart itself. */
		if (timer->period_ticks) {
			uint64_t missed = (loop->now - timer->expires_ticks) / timer->period_ticks;

			timer->expires_ticks += (missed + 1) * timer->period_ticks;
			move_down(loop, timer, 1);
		} else {
			take_out(loop, timer);
		}
		timer->fn(timer->arg);
		nr++;
	}
	return nr;
}

void loop_drop_timers(struct quoll_loop *loop)
{
	while (loop->nr_timers)
		take_out(loop, loop->timers[1]);
	free(loop->timers);
}
