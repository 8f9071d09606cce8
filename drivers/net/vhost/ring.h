/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ring.h - what receive and transmit do with a ring: enter and leave it, find the guest's memory, walk chains, give
 * them back, call.
 *
 * The guest may rewrite everything at any time, so a descriptor is copied once, and what follows uses the copy.
 * Source: Virtual I/O Device 1.3, 2.7 and 2.8, from the device's side.
 */
#ifndef VHOST_RING_H
#define VHOST_RING_H

#include <string.h>

#include "vhost.h"

#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

/* Of one chain, or of all the chains that a frame is written to. Each descriptor is one, or more where it crosses
 * areas. */
#define VHOST_MAX_PIECES 256u

struct vhost_piece {
	uint8_t *va;
	uint32_t bytes;
};

/**
 * struct vhost_chain - a chain of descriptors, or several, as memory of ours
 * @bytes: in all
 * @id:    packed: of the last chain
 * @slots: packed: that the last chain takes; 0: it has no end
 */
struct vhost_chain {
	unsigned int nr;
	uint16_t id;
	uint16_t slots;
	uint64_t bytes;
	struct vhost_piece pieces[VHOST_MAX_PIECES];
};

/* chain.c: a chain from its first descriptor on, added to @chain, all of it for the device to write, or to read.
 * Return: 0; -EPROTO: it leaves the memory, loops, is of the wrong kind or has too many pieces. */
int vhost_walk_split(struct vhost_ring *ring, uint16_t head, bool write, struct vhost_chain *chain);
int vhost_walk_packed(struct vhost_ring *ring, uint32_t slot, bool write, struct vhost_chain *chain);
uint8_t *vhost_at_slow(struct vhost_ring *ring, uint64_t guest, uint32_t bytes);
/* What is in ring->done goes back to the guest; chains were for the device to write if @written. */
void vhost_give_back(struct vhost_vring *vring, struct vhost_ring *ring, bool written);

/*
 * Hand-over, see vring.c. Control empties @active, sees to it that this is known to all CPUs (membarrier), and waits
 * until @busy is 0. We set @busy, then look at @active: one of the two sees the other.
 */
static inline struct vhost_ring *vhost_enter(struct vhost_vring *vring)
{
	struct vhost_ring *ring;

	__atomic_store_n(&vring->busy, 1, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (QUOLL_UNLIKELY(vring->fenced))
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
	/* Pairs with the release in vhost_vrings_publish(): the ring is as it shall be. */
	ring = __atomic_load_n(&vring->active, __ATOMIC_ACQUIRE);
	if (QUOLL_UNLIKELY(!ring || ring->broken)) {
		__atomic_store_n(&vring->busy, 0, __ATOMIC_RELEASE);
		return NULL;
	}
	return ring;
}

static inline void vhost_leave(struct vhost_vring *vring)
{
	/* Pairs with the acquire in vhost_vrings_park(). */
	__atomic_store_n(&vring->busy, 0, __ATOMIC_RELEASE);
}

/* All of it in one area, or NULL: then it may still be spread over several. */
static inline uint8_t *vhost_at(struct vhost_ring *ring, uint64_t guest, uint32_t bytes)
{
	const struct vhost_area *area = ring->area;
	uint64_t offset = guest - area->guest;

	if (QUOLL_LIKELY(offset < area->bytes && bytes <= area->bytes - offset))
		return area->va + offset;
	return vhost_at_slow(ring, guest, bytes);
}

/*
 * ThreadSanitizer does not see what goes through the guest: what one thread has given back to it happened before what
 * another one then gets from it, on another ring. Nothing in other builds.
 */
#ifdef __SANITIZE_THREAD__
static inline void vhost_guest_gave(const struct vhost_ring *ring)
{
	__tsan_acquire((void *)(uintptr_t)ring->memory);
}

static inline void vhost_guest_gets(const struct vhost_ring *ring)
{
	__tsan_release((void *)(uintptr_t)ring->memory);
}
#else
static inline void vhost_guest_gave(const struct vhost_ring *ring)
{
	(void)ring;
}

static inline void vhost_guest_gets(const struct vhost_ring *ring)
{
	(void)ring;
}
#endif

/* What was copied is not read again, whatever the compiler thinks of it. */
static inline void vhost_copied(void)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* Frames are 64 bytes or some hundreds: short ones without a call, the shortest without a loop. */
static inline void vhost_copy(uint8_t *to, const uint8_t *from, uint32_t n)
{
	if (QUOLL_UNLIKELY(n < 32 || n > 256)) {
		memcpy(to, from, n);
		return;
	}
	memcpy(to, from, 16);
	memcpy(to + 16, from + 16, 16);
	for (uint32_t i = 32; i + 32 < n; i += 16)
		memcpy(to + i, from + i, 16);
	memcpy(to + n - 32, from + n - 32, 16);
	memcpy(to + n - 16, from + n - 16, 16);
}

/* What the guest wrote makes no sense: nothing goes through any more, and the next check ends the session. */
static inline void vhost_break(struct vhost_ring *ring)
{
	__atomic_store_n(&ring->broken, true, __ATOMIC_RELAXED);
}

/* Split: chains that the guest has made available; beyond the size of the ring it is broken. */
static inline uint32_t vhost_split_ready(struct vhost_ring *ring)
{
	/* Pairs with the guest's release: the descriptors are there. */
	uint16_t ready = (uint16_t)(__atomic_load_n(&ring->avail->idx, __ATOMIC_ACQUIRE) - ring->next);

	vhost_guest_gave(ring);
	if (QUOLL_UNLIKELY(ready > ring->size)) {
		vhost_break(ring);
		return 0;
	}
	return ready;
}

/* The i-th of those; vhost_heads_check() looks at them. */
static inline uint16_t vhost_split_head(const struct vhost_ring *ring, uint32_t i)
{
	return __atomic_load_n(&ring->avail->ring[(ring->next + i) & (ring->size - 1)], __ATOMIC_RELAXED);
}

/* Packed: whether the descriptor of this slot is ours; @wrap as it is there. */
static inline bool vhost_packed_ready(const struct vhost_ring *ring, uint32_t slot, bool wrap)
{
	/* Pairs with the guest's release of the flags. */
	uint16_t flags = __atomic_load_n(&ring->packed[slot].flags, __ATOMIC_ACQUIRE);

	vhost_guest_gave(ring);
	return !!(flags & VIRTQ_DESC_AVAIL) == wrap && !!(flags & VIRTQ_DESC_USED) != wrap;
}

static inline void vhost_done(struct vhost_ring *ring, uint16_t id, uint16_t slots, uint32_t bytes)
{
	ring->done[ring->nr_done++] = (struct vhost_used){id, slots, bytes};
}

/* Packed: on by @slots. */
static inline void vhost_packed_step(uint32_t size, uint32_t *slot, bool *wrap, uint32_t slots)
{
	*slot += slots;
	if (*slot >= size) {
		*slot -= size;
		*wrap = !*wrap;
	}
}

#endif
