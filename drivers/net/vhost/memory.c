/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * memory.c - the guest's memory: areas that a front end offers, mapped and kept by their address.
 *
 * Reading behind the end of a file is SIGBUS, and a front end can cut its file at any time unless it is sealed
 * (F_SEAL_SHRINK). What is not sealed is mapped only if the program has said that its handler of SIGBUS asks
 * quoll_net_bus_error(): then the area becomes empty memory of ours, and the session ends. Files of other file systems
 * than those of memory are refused: a page of theirs may take as long as they like.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <linux/magic.h>

#include "vhost.h"

#define PAGE_BYTES 4096u

/* Seals are asked for first: only memory has any, and other file systems (FUSE) may let fstat() wait. */
uint64_t vhost_file_page_bytes(int fd, uint64_t offset, uint64_t len, bool *sealed)
{
	struct statfs fs;
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0)
		return 0;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || fstatfs(fd, &fs))
		return 0;
	if (offset > (uint64_t)st.st_size || len > (uint64_t)st.st_size - offset)
		return 0;
	/* A hole in a file of huge pages gives its page back, and when it is touched there may be none. */
	*sealed = seals & F_SEAL_SHRINK && fs.f_type != HUGETLBFS_MAGIC;
	return fs.f_type == HUGETLBFS_MAGIC ? (uint64_t)fs.f_bsize : PAGE_BYTES;
}

/* Of huge pages the kernel maps whole ones only; the file consists of whole ones, and has been found long enough. */
static int map_file(struct vhost_port *vp, struct vhost_area *area, uint64_t offset, int fd)
{
	bool sealed = false;
	uint64_t page = vhost_file_page_bytes(fd, offset, area->bytes, &sealed), lead;

	if (!page)
		return -EINVAL;
	lead = offset % page;
	if (area->bytes > SIZE_MAX / 2 || offset > INT64_MAX)
		return -EINVAL;
	area->base_bytes = (size_t)((lead + area->bytes + page - 1) / page * page);
	area->base = mmap(NULL, area->base_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)(offset - lead));
	if (area->base == MAP_FAILED)
		return -errno;
	area->va = (uint8_t *)area->base + lead;
	area->guard = sealed ? -1 : net_guard_add(&vp->port, area->base, area->base_bytes);
	if (!sealed && area->guard < 0) {
		munmap(area->base, area->base_bytes);
		return area->guard;
	}
	return 0;
}

static void unmap(struct vhost_port *vp, struct vhost_area *area)
{
	if (area->guard >= 0)
		net_guard_remove(&vp->port, area->guard);
	munmap(area->base, area->base_bytes);
}

/* The first area that ends above that address. */
static unsigned int find(const struct vhost_memory *memory, uint64_t guest)
{
	unsigned int first = 0, last = memory->nr;

	while (first < last) {
		unsigned int mid = first + (last - first) / 2;

		if (memory->areas[mid].guest + memory->areas[mid].bytes <= guest)
			first = mid + 1;
		else
			last = mid;
	}
	return first;
}

const struct vhost_area *vhost_memory_find(const struct vhost_memory *memory, uint64_t guest)
{
	unsigned int at = find(memory, guest);

	return at < memory->nr && guest >= memory->areas[at].guest ? &memory->areas[at] : NULL;
}

void *vhost_memory_user(const struct vhost_memory *memory, uint64_t user, uint64_t bytes)
{
	for (unsigned int i = 0; i < memory->nr; i++) {
		const struct vhost_area *area = &memory->areas[i];
		uint64_t offset = user - area->user;

		if (offset < area->bytes && bytes <= area->bytes - offset)
			return area->va + offset;
	}
	return NULL;
}

static bool overlaps(const struct vhost_memory *memory, const struct vhost_region *region)
{
	for (unsigned int i = 0; i < memory->nr; i++) {
		const struct vhost_area *area = &memory->areas[i];

		if ((region->guest_addr < area->guest + area->bytes &&
		     area->guest < region->guest_addr + region->bytes) ||
		    (region->user_addr < area->user + area->bytes && area->user < region->user_addr + region->bytes))
			return true;
	}
	return false;
}

int vhost_memory_add(struct vhost_port *vp, const struct vhost_region *region, int fd)
{
	struct vhost_memory *memory = &vp->memory;
	struct vhost_area area = {.guest = region->guest_addr, .bytes = region->bytes, .user = region->user_addr};
	unsigned int at;
	int rc;

	if (memory->nr == VHOST_MAX_SLOTS)
		return -ENOSPC;
	if (!region->bytes || region->bytes > UINT64_MAX - region->guest_addr ||
	    region->bytes > UINT64_MAX - region->user_addr || overlaps(memory, region))
		return -EINVAL;
	/* A mapping of the front end's lies in its page where the file says; what is aligned there is so here, too. */
	if ((region->user_addr - region->mmap_offset) % PAGE_BYTES)
		return -EINVAL;
	rc = map_file(vp, &area, region->mmap_offset, fd);
	if (rc)
		return rc;
	at = find(memory, area.guest);
	memmove(memory->areas + at + 1, memory->areas + at, (memory->nr - at) * sizeof(area));
	memory->areas[at] = area;
	memory->nr++;
	return 0;
}

int vhost_memory_remove(struct vhost_port *vp, const struct vhost_region *region)
{
	struct vhost_memory *memory = &vp->memory;
	unsigned int at = find(memory, region->guest_addr);
	struct vhost_area *area = &memory->areas[at];

	if (at == memory->nr || area->guest != region->guest_addr || area->bytes != region->bytes ||
	    area->user != region->user_addr)
		return -ENOENT;
	unmap(vp, area);
	memory->nr--;
	memmove(area, area + 1, (memory->nr - at) * sizeof(*area));
	return 0;
}

void vhost_memory_drop(struct vhost_port *vp)
{
	for (unsigned int i = 0; i < vp->memory.nr; i++)
		unmap(vp, &vp->memory.areas[i]);
	vp->memory.nr = 0;
}
