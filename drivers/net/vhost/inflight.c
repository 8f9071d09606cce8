/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * inflight.c - where rings were when a back end died, in memory that the front end keeps for its successor.
 *
 * We give chains back in the order in which they came, before a call ends, so nothing is ever in flight; what a
 * successor has to know is the place, and for split rings the ring itself tells it (the used index). For packed rings
 * it is written down after each call; a call that was cut short left slots that are given back already, and how many
 * each chain takes is written down before. One that was cut short in the middle of a frame of several chains gave back
 * the last of them, and not the first: that is made up for. A front end that keeps nothing (QEMU's netdev) knows only
 * where a packed ring once began: then the flags in the ring itself tell.
 *
 * Source: QEMU, "Vhost-user Protocol", "Inflight I/O tracking". What is in there is the front end's word, and checked.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "inflight.h"
#include "ring.h"

/* Of one ring: whole cache lines. */
static size_t queue_bytes(bool packed, uint32_t size)
{
	size_t bytes = packed ? sizeof(struct vhost_inflight_packed) + size * sizeof(struct vhost_inflight_packed_desc)
			      : sizeof(struct vhost_inflight_split) + size * sizeof(struct vhost_inflight_split_desc);

	return (bytes + QUOLL_CACHE_LINE_BYTES - 1) / QUOLL_CACHE_LINE_BYTES * QUOLL_CACHE_LINE_BYTES;
}

static int check(const struct vhost_port *vp, const struct vhost_inflight *what)
{
	return !what->nr_queues || what->nr_queues > 2 * vp->nr_pairs || !what->queue_size ||
			       what->queue_size > VIRTQ_MAX_SIZE
		       ? -EINVAL
		       : 0;
}

/* Return: the fd, which is the caller's; -errno. */
int vhost_inflight_make(struct vhost_port *vp, struct vhost_inflight *what)
{
	int fd, rc = check(vp, what);

	if (rc)
		return rc;
	fd = memfd_create("quoll-vhost-inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	what->mmap_bytes = what->nr_queues * queue_bytes(vp->features & VIRTIO_F_RING_PACKED, what->queue_size);
	what->mmap_offset = 0;
	if (ftruncate(fd, (off_t)what->mmap_bytes) || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW)) {
		rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}

void vhost_inflight_drop(struct vhost_port *vp)
{
	/* A ring that has begun goes on without. */
	for (unsigned int i = 0; vp->vrings && i < 2 * vp->nr_pairs; i++)
		vp->vrings[i].ring.inflight_split = NULL;
	if (vp->inflight)
		munmap(vp->inflight, vp->inflight_bytes);
	vp->inflight = NULL;
}

int vhost_inflight_set(struct vhost_port *vp, const struct vhost_inflight *what, int fd)
{
	bool sealed = false;
	void *base;

	if (check(vp, what) || what->mmap_offset % 4096 || what->mmap_offset > INT64_MAX ||
	    what->mmap_bytes < what->nr_queues * queue_bytes(vp->features & VIRTIO_F_RING_PACKED, what->queue_size))
		return -EINVAL;
	/* It is the one that we made, or one like it. */
	if (what->mmap_bytes > SIZE_MAX / 2 ||
	    !vhost_file_page_bytes(fd, what->mmap_offset, what->mmap_bytes, &sealed) || !sealed)
		return -EINVAL;
	base = mmap(NULL, what->mmap_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)what->mmap_offset);
	if (base == MAP_FAILED)
		return -errno;
	vhost_inflight_drop(vp);
	vp->inflight = base;
	vp->inflight_bytes = what->mmap_bytes;
	vp->inflight_queues = what->nr_queues;
	vp->inflight_size = what->queue_size;
	vp->inflight_packed = vp->features & VIRTIO_F_RING_PACKED;
	return 0;
}

static void begin_split(struct vhost_ring *ring)
{
	ring->inflight_split->version = VHOST_INFLIGHT_VERSION;
	ring->inflight_split->nr_descs = (uint16_t)ring->size;
	ring->inflight_split->used_idx = ring->next;
}

static uint16_t flags_at(const struct vhost_ring *ring, uint32_t slot)
{
	return __atomic_load_n(&ring->packed[slot].flags, __ATOMIC_ACQUIRE);
}

/* Where the driver makes the next chain available: up to there slots are of its turn, the others of the one before. It
 * may go on meanwhile, from low slots to high ones, so we look from high ones to low ones.
 * Return: false: it began a new turn, or this is no ring that was used in order. */
static bool driver_place(const struct vhost_ring *ring, uint32_t *slot, bool *wrap)
{
	bool above = flags_at(ring, ring->size - 1) & VIRTQ_DESC_AVAIL;
	unsigned int nr_edges = 0;

	*slot = 0;
	*wrap = !above;
	for (uint32_t i = ring->size - 1; i; i--) {
		bool avail = flags_at(ring, i - 1) & VIRTQ_DESC_AVAIL;

		if (avail == above)
			continue;
		above = avail;
		*slot = i;
		*wrap = avail;
		nr_edges++;
	}
	return nr_edges <= 1;
}

static bool is_used(uint16_t flags)
{
	return !!(flags & VIRTQ_DESC_AVAIL) == !!(flags & VIRTQ_DESC_USED);
}

static uint16_t id_at(const struct vhost_ring *ring, uint32_t slot)
{
	return __atomic_load_n(&ring->packed[slot].id, __ATOMIC_RELAXED);
}

static uint32_t slot_before(const struct vhost_ring *ring, uint32_t slot)
{
	return slot ? slot - 1 : ring->size - 1;
}

/* Whether the slots from that one to @to are what is left of a chain: its first slot, before them, was given back, with
 * the id that the last one has (2.8.6). A chain of one slot that is still to be done ends there as well. */
static bool is_rest_of_chain(const struct vhost_ring *ring, uint32_t slot, uint32_t to)
{
	uint16_t flags = VIRTQ_DESC_NEXT, id = id_at(ring, slot_before(ring, slot));

	for (; slot != to && flags & VIRTQ_DESC_NEXT; slot = slot + 1 == ring->size ? 0 : slot + 1)
		flags = flags_at(ring, slot);
	return slot == to && !(flags & VIRTQ_DESC_NEXT) && id_at(ring, slot_before(ring, to)) == id;
}

/*
 * A packed ring: back from where the driver is to the last slot that was given back. Chains of several slots leave the
 * rest of theirs as they were; the place that we were told is right if it is behind one such rest.
 * Return: how many slots, from the place on at most, are still to be done.
 */
static uint32_t find_packed(struct vhost_ring *ring)
{
	unsigned int tries = 4;
	uint32_t slot, nr;
	bool wrap, told = false;

	while (!driver_place(ring, &slot, &wrap))
		if (!--tries)
			return ring->size;
	for (nr = 0; nr < ring->size; nr++) {
		uint32_t before = slot_before(ring, slot);
		uint16_t flags = flags_at(ring, before);

		if (is_used(flags))
			break;
		told |= slot == ring->next && wrap == ring->wrap;
		wrap ^= !slot;
		slot = before;
	}
	if (told && nr < ring->size && is_rest_of_chain(ring, slot, ring->next))
		return nr;
	ring->next = (uint16_t)slot;
	ring->wrap = wrap;
	return nr;
}

/* A chain is given back as it is, unless the driver has made another one there meanwhile. */
static void drop_chain(const struct vhost_ring *ring, uint32_t slot, uint32_t limit)
{
	uint16_t flags = flags_at(ring, slot), last = flags, id;
	uint32_t nr = 1;

	for (; last & VIRTQ_DESC_NEXT && nr < limit; nr++)
		last = flags_at(ring, (slot + nr) % ring->size);
	id = id_at(ring, (slot + nr - 1) % ring->size);
	if (id != id_at(ring, slot))
		__atomic_store_n(&ring->packed[slot].id, id, __ATOMIC_RELAXED);
	__atomic_compare_exchange_n(&ring->packed[slot].flags, &flags,
				    (flags & VIRTQ_DESC_WRITE) |
					    (flags & VIRTQ_DESC_AVAIL ? VIRTQ_DESC_AVAIL | VIRTQ_DESC_USED : 0),
				    false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}

/* Chains in these slots that were not given back; the first comes last, as they may be one frame (chain.c). */
static void drop_slots(const struct vhost_ring *ring, uint32_t first, uint32_t nr)
{
	for (uint32_t i = nr; i; i--) {
		uint32_t slot = (first + i - 1) % ring->size;
		bool is_rest = i > 1 && flags_at(ring, slot_before(ring, slot)) & VIRTQ_DESC_NEXT;

		if (!is_rest && !is_used(flags_at(ring, slot)))
			drop_chain(ring, slot, nr - i + 1);
	}
}

/*
 * While there is no back end QEMU drops what the guest sends, from the place on that it believes in. Frames before that
 * place are left: they are dropped as well, for the guest waits for them first. It waits in the same way for the first
 * buffers of a frame that we were giving back when we died, which are filled. What is taken for one and is but the rest
 * of a chain that was given back is no harm: a driver does not look there.
 */
static bool drop_left(const struct vhost_ring *ring, uint32_t nr_to_do)
{
	uint32_t nr_used = 0, nr = 0, slot = ring->next, limit = ring->size - nr_to_do;

	for (; nr_used < limit && is_used(flags_at(ring, slot_before(ring, slot))); nr_used++)
		slot = slot_before(ring, slot);
	for (; nr_used + nr < limit && !is_used(flags_at(ring, slot_before(ring, slot))); nr++)
		slot = slot_before(ring, slot);
	if (!nr_used)
		return false;
	drop_slots(ring, slot, nr);
	return nr > 0;
}

/* Of a ring that nobody else keeps the place of. */
static void begin_packed(struct vhost_vring *vring)
{
	uint32_t nr_to_do = find_packed(&vring->ring);

	if (drop_left(&vring->ring, nr_to_do) && vring->call_fd >= 0)
		server_signal(&vring->signal, vring->call_fd);
}

/* The place that was written down, and from there on over what was given back before we died: up to the last chain of
 * this turn that was. Those before it that were not are the first of its frame, and are given back now. */
static void resume_packed(struct vhost_ring *ring)
{
	struct vhost_inflight_packed *in = ring->inflight_packed;
	uint32_t first = __atomic_load_n(&in->used_idx, __ATOMIC_RELAXED), slot = first, hole = ring->size, nr = 0, num;
	bool wrap = __atomic_load_n(&in->used_wrap, __ATOMIC_RELAXED) & 1;

	if (first >= ring->size)
		return;
	ring->next = (uint16_t)first;
	ring->wrap = wrap;
	for (uint32_t seen = 0; seen < ring->size; seen += num) {
		uint16_t flags = flags_at(ring, slot);
		bool given = !!(flags & VIRTQ_DESC_USED) == wrap && !!(flags & VIRTQ_DESC_AVAIL) == wrap;

		num = __atomic_load_n(&in->descs[slot].num, __ATOMIC_RELAXED);
		if (!(in->descs[slot].inflight & 1) || !num || num > ring->size - seen)
			break;
		vhost_packed_step(ring->size, &slot, &wrap, num);
		if (!given) {
			hole = hole < seen ? hole : seen;
			continue;
		}
		nr = seen + num;
		ring->next = (uint16_t)slot;
		ring->wrap = wrap;
	}
	if (hole < nr)
		drop_slots(ring, first + hole, nr - hole);
}

void vhost_inflight_begin(struct vhost_port *vp, unsigned int idx, struct vhost_ring *ring)
{
	struct vhost_inflight_packed *in;

	ring->inflight_split = NULL;
	if (!vp->inflight || idx >= vp->inflight_queues || ring->size > vp->inflight_size ||
	    vp->inflight_packed != ring->is_packed) {
		if (ring->is_packed)
			begin_packed(&vp->vrings[idx]);
		return;
	}
	in = (void *)((uint8_t *)vp->inflight + idx * queue_bytes(ring->is_packed, vp->inflight_size));
	ring->inflight_packed = in;
	if (!ring->is_packed) {
		begin_split(ring);
		return;
	}
	if (in->version == VHOST_INFLIGHT_VERSION && in->nr_descs == ring->size)
		resume_packed(ring);
	in->version = VHOST_INFLIGHT_VERSION;
	in->nr_descs = (uint16_t)ring->size;
	vhost_inflight_packed_after(ring);
}

void vhost_inflight_end(struct vhost_ring *ring)
{
	if (ring->inflight_packed && ring->is_packed)
		ring->inflight_packed->version = 0;
	ring->inflight_packed = NULL;
}

void vhost_inflight_packed_before(const struct vhost_ring *ring)
{
	struct vhost_inflight_packed *in = ring->inflight_packed;
	uint32_t slot = ring->next;
	bool wrap = ring->wrap;

	for (uint32_t i = 0; i < ring->nr_done; i++) {
		in->descs[slot].num = ring->done[i].slots;
		in->descs[slot].inflight = 1;
		vhost_packed_step(ring->size, &slot, &wrap, ring->done[i].slots);
	}
	/* Before the ring says so. */
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

/* One store for all, as we may die between two. */
void vhost_inflight_packed_after(const struct vhost_ring *ring)
{
	uint64_t wrap = ring->wrap, next = ring->next;
	uint64_t *place = (uint64_t *)(void *)((uint8_t *)ring->inflight_packed +
					       offsetof(struct vhost_inflight_packed, used_idx));

	__atomic_store_n(place, next | next << 16 | wrap << 32 | wrap << 40, __ATOMIC_RELEASE);
}
