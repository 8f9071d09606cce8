/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * server_maps.c - the memory that a client offers: DMA_MAP, DMA_UNMAP, the table by IOVA.
 *
 * A file is mapped only if it is memory that cannot get shorter (F_SEAL_SHRINK): reading behind the end of a file is
 * SIGBUS, and the client could cut it at any time. Unless the program takes care of that; then still only memory, as
 * another file system may let us wait for a page as long as it likes. What cannot be mapped is offered all the same and
 * reached by message: clients map things that no device will touch (QEMU: ROMs, BARs of other devices), and must not
 * fail because of it.
 *
 * So is what would be too much. Mappings and addresses are few (65,530 and 128 TiB a process), a sparse file of many
 * TiB costs a client nothing, and when they are used up mmap() fails everywhere in the process. A client has 8,192
 * mappings (a file a hugepage of 2 MiB, as DPDK's are, for 16 GiB; QEMU needs some dozens, and with an IOMMU for its
 * guest thousands) and 16 TiB (the largest machines have less), all together half of what there is. The protocol has
 * no way to say that a client does not answer DMA messages, but for the one that asks for mmap() by name.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>
#include <linux/vfio.h>

#include "closer.h"
#include "server_internal.h"

/* libvfio-user's extension: how the server is to reach the memory. Neither: by mmap() if there is a file. */
#define DMA_BY_MMAP (1u << 2)
#define DMA_BY_FILE_IO (1u << 3)

/* Of all servers in the process. */
static unsigned int process_mapped;
static uint64_t process_mapped_bytes;

void server_maps_init(struct quoll_server *server)
{
	struct quoll_server_device *device = &server->device;
	char path[256];
	unsigned int nr;
	FILE *file;

	if (!device->max_mapped)
		device->max_mapped = QUOLL_SERVER_MAPPED;
	if (!device->max_mapped_bytes)
		device->max_mapped_bytes = QUOLL_SERVER_MAPPED_BYTES;
	server->process_maps = SERVER_PROCESS_MAPS / 2;
	snprintf(path, sizeof(path), "%s/sys/vm/max_map_count", quoll_env_proc(&server->env));
	file = fopen(path, "re");
	if (!file)
		return;
	if (fscanf(file, "%u", &nr) == 1)
		server->process_maps = nr / 2;
	fclose(file);
}

static void mapped_sub(struct quoll_server *server, uint64_t bytes)
{
	server->nr_mapped--;
	server->mapped_bytes -= bytes;
	__atomic_sub_fetch(&process_mapped, 1, __ATOMIC_RELAXED);
	__atomic_sub_fetch(&process_mapped_bytes, bytes, __ATOMIC_RELAXED);
}

/* Return: false: it would be too much. */
static bool mapped_add(struct quoll_server *server, uint64_t bytes)
{
	unsigned int nr;
	uint64_t all_bytes;

	/* Its own limits first: what one client may not have takes no room from the others, not even for a moment. */
	if (server->nr_mapped >= server->device.max_mapped || bytes > server->device.max_mapped_bytes ||
	    server->mapped_bytes > server->device.max_mapped_bytes - bytes)
		return false;
	nr = __atomic_add_fetch(&process_mapped, 1, __ATOMIC_RELAXED);
	all_bytes = __atomic_add_fetch(&process_mapped_bytes, bytes, __ATOMIC_RELAXED);
	server->nr_mapped++;
	server->mapped_bytes += bytes;
	if (nr <= server->process_maps && all_bytes <= SERVER_PROCESS_BYTES)
		return true;
	mapped_sub(server, bytes);
	return false;
}

unsigned int server_map_find(const struct quoll_server *server, uint64_t iova)
{
	unsigned int first = 0, last = server->nr_maps;

	while (first < last) {
		unsigned int mid = first + (last - first) / 2;
		const struct quoll_server_dma *dma = &server->maps[mid].dma;

		if (dma->iova + dma->len <= iova)
			first = mid + 1;
		else
			last = mid;
	}
	return first;
}

static int maps_reserve(struct quoll_server *server)
{
	unsigned int room = server->maps_room ? server->maps_room * 2 : 16;
	struct server_map *maps;

	if (server->nr_maps >= SERVER_DMA_MAPS)
		return -ENOSPC;
	if (server->nr_maps < server->maps_room)
		return 0;
	maps = realloc(server->maps, room * sizeof(*maps));
	if (!maps)
		return -ENOMEM;
	server->maps = maps;
	server->maps_room = room;
	return 0;
}

/* Return: 0, if the numbers make sense. */
static int map_check(const struct vuser_dma_map *map)
{
	const uint32_t known = VUSER_DMA_READABLE | VUSER_DMA_WRITABLE | DMA_BY_MMAP | DMA_BY_FILE_IO;

	if (map->argsz < sizeof(*map) || map->flags & ~known ||
	    !(map->flags & (VUSER_DMA_READABLE | VUSER_DMA_WRITABLE)))
		return -EINVAL;
	if (!map->size_bytes || map->size_bytes > UINT64_MAX - map->iova)
		return -EINVAL;
	if ((map->iova | map->size_bytes | map->offset) % SERVER_PAGE_BYTES)
		return -EINVAL;
	return 0;
}

/*
 * Whether the file has these bytes and keeps them. Return: the size of its pages; 0: it is not to be mapped. Seals are
 * asked for first: only memory has any, also where none is set, and other file systems (FUSE) may let fstat() wait.
 */
static uint64_t file_page_bytes(int fd, uint64_t offset, uint64_t len, bool unsealed)
{
	struct statfs fs;
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0 || (!unsealed && !(seals & F_SEAL_SHRINK)))
		return 0;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || fstatfs(fd, &fs))
		return 0;
	if (offset > (uint64_t)st.st_size || len > (uint64_t)st.st_size - offset)
		return 0;
	return fs.f_type == HUGETLBFS_MAGIC ? (uint64_t)fs.f_bsize : SERVER_PAGE_BYTES;
}

/*
 * Map it, if that can be done safely. Of huge pages the kernel maps whole ones only, so what is mapped begins and ends
 * at their boundaries; the file, which consists of whole ones, has been found long enough. Return: 0, mapped or not;
 * -ENOSPC: it would be too much.
 */
static int map_file(struct quoll_server *server, struct server_map *map, int fd, uint64_t offset)
{
	uint64_t page = fd < 0 ? 0 : file_page_bytes(fd, offset, map->dma.len, server->device.unsealed);
	uint64_t lead;
	int prot;

	if (!page)
		return 0;
	lead = offset % page;
	if (map->dma.len > INT64_MAX - 2 * page || offset > INT64_MAX)
		return 0;
	map->base_bytes = (size_t)((lead + map->dma.len + page - 1) / page * page);
	if (!mapped_add(server, map->base_bytes))
		return -ENOSPC;
	prot = (map->dma.prot & QUOLL_DMA_READ ? PROT_READ : 0) | (map->dma.prot & QUOLL_DMA_WRITE ? PROT_WRITE : 0);
	map->base = mmap(NULL, map->base_bytes, prot, MAP_SHARED, fd, (off_t)(offset - lead));
	if (map->base == MAP_FAILED) {
		map->base = NULL;
		mapped_sub(server, map->base_bytes);
		return 0;
	}
	map->dma.va = (uint8_t *)map->base + lead;
	return 0;
}

static void unmap_file(struct quoll_server *server, struct server_map *map)
{
	if (!map->base)
		return;
	munmap(map->base, map->base_bytes);
	map->base = NULL;
	mapped_sub(server, map->base_bytes);
}

/*
 * In a signal handler: no lock, no allocation, no log. All of the mapping is replaced: page by page a client that lets
 * every second one go would have us split it until the kernel allows no more mappings.
 */
bool quoll_server_bus_error(struct quoll_server *server, void *va)
{
	if (!pthread_equal(__atomic_load_n(&server->thread, __ATOMIC_RELAXED), pthread_self()))
		return false;
	for (unsigned int i = 0; i < server->nr_maps; i++) {
		const struct server_map *map = &server->maps[i];
		uintptr_t offset = (uintptr_t)va - (uintptr_t)map->base;

		if (!map->base || offset >= map->base_bytes)
			continue;
		if (mmap(map->base, map->base_bytes, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
			return false;
		__atomic_store_n(&server->bus_error, true, __ATOMIC_RELAXED);
		return true;
	}
	return false;
}

/* Once a session: clients offer hundreds. */
static void tell_not_mapped(struct quoll_server *server, const struct vuser_dma_map *map, bool too_much)
{
	if (server->told_not_mapped)
		return;
	server->told_not_mapped = true;
	quoll_log(&server->env, QUOLL_LOG_INFO, "vfio-user",
		  "%s: memory at 0x%" PRIx64 " is not mapped, but reached by message: %s",
		  server->listen.address.sun_path, map->iova,
		  too_much ? "more is mapped already than one client, or all, may have"
			   : "its file is not sealed against shrinking, too short, or not for mapping");
}

static int map_add(struct quoll_server *server, const struct vuser_dma_map *map, int fd)
{
	const struct quoll_server_ops *ops = server->device.ops;
	struct server_map new = {.dma = {.iova = map->iova, .len = map->size_bytes}};
	unsigned int at = server_map_find(server, map->iova);
	uint32_t how = map->flags & (DMA_BY_MMAP | DMA_BY_FILE_IO);
	int rc;

	if (at < server->nr_maps && server->maps[at].dma.iova < map->iova + map->size_bytes)
		return -EEXIST;
	rc = maps_reserve(server);
	if (rc)
		return rc;
	new.dma.prot = (map->flags & VUSER_DMA_READABLE ? QUOLL_DMA_READ : 0) |
		       (map->flags & VUSER_DMA_WRITABLE ? QUOLL_DMA_WRITE : 0);
	if (how != DMA_BY_FILE_IO)
		rc = map_file(server, &new, fd, map->offset);
	if (rc && how == DMA_BY_MMAP)
		return rc;
	if (fd >= 0 && !new.dma.va)
		tell_not_mapped(server, map, rc == -ENOSPC);
	rc = ops->dma_map ? ops->dma_map(server->device.arg, &new.dma) : 0;
	if (rc) {
		unmap_file(server, &new);
		return rc == -EAGAIN ? -EBUSY : rc;
	}
	memmove(server->maps + at + 1, server->maps + at, (server->nr_maps - at) * sizeof(new));
	server->maps[at] = new;
	server->nr_maps++;
	return 0;
}

int server_dma_map(struct quoll_server *server)
{
	struct vuser_conn *conn = &server->conn;
	struct vuser_dma_map map;
	int fd, rc;

	if (vuser_expect(conn, sizeof(map), sizeof(map), 1))
		return -EINVAL;
	memcpy(&map, conn->payload, sizeof(map));
	rc = map_check(&map);
	if (rc)
		return rc;
	/* Not longer than this: what is mapped needs no file, and clients may offer more than a process can have open.
	 */
	fd = vuser_take_fd(conn, 0);
	rc = map_add(server, &map, fd);
	if (fd >= 0)
		closer_close(fd, server);
	return rc;
}

static int map_remove(struct quoll_server *server, unsigned int at)
{
	const struct quoll_server_ops *ops = server->device.ops;
	int rc = ops->dma_unmap ? ops->dma_unmap(server->device.arg, &server->maps[at].dma) : 0;

	if (rc)
		return rc;
	unmap_file(server, &server->maps[at]);
	server->nr_maps--;
	memmove(server->maps + at, server->maps + at + 1, (server->nr_maps - at) * sizeof(*server->maps));
	return 0;
}

/* Those that the device has let go of are gone, also if it is not done with the next. */
static int remove_all(struct quoll_server *server)
{
	int rc = 0;

	while (!rc && server->nr_maps)
		rc = map_remove(server, server->nr_maps - 1);
	return rc;
}

int server_dma_unmap(struct quoll_server *server, struct vuser_out *out)
{
	struct vuser_conn *conn = &server->conn;
	struct vuser_dma_unmap unmap;
	unsigned int at;
	int rc;

	/* SPDK's client sends the file along, as if it were to be mapped. */
	if (vuser_expect(conn, sizeof(unmap), sizeof(unmap), 1))
		return -EINVAL;
	memcpy(&unmap, conn->payload, sizeof(unmap));
	if (unmap.argsz < sizeof(unmap))
		return -EINVAL;
	if (unmap.flags == VFIO_DMA_UNMAP_FLAG_ALL) {
		/* Not in the specification: QEMU sends it when it resets a machine, with nothing in the other fields.
		 */
		if (unmap.iova || unmap.size_bytes)
			return -EINVAL;
		rc = remove_all(server);
	} else if (unmap.flags) {
		return -ENOTSUP; /* pages that were written are not counted here */
	} else {
		at = server_map_find(server, unmap.iova);
		if (at == server->nr_maps || server->maps[at].dma.iova != unmap.iova ||
		    server->maps[at].dma.len != unmap.size_bytes)
			return -ENOENT;
		rc = map_remove(server, at);
	}
	if (rc)
		return rc;
	unmap.argsz = sizeof(unmap);
	memcpy(server->head, &unmap, sizeof(unmap));
	out->head = server->head;
	out->head_bytes = sizeof(unmap);
	return 0;
}

void server_maps_drop(struct quoll_server *server)
{
	for (unsigned int i = 0; i < server->nr_maps; i++)
		unmap_file(server, &server->maps[i]);
	free(server->maps);
	server->maps = NULL;
	server->nr_maps = server->maps_room = 0;
	server->bus_error = server->told_not_mapped = false;
}
