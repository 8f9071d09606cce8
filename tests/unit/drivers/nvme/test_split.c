/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_split.c - requests in parts: the arithmetic against division, and their way through the queue.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nvme/nvme_internal.h"
#include "nvme_fixture.h"
#include "unit.h"

static struct nvme_fixture fx;

static struct nvme_namespace ns_with_boundary(uint16_t noiob, uint32_t max_transfer)
{
	struct nvme_namespace ns = {.nsid = 1};
	struct nvme_id_ns id = {.nsze = quoll_cpu_to_le64(1ull << 40), .noiob = quoll_cpu_to_le16(noiob)};

	id.lbaf[0].ds = 9;
	nvme_ns_parse(&ns, &id, 0, max_transfer);
	CU_ASSERT_EQUAL(ns.refuse, 0);
	return ns;
}

static void distance_to_a_boundary_agrees_with_division(void)
{
	static const uint64_t corners[] = {0, 1, 2, 511, 512, 65535, 65536, 1ull << 32, (1ull << 54) - 1, UINT64_MAX};
	unsigned int wrong = 0;

	srand(3);
	for (unsigned int b = 1; b <= 65535; b += b < 300 ? 1 : 97) {
		struct nvme_namespace ns = ns_with_boundary((uint16_t)b, 1 << 20);

		for (unsigned int i = 0; i < 40; i++) {
			uint64_t lba = i < 10 ? corners[i] : ((uint64_t)rand() << 33) ^ ((uint64_t)rand() << 10);

			wrong += nvme_boundary_room(&ns, lba) != b - lba % b;
			lba -= lba % b;
			wrong += nvme_boundary_room(&ns, lba) != b;
			wrong += lba && nvme_boundary_room(&ns, lba - 1) != 1;
		}
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

static void parts_cover_a_request_once_and_cross_nothing(void)
{
	unsigned int wrong = 0;

	srand(4);
	for (unsigned int i = 0; i < 2000; i++) {
		uint16_t noiob = (uint16_t)(i % 3 ? rand() % 300 : 0);
		struct nvme_namespace ns = ns_with_boundary(noiob, (uint32_t)(rand() % 64 + 1) * 4096);
		uint64_t lba = (uint64_t)rand();
		uint32_t left = (uint32_t)rand() % 5000 + 1;

		for (unsigned int parts = 0; left && parts < 6000; parts++) {
			uint32_t n = nvme_split_first_lbas(&ns, lba, left);

			wrong += !n || n > left || n > ns.max_lbas;
			wrong += noiob && lba / noiob != (lba + n - 1) / noiob;
			/* No part is smaller than it must be. */
			wrong += n < left && n < ns.max_lbas && !(noiob && (lba + n) % noiob == 0);
			lba += n;
			left -= n;
		}
		wrong += left != 0;
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

static void a_request_larger_than_the_queue_completes_once(void)
{
	struct quoll_nvme_completion comps[4];
	struct quoll_nvme_queue_stats stats;
	unsigned int n = 0;

	fixture_init(&fx);
	fixture_open_queue(&fx, 4); /* three slots; 8 MiB are 64 parts */
	fixture_fill_random(&fx, fx.buf, FIXTURE_BUF_BYTES);
	CU_ASSERT_EQUAL(quoll_nvme_prep_write(fx.queue, 1, fx.buf, 0, 16384, 42), 0);
	CU_ASSERT_EQUAL(fake_nvme_sq_tail(&fx.fake, 1), 0);
	quoll_nvme_submit(fx.queue);
	for (unsigned int i = 0; i < 200; i++) {
		fake_nvme_step(&fx.fake);
		n += quoll_nvme_poll(fx.queue, comps, 4);
	}
	CU_ASSERT_EQUAL(n, 1);
	CU_ASSERT_EQUAL(comps[0].user_data, 42);
	CU_ASSERT_EQUAL(comps[0].status, 0);
	CU_ASSERT_EQUAL(memcmp(fx.fake.ns[0].disk, fx.buf, FIXTURE_BUF_BYTES), 0);
	CU_ASSERT_EQUAL(fx.fake.nr_io, 64);
	CU_ASSERT_EQUAL(fx.fake.max_lbas_seen, 256);
	quoll_nvme_queue_stats(fx.queue, &stats);
	CU_ASSERT_EQUAL(stats.submitted, 64);
	CU_ASSERT_EQUAL(stats.completed, 64);
	CU_ASSERT_EQUAL(stats.in_flight, 0);
	fixture_fini(&fx);
}

static void mdts_without_a_limit_splits_at_what_one_list_holds(void)
{
	struct quoll_nvme_completion comp;

	fixture_init(&fx);
	fx.fake.id.mdts = 0;
	fixture_open_queue(&fx, 16);
	fixture_fill_random(&fx, fx.buf, FIXTURE_BUF_BYTES);
	/* At an odd offset, so that a part of 2 MiB touches 513 pages. */
	CU_ASSERT_EQUAL(quoll_nvme_prep_write(fx.queue, 1, fx.buf + 4092, 0, 16000, 1), 0);
	quoll_nvme_submit(fx.queue);
	fixture_collect(&fx, fx.queue, &comp, 1);
	CU_ASSERT_EQUAL(comp.status, 0);
	CU_ASSERT_EQUAL(fx.fake.max_lbas_seen, 4096);
	CU_ASSERT_EQUAL(memcmp(fx.fake.ns[0].disk, fx.buf + 4092, 16000 * 512), 0);
	fixture_fini(&fx);
}

static uint16_t fail_part(struct fake_nvme *fake, uint16_t qid, const union nvme_sq_slot *sqe)
{
	const uint64_t *lbas = fake->arg;

	(void)qid;
	if (sqe->rw.slba == lbas[0])
		return 0x281 | 0x4000; /* unrecovered read error, do not retry */
	if (sqe->rw.slba == lbas[1])
		return 0x080;
	return 0;
}

static void a_failure_in_the_middle_ends_the_request_with_the_first_status(void)
{
	uint64_t lbas[2] = {5 * 256, 6 * 256};
	struct quoll_nvme_completion comps[4];
	unsigned int n = 0;

	fixture_init(&fx);
	fixture_open_queue(&fx, 4);
	fx.fake.arg = lbas;
	fx.fake.on_io = fail_part;
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf, 0, 16384, 6), 0);
	quoll_nvme_submit(fx.queue);
	for (unsigned int i = 0; i < 200; i++) {
		fake_nvme_step(&fx.fake);
		n += quoll_nvme_poll(fx.queue, comps, 4);
	}
	CU_ASSERT_EQUAL(n, 1);
	CU_ASSERT_EQUAL(comps[0].user_data, 6);
	CU_ASSERT_EQUAL(comps[0].error, 0);
	CU_ASSERT_EQUAL(comps[0].status, 0x281);
	CU_ASSERT_TRUE(comps[0].dnr);
	/* What was in flight with it came back, but no more was sent: 3 slots, of which the fifth part held one. */
	CU_ASSERT(fx.fake.nr_io <= 5 + 3);
	/* The request's parent is free again, as are all slots. */
	fx.fake.on_io = NULL;
	for (uint64_t i = 0; i < 20; i++) {
		CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf, 0, 1024, i), 0);
		quoll_nvme_submit(fx.queue);
		fixture_collect(&fx, fx.queue, comps, 1);
		CU_ASSERT_EQUAL(comps[0].status, 0);
	}
	fixture_fini(&fx);
}

static void of_several_failures_the_first_counts(void)
{
	uint64_t lbas[2] = {256, 512};
	struct quoll_nvme_completion comp;

	fixture_init(&fx);
	fixture_open_queue(&fx, 16); /* all parts are in flight together */
	fx.fake.arg = lbas;
	fx.fake.on_io = fail_part;
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf, 0, 1024, 6), 0);
	quoll_nvme_submit(fx.queue);
	fixture_collect(&fx, fx.queue, &comp, 1);
	CU_ASSERT_EQUAL(fx.fake.nr_io, 4);
	CU_ASSERT_EQUAL(comp.status, 0x281);
	CU_ASSERT_TRUE(comp.dnr);
	fixture_fini(&fx);
}

static void small_requests_get_through_while_a_huge_one_runs(void)
{
	struct quoll_nvme_completion comps[32];
	unsigned int small = 0, huge = 0, accepted = 0;

	fixture_init(&fx);
	fake_nvme_add_ns(&fx.fake, 2, 8, 12, 0);
	fixture_open_queue(&fx, 32);
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf, 0, 16384, 1), 0);
	for (unsigned int i = 0; i < 1000 && !huge; i++) {
		unsigned int n;

		accepted += !quoll_nvme_prep_read(fx.queue, 2, fx.buf, 0, 1, 2);
		quoll_nvme_submit(fx.queue);
		fake_nvme_step(&fx.fake);
		n = quoll_nvme_poll(fx.queue, comps, 4);
		for (unsigned int j = 0; j < n; j++) {
			small += comps[j].user_data == 2;
			huge += comps[j].user_data == 1;
		}
	}
	CU_ASSERT_EQUAL(huge, 1);
	CU_ASSERT(accepted > 3);
	CU_ASSERT(small > 3);
	while (small < accepted) {
		unsigned int n = quoll_nvme_poll(fx.queue, comps, 32);

		CU_ASSERT_FATAL(n > 0);
		small += n;
	}
	fixture_fini(&fx);
}

static void a_huge_request_goes_on_while_small_ones_fill_the_queue(void)
{
	struct quoll_nvme_completion comps[8];
	bool huge = false;

	fixture_init(&fx);
	fixture_open_queue(&fx, 8);
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf, 0, 16384, 1), 0);
	for (unsigned int i = 0; i < 2000 && !huge; i++) {
		unsigned int n;

		while (!quoll_nvme_prep_read(fx.queue, 1, fx.buf, 0, 1, 2))
			;
		quoll_nvme_submit(fx.queue);
		fake_nvme_step(&fx.fake);
		/* One at a time, so that never more than the reserve is free when the next part is due. */
		n = quoll_nvme_poll(fx.queue, comps, 1);
		for (unsigned int j = 0; j < n; j++)
			huge = huge || comps[j].user_data == 1;
	}
	CU_ASSERT_TRUE(huge);
	fixture_fini(&fx);
}

static void requests_beyond_the_parents_wait_their_turn(void)
{
	struct quoll_nvme_completion comps[8];
	unsigned int accepted = 0;

	fixture_init(&fx);
	fixture_open_queue(&fx, 8);
	while (accepted < 100 && !quoll_nvme_prep_read(fx.queue, 1, fx.buf, 0, 2048, accepted))
		accepted++;
	CU_ASSERT(accepted >= 2 && accepted <= 7);
	quoll_nvme_submit(fx.queue);
	fixture_collect(&fx, fx.queue, comps, accepted);
	for (unsigned int i = 0; i < accepted; i++)
		CU_ASSERT_EQUAL(comps[i].status, 0);
	fixture_fini(&fx);
}

/* Of a request that waits for slots nothing is sent in blocks of the old size, and it is handed back once. */
static void after_a_format_no_part_is_sent(void)
{
	struct quoll_nvme_cmd cmd = {.opcode = nvme_admin_format_nvm, .nsid = 1};
	struct quoll_nvme_completion comps[16];
	unsigned int n = 0, nr_huge = 0;
	uint64_t nr_io;

	fixture_init(&fx);
	fixture_open_queue(&fx, 8);
	/* Six small ones and the first part of the huge one fill the queue. */
	for (unsigned int i = 0; i < 6; i++)
		CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf, i, 1, 100 + i), 0);
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf, 0, 16384, 1), 0);
	quoll_nvme_submit(fx.queue);
	fake_nvme_step(&fx.fake);
	CU_ASSERT_EQUAL(fixture_admin(&fx, &cmd, NULL), 0);
	nr_io = fx.fake.nr_io;
	CU_ASSERT_EQUAL(nr_io, 7);
	/* One at a time, so that slots come free while the first part is not collected yet. */
	for (unsigned int round = 0; n < 7 && round < 1000; round++) {
		unsigned int got = quoll_nvme_poll(fx.queue, comps + n, 1);

		fake_nvme_step(&fx.fake);
		for (; got; got--, n++) {
			nr_huge += comps[n].user_data == 1;
			CU_ASSERT_EQUAL(comps[n].error, comps[n].user_data == 1 ? -ESTALE : 0);
		}
	}
	CU_ASSERT_EQUAL(n, 7);
	CU_ASSERT_EQUAL(nr_huge, 1);
	CU_ASSERT_EQUAL(fx.fake.nr_io, nr_io);
	fixture_fini(&fx);
}

static const struct unit_test tests[] = {
	{"distance to a boundary agrees with division", distance_to_a_boundary_agrees_with_division},
	{"parts cover a request once and cross nothing", parts_cover_a_request_once_and_cross_nothing},
	{"a request larger than the queue completes once", a_request_larger_than_the_queue_completes_once},
	{"MDTS without a limit splits at what one list holds", mdts_without_a_limit_splits_at_what_one_list_holds},
	{"a failure in the middle ends the request with the first status",
	 a_failure_in_the_middle_ends_the_request_with_the_first_status},
	{"of several failures the first counts", of_several_failures_the_first_counts},
	{"small requests get through while a huge one runs", small_requests_get_through_while_a_huge_one_runs},
	{"a huge request goes on while small ones fill the queue",
	 a_huge_request_goes_on_while_small_ones_fill_the_queue},
	{"requests beyond the parents wait their turn", requests_beyond_the_parents_wait_their_turn},
	{"after a format no part is sent", after_a_format_no_part_is_sent},
};

UNIT_MAIN("nvme split", tests)
