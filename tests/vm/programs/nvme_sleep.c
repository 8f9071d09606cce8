/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nvme_sleep.c - one thread, a loop, an NVMe queue as its poller, the kernel's real VFIO interrupts.
 *
 *   nvme_sleep ADDR             one read after another, asleep until each has come back; then dense reads, during which
 *                               no interrupt may arrive; then idle, and what that costs
 *   nvme_sleep --removal ADDR   sleep with nothing in flight, say "ready", end when the kernel wants the device back
 *
 * "ok NAME" and "not ok NAME" lines as tests/lib.sh has them, and figures. Exits 1 if one failed.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <quoll/claim.h>
#include <quoll/loop.h>

#include "nvme/nvme.h"

#define NR_SLEEPS 200u
#define MAX_READS 20000u /* many come back before there is time to sleep: the emulator is quick */
#define NR_DENSE 20000u
#define QD 16u
#define IDLE_S 2u
#define NS_PER_S 1000000000u
#define RESCUE_NS (120ull * NS_PER_S)

static int failures;
static struct quoll_error err;

struct sleeper {
	const char *name;
	struct quoll_ioas *ioas;
	struct quoll_group *group;
	struct quoll_device *dev;
	struct quoll_heap *heap;
	struct quoll_arena *arena;
	struct quoll_nvme *nvme;
	struct quoll_nvme_queue *queue;
	struct quoll_loop *loop;
	struct quoll_poller poller;
	struct quoll_timer rescue;
	uint8_t *buf;
	unsigned int depth;
	unsigned int nr_sent;
	unsigned int nr_done;
	unsigned int nr_bad;
	unsigned int to_do;
	unsigned int nr_by_fd; /* sleeps that the queue's descriptor ended, with a completion there */
	unsigned int most_by_fd;
	bool armed;
	bool woken;
	unsigned int nr_rescued;
};

static void check(bool good, const char *what)
{
	printf("%s sleep: %s\n", good ? "ok" : "not ok", what);
	if (!good)
		failures++;
	fflush(stdout);
}

static int open_all(struct sleeper *s, const struct quoll_addr *addr)
{
	struct quoll_heap_opts heap_opts = {.numa_node = -1, .nr_ioases = 1};
	struct quoll_nvme_queue_opts queue_opts = {.entries = 64, .interrupts = true};
	void *va = NULL;
	int rc = quoll_ioas_open(NULL, getenv("QUOLL_BACKEND"), &s->ioas, &err);

	s->name = addr->target;
	if (!rc)
		rc = quoll_group_claim(s->ioas, addr, &s->group, &err);
	if (!rc)
		rc = quoll_device_open(s->group, addr->target, &s->dev, &err);
	heap_opts.ioases = &s->ioas;
	if (!rc)
		rc = quoll_heap_create(NULL, &heap_opts, &s->heap, &err);
	if (!rc)
		rc = quoll_arena_create(s->heap, "data", QUOLL_ARENA_DEVICE_READ_WRITE, 0, &s->arena, &err);
	if (!rc)
		rc = quoll_arena_alloc(s->arena, QD * 4096, 4096, &va, &err);
	s->buf = va;
	if (!rc)
		rc = quoll_nvme_open(s->dev, s->heap, NULL, &s->nvme, &err);
	if (!rc)
		rc = quoll_nvme_queue_create(s->nvme, &queue_opts, &s->queue, &err);
	return rc;
}

static void close_all(struct sleeper *s)
{
	(void)quoll_nvme_close(s->nvme);
	quoll_device_close(s->dev);
	if (s->heap)
		quoll_heap_destroy(s->heap);
	if (s->group)
		quoll_group_release(s->group);
	if (s->ioas)
		quoll_ioas_close(s->ioas);
}

/* Of one interrupt, over all CPUs. Not /proc/interrupts, which leaves out those that nobody has attached to. */
static uint64_t count_of(const char *irq)
{
	char path[300];
	uint64_t total = 0, n;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/kernel/irq/%s/per_cpu_count", irq);
	f = fopen(path, "re");
	while (f && fscanf(f, "%" SCNu64, &n) == 1) {
		total += n;
		(void)fgetc(f); /* the comma */
	}
	if (f)
		fclose(f);
	return total;
}

/* How often the device's MSI-X vectors have interrupted since they were enabled. */
static uint64_t nr_interrupts(const struct sleeper *s)
{
	const struct dirent *entry;
	uint64_t total = 0;
	char path[128];
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/msi_irqs", s->name);
	dir = opendir(path);
	if (!dir)
		check(false, "the device's MSI-X is on");
	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			total += count_of(entry->d_name);
	if (dir)
		closedir(dir);
	return total;
}

static void send_some(struct sleeper *s)
{
	for (; s->nr_sent < s->to_do && s->nr_sent - s->nr_done < s->depth; s->nr_sent++)
		if (quoll_nvme_prep_read(s->queue, 1, s->buf + s->nr_sent % QD * 4096, s->nr_sent % 1024 * 8, 8, 0))
			break;
	quoll_nvme_submit(s->queue);
}

static int poll_queue(void *arg)
{
	struct quoll_nvme_completion comps[QD];
	struct sleeper *s = arg;
	unsigned int n = quoll_nvme_poll(s->queue, comps, QD);
	bool was_woken = s->woken;

	s->woken = false;
	if (!n)
		return 0;
	for (unsigned int i = 0; i < n; i++)
		s->nr_bad += comps[i].error || comps[i].status;
	s->nr_done += n;
	s->nr_by_fd += was_woken;
	if (s->nr_by_fd == s->most_by_fd)
		s->to_do = s->nr_sent;
	send_some(s);
	if (s->nr_done == s->to_do)
		quoll_loop_stop(s->loop);
	return (int)n;
}

static int arm_queue(void *arg)
{
	struct sleeper *s = arg;
	int rc = quoll_nvme_queue_arm(s->queue);

	s->armed = !rc;
	return rc;
}

static void disarm_queue(void *arg)
{
	struct sleeper *s = arg;
	struct pollfd p = {.fd = s->poller.fd, .events = POLLIN};

	s->woken = s->armed && poll(&p, 1, 0) == 1;
	s->armed = false;
	quoll_nvme_queue_disarm(s->queue);
}

static void rescue(void *arg)
{
	struct sleeper *s = arg;

	s->nr_rescued++;
	quoll_loop_stop(s->loop);
}

static void stop(void *arg)
{
	quoll_loop_stop(arg);
}

/* Reads at a depth until @nr are done, at a depth of 1 until there were enough sleeps; in a loop of its own. */
static void run_reads(struct sleeper *s, const struct quoll_loop_opts *opts, unsigned int depth, unsigned int nr,
		      struct quoll_loop_stats *stats)
{
	int rc = quoll_loop_create(NULL, opts, &s->loop, &err);

	s->poller = (struct quoll_poller){.poll = poll_queue,
					  .arm = arm_queue,
					  .disarm = disarm_queue,
					  .arg = s,
					  .fd = quoll_nvme_queue_fd(s->queue)};
	s->rescue = (struct quoll_timer){.fn = rescue, .arg = s};
	s->nr_sent = s->nr_done = s->nr_by_fd = 0;
	s->to_do = nr;
	s->most_by_fd = depth == 1 ? NR_SLEEPS : UINT_MAX;
	s->depth = depth;
	if (!rc)
		rc = quoll_loop_add(s->loop, &s->poller);
	if (!rc)
		rc = quoll_timer_start(s->loop, &s->rescue, RESCUE_NS, 0);
	if (!rc) {
		send_some(s);
		rc = quoll_loop_run(s->loop);
	}
	if (rc) {
		printf("    loop: %s\n", strerror(-rc));
		failures++;
	}
	quoll_loop_stats(s->loop, stats);
	quoll_loop_destroy(s->loop);
}

static void sleep_for_each(struct sleeper *s)
{
	static const struct quoll_loop_opts at_once = {.spin_ns = 1, .sleep_ns = 1};
	uint64_t before = nr_interrupts(s), n;
	struct quoll_loop_stats stats;

	run_reads(s, &at_once, 1, MAX_READS, &stats);
	n = nr_interrupts(s) - before;
	printf("    %u reads: %" PRIu64 " sleeps, %u ended by a completion, %" PRIu64 " arms found one; %" PRIu64
	       " interrupts\n",
	       s->nr_done, stats.sleeps, s->nr_by_fd, stats.arm_races, n);
	check(s->nr_done == s->nr_sent && !s->nr_bad && !s->nr_rescued, "each read comes back, none is slept through");
	check(s->nr_by_fd == NR_SLEEPS && n >= NR_SLEEPS, "200 sleeps are ended by an interrupt");
}

static void read_densely(struct sleeper *s)
{
	/* Gaps of a busy emulator are not idleness. */
	static const struct quoll_loop_opts patient = {.sleep_ns = 10ull * NS_PER_S};
	uint64_t before = nr_interrupts(s), n;
	struct quoll_loop_stats stats;

	run_reads(s, &patient, QD, NR_DENSE, &stats);
	n = nr_interrupts(s) - before;
	printf("    %u reads: %" PRIu64 " sleeps, %" PRIu64 " interrupts\n", s->nr_done, stats.sleeps, n);
	check(s->nr_done == NR_DENSE && !s->nr_bad && !s->nr_rescued, "dense reads come back");
	check(!stats.sleeps && !n, "while I/O is dense there is not one interrupt");
}

static void stay_idle(struct sleeper *s)
{
	struct quoll_timer end = {.fn = stop};
	struct timespec before, after;
	struct quoll_loop_stats stats;
	double cpu;

	if (quoll_loop_create(NULL, NULL, &s->loop, &err) || quoll_loop_add(s->loop, &s->poller) ||
	    quoll_timer_start(s->loop, &end, (uint64_t)IDLE_S * NS_PER_S, 0)) {
		check(false, "a loop for idling");
		return;
	}
	end.arg = s->loop;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
	(void)quoll_loop_run(s->loop);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
	quoll_loop_stats(s->loop, &stats);
	cpu = ((double)(after.tv_sec - before.tv_sec) * NS_PER_S + (double)(after.tv_nsec - before.tv_nsec)) / IDLE_S /
	      NS_PER_S * 100;
	printf("figure | idle NVMe queue in a loop | %.2f %% CPU | %" PRIu64 " rounds | %" PRIu64 " sleeps in %u s\n",
	       cpu, stats.rounds, stats.sleeps, IDLE_S);
	check(stats.sleeps > 0 && stats.sleeps < 20, "idle it sleeps, in few pieces");
	quoll_loop_destroy(s->loop);
}

static void wait_for_removal(struct sleeper *s)
{
	int rc;

	s->poller = (struct quoll_poller){.poll = poll_queue,
					  .arm = arm_queue,
					  .disarm = disarm_queue,
					  .arg = s,
					  .fd = quoll_nvme_queue_fd(s->queue)};
	if (quoll_loop_create(NULL, NULL, &s->loop, &err) || quoll_loop_add(s->loop, &s->poller)) {
		check(false, "a loop to be woken from");
		return;
	}
	printf("ready\n");
	fflush(stdout);
	rc = quoll_loop_run(s->loop);
	check(rc == -ENODEV, "a sleeper with nothing in flight is told that the device is wanted back");
	quoll_loop_destroy(s->loop);
}

int main(int argc, char **argv)
{
	bool removal = argc > 1 && !strcmp(argv[1], "--removal");
	static struct sleeper s;
	struct quoll_addr addr;

	if (argc != 2 + removal || quoll_addr_parse(argv[1 + removal], &addr, &err)) {
		fprintf(stderr, "usage: nvme_sleep [--removal] ADDR\n");
		return 2;
	}
	if (open_all(&s, &addr)) {
		printf("not ok sleep: open: %s: %s\n", err.stage, err.what);
		failures++;
	} else if (removal) {
		wait_for_removal(&s);
	} else {
		sleep_for_each(&s);
		read_densely(&s);
		stay_idle(&s);
	}
	close_all(&s);
	return failures ? 1 : 0;
}
