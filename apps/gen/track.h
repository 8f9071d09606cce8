/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * track.h - the sequence numbers of one flow as they come in: what is missing, out of order, there twice.
 */
#ifndef QUOLL_APPS_GEN_TRACK_H
#define QUOLL_APPS_GEN_TRACK_H

#include <stdbool.h>

#include <quoll/types.h>

#define TRACK_WINDOW 64u
/* A longer step forward counts only once a second frame confirms it: one that lies shall not make the rest late. */
#define TRACK_MAX_STEP 65536

/**
 * struct track - one flow
 * @seen:       bit i: next - 1 - i came
 * @next:       the number after the highest one so far
 * @far:        of the last frame that was too far ahead to believe
 * @nr_good:    frames, each counted once
 * @nr_gaps:    numbers below @next that did not come
 * @nr_reordered: came after a higher one; are among @nr_good
 * @nr_duplicates: came before
 * @nr_late:    more than TRACK_WINDOW behind: nobody knows whether they came before
 * @nr_far:     too far ahead, not confirmed
 */
struct track {
	uint64_t seen;
	uint32_t next;
	uint32_t far;
	bool has_far;
	bool started;
	uint64_t nr_good;
	uint64_t nr_gaps;
	uint64_t nr_reordered;
	uint64_t nr_duplicates;
	uint64_t nr_late;
	uint64_t nr_far;
};

/**
 * track_init() - numbers begin with 0, or with the first one that comes
 */
void track_init(struct track *t, bool from_zero);

/* private: all but the number that is next. */
void track_other(struct track *t, uint32_t seq);

static inline void track_take(struct track *t, uint32_t seq)
{
	if (QUOLL_UNLIKELY(seq != t->next || !t->started)) {
		track_other(t, seq);
		return;
	}
	t->seen = t->seen << 1 | 1;
	t->next++;
	t->nr_good++;
}

#endif
