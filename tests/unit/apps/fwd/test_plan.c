/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_plan.c - queues over threads, sizes, and the small parsers of `quoll fwd`.
 */
#include <errno.h>
#include <string.h>

#include "fwd/plan.h"
#include "unit.h"

static void ports_are_paired_in_order_and_one_alone_is_its_own_partner(void)
{
	CU_ASSERT_EQUAL(plan_out_port(1, 0), 0);
	CU_ASSERT_EQUAL(plan_out_port(4, 0), 1);
	CU_ASSERT_EQUAL(plan_out_port(4, 1), 0);
	CU_ASSERT_EQUAL(plan_out_port(4, 2), 3);
	CU_ASSERT_EQUAL(plan_out_port(4, 3), 2);
}

/* Every queue of every port once, with its partner, and the load of threads within one of each other. */
static void check_plan(unsigned int nr_ports, unsigned int nr_queues, unsigned int nr_threads)
{
	unsigned int seen[8][8] = {{0}}, load[64] = {0}, least = 64, most = 0;
	struct plan_queue queues[64];

	plan_queues(nr_ports, nr_queues, nr_threads, queues);
	for (unsigned int i = 0; i < nr_ports * nr_queues; i++) {
		CU_ASSERT_FATAL(queues[i].port < nr_ports && queues[i].queue < nr_queues);
		CU_ASSERT_FATAL(queues[i].thread < nr_threads);
		CU_ASSERT_EQUAL(queues[i].out_port, plan_out_port(nr_ports, queues[i].port));
		seen[queues[i].port][queues[i].queue]++;
		load[queues[i].thread]++;
	}
	for (unsigned int p = 0; p < nr_ports; p++)
		for (unsigned int q = 0; q < nr_queues; q++)
			CU_ASSERT_EQUAL(seen[p][q], 1);
	for (unsigned int t = 0; t < nr_threads; t++) {
		least = load[t] < least ? load[t] : least;
		most = load[t] > most ? load[t] : most;
	}
	CU_ASSERT(least >= 1 && most - least <= 1);
}

static void every_queue_has_one_thread_and_threads_have_equal_shares(void)
{
	for (unsigned int ports = 1; ports <= 8; ports += ports == 1 ? 1 : 2)
		for (unsigned int queues = 1; queues <= 8; queues++)
			for (unsigned int threads = 1; threads <= ports * queues; threads++)
				check_plan(ports, queues, threads);
}

static void both_directions_of_a_queue_stay_on_one_thread_while_there_are_enough(void)
{
	struct plan_queue queues[16];

	plan_queues(4, 4, 8, queues);
	for (unsigned int i = 0; i < 16; i += 2) {
		CU_ASSERT_EQUAL(queues[i].queue, queues[i + 1].queue);
		CU_ASSERT_EQUAL(queues[i].port, queues[i + 1].out_port);
		CU_ASSERT_EQUAL(queues[i].thread, queues[i + 1].thread);
	}
}

static void buffers_suffice_for_rings_caches_and_bursts(void)
{
	CU_ASSERT_EQUAL(plan_nr_bufs(2048, 2, 512, 32), 2048 + 2 * (512 + 64));
	CU_ASSERT_EQUAL(plan_buf_bytes(1500), 128 + 2048);
	CU_ASSERT(plan_buf_bytes(9000) >= 128 + 9000 + 14 + 8 + 4);
	CU_ASSERT_EQUAL((plan_buf_bytes(9000) - 128) % 1024, 0);
}

static void mac_lists_are_read_and_others_refused(void)
{
	static const uint8_t expected[2][6] = {{0x02, 0, 0, 0, 0xaB, 0xcd}, {0xff, 0xee, 0xdd, 0xcc, 0xbb, 0xaa}};
	static const char *const wrong[] = {"",
					    "02:00:00:00:00",
					    "02:00:00:00:00:0",
					    "02:00:00:00:00:011",
					    "02-00-00-00-00-01",
					    "02:00:00:00:00:0g",
					    "02:00:00:00:00:01,",
					    "2:0:0:0:0:1"};
	uint8_t macs[2][6];

	CU_ASSERT_EQUAL(plan_parse_macs("02:00:00:00:aB:cd", macs, 2), 1);
	CU_ASSERT_EQUAL(memcmp(macs, expected, 6), 0);
	CU_ASSERT_EQUAL(plan_parse_macs("02:00:00:00:aB:cd,ff:ee:dd:cc:bb:aa", macs, 2), 2);
	CU_ASSERT_EQUAL(memcmp(macs, expected, 12), 0);
	for (unsigned int i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		CU_ASSERT_EQUAL(plan_parse_macs(wrong[i], macs, 2), -EINVAL);
	CU_ASSERT_EQUAL(plan_parse_macs("02:00:00:00:00:01,02:00:00:00:00:01", macs, 1), -ERANGE);
}

static const struct unit_test tests[] = {
	{"ports are paired in order, and one alone is its own partner",
	 ports_are_paired_in_order_and_one_alone_is_its_own_partner},
	{"every queue has one thread and threads have equal shares",
	 every_queue_has_one_thread_and_threads_have_equal_shares},
	{"both directions of a queue stay on one thread while there are enough",
	 both_directions_of_a_queue_stay_on_one_thread_while_there_are_enough},
	{"buffers suffice for rings, caches and bursts", buffers_suffice_for_rings_caches_and_bursts},
	{"MAC lists are read, and others refused", mac_lists_are_read_and_others_refused},
};

UNIT_MAIN("plan of a forwarder", tests)
