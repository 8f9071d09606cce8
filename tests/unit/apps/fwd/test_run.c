/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_run.c - forwarders over null: and ring: ports: what ends them, what they count, and that no buffer is lost.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <net/net_driver.h>

#include "apps/quoll/fault_world.h"
#include "fwd/fwd.h"
#include "unit.h"

#define LIVE_NS 2000000u

static struct fwd_run *run;
static struct quoll_error err;
static unsigned int nr_live;

static const struct fwd_opts base = {
	.nr_queues = 1,
	.nr_threads = 1,
	.burst = 32,
	.promiscuous = true,
	.frame_bytes = 60,
	.pages = QUOLL_PAGES_4K,
	.live_ns = LIVE_NS,
};

static int open_run(const struct fwd_opts *opts, const char *const *names, unsigned int nr)
{
	static const struct quoll_env env;
	struct quoll_addr *addrs = calloc(nr, sizeof(*addrs));
	int ret;

	run = calloc(1, sizeof(*run));
	memset(&err, 0, sizeof(err));
	nr_live = 0;
	run->opts = *opts;
	run->p.claims.env = &env;
	for (unsigned int i = 0; i < nr; i++)
		CU_ASSERT_EQUAL_FATAL(quoll_addr_parse(names[i], &addrs[i], NULL), 0);
	ret = fwd_open(run, addrs, nr, &err);
	free(addrs);
	return ret;
}

static void start(const struct fwd_opts *opts, const char *first, const char *second)
{
	const char *names[] = {first, second};
	int ret = open_run(opts, names, second ? 2 : 1);

	if (ret)
		printf("open: %s: %s\n", err.subject, err.what);
	CU_ASSERT_EQUAL_FATAL(ret, 0);
}

static void finish(void)
{
	fwd_close(run);
	free(run);
}

/* All that came in was forwarded or dropped with a reason, and every buffer is back. */
static void stop_and_balance(void)
{
	uint64_t received = 0, forwarded = 0;
	struct quoll_port_stats s;

	CU_ASSERT_EQUAL(fwd_stop(run, &err), 0);
	CU_ASSERT_EQUAL(run->p.nr_missing, 0);
	for (unsigned int i = 0; i < run->p.nr_ports; i++) {
		quoll_port_stats(run->p.ports[i].port, &s);
		received += s.rx_packets;
	}
	for (unsigned int i = 0; i < run->nr_paths; i++)
		forwarded += run->paths[i].nr_packets + run->paths[i].nr_full;
	CU_ASSERT_EQUAL(received, forwarded);
}

static void a_number_of_packets_is_met_exactly_by_one_thread(void)
{
	struct fwd_opts opts = base;
	struct quoll_port_stats s;

	opts.max_packets = 100001;
	start(&opts, "null:", "null:?size=1514");
	CU_ASSERT_EQUAL(fwd_loop(run, &err), 0);
	CU_ASSERT_EQUAL(run->end, FWD_END_PACKETS);
	CU_ASSERT_EQUAL(fwd_packets(run), 100001);
	stop_and_balance();
	quoll_port_stats(run->p.ports[1].port, &s);
	CU_ASSERT_EQUAL(s.tx_packets, run->paths[0].nr_packets);
	CU_ASSERT_EQUAL(s.tx_bytes, 64 * run->paths[0].nr_packets);
	CU_ASSERT_EQUAL(s.rx_bytes, 1514 * s.rx_packets);
	finish();
}

static void a_number_of_packets_is_met_within_a_burst_a_thread_by_several(void)
{
	struct fwd_opts opts = base;

	opts.max_packets = 100000;
	opts.nr_queues = 2;
	opts.nr_threads = 4;
	start(&opts, "null:", "null:");
	CU_ASSERT_EQUAL(fwd_loop(run, &err), 0);
	CU_ASSERT_EQUAL(run->end, FWD_END_PACKETS);
	CU_ASSERT(fwd_packets(run) >= 100000 && fwd_packets(run) <= 100000 + 4 * 32);
	stop_and_balance();
	finish();
}

/* Each thread has counted its last frames, and saw of the other only what it had before. */
static void a_number_that_nobody_has_seen_met_ends_the_run_all_the_same(void)
{
	struct fwd_opts opts = base;

	opts.max_packets = 1000;
	opts.nr_threads = 2;
	opts.time_ns = 10000000000u;
	start(&opts, "null:", "null:");
	run->paths[0].nr_packets = run->paths[1].nr_packets = 500;
	CU_ASSERT_EQUAL(fwd_loop(run, &err), 0);
	CU_ASSERT_EQUAL(run->end, FWD_END_PACKETS);
	CU_ASSERT_EQUAL(fwd_packets(run), 1000);
	finish();
}

static void a_port_alone_sends_back_what_it_receives(void)
{
	struct fwd_opts opts = base;
	struct quoll_port_stats s;

	opts.max_packets = 5000;
	start(&opts, "null:", NULL);
	CU_ASSERT_EQUAL(fwd_loop(run, &err), 0);
	quoll_port_stats(run->p.ports[0].port, &s);
	CU_ASSERT_EQUAL(s.rx_packets, 5000);
	CU_ASSERT_EQUAL(s.tx_packets, 5000);
	stop_and_balance();
	finish();
}

/* Frames that go round: each port's ring carries 32 to begin with, and none is lost or made. */
static void frames_sent_to_begin_with_go_round_and_none_is_lost(void)
{
	struct fwd_opts opts = base;
	struct quoll_port_stats s[2];

	opts.max_packets = 1000000;
	opts.nr_prime = 32;
	opts.frame_bytes = 80;
	start(&opts, "ring:a?loop=1", "ring:b?loop=1");
	CU_ASSERT_EQUAL(fwd_loop(run, &err), 0);
	CU_ASSERT_EQUAL(fwd_packets(run), 1000000);
	CU_ASSERT_EQUAL(run->paths[0].nr_full + run->paths[1].nr_full, 0);
	for (unsigned int i = 0; i < 2; i++) {
		quoll_port_stats(run->p.ports[i].port, &s[i]);
		CU_ASSERT_EQUAL(run->seen[i].nr_primed, 32);
		CU_ASSERT_EQUAL(s[i].tx_bytes, 80 * s[i].tx_packets);
	}
	CU_ASSERT_EQUAL(s[0].tx_packets + s[1].tx_packets, 1000000 + 64);
	CU_ASSERT_EQUAL(s[0].rx_packets, s[1].tx_packets - 32);
	CU_ASSERT_EQUAL(s[1].rx_packets, s[0].tx_packets - 32);
	stop_and_balance();
	finish();
}

static void rings_between_threads_lose_nothing(void)
{
	struct fwd_opts opts = base;

	opts.max_packets = 200000;
	opts.nr_threads = 2;
	opts.nr_prime = 100;
	start(&opts, "ring:a?loop=1", "ring:b?loop=1");
	CU_ASSERT_EQUAL(fwd_loop(run, &err), 0);
	CU_ASSERT(fwd_packets(run) >= 200000);
	CU_ASSERT_EQUAL(run->paths[0].nr_full + run->paths[1].nr_full, 0);
	stop_and_balance();
	finish();
}

static void time_ends_it(void)
{
	struct fwd_opts opts = base;

	opts.time_ns = 5000000;
	start(&opts, "null:", "null:");
	CU_ASSERT_EQUAL(fwd_loop(run, &err), 0);
	CU_ASSERT_EQUAL(run->end, FWD_END_TIME);
	CU_ASSERT(quoll_ticks_to_ns(&run->p.clock, run->end_ticks - run->start_ticks) >= 4900000);
	stop_and_balance();
	finish();
}

static void stop_when_full(const char *line)
{
	(void)line;
	if (run->paths[0].nr_full)
		quoll_loop_stop(run->p.control);
}

static void more_than_a_ring_holds_is_dropped_and_counted(void)
{
	struct fwd_opts opts = base;

	/* What comes from null: without end finds room in the ring until it is full; nobody empties its other end. */
	opts.live = stop_when_full;
	opts.entries = 64;
	start(&opts, "null:", "ring:a");
	CU_ASSERT_EQUAL(fwd_loop(run, &err), 0);
	CU_ASSERT(run->paths[0].nr_packets <= 128);
	CU_ASSERT(run->paths[0].nr_full > 0);
	stop_and_balance();
	finish();
}

static void send_signal(const char *line)
{
	(void)line;
	if (++nr_live != 3)
		return;
	kill(getpid(), SIGTERM);
	kill(getpid(), SIGINT); /* belongs to the first one */
}

static void a_signal_ends_it_and_the_mask_is_as_before(void)
{
	struct fwd_opts opts = base;
	sigset_t before, after;

	opts.live = send_signal;
	sigprocmask(SIG_BLOCK, NULL, &before);
	start(&opts, "null:", "null:");
	CU_ASSERT_EQUAL(fwd_loop(run, &err), 0);
	CU_ASSERT_EQUAL(run->end, FWD_END_SIGNAL);
	sigprocmask(SIG_BLOCK, NULL, &after);
	CU_ASSERT_FALSE(sigismember(&after, SIGTERM)); /* the next one kills */
	CU_ASSERT(nr_live >= 3);
	CU_ASSERT(fwd_packets(run) > 0);
	stop_and_balance();
	finish();
	sigprocmask(SIG_BLOCK, NULL, &after);
	CU_ASSERT_EQUAL(sigismember(&before, SIGTERM), sigismember(&after, SIGTERM));
}

static void a_signal_ends_threads_that_sleep(void)
{
	struct fwd_opts opts = base;

	opts.live = send_signal;
	opts.nr_threads = 2;
	start(&opts, "ring:a?loop=1", "ring:b?loop=1"); /* nothing to forward */
	CU_ASSERT_EQUAL(fwd_loop(run, &err), 0);
	CU_ASSERT_EQUAL(run->end, FWD_END_SIGNAL);
	CU_ASSERT_EQUAL(fwd_packets(run), 0);
	stop_and_balance();
	finish();
}

static void kill_port(const char *line)
{
	(void)line;
	if (++nr_live == 2)
		net_port_kill(run->p.ports[1].port, -ENODEV);
}

static void a_port_that_dies_ends_it_by_name_and_the_others_stop(void)
{
	struct fwd_opts opts = base;

	for (opts.nr_threads = 1; opts.nr_threads <= 2; opts.nr_threads++) {
		opts.live = kill_port;
		start(&opts, "null:", "ring:gone?loop=1");
		CU_ASSERT_EQUAL(fwd_loop(run, &err), -ENODEV);
		CU_ASSERT_EQUAL(run->end, FWD_END_ERROR);
		CU_ASSERT_STRING_EQUAL(err.subject, run->p.ports[1].info.name);
		CU_ASSERT_EQUAL(fwd_stop(run, &err), 0);
		CU_ASSERT_EQUAL(run->p.nr_missing, 0);
		finish();
	}
}

static void toggle_link(const char *line)
{
	(void)line;
	if (++nr_live == 2)
		net_port_set_link(run->p.ports[0].port, false, false, 0);
	else if (run->nr_events == 1)
		net_port_set_link(run->p.ports[0].port, true, true, 100);
	else if (run->nr_events == 2)
		quoll_loop_stop(run->p.control);
}

static unsigned int nr_said;

static void say(void *arg, const char *line)
{
	CU_ASSERT_PTR_NOT_NULL(strstr(line, arg));
	nr_said++;
}

static void links_that_change_are_told_and_kept(void)
{
	struct fwd_opts opts = base;

	opts.live = toggle_link;
	opts.say = say;
	opts.say_arg = "link";
	nr_said = 0;
	start(&opts, "ring:a?loop=1", "null:");
	CU_ASSERT_EQUAL(fwd_loop(run, &err), 0);
	CU_ASSERT_EQUAL(run->nr_events, 2);
	CU_ASSERT_EQUAL(nr_said, 2);
	CU_ASSERT(!run->events[0].up && run->events[1].up && run->events[1].mbit_per_s == 100);
	CU_ASSERT_EQUAL(run->seen[0].nr_link_changes, 2);
	CU_ASSERT_TRUE(run->seen[0].link.up);
	stop_and_balance();
	finish();
}

/* Four lines at once, then one a second, which tells how many changes it stands for, and of the last of them. */
static void a_link_that_flaps_is_told_once_a_second(void)
{
	static const uint64_t second = 1000000000;
	struct fwd_seen seen = {.pace = {.nr_untold = 0}};
	unsigned int told = 0;
	char line[128];

	CU_ASSERT_FALSE(fwd_link_line(&seen, "vhost:/x", 0, line, sizeof(line)));
	for (unsigned int i = 0; i < 9; i++) {
		seen.link.up = i & 1;
		seen.link.mbit_per_s = 10;
		seen.pace.nr_untold++;
		seen.change_ns = 5 * second + i * second / 10;
		told += fwd_link_line(&seen, "vhost:/x", seen.change_ns, line, sizeof(line));
		if (!i)
			CU_ASSERT_STRING_EQUAL(line, "vhost:/x: link down after 5.0 s");
		if (i == 3)
			CU_ASSERT_STRING_EQUAL(line, "vhost:/x: link up after 5.3 s, 10 Mbit/s");
	}
	CU_ASSERT_EQUAL(told, 4);
	CU_ASSERT_EQUAL(seen.pace.nr_untold, 5);
	CU_ASSERT_FALSE(fwd_link_line(&seen, "vhost:/x", 6 * second - 1, line, sizeof(line)));
	CU_ASSERT_TRUE(fwd_link_line(&seen, "vhost:/x", 6 * second, line, sizeof(line)));
	CU_ASSERT_STRING_EQUAL(line, "vhost:/x: link down after 5.8 s, 5 changes since it was told last");
	CU_ASSERT_FALSE(fwd_link_line(&seen, "vhost:/x", 9 * second, line, sizeof(line)));
	seen.pace.nr_untold = 1;
	CU_ASSERT_TRUE(fwd_link_line(&seen, "vhost:/x", 7 * second, line, sizeof(line)));
	seen.pace.nr_untold = 1;
	CU_ASSERT_FALSE(fwd_link_line(&seen, "vhost:/x", 7 * second, line, sizeof(line)));
}

static void a_buffer_that_is_missing_is_an_error(void)
{
	struct fwd_opts opts = base;
	struct quoll_buf *kept;

	opts.max_packets = 1000;
	start(&opts, "null:", "null:");
	CU_ASSERT_EQUAL_FATAL(quoll_buf_get(run->p.threads[0].caches[0], &kept, 1), 0);
	CU_ASSERT_EQUAL(fwd_loop(run, &err), 0);
	CU_ASSERT_EQUAL(fwd_stop(run, &err), -EBUSY);
	CU_ASSERT_EQUAL(run->p.nr_missing, 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "1 of"));
	quoll_buf_put(run->p.threads[0].caches[0], &kept, 1);
	CU_ASSERT_EQUAL(fwd_stop(run, &err), 0);
	finish();
}

static void what_cannot_be_opened_leaves_nothing_open(void)
{
	static const char *const wrong[] = {"null:", "file:/nowhere"};
	static const char *const options[] = {"null:?size=13", "null:"};
	struct fwd_opts opts = base;

	CU_ASSERT_EQUAL(open_run(&base, wrong, 2), -ENOTSUP);
	finish();
	CU_ASSERT_EQUAL(open_run(&base, options, 2), -EINVAL);
	finish();
	opts.nr_threads = 1;
	opts.nr_cores = 1;
	opts.cores[0] = 4000; /* not a core of this machine */
	start(&opts, "null:", "null:");
	CU_ASSERT_EQUAL(fwd_loop(run, &err), -EINVAL);
	CU_ASSERT_EQUAL(run->end, FWD_END_ERROR);
	stop_and_balance();
	finish();
}

static void a_thread_stays_on_its_core(void)
{
	struct fwd_opts opts = base;
	unsigned int cpu;

	CU_ASSERT_FATAL(quoll_thread_cpus(&cpu, 1) >= 1);
	opts.nr_cores = 1;
	opts.cores[0] = cpu;
	opts.max_packets = 1000;
	start(&opts, "null:", "null:");
	CU_ASSERT_EQUAL(run->p.threads[0].core, (int)cpu);
	CU_ASSERT_TRUE(run->p.own_control);
	CU_ASSERT_EQUAL(fwd_loop(run, &err), 0);
	CU_ASSERT_EQUAL(fwd_packets(run), 1000);
	stop_and_balance();
	finish();
}

/* Of a device in a claim of the test's, as no port here has one. */
static void faults_of_the_iommu_are_told_and_counted(void)
{
	struct fwd_opts opts = base;
	struct fault_world w;

	fault_world_open(&w);
	opts.max_packets = 1000;
	opts.say = fault_log_hear;
	opts.say_arg = &w.log;
	start(&opts, "null:", "null:");
	CU_ASSERT_EQUAL(faults_counted(fwd_describe(run)), -1);
	run->faults = iommu_faults_open(&w.claims, opts.say, opts.say_arg);
	fault_log_add(&w.log, "03:00.0", 0x9000);
	CU_ASSERT_EQUAL(fwd_loop(run, &err), 0);
	CU_ASSERT_EQUAL(w.log.nr_told, 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(w.log.told, "0000:03:00.0: the IOMMU stopped a write at IOVA 0x9000 "
						  "(no memory of this program): PTE"));
	stop_and_balance();
	CU_ASSERT_EQUAL(w.log.nr_told, 1);
	CU_ASSERT_EQUAL(faults_counted(fwd_describe(run)), 1);
	finish();
	fault_world_close(&w);
}

static const struct unit_test tests[] = {
	{"a number of packets is met exactly by one thread", a_number_of_packets_is_met_exactly_by_one_thread},
	{"a number of packets is met within a burst a thread by several",
	 a_number_of_packets_is_met_within_a_burst_a_thread_by_several},
	{"a number that nobody has seen met ends the run all the same",
	 a_number_that_nobody_has_seen_met_ends_the_run_all_the_same},
	{"faults of the IOMMU are told and counted", faults_of_the_iommu_are_told_and_counted},
	{"a port alone sends back what it receives", a_port_alone_sends_back_what_it_receives},
	{"frames sent to begin with go round and none is lost", frames_sent_to_begin_with_go_round_and_none_is_lost},
	{"rings between threads lose nothing", rings_between_threads_lose_nothing},
	{"time ends it", time_ends_it},
	{"more than a ring holds is dropped and counted", more_than_a_ring_holds_is_dropped_and_counted},
	{"a signal ends it and the mask is as before", a_signal_ends_it_and_the_mask_is_as_before},
	{"a signal ends threads that sleep", a_signal_ends_threads_that_sleep},
	{"a port that dies ends it by name, and the others stop", a_port_that_dies_ends_it_by_name_and_the_others_stop},
	{"a link that flaps is told once a second", a_link_that_flaps_is_told_once_a_second},
	{"links that change are told and kept", links_that_change_are_told_and_kept},
	{"a buffer that is missing is an error", a_buffer_that_is_missing_is_an_error},
	{"what cannot be opened leaves nothing open", what_cannot_be_opened_leaves_nothing_open},
	{"a thread stays on its core", a_thread_stays_on_its_core},
};

UNIT_MAIN("run of a forwarder", tests)
