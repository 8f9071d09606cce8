/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * pins.c - pieces of memory by address, and their slots in the ring's table.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pins.h"

/* What tells a tag from a request, whose address is even. */
static uint64_t pin_tag(unsigned int slot)
{
	return (uint64_t)slot << 1 | 1;
}

static void pins_free(struct tgt_pins *pins)
{
	free(pins->pins);
	free(pins->free);
	free(pins->going_bytes);
}

int tgt_pins_init(struct tgt_pins *pins, struct io_uring *ring, const struct tgt_guest *guest,
		  struct tgt_ns_buffers *counters)
{
	/* One for what is our own. */
	unsigned int nr_slots = guest ? TGT_MAX_PINS : 1;

	*pins = (struct tgt_pins){.ring = ring, .guest = guest, .counters = counters, .max_pins = nr_slots};
	pins->pins = calloc(nr_slots, sizeof(*pins->pins));
	pins->free = calloc(nr_slots, sizeof(*pins->free));
	pins->going_bytes = calloc(nr_slots, sizeof(*pins->going_bytes));
	if (!pins->pins || !pins->free || !pins->going_bytes) {
		pins_free(pins);
		return -ENOMEM;
	}
	if (io_uring_register_buffers_sparse(ring, nr_slots))
		return 0;
	while (pins->nr_free < nr_slots) {
		pins->free[pins->nr_free] = (uint16_t)(nr_slots - 1 - pins->nr_free);
		pins->nr_free++;
	}
	return 0;
}

static void count_registered(struct tgt_pins *pins, uint64_t bytes)
{
	__atomic_fetch_add(&pins->counters->registered_bytes, bytes, __ATOMIC_RELAXED);
}

void tgt_pins_fini(struct tgt_pins *pins)
{
	/* Closing the ring would do, but later, in a kernel thread. Fails if there is no table. */
	io_uring_unregister_buffers(pins->ring);
	for (unsigned int i = 0; i < pins->nr_pins; i++)
		if (pins->pins[i].slot >= 0)
			count_registered(pins, -pins->pins[i].len);
	pins_free(pins);
}

/* The first piece that ends behind @va. */
static unsigned int pin_position(const struct tgt_pins *pins, const uint8_t *va)
{
	unsigned int low = 0;
	unsigned int high = pins->nr_pins;

	while (low < high) {
		unsigned int mid = low + (high - low) / 2;

		if (va >= pins->pins[mid].va + pins->pins[mid].len)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* Return: the slot, or -1: the kernel doesn't want it, or there is none. */
static int pin_register(struct tgt_pins *pins, uint8_t *va, uint64_t len)
{
	struct iovec iov = {.iov_base = va, .iov_len = len};
	unsigned int slot = pins->free[pins->nr_free - 1];
	__u64 tag = pin_tag(slot);

	if (io_uring_register_buffers_update_tag(pins->ring, slot, &iov, &tag, 1) != 1)
		return -1;
	pins->nr_free--;
	count_registered(pins, len);
	return (int)slot;
}

/* Keep a piece, registered or refused, at @pos. */
static int pin_keep(struct tgt_pins *pins, unsigned int pos, uint8_t *va, uint64_t len, bool try)
{
	struct tgt_pin pin = {.va = va, .len = len, .slot = try ? pin_register(pins, va, len) : -1};

	if (pin.slot < 0)
		__atomic_fetch_add(&pins->counters->refused, 1, __ATOMIC_RELAXED);
	memmove(&pins->pins[pos + 1], &pins->pins[pos], (pins->nr_pins - pos) * sizeof(pin));
	pins->pins[pos] = pin;
	pins->nr_pins++;
	return pin.slot;
}

void tgt_pins_add(struct tgt_pins *pins, void *va, uint64_t len)
{
	if (pins->nr_free && pins->nr_pins < pins->max_pins)
		pin_keep(pins, pin_position(pins, va), va, len, true);
}

/* A slot for the piece of the host's memory that begins at or before @iov; the rest of @iov has to lie in it too. */
static __attribute__((noinline)) int pin_guest(struct tgt_pins *pins, unsigned int pos, const struct iovec *iov)
{
	const unsigned int rw = TGT_GUEST_READ | TGT_GUEST_WRITE;
	const struct tgt_guest_range *range;
	uint64_t within, piece;
	int slot;

	/* Refused pieces take room as well, but no slot. */
	if (!pins->nr_free || pins->nr_pins == pins->max_pins)
		return -1;
	range = tgt_guest_find_va(pins->guest, iov->iov_base);
	if (!range)
		return -1;
	within = (uint64_t)((uint8_t *)iov->iov_base - range->va);
	piece = within / TGT_PIN_BYTES * TGT_PIN_BYTES;
	/* Pages are pinned for writing, which those that we may only read don't allow. */
	slot = pin_keep(pins, pos, range->va + piece,
			range->len - piece < TGT_PIN_BYTES ? range->len - piece : TGT_PIN_BYTES, range->prot == rw);
	return within - piece + iov->iov_len <= pins->pins[pos].len ? slot : -1;
}

int tgt_pins_find(struct tgt_pins *pins, const struct iovec *iov)
{
	const uint8_t *va = iov->iov_base;
	const struct tgt_pin *pin = &pins->pins[pins->last];
	unsigned int pos = pins->last;
	uint64_t within = (uint64_t)(va - pin->va);

	if (pos >= pins->nr_pins || within >= pin->len) {
		pos = pin_position(pins, va);
		pin = &pins->pins[pos];
		if (pos == pins->nr_pins || va < pin->va)
			return pins->guest ? pin_guest(pins, pos, iov) : -1;
		pins->last = pos;
		within = (uint64_t)(va - pin->va);
	}
	return iov->iov_len <= pin->len - within ? pin->slot : -1;
}

/* Return: false: the kernel had no memory for it. */
static bool pin_clear(struct tgt_pins *pins, const struct tgt_pin *pin)
{
	struct iovec none = {.iov_base = NULL};
	__u64 tag = 0;

	if (pin->slot < 0)
		return true;
	if (io_uring_register_buffers_update_tag(pins->ring, (unsigned int)pin->slot, &none, &tag, 1) != 1)
		return false;
	pins->nr_going++;
	pins->going_bytes[pin->slot] = pin->len;
	return true;
}

bool tgt_pins_took(struct tgt_pins *pins, uint64_t user_data)
{
	uint16_t slot = (uint16_t)(user_data >> 1);

	if (!(user_data & 1))
		return false;
	pins->nr_going--;
	pins->free[pins->nr_free++] = slot;
	count_registered(pins, -pins->going_bytes[slot]);
	return true;
}

bool tgt_pins_forget(struct tgt_pins *pins, const void *va, uint64_t len)
{
	const uint8_t *begin = va;
	unsigned int pos = pin_position(pins, begin);
	struct io_uring_cqe *cqe;

	while (pos < pins->nr_pins && pins->pins[pos].va < begin + len) {
		if (!pin_clear(pins, &pins->pins[pos]))
			return false;
		pins->nr_pins--;
		memmove(&pins->pins[pos], &pins->pins[pos + 1], (pins->nr_pins - pos) * sizeof(pins->pins[0]));
	}
	/* Completions of requests are for the next poll; there is one as long as any is in flight. */
	while (pins->nr_going && io_uring_peek_batch_cqe(pins->ring, &cqe, 1) &&
	       tgt_pins_took(pins, io_uring_cqe_get_data64(cqe)))
		io_uring_cqe_seen(pins->ring, cqe);
	return !pins->nr_going;
}
