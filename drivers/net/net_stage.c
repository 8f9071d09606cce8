/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * net_stage.c - see net_stage.h. A burst is one map, and one unmap of all that the driver is done with: with a window
 * of quoll.ko's one call of the kernel each, and one fence.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <quoll/counter.h>
#include <quoll/stream.h>

#include "net_stage.h"

#define STAGE_SEGS 256u	 /* mapped or unmapped at a time */
#define STAGE_FRAMES 64u /* the driver is asked for or given at a time */
#define STAGE_REFILL 64u /* so many are missing before more are mapped */
#define STAGE_CHAIN 64u	 /* a frame that is not complete has no more */
#define STAGE_FAILED 64u /* of a refill: so many buffers that cannot be mapped are enough */
#define STAGE_WARY 4u	 /* behind one of those so few are tried first: what follows the next is mapped in vain */
/* Beside those on the ring, so that the driver can always post a batch. */
#define STAGE_SPARE (STAGE_FRAMES + STAGE_REFILL + STAGE_CHAIN)

static_assert(STAGE_SEGS <= QUOLL_PORT_MORE_MAPPED && STAGE_SPARE <= QUOLL_PORT_MORE_MAPPED,
	      "what callers make room for");

/**
 * struct net_stage - of one queue, and its thread's
 * @port, @id:  whose receive queue it is
 * @cache, @pool: the user's
 * @aside:     of a receive queue, and of the same pool: it has room for one buffer, and what is put there goes behind
 *             all others of the pool's
 * @inner, @annex: the driver's
 * @bufs:      headers, whose index is that of @segs
 * @front_bytes: the driver's, before data
 * @target:    so many buffers does a receive queue's driver have, @nr_mapped of them now
 * @segs:      how each buffer that is the annex's is mapped
 * @nr_unmappable: how often a buffer to receive into could not be mapped; any thread
 * @nr, @batch: to be mapped in one go; @nr_done, @done: to be unmapped
 */
struct net_stage {
	unsigned int (*rx_burst)(struct quoll_rxq *rxq, struct quoll_buf **bufs, unsigned int n);
	unsigned int (*tx_burst)(struct quoll_txq *txq, struct quoll_buf *const *bufs, unsigned int n);
	struct quoll_stream *stream;
	const struct quoll_port *port;
	struct quoll_buf_cache *cache;
	struct quoll_buf_cache *aside;
	struct quoll_buf_cache *inner;
	struct quoll_pool *pool;
	struct quoll_pool *annex;
	const struct quoll_buf *bufs;
	struct quoll_stream_seg *segs;
	uint32_t buf_bytes;
	uint32_t front_bytes;
	uint32_t max_links;
	uint32_t target;
	uint32_t nr_mapped;
	unsigned int id;
	uint64_t nr_unmappable;
	unsigned int nr;
	unsigned int nr_done;
	struct quoll_stream_seg batch[STAGE_SEGS];
	struct quoll_stream_seg done[STAGE_SEGS];
	struct quoll_buf *list[STAGE_SEGS];
};

/* Mapped and unmapped. */

/* Data of @bytes, and @front before it. */
static void batch_add(struct net_stage *stage, const struct quoll_buf *buf, uint32_t front, uint32_t bytes,
		      unsigned int dir)
{
	stage->batch[stage->nr++] = (struct quoll_stream_seg){
		.va = (uint8_t *)quoll_buf_data(buf) - front, .bytes = (uint64_t)front + bytes, .dir = dir};
}

/* Where in its buffer a segment begins. */
static uint32_t seg_off(const struct quoll_buf *buf, const struct quoll_stream_seg *seg)
{
	return (uint32_t)((uint8_t *)seg->va - buf->va);
}

/* The buffer is the driver's from now on. */
static void lend(struct net_stage *stage, struct quoll_buf *buf, const struct quoll_stream_seg *seg)
{
	stage->segs[buf - stage->bufs] = *seg;
	buf->iova = seg->iova - seg_off(buf, seg);
	buf->pool = stage->annex;
	stage->nr_mapped++;
}

static void unmap_done(struct net_stage *stage)
{
	if (stage->nr_done)
		quoll_stream_unmap(stage->stream, stage->done, stage->nr_done);
	stage->nr_done = 0;
}

/* No more the driver's; nobody else's before unmap_done(). What the device wrote ends at @valid_end of the buffer. */
static void take_back(struct net_stage *stage, struct quoll_buf *buf, uint32_t valid_end)
{
	struct quoll_stream_seg *seg = &stage->done[stage->nr_done++];
	uint32_t valid, off;

	*seg = stage->segs[buf - stage->bufs];
	off = seg_off(buf, seg);
	valid = valid_end > off ? valid_end - off : 0;
	/* Less than was mapped: what net_stage_received() has let the driver have. */
	if (valid < seg->valid_bytes)
		seg->valid_bytes = valid;
	buf->iova = QUOLL_IOVA_INVALID;
	buf->pool = stage->pool;
	stage->nr_mapped--;
	if (stage->nr_done == STAGE_SEGS)
		unmap_done(stage);
}

/* What the driver has given back, and nothing was received into. */
static void take_back_unused(struct net_stage *stage, uint32_t n)
{
	for (uint32_t some; n && !quoll_buf_get(stage->inner, stage->list, some = n < STAGE_SEGS ? n : STAGE_SEGS);
	     n -= some) {
		for (uint32_t i = 0; i < some; i++)
			take_back(stage, stage->list[i], 0);
		unmap_done(stage);
		quoll_buf_put(stage->cache, stage->list, some);
	}
}

/* Receive. */

/*
 * A buffer that nobody can map: there may be many such, and if the cache had it back it would be the next one to be
 * tried. Behind all others of the pool it is out of their way, and not lost where the reason is one that goes by.
 */
static void put_aside(struct net_stage *stage, struct quoll_buf *buf, int why)
{
	if (!stage->nr_unmappable)
		quoll_log(net_env(stage->port), QUOLL_LOG_WARN, "net",
			  "%s: receive queue %u: its stream cannot map the buffer at %p: %s; others take its place, "
			  "and rxq%u_unmappable counts further ones",
			  stage->port->name, stage->id, (void *)buf->va, strerror(-why), stage->id);
	quoll_count(&stage->nr_unmappable, 1);
	quoll_buf_put(stage->aside, &buf, 1);
}

/*
 * @n fresh buffers of stage->list: to the driver's. Those that cannot be mapped are put aside, @patience of them.
 * Return: 0, or -errno: there is no room, or no patience any more, and the rest went back.
 */
static int lend_empty(struct net_stage *stage, unsigned int n, unsigned int *patience)
{
	unsigned int done = 0, most = n;

	for (unsigned int i = 0; i < n; i++)
		batch_add(stage, stage->list[i], stage->front_bytes, stage->buf_bytes - stage->list[i]->data_off,
			  QUOLL_SEG_WRITE);
	stage->nr = 0;
	while (done < n) {
		int rc = quoll_stream_map(stage->stream, stage->batch + done, most < n - done ? most : n - done);

		if (rc > 0) {
			for (int i = 0; i < rc; i++)
				lend(stage, stage->list[done + (unsigned int)i], &stage->batch[done + (unsigned int)i]);
			quoll_buf_put(stage->inner, stage->list + done, (uint32_t)rc);
			done += (unsigned int)rc;
			most *= 2;
			continue;
		}
		/* Another one may do, unless there is no room for any. */
		if (rc != -EAGAIN) {
			put_aside(stage, stage->list[done++], rc);
			most = STAGE_WARY;
			if (--*patience)
				continue;
		}
		quoll_buf_put(stage->cache, stage->list + done, n - done);
		return rc;
	}
	return 0;
}

/* Return: 0, also if the pool has too few; -errno of a mapping. */
static int refill(struct net_stage *stage, unsigned int patience)
{
	int rc = 0;

	while (stage->nr_mapped < stage->target && !rc) {
		uint32_t missing = stage->target - stage->nr_mapped, n = missing < STAGE_SEGS ? missing : STAGE_SEGS;

		while (n && quoll_buf_get(stage->cache, stage->list, n))
			n /= 2;
		if (!n)
			break;
		rc = lend_empty(stage, n, &patience);
	}
	return rc;
}

/* In the driver's place. What cannot be mapped, the driver misses, and counts as any shortage. */
static unsigned int stage_rx(struct quoll_rxq *rxq, struct quoll_buf **bufs, unsigned int n)
{
	struct net_stage *stage = rxq->port->rx_stages[rxq->id];
	unsigned int got = 0, some, asked;

	do {
		if (stage->target - stage->nr_mapped >= STAGE_REFILL && !net_port_dead(rxq->port))
			(void)refill(stage, STAGE_FAILED);
		asked = n - got < STAGE_FRAMES ? n - got : STAGE_FRAMES;
		some = stage->rx_burst(rxq, bufs + got, asked);
		for (unsigned int i = got; i < got + some; i++)
			for (struct quoll_buf *buf = bufs[i]; buf; buf = buf->next)
				take_back(stage, buf, buf->data_off + buf->data_bytes);
		got += some;
	} while (got < n && some == asked);
	unmap_done(stage);
	return got;
}

/* Transmit. */

/* A link that is to be mapped. Those without data are nothing to a device, and those of the heap are mapped. */
static bool is_to_be_mapped(const struct net_stage *stage, const struct quoll_buf *buf)
{
	return buf->pool == stage->pool && buf->data_bytes;
}

/* Whether its data, if it is the pool's, lies within the buffer; other memory outside of the heap has no IOVA at all.
 */
static bool link_is_good(const struct net_stage *stage, const struct quoll_buf *buf)
{
	if (QUOLL_LIKELY(buf->pool == stage->pool))
		return (uint64_t)buf->data_off + buf->data_bytes <= stage->buf_bytes;
	return !quoll_pool_is_outside(buf->pool);
}

/* What the driver has before a frame's data, made ready; 0: there is no room. */
static uint32_t front_of(const struct net_stage *stage, const struct quoll_buf *frame)
{
	uint32_t front = stage->front_bytes;

	if (!front || frame->data_off < front)
		return 0;
	memset((uint8_t *)quoll_buf_data(frame) - front, 0, front);
	return front;
}

/* Add a frame to the batch. Return: 0; -ENOSPC: there is no room for it; -EINVAL: it cannot be sent. */
static int frame_add(struct net_stage *stage, const struct quoll_buf *frame)
{
	unsigned int before = stage->nr, nr_links = 0;

	for (const struct quoll_buf *buf = frame; buf; buf = buf->next) {
		if (++nr_links > stage->max_links || !link_is_good(stage, buf)) {
			stage->nr = before;
			return -EINVAL;
		}
		if (!is_to_be_mapped(stage, buf))
			continue;
		if (stage->nr == STAGE_SEGS) {
			stage->nr = before;
			return before ? -ENOSPC : -EINVAL;
		}
		batch_add(stage, buf, buf == frame ? front_of(stage, buf) : 0, buf->data_bytes, QUOLL_SEG_READ);
	}
	return 0;
}

static unsigned int batch_map(struct net_stage *stage, int *why)
{
	unsigned int done = 0;

	while (done < stage->nr) {
		int rc = quoll_stream_map(stage->stream, stage->batch + done, stage->nr - done);

		if (rc <= 0) {
			*why = rc;
			break;
		}
		done += (unsigned int)rc;
	}
	return done;
}

/* The frames of a batch of which @done links are mapped. Return: how many frames are as a whole; the rest is not. */
static unsigned int frames_lend(struct net_stage *stage, struct quoll_buf *const *bufs, unsigned int n,
				unsigned int done)
{
	unsigned int at = 0, i;

	for (i = 0; i < n; i++) {
		unsigned int nr = 0;

		for (struct quoll_buf *buf = bufs[i]; buf; buf = buf->next)
			nr += is_to_be_mapped(stage, buf);
		if (nr > done - at)
			break;
		for (struct quoll_buf *buf = bufs[i]; buf; buf = buf->next)
			if (is_to_be_mapped(stage, buf))
				lend(stage, buf, &stage->batch[at++]);
	}
	if (done > at)
		quoll_stream_unmap(stage->stream, stage->batch + at, done - at);
	stage->nr = 0;
	return i;
}

/*
 * As many frames as go into a batch. Return: how many are mapped; @why: 0, -EAGAIN: there is no room for the next one
 * now; else the next one cannot be sent.
 */
static unsigned int frames_map(struct net_stage *stage, struct quoll_buf *const *bufs, unsigned int n, int *why)
{
	unsigned int nr = 0, done;
	int rc = 0;

	*why = 0;
	while (nr < n && nr < STAGE_FRAMES) {
		rc = frame_add(stage, bufs[nr]);
		if (rc)
			break;
		nr++;
	}
	done = batch_map(stage, why);
	if (!*why && rc == -EINVAL)
		*why = rc;
	return frames_lend(stage, bufs, nr, done);
}

static void frames_unmap(struct net_stage *stage, struct quoll_buf *const *bufs, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		for (struct quoll_buf *buf = bufs[i]; buf; buf = buf->next)
			if (buf->pool == stage->annex)
				take_back(stage, buf, 0);
	unmap_done(stage);
}

/* In the driver's place. */
static unsigned int stage_tx(struct quoll_txq *txq, struct quoll_buf *const *bufs, unsigned int n)
{
	struct net_stage *stage = txq->port->tx_stages[txq->id];
	unsigned int taken = 0, ready, sent;
	int why;

	do {
		ready = frames_map(stage, bufs + taken, n - taken, &why);
		/* Also without any: what has been sent comes back, and makes room. */
		sent = stage->tx_burst(txq, bufs + taken, ready);
		if (QUOLL_UNLIKELY(sent < ready))
			frames_unmap(stage, bufs + taken + sent, ready - sent);
		taken += sent;
		if (QUOLL_UNLIKELY(sent < ready || why == -EAGAIN || net_port_dead(txq->port)))
			break;
		if (QUOLL_UNLIKELY(why)) {
			quoll_buf_put_chain(stage->cache, bufs[taken++]);
			quoll_count(&txq->nr_bad, 1);
		}
	} while (taken < n);
	take_back_unused(stage, stage->inner->len);
	return taken;
}

uint64_t net_stage_unmappable(const struct net_stage *stage)
{
	return quoll_counted(&stage->nr_unmappable);
}

/* For the driver. */

void net_stage_received(const struct quoll_rxq *rxq, const struct quoll_buf *buf, uint32_t bytes)
{
	struct net_stage *stage = rxq->port->rx_stages[rxq->id];
	struct quoll_stream_seg *seg = &stage->segs[buf - stage->bufs];

	seg->valid_bytes = bytes;
	quoll_stream_sync(stage->stream, seg, QUOLL_SEG_WRITE);
	/* The unmap shall not copy it again, over what the driver writes. */
	seg->valid_bytes = 0;
}

void net_stage_written(const struct quoll_txq *txq, const struct quoll_buf *frame)
{
	struct net_stage *stage = txq->port->tx_stages[txq->id];

	for (; frame; frame = frame->next)
		if (frame->pool == stage->annex)
			quoll_stream_sync(stage->stream, &stage->segs[frame - stage->bufs], QUOLL_SEG_READ);
}

/* Coming and going. */

static void stage_free(struct net_stage *stage)
{
	if (!stage)
		return;
	if (stage->inner) {
		uint32_t before;

		do {
			before = stage->nr_mapped;
			take_back_unused(stage, stage->inner->len ? stage->inner->len : 1);
		} while (stage->nr_mapped < before);
		quoll_buf_cache_destroy(stage->inner);
	}
	/* Refused where a driver keeps buffers, which it must not. */
	if (stage->annex)
		(void)quoll_pool_destroy(stage->annex);
	quoll_buf_cache_destroy(stage->aside);
	free(stage->segs);
	free(stage);
}

static int stage_new(struct quoll_port *port, struct quoll_buf_cache *cache, struct quoll_stream *stream,
		     struct net_stage **result, struct quoll_error *err)
{
	struct net_stage *stage = net_alloc(sizeof(*stage));
	struct quoll_pool_memory memory;
	uint32_t size;
	int rc;

	if (!stage)
		return quoll_error_set(err, ENOMEM, "start", port->name, "out of memory");
	*result = stage;
	quoll_pool_memory(cache->pool, &memory);
	stage->port = port;
	stage->stream = stream;
	stage->cache = cache;
	stage->pool = cache->pool;
	stage->bufs = memory.bufs;
	stage->buf_bytes = quoll_pool_buf_bytes(cache->pool);
	/* A headroom without the room is the driver's to refuse, at its start. */
	if (cache->headroom_bytes >= port->driver->front_bytes)
		stage->front_bytes = port->driver->front_bytes;
	stage->max_links = port->info.max_tx_links;
	stage->segs = calloc(memory.nr_bufs, sizeof(*stage->segs));
	if (!stage->segs)
		return quoll_error_set(err, ENOMEM, "start", port->name, "out of memory");
	rc = quoll_pool_create_annex(cache->pool, &stage->annex, err);
	size = memory.nr_bufs < QUOLL_BUF_CACHE_MAX_SIZE ? memory.nr_bufs : QUOLL_BUF_CACHE_MAX_SIZE;
	return rc ? rc : quoll_buf_cache_create(stage->annex, size, &stage->inner, err);
}

static bool needs_stage(const struct quoll_port *port, const struct quoll_buf_cache *cache)
{
	return port->info.memory == QUOLL_PORT_MEMORY_STREAMED && quoll_pool_is_outside(cache->pool);
}

static int rx_stage_open(struct quoll_port *port, const struct quoll_port_queues *queues, unsigned int i,
			 struct quoll_error *err)
{
	struct quoll_buf_cache *cache = queues->rx_caches[i];
	struct net_stage *stage;
	int rc;

	if (!needs_stage(port, cache))
		return 0;
	rc = stage_new(port, cache, queues->rx_streams[i], &port->rx_stages[i], err);
	if (rc)
		return rc;
	stage = port->rx_stages[i];
	stage->id = i;
	rc = quoll_buf_cache_create(cache->pool, 1, &stage->aside, err);
	if (rc)
		return rc;
	port->rx_caches[i] = stage->inner;
	stage->target = quoll_round_up_pow2(port->queues.entries) + STAGE_SPARE;
	/* As many as it is to have: that many more which cannot be mapped are no accident. */
	rc = refill(stage, stage->target);
	if (!rc)
		return 0;
	rc = quoll_error_set(err, -rc, "start", port->name,
			     "receive queue %u: its stream has mapped %u buffers, and it takes %u", i, stage->nr_mapped,
			     stage->target);
	if (rc == -EAGAIN)
		quoll_error_hint(err, "a stream with room for more at a time, or fewer entries");
	return rc;
}

static int tx_stage_open(struct quoll_port *port, const struct quoll_port_queues *queues, unsigned int i,
			 struct quoll_error *err)
{
	struct quoll_buf_cache *cache = queues->tx_caches[i];
	int rc;

	if (!needs_stage(port, cache))
		return 0;
	rc = stage_new(port, cache, queues->tx_streams[i], &port->tx_stages[i], err);
	if (!rc)
		port->tx_caches[i] = port->tx_stages[i]->inner;
	return rc;
}

int net_stages_open(struct quoll_port *port, const struct quoll_port_queues *queues, struct quoll_error *err)
{
	int rc = 0;

	for (unsigned int i = 0; !rc && i < queues->nr_rxqs; i++)
		rc = rx_stage_open(port, queues, i, err);
	for (unsigned int i = 0; !rc && i < queues->nr_txqs; i++)
		rc = tx_stage_open(port, queues, i, err);
	return rc;
}

void net_stages_enter(struct quoll_port *port)
{
	for (unsigned int i = 0; i < QUOLL_PORT_MAX_QUEUES; i++) {
		if (port->rx_stages[i]) {
			port->rx_stages[i]->rx_burst = port->rxqs[i]->burst;
			port->rxqs[i]->burst = stage_rx;
		}
		if (port->tx_stages[i]) {
			port->tx_stages[i]->tx_burst = port->txqs[i]->burst;
			port->txqs[i]->burst = stage_tx;
		}
	}
}

void net_stages_close(struct quoll_port *port)
{
	for (unsigned int i = 0; i < QUOLL_PORT_MAX_QUEUES; i++) {
		stage_free(port->rx_stages[i]);
		stage_free(port->tx_stages[i]);
		port->rx_stages[i] = port->tx_stages[i] = NULL;
	}
}
