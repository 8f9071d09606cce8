/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_together.c - a frame that is spread over several buffers of the guest is given back as one: whenever the guest
 * looks at a packed ring, it sees all of them or none. Each store to the descriptors is looked at when it is made.
 *
 * Source: Virtual I/O Device 1.3, 5.1.6.4.1 "Device Requirements: Processing of Incoming Packets".
 */
#include <sys/mman.h>

#include <net/vhost/vhost.h>

#include "../../mmio_trap.h"
#include "front.h"

static struct {
	unsigned int nr_looks;
	unsigned int nr_torn;
	uint16_t next; /* of the buffers that the guest has posted */
} guest;

/* The guest comes by: it takes what is there, frame by frame; afterwards it has not been there. */
static void look(void *arg, uint32_t offset, uint32_t old)
{
	struct front *f = arg;
	struct front_ring before = f->rings[0];
	struct virtio_net_hdr hdr;
	uint32_t bytes;
	uint16_t id;
	bool written;

	(void)offset;
	(void)old;
	guest.nr_looks++;
	while (front_used(f, 0, &id, &bytes, &written)) {
		memcpy(&hdr, front_buf_va(f, id), sizeof(hdr));
		for (unsigned int i = 1; i < hdr.nr_bufs; i++)
			guest.nr_torn += !front_used(f, 0, &id, &bytes, &written);
	}
	f->rings[0] = before;
}

static void nothing(void *arg, uint32_t offset)
{
	(void)arg;
	(void)offset;
}

/* So many buffers of 512 bytes, taken in turn. */
static void post(struct front *f, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++, guest.next = (uint16_t)((guest.next + 1) % FRONT_SIZE))
		front_post(f, 0, guest.next, 512);
}

/* Frames of one, three, two and one buffers, in one call. Return: what came to the guest, in bytes. */
static uint32_t send_four(struct front *f)
{
	static const unsigned int sizes[] = {60, 1500, 600, 500};
	struct quoll_buf *bufs[4];
	uint32_t bytes, sum = 0;
	uint16_t id;
	bool written;

	for (unsigned int i = 0; i < 4; i++)
		bufs[i] = front_make(f, (uint8_t)i, sizes[i], 1);
	CU_ASSERT_EQUAL_FATAL(front_tx(f, 0, bufs, 4), 4);
	while (front_used(f, 0, &id, &bytes, &written))
		sum += bytes;
	return sum;
}

/* Five turns of the ring and a bit, so that frames lie across its end, too. */
static void buffers_of_a_frame_are_given_back_together(void)
{
	struct mmio_trap trap = {.before_read = nothing, .after_write = look};
	struct front f;

	front_up(&f, VIRTIO_F_RING_PACKED | VIRTIO_NET_F_MRG_RXBUF, 1);
	memset(&guest, 0, sizeof(guest));
	trap.va = (uint8_t *)((struct vhost_port *)f.port)->vrings[0].ring.packed;
	trap.len = FRONT_SIZE * VIRTQ_DESC_BYTES;
	trap.memory = f.rings[0].mem;
	trap.arg = &f;
	mmio_trap_set(&trap);
	for (unsigned int i = 0; i < 190; i++) {
		post(&f, 7);
		CU_ASSERT_EQUAL_FATAL(send_four(&f), 60 + 1500 + 600 + 500 + 4 * VHOST_HDR_BYTES);
	}
	mmio_trap_clear();
	CU_ASSERT_EQUAL(mprotect(trap.va, trap.len, PROT_READ | PROT_WRITE), 0);
	CU_ASSERT_TRUE(guest.nr_looks >= 190 * 7);
	CU_ASSERT_EQUAL(guest.nr_torn, 0);
	CU_ASSERT_EQUAL(front_stats(&f).tx_packets, 190 * 4);
	front_close(&f);
}

static const struct unit_test tests[] = {
	{"all buffers of a frame are given back at once", buffers_of_a_frame_are_given_back_together},
};

UNIT_MAIN("drivers/net/vhost/together", tests)
