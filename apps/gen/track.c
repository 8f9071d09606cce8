/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * track.c - see track.h.
 */
#include <string.h>

#include "track.h"

void track_init(struct track *t, bool from_zero)
{
	memset(t, 0, sizeof(*t));
	t->started = from_zero;
	t->seen = UINT64_MAX; /* what lies before the beginning is not missing */
}

static void step_to(struct track *t, uint32_t seq, uint32_t ahead)
{
	t->seen = ahead + 1 < TRACK_WINDOW ? t->seen << (ahead + 1) | 1 : 1;
	t->next = seq + 1;
	t->nr_gaps += ahead;
	t->nr_good++;
	t->has_far = false;
}

static void take_ahead(struct track *t, uint32_t seq, uint32_t ahead)
{
	bool confirmed = t->has_far && seq - t->far - 1 < TRACK_WINDOW;

	if (ahead <= TRACK_MAX_STEP || confirmed) {
		step_to(t, seq, ahead);
		return;
	}
	t->has_far = true;
	t->far = seq;
	t->nr_far++;
}

static void take_behind(struct track *t, uint32_t back)
{
	uint64_t bit = back < TRACK_WINDOW ? UINT64_C(1) << back : 0;

	if (!bit) {
		t->nr_late++;
	} else if (t->seen & bit) {
		t->nr_duplicates++;
	} else {
		t->seen |= bit;
		t->nr_good++;
		t->nr_reordered++;
		t->nr_gaps--;
	}
}

void track_other(struct track *t, uint32_t seq)
{
	int32_t ahead = (int32_t)(seq - t->next);

	if (!t->started) {
		t->started = true;
		t->next = seq + 1;
		t->nr_good++;
	} else if (ahead >= 0) {
		take_ahead(t, seq, (uint32_t)ahead);
	} else {
		take_behind(t, (uint32_t) - (ahead + 1));
	}
}
