/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pins.h - memory that is registered with an io_uring, so that its pages are not looked up for each request: copy
 * buffers of our own, and the host's memory, in pieces, each when it is first used.
 *
 * Registered pages are pinned. What the host takes back is unregistered first, and not let go of until the kernel has
 * said that it is (by a completion, for which each registration has a tag), because it may take its time.
 *
 * Source: io_uring_register(2), IORING_REGISTER_BUFFERS2 and IORING_REGISTER_BUFFERS_UPDATE.
 * Thread rule: the ring's thread; the counters are for any.
 */
#ifndef QUOLL_TARGET_PINS_H
#define QUOLL_TARGET_PINS_H

#include <liburing.h>

#include "guest.h"
#include "ns.h"

#define TGT_PIN_BYTES (64u << 20) /* of a piece: pinning it must not hold up the thread for long */
#define TGT_MAX_PINS 1024u

/**
 * struct tgt_pin - a piece
 * @slot: in the ring's table; -1: the kernel has refused it
 */
struct tgt_pin {
	uint8_t *va;
	uint64_t len;
	int slot;
};

/**
 * struct tgt_pins - what is registered with one ring
 * @guest:    NULL: none of the host's memory
 * @pins:     by address, without overlap
 * @last:     the one that was found last
 * @free:     slots
 * @max_pins: as many as @pins has room for
 * @nr_going: slots that are cleared, but whose memory the kernel still holds
 * @going_bytes: of them, by slot
 * @counters: the namespace's
 */
struct tgt_pins {
	struct io_uring *ring;
	const struct tgt_guest *guest;
	struct tgt_pin *pins;
	uint16_t *free;
	unsigned int nr_pins;
	unsigned int max_pins;
	unsigned int nr_free;
	unsigned int nr_going;
	unsigned int last;
	uint64_t *going_bytes;
	struct tgt_ns_buffers *counters;
};

/**
 * tgt_pins_init() - nothing is registered yet
 * Where the kernel has no tables that can be filled later (before 5.19), nothing will be.
 * @guest: whose memory to register; outlives it. NULL: only what tgt_pins_add() is told
 * Return: 0, -ENOMEM.
 */
int tgt_pins_init(struct tgt_pins *pins, struct io_uring *ring, const struct tgt_guest *guest,
		  struct tgt_ns_buffers *counters);

/**
 * tgt_pins_fini() - nothing is registered any more when it returns; nothing is in flight
 */
void tgt_pins_fini(struct tgt_pins *pins);

/**
 * tgt_pins_add() - register memory of our own, which stays until the end; refused is counted, and no error
 */
void tgt_pins_add(struct tgt_pins *pins, void *va, uint64_t len);

/**
 * tgt_pins_find() - the slot of the piece that all of @iov lies in, or -1
 * Registers a piece of the host's that is used for the first time, which takes milliseconds if it has no pages yet.
 */
int tgt_pins_find(struct tgt_pins *pins, const struct iovec *iov);

/**
 * tgt_pins_forget() - the host takes this memory back; it isn't in the guest's view any more, and no request points
 * there
 * Return: true once the kernel holds nothing that was to be forgotten; ask again until then.
 */
bool tgt_pins_forget(struct tgt_pins *pins, const void *va, uint64_t len);

/**
 * tgt_pins_took() - whether a completion was only ours: about memory that the kernel has let go of
 */
bool tgt_pins_took(struct tgt_pins *pins, uint64_t user_data);

#endif
