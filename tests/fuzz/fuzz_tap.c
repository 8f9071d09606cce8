/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_tap.c - a kernel that lies: virtio headers and frames out of the input come in on a tap: port whose queue is a
 * socket, and are handed on as `quoll fwd --offloads` does it. Whatever they say of themselves, frames fit their
 * buffers, and at the end every buffer is back, each once.
 *
 * The first byte is the port's offloads and what the other one lacks. Then each frame: its length (2 bytes,
 * little-endian), virtio's header, data, of which the last byte goes on to that length.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <net/net.h>
#include <net/net_soft.h>
#include <net/tap/tap.h>

#define NR_BUFS 1024u
#define ROOM 2048u
#define MAX_OUT 64u
#define HDR_BYTES sizeof(struct virtio_net_hdr)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
	struct quoll_heap *heap;
	struct quoll_arena *arena;
	struct quoll_pool *pool;
	struct quoll_buf_cache *cache;
	struct quoll_net *net;
	struct quoll_port *port;
	int sockets[2];
} m;

static void must(bool good)
{
	if (!good)
		abort();
}

static int fuzz_open(struct quoll_port *port, const struct quoll_addr *addr, struct quoll_error *err)
{
	(void)addr;
	(void)err;
	port->info.offloads = QUOLL_OFFLOAD_RX_SCATTER | QUOLL_OFFLOAD_RX_L4_CSUM | QUOLL_OFFLOAD_RX_GSO |
			      QUOLL_OFFLOAD_TX_L4_CSUM | QUOLL_OFFLOAD_TX_TSO;
	port->info.max_rxqs = port->info.max_txqs = 1;
	port->info.min_entries = port->info.max_entries = 1;
	port->info.max_mtu = 9000;
	port->info.max_tx_links = TAP_MAX_LINKS;
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, m.sockets);
}

static void fuzz_close(struct quoll_port *port)
{
	(void)port;
}

static int fuzz_start(struct quoll_port *port, struct quoll_error *err)
{
	struct tap_rxq *rxq = net_alloc(sizeof(*rxq));
	struct tap_txq *txq = net_alloc(sizeof(*txq));

	(void)err;
	must(rxq && txq);
	net_rxq_init(port, &rxq->rxq, 0);
	net_txq_init(port, &txq->txq, 0);
	rxq->fd = txq->fd = m.sockets[0];
	tap_rxq_init(rxq);
	tap_txq_init(txq);
	return 0;
}

static int fuzz_stop(struct quoll_port *port)
{
	struct tap_rxq *rxq = (struct tap_rxq *)port->rxqs[0];

	quoll_buf_put(rxq->rxq.cache, rxq->spare, rxq->nr_spare);
	free(rxq);
	free(port->txqs[0]);
	return 0;
}

static const struct net_driver driver = {
	.name = "fuzz",
	.scheme = QUOLL_ADDR_TAP,
	.port_bytes = sizeof(struct tap_port),
	.open = fuzz_open,
	.close = fuzz_close,
	.start = fuzz_start,
	.stop = fuzz_stop,
};

static void prepare(void)
{
	struct quoll_heap_opts heap_opts = {.size_bytes = 64u << 20, .pages = QUOLL_PAGES_4K, .numa_node = -1};
	struct quoll_pool_opts pool_opts = {.nr_bufs = NR_BUFS, .buf_bytes = ROOM + 128, .headroom_bytes = 128};
	struct quoll_addr addr;

	must(!quoll_heap_create(NULL, &heap_opts, &m.heap, NULL));
	must(!quoll_arena_create(m.heap, "bufs", QUOLL_ARENA_DEVICE_READ_WRITE, 8 << 20, &m.arena, NULL));
	must(!quoll_pool_create(m.arena, &pool_opts, &m.pool, NULL));
	must(!quoll_buf_cache_create(m.pool, 256, &m.cache, NULL));
	must(!quoll_net_create(NULL, m.heap, &m.net, NULL));
	must(!quoll_addr_parse("tap:fuzz", &addr, NULL));
	must(!net_port_open_driver(m.net, &driver, &addr, NULL, &m.port, NULL));
}

/* What came is what its links hold. */
static void look_at(const struct quoll_buf *buf)
{
	uint32_t bytes = 0, nr = 0;

	must(buf->total_bytes >= 14 && buf->total_bytes <= TAP_MAX_GSO_BYTES);
	for (const struct quoll_buf *link = buf; link; link = link->next, nr++) {
		must(link->data_off + link->data_bytes <= ROOM + 128);
		bytes += link->data_bytes;
	}
	must(bytes == buf->total_bytes && nr == buf->nr_links);
}

static void send_all(struct quoll_buf **bufs, unsigned int n)
{
	static uint8_t sink[TAP_MAX_GSO_BYTES + HDR_BYTES];
	unsigned int taken = quoll_tx(m.port->txqs[0], bufs, n);

	for (unsigned int i = taken; i < n; i++)
		quoll_buf_put_chain(m.cache, bufs[i]);
	while (read(m.sockets[1], sink, sizeof(sink)) > 0)
		;
}

static void hand_on(struct quoll_buf *buf, uint32_t missing)
{
	struct quoll_buf *out[MAX_OUT];
	int n = quoll_soft_pass(buf);

	if (!n)
		n = quoll_soft_tx(missing, m.cache, buf, out, MAX_OUT);
	if (n < 0) {
		quoll_buf_put_chain(m.cache, buf);
		return;
	}
	for (int i = 0; i < n; i++)
		look_at(out[i]);
	send_all(out, (unsigned int)n);
}

static void receive(uint32_t missing)
{
	struct quoll_buf *bufs[4];
	unsigned int n = quoll_rx(m.port->rxqs[0], bufs, 4);

	for (unsigned int i = 0; i < n; i++) {
		look_at(bufs[i]);
		hand_on(bufs[i], missing);
	}
}

/* Return: bytes of the input that it took. */
static size_t kernel_sends(const uint8_t *data, size_t size)
{
	static uint8_t frame[HDR_BYTES + 65536];
	size_t bytes = (size_t)data[0] | (size_t)data[1] << 8, there = size - 2;

	bytes = bytes < HDR_BYTES ? HDR_BYTES : bytes;
	there = there < bytes ? there : bytes;
	memcpy(frame, data + 2, there);
	memset(frame + there, data[1 + there], bytes - there);
	must(write(m.sockets[1], frame, bytes) == (ssize_t)bytes);
	return 2 + there;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct quoll_buf_cache *caches[] = {m.cache};
	struct quoll_port_queues queues = {.nr_rxqs = 1, .nr_txqs = 1};
	struct quoll_port_settings settings = {0};
	uint32_t missing = 0;

	if (!m.heap)
		prepare();
	if (!size)
		return 0;
	caches[0] = m.cache;
	queues.rx_caches = queues.tx_caches = caches;
	settings.offloads = data[0] & 1 ? QUOLL_OFFLOAD_RX_SCATTER : 0;
	settings.offloads |= data[0] & 2 ? QUOLL_OFFLOAD_RX_L4_CSUM : 0;
	settings.offloads |= data[0] & 4 ? QUOLL_OFFLOAD_RX_L4_CSUM | QUOLL_OFFLOAD_RX_GSO : 0;
	settings.offloads |= data[0] & 8 ? QUOLL_OFFLOAD_TX_L4_CSUM : 0;
	settings.offloads |= data[0] & 16 ? QUOLL_OFFLOAD_TX_L4_CSUM | QUOLL_OFFLOAD_TX_TSO : 0;
	missing |= data[0] & 32 ? QUOLL_OFFLOAD_TX_CSUM : 0;
	missing |= data[0] & 64 ? QUOLL_OFFLOAD_TX_CSUM | QUOLL_OFFLOAD_TX_TSO : 0;
	must(!quoll_port_start(m.port, &queues, &settings, NULL));
	for (size_t at = 1; at + 2 < size;) {
		at += kernel_sends(data + at, size - at);
		receive(missing);
	}
	must(!quoll_port_stop(m.port));
	must(quoll_pool_nr_free(m.pool) == NR_BUFS);
	return 0;
}
