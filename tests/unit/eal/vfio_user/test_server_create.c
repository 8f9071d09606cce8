/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_server_create.c - servers that can't be: devices that contradict themselves, places that a server with clients
 * has.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server_world.h"

static int create(struct server_world *w, struct quoll_error *err)
{
	struct quoll_server *server = NULL;
	int rc = quoll_server_create(NULL, w->path, &w->device, &server, err);

	if (!rc)
		quoll_server_destroy(server);
	CU_ASSERT_EQUAL(rc, rc ? -err->errnum : 0);
	return rc;
}

static void a_live_one_is_left_alone(void)
{
	struct quoll_error err;
	struct server_world w;

	world_init(&w);
	world_listen(&w);
	CU_ASSERT_EQUAL(create(&w, &err), -EADDRINUSE);
	CU_ASSERT_TRUE(err.hint[0]);
	/* Also with its queue full, when nobody can connect. */
	for (unsigned int i = 0; i < 40; i++) {
		struct sockaddr_un sa = w.server->listen.address;
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

		if (!connect(fd, (struct sockaddr *)&sa, sizeof(sa))) {
			close(fd);
			continue;
		}
		CU_ASSERT_EQUAL(errno, EAGAIN);
		close(fd);
		break;
	}
	CU_ASSERT_EQUAL(create(&w, &err), -EADDRINUSE);
	for (unsigned int i = 0; i < 40; i++)
		quoll_server_poll(w.server);
	CU_ASSERT_TRUE(world_hello(&w) > 0);
	world_close(&w);
}

static const struct quoll_server_ops no_ops;

static void devices_that_contradict_themselves(void)
{
	static const struct quoll_server_region regions[] = {
		{.size_bytes = 0x4000, .flags = 1u << 3},
		{.size_bytes = 0, .flags = QUOLL_REGION_READ},
		{.size_bytes = 0x4000, .flags = QUOLL_REGION_MMAP, .fd = -1},
		{.size_bytes = 0x4001, .flags = QUOLL_REGION_MMAP},
		{.size_bytes = 0x4000, .flags = QUOLL_REGION_MMAP, .fd_offset = 0x1000},
		{.size_bytes = 0x1000, .flags = QUOLL_REGION_MMAP, .fd_offset = 0x800},
		{.size_bytes = 0x4000, .flags = QUOLL_REGION_MMAP, .nr_areas = 17},
		{.size_bytes = 0x4000, .flags = QUOLL_REGION_MMAP, .nr_areas = 1, .areas = {{0x1000, 0}}},
		{.size_bytes = 0x4000, .flags = QUOLL_REGION_MMAP, .nr_areas = 1, .areas = {{0x1000, 0x800}}},
		{.size_bytes = 0x4000, .flags = QUOLL_REGION_MMAP, .nr_areas = 1, .areas = {{0x800, 0x1000}}},
		{.size_bytes = 0x4000, .flags = QUOLL_REGION_MMAP, .nr_areas = 1, .areas = {{0x3000, 0x2000}}},
		{.size_bytes = 0x4000, .flags = QUOLL_REGION_MMAP, .nr_areas = 1, .areas = {{0x5000, 0x1000}}},
		{.size_bytes = 0x4000,
		 .flags = QUOLL_REGION_MMAP,
		 .nr_areas = 2,
		 .areas = {{0, 0x2000}, {0x1000, 0x1000}}},
	};
	struct quoll_error err;
	struct server_world w;
	int unsealed = memfd_create("unsealed", MFD_CLOEXEC);

	world_init(&w);
	for (size_t i = 0; i < sizeof(regions) / sizeof(regions[0]); i++) {
		w.device.regions[1] = regions[i];
		if (!w.device.regions[1].fd)
			w.device.regions[1].fd = w.device.regions[0].fd;
		CU_ASSERT_EQUAL(create(&w, &err), -EINVAL);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.what, "region 1"));
	}
	CU_ASSERT_EQUAL(ftruncate(unsealed, 0x4000), 0);
	w.device.regions[1] =
		(struct quoll_server_region){.size_bytes = 0x4000, .flags = QUOLL_REGION_MMAP, .fd = unsealed};
	CU_ASSERT_EQUAL(create(&w, &err), -EINVAL);
	w.device.regions[1] = (struct quoll_server_region){0};
	w.device.irqs[1].nr_vectors = QUOLL_SERVER_MAX_VECTORS + 1;
	CU_ASSERT_EQUAL(create(&w, &err), -EINVAL);
	w.device.irqs[1] = (struct quoll_irq_info){.flags = 1u << 9};
	CU_ASSERT_EQUAL(create(&w, &err), -EINVAL);
	w.device.irqs[1].flags = 0;
	w.device.nr_irqs = 2;
	CU_ASSERT_EQUAL(create(&w, &err), -EINVAL);
	w.device.nr_irqs = QUOLL_SERVER_MAX_IRQS + 1;
	CU_ASSERT_EQUAL(create(&w, &err), -EINVAL);
	w.device.nr_irqs = 5;
	w.device.nr_regions = QUOLL_SERVER_MAX_REGIONS + 1;
	CU_ASSERT_EQUAL(create(&w, &err), -EINVAL);
	w.device.nr_regions = 7;
	CU_ASSERT_EQUAL(create(&w, &err), -EINVAL);
	w.device.nr_regions = 9;
	w.device.bus = QUOLL_BUS_OTHER;
	CU_ASSERT_EQUAL(create(&w, &err), -EINVAL);
	w.device.bus = QUOLL_BUS_PCI;
	w.device.ops = &no_ops;
	CU_ASSERT_EQUAL(create(&w, &err), -EINVAL);
	w.device.ops = NULL;
	CU_ASSERT_EQUAL(create(&w, &err), -EINVAL);
	w.device.ops = &w.ops;
	CU_ASSERT_EQUAL(create(&w, &err), 0);
	close(unsealed);
	w.fds_before--;
	world_close(&w);
}

static const struct unit_test tests[] = {
	{"a live one is left alone", a_live_one_is_left_alone},
	{"devices that contradict themselves", devices_that_contradict_themselves},
};

UNIT_MAIN("eal/vfio_user/server_create", tests)
