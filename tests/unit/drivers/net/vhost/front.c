/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * front.c - see front.h.
 */
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "eal/vfio_user/open_fds.h"
#include "front.h"

#define LONG_NS 20000000000ull

/* The port. */

void front_start(struct front *f)
{
	CU_ASSERT_EQUAL_FATAL(fix_start_with(&f->fix, f->port, f->fix.caches[0], f->nr_pairs, &f->settings), 0);
}

void front_open(struct front *f, const char *options, unsigned int nr_pairs)
{
	char addr[128];

	memset(f, 0, sizeof(*f));
	f->nr_fds_before = open_fds();
	fix_open(&f->fix);
	snprintf(f->path, sizeof(f->path), "/tmp/quoll-vhost-%d.sock", getpid());
	snprintf(addr, sizeof(addr), "vhost:%s%s", f->path, options);
	f->conn.fd = f->mem_fd = -1;
	f->nr_pairs = nr_pairs;
	f->size = FRONT_SIZE;
	f->features = FRONT_FEATURES;
	f->port = fix_port(&f->fix, addr);
	for (unsigned int i = 0; i < FRONT_MAX_RINGS; i++) {
		f->rings[i].kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		f->rings[i].call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	}
}

void front_close(struct front *f)
{
	front_disconnect(f);
	quoll_port_close(f->port);
	CU_ASSERT_NOT_EQUAL(access(f->path, F_OK), 0);
	fix_close(&f->fix);
	for (unsigned int i = 0; i < FRONT_MAX_RINGS; i++) {
		close(f->rings[i].kick_fd);
		close(f->rings[i].call_fd);
	}
	if (f->mem_fd >= 0) {
		munmap(f->mem, FRONT_BYTES);
		close(f->mem_fd);
	}
	CU_ASSERT_TRUE(open_fds_become(f->nr_fds_before));
}

void front_memory(struct front *f, bool sealed)
{
	f->mem_fd = memfd_create("guest", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	CU_ASSERT_EQUAL_FATAL(ftruncate(f->mem_fd, FRONT_BYTES), 0);
	if (sealed)
		CU_ASSERT_EQUAL_FATAL(fcntl(f->mem_fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	f->mem = mmap(NULL, FRONT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, f->mem_fd, 0);
	CU_ASSERT_PTR_NOT_EQUAL_FATAL(f->mem, MAP_FAILED);
}

void front_connect(struct front *f)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", f->path);
	CU_ASSERT_EQUAL_FATAL(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	vhost_conn_init(&f->conn, fd);
}

void front_disconnect(struct front *f)
{
	vhost_conn_close(&f->conn);
}

void front_turn(struct front *f)
{
	CU_ASSERT_EQUAL(quoll_port_check(f->port), 0);
}

bool front_link(const struct front *f)
{
	struct quoll_port_link link;

	quoll_port_link(f->port, &link);
	return link.up;
}

void front_await_link(struct front *f, bool up)
{
	uint64_t deadline = fd_socket_now_ns() + LONG_NS;

	while (front_link(f) != up && fd_socket_now_ns() < deadline)
		front_turn(f);
	CU_ASSERT_EQUAL_FATAL(front_link(f), up);
}

/* Messages. */

static void send_flags(struct front *f, uint32_t request, uint32_t flags, const void *payload, uint32_t bytes,
		       const int *fds, unsigned int nr_fds)
{
	struct vhost_out out = {
		.request = request, .flags = flags, .payload = payload, .bytes = bytes, .fds = fds, .nr_fds = nr_fds};

	(void)vhost_send(&f->conn, &out, fd_socket_now_ns() + LONG_NS);
}

void front_send(struct front *f, uint32_t request, const void *payload, uint32_t bytes, const int *fds,
		unsigned int nr_fds)
{
	send_flags(f, request, 0, payload, bytes, fds, nr_fds);
}

/* Turn the port until the answer is there, or the end. */
static bool await_answer(struct front *f)
{
	uint64_t deadline = fd_socket_now_ns() + LONG_NS;
	int rc = 0;

	while (!rc && fd_socket_now_ns() < deadline) {
		front_turn(f);
		rc = vhost_recv_step(&f->conn);
	}
	CU_ASSERT_NOT_EQUAL(rc, 0);
	return rc > 0;
}

uint64_t front_ask(struct front *f, uint32_t request, const void *payload, uint32_t bytes, const int *fds,
		   unsigned int nr_fds)
{
	send_flags(f, request, VHOST_FLAG_NEED_REPLY, payload, bytes, fds, nr_fds);
	if (!await_answer(f))
		return UINT64_MAX;
	CU_ASSERT_TRUE(vhost_is_reply(&f->conn.header));
	CU_ASSERT_EQUAL(f->conn.header.request, request);
	return f->conn.payload.u64;
}

bool front_get(struct front *f, uint32_t request, const void *payload, uint32_t bytes)
{
	send_flags(f, request, 0, payload, bytes, NULL, 0);
	return await_answer(f) && f->conn.header.request == request && vhost_is_reply(&f->conn.header);
}

uint64_t front_ask_u64(struct front *f, uint32_t request, uint64_t value)
{
	return front_ask(f, request, &value, sizeof(value), NULL, 0);
}

uint64_t front_ask_state(struct front *f, uint32_t request, uint32_t idx, uint32_t num)
{
	struct vhost_vring_state state = {idx, num};

	return front_ask(f, request, &state, sizeof(state), NULL, 0);
}

bool front_is_gone(struct front *f)
{
	return !await_answer(f);
}

struct vhost_region front_region(void)
{
	return (struct vhost_region){.guest_addr = FRONT_GUEST, .bytes = FRONT_BYTES, .user_addr = FRONT_USER};
}

uint64_t front_set_mem_table(struct front *f)
{
	struct vhost_mem_table table = {.nr_regions = 1, .regions = {front_region()}};

	return front_ask(f, VHOST_SET_MEM_TABLE, &table, 40, &f->mem_fd, 1);
}

uint64_t front_set_addr(struct front *f, unsigned int idx)
{
	uint64_t at = FRONT_USER + idx * FRONT_RING_BYTES;
	struct vhost_vring_addr addr = {.idx = idx, .desc = at, .avail = at + FRONT_AVAIL, .used = at + FRONT_USED};

	return front_ask(f, VHOST_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0);
}

uint64_t front_set_kick(struct front *f, unsigned int idx, int fd)
{
	uint64_t what = idx;

	return front_ask(f, VHOST_SET_VRING_KICK, &what, sizeof(what), &fd, 1);
}

void front_ring_init(struct front *f, unsigned int idx)
{
	struct front_ring *r = &f->rings[idx];

	r->mem = f->mem + idx * FRONT_RING_BYTES;
	r->size = f->size;
	r->next = r->seen = r->nr_out = 0;
	r->next_wrap = r->seen_wrap = true;
	memset(r->mem, 0, FRONT_RING_BYTES);
}

void front_start_ring(struct front *f, unsigned int idx)
{
	struct front_ring *r = &f->rings[idx];
	uint64_t what = idx, nr_calls;

	CU_ASSERT_EQUAL(front_ask_state(f, VHOST_SET_VRING_NUM, idx, r->size), 0);
	CU_ASSERT_EQUAL(front_ask_state(f, VHOST_SET_VRING_BASE, idx, f->packed ? 1u << 15 : 0), 0);
	CU_ASSERT_EQUAL(front_set_addr(f, idx), 0);
	CU_ASSERT_EQUAL(front_ask(f, VHOST_SET_VRING_CALL, &what, sizeof(what), &r->call_fd, 1), 0);
	/* One may have been missed before there was a way. */
	CU_ASSERT_EQUAL(read(r->call_fd, &nr_calls, sizeof(nr_calls)), sizeof(nr_calls));
	CU_ASSERT_EQUAL(front_set_kick(f, idx, r->kick_fd), 0);
	CU_ASSERT_EQUAL(front_ask_state(f, VHOST_SET_VRING_ENABLE, idx, 1), 0);
}

void front_hello(struct front *f)
{
	uint64_t protocol = FRONT_PROTOCOL;

	CU_ASSERT_TRUE_FATAL(front_get(f, VHOST_GET_FEATURES, NULL, 0));
	CU_ASSERT_EQUAL(f->features & ~f->conn.payload.u64, 0);
	CU_ASSERT_TRUE_FATAL(front_get(f, VHOST_GET_PROTOCOL_FEATURES, NULL, 0));
	CU_ASSERT_EQUAL(f->conn.payload.u64, FRONT_PROTOCOL);
	front_send(f, VHOST_SET_PROTOCOL_FEATURES, &protocol, sizeof(protocol), NULL, 0);
	CU_ASSERT_EQUAL(front_ask(f, VHOST_SET_OWNER, NULL, 0, NULL, 0), 0);
	CU_ASSERT_EQUAL(front_ask_u64(f, VHOST_SET_FEATURES, f->features), 0);
	CU_ASSERT_EQUAL(front_set_mem_table(f), 0);
	for (unsigned int i = 0; i < 2 * f->nr_pairs; i++) {
		front_ring_init(f, i);
		front_start_ring(f, i);
	}
}

void front_up(struct front *f, uint64_t features, unsigned int nr_pairs)
{
	front_open(f, "", nr_pairs);
	f->features |= features;
	f->packed = features & VIRTIO_F_RING_PACKED;
	front_start(f);
	front_memory(f, true);
	front_connect(f);
	front_hello(f);
	CU_ASSERT_TRUE(front_link(f));
}

/* The guest. */

static void chain_split(struct front_ring *r, uint16_t id, const struct front_desc *descs, unsigned int n)
{
	struct virtq_desc *table = (void *)r->mem;
	struct virtq_avail *avail = (void *)(r->mem + FRONT_AVAIL);

	/* Whoever wants more than one knows which are free: from the id on. */
	for (unsigned int i = 0; i < n; i++) {
		uint16_t at = (uint16_t)((id + i) % r->size);

		table[at] = (struct virtq_desc){.addr = descs[i].addr,
						.bytes = descs[i].bytes,
						.flags = (uint16_t)(descs[i].flags | (i + 1 < n ? VIRTQ_DESC_NEXT : 0)),
						.next = (uint16_t)((at + 1) % r->size)};
	}
	avail->ring[r->next % r->size] = id;
	r->next++;
	__atomic_store_n(&avail->idx, r->next, __ATOMIC_RELEASE);
}

static void chain_packed(struct front_ring *r, uint16_t id, const struct front_desc *descs, unsigned int n)
{
	struct virtq_packed_desc *ring = (void *)r->mem;
	uint16_t first = r->next, first_flags = 0;

	for (unsigned int i = 0; i < n; i++) {
		uint16_t flags = (uint16_t)(descs[i].flags | (i + 1 < n ? VIRTQ_DESC_NEXT : 0) |
					    (r->next_wrap ? VIRTQ_DESC_AVAIL : VIRTQ_DESC_USED));

		ring[r->next].addr = descs[i].addr;
		ring[r->next].bytes = descs[i].bytes;
		ring[r->next].id = id;
		if (i)
			ring[r->next].flags = flags;
		else
			first_flags = flags;
		if (++r->next == r->size) {
			r->next = 0;
			r->next_wrap = !r->next_wrap;
		}
	}
	__atomic_store_n(&ring[first].flags, first_flags, __ATOMIC_RELEASE);
}

void front_chain(struct front *f, unsigned int idx, uint16_t id, const struct front_desc *descs, unsigned int n)
{
	if (f->packed)
		chain_packed(&f->rings[idx], id, descs, n);
	else
		chain_split(&f->rings[idx], id, descs, n);
}

static bool used_split(struct front_ring *r, uint16_t *id, uint32_t *bytes)
{
	const struct virtq_used *used = (void *)(r->mem + FRONT_USED);

	if (__atomic_load_n(&used->idx, __ATOMIC_ACQUIRE) == r->seen)
		return false;
	*id = (uint16_t)used->ring[r->seen % r->size].id;
	*bytes = used->ring[r->seen % r->size].bytes;
	r->seen++;
	return true;
}

/* Chains of one descriptor; those that have more step themselves. */
static bool used_packed(struct front_ring *r, uint16_t *id, uint32_t *bytes, bool *written)
{
	const struct virtq_packed_desc *ring = (void *)r->mem;
	uint16_t flags = __atomic_load_n(&ring[r->seen].flags, __ATOMIC_ACQUIRE);

	if (!!(flags & VIRTQ_DESC_USED) != r->seen_wrap || !!(flags & VIRTQ_DESC_AVAIL) != r->seen_wrap)
		return false;
	*id = ring[r->seen].id;
	*bytes = ring[r->seen].bytes;
	*written = flags & VIRTQ_DESC_WRITE;
	if (++r->seen == r->size) {
		r->seen = 0;
		r->seen_wrap = !r->seen_wrap;
	}
	return true;
}

bool front_used(struct front *f, unsigned int idx, uint16_t *id, uint32_t *bytes, bool *written)
{
	*written = !(idx & 1);
	return f->packed ? used_packed(&f->rings[idx], id, bytes, written) : used_split(&f->rings[idx], id, bytes);
}

uint64_t front_buf(unsigned int i)
{
	return FRONT_GUEST + FRONT_BUFS + (uint64_t)i * FRONT_BUF_BYTES;
}

uint8_t *front_buf_va(struct front *f, unsigned int i)
{
	return f->mem + FRONT_BUFS + (size_t)i * FRONT_BUF_BYTES;
}

void front_frame(struct front *f, unsigned int i, uint8_t tag, uint32_t bytes)
{
	struct virtio_net_hdr hdr = {0};

	memcpy(front_buf_va(f, i), &hdr, sizeof(hdr));
	memset(front_buf_va(f, i) + sizeof(hdr), tag, bytes);
}

void front_send_frame(struct front *f, unsigned int pair, uint16_t i, uint8_t tag, uint32_t bytes)
{
	struct front_desc desc = {front_buf(i), bytes + (uint32_t)sizeof(struct virtio_net_hdr), 0};

	front_frame(f, i, tag, bytes);
	front_chain(f, 2 * pair + 1, i, &desc, 1);
}

void front_post(struct front *f, unsigned int pair, uint16_t i, uint32_t bytes)
{
	struct front_desc desc = {front_buf(i), bytes, VIRTQ_DESC_WRITE};

	front_chain(f, 2 * pair, i, &desc, 1);
}

/* The port's side. */

unsigned int front_rx(struct front *f, unsigned int queue, struct quoll_buf **bufs, unsigned int n)
{
	return quoll_rx(quoll_port_rxq(f->port, queue), bufs, n);
}

unsigned int front_tx(struct front *f, unsigned int queue, struct quoll_buf **bufs, unsigned int n)
{
	return quoll_tx(quoll_port_txq(f->port, queue), bufs, n);
}

struct quoll_port_stats front_stats(struct front *f)
{
	struct quoll_port_stats stats;

	quoll_port_stats(f->port, &stats);
	return stats;
}

uint64_t front_xstat(struct front *f, const char *name)
{
	struct quoll_port_xstat xstats[256];
	unsigned int n = quoll_port_xstats(f->port, xstats, 256);

	for (unsigned int i = 0; i < n && i < 256; i++)
		if (!strcmp(xstats[i].name, name))
			return xstats[i].value;
	CU_FAIL("no such counter");
	return 0;
}

struct quoll_buf *front_make(struct front *f, uint8_t tag, unsigned int bytes, unsigned int nr_links)
{
	struct quoll_buf *buf = fix_frame(f->fix.caches[0], bytes, nr_links);

	CU_ASSERT_PTR_NOT_NULL_FATAL(buf);
	for (struct quoll_buf *link = buf; link; link = link->next)
		memset(quoll_buf_data(link), tag, link->data_bytes);
	return buf;
}

bool front_is(const struct quoll_buf *buf, uint8_t tag, uint32_t bytes)
{
	uint32_t sum = 0;

	if (buf->total_bytes != bytes)
		return false;
	for (const struct quoll_buf *link = buf; link; link = link->next) {
		const uint8_t *data = quoll_buf_data(link);

		sum += link->data_bytes;
		for (uint32_t i = 0; i < link->data_bytes; i++)
			if (data[i] != tag)
				return false;
	}
	return sum == bytes;
}

void front_put(struct front *f, struct quoll_buf **bufs, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		quoll_buf_put_chain(f->fix.caches[0], bufs[i]);
}
