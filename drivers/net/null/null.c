/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * null.c - null:[?size=BYTES]: frames of one size without end on receive, and nowhere on transmit.
 *
 * For measuring all that is around a port: each buffer is taken from the pool, gets its lengths, and is given back, as
 * with any other port, so it is never faster by doing nothing. What the frames hold is what the memory held.
 */
#include <errno.h>
#include <stdlib.h>

#include "../net_driver.h"
#include "../net_frame.h"

#define MAX_FRAME_BYTES 16128u
#define DEFAULT_FRAME_BYTES 64u

struct null_port {
	struct quoll_port port;
	uint32_t frame_bytes;
};

struct null_rxq {
	struct quoll_rxq rxq;
	uint32_t frame_bytes;
} QUOLL_CACHE_ALIGNED;

struct null_txq {
	struct quoll_txq txq;
	struct net_tx_rules rules;
} QUOLL_CACHE_ALIGNED;

/* The cache gives all or nothing: half as many, and so on, until it has them. */
static unsigned int get_fewer(struct quoll_rxq *rxq, struct quoll_buf **bufs, unsigned int n)
{
	unsigned int got = 0;

	for (unsigned int step = n / 2; step; step /= 2)
		if (!quoll_buf_get(rxq->cache, bufs + got, step))
			got += step;
	quoll_count(&rxq->nr_no_buf, n - got);
	return got;
}

static unsigned int null_rx(struct quoll_rxq *rxq, struct quoll_buf **bufs, unsigned int n)
{
	uint32_t bytes = ((struct null_rxq *)rxq)->frame_bytes;
	uint16_t port_id = rxq->port_id;

	if (QUOLL_UNLIKELY(net_port_dead(rxq->port)))
		return 0;
	if (QUOLL_UNLIKELY(quoll_buf_get(rxq->cache, bufs, n)))
		n = get_fewer(rxq, bufs, n);
	for (unsigned int i = 0; i < n; i++) {
		struct quoll_buf *buf = bufs[i];

		buf->data_bytes = bytes;
		buf->total_bytes = bytes;
		buf->port = port_id;
	}
	quoll_count(&rxq->nr_packets, n);
	quoll_count(&rxq->nr_bytes, (uint64_t)n * bytes);
	net_rxq_polled(rxq, n);
	return n;
}

/* Chains, or frames that cannot be sent, are among them: one at a time. */
static void tx_one_by_one(struct null_txq *q, struct quoll_buf *const *bufs, unsigned int n)
{
	uint64_t bytes = 0;
	unsigned int nr_bad = 0;

	for (unsigned int i = 0; i < n; i++) {
		if (net_tx_bad(&q->rules, bufs[i]))
			nr_bad++;
		else
			bytes += bufs[i]->total_bytes;
		quoll_buf_put_chain(q->txq.cache, bufs[i]);
	}
	quoll_count(&q->txq.nr_packets, n - nr_bad);
	quoll_count(&q->txq.nr_bytes, bytes);
	quoll_count(&q->txq.nr_bad, nr_bad);
}

static unsigned int null_tx(struct quoll_txq *txq, struct quoll_buf *const *bufs, unsigned int n)
{
	struct null_txq *q = (struct null_txq *)txq;
	struct net_tx_sum sum;

	if (QUOLL_UNLIKELY(net_port_dead(txq->port)))
		return 0;
	net_tx_look(&q->rules, bufs, n, &sum);
	if (QUOLL_UNLIKELY(sum.bad || sum.chains)) {
		tx_one_by_one(q, bufs, n);
		return n;
	}
	quoll_count(&txq->nr_packets, n);
	quoll_count(&txq->nr_bytes, sum.bytes);
	quoll_buf_put(txq->cache, bufs, n);
	return n;
}

static int null_open(struct quoll_port *port, const struct quoll_addr *addr, struct quoll_error *err)
{
	const char *size = quoll_addr_option(addr, "size");
	uint64_t bytes = DEFAULT_FRAME_BYTES;

	if (size && (quoll_size_parse(size, &bytes) || bytes < NET_MIN_FRAME_BYTES || bytes > MAX_FRAME_BYTES))
		return quoll_error_set(err, EINVAL, "address", port->name, "size: \"%s\" is not %u to %u bytes", size,
				       NET_MIN_FRAME_BYTES, MAX_FRAME_BYTES);
	((struct null_port *)port)->frame_bytes = (uint32_t)bytes;
	port->info.max_rxqs = QUOLL_PORT_MAX_QUEUES;
	port->info.max_txqs = QUOLL_PORT_MAX_QUEUES;
	port->info.min_entries = 1;
	port->info.max_entries = 65536;
	port->info.max_mtu = MAX_FRAME_BYTES - NET_FRAME_OVERHEAD_BYTES;
	port->info.max_tx_links = UINT16_MAX;
	return 0;
}

static void null_close(struct quoll_port *port)
{
	(void)port;
}

static int null_start(struct quoll_port *port, struct quoll_error *err)
{
	uint32_t frame_bytes = ((struct null_port *)port)->frame_bytes;

	if (frame_bytes > port->settings.mtu + NET_FRAME_OVERHEAD_BYTES) {
		quoll_error_set(err, EINVAL, "start", port->name, "frames of size=%u do not fit an mtu of %u",
				frame_bytes, port->settings.mtu);
		quoll_error_hint(err, "an mtu of %u or more, or a smaller size", frame_bytes - NET_MIN_FRAME_BYTES);
		return -EINVAL;
	}
	for (unsigned int i = 0; i < port->queues.nr_rxqs; i++) {
		struct null_rxq *q = net_alloc(sizeof(*q));

		if (!q)
			return quoll_error_set(err, ENOMEM, "start", port->name, "out of memory");
		q->frame_bytes = frame_bytes;
		q->rxq.burst = null_rx;
		net_rxq_init(port, &q->rxq, i);
	}
	for (unsigned int i = 0; i < port->queues.nr_txqs; i++) {
		struct null_txq *q = net_alloc(sizeof(*q));

		if (!q)
			return quoll_error_set(err, ENOMEM, "start", port->name, "out of memory");
		net_tx_rules_init(&q->rules, port);
		q->txq.burst = null_tx;
		net_txq_init(port, &q->txq, i);
	}
	net_port_set_link(port, true, true, 0);
	return 0;
}

static int null_stop(struct quoll_port *port)
{
	for (unsigned int i = 0; i < QUOLL_PORT_MAX_QUEUES; i++) {
		free(port->rxqs[i]);
		free(port->txqs[i]);
	}
	net_port_set_link(port, false, false, 0);
	return 0;
}

static const char *const options[] = {"size", NULL};

const struct net_driver net_null = {
	.name = "null",
	.scheme = QUOLL_ADDR_NULL,
	.port_bytes = sizeof(struct null_port),
	.memory = QUOLL_PORT_MEMORY_ANY,
	.options = options,
	.open = null_open,
	.close = null_close,
	.start = null_start,
	.stop = null_stop,
};
