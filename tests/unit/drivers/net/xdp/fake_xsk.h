/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fake_xsk.h - a port over fake_rings.h in a test; what the kernel does.
 */
#ifndef QUOLL_TESTS_FAKE_XSK_H
#define QUOLL_TESTS_FAKE_XSK_H

#include "../net_fixture.h"
#include "fake_rings.h"

static inline struct quoll_port *fake_port(struct fix *f, const struct quoll_port_settings *settings)
{
	struct quoll_port *port;
	struct quoll_addr addr;

	CU_ASSERT_EQUAL_FATAL(quoll_addr_parse("xdp:fake", &addr, &f->err), 0);
	CU_ASSERT_EQUAL_FATAL(net_port_open_driver(f->net, &fake_driver, &addr, NULL, &port, &f->err), 0);
	CU_ASSERT_EQUAL_FATAL(fix_start_with(f, port, f->caches[0], 1, settings), 0);
	return port;
}

/* The kernel takes the next empty chunk; returns its address. */
static inline uint64_t fake_chunk(struct fake_rings *at)
{
	CU_ASSERT_NOT_EQUAL_FATAL(at->consumers[FAKE_FILL], at->producers[FAKE_FILL]);
	return at->fill[at->consumers[FAKE_FILL]++ % FAKE_ENTRIES];
}

/* A frame, or a part of one, as the kernel writes it: all bytes of @value. */
static inline void fake_frame(struct quoll_port *port, struct fake_rings *at, uint32_t len, uint8_t value, bool more)
{
	uint64_t chunk = fake_chunk(at);

	memset(to_xdp(port)->socks[0]->map.base + chunk + XDP_HEADROOM_BYTES, value, len);
	fake_rx(at, chunk | (uint64_t)XDP_HEADROOM_BYTES << XSK_UNALIGNED_BUF_OFFSET_SHIFT, len,
		more ? XDP_PKT_CONTD : 0);
}

#endif
