// SPDX-License-Identifier: GPL-2.0-only
/*
 * engine.c - streaming: the slots of a window, and what the entries of a ring do to them.
 *
 * Two threads never have the same slot: a map takes it from free, an unmap from mapped, by cmpxchg. Entries are done in
 * their order, neighbours of a kind together: memory that is contiguous to the process is pinned in one call, what is
 * contiguous to devices is mapped and unmapped in one, what is unmapped waits for the next fence to be flushed in one.
 *
 * The domain is touched within the engine's SRCU only, where the claim was seen to stand; memory is pinned and unpinned
 * outside of it.
 *
 * One call never makes a page of the IOMMU's that belongs to two mappings, as an unmap of one of them would take the
 * other with it (Intel's driver does so up to 6.x), or fail: neighbours are mapped together only while all of them are
 * smaller than the second smallest page that the IOMMU has. A mapping that is larger goes down alone, so that its large
 * pages are its own, and an unmap is of whole mappings.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>

#include "compat.h"
#include "engine.h"
#include "quoll.h"

/*
 * The first slot of a mapping has SLOT_MAPPED or one of what follows, with flags and the number of slots; the others
 * stay SLOT_TAKEN until they are free.
 */
#define SLOT_FREE 0
#define SLOT_TAKEN 1
#define SLOT_MAPPED 2
#define SLOT_ZAPPED 3
#define SLOT_LOST 4 /* the IOMMU did not let go of it: it stays pinned for good */
#define SLOT_KIND 7
#define SLOT_WRITE BIT(3)
#define SLOT_REGISTERED BIT(4)
#define SLOT_NR_SHIFT 5

static_assert(QUOLL_WINDOW_MAX_BYTES >> PAGE_SHIFT <= U32_MAX >> SLOT_NR_SHIFT);
static_assert(QUOLL_BATCH <= 64); /* a bit each */

#define PROT_FLAGS (QUOLL_STREAM_READ | QUOLL_STREAM_WRITE)
#define SG_MAX_BYTES SZ_1G
#define SLOTS_AT_ONCE 4096 /* before others may run */

static unsigned long entry_slot(const struct quoll_engine *engine, const struct quoll_stream_entry *entry)
{
	return (entry->iova >> PAGE_SHIFT) - engine->first;
}

static unsigned long entry_pages(const struct quoll_stream_entry *entry)
{
	return entry->size_bytes >> PAGE_SHIFT;
}

static unsigned long state_pages(u32 state)
{
	return state >> SLOT_NR_SHIFT;
}

static __always_inline void slots_free(struct quoll_engine *engine, unsigned long first, unsigned long nr)
{
	unsigned long i;

	for (i = 0; i < nr; i++) {
		/* pairs with slots_take(): all is done with it */
		smp_store_release(&engine->slots[first + i].state, SLOT_FREE);
		if (i % SLOTS_AT_ONCE == SLOTS_AT_ONCE - 1)
			cond_resched();
	}
}

static int slots_take(struct quoll_engine *engine, unsigned long first, unsigned long nr)
{
	unsigned long i;

	for (i = 0; i < nr; i++) {
		if (cmpxchg_acquire(&engine->slots[first + i].state, SLOT_FREE, SLOT_TAKEN) != SLOT_FREE) {
			slots_free(engine, first, i);
			return -EEXIST;
		}
		if (i % SLOTS_AT_ONCE == SLOTS_AT_ONCE - 1) {
			cond_resched();
			if (!READ_ONCE(engine->live)) { /* its end waits for us */
				slots_free(engine, first, i + 1);
				return -ENODEV;
			}
		}
	}
	return 0;
}

static void unpin_flush(struct quoll_unpin *unpin)
{
	if (unpin->nr)
		unpin_user_pages_dirty_lock(unpin->pages, unpin->nr, unpin->dirty);
	unpin->nr = 0;
	cond_resched();
}

static void unpin_add(struct quoll_unpin *unpin, struct page *page, bool dirty)
{
	if (unpin->nr == QUOLL_PAGES_AT_ONCE || (unpin->nr && unpin->dirty != dirty))
		unpin_flush(unpin);
	unpin->dirty = dirty;
	unpin->pages[unpin->nr++] = page;
}

/* Nobody reaches a mapping any more: let go of its memory, and free its slots. */
static __always_inline void mapping_settle(struct quoll_engine *engine, unsigned long first, u32 state,
					   struct quoll_unpin *unpin)
{
	struct quoll_slot *slot = &engine->slots[first];
	unsigned long i;

	if (!(state & SLOT_REGISTERED))
		for (i = 0; i < state_pages(state); i++)
			unpin_add(unpin, slot[i].page, state & SLOT_WRITE);
	else if (slot->buffer)
		refcount_dec(&slot->buffer->uses);
	slots_free(engine, first, state_pages(state));
}

static bool reserved_used(const struct quoll_stream_entry *entry)
{
	BUILD_BUG_ON(ARRAY_SIZE(entry->reserved2) != 3);
	return entry->reserved2[0] | entry->reserved2[1] | entry->reserved2[2];
}

/* What holds for all entries that name IOVAs. */
static __always_inline int entry_check(const struct quoll_engine *engine, const struct quoll_stream_entry *entry,
				       u8 flags)
{
	u64 first = (entry->iova >> PAGE_SHIFT) - engine->first, nr = entry->size_bytes >> PAGE_SHIFT;

	if (entry->flags & ~flags || entry->reserved || reserved_used(entry))
		return -EINVAL;
	if (!nr || (entry->va | entry->iova | entry->size_bytes) & ~PAGE_MASK)
		return -EINVAL;
	/* one before the window has wrapped */
	if (first >= engine->nr_slots || nr > engine->nr_slots - first)
		return -ERANGE;
	return 0;
}

static int map_check(const struct quoll_engine *engine, const struct quoll_stream_entry *entry)
{
	u64 last;
	int rc;

	rc = entry_check(engine, entry, PROT_FLAGS | QUOLL_STREAM_REGISTERED | QUOLL_STREAM_SILENT);
	if (rc)
		return rc;
	if (!(entry->flags & PROT_FLAGS) || check_add_overflow(entry->va, entry->size_bytes - 1, &last))
		return -EINVAL;
	if (entry->flags & QUOLL_STREAM_REGISTERED)
		return entry->buffer < QUOLL_STREAM_MAX_BUFFERS ? 0 : -ENOENT;
	if (entry->buffer)
		return -EINVAL;
	return access_ok((void __user *)(unsigned long)entry->va, entry->size_bytes) ? 0 : -EFAULT;
}

static int unmap_check(const struct quoll_engine *engine, const struct quoll_stream_entry *entry)
{
	if (entry->buffer || entry->va)
		return -EINVAL;
	return entry_check(engine, entry, QUOLL_STREAM_SILENT);
}

static int fence_check(const struct quoll_stream_entry *entry)
{
	if (entry->flags & ~QUOLL_STREAM_SILENT || entry->reserved || entry->buffer || entry->va || entry->iova ||
	    entry->size_bytes || reserved_used(entry))
		return -EINVAL;
	return 0;
}

/* A map came to nothing: let go of the first @nr pages that it has pinned, or of its buffer; then of its slots. */
static void map_undo(struct quoll_engine *engine, struct quoll_ring *ring, unsigned int i, unsigned long nr)
{
	const struct quoll_stream_entry *entry = &ring->batch[i];
	unsigned long first = entry_slot(engine, entry), k;
	struct quoll_slot *slot = &engine->slots[first];

	if (!(entry->flags & QUOLL_STREAM_REGISTERED))
		for (k = 0; k < nr; k++)
			unpin_add(&ring->unpin, slot[k].page, entry->flags & QUOLL_STREAM_WRITE);
	else if (slot->buffer)
		refcount_dec(&slot->buffer->uses);
	unpin_flush(&ring->unpin);
	slots_free(engine, first, entry_pages(entry));
}

/* Within the SRCU. The mapping counts as a use of the buffer from now on. */
static int buffer_use(struct quoll_engine *engine, const struct quoll_stream_entry *entry, struct quoll_slot *slot)
{
	unsigned long first = entry->va >> PAGE_SHIFT;
	struct quoll_buffer *buffer;
	u32 id = entry->buffer;

	BUILD_BUG_ON_NOT_POWER_OF_2(QUOLL_STREAM_MAX_BUFFERS);
	/* As array_index_nospec() after the check that was made, by an instruction in place of three. */
	OPTIMIZER_HIDE_VAR(id);
	/* pairs with buffer_install() */
	buffer = smp_load_acquire(&engine->buffers[id & (QUOLL_STREAM_MAX_BUFFERS - 1)]);
	if (!buffer || !refcount_inc_not_zero(&buffer->uses)) {
		slot->buffer = NULL;
		return -ENOENT;
	}
	slot->buffer = buffer;
	if (first >= buffer->memory.nr || entry_pages(entry) > buffer->memory.nr - first)
		return -EFAULT;
	return entry->flags & QUOLL_STREAM_WRITE && !buffer->memory.write ? -EFAULT : 0;
}

/*
 * Within the SRCU: take the slots of those that make sense, and the buffers of those that name one. Return: whether
 * there is memory to be pinned.
 */
static bool maps_take(struct quoll_engine *engine, struct quoll_ring *ring, unsigned int from, unsigned int to)
{
	struct quoll_stream_entry *entry;
	unsigned int i;
	bool pin = false;
	int rc;

	for (i = from; i < to; i++) {
		entry = &ring->batch[i];
		rc = map_check(engine, entry);
		if (!rc)
			rc = slots_take(engine, entry_slot(engine, entry), entry_pages(entry));
		ring->results[i] = rc;
		if (rc)
			continue;
		ring->slots[i] = &engine->slots[entry_slot(engine, entry)];
		if (!(entry->flags & QUOLL_STREAM_REGISTERED)) {
			pin = true;
			continue;
		}
		rc = buffer_use(engine, entry, ring->slots[i]);
		ring->results[i] = rc;
		if (rc)
			map_undo(engine, ring, i, 0);
	}
	return pin;
}

/* Whether entry @i of a ring goes on where the one before it ends, to the process. */
static bool va_goes_on(const struct quoll_ring *ring, unsigned int i)
{
	const struct quoll_stream_entry *entry = &ring->batch[i], *before = entry - 1;

	return !ring->results[i] && !((entry->flags ^ before->flags) & (PROT_FLAGS | QUOLL_STREAM_REGISTERED)) &&
	       entry->va == before->va + before->size_bytes;
}

/* Pin the memory of @from .. @to, which is contiguous. One that has no memory doesn't keep those after it from theirs.
 */
static void maps_pin_run(struct quoll_engine *engine, struct quoll_ring *ring, unsigned int from, unsigned int to)
{
	const struct quoll_stream_entry *entry = &ring->batch[from], *last = &ring->batch[to - 1];
	unsigned long va = entry->va, end = last->va + last->size_bytes, done = 0;
	bool write = entry->flags & QUOLL_STREAM_WRITE;
	struct page **pages = ring->unpin.pages; /* it has none meanwhile */
	long got, k;

	while (va < end) {
		got = -EINTR;
		if (!fatal_signal_pending(current))
			got = quoll_pin(va, min((end - va) >> PAGE_SHIFT, QUOLL_PAGES_AT_ONCE), write, pages);
		for (k = 0; k < got; k++) {
			engine->slots[entry_slot(engine, entry) + done].page = pages[k];
			if (++done == entry_pages(entry)) {
				done = 0;
				entry++;
			}
		}
		if (got <= 0) {
			ring->results[entry - ring->batch] = got ?: -EFAULT;
			map_undo(engine, ring, entry - ring->batch, done);
			va = entry->va + entry->size_bytes;
			done = 0;
			entry++;
		} else {
			va += got << PAGE_SHIFT;
		}
		cond_resched();
	}
}

static void maps_pin(struct quoll_engine *engine, struct quoll_ring *ring, unsigned int from, unsigned int to)
{
	unsigned int i, end;

	for (i = from; i < to; i = end) {
		end = i + 1;
		if (ring->results[i] || ring->batch[i].flags & QUOLL_STREAM_REGISTERED)
			continue;
		while (end < to && va_goes_on(ring, end))
			end++;
		maps_pin_run(engine, ring, i, end);
	}
}

static bool iova_goes_on(const struct quoll_ring *ring, unsigned int i)
{
	const struct quoll_stream_entry *entry = &ring->batch[i], *before = entry - 1;

	return !ring->results[i] && !((entry->flags ^ before->flags) & PROT_FLAGS) &&
	       entry->iova == before->iova + before->size_bytes;
}

/* The end of what may go down in one call with entry @i: contiguous to devices; smaller, together, than a large page.
 */
static unsigned int iova_run(const struct quoll_engine *engine, const struct quoll_ring *ring, unsigned int i,
			     unsigned int to)
{
	unsigned long pages = entry_pages(&ring->batch[i]);

	for (i++; i < to && iova_goes_on(ring, i); i++) {
		pages += entry_pages(&ring->batch[i]);
		if (pages >= engine->large)
			break;
	}
	return i;
}

/* Return: whether there was room for it. */
static __always_inline bool sg_add(struct quoll_ring *ring, struct page *page)
{
	unsigned long pfn = page_to_pfn(page);

	if (pfn == ring->next_pfn && ring->sg[ring->nr_sg - 1].length < SG_MAX_BYTES) {
		ring->sg[ring->nr_sg - 1].length += PAGE_SIZE;
	} else {
		if (ring->nr_sg == ARRAY_SIZE(ring->sg))
			return false;
		sg_set_page(&ring->sg[ring->nr_sg++], page, PAGE_SIZE, 0);
	}
	ring->next_pfn = pfn + 1;
	return true;
}

/* Map what was added at @iova. Return: its bytes, -errno: none of it is mapped; -EIO: some may be. */
static ssize_t sg_map(struct quoll_engine *engine, struct quoll_ring *ring, unsigned long iova, int prot)
{
	ssize_t got;

	got = compat_iommu_map_sg(engine->domain, iova, ring->sg, ring->nr_sg, prot);
	if (unlikely(got < 0) && !quoll_failed_clear(engine->domain, iova, ring->sg, ring->nr_sg))
		got = -EIO;
	ring->nr_sg = 0;
	ring->next_pfn = ULONG_MAX; /* which is none */
	return got;
}

/* Add the pages of entry @at at @iova, which goes on with what is mapped meanwhile. Return: 0, -errno. */
static int entry_add(struct quoll_engine *engine, struct quoll_ring *ring, unsigned int at, unsigned long *iova,
		     int prot)
{
	const struct quoll_stream_entry *entry = &ring->batch[at];
	struct quoll_slot *slot = ring->slots[at];
	struct page **registered = NULL, *page;
	unsigned long i, nr = entry_pages(entry);
	ssize_t got;

	if (entry->flags & QUOLL_STREAM_REGISTERED)
		registered = slot->buffer->memory.pages + (entry->va >> PAGE_SHIFT);
	for (i = 0; i < nr; i++) {
		page = registered ? registered[i] : slot[i].page;
		if (sg_add(ring, page))
			continue;
		got = READ_ONCE(engine->live) ? sg_map(engine, ring, *iova, prot) : -ENODEV;
		if (got < 0)
			return got;
		*iova += got;
		sg_add(ring, page);
		cond_resched();
	}
	return 0;
}

/*
 * Map @from .. @to, which are contiguous to devices and of one permission. Return: 0; -errno: none is mapped; -EIO:
 * some may be.
 */
static int maps_map_run(struct quoll_engine *engine, struct quoll_ring *ring, unsigned int from, unsigned int to)
{
	unsigned long start = ring->batch[from].iova, iova = start;
	u8 flags = ring->batch[from].flags;
	int prot = IOMMU_CACHE;
	unsigned int i;
	ssize_t got;

	if (flags & QUOLL_STREAM_READ)
		prot |= IOMMU_READ;
	if (flags & QUOLL_STREAM_WRITE)
		prot |= IOMMU_WRITE;
	for (i = from; i < to; i++) {
		got = entry_add(engine, ring, i, &iova, prot);
		if (got < 0)
			goto err_unmap;
	}
	got = sg_map(engine, ring, iova, prot);
	if (got >= 0)
		return 0;

err_unmap:
	ring->nr_sg = 0;
	ring->next_pfn = ULONG_MAX;
	if (iova != start && WARN_ON(iommu_unmap(engine->domain, start, iova - start) != iova - start))
		return -EIO;
	return got;
}

/* @kind: SLOT_MAPPED, SLOT_LOST */
static __always_inline void map_done(struct quoll_ring *ring, unsigned int i, u32 kind)
{
	const struct quoll_stream_entry *entry = &ring->batch[i];
	u32 state = kind | entry_pages(entry) << SLOT_NR_SHIFT;

	if (entry->flags & QUOLL_STREAM_WRITE)
		state |= SLOT_WRITE;
	if (entry->flags & QUOLL_STREAM_REGISTERED)
		state |= SLOT_REGISTERED;
	/* from here on an unmap finds it: pairs with slot_zap_state() */
	smp_store_release(&ring->slots[i]->state, state);
}

/* Within the SRCU. Return: a bit for each entry that has slots, and came to nothing. */
static u64 maps_map(struct quoll_engine *engine, struct quoll_ring *ring, unsigned int from, unsigned int to)
{
	bool live = READ_ONCE(engine->live);
	int *results = ring->results, rc;
	unsigned int i, end;
	u64 failed = 0;

	for (i = from; i < to;) {
		end = i + 1;
		if (!results[i]) {
			end = iova_run(engine, ring, i, to);
			rc = live ? maps_map_run(engine, ring, i, end) : -ENODEV;
			for (; rc && i < end; i++) {
				results[i] = rc;
				if (rc == -EIO)
					map_done(ring, i, SLOT_LOST);
				else
					failed |= BIT_ULL(i);
			}
			for (; i < end; i++)
				map_done(ring, i, SLOT_MAPPED);
		}
		i = end;
	}
	return failed;
}

static void do_maps(struct quoll_engine *engine, struct quoll_ring *ring, unsigned int from, unsigned int to)
{
	int idx = srcu_read_lock(&engine->srcu);
	unsigned int i;
	u64 failed;
	bool pin;

	pin = maps_take(engine, ring, from, to);
	srcu_read_unlock(&engine->srcu, idx);
	if (pin)
		maps_pin(engine, ring, from, to);
	idx = srcu_read_lock(&engine->srcu);
	failed = maps_map(engine, ring, from, to);
	srcu_read_unlock(&engine->srcu, idx);
	for (i = from; failed && i < to; i++)
		if (failed & BIT_ULL(i))
			map_undo(engine, ring, i, entry_pages(&ring->batch[i]));
}

/*
 * Take it out of the domain; devices may still reach it by the IOTLB until @gather is synced. The gather is widened to
 * @low .. @high before, so that no driver flushes in the middle because a range does not touch the one before.
 * Return: whether all of it is out.
 */
static bool slots_zap(struct quoll_engine *engine, struct iommu_iotlb_gather *gather, unsigned long first,
		      unsigned long nr, unsigned long low, unsigned long high)
{
	size_t bytes = nr << PAGE_SHIFT;

	gather->start = min(gather->start, (engine->first + low) << PAGE_SHIFT);
	gather->end = max(gather->end, ((engine->first + high) << PAGE_SHIFT) | ~PAGE_MASK);
	return !WARN_ON(iommu_unmap_fast(engine->domain, (engine->first + first) << PAGE_SHIFT, bytes, gather) !=
			bytes);
}

/* Within the SRCU: one mapping becomes zapped, and nobody else's. Return: its pages, -errno. */
static long slot_zap_state(u32 *state, unsigned long most)
{
	u32 was;

	/* pairs with map_done() */
	was = smp_load_acquire(state);
	switch (was & SLOT_KIND) {
	case SLOT_MAPPED:
		break;
	case SLOT_TAKEN:
		return -EINVAL;
	default:
		return -ENOENT;
	}
	if (state_pages(was) > most)
		return -EINVAL;
	return cmpxchg(state, was, (was & ~SLOT_KIND) | SLOT_ZAPPED) == was ? (long)state_pages(was) : -ENOENT;
}

/* The same for all that an entry names, or for none. Return: how many mappings, -errno. */
static int unmap_take(struct quoll_engine *engine, const struct quoll_stream_entry *entry)
{
	struct quoll_slot *slots = &engine->slots[entry_slot(engine, entry)];
	unsigned long at, back, pages = entry_pages(entry);
	int nr = 0;
	long got;
	u32 was;

	for (at = 0; at < pages; at += got, nr++) {
		got = slot_zap_state(&slots[at].state, pages - at);
		if (got < 0)
			goto err_back;
		if (nr % SLOTS_AT_ONCE == SLOTS_AT_ONCE - 1) {
			cond_resched();
			if (!READ_ONCE(engine->live)) { /* its end waits for us */
				at += got;
				got = -ENODEV;
				goto err_back;
			}
		}
	}
	return nr;

err_back:
	for (back = 0; back < at; back += state_pages(was)) {
		was = READ_ONCE(slots[back].state); /* nobody else changes what is zapped; what is mapped anybody may */
		/* pairs with slot_zap_state() */
		smp_store_release(&slots[back].state, (was & ~SLOT_KIND) | SLOT_MAPPED);
	}
	return got;
}

static void zapped_add(struct quoll_engine *engine, struct quoll_ring *ring, u32 first)
{
	engine->slots[first].next = QUOLL_NO_SLOT;
	if (ring->zapped_first == QUOLL_NO_SLOT)
		ring->zapped_first = first;
	else
		engine->slots[ring->zapped_last].next = first;
	ring->zapped_last = first;
}

static void slot_lost(struct quoll_slot *slot)
{
	WRITE_ONCE(slot->state, (slot->state & ~SLOT_KIND) | SLOT_LOST);
}

/* What unmaps span, how many mappings they are, and how many runs. */
struct span {
	unsigned long low;
	unsigned long high;
	unsigned int nr;
	unsigned int runs;
};

static void span_add(struct quoll_engine *engine, struct quoll_ring *ring, unsigned int i, struct span *span, int nr)
{
	unsigned long first = entry_slot(engine, &ring->batch[i]);

	span->low = min(span->low, first);
	span->high = max(span->high, first + entry_pages(&ring->batch[i]) - 1);
	span->runs += !span->nr || ring->results[i - 1] || !iova_goes_on(ring, i);
	span->nr += nr;
}

/* Within the SRCU: @nr slots from @first are whole mappings. Return: whether they are out. */
static bool run_zap(struct quoll_engine *engine, struct quoll_ring *ring, unsigned long first, unsigned long nr,
		    const struct span *span)
{
	unsigned long at;
	bool out;

	ring->unflushed = true;
	out = slots_zap(engine, &ring->gather, first, nr, span->low, span->high);
	for (at = first; at < first + nr; at += state_pages(engine->slots[at].state)) {
		if (out)
			zapped_add(engine, ring, at);
		else
			slot_lost(&engine->slots[at]);
	}
	return out;
}

/* The same, mapping by mapping. */
static bool mappings_zap(struct quoll_engine *engine, struct quoll_ring *ring, unsigned long first, unsigned long nr,
			 const struct span *span)
{
	unsigned long at, pages;
	bool out = true;

	for (at = first; at < first + nr; at += pages) {
		pages = state_pages(engine->slots[at].state);
		out &= run_zap(engine, ring, at, pages, span);
		cond_resched();
	}
	return out;
}

/*
 * Some drivers flush when the size of an unmap is not that of the one before. So a few long runs go down whole; where
 * they are many, and short, it is a call for each mapping, as these tend to be of one size.
 */
static void unmaps_zap(struct quoll_engine *engine, struct quoll_ring *ring, unsigned int from, unsigned int to,
		       const struct span *span)
{
	bool whole = span->runs * 4 <= span->nr, out;
	unsigned int i, end;
	unsigned long first;

	for (i = from; i < to; i = end) {
		end = i + 1;
		if (ring->results[i])
			continue;
		if (whole)
			end = iova_run(engine, ring, i, to);
		first = entry_slot(engine, &ring->batch[i]);
		out = (whole ? run_zap : mappings_zap)(
			engine, ring, first,
			entry_slot(engine, &ring->batch[end - 1]) + entry_pages(&ring->batch[end - 1]) - first, span);
		for (; !out && i < end; i++)
			ring->results[i] = -EIO;
	}
}

static void do_unmaps(struct quoll_engine *engine, struct quoll_ring *ring, unsigned int from, unsigned int to)
{
	struct span span = {.low = ULONG_MAX};
	int idx = srcu_read_lock(&engine->srcu);
	bool live = READ_ONCE(engine->live);
	unsigned int i;
	int rc;

	for (i = from; i < to; i++) {
		rc = unmap_check(engine, &ring->batch[i]);
		if (!rc)
			rc = live ? unmap_take(engine, &ring->batch[i]) : -ENODEV;
		ring->results[i] = min(rc, 0);
		if (rc > 0)
			span_add(engine, ring, i, &span, rc);
	}
	if (span.nr)
		unmaps_zap(engine, ring, from, to, &span);
	srcu_read_unlock(&engine->srcu, idx);
}

int quoll_ring_fence(struct quoll_engine *engine, struct quoll_ring *ring)
{
	int idx = srcu_read_lock(&engine->srcu);
	bool live = READ_ONCE(engine->live);
	unsigned int nr = 0;
	u32 slot, next;

	if (live && ring->unflushed) {
		iommu_iotlb_sync(engine->domain, &ring->gather);
		ring->unflushed = false;
	}
	srcu_read_unlock(&engine->srcu, idx);
	if (!live)
		return -ENODEV; /* quoll_slots_unmap() flushes, quoll_slots_settle() unpins */
	for (slot = ring->zapped_first; slot != QUOLL_NO_SLOT; slot = next) {
		next = engine->slots[slot].next;
		mapping_settle(engine, slot, engine->slots[slot].state, &ring->unpin);
		if (!(++nr % SLOTS_AT_ONCE))
			cond_resched();
	}
	unpin_flush(&ring->unpin);
	ring->zapped_first = QUOLL_NO_SLOT;
	return 0;
}

static void do_fences(struct quoll_engine *engine, struct quoll_ring *ring, unsigned int from, unsigned int to)
{
	unsigned int i;

	for (i = from; i < to; i++) {
		ring->results[i] = fence_check(&ring->batch[i]);
		if (!ring->results[i])
			ring->results[i] = quoll_ring_fence(engine, ring);
	}
}

void quoll_ring_run(struct quoll_engine *engine, struct quoll_ring *ring, unsigned int nr)
{
	unsigned int i, end;

	for (i = 0; i < nr; i = end) {
		u8 op = ring->batch[i].op;

		for (end = i + 1; end < nr && ring->batch[end].op == op;)
			end++;
		switch (op) {
		case QUOLL_STREAM_MAP:
			do_maps(engine, ring, i, end);
			break;
		case QUOLL_STREAM_UNMAP:
			do_unmaps(engine, ring, i, end);
			break;
		case QUOLL_STREAM_FENCE:
			do_fences(engine, ring, i, end);
			break;
		default:
			for (; i < end; i++)
				ring->results[i] = -EINVAL;
		}
	}
}

/* Calls that are still inside have slots, and nothing in the domain; those slots they free themselves. */
void quoll_slots_unmap(struct quoll_engine *engine)
{
	struct iommu_iotlb_gather gather;
	unsigned long i, step;
	bool any = false;
	u32 state;

	iommu_iotlb_gather_init(&gather);
	for (i = 0; i < engine->nr_slots; i += step) {
		state = READ_ONCE(engine->slots[i].state); /* the SRCU has ordered what was mapped */
		step = max(state_pages(state), 1UL);
		if (i / SLOTS_AT_ONCE != (i + step) / SLOTS_AT_ONCE)
			cond_resched();
		if ((state & SLOT_KIND) != SLOT_MAPPED)
			continue;
		any = true;
		if (slots_zap(engine, &gather, i, step, 0, engine->nr_slots - 1))
			WRITE_ONCE(engine->slots[i].state, (state & ~SLOT_KIND) | SLOT_ZAPPED);
		else
			slot_lost(&engine->slots[i]);
	}
	if (any)
		iommu_iotlb_sync(engine->domain, &gather);
	mutex_lock(&engine->lock);
	for (i = 0; i < ARRAY_SIZE(engine->rings); i++) {
		struct quoll_ring *ring = engine->rings[i];

		if (ring && ring->unflushed)
			iommu_iotlb_sync(engine->domain, &ring->gather);
	}
	mutex_unlock(&engine->lock);
}

unsigned long quoll_slots_settle(struct quoll_engine *engine)
{
	unsigned long i, step, lost = 0;
	u32 state;

	for (i = 0; i < engine->nr_slots; i += step) {
		state = engine->slots[i].state;
		step = max(state_pages(state), 1UL);
		if (i / SLOTS_AT_ONCE != (i + step) / SLOTS_AT_ONCE)
			cond_resched();
		if ((state & SLOT_KIND) == SLOT_ZAPPED)
			mapping_settle(engine, i, state, &engine->unpin);
		else if ((state & SLOT_KIND) == SLOT_LOST && !(state & SLOT_REGISTERED))
			lost += step;
	}
	unpin_flush(&engine->unpin);
	return lost;
}
