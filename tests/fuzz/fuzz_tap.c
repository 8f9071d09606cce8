/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fuzz_tap.c - a kernel that lies: virtio headers and frames out of the input come in on a tap: port whose queue is a
 * socket, and are handed on as `quoll fwd --offloads` does it. Whatever they say of themselves, frames fit their
 * buffers, and at the end every buffer is back, each once.
 *
 * The first byte is the port's offloads and what the other one lacks. Then each frame: its length (2 bytes,
 * little-endian), virtio's header, data, of which the last byte goes on to that length.
 */
#include <net/net_soft.h>

#include "../unit/drivers/net/tap/fake_tap.h"
#include "fuzz_port.h"

#define NR_BUFS 1024u
#define MAX_OUT 64u
#define HDR_BYTES sizeof(struct virtio_net_hdr)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct fuzz_port f;

static void send_all(struct quoll_buf **bufs, unsigned int n)
{
	static uint8_t sink[TAP_MAX_GSO_BYTES + HDR_BYTES];

	fuzz_send(&f, bufs, n);
	while (read(fake_tap_sockets[1], sink, sizeof(sink)) > 0)
		;
}

static void hand_on(struct quoll_buf *buf, uint32_t missing)
{
	struct quoll_buf *out[MAX_OUT];
	int n = quoll_soft_pass(buf);

	if (!n)
		n = quoll_soft_tx(missing, f.cache, buf, out, MAX_OUT);
	if (n < 0) {
		quoll_buf_put_chain(f.cache, buf);
		return;
	}
	for (int i = 0; i < n; i++)
		fuzz_look_at(out[i], TAP_MAX_GSO_BYTES);
	send_all(out, (unsigned int)n);
}

static void receive(uint32_t missing)
{
	struct quoll_buf *bufs[4];
	unsigned int n = quoll_rx(f.port->rxqs[0], bufs, 4);

	for (unsigned int i = 0; i < n; i++) {
		fuzz_look_at(bufs[i], TAP_MAX_GSO_BYTES);
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
	must(write(fake_tap_sockets[1], frame, bytes) == (ssize_t)bytes);
	return 2 + there;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct quoll_port_settings settings = {0};
	uint32_t missing = 0;

	if (!f.heap)
		fuzz_prepare(&f, NR_BUFS, FUZZ_BUF_BYTES, &fake_driver, "tap:fuzz");
	if (!size)
		return 0;
	settings.offloads = data[0] & 1 ? QUOLL_OFFLOAD_RX_SCATTER : 0;
	settings.offloads |= data[0] & 2 ? QUOLL_OFFLOAD_RX_L4_CSUM : 0;
	settings.offloads |= data[0] & 4 ? QUOLL_OFFLOAD_RX_L4_CSUM | QUOLL_OFFLOAD_RX_GSO : 0;
	settings.offloads |= data[0] & 8 ? QUOLL_OFFLOAD_TX_L4_CSUM : 0;
	settings.offloads |= data[0] & 16 ? QUOLL_OFFLOAD_TX_L4_CSUM | QUOLL_OFFLOAD_TX_TSO : 0;
	missing |= data[0] & 32 ? QUOLL_OFFLOAD_TX_CSUM : 0;
	missing |= data[0] & 64 ? QUOLL_OFFLOAD_TX_CSUM | QUOLL_OFFLOAD_TX_TSO : 0;
	fuzz_start(&f, data, size, 1, &settings);
	for (size_t at = 1; at + 2 < size;) {
		at += kernel_sends(data + at, size - at);
		receive(missing);
	}
	fuzz_stop(&f);
	return 0;
}
