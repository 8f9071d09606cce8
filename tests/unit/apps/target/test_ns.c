/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_ns.c - namespaces from their addresses, and what the back ends in memory do with requests.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "target/ns.h"

#include "unit.h"

#define MIB (1u << 20)

static union tgt_seg segs[TGT_MAX_SEGS];

static struct tgt_ns *open_ns(const char *text)
{
	struct quoll_error err = {0};
	struct tgt_ns *ns = NULL;

	CU_ASSERT_EQUAL_FATAL(tgt_ns_open(text, &ns, &err), 0);
	return ns;
}

static bool readable(int fd)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};

	return poll(&pfd, 1, 0) == 1;
}

static uint16_t run(struct tgt_ns *ns, enum tgt_op op, uint64_t offset, void *data, uint32_t bytes)
{
	struct iovec iov = {.iov_base = data, .iov_len = bytes};
	struct tgt_req req = {.op = op, .offset = offset, .bytes = bytes, .iov = &iov, .nr_iov = 1, .segs = segs};
	struct tgt_req *list[1] = {&req};
	struct tgt_ns_chan *chan;
	uint16_t status = 0xffff;

	CU_ASSERT_EQUAL_FATAL(ns->ops->chan_open(ns, NULL, &chan, NULL), 0);
	if (!ns->ops->submit(chan, list, 1, list)) {
		CU_ASSERT_TRUE(readable(chan->fd));
		while (!ns->ops->poll(chan, list, 1))
			;
	}
	CU_ASSERT_PTR_EQUAL(list[0], &req);
	CU_ASSERT_FALSE(readable(chan->fd));
	status = list[0]->status;
	ns->ops->chan_close(chan);
	return status;
}

static bool all_bytes(const uint8_t *bytes, size_t n, uint8_t value)
{
	for (size_t i = 0; i < n; i++)
		if (bytes[i] != value)
			return false;
	return true;
}

static void sizes_and_blocks_come_from_the_address(void)
{
	struct tgt_ns *ns = open_ns("mem:3M");

	CU_ASSERT_EQUAL(ns->lba_shift, 9);
	CU_ASSERT_EQUAL(ns->nr_lbas, 3 * MIB / 512);
	CU_ASSERT_FALSE(ns->volatile_cache);
	CU_ASSERT_TRUE(ns->reads_zeroes);
	ns->ops->destroy(ns);
	ns = open_ns("mem:3M?bs=4096");
	CU_ASSERT_EQUAL(ns->lba_shift, 12);
	CU_ASSERT_EQUAL(ns->nr_lbas, 3 * MIB / 4096);
	ns->ops->destroy(ns);
	ns = open_ns("null:?size=5G");
	CU_ASSERT_EQUAL(ns->nr_lbas, 5ull * 1024 * MIB / 512);
	ns->ops->destroy(ns);
	/* What is left over at the end is not a block. */
	ns = open_ns("mem:5000");
	CU_ASSERT_EQUAL(ns->nr_lbas, 9);
	ns->ops->destroy(ns);
}

static void uuids_are_given_or_made(void)
{
	static const uint8_t want[16] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
					 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef};
	struct tgt_ns *ns = open_ns("mem:1M?uuid=01234567-89ab-cdef-0123-456789ABCDEF");
	struct tgt_ns *other;

	CU_ASSERT_EQUAL(memcmp(ns->uuid, want, 16), 0);
	ns->ops->destroy(ns);
	ns = open_ns("mem:1M");
	other = open_ns("mem:1M");
	CU_ASSERT_NOT_EQUAL(memcmp(ns->uuid, other->uuid, 16), 0);
	CU_ASSERT_EQUAL(ns->uuid[6] >> 4, 4);
	CU_ASSERT_EQUAL(ns->uuid[8] >> 6, 2);
	ns->ops->destroy(ns);
	other->ops->destroy(other);
}

static void addresses_that_make_no_namespace_are_explained(void)
{
	static const char *const bad[] = {
		"mem:1M?bs=520",
		"mem:1M?bs=",
		"mem:1M?registered=1",
		"file:/dev/null?registered=2",
		"file:/dev/null?registered=",
		"mem:1M?colour=red",
		"mem:1M?size=3M",
		"mem:511",
		"mem:4095?bs=4096",
		"null:?size=much",
		"mem:1M?uuid=01234567-89ab-cdef-0123-456789abcde",
		"mem:1M?uuid=01234567x89ab-cdef-0123-456789abcdef",
		"mem:1M?uuid=0123456789ab-cdef-0123-456789abcdef00",
		"pci:0000:01:00.0",
		"tap:x",
		"nonsense",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct quoll_error err = {0};
		struct tgt_ns *ns;

		CU_ASSERT_EQUAL(tgt_ns_open(bad[i], &ns, &err), -EINVAL);
		CU_ASSERT_NOT_EQUAL(err.what[0], '\0');
	}
}

static void memory_that_is_not_to_be_had_is_an_error(void)
{
	struct quoll_error err = {0};
	struct tgt_ns *ns;

	CU_ASSERT_EQUAL(tgt_ns_open("mem:16000000T", &ns, &err), -ENOMEM);
	CU_ASSERT_EQUAL(err.errnum, ENOMEM);
}

static void what_was_written_is_read(void)
{
	struct tgt_ns *ns = open_ns("mem:4M");
	uint8_t *out = malloc(MIB), *in = malloc(MIB);

	for (unsigned int i = 0; i < MIB; i++)
		out[i] = (uint8_t)(i * 31 >> 3);
	CU_ASSERT_EQUAL(run(ns, TGT_OP_WRITE, 512, out, MIB), 0);
	CU_ASSERT_EQUAL(run(ns, TGT_OP_READ, 512, in, MIB), 0);
	CU_ASSERT_EQUAL(memcmp(in, out, MIB), 0);
	CU_ASSERT_EQUAL(run(ns, TGT_OP_READ, 0, in, 512), 0);
	CU_ASSERT_TRUE(all_bytes(in, 512, 0));
	CU_ASSERT_EQUAL(run(ns, TGT_OP_COMPARE, 512, out, MIB), 0);
	out[MIB - 1] ^= 1;
	CU_ASSERT_EQUAL(run(ns, TGT_OP_COMPARE, 512, out, MIB), TGT_SC_MEDIA(COMPARE_FAILED) | NVME_SC_DNR);
	CU_ASSERT_EQUAL(run(ns, TGT_OP_FLUSH, 0, NULL, 0), 0);
	ns->ops->destroy(ns);
	free(out);
	free(in);
}

static void lists_of_pieces_are_one_transfer(void)
{
	struct tgt_ns *ns = open_ns("mem:1M");
	uint8_t out[2048], in[2048];
	struct iovec iov[3] = {{out + 1500, 100}, {out, 1400}, {out + 1600, 36}};
	struct tgt_req req = {.op = TGT_OP_WRITE, .bytes = 1536, .iov = iov, .nr_iov = 3};
	struct tgt_req *list[1] = {&req};
	struct tgt_ns_chan *chan;

	for (unsigned int i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i >> 3);
	ns->ops->chan_open(ns, NULL, &chan, NULL);
	CU_ASSERT_EQUAL(ns->ops->submit(chan, list, 1, list), 1);
	CU_ASSERT_EQUAL(run(ns, TGT_OP_READ, 0, in, 1536), 0);
	CU_ASSERT_EQUAL(memcmp(in, out + 1500, 100), 0);
	CU_ASSERT_EQUAL(memcmp(in + 100, out, 1400), 0);
	CU_ASSERT_EQUAL(memcmp(in + 1500, out + 1600, 36), 0);
	req.op = TGT_OP_COMPARE;
	ns->ops->submit(chan, list, 1, list);
	CU_ASSERT_EQUAL(req.status, 0);
	iov[2].iov_base = out + 1500;
	ns->ops->submit(chan, list, 1, list);
	CU_ASSERT_EQUAL(req.status & 0x7ff, 0x285);
	ns->ops->chan_close(chan);
	ns->ops->destroy(ns);
}

/* Small and large pieces are cleared in different ways, and nothing beside them is. */
static void cleared_blocks_read_as_zeroes(void)
{
	static const uint32_t lengths[] = {512, 4096, 5 * 512, MIB, 3 * MIB, 3 * MIB + 512};
	struct tgt_ns *ns = open_ns("mem:5M");
	uint8_t *bytes = malloc(5 * MIB);

	for (unsigned int i = 0; i < 2 * sizeof(lengths) / sizeof(lengths[0]); i++) {
		uint32_t len = lengths[i / 2];

		memset(bytes, 0xaa, 5 * MIB);
		run(ns, TGT_OP_WRITE, 0, bytes, 5 * MIB);
		segs[0].extent.offset = 512 * 3;
		segs[0].extent.len = len;
		CU_ASSERT_EQUAL(run(ns, i % 2 ? TGT_OP_ZEROES : TGT_OP_DISCARD, 512 * 3, NULL, len), 0);
		run(ns, TGT_OP_READ, 0, bytes, 5 * MIB);
		CU_ASSERT_TRUE(all_bytes(bytes, 512 * 3, 0xaa));
		CU_ASSERT_TRUE(all_bytes(bytes + 512 * 3, len, 0));
		CU_ASSERT_TRUE(all_bytes(bytes + 512 * 3 + len, 5 * MIB - 512 * 3 - len, 0xaa));
	}
	free(bytes);
	ns->ops->destroy(ns);
}

static uint64_t nr_zeroes(struct tgt_ns *ns, uint8_t *bytes, uint32_t len)
{
	uint64_t n = 0;

	run(ns, TGT_OP_READ, 0, bytes, len);
	for (uint32_t i = 0; i < len; i++)
		n += !bytes[i];
	return n;
}

/* Submit, then poll until it is done. Return: how often; -1: more was cleared at once than a poll may. */
static int count_polls(struct tgt_ns *ns, struct tgt_req *req, uint8_t *bytes, uint32_t len)
{
	uint64_t before = 0, now;
	struct tgt_ns_chan *chan;
	struct tgt_req *done;
	int polls = 0;

	memset(bytes, 0xaa, len);
	run(ns, TGT_OP_WRITE, 0, bytes, len);
	ns->ops->chan_open(ns, NULL, &chan, NULL);
	CU_ASSERT_EQUAL_FATAL(ns->ops->submit(chan, &req, 1, &done), 0);
	CU_ASSERT_EQUAL(nr_zeroes(ns, bytes, len), 0);
	do {
		CU_ASSERT_TRUE(readable(chan->fd));
		done = NULL;
		ns->ops->poll(chan, &done, 1);
		now = nr_zeroes(ns, bytes, len);
		if (now - before > 2 * MIB)
			polls = INT_MIN;
		before = now;
		polls++;
	} while (!done);
	CU_ASSERT_PTR_EQUAL(done, req);
	CU_ASSERT_EQUAL(req->status, 0);
	CU_ASSERT_FALSE(readable(chan->fd));
	CU_ASSERT_EQUAL(ns->ops->poll(chan, &done, 1), 0);
	CU_ASSERT_EQUAL(before, len);
	ns->ops->chan_close(chan);
	return polls;
}

/* A host can ask for terabytes with one command, and other hosts' commands are on the same thread. */
static void clearing_much_takes_several_polls(void)
{
	struct tgt_ns *ns = open_ns("mem:16M");
	struct tgt_req zeroes = {.op = TGT_OP_ZEROES, .bytes = 16 * MIB, .segs = segs};
	struct tgt_req discard = {.op = TGT_OP_DISCARD, .nr_iov = NVME_DSM_MAX_RANGES, .segs = segs};
	uint8_t *bytes = malloc(16 * MIB);
	int polls;

	polls = count_polls(ns, &zeroes, bytes, 16 * MIB);
	CU_ASSERT_TRUE(polls >= 8 && polls <= 10);
	/* Blocks that are named again and again are cleared once. */
	for (unsigned int i = 0; i < NVME_DSM_MAX_RANGES; i++) {
		segs[i].extent.offset = 0;
		segs[i].extent.len = 16 * MIB;
	}
	polls = count_polls(ns, &discard, bytes, 16 * MIB);
	CU_ASSERT_TRUE(polls >= 8 && polls <= 10);
	free(bytes);
	ns->ops->destroy(ns);
}

static void null_succeeds_and_leaves_the_buffer(void)
{
	struct tgt_ns *ns = open_ns("null:");
	uint8_t bytes[512];

	memset(bytes, 0x77, sizeof(bytes));
	for (int op = TGT_OP_READ; op <= TGT_OP_DISCARD; op++)
		CU_ASSERT_EQUAL(run(ns, (enum tgt_op)op, 0, bytes, sizeof(bytes)), 0);
	CU_ASSERT_TRUE(all_bytes(bytes, sizeof(bytes), 0x77));
	ns->ops->destroy(ns);
}

static const struct unit_test tests[] = {
	{"sizes and blocks come from the address", sizes_and_blocks_come_from_the_address},
	{"UUIDs are given or made", uuids_are_given_or_made},
	{"addresses that make no namespace are explained", addresses_that_make_no_namespace_are_explained},
	{"memory that is not to be had is an error", memory_that_is_not_to_be_had_is_an_error},
	{"what was written is read", what_was_written_is_read},
	{"lists of pieces are one transfer", lists_of_pieces_are_one_transfer},
	{"cleared blocks read as zeroes", cleared_blocks_read_as_zeroes},
	{"clearing much takes several polls", clearing_much_takes_several_polls},
	{"null: succeeds and leaves the buffer", null_succeeds_and_leaves_the_buffer},
};

UNIT_MAIN("apps/target/ns", tests)
