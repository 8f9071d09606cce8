/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_frames.c - frames between a guest and a vhost port, over split and packed rings: whole, in order, in chains and
 * indirect tables, over several buffers on either side, with offloads, with calls and without.
 */
#include <unistd.h>

#include "../partial_frames.h"
#include "front.h"

static void check_used(struct front *f, unsigned int idx, uint16_t id, uint32_t bytes)
{
	uint32_t got_bytes;
	uint16_t got_id;
	bool written;

	CU_ASSERT_TRUE(front_used(f, idx, &got_id, &got_bytes, &written));
	CU_ASSERT_EQUAL(got_id, id);
	CU_ASSERT_EQUAL(got_bytes, bytes);
	CU_ASSERT_EQUAL(written, !(idx & 1));
}

static void nothing_used(struct front *f, unsigned int idx)
{
	uint32_t bytes;
	uint16_t id;
	bool written;

	CU_ASSERT_FALSE(front_used(f, idx, &id, &bytes, &written));
}

/* Several turns of the ring, in batches that do not divide it. */
static void frames_come_from_the_guest_with(uint64_t features)
{
	struct quoll_buf *bufs[64];
	uint16_t id = 0;
	struct front f;

	front_up(&f, features, 1);
	for (unsigned int round = 0; round < 60; round++) {
		for (unsigned int i = 0; i < 37; i++)
			front_send_frame(&f, 0, (uint16_t)(id + i) % FRONT_SIZE, (uint8_t)(round + i), 14 + 37 * i);
		CU_ASSERT_EQUAL_FATAL(front_rx(&f, 0, bufs, 64), 37);
		for (unsigned int i = 0; i < 37; i++) {
			CU_ASSERT_TRUE(front_is(bufs[i], (uint8_t)(round + i), 14 + 37 * i));
			CU_ASSERT_EQUAL(bufs[i]->flags, 0);
			CU_ASSERT_EQUAL(bufs[i]->nr_links, 1);
			check_used(&f, 1, (uint16_t)(id + i) % FRONT_SIZE, 0);
		}
		nothing_used(&f, 1);
		front_put(&f, bufs, 37);
		id = (uint16_t)(id + 37);
	}
	CU_ASSERT_EQUAL(front_stats(&f).rx_packets, 60 * 37);
	CU_ASSERT_EQUAL(front_stats(&f).rx_bad, 0);
	front_close(&f);
}
BOTH(frames_come_from_the_guest)

static void frames_go_to_the_guest_with(uint64_t features)
{
	struct quoll_buf *bufs[64];
	struct virtio_net_hdr hdr;
	uint16_t id = 0;
	struct front f;

	front_up(&f, features, 1);
	for (unsigned int round = 0; round < 60; round++) {
		for (unsigned int i = 0; i < 41; i++)
			front_post(&f, 0, (uint16_t)(id + i) % FRONT_SIZE, FRONT_BUF_BYTES);
		for (unsigned int i = 0; i < 50; i++)
			bufs[i] = front_make(&f, (uint8_t)(round + i), 14 + 30 * i, 1);
		/* As many as there are buffers; the rest stays ours. */
		CU_ASSERT_EQUAL_FATAL(front_tx(&f, 0, bufs, 50), 41);
		front_put(&f, bufs + 41, 9);
		for (unsigned int i = 0; i < 41; i++) {
			uint16_t at = (uint16_t)(id + i) % FRONT_SIZE;
			const uint8_t *data = front_buf_va(&f, at) + sizeof(hdr);

			check_used(&f, 0, at, 14 + 30 * i + (uint32_t)sizeof(hdr));
			memcpy(&hdr, front_buf_va(&f, at), sizeof(hdr));
			CU_ASSERT_EQUAL(hdr.flags | hdr.gso_type, 0);
			CU_ASSERT_EQUAL(hdr.nr_bufs, 1);
			CU_ASSERT_EQUAL(data[0], (uint8_t)(round + i));
			CU_ASSERT_EQUAL(memcmp(data, data + 1, 13 + 30 * i), 0);
		}
		nothing_used(&f, 0);
		id = (uint16_t)(id + 41);
	}
	CU_ASSERT_EQUAL(front_stats(&f).tx_packets, 60 * 41);
	CU_ASSERT_EQUAL(front_stats(&f).tx_bad, 0);
	CU_ASSERT_EQUAL(quoll_pool_nr_free(f.fix.pool), FIX_BUFS);
	front_close(&f);
}
BOTH(frames_go_to_the_guest)

/* Header apart, and the frame in pieces: directly, and in a table in buffer 9. */
static void chains_and_tables_are_put_together_with(uint64_t features)
{
	struct front_desc descs[] = {{front_buf(0), 12, 0}, {front_buf(0) + 12, 5, 0}, {front_buf(0) + 17, 95, 0}};
	struct front_desc table = {front_buf(9), 48, VIRTQ_DESC_INDIRECT};
	struct quoll_buf *bufs[4];
	struct front f;

	front_up(&f, features | VIRTIO_F_INDIRECT_DESC, 1);
	front_frame(&f, 0, 'a', 100);
	for (unsigned int i = 0; i < 3; i++) {
		/* Of both kinds: address and length lie alike. */
		if (features) {
			struct virtq_packed_desc desc = {.addr = descs[i].addr, .bytes = descs[i].bytes};

			memcpy(front_buf_va(&f, 9) + i * sizeof(desc), &desc, sizeof(desc));
		} else {
			struct virtq_desc desc = {.addr = descs[i].addr,
						  .bytes = descs[i].bytes,
						  .flags = i < 2 ? VIRTQ_DESC_NEXT : 0,
						  .next = (uint16_t)(i + 1)};

			memcpy(front_buf_va(&f, 9) + i * sizeof(desc), &desc, sizeof(desc));
		}
	}
	front_chain(&f, 1, 3, &table, 1);
	front_chain(&f, 1, 7, descs, 3);
	CU_ASSERT_EQUAL_FATAL(front_rx(&f, 0, bufs, 4), 2);
	CU_ASSERT_TRUE(front_is(bufs[0], 'a', 100));
	CU_ASSERT_TRUE(front_is(bufs[1], 'a', 100));
	check_used(&f, 1, 3, 0);
	check_used(&f, 1, 7, 0);
	front_put(&f, bufs, 2);
	/* A chain is one place for what comes next, too. */
	f.rings[1].seen = features ? 4 : f.rings[1].seen;
	front_send_frame(&f, 0, 20, 'z', 60);
	CU_ASSERT_EQUAL_FATAL(front_rx(&f, 0, bufs, 4), 1);
	check_used(&f, 1, 20, 0);
	front_put(&f, bufs, 1);
	front_close(&f);
}
BOTH(chains_and_tables_are_put_together)

/* A descriptor may lie in two areas that are neighbours in the guest only. */
static void a_descriptor_across_areas_is_found_with(uint64_t features)
{
	struct vhost_region region = front_region();
	struct vhost_mem_reg one = {.region = region}, two = {.region = region};
	struct front_desc desc = {FRONT_GUEST + FRONT_BYTES - 50, 112, 0};
	struct quoll_buf *bufs[2];
	struct front f;
	int fd;

	front_up(&f, features, 1);
	fd = f.mem_fd;
	/* The second half of the file once more, behind its end. */
	one.region.guest_addr += FRONT_BYTES;
	one.region.user_addr += 2 * (uint64_t)FRONT_BYTES;
	one.region.bytes = two.region.bytes = 4096;
	one.region.mmap_offset = FRONT_BYTES / 2;
	CU_ASSERT_EQUAL(front_ask(&f, VHOST_ADD_MEM_REG, &one, sizeof(one), &fd, 1), 0);
	memset(f.mem + FRONT_BYTES - 50, 0, 12);
	memset(f.mem + FRONT_BYTES - 38, 'q', 38);
	memset(f.mem + FRONT_BYTES / 2, 'q', 62);
	front_chain(&f, 1, 3, &desc, 1);
	CU_ASSERT_EQUAL_FATAL(front_rx(&f, 0, bufs, 2), 1);
	CU_ASSERT_TRUE(front_is(bufs[0], 'q', 100));
	front_put(&f, bufs, 1);
	/* Not any more once it is taken away. */
	CU_ASSERT_EQUAL(front_ask(&f, VHOST_REM_MEM_REG, &one, sizeof(one), &fd, 1), 0);
	front_chain(&f, 1, 4, &desc, 1);
	CU_ASSERT_EQUAL(front_rx(&f, 0, bufs, 2), 0);
	CU_ASSERT_EQUAL(front_stats(&f).rx_bad, 1);
	front_close(&f);
}
BOTH(a_descriptor_across_areas_is_found)

static void long_frames_spread_over_mergeable_buffers_with(uint64_t features)
{
	struct quoll_buf *bufs[2];
	struct virtio_net_hdr hdr;
	struct front f;

	front_up(&f, features | VIRTIO_NET_F_MRG_RXBUF, 1);
	for (unsigned int i = 0; i < 5; i++)
		front_post(&f, 0, (uint16_t)i, 512);
	bufs[0] = front_make(&f, 'm', 1500, 3);
	bufs[1] = front_make(&f, 'n', 1518, 1);
	/* Three buffers for the first, and two are too few for the second: it stays, and they do. */
	CU_ASSERT_EQUAL_FATAL(front_tx(&f, 0, bufs, 2), 1);
	memcpy(&hdr, front_buf_va(&f, 0), sizeof(hdr));
	CU_ASSERT_EQUAL(hdr.nr_bufs, 3);
	check_used(&f, 0, 0, 512);
	check_used(&f, 0, 1, 512);
	check_used(&f, 0, 2, 1512 - 1024);
	nothing_used(&f, 0);
	CU_ASSERT_EQUAL(front_buf_va(&f, 0)[12], 'm');
	CU_ASSERT_EQUAL(front_buf_va(&f, 2)[487], 'm');
	CU_ASSERT_EQUAL(front_buf_va(&f, 2)[488], 0);
	front_post(&f, 0, 5, 600);
	CU_ASSERT_EQUAL_FATAL(front_tx(&f, 0, bufs + 1, 1), 1);
	memcpy(&hdr, front_buf_va(&f, 3), sizeof(hdr));
	CU_ASSERT_EQUAL(hdr.nr_bufs, 3);
	check_used(&f, 0, 3, 512);
	check_used(&f, 0, 4, 512);
	check_used(&f, 0, 5, 1530 - 1024);
	CU_ASSERT_EQUAL(front_stats(&f).tx_packets, 2);
	CU_ASSERT_EQUAL(front_stats(&f).tx_bad, 0);
	front_close(&f);
}
BOTH(long_frames_spread_over_mergeable_buffers)

static void without_mergeable_buffers_a_long_frame_is_dropped_with(uint64_t features)
{
	struct quoll_buf *bufs[2];
	struct front f;

	front_up(&f, features, 1);
	front_post(&f, 0, 0, 512);
	front_post(&f, 0, 1, 512);
	bufs[0] = front_make(&f, 'm', 501, 1);
	bufs[1] = front_make(&f, 'n', 500, 1);
	CU_ASSERT_EQUAL(front_tx(&f, 0, bufs, 2), 2);
	CU_ASSERT_EQUAL(front_stats(&f).tx_bad, 1);
	CU_ASSERT_EQUAL(front_stats(&f).tx_packets, 1);
	check_used(&f, 0, 0, 512);
	CU_ASSERT_EQUAL(front_buf_va(&f, 0)[12], 'n');
	nothing_used(&f, 0);
	front_close(&f);
}
BOTH(without_mergeable_buffers_a_long_frame_is_dropped)

static void long_frames_come_as_chains_if_wanted_with(uint64_t features)
{
	struct front_desc descs[3] = {{front_buf(0), 2000, 0}, {front_buf(1), 2000, 0}, {front_buf(2), 1012, 0}};
	struct quoll_buf *bufs[2];
	struct front f;

	for (unsigned int scatter = 0; scatter < 2; scatter++) {
		front_open(&f, "", 1);
		f.features |= features;
		f.packed = features;
		f.settings.mtu = scatter ? 9000 : 1500;
		f.settings.offloads = scatter ? QUOLL_OFFLOAD_RX_SCATTER : 0;
		front_start(&f);
		front_memory(&f, true);
		front_connect(&f);
		front_hello(&f);
		for (unsigned int i = 0; i < 3; i++)
			memset(front_buf_va(&f, i), 's', 2000);
		memset(front_buf_va(&f, 0), 0, 12);
		front_chain(&f, 1, 0, descs, 3);
		CU_ASSERT_EQUAL_FATAL(front_rx(&f, 0, bufs, 2), scatter);
		CU_ASSERT_EQUAL(front_stats(&f).rx_bad, 1 - scatter);
		if (scatter) {
			CU_ASSERT_EQUAL(bufs[0]->nr_links, 3);
			CU_ASSERT_TRUE(front_is(bufs[0], 's', 5000));
			front_put(&f, bufs, 1);
		}
		front_close(&f);
	}
}
BOTH(long_frames_come_as_chains_if_wanted)

static void an_empty_pool_drops_nothing_with(uint64_t features)
{
	struct quoll_buf *bufs[64], *all[FIX_BUFS];
	struct front f;

	front_up(&f, features, 1);
	CU_ASSERT_EQUAL_FATAL(quoll_buf_get(f.fix.caches[0], all, FIX_BUFS - 5), 0);
	for (unsigned int i = 0; i < 8; i++)
		front_send_frame(&f, 0, (uint16_t)i, (uint8_t)i, 60);
	/* What there are no buffers for stays with the guest. */
	CU_ASSERT_EQUAL(front_rx(&f, 0, bufs, 64), 5);
	CU_ASSERT_EQUAL(front_rx(&f, 0, bufs + 5, 59), 0);
	CU_ASSERT_TRUE(front_stats(&f).rx_no_buf > 0);
	quoll_buf_put(f.fix.caches[0], all, FIX_BUFS - 5);
	CU_ASSERT_EQUAL(front_rx(&f, 0, bufs + 5, 59), 3);
	for (unsigned int i = 0; i < 8; i++)
		CU_ASSERT_TRUE(front_is(bufs[i], (uint8_t)i, 60));
	front_put(&f, bufs, 8);
	CU_ASSERT_EQUAL(front_stats(&f).rx_bad, 0);
	front_close(&f);
}
BOTH(an_empty_pool_drops_nothing)

/* Calls. */

static uint64_t calls(struct front *f, unsigned int idx)
{
	uint64_t n = 0;

	return read(f->rings[idx].call_fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static void send_some(struct front *f, unsigned int n)
{
	struct quoll_buf *bufs[64];

	for (unsigned int i = 0; i < n; i++)
		bufs[i] = front_make(f, 'c', 60, 1);
	CU_ASSERT_EQUAL(front_tx(f, 0, bufs, n), n);
}

static void a_batch_is_one_call_and_none_if_not_wanted_with(uint64_t features)
{
	struct front f;

	front_up(&f, features, 1);
	for (unsigned int i = 0; i < 100; i++)
		front_post(&f, 0, (uint16_t)i, FRONT_BUF_BYTES);
	calls(&f, 0);
	send_some(&f, 32);
	CU_ASSERT_EQUAL(calls(&f, 0), 1);
	if (features)
		((struct virtq_packed_event *)(f.rings[0].mem + FRONT_AVAIL))->flags = VIRTQ_EVENT_DISABLE;
	else
		((struct virtq_avail *)(f.rings[0].mem + FRONT_AVAIL))->flags = VIRTQ_AVAIL_NO_INTERRUPT;
	send_some(&f, 32);
	CU_ASSERT_EQUAL(calls(&f, 0), 0);
	CU_ASSERT_EQUAL(front_xstat(&f, "calls"), 1);
	front_close(&f);
}
BOTH(a_batch_is_one_call_and_none_if_not_wanted)

/* As QEMU does it: a ring is enabled and started before there is a way to call. */
static void who_could_not_be_called_is_called_later_with(uint64_t features)
{
	uint64_t what = 0;
	struct front f;

	front_up(&f, features, 1);
	CU_ASSERT_EQUAL(front_ask_u64(&f, VHOST_SET_VRING_CALL, VHOST_VRING_NO_FD), 0);
	calls(&f, 0);
	front_post(&f, 0, 0, FRONT_BUF_BYTES);
	send_some(&f, 1);
	CU_ASSERT_EQUAL(calls(&f, 0), 0);
	CU_ASSERT_EQUAL(front_ask(&f, VHOST_SET_VRING_CALL, &what, sizeof(what), &f.rings[0].call_fd, 1), 0);
	CU_ASSERT_TRUE(calls(&f, 0) > 0);
	front_close(&f);
}
BOTH(who_could_not_be_called_is_called_later)

static void want_event(struct front *f, uint16_t at, bool wrap)
{
	if (f->packed) {
		struct virtq_packed_event *event = (void *)(f->rings[0].mem + FRONT_AVAIL);

		event->off_wrap = (uint16_t)(at | (wrap ? VIRTQ_EVENT_WRAP : 0));
		event->flags = VIRTQ_EVENT_DESC;
	} else {
		((struct virtq_avail *)(f->rings[0].mem + FRONT_AVAIL))->ring[FRONT_SIZE] = at;
	}
}

static void event_indexes_tell_when_to_call_with(uint64_t features)
{
	struct front f;

	front_up(&f, features | VIRTIO_F_EVENT_IDX, 1);
	for (unsigned int i = 0; i < FRONT_SIZE; i++)
		front_post(&f, 0, (uint16_t)i, FRONT_BUF_BYTES);
	want_event(&f, 40, true);
	send_some(&f, 32);
	CU_ASSERT_EQUAL(calls(&f, 0), 0);
	send_some(&f, 8);
	CU_ASSERT_EQUAL(calls(&f, 0), 0);
	send_some(&f, 1);
	CU_ASSERT_EQUAL(calls(&f, 0), 1);
	send_some(&f, 31);
	CU_ASSERT_EQUAL(calls(&f, 0), 0);
	/* Round the ring's end. */
	send_some(&f, 64);
	send_some(&f, 64);
	send_some(&f, 50);
	for (unsigned int i = 0; i < FRONT_SIZE / 2; i++)
		front_post(&f, 0, (uint16_t)i, FRONT_BUF_BYTES);
	want_event(&f, (uint16_t)(features ? 3 : FRONT_SIZE + 3), false);
	send_some(&f, 6 + 3);
	CU_ASSERT_EQUAL(calls(&f, 0), 0);
	send_some(&f, 1);
	CU_ASSERT_EQUAL(calls(&f, 0), 1);
	front_close(&f);
}
BOTH(event_indexes_tell_when_to_call)

/* Offloads. */

static void open_with_offloads(struct front *f, uint64_t features, uint32_t offloads)
{
	front_open(f, "", 1);
	f->features |= features;
	f->packed = features & VIRTIO_F_RING_PACKED;
	f->settings.offloads = offloads;
	front_start(f);
	front_memory(f, true);
	front_connect(f);
	front_hello(f);
}

static unsigned int rx_header(struct front *f, struct virtio_net_hdr hdr, struct quoll_buf **buf)
{
	struct front_desc desc = {front_buf(0), 12 + 100, 0};
	unsigned int n;

	front_frame(f, 0, 'o', 100);
	if (hdr.csum_start == PARTIAL_INNER_L4)
		partial_tunnel(front_buf_va(f, 0) + sizeof(hdr), 100);
	else
		partial_frame(front_buf_va(f, 0) + sizeof(hdr), 100, 6);
	memcpy(front_buf_va(f, 0), &hdr, sizeof(hdr));
	front_chain(f, 1, 0, &desc, 1);
	n = front_rx(f, 0, buf, 1);
	return n;
}

static void what_the_guest_left_undone_is_told_with(uint64_t features)
{
	const uint32_t offloads = QUOLL_OFFLOAD_RX_L4_CSUM | QUOLL_OFFLOAD_RX_GSO;
	const uint64_t wanted = VIRTIO_NET_F_CSUM | VIRTIO_NET_F_HOST_TSO4 | VIRTIO_NET_F_HOST_TSO6;
	struct virtio_net_hdr csum = {.flags = VIRTIO_NET_HDR_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16};
	struct virtio_net_hdr gso = csum, lies[5];
	struct quoll_buf *buf;
	struct front f;

	gso.gso_type = VIRTIO_NET_GSO_TCPV4;
	gso.gso_bytes = 40;
	for (unsigned int i = 0; i < 5; i++)
		lies[i] = gso;
	lies[0].gso_bytes = 0;
	lies[1].flags = 0;
	lies[2].gso_type = VIRTIO_NET_GSO_UDP;
	lies[3].csum_start = 83; /* with the field the frame is too short by one byte */
	lies[4].csum_start = UINT16_MAX;
	open_with_offloads(&f, features | wanted, offloads);
	CU_ASSERT_EQUAL_FATAL(rx_header(&f, csum, &buf), 1);
	CU_ASSERT_EQUAL(buf->flags, QUOLL_BUF_RX_L4_PARTIAL);
	front_put(&f, &buf, 1);
	CU_ASSERT_EQUAL_FATAL(rx_header(&f, gso, &buf), 1);
	CU_ASSERT_EQUAL(buf->flags, QUOLL_BUF_RX_L4_PARTIAL | QUOLL_BUF_RX_GSO);
	CU_ASSERT_EQUAL(buf->mss, 40);
	front_put(&f, &buf, 1);
	/* In a tunnel: nobody else would fill it in. */
	csum.csum_start = PARTIAL_INNER_L4;
	csum.csum_offset = 14; /* the frame ends with it */
	CU_ASSERT_EQUAL_FATAL(rx_header(&f, csum, &buf), 1);
	CU_ASSERT_EQUAL(buf->flags, 0);
	CU_ASSERT(memcmp((uint8_t *)quoll_buf_data(buf) + 98, "oo", 2) != 0);
	front_put(&f, &buf, 1);
	for (unsigned int i = 0; i < 5; i++)
		CU_ASSERT_EQUAL(rx_header(&f, lies[i], &buf), 0);
	CU_ASSERT_EQUAL(front_stats(&f).rx_bad, 5);
	front_close(&f);
	/* Who has not agreed on it must not do so. */
	open_with_offloads(&f, features, offloads);
	CU_ASSERT_EQUAL(rx_header(&f, csum, &buf), 0);
	CU_ASSERT_EQUAL(rx_header(&f, gso, &buf), 0);
	CU_ASSERT_EQUAL(front_stats(&f).rx_bad, 2);
	front_close(&f);
}
BOTH(what_the_guest_left_undone_is_told)

static struct quoll_buf *tcp_frame(struct front *f, uint32_t flags)
{
	struct quoll_buf *buf = front_make(f, 0, 1454, 1);
	uint8_t *frame = quoll_buf_data(buf);

	frame[14] = 0x45;
	frame[50] = 0x12; /* TCP checksum: the pseudo-header's sum */
	frame[51] = 0x34;
	buf->flags = flags;
	buf->l2_bytes = 14;
	buf->l3_bytes = 20;
	buf->l4_bytes = 20;
	buf->mss = 500;
	return buf;
}

static void what_the_guest_shall_do_is_told_with(uint64_t features)
{
	const uint32_t tso = QUOLL_BUF_TX_TSO | QUOLL_BUF_TX_TCP_CSUM | QUOLL_BUF_TX_IP_CSUM;
	struct virtio_net_hdr hdr;
	struct quoll_buf *bufs[4];
	const uint8_t *frame;
	struct front f;

	open_with_offloads(&f, features | VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO4,
			   QUOLL_OFFLOAD_TX_L4_CSUM | QUOLL_OFFLOAD_TX_TSO);
	bufs[2] = tcp_frame(&f, tso);
	/* It has to wait for a buffer of the guest's, and is as it was then. */
	for (unsigned int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(front_tx(&f, 0, bufs + 2, 1), 0);
	for (unsigned int i = 0; i < 4; i++)
		front_post(&f, 0, (uint16_t)i, FRONT_BUF_BYTES);
	bufs[0] = tcp_frame(&f, QUOLL_BUF_TX_TCP_CSUM);
	bufs[1] = tcp_frame(&f, QUOLL_BUF_TX_UDP_CSUM);
	/* Over IPv6, which this guest does not take. */
	bufs[3] = tcp_frame(&f, tso & ~QUOLL_BUF_TX_IP_CSUM);
	CU_ASSERT_EQUAL(front_tx(&f, 0, bufs, 4), 4);
	CU_ASSERT_EQUAL(front_stats(&f).tx_bad, 1);
	memcpy(&hdr, front_buf_va(&f, 0), sizeof(hdr));
	CU_ASSERT_EQUAL(hdr.flags, VIRTIO_NET_HDR_NEEDS_CSUM);
	CU_ASSERT_EQUAL(hdr.csum_start, 34);
	CU_ASSERT_EQUAL(hdr.csum_offset, 16);
	CU_ASSERT_EQUAL(hdr.gso_type, VIRTIO_NET_GSO_NONE);
	memcpy(&hdr, front_buf_va(&f, 1), sizeof(hdr));
	CU_ASSERT_EQUAL(hdr.csum_offset, 6);
	memcpy(&hdr, front_buf_va(&f, 2), sizeof(hdr));
	CU_ASSERT_EQUAL(hdr.gso_type, VIRTIO_NET_GSO_TCPV4);
	CU_ASSERT_EQUAL(hdr.gso_bytes, 500);
	CU_ASSERT_EQUAL(hdr.hdr_bytes, 54);
	frame = front_buf_va(&f, 2) + sizeof(hdr);
	/* 0x4500 is all there is in the header; 1420 bytes from the TCP header on belong into the sum. */
	CU_ASSERT_EQUAL(frame[24] << 8 | frame[25], (uint16_t)~0x4500);
	CU_ASSERT_EQUAL(frame[50] << 8 | frame[51], 0x1234 + 1420);
	front_close(&f);
}
BOTH(what_the_guest_shall_do_is_told)

/* It drops such frames, so those who send are told. */
static void what_the_guest_does_not_take_is_told_with(uint64_t features)
{
	const uint32_t all = QUOLL_OFFLOAD_TX_L4_CSUM | QUOLL_OFFLOAD_TX_TSO;
	static const struct {
		uint64_t features;
		uint32_t lacks;
	} guests[] = {
		{0, QUOLL_OFFLOAD_TX_L4_CSUM | QUOLL_OFFLOAD_TX_TSO},
		{VIRTIO_NET_F_GUEST_TSO4, QUOLL_OFFLOAD_TX_L4_CSUM | QUOLL_OFFLOAD_TX_TSO},
		{VIRTIO_NET_F_GUEST_CSUM, QUOLL_OFFLOAD_TX_TSO},
		{VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO6, QUOLL_OFFLOAD_TX_TSO4},
		{VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO4 | VIRTIO_NET_F_GUEST_TSO6, 0},
	};
	struct front f;

	for (size_t i = 0; i < sizeof(guests) / sizeof(guests[0]); i++) {
		const struct quoll_txq *txq;

		open_with_offloads(&f, features | guests[i].features, all);
		txq = quoll_port_txq(f.port, 0);
		CU_ASSERT_EQUAL(quoll_txq_lacks(txq), guests[i].lacks);
		front_disconnect(&f);
		front_await_link(&f, false);
		/* Nobody takes anything until the next one has said so. */
		CU_ASSERT_EQUAL(quoll_txq_lacks(txq), all);
		front_close(&f);
	}
	/* What was not switched on is not in question. */
	front_up(&f, features, 1);
	CU_ASSERT_EQUAL(quoll_txq_lacks(quoll_port_txq(f.port, 0)), 0);
	front_close(&f);
}
BOTH(what_the_guest_does_not_take_is_told)

static void what_was_not_switched_on_is_not_sent_with(uint64_t features)
{
	struct quoll_buf *bufs[2];
	struct front f;

	front_up(&f, features, 1);
	front_post(&f, 0, 0, FRONT_BUF_BYTES);
	bufs[0] = tcp_frame(&f, QUOLL_BUF_TX_TCP_CSUM);
	bufs[1] = front_make(&f, 'l', 1519, 1);
	CU_ASSERT_EQUAL(front_tx(&f, 0, bufs, 2), 2);
	CU_ASSERT_EQUAL(front_stats(&f).tx_bad, 2);
	nothing_used(&f, 0);
	front_close(&f);
}
BOTH(what_was_not_switched_on_is_not_sent)

static void every_pair_has_its_own_rings_with(uint64_t features)
{
	struct quoll_buf *bufs[2];
	struct front f;

	front_up(&f, features | VIRTIO_NET_F_MQ, 3);
	for (unsigned int i = 0; i < 3; i++) {
		front_send_frame(&f, i, (uint16_t)i, (uint8_t)('a' + i), 60);
		front_post(&f, i, (uint16_t)(10 + i), FRONT_BUF_BYTES);
	}
	for (unsigned int i = 3; i-- > 0;) {
		CU_ASSERT_EQUAL_FATAL(front_rx(&f, i, bufs, 2), 1);
		CU_ASSERT_TRUE(front_is(bufs[0], (uint8_t)('a' + i), 60));
		CU_ASSERT_EQUAL(front_tx(&f, i, bufs, 1), 1);
		CU_ASSERT_EQUAL(front_buf_va(&f, 10 + i)[12], 'a' + i);
	}
	front_close(&f);
}
BOTH(every_pair_has_its_own_rings)

static const struct unit_test tests[] = {
	{"frames come from the guest, in order, through many turns of the ring", frames_come_from_the_guest},
	{"frames go to the guest, and what has no room stays", frames_go_to_the_guest},
	{"chains and indirect tables are put together", chains_and_tables_are_put_together},
	{"a descriptor across two areas of memory is found", a_descriptor_across_areas_is_found},
	{"long frames spread over mergeable buffers", long_frames_spread_over_mergeable_buffers},
	{"without mergeable buffers a frame that is too long is dropped, the buffer stays",
	 without_mergeable_buffers_a_long_frame_is_dropped},
	{"long frames come as chains of buffers, if wanted", long_frames_come_as_chains_if_wanted},
	{"an empty pool drops nothing", an_empty_pool_drops_nothing},
	{"a batch is one call, and none if it is not wanted", a_batch_is_one_call_and_none_if_not_wanted},
	{"who could not be called is called later", who_could_not_be_called_is_called_later},
	{"event indexes tell when to call", event_indexes_tell_when_to_call},
	{"what the guest left undone is told", what_the_guest_left_undone_is_told},
	{"what the guest shall do is told", what_the_guest_shall_do_is_told},
	{"what the guest does not take is told", what_the_guest_does_not_take_is_told},
	{"what was not switched on is not sent", what_was_not_switched_on_is_not_sent},
	{"every pair has its own rings", every_pair_has_its_own_rings},
};

UNIT_MAIN("drivers/net/vhost/frames", tests)
