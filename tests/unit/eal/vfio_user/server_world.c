/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * server_world.c - see server_world.h.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server_world.h"

static void must(bool ok)
{
	if (!ok)
		abort();
}

static int model_connect(void *arg)
{
	struct server_world *w = arg;

	w->nr_connects++;
	return w->connect_rc;
}

static int model_busy(struct server_world *w)
{
	if (!w->busy)
		return 0;
	w->busy--;
	return -EAGAIN;
}

static int model_disconnect(void *arg)
{
	struct server_world *w = arg;

	if (model_busy(w))
		return -EAGAIN;
	w->nr_disconnects++;
	w->nr_maps = 0;
	return 0;
}

static uint8_t *model_at(struct server_world *w, unsigned int idx, uint64_t offset)
{
	return (idx == QUOLL_PCI_CONFIG ? w->config : w->bar) + offset;
}

static int model_read(void *arg, unsigned int idx, uint64_t offset, void *buf, size_t len)
{
	struct server_world *w = arg;

	w->nr_reads++;
	if (w->access_rc)
		return w->access_rc;
	memcpy(buf, model_at(w, idx, offset), len);
	if (w->on_read)
		w->on_read(w);
	return 0;
}

static int model_write(void *arg, unsigned int idx, uint64_t offset, const void *buf, size_t len)
{
	struct server_world *w = arg;

	if (w->nr_writes >= w->busy_writes && model_busy(w))
		return -EAGAIN;
	w->nr_writes++;
	if (w->access_rc)
		return w->access_rc;
	memcpy(model_at(w, idx, offset), buf, len);
	if (w->on_write)
		w->on_write(w);
	return 0;
}

static int model_map(void *arg, const struct quoll_server_dma *dma)
{
	struct server_world *w = arg;

	if (w->map_rc)
		return w->map_rc;
	must(w->nr_maps < MODEL_MAPS);
	w->maps[w->nr_maps++] = *dma;
	return 0;
}

static int model_unmap(void *arg, const struct quoll_server_dma *dma)
{
	struct server_world *w = arg;
	unsigned int i = 0;

	if (model_busy(w))
		return -EAGAIN;
	while (i < w->nr_maps && memcmp(&w->maps[i], dma, sizeof(*dma)))
		i++;
	must(i < w->nr_maps); /* the same that was mapped */
	w->maps[i] = w->maps[--w->nr_maps];
	return 0;
}

static int model_reset(void *arg)
{
	struct server_world *w = arg;

	if (model_busy(w))
		return -EAGAIN;
	w->nr_resets++;
	return 0;
}

int world_memfd(uint64_t bytes)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	must(fd >= 0 && !ftruncate(fd, (off_t)bytes) && !fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
	return fd;
}

static void model_regions(struct quoll_server_device *device)
{
	const unsigned int rw = QUOLL_REGION_READ | QUOLL_REGION_WRITE;

	device->nr_regions = 9;
	device->regions[0] = (struct quoll_server_region){
		.size_bytes = MODEL_BAR_BYTES,
		.flags = rw | QUOLL_REGION_MMAP,
		.fd = world_memfd(MODEL_BAR_BYTES),
		.nr_areas = 1,
		.areas = {{.offset = 0x1000, .size_bytes = 0x1000}},
	};
	device->regions[2] = (struct quoll_server_region){.size_bytes = 64, .flags = QUOLL_REGION_READ, .fd = -1};
	device->regions[4] = (struct quoll_server_region){.size_bytes = 64, .flags = QUOLL_REGION_WRITE, .fd = -1};
	device->regions[QUOLL_PCI_CONFIG] = (struct quoll_server_region){.size_bytes = 256, .flags = rw, .fd = -1};
}

void world_init(struct server_world *w)
{
	static const uint8_t config[] = {0x36, 0x1b, 0x10, 0, 0, 0, 0, 0, 0, 2, 8, 1};

	memset(w, 0, sizeof(*w));
	w->fds_before = open_fds();
	w->client.fd = -1;
	strcpy(w->dir, "/tmp/quoll-server-XXXXXX");
	must(mkdtemp(w->dir) != NULL);
	snprintf(w->path, sizeof(w->path), "%s/sock", w->dir);
	memcpy(w->config, config, sizeof(config));
	w->ops = (struct quoll_server_ops){
		.connect = model_connect,
		.disconnect = model_disconnect,
		.region_read = model_read,
		.region_write = model_write,
		.dma_map = model_map,
		.dma_unmap = model_unmap,
		.reset = model_reset,
	};
	w->device = (struct quoll_server_device){.bus = QUOLL_BUS_PCI, .nr_irqs = 5, .ops = &w->ops, .arg = w};
	w->device.irqs[QUOLL_PCI_IRQ_INTX] = (struct quoll_irq_info){
		.nr_vectors = 1, .flags = QUOLL_IRQ_EVENTFD | QUOLL_IRQ_MASKABLE | QUOLL_IRQ_AUTOMASKED};
	w->device.irqs[QUOLL_PCI_IRQ_MSIX] =
		(struct quoll_irq_info){.nr_vectors = MODEL_VECTORS, .flags = QUOLL_IRQ_EVENTFD | QUOLL_IRQ_NORESIZE};
	model_regions(&w->device);
	w->bar = mmap(NULL, MODEL_BAR_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, w->device.regions[0].fd, 0);
	must(w->bar != MAP_FAILED);
}

void world_listen(struct server_world *w)
{
	struct quoll_error err;

	CU_ASSERT_EQUAL_FATAL(quoll_server_create(NULL, w->path, &w->device, &w->server, &err), 0);
}

void world_close(struct server_world *w)
{
	w->busy = 0;
	vuser_conn_close(&w->client);
	quoll_server_destroy(w->server);
	CU_ASSERT_EQUAL(w->nr_connects - (w->connect_rc != 0), w->nr_disconnects);
	munmap(w->bar, MODEL_BAR_BYTES);
	close(w->device.regions[0].fd);
	CU_ASSERT_EQUAL(rmdir(w->dir), 0);
	CU_ASSERT_TRUE(open_fds_become(w->fds_before));
}

int world_connect(const struct server_world *w)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(sa.sun_path, w->path);
	must(fd >= 0);
	if (!connect(fd, (struct sockaddr *)&sa, sizeof(sa)))
		return fd;
	close(fd);
	return -1;
}

void world_send(struct server_world *w, uint16_t command, const void *payload, size_t bytes, const int *fds,
		unsigned int nr_fds)
{
	struct vuser_out out = {.id = ++w->next_id,
				.command = command,
				.head = payload,
				.head_bytes = (uint32_t)bytes,
				.fds = fds,
				.nr_fds = nr_fds};

	vuser_send(&w->client, &out, fd_socket_now_ns() + WORLD_PATIENCE_NS);
}

int world_answer(struct server_world *w)
{
	const struct vuser_header *header = &w->client.header;
	uint64_t until = fd_socket_now_ns() + WORLD_PATIENCE_NS;
	int rc;

	while (!(rc = vuser_recv_step(&w->client))) {
		quoll_server_poll(w->server);
		must(fd_socket_now_ns() < until);
	}
	if (rc < 0)
		return rc;
	must(!vuser_is_command(header) && header->id == w->next_id);
	if (!(header->flags & VUSER_ERROR))
		return (int)w->client.payload_bytes;
	CU_ASSERT_EQUAL(w->client.payload_bytes, 0);
	CU_ASSERT_TRUE(header->error > 0 && header->error < 4096);
	return -(int)header->error;
}

int world_ask_fds(struct server_world *w, uint16_t command, const void *payload, size_t bytes, const int *fds,
		  unsigned int nr_fds)
{
	world_send(w, command, payload, bytes, fds, nr_fds);
	return world_answer(w);
}

int world_ask(struct server_world *w, uint16_t command, const void *payload, size_t bytes)
{
	return world_ask_fds(w, command, payload, bytes, NULL, 0);
}

int world_hello_with(struct server_world *w, const void *version, size_t bytes)
{
	int fd = world_connect(w);

	must(fd >= 0);
	vuser_conn_close(&w->client);
	vuser_conn_init(&w->client, fd);
	return world_ask(w, VUSER_VERSION, version, bytes);
}

int world_hello(struct server_world *w)
{
	static const char version[] = "\0\0\2\0{\"capabilities\":{\"max_msg_fds\":8}}";

	return world_hello_with(w, version, sizeof(version));
}

void world_until(struct server_world *w, bool (*done)(const struct server_world *w))
{
	uint64_t until = fd_socket_now_ns() + WORLD_PATIENCE_NS;

	while (!done(w)) {
		quoll_server_poll(w->server);
		must(fd_socket_now_ns() < until);
	}
}

void world_hang_up(struct server_world *w)
{
	vuser_conn_close(&w->client);
	world_until(w, world_is_free);
}

int world_map(struct server_world *w, uint64_t iova, uint64_t len, uint32_t flags, int fd, uint64_t offset)
{
	struct vuser_dma_map map = {
		.argsz = sizeof(map), .flags = flags, .offset = offset, .iova = iova, .size_bytes = len};

	return world_ask_fds(w, VUSER_DMA_MAP, &map, sizeof(map), &fd, fd >= 0);
}

int world_unmap(struct server_world *w, uint64_t iova, uint64_t len)
{
	struct vuser_dma_unmap unmap = {.argsz = sizeof(unmap), .iova = iova, .size_bytes = len};

	return world_ask(w, VUSER_DMA_UNMAP, &unmap, sizeof(unmap));
}
