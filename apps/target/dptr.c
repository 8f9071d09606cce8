/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dptr.c - PRP lists and SGLs of a host that is not trusted.
 */
#include <string.h>

#include "dptr.h"

/* Entries that are copied at once. */
#define PRP_CHUNK 64u
#define SGL_CHUNK 32u

/* Not a status: a part of the data isn't mapped here, so that the list must be made of addresses. */
#define DPTR_REMOTE 0xffffu

enum sgl_type {
	SGL_DATA_BLOCK = 0,
	SGL_SEGMENT = 2,
	SGL_LAST_SEGMENT = 3,
};

struct sgl_desc {
	quoll_le64 iova;
	quoll_le32 len;
	uint8_t reserved[3];
	uint8_t type; /* 7:4 type, 3:0 subtype */
};

static_assert(sizeof(struct sgl_desc) == 16, "SGL descriptor");

/* What is left to be found, and with which permission. */
struct walk {
	const struct tgt_dptr *dptr;
	struct tgt_req *req;
	uint32_t left;
	unsigned int prot;
};

static uint32_t page_bytes(const struct tgt_dptr *dptr)
{
	return 1u << dptr->page_shift;
}

static bool seg_push(struct tgt_req *req, uint8_t *va, size_t len)
{
	struct iovec *last = req->nr_segs ? &req->segs[req->nr_segs - 1].mem : NULL;

	if (last && (uintptr_t)last->iov_base + last->iov_len == (uintptr_t)va) {
		last->iov_len += len;
		return true;
	}
	if (req->nr_segs == TGT_MAX_SEGS)
		return false;
	req->segs[req->nr_segs++].mem = (struct iovec){.iov_base = va, .iov_len = len};
	return true;
}

/* @len bytes at @iova belong to the data; they may lie in several ranges. */
static uint16_t seg_add(struct walk *walk, uint64_t iova, uint32_t len)
{
	struct tgt_req *req = walk->req;

	walk->left -= len;
	while (len) {
		const struct tgt_guest_range *range = tgt_guest_find(walk->dptr->guest, iova);
		uint64_t within;
		uint32_t piece;

		if (!range || !(range->prot & walk->prot))
			return TGT_SC(DATA_XFER_ERROR);
		within = iova - range->iova;
		piece = range->len - within < len ? (uint32_t)(range->len - within) : len;
		if (!range->va && !req->remote)
			return DPTR_REMOTE;
		if (!seg_push(req, req->remote ? (uint8_t *)(uintptr_t)iova : range->va + within, piece))
			return TGT_SC(DATA_XFER_ERROR);
		/* Addresses do not go round. */
		if (piece < len && iova > UINT64_MAX - piece)
			return TGT_SC(DATA_XFER_ERROR);
		iova += piece;
		len -= piece;
	}
	return 0;
}

/*
 * A list of PRP entries at @list. The last one of a page points to the next page, if more than one data page is left.
 * Each page of the list brings at least one data page (the first may hold nothing but the pointer), so a list that
 * loops ends with the data.
 */
static uint16_t prp_list(struct walk *walk, uint64_t list)
{
	uint32_t page = page_bytes(walk->dptr);
	quoll_le64 entries[PRP_CHUNK];

	if (list & 7)
		return TGT_SC(PRP_INVALID_OFFSET);
	while (walk->left) {
		uint32_t room = (page - (uint32_t)(list & (page - 1))) / 8;
		uint32_t need = (walk->left + page - 1) >> walk->dptr->page_shift;
		uint32_t nr = need < room ? need : room;

		nr = nr < PRP_CHUNK ? nr : PRP_CHUNK;
		if (tgt_guest_fetch(walk->dptr->guest, list, entries, nr))
			return TGT_SC(DATA_XFER_ERROR);
		list += nr * 8;
		for (uint32_t i = 0; i < nr; i++) {
			uint64_t iova = quoll_le64_to_cpu(entries[i]);
			uint16_t status;

			if (iova & (page - 1))
				return TGT_SC(PRP_INVALID_OFFSET);
			if (i == room - 1 && need - i > 1) {
				list = iova;
				break;
			}
			status = seg_add(walk, iova, walk->left < page ? walk->left : page);
			if (status)
				return status;
		}
	}
	return 0;
}

static uint16_t prp_map(struct walk *walk)
{
	uint64_t prp1 = quoll_le64_to_cpu(walk->req->cmd.prp1);
	uint64_t prp2 = quoll_le64_to_cpu(walk->req->cmd.prp2);
	uint32_t page = page_bytes(walk->dptr);
	uint32_t first = page - (uint32_t)(prp1 & (page - 1));
	uint16_t status;

	if (prp1 & 3)
		return TGT_SC(PRP_INVALID_OFFSET);
	status = seg_add(walk, prp1, first < walk->left ? first : walk->left);
	if (status || !walk->left)
		return status;
	if (walk->left > page)
		return prp_list(walk, prp2);
	if (prp2 & (page - 1))
		return TGT_SC(PRP_INVALID_OFFSET);
	return seg_add(walk, prp2, walk->left);
}

static uint16_t sgl_data(struct walk *walk, const struct sgl_desc *desc)
{
	uint32_t len = quoll_le32_to_cpu(desc->len);

	if (len > walk->left)
		return TGT_SC(SGL_INVALID_DATA);
	return seg_add(walk, quoll_le64_to_cpu(desc->iova), len);
}

static bool sgl_is_segment(const struct sgl_desc *desc)
{
	return desc->type == SGL_SEGMENT << 4 || desc->type == SGL_LAST_SEGMENT << 4;
}

/* One segment that @seg describes. If another follows, @seg becomes its descriptor and @more is set. */
static uint16_t sgl_segment(struct walk *walk, struct sgl_desc *seg, uint32_t nr, bool *more)
{
	bool is_last = seg->type == SGL_LAST_SEGMENT << 4;
	uint64_t at = quoll_le64_to_cpu(seg->iova);
	struct sgl_desc descs[SGL_CHUNK];
	uint16_t status;

	*more = false;
	for (uint32_t i = 0; i < nr; i++) {
		const struct sgl_desc *desc = &descs[i % SGL_CHUNK];
		uint32_t ahead = nr - i < SGL_CHUNK ? nr - i : SGL_CHUNK;

		if (i % SGL_CHUNK == 0 &&
		    tgt_guest_fetch(walk->dptr->guest, at + i * sizeof(*desc), (quoll_le64 *)descs, 2 * ahead))
			return TGT_SC(DATA_XFER_ERROR);
		if (desc->type == SGL_DATA_BLOCK << 4) {
			status = sgl_data(walk, desc);
			if (status)
				return status;
			continue;
		}
		if (!sgl_is_segment(desc))
			return TGT_SC(SGL_INVALID_TYPE);
		if (is_last)
			return TGT_SC(SGL_INVALID_LAST);
		if (i != nr - 1)
			return TGT_SC(SGL_INVALID_COUNT);
		*seg = *desc;
		*more = true;
	}
	/* Only a last segment ends with data. */
	return is_last || *more ? 0 : TGT_SC(SGL_INVALID_LAST);
}

static uint16_t sgl_map(struct walk *walk)
{
	uint32_t nr_descs = 0;
	struct sgl_desc desc;
	uint16_t status = 0;
	bool more;

	memcpy(&desc, &walk->req->cmd.prp1, sizeof(desc));
	more = sgl_is_segment(&desc);
	if (!more && desc.type != SGL_DATA_BLOCK << 4)
		return TGT_SC(SGL_INVALID_TYPE);
	if (!more)
		status = sgl_data(walk, &desc);
	while (more && !status) {
		uint32_t len = quoll_le32_to_cpu(desc.len);

		if (!len || len % sizeof(desc) || quoll_le64_to_cpu(desc.iova) & 7)
			return TGT_SC(SGL_INVALID_LAST);
		if (len / sizeof(desc) > TGT_MAX_SGL_DESCS - nr_descs)
			return TGT_SC(SGL_INVALID_COUNT);
		nr_descs += len / sizeof(desc);
		status = sgl_segment(walk, &desc, len / sizeof(desc), &more);
	}
	if (status)
		return status;
	return walk->left ? TGT_SC(SGL_INVALID_DATA) : 0;
}

static uint16_t dptr_walk(const struct tgt_dptr *dptr, struct tgt_req *req, uint32_t bytes, unsigned int prot)
{
	struct walk walk = {.dptr = dptr, .req = req, .left = bytes, .prot = prot};

	req->nr_segs = 0;
	if (!bytes)
		return 0;
	/* 00b is PRPs; 01b and 10b are SGLs that differ in the metadata pointer only; 11b was refused. */
	return req->cmd.flags >> 6 ? sgl_map(&walk) : prp_map(&walk);
}

/*
 * The short way, of most commands: PRPs, all data in the page of the first, and that mapped. Return: false: the long
 * way says what it is.
 */
static inline bool dptr_in_one_page(const struct tgt_dptr *dptr, struct tgt_req *req, uint32_t bytes, unsigned int prot)
{
	uint64_t prp1 = quoll_le64_to_cpu(req->cmd.prp1);
	uint32_t page = page_bytes(dptr);
	const struct tgt_guest_range *range;
	uint64_t within;

	if (req->cmd.flags >> 6 || prp1 & 3 || !bytes || bytes > page - (uint32_t)(prp1 & (page - 1)))
		return false;
	range = tgt_guest_find(dptr->guest, prp1);
	if (QUOLL_UNLIKELY(!range || !range->va || !(range->prot & prot)))
		return false;
	within = prp1 - range->iova;
	if (QUOLL_UNLIKELY(range->len - within < bytes))
		return false;
	req->nr_segs = 1;
	req->segs[0].mem = (struct iovec){.iov_base = range->va + within, .iov_len = bytes};
	return true;
}

/* Not inlined, so that the short way saves no registers for it. */
static __attribute__((noinline)) uint16_t dptr_map_long(const struct tgt_dptr *dptr, struct tgt_req *req,
							uint32_t bytes, unsigned int prot)
{
	uint16_t status = dptr_walk(dptr, req, bytes, prot);

	return QUOLL_LIKELY(status != DPTR_REMOTE) ? status : tgt_dptr_addresses(dptr, req, bytes, prot);
}

uint16_t tgt_dptr_map(const struct tgt_dptr *dptr, struct tgt_req *req, uint32_t bytes, unsigned int prot)
{
	req->remote = false;
	if (QUOLL_LIKELY(dptr_in_one_page(dptr, req, bytes, prot)))
		return 0;
	return dptr_map_long(dptr, req, bytes, prot);
}

uint16_t tgt_dptr_addresses(const struct tgt_dptr *dptr, struct tgt_req *req, uint32_t bytes, unsigned int prot)
{
	req->remote = true;
	return dptr_walk(dptr, req, bytes, prot);
}

uint16_t tgt_dptr_read(const struct tgt_dptr *dptr, const struct tgt_req *req, void *dst, size_t len)
{
	uint8_t *to = dst;

	for (unsigned int i = 0; i < req->nr_segs && len; i++) {
		size_t piece = req->segs[i].remote.len < len ? req->segs[i].remote.len : len;

		if (tgt_guest_read(dptr->guest, req->segs[i].remote.iova, to, piece))
			return TGT_SC(DATA_XFER_ERROR);
		to += piece;
		len -= piece;
	}
	return 0;
}

uint16_t tgt_dptr_write(const struct tgt_dptr *dptr, const struct tgt_req *req, const void *src, size_t len)
{
	const uint8_t *from = src;

	for (unsigned int i = 0; i < req->nr_segs && len; i++) {
		size_t piece = req->segs[i].remote.len < len ? req->segs[i].remote.len : len;

		if (tgt_guest_write(dptr->guest, req->segs[i].remote.iova, from, piece))
			return TGT_SC(DATA_XFER_ERROR);
		from += piece;
		len -= piece;
	}
	return 0;
}
