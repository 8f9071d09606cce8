/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * server_dma.c - reaching a client's memory by DMA_READ and DMA_WRITE messages, what comes in meanwhile, and how long a
 * client may take.
 *
 * There are two layouts in the field. The specification, since 0.1, has a count of 64 bits, then the data (wide).
 * QEMU's client, which states version 0.0, has a count of 32 bits, then the data, then 4 bytes of nothing (narrow); as
 * the count's upper half is 0, a read's command is the same in both, and so is the length of everything. With a client
 * that states 0.0 the layout is found out from what it says, for it may be corrected one day without another number:
 *
 *  - a read's reply: the first 4 bytes of narrow data lie where wide has zeros, and the last 4 bytes of wide data where
 *    narrow has zeros. Data that has zeros at both ends is the one or the other: 4 bytes read once more, from where
 * wide would have the first that is not 0, tell which;
 *  - a write: zeros are the same in both. From the first byte that is not 0 on it is tried narrow: a wide client finds
 * an impossible count there and refuses.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "server_internal.h"

#define ACCESS_BYTES ((uint32_t)sizeof(struct vuser_dma_access))
/* Where narrow data begin in the payload. */
#define NARROW_AT (ACCESS_BYTES - 4)
#define MAX_ERRNO 4095u
#define NS_PER_MS 1000000u

bool server_held_next(struct quoll_server *server)
{
	struct vuser_held *held = server->held;

	if (!held)
		return false;
	server->held = held->next;
	if (!server->held)
		server->held_tail = &server->held;
	server->nr_held--;
	server->held_bytes -= held->payload_bytes;
	server->held_fds -= held->nr_fds;
	vuser_unhold(&server->conn, held);
	free(held);
	return true;
}

void server_held_drop(struct quoll_server *server)
{
	while (server->held) {
		struct vuser_held *held = server->held;

		server->held = held->next;
		vuser_held_drop(held);
		free(held);
	}
	server->held_tail = &server->held;
	server->nr_held = 0;
	server->held_bytes = 0;
	server->held_fds = 0;
}

/* The command in conn is served later. */
static int hold_command(struct quoll_server *server)
{
	struct vuser_conn *conn = &server->conn;
	struct vuser_held *held;

	if (server->nr_held >= SERVER_HELD_MESSAGES || server->held_bytes + conn->payload_bytes > SERVER_HELD_BYTES ||
	    server->held_fds + conn->nr_fds > SERVER_HELD_FDS)
		return -ENOBUFS;
	held = malloc(sizeof(*held));
	if (!held)
		return -ENOMEM;
	vuser_hold(conn, held);
	*server->held_tail = held;
	server->held_tail = &held->next;
	server->nr_held++;
	server->held_bytes += held->payload_bytes;
	server->held_fds += held->nr_fds;
	return 0;
}

/*
 * Whether the command in conn must not wait. QEMU's thread that reads a register holds the lock without which nobody
 * there answers us, so a guest that polls a register while we reach for its memory would stop both. A read never passes
 * a write.
 */
static bool may_serve_now(const struct quoll_server *server)
{
	return server->conn.header.command == VUSER_REGION_READ && !server->held && !server->reading;
}

/* Wait for the reply to a command of ours. Return: 0: it is in conn; -errno: the connection is at its end. */
static int wait_reply(struct quoll_server *server, const struct vuser_out *out, uint64_t deadline_ns)
{
	struct vuser_conn *conn = &server->conn;
	int rc;

	for (;;) {
		rc = vuser_recv(conn, deadline_ns);
		if (rc)
			return conn->error ? rc : vuser_conn_fail(conn, rc);
		if (!vuser_is_command(&conn->header))
			break;
		rc = may_serve_now(server) ? server_serve_read(server, deadline_ns) : hold_command(server);
		if (rc)
			return vuser_conn_fail(conn, rc);
		if (fd_socket_now_ns() >= deadline_ns)
			return vuser_conn_fail(conn, -ETIMEDOUT);
	}
	if (conn->header.id == out->id && conn->header.command == out->command)
		return 0;
	conn->nr_protocol_errors++;
	return vuser_conn_fail(conn, -EPROTO);
}

static uint64_t lesser(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* What this poll may still wait for nothing. */
static uint64_t round_left_ns(const struct quoll_server *server)
{
	return server->dma_round_ns - lesser(server->dma_round_ns, server->dma_waited_ns);
}

/*
 * How long the client may keep us waiting now. A limit for each answer is not enough: a command needs hundreds, and who
 * gives each at the last moment would have the thread for itself. So what goes beyond some time a poll is taken from an
 * allowance that grows back slowly. It is the socket's: who comes again does not have it anew.
 */
static uint64_t patience_ns(struct quoll_server *server, uint64_t now)
{
	uint64_t more = (now - server->dma_left_at_ns) / SERVER_DMA_REFILL;

	server->dma_left_ns = lesser(server->dma_left_ns + more, server->dma_timeout_ns);
	server->dma_left_at_ns = now;
	return lesser(server->dma_left_ns + round_left_ns(server), server->dma_timeout_ns);
}

static void count_wait(struct quoll_server *server, uint64_t ns)
{
	uint64_t dear = ns - lesser(ns, round_left_ns(server));

	server->dma_waited_ns += ns;
	server->dma_left_ns -= lesser(dear, server->dma_left_ns);
}

static void log_timeout(const struct quoll_server *server)
{
	quoll_log(&server->env, QUOLL_LOG_WARN, "vfio-user",
		  "%s: the client does not answer for its memory, or too slowly: it was waited for for %" PRIu64
		  " ms since the last poll, and has %" PRIu64 " ms left of its allowance; it is cut off",
		  server->listen.address.sun_path, server->dma_waited_ns / NS_PER_MS, server->dma_left_ns / NS_PER_MS);
}

uint64_t quoll_server_waited_ns(const struct quoll_server *server)
{
	return server->dma_waited_ns;
}

/* Return: 0; what the client answers as -errno; or the connection is at its end, see its error. */
static int exchange(struct quoll_server *server, struct vuser_out *out, uint64_t deadline_ns)
{
	const struct vuser_header *header = &server->conn.header;
	uint64_t began_ns = fd_socket_now_ns();
	int rc;

	out->id = server->next_id++;
	server->stats.dma_messages++;
	rc = vuser_send(&server->conn, out, deadline_ns);
	if (!rc)
		rc = wait_reply(server, out, deadline_ns);
	count_wait(server, fd_socket_now_ns() - began_ns);
	if (rc)
		return rc;
	if (!(header->flags & VUSER_ERROR))
		return 0;
	return header->error && header->error <= MAX_ERRNO ? -(int)header->error : -EIO;
}

static bool all_zero(const uint8_t *at, uint32_t len)
{
	while (len && !*at) {
		at++;
		len--;
	}
	return !len;
}

/* What a reply with n bytes of data tells; the payload has ACCESS_BYTES + n. */
static enum dma_layout layout_of(const uint8_t *payload, uint32_t n)
{
	uint32_t edge = n < 4 ? n : 4;

	if (!all_zero(payload + NARROW_AT, edge))
		return DMA_LAYOUT_NARROW;
	return all_zero(payload + ACCESS_BYTES + n - edge, edge) ? DMA_LAYOUT_UNKNOWN : DMA_LAYOUT_WIDE;
}

/* Ask for n bytes; the reply is in conn then, and its length is right. */
static int read_ask(struct quoll_server *server, uint64_t iova, uint32_t n, uint64_t deadline_ns)
{
	struct vuser_dma_access access = {.iova = iova, .count = n};
	struct vuser_out out = {.command = VUSER_DMA_READ, .head = &access, .head_bytes = sizeof(access)};
	struct vuser_conn *conn = &server->conn;
	int rc = exchange(server, &out, deadline_ns);

	if (rc)
		return rc;
	/* The upper half of the count is data if they are narrow. */
	if (vuser_expect(conn, ACCESS_BYTES + n, ACCESS_BYTES + n, 0) || memcmp(conn->payload, &access, NARROW_AT))
		return vuser_conn_fail(conn, -EPROTO);
	if (server->dma_layout == DMA_LAYOUT_UNKNOWN)
		server->dma_layout = layout_of(conn->payload, n);
	if (server->dma_layout != DMA_LAYOUT_NARROW && !all_zero(conn->payload + NARROW_AT, 4)) {
		conn->nr_protocol_errors++;
		return vuser_conn_fail(conn, -EPROTO);
	}
	return 0;
}

/* The data begin and end with zeros, and layout_of() cannot tell: see above. */
static int read_decide(struct quoll_server *server, uint64_t iova, const uint8_t *payload, uint32_t n,
		       uint64_t deadline_ns)
{
	uint32_t first = ACCESS_BYTES;
	int rc;

	while (first < ACCESS_BYTES + n && !payload[first])
		first++;
	if (first == ACCESS_BYTES + n)
		return 0; /* nothing but zeros, which are the same in both */
	rc = read_ask(server, iova + first - ACCESS_BYTES, 4, deadline_ns);
	if (!rc && server->dma_layout == DMA_LAYOUT_UNKNOWN)
		server->dma_layout = DMA_LAYOUT_NARROW;
	return rc;
}

static int read_piece(struct quoll_server *server, uint64_t iova, uint8_t *to, uint32_t n, uint64_t deadline_ns)
{
	struct vuser_conn *conn = &server->conn;
	struct vuser_held reply;
	int rc;

	rc = read_ask(server, iova, n, deadline_ns);
	if (rc)
		return rc;
	vuser_hold(conn, &reply);
	if (server->dma_layout == DMA_LAYOUT_UNKNOWN)
		rc = read_decide(server, iova, reply.payload, n, deadline_ns);
	if (!rc)
		memcpy(to, reply.payload + (server->dma_layout == DMA_LAYOUT_NARROW ? NARROW_AT : ACCESS_BYTES), n);
	vuser_held_drop(&reply);
	return rc;
}

/* The reply has iova and count, says the specification, whose table has 32 bits for it here; QEMU sends nothing. */
static int write_check(struct quoll_server *server, const struct vuser_dma_access *access)
{
	struct vuser_conn *conn = &server->conn;
	bool empty = !conn->payload_bytes && !conn->nr_fds;

	if (empty || (!vuser_expect(conn, NARROW_AT, ACCESS_BYTES, 0) && !memcmp(conn->payload, access, NARROW_AT)))
		return 0;
	return vuser_conn_fail(conn, -EPROTO);
}

static int write_wide(struct quoll_server *server, uint64_t iova, const uint8_t *from, uint32_t n, uint64_t deadline_ns)
{
	struct vuser_dma_access access = {.iova = iova, .count = n};
	struct vuser_out out = {.command = VUSER_DMA_WRITE,
				.head = &access,
				.head_bytes = sizeof(access),
				.data = from,
				.data_bytes = n};
	int rc = exchange(server, &out, deadline_ns);

	return rc ? rc : write_check(server, &access);
}

static int write_narrow(struct quoll_server *server, uint64_t iova, const uint8_t *from, uint32_t n,
			uint64_t deadline_ns)
{
	struct vuser_dma_access access = {.iova = iova, .count = n};
	uint8_t data[SERVER_DMA_PIECE_BYTES + 4];
	struct vuser_out out = {.command = VUSER_DMA_WRITE,
				.head = &access,
				.head_bytes = NARROW_AT,
				.data = data,
				.data_bytes = n + 4};
	int rc;

	memcpy(data, from, n);
	memset(data + n, 0, 4);
	rc = exchange(server, &out, deadline_ns);
	return rc ? rc : write_check(server, &access);
}

static int write_piece(struct quoll_server *server, uint64_t iova, const uint8_t *from, uint32_t n,
		       uint64_t deadline_ns)
{
	uint32_t zeros = 0;
	int rc;

	if (server->dma_layout == DMA_LAYOUT_WIDE)
		return write_wide(server, iova, from, n, deadline_ns);
	if (server->dma_layout == DMA_LAYOUT_NARROW)
		return write_narrow(server, iova, from, n, deadline_ns);
	while (zeros < n && !from[zeros])
		zeros++;
	rc = zeros ? write_wide(server, iova, from, zeros, deadline_ns) : 0;
	if (rc || zeros == n)
		return rc;
	rc = write_narrow(server, iova + zeros, from + zeros, n - zeros, deadline_ns);
	if (server->conn.error)
		return rc;
	if (!rc) {
		server->dma_layout = DMA_LAYOUT_NARROW;
		return 0;
	}
	rc = write_wide(server, iova + zeros, from + zeros, n - zeros, deadline_ns);
	if (!rc)
		server->dma_layout = DMA_LAYOUT_WIDE;
	return rc;
}

/* The map that holds iova, if it may be accessed so; how much of len is in it. Return: NULL: none. */
static const struct server_map *map_at(const struct quoll_server *server, uint64_t iova, size_t *len, unsigned int prot)
{
	unsigned int at = server_map_find(server, iova);
	const struct server_map *map;
	uint64_t left;

	if (at == server->nr_maps)
		return NULL;
	map = server->maps + at;
	if (map->dma.iova > iova || !(map->dma.prot & prot))
		return NULL;
	left = map->dma.iova + map->dma.len - iova;
	if (left < *len)
		*len = (size_t)left;
	return map;
}

static int access_check(const struct quoll_server *server, uint64_t iova, size_t len, unsigned int prot)
{
	while (len) {
		size_t part = len;

		if (!map_at(server, iova, &part, prot))
			return -EFAULT;
		iova += part;
		len -= part;
	}
	return 0;
}

static int piece(struct quoll_server *server, uint64_t iova, uint8_t *buf, size_t *len, unsigned int prot,
		 uint64_t deadline_ns)
{
	const struct server_map *map = map_at(server, iova, len, prot);
	uint32_t most = server->caps.max_data_bytes < SERVER_DMA_PIECE_BYTES ? server->caps.max_data_bytes
									     : SERVER_DMA_PIECE_BYTES;

	if (map->dma.va) {
		uint8_t *there = (uint8_t *)map->dma.va + (iova - map->dma.iova);

		memcpy(prot == QUOLL_DMA_READ ? buf : there, prot == QUOLL_DMA_READ ? there : buf, *len);
		return 0;
	}
	if (*len > most)
		*len = most;
	return prot == QUOLL_DMA_READ ? read_piece(server, iova, buf, (uint32_t)*len, deadline_ns)
				      : write_piece(server, iova, buf, (uint32_t)*len, deadline_ns);
}

static int dma_access(struct quoll_server *server, uint64_t iova, uint8_t *buf, size_t len, unsigned int prot)
{
	uint64_t now = fd_socket_now_ns(), deadline_ns = now + patience_ns(server, now);
	struct vuser_conn *conn = &server->conn;
	bool is_serving = vuser_has_message(conn);
	struct vuser_held current;
	int rc;

	if (server->state != SERVER_SERVING)
		return -EFAULT;
	if (conn->error)
		return -ECONNRESET;
	rc = access_check(server, iova, len, prot);
	if (rc)
		return rc;
	/* The command that is being served, if we are called for it, or waits. */
	if (is_serving)
		vuser_hold(conn, &current);
	while (!rc && len) {
		size_t part = len;

		rc = piece(server, iova, buf, &part, prot, deadline_ns);
		iova += part;
		buf += part;
		len -= part;
	}
	if (is_serving)
		vuser_unhold(conn, &current);
	if (rc == -ETIMEDOUT && conn->error)
		log_timeout(server);
	return conn->error && rc != -ETIMEDOUT ? -ECONNRESET : rc;
}

int quoll_server_dma_read(struct quoll_server *server, uint64_t iova, void *buf, size_t len)
{
	return dma_access(server, iova, buf, len, QUOLL_DMA_READ);
}

int quoll_server_dma_write(struct quoll_server *server, uint64_t iova, const void *buf, size_t len)
{
	/* Only read from: see piece(). */
	return dma_access(server, iova, (uint8_t *)(uintptr_t)buf, len, QUOLL_DMA_WRITE);
}
