// SPDX-License-Identifier: GPL-2.0-only
/*
 * stream.c - streaming: what a program asks for (a window, rings, registered buffers), and how all of it ends.
 *
 * An engine is made with the window. When the claim ends it is stopped, and all is unmapped; its memory is let go of by
 * the last one who has to do with it: a call may be inside, waiting for user memory for as long as that likes, and
 * nobody waits for the call. What is left then is freed with the owner.
 */
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "compat.h"
#include "engine.h"
#include "quoll.h"

static_assert(sizeof(struct quoll_stream_entry) == 64);
static_assert(sizeof(struct quoll_stream_done) == 16);
static_assert(sizeof(struct quoll_stream_head) == 128);

static void pinned_put(struct quoll_pinned *memory, struct mm_struct *mm)
{
	unsigned long i, step;

	for (i = 0; i < memory->nr; i += step) {
		step = min(memory->nr - i, QUOLL_PAGES_AT_ONCE);
		unpin_user_pages_dirty_lock(memory->pages + i, step, memory->write);
		cond_resched();
	}
	kvfree(memory->pages);
	quoll_uncharge(mm, memory->nr);
	*memory = (struct quoll_pinned){};
}

static int pages_pin(struct quoll_pinned *memory, unsigned long va, unsigned long nr)
{
	long got;

	while (memory->nr < nr) {
		got = quoll_pin(va + (memory->nr << PAGE_SHIFT), min(nr - memory->nr, QUOLL_PAGES_AT_ONCE),
				memory->write, memory->pages + memory->nr);
		if (got <= 0)
			return got ?: -EFAULT;
		memory->nr += got;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

/* Of the calling process. On failure @memory is empty. */
static int pinned_get(struct quoll_pinned *memory, struct mm_struct *mm, unsigned long va, unsigned long nr, bool write)
{
	unsigned long got;
	int rc;

	*memory = (struct quoll_pinned){.write = write};
	memory->pages = kvcalloc(nr, sizeof(*memory->pages), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!memory->pages)
		return -ENOMEM;
	rc = account_locked_vm(mm, nr, true);
	if (!rc) {
		rc = pages_pin(memory, va, nr);
		if (!rc)
			return 0;
	} else {
		nr = 0;
	}
	got = memory->nr;
	pinned_put(memory, mm);
	quoll_uncharge(mm, nr - got);
	return rc;
}

/* Whether @va, @size_bytes are whole pages that a process may have. Return: 0, -errno. */
static int range_check(u64 va, u64 size_bytes)
{
	u64 last;

	if (!size_bytes || (va | size_bytes) & ~PAGE_MASK || size_bytes > QUOLL_WINDOW_MAX_BYTES)
		return -EINVAL;
	if (check_add_overflow(va, size_bytes - 1, &last))
		return -EINVAL;
	return access_ok((void __user *)(unsigned long)va, size_bytes) ? 0 : -EFAULT;
}

static struct quoll_engine *owner_engine(struct quoll_owner *owner)
{
	/* pairs with window_open() */
	return smp_load_acquire(&owner->engine);
}

/* Calls that may wait for user memory are counted. Return: 0 or -ENODEV. */
static int engine_get(struct quoll_engine *engine)
{
	int rc = -ENODEV;

	mutex_lock(&engine->lock);
	if (engine->live) {
		engine->users++;
		rc = 0;
	}
	mutex_unlock(&engine->lock);
	return rc;
}

static void ring_destroy(struct quoll_ring *ring, struct mm_struct *mm)
{
	if (!ring)
		return;
	vunmap(ring->shared);
	pinned_put(&ring->memory, mm);
	mutex_destroy(&ring->mutex);
	kvfree(ring);
}

static void buffer_destroy(struct quoll_buffer *buffer, struct mm_struct *mm)
{
	pinned_put(&buffer->memory, mm);
	kfree(buffer);
}

/* Nobody is inside, nor will be. A buffer of which the IOMMU has kept a part stays pinned. */
static void engine_settle(struct quoll_engine *engine)
{
	unsigned long lost = quoll_slots_settle(engine);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(engine->rings); i++)
		ring_destroy(engine->rings[i], engine->mm);
	for (i = 0; i < ARRAY_SIZE(engine->buffers); i++)
		if (engine->buffers[i] && refcount_read(&engine->buffers[i]->uses) == 1)
			buffer_destroy(engine->buffers[i], engine->mm);
	kvfree(engine->slots);
	engine->slots = NULL;
	quoll_uncharge(engine->mm, engine->nr_slots - lost);
}

void quoll_engine_put(struct quoll_engine *engine)
{
	bool last;

	mutex_lock(&engine->lock);
	last = !--engine->users;
	mutex_unlock(&engine->lock);
	if (last)
		engine_settle(engine);
}

void quoll_engine_stop(struct quoll_engine *engine)
{
	mutex_lock(&engine->lock);
	WRITE_ONCE(engine->live, false);
	mutex_unlock(&engine->lock);
	synchronize_srcu(&engine->srcu);
}

void quoll_engine_unmap(struct quoll_engine *engine)
{
	quoll_slots_unmap(engine);
}

void quoll_engine_free(struct quoll_engine *engine)
{
	if (!engine)
		return;
	cleanup_srcu_struct(&engine->srcu);
	mutex_destroy(&engine->lock);
	kvfree(engine->slots);
	kvfree(engine);
}

static struct quoll_engine *engine_create(struct mm_struct *mm, unsigned long first, unsigned long nr)
{
	struct quoll_engine *engine;

	engine = kvzalloc(sizeof(*engine), GFP_KERNEL_ACCOUNT);
	if (!engine)
		return NULL;
	engine->slots = kvcalloc(nr, sizeof(*engine->slots), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!engine->slots || init_srcu_struct(&engine->srcu)) {
		kvfree(engine->slots);
		kvfree(engine);
		return NULL;
	}
	mutex_init(&engine->lock);
	engine->mm = mm;
	engine->first = first;
	engine->nr_slots = nr;
	engine->users = 1;
	engine->live = true;
	return engine;
}

/* With group->lock. */
static int window_open(struct quoll_owner *owner, struct quoll_engine *engine)
{
	struct iommu_domain *domain = owner->space.domain;
	unsigned long large = domain->pgsize_bitmap & ~(2 * PAGE_SIZE - 1);
	int rc;

	rc = quoll_space_window(&owner->space, engine->first, engine->first + engine->nr_slots - 1);
	if (rc)
		return rc;
	engine->domain = domain;
	engine->large = large ? BIT(__ffs(large)) >> PAGE_SHIFT : ULONG_MAX;
	/* pairs with those who look without group->lock: what it has is there */
	smp_store_release(&owner->engine, engine);
	return 0;
}

static long window(struct quoll_owner *owner, void __user *arg)
{
	struct quoll_engine *engine;
	struct quoll_window window;
	u64 last;
	long rc;

	rc = quoll_copy_in(&window, sizeof(window), arg);
	if (rc)
		return rc;
	if (window.flags || !window.size_bytes || (window.iova | window.size_bytes) & ~PAGE_MASK ||
	    window.size_bytes > QUOLL_WINDOW_MAX_BYTES || check_add_overflow(window.iova, window.size_bytes - 1, &last))
		return -EINVAL;
	engine = engine_create(owner->mm, window.iova >> PAGE_SHIFT, window.size_bytes >> PAGE_SHIFT);
	if (!engine)
		return -ENOMEM;
	rc = account_locked_vm(owner->mm, engine->nr_slots, true);
	if (rc)
		goto err_free;
	rc = quoll_owner_enter(owner);
	if (!rc) {
		rc = window_open(owner, engine);
		mutex_unlock(&owner->group->lock);
	}
	if (!rc)
		return 0;
	quoll_uncharge(owner->mm, engine->nr_slots);
err_free:
	quoll_engine_free(engine);
	return rc;
}

/* A number that is nobody's, kept until it is given back. */
static int id_take(struct quoll_engine *engine, unsigned long *ids, unsigned int max)
{
	unsigned long id;

	mutex_lock(&engine->lock);
	id = find_first_zero_bit(ids, max);
	if (id < max)
		__set_bit(id, ids);
	mutex_unlock(&engine->lock);
	return id < max ? id : -ENOSPC;
}

static void id_give(struct quoll_engine *engine, unsigned long *ids, unsigned int id)
{
	mutex_lock(&engine->lock);
	__clear_bit(id, ids);
	mutex_unlock(&engine->lock);
}

static unsigned long ring_bytes(u32 nr_entries)
{
	return sizeof(struct quoll_stream_head) + nr_entries * sizeof(struct quoll_stream_entry) +
	       2 * nr_entries * sizeof(struct quoll_stream_done);
}

static int ring_map(struct quoll_ring *ring, struct mm_struct *mm, unsigned long va, u32 nr_entries)
{
	unsigned long pages = PAGE_ALIGN(ring_bytes(nr_entries)) >> PAGE_SHIFT;
	int rc;

	rc = pinned_get(&ring->memory, mm, va, pages, true);
	if (rc)
		return rc;
	ring->shared = vmap(ring->memory.pages, pages, VM_MAP, PAGE_KERNEL);
	if (!ring->shared) {
		pinned_put(&ring->memory, mm);
		return -ENOMEM;
	}
	memset(ring->shared, 0, pages << PAGE_SHIFT);
	ring->entries = (void *)(ring->shared + 1);
	ring->dones = (void *)(ring->entries + nr_entries);
	return 0;
}

static struct quoll_ring *ring_create(struct mm_struct *mm, unsigned long va, u32 nr_entries)
{
	struct quoll_ring *ring;
	int rc;

	ring = kvzalloc(sizeof(*ring), GFP_KERNEL_ACCOUNT);
	if (!ring)
		return ERR_PTR(-ENOMEM);
	rc = ring_map(ring, mm, va, nr_entries);
	if (rc) {
		kvfree(ring);
		return ERR_PTR(rc);
	}
	mutex_init(&ring->mutex);
	ring->nr_entries = nr_entries;
	iommu_iotlb_gather_init(&ring->gather);
	ring->zapped_first = QUOLL_NO_SLOT;
	ring->next_pfn = ULONG_MAX;
	sg_init_table(ring->sg, ARRAY_SIZE(ring->sg));
	return ring;
}

static int ring_install(struct quoll_engine *engine, struct quoll_ring *ring, u32 id)
{
	int rc = -ENODEV;

	mutex_lock(&engine->lock);
	if (engine->live) {
		engine->rings[id] = ring;
		rc = 0;
	}
	mutex_unlock(&engine->lock);
	return rc;
}

static long ring_make(struct quoll_engine *engine, struct quoll_stream_ring *arg, struct quoll_stream_ring __user *user)
{
	struct quoll_ring *ring;
	int id, rc;

	if (arg->flags || arg->ring || arg->nr_entries > QUOLL_STREAM_MAX_ENTRIES || !is_power_of_2(arg->nr_entries))
		return -EINVAL;
	rc = range_check(arg->va, arg->size_bytes);
	if (rc)
		return rc;
	if (arg->size_bytes < ring_bytes(arg->nr_entries))
		return -EINVAL;
	id = id_take(engine, engine->ring_ids, QUOLL_STREAM_MAX_RINGS);
	if (id < 0)
		return id;
	ring = ring_create(engine->mm, arg->va, arg->nr_entries);
	if (IS_ERR(ring)) {
		rc = PTR_ERR(ring);
		goto err_id;
	}
	rc = put_user((u32)id, &user->ring);
	if (!rc)
		rc = ring_install(engine, ring, id);
	if (!rc)
		return 0;
	ring_destroy(ring, engine->mm);
err_id:
	id_give(engine, engine->ring_ids, id);
	return rc;
}

/* Return: the ring, with its mutex, or an ERR_PTR. */
static struct quoll_ring *ring_take(struct quoll_engine *engine, u32 id)
{
	struct quoll_ring *ring = NULL;

	mutex_lock(&engine->lock);
	if (id < QUOLL_STREAM_MAX_RINGS)
		ring = engine->rings[array_index_nospec(id, QUOLL_STREAM_MAX_RINGS)];
	if (!ring)
		ring = ERR_PTR(-ENOENT);
	else if (!mutex_trylock(&ring->mutex))
		ring = ERR_PTR(-EBUSY);
	mutex_unlock(&engine->lock);
	return ring;
}

/* It is found by whoever ends the claim until it has nothing that is to be flushed. */
static long ring_free(struct quoll_engine *engine, u32 id)
{
	struct quoll_ring *ring = ring_take(engine, id);
	int rc;

	if (IS_ERR(ring))
		return PTR_ERR(ring);
	rc = quoll_ring_fence(engine, ring);
	if (!rc) {
		mutex_lock(&engine->lock);
		engine->rings[id] = NULL;
		mutex_unlock(&engine->lock);
	}
	mutex_unlock(&ring->mutex);
	if (rc)
		return rc;
	ring_destroy(ring, engine->mm);
	id_give(engine, engine->ring_ids, id);
	return 0;
}

static void batch_copy(struct quoll_ring *ring, unsigned int nr)
{
	u32 mask = ring->nr_entries - 1;
	unsigned int i;

	for (i = 0; i < nr; i++)
		memcpy(&ring->batch[i], &ring->entries[(ring->head + i) & mask], sizeof(ring->batch[i]));
	barrier(); /* what is checked is the copy */
}

static void batch_publish(struct quoll_ring *ring, unsigned int nr)
{
	u32 mask = 2 * ring->nr_entries - 1;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		if (!ring->results[i] && ring->batch[i].flags & QUOLL_STREAM_SILENT)
			continue;
		ring->dones[ring->done_tail++ & mask] = (struct quoll_stream_done){
			.user_data = ring->batch[i].user_data,
			.result = ring->results[i],
		};
	}
	ring->head += nr;
	/* pair with the program's acquire: completions are there, entries are copied, before the index says so */
	smp_store_release(&ring->shared->done_tail, ring->done_tail);
	/* the same */
	smp_store_release(&ring->shared->head, ring->head);
}

/* With ring->mutex. The program's indexes are read once; each entry has room for a completion before it is taken. */
static long ring_enter(struct quoll_engine *engine, struct quoll_ring *ring, u32 left)
{
	u32 tail, done_head, nr;
	long taken = 0;

	/* pair with the program's release: entries are written, completions are read */
	tail = smp_load_acquire(&ring->shared->tail);
	/* the same */
	done_head = smp_load_acquire(&ring->shared->done_head);
	if (tail - ring->head > ring->nr_entries || ring->done_tail - done_head > 2 * ring->nr_entries)
		return -EINVAL;
	left = min(left, tail - ring->head);
	for (; left; left -= nr, taken += nr) {
		nr = min3(left, 2 * ring->nr_entries - (ring->done_tail - done_head), (u32)QUOLL_BATCH);
		if (!nr)
			break;
		if (!READ_ONCE(engine->live))
			return taken ?: -ENODEV;
		if (fatal_signal_pending(current))
			return taken ?: -EINTR;
		batch_copy(ring, nr);
		quoll_ring_run(engine, ring, nr);
		batch_publish(ring, nr);
		cond_resched();
	}
	return taken;
}

long quoll_stream_enter(struct quoll_owner *owner, void __user *arg)
{
	struct quoll_engine *engine = owner_engine(owner);
	struct quoll_stream_enter enter;
	struct quoll_ring *ring;
	long rc;

	rc = quoll_copy_in(&enter, sizeof(enter), arg);
	if (rc)
		return rc;
	if (enter.flags)
		return -EINVAL;
	if (!engine)
		return -ENOENT;
	rc = engine_get(engine);
	if (rc)
		return rc;
	ring = ring_take(engine, enter.ring);
	if (IS_ERR(ring)) {
		rc = PTR_ERR(ring);
	} else {
		rc = ring_enter(engine, ring, enter.nr_entries);
		mutex_unlock(&ring->mutex);
	}
	quoll_engine_put(engine);
	return rc;
}

static int buffer_install(struct quoll_engine *engine, struct quoll_buffer *buffer, u32 id)
{
	int rc = -ENODEV;

	mutex_lock(&engine->lock);
	if (engine->live) {
		/* pairs with buffer_use() of engine.c */
		smp_store_release(&engine->buffers[id], buffer);
		rc = 0;
	}
	mutex_unlock(&engine->lock);
	return rc;
}

static long buffer_make(struct quoll_engine *engine, struct quoll_stream_register *arg,
			struct quoll_stream_register __user *user)
{
	struct quoll_buffer *buffer;
	int id, rc;

	if (arg->flags & ~QUOLL_STREAM_WRITE || arg->buffer || arg->reserved)
		return -EINVAL;
	rc = range_check(arg->va, arg->size_bytes);
	if (rc)
		return rc;
	id = id_take(engine, engine->buffer_ids, QUOLL_STREAM_MAX_BUFFERS);
	if (id < 0)
		return id;
	rc = -ENOMEM;
	buffer = kzalloc(sizeof(*buffer), GFP_KERNEL_ACCOUNT);
	if (!buffer)
		goto err_id;
	refcount_set(&buffer->uses, 1);
	rc = pinned_get(&buffer->memory, engine->mm, arg->va, arg->size_bytes >> PAGE_SHIFT,
			arg->flags & QUOLL_STREAM_WRITE);
	if (!rc)
		rc = put_user((u32)id, &user->buffer);
	if (!rc)
		rc = buffer_install(engine, buffer, id);
	if (!rc)
		return 0;
	buffer_destroy(buffer, engine->mm);
err_id:
	id_give(engine, engine->buffer_ids, id);
	return rc;
}

static long buffer_free(struct quoll_engine *engine, u32 id)
{
	struct quoll_buffer *buffer = NULL;
	int rc = -ENOENT;

	mutex_lock(&engine->lock);
	if (id < QUOLL_STREAM_MAX_BUFFERS)
		buffer = engine->buffers[array_index_nospec(id, QUOLL_STREAM_MAX_BUFFERS)];
	if (buffer)
		rc = refcount_dec_if_one(&buffer->uses) ? 0 : -EBUSY;
	if (!rc)
		WRITE_ONCE(engine->buffers[id], NULL);
	mutex_unlock(&engine->lock);
	if (rc)
		return rc;
	synchronize_srcu(&engine->srcu); /* some may just find that it has no use any more */
	buffer_destroy(buffer, engine->mm);
	id_give(engine, engine->buffer_ids, id);
	return 0;
}

static long ask_ring(struct quoll_engine *engine, void __user *user)
{
	struct quoll_stream_ring arg;
	long rc;

	rc = quoll_copy_in(&arg, sizeof(arg), user);
	return rc ?: ring_make(engine, &arg, user);
}

static long ask_register(struct quoll_engine *engine, void __user *user)
{
	struct quoll_stream_register arg;
	long rc;

	rc = quoll_copy_in(&arg, sizeof(arg), user);
	return rc ?: buffer_make(engine, &arg, user);
}

static long ask_free(struct quoll_engine *engine, void __user *user, bool ring)
{
	struct quoll_stream_free arg;
	long rc;

	rc = quoll_copy_in(&arg, sizeof(arg), user);
	if (rc)
		return rc;
	if (arg.flags || arg.reserved)
		return -EINVAL;
	return ring ? ring_free(engine, arg.id) : buffer_free(engine, arg.id);
}

static long engine_ask(struct quoll_engine *engine, unsigned int cmd, void __user *arg)
{
	switch (cmd) {
	case QUOLL_STREAM_RING:
		return ask_ring(engine, arg);
	case QUOLL_STREAM_RING_FREE:
		return ask_free(engine, arg, true);
	case QUOLL_STREAM_REGISTER:
		return ask_register(engine, arg);
	default:
		return ask_free(engine, arg, false);
	}
}

long quoll_stream_ask(struct quoll_owner *owner, unsigned int cmd, void __user *arg)
{
	struct quoll_engine *engine = owner_engine(owner);
	long rc;

	if (cmd == QUOLL_STREAM_WINDOW)
		return window(owner, arg);
	if (!engine)
		return -ENOENT;
	rc = engine_get(engine);
	if (rc)
		return rc;
	rc = engine_ask(engine, cmd, arg);
	quoll_engine_put(engine);
	return rc;
}
