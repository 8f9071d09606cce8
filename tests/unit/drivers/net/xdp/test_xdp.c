/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_xdp.c - the data path of xdp: ports against rings in memory: frames in and out, parts, copies, and entries that
 * make no sense. What needs a kernel is in tests/user/xdp.sh.
 */
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fake_xsk.h"

static struct fake_rings *const rings = &fake_rings[0];

static uint64_t bad_rx(const struct quoll_port *port)
{
	struct quoll_port_stats stats;

	quoll_port_stats(port, &stats);
	return stats.rx_bad;
}

static bool all_bytes_are(const struct quoll_buf *buf, uint8_t value)
{
	const uint8_t *data = quoll_buf_data(buf);

	for (uint32_t i = 0; i < buf->data_bytes; i++)
		if (data[i] != value)
			return false;
	return true;
}

static void frames_come_in_the_pools_own_buffers(void)
{
	static const uint32_t sizes[] = {FIX_BUF_BYTES, 2176};
	struct quoll_buf *bufs[8];
	struct quoll_port *port;
	struct fix f;

	for (int k = 0; k < 2; k++) {
		fix_open_with(&f, 512, sizes[k]);
		port = fake_port(&f, NULL);
		for (uint8_t i = 0; i < 5; i++)
			fake_frame(port, rings, 60u + i, i, false);
		/* As an aligned UMEM has it: the whole address in one. */
		fake_rx(rings, fake_chunk(rings) + XDP_HEADROOM_BYTES, 14, 0);
		CU_ASSERT_EQUAL_FATAL(quoll_rx(quoll_port_rxq(port, 0), bufs, 8), 6);
		for (uint8_t i = 0; i < 5; i++) {
			CU_ASSERT_PTR_EQUAL(bufs[i]->pool, f.pool);
			CU_ASSERT_EQUAL(bufs[i]->data_off, XDP_HEADROOM_BYTES);
			CU_ASSERT_EQUAL(bufs[i]->total_bytes, 60u + i);
			CU_ASSERT_EQUAL(bufs[i]->nr_links, 1);
			CU_ASSERT(all_bytes_are(bufs[i], i));
		}
		CU_ASSERT_EQUAL(bufs[5]->total_bytes, 14);
		CU_ASSERT_EQUAL(bad_rx(port), 0);
		quoll_buf_put(f.caches[0], bufs, 6);
		quoll_port_close(port);
		fix_close(&f);
	}
}

static void entries_that_make_no_sense_are_dropped_and_counted(void)
{
	uint64_t chunk, last;
	struct quoll_buf *bufs[16];
	struct quoll_port *port;
	struct fix f;

	fix_open(&f);
	port = fake_port(&f, NULL);
	chunk = fake_chunk(rings);
	last = (uint64_t)FIX_BUFS * FIX_BUF_BYTES + to_xdp(port)->socks[0]->map.first;
	fake_rx(rings, last, 60, 0);				      /* behind the pool */
	fake_rx(rings, UINT64_MAX, 60, 0);			      /* anywhere */
	fake_rx(rings, (chunk + 3000 * FIX_BUF_BYTES) % last, 60, 0); /* a buffer that it does not have */
	fake_rx(rings, chunk + 256, FIX_BUF_BYTES, 0);		      /* beyond its buffer's end */
	fake_rx(rings, chunk + 256, UINT32_MAX, 0);
	CU_ASSERT_EQUAL(quoll_rx(quoll_port_rxq(port, 0), bufs, 16), 0);
	CU_ASSERT_EQUAL(bad_rx(port), 5);
	fake_rx(rings, chunk + 256, 60, 0);
	fake_rx(rings, chunk + 256, 60, 0); /* a second time: it is ours now */
	fake_frame(port, rings, 13, 1, false);
	fake_frame(port, rings, 1519, 1, false);
	CU_ASSERT_EQUAL_FATAL(quoll_rx(quoll_port_rxq(port, 0), bufs, 16), 1);
	CU_ASSERT_EQUAL(bad_rx(port), 8);
	quoll_buf_put(f.caches[0], bufs, 1);
	quoll_port_close(port);
	fix_close(&f);
}

/* A buffer that waits to be sent is none that a frame came in, and an empty one none that was sent. */
static void each_ring_gives_back_its_own(void)
{
	struct quoll_buf *frame, *bufs[4];
	struct quoll_port *port;
	struct fix f;

	fix_open(&f);
	port = fake_port(&f, NULL);
	frame = fix_frame(f.caches[0], 120, 2);
	CU_ASSERT_EQUAL(quoll_tx(quoll_port_txq(port, 0), &frame, 1), 1);
	fake_rx(rings, rings->tx[0].addr, 60, 0);
	CU_ASSERT_EQUAL(quoll_rx(quoll_port_rxq(port, 0), bufs, 4), 0);
	CU_ASSERT_EQUAL(bad_rx(port), 1);
	fake_complete(rings, rings->fill[0]);
	frame = fix_frame(f.caches[0], 60, 1);
	CU_ASSERT_EQUAL(quoll_tx(quoll_port_txq(port, 0), &frame, 1), 1);
	CU_ASSERT_EQUAL(to_xdp(port)->socks[0]->nr_out, 3);
	fake_frame(port, rings, 60, 1, false);
	CU_ASSERT_EQUAL_FATAL(quoll_rx(quoll_port_rxq(port, 0), bufs, 4), 1);
	quoll_buf_put(f.caches[0], bufs, 1);
	fake_send_all(rings);
	frame = fix_frame(f.caches[0], 60, 1);
	CU_ASSERT_EQUAL(quoll_tx(quoll_port_txq(port, 0), &frame, 1), 1);
	CU_ASSERT_EQUAL(to_xdp(port)->socks[0]->nr_out, 1);
	quoll_port_close(port);
	fix_close(&f);
}

/* As many as there may be are looked at, and then it is others' turn. */
static void completions_without_end_keep_nobody(void)
{
	struct quoll_port *port;
	struct quoll_buf *buf;
	struct fix f;

	fix_open(&f);
	port = fake_port(&f, NULL);
	buf = fix_frame(f.caches[0], 60, 1);
	rings->producers[FAKE_COMP] += 1u << 30;
	CU_ASSERT_EQUAL(quoll_tx(quoll_port_txq(port, 0), &buf, 1), 1);
	CU_ASSERT_TRUE(rings->consumers[FAKE_COMP] <= 2 * FAKE_ENTRIES);
	quoll_port_close(port);
	fix_close(&f);
}

static void parts_make_one_frame(void)
{
	struct quoll_port_settings settings = {.mtu = 4000, .offloads = QUOLL_OFFLOAD_RX_SCATTER};
	struct quoll_buf *bufs[8];
	struct quoll_port *port;
	struct fix f;

	fix_open(&f);
	port = fake_port(&f, &settings);
	fake_frame(port, rings, 1700, 1, true);
	CU_ASSERT_EQUAL(quoll_rx(quoll_port_rxq(port, 0), bufs, 8), 0); /* its end is still to come */
	fake_frame(port, rings, 1700, 2, true);
	fake_frame(port, rings, 10, 3, false);
	fake_frame(port, rings, 60, 4, false);
	CU_ASSERT_EQUAL_FATAL(quoll_rx(quoll_port_rxq(port, 0), bufs, 8), 2);
	CU_ASSERT_EQUAL(bufs[0]->total_bytes, 3410);
	CU_ASSERT_EQUAL(bufs[0]->nr_links, 3);
	CU_ASSERT(all_bytes_are(bufs[0], 1) && all_bytes_are(bufs[0]->next, 2) &&
		  all_bytes_are(bufs[0]->next->next, 3));
	CU_ASSERT_PTR_NULL(bufs[0]->next->next->next);
	CU_ASSERT_EQUAL(bufs[1]->nr_links, 1);
	quoll_buf_put_chain(f.caches[0], bufs[0]);
	quoll_buf_put_chain(f.caches[0], bufs[1]);
	quoll_port_close(port);
	fix_close(&f);
}

static void a_frame_too_long_is_dropped_with_all_its_parts(void)
{
	struct quoll_port_settings settings = {.mtu = 3000, .offloads = QUOLL_OFFLOAD_RX_SCATTER};
	struct quoll_buf *bufs[8];
	struct quoll_port *port;
	struct fix f;

	fix_open(&f);
	port = fake_port(&f, &settings);
	for (uint8_t i = 0; i < 20; i++)
		fake_frame(port, rings, 1700, i, true);
	fake_frame(port, rings, 1700, 20, false);
	fake_frame(port, rings, 60, 21, false);
	fake_frame(port, rings, 60, 22, true); /* stopped before its end */
	for (int got = 0, polls = 0; got < 1; polls++) {
		CU_ASSERT_FATAL(polls < 8);
		got += quoll_rx(quoll_port_rxq(port, 0), bufs, 8);
	}
	CU_ASSERT(all_bytes_are(bufs[0], 21));
	CU_ASSERT_EQUAL(bad_rx(port), 1);
	quoll_buf_put(f.caches[0], bufs, 1);
	CU_ASSERT_EQUAL(quoll_rx(quoll_port_rxq(port, 0), bufs, 8), 0);
	quoll_port_close(port);
	fix_close(&f);
}

static void the_fill_ring_is_kept_full_or_says_so(void)
{
	struct quoll_buf *bufs[FAKE_ENTRIES];
	struct quoll_port_stats stats;
	struct quoll_port *port;
	struct fix f;

	fix_open_with(&f, FAKE_ENTRIES, FIX_BUF_BYTES);
	port = fake_port(&f, NULL);
	for (uint8_t i = 0; i < FAKE_ENTRIES; i++)
		fake_frame(port, rings, 60, i, false);
	CU_ASSERT_EQUAL_FATAL(quoll_rx(quoll_port_rxq(port, 0), bufs, FAKE_ENTRIES), FAKE_ENTRIES);
	CU_ASSERT_EQUAL(rings->producers[FAKE_FILL], rings->consumers[FAKE_FILL]);
	quoll_port_stats(port, &stats);
	CU_ASSERT_EQUAL(stats.rx_no_buf, 1);
	quoll_buf_put(f.caches[0], bufs, FAKE_ENTRIES);
	CU_ASSERT_EQUAL(quoll_rx(quoll_port_rxq(port, 0), bufs, FAKE_ENTRIES), 0);
	CU_ASSERT_EQUAL(rings->producers[FAKE_FILL] - rings->consumers[FAKE_FILL], FAKE_ENTRIES);
	quoll_port_close(port);
	fix_close(&f);
}

/* The kernel shows frames before it shows that their chunks have left the fill ring (xsk_flush). */
static void room_in_the_fill_ring_may_come_after_the_frames(void)
{
	struct quoll_buf *bufs[FAKE_ENTRIES];
	struct quoll_port_stats stats;
	struct quoll_port *port;
	uint32_t nr_free;
	struct fix f;

	fix_open(&f);
	port = fake_port(&f, NULL);
	nr_free = quoll_pool_nr_free(f.pool);
	for (uint8_t i = 0; i < FAKE_ENTRIES; i++)
		fake_frame(port, rings, 60, i, false);
	rings->consumers[FAKE_FILL] -= FAKE_ENTRIES;
	CU_ASSERT_EQUAL_FATAL(quoll_rx(quoll_port_rxq(port, 0), bufs, FAKE_ENTRIES), FAKE_ENTRIES);
	CU_ASSERT_EQUAL(quoll_pool_nr_free(f.pool), nr_free);
	quoll_port_stats(port, &stats);
	CU_ASSERT_EQUAL(stats.rx_no_buf, 0);
	rings->consumers[FAKE_FILL] += FAKE_ENTRIES;
	CU_ASSERT_EQUAL(quoll_rx(quoll_port_rxq(port, 0), bufs, FAKE_ENTRIES), 0);
	CU_ASSERT_EQUAL(rings->producers[FAKE_FILL] - rings->consumers[FAKE_FILL], FAKE_ENTRIES);
	quoll_buf_put(f.caches[0], bufs, FAKE_ENTRIES);
	quoll_port_close(port);
	fix_close(&f);
}

static void frames_sent_come_back_once(void)
{
	struct quoll_buf *bufs[FAKE_ENTRIES + 1];
	uint32_t nr_free;
	struct quoll_port *port;
	struct fix f;

	fix_open(&f);
	port = fake_port(&f, NULL);
	for (unsigned int i = 0; i <= FAKE_ENTRIES; i++)
		bufs[i] = fix_frame(f.caches[0], 60 + i, 1);
	nr_free = quoll_pool_nr_free(f.pool);
	CU_ASSERT_EQUAL(quoll_tx(quoll_port_txq(port, 0), bufs, FAKE_ENTRIES + 1), FAKE_ENTRIES);
	CU_ASSERT_EQUAL(quoll_tx(quoll_port_txq(port, 0), bufs + FAKE_ENTRIES, 1), 0);
	for (unsigned int i = 0; i < FAKE_ENTRIES; i++) {
		CU_ASSERT_PTR_EQUAL(to_xdp(port)->socks[0]->map.base + rings->tx[i].addr, quoll_buf_data(bufs[i]));
		CU_ASSERT_EQUAL(rings->tx[i].len, 60 + i);
		CU_ASSERT_EQUAL(rings->tx[i].options, 0);
	}
	fake_complete(rings, rings->tx[0].addr);
	fake_complete(rings, rings->tx[0].addr); /* again */
	fake_complete(rings, UINT64_MAX);
	fake_complete(rings, (uint64_t)FIX_BUFS * FIX_BUF_BYTES + 4096);
	CU_ASSERT_EQUAL(quoll_tx(quoll_port_txq(port, 0), bufs + FAKE_ENTRIES, 1), 1);
	CU_ASSERT_EQUAL(quoll_pool_nr_free(f.pool), nr_free + 1);
	quoll_port_close(port);
	fix_close(&f);
}

static void chains_are_sent_link_by_link(void)
{
	struct quoll_port_settings settings = {.mtu = 9000, .offloads = QUOLL_OFFLOAD_RX_SCATTER};
	struct quoll_port_stats stats;
	struct quoll_buf *bufs[4];
	struct quoll_port *port;
	struct fix f;

	fix_open(&f);
	port = fake_port(&f, &settings);
	bufs[0] = fix_frame(f.caches[0], 300, 3);
	bufs[1] = fix_frame(f.caches[0], 300, 3);
	bufs[1]->nr_links = 2; /* which is not so */
	bufs[2] = fix_frame(f.caches[0], 60, 1);
	bufs[3] = fix_frame(f.caches[0], 10000, 8);
	CU_ASSERT_EQUAL(quoll_tx(quoll_port_txq(port, 0), bufs, 4), 4);
	CU_ASSERT_EQUAL_FATAL(rings->producers[FAKE_TX], 4);
	for (int i = 0; i < 4; i++)
		CU_ASSERT_EQUAL(rings->tx[i].options, i < 2 ? XDP_PKT_CONTD : 0);
	quoll_port_stats(port, &stats);
	CU_ASSERT_EQUAL(stats.tx_bad, 2);
	CU_ASSERT_EQUAL(stats.tx_packets, 2);
	CU_ASSERT_EQUAL(stats.tx_bytes, 360);
	fake_send_all(rings);
	quoll_port_close(port);
	fix_close(&f);
}

static void frames_of_other_pools_are_copied(void)
{
	struct quoll_pool_opts opts = {.nr_bufs = 64, .buf_bytes = 1024, .headroom_bytes = 64};
	struct quoll_buf_cache *cache;
	struct quoll_pool *other;
	struct quoll_buf *bufs[10];
	struct quoll_port_stats stats;
	struct quoll_port *port;
	struct fix f;

	fix_open(&f);
	CU_ASSERT_EQUAL_FATAL(quoll_pool_create(f.arena, &opts, &other, &f.err), 0);
	CU_ASSERT_EQUAL_FATAL(quoll_buf_cache_create(other, 32, &cache, &f.err), 0);
	port = fake_port(&f, NULL);
	bufs[0] = fix_frame(cache, 1000, 2);
	memset(quoll_buf_data(bufs[0]), 1, 500);
	memset(quoll_buf_data(bufs[0]->next), 2, 500);
	CU_ASSERT_EQUAL(quoll_tx(quoll_port_txq(port, 0), bufs, 1), 1);
	CU_ASSERT_EQUAL(rings->tx[0].len, 1000);
	for (int i = 0; i < 1000; i++)
		CU_ASSERT_EQUAL(to_xdp(port)->socks[0]->map.base[rings->tx[0].addr + i], i < 500 ? 1 : 2);
	CU_ASSERT_EQUAL(quoll_counted(&to_xdp(port)->socks[0]->nr_copied), 1);
	/* Its buffers are home. */
	CU_ASSERT_EQUAL(quoll_pool_nr_free(other), 64);
	quoll_port_stats(port, &stats);
	CU_ASSERT_EQUAL(stats.tx_packets, 1);
	CU_ASSERT_EQUAL(stats.tx_bad, 0);
	quoll_port_close(port);
	quoll_buf_cache_destroy(cache);
	CU_ASSERT_EQUAL(quoll_pool_destroy(other), 0);
	fix_close(&f);
}

static void every_buffer_is_found_by_its_offset(void)
{
	static const uint32_t strides[] = {64, 2048, 2176, 4096, 9344, 65600};
	struct quoll_buf bufs[1];

	for (size_t s = 0; s < sizeof(strides) / sizeof(strides[0]); s++) {
		struct xdp_umem_map map = {
			.first = 192, .stride = strides[s], .bufs = bufs, .magic = UINT64_MAX / strides[s] + 1};

		for (uint64_t i = 0; i < 1u << 20; i += 1 + i / 64) {
			CU_ASSERT_EQUAL(xdp_map_index(&map, map.first + i * strides[s]), i);
			CU_ASSERT_EQUAL(xdp_map_index(&map, map.first + (i + 1) * strides[s] - 1), i);
		}
	}
}

static bool wakes(int fd)
{
	struct pollfd look = {.fd = fd, .events = POLLIN};

	return poll(&look, 1, 0) == 1;
}

static void only_who_sleeps_is_woken(void)
{
	struct quoll_port *port;
	struct quoll_rxq *q;
	struct xdp_sock *sock;
	int ends[2];
	struct fix f;
	char byte;

	fix_open(&f);
	port = fake_port(&f, NULL);
	q = quoll_port_rxq(port, 0);
	sock = to_xdp(port)->socks[0];
	CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	sock->fd = ends[0];
	sock->wake_fd = epoll_create1(EPOLL_CLOEXEC);
	for (int turn = 0; turn < 3; turn++) {
		CU_ASSERT_EQUAL(net_xdp.arm(q), 0);
		CU_ASSERT_FALSE(wakes(sock->wake_fd));
		CU_ASSERT_EQUAL(write(ends[1], "", 1), 1);
		CU_ASSERT(wakes(sock->wake_fd));
		net_xdp.disarm(q);
		CU_ASSERT_FALSE(wakes(sock->wake_fd));
		/* What was there before wakes, too; so does a second arm without a disarm. */
		CU_ASSERT_EQUAL(net_xdp.arm(q), 0);
		CU_ASSERT_EQUAL(net_xdp.arm(q), 0);
		CU_ASSERT(wakes(sock->wake_fd));
		net_xdp.disarm(q);
		CU_ASSERT_EQUAL(read(ends[0], &byte, 1), 1);
	}
	/* There is work: nobody sleeps, and nobody waits. */
	fake_frame(port, rings, 60, 1, false);
	CU_ASSERT_EQUAL(net_xdp.arm(q), 1);
	CU_ASSERT_EQUAL(write(ends[1], "", 1), 1);
	CU_ASSERT_FALSE(wakes(sock->wake_fd));
	net_xdp.disarm(q);
	sock->fd = -1;
	close(ends[0]);
	close(ends[1]);
	quoll_port_close(port);
	fix_close(&f);
}

static const struct unit_test tests[] = {
	{"frames come in the pool's own buffers", frames_come_in_the_pools_own_buffers},
	{"entries that make no sense are dropped and counted", entries_that_make_no_sense_are_dropped_and_counted},
	{"each ring gives back its own", each_ring_gives_back_its_own},
	{"completions without end keep nobody", completions_without_end_keep_nobody},
	{"parts make one frame", parts_make_one_frame},
	{"a frame too long is dropped with all its parts", a_frame_too_long_is_dropped_with_all_its_parts},
	{"the fill ring is kept full, or says so", the_fill_ring_is_kept_full_or_says_so},
	{"room in the fill ring may come after the frames", room_in_the_fill_ring_may_come_after_the_frames},
	{"frames sent come back once", frames_sent_come_back_once},
	{"chains are sent link by link", chains_are_sent_link_by_link},
	{"frames of other pools are copied", frames_of_other_pools_are_copied},
	{"every buffer is found by its offset", every_buffer_is_found_by_its_offset},
	{"only who sleeps is woken", only_who_sleeps_is_woken},
};

UNIT_MAIN("xdp", tests)
