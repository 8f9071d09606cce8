/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_net_segment.c - any bytes as a frame that is to be cut up, with lengths that lie: refused with nothing changed,
 * or cut into segments which, put together again, are the frame.
 *
 * The input: how (HOW_*), bytes a link, mss (2 bytes, the network's order), l2_bytes, l3_bytes (2), l4_bytes, the
 * frame.
 */
#include <errno.h>
#include <stdlib.h>

#include <net/net.h>
#include <net/net_soft.h>

#include "../unit/drivers/net/segments.h"
#include "../unit/drivers/net/soft_frames.h"

#define NR_BUFS 2048u
#define BUF_BYTES 640u
#define MAX_OUT 1024u
#define HEAD_BYTES 8u

enum {
	HOW_PASSED = 1 << 0, /* as a peer's frame, whose headers are looked at; else as a caller's, with its lengths */
	HOW_NO_IP_CSUM = 1 << 1,
	HOW_NO_L4_CSUM = 1 << 2,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct quoll_pool *pool;
static struct quoll_buf_cache *cache;

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void set_up(void)
{
	struct quoll_heap_opts heap_opts = {.size_bytes = 256u << 20, .pages = QUOLL_PAGES_4K, .numa_node = -1};
	struct quoll_pool_opts opts = {.nr_bufs = NR_BUFS, .buf_bytes = BUF_BYTES, .headroom_bytes = 128};
	struct quoll_arena *arena;
	struct quoll_heap *heap;

	must(!quoll_heap_create(NULL, &heap_opts, &heap, NULL));
	must(!quoll_arena_create(heap, "bufs", QUOLL_ARENA_DEVICE_READ_WRITE, 128u << 20, &arena, NULL));
	must(!quoll_pool_create(arena, &opts, &pool, NULL));
	must(!quoll_buf_cache_create(pool, 256, &cache, NULL));
}

/* What a caller fills in before it asks: the pseudo-header's sum without a length, where there is room for it. */
static void put_pseudo_sum(struct quoll_buf *buf, uint8_t *frame, uint32_t bytes)
{
	uint32_t l3 = buf->l2_bytes, l4 = l3 + buf->l3_bytes, sum;
	bool v6;

	if (l4 + 20 > bytes || l3 + 40 > bytes || l4 < l3 + 20)
		return;
	v6 = frame[l3] >> 4 == 6;
	sum = seg_sum(6, frame + l3 + (v6 ? 8 : 12), v6 ? 32 : 8);
	frame[l4 + 16] = (uint8_t)(sum >> 8);
	frame[l4 + 17] = (uint8_t)sum;
}

static struct quoll_buf *make(const uint8_t *head, uint8_t *frame, uint32_t bytes)
{
	struct quoll_buf lengths = {.flags = QUOLL_BUF_TX_TSO | QUOLL_BUF_TX_TCP_CSUM};
	struct quoll_buf *buf;
	/* Half of the pool is for the segments. */
	uint32_t step = head[1] ? head[1] : 256, least = bytes / (NR_BUFS / 2) + 1;

	lengths.l2_bytes = head[4];
	lengths.l3_bytes = (uint16_t)seg_be16(head + 5);
	lengths.l4_bytes = head[7];
	if (!(head[0] & HOW_PASSED))
		put_pseudo_sum(&lengths, frame, bytes);
	buf = soft_frame(cache, frame, bytes, step > least ? step : least);
	must(buf);
	buf->mss = (uint16_t)seg_be16(head + 2);
	buf->flags = lengths.flags;
	buf->hash = lengths.hash;
	if (head[0] & HOW_PASSED) {
		buf->flags = QUOLL_BUF_RX_L4_PARTIAL | QUOLL_BUF_RX_GSO;
		quoll_soft_pass(buf);
	}
	return buf;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t frame[65536], flat[SEGMENT_MAX_BYTES];
	struct quoll_buf *out[MAX_OUT], *buf;
	uint32_t missing = QUOLL_OFFLOAD_TX_TSO | QUOLL_OFFLOAD_TX_CSUM;
	struct whole w = {.data = flat};
	int n;

	if (!pool)
		set_up();
	if (size < HEAD_BYTES + 14 || size - HEAD_BYTES > sizeof(frame))
		return 0;
	memcpy(frame, data + HEAD_BYTES, size - HEAD_BYTES);
	buf = make(data, frame, (uint32_t)(size - HEAD_BYTES));
	missing &= ~((data[0] & HOW_NO_IP_CSUM ? QUOLL_OFFLOAD_TX_IP_CSUM : 0u) |
		     (data[0] & HOW_NO_L4_CSUM ? QUOLL_OFFLOAD_TX_L4_CSUM : 0u));
	w.bytes = seg_flatten(buf, flat);
	must(w.bytes);
	w.l3 = buf->l2_bytes;
	w.l4 = w.l3 + buf->l3_bytes;
	w.payload = w.l4 + buf->l4_bytes;
	w.mss = buf->mss;
	if (!(buf->flags & QUOLL_BUF_TX_TSO)) { /* refused, and as it was */
		must(buf->flags == (QUOLL_BUF_RX_L4_PARTIAL | QUOLL_BUF_RX_GSO));
		quoll_buf_put_chain(cache, buf);
		return 0;
	}
	n = quoll_soft_tx(missing, cache, buf, out, MAX_OUT);
	must(n > 0 || n == -EINVAL || n == -ENOBUFS || n == -ENOSPC);
	if (n > 0)
		must(!segments_check(&w, out, (unsigned int)n, missing & QUOLL_OFFLOAD_TX_IP_CSUM,
				     missing & QUOLL_OFFLOAD_TX_L4_CSUM));
	else
		out[0] = buf;
	for (int i = 0; i < (n > 0 ? n : 1); i++)
		quoll_buf_put_chain(cache, out[i]);
	must(quoll_pool_nr_free(pool) == NR_BUFS);
	return 0;
}
