/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_server_lies.c - clients that lie in every field of every message. Whatever they say, the server answers with an
 * error or ends the session, the model hears of nothing that it did not declare, no file stays open, and the next
 * client is served.
 */
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "raw_send.h"
#include "server_world.h"

/* What is wrong is found at once, and the session goes on. */
struct row {
	const char *what;
	uint16_t command;
	const void *payload;
	size_t bytes;
	unsigned int nr_fds;
	int rc;
};

#define U32(...) ((const uint32_t[]){__VA_ARGS__})
#define BYTES(n) sizeof(uint32_t) * (n)

static const struct row rows[] = {
	{"a second version", VUSER_VERSION, "\0\0\2\0", 4, 0, -EINVAL},
	{"device info, cut off", VUSER_DEVICE_GET_INFO, U32(16, 0, 0), BYTES(3), 0, -EINVAL},
	{"device info, empty", VUSER_DEVICE_GET_INFO, NULL, 0, 0, -EINVAL},
	{"device info, too long", VUSER_DEVICE_GET_INFO, U32(20, 0, 0, 0, 0), BYTES(5), 0, -EINVAL},
	{"device info, no room for the answer", VUSER_DEVICE_GET_INFO, U32(15, 0, 0, 0), BYTES(4), 0, -EINVAL},
	{"device info, with a file", VUSER_DEVICE_GET_INFO, U32(16, 0, 0, 0), BYTES(4), 1, -EINVAL},
	{"region info, cut off", VUSER_DEVICE_GET_REGION_INFO, U32(32, 0, 0, 0, 0, 0, 0), BYTES(7), 0, -EINVAL},
	{"region info, no room", VUSER_DEVICE_GET_REGION_INFO, U32(31, 0, 0, 0, 0, 0, 0, 0), BYTES(8), 0, -EINVAL},
	{"region info, index", VUSER_DEVICE_GET_REGION_INFO, U32(32, 0, 9, 0, 0, 0, 0, 0), BYTES(8), 0, -EINVAL},
	{"region info, large index", VUSER_DEVICE_GET_REGION_INFO, U32(32, 0, UINT32_MAX, 0, 0, 0, 0, 0), BYTES(8), 0,
	 -EINVAL},
	{"region info, with files", VUSER_DEVICE_GET_REGION_INFO, U32(32, 0, 0, 0, 0, 0, 0, 0), BYTES(8), 8, -EINVAL},
	{"irq info, cut off", VUSER_DEVICE_GET_IRQ_INFO, U32(16, 0, 0), BYTES(3), 0, -EINVAL},
	{"irq info, index", VUSER_DEVICE_GET_IRQ_INFO, U32(16, 0, 5, 0), BYTES(4), 0, -EINVAL},
	{"irq info, with a file", VUSER_DEVICE_GET_IRQ_INFO, U32(16, 0, 0, 0), BYTES(4), 1, -EINVAL},
	{"irqs, cut off", VUSER_DEVICE_SET_IRQS, U32(20, 0x21, 2, 0), BYTES(4), 0, -EINVAL},
	{"irqs, 64 files for one vector", VUSER_DEVICE_SET_IRQS, U32(20, 0x24, 2, 0, 1), BYTES(5), 64, -EINVAL},
	{"irqs, files for a trigger", VUSER_DEVICE_SET_IRQS, U32(20, 0x21, 2, 0, 1), BYTES(5), 1, -EINVAL},
	{"irqs, bytes that are not there", VUSER_DEVICE_SET_IRQS, U32(20, 0x22, 2, 0, 65), BYTES(5), 0, -EINVAL},
	{"irqs, four billion vectors", VUSER_DEVICE_SET_IRQS, U32(20, 0x22, 2, 0, UINT32_MAX), BYTES(5), 0, -EINVAL},
	{"irqs, wrap around", VUSER_DEVICE_SET_IRQS, U32(20, 0x21, 2, 1, UINT32_MAX), BYTES(5), 0, -EINVAL},
	{"map, cut off", VUSER_DMA_MAP, U32(32, 3, 0, 0, 0, 0, 4096), BYTES(7), 1, -EINVAL},
	{"map, too long", VUSER_DMA_MAP, U32(36, 3, 0, 0, 0, 0, 4096, 0, 0), BYTES(9), 1, -EINVAL},
	{"map, two files", VUSER_DMA_MAP, U32(32, 3, 0, 0, 0, 0, 4096, 0), BYTES(8), 2, -EINVAL},
	{"map, nothing", VUSER_DMA_MAP, U32(32, 3, 0, 0, 0, 0, 0, 0), BYTES(8), 1, -EINVAL},
	{"map, everything", VUSER_DMA_MAP, U32(32, 3, 0, 0, 0, 0, UINT32_MAX, UINT32_MAX), BYTES(8), 1, -EINVAL},
	{"map, over the end", VUSER_DMA_MAP, U32(32, 3, 0, 0, 0xfffff000, UINT32_MAX, 8192, 0), BYTES(8), 1, -EINVAL},
	{"unmap, cut off", VUSER_DMA_UNMAP, U32(24, 0, 0, 0, 4096), BYTES(5), 0, -EINVAL},
	{"unmap, with a bitmap", VUSER_DMA_UNMAP, U32(40, 1, 0, 0, 4096, 0, 4096, 0, 8, 0), BYTES(10), 0, -EINVAL},
	{"unmap, with two files", VUSER_DMA_UNMAP, U32(24, 0, 0, 0, 4096, 0), BYTES(6), 2, -EINVAL},
	{"unmap, what is not there", VUSER_DMA_UNMAP, U32(24, 0, 0, 0, 4096, 0), BYTES(6), 0, -ENOENT},
	{"unmap, unknown flags", VUSER_DMA_UNMAP, U32(24, 0x80000000, 0, 0, 4096, 0), BYTES(6), 0, -ENOTSUP},
	{"read, cut off", VUSER_REGION_READ, U32(0, 0, 0), BYTES(3), 0, -EINVAL},
	{"read, region", VUSER_REGION_READ, U32(0, 0, 9, 4), BYTES(4), 0, -EINVAL},
	{"read, large region", VUSER_REGION_READ, U32(0, 0, UINT32_MAX, 4), BYTES(4), 0, -EINVAL},
	{"read, region that is not there", VUSER_REGION_READ, U32(0, 0, 1, 4), BYTES(4), 0, -EINVAL},
	{"read, nothing", VUSER_REGION_READ, U32(0, 0, 0, 0), BYTES(4), 0, -EINVAL},
	{"read, four gigabytes", VUSER_REGION_READ, U32(0, 0, 0, UINT32_MAX), BYTES(4), 0, -EINVAL},
	{"read, over the end", VUSER_REGION_READ, U32(0x3ffd, 0, 0, 4), BYTES(4), 0, -EINVAL},
	{"read, behind the end", VUSER_REGION_READ, U32(0x4000, 0, 0, 1), BYTES(4), 0, -EINVAL},
	{"read, wrap around", VUSER_REGION_READ, U32(0xfffffffc, UINT32_MAX, 0, 8), BYTES(4), 0, -EINVAL},
	{"read, with a file", VUSER_REGION_READ, U32(0, 0, 0, 4), BYTES(4), 1, -EINVAL},
	{"write, cut off", VUSER_REGION_WRITE, U32(0, 0, 0), BYTES(3), 0, -EINVAL},
	{"write, without data", VUSER_REGION_WRITE, U32(0, 0, 0, 4), BYTES(4), 0, -EINVAL},
	{"write, more data than said", VUSER_REGION_WRITE, U32(0, 0, 0, 4, 1, 2), BYTES(6), 0, -EINVAL},
	{"write, less data than said", VUSER_REGION_WRITE, U32(0, 0, 0, 12, 1, 2), BYTES(6), 0, -EINVAL},
	{"write, nothing", VUSER_REGION_WRITE, U32(0, 0, 0, 0), BYTES(4), 0, -EINVAL},
	{"write, wrap around", VUSER_REGION_WRITE, U32(0xfffffffc, UINT32_MAX, 0, 8, 1, 2), BYTES(6), 0, -EINVAL},
	{"write, with files", VUSER_REGION_WRITE, U32(0, 0, 0, 4, 1), BYTES(5), 3, -EINVAL},
	{"writes, cut off", VUSER_REGION_WRITE_MULTI, U32(1), BYTES(1), 0, -EINVAL},
	{"writes, more than there are", VUSER_REGION_WRITE_MULTI, U32(2, 0, 0, 0, 0, 4, 1, 1), BYTES(8), 0, -EINVAL},
	{"writes, number that overflows", VUSER_REGION_WRITE_MULTI, U32(0xaaaaaaab, 0xaaaaaaaa, 0, 0, 0, 4, 1, 1),
	 BYTES(8), 0, -EINVAL},
	{"writes, with a file", VUSER_REGION_WRITE_MULTI, U32(0, 0), BYTES(2), 1, -EINVAL},
	{"reset, with something", VUSER_DEVICE_RESET, U32(1), BYTES(1), 0, -EINVAL},
	{"reset, with a file", VUSER_DEVICE_RESET, NULL, 0, 1, -EINVAL},
	{"our own command", VUSER_DMA_READ, U32(0, 0, 4096, 0), BYTES(4), 0, -ENOTSUP},
	{"no command at all", 0xffff, U32(0, 0, 4096, 0), BYTES(4), 64, -ENOTSUP},
};

static void lies_are_answered_with_an_error(void)
{
	struct server_world w;
	int fds[VUSER_MAX_FDS];
	unsigned int before;

	world_init(&w);
	world_listen(&w);
	CU_ASSERT_TRUE_FATAL(world_hello(&w) > 0);
	for (unsigned int i = 0; i < VUSER_MAX_FDS; i++)
		fds[i] = w.device.regions[0].fd;
	before = open_fds();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int rc = world_ask_fds(&w, rows[i].command, rows[i].payload, rows[i].bytes, fds, rows[i].nr_fds);

		if (rc != rows[i].rc) {
			fprintf(stderr, "%s: %d\n", rows[i].what, rc);
			CU_FAIL("another answer");
		}
		quoll_server_poll(w.server); /* the next step closes what came with it */
	}
	CU_ASSERT_EQUAL(w.nr_reads + w.nr_writes + w.nr_resets + w.nr_maps, 0);
	CU_ASSERT_EQUAL(w.server->stats.errors, sizeof(rows) / sizeof(rows[0]));
	CU_ASSERT_EQUAL(w.server->stats.protocol_errors, 0);
	/* The last ones are closed with the next message. */
	CU_ASSERT_EQUAL(world_ask(&w, VUSER_DEVICE_RESET, NULL, 0), 0);
	CU_ASSERT_TRUE(open_fds_become(before));
	world_close(&w);
}

/* A write of several that fails is not done, nor what comes behind it. */
static void a_lie_among_many_writes(void)
{
	static const struct vuser_write_one lies[] = {{.offset = 0, .count = 9},
						      {.offset = 0, .count = 0},
						      {.offset = 0, .count = UINT32_MAX},
						      {.offset = 0x3ffd, .count = 4},
						      {.offset = UINT64_MAX, .count = 4},
						      {.region = 9, .count = 4},
						      {.region = UINT32_MAX, .count = 4},
						      {.region = 1, .count = 4},
						      {.region = 2, .offset = 0, .count = 4}};
	struct {
		struct vuser_write_multi multi;
		struct vuser_write_one one[3];
	} m = {.multi.nr_writes = 3};
	struct server_world w;

	world_init(&w);
	world_listen(&w);
	CU_ASSERT_TRUE_FATAL(world_hello(&w) > 0);
	m.one[0] = m.one[2] = (struct vuser_write_one){.offset = 8, .count = 4, .data = "good"};
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		uint64_t done = 0;

		m.one[1] = lies[i];
		CU_ASSERT_EQUAL(world_ask(&w, VUSER_REGION_WRITE_MULTI, &m, sizeof(m)), 8);
		memcpy(&done, w.client.payload, sizeof(done));
		CU_ASSERT_EQUAL(done, 1);
		CU_ASSERT_EQUAL(w.nr_writes, i + 1);
	}
	world_close(&w);
}

static void first_messages_that_cannot_be_are_the_last(void)
{
	static const struct {
		const char *what;
		uint16_t command;
		const char *payload;
		size_t bytes;
		unsigned int nr_fds;
	} firsts[] = {
		{"another command", VUSER_DEVICE_GET_INFO, "0123456789abcdef", 16, 0},
		{"a version, cut off", VUSER_VERSION, "\0\0\2", 3, 0},
		{"nothing", VUSER_VERSION, "", 0, 0},
		{"another major version", VUSER_VERSION, "\1\0\2\0", 4, 0},
		{"with a file", VUSER_VERSION, "\0\0\2\0", 4, 1},
		{"no JSON", VUSER_VERSION, "\0\0\2\0hello", 10, 0},
		{"JSON without its end", VUSER_VERSION, "\0\0\2\0{}", 6, 0},
		{"JSON that is no object", VUSER_VERSION, "\0\0\2\0[]", 7, 0},
		{"a number that is none", VUSER_VERSION, "\0\0\2\0{\"capabilities\":{\"max_msg_fds\":\"8\"}}", 41, 0},
		{"a negative number", VUSER_VERSION, "\0\0\2\0{\"capabilities\":{\"max_msg_fds\":-8}}", 40, 0},
		{"no data at all", VUSER_VERSION, "\0\0\2\0{\"capabilities\":{\"max_data_xfer_size\":0}}", 46, 0},
	};
	struct server_world w;

	world_init(&w);
	world_listen(&w);
	for (size_t i = 0; i < sizeof(firsts) / sizeof(firsts[0]); i++) {
		vuser_conn_init(&w.client, world_connect(&w));
		if (world_ask_fds(&w, firsts[i].command, firsts[i].payload, firsts[i].bytes, &w.device.regions[0].fd,
				  firsts[i].nr_fds) != -EINVAL) {
			fprintf(stderr, "%s\n", firsts[i].what);
			CU_FAIL("another answer");
		}
		CU_ASSERT_EQUAL(world_answer(&w), -ECONNRESET);
		world_hang_up(&w);
		CU_ASSERT_EQUAL(w.server->stats.protocol_errors, i + 1);
	}
	CU_ASSERT_EQUAL(w.nr_connects, 0);
	CU_ASSERT_TRUE(world_hello(&w) > 0);
	world_close(&w);
}

/* What breaks the framing ends the session. */
static void messages_that_cannot_be_end_the_session(void)
{
	static const struct vuser_header headers[] = {
		{.command = VUSER_DEVICE_RESET, .size_bytes = 15},
		{.command = VUSER_DEVICE_RESET, .size_bytes = 0},
		{.command = VUSER_DEVICE_RESET, .size_bytes = UINT32_MAX},
		{.command = VUSER_DEVICE_RESET, .size_bytes = VUSER_MAX_MSG_BYTES + 1},
		{.command = VUSER_DEVICE_RESET, .size_bytes = 16, .flags = 2},
		{.command = VUSER_DEVICE_RESET, .size_bytes = 16, .flags = 0xf},
		/* a reply that nobody waits for */
		{.command = VUSER_DMA_READ, .size_bytes = 16, .flags = VUSER_TYPE_REPLY},
	};
	struct server_world w;

	world_init(&w);
	world_listen(&w);
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		CU_ASSERT_TRUE_FATAL(world_hello(&w) > 0);
		CU_ASSERT_EQUAL(world_map(&w, 0x1000, 0x1000, 3, -1, 0), 0);
		CU_ASSERT_EQUAL(send(w.client.fd, &headers[i], sizeof(headers[i]), MSG_NOSIGNAL), 16);
		CU_ASSERT_EQUAL(world_answer(&w), -ECONNRESET);
		world_hang_up(&w);
		CU_ASSERT_EQUAL(w.nr_disconnects, i + 1);
		CU_ASSERT_EQUAL(w.server->stats.protocol_errors, i + 1);
	}
	CU_ASSERT_EQUAL(w.nr_resets, 0);
	world_close(&w);
}

/* More files than a message may have are closed, all of them. */
static void too_many_files_end_the_session(void)
{
	struct server_world w;
	struct vuser_header header = {.command = VUSER_DMA_MAP, .size_bytes = 16};

	world_init(&w);
	world_listen(&w);
	CU_ASSERT_TRUE_FATAL(world_hello(&w) > 0);
	send_raw(w.client.fd, &header, sizeof(header), w.device.regions[0].fd, 200);
	CU_ASSERT_EQUAL(world_answer(&w), -ECONNRESET);
	world_hang_up(&w);
	CU_ASSERT_TRUE(world_hello(&w) > 0);
	world_close(&w);
}

/* A visitor does what it likes; the client does not notice. */
static void lies_of_those_who_wait_outside(void)
{
	static const char huge[] = "\0\0\1\0\377\377\377\377\0\0\0\0\0\0\0";
	struct server_world w;
	int visitor;
	char byte;

	world_init(&w);
	world_listen(&w);
	CU_ASSERT_TRUE_FATAL(world_hello(&w) > 0);
	visitor = world_connect(&w);
	CU_ASSERT_EQUAL(send(visitor, huge, 16, MSG_NOSIGNAL), 16);
	CU_ASSERT_EQUAL(world_ask(&w, VUSER_DEVICE_RESET, NULL, 0), 0);
	CU_ASSERT_EQUAL(world_ask(&w, VUSER_DEVICE_RESET, NULL, 0), 0);
	CU_ASSERT_EQUAL(recv(visitor, &byte, 1, MSG_DONTWAIT), 0);
	close(visitor);
	world_close(&w);
}

static const struct unit_test tests[] = {
	{"lies are answered with an error", lies_are_answered_with_an_error},
	{"a lie among many writes", a_lie_among_many_writes},
	{"first messages that cannot be are the last", first_messages_that_cannot_be_are_the_last},
	{"messages that cannot be end the session", messages_that_cannot_be_end_the_session},
	{"too many files end the session", too_many_files_end_the_session},
	{"lies of those who wait outside", lies_of_those_who_wait_outside},
};

UNIT_MAIN("eal/vfio_user/server lies", tests)
