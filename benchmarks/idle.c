/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * idle.c - what does a loop without work cost, and how long does it take to wake?
 *
 *   bench_idle [--json] [--seconds N] [--samples N]
 *
 * CPU is the thread's own time over so many seconds: with a poller that can wake it, with one that cannot (which is
 * polled every 100 us then), and with never_sleep. Latency is from before another thread's write to an eventfd until
 * the poller is polled; beside it, in turns, that of epoll alone, which is what the kernel and the machine take.
 */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <quoll/clock.h>
#include <quoll/hist.h>
#include <quoll/loop.h>
#include <quoll/thread.h>

#define NS_PER_S 1000000000u
#define TURNS 5
#define LOOK_US 50
#define SETTLE_US 300 /* longer than it takes the kernel to put the thread to sleep */

struct bench {
	struct quoll_clock clock;
	struct quoll_loop *loop;
	struct quoll_poller poller;
	unsigned int nr_samples; /* a turn */
	uint64_t sent_at;	 /* atomic; 0: nothing on its way */
	int armed;		 /* atomic */
	struct quoll_hist by_loop;
	struct quoll_hist by_epoll;
};

struct idle_cost {
	double cpu_percent;
	struct quoll_loop_stats stats;
};

static void die(const char *what, int rc)
{
	fprintf(stderr, "bench_idle: %s: %s\n", what, strerror(-rc));
	exit(1);
}

static void received(struct bench *b, struct quoll_hist *hist)
{
	uint64_t sent_at = __atomic_load_n(&b->sent_at, __ATOMIC_ACQUIRE);

	quoll_hist_record(hist, quoll_ticks_to_ns(&b->clock, quoll_ticks(&b->clock) - sent_at));
	__atomic_store_n(&b->sent_at, 0, __ATOMIC_RELEASE);
}

static int poll_sent(void *arg)
{
	struct bench *b = arg;

	if (!__atomic_load_n(&b->sent_at, __ATOMIC_RELAXED))
		return 0;
	received(b, &b->by_loop);
	return 1;
}

static int arm(void *arg)
{
	struct bench *b = arg;

	__atomic_store_n(&b->armed, 1, __ATOMIC_SEQ_CST);
	return __atomic_load_n(&b->sent_at, __ATOMIC_SEQ_CST) != 0;
}

static void disarm(void *arg)
{
	struct bench *b = arg;
	uint64_t count;

	__atomic_store_n(&b->armed, 0, __ATOMIC_SEQ_CST);
	if (read(b->poller.fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		die("read", -errno);
}

static int poll_nothing(void *arg)
{
	(void)arg;
	return 0;
}

static void stop(void *arg)
{
	quoll_loop_stop(arg);
}

/* A loop of its own for each, so that its statistics start from 0. */
static void measure_idle(struct quoll_poller *poller, bool never_sleep, unsigned int seconds, struct idle_cost *cost)
{
	struct quoll_loop_opts opts = {.never_sleep = never_sleep};
	struct quoll_timer end = {.fn = stop};
	struct timespec before, after;
	struct quoll_loop *loop;
	int rc = quoll_loop_create(NULL, &opts, &loop, NULL);

	if (!rc)
		rc = quoll_loop_add(loop, poller);
	end.arg = loop;
	if (!rc)
		rc = quoll_timer_start(loop, &end, (uint64_t)seconds * NS_PER_S, 0);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
	if (!rc)
		rc = quoll_loop_run(loop);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
	if (rc)
		die("idle loop", rc);
	cost->cpu_percent =
		((double)(after.tv_sec - before.tv_sec) * NS_PER_S + (double)after.tv_nsec - (double)before.tv_nsec) /
		((double)seconds * NS_PER_S) * 100;
	quoll_loop_stats(loop, &cost->stats);
	quoll_loop_destroy(loop);
}

static int send_samples(void *arg)
{
	struct bench *b = arg;
	uint64_t one = 1;

	for (unsigned int i = 0; i < b->nr_samples; i++) {
		while (!__atomic_load_n(&b->armed, __ATOMIC_ACQUIRE))
			usleep(LOOK_US);
		usleep(SETTLE_US + i % 8 * 50);
		__atomic_store_n(&b->sent_at, quoll_ticks(&b->clock), __ATOMIC_SEQ_CST);
		if (write(b->poller.fd, &one, sizeof(one)) != (ssize_t)sizeof(one))
			return -errno;
		/* Asleep in between: a sender that spins may be what the woken thread has to wait for. */
		while (__atomic_load_n(&b->sent_at, __ATOMIC_ACQUIRE))
			usleep(LOOK_US);
	}
	if (b->loop)
		quoll_loop_stop(b->loop);
	return 0;
}

static void measure_loop(struct bench *b)
{
	struct quoll_thread *thread;
	int rc = quoll_loop_create(NULL, NULL, &b->loop, NULL);

	if (!rc)
		rc = quoll_loop_add(b->loop, &b->poller);
	if (!rc)
		rc = quoll_thread_start(NULL, send_samples, b, &thread, NULL);
	if (!rc)
		rc = quoll_loop_run(b->loop);
	if (!rc)
		rc = quoll_thread_join(thread);
	if (rc)
		die("loop", rc);
	quoll_loop_destroy(b->loop);
	b->loop = NULL;
}

static void measure_epoll(struct bench *b)
{
	struct epoll_event event = {.events = EPOLLIN};
	int set = epoll_create1(EPOLL_CLOEXEC);
	struct quoll_thread *thread;
	int rc = set < 0 || epoll_ctl(set, EPOLL_CTL_ADD, b->poller.fd, &event) ? -errno : 0;

	if (!rc)
		rc = quoll_thread_start(NULL, send_samples, b, &thread, NULL);
	for (unsigned int i = 0; !rc && i < b->nr_samples; i++) {
		__atomic_store_n(&b->armed, 1, __ATOMIC_SEQ_CST);
		if (epoll_wait(set, &event, 1, -1) < 0)
			rc = -errno;
		/* Disarmed before the sender sees that it has arrived. */
		__atomic_store_n(&b->armed, 0, __ATOMIC_SEQ_CST);
		received(b, &b->by_epoll);
		disarm(b);
	}
	if (!rc)
		rc = quoll_thread_join(thread);
	if (rc)
		die("epoll", rc);
	close(set);
}

static json_t *idle_json(const struct idle_cost *cost)
{
	return json_pack("{s:f, s:I, s:I}", "cpu_percent", cost->cpu_percent, "rounds", (json_int_t)cost->stats.rounds,
			 "sleeps", (json_int_t)cost->stats.sleeps);
}

static json_t *wake_json(const struct quoll_hist *hist)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "samples", (json_int_t)hist->nr_values, "p50_ns",
			 (json_int_t)quoll_hist_percentile(hist, 50), "p99_ns",
			 (json_int_t)quoll_hist_percentile(hist, 99), "p99_9_ns",
			 (json_int_t)quoll_hist_percentile(hist, 99.9), "p99_99_ns",
			 (json_int_t)quoll_hist_percentile(hist, 99.99), "max_ns", (json_int_t)hist->max);
}

static void print_idle(const char *what, const struct idle_cost *cost)
{
	printf("  %-34s %8.3f %% CPU  %10llu rounds  %7llu sleeps\n", what, cost->cpu_percent,
	       (unsigned long long)cost->stats.rounds, (unsigned long long)cost->stats.sleeps);
}

static void print_wake(const char *what, const struct quoll_hist *hist)
{
	static const double percentiles[] = {50, 99, 99.9, 99.99};

	printf("  %-12s", what);
	for (size_t i = 0; i < sizeof(percentiles) / sizeof(percentiles[0]); i++)
		printf(" p%g %6.1f us ", percentiles[i], (double)quoll_hist_percentile(hist, percentiles[i]) / 1e3);
	printf(" max %7.1f us  (%llu samples)\n", (double)hist->max / 1e3, (unsigned long long)hist->nr_values);
}

static void report(struct bench *b, const struct idle_cost *costs, unsigned int seconds, bool json)
{
	json_t *doc;

	if (!json) {
		printf("%u s without work\n", seconds);
		print_idle("poller with a descriptor", &costs[0]);
		print_idle("poller without, bound 100 us", &costs[1]);
		print_idle("never_sleep", &costs[2]);
		printf("eventfd write to first poll, asleep\n");
		print_wake("loop", &b->by_loop);
		print_wake("epoll alone", &b->by_epoll);
		return;
	}
	doc = json_pack("{s:s, s:i, s:{s:o, s:o, s:o}, s:{s:o, s:o}}", "benchmark", "idle", "idle_s", (int)seconds,
			"idle", "can_wake", idle_json(&costs[0]), "bound_100_us", idle_json(&costs[1]), "never_sleep",
			idle_json(&costs[2]), "wake", "loop", wake_json(&b->by_loop), "epoll", wake_json(&b->by_epoll));
	json_dumpf(doc, stdout, JSON_INDENT(2));
	printf("\n");
	json_decref(doc);
}

static int usage(int rc)
{
	fprintf(rc ? stderr : stdout, "bench_idle [--json] [--seconds N] [--samples N]\n"
				      "  --seconds  without work, three times (1)\n  --samples  wake-ups (2000)\n");
	return rc;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"json", no_argument, NULL, 'j'},
		{"seconds", required_argument, NULL, 's'},
		{"samples", required_argument, NULL, 'n'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	static struct bench b;
	struct quoll_poller cannot_wake = {.poll = poll_nothing, .fd = -1};
	unsigned int seconds = 1;
	struct idle_cost costs[3];
	bool json = false;
	int opt;

	b.nr_samples = 2000;
	while ((opt = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (opt == 'j')
			json = true;
		else if (opt == 's')
			seconds = (unsigned int)strtoul(optarg, NULL, 10);
		else if (opt == 'n')
			b.nr_samples = (unsigned int)strtoul(optarg, NULL, 10);
		else
			return usage(opt == 'h' ? 0 : 2);
	}
	(void)quoll_clock_init(&b.clock);
	quoll_hist_reset(&b.by_loop);
	quoll_hist_reset(&b.by_epoll);
	b.nr_samples = b.nr_samples / TURNS + 1;
	b.poller = (struct quoll_poller){
		.poll = poll_sent,
		.arm = arm,
		.disarm = disarm,
		.arg = &b,
		.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	};
	measure_idle(&b.poller, false, seconds, &costs[0]);
	measure_idle(&cannot_wake, false, seconds, &costs[1]);
	measure_idle(&b.poller, true, seconds, &costs[2]);
	for (int i = 0; i < TURNS; i++) {
		measure_loop(&b);
		measure_epoll(&b);
	}
	report(&b, costs, seconds, json);
	return 0;
}
