/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_hostile.c - completions that lie, and controllers that die under I/O.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "nvme/nvme_internal.h"
#include "nvme_fixture.h"
#include "unit.h"

static struct nvme_fixture fx;

/* Open with the I/O side mute: what completes is what the test posts. @nr reads are in flight; their CIDs in @cids. */
static void open_mute_fake(unsigned int entries, unsigned int nr, uint16_t *cids)
{
	fixture_open_queue(&fx, entries);
	fx.fake.mute_io = true;
	for (unsigned int i = 0; i < nr; i++)
		CU_ASSERT_EQUAL_FATAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf, i, 1, 1000 + i), 0);
	quoll_nvme_submit(fx.queue);
	for (unsigned int i = 0; i < nr; i++)
		cids[i] = fake_nvme_sqe(&fx.fake, 1, i)->cmd.cid;
}

static void open_mute(unsigned int entries, unsigned int nr, uint16_t *cids)
{
	fixture_init(&fx);
	open_mute_fake(entries, nr, cids);
}

static struct nvme_cqe answer(uint16_t cid, uint16_t sqhd, uint16_t sqid)
{
	return (struct nvme_cqe){.sqhd_sqid = sqhd | (uint32_t)sqid << 16, .cid_status = cid};
}

static struct quoll_nvme_queue_stats stats_now(void)
{
	struct quoll_nvme_queue_stats stats;

	quoll_nvme_queue_stats(fx.queue, &stats);
	return stats;
}

static void a_wrong_cid_is_counted_and_dropped(void)
{
	struct quoll_nvme_completion comps[8];
	uint16_t cids[2];

	open_mute(8, 2, cids);
	fake_nvme_post(&fx.fake, 1, answer((uint16_t)(cids[0] ^ 4), 1, 1)); /* a slot that is not in flight */
	fake_nvme_post(&fx.fake, 1, answer(0xffff, 1, 1));
	fake_nvme_post(&fx.fake, 1, answer((uint16_t)(cids[0] + 8), 1, 1)); /* the slot's next generation */
	fake_nvme_post(&fx.fake, 1, answer(cids[1], 2, 1));
	CU_ASSERT_EQUAL(quoll_nvme_poll(fx.queue, comps, 8), 1);
	CU_ASSERT_EQUAL(comps[0].user_data, 1001);
	CU_ASSERT_EQUAL(stats_now().bad_cid, 3);
	CU_ASSERT_EQUAL(stats_now().completed, 1);
	CU_ASSERT_EQUAL(stats_now().in_flight, 1);
	fake_nvme_post(&fx.fake, 1, answer(cids[0], 2, 1));
	CU_ASSERT_EQUAL(quoll_nvme_poll(fx.queue, comps, 8), 1);
	CU_ASSERT_EQUAL(comps[0].user_data, 1000);
	fixture_fini(&fx);
}

static void a_repeated_cid_does_not_answer_the_slots_next_command(void)
{
	struct quoll_nvme_completion comps[8];
	uint16_t cids[1];

	open_mute(8, 1, cids);
	fake_nvme_post(&fx.fake, 1, answer(cids[0], 1, 1));
	fake_nvme_post(&fx.fake, 1, answer(cids[0], 1, 1));
	CU_ASSERT_EQUAL(quoll_nvme_poll(fx.queue, comps, 8), 1);
	CU_ASSERT_EQUAL(stats_now().bad_cid, 1);
	/* The slot is used again at once, it being the last that was freed. */
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf, 0, 1, 5), 0);
	quoll_nvme_submit(fx.queue);
	CU_ASSERT_EQUAL(fake_nvme_sqe(&fx.fake, 1, 1)->cmd.cid & 7, cids[0] & 7);
	fake_nvme_post(&fx.fake, 1, answer(cids[0], 2, 1));
	CU_ASSERT_EQUAL(quoll_nvme_poll(fx.queue, comps, 8), 0);
	CU_ASSERT_EQUAL(stats_now().bad_cid, 2);
	CU_ASSERT_EQUAL(stats_now().in_flight, 1);
	fake_nvme_post(&fx.fake, 1, answer(fake_nvme_sqe(&fx.fake, 1, 1)->cmd.cid, 2, 1));
	CU_ASSERT_EQUAL(quoll_nvme_poll(fx.queue, comps, 8), 1);
	CU_ASSERT_EQUAL(comps[0].user_data, 5);
	fixture_fini(&fx);
}

static void an_impossible_sq_head_is_counted_and_not_believed(void)
{
	static const uint16_t heads[] = {4, 7, 8, 9, 0xffff};
	struct quoll_nvme_completion comps[8];
	uint16_t cids[7];

	/* Three submitted: heads 0 to 3 are possible. */
	for (unsigned int i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		open_mute(8, 3, cids);
		fake_nvme_post(&fx.fake, 1, answer(cids[0], heads[i], 1));
		fake_nvme_post(&fx.fake, 1, answer(cids[1], 2, 1));
		fake_nvme_post(&fx.fake, 1, answer(cids[2], 1, 1)); /* backwards */
		CU_ASSERT_EQUAL(quoll_nvme_poll(fx.queue, comps, 8), 3);
		CU_ASSERT_EQUAL(stats_now().bad_sqhd, 2);
		CU_ASSERT_EQUAL(stats_now().bad_cid, 0);
		fixture_fini(&fx);
	}
}

static void a_head_around_the_end_of_the_ring_is_possible(void)
{
	struct quoll_nvme_completion comps[8];
	uint16_t cids[6];

	open_mute(8, 6, cids);
	for (unsigned int i = 0; i < 6; i++)
		fake_nvme_post(&fx.fake, 1, answer(cids[i], (uint16_t)(i + 1), 1));
	CU_ASSERT_EQUAL(quoll_nvme_poll(fx.queue, comps, 8), 6);
	for (unsigned int i = 0; i < 4; i++)
		CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf, 0, 1, i), 0);
	quoll_nvme_submit(fx.queue); /* tail is 2 now, head 6: 6, 7, 0, 1, 2 are possible */
	fake_nvme_post(&fx.fake, 1, answer(fake_nvme_sqe(&fx.fake, 1, 6)->cmd.cid, 7, 1));
	CU_ASSERT_EQUAL(quoll_nvme_poll(fx.queue, comps, 8), 1);
	CU_ASSERT_EQUAL(stats_now().bad_sqhd, 0);
	fake_nvme_post(&fx.fake, 1, answer(fake_nvme_sqe(&fx.fake, 1, 7)->cmd.cid, 3, 1));
	CU_ASSERT_EQUAL(quoll_nvme_poll(fx.queue, comps, 8), 1);
	CU_ASSERT_EQUAL(stats_now().bad_sqhd, 1);
	/* 9 is no entry at all, though it is 2 after 7 as the 1 of the next turn is. */
	fake_nvme_post(&fx.fake, 1, answer(fake_nvme_sqe(&fx.fake, 1, 0)->cmd.cid, 9, 1));
	CU_ASSERT_EQUAL(quoll_nvme_poll(fx.queue, comps, 8), 1);
	CU_ASSERT_EQUAL(stats_now().bad_sqhd, 2);
	fixture_fini(&fx);
}

static void a_completion_of_another_queue_is_counted_and_dropped(void)
{
	struct quoll_nvme_completion comps[8];
	uint16_t cids[1];

	open_mute(8, 1, cids);
	fake_nvme_post(&fx.fake, 1, answer(cids[0], 1, 2));
	fake_nvme_post(&fx.fake, 1, answer(cids[0], 1, 0));
	CU_ASSERT_EQUAL(quoll_nvme_poll(fx.queue, comps, 8), 0);
	CU_ASSERT_EQUAL(stats_now().bad_sqid, 2);
	CU_ASSERT_EQUAL(stats_now().in_flight, 1);
	fake_nvme_post(&fx.fake, 1, answer(cids[0], 1, 1));
	CU_ASSERT_EQUAL(quoll_nvme_poll(fx.queue, comps, 8), 1);
	fixture_fini(&fx);
}

static void a_ring_full_of_lies_is_left_after_one_turn(void)
{
	struct quoll_nvme_completion comps[64];
	uint16_t cids[4];

	open_mute(16, 4, cids);
	/* Two turns' worth, written without asking for room; the second turn overwrites the first. */
	for (unsigned int i = 0; i < 32; i++)
		fake_nvme_post(&fx.fake, 1, answer(0x5555, 0, 1));
	CU_ASSERT_EQUAL(quoll_nvme_poll(fx.queue, comps, 64), 0);
	CU_ASSERT(stats_now().bad_cid <= 16);
	/* The phase of the second turn is the wrong one: nothing more is taken for new. */
	CU_ASSERT_EQUAL(quoll_nvme_poll(fx.queue, comps, 64), 0);
	CU_ASSERT(stats_now().bad_cid <= 32);
	CU_ASSERT_EQUAL(stats_now().in_flight, 4);
	fixture_fini(&fx);
}

static unsigned int scramble(struct fake_nvme *fake, uint16_t qid, struct nvme_cqe *cqe)
{
	if (!qid)
		return 1;
	switch (fake_pci_random(&fake->pci) % 64) {
	case 0:
		cqe->cid_status ^= 1u << fake_pci_random(&fake->pci) % 16;
		return 1;
	case 1:
		cqe->sqhd_sqid = fake_pci_random(&fake->pci);
		return 1;
	case 2:
		return 2;
	case 3:
		return 0;
	default:
		return 1;
	}
}

static void no_request_is_handed_back_twice_whatever_the_device_says(void)
{
	struct quoll_nvme_completion comps[512];
	static uint8_t out[4096];
	unsigned int wrong = 0;
	uint64_t next = 0;

	fixture_init(&fx);
	fixture_open_queue(&fx, 1024);
	fx.fake.on_cqe = scramble;
	memset(out, 0, sizeof(out));
	for (unsigned int round = 0; round < 600; round++) {
		unsigned int n;

		/* Few enough that answers given twice do not overrun the ring, which no driver would survive. */
		for (unsigned int i = 0; i < 60 && next < sizeof(out); i++)
			if (!quoll_nvme_prep_read(fx.queue, 1, fx.buf, 0, 1 + next % 600, next))
				out[next++] = 1;
		quoll_nvme_submit(fx.queue);
		fake_nvme_step(&fx.fake);
		n = quoll_nvme_poll(fx.queue, comps, 512);
		for (unsigned int i = 0; i < n; i++) {
			wrong += comps[i].user_data >= next || out[comps[i].user_data] != 1;
			out[comps[i].user_data % sizeof(out)]++;
		}
		wrong += stats_now().in_flight > 1023;
	}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT_EQUAL(next, sizeof(out));
	CU_ASSERT(stats_now().bad_cid + stats_now().bad_sqid > 5);
	fixture_fini(&fx);
}

/* Poll until the first request comes back, for five seconds at most. Return: how many came. */
static unsigned int poll_until(struct quoll_nvme_completion *comps, unsigned int max)
{
	struct timespec start, now;
	unsigned int n = 0;

	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		n = quoll_nvme_poll(fx.queue, comps, max);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (!n && now.tv_sec - start.tv_sec < 5);
	return n;
}

static void everything_comes_back(int error, unsigned int nr)
{
	struct quoll_nvme_completion comps[32];
	uint32_t seen = 0;
	unsigned int n = 0;

	/* A few at a time, to see that handing back goes on where it stopped. */
	while (n < nr) {
		unsigned int more = poll_until(comps, 3);

		CU_ASSERT_FATAL(more > 0);
		for (unsigned int i = 0; i < more; i++) {
			CU_ASSERT_EQUAL(comps[i].error, error);
			seen |= 1u << (comps[i].user_data - 1000);
		}
		n += more;
	}
	CU_ASSERT_EQUAL(n, nr);
	CU_ASSERT_EQUAL(seen, (1u << nr) - 1);
	CU_ASSERT_EQUAL(quoll_nvme_poll(fx.queue, comps, 32), 0);
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf, 0, 1, 0), -ENODEV);
	CU_ASSERT_EQUAL(quoll_nvme_prep_write(fx.queue, 1, fx.buf, 0, 4096, 0), -ENODEV);
	CU_ASSERT_EQUAL(quoll_nvme_prep_flush(fx.queue, 1, 0), -ENODEV);
	CU_ASSERT_EQUAL(stats_now().in_flight, 0);
	quoll_nvme_submit(fx.queue);
}

static void a_device_that_is_gone_gives_everything_back(void)
{
	struct quoll_nvme_queue *queue;
	uint16_t cids[7];

	open_mute(32, 7, cids);
	/* One more in many parts, of which some are not yet sent, and one prepared but not submitted. */
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf, 0, 16384, 1007), 0);
	quoll_nvme_submit(fx.queue);
	CU_ASSERT_EQUAL(quoll_nvme_prep_flush(fx.queue, 1, 1008), 0);
	fake_pci_yank(&fx.fake.pci);
	everything_comes_back(-ENODEV, 9);
	CU_ASSERT_EQUAL(fake_nvme_sq_tail(&fx.fake, 1), UINT32_MAX); /* no doorbell was written since */
	CU_ASSERT_EQUAL(quoll_nvme_queue_create(fx.nvme, NULL, &queue, &fx.err), -ENODEV);
	fixture_fini(&fx);
	CU_ASSERT_EQUAL(fx.close_rc, -ENODEV);
}

static void fatal_status_gives_everything_back(void)
{
	uint16_t cids[7];

	open_mute(32, 7, cids);
	fake_nvme_set_fatal(&fx.fake);
	everything_comes_back(-EIO, 7);
	CU_ASSERT_FALSE(fake_pci_bus_master(&fx.fake.pci));
	fixture_fini(&fx);
	CU_ASSERT_NOT_EQUAL(fx.close_rc, 0);
}

/* Nobody can keep it from writing: what it had is no memory for others, and the caller can ask. */
static void a_server_that_has_hung_up_is_not_cut_off(void)
{
	struct quoll_nvme_state state;
	uint16_t cids[7];

	fixture_init(&fx);
	fx.fake.pci.is_process = true;
	open_mute_fake(32, 7, cids);
	fx.fake.pci.hung_up = true;
	everything_comes_back(-ENODEV, 7);
	quoll_nvme_state(fx.nvme, &state);
	CU_ASSERT_EQUAL(state.error, -ENODEV);
	CU_ASSERT_FALSE(state.cut_off);
	/* Rings and lists are its own until they are replaced as a whole. */
	quoll_nvme_queue_destroy(fx.queue);
	CU_ASSERT(fx.fake.pci.nr_maps > 1);
	CU_ASSERT_EQUAL(quoll_nvme_close(fx.nvme), -ENODEV);
	CU_ASSERT_EQUAL(fx.fake.pci.nr_maps, 1); /* the test's data */
	fx.nvme = NULL;
	fixture_fini(&fx);
}

static void a_device_that_was_pulled_is_cut_off(void)
{
	struct quoll_nvme_state state;
	uint16_t cids[7];

	open_mute(32, 7, cids);
	quoll_nvme_state(fx.nvme, &state);
	CU_ASSERT_FALSE(state.cut_off);
	fake_pci_yank(&fx.fake.pci);
	everything_comes_back(-ENODEV, 7);
	quoll_nvme_state(fx.nvme, &state);
	CU_ASSERT_TRUE(state.cut_off);
	fixture_fini(&fx);
}

static void a_requested_device_is_cut_off_before_buffers_are_handed_back(void)
{
	struct quoll_nvme_completion comp;
	uint16_t cids[7];

	open_mute(32, 7, cids);
	CU_ASSERT_TRUE(fake_pci_bus_master(&fx.fake.pci));
	CU_ASSERT_EQUAL(quoll_nvme_poll(fx.queue, &comp, 1), 0);
	fake_pci_request_removal(&fx.fake.pci);
	everything_comes_back(-ENODEV, 7);
	CU_ASSERT_FALSE(fake_pci_bus_master(&fx.fake.pci));
	fixture_fini(&fx);
	CU_ASSERT_TRUE(fx.fake.shut_down);
}

static void a_controller_that_resets_itself_is_given_up(void)
{
	uint16_t cids[2];

	open_mute(8, 2, cids);
	fx.fake.pci.bar[NVME_REG_CSTS] = 0;
	everything_comes_back(-EIO, 2);
	fixture_fini(&fx);
}

/* The health check must not starve while there is always something in the queue. */
static void death_is_noticed_under_a_stream_of(bool valid)
{
	struct quoll_nvme_completion comps[4];
	uint16_t cids[4] = {0};
	struct timespec start, now;
	unsigned int n = 0;
	bool told = false;

	open_mute(16, 4, cids);
	fake_pci_request_removal(&fx.fake.pci);
	clock_gettime(CLOCK_MONOTONIC, &start);
	now = start;
	for (uint16_t head = 0; !told && now.tv_sec - start.tv_sec < 5; clock_gettime(CLOCK_MONOTONIC, &now)) {
		if (fake_pci_bus_master(&fx.fake.pci)) {
			head = (uint16_t)((head + 1) % 16);
			fake_nvme_post(&fx.fake, 1,
				       valid ? answer(fake_nvme_sqe(&fx.fake, 1, (head + 15u) % 16)->cmd.cid, head, 1)
					     : answer(0x7777, 0, 1));
		}
		n = quoll_nvme_poll(fx.queue, comps, 4);
		for (unsigned int i = 0; i < n; i++) {
			told = told || comps[i].error == -ENODEV;
			if (!comps[i].error && !quoll_nvme_prep_read(fx.queue, 1, fx.buf, 0, 1, 1))
				quoll_nvme_submit(fx.queue);
		}
	}
	CU_ASSERT_TRUE(told);
	fixture_fini(&fx);
}

static void death_is_noticed_under_rubbish_and_under_load(void)
{
	death_is_noticed_under_a_stream_of(false);
	death_is_noticed_under_a_stream_of(true);
}

static void destroying_a_queue_with_commands_in_flight_ends_them(void)
{
	uint16_t cids[5];

	open_mute(8, 5, cids);
	fixture_queue_destroy(&fx, fx.queue);
	CU_ASSERT_EQUAL(fx.fake.nr_deleted_sqs, 1);
	fx.fake.mute_io = false;
	fixture_fini(&fx);
	CU_ASSERT_EQUAL(fx.close_rc, 0);
}

static void memory_of_a_queue_that_cannot_be_deleted_is_out_of_reach(void)
{
	fixture_init(&fx);
	fixture_open_queue(&fx, 16);
	fx.nvme->admin.timeout_ns = 50000000;
	fx.fake.mute_admin = true;
	fixture_queue_destroy(&fx, fx.queue);
	CU_ASSERT_FALSE(fake_pci_bus_master(&fx.fake.pci));
	fx.fake.mute_admin = false;
	fixture_fini(&fx);
	CU_ASSERT_EQUAL(fx.close_rc, -ETIMEDOUT);
}

static void a_controller_that_will_not_delete_a_queue_is_cut_off(void)
{
	for (int cq = 0; cq < 2; cq++) {
		fixture_init(&fx);
		fixture_open_queue(&fx, 16);
		fx.fake.refused_opcode = cq ? nvme_admin_delete_cq : nvme_admin_delete_sq;
		fx.fake.refuses = true;
		fixture_queue_destroy(&fx, fx.queue);
		CU_ASSERT_FALSE(fake_pci_bus_master(&fx.fake.pci));
		fixture_fini(&fx);
	}
}

static const struct unit_test tests[] = {
	{"a wrong CID is counted and dropped", a_wrong_cid_is_counted_and_dropped},
	{"a repeated CID does not answer the slot's next command",
	 a_repeated_cid_does_not_answer_the_slots_next_command},
	{"an impossible SQ head is counted and not believed", an_impossible_sq_head_is_counted_and_not_believed},
	{"a head around the end of the ring is possible", a_head_around_the_end_of_the_ring_is_possible},
	{"a completion of another queue is counted and dropped", a_completion_of_another_queue_is_counted_and_dropped},
	{"a ring full of lies is left after one turn", a_ring_full_of_lies_is_left_after_one_turn},
	{"no request is handed back twice, whatever the device says",
	 no_request_is_handed_back_twice_whatever_the_device_says},
	{"a device that is gone gives everything back", a_device_that_is_gone_gives_everything_back},
	{"fatal status gives everything back", fatal_status_gives_everything_back},
	{"a server that has hung up is not cut off", a_server_that_has_hung_up_is_not_cut_off},
	{"a device that was pulled is cut off", a_device_that_was_pulled_is_cut_off},
	{"a requested device is cut off before buffers are handed back",
	 a_requested_device_is_cut_off_before_buffers_are_handed_back},
	{"a controller that resets itself is given up", a_controller_that_resets_itself_is_given_up},
	{"death is noticed under rubbish and under load", death_is_noticed_under_rubbish_and_under_load},
	{"destroying a queue with commands in flight ends them", destroying_a_queue_with_commands_in_flight_ends_them},
	{"memory of a queue that cannot be deleted is out of reach",
	 memory_of_a_queue_that_cannot_be_deleted_is_out_of_reach},
	{"a controller that will not delete a queue is cut off", a_controller_that_will_not_delete_a_queue_is_cut_off},
};

UNIT_MAIN("nvme hostile", tests)
