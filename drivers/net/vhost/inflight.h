/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * inflight.h - the memory that outlives us, as the specification lays it out (vhost-user, "Inflight I/O tracking").
 */
#ifndef VHOST_INFLIGHT_H
#define VHOST_INFLIGHT_H

#include "vhost.h"

#define VHOST_INFLIGHT_VERSION 1u

struct vhost_inflight_split_desc {
	uint8_t inflight;
	uint8_t padding[5];
	uint16_t next;
	uint64_t counter;
};

struct vhost_inflight_split {
	uint64_t features;
	uint16_t version;
	uint16_t nr_descs;
	uint16_t last_batch_head;
	uint16_t used_idx;
	struct vhost_inflight_split_desc descs[];
};

struct vhost_inflight_packed_desc {
	uint8_t inflight;
	uint8_t padding;
	uint16_t next;
	uint16_t last;
	uint16_t num;
	uint64_t counter;
	uint16_t id;
	uint16_t flags;
	uint32_t bytes;
	uint64_t addr;
};

struct vhost_inflight_packed {
	uint64_t features;
	uint16_t version;
	uint16_t nr_descs;
	uint16_t free_head;
	uint16_t old_free_head;
	uint16_t used_idx;
	uint16_t old_used_idx;
	uint8_t used_wrap;
	uint8_t old_used_wrap;
	uint8_t padding[7];
	struct vhost_inflight_packed_desc descs[];
};

static_assert(sizeof(struct vhost_inflight_split) == 16, "as specified");
static_assert(sizeof(struct vhost_inflight_packed) == 32, "as specified");
static_assert(offsetof(struct vhost_inflight_packed, used_idx) == 16 &&
		      offsetof(struct vhost_inflight_packed, old_used_wrap) == 21,
	      "the place is one aligned word");
static_assert(sizeof(struct vhost_inflight_packed_desc) == 32, "as specified");

/* Around a ring's giving back: which slots it is about, and that all of it is done. */
void vhost_inflight_packed_before(const struct vhost_ring *ring);
void vhost_inflight_packed_after(const struct vhost_ring *ring);

#endif
