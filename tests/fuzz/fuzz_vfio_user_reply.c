/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_vfio_user_reply.c - a vfio-user server whose answers come from the input: the client survives, closes every file
 * that it was sent, and hands out nothing that breaks the promises of device.h.
 *
 * Each command takes one record of the input: how to answer (HOW_*), a length, so many bytes. They are pairs of offset
 * and value, changes to an answer as it should be, or the answer itself. When the input ends, the server hangs up.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/vfio.h>

#include <quoll/pci.h>

#include "../unit/eal/vfio_user/open_fds.h"
#include "backend/vfio_user.h"

#define TIMEOUT_NS 20000000u
#define ANSWER_BYTES 1024u

enum {
	HOW_OTHER_ID = 1 << 0,
	HOW_OTHER_COMMAND = 1 << 1,
	HOW_ERROR = 1 << 2,
	HOW_COMMAND = 1 << 3, /* a DMA_READ or DMA_WRITE first */
	HOW_FDS_SHIFT = 4,    /* two bits */
	HOW_CUT = 1 << 6,     /* says it is longer than it is */
	HOW_RAW = 1 << 7,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
	struct sockaddr_un sa;
	int listen_fd;
	int files[3];
	const uint8_t *data;
	size_t left;
} server;

static uint8_t next_byte(void)
{
	if (!server.left)
		return 0;
	server.left--;
	return *server.data++;
}

static uint32_t region_info(uint8_t *at, uint32_t index)
{
	struct {
		struct vuser_region_info head;
		struct vfio_info_cap_header cap;
		uint32_t nr_areas;
		uint32_t reserved;
		struct vfio_region_sparse_mmap_area areas[2];
	} info = {.head = {.argsz = sizeof(info),
			   .flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE,
			   .index = index,
			   .size_bytes = index == QUOLL_PCI_CONFIG ? 256
					 : index		   ? 0
								   : 0x4000}};

	info.cap.id = VFIO_REGION_INFO_CAP_SPARSE_MMAP;
	info.nr_areas = 2;
	info.areas[0].size = info.areas[1].offset = info.areas[1].size = 0x1000;
	if (!index) {
		info.head.flags |= VFIO_REGION_INFO_FLAG_MMAP | VFIO_REGION_INFO_FLAG_CAPS;
		info.head.cap_offset = sizeof(info.head);
	}
	memcpy(at, &info, sizeof(info));
	return sizeof(info);
}

/* As it should be. Return: its length. */
static uint32_t honest_answer(const struct vuser_conn *conn, uint8_t *at)
{
	static const char version[] = "\0\0\2\0{\"capabilities\":{\"max_msg_fds\":8,\"max_data_xfer_size\":4096}}";
	struct vuser_device_info device = {.argsz = 16, .flags = VFIO_DEVICE_FLAGS_PCI, .nr_regions = 9, .nr_irqs = 5};
	struct vuser_irq_info irq = {.argsz = 16, .flags = VFIO_IRQ_INFO_EVENTFD, .count = 1};
	struct vuser_region_access access;

	memset(at, 0, ANSWER_BYTES);
	switch (conn->header.command) {
	case VUSER_VERSION:
		memcpy(at, version, sizeof(version));
		return sizeof(version);
	case VUSER_DEVICE_GET_INFO:
		memcpy(at, &device, sizeof(device));
		return sizeof(device);
	case VUSER_DEVICE_GET_REGION_INFO:
		return region_info(at, conn->payload[8]);
	case VUSER_DEVICE_GET_IRQ_INFO:
		irq.index = conn->payload[8];
		memcpy(at, &irq, sizeof(irq));
		return sizeof(irq);
	case VUSER_REGION_READ:
	case VUSER_REGION_WRITE:
		memcpy(&access, conn->payload, sizeof(access));
		memcpy(at, &access, sizeof(access));
		at[sizeof(access)] = 0x36; /* whatever it is, not all ones */
		return sizeof(access) + (conn->header.command == VUSER_REGION_READ ? access.count % 512 : 0);
	default:
		return 0;
	}
}

static void send_command(struct vuser_conn *conn, uint8_t what)
{
	struct vuser_dma_access access = {.iova = (uint64_t)what << 12, .count = what};
	struct vuser_out out = {.id = what,
				.command = VUSER_DMA_READ + what % 3,
				.flags = VUSER_NO_REPLY,
				.head = &access,
				.head_bytes = what % 5 ? sizeof(access) : what,
				.data = conn->payload,
				.data_bytes = what % 2 ? what : 0};

	if (out.head_bytes > sizeof(access))
		out.head_bytes = sizeof(access);
	if (out.data_bytes > conn->payload_bytes)
		out.data_bytes = conn->payload_bytes;
	vuser_send(conn, &out, fd_socket_now_ns() + TIMEOUT_NS);
}

/* Return: whether to go on. */
static bool answer(struct vuser_conn *conn)
{
	uint8_t how = next_byte(), nr = next_byte(), payload[ANSWER_BYTES];
	struct vuser_out out = vuser_reply_to(&conn->header, how & HOW_ERROR ? nr : 0);
	uint32_t bytes = honest_answer(conn, payload);
	struct vuser_header cut;

	if (how & HOW_RAW)
		for (bytes = 0; bytes < nr; bytes++)
			payload[bytes] = next_byte();
	for (unsigned int i = 0; !(how & HOW_RAW) && i < nr % 32; i++) {
		uint8_t at = next_byte();

		payload[at] = next_byte();
	}
	if (how & HOW_COMMAND)
		send_command(conn, nr);
	out.id ^= how & HOW_OTHER_ID ? 1 : 0;
	out.command ^= how & HOW_OTHER_COMMAND ? 1 : 0;
	out.head = payload;
	out.head_bytes = bytes;
	out.fds = server.files;
	out.nr_fds = how >> HOW_FDS_SHIFT & 3;
	if (!(how & HOW_CUT))
		return !vuser_send(conn, &out, fd_socket_now_ns() + TIMEOUT_NS);
	cut = (struct vuser_header){
		.id = out.id, .command = out.command, .flags = out.flags, .size_bytes = (uint32_t)nr << (nr % 25)};
	return send(conn->fd, &cut, sizeof(cut), MSG_NOSIGNAL) == sizeof(cut) &&
	       send(conn->fd, payload, bytes, MSG_NOSIGNAL) >= 0;
}

static void *server_main(void *arg)
{
	struct vuser_conn conn;
	int fd = accept4(server.listen_fd, NULL, NULL, SOCK_CLOEXEC);

	(void)arg;
	if (fd < 0)
		abort();
	vuser_conn_init(&conn, fd);
	while (server.left && !vuser_recv(&conn, fd_socket_now_ns() + 1000000000u))
		if (vuser_is_command(&conn.header) && !answer(&conn))
			break;
	vuser_conn_close(&conn);
	return NULL;
}

static void server_remove(void)
{
	unlink(server.sa.sun_path);
	*strrchr(server.sa.sun_path, '/') = '\0';
	rmdir(server.sa.sun_path);
}

/* Once: socket, and files that are large enough, too small, and none. */
static void server_setup(void)
{
	char dir[] = "/tmp/quoll-fuzz-XXXXXX";
	int pipes[2];

	server.sa.sun_family = AF_UNIX;
	if (!mkdtemp(dir) || pipe(pipes))
		abort();
	snprintf(server.sa.sun_path, sizeof(server.sa.sun_path), "%s/sock", dir);
	server.listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(server.listen_fd, (struct sockaddr *)&server.sa, sizeof(server.sa)) || listen(server.listen_fd, 1))
		abort();
	atexit(server_remove);
	server.files[0] = memfd_create("bar", MFD_CLOEXEC);
	server.files[1] = memfd_create("small", MFD_CLOEXEC);
	server.files[2] = pipes[0];
	if (ftruncate(server.files[0], 0x4000) || ftruncate(server.files[1], 4095))
		abort();
}

static void use_device(struct quoll_device *dev)
{
	struct quoll_device_info info;
	struct quoll_region *region;
	struct quoll_irq_info irq;
	uint8_t data[300];
	int fds[3] = {server.files[2], -1, server.files[2]};

	quoll_device_info(dev, &info);
	if (info.nr_regions > 256 || info.nr_irqs > 256)
		abort();
	/* What may be mapped is there, at its whole length. */
	for (unsigned int i = 0; i < info.nr_regions; i++) {
		if (quoll_region_map(dev, i, &region, NULL))
			continue;
		for (uint64_t at = 0; at < 0x4000; at += 0x800) {
			volatile uint8_t *byte = quoll_region_ptr(region, at, 1);

			if (byte && !*byte)
				data[0] = *byte;
		}
		quoll_region_unmap(region);
	}
	quoll_region_read(dev, 0, 3, data, sizeof(data));
	quoll_region_write(dev, 0, 3, data, 5);
	for (unsigned int i = 0; i < info.nr_irqs && i < 5; i++)
		if (!quoll_irq_info(dev, i, &irq, NULL) && irq.nr_vectors > 65536)
			abort();
	quoll_irq_enable(dev, QUOLL_PCI_IRQ_MSIX, fds, 3, NULL);
	quoll_device_events(dev);
}

static void client(void)
{
	static uint8_t memory[8192] __attribute__((aligned(4096)));
	struct ioas_mapping m = {.va = memory, .iova = 4096, .len_bytes = 8192, .access = MAP_DEVICE_READ, .fd = -1};
	struct quoll_addr addr = {.scheme = QUOLL_ADDR_VFIO_USER, .target = server.sa.sun_path};
	struct quoll_device *dev;
	struct quoll_group *group;
	struct quoll_ioas *ioas;
	struct quoll_error err;

	if (quoll_ioas_open(NULL, "vfio-user", &ioas, NULL))
		abort();
	((struct vfio_user_space *)ioas->priv)->timeout_ns = TIMEOUT_NS;
	if (!quoll_group_claim(ioas, &addr, &group, &err)) {
		if (!ioas_map(ioas, &m, &err)) {
			if (!quoll_device_open(group, quoll_group_device_name(group, 0), &dev, &err)) {
				use_device(dev);
				quoll_device_close(dev);
			}
			if (ioas_unmap(ioas, m.iova, m.len_bytes))
				abort();
		}
		quoll_group_release(group);
	}
	if (quoll_ioas_close(ioas))
		abort();
	/* The server did not write to what it may only read. */
	for (size_t i = 0; i < sizeof(memory); i++)
		if (memory[i])
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned int before;
	pthread_t thread;

	if (!server.sa.sun_family)
		server_setup();
	server.data = data;
	server.left = size;
	before = open_fds();
	if (pthread_create(&thread, NULL, server_main, NULL))
		abort();
	client();
	pthread_join(thread, NULL);
	if (!open_fds_become(before))
		abort();
	return 0;
}
