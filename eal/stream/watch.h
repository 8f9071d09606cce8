/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * watch.h - tell caches of registrations when memory of theirs goes away: by userfaultfd, for all caches of the
 * process.
 */
#ifndef QUOLL_EAL_STREAM_WATCH_H
#define QUOLL_EAL_STREAM_WATCH_H

#include <stdint.h>

#include <quoll/error.h>

struct stream_entry;

/* A cache as the watch sees it. */
struct stream_watched {
	struct stream_entry *entries; /* those that have @va and @bytes get @gone */
	uint32_t nr_entries;
	uint64_t marked; /* the turn in which one was marked last */
	/* watch.c's own */
	struct stream_watched *next;
	int pid;
};

/*
 * The number of the turn: odd while memory that is gone may not be marked yet. A cache that has loaded an even one with
 * acquire sees all marks of the turns before.
 */
const uint64_t *stream_watch_turn(void);

/* From now on until leave marks are made in @watched. Return: 0, -ENOTSUP: not possible here, and why. */
int stream_watch_join(struct stream_watched *watched, struct quoll_error *err);
void stream_watch_leave(struct stream_watched *watched);

/*
 * Until all that has gone before this is read of: its marks are made in a turn that is seen now, or over. Everything is
 * marked if that can't be known any more.
 */
void stream_watch_settle(void);

/*
 * See when this memory, which is all mapped, goes away; the entry for it must be there already. Return: 0; -errno, for
 * which stream_watch_why() has words.
 */
int stream_watch_memory(uintptr_t va, uint64_t bytes);
const char *stream_watch_why(int errnum);

#endif
