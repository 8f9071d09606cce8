// SPDX-License-Identifier: GPL-2.0-only
/*
 * dma.c - what a group's devices reach: one IOMMU domain, user memory that is pinned and mapped into it, what must not
 * be.
 *
 * A map first counts the pages against the limit and pins them, without group->lock, as user memory may keep us waiting
 * for as long as it likes; then, with it, looks whether the group is still owned and puts them into the domain. An
 * unmap goes the other way round: out of the domain, IOTLB flushed (iommu_unmap does both); then, without the lock (a
 * page can be locked for as long as a file system likes), unpinned and taken off the limit.
 */
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/vfio.h>

#include "compat.h"
#include "quoll.h"

static unsigned int max_mappings = 65535;
module_param(max_mappings, uint, 0644);
MODULE_PARM_DESC(max_mappings, "DMA mappings that a group may have at a time");

/* Pages that lie one after another. */
struct run {
	unsigned long pfn;
	unsigned long nr;
};

/*
 * Runs, in the order of their IOVAs; what does not fit goes to the next. A chunk has at most a page, and no more than
 * the mapping can need: the kernel clears what it hands out, so room that nobody needs costs a small mapping most of
 * all.
 */
struct run_chunk {
	struct run_chunk *next;
	unsigned int nr;
	unsigned int max;
	struct run runs[] __counted_by(max);
};

#define RUNS_PER_CHUNK ((PAGE_SIZE - sizeof(struct run_chunk)) / sizeof(struct run))

struct dma_map {
	struct dma_map *next; /* once it is spent */
	unsigned long first;  /* page numbers of IOVAs */
	unsigned long last;
	bool dirty; /* devices may have written to it */
	struct run_chunk *tail;
	struct run_chunk head;
};

/* The head of a map has so many; with them it is less than a page. */
#define RUNS_OF_HEAD ((PAGE_SIZE - sizeof(struct dma_map)) / sizeof(struct run))
#define PAGES_AT_ONCE (PAGE_SIZE / sizeof(struct page *))
/* On the stack: pages that are pinned, runs that are mapped at once. */
#define FEW_PAGES 32
#define FEW_RUNS 16
#define SG_MAX_PAGES (SZ_1G >> PAGE_SHIFT)

static int runs_add(struct dma_map *map, unsigned long pfn)
{
	struct run_chunk *chunk = map->tail;
	struct run *last = chunk->nr ? &chunk->runs[chunk->nr - 1] : NULL;

	if (last && last->pfn + last->nr == pfn && last->nr < SG_MAX_PAGES) {
		last->nr++;
		return 0;
	}
	if (chunk->nr == chunk->max) {
		chunk = kmalloc(struct_size(chunk, runs, RUNS_PER_CHUNK), GFP_KERNEL_ACCOUNT);
		if (!chunk)
			return -ENOMEM;
		chunk->next = NULL;
		chunk->nr = 0;
		chunk->max = RUNS_PER_CHUNK;
		map->tail->next = chunk;
		map->tail = chunk;
	}
	chunk->runs[chunk->nr++] = (struct run){.pfn = pfn, .nr = 1};
	return 0;
}

static struct dma_map *map_alloc(unsigned long first, unsigned long nr_pages)
{
	unsigned int max = min(nr_pages, RUNS_OF_HEAD);
	struct dma_map *map;

	map = kmalloc(struct_size(map, head.runs, max), GFP_KERNEL_ACCOUNT);
	if (!map)
		return NULL;
	*map = (struct dma_map){.first = first, .last = first + (nr_pages - 1), .tail = &map->head, .head.max = max};
	return map;
}

static unsigned long map_pages(const struct dma_map *map)
{
	return map->last - map->first + 1;
}

/* Unpin all pages of a map that devices don't reach any more, and free it. */
static void map_free(struct dma_map *map)
{
	struct run_chunk *chunk, *next;
	unsigned int i;

	for (chunk = &map->head; chunk; chunk = next) {
		next = chunk->next;
		for (i = 0; i < chunk->nr; i++)
			unpin_user_page_range_dirty_lock(pfn_to_page(chunk->runs[i].pfn), chunk->runs[i].nr,
							 map->dirty);
		if (chunk != &map->head)
			kfree(chunk);
		cond_resched();
	}
	kfree(map);
}

/*
 * Pin with the right to write, also for what devices only read: private memory that was never written to would
 * otherwise be a page that the process does not see any more after its first write. Where the process may not write, it
 * can't.
 */
long quoll_pin(unsigned long va, unsigned long nr, bool write, struct page **pages)
{
	long got = pin_user_pages_fast(va, nr, FOLL_LONGTERM | FOLL_WRITE, pages);

	if (got > 0 || write)
		return got;
	return pin_user_pages_fast(va, compat_read_pins(nr), FOLL_LONGTERM, pages);
}

/* @room: of @pages */
static int map_pin_by(struct dma_map *map, unsigned long va, struct page **pages, unsigned long room)
{
	unsigned long left = map->last - map->first + 1;
	long got, i;
	int rc = 0;

	while (left && !rc) {
		got = quoll_pin(va, min(left, room), map->dirty, pages);
		if (got <= 0)
			return got ?: -EFAULT;
		for (i = 0; i < got; i++) {
			rc = runs_add(map, page_to_pfn(pages[i]));
			if (rc) {
				unpin_user_pages(pages + i, got - i);
				break;
			}
		}
		va += got << PAGE_SHIFT;
		left -= got;
		if (fatal_signal_pending(current))
			rc = -EINTR;
		cond_resched();
	}
	return rc;
}

static int map_pin(struct dma_map *map, unsigned long va)
{
	struct page *few[FEW_PAGES], **pages;
	int rc;

	if (map->last - map->first < FEW_PAGES)
		return map_pin_by(map, va, few, FEW_PAGES);
	pages = (struct page **)__get_free_page(GFP_KERNEL);
	if (!pages)
		return -ENOMEM;
	rc = map_pin_by(map, va, pages, PAGES_AT_ONCE);
	free_page((unsigned long)pages);
	return rc;
}

/* Take @bytes from @map's start out of the domain. Return: whether all of it is out. */
static bool domain_unmap(struct quoll_space *space, struct dma_map *map, size_t bytes)
{
	unsigned long iova = map->first << PAGE_SHIFT;

	return !bytes || !WARN_ON(iommu_unmap(space->domain, iova, bytes) != bytes);
}

/*
 * The core takes out again what the driver says to have mapped, but Intel's says nothing where it gets no memory for a
 * page table half-way, and leaves the pages before that to devices. So each page is looked at; an unmap of what is not
 * there would be as large, with that driver, as the table that is missing.
 */
bool quoll_failed_clear(struct iommu_domain *domain, unsigned long iova, struct scatterlist *sg, unsigned int nents)
{
	unsigned long at = iova, end = iova, got;
	unsigned int i;

	for (i = 0; i < nents; i++)
		end += sg[i].length;
	while (at < end) {
		got = PAGE_SIZE;
		if (iommu_iova_to_phys(domain, at))
			got = iommu_unmap(domain, at, PAGE_SIZE);
		if (WARN_ON(!got))
			return false;
		at += got;
		cond_resched();
	}
	return true;
}

/*
 * One call maps many runs, as a driver may flush after each call. (An IOMMU whose page tables cache what is not there
 * makes it do so: QEMU's.)
 */
static ssize_t runs_map(struct quoll_space *space, const struct run *runs, unsigned int nr, unsigned long iova,
			int prot)
{
	struct scatterlist sg[FEW_RUNS];
	unsigned int i;
	ssize_t got;

	sg_init_table(sg, nr);
	for (i = 0; i < nr; i++)
		sg_set_page(&sg[i], pfn_to_page(runs[i].pfn), runs[i].nr << PAGE_SHIFT, 0);
	got = compat_iommu_map_sg(space->domain, iova, sg, nr, prot);
	if (unlikely(got < 0) && !quoll_failed_clear(space->domain, iova, sg, nr))
		got = -EIO;
	return got;
}

/* Return: 0, -errno: nothing is mapped; -EIO: some of it may be. */
static int domain_map(struct quoll_space *space, struct dma_map *map, int prot)
{
	unsigned long start = map->first << PAGE_SHIFT, iova = start;
	struct run_chunk *chunk;
	unsigned int i, nr;
	ssize_t got;

	for (chunk = &map->head; chunk; chunk = chunk->next) {
		for (i = 0; i < chunk->nr; i += nr) {
			nr = min(chunk->nr - i, (unsigned int)FEW_RUNS);
			got = runs_map(space, &chunk->runs[i], nr, iova, prot);
			if (got < 0)
				return domain_unmap(space, map, iova - start) ? got : -EIO;
			iova += got;
			cond_resched();
		}
	}
	return 0;
}

/* Regions that stay as they are whoever has the device; firmware's that it can do without are not among them. */
static bool is_reserved(const struct iommu_resv_region *region)
{
	return region->type != IOMMU_RESV_DIRECT_RELAXABLE && region->length;
}

static bool range_fits(struct quoll_space *space, u64 first, u64 last)
{
	struct iommu_domain_geometry *geometry = &space->domain->geometry;
	struct iommu_resv_region *region;

	if (first < geometry->aperture_start || last > geometry->aperture_end)
		return false;
	list_for_each_entry(region, &space->reserved, list)
		if (is_reserved(region) && first <= region->start + (region->length - 1) && last >= region->start)
			return false;
	return true;
}

/*
 * With group->lock: put a pinned map into the domain and the table; in this order, as taking it out of the table again
 * may want memory. Return: 0, -errno: nothing is mapped; -EIO: some of it may be.
 */
static int map_insert(struct quoll_space *space, struct dma_map *map, int prot)
{
	unsigned long index = map->first;
	int rc;

	if (!range_fits(space, (u64)map->first << PAGE_SHIFT, ((u64)map->last << PAGE_SHIFT) | ~PAGE_MASK))
		return -ERANGE;
	if (space->has_window && map->first <= space->window_last && map->last >= space->window_first)
		return -EEXIST;
	if (space->nr_maps >= max_mappings)
		return -ENOSPC;
	if (mt_find(&space->maps, &index, map->last))
		return -EEXIST;
	rc = domain_map(space, map, prot);
	if (!rc) {
		rc = mtree_insert_range(&space->maps, map->first, map->last, map, GFP_KERNEL_ACCOUNT);
		if (rc && !domain_unmap(space, map, map_pages(map) << PAGE_SHIFT))
			rc = -EIO;
	}
	if (rc == -EIO) {
		map->head.nr = 0; /* it stays pinned for good */
		map->head.next = NULL;
	}
	space->nr_maps += !rc;
	return rc;
}

int quoll_space_window(struct quoll_space *space, unsigned long first, unsigned long last)
{
	unsigned long index = first;

	if (space->has_window || mt_find(&space->maps, &index, last))
		return -EEXIST;
	if (!range_fits(space, (u64)first << PAGE_SHIFT, ((u64)last << PAGE_SHIFT) | ~PAGE_MASK))
		return -ERANGE;
	space->has_window = true;
	space->window_first = first;
	space->window_last = last;
	return 0;
}

static int map_check(const struct quoll_dma_map *arg)
{
	u64 last;

	if (!(arg->flags & (QUOLL_DMA_READ | QUOLL_DMA_WRITE)) || arg->flags & ~(QUOLL_DMA_READ | QUOLL_DMA_WRITE))
		return -EINVAL;
	if (!arg->size_bytes || (arg->va | arg->iova | arg->size_bytes) & ~PAGE_MASK)
		return -EINVAL;
	if (check_add_overflow(arg->va, arg->size_bytes - 1, &last) ||
	    check_add_overflow(arg->iova, arg->size_bytes - 1, &last))
		return -EINVAL;
	return access_ok((void __user *)(unsigned long)arg->va, arg->size_bytes) ? 0 : -EFAULT;
}

long quoll_dma_map(struct quoll_owner *owner, const struct quoll_dma_map *arg)
{
	unsigned long nr_pages = arg->size_bytes >> PAGE_SHIFT;
	int prot = IOMMU_CACHE, rc;
	struct dma_map *map;

	rc = map_check(arg);
	if (rc)
		return rc;
	map = map_alloc(arg->iova >> PAGE_SHIFT, nr_pages);
	if (!map)
		return -ENOMEM;
	map->dirty = arg->flags & QUOLL_DMA_WRITE;
	if (arg->flags & QUOLL_DMA_READ)
		prot |= IOMMU_READ;
	if (arg->flags & QUOLL_DMA_WRITE)
		prot |= IOMMU_WRITE;

	rc = account_locked_vm(owner->mm, nr_pages, true);
	if (rc) {
		kfree(map);
		return rc;
	}
	rc = map_pin(map, arg->va);
	if (!rc)
		rc = quoll_owner_enter(owner);
	if (!rc) {
		rc = map_insert(&owner->space, map, prot);
		mutex_unlock(&owner->group->lock);
	}
	if (rc) {
		map_free(map);
		if (rc != -EIO)
			account_locked_vm(owner->mm, nr_pages, false);
	}
	return rc;
}

/* A process that is gone has no limit any more. */
void quoll_uncharge(struct mm_struct *mm, unsigned long pages)
{
	if (!pages || !mmget_not_zero(mm))
		return;
	account_locked_vm(mm, pages, false);
	mmput_async(mm);
}

void quoll_maps_settle(struct dma_map *spent, struct mm_struct *mm)
{
	unsigned long pages = 0;
	struct dma_map *next;

	for (; spent; spent = next) {
		next = spent->next;
		pages += map_pages(spent);
		map_free(spent);
	}
	quoll_uncharge(mm, pages);
}

/* Out of the domain; what the IOMMU did not let go of stays pinned, and charged, for good. Return: 0, -EIO. */
static int map_spend(struct quoll_space *space, struct dma_map *map, struct dma_map **spent)
{
	if (!domain_unmap(space, map, map_pages(map) << PAGE_SHIFT))
		return -EIO;
	map->next = *spent;
	*spent = map;
	return 0;
}

/*
 * Out of the table and the domain: @pages of them are. The table may want memory to be smaller, and says nothing where
 * it got none. Return: 0, -ENOMEM: those behind are as they were; -EIO: those behind are out, but for devices.
 */
static int maps_remove(struct quoll_space *space, unsigned long first, unsigned long last, struct dma_map **spent,
		       unsigned long *pages)
{
	unsigned long index = first;
	struct dma_map *map;
	int rc = 0;

	*pages = 0;
	mt_for_each(&space->maps, map, index, last) {
		mtree_erase(&space->maps, map->first);
		if (mtree_load(&space->maps, map->first))
			return rc ?: -ENOMEM;
		space->nr_maps--;
		*pages += map_pages(map);
		rc = map_spend(space, map, spent) ?: rc;
		cond_resched();
	}
	return rc;
}

/* Whether a mapping lies on both sides of the border before page number @at. */
static bool cuts(struct quoll_space *space, unsigned long at)
{
	struct dma_map *map = mtree_load(&space->maps, at);

	return map && map->first != at;
}

static long unmap_range(struct quoll_owner *owner, struct quoll_dma_unmap *arg, struct dma_map **spent)
{
	unsigned long first = arg->iova >> PAGE_SHIFT, last = ULONG_MAX >> PAGE_SHIFT;
	struct quoll_space *space = &owner->space;
	unsigned long pages;
	int rc;

	if (!(arg->flags & QUOLL_DMA_UNMAP_ALL)) {
		last = first + (arg->size_bytes >> PAGE_SHIFT) - 1;
		if (cuts(space, first) || cuts(space, last + 1))
			return -EINVAL;
	}
	rc = maps_remove(space, first, last, spent, &pages);
	arg->size_bytes = (u64)pages << PAGE_SHIFT;
	return pages || rc ? rc : -ENOENT;
}

long quoll_dma_unmap(struct quoll_owner *owner, struct quoll_dma_unmap *arg)
{
	struct dma_map *spent = NULL;
	u64 last;
	long rc;

	if (arg->flags & ~QUOLL_DMA_UNMAP_ALL)
		return -EINVAL;
	if (arg->flags & QUOLL_DMA_UNMAP_ALL) {
		if (arg->iova || arg->size_bytes)
			return -EINVAL;
	} else if (!arg->size_bytes || (arg->iova | arg->size_bytes) & ~PAGE_MASK ||
		   check_add_overflow(arg->iova, arg->size_bytes - 1, &last)) {
		return -EINVAL;
	}
	rc = quoll_owner_enter(owner);
	if (rc)
		return rc;
	rc = unmap_range(owner, arg, &spent);
	mutex_unlock(&owner->group->lock);
	quoll_maps_settle(spent, owner->mm);
	return rc;
}

void quoll_reserved_free(struct list_head *reserved)
{
	struct iommu_resv_region *region, *next;

	list_for_each_entry_safe(region, next, reserved, list) {
		list_del(&region->list);
		kfree(region);
	}
}

/* Arm's interrupts are writes that the domain translates; the kernel wants to know where there is room for them. */
static int msi_window(struct quoll_space *space)
{
	struct iommu_resv_region *region;

	list_for_each_entry(region, &space->reserved, list)
		if (region->type == IOMMU_RESV_SW_MSI)
			return iommu_get_msi_cookie(space->domain, region->start);
	return 0;
}

int quoll_space_open(struct quoll_space *space, struct quoll_group *group, struct device *dev)
{
	int rc;

	mt_init(&space->maps);
	INIT_LIST_HEAD(&space->reserved);
	space->nr_maps = 0;
	space->has_window = false;
	space->domain = compat_domain_alloc(dev);
	if (IS_ERR(space->domain))
		return PTR_ERR(space->domain);
	rc = iommu_get_group_resv_regions(group->iommu_group, &space->reserved);
	if (!rc)
		rc = msi_window(space);
	if (!rc)
		rc = iommu_attach_group(space->domain, group->iommu_group);
	if (rc)
		goto err_free;
	rc = -EOPNOTSUPP;
	if (!space->domain->pgsize_bitmap || BIT(__ffs(space->domain->pgsize_bitmap)) > PAGE_SIZE)
		goto err_detach;
	space->coherent_always = space->domain->ops->enforce_cache_coherency &&
				 space->domain->ops->enforce_cache_coherency(space->domain);
	return 0;

err_detach:
	iommu_detach_group(space->domain, group->iommu_group);
err_free:
	quoll_reserved_free(&space->reserved);
	iommu_domain_free(space->domain);
	return rc;
}

void quoll_space_close(struct quoll_space *space, struct quoll_group *group, struct dma_map **spent)
{
	unsigned long index = 0;
	struct dma_map *map;

	mt_for_each(&space->maps, map, index, ULONG_MAX) {
		map_spend(space, map, spent);
		cond_resched();
	}
	mtree_destroy(&space->maps);
	iommu_detach_group(space->domain, group->iommu_group);
	iommu_domain_free(space->domain);
	quoll_reserved_free(&space->reserved);
}

/* What was mapped before stays; a member that can't live with that gets no driver. */
void quoll_space_refresh(struct quoll_space *space, struct quoll_group *group)
{
	LIST_HEAD(reserved);

	if (iommu_get_group_resv_regions(group->iommu_group, &reserved)) {
		quoll_reserved_free(&reserved);
		return;
	}
	quoll_reserved_free(&space->reserved);
	list_splice(&reserved, &space->reserved);
}

int quoll_space_caps(struct quoll_space *space, struct vfio_info_cap *caps)
{
	struct quoll_cap_iommu cap = {
		.header = {.id = QUOLL_CAP_IOMMU, .version = 1},
		.type = QUOLL_IOMMU_PAGE_TABLE,
		.flags = QUOLL_IOMMU_COHERENT | QUOLL_IOMMU_ISOLATED_MSI,
		.page_sizes = space->domain->pgsize_bitmap,
		.aperture_first = space->domain->geometry.aperture_start,
		.aperture_last = space->domain->geometry.aperture_end,
		.max_mappings = max_mappings,
		.nr_mappings = space->nr_maps,
	};

	if (space->coherent_always)
		cap.flags |= QUOLL_IOMMU_COHERENT_ALWAYS;
	return vfio_info_add_capability(caps, &cap.header, sizeof(cap));
}

static u32 reserved_type(enum iommu_resv_type type)
{
	switch (type) {
	case IOMMU_RESV_DIRECT:
		return QUOLL_RESERVED_DIRECT;
	case IOMMU_RESV_MSI:
	case IOMMU_RESV_SW_MSI:
		return QUOLL_RESERVED_MSI;
	default:
		return QUOLL_RESERVED_OTHER;
	}
}

int quoll_reserved_caps(struct list_head *reserved, struct vfio_info_cap *caps)
{
	struct iommu_resv_region *region;
	struct quoll_cap_reserved *cap;
	u32 nr = 0;
	int rc;

	list_for_each_entry(region, reserved, list)
		nr += is_reserved(region);
	cap = kzalloc(struct_size(cap, ranges, nr), GFP_KERNEL);
	if (!cap)
		return -ENOMEM;
	cap->header.id = QUOLL_CAP_RESERVED;
	cap->header.version = 1;
	list_for_each_entry(region, reserved, list) {
		if (!is_reserved(region))
			continue;
		cap->ranges[cap->nr_ranges++] = (struct quoll_reserved_range){
			.first = region->start,
			.last = region->start + (region->length - 1),
			.type = reserved_type(region->type),
		};
	}
	rc = vfio_info_add_capability(caps, &cap->header, struct_size(cap, ranges, nr));
	kfree(cap);
	return rc;
}
