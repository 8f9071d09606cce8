/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * window.c - making and unmaking a heap: page size, the IOVA window that fits every address space, the VA window.
 *
 * What happens to the window afterwards is heap.c's.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "iova.h"
#include "mem.h"

#define DEFAULT_WINDOW_BYTES (64ull << 30)
/*
 * Below 4 GiB lie the MSI window, most ranges that firmware reserves, and what 32-bit devices need: stay above it where
 * the aperture lets us, so that the window also suits the IOASes that are attached later.
 */
#define PREFERRED_LOWEST (4ull << 30)
#define HIGHEST ((1ull << 47) - 1)
#define LEAST_ALIGN HUGE_PAGE_BYTES /* so that the IOMMU can use huge pages */

/* What is known of the address spaces that the window has to fit. */
struct constraints {
	unsigned int nr_sets;
	struct iova_set *sets;
	struct quoll_ioas_info *infos; /* the sets point into them */
	unsigned int nr_holes;
	struct quoll_iova_range *holes;
};

static int choose_pages(struct heap *heap, enum quoll_heap_pages pages, struct quoll_error *err)
{
	struct hugepage_pool pool;

	heap->page_bytes = SMALL_PAGE_BYTES;
	heap->chunk_bytes = SMALL_CHUNK_BYTES;
	switch (pages) {
	case QUOLL_PAGES_4K:
		return 0;
	case QUOLL_PAGES_BEST:
		if (!hugepage_size_known(HUGE_PAGE_BYTES) || hugepage_pool_read(&heap->env, HUGE_PAGE_BYTES, &pool) ||
		    !hugepage_avail(&pool)) {
			quoll_log(&heap->env, QUOLL_LOG_INFO, "heap", "no free 2 MiB pages, using 4 KiB pages");
			return 0;
		}
		heap->may_fall_back = true;
		heap->page_bytes = HUGE_PAGE_BYTES;
		break;
	case QUOLL_PAGES_2M:
		heap->page_bytes = HUGE_PAGE_BYTES;
		break;
	case QUOLL_PAGES_1G:
		heap->page_bytes = GIANT_PAGE_BYTES;
		break;
	default:
		return quoll_error_set(err, EINVAL, "heap", "pages", "no such page size: %d", (int)pages);
	}
	heap->chunk_bytes = heap->page_bytes;
	if (!hugepage_size_known(heap->page_bytes) || hugepage_pool_read(&heap->env, heap->page_bytes, &pool) ||
	    !hugepage_avail(&pool))
		return hugepage_error(&heap->env, heap->page_bytes, 1, "heap", err);
	return 0;
}

static void constraints_free(struct constraints *c)
{
	free(c->sets);
	free(c->infos);
	free(c->holes);
}

static int constraints_read(const struct quoll_heap_opts *opts, struct constraints *c, struct quoll_error *err)
{
	/* With no address space to ask: from the bottom up, so within 39 bits, which the smaller IOMMUs have. */
	static const struct quoll_iova_range guess = {PREFERRED_LOWEST, HIGHEST};
	unsigned int nr = opts->nr_ioases ? opts->nr_ioases : 1;

	*c = (struct constraints){.nr_sets = nr};
	c->sets = calloc(nr, sizeof(*c->sets));
	c->infos = calloc(nr, sizeof(*c->infos));
	c->holes = calloc(nr, IOAS_MAX_WINDOWS * sizeof(*c->holes));
	if (!c->sets || !c->infos || !c->holes) {
		constraints_free(c);
		return quoll_error_set(err, ENOMEM, "heap", "window", "out of memory");
	}
	c->sets[0] = (struct iova_set){&guess, 1};
	for (unsigned int i = 0; i < opts->nr_ioases; i++) {
		const struct quoll_ioas *ioas = opts->ioases[i];
		int rc = heap_ioas_info(opts->ioases[i], &c->infos[i], err);

		if (rc) {
			constraints_free(c);
			return rc;
		}
		c->sets[i] = (struct iova_set){c->infos[i].ranges, c->infos[i].nr_ranges};
		for (unsigned int h = 0; h < ioas->nr_windows; h++)
			c->holes[c->nr_holes++] = ioas->windows[h];
	}
	return 0;
}

/* From the best place to the least good one. *largest: of the windows that would fit somewhere. */
static int find_window(const struct constraints *c, uint64_t size_bytes, uint64_t page_bytes, uint64_t *base,
		       uint64_t *largest)
{
	static const uint64_t lowest[] = {PREFERRED_LOWEST, IOVA_LOWEST};
	static const uint64_t aligns[] = {WINDOW_COLOUR_BYTES, LEAST_ALIGN};

	*largest = 0;
	for (int i = 0; i < 4; i++) {
		struct iova_want want = {
			.size_bytes = size_bytes,
			.align = aligns[i % 2],
			.lowest = lowest[i / 2],
			.holes = c->holes,
			.nr_holes = c->nr_holes,
		};
		uint64_t room = 0;

		if (want.align < page_bytes)
			continue;
		if (!iova_window_find(c->sets, c->nr_sets, &want, base, &room))
			return 0;
		if (room > *largest)
			*largest = room;
	}
	return -ERANGE;
}

static int window_error(uint64_t size_bytes, uint64_t largest, unsigned int nr_ioases, struct quoll_error *err)
{
	quoll_error_set(err, ERANGE, "heap", "window",
			"no window of %" PRIu64 " bytes fits the %u address spaces; the largest that does has %" PRIu64,
			size_bytes, nr_ioases, largest);
	if (largest)
		quoll_error_hint(err, "ask for a heap of at most %" PRIu64 " bytes", largest);
	return -ERANGE;
}

/* Sets iova_base and size_bytes. */
static int choose_iova(struct heap *heap, const struct quoll_heap_opts *opts, struct quoll_error *err)
{
	uint64_t size = opts->size_bytes ? opts->size_bytes : DEFAULT_WINDOW_BYTES;
	struct constraints c;
	uint64_t largest;
	int rc = constraints_read(opts, &c, err);

	if (rc)
		return rc;
	if (size <= HIGHEST) /* what is larger fits nowhere, and is not made to wrap by rounding */
		size = round_up(size, heap->chunk_bytes);
	rc = find_window(&c, size, heap->page_bytes, &heap->pub.iova_base, &largest);
	if (rc && !opts->size_bytes && largest) {
		/* Whole gigabytes: the odd megabytes around the MSI window are not worth a badly aligned place. */
		size = largest < 2 * GIANT_PAGE_BYTES ? largest : largest & ~(GIANT_PAGE_BYTES - 1);
		rc = find_window(&c, size, heap->page_bytes, &heap->pub.iova_base, &largest);
	}
	if (rc)
		rc = window_error(size, largest, opts->nr_ioases, err);
	heap->pub.size_bytes = size;
	constraints_free(&c);
	return rc;
}

/* Addresses only, with a gigabyte to spare, so that VA and IOVA can have the same offset in theirs. */
static int reserve_va(struct heap *heap, struct quoll_error *err)
{
	uint64_t size = heap->pub.size_bytes, total = size + WINDOW_COLOUR_BYTES, lead;
	uintptr_t start;
	void *va = mmap(NULL, total, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (va == MAP_FAILED) {
		int rc = errno;

		quoll_error_set(err, rc, "heap", "window", "%" PRIu64 " bytes of addresses cannot be reserved: %s",
				total, strerrordesc_np(rc));
		quoll_error_hint(err, "ask for a smaller heap, or lift the address space limit: ulimit -v unlimited");
		return -rc;
	}
	start = (uintptr_t)va;
	lead = (heap->pub.iova_base - start) & (WINDOW_COLOUR_BYTES - 1);
	if (lead)
		munmap(va, lead);
	if (WINDOW_COLOUR_BYTES - lead)
		munmap((void *)(start + lead + size), WINDOW_COLOUR_BYTES - lead);
	heap->pub.va_base = start + lead;
	return 0;
}

int quoll_heap_create(const struct quoll_env *env, const struct quoll_heap_opts *opts, struct quoll_heap **pub,
		      struct quoll_error *err)
{
	static const struct quoll_heap_opts defaults;
	struct heap *heap;
	int rc;

	if (!opts)
		opts = &defaults;
	if (opts->nr_ioases && !opts->ioases)
		return quoll_error_set(err, EINVAL, "heap", "create", "address spaces counted, but none given");
	heap = calloc(1, sizeof(*heap));
	if (!heap)
		return quoll_error_set(err, ENOMEM, "heap", "create", "out of memory");
	if (env)
		heap->env = *env;
	heap->numa_node = opts->numa_node;
	heap->all_writable = opts->all_writable;
	rc = choose_pages(heap, opts->pages, err);
	if (!rc)
		rc = choose_iova(heap, opts, err);
	if (!rc)
		rc = reserve_va(heap, err);
	if (rc) {
		free(heap);
		return rc;
	}
	for (unsigned int i = 0; i < opts->nr_ioases && !rc; i++)
		rc = quoll_heap_attach(&heap->pub, opts->ioases[i], err);
	if (rc) {
		quoll_heap_destroy(&heap->pub);
		return rc;
	}
	quoll_log(&heap->env, QUOLL_LOG_DEBUG, "heap",
		  "window of %" PRIu64 " bytes at VA 0x%" PRIx64 ", IOVA 0x%" PRIx64, heap->pub.size_bytes,
		  (uint64_t)heap->pub.va_base, heap->pub.iova_base);
	*pub = &heap->pub;
	return 0;
}

void quoll_heap_destroy(struct quoll_heap *pub)
{
	struct heap *heap = (struct heap *)pub;

	if (!heap)
		return;
	while (heap->nr_ioases)
		(void)quoll_heap_detach(pub, heap->ioases[heap->nr_ioases - 1]);
	while (heap->arenas) {
		(void)heap_shrink(heap->arenas); /* mapped nowhere now, so it cannot be refused */
		arena_free(heap->arenas);
	}
	munmap((void *)pub->va_base, pub->size_bytes);
	free(heap->ioases);
	free(heap);
}
