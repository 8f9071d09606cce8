/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_bounds.c - what could go on for ever, or grow without end, does not: resets one after the other, resets in the
 * middle of set-up, devices that write on, an admin queue without room, waits for a lock, CIDs that come round.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "nvme/nvme_internal.h"
#include "nvme_fixture.h"
#include "unit.h"

#define MS 1000000ull

static struct nvme_fixture fx;
static struct quoll_nvme_queue *queues[4];

static void open_with(const struct quoll_nvme_opts *opts, unsigned int nr)
{
	const struct quoll_nvme_queue_opts queue_opts = {.entries = 16};

	fx.nr_comps = 0;
	fixture_open_queues(&fx, opts, &queue_opts, queues, nr);
	fx.queue = queues[0];
}

static struct quoll_nvme_state state_now(void)
{
	struct quoll_nvme_state state;

	quoll_nvme_state(fx.nvme, &state);
	return state;
}

static void io_works(struct quoll_nvme_queue *queue)
{
	struct quoll_nvme_completion comp;

	CU_ASSERT_EQUAL_FATAL(quoll_nvme_prep_read(queue, 1, fx.buf, 0, 1, 1), 0);
	quoll_nvme_submit(queue);
	fixture_collect(&fx, queue, &comp, 1);
	CU_ASSERT_EQUAL(comp.error | comp.status, 0);
}

/* Resets in the middle of set-up. */

static unsigned int cut_offs;

/* The last of a queue's two commands is carried out and not answered, because the controller fails. */
static unsigned int cut_off_create(struct fake_nvme *fake, uint16_t qid, struct nvme_cqe *cqe)
{
	(void)cqe;
	if (qid || !fake->sq[1].live || !cut_offs)
		return 1;
	cut_offs--;
	fake_nvme_set_fatal(fake);
	return 0;
}

static unsigned int cut_off_delete(struct fake_nvme *fake, uint16_t qid, struct nvme_cqe *cqe)
{
	(void)cqe;
	if (qid || fake->sq[1].live || !fake->cq[1].live || !cut_offs)
		return 1;
	cut_offs--;
	fake_nvme_set_fatal(fake);
	return 0;
}

static int create_queue(void)
{
	int rc;

	fake_nvme_pump_start(&fx.fake);
	rc = quoll_nvme_queue_create(fx.nvme, NULL, &fx.queue, &fx.err);
	fake_nvme_pump_stop(&fx.fake);
	return rc;
}

static void a_reset_in_the_middle_of_a_queues_creation_is_made_up_for(void)
{
	const struct quoll_nvme_opts opts = {.recovery = QUOLL_NVME_RESET};

	for (unsigned int nr = 1; nr < 3; nr++) {
		fixture_init(&fx);
		CU_ASSERT_EQUAL_FATAL(fixture_open(&fx, &opts), 0);
		cut_offs = nr;
		fx.fake.on_cqe = cut_off_create;
		CU_ASSERT_EQUAL_FATAL(create_queue(), 0);
		CU_ASSERT_EQUAL(state_now().resets, nr);
		io_works(fx.queue);
		fixture_fini(&fx);
		CU_ASSERT_EQUAL(fx.close_rc, 0);
	}
}

static void a_queue_that_is_cut_off_again_and_again_says_so(void)
{
	const struct quoll_nvme_opts opts = {.recovery = QUOLL_NVME_RESET};

	fixture_init(&fx);
	CU_ASSERT_EQUAL_FATAL(fixture_open(&fx, &opts), 0);
	cut_offs = 3;
	fx.fake.on_cqe = cut_off_create;
	CU_ASSERT_EQUAL(create_queue(), -ECANCELED);
	CU_ASSERT_PTR_NOT_NULL(strstr(fx.err.what, "reset"));
	CU_ASSERT_EQUAL(state_now().phase, QUOLL_NVME_RUNNING);
	CU_ASSERT_EQUAL_FATAL(create_queue(), 0);
	io_works(fx.queue);
	fixture_fini(&fx);
	CU_ASSERT_EQUAL(fx.close_rc, 0);
}

static void a_reset_in_the_middle_of_a_queues_end_is_its_end(void)
{
	const struct quoll_nvme_opts opts = {.recovery = QUOLL_NVME_RESET};
	const void *rings[2];

	fixture_init(&fx);
	CU_ASSERT_EQUAL_FATAL(fixture_open(&fx, &opts), 0);
	CU_ASSERT_EQUAL_FATAL(create_queue(), 0);
	rings[0] = fx.queue->sq;
	rings[1] = fx.queue->cq;
	cut_offs = 1;
	fx.fake.on_cqe = cut_off_delete;
	fixture_queue_destroy(&fx, fx.queue);
	CU_ASSERT_EQUAL(cut_offs, 0);
	CU_ASSERT_EQUAL(state_now().phase, QUOLL_NVME_RUNNING);
	CU_ASSERT_EQUAL(state_now().resets, 1);
	/* And nothing is left of it. */
	CU_ASSERT_EQUAL_FATAL(create_queue(), 0);
	CU_ASSERT_PTR_EQUAL(fx.queue->sq, rings[0]);
	CU_ASSERT_PTR_EQUAL(fx.queue->cq, rings[1]);
	io_works(fx.queue);
	fixture_fini(&fx);
	CU_ASSERT_EQUAL(fx.close_rc, 0);
}

/* Resets without end. */

static uint64_t resets_awaited;

static bool is_reset_or_dead(void)
{
	return state_now().phase == QUOLL_NVME_DEAD ||
	       (state_now().resets == resets_awaited && fx.queue->reset_nr == fx.nvme->shared.reset_nr &&
		!fx.queue->paused);
}

static bool one_is_back(void)
{
	return fx.nr_comps;
}

static void fatal_and_reset(void)
{
	resets_awaited = state_now().resets + 1;
	fake_nvme_set_fatal(&fx.fake);
	fixture_run(&fx, fx.queue, is_reset_or_dead);
}

static void a_controller_that_resets_do_not_mend_is_given_up(void)
{
	const struct quoll_nvme_opts opts = {.recovery = QUOLL_NVME_RESET, .max_resets = 3};

	fixture_init(&fx);
	open_with(&opts, 1);
	for (unsigned int i = 0; i < 3; i++) {
		fatal_and_reset();
		CU_ASSERT_EQUAL(state_now().phase, QUOLL_NVME_RUNNING);
	}
	fx.fake.hold_io = true;
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf, 0, 1, 7), 0);
	quoll_nvme_submit(fx.queue);
	fake_nvme_step(&fx.fake);
	fatal_and_reset();
	CU_ASSERT_EQUAL(state_now().phase, QUOLL_NVME_DEAD);
	CU_ASSERT_EQUAL(state_now().error, -EIO);
	CU_ASSERT_EQUAL(state_now().resets, 3);
	CU_ASSERT_FALSE(fake_pci_bus_master(&fx.fake.pci));
	fixture_run(&fx, fx.queue, one_is_back);
	CU_ASSERT_EQUAL(fx.comps[0].user_data, 7);
	CU_ASSERT_EQUAL(fx.comps[0].error, -EIO);
	fixture_fini(&fx);
}

/* Long ago is not counted, nor is what the program has asked for. */
static void resets_far_apart_or_asked_for_are_no_reason(void)
{
	const struct quoll_nvme_opts opts = {.recovery = QUOLL_NVME_RESET, .max_resets = 2};

	fixture_init(&fx);
	open_with(&opts, 1);
	for (unsigned int i = 0; i < 5; i++) {
		resets_awaited = state_now().resets + 1;
		CU_ASSERT_EQUAL(quoll_nvme_reset(fx.nvme), 0);
		fixture_run(&fx, fx.queue, is_reset_or_dead);
	}
	fx.nvme->reset.own_ticks = 1; /* instead of a minute */
	for (unsigned int i = 0; i < 5; i++)
		fatal_and_reset();
	CU_ASSERT_EQUAL(state_now().phase, QUOLL_NVME_RUNNING);
	CU_ASSERT_EQUAL(state_now().resets, 10);
	io_works(fx.queue);
	fixture_fini(&fx);
	CU_ASSERT_EQUAL(fx.close_rc, 0);
}

static void max_resets_out_of_range_are_refused(void)
{
	const struct quoll_nvme_opts opts = {.max_resets = 65};

	fixture_init(&fx);
	CU_ASSERT_EQUAL(fixture_open(&fx, &opts), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(fx.err.what, "65"));
	fixture_fini(&fx);
}

static unsigned int nr_older(void)
{
	unsigned int nr = 0;

	for (const struct nvme_ns_set *set = fx.nvme->set->older; set; set = set->older)
		nr++;
	return nr;
}

static void change_and_reset(void)
{
	fx.fake.ns[0].nr_lbas--;
	resets_awaited = state_now().resets + 1;
	CU_ASSERT_EQUAL(quoll_nvme_reset(fx.nvme), 0);
	fixture_run(&fx, fx.queue, is_reset_or_dead);
	(void)quoll_nvme_ctrl_poll(fx.nvme);
}

static void namespaces_that_no_queue_uses_any_more_are_freed(void)
{
	const struct quoll_nvme_opts opts = {.max_io_queues = 2, .recovery = QUOLL_NVME_RESET};

	fixture_init(&fx);
	open_with(&opts, 1);
	for (unsigned int i = 0; i < 4; i++) {
		change_and_reset();
		CU_ASSERT_EQUAL(nr_older(), 0);
	}
	queues[1] = fixture_queue(&fx, 16);
	/* Its thread is elsewhere: what it uses stays. */
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(queues[1], 1, fx.buf, 0, 1, 7), 0);
	change_and_reset();
	change_and_reset();
	CU_ASSERT_EQUAL(nr_older(), 2);
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(queues[1], 1, fx.buf, fx.fake.ns[0].nr_lbas + 1, 1, 8), 0);
	fx.queue = queues[1];
	fixture_run(&fx, fx.queue, is_reset_or_dead);
	(void)quoll_nvme_ctrl_poll(fx.nvme);
	CU_ASSERT_EQUAL(nr_older(), 0);
	CU_ASSERT_EQUAL(fx.nr_comps, 2);
	io_works(queues[0]);
	io_works(queues[1]);
	CU_ASSERT_EQUAL(state_now().ns_changes, 6);
	fixture_fini(&fx);
}

/* The first command of a queue's creation is not answered, and after the reset there are other namespaces. */
static unsigned int cut_off_and_change(struct fake_nvme *fake, uint16_t qid, struct nvme_cqe *cqe)
{
	unsigned int answers = cut_off_delete(fake, qid, cqe);

	if (!answers)
		fake->ns[0].nr_lbas--;
	return answers;
}

static void a_queue_made_again_has_the_namespaces_that_there_are_now(void)
{
	const struct quoll_nvme_opts opts = {.recovery = QUOLL_NVME_RESET};

	fixture_init(&fx);
	CU_ASSERT_EQUAL_FATAL(fixture_open(&fx, &opts), 0);
	cut_offs = 1;
	fx.fake.on_cqe = cut_off_and_change;
	CU_ASSERT_EQUAL_FATAL(create_queue(), 0);
	CU_ASSERT_EQUAL(state_now().ns_changes, 1);
	CU_ASSERT_PTR_EQUAL_FATAL(fx.queue->set, fx.nvme->set);
	(void)quoll_nvme_ctrl_poll(fx.nvme);
	CU_ASSERT_EQUAL(nr_older(), 0);
	io_works(fx.queue);
	fixture_fini(&fx);
}

/* Two completions of nothing, from the queue's head on. */
static void write_rubbish(struct quoll_nvme_queue *queue)
{
	for (uint32_t i = 0; i < 2; i++) {
		uint32_t at = queue->cq_head + i, phase = queue->phase_bit;

		if (at == queue->entries) {
			at = 0;
			phase ^= NVME_CQE_PHASE;
		}
		queue->cq[at] = (struct nvme_cqe){.sqhd_sqid = 1u << 16, .cid_status = 0xfffe | phase};
	}
}

/* The device says that it has stopped, and writes on: each poll finds one more completion, and leaves one. */
static void a_device_that_writes_on_holds_no_queue(void)
{
	const struct quoll_nvme_opts opts = {.recovery = QUOLL_NVME_RESET};

	fixture_init(&fx);
	open_with(&opts, 1);
	fx.fake.hold_io = true;
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf, 0, 1, 7), 0);
	quoll_nvme_submit(fx.queue);
	fake_nvme_step(&fx.fake);
	CU_ASSERT_EQUAL(quoll_nvme_reset(fx.nvme), 0);
	while (!fx.queue->paused)
		CU_ASSERT_EQUAL_FATAL(quoll_nvme_poll(fx.queue, fx.comps, 1), 0);
	while (fx.nvme->shared.stopped_nr != fx.nvme->shared.reset_nr) {
		(void)quoll_nvme_ctrl_poll(fx.nvme);
		fake_nvme_step(&fx.fake);
	}
	for (unsigned int i = 0; !fx.nr_comps && i < 100; i++) {
		write_rubbish(fx.queue);
		fx.nr_comps += quoll_nvme_poll(fx.queue, fx.comps, 1);
	}
	CU_ASSERT_EQUAL_FATAL(fx.nr_comps, 1);
	CU_ASSERT_EQUAL(fx.comps[0].user_data, 7);
	CU_ASSERT_EQUAL(fx.comps[0].error, -ECANCELED);
	resets_awaited = 1;
	fixture_run(&fx, fx.queue, is_reset_or_dead);
	fx.fake.hold_io = false;
	io_works(fx.queue);
	fixture_fini(&fx);
}

/* What was sent and not fetched yet when the device is cut off is never fetched; that is no fault of anybody's. */
static void a_command_is_cut_off_before_it_is_fetched(void)
{
	const struct quoll_nvme_opts opts = {.recovery = QUOLL_NVME_RESET};

	fixture_init(&fx);
	open_with(&opts, 1);
	CU_ASSERT_EQUAL(quoll_nvme_reset(fx.nvme), 0);
	while (fx.nvme->reset.stage != NVME_RESET_IDENTIFY || !fx.nvme->reset.asked) {
		fake_nvme_step(&fx.fake);
		(void)quoll_nvme_ctrl_poll(fx.nvme);
	}
	CU_ASSERT_NOT_EQUAL(fake_nvme_sq_tail(&fx.fake, 0), fx.fake.sq[0].head);
	nvme_ctrl_kill(fx.nvme, -ENODEV);
	fake_nvme_step(&fx.fake);
	CU_ASSERT_EQUAL(fx.fake.pci.nr_violations, 0);
	fixture_fini(&fx);
}

/* Likewise the enabling itself, which the device sees only afterwards. */
static void a_controller_is_cut_off_before_it_sees_that_it_is_enabled(void)
{
	const struct quoll_nvme_opts opts = {.recovery = QUOLL_NVME_RESET};

	fixture_init(&fx);
	open_with(&opts, 1);
	CU_ASSERT_EQUAL(quoll_nvme_reset(fx.nvme), 0);
	while (fx.nvme->reset.stage != NVME_RESET_ENABLE) {
		fake_nvme_step(&fx.fake);
		(void)quoll_nvme_ctrl_poll(fx.nvme);
	}
	nvme_ctrl_kill(fx.nvme, -ENODEV);
	fake_nvme_step(&fx.fake);
	CU_ASSERT_EQUAL(fx.fake.pci.nr_violations, 0);
	fixture_fini(&fx);
}

/* The admin queue. */

static bool an_abort_is_sent(void)
{
	return fx.fake.nr_aborts;
}

static void aborts_leave_room_for_other_commands(void)
{
	const struct quoll_nvme_opts opts = {.max_io_queues = 4, .admin_entries = 4, .recovery = QUOLL_NVME_TELL};
	struct quoll_nvme_cmd cmd = {.opcode = 0xc2, .cdw10 = 16, .data_bytes = 16};

	fixture_init(&fx);
	fx.fake.id.acl = 7;
	open_with(&opts, 4);
	fx.nvme->admin.timeout_ns = 200 * MS;
	fx.fake.hold_io = true;
	fx.fake.abort = FAKE_ABORT_MUTE;
	for (unsigned int i = 0; i < 4; i++) {
		CU_ASSERT_EQUAL(quoll_nvme_prep_read(queues[i], 1, fx.buf, 0, 1, i), 0);
		quoll_nvme_submit(queues[i]);
		CU_ASSERT_EQUAL(quoll_nvme_abort(queues[i], i), 0);
	}
	fixture_run(&fx, fx.queue, an_abort_is_sent);
	(void)quoll_nvme_ctrl_poll(fx.nvme);
	fx.nvme->admin.timeout_ns = 10000 * MS;
	cmd.data = fx.buf;
	CU_ASSERT_EQUAL(fixture_admin(&fx, &cmd, NULL), 0);
	CU_ASSERT_EQUAL(fx.fake.nr_aborts, 1);
	/* The others are sent in their turn. */
	while (fx.fake.nr_aborts < 4) {
		fake_nvme_answer_aborts(&fx.fake);
		(void)quoll_nvme_ctrl_poll(fx.nvme);
		fake_nvme_step(&fx.fake);
	}
	fixture_fini(&fx);
	CU_ASSERT_EQUAL(fx.close_rc, 0);
}

static void a_command_that_finds_no_room_is_late_like_any_other(void)
{
	const struct quoll_nvme_opts opts = {.recovery = QUOLL_NVME_TELL};
	struct quoll_nvme_cmd cmd = {.opcode = 0xc2, .cdw10 = 16, .data_bytes = 16};

	fixture_init(&fx);
	open_with(&opts, 1);
	cmd.data = fx.buf;
	fx.nvme->admin.timeout_ns = 20 * MS;
	fx.nvme->admin.nr_busy = fx.nvme->admin.entries - 1; /* as if by commands that are never answered */
	CU_ASSERT_EQUAL(fixture_admin(&fx, &cmd, NULL), -ETIMEDOUT);
	CU_ASSERT_EQUAL(state_now().error, -EIO);
	fixture_fini(&fx);
}

/* The lock. */

struct sleeper {
	pthread_t thread;
	pid_t tid; /* once it is about to wait */
	void (*run)(void);
};

static void *sleeper_main(void *arg)
{
	struct sleeper *s = arg;

	__atomic_store_n(&s->tid, gettid(), __ATOMIC_RELEASE);
	s->run();
	return NULL;
}

static char thread_state(pid_t tid)
{
	char path[64], state = '?';
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	f = fopen(path, "r");
	if (!f)
		return '?';
	if (fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
		state = '?';
	fclose(f);
	return state;
}

/* Until the thread waits without a CPU; ten seconds at most. */
static bool falls_asleep(const struct sleeper *s)
{
	time_t start = time(NULL);

	while (time(NULL) - start < 10) {
		pid_t tid = __atomic_load_n(&s->tid, __ATOMIC_ACQUIRE);

		if (tid && thread_state(tid) == 'S')
			return true;
		sched_yield();
	}
	return false;
}

static void check_health(void)
{
	(void)nvme_ctrl_check(fx.nvme);
}

static void want_reset(void)
{
	nvme_ctrl_want_reset(fx.nvme);
}

/* A register that is a message takes as long as its server: who waits for that does not burn a CPU meanwhile. */
static void who_waits_for_a_look_at_a_slow_device_sleeps(void)
{
	const struct quoll_nvme_opts opts = {.recovery = QUOLL_NVME_RESET};
	struct sleeper looks = {.run = check_health}, waits = {.run = want_reset};

	fixture_init(&fx);
	fx.fake.pci.bar_by_message = true;
	open_with(&opts, 1);
	fx.nvme->shared.last_check = fx.nvme->shared.last_csts = 0; /* it will look */
	pthread_mutex_lock(&fx.fake.pci.lock);			    /* and not be answered */
	CU_ASSERT_EQUAL_FATAL(pthread_create(&looks.thread, NULL, sleeper_main, &looks), 0);
	CU_ASSERT_TRUE(falls_asleep(&looks));
	CU_ASSERT_EQUAL_FATAL(pthread_create(&waits.thread, NULL, sleeper_main, &waits), 0);
	CU_ASSERT_TRUE(falls_asleep(&waits));
	pthread_mutex_unlock(&fx.fake.pci.lock);
	pthread_join(looks.thread, NULL);
	pthread_join(waits.thread, NULL);
	CU_ASSERT_EQUAL(fx.nvme->shared.reset_wanted, 1);
	fixture_fini(&fx);
}

/* CIDs of the largest queue there is. */
static void the_largest_queue_tells_generations_apart(void)
{
	static struct quoll_nvme_completion comps[8];
	struct quoll_nvme_opts opts = {.max_io_queues = 64};
	const struct quoll_nvme_queue_opts queue_opts = {.entries = 65536};
	struct quoll_nvme_queue_stats stats;
	unsigned int nr = 0;
	uint16_t first;

	fixture_init(&fx);
	fx.fake.cap |= 65535;
	fx.fake.id.mdts = 2;
	fixture_open_queues(&fx, &opts, &queue_opts, &fx.queue, 1);
	fx.fake.mute_io = true;
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf, 0, 1, 5), 0);
	quoll_nvme_submit(fx.queue);
	first = fake_nvme_sqe(&fx.fake, 1, 0)->cmd.cid;
	fake_nvme_post(&fx.fake, 1, (struct nvme_cqe){.sqhd_sqid = 1 | 1u << 16, .cid_status = first});
	CU_ASSERT_EQUAL(quoll_nvme_poll(fx.queue, comps, 8), 1);
	/* Its slot's next user: an answer to the first is none to it. */
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf, 0, 1, 6), 0);
	quoll_nvme_submit(fx.queue);
	CU_ASSERT_NOT_EQUAL(fake_nvme_sqe(&fx.fake, 1, 1)->cmd.cid, first);
	fake_nvme_post(&fx.fake, 1, (struct nvme_cqe){.sqhd_sqid = 2 | 1u << 16, .cid_status = first});
	CU_ASSERT_EQUAL(quoll_nvme_poll(fx.queue, comps, 8), 0);
	quoll_nvme_queue_stats(fx.queue, &stats);
	CU_ASSERT_EQUAL(stats.bad_cid, 1);
	CU_ASSERT_EQUAL(stats.in_flight, 1);
	/* So half of the ring is the most that is in flight. */
	while (!quoll_nvme_prep_read(fx.queue, 1, fx.buf, 0, 1, nr))
		nr++;
	CU_ASSERT_EQUAL(nr, 32766);
	fx.fake.mute_io = false;
	quoll_nvme_submit(fx.queue);
	for (unsigned int i = 0; i < 32767; i += 8)
		fixture_collect(&fx, fx.queue, comps, i < 32760 ? 8 : 7);
	quoll_nvme_queue_stats(fx.queue, &stats);
	CU_ASSERT_EQUAL(stats.in_flight, 0);
	CU_ASSERT_EQUAL(stats.bad_cid, 2); /* the fake has answered the first command as well, by now */
	fixture_fini(&fx);
}

static const struct unit_test tests[] = {
	{"a reset in the middle of a queue's creation is made up for",
	 a_reset_in_the_middle_of_a_queues_creation_is_made_up_for},
	{"a queue that is cut off again and again says so", a_queue_that_is_cut_off_again_and_again_says_so},
	{"a reset in the middle of a queue's end is its end", a_reset_in_the_middle_of_a_queues_end_is_its_end},
	{"a controller that resets do not mend is given up", a_controller_that_resets_do_not_mend_is_given_up},
	{"resets far apart, or asked for, are no reason", resets_far_apart_or_asked_for_are_no_reason},
	{"max_resets out of range are refused", max_resets_out_of_range_are_refused},
	{"namespaces that no queue uses any more are freed", namespaces_that_no_queue_uses_any_more_are_freed},
	{"a queue made again has the namespaces that there are now",
	 a_queue_made_again_has_the_namespaces_that_there_are_now},
	{"a device that writes on holds no queue", a_device_that_writes_on_holds_no_queue},
	{"a command is cut off before it is fetched", a_command_is_cut_off_before_it_is_fetched},
	{"a controller is cut off before it sees that it is enabled",
	 a_controller_is_cut_off_before_it_sees_that_it_is_enabled},
	{"aborts leave room for other commands", aborts_leave_room_for_other_commands},
	{"a command that finds no room is late like any other", a_command_that_finds_no_room_is_late_like_any_other},
	{"who waits for a look at a slow device sleeps", who_waits_for_a_look_at_a_slow_device_sleeps},
	{"the largest queue tells generations apart", the_largest_queue_tells_generations_apart},
};

UNIT_MAIN("nvme bounds", tests)
