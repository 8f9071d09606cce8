/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_ns_file.c - a namespace in a file: data both ways, aligned or not, on a file system with and without O_DIRECT,
 * and a file that changes under it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "target/ns.h"

#include "unit.h"

#define MIB (1u << 20)

/* /tmp is often on a disk, /dev/shm never is. */
static const char *const places[] = {"/tmp", "/dev/shm"};

struct file {
	char path[64];
	char text[96];
	int fd;
	struct tgt_ns *ns;
	struct tgt_ns_chan *chan;
};

static union tgt_seg segs[TGT_MAX_SEGS];
static uint8_t *buffer, *again;

static void file_make(struct file *file, const char *place, const char *options)
{
	snprintf(file->path, sizeof(file->path), "%s/test_ns_file.XXXXXX", place);
	file->fd = mkstemp(file->path);
	CU_ASSERT_TRUE_FATAL(file->fd >= 0);
	CU_ASSERT_EQUAL_FATAL(ftruncate(file->fd, 4 * MIB), 0);
	snprintf(file->text, sizeof(file->text), "file:%s%s", file->path, options);
	CU_ASSERT_EQUAL_FATAL(tgt_ns_open(file->text, &file->ns, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(file->ns->ops->chan_open(file->ns, NULL, &file->chan, NULL), 0);
	buffer = aligned_alloc(4096, 4 * MIB);
	again = aligned_alloc(4096, 4 * MIB);
}

static void file_end(struct file *file)
{
	file->ns->ops->chan_close(file->chan);
	file->ns->ops->destroy(file->ns);
	close(file->fd);
	unlink(file->path);
	free(buffer);
	free(again);
}

/* Poll until @want requests have come back, ten seconds at most. */
static unsigned int finish(struct file *file, struct tgt_req **done, unsigned int want)
{
	time_t until = time(NULL) + 10;
	unsigned int n = 0;

	while (n < want && time(NULL) < until)
		n += file->ns->ops->poll(file->chan, done + n, want - n);
	return n;
}

static uint16_t run_req(struct file *file, struct tgt_req *req)
{
	struct tgt_req *list[1] = {req}, *done[1];

	if (!file->ns->ops->submit(file->chan, list, 1, done) && !finish(file, done, 1))
		return 0xffff;
	CU_ASSERT_PTR_EQUAL(done[0], req);
	return req->status;
}

static uint16_t run(struct file *file, enum tgt_op op, uint64_t offset, void *data, uint32_t bytes)
{
	struct iovec iov = {.iov_base = data, .iov_len = bytes};
	struct tgt_req req = {.op = op, .offset = offset, .bytes = bytes, .iov = &iov, .nr_iov = 1, .segs = segs};

	return run_req(file, &req);
}

static void pattern(uint8_t *bytes, size_t n, unsigned int seed)
{
	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)((i * 2654435761u >> 13) + seed);
}

static void written_data_is_in_the_file(void)
{
	for (size_t i = 0; i < 2; i++) {
		struct file file;

		file_make(&file, places[i], "");
		CU_ASSERT_EQUAL(file.ns->nr_lbas, 4 * MIB / 512);
		CU_ASSERT_TRUE(file.ns->volatile_cache);
		pattern(buffer, MIB, 1);
		CU_ASSERT_EQUAL(run(&file, TGT_OP_WRITE, 3 * 512, buffer, MIB), 0);
		CU_ASSERT_EQUAL(run(&file, TGT_OP_FLUSH, 0, NULL, 0), 0);
		CU_ASSERT_EQUAL(pread(file.fd, again, MIB, 3 * 512), MIB);
		CU_ASSERT_EQUAL(memcmp(buffer, again, MIB), 0);
		memset(again, 0, MIB);
		CU_ASSERT_EQUAL(run(&file, TGT_OP_READ, 3 * 512, again, MIB), 0);
		CU_ASSERT_EQUAL(memcmp(buffer, again, MIB), 0);
		file_end(&file);
	}
}

/* PRPs begin at any dword, SGLs at any byte. */
static void buffers_need_no_alignment(void)
{
	for (size_t i = 0; i < 2; i++) {
		struct file file;
		struct iovec out[2], in[2];
		struct tgt_req req = {.op = TGT_OP_WRITE, .offset = 4096, .bytes = 8192, .iov = out, .nr_iov = 2};

		file_make(&file, places[i], "?bs=4096");
		pattern(buffer, 20000, 2);
		out[0] = (struct iovec){buffer + 4, 4092};
		out[1] = (struct iovec){buffer + 8001, 4100};
		in[0] = (struct iovec){again + 12, 8191};
		in[1] = (struct iovec){again + 9999, 1};
		req.fua = true;
		CU_ASSERT_EQUAL(run_req(&file, &req), 0);
		req = (struct tgt_req){.op = TGT_OP_READ, .offset = 4096, .bytes = 8192, .iov = in, .nr_iov = 2};
		CU_ASSERT_EQUAL(run_req(&file, &req), 0);
		CU_ASSERT_EQUAL(memcmp(again + 12, buffer + 4, 4092), 0);
		CU_ASSERT_EQUAL(memcmp(again + 12 + 4092, buffer + 8001, 4099), 0);
		CU_ASSERT_EQUAL(again[9999], buffer[8001 + 4099]);
		file_end(&file);
	}
}

static void compare_finds_the_byte_that_differs(void)
{
	struct file file;

	file_make(&file, places[0], "");
	pattern(buffer, 8192, 3);
	run(&file, TGT_OP_WRITE, 0, buffer, 8192);
	CU_ASSERT_EQUAL(run(&file, TGT_OP_COMPARE, 0, buffer, 8192), 0);
	buffer[8191] ^= 1;
	CU_ASSERT_EQUAL(run(&file, TGT_OP_COMPARE, 0, buffer, 8192) & 0x7ff, 0x285);
	file_end(&file);
}

/* By the list it is found out whether the host may take that memory away: see tgt_ctrl_uses(). */
static void the_list_names_the_hosts_memory_to_the_end(void)
{
	static const enum tgt_op ops[] = {TGT_OP_COMPARE, TGT_OP_READ, TGT_OP_WRITE};

	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		struct file file;
		struct iovec iov = {.iov_len = 8192};
		struct tgt_req req = {.op = ops[i], .bytes = 8192, .iov = &iov, .nr_iov = 1};
		struct tgt_req *list[1] = {&req}, *done[1];

		file_make(&file, places[0], "");
		memset(buffer, 0, 2 * 8192);
		iov.iov_base = buffer + 12; /* of no use for O_DIRECT */
		/* Nothing is finished but by poll. */
		CU_ASSERT_EQUAL(file.ns->ops->submit(file.chan, list, 1, done), 0);
		CU_ASSERT_TRUE(req.nr_iov == 1 && req.iov->iov_base == buffer + 12 && req.iov->iov_len == 8192);
		CU_ASSERT_EQUAL(finish(&file, done, 1), 1);
		CU_ASSERT_EQUAL(req.status, 0);
		if (ops[i] == TGT_OP_COMPARE)
			CU_ASSERT_TRUE(req.nr_iov == 1 && req.iov->iov_base == buffer + 12);
		file_end(&file);
	}
}

static bool zero(const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (bytes[i])
			return false;
	return true;
}

static void zeroes_and_discards_clear_what_they_name(void)
{
	for (size_t i = 0; i < 2; i++) {
		struct file file;
		struct tgt_req req = {.op = TGT_OP_DISCARD, .nr_iov = 2, .segs = segs};

		file_make(&file, places[i], "");
		memset(buffer, 0xaa, 2 * MIB);
		run(&file, TGT_OP_WRITE, 0, buffer, 2 * MIB);
		CU_ASSERT_EQUAL(run(&file, TGT_OP_ZEROES, 512, NULL, 300 * 512), 0);
		req.segs[0].extent.offset = MIB;
		req.segs[0].extent.len = 65536;
		req.segs[1].extent.offset = MIB + 512 * 1024;
		req.segs[1].extent.len = 4096;
		CU_ASSERT_EQUAL(run_req(&file, &req), 0);
		CU_ASSERT_EQUAL(pread(file.fd, again, 2 * MIB, 0), 2 * MIB);
		CU_ASSERT_EQUAL(memcmp(again, buffer, 512), 0);
		CU_ASSERT_TRUE(zero(again + 512, 300 * 512));
		CU_ASSERT_EQUAL(memcmp(again + 301 * 512, buffer, MIB - 301 * 512), 0);
		CU_ASSERT_TRUE(zero(again + MIB, 65536));
		CU_ASSERT_EQUAL(memcmp(again + MIB + 65536, buffer, 4096), 0);
		CU_ASSERT_TRUE(zero(again + MIB + 512 * 1024, 4096));
		CU_ASSERT_EQUAL(again[MIB + 512 * 1024 + 4096], 0xaa);
		/* None at all is a discard too. */
		req.nr_iov = 0;
		req.cursor = 0;
		CU_ASSERT_EQUAL(run_req(&file, &req), 0);
		file_end(&file);
	}
}

static void a_batch_is_more_than_the_ring_holds(void)
{
	enum { N = 700 };
	static struct tgt_req reqs[N];
	static struct iovec iov[N];
	struct tgt_req *list[TGT_MAX_BATCH], *done[N];
	unsigned int nr_done = 0, wrong = 0;
	struct file file;

	file_make(&file, places[1], "");
	pattern(buffer, N * 512, 5);
	for (unsigned int at = 0; at < N; at += TGT_MAX_BATCH) {
		unsigned int n = N - at < TGT_MAX_BATCH ? N - at : TGT_MAX_BATCH;

		for (unsigned int i = 0; i < n; i++) {
			iov[at + i] = (struct iovec){buffer + (at + i) * 512, 512};
			reqs[at + i] = (struct tgt_req){.op = TGT_OP_WRITE,
							.offset = (at + i) * 512,
							.bytes = 512,
							.iov = &iov[at + i],
							.nr_iov = 1};
			list[i] = &reqs[at + i];
		}
		nr_done += file.ns->ops->submit(file.chan, list, n, done + nr_done);
	}
	nr_done += finish(&file, done + nr_done, N - nr_done);
	CU_ASSERT_EQUAL(nr_done, N);
	for (unsigned int i = 0; i < nr_done; i++)
		wrong += done[i]->status != 0;
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT_EQUAL(pread(file.fd, again, N * 512, 0), N * 512);
	CU_ASSERT_EQUAL(memcmp(buffer, again, N * 512), 0);
	file_end(&file);
}

static void a_file_that_has_shrunk_is_a_read_error(void)
{
	for (size_t i = 0; i < 2; i++) {
		struct file file;

		file_make(&file, places[i], "");
		CU_ASSERT_EQUAL(ftruncate(file.fd, MIB), 0);
		CU_ASSERT_EQUAL(run(&file, TGT_OP_READ, 2 * MIB, buffer, 4096), TGT_SC_MEDIA(READ_ERROR));
		CU_ASSERT_EQUAL(run(&file, TGT_OP_READ, MIB - 4096, buffer, 8192), TGT_SC_MEDIA(READ_ERROR));
		CU_ASSERT_EQUAL(run(&file, TGT_OP_COMPARE, 2 * MIB, buffer, 4096), TGT_SC_MEDIA(READ_ERROR));
		CU_ASSERT_EQUAL(run(&file, TGT_OP_READ, 0, buffer, 4096), 0);
		file_end(&file);
	}
}

static void files_that_make_no_namespace_are_explained(void)
{
	char path[] = "/tmp/test_ns_file.XXXXXX", text[64];
	int fd = mkstemp(path);
	struct quoll_error err = {0};
	struct tgt_ns *ns, *first;

	snprintf(text, sizeof(text), "file:%s", path);
	CU_ASSERT_EQUAL(tgt_ns_open(text, &ns, &err), -EINVAL); /* empty */
	CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "truncate"));
	CU_ASSERT_EQUAL(ftruncate(fd, MIB), 0);
	CU_ASSERT_EQUAL(tgt_ns_open(text, &first, &err), 0);
	CU_ASSERT_EQUAL(tgt_ns_open(text, &ns, &err), -EBUSY);
	first->ops->destroy(first);
	CU_ASSERT_EQUAL(tgt_ns_open(text, &first, &err), 0);
	first->ops->destroy(first);
	close(fd);
	unlink(path);
	err.hint[0] = '\0';
	CU_ASSERT_EQUAL(tgt_ns_open(text, &ns, &err), -ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.hint, "truncate"));
	CU_ASSERT_EQUAL(tgt_ns_open("file:/tmp", &ns, &err), -EISDIR);
	CU_ASSERT_EQUAL(tgt_ns_open("file:/dev/null", &ns, &err), -EINVAL);
}

static void a_file_keeps_its_uuid(void)
{
	struct file file;
	uint8_t uuid[16];

	file_make(&file, places[1], "");
	memcpy(uuid, file.ns->uuid, 16);
	CU_ASSERT_EQUAL(uuid[6] >> 4, 8);
	file.ns->ops->chan_close(file.chan);
	file.ns->ops->destroy(file.ns);
	CU_ASSERT_EQUAL_FATAL(tgt_ns_open(file.text, &file.ns, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(file.ns->ops->chan_open(file.ns, NULL, &file.chan, NULL), 0);
	CU_ASSERT_EQUAL(memcmp(uuid, file.ns->uuid, 16), 0);
	file_end(&file);
}

static const struct unit_test tests[] = {
	{"written data is in the file", written_data_is_in_the_file},
	{"buffers need no alignment", buffers_need_no_alignment},
	{"Compare finds the byte that differs", compare_finds_the_byte_that_differs},
	{"the list names the host's memory to the end", the_list_names_the_hosts_memory_to_the_end},
	{"zeroes and discards clear what they name", zeroes_and_discards_clear_what_they_name},
	{"more requests than the ring holds come back, each once", a_batch_is_more_than_the_ring_holds},
	{"a file that has shrunk is a read error", a_file_that_has_shrunk_is_a_read_error},
	{"files that make no namespace are explained", files_that_make_no_namespace_are_explained},
	{"a file keeps its UUID", a_file_keeps_its_uuid},
};

UNIT_MAIN("apps/target/ns_file", tests)
