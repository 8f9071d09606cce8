/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ring.c - rings of both kinds as a whole: their memory, how they begin, who tells whom of news. The data path is in
 * rx.c and tx.c.
 *
 * All of a ring lies in one piece of memory that the device may write; nothing is read back from it but what the device
 * is there to write.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "virtio.h"

/* The elements of a used ring begin 4 bytes in; put there, none of them lies on two cache lines. */
#define USED_SHIFT_BYTES 4u
#define RING_ALIGN 4096u

static uint64_t line_up(uint64_t bytes)
{
	return (bytes + QUOLL_CACHE_LINE_BYTES - 1) & ~(uint64_t)(QUOLL_CACHE_LINE_BYTES - 1);
}

/**
 * struct layout - where the parts of a ring lie in its memory, from the descriptors at 0 on
 */
struct layout {
	uint64_t driver_at;
	uint64_t device_at;
	uint64_t hdrs_at;
	uint64_t bytes;
};

static struct layout lay_out(const struct virtio_port *v, unsigned int size, bool is_tx)
{
	struct layout l = {.driver_at = line_up((uint64_t)size * VIRTQ_DESC_BYTES)};

	if (virtio_has(v, VIRTIO_F_RING_PACKED)) {
		l.device_at = l.driver_at + QUOLL_CACHE_LINE_BYTES;
		l.hdrs_at = l.device_at + QUOLL_CACHE_LINE_BYTES;
	} else {
		l.device_at = line_up(l.driver_at + virtq_avail_bytes(size)) + USED_SHIFT_BYTES;
		l.hdrs_at = line_up(l.device_at + virtq_used_bytes(size));
	}
	l.bytes = l.hdrs_at + (is_tx ? (uint64_t)size * VIRTIO_HDR_BYTES : 0);
	return l;
}

int virtio_rings_reserve(struct virtio_port *v, unsigned int nr_rings, unsigned int size, struct quoll_error *err)
{
	uint64_t bytes = 0;
	void *mem;
	int rc;

	for (unsigned int i = 0; i < nr_rings; i++)
		bytes += (lay_out(v, size, i & 1).bytes + RING_ALIGN - 1) / RING_ALIGN * RING_ALIGN;
	quoll_arena_destroy(v->arena);
	v->arena = NULL;
	rc = quoll_arena_create(net_heap(&v->port), "virtio", QUOLL_ARENA_DEVICE_READ_WRITE, bytes, &v->arena, err);
	if (!rc)
		rc = quoll_arena_alloc(v->arena, bytes, RING_ALIGN, &mem, err);
	return rc ? rc : quoll_arena_free(v->arena, mem, bytes);
}

int virtio_ring_make(struct virtio_port *v, struct virtio_ring *ring, unsigned int size, bool is_tx,
		     struct quoll_error *err)
{
	struct layout l = lay_out(v, size, is_tx);
	void *mem;
	int rc;

	ring->size = (uint16_t)size;
	ring->packed = virtio_has(v, VIRTIO_F_RING_PACKED);
	ring->event_idx = virtio_has(v, VIRTIO_F_EVENT_IDX);
	ring->kick_fd = -1;
	ring->bytes = l.bytes;
	rc = quoll_arena_alloc(v->arena, ring->bytes, RING_ALIGN, &mem, err);
	if (rc)
		return rc;
	ring->mem = mem;
	ring->desc = mem;
	ring->driver = (uint8_t *)mem + l.driver_at;
	ring->device = (uint8_t *)mem + l.device_at;
	ring->hdrs = is_tx ? (struct virtio_net_hdr *)((uint8_t *)mem + l.hdrs_at) : NULL;
	virtio_ring_clear(ring);
	return 0;
}

void virtio_ring_free(struct virtio_port *v, struct virtio_ring *ring)
{
	if (ring->mem)
		(void)quoll_arena_free(v->arena, ring->mem, ring->bytes);
	memset(ring, 0, sizeof(*ring));
}

/* Where a split ring's driver says at which index it wants to be interrupted: behind the available ring. */
static quoll_le16 *used_event(const struct virtio_ring *ring)
{
	return ((struct virtq_avail *)ring->driver)->ring + ring->size;
}

void virtio_ring_interrupts(struct virtio_ring *ring, uint16_t used, bool on)
{
	struct virtq_packed_event *event = ring->driver;
	struct virtq_avail *avail = ring->driver;

	/* Relaxed: who arms has a full fence behind it. */
	if (ring->packed)
		__atomic_store_n(&event->flags, quoll_cpu_to_le16(on ? VIRTQ_EVENT_ENABLE : VIRTQ_EVENT_DISABLE),
				 __ATOMIC_RELAXED);
	else if (ring->event_idx)
		/* Not wanted: once in 65,536, which costs nobody anything. */
		__atomic_store_n(used_event(ring), quoll_cpu_to_le16(on ? used : (uint16_t)(used - 1)),
				 __ATOMIC_RELAXED);
	else
		__atomic_store_n(&avail->flags, quoll_cpu_to_le16(on ? 0 : VIRTQ_AVAIL_NO_INTERRUPT), __ATOMIC_RELAXED);
}

void virtio_ring_clear(struct virtio_ring *ring)
{
	struct virtq_avail *avail = ring->driver;

	memset(ring->mem, 0, ring->bytes);
	for (unsigned int i = 0; !ring->packed && i < ring->size; i++)
		avail->ring[i] = quoll_cpu_to_le16((uint16_t)i);
	virtio_ring_interrupts(ring, 0, false);
}

/* Packed: the device's event structure, read at once. */
static bool packed_wants(const struct virtio_ring *ring, uint16_t now, uint16_t n)
{
	uint32_t word = quoll_le32_to_cpu(*(const volatile quoll_le32 *)ring->device);
	uint32_t flags = word >> 16 & 3, event = word & ~VIRTQ_EVENT_WRAP & UINT16_MAX;
	bool wrap = word & VIRTQ_EVENT_WRAP, our_wrap = !(now & ring->size);

	if (flags != VIRTQ_EVENT_DESC)
		return flags == VIRTQ_EVENT_ENABLE;
	now &= ring->size - 1;
	if (wrap != our_wrap)
		event -= ring->size;
	return virtq_need_event((uint16_t)event, now, (uint16_t)(now - n));
}

static bool split_wants(const struct virtio_ring *ring, uint16_t now, uint16_t n)
{
	const struct virtq_used *used = ring->device;
	const quoll_le16 *event = (const quoll_le16 *)(used->ring + ring->size);

	if (ring->event_idx)
		return virtq_need_event(quoll_le16_to_cpu(*(const volatile quoll_le16 *)event), now,
					(uint16_t)(now - n));
	return !(quoll_le16_to_cpu(*(const volatile quoll_le16 *)&used->flags) & VIRTQ_USED_NO_NOTIFY);
}

static void tell(const struct virtio_ring *ring)
{
	static const uint64_t one = 1;

	if (ring->kick_reg) {
		quoll_mmio_wmb();
		quoll_mmio_write16(ring->kick_reg, ring->idx);
	} else if (ring->kick_fd >= 0 && write(ring->kick_fd, &one, sizeof(one)) < 0) {
		return; /* full: so many kicks are there that nobody has read */
	}
}

void virtio_ring_kick(const struct virtio_ring *ring, uint16_t now, uint16_t n)
{
	if (QUOLL_LIKELY(!(ring->packed ? packed_wants(ring, now, n) : split_wants(ring, now, n))))
		return;
	tell(ring);
}

/*
 * Devices that wait in vain. With event indices a batch is told of if it passes the place that the device named; of
 * what comes after that the device hears no more until it names another one. One that names a place, takes what lies
 * beyond it all the same and leaves it at that never hears again: QEMU's virtio-net does so with packed rings after a
 * frame that its peer could not take at once. So what is told once too often here is not a matter of course.
 *
 * All that is read is shared with the device, and by whole words: any thread may look.
 */

#define LOOKS_A_KICK 1024u

/* Was this place handed over last in the lap that has this wrap counter? */
static bool is_of_lap(const struct virtio_ring *ring, uint32_t idx, bool wrap)
{
	const struct virtq_packed_desc *desc = (const struct virtq_packed_desc *)ring->desc + idx;
	uint64_t word = quoll_le64_to_cpu(__atomic_load_n((const uint64_t *)&desc->bytes, __ATOMIC_RELAXED));

	/* What the device writes when it has finished leaves this flag as it is. */
	return !(word >> 48 & VIRTQ_DESC_AVAIL) == !wrap;
}

/* Whoever waits for the next place finds it not handed over yet, and the one before it handed over. */
static bool packed_waits_in_vain(const struct virtio_ring *ring, uint32_t *wish)
{
	uint32_t word = quoll_le32_to_cpu(*(const volatile quoll_le32 *)ring->device);
	uint32_t idx = word & ~VIRTQ_EVENT_WRAP & UINT16_MAX;
	bool wrap = word & VIRTQ_EVENT_WRAP;

	*wish = word;
	if ((word >> 16 & 3) != VIRTQ_EVENT_DESC || idx >= ring->size)
		return false;
	return is_of_lap(ring, idx, wrap) || !is_of_lap(ring, (idx ? idx : ring->size) - 1u, idx ? wrap : !wrap);
}

/*
 * Of a split ring the device cannot say that it does not wait, and leaves an old place there for that: it takes frames
 * that have not been sent to make it doubtful. Buffers are always there.
 */
static bool split_waits_in_vain(const struct virtio_ring *ring, uint32_t *wish)
{
	const struct virtq_avail *avail = ring->driver;
	const struct virtq_used *used = ring->device;
	uint16_t event = quoll_le16_to_cpu(*(const volatile quoll_le16 *)(used->ring + ring->size));
	uint16_t tail = quoll_le16_to_cpu(__atomic_load_n(&avail->idx, __ATOMIC_RELAXED));
	uint16_t done = quoll_le16_to_cpu(__atomic_load_n(&used->idx, __ATOMIC_RELAXED));

	*wish = (uint32_t)event << 16 | done;
	return ring->event_idx && ring->hdrs && done != tail && event != tail;
}

void virtio_ring_look(struct virtio_ring *ring)
{
	uint32_t wish, n;

	if (!(ring->packed ? packed_waits_in_vain(ring, &wish) : split_waits_in_vain(ring, &wish))) {
		ring->nr_stood = 0;
		return;
	}
	if (wish != ring->wish)
		ring->nr_stood = 0;
	ring->wish = wish;
	n = ring->nr_stood++;
	/* Not at once: it may have been told just now. Then ever less often, if it does not care. */
	if (n && (!(n & (n - 1)) || !(n % LOOKS_A_KICK)))
		tell(ring);
}

void virtio_ring_look_before_sleep(const struct virtio_ring *ring)
{
	uint32_t wish;

	if (ring->packed && packed_waits_in_vain(ring, &wish))
		tell(ring);
}
