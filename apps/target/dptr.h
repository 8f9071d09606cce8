/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * dptr.h - the data pointer of a command: PRPs and SGLs, checked, to pieces of host memory.
 *
 * Sources: NVM Express Base Specification 2.0, 4.1.1 (Physical Region Page), 4.1.2 (Scatter Gather List), Figure 94
 * (status codes). Lists lie in the host's memory, which may change meanwhile: each entry is copied once, then checked.
 */
#ifndef QUOLL_TARGET_DPTR_H
#define QUOLL_TARGET_DPTR_H

#include "guest.h"
#include "request.h"

/* More descriptors than that are refused, so that lists that loop come to an end. */
#define TGT_MAX_SGL_DESCS 2048u

/**
 * struct tgt_dptr - what all data pointers of a controller have in common
 * @page_shift: CC.MPS + 12
 */
struct tgt_dptr {
	struct tgt_guest *guest;
	unsigned int page_shift;
};

/**
 * tgt_dptr_map() - make @req->segs of the data pointer
 * @bytes: that the command moves, at most TGT_MAX_BYTES; 0 makes an empty list without looking
 * @prot:  TGT_GUEST_READ for data from the host, TGT_GUEST_WRITE for data to it
 *
 * If a part isn't mapped here, @req->remote is set and all segments are addresses. Return: 0 or the status.
 */
uint16_t tgt_dptr_map(const struct tgt_dptr *dptr, struct tgt_req *req, uint32_t bytes, unsigned int prot);

/**
 * tgt_dptr_addresses() - the same, but always addresses; for tgt_dptr_read() and tgt_dptr_write()
 */
uint16_t tgt_dptr_addresses(const struct tgt_dptr *dptr, struct tgt_req *req, uint32_t bytes, unsigned int prot);

/**
 * tgt_dptr_read(), tgt_dptr_write() - data from the host, data to the host, by addresses; @len at most what they hold
 * Return: 0 or the status.
 */
uint16_t tgt_dptr_read(const struct tgt_dptr *dptr, const struct tgt_req *req, void *dst, size_t len);
uint16_t tgt_dptr_write(const struct tgt_dptr *dptr, const struct tgt_req *req, const void *src, size_t len);

#endif
