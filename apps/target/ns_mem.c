/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ns_mem.c - mem:SIZE - a namespace in memory: 2 MiB hugepages where as many are free, else ordinary pages, which the
 * kernel is asked to make large. Gone with the process.
 *
 * Requests finish in submit, except those that clear more than a command may transfer: a host can name the whole
 * namespace, many times over, in one of them. They are done piece by piece, one a poll, so that nobody waits for them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/mman.h>

#include "ns.h"

#define HUGE_BYTES (2ull << 20)
/* Fetched of a request's memory before it is copied; further on the CPU sees where it goes. */
#define AHEAD_BYTES 4096u
/* From this size on, deallocated memory goes back to the kernel instead of being cleared. */
#define GIVE_BACK_BYTES (1ull << 20)

struct ns_mem {
	struct tgt_ns ns;
	uint8_t *va;
	uint64_t map_bytes;
	bool is_huge;
};

/* @clearing: requests that clear much; @chan.fd is readable while there are any */
struct mem_chan {
	struct tgt_ns_chan chan;
	struct tgt_fifo clearing;
};

static int mem_chan_open(struct tgt_ns *ns, const struct tgt_guest *guest, struct tgt_ns_chan **chan,
			 struct quoll_error *err)
{
	struct mem_chan *made = calloc(1, sizeof(*made));
	int rc;

	(void)guest;
	if (!made)
		return quoll_error_set(err, ENOMEM, "namespace", ns->text, "out of memory");
	made->chan = (struct tgt_ns_chan){.ns = ns, .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	if (made->chan.fd < 0) {
		rc = quoll_error_set(err, errno, "namespace", ns->text, "no eventfd");
		free(made);
		return rc;
	}
	tgt_fifo_init(&made->clearing);
	*chan = &made->chan;
	return 0;
}

static void mem_chan_close(struct tgt_ns_chan *chan)
{
	close(chan->fd);
	free(chan);
}

/*
 * Whole pages of a large piece are dropped, and read as zeroes from then on. Not hugepages: those in the pool are
 * promised to this mapping only as long as it has them.
 */
static void mem_clear(const struct ns_mem *mem, uint64_t offset, uint64_t len)
{
	uint64_t start = (offset + 4095) & ~4095ull;
	uint64_t end = (offset + len) & ~4095ull;

	if (!mem->is_huge && len >= GIVE_BACK_BYTES && !madvise(mem->va + start, end - start, MADV_DONTNEED)) {
		memset(mem->va + offset, 0, start - offset);
		memset(mem->va + end, 0, offset + len - end);
		return;
	}
	memset(mem->va + offset, 0, len);
}

/*
 * Random places are in no cache. The first request's lines are asked for all at once, as the CPU by itself would ask
 * for the first few only, and see where it goes (590 ns for 4 KiB became 480 ns); those of each next one while the one
 * before it is copied (330 ns became 210 ns; all on Zen 5).
 */
static void fetch(const uint8_t *at, size_t len)
{
	for (size_t done = 0; done < len && done < AHEAD_BYTES; done += QUOLL_CACHE_LINE_BYTES)
		__builtin_prefetch(at + done, 0, 2);
}

static void copy_ahead(uint8_t *to, const uint8_t *from, size_t len, const uint8_t *ahead)
{
	size_t done = 0;

	for (; len - done >= QUOLL_CACHE_LINE_BYTES && done < AHEAD_BYTES; done += QUOLL_CACHE_LINE_BYTES) {
		__builtin_prefetch(ahead + done);
		memcpy(to + done, from + done, QUOLL_CACHE_LINE_BYTES);
	}
	memcpy(to + done, from + done, len - done);
}

/* Almost always one piece. */
static inline bool is_one_piece(const struct tgt_req *req)
{
	return QUOLL_LIKELY(req->nr_iov == 1 && req->iov[0].iov_len == req->bytes);
}

/* @ahead: what the next request will move; NULL: there is none that moves anything */
static uint16_t mem_run(const struct ns_mem *mem, const struct tgt_req *req, const uint8_t *ahead)
{
	uint8_t *at = mem->va + req->offset;

	switch (req->op) {
	case TGT_OP_READ:
		if (ahead && is_one_piece(req))
			copy_ahead(req->iov[0].iov_base, at, req->bytes, ahead);
		else
			tgt_iov_scatter(req->iov, req->nr_iov, at, req->bytes);
		return 0;
	case TGT_OP_WRITE:
		if (ahead && is_one_piece(req))
			copy_ahead(at, req->iov[0].iov_base, req->bytes, ahead);
		else
			tgt_iov_gather(req->iov, req->nr_iov, at, req->bytes);
		return 0;
	case TGT_OP_COMPARE:
		return tgt_iov_equal(req->iov, req->nr_iov, at, req->bytes)
			       ? 0
			       : TGT_SC_MEDIA(COMPARE_FAILED) | NVME_SC_DNR;
	case TGT_OP_ZEROES:
		mem_clear(mem, req->offset, req->bytes);
		return 0;
	case TGT_OP_DISCARD:
		for (unsigned int i = 0; i < req->nr_iov; i++)
			mem_clear(mem, req->segs[i].extent.offset, req->segs[i].extent.len);
		return 0;
	default: /* TGT_OP_FLUSH: there is nothing that a flush would save */
		return 0;
	}
}

static bool clears_much(const struct tgt_req *req)
{
	uint64_t bytes = 0;

	if (req->op == TGT_OP_ZEROES)
		return req->bytes > TGT_MAX_BYTES;
	for (unsigned int i = 0; req->op == TGT_OP_DISCARD && i < req->nr_iov && bytes <= TGT_MAX_BYTES; i++)
		bytes += req->segs[i].extent.len;
	return bytes > TGT_MAX_BYTES;
}

/* Extents become what is left to be cleared: no more than there is, as deallocation is a hint. */
static void clear_begin(struct mem_chan *chan, struct tgt_req *req)
{
	uint64_t left = chan->chan.ns->nr_lbas << chan->chan.ns->lba_shift;
	const uint64_t one = 1;

	if (req->op == TGT_OP_ZEROES) {
		req->segs[0].extent.offset = req->offset;
		req->segs[0].extent.len = req->bytes;
		req->nr_iov = 1;
	}
	for (unsigned int i = 0; i < req->nr_iov; i++) {
		if (req->segs[i].extent.len > left)
			req->segs[i].extent.len = left;
		left -= req->segs[i].extent.len;
	}
	req->cursor = 0;
	/* A counter that can take no more is readable all the same. */
	if (!chan->clearing.head && write(chan->chan.fd, &one, sizeof(one)) < 0)
		(void)one;
	tgt_fifo_push(&chan->clearing, req);
}

/* A piece, up to the next large page at most. Return: true if all is done. */
static bool clear_step(const struct ns_mem *mem, struct tgt_req *req)
{
	union tgt_seg *seg = &req->segs[req->cursor];
	uint64_t to_page = HUGE_BYTES - ((uintptr_t)mem->va + seg->extent.offset) % HUGE_BYTES;
	uint64_t piece = seg->extent.len < to_page ? seg->extent.len : to_page;

	mem_clear(mem, seg->extent.offset, piece);
	seg->extent.offset += piece;
	seg->extent.len -= piece;
	while (req->cursor < req->nr_iov && !req->segs[req->cursor].extent.len)
		req->cursor++;
	return req->cursor == req->nr_iov;
}

static unsigned int mem_submit(struct tgt_ns_chan *base, struct tgt_req *const *reqs, unsigned int n,
			       struct tgt_req **done)
{
	const struct ns_mem *mem = (const struct ns_mem *)base->ns;
	unsigned int nr_done = 0;

	if (n && reqs[0]->op <= TGT_OP_WRITE)
		fetch(mem->va + reqs[0]->offset, reqs[0]->bytes);
	for (unsigned int i = 0; i < n; i++) {
		struct tgt_req *req = reqs[i];
		const struct tgt_req *next = i + 1 < n && reqs[i + 1]->op <= TGT_OP_WRITE ? reqs[i + 1] : NULL;

		if (QUOLL_UNLIKELY(req->op >= TGT_OP_ZEROES && clears_much(req))) {
			clear_begin((struct mem_chan *)base, req);
			continue;
		}
		req->status = mem_run(mem, req, next ? mem->va + next->offset : NULL);
		done[nr_done++] = req;
	}
	return nr_done;
}

static unsigned int mem_poll(struct tgt_ns_chan *base, struct tgt_req **done, unsigned int max)
{
	struct mem_chan *chan = (struct mem_chan *)base;
	struct tgt_req *req = chan->clearing.head;
	uint64_t count;

	if (QUOLL_LIKELY(!req) || !max || !clear_step((const struct ns_mem *)base->ns, req))
		return 0;
	tgt_fifo_pop(&chan->clearing);
	if (!chan->clearing.head && read(base->fd, &count, sizeof(count)) < 0)
		count = 0;
	req->status = 0;
	done[0] = req;
	return 1;
}

static void mem_destroy(struct tgt_ns *ns)
{
	struct ns_mem *mem = (struct ns_mem *)ns;

	munmap(mem->va, mem->map_bytes);
	free(mem);
}

static const struct tgt_ns_ops mem_ops = {
	.chan_open = mem_chan_open,
	.chan_close = mem_chan_close,
	.submit = mem_submit,
	.poll = mem_poll,
	.destroy = mem_destroy,
};

/* Hugepages are reserved by mmap(), so that a page that isn't there is an error here and not a signal later. */
static int mem_map(struct ns_mem *mem, uint64_t bytes)
{
	void *va;

	mem->map_bytes = (bytes + HUGE_BYTES - 1) & ~(HUGE_BYTES - 1);
	if (mem->map_bytes < bytes)
		return -ENOMEM;
	va = mmap(NULL, mem->map_bytes, PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_HUGE_2MB, -1, 0);
	mem->is_huge = va != MAP_FAILED;
	if (!mem->is_huge)
		va = mmap(NULL, mem->map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (va == MAP_FAILED)
		return -errno;
	/* A wish; where it isn't granted pages are small. Not part of a core dump either way. */
	if (!mem->is_huge)
		madvise(va, mem->map_bytes, MADV_HUGEPAGE);
	madvise(va, mem->map_bytes, MADV_DONTDUMP);
	mem->va = va;
	return 0;
}

int tgt_ns_mem_open(const struct tgt_ns_spec *spec, struct tgt_ns **ns, struct quoll_error *err)
{
	struct ns_mem *mem = calloc(1, sizeof(*mem));
	int rc = mem ? mem_map(mem, spec->bytes) : -ENOMEM;

	if (rc) {
		free(mem);
		return quoll_error_set(err, -rc, "namespace", spec->text, "%llu bytes of memory are not to be had",
				       (unsigned long long)spec->bytes);
	}
	mem->ns.ops = &mem_ops;
	mem->ns.nr_lbas = spec->bytes >> spec->lba_shift;
	mem->ns.reads_zeroes = true;
	*ns = &mem->ns;
	return 0;
}
