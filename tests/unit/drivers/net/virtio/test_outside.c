/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_outside.c - a virtio device on PCI whose port's buffers are the program's own memory (net_stage.h): what it
 * writes and reads is right by each way, with the header before each frame, with offloads, where the driver looks into
 * frames itself, and in chains; a buffer is within its reach only while the driver has it.
 */
#include "net/virtio/pci.h"
#include "unit.h"

#include "../chains.h"
#include "../outside_world.h"
#include "../partial_frames.h"
#include "pci_fixture.h"

#define BURST 20u
#define OFFLOADS                                                                                                       \
	(QUOLL_OFFLOAD_TX_L4_CSUM | QUOLL_OFFLOAD_TX_TSO4 | QUOLL_OFFLOAD_RX_L4_CSUM | QUOLL_OFFLOAD_RX_SCATTER)

static struct pfx x;
static struct outside_world o;
static uint8_t frame[16000], back[16000];

/* Coming and going. */

static int begin_with(unsigned int ways, const char *options, uint32_t offloads, uint32_t headroom)
{
	const struct quoll_stream_opts opts = {.ways = ways, .window_bytes = MEMORY_BYTES};
	const struct quoll_port_settings settings = {.offloads = offloads, .mtu = offloads ? 9000 : 0};

	pfx_init(&x);
	if (settings.mtu) {
		x.fake.config[10] = (uint8_t)settings.mtu;
		x.fake.config[11] = (uint8_t)(settings.mtu >> 8);
	}
	CU_ASSERT_EQUAL_FATAL(pfx_open(&x, options), 0);
	outside_open(&o, &x.w, &x.fake.pci, &opts, headroom);
	return outside_start(&o, &x.w, PFX_ENTRIES, o.stream, o.stream, &settings);
}

static void begin(unsigned int ways, bool packed, uint32_t offloads)
{
	int rc = begin_with(ways, packed ? "?packed=1" : "", offloads, 128);

	if (rc)
		printf("%s: %s\n", x.w.err.stage, x.w.err.what);
	CU_ASSERT_EQUAL_FATAL(rc, 0);
	CU_ASSERT_EQUAL(x.fake.rings[0].packed, packed);
}

static struct quoll_port_stats stats(void)
{
	struct quoll_port_stats all;

	quoll_port_stats(x.w.port, &all);
	return all;
}

static void end(void)
{
	CU_ASSERT_EQUAL(stats().rx_bad + stats().tx_bad + stats().rx_no_buf, 0);
	outside_stop(&o, &x.w);
	outside_close(&o);
	pfx_fini(&x);
}

static void put(struct quoll_buf *buf)
{
	quoll_buf_put_chain(o.cache, buf);
}

/* One frame in; what came of it, or NULL. */
static struct quoll_buf *pass(const struct virtio_net_hdr *hdr, uint32_t len)
{
	struct quoll_buf *buf = NULL;

	CU_ASSERT_TRUE_FATAL(fake_ring_receive(&x.fake.rings[0], hdr, frame, len));
	return quoll_rx(quoll_port_rxq(x.w.port, 0), &buf, 1) ? buf : NULL;
}

static bool is_sent(struct virtio_net_hdr *hdr, uint32_t len)
{
	return fake_ring_sent(&x.fake.rings[1], hdr, back, sizeof(back)) == (int)len && !memcmp(frame, back, len);
}

/* Right data. */

static void forwards(unsigned int ways, unsigned int way, bool packed)
{
	static const struct virtio_net_hdr none;
	struct quoll_buf *bufs[BURST];
	struct virtio_net_hdr hdr;
	uint64_t done = 0;

	begin(ways, packed, 0);
	for (unsigned int round = 0; round < 60; round++, done += BURST) {
		for (unsigned int i = 0; i < BURST; i++) {
			frame_fill(frame, 60 + i * 60, round * BURST + i);
			CU_ASSERT_TRUE_FATAL(fake_ring_receive(&x.fake.rings[0], NULL, frame, 60 + i * 60));
		}
		CU_ASSERT_EQUAL_FATAL(quoll_rx(quoll_port_rxq(x.w.port, 0), bufs, BURST), BURST);
		for (unsigned int i = 0; i < BURST; i++) {
			frame_fill(frame, 60 + i * 60, round * BURST + i);
			CU_ASSERT_TRUE(chain_is(bufs[i], frame, 60 + i * 60));
			CU_ASSERT_TRUE(is_unreachable(&o, bufs[i]));
			CU_ASSERT_EQUAL(bufs[i]->data_off, 128);
		}
		CU_ASSERT_EQUAL_FATAL(quoll_tx(quoll_port_txq(x.w.port, 0), bufs, BURST), BURST);
		for (unsigned int i = 0; i < BURST; i++) {
			frame_fill(frame, 60 + i * 60, round * BURST + i);
			CU_ASSERT_TRUE_FATAL(is_sent(&hdr, 60 + i * 60));
			CU_ASSERT_FALSE(memcmp(&hdr, &none, sizeof(hdr)));
		}
	}
	CU_ASSERT_EQUAL(stats().rx_packets, done);
	CU_ASSERT_EQUAL(stats().tx_packets, done);
	went_by(&o, way, 2 * done);
	end();
}

static void in_a_window(bool packed)
{
	forwards(ONLY(WINDOW), QUOLL_WAY_WINDOW, packed);
}

static void registered(bool packed)
{
	forwards(ONLY(REGISTERED), QUOLL_WAY_REGISTERED, packed);
}

static void bouncing(bool packed)
{
	forwards(ONLY(BOUNCE), QUOLL_WAY_BOUNCE, packed);
}

/* What the driver reads of a frame is what the device wrote, and what it writes to one reaches the user. */
static void receives_with_offloads(unsigned int ways, bool packed)
{
	const struct virtio_net_hdr partial = {
		.flags = VIRTIO_NET_HDR_NEEDS_CSUM, .csum_start = 34, .csum_offset = 6, .nr_bufs = 1};
	const struct virtio_net_hdr inner = {.flags = VIRTIO_NET_HDR_NEEDS_CSUM,
					     .csum_start = PARTIAL_INNER_L4,
					     .csum_offset = PARTIAL_TCP_FIELD,
					     .nr_bufs = 1};
	const uint8_t *field;
	struct quoll_buf *buf;

	begin(ways, packed, OFFLOADS);
	/* More frames than there are buffers: each of them is mapped more than once. */
	for (unsigned int n = 0; n < PFX_BUFS; n++) {
		uint32_t len = n % 3 ? 60 + n : 2 * 2060 + n;

		frame_fill(frame, len, n);
		buf = pass(NULL, len);
		CU_ASSERT_TRUE_FATAL(chain_is(buf, frame, len));
		CU_ASSERT_EQUAL(buf->flags, 0);
		for (const struct quoll_buf *link = buf; link; link = link->next)
			CU_ASSERT_TRUE(is_unreachable(&o, link));
		put(buf);
		partial_frame(frame, 100, 17);
		buf = pass(&partial, 100);
		CU_ASSERT_TRUE_FATAL(chain_is(buf, frame, 100));
		CU_ASSERT_EQUAL(buf->flags, QUOLL_BUF_RX_L4_PARTIAL);
		put(buf);
		partial_tunnel(frame, 120);
		buf = pass(&inner, 120);
		CU_ASSERT_FATAL(buf && buf->total_bytes == 120);
		field = (uint8_t *)quoll_buf_data(buf) + PARTIAL_INNER_L4 + PARTIAL_TCP_FIELD;
		CU_ASSERT(memcmp(field, frame + PARTIAL_INNER_L4 + PARTIAL_TCP_FIELD, 2) != 0);
		memcpy(frame + PARTIAL_INNER_L4 + PARTIAL_TCP_FIELD, field, 2);
		CU_ASSERT_TRUE(chain_is(buf, frame, 120));
		put(buf);
	}
	end();
}

static void receives_with_offloads_in_a_window(bool packed)
{
	receives_with_offloads(ONLY(WINDOW), packed);
}

static void receives_with_offloads_bouncing(bool packed)
{
	receives_with_offloads(ONLY(BOUNCE), packed);
}

static void sends_with_offloads(unsigned int ways, bool packed)
{
	const uint32_t len = 15000, pseudo = 0x1234, l4 = 34;
	struct virtio_net_hdr hdr;
	struct quoll_buf *buf;

	begin(ways, packed, OFFLOADS);
	for (unsigned int n = 0; n < 100; n++) {
		frame_fill(frame, len, n);
		put_be16(frame + l4 + 16, pseudo);
		buf = chain_make(o.cache, frame, len, 1900);
		buf->flags = QUOLL_BUF_TX_TSO | QUOLL_BUF_TX_TCP_CSUM | QUOLL_BUF_TX_IP_CSUM;
		buf->l2_bytes = 14;
		buf->l3_bytes = 20;
		buf->l4_bytes = 32;
		buf->mss = 1448;
		CU_ASSERT_EQUAL(quoll_tx(quoll_port_txq(x.w.port, 0), &buf, 1), 1);
		CU_ASSERT_EQUAL_FATAL(fake_ring_sent(&x.fake.rings[1], &hdr, back, sizeof(back)), (int)len);
		CU_ASSERT_EQUAL(hdr.gso_type, VIRTIO_NET_GSO_TCPV4);
		CU_ASSERT_EQUAL(hdr.csum_start, l4);
		CU_ASSERT_EQUAL(sum16(back + l4 + 16, 2, 0), pseudo + len - l4);
		CU_ASSERT_EQUAL(sum16(back + 14, 20, 0), 0xffff);
		CU_ASSERT_FALSE(memcmp(frame + l4 + 18, back + l4 + 18, len - l4 - 18));
	}
	end();
}

static void sends_with_offloads_in_a_window(bool packed)
{
	sends_with_offloads(ONLY(WINDOW), packed);
}

static void sends_with_offloads_bouncing(bool packed)
{
	sends_with_offloads(ONLY(BOUNCE), packed);
}

/* Links of the heap among those outside of it, one without data, and a frame without room for a header before it. */
static void odd_frames_are_sent(unsigned int ways, bool packed)
{
	struct quoll_buf *buf, *first;
	struct virtio_net_hdr hdr;

	begin(ways, packed, 0);
	frame_fill(frame, 900, 5);
	for (unsigned int n = 0; n < 200; n++) {
		first = chain_make(n & 1 ? x.w.cache : o.cache, frame, 300, 300);
		buf = chain_make(n & 1 ? o.cache : x.w.cache, frame + 300, 600, 300);
		CU_ASSERT_EQUAL_FATAL(quoll_buf_get(o.cache, &first->next, 1), 0);
		first->next->next = buf;
		first->total_bytes = 900;
		first->nr_links = 4;
		CU_ASSERT_EQUAL_FATAL(quoll_tx(quoll_port_txq(x.w.port, 0), &first, 1), 1);
		CU_ASSERT_TRUE(is_sent(&hdr, 900));
		CU_ASSERT_EQUAL_FATAL(quoll_buf_get(o.cache, &buf, 1), 0);
		buf->data_off = 4;
		buf->data_bytes = buf->total_bytes = 60;
		memcpy(quoll_buf_data(buf), frame, 60);
		CU_ASSERT_EQUAL_FATAL(quoll_tx(quoll_port_txq(x.w.port, 0), &buf, 1), 1);
		CU_ASSERT_TRUE(is_sent(&hdr, 60));
		CU_ASSERT_EQUAL(hdr.flags, 0);
	}
	end();
}

static void odd_frames_are_sent_from_a_window(bool packed)
{
	odd_frames_are_sent(ONLY(WINDOW), packed);
}

static void odd_frames_are_sent_bouncing(bool packed)
{
	odd_frames_are_sent(ONLY(BOUNCE), packed);
}

/* The header before the data is all that the device gets beside it, and it may only do what the way says. */
static void the_device_reaches_the_frame_and_its_header_only_as_long_as_it_has_it(bool packed)
{
	struct quoll_buf *buf;
	struct virtio_net_hdr hdr;
	quoll_iova_t iova;

	begin(ONLY(WINDOW), packed, 0);
	for (unsigned int i = 0; i < FAKE_MAX_STREAMED; i++)
		CU_ASSERT(!fake_window.maps[i].bytes || !(fake_window.maps[i].flags & QUOLL_STREAM_READ));
	frame_fill(frame, 100, 1);
	buf = chain_make(o.cache, frame, 100, 100);
	CU_ASSERT_EQUAL_FATAL(quoll_tx(quoll_port_txq(x.w.port, 0), &buf, 1), 1);
	iova = quoll_buf_iova(buf);
	CU_ASSERT_PTR_EQUAL(fake_stream_at(&fake_window, iova - VIRTIO_HDR_BYTES, QUOLL_STREAM_READ),
			    (uint8_t *)quoll_buf_data(buf) - VIRTIO_HDR_BYTES);
	CU_ASSERT_PTR_NULL(fake_stream_at(&fake_window, iova, QUOLL_STREAM_WRITE));
	CU_ASSERT_TRUE(is_sent(&hdr, 100));
	for (unsigned int i = 0; i < 2 * PFX_ENTRIES; i++) {
		buf = chain_make(o.cache, frame, 100, 100);
		CU_ASSERT_EQUAL_FATAL(quoll_tx(quoll_port_txq(x.w.port, 0), &buf, 1), 1);
		CU_ASSERT_TRUE(is_sent(&hdr, 100));
	}
	CU_ASSERT_PTR_NULL(fake_stream_at(&fake_window, iova, QUOLL_STREAM_READ));
	end();
}

/* With buffers on both rings, and where the device goes away. */
static void a_stop_gives_all_back(bool packed)
{
	struct quoll_buf *bufs[BURST];

	begin(ONLY(WINDOW), packed, 0);
	frame_fill(frame, 100, 1);
	for (unsigned int i = 0; i < BURST; i++) {
		CU_ASSERT_TRUE(fake_ring_receive(&x.fake.rings[0], NULL, frame, 100));
		bufs[i] = chain_make(o.cache, frame, 100, 60);
	}
	CU_ASSERT_EQUAL(quoll_tx(quoll_port_txq(x.w.port, 0), bufs, BURST), BURST);
	CU_ASSERT(fake_stream_maps(&fake_window) > PFX_ENTRIES + 2 * BURST);
	fake_pci_yank(&x.fake.pci);
	CU_ASSERT_EQUAL(quoll_port_check(x.w.port), -ENODEV);
	CU_ASSERT_EQUAL(quoll_rx(quoll_port_rxq(x.w.port, 0), bufs, BURST), 0);
	CU_ASSERT_EQUAL(quoll_port_stop(x.w.port), -ENODEV);
	end();
}

static void without_headroom_it_does_not_start(bool packed)
{
	CU_ASSERT_EQUAL(begin_with(ONLY(BOUNCE), packed ? "?packed=1" : "", 0, 8), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(x.w.err.what, "headroom of 8 bytes"));
	end();
}

BOTH(in_a_window)
BOTH(registered)
BOTH(bouncing)
BOTH(receives_with_offloads_in_a_window)
BOTH(receives_with_offloads_bouncing)
BOTH(sends_with_offloads_in_a_window)
BOTH(sends_with_offloads_bouncing)
BOTH(odd_frames_are_sent_from_a_window)
BOTH(odd_frames_are_sent_bouncing)
BOTH(the_device_reaches_the_frame_and_its_header_only_as_long_as_it_has_it)
BOTH(a_stop_gives_all_back)
BOTH(without_headroom_it_does_not_start)

static const struct unit_test tests[] = {
	{"split: memory in a window is forwarded", in_a_window_split},
	{"packed: memory in a window is forwarded", in_a_window_packed},
	{"split: memory that is registered is forwarded", registered_split},
	{"packed: memory that is registered is forwarded", registered_packed},
	{"split: memory that bounces is forwarded", bouncing_split},
	{"packed: memory that bounces is forwarded", bouncing_packed},
	{"split: with offloads it receives into a window", receives_with_offloads_in_a_window_split},
	{"packed: with offloads it receives into a window", receives_with_offloads_in_a_window_packed},
	{"split: with offloads it receives what bounces", receives_with_offloads_bouncing_split},
	{"packed: with offloads it receives what bounces", receives_with_offloads_bouncing_packed},
	{"split: with offloads it sends from a window", sends_with_offloads_in_a_window_split},
	{"packed: with offloads it sends from a window", sends_with_offloads_in_a_window_packed},
	{"split: with offloads it sends what bounces", sends_with_offloads_bouncing_split},
	{"packed: with offloads it sends what bounces", sends_with_offloads_bouncing_packed},
	{"split: odd frames are sent from a window", odd_frames_are_sent_from_a_window_split},
	{"packed: odd frames are sent from a window", odd_frames_are_sent_from_a_window_packed},
	{"split: odd frames are sent that bounce", odd_frames_are_sent_bouncing_split},
	{"packed: odd frames are sent that bounce", odd_frames_are_sent_bouncing_packed},
	{"split: the device reaches a frame and its header only as long as it has it",
	 the_device_reaches_the_frame_and_its_header_only_as_long_as_it_has_it_split},
	{"packed: the device reaches a frame and its header only as long as it has it",
	 the_device_reaches_the_frame_and_its_header_only_as_long_as_it_has_it_packed},
	{"split: a stop gives all back", a_stop_gives_all_back_split},
	{"packed: a stop gives all back", a_stop_gives_all_back_packed},
	{"split: without headroom it does not start", without_headroom_it_does_not_start_split},
	{"packed: without headroom it does not start", without_headroom_it_does_not_start_packed},
};

UNIT_MAIN("virtio outside", tests)
