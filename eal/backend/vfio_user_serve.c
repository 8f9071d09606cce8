/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfio_user_serve.c - the commands of a vfio-user server: reading and writing our memory by message.
 *
 * A server that could not map the memory, or does not want to, asks for it. It gets what was mapped for devices, with
 * the permission of its arena, and nothing else; anything but DMA_READ and DMA_WRITE is refused.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backend/vfio_user.h"

int vfio_user_space_add(struct vfio_user_space *space, const struct ioas_mapping *m)
{
	int rc;

	pthread_mutex_lock(&space->lock);
	rc = maps_reserve(&space->maps);
	if (!rc)
		maps_insert(&space->maps, m); /* ioas.c has seen to it that nothing overlaps */
	pthread_mutex_unlock(&space->lock);
	return rc;
}

void vfio_user_space_remove(struct vfio_user_space *space, quoll_iova_t iova)
{
	unsigned int at;

	pthread_mutex_lock(&space->lock);
	at = maps_find(&space->maps, iova);
	if (at < space->maps.nr && space->maps.at[at].iova == iova)
		maps_remove(&space->maps, at, at + 1);
	pthread_mutex_unlock(&space->lock);
}

/*
 * Upwards and by quadwords, each whole, as a device would write: what another thread polls (the phase of a completion
 * entry) comes after what it announces. Pairs with the reader's barrier behind its look at it.
 */
static void write_upwards(uint8_t *to, const uint8_t *from, uint64_t len_bytes)
{
	uint64_t quad;

	while (len_bytes) {
		if (len_bytes < sizeof(quad) || (uintptr_t)to % sizeof(quad)) {
			__atomic_store_n(to++, *from++, __ATOMIC_RELEASE);
			len_bytes--;
			continue;
		}
		memcpy(&quad, from, sizeof(quad));
		__atomic_store_n((uint64_t *)to, quad, __ATOMIC_RELEASE);
		to += sizeof(quad);
		from += sizeof(quad);
		len_bytes -= sizeof(quad);
	}
}

/* Walk over the mappings that hold a range. Copies if buf is given, else only checks. Under the lock. */
static int walk(const struct vfio_user_space *space, quoll_iova_t iova, uint8_t *buf, uint64_t len_bytes, bool write)
{
	unsigned int need = write ? MAP_DEVICE_WRITE : MAP_DEVICE_READ;
	uint64_t at, piece;

	for (unsigned int i = maps_find(&space->maps, iova); len_bytes; i++) {
		const struct ioas_mapping *m = i < space->maps.nr ? &space->maps.at[i] : NULL;

		if (!m || iova < m->iova)
			return -EFAULT;
		if (!(m->access & need))
			return -EPERM;
		at = iova - m->iova;
		piece = m->len_bytes - at < len_bytes ? m->len_bytes - at : len_bytes;
		if (buf && write)
			write_upwards((uint8_t *)m->va + at, buf, piece);
		else if (buf)
			memcpy(buf, (const uint8_t *)m->va + at, piece);
		if (buf)
			buf += piece;
		iova += piece;
		len_bytes -= piece;
	}
	return 0;
}

int vfio_user_space_copy(struct vfio_user_space *space, quoll_iova_t iova, void *buf, uint64_t len_bytes, bool write)
{
	int rc;

	if (len_bytes && iova > UINT64_MAX - (len_bytes - 1))
		return -EFAULT;
	/* Held while copying, so that what is unmapped is not freed under it. */
	pthread_mutex_lock(&space->lock);
	rc = walk(space, iova, NULL, len_bytes, write);
	if (!rc)
		rc = walk(space, iova, buf, len_bytes, write);
	pthread_mutex_unlock(&space->lock);
	return rc;
}

static int answer(struct vfio_user_session *s, struct vuser_conn *conn, struct vuser_out *out)
{
	const struct vfio_user_space *space = s->ioas->priv;

	if (out->flags & VUSER_ERROR)
		s->nr_refused++;
	else
		s->nr_served++;
	if (!vuser_wants_reply(&conn->header))
		return 0;
	return vuser_send(conn, out, fd_socket_now_ns() + space->timeout_ns);
}

static int refuse(struct vfio_user_session *s, struct vuser_conn *conn, int errnum)
{
	struct vuser_out out = vuser_reply_to(&conn->header, errnum);

	quoll_log(&s->ioas->env, QUOLL_LOG_DEBUG, "vfio-user", "%s: command %u refused: %s", s->path,
		  conn->header.command, strerrordesc_np(errnum));
	return answer(s, conn, &out);
}

static int serve_read(struct vfio_user_session *s, struct vuser_conn *conn, const struct vuser_dma_access *access)
{
	struct vuser_out out = vuser_reply_to(&conn->header, 0);
	void *data = malloc(access->count);
	int rc;

	if (!data)
		return refuse(s, conn, ENOMEM);
	rc = vfio_user_space_copy(s->ioas->priv, access->iova, data, access->count, false);
	if (rc) {
		rc = refuse(s, conn, -rc);
	} else {
		out.head = access;
		out.head_bytes = sizeof(*access);
		out.data = data;
		out.data_bytes = (uint32_t)access->count;
		rc = answer(s, conn, &out);
	}
	free(data);
	return rc;
}

static int serve_write(struct vfio_user_session *s, struct vuser_conn *conn, const struct vuser_dma_access *access)
{
	struct vuser_out out = vuser_reply_to(&conn->header, 0);
	int rc =
		vfio_user_space_copy(s->ioas->priv, access->iova, conn->payload + sizeof(*access), access->count, true);

	if (rc)
		return refuse(s, conn, -rc);
	out.head = access;
	out.head_bytes = sizeof(*access);
	return answer(s, conn, &out);
}

int vfio_user_serve(struct vfio_user_session *s, struct vuser_conn *conn)
{
	bool is_write = conn->header.command == VUSER_DMA_WRITE;
	struct vuser_dma_access access;

	if (!is_write && conn->header.command != VUSER_DMA_READ)
		return refuse(s, conn, EOPNOTSUPP);
	if (vuser_expect(conn, sizeof(access), is_write ? UINT32_MAX : sizeof(access), 0))
		return refuse(s, conn, EINVAL);
	memcpy(&access, conn->payload, sizeof(access));
	if (!access.count || access.count > VUSER_DEFAULT_DATA_BYTES ||
	    (is_write && access.count != conn->payload_bytes - sizeof(access)))
		return refuse(s, conn, EINVAL);
	return is_write ? serve_write(s, conn, &access) : serve_read(s, conn, &access);
}
