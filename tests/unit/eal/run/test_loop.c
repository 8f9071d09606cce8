/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_loop.c - rounds, the idle edge, sleeping and what ends it, from one thread and from two.
 *
 * A lost wake-up would be a sleep without end: loops here have a timer of half a minute that counts it and stops them.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <quoll/loop.h>

#include "unit.h"

#define RESCUE_NS 30000000000ull
#define MS 1000000ull
#define NR_HANDOVERS 20000u

static const struct quoll_loop_opts sleepy = {.spin_ns = 1, .sleep_ns = 1};

struct fixture {
	struct quoll_loop *loop;
	struct quoll_timer rescue;
	unsigned int rescued;
};

static void rescue(void *arg)
{
	struct fixture *f = arg;

	f->rescued++;
	quoll_loop_stop(f->loop);
}

static void open_loop(struct fixture *f, const struct quoll_loop_opts *opts)
{
	memset(f, 0, sizeof(*f));
	CU_ASSERT_EQUAL_FATAL(quoll_loop_create(NULL, opts, &f->loop, NULL), 0);
	f->rescue.fn = rescue;
	f->rescue.arg = f;
	CU_ASSERT_EQUAL_FATAL(quoll_timer_start(f->loop, &f->rescue, RESCUE_NS, 0), 0);
}

static void close_loop(struct fixture *f)
{
	CU_ASSERT_EQUAL(f->rescued, 0);
	quoll_loop_destroy(f->loop);
}

static struct quoll_loop_stats stats_of(struct fixture *f)
{
	struct quoll_loop_stats stats;

	quoll_loop_stats(f->loop, &stats);
	return stats;
}

/* A poller that writes down what is called, and does as it is told. */
static char calls[4096];

struct recorder {
	struct quoll_poller poller;
	char name;
	int poll_rc;
	int arm_rc;
	unsigned int polls;
	unsigned int stop_at; /* this poll stops the loop */
	struct quoll_loop *loop;
};

static void record(char what, char name)
{
	size_t len = strlen(calls);

	if (len + 4 < sizeof(calls))
		snprintf(calls + len, sizeof(calls) - len, "%c%c ", what, name);
}

static int recorder_poll(void *arg)
{
	struct recorder *r = arg;

	record('p', r->name);
	if (++r->polls == r->stop_at)
		quoll_loop_stop(r->loop);
	return r->poll_rc;
}

static int recorder_arm(void *arg)
{
	struct recorder *r = arg;

	record('a', r->name);
	return r->arm_rc;
}

static void recorder_disarm(void *arg)
{
	struct recorder *r = arg;

	record('d', r->name);
}

static void recorder_init(struct recorder *r, char name, struct quoll_loop *loop)
{
	memset(r, 0, sizeof(*r));
	r->name = name;
	r->loop = loop;
	r->poller = (struct quoll_poller){.poll = recorder_poll, .arg = r, .fd = -1};
}

static void recorder_with_fd(struct recorder *r, char name, struct quoll_loop *loop)
{
	recorder_init(r, name, loop);
	r->poller.arm = recorder_arm;
	r->poller.disarm = recorder_disarm;
	r->poller.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	CU_ASSERT_FATAL(r->poller.fd >= 0);
}

/* A loop that sleeps at once, with recorders A, B, … in it, each with a descriptor. */
static void open_recorders(struct fixture *f, struct recorder *recorders, unsigned int nr)
{
	open_loop(f, &sleepy);
	for (unsigned int i = 0; i < nr; i++) {
		recorder_with_fd(&recorders[i], (char)('A' + i), f->loop);
		CU_ASSERT_EQUAL(quoll_loop_add(f->loop, &recorders[i].poller), 0);
	}
	calls[0] = 0;
}

static void close_recorders(struct fixture *f, const struct recorder *recorders, unsigned int nr)
{
	close_loop(f);
	for (unsigned int i = 0; i < nr; i++)
		close(recorders[i].poller.fd);
}

static void kick(int fd)
{
	uint64_t one = 1;

	CU_ASSERT_EQUAL(write(fd, &one, sizeof(one)), (ssize_t)sizeof(one));
}

static void nonsense_is_refused(void)
{
	struct quoll_loop_opts opts = {.spin_ns = 300000};
	struct quoll_loop *loop = NULL;
	struct quoll_error err;
	struct recorder r;
	struct fixture f;

	CU_ASSERT_EQUAL(quoll_loop_create(NULL, &opts, &loop, &err), -EINVAL);
	CU_ASSERT_PTR_NULL(loop);
	open_loop(&f, NULL);
	recorder_with_fd(&r, 'A', f.loop);
	r.poller.disarm = NULL;
	CU_ASSERT_EQUAL(quoll_loop_add(f.loop, &r.poller), -EINVAL);
	r.poller.disarm = recorder_disarm;
	close(r.poller.fd);
	CU_ASSERT_EQUAL(quoll_loop_add(f.loop, &r.poller), -EBADF);
	r.poller.fd = -1;
	CU_ASSERT_EQUAL(quoll_loop_add(f.loop, &r.poller), -EINVAL);
	r.poller.arm = NULL;
	r.poller.poll = NULL;
	CU_ASSERT_EQUAL(quoll_loop_add(f.loop, &r.poller), -EINVAL);
	r.poller.poll = recorder_poll;
	CU_ASSERT_EQUAL(quoll_loop_add(f.loop, &r.poller), 0);
	CU_ASSERT_EQUAL(quoll_loop_add(f.loop, &r.poller), -EALREADY);
	quoll_loop_remove(&r.poller);
	quoll_loop_remove(&r.poller); /* in no loop */
	CU_ASSERT_EQUAL(quoll_loop_once(f.loop), 0);
	CU_ASSERT_EQUAL(r.polls, 0);
	close_loop(&f);
	quoll_loop_destroy(NULL);
}

static void a_round_polls_each_once_in_the_order_of_adding(void)
{
	struct recorder a, b, c;
	struct fixture f;

	open_loop(&f, NULL);
	recorder_init(&a, 'A', f.loop);
	recorder_init(&b, 'B', f.loop);
	recorder_init(&c, 'C', f.loop);
	b.poll_rc = 7;
	c.poll_rc = 2;
	quoll_loop_add(f.loop, &a.poller);
	quoll_loop_add(f.loop, &b.poller);
	quoll_loop_add(f.loop, &c.poller);
	calls[0] = 0;
	CU_ASSERT_EQUAL(quoll_loop_once(f.loop), 9);
	CU_ASSERT_STRING_EQUAL(calls, "pA pB pC ");
	quoll_loop_remove(&b.poller);
	quoll_loop_add(f.loop, &b.poller);
	calls[0] = 0;
	CU_ASSERT_EQUAL(quoll_loop_once(f.loop), 9);
	CU_ASSERT_STRING_EQUAL(calls, "pA pC pB ");
	b.poll_rc = c.poll_rc = 0;
	CU_ASSERT_EQUAL(quoll_loop_once(f.loop), 0);
	CU_ASSERT_EQUAL(stats_of(&f).rounds, 3);
	CU_ASSERT_EQUAL(stats_of(&f).busy_rounds, 2);
	CU_ASSERT_EQUAL(stats_of(&f).sleeps, 0);
	close_loop(&f);
	CU_ASSERT_PTR_NULL(a.poller.loop); /* may go into another loop */
}

/* The first poll of A does to A, B and C what the test says. */
struct surgeon {
	struct recorder r;
	struct recorder *remove[2];
	struct recorder *add;
	struct quoll_loop *loop;
};

static int surgeon_poll(void *arg)
{
	struct surgeon *s = arg;
	struct surgeon copy = *s;

	record('p', s->r.name);
	for (int i = 0; i < 2; i++) {
		if (!copy.remove[i])
			continue;
		quoll_loop_remove(&copy.remove[i]->poller);
		/* Its owner may free it at once; nothing may look at it again. */
		memset(copy.remove[i], 0xee, sizeof(*copy.remove[i]));
		s->remove[i] = NULL;
	}
	if (copy.add)
		CU_ASSERT_EQUAL(quoll_loop_add(copy.loop, &copy.add->poller), 0);
	return 0;
}

static void pollers_remove_and_add_themselves_and_others(void)
{
	/* who is removed by the second of three: itself, the one before, the one after, the last two */
	static const struct {
		int first, second;
		const char *round[2];
	} cases[] = {
		{1, -1, {"pA pB pC ", "pA pC pN "}}, {0, -1, {"pA pB pC ", "pB pC pN "}},
		{2, -1, {"pA pB ", "pA pB pN "}},    {1, 2, {"pA pB ", "pA pN "}},
		{2, 1, {"pA pB ", "pA pN "}},	     {0, 1, {"pA pB pC ", "pC pN "}},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct recorder a, c, n;
		struct surgeon b = {0};
		struct recorder *all[] = {&a, &b.r, &c};
		struct fixture f;

		open_loop(&f, NULL);
		recorder_init(&a, 'A', f.loop);
		recorder_init(&b.r, 'B', f.loop);
		recorder_init(&c, 'C', f.loop);
		recorder_init(&n, 'N', f.loop);
		b.r.poller.poll = surgeon_poll;
		b.r.poller.arg = &b;
		b.loop = f.loop;
		b.add = &n;
		b.remove[0] = all[cases[i].first];
		b.remove[1] = cases[i].second < 0 ? NULL : all[cases[i].second];
		for (int j = 0; j < 3; j++)
			quoll_loop_add(f.loop, &all[j]->poller);
		calls[0] = 0;
		CU_ASSERT_EQUAL(quoll_loop_once(f.loop), 0);
		/* Whether one that is added is polled in the same round is not promised. */
		if (strstr(calls, "pN"))
			*strstr(calls, "pN") = 0;
		CU_ASSERT_STRING_EQUAL(calls, cases[i].round[0]);
		b.add = NULL;
		calls[0] = 0;
		CU_ASSERT_EQUAL(quoll_loop_once(f.loop), 0);
		CU_ASSERT_STRING_EQUAL(calls, cases[i].round[1]);
		close_loop(&f);
	}
}

static void an_error_of_a_poll_ends_the_loop_and_it_runs_again(void)
{
	struct recorder a, b;
	struct fixture f;

	open_loop(&f, NULL);
	recorder_init(&a, 'A', f.loop);
	recorder_init(&b, 'B', f.loop);
	a.poll_rc = -EBADMSG;
	quoll_loop_add(f.loop, &a.poller);
	quoll_loop_add(f.loop, &b.poller);
	CU_ASSERT_EQUAL(quoll_loop_once(f.loop), -EBADMSG);
	CU_ASSERT_EQUAL(quoll_loop_run(f.loop), -EBADMSG);
	CU_ASSERT_EQUAL(b.polls, 0);
	a.poll_rc = 0;
	b.stop_at = 3;
	CU_ASSERT_EQUAL(quoll_loop_run(f.loop), 0);
	CU_ASSERT_EQUAL(b.polls, 3);
	close_loop(&f);
}

static void stop_before_run_stops_it_once(void)
{
	struct recorder a;
	struct fixture f;

	open_loop(&f, &sleepy);
	recorder_init(&a, 'A', f.loop);
	quoll_loop_add(f.loop, &a.poller);
	quoll_loop_stop(f.loop);
	CU_ASSERT_EQUAL(quoll_loop_run(f.loop), 0);
	CU_ASSERT(a.polls <= 1);
	a.polls = 0;
	a.stop_at = 5;
	CU_ASSERT_EQUAL(quoll_loop_run(f.loop), 0);
	CU_ASSERT_EQUAL(a.polls, 5);
	close_loop(&f);
}

/* The calls of the first two sleeps: B's descriptor is readable, so each ends at once; then A's second poll stops it.
 */
static void on_the_idle_edge_all_are_armed_then_disarmed_then_polled(void)
{
	struct recorder r[2];
	struct fixture f;

	open_recorders(&f, r, 2);
	kick(r[1].poller.fd);
	r[0].stop_at = 4;
	CU_ASSERT_EQUAL(quoll_loop_run(f.loop), 0);
	/* Adding a poller is work that came in: no sleep after the first round. */
	CU_ASSERT_STRING_EQUAL(calls, "pA pB pA pB aA aB dA dB pA pB aA aB dA dB pA pB ");
	CU_ASSERT_EQUAL(stats_of(&f).sleeps, 2);
	CU_ASSERT_EQUAL(stats_of(&f).arm_races, 0);
	/* The loop has not read it. */
	CU_ASSERT_EQUAL(read(r[1].poller.fd, &(uint64_t){0}, 8), 8);
	close_recorders(&f, r, 2);
}

static void work_found_while_arming_is_polled_without_a_sleep(void)
{
	struct recorder r[3];
	struct fixture f;

	open_recorders(&f, r, 3);
	r[1].arm_rc = 1;
	r[0].stop_at = 3;
	CU_ASSERT_EQUAL(quoll_loop_run(f.loop), 0);
	CU_ASSERT_STRING_EQUAL(calls, "pA pB pC pA pB pC aA aB dA dB pA pB pC ");
	CU_ASSERT_EQUAL(stats_of(&f).sleeps, 0);
	CU_ASSERT_EQUAL(stats_of(&f).arm_races, 1);
	close_recorders(&f, r, 3);
}

static void an_error_of_an_arm_ends_the_loop_with_all_disarmed(void)
{
	struct recorder r[2];
	struct fixture f;

	open_recorders(&f, r, 2);
	r[1].arm_rc = -EIO;
	CU_ASSERT_EQUAL(quoll_loop_run(f.loop), -EIO);
	CU_ASSERT_STRING_EQUAL(calls, "pA pB pA pB aA aB dA ");
	close_recorders(&f, r, 2);
}

static int arm_removes_the_one_before(void *arg)
{
	struct recorder *r = arg;

	record('a', r->name);
	quoll_loop_remove(&r[-1].poller);
	return 1;
}

static void a_poller_removed_while_armed_is_disarmed(void)
{
	struct recorder pair[2]; /* the second's arm removes the first */
	struct fixture f;

	open_recorders(&f, pair, 2);
	pair[1].poller.arm = arm_removes_the_one_before;
	pair[1].stop_at = 3;
	CU_ASSERT_EQUAL(quoll_loop_run(f.loop), 0);
	CU_ASSERT_STRING_EQUAL(calls, "pA pB pA pB aA aB dA dB pB ");
	close_recorders(&f, pair, 2);
}

static void nested_epoll_sets_wake_as_well(void)
{
	int inner = epoll_create1(EPOLL_CLOEXEC), fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct epoll_event event = {.events = EPOLLIN};
	struct recorder a;
	struct fixture f;

	open_loop(&f, &sleepy);
	recorder_with_fd(&a, 'A', f.loop);
	CU_ASSERT_EQUAL(epoll_ctl(inner, EPOLL_CTL_ADD, fd, &event), 0);
	close(a.poller.fd);
	a.poller.fd = inner;
	CU_ASSERT_EQUAL(quoll_loop_add(f.loop, &a.poller), 0);
	kick(fd);
	a.stop_at = 6;
	CU_ASSERT_EQUAL(quoll_loop_run(f.loop), 0);
	CU_ASSERT_EQUAL(stats_of(&f).sleeps, 4);
	close_loop(&f);
	close(fd);
	close(inner);
}

static void stop_it(void *arg)
{
	quoll_loop_stop(arg);
}

/* One second in which nothing happens, but for the timer that ends it. */
static void with_nothing_to_do_it_sleeps_in_one_piece(void)
{
	struct quoll_loop_stats stats;
	struct quoll_timer end = {.fn = stop_it};
	struct recorder a;
	struct fixture f;

	open_recorders(&f, &a, 1);
	end.arg = f.loop;
	quoll_timer_start(f.loop, &end, 1000 * MS, 0);
	CU_ASSERT_EQUAL(quoll_loop_run(f.loop), 0);
	stats = stats_of(&f);
	CU_ASSERT(stats.sleeps >= 1 && stats.sleeps <= 5);
	CU_ASSERT(stats.rounds <= 10);
	CU_ASSERT_EQUAL(stats.busy_rounds, 1); /* the timer's */
	close_recorders(&f, &a, 1);
}

/* Once it has napped the thread's timer slack stays what it was made, until the run is over. */
static int slack_poll(void *arg)
{
	struct recorder *r = arg;

	if (r->polls > 2)
		CU_ASSERT_EQUAL(prctl(PR_GET_TIMERSLACK), 10000);
	recorder_poll(arg);
	return !r->stop_at && r->polls == 5 ? -EIO : 0;
}

static void the_timer_slack_is_set_once_a_run(void)
{
	struct quoll_loop_opts opts = sleepy;
	int slack = prctl(PR_GET_TIMERSLACK);
	struct recorder a;
	struct fixture f;

	opts.wake_bound_ns = 20000;
	open_loop(&f, &opts);
	recorder_init(&a, 'A', f.loop);
	a.poller.poll = slack_poll;
	quoll_loop_add(f.loop, &a.poller);
	a.stop_at = 10;
	CU_ASSERT_EQUAL(quoll_loop_run(f.loop), 0);
	CU_ASSERT_TRUE(stats_of(&f).sleeps >= 5);
	CU_ASSERT_EQUAL(prctl(PR_GET_TIMERSLACK), slack);
	/* Also if it ends by an error. */
	a.polls = 0;
	a.stop_at = 0;
	CU_ASSERT_EQUAL(quoll_loop_run(f.loop), -EIO);
	CU_ASSERT_EQUAL(prctl(PR_GET_TIMERSLACK), slack);
	quoll_loop_remove(&a.poller);
	close_loop(&f);
}

static void a_poller_that_cannot_wake_is_polled_within_its_bound(void)
{
	static const uint64_t bounds[] = {2 * MS, 100000, 20000}; /* the last is less than the kernel's timer slack */
	int slack = prctl(PR_GET_TIMERSLACK);

	for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
		struct quoll_loop_opts opts = sleepy;
		struct recorder a, b;
		struct fixture f;

		opts.wake_bound_ns = bounds[i];
		open_loop(&f, &opts);
		recorder_init(&a, 'A', f.loop);
		recorder_with_fd(&b, 'B', f.loop);
		quoll_loop_add(f.loop, &a.poller);
		quoll_loop_add(f.loop, &b.poller);
		/* Nothing else ends a sleep: it comes to the hundredth poll only because each is bounded. */
		a.stop_at = 100;
		CU_ASSERT_EQUAL(quoll_loop_run(f.loop), 0);
		CU_ASSERT_EQUAL(stats_of(&f).sleeps, 98);
		CU_ASSERT_EQUAL(prctl(PR_GET_TIMERSLACK), slack);
		/* Without it they are not. */
		quoll_loop_remove(&a.poller);
		kick(b.poller.fd);
		b.polls = 0;
		b.stop_at = 5;
		CU_ASSERT_EQUAL(quoll_loop_run(f.loop), 0);
		close_loop(&f);
		close(b.poller.fd);
	}
}

static void never_sleep_never_sleeps(void)
{
	struct quoll_loop_opts opts = {.spin_ns = 1, .sleep_ns = 1, .never_sleep = true};
	struct recorder a;
	struct fixture f;

	open_loop(&f, &opts);
	recorder_with_fd(&a, 'A', f.loop);
	quoll_loop_add(f.loop, &a.poller);
	a.stop_at = 20000;
	calls[0] = 0;
	CU_ASSERT_EQUAL(quoll_loop_run(f.loop), 0);
	CU_ASSERT_PTR_NULL(strchr(calls, 'a'));
	CU_ASSERT_EQUAL(stats_of(&f).sleeps, 0);
	CU_ASSERT_EQUAL(stats_of(&f).rounds, 20000);
	close_loop(&f);
	close(a.poller.fd);
}

static void work_keeps_it_from_pausing_and_sleeping(void)
{
	struct recorder a;
	struct fixture f;

	open_recorders(&f, &a, 1);
	a.poll_rc = 1;
	a.stop_at = 10000;
	CU_ASSERT_EQUAL(quoll_loop_run(f.loop), 0);
	CU_ASSERT_EQUAL(stats_of(&f).sleeps, 0);
	CU_ASSERT_EQUAL(stats_of(&f).busy_rounds, 10000);
	CU_ASSERT(stats_of(&f).busy_ns > 0);
	close_recorders(&f, &a, 1);
}

/*
 * Handing over between two threads, one item at a time, the loop on the edge of sleep at each. As with a device whose
 * interrupt is attached on the idle edge only: the producer signals only while @armed.
 */
struct handover {
	struct quoll_poller poller;
	struct fixture f;
	unsigned int produced; /* atomic */
	unsigned int consumed; /* atomic */
	int armed;	       /* atomic */
	bool by_wake;	       /* instead of the descriptor */
};

static int handover_poll(void *arg)
{
	struct handover *h = arg;
	unsigned int n = __atomic_load_n(&h->produced, __ATOMIC_ACQUIRE) - h->consumed;

	if (!n)
		return 0;
	__atomic_store_n(&h->consumed, h->consumed + n, __ATOMIC_RELEASE);
	if (h->consumed == NR_HANDOVERS)
		quoll_loop_stop(h->f.loop);
	return (int)n;
}

static int handover_arm(void *arg)
{
	struct handover *h = arg;

	if (h->by_wake)
		return 0; /* does not look, and its descriptor never says anything */
	__atomic_store_n(&h->armed, 1, __ATOMIC_SEQ_CST);
	return __atomic_load_n(&h->produced, __ATOMIC_SEQ_CST) != h->consumed;
}

static void handover_disarm(void *arg)
{
	struct handover *h = arg;
	uint64_t count;

	__atomic_store_n(&h->armed, 0, __ATOMIC_SEQ_CST);
	if (!h->by_wake && read(h->poller.fd, &count, sizeof(count)) < 0)
		CU_ASSERT_EQUAL(errno, EAGAIN);
}

static void *producer(void *arg)
{
	struct handover *h = arg;
	unsigned int spins = 0;
	uint64_t one = 1;

	for (unsigned int i = 0; i < NR_HANDOVERS; i++) {
		/* The other's time to come to the edge, a little different each time. */
		for (unsigned int j = 0; j < i % 512; j++)
			__asm__ volatile("");
		__atomic_store_n(&h->produced, i + 1, __ATOMIC_SEQ_CST);
		if (h->by_wake)
			quoll_loop_wake(h->f.loop);
		else if (__atomic_load_n(&h->armed, __ATOMIC_SEQ_CST) &&
			 write(h->poller.fd, &one, sizeof(one)) != (ssize_t)sizeof(one))
			abort();
		/* A lost wake-up: the rescue ends the loop, and this. */
		while (__atomic_load_n(&h->consumed, __ATOMIC_ACQUIRE) != i + 1) {
			if (__atomic_load_n(&h->f.rescued, __ATOMIC_RELAXED))
				return NULL;
			if (++spins % 64 == 0)
				sched_yield();
		}
	}
	return NULL;
}

static void handover(bool by_wake)
{
	struct handover h = {.by_wake = by_wake};
	pthread_t thread;

	open_loop(&h.f, &sleepy);
	h.poller = (struct quoll_poller){
		.poll = handover_poll,
		.arm = handover_arm,
		.disarm = handover_disarm,
		.arg = &h,
		.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	};
	CU_ASSERT_EQUAL_FATAL(quoll_loop_add(h.f.loop, &h.poller), 0);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, producer, &h), 0);
	CU_ASSERT_EQUAL(quoll_loop_run(h.f.loop), 0);
	pthread_join(thread, NULL);
	CU_ASSERT_EQUAL(h.consumed, NR_HANDOVERS);
	CU_ASSERT(stats_of(&h.f).sleeps > 0);
	close_loop(&h.f);
	close(h.poller.fd);
}

static void no_wake_up_is_lost_between_arm_and_sleep(void)
{
	handover(false);
}

static void no_quoll_loop_wake_is_lost(void)
{
	handover(true);
}

struct stopper {
	struct quoll_loop *loop;
	pthread_t runner;
	int how; /* 0: call, 1: signal */
};

static struct quoll_loop *handler_loop;

static void on_signal(int signo)
{
	(void)signo;
	quoll_loop_stop(handler_loop);
}

/* Stops it while it sleeps: how often it has slept is to be seen from here, as everything else of its statistics. */
static void *stopper(void *arg)
{
	struct stopper *s = arg;
	struct quoll_loop_stats stats;

	do {
		quoll_loop_stats(s->loop, &stats);
		sched_yield();
	} while (stats.rounds < 2);
	if (s->how)
		pthread_kill(s->runner, SIGUSR1);
	else
		quoll_loop_stop(s->loop);
	return NULL;
}

static void stop_works_from_another_thread_and_from_a_signal_handler(void)
{
	struct sigaction action = {.sa_handler = on_signal}, old;

	sigaction(SIGUSR1, &action, &old);
	for (int i = 0; i < 200; i++) {
		struct stopper s = {.runner = pthread_self(), .how = i & 1};
		struct recorder a;
		struct fixture f;
		pthread_t thread;

		open_loop(&f, i % 4 < 2 ? &sleepy : NULL);
		recorder_with_fd(&a, 'A', f.loop);
		quoll_loop_add(f.loop, &a.poller);
		s.loop = handler_loop = f.loop;
		CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, stopper, &s), 0);
		CU_ASSERT_EQUAL(quoll_loop_run(f.loop), 0);
		pthread_join(thread, NULL);
		close_loop(&f);
		close(a.poller.fd);
	}
	sigaction(SIGUSR1, &old, NULL);
}

static const struct unit_test tests[] = {
	{"nonsense is refused", nonsense_is_refused},
	{"a round polls each once, in the order of adding", a_round_polls_each_once_in_the_order_of_adding},
	{"pollers remove and add themselves and others", pollers_remove_and_add_themselves_and_others},
	{"an error of a poll ends the loop, and it runs again", an_error_of_a_poll_ends_the_loop_and_it_runs_again},
	{"stop before run stops it, once", stop_before_run_stops_it_once},
	{"on the idle edge all are armed, then disarmed, then polled",
	 on_the_idle_edge_all_are_armed_then_disarmed_then_polled},
	{"work found while arming is polled without a sleep", work_found_while_arming_is_polled_without_a_sleep},
	{"an error of an arm ends the loop with all disarmed", an_error_of_an_arm_ends_the_loop_with_all_disarmed},
	{"a poller removed while armed is disarmed", a_poller_removed_while_armed_is_disarmed},
	{"nested epoll sets wake as well", nested_epoll_sets_wake_as_well},
	{"with nothing to do it sleeps in one piece", with_nothing_to_do_it_sleeps_in_one_piece},
	{"the timer slack is set once a run", the_timer_slack_is_set_once_a_run},
	{"a poller that cannot wake is polled within its bound", a_poller_that_cannot_wake_is_polled_within_its_bound},
	{"never_sleep never sleeps", never_sleep_never_sleeps},
	{"work keeps it from pausing and sleeping", work_keeps_it_from_pausing_and_sleeping},
	{"no wake-up is lost between arm and sleep", no_wake_up_is_lost_between_arm_and_sleep},
	{"no quoll_loop_wake is lost", no_quoll_loop_wake_is_lost},
	{"stop works from another thread and from a signal handler",
	 stop_works_from_another_thread_and_from_a_signal_handler},
};

UNIT_MAIN("loop", tests)
