/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_vfio_user.c - the vfio-user back-end against a server that keeps to the protocol: device, regions, interrupts,
 * memory, both directions; and a server that dies or hangs.
 */
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "vfio_user_world.h"

static unsigned int commands(struct world *w, unsigned int command)
{
	return atomic_load(&w->server.nr_commands[command]);
}

static void a_pci_device_opens_by_its_sockets_path(void)
{
	struct quoll_device_info info;
	struct world w;
	uint32_t command;

	world_init(&w);
	CU_ASSERT_EQUAL_FATAL(world_open(&w), 0);
	quoll_device_info(w.dev, &info);
	CU_ASSERT_EQUAL(info.bus, QUOLL_BUS_PCI);
	CU_ASSERT_EQUAL(info.vendor_id, 0x1b36);
	CU_ASSERT_EQUAL(info.device_id, 0x0010);
	CU_ASSERT_EQUAL(info.class_code, 0x010802);
	CU_ASSERT_EQUAL(info.nr_regions, 9);
	CU_ASSERT_TRUE(info.can_reset);
	CU_ASSERT_STRING_EQUAL(info.name, w.server.path);
	CU_ASSERT_STRING_EQUAL(quoll_group_device_name(w.group, 0), w.server.path);
	CU_ASSERT_EQUAL(quoll_group_nr_devices(w.group), 1);
	CU_ASSERT_EQUAL(quoll_group_id(w.group), -1);
	CU_ASSERT_EQUAL(commands(&w, VUSER_DEVICE_RESET), 1);
	CU_ASSERT_EQUAL(quoll_pci_config_read(w.dev, 4, 2, &command), 0);
	CU_ASSERT_EQUAL(command, 0x402); /* memory space, no INTx, no bus mastering */
	CU_ASSERT_EQUAL(quoll_device_events(w.dev), 0);
	world_close(&w);
}

static void a_platform_device_opens_without_config_space(void)
{
	struct quoll_device_info info;
	struct quoll_region *region;
	uint32_t value = 0;
	struct world w;

	world_init(&w);
	w.server.device_flags = VFIO_DEVICE_FLAGS_PLATFORM;
	w.server.nr_regions = 1;
	w.server.nr_irqs = 0;
	CU_ASSERT_EQUAL_FATAL(world_open(&w), 0);
	quoll_device_info(w.dev, &info);
	CU_ASSERT_EQUAL(info.bus, QUOLL_BUS_PLATFORM);
	CU_ASSERT_FALSE(info.can_reset);
	CU_ASSERT_EQUAL(quoll_region_write(w.dev, 0, 8, "abcd", 4), 0);
	CU_ASSERT_EQUAL(quoll_region_read(w.dev, 0, 8, &value, 4), 0);
	CU_ASSERT_EQUAL(memcmp(&value, "abcd", 4), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_region_map(w.dev, 0, &region, NULL), 0);
	CU_ASSERT_EQUAL(memcmp((const void *)quoll_region_ptr(region, 8, 4), "abcd", 4), 0);
	CU_ASSERT_EQUAL(commands(&w, VUSER_DEVICE_RESET), 0);
	world_close(&w);
}

static void a_mapped_region_is_the_servers_own_memory(void)
{
	struct quoll_region *region;
	volatile uint32_t *reg;
	unsigned int writes;
	struct world w;

	world_init(&w);
	CU_ASSERT_EQUAL_FATAL(world_open(&w), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_region_map(w.dev, 0, &region, &w.err), 0);
	reg = quoll_region_ptr(region, 0x1000, 4);
	writes = commands(&w, VUSER_REGION_WRITE);
	*reg = 0x12345678;
	CU_ASSERT_EQUAL(*(volatile uint32_t *)(w.server.bar + 0x1000), 0x12345678);
	CU_ASSERT_EQUAL(commands(&w, VUSER_REGION_WRITE), writes);
	world_close(&w);
}

static void sparse_areas_are_mapped_and_the_rest_is_not(void)
{
	struct quoll_region_info info;
	struct quoll_region *region;
	struct world w;

	world_init(&w);
	w.server.nr_areas = 2;
	w.server.areas[0] = (struct vfio_region_sparse_mmap_area){.offset = 0x1000, .size = 0x1000};
	w.server.areas[1] = (struct vfio_region_sparse_mmap_area){.offset = 0x3000, .size = 0x1000};
	CU_ASSERT_EQUAL_FATAL(world_open(&w), 0);
	CU_ASSERT_EQUAL(quoll_region_info(w.dev, 0, &info, NULL), 0);
	CU_ASSERT_EQUAL(info.nr_areas, 2);
	CU_ASSERT_EQUAL_FATAL(quoll_region_map(w.dev, 0, &region, &w.err), 0);
	CU_ASSERT_PTR_NULL(quoll_region_ptr(region, 0, 4));
	CU_ASSERT_PTR_NULL(quoll_region_ptr(region, 0x2000, 4));
	*(volatile uint8_t *)quoll_region_ptr(region, 0x3fff, 1) = 7;
	CU_ASSERT_EQUAL(w.server.bar[0x3fff], 7);
	world_close(&w);
}

static void each_area_may_have_a_file_of_its_own(void)
{
	struct quoll_region *region;
	uint8_t byte = 0;
	struct world w;
	int fd;

	world_init(&w);
	fd = memfd_create("second", MFD_CLOEXEC);
	CU_ASSERT_EQUAL_FATAL(ftruncate(fd, 0x4000), 0);
	w.server.nr_areas = w.server.nr_area_fds = 2;
	w.server.areas[0] = (struct vfio_region_sparse_mmap_area){.offset = 0x1000, .size = 0x1000};
	w.server.areas[1] = (struct vfio_region_sparse_mmap_area){.offset = 0x2000, .size = 0x1000};
	w.server.area_fds[1] = fd;
	CU_ASSERT_EQUAL_FATAL(world_open(&w), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_region_map(w.dev, 0, &region, &w.err), 0);
	*(volatile uint8_t *)quoll_region_ptr(region, 0x1005, 1) = 1;
	*(volatile uint8_t *)quoll_region_ptr(region, 0x2005, 1) = 2;
	CU_ASSERT_EQUAL(w.server.bar[0x1005], 1);
	CU_ASSERT_EQUAL(w.server.bar[0x2005], 0);
	CU_ASSERT_EQUAL(pread(fd, &byte, 1, 0x2005), 1);
	CU_ASSERT_EQUAL(byte, 2);
	close(fd);
	world_close(&w);
}

static void a_region_without_a_file_is_accessed_by_message(void)
{
	struct quoll_region *region;
	uint8_t data[4] = {0};
	struct world w;

	world_init(&w);
	w.server.nr_area_fds = 0;
	CU_ASSERT_EQUAL_FATAL(world_open(&w), 0);
	CU_ASSERT_EQUAL(quoll_region_map(w.dev, 0, &region, &w.err), -EPERM);
	w.server.bar[100] = 9;
	CU_ASSERT_EQUAL(quoll_region_read(w.dev, 0, 100, data, 4), 0);
	CU_ASSERT_EQUAL(data[0], 9);
	world_close(&w);
}

static void long_accesses_go_in_pieces_that_the_server_takes(void)
{
	uint8_t out[1000], in[1000] = {0};
	struct world w;

	world_init(&w);
	w.server.caps = "{\"capabilities\":{\"max_data_xfer_size\":64}}";
	CU_ASSERT_EQUAL_FATAL(world_open(&w), 0);
	for (unsigned int i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 7);
	CU_ASSERT_EQUAL(quoll_region_write(w.dev, 0, 24, out, sizeof(out)), 0);
	CU_ASSERT_EQUAL(quoll_region_read(w.dev, 0, 24, in, sizeof(in)), 0);
	CU_ASSERT_EQUAL(memcmp(out, in, sizeof(out)), 0);
	CU_ASSERT_EQUAL(memcmp(w.server.bar + 24, out, sizeof(out)), 0);
	CU_ASSERT_EQUAL(w.server.largest_access, 64);
	CU_ASSERT_EQUAL(quoll_region_read(w.dev, 0, SERVER_BAR_BYTES - 1, in, 2), -EINVAL);
	world_close(&w);
}

static int signalled(int fd)
{
	uint64_t count = 0;

	return read(fd, &count, sizeof(count)) == sizeof(count) ? (int)count : 0;
}

static void with_eventfds(unsigned int most, const char *caps)
{
	struct quoll_irq_info info;
	struct world w;
	int fds[65];

	world_init(&w);
	w.server.caps = caps;
	CU_ASSERT_EQUAL_FATAL(world_open(&w), 0);
	for (unsigned int i = 0; i < 65; i++)
		fds[i] = i == 7 ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	CU_ASSERT_EQUAL(quoll_irq_info(w.dev, QUOLL_PCI_IRQ_MSIX, &info, NULL), 0);
	CU_ASSERT_EQUAL(info.nr_vectors, 65);
	CU_ASSERT_EQUAL(quoll_irq_enable(w.dev, QUOLL_PCI_IRQ_MSIX, fds, 65, &w.err), 0);
	CU_ASSERT_EQUAL(w.server.most_fds, most);
	for (unsigned int i = 0; i < 65; i++) {
		if (i == 7) {
			CU_ASSERT_EQUAL(w.server.eventfds[i], -1);
			continue;
		}
		CU_ASSERT_EQUAL(eventfd_write(w.server.eventfds[i], i + 1), 0);
		CU_ASSERT_EQUAL(signalled(fds[i]), (int)i + 1);
	}
	CU_ASSERT_EQUAL(quoll_irq_attach(w.dev, QUOLL_PCI_IRQ_MSIX, 7, fds[8]), 0);
	CU_ASSERT_EQUAL(quoll_irq_attach(w.dev, QUOLL_PCI_IRQ_MSIX, 8, -1), 0);
	CU_ASSERT_EQUAL(w.server.eventfds[8], -1);
	CU_ASSERT_EQUAL(eventfd_write(w.server.eventfds[7], 5), 0);
	CU_ASSERT_EQUAL(signalled(fds[8]), 5);
	CU_ASSERT_NOT_EQUAL(w.server.eventfds[9], -1);
	CU_ASSERT_EQUAL(quoll_irq_disable(w.dev, QUOLL_PCI_IRQ_MSIX), 0);
	for (unsigned int i = 0; i < 65; i++)
		CU_ASSERT_EQUAL(w.server.eventfds[i], -1);
	for (unsigned int i = 0; i < 65; i++)
		if (i != 7)
			close(fds[i]);
	world_close(&w);
}

static void vectors_are_set_in_messages_of_as_many_fds_as_the_server_takes(void)
{
	with_eventfds(8, "{\"capabilities\":{\"max_msg_fds\":8}}");
	with_eventfds(1, NULL);
	with_eventfds(57, "{\"capabilities\":{\"max_msg_fds\":1000}}"); /* 65 less 7 before the one without, less it */
}

static void a_server_that_takes_no_fds_has_no_eventfds(void)
{
	struct world w;
	int fd;

	world_init(&w);
	fd = eventfd(0, EFD_CLOEXEC);
	w.server.caps = "{\"capabilities\":{\"max_msg_fds\":0}}";
	CU_ASSERT_EQUAL_FATAL(world_open(&w), 0);
	CU_ASSERT_EQUAL(quoll_irq_enable(w.dev, QUOLL_PCI_IRQ_MSIX, &fd, 1, &w.err), -ENOTSUP);
	close(fd);
	world_close(&w);
}

/* Eventfds of vectors from 16 on. */
static bool lie_set_irqs_fails(struct fake_server *server)
{
	struct vuser_out out = vuser_reply_to(&server->conn.header, ENOMEM);
	struct vuser_irq_set set;

	if (server->conn.header.command != VUSER_DEVICE_SET_IRQS)
		return false;
	memcpy(&set, server->conn.payload, sizeof(set));
	if (set.start < 16 || !server->conn.nr_fds)
		return false;
	vuser_send(&server->conn, &out, fd_socket_now_ns() + WORLD_LONG_NS);
	return true;
}

static void vectors_that_the_server_refuses_leave_none_set(void)
{
	struct world w;
	int fds[24];

	world_init(&w);
	w.server.lie = lie_set_irqs_fails;
	CU_ASSERT_EQUAL_FATAL(world_open(&w), 0);
	for (unsigned int i = 0; i < 24; i++)
		fds[i] = eventfd(0, EFD_CLOEXEC);
	CU_ASSERT_EQUAL(quoll_irq_enable(w.dev, QUOLL_PCI_IRQ_MSIX, fds, 24, &w.err), -ENOMEM);
	for (unsigned int i = 0; i < 24; i++) {
		CU_ASSERT_EQUAL(w.server.eventfds[i], -1);
		close(fds[i]);
	}
	CU_ASSERT_EQUAL(quoll_device_events(w.dev), 0); /* a refusal is no end */
	world_close(&w);
}

static void memory_reaches_the_server_with_its_permission(void)
{
	quoll_iova_t ro_iova, rw_iova;
	uint8_t *ro, *rw, *peer;
	struct fake_map *m;
	struct world w;

	world_init(&w);
	CU_ASSERT_EQUAL_FATAL(world_open(&w), 0);
	ro = world_memory(&w, QUOLL_ARENA_DEVICE_READ, 4096, &ro_iova);
	rw = world_memory(&w, QUOLL_ARENA_DEVICE_READ_WRITE, 4096, &rw_iova);
	CU_ASSERT_EQUAL_FATAL(w.server.nr_maps, 2);
	m = &w.server.maps[0];
	CU_ASSERT_EQUAL(m->map.flags, VUSER_DMA_READABLE);
	CU_ASSERT_TRUE(m->map.iova <= ro_iova && ro_iova - m->map.iova < m->map.size_bytes);
	peer = mmap(NULL, m->map.size_bytes, PROT_READ, MAP_SHARED, m->fd, (off_t)m->map.offset);
	CU_ASSERT_FATAL(peer != MAP_FAILED);
	ro[5] = 42;
	CU_ASSERT_EQUAL(peer[ro_iova - m->map.iova + 5], 42);
	munmap(peer, m->map.size_bytes);
	CU_ASSERT(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, m->fd, (off_t)m->map.offset) == MAP_FAILED);
	m = &w.server.maps[1];
	CU_ASSERT_EQUAL(m->map.flags, VUSER_DMA_READABLE | VUSER_DMA_WRITABLE);
	peer = mmap(NULL, m->map.size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, (off_t)m->map.offset);
	CU_ASSERT_FATAL(peer != MAP_FAILED);
	peer[rw_iova - m->map.iova + 9] = 43;
	CU_ASSERT_EQUAL(rw[9], 43);
	munmap(peer, m->map.size_bytes);
	quoll_heap_destroy(w.heap);
	w.heap = NULL;
	CU_ASSERT_EQUAL(w.server.nr_maps, 0);
	world_close(&w);
}

static void a_second_server_is_told_of_what_is_mapped_already(void)
{
	struct quoll_group *group;
	struct fake_server second;
	quoll_iova_t iova;
	struct world w;

	world_init(&w);
	CU_ASSERT_EQUAL_FATAL(world_open(&w), 0);
	world_memory(&w, QUOLL_ARENA_DEVICE_READ_WRITE, 4096, &iova);
	fake_server_init(&second);
	fake_server_start(&second);
	CU_ASSERT_EQUAL_FATAL(world_claim(&w, second.path, &group), 0);
	CU_ASSERT_EQUAL(second.nr_maps, 1);
	CU_ASSERT_EQUAL(second.maps[0].map.iova, w.server.maps[0].map.iova);
	world_memory(&w, QUOLL_ARENA_DEVICE_READ, 4096, &iova);
	CU_ASSERT_EQUAL(second.nr_maps, 2);
	CU_ASSERT_EQUAL(w.server.nr_maps, 2);
	/* It dies; the memory of the other one goes on. */
	fake_server_stop(&second);
	world_memory(&w, QUOLL_ARENA_DEVICE_READ, 4096, &iova);
	CU_ASSERT_EQUAL(w.server.nr_maps, 3);
	CU_ASSERT_EQUAL(quoll_device_events(w.dev), 0);
	CU_ASSERT_EQUAL(quoll_group_release(group), 0);
	fake_server_free(&second);
	world_close(&w);
}

static void memory_survives_the_last_release_and_goes_to_the_next_claim(void)
{
	quoll_iova_t iova;
	struct world w;

	world_init(&w);
	CU_ASSERT_EQUAL_FATAL(world_open(&w), 0);
	world_memory(&w, QUOLL_ARENA_DEVICE_READ_WRITE, 4096, &iova);
	quoll_device_close(w.dev);
	CU_ASSERT_EQUAL(quoll_group_release(w.group), 0);
	CU_ASSERT_EQUAL_FATAL(world_claim(&w, w.server.path, &w.group), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_device_open(w.group, w.server.path, &w.dev, &w.err), 0);
	CU_ASSERT_EQUAL(commands(&w, VUSER_DMA_MAP), 2);
	CU_ASSERT_EQUAL(atomic_load(&w.server.nr_clients), 2);
	world_close(&w);
}

static void the_servers_limits_are_the_address_spaces(void)
{
	struct quoll_heap_opts opts = {.pages = QUOLL_PAGES_4K, .numa_node = -1, .nr_ioases = 1, .size_bytes = 1 << 30};
	struct quoll_ioas_info info;
	struct quoll_arena *arena;
	struct world w;
	void *va;

	world_init(&w);
	CU_ASSERT_EQUAL(quoll_ioas_info(w.ioas, &info, NULL), 0);
	CU_ASSERT_EQUAL(info.nr_ranges, 0);
	w.server.caps = "{\"capabilities\":{\"max_dma_maps\":1,\"pgsizes\":8192}}";
	CU_ASSERT_EQUAL_FATAL(world_open(&w), 0);
	CU_ASSERT_EQUAL(quoll_ioas_info(w.ioas, &info, NULL), 0);
	CU_ASSERT_EQUAL(info.maps_avail, 1);
	CU_ASSERT_EQUAL(info.page_sizes & -info.page_sizes, 8192);
	CU_ASSERT_EQUAL(info.memlock_bytes, UINT64_MAX);
	opts.ioases = &w.ioas;
	CU_ASSERT_EQUAL_FATAL(quoll_heap_create(NULL, &opts, &w.heap, &w.err), 0);
	CU_ASSERT_EQUAL(quoll_arena_create(w.heap, "a", QUOLL_ARENA_DEVICE_READ, 0, &arena, &w.err), 0);
	CU_ASSERT_EQUAL(quoll_arena_alloc(arena, 4096, 1, &va, &w.err), 0);
	CU_ASSERT_EQUAL(quoll_arena_alloc(arena, 1 << 20, 1, &va, &w.err), -ENOMEM);
	CU_ASSERT_PTR_NOT_NULL(strstr(w.err.what, "mappings"));
	CU_ASSERT_PTR_NULL(strstr(w.err.hint, "vfio_iommu_type1"));
	CU_ASSERT_EQUAL(w.server.nr_maps, 1);
	world_close(&w);
}

static bool lie_map_refused(struct fake_server *server)
{
	struct vuser_out out = vuser_reply_to(&server->conn.header, EPERM);

	if (server->conn.header.command != VUSER_DMA_MAP)
		return false;
	vuser_send(&server->conn, &out, fd_socket_now_ns() + WORLD_LONG_NS);
	return true;
}

static void a_mapping_that_one_server_refuses_is_undone_at_the_others(void)
{
	struct ioas_mapping m = {.iova = 1 << 20, .len_bytes = 4096, .access = MAP_DEVICE_READ, .fd = -1};
	static uint8_t memory[4096];
	struct quoll_group *group;
	struct fake_server second;
	struct world w;

	world_init(&w);
	CU_ASSERT_EQUAL_FATAL(world_open(&w), 0);
	fake_server_init(&second);
	second.lie = lie_map_refused;
	fake_server_start(&second);
	CU_ASSERT_EQUAL_FATAL(world_claim(&w, second.path, &group), 0);
	m.va = memory;
	CU_ASSERT_EQUAL(ioas_map(w.ioas, &m, &w.err), -EPERM);
	CU_ASSERT_PTR_NOT_NULL(strstr(w.err.what, "refuses"));
	CU_ASSERT_EQUAL(w.server.nr_maps, 0);
	CU_ASSERT_EQUAL(commands(&w, VUSER_DMA_UNMAP), 1);
	CU_ASSERT_EQUAL(((struct vfio_user_space *)w.ioas->priv)->maps.nr, 0);
	CU_ASSERT_EQUAL(quoll_group_release(group), 0);
	fake_server_free(&second);
	world_close(&w);
}

/* What a server may do by message: run in the server's thread, while the client waits for an answer or idles. */
struct dma_script {
	quoll_iova_t ro, rw;
	atomic_bool done;
	int rc[10];
	uint8_t got[16];
	uint8_t large[8192];
};

static void dma_run(struct fake_server *server, struct dma_script *script)
{
	uint8_t byte = 77;

	script->rc[0] = fake_dma(server, script->ro + 1, script->got, 16, false);
	script->rc[1] = fake_dma(server, script->rw + 2, "written", 7, true);
	script->rc[2] = fake_dma(server, script->ro, &byte, 1, true);
	script->rc[3] = fake_dma(server, script->rw + (64 << 10) - 8, script->large, 16, false);
	script->rc[4] = fake_dma(server, 0, &byte, 1, false);
	script->rc[5] = fake_dma(server, UINT64_MAX, script->large, 2, false);
	script->rc[6] = fake_dma(server, script->rw, NULL, 0, false);
	script->rc[7] = fake_dma(server, script->rw, NULL, 2 << 20, false);
	script->rc[8] = fake_dma(server, script->rw + (64 << 10) - 1, &byte, 1, true);
	atomic_store(&script->done, true);
}

/* Before the client's write is answered, the only one of BAR 0. */
static bool lie_dma_later(struct fake_server *server)
{
	struct vuser_header header = server->conn.header;
	struct dma_script *script = server->arg;
	struct vuser_region_access echo;
	struct vuser_out out;

	if (header.command != VUSER_REGION_WRITE || ((const struct vuser_region_access *)server->conn.payload)->region)
		return false;
	memcpy(&echo, server->conn.payload, sizeof(echo));
	dma_run(server, script);
	out = vuser_reply_to(&header, 0);
	out.head = &echo;
	out.head_bytes = sizeof(echo);
	vuser_send(&server->conn, &out, fd_socket_now_ns() + WORLD_LONG_NS);
	return true;
}

/* After it was answered. */
static void step_dma(struct fake_server *server)
{
	struct dma_script *script = server->arg;

	if (server->bar[0] && !atomic_load(&script->done))
		dma_run(server, script);
}

static void dma_check(const struct dma_script *script, const uint8_t *rw)
{
	CU_ASSERT_EQUAL(script->rc[0], 0);
	CU_ASSERT_EQUAL(memcmp(script->got, "eadable memory..", 16), 0);
	CU_ASSERT_EQUAL(script->rc[1], 0);
	CU_ASSERT_EQUAL(memcmp(rw + 2, "written", 7), 0);
	CU_ASSERT_EQUAL(script->rc[2], -EPERM);
	CU_ASSERT_EQUAL(script->rc[3], -EFAULT);
	CU_ASSERT_EQUAL(script->rc[4], -EFAULT);
	CU_ASSERT_EQUAL(script->rc[5], -EFAULT);
	CU_ASSERT_EQUAL(script->rc[6], -EINVAL);
	CU_ASSERT_EQUAL(script->rc[7], -EINVAL);
	CU_ASSERT_EQUAL(script->rc[8], 0);
	CU_ASSERT_EQUAL(rw[(64 << 10) - 1], 77);
}

static void dma_by_message(const char *caps, bool idle)
{
	uint64_t limit = fd_socket_now_ns() + WORLD_LONG_NS;
	struct dma_script script = {.done = false};
	struct pollfd pfd = {.events = POLLIN};
	uint8_t *ro, *rw;
	struct world w;

	world_init(&w);
	w.server.caps = caps;
	w.server.lie = idle ? NULL : lie_dma_later;
	w.server.step = idle ? step_dma : NULL;
	w.server.arg = &script;
	CU_ASSERT_EQUAL_FATAL(world_open(&w), 0);
	ro = world_memory(&w, QUOLL_ARENA_DEVICE_READ, 4096, &script.ro);
	rw = world_memory(&w, QUOLL_ARENA_DEVICE_READ_WRITE, 64 << 10, &script.rw);
	memcpy(ro, "readable memory..", 17);
	CU_ASSERT_EQUAL(quoll_region_write(w.dev, 0, 0, "x", 1), 0);
	if (idle) {
		pfd.fd = quoll_device_event_fd(w.dev);
		CU_ASSERT_EQUAL(poll(&pfd, 1, 20000), 1); /* a sleeper is woken for it */
	}
	while (idle && !atomic_load(&script.done) && fd_socket_now_ns() < limit)
		CU_ASSERT_EQUAL(quoll_device_events(w.dev), 0);
	CU_ASSERT_TRUE_FATAL(atomic_load(&script.done));
	dma_check(&script, rw);
	CU_ASSERT_EQUAL(world_session(&w)->nr_served, 3);
	CU_ASSERT_EQUAL(world_session(&w)->nr_refused, 6);
	world_close(&w);
}

static const char twin_caps[] =
	"{\"capabilities\":{\"max_msg_fds\":8,\"twin_socket\":{\"supported\":true,\"fd_index\":0}}}";

static void the_server_reads_and_writes_by_message_while_we_wait(void)
{
	dma_by_message(NULL, false);
	dma_by_message(twin_caps, false);
}

static void the_server_reads_and_writes_by_message_while_we_idle(void)
{
	dma_by_message(NULL, true);
	dma_by_message(twin_caps, true);
}

static bool lie_ask_for_a_reset(struct fake_server *server)
{
	struct vuser_header header = server->conn.header;
	struct vuser_out out = {.id = 1, .command = VUSER_DEVICE_RESET};
	struct vuser_conn *conn = &server->conn;

	if (header.command != VUSER_DEVICE_RESET)
		return false;
	vuser_send(conn, &out, fd_socket_now_ns() + WORLD_LONG_NS);
	out.command = VUSER_DMA_READ; /* without its payload */
	vuser_send(conn, &out, fd_socket_now_ns() + WORLD_LONG_NS);
	for (int i = 0; i < 2; i++) {
		vuser_recv(conn, fd_socket_now_ns() + WORLD_LONG_NS);
		if (conn->header.flags != (VUSER_TYPE_REPLY | VUSER_ERROR) ||
		    conn->header.error != (i ? EINVAL : EOPNOTSUPP))
			server->silent = true;
	}
	out = vuser_reply_to(&header, 0);
	vuser_send(conn, &out, fd_socket_now_ns() + WORLD_LONG_NS);
	return true;
}

static void other_commands_of_the_server_are_refused(void)
{
	struct world w;

	world_init(&w);
	w.server.lie = lie_ask_for_a_reset;
	CU_ASSERT_EQUAL_FATAL(world_open(&w), 0);
	CU_ASSERT_FALSE(atomic_load(&w.server.silent));
	CU_ASSERT_EQUAL(world_session(&w)->nr_refused, 2);
	world_close(&w);
}

static void a_server_that_dies_is_a_device_that_is_gone(void)
{
	struct pollfd pfd = {.events = POLLIN};
	struct quoll_region *region;
	uint32_t value;
	struct world w;

	world_init(&w);
	CU_ASSERT_EQUAL_FATAL(world_open(&w), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_region_map(w.dev, 0, &region, &w.err), 0);
	pfd.fd = quoll_device_event_fd(w.dev);
	CU_ASSERT_EQUAL(poll(&pfd, 1, 0), 0);
	fake_server_stop(&w.server);
	CU_ASSERT_EQUAL(poll(&pfd, 1, 20000), 1);
	CU_ASSERT_EQUAL(quoll_device_events(w.dev), QUOLL_DEVICE_GONE);
	CU_ASSERT_EQUAL(quoll_pci_config_read(w.dev, 0, 4, &value), -ENODEV);
	CU_ASSERT_EQUAL(quoll_device_reset(w.dev, &w.err), -ENODEV);
	*(volatile uint32_t *)quoll_region_ptr(region, 0, 4) = 1; /* the memory stays, nobody looks at it */
	world_close(&w);
}

static void a_server_that_dies_in_a_call_is_gone_too(void)
{
	uint32_t value;
	struct world w;

	world_init(&w);
	CU_ASSERT_EQUAL_FATAL(world_open(&w), 0);
	fake_server_stop(&w.server);
	CU_ASSERT_EQUAL(quoll_pci_config_read(w.dev, 0, 4, &value), -ENODEV);
	CU_ASSERT_EQUAL(quoll_device_events(w.dev), QUOLL_DEVICE_GONE);
	world_close(&w);
}

static void a_server_that_hangs_times_out_once(void)
{
	struct pollfd pfd = {.events = POLLIN};
	uint32_t value;
	struct world w;

	world_init(&w);
	CU_ASSERT_EQUAL_FATAL(world_open(&w), 0);
	atomic_store(&w.server.silent, true);
	world_timeout(&w, WORLD_SHORT_NS);
	CU_ASSERT_EQUAL(quoll_pci_config_read(w.dev, 0, 4, &value), -ETIMEDOUT);
	world_timeout(&w, WORLD_LONG_NS);
	CU_ASSERT_EQUAL(quoll_pci_config_read(w.dev, 0, 4, &value), -ENODEV);
	CU_ASSERT_EQUAL(quoll_device_events(w.dev), QUOLL_DEVICE_GONE);
	pfd.fd = quoll_device_event_fd(w.dev);
	CU_ASSERT_EQUAL(poll(&pfd, 1, 0), 1);
	world_close(&w);
}

static void a_claim_of_what_is_not_there_says_so(void)
{
	static const char long_path[] = "/tmp/0123456789012345678901234567890123456789012345678901234567890123456789"
					"0123456789012345678901234567890123456789";
	struct quoll_group *group;
	struct quoll_addr addr;
	struct world w;

	world_init(&w);
	CU_ASSERT_EQUAL(world_claim(&w, w.server.path, &group), -ENOENT);
	CU_ASSERT_NOT_EQUAL(w.err.hint[0], '\0');
	addr.scheme = QUOLL_ADDR_VFIO_USER;
	addr.target = long_path;
	CU_ASSERT_EQUAL(quoll_group_claim(w.ioas, &addr, &group, &w.err), -ENAMETOOLONG);
	fake_server_start(&w.server);
	CU_ASSERT_EQUAL_FATAL(world_claim(&w, w.server.path, &w.group), 0);
	CU_ASSERT_EQUAL(world_claim(&w, w.server.path, &group), -EBUSY);
	CU_ASSERT_EQUAL(quoll_addr_parse("pci:0000:01:00.0", &addr, NULL), 0);
	CU_ASSERT_EQUAL(quoll_group_claim(w.ioas, &addr, &group, &w.err), -EINVAL);
	CU_ASSERT_EQUAL(quoll_device_open(w.group, w.server.path, &w.dev, &w.err), 0);
	world_close(&w);
}

static void a_socket_that_nobody_serves_any_more_says_so(void)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	struct quoll_group *group;
	struct world w;
	int fd;

	world_init(&w);
	strcpy(sa.sun_path, w.server.path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	CU_ASSERT_EQUAL(world_claim(&w, w.server.path, &group), -ECONNREFUSED);
	/* Somebody listens, and does nothing else: the first waits for an answer, then for its turn. */
	CU_ASSERT_EQUAL_FATAL(listen(fd, 0), 0);
	world_timeout(&w, WORLD_SHORT_NS);
	CU_ASSERT_EQUAL(world_claim(&w, w.server.path, &group), -ETIMEDOUT);
	CU_ASSERT_EQUAL(world_claim(&w, w.server.path, &group), -EBUSY);
	close(fd);
	unlink(w.server.path);
	world_close(&w);
}

static void a_long_path_gives_a_name_of_its_end(void)
{
	struct quoll_addr addr;
	struct world w;
	char text[200];

	world_init(&w);
	snprintf(w.server.path + strlen(w.server.path), 60, "-%050d", 7);
	CU_ASSERT_EQUAL_FATAL(world_open(&w), 0);
	CU_ASSERT_EQUAL(strlen(quoll_group_device_name(w.group, 0)), QUOLL_NAME_BYTES - 1);
	CU_ASSERT_EQUAL(strncmp(quoll_group_device_name(w.group, 0), "...", 3), 0);
	CU_ASSERT_STRING_EQUAL(quoll_group_device_name(w.group, 0) + 3, w.server.path + strlen(w.server.path) - 60);
	quoll_device_close(w.dev);
	CU_ASSERT_EQUAL(quoll_device_open(w.group, quoll_group_device_name(w.group, 0), &w.dev, &w.err), 0);
	snprintf(text, sizeof(text), "vfio-user:%s", w.server.path);
	CU_ASSERT_EQUAL(quoll_addr_parse(text, &addr, NULL), 0);
	CU_ASSERT_STRING_EQUAL(quoll_claim_backend(&addr), "vfio-user");
	CU_ASSERT_EQUAL(quoll_addr_parse("01:00.0", &addr, NULL), 0);
	CU_ASSERT_PTR_NULL(quoll_claim_backend(&addr));
	world_close(&w);
}

static void *read_registers(void *arg)
{
	struct world *w = arg;
	uint32_t value;
	intptr_t bad = 0;

	for (unsigned int i = 0; i < 300; i++)
		bad += quoll_region_read(w->dev, 0, 4 * (i % 64), &value, 4) || value != i % 64;
	return (void *)bad;
}

static void registers_may_be_read_from_several_threads(void)
{
	pthread_t threads[3];
	struct world w;
	void *bad;

	world_init(&w);
	for (uint32_t i = 0; i < 64; i++)
		memcpy(w.server.bar + 4 * i, &i, 4);
	CU_ASSERT_EQUAL_FATAL(world_open(&w), 0);
	for (unsigned int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, read_registers, &w), 0);
	for (unsigned int i = 0; i < 100; i++)
		CU_ASSERT_EQUAL(quoll_device_events(w.dev), 0);
	for (unsigned int i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(pthread_join(threads[i], &bad), 0);
		CU_ASSERT_PTR_NULL(bad);
	}
	world_close(&w);
}

/* In a child that is nobody, may lock no memory, and so could use no VFIO. */
static int as_nobody(struct world *w)
{
	const struct rlimit none = {0, 0};
	quoll_iova_t iova;

	if (setrlimit(RLIMIT_MEMLOCK, &none))
		return 1;
	if (!geteuid() && (setgroups(0, NULL) || setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534)))
		return 2;
	if (world_claim(w, w->server.path, &w->group))
		return 3;
	if (quoll_device_open(w->group, w->server.path, &w->dev, &w->err))
		return 4;
	if (!world_memory(w, QUOLL_ARENA_DEVICE_READ_WRITE, 1 << 20, &iova))
		return 5;
	return 0;
}

static void no_privilege_is_needed(void)
{
	int status = -1;
	struct world w;
	pid_t pid;

	world_init(&w);
	fake_server_start(&w.server);
	pid = fork();
	if (!pid)
		_exit(as_nobody(&w));
	CU_ASSERT_FATAL(pid > 0);
	CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
	CU_ASSERT_EQUAL(status, 0);
	CU_ASSERT_EQUAL(commands(&w, VUSER_DMA_MAP), 1);
	world_close(&w);
}

static const struct unit_test tests[] = {
	{"a PCI device opens by its socket's path", a_pci_device_opens_by_its_sockets_path},
	{"a platform device opens, without config space", a_platform_device_opens_without_config_space},
	{"a mapped region is the server's own memory", a_mapped_region_is_the_servers_own_memory},
	{"sparse areas are mapped and the rest is not", sparse_areas_are_mapped_and_the_rest_is_not},
	{"each area may have a file of its own", each_area_may_have_a_file_of_its_own},
	{"a region without a file is accessed by message", a_region_without_a_file_is_accessed_by_message},
	{"long accesses go in pieces that the server takes", long_accesses_go_in_pieces_that_the_server_takes},
	{"vectors are set in messages of as many fds as the server takes",
	 vectors_are_set_in_messages_of_as_many_fds_as_the_server_takes},
	{"a server that takes no fds has no eventfds", a_server_that_takes_no_fds_has_no_eventfds},
	{"vectors that the server refuses half-way leave none set", vectors_that_the_server_refuses_leave_none_set},
	{"memory reaches the server with its permission", memory_reaches_the_server_with_its_permission},
	{"a second server is told of what is mapped already, and its death is its own",
	 a_second_server_is_told_of_what_is_mapped_already},
	{"memory survives the last release and goes to the next claim",
	 memory_survives_the_last_release_and_goes_to_the_next_claim},
	{"the server's limits are the address space's", the_servers_limits_are_the_address_spaces},
	{"a mapping that one server refuses is undone at the others",
	 a_mapping_that_one_server_refuses_is_undone_at_the_others},
	{"the server reads and writes by message while we wait", the_server_reads_and_writes_by_message_while_we_wait},
	{"the server reads and writes by message while we idle", the_server_reads_and_writes_by_message_while_we_idle},
	{"other commands of the server are refused", other_commands_of_the_server_are_refused},
	{"a server that dies is a device that is gone", a_server_that_dies_is_a_device_that_is_gone},
	{"a server that dies in a call is gone too", a_server_that_dies_in_a_call_is_gone_too},
	{"a server that hangs times out once, and never again", a_server_that_hangs_times_out_once},
	{"a claim of what is not there says so", a_claim_of_what_is_not_there_says_so},
	{"a socket that nobody serves any more says so", a_socket_that_nobody_serves_any_more_says_so},
	{"a long path gives a name of its end", a_long_path_gives_a_name_of_its_end},
	{"registers may be read from several threads", registers_may_be_read_from_several_threads},
	{"no privilege is needed", no_privilege_is_needed},
};

UNIT_MAIN("eal/backend/vfio_user", tests)
