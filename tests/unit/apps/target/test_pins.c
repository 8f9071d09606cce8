/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_pins.c - registered memory: what goes through it, what doesn't, and that nothing of the host's stays pinned.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "target/pins.h"

#include "unit.h"

#define KIB 1024u
#define MIB (1u << 20)
#define IOVA 0x40000000ull
#define RW (TGT_GUEST_READ | TGT_GUEST_WRITE)

/* A namespace in a file, and a host with one piece of shared memory. */
struct world {
	char path[64];
	int file;
	struct tgt_ns *ns;
	struct tgt_ns_chan *chan;
	struct tgt_guest guest;
	int fd;
	uint8_t *va;
	size_t bytes;
};

static union tgt_seg segs[TGT_MAX_SEGS];

static void world_map(struct world *w, size_t bytes, unsigned int prot)
{
	w->fd = memfd_create("host", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	w->bytes = bytes;
	CU_ASSERT_EQUAL_FATAL(ftruncate(w->fd, (off_t)bytes), 0);
	w->va = mmap(w->va, bytes, prot == RW ? PROT_READ | PROT_WRITE : PROT_READ,
		     MAP_SHARED | (w->va ? MAP_FIXED : 0), w->fd, 0);
	CU_ASSERT_TRUE_FATAL(w->va != MAP_FAILED);
	CU_ASSERT_EQUAL_FATAL(
		tgt_guest_add(&w->guest,
			      &(struct tgt_guest_range){.iova = IOVA, .len = bytes, .va = w->va, .prot = prot}),
		0);
}

static void world_start(struct world *w, size_t bytes, unsigned int prot, const char *options)
{
	char text[96];

	*w = (struct world){.path = "/dev/shm/test_pins.XXXXXX"};
	w->file = mkstemp(w->path);
	CU_ASSERT_TRUE_FATAL(w->file >= 0 && !ftruncate(w->file, 4 * MIB));
	snprintf(text, sizeof(text), "file:%s%s", w->path, options);
	CU_ASSERT_EQUAL_FATAL(tgt_ns_open(text, &w->ns, NULL), 0);
	tgt_guest_init(&w->guest, NULL, NULL);
	world_map(w, bytes, prot);
	CU_ASSERT_EQUAL_FATAL(w->ns->ops->chan_open(w->ns, &w->guest, &w->chan, NULL), 0);
}

static void world_end(struct world *w)
{
	w->ns->ops->chan_close(w->chan);
	w->ns->ops->destroy(w->ns);
	tgt_guest_fini(&w->guest);
	munmap(w->va, w->bytes);
	close(w->fd);
	close(w->file);
	unlink(w->path);
}

static unsigned int finish(struct world *w, struct tgt_req **done, unsigned int want)
{
	time_t until = time(NULL) + 10;
	unsigned int n = 0;

	while (n < want && time(NULL) < until)
		n += w->ns->ops->poll(w->chan, done + n, want - n);
	return n;
}

static uint16_t run(struct world *w, enum tgt_op op, uint64_t offset, void *data, uint32_t bytes)
{
	struct iovec iov = {.iov_base = data, .iov_len = bytes};
	struct tgt_req req = {.op = op, .offset = offset, .bytes = bytes, .iov = &iov, .nr_iov = 1, .segs = segs};
	struct tgt_req *list[1] = {&req}, *done[1];

	if (!w->ns->ops->submit(w->chan, list, 1, done) && !finish(w, done, 1))
		return 0xffff;
	return req.status;
}

static void pattern(uint8_t *bytes, size_t n, unsigned int seed)
{
	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)((i * 2654435761u >> 13) + seed);
}

static bool counted(const struct world *w, uint64_t fixed, uint64_t plain, uint64_t copied, uint64_t refused)
{
	const struct tgt_ns_buffers *b = w->ns->buffers;

	return b->fixed == fixed && b->plain == plain && b->copied == copied && b->refused == refused;
}

/* Whether nobody but us knows pages of the host's: the kernel seals no file against writing whose pages are pinned. */
static bool nothing_is_pinned(const struct world *w)
{
	return !fcntl(w->fd, F_ADD_SEALS, F_SEAL_WRITE);
}

static void what_the_user_wants_registered_is(void)
{
	struct world w;

	world_start(&w, MIB, RW, "?registered=1");
	CU_ASSERT_EQUAL(w.ns->buffers->registered_bytes, 0);
	pattern(w.va, 64 * KIB, 1);
	CU_ASSERT_EQUAL(run(&w, TGT_OP_WRITE, 4096, w.va, 64 * KIB), 0);
	CU_ASSERT_EQUAL(w.ns->buffers->registered_bytes, MIB);
	CU_ASSERT_EQUAL(run(&w, TGT_OP_READ, 4096, w.va + 512 * KIB, 64 * KIB), 0);
	CU_ASSERT_EQUAL(memcmp(w.va, w.va + 512 * KIB, 64 * KIB), 0);
	CU_ASSERT_TRUE(counted(&w, 2, 0, 0, 0));
	world_end(&w);
}

static void it_is_plain_unless_wanted(void)
{
	struct world w;

	world_start(&w, MIB, RW, "");
	CU_ASSERT_EQUAL(run(&w, TGT_OP_READ, 0, w.va, 4096), 0);
	CU_ASSERT_TRUE(counted(&w, 0, 1, 0, 0));
	CU_ASSERT_EQUAL(w.ns->buffers->registered_bytes, 0);
	world_end(&w);
}

static bool may_lock(size_t bytes)
{
	struct rlimit limit;

	return !getrlimit(RLIMIT_MEMLOCK, &limit) && limit.rlim_cur >= 2 * bytes;
}

static void what_lies_in_two_pieces_is_plain(void)
{
	struct iovec iov[2];
	struct tgt_req req = {.op = TGT_OP_READ, .bytes = 8192, .iov = iov, .nr_iov = 2, .segs = segs};
	struct tgt_req *list[1] = {&req}, *done[1];
	struct world w;

	world_start(&w, TGT_PIN_BYTES + MIB, RW, "?registered=1");
	pattern(w.va, 8192, 2);
	CU_ASSERT_EQUAL(run(&w, TGT_OP_WRITE, 0, w.va, 8192), 0);
	if (w.ns->buffers->refused && !may_lock(w.bytes)) {
		printf("(not with so little locked memory) ");
		world_end(&w);
		return;
	}
	CU_ASSERT_EQUAL(w.ns->buffers->registered_bytes, TGT_PIN_BYTES);
	CU_ASSERT_EQUAL(run(&w, TGT_OP_READ, 0, w.va + TGT_PIN_BYTES - 4096, 8192), 0);
	CU_ASSERT_EQUAL(memcmp(w.va, w.va + TGT_PIN_BYTES - 4096, 8192), 0);
	CU_ASSERT_TRUE(counted(&w, 1, 1, 0, 0));
	CU_ASSERT_EQUAL(run(&w, TGT_OP_READ, 0, w.va + TGT_PIN_BYTES + 4096, 8192), 0);
	CU_ASSERT_EQUAL(w.ns->buffers->registered_bytes, TGT_PIN_BYTES + MIB);
	CU_ASSERT_EQUAL(memcmp(w.va, w.va + TGT_PIN_BYTES + 4096, 8192), 0);
	CU_ASSERT_TRUE(counted(&w, 2, 1, 0, 0));
	/* Both in one piece, but apart. */
	iov[0] = (struct iovec){w.va + 65536, 4096};
	iov[1] = (struct iovec){w.va + 16384, 4096};
	CU_ASSERT_TRUE(w.ns->ops->submit(w.chan, list, 1, done) || finish(&w, done, 1));
	CU_ASSERT_TRUE(!req.status && !memcmp(w.va + 4096, w.va + 16384, 4096));
	CU_ASSERT_TRUE(counted(&w, 2, 2, 0, 0));
	world_end(&w);
}

static void memory_that_is_taken_back_is_not_pinned_any_more(void)
{
	struct world w;
	uint8_t *va;
	int old;

	world_start(&w, MIB, RW, "?registered=1");
	pattern(w.va, 4096, 3);
	CU_ASSERT_EQUAL(run(&w, TGT_OP_WRITE, 0, w.va, 4096), 0);
	CU_ASSERT_EQUAL(w.ns->buffers->registered_bytes, MIB);
	va = w.va;
	CU_ASSERT_TRUE(mmap(va, MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == va);
	CU_ASSERT_FALSE(nothing_is_pinned(&w));
	CU_ASSERT_EQUAL(tgt_guest_remove(&w.guest, IOVA, MIB), 0);
	while (!w.ns->ops->forget(w.chan, va, MIB))
		;
	CU_ASSERT_EQUAL(w.ns->buffers->registered_bytes, 0);
	CU_ASSERT_TRUE(nothing_is_pinned(&w));
	/* Other memory in the same place is other memory. */
	old = w.fd;
	world_map(&w, MIB, RW);
	CU_ASSERT_EQUAL(run(&w, TGT_OP_READ, 0, w.va + 4096, 4096), 0);
	pattern(w.va, 4096, 3);
	CU_ASSERT_EQUAL(memcmp(w.va, w.va + 4096, 4096), 0);
	CU_ASSERT_TRUE(counted(&w, 2, 0, 0, 0));
	close(old);
	world_end(&w);
}

static void a_channel_that_closes_pins_nothing(void)
{
	struct world w;

	world_start(&w, MIB, RW, "?registered=1");
	CU_ASSERT_EQUAL(run(&w, TGT_OP_READ, 0, w.va, 4096), 0);
	w.ns->ops->chan_close(w.chan);
	CU_ASSERT_EQUAL(w.ns->buffers->registered_bytes, 0);
	munmap(w.va, MIB);
	CU_ASSERT_TRUE(nothing_is_pinned(&w));
	w.va = NULL;
	CU_ASSERT_EQUAL(tgt_guest_remove(&w.guest, IOVA, MIB), 0);
	close(w.fd);
	world_map(&w, MIB, RW);
	CU_ASSERT_EQUAL_FATAL(w.ns->ops->chan_open(w.ns, &w.guest, &w.chan, NULL), 0);
	world_end(&w);
}

static void memory_that_may_only_be_read_is_plain(void)
{
	struct world w;

	world_start(&w, MIB, TGT_GUEST_READ, "?registered=1");
	for (unsigned int i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(run(&w, TGT_OP_WRITE, 0, w.va, 4096), 0);
	CU_ASSERT_TRUE(counted(&w, 0, 3, 0, 1));
	CU_ASSERT_EQUAL(tgt_guest_remove(&w.guest, IOVA, MIB), 0);
	CU_ASSERT_TRUE(w.ns->ops->forget(w.chan, w.va, MIB));
	CU_ASSERT_EQUAL(tgt_guest_add(&w.guest, &(struct tgt_guest_range){IOVA, MIB, w.va, TGT_GUEST_READ}), 0);
	world_end(&w);
}

/* CAP_IPC_LOCK is to be without effect in this thread. */
static void cap_ipc_lock(bool effective)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	CU_ASSERT_EQUAL_FATAL(syscall(SYS_capget, &header, data), 0);
	data[0].effective &= ~(1u << CAP_IPC_LOCK);
	if (effective)
		data[0].effective |= data[0].permitted & 1u << CAP_IPC_LOCK;
	CU_ASSERT_EQUAL_FATAL(syscall(SYS_capset, &header, data), 0);
}

static void with_little_locked_memory_everything_works_and_is_plain(void)
{
	struct rlimit limit, little;
	struct world w;

	CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_MEMLOCK, &limit), 0);
	/* Rings count too, and need some of it. */
	little = (struct rlimit){.rlim_cur = 384 * KIB, .rlim_max = limit.rlim_max};
	CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_MEMLOCK, &little), 0);
	cap_ipc_lock(false);
	world_start(&w, MIB, RW, "?registered=1");
	pattern(w.va, 4096, 4);
	CU_ASSERT_EQUAL(run(&w, TGT_OP_WRITE, 0, w.va, 4096), 0);
	CU_ASSERT_EQUAL(run(&w, TGT_OP_COMPARE, 0, w.va, 4096), 0);
	CU_ASSERT_EQUAL(run(&w, TGT_OP_READ, 0, w.va + 8192, 4096), 0);
	CU_ASSERT_EQUAL(memcmp(w.va, w.va + 8192, 4096), 0);
	CU_ASSERT_TRUE(counted(&w, 0, 3, 1, 2));
	CU_ASSERT_EQUAL(w.ns->buffers->registered_bytes, 0);
	world_end(&w);
	cap_ipc_lock(true);
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
}

/* Compare always has one; those that are too many or too large are plain. */
static void copy_buffers_are_registered(void)
{
	enum { N = 40 };
	struct tgt_req reqs[N], *list[N], *done[N];
	struct iovec iov[N];
	unsigned int n;
	struct world w;

	world_start(&w, 4 * MIB, RW, "");
	pattern(w.va, 4 * MIB, 5);
	CU_ASSERT_EQUAL(run(&w, TGT_OP_WRITE, 0, w.va, 4 * MIB), 0);
	for (unsigned int i = 0; i < N; i++) {
		iov[i] = (struct iovec){w.va + i * 16 * KIB, 16 * KIB};
		reqs[i] = (struct tgt_req){.op = TGT_OP_COMPARE,
					   .offset = i * 16 * KIB,
					   .bytes = 16 * KIB,
					   .iov = &iov[i],
					   .nr_iov = 1,
					   .segs = segs};
		list[i] = &reqs[i];
	}
	n = w.ns->ops->submit(w.chan, list, TGT_MAX_BATCH, done);
	n += w.ns->ops->submit(w.chan, list + TGT_MAX_BATCH, N - TGT_MAX_BATCH, done + n);
	n += finish(&w, done + n, N - n);
	CU_ASSERT_EQUAL(n, N);
	for (unsigned int i = 0; i < n; i++)
		CU_ASSERT_EQUAL(done[i]->status, 0);
	CU_ASSERT_TRUE(counted(&w, 32, 1 + N - 32, N, 0));
	CU_ASSERT_EQUAL(run(&w, TGT_OP_COMPARE, 0, w.va, 32 * KIB), 0);
	CU_ASSERT_EQUAL(run(&w, TGT_OP_COMPARE, 0, w.va, 4096), 0);
	CU_ASSERT_TRUE(counted(&w, 33, 1 + N - 32 + 1, N + 2, 0));
	CU_ASSERT_EQUAL(w.ns->buffers->registered_bytes, 512 * KIB);
	world_end(&w);
}

/* A read that has to wait keeps its memory, whatever we say. */
static void memory_is_held_until_the_kernel_says_otherwise(void)
{
	struct tgt_ns_buffers counters = {.fixed = 0};
	struct io_uring_cqe *cqe;
	struct tgt_pins pins;
	struct io_uring ring;
	struct iovec iov;
	int pipe_fds[2], slot;
	struct world w;

	world_start(&w, MIB, RW, "");
	CU_ASSERT_EQUAL_FATAL(pipe(pipe_fds), 0);
	CU_ASSERT_EQUAL_FATAL(io_uring_queue_init(8, &ring, 0), 0);
	CU_ASSERT_EQUAL_FATAL(tgt_pins_init(&pins, &ring, &w.guest, &counters), 0);
	iov = (struct iovec){w.va, 4};
	slot = tgt_pins_find(&pins, &iov);
	CU_ASSERT_TRUE_FATAL(slot >= 0);
	io_uring_prep_read_fixed(io_uring_get_sqe(&ring), pipe_fds[0], w.va, 4, 0, slot);
	CU_ASSERT_EQUAL(io_uring_submit(&ring), 1);
	tgt_guest_remove(&w.guest, IOVA, MIB);
	CU_ASSERT_FALSE(tgt_pins_forget(&pins, w.va, MIB));
	CU_ASSERT_FALSE(tgt_pins_forget(&pins, w.va, MIB));
	CU_ASSERT_EQUAL(counters.registered_bytes, MIB);
	CU_ASSERT_EQUAL(tgt_pins_find(&pins, &iov), -1);
	CU_ASSERT_EQUAL(write(pipe_fds[1], "data", 4), 4);
	CU_ASSERT_EQUAL(io_uring_wait_cqe(&ring, &cqe), 0);
	CU_ASSERT_EQUAL(cqe->res, 4);
	CU_ASSERT_FALSE(tgt_pins_took(&pins, cqe->user_data));
	io_uring_cqe_seen(&ring, cqe);
	while (!tgt_pins_forget(&pins, w.va, MIB))
		;
	CU_ASSERT_EQUAL(counters.registered_bytes, 0);
	CU_ASSERT_EQUAL(memcmp(w.va, "data", 4), 0);
	tgt_pins_fini(&pins);
	io_uring_queue_exit(&ring);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	world_end(&w);
}

static void a_full_table_leaves_the_rest_plain(void)
{
	struct tgt_ns_buffers counters = {.fixed = 0};
	unsigned int nr_found = 0, nr_again = 0;
	struct tgt_pins pins;
	struct io_uring ring;
	struct world w;

	world_start(&w, (TGT_MAX_PINS + 2) * 4096, RW, "");
	tgt_guest_remove(&w.guest, IOVA, w.bytes);
	for (unsigned int i = 0; i < TGT_MAX_PINS + 2; i++)
		CU_ASSERT_EQUAL(tgt_guest_add(&w.guest,
					      &(struct tgt_guest_range){IOVA + i * 8192ull, 4096, w.va + i * 4096, RW}),
				0);
	CU_ASSERT_EQUAL_FATAL(io_uring_queue_init(8, &ring, 0), 0);
	CU_ASSERT_EQUAL_FATAL(tgt_pins_init(&pins, &ring, &w.guest, &counters), 0);
	for (unsigned int i = TGT_MAX_PINS + 2; i-- > 0;)
		nr_found += tgt_pins_find(&pins, &(struct iovec){w.va + i * 4096, 4096}) >= 0;
	CU_ASSERT_EQUAL(nr_found, TGT_MAX_PINS);
	tgt_pins_add(&pins, &w, sizeof(w)); /* of no effect */
	while (!tgt_pins_forget(&pins, w.va, w.bytes))
		;
	CU_ASSERT_EQUAL(counters.registered_bytes, 0);
	for (unsigned int i = 0; i < TGT_MAX_PINS; i++)
		nr_again += tgt_pins_find(&pins, &(struct iovec){w.va + i * 4096, 4096}) >= 0;
	CU_ASSERT_EQUAL(nr_again, TGT_MAX_PINS);
	tgt_pins_fini(&pins);
	io_uring_queue_exit(&ring);
	world_end(&w);
}

static const struct unit_test tests[] = {
	{"what the user wants registered is", what_the_user_wants_registered_is},
	{"it is plain unless wanted", it_is_plain_unless_wanted},
	{"what lies in two pieces is plain", what_lies_in_two_pieces_is_plain},
	{"memory that is taken back is not pinned any more", memory_that_is_taken_back_is_not_pinned_any_more},
	{"a channel that closes pins nothing", a_channel_that_closes_pins_nothing},
	{"memory that may only be read is plain", memory_that_may_only_be_read_is_plain},
	{"with little locked memory everything works, and is plain",
	 with_little_locked_memory_everything_works_and_is_plain},
	{"copy buffers are registered", copy_buffers_are_registered},
	{"memory is held until the kernel says otherwise", memory_is_held_until_the_kernel_says_otherwise},
	{"a full table leaves the rest plain", a_full_table_leaves_the_rest_plain},
};

UNIT_MAIN("apps/target/pins", tests)
