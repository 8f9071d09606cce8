/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fake_ring.h - the device's side of a virtqueue of either kind, in the test's own process: it takes what is available,
 * gives it back, in any order and with any lie. What the driver may not do is a violation.
 */
#ifndef QUOLL_TESTS_FAKE_RING_H
#define QUOLL_TESTS_FAKE_RING_H

#include <stdbool.h>

#include "net/virtq/virtq.h"

#define FAKE_MAX_SEGS 64

/**
 * struct fake_ring - a ring
 * @at: host memory at an address of a descriptor, to be written or read; NULL: the device cannot reach it
 * @avail, @used: run on; of a packed ring both count descriptors
 */
struct fake_ring {
	void *desc;
	void *driver;
	void *device;
	uint16_t size;
	bool packed;
	bool event_idx;
	uint16_t avail;
	uint16_t used;
	unsigned int nr_violations;
	void *(*at)(void *arg, uint64_t addr, uint64_t len, bool write);
	void *arg;
};

struct fake_seg {
	uint8_t *va;
	uint32_t bytes;
	bool write;
};

/* What was made available at once; @nr: of descriptors. */
struct fake_chain {
	uint16_t id;
	uint16_t nr;
	unsigned int nr_segs;
	struct fake_seg segs[FAKE_MAX_SEGS];
};

/* What is given back. */
struct fake_used {
	uint32_t id;
	uint32_t bytes;
	uint16_t nr;
};

bool fake_ring_pop(struct fake_ring *ring, struct fake_chain *chain);
/* All of them at once: nobody sees the first without the last. */
void fake_ring_push(struct fake_ring *ring, const struct fake_used *used, unsigned int n);
/* The driver wants no kicks; or from the next entry on. */
void fake_ring_want_kicks(struct fake_ring *ring, bool on);
/* Does the driver want an interrupt for what was given back since @before? */
bool fake_ring_wants_interrupt(const struct fake_ring *ring, uint16_t before);

/*
 * A frame into as many buffers as it takes. @hdr: NULL for one without meaning. Return: false: they do not suffice.
 */
bool fake_ring_receive(struct fake_ring *ring, const struct virtio_net_hdr *hdr, const uint8_t *frame, uint32_t len);
/* The next frame that was sent, given back. Return: its length, -1: there is none. */
int fake_ring_sent(struct fake_ring *ring, struct virtio_net_hdr *hdr, uint8_t *frame, uint32_t room);

/* A test on rings of both kinds. */
#define BOTH(name)                                                                                                     \
	static void name##_split(void)                                                                                 \
	{                                                                                                              \
		name(false);                                                                                           \
	}                                                                                                              \
	static void name##_packed(void)                                                                                \
	{                                                                                                              \
		name(true);                                                                                            \
	}

#endif
