/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ioas.c - an I/O address space above whichever back-end: life cycle, limits, and the list of what is mapped.
 *
 * The list refuses overlaps before the kernel is asked, makes sure that an unmap never cuts a mapping in two, and maps
 * everything again where a back-end loses its mappings with the last group.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/backend.h"
#include "backend/memlock.h"

/*
 * Where the kernel offers both, VFIO's groups come before iommufd: mapping costs fewer instructions there, pinned
 * memory is charged to the process and not to all of the user's, and the container's file is everybody's.
 */
const struct backend_ops *const backends[] = {&backend_vfio, &backend_iommufd, &backend_kmod, &backend_vfio_user, NULL};

static const struct backend_ops *backend_named(const char *name)
{
	for (unsigned int i = 0; backends[i]; i++)
		if (!strcmp(backends[i]->name, name))
			return backends[i];
	return NULL;
}

static int backend_best(const struct quoll_env *env, const struct backend_ops **ops, struct quoll_error *err)
{
	for (unsigned int i = 0; backends[i]; i++)
		if (!backends[i]->on_request_only && !backends[i]->probe(env, NULL)) {
			*ops = backends[i];
			return 0;
		}
	/* Of all errors that of the way that any kernel has: it is the one to be mended. */
	*ops = &backend_vfio;
	return backend_vfio.probe(env, err);
}

int quoll_ioas_open(const struct quoll_env *env, const char *backend, struct quoll_ioas **ioas, struct quoll_error *err)
{
	const struct backend_ops *ops = NULL;
	int rc;

	if (!backend && env)
		backend = env->backend;
	if (!backend) {
		rc = backend_best(env, &ops, err);
	} else {
		ops = backend_named(backend);
		if (!ops) {
			quoll_error_set(err, ENOENT, "open", backend, "no back-end of that name");
			quoll_error_hint(err, "use one of:");
			for (unsigned int i = 0; err && backends[i]; i++)
				quoll_error_hint(err, "%s %s", err->hint, backends[i]->name);
			return -ENOENT;
		}
		rc = ops->probe(env, err);
	}
	if (rc)
		return rc;
	return ioas_open_ops(env, ops, ioas, err);
}

int ioas_open_ops(const struct quoll_env *env, const struct backend_ops *ops, struct quoll_ioas **ioas,
		  struct quoll_error *err)
{
	struct quoll_ioas *new = calloc(1, sizeof(*new));
	int rc;

	if (!new)
		return quoll_error_set(err, ENOMEM, "open", ops->name, "out of memory");
	if (env)
		new->env = *env;
	new->ops = ops;
	new->fd = -1;
	pthread_mutex_init(&new->maps_lock, NULL);
	rc = ops->ioas_open(new, err);
	if (rc) {
		pthread_mutex_destroy(&new->maps_lock);
		free(new);
		return rc;
	}
	*ioas = new;
	return 0;
}

int quoll_ioas_close(struct quoll_ioas *ioas)
{
	if (!ioas)
		return 0;
	if (ioas->nr_groups || ioas->nr_windows)
		return -EBUSY;
	ioas->ops->ioas_close(ioas);
	maps_free(&ioas->maps);
	pthread_mutex_destroy(&ioas->maps_lock);
	free(ioas);
	return 0;
}

int quoll_ioas_info(struct quoll_ioas *ioas, struct quoll_ioas_info *info, struct quoll_error *err)
{
	int rc;

	memset(info, 0, sizeof(*info));
	pthread_mutex_lock(&ioas->maps_lock);
	rc = ioas->ops->ioas_info(ioas, info, err);
	pthread_mutex_unlock(&ioas->maps_lock);
	return rc;
}

int ioas_check_limits(struct quoll_ioas *ioas, uint64_t need_bytes, unsigned int need_maps, struct quoll_error *err)
{
	struct quoll_ioas_info info;
	struct memlock ml;
	uint64_t total;
	int rc;

	rc = quoll_ioas_info(ioas, &info, err);
	if (rc)
		return rc;
	if (ioas->ops->memlock_per_group && ioas->nr_groups &&
	    __builtin_mul_overflow(need_bytes, ioas->nr_groups, &need_bytes))
		need_bytes = UINT64_MAX;
	if (need_bytes > info.memlock_bytes) {
		rc = ioas->ops->memlock_per_user ? memlock_read_user(&ioas->env, &ml) : memlock_read(&ioas->env, &ml);
		if (rc)
			return quoll_error_set(err, -rc, "map", ioas->ops->name, "cannot read the memlock account");
		return memlock_refuse(&ml, ioas->ops->name, need_bytes, err);
	}
	if (info.maps_avail == UINT32_MAX || need_maps <= info.maps_avail)
		return 0;
	pthread_mutex_lock(&ioas->maps_lock);
	total = (uint64_t)ioas->maps.nr + need_maps;
	pthread_mutex_unlock(&ioas->maps_lock);
	if (ioas->ops->maps_hint) {
		quoll_error_set(err, ENOMEM, "map", ioas->ops->name,
				"too many mappings: %" PRIu64 " are needed, %" PRIu64 " are possible", total,
				total - need_maps + info.maps_avail);
		quoll_error_hint(err, "use larger pages, or %s", ioas->ops->maps_hint);
		return -ENOMEM;
	}
	quoll_error_set(err, ENOMEM, "map", ioas->ops->name,
			"too many mappings: %u more are needed, %" PRIu32 " more are possible", need_maps,
			info.maps_avail);
	quoll_error_hint(err,
			 "use larger pages, or: echo %" PRIu64
			 " | sudo tee /sys/module/vfio_iommu_type1/parameters/dma_entry_limit, then start again",
			 total);
	return -ENOMEM;
}

static int map_check(const struct quoll_ioas *ioas, const struct ioas_mapping *m, struct quoll_error *err)
{
	if (!m->len_bytes || m->iova > UINT64_MAX - (m->len_bytes - 1) ||
	    (uintptr_t)m->va > UINTPTR_MAX - (m->len_bytes - 1))
		return quoll_error_set(err, EINVAL, "map", ioas->ops->name,
				       "%" PRIu64 " bytes at IOVA 0x%" PRIx64 " are empty or wrap round", m->len_bytes,
				       m->iova);
	if (!(m->access & MAP_DEVICE_READ) || (m->access & ~(MAP_DEVICE_READ | MAP_DEVICE_WRITE)))
		return quoll_error_set(err, EINVAL, "map", ioas->ops->name, "access 0x%x is not a device permission",
				       m->access);
	if (ioas->ops->forgets_maps && !ioas->nr_groups) {
		quoll_error_set(err, ENODEV, "map", ioas->ops->name, "no group is attached to the address space");
		quoll_error_hint(err, "claim a group first");
		return -ENODEV;
	}
	return 0;
}

static int map_locked(struct quoll_ioas *ioas, const struct ioas_mapping *m, struct quoll_error *err)
{
	const struct ioas_mapping *next;
	unsigned int at;
	int rc;

	at = maps_find(&ioas->maps, m->iova);
	next = at < ioas->maps.nr ? &ioas->maps.at[at] : NULL;
	if (next && next->iova <= map_last(m))
		return quoll_error_set(err, EEXIST, "map", ioas->ops->name,
				       "IOVA 0x%" PRIx64 " + 0x%" PRIx64 " overlaps the mapping at 0x%" PRIx64
				       " + 0x%" PRIx64,
				       m->iova, m->len_bytes, next->iova, next->len_bytes);
	rc = maps_reserve(&ioas->maps);
	if (rc)
		return quoll_error_set(err, -rc, "map", ioas->ops->name, "out of memory");
	rc = ioas->ops->map(ioas, m, err);
	if (rc)
		return rc;
	maps_insert(&ioas->maps, m);
	return 0;
}

int ioas_map(struct quoll_ioas *ioas, const struct ioas_mapping *m, struct quoll_error *err)
{
	int rc = map_check(ioas, m, err);

	if (rc)
		return rc;
	pthread_mutex_lock(&ioas->maps_lock);
	rc = map_locked(ioas, m, err);
	pthread_mutex_unlock(&ioas->maps_lock);
	return rc;
}

static int unmap_locked(struct quoll_ioas *ioas, quoll_iova_t iova, uint64_t len_bytes)
{
	const struct ioas_mapping *maps = ioas->maps.at;
	unsigned int first, last;
	uint64_t end;
	int rc;

	if (!len_bytes || iova > UINT64_MAX - (len_bytes - 1))
		return -EINVAL;
	end = iova + (len_bytes - 1);
	first = maps_find(&ioas->maps, iova);
	for (last = first; last < ioas->maps.nr && maps[last].iova <= end; last++)
		if (maps[last].iova < iova || map_last(&maps[last]) > end)
			return -EINVAL; /* would cut a mapping in two */
	if (last == first)
		return -ENOENT;
	if (ioas->nr_groups || !ioas->ops->forgets_maps) {
		/* One at a time: back-ends need not take a range with holes, and what was undone is known on failure.
		 */
		for (unsigned int i = first; i < last; i++) {
			rc = ioas->ops->unmap(ioas, maps[i].iova, maps[i].len_bytes);
			if (rc) {
				maps_remove(&ioas->maps, first, i);
				return rc;
			}
		}
	}
	maps_remove(&ioas->maps, first, last);
	return 0;
}

int ioas_unmap(struct quoll_ioas *ioas, quoll_iova_t iova, uint64_t len_bytes)
{
	int rc;

	pthread_mutex_lock(&ioas->maps_lock);
	rc = unmap_locked(ioas, iova, len_bytes);
	pthread_mutex_unlock(&ioas->maps_lock);
	return rc;
}

bool ioas_is_exposed(struct quoll_ioas *ioas, quoll_iova_t iova)
{
	bool exposed;
	unsigned int at;

	pthread_mutex_lock(&ioas->maps_lock);
	if (ioas->ops->expose)
		ioas->ops->expose(ioas);
	at = maps_find(&ioas->maps, iova);
	exposed = at < ioas->maps.nr && ioas->maps.at[at].iova <= iova && ioas->maps.at[at].exposed;
	pthread_mutex_unlock(&ioas->maps_lock);
	return exposed;
}

static int remap_locked(struct quoll_ioas *ioas, struct quoll_error *err)
{
	int rc = 0;

	for (unsigned int i = 0; i < ioas->maps.nr; i++) {
		rc = ioas->ops->map(ioas, &ioas->maps.at[i], err);
		if (!rc)
			continue;
		while (i--)
			ioas->ops->unmap(ioas, ioas->maps.at[i].iova, ioas->maps.at[i].len_bytes);
		break;
	}
	return rc;
}

int ioas_remap(struct quoll_ioas *ioas, struct quoll_error *err)
{
	int rc;

	if (!ioas->ops->forgets_maps)
		return 0;
	pthread_mutex_lock(&ioas->maps_lock);
	rc = remap_locked(ioas, err);
	pthread_mutex_unlock(&ioas->maps_lock);
	return rc;
}

void ioas_window_add(struct quoll_ioas *ioas, const struct quoll_iova_range *window)
{
	ioas->windows[ioas->nr_windows++] = *window;
}

void ioas_window_remove(struct quoll_ioas *ioas, quoll_iova_t first)
{
	for (unsigned int i = 0; i < ioas->nr_windows; i++) {
		if (ioas->windows[i].first != first)
			continue;
		ioas->windows[i] = ioas->windows[--ioas->nr_windows];
		return;
	}
}

void ioas_stream_window_forget(struct quoll_ioas *ioas, const struct quoll_group *group)
{
	if (ioas->window_group != group)
		return;
	ioas_window_remove(ioas, ioas->window_iova);
	page_runs_fini(&ioas->window_pages);
	ioas->window_group = NULL;
}
