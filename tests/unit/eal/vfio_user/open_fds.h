/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * open_fds.h - how many files this process has open: what a peer made us take and nobody closed shows.
 */
#ifndef QUOLL_TESTS_OPEN_FDS_H
#define QUOLL_TESTS_OPEN_FDS_H

#include <dirent.h>
#include <sched.h>
#include <stdbool.h>
#include <time.h>

/* Includes the one of the look itself, always; so compare two calls. */
static inline unsigned int open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int nr = 0;

	while (dir && readdir(dir))
		nr++;
	if (dir)
		closedir(dir);
	return nr;
}

/* So many again, once a thread has closed those that it is to close (closer.h). Return: false: not within 20 s. */
static inline bool open_fds_become(unsigned int nr)
{
	time_t until = time(NULL) + 20;

	while (open_fds() != nr) {
		if (time(NULL) >= until)
			return false;
		sched_yield();
	}
	return true;
}

#endif
