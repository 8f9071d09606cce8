/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_races.c - a guest that rewrites descriptors, tables, headers and indexes while the port reads them. Each value
 * by itself is fine or is refused; what was checked with one and used with another would leave the guest's memory,
 * behind whose end there is none.
 */
#include <pthread.h>
#include <sys/mman.h>

#include "front.h"
#include "net/net_frame.h"
#include "net/vhost/vhost.h"

/* So few descriptors that what is being read is written to. */
#define SIZE 4u
#define SHORT_BYTES 76u
#define LONG_BYTES 1500u
#define NEAR (FRONT_GUEST + FRONT_BUFS)
#define END (FRONT_GUEST + FRONT_BYTES - SHORT_BYTES)
/* What a table of descriptors is in, and what nothing may be written to. */
#define TABLE_OFFSET (FRONT_BUFS / 2)
#define KEPT_OFFSET (FRONT_BUFS + (1u << 20))
#define SPACER_BYTES (1u << 20)

/**
 * struct race - a guest's thread
 * @idx:  the ring that it spoils
 * @wild: indexes and heads as well, which ends sessions
 */
struct race {
	struct front *f;
	unsigned int idx;
	bool wild;
	unsigned int stop;
	uint64_t nr_writes;
	uint64_t state;
	pthread_t thread;
	void *spacer;
	void *guard;
};

static uint32_t pick(struct race *race, uint32_t n)
{
	race->state ^= race->state << 13;
	race->state ^= race->state >> 7;
	race->state ^= race->state << 17;
	return (uint32_t)(race->state >> 32) % n;
}

static const uint64_t addrs[] = {NEAR,		 NEAR, END, END, FRONT_GUEST + TABLE_OFFSET, FRONT_GUEST + FRONT_BYTES,
				 UINT64_MAX - 40};
static const uint32_t lengths[] = {SHORT_BYTES, SHORT_BYTES, LONG_BYTES, LONG_BYTES, 16, 32, 65536, 0, UINT32_MAX};
static const uint16_t others[] = {0, 0, VIRTQ_DESC_WRITE, VIRTQ_DESC_NEXT, VIRTQ_DESC_INDIRECT};
static const uint16_t places[] = {0, 1, SIZE - 1, SIZE, UINT16_MAX};
#define ANY(race, list) ((list)[pick(race, sizeof(list) / sizeof((list)[0]))])

static uint16_t any_flags(struct race *race, bool packed)
{
	uint16_t flags = ANY(race, others) ^ (race->idx & 1 ? 0 : VIRTQ_DESC_WRITE);

	if (!packed)
		return flags;
	/* A packed chain that goes all round the ring ends the session: hardly ever. */
	if (pick(race, 64))
		flags &= (uint16_t)~VIRTQ_DESC_NEXT;
	return (uint16_t)(flags | (pick(race, 2) ? VIRTQ_DESC_AVAIL : VIRTQ_DESC_USED));
}

/* One field of a descriptor, of either kind. */
static void spoil_desc(struct race *race, void *at, bool packed)
{
	struct virtq_desc *desc = at;
	struct virtq_packed_desc *slot = at;

	switch (pick(race, 4)) {
	case 0:
		__atomic_store_n(&desc->addr, ANY(race, addrs), __ATOMIC_RELAXED);
		break;
	case 1:
		__atomic_store_n(&desc->bytes, ANY(race, lengths), __ATOMIC_RELAXED);
		break;
	case 2:
		__atomic_store_n(packed ? &slot->id : &desc->next, ANY(race, places), __ATOMIC_RELAXED);
		break;
	default:
		__atomic_store_n(packed ? &slot->flags : &desc->flags, any_flags(race, packed), __ATOMIC_RELAXED);
	}
}

static void spoil_header(struct race *race)
{
	static const uint16_t starts[] = {14, 34, 60000};
	struct virtio_net_hdr *hdr = (void *)(race->f->mem + (pick(race, 2) ? NEAR : END) - FRONT_GUEST);

	__atomic_store_n(&hdr->flags, (uint8_t)pick(race, 2), __ATOMIC_RELAXED);
	__atomic_store_n(&hdr->csum_start, ANY(race, starts), __ATOMIC_RELAXED);
	hdr->csum_offset = 16;
}

static void spoil_index(struct race *race, const struct front_ring *r)
{
	struct virtq_avail *avail = (void *)(r->mem + FRONT_AVAIL);
	uint16_t *used = (void *)(r->mem + FRONT_USED), *head = &avail->ring[pick(race, SIZE)];
	uint32_t rare = pick(race, 1024);

	/* A head or an index that is wrong ends the session: not before there are frames. */
	if (rare > 1 && !race->f->packed)
		__atomic_store_n(head, places[pick(race, 3)], __ATOMIC_RELAXED);
	else if (rare == 1)
		__atomic_store_n(head, SIZE, __ATOMIC_RELAXED);
	else
		__atomic_store_n(&avail->idx, (uint16_t)pick(race, 65536), __ATOMIC_RELAXED);
	/* Not the index, from which the next session begins. */
	__atomic_store_n(&used[2 + pick(race, 62)], (uint16_t)pick(race, 65536), __ATOMIC_RELAXED);
}

static void *spoil(void *arg)
{
	struct race *race = arg;
	struct front *f = race->f;
	const struct front_ring *r = &f->rings[race->idx];

	while (!__atomic_load_n(&race->stop, __ATOMIC_ACQUIRE)) {
		spoil_desc(race, r->mem + (size_t)16 * pick(race, SIZE), f->packed);
		spoil_desc(race, f->mem + TABLE_OFFSET + (size_t)16 * pick(race, 2), f->packed);
		if (race->idx & 1)
			spoil_header(race);
		if (race->wild)
			spoil_index(race, r);
		__atomic_fetch_add(&race->nr_writes, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void race_go(struct race *race)
{
	__atomic_store_n(&race->stop, 0, __ATOMIC_RELAXED);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&race->thread, NULL, spoil, race), 0);
}

static void race_halt(struct race *race)
{
	__atomic_store_n(&race->stop, 1, __ATOMIC_RELEASE);
	CU_ASSERT_EQUAL_FATAL(pthread_join(race->thread, NULL), 0);
}

/* The guest's memory as the port has mapped it: behind its end there is nothing, unless somebody else was there first.
 */
static void guard_end(struct race *race)
{
	uint8_t *end = ((struct vhost_port *)race->f->port)->memory.areas[0].va + FRONT_BYTES;

	race->guard = mmap(end, 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
}

static void race_begin(struct race *race, struct front *f, unsigned int idx, uint64_t features, bool wild)
{
	*race = (struct race){.f = f, .idx = idx, .wild = wild, .state = UINT64_C(0x9e3779b97f4a7c15)};
	front_open(f, "", 1);
	f->size = SIZE;
	f->settings.offloads = QUOLL_OFFLOAD_RX_L4_CSUM | QUOLL_OFFLOAD_RX_SCATTER;
	f->features |= features | VIRTIO_NET_F_CSUM | VIRTIO_F_INDIRECT_DESC | VIRTIO_NET_F_MRG_RXBUF;
	f->packed = features & VIRTIO_F_RING_PACKED;
	front_start(f);
	front_memory(f, true);
	memset(f->mem + FRONT_BUFS, 'g', FRONT_BYTES - FRONT_BUFS);
	memset(f->mem + NEAR - FRONT_GUEST, 0, sizeof(struct virtio_net_hdr));
	memset(f->mem + END - FRONT_GUEST, 0, sizeof(struct virtio_net_hdr));
	/* What the port maps next comes below this, and not below the memory as it is mapped here. */
	race->spacer = mmap(NULL, SPACER_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CU_ASSERT_PTR_NOT_EQUAL_FATAL(race->spacer, MAP_FAILED);
	front_connect(f);
	front_hello(f);
	guard_end(race);
	race_go(race);
}

static void race_end(struct race *race)
{
	race_halt(race);
	for (unsigned int i = 0; i < 1u << 20; i++)
		if (race->f->mem[KEPT_OFFSET + i] != 'g') {
			CU_FAIL("written to what the guest did not offer");
			break;
		}
	if (race->guard != MAP_FAILED)
		munmap(race->guard, 65536);
	munmap(race->spacer, SPACER_BYTES);
	front_close(race->f); /* all buffers are back, or it fails */
}

/* Chains without end: as many as the ring holds are always there. Of a packed one the thread makes them ready. */
static void offer(struct front *f, unsigned int idx)
{
	struct front_ring *r = &f->rings[idx];
	struct virtq_avail *avail = (void *)(r->mem + FRONT_AVAIL);
	const struct virtq_used *used = (void *)(r->mem + FRONT_USED);
	uint16_t done;

	if (f->packed)
		return;
	done = __atomic_load_n(&used->idx, __ATOMIC_ACQUIRE);
	for (; (uint16_t)(r->next - done) < r->size; r->next++)
		__atomic_store_n(&avail->ring[r->next % r->size], (uint16_t)(r->next % r->size), __ATOMIC_RELAXED);
	__atomic_store_n(&avail->idx, r->next, __ATOMIC_RELEASE);
}

static bool goes_on(struct race *race, uint64_t nr_good)
{
	struct front *f = race->f;
	struct quoll_port_stats stats = front_stats(f);
	bool breaks = race->wild && !f->packed;

	return nr_good < 500 || stats.rx_bad + stats.tx_bad < 100 ||
	       __atomic_load_n(&race->nr_writes, __ATOMIC_RELAXED) < 20000 ||
	       (breaks && front_xstat(f, "sessions_ended_as_bad") < 3);
}

/* The regular work, and another session if the last one has ended. */
static void look_after(struct race *race)
{
	struct front *f = race->f;

	front_turn(f);
	if (!front_link(f)) {
		CU_ASSERT_TRUE(race->wild || f->packed);
		front_disconnect(f);
		front_await_link(f, false);
		/* The rings are made anew, by one thread. */
		race_halt(race);
		front_connect(f);
		front_hello(f);
		race_go(race);
	}
}

static void check_frame(const struct quoll_buf *buf)
{
	uint32_t sum = 0;

	for (const struct quoll_buf *link = buf; link; link = link->next)
		sum += link->data_bytes;
	CU_ASSERT_EQUAL(sum, buf->total_bytes);
	CU_ASSERT_TRUE(sum >= NET_MIN_FRAME_BYTES && sum <= 1500 + NET_FRAME_OVERHEAD_BYTES);
}

static void receive_with(uint64_t features, bool wild)
{
	uint64_t deadline = fd_socket_now_ns() + 120000000000u, nr_good = 0;
	struct quoll_buf *bufs[32];
	struct race race;
	struct front f;
	unsigned int n;

	race_begin(&race, &f, 1, features, wild);
	while (goes_on(&race, nr_good) && fd_socket_now_ns() < deadline) {
		offer(&f, 1);
		n = front_rx(&f, 0, bufs, 32);
		for (unsigned int i = 0; i < n; i++)
			check_frame(bufs[i]);
		front_put(&f, bufs, n);
		nr_good += n;
		look_after(&race);
	}
	CU_ASSERT_FALSE(goes_on(&race, nr_good));
	race_end(&race);
}

static void send_with(uint64_t features, bool wild)
{
	uint64_t deadline = fd_socket_now_ns() + 120000000000u, nr_good = 0;
	struct quoll_buf *bufs[2];
	struct race race;
	struct front f;
	unsigned int n;

	race_begin(&race, &f, 0, features, wild);
	while (goes_on(&race, nr_good) && fd_socket_now_ns() < deadline) {
		offer(&f, 0);
		bufs[0] = front_make(&f, 't', 64, 1);
		bufs[1] = front_make(&f, 't', 1400, 2);
		n = front_tx(&f, 0, bufs, 2);
		front_put(&f, bufs + n, 2 - n);
		nr_good = front_stats(&f).tx_packets;
		look_after(&race);
	}
	CU_ASSERT_FALSE(goes_on(&race, nr_good));
	race_end(&race);
}

static void descriptors_are_rewritten_while_frames_are_received(void)
{
	receive_with(0, false);
	receive_with(VIRTIO_F_RING_PACKED, false);
}

static void descriptors_are_rewritten_while_frames_are_sent(void)
{
	send_with(0, false);
	send_with(VIRTIO_F_RING_PACKED, false);
}

static void indexes_are_rewritten_too(void)
{
	receive_with(0, true);
	receive_with(VIRTIO_F_RING_PACKED | VIRTIO_F_EVENT_IDX, true);
	send_with(VIRTIO_F_EVENT_IDX, true);
	send_with(VIRTIO_F_RING_PACKED, true);
}

static const struct unit_test tests[] = {
	{"descriptors are rewritten while frames are received", descriptors_are_rewritten_while_frames_are_received},
	{"descriptors are rewritten while frames are sent", descriptors_are_rewritten_while_frames_are_sent},
	{"indexes, heads and events are rewritten, too", indexes_are_rewritten_too},
};

UNIT_MAIN("drivers/net/vhost/races", tests)
