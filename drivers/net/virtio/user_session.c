/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * user_session.c - what is said to a vhost-user back end: who we are, what it can do, where memory and rings are.
 *
 * It goes message by message, so that a thread that polls need not wait for a back end: what comes next is a matter of
 * the part that is being said and of a number, and of what was answered so far.
 *
 * Source: QEMU, "Vhost-user Protocol". Guest addresses are the heap's IOVAs, ring addresses are this process's.
 */
#include <errno.h>
#include <string.h>

#include "user.h"

/* A message, and what comes back for it. */
struct said {
	struct vhost_out out;
	uint32_t answer_bytes; /* 0: nothing comes back */
	union {
		uint64_t u64;
		struct vhost_vring_state state;
		struct vhost_vring_addr addr;
		struct vhost_mem_table table;
		struct vhost_mem_reg reg;
	} payload;
	int fds[VHOST_MAX_REGIONS];
};

/* A question. */
static int ask(struct said *m, uint32_t request)
{
	m->out.request = request;
	m->answer_bytes = sizeof(uint64_t);
	return 1;
}

/* What has no answer. */
static int put(struct said *m, uint32_t request, uint32_t bytes)
{
	m->out.request = request;
	m->out.bytes = bytes;
	return 1;
}

/* What is answered when it has been done, where the back end can say so. */
static int tell(const struct virtio_user *u, struct said *m, uint32_t request, uint32_t bytes)
{
	if (u->protocol & VHOST_PROTOCOL_REPLY_ACK) {
		m->out.flags = VHOST_FLAG_NEED_REPLY;
		m->answer_bytes = sizeof(uint64_t);
	}
	return put(m, request, bytes);
}

/*
 * The parts of a session, message by message. Return: 1: it is in *m; 0: this was all; -errno.
 */

/* Who is there. */
static int say_begin(const struct virtio_user *u, unsigned int at, struct said *m)
{
	switch (at) {
	case 0:
		return ask(m, VHOST_GET_FEATURES);
	case 1:
		return put(m, VHOST_SET_OWNER, 0);
	case 2:
		return u->has_protocol ? ask(m, VHOST_GET_PROTOCOL_FEATURES) : 0;
	case 3:
		m->payload.u64 = u->protocol;
		return put(m, VHOST_SET_PROTOCOL_FEATURES, sizeof(uint64_t));
	case 4:
		return u->protocol & VHOST_PROTOCOL_MQ ? ask(m, VHOST_GET_QUEUE_NUM) : 0;
	default:
		return 0;
	}
}

static struct vhost_region region_of(const struct quoll_heap_chunk *chunk)
{
	return (struct vhost_region){
		.guest_addr = chunk->iova, .bytes = chunk->size_bytes, .user_addr = (uintptr_t)chunk->va};
}

static int say_table(const struct virtio_user *u, struct said *m)
{
	m->payload.table.nr_regions = u->nr_chunks;
	for (unsigned int i = 0; i < u->nr_chunks; i++) {
		m->payload.table.regions[i] = region_of(&u->chunks[i]);
		m->fds[i] = u->chunks[i].fd;
	}
	m->out.nr_fds = u->nr_chunks;
	return tell(u, m, VHOST_SET_MEM_TABLE, 8 + u->nr_chunks * (uint32_t)sizeof(struct vhost_region));
}

/* All in one table, or, after the question how many there may be, one by one. */
static unsigned int nr_of_memory(const struct virtio_user *u)
{
	return u->nr_chunks <= VHOST_MAX_REGIONS ? 1 : 1 + u->nr_chunks;
}

static int say_memory(const struct virtio_user *u, unsigned int at, struct said *m)
{
	if (u->nr_chunks <= VHOST_MAX_REGIONS)
		return say_table(u, m);
	if (!(u->protocol & VHOST_PROTOCOL_CONFIGURE_MEM_SLOTS))
		return -ENOSPC;
	if (!at)
		return ask(m, VHOST_GET_MAX_MEM_SLOTS);
	m->payload.reg = (struct vhost_mem_reg){.region = region_of(&u->chunks[at - 1])};
	m->fds[0] = u->chunks[at - 1].fd;
	m->out.nr_fds = 1;
	return tell(u, m, VHOST_ADD_MEM_REG, sizeof(m->payload.reg));
}

static int say_state(const struct virtio_user *u, struct said *m, uint32_t request, uint32_t idx, uint32_t num)
{
	m->payload.state = (struct vhost_vring_state){idx, num};
	return tell(u, m, request, sizeof(m->payload.state));
}

static int say_fd(const struct virtio_user *u, struct said *m, uint32_t request, uint32_t idx, int fd)
{
	m->payload.u64 = idx | (fd < 0 ? VHOST_VRING_NO_FD : 0);
	m->fds[0] = fd;
	m->out.nr_fds = fd >= 0;
	return tell(u, m, request, sizeof(uint64_t));
}

static int call_fd(const struct virtio_user *u, const struct virtio_ring *ring)
{
	const struct virtio_rxq *rxq = (const struct virtio_rxq *)u->v.port.rxqs[ring->idx / 2];

	return ring->idx & 1 || !rxq ? u->dummy_fd : rxq->call_fd;
}

#define MESSAGES_A_RING 5u

static int say_ring(const struct virtio_user *u, const struct virtio_ring *ring, unsigned int at, struct said *m)
{
	switch (at) {
	case 0:
		return say_state(u, m, VHOST_SET_VRING_NUM, ring->idx, ring->size);
	case 1:
		/* Packed: both of the device's places at 0, both of its wrap counters 1. */
		return say_state(u, m, VHOST_SET_VRING_BASE, ring->idx, ring->packed ? 1u << 15 | 1u << 31 : 0);
	case 2:
		m->payload.addr = (struct vhost_vring_addr){.idx = ring->idx,
							    .desc = (uintptr_t)ring->desc,
							    .used = (uintptr_t)ring->device,
							    .avail = (uintptr_t)ring->driver};
		return tell(u, m, VHOST_SET_VRING_ADDR, sizeof(m->payload.addr));
	/* There are back ends that take a ring for ready only with both. */
	case 3:
		return say_fd(u, m, VHOST_SET_VRING_CALL, ring->idx, call_fd(u, ring));
	default:
		return say_fd(u, m, VHOST_SET_VRING_KICK, ring->idx, ring->kick_fd);
	}
}

static int say_go(const struct virtio_user *u, unsigned int at, struct said *m)
{
	if (!at--) {
		m->payload.u64 = u->v.features | (u->has_protocol ? VHOST_F_PROTOCOL_FEATURES : 0);
		return tell(u, m, VHOST_SET_FEATURES, sizeof(uint64_t));
	}
	if (at < nr_of_memory(u))
		return say_memory(u, at, m);
	at -= nr_of_memory(u);
	if (at < MESSAGES_A_RING * u->v.nr_rings)
		return say_ring(u, &u->v.rings[at / MESSAGES_A_RING], at % MESSAGES_A_RING, m);
	at -= MESSAGES_A_RING * u->v.nr_rings;
	/* Without protocol features rings are on from their kick on. */
	if (!u->has_protocol || at >= u->v.nr_rings)
		return 0;
	return say_state(u, m, VHOST_SET_VRING_ENABLE, at, 1);
}

static int say_halt(const struct virtio_user *u, unsigned int at, struct said *m)
{
	if (at >= u->v.nr_rings)
		return 0;
	m->payload.state = (struct vhost_vring_state){at, 0};
	m->answer_bytes = sizeof(m->payload.state);
	return put(m, VHOST_GET_VRING_BASE, sizeof(m->payload.state));
}

static int say(const struct virtio_user *u, struct said *m)
{
	static int (*const parts[])(const struct virtio_user *u, unsigned int at, struct said *m) = {
		[USER_BEGIN] = say_begin, [USER_GO] = say_go, [USER_HALT] = say_halt};

	*m = (struct said){.answer_bytes = 0};
	m->out.payload = &m->payload;
	m->out.fds = m->fds;
	return parts[u->talk.part](u, u->talk.at, m);
}

/* What comes back. */

/* Return: 0, -errno. */
static int heard(struct virtio_user *u)
{
	const uint64_t ours = VHOST_PROTOCOL_MQ | VHOST_PROTOCOL_REPLY_ACK | VHOST_PROTOCOL_CONFIGURE_MEM_SLOTS;
	uint64_t value = u->conn.payload.u64;

	switch (u->talk.request) {
	case VHOST_GET_FEATURES:
		/* Less its own, and what needs an IOMMU's messages. */
		u->v.device_features =
			value & ~(VHOST_F_PROTOCOL_FEATURES | VHOST_F_LOG_ALL | VIRTIO_F_ACCESS_PLATFORM);
		u->has_protocol = value & VHOST_F_PROTOCOL_FEATURES;
		return 0;
	case VHOST_GET_PROTOCOL_FEATURES:
		u->protocol = value & ours;
		return 0;
	case VHOST_GET_QUEUE_NUM:
		u->max_pairs = value < VIRTIO_MAX_PAIRS ? (unsigned int)value : VIRTIO_MAX_PAIRS;
		return 0;
	case VHOST_GET_MAX_MEM_SLOTS:
		return value < u->nr_chunks ? -ENOSPC : 0;
	case VHOST_GET_VRING_BASE:
		return 0;
	default:
		return value ? -EREMOTEIO : 0;
	}
}

/* The awaited answer; what the back end says on its own is passed over. Return: 1: it is there; 0; -errno. */
static int hear(struct virtio_user *u, uint64_t deadline_ns)
{
	struct user_talk *talk = &u->talk;
	int rc = deadline_ns ? vhost_recv(&u->conn, deadline_ns) : vhost_recv_step(&u->conn);

	/* One has waited, and has its message; the other may have none yet. */
	if (rc < 0 || (!rc && !deadline_ns))
		return rc;
	if (u->conn.header.request != talk->request || !vhost_is_reply(&u->conn.header))
		/* One that chatters is none to go on with. */
		return ++talk->nr_others < USER_MAX_OTHERS ? 0 : -EPROTO;
	rc = vhost_expect(&u->conn, talk->answer_bytes, 0);
	if (!rc)
		rc = heard(u);
	talk->answer_bytes = 0;
	talk->nr_others = 0;
	talk->at++;
	return rc ? rc : 1;
}

/* The next message. Return: 1: it has gone; 0: not now; -errno; *over: there is none. */
static int speak(struct virtio_user *u, uint64_t deadline_ns, bool *over)
{
	struct said m;
	int rc = say(u, &m);

	*over = !rc;
	if (rc <= 0)
		return rc;
	u->talk.request = m.out.request;
	if (!deadline_ns && !vhost_can_send(&u->conn))
		return 0;
	rc = vhost_send(&u->conn, &m.out, deadline_ns);
	if (rc)
		return rc;
	u->talk.answer_bytes = m.answer_bytes;
	u->talk.at += !m.answer_bytes;
	return 1;
}

/* Steps. */

static const char *name_of(uint32_t request)
{
	switch (request) {
	case VHOST_GET_FEATURES:
		return "GET_FEATURES";
	case VHOST_SET_FEATURES:
		return "SET_FEATURES";
	case VHOST_SET_OWNER:
	case VHOST_GET_PROTOCOL_FEATURES:
	case VHOST_SET_PROTOCOL_FEATURES:
	case VHOST_GET_QUEUE_NUM:
		return "the protocol features";
	case VHOST_SET_MEM_TABLE:
	case VHOST_GET_MAX_MEM_SLOTS:
	case VHOST_ADD_MEM_REG:
		return "the memory table";
	default:
		return "the rings";
	}
}

static int explain(const struct virtio_user *u, int rc, struct quoll_error *err)
{
	const char *name = u->v.port.name, *doing = name_of(u->talk.request);

	switch (rc) {
	case -ENOSPC:
		quoll_error_set(err, ENOSPC, "memory", name, "the heap has %u pieces, more than the back end takes",
				u->nr_chunks);
		quoll_error_hint(err, "hugepages, or one large arena before others, make fewer");
		return rc;
	case -ETIMEDOUT:
		return quoll_error_set(err, ETIMEDOUT, "back end", name, "no answer in time to %s", doing);
	case -ECONNRESET:
		return quoll_error_set(err, ECONNRESET, "back end", name, "it closed the connection at %s", doing);
	default:
		return quoll_error_set(err, -rc, "back end", name, "%s: %s", doing, strerrordesc_np(-rc));
	}
}

void user_session_part(struct virtio_user *u, enum user_part part)
{
	u->talk = (struct user_talk){.part = part};
	if (part == USER_GO)
		u->is_fresh = false;
	if (part != USER_BEGIN)
		return;
	u->has_protocol = false;
	u->protocol = 0;
	u->max_pairs = 1;
}

int user_session_step(struct virtio_user *u, uint64_t deadline_ns, struct quoll_error *err)
{
	unsigned int budget = USER_CHECK_MESSAGES;
	bool over = false;
	int rc;

	do {
		rc = u->talk.answer_bytes ? hear(u, deadline_ns) : speak(u, deadline_ns, &over);
		if (rc < 0)
			return explain(u, rc, err);
	} while (!over && (deadline_ns || (rc && --budget)));
	return over;
}

int user_session_expired(const struct virtio_user *u, struct quoll_error *err)
{
	return explain(u, -ETIMEDOUT, err);
}
