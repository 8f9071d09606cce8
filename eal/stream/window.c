/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * window.c - memory that devices reach for the time of one I/O and no longer: mapped in a window of IOVAs of the
 * kernel's, by entries of a ring (quoll_uapi.h). The window is the address space's; each stream has a part of it that
 * it hands out as it likes, a ring, and buffers that it has registered.
 *
 * Work is staged in the ring and done by one call. Where that fails as a whole, which no bad memory does, the stream's
 * part of the window is not used any more, as nobody knows what is mapped there.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backend/memlock.h"
#include "mem/mem.h"
#include "stream/internal.h"

#define DEFAULT_BYTES (16ull << 20)
/* The window is made once, so there is room for more streams than the one that is first. */
#define NR_PARTS 8u
#define MAX_BUFFERS 256u

/* The ring. */

/* The rest of it stays zero. */
static inline struct quoll_stream_entry *entry_add(struct stream_window *window, uint8_t op, uint8_t flags)
{
	struct quoll_stream_entry *entry = &window->entries[window->tail++ % STREAM_RING_ENTRIES];

	*entry = (struct quoll_stream_entry){
		.op = op,
		.flags = flags | QUOLL_STREAM_SILENT,
		.user_data = window->nr_staged,
	};
	return entry;
}

static inline struct quoll_stream_entry *entry_of(struct stream_window *window, uint8_t op, uint8_t flags,
						  struct stream_run run)
{
	struct quoll_stream_entry *entry = entry_add(window, op, flags);

	entry->iova = window->iova + run.first * STREAM_PAGE_BYTES;
	entry->size_bytes = run.nr * STREAM_PAGE_BYTES;
	window->staged[window->nr_staged++] = run;
	return entry;
}

static void dies(struct stream_window *window, int errnum)
{
	window->dead = errnum;
	if (errnum != -ENODEV)
		quoll_log(&window->ioas->env, QUOLL_LOG_ERROR, "stream", "the kernel does not take entries: %s",
			  strerrordesc_np(-errnum));
}

/* Completions are those of entries that failed. */
static void failures_read(struct stream_window *window)
{
	/* pairs with the kernel's release: completions are there */
	uint32_t end = __atomic_load_n(&window->head->done_tail, __ATOMIC_ACQUIRE);

	if (end - window->done_head > window->nr_staged) {
		dies(window, -EPROTO);
		return;
	}
	for (; window->done_head != end; window->done_head++) {
		struct quoll_stream_done done = window->dones[window->done_head % (2 * STREAM_RING_ENTRIES)];

		if (done.user_data < window->nr_staged && done.result < 0)
			window->results[done.user_data] = done.result;
		else
			dies(window, -EPROTO);
	}
	/* pairs with the kernel's acquire: they were read */
	__atomic_store_n(&window->head->done_head, end, __ATOMIC_RELEASE);
}

/* Do what is staged; results has what comes of it. Return: whether all of it went well. */
static bool run_staged(struct stream_window *window)
{
	uint32_t taken = 0, failures = window->done_head;

	memset(window->results, 0, window->nr_staged * sizeof(*window->results));
	/* pairs with the kernel's acquire: entries are written */
	__atomic_store_n(&window->head->tail, window->tail, __ATOMIC_RELEASE);
	while (!window->dead && taken < window->nr_staged) {
		uint32_t left = window->nr_staged - taken;
		int rc = window->ops->enter(window->group, window->ring, left);

		if (rc > 0 && (uint32_t)rc <= left)
			taken += (uint32_t)rc;
		else
			dies(window, rc < 0 ? rc : -EPROTO);
	}
	failures_read(window);
	if (window->dead)
		for (uint32_t i = 0; i < window->nr_staged; i++)
			window->results[i] = window->dead;
	return !window->dead && window->done_head == failures;
}

/* One I/O. */

/* Directions are flags of entries as they are. */
_Static_assert(QUOLL_SEG_READ == QUOLL_STREAM_READ && QUOLL_SEG_WRITE == QUOLL_STREAM_WRITE, "directions");

static inline int stage(struct stream_window *window, struct quoll_stream_seg *seg, const struct stream_buffer *buffer)
{
	uintptr_t va = (uintptr_t)seg->va & ~(uintptr_t)(STREAM_PAGE_BYTES - 1);
	uint64_t nr = stream_pages((uintptr_t)seg->va - va + seg->bytes);
	struct quoll_stream_entry *entry;
	uint32_t first;
	unsigned int flags;

	if (window->dead)
		return window->dead;
	if (nr > window->pages.nr)
		return -E2BIG;
	if (!(nr == 1 && page_runs_take_next(&window->pages, &first)) && !page_runs_take(&window->pages, nr, &first))
		return -EAGAIN;
	flags = seg->dir | (buffer ? QUOLL_STREAM_REGISTERED : 0);
	entry = entry_of(window, QUOLL_STREAM_MAP, (uint8_t)flags, (struct stream_run){first, (uint32_t)nr});
	seg->iova = entry->iova + ((uintptr_t)seg->va - va);
	seg->token = first;
	entry->va = buffer ? va - buffer->va : va;
	if (buffer)
		entry->buffer = buffer->id;
	/* For quoll_stream_where(); the state is written once it is mapped. */
	__atomic_store_n(&window->pieces[first], va + flags, __ATOMIC_RELAXED);
	return 0;
}

int stream_window_stage(struct stream_window *window, struct quoll_stream_seg *seg)
{
	return stage(window, seg, NULL);
}

/* The first that ends behind @va. */
static unsigned int buffer_at(const struct stream_window *window, uintptr_t va)
{
	unsigned int low = 0, high = window->nr_buffers;

	while (low < high) {
		unsigned int middle = (low + high) / 2;

		if (va - window->buffers[middle].va < window->buffers[middle].bytes || va < window->buffers[middle].va)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

int stream_window_stage_registered(struct stream_window *window, struct quoll_stream_seg *seg)
{
	uintptr_t va = (uintptr_t)seg->va;
	const struct stream_buffer *buffer = &window->buffers[window->last_buffer];

	/* Neighbours are mostly of one buffer; those that are none have no bytes. */
	if (va - buffer->va >= buffer->bytes) {
		unsigned int at = buffer_at(window, va);

		buffer = &window->buffers[at];
		if (at == window->nr_buffers || va < buffer->va)
			return -EFAULT;
		window->last_buffer = at;
	}
	if (seg->bytes > buffer->bytes - (va - buffer->va) || (seg->dir & QUOLL_SEG_WRITE && !buffer->write))
		return -EFAULT;
	return stage(window, seg, buffer);
}

static inline void slot_set(struct stream_window *window, uint32_t page, uint64_t state)
{
	__atomic_store_n(&window->states[page], state, __ATOMIC_RELAXED);
}

bool stream_window_map(struct stream_window *window)
{
	bool good = run_staged(window);

	for (uint32_t i = 0; i < window->nr_staged && !window->dead; i++) {
		const struct stream_run *run = &window->staged[i];

		if (good || !window->results[i]) {
			slot_set(window, run->first, run->nr);
			continue;
		}
		slot_set(window, run->first, 0);
		page_runs_give(&window->pages, run->first, run->nr);
	}
	window->nr_staged = 0;
	return good;
}

/* What lies behind the one before goes with it: an entry takes any number of whole mappings. */
static bool goes_on(struct stream_window *window, uint32_t first, uint32_t nr)
{
	struct stream_run *last;

	if (!window->nr_staged || !nr)
		return false;
	last = &window->staged[window->nr_staged - 1];
	if (last->first + last->nr != first)
		return false;
	last->nr += nr; /* its entry is told once it has them all */
	return true;
}

static void stage_unmap_full(struct stream_window *window, uint32_t first);

static inline void stage_unmap(struct stream_window *window, uint32_t first)
{
	uint64_t nr = window->states[first];

	if (QUOLL_UNLIKELY(window->nr_staged == STREAM_BATCH)) {
		stage_unmap_full(window, first);
		return;
	}
	if (QUOLL_UNLIKELY(stream_slot_fence(nr)))
		nr = 0; /* unmapped already */
	slot_set(window, first, window->next_fence | nr);
	if (!goes_on(window, first, (uint32_t)nr))
		entry_of(window, QUOLL_STREAM_UNMAP, 0, (struct stream_run){first, (uint32_t)nr});
}

/* Apart, so that the usual way calls nothing. */
static __attribute__((noinline)) void stage_unmap_full(struct stream_window *window, uint32_t first)
{
	stream_window_unmap(window);
	stage_unmap(window, first);
}

void stream_window_stage_unmap(struct stream_window *window, const struct quoll_stream_seg *seg)
{
	stage_unmap(window, seg->token);
}

/* What the kernel did not unmap, before a fence, is not used again. */
static void lose(struct stream_window *window, const struct stream_run *run, uint64_t fence)
{
	window->nr_lost += run->nr;
	for (uint32_t page = run->first; page < run->first + run->nr; page++)
		if (stream_slot_fence(window->states[page]) == stream_slot_fence(fence))
			slot_set(window, page, window->states[page] | STREAM_SLOT_LOST);
}

static void fence_passed(struct stream_window *window)
{
	uint64_t next = window->next_fence + (1ull << STREAM_SLOT_FENCE_SHIFT);

	if (!next)
		next = 1ull << STREAM_SLOT_FENCE_SHIFT;
	__atomic_store_n(&window->next_fence, next, __ATOMIC_RELAXED);
}

void stream_window_unmap(struct stream_window *window)
{
	uint64_t fence = window->next_fence;
	uint32_t nr = window->nr_staged;

	for (uint32_t i = 0; i < nr; i++)
		window->entries[(window->tail - nr + i) % STREAM_RING_ENTRIES].size_bytes =
			window->staged[i].nr * STREAM_PAGE_BYTES;
	entry_add(window, QUOLL_STREAM_FENCE, 0);
	window->nr_staged++;
	run_staged(window);
	if (!window->dead && window->results[nr])
		dies(window, window->results[nr]);
	if (!window->dead)
		fence_passed(window);
	for (uint32_t i = 0; i < nr && !window->dead; i++) {
		const struct stream_run *run = &window->staged[i];

		if (!window->results[i]) {
			page_runs_give(&window->pages, run->first, run->nr);
			continue;
		}
		lose(window, run, fence);
		quoll_log(&window->ioas->env, QUOLL_LOG_ERROR, "stream", "IOVA 0x%" PRIx64 " could not be unmapped: %s",
			  (uint64_t)(window->iova + run->first * STREAM_PAGE_BYTES),
			  strerrordesc_np(-window->results[i]));
	}
	window->nr_staged = 0;
}

/* Registered buffers. */

int stream_window_register(struct stream_window *window, uintptr_t va, uint64_t bytes, unsigned int dir)
{
	unsigned int at;
	int rc;

	if (!bytes || (va | bytes) % STREAM_PAGE_BYTES || bytes - 1 > UINTPTR_MAX - va || !dir ||
	    dir & ~(QUOLL_SEG_READ | QUOLL_SEG_WRITE))
		return -EINVAL;
	at = buffer_at(window, va);
	if (at < window->nr_buffers && window->buffers[at].va <= va + (bytes - 1))
		return -EEXIST;
	if (window->nr_buffers == MAX_BUFFERS)
		return -ENOSPC;
	rc = window->ops->buffer(window->group, (void *)va, bytes, dir & QUOLL_SEG_WRITE);
	if (rc < 0)
		return rc;
	memmove(&window->buffers[at + 1], &window->buffers[at], (window->nr_buffers - at) * sizeof(*window->buffers));
	window->buffers[at] = (struct stream_buffer){va, bytes, (uint32_t)rc, dir & QUOLL_SEG_WRITE};
	window->nr_buffers++;
	window->last_buffer = at;
	return 0;
}

int stream_window_unregister(struct stream_window *window, uintptr_t va)
{
	unsigned int at = buffer_at(window, va);
	int rc;

	if (at == window->nr_buffers || window->buffers[at].va != va)
		return -ENOENT;
	rc = window->ops->buffer_free(window->group, window->buffers[at].id);
	if (rc && rc != -ENODEV)
		return rc;
	window->nr_buffers--;
	memmove(&window->buffers[at], &window->buffers[at + 1], (window->nr_buffers - at) * sizeof(*window->buffers));
	window->buffers[window->nr_buffers].bytes = 0;
	window->last_buffer = 0;
	return 0;
}

/* Coming and going. */

static int is_possible(const struct quoll_ioas *ioas, struct quoll_error *err)
{
	if (!ioas->ops->stream) {
		quoll_error_set(err, ENOTSUP, "stream", "window", "%s has no windows for streaming", ioas->ops->name);
		quoll_error_hint(err, "use the back-end kmod (quoll.ko), or another way: cached, bounce");
		return -ENOTSUP;
	}
	if (sysconf(_SC_PAGESIZE) != STREAM_PAGE_BYTES)
		return quoll_error_set(err, ENOTSUP, "stream", "window", "this machine's pages are not 4 KiB");
	if (ioas->nr_groups > 1) {
		quoll_error_set(err, ENOTSUP, "stream", "window",
				"the address space has %u groups, and a window is of one", ioas->nr_groups);
		quoll_error_hint(err, "open an address space for each");
		return -ENOTSUP;
	}
	return 0;
}

static int refuse_window(struct quoll_ioas *ioas, uint64_t bytes, int errnum, struct quoll_error *err)
{
	struct memlock ml;

	if (errnum == ENOMEM && !memlock_read(&ioas->env, &ml) && memlock_left(&ml) < bytes)
		return memlock_refuse(&ml, "window", bytes, err);
	return quoll_error_set(err, errnum, "stream", "window", "the kernel gives no window of %" PRIu64 " bytes: %s",
			       bytes, strerrordesc_np(errnum));
}

/* The address space's, of which this stream needs @bytes. */
static int make(struct quoll_ioas *ioas, const struct quoll_ioas_info *info, uint64_t bytes, struct quoll_error *err)
{
	struct stream_window_want want = {.way = QUOLL_WAY_WINDOW, .bytes = NR_PARTS * bytes, .what = "window bytes"};
	struct quoll_iova_range range;
	int rc;

	while (want.bytes > bytes && (want.bytes > info->memlock_bytes / 2 || want.bytes > QUOLL_WINDOW_MAX_BYTES))
		want.bytes -= bytes;
	rc = page_runs_init(&ioas->window_pages, want.bytes / STREAM_PAGE_BYTES);
	if (rc)
		return quoll_error_set(err, -rc, "stream", "window", "a window of %" PRIu64 " bytes is not possible",
				       want.bytes);
	rc = stream_window_place(ioas, info, &want, &ioas->window_iova, err);
	if (rc)
		goto err_pages;
	range = (struct quoll_iova_range){ioas->window_iova, ioas->window_iova + (want.bytes - 1)};
	rc = ioas->ops->stream->window(ioas->groups[0], &range);
	if (rc) {
		rc = refuse_window(ioas, want.bytes, -rc, err);
		goto err_place;
	}
	ioas->window_group = ioas->groups[0];
	return 0;

err_place:
	ioas_window_remove(ioas, ioas->window_iova);
err_pages:
	page_runs_fini(&ioas->window_pages);
	return rc;
}

static int ring_make(struct stream_window *window, struct quoll_error *err)
{
	void *shared;
	int rc;

	window->shared_bytes = stream_pages(sizeof(*window->head) + STREAM_RING_ENTRIES * sizeof(*window->entries) +
					    2 * STREAM_RING_ENTRIES * sizeof(*window->dones)) *
			       STREAM_PAGE_BYTES;
	shared = mmap(NULL, window->shared_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return quoll_error_set(err, ENOMEM, "stream", "window", "out of memory");
	rc = window->ops->ring(window->group, shared, window->shared_bytes, STREAM_RING_ENTRIES);
	if (rc < 0) {
		munmap(shared, window->shared_bytes);
		return quoll_error_set(err, -rc, "stream", "window", "the kernel makes no ring: %s",
				       strerrordesc_np(-rc));
	}
	window->ring = (uint32_t)rc;
	window->head = shared;
	window->entries = (struct quoll_stream_entry *)(window->head + 1);
	window->dones = (struct quoll_stream_done *)(window->entries + STREAM_RING_ENTRIES);
	return 0;
}

/* A part of the address space's window, and what is needed to use it. On failure fini gives back what there is. */
static int part_take(struct stream_window *window, uint64_t bytes, struct quoll_error *err)
{
	struct quoll_ioas *ioas = window->ioas;
	uint64_t nr = bytes / STREAM_PAGE_BYTES;
	uint32_t first;

	if (!page_runs_take(&ioas->window_pages, nr, &first)) {
		quoll_error_set(err, ENOSPC, "stream", "window",
				"%" PRIu64 " bytes are not left of the address space's window, which has %" PRIu64,
				bytes, (uint64_t)(ioas->window_pages.nr * STREAM_PAGE_BYTES));
		quoll_error_hint(err, "make the stream that needs most first: the window is a few times as large");
		return -ENOSPC;
	}
	window->part_first = first;
	window->part_nr = (uint32_t)nr;
	window->iova = ioas->window_iova + first * STREAM_PAGE_BYTES;
	window->buffers = calloc(MAX_BUFFERS, sizeof(*window->buffers));
	window->states = calloc(nr, sizeof(*window->states));
	window->pieces = calloc(nr, sizeof(*window->pieces));
	if (!window->buffers || !window->states || !window->pieces || page_runs_init(&window->pages, nr))
		return quoll_error_set(err, ENOMEM, "stream", "window", "out of memory");
	return ring_make(window, err);
}

int stream_window_init(struct stream_window *window, struct quoll_ioas *ioas, uint64_t bytes, struct quoll_error *err)
{
	struct quoll_ioas_info info;
	int rc = is_possible(ioas, err);

	if (!rc)
		rc = heap_ioas_info(ioas, &info, err);
	if (!rc)
		rc = stream_pages_check(&info, QUOLL_WAY_WINDOW, err);
	if (rc)
		return rc;
	if (!bytes)
		bytes = DEFAULT_BYTES;
	if (bytes > QUOLL_WINDOW_MAX_BYTES)
		return quoll_error_set(err, EINVAL, "stream", "window", "%" PRIu64 " bytes are more than a window has",
				       bytes);
	bytes = stream_pages(bytes) * STREAM_PAGE_BYTES;
	rc = ioas->window_group ? 0 : make(ioas, &info, bytes, err);
	if (rc)
		return rc;
	*window = (struct stream_window){.ioas = ioas,
					 .group = ioas->window_group,
					 .ops = ioas->ops->stream,
					 .next_fence = 1ull << STREAM_SLOT_FENCE_SHIFT};
	ioas->nr_window_streams++;
	return part_take(window, bytes, err);
}

/* What is still mapped in the part that goes; whoever gets it next could not map there. */
static void unmap_all(struct stream_window *window)
{
	for (uint32_t i = 0; i < window->pages.nr && !window->dead; i++)
		if (stream_slot_mapped(window->states[i]))
			stage_unmap(window, i);
	if (window->nr_staged)
		stream_window_unmap(window);
}

void stream_window_fini(struct stream_window *window)
{
	if (!window->ioas)
		return;
	if (window->head) {
		unmap_all(window);
		while (window->nr_buffers && !stream_window_unregister(window, window->buffers[0].va))
			;
		/* Where it can't be given back it goes with the group, and the kernel has its pages pinned. */
		(void)window->ops->ring_free(window->group, window->ring);
		munmap(window->head, window->shared_bytes);
	}
	if (window->part_nr && !window->dead && !window->nr_lost)
		page_runs_give(&window->ioas->window_pages, window->part_first, window->part_nr);
	window->ioas->nr_window_streams--;
	page_runs_fini(&window->pages);
	free(window->states);
	free(window->pieces);
	free(window->buffers);
}
