/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_hostile.c - front ends and guests that lie: messages, memory tables, rings, descriptors, files. What they say is
 * refused, dropped and counted, no file stays open, and the next front end is served as if nothing had been.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "front.h"
#include "net/vhost/vhost.h"

/* Whoever comes next is served. */
static void check_next(struct front *f)
{
	struct quoll_buf *buf;

	front_disconnect(f);
	front_await_link(f, false);
	front_connect(f);
	front_hello(f);
	CU_ASSERT_TRUE(front_link(f));
	front_send_frame(f, 0, 1, 'n', 60);
	CU_ASSERT_EQUAL_FATAL(front_rx(f, 0, &buf, 1), 1);
	CU_ASSERT_TRUE(front_is(buf, 'n', 60));
	front_post(f, 0, 1, FRONT_BUF_BYTES);
	CU_ASSERT_EQUAL(front_tx(f, 0, &buf, 1), 1);
}

/* Messages. */

static void every_request_in_every_wrong_shape_is_survived(void)
{
	static const uint32_t lengths[] = {0, 1, 7, 8, 9, 24, 39, 40, 41, 264, 512};
	uint8_t payload[512];
	struct front f;

	front_up(&f, 0, 1);
	for (uint32_t request = 0; request < 50; request++)
		for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
			for (unsigned int fill = 0; fill < 2; fill++) {
				int fds[8] = {f.mem_fd, f.mem_fd, f.mem_fd, f.mem_fd};

				memset(payload, fill ? 0xff : 0, sizeof(payload));
				front_send(&f, request, payload, lengths[i], fds, i % 5);
				front_turn(&f);
				front_turn(&f);
				if (f.conn.error || recv(f.conn.fd, payload, sizeof(payload), MSG_DONTWAIT) == 0) {
					front_disconnect(&f);
					front_turn(&f);
					front_connect(&f);
				}
			}
	CU_ASSERT_TRUE(front_xstat(&f, "sessions_ended_as_bad") > 100);
	check_next(&f);
	front_close(&f);
}

static void what_is_refused_without_an_answer_ends_the_session(void)
{
	static const struct {
		uint32_t request;
		uint64_t value;
	} lies[] = {
		{VHOST_SET_FEATURES, UINT64_MAX},
		{VHOST_SET_FEATURES, 0}, /* before version 1 */
		{VHOST_SET_PROTOCOL_FEATURES, UINT64_MAX},
		{VHOST_SET_VRING_NUM, 0}, /* ring 0, none */
		{VHOST_SET_VRING_NUM, UINT64_C(32769) << 32},
		{VHOST_SET_VRING_NUM, 2 | UINT64_C(256) << 32}, /* no such ring */
		{VHOST_SET_VRING_ENABLE, UINT64_C(2) << 32},
		{VHOST_SET_VRING_ENABLE, UINT32_MAX},
		{VHOST_GET_VRING_BASE, 2},
		{VHOST_SET_VRING_BASE, UINT32_MAX},
		{VHOST_SET_VRING_KICK, 0}, /* no file, and it does not say so */
		{VHOST_SET_VRING_CALL, 2 | VHOST_VRING_NO_FD},
		{VHOST_SET_VRING_ERR, UINT64_MAX},
		{VHOST_SET_LOG_BASE, 0},
		{VHOST_SET_BACKEND_REQ_FD, 0},
		{1000000, 0},
	};
	struct front f;

	front_up(&f, 0, 1);
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		front_send(&f, lies[i].request, &lies[i].value, 8, NULL, 0);
		CU_ASSERT_TRUE(front_is_gone(&f));
		CU_ASSERT_EQUAL(front_xstat(&f, "sessions_ended_as_bad"), i + 1);
		check_next(&f);
	}
	front_close(&f);
}

/* One that comes back at once: a few lines, then one a second. */
static void who_is_sent_away_again_and_again_does_not_fill_the_log(void)
{
	static const uint64_t lie = UINT64_MAX;
	uint64_t before = fd_socket_now_ns(), seconds;
	struct front f;

	front_up(&f, 0, 1);
	for (unsigned int i = 0; i < 100; i++) {
		front_send(&f, VHOST_SET_FEATURES, &lie, sizeof(lie), NULL, 0);
		CU_ASSERT_TRUE(front_is_gone(&f));
		front_disconnect(&f);
		front_turn(&f);
		front_connect(&f);
		front_turn(&f);
	}
	CU_ASSERT_EQUAL(front_xstat(&f, "sessions_ended_as_bad"), 100);
	CU_ASSERT_EQUAL(front_xstat(&f, "requests_refused"), 100);
	seconds = (fd_socket_now_ns() - before) / 1000000000 + 1;
	/* Of the request, and of the session. */
	CU_ASSERT_TRUE(f.fix.nr_warnings >= 2 * 4 && f.fix.nr_warnings <= 2 * (4 + seconds));
	check_next(&f);
	front_close(&f);
}

static void files_of_the_wrong_kind_are_refused(void)
{
	static const uint32_t requests[] = {VHOST_SET_VRING_KICK, VHOST_SET_VRING_CALL};
	int fds[4], pipes[2];
	struct front f;

	front_up(&f, 0, 1);
	CU_ASSERT_EQUAL_FATAL(pipe2(pipes, O_CLOEXEC), 0);
	fds[0] = pipes[0];
	fds[1] = pipes[1];
	fds[2] = f.mem_fd;
	fds[3] = open("/dev/zero", O_RDWR | O_CLOEXEC);
	for (unsigned int i = 0; i < 8; i++) {
		uint64_t what = 1;

		CU_ASSERT_EQUAL(front_ask(&f, requests[i / 4], &what, sizeof(what), &fds[i % 4], 1), 1);
	}
	close(pipes[0]);
	close(pipes[1]);
	close(fds[3]);
	check_next(&f);
	front_close(&f);
}

static void a_message_cut_short_does_not_stop_the_queues(void)
{
	struct vhost_header header = {.request = VHOST_SET_FEATURES, .flags = VHOST_FLAG_VERSION, .bytes = 8};
	struct quoll_buf *buf;
	struct front f;

	front_up(&f, 0, 1);
	CU_ASSERT_EQUAL(send(f.conn.fd, &header, 7, 0), 7);
	front_turn(&f);
	front_send_frame(&f, 0, 1, 'a', 60);
	CU_ASSERT_EQUAL_FATAL(front_rx(&f, 0, &buf, 1), 1);
	front_put(&f, &buf, 1);
	check_next(&f);
	front_close(&f);
}

/* Memory. */

static void memory_tables_that_lie_are_refused(void)
{
	struct vhost_mem_table table = {.nr_regions = 2, .regions = {front_region(), front_region()}};
	const struct vhost_mem_table good = table;
	struct vhost_region *second = &table.regions[1];
	int fds[2];
	struct front f;

	front_up(&f, 0, 1);
	fds[0] = fds[1] = f.mem_fd;
	for (unsigned int lie = 0; lie < 13; lie++) {
		unsigned int nr_fds = 2;

		table = good;
		table.regions[0].bytes = second->bytes = 8192;
		second->guest_addr += 8192;
		second->user_addr += 8192;
		if (lie == 1)
			second->guest_addr -= 1; /* they overlap */
		else if (lie == 2)
			second->user_addr -= 1;
		else if (lie == 3)
			second->bytes = 0;
		else if (lie == 4)
			second->guest_addr = UINT64_MAX - 4096;
		else if (lie == 5)
			second->user_addr = UINT64_MAX - 4096;
		else if (lie == 6)
			second->mmap_offset = FRONT_BYTES - 4096; /* beyond the file */
		else if (lie == 7)
			second->mmap_offset = UINT64_MAX - 4095;
		else if (lie == 8)
			second->bytes = FRONT_BYTES + 1;
		else if (lie == 9)
			table.nr_regions = 3;
		else if (lie == 10)
			nr_fds = 1;
		else if (lie == 11)
			second->user_addr += 8; /* no mapping of that place in the file lies there */
		else if (lie == 12)
			second->mmap_offset = 8;
		CU_ASSERT_EQUAL(front_ask(&f, VHOST_SET_MEM_TABLE, &table, 72, fds, nr_fds), lie ? 1 : 0);
	}
	table.nr_regions = UINT32_MAX;
	CU_ASSERT_EQUAL(front_ask(&f, VHOST_SET_MEM_TABLE, &table, 72, fds, 2), 1);
	check_next(&f);
	front_close(&f);
}

static void more_slots_than_there_are_are_refused(void)
{
	struct vhost_mem_reg reg = {.region = front_region()};
	unsigned int nr = 1;
	struct front f;

	front_up(&f, 0, 1);
	reg.region.bytes = 4096;
	do {
		reg.region.guest_addr += FRONT_BYTES;
		reg.region.user_addr += FRONT_BYTES;
	} while (!front_ask(&f, VHOST_ADD_MEM_REG, &reg, sizeof(reg), &f.mem_fd, 1) && nr++ < 1000);
	CU_ASSERT_TRUE(front_get(&f, VHOST_GET_MAX_MEM_SLOTS, NULL, 0));
	CU_ASSERT_EQUAL(f.conn.payload.u64, nr);
	check_next(&f);
	front_close(&f);
}

static void rings_outside_of_the_memory_are_not_used(void)
{
	static const uint64_t wrong[] = {0, FRONT_GUEST, FRONT_USER + FRONT_BYTES - 16, UINT64_MAX & ~UINT64_C(15)};
	struct front f;

	front_up(&f, 0, 1);
	for (unsigned int field = 0; field < 3; field++)
		for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
			struct vhost_vring_addr addr = {.idx = 1,
							.desc = FRONT_USER,
							.avail = FRONT_USER + FRONT_AVAIL,
							.used = FRONT_USER + FRONT_USED};

			*(field == 0 ? &addr.desc : field == 1 ? &addr.avail : &addr.used) = wrong[i];
			CU_ASSERT_EQUAL(front_ask_state(&f, VHOST_SET_VRING_ENABLE, 0, 0), 0);
			CU_ASSERT_EQUAL(front_ask(&f, VHOST_SET_VRING_ADDR, &addr, sizeof(addr), NULL, 0), 0);
			CU_ASSERT_FALSE(front_link(&f));
		}
	check_next(&f);
	front_close(&f);
}

static void rings_that_cannot_be_end_the_session(void)
{
	struct vhost_vring_addr addr = {
		.idx = 1, .desc = FRONT_USER, .avail = FRONT_USER + FRONT_AVAIL, .used = FRONT_USER + FRONT_USED};
	struct front f;

	front_up(&f, 0, 1);
	for (unsigned int lie = 0; lie < 4; lie++) {
		struct vhost_vring_addr wrong = addr;
		struct vhost_vring_state state = {.idx = 1, .num = 255};

		wrong.desc += lie == 0 ? 8 : 0;
		wrong.avail += lie == 1 ? 1 : 0;
		wrong.used += lie == 2 ? 2 : 0;
		if (lie == 3)
			front_send(&f, VHOST_SET_VRING_NUM, &state, sizeof(state), NULL, 0);
		else
			front_send(&f, VHOST_SET_VRING_ADDR, &wrong, sizeof(wrong), NULL, 0);
		CU_ASSERT_TRUE(front_is_gone(&f));
		check_next(&f);
	}
	front_close(&f);
	/* Packed ones need not be a power of two, but begin within. */
	front_up(&f, VIRTIO_F_RING_PACKED, 1);
	f.rings[1].size = 255;
	front_start_ring(&f, 1);
	CU_ASSERT_TRUE(front_link(&f));
	CU_ASSERT_EQUAL(front_ask_state(&f, VHOST_SET_VRING_NUM, 1, 100), 0);
	front_send(&f, VHOST_SET_VRING_BASE, &(struct vhost_vring_state){1, 100}, 8, NULL, 0);
	CU_ASSERT_TRUE(front_is_gone(&f));
	check_next(&f);
	front_close(&f);
}

/* Files that are cut. */

static struct quoll_net *guarded;

static void on_bus_error(int sig, siginfo_t *info, void *context)
{
	(void)context;
	if (!guarded || !quoll_net_bus_error(guarded, info->si_addr))
		signal(sig, SIG_DFL);
}

static void memory_that_may_be_cut_needs_a_handler(void)
{
	struct sigaction sa = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO}, before;
	struct quoll_buf *bufs[4];
	struct front f;

	front_open(&f, "", 1);
	front_start(&f);
	front_memory(&f, false);
	front_connect(&f);
	front_send(&f, VHOST_SET_PROTOCOL_FEATURES, &(uint64_t){FRONT_PROTOCOL}, 8, NULL, 0);
	CU_ASSERT_EQUAL(front_set_mem_table(&f), 1);
	front_disconnect(&f);
	front_turn(&f);

	CU_ASSERT_EQUAL_FATAL(sigaction(SIGBUS, &sa, &before), 0);
	guarded = f.fix.net;
	quoll_net_guarded(f.fix.net);
	front_connect(&f);
	front_hello(&f);
	front_send_frame(&f, 0, 1, 'a', 60);
	CU_ASSERT_EQUAL(front_rx(&f, 0, bufs, 4), 1);
	front_put(&f, bufs, 1);
	/* In front of all that it looks at. */
	CU_ASSERT_EQUAL(ftruncate(f.mem_fd, 0), 0);
	CU_ASSERT_EQUAL(front_rx(&f, 0, bufs, 4), 0);
	bufs[0] = front_make(&f, 'x', 60, 1);
	if (!front_tx(&f, 0, bufs, 1))
		front_put(&f, bufs, 1);
	CU_ASSERT_TRUE(front_is_gone(&f));
	CU_ASSERT_EQUAL(front_xstat(&f, "sessions_ended_as_bad"), 1);
	CU_ASSERT_EQUAL(ftruncate(f.mem_fd, FRONT_BYTES), 0);
	check_next(&f);
	guarded = NULL;
	sigaction(SIGBUS, &before, NULL);
	front_close(&f);
}

/* Rings and descriptors. */

/* A hole in a file of huge pages gives its page back, and there may be none when it is touched: SIGBUS, too. */
static void huge_pages_are_never_taken_for_sealed(void)
{
	int fd = memfd_create("huge", MFD_CLOEXEC | MFD_HUGETLB | MFD_ALLOW_SEALING);
	bool sealed = true;

	CU_ASSERT_TRUE_FATAL(fd >= 0);
	CU_ASSERT_EQUAL(ftruncate(fd, 2 << 20) | fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	CU_ASSERT_EQUAL(vhost_file_page_bytes(fd, 0, 2 << 20, &sealed), 2 << 20);
	CU_ASSERT_FALSE(sealed);
	close(fd);
}

static void set_avail_idx(struct front *f, unsigned int idx, uint16_t value)
{
	__atomic_store_n(&((struct virtq_avail *)(f->rings[idx].mem + FRONT_AVAIL))->idx, value, __ATOMIC_RELEASE);
}

static void indexes_that_jump_end_the_session(void)
{
	static const uint16_t jumps[] = {FRONT_SIZE + 1, 32768, UINT16_MAX};
	struct quoll_buf *bufs[64];
	struct front f;

	front_up(&f, 0, 1);
	for (unsigned int i = 0; i < 6; i++) {
		set_avail_idx(&f, i % 2, (uint16_t)(f.rings[i % 2].next + jumps[i / 2]));
		bufs[0] = front_make(&f, 'j', 60, 1);
		CU_ASSERT_EQUAL(front_tx(&f, 0, bufs, 1), 0);
		front_put(&f, bufs, 1);
		CU_ASSERT_EQUAL(front_rx(&f, 0, bufs, 64), 0);
		CU_ASSERT_TRUE(front_is_gone(&f));
		check_next(&f);
	}
	CU_ASSERT_EQUAL(front_xstat(&f, "sessions_ended_as_bad"), 6);
	front_close(&f);
}

static void heads_that_are_no_descriptor_end_the_session(void)
{
	struct quoll_buf *bufs[64];
	struct front f;

	front_up(&f, 0, 1);
	for (unsigned int idx = 0; idx < 2; idx++) {
		((struct virtq_avail *)(f.rings[idx].mem + FRONT_AVAIL))->ring[f.rings[idx].next % FRONT_SIZE] =
			FRONT_SIZE;
		set_avail_idx(&f, idx, (uint16_t)(f.rings[idx].next + 1));
		bufs[0] = front_make(&f, 'j', 60, 1);
		CU_ASSERT_EQUAL(front_tx(&f, 0, bufs, 1), 0);
		front_put(&f, bufs, 1);
		CU_ASSERT_EQUAL(front_rx(&f, 0, bufs, 64), 0);
		CU_ASSERT_TRUE(front_is_gone(&f));
		check_next(&f);
	}
	front_close(&f);
}

/* Each of these is dropped, given back, and does no harm to the frame behind it. */
static void descriptors_that_lie_are_dropped_with(uint64_t features)
{
	const uint64_t end = FRONT_GUEST + FRONT_BYTES;
	const struct front_desc lies[] = {
		{0, 100, 0},
		{end, 100, 0},
		{end - 99, 100, 0},
		{FRONT_GUEST - 1, 100, 0},
		{UINT64_MAX - 50, 100, 0},
		{front_buf(0), UINT32_MAX, 0},
		{front_buf(0), 0, 0},
		{front_buf(0), 11, 0},
		{front_buf(0), 12 + 13, 0},   /* a runt */
		{front_buf(0), 12 + 1519, 0}, /* longer than the mtu */
		{front_buf(0), 100, VIRTQ_DESC_WRITE},
		{front_buf(0), 100, VIRTQ_DESC_INDIRECT | VIRTQ_DESC_NEXT},
		{front_buf(0), 100, VIRTQ_DESC_INDIRECT}, /* not whole entries */
		{front_buf(0), 0, VIRTQ_DESC_INDIRECT},
		{end - 16, 32, VIRTQ_DESC_INDIRECT},
		{front_buf(0), 1u << 31, VIRTQ_DESC_INDIRECT},
	};
	const unsigned int nr = sizeof(lies) / sizeof(lies[0]);
	struct quoll_buf *bufs[64];
	unsigned int lied = 0;
	uint32_t bytes;
	uint16_t id;
	bool written;
	struct front f;

	front_up(&f, features | VIRTIO_F_INDIRECT_DESC, 1);
	memset(front_buf_va(&f, 0), 0, FRONT_BUF_BYTES);
	for (unsigned int i = 0; i < nr; i++) {
		/* It has a next one with packed rings, and is one chain with it. */
		if (features && lies[i].flags & VIRTQ_DESC_NEXT)
			continue;
		front_chain(&f, 1, (uint16_t)(2 * i), &lies[i], 1);
		front_send_frame(&f, 0, (uint16_t)(2 * i + 1), 'g', 60);
		lied++;
	}
	CU_ASSERT_EQUAL_FATAL(front_rx(&f, 0, bufs, 64), lied);
	for (unsigned int i = 0; i < lied; i++)
		CU_ASSERT_TRUE(front_is(bufs[i], 'g', 60));
	front_put(&f, bufs, lied);
	CU_ASSERT_EQUAL(front_stats(&f).rx_bad, lied);
	for (unsigned int i = 0; i < 2 * lied; i++)
		CU_ASSERT_TRUE(front_used(&f, 1, &id, &bytes, &written));
	CU_ASSERT_TRUE(front_link(&f));
	front_close(&f);
}
BOTH(descriptors_that_lie_are_dropped)

static void buffers_that_lie_are_given_back_empty_with(uint64_t features)
{
	const uint64_t end = FRONT_GUEST + FRONT_BYTES;
	const struct front_desc lies[] = {
		{0, 100, VIRTQ_DESC_WRITE},
		{end - 71, 72, VIRTQ_DESC_WRITE},
		{front_buf(0), 2048, 0}, /* to be read */
		{UINT64_MAX, UINT32_MAX, VIRTQ_DESC_WRITE},
		{front_buf(0), 1, VIRTQ_DESC_INDIRECT},
	};
	struct quoll_buf *buf;
	uint32_t bytes;
	uint16_t id;
	bool written;
	struct front f;

	front_up(&f, features | VIRTIO_F_INDIRECT_DESC | VIRTIO_NET_F_MRG_RXBUF, 1);
	for (unsigned int i = 0; i < 5; i++)
		front_chain(&f, 0, (uint16_t)i, &lies[i], 1);
	front_post(&f, 0, 7, 72);
	buf = front_make(&f, 'b', 60, 1);
	CU_ASSERT_EQUAL_FATAL(front_tx(&f, 0, &buf, 1), 1);
	for (unsigned int i = 0; i < 5; i++) {
		CU_ASSERT_TRUE(front_used(&f, 0, &id, &bytes, &written));
		CU_ASSERT_EQUAL(bytes, 0);
	}
	CU_ASSERT_TRUE(front_used(&f, 0, &id, &bytes, &written));
	CU_ASSERT_EQUAL(id, 7);
	CU_ASSERT_EQUAL(bytes, 72);
	CU_ASSERT_EQUAL(front_buf_va(&f, 7)[12], 'b');
	CU_ASSERT_EQUAL(front_stats(&f).tx_packets, 1);
	CU_ASSERT_EQUAL(front_stats(&f).tx_bad, 5);
	front_close(&f);
}
BOTH(buffers_that_lie_are_given_back_empty)

/* Split: chains that loop, directly and in a table, or go on outside of it. */
static void chains_that_loop_have_an_end(void)
{
	struct virtq_desc *table;
	struct quoll_buf *bufs[8];
	struct front f;

	front_up(&f, VIRTIO_F_INDIRECT_DESC, 1);
	table = (void *)f.rings[1].mem;
	table[0] = (struct virtq_desc){front_buf(0), 1, VIRTQ_DESC_NEXT, 0};
	table[1] = (struct virtq_desc){front_buf(0), 1, VIRTQ_DESC_NEXT, FRONT_SIZE};
	table[2] = (struct virtq_desc){front_buf(0), 0, VIRTQ_DESC_NEXT, 3};
	table[3] = (struct virtq_desc){front_buf(0), 0, VIRTQ_DESC_NEXT, 2};
	table[4] = (struct virtq_desc){front_buf(1), 32, VIRTQ_DESC_INDIRECT, 0};
	table[5] = (struct virtq_desc){front_buf(2), 16, VIRTQ_DESC_INDIRECT, 0};
	((struct virtq_desc *)front_buf_va(&f, 1))[0] = (struct virtq_desc){front_buf(0), 0, VIRTQ_DESC_NEXT, 1};
	((struct virtq_desc *)front_buf_va(&f, 1))[1] = (struct virtq_desc){front_buf(0), 0, VIRTQ_DESC_NEXT, 0};
	/* A table in a table. */
	((struct virtq_desc *)front_buf_va(&f, 2))[0] = (struct virtq_desc){front_buf(2), 16, VIRTQ_DESC_INDIRECT, 0};
	for (uint16_t i = 0; i < 6; i++)
		((struct virtq_avail *)(f.rings[1].mem + FRONT_AVAIL))->ring[i] = i;
	set_avail_idx(&f, 1, 6);
	CU_ASSERT_EQUAL(front_rx(&f, 0, bufs, 8), 0);
	CU_ASSERT_EQUAL(front_stats(&f).rx_bad, 6);
	CU_ASSERT_TRUE(front_link(&f));
	front_close(&f);
}

static void a_packed_chain_without_end_ends_the_session(void)
{
	struct virtq_packed_desc *ring;
	struct quoll_buf *bufs[8];
	struct front f;

	front_up(&f, VIRTIO_F_RING_PACKED, 1);
	for (unsigned int idx = 0; idx < 2; idx++) {
		ring = (void *)f.rings[idx].mem;
		for (unsigned int i = 0; i < FRONT_SIZE; i++)
			ring[i] = (struct virtq_packed_desc){
				front_buf(0), 1, 0,
				(uint16_t)(VIRTQ_DESC_NEXT | VIRTQ_DESC_AVAIL | (idx ? 0 : VIRTQ_DESC_WRITE))};
		if (!idx) {
			bufs[0] = front_make(&f, 'x', 1500, 1);
			CU_ASSERT_EQUAL(front_tx(&f, 0, bufs, 1), 0);
			front_put(&f, bufs, 1);
		} else {
			CU_ASSERT_EQUAL(front_rx(&f, 0, bufs, 8), 0);
		}
		CU_ASSERT_TRUE(front_is_gone(&f));
		check_next(&f);
		if (!idx)
			for (unsigned int i = 0; i < 2; i++)
				front_ring_init(&f, i);
		f.rings[1].next = f.rings[0].next = 0;
		front_disconnect(&f);
		front_await_link(&f, false);
		front_connect(&f);
		front_hello(&f);
	}
	front_close(&f);
}

static void a_frame_of_countless_pieces_is_dropped_with(uint64_t features)
{
	struct front_desc descs[FRONT_SIZE];
	struct quoll_buf *bufs[2];
	struct front f;

	front_up(&f, features, 1);
	for (unsigned int i = 0; i < FRONT_SIZE; i++)
		descs[i] = (struct front_desc){front_buf(0), 1, 0};
	front_chain(&f, 1, 0, descs, FRONT_SIZE);
	memset(front_buf_va(&f, 0), 0, 1);
	/* 256 pieces are as many as are taken, so this one is a frame, of zeroes. */
	CU_ASSERT_EQUAL_FATAL(front_rx(&f, 0, bufs, 2), 1);
	CU_ASSERT_TRUE(front_is(bufs[0], 0, FRONT_SIZE - 12));
	front_put(&f, bufs, 1);
	front_close(&f);
}
BOTH(a_frame_of_countless_pieces_is_dropped)

static void inflight_memory_that_lies_is_refused(void)
{
	struct vhost_inflight good = {.nr_queues = 2, .queue_size = FRONT_SIZE}, what;
	struct front f;
	int fd;

	front_up(&f, VIRTIO_F_RING_PACKED, 1);
	CU_ASSERT_TRUE_FATAL(front_get(&f, VHOST_GET_INFLIGHT_FD, &good, sizeof(good)));
	good = f.conn.payload.in_flight;
	fd = vhost_take_fd(&f.conn, 0);
	for (unsigned int lie = 0; lie < 8; lie++) {
		what = good;
		what.mmap_bytes -= lie == 1 ? 64 : 0;
		what.mmap_bytes = lie == 2 ? UINT64_MAX : what.mmap_bytes;
		what.mmap_offset = lie == 3 ? 4096 : lie == 4 ? UINT64_MAX & ~UINT64_C(4095) : 0;
		what.nr_queues = lie == 5 ? 0 : lie == 6 ? 3 : what.nr_queues;
		what.queue_size = lie == 7 ? 0 : what.queue_size;
		CU_ASSERT_EQUAL(front_ask(&f, VHOST_SET_INFLIGHT_FD, &what, sizeof(what), &fd, 1), lie ? 1 : 0);
	}
	/* What is in it, too: a place that is none, chains longer than the ring. */
	front_disconnect(&f);
	front_await_link(&f, false);
	for (uint64_t at = 8; at < 4096; at += 2)
		CU_ASSERT_EQUAL(pwrite(fd, "\x01\xff", 2, (off_t)at), 2);
	for (uint64_t i = 0; i < 2; i++)
		CU_ASSERT_EQUAL(pwrite(fd, "\x01\x00\x00\x01", 4, (off_t)(i * good.mmap_bytes / 2 + 8)), 4);
	front_connect(&f);
	front_send(&f, VHOST_SET_PROTOCOL_FEATURES, &(uint64_t){FRONT_PROTOCOL}, 8, NULL, 0);
	CU_ASSERT_EQUAL(front_ask_u64(&f, VHOST_SET_FEATURES, f.features), 0);
	CU_ASSERT_EQUAL(front_set_mem_table(&f), 0);
	CU_ASSERT_EQUAL(front_ask(&f, VHOST_SET_INFLIGHT_FD, &good, sizeof(good), &fd, 1), 0);
	for (unsigned int i = 0; i < 2; i++) {
		front_ring_init(&f, i);
		front_start_ring(&f, i);
	}
	CU_ASSERT_TRUE(front_link(&f));
	close(fd);
	check_next(&f);
	front_close(&f);
}

static const struct unit_test tests[] = {
	{"every request in every wrong shape is survived", every_request_in_every_wrong_shape_is_survived},
	{"what is refused without an answer ends the session", what_is_refused_without_an_answer_ends_the_session},
	{"who is sent away again and again does not fill the log",
	 who_is_sent_away_again_and_again_does_not_fill_the_log},
	{"files of the wrong kind are refused", files_of_the_wrong_kind_are_refused},
	{"a message cut short does not stop the queues", a_message_cut_short_does_not_stop_the_queues},
	{"memory tables that lie are refused", memory_tables_that_lie_are_refused},
	{"more slots than there are are refused", more_slots_than_there_are_are_refused},
	{"rings outside of the memory are not used", rings_outside_of_the_memory_are_not_used},
	{"rings that cannot be end the session", rings_that_cannot_be_end_the_session},
	{"memory that may be cut needs a handler, and is survived with it", memory_that_may_be_cut_needs_a_handler},
	{"huge pages are never taken for sealed", huge_pages_are_never_taken_for_sealed},
	{"indexes that jump end the session", indexes_that_jump_end_the_session},
	{"heads that are no descriptor end the session", heads_that_are_no_descriptor_end_the_session},
	{"descriptors that lie are dropped", descriptors_that_lie_are_dropped},
	{"buffers that lie are given back empty", buffers_that_lie_are_given_back_empty},
	{"chains that loop have an end", chains_that_loop_have_an_end},
	{"a packed chain without end ends the session", a_packed_chain_without_end_ends_the_session},
	{"a frame of many pieces", a_frame_of_countless_pieces_is_dropped},
	{"inflight memory that lies is refused", inflight_memory_that_lies_is_refused},
};

UNIT_MAIN("drivers/net/vhost/hostile", tests)
