/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_vfio_user_device.c - files that a server sends for its regions, and what mapping them may not do to the client.
 */
#include <string.h>
#include <sys/mman.h>

#include "vfio_user_world.h"

/* The kernel rounds such a mapping up to whole huge pages: with a fixed address, over whatever lies behind. */
static void a_file_of_huge_pages_is_not_mapped(void)
{
	int fd = memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB);
	struct quoll_region *region;
	uint32_t value = 0;
	struct world w;

	CU_ASSERT_TRUE_FATAL(fd >= 0);
	CU_ASSERT_EQUAL(ftruncate(fd, 2 << 20), 0);
	world_init(&w);
	w.nr_fds_before -= 1;
	w.server.area_fds[0] = fd;
	CU_ASSERT_EQUAL_FATAL(world_open(&w), 0);
	CU_ASSERT_EQUAL(quoll_region_map(w.dev, 0, &region, &w.err), -EPERM);
	/* By message it works. */
	CU_ASSERT_EQUAL(quoll_region_read(w.dev, 0, 0, &value, sizeof(value)), 0);
	close(fd);
	world_close(&w);
}

static const struct unit_test tests[] = {
	{"a file of huge pages is not mapped", a_file_of_huge_pages_is_not_mapped},
};

UNIT_MAIN("eal/backend/vfio_user_device", tests)
