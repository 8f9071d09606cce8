/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_reset.c - controller resets: what becomes of requests, of namespaces and of queues, and controllers that fail in
 * the middle. One thread does everything here; test_reset_threads.c has several.
 */
#include <errno.h>
#include <string.h>

#include "nvme/nvme_internal.h"
#include "nvme_fixture.h"
#include "unit.h"

#define MS 1000000ull

static struct nvme_fixture fx;
static struct quoll_nvme_queue *queues[4];

static void open_queues(enum quoll_nvme_on_reset on_reset, unsigned int entries, unsigned int nr)
{
	const struct quoll_nvme_opts opts = {.max_io_queues = 4, .recovery = QUOLL_NVME_RESET};
	const struct quoll_nvme_queue_opts queue_opts = {.entries = entries, .on_reset = on_reset};

	fixture_open_queues(&fx, &opts, &queue_opts, queues, nr);
	fx.queue = queues[0];
}

static void open_with(enum quoll_nvme_on_reset on_reset, unsigned int entries)
{
	fixture_init(&fx);
	open_queues(on_reset, entries, 1);
}

static struct quoll_nvme_state state_now(void)
{
	struct quoll_nvme_state state;

	quoll_nvme_state(fx.nvme, &state);
	return state;
}

static struct quoll_nvme_queue_stats stats_of(const struct quoll_nvme_queue *queue)
{
	struct quoll_nvme_queue_stats stats;

	quoll_nvme_queue_stats(queue, &stats);
	return stats;
}

static void send_read(uint64_t lba, uint32_t nr_lbas, uint64_t user_data)
{
	CU_ASSERT_EQUAL_FATAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf, lba, nr_lbas, user_data), 0);
	quoll_nvme_submit(fx.queue);
}

/* The queue's thread knows of the last reset, and has it behind it. */
static bool queue_is_back(void)
{
	return fx.queue->reset_nr == fx.nvme->shared.reset_nr && !fx.queue->paused;
}

static bool is_reset(void)
{
	return state_now().resets && queue_is_back();
}

static bool is_dead(void)
{
	return state_now().phase == QUOLL_NVME_DEAD;
}

static bool one_is_back(void)
{
	return fx.nr_comps;
}

static unsigned int nr_awaited;

static bool all_are_back(void)
{
	return fx.nr_comps >= nr_awaited;
}

static void run_until_back(unsigned int nr)
{
	nr_awaited = nr;
	fixture_run(&fx, fx.queue, all_are_back);
	CU_ASSERT_EQUAL(fx.nr_comps, nr);
}

/* Every request came back once, with @error. */
static void all_failed_with(int error, unsigned int nr)
{
	uint32_t seen = 0;

	for (unsigned int i = 0; i < nr; i++) {
		CU_ASSERT_EQUAL(fx.comps[i].error, error);
		seen |= 1u << fx.comps[i].user_data;
	}
	CU_ASSERT_EQUAL(seen, (1u << nr) - 1);
}

static void io_works(void)
{
	struct quoll_nvme_completion comp;

	for (unsigned int i = 0; i < 40; i++) {
		memset(fx.buf, (int)i + 1, 512);
		CU_ASSERT_EQUAL_FATAL(quoll_nvme_prep_write(fx.queue, 1, fx.buf, 8, 1, i), 0);
		quoll_nvme_submit(fx.queue);
		fixture_collect(&fx, fx.queue, &comp, 1);
		CU_ASSERT_EQUAL(comp.user_data, i);
		CU_ASSERT_EQUAL(comp.error | comp.status, 0);
		CU_ASSERT_EQUAL(fx.fake.ns[0].disk[8 * 512], i + 1);
	}
	CU_ASSERT_EQUAL(stats_of(fx.queue).bad_cid, 0);
}

/* A plain request, a split one whose parts are partly unsent, and one that was prepared and not submitted. */
static void send_three_kinds(void)
{
	fx.fake.hold_io = true;
	send_read(0, 1, 0);
	send_read(0, 8192, 1);
	CU_ASSERT_EQUAL(quoll_nvme_prep_flush(fx.queue, 1, 2), 0);
	fake_nvme_step(&fx.fake);
}

static void a_reset_hands_everything_back_and_io_goes_on(void)
{
	open_with(QUOLL_NVME_RESET_FAIL, 16);
	send_three_kinds();
	CU_ASSERT_EQUAL(quoll_nvme_reset(fx.nvme), 0);
	CU_ASSERT_EQUAL(quoll_nvme_reset(fx.nvme), 0); /* it is under way */
	CU_ASSERT_EQUAL(state_now().phase, QUOLL_NVME_RESETTING);
	run_until_back(3);
	all_failed_with(-ECANCELED, 3);
	CU_ASSERT_EQUAL(quoll_nvme_ctrl_poll(fx.nvme), 1);
	fixture_run(&fx, fx.queue, is_reset);
	CU_ASSERT_EQUAL(fx.fake.nr_disables, 1);
	CU_ASSERT_EQUAL(state_now().phase, QUOLL_NVME_RUNNING);
	CU_ASSERT_EQUAL(stats_of(fx.queue).in_flight, 0);
	fx.fake.hold_io = false;
	io_works();
	CU_ASSERT_EQUAL(quoll_nvme_ctrl_poll(fx.nvme), 0);
	CU_ASSERT_EQUAL(state_now().ns_changes, 0);
	fixture_fini(&fx);
	CU_ASSERT_EQUAL(fx.close_rc, 0);
}

/* The queue's thread is told in a poll; before that it may go on, and after that prep says so. */
static void prep_says_eagain_until_the_queue_is_back(void)
{
	open_with(QUOLL_NVME_RESET_FAIL, 16);
	CU_ASSERT_EQUAL(quoll_nvme_reset(fx.nvme), 0);
	while (!fx.queue->paused)
		CU_ASSERT_EQUAL(quoll_nvme_poll(fx.queue, fx.comps, 1), 0);
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf, 0, 1, 0), -EAGAIN);
	CU_ASSERT_EQUAL(quoll_nvme_prep_write(fx.queue, 1, fx.buf, 0, 4096, 0), -EAGAIN);
	CU_ASSERT_EQUAL(quoll_nvme_prep_flush(fx.queue, 1, 0), -EAGAIN);
	quoll_nvme_submit(fx.queue);
	fixture_run(&fx, fx.queue, is_reset);
	io_works();
	fixture_fini(&fx);
}

static void nothing_comes_back_before_the_device_is_cut_off(void)
{
	open_with(QUOLL_NVME_RESET_FAIL, 16);
	fx.fake.hold_io = true;
	send_read(0, 1, 0);
	fake_nvme_step(&fx.fake);
	fx.fake.never_disabled = true;
	CU_ASSERT_EQUAL(quoll_nvme_reset(fx.nvme), 0);
	while (fx.nvme->reset.stage != NVME_RESET_DISABLE || !fx.queue->paused) {
		(void)quoll_nvme_ctrl_poll(fx.nvme);
		CU_ASSERT_EQUAL_FATAL(quoll_nvme_poll(fx.queue, fx.comps, 1), 0);
	}
	for (unsigned int i = 0; i < 100; i++) {
		fake_nvme_step(&fx.fake);
		(void)quoll_nvme_ctrl_poll(fx.nvme);
		CU_ASSERT_EQUAL_FATAL(quoll_nvme_poll(fx.queue, fx.comps, 1), 0);
	}
	/* Now it has been. */
	fx.fake.never_disabled = false;
	run_until_back(1);
	CU_ASSERT_EQUAL(fx.fake.nr_disables, 1);
	fixture_run(&fx, fx.queue, is_reset);
	fixture_fini(&fx);
}

static void what_was_answered_before_the_reset_is_an_answer(void)
{
	open_with(QUOLL_NVME_RESET_FAIL, 16);
	for (unsigned int i = 0; i < 10; i++)
		send_read(i, 1, i);
	fake_nvme_step(&fx.fake);
	CU_ASSERT_EQUAL(quoll_nvme_reset(fx.nvme), 0);
	while (fx.nvme->shared.stopped_nr != fx.nvme->shared.reset_nr) {
		(void)quoll_nvme_ctrl_poll(fx.nvme);
		fake_nvme_step(&fx.fake);
	}
	run_until_back(10);
	all_failed_with(0, 10);
	fixture_run(&fx, fx.queue, is_reset);
	io_works();
	fixture_fini(&fx);
}

static void requests_are_sent_again_if_the_queue_was_made_so(void)
{
	open_with(QUOLL_NVME_RESET_RESUBMIT, 16);
	send_three_kinds();
	CU_ASSERT_EQUAL(quoll_nvme_reset(fx.nvme), 0);
	fixture_run(&fx, fx.queue, is_reset);
	CU_ASSERT_EQUAL(fx.nr_comps, 0);
	CU_ASSERT(stats_of(fx.queue).resubmitted > 3);
	fx.fake.hold_io = false;
	fake_nvme_release(&fx.fake);
	run_until_back(3);
	all_failed_with(0, 3);
	CU_ASSERT_EQUAL(memcmp(fx.buf, fx.fake.ns[0].disk, 8192 * 512), 0);
	CU_ASSERT_EQUAL(stats_of(fx.queue).in_flight, 0);
	CU_ASSERT_EQUAL(stats_of(fx.queue).submitted, 1 + 32 + 1);
	io_works();
	fixture_fini(&fx);
}

static bool hold_lba_0(struct fake_nvme *fake, uint16_t qid, const union nvme_sq_slot *sqe)
{
	(void)fake;
	(void)qid;
	return sqe->rw.slba == 0;
}

/* Its entry in the ring was overwritten long ago, by others that came and went. */
static void a_request_that_was_overtaken_many_times_is_sent_again_as_it_was(void)
{
	open_with(QUOLL_NVME_RESET_RESUBMIT, 8);
	fx.fake.on_hold = hold_lba_0;
	fixture_fill_random(&fx, fx.buf + 65536, 32768);
	CU_ASSERT_EQUAL(quoll_nvme_prep_write(fx.queue, 1, fx.buf + 65536, 0, 64, 77), 0);
	quoll_nvme_submit(fx.queue);
	for (unsigned int i = 0; i < 30; i++) {
		send_read(1 + i, 1, i);
		fixture_collect(&fx, fx.queue, fx.comps, 1);
	}
	CU_ASSERT_EQUAL(quoll_nvme_reset(fx.nvme), 0);
	fixture_run(&fx, fx.queue, is_reset);
	CU_ASSERT_NOT_EQUAL(memcmp(fx.fake.ns[0].disk, fx.buf + 65536, 32768), 0);
	fx.fake.on_hold = NULL;
	fake_nvme_release(&fx.fake);
	run_until_back(1);
	CU_ASSERT_EQUAL(fx.comps[0].user_data, 77);
	CU_ASSERT_EQUAL(fx.comps[0].error | fx.comps[0].status, 0);
	CU_ASSERT_EQUAL(memcmp(fx.fake.ns[0].disk, fx.buf + 65536, 32768), 0);
	fixture_fini(&fx);
}

static unsigned int resets_awaited;

static bool resets_are_done(void)
{
	return state_now().resets == resets_awaited && queue_is_back();
}

static void a_request_is_sent_again_three_times_at_most(void)
{
	open_with(QUOLL_NVME_RESET_RESUBMIT, 8);
	fx.fake.hold_io = true;
	send_read(0, 1, 0);
	for (resets_awaited = 1; resets_awaited <= 4; resets_awaited++) {
		fake_nvme_step(&fx.fake);
		CU_ASSERT_EQUAL(fx.nr_comps, 0);
		CU_ASSERT_EQUAL(quoll_nvme_reset(fx.nvme), 0);
		fixture_run(&fx, fx.queue, resets_are_done);
	}
	CU_ASSERT_EQUAL(fx.nr_comps, 1);
	CU_ASSERT_EQUAL(fx.comps[0].error, -ECANCELED);
	CU_ASSERT_EQUAL(stats_of(fx.queue).resubmitted, 3);
	/* The slot's next request begins anew. */
	fx.nr_comps = 0;
	send_read(0, 1, 0);
	fake_nvme_step(&fx.fake);
	CU_ASSERT_EQUAL(quoll_nvme_reset(fx.nvme), 0);
	fixture_run(&fx, fx.queue, resets_are_done);
	CU_ASSERT_EQUAL(fx.nr_comps, 0);
	fixture_fini(&fx);
}

static void a_late_answer_from_before_is_none_to_what_was_sent_again(void)
{
	uint16_t cid;

	open_with(QUOLL_NVME_RESET_RESUBMIT, 8);
	fx.fake.hold_io = true;
	send_read(0, 1, 0);
	cid = fake_nvme_sqe(&fx.fake, 1, 0)->cmd.cid;
	CU_ASSERT_EQUAL(quoll_nvme_reset(fx.nvme), 0);
	fixture_run(&fx, fx.queue, is_reset);
	fake_nvme_step(&fx.fake);
	fake_nvme_post(&fx.fake, 1, (struct nvme_cqe){.sqhd_sqid = 1 | 1u << 16, .cid_status = cid});
	CU_ASSERT_EQUAL(quoll_nvme_poll(fx.queue, fx.comps, 8), 0);
	CU_ASSERT_EQUAL(stats_of(fx.queue).bad_cid, 1);
	fake_nvme_release(&fx.fake);
	run_until_back(1);
	CU_ASSERT_EQUAL(fx.comps[0].error, 0);
	fixture_fini(&fx);
}

static void fatal_status_and_lost_readiness_are_mended_by_a_reset(void)
{
	for (int lost = 0; lost < 2; lost++) {
		open_with(QUOLL_NVME_RESET_FAIL, 16);
		fx.nr_comps = 0;
		fx.fake.hold_io = true;
		send_read(0, 1, 0);
		fake_nvme_step(&fx.fake);
		if (lost)
			fake_nvme_reset_itself(&fx.fake);
		else
			fake_nvme_set_fatal(&fx.fake);
		run_until_back(1);
		all_failed_with(-ECANCELED, 1);
		fixture_run(&fx, fx.queue, is_reset);
		fx.fake.hold_io = false;
		io_works();
		fixture_fini(&fx);
		CU_ASSERT_EQUAL(fx.close_rc, 0);
	}
}

/* Whatever goes wrong in the middle: dead, cut off, and all is handed back. Made wrong by @spoil before the reset. */
static void dies_in_reset(void (*spoil)(void), int error)
{
	for (int again = 0; again < 2; again++) {
		open_with(again ? QUOLL_NVME_RESET_RESUBMIT : QUOLL_NVME_RESET_FAIL, 16);
		fx.nr_comps = 0;
		fx.nvme->ready_timeout_ns = 1000 * MS;
		send_three_kinds();
		spoil();
		CU_ASSERT_EQUAL(quoll_nvme_reset(fx.nvme), 0);
		run_until_back(3);
		fixture_run(&fx, fx.queue, is_dead);
		/* With FAIL the reset may have handed back before it failed. */
		for (unsigned int i = 0; i < 3; i++)
			CU_ASSERT(fx.comps[i].error == error || (!again && fx.comps[i].error == -ECANCELED));
		CU_ASSERT_EQUAL(state_now().error, error);
		CU_ASSERT_EQUAL(quoll_nvme_ctrl_poll(fx.nvme), error);
		CU_ASSERT_FALSE(fake_pci_bus_master(&fx.fake.pci) && error != -ENODEV);
		for (unsigned int i = 0; i < 100000 && !fx.queue->dead; i++)
			CU_ASSERT_EQUAL_FATAL(quoll_nvme_poll(fx.queue, fx.comps, 8), 0);
		CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf, 0, 1, 0), -ENODEV);
		fixture_fini(&fx);
		CU_ASSERT_NOT_EQUAL(fx.close_rc, 0);
	}
}

static void spoil_never_disabled(void)
{
	fx.fake.never_disabled = true;
}

static void spoil_never_ready(void)
{
	fx.fake.never_ready = true;
}

static void spoil_fatal(void)
{
	fx.fake.fatal_on_enable = true;
}

static void spoil_mute(void)
{
	fx.nvme->admin.timeout_ns = 50 * MS;
	fx.fake.mute_admin = true;
}

static void spoil_create(void)
{
	fx.fake.refuses = true;
	fx.fake.refused_opcode = nvme_admin_create_cq;
}

static void spoil_identify(void)
{
	fx.fake.refuses = true;
	fx.fake.refused_opcode = nvme_admin_identify;
}

static void spoil_serial(void)
{
	fx.fake.id.sn[0] = 'X';
}

static void spoil_caps(void)
{
	fx.fake.pci.bar[NVME_REG_CAP] ^= 1;
}

static uint16_t unsorted(struct fake_nvme *fake, uint8_t cns, uint32_t nsid, void *page)
{
	(void)fake;
	(void)nsid;
	if (cns == NVME_IDENTIFY_CNS_NS_ACTIVE_LIST)
		memcpy(page, (uint32_t[2]){5, 3}, 8);
	return 0;
}

static void spoil_list(void)
{
	fx.fake.on_identify = unsorted;
}

static void spoil_yank(void)
{
	fake_pci_yank(&fx.fake.pci);
}

static uint16_t yank_in_identify(struct fake_nvme *fake, uint8_t cns, uint32_t nsid, void *page)
{
	(void)cns;
	(void)nsid;
	(void)page;
	memset(fake->pci.config, 0xff, sizeof(fake->pci.config));
	for (uint64_t i = 0; i < fake->pci.bar_bytes; i += 4)
		fake_pci_reg_set(&fake->pci, i, UINT32_MAX);
	return 0;
}

static void spoil_yank_in_identify(void)
{
	fx.fake.on_identify = yank_in_identify;
}

static void spoil_request(void)
{
	fake_pci_request_removal(&fx.fake.pci);
}

static void a_controller_that_is_never_disabled_is_given_up(void)
{
	dies_in_reset(spoil_never_disabled, -EIO);
}

static void a_controller_that_is_never_ready_again_is_given_up(void)
{
	dies_in_reset(spoil_never_ready, -EIO);
}

static void a_controller_that_is_fatal_again_is_given_up(void)
{
	dies_in_reset(spoil_fatal, -EIO);
}

static void a_controller_that_fails_a_command_of_the_reset_is_given_up(void)
{
	dies_in_reset(spoil_mute, -EIO);
	dies_in_reset(spoil_identify, -EIO);
	dies_in_reset(spoil_create, -EIO);
	dies_in_reset(spoil_list, -EIO);
}

static void a_controller_that_is_another_one_is_given_up(void)
{
	dies_in_reset(spoil_serial, -EIO);
	dies_in_reset(spoil_caps, -EIO);
}

static void a_device_that_vanishes_in_a_reset_is_gone(void)
{
	dies_in_reset(spoil_yank, -ENODEV);
	dies_in_reset(spoil_request, -ENODEV);
	dies_in_reset(spoil_yank_in_identify, -ENODEV);
}

static void fewer_queues_are_enough_if_they_are_not_there(void)
{
	fixture_init(&fx);
	open_queues(QUOLL_NVME_RESET_FAIL, 16, 1);
	fx.fake.queues_less_1 = 0;
	CU_ASSERT_EQUAL(quoll_nvme_reset(fx.nvme), 0);
	fixture_run(&fx, fx.queue, is_reset);
	io_works();
	fixture_fini(&fx);
	fixture_init(&fx);
	open_queues(QUOLL_NVME_RESET_FAIL, 16, 2);
	fx.fake.queues_less_1 = 0;
	CU_ASSERT_EQUAL(quoll_nvme_reset(fx.nvme), 0);
	fixture_run(&fx, fx.queue, is_dead);
	fixture_fini(&fx);
}

static void namespaces_are_as_they_are_after_the_reset(void)
{
	const struct nvme_id_ns *was;
	struct quoll_nvme_ns_info ns;

	fixture_init(&fx);
	fake_nvme_add_ns(&fx.fake, 2, 100, 12, 0);
	fake_nvme_add_ns(&fx.fake, 5, 100, 12, 0);
	open_queues(QUOLL_NVME_RESET_FAIL, 16, 1);
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 2, fx.buf, 99, 1, 0), 0);
	/* One has half its size, one is gone, one is new. */
	fx.fake.ns[1].nr_lbas = 50;
	fx.fake.ns[2].nsid = 70;
	CU_ASSERT_EQUAL(quoll_nvme_reset(fx.nvme), 0);
	fixture_run(&fx, fx.queue, is_reset);
	CU_ASSERT_EQUAL(state_now().ns_changes, 1);
	CU_ASSERT_EQUAL(quoll_nvme_ns_find(fx.nvme, 2, &ns), 0);
	CU_ASSERT_EQUAL(ns.nr_lbas, 50);
	CU_ASSERT_EQUAL(quoll_nvme_ns_find(fx.nvme, 5, &ns), -ENOENT);
	CU_ASSERT_EQUAL(quoll_nvme_ns_find(fx.nvme, 70, &ns), 0);
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 2, fx.buf, 99, 1, 0), -ERANGE);
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 2, fx.buf, 49, 1, 0), 0);
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 5, fx.buf, 0, 1, 0), -ENOENT);
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 70, fx.buf, 0, 1, 0), 0);
	/* Unchanged: pointers too. */
	was = quoll_nvme_id_ns(fx.nvme, 2);
	resets_awaited = 2;
	CU_ASSERT_EQUAL(quoll_nvme_reset(fx.nvme), 0);
	fixture_run(&fx, fx.queue, resets_are_done);
	CU_ASSERT_EQUAL(state_now().ns_changes, 1);
	CU_ASSERT_PTR_EQUAL(quoll_nvme_id_ns(fx.nvme, 2), was);
	fixture_fini(&fx);
}

static void if_namespaces_have_changed_nothing_is_sent_again(void)
{
	open_with(QUOLL_NVME_RESET_RESUBMIT, 16);
	send_three_kinds();
	fx.fake.ns[0].nr_lbas = 8192;
	CU_ASSERT_EQUAL(quoll_nvme_reset(fx.nvme), 0);
	run_until_back(3);
	all_failed_with(-ESTALE, 3);
	fixture_run(&fx, fx.queue, is_reset);
	CU_ASSERT_EQUAL(stats_of(fx.queue).resubmitted, 0);
	fx.fake.hold_io = false;
	io_works();
	fixture_fini(&fx);
}

static void a_formatted_namespace_is_usable_after_a_reset(void)
{
	struct quoll_nvme_cmd cmd = {.opcode = nvme_admin_format_nvm, .nsid = 1};

	open_with(QUOLL_NVME_RESET_FAIL, 16);
	CU_ASSERT_EQUAL(fixture_admin(&fx, &cmd, NULL), 0);
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf, 0, 1, 0), -ESTALE);
	CU_ASSERT_EQUAL(quoll_nvme_reset(fx.nvme), 0);
	fixture_run(&fx, fx.queue, is_reset);
	io_works();
	fixture_fini(&fx);
}

static void a_queue_that_nobody_polls_holds_up_nobody(void)
{
	struct quoll_nvme_completion comp;

	fixture_init(&fx);
	open_queues(QUOLL_NVME_RESET_FAIL, 16, 2);
	fx.fake.hold_io = true;
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(queues[1], 1, fx.buf, 0, 1, 9), 0);
	quoll_nvme_submit(queues[1]);
	fake_nvme_step(&fx.fake);
	fx.fake.hold_io = false;
	CU_ASSERT_EQUAL(quoll_nvme_reset(fx.nvme), 0);
	fixture_run(&fx, fx.queue, is_reset);
	io_works();
	/* Two resets later it is polled again. */
	resets_awaited = 2;
	CU_ASSERT_EQUAL(quoll_nvme_reset(fx.nvme), 0);
	fixture_run(&fx, fx.queue, resets_are_done);
	fx.queue = queues[1];
	run_until_back(1);
	CU_ASSERT_EQUAL(fx.comps[0].error, -ECANCELED);
	fixture_run(&fx, fx.queue, is_reset);
	io_works();
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(queues[0], 1, fx.buf, 0, 1, 9), 0);
	quoll_nvme_submit(queues[0]);
	fixture_collect(&fx, queues[0], &comp, 1);
	CU_ASSERT_EQUAL(comp.error | comp.status, 0);
	fixture_fini(&fx);
}

static void set_up_calls_wait_for_the_end_of_a_reset(void)
{
	struct quoll_nvme_cmd cmd = {.opcode = 0xc2, .cdw10 = 16, .data_bytes = 16};
	uint32_t result = 0;

	fixture_init(&fx);
	open_queues(QUOLL_NVME_RESET_FAIL, 16, 2);
	cmd.data = fx.buf;
	CU_ASSERT_EQUAL(quoll_nvme_reset(fx.nvme), 0);
	CU_ASSERT_EQUAL(fixture_admin(&fx, &cmd, &result), 0);
	CU_ASSERT_EQUAL(state_now().resets, 1);
	CU_ASSERT_EQUAL(result, 0x1234);
	CU_ASSERT_EQUAL(quoll_nvme_reset(fx.nvme), 0);
	fixture_queue_destroy(&fx, queues[1]); /* paused, it is not even on the device */
	CU_ASSERT_EQUAL(state_now().resets, 2);
	CU_ASSERT_EQUAL(fx.fake.nr_deleted_sqs, 0);
	CU_ASSERT_EQUAL(quoll_nvme_reset(fx.nvme), 0);
	queues[1] = fixture_queue(&fx, 16);
	CU_ASSERT_EQUAL(state_now().resets, 3);
	resets_awaited = 3;
	fixture_run(&fx, fx.queue, resets_are_done);
	io_works();
	fx.queue = queues[1];
	io_works();
	CU_ASSERT_EQUAL(quoll_nvme_reset(fx.nvme), 0);
	fixture_fini(&fx); /* closes in the middle of it */
	CU_ASSERT_EQUAL(fx.close_rc, 0);
}

/* The caller gets its buffer back only after the device was cut off; then the reset goes on by itself. */
static void an_admin_time_out_resets_the_controller(void)
{
	struct quoll_nvme_cmd cmd = {.opcode = 0xc2, .cdw10 = 16, .data_bytes = 16};

	open_with(QUOLL_NVME_RESET_FAIL, 16);
	cmd.data = fx.buf;
	fx.nvme->admin.timeout_ns = 50 * MS;
	fx.fake.mute_opcode = cmd.opcode;
	CU_ASSERT_EQUAL(fixture_admin(&fx, &cmd, NULL), -ETIMEDOUT);
	CU_ASSERT_EQUAL(fx.fake.nr_disables, 1);
	CU_ASSERT_EQUAL(state_now().phase, QUOLL_NVME_RESETTING);
	fx.nvme->admin.timeout_ns = 10000 * MS;
	fx.fake.mute_opcode = 0;
	fixture_run(&fx, fx.queue, is_reset);
	CU_ASSERT_EQUAL(fixture_admin(&fx, &cmd, NULL), 0);
	io_works();
	fixture_fini(&fx);
	CU_ASSERT_EQUAL(fx.close_rc, 0);
}

static void an_admin_command_that_a_reset_cuts_off_says_so(void)
{
	struct quoll_nvme_cmd cmd = {.opcode = 0xc2, .cdw10 = 16, .data_bytes = 16};

	open_with(QUOLL_NVME_RESET_FAIL, 16);
	cmd.data = fx.buf;
	fx.fake.mute_opcode = cmd.opcode;
	nvme_ctrl_want_reset(fx.nvme); /* as a queue's thread does, for a late command */
	CU_ASSERT_EQUAL(fixture_admin(&fx, &cmd, NULL), -ECANCELED);
	CU_ASSERT_EQUAL(fx.fake.nr_disables, 1);
	fx.fake.mute_opcode = 0;
	fixture_run(&fx, fx.queue, is_reset);
	fixture_fini(&fx);
}

static void with_registers_by_message_it_is_the_same(void)
{
	for (int again = 0; again < 2; again++) {
		fixture_init(&fx);
		fx.fake.pci.bar_by_message = true;
		open_queues(again ? QUOLL_NVME_RESET_RESUBMIT : QUOLL_NVME_RESET_FAIL, 16, 1);
		fx.nr_comps = 0;
		fx.fake.hold_io = true;
		send_read(0, 1, 0);
		fake_nvme_step(&fx.fake);
		CU_ASSERT_EQUAL(quoll_nvme_reset(fx.nvme), 0);
		fixture_run(&fx, fx.queue, is_reset);
		fx.fake.hold_io = false;
		fake_nvme_release(&fx.fake);
		run_until_back(1);
		CU_ASSERT_EQUAL(fx.comps[0].error, again ? 0 : -ECANCELED);
		io_works();
		fixture_fini(&fx);
	}
}

/* A thread that polled is gone in the middle of a reset. */
static void a_queue_whose_reset_nobody_carries_on_is_given_up(void)
{
	const struct quoll_nvme_opts opts = {.io_timeout_ms = 50, .recovery = QUOLL_NVME_TELL};

	fixture_init(&fx);
	fixture_open_queues(&fx, &opts, NULL, &fx.queue, 1);
	fx.fake.hold_io = true;
	send_read(0, 1, 0);
	fake_nvme_step(&fx.fake);
	CU_ASSERT_EQUAL(quoll_nvme_reset(fx.nvme), 0);
	for (uint64_t i = 0; !one_is_back() && i < 1000000000; i++)
		fx.nr_comps += quoll_nvme_poll(fx.queue, fx.comps, 8);
	CU_ASSERT_EQUAL(fx.comps[0].error, -EIO);
	CU_ASSERT_FALSE(fake_pci_bus_master(&fx.fake.pci));
	fixture_fini(&fx);
}

static const struct unit_test tests[] = {
	{"a reset hands everything back, and I/O goes on", a_reset_hands_everything_back_and_io_goes_on},
	{"prep says EAGAIN until the queue is back", prep_says_eagain_until_the_queue_is_back},
	{"nothing comes back before the device is cut off", nothing_comes_back_before_the_device_is_cut_off},
	{"what was answered before the reset is an answer", what_was_answered_before_the_reset_is_an_answer},
	{"requests are sent again, if the queue was made so", requests_are_sent_again_if_the_queue_was_made_so},
	{"a request that was overtaken many times is sent again as it was",
	 a_request_that_was_overtaken_many_times_is_sent_again_as_it_was},
	{"a request is sent again three times at most", a_request_is_sent_again_three_times_at_most},
	{"a late answer from before is none to what was sent again",
	 a_late_answer_from_before_is_none_to_what_was_sent_again},
	{"fatal status and lost readiness are mended by a reset",
	 fatal_status_and_lost_readiness_are_mended_by_a_reset},
	{"a controller that is never disabled is given up", a_controller_that_is_never_disabled_is_given_up},
	{"a controller that is never ready again is given up", a_controller_that_is_never_ready_again_is_given_up},
	{"a controller that is fatal again is given up", a_controller_that_is_fatal_again_is_given_up},
	{"a controller that fails a command of the reset is given up",
	 a_controller_that_fails_a_command_of_the_reset_is_given_up},
	{"a controller that is another one is given up", a_controller_that_is_another_one_is_given_up},
	{"a device that vanishes in a reset is gone", a_device_that_vanishes_in_a_reset_is_gone},
	{"fewer queues are enough if they are not there", fewer_queues_are_enough_if_they_are_not_there},
	{"namespaces are as they are after the reset", namespaces_are_as_they_are_after_the_reset},
	{"if namespaces have changed nothing is sent again", if_namespaces_have_changed_nothing_is_sent_again},
	{"a formatted namespace is usable after a reset", a_formatted_namespace_is_usable_after_a_reset},
	{"a queue that nobody polls holds up nobody", a_queue_that_nobody_polls_holds_up_nobody},
	{"set-up calls wait for the end of a reset", set_up_calls_wait_for_the_end_of_a_reset},
	{"an admin time-out resets the controller", an_admin_time_out_resets_the_controller},
	{"an admin command that a reset cuts off says so", an_admin_command_that_a_reset_cuts_off_says_so},
	{"with registers by message it is the same", with_registers_by_message_it_is_the_same},
	{"a queue whose reset nobody carries on is given up", a_queue_whose_reset_nobody_carries_on_is_given_up},
};

UNIT_MAIN("nvme reset", tests)
