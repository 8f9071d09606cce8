/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_queue_sleep.c - queues whose thread sleeps: interrupts come between arm and disarm and never else, nothing is
 * lost on the edge, and a device that goes away wakes everybody.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include <quoll/loop.h>

#include "nvme/nvme_internal.h"
#include "nvme_fixture.h"
#include "unit.h"

#define MS 1000000ull
#define NR_READS 3000u

static struct nvme_fixture fx;

static int create(unsigned int entries, bool interrupts, struct quoll_nvme_queue **queue)
{
	struct quoll_nvme_queue_opts opts = {.entries = entries, .interrupts = interrupts};
	int rc;

	fake_nvme_pump_start(&fx.fake);
	rc = quoll_nvme_queue_create(fx.nvme, &opts, queue, &fx.err);
	fake_nvme_pump_stop(&fx.fake);
	return rc;
}

static void open_sleeper(unsigned int entries)
{
	struct quoll_nvme_opts opts = {.max_io_queues = 4};

	fixture_init(&fx);
	CU_ASSERT_EQUAL_FATAL(fixture_open(&fx, &opts), 0);
	CU_ASSERT_EQUAL_FATAL(create(entries, true, &fx.queue), 0);
}

static void send_read(struct quoll_nvme_queue *queue, uint64_t user_data)
{
	CU_ASSERT_EQUAL_FATAL(quoll_nvme_prep_read(queue, 1, fx.buf, 0, 8, user_data), 0);
	quoll_nvme_submit(queue);
}

static bool readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

static unsigned int poll_one(struct quoll_nvme_queue *queue)
{
	struct quoll_nvme_completion comp;

	return quoll_nvme_poll(queue, &comp, 1);
}

static void without_interrupts_there_is_nothing_to_sleep_on(void)
{
	fixture_init(&fx);
	fixture_open_queue(&fx, 16);
	CU_ASSERT_EQUAL(quoll_nvme_queue_fd(fx.queue), -1);
	CU_ASSERT_EQUAL(quoll_nvme_queue_arm(fx.queue), -ENOTSUP);
	quoll_nvme_queue_disarm(fx.queue);
	CU_ASSERT_FALSE(fx.fake.cq[1].interrupts);
	CU_ASSERT_EQUAL(fx.fake.pci.nr_irq_sets, 0);
	fixture_fini(&fx);
}

static void while_polling_no_vector_is_attached(void)
{
	struct quoll_nvme_completion comps[8];

	open_sleeper(16);
	CU_ASSERT_TRUE(fx.fake.cq[1].interrupts);
	CU_ASSERT_EQUAL(fx.fake.pci.nr_irq_sets, 1); /* MSI-X was enabled */
	CU_ASSERT_EQUAL(fx.fake.pci.nr_msix_on, 5);
	for (int i = 0; i < 100; i++) {
		for (unsigned int j = 0; j < 8; j++)
			CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf, j, 1, j), 0);
		quoll_nvme_submit(fx.queue);
		fixture_collect(&fx, fx.queue, comps, 8);
	}
	CU_ASSERT_EQUAL(fx.fake.pci.nr_irq_sets, 1);
	CU_ASSERT_EQUAL(fx.fake.pci.nr_interrupts[1], 0);
	CU_ASSERT_FALSE(readable(quoll_nvme_queue_fd(fx.queue)));
	fixture_fini(&fx);
	CU_ASSERT_EQUAL(fx.fake.pci.nr_msix_on, 0);
}

static void a_completion_after_arm_makes_the_descriptor_readable(void)
{
	int fd;

	open_sleeper(16);
	fd = quoll_nvme_queue_fd(fx.queue);
	for (unsigned int i = 0; i < 40; i++) { /* more than twice around the ring */
		send_read(fx.queue, i);
		CU_ASSERT_EQUAL(quoll_nvme_queue_arm(fx.queue), 0);
		CU_ASSERT_EQUAL(fx.fake.pci.msix_fds[1] >= 0, 1);
		CU_ASSERT_FALSE(readable(fd));
		fake_nvme_step(&fx.fake);
		CU_ASSERT_TRUE(readable(fd));
		quoll_nvme_queue_disarm(fx.queue);
		CU_ASSERT_EQUAL(fx.fake.pci.msix_fds[1], -1);
		CU_ASSERT_FALSE(readable(fd));
		CU_ASSERT_EQUAL(poll_one(fx.queue), 1);
	}
	CU_ASSERT_EQUAL(fx.fake.pci.nr_interrupts[1], 40);
	fixture_fini(&fx);
}

static void a_completion_before_arm_is_found_by_it(void)
{
	open_sleeper(16);
	for (unsigned int i = 0; i < 40; i++) {
		send_read(fx.queue, i);
		fake_nvme_step(&fx.fake);
		CU_ASSERT_EQUAL(quoll_nvme_queue_arm(fx.queue), 1);
		quoll_nvme_queue_disarm(fx.queue);
		CU_ASSERT_EQUAL(poll_one(fx.queue), 1);
		CU_ASSERT_EQUAL(quoll_nvme_queue_arm(fx.queue), 0);
		quoll_nvme_queue_disarm(fx.queue);
	}
	fixture_fini(&fx);
}

/* What was completed while masked wakes once too often; not twice. */
static void an_interrupt_from_before_wakes_once_without_harm(void)
{
	int fd;

	open_sleeper(16);
	fd = quoll_nvme_queue_fd(fx.queue);
	send_read(fx.queue, 1);
	fake_nvme_step(&fx.fake);
	CU_ASSERT_EQUAL(poll_one(fx.queue), 1);
	send_read(fx.queue, 2);
	CU_ASSERT_EQUAL(quoll_nvme_queue_arm(fx.queue), 0);
	CU_ASSERT_TRUE(readable(fd));
	quoll_nvme_queue_disarm(fx.queue);
	CU_ASSERT_EQUAL(poll_one(fx.queue), 0);
	CU_ASSERT_EQUAL(quoll_nvme_queue_arm(fx.queue), 0);
	CU_ASSERT_FALSE(readable(fd));
	quoll_nvme_queue_disarm(fx.queue);
	fixture_fini(&fx);
}

/* No interrupt comes, as for a command that is never answered. Ten seconds are for a machine that is busy. */
static void a_sleeper_is_woken_to_look_at_its_time_outs(void)
{
	struct quoll_nvme_opts opts = {.max_io_queues = 4, .io_timeout_ms = 400};
	struct pollfd p = {.events = POLLIN};

	fixture_init(&fx);
	CU_ASSERT_EQUAL_FATAL(fixture_open(&fx, &opts), 0);
	CU_ASSERT_EQUAL_FATAL(create(16, true, &fx.queue), 0);
	p.fd = quoll_nvme_queue_fd(fx.queue);
	send_read(fx.queue, 1);
	for (int i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL(quoll_nvme_queue_arm(fx.queue), 0);
		CU_ASSERT_EQUAL(poll(&p, 1, 10000), 1);
		quoll_nvme_queue_disarm(fx.queue);
		CU_ASSERT_FALSE(readable(p.fd));
	}
	fake_nvme_step(&fx.fake);
	CU_ASSERT_EQUAL(poll_one(fx.queue), 1);
	/* With nothing in flight there is nothing to look at. */
	CU_ASSERT_EQUAL(quoll_nvme_queue_arm(fx.queue), 0);
	CU_ASSERT_EQUAL(poll(&p, 1, 200), 0);
	quoll_nvme_queue_disarm(fx.queue);
	fixture_fini(&fx);
}

static void with_nothing_in_flight_no_vector_is_touched(void)
{
	unsigned int before;

	open_sleeper(16);
	before = fx.fake.pci.nr_irq_sets;
	CU_ASSERT_EQUAL(quoll_nvme_queue_arm(fx.queue), 0);
	quoll_nvme_queue_disarm(fx.queue);
	CU_ASSERT_EQUAL(fx.fake.pci.nr_irq_sets, before);
	/* Prepared and not submitted: nothing to collect. */
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf, 0, 1, 1), 0);
	CU_ASSERT_EQUAL(quoll_nvme_queue_arm(fx.queue), 0);
	quoll_nvme_queue_disarm(fx.queue);
	fixture_fini(&fx);
}

static void each_queue_has_a_vector_of_its_own(void)
{
	struct quoll_nvme_queue *queues[3], *polled;

	open_sleeper(16);
	CU_ASSERT_EQUAL_FATAL(create(8, false, &polled), 0);
	CU_ASSERT_EQUAL_FATAL(create(8, true, &queues[1]), 0);
	CU_ASSERT_EQUAL(fx.fake.cq[1].vector, 1);
	CU_ASSERT_FALSE(fx.fake.cq[2].interrupts);
	CU_ASSERT_EQUAL(fx.fake.cq[3].vector, 2);
	send_read(queues[1], 1);
	CU_ASSERT_EQUAL(quoll_nvme_queue_arm(fx.queue), 0);
	CU_ASSERT_EQUAL(quoll_nvme_queue_arm(queues[1]), 0);
	fake_nvme_step(&fx.fake);
	CU_ASSERT_FALSE(readable(quoll_nvme_queue_fd(fx.queue)));
	CU_ASSERT_TRUE(readable(quoll_nvme_queue_fd(queues[1])));
	/* Destroyed while armed: detached, and its vector is the next one's. */
	fixture_queue_destroy(&fx, queues[1]);
	CU_ASSERT_EQUAL(fx.fake.pci.msix_fds[2], -1);
	CU_ASSERT_EQUAL_FATAL(create(8, true, &queues[2]), 0);
	CU_ASSERT_EQUAL(fx.fake.cq[3].vector, 2);
	quoll_nvme_queue_disarm(fx.queue);
	fixture_fini(&fx);
}

static void without_a_vector_it_is_refused_and_polling_goes_on(void)
{
	struct quoll_nvme_opts opts = {.max_io_queues = 4};
	struct quoll_nvme_queue *queue = NULL;

	/* vectors of the device, what the first and the second queue with interrupts get */
	static const struct {
		unsigned int nr_vectors;
		int rc[2];
	} cases[] = {{0, {-ENOTSUP, -ENOTSUP}}, {1, {-ENOTSUP, -ENOTSUP}}, {2, {0, -ENOSPC}}, {3, {0, 0}}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fixture_init(&fx);
		fx.fake.pci.nr_msix = cases[i].nr_vectors;
		CU_ASSERT_EQUAL_FATAL(fixture_open(&fx, &opts), 0);
		for (int j = 0; j < 2; j++)
			CU_ASSERT_EQUAL(create(8, true, &queue), cases[i].rc[j]);
		CU_ASSERT_EQUAL_FATAL(create(8, false, &queue), 0);
		send_read(queue, 1);
		fixture_collect(&fx, queue, &(struct quoll_nvme_completion){0}, 1);
		fixture_fini(&fx);
		CU_ASSERT_EQUAL(fx.close_rc, 0);
	}
	/* The kernel has none to give; it may later. */
	fixture_init(&fx);
	CU_ASSERT_EQUAL_FATAL(fixture_open(&fx, &opts), 0);
	fx.fake.pci.irq_rc = -ENOSPC;
	CU_ASSERT_EQUAL(create(8, true, &queue), -ENOSPC);
	fx.fake.pci.irq_rc = 0;
	CU_ASSERT_EQUAL(create(8, true, &queue), 0);
	send_read(queue, 1);
	fx.fake.pci.irq_rc = -EIO;
	CU_ASSERT_EQUAL(quoll_nvme_queue_arm(queue), -EIO);
	fx.fake.pci.irq_rc = 0;
	fixture_fini(&fx);
}

/* Poll until @nr requests have come back with @error; health is looked at once a millisecond, so not at once. */
static void all_back(struct quoll_nvme_queue *queue, unsigned int nr, int error)
{
	struct quoll_nvme_completion comp;
	struct timespec ms = {.tv_nsec = 1000000};

	for (int round = 0; nr && round < 5000; round++) {
		if (!quoll_nvme_poll(queue, &comp, 1)) {
			nanosleep(&ms, NULL);
			continue;
		}
		CU_ASSERT_EQUAL(comp.error, error);
		nr--;
	}
	CU_ASSERT_EQUAL(nr, 0);
	CU_ASSERT_EQUAL(poll_one(queue), 0); /* it has seen that there are no more */
}

static void a_device_that_is_wanted_back_wakes_every_queue(void)
{
	struct quoll_nvme_queue *other;

	open_sleeper(16);
	CU_ASSERT_EQUAL_FATAL(create(8, true, &other), 0);
	fx.fake.mute_io = true;
	send_read(fx.queue, 1);
	send_read(fx.queue, 2);
	send_read(other, 3);
	CU_ASSERT_EQUAL(quoll_nvme_queue_arm(fx.queue), 0);
	CU_ASSERT_EQUAL(quoll_nvme_queue_arm(other), 0);
	CU_ASSERT_FALSE(readable(quoll_nvme_queue_fd(fx.queue)));
	fake_pci_request_removal(&fx.fake.pci);
	CU_ASSERT_TRUE(readable(quoll_nvme_queue_fd(fx.queue)));
	quoll_nvme_queue_disarm(fx.queue);
	/* This one's thread takes the event from the device ... */
	all_back(fx.queue, 2, -ENODEV);
	CU_ASSERT_FALSE(readable(quoll_device_event_fd(fx.dev)));
	CU_ASSERT_EQUAL(quoll_nvme_queue_arm(fx.queue), -ENODEV);
	/* ... and the other's is woken by the controller's death. */
	CU_ASSERT_TRUE(readable(quoll_nvme_queue_fd(other)));
	quoll_nvme_queue_disarm(other);
	CU_ASSERT_EQUAL(quoll_nvme_queue_arm(other), 1);
	all_back(other, 1, -ENODEV);
	CU_ASSERT_EQUAL(quoll_nvme_queue_arm(other), -ENODEV);
	fixture_fini(&fx);
}

static void arm_wants_to_be_polled_until_all_is_handed_back(void)
{
	open_sleeper(16);
	fx.fake.mute_io = true;
	for (unsigned int i = 0; i < 3; i++)
		send_read(fx.queue, i);
	fake_nvme_set_fatal(&fx.fake);
	for (unsigned int i = 0, n = 0; n < 2 && i < 1000000000; i++) {
		n += poll_one(fx.queue);
		/* Noticed in the poll that returns the first one. */
		CU_ASSERT_EQUAL_FATAL(quoll_nvme_queue_arm(fx.queue), n > 0);
		quoll_nvme_queue_disarm(fx.queue);
	}
	all_back(fx.queue, 1, -EIO);
	CU_ASSERT_EQUAL(quoll_nvme_queue_arm(fx.queue), -EIO);
	fixture_fini(&fx);
}

/* In a loop: one read at a time, asleep in between; the device is another thread. */
struct reader {
	struct quoll_poller poller;
	struct quoll_timer rescue;
	struct quoll_loop *loop;
	unsigned int nr_done;
	unsigned int nr_rescued;
	int error;
};

static int reader_poll(void *arg)
{
	struct quoll_nvme_completion comp;
	struct reader *r = arg;

	if (!quoll_nvme_poll(fx.queue, &comp, 1))
		return 0;
	r->error = comp.error;
	if (comp.error)
		return 1;
	if (++r->nr_done == NR_READS)
		quoll_loop_stop(r->loop);
	else
		send_read(fx.queue, r->nr_done);
	return 1;
}

static int reader_arm(void *arg)
{
	(void)arg;
	return quoll_nvme_queue_arm(fx.queue);
}

static void reader_disarm(void *arg)
{
	(void)arg;
	quoll_nvme_queue_disarm(fx.queue);
}

static void rescue(void *arg)
{
	struct reader *r = arg;

	r->nr_rescued++;
	quoll_loop_stop(r->loop);
}

static void open_reader(struct reader *r)
{
	static const struct quoll_loop_opts sleepy = {.spin_ns = 1, .sleep_ns = 1};

	*r = (struct reader){
		.poller = {.poll = reader_poll, .arm = reader_arm, .disarm = reader_disarm, .arg = r},
		.rescue = {.fn = rescue, .arg = r},
	};
	r->poller.fd = quoll_nvme_queue_fd(fx.queue);
	CU_ASSERT_EQUAL_FATAL(quoll_loop_create(NULL, &sleepy, &r->loop, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_loop_add(r->loop, &r->poller), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_timer_start(r->loop, &r->rescue, 30000 * MS, 0), 0);
}

static void no_completion_is_lost(bool forgets_masked)
{
	struct quoll_loop_stats stats;
	struct reader r;

	open_sleeper(4);
	fx.fake.pci.forgets_masked = forgets_masked;
	open_reader(&r);
	fake_nvme_pump_start(&fx.fake);
	send_read(fx.queue, 0);
	CU_ASSERT_EQUAL(quoll_loop_run(r.loop), 0);
	fake_nvme_pump_stop(&fx.fake);
	CU_ASSERT_EQUAL(r.nr_rescued, 0);
	CU_ASSERT_EQUAL(r.nr_done, NR_READS);
	quoll_loop_stats(r.loop, &stats);
	CU_ASSERT(stats.sleeps > 0);
	CU_ASSERT(fx.fake.pci.nr_interrupts[1] > 0);
	quoll_loop_destroy(r.loop);
	fixture_fini(&fx);
}

static void in_a_loop_no_completion_is_lost_on_the_edge(void)
{
	no_completion_is_lost(false);
	no_completion_is_lost(true);
}

static void ask_for_it(void *arg)
{
	(void)arg;
	fake_pci_request_removal(&fx.fake.pci);
}

static void in_a_loop_removal_ends_it_with_or_without_requests(void)
{
	for (int busy = 0; busy < 2; busy++) {
		struct quoll_timer ask = {.fn = ask_for_it};
		struct reader r;

		open_sleeper(4);
		open_reader(&r);
		fx.fake.mute_io = true;
		if (busy)
			send_read(fx.queue, 0);
		/* By a timer, so that it has slept before. */
		CU_ASSERT_EQUAL(quoll_timer_start(r.loop, &ask, 3 * MS, 0), 0);
		CU_ASSERT_EQUAL(quoll_loop_run(r.loop), -ENODEV);
		CU_ASSERT_EQUAL(r.nr_rescued, 0);
		CU_ASSERT_EQUAL(r.error, busy ? -ENODEV : 0);
		quoll_loop_destroy(r.loop);
		fixture_fini(&fx);
	}
}

static const struct unit_test tests[] = {
	{"without interrupts there is nothing to sleep on", without_interrupts_there_is_nothing_to_sleep_on},
	{"while polling no vector is attached", while_polling_no_vector_is_attached},
	{"a completion after arm makes the descriptor readable", a_completion_after_arm_makes_the_descriptor_readable},
	{"a completion before arm is found by it", a_completion_before_arm_is_found_by_it},
	{"an interrupt from before wakes once, without harm", an_interrupt_from_before_wakes_once_without_harm},
	{"a sleeper is woken to look at its time-outs", a_sleeper_is_woken_to_look_at_its_time_outs},
	{"with nothing in flight no vector is touched", with_nothing_in_flight_no_vector_is_touched},
	{"each queue has a vector of its own", each_queue_has_a_vector_of_its_own},
	{"without a vector it is refused, and polling goes on", without_a_vector_it_is_refused_and_polling_goes_on},
	{"a device that is wanted back wakes every queue", a_device_that_is_wanted_back_wakes_every_queue},
	{"arm wants to be polled until all is handed back", arm_wants_to_be_polled_until_all_is_handed_back},
	{"in a loop no completion is lost on the edge", in_a_loop_no_completion_is_lost_on_the_edge},
	{"in a loop removal ends it, with or without requests", in_a_loop_removal_ends_it_with_or_without_requests},
};

UNIT_MAIN("sleeping queues", tests)
