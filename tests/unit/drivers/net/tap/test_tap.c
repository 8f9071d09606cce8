/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_tap.c - the data path of tap: ports against a socket that keeps frames apart, as a TAP queue does: virtio's
 * header both ways, chains, frames that are too long. What needs a kernel's interface is in tests/user/tap.sh.
 */
#include <fcntl.h>

#include "../net_fixture.h"
#include "../partial_frames.h"
#include "fake_tap.h"

static struct quoll_port *open_port(struct fix *f, uint32_t offloads)
{
	struct quoll_port_settings settings = {.offloads = offloads};
	struct quoll_port *port;
	struct quoll_addr addr;

	fix_open(f);
	CU_ASSERT_EQUAL_FATAL(quoll_addr_parse("tap:fake", &addr, &f->err), 0);
	CU_ASSERT_EQUAL_FATAL(net_port_open_driver(f->net, &fake_driver, &addr, NULL, &port, &f->err), 0);
	CU_ASSERT_EQUAL_FATAL(fix_start_with(f, port, f->caches[0], 1, &settings), 0);
	return port;
}

static void close_port(struct fix *f, struct quoll_port *port)
{
	quoll_port_close(port);
	fix_close(f);
}

static struct quoll_port_stats stats_of(const struct quoll_port *port)
{
	struct quoll_port_stats stats;

	quoll_port_stats(port, &stats);
	return stats;
}

/* The kernel's side. */

static void kernel_sends(const struct virtio_net_hdr *hdr, size_t bytes)
{
	static uint8_t frame[70000];

	memcpy(frame, hdr, sizeof(*hdr));
	for (size_t i = 0; i < bytes; i++)
		frame[sizeof(*hdr) + i] = (uint8_t)(i * 7);
	if (hdr->csum_start == PARTIAL_INNER_L4)
		partial_tunnel(frame + sizeof(*hdr), (uint32_t)bytes);
	else if (hdr->csum_start)
		partial_frame(frame + sizeof(*hdr), (uint32_t)bytes, 6);
	CU_ASSERT_EQUAL_FATAL(write(fake_tap_sockets[1], frame, sizeof(*hdr) + bytes), (ssize_t)(sizeof(*hdr) + bytes));
}

static ssize_t kernel_gets(struct virtio_net_hdr *hdr, uint8_t *frame, size_t room)
{
	struct iovec iov[2] = {{hdr, sizeof(*hdr)}, {frame, room}};
	ssize_t got = readv(fake_tap_sockets[1], iov, 2);

	return got < 0 ? got : got - (ssize_t)sizeof(*hdr);
}

static bool as_sent(const struct quoll_buf *buf)
{
	uint32_t at = 0;

	for (; buf; buf = buf->next)
		for (uint32_t i = 0; i < buf->data_bytes; i++, at++)
			if (((uint8_t *)quoll_buf_data(buf))[i] != (uint8_t)(at * 7))
				return false;
	return true;
}

static void frames_come_in_one_buffer_or_in_several(void)
{
	static const struct virtio_net_hdr plain;
	static const uint32_t sizes[] = {14, 60, 1518, 1920, 1921, 9018, 65535};
	struct quoll_buf *bufs[8];
	struct quoll_port *port;
	struct fix f;

	port = open_port(&f, QUOLL_OFFLOAD_RX_SCATTER | QUOLL_OFFLOAD_RX_GSO);
	for (int i = 0; i < 7; i++) {
		kernel_sends(&plain, sizes[i]);
		CU_ASSERT_EQUAL_FATAL(quoll_rx(quoll_port_rxq(port, 0), bufs, 8), 1);
		CU_ASSERT_EQUAL(bufs[0]->total_bytes, sizes[i]);
		CU_ASSERT_EQUAL(bufs[0]->nr_links, (sizes[i] + 1919) / 1920);
		CU_ASSERT_EQUAL(bufs[0]->flags, 0);
		CU_ASSERT(as_sent(bufs[0]));
		quoll_buf_put_chain(f.caches[0], bufs[0]);
	}
	CU_ASSERT_EQUAL(quoll_rx(quoll_port_rxq(port, 0), bufs, 8), 0);
	close_port(&f, port);
}

static void frames_that_do_not_fit_are_dropped_and_counted(void)
{
	static const struct virtio_net_hdr plain;
	static const uint32_t sizes[] = {13, 1519, 1920, 1921, 65535};
	struct quoll_buf *bufs[8];
	struct quoll_port *port;
	struct fix f;

	port = open_port(&f, 0);
	for (int i = 0; i < 5; i++)
		kernel_sends(&plain, sizes[i]);
	kernel_sends(&plain, 60);
	CU_ASSERT_EQUAL(write(fake_tap_sockets[1], "short", 5), 5); /* not even a header */
	CU_ASSERT_EQUAL_FATAL(quoll_rx(quoll_port_rxq(port, 0), bufs, 8), 1);
	CU_ASSERT_EQUAL(bufs[0]->total_bytes, 60);
	CU_ASSERT_EQUAL(stats_of(port).rx_bad, 6);
	quoll_buf_put(f.caches[0], bufs, 1);
	close_port(&f, port);
}

static void what_the_kernel_left_undone_is_told(void)
{
	static const struct virtio_net_hdr partial = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
						      .csum_start = PARTIAL_L4,
						      .csum_offset = PARTIAL_TCP_FIELD},
					   inner = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
						    .csum_start = PARTIAL_INNER_L4,
						    .csum_offset = PARTIAL_TCP_FIELD},
					   beyond = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
						     .csum_start = 59,
						     .csum_offset = PARTIAL_TCP_FIELD},
					   good = {.flags = VIRTIO_NET_HDR_F_DATA_VALID},
					   gso = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
						  .gso_type = VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN,
						  .gso_size = 1448,
						  .csum_start = PARTIAL_L4,
						  .csum_offset = PARTIAL_TCP_FIELD};
	struct quoll_buf *bufs[8];
	struct quoll_port *port;
	struct fix f;

	port = open_port(&f, FAKE_TAP_OFFLOADS);
	kernel_sends(&partial, 60);
	kernel_sends(&good, 60);
	kernel_sends(&gso, 6000);
	kernel_sends(&inner, 120);
	kernel_sends(&beyond, 60);
	CU_ASSERT_EQUAL_FATAL(quoll_rx(quoll_port_rxq(port, 0), bufs, 8), 4);
	CU_ASSERT_EQUAL(bufs[0]->flags, QUOLL_BUF_RX_L4_PARTIAL);
	CU_ASSERT_EQUAL(bufs[1]->flags, QUOLL_BUF_RX_L4_GOOD);
	CU_ASSERT_EQUAL(bufs[2]->flags, QUOLL_BUF_RX_L4_PARTIAL | QUOLL_BUF_RX_GSO);
	CU_ASSERT_EQUAL(bufs[2]->mss, 1448);
	/* In a tunnel: nobody else would fill it in. */
	CU_ASSERT_EQUAL(bufs[3]->flags, 0);
	CU_ASSERT(memcmp((uint8_t *)quoll_buf_data(bufs[3]) + 100, (uint8_t[]){100 * 7 % 256, 101 * 7 % 256}, 2) != 0);
	CU_ASSERT_EQUAL(stats_of(port).rx_bad, 1);
	for (int i = 0; i < 4; i++)
		quoll_buf_put_chain(f.caches[0], bufs[i]);
	close_port(&f, port);
}

static void checksums_and_segments_are_asked_for(void)
{
	/* 192.168.0.1 to 192.168.0.199, an example of everybody's: its checksum is b861, whatever the field holds. */
	static const uint8_t ip[20] = {0x45, 0,	   0,	 0x73, 0, 0, 0x40, 0,	 0x40, 0x11,
				       0x55, 0xaa, 0xc0, 0xa8, 0, 1, 0xc0, 0xa8, 0,    0xc7};
	struct virtio_net_hdr hdr;
	struct quoll_buf *buf;
	struct quoll_port *port;
	uint8_t frame[9000];
	struct fix f;

	port = open_port(&f, FAKE_TAP_OFFLOADS);
	buf = fix_frame(f.caches[0], 100, 1);
	buf->flags = QUOLL_BUF_TX_UDP_CSUM;
	buf->l2_bytes = 14;
	buf->l3_bytes = 20;
	CU_ASSERT_EQUAL(quoll_tx(quoll_port_txq(port, 0), &buf, 1), 1);
	CU_ASSERT_EQUAL_FATAL(kernel_gets(&hdr, frame, sizeof(frame)), 100);
	CU_ASSERT_EQUAL(hdr.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	CU_ASSERT_EQUAL(hdr.csum_start, 34);
	CU_ASSERT_EQUAL(hdr.csum_offset, 6);
	CU_ASSERT_EQUAL(hdr.gso_type, VIRTIO_NET_HDR_GSO_NONE);

	buf = fix_frame(f.caches[0], 6000, 4);
	buf->flags = QUOLL_BUF_TX_TSO | QUOLL_BUF_TX_TCP_CSUM | QUOLL_BUF_TX_IP_CSUM;
	buf->l2_bytes = 14;
	buf->l3_bytes = 20;
	buf->l4_bytes = 32;
	buf->mss = 1448;
	memcpy((uint8_t *)quoll_buf_data(buf) + 14, ip, sizeof(ip));
	memcpy((uint8_t *)quoll_buf_data(buf) + 50, "\x12\x34", 2); /* the pseudo-header's sum without a length */
	CU_ASSERT_EQUAL(quoll_tx(quoll_port_txq(port, 0), &buf, 1), 1);
	CU_ASSERT_EQUAL_FATAL(kernel_gets(&hdr, frame, sizeof(frame)), 6000);
	CU_ASSERT_EQUAL(hdr.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	CU_ASSERT_EQUAL(hdr.gso_size, 1448);
	CU_ASSERT_EQUAL(hdr.hdr_len, 66);
	CU_ASSERT_EQUAL(hdr.csum_offset, 16);
	CU_ASSERT(frame[24] == 0xb8 && frame[25] == 0x61);
	CU_ASSERT(frame[50] == 0x29 && frame[51] == 0x82); /* with it: 0x1234 + 5966 */
	CU_ASSERT_EQUAL(stats_of(port).tx_packets, 2);
	CU_ASSERT_EQUAL(stats_of(port).tx_bytes, 6100);
	close_port(&f, port);
}

static void frames_that_cannot_be_sent_are_dropped_and_counted(void)
{
	struct quoll_buf *bufs[6];
	struct virtio_net_hdr hdr;
	struct quoll_port *port;
	uint8_t frame[100];
	struct fix f;

	port = open_port(&f, QUOLL_OFFLOAD_TX_L4_CSUM);
	bufs[0] = fix_frame(f.caches[0], 13, 1);
	bufs[1] = fix_frame(f.caches[0], 1519, 1);
	bufs[2] = fix_frame(f.caches[0], 60, 1);
	bufs[2]->flags = QUOLL_BUF_TX_TSO | QUOLL_BUF_TX_TCP_CSUM; /* not switched on */
	bufs[3] = fix_frame(f.caches[0], 60, 1);
	bufs[3]->flags = QUOLL_BUF_TX_IP_CSUM;
	bufs[4] = fix_frame(f.caches[0], 40, 1); /* its checksum's place is behind its end */
	bufs[4]->flags = QUOLL_BUF_TX_TCP_CSUM;
	bufs[4]->l2_bytes = 14;
	bufs[4]->l3_bytes = 20;
	bufs[5] = fix_frame(f.caches[0], 60, 1);
	CU_ASSERT_EQUAL(quoll_tx(quoll_port_txq(port, 0), bufs, 6), 6);
	CU_ASSERT_EQUAL(stats_of(port).tx_bad, 5);
	CU_ASSERT_EQUAL(stats_of(port).tx_packets, 1);
	CU_ASSERT_EQUAL(kernel_gets(&hdr, frame, sizeof(frame)), 60);
	CU_ASSERT_EQUAL(kernel_gets(&hdr, frame, sizeof(frame)), -1);
	close_port(&f, port);
}

static void a_full_queue_takes_what_it_can(void)
{
	struct quoll_buf *bufs[FIX_CACHE];
	struct virtio_net_hdr hdr;
	unsigned int sent = 0, n = 1;
	struct quoll_port *port;
	uint8_t frame[1600];
	struct fix f;

	port = open_port(&f, 0);
	for (int i = 0; i < FIX_CACHE; i++)
		bufs[i] = fix_frame(f.caches[0], 1518, 1);
	while (n && sent < FIX_CACHE)
		sent += n = quoll_tx(quoll_port_txq(port, 0), bufs + sent, FIX_CACHE - sent);
	CU_ASSERT_FATAL(sent && sent < FIX_CACHE);
	CU_ASSERT_EQUAL(stats_of(port).tx_packets, sent);
	CU_ASSERT_EQUAL(kernel_gets(&hdr, frame, sizeof(frame)), 1518);
	quoll_buf_put(f.caches[0], bufs + sent, FIX_CACHE - sent);
	close_port(&f, port);
}

static struct quoll_buf *frame_to_cut(struct fix *f)
{
	struct quoll_buf *buf = fix_frame(f->caches[0], 6000, 4);

	CU_ASSERT_PTR_NOT_NULL_FATAL(buf);
	buf->flags = QUOLL_BUF_TX_TSO | QUOLL_BUF_TX_TCP_CSUM | QUOLL_BUF_TX_IP_CSUM;
	buf->l2_bytes = 14;
	buf->l3_bytes = 20;
	buf->l4_bytes = 32;
	buf->mss = 1448;
	memcpy((uint8_t *)quoll_buf_data(buf) + 50, "\x12\x34", 2);
	return buf;
}

/* What is filled in for the kernel is not there a second time when the frame is sent again. */
static void a_frame_to_be_cut_up_that_has_to_wait_is_as_it_was(void)
{
	struct virtio_net_hdr hdr;
	struct quoll_port *port;
	struct quoll_buf *buf;
	uint8_t frame[6000];
	unsigned int sent;
	struct fix f;

	port = open_port(&f, FAKE_TAP_OFFLOADS);
	for (sent = 0; sent < 1000; sent++) {
		buf = frame_to_cut(&f);
		if (!quoll_tx(quoll_port_txq(port, 0), &buf, 1))
			break;
	}
	CU_ASSERT_FATAL(sent && sent < 1000);
	for (unsigned int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(quoll_tx(quoll_port_txq(port, 0), &buf, 1), 0);
	CU_ASSERT_FALSE(memcmp((uint8_t *)quoll_buf_data(buf) + 50, "\x12\x34", 2));
	for (; sent; sent--)
		CU_ASSERT_EQUAL(kernel_gets(&hdr, frame, sizeof(frame)), 6000);
	CU_ASSERT_EQUAL(quoll_tx(quoll_port_txq(port, 0), &buf, 1), 1);
	CU_ASSERT_EQUAL(kernel_gets(&hdr, frame, sizeof(frame)), 6000);
	CU_ASSERT(frame[50] == 0x29 && frame[51] == 0x82);
	close_port(&f, port);
}

static const struct unit_test tests[] = {
	{"frames come in one buffer or in several", frames_come_in_one_buffer_or_in_several},
	{"frames that do not fit are dropped and counted", frames_that_do_not_fit_are_dropped_and_counted},
	{"what the kernel left undone is told", what_the_kernel_left_undone_is_told},
	{"checksums and segments are asked for", checksums_and_segments_are_asked_for},
	{"frames that cannot be sent are dropped and counted", frames_that_cannot_be_sent_are_dropped_and_counted},
	{"a full queue takes what it can", a_full_queue_takes_what_it_can},
	{"a frame to be cut up that has to wait is as it was", a_frame_to_be_cut_up_that_has_to_wait_is_as_it_was},
};

UNIT_MAIN("tap", tests)
