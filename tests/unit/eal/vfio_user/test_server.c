/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_server.c - what a well-behaved client gets from a server: version, description, registers, reset; and how
 * clients follow each other.
 */
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server_world.h"

static void what_the_server_states(void)
{
	struct vuser_version version;
	struct vuser_caps caps;
	struct server_world w;
	int n;

	world_init(&w);
	world_listen(&w);
	n = world_hello(&w);
	CU_ASSERT_TRUE_FATAL(n > (int)sizeof(version));
	memcpy(&version, w.client.payload, sizeof(version));
	CU_ASSERT_EQUAL(version.major, 0);
	CU_ASSERT_EQUAL(version.minor, 2);
	CU_ASSERT_EQUAL(vuser_caps_parse(w.client.payload + sizeof(version), (size_t)n - sizeof(version), &caps), 0);
	CU_ASSERT_EQUAL(caps.max_msg_fds, 16); /* more, and QEMU goes away */
	CU_ASSERT_EQUAL(caps.max_data_bytes, 1 << 20);
	CU_ASSERT_EQUAL(caps.max_dma_maps, SERVER_DMA_MAPS);
	CU_ASSERT_EQUAL(caps.pgsizes, 4096);
	CU_ASSERT_TRUE(caps.write_multiple);
	CU_ASSERT_FALSE(caps.twin_socket);
	CU_ASSERT_EQUAL(w.nr_connects, 1);
	CU_ASSERT_TRUE(quoll_server_connected(w.server));
	world_close(&w);
}

static void an_older_minor_version_is_agreed_on(void)
{
	struct server_world w;

	world_init(&w);
	world_listen(&w);
	CU_ASSERT_TRUE(world_hello_with(&w, "\0\0\0\0", 4) > 4);
	CU_ASSERT_EQUAL(w.client.payload[2], 0);
	world_hang_up(&w);
	CU_ASSERT_TRUE(world_hello_with(&w, "\0\0\011\0", 4) > 4);
	CU_ASSERT_EQUAL(w.client.payload[2], 2);
	world_close(&w);
}

static void the_device_is_described(void)
{
	struct vuser_device_info info = {.argsz = sizeof(info)};
	struct server_world w;

	world_init(&w);
	world_listen(&w);
	CU_ASSERT_TRUE(world_hello(&w) > 0);
	CU_ASSERT_EQUAL_FATAL(world_ask(&w, VUSER_DEVICE_GET_INFO, &info, sizeof(info)), sizeof(info));
	memcpy(&info, w.client.payload, sizeof(info));
	CU_ASSERT_EQUAL(info.argsz, sizeof(info));
	CU_ASSERT_EQUAL(info.flags, VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET);
	CU_ASSERT_EQUAL(info.nr_regions, 9);
	CU_ASSERT_EQUAL(info.nr_irqs, 5);
	world_close(&w);
}

static struct vuser_region_info region_info(struct server_world *w, uint32_t index, uint32_t argsz, int *bytes)
{
	struct vuser_region_info info = {.argsz = argsz, .index = index};

	*bytes = world_ask(w, VUSER_DEVICE_GET_REGION_INFO, &info, sizeof(info));
	CU_ASSERT_TRUE_FATAL(*bytes >= (int)sizeof(info));
	memcpy(&info, w->client.payload, sizeof(info));
	CU_ASSERT_EQUAL(info.index, index);
	return info;
}

static void a_region_is_described_with_its_areas_and_file(void)
{
	struct vfio_region_info_cap_sparse_mmap sparse;
	struct vfio_region_sparse_mmap_area area;
	struct vuser_region_info info;
	struct server_world w;
	uint8_t *page;
	int bytes, fd;

	world_init(&w);
	world_listen(&w);
	CU_ASSERT_TRUE(world_hello(&w) > 0);
	info = region_info(&w, 0, 4096, &bytes);
	CU_ASSERT_EQUAL_FATAL(bytes, 32 + 16 + 16);
	CU_ASSERT_EQUAL(info.argsz, 64);
	CU_ASSERT_EQUAL(info.size_bytes, MODEL_BAR_BYTES);
	CU_ASSERT_EQUAL(info.cap_offset, 32);
	memcpy(&sparse, w.client.payload + 32, sizeof(sparse));
	memcpy(&area, w.client.payload + 48, sizeof(area));
	CU_ASSERT_EQUAL(sparse.header.id, VFIO_REGION_INFO_CAP_SPARSE_MMAP);
	CU_ASSERT_EQUAL(sparse.header.next, 0);
	CU_ASSERT_EQUAL(sparse.nr_areas, 1);
	CU_ASSERT_EQUAL(area.offset, 0x1000);
	CU_ASSERT_EQUAL(area.size, 0x1000);
	fd = vuser_take_fd(&w.client, 0);
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)(info.offset + area.offset));
	CU_ASSERT_PTR_NOT_EQUAL_FATAL(page, MAP_FAILED);
	page[5] = 0x77;
	CU_ASSERT_EQUAL(w.bar[0x1005], 0x77);
	munmap(page, 4096);
	close(fd);
	world_close(&w);
}

/*
 * QEMU asks with room for the fixed part first, and looks at cap_offset before it asks again; libvfio-user's client
 * takes a file that comes early for an error, and sends the room that it has the second time.
 */
static void a_description_without_room_for_the_areas_says_how_much_it_takes(void)
{
	uint32_t again[16] = {0};
	struct vuser_region_info info;
	struct server_world w;
	int bytes;

	world_init(&w);
	world_listen(&w);
	CU_ASSERT_TRUE(world_hello(&w) > 0);
	info = region_info(&w, 0, 32, &bytes);
	CU_ASSERT_EQUAL(bytes, 32);
	CU_ASSERT_EQUAL(info.argsz, 64);
	CU_ASSERT_TRUE(info.flags & VFIO_REGION_INFO_FLAG_CAPS);
	CU_ASSERT_EQUAL(info.cap_offset, 32);
	CU_ASSERT_EQUAL(w.client.nr_fds, 0);
	again[0] = 64;
	CU_ASSERT_EQUAL(world_ask(&w, VUSER_DEVICE_GET_REGION_INFO, again, sizeof(again)), 64);
	CU_ASSERT_EQUAL(w.client.nr_fds, 1);
	world_close(&w);
}

static void regions_without_areas_without_file_or_not_there(void)
{
	struct vuser_region_info info;
	struct server_world w;
	int bytes;

	world_init(&w);
	w.device.regions[0].nr_areas = 0;
	world_listen(&w);
	CU_ASSERT_TRUE(world_hello(&w) > 0);
	info = region_info(&w, 0, 32, &bytes);
	CU_ASSERT_EQUAL(info.argsz, 32);
	CU_ASSERT_EQUAL(info.flags,
			VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE | VFIO_REGION_INFO_FLAG_MMAP);
	CU_ASSERT_EQUAL(w.client.nr_fds, 1);
	info = region_info(&w, 2, 32, &bytes);
	CU_ASSERT_EQUAL(info.flags, VFIO_REGION_INFO_FLAG_READ);
	CU_ASSERT_EQUAL(w.client.nr_fds, 0);
	info = region_info(&w, 1, 32, &bytes);
	CU_ASSERT_EQUAL(info.size_bytes, 0);
	CU_ASSERT_EQUAL(info.flags, 0);
	world_close(&w);
}

static void a_client_that_takes_no_files_gets_none(void)
{
	static const char version[] = "\0\0\2\0{\"capabilities\":{\"max_msg_fds\":0}}";
	struct vuser_region_info info;
	struct server_world w;
	int bytes;

	world_init(&w);
	world_listen(&w);
	CU_ASSERT_TRUE(world_hello_with(&w, version, sizeof(version)) > 0);
	info = region_info(&w, 0, 4096, &bytes);
	CU_ASSERT_EQUAL(bytes, 32);
	CU_ASSERT_EQUAL(info.flags, VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE);
	CU_ASSERT_EQUAL(w.client.nr_fds, 0);
	world_close(&w);
}

static int region_read(struct server_world *w, uint32_t region, uint64_t offset, uint32_t count)
{
	struct vuser_region_access access = {.offset = offset, .region = region, .count = count};

	return world_ask(w, VUSER_REGION_READ, &access, sizeof(access));
}

static int region_write(struct server_world *w, uint32_t region, uint64_t offset, const void *data, uint32_t count)
{
	uint8_t message[sizeof(struct vuser_region_access) + 64];
	struct vuser_region_access access = {.offset = offset, .region = region, .count = count};

	memcpy(message, &access, sizeof(access));
	memcpy(message + sizeof(access), data, count);
	return world_ask(w, VUSER_REGION_WRITE, message, sizeof(access) + count);
}

static void registers_are_read_and_written(void)
{
	struct server_world w;

	world_init(&w);
	world_listen(&w);
	CU_ASSERT_TRUE(world_hello(&w) > 0);
	CU_ASSERT_EQUAL(region_write(&w, 0, 0x3ffc, "abcd", 4), 16);
	CU_ASSERT_EQUAL(memcmp(w.bar + 0x3ffc, "abcd", 4), 0);
	CU_ASSERT_EQUAL(region_read(&w, 0, 0x3ffc, 4), 20);
	CU_ASSERT_EQUAL(memcmp(w.client.payload + 16, "abcd", 4), 0);
	CU_ASSERT_EQUAL(region_read(&w, QUOLL_PCI_CONFIG, 0, 256), 16 + 256);
	CU_ASSERT_EQUAL(memcmp(w.client.payload + 16, w.config, 256), 0);
	CU_ASSERT_EQUAL(region_read(&w, 2, 0, 8), 24);
	CU_ASSERT_EQUAL(region_write(&w, 2, 0, "a", 1), -EACCES);
	CU_ASSERT_EQUAL(region_read(&w, 4, 0, 8), -EACCES);
	CU_ASSERT_EQUAL(region_write(&w, 4, 0, "a", 1), 16);
	w.access_rc = -EAGAIN; /* has no meaning there */
	CU_ASSERT_EQUAL(region_read(&w, 0, 0, 4), -EAGAIN);
	w.access_rc = -EIO;
	CU_ASSERT_EQUAL(region_write(&w, 0, 0, "abcd", 4), -EIO);
	CU_ASSERT_EQUAL(w.nr_writes, 3);
	world_close(&w);
}

static void many_writes_in_one_message(void)
{
	struct {
		struct vuser_write_multi multi;
		struct vuser_write_one one[4];
	} m = {.multi.nr_writes = 3,
	       .one = {{.offset = 8, .count = 8, .data = "12345678"},
		       {.offset = 16, .count = 1, .data = "9"},
		       {.offset = 0, .region = 4, .count = 4, .data = "abcd"}}};
	struct server_world w;
	uint64_t done;

	world_init(&w);
	world_listen(&w);
	CU_ASSERT_TRUE(world_hello(&w) > 0);
	/* One more is sent than counts, as QEMU does. */
	CU_ASSERT_EQUAL_FATAL(world_ask(&w, VUSER_REGION_WRITE_MULTI, &m, sizeof(m)), 8);
	memcpy(&done, w.client.payload, 8);
	CU_ASSERT_EQUAL(done, 3);
	CU_ASSERT_EQUAL(memcmp(w.bar + 8, "123456789", 9), 0);
	m.one[1].region = 2; /* can only be read */
	CU_ASSERT_EQUAL_FATAL(world_ask(&w, VUSER_REGION_WRITE_MULTI, &m, sizeof(m)), 8);
	memcpy(&done, w.client.payload, 8);
	CU_ASSERT_EQUAL(done, 1);
	CU_ASSERT_EQUAL(w.nr_writes, 4);
	world_close(&w);
}

/* A write that stops a device is answered when it has stopped, and what comes behind it is served then. */
static void a_write_may_keep_the_client_waiting(void)
{
	struct server_world w;

	world_init(&w);
	world_listen(&w);
	CU_ASSERT_TRUE(world_hello(&w) > 0);
	w.busy = 3;
	CU_ASSERT_EQUAL(region_write(&w, 0, 32, "abcd", 4), 16);
	CU_ASSERT_EQUAL(w.busy, 0);
	CU_ASSERT_EQUAL(w.nr_writes, 1);
	CU_ASSERT_EQUAL(memcmp(w.bar + 32, "abcd", 4), 0);
	CU_ASSERT_FALSE(quoll_server_pending(w.server));
	world_close(&w);
}

/* Of many writes only the one that waits is asked again. */
static void one_of_many_writes_may_wait(void)
{
	struct {
		struct vuser_write_multi multi;
		struct vuser_write_one one[3];
	} m = {.multi.nr_writes = 3,
	       .one = {{.offset = 8, .count = 1, .data = "1"},
		       {.offset = 9, .count = 1, .data = "2"},
		       {.offset = 10, .count = 1, .data = "3"}}};
	struct server_world w;
	uint64_t done;

	world_init(&w);
	world_listen(&w);
	CU_ASSERT_TRUE(world_hello(&w) > 0);
	for (unsigned int round = 1; round <= 2; round++) {
		w.busy = 2;
		w.busy_writes = w.nr_writes + 1;
		CU_ASSERT_EQUAL_FATAL(world_ask(&w, VUSER_REGION_WRITE_MULTI, &m, sizeof(m)), 8);
		memcpy(&done, w.client.payload, 8);
		CU_ASSERT_EQUAL(done, 3);
		CU_ASSERT_EQUAL(w.busy, 0);
		CU_ASSERT_EQUAL(w.nr_writes, 3 * round);
		CU_ASSERT_EQUAL(memcmp(w.bar + 8, "123", 3), 0);
	}
	world_close(&w);
}

static void a_command_that_wants_no_reply_gets_none(void)
{
	struct {
		struct vuser_region_access access;
		uint8_t data[4];
	} m = {.access = {.offset = 32, .count = 4}, .data = "abcd"};
	struct vuser_out out = {
		.command = VUSER_REGION_WRITE, .flags = VUSER_NO_REPLY, .head = &m, .head_bytes = sizeof(m.access) + 4};
	struct server_world w;

	world_init(&w);
	world_listen(&w);
	CU_ASSERT_TRUE(world_hello(&w) > 0);
	CU_ASSERT_EQUAL(vuser_send(&w.client, &out, fd_socket_now_ns() + WORLD_PATIENCE_NS), 0);
	m.access.offset = UINT64_MAX;
	CU_ASSERT_EQUAL(vuser_send(&w.client, &out, fd_socket_now_ns() + WORLD_PATIENCE_NS), 0);
	/* The answer to this one is the next thing that comes. */
	CU_ASSERT_EQUAL(region_read(&w, 0, 32, 4), 20);
	CU_ASSERT_EQUAL(memcmp(w.client.payload + 16, "abcd", 4), 0);
	CU_ASSERT_EQUAL(w.server->stats.errors, 1);
	world_close(&w);
}

static void what_nobody_knows_is_not_supported(void)
{
	static const uint16_t commands[] = {0,
					    VUSER_DEVICE_GET_REGION_IO_FDS,
					    VUSER_DMA_READ,
					    VUSER_DMA_WRITE,
					    14,
					    VUSER_DEVICE_FEATURE,
					    VUSER_MIG_DATA_READ,
					    VUSER_MIG_DATA_WRITE,
					    19,
					    UINT16_MAX};
	struct server_world w;

	world_init(&w);
	world_listen(&w);
	CU_ASSERT_TRUE(world_hello(&w) > 0);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		CU_ASSERT_EQUAL(world_ask(&w, commands[i], "0123456789abcdef", 16), -ENOTSUP);
	CU_ASSERT_EQUAL(region_read(&w, 0, 0, 4), 20);
	world_close(&w);
}

static void a_reset_takes_its_time(void)
{
	struct server_world w;

	world_init(&w);
	world_listen(&w);
	CU_ASSERT_TRUE(world_hello(&w) > 0);
	w.busy = 3;
	world_send(&w, VUSER_DEVICE_RESET, NULL, 0, NULL, 0);
	while (w.busy > 1)
		quoll_server_poll(w.server);
	CU_ASSERT_TRUE(quoll_server_pending(w.server));
	CU_ASSERT_EQUAL(world_answer(&w), 0);
	CU_ASSERT_FALSE(quoll_server_pending(w.server));
	CU_ASSERT_EQUAL(w.nr_resets, 1);
	world_close(&w);
	world_init(&w);
	w.ops.reset = NULL;
	world_listen(&w);
	CU_ASSERT_TRUE(world_hello(&w) > 0);
	CU_ASSERT_EQUAL(world_ask(&w, VUSER_DEVICE_RESET, NULL, 0), -ENOTSUP);
	world_close(&w);
}

static void a_device_may_send_a_client_away(void)
{
	struct quoll_server_stats stats;
	struct server_world w;

	world_init(&w);
	w.connect_rc = -EPERM;
	world_listen(&w);
	CU_ASSERT_EQUAL(world_hello(&w), -EPERM);
	CU_ASSERT_EQUAL(world_answer(&w), -ECONNRESET);
	world_until(&w, world_is_free);
	quoll_server_stats(w.server, &stats);
	CU_ASSERT_EQUAL(stats.clients, 0);
	CU_ASSERT_EQUAL(stats.refused, 1);
	world_close(&w);
}

static bool is_readable(int fd)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};

	return poll(&pfd, 1, 0) == 1;
}

static void the_descriptor_says_when_to_poll(void)
{
	struct vuser_region_access access = {.count = 4};
	struct server_world w;

	world_init(&w);
	world_listen(&w);
	CU_ASSERT_FALSE(is_readable(quoll_server_fd(w.server)));
	CU_ASSERT_EQUAL(quoll_server_poll(w.server), 0);
	CU_ASSERT_TRUE(world_hello(&w) > 0);
	CU_ASSERT_FALSE(is_readable(quoll_server_fd(w.server)));
	world_send(&w, VUSER_REGION_READ, &access, sizeof(access), NULL, 0);
	CU_ASSERT_TRUE(is_readable(quoll_server_fd(w.server)));
	CU_ASSERT_EQUAL(world_answer(&w), 20);
	CU_ASSERT_FALSE(is_readable(quoll_server_fd(w.server)));
	vuser_conn_close(&w.client);
	CU_ASSERT_TRUE(is_readable(quoll_server_fd(w.server)));
	world_until(&w, world_is_free);
	CU_ASSERT_FALSE(is_readable(quoll_server_fd(w.server)));
	world_close(&w);
}

static const struct unit_test tests[] = {
	{"what the server states", what_the_server_states},
	{"an older minor version is agreed on", an_older_minor_version_is_agreed_on},
	{"the device is described", the_device_is_described},
	{"a region is described with its areas and file", a_region_is_described_with_its_areas_and_file},
	{"a description without room for the areas says how much it takes",
	 a_description_without_room_for_the_areas_says_how_much_it_takes},
	{"regions without areas, without file, or not there", regions_without_areas_without_file_or_not_there},
	{"a client that takes no files gets none", a_client_that_takes_no_files_gets_none},
	{"registers are read and written", registers_are_read_and_written},
	{"many writes in one message", many_writes_in_one_message},
	{"a write may keep the client waiting", a_write_may_keep_the_client_waiting},
	{"one of many writes may wait", one_of_many_writes_may_wait},
	{"a command that wants no reply gets none", a_command_that_wants_no_reply_gets_none},
	{"what nobody knows is not supported", what_nobody_knows_is_not_supported},
	{"a reset takes its time", a_reset_takes_its_time},
	{"a device may send a client away", a_device_may_send_a_client_away},
	{"the descriptor says when to poll", the_descriptor_says_when_to_poll},
};

UNIT_MAIN("eal/vfio_user/server", tests)
