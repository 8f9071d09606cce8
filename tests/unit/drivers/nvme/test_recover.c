/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_recover.c - commands that take too long, and Abort commands: who is told, who may use a CID again, and what
 * happens when an abort does not help.
 */
#include <errno.h>
#include <string.h>

#include "nvme/nvme_internal.h"
#include "nvme_fixture.h"
#include "unit.h"

static struct nvme_fixture fx;
static struct quoll_nvme_queue *queues[4];

/* A time-out of 16 ms: late after eight watches, 2 ms apart. */
static void open_queues(enum quoll_nvme_recovery recovery, unsigned int nr)
{
	const struct quoll_nvme_opts opts = {.max_io_queues = 4, .io_timeout_ms = 16, .recovery = recovery};
	const struct quoll_nvme_queue_opts queue_opts = {.entries = 8};

	fixture_open_queues(&fx, &opts, &queue_opts, queues, nr);
	fx.queue = queues[0];
}

static void open_with(enum quoll_nvme_recovery recovery)
{
	fixture_init(&fx);
	open_queues(recovery, 1);
}

static void send_read(struct quoll_nvme_queue *queue, uint64_t lba, uint64_t user_data)
{
	CU_ASSERT_EQUAL_FATAL(quoll_nvme_prep_read(queue, 1, fx.buf, lba, 1, user_data), 0);
	quoll_nvme_submit(queue);
}

static struct quoll_nvme_state state_now(void)
{
	struct quoll_nvme_state state;

	quoll_nvme_state(fx.nvme, &state);
	return state;
}

static unsigned int in_flight(void)
{
	struct quoll_nvme_queue_stats stats;

	quoll_nvme_queue_stats(fx.queue, &stats);
	return stats.in_flight;
}

static bool is_late(void)
{
	return state_now().timeouts;
}

static bool is_aborted(void)
{
	return state_now().aborts;
}

static bool one_is_back(void)
{
	return fx.nr_comps;
}

static unsigned int watches_until;

static bool watched(void)
{
	return fx.queue->nr_watches >= watches_until;
}

static void run_watches(unsigned int nr)
{
	watches_until = fx.queue->nr_watches + nr;
	fixture_run(&fx, fx.queue, watched);
}

static bool hold_lba_0(struct fake_nvme *fake, uint16_t qid, const union nvme_sq_slot *sqe)
{
	(void)fake;
	(void)qid;
	return sqe->rw.slba == 0;
}

static void a_late_command_is_told_once_and_still_ends_as_the_device_says(void)
{
	uint64_t late[8];

	open_with(QUOLL_NVME_TELL);
	fx.fake.on_hold = hold_lba_0;
	send_read(fx.queue, 0, 77);
	fixture_run(&fx, fx.queue, is_late);
	CU_ASSERT_EQUAL(quoll_nvme_timeouts(fx.queue, late, 0), 0);
	CU_ASSERT_EQUAL(quoll_nvme_timeouts(fx.queue, late, 8), 1);
	CU_ASSERT_EQUAL(late[0], 77);
	run_watches(3 * NVME_WATCHES);
	CU_ASSERT_EQUAL(quoll_nvme_timeouts(fx.queue, late, 8), 0);
	CU_ASSERT_EQUAL(state_now().timeouts, 1);
	CU_ASSERT_EQUAL(fx.nr_comps, 0);
	CU_ASSERT_EQUAL(fx.fake.nr_aborts, 0);
	CU_ASSERT_EQUAL(state_now().phase, QUOLL_NVME_RUNNING);
	fake_nvme_release(&fx.fake);
	fixture_run(&fx, fx.queue, one_is_back);
	CU_ASSERT_EQUAL(fx.comps[0].user_data, 77);
	CU_ASSERT_EQUAL(fx.comps[0].error | fx.comps[0].status, 0);
	fixture_fini(&fx);
}

/* Each slot is used again and again, for longer than the time-out, while there is always something in flight. */
static void commands_that_are_answered_are_never_late(void)
{
	struct quoll_nvme_completion comp;
	uint64_t sent = 0;

	open_with(QUOLL_NVME_TELL);
	for (; sent < 7; sent++)
		send_read(fx.queue, sent, sent);
	while (fx.queue->nr_watches < 4 * NVME_WATCHES) {
		fake_nvme_step(&fx.fake);
		if (quoll_nvme_poll(fx.queue, &comp, 1))
			send_read(fx.queue, sent++ % 1000, 0);
	}
	CU_ASSERT_EQUAL(state_now().timeouts, 0);
	fixture_fini(&fx);
}

static void what_was_not_submitted_is_not_late(void)
{
	open_with(QUOLL_NVME_TELL);
	fx.fake.on_hold = hold_lba_0;
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf, 0, 1, 1), 0);
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf, 1, 1, 2), 0);
	run_watches(3 * NVME_WATCHES);
	CU_ASSERT_EQUAL(state_now().timeouts, 0);
	/* Its time begins now, and so does the other's, which is answered. */
	quoll_nvme_submit(fx.queue);
	run_watches(NVME_WATCHES / 2);
	CU_ASSERT_EQUAL(state_now().timeouts, 0);
	fixture_run(&fx, fx.queue, is_late);
	CU_ASSERT_EQUAL(state_now().timeouts, 1);
	CU_ASSERT_EQUAL(fx.nr_comps, 1);
	fixture_fini(&fx);
}

static void parts_of_a_split_request_are_told_as_one(void)
{
	uint64_t late[8];

	open_with(QUOLL_NVME_TELL);
	fx.fake.hold_io = true;
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf, 0, 1024, 5), 0);
	quoll_nvme_submit(fx.queue);
	fixture_run(&fx, fx.queue, is_late);
	CU_ASSERT(state_now().timeouts > 1);
	CU_ASSERT_EQUAL(quoll_nvme_timeouts(fx.queue, late, 8), 1);
	CU_ASSERT_EQUAL(late[0], 5);
	fixture_fini(&fx);
}

static void with_no_time_out_nothing_is_watched(void)
{
	struct quoll_nvme_opts opts = {.io_timeout_ms = QUOLL_NVME_NO_TIMEOUT, .recovery = QUOLL_NVME_RESET};

	fixture_init(&fx);
	fixture_open_queues(&fx, &opts, NULL, queues, 1);
	CU_ASSERT_EQUAL(queues[0]->watch_ticks, 0);
	fixture_fini(&fx);
	/* Unless told otherwise it is 30 s. */
	fixture_init(&fx);
	fixture_open_queues(&fx, NULL, NULL, queues, 1);
	CU_ASSERT_EQUAL((quoll_ticks_to_ns(&queues[0]->clock, queues[0]->watch_ticks) + 500000) / 1000000, 3750);
	fixture_fini(&fx);
}

static void options_out_of_range_are_refused(void)
{
	struct quoll_nvme_opts opts = {.recovery = (enum quoll_nvme_recovery)4};
	struct quoll_nvme_queue_opts queue_opts = {.on_reset = (enum quoll_nvme_on_reset)2};

	fixture_init(&fx);
	CU_ASSERT_EQUAL(fixture_open(&fx, &opts), -EINVAL);
	fixture_fini(&fx);
	open_with(QUOLL_NVME_TELL);
	CU_ASSERT_EQUAL(quoll_nvme_queue_create(fx.nvme, &queue_opts, &queues[1], &fx.err), -EINVAL);
	fixture_fini(&fx);
}

static void unless_told_otherwise_a_late_command_ends_the_controller(void)
{
	open_with(QUOLL_NVME_GIVE_UP);
	fx.fake.hold_io = true;
	send_read(fx.queue, 0, 1);
	fixture_run(&fx, fx.queue, one_is_back);
	CU_ASSERT_EQUAL(fx.comps[0].error, -EIO);
	CU_ASSERT_FALSE(fake_pci_bus_master(&fx.fake.pci));
	CU_ASSERT_EQUAL(state_now().phase, QUOLL_NVME_DEAD);
	CU_ASSERT_EQUAL(state_now().error, -EIO);
	CU_ASSERT_EQUAL(quoll_nvme_reset(fx.nvme), -EIO);
	CU_ASSERT_EQUAL(quoll_nvme_abort(fx.queue, 1), -ENODEV);
	fixture_fini(&fx);
}

static void a_late_command_is_aborted_whichever_answer_comes_first(void)
{
	static const enum fake_abort order[] = {FAKE_ABORT_FIRST, FAKE_ABORT_AFTER};

	for (unsigned int i = 0; i < 2; i++) {
		open_with(QUOLL_NVME_ABORT);
		fx.fake.on_hold = hold_lba_0;
		fx.fake.abort = order[i];
		fx.nr_comps = 0;
		send_read(fx.queue, 0, 77);
		fixture_run(&fx, fx.queue, one_is_back);
		CU_ASSERT_EQUAL(fx.comps[0].user_data, 77);
		CU_ASSERT_EQUAL(fx.comps[0].error, 0);
		CU_ASSERT_EQUAL(fx.comps[0].status, 0x007);
		fixture_run(&fx, fx.queue, is_aborted);
		CU_ASSERT_EQUAL(state_now().aborted, 1);
		CU_ASSERT_EQUAL(fx.fake.nr_aborts, 1);
		CU_ASSERT_EQUAL(state_now().resets, 0);
		/* All slots are there again, and used. */
		for (unsigned int j = 0; j < 7; j++)
			send_read(fx.queue, 1 + j, j);
		fixture_collect(&fx, fx.queue, fx.comps, 7);
		CU_ASSERT_EQUAL(fx.comps[6].status, 0);
		fixture_fini(&fx);
	}
}

static void an_aborted_command_is_in_flight_until_its_own_completion(void)
{
	struct quoll_nvme_queue_stats stats;
	uint16_t cid;

	open_with(QUOLL_NVME_ABORT);
	fx.fake.on_hold = hold_lba_0;
	fx.fake.abort = FAKE_ABORT_LATE;
	send_read(fx.queue, 0, 77);
	cid = fake_nvme_sqe(&fx.fake, 1, 0)->cmd.cid;
	fixture_run(&fx, fx.queue, is_aborted);
	CU_ASSERT_EQUAL(fx.nr_comps, 0);
	CU_ASSERT_EQUAL(in_flight(), 1);
	fake_nvme_release(&fx.fake);
	fixture_run(&fx, fx.queue, one_is_back);
	CU_ASSERT_EQUAL(fx.comps[0].status, 0x007);
	/* The slot's next user does not take an answer to the aborted one for its own. */
	fx.fake.mute_io = true;
	send_read(fx.queue, 5, 78);
	CU_ASSERT_EQUAL(fake_nvme_sqe(&fx.fake, 1, 1)->cmd.cid & 7, cid & 7);
	fake_nvme_post(&fx.fake, 1, (struct nvme_cqe){.sqhd_sqid = 2 | 1u << 16, .cid_status = cid});
	CU_ASSERT_EQUAL(quoll_nvme_poll(fx.queue, fx.comps, 8), 0);
	quoll_nvme_queue_stats(fx.queue, &stats);
	CU_ASSERT_EQUAL(stats.bad_cid, 1);
	CU_ASSERT_EQUAL(stats.in_flight, 1);
	fx.fake.mute_io = false;
	fixture_fini(&fx);
}

static bool abort_is_sent(void)
{
	return fx.fake.nr_aborts;
}

static unsigned int prep_until_full(void)
{
	unsigned int n = 0;

	while (!quoll_nvme_prep_read(fx.queue, 1, fx.buf, 1, 1, n))
		n++;
	return n;
}

/* A device that gets the Abort after the command has ended must not find its CID with another command. */
static void a_cid_that_may_still_be_aborted_is_not_used_again(void)
{
	open_with(QUOLL_NVME_ABORT);
	fx.fake.on_hold = hold_lba_0;
	fx.fake.abort = FAKE_ABORT_MUTE;
	send_read(fx.queue, 0, 77);
	fixture_run(&fx, fx.queue, abort_is_sent);
	fake_nvme_release(&fx.fake);
	fixture_run(&fx, fx.queue, one_is_back);
	CU_ASSERT_EQUAL(fx.comps[0].status, 0);
	CU_ASSERT_EQUAL(in_flight(), 0);
	CU_ASSERT_EQUAL(prep_until_full(), 6);
	fake_nvme_answer_aborts(&fx.fake);
	fixture_run(&fx, fx.queue, is_aborted);
	run_watches(2);
	CU_ASSERT_EQUAL(state_now().aborted, 0);
	CU_ASSERT_EQUAL(prep_until_full(), 1);
	fixture_fini(&fx);
}

static bool is_aborted_twice(void)
{
	return fx.fake.nr_aborts == 2;
}

/* The controller's thread may be done with one Abort, and the next be asked for, between two looks of the queue. */
static void slots_of_aborts_in_a_row_all_come_back(void)
{
	open_with(QUOLL_NVME_TELL);
	fx.fake.hold_io = true;
	fx.fake.abort = FAKE_ABORT_MUTE;
	for (unsigned int i = 0; i < 2; i++) {
		fx.nr_comps = 0;
		send_read(fx.queue, i, 77 + i);
		fake_nvme_step(&fx.fake);
		CU_ASSERT_EQUAL(quoll_nvme_abort(fx.queue, 77 + i), 0);
		fixture_run(&fx, fx.queue, i ? is_aborted_twice : abort_is_sent);
		fake_nvme_release(&fx.fake);
		fixture_run(&fx, fx.queue, one_is_back);
		fake_nvme_answer_aborts(&fx.fake);
		for (unsigned int j = 0; j < 1000 && fx.queue->link.abort; j++) {
			fake_nvme_step(&fx.fake);
			quoll_nvme_ctrl_poll(fx.nvme);
		}
		CU_ASSERT_EQUAL(fx.queue->link.abort, 0);
	}
	run_watches(2);
	CU_ASSERT_EQUAL(in_flight(), 0);
	CU_ASSERT_EQUAL(prep_until_full(), 7);
	fixture_fini(&fx);
}

static void a_command_that_ends_before_its_abort_is_sent_is_not_aborted(void)
{
	struct quoll_nvme_completion comp;

	open_with(QUOLL_NVME_ABORT);
	fx.fake.on_hold = hold_lba_0;
	send_read(fx.queue, 0, 77);
	/* The controller's thread is elsewhere. */
	while (!fx.queue->link.abort) {
		fake_nvme_step(&fx.fake);
		CU_ASSERT_EQUAL_FATAL(quoll_nvme_poll(fx.queue, &comp, 1), 0);
	}
	fake_nvme_release(&fx.fake);
	fixture_collect(&fx, fx.queue, &comp, 1);
	CU_ASSERT_EQUAL(comp.status, 0);
	CU_ASSERT_EQUAL(prep_until_full(), 7);
	(void)quoll_nvme_ctrl_poll(fx.nvme);
	fake_nvme_step(&fx.fake);
	CU_ASSERT_EQUAL(fx.fake.nr_aborts, 0);
	fixture_fini(&fx);
}

static bool all_but_limit_sent(void)
{
	return fx.fake.nr_mute_aborts == fx.fake.id.acl + 1u;
}

static void no_more_aborts_are_under_way_than_the_controller_takes(void)
{
	for (uint8_t acl = 0; acl < 3; acl++) {
		fixture_init(&fx);
		fx.fake.id.acl = acl;
		open_queues(QUOLL_NVME_TELL, 4);
		fx.fake.hold_io = true;
		fx.fake.abort = FAKE_ABORT_MUTE;
		for (unsigned int i = 0; i < 4; i++) {
			send_read(queues[i], 0, i);
			CU_ASSERT_EQUAL(quoll_nvme_abort(queues[i], i), 0);
		}
		fixture_run(&fx, fx.queue, all_but_limit_sent);
		run_watches(2);
		CU_ASSERT_EQUAL(fx.fake.most_aborts, acl + 1u);
		/* One by one the others have their turn. */
		while (fx.fake.nr_aborts < 4) {
			fake_nvme_answer_aborts(&fx.fake);
			(void)quoll_nvme_ctrl_poll(fx.nvme);
			fake_nvme_step(&fx.fake);
		}
		CU_ASSERT_EQUAL(fx.fake.most_aborts, acl + 1u);
		fixture_fini(&fx);
	}
}

static bool is_reset(void)
{
	return state_now().resets && !fx.queue->paused;
}

static void an_abort_that_does_not_help_is_followed_by_a_reset(void)
{
	static const enum fake_abort how[] = {FAKE_ABORT_REFUSED, FAKE_ABORT_LATE, FAKE_ABORT_MUTE};

	for (unsigned int i = 0; i < 3; i++) {
		struct quoll_nvme_opts opts = {.io_timeout_ms = 16, .recovery = QUOLL_NVME_ABORT};

		fixture_init(&fx);
		fixture_open_queues(&fx, &opts, NULL, &fx.queue, 1);
		fx.fake.on_hold = hold_lba_0;
		fx.fake.abort = how[i];
		fx.nr_comps = 0;
		send_read(fx.queue, 0, 77);
		fixture_run(&fx, fx.queue, one_is_back);
		/* It was cut off before the buffer was given back. */
		CU_ASSERT_EQUAL(fx.fake.nr_disables, 1);
		CU_ASSERT_EQUAL(fx.comps[0].user_data, 77);
		CU_ASSERT_EQUAL(fx.comps[0].error, -ETIMEDOUT);
		CU_ASSERT_EQUAL(fx.fake.nr_aborts, 1);
		fixture_run(&fx, fx.queue, is_reset);
		send_read(fx.queue, 1, 78);
		fixture_collect(&fx, fx.queue, fx.comps, 1);
		CU_ASSERT_EQUAL(fx.comps[0].status, 0);
		CU_ASSERT_EQUAL(state_now().timeouts, 1);
		fixture_fini(&fx);
		CU_ASSERT_EQUAL(fx.close_rc, 0);
	}
}

/* With I/O that is never late the Abort itself has to be. */
static void an_abort_that_is_not_answered_is_followed_by_a_reset(void)
{
	struct quoll_nvme_opts opts = {.io_timeout_ms = QUOLL_NVME_NO_TIMEOUT, .recovery = QUOLL_NVME_ABORT};

	fixture_init(&fx);
	fixture_open_queues(&fx, &opts, NULL, &fx.queue, 1);
	fx.fake.on_hold = hold_lba_0;
	fx.fake.abort = FAKE_ABORT_MUTE;
	send_read(fx.queue, 0, 77);
	CU_ASSERT_EQUAL(quoll_nvme_abort(fx.queue, 77), 0);
	fx.nvme->admin.timeout_ns = 20000000;
	fixture_run(&fx, fx.queue, abort_is_sent);
	fixture_run(&fx, fx.queue, one_is_back);
	CU_ASSERT_EQUAL(fx.comps[0].error, -ECANCELED);
	CU_ASSERT_EQUAL(fx.fake.nr_disables, 1);
	fx.nvme->admin.timeout_ns = 10000000000;
	fixture_run(&fx, fx.queue, is_reset);
	fixture_fini(&fx);
}

static void the_caller_aborts_one_of_several_by_its_user_data(void)
{
	open_with(QUOLL_NVME_TELL);
	fx.fake.hold_io = true;
	for (unsigned int i = 0; i < 5; i++)
		send_read(fx.queue, i, 100 + i);
	fake_nvme_step(&fx.fake);
	CU_ASSERT_EQUAL(quoll_nvme_abort(fx.queue, 99), -ENOENT);
	CU_ASSERT_EQUAL(quoll_nvme_abort(fx.queue, 103), 0);
	fixture_run(&fx, fx.queue, one_is_back);
	CU_ASSERT_EQUAL(fx.nr_comps, 1);
	CU_ASSERT_EQUAL(fx.comps[0].user_data, 103);
	CU_ASSERT_EQUAL(fx.comps[0].status, 0x007);
	CU_ASSERT_EQUAL(quoll_nvme_abort(fx.queue, 103), -ENOENT);
	fx.fake.hold_io = false;
	fake_nvme_release(&fx.fake);
	fixture_collect(&fx, fx.queue, fx.comps, 4);
	for (unsigned int i = 0; i < 4; i++)
		CU_ASSERT_EQUAL(fx.comps[i].status | fx.comps[i].error, 0);
	fixture_fini(&fx);
}

static void of_an_aborted_split_request_nothing_more_is_sent(void)
{
	uint64_t before;

	open_with(QUOLL_NVME_TELL);
	fx.fake.hold_io = true;
	/* 32 parts in a queue of 7. */
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf, 0, 8192, 5), 0);
	quoll_nvme_submit(fx.queue);
	fake_nvme_step(&fx.fake);
	before = fx.fake.nr_held;
	CU_ASSERT_EQUAL(quoll_nvme_abort(fx.queue, 5), 0);
	fixture_run(&fx, fx.queue, one_is_back);
	CU_ASSERT_EQUAL(fx.comps[0].user_data, 5);
	CU_ASSERT_EQUAL(fx.comps[0].error, -ECANCELED);
	CU_ASSERT_EQUAL(fx.comps[0].status, 0x007);
	CU_ASSERT_EQUAL(fx.fake.nr_aborts, before);
	CU_ASSERT_EQUAL(fx.fake.nr_held, 0);
	CU_ASSERT_EQUAL(fx.fake.nr_io, 0);
	fixture_fini(&fx);
}

static bool hold_first_half(struct fake_nvme *fake, uint16_t qid, const union nvme_sq_slot *sqe)
{
	(void)fake;
	(void)qid;
	return sqe->rw.slba < 8192;
}

/* Its first part is back, and the others wait behind another request, which hangs. */
static void a_split_request_that_waits_is_aborted_without_the_device(void)
{
	open_with(QUOLL_NVME_TELL);
	fx.fake.on_hold = hold_first_half;
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf, 0, 8192, 5), 0);
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf, 8192, 1024, 6), 0);
	quoll_nvme_submit(fx.queue);
	run_watches(1);
	CU_ASSERT_EQUAL(fx.fake.nr_io, 1);
	CU_ASSERT_EQUAL(fx.nr_comps, 0);
	CU_ASSERT_EQUAL(quoll_nvme_abort(fx.queue, 6), 0);
	fixture_run(&fx, fx.queue, one_is_back);
	CU_ASSERT_EQUAL(fx.comps[0].user_data, 6);
	CU_ASSERT_EQUAL(fx.comps[0].error, -ECANCELED);
	CU_ASSERT_EQUAL(fx.fake.nr_aborts, 0);
	fixture_fini(&fx);
}

static bool gave_up(void)
{
	return fx.nr_comps == 2;
}

/* Recovery is asked for, but nobody calls ctrl_poll. */
static void without_anybody_who_recovers_the_controller_is_given_up(void)
{
	static const enum quoll_nvme_recovery how[] = {QUOLL_NVME_ABORT, QUOLL_NVME_RESET};

	for (unsigned int i = 0; i < 2; i++) {
		open_with(how[i]);
		fx.fake.hold_io = true;
		fx.nr_comps = 0;
		send_read(fx.queue, 0, 1);
		send_read(fx.queue, 1, 2);
		fake_nvme_step(&fx.fake);
		for (uint64_t round = 0; !gave_up() && round < 1000000000; round++)
			fx.nr_comps += quoll_nvme_poll(fx.queue, fx.comps + fx.nr_comps, 8);
		CU_ASSERT_EQUAL(fx.comps[0].error, -EIO);
		CU_ASSERT_EQUAL(fx.comps[1].error, -EIO);
		CU_ASSERT_FALSE(fake_pci_bus_master(&fx.fake.pci));
		fixture_fini(&fx);
	}
}

static const struct unit_test tests[] = {
	{"a late command is told once, and still ends as the device says",
	 a_late_command_is_told_once_and_still_ends_as_the_device_says},
	{"commands that are answered are never late", commands_that_are_answered_are_never_late},
	{"what was not submitted is not late", what_was_not_submitted_is_not_late},
	{"parts of a split request are told as one", parts_of_a_split_request_are_told_as_one},
	{"with no time-out nothing is watched", with_no_time_out_nothing_is_watched},
	{"options out of range are refused", options_out_of_range_are_refused},
	{"unless told otherwise a late command ends the controller",
	 unless_told_otherwise_a_late_command_ends_the_controller},
	{"a late command is aborted, whichever answer comes first",
	 a_late_command_is_aborted_whichever_answer_comes_first},
	{"an aborted command is in flight until its own completion",
	 an_aborted_command_is_in_flight_until_its_own_completion},
	{"a CID that may still be aborted is not used again", a_cid_that_may_still_be_aborted_is_not_used_again},
	{"slots of aborts in a row all come back", slots_of_aborts_in_a_row_all_come_back},
	{"a command that ends before its abort is sent is not aborted",
	 a_command_that_ends_before_its_abort_is_sent_is_not_aborted},
	{"no more aborts are under way than the controller takes",
	 no_more_aborts_are_under_way_than_the_controller_takes},
	{"an abort that does not help is followed by a reset", an_abort_that_does_not_help_is_followed_by_a_reset},
	{"an abort that is not answered is followed by a reset", an_abort_that_is_not_answered_is_followed_by_a_reset},
	{"the caller aborts one of several by its user data", the_caller_aborts_one_of_several_by_its_user_data},
	{"of an aborted split request nothing more is sent", of_an_aborted_split_request_nothing_more_is_sent},
	{"a split request that waits is aborted without the device",
	 a_split_request_that_waits_is_aborted_without_the_device},
	{"without anybody who recovers the controller is given up",
	 without_anybody_who_recovers_the_controller_is_given_up},
};

UNIT_MAIN("nvme recovery", tests)
