/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_thread.c - threads run what they are given, where they are told to, and move nobody else.
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include <quoll/thread.h>

#include "unit.h"

#define MAX_CPUS 1024

struct seen {
	char name[16];
	unsigned int cpus[MAX_CPUS];
	int nr_cpus;
	int cpu;
};

static int look(void *arg)
{
	struct seen *seen = arg;

	pthread_getname_np(pthread_self(), seen->name, sizeof(seen->name));
	seen->nr_cpus = quoll_thread_cpus(seen->cpus, MAX_CPUS);
	seen->cpu = sched_getcpu();
	return -EXFULL;
}

static unsigned int allowed[MAX_CPUS];

static int allowed_cpus(void)
{
	int nr = quoll_thread_cpus(allowed, MAX_CPUS);

	CU_ASSERT_FATAL(nr > 0 && nr <= MAX_CPUS);
	return nr;
}

static void without_options_it_runs_where_its_maker_may(void)
{
	struct quoll_thread *thread = NULL;
	struct seen seen = {0};
	int nr = allowed_cpus();
	char own[16];

	pthread_getname_np(pthread_self(), own, sizeof(own));
	CU_ASSERT_EQUAL_FATAL(quoll_thread_start(NULL, look, &seen, &thread, NULL), 0);
	CU_ASSERT_EQUAL(quoll_thread_join(thread), -EXFULL);
	CU_ASSERT_EQUAL(seen.nr_cpus, nr);
	CU_ASSERT_EQUAL(memcmp(seen.cpus, allowed, (size_t)nr * sizeof(allowed[0])), 0);
	CU_ASSERT_STRING_EQUAL(seen.name, own);
}

static void a_pinned_one_stays_on_its_cpu_and_its_maker_is_left_alone(void)
{
	int nr = allowed_cpus();

	for (int i = 0; i < nr; i++) {
		struct quoll_thread_opts opts = {.name = "poller-of-the-first-port", .cpu = (int)allowed[i]};
		struct quoll_thread *thread = NULL;
		unsigned int after[MAX_CPUS];
		struct seen seen = {0};

		CU_ASSERT_EQUAL_FATAL(quoll_thread_start(&opts, look, &seen, &thread, NULL), 0);
		CU_ASSERT_EQUAL(quoll_thread_join(thread), -EXFULL);
		CU_ASSERT_EQUAL(seen.nr_cpus, 1);
		CU_ASSERT_EQUAL(seen.cpus[0], allowed[i]);
		CU_ASSERT_EQUAL(seen.cpu, (int)allowed[i]);
		CU_ASSERT_STRING_EQUAL(seen.name, "poller-of-the-f");
		CU_ASSERT_EQUAL(quoll_thread_cpus(after, MAX_CPUS), nr);
	}
}

static void a_cpu_that_is_not_allowed_is_refused_with_those_that_are(void)
{
	static const int bad[] = {-2, 1 << 20, INT_MAX, INT_MIN};
	struct quoll_thread_opts opts = {.cpu = -1};
	struct quoll_thread *thread = NULL;
	struct quoll_error err;
	struct seen seen = {0};
	cpu_set_t before, one;
	char text[16];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		opts.cpu = bad[i];
		CU_ASSERT_EQUAL(quoll_thread_start(&opts, look, &seen, &thread, &err), -EINVAL);
		CU_ASSERT_PTR_NULL(thread);
	}
	if (allowed_cpus() < 2)
		return;
	/* Confined to the first, the second is not allowed. */
	CU_ASSERT_EQUAL_FATAL(sched_getaffinity(0, sizeof(before), &before), 0);
	CPU_ZERO(&one);
	CPU_SET(allowed[0], &one);
	CU_ASSERT_EQUAL_FATAL(sched_setaffinity(0, sizeof(one), &one), 0);
	opts.cpu = (int)allowed[1];
	CU_ASSERT_EQUAL(quoll_thread_start(&opts, look, &seen, &thread, &err), -EINVAL);
	snprintf(text, sizeof(text), "use: %u", allowed[0]);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, text));
	snprintf(text, sizeof(text), "CPU %u", allowed[1]);
	CU_ASSERT_STRING_EQUAL(err.subject, text);
	CU_ASSERT_EQUAL(sched_setaffinity(0, sizeof(before), &before), 0);
	opts.cpu = INT_MAX;
	CU_ASSERT_EQUAL(quoll_thread_start(&opts, look, &seen, &thread, &err), -EINVAL);
	if (allowed[1] == allowed[0] + 1) {
		snprintf(text, sizeof(text), " %u-", allowed[0]);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.what, text));
	}
}

static void cpus_are_listed_in_order_and_counted_beyond_the_array(void)
{
	int nr = allowed_cpus();
	unsigned int first = UINT_MAX;

	for (int i = 1; i < nr; i++)
		CU_ASSERT(allowed[i] > allowed[i - 1]);
	CU_ASSERT_EQUAL(quoll_thread_cpus(NULL, 0), nr);
	CU_ASSERT_EQUAL(quoll_thread_cpus(&first, 1), nr);
	CU_ASSERT_EQUAL(first, allowed[0]);
}

static void a_cpu_that_is_not_there_is_on_no_node(void)
{
	CU_ASSERT_EQUAL(quoll_cpu_numa_node(1u << 20), -1);
	CU_ASSERT_EQUAL(quoll_cpu_numa_node(UINT_MAX), -1);
	CU_ASSERT(quoll_cpu_numa_node(0) >= -1);
}

static const struct unit_test tests[] = {
	{"without options it runs where its maker may", without_options_it_runs_where_its_maker_may},
	{"a pinned one stays on its CPU, and its maker is left alone",
	 a_pinned_one_stays_on_its_cpu_and_its_maker_is_left_alone},
	{"a CPU that is not allowed is refused, with those that are",
	 a_cpu_that_is_not_allowed_is_refused_with_those_that_are},
	{"CPUs are listed in order, and counted beyond the array",
	 cpus_are_listed_in_order_and_counted_beyond_the_array},
	{"a CPU that is not there is on no node", a_cpu_that_is_not_there_is_on_no_node},
};

UNIT_MAIN("threads", tests)
