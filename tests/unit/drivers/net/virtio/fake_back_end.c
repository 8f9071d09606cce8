/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fake_back_end.c - see fake_back_end.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fake_back_end.h"
#include "unit.h"

#define STEP_NS 2000000u

static void *at(void *arg, uint64_t addr, uint64_t len, bool write)
{
	const struct fake_back_end *b = arg;

	(void)write;
	for (unsigned int i = 0; i < b->nr_regions; i++) {
		const struct vhost_region *r = &b->regions[i];

		if (addr >= r->guest_addr && addr - r->guest_addr < r->bytes &&
		    len <= r->bytes - (addr - r->guest_addr))
			return (uint8_t *)(uintptr_t)r->user_addr + (addr - r->guest_addr);
	}
	return NULL;
}

void fake_back_end_init(struct fake_back_end *b)
{
	memset(b, 0, sizeof(*b));
	b->features = VIRTIO_F_VERSION_1 | VIRTIO_F_RING_PACKED | VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC |
		      VIRTIO_NET_F_MRG_RXBUF | VIRTIO_NET_F_CSUM | VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_HOST_TSO4 |
		      VIRTIO_NET_F_HOST_TSO6 | VIRTIO_NET_F_GUEST_TSO4 | VIRTIO_NET_F_GUEST_TSO6 | VIRTIO_NET_F_MQ |
		      VIRTIO_F_ACCESS_PLATFORM | VHOST_F_LOG_ALL | VHOST_F_PROTOCOL_FEATURES;
	b->protocol = VHOST_PROTOCOL_MQ | VHOST_PROTOCOL_REPLY_ACK | VHOST_PROTOCOL_CONFIGURE_MEM_SLOTS;
	b->max_pairs = 4;
	b->max_slots = 32;
	b->listen.fd = -1;
	b->conn.fd = -1;
	snprintf(b->path, sizeof(b->path), "/tmp/quoll-virtio-%d-%u", getpid(), (unsigned int)random());
	for (unsigned int i = 0; i < FAKE_MAX_RINGS; i++)
		b->kick_fds[i] = b->call_fds[i] = -1;
}

static void forget(struct fake_back_end *b)
{
	vhost_conn_close(&b->conn);
	for (unsigned int i = 0; i < FAKE_MAX_RINGS; i++) {
		if (b->kick_fds[i] >= 0)
			close(b->kick_fds[i]);
		if (b->call_fds[i] >= 0)
			close(b->call_fds[i]);
		b->kick_fds[i] = b->call_fds[i] = -1;
	}
}

static void reply(struct fake_back_end *b, const struct vhost_out *out)
{
	struct vhost_header header = {out->request, out->flags | VHOST_FLAG_VERSION, out->bytes};

	if (!b->trickles) {
		(void)vhost_send(&b->conn, out, fd_socket_now_ns() + 1000000000);
		return;
	}
	memcpy(b->owed, &header, sizeof(header));
	memcpy(b->owed + sizeof(header), out->payload, out->bytes);
	b->nr_owed = (unsigned int)sizeof(header) + out->bytes;
	b->nr_paid = 0;
}

static void answer(struct fake_back_end *b, const void *payload, uint32_t bytes)
{
	struct vhost_out out = {
		.request = b->conn.header.request, .flags = VHOST_FLAG_REPLY, .payload = payload, .bytes = bytes};

	if (b->conn.header.request == b->refuses)
		out.bytes /= 2;
	reply(b, &out);
}

static void answer_u64(struct fake_back_end *b, uint64_t value)
{
	answer(b, &value, sizeof(value));
}

/* Requests with an answer of their own. Return: false: it is none of these. */
static bool asked(struct fake_back_end *b)
{
	struct vhost_vring_state state = b->conn.payload.state;

	switch (b->conn.header.request) {
	case VHOST_GET_FEATURES:
		answer_u64(b, b->features);
		return true;
	case VHOST_GET_PROTOCOL_FEATURES:
		answer_u64(b, b->protocol);
		return true;
	case VHOST_GET_QUEUE_NUM:
		answer_u64(b, b->max_pairs);
		return true;
	case VHOST_GET_MAX_MEM_SLOTS:
		answer_u64(b, b->max_slots);
		return true;
	case VHOST_GET_VRING_BASE:
		b->nr_stopped++;
		answer(b, &state, sizeof(state));
		return true;
	default:
		return false;
	}
}

static void take_memory(struct fake_back_end *b)
{
	if (b->conn.header.request == VHOST_ADD_MEM_REG) {
		b->regions[b->nr_regions++] = b->conn.payload.reg.region;
		return;
	}
	b->nr_regions = b->conn.payload.table.nr_regions;
	CU_ASSERT_EQUAL(b->nr_regions, b->conn.nr_fds);
	memcpy(b->regions, b->conn.payload.table.regions, b->nr_regions * sizeof(b->regions[0]));
}

static void take_ring(struct fake_back_end *b)
{
	struct fake_ring *ring = &b->rings[b->conn.payload.state.idx % FAKE_MAX_RINGS];
	const struct vhost_vring_addr *addr = &b->conn.payload.addr;

	switch (b->conn.header.request) {
	case VHOST_SET_VRING_NUM:
		*ring = (struct fake_ring){.nr_violations = ring->nr_violations};
		ring->size = (uint16_t)b->conn.payload.state.num;
		break;
	case VHOST_SET_VRING_BASE:
		ring->packed = b->agreed & VIRTIO_F_RING_PACKED;
		CU_ASSERT_EQUAL(b->conn.payload.state.num, ring->packed ? 0x80008000 : 0);
		break;
	case VHOST_SET_VRING_ADDR:
		ring->desc = (void *)(uintptr_t)addr->desc;
		ring->driver = (void *)(uintptr_t)addr->avail;
		ring->device = (void *)(uintptr_t)addr->used;
		ring->event_idx = b->agreed & VIRTIO_F_EVENT_IDX;
		ring->at = at;
		ring->arg = b;
		break;
	case VHOST_SET_VRING_KICK:
		b->kick_fds[b->conn.payload.u64 % FAKE_MAX_RINGS] = vhost_take_fd(&b->conn, 0);
		break;
	case VHOST_SET_VRING_CALL:
		b->call_fds[b->conn.payload.u64 % FAKE_MAX_RINGS] = vhost_take_fd(&b->conn, 0);
		break;
	case VHOST_SET_VRING_ENABLE:
		__atomic_add_fetch(&b->nr_enabled, b->conn.payload.state.num, __ATOMIC_RELEASE);
		break;
	}
}

static void told(struct fake_back_end *b)
{
	switch (b->conn.header.request) {
	case VHOST_SET_FEATURES:
		b->agreed = b->conn.payload.u64;
		b->nr_regions = b->nr_enabled = 0;
		break;
	case VHOST_SET_MEM_TABLE:
	case VHOST_ADD_MEM_REG:
		take_memory(b);
		break;
	default:
		take_ring(b);
	}
	if (b->conn.header.flags & VHOST_FLAG_NEED_REPLY) {
		uint64_t refused = b->conn.header.request == b->refuses;
		struct vhost_out out = {.request = b->conn.header.request,
					.flags = VHOST_FLAG_REPLY,
					.payload = &refused,
					.bytes = sizeof(refused)};

		reply(b, &out);
	}
}

/* The message that has come. Return: false: hang up. */
static bool take(struct fake_back_end *b)
{
	if (b->conn.header.request == b->hangs_up_at)
		return false;
	if (b->conn.header.request != b->ignores && !asked(b))
		told(b);
	return true;
}

static void begin(struct fake_back_end *b, int fd)
{
	vhost_conn_init(&b->conn, fd);
	__atomic_add_fetch(&b->nr_sessions, 1, __ATOMIC_RELEASE);
}

static void serve(struct fake_back_end *b)
{
	while (!__atomic_load_n(&b->stop, __ATOMIC_ACQUIRE)) {
		int rc = vhost_recv(&b->conn, fd_socket_now_ns() + STEP_NS);

		if (rc == -ETIMEDOUT && !b->conn.error)
			continue;
		if (rc || !take(b))
			break;
	}
	forget(b);
}

static void *run_listening(void *arg)
{
	struct fake_back_end *b = arg;

	while (!__atomic_load_n(&b->stop, __ATOMIC_ACQUIRE)) {
		int fd = accept4(b->listen.fd, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0) {
			usleep(500); /* between two looks; what ends it is stop */
			continue;
		}
		begin(b, fd);
		serve(b);
	}
	return NULL;
}

static void *run_connecting(void *arg)
{
	struct fake_back_end *b = arg;
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(sa.sun_path, b->path);
	while (connect(fd, (const struct sockaddr *)&sa, sizeof(sa))) {
		if (__atomic_load_n(&b->stop, __ATOMIC_ACQUIRE)) {
			close(fd);
			return NULL;
		}
		usleep(500);
	}
	begin(b, fd);
	serve(b);
	return NULL;
}

void fake_back_end_listen(struct fake_back_end *b)
{
	struct quoll_error err;

	CU_ASSERT_EQUAL_FATAL(quoll_listen_open(b->path, &b->listen, &err), 0);
}

void fake_back_end_step(struct fake_back_end *b)
{
	if (b->conn.fd < 0) {
		int fd = accept4(b->listen.fd, NULL, NULL, SOCK_CLOEXEC);

		if (fd >= 0)
			begin(b, fd);
	} else if (b->nr_paid < b->nr_owed) {
		CU_ASSERT_EQUAL(send(b->conn.fd, &b->owed[b->nr_paid++], 1, MSG_NOSIGNAL), 1);
	} else {
		int rc = vhost_recv_step(&b->conn);

		if (rc < 0 || (rc > 0 && !take(b)))
			forget(b);
	}
}

void fake_back_end_leave(struct fake_back_end *b)
{
	forget(b);
	quoll_listen_close(&b->listen);
}

void fake_back_end_run(struct fake_back_end *b)
{
	__atomic_store_n(&b->stop, 0, __ATOMIC_RELEASE);
	fake_back_end_listen(b);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&b->thread, NULL, run_listening, b), 0);
}

void fake_back_end_run_connecting(struct fake_back_end *b)
{
	__atomic_store_n(&b->stop, 0, __ATOMIC_RELEASE);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&b->thread, NULL, run_connecting, b), 0);
}

void fake_back_end_kill(struct fake_back_end *b)
{
	__atomic_store_n(&b->stop, 1, __ATOMIC_RELEASE);
	pthread_join(b->thread, NULL);
	quoll_listen_close(&b->listen);
}

void fake_back_end_fini(struct fake_back_end *b)
{
	fake_back_end_kill(b);
	unlink(b->path);
}
