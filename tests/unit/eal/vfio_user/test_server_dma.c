/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_server_dma.c - a server reaches its client's memory by message, in both layouts that are in the field; and what
 * comes in meanwhile, or does not.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "server_world.h"

#define MEMORY_BYTES 0x40000u
#define MEMORY_AT 0x100000u
#define RW (VUSER_DMA_READABLE | VUSER_DMA_WRITABLE)
#define SHORT_NS 50000000ull
#define MANY 10000u

/**
 * struct memory - a client that answers DMA messages, in a thread
 * @narrow:  as QEMU does
 * @version: what it states
 * @lie:     called with each command; true: it has done what there is to do
 * @was_answered: what a lie asked
 */
struct memory {
	struct server_world w;
	pthread_t thread;
	bool narrow;
	const char *version;
	bool (*lie)(struct memory *m, const struct vuser_dma_access *access);
	atomic_uint nr_messages;
	uint32_t largest;
	bool was_answered;
	uint8_t at[MEMORY_BYTES];
};

static void reply(struct memory *m, int errnum, const void *head, size_t head_bytes, const void *data, size_t bytes)
{
	struct vuser_out out = vuser_reply_to(&m->w.client.header, errnum);

	out.head = head;
	out.head_bytes = (uint32_t)head_bytes;
	out.data = data;
	out.data_bytes = (uint32_t)bytes;
	vuser_send(&m->w.client, &out, fd_socket_now_ns() + WORLD_PATIENCE_NS);
}

/* As QEMU: a count of 32 bits, data behind it, 4 bytes of nothing, and no payload in the reply to a write. */
static void answer_narrow(struct memory *m, const struct vuser_dma_access *access)
{
	static uint8_t message[12 + MEMORY_BYTES + 4];
	uint32_t count = (uint32_t)access->count;
	uint64_t at = access->iova - MEMORY_AT;

	if (at > MEMORY_BYTES || count > MEMORY_BYTES - at) {
		reply(m, EFAULT, NULL, 0, NULL, 0);
	} else if (m->w.client.header.command == VUSER_DMA_WRITE) {
		if (count > m->w.client.payload_bytes - 16) {
			reply(m, E2BIG, NULL, 0, NULL, 0);
			return;
		}
		memcpy(m->at + at, m->w.client.payload + 12, count);
		reply(m, 0, NULL, 0, NULL, 0);
	} else {
		memset(message, 0, sizeof(message));
		memcpy(message, access, 12);
		memcpy(message + 12, m->at + at, count);
		reply(m, 0, message, 12 + count + 4, NULL, 0);
	}
}

/* As the specification. */
static void answer_wide(struct memory *m, const struct vuser_dma_access *access)
{
	uint64_t at = access->iova - MEMORY_AT;

	if (at > MEMORY_BYTES || access->count > MEMORY_BYTES - at) {
		reply(m, EFAULT, NULL, 0, NULL, 0);
	} else if (m->w.client.header.command == VUSER_DMA_WRITE) {
		if (access->count != m->w.client.payload_bytes - 16) {
			reply(m, EINVAL, NULL, 0, NULL, 0);
			return;
		}
		memcpy(m->at + at, m->w.client.payload + 16, access->count);
		reply(m, 0, access, 16, NULL, 0);
	} else {
		reply(m, 0, access, 16, m->at + at, access->count);
	}
}

static void *memory_main(void *arg)
{
	struct memory *m = arg;
	struct vuser_dma_access access;

	while (!vuser_recv(&m->w.client, fd_socket_now_ns() + WORLD_PATIENCE_NS)) {
		if (!vuser_is_command(&m->w.client.header))
			continue; /* to what a lie has sent */
		memcpy(&access, m->w.client.payload, sizeof(access));
		if ((uint32_t)access.count > m->largest)
			m->largest = (uint32_t)access.count;
		atomic_fetch_add(&m->nr_messages, 1);
		if (m->lie && m->lie(m, &access))
			continue;
		if (m->narrow)
			answer_narrow(m, &access);
		else
			answer_wide(m, &access);
	}
	return NULL;
}

static const char version_2[] = "\0\0\2\0";
static const char version_0[] = "\0\0\0\0";

/* Its memory is offered without a file. */
static struct memory *memory_begin(const char *version, bool narrow)
{
	struct memory *m = calloc(1, sizeof(*m));

	world_init(&m->w);
	world_listen(&m->w);
	m->narrow = narrow;
	m->version = version;
	for (uint32_t i = 0; i < MEMORY_BYTES; i++)
		m->at[i] = (uint8_t)(i * 31 + i / 251 + 1);
	CU_ASSERT_TRUE_FATAL(world_hello_with(&m->w, version, 4) > 0);
	CU_ASSERT_EQUAL_FATAL(world_map(&m->w, MEMORY_AT, MEMORY_BYTES, RW, -1, 0), 0);
	return m;
}

static void memory_answers(struct memory *m)
{
	CU_ASSERT_EQUAL_FATAL(pthread_create(&m->thread, NULL, memory_main, m), 0);
}

static void memory_end(struct memory *m)
{
	shutdown(m->w.client.fd, SHUT_RDWR);
	pthread_join(m->thread, NULL);
	world_close(&m->w);
	free(m);
}

static void expect_read(struct memory *m, uint32_t at, uint32_t len)
{
	uint8_t *data = malloc(len);

	CU_ASSERT_EQUAL(quoll_server_dma_read(m->w.server, MEMORY_AT + at, data, len), 0);
	CU_ASSERT_EQUAL(memcmp(data, m->at + at, len), 0);
	free(data);
}

/* Bytes that nothing else has, and the bytes around them stay as they are. */
static void expect_write(struct memory *m, uint32_t at, const uint8_t *data, uint32_t len)
{
	uint8_t *before = malloc(MEMORY_BYTES);

	memcpy(before, m->at, MEMORY_BYTES);
	CU_ASSERT_EQUAL(quoll_server_dma_write(m->w.server, MEMORY_AT + at, data, len), 0);
	memcpy(before + at, data, len);
	CU_ASSERT_EQUAL(memcmp(m->at, before, MEMORY_BYTES), 0);
	free(before);
}

static void memory_is_read_and_written_by_message(void)
{
	struct memory *m = memory_begin(version_2, false);
	uint8_t data[0x11000];

	memory_answers(m);
	expect_read(m, 0, 1);
	expect_read(m, 5, 4096);
	expect_read(m, 0, MEMORY_BYTES);
	CU_ASSERT_EQUAL(m->largest, SERVER_DMA_PIECE_BYTES);
	memset(data, 0xcc, sizeof(data));
	expect_write(m, 3, data, 1);
	expect_write(m, 0x1003, data, sizeof(data));
	CU_ASSERT_EQUAL(m->w.server->stats.dma_messages, m->nr_messages);
	memory_end(m);
}

static void a_client_that_takes_little_gets_little_at_a_time(void)
{
	static const char little[] = "\0\0\2\0{\"capabilities\":{\"max_data_xfer_size\":100}}";
	struct memory *m = memory_begin(version_2, false);

	world_hang_up(&m->w);
	CU_ASSERT_TRUE_FATAL(world_hello_with(&m->w, little, sizeof(little)) > 0);
	CU_ASSERT_EQUAL_FATAL(world_map(&m->w, MEMORY_AT, MEMORY_BYTES, RW, -1, 0), 0);
	memory_answers(m);
	expect_read(m, 7, 1000);
	CU_ASSERT_EQUAL(m->largest, 100);
	CU_ASSERT_EQUAL(m->nr_messages, 10);
	memory_end(m);
}

/*
 * With what client the first access is what, at which place of memory that is zero but for one byte: so that whatever
 * tells the layouts apart comes at every place of an access.
 */
static void layout_row(bool narrow, bool write_first, uint32_t len, uint32_t place)
{
	struct memory *m = memory_begin(version_0, narrow);
	uint8_t data[64] = {0};

	memset(m->at, 0, MEMORY_BYTES);
	if (place < len)
		data[place] = 0x81;
	memory_answers(m);
	if (write_first) {
		expect_write(m, 0x200, data, len);
	} else {
		memcpy(m->at + 0x200, data, len);
		expect_read(m, 0x200, len);
	}
	/* Whatever has been found out by now. */
	m->at[0x1fc] = 0x11;
	m->at[0x200 + len + 3] = 0x22;
	expect_read(m, 0x200, len);
	expect_read(m, 0x1fc, 4 + len);
	memset(data, 0x33, len);
	expect_write(m, 0x300, data, len);
	expect_read(m, 0x2f0, len + 32);
	CU_ASSERT_EQUAL(m->w.server->dma_layout, narrow ? DMA_LAYOUT_NARROW : DMA_LAYOUT_WIDE);
	CU_ASSERT_EQUAL(m->w.server->stats.protocol_errors, 0);
	memory_end(m);
}

static void layouts(bool narrow, bool write_first)
{
	static const uint32_t lens[] = {1, 2, 3, 4, 5, 7, 8, 12, 16, 21, 32};

	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++)
		for (uint32_t place = 0; place <= lens[i]; place++)
			layout_row(narrow, write_first, lens[i], place);
}

static void the_layout_of_a_first_read_is_found_out(void)
{
	layouts(false, false);
	layouts(true, false);
}

static void the_layout_of_a_first_write_is_found_out(void)
{
	layouts(false, true);
	layouts(true, true);
}

static void a_client_of_a_later_version_is_not_asked_for_its_layout(void)
{
	struct memory *m = memory_begin(version_2, false);
	uint8_t data[8] = {1, 2, 3, 4, 5, 6, 7, 8};

	memory_answers(m);
	expect_write(m, 0, data, 8);
	CU_ASSERT_EQUAL(m->nr_messages, 1);
	memory_end(m);
}

static void what_was_not_offered_is_not_asked_for(void)
{
	static const struct {
		uint64_t iova;
		size_t len;
		bool write;
		int rc;
	} rows[] = {
		{MEMORY_AT - 1, 1, false, -EFAULT},
		{MEMORY_AT + MEMORY_BYTES, 1, false, -EFAULT},
		{MEMORY_AT + MEMORY_BYTES - 1, 2, false, -EFAULT},
		{MEMORY_AT - 1, 2, true, -EFAULT},
		{0, 1, true, -EFAULT},
		{UINT64_MAX, 1, false, -EFAULT},
		{MEMORY_AT, UINT64_MAX, false, -EFAULT},
		{0x200000, 8, true, -EFAULT},  /* to be read only */
		{0x201000, 8, false, -EFAULT}, /* to be written only */
		{0x200ff8, 16, false, -EFAULT},
		{MEMORY_AT, 0, false, 0},
	};
	struct memory *m = memory_begin(version_2, false);
	uint8_t data[16] = {0};

	CU_ASSERT_EQUAL(world_map(&m->w, 0x200000, 0x1000, VUSER_DMA_READABLE, -1, 0), 0);
	CU_ASSERT_EQUAL(world_map(&m->w, 0x201000, 0x1000, VUSER_DMA_WRITABLE, -1, 0), 0);
	memory_answers(m);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].write)
			CU_ASSERT_EQUAL(quoll_server_dma_write(m->w.server, rows[i].iova, data, rows[i].len),
					rows[i].rc)
		else
			CU_ASSERT_EQUAL(quoll_server_dma_read(m->w.server, rows[i].iova, data, rows[i].len), rows[i].rc)
	}
	CU_ASSERT_EQUAL(m->nr_messages, 0);
	/* What the client itself does not find is an error of that access only. */
	CU_ASSERT_EQUAL(quoll_server_dma_read(m->w.server, 0x200000, data, 8), -EFAULT);
	CU_ASSERT_EQUAL(m->nr_messages, 1);
	expect_read(m, 0, 8);
	memory_end(m);
}

static void an_access_goes_over_mapped_and_unmapped_memory(void)
{
	struct memory *m = memory_begin(version_2, false);
	uint8_t data[0x3000], back[0x3000];
	int fd = world_memfd(0x1000);

	CU_ASSERT_EQUAL(world_map(&m->w, MEMORY_AT + MEMORY_BYTES, 0x1000, RW, fd, 0), 0);
	close(fd);
	memory_answers(m);
	for (unsigned int i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i / 3);
	CU_ASSERT_EQUAL(quoll_server_dma_write(m->w.server, MEMORY_AT + MEMORY_BYTES - 0x2000, data, sizeof(data)), 0);
	CU_ASSERT_EQUAL(m->nr_messages, 1);
	CU_ASSERT_EQUAL(memcmp(m->at + MEMORY_BYTES - 0x2000, data, 0x2000), 0);
	CU_ASSERT_EQUAL(quoll_server_dma_read(m->w.server, MEMORY_AT + MEMORY_BYTES - 0x2000, back, sizeof(back)), 0);
	CU_ASSERT_EQUAL(memcmp(back, data, sizeof(data)), 0);
	memory_end(m);
}

/* Commands before the answer. */
static bool lie_commands_first(struct memory *m, const struct vuser_dma_access *access)
{
	struct {
		struct vuser_region_access access;
		uint8_t data[8];
	} write = {.access = {.count = 8}};

	(void)access;
	for (unsigned int i = 0; i < 20; i++) {
		struct vuser_out out = {
			.id = 1000, .command = VUSER_REGION_WRITE, .flags = VUSER_NO_REPLY, .head = &write};

		write.access.offset = 8 * i;
		write.data[0] = (uint8_t)(i + 1);
		out.head_bytes = sizeof(write);
		vuser_send(&m->w.client, &out, fd_socket_now_ns() + WORLD_PATIENCE_NS);
	}
	m->lie = NULL;
	return false;
}

static bool all_written(const struct server_world *w)
{
	return w->nr_writes == 20;
}

static void commands_that_come_in_meanwhile_are_served_later(void)
{
	struct memory *m = memory_begin(version_2, false);

	m->lie = lie_commands_first;
	memory_answers(m);
	expect_read(m, 0, 100);
	CU_ASSERT_EQUAL(m->w.nr_writes, 0);
	CU_ASSERT_TRUE(quoll_server_pending(m->w.server));
	world_until(&m->w, all_written);
	CU_ASSERT_FALSE(quoll_server_pending(m->w.server));
	for (unsigned int i = 0; i < 20; i++)
		CU_ASSERT_EQUAL(m->w.bar[8 * i], i + 1);
	memory_end(m);
}

/* As QEMU, whose thread that reads a register keeps the one that answers from running. */
static bool lie_read_first(struct memory *m, const struct vuser_dma_access *access)
{
	struct vuser_region_access read = {.offset = 0x40, .count = 4};
	struct vuser_out out = {.id = 77, .command = VUSER_REGION_READ, .head = &read, .head_bytes = sizeof(read)};
	struct vuser_header ours = m->w.client.header;
	uint64_t until = fd_socket_now_ns() + WORLD_PATIENCE_NS;

	(void)access;
	m->lie = NULL;
	vuser_send(&m->w.client, &out, until);
	m->was_answered = !vuser_recv(&m->w.client, until) && m->w.client.header.id == 77 &&
			  m->w.client.payload_bytes == 20 && !memcmp(m->w.client.payload + 16, "regs", 4);
	m->w.client.header = ours;
	return false;
}

static void a_register_is_read_while_memory_is(void)
{
	struct memory *m = memory_begin(version_2, false);

	memcpy(m->w.bar + 0x40, "regs", 4);
	m->lie = lie_read_first;
	memory_answers(m);
	expect_read(m, 0x100, 100);
	CU_ASSERT_TRUE(m->was_answered);
	CU_ASSERT_EQUAL(m->w.nr_reads, 1);
	CU_ASSERT_FALSE(quoll_server_pending(m->w.server));
	memory_end(m);
}

/* A write, without a reply, and a read of the same place. */
static bool lie_write_and_read(struct memory *m, const struct vuser_dma_access *access)
{
	struct {
		struct vuser_region_access access;
		uint8_t data[8];
	} write = {.access = {.offset = 0x40, .count = 8}, .data = "written"};
	struct vuser_out out = {.id = 78,
				.command = VUSER_REGION_WRITE,
				.flags = VUSER_NO_REPLY,
				.head = &write,
				.head_bytes = sizeof(write)};

	(void)access;
	vuser_send(&m->w.client, &out, fd_socket_now_ns() + WORLD_PATIENCE_NS);
	out.command = VUSER_REGION_READ;
	out.flags = 0;
	out.head_bytes = sizeof(write.access);
	vuser_send(&m->w.client, &out, fd_socket_now_ns() + WORLD_PATIENCE_NS);
	m->lie = NULL;
	return false;
}

static void a_read_never_passes_a_write(void)
{
	struct memory *m = memory_begin(version_2, false);

	m->lie = lie_write_and_read;
	memory_answers(m);
	expect_read(m, 0x100, 100);
	CU_ASSERT_EQUAL(m->w.nr_reads, 0);
	while (!m->w.nr_reads)
		quoll_server_poll(m->w.server);
	CU_ASSERT_EQUAL(m->w.nr_writes, 1);
	CU_ASSERT_EQUAL(memcmp(m->w.server->data, "written", 8), 0);
	memory_end(m);
}

/* The first read of a register reaches for memory, and another read comes in meanwhile. */
static void read_reads_memory(struct server_world *w)
{
	uint8_t data[8];

	if (w->nr_reads == 1)
		CU_ASSERT_EQUAL(quoll_server_dma_read(w->server, MEMORY_AT, data, sizeof(data)), 0);
	CU_ASSERT_EQUAL(memcmp(w->server->data, w->nr_reads == 1 ? "one" : "two", 4), 0);
}

static bool lie_second_read(struct memory *m, const struct vuser_dma_access *access)
{
	struct vuser_region_access read = {.offset = 0x88, .count = 4};
	struct vuser_out out = {.id = 79, .command = VUSER_REGION_READ, .head = &read, .head_bytes = sizeof(read)};

	(void)access;
	m->lie = NULL;
	vuser_send(&m->w.client, &out, fd_socket_now_ns() + WORLD_PATIENCE_NS);
	return false;
}

static void reads_of_registers_that_reach_for_memory_do_not_mix(void)
{
	struct vuser_region_access read = {.offset = 0x80, .count = 4};
	struct memory *m = memory_begin(version_2, false);

	memcpy(m->w.bar + 0x80, "one\0....two", 12);
	m->w.on_read = read_reads_memory;
	m->lie = lie_second_read;
	world_send(&m->w, VUSER_REGION_READ, &read, sizeof(read), NULL, 0);
	memory_answers(m);
	while (m->w.nr_reads < 2)
		quoll_server_poll(m->w.server);
	CU_ASSERT_TRUE(quoll_server_connected(m->w.server));
	memory_end(m);
}

/* From within a callback, while its command's data are in use. */
static void write_reads_memory(struct server_world *w)
{
	uint8_t data[8];

	if (w->nr_writes == 1)
		CU_ASSERT_EQUAL(quoll_server_dma_read(w->server, MEMORY_AT, data, sizeof(data)), 0);
}

static void a_register_write_may_reach_for_memory(void)
{
	struct {
		struct vuser_region_access access;
		uint8_t data[8];
	} write = {.access = {.offset = 0x80, .count = 8}, .data = "1234567"};
	struct memory *m = memory_begin(version_2, false);

	m->w.on_write = write_reads_memory;
	world_send(&m->w, VUSER_REGION_WRITE, &write, sizeof(write), NULL, 0);
	memory_answers(m);
	while (!m->w.nr_writes)
		quoll_server_poll(m->w.server);
	CU_ASSERT_EQUAL(memcmp(m->w.bar + 0x80, "1234567", 8), 0);
	CU_ASSERT_EQUAL(m->nr_messages, 1);
	CU_ASSERT_TRUE(quoll_server_connected(m->w.server));
	memory_end(m);
}

static bool lie_silence(struct memory *m, const struct vuser_dma_access *access)
{
	(void)m;
	(void)access;
	return true;
}

static bool lie_death(struct memory *m, const struct vuser_dma_access *access)
{
	(void)access;
	shutdown(m->w.client.fd, SHUT_RDWR);
	return true;
}

static bool lie_flood(struct memory *m, const struct vuser_dma_access *access)
{
	struct vuser_out out = {.command = VUSER_DEVICE_RESET, .flags = VUSER_NO_REPLY};

	(void)access;
	while (!vuser_send(&m->w.client, &out, fd_socket_now_ns() + WORLD_PATIENCE_NS))
		;
	return true;
}

/* Fewer commands than may be held, with more files than may be. */
static bool lie_files(struct memory *m, const struct vuser_dma_access *access)
{
	struct vuser_out out = {.command = VUSER_DEVICE_RESET, .flags = VUSER_NO_REPLY, .nr_fds = VUSER_MAX_FDS};
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), fds[VUSER_MAX_FDS];

	(void)access;
	for (unsigned int i = 0; i < VUSER_MAX_FDS; i++)
		fds[i] = fd;
	out.fds = fds;
	for (unsigned int i = 0; i <= SERVER_HELD_FDS / VUSER_MAX_FDS; i++)
		vuser_send(&m->w.client, &out, fd_socket_now_ns() + WORLD_PATIENCE_NS);
	close(fd);
	return true;
}

static bool lie_other_id(struct memory *m, const struct vuser_dma_access *access)
{
	m->w.client.header.id++;
	reply(m, 0, access, 16, m->at, access->count);
	return true;
}

static bool lie_other_command(struct memory *m, const struct vuser_dma_access *access)
{
	m->w.client.header.command = VUSER_DMA_WRITE;
	reply(m, 0, access, 16, m->at, access->count);
	return true;
}

static bool lie_short(struct memory *m, const struct vuser_dma_access *access)
{
	reply(m, 0, access, 16, m->at, access->count - 1);
	return true;
}

static bool lie_long(struct memory *m, const struct vuser_dma_access *access)
{
	reply(m, 0, access, 16, m->at, access->count + 1);
	return true;
}

static bool lie_elsewhere(struct memory *m, const struct vuser_dma_access *access)
{
	struct vuser_dma_access other = {.iova = access->iova + 8, .count = access->count};

	reply(m, 0, &other, 16, m->at, access->count);
	return true;
}

static bool lie_count(struct memory *m, const struct vuser_dma_access *access)
{
	struct vuser_dma_access other = {.iova = access->iova, .count = access->count + (1ull << 32)};

	reply(m, 0, &other, 16, m->at, access->count);
	return true;
}

static void answers_that_cannot_be_cut_the_client_off(void)
{
	static const struct {
		bool (*lie)(struct memory *m, const struct vuser_dma_access *access);
		uint64_t timeout_ns;
		int rc;
	} rows[] = {
		{lie_silence, SHORT_NS, -ETIMEDOUT},
		{lie_death, WORLD_PATIENCE_NS, -ECONNRESET},
		{lie_flood, WORLD_PATIENCE_NS, -ECONNRESET},
		{lie_files, WORLD_PATIENCE_NS, -ECONNRESET},
		{lie_other_id, WORLD_PATIENCE_NS, -ECONNRESET},
		{lie_other_command, WORLD_PATIENCE_NS, -ECONNRESET},
		{lie_short, WORLD_PATIENCE_NS, -ECONNRESET},
		{lie_long, WORLD_PATIENCE_NS, -ECONNRESET},
		{lie_elsewhere, WORLD_PATIENCE_NS, -ECONNRESET},
		{lie_count, WORLD_PATIENCE_NS, -ECONNRESET},
	};
	uint8_t data[256];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct memory *m = memory_begin(version_2, false);

		m->w.server->dma_timeout_ns = rows[i].timeout_ns;
		m->lie = rows[i].lie;
		memory_answers(m);
		CU_ASSERT_EQUAL(quoll_server_dma_read(m->w.server, MEMORY_AT, data, sizeof(data)), rows[i].rc);
		CU_ASSERT_FALSE(quoll_server_connected(m->w.server));
		CU_ASSERT_TRUE(quoll_server_pending(m->w.server));
		/* And does not hold the next access up. */
		CU_ASSERT_EQUAL(quoll_server_dma_read(m->w.server, MEMORY_AT, data, sizeof(data)), -ECONNRESET);
		world_until(&m->w, world_is_free);
		CU_ASSERT_EQUAL(quoll_server_dma_read(m->w.server, MEMORY_AT, data, sizeof(data)), -EFAULT);
		memory_end(m);
	}
}

/* Each answer in its time, none before a millisecond has gone by. */
static bool lie_slowly(struct memory *m, const struct vuser_dma_access *access)
{
	const struct timespec slow = {.tv_nsec = 1000000};

	(void)m;
	(void)access;
	nanosleep(&slow, NULL);
	return false;
}

static unsigned int reads_until_cut_off(struct memory *m, unsigned int most, bool poll_between)
{
	uint8_t data[8];
	unsigned int n = 0;

	while (n < most && !quoll_server_dma_read(m->w.server, MEMORY_AT, data, sizeof(data))) {
		n++;
		if (poll_between)
			quoll_server_poll(m->w.server);
	}
	return n;
}

/* Without what a poll has for nothing. What grows back, a tenth of the time, does not save it in the end. */
static void answers_that_are_slow_each_time_use_an_allowance_up(void)
{
	struct memory *m = memory_begin(version_2, false);
	struct quoll_server_stats stats;

	m->w.server->dma_round_ns = 0;
	m->w.server->dma_left_ns = 20000000;
	m->lie = lie_slowly;
	memory_answers(m);
	reads_until_cut_off(m, MANY, true);
	CU_ASSERT_FALSE(quoll_server_connected(m->w.server));
	world_until(&m->w, world_is_free);
	quoll_server_stats(m->w.server, &stats);
	CU_ASSERT_EQUAL(stats.clients, 1);
	/* Who comes again does not have it anew. */
	pthread_join(m->thread, NULL);
	CU_ASSERT_TRUE_FATAL(world_hello(&m->w) > 0);
	CU_ASSERT_TRUE(m->w.server->dma_left_ns < m->w.server->dma_timeout_ns / 2);
	memory_answers(m);
	memory_end(m);
}

/* A round's own time is there again with each poll, and only then. */
static void each_poll_may_wait_for_some_time(void)
{
	struct memory *m = memory_begin(version_2, false);

	m->w.server->dma_round_ns = WORLD_PATIENCE_NS;
	m->w.server->dma_left_ns = 0;
	m->lie = lie_slowly;
	memory_answers(m);
	CU_ASSERT_EQUAL(reads_until_cut_off(m, 100, true), 100);
	CU_ASSERT_EQUAL(quoll_server_waited_ns(m->w.server), 0);
	CU_ASSERT_EQUAL(reads_until_cut_off(m, 100, false), 100);
	CU_ASSERT_TRUE(quoll_server_waited_ns(m->w.server) >= 100000000);
	m->w.server->dma_round_ns = quoll_server_waited_ns(m->w.server);
	m->w.server->dma_left_ns = 0;
	reads_until_cut_off(m, MANY, false);
	CU_ASSERT_FALSE(quoll_server_connected(m->w.server));
	memory_end(m);
}

/* Two devices in one thread. */
static void a_slow_client_does_not_cost_another_its_place(void)
{
	struct memory *good = memory_begin(version_2, false), *slow = memory_begin(version_2, false);
	uint8_t data[8];

	slow->w.server->dma_round_ns = 0;
	slow->w.server->dma_left_ns = 20000000;
	slow->lie = lie_slowly;
	memory_answers(slow);
	memory_answers(good);
	while (quoll_server_connected(slow->w.server)) {
		quoll_server_dma_read(slow->w.server, MEMORY_AT, data, sizeof(data));
		quoll_server_poll(slow->w.server);
		expect_read(good, 0x100, 100);
		quoll_server_poll(good->w.server);
	}
	expect_read(good, 0x100, 100);
	CU_ASSERT_TRUE(quoll_server_connected(good->w.server));
	memory_end(slow);
	memory_end(good);
}

static bool lie_error(struct memory *m, const struct vuser_dma_access *access)
{
	static const uint32_t errors[] = {[1] = EPERM, [2] = 0, [3] = UINT32_MAX, [4] = 4096};
	struct vuser_out out = vuser_reply_to(&m->w.client.header, EIO);

	out.error = errors[access->count];
	vuser_send(&m->w.client, &out, fd_socket_now_ns() + WORLD_PATIENCE_NS);
	return true;
}

static void an_errors_number_may_be_anything(void)
{
	static const int rcs[] = {[1] = -EPERM, [2] = -EIO, [3] = -EIO, [4] = -EIO};
	struct memory *m = memory_begin(version_2, false);
	uint8_t data[4] = {0};

	m->lie = lie_error;
	memory_answers(m);
	for (unsigned int i = 1; i <= 4; i++)
		CU_ASSERT_EQUAL(quoll_server_dma_write(m->w.server, MEMORY_AT, data, i), rcs[i]);
	CU_ASSERT_TRUE(quoll_server_connected(m->w.server));
	memory_end(m);
}

static const struct unit_test tests[] = {
	{"memory is read and written by message", memory_is_read_and_written_by_message},
	{"a client that takes little gets little at a time", a_client_that_takes_little_gets_little_at_a_time},
	{"the layout of a first read is found out", the_layout_of_a_first_read_is_found_out},
	{"the layout of a first write is found out", the_layout_of_a_first_write_is_found_out},
	{"a client of a later version is not asked for its layout",
	 a_client_of_a_later_version_is_not_asked_for_its_layout},
	{"what was not offered is not asked for", what_was_not_offered_is_not_asked_for},
	{"an access goes over mapped and unmapped memory", an_access_goes_over_mapped_and_unmapped_memory},
	{"commands that come in meanwhile are served later", commands_that_come_in_meanwhile_are_served_later},
	{"a register is read while memory is", a_register_is_read_while_memory_is},
	{"a read never passes a write", a_read_never_passes_a_write},
	{"reads of registers that reach for memory do not mix", reads_of_registers_that_reach_for_memory_do_not_mix},
	{"a register write may reach for memory", a_register_write_may_reach_for_memory},
	{"answers that cannot be cut the client off", answers_that_cannot_be_cut_the_client_off},
	{"answers that are slow each time use an allowance up", answers_that_are_slow_each_time_use_an_allowance_up},
	{"each poll may wait for some time", each_poll_may_wait_for_some_time},
	{"a slow client does not cost another its place", a_slow_client_does_not_cost_another_its_place},
	{"an error's number may be anything", an_errors_number_may_be_anything},
};

UNIT_MAIN("eal/vfio_user/server_dma", tests)
