/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_virtio_ring.c - a virtio device that does with the rings what the input says: the driver survives, and at the
 * end every buffer is back, each once.
 *
 * The first byte chooses the kind of ring and offloads. Then each step is a byte that says what is done, and what that
 * takes (see steps[]).
 */
#include "../unit/drivers/net/virtio/fake_ring.h"
#include "fuzz_port.h"
#include "net/virtio/virtio.h"

#define NR_BUFS 512u
#define ENTRIES 64u
#define OFFLOADS                                                                                                       \
	(QUOLL_OFFLOAD_RX_L4_CSUM | QUOLL_OFFLOAD_RX_SCATTER | QUOLL_OFFLOAD_RX_GSO | QUOLL_OFFLOAD_TX_L4_CSUM |       \
	 QUOLL_OFFLOAD_TX_TSO)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct fuzz_port f;
static struct {
	struct virtio_port *v;
	unsigned int nr_chunks;
	struct quoll_heap_chunk chunks[16];
	struct fake_ring rings[2];
	struct fake_chain held; /* sent, and not given back yet */
	uint8_t kind;
} m;

/* A port without anything behind it. */

static int begin(struct virtio_port *v, struct quoll_error *err)
{
	(void)err;
	v->device_features = VIRTIO_F_VERSION_1 | VIRTIO_F_RING_PACKED | VIRTIO_NET_F_CSUM | VIRTIO_NET_F_GUEST_CSUM |
			     VIRTIO_NET_F_HOST_TSO4 | VIRTIO_NET_F_HOST_TSO6 | VIRTIO_NET_F_GUEST_TSO4 |
			     VIRTIO_NET_F_GUEST_TSO6 | VIRTIO_NET_F_MRG_RXBUF;
	if (m.kind & 4)
		v->device_features |= VIRTIO_F_EVENT_IDX;
	v->offered = 0;
	v->wants_packed = m.kind & 1;
	return 0;
}

static int go(struct virtio_port *v, struct quoll_error *err)
{
	(void)v;
	(void)err;
	return 0;
}

static int halt(struct virtio_port *v)
{
	(void)v;
	return 0;
}

static const struct virtio_transport transport = {.begin = begin, .go = go, .halt = halt};

static int fuzz_open(struct quoll_port *port, const struct quoll_addr *addr, struct quoll_error *err)
{
	struct virtio_port *v = virtio_port(port);

	(void)addr;
	v->transport = &transport;
	v->max_ring_entries = ENTRIES;
	v->config.max_pairs = 1;
	(void)begin(v, err);
	return quoll_arena_create(net_heap(port), "virtio", QUOLL_ARENA_DEVICE_READ_WRITE, 1 << 20, &v->arena, err) ||
	       virtio_fill_info(v, err);
}

static void fuzz_close(struct quoll_port *port)
{
	(void)port;
}

static const struct net_driver driver = {
	.name = "fuzz",
	.scheme = QUOLL_ADDR_NULL,
	.port_bytes = sizeof(struct virtio_port),
	.open = fuzz_open,
	.close = fuzz_close,
	.start = virtio_start,
	.stop = virtio_stop,
};

/* The descriptors may have been scribbled over: what is there, a device can reach. */
static void *at(void *arg, uint64_t addr, uint64_t len, bool write)
{
	(void)arg;
	(void)write;
	for (unsigned int i = 0; i < m.nr_chunks; i++) {
		uint64_t off = addr - m.chunks[i].iova;

		if (off < m.chunks[i].size_bytes && len <= m.chunks[i].size_bytes - off)
			return (uint8_t *)m.chunks[i].va + off;
	}
	return NULL;
}

/* What the device may do. */

static void receive_well(void)
{
	static const uint8_t frame[4096];

	(void)fake_ring_receive(&m.rings[0], NULL, frame, 60 + (uint32_t)fuzz_word(&f, 2) % 4000);
}

/* With this header, into so many buffers of such lengths. */
static void receive_oddly(void)
{
	unsigned int n = 1 + fuzz_byte(&f) % 8;
	struct fake_used used[8];
	struct fake_chain chain;

	for (unsigned int i = 0; i < n; i++) {
		if (!fake_ring_pop(&m.rings[0], &chain))
			return;
		for (unsigned int j = 0; !i && chain.nr_segs && j < VIRTIO_HDR_BYTES; j++)
			chain.segs[0].va[j] = fuzz_byte(&f);
		used[i] = (struct fake_used){chain.id, (uint32_t)fuzz_word(&f, 2), 1};
	}
	fake_ring_push(&m.rings[0], used, n);
}

static void give_back_any(unsigned int ring)
{
	struct fake_used used = {(uint32_t)fuzz_word(&f, 2), (uint32_t)fuzz_word(&f, 3), 1};

	fake_ring_push(&m.rings[ring], &used, 1);
}

static void finish_well(void)
{
	struct virtio_net_hdr hdr;
	static uint8_t frame[70000];

	(void)fake_ring_sent(&m.rings[1], &hdr, frame, sizeof(frame));
}

/* Taken now, to be given back by chance. */
static void finish_late(void)
{
	struct fake_chain chain;

	if (!fake_ring_pop(&m.rings[1], &chain))
		return;
	if (m.held.nr)
		fake_ring_push(&m.rings[1], &(struct fake_used){m.held.id, 0, m.held.nr}, 1);
	m.held = chain;
}

static void scribble(void)
{
	struct virtio_ring *ring = &m.v->rings[fuzz_byte(&f) & 1];
	uint64_t off = (uint32_t)fuzz_word(&f, 2);

	((uint8_t *)ring->mem)[off % ring->bytes] = fuzz_byte(&f);
}

static void used_index(void)
{
	struct virtio_ring *ring = &m.v->rings[fuzz_byte(&f) & 1];

	((struct virtq_used *)ring->device)->idx = (uint16_t)(uint32_t)fuzz_word(&f, 2);
}

/* What its user does. */

static void poll_frames(void)
{
	struct quoll_buf *bufs[64];
	unsigned int n = quoll_rx(m.v->port.rxqs[0], bufs, 1 + fuzz_byte(&f) % 64);

	for (unsigned int i = 0; i < n; i++) {
		fuzz_look_at(bufs[i], VIRTIO_MAX_GSO_BYTES);
		quoll_buf_put_chain(f.cache, bufs[i]);
	}
}

static void send_frames(void)
{
	unsigned int n = 1 + fuzz_byte(&f) % 16, how = fuzz_byte(&f);
	struct quoll_buf *bufs[16], *links[3];

	for (unsigned int i = 0; i < n; i++) {
		unsigned int nr = 1 + how % 3;

		must(!quoll_buf_get(f.cache, links, nr));
		for (unsigned int j = 0; j < nr; j++) {
			links[j]->data_bytes = 100;
			links[j]->next = j + 1 < nr ? links[j + 1] : NULL;
		}
		bufs[i] = links[0];
		bufs[i]->total_bytes = 100 * nr;
		bufs[i]->nr_links = (uint16_t)nr;
		if (how & 64)
			bufs[i]->flags = QUOLL_BUF_TX_TSO | QUOLL_BUF_TX_TCP_CSUM | QUOLL_BUF_TX_IP_CSUM;
		bufs[i]->l2_bytes = how & 64 ? 14 : 0;
		bufs[i]->l3_bytes = how & 64 ? 20 : 0;
		bufs[i]->l4_bytes = how & 64 ? 20 : 0;
		bufs[i]->mss = 50;
	}
	fuzz_send(&f, bufs, n);
}

static void learn_rings(void)
{
	m.held.nr = 0;
	m.nr_chunks = quoll_heap_chunks(f.heap, m.chunks, 16);
	for (unsigned int i = 0; i < 2; i++) {
		const struct virtio_ring *ring = &m.v->rings[i];

		m.rings[i] = (struct fake_ring){.desc = ring->desc,
						.driver = ring->driver,
						.device = ring->device,
						.size = ring->size,
						.packed = ring->packed,
						.event_idx = ring->event_idx,
						.at = at};
	}
}

static void begin_anew(void)
{
	virtio_begin_anew(m.v);
	learn_rings();
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
	case 3:
		give_back_any(fuzz_byte(&f) & 1);
		break;
	case 4:
		finish_well();
		break;
	case 5:
		finish_late();
		break;
	case 6:
		scribble();
		break;
	case 7:
		if (!(m.kind & 1))
			used_index();
		break;
	case 8:
		poll_frames();
		break;
	case 9:
		send_frames();
		break;
	default:
		begin_anew();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct quoll_port_settings settings = {0};

	if (!f.heap) {
		fuzz_prepare(&f, NR_BUFS, FUZZ_BUF_BYTES, &driver, "null:");
		m.v = virtio_port(f.port);
	}
	m.kind = size ? data[0] : 0;
	settings.offloads = m.kind & 2 ? OFFLOADS : 0;
	fuzz_start(&f, data, size, ENTRIES, &settings);
	(void)fuzz_byte(&f);
	learn_rings();
	while (f.left)
		step();
	fuzz_stop(&f);
	return 0;
}
