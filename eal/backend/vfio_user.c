/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio_user.c - the back-end for devices in other processes: address space, memory sent to servers, claim, the ops.
 *
 * Source: the vfio-user specification (vfio_user/wire.h). Each server is told of every mapping, with the chunk's file,
 * and maps it itself; there is no IOMMU. What it may not write it cannot, because the file of a device-read chunk is
 * sealed against it (mem/chunk.c). A server that dies or breaks the protocol is passed over: its device is gone, the
 * others of the address space go on.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "backend/vfio_user.h"

/* No IOMMU narrows it: what a virtual address can be, so that any window fits. */
#define LAST_IOVA ((1ull << 48) - 1)

static struct vfio_user_session *session_of(const struct quoll_group *group)
{
	return group->priv;
}

/* The smallest page that a server takes. */
static uint64_t granule(const struct vuser_caps *caps)
{
	return caps->pgsizes & -caps->pgsizes;
}

static int vfio_user_probe(const struct quoll_env *env, struct quoll_error *err)
{
	(void)env;
	(void)err;
	return 0;
}

static int vfio_user_ioas_open(struct quoll_ioas *ioas, struct quoll_error *err)
{
	struct vfio_user_space *space = calloc(1, sizeof(*space));

	if (!space)
		return quoll_error_set(err, ENOMEM, "open", "vfio-user", "out of memory");
	pthread_mutex_init(&space->lock, NULL);
	space->timeout_ns = VFIO_USER_TIMEOUT_NS;
	ioas->priv = space;
	return 0;
}

static void vfio_user_ioas_close(struct quoll_ioas *ioas)
{
	struct vfio_user_space *space = ioas->priv;

	pthread_mutex_destroy(&space->lock);
	maps_free(&space->maps);
	free(space);
	ioas->priv = NULL;
}

static int vfio_user_ioas_info(struct quoll_ioas *ioas, struct quoll_ioas_info *info, struct quoll_error *err)
{
	uint64_t page = 1;

	(void)err;
	info->maps_avail = UINT32_MAX;
	info->memlock_bytes = UINT64_MAX; /* nothing is pinned */
	if (!ioas->nr_groups)
		return 0;
	for (unsigned int i = 0; i < ioas->nr_groups; i++) {
		const struct vuser_caps *caps = &session_of(ioas->groups[i])->caps;
		uint32_t left = caps->max_dma_maps > ioas->maps.nr ? caps->max_dma_maps - ioas->maps.nr : 0;

		if (granule(caps) > page)
			page = granule(caps);
		if (left < info->maps_avail)
			info->maps_avail = left;
	}
	info->page_sizes = ~(page - 1);
	info->ranges[info->nr_ranges++] = (struct quoll_iova_range){.first = 0, .last = LAST_IOVA};
	return 0;
}

/*
 * A session that is over leaves its server with the files that it was sent, and it need not be gone, nor at rest, nor
 * ever let go: all that is mapped now is within its reach.
 */
static void session_expose(struct vfio_user_session *s)
{
	struct ioas_maps *maps = &s->ioas->maps;

	for (unsigned int i = 0; s->told && !s->exposed && i < maps->nr; i++)
		maps->at[i].exposed = true;
	s->exposed = true;
}

/* Before anything is added to the table, so that what a dead one was not told of is not marked. */
static void vfio_user_expose(struct quoll_ioas *ioas)
{
	for (unsigned int i = 0; i < ioas->nr_groups; i++)
		if (vfio_user_is_dead(session_of(ioas->groups[i])))
			session_expose(session_of(ioas->groups[i]));
}

/* What a server's limits say to one more mapping, when it has nr already. */
static int map_check(struct vfio_user_session *s, const struct ioas_mapping *m, unsigned int nr,
		     struct quoll_error *err)
{
	uint64_t page = granule(&s->caps);

	if ((m->iova | m->len_bytes) & (page - 1))
		return quoll_error_set(err, EINVAL, "map", s->path,
				       "IOVA 0x%" PRIx64 " and length 0x%" PRIx64
				       " are not multiples of the server's page, %" PRIu64 " bytes",
				       m->iova, m->len_bytes, page);
	if (nr < s->caps.max_dma_maps)
		return 0;
	quoll_error_set(err, ENOMEM, "map", s->path, "all %" PRIu32 " mappings that the server takes are in use",
			s->caps.max_dma_maps);
	quoll_error_hint(err, "use larger pages: fewer, larger mappings");
	return -ENOMEM;
}

static int map_send(struct vfio_user_session *s, const struct ioas_mapping *m, struct quoll_error *err)
{
	struct vuser_dma_map map = {
		.argsz = sizeof(map),
		.flags = (m->access & MAP_DEVICE_READ ? VUSER_DMA_READABLE : 0) |
			 (m->access & MAP_DEVICE_WRITE ? VUSER_DMA_WRITABLE : 0),
		.iova = m->iova,
		.size_bytes = m->len_bytes,
	};
	struct vfio_user_call call = {.command = VUSER_DMA_MAP, .head = &map, .head_bytes = sizeof(map)};
	int rc;

	/* Without a file the server asks for what it needs, see vfio_user_serve.c. */
	if (m->fd >= 0 && s->caps.max_msg_fds) {
		map.offset = m->fd_offset;
		call.fds = &m->fd;
		call.nr_fds = 1;
		s->told = true;
	}
	rc = vfio_user_call(s, &call);
	return rc ? vfio_user_explain(s, rc, "map", "memory", err) : 0;
}

static void unmap_send(struct vfio_user_session *s, quoll_iova_t iova, uint64_t len_bytes)
{
	struct vuser_dma_unmap unmap = {.argsz = sizeof(unmap), .iova = iova, .size_bytes = len_bytes};
	uint8_t echo[sizeof(unmap)];
	struct vfio_user_call call = {
		.command = VUSER_DMA_UNMAP,
		.head = &unmap,
		.head_bytes = sizeof(unmap),
		.rest = echo, /* the command again, says the specification; nothing depends on it */
		.rest_room = sizeof(echo),
	};

	/* A server that does not let go when asked must not go on: the memory will be somebody else's. */
	if (vfio_user_call(s, &call))
		vfio_user_end(s, -EPROTO);
}

static int vfio_user_map(struct quoll_ioas *ioas, const struct ioas_mapping *m, struct quoll_error *err)
{
	struct vfio_user_space *space = ioas->priv;
	struct vfio_user_session *s;
	int rc;

	vfio_user_expose(ioas);
	/* First, so that a server which reads at once, by message, is answered. */
	rc = vfio_user_space_add(space, m);
	if (rc)
		return quoll_error_set(err, -rc, "map", "vfio-user", "out of memory");
	for (unsigned int i = 0; i < ioas->nr_groups; i++) {
		s = session_of(ioas->groups[i]);
		if (vfio_user_is_dead(s))
			continue;
		rc = map_check(s, m, ioas->maps.nr, err);
		if (!rc)
			rc = map_send(s, m, err);
		if (!rc || vfio_user_is_dead(s))
			continue;
		while (i--)
			unmap_send(session_of(ioas->groups[i]), m->iova, m->len_bytes);
		vfio_user_space_remove(space, m->iova);
		return rc;
	}
	return 0;
}

static int vfio_user_unmap(struct quoll_ioas *ioas, quoll_iova_t iova, uint64_t len_bytes)
{
	for (unsigned int i = 0; i < ioas->nr_groups; i++)
		unmap_send(session_of(ioas->groups[i]), iova, len_bytes);
	vfio_user_space_remove(ioas->priv, iova);
	return 0;
}

/* Tell a new server what is mapped already. What it was told is gone with the session if this fails. */
static int map_all(struct vfio_user_session *s, struct quoll_error *err)
{
	const struct quoll_ioas *ioas = s->ioas;
	int rc = 0;

	for (unsigned int i = 0; !rc && i < ioas->maps.nr; i++) {
		rc = map_check(s, &ioas->maps.at[i], i, err);
		if (!rc)
			rc = map_send(s, &ioas->maps.at[i], err);
	}
	return rc;
}

static int vfio_user_claim(struct quoll_group *group, const struct quoll_addr *addr, struct quoll_error *err)
{
	struct quoll_ioas *ioas = group->ioas;
	struct vfio_user_session *s;
	int rc;

	if (addr->scheme != QUOLL_ADDR_VFIO_USER) {
		quoll_error_set(err, EINVAL, "claim", addr->target, "%s: is not an address of a vfio-user server",
				quoll_addr_scheme_name(addr->scheme));
		quoll_error_hint(err, "an address like vfio-user:/run/x.sock, or an address space of another back-end");
		return -EINVAL;
	}
	for (unsigned int i = 0; i < ioas->nr_groups; i++)
		if (!strcmp(session_of(ioas->groups[i])->path, addr->target))
			return quoll_error_set(err, EBUSY, "claim", addr->target, "claimed already, by this process");
	rc = vfio_user_session_open(ioas, addr, &s, err);
	if (rc)
		return rc;
	rc = map_all(s, err);
	if (!rc) {
		group->names = calloc(1, sizeof(*group->names));
		if (!group->names)
			rc = quoll_error_set(err, ENOMEM, "claim", addr->target, "out of memory");
	}
	if (rc) {
		session_expose(s);
		vfio_user_session_close(s);
		return rc;
	}
	vfio_user_unhurry(s);
	device_name_cut(addr->target, group->names[0]);
	group->nr_devices = 1;
	group->priv = s;
	return 0;
}

static void vfio_user_release(struct quoll_group *group)
{
	session_expose(group->priv);
	vfio_user_session_close(group->priv);
	group->priv = NULL;
	free(group->names);
	group->names = NULL;
	group->nr_devices = 0;
}

const struct backend_ops backend_vfio_user = {
	.name = "vfio-user",
	.on_request_only = true,
	.device_is_process = true,
	.maps_hint = "have the server take more: it states max_dma_maps",
	.probe = vfio_user_probe,
	.ioas_open = vfio_user_ioas_open,
	.ioas_close = vfio_user_ioas_close,
	.ioas_info = vfio_user_ioas_info,
	.map = vfio_user_map,
	.unmap = vfio_user_unmap,
	.expose = vfio_user_expose,
	.claim = vfio_user_claim,
	.release = vfio_user_release,
	.device_open = vfio_user_device_open,
	.device_close = vfio_user_device_close,
	.device_reset = vfio_user_device_reset,
	.device_watch = vfio_user_device_watch,
	.device_events = vfio_user_device_events,
	.region_info = vfio_user_region_info,
	.region_map = vfio_user_region_map,
	.region_rw = vfio_user_region_rw,
	.irq_info = vfio_user_irq_info,
	.irq_set = vfio_user_irq_set,
	.irq_unmask = vfio_user_irq_unmask,
};
