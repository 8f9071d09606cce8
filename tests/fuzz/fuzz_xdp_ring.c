/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_xdp_ring.c - a kernel that lies on the four rings of an AF_XDP socket: descriptors of anywhere, indexes that
 * jump, completions of what it never had. Whatever it says, frames fit their buffers, and at the end every buffer is
 * back, each once.
 *
 * The first byte chooses frames in parts. Then each step is a byte that says what is done, and what that takes (see
 * step()).
 */
#include "../unit/drivers/net/xdp/fake_rings.h"
#include "fuzz_port.h"

#define NR_BUFS 512u
#define NR_OTHERS 64u
#define MTU 4000u
#define MAX_POLL 32u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct fuzz_port f;
/* Frames from another pool, which the port has to copy. */
static struct quoll_pool *others;
static struct quoll_buf_cache *others_cache;
static struct fake_rings *const rings = &fake_rings[0];

/* What the kernel may do. */

static void receive_well(void)
{
	uint32_t len = 1 + (uint32_t)fuzz_word(&f, 2) % 1700;
	bool more = fuzz_byte(&f) & 1;
	uint64_t chunk;

	if (rings->consumers[FAKE_FILL] == rings->producers[FAKE_FILL])
		return;
	chunk = rings->fill[rings->consumers[FAKE_FILL]++ % FAKE_ENTRIES];
	fake_rx(rings, chunk | (uint64_t)XDP_HEADROOM_BYTES << XSK_UNALIGNED_BUF_OFFSET_SHIFT, len,
		more ? XDP_PKT_CONTD : 0);
}

/* An address that is near some buffer, or anything. */
static uint64_t any_address(void)
{
	const struct xdp_umem_map *map = &to_xdp(f.port)->socks[0]->map;
	uint8_t how = fuzz_byte(&f);

	if (how & 1)
		return fuzz_word(&f, 8);
	return map->first + (uint64_t)(fuzz_word(&f, 2) % (NR_BUFS + 2)) * map->stride +
	       (how & 2 ? fuzz_word(&f, 2) : 0);
}

static void receive_oddly(void)
{
	uint64_t addr = any_address();
	uint32_t len = (uint32_t)fuzz_word(&f, 4);

	fake_rx(rings, addr, len, fuzz_byte(&f));
}

static void index_jumps(void)
{
	uint8_t which = fuzz_byte(&f);
	uint32_t *index = which & 4 ? &rings->producers[which & 3] : &rings->consumers[which & 3];

	*index = which & 8 ? (uint32_t)fuzz_word(&f, 4) : *index + fuzz_byte(&f);
}

static void scribble(void)
{
	((uint8_t *)rings)[fuzz_word(&f, 2) % sizeof(*rings)] = fuzz_byte(&f);
}

/* The ring's own indexes may have jumped: no more than there are places. */
static void complete_well(void)
{
	for (unsigned int i = 0; i < FAKE_ENTRIES && rings->consumers[FAKE_TX] != rings->producers[FAKE_TX]; i++)
		fake_complete(rings, rings->tx[rings->consumers[FAKE_TX]++ % FAKE_ENTRIES].addr);
}

/* What its user does. */

static void poll_frames(bool hand_on)
{
	struct quoll_buf *bufs[MAX_POLL];
	unsigned int n = quoll_rx(f.port->rxqs[0], bufs, 1 + fuzz_byte(&f) % MAX_POLL);

	for (unsigned int i = 0; i < n; i++)
		fuzz_look_at(bufs[i], MTU + NET_FRAME_OVERHEAD_BYTES);
	if (hand_on) {
		fuzz_send(&f, bufs, n);
		return;
	}
	for (unsigned int i = 0; i < n; i++)
		quoll_buf_put_chain(f.cache, bufs[i]);
}

static struct quoll_buf *make_frame(struct quoll_buf_cache *cache, unsigned int nr_links, uint32_t bytes)
{
	struct quoll_buf *links[3];

	if (quoll_buf_get(cache, links, nr_links))
		return NULL;
	for (unsigned int i = 0; i < nr_links; i++) {
		links[i]->data_bytes = bytes;
		links[i]->next = i + 1 < nr_links ? links[i + 1] : NULL;
	}
	links[0]->total_bytes = bytes * nr_links;
	links[0]->nr_links = (uint16_t)nr_links;
	return links[0];
}

static void send_frames(struct quoll_buf_cache *cache)
{
	unsigned int how = fuzz_byte(&f), n = 0;
	uint32_t bytes = 1 + (uint32_t)fuzz_word(&f, 2) % 1900;
	struct quoll_buf *bufs[8];

	while (n < 1 + (how >> 2) % 8) {
		bufs[n] = make_frame(cache, 1 + how % 3, bytes);
		if (!bufs[n])
			break;
		n++;
	}
	/* What is not taken is of this pool. */
	for (unsigned int i = quoll_tx(f.port->txqs[0], bufs, n); i < n; i++)
		quoll_buf_put_chain(cache, bufs[i]);
}

static void step(void)
{
	switch (fuzz_byte(&f) % 11) {
	case 0:
		receive_well();
		break;
	case 1:
		receive_oddly();
		break;
	case 2:
		index_jumps();
		break;
	case 3:
		scribble();
		break;
	case 4:
		complete_well();
		break;
	case 5:
		fake_complete(rings, any_address());
		break;
	case 6:
		rings->flags = fuzz_byte(&f);
		break;
	case 7:
		poll_frames(false);
		break;
	case 8:
		poll_frames(true);
		break;
	case 9:
		send_frames(f.cache);
		break;
	default:
		send_frames(others_cache);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct quoll_port_settings settings = {.mtu = MTU};

	if (!f.heap) {
		fuzz_prepare(&f, NR_BUFS, 4096, &fake_driver, "xdp:fuzz");
		others = fuzz_pool(&f, NR_OTHERS, FUZZ_BUF_BYTES, &others_cache);
	}
	settings.offloads = size && data[0] & 1 ? QUOLL_OFFLOAD_RX_SCATTER : 0;
	settings.mtu = settings.offloads ? MTU : 1500;
	fuzz_start(&f, data, size, FAKE_ENTRIES, &settings);
	(void)fuzz_byte(&f);
	while (f.left)
		step();
	fuzz_stop(&f);
	must(quoll_pool_nr_free(others) == NR_OTHERS && quoll_pool_nr_bad_puts(others) == 0);
	return 0;
}
