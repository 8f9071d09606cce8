/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sort.h - figures in order, for median, least and most.
 */
#ifndef QUOLL_BENCHMARKS_SORT_H
#define QUOLL_BENCHMARKS_SORT_H

#include <stdlib.h>

static inline int sort_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static inline void sort_doubles(double *values, size_t nr)
{
	qsort(values, nr, sizeof(*values), sort_compare);
}

#endif
