/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * thread.c - threads that callers ask for, and which CPUs there are for them.
 */
#include <errno.h>
#include <limits.h>
#include <numa.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <quoll/thread.h>

#define MAX_CPUS 8192u /* as the largest kernels are built */

struct quoll_thread {
	pthread_t id;
	int (*fn)(void *arg);
	void *arg;
	int rc;
	char name[16];
};

static int allowed_cpus(cpu_set_t **set)
{
	*set = CPU_ALLOC(MAX_CPUS);
	if (!*set)
		return -ENOMEM;
	if (sched_getaffinity(0, CPU_ALLOC_SIZE(MAX_CPUS), *set)) {
		int rc = -errno;

		CPU_FREE(*set);
		return rc;
	}
	return 0;
}

static bool is_in(unsigned int cpu, const cpu_set_t *set)
{
	return cpu < MAX_CPUS && CPU_ISSET_S(cpu, CPU_ALLOC_SIZE(MAX_CPUS), set);
}

int quoll_thread_cpus(unsigned int *cpus, unsigned int max)
{
	unsigned int nr = 0;
	cpu_set_t *set;
	int rc = allowed_cpus(&set);

	if (rc)
		return rc;
	for (unsigned int cpu = 0; cpu < MAX_CPUS; cpu++) {
		if (!is_in(cpu, set))
			continue;
		if (nr < max)
			cpus[nr] = cpu;
		nr++;
	}
	CPU_FREE(set);
	return (int)nr;
}

int quoll_cpu_numa_node(unsigned int cpu)
{
	int node;

	if (numa_available() < 0 || cpu > INT_MAX)
		return -1;
	node = numa_node_of_cpu((int)cpu);
	return node < 0 ? -1 : node;
}

/* "0-3,8" */
static void append_cpus(struct quoll_error *err, const cpu_set_t *set)
{
	const char *separator = " ";

	for (unsigned int cpu = 0, last; cpu < MAX_CPUS; cpu++) {
		if (!is_in(cpu, set))
			continue;
		for (last = cpu; is_in(last + 1, set); last++)
			;
		quoll_error_append(err, last > cpu ? "%s%u-%u" : "%s%u", separator, cpu, last);
		separator = ",";
		cpu = last;
	}
}

static int pin(pthread_attr_t *attr, int cpu, struct quoll_error *err)
{
	cpu_set_t *set;
	char subject[32];
	int rc;

	snprintf(subject, sizeof(subject), "CPU %d", cpu);
	rc = allowed_cpus(&set);
	if (rc)
		return quoll_error_set(err, -rc, "thread", subject, "the CPUs of this thread cannot be found out");
	if (cpu < 0 || !is_in((unsigned int)cpu, set)) {
		quoll_error_set(err, EINVAL, "thread", subject, "not among the CPUs that this thread may use:");
		append_cpus(err, set);
		CPU_FREE(set);
		return -EINVAL;
	}
	CPU_ZERO_S(CPU_ALLOC_SIZE(MAX_CPUS), set);
	CPU_SET_S((unsigned int)cpu, CPU_ALLOC_SIZE(MAX_CPUS), set);
	rc = pthread_attr_setaffinity_np(attr, CPU_ALLOC_SIZE(MAX_CPUS), set);
	CPU_FREE(set);
	return rc ? quoll_error_set(err, rc, "thread", subject, "cannot be asked for") : 0;
}

static void *run_thread(void *arg)
{
	struct quoll_thread *thread = arg;

	if (thread->name[0])
		pthread_setname_np(pthread_self(), thread->name);
	thread->rc = thread->fn(thread->arg);
	return NULL;
}

int quoll_thread_start(const struct quoll_thread_opts *opts, int (*fn)(void *arg), void *arg,
		       struct quoll_thread **thread_out, struct quoll_error *err)
{
	struct quoll_thread *thread = calloc(1, sizeof(*thread));
	pthread_attr_t attr;
	int rc;

	if (!thread)
		return quoll_error_set(err, ENOMEM, "thread", NULL, "out of memory");
	thread->fn = fn;
	thread->arg = arg;
	if (opts && opts->name)
		snprintf(thread->name, sizeof(thread->name), "%s", opts->name);
	rc = pthread_attr_init(&attr);
	if (rc) {
		rc = quoll_error_set(err, rc, "thread", thread->name, "out of memory");
		goto err_free;
	}
	if (opts && opts->cpu != -1) {
		rc = pin(&attr, opts->cpu, err);
		if (rc)
			goto err_attr;
	}
	rc = pthread_create(&thread->id, &attr, run_thread, thread);
	if (rc) {
		rc = quoll_error_set(err, rc, "thread", thread->name, "no new thread: %s", strerrordesc_np(rc));
		goto err_attr;
	}
	pthread_attr_destroy(&attr);
	*thread_out = thread;
	return 0;

err_attr:
	pthread_attr_destroy(&attr);
err_free:
	free(thread);
	return rc;
}

int quoll_thread_join(struct quoll_thread *thread)
{
	int rc = pthread_join(thread->id, NULL);

	if (rc)
		return -rc;
	rc = thread->rc;
	free(thread);
	return rc;
}
