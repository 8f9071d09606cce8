/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fake_ring.c - see fake_ring.h.
 */
#include <string.h>

#include "fake_ring.h"

#define HDR_BYTES ((uint32_t)sizeof(struct virtio_net_hdr))

static void add_seg(struct fake_ring *ring, struct fake_chain *chain, uint64_t addr, uint32_t bytes, bool write)
{
	void *va = ring->at(ring->arg, addr, bytes, write);

	if (!va || !bytes || chain->nr_segs == FAKE_MAX_SEGS) {
		ring->nr_violations++;
		return;
	}
	chain->segs[chain->nr_segs++] = (struct fake_seg){va, bytes, write};
}

static bool pop_split(struct fake_ring *ring, struct fake_chain *chain)
{
	const struct virtq_avail *avail = ring->driver;
	const struct virtq_desc *desc = ring->desc;
	uint16_t idx = __atomic_load_n(&avail->idx, __ATOMIC_ACQUIRE), at;

	if ((uint16_t)(idx - ring->avail) > ring->size)
		ring->nr_violations++;
	if (idx == ring->avail)
		return false;
	at = chain->id = avail->ring[ring->avail++ % ring->size];
	do {
		if (at >= ring->size || chain->nr == ring->size) {
			ring->nr_violations++;
			return true;
		}
		add_seg(ring, chain, desc[at].addr, desc[at].bytes, desc[at].flags & VIRTQ_DESC_WRITE);
		chain->nr++;
		if (!(desc[at].flags & VIRTQ_DESC_NEXT))
			return true;
		at = desc[at].next;
	} while (true);
}

static bool packed_is_avail(const struct fake_ring *ring, uint16_t flags)
{
	uint16_t want = ring->avail & ring->size ? VIRTQ_DESC_USED : VIRTQ_DESC_AVAIL;

	return (flags & (VIRTQ_DESC_AVAIL | VIRTQ_DESC_USED)) == want;
}

static bool pop_packed(struct fake_ring *ring, struct fake_chain *chain)
{
	const struct virtq_packed_desc *desc = ring->desc;
	uint16_t flags;

	do {
		const struct virtq_packed_desc *d = &desc[ring->avail % ring->size];
		uint64_t word = __atomic_load_n((const uint64_t *)&d->bytes, __ATOMIC_ACQUIRE);

		flags = (uint16_t)(word >> 48);
		if (!packed_is_avail(ring, flags)) {
			/* A chain that does not end was not to be seen yet. */
			ring->nr_violations += chain->nr > 0;
			return false;
		}
		add_seg(ring, chain, d->addr, (uint32_t)word, flags & VIRTQ_DESC_WRITE);
		chain->id = (uint16_t)(word >> 32);
		chain->nr++;
		ring->avail++;
	} while (flags & VIRTQ_DESC_NEXT);
	return true;
}

bool fake_ring_pop(struct fake_ring *ring, struct fake_chain *chain)
{
	memset(chain, 0, sizeof(*chain));
	return ring->packed ? pop_packed(ring, chain) : pop_split(ring, chain);
}

static void push_split(struct fake_ring *ring, const struct fake_used *used, unsigned int n)
{
	struct virtq_used *u = ring->device;

	for (unsigned int i = 0; i < n; i++)
		u->ring[(ring->used + i) % ring->size] = (struct virtq_used_elem){used[i].id, used[i].bytes};
	ring->used += (uint16_t)n;
	__atomic_store_n(&u->idx, ring->used, __ATOMIC_RELEASE);
}

static void push_packed(struct fake_ring *ring, const struct fake_used *used, unsigned int n)
{
	struct virtq_packed_desc *desc = ring->desc, *first = &desc[ring->used % ring->size];
	uint64_t first_word = 0;

	for (unsigned int i = 0; i < n; i++) {
		struct virtq_packed_desc *d = &desc[ring->used % ring->size];
		uint64_t flags = ring->used & ring->size ? 0 : VIRTQ_DESC_AVAIL | VIRTQ_DESC_USED;
		uint64_t word = used[i].bytes | (uint64_t)(uint16_t)used[i].id << 32 | flags << 48;

		if (i)
			__atomic_store_n((uint64_t *)&d->bytes, word, __ATOMIC_RELEASE);
		else
			first_word = word;
		ring->used += used[i].nr;
	}
	if (n)
		__atomic_store_n((uint64_t *)&first->bytes, first_word, __ATOMIC_RELEASE);
}

void fake_ring_push(struct fake_ring *ring, const struct fake_used *used, unsigned int n)
{
	if (ring->packed)
		push_packed(ring, used, n);
	else
		push_split(ring, used, n);
}

void fake_ring_want_kicks(struct fake_ring *ring, bool on)
{
	struct virtq_packed_event *event = ring->device;
	struct virtq_used *used = ring->device;
	quoll_le16 *avail_event = (quoll_le16 *)(used->ring + ring->size);

	if (!ring->packed && ring->event_idx)
		*avail_event = (uint16_t)(ring->avail - !on);
	else if (!ring->packed)
		used->flags = on ? 0 : VIRTQ_USED_NO_NOTIFY;
	else if (!on)
		event->flags = VIRTQ_EVENT_DISABLE;
	else if (!ring->event_idx)
		event->flags = VIRTQ_EVENT_ENABLE;
	else
		*event = (struct virtq_packed_event){
			(uint16_t)(ring->avail % ring->size | (ring->avail & ring->size ? 0 : VIRTQ_EVENT_WRAP)),
			VIRTQ_EVENT_DESC};
}

bool fake_ring_wants_interrupt(const struct fake_ring *ring, uint16_t before)
{
	const struct virtq_packed_event *event = ring->driver;
	const struct virtq_avail *avail = ring->driver;

	if (ring->packed)
		return event->flags == VIRTQ_EVENT_ENABLE;
	if (ring->event_idx)
		return virtq_need_event(avail->ring[ring->size], ring->used, before);
	return !(avail->flags & VIRTQ_AVAIL_NO_INTERRUPT);
}

bool fake_ring_receive(struct fake_ring *ring, const struct virtio_net_hdr *hdr, const uint8_t *frame, uint32_t len)
{
	struct virtio_net_hdr put = {0};
	uint8_t *where = NULL; /* which the driver may have put anywhere, when somebody rewrites its ring */
	struct fake_used used[FAKE_MAX_SEGS];
	uint16_t before = ring->avail;
	unsigned int n = 0;

	do {
		struct fake_chain chain;
		struct fake_seg *seg = &chain.segs[0];
		uint32_t off = n ? 0 : HDR_BYTES, part;

		if (n == FAKE_MAX_SEGS || !fake_ring_pop(ring, &chain)) {
			ring->avail = before;
			return false;
		}
		if (chain.nr_segs != 1 || !seg->write || seg->bytes <= HDR_BYTES) {
			ring->nr_violations++;
			return false;
		}
		if (!n)
			where = seg->va;
		part = len < seg->bytes - off ? len : seg->bytes - off;
		memcpy(seg->va + off, frame, part);
		frame += part;
		len -= part;
		used[n++] = (struct fake_used){chain.id, off + part, 1};
	} while (len);
	put.nr_bufs = (uint16_t)n;
	memcpy(where, hdr ? hdr : &put, sizeof(put));
	fake_ring_push(ring, used, n);
	return true;
}

int fake_ring_sent(struct fake_ring *ring, struct virtio_net_hdr *hdr, uint8_t *frame, uint32_t room)
{
	struct fake_chain chain;
	uint8_t all[HDR_BYTES + 70000];
	uint32_t len = 0;

	if (!fake_ring_pop(ring, &chain))
		return -1;
	for (unsigned int i = 0; i < chain.nr_segs; i++) {
		if (chain.segs[i].write || len + chain.segs[i].bytes > sizeof(all)) {
			ring->nr_violations++;
			return -1;
		}
		memcpy(all + len, chain.segs[i].va, chain.segs[i].bytes);
		len += chain.segs[i].bytes;
	}
	if (len < HDR_BYTES || len - HDR_BYTES > room) {
		ring->nr_violations++;
		return -1;
	}
	memcpy(hdr, all, HDR_BYTES);
	memcpy(frame, all + HDR_BYTES, len - HDR_BYTES);
	fake_ring_push(ring, &(struct fake_used){chain.id, 0, chain.nr}, 1);
	return (int)(len - HDR_BYTES);
}
