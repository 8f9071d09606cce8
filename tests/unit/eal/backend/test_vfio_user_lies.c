/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_vfio_user_lies.c - servers that do not keep to the vfio-user protocol, a lie a test: the error is clear, it
 * comes in bounded time, no file stays open, and the device is gone where nothing more can be believed.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "vfio_user_world.h"

typedef bool (*lie_fn)(struct fake_server *server);

static bool is_command(const struct fake_server *server, uint16_t command)
{
	return server->conn.header.command == command;
}

/* A read of region 0: what expect_access() asks for, and nothing else does. */
static bool is_access(const struct fake_server *server)
{
	struct vuser_region_access access;

	if (!is_command(server, VUSER_REGION_READ))
		return false;
	memcpy(&access, server->conn.payload, sizeof(access));
	return access.region == 0;
}

/* A description of region 0 is asked for. */
static bool is_bar_info(const struct fake_server *server)
{
	struct vuser_region_info info;

	if (!is_command(server, VUSER_DEVICE_GET_REGION_INFO))
		return false;
	memcpy(&info, server->conn.payload, sizeof(info));
	return info.index == 0;
}

/* A reply with another header than it should have. */
static void reply_with(struct fake_server *server, struct vuser_header header, const void *payload, size_t bytes)
{
	uint8_t message[sizeof(header) + 64] = {0};

	if (bytes)
		memcpy(message + sizeof(header), payload, bytes);
	memcpy(message, &header, sizeof(header));
	fake_send_raw(server, message, sizeof(header) + bytes);
}

static struct vuser_header honest(const struct fake_server *server, size_t bytes)
{
	return (struct vuser_header){.id = server->conn.header.id,
				     .command = server->conn.header.command,
				     .size_bytes = (uint32_t)(sizeof(struct vuser_header) + bytes),
				     .flags = VUSER_TYPE_REPLY};
}

/* The claim, or else the open, fails so, and says why. */
static void expect_open_fails(struct world *w, int rc)
{
	int got = world_open(w);

	CU_ASSERT_EQUAL(got, rc);
	if (got != rc)
		printf("    got %d: %s\n", got, w->err.what);
	CU_ASSERT_EQUAL(w->err.errnum, -rc);
	CU_ASSERT_NOT_EQUAL(w->err.what[0], '\0');
	world_close(w);
}

static void open_with_lie(lie_fn lie, int rc)
{
	struct world w;

	world_init(&w);
	w.server.lie = lie;
	expect_open_fails(&w, rc);
}

static void open_with_caps(const char *caps, int rc)
{
	struct world w;

	world_init(&w);
	w.server.caps = caps;
	expect_open_fails(&w, rc);
}

/* An access of a device that was opened fails so; where the session ends, the device is gone and says so at once. */
static void access_with_lie(lie_fn lie, uint64_t timeout_ns, int rc, bool ends)
{
	uint8_t data[16];
	struct world w;
	int got;

	world_init(&w);
	w.server.lie = lie;
	CU_ASSERT_EQUAL_FATAL(world_open(&w), 0);
	world_timeout(&w, timeout_ns);
	got = quoll_region_read(w.dev, 0, 64, data, sizeof(data));
	CU_ASSERT_EQUAL(got, rc);
	if (got != rc)
		printf("    got %d\n", got);
	world_timeout(&w, WORLD_LONG_NS);
	CU_ASSERT_EQUAL(quoll_device_events(w.dev), ends ? QUOLL_DEVICE_GONE : 0);
	if (ends)
		CU_ASSERT_EQUAL(quoll_region_read(w.dev, 0, 64, data, sizeof(data)), -ENODEV);
	world_close(&w);
}

/* VERSION */

static bool lie_hang_up(struct fake_server *server)
{
	shutdown(server->conn.fd, SHUT_RDWR);
	return true;
}

static void a_server_that_hangs_up_at_once(void)
{
	open_with_lie(lie_hang_up, -ENODEV);
}

static bool lie_refuse(struct fake_server *server)
{
	struct vuser_out out = vuser_reply_to(&server->conn.header, EINVAL);

	vuser_send(&server->conn, &out, fd_socket_now_ns() + WORLD_LONG_NS);
	return true;
}

static void a_version_that_is_refused(void)
{
	open_with_lie(lie_refuse, -EINVAL);
}

static void a_version_that_was_not_proposed(void)
{
	static const struct vuser_version versions[] = {{1, 0}, {0, 3}, {65535, 65535}};
	struct world w;

	for (unsigned int i = 0; i < 3; i++) {
		world_init(&w);
		w.server.version = versions[i];
		expect_open_fails(&w, -EPROTO);
	}
}

static bool lie_short_version(struct fake_server *server)
{
	if (!is_command(server, VUSER_VERSION))
		return false;
	fake_reply(server, "\0\0", 2);
	return true;
}

static void a_version_that_is_cut_off(void)
{
	open_with_lie(lie_short_version, -EPROTO);
}

static void capabilities_that_are_no_json(void)
{
	open_with_caps("capabilities", -EPROTO);
	open_with_caps("{\"capabilities\":[1]}", -EPROTO);
}

static bool lie_no_end(struct fake_server *server)
{
	if (!is_command(server, VUSER_VERSION))
		return false;
	fake_reply(server, "\0\0\2\0{}", 6);
	return true;
}

static void capabilities_without_their_end(void)
{
	open_with_lie(lie_no_end, -EPROTO);
}

static bool lie_huge_caps(struct fake_server *server)
{
	static char text[100000];

	if (!is_command(server, VUSER_VERSION))
		return false;
	memset(text + 4, ' ', sizeof(text) - 5);
	text[2] = 2;
	text[4] = '{';
	text[5] = '}';
	fake_reply(server, text, sizeof(text));
	return true;
}

static void capabilities_without_measure(void)
{
	open_with_lie(lie_huge_caps, -EPROTO);
}

static void data_too_small_for_a_register(void)
{
	open_with_caps("{\"capabilities\":{\"max_data_xfer_size\":4}}", -EPROTO);
}

static void a_socket_for_commands_that_did_not_come(void)
{
	open_with_caps("{\"capabilities\":{\"twin_socket\":{\"supported\":true}}}", -EPROTO);
	open_with_caps("{\"capabilities\":{\"twin_socket\":{\"supported\":true,\"fd_index\":1}}}", -EPROTO);
	open_with_caps("{\"capabilities\":{\"twin_socket\":{\"supported\":true,\"fd_index\":2147483647}}}", -EPROTO);
}

static bool lie_twin_is_a_file(struct fake_server *server)
{
	static const char answer[] = "\0\0\2\0{\"capabilities\":{\"twin_socket\":{\"supported\":true,\"fd_index\":0}}}";

	if (!is_command(server, VUSER_VERSION))
		return false;
	fake_reply_fds(server, answer, sizeof(answer), &server->bar_fd, 1);
	return true;
}

static void a_socket_for_commands_that_is_a_file(void)
{
	open_with_lie(lie_twin_is_a_file, -EPROTO);
}

static bool lie_fds_in_version(struct fake_server *server)
{
	int fds[VUSER_MAX_FDS];

	if (!is_command(server, VUSER_VERSION))
		return false;
	for (unsigned int i = 0; i < VUSER_MAX_FDS; i++)
		fds[i] = server->bar_fd;
	fake_reply_fds(server, "\0\0\2\0{}", 7, fds, VUSER_MAX_FDS);
	return true;
}

static void fds_that_nobody_needs_are_closed(void)
{
	struct world w;

	world_init(&w);
	w.server.lie = lie_fds_in_version;
	CU_ASSERT_EQUAL(world_open(&w), 0);
	world_close(&w);
}

/* Replies */

static bool lie_other_id(struct fake_server *server)
{
	struct vuser_header header = honest(server, 1);

	header.id++;
	if (is_access(server))
		reply_with(server, header, "", 1);
	return is_access(server);
}

static void a_reply_with_another_id(void)
{
	access_with_lie(lie_other_id, WORLD_LONG_NS, -EPROTO, true);
}

static bool lie_other_command(struct fake_server *server)
{
	struct vuser_header header = honest(server, 0);

	header.command = VUSER_REGION_WRITE;
	if (is_access(server))
		reply_with(server, header, NULL, 0);
	return is_access(server);
}

static void a_reply_to_another_command(void)
{
	access_with_lie(lie_other_command, WORLD_LONG_NS, -EPROTO, true);
}

static bool lie_short_header(struct fake_server *server)
{
	struct vuser_header header = honest(server, 0);

	header.size_bytes = 15;
	if (is_access(server))
		reply_with(server, header, NULL, 0);
	return is_access(server);
}

static bool lie_endless_header(struct fake_server *server)
{
	struct vuser_header header = honest(server, 0);

	header.size_bytes = UINT32_MAX;
	if (is_access(server))
		reply_with(server, header, NULL, 0);
	return is_access(server);
}

static void a_reply_shorter_than_its_header(void)
{
	access_with_lie(lie_short_header, WORLD_LONG_NS, -EPROTO, true);
}

static void a_reply_of_four_gigabytes(void)
{
	access_with_lie(lie_endless_header, WORLD_LONG_NS, -EPROTO, true);
}

static bool lie_half_a_reply(struct fake_server *server)
{
	struct vuser_header header = honest(server, 32);

	if (is_access(server))
		reply_with(server, header, "abcdefgh", 8);
	return is_access(server);
}

static void half_a_reply_and_silence(void)
{
	access_with_lie(lie_half_a_reply, WORLD_SHORT_NS, -ETIMEDOUT, true);
}

static bool lie_half_a_reply_and_leave(struct fake_server *server)
{
	return lie_half_a_reply(server) && lie_hang_up(server);
}

static void half_a_reply_and_death(void)
{
	access_with_lie(lie_half_a_reply_and_leave, WORLD_LONG_NS, -ENODEV, true);
}

static bool lie_error_with_payload(struct fake_server *server)
{
	struct vuser_header header = honest(server, 8);

	header.flags |= VUSER_ERROR;
	header.error = EIO;
	if (is_access(server))
		reply_with(server, header, "abcdefgh", 8);
	return is_access(server);
}

static void an_error_with_data(void)
{
	access_with_lie(lie_error_with_payload, WORLD_LONG_NS, -EPROTO, true);
}

static uint32_t error_number;

static bool lie_error_number(struct fake_server *server)
{
	struct vuser_header header = honest(server, 0);

	header.flags |= VUSER_ERROR;
	header.error = error_number;
	if (is_access(server))
		reply_with(server, header, NULL, 0);
	return is_access(server);
}

static void errors_that_are_no_errno(void)
{
	static const uint32_t numbers[] = {0, 4096, UINT32_MAX};

	for (unsigned int i = 0; i < 3; i++) {
		error_number = numbers[i];
		access_with_lie(lie_error_number, WORLD_LONG_NS, -EIO, false);
	}
	error_number = EBUSY;
	access_with_lie(lie_error_number, WORLD_LONG_NS, -EBUSY, false);
}

static bool lie_flood(struct fake_server *server)
{
	uint64_t limit = fd_socket_now_ns() + WORLD_LONG_NS;
	struct vuser_out out = {.command = 77, .flags = VUSER_NO_REPLY};

	if (!is_access(server))
		return false;
	while (!vuser_send(&server->conn, &out, limit) && fd_socket_now_ns() < limit)
		;
	return true;
}

static void commands_without_end_instead_of_a_reply(void)
{
	access_with_lie(lie_flood, WORLD_SHORT_NS, -ETIMEDOUT, true);
}

static void access_reply(struct fake_server *server, uint64_t offset, uint32_t count, uint32_t data_bytes)
{
	struct {
		struct vuser_region_access head;
		uint8_t data[64];
	} answer = {.head = {.offset = offset, .count = count}};

	fake_reply(server, &answer, sizeof(answer.head) + data_bytes);
}

static bool lie_other_offset(struct fake_server *server)
{
	if (is_access(server))
		access_reply(server, 68, 16, 16);
	return is_access(server);
}

static bool lie_other_count(struct fake_server *server)
{
	if (is_access(server))
		access_reply(server, 64, UINT32_MAX, 16);
	return is_access(server);
}

static bool lie_short_data(struct fake_server *server)
{
	if (is_access(server))
		access_reply(server, 64, 16, 15);
	return is_access(server);
}

static bool lie_long_data(struct fake_server *server)
{
	if (is_access(server))
		access_reply(server, 64, 16, 17);
	return is_access(server);
}

static void data_of_another_place(void)
{
	access_with_lie(lie_other_offset, WORLD_LONG_NS, -EPROTO, true);
}

static void data_of_another_count(void)
{
	access_with_lie(lie_other_count, WORLD_LONG_NS, -EPROTO, true);
}

static void less_data_than_asked_for(void)
{
	access_with_lie(lie_short_data, WORLD_LONG_NS, -EPROTO, true);
}

static void more_data_than_asked_for(void)
{
	access_with_lie(lie_long_data, WORLD_LONG_NS, -EPROTO, true);
}

static bool lie_fds_with_data(struct fake_server *server)
{
	struct vuser_region_access head = {.offset = 64, .count = 16};
	uint8_t answer[32] = {0};

	memcpy(answer, &head, sizeof(head));
	if (is_access(server))
		fake_reply_fds(server, answer, sizeof(answer), server->area_fds, 3);
	return is_access(server);
}

static void fds_where_none_belong(void)
{
	access_with_lie(lie_fds_with_data, WORLD_LONG_NS, -EPROTO, true);
}

/* In one go, so that the second is there when the first is read. */
static bool lie_twice(struct fake_server *server)
{
	struct {
		struct vuser_header header;
		struct vuser_region_access head;
		uint8_t data[16];
	} answers[2] = {{.header = honest(server, 32), .head = {.offset = 64, .count = 16}}};

	answers[1] = answers[0];
	if (is_access(server))
		fake_send_raw(server, answers, sizeof(answers));
	return is_access(server);
}

static void a_reply_that_comes_twice(void)
{
	access_with_lie(lie_twice, WORLD_LONG_NS, 0, true);
}

static bool lie_reply_on_twin(struct fake_server *server)
{
	struct vuser_header header = honest(server, 0);

	if (is_access(server) && send(server->twin[0], &header, sizeof(header), MSG_NOSIGNAL) < 0)
		return false;
	return is_access(server);
}

static void a_reply_on_the_socket_for_commands(void)
{
	uint8_t data[16];
	struct world w;

	world_init(&w);
	w.server.caps = "{\"capabilities\":{\"twin_socket\":{\"supported\":true,\"fd_index\":0}}}";
	w.server.lie = lie_reply_on_twin;
	CU_ASSERT_EQUAL_FATAL(world_open(&w), 0);
	CU_ASSERT_EQUAL(quoll_region_read(w.dev, 0, 64, data, sizeof(data)), -EPROTO);
	CU_ASSERT_EQUAL(quoll_device_events(w.dev), QUOLL_DEVICE_GONE);
	world_close(&w);
}

/* The device */

static void more_regions_or_interrupts_than_can_be(void)
{
	struct world w;

	for (unsigned int i = 0; i < 4; i++) {
		world_init(&w);
		*(i % 2 ? &w.server.nr_regions : &w.server.nr_irqs) = i < 2 ? 257 : UINT32_MAX;
		expect_open_fails(&w, -EPROTO);
	}
}

static void a_pci_device_without_config_space(void)
{
	struct world w;

	world_init(&w);
	w.server.nr_regions = 7;
	expect_open_fails(&w, -EPROTO);
}

static bool lie_short_info(struct fake_server *server)
{
	if (is_command(server, VUSER_DEVICE_GET_INFO))
		fake_reply(server, "0123456789abcde", 15);
	return is_command(server, VUSER_DEVICE_GET_INFO);
}

static void a_description_that_is_cut_off(void)
{
	open_with_lie(lie_short_info, -EPROTO);
}

static bool lie_slow(struct fake_server *server)
{
	if (is_command(server, VUSER_DEVICE_GET_REGION_INFO))
		usleep(WORLD_SHORT_NS / 4 / 1000);
	return false;
}

static void answers_that_are_each_just_in_time(void)
{
	struct world w;

	world_init(&w);
	w.server.lie = lie_slow;
	fake_server_start(&w.server);
	CU_ASSERT_EQUAL_FATAL(world_claim(&w, w.server.path, &w.group), 0);
	world_timeout(&w, WORLD_SHORT_NS);
	CU_ASSERT_EQUAL(quoll_device_open(w.group, w.server.path, &w.dev, &w.err), -ETIMEDOUT);
	w.dev = NULL;
	world_close(&w);
}

/* Regions */

static struct vuser_region_info bar_info;
static unsigned int bar_fds;

static bool lie_bar_info(struct fake_server *server)
{
	uint8_t answer[sizeof(bar_info) + 64] = {0};
	struct vfio_region_info_cap_sparse_mmap sparse = {.header.id = VFIO_REGION_INFO_CAP_SPARSE_MMAP,
							  .nr_areas = UINT32_MAX};

	if (!is_bar_info(server))
		return false;
	memcpy(answer, &bar_info, sizeof(bar_info));
	memcpy(answer + sizeof(bar_info), &sparse, sizeof(sparse));
	fake_reply_fds(server, answer, sizeof(answer), server->area_fds, bar_fds);
	return true;
}

static void region_lie(struct vuser_region_info info, unsigned int nr_fds, int rc)
{
	bar_info = info;
	bar_fds = nr_fds;
	open_with_lie(lie_bar_info, rc);
}

#define BAR_FLAGS (VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE)

static void a_description_of_another_region(void)
{
	region_lie((struct vuser_region_info){.argsz = 32, .index = 3, .size_bytes = 4096}, 0, -EPROTO);
}

static void a_description_that_needs_a_gigabyte(void)
{
	region_lie((struct vuser_region_info){.argsz = 1 << 30, .size_bytes = 4096}, 0, -EPROTO);
}

static void a_file_for_a_region_that_cannot_be_mapped(void)
{
	region_lie((struct vuser_region_info){.argsz = 32, .size_bytes = 4096, .flags = BAR_FLAGS}, 1, -EPROTO);
}

static void more_files_than_areas(void)
{
	region_lie((struct vuser_region_info){.argsz = 32,
					      .size_bytes = 4096,
					      .flags = BAR_FLAGS | VFIO_REGION_INFO_FLAG_MMAP},
		   3, -EPROTO);
}

static void a_chain_that_leads_out_of_the_message(void)
{
	region_lie((struct vuser_region_info){.argsz = 32,
					      .size_bytes = 4096,
					      .cap_offset = 4000,
					      .flags = BAR_FLAGS | VFIO_REGION_INFO_FLAG_MMAP |
						       VFIO_REGION_INFO_FLAG_CAPS},
		   1, -EPROTO);
}

static void four_billion_areas(void)
{
	region_lie((struct vuser_region_info){.argsz = 32,
					      .size_bytes = 4096,
					      .cap_offset = 32,
					      .flags = BAR_FLAGS | VFIO_REGION_INFO_FLAG_MMAP |
						       VFIO_REGION_INFO_FLAG_CAPS},
		   1, -EPROTO);
}

static void areas_that_overlap_or_lie_outside(void)
{
	static const struct vfio_region_sparse_mmap_area second[] = {{.offset = 0x1000, .size = 0x1000},
								     {.offset = 0x3000, .size = 0x2000},
								     {.offset = 0x3001, .size = 1},
								     {.offset = UINT64_MAX - 4095, .size = 0x2000}};
	struct quoll_region *region;
	struct world w;

	for (unsigned int i = 0; i < 4; i++) {
		world_init(&w);
		w.server.nr_areas = 2;
		w.server.areas[0] = (struct vfio_region_sparse_mmap_area){.offset = 0, .size = 0x2000};
		w.server.areas[1] = second[i];
		CU_ASSERT_EQUAL_FATAL(world_open(&w), 0);
		CU_ASSERT_EQUAL(quoll_region_map(w.dev, 0, &region, &w.err), -EPROTO);
		world_close(&w);
	}
}

static void map_with_file(int fd)
{
	struct quoll_region *region;
	struct world w;

	world_init(&w);
	w.nr_fds_before -= 1;
	w.server.area_fds[0] = fd;
	CU_ASSERT_EQUAL_FATAL(world_open(&w), 0);
	CU_ASSERT_EQUAL(quoll_region_map(w.dev, 0, &region, &w.err), -EPROTO);
	close(fd);
	world_close(&w);
}

static void a_file_smaller_than_its_region(void)
{
	int fd = memfd_create("small", MFD_CLOEXEC);

	CU_ASSERT_EQUAL(ftruncate(fd, SERVER_BAR_BYTES - 1), 0);
	map_with_file(fd);
}

static void a_file_that_is_none(void)
{
	int pipes[2];

	map_with_file(open("/dev/zero", O_RDWR | O_CLOEXEC));
	CU_ASSERT_EQUAL_FATAL(pipe(pipes), 0);
	close(pipes[0]);
	map_with_file(pipes[1]);
}

/* Interrupts and memory */

static struct vuser_irq_info irq_info;

static bool lie_irq_info(struct fake_server *server)
{
	if (!is_command(server, VUSER_DEVICE_GET_IRQ_INFO) || server->conn.payload[8] != QUOLL_PCI_IRQ_MSIX)
		return false;
	fake_reply(server, &irq_info, sizeof(irq_info));
	return true;
}

static void interrupts_that_cannot_be(void)
{
	static const struct vuser_irq_info lies[] = {
		{.argsz = 16, .index = QUOLL_PCI_IRQ_MSIX, .count = UINT32_MAX},
		{.argsz = 16, .index = QUOLL_PCI_IRQ_INTX, .count = 1},
	};
	struct quoll_irq_info info;
	struct world w;

	for (unsigned int i = 0; i < 2; i++) {
		irq_info = lies[i];
		world_init(&w);
		w.server.lie = lie_irq_info;
		CU_ASSERT_EQUAL_FATAL(world_open(&w), 0);
		CU_ASSERT_EQUAL(quoll_irq_info(w.dev, QUOLL_PCI_IRQ_MSIX, &info, &w.err), -EPROTO);
		world_close(&w);
	}
}

static bool lie_keep_memory(struct fake_server *server)
{
	return is_command(server, VUSER_DMA_UNMAP) && lie_refuse(server);
}

static void a_server_that_does_not_let_go_of_memory(void)
{
	struct quoll_group *group;
	struct fake_server second;
	quoll_iova_t iova;
	struct world w;

	world_init(&w);
	CU_ASSERT_EQUAL_FATAL(world_open(&w), 0);
	fake_server_init(&second);
	second.lie = lie_keep_memory;
	fake_server_start(&second);
	CU_ASSERT_EQUAL_FATAL(world_claim(&w, second.path, &group), 0);
	world_memory(&w, QUOLL_ARENA_DEVICE_READ_WRITE, 4096, &iova);
	quoll_heap_destroy(w.heap);
	w.heap = NULL;
	CU_ASSERT_EQUAL(w.ioas->maps.nr, 0);
	CU_ASSERT_EQUAL(w.server.nr_maps, 0);
	CU_ASSERT_EQUAL(quoll_device_events(w.dev), 0);
	CU_ASSERT_TRUE(vfio_user_is_dead(group->priv));
	CU_ASSERT_EQUAL(quoll_group_release(group), 0);
	fake_server_free(&second);
	world_close(&w);
}

static const struct unit_test tests[] = {
	{"a server that hangs up at once", a_server_that_hangs_up_at_once},
	{"a version that is refused", a_version_that_is_refused},
	{"a version that was not proposed", a_version_that_was_not_proposed},
	{"a version that is cut off", a_version_that_is_cut_off},
	{"capabilities that are no JSON", capabilities_that_are_no_json},
	{"capabilities without their end", capabilities_without_their_end},
	{"capabilities without measure", capabilities_without_measure},
	{"data too small for a register", data_too_small_for_a_register},
	{"a socket for commands that did not come", a_socket_for_commands_that_did_not_come},
	{"a socket for commands that is a file", a_socket_for_commands_that_is_a_file},
	{"fds that nobody needs are closed", fds_that_nobody_needs_are_closed},
	{"a reply with another id", a_reply_with_another_id},
	{"a reply to another command", a_reply_to_another_command},
	{"a reply shorter than its header", a_reply_shorter_than_its_header},
	{"a reply of four gigabytes", a_reply_of_four_gigabytes},
	{"half a reply and silence", half_a_reply_and_silence},
	{"half a reply and death", half_a_reply_and_death},
	{"an error with data", an_error_with_data},
	{"errors that are no errno", errors_that_are_no_errno},
	{"commands without end instead of a reply", commands_without_end_instead_of_a_reply},
	{"data of another place", data_of_another_place},
	{"data of another count", data_of_another_count},
	{"less data than asked for", less_data_than_asked_for},
	{"more data than asked for", more_data_than_asked_for},
	{"fds where none belong", fds_where_none_belong},
	{"a reply that comes twice", a_reply_that_comes_twice},
	{"a reply on the socket for commands", a_reply_on_the_socket_for_commands},
	{"more regions or interrupts than can be", more_regions_or_interrupts_than_can_be},
	{"a PCI device without config space", a_pci_device_without_config_space},
	{"a description that is cut off", a_description_that_is_cut_off},
	{"answers that are each just in time", answers_that_are_each_just_in_time},
	{"a description of another region", a_description_of_another_region},
	{"a description that needs a gigabyte", a_description_that_needs_a_gigabyte},
	{"a file for a region that cannot be mapped", a_file_for_a_region_that_cannot_be_mapped},
	{"more files than areas", more_files_than_areas},
	{"a chain that leads out of the message", a_chain_that_leads_out_of_the_message},
	{"four billion areas", four_billion_areas},
	{"areas that overlap or lie outside", areas_that_overlap_or_lie_outside},
	{"a file smaller than its region", a_file_smaller_than_its_region},
	{"a file that is none", a_file_that_is_none},
	{"interrupts that cannot be", interrupts_that_cannot_be},
	{"a server that does not let go of memory", a_server_that_does_not_let_go_of_memory},
};

UNIT_MAIN("eal/backend/vfio_user lies", tests)
