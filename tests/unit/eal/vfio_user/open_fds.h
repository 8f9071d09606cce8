/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * open_fds.h - how many files this process has open: what a peer made us take and nobody closed shows.
 */
#ifndef QUOLL_TESTS_OPEN_FDS_H
#define QUOLL_TESTS_OPEN_FDS_H

#include <dirent.h>

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

#endif
