/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fake_server.c - the thread behind fake_server.h.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <quoll/pci.h>

#include "fake_server.h"

#define PATIENCE_NS 20000000000ull

static void must(bool ok)
{
	if (!ok)
		abort();
}

void fake_server_init(struct fake_server *server)
{
	static const uint8_t config[] = {0x36, 0x1b, 0x10, 0, 0, 0, 0, 0, 0, 2, 8, 1};

	memset(server, 0, sizeof(*server));
	strcpy(server->dir, "/tmp/quoll-vfio-user-XXXXXX");
	must(mkdtemp(server->dir) != NULL);
	must(!chmod(server->dir, 0755));
	snprintf(server->path, sizeof(server->path), "%s/sock", server->dir);
	server->listen_fd = server->conn.fd = server->twin[0] = server->twin[1] = -1;
	server->version = (struct vuser_version){.major = 0, .minor = 2};
	server->caps = "{\"capabilities\":{\"max_msg_fds\":8,\"max_data_xfer_size\":1048576}}";
	server->device_flags = VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET;
	server->nr_regions = 9;
	server->nr_irqs = 5;
	server->nr_vectors = 65;
	memcpy(server->config, config, sizeof(config));
	server->bar_fd = memfd_create("bar0", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	must(server->bar_fd >= 0 && !ftruncate(server->bar_fd, SERVER_BAR_BYTES));
	server->bar = mmap(NULL, SERVER_BAR_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, server->bar_fd, 0);
	must(server->bar != MAP_FAILED);
	server->nr_area_fds = 1;
	for (unsigned int i = 0; i < 32; i++)
		server->area_fds[i] = server->bar_fd;
	memset(server->eventfds, 0xff, sizeof(server->eventfds));
}

void fake_reply_fds(struct fake_server *server, const void *head, size_t head_bytes, const int *fds,
		    unsigned int nr_fds)
{
	struct vuser_out out = vuser_reply_to(&server->conn.header, 0);

	out.head = head;
	out.head_bytes = (uint32_t)head_bytes;
	out.fds = fds;
	out.nr_fds = nr_fds;
	vuser_send(&server->conn, &out, fd_socket_now_ns() + PATIENCE_NS);
}

void fake_reply(struct fake_server *server, const void *head, size_t head_bytes)
{
	fake_reply_fds(server, head, head_bytes, NULL, 0);
}

static void reply_error(struct fake_server *server, int errnum)
{
	struct vuser_out out = vuser_reply_to(&server->conn.header, errnum);

	vuser_send(&server->conn, &out, fd_socket_now_ns() + PATIENCE_NS);
}

void fake_send_raw(struct fake_server *server, const void *bytes, size_t len)
{
	if (send(server->conn.fd, bytes, len, MSG_NOSIGNAL) != (ssize_t)len)
		server->conn.error = -EPIPE;
}

static void answer_version(struct fake_server *server)
{
	uint8_t answer[sizeof(struct vuser_version) + 512];
	size_t text_bytes = server->caps ? strlen(server->caps) + 1 : 0;
	bool twin = server->caps && strstr(server->caps, "fd_index");

	memcpy(answer, &server->version, sizeof(server->version));
	if (text_bytes)
		memcpy(answer + sizeof(server->version), server->caps, text_bytes);
	if (twin)
		must(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, server->twin));
	fake_reply_fds(server, answer, sizeof(server->version) + text_bytes, &server->twin[1], twin);
	if (twin)
		close(server->twin[1]);
}

static void answer_region_info(struct fake_server *server)
{
	struct {
		struct vuser_region_info head;
		struct vfio_info_cap_header cap;
		uint32_t nr_areas;
		uint32_t reserved;
		struct vfio_region_sparse_mmap_area areas[32];
	} answer = {.head = {.argsz = sizeof(answer.head)}};
	size_t bytes = sizeof(answer.head);
	bool is_bar;

	memcpy(&answer.head.index, server->conn.payload + offsetof(struct vuser_region_info, index), 4);
	is_bar = answer.head.index == 0;
	if (is_bar || answer.head.index == QUOLL_PCI_CONFIG)
		answer.head.flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
	answer.head.size_bytes = is_bar					 ? SERVER_BAR_BYTES
				 : answer.head.index == QUOLL_PCI_CONFIG ? sizeof(server->config)
									 : 0;
	if (is_bar)
		answer.head.flags |= VFIO_REGION_INFO_FLAG_MMAP;
	if (is_bar && server->nr_areas) {
		answer.head.flags |= VFIO_REGION_INFO_FLAG_CAPS;
		answer.head.cap_offset = sizeof(answer.head);
		answer.cap.id = VFIO_REGION_INFO_CAP_SPARSE_MMAP;
		answer.cap.version = 1;
		answer.nr_areas = server->nr_areas;
		memcpy(answer.areas, server->areas, server->nr_areas * sizeof(server->areas[0]));
		bytes += sizeof(answer.cap) + 8 + server->nr_areas * sizeof(server->areas[0]);
		answer.head.argsz = (uint32_t)bytes;
	}
	fake_reply_fds(server, &answer, bytes, server->area_fds, is_bar ? server->nr_area_fds : 0);
}

static void answer_irq_info(struct fake_server *server)
{
	struct vuser_irq_info irq = {.argsz = sizeof(irq), .flags = VFIO_IRQ_INFO_EVENTFD};

	memcpy(&irq.index, server->conn.payload + offsetof(struct vuser_irq_info, index), 4);
	if (irq.index == QUOLL_PCI_IRQ_MSIX)
		irq.count = server->nr_vectors;
	else
		irq.count = irq.index == QUOLL_PCI_IRQ_INTX;
	if (irq.index == QUOLL_PCI_IRQ_INTX)
		irq.flags |= VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED;
	fake_reply(server, &irq, sizeof(irq));
}

static void drop_eventfds(struct fake_server *server, unsigned int first, unsigned int nr)
{
	for (unsigned int i = first; i < first + nr && i < SERVER_MAX_VECTORS; i++) {
		if (server->eventfds[i] >= 0)
			close(server->eventfds[i]);
		server->eventfds[i] = -1;
	}
}

static void answer_set_irqs(struct fake_server *server)
{
	struct vuser_irq_set set;

	memcpy(&set, server->conn.payload, sizeof(set));
	if (server->conn.nr_fds > server->most_fds)
		server->most_fds = server->conn.nr_fds;
	if (set.start + set.count > server->nr_vectors || (server->conn.nr_fds && server->conn.nr_fds != set.count)) {
		reply_error(server, EINVAL);
		return;
	}
	if (set.index == QUOLL_PCI_IRQ_MSIX && !(set.flags & VFIO_IRQ_SET_ACTION_UNMASK)) {
		drop_eventfds(server, set.start, set.count ? set.count : SERVER_MAX_VECTORS);
		for (unsigned int i = 0; i < server->conn.nr_fds; i++)
			server->eventfds[set.start + i] = vuser_take_fd(&server->conn, i);
	}
	fake_reply(server, NULL, 0);
}

static void answer_region_access(struct fake_server *server, bool write)
{
	struct {
		struct vuser_region_access head;
		uint8_t data[SERVER_BAR_BYTES];
	} answer;
	uint8_t *at;
	size_t size;

	memcpy(&answer.head, server->conn.payload, sizeof(answer.head));
	at = answer.head.region ? server->config : server->bar;
	size = answer.head.region ? sizeof(server->config) : SERVER_BAR_BYTES;
	if (answer.head.offset > size || answer.head.count > size - answer.head.offset) {
		reply_error(server, EINVAL);
		return;
	}
	if (answer.head.count > server->largest_access)
		server->largest_access = answer.head.count;
	if (write)
		memcpy(at + answer.head.offset, server->conn.payload + sizeof(answer.head), answer.head.count);
	else
		memcpy(answer.data, at + answer.head.offset, answer.head.count);
	fake_reply(server, &answer, sizeof(answer.head) + (write ? 0 : answer.head.count));
}

static void answer_map(struct fake_server *server)
{
	struct fake_map *m = &server->maps[server->nr_maps];

	must(server->nr_maps < SERVER_MAX_MAPS);
	memcpy(&m->map, server->conn.payload, sizeof(m->map));
	m->fd = vuser_take_fd(&server->conn, 0);
	server->nr_maps++;
	fake_reply(server, NULL, 0);
}

static void answer_unmap(struct fake_server *server)
{
	struct vuser_dma_unmap unmap;

	memcpy(&unmap, server->conn.payload, sizeof(unmap));
	for (unsigned int i = 0; i < server->nr_maps; i++) {
		struct fake_map *m = &server->maps[i];

		if (m->map.iova != unmap.iova || m->map.size_bytes != unmap.size_bytes)
			continue;
		if (m->fd >= 0)
			close(m->fd);
		*m = server->maps[--server->nr_maps];
		fake_reply(server, &unmap, sizeof(unmap));
		return;
	}
	reply_error(server, ENOENT);
}

void fake_answer(struct fake_server *server)
{
	struct vuser_device_info info = {.argsz = sizeof(info),
					 .flags = server->device_flags,
					 .nr_regions = server->nr_regions,
					 .nr_irqs = server->nr_irqs};

	switch (server->conn.header.command) {
	case VUSER_VERSION:
		answer_version(server);
		break;
	case VUSER_DMA_MAP:
		answer_map(server);
		break;
	case VUSER_DMA_UNMAP:
		answer_unmap(server);
		break;
	case VUSER_DEVICE_GET_INFO:
		fake_reply(server, &info, sizeof(info));
		break;
	case VUSER_DEVICE_GET_REGION_INFO:
		answer_region_info(server);
		break;
	case VUSER_DEVICE_GET_IRQ_INFO:
		answer_irq_info(server);
		break;
	case VUSER_DEVICE_SET_IRQS:
		answer_set_irqs(server);
		break;
	case VUSER_REGION_READ:
	case VUSER_REGION_WRITE:
		answer_region_access(server, server->conn.header.command == VUSER_REGION_WRITE);
		break;
	case VUSER_DEVICE_RESET:
		fake_reply(server, NULL, 0);
		break;
	default:
		reply_error(server, EOPNOTSUPP);
	}
}

static void serve_client(struct fake_server *server)
{
	struct pollfd pfd = {.fd = server->conn.fd, .events = POLLIN};
	int rc;

	while (!atomic_load(&server->stop)) {
		rc = vuser_recv_step(&server->conn);
		if (rc < 0)
			break;
		if (!rc) {
			if (server->step)
				server->step(server);
			poll(&pfd, 1, 2);
			continue;
		}
		if (atomic_load(&server->silent))
			continue;
		if (server->conn.header.command < 32)
			atomic_fetch_add(&server->nr_commands[server->conn.header.command], 1);
		if (!server->lie || !server->lie(server))
			fake_answer(server);
	}
	vuser_conn_close(&server->conn);
	if (server->twin[0] >= 0)
		close(server->twin[0]);
	server->twin[0] = -1;
}

static void *server_main(void *arg)
{
	struct fake_server *server = arg;
	struct pollfd pfd = {.fd = server->listen_fd, .events = POLLIN};
	int fd;

	while (!atomic_load(&server->stop)) {
		if (poll(&pfd, 1, 2) != 1)
			continue;
		fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			continue;
		atomic_fetch_add(&server->nr_clients, 1);
		vuser_conn_init(&server->conn, fd);
		serve_client(server);
	}
	return NULL;
}

void fake_server_start(struct fake_server *server)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};

	memcpy(sa.sun_path, server->path, strlen(server->path) + 1);
	server->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(server->listen_fd >= 0 && !bind(server->listen_fd, (struct sockaddr *)&sa, sizeof(sa)));
	must(!chmod(server->path, 0777) && !listen(server->listen_fd, 1));
	must(!pthread_create(&server->thread, NULL, server_main, server));
}

void fake_server_stop(struct fake_server *server)
{
	if (server->listen_fd < 0)
		return;
	atomic_store(&server->stop, true);
	must(!pthread_join(server->thread, NULL));
	close(server->listen_fd);
	server->listen_fd = -1;
	unlink(server->path);
}

void fake_server_free(struct fake_server *server)
{
	fake_server_stop(server);
	for (unsigned int i = 0; i < server->nr_maps; i++)
		if (server->maps[i].fd >= 0)
			close(server->maps[i].fd);
	drop_eventfds(server, 0, SERVER_MAX_VECTORS);
	munmap(server->bar, SERVER_BAR_BYTES);
	close(server->bar_fd);
	rmdir(server->dir);
}

static int dma_result(struct vuser_conn *conn, const struct vuser_dma_access *access, void *buf, bool write)
{
	if (vuser_is_command(&conn->header) || conn->header.id != 0x4321)
		return -EBADMSG;
	if (conn->header.flags & VUSER_ERROR)
		return -(int)conn->header.error;
	if (vuser_expect(conn, sizeof(*access) + (write ? 0 : (uint32_t)access->count),
			 sizeof(*access) + (write ? 0 : (uint32_t)access->count), 0) ||
	    memcmp(conn->payload, access, sizeof(*access)))
		return -EBADMSG;
	if (!write)
		memcpy(buf, conn->payload + sizeof(*access), access->count);
	return 0;
}

int fake_dma(struct fake_server *server, quoll_iova_t iova, void *buf, size_t len, bool write)
{
	struct vuser_dma_access access = {.iova = iova, .count = len};
	struct vuser_out out = {.id = 0x4321,
				.command = write ? VUSER_DMA_WRITE : VUSER_DMA_READ,
				.head = &access,
				.head_bytes = sizeof(access),
				.data = buf,
				.data_bytes = write ? (uint32_t)len : 0};
	/* A connection of its own for the answer, so that a command that is being answered stays in conn. */
	struct vuser_conn conn;
	int rc;

	vuser_conn_init(&conn, dup(server->twin[0] >= 0 ? server->twin[0] : server->conn.fd));
	rc = vuser_send(&conn, &out, fd_socket_now_ns() + PATIENCE_NS);
	if (!rc)
		rc = vuser_recv(&conn, fd_socket_now_ns() + PATIENCE_NS);
	if (!rc)
		rc = dma_result(&conn, &access, buf, write);
	/* Only this number for it goes: vuser_conn_close() would shut the connection down. */
	close(conn.fd);
	free(conn.payload);
	return rc;
}
