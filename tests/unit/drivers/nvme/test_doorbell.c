/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_doorbell.c - shadow doorbells: when they are used, that registers are written when the controller asks for it
 * and else not, controllers that lie about that, and resets.
 */
#include <errno.h>
#include <string.h>

#include "nvme/nvme_internal.h"
#include "nvme_fixture.h"
#include "unit.h"

#define BATCH 7u

static struct nvme_fixture fx;

/* A controller that offers them; its registers are messages, or only its doorbells are, or nothing is. */
enum mapped { MAPPED, DOORBELLS_BY_MESSAGE, BY_MESSAGE };

static void offer(enum mapped mapped)
{
	fixture_init(&fx);
	fx.fake.id.oacs = quoll_cpu_to_le16(NVME_CTRL_OACS_DBBUF_CFG);
	fx.fake.pci.bar_by_message = mapped == BY_MESSAGE;
	fx.fake.pci.mappable_bytes = mapped == DOORBELLS_BY_MESSAGE ? 4096 : 0;
}

static void open_recovering(enum quoll_nvme_shadow shadow, enum quoll_nvme_on_reset on_reset)
{
	const struct quoll_nvme_opts opts = {.max_io_queues = 4, .recovery = QUOLL_NVME_RESET, .shadow = shadow};
	const struct quoll_nvme_queue_opts queue_opts = {.entries = 16, .on_reset = on_reset};

	fixture_open_queues(&fx, &opts, &queue_opts, &fx.queue, 1);
}

static void open_with(enum quoll_nvme_shadow shadow)
{
	open_recovering(shadow, QUOLL_NVME_RESET_FAIL);
}

static bool has_shadows(void)
{
	struct quoll_nvme_info info;

	quoll_nvme_info(fx.nvme, &info);
	return info.shadow_doorbells;
}

static struct quoll_nvme_queue_stats stats_now(void)
{
	struct quoll_nvme_queue_stats stats;

	quoll_nvme_queue_stats(fx.queue, &stats);
	return stats;
}

/* Batches of writes, each collected before the next; what was written is on the disk. */
static void run_batches(unsigned int nr)
{
	struct quoll_nvme_completion comps[BATCH];
	unsigned int wrong = 0;

	for (unsigned int i = 0; i < nr; i++) {
		fixture_fill_random(&fx, fx.buf, BATCH * 512);
		for (unsigned int j = 0; j < BATCH; j++)
			wrong += quoll_nvme_prep_write(fx.queue, 1, fx.buf + j * 512, j, 1, j) != 0;
		quoll_nvme_submit(fx.queue);
		fixture_collect(&fx, fx.queue, comps, BATCH);
		for (unsigned int j = 0; j < BATCH; j++)
			wrong += comps[j].error || comps[j].status;
		wrong += memcmp(fx.fake.ns[0].disk, fx.buf, BATCH * 512) != 0;
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

static void they_are_used_where_registers_are_messages(void)
{
	static const struct {
		enum mapped mapped;
		enum quoll_nvme_shadow shadow;
		bool used;
	} cases[] = {
		{MAPPED, QUOLL_NVME_SHADOW_AUTO, false},    {DOORBELLS_BY_MESSAGE, QUOLL_NVME_SHADOW_AUTO, true},
		{BY_MESSAGE, QUOLL_NVME_SHADOW_AUTO, true}, {BY_MESSAGE, QUOLL_NVME_SHADOW_NEVER, false},
		{MAPPED, QUOLL_NVME_SHADOW_ALWAYS, true},
	};

	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		offer(cases[i].mapped);
		open_with(cases[i].shadow);
		CU_ASSERT_EQUAL(has_shadows(), cases[i].used);
		CU_ASSERT_EQUAL(fx.fake.nr_dbbufs, cases[i].used);
		run_batches(50);
		CU_ASSERT_EQUAL(fx.fake.sq[1].entries, cases[i].used ? 256 : 16);
		CU_ASSERT_EQUAL(stats_now().spared_doorbells != 0, cases[i].used);
		CU_ASSERT_EQUAL(stats_now().sq_doorbells + stats_now().cq_doorbells + stats_now().spared_doorbells,
				100);
		fixture_fini(&fx);
	}
}

static void controllers_without_are_refused_only_if_one_insists(void)
{
	struct quoll_nvme_opts opts = {.shadow = QUOLL_NVME_SHADOW_ALWAYS};

	offer(BY_MESSAGE);
	fx.fake.id.oacs = 0;
	CU_ASSERT_EQUAL(fixture_open(&fx, &opts), -ENOTSUP);
	fixture_fini(&fx);
	offer(BY_MESSAGE);
	fx.fake.id.oacs = 0;
	open_with(QUOLL_NVME_SHADOW_AUTO);
	CU_ASSERT_FALSE(has_shadows());
	run_batches(3);
	fixture_fini(&fx);
	offer(MAPPED);
	opts.shadow = (enum quoll_nvme_shadow)3;
	CU_ASSERT_EQUAL(fixture_open(&fx, &opts), -EINVAL);
	fixture_fini(&fx);
}

static void a_controller_that_fails_the_command_goes_without(void)
{
	const struct quoll_nvme_opts opts = {.shadow = QUOLL_NVME_SHADOW_ALWAYS};

	offer(BY_MESSAGE);
	fx.fake.refuses = true;
	fx.fake.refused_opcode = nvme_admin_dbbuf;
	open_with(QUOLL_NVME_SHADOW_AUTO);
	CU_ASSERT_FALSE(has_shadows());
	run_batches(3);
	fixture_fini(&fx);
	offer(BY_MESSAGE);
	fx.fake.refuses = true;
	fx.fake.refused_opcode = nvme_admin_dbbuf;
	CU_ASSERT_EQUAL(fixture_open(&fx, &opts), -EIO);
	fixture_fini(&fx);
}

static unsigned int access_to(quoll_iova_t iova)
{
	for (unsigned int i = 0; i < fx.fake.pci.nr_maps; i++) {
		const struct ioas_mapping *m = &fx.fake.pci.maps[i];

		if (iova >= m->iova && iova - m->iova < m->len_bytes)
			return m->access;
	}
	return 0;
}

static void the_controller_cannot_write_shadows(void)
{
	offer(BY_MESSAGE);
	open_with(QUOLL_NVME_SHADOW_AUTO);
	CU_ASSERT_EQUAL(access_to(fx.fake.shadows), MAP_DEVICE_READ);
	CU_ASSERT_EQUAL(access_to(fx.fake.events), MAP_DEVICE_READ | MAP_DEVICE_WRITE);
	fixture_fini(&fx);
}

/* Its event indices stay 0: once a turn of the ring a register is written. */
static void a_controller_that_is_awake_is_rung_once_a_turn(void)
{
	const unsigned int batches = 2560, turns = batches * BATCH / 256;

	offer(BY_MESSAGE);
	open_with(QUOLL_NVME_SHADOW_AUTO);
	run_batches(batches);
	CU_ASSERT_EQUAL(stats_now().sq_doorbells, turns);
	CU_ASSERT_EQUAL(stats_now().cq_doorbells, turns);
	CU_ASSERT_EQUAL(stats_now().spared_doorbells, 2 * (batches - turns));
	fixture_fini(&fx);
}

static void nap(void)
{
	fake_nvme_step(&fx.fake);
	CU_ASSERT_TRUE_FATAL(fx.fake.asleep);
}

static void a_controller_that_sleeps_is_woken(void)
{
	for (int shadow = 0; shadow < 2; shadow++) {
		offer(shadow ? MAPPED : BY_MESSAGE);
		fx.fake.naps = true;
		open_with(shadow ? QUOLL_NVME_SHADOW_ALWAYS : QUOLL_NVME_SHADOW_AUTO);
		nap();
		for (unsigned int i = 1; i <= 200; i++) {
			run_batches(1);
			CU_ASSERT_EQUAL(stats_now().sq_doorbells, i);
			nap();
		}
		CU_ASSERT(fx.fake.nr_naps > 200);
		fixture_fini(&fx);
	}
}

static void a_second_batch_does_not_ring_again(void)
{
	struct quoll_nvme_completion comps[2];

	offer(BY_MESSAGE);
	fx.fake.naps = true;
	open_with(QUOLL_NVME_SHADOW_AUTO);
	nap();
	for (unsigned int i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf, 0, 1, i), 0);
		quoll_nvme_submit(fx.queue);
	}
	CU_ASSERT_EQUAL(stats_now().sq_doorbells, 1);
	fixture_collect(&fx, fx.queue, comps, 2);
	fixture_fini(&fx);
}

/* By value and by meaning: the event index is one of the values that the doorbell leaves behind. */
static void the_comparison_holds_around_a_rings_end(void)
{
	static const uint32_t sizes[] = {2, 3, 16, 20, 65536};
	static struct quoll_nvme_queue queue;
	unsigned int wrong = 0;
	quoll_le32 shadow, event;
	uint32_t reg;

	queue.bells[0] = (struct nvme_bell){.reg = &reg, .shadow = &shadow, .event = &event};
	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint32_t size = sizes[i], step = size > 1000 ? 4369 : 1;

		for (uint32_t old = 0; old < size; old += step)
			for (uint32_t n = 1; n < size; n += step)
				for (uint32_t at = 0; at < size; at += step) {
					uint32_t value = (old + n) % size;

					shadow = quoll_cpu_to_le32(old);
					event = quoll_cpu_to_le32(at);
					reg = UINT32_MAX;
					nvme_queue_ring(&queue, 0, value);
					wrong += (reg == value) != ((at + size - old) % size < n);
					wrong += quoll_le32_to_cpu(shadow) != value;
				}
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

static void event_indices_that_are_lies_cost_doorbells_only(void)
{
	static const uint16_t lies[] = {1, 255, 256, 257, 0x7fff, 0x8000, 0xfff0, 0xffff};

	for (unsigned int i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		offer(BY_MESSAGE);
		fx.fake.lies = true;
		fx.fake.lie = lies[i];
		open_with(QUOLL_NVME_SHADOW_AUTO);
		run_batches(100);
		CU_ASSERT_EQUAL(stats_now().bad_cid + stats_now().bad_sqid + stats_now().bad_sqhd, 0);
		fixture_fini(&fx);
	}
}

static bool one_is_back(void)
{
	return fx.nr_comps;
}

/* It sleeps, and says that it need not be woken. */
static void a_controller_that_lies_in_its_sleep_has_late_commands(void)
{
	const struct quoll_nvme_opts opts = {.io_timeout_ms = 40};

	offer(BY_MESSAGE);
	fx.fake.naps = fx.fake.lies = true;
	fx.fake.lie = 9000;
	fixture_open_queues(&fx, &opts, NULL, &fx.queue, 1);
	nap();
	fx.nr_comps = 0;
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf, 0, 1, 5), 0);
	quoll_nvme_submit(fx.queue);
	fixture_run(&fx, fx.queue, one_is_back);
	CU_ASSERT_EQUAL(fx.comps[0].user_data, 5);
	CU_ASSERT_EQUAL(fx.comps[0].error, -EIO);
	CU_ASSERT_EQUAL(fx.fake.nr_io, 0);
	fixture_fini(&fx);
}

static void a_queue_that_is_made_again_begins_at_0(void)
{
	offer(BY_MESSAGE);
	open_with(QUOLL_NVME_SHADOW_AUTO);
	for (unsigned int i = 0; i < 5; i++) {
		run_batches(i + 1);
		fixture_queue_destroy(&fx, fx.queue);
		fx.queue = fixture_queue(&fx, 16); /* the fake looks at its shadows */
	}
	fixture_fini(&fx);
}

/* Doorbells 1 KiB apart: those of queue 2 would be on a second page, were there one. */
static void queues_beyond_the_page_have_registers_only(void)
{
	offer(BY_MESSAGE);
	fx.fake.cap |= 8ull << NVME_CAP_DSTRD_SHIFT;
	open_with(QUOLL_NVME_SHADOW_AUTO);
	CU_ASSERT_TRUE(has_shadows());
	run_batches(20);
	CU_ASSERT_NOT_EQUAL(stats_now().spared_doorbells, 0);
	fx.queue = fixture_queue(&fx, 16);
	run_batches(20);
	CU_ASSERT_EQUAL(stats_now().sq_doorbells, 20);
	CU_ASSERT_EQUAL(stats_now().spared_doorbells, 0);
	fixture_fini(&fx);
}

static bool is_reset(void)
{
	return fx.nvme->reset.nr_done && fx.queue->reset_nr == fx.nvme->shared.reset_nr && !fx.queue->paused;
}

static bool is_dead(void)
{
	return nvme_ctrl_dead(fx.nvme);
}

static void after_a_reset_the_controller_is_told_again(void)
{
	for (int again = 0; again < 2; again++) {
		offer(BY_MESSAGE);
		fx.fake.naps = true;
		open_recovering(QUOLL_NVME_SHADOW_AUTO, again ? QUOLL_NVME_RESET_RESUBMIT : QUOLL_NVME_RESET_FAIL);
		run_batches(5);
		fx.nr_comps = 0;
		fx.fake.hold_io = true;
		CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf, 0, 1, 1), 0);
		quoll_nvme_submit(fx.queue);
		fake_nvme_step(&fx.fake);
		CU_ASSERT_EQUAL(quoll_nvme_reset(fx.nvme), 0);
		fixture_run(&fx, fx.queue, is_reset);
		CU_ASSERT_EQUAL(fx.fake.nr_dbbufs, 2);
		CU_ASSERT_TRUE(fx.fake.dbbuf);
		fx.fake.hold_io = false;
		fake_nvme_release(&fx.fake);
		fixture_run(&fx, fx.queue, one_is_back);
		CU_ASSERT_EQUAL(fx.comps[0].error, again ? 0 : -ECANCELED);
		run_batches(50);
		fixture_fini(&fx);
	}
}

static void a_controller_that_refuses_after_a_reset_goes_without(void)
{
	offer(BY_MESSAGE);
	open_with(QUOLL_NVME_SHADOW_AUTO);
	run_batches(5);
	fx.fake.refuses = true;
	fx.fake.refused_opcode = nvme_admin_dbbuf;
	CU_ASSERT_EQUAL(quoll_nvme_reset(fx.nvme), 0);
	fixture_run(&fx, fx.queue, is_reset);
	CU_ASSERT_FALSE(has_shadows());
	run_batches(50);
	fixture_fini(&fx);
}

static void it_is_given_up_if_one_insists(void)
{
	offer(MAPPED);
	open_with(QUOLL_NVME_SHADOW_ALWAYS);
	fx.fake.refuses = true;
	fx.fake.refused_opcode = nvme_admin_dbbuf;
	CU_ASSERT_EQUAL(quoll_nvme_reset(fx.nvme), 0);
	fixture_run(&fx, fx.queue, is_dead);
	fixture_fini(&fx);
}

static const struct unit_test tests[] = {
	{"they are used where registers are messages, or one insists", they_are_used_where_registers_are_messages},
	{"controllers without are refused only if one insists", controllers_without_are_refused_only_if_one_insists},
	{"a controller that fails the command goes without", a_controller_that_fails_the_command_goes_without},
	{"the controller cannot write shadows", the_controller_cannot_write_shadows},
	{"a controller that is awake is rung once a turn of the ring", a_controller_that_is_awake_is_rung_once_a_turn},
	{"a controller that sleeps is woken", a_controller_that_sleeps_is_woken},
	{"a second batch does not ring again", a_second_batch_does_not_ring_again},
	{"the comparison holds around a ring's end", the_comparison_holds_around_a_rings_end},
	{"event indices that are lies cost doorbells only", event_indices_that_are_lies_cost_doorbells_only},
	{"a controller that lies in its sleep has late commands",
	 a_controller_that_lies_in_its_sleep_has_late_commands},
	{"a queue that is made again begins at 0", a_queue_that_is_made_again_begins_at_0},
	{"queues beyond the page have registers only", queues_beyond_the_page_have_registers_only},
	{"after a reset the controller is told again", after_a_reset_the_controller_is_told_again},
	{"a controller that refuses after a reset goes without", a_controller_that_refuses_after_a_reset_goes_without},
	{"it is given up if one insists", it_is_given_up_if_one_insists},
};

UNIT_MAIN("nvme shadow doorbells", tests)
