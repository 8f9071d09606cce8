/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * guest.c - the view of the host's memory: ranges come and go, addresses are looked up, bytes are copied.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "guest.h"

void tgt_guest_init(struct tgt_guest *guest, const struct tgt_guest_ops *ops, void *arg)
{
	*guest = (struct tgt_guest){.ops = ops, .arg = arg};
}

void tgt_guest_fini(struct tgt_guest *guest)
{
	free(guest->ranges);
	*guest = (struct tgt_guest){.generation = guest->generation + 1};
}

/* The first range that ends behind @iova. */
static unsigned int guest_position(const struct tgt_guest *guest, uint64_t iova)
{
	unsigned int low = 0;
	unsigned int high = guest->nr_ranges;

	while (low < high) {
		unsigned int mid = low + (high - low) / 2;
		const struct tgt_guest_range *range = &guest->ranges[mid];

		if (iova > range->iova + (range->len - 1))
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static int guest_grow(struct tgt_guest *guest)
{
	unsigned int max = guest->max_ranges ? 2 * guest->max_ranges : 16;
	struct tgt_guest_range *ranges;

	if (guest->nr_ranges < guest->max_ranges)
		return 0;
	ranges = realloc(guest->ranges, max * sizeof(*ranges));
	if (!ranges)
		return -ENOMEM;
	guest->ranges = ranges;
	guest->max_ranges = max;
	return 0;
}

int tgt_guest_add(struct tgt_guest *guest, const struct tgt_guest_range *range)
{
	unsigned int pos;

	if (!range->len || range->iova > UINT64_MAX - (range->len - 1))
		return -EINVAL;
	pos = guest_position(guest, range->iova);
	if (pos < guest->nr_ranges && guest->ranges[pos].iova <= range->iova + (range->len - 1))
		return -EEXIST;
	if (guest_grow(guest))
		return -ENOMEM;
	memmove(&guest->ranges[pos + 1], &guest->ranges[pos], (guest->nr_ranges - pos) * sizeof(*range));
	guest->ranges[pos] = *range;
	guest->nr_ranges++;
	guest->generation++;
	return 0;
}

int tgt_guest_remove(struct tgt_guest *guest, uint64_t iova, uint64_t len)
{
	unsigned int pos = guest_position(guest, iova);

	if (pos == guest->nr_ranges || guest->ranges[pos].iova != iova || guest->ranges[pos].len != len)
		return -ENOENT;
	guest->nr_ranges--;
	memmove(&guest->ranges[pos], &guest->ranges[pos + 1], (guest->nr_ranges - pos) * sizeof(guest->ranges[0]));
	guest->last = 0;
	guest->generation++;
	return 0;
}

const struct tgt_guest_range *tgt_guest_find(struct tgt_guest *guest, uint64_t iova)
{
	const struct tgt_guest_range *range;
	unsigned int pos;

	if (!guest->nr_ranges)
		return NULL;
	range = &guest->ranges[guest->last];
	if (QUOLL_LIKELY(iova - range->iova < range->len))
		return range;
	pos = guest_position(guest, iova);
	if (pos == guest->nr_ranges || iova < guest->ranges[pos].iova)
		return NULL;
	guest->last = pos;
	return &guest->ranges[pos];
}

const struct tgt_guest_range *tgt_guest_find_va(const struct tgt_guest *guest, const void *va)
{
	for (unsigned int i = 0; i < guest->nr_ranges; i++) {
		const struct tgt_guest_range *range = &guest->ranges[i];

		if (range->va && (uintptr_t)va - (uintptr_t)range->va < range->len)
			return range;
	}
	return NULL;
}

void *tgt_guest_va(struct tgt_guest *guest, uint64_t iova, uint64_t len, unsigned int prot)
{
	const struct tgt_guest_range *range = tgt_guest_find(guest, iova);

	if (!range || !range->va || (range->prot & prot) != prot || len > range->len - (iova - range->iova))
		return NULL;
	return range->va + (iova - range->iova);
}

/* Addresses do not go round: what would is not there. */
static bool guest_wraps(uint64_t iova, size_t len)
{
	return len && iova > UINT64_MAX - (len - 1);
}

/* How much of @len at @iova lies in one range with @prot; 0 if the first byte does not. */
static size_t guest_piece(struct tgt_guest *guest, uint64_t iova, size_t len, unsigned int prot)
{
	const struct tgt_guest_range *range = tgt_guest_find(guest, iova);
	uint64_t left;

	if (!range || !(range->prot & prot))
		return 0;
	left = range->len - (iova - range->iova);
	return left < len ? (size_t)left : len;
}

bool tgt_guest_covers(struct tgt_guest *guest, uint64_t iova, uint64_t len, unsigned int prot)
{
	if (guest_wraps(iova, len))
		return false;
	while (len) {
		size_t piece = guest_piece(guest, iova, len, prot);

		if (!piece)
			return false;
		iova += piece;
		len -= piece;
	}
	return true;
}

int tgt_guest_read(struct tgt_guest *guest, uint64_t iova, void *dst, size_t len)
{
	uint8_t *to = dst;

	if (guest_wraps(iova, len))
		return -EFAULT;
	while (len) {
		size_t piece = guest_piece(guest, iova, len, TGT_GUEST_READ);
		const uint8_t *va;
		int rc = 0;

		if (!piece)
			return -EFAULT;
		va = tgt_guest_va(guest, iova, piece, TGT_GUEST_READ);
		if (va)
			memcpy(to, va, piece);
		else
			rc = guest->ops && guest->ops->read ? guest->ops->read(guest->arg, iova, to, piece) : -EFAULT;
		if (rc)
			return rc;
		iova += piece;
		to += piece;
		len -= piece;
	}
	return 0;
}

int tgt_guest_write(struct tgt_guest *guest, uint64_t iova, const void *src, size_t len)
{
	const uint8_t *from = src;

	if (guest_wraps(iova, len))
		return -EFAULT;
	while (len) {
		size_t piece = guest_piece(guest, iova, len, TGT_GUEST_WRITE);
		uint8_t *va;
		int rc = 0;

		if (!piece)
			return -EFAULT;
		va = tgt_guest_va(guest, iova, piece, TGT_GUEST_WRITE);
		if (va)
			memcpy(va, from, piece);
		else
			rc = guest->ops && guest->ops->write ? guest->ops->write(guest->arg, iova, from, piece)
							     : -EFAULT;
		if (rc)
			return rc;
		iova += piece;
		from += piece;
		len -= piece;
	}
	return 0;
}

int tgt_guest_fetch(struct tgt_guest *guest, uint64_t iova, quoll_le64 *dst, unsigned int nr)
{
	const void *va = tgt_guest_va(guest, iova, nr * sizeof(*dst), TGT_GUEST_READ);

	if (!va || (uintptr_t)va & 7)
		return tgt_guest_read(guest, iova, dst, nr * sizeof(*dst));
	tgt_fetch_quads(va, dst, nr);
	return 0;
}
