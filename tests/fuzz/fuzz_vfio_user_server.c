/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_vfio_user_server.c - a vfio-user client whose messages come from the input: the server survives, its model hears
 * of nothing that it did not declare, what it maps can be touched, and nothing of the client stays.
 *
 * The input is a row of records: how (HOW_*), a command, a number, so many bytes. They are pairs of offset and value,
 * changes to a message as it should be, or the payload itself. When the input ends, the client hangs up.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vfio.h>

#include <quoll/pci.h>

#include "../unit/eal/vfio_user/open_fds.h"
#include "vfio_user/server_internal.h"

#define TIMEOUT_NS 2000000u
#define BAR_BYTES 0x2000u
#define FILE_BYTES 0x4000u
#define MAX_MAPS 64u
#define NR_FILES 7u
#define MESSAGE_BYTES 512u

enum {
	HOW_RAW = 1 << 0,
	HOW_NO_REPLY = 1 << 1,
	HOW_REPLY = 1 << 2,   /* it is one, to what the server asks next */
	HOW_NO_POLL = 1 << 3, /* the next message comes at once */
	HOW_CUT = 1 << 4,     /* says it is longer than it is */
	HOW_FDS_SHIFT = 5,    /* three bits: how many; which of them, the number says */
};

#define must(ok)                                                                                                       \
	do {                                                                                                           \
		if (!(ok)) {                                                                                           \
			fprintf(stderr, "line %d: not %s\n", __LINE__, #ok);                                           \
			abort();                                                                                       \
		}                                                                                                      \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
	char dir[64];
	char path[96];
	struct quoll_server *server;
	uint8_t *bar;
	int files[NR_FILES];
	const uint8_t *data;
	size_t left;
	unsigned int nr_maps;
	struct quoll_server_dma maps[MAX_MAPS];
	uint8_t sum; /* of what was read, so that it is read */
	unsigned int busy;
} world;

/* The model: it has no mercy with a server that lets anything through. */

static void check_access(unsigned int idx, uint64_t offset, size_t len, unsigned int flag)
{
	static const struct {
		uint64_t size;
		unsigned int flags;
	} declared[9] = {[0] = {BAR_BYTES, 3}, [2] = {64, 1}, [4] = {64, 2}, [QUOLL_PCI_CONFIG] = {256, 3}};

	must(idx < 9 && declared[idx].flags & flag && len && offset < declared[idx].size &&
	     len <= declared[idx].size - offset);
}

static int model_read(void *arg, unsigned int idx, uint64_t offset, void *buf, size_t len)
{
	(void)arg;
	check_access(idx, offset, len, QUOLL_REGION_READ);
	memset(buf, 0x5a, len);
	return 0;
}

/* A write to offset 0 of config space is an address to be read from, to 8 one to be written to. */
static int model_write(void *arg, unsigned int idx, uint64_t offset, const void *buf, size_t len)
{
	uint8_t memory[300];
	uint64_t iova;

	(void)arg;
	check_access(idx, offset, len, QUOLL_REGION_WRITE);
	for (size_t i = 0; i < len; i++)
		world.sum += ((const uint8_t *)buf)[i];
	if (idx != QUOLL_PCI_CONFIG || len != sizeof(iova) || offset > 8)
		return 0;
	memcpy(&iova, buf, sizeof(iova));
	memset(memory, world.sum, sizeof(memory));
	if (offset)
		return quoll_server_dma_write(world.server, iova, memory, 8 + world.sum);
	return quoll_server_dma_read(world.server, iova, memory, 8 + world.sum);
}

static int model_map(void *arg, const struct quoll_server_dma *dma)
{
	(void)arg;
	must(dma->len && dma->len <= UINT64_MAX - dma->iova && dma->prot && !(dma->prot & ~3u));
	for (unsigned int i = 0; i < world.nr_maps; i++)
		must(dma->iova + dma->len <= world.maps[i].iova || world.maps[i].iova + world.maps[i].len <= dma->iova);
	if (world.nr_maps == MAX_MAPS)
		return -ENOSPC;
	world.maps[world.nr_maps++] = *dma;
	return 0;
}

/* What is mapped is there, at its whole length, as long as it is mapped. */
static void touch(const struct quoll_server_dma *dma)
{
	if (!dma->va)
		return;
	must(dma->len <= FILE_BYTES);
	for (uint64_t at = 0; at < dma->len; at += 512) {
		volatile uint8_t *byte = (uint8_t *)dma->va + at;

		if (dma->prot & QUOLL_DMA_READ)
			world.sum += *byte;
		if (dma->prot & QUOLL_DMA_WRITE)
			*byte = world.sum;
	}
}

static int model_busy(void)
{
	if (!world.busy)
		return 0;
	world.busy--;
	return -EAGAIN;
}

static int model_unmap(void *arg, const struct quoll_server_dma *dma)
{
	unsigned int i = 0;

	(void)arg;
	if (model_busy())
		return -EAGAIN;
	while (i < world.nr_maps && memcmp(&world.maps[i], dma, sizeof(*dma)))
		i++;
	must(i < world.nr_maps);
	touch(dma);
	world.maps[i] = world.maps[--world.nr_maps];
	return 0;
}

static int model_reset(void *arg)
{
	(void)arg;
	return model_busy();
}

static int model_disconnect(void *arg)
{
	(void)arg;
	if (model_busy())
		return -EAGAIN;
	for (unsigned int i = 0; i < world.nr_maps; i++)
		touch(&world.maps[i]);
	world.nr_maps = 0;
	return 0;
}

/* Once. */

static void files_open(void)
{
	int pipes[2];
	char again[64];

	world.files[0] = memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	world.files[1] = memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	world.files[2] = memfd_create("short", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	world.files[3] = eventfd(0, EFD_CLOEXEC);
	must(!pipe2(pipes, O_CLOEXEC));
	world.files[4] = pipes[1];
	must(!ftruncate(world.files[0], FILE_BYTES) && !ftruncate(world.files[2], 0x1800));
	must(!fcntl(world.files[0], F_ADD_SEALS, F_SEAL_SHRINK) && !fcntl(world.files[2], F_ADD_SEALS, F_SEAL_SHRINK));
	snprintf(again, sizeof(again), "/proc/self/fd/%d", world.files[0]);
	world.files[5] = open(again, O_RDONLY | O_CLOEXEC);
	world.files[6] = open("/dev/zero", O_RDWR | O_CLOEXEC);
	must(world.files[5] >= 0 && world.files[6] >= 0);
}

static void world_remove(void)
{
	quoll_server_destroy(world.server);
	rmdir(world.dir);
}

static void world_begin(void)
{
	static const struct quoll_server_ops ops = {.disconnect = model_disconnect,
						    .region_read = model_read,
						    .region_write = model_write,
						    .dma_map = model_map,
						    .dma_unmap = model_unmap,
						    .reset = model_reset};
	struct quoll_server_device device = {.bus = QUOLL_BUS_PCI, .nr_regions = 9, .nr_irqs = 5, .ops = &ops};
	int bar = memfd_create("bar", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	strcpy(world.dir, "/tmp/quoll-fuzz-XXXXXX");
	must(mkdtemp(world.dir) && !ftruncate(bar, BAR_BYTES) && !fcntl(bar, F_ADD_SEALS, F_SEAL_SHRINK));
	snprintf(world.path, sizeof(world.path), "%s/sock", world.dir);
	files_open();
	device.regions[0] = (struct quoll_server_region){
		.size_bytes = BAR_BYTES, .flags = 7, .fd = bar, .nr_areas = 1, .areas = {{0x1000, 0x1000}}};
	device.regions[2] = (struct quoll_server_region){.size_bytes = 64, .flags = 1, .fd = -1};
	device.regions[4] = (struct quoll_server_region){.size_bytes = 64, .flags = 2, .fd = -1};
	device.regions[QUOLL_PCI_CONFIG] = (struct quoll_server_region){.size_bytes = 256, .flags = 3, .fd = -1};
	device.irqs[0] = (struct quoll_irq_info){.nr_vectors = 1, .flags = 7};
	device.irqs[2] = (struct quoll_irq_info){.nr_vectors = 65, .flags = 9};
	must(!quoll_server_create(NULL, world.path, &device, &world.server, NULL));
	world.server->dma_timeout_ns = TIMEOUT_NS;
	atexit(world_remove);
}

/* The client. */

static uint8_t next_byte(void)
{
	if (!world.left)
		return 0;
	world.left--;
	return *world.data++;
}

/* A message as it should be. Return: its length. */
static uint32_t honest_message(uint16_t command, uint8_t nr, uint8_t *at)
{
	static const char version[] = "\0\0\2\0{\"capabilities\":{\"max_msg_fds\":8,\"max_data_xfer_size\":4096}}";
	static const char old_version[4];
	struct vuser_dma_map map = {
		.argsz = 32, .flags = 3, .iova = (uint64_t)(nr & 15) << 16, .size_bytes = nr & 16 ? 0x4000 : 0x1000};
	struct vuser_dma_unmap unmap = {.argsz = 24, .iova = map.iova, .size_bytes = map.size_bytes};
	struct vuser_region_info region = {.argsz = nr & 16 ? 32 : 256, .index = nr & 15};
	struct vuser_irq_set set = {.argsz = 20, .flags = 0x24, .index = 2, .start = nr, .count = nr & 7};
	struct vuser_region_access access = {.offset = nr & 8, .region = nr & 7, .count = 8};
	struct vuser_write_multi multi = {.nr_writes = nr & 3};

	memset(at, 0, MESSAGE_BYTES);
#define MESSAGE(of, more) (memcpy(at, &(of), sizeof(of)), (uint32_t)(sizeof(of) + (more)))
	switch (command) {
	case VUSER_VERSION:
		return nr & 1 ? MESSAGE(old_version, 0) : MESSAGE(version, 0);
	case VUSER_DMA_MAP:
		return MESSAGE(map, 0);
	case VUSER_DMA_UNMAP:
		return MESSAGE(unmap, 0);
	case VUSER_DEVICE_GET_INFO:
	case VUSER_DEVICE_GET_IRQ_INFO:
		at[0] = 16;
		return 16;
	case VUSER_DEVICE_GET_REGION_INFO:
		return MESSAGE(region, 0);
	case VUSER_DEVICE_SET_IRQS:
		return MESSAGE(set, 0);
	case VUSER_REGION_READ:
		return MESSAGE(access, 0);
	case VUSER_REGION_WRITE:
		return MESSAGE(access, 8);
	case VUSER_DMA_READ: /* a reply */
		at[8] = nr;
		return 16 + nr;
	case VUSER_DMA_WRITE:
		at[8] = nr;
		return nr & 1 ? 16 : 0;
	case VUSER_REGION_WRITE_MULTI:
		return MESSAGE(multi, (nr & 3) * sizeof(struct vuser_write_one));
	default:
		return 0;
	}
#undef MESSAGE
}

static uint32_t make_message(uint8_t how, uint16_t command, uint8_t nr, uint8_t *at)
{
	uint32_t bytes = honest_message(command, nr, at);

	if (how & HOW_RAW) {
		for (bytes = 0; bytes < nr; bytes++)
			at[bytes] = next_byte();
		return bytes;
	}
	for (unsigned int i = next_byte() % 16; i > 0; i--) {
		uint8_t offset = next_byte();

		at[offset] = next_byte();
	}
	return bytes;
}

/* Return: whether the server is still there. */
static bool send_record(struct vuser_conn *client)
{
	uint8_t how = next_byte(), nr, payload[MESSAGE_BYTES];
	struct vuser_out out = {.command = next_byte() % 24, .head = payload};
	int fds[8];
	struct vuser_header cut;

	nr = next_byte();
	out.head_bytes = make_message(how, out.command, nr, payload);
	out.flags = (how & HOW_NO_REPLY ? VUSER_NO_REPLY : 0) | (how & HOW_REPLY ? VUSER_TYPE_REPLY : 0);
	out.id = how & HOW_REPLY ? world.server->next_id : nr;
	out.nr_fds = how >> HOW_FDS_SHIFT;
	for (unsigned int i = 0; i < out.nr_fds; i++)
		fds[i] = world.files[(nr + i) % NR_FILES];
	out.fds = fds;
	if (!(how & HOW_CUT))
		return !vuser_send(client, &out, 0);
	cut = (struct vuser_header){
		.command = out.command, .flags = out.flags, .size_bytes = 16 + out.head_bytes + (uint32_t)nr};
	send(client->fd, &cut, sizeof(cut), MSG_NOSIGNAL | MSG_DONTWAIT);
	send(client->fd, payload, out.head_bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
	return true;
}

static void poll_server(unsigned int times)
{
	while (times--)
		quoll_server_poll(world.server);
}

/* Read what the server says; it is well-formed, and no file too many comes with it. */
static bool drain(struct vuser_conn *client)
{
	int rc;

	while ((rc = vuser_recv_step(client)) > 0)
		must(client->nr_fds <= (client->header.command == VUSER_DEVICE_GET_REGION_INFO));
	must(rc == 0 || rc == -ECONNRESET);
	return !rc;
}

static int connect_to_server(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	must(fd >= 0 &&
	     !connect(fd, (struct sockaddr *)&world.server->listen.address, sizeof(world.server->listen.address)));
	return fd;
}

static void run_client(void)
{
	struct vuser_out hello = {.command = VUSER_VERSION, .head = "\0\0\2", .head_bytes = 4};
	struct vuser_conn client;
	uint8_t first = next_byte();
	bool there = true;

	vuser_conn_init(&client, connect_to_server());
	hello.head = first & 1 ? "\0\0\0" : hello.head;
	if (first & 2)
		vuser_send(&client, &hello, 0);
	world.busy = first >> 4;
	poll_server(2);
	for (unsigned int i = 0; there && world.left && i < 64; i++) {
		bool at_once = *world.data & HOW_NO_POLL;

		there = send_record(&client);
		if (at_once && world.left)
			continue;
		poll_server(2 + world.busy);
		for (unsigned int v = 0; v < 70; v++)
			quoll_server_irq(world.server, v % 3, v);
		must(!ftruncate(world.files[1], 0) && !ftruncate(world.files[1], FILE_BYTES));
		there = there && drain(&client);
	}
	vuser_conn_close(&client);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned int before;

	if (!world.server)
		world_begin();
	must(!ftruncate(world.files[1], FILE_BYTES));
	world.data = data;
	world.left = size;
	world.sum = 0;
	before = open_fds();
	run_client();
	for (unsigned int i = 0; world.server->state != SERVER_FREE || i < 2; i++) {
		must(i < 100000);
		poll_server(1);
	}
	must(!world.nr_maps && !world.server->nr_maps && !world.server->held && !quoll_server_pending(world.server));
	for (unsigned int i = 0; i < SERVER_VISITORS; i++)
		must(!world.server->visitors[i].there);
	must(open_fds_become(before));
	return 0;
}
