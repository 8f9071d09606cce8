/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * user_session.c - what is said to a vhost-user back end: who we are, what it can do, where memory and rings are.
 *
 * Source: QEMU, "Vhost-user Protocol". Guest addresses are the heap's IOVAs, ring addresses are this process's.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "user.h"

/* Questions and answers. */

static int explain(const struct virtio_user *u, int rc, const char *doing, struct quoll_error *err)
{
	const char *name = u->v.port.name;

	if (rc == -ETIMEDOUT)
		return quoll_error_set(err, ETIMEDOUT, "back end", name, "no answer in time to %s", doing);
	if (rc == -ECONNRESET)
		return quoll_error_set(err, ECONNRESET, "back end", name, "it closed the connection at %s", doing);
	return quoll_error_set(err, -rc, "back end", name, "%s: %s", doing, strerrordesc_np(-rc));
}

/* The answer to @request, of exactly @bytes; what the back end says on its own is passed over. */
static int wait_for(struct virtio_user *u, uint32_t request, uint32_t bytes, uint64_t deadline_ns)
{
	/* Bounded by the deadline, but also in number: one that chatters is none to go on with. */
	for (unsigned int i = 0; i < 16; i++) {
		int rc = vhost_recv(&u->conn, deadline_ns);

		if (rc)
			return rc;
		if (u->conn.header.request != request || !vhost_is_reply(&u->conn.header))
			continue;
		return vhost_expect(&u->conn, bytes, 0);
	}
	return -EPROTO;
}

static int ask_u64(struct virtio_user *u, uint32_t request, uint64_t *value, uint64_t deadline_ns)
{
	struct vhost_out out = {.request = request};
	int rc = vhost_send(&u->conn, &out, deadline_ns);

	if (!rc)
		rc = wait_for(u, request, sizeof(uint64_t), deadline_ns);
	if (!rc)
		*value = u->conn.payload.u64;
	return rc;
}

/* Tell something, and wait until it has been done, where the back end can say so. */
static int tell(struct virtio_user *u, struct vhost_out *out, uint64_t deadline_ns)
{
	bool acked = u->protocol & VHOST_PROTOCOL_REPLY_ACK;
	int rc;

	out->flags = acked ? VHOST_FLAG_NEED_REPLY : 0;
	rc = vhost_send(&u->conn, out, deadline_ns);
	if (rc || !acked)
		return rc;
	rc = wait_for(u, out->request, sizeof(uint64_t), deadline_ns);
	return rc || !u->conn.payload.u64 ? rc : -EREMOTEIO;
}

static int tell_u64(struct virtio_user *u, uint32_t request, uint64_t value, uint64_t deadline_ns)
{
	struct vhost_out out = {.request = request, .payload = &value, .bytes = sizeof(value)};

	return tell(u, &out, deadline_ns);
}

/* Who is there. */

static int agree_on_protocol(struct virtio_user *u, uint64_t deadline_ns)
{
	const uint64_t ours = VHOST_PROTOCOL_MQ | VHOST_PROTOCOL_REPLY_ACK | VHOST_PROTOCOL_CONFIGURE_MEM_SLOTS;
	uint64_t theirs, pairs = 1;
	struct vhost_out out = {.request = VHOST_SET_PROTOCOL_FEATURES, .payload = &theirs, .bytes = sizeof(theirs)};
	int rc = ask_u64(u, VHOST_GET_PROTOCOL_FEATURES, &theirs, deadline_ns);

	if (rc)
		return rc;
	theirs &= ours;
	rc = vhost_send(&u->conn, &out, deadline_ns);
	u->protocol = theirs;
	if (!rc && theirs & VHOST_PROTOCOL_MQ)
		rc = ask_u64(u, VHOST_GET_QUEUE_NUM, &pairs, deadline_ns);
	u->max_pairs = pairs < VIRTIO_MAX_PAIRS ? (unsigned int)pairs : VIRTIO_MAX_PAIRS;
	return rc;
}

int user_session_begin(struct virtio_user *u, uint64_t deadline_ns, struct quoll_error *err)
{
	struct vhost_out owner = {.request = VHOST_SET_OWNER};
	uint64_t features = 0;
	int rc = ask_u64(u, VHOST_GET_FEATURES, &features, deadline_ns);

	if (rc)
		return explain(u, rc, "GET_FEATURES", err);
	u->protocol = 0;
	u->max_pairs = 1;
	rc = vhost_send(&u->conn, &owner, deadline_ns);
	if (!rc && features & VHOST_F_PROTOCOL_FEATURES)
		rc = agree_on_protocol(u, deadline_ns);
	if (rc)
		return explain(u, rc, "the protocol features", err);
	/* Its own, and what needs an IOMMU's messages. */
	u->v.device_features = features & ~(VHOST_F_PROTOCOL_FEATURES | VHOST_F_LOG_ALL | VIRTIO_F_ACCESS_PLATFORM);
	u->has_protocol = features & VHOST_F_PROTOCOL_FEATURES;
	return 0;
}

/* Memory. */

static struct vhost_region region_of(const struct quoll_heap_chunk *chunk)
{
	return (struct vhost_region){
		.guest_addr = chunk->iova, .bytes = chunk->size_bytes, .user_addr = (uintptr_t)chunk->va};
}

static int tell_table(struct virtio_user *u, uint64_t deadline_ns)
{
	struct vhost_mem_table table = {.nr_regions = u->nr_chunks};
	int fds[VHOST_MAX_REGIONS];
	struct vhost_out out = {.request = VHOST_SET_MEM_TABLE,
				.payload = &table,
				.bytes = 8 + u->nr_chunks * (uint32_t)sizeof(struct vhost_region),
				.fds = fds,
				.nr_fds = u->nr_chunks};

	for (unsigned int i = 0; i < u->nr_chunks; i++) {
		table.regions[i] = region_of(&u->chunks[i]);
		fds[i] = u->chunks[i].fd;
	}
	return tell(u, &out, deadline_ns);
}

static int tell_regions(struct virtio_user *u, uint64_t deadline_ns)
{
	uint64_t slots = 0;
	int rc = ask_u64(u, VHOST_GET_MAX_MEM_SLOTS, &slots, deadline_ns);

	if (!rc && slots < u->nr_chunks)
		return -ENOSPC;
	for (unsigned int i = 0; !rc && i < u->nr_chunks; i++) {
		struct vhost_mem_reg reg = {.region = region_of(&u->chunks[i])};
		struct vhost_out out = {.request = VHOST_ADD_MEM_REG,
					.payload = &reg,
					.bytes = sizeof(reg),
					.fds = &u->chunks[i].fd,
					.nr_fds = 1};

		rc = tell(u, &out, deadline_ns);
	}
	return rc;
}

static int tell_memory(struct virtio_user *u, uint64_t deadline_ns, struct quoll_error *err)
{
	int rc;

	if (u->nr_chunks <= VHOST_MAX_REGIONS)
		rc = tell_table(u, deadline_ns);
	else
		rc = u->protocol & VHOST_PROTOCOL_CONFIGURE_MEM_SLOTS ? tell_regions(u, deadline_ns) : -ENOSPC;
	if (rc != -ENOSPC)
		return rc ? explain(u, rc, "the memory table", err) : 0;
	quoll_error_set(err, ENOSPC, "memory", u->v.port.name, "the heap has %u pieces, more than the back end takes",
			u->nr_chunks);
	quoll_error_hint(err, "hugepages, or one large arena before others, make fewer");
	return rc;
}

/* Rings. */

static int tell_ring_state(struct virtio_user *u, uint32_t request, uint32_t idx, uint32_t num, uint64_t deadline_ns)
{
	struct vhost_vring_state state = {idx, num};
	struct vhost_out out = {.request = request, .payload = &state, .bytes = sizeof(state)};

	return tell(u, &out, deadline_ns);
}

static int tell_ring_fd(struct virtio_user *u, uint32_t request, uint32_t idx, int fd, uint64_t deadline_ns)
{
	uint64_t value = idx | (fd < 0 ? VHOST_VRING_NO_FD : 0);
	struct vhost_out out = {
		.request = request, .payload = &value, .bytes = sizeof(value), .fds = &fd, .nr_fds = fd >= 0};

	return tell(u, &out, deadline_ns);
}

static int tell_ring(struct virtio_user *u, const struct virtio_ring *ring, uint64_t deadline_ns)
{
	const struct virtio_rxq *rxq = ring->idx & 1 ? NULL : (const struct virtio_rxq *)u->v.port.rxqs[ring->idx / 2];
	struct vhost_vring_addr addr = {.idx = ring->idx,
					.desc = (uintptr_t)ring->desc,
					.used = (uintptr_t)ring->device,
					.avail = (uintptr_t)ring->driver};
	struct vhost_out out = {.request = VHOST_SET_VRING_ADDR, .payload = &addr, .bytes = sizeof(addr)};
	/* Packed: both of the device's places at 0, both of its wrap counters 1. */
	uint32_t base = ring->packed ? 1u << 15 | 1u << 31 : 0;
	int rc = tell_ring_state(u, VHOST_SET_VRING_NUM, ring->idx, ring->size, deadline_ns);

	if (!rc)
		rc = tell_ring_state(u, VHOST_SET_VRING_BASE, ring->idx, base, deadline_ns);
	if (!rc)
		rc = tell(u, &out, deadline_ns);
	/* There are back ends that take a ring for ready only with both. */
	if (!rc)
		rc = tell_ring_fd(u, VHOST_SET_VRING_CALL, ring->idx, rxq ? rxq->call_fd : u->dummy_fd, deadline_ns);
	if (!rc)
		rc = tell_ring_fd(u, VHOST_SET_VRING_KICK, ring->idx, ring->kick_fd, deadline_ns);
	return rc;
}

int user_session_go(struct virtio_user *u, uint64_t deadline_ns, struct quoll_error *err)
{
	uint64_t features = u->v.features | (u->has_protocol ? VHOST_F_PROTOCOL_FEATURES : 0);
	int rc = tell_u64(u, VHOST_SET_FEATURES, features, deadline_ns);

	u->is_fresh = false;
	if (rc)
		return explain(u, rc, "SET_FEATURES", err);
	rc = tell_memory(u, deadline_ns, err);
	if (rc)
		return rc;
	for (unsigned int i = 0; !rc && i < u->v.nr_rings; i++)
		rc = tell_ring(u, &u->v.rings[i], deadline_ns);
	/* Without protocol features rings are on from their kick on. */
	for (unsigned int i = 0; !rc && u->has_protocol && i < u->v.nr_rings; i++)
		rc = tell_ring_state(u, VHOST_SET_VRING_ENABLE, i, 1, deadline_ns);
	return rc ? explain(u, rc, "the rings", err) : 0;
}

int user_session_halt(struct virtio_user *u, uint64_t deadline_ns)
{
	int rc = 0;

	for (uint32_t i = 0; !rc && i < u->v.nr_rings; i++) {
		struct vhost_vring_state state = {i, 0};
		struct vhost_out out = {.request = VHOST_GET_VRING_BASE, .payload = &state, .bytes = sizeof(state)};

		rc = vhost_send(&u->conn, &out, deadline_ns);
		if (!rc)
			rc = wait_for(u, VHOST_GET_VRING_BASE, sizeof(state), deadline_ns);
	}
	return rc;
}
