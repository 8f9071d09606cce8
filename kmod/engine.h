/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * engine.h - streaming, as engine.c (slots and what the entries of a ring do to them) and stream.c (requests, memory of
 * rings, buffers, the beginning and the end) share it. Neither knows of devices.
 *
 * Locks: engine->lock is inside group->lock, and short: tables and counts. ring->mutex is only ever tried. Neither, nor
 * the engine's SRCU, is held for the group's sake while user memory is waited for; ring->mutex may be, as nobody waits
 * for it.
 */
#ifndef QUOLL_ENGINE_H
#define QUOLL_ENGINE_H

#include <linux/bitmap.h>
#include <linux/iommu.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/scatterlist.h>
#include <linux/srcu.h>

#include "quoll_uapi.h"

/* Entries that are copied, then checked, then done together. */
#define QUOLL_BATCH 64
#define QUOLL_PAGES_AT_ONCE (PAGE_SIZE / sizeof(struct page *))

/*
 * struct quoll_slot - a page of the window
 * @page:   pinned for it; @buffer: in the first slot of a mapping of a registered buffer, instead
 * @state:  SLOT_*; from free it is taken by cmpxchg, and whoever took it has all of the slot
 * @next:   first slots: in a ring's list of what is zapped
 */
struct quoll_slot {
	union {
		struct page *page;
		struct quoll_buffer *buffer;
	};
	u32 state;
	u32 next;
};

#define QUOLL_NO_SLOT U32_MAX

/* Memory of the process that stays pinned, and counts against its limit. */
struct quoll_pinned {
	struct page **pages;
	unsigned long nr;
	bool write;
};

/*
 * struct quoll_buffer - registered memory
 * @uses: 1, and one for each mapping
 */
struct quoll_buffer {
	refcount_t uses;
	struct quoll_pinned memory;
};

/* Pages that are to be unpinned, a page of pointers at a time. */
struct quoll_unpin {
	unsigned int nr;
	bool dirty;
	struct page *pages[QUOLL_PAGES_AT_ONCE];
};

/*
 * struct quoll_ring - a ring: its indexes as the kernel knows them; @shared has copies that the program may spoil
 * @mutex:     of all that follows, but see @gather
 * @memory:    of the program, where @shared, @entries and @dones are
 * @gather:    what is zapped and not flushed, if @unflushed; written within the engine's SRCU
 * @zapped_first, @zapped_last: slots
 * @batch, @results: entries that are being done
 * @slots:     the first one of each map that has some
 * @nr_sg, @next_pfn, @sg: what is going to be mapped; next_pfn would go on with it, or is ULONG_MAX
 */
struct quoll_ring {
	struct mutex mutex;
	u32 nr_entries;
	u32 head;
	u32 done_tail;
	struct quoll_pinned memory;
	struct quoll_stream_head *shared;
	struct quoll_stream_entry *entries;
	struct quoll_stream_done *dones;
	struct iommu_iotlb_gather gather;
	bool unflushed;
	u32 zapped_first;
	u32 zapped_last;
	struct quoll_stream_entry batch[QUOLL_BATCH];
	int results[QUOLL_BATCH];
	struct quoll_slot *slots[QUOLL_BATCH];
	unsigned int nr_sg;
	unsigned long next_pfn;
	struct scatterlist sg[QUOLL_BATCH];
	struct quoll_unpin unpin;
};

/*
 * struct quoll_engine - a window, from when it is set up until the owner's file is closed for good
 * @mm:      the owner's
 * @first:   page number of the window's first IOVA
 * @large:   pages that the IOMMU's second smallest page has
 * @srcu:    read around all that is done to the domain
 * @live:    the claim stands; @lock to write, @srcu to read
 * @lock:    of what follows, but that @buffers are read with @srcu, too
 * @users:   calls that are inside, and the claim; the last one settles
 */
struct quoll_engine {
	struct mm_struct *mm;
	struct iommu_domain *domain;
	unsigned long first;
	unsigned long nr_slots;
	unsigned long large;
	struct quoll_slot *slots;
	struct srcu_struct srcu;
	bool live;
	struct mutex lock;
	unsigned int users;
	struct quoll_ring *rings[QUOLL_STREAM_MAX_RINGS];
	struct quoll_buffer *buffers[QUOLL_STREAM_MAX_BUFFERS];
	DECLARE_BITMAP(ring_ids, QUOLL_STREAM_MAX_RINGS);
	DECLARE_BITMAP(buffer_ids, QUOLL_STREAM_MAX_BUFFERS);
	struct quoll_unpin unpin; /* for the one that settles */
};

/* engine.c */

/* With ring->mutex: do the first @nr of ring->batch, in their order, each to its result: 0, -errno. */
void quoll_ring_run(struct quoll_engine *engine, struct quoll_ring *ring, unsigned int nr);
/* With ring->mutex: what the ring has zapped is free. Return: 0, -ENODEV: the claim has ended, nothing was done. */
int quoll_ring_fence(struct quoll_engine *engine, struct quoll_ring *ring);
/* When the claim has ended and nobody is inside: all out of the domain, and flushed. */
void quoll_slots_unmap(struct quoll_engine *engine);
/* After that: unpin what was mapped. Return: pages that stay pinned for good, by no buffer. */
unsigned long quoll_slots_settle(struct quoll_engine *engine);

#endif
