/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * xdp_sock.c - sockets: UMEM, rings, binding to a queue of the interface; and back, with every buffer.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <quoll/wait.h>

#include "xdp.h"

#define PAGE_BYTES 4096u
#define BIND_LIMIT_NS 2000000000u /* the kernel lets go of a queue only some time after the socket was closed */
#define DRAIN_LIMIT_NS 100000000u
#define BUSY_POLL_US 20
#define COPIES_CACHE 64u

#ifndef SO_PREFER_BUSY_POLL
#define SO_PREFER_BUSY_POLL 69
#define SO_BUSY_POLL_BUDGET 70
#endif

void xdp_map_init(struct xdp_umem_map *map, struct quoll_pool *pool)
{
	struct quoll_pool_memory memory;

	quoll_pool_memory(pool, &memory);
	*map = (struct xdp_umem_map){.bufs = memory.bufs,
				     .pool = pool,
				     .stride = memory.stride_bytes,
				     .nr_bufs = memory.nr_bufs,
				     .magic = UINT64_MAX / memory.stride_bytes + 1};
	map->base = (uint8_t *)((uintptr_t)memory.va / PAGE_BYTES * PAGE_BYTES);
	map->first = (uint64_t)(memory.va - map->base);
	map->chunk = memory.stride_bytes < XDP_MAX_CHUNK_BYTES ? memory.stride_bytes : XDP_MAX_CHUNK_BYTES;
}

/* What the kernel asks of chunks, and the settings of what fits into one. */
static int check_map(const struct xdp_port *xp, const struct xdp_umem_map *map, struct quoll_error *err)
{
	uint32_t frame = xp->port.settings.mtu + NET_FRAME_OVERHEAD_BYTES, least = XDP_MIN_CHUNK_BYTES;

	if (!(xp->port.settings.offloads & QUOLL_OFFLOAD_RX_SCATTER) && frame + XDP_HEADROOM_BYTES > least)
		least = frame + XDP_HEADROOM_BYTES;
	if (least <= map->chunk)
		return 0;
	quoll_error_set(err, EINVAL, "memory", xp->ifc.name,
			"the pool's buffers have %u bytes, and the kernel needs %u: %u of headroom, and a frame",
			map->stride, least, XDP_HEADROOM_BYTES);
	if (least <= XDP_MAX_CHUNK_BYTES)
		quoll_error_hint(err, "larger buffers, or a smaller mtu");
	else if (xp->sg)
		quoll_error_hint(err,
				 "the offload rx-scatter, as the kernel fills %u bytes of a buffer at most; quoll "
				 "fwd: --buf-bytes %u",
				 XDP_MAX_CHUNK_BYTES, XDP_MAX_CHUNK_BYTES);
	else
		quoll_error_hint(err, "a smaller mtu; this kernel has no frames of several buffers (6.6)");
	return -EINVAL;
}

/* The kernel finds chunks by masking addresses, if they are laid out like this; else it is told to take any. */
static bool is_aligned(const struct xdp_umem_map *map)
{
	return map->chunk == map->stride && !(map->chunk & (map->chunk - 1)) && !(map->first & (map->chunk - 1));
}

static int make_umem(struct xdp_port *xp, struct xdp_sock *sock, struct quoll_error *err)
{
	struct xdp_umem_map *map = &sock->map;
	uint64_t bytes = map->first + (uint64_t)map->nr_bufs * map->stride;
	struct xsk_umem_config config = {.fill_size = xp->port.queues.entries,
					 .comp_size = xp->port.queues.entries,
					 .frame_size = map->chunk,
					 .flags = is_aligned(map) ? 0 : XDP_UMEM_UNALIGNED_CHUNK_FLAG};
	int rc;

	bytes = (bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
	rc = xsk_umem__create(&sock->umem, map->base, bytes, &sock->fill, &sock->comp, &config);
	if (!rc)
		return 0;
	sock->umem = NULL;
	quoll_error_set(err, -rc, "memory", xp->ifc.name, "%llu KiB of buffers cannot be registered with AF_XDP",
			(unsigned long long)bytes / 1024);
	if (rc == -ENOBUFS)
		quoll_error_hint(err, "more locked memory: ulimit -l unlimited, or give the program CAP_IPC_LOCK");
	else if (rc == -EPERM)
		quoll_error_hint(err, "run as root, or give the program CAP_NET_RAW");
	return rc;
}

static bool busy_poll(const struct xdp_port *xp, int fd)
{
	int on = 1, us = BUSY_POLL_US, budget = (int)xp->busy;

	return xp->busy && !setsockopt(fd, SOL_SOCKET, SO_PREFER_BUSY_POLL, &on, sizeof(on)) &&
	       !setsockopt(fd, SOL_SOCKET, SO_BUSY_POLL, &us, sizeof(us)) &&
	       !setsockopt(fd, SOL_SOCKET, SO_BUSY_POLL_BUDGET, &budget, sizeof(budget));
}

static int refuse_bind(const struct xdp_port *xp, unsigned int queue, int rc, struct quoll_error *err)
{
	const char *name = xp->ifc.name;

	quoll_error_set(err, -rc, "bind", name, "no AF_XDP socket on queue %u of the interface", queue);
	if (rc == -EBUSY)
		quoll_error_hint(err, "another socket is on it: end that program, or other queues: xdp:%s?queues=%u",
				 name, queue + 1);
	else if (rc == -EPERM)
		quoll_error_hint(err, "run as root, or give the program CAP_NET_RAW");
	else if (rc == -EOPNOTSUPP || rc == -EPROTONOSUPPORT)
		quoll_error_hint(err, "its driver has no zero copy: xdp:%s?zerocopy=auto", name);
	return rc;
}

/*
 * A device must find each chunk in one piece: unaligned ones cross pages, which is well only within huge ones. Of what
 * the pages are outside of the heap nothing is known.
 */
static bool can_zerocopy(const struct xdp_port *xp, const struct xdp_umem_map *map)
{
	struct quoll_heap_info info;

	quoll_heap_info(net_heap(&xp->port), &info);
	return is_aligned(map) || (!quoll_pool_is_outside(map->pool) && info.page_bytes > PAGE_BYTES);
}

static uint16_t bind_flags(const struct xdp_port *xp, const struct xdp_umem_map *map)
{
	unsigned int flags = XDP_USE_NEED_WAKEUP;

	if (xp->sg)
		flags |= XDP_USE_SG;
	/* Without either the kernel takes what there is. */
	if (xp->zerocopy == XDP_WANT_ON)
		flags |= XDP_ZEROCOPY;
	else if (xp->zerocopy == XDP_WANT_OFF || !can_zerocopy(xp, map))
		flags |= XDP_COPY;
	return (uint16_t)flags;
}

static int bind_once(struct xdp_port *xp, unsigned int i, struct quoll_error *err)
{
	struct xdp_sock *sock = xp->socks[i];
	const struct quoll_port_queues *queues = &xp->port.queues;
	struct xsk_socket_config config = {.rx_size = queues->entries,
					   .tx_size = queues->entries,
					   .libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
					   .bind_flags = bind_flags(xp, &sock->map)};
	int rc = make_umem(xp, sock, err);

	if (rc)
		return rc;
	rc = xsk_socket__create(&sock->xsk, xp->ifc.name, xp->first_queue + i, sock->umem,
				i < queues->nr_rxqs ? &sock->rx : NULL, i < queues->nr_txqs ? &sock->tx : NULL,
				&config);
	if (!rc)
		return 0;
	sock->xsk = NULL;
	(void)xsk_umem__delete(sock->umem);
	sock->umem = NULL;
	return refuse_bind(xp, xp->first_queue + i, rc, err);
}

static int bind_sock(struct xdp_port *xp, unsigned int i, struct quoll_error *err)
{
	struct quoll_wait wait;
	bool more;
	int rc;

	quoll_wait_start(&wait, &xp->port.clock, BIND_LIMIT_NS);
	for (more = true;; more = quoll_wait_more(&wait)) {
		rc = bind_once(xp, i, err);
		if (rc != -EBUSY || !more)
			return rc;
	}
}

static struct quoll_pool *pool_of(const struct xdp_port *xp, unsigned int i)
{
	const struct quoll_port_queues *queues = &xp->port.queues;

	return i < queues->nr_rxqs ? queues->rx_caches[i]->pool : queues->tx_caches[i]->pool;
}

int xdp_sock_open(struct xdp_port *xp, unsigned int i, struct quoll_error *err)
{
	struct xdp_sock *sock = net_alloc(sizeof(*sock));
	uint32_t copies;
	int rc;

	if (!sock)
		return quoll_error_set(err, ENOMEM, "start", xp->ifc.name, "out of memory");
	xp->socks[i] = sock;
	sock->fd = sock->wake_fd = -1;
	xdp_map_init(&sock->map, pool_of(xp, i));
	rc = check_map(xp, &sock->map, err);
	if (!rc && xp->zerocopy == XDP_WANT_ON && !can_zerocopy(xp, &sock->map)) {
		rc = quoll_error_set(err, EINVAL, "memory", xp->ifc.name,
				     "zero copy takes buffers that do not cross pages, and these have %u bytes",
				     sock->map.stride);
		quoll_error_hint(err, "huge pages (quoll doctor), or a pool of buffers 2048 or 4096 bytes apart");
	}
	if (rc)
		return rc;
	sock->held = calloc(sock->map.nr_bufs, 1);
	if (!sock->held)
		return quoll_error_set(err, ENOMEM, "start", xp->ifc.name, "out of memory");
	copies = sock->map.nr_bufs < COPIES_CACHE ? sock->map.nr_bufs : COPIES_CACHE;
	rc = quoll_buf_cache_create(sock->map.pool, copies, &sock->copies, err);
	if (!rc)
		rc = bind_sock(xp, i, err);
	if (rc)
		return rc;
	sock->fd = xsk_socket__fd(sock->xsk);
	sock->busy = busy_poll(xp, sock->fd);
	sock->wake_fd = epoll_create1(EPOLL_CLOEXEC);
	return sock->wake_fd < 0 ? quoll_error_set(err, errno, "start", xp->ifc.name, "no set of events") : 0;
}

void xdp_sock_statistics(const struct xdp_sock *sock, struct xdp_statistics *sum)
{
	struct xdp_statistics now = {0};
	socklen_t length = sizeof(now);

	/* Kernels before 5.9 fill in the first three. */
	if (sock->fd < 0 || getsockopt(sock->fd, SOL_XDP, XDP_STATISTICS, &now, &length))
		return;
	sum->rx_dropped += now.rx_dropped;
	sum->rx_invalid_descs += now.rx_invalid_descs;
	sum->tx_invalid_descs += now.tx_invalid_descs;
	sum->rx_ring_full += now.rx_ring_full;
	sum->rx_fill_ring_empty_descs += now.rx_fill_ring_empty_descs;
	sum->tx_ring_empty_descs += now.tx_ring_empty_descs;
}

/* What was sent gets its time; a link that is down keeps it. */
static void drain(struct xdp_port *xp, struct xdp_txq *q)
{
	struct quoll_wait wait;

	quoll_wait_start(&wait, &xp->port.clock, DRAIN_LIMIT_NS);
	do {
		if (xdp_tx_waits(q->sock))
			xdp_kick(q->sock);
		xdp_reclaim(q);
	} while (q->sock->nr_out && !net_port_dead(&xp->port) && quoll_wait_more(&wait));
}

/* The kernel has none of it any more: what it kept, also inside, goes back. */
static void take_back(struct xdp_sock *sock, struct quoll_buf_cache *cache)
{
	for (uint32_t i = 0; sock->held && i < sock->map.nr_bufs; i++) {
		struct quoll_buf *buf = &sock->map.bufs[i];

		if (sock->held[i])
			quoll_buf_put(cache, &buf, 1);
	}
}

void xdp_sock_close(struct xdp_port *xp, unsigned int i)
{
	struct xdp_sock *sock = xp->socks[i];
	struct xdp_rxq *rxq = (struct xdp_rxq *)xp->port.rxqs[i];
	struct xdp_txq *txq = (struct xdp_txq *)xp->port.txqs[i];

	if (!sock)
		return;
	if (sock->xsk && txq)
		drain(xp, txq);
	xdp_sock_statistics(sock, &xp->ended);
	xp->nr_copied_ended += sock->nr_copied;
	if (sock->xsk)
		xsk_socket__delete(sock->xsk);
	if (sock->umem)
		(void)xsk_umem__delete(sock->umem);
	if (rxq)
		quoll_buf_put_chain(rxq->rxq.cache, rxq->first);
	if (rxq || txq)
		take_back(sock, rxq ? rxq->rxq.cache : txq->txq.cache);
	quoll_buf_cache_destroy(sock->copies);
	if (sock->wake_fd >= 0)
		close(sock->wake_fd);
	free(sock->held);
	free(sock);
	xp->socks[i] = NULL;
}
