/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_queue.c - the data path against the fake controller: integrity, batching, wrap-around, several queues and
 * namespaces, refusals of prep.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nvme_fixture.h"
#include "unit.h"

static struct nvme_fixture fx;

static void a_block_written_is_read_back(void)
{
	struct quoll_nvme_completion comp;

	fixture_init(&fx);
	fixture_open_queue(&fx, 32);
	fixture_fill_random(&fx, fx.buf, 4096);
	CU_ASSERT_EQUAL(quoll_nvme_prep_write(fx.queue, 1, fx.buf, 8, 8, 77), 0);
	quoll_nvme_submit(fx.queue);
	fixture_collect(&fx, fx.queue, &comp, 1);
	CU_ASSERT_EQUAL(comp.user_data, 77);
	CU_ASSERT_EQUAL(comp.error, 0);
	CU_ASSERT_EQUAL(comp.status, 0);
	CU_ASSERT_EQUAL(memcmp(fx.fake.ns[0].disk + 8 * 512, fx.buf, 4096), 0);
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf + 8192, 8, 8, 78), 0);
	quoll_nvme_submit(fx.queue);
	fixture_collect(&fx, fx.queue, &comp, 1);
	CU_ASSERT_EQUAL(comp.user_data, 78);
	CU_ASSERT_EQUAL(memcmp(fx.buf + 8192, fx.buf, 4096), 0);
	fixture_fini(&fx);
	CU_ASSERT_EQUAL(fx.close_rc, 0);
}

/*
 * Zones of disk and buffer, one request at a time in each, so that order between zones does not matter. @shadow is what
 * the disk must hold.
 */
#define ZONES 16u
#define ZONE_BYTES (512u * 1024)

struct zone {
	uint8_t *buf;
	uint8_t *shadow;
	uint64_t first_lba;
	uint32_t off_bytes;
	uint32_t buf_off;
	uint32_t len_bytes;
	bool is_write;
	bool busy;
};

static void zone_send(struct zone *zone, uint32_t nsid, unsigned int lba_shift, uint64_t tag)
{
	uint32_t lbas = ZONE_BYTES >> lba_shift;
	uint32_t first = fake_pci_random(&fx.fake.pci) % lbas;
	uint32_t nr = 1 + fake_pci_random(&fx.fake.pci) % (lbas - first);
	int rc;

	/* Most requests are small, some need many parts. */
	if (fake_pci_random(&fx.fake.pci) % 8)
		nr = 1 + nr % 16 % (lbas - first);
	zone->off_bytes = first << lba_shift;
	zone->len_bytes = nr << lba_shift;
	zone->buf_off = fake_pci_random(&fx.fake.pci) % 1024 * 4;
	if (zone->buf_off > ZONE_BYTES - zone->len_bytes)
		zone->buf_off = 0;
	zone->is_write = fake_pci_random(&fx.fake.pci) & 1;
	if (zone->is_write) {
		fixture_fill_random(&fx, zone->buf + zone->buf_off, zone->len_bytes);
		rc = quoll_nvme_prep_write(fx.queue, nsid, zone->buf + zone->buf_off, zone->first_lba + first, nr, tag);
		if (!rc)
			memcpy(zone->shadow + zone->off_bytes, zone->buf + zone->buf_off, zone->len_bytes);
	} else {
		memset(zone->buf + zone->buf_off, 0xa5, zone->len_bytes);
		rc = quoll_nvme_prep_read(fx.queue, nsid, zone->buf + zone->buf_off, zone->first_lba + first, nr, tag);
	}
	if (rc)
		CU_ASSERT_EQUAL_FATAL(rc, -EAGAIN);
	zone->busy = !rc;
}

static unsigned int zone_done(struct zone *zone, const struct quoll_nvme_completion *comp)
{
	unsigned int wrong = !zone->busy || comp->error || comp->status;

	zone->busy = false;
	if (!zone->is_write)
		wrong += memcmp(zone->buf + zone->buf_off, zone->shadow + zone->off_bytes, zone->len_bytes) != 0;
	return wrong;
}

static void random_load(uint32_t nsid, unsigned int lba_shift, unsigned int nr_requests)
{
	static struct zone zones[ZONES];
	struct quoll_nvme_completion comps[5];
	unsigned int done = 0, sent = 0, wrong = 0;
	uint8_t *shadow = calloc(ZONES, ZONE_BYTES);

	memcpy(shadow, fake_nvme_ns(&fx.fake, nsid)->disk, (size_t)ZONES * ZONE_BYTES);
	for (unsigned int i = 0; i < ZONES; i++)
		zones[i] = (struct zone){.buf = fx.buf + (size_t)i * ZONE_BYTES,
					 .shadow = shadow + (size_t)i * ZONE_BYTES,
					 .first_lba = ((uint64_t)i * ZONE_BYTES) >> lba_shift};
	for (unsigned int round = 0; done < nr_requests && round < 1000000; round++) {
		struct zone *zone = &zones[fake_pci_random(&fx.fake.pci) % ZONES];
		unsigned int n;

		if (!zone->busy && sent < nr_requests) {
			zone_send(zone, nsid, lba_shift, (uint64_t)(zone - zones));
			sent += zone->busy;
		}
		if (fake_pci_random(&fx.fake.pci) & 1)
			quoll_nvme_submit(fx.queue);
		if (fake_pci_random(&fx.fake.pci) & 1)
			fake_nvme_step(&fx.fake);
		n = quoll_nvme_poll(fx.queue, comps, 1 + fake_pci_random(&fx.fake.pci) % 5);
		for (unsigned int i = 0; i < n; i++)
			wrong += comps[i].user_data >= ZONES || zone_done(&zones[comps[i].user_data], &comps[i]);
		done += n;
		if (sent == nr_requests)
			quoll_nvme_submit(fx.queue);
	}
	CU_ASSERT_EQUAL(done, nr_requests);
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT_EQUAL(memcmp(shadow, fake_nvme_ns(&fx.fake, nsid)->disk, (size_t)ZONES * ZONE_BYTES), 0);
	free(shadow);
}

static void random_requests_keep_data_intact_in_any_order(void)
{
	fixture_init(&fx);
	fx.fake.shuffle = true;
	fixture_open_queue(&fx, 16);
	random_load(1, 9, 3000);
	fixture_fini(&fx);
}

static void data_stays_intact_across_boundaries_and_with_4096_byte_blocks(void)
{
	fixture_init(&fx);
	fx.fake.shuffle = true;
	fx.fake.ns[0].noiob = 96; /* not a power of two */
	fake_nvme_add_ns(&fx.fake, 7, 2048, 12, 8);
	fake_nvme_add_ns(&fx.fake, 900, 2048, 12, 0);
	fixture_open_queue(&fx, 64);
	random_load(1, 9, 1000);
	random_load(7, 12, 500);
	random_load(900, 12, 500);
	fixture_fini(&fx);
}

static void data_stays_intact_with_registers_by_message(void)
{
	for (int doorbells_only = 0; doorbells_only < 2; doorbells_only++) {
		fixture_init(&fx);
		fx.fake.pci.bar_by_message = !doorbells_only;
		fx.fake.pci.mappable_bytes = doorbells_only ? 4096 : 0;
		fixture_open_queue(&fx, 16);
		random_load(1, 9, 200);
		fixture_fini(&fx);
		CU_ASSERT_EQUAL(fx.close_rc, 0);
	}
}

static void a_ring_that_is_no_power_of_two_wraps(void)
{
	fixture_init(&fx);
	fx.fake.cap = (fx.fake.cap & ~0xffffull) | 23;
	fx.fake.cap |= 3ull << NVME_CAP_DSTRD_SHIFT;
	fixture_open_queue(&fx, 20);
	CU_ASSERT_EQUAL(fx.fake.sq[1].entries, 20);
	random_load(1, 9, 1000);
	fixture_fini(&fx);
}

static void the_smallest_ring_works(void)
{
	fixture_init(&fx);
	fx.fake.cap = (fx.fake.cap & ~0xffffull) | 1;
	fixture_open_queue(&fx, 0);
	CU_ASSERT_EQUAL(fx.fake.sq[1].entries, 2);
	random_load(1, 9, 300);
	fixture_fini(&fx);
}

static void a_full_queue_says_eagain_and_goes_on_after_a_poll(void)
{
	struct quoll_nvme_completion comps[32];
	unsigned int n = 0;

	fixture_init(&fx);
	fixture_open_queue(&fx, 16);
	while (n < 100 && !quoll_nvme_prep_read(fx.queue, 1, fx.buf, n, 1, n))
		n++;
	CU_ASSERT_EQUAL(n, 15);
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf, 0, 1, 0), -EAGAIN);
	CU_ASSERT_EQUAL(quoll_nvme_prep_flush(fx.queue, 1, 0), -EAGAIN);
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf, 0, 4096, 0), -EAGAIN);
	quoll_nvme_submit(fx.queue);
	CU_ASSERT_EQUAL(quoll_nvme_poll(fx.queue, comps, 32), 0);
	fake_nvme_step(&fx.fake);
	CU_ASSERT_EQUAL(quoll_nvme_poll(fx.queue, comps, 4), 4);
	for (n = 0; n < 4; n++)
		CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf, n, 1, 100 + n), 0);
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf, 0, 1, 0), -EAGAIN);
	quoll_nvme_submit(fx.queue);
	fixture_collect(&fx, fx.queue, comps, 15);
	fixture_fini(&fx);
}

static void commands_go_on_past_the_end_of_all_counters(void)
{
	struct quoll_nvme_queue_stats stats;
	struct quoll_nvme_completion comps[7];
	unsigned int wrong = 0;

	fixture_init(&fx);
	fixture_open_queue(&fx, 8);
	for (uint64_t i = 0; i < 70000; i += 7) {
		for (uint64_t j = i; j < i + 7; j++)
			wrong += quoll_nvme_prep_read(fx.queue, 1, fx.buf, j % 16384, 1, j) != 0;
		quoll_nvme_submit(fx.queue);
		fake_nvme_step(&fx.fake);
		wrong += quoll_nvme_poll(fx.queue, comps, 7) != 7;
		for (unsigned int j = 0; j < 7; j++)
			wrong += comps[j].user_data != i + j || comps[j].status;
	}
	CU_ASSERT_EQUAL(wrong, 0);
	quoll_nvme_queue_stats(fx.queue, &stats);
	CU_ASSERT_EQUAL(stats.submitted, 70000);
	CU_ASSERT_EQUAL(stats.completed, 70000);
	CU_ASSERT_EQUAL(stats.sq_doorbells, 10000);
	CU_ASSERT_EQUAL(stats.cq_doorbells, 10000);
	CU_ASSERT_EQUAL(stats.bad_cid + stats.bad_sqid + stats.bad_sqhd, 0);
	CU_ASSERT_EQUAL(stats.in_flight, 0);
	fixture_fini(&fx);
}

static void nothing_is_shown_to_the_device_before_submit(void)
{
	struct quoll_nvme_queue_stats stats;
	struct quoll_nvme_completion comp;

	fixture_init(&fx);
	fixture_open_queue(&fx, 16);
	quoll_nvme_submit(fx.queue);
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf, 0, 1, 0), 0);
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf, 0, 1, 1), 0);
	CU_ASSERT_EQUAL(fake_nvme_sq_tail(&fx.fake, 1), 0);
	quoll_nvme_queue_stats(fx.queue, &stats);
	CU_ASSERT_EQUAL(stats.sq_doorbells, 0);
	CU_ASSERT_EQUAL(stats.in_flight, 0);
	quoll_nvme_submit(fx.queue);
	quoll_nvme_submit(fx.queue);
	CU_ASSERT_EQUAL(fake_nvme_sq_tail(&fx.fake, 1), 2);
	quoll_nvme_queue_stats(fx.queue, &stats);
	CU_ASSERT_EQUAL(stats.sq_doorbells, 1);
	CU_ASSERT_EQUAL(stats.submitted, 2);
	CU_ASSERT_EQUAL(stats.in_flight, 2);
	CU_ASSERT_EQUAL(quoll_nvme_poll(fx.queue, &comp, 0), 0);
	fixture_collect(&fx, fx.queue, &comp, 1);
	fixture_collect(&fx, fx.queue, &comp, 1);
	CU_ASSERT_EQUAL(fake_nvme_cq_head(&fx.fake, 1), 2);
	fixture_fini(&fx);
}

static void queues_and_namespaces_do_not_disturb_each_other(void)
{
	struct quoll_nvme_queue *queues[3];
	struct quoll_nvme_completion comps[8];
	unsigned int wrong = 0;

	fixture_init(&fx);
	fake_nvme_add_ns(&fx.fake, 2, 64, 12, 0);
	fake_nvme_add_ns(&fx.fake, 70, 64, 12, 0);
	fixture_open_queue(&fx, 16);
	queues[0] = fx.queue;
	queues[1] = fixture_queue(&fx, 4);
	queues[2] = fixture_queue(&fx, 16);
	for (unsigned int q = 0; q < 3; q++) {
		static const uint32_t ids[3] = {1, 2, 70};

		for (unsigned int i = 0; i < 3; i++) {
			memset(fx.buf + (q * 3 + i) * 4096, (int)(q * 3 + i + 1), 4096);
			wrong += quoll_nvme_prep_write(queues[q], ids[i], fx.buf + (q * 3 + i) * 4096, q, i ? 1 : 8,
						       q * 3 + i) != 0;
		}
		quoll_nvme_submit(queues[q]);
		fake_nvme_step(&fx.fake);
	}
	for (unsigned int q = 0; q < 3; q++) {
		fixture_collect(&fx, queues[q], comps, 3);
		for (unsigned int i = 0; i < 3; i++)
			wrong += comps[i].user_data / 3 != q || comps[i].status;
		for (unsigned int i = 1; i < 3; i++)
			wrong += fx.fake.ns[i].disk[q * 4096] != q * 3 + i + 1;
	}
	CU_ASSERT_EQUAL(wrong, 0);
	fixture_queue_destroy(&fx, queues[1]);
	CU_ASSERT_EQUAL(fx.fake.nr_deleted_sqs, 1);
	CU_ASSERT_EQUAL(fx.fake.nr_deleted_cqs, 1);
	queues[1] = fixture_queue(&fx, 32);
	CU_ASSERT_EQUAL(quoll_nvme_prep_flush(queues[1], 70, 9), 0);
	quoll_nvme_submit(queues[1]);
	fixture_collect(&fx, queues[1], comps, 1);
	CU_ASSERT_EQUAL(comps[0].status, 0);
	fixture_fini(&fx);
	CU_ASSERT_EQUAL(fx.fake.nr_deleted_sqs, 4);
}

static void prep_refuses_what_cannot_be_done_and_says_why(void)
{
	static uint8_t outside[4096] __attribute__((aligned(4096)));
	struct quoll_heap_info info;

	fixture_init(&fx);
	fixture_open_queue(&fx, 16);
	quoll_heap_info(fx.heap, &info);
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 2, fx.buf, 0, 1, 0), -ENOENT);
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 0, fx.buf, 0, 1, 0), -ENOENT);
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 0xffffffff, fx.buf, 0, 1, 0), -ENOENT);
	CU_ASSERT_EQUAL(quoll_nvme_prep_flush(fx.queue, 2, 0), -ENOENT);
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf, 0, 0, 0), -EINVAL);
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf + 2, 0, 1, 0), -EINVAL);
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf, 16384, 1, 0), -ERANGE);
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf, 16383, 2, 0), -ERANGE);
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf, UINT64_MAX, 1, 0), -ERANGE);
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf, UINT64_MAX, 2, 0), -ERANGE);
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf, 1, UINT32_MAX, 0), -ERANGE);
	CU_ASSERT_EQUAL(quoll_nvme_prep_write(fx.queue, 1, outside, 0, 8, 0), -EFAULT);
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, NULL, 0, 8, 0), -EFAULT);
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, (uint8_t *)info.va + info.size_bytes - 512, 0, 2, 0),
			-EFAULT);
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, (uint8_t *)info.va + info.size_bytes - 512, 0, 16000, 0),
			-EFAULT);
	/* Nothing of all that has gone into the queue. */
	quoll_nvme_submit(fx.queue);
	CU_ASSERT_EQUAL(fake_nvme_sq_tail(&fx.fake, 1), 0);
	fixture_fini(&fx);
}

static void the_devices_status_comes_through(void)
{
	struct quoll_nvme_completion comp;

	fixture_init(&fx);
	fixture_open_queue(&fx, 16);
	fx.fake.ns[0].nr_lbas = 10; /* it has shrunk since it was identified */
	CU_ASSERT_EQUAL(quoll_nvme_prep_read(fx.queue, 1, fx.buf, 10, 1, 5), 0);
	quoll_nvme_submit(fx.queue);
	fixture_collect(&fx, fx.queue, &comp, 1);
	CU_ASSERT_EQUAL(comp.error, 0);
	CU_ASSERT_EQUAL(comp.status, 0x080);
	CU_ASSERT_FALSE(comp.dnr);
	CU_ASSERT_PTR_NOT_NULL(strstr(quoll_nvme_status_name(comp.status), "LBA Out of Range"));
	fixture_fini(&fx);
}

static void queue_sizes_out_of_range_are_refused(void)
{
	struct quoll_nvme_queue_opts opts = {.entries = 1};
	struct quoll_nvme_queue *queue;

	fixture_init(&fx);
	fixture_open_queue(&fx, 16);
	CU_ASSERT_EQUAL(quoll_nvme_queue_create(fx.nvme, &opts, &queue, &fx.err), -EINVAL);
	opts.entries = 1025;
	CU_ASSERT_EQUAL(quoll_nvme_queue_create(fx.nvme, &opts, &queue, &fx.err), -EINVAL);
	for (int i = 0; i < 3; i++)
		fixture_queue(&fx, 1024);
	opts.entries = 16;
	CU_ASSERT_EQUAL(quoll_nvme_queue_create(fx.nvme, &opts, &queue, &fx.err), -ENOSPC);
	CU_ASSERT_PTR_NOT_NULL(strstr(fx.err.hint, "max_io_queues"));
	fixture_fini(&fx);
}

static const struct unit_test tests[] = {
	{"a block written is read back", a_block_written_is_read_back},
	{"random requests keep data intact in any order", random_requests_keep_data_intact_in_any_order},
	{"data stays intact across boundaries and with 4096-byte blocks",
	 data_stays_intact_across_boundaries_and_with_4096_byte_blocks},
	{"data stays intact with registers by message", data_stays_intact_with_registers_by_message},
	{"a ring that is no power of two wraps", a_ring_that_is_no_power_of_two_wraps},
	{"the smallest ring works", the_smallest_ring_works},
	{"a full queue says EAGAIN and goes on after a poll", a_full_queue_says_eagain_and_goes_on_after_a_poll},
	{"commands go on past the end of all counters", commands_go_on_past_the_end_of_all_counters},
	{"nothing is shown to the device before submit", nothing_is_shown_to_the_device_before_submit},
	{"queues and namespaces do not disturb each other", queues_and_namespaces_do_not_disturb_each_other},
	{"prep refuses what cannot be done and says why", prep_refuses_what_cannot_be_done_and_says_why},
	{"the device's status comes through", the_devices_status_comes_through},
	{"queue sizes out of range are refused", queue_sizes_out_of_range_are_refused},
};

UNIT_MAIN("nvme queue", tests)
