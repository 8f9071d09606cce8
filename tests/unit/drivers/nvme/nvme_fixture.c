/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nvme_fixture.c - see nvme_fixture.h.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <quoll/claim.h>

#include "nvme_fixture.h"
#include "unit.h"

void fixture_init(struct nvme_fixture *fx)
{
	memset(fx, 0, sizeof(*fx));
	CU_ASSERT_EQUAL_FATAL(fake_nvme_init(&fx->fake), 0);
}

int fixture_open(struct nvme_fixture *fx, const struct quoll_nvme_opts *opts)
{
	struct quoll_heap_opts heap_opts = {
		.size_bytes = 64u << 20, .pages = QUOLL_PAGES_4K, .numa_node = -1, .ioases = &fx->ioas, .nr_ioases = 1};
	struct quoll_addr addr;
	void *va;
	int rc;

	CU_ASSERT_EQUAL_FATAL(fake_nvme_ioas_open(&fx->fake, &fx->ioas), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_addr_parse("pci:0000:01:00.0", &addr, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_group_claim(fx->ioas, &addr, &fx->group, &fx->err), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_device_open(fx->group, addr.target, &fx->dev, &fx->err), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_heap_create(NULL, &heap_opts, &fx->heap, &fx->err), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_arena_create(fx->heap, "data", QUOLL_ARENA_DEVICE_READ_WRITE, 2 * FIXTURE_BUF_BYTES,
						 &fx->arena, &fx->err),
			      0);
	CU_ASSERT_EQUAL_FATAL(quoll_arena_alloc(fx->arena, FIXTURE_BUF_BYTES, 4096, &va, &fx->err), 0);
	fx->buf = va;
	fake_nvme_pump_start(&fx->fake);
	rc = quoll_nvme_open(fx->dev, fx->heap, opts, &fx->nvme, &fx->err);
	fake_nvme_pump_stop(&fx->fake);
	return rc;
}

struct quoll_nvme_queue *fixture_queue(struct nvme_fixture *fx, unsigned int entries)
{
	struct quoll_nvme_queue_opts opts = {.entries = entries};
	struct quoll_nvme_queue *queue = NULL;
	int rc;

	fake_nvme_pump_start(&fx->fake);
	rc = quoll_nvme_queue_create(fx->nvme, &opts, &queue, &fx->err);
	fake_nvme_pump_stop(&fx->fake);
	CU_ASSERT_EQUAL_FATAL(rc, 0);
	return queue;
}

void fixture_queue_destroy(struct nvme_fixture *fx, struct quoll_nvme_queue *queue)
{
	fake_nvme_pump_start(&fx->fake);
	quoll_nvme_queue_destroy(queue);
	fake_nvme_pump_stop(&fx->fake);
}

int fixture_admin(struct nvme_fixture *fx, const struct quoll_nvme_cmd *cmd, uint32_t *result)
{
	int rc;

	fake_nvme_pump_start(&fx->fake);
	rc = quoll_nvme_admin(fx->nvme, cmd, result);
	fake_nvme_pump_stop(&fx->fake);
	return rc;
}

void fixture_open_queue(struct nvme_fixture *fx, unsigned int entries)
{
	struct quoll_nvme_opts opts = {.max_io_queues = 4};
	int rc = fixture_open(fx, &opts);

	if (rc)
		printf("open: %s: %s\n", fx->err.stage, fx->err.what);
	CU_ASSERT_EQUAL_FATAL(rc, 0);
	fx->queue = fixture_queue(fx, entries);
}

void fixture_open_queues(struct nvme_fixture *fx, const struct quoll_nvme_opts *opts,
			 const struct quoll_nvme_queue_opts *queue_opts, struct quoll_nvme_queue **queues,
			 unsigned int nr)
{
	CU_ASSERT_EQUAL_FATAL(fixture_open(fx, opts), 0);
	fake_nvme_pump_start(&fx->fake);
	for (unsigned int i = 0; i < nr; i++)
		CU_ASSERT_EQUAL_FATAL(quoll_nvme_queue_create(fx->nvme, queue_opts, &queues[i], &fx->err), 0);
	fake_nvme_pump_stop(&fx->fake);
}

static uint64_t now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec;
}

void fixture_run(struct nvme_fixture *fx, struct quoll_nvme_queue *queue, bool (*done)(void))
{
	uint64_t start = now_s();

	while (!done() && now_s() - start < 10) {
		fake_nvme_step(&fx->fake);
		(void)quoll_nvme_ctrl_poll(fx->nvme);
		fx->nr_comps += quoll_nvme_poll(queue, fx->comps + fx->nr_comps, 256 - fx->nr_comps);
	}
	CU_ASSERT_FATAL(done());
}

void fixture_fini(struct nvme_fixture *fx)
{
	if (fx->nvme) {
		fake_nvme_pump_start(&fx->fake);
		fx->close_rc = quoll_nvme_close(fx->nvme);
		fake_nvme_pump_stop(&fx->fake);
		CU_ASSERT_FALSE(fake_pci_bus_master(&fx->fake.pci) && fx->fake.pci.config[0] != 0xff &&
				!fx->fake.pci.hung_up);
	}
	if (fx->arena)
		quoll_arena_destroy(fx->arena);
	quoll_device_close(fx->dev);
	if (fx->heap)
		quoll_heap_destroy(fx->heap);
	CU_ASSERT_EQUAL(quoll_group_release(fx->group), 0);
	CU_ASSERT_EQUAL(quoll_ioas_close(fx->ioas), 0);
	CU_ASSERT_EQUAL(fx->fake.pci.nr_violations, 0);
	if (fx->fake.pci.nr_violations)
		printf("violation: %s\n", fx->fake.pci.violation);
	fake_nvme_fini(&fx->fake);
}

void fixture_collect(struct nvme_fixture *fx, struct quoll_nvme_queue *queue, struct quoll_nvme_completion *comps,
		     unsigned int nr)
{
	unsigned int n = 0;

	for (unsigned int round = 0; n < nr && round < 100000; round++) {
		fake_nvme_step(&fx->fake);
		n += quoll_nvme_poll(queue, comps + n, nr - n);
	}
	CU_ASSERT_EQUAL_FATAL(n, nr);
}

void fixture_fill_random(struct nvme_fixture *fx, void *buf, size_t len)
{
	uint8_t *at = buf;

	for (size_t i = 0; i < len; i++)
		at[i] = (uint8_t)fake_pci_random(&fx->fake.pci);
}
